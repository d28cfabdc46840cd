//! Decisions about signatures and ref events: this is the one place where they are made.

use std::fmt;

use super::{
    Cause, Demands, Event, Permission, Policy, Receipt, Rule, SignedBy, Signers, Wanted,
    cause::{key_list, person, told},
};
use crate::{
    object::{ObjectError, ObjectId},
    verify::Verdict,
    words::{escape, escape_bytes},
};

/// What is known about the signature of a commit or tag object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The object cannot be parsed strictly.
    Malformed(ObjectError),
    /// The engine's verdict.
    Signed(Verdict),
    /// There is no signature.
    Unsigned,
}

impl Policy {
    /// Whether `evidence` is what `signers` of a rule ask for; `demands` are what the rule
    /// demands of a signature besides.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(
        &self,
        signers: &Signers,
        demands: &Demands,
        evidence: &Evidence,
        receipt: &Receipt<'_>,
    ) -> Result<(), Cause> {
        let Signers::Named(wanted) = signers else {
            return match evidence {
                Evidence::Malformed(cause) => Err(Cause::Malformed(*cause)),
                Evidence::Signed(_) | Evidence::Unsigned => Ok(()),
            };
        };
        match evidence {
            Evidence::Malformed(cause) => Err(Cause::Malformed(*cause)),
            Evidence::Unsigned => Err(Cause::Unsigned { wanted: wanted.clone() }),
            Evidence::Signed(Verdict::Bad(cause)) => Err(Cause::Bad(*cause)),
            Evidence::Signed(Verdict::CannotTell(cause)) => Err(Cause::CannotTell(*cause)),
            Evidence::Signed(Verdict::Good(proven)) => {
                self.judge_signer(wanted, SignedBy::from(&**proven), receipt)?;
                let lacks =
                    |lack| Cause::NotProven { signer: person(proven.identity()), lack: Box::new(lack) };
                demands.judge_proven(proven).map_err(lacks)
            }
            Evidence::Signed(Verdict::Stated(stated)) => {
                self.judge_signer(wanted, SignedBy::from(&**stated), receipt)?;
                let lacks = |lack| Cause::NotProven { signer: key_list(stated.keys()), lack: Box::new(lack) };
                demands.judge_stated().map_err(lacks)
            }
            Evidence::Signed(Verdict::NotLogged(signed)) => {
                self.judge_signer(wanted, SignedBy::from(&**signed), receipt)?;
                if demands.proof.is_none() && demands.not_logged == Permission::Refuse {
                    return Err(Cause::NotLogged(signed.clone()));
                }
                let lacks =
                    |lack| Cause::NotProven { signer: person(signed.identity()), lack: Box::new(lack) };
                demands.judge_not_logged(signed).map_err(lacks)
            }
            Evidence::Signed(Verdict::TimeNotProven(signed)) => {
                self.judge_signer(wanted, SignedBy::from(&**signed), receipt)?;
                if demands.time_not_proven == Permission::Refuse {
                    return Err(Cause::TimeNotProven(signed.clone()));
                }
                let lacks =
                    |lack| Cause::NotProven { signer: person(signed.identity()), lack: Box::new(lack) };
                demands.judge_time_not_proven(&signed.identity().instance).map_err(lacks)
            }
        }
    }

    fn judge_signer(
        &self,
        wanted: &Wanted,
        signer: SignedBy<'_>,
        receipt: &Receipt<'_>,
    ) -> Result<(), Cause> {
        let names = self.names(signer, receipt)?;
        if names.iter().any(|name| wanted.contains(name)) {
            return Ok(());
        }
        let (name, wanted) = (names[0].to_owned(), wanted.clone());
        Err(match signer {
            SignedBy::Proven { identity, .. } => {
                Cause::NotInTheRule { name, identity: Box::new(identity.clone()), wanted }
            }
            SignedBy::Stated { keys, .. } => Cause::KeyNotInTheRule { name, keys: told(keys), wanted },
        })
    }
}

impl Rule {
    /// Whether the rule lets an event happen.
    ///
    /// # Errors
    /// The event, as the cause of a refusal.
    pub fn judge_event(&self, event: Event) -> Result<(), Cause> {
        let permission = match event {
            Event::Create => self.permissions.create,
            Event::Delete => self.permissions.delete,
            Event::LightweightTag => self.permissions.lightweight_tags,
            Event::MisnamedTag(_) => self.permissions.misnamed_tags,
            Event::NestedTag => self.permissions.nested_tags,
            Event::ReplaceTag => self.permissions.replace_tags,
            Event::Rewind => self.permissions.rewind,
            Event::TagOfTreeOrBlob => self.permissions.tags_of_trees_and_blobs,
        };
        match permission {
            Permission::Allow => Ok(()),
            Permission::Refuse => Err(Cause::Event(event)),
        }
    }
}

/// What is refused: the ref itself, or an object that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A commit.
    Commit(ObjectId),
    /// The ref.
    Reference,
    /// A tag object.
    Tag(ObjectId),
}

/// A refusal with everything that a person needs to act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The ref, as bytes.
    pub reference: Vec<u8>,
    /// What on it.
    pub subject: Subject,
    /// The rule's name; `None` where no rule decided.
    pub rule: Option<String>,
    /// Why.
    pub cause: Cause,
}

impl Refusal {
    /// The proven signer, as people read it; `None` if nobody is proven.
    #[must_use]
    pub fn signer(&self) -> Option<String> {
        self.cause.signer()
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match (&self.cause, self.subject) {
            (Cause::Unsigned { .. }, Subject::Tag(_)) => {
                "make the tag again with 'git tag -s -f', signed by one of them".to_owned()
            }
            (cause, _) => cause.hint(),
        }
    }
}

