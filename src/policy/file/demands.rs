//! The keys of `[[rule]]` that say which proofs count.

use super::{PolicyError, group::Directory};
use crate::{
    policy::{Demands, Permission, Proof},
    words::escape,
};

/// What stands in the table.
pub(super) struct DemandsText {
    pub(super) proof: Option<Proof>,
    pub(super) instances: Option<Vec<String>>,
    pub(super) logs: Option<Vec<String>>,
    pub(super) timestamp_authorities: Option<Vec<String>>,
    pub(super) not_logged: Permission,
    pub(super) time_not_proven: Permission,
}

/// The demands of rule `rule` that the table describes.
pub(super) fn demands(
    rule: &str,
    text: DemandsText,
    directory: &Directory<'_>,
) -> Result<Demands, PolicyError> {
    for (key, permission) in [("not_logged", text.not_logged), ("time_not_proven", text.time_not_proven)] {
        if text.proof.is_some() && permission == Permission::Allow {
            return Err(PolicyError::Contradiction { rule: rule.to_owned(), keys: ["proof", key] });
        }
    }
    let list = |key: &'static str, list: Option<Vec<String>>| match list {
        None => Ok(Vec::new()),
        // A list that is there and empty would count nothing, and one that is not there everything.
        Some(list) if list.is_empty() || list.iter().any(String::is_empty) => {
            Err(PolicyError::Empty { key, place: format!("rule '{rule}'") })
        }
        Some(list) => match list.iter().find(|text| text.contains('*')) {
            Some(text) => Err(PolicyError::SignerPattern(escape(text))),
            None => Ok(list),
        },
    };
    let instances = list("instances", text.instances)?;
    for name in &instances {
        directory.find_instance(name).map_err(|suggestion| PolicyError::UnknownRuleInstance {
            rule: rule.to_owned(),
            instance: escape(name),
            suggestion,
        })?;
    }
    Ok(Demands {
        proof: text.proof,
        instances,
        logs: list("logs", text.logs)?,
        timestamp_authorities: list("timestamp_authorities", text.timestamp_authorities)?,
        not_logged: text.not_logged,
        time_not_proven: text.time_not_proven,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Finding, Policy, Role, Whose};

    fn parse(identity: &str, rule: &str) -> Result<Policy, PolicyError> {
        Policy::parse(&format!(
            "version = 1\nother_refs = \"refuse\"\n[identity.a]\nkeyless = [{{ instance = \"public-good\", \
             issuer = \"https://i\", kind = \"email\", subject = \"a@example.com\" }}]\n{identity}\n\
             [[rule]]\nname = \"r\"\nrefs = [\"refs/heads/*\"]\ncommits = [\"a\"]\n{rule}\n"
        ))
    }

    #[test]
    fn every_demand_is_read_and_in_the_digest() {
        let digest = |identity: &str, rule: &str| {
            let policy = parse(identity, rule).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| Some([0; 32])).unwrap()
        };
        let all = [
            "",
            "proof = \"log\"",
            "proof = \"timestamp\"",
            "proof = \"both\"",
            "not_logged = \"allow\"",
            "time_not_proven = \"allow\"",
            "instances = [\"public-good\"]",
            "logs = [\"https://log\"]",
            "logs = [\"https://log\", \"https://other\"]",
            "timestamp_authorities = [\"https://log\"]",
            "committer = \"signer\"",
            "author = \"signer\"",
            "author = \"signer\"\ncommitter = \"signer\"",
        ];
        let digests: std::collections::BTreeSet<_> = all.iter().map(|rule| digest("", rule)).collect();
        assert_eq!(digests.len(), all.len());
        let emails = "emails = [\"b@example.com\"]";
        assert_eq!(digest(emails, ""), digest("", ""), "addresses matter where they are asked for");
        assert_ne!(digest(emails, "committer = \"signer\""), digest("", "committer = \"signer\""));
        let policy = parse("", "proof = \"both\"\nlogs = [\"https://log\"]\nauthor = \"signer\"").unwrap();
        let rule = &policy.rules()[0];
        assert_eq!(
            (rule.demands.proof, &rule.demands.logs[..]),
            (Some(Proof::Both), &["https://log".to_owned()][..])
        );
        assert_eq!(
            (rule.committer, rule.author, rule.own_headers()),
            (Whose::Anyone, Whose::Signer, vec![Role::Author])
        );
    }

    #[test]
    fn what_contradicts_itself_or_means_nothing_is_refused() {
        let refused = |identity: &str, rule: &str| parse(identity, rule).unwrap_err();
        for key in ["not_logged", "time_not_proven"] {
            let error = refused("", &format!("proof = \"log\"\n{key} = \"allow\""));
            assert!(
                matches!(error, PolicyError::Contradiction { keys: ["proof", k], .. } if k == key),
                "{error}"
            );
        }
        for key in ["instances", "logs", "timestamp_authorities"] {
            assert!(
                matches!(refused("", &format!("{key} = []")), PolicyError::Empty { key: k, .. } if k == key)
            );
        }
        assert!(matches!(refused("", "logs = [\"https://*\"]"), PolicyError::SignerPattern(_)));
        assert!(matches!(
            refused("", "instances = [\"public-god\"]"),
            PolicyError::UnknownRuleInstance { suggestion: Some(name), .. } if name == "public-good"
        ));
        assert!(matches!(refused("", "proof = \"none\""), PolicyError::Syntax { .. }));
        assert!(matches!(refused("", "committer = \"alice\""), PolicyError::Syntax { .. }));
        let unsigned =
            "[[rule]]\nname = \"s\"\nrefs = [\"refs/a\"]\ncommits = \"unsigned\"\nauthor = \"signer\"";
        assert!(matches!(
            refused("", unsigned),
            PolicyError::Contradiction { keys: ["author", "commits"], .. }
        ));
        for email in ["", "a", "a@b>", "*@b", "a b@c\\u202e"] {
            let error = refused(&format!("emails = [\"{email}\"]"), "");
            assert!(
                matches!(error, PolicyError::Email { .. } | PolicyError::SignerPattern(_)),
                "{email}: {error}"
            );
        }
    }

    #[test]
    fn what_can_never_be_met_or_asks_for_nothing_is_found() {
        let findings = |identity: &str, rule: &str| parse(identity, rule).unwrap().check();
        let (identity, rule) = ("b".to_owned(), "r".to_owned());
        let b = "[identity.b]\nopenpgp = [\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]";
        let both = |more: &str| {
            format!("[[rule]]\nname = \"first\"\nrefs = [\"refs/x\"]\ncommits = [\"a\", \"b\"]\n{more}")
        };
        assert_eq!(
            findings(b, &both("committer = \"signer\"")),
            [Finding::NoAddress { rule: "first".to_owned(), identity: identity.clone() }]
        );
        let emails = format!("{b}\nemails = [\"b@example.com\"]");
        assert_eq!(findings(&emails, &both("committer = \"signer\"")), []);
        assert_eq!(findings(&emails, &both("")), [Finding::EmailsNotAsked { identity: identity.clone() }]);
        assert_eq!(
            findings(b, &both("proof = \"log\"")),
            [Finding::NothingProven { rule: "first".to_owned(), identity }]
        );
        assert_eq!(findings("", "not_logged = \"allow\""), [Finding::NotLogged { rule }]);
    }
}
