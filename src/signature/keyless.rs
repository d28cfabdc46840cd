//! The profile of a keyless git signature: which CMS is one, and where its parts are.
//!
//! What no signature covers is held to its one legal value here: versions, algorithm identifiers, the
//! set of unsigned attributes. A second spelling of the same signature would be a second object id.
//!
//! gitsign reads its two unsigned attributes with exactly one value each and passes over those that it does
//! not know. So what comes first of each kind stands there, as gitsign writes it, and all that is more in
//! two attributes of ours ([`FURTHER_LOG_ENTRIES`], [`FURTHER_TIMESTAMPS`]), where it keeps nobody from
//! reading the first.

use super::FormatError;
use crate::encoding::{
    cms::{Algorithm, Attribute, SignedData, SignerIdentifier, SignerInfo},
    der::{Element, ObjectIdentifier, Tag},
    x509,
};

/// id-data
pub const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// id-contentType
pub const ID_CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
/// id-messageDigest
pub const ID_MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// id-sha256
pub const ID_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// The unsigned attribute with the log entry (gitsign, `internal/rekor/oid`).
pub const LOG_ENTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.3.1");
/// id-aa-timeStampToken (RFC 3161 appendix A)
pub const TIMESTAMP_TOKEN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.14");

/// Log entries beyond the first: a SET of OCTET STRINGs, each as in [`LOG_ENTRY`].
///
/// Below gitsign's own arc, for want of a better one: arcs made of UUIDs (ITU-T X.667), which are anybody's,
/// are larger than Go's ASN.1 reads, so gitsign would refuse the whole signature.
pub const FURTHER_LOG_ENTRIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.3.1.1");
/// Timestamp tokens beyond the first: a SET of TimeStampTokens over the same signature value.
pub const FURTHER_TIMESTAMPS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.3.1.2");

/// The most log entries that one signature may carry.
pub const MAXIMUM_LOG_ENTRIES: usize = 4;
/// The most timestamp tokens that one signature may carry.
pub const MAXIMUM_TIMESTAMP_TOKENS: usize = 4;

/// How a signature carries its log entry.
#[derive(Clone, Debug)]
pub enum EmbeddedEntry<'a> {
    /// Protobuf, as gitsign writes it since 2023.
    Encoded(&'a [u8]),
    /// One attribute a field, 1.3.6.1.4.1.57264.3.0 to .8, as gitsign's prototype of 2023 wrote it.
    Prototype(Box<[Element<'a>; 9]>),
}

/// The parts of a keyless signature; claims only.
#[derive(Clone, Debug)]
pub struct Keyless<'a> {
    /// The signer's certificate, DER.
    pub certificate: &'a [u8],
    /// Whatever else is in the bag; only authorities of the trusted root have business there.
    pub other_certificates: Vec<&'a [u8]>,
    /// The digest of the content that was signed: SHA-256.
    pub message_digest: &'a [u8],
    /// The bytes under the signature: the signed attributes as a SET.
    pub signed_attributes: Vec<u8>,
    /// The signature value.
    pub signature: &'a [u8],
    /// The signature algorithm that the signature claims.
    pub algorithm: Algorithm<'a>,
    /// The embedded log entry, the first where there are more.
    pub log_entry: Option<EmbeddedEntry<'a>>,
    /// The other log entries, encoded as [`EmbeddedEntry::Encoded`]; none without the first.
    pub further_log_entries: Vec<&'a [u8]>,
    /// The RFC 3161 tokens over [`Self::signature`].
    pub timestamp_tokens: Vec<&'a [u8]>,
}

impl<'a> Keyless<'a> {
    /// Read the parts out of `der`, the decoded armor.
    ///
    /// # Errors
    /// Whatever is not the profile, each with its own cause.
    pub fn parse(der: &'a [u8]) -> Result<Self, FormatError> {
        Self::of(&SignedData::parse(der)?)
    }

    /// The parts of a SignedData that has been read already.
    ///
    /// # Errors
    /// As for [`Self::parse`].
    pub fn of(cms: &SignedData<'a>) -> Result<Self, FormatError> {
        let signer = match cms.signers.as_slice() {
            [signer] => signer,
            _ => return Err(FormatError::Signers),
        };
        if cms.version != 1 || signer.version != 1 {
            return Err(FormatError::Version);
        }
        match cms.digest_algorithms.as_slice() {
            [algorithm] if algorithm.is(&ID_SHA256) => {}
            _ => return Err(FormatError::Algorithm),
        }
        if cms.content_type != ID_DATA.as_bytes() || cms.content.is_some() || cms.has_revocations {
            return Err(FormatError::Content);
        }
        if !signer.digest_algorithm.is(&ID_SHA256) {
            return Err(FormatError::Algorithm);
        }
        let (certificate, other_certificates) = select_certificate(cms, signer)?;

        let content_type = signer.signed_attribute(&ID_CONTENT_TYPE).ok_or(FormatError::Attribute)?;
        if content_type.tag != Tag::ObjectIdentifier || content_type.value != ID_DATA.as_bytes() {
            return Err(FormatError::Content);
        }
        let digest = signer.signed_attribute(&ID_MESSAGE_DIGEST).ok_or(FormatError::Attribute)?;
        if digest.tag != Tag::OctetString || digest.value.len() != 32 {
            return Err(FormatError::Attribute);
        }
        let UnsignedParts { log_entry, further_log_entries, timestamp_tokens } = unsigned_attributes(signer)?;
        Ok(Self {
            certificate,
            other_certificates,
            message_digest: digest.value,
            signed_attributes: signer.signed_attributes_as_set().ok_or(FormatError::Attribute)?,
            signature: signer.signature,
            algorithm: signer.signature_algorithm,
            log_entry,
            further_log_entries,
            timestamp_tokens,
        })
    }
}

/// The one certificate that the signer names, and the others.
fn select_certificate<'a>(
    cms: &SignedData<'a>,
    signer: &SignerInfo<'a>,
) -> Result<(&'a [u8], Vec<&'a [u8]>), FormatError> {
    let SignerIdentifier::IssuerAndSerial { issuer, serial } = signer.identifier else {
        return Err(FormatError::Version); // version 1 names by issuer and serial (RFC 5652 §5.3)
    };
    let mut chosen = None;
    let mut others = Vec::new();
    for certificate in &cms.certificates {
        let slices = x509::Slices::parse(certificate)?;
        if slices.issuer != issuer || slices.serial != serial {
            if others.contains(certificate) {
                return Err(FormatError::Certificate);
            }
            others.push(*certificate);
        } else if chosen.replace(*certificate).is_some() {
            return Err(FormatError::Certificate);
        }
    }
    Ok((chosen.ok_or(FormatError::Certificate)?, others))
}

