//! Lists of revoked SSH keys: lines of keys, or OpenSSH's binary KRL (PROTOCOL.krl).
//!
//! A list that is not understood to its last byte is refused: what it revokes would be unknown.

use std::collections::HashSet;

use aws_lc_rs::digest;

use super::{KeyKind, SshSignature, key::line_blob, parse_signer, wire::Reader};
use crate::{encoding::sha256, signature::FormatError};

const MAGIC: &[u8] = b"SSHKRL\n\0";
const VERSION: u32 = 1;

/// Sections of a list, and of its section of certificates.
mod section {
    pub(super) const CERTIFICATES: u8 = 1;
    pub(super) const KEYS: u8 = 2;
    pub(super) const SHA1: u8 = 3;
    pub(super) const SHA256: u8 = 5;
    pub(super) const EXTENSION: u8 = 255;
    pub(super) const SERIALS: u8 = 0x20;
    pub(super) const SERIAL_RANGE: u8 = 0x21;
    pub(super) const SERIAL_BITMAP: u8 = 0x22;
    pub(super) const KEY_IDS: u8 = 0x23;
    pub(super) const CERTIFICATE_EXTENSION: u8 = 0x39;
}

/// Keys and certificates that no longer count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    sha256: HashSet<[u8; 32]>,
    sha1: HashSet<[u8; 20]>,
    certificates: Vec<RevokedCertificates>,
}

/// Certificates of one authority, or of any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RevokedCertificates {
    authority: Option<[u8; 32]>,
    /// First and last of each range.
    serials: Vec<(u64, u64)>,
    /// A first serial, and a big-endian number whose bit `n` is the serial `n` after it.
    bitmaps: Vec<(u64, Vec<u8>)>,
    key_ids: HashSet<Vec<u8>>,
}

/// Why a list cannot be used. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// A line that is no key.
    #[error("line {0} is no public key")]
    Line(usize),
    /// A binary list that is cut off, or is not of the expected structure.
    #[error("the binary list is malformed")]
    Malformed,
    /// Neither text nor a binary list.
    #[error("it is neither text nor a binary list of OpenSSH")]
    NotText,
    /// A section that is not understood and might revoke something.
    #[error("the binary list has a section of the unknown kind {0}")]
    UnknownSection(u8),
    /// A binary list of another version.
    #[error("the binary list is of version {0}, and version 1 is known")]
    Version(u32),
}

impl From<FormatError> for RevocationError {
    fn from(_: FormatError) -> Self {
        Self::Malformed
    }
}

impl Revocations {
    /// Read a list of either kind.
    ///
    /// # Errors
    /// [`RevocationError`]; nothing is passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self, RevocationError> {
        match bytes.strip_prefix(MAGIC) {
            Some(rest) => Self::parse_binary(rest),
            None => Self::parse_lines(std::str::from_utf8(bytes).map_err(|_| RevocationError::NotText)?),
        }
    }

    fn parse_lines(text: &str) -> Result<Self, RevocationError> {
        let mut list = Self::default();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let blob = line_blob(line).map_err(|_| RevocationError::Line(index + 1))?;
            let kind = line.split_ascii_whitespace().next().unwrap_or_default();
            let key = match parse_signer(&blob) {
                // A certificate stands for its key.
                Ok((key, _)) => key.blob().to_vec(),
                // Keys of a size or of a kind that signs nothing here may be revoked too.
                Err(FormatError::KeySize) if KeyKind::of_key(kind).is_some() => blob,
                Err(_) if KeyKind::of_key(kind).is_none() && !kind.contains("-cert-") => blob,
                Err(_) => return Err(RevocationError::Line(index + 1)),
            };
            list.sha256.insert(sha256(&[&key]));
        }
        Ok(list)
    }

    fn parse_binary(bytes: &[u8]) -> Result<Self, RevocationError> {
        let mut reader = Reader::new(bytes, FormatError::Ssh);
        match reader.uint32()? {
            VERSION => {}
            version => return Err(RevocationError::Version(version)),
        }
        let (_number, _generated, _flags) = (reader.uint64()?, reader.uint64()?, reader.uint64()?);
        let (_reserved, _comment) = (reader.string()?, reader.string()?);
        let mut list = Self::default();
        while !reader.is_empty() {
            let kind = reader.byte()?;
            let mut section = Reader::new(reader.string()?, FormatError::Ssh);
            match kind {
                section::CERTIFICATES => list.certificates.push(certificates(section)?),
                section::KEYS => each(section, |blob| list.sha256.insert(sha256(&[blob])))?,
                section::SHA1 => hashes(section, &mut list.sha1)?,
                section::SHA256 => hashes(section, &mut list.sha256)?,
                section::EXTENSION => extension(kind, &mut section)?,
                unknown => return Err(RevocationError::UnknownSection(unknown)),
            }
        }
        Ok(list)
    }

    /// Whether the list names the key that signed, its certificate, or the certificate's authority.
    #[must_use]
    pub fn revokes(&self, signature: &SshSignature<'_>) -> bool {
        if self.names_key(signature.key.blob()) {
            return true;
        }
        let Some(certificate) = &signature.certificate else { return false };
        let authority = sha256(&[certificate.authority.blob()]);
        self.names_key(certificate.authority.blob())
            || self.certificates.iter().any(|revoked| {
                revoked.authority.is_none_or(|own| own == authority)
                    && (revoked.key_ids.contains(certificate.key_id.as_bytes())
                        || revoked.names_serial(certificate.serial))
            })
    }

    fn names_key(&self, blob: &[u8]) -> bool {
        let sha1 = || digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, blob);
        self.sha256.contains(&sha256(&[blob]))
            || (!self.sha1.is_empty()
                && <[u8; 20]>::try_from(sha1().as_ref()).is_ok_and(|hash| self.sha1.contains(&hash)))
    }
}

