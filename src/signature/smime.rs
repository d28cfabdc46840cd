//! The profile of a plain S/MIME signature (RFC 8551, RFC 5652) in git, as `gpgsm` and `smimesign` make them.
//!
//! It may be written in BER, and its signed attributes may stand in any order: their signature covers the
//! bytes as they came. What no signature covers has many spellings here (which certificates come along,
//! unsigned attributes), so that one signature has many object ids. Nothing may be told from those.

use std::borrow::Cow;

use super::{
    FormatError, armor,
    keyless::{ID_CONTENT_TYPE, ID_DATA, ID_MESSAGE_DIGEST, LOG_ENTRY},
};
use crate::encoding::{
    ber,
    cms::{self, Algorithm, SignedData, SignerIdentifier},
    der::{self, ObjectIdentifier, Tag},
    x509::Slices,
};

/// id-signingTime
const ID_SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
/// The arc under which Fulcio's extensions stand.
const FULCIO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");

/// The DER of a CMS signature that may be BER; what is no BER is as it came.
///
/// # Errors
/// [`FormatError::Der`].
pub fn normalised(bytes: &[u8]) -> Result<Cow<'_, [u8]>, FormatError> {
    if ber::is_indefinite(bytes) {
        cms::from_ber(bytes).map(Cow::Owned).map_err(|_| FormatError::Der)
    } else {
        Ok(Cow::Borrowed(bytes))
    }
}

/// Whether a CMS signature is of the keyless kind: it carries a log entry, or a certificate with an
/// extension of Fulcio's. Such a one is never judged as S/MIME.
#[must_use]
pub fn is_keyless(cms: &SignedData<'_>) -> bool {
    let log_entry_arc = LOG_ENTRY.as_bytes().split_last().map_or(&[][..], |(_, arc)| arc);
    let attributes = cms.signers.iter().flat_map(|signer| &signer.unsigned_attributes);
    attributes.into_iter().any(|attribute| attribute.kind.starts_with(log_entry_arc))
        || cms.certificates.iter().any(|certificate| {
            Slices::parse(certificate).is_ok_and(|slices| {
                slices.extensions.iter().any(|extension| extension.identifier.starts_with(FULCIO.as_bytes()))
            })
        })
}

/// Whether an armored signature is CMS that can be read and is not of the keyless kind.
#[must_use]
pub fn is_smime(armored: &[u8]) -> bool {
    armor::decode(armored).is_ok_and(|bytes| {
        normalised(&bytes).is_ok_and(|der| SignedData::parse(&der).is_ok_and(|cms| !is_keyless(&cms)))
    })
}

/// The parts of an S/MIME signature; claims only.
#[derive(Clone, Debug)]
pub struct Smime<'a> {
    /// Which certificate the signer names.
    pub signer: SignerIdentifier<'a>,
    /// The certificates that came along, in any order, none twice.
    pub certificates: Vec<&'a [u8]>,
    /// The digest algorithm.
    pub digest_algorithm: Algorithm<'a>,
    /// The digest of the content that was signed.
    pub message_digest: &'a [u8],
    /// When the signer says that it was made, in seconds since 1970.
    pub signing_time: Option<i64>,
    /// The bytes under the signature: the signed attributes, in the order in which they came, as a SET.
    pub signed_attributes: Vec<u8>,
    /// The signature algorithm that the signature claims.
    pub signature_algorithm: Algorithm<'a>,
    /// The signature value.
    pub signature: &'a [u8],
}

impl<'a> Smime<'a> {
    /// Read the parts out of DER (see [`normalised`]).
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
        let [signer] = cms.signers.as_slice() else { return Err(FormatError::Signers) };
        // RFC 5652 §5.1 and §5.3.
        let fits = match signer.identifier {
            SignerIdentifier::IssuerAndSerial { .. } => signer.version == 1,
            SignerIdentifier::SubjectKeyIdentifier(_) => signer.version == 3,
        };
        if !fits || cms.version != signer.version {
            return Err(FormatError::Version);
        }
        if cms.content_type != ID_DATA.as_bytes() || cms.content.is_some() {
            return Err(FormatError::Content);
        }
        let digest_algorithm = signer.digest_algorithm;
        let announced = &cms.digest_algorithms;
        if announced.iter().all(|announced| announced.identifier != digest_algorithm.identifier)
            || !announced.iter().all(|announced| matches!(announced.parameters, None | Some([5, 0])))
        {
            return Err(FormatError::Algorithm);
        }
        // Without signed attributes nothing says what the signature is over, nor when it was made.
        let signed_attributes = signer.signed_attributes_as_set().ok_or(FormatError::Attribute)?;
        let content_type = signer.signed_attribute(&ID_CONTENT_TYPE).ok_or(FormatError::Attribute)?;
        if content_type.tag != Tag::ObjectIdentifier || content_type.value != ID_DATA.as_bytes() {
            return Err(FormatError::Content);
        }
        let digest = signer.signed_attribute(&ID_MESSAGE_DIGEST).ok_or(FormatError::Attribute)?;
        if digest.tag != Tag::OctetString {
            return Err(FormatError::Attribute);
        }
        let states_time =
            signer.signed_attributes.iter().any(|attribute| attribute.kind == ID_SIGNING_TIME.as_bytes());
        let signing_time = match signer.signed_attribute(&ID_SIGNING_TIME) {
            Some(time) => Some(der::time(&time).map_err(|_| FormatError::Attribute)?),
            None if states_time => return Err(FormatError::Attribute),
            None => None,
        };
        let mut certificates = cms.certificates.clone();
        certificates.sort_unstable();
        certificates.dedup();
        Ok(Self {
            signer: signer.identifier,
            certificates,
            digest_algorithm,
            message_digest: digest.value,
            signing_time,
            signed_attributes,
            signature_algorithm: signer.signature_algorithm,
            signature: signer.signature,
        })
    }

    /// Whether `certificate` is the one that the signer names.
    #[must_use]
    pub fn names(&self, certificate: &Slices<'_>) -> bool {
        match self.signer {
            SignerIdentifier::IssuerAndSerial { issuer, serial } => {
                certificate.issuer == issuer && certificate.serial == serial
            }
            SignerIdentifier::SubjectKeyIdentifier(identifier) => {
                certificate.extension(&SUBJECT_KEY_IDENTIFIER).is_some_and(|extension| {
                    der::only(extension.value, Tag::OctetString).is_ok_and(|own| own.value == identifier)
                })
            }
        }
    }

    /// The signer's certificate among those that came along, if it is there.
    ///
    /// # Errors
    /// [`FormatError::Certificate`]: there is more than one.
    pub fn certificate(&self) -> Result<Option<&'a [u8]>, FormatError> {
        let named =
            |certificate: &&&'a [u8]| Slices::parse(certificate).is_ok_and(|slices| self.names(&slices));
        let mut found = self.certificates.iter().filter(named);
        match (found.next(), found.next()) {
            (certificate, None) => Ok(certificate.copied()),
            _ => Err(FormatError::Certificate),
        }
    }
}
