//! What is allowed in a policy file and probably not meant.

use std::collections::BTreeSet;

use super::{
    Account, Finding, KeySigner, KeylessSigner, NamedIdentity, Pattern, Permission, Policy, Proof, Rule,
    Wanted, WantedName, governing::goes_before,
};
use crate::{
    object::APPROVALS,
    sigstore::{certificate::SubjectKind, claims::Claim},
    verify::Key,
    words::escape,
};

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
                let covers =
                    |earlier: &&Rule| earlier.patterns.iter().any(|other| goes_before(other, pattern));
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
        let (approvers, persons) = self.vouchers(rule, &NamedIdentity::can_sign);
        if let Some(threshold) = rule.vouching.threshold.filter(|threshold| *threshold > persons) {
            findings.push(Finding::ThresholdTooHigh { rule: name(), threshold, persons });
        } else if let Some(threshold) = rule.vouching.threshold.filter(|threshold| *threshold > approvers)
            && rule.permissions.delete == Permission::Allow
        {
            findings.push(Finding::DeletionNeverApproved { rule: name(), threshold, approvers });
        }
        if rule.vouching.approvers.is_some() && rule.vouching.threshold.is_none() {
            findings.push(Finding::ApproversOfForgesAlone { rule: name() });
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

    /// What is no longer, or not yet, as it was probably meant; `now` in seconds since 1970.
    #[must_use]
    pub fn check_at(&self, now: i64) -> Vec<Finding> {
        let mut findings = Vec::new();
        for anchor in self.anchors.iter().filter(|anchor| anchor.received > now) {
            let (object, received) = (anchor.object.to_string(), anchor.received);
            findings.push(Finding::AnchorToCome { object, received });
        }
        for rule in &self.rules {
            let Some(threshold) = rule.vouching.threshold else { continue };
            let (_, ever) = self.vouchers(rule, &NamedIdentity::can_sign);
            let (_, persons) = self.vouchers(rule, &|identity| identity.can_sign_at(now));
            if persons < threshold && threshold <= ever {
                let rule = rule.name.clone();
                findings.push(Finding::ThresholdNotNow { rule, threshold, persons });
            }
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
    fn a_pattern_in_a_reserved_namespace_decides_behind_one_for_everything() {
        let findings = |first: &str, second: &str| {
            let rule = |name: &str, refs: &str| {
                format!("[[rule]]\nname = \"{name}\"\nrefs = [\"{refs}\"]\ncommits = \"unsigned\"\n")
            };
            let rules = rule("one", first) + &rule("two", second);
            Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n{rules}")).unwrap().check()
        };
        for reference in ["refs/notes/build", "refs/countersign/approvals"] {
            assert_eq!(findings("refs/**", reference), [], "{reference}");
        }
        let (rule, by) = ("two".to_owned(), "one".to_owned());
        let pattern = "refs/notes/build".to_owned();
        let found = Finding::UnreachablePattern { rule, pattern, by };
        assert_eq!(findings("refs/notes/*", "refs/notes/build"), [found]);
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
