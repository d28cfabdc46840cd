//! Which part of the policy decides about a ref.

use super::{OtherRefs, Pattern, Policy, RESERVED_NAMESPACES, Rule, is_ledger};
use crate::object::APPROVALS;

/// Which part of the policy decides about a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governing<'a> {
    /// Nothing names it, and what no rule names is accepted.
    Accepted,
    /// Nothing names it, and what no rule names is refused.
    Refused,
    /// It lies in one of [`RESERVED_NAMESPACES`] and no rule names that namespace, or it is the [`LEDGER`].
    Reserved,
    /// The first rule in the file's order that matches.
    Rule(&'a Rule),
}

impl Policy {
    /// What decides about the ref with this full name.
    #[must_use]
    pub fn governing(&self, reference: &[u8]) -> Governing<'_> {
        match self.deciding(reference) {
            Some((rule, _)) => Governing::Rule(rule),
            None if is_ledger(reference) || namespace(reference).is_some() => Governing::Reserved,
            None if self.other_refs == OtherRefs::Accept => Governing::Accepted,
            None => Governing::Refused,
        }
    }

    /// The rule that decides about a ref, if one does, and the first of its patterns that says so.
    #[must_use]
    pub fn deciding(&self, reference: &[u8]) -> Option<(&Rule, &Pattern)> {
        if is_ledger(reference) {
            return None;
        }
        let namespace = namespace(reference);
        let counts = |pattern: &&Pattern| {
            namespace.is_none_or(|namespace| pattern.as_str().starts_with(namespace))
                && pattern.matches(reference)
        };
        self.rules.iter().find_map(|rule| Some((rule, rule.patterns.iter().find(counts)?)))
    }

    /// The rule that decides about a ref, if one does.
    #[must_use]
    pub fn rule_for(&self, reference: &[u8]) -> Option<&Rule> {
        self.deciding(reference).map(|(rule, _)| rule)
    }

    /// Whether the same part of the policy decides about a ref where names are told apart only by how `fold`
    /// spells them.
    #[must_use]
    pub fn governs_folded(&self, reference: &[u8], fold: &dyn Fn(&[u8]) -> Vec<u8>) -> bool {
        if is_ledger(reference) {
            return true;
        }
        let name = fold(reference);
        // Lower case already: such a name is reserved however it is spelt.
        let namespace = namespace(&name);
        if namespace != self::namespace(reference) {
            return false;
        }
        // Refs of ours are judged by their names besides.
        if namespace.is_some_and(|namespace| APPROVALS.starts_with(namespace)) && name != reference {
            return false;
        }
        let counts = |pattern: &Pattern| {
            let text = fold(pattern.as_str().as_bytes());
            let parsed = std::str::from_utf8(&text).ok().and_then(|text| Pattern::parse(text).ok());
            namespace.is_none_or(|namespace| text.starts_with(namespace.as_bytes()))
                && parsed.is_some_and(|pattern| pattern.matches(&name))
        };
        let folded = self.rules.iter().find(|rule| rule.patterns.iter().any(counts));
        self.rule_for(reference).map(|rule| &rule.name) == folded.map(|rule| &rule.name)
    }
}

/// Whether `earlier` decides about every ref about which `later` would.
pub(super) fn goes_before(earlier: &Pattern, later: &Pattern) -> bool {
    let text = later.as_str();
    let namespace = RESERVED_NAMESPACES.into_iter().find(|namespace| text.starts_with(namespace));
    earlier.covers(later) && namespace.is_none_or(|namespace| earlier.as_str().starts_with(namespace))
}

