//! Decisions about signatures and ref events, and the words of a refusal: this is the one place where they are made.

use std::fmt;

use super::{Lapse, Permission, Policy, ProofFault, Receipt, Rule, SignedBy, Signers};
use crate::{
    object::{ObjectError, ObjectId},
    sigstore::claims::{Claim, Claims},
    verify::{Bad, CannotTell, Identity, Key, TimeNotProven, Verdict},
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

/// Something that happens to a ref, apart from what its objects are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The ref did not exist.
    Create,
    /// The ref goes away.
    Delete,
    /// A tag names a commit itself.
    LightweightTag,
    /// The tag object carries this other name.
    MisnamedTag(Vec<u8>),
    /// A tag object names a tag object.
    NestedTag,
    /// A tag that exists would name something else.
    ReplaceTag,
    /// The new value does not descend from the old one.
    Rewind,
    /// A tag leads to a tree or a blob.
    TagOfTreeOrBlob,
}

/// Why something is refused. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Proven, and the policy means several identities by it.
    Ambiguous {
        /// Who it is.
        identity: Box<Identity>,
        /// The policy's names.
        names: Vec<String>,
    },
    /// The signature contradicts a key, or the content was changed.
    Bad(Bad),
    /// Not everything is proven.
    CannotTell(CannotTell),
    /// The rule forbids what happens to the ref.
    Event(Event),
    /// Signed with a forge's own key, which stands for no person.
    Forge {
        /// The forge.
        forge: String,
        /// Its key.
        key: Key,
    },
    /// Signed with a key for which the policy has no name.
    KeyNotInThePolicy(Vec<Key>),
    /// Signed with a key that the policy names, but the rule wants others.
    KeyNotInTheRule {
        /// The policy's name for the key.
        name: String,
        /// The key, or the principals of its certificate.
        keys: Vec<Key>,
        /// Whom the rule wants.
        wanted: Vec<String>,
    },
    /// The policy names the signer, who does not count for this object.
    Lapsed {
        /// The policy's name for the signer.
        name: String,
        /// Who it is, in words.
        signer: String,
        /// Why not.
        lapse: Lapse,
    },
    /// The object cannot be parsed strictly.
    Malformed(ObjectError),
    /// Proven, and the policy has no name for this signer, with what the certificate says of the build.
    NotInThePolicy(Box<Identity>, Claims),
    /// Proven and named, but the rule wants others.
    NotInTheRule {
        /// The policy's name for the signer.
        name: String,
        /// Who it is.
        identity: Box<Identity>,
        /// Whom the rule wants.
        wanted: Vec<String>,
    },
    /// Only the server writes its ledger.
    Ledger,
    /// No rule names the ref, and those are refused.
    NoRule,
    /// The ref would name something that such refs cannot name.
    NotACommit(gix::objs::Kind),
    /// What is kept of a log may only grow, by what proves something.
    Proof(ProofFault),
    /// A ref in a reserved namespace that no rule names.
    Reserved,
    /// The pusher's idea of the ref's value is not the server's.
    Stale {
        /// What the ref holds; `None` if it does not exist.
        server: Option<ObjectId>,
        /// What the pusher says it holds.
        claimed: Option<ObjectId>,
    },
    /// The rule does not say who may sign tags.
    TagsNotNamed,
    /// The refs of a push take in more commits, all counted, than are judged at once.
    TooManyCommits,
    /// More tag objects in a row than are followed.
    TooManyNestedTags,
    /// Keyless and good, and nothing proves when it was made.
    TimeNotProven(Box<TimeNotProven>),
    /// Something that should not happen; never let through.
    Unexpected(String),
    /// There is no signature.
    Unsigned {
        /// Whom the rule wants.
        wanted: Vec<String>,
    },
}

impl Cause {
    /// Whether it is only that not enough is at hand to tell.
    #[must_use]
    pub fn is_unclear(&self) -> bool {
        matches!(self, Self::CannotTell(_) | Self::Lapsed { lapse: Lapse::Unclear(_), .. })
    }

