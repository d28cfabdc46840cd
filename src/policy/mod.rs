//! Who may sign what, and what happens to which ref: text and facts in, decisions out.
//!
//! Responsible for the policy file, its identities, rules and ref patterns, and for the words of a
//! refusal. Pure: it reads no file, clock or environment; trusted roots are only names and digests here.

mod allowed_signers;
mod certificate_authorities;
mod check;
mod ci;
mod decision;
mod file;
mod limits;
mod openpgp;
mod pattern;
mod proof_fault;
mod signer;
mod window;

pub use allowed_signers::{AllowedSigners, AllowedSignersError, LineError, parse_time as parse_ssh_time};
use certificate_authorities::CertificateAuthorities;
pub use certificate_authorities::{AuthorityEntry, x509_entry};
pub use check::Finding;
pub use ci::WantedClaims;
pub use decision::{Cause, Event, Evidence, Refusal, Subject};
pub use file::{PolicyError, is_repository_id, policy_entry};
pub use limits::{LimitError, Limits, SubjectPattern};
use openpgp::OpenPgp;
pub use pattern::{Pattern, PatternError};
pub use proof_fault::ProofFault;
use signer::Directory;
pub use signer::{KeySigner, KeylessSigner, SignedBy};
pub use window::{Covered, Known, Lapse, Receipt, Window};

use crate::{encoding::sha256, object::ObjectId, verify::Key};

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

/// The ref in which a server keeps its ledger: no rule governs it, whatever its patterns say, and nobody
/// pushes to it.
pub const LEDGER: &str = "refs/countersign/ledger";

/// Whether `reference` is [`LEDGER`], lies below it, or is the same file on a disk that folds case.
#[must_use]
pub fn is_ledger(reference: &[u8]) -> bool {
    let Some((name, rest)) = reference.split_at_checked(LEDGER.len()) else { return false };
    name.eq_ignore_ascii_case(LEDGER.as_bytes()) && (rest.is_empty() || rest[0] == b'/')
}

/// Why there is no [`policy_entry`] for somebody.
pub const NO_ENTRY: &str = "a policy takes a '*' in a name for a pattern, and needs repository and ref of builds, which not every certificate says";

/// Stands in every rule digest: raised when the meaning of a rule changes, so that nothing accepted
/// under the old meaning counts.
const RULE_MEANING: &[u8] = b"countersign commit rule 4";

/// A policy file that was read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    repository: Option<String>,
    serial: Option<u64>,
    instances: Vec<InstanceEntry>,
    other_refs: OtherRefs,
    identities: Vec<NamedIdentity>,
    directory: Directory,
    anchors: Vec<Anchor>,
    rules: Vec<Rule>,
    openpgp: OpenPgp,
    certificate_authorities: CertificateAuthorities,
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
    /// Issuers that vouch for builds, besides those that are known to.
    pub ci_issuers: Vec<String>,
}

/// What the policy's owner vouches for: all that is reachable from an object was there at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// A commit or a tag.
    pub object: ObjectId,
    /// Seconds since 1970.
    pub received: i64,
}