/// The reserved namespace in which a ref lies, or whose place it would take, so that nothing could lie there.
fn namespace(reference: &[u8]) -> Option<&'static str> {
    let lies_in = |namespace: &&str| {
        let (name, folder) = (reference, namespace.as_bytes());
        name.starts_with(folder) || Some(name) == folder.strip_suffix(b"/")
    };
    RESERVED_NAMESPACES.into_iter().find(lies_in)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::POLICY;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = Policy::parse(POLICY).unwrap();
        let name = |reference: &str| policy.rule_for(reference.as_bytes()).map(|rule| rule.name.as_str());
        assert_eq!(name("refs/heads/main"), Some("main"));
        assert_eq!(name("refs/heads/release/1"), Some("main"));
        assert_eq!(name("refs/heads/release/1/2"), Some("rest"));
        assert_eq!(policy.rule_for(b"refs/heads/\xff\xfe").unwrap().name, "rest", "names are bytes");
    }

    #[test]
    fn reserved_namespaces_need_to_be_named() {
        let policy = Policy::parse(POLICY).unwrap();
        assert_eq!(policy.rule_for(b"refs/notes/review").unwrap().name, "notes");
        assert_eq!(policy.governing(b"refs/notes/commits"), Governing::Reserved);
        for reference in ["refs/replace/1234", "refs/countersign/log", "refs/notes/x"] {
            assert_eq!(policy.governing(reference.as_bytes()), Governing::Reserved, "{reference}");
        }
        let open = Policy::parse("version = 1\nother_refs = \"accept\"\n").unwrap();
        assert_eq!(open.governing(b"refs/replace/1"), Governing::Reserved);
        let all = Policy::parse("version = 1\nother_refs = \"refuse\"\n[[rule]]\nname = \"all\"\nrefs = [\"refs/countersign/**\"]\ncommits = \"unsigned\"\n").unwrap();
        for ledger in ["refs/countersign/ledger", "refs/countersign/LEDGER", "refs/countersign/ledger/a"] {
            assert_eq!(all.governing(ledger.as_bytes()), Governing::Reserved, "{ledger}");
        }
        for other in ["refs/countersign/proofs", "refs/countersign/ledgers", "refs/countersign/l"] {
            assert!(matches!(all.governing(other.as_bytes()), Governing::Rule(_)), "{other}");
        }
        assert_eq!(open.governing(b"refs/heads/x"), Governing::Accepted);
    }

    #[test]
    fn a_ref_in_the_place_of_a_reserved_namespace_is_refused() {
        for other_refs in ["accept", "refuse"] {
            let policy = Policy::parse(&format!(
                "version = 1\nother_refs = \"{other_refs}\"\n[[rule]]\nname = \"all\"\n\
                 refs = [\"refs/**\", \"refs/countersign/**\"]\ncommits = \"unsigned\"\n"
            ))
            .unwrap();
            for reference in ["refs/countersign", "refs/notes", "refs/replace"] {
                assert_eq!(policy.governing(reference.as_bytes()), Governing::Reserved, "{reference}");
            }
            assert!(matches!(policy.governing(b"refs/countersign2"), Governing::Rule(_)));
        }
    }

    #[test]
    fn the_pattern_that_decides_is_the_first_that_counts_there() {
        let policy = Policy::parse(
            "version = 1\nother_refs = \"refuse\"\n[[rule]]\nname = \"all\"\n\
             refs = [\"refs/**\", \"refs/notes/*\", \"refs/notes/a\"]\ncommits = \"unsigned\"\n",
        )
        .unwrap();
        let pattern = |name: &str| policy.deciding(name.as_bytes()).map(|(_, pattern)| pattern.as_str());
        assert_eq!(pattern("refs/notes/a"), Some("refs/notes/*"));
        assert_eq!(pattern("refs/heads/a"), Some("refs/**"));
        assert_eq!(pattern("refs/replace/a"), None);
    }

    #[test]
    fn where_spellings_are_one_each_has_to_be_decided_about_alike() {
        let policy = Policy::parse(
            "version = 1\nother_refs = \"refuse\"\n[identity.a]\n\
             openpgp = [\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]\n\
             [[rule]]\nname = \"strict\"\nrefs = [\"refs/heads/main\", \"refs/notes/build\"]\ncommits = [\"a\"]\n\
             [[rule]]\nname = \"loose\"\nrefs = [\"refs/heads/*\", \"refs/notes/*\", \"refs/countersign/*\"]\n\
             commits = \"unsigned\"\n",
        )
        .unwrap();
        let fold = |name: &[u8]| name.to_ascii_lowercase();
        for (name, expected) in [
            ("refs/heads/main", true),
            ("refs/heads/Main", false),
            ("refs/heads/Topic", true),
            ("refs/notes/build", true),
            ("refs/notes/Build", false),
            ("refs/notes/Other", true),
            ("refs/Notes/build", false),
            ("refs/Notes", false),
            ("refs/countersign/approvals", true),
            ("refs/countersign/Approvals", false),
            ("refs/Countersign/approvals", false),
            // It is refused for what it is.
            ("refs/countersign/ledger", true),
            ("refs/countersign/LEDGER", true),
        ] {
            assert_eq!(policy.governs_folded(name.as_bytes(), &fold), expected, "{name}");
        }
    }
}