    /// Whether a rule in warning mode may let it pass: only what the rule itself decides.
    #[must_use]
    pub fn is_for_the_rule_to_decide(&self) -> bool {
        !matches!(
            self,
            Self::Ledger
                | Self::Malformed(_)
                | Self::NoRule
                | Self::NotACommit(_)
                | Self::Proof(_)
                | Self::Reserved
                | Self::Stale { .. }
                | Self::TooManyCommits
                | Self::TooManyNestedTags
                | Self::Unexpected(_)
        )
    }
}

impl Policy {
    /// Whether `evidence` is what `signers` of a rule ask for; `time_not_proven` is what the rule says of
    /// signatures that are good but for their time.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(
        &self,
        signers: &Signers,
        time_not_proven: Permission,
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
                self.judge_signer(wanted, SignedBy::from(&**proven), receipt)
            }
            Evidence::Signed(Verdict::Stated(stated)) => {
                self.judge_signer(wanted, SignedBy::from(&**stated), receipt)
            }
            Evidence::Signed(Verdict::TimeNotProven(signed)) => {
                self.judge_signer(wanted, SignedBy::from(&**signed), receipt)?;
                match time_not_proven {
                    Permission::Allow => Ok(()),
                    Permission::Refuse => Err(Cause::TimeNotProven(signed.clone())),
                }
            }
        }
    }

    fn judge_signer(
        &self,
        wanted: &[String],
        signer: SignedBy<'_>,
        receipt: &Receipt<'_>,
    ) -> Result<(), Cause> {
        let names = self.names(signer, receipt)?;
        if names.iter().any(|name| wanted.iter().any(|wanted| wanted == name)) {
            return Ok(());
        }
        let (name, wanted) = (names[0].to_owned(), wanted.to_vec());
        Err(match signer {
            SignedBy::Proven { identity, .. } => {
                Cause::NotInTheRule { name, identity: Box::new(identity.clone()), wanted }
            }
            SignedBy::Stated { keys, .. } => Cause::KeyNotInTheRule { name, keys: keys.to_vec(), wanted },
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

impl Cause {
    /// The signer, as people read it; `None` if nobody is proven.
    #[must_use]
    pub fn signer(&self) -> Option<String> {
        match self {
            Self::NotInThePolicy(identity, claims) => Some(build(identity, claims)),
            Self::Ambiguous { identity, .. } => Some(person(identity)),
            Self::Forge { key, .. } => Some(key_list(std::slice::from_ref(key))),
            Self::KeyNotInThePolicy(keys) => Some(key_list(keys)),
            Self::TimeNotProven(signed) => Some(person(signed.identity())),
            Self::KeyNotInTheRule { name, keys, .. } => {
                Some(format!("{} ('{}')", key_list(keys), escape(name)))
            }
            Self::Lapsed { name, signer, .. } => Some(format!("{signer} ('{}')", escape(name))),
            Self::NotInTheRule { name, identity, .. } => {
                Some(format!("{} ('{}')", person(identity), escape(name)))
            }
            _ => None,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Ambiguous { .. } => "have the policy's owner make one of their patterns narrower".to_owned(),
            Self::Forge { .. } => {
                "make the merge or change with git and sign it yourself, not with the forge's button".to_owned()
            }
            Self::Lapsed { lapse: Lapse::Unclear(_), .. } => {
                "fetch the whole history with the policy's anchors ('git fetch --unshallow')".to_owned()
            }
            Self::Lapsed { lapse: Lapse::NotYet { .. }, .. } => {
                "sign it again with a key that counts now, or have the policy's 'from' changed".to_owned()
            }
            Self::Lapsed { .. } => {
                "sign it again with a key that counts now; for what was there in time, have the policy's owner add an '[[anchor]]'"
                    .to_owned()
            }
            Self::Unsigned { .. } => {
                "sign it with 'git commit --amend -S', or older ones with 'git rebase -S --force-rebase', and push again"
                    .to_owned()
            }
            Self::Bad(_) => {
                "make and sign the object again; its content or signature was changed".to_owned()
            }
            Self::CannotTell(CannotTell::UnknownAuthority | CannotTell::UnknownLog) => {
                "sign with an instance whose trusted root the policy names, or have the root added".to_owned()
            }
            Self::CannotTell(CannotTell::UnknownCertificateAuthority) => {
                "sign with a certificate of an authority that the policy names, or have the authority added"
                    .to_owned()
            }
            Self::CannotTell(
                CannotTell::CertificateChainWindow
                | CannotTell::CertificateUsage
                | CannotTell::KeyExpired
                | CannotTell::KeyRevoked
                | CannotTell::NoUserPresence
                | CannotTell::SshCertificatePrincipals
                | CannotTell::SshCertificateWindow
                | CannotTell::SshCriticalOption,
            ) => "sign it again with a key or certificate that counts, and touch the security key".to_owned(),
            Self::CannotTell(_) => {
                "sign it again with countersign, which stores all that has to be proven".to_owned()
            }
            Self::NotInThePolicy(identity, claims) => match super::policy_entry(identity, claims) {
                Some(entry) => format!("have the policy's owner add {entry}"),
                None => format!("sign as somebody else: {}", super::NO_ENTRY),
            },
            Self::KeyNotInThePolicy(keys) => match keys.first().and_then(super::x509_entry) {
                Some(entry) => format!("have the policy's owner add {entry} to 'x509' of its owner's identity"),
                None => "have the policy's owner add the key to its owner's identity".to_owned(),
            },
            Self::KeyNotInTheRule { .. } | Self::NotInTheRule { .. } => {
                "have one of the rule's signers sign it, or have the rule changed".to_owned()
            }
            Self::Event(Event::MisnamedTag(name)) => {
                format!("push it as 'refs/tags/{}', or make a tag of the new name", escape_bytes(name))
            }
            Self::Event(Event::LightweightTag) => {
                "make an annotated, signed tag with 'git tag -s'".to_owned()
            }
            Self::Event(Event::Rewind) => {
                "merge or rebase onto the ref's current value, and push again".to_owned()
            }
            Self::Event(_) => "the rule decides what may happen; ask the policy's owner".to_owned(),
            Self::Malformed(_) => "make the object again with git itself".to_owned(),
            Self::Proof(_) => {
                "fetch the ref, add to it with 'countersign proof fetch' or 'countersign proof merge', and push again"
                    .to_owned()
            }
            Self::TimeNotProven(_) => {
                "run 'countersign proof fetch' and push 'refs/countersign/proofs' too, or sign it again with countersign"
                    .to_owned()
            }
            Self::NoRule => "push to a ref that a rule names, or have one added".to_owned(),
            Self::Ledger => "leave the ref out of the push".to_owned(),
            Self::Reserved => "only a rule whose pattern begins with this namespace can allow it".to_owned(),
            Self::NotACommit(_) => "push a commit".to_owned(),
            Self::Stale { .. } => "fetch, and push again".to_owned(),
            Self::TagsNotNamed => "have 'tags' added to the rule".to_owned(),
            Self::TooManyCommits => "push fewer refs at a time".to_owned(),
            Self::TooManyNestedTags => "tag the commit itself".to_owned(),
            Self::Unexpected(_) => {
                "nothing is let through that cannot be judged; ask the server's administrator".to_owned()
            }
        }
    }
}

impl fmt::Display for Cause {
    /// Fit for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signer = self.signer().unwrap_or_default();
        match self {
            Self::Ambiguous { names, .. } => {
                write!(formatter, "signed by {signer}, who may be {} by the policy", list(names))
            }
            Self::Bad(cause) => write!(formatter, "the signature is bad: {cause}"),
            Self::CannotTell(cause) => write!(formatter, "who signed cannot be told: {cause}"),
            Self::Event(event) => write!(formatter, "{}", EventText(event)),
            Self::Forge { forge, .. } => write!(
                formatter,
                "made by the forge '{}' for whoever was logged in there ({signer}), and no person signed it",
                escape(forge)
            ),
            Self::Lapsed { lapse, .. } => write!(formatter, "signed by {signer}, who {lapse}"),
            Self::Malformed(cause) => write!(formatter, "it is malformed: {cause}"),
            Self::NotInThePolicy(..) | Self::KeyNotInThePolicy(_) => {
                write!(formatter, "signed by {signer}, whom the policy does not name")
            }
            Self::NotInTheRule { wanted, .. } | Self::KeyNotInTheRule { wanted, .. } => {
                write!(formatter, "signed by {signer}, where only {} may", list(wanted))
            }
            Self::NoRule => write!(formatter, "no rule names this ref, and such refs are refused"),
            Self::NotACommit(kind) => write!(formatter, "this ref cannot name a {kind}"),
            Self::Ledger => write!(formatter, "only the server itself writes its ledger"),
            Self::Reserved => write!(formatter, "this namespace is reserved, and no rule names it"),
            Self::Stale { server, claimed } => write!(
                formatter,
                "the ref {} here, and the push says that it {}",
                value(*server),
                value(*claimed)
            ),
            Self::TagsNotNamed => write!(formatter, "the rule does not say who may sign tags"),
            Self::Proof(fault) => write!(formatter, "{fault}"),
            Self::TimeNotProven(signed) => write!(formatter, "signed by {signer}: {signed}"),
            Self::TooManyCommits => write!(formatter, "the push adds too many commits to too many refs"),
            Self::TooManyNestedTags => write!(formatter, "too many tags name one another"),
            Self::Unexpected(what) => write!(formatter, "it cannot be judged: {}", escape(what)),
            Self::Unsigned { wanted } => {
                write!(formatter, "it is not signed, where {} has to sign", list(wanted))
            }
        }
    }
}

struct EventText<'a>(&'a Event);

impl fmt::Display for EventText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Create => write!(formatter, "the ref may not be created"),
            Event::Delete => write!(formatter, "the ref may not be deleted"),
            Event::LightweightTag => write!(formatter, "the tag is lightweight and carries no signature"),
            Event::MisnamedTag(name) => {
                write!(formatter, "the tag object was signed under the name '{}'", escape_bytes(name))
            }
            Event::NestedTag => write!(formatter, "the tag names another tag"),
            Event::ReplaceTag => write!(formatter, "the tag exists and may not be replaced"),
            Event::Rewind => write!(formatter, "the new value does not descend from the current one"),
            Event::TagOfTreeOrBlob => write!(formatter, "the tag does not lead to a commit"),
        }
    }
}

