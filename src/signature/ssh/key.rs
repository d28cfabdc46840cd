//! Public keys of SSH: blobs (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709, OpenSSH's PROTOCOL.u2f), the
//! lines that `ssh-keygen` writes, and fingerprints.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use super::wire::{Reader, write_string};
use crate::{encoding::sha256, signature::FormatError};

/// The longest line with a key that is read, in bytes.
const MAXIMUM_LINE_BYTES: usize = 16 * 1024;
/// The RSA keys that are used, in bits of the modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The curve of an ECDSA key (RFC 5656 §10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// The length of one coordinate, in bytes.
    #[must_use]
    pub fn coordinate_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn identifier(self) -> &'static str {
        match self {
            Self::P256 => "nistp256",
            Self::P384 => "nistp384",
            Self::P521 => "nistp521",
        }
    }
}

/// The kinds of key that are used. `ssh-dss` and keys on other curves are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `ecdsa-sha2-nistp256`, `-nistp384`, `-nistp521`.
    Ecdsa(Curve),
    /// `ssh-ed25519`.
    Ed25519,
    /// `ssh-rsa`.
    Rsa,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`.
    SkEcdsa,
    /// `sk-ssh-ed25519@openssh.com`.
    SkEd25519,
}

/// Every kind with the name of its key type and that of its certificates.
const KINDS: [(KeyKind, &str, &str); 7] = [
    (KeyKind::Ecdsa(Curve::P256), "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com"),
    (KeyKind::Ecdsa(Curve::P384), "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com"),
    (KeyKind::Ecdsa(Curve::P521), "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com"),
    (KeyKind::Ed25519, "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"),
    (KeyKind::Rsa, "ssh-rsa", "ssh-rsa-cert-v01@openssh.com"),
    (KeyKind::SkEcdsa, "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"),
    (KeyKind::SkEd25519, "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com"),
];

impl KeyKind {
    pub(super) fn of_key(name: &str) -> Option<Self> {
        KINDS.iter().find(|(_, key, _)| *key == name).map(|(kind, ..)| *kind)
    }

    pub(super) fn of_certificate(name: &str) -> Option<Self> {
        KINDS.iter().find(|(.., certificate)| *certificate == name).map(|(kind, ..)| *kind)
    }

    /// The name of the key type, as it begins a key's line.
    #[must_use]
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    /// The short name in the output of `ssh-keygen`, which git shows.
    #[must_use]
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Ecdsa(_) => "ECDSA",
            Self::Ed25519 => "ED25519",
            Self::Rsa => "RSA",
            Self::SkEcdsa => "ECDSA-SK",
            Self::SkEd25519 => "ED25519-SK",
        }
    }

    /// The key is in a security key, which says of each signature whether somebody was there.
    #[must_use]
    pub fn is_security_key(self) -> bool {
        matches!(self, Self::SkEcdsa | Self::SkEd25519)
    }
}

/// The numbers of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Material<'a> {
    /// An uncompressed point (SEC 1 §2.3.3).
    Point(Curve, &'a [u8]),
    /// The 32 bytes of an Ed25519 key.
    Edwards(&'a [u8]),
    /// RSA, both without leading zeros.
    Rsa {
        /// The public exponent.
        exponent: &'a [u8],
        /// The modulus.
        modulus: &'a [u8],
    },
}

/// A public key that was read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    /// What kind of key it is.
    pub kind: KeyKind,
    /// Its numbers.
    pub material: Material<'a>,
    /// For security keys: what the key was made for, usually `ssh:`.
    pub application: Option<&'a [u8]>,
    blob: Vec<u8>,
}

impl<'a> PublicKey<'a> {
    /// Read a key blob; a certificate is none.
    ///
    /// # Errors
    /// [`FormatError::SshKey`], [`FormatError::KeySize`].
    pub fn parse(blob: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(blob, FormatError::SshKey);
        let kind = KeyKind::of_key(reader.name()?).ok_or(FormatError::SshKey)?;
        let key = Self::read_fields(kind, &mut reader)?;
        reader.finish()?;
        Ok(key)
    }

    /// Read the fields that follow the type, or in a certificate its nonce.
    pub(super) fn read_fields(kind: KeyKind, reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let before = reader.rest();
        let material = match kind {
            KeyKind::Ed25519 | KeyKind::SkEd25519 => {
                let key = reader.string()?;
                if key.len() != 32 {
                    return Err(FormatError::SshKey);
                }
                Material::Edwards(key)
            }
            KeyKind::Ecdsa(curve) => point(curve, reader)?,
            KeyKind::SkEcdsa => point(Curve::P256, reader)?,
            KeyKind::Rsa => {
                let (exponent, modulus) = (reader.positive()?, reader.positive()?);
                let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
                if !RSA_BITS.contains(&(modulus.len() * 8 - leading)) {
                    return Err(FormatError::KeySize);
                }
                Material::Rsa { exponent, modulus }
            }
        };
        let application = if kind.is_security_key() { Some(reader.string()?) } else { None };
        let fields = &before[..before.len() - reader.rest().len()];
        let mut blob = Vec::with_capacity(kind.name().len() + 4 + fields.len());
        write_string(&mut blob, kind.name().as_bytes());
        blob.extend_from_slice(fields);
        Ok(Self { kind, material, application, blob })
    }

    /// The key alone as a blob, also where it came out of a certificate.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `SHA256:` and base64, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.blob)
    }

    /// Type and base64, as the line of a key begins.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.kind.name(), STANDARD.encode(&self.blob))
    }
}

fn point<'a>(curve: Curve, reader: &mut Reader<'a>) -> Result<Material<'a>, FormatError> {
    let (identifier, point) = (reader.name()?, reader.string()?);
    let uncompressed = point.len() == 1 + 2 * curve.coordinate_bytes() && point.first() == Some(&4);
    if identifier != curve.identifier() || !uncompressed {
        return Err(FormatError::SshKey);
    }
    Ok(Material::Point(curve, point))
}

fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(&[blob])))
}

/// The blob in a line as `ssh-keygen` writes it: type, base64, and perhaps a comment.
///
/// # Errors
/// [`FormatError::SshKey`] also where type and blob disagree.
pub fn line_blob(line: &str) -> Result<Vec<u8>, FormatError> {
    if line.len() > MAXIMUM_LINE_BYTES {
        return Err(FormatError::TooLarge);
    }
    let mut words = line.split_ascii_whitespace();
    let (kind, base64) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let blob = STANDARD.decode(base64).map_err(|_| FormatError::SshKey)?;
    if Reader::new(&blob, FormatError::SshKey).name()? != kind {
        return Err(FormatError::SshKey);
    }
    Ok(blob)
}

/// The fingerprint of the key in a line; a certificate is none.
///
/// # Errors
/// As [`line_blob`] and [`PublicKey::parse`].
pub fn line_fingerprint(line: &str) -> Result<String, FormatError> {
    let blob = line_blob(line)?;
    PublicKey::parse(&blob).map(|key| key.fingerprint())
}
