//! One public key of an OpenPGP certificate, verifying with the project's own cryptography.
//!
//! rPGP parses and hashes; the signature over the digest is checked here. Keys that are too weak or of
//! an unknown kind verify nothing.

use std::{io::Write, sync::OnceLock};

use aws_lc_rs::{
    digest,
    signature::{self, ParsedPublicKey, VerificationAlgorithm},
};
use der::{Encode as _, asn1::UintRef};
use pgp::{
    crypto::{hash::HashAlgorithm, public_key::PublicKeyAlgorithm},
    errors::Result as PgpResult,
    packet::{PublicKey, PublicSubkey},
    ser::Serialize,
    types::{
        EcdsaPublicParams, EddsaLegacyPublicParams, Fingerprint, KeyDetails, KeyId, KeyVersion, Mpi,
        PublicParams, SignatureBytes, Timestamp, VerifyingKey,
    },
};

/// RSA moduli that count, in bytes: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A primary key or subkey, ready to verify; shared freely between threads.
#[derive(Debug)]
pub(super) struct Key {
    packet: Packet,
    fingerprint: Fingerprint,
    key_id: KeyId,
    material: Option<Material>,
    /// By digest: SHA-256, SHA-384, SHA-512, SHA-1. `None` inside where the pair does not exist.
    parsed: [OnceLock<Option<ParsedPublicKey>>; 4],
}

#[derive(Clone, Debug)]
enum Packet {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

/// What a signature is checked with.
#[derive(Debug)]
enum Material {
    /// DER `RSAPublicKey` (RFC 8017 §A.1.1) and the length of the modulus in bytes.
    Rsa(Vec<u8>, usize),
    /// The uncompressed point.
    Ecdsa(Curve, Vec<u8>),
    Ed25519([u8; 32]),
    /// Not in aws-lc-rs: rPGP's own.
    Ed448,
}

#[derive(Clone, Copy, Debug)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Key {
    pub(super) fn primary(packet: PublicKey) -> Option<Self> {
        Self::new(Packet::Primary(packet))
    }

    pub(super) fn subkey(packet: PublicSubkey) -> Option<Self> {
        Self::new(Packet::Subkey(packet))
    }

    /// `None` for versions other than 4 and 6.
    fn new(packet: Packet) -> Option<Self> {
        let details = packet.details();
        if !matches!(details.version(), KeyVersion::V4 | KeyVersion::V6) {
            return None;
        }
        let (fingerprint, key_id) = (details.fingerprint(), details.legacy_key_id());
        let material = material(details.public_params());
        Some(Self { packet, fingerprint, key_id, material, parsed: Default::default() })
    }

    /// Whether the key is of a kind and size that counts.
    pub(super) fn is_strong(&self) -> bool {
        self.material.is_some()
    }

    /// Whether a signature by this key over a digest of `hash` can be checked at all.
    pub(super) fn takes(&self, hash: HashAlgorithm) -> bool {
        match self.material {
            None => false,
            Some(Material::Rsa(..) | Material::Ecdsa(..)) => self.parsed(hash).is_some(),
            Some(Material::Ed25519(_) | Material::Ed448) => true,
        }
    }

    pub(super) fn created(&self) -> i64 {
        i64::from(self.created_at().as_secs())
    }

    /// The fingerprint in upper-case hexadecimal.
    pub(super) fn fingerprint_text(&self) -> String {
        hex::encode_upper(self.fingerprint.as_bytes())
    }

    pub(super) fn key_id(&self) -> [u8; 8] {
        self.key_id.as_ref().try_into().unwrap_or_default()
    }

