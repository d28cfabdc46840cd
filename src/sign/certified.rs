//! A signature by a key whose certificate is there already: S/MIME, without Sigstore.
//!
//! The envelope is the same CMS, without evidence: it states its time, and whose the certificate is, an authority
//! of X.509 says that the verifier's policy names. Nobody is asked for anything.

use super::sha256;
use crate::{
    encoding::{cms::SignedData, x509::Slices},
    key::{KeyError, SigningKey},
    signature::{
        armor,
        emit::{EmitError, Evidence, SignedAttributes, detached_signature_with_chain},
        smime::is_keyless,
    },
};

/// Why there is no such signature. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertifiedError {
    /// There is no certificate, or one that cannot be read.
    #[error("the certificate cannot be read")]
    Certificate,
    /// The parts do not fit together.
    #[error("the signature cannot be put together: {0}")]
    Emit(#[from] EmitError),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate is one of Sigstore's, which counts with a log entry or timestamp only.
    #[error("the certificate is one of Sigstore's, which proves nothing without a log entry or timestamp")]
    Keyless,
    /// The certificate is for another key.
    #[error("the certificate is for another key")]
    OtherKey,
    /// The certificate is not valid now.
    #[error("the certificate is not valid now")]
    Window,
}

/// The armored signature over `payload` by `key`, at `now` (seconds since 1970; stated), with the certificates of
/// `chain` (DER), its own first.
///
/// # Errors
/// [`CertifiedError`].
pub fn sign_certified(
    key: &dyn SigningKey,
    chain: &[Vec<u8>],
    payload: &[u8],
    now: i64,
) -> Result<Vec<u8>, CertifiedError> {
    let leaf = chain.first().ok_or(CertifiedError::Certificate)?;
    let slices = Slices::parse(leaf).map_err(|_| CertifiedError::Certificate)?;
    if slices.spki != key.spki()? {
        return Err(CertifiedError::OtherKey);
    }
    if now < slices.not_before || now > slices.not_after {
        return Err(CertifiedError::Window);
    }
    let attributes = SignedAttributes::new(&sha256(payload), now)?;
    let signature = key.sign(attributes.as_der())?;
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let der = detached_signature_with_chain(&attributes, &signature, &chain, Evidence::default())?;
    let parsed = SignedData::parse(&der).map_err(|_| CertifiedError::Certificate)?;
    if is_keyless(&parsed) {
        return Err(CertifiedError::Keyless);
    }
    Ok(armor::encode(&der))
}
