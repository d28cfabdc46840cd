//! Who may sign what, and what happens to which ref: text and facts in, decisions out.
//!
//! Responsible for the policy file, its identities, rules and ref patterns, and for the words of a
//! refusal. Pure: it reads no file, clock or environment; trusted roots are only names and digests here.

mod allowed_signers;
mod check;
mod decision;
mod file;
mod limits;
mod openpgp;
mod pattern;
mod proof_fault;

use std::collections::HashMap;

pub use allowed_signers::{AllowedSigners, AllowedSignersError, LineError, parse_time as parse_ssh_time};
pub use check::Finding;
pub use decision::{Cause, Event, Evidence, Refusal, Subject};
pub use file::{PolicyError, is_repository_id, policy_entry};
pub use limits::{LimitError, Limits, SubjectPattern};
use openpgp::OpenPgp;
pub use pattern::{Pattern, PatternError};
pub use proof_fault::ProofFault;

use crate::{
    encoding::sha256,
    object::ObjectId,
    verify::{Identity, Key},
};

/// A first policy file, commented, that parses as it stands.
pub const FIRST_POLICY: &str = include_str!("first_policy.toml");

/// The names of the instances that need no trusted root of their own. The first counts everywhere, the
/// others where they are named.
pub const BUILT_IN: [&str; 2] = [PUBLIC_GOOD, "staging"];

/// The name of the instance that counts without being named.
pub const PUBLIC_GOOD: &str = "public-good";

/// Namespaces whose refs change what other objects mean or hold the gate's own records: a rule
/// governs them only by a pattern that begins with exactly the namespace, whatever else matches.
pub const RESERVED_NAMESPACES: [&str; 3] = ["refs/replace/", "refs/notes/", "refs/countersign/"];

/// Stands in every rule digest: raised when the meaning of a rule changes, so that nothing accepted
/// under the old meaning counts.
const RULE_MEANING: &[u8] = b"countersign commit rule 1";

/// A policy file that was read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    repository: Option<String>,
    serial: Option<u64>,
    instances: Vec<InstanceEntry>,
    other_refs: OtherRefs,
    identities: Vec<NamedIdentity>,
    names: HashMap<Identity, String>,
    key_names: HashMap<Key, String>,
    rules: Vec<Rule>,
    openpgp: OpenPgp,
}

/// A trusted root that the policy counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceEntry {
    /// The name under which identities speak of it.
    pub name: String,
    /// Path of its `trusted_root.json`, relative to the policy file; only an instance that is built in
    /// may go without.
    pub trusted_root: Option<String>,
    /// What it is believed for; every keyless identity of the policy is within it.
    pub limits: Limits,
}

/// A name of the policy's own and the signers that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedIdentity {
    /// The name that rules use.
    pub name: String,
    /// Every keyless identity that counts as it.
    pub keyless: Vec<Identity>,
    /// Every key of its own that counts as it.
    pub keys: Vec<Key>,
}

/// What happens to refs that no rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherRefs {
    /// They may be anything.
    Accept,
    /// Nothing may happen to them.
    Refuse,
}

/// Whether an event may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// It may.
    Allow,
    /// It may not; what is not said is this.
    #[default]
    Refuse,
}

/// What a refusal by a rule leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The push is refused.
    #[default]
    Enforce,
    /// The pusher is warned, and nothing that happens counts as accepted.
    Warn,
}

/// Who has to have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signers {
    /// One of these, by their names in the policy.
    Named(Vec<String>),
    /// Nobody: signatures are not looked at.
    Unsigned,
}

/// What a rule says of each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// A ref that did not exist.
    pub create: Permission,
    /// A ref that goes away.
    pub delete: Permission,
    /// A tag that names a commit itself, without a tag object.
    pub lightweight_tags: Permission,
    /// A tag object whose name is not the ref's.
    pub misnamed_tags: Permission,
    /// A tag object that names a tag object.
    pub nested_tags: Permission,
    /// A tag that already exists and would name something else.
    pub replace_tags: Permission,
    /// A ref whose new value does not descend from the old one.
    pub rewind: Permission,
    /// A tag that leads to a tree or a blob.
    pub tags_of_trees_and_blobs: Permission,
}

