//! OpenPGP signatures as git stores them: strict armor around exactly one signature packet (RFC 9580
//! §5.2, §6), and what the packet claims.
//!
//! Responsible for the one legal spelling and for claims that cannot be misread: one creation time,
//! issuers that agree with each other, nothing but issuers outside of what is signed, nothing critical
//! that is not understood. Not responsible for keys.

use base64::Engine as _;
use pgp::{
    crypto::hash::HashAlgorithm,
    packet::{PacketHeader, Signature, SignatureType, SignatureVersion, Subpacket, SubpacketData},
    ser::Serialize as _,
    types::{Fingerprint, KeyVersion, PacketLength, SignatureBytes, Tag},
};

use super::{FormatError, armor::MAXIMUM_ARMOR_BYTES};

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END: &[u8] = b"-----END PGP SIGNATURE-----";

/// How many lines such as `Version: …` an armor may begin with.
const MAXIMUM_HEADERS: usize = 16;
/// The longest line of an armor, in bytes: a header; base64 has at most 76 columns (RFC 9580 §6).
const MAXIMUM_HEADER_BYTES: usize = 512;
const MAXIMUM_LINE_BYTES: usize = 76;

/// The digest algorithm SHA-256 as OpenPGP numbers it (RFC 9580 §9.5).
pub const SHA256: u8 = 8;

/// Which key a signature says it was made by: the most specific name that it gives, from the signed
/// part if it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issuer<'a> {
    /// The fingerprint of the key or subkey, where the signature gives one.
    pub fingerprint: Option<&'a [u8]>,
    /// The key id (RFC 9580 §5.5.4).
    pub key_id: [u8; 8],
}

/// One detached signature, parsed strictly. All that it says is only claimed.
#[derive(Clone, Debug)]
pub struct Detached {
    packet: Signature,
    created: i64,
    expires: Option<i64>,
    issuer: ([u8; 8], Option<Box<[u8]>>),
}

impl Detached {
    /// Read the armored signature that stands in a commit, tag or push certificate.
    ///
    /// # Errors
    /// [`FormatError`]; see the head of this file for what is refused.
    pub fn parse(armor: &[u8]) -> Result<Self, FormatError> {
        let bytes = decode(armor)?;
        let packet = only_packet(&bytes)?;
        let config = packet.config().ok_or(FormatError::Version)?;
        if !matches!(config.version(), SignatureVersion::V3 | SignatureVersion::V4 | SignatureVersion::V6) {
            return Err(FormatError::Version);
        }
        match config.typ() {
            SignatureType::Binary => {}
            SignatureType::Text => return Err(FormatError::TextSignature),
            _ => return Err(FormatError::Packet),
        }
        let is_issuer = |subpacket: &Subpacket| {
            !subpacket.is_critical
                && matches!(
                    subpacket.data,
                    SubpacketData::IssuerKeyId(_) | SubpacketData::IssuerFingerprint(_)
                )
        };
        if !config.unhashed_subpackets().all(is_issuer) {
            return Err(FormatError::UnknownAttribute);
        }
        if !config.hashed_subpackets().chain(config.unhashed_subpackets()).all(is_understood) {
            return Err(FormatError::CriticalSubpacket);
        }
        let times = |wanted: fn(&SubpacketData) -> Option<i64>| {
            let mut found = config.hashed_subpackets().filter_map(move |subpacket| wanted(&subpacket.data));
            match (found.next(), found.next()) {
                (_, Some(_)) => Err(FormatError::Attribute),
                (first, None) => Ok(first),
            }
        };
        let created = match config.version() {
            SignatureVersion::V3 => config.created().map(|time| i64::from(time.as_secs())),
            _ => times(|data| match data {
                SubpacketData::SignatureCreationTime(time) => Some(i64::from(time.as_secs())),
                _ => None,
            })?,
        };
        let created = created.ok_or(FormatError::Attribute)?;
        let lifetime = times(|data| match data {
            SubpacketData::SignatureExpirationTime(duration) => Some(i64::from(duration.as_secs())),
            _ => None,
        })?;
        let expires = lifetime.filter(|seconds| *seconds != 0).map(|seconds| created + seconds);
        let issuer = issuer(&packet)?;
        Ok(Self { packet, created, expires, issuer })
    }

