//! What is allowed in a policy file and probably not meant.

use std::{collections::BTreeSet, fmt};

use super::{
    Account, Forge, KeySigner, KeylessSigner, NamedIdentity, Pattern, Permission, Policy, Proof, Rule,
    Wanted, WantedName,
};
use crate::{
    object::APPROVALS,
    sigstore::{certificate::SubjectKind, claims::Claim},
    verify::Key,
    words::{escape, time},
};

/// Something that a policy's owner should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// There are anchors, and no signer to whom they would matter.
    AnchorsWithoutWindow,
    /// The moment of an anchor is still to come.
    AnchorToCome {
        /// The anchor's object.
        object: String,
        /// Its moment, in seconds since 1970.
        received: i64,
    },
    /// Builds of many refs count as one identity.
    AnyRef {
        /// The identity.
        identity: String,
        /// The pattern of refs.
        reference: String,
    },
    /// The base never counts: its own rule decides otherwise about commits.
    BaseOfAnotherRule {
        /// The rule that names it.
        rule: String,
        /// The base.
        base: String,
    },
    /// The rule asks for a push certificate, and the forge's hooks never see one.
    CertificateNeverThere {
        /// The rule.
        rule: String,
        /// Why not, as the forge has it.
        why: &'static str,
    },
    /// Nothing can count as the identity, neither new nor under an anchor, and a rule names it.
    Ended {
        /// The identity.
        identity: String,
        /// The rule.
        rule: String,
    },
    /// A key that a forge signs with for whoever is logged in stands for a person.
    ForgeKey {
        /// The identity.
        identity: String,
        /// The user id of its certificate.
        user_id: String,
    },
    /// The rule lets no tag be replaced, and lets it be deleted and created.
    ReplacedInTwoSteps {
        /// The rule.
        rule: String,
    },
    /// The rule counts a server that no trusted root of the policy knows.
    UnknownServer {
        /// The rule.
        rule: String,
        /// What it is.
        what: &'static str,
        /// Its URL.
        url: String,
    },
    /// The identity has addresses besides, and no rule asks for any.
    EmailsNotAsked {
        /// The identity.
        identity: String,
    },
    /// The rule asks for addresses of the signer, and none of the identity's is known.
    NoAddress {
        /// The rule.
        rule: String,
        /// The identity.
        identity: String,
    },
    /// The rule asks for proof, and the identity has keys of its own alone, which prove nothing.
    NothingProven {
        /// The rule.
        rule: String,
        /// The identity.
        identity: String,
    },
    /// The rule lets signatures count that no log shows.
    NotLogged {
        /// The rule.
        rule: String,
    },
    /// Nobody who may push by the rule has an account at the forge, whose word alone says who pushes there.
    NoPusherAtForge {
        /// The rule.
        rule: String,
        /// The forge.
        forge: String,
    },
    /// Refs may be deleted, and fewer may approve than have to.
    DeletionNeverApproved {
        /// The rule.
        rule: String,
        /// How many persons are wanted.
        threshold: usize,
        /// How many may approve.
        approvers: usize,
    },
    /// The rule hears approvals, and none can be pushed.
    NoRuleForApprovals {
        /// The rule.
        rule: String,
    },
    /// The rule governs tags and does not say who may sign them.
    NoTagSigners {
        /// The rule.
        rule: String,
    },
    /// More persons have to vouch than there are.
    ThresholdTooHigh {
        /// The rule.
        rule: String,
        /// How many are wanted.
        threshold: usize,
        /// How many there are.
        persons: usize,
    },
    /// Whatever the forge's own key signs is accepted.
    TrustedForge {
        /// The rule.
        rule: String,
        /// The forge.
        forge: String,
    },
    /// The rule lets signatures count whose time nothing proves.
    TimeNotProven {
        /// The rule.
        rule: String,
    },
    /// An earlier rule matches all that this pattern matches.
    UnreachablePattern {
        /// The rule.
        rule: String,
        /// Its pattern.
        pattern: String,
        /// The rule that decides instead.
        by: String,
    },
    /// A signer counts no longer, and no anchor is old enough to help what it signed.
    SignerEnded {
        /// The identity.
        identity: String,
        /// The signer, in words.
        signer: String,
        /// Since when, in seconds since 1970.
        since: i64,
    },
    /// No rule names the group, nor a group that a rule names.
    UnusedGroup {
        /// Its name.
        group: String,
    },
    /// No rule names the identity.
    UnusedIdentity {
        /// Its name.
        identity: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnchorsWithoutWindow => {
                write!(formatter, "there are anchors, and no signer counts for a time alone")
            }
            Self::AnchorToCome { object, received } => {
                write!(
                    formatter,
                    "the anchor '{object}' says that it was received at {}, which is to come",
                    time(*received)
                )
            }
            Self::AnyRef { identity, reference } => write!(
                formatter,
                "identity '{identity}' has builds of every ref '{}': whoever may push one of them may sign",
                escape(reference)
            ),
            Self::CertificateNeverThere { rule, why } => write!(
                formatter,
                "rule '{rule}' asks for a push certificate, and can never be met there: {why}"
            ),
            Self::NoPusherAtForge { rule, forge } => write!(
                formatter,
                "nobody who may push by rule '{rule}' has an account at '{}' among 'forge_users'",
                escape(forge)
            ),
            Self::Ended { identity, rule } => write!(
                formatter,
                "rule '{rule}' names the identity '{identity}', of which no signer counts any more, and no anchor is from before"
            ),
            Self::SignerEnded { identity, signer, since } => write!(
                formatter,
                "the signer '{signer}' of identity '{identity}' counts no longer since {}, and no anchor is from before",
                time(*since)
            ),
            Self::BaseOfAnotherRule { rule, base } => write!(
                formatter,
                "the base '{base}' of rule '{rule}' never counts: another commit rule, or none that is enforced, decides about it"
            ),
            Self::ForgeKey { identity, user_id } => write!(
                formatter,
                "identity '{identity}' has the key of '{}', with which a forge signs for whoever is logged in: it stands for no person",
                crate::words::escape(user_id)
            ),
            Self::ReplacedInTwoSteps { rule } => write!(
                formatter,
                "rule '{rule}' lets no tag be replaced, and lets it be deleted and created: that takes two pushes"
            ),
            Self::UnknownServer { rule, what, url } => {
                write!(
                    formatter,
                    "rule '{rule}' counts the {what} '{}', which no trusted root knows",
                    escape(url)
                )
            }
            Self::EmailsNotAsked { identity } => {
                write!(
                    formatter,
                    "identity '{identity}' has 'emails', and no rule that names it asks for them"
                )
            }
            Self::NoAddress { rule, identity } => write!(
                formatter,
                "rule '{rule}' asks for an address of the signer, and identity '{identity}' has none: nothing it signs can be accepted"
            ),
            Self::NothingProven { rule, identity } => write!(
                formatter,
                "rule '{rule}' asks for proof, and identity '{identity}' has only keys that prove no time: nothing it signs can be accepted"
            ),
            Self::NotLogged { rule } => write!(
                formatter,
                "rule '{rule}' allows signatures that are in no log: nobody can notice that they were made in another's name"
            ),
            Self::DeletionNeverApproved { rule, threshold, approvers } => write!(
                formatter,
                "rule '{rule}' allows deletions, of which {threshold} persons have to approve, and {approvers} may: it can never be met"
            ),
            Self::NoRuleForApprovals { rule } => write!(
                formatter,
                "rule '{rule}' hears approvals, and no rule names '{APPROVALS}': nobody can push one"
            ),
            Self::ThresholdTooHigh { rule, threshold, persons } => write!(
                formatter,
                "rule '{rule}' wants {threshold} persons to vouch, and {persons} may: it can never be met"
            ),
            Self::TrustedForge { rule, forge } => write!(
                formatter,
                "rule '{rule}' trusts the forge '{forge}': whoever is logged in there, or has broken into it, may change anything without a signature of their own"
            ),
            Self::NoTagSigners { rule } => {
                write!(formatter, "rule '{rule}' governs tags and does not say who may sign them")
            }
            Self::TimeNotProven { rule } => write!(
                formatter,
                "rule '{rule}' allows signatures whose time nothing proves: whoever has had the key of a certificate, at whatever time, may have made them"
            ),
            Self::UnreachablePattern { rule, pattern, by } => {
                write!(
                    formatter,
                    "the pattern '{pattern}' of rule '{rule}' decides nothing: rule '{by}' comes first"
                )
            }
            Self::UnusedGroup { group } => write!(formatter, "no rule names the group '{group}'"),
            Self::UnusedIdentity { identity } => {
                write!(formatter, "no rule names the identity '{identity}'")
            }
        }
    }
}

