//! Private keys of the authority and public keys of its customers, on aws-lc-rs.

use aws_lc_rs::{
    digest,
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{
        self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use der::{Decode, oid::ObjectIdentifier};
use x509_cert::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

use super::pem;

/// id-ecPublicKey (RFC 5480).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// secp256r1 (RFC 5480).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// secp384r1 (RFC 5480).
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// id-Ed25519 (RFC 8410).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// rsaEncryption (RFC 8017).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// What a [`SigningKey`] signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256; signatures are DER.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384; signatures are DER.
    EcdsaP384,
    /// Ed25519 (RFC 8032); signatures are 64 bytes.
    Ed25519,
}

/// A key that could not be made, read or used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The random source or the key generation failed.
    #[error("a key could not be generated")]
    Generate,
    /// The bytes are no PKCS#8 private key of the wanted algorithm.
    #[error("not a PKCS#8 private key of the expected algorithm")]
    Malformed,
}

/// A private key of the authority, with the public key it belongs to.
pub struct SigningKey {
    algorithm: KeyAlgorithm,
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
    spki: Vec<u8>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a new key.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            KeyAlgorithm::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
            KeyAlgorithm::EcdsaP384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &random),
            KeyAlgorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        }
        .map_err(|_| KeyError::Generate)?;
        Self::from_pkcs8(algorithm, document.as_ref())
    }

    /// Reads a key from PKCS#8 DER.
    pub fn from_pkcs8(algorithm: KeyAlgorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let (pair, spki) = match algorithm {
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => {
                let signing = match algorithm {
                    KeyAlgorithm::EcdsaP256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
                    _ => &ECDSA_P384_SHA384_ASN1_SIGNING,
                };
                let pair = EcdsaKeyPair::from_pkcs8(signing, pkcs8).map_err(|_| KeyError::Malformed)?;
                let spki: PublicKeyX509Der<'_> =
                    pair.public_key().as_der().map_err(|_| KeyError::Malformed)?;
                let spki = spki.as_ref().to_vec();
                (Pair::Ecdsa(pair), spki)
            }
            KeyAlgorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Malformed)?;
                let spki: PublicKeyX509Der<'_> =
                    pair.public_key().as_der().map_err(|_| KeyError::Malformed)?;
                let spki = spki.as_ref().to_vec();
                (Pair::Ed25519(pair), spki)
            }
        };
        Ok(Self { algorithm, pair, pkcs8: Zeroizing::new(pkcs8.to_vec()), spki })
    }

    /// What the key signs with.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Signs `message`; see [`KeyAlgorithm`] for the form of the answer.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&SystemRandom::new(), message)
                .expect("signing with a valid key fails only when the system has no random numbers")
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The private key as PKCS#8 DER.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The public key as PEM, 64 columns, LF.
    pub fn public_key_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki)
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo: the id of a CT log (RFC 6962 section 3.2) and of a Rekor v1 log.
    pub fn key_id(&self) -> [u8; 32] {
        sha256(&self.spki)
    }
}

/// SHA-256 of `data`.
pub(super) fn sha256(data: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, data).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// `N` bytes from the system's random source.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

/// A hash algorithm that a customer may name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The algorithm with the name that Rekor v1 writes, such as `sha256`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha384" => Some(Self::Sha384),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The name that Rekor v1 writes, such as `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    pub(super) fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// A customer's public key was not usable, or what it should have signed it did not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PublicKeyError {
    /// The bytes are no SubjectPublicKeyInfo.
    #[error("the public key is not a SubjectPublicKeyInfo")]
    Malformed,
    /// The key, or the key together with the hash, is of a kind that the authority does not serve.
    #[error("the public key is of an unsupported kind")]
    Unsupported,
    /// The signature does not verify.
    #[error("the signature does not verify with the public key")]
    BadSignature,
}

/// A customer's public key.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    kind: PublicKeyKind,
    spki: Vec<u8>,
    raw: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PublicKeyKind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo; refuses curves, keys and encodings that it does not know.
    pub(super) fn from_spki(spki: &[u8]) -> Result<Self, PublicKeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| PublicKeyError::Malformed)?;
        let kind = match info.algorithm.oid {
            EC_PUBLIC_KEY => match info.algorithm.parameters_oid() {
                Ok(P256) => PublicKeyKind::P256,
                Ok(P384) => PublicKeyKind::P384,
                _ => return Err(PublicKeyError::Unsupported),
            },
            ED25519 => PublicKeyKind::Ed25519,
            RSA => PublicKeyKind::Rsa,
            _ => return Err(PublicKeyError::Unsupported),
        };
        let raw = info.subject_public_key.as_bytes().ok_or(PublicKeyError::Malformed)?.to_vec();
        let key = Self { kind, spki: spki.to_vec(), raw };
        UnparsedPublicKey::new(key.verification(HashAlgorithm::Sha256)?, &key.raw)
            .parse()
            .map_err(|_| PublicKeyError::Malformed)?;
        Ok(key)
    }

    /// The key as DER SubjectPublicKeyInfo.
    pub(super) fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Checks a signature over `message` with the hash that is usual for the key: SHA-384 for P-384, SHA-256 else.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), PublicKeyError> {
        let hash =
            if self.kind == PublicKeyKind::P384 { HashAlgorithm::Sha384 } else { HashAlgorithm::Sha256 };
        UnparsedPublicKey::new(self.verification(hash)?, &self.raw)
            .verify(message, signature)
            .map_err(|_| PublicKeyError::BadSignature)
    }

    /// Checks a signature over a message of which only the hash is known.
    pub(super) fn verify_digest(
        &self,
        hash: HashAlgorithm,
        value: &[u8],
        signature: &[u8],
    ) -> Result<(), PublicKeyError> {
        if self.kind == PublicKeyKind::Ed25519 {
            return Err(PublicKeyError::Unsupported);
        }
        let value = digest::Digest::import_less_safe(value, hash.digest())
            .map_err(|_| PublicKeyError::BadSignature)?;
        UnparsedPublicKey::new(self.verification(hash)?, &self.raw)
            .verify_digest(&value, signature)
            .map_err(|_| PublicKeyError::BadSignature)
    }

    /// Sigstore's `PublicKeyDetails` for the key with SHA-256, or SHA-384 for P-384.
    pub(super) fn key_details(&self) -> Option<&'static str> {
        match self.kind {
            PublicKeyKind::P256 => Some("PKIX_ECDSA_P256_SHA_256"),
            PublicKeyKind::P384 => Some("PKIX_ECDSA_P384_SHA_384"),
            PublicKeyKind::Ed25519 | PublicKeyKind::Rsa => None,
        }
    }

    fn verification(
        &self,
        hash: HashAlgorithm,
    ) -> Result<&'static dyn VerificationAlgorithm, PublicKeyError> {
        Ok(match (self.kind, hash) {
            (PublicKeyKind::P256, HashAlgorithm::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
            (PublicKeyKind::P256, HashAlgorithm::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
            (PublicKeyKind::P256, HashAlgorithm::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
            (PublicKeyKind::P384, HashAlgorithm::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
            (PublicKeyKind::P384, HashAlgorithm::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
            (PublicKeyKind::P384, HashAlgorithm::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
            (PublicKeyKind::Rsa, HashAlgorithm::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (PublicKeyKind::Rsa, HashAlgorithm::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (PublicKeyKind::Rsa, HashAlgorithm::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (PublicKeyKind::Ed25519, _) => &signature::ED25519,
        })
    }
}
