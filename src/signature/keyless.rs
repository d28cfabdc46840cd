//! The profile of a keyless git signature: which CMS is one, and where its parts are.
//!
//! What no signature covers is held to its one legal value here: versions, algorithm identifiers, the
//! set of unsigned attributes. A second spelling of the same signature would be a second object id.

use super::FormatError;
use crate::encoding::{
    cms::{Algorithm, SignedData, SignerIdentifier, SignerInfo},
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

/// The most timestamp tokens that one signature may carry.
const MAXIMUM_TIMESTAMP_TOKENS: usize = 4;

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
    /// The embedded log entry.
    pub log_entry: Option<EmbeddedEntry<'a>>,
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
        let (log_entry, timestamp_tokens) = unsigned_attributes(signer)?;
        Ok(Self {
            certificate,
            other_certificates,
            message_digest: digest.value,
            signed_attributes: signer.signed_attributes_as_set().ok_or(FormatError::Attribute)?,
            signature: signer.signature,
            algorithm: signer.signature_algorithm,
            log_entry,
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

type UnsignedParts<'a> = (Option<EmbeddedEntry<'a>>, Vec<&'a [u8]>);

fn unsigned_attributes<'a>(signer: &SignerInfo<'a>) -> Result<UnsignedParts<'a>, FormatError> {
    let mut fields: [Option<Element<'a>>; 9] = [None; 9];
    let mut tokens = Vec::new();
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
    Ok((log_entry, tokens))
}

/// The last arc of a log entry attribute, 0 to 8.
fn log_entry_field(kind: &[u8]) -> Option<usize> {
    let (arc, family) = kind.split_last()?;
    let (_, log_entry_family) = LOG_ENTRY.as_bytes().split_last()?;
    (family == log_entry_family && *arc <= 8).then_some(usize::from(*arc))
}