/// That tags may not be replaced is in vain where they may be deleted and created.
fn in_two_steps(rule: &Rule) -> Option<Finding> {
    const TAGS: &str = "refs/tags/";
    let is = &rule.permissions;
    let may_be_tag = |pattern: &Pattern| {
        let plain = pattern.as_str().split('*').next().unwrap_or_default();
        TAGS.starts_with(plain) || plain.starts_with(TAGS)
    };
    let is_open = is.delete == Permission::Allow && is.create == Permission::Allow;
    (is_open && is.replace_tags == Permission::Refuse && rule.patterns.iter().any(may_be_tag))
        .then(|| Finding::ReplacedInTwoSteps { rule: rule.name.clone() })
}

fn written(wanted: &Wanted) -> impl Iterator<Item = &str> {
    wanted.written().iter().map(WantedName::name)
}

impl Policy {
    /// Everything about this policy that is probably not meant.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            for pattern in &rule.patterns {
                let covers = |earlier: &&Rule| earlier.patterns.iter().any(|other| other.covers(pattern));
                if let Some(by) = self.rules[..index].iter().find(covers) {
                    findings.push(Finding::UnreachablePattern {
                        rule: rule.name.clone(),
                        pattern: pattern.as_str().to_owned(),
                        by: by.name.clone(),
                    });
                }
            }
            if rule.tags.is_none() && rule.patterns.iter().any(|p| p.as_str().starts_with("refs/tags/")) {
                findings.push(Finding::NoTagSigners { rule: rule.name.clone() });
            }
            findings.extend(self.check_vouching(rule));
            if rule.demands.time_not_proven == Permission::Allow {
                findings.push(Finding::TimeNotProven { rule: rule.name.clone() });
            }
            if rule.demands.not_logged == Permission::Allow || rule.demands.proof == Some(Proof::Timestamp) {
                findings.push(Finding::NotLogged { rule: rule.name.clone() });
            }
            findings.extend(self.never_met(rule));
            findings.extend(in_two_steps(rule));
            // Trusted roots and certificates cannot differ inside one policy, so any digest will do for
            // comparing.
            let digest = |rule: &Rule| self.rule_digest(rule, |_| Some([0; 32]), |_| Some([0; 32]));
            for base in &rule.bases {
                let counts = self
                    .rule_for(base.as_bytes())
                    .is_some_and(|other| other.is_enforced() && digest(other) == digest(rule));
                if !counts {
                    findings.push(Finding::BaseOfAnotherRule { rule: rule.name.clone(), base: base.clone() });
                }
            }
        }
        for identity in &self.identities {
            if !self.rules.iter().any(|rule| rule.names(&identity.name)) {
                findings.push(Finding::UnusedIdentity { identity: identity.name.clone() });
            }
        }
        for identity in self.identities.iter().filter(|identity| !identity.emails.is_empty()) {
            let asks = |rule: &Rule| !rule.own_headers().is_empty() && rule.names(&identity.name);
            if !self.rules.iter().any(asks) {
                findings.push(Finding::EmailsNotAsked { identity: identity.name.clone() });
            }
        }
        for group in self.unused_groups() {
            findings.push(Finding::UnusedGroup { group: group.to_owned() });
        }
        let limited = self.identities.iter().any(super::NamedIdentity::is_limited);
        if !self.anchors.is_empty() && !limited {
            findings.push(Finding::AnchorsWithoutWindow);
        }
        for identity in &self.identities {
            for signer in &identity.keyless {
                if let Some(reference) = signer.claims.get(Claim::Ref).filter(|pattern| !pattern.is_exact()) {
                    let reference = reference.as_str().to_owned();
                    findings.push(Finding::AnyRef { identity: identity.name.clone(), reference });
                }
            }
        }
        findings.extend(self.openpgp.forge_keys().cloned());
        findings
    }

    /// The servers that rules count and that are not among the `logs` and timestamp `authorities`, by their
    /// addresses, that the trusted roots of the policy know.
    #[must_use]
    pub fn check_servers(&self, logs: &BTreeSet<&str>, authorities: &BTreeSet<&str>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for rule in &self.rules {
            let lists = [
                ("log", &rule.demands.logs, logs),
                ("timestamp authority", &rule.demands.timestamp_authorities, authorities),
            ];
            for (what, urls, known) in lists {
                let unknown = urls.iter().filter(|url| !known.contains(url.as_str()));
                findings.extend(unknown.map(|url| {
                    let (rule, url) = (rule.name.clone(), url.clone());
                    Finding::UnknownServer { rule, what, url }
                }));
            }
        }
        findings
    }

    /// For whom the demands of `rule` are more than anything signed could meet.
    fn never_met(&self, rule: &Rule) -> Vec<Finding> {
        let mut findings = Vec::new();
        let of_commits = |name: &str| rule.commits.wanted().is_some_and(|wanted| wanted.contains(name));
        for identity in self.identities.iter().filter(|identity| rule.names(&identity.name)) {
            let certified = |signer: &KeylessSigner| signer.kind == SubjectKind::Email;
            let is_known = identity.keyless.iter().any(certified)
                || identity
                    .keys
                    .iter()
                    .any(|signer| matches!(signer.key, Key::X509 { .. } | Key::X509Certificate { .. }))
                || !identity.emails.is_empty();
            if !rule.own_headers().is_empty() && of_commits(&identity.name) && !is_known {
                findings
                    .push(Finding::NoAddress { rule: rule.name.clone(), identity: identity.name.clone() });
            }
            if rule.demands.proof.is_some() && identity.keyless.is_empty() {
                let (rule, identity) = (rule.name.clone(), identity.name.clone());
                findings.push(Finding::NothingProven { rule, identity });
            }
        }
        findings
    }

    /// What is probably not meant of what a rule says about persons and forges.
    fn check_vouching(&self, rule: &Rule) -> Vec<Finding> {
        let mut findings = Vec::new();
        let name = || rule.name.clone();
        // Whoever has signed an object counts for that one alone, so of those who may not approve one at most.
        let approvers = self.approvers(rule);
        let signs = |identity: &NamedIdentity| {
            !approvers.contains(&identity.name) && self.counts_as_person(rule, &identity.name)
        };
        let persons = approvers.len() + usize::from(self.identities.iter().any(signs));
        if let Some(threshold) = rule.vouching.threshold.filter(|threshold| *threshold > persons) {
            findings.push(Finding::ThresholdTooHigh { rule: name(), threshold, persons });
        } else if let Some(threshold) =
            rule.vouching.threshold.filter(|threshold| *threshold > approvers.len())
            && rule.permissions.delete == Permission::Allow
        {
            let approvers = approvers.len();
            findings.push(Finding::DeletionNeverApproved { rule: name(), threshold, approvers });
        }
        if rule.vouching.hears_approvals() && self.rule_for(APPROVALS.as_bytes()).is_none() {
            findings.push(Finding::NoRuleForApprovals { rule: name() });
        }
        let trusted = rule.vouching.trusted_forges.iter();
        findings.extend(trusted.map(|forge| Finding::TrustedForge { rule: name(), forge: forge.clone() }));
        findings
    }

    /// The groups that stand in no rule, and in no group that does.
    fn unused_groups(&self) -> Vec<&str> {
        let mut used: BTreeSet<&str> = self.rules.iter().flat_map(Rule::wanted).flat_map(written).collect();
        let mut left: Vec<&str> = used.iter().copied().collect();
        while let Some(name) = left.pop() {
            let group = self.groups.iter().find(|group| group.name == name);
            left.extend(
                group
                    .into_iter()
                    .flat_map(|group| &group.members)
                    .map(String::as_str)
                    .filter(|name| used.insert(name)),
            );
        }
        self.groups.iter().map(|group| group.name.as_str()).filter(|name| !used.contains(name)).collect()
    }

    /// What can never be met, or nobody can meet, where a hook is installed for `forge`.
    #[must_use]
    pub fn check_for(&self, forge: &Forge) -> Vec<Finding> {
        let mut findings = Vec::new();
        let impossible = forge.kind.gives_no_certificates();
        for rule in &self.rules {
            let name = rule.name.clone();
            if let Some(why) = impossible.filter(|_| rule.pusher.needs_certificate) {
                findings.push(Finding::CertificateNeverThere { rule: name, why });
                continue;
            }
            let may_push = |identity: &&super::NamedIdentity| {
                rule.pusher.pushers.as_ref().is_none_or(|pushers| pushers.contains(&identity.name))
            };
            let mut pushers = self.identities.iter().filter(may_push);
            if impossible.is_some()
                && rule.pusher.asks()
                && !pushers.any(|identity| identity.has_account_at(&forge.name))
            {
                findings.push(Finding::NoPusherAtForge { rule: name, forge: forge.name.clone() });
            }
        }
        findings
    }

    /// What is no longer, or not yet, as it was probably meant; `now` in seconds since 1970.
    #[must_use]
    pub fn check_at(&self, now: i64) -> Vec<Finding> {
        let mut findings = Vec::new();
        for anchor in self.anchors.iter().filter(|anchor| anchor.received > now) {
            let (object, received) = (anchor.object.to_string(), anchor.received);
            findings.push(Finding::AnchorToCome { object, received });
        }
        for identity in &self.identities {
            let name = &identity.name;
            let keyless = identity
                .keyless
                .iter()
                .map(|signer| (escape(signer.subject.as_str()), signer.window.compromised));
            let keys = identity.keys.iter().map(|KeySigner { key, window }| {
                let ended = window.until.filter(|until| *until <= now);
                (escape(&key.to_string()), ended.into_iter().chain(window.compromised).min())
            });
            let accounts = identity.forge_users.iter().map(|user| {
                let (Account::User(written) | Account::Id(written)) = &user.account;
                let ended = user.window.until.filter(|until| *until <= now);
                let words = format!("{} of {}", escape(written), escape(&user.forge));
                (words, ended.into_iter().chain(user.window.compromised).min())
            });
            let signers: Vec<_> = keyless.chain(keys).chain(accounts).collect();
            let is_dead = |since: i64| self.anchors.iter().all(|anchor| anchor.received > since);
            let dead: Vec<_> = (signers.iter())
                .filter_map(|(signer, since)| Some((signer, since.filter(|since| is_dead(*since))?)))
                .collect();
            if dead.len() < signers.len() {
                findings.extend(dead.into_iter().map(|(signer, since)| Finding::SignerEnded {
                    identity: name.clone(),
                    signer: signer.clone(),
                    since,
                }));
                continue;
            }
            let naming = self.rules.iter().filter(|rule| rule.names(name));
            findings.extend(
                naming.map(|rule| Finding::Ended { identity: name.clone(), rule: rule.name.clone() }),
            );
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_probably_not_meant_is_found() {
        let policy = Policy::parse(
            r#"
            version = 1
            other_refs = "refuse"
            [identity.a]
            keyless = [{ instance = "public-good", issuer = "i", kind = "uri", subject = "s" }]
            [identity.b]
            keyless = [{ instance = "public-good", issuer = "i", kind = "uri", subject = "t" }]
            [[rule]]
            name = "all"
            refs = ["refs/heads/**", "refs/tags/*"]
            commits = ["a"]
            [[rule]]
            name = "main"
            refs = ["refs/heads/main", "refs/meta/x"]
            commits = "unsigned"
            time_not_proven = "allow"
            bases = ["refs/heads/main", "refs/meta/x"]
            "#,
        )
        .unwrap();
        let (rule, pattern) = ("main".to_owned(), "refs/heads/main".to_owned());
        assert_eq!(
            policy.check(),
            [
                Finding::NoTagSigners { rule: "all".to_owned() },
                Finding::UnreachablePattern {
                    rule: rule.clone(),
                    pattern: pattern.clone(),
                    by: "all".to_owned()
                },
                Finding::TimeNotProven { rule: rule.clone() },
                Finding::BaseOfAnotherRule { rule, base: pattern },
                Finding::UnusedIdentity { identity: "b".to_owned() },
            ]
        );
    }

    #[test]
    fn what_takes_two_pushes_is_found() {
        let findings = |refs: &str, rule: &str| {
            let text = format!(
                "version = 1\nother_refs = \"refuse\"\n[[rule]]\nname = \"r\"\nrefs = [\"{refs}\"]\n\
                 commits = \"unsigned\"\ntags = \"unsigned\"\n{rule}\n"
            );
            Policy::parse(&text).unwrap().check()
        };
        let both = "create = \"allow\"\ndelete = \"allow\"";
        for refs in ["refs/tags/v*", "refs/**", "refs/tags/v1"] {
            assert_eq!(
                findings(refs, both),
                [Finding::ReplacedInTwoSteps { rule: "r".to_owned() }],
                "{refs}"
            );
        }
        assert_eq!(findings("refs/heads/*", both), []);
        assert_eq!(findings("refs/tags/*", &format!("{both}\nreplace_tags = \"allow\"")), []);
        assert_eq!(findings("refs/tags/*", "create = \"allow\""), []);
        assert_eq!(findings("refs/tags/*", "delete = \"allow\""), []);
    }

    #[test]
    fn what_ended_and_what_is_to_come_is_found() {
        let head = "version = 1\nother_refs = \"refuse\"\n";
        let rule = "[[rule]]\nname = \"r\"\nrefs = [\"refs/a\"]\ncommits = [\"a\"]\n";
        let findings = |text: &str, now| {
            let policy = Policy::parse(&format!("{head}{text}{rule}")).unwrap();
            [policy.check(), policy.check_at(now)].concat()
        };
        let openpgp = |digit: &str, more: &str| format!("{{ fingerprint = \"{}\"{more} }}", digit.repeat(40));
        let until = ", until = 1970-01-01T00:01:40Z";
        let one = format!("[identity.a]\nopenpgp = [{}]\n", openpgp("A", until));
        assert_eq!(findings(&one, 99), []);
        assert_eq!(findings(&one, 100), [Finding::Ended { identity: "a".to_owned(), rule: "r".to_owned() }]);
        let two = format!("[identity.a]\nopenpgp = [{}, {}]\n", openpgp("A", until), openpgp("B", ""));
        let signer = format!("OpenPGP {}", "A".repeat(40));
        let ended = Finding::SignerEnded { identity: "a".to_owned(), signer, since: 100 };
        assert_eq!(findings(&two, 100), std::slice::from_ref(&ended));
        let anchor = |moment: &str| {
            let object = "1".repeat(40);
            format!("[[anchor]]\nobject = \"{object}\"\nreceived = 1970-01-01T00:0{moment}Z\n")
        };
        assert_eq!(findings(&(anchor("1:40") + &two), 100), [], "what it covers still counts");
        assert_eq!(findings(&(anchor("1:41") + &two), 200), [ended]);
        let open = format!("[identity.a]\nopenpgp = [{}]\n", openpgp("A", ""));
        let to_come = Finding::AnchorToCome { object: "1".repeat(40), received: 100 };
        assert_eq!(findings(&(anchor("1:40") + &open), 99), [Finding::AnchorsWithoutWindow, to_come]);
        let any_ref = "[identity.a]\nkeyless = [{ instance = \"public-good\", issuer = \"i\", kind = \"uri\", \
                       subject = \"s\", ref = \"refs/heads/*\" }]\n";
        let reference = "refs/heads/*".to_owned();
        assert_eq!(findings(any_ref, 0), [Finding::AnyRef { identity: "a".to_owned(), reference }]);
    }
}
