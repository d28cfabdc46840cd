//! The ledger: which ref updates a server has accepted, in one order, in a ref of the repository itself.
//!
//! `refs/countersign/ledger` is a chain of commits. Each holds a [`Record`]: entries (ref, old value, new
//! value) with one occasion in common, numbered without gaps, with the digest of the record before. Nobody
//! pushes to it; the server alone writes it, in two steps. Before a push is accepted an [`Intent`] is left in
//! the state folder, and reaches the disk. Once refs have moved it is settled: what happened is entered, what
//! did not is dropped, and what cannot be told any more is entered as `recovered`.
//!
//! Responsible for the format, for intents, for settling, and for holding a repository's refs against the
//! ledger, one's own or a remote's. Not responsible for what is accepted. A record proves who pushed only
//! where it carries a push certificate, and order and completeness only to whoever remembers an earlier head.

mod certificate;
mod check;
mod dropped;
mod fields;
mod finding;
mod folder;
mod intent;
mod many;
mod process;
#[cfg(test)]
mod properties;
mod record;
mod resolve;
mod settle;
mod standing;
mod told;
mod work;
mod write;

pub use certificate::{CertificateError, Certificates};
pub use check::{Check, UnderWay, check};
pub use finding::{Elsewhere, Finding, LeftOver, Report};
pub use folder::{Folder, Lock};
pub use intent::{Intent, IntentError};
pub use process::Process;
pub use record::{Entry, MAXIMUM_ENTRIES, Occasion, Previous, Record, RecordError};
pub use resolve::{Pending, Resolution, resolve};
pub use settle::{Scope, Settled, Settler};
pub use standing::Entered;
pub use write::{LedgerError, Walked, head, read, walk};

use crate::object::ObjectId;

/// The ref.
pub use crate::policy::LEDGER;

/// What is known of a push once it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Tells it from every other push.
    pub push: PushId,
    /// The server's time of receipt, in seconds since 1970.
    pub received: i64,
    /// What it was judged by.
    pub policy: PolicyVersion,
    /// Who pushed, as the server knows them: one line, fit for a terminal.
    pub pusher: Option<String>,
    /// The blob of the push certificate.
    pub certificate: Option<ObjectId>,
}

impl Acceptance {
    /// Whether whoever pushed is said to have signed a push certificate.
    #[must_use]
    pub fn claims_certificate(&self) -> bool {
        self.pusher.as_ref().is_some_and(|pusher| pusher.contains(BY_CERTIFICATE))
    }
}

/// What stands in a pusher's name behind the name of whoever has signed the push certificate. Names of other kinds
/// hold no quote, and so not this.
pub const BY_CERTIFICATE: &str = "' by certificate";

/// A random name for a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PushId(pub [u8; 16]);

/// Which policy a push was judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyVersion {
    /// The commit of the ref that the policy is kept in.
    Commit(ObjectId),
    /// SHA-256 of the bytes of the policy file.
    Digest([u8; 32]),
}
