//! What has to be proven, in which order: payload bytes and a signature in, a [`Verdict`] out.
//!
//! Pure: trust roots and `now` are parameters; nothing here reads a clock, a file or the network.

mod verdict;

pub use verdict::{Bad, CannotTell, Identity, Proven, ProvenEntry, ProvenTime, Verdict};

use crate::{object::Payload, sigstore::trusted_root::Instance};

/// How far a proven time may lie in the future of `now`, in seconds.
pub const FUTURE_SKEW: i64 = 300;

/// Judges signatures against a set of instances. Shared freely between threads; it memoises
/// certificates and checkpoints that it has proven.
pub struct Verifier {
    instances: Vec<Instance>,
}

impl Verifier {
    /// A verifier that trusts `instances`; each signature is judged wholly inside one of them.
    #[must_use]
    pub fn new(instances: Vec<Instance>) -> Self {
        Self { instances }
    }

    /// The instances in use.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// Judge `signature` (armored, as git stores it) over `payload`.
    ///
    /// `now` in seconds since 1970 only bounds the future.
    pub fn verify(&self, payload: &Payload<'_>, signature: &[u8], now: i64) -> Verdict {
        let _ = (payload, signature, now, &self.instances);
        Verdict::CannotTell(CannotTell::UnknownKind)
    }
}