    /// The packet itself.
    pub(crate) fn packet(&self) -> &Signature {
        &self.packet
    }

    /// When the signer says that it was made, in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> i64 {
        self.created
    }

    /// When it ceases to count by its own word, in seconds since 1970.
    #[must_use]
    pub fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// Which key it names.
    #[must_use]
    pub fn issuer(&self) -> Issuer<'_> {
        Issuer { key_id: self.issuer.0, fingerprint: self.issuer.1.as_deref() }
    }

    /// The version of the packet: 3, 4 or 6.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.packet.version().into()
    }

    /// The public-key algorithm as OpenPGP numbers it (RFC 9580 §9.1).
    #[must_use]
    pub fn public_key_algorithm(&self) -> u8 {
        self.packet.config().map_or(0, |config| config.pub_alg.into())
    }

    /// The digest algorithm as OpenPGP numbers it (RFC 9580 §9.5).
    #[must_use]
    pub fn hash_algorithm(&self) -> u8 {
        self.packet.hash_alg().unwrap_or(HashAlgorithm::None).into()
    }
}

/// Whether a subpacket may be read over, or is one whose meaning is honoured here. A critical one that
/// is neither spoils the signature (RFC 9580 §5.2.3.7).
pub(crate) fn is_understood(subpacket: &Subpacket) -> bool {
    !subpacket.is_critical
        || !matches!(
            subpacket.data,
            SubpacketData::Notation(_)
                | SubpacketData::Experimental(..)
                | SubpacketData::Other(..)
                | SubpacketData::RegularExpression(_)
                | SubpacketData::SignatureTarget(..)
                | SubpacketData::TrustSignature(..)
        )
}

/// The issuer by all that the signature says of it; contradictions are refused.
fn issuer(packet: &Signature) -> Result<([u8; 8], Option<Box<[u8]>>), FormatError> {
    let mut fingerprint: Option<&Fingerprint> = None;
    for other in packet.issuer_fingerprint() {
        if fingerprint.is_some_and(|fingerprint| fingerprint != other) {
            return Err(FormatError::Signers);
        }
        fingerprint = Some(other);
    }
    let of_fingerprint = match fingerprint {
        None => None,
        Some(fingerprint) => Some(key_id(fingerprint).ok_or(FormatError::Packet)?),
    };
    let mut key_id = of_fingerprint;
    for other in packet.issuer_key_id() {
        let other: [u8; 8] = other.as_ref().try_into().map_err(|_| FormatError::Packet)?;
        if key_id.is_some_and(|key_id| key_id != other) {
            return Err(FormatError::Signers);
        }
        key_id = Some(other);
    }
    let key_id = key_id.filter(|id| *id != [0; 8]).ok_or(FormatError::Signers)?;
    Ok((key_id, fingerprint.map(|fingerprint| fingerprint.as_bytes().into())))
}

/// The key id that belongs to a fingerprint (RFC 9580 §5.5.4); `None` for versions that are not used.
fn key_id(fingerprint: &Fingerprint) -> Option<[u8; 8]> {
    let bytes = fingerprint.as_bytes();
    match fingerprint.version()? {
        KeyVersion::V4 => bytes[12..].try_into().ok(),
        KeyVersion::V6 => bytes[..8].try_into().ok(),
        _ => None,
    }
}

/// The signature packet that is all of `bytes`.
fn only_packet(bytes: &[u8]) -> Result<Signature, FormatError> {
    let mut rest = bytes;
    let header = PacketHeader::try_from_reader(&mut rest).map_err(|_| FormatError::Packet)?;
    match header.packet_length() {
        PacketLength::Fixed(length) if header.tag() == Tag::Signature && length as usize == rest.len() => {}
        _ => return Err(FormatError::Packet),
    }
    let body = rest;
    let signature = Signature::try_from_reader(header, &mut rest).map_err(|_| FormatError::Packet)?;
    if rest.is_empty() && is_spelt_right(&signature, body) { Ok(signature) } else { Err(FormatError::Packet) }
}