/// What holds for the refs that match one of its patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Named in every refusal.
    pub name: String,
    /// Which refs it governs.
    pub patterns: Vec<Pattern>,
    /// Who may sign commits.
    pub commits: Signers,
    /// Who may sign tag objects; without it there may be none.
    pub tags: Option<Signers>,
    /// What may happen.
    pub permissions: Permissions,
    /// Refs from which a new or rewound ref may take its history.
    pub bases: Vec<String>,
    /// Whether a keyless signature counts whose time nothing proves.
    pub time_not_proven: Permission,
    /// History up to this commit is taken as it is.
    pub anchor: Option<ObjectId>,
    /// Whether it refuses or warns.
    pub mode: Mode,
}

/// Which part of the policy decides about a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governing<'a> {
    /// Nothing names it, and what no rule names is accepted.
    Accepted,
    /// Nothing names it, and what no rule names is refused.
    Refused,
    /// It lies in one of [`RESERVED_NAMESPACES`] and no rule names that namespace.
    Reserved,
    /// The first rule in the file's order that matches.
    Rule(&'a Rule),
}

impl Policy {
    /// Read a policy file.
    ///
    /// # Errors
    /// Whatever is unknown, missing or contradictory; nothing is passed over.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        file::parse(text)
    }

    /// The id of the repository that the policy is for, if it says one.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    /// Its number, which grows with every change of a policy that is kept in a ref.
    #[must_use]
    pub fn serial(&self) -> Option<u64> {
        self.serial
    }

    /// The instances that the file names, in its order; public-good is built in and not among them
    /// unless the file gives it a root of its own or limits it.
    #[must_use]
    pub fn instances(&self) -> &[InstanceEntry] {
        &self.instances
    }

    /// What the file says that an instance is believed for.
    #[must_use]
    pub fn limits(&self, instance: &str) -> Option<&Limits> {
        self.instances.iter().find(|entry| entry.name == instance).map(|entry| &entry.limits)
    }

    /// The identities, in the order of their names.
    #[must_use]
    pub fn identities(&self) -> &[NamedIdentity] {
        &self.identities
    }

    /// The rules, in the file's order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What happens to refs that no rule names.
    #[must_use]
    pub fn other_refs(&self) -> OtherRefs {
        self.other_refs
    }

    /// The policy's own name for a proven identity: all four parts have to be equal.
    #[must_use]
    pub fn name_of(&self, identity: &Identity) -> Option<&str> {
        self.names.get(identity).map(String::as_str)
    }

    /// The policy's own name for a key.
    #[must_use]
    pub fn name_of_key(&self, key: &Key) -> Option<&str> {
        self.key_names.get(key).map(String::as_str)
    }

    /// What decides about the ref with this full name.
    #[must_use]
    pub fn governing(&self, reference: &[u8]) -> Governing<'_> {
        let reserved =
            RESERVED_NAMESPACES.iter().find(|namespace| reference.starts_with(namespace.as_bytes()));
        let counts =
            |pattern: &&Pattern| reserved.is_none_or(|namespace| pattern.as_str().starts_with(namespace));
        let matches =
            |rule: &&Rule| rule.patterns.iter().filter(counts).any(|pattern| pattern.matches(reference));
        match (self.rules.iter().find(matches), reserved) {
            (Some(rule), _) => Governing::Rule(rule),
            (None, Some(_)) => Governing::Reserved,
            (None, None) if self.other_refs == OtherRefs::Accept => Governing::Accepted,
            (None, None) => Governing::Refused,
        }
    }

    /// The rule that decides about a ref, if one does.
    #[must_use]
    pub fn rule_for(&self, reference: &[u8]) -> Option<&Rule> {
        match self.governing(reference) {
            Governing::Rule(rule) => Some(rule),
            _ => None,
        }
    }

    /// SHA-256 over everything that decides about the commits of a rule: who may sign, with all that
    /// their names stand for and the trusted roots behind it, the anchor, and whether it is enforced.
    ///
    /// Two rules with the same digest would answer alike about every commit. `root_digest` gives the
    /// digest of an instance's trusted root; `None` if it does not know one that is needed, or if the
    /// certificate of an OpenPGP key has not been given to [`Self::take_openpgp_certificates`].
    #[must_use]
    pub fn commit_rule_digest(
        &self,
        rule: &Rule,
        root_digest: impl Fn(&str) -> Option<[u8; 32]>,
    ) -> Option<[u8; 32]> {
        self.rule_digest(rule, root_digest, |fingerprint| self.openpgp.digest(fingerprint))
    }

    fn rule_digest(
        &self,
        rule: &Rule,
        root_digest: impl Fn(&str) -> Option<[u8; 32]>,
        certificate_digest: impl Fn(&str) -> Option<[u8; 32]>,
    ) -> Option<[u8; 32]> {
        let mut canonical = Vec::new();
        // Each field behind its length: no two lists of fields have the same bytes.
        let mut field = |bytes: &[u8]| {
            canonical.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            canonical.extend_from_slice(bytes);
        };
        field(RULE_MEANING);
        field(match rule.mode {
            Mode::Enforce => b"enforce",
            Mode::Warn => b"warn",
        });
        field(rule.anchor.as_ref().map_or(&[], |anchor| anchor.as_slice()));
        if rule.time_not_proven == Permission::Allow {
            field(b"time not proven");
        }
        match &rule.commits {
            Signers::Unsigned => field(b"unsigned"),
            Signers::Named(names) => {
                field(b"signed");
                let mut signers: Vec<&Identity> = (self.identities.iter())
                    .filter(|identity| names.contains(&identity.name))
                    .flat_map(|identity| &identity.keyless)
                    .collect();
                signers.sort();
                for signer in signers {
                    field(signer.instance.as_bytes());
                    field(&root_digest(&signer.instance)?);
                    field(&self.canonical_limits(&signer.instance));
                    field(signer.issuer.as_bytes());
                    field(file::kind_name(signer.kind).as_bytes());
                    field(signer.subject.as_bytes());
                }
                let mut keys: Vec<&Key> = (self.identities.iter())
                    .filter(|identity| names.contains(&identity.name))
                    .flat_map(|identity| &identity.keys)
                    .collect();
                keys.sort_by_key(ToString::to_string);
                for key in keys {
                    field(b"key");
                    field(key.to_string().as_bytes());
                    if let Key::OpenPgp { fingerprint } = key {
                        field(&certificate_digest(fingerprint)?);
                    }
                }
            }
        }
        Some(sha256(&[&canonical]))
    }

    /// The issuers that `instance` is believed for, each behind its length, in order; nothing for all.
    fn canonical_limits(&self, instance: &str) -> Vec<u8> {
        let mut issuers: Vec<&String> = self.limits(instance).into_iter().flat_map(Limits::issuers).collect();
        issuers.sort();
        let parts = issuers
            .into_iter()
            .map(|issuer| [&(issuer.len() as u64).to_be_bytes()[..], issuer.as_bytes()].concat());
        parts.collect::<Vec<_>>().concat()
    }
}

