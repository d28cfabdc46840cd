//! A keyless signature that is good but for its time, and why an entry of the log does not prove it.

use std::{fmt, ops::Deref};

use super::{Bad, CannotTell, Certified, CheckedCertificate, FUTURE_SKEW, Failure};
use crate::{
    encoding::x509::Slices,
    signature::keyless::Keyless,
    sigstore::{certificate::ProfileError, trusted_root::Instance},
};

/// A keyless signature that is good but for its time: gitsign's online mode leaves the entry in the log.
/// Whoever has had the key, at whatever time, may have made it. Only the `verify` room can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeNotProven {
    certified: Certified,
    window: (i64, i64),
    refused: Option<ProofError>,
}

impl Deref for TimeNotProven {
    type Target = Certified;

    fn deref(&self) -> &Certified {
        &self.certified
    }
}

impl TimeNotProven {
    /// The first and the last second of the certificate's validity, in seconds since 1970: the signature
    /// should have been made in it, and nothing proves that it was.
    #[must_use]
    pub fn window(&self) -> (i64, i64) {
        self.window
    }

    /// Why the first of the entries that were kept for the object does not count, if there were any.
    #[must_use]
    pub fn refused(&self) -> Option<ProofError> {
        self.refused
    }
}

impl fmt::Display for TimeNotProven {
    /// The cause, without the signer.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("good signature, time not proven: its log entry is in the log alone")?;
        match self.refused {
            Some(cause) => write!(formatter, ", and what is kept of it does not count: {cause}"),
            None => Ok(()),
        }
    }
}

/// Why an entry of the log is no proof for an object. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The object's signature, or evidence in the entry, contradicts a known key.
    #[error(transparent)]
    Bad(Bad),
    /// Something needed is missing, unknown or unreadable.
    #[error(transparent)]
    CannotTell(CannotTell),
    /// Not a hashedrekord entry as Rekor v1 hands it out.
    #[error("it is no hashedrekord entry as Rekor hands it out")]
    Malformed,
    /// The object's signature carries its entry itself, or is none that an entry could be about.
    #[error("the signature is none that needs an entry of the log")]
    NotNeeded,
    /// The entry was made with another certificate, or with a bare key.
    #[error("the entry is by another certificate than the signature's")]
    OtherCertificate,
    /// The entry is about another object's id.
    #[error("the entry is about another object")]
    OtherObject,
    /// The entry's signature is not by the certificate's key over the object's id.
    #[error("the entry's signature is not by the certificate's key")]
    Signature,
}

/// What is left where no time is proven: everything else, at the time at which the certificate begins.
pub(super) fn judge(
    instance: &Instance,
    cms: &Keyless<'_>,
    certificate: &CheckedCertificate,
    now: i64,
    refused: Option<ProofError>,
) -> Result<TimeNotProven, Failure> {
    let leaf = Slices::parse(cms.certificate).map_err(|_| ProfileError::Der)?;
    let begins = leaf.not_before;
    if begins > now.saturating_add(FUTURE_SKEW) {
        return Err(CannotTell::FutureTime.into());
    }
    if !certificate.window.contains(begins) {
        return Err(CannotTell::CertificateWindow.into());
    }
    if !certificate.ct_window.contains(begins) {
        return Err(CannotTell::CtLogWindow.into());
    }
    Ok(TimeNotProven {
        certified: Certified::new(instance, certificate),
        window: (begins, leaf.not_after),
        refused,
    })
}
