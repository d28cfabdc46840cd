//! Who may sign what, and what happens to which ref: text and facts in, decisions out.
//!
//! Responsible for the policy file, its identities, rules and ref patterns, and for the words of a
//! refusal. Pure: it reads no file, clock or environment; trusted roots are only names and digests here.

mod allowed_signers;
mod approval_fault;
mod cause;
mod certificate_authorities;
mod check;
mod ci;
mod decision;
mod demands;
mod digest;
mod file;
mod forge_context;
mod limits;
mod openpgp;
mod path;
mod pattern;
mod persons;
mod policy_fault;
mod proof_fault;
mod push_certificate;
mod pusher;
mod signer;
mod vouching;
mod wanted;
mod window;

pub use allowed_signers::{AllowedSigners, AllowedSignersError, LineError, parse_time as parse_ssh_time};
pub use approval_fault::{ApprovalFault, Shortfall};
pub use cause::{Cause, Event};
use certificate_authorities::CertificateAuthorities;
pub use certificate_authorities::{AuthorityEntry, x509_entry};
pub use check::Finding;
pub use ci::WantedClaims;
pub use decision::{Evidence, Refusal, Subject};
pub use demands::{Demands, Proof, ProofLack};
pub use file::{PolicyError, is_repository_id, policy_entry};
pub use forge_context::{Account, Forge, ForgeContext, ForgeKind, Way, WebMerge};
pub use limits::{LimitError, Limits, SubjectPattern};
use openpgp::OpenPgp;
pub use path::{PathPattern, PathPatternError, PathPlace, PathRule};
pub use pattern::{Pattern, PatternError};
pub use persons::{ForeignAddress, Persons, Role, Whose};
pub use policy_fault::PolicyFault;
pub use proof_fault::ProofFault;
pub use push_certificate::CertificateFault;
pub use pusher::{ForgeUser, PusherDemand, PusherFault, Pushing, ReceivedPush};
use signer::Directory;
pub use signer::{KeySigner, KeylessSigner, SignedBy};
pub use vouching::Vouching;
pub use wanted::{Group, Wanted, WantedName};
pub use window::{Covered, Known, Lapse, Receipt, Window};

use crate::object::ObjectId;

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

/// A policy file that was read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    repository: Option<String>,
    serial: Option<u64>,
    instances: Vec<InstanceEntry>,
    other_refs: OtherRefs,
    identities: Vec<NamedIdentity>,
    groups: Vec<Group>,
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
    /// Addresses that are its own, besides those that certificates say.
    pub emails: Vec<String>,
    /// Every account of a forge that counts as it where somebody pushes.
    pub forge_users: Vec<ForgeUser>,
    /// Whether the policy says that it is no person.
    pub machine: bool,
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
    /// One of these.
    Named(Wanted),
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
    /// Who may push.
    pub pusher: PusherDemand,
    /// What may happen.
    pub permissions: Permissions,
    /// Refs from which a new or rewound ref may take its history.
    pub bases: Vec<String>,
    /// What has to prove a signature.
    pub demands: Demands,
    /// Whose address stands in the `committer` header of commits.
    pub committer: Whose,
    /// Whose address stands in the `author` header of commits.
    pub author: Whose,
    /// History up to this commit is taken as it is.
    pub anchor: Option<ObjectId>,
    /// How many persons have to vouch, and what a forge may do.
    pub vouching: Vouching,
    /// Whether it refuses or warns.
    pub mode: Mode,
    /// Who may change what in the tree; all of them hold.
    pub paths: Vec<PathRule>,
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

    /// The groups, in the order of their names.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
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

    /// Whether the same part of the policy decides about a ref where names are told apart only by how `fold`
    /// spells them.
    #[must_use]
    pub fn governs_folded(&self, reference: &[u8], fold: &dyn Fn(&[u8]) -> Vec<u8>) -> bool {
        let name = fold(reference);
        let is_reserved =
            |name: &[u8]| RESERVED_NAMESPACES.iter().any(|space| name.starts_with(space.as_bytes()));
        // Lower case already: such a name is reserved however it is spelt.
        if is_reserved(&name) != is_reserved(reference) {
            return false;
        }
        let exact = self.rule_for(reference).map(|rule| &rule.name);
        let folded = self.rules.iter().find(|rule| {
            rule.patterns.iter().any(|pattern| {
                let text = fold(pattern.as_str().as_bytes());
                let parsed = std::str::from_utf8(&text).ok().and_then(|text| Pattern::parse(text).ok());
                parsed.is_some_and(|pattern| pattern.matches(&name))
            })
        });
        is_reserved(&name) || exact == folded.map(|rule| &rule.name)
    }

    /// The rule that decides about a ref, if one does.
    #[must_use]
    pub fn rule_for(&self, reference: &[u8]) -> Option<&Rule> {
        match self.governing(reference) {
            Governing::Rule(rule) => Some(rule),
            _ => None,
        }
    }
}

impl Signers {
    /// Who has to have signed; `None` for nobody.
    #[must_use]
    pub fn wanted(&self) -> Option<&Wanted> {
        match self {
            Self::Named(wanted) => Some(wanted),
            Self::Unsigned => None,
        }
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
    /// Everybody whom it asks for anything.
    pub fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        let signers = [Some(&self.commits), self.tags.as_ref()].into_iter().flatten();
        let paths = self.paths.iter().map(|path| &path.commits);
        let signers = signers.filter_map(Signers::wanted).chain(paths);
        signers.chain(&self.vouching.approvers).chain(&self.pusher.pushers)
    }

    /// Whether it asks for the identity called `name`, by itself or in a group.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.wanted().any(|wanted| wanted.contains(name))
    }

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
}
