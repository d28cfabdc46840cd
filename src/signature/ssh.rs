//! SSH signatures as git stores them: SSHSIG (OpenSSH's PROTOCOL.sshsig) in its armor.
//!
//! Bytes to claims; nothing here is trusted. One legal spelling of each field, nothing left over.

mod certificate;
mod key;
mod revocation;
pub(crate) mod wire;

use aws_lc_rs::digest;

pub use certificate::Certificate;
pub use key::{Curve, KeyKind, Material, PublicKey, line_blob, line_fingerprint};
pub use revocation::{RevocationError, Revocations};

use super::{FormatError, armor};
use wire::{Reader, write_string};

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// `ssh-keygen` writes 70 columns; libraries that share their armor with PEM write its 64.
const WIDTHS: [usize; 2] = [64, 70];
const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;

/// The hash over the message, of the two that PROTOCOL.sshsig knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageHash {
    /// `sha256`.
    Sha256,
    /// `sha512`.
    Sha512,
}

impl MessageHash {
    /// The name in the signature.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn of(self, segments: &[&[u8]]) -> digest::Digest {
        let mut context = digest::Context::new(match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        });
        for segment in segments {
            context.update(segment);
        }
        context.finish()
    }
}

/// The algorithms of signatures that are used; `ssh-rsa`, which is SHA-1, is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// The one algorithm of a key that is not RSA; it bears the key type's name.
    OfKey(KeyKind),
    /// `rsa-sha2-256`.
    RsaSha256,
    /// `rsa-sha2-512`.
    RsaSha512,
}

impl SignatureAlgorithm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "rsa-sha2-256" => Some(Self::RsaSha256),
            "rsa-sha2-512" => Some(Self::RsaSha512),
            _ => KeyKind::of_key(name).filter(|kind| *kind != KeyKind::Rsa).map(Self::OfKey),
        }
    }

    /// The name in the signature.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OfKey(kind) => kind.name(),
            Self::RsaSha256 => "rsa-sha2-256",
            Self::RsaSha512 => "rsa-sha2-512",
        }
    }
}

/// What a security key says of a signature (PROTOCOL.u2f).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The authenticator's flags.
    pub flags: u8,
    /// How many signatures it says that it has made.
    pub counter: u32,
}

impl Presence {
    /// Somebody touched it.
    #[must_use]
    pub fn is_present(self) -> bool {
        self.flags & 0x01 != 0
    }

    /// It knew who did, by PIN or finger.
    #[must_use]
    pub fn is_verified(self) -> bool {
        self.flags & 0x04 != 0
    }
}

/// A signature as such, by a key or by a certificate's authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureBlob<'a> {
    /// By which algorithm.
    pub algorithm: SignatureAlgorithm,
    /// For ECDSA two `mpint`s, else the bytes as they are verified.
    pub bytes: &'a [u8],
    /// For security keys alone.
    pub presence: Option<Presence>,
}

impl<'a> SignatureBlob<'a> {
    fn parse(blob: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(blob, FormatError::Ssh);
        let algorithm = SignatureAlgorithm::named(reader.name()?).ok_or(FormatError::Algorithm)?;
        let bytes = reader.string()?;
        let presence = match algorithm {
            SignatureAlgorithm::OfKey(kind) if kind.is_security_key() => {
                Some(Presence { flags: reader.byte()?, counter: reader.uint32()? })
            }
            _ => None,
        };
        reader.finish()?;
        Ok(Self { algorithm, bytes, presence })
    }

    /// The two numbers of an ECDSA signature, each filled up to the length of a coordinate (the fixed
    /// form of PKCS #11).
    ///
    /// # Errors
    /// [`FormatError::Ssh`] where they are not two shortest positive `mpint`s that fit.
    pub fn fixed_ecdsa(&self, curve: Curve) -> Result<Vec<u8>, FormatError> {
        let mut reader = Reader::new(self.bytes, FormatError::Ssh);
        let numbers = [reader.positive()?, reader.positive()?];
        reader.finish()?;
        let length = curve.coordinate_bytes();
        let mut fixed = Vec::with_capacity(2 * length);
        for number in numbers {
            let filling = length.checked_sub(number.len()).ok_or(FormatError::Ssh)?;
            fixed.resize(fixed.len() + filling, 0);
            fixed.extend_from_slice(number);
        }
        Ok(fixed)
    }
}

/// An SSH signature that was read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSignature<'a> {
    /// The key that signed, also where a certificate names it.
    pub key: PublicKey<'a>,
    /// The certificate, if one came instead of the bare key.
    pub certificate: Option<Certificate<'a>>,
    /// What the signature was made for; `git` in git.
    pub namespace: &'a str,
    /// The hash over the message.
    pub hash: MessageHash,
    /// The signature itself.
    pub signature: SignatureBlob<'a>,
    key_blob: &'a [u8],
}

/// The bytes inside the armor.
///
/// # Errors
/// [`FormatError::TooLarge`], [`FormatError::TrailingBytes`], [`FormatError::Armor`].
pub fn decode(armor: &[u8]) -> Result<Vec<u8>, FormatError> {
    armor::decode_block(armor, BEGIN, END, &WIDTHS)
}

impl<'a> SshSignature<'a> {
    /// Read what [`decode`] gave.
    ///
    /// # Errors
    /// Whatever is unknown, malformed or left over, each with its own cause.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes, FormatError::Ssh);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(FormatError::Ssh);
        }
        if reader.uint32()? != VERSION {
            return Err(FormatError::Version);
        }
        let key_blob = reader.string()?;
        let (key, certificate) = parse_signer(key_blob)?;
        let namespace = reader.name()?;
        if namespace.is_empty() || !reader.string()?.is_empty() {
            return Err(FormatError::Ssh);
        }
        let hash = match reader.name()? {
            "sha256" => MessageHash::Sha256,
            "sha512" => MessageHash::Sha512,
            _ => return Err(FormatError::Algorithm),
        };
        let signature = SignatureBlob::parse(reader.string()?)?;
        reader.finish()?;
        Ok(Self { key, certificate, namespace, hash, signature, key_blob })
    }

    /// What the key signed: the message's hash with all that the signature says of itself.
    #[must_use]
    pub fn signed_data(&self, message: &[&[u8]]) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        write_string(&mut data, self.namespace.as_bytes());
        write_string(&mut data, b"");
        write_string(&mut data, self.hash.name().as_bytes());
        write_string(&mut data, self.hash.of(message).as_ref());
        data
    }

    /// The kind of key, with `-CERT` where a certificate came with it, as `ssh-keygen` prints it.
    #[must_use]
    pub fn key_type(&self) -> String {
        let suffix = if self.certificate.is_some() { "-CERT" } else { "" };
        format!("{}{suffix}", self.key.kind.short_name())
    }
}

/// A key, or a certificate with its key.
fn parse_signer(blob: &[u8]) -> Result<(PublicKey<'_>, Option<Certificate<'_>>), FormatError> {
    let name = Reader::new(blob, FormatError::SshKey).name()?;
    if KeyKind::of_certificate(name).is_some() {
        let (key, certificate) = Certificate::parse(blob)?;
        return Ok((key, Some(certificate)));
    }
    Ok((PublicKey::parse(blob)?, None))
}