/// A name of the policy's own and the signers that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedIdentity {
    /// The name that rules use.
    pub name: String,
    /// Every keyless signer that counts as it.
    pub keyless: Vec<KeylessSigner>,
    /// Every key of its own that counts as it.
    pub keys: Vec<KeySigner>,
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
    /// It lies in one of [`RESERVED_NAMESPACES`] and no rule names that namespace, or it is the [`LEDGER`].
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

    /// The anchors, the oldest first.
    #[must_use]
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
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

    /// What decides about the ref with this full name.
    #[must_use]
    pub fn governing(&self, reference: &[u8]) -> Governing<'_> {
        if is_ledger(reference) {
            return Governing::Reserved;
        }
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
    /// certificate of an OpenPGP key has not been given to [`Self::take_openpgp_certificates`], or an
    /// authority's file not to [`Self::take_certificate_authorities`].
    #[must_use]
    pub fn commit_rule_digest(
        &self,
        rule: &Rule,
        root_digest: impl Fn(&str) -> Option<[u8; 32]>,
    ) -> Option<[u8; 32]> {
        self.rule_digest(rule, root_digest, |key| match key {
            Key::OpenPgp { fingerprint } => self.openpgp.digest(fingerprint),
            Key::X509 { authority, .. } | Key::X509Certificate { authority, .. } => {
                self.certificate_authorities.digest(authority)
            }
            Key::Ssh { .. } | Key::SshCertificate { .. } => None,
        })
    }

    fn rule_digest(
        &self,
        rule: &Rule,
        root_digest: impl Fn(&str) -> Option<[u8; 32]>,
        file_digest: impl Fn(&Key) -> Option<[u8; 32]>,
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
                let (named, others): (Vec<_>, Vec<_>) =
                    self.identities.iter().partition(|identity| names.contains(&identity.name));
                let keyless = |signer: &KeylessSigner| -> Option<Vec<Vec<u8>>> {
                    let root = root_digest(&signer.instance)?.to_vec();
                    let limits = self.canonical_limits(&signer.instance);
                    let parts = [signer.instance.clone().into_bytes(), root, limits];
                    Some(parts.into_iter().chain(signer.canonical()).collect())
                };
                let key = |signer: &KeySigner| -> Option<Vec<Vec<u8>>> {
                    let key = signer.key.to_string().into_bytes();
                    let mut parts: Vec<Vec<u8>> = vec![b"key".to_vec(), key, signer.window.canonical()];
                    match &signer.key {
                        Key::OpenPgp { .. } | Key::X509 { .. } | Key::X509Certificate { .. } => {
                            parts.push(file_digest(&signer.key)?.to_vec());
                        }
                        Key::Ssh { .. } | Key::SshCertificate { .. } => {}
                    }
                    Some(parts)
                };
                let mut groups: Vec<Vec<Vec<Vec<u8>>>> = Vec::new();
                for identity in &named {
                    let all = identity.keyless.iter().map(keyless).chain(identity.keys.iter().map(key));
                    groups.push(all.collect::<Option<_>>()?);
                }
                // Whom the rule does not name may be who a signer is as well, or know of a key that it is lost.
                let mut rivals: Vec<Vec<Vec<u8>>> = Vec::new();
                let mut is_limited = named.iter().any(|identity| identity.is_limited());
                for signer in others.iter().flat_map(|other| &other.keyless) {
                    if named.iter().flat_map(|identity| &identity.keyless).any(|own| own.overlaps(signer)) {
                        rivals.push(keyless(signer)?);
                        is_limited |= !signer.window.is_unlimited();
                    }
                }
                for signer in others.iter().flat_map(|other| &other.keys) {
                    if named.iter().flat_map(|identity| &identity.keys).any(|own| own.overlaps(signer)) {
                        rivals.push(key(signer)?);
                        is_limited |= !signer.window.is_unlimited();
                    }
                }
                let mut anchors: Vec<Vec<Vec<u8>>> = Vec::new();
                // Anchors only help whoever counts for a time alone.
                if is_limited {
                    for Anchor { object, received } in &self.anchors {
                        anchors.push(vec![object.as_slice().to_vec(), received.to_be_bytes().to_vec()]);
                    }
                }
                groups.iter_mut().for_each(|group| group.sort());
                groups.sort();
                for mut group in [rivals, anchors] {
                    group.sort();
                    groups.push(group);
                }
                for group in groups {
                    field(&(group.len() as u64).to_be_bytes());
                    for parts in group {
                        field(&(parts.len() as u64).to_be_bytes());
                        parts.iter().for_each(|part| field(part));
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

impl NamedIdentity {
    /// Every signer's window.
    fn windows(&self) -> impl Iterator<Item = &Window> {
        let keyless = self.keyless.iter().map(|signer| &signer.window);
        keyless.chain(self.keys.iter().map(|signer| &signer.window))
    }

    /// Whether a signer of it counts for a time alone.
    fn is_limited(&self) -> bool {
        self.windows().any(|window| !window.is_unlimited())
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
    use crate::{sigstore::claims::Claims, verify::Identity};

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
    fn an_identity_counts_only_as_a_whole() {
        let policy = Policy::parse(POLICY).unwrap();
        let name_of = |identity: &Identity| {
            let signer = SignedBy::Proven { identity, claims: &Claims::default(), times: &[] };
            policy.names(signer, &Receipt::without_anchors(0)).ok().map(|names| names[0].to_owned())
        };
        let name = |instance, issuer, subject| name_of(&identity(instance, issuer, subject));
        assert_eq!(name("sandbox", "https://i", "alice@example.com").as_deref(), Some("alice"));
        assert_eq!(name("public-good", "https://i", "alice@example.com"), None, "another instance");
        assert_eq!(name("sandbox", "https://I", "alice@example.com"), None);
        assert_eq!(name("sandbox", "https://i", "Alice@example.com"), None);
        let uri = Identity {
            kind: crate::sigstore::certificate::SubjectKind::Uri,
            ..identity("sandbox", "https://i", "alice@example.com")
        };
        assert_eq!(name_of(&uri), None, "another kind");
    }

    #[test]
    fn a_key_that_somebody_else_knows_to_be_lost_is_in_the_digest() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
        let digest = |identities: &str, commits: &str| {
            let rule = "[[rule]]\nname = \"r\"\nrefs = [\"refs/**\"]\n";
            let text =
                format!("version = 1\nother_refs = \"refuse\"\n{identities}{rule}commits = [{commits}]\n");
            let policy = Policy::parse(&text).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| None).unwrap()
        };
        let of = |name: &str, principal: &str, window: &str| {
            format!(
                "[identity.{name}]\nssh_certificates = \
                 [{{ authority = \"{key}\", principal = \"{principal}\"{window} }}]\n"
            )
        };
        let lost = ", compromised = 2026-01-01T00:00:00Z";
        let alice = of("a", "alice", "");
        let both = |window| format!("{alice}{}", of("b", "bob", window));
        assert_ne!(digest(&both(lost), "\"a\""), digest(&both(""), "\"a\""));
        // Whose a signer is matters where both are named.
        let [one, two] = ["alice", "bob"]
            .map(|principal| format!("{{ authority = \"{key}\", principal = \"{principal}\" }}"));
        let plain = format!("ssh = [\"{key}\"]\n");
        let first = format!("[identity.a]\nssh_certificates = [{one}, {two}]\n[identity.b]\n{plain}");
        let second = format!(
            "[identity.a]\nssh_certificates = [{one}]\n[identity.b]\nssh_certificates = [{two}]\n{plain}"
        );
        let named = "\"a\", \"b\"";
        assert_ne!(digest(&first, named), digest(&second, named));
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
        let with = |more: &str| POLICY.replacen("example.com\" }", &format!("example.com\", {more} }}"), 1);
        let anchored = |text: &str| {
            let id = "1".repeat(40);
            text.replace(
                "[[instance]]",
                &format!("[[anchor]]\nobject = \"{id}\"\nreceived = 2026-01-01T00:00:00Z\n[[instance]]"),
            )
        };
        let limited = with("until = 2026-01-01T00:00:00Z");
        assert_ne!(digest(&anchored(&limited)), digest(&limited));
        assert_eq!(digest(&anchored(POLICY)), base, "an anchor matters to nobody here");
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
            POLICY.replace("alice@example.com", "*@example.com"),
            with("until = 2026-01-01T00:00:00Z"),
            with("from = 2026-01-01T00:00:00Z"),
            with("compromised = 2026-01-01T00:00:00Z"),
            with("repository = \"r\""),
        ] {
            assert_ne!(digest(&other), base, "{other}");
        }
        assert_ne!(digest_with(POLICY, 2), base, "another trusted root");
        // Whom the rule does not name decides too where a signer may be both.
        let issuer = "instance = \"sandbox\", issuer = \"https://i\", kind = \"email\"";
        let other = |subject: &str, window: &str| {
            let pattern = POLICY.replace("alice@example.com", "*@example.com");
            let table =
                format!("[identity.other]\nkeyless = [{{ {issuer}, subject = \"{subject}\"{window} }}]\n");
            digest(&pattern.replace("[identity.bob]", &format!("{table}[identity.bob]")))
        };
        let pattern = digest(&POLICY.replace("alice@example.com", "*@example.com"));
        assert_ne!(other("b*@example.com", ""), pattern);
        let lost = ", compromised = 2026-01-01T00:00:00Z";
        assert_ne!(other("b*@example.com", lost), other("b*@example.com", ""));
        let policy = Policy::parse(POLICY).unwrap();
        assert_eq!(policy.commit_rule_digest(&policy.rules()[0], |_| None), None);
    }
}