impl fmt::Display for Refusal {
    /// One line, fit for a terminal: `<ref>: <object>: <why> (rule '<rule>')`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", escape_bytes(&self.reference))?;
        match self.subject {
            Subject::Commit(id) => write!(formatter, "commit {}: ", id.to_hex_with_len(12))?,
            Subject::Tag(id) => write!(formatter, "tag {}: ", id.to_hex_with_len(12))?,
            Subject::Reference => {}
        }
        write!(formatter, "{}", self.cause)?;
        match &self.rule {
            Some(rule) => write!(formatter, " (rule '{}')", escape(rule)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::tests::POLICY,
        sigstore::{certificate::SubjectKind, claims::Claims},
        verify::{Bad, CannotTell, Identity},
    };

    fn identity(subject: &str) -> Identity {
        Identity {
            instance: "sandbox".to_owned(),
            issuer: "https://i".to_owned(),
            kind: SubjectKind::Email,
            subject: subject.to_owned(),
        }
    }

    #[test]
    fn pasting_a_hint_names_no_more_than_the_one_who_signed() {
        let hostile = identity("a\\\" }, { instance = \"sandbox\", subject = \"b\u{202e}\u{1b}");
        let cause = Cause::NotInThePolicy(Box::new(hostile.clone()), Claims::default());
        let refusal =
            Refusal { reference: b"refs/heads/a".to_vec(), subject: Subject::Reference, rule: None, cause };
        let hint = refusal.hint();
        let entry = hint.strip_prefix("have the policy's owner add ").unwrap();
        let entry = entry.strip_suffix(" to 'keyless' of its owner's identity").unwrap();
        assert_eq!(escape(entry), entry);
        let text = format!(
            "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\ntrusted_root = \"r\"\n\
             [identity.x]\nkeyless = [{entry}]\n"
        );
        assert_eq!(Policy::parse(&text).unwrap().identities()[0].keyless[0].identity(), Some(hostile));

        let pattern = identity("*@example.com");
        assert_eq!(crate::policy::policy_entry(&pattern, &Claims::default()), None);
        let cause = Cause::NotInThePolicy(Box::new(pattern), Claims::default());
        assert!(!cause.hint().contains("example.com"), "{}", cause.hint());
    }

    #[test]
    fn only_whom_the_rule_names_may_sign() {
        let policy = Policy::parse(&POLICY.replace("public-good", "sandbox")).unwrap();
        let wanted = Wanted::from_iter(["alice"]);
        let judge = |subject: &str| {
            let (identity, claims) = (identity(subject), Claims::default());
            let signer = SignedBy::Proven { identity: &identity, claims: &claims, times: &[] };
            policy.judge_signer(&wanted, signer, &Receipt::without_anchors(0))
        };
        assert_eq!(judge("alice@example.com"), Ok(()));
        assert!(matches!(judge("bob@example.com"), Err(Cause::NotInTheRule { name, .. }) if name == "bob"));
        assert!(matches!(judge("eve@example.com"), Err(Cause::NotInThePolicy(..))));
    }

    #[test]
    fn all_but_a_good_verdict_is_refused_with_its_cause() {
        let policy = Policy::parse(POLICY).unwrap();
        let signers = Signers::Named(Wanted::from_iter(["alice"]));
        let receipt = Receipt::without_anchors(0);
        let judge = |evidence| policy.judge(&signers, &Demands::default(), &evidence, &receipt).unwrap_err();
        assert!(matches!(judge(Evidence::Unsigned), Cause::Unsigned { .. }));
        assert_eq!(judge(Evidence::Signed(Verdict::Bad(Bad::Signature))), Cause::Bad(Bad::Signature));
        assert_eq!(
            judge(Evidence::Signed(Verdict::CannotTell(CannotTell::NoTrustedTime))),
            Cause::CannotTell(CannotTell::NoTrustedTime)
        );
        let malformed = Evidence::Malformed(ObjectError::ForeignSignatureHeader);
        assert_eq!(judge(malformed.clone()), Cause::Malformed(ObjectError::ForeignSignatureHeader));
        let unsigned = |evidence| policy.judge(&Signers::Unsigned, &Demands::default(), evidence, &receipt);
        assert_eq!(unsigned(&Evidence::Unsigned), Ok(()));
        assert!(unsigned(&malformed).is_err());
    }

    #[test]
    fn a_refusal_names_object_signer_rule_and_remedy_and_deceives_no_terminal() {
        let id = ObjectId::from_hex(&[b'a'; 40]).unwrap();
        let refusal = Refusal {
            reference: b"refs/heads/\x1b[2Jmain".to_vec(),
            subject: Subject::Commit(id),
            rule: Some("main".to_owned()),
            cause: Cause::NotInThePolicy(Box::new(identity("eve\u{202e}@example.com")), Claims::default()),
        };
        assert_eq!(
            refusal.to_string(),
            "refs/heads/\\u{1b}[2Jmain: commit aaaaaaaaaaaa: signed by 'eve\\u{202e}@example.com' of \
             'https://i' (sandbox), whom the policy does not name (rule 'main')"
        );
        assert!(refusal.hint().contains("subject = \"eve\\U0000202e@example.com\""));
    }

    #[test]
    fn warnings_let_only_pass_what_the_rule_decides() {
        assert!(Cause::Unsigned { wanted: Wanted::default() }.is_for_the_rule_to_decide());
        assert!(Cause::Event(Event::Delete).is_for_the_rule_to_decide());
        for cause in [Cause::Unexpected(String::new()), Cause::Reserved, Cause::TooManyNestedTags] {
            assert!(!cause.is_for_the_rule_to_decide());
        }
    }
}
