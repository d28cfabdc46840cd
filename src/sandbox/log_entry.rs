//! Entries of kind hashedrekord: what customers propose, the checks that it passes, and the canonical
//! bodies that the logs keep.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use der::{Decode, Encode};
use serde::Deserialize;
use x509_cert::{
    Certificate,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::{
    key::{HashAlgorithm, PublicKey, PublicKeyError, sha256},
    pem,
};

/// The longest signature that is logged, in bytes.
const MAXIMUM_SIGNATURE: usize = 4096;
/// The longest certificate or key that is logged, in bytes: a bundle of entries has room for 65535 a body.
const MAXIMUM_VERIFIER: usize = 16 * 1024;

/// A proposed entry is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProposalError {
    /// The digest is not the output of the hash algorithm.
    #[error("the digest does not have the length of its hash algorithm")]
    DigestLength,
    /// The hash algorithm is not one of the family SHA-2.
    #[error("the hash algorithm is not supported")]
    HashAlgorithm,
    /// The key details do not name the key of the verifier.
    #[error("the key details do not fit the verifier")]
    KeyDetails,
    /// The entry is of another kind or version.
    #[error("the kind or version of the entry is not supported")]
    Kind,
    /// The JSON does not hold what an entry needs.
    #[error("the entry could not be read")]
    Malformed,
    /// The signature does not verify, or is too long.
    #[error("the signature does not verify with the certificate or key")]
    Signature,
    /// The verifier is neither a certificate nor a public key of a kind that is known.
    #[error("the certificate or key could not be read")]
    Verifier,
}

/// What a signature is checked with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verifier {
    /// An X.509 certificate, DER.
    Certificate(Vec<u8>),
    /// A SubjectPublicKeyInfo, DER.
    PublicKey(Vec<u8>),
}

impl Verifier {
    fn public_key(&self) -> Result<PublicKey, ProposalError> {
        let (Self::Certificate(der) | Self::PublicKey(der)) = self;
        if der.len() > MAXIMUM_VERIFIER {
            return Err(ProposalError::Verifier);
        }
        let spki = match self {
            Self::Certificate(der) => Certificate::from_der(der)
                .and_then(|certificate| certificate.tbs_certificate.subject_public_key_info.to_der())
                .map_err(|_| ProposalError::Verifier)?,
            Self::PublicKey(der) => der.clone(),
        };
        PublicKey::from_spki(&spki).map_err(|_| ProposalError::Verifier)
    }

    fn to_pem(&self) -> String {
        match self {
            Self::Certificate(der) => pem::encode("CERTIFICATE", der),
            Self::PublicKey(der) => pem::encode("PUBLIC KEY", der),
        }
    }

    fn from_pem(text: &[u8]) -> Option<Self> {
        match pem::decode(text)? {
            (label, der) if label == "CERTIFICATE" => Some(Self::Certificate(der)),
            (label, der) if label == "PUBLIC KEY" => Some(Self::PublicKey(der)),
            _ => None,
        }
    }
}

/// A signature over a digest, as it goes into a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashedRekord {
    /// The hash that was signed over.
    pub algorithm: HashAlgorithm,
    /// Its value.
    pub digest: Vec<u8>,
    /// The signature; ECDSA in DER.
    pub signature: Vec<u8>,
    /// Who signed.
    pub verifier: Verifier,
}

impl HashedRekord {
    /// A signature with a certificate (DER) over a SHA-256 digest.
    pub fn new(digest: [u8; 32], signature: &[u8], certificate: &[u8]) -> Self {
        Self {
            algorithm: HashAlgorithm::Sha256,
            digest: digest.to_vec(),
            signature: signature.to_vec(),
            verifier: Verifier::Certificate(certificate.to_vec()),
        }
    }

    /// Reads Rekor v1's proposed entry.
    pub(super) fn from_v1(json: &[u8]) -> Result<Self, ProposalError> {
        let proposed: ProposedV1 = serde_json::from_slice(json).map_err(|_| ProposalError::Malformed)?;
        if proposed.kind != "hashedrekord" || proposed.api_version != "0.0.1" {
            return Err(ProposalError::Kind);
        }
        let spec: SpecV1 = serde_json::from_value(proposed.spec).map_err(|_| ProposalError::Malformed)?;
        let key = decode(&spec.signature.public_key.content)?;
        Ok(Self {
            algorithm: HashAlgorithm::from_name(&spec.data.hash.algorithm)
                .ok_or(ProposalError::HashAlgorithm)?,
            digest: hex::decode(&spec.data.hash.value).map_err(|_| ProposalError::Malformed)?,
            signature: decode(&spec.signature.content)?,
            verifier: Verifier::from_pem(&key).ok_or(ProposalError::Verifier)?,
        })
    }

    /// Reads Rekor v2's request.
    pub(super) fn from_v2(json: &[u8]) -> Result<Self, ProposalError> {
        let request: RequestV2 = serde_json::from_slice(json).map_err(|_| ProposalError::Malformed)?;
        let request = request.request.ok_or(ProposalError::Kind)?;
        let verifier = request.signature.verifier;
        let (named, verifier) = match (verifier.x509_certificate, verifier.public_key) {
            (Some(certificate), None) => {
                (verifier.key_details, Verifier::Certificate(decode(&certificate.raw_bytes)?))
            }
            (None, Some(key)) => (verifier.key_details, Verifier::PublicKey(decode(&key.raw_bytes)?)),
            _ => return Err(ProposalError::Malformed),
        };
        if verifier.public_key()?.key_details() != Some(named.as_str()) {
            return Err(ProposalError::KeyDetails);
        }
        let algorithm = match named.as_str() {
            "PKIX_ECDSA_P384_SHA_384" => HashAlgorithm::Sha384,
            _ => HashAlgorithm::Sha256,
        };
        let digest = decode(&request.digest)?;
        Ok(Self { algorithm, digest, signature: decode(&request.signature.content)?, verifier })
    }