impl Rule {
    /// Whether a refusal refuses the push.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.mode == Mode::Enforce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const POLICY: &str = r#"
        version = 1
        other_refs = "refuse"
        [[instance]]
        name = "sandbox"
        trusted_root = "trusted_root.json"
        [identity.alice]
        keyless = [{ instance = "sandbox", issuer = "https://i", kind = "email", subject = "alice@example.com" }]
        [identity.bob]
        keyless = [
            { instance = "public-good", issuer = "https://i", kind = "email", subject = "bob@example.com" },
            { instance = "public-good", issuer = "https://j", kind = "uri", subject = "https://bob" },
        ]
        [[rule]]
        name = "main"
        refs = ["refs/heads/main", "refs/heads/release/*"]
        commits = ["alice"]
        create = "allow"
        bases = ["refs/heads/main"]
        [[rule]]
        name = "notes"
        refs = ["refs/notes/review"]
        commits = "unsigned"
        [[rule]]
        name = "rest"
        refs = ["refs/**"]
        commits = "unsigned"
    "#;

    fn identity(instance: &str, issuer: &str, subject: &str) -> Identity {
        Identity {
            instance: instance.to_owned(),
            issuer: issuer.to_owned(),
            kind: crate::sigstore::certificate::SubjectKind::Email,
            subject: subject.to_owned(),
        }
    }

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
        assert_eq!(open.governing(b"refs/heads/x"), Governing::Accepted);
    }

    #[test]
    fn an_identity_counts_only_as_a_whole() {
        let policy = Policy::parse(POLICY).unwrap();
        let name = |instance, issuer, subject| {
            policy.name_of(&identity(instance, issuer, subject)).map(ToOwned::to_owned)
        };
        assert_eq!(name("sandbox", "https://i", "alice@example.com").as_deref(), Some("alice"));
        assert_eq!(name("public-good", "https://i", "alice@example.com"), None, "another instance");
        assert_eq!(name("sandbox", "https://I", "alice@example.com"), None);
        assert_eq!(name("sandbox", "https://i", "Alice@example.com"), None);
        let uri = Identity {
            kind: crate::sigstore::certificate::SubjectKind::Uri,
            ..identity("sandbox", "https://i", "alice@example.com")
        };
        assert_eq!(policy.name_of(&uri), None, "another kind");
    }

    #[test]
    fn the_digest_covers_what_decides_about_commits_and_nothing_else() {
        let digest_with = |text: &str, root: u8| {
            let policy = Policy::parse(text).unwrap();
            let rule = &policy.rules()[0];
            policy.commit_rule_digest(rule, |_| Some([root; 32])).unwrap()
        };
        let digest = |text: &str| digest_with(text, 1);
        let base = digest(POLICY);
        for same in [
            POLICY.replace("name = \"main\"", "name = \"trunk\""),
            POLICY.replace("refs/heads/release/*", "refs/heads/stable/*"),
            POLICY.replace("create = \"allow\"", "create = \"refuse\"\ntags = [\"bob\"]"),
            POLICY.replace("bob@example.com", "robert@example.com"),
            POLICY.replace("alice", "alicia").replace("alicia@", "alice@"),
        ] {
            assert_eq!(digest(&same), base, "{same}");
        }
        for other in [
            POLICY.replace("commits = [\"alice\"]", "commits = [\"alice\", \"bob\"]"),
            POLICY.replace("commits = [\"alice\"]", "commits = \"unsigned\""),
            POLICY.replace("create = \"allow\"", "mode = \"warn\""),
            POLICY.replace("create = \"allow\"", "time_not_proven = \"allow\""),
            POLICY.replace("create = \"allow\"", &format!("anchor = \"{}\"", "1".repeat(40))),
            POLICY.replace("alice@example.com", "mallory@example.com"),
            POLICY.replace("trusted_root.json\"", "trusted_root.json\"\nissuers = [\"https://i\"]"),
        ] {
            assert_ne!(digest(&other), base, "{other}");
        }
        assert_ne!(digest_with(POLICY, 2), base, "another trusted root");
        let policy = Policy::parse(POLICY).unwrap();
        assert_eq!(policy.commit_rule_digest(&policy.rules()[0], |_| None), None);
    }
}
