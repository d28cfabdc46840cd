//! Who pushes, and whether that is enough: by the signature of a push certificate, or by the word of the
//! forge for which the hook was installed.

use std::fmt;

use super::{
    Account, Cause, CertificateFault, Demands, Evidence, ForgeContext, Lapse, NamedIdentity, Policy, Receipt,
    Rule, Signers, Wanted, WayFault, Window, vouching::refuse_expired, window::Times,
};
use crate::{verify::Verdict, words::escape};

/// What is known of who pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pushing {
    /// Nobody does: what stands in a repository is looked at.
    #[default]
    Nobody,
    /// Somebody is about to, from here.
    Planned {
        /// Whether the push will be signed, where that is known.
        is_signed: Option<bool>,
    },
    /// Somebody has, and git asks whether that may be.
    Received(ReceivedPush),
}

/// A push that has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceivedPush {
    /// What its certificate's signature comes to, if it has one and the certificate is for this very push.
    pub certificate: Option<Result<Evidence, CertificateFault>>,
    /// What the forge says.
    pub forge: Option<ForgeContext>,
}

/// An account of a forge that counts as an identity, as a pusher alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgeUser {
    /// The name of the forge.
    pub forge: String,
    /// The account there.
    pub account: Account,
    /// When it counts.
    pub window: Window,
}

/// What a rule asks of who pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PusherDemand {
    /// One of these, by their names in the policy; without it anybody whom the policy names.
    pub pushers: Option<Wanted>,
    /// Whether the forge's word is not enough.
    pub needs_certificate: bool,
}

/// Why somebody may not push. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PusherFault {
    /// The certificate does not vouch for this push.
    Certificate(CertificateFault),
    /// The forge's account stands for nobody in the policy.
    ForgeUserNotInThePolicy(Box<ForgeContext>),
    /// The forge's account stands for somebody who may not push here.
    ForgeUserNotInTheRule {
        /// The account.
        context: Box<ForgeContext>,
        /// The policy's name for it.
        name: String,
        /// Who may.
        wanted: Wanted,
    },
    /// The forge's account does not count now.
    ForgeUserLapsed {
        /// The account.
        context: Box<ForgeContext>,
        /// Why not.
        lapse: Lapse,
    },
    /// The rule wants a certificate, and there is none.
    NoCertificate {
        /// Who may push.
        wanted: Option<Wanted>,
    },
    /// The signature of the certificate is not that of somebody who may push.
    Signer(Box<Cause>),
    /// Nothing says who pushes.
    Unknown {
        /// Who may.
        wanted: Option<Wanted>,
    },
    /// It may not come by the way by which it came.
    Way(WayFault),
}

impl PusherDemand {
    /// Whether anything is asked.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.needs_certificate || self.pushers.is_some()
    }
}

impl Pushing {
    /// The certificate of a push that has come.
    pub(super) fn certificate(&self) -> Option<&Result<Evidence, CertificateFault>> {
        match self {
            Self::Received(push) => push.certificate.as_ref(),
            Self::Nobody | Self::Planned { .. } => None,
        }
    }

    /// What refuses a push whatever the rules ask: a certificate that contradicts it or itself.
    #[must_use]
    pub fn contradiction(&self) -> Option<PusherFault> {
        match self.certificate()? {
            Err(fault) if fault.is_contradiction() => Some(PusherFault::Certificate(fault.clone())),
            Ok(Evidence::Signed(Verdict::Bad(bad))) => Some(PusherFault::Signer(Box::new(Cause::Bad(*bad)))),
            Ok(_) | Err(_) => None,
        }
    }
}

impl Policy {
    /// Whether who pushes may, by `rule`, and by the way by which the push came.
    ///
    /// # Errors
    /// Why not.
    pub fn judge_pusher(&self, rule: &Rule, pushing: &Pushing, now: i64) -> Result<(), PusherFault> {
        self.judge_who(rule, pushing, now)?;
        match pushing {
            Pushing::Received(push) => rule.way.judge(push.forge.as_ref()).map_err(PusherFault::Way),
            Pushing::Planned { .. } => rule.way.judge_planned().map_err(PusherFault::Way),
            Pushing::Nobody => Ok(()),
        }
    }

