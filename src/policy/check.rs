//! What is allowed in a policy file and probably not meant.

use std::fmt;

use super::{Permission, Policy, Rule, Signers};

/// Something that a policy's owner should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The base never counts: its own rule decides otherwise about commits.
    BaseOfAnotherRule {
        /// The rule that names it.
        rule: String,
        /// The base.
        base: String,
    },
    /// A key that a forge signs with for whoever is logged in stands for a person.
    ForgeKey {
        /// The identity.
        identity: String,
        /// The user id of its certificate.
        user_id: String,
    },
    /// The rule governs tags and does not say who may sign them.
    NoTagSigners {
        /// The rule.
        rule: String,
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
    /// No rule names the identity.
    UnusedIdentity {
        /// Its name.
        identity: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseOfAnotherRule { rule, base } => write!(
                formatter,
                "the base '{base}' of rule '{rule}' never counts: another commit rule, or none that is enforced, decides about it"
            ),
            Self::ForgeKey { identity, user_id } => write!(
                formatter,
                "identity '{identity}' has the key of '{}', with which a forge signs for whoever is logged in: it stands for no person",
                crate::words::escape(user_id)
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
            Self::UnusedIdentity { identity } => {
                write!(formatter, "no rule names the identity '{identity}'")
            }
        }
    }
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
            if rule.time_not_proven == Permission::Allow {
                findings.push(Finding::TimeNotProven { rule: rule.name.clone() });
            }
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
            let names = |signers: &Signers| matches!(signers, Signers::Named(names) if names.contains(&identity.name));
            if !self.rules.iter().any(|rule| names(&rule.commits) || rule.tags.as_ref().is_some_and(names)) {
                findings.push(Finding::UnusedIdentity { identity: identity.name.clone() });
            }
        }
        findings.extend(self.openpgp.forge_keys().cloned());
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
}
