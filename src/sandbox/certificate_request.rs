//! What a customer of the certificate authority proves before a certificate is issued: that it holds the
//! private key, by a signature over its name or by a certification request (PKCS#10, RFC 2986).

use der::{Decode, Encode};
use x509_cert::{request::CertReq, spki::AlgorithmIdentifierOwned};

use super::{
    key::{PublicKey, PublicKeyError},
    pem,
};

/// A customer did not prove to hold the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum ProofError {
    /// The certification request is not PEM around PKCS#10.
    #[error("the certificate signing request could not be read")]
    RequestMalformed,
    /// The public key is not PEM around a SubjectPublicKeyInfo.
    #[error("the public key could not be read")]
    KeyMalformed,
    /// The key is of a kind that is not certified.
    #[error("the public key is of an unsupported kind")]
    KeyUnsupported,
    /// The signature is not one by the key over what it has to cover.
    #[error("the signature supplied in the request could not be verified")]
    Signature,
}

impl From<PublicKeyError> for ProofError {
    fn from(error: PublicKeyError) -> Self {
        match error {
            PublicKeyError::Malformed => Self::KeyMalformed,
            PublicKeyError::Unsupported => Self::KeyUnsupported,
            PublicKeyError::BadSignature => Self::Signature,
        }
    }
}

/// Checks that `proof` is a signature by the PEM public key over `challenge`, the name in the token.
pub(super) fn from_public_key(key: &str, challenge: &str, proof: &[u8]) -> Result<PublicKey, ProofError> {
    let (label, spki) = pem::decode(key.as_bytes()).ok_or(ProofError::KeyMalformed)?;
    if label != "PUBLIC KEY" {
        return Err(ProofError::KeyMalformed);
    }
    let key = PublicKey::from_spki(&spki)?;
    key.verify(challenge.as_bytes(), proof)?;
    Ok(key)
}

/// Checks that the PEM certification request is signed with the key that is in it.
pub(super) fn from_request(request: &[u8]) -> Result<PublicKey, ProofError> {
    let (label, request) = pem::decode(request).ok_or(ProofError::RequestMalformed)?;
    if label != "CERTIFICATE REQUEST" && label != "NEW CERTIFICATE REQUEST" {
        return Err(ProofError::RequestMalformed);
    }
    let request = CertReq::from_der(&request).map_err(|_| ProofError::RequestMalformed)?;
    let spki = request.info.public_key.to_der().map_err(|_| ProofError::RequestMalformed)?;
    let key = PublicKey::from_spki(&spki)?;
    let signed = request.info.to_der().map_err(|_| ProofError::RequestMalformed)?;
    let signature = request.signature.as_bytes().ok_or(ProofError::RequestMalformed)?;
    verify_with(&request.algorithm, &key, &signed, signature)?;
    Ok(key)
}

/// Checks a signature made with the hash that `algorithm` names, which need not be the key's usual one.
fn verify_with(
    algorithm: &AlgorithmIdentifierOwned,
    key: &PublicKey,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), ProofError> {
    use super::key::HashAlgorithm;
    let hash = match algorithm.oid.to_string().as_str() {
        // ecdsa-with-SHA256, -SHA384, -SHA512 (RFC 5758); sha256-, sha384-, sha512WithRSAEncryption (RFC 8017)
        "1.2.840.10045.4.3.2" | "1.2.840.113549.1.1.11" => HashAlgorithm::Sha256,
        "1.2.840.10045.4.3.3" | "1.2.840.113549.1.1.12" => HashAlgorithm::Sha384,
        "1.2.840.10045.4.3.4" | "1.2.840.113549.1.1.13" => HashAlgorithm::Sha512,
        // id-Ed25519 (RFC 8410)
        "1.3.101.112" => return Ok(key.verify(signed, signature)?),
        _ => return Err(ProofError::KeyUnsupported),
    };
    let value = aws_lc_rs::digest::digest(hash.digest(), signed);
    Ok(key.verify_digest(hash, value.as_ref(), signature)?)
}