    fn judge_who(&self, rule: &Rule, pushing: &Pushing, now: i64) -> Result<(), PusherFault> {
        let demand = &rule.pusher;
        if !demand.asks() {
            return Ok(());
        }
        let push = match pushing {
            Pushing::Nobody | Pushing::Planned { is_signed: None | Some(true) } => return Ok(()),
            Pushing::Planned { is_signed: Some(false) } if !demand.needs_certificate => return Ok(()),
            Pushing::Planned { .. } => {
                return Err(PusherFault::NoCertificate { wanted: demand.pushers.clone() });
            }
            Pushing::Received(push) => push,
        };
        let wanted = || demand.pushers.clone();
        match (&push.certificate, &push.forge) {
            // What a certificate says goes before the word of the forge, also where it is bad.
            (Some(Err(fault)), _) => Err(PusherFault::Certificate(fault.clone())),
            (Some(Ok(evidence)), _) => {
                let names = wanted().unwrap_or_else(|| self.everybody());
                present(evidence).map_err(|cause| PusherFault::Signer(Box::new(cause)))?;
                self.judge(&Signers::Named(names), &rule.demands, evidence, &Receipt::without_anchors(now))
                    .map_err(|cause| PusherFault::Signer(Box::new(cause)))
            }
            (None, _) if demand.needs_certificate => Err(PusherFault::NoCertificate { wanted: wanted() }),
            (None, Some(context)) if context.accounts().next().is_some() => {
                self.judge_account(demand, context, now)
            }
            (None, _) => Err(PusherFault::Unknown { wanted: wanted() }),
        }
    }

    /// The policy's names for whoever signed the certificate of this push; none if it has no certificate or
    /// not a good one. Several are still one person: one certificate may be for several principals.
    /// Whether that is enough for anything is for each rule to say.
    #[must_use]
    pub fn certified_pushers(&self, pushing: &Pushing, now: i64) -> Vec<&str> {
        let Some(Ok(evidence)) = pushing.certificate() else { return Vec::new() };
        if present(evidence).is_err() {
            return Vec::new();
        }
        let receipt = Receipt::without_anchors(now);
        let counts = |name: &&str| {
            let signers = Signers::Named(std::iter::once(*name).collect());
            self.judge(&signers, &Demands::default(), evidence, &receipt).is_ok()
        };
        self.identities.iter().map(|identity| identity.name.as_str()).filter(counts).collect()
    }