pub(super) fn person(identity: &Identity) -> String {
    format!(
        "'{}' of '{}' ({})",
        escape(&identity.subject),
        escape(&identity.issuer),
        escape(&identity.instance)
    )
}

/// Who it is, and for a build which one.
fn build(identity: &Identity, claims: &Claims) -> String {
    let claim = |claim, word: &str| {
        claims.get(claim).map(|text| format!(" {word} '{}'", escape(text))).unwrap_or_default()
    };
    format!("{}{}{}", person(identity), claim(Claim::Repository, "for"), claim(Claim::Ref, "at"))
}

pub(super) fn key_list(keys: &[Key]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("'{}'", escape(&key.to_string()))).collect();
    names.join(" or ")
}

fn value(id: Option<ObjectId>) -> String {
    id.map_or_else(|| "does not exist".to_owned(), |id| format!("is at {}", id.to_hex_with_len(12)))
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{}'", escape(name))).collect();
    quoted.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::tests::POLICY, sigstore::certificate::SubjectKind};

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
        let wanted = ["alice".to_owned()];
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
        let signers = Signers::Named(vec!["alice".to_owned()]);
        let receipt = Receipt::without_anchors(0);
        let judge = |evidence| policy.judge(&signers, Permission::Refuse, &evidence, &receipt).unwrap_err();
        assert!(matches!(judge(Evidence::Unsigned), Cause::Unsigned { .. }));
        assert_eq!(judge(Evidence::Signed(Verdict::Bad(Bad::Signature))), Cause::Bad(Bad::Signature));
        assert_eq!(
            judge(Evidence::Signed(Verdict::CannotTell(CannotTell::NoTrustedTime))),
            Cause::CannotTell(CannotTell::NoTrustedTime)
        );
        let malformed = Evidence::Malformed(ObjectError::ForeignSignatureHeader);
        assert_eq!(judge(malformed.clone()), Cause::Malformed(ObjectError::ForeignSignatureHeader));
        let unsigned = |evidence| policy.judge(&Signers::Unsigned, Permission::Refuse, evidence, &receipt);
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
        assert!(Cause::Unsigned { wanted: vec![] }.is_for_the_rule_to_decide());
        assert!(Cause::Event(Event::Delete).is_for_the_rule_to_decide());
        for cause in [Cause::Unexpected(String::new()), Cause::Reserved, Cause::TooManyNestedTags] {
            assert!(!cause.is_for_the_rule_to_decide());
        }
    }
}