    /// Checks that the digest has its length and that the signature verifies over it.
    pub fn check(&self) -> Result<(), ProposalError> {
        if self.digest.len() != self.algorithm.digest().output_len() {
            return Err(ProposalError::DigestLength);
        }
        if self.signature.len() > MAXIMUM_SIGNATURE {
            return Err(ProposalError::Signature);
        }
        let key = self.verifier.public_key()?;
        key.verify_digest(self.algorithm, &self.digest, &self.signature).map_err(|error| match error {
            PublicKeyError::BadSignature => ProposalError::Signature,
            PublicKeyError::Malformed | PublicKeyError::Unsupported => ProposalError::Verifier,
        })
    }

    /// The canonical body of hashedrekord 0.0.1: keys in alphabetical order, no white space.
    pub fn body_v1(&self) -> Vec<u8> {
        format!(
            concat!(
                r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"{}","#,
                r#""value":"{}"}}}},"signature":{{"content":"{}","publicKey":{{"content":"{}"}}}}}}}}"#
            ),
            self.algorithm.name(),
            hex::encode(&self.digest),
            STANDARD.encode(&self.signature),
            STANDARD.encode(self.verifier.to_pem()),
        )
        .into_bytes()
    }

    /// The canonical body of hashedrekord 0.0.2; `None` for keys that Rekor v2 has no name for.
    pub fn body_v2(&self) -> Option<Vec<u8>> {
        let algorithm = match self.algorithm {
            HashAlgorithm::Sha256 => "SHA2_256",
            HashAlgorithm::Sha384 => "SHA2_384",
            HashAlgorithm::Sha512 => "SHA2_512",
        };
        let (kind, der) = match &self.verifier {
            Verifier::Certificate(der) => ("x509Certificate", der),
            Verifier::PublicKey(der) => ("publicKey", der),
        };
        let details = self.verifier.public_key().ok()?.key_details()?;
        // protobuf's canonical JSON, keys in alphabetical order: "keyDetails" < "publicKey" < "x509Certificate"
        let body = format!(
            concat!(
                r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"#,
                r#""algorithm":"{}","digest":"{}"}},"signature":{{"content":"{}","verifier":{{"#,
                r#""keyDetails":"{}","{}":{{"rawBytes":"{}"}}}}}}}}}}}}"#
            ),
            algorithm,
            STANDARD.encode(&self.digest),
            STANDARD.encode(&self.signature),
            details,
            kind,
            STANDARD.encode(der),
        );
        Some(body.into_bytes())
    }

    /// The keys under which Rekor's search index finds the entry.
    pub(super) fn index_keys(&self) -> Vec<String> {
        let mut keys = vec![
            format!("{}:{}", self.algorithm.name(), hex::encode(&self.digest)),
            hex::encode(sha256(self.verifier.to_pem().as_bytes())),
        ];
        if let Verifier::Certificate(der) = &self.verifier
            && let Ok(certificate) = Certificate::from_der(der)
            && let Ok(Some((_, names))) = certificate.tbs_certificate.get::<SubjectAltName>()
        {
            keys.extend(names.0.iter().filter_map(|name| match name {
                GeneralName::Rfc822Name(text) => Some(text.to_string().to_lowercase()),
                GeneralName::UniformResourceIdentifier(text) => Some(text.to_string().to_lowercase()),
                _ => None,
            }));
        }
        keys
    }

    /// Reads a canonical body of hashedrekord 0.0.1 back.
    pub(super) fn from_body_v1(body: &[u8]) -> Result<Self, ProposalError> {
        Self::from_v1(body)
    }
}

/// The search key of a certificate or public key in PEM.
pub(super) fn index_key_of_pem(text: &[u8]) -> Option<String> {
    Some(hex::encode(sha256(Verifier::from_pem(text)?.to_pem().as_bytes())))
}

fn decode(text: &str) -> Result<Vec<u8>, ProposalError> {
    STANDARD.decode(text).map_err(|_| ProposalError::Malformed)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProposedV1 {
    api_version: String,
    kind: String,
    spec: serde_json::Value,
}

#[derive(Deserialize)]
struct SpecV1 {
    data: DataV1,
    signature: SignatureV1,
}

#[derive(Deserialize)]
struct DataV1 {
    hash: HashV1,
}

#[derive(Deserialize)]
struct HashV1 {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignatureV1 {
    content: String,
    public_key: ContentV1,
}

#[derive(Deserialize)]
struct ContentV1 {
    content: String,
}

#[derive(Deserialize)]
struct RequestV2 {
    #[serde(rename = "hashedRekordRequestV002")]
    request: Option<HashedRekordRequestV2>,
}

#[derive(Deserialize)]
struct HashedRekordRequestV2 {
    digest: String,
    signature: SignatureV2,
}

#[derive(Deserialize)]
struct SignatureV2 {
    content: String,
    verifier: VerifierV2,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerifierV2 {
    key_details: String,
    x509_certificate: Option<RawV2>,
    public_key: Option<RawV2>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawV2 {
    raw_bytes: String,
}