    fn parsed(&self, hash: HashAlgorithm) -> Option<&ParsedPublicKey> {
        let index = hash_index(hash)?;
        let parse = || {
            let (algorithm, bytes): (&'static dyn VerificationAlgorithm, &[u8]) =
                match self.material.as_ref()? {
                    Material::Rsa(der, _) => (
                        match index {
                            0 => &signature::RSA_PKCS1_2048_8192_SHA256,
                            1 => &signature::RSA_PKCS1_2048_8192_SHA384,
                            2 => &signature::RSA_PKCS1_2048_8192_SHA512,
                            _ => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
                        },
                        der,
                    ),
                    Material::Ecdsa(curve, point) => (
                        match (curve, index) {
                            (Curve::P256, 0) => &signature::ECDSA_P256_SHA256_ASN1,
                            (Curve::P256, 1) => &signature::ECDSA_P256_SHA384_ASN1,
                            (Curve::P256, 2) => &signature::ECDSA_P256_SHA512_ASN1,
                            (Curve::P384, 0) => &signature::ECDSA_P384_SHA256_ASN1,
                            (Curve::P384, 1) => &signature::ECDSA_P384_SHA384_ASN1,
                            (Curve::P384, 2) => &signature::ECDSA_P384_SHA512_ASN1,
                            (Curve::P521, 0) => &signature::ECDSA_P521_SHA256_ASN1,
                            (Curve::P521, 1) => &signature::ECDSA_P521_SHA384_ASN1,
                            (Curve::P521, 2) => &signature::ECDSA_P521_SHA512_ASN1,
                            _ => return None,
                        },
                        point,
                    ),
                    Material::Ed25519(_) | Material::Ed448 => return None,
                };
            ParsedPublicKey::new(algorithm, bytes).ok()
        };
        self.parsed[index].get_or_init(parse).as_ref()
    }

    fn verifies(&self, hash: HashAlgorithm, digest: &[u8], signature: &SignatureBytes) -> Option<()> {
        match self.material.as_ref()? {
            Material::Rsa(_, length) => {
                let [value] = mpis(signature)? else { return None };
                let value = padded(value, *length)?;
                self.parsed(hash)?.verify_digest_sig(&import(hash, digest)?, &value).ok()
            }
            Material::Ecdsa(..) => {
                let [r, s] = mpis(signature)? else { return None };
                let signature = sequence(r.as_ref(), s.as_ref())?;
                self.parsed(hash)?.verify_digest_sig(&import(hash, digest)?, &signature).ok()
            }
            Material::Ed25519(key) => {
                let bytes = match signature {
                    SignatureBytes::Native(bytes) => bytes.to_vec(),
                    SignatureBytes::Mpis(mpis) => {
                        let [r, s] = &mpis[..] else { return None };
                        [padded(r, 32)?, padded(s, 32)?].concat()
                    }
                };
                signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(digest, &bytes).ok()
            }
            Material::Ed448 => match &self.packet {
                Packet::Primary(key) => key.verify(hash, digest, signature).ok(),
                Packet::Subkey(key) => key.verify(hash, digest, signature).ok(),
            },
        }
    }
}

fn hash_index(hash: HashAlgorithm) -> Option<usize> {
    match hash {
        HashAlgorithm::Sha256 => Some(0),
        HashAlgorithm::Sha384 => Some(1),
        HashAlgorithm::Sha512 => Some(2),
        HashAlgorithm::Sha1 => Some(3),
        _ => None,
    }
}

fn import(hash: HashAlgorithm, bytes: &[u8]) -> Option<digest::Digest> {
    let algorithm = match hash {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
        HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        _ => return None,
    };
    digest::Digest::import_less_safe(bytes, algorithm).ok()
}

fn mpis(signature: &SignatureBytes) -> Option<&[Mpi]> {
    match signature {
        SignatureBytes::Mpis(mpis) => Some(mpis),
        SignatureBytes::Native(_) => None,
    }
}

/// `value` with the leading zeros that an MPI leaves out.
fn padded(value: &Mpi, length: usize) -> Option<Vec<u8>> {
    let missing = length.checked_sub(value.len())?;
    Some([&vec![0; missing][..], value.as_ref()].concat())
}

/// DER `SEQUENCE { INTEGER, INTEGER }`.
fn sequence(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    #[derive(der::Sequence)]
    struct Pair<'a> {
        one: UintRef<'a>,
        other: UintRef<'a>,
    }
    Pair { one: UintRef::new(one).ok()?, other: UintRef::new(other).ok()? }.to_der().ok()
}

/// The key material, from the encoding of the algorithm-specific fields (RFC 9580 §5.5.5).
fn material(params: &PublicParams) -> Option<Material> {
    let encoded = params.to_bytes().ok()?;
    match params {
        PublicParams::RSA(_) => {
            let (modulus, rest) = mpi(&encoded)?;
            let (exponent, _) = mpi(rest)?;
            RSA_BYTES.contains(&modulus.len()).then_some(())?;
            Some(Material::Rsa(sequence(modulus, exponent)?, modulus.len()))
        }
        PublicParams::ECDSA(params) => {
            let curve = match params {
                EcdsaPublicParams::P256 { .. } => Curve::P256,
                EcdsaPublicParams::P384 { .. } => Curve::P384,
                EcdsaPublicParams::P521 { .. } => Curve::P521,
                _ => return None,
            };
            Some(Material::Ecdsa(curve, mpi(behind_curve(&encoded)?)?.0.to_vec()))
        }
        // 0x40 marks a native point (RFC 9580 §11.2.2).
        PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. }) => {
            match mpi(behind_curve(&encoded)?)?.0 {
                [0x40, key @ ..] => Some(Material::Ed25519(key.try_into().ok()?)),
                _ => None,
            }
        }
        PublicParams::Ed25519(_) => Some(Material::Ed25519(encoded.try_into().ok()?)),
        PublicParams::Ed448(_) => Some(Material::Ed448),
        _ => None,
    }
}

fn behind_curve(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first()?;
    rest.get(usize::from(*length)..)
}

fn mpi(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bits, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*bits)).div_ceil(8))
}

impl VerifyingKey for Key {
    fn verify(&self, hash: HashAlgorithm, digest: &[u8], signature: &SignatureBytes) -> PgpResult<()> {
        self.verifies(hash, digest, signature)
            .ok_or_else(|| std::io::Error::other("the signature does not match").into())
    }
}

impl Serialize for Key {
    fn to_writer<W: Write>(&self, writer: &mut W) -> PgpResult<()> {
        match &self.packet {
            Packet::Primary(key) => key.to_writer(writer),
            Packet::Subkey(key) => key.to_writer(writer),
        }
    }

    fn write_len(&self) -> usize {
        match &self.packet {
            Packet::Primary(key) => key.write_len(),
            Packet::Subkey(key) => key.write_len(),
        }
    }
}

impl Packet {
    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(key) => key,
            Self::Subkey(key) => key,
        }
    }
}

impl KeyDetails for Key {
    fn version(&self) -> KeyVersion {
        self.packet.details().version()
    }

    fn legacy_key_id(&self) -> KeyId {
        self.key_id
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn algorithm(&self) -> PublicKeyAlgorithm {
        self.packet.details().algorithm()
    }

    fn created_at(&self) -> Timestamp {
        self.packet.details().created_at()
    }

    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        self.packet.details().legacy_v3_expiration_days()
    }

    fn public_params(&self) -> &PublicParams {
        self.packet.details().public_params()
    }
}
