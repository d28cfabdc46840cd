//! Who may sign what, and what happens to which ref: text and facts in, decisions out.
//!
//! Responsible for the policy file, its identities, rules and ref patterns, and for the words of a
//! refusal. Pure: it reads no file, clock or environment; trusted roots are only names and digests here.

mod allowed_signers;
mod approval_fault;
mod cause;
mod certificate_authorities;
mod check;
mod check_forge;
mod ci;
mod decision;
mod demands;
mod digest;
mod file;
mod finding;
mod forge_context;
mod governing;
mod limits;
mod openpgp;
mod path;
mod pattern;
mod persons;
mod policy_fault;
mod proof_fault;
#[cfg(test)]
mod properties;
mod push_certificate;
mod pusher;
mod rule;
mod signer;
mod vouching;
mod wanted;
mod way;
mod window;

pub use allowed_signers::{AllowedSigners, AllowedSignersError, LineError, parse_time as parse_ssh_time};
pub use approval_fault::{ApprovalFault, Shortfall};
pub use cause::{Cause, Event};
use certificate_authorities::CertificateAuthorities;
pub use certificate_authorities::{AuthorityEntry, x509_entry};
pub use ci::WantedClaims;
pub use decision::{Evidence, Refusal, Subject};
pub use demands::{Demands, Proof, ProofLack};
pub use file::{PolicyError, is_repository_id, policy_entry};
pub use finding::Finding;
pub use forge_context::{Account, Forge, ForgeContext, ForgeKind, Way, WebMerge};
pub use governing::Governing;
pub use limits::{LimitError, Limits, SubjectPattern};
use openpgp::OpenPgp;
pub use path::{PathPattern, PathPatternError, PathPlace, PathRule};
pub use pattern::{Pattern, PatternError};
pub use persons::{ForeignAddress, Persons, Role, Whose};
pub use policy_fault::PolicyFault;
pub use proof_fault::ProofFault;
pub use push_certificate::CertificateFault;
pub use pusher::{ForgeUser, PusherDemand, PusherFault, Pushing, ReceivedPush};
pub use rule::{Mode, Permission, Permissions, Rule, Signers};
use signer::Directory;
pub use signer::{KeySigner, KeylessSigner, SignedBy};
pub use vouching::Vouching;
pub(crate) use vouching::refuse_expired;
pub use wanted::{Group, Wanted, WantedName};
pub use way::{WayDemand, WayFault};
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