impl RevokedCertificates {
    /// Zero is no serial but the absence of one (krl.c).
    fn names_serial(&self, serial: u64) -> bool {
        let in_bitmap = |(first, bits): &(u64, Vec<u8>)| {
            let bit = serial.checked_sub(*first).and_then(|bit| usize::try_from(bit).ok());
            let byte = bit.and_then(|bit| Some((bits.len().checked_sub(1 + bit / 8)?, bit % 8)));
            byte.is_some_and(|(byte, bit)| bits[byte] >> bit & 1 == 1)
        };
        serial != 0
            && (self.serials.iter().any(|(first, last)| (*first..=*last).contains(&serial))
                || self.bitmaps.iter().any(in_bitmap))
    }
}

fn certificates(mut reader: Reader<'_>) -> Result<RevokedCertificates, RevocationError> {
    let authority = reader.string()?;
    let _reserved = reader.string()?;
    let authority = if authority.is_empty() { None } else { Some(sha256(&[authority])) };
    let mut revoked = RevokedCertificates { authority, ..RevokedCertificates::default() };
    while !reader.is_empty() {
        let kind = reader.byte()?;
        let mut section = Reader::new(reader.string()?, FormatError::Ssh);
        match kind {
            section::SERIALS => {
                while !section.is_empty() {
                    let serial = section.uint64()?;
                    revoked.serials.push(range(serial, serial)?);
                }
            }
            section::SERIAL_RANGE => {
                revoked.serials.push(range(section.uint64()?, section.uint64()?)?);
                section.finish()?;
            }
            section::SERIAL_BITMAP => {
                revoked.bitmaps.push((section.uint64()?, section.positive()?.to_vec()));
                section.finish()?;
            }
            section::KEY_IDS => each(section, |id| revoked.key_ids.insert(id.to_vec()))?,
            section::CERTIFICATE_EXTENSION => extension(kind, &mut section)?,
            unknown => return Err(RevocationError::UnknownSection(unknown)),
        }
    }
    Ok(revoked)
}

/// A range as OpenSSH takes it: not backwards, and not from zero, which is no serial.
fn range(first: u64, last: u64) -> Result<(u64, u64), RevocationError> {
    if first == 0 || first > last { Err(RevocationError::Malformed) } else { Ok((first, last)) }
}

/// Every string of a section.
fn each<'a>(mut reader: Reader<'a>, mut take: impl FnMut(&'a [u8]) -> bool) -> Result<(), RevocationError> {
    while !reader.is_empty() {
        take(reader.string()?);
    }
    Ok(())
}

fn hashes<const N: usize>(
    mut reader: Reader<'_>,
    hashes: &mut HashSet<[u8; N]>,
) -> Result<(), RevocationError> {
    while !reader.is_empty() {
        hashes.insert(reader.string()?.try_into().map_err(|_| RevocationError::Malformed)?);
    }
    Ok(())
}

/// An extension may be passed over only if it says so itself.
fn extension(kind: u8, reader: &mut Reader<'_>) -> Result<(), RevocationError> {
    let (_name, critical, _contents) = (reader.string()?, reader.byte()?, reader.string()?);
    reader.finish()?;
    if critical == 0 { Ok(()) } else { Err(RevocationError::UnknownSection(kind)) }
}