struct UnsignedParts<'a> {
    log_entry: Option<EmbeddedEntry<'a>>,
    further_log_entries: Vec<&'a [u8]>,
    timestamp_tokens: Vec<&'a [u8]>,
}

fn unsigned_attributes<'a>(signer: &SignerInfo<'a>) -> Result<UnsignedParts<'a>, FormatError> {
    let mut fields: [Option<Element<'a>>; 9] = [None; 9];
    let mut tokens = Vec::new();
    let (mut further_entries, mut further_tokens) = (None, None);
    for attribute in &signer.unsigned_attributes {
        if let Some(number) = log_entry_field(attribute.kind) {
            let [value] = attribute.values.as_slice() else { return Err(FormatError::LogEntry) };
            if fields[number].replace(*value).is_some() {
                return Err(FormatError::LogEntry);
            }
        } else if attribute.kind == TIMESTAMP_TOKEN.as_bytes() {
            if !tokens.is_empty() || attribute.values.is_empty() {
                return Err(FormatError::Timestamp);
            }
            if attribute.values.len() > MAXIMUM_TIMESTAMP_TOKENS {
                return Err(FormatError::TooLarge);
            }
            tokens = attribute.values.iter().map(|value| value.raw).collect();
        } else if attribute.kind == FURTHER_LOG_ENTRIES.as_bytes() {
            further(&mut further_entries, attribute, MAXIMUM_LOG_ENTRIES, FormatError::LogEntry)?;
        } else if attribute.kind == FURTHER_TIMESTAMPS.as_bytes() {
            further(&mut further_tokens, attribute, MAXIMUM_TIMESTAMP_TOKENS, FormatError::Timestamp)?;
        } else {
            return Err(FormatError::UnknownAttribute);
        }
    }
    let log_entry = match fields {
        [None, Some(entry), None, None, None, None, None, None, None] if entry.tag == Tag::OctetString => {
            Some(EmbeddedEntry::Encoded(entry.value))
        }
        [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f), Some(g), Some(h), Some(i)] => {
            Some(EmbeddedEntry::Prototype(Box::new([a, b, c, d, e, f, g, h, i])))
        }
        [None, None, None, None, None, None, None, None, None] => None,
        _ => return Err(FormatError::LogEntry),
    };
    // The first has its own place, where gitsign looks for it.
    let mut further_log_entries = Vec::new();
    if let Some(values) = further_entries {
        let octets = |value: &Element<'a>| (value.tag == Tag::OctetString).then_some(value.value);
        let octets: Option<Vec<&[u8]>> = values.iter().map(octets).collect();
        further_log_entries = octets.ok_or(FormatError::LogEntry)?;
        match log_entry {
            Some(EmbeddedEntry::Encoded(first)) if !further_log_entries.contains(&first) => {}
            _ => return Err(FormatError::LogEntry),
        }
    }
    if let Some(values) = further_tokens {
        if tokens.len() != 1 {
            return Err(FormatError::Timestamp);
        }
        tokens.extend(values.iter().map(|value| value.raw));
    }
    if tokens.iter().enumerate().any(|(at, token)| tokens[..at].contains(token)) {
        return Err(FormatError::Timestamp);
    }
    Ok(UnsignedParts { log_entry, further_log_entries, timestamp_tokens: tokens })
}

/// Take the values of an attribute that carries what is more than one: at least one, together with the first
/// no more than `maximum`.
fn further<'v, 'a>(
    place: &mut Option<&'v [Element<'a>]>,
    attribute: &'v Attribute<'a>,
    maximum: usize,
    malformed: FormatError,
) -> Result<(), FormatError> {
    let values = attribute.values.as_slice();
    if values.is_empty() || place.is_some() {
        return Err(malformed);
    }
    if values.len() >= maximum {
        return Err(FormatError::TooLarge);
    }
    *place = Some(values);
    Ok(())
}

/// The last arc of a log entry attribute, 0 to 8.
fn log_entry_field(kind: &[u8]) -> Option<usize> {
    let (arc, family) = kind.split_last()?;
    let (_, log_entry_family) = LOG_ENTRY.as_bytes().split_last()?;
    (family == log_entry_family && *arc <= 8).then_some(usize::from(*arc))
}
