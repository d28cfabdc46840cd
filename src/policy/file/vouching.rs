//! What a `[[rule]]` says of persons and forges: `threshold`, `approvers`, `forge_merges`, `trust_forge`.

use super::{
    PolicyError, group,
    rule::{RuleText, SignersText, signers},
    spelling::nearest,
};
use crate::{
    policy::{Permission, Signers, Vouching, signer::Directory},
    words::escape,
};

/// What the table says; it has no use for these keys any more afterwards. `has_repository` is whether the
/// policy says which repository it is for.
pub(super) fn vouching(
    text: &mut RuleText,
    names: &group::Directory<'_>,
    directory: &Directory,
    has_repository: bool,
) -> Result<Vouching, PolicyError> {
    let rule = text.name.clone();
    let approvers = match text.approvers.take() {
        None => None,
        Some(written) => match signers(&rule, "approvers", SignersText::Names(written), names)? {
            Signers::Named(wanted) => Some(wanted),
            Signers::Unsigned => None,
        },
    };
    let threshold = match text.threshold.take() {
        None => None,
        Some(0) => return Err(PolicyError::Threshold { rule }),
        Some(number) => {
            Some(usize::try_from(number).map_err(|_| PolicyError::Threshold { rule: rule.clone() })?)
        }
    };
    if matches!(text.commits, SignersText::Word(_)) {
        match (threshold, &approvers) {
            (Some(_), None) => return Err(PolicyError::NoApprovers { rule }),
            // A forge's commits are those that a signature says so of.
            (None, Some(_)) => return Err(PolicyError::NothingToApprove { rule }),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let of_forges = [
            ("forge_merges", text.forge_merges == Permission::Allow),
            ("trust_forge", text.trust_forge.is_some()),
        ];
        if let Some((key, _)) = of_forges.into_iter().find(|(_, is_said)| *is_said) {
            return Err(PolicyError::Contradiction { rule, keys: [key, "commits"] });
        }
    }
    let forges = directory.forge_names();
    let trusted_forges = text.trust_forge.take();
    if trusted_forges.as_ref().is_some_and(Vec::is_empty) {
        return Err(PolicyError::Empty { key: "trust_forge", place: format!("rule '{rule}'") });
    }
    let trusted_forges = trusted_forges.unwrap_or_default();
    if let Some(name) = trusted_forges.iter().find(|name| !forges.contains(name.as_str())) {
        let suggestion = nearest(name, forges.iter().copied());
        return Err(PolicyError::UnknownForge { rule, name: escape(name), suggestion });
    }
    let vouching = Vouching { threshold, approvers, forge_merges: text.forge_merges, trusted_forges };
    if vouching.hears_approvals() && !has_repository {
        return Err(PolicyError::NoRepository { rule });
    }
    Ok(vouching)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        object::APPROVALS,
        policy::{Finding, Permission, Policy},
    };

    fn forge_key() -> String {
        "A".repeat(40)
    }

    fn parse(lines: &str) -> Result<Policy, PolicyError> {
        Policy::parse(&text(lines))
    }

    /// A policy with Alice, Bob and a build, one forge, and a rule with `lines`.
    fn text(lines: &str) -> String {
        let person = |name: &str| {
            format!(
                "[identity.{name}]\nkeyless = [{{ instance = \"public-good\", issuer = \"i\", kind = \"email\", subject = \"{name}@e\" }}]\n"
            )
        };
        format!(
            "version = 1\nrepository = \"example.com/a\"\nother_refs = \"refuse\"\n\
             [[forge]]\nname = \"home\"\nopenpgp = [\"{}\"]\n{}{}\
             [identity.build]\nkeyless = [{{ instance = \"public-good\", issuer = \"i\", kind = \"uri\", subject = \"https://b\" }}]\n\
             [[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\", \"bob\", \"build\"]\n{lines}\n\
             [[rule]]\nname = \"approvals\"\nrefs = [\"{APPROVALS}\"]\ncommits = \"unsigned\"\n",
            forge_key(),
            person("alice"),
            person("bob"),
        )
    }

    #[test]
    fn machines_approve_only_where_they_are_named_for_it() {
        let policy = parse("threshold = 2").unwrap();
        let rule = &policy.rules()[0];
        assert_eq!(policy.approvers(rule), ["alice", "bob"]);
        assert!(policy.counts_as_person(rule, "alice") && !policy.counts_as_person(rule, "build"));
        assert_eq!(policy.check(), []);
        let policy = parse("threshold = 2\napprovers = [\"bob\", \"build\"]").unwrap();
        let rule = &policy.rules()[0];
        assert_eq!(policy.approvers(rule), ["bob", "build"]);
        assert!(["alice", "bob", "build"].iter().all(|name| policy.counts_as_person(rule, name)));
    }

    #[test]
    fn who_is_said_to_be_a_machine_is_one_whatever_its_keys() {
        let with = |lines: &str, machine: &str| {
            let policy = text(lines).replace("[identity.bob]\n", &format!("[identity.bob]\n{machine}"));
            Policy::parse(&policy).unwrap()
        };
        let digest =
            |policy: &Policy| policy.commit_rule_digest(&policy.rules()[0], |_| Some([1; 32])).unwrap();
        let (person, machine) = (with("threshold = 2", ""), with("threshold = 2", "machine = true\n"));
        let rule = &machine.rules()[0];
        assert_eq!(machine.approvers(rule), ["alice"]);
        assert!(!machine.counts_as_person(rule, "bob"));
        assert_ne!(digest(&person), digest(&machine));
        assert_eq!(digest(&person), digest(&with("threshold = 2", "machine = false\n")));
        // Who may approve is the same here, and whose commits count is not.
        let lines = "threshold = 2\napprovers = [\"alice\"]";
        assert_ne!(digest(&with(lines, "")), digest(&with(lines, "machine = true\n")));
        assert_eq!(digest(&with("", "")), digest(&with("", "machine = true\n")));
        let named = with("threshold = 2\napprovers = [\"alice\", \"bob\"]", "machine = true\n");
        assert!(named.counts_as_person(&named.rules()[0], "bob"), "by its own name");
        let strict = text("").replace("[identity.bob]\n", "[identity.bob]\nmachine = \"yes\"\n");
        assert!(matches!(Policy::parse(&strict), Err(PolicyError::Syntax { .. })));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let rule = || "main".to_owned();
        assert_eq!(parse("threshold = 0").unwrap_err(), PolicyError::Threshold { rule: rule() });
        assert!(matches!(parse("threshold = -1"), Err(PolicyError::Syntax { .. })));
        assert!(matches!(parse("approvers = []"), Err(PolicyError::Empty { key: "approvers", .. })));
        assert!(matches!(
            parse("approvers = [\"alcie\"]"),
            Err(PolicyError::UnknownIdentity { suggestion: Some(name), .. }) if name == "alice"
        ));
        assert!(matches!(
            parse("trust_forge = [\"hom\"]"),
            Err(PolicyError::UnknownForge { suggestion: Some(name), .. }) if name == "home"
        ));
        assert!(matches!(parse("trust_forge = []"), Err(PolicyError::Empty { key: "trust_forge", .. })));
        let unsigned = |lines: &str| {
            let head = "version = 1\nother_refs = \"refuse\"\n[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/a\"]\n";
            Policy::parse(&format!("{head}commits = \"unsigned\"\n{lines}")).unwrap_err()
        };
        assert_eq!(unsigned("threshold = 1"), PolicyError::NoApprovers { rule: rule() });
        for (line, key) in
            [("forge_merges = \"allow\"", "forge_merges"), ("trust_forge = [\"github\"]", "trust_forge")]
        {
            let keys = [key, "commits"];
            assert_eq!(unsigned(line), PolicyError::Contradiction { rule: rule(), keys });
        }
        let named =
            "version = 1\nother_refs = \"refuse\"\n[identity.a]\nopenpgp = [{ fingerprint = \"A\" }]\n"
                .replace("\"A\"", &format!("\"{}\"", "A".repeat(40)));
        let lines =
            "[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/a\"]\ncommits = [\"a\"]\nthreshold = 1\n";
        let refused = Policy::parse(&(named + lines)).unwrap_err();
        assert_eq!(refused, PolicyError::NoRepository { rule: rule() });
    }

    #[test]
    fn approvers_who_are_asked_about_nothing_are_refused_and_about_forges_alone_are_told() {
        let approvers = "approvers = [\"bob\"]";
        let alone = Finding::ApproversOfForgesAlone { rule: "main".to_owned() };
        assert_eq!(parse(approvers).unwrap().check(), [alone]);
        assert_eq!(parse(&format!("threshold = 1\n{approvers}")).unwrap().check(), []);
        let unsigned = |lines: &str| {
            let signed = "commits = [\"alice\", \"bob\", \"build\"]";
            Policy::parse(&text(lines).replace(signed, "commits = \"unsigned\""))
        };
        let error = unsigned(approvers).unwrap_err();
        assert_eq!(error, PolicyError::NothingToApprove { rule: "main".to_owned() });
        assert!(error.hint().contains("'threshold'"), "{}", error.hint());
        unsigned(&format!("threshold = 1\n{approvers}")).unwrap();
    }

    #[test]
    fn of_signers_who_may_not_approve_one_counts() {
        let too_high =
            |threshold, persons| Finding::ThresholdTooHigh { rule: "main".to_owned(), threshold, persons };
        let check = |lines: &str| parse(lines).unwrap().check();
        let approver = "approvers = [\"build\"]";
        assert_eq!(check(&format!("threshold = 2\n{approver}")), []);
        assert_eq!(check(&format!("threshold = 3\n{approver}")), [too_high(3, 2)]);
        // Nobody signs a deletion.
        let deletes = format!("threshold = 2\ndelete = \"allow\"\n{approver}");
        let found = Finding::DeletionNeverApproved { rule: "main".to_owned(), threshold: 2, approvers: 1 };
        assert_eq!(check(&deletes), [found]);
    }

    #[test]
    fn whoever_counts_no_longer_is_not_counted_on() {
        let with = |line: &str| {
            let from = ("[identity.bob]\n", format!("[identity.bob]\n{line}\n"));
            Policy::parse(&text("threshold = 2").replace(from.0, &from.1)).unwrap()
        };
        let short = [Finding::ThresholdNotNow { rule: "main".to_owned(), threshold: 2, persons: 1 }];
        let retired = with("retired = 1970-01-01T00:01:40Z");
        let at = |policy: &Policy, now| (policy.approvers_at(&policy.rules()[0], now), policy.check_at(now));
        let (alice, both) = (["alice".to_owned()], ["alice".to_owned(), "bob".to_owned()]);
        assert_eq!(at(&retired, 99), (both.to_vec(), Vec::new()));
        assert_eq!(at(&retired, 100), (alice.to_vec(), short.to_vec()));
        let (who, found) = at(&with("compromised = 1970-01-01T00:01:40Z"), 99);
        assert_eq!(who, alice);
        assert!(found.contains(&short[0]), "{found:?}");
        // An account signs nothing.
        let keyless = "keyless = [{ instance = \"public-good\", issuer = \"i\", kind = \"email\", subject = \"bob@e\" }]";
        let account =
            text("threshold = 2").replace(keyless, "forge_users = [{ forge = \"home\", user = \"bob\" }]");
        let too_high = Finding::ThresholdTooHigh { rule: "main".to_owned(), threshold: 2, persons: 1 };
        let account = Policy::parse(&account).unwrap();
        assert_eq!(account.check(), [too_high]);
        assert_eq!(account.check_at(0), []);
    }

    #[test]
    fn what_is_probably_not_meant_is_found() {
        let policy =
            parse("threshold = 3\ntrust_forge = [\"home\", \"github\"]\nforge_merges = \"allow\"").unwrap();
        assert_eq!(policy.rules()[0].vouching.forge_merges, Permission::Allow);
        let trusted =
            |forge: &str| Finding::TrustedForge { rule: "main".to_owned(), forge: forge.to_owned() };
        assert_eq!(
            policy.check(),
            [
                Finding::ThresholdTooHigh { rule: "main".to_owned(), threshold: 3, persons: 2 },
                trusted("home"),
                trusted("github"),
            ]
        );
    }

    #[test]
    fn every_part_decides_about_commits() {
        let digest = |lines: &str| {
            let policy = parse(lines).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| Some([1; 32])).unwrap()
        };
        let digests: std::collections::BTreeSet<[u8; 32]> = [
            "",
            "threshold = 1",
            "threshold = 2",
            "threshold = 2\napprovers = [\"bob\"]",
            "approvers = [\"bob\"]",
            "approvers = [\"bob\", \"build\"]",
            "forge_merges = \"allow\"",
            "trust_forge = [\"home\"]",
            "trust_forge = [\"github\"]",
        ]
        .map(digest)
        .into();
        assert_eq!(digests.len(), 9);
        // A forge that has changed its key is another one, wherever its word counts.
        let with_key = |lines: &str, key: &str| {
            let text = text(lines).replace(&forge_key(), key);
            assert!(text.contains(key));
            let policy = Policy::parse(&text).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| Some([1; 32])).unwrap()
        };
        let other = "C".repeat(40);
        for lines in
            ["threshold = 2", "approvers = [\"bob\"]", "forge_merges = \"allow\"", "trust_forge = [\"home\"]"]
        {
            assert_ne!(with_key(lines, &other), digest(lines), "{lines}");
        }
        assert_eq!(with_key("", &other), digest(""));
        assert_eq!(digest("forge_merges = \"refuse\""), digest(""));
        assert_eq!(digest("threshold = 2\napprovers = [\"alice\", \"bob\"]"), digest("threshold = 2"));
    }
}
