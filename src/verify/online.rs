//! Entries that only the log holds: gitsign's online mode, whose signatures carry no log entry.
//!
//! gitsign signs the object with the key of a certificate, and the id of the finished object with the same
//! key; only the second signature goes into the log. The chain of binding, each link checked here:
//!
//! 1. the log's signed entry timestamp covers the entry's body and its time;
//! 2. the body holds the signature's own certificate, a signature and the digest of what was signed;
//! 3. that signature is by the certificate's key over the hexadecimal digits of an object id;
//! 4. the id is computed here, from the bytes that payload and signature were taken from
//!    ([`Signed::logged_ids`]), so whoever had made these digits had made this object, CMS included;
//! 5. the CMS is judged as every other.
//!
//! So the key had signed this object by the time that the log vouches for. Where a proof is kept, and under
//! which name, means nothing: it counts for the object that it is about, or for none.

use super::{CannotTell, Failure, ProofError, Proven, Verdict, Verifier, evidence};
use crate::{
    encoding::sha256,
    object::{ObjectId, Signed},
    signature::{armor, keyless::Keyless, smime::is_smime},
    sigstore::{
        api_entry::HashedRecordEntry,
        key::PublicKey,
        log_entry::{BodyVersion, certificate_pem},
        trusted_root::{Instance, Log},
    },
};

/// Finds the entries that are kept for the object with this id: answers of Rekor v1's API, of whatever
/// origin, a bounded number of a bounded size.
pub type ProofLookup<'a> = dyn Fn(&ObjectId) -> Vec<Vec<u8>> + 'a;

/// The object behind payload and signature, and where its proofs are found.
pub(super) struct Online<'a> {
    signed: &'a Signed<'a>,
    proofs: &'a ProofLookup<'a>,
}

/// What was found.
pub(super) struct Kept {
    /// The ids by which a log may know the object.
    pub(super) ids: Vec<ObjectId>,
    pub(super) proofs: Vec<Vec<u8>>,
}

impl Online<'_> {
    pub(super) fn look_up(&self) -> Kept {
        let ids = self.signed.logged_ids();
        let proofs = ids.first().map(self.proofs).unwrap_or_default();
        Kept { ids, proofs }
    }
}

impl From<Failure> for ProofError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Bad(bad) => Self::Bad(bad),
            Failure::CannotTell(cannot_tell) => Self::CannotTell(cannot_tell),
        }
    }
}

impl Verifier {
    /// Judge the signature of a commit or tag; `None` if there is none. Where its log entry is only in the
    /// log, one of the entries that `proofs` finds can prove its time; nobody is asked otherwise.
    ///
    /// `now` in seconds since 1970 only bounds the future.
    #[must_use]
    pub fn verify_signed(&self, signed: &Signed<'_>, now: i64, proofs: &ProofLookup<'_>) -> Option<Verdict> {
        let signature = signed.signature.as_deref()?;
        Some(self.verify_with(&signed.payload, signature, now, Some(&Online { signed, proofs })))
    }

    /// Check that `proof`, an answer of Rekor v1's API, makes the signature of `signed` a proven one.
    ///
    /// # Errors
    /// Why not.
    pub fn check_proof(&self, signed: &Signed<'_>, proof: &[u8], now: i64) -> Result<Proven, ProofError> {
        if !is_online(signed) {
            return Err(ProofError::NotNeeded);
        }
        match self.verify_signed(signed, now, &|_| vec![proof.to_vec()]) {
            Some(Verdict::Good(proven)) => Ok(*proven),
            Some(Verdict::NotLogged(signed)) => Err(signed.refused().unwrap_or(ProofError::Malformed)),
            Some(Verdict::TimeNotProven(signed)) => Err(signed.refused().unwrap_or(ProofError::Malformed)),
            Some(Verdict::Bad(bad)) => Err(ProofError::Bad(bad)),
            Some(Verdict::CannotTell(cause)) => Err(ProofError::CannotTell(cause)),
            Some(Verdict::Stated(_)) | None => Err(ProofError::NotNeeded),
        }
    }
}

/// Whether the signature is a keyless one that does not carry its log entry itself.
fn is_online(signed: &Signed<'_>) -> bool {
    let Some(signature) = signed.signature.as_deref() else { return false };
    let Some(armor::Kind::Cms) = armor::kind(signature) else { return false };
    !is_smime(signature)
        && armor::decode(signature)
            .is_ok_and(|der| Keyless::parse(&der).is_ok_and(|cms| cms.log_entry.is_none()))
}

/// Check `proof` about the object with one of `ids`, whose signature is by `key` of `certificate`.
pub(super) fn entry<'a>(
    instance: &'a Instance,
    certificate: &[u8],
    key: &PublicKey,
    ids: &[ObjectId],
    proof: &[u8],
    checkpoint: impl Fn(&Log, &str) -> Result<evidence::CheckedCheckpoint, Failure>,
) -> Result<evidence::CheckedEntry<'a>, ProofError> {
    let HashedRecordEntry { entry, record } =
        HashedRecordEntry::parse(proof).map_err(|_| ProofError::Malformed)?;
    let mut digits = ids.iter().map(|id| id.to_hex().to_string());
    let signed = digits.find(|digits| sha256(&[digits.as_bytes()]) == record.digest);
    let signed = signed.ok_or(ProofError::OtherObject)?;
    if record.verifier != certificate_pem(certificate) {
        return Err(ProofError::OtherCertificate);
    }
    if !key.verifies(signed.as_bytes(), &record.signature) {
        return Err(ProofError::Signature);
    }
    // An inclusion proof proves no time, and there may be nothing else that does.
    if entry.signed_entry_timestamp().is_none() {
        return Err(ProofError::CannotTell(CannotTell::NoTrustedTime));
    }
    let body = |version| (version == BodyVersion::V001).then(|| entry.canonicalized_body.clone());
    let mut checked = evidence::logged(instance, &entry, BodyVersion::V001, body, checkpoint)?;
    checked.proven.embedded = false;
    Ok(checked)
}
