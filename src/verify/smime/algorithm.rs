//! Which algorithms S/MIME signatures may be made with, and the key that goes with one.

use crate::{
    encoding::{
        cms::Algorithm,
        der::{self, DerError, ObjectIdentifier, Tag},
    },
    signature::FormatError,
    sigstore::key::{Hash, PublicKey, digest_hash, signature_hash},
    verify::{CannotTell, Failure},
};

/// What no longer proves anything: MD5 and SHA-1, alone and with RSA, DSA or ECDSA.
const WEAK: [ObjectIdentifier; 7] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.2.5"),
    ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10040.4.1"),
    ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
];
/// id-RSASSA-PSS
const PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
/// id-mgf1
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");

/// The digest over the content.
pub(super) fn digest(algorithm: &Algorithm<'_>) -> Result<Hash, Failure> {
    refuse_weak(algorithm)?;
    digest_hash(algorithm).ok_or_else(|| FormatError::Algorithm.into())
}

/// The key in `spki`, for the algorithm that a signature names beside the digest algorithm `hash`.
pub(super) fn key(algorithm: &Algorithm<'_>, hash: Hash, spki: &[u8]) -> Result<PublicKey, Failure> {
    refuse_weak(algorithm)?;
    if algorithm.identifier == PSS.as_bytes() {
        // RFC 4056 §3: the digest inside is the one over the content.
        let own = algorithm.parameters.and_then(|parameters| pss_hash(parameters).ok());
        if own != Some(hash) {
            return Err(FormatError::Algorithm.into());
        }
        return PublicKey::pss_from_spki(spki, hash).map_err(|_| CannotTell::WeakAlgorithm.into());
    }
    let (family, own) = signature_hash(algorithm, Some(hash)).ok_or(FormatError::Algorithm)?;
    // RFC 5753 §2.1.1 wants the same digest in both places, RFC 8419 §3.1 SHA-512 beside Ed25519.
    if own != hash {
        return Err(FormatError::Algorithm.into());
    }
    let key = PublicKey::from_spki(spki, hash).map_err(|_| CannotTell::WeakAlgorithm)?;
    if key.kind().family() != family {
        return Err(FormatError::Algorithm.into());
    }
    Ok(key)
}

fn refuse_weak(algorithm: &Algorithm<'_>) -> Result<(), Failure> {
    if WEAK.iter().any(|weak| weak.as_bytes() == algorithm.identifier) {
        return Err(CannotTell::WeakAlgorithm.into());
    }
    Ok(())
}

/// The hash of RSASSA-PSS-params (RFC 4055 §3.1), which has to be that of the mask too and as long as the
/// salt. The defaults are SHA-1 and do not count.
fn pss_hash(parameters: &[u8]) -> Result<Hash, DerError> {
    let mut walk = der::only(parameters, Tag::Sequence)?.walk();
    let algorithm = |bytes: &[u8]| {
        let element = der::only(bytes, Tag::Sequence)?;
        digest_hash(&crate::encoding::cms::algorithm(&element)?).ok_or(DerError)
    };
    let hash = algorithm(walk.expect(der::context(0))?.value)?;
    let mut mask = der::only(walk.expect(der::context(1))?.value, Tag::Sequence)?.walk();
    if mask.expect(Tag::ObjectIdentifier)?.value != MGF1.as_bytes() {
        return Err(DerError);
    }
    let mask_hash = algorithm(mask.expect(Tag::Sequence)?.raw)?;
    mask.finish()?;
    let salt = der::only(walk.expect(der::context(2))?.value, Tag::Integer)?.unsigned()?;
    walk.finish()?;
    let length = match hash {
        Hash::Sha256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    };
    if mask_hash == hash && salt == length { Ok(hash) } else { Err(DerError) }
}
