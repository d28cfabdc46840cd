//! A public key bound to the one signature algorithm that it is used with.

use aws_lc_rs::{
    digest,
    signature::{self, ParsedPublicKey, VerificationAlgorithm},
};

use crate::encoding::{
    cms::Algorithm,
    der::{self, ObjectIdentifier, Tag},
};

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// The sizes of RSA keys that signatures are verified with. With another size every signature would look wrong.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The hash that goes with a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        self.of_segments(&[bytes])
    }

    /// The digest over several slices, as if they were one.
    #[must_use]
    pub fn of_segments(self, segments: &[&[u8]]) -> Vec<u8> {
        let mut context = digest::Context::new(match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        });
        segments.iter().for_each(|segment| context.update(segment));
        context.finish().as_ref().to_vec()
    }
}

/// A family of signature algorithms, whatever the curve or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ECDSA.
    Ecdsa,
    /// Ed25519.
    Ed25519,
    /// RSA PKCS #1 v1.5.
    Rsa,
}

/// What kind of key a SubjectPublicKeyInfo holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519 (hashes by itself).
    Ed25519,
    /// RSA, PKCS #1 v1.5.
    Rsa,
}

impl KeyKind {
    /// The family of signatures that such a key makes.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::P256 | Self::P384 | Self::P521 => Family::Ecdsa,
            Self::Ed25519 => Family::Ed25519,
            Self::Rsa => Family::Rsa,
        }
    }
}

/// The key cannot be read, or is of a kind that is not used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public key is malformed or of an unknown kind")]
pub struct KeyError;

/// A public key ready to verify; shared freely between threads.
#[derive(Clone, Debug)]
pub struct PublicKey {
    kind: KeyKind,
    key: ParsedPublicKey,
}

impl PublicKey {
    /// The key in `spki` (DER SubjectPublicKeyInfo) for signatures over `hash`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_spki(spki: &[u8], hash: Hash) -> Result<Self, KeyError> {
        let (kind, point) = parts(spki).map_err(|_| KeyError)?;
        let algorithm: &'static dyn VerificationAlgorithm = match (kind, hash) {
            (KeyKind::P256, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyKind::P256, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyKind::P256, Hash::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
            (KeyKind::P384, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyKind::P384, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
            (KeyKind::P384, Hash::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
            (KeyKind::P521, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
            (KeyKind::P521, Hash::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
            (KeyKind::P521, Hash::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
            (KeyKind::Ed25519, _) => &signature::ED25519,
            (KeyKind::Rsa, Hash::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa, Hash::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa, Hash::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        };
        let key = ParsedPublicKey::new(algorithm, point).map_err(|_| KeyError)?;
        Ok(Self { kind, key })
    }

    /// The RSA key in `spki` for RSASSA-PSS over `hash`, with a salt as long as the digest.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn pss_from_spki(spki: &[u8], hash: Hash) -> Result<Self, KeyError> {
        let Ok((KeyKind::Rsa, key)) = parts(spki) else { return Err(KeyError) };
        let algorithm: &'static dyn VerificationAlgorithm = match hash {
            Hash::Sha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Hash::Sha384 => &signature::RSA_PSS_2048_8192_SHA384,
            Hash::Sha512 => &signature::RSA_PSS_2048_8192_SHA512,
        };
        let key = ParsedPublicKey::new(algorithm, key).map_err(|_| KeyError)?;
        Ok(Self { kind: KeyKind::Rsa, key })
    }

    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether `signature` over `message` is by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

/// The kind of key and the bits of the BIT STRING in a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
fn parts(spki: &[u8]) -> Result<(KeyKind, &[u8]), der::DerError> {
    let mut walk = der::only(spki, Tag::Sequence)?.walk();
    let mut algorithm = walk.expect(Tag::Sequence)?.walk();
    let bits = walk.expect(Tag::BitString)?.value;
    walk.finish()?;
    let identifier = algorithm.expect(Tag::ObjectIdentifier)?.value;
    let is = |wanted: &ObjectIdentifier, value: &[u8]| value == wanted.as_bytes();
    let kind = if is(&ID_EC_PUBLIC_KEY, identifier) {
        match algorithm.expect(Tag::ObjectIdentifier)?.value {
            curve if is(&SECP256R1, curve) => KeyKind::P256,
            curve if is(&SECP384R1, curve) => KeyKind::P384,
            curve if is(&SECP521R1, curve) => KeyKind::P521,
            _ => return Err(der::DerError),
        }
    } else if is(&ID_ED25519, identifier) {
        KeyKind::Ed25519
    } else if is(&RSA_ENCRYPTION, identifier) {
        algorithm.expect(Tag::Null)?;
        KeyKind::Rsa
    } else {
        return Err(der::DerError);
    };
    algorithm.finish()?;
    match bits {
        [0, key @ ..] if kind != KeyKind::Rsa || RSA_BITS.contains(&modulus_bits(key)?) => Ok((kind, key)),
        _ => Err(der::DerError),
    }
}

/// The length of the modulus in an RSAPublicKey (RFC 8017 appendix A.1.1).
fn modulus_bits(key: &[u8]) -> Result<usize, der::DerError> {
    let modulus = der::only(key, Tag::Sequence)?.walk().expect(Tag::Integer)?.value;
    let significant = modulus.iter().position(|byte| *byte != 0).ok_or(der::DerError)?;
    Ok((modulus.len() - significant) * 8 - modulus[significant].leading_zeros() as usize)
}

/// The key family and hash that a signature algorithm identifier stands for (RFC 5758, RFC 4055,
/// RFC 8410). `rsaEncryption` leaves the hash to the digest algorithm beside it.
#[must_use]
pub fn signature_hash(algorithm: &Algorithm<'_>, digest: Option<Hash>) -> Option<(Family, Hash)> {
    const TABLE: [(ObjectIdentifier, Family, Option<Hash>); 8] = [
        (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), Family::Ecdsa, Some(Hash::Sha256)),
        (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), Family::Ecdsa, Some(Hash::Sha384)),
        (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), Family::Ecdsa, Some(Hash::Sha512)),
        (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), Family::Rsa, Some(Hash::Sha256)),
        (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), Family::Rsa, Some(Hash::Sha384)),
        (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), Family::Rsa, Some(Hash::Sha512)),
        (RSA_ENCRYPTION, Family::Rsa, None),
        (ID_ED25519, Family::Ed25519, Some(Hash::Sha512)),
    ];
    TABLE
        .iter()
        .find(|(identifier, family, _)| {
            // Only RSA has the choice between NULL and nothing (RFC 4055 §5, RFC 5758 §3.2, RFC 8410 §3).
            algorithm.is(identifier) && (*family == Family::Rsa || algorithm.parameters.is_none())
        })
        .and_then(|(_, family, hash)| Some((*family, hash.or(digest)?)))
}

/// The hash of a digest algorithm identifier (RFC 5754).
#[must_use]
pub fn digest_hash(algorithm: &Algorithm<'_>) -> Option<Hash> {
    const TABLE: [(ObjectIdentifier, Hash); 3] = [
        (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"), Hash::Sha256),
        (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"), Hash::Sha384),
        (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"), Hash::Sha512),
    ];
    TABLE.iter().find(|(identifier, _)| algorithm.is(identifier)).map(|(_, hash)| *hash)
}
