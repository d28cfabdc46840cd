//! A keyless signature that is good and stamped, and of which no log entry is at hand.

use std::{fmt, ops::Deref};

use super::{
    Certified, CheckedCertificate, Failure, ProofError, ProvenTime, ProvenTimestamp, evidence, proven_times,
};
use crate::sigstore::trusted_root::Instance;

/// A keyless signature that is good, by a certificate that was valid when a timestamp authority saw it, and
/// without an entry of a transparency log: nobody but its receiver can ever notice that it was made. Only the
/// `verify` room can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLogged {
    certified: Certified,
    times: Vec<ProvenTime>,
    timestamps: Vec<ProvenTimestamp>,
    refused: Option<ProofError>,
}

impl Deref for NotLogged {
    type Target = Certified;

    fn deref(&self) -> &Certified {
        &self.certified
    }
}

impl NotLogged {
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
        certified: Certified::new(instance, certificate),
        times: proven_times(certificate, &[], tokens, now)?,
        timestamps: tokens.iter().map(evidence::CheckedTimestamp::proven).collect(),
        refused,
    })
}
