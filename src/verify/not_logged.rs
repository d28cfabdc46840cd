//! A keyless signature that is good and stamped, and of which no log entry is at hand.

use std::{fmt, sync::Arc};

use super::{
    CheckedCertificate, Failure, Identity, ProofError, ProvenTime, ProvenTimestamp, evidence, proven_times,
};
use crate::sigstore::{claims::Claims, trusted_root::Instance};

/// A keyless signature that is good, by a certificate that was valid when a timestamp authority saw it, and
/// without an entry of a transparency log: nobody but its receiver can ever notice that it was made. Only the
/// `verify` room can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLogged {
    identity: Identity,
    claims: Arc<Claims>,
    times: Vec<ProvenTime>,
    timestamps: Vec<ProvenTimestamp>,
    certificate_digest: [u8; 32],
    certificate: Arc<[u8]>,
    root_digest: [u8; 32],
    refused: Option<ProofError>,
}

impl NotLogged {
    /// Who signed.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the certificate says of the build that asked for it; empty for people.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The proven times of signing, at least one, all by timestamp authorities.
    #[must_use]
    pub fn times(&self) -> &[ProvenTime] {
        &self.times
    }

    /// The first proven time, in seconds since 1970.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.times.first().map_or(i64::MAX, |time| time.seconds())
    }

    /// The timestamps, at least one, with the authorities that gave them.
    #[must_use]
    pub fn timestamps(&self) -> &[ProvenTimestamp] {
        &self.timestamps
    }

    /// SHA-256 of the signing certificate's DER encoding.
    #[must_use]
    pub fn certificate_digest(&self) -> &[u8; 32] {
        &self.certificate_digest
    }

    /// The signing certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// SHA-256 of the trusted root (its JSON bytes) under which everything was judged.
    #[must_use]
    pub fn root_digest(&self) -> &[u8; 32] {
        &self.root_digest
    }

    /// Why the first of the entries that were kept for the object does not count, if there were any.
    #[must_use]
    pub fn refused(&self) -> Option<ProofError> {
        self.refused
    }
}

impl fmt::Display for NotLogged {
    /// The cause, without the signer.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("good signature with a timestamp, and without an entry of a transparency log")?;
        match self.refused {
            Some(cause) => write!(formatter, "; what is kept of one does not count: {cause}"),
            None => Ok(()),
        }
    }
}

/// What is left where tokens prove the time and no log entry is at hand.
pub(super) fn judge(
    instance: &Instance,
    certificate: &CheckedCertificate,
    tokens: &[evidence::CheckedTimestamp],
    now: i64,
    refused: Option<ProofError>,
) -> Result<NotLogged, Failure> {
    Ok(NotLogged {
        identity: certificate.identity.clone(),
        claims: Arc::clone(&certificate.claims),
        times: proven_times(certificate, &[], tokens, now)?,
        timestamps: tokens.iter().map(evidence::CheckedTimestamp::proven).collect(),
        certificate_digest: certificate.digest,
        certificate: Arc::clone(&certificate.der),
        root_digest: *instance.digest(),
        refused,
    })
}