/// Whether `body` is what this signature is written as. Of its numbers, which come last, GitHub and
/// others count the bits in whole octets, leading zeros included; that spelling counts too.
fn is_spelt_right(signature: &Signature, body: &[u8]) -> bool {
    if signature.to_bytes().is_ok_and(|bytes| bytes == body) {
        return true;
    }
    let Some(SignatureBytes::Mpis(numbers)) = signature.signature() else { return false };
    // Where the numbers begin: a signature without them would end there.
    let Ok(canonical) = signature.to_bytes() else { return false };
    let length: usize = numbers.iter().map(|number| number.len() + 2).sum();
    let Some((head, mut rest)) = canonical
        .len()
        .checked_sub(length)
        .and_then(|at| canonical.get(..at)?.eq(body.get(..at)?).then(|| body.split_at(at)))
    else {
        return false;
    };
    debug_assert!(!head.is_empty());
    for number in numbers {
        let Some((bits, tail)) = rest.split_first_chunk::<2>() else { return false };
        let bits = usize::from(u16::from_be_bytes(*bits));
        let Some((octets, tail)) = tail.split_at_checked(bits.div_ceil(8)) else { return false };
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        if bits % 8 != 0 || octets[zeros..] != *number.as_ref() {
            return false;
        }
        rest = tail;
    }
    rest.is_empty()
}

/// The bytes inside an armor. Git leaves out the last line feed, and GitHub adds one.
fn decode(armor: &[u8]) -> Result<Vec<u8>, FormatError> {
    if armor.len() > MAXIMUM_ARMOR_BYTES {
        return Err(FormatError::TooLarge);
    }
    let mut lines = armor.split(|byte| *byte == b'\n');
    if lines.next() != Some(BEGIN) {
        return Err(FormatError::Armor);
    }
    let mut headers = 0;
    loop {
        match lines.next() {
            Some([]) => break,
            Some(header) if headers < MAXIMUM_HEADERS && is_header(header) => headers += 1,
            _ => return Err(FormatError::Armor),
        }
    }
    let mut base64 = Vec::with_capacity(armor.len());
    let mut width = None;
    let mut short = false;
    let mut checksum = None;
    loop {
        match lines.next() {
            Some(line) if line == END => break,
            Some([b'=', digits @ ..]) if checksum.is_none() && digits.len() == 4 => checksum = Some(digits),
            Some(line) if checksum.is_none() && !short && (1..=MAXIMUM_LINE_BYTES).contains(&line.len()) => {
                let width = *width.get_or_insert(line.len());
                if line.len() > width {
                    return Err(FormatError::Armor);
                }
                short = line.len() < width;
                base64.extend_from_slice(line);
            }
            _ => return Err(FormatError::Armor),
        }
    }
    let rest: Vec<&[u8]> = lines.collect();
    if rest.len() > 2 || rest.iter().any(|line| !line.is_empty()) {
        return Err(FormatError::TrailingBytes);
    }
    let engine = base64::engine::general_purpose::STANDARD;
    let bytes = engine.decode(base64).map_err(|_| FormatError::Armor)?;
    if let Some(digits) = checksum {
        let stated = engine.decode(digits).map_err(|_| FormatError::Armor)?;
        if stated[..] != crc24(&bytes).to_be_bytes()[1..] {
            return Err(FormatError::Armor);
        }
    }
    Ok(bytes)
}

/// `Name: text`, printable.
fn is_header(line: &[u8]) -> bool {
    let name = line.iter().position(|byte| *byte == b':').unwrap_or_default();
    line.len() <= MAXIMUM_HEADER_BYTES
        && name > 0
        && line[..name].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && line.get(name + 1).is_none_or(|byte| *byte == b' ')
        && !line.iter().any(u8::is_ascii_control)
}

/// The checksum of an armor (RFC 9580 §6.1.1).
fn crc24(bytes: &[u8]) -> u32 {
    let mut crc = 0x00b7_04ce_u32;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}