    fn judge_account(
        &self,
        demand: &PusherDemand,
        context: &ForgeContext,
        now: i64,
    ) -> Result<(), PusherFault> {
        let boxed = || Box::new(context.clone());
        let (identity, user) =
            self.account(context).ok_or_else(|| PusherFault::ForgeUserNotInThePolicy(boxed()))?;
        user.window
            .admit(Times::Proven(&[]), &Receipt::without_anchors(now))
            .map_err(|lapse| PusherFault::ForgeUserLapsed { context: boxed(), lapse })?;
        match &demand.pushers {
            Some(wanted) if !wanted.contains(&identity.name) => Err(PusherFault::ForgeUserNotInTheRule {
                context: boxed(),
                name: identity.name.clone(),
                wanted: wanted.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// The identity that an account stands for; its number goes before its name, which may be given away.
    fn account(&self, context: &ForgeContext) -> Option<(&NamedIdentity, &ForgeUser)> {
        context.accounts().find_map(|account| {
            self.identities.iter().find_map(|identity| {
                let is_it = |user: &&ForgeUser| user.forge == context.forge.name && user.account == account;
                identity.forge_users.iter().find(is_it).map(|user| (identity, user))
            })
        })
    }

    fn everybody(&self) -> Wanted {
        self.identities.iter().map(|identity| identity.name.as_str()).collect()
    }
}

/// Refuse what a key signed that has expired: a push is made now.
fn present(evidence: &Evidence) -> Result<(), Cause> {
    match evidence {
        Evidence::Signed(verdict) => refuse_expired(verdict),
        Evidence::Malformed(_) | Evidence::Unsigned => Ok(()),
    }
}

impl NamedIdentity {
    /// Whether it can sign anything.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        !self.keyless.is_empty() || !self.keys.is_empty()
    }

    /// Whether the forge of this name has an account that counts as it.
    #[must_use]
    pub fn has_account_at(&self, forge: &str) -> bool {
        self.forge_users.iter().any(|user| user.forge == forge)
    }
}

impl PusherFault {
    /// Whether a rule in warning mode may let it pass.
    #[must_use]
    pub fn is_for_the_rule_to_decide(&self) -> bool {
        match self {
            Self::Certificate(fault) => !fault.is_contradiction(),
            Self::Signer(cause) => !matches!(**cause, Cause::Bad(_)) && cause.is_for_the_rule_to_decide(),
            _ => true,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Certificate(fault) => fault.hint().to_owned(),
            Self::ForgeUserNotInThePolicy(context) => {
                let entry = match (&context.id, &context.user) {
                    (Some(id), _) => format!("id = {}", super::file::quoted(id)),
                    (None, user) => {
                        format!("user = {}", super::file::quoted(user.as_deref().unwrap_or_default()))
                    }
                };
                format!(
                    "have the policy's owner add {{ forge = {}, {entry} }} to 'forge_users' of the account's owner, or push with 'git push --signed'",
                    super::file::quoted(&context.forge.name)
                )
            }
            Self::ForgeUserNotInTheRule { .. } => {
                "have one of them push it, or have the rule changed".to_owned()
            }
            Self::ForgeUserLapsed { .. } => "have the policy's owner look at the account's window".to_owned(),
            Self::NoCertificate { .. } => {
                "push with 'git push --signed'; where git says that the server takes none, ask its administrator to set 'receive.certNonceSeed'"
                    .to_owned()
            }
            Self::Signer(cause) => match &**cause {
                Cause::Unsigned { .. } | Cause::Bad(_) | Cause::CannotTell(_) | Cause::TimeNotProven(_) => {
                    "push again with 'git push --signed', and sign with countersign".to_owned()
                }
                Cause::NotInTheRule { .. } | Cause::KeyNotInTheRule { .. } => {
                    "have one of them push it, or have the rule changed".to_owned()
                }
                cause => cause.hint(),
            },
            Self::Unknown { .. } => {
                "push with 'git push --signed', or to a server whose hook is installed with '--forge'".to_owned()
            }
            Self::Way(fault) => fault.hint(),
        }
    }
}

impl fmt::Display for PusherFault {
    /// Fit for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only = |wanted: &Option<Wanted>| match wanted {
            Some(wanted) => format!("only {wanted} may push"),
            None => "only whom the policy names may push".to_owned(),
        };
        let account = |context: &ForgeContext| escape(&context.to_string());
        match self {
            Self::Certificate(fault) => write!(formatter, "the push certificate does not count: {fault}"),
            Self::ForgeUserNotInThePolicy(context) => {
                write!(formatter, "pushed by {}, whom the policy does not name", account(context))
            }
            Self::ForgeUserNotInTheRule { context, name, wanted } => write!(
                formatter,
                "pushed by {} ('{}'), where only {} may",
                account(context),
                escape(name),
                wanted
            ),
            Self::ForgeUserLapsed { context, lapse } => {
                write!(formatter, "pushed by {}, who {lapse}", account(context))
            }
            Self::NoCertificate { wanted } => {
                write!(formatter, "the push is not signed, where {}, by a push certificate", only(wanted))
            }
            Self::Signer(cause) => write!(formatter, "the push certificate: {cause}"),
            Self::Unknown { wanted } => {
                write!(formatter, "nothing says who pushes, where {}", only(wanted))
            }
            Self::Way(fault) => write!(formatter, "{fault}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Forge, ForgeKind, PolicyError, Way, WebMerge},
        verify::{Bad, CannotTell},
    };

    const NOW: i64 = 1_790_000_000;

    fn parse(identities: &str, rule: &str) -> Result<Policy, PolicyError> {
        Policy::parse(&format!(
            "version = 1\nother_refs = \"refuse\"\n\
             [identity.alice]\nforge_users = [{{ forge = \"git.example.com\", user = \"alice\" }}]\n\
             {identities}\
             [[rule]]\nname = \"r\"\nrefs = [\"refs/**\"]\ncommits = \"unsigned\"\n{rule}\n"
        ))
    }

    fn context(name: &str, id: Option<&str>, user: Option<&str>) -> ForgeContext {
        ForgeContext {
            forge: Forge { kind: ForgeKind::GitLab, name: name.to_owned() },
            user: user.map(str::to_owned),
            id: id.map(str::to_owned),
            way: Way::Ssh,
            merge: WebMerge::No,
            repository: None,
        }
    }

    fn received(
        certificate: Option<Result<Evidence, CertificateFault>>,
        forge: Option<ForgeContext>,
    ) -> Pushing {
        Pushing::Received(ReceivedPush { certificate, forge })
    }

    fn judge(policy: &Policy, pushing: &Pushing) -> Result<(), PusherFault> {
        policy.judge_pusher(&policy.rules()[0], pushing, NOW)
    }

    #[test]
    fn a_rule_that_asks_nothing_takes_every_pusher() {
        let policy = parse("", "").unwrap();
        for pushing in [
            Pushing::Nobody,
            Pushing::Planned { is_signed: Some(false) },
            received(None, None),
            received(Some(Ok(Evidence::Unsigned)), None),
            received(Some(Err(CertificateFault::Replayed)), None),
        ] {
            assert_eq!(judge(&policy, &pushing), Ok(()), "{pushing:?}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_whatever_is_asked() {
        let bad = received(Some(Ok(Evidence::Signed(Verdict::Bad(Bad::Signature)))), None);
        for pushing in [bad, received(Some(Err(CertificateFault::Command(1))), None)] {
            let fault = pushing.contradiction().unwrap();
            assert!(!fault.is_for_the_rule_to_decide());
        }
        for pushing in [
            received(None, None),
            received(Some(Err(CertificateFault::Replayed)), None),
            received(Some(Ok(Evidence::Signed(Verdict::CannotTell(CannotTell::UnknownAuthority)))), None),
        ] {
            assert_eq!(pushing.contradiction(), None, "{pushing:?}");
        }
    }

    #[test]
    fn the_forges_word_counts_for_the_accounts_of_the_policy() {
        let bob = "[identity.bob]\nforge_users = [{ forge = \"git.example.com\", id = \"user-7\" }]\n";
        let policy = parse(bob, "pushers = [\"alice\"]").unwrap();
        let by = |name, id, user| judge(&policy, &received(None, Some(context(name, id, user))));
        assert_eq!(by("git.example.com", None, Some("alice")), Ok(()));
        assert_eq!(by("git.example.com", Some("user-1"), Some("alice")), Ok(()));
        let bobs = by("git.example.com", Some("user-7"), Some("alice")).unwrap_err();
        assert!(
            matches!(&bobs, PusherFault::ForgeUserNotInTheRule { name, .. } if name == "bob"),
            "the number says whose it is: {bobs:?}"
        );
        for (forge, user) in [("git.example.com", "Alice"), ("git.example.com", "eve"), ("other", "alice")] {
            let refused = by(forge, None, Some(user)).unwrap_err();
            assert!(matches!(refused, PusherFault::ForgeUserNotInThePolicy(_)), "{user}");
        }
        let nobody = by("git.example.com", None, None).unwrap_err();
        assert_eq!(nobody, PusherFault::Unknown { wanted: Some(["alice"].into_iter().collect()) });
        assert_eq!(judge(&policy, &received(None, None)), Err(nobody));
    }

    #[test]
    fn an_account_counts_for_its_time() {
        let policy = |more: &str| {
            let user = format!("{{ forge = \"f\", user = \"bob\"{more} }}");
            parse(&format!("[identity.bob]\nforge_users = [{user}]\n"), "pushers = [\"bob\"]").unwrap()
        };
        let pushing = received(None, Some(context("f", None, Some("bob"))));
        assert_eq!(judge(&policy(""), &pushing), Ok(()));
        assert_eq!(judge(&policy(", until = 2030-01-01T00:00:00Z"), &pushing), Ok(()));
        for over in ["until", "compromised"] {
            let policy = policy(&format!(", {over} = 2026-01-01T00:00:00Z"));
            assert!(matches!(judge(&policy, &pushing), Err(PusherFault::ForgeUserLapsed { .. })), "{over}");
        }
        let retired = "[identity.bob]\nretired = 2026-01-01T00:00:00Z\n\
                       forge_users = [{ forge = \"f\", user = \"bob\" }]\n";
        let policy = parse(retired, "pushers = [\"bob\"]").unwrap();
        assert!(matches!(judge(&policy, &pushing), Err(PusherFault::ForgeUserLapsed { .. })));
    }

    #[test]
    fn a_certificate_goes_before_the_forges_word() {
        let forge = || Some(context("git.example.com", None, Some("alice")));
        let asked = parse("", "pushers = [\"alice\"]").unwrap();
        let replayed = received(Some(Err(CertificateFault::Replayed)), forge());
        assert_eq!(judge(&asked, &replayed), Err(PusherFault::Certificate(CertificateFault::Replayed)));
        let unknown = Evidence::Signed(Verdict::CannotTell(CannotTell::UnknownAuthority));
        assert!(matches!(judge(&asked, &received(Some(Ok(unknown)), forge())), Err(PusherFault::Signer(_))));
        let required = parse("", "push_certificate = \"require\"").unwrap();
        let refused = judge(&required, &received(None, forge())).unwrap_err();
        assert_eq!(refused, PusherFault::NoCertificate { wanted: None });
        for (pushing, is_refused) in [
            (Pushing::Nobody, false),
            (Pushing::Planned { is_signed: None }, false),
            (Pushing::Planned { is_signed: Some(true) }, false),
            (Pushing::Planned { is_signed: Some(false) }, true),
        ] {
            assert_eq!(judge(&required, &pushing).is_err(), is_refused, "{pushing:?}");
            assert_eq!(judge(&asked, &pushing), Ok(()), "the forge may say who it is");
        }
    }

    #[test]
    fn accounts_and_pushers_that_cannot_be_meant_are_refused() {
        let users =
            |users: &str| parse(&format!("[identity.bob]\nforge_users = [{users}]\n"), "").unwrap_err();
        assert!(matches!(users("{ forge = \"f\" }"), PolicyError::ForgeAccount { .. }));
        assert!(matches!(
            users("{ forge = \"f\", user = \"a\", id = \"1\" }"),
            PolicyError::ForgeAccount { .. }
        ));
        assert!(matches!(users("{ forge = \"f\", user = \"*\" }"), PolicyError::SignerPattern(_)));
        assert!(matches!(users("{ forge = \"\", user = \"a\" }"), PolicyError::Name(_)));
        assert!(matches!(users("{ forge = \"f\", user = \"a\\u202e\" }"), PolicyError::Name(_)));
        assert!(matches!(
            users("{ forge = \"f\", usr = \"a\" }"),
            PolicyError::UnknownKey { suggestion: Some(key), .. } if key == "user"
        ));
        assert!(matches!(
            users("{ forge = \"git.example.com\", user = \"alice\" }"),
            PolicyError::DuplicateSigner { .. }
        ));
        let rule = |line: &str| parse("", line).unwrap_err();
        assert!(matches!(rule("pushers = []"), PolicyError::Empty { key: "pushers", .. }));
        assert!(matches!(
            rule("pushers = [\"alcie\"]"),
            PolicyError::UnknownIdentity { suggestion: Some(name), .. } if name == "alice"
        ));
        assert!(matches!(rule("pushers = \"unsigned\""), PolicyError::Syntax { .. }));
        assert!(matches!(rule("push_certificate = \"maybe\""), PolicyError::Syntax { .. }));
    }

    #[test]
    fn what_a_forge_can_never_give_is_said() {
        use super::super::Finding;
        let findings = |rule: &str, kind, name: &str| {
            parse("", rule).unwrap().check_for(&Forge { kind, name: name.to_owned() })
        };
        let required = "push_certificate = \"require\"";
        let named = "pushers = [\"alice\"]";
        for kind in [ForgeKind::GitLab, ForgeKind::GitHub, ForgeKind::Bitbucket] {
            let found = findings(required, kind, "git.example.com");
            assert!(matches!(&found[..], [Finding::CertificateNeverThere { .. }]), "{found:?}");
            assert_eq!(findings(named, kind, "git.example.com"), []);
            let found = findings(named, kind, "elsewhere");
            assert!(matches!(&found[..], [Finding::NoPusherAtForge { .. }]), "{found:?}");
            assert_eq!(findings("", kind, "elsewhere"), []);
        }
        assert_eq!(findings(required, ForgeKind::Gitolite, "x"), []);
    }

    #[test]
    fn words_deceive_no_terminal() {
        let context = context("f", None, Some("eve\u{1b}[2J\" }"));
        let fault = PusherFault::ForgeUserNotInThePolicy(Box::new(context));
        assert_eq!(fault.to_string(), "pushed by 'eve\\u{1b}[2J\" }' at 'f', whom the policy does not name");
        assert!(
            fault.hint().contains(r#"{ forge = "f", user = "eve\U0000001b[2J\" }" }"#),
            "{}",
            fault.hint()
        );
    }
}
