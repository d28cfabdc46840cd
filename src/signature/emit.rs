//! Keyless signatures as git stores them: the detached CMS that gitsign makes, from its parts.
//!
//! Responsible for the bytes alone. Nothing is signed, asked for or checked here; the clock is a parameter.
//!
//! ```text
//! ContentInfo(signedData v1, SHA-256, id-data without content, certificates: the leaf,
//!   SignerInfo v1 (issuerAndSerialNumber, ecdsa-with-SHA256,
//!     signedAttrs:   contentType, signingTime, messageDigest
//!     unsignedAttrs: 1.3.6.1.4.1.57264.3.1 (log entry), id-aa-timeStampToken (RFC 3161)))
//! ```
//!
//! What is more than one of a kind stands in two attributes of ours, which [`super::keyless`] explains.

use std::time::Duration;

use cms::{
    cert::{CertificateChoices, IssuerAndSerialNumber},
    content_info::{CmsVersion, ContentInfo},
    signed_data::{
        CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
    },
};
use der::{
    Any, Decode as _, Encode as _, Tag,
    asn1::{GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, UtcTime},
};
use x509_cert::{Certificate, attr::Attribute, spki::AlgorithmIdentifierOwned, time::Time};

use super::keyless::{
    FURTHER_LOG_ENTRIES, FURTHER_TIMESTAMPS, MAXIMUM_LOG_ENTRIES, MAXIMUM_TIMESTAMP_TOKENS,
};

const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const ID_CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const ID_MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const ID_SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const ID_TIMESTAMP_TOKEN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.14");
const ID_LOG_ENTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.3.1");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const ECDSA_WITH_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA_256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// The first second of 2050, from which on times are `GeneralizedTime` (RFC 5652 §11.3).
const YEAR_2050: u64 = 2_524_608_000;

/// Why a signature cannot be put together. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The certificate is not one in DER.
    #[error("the certificate is not a certificate in DER")]
    Certificate,
    /// A part does not fit into DER.
    #[error("a part of the signature cannot be encoded: {0}")]
    Encoding(der::Error),
    /// More entries or tokens than one signature may carry.
    #[error("a signature cannot carry so many log entries or timestamps")]
    Several,
    /// The time of signing lies before 1970 or after 9999.
    #[error("the time of signing cannot be written")]
    Time,
    /// The timestamp token is not one DER element.
    #[error("the timestamp token is not DER")]
    Timestamp,
}

impl From<der::Error> for EmitError {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error)
    }
}

/// The signed attributes of one signature: what the key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAttributes {
    attributes: SetOfVec<Attribute>,
    der: Vec<u8>,
}

impl SignedAttributes {
    /// The attributes for a payload with this SHA-256, said to be signed at `signing_time` (seconds since
    /// 1970; a hint that proves nothing).
    ///
    /// # Errors
    /// [`EmitError::Time`].
    pub fn new(payload_digest: &[u8; 32], signing_time: i64) -> Result<Self, EmitError> {
        let attributes = SetOfVec::try_from(vec![
            attribute(ID_CONTENT_TYPE, Any::encode_from(&ID_DATA)?)?,
            attribute(ID_SIGNING_TIME, Any::encode_from(&time(signing_time)?)?)?,
            attribute(ID_MESSAGE_DIGEST, Any::new(Tag::OctetString, payload_digest.as_slice())?)?,
        ])?;
        let der = attributes.to_der()?;
        Ok(Self { attributes, der })
    }

    /// The DER SET (first byte 0x31) that is signed, hashed into the log entry and bound by it.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }
}

/// The evidence that goes into the unsigned attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// Encoded protobuf messages `TransparencyLogEntry`, of one log each; gitsign reads the first.
    pub log_entries: &'a [Vec<u8>],
    /// RFC 3161 `TimeStampToken`s over the signature value, DER; gitsign reads the first.
    pub timestamps: &'a [Vec<u8>],
}

/// The DER of the whole signature: `attributes`, the `signature` over SHA-256 of them (ECDSA in the form of
/// RFC 3279, or PKCS #1 v1.5), the leaf `certificate` (DER) of the key that made it, and `evidence`.
///
/// # Errors
/// A part is not what it should be.
pub fn detached_signature(
    attributes: &SignedAttributes,
    signature: &[u8],
    certificate: &[u8],
    evidence: Evidence<'_>,
) -> Result<Vec<u8>, EmitError> {
    detached_signature_with_chain(attributes, signature, &[certificate], evidence)
}

/// [`detached_signature`] with further certificates behind the leaf in `chain`, for readers that have to find the
/// way to an authority.
///
/// # Errors
/// A part is not what it should be.
pub fn detached_signature_with_chain(
    attributes: &SignedAttributes,
    signature: &[u8],
    chain: &[&[u8]],
    evidence: Evidence<'_>,
) -> Result<Vec<u8>, EmitError> {
    let parse = |der: &&[u8]| -> Result<Certificate, EmitError> {
        let certificate = Certificate::from_der(der).map_err(|_| EmitError::Certificate)?;
        // The structure below writes the certificate again; it must come out as it went in.
        if certificate.to_der()? == **der { Ok(certificate) } else { Err(EmitError::Certificate) }
    };
    let certificates: Vec<Certificate> = chain.iter().map(parse).collect::<Result<_, _>>()?;
    let leaf = certificates.first().ok_or(EmitError::Certificate)?;
    let key = leaf.tbs_certificate.subject_public_key_info.algorithm.oid;
    let signature_algorithm = match key {
        ID_EC_PUBLIC_KEY => algorithm(ECDSA_WITH_SHA_256),
        // RFC 4055 §5 wants the NULL.
        RSA_ENCRYPTION => AlgorithmIdentifierOwned { oid: SHA_256_WITH_RSA, parameters: Some(Any::null()) },
        _ => return Err(EmitError::Certificate),
    };
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: leaf.tbs_certificate.issuer.clone(),
            serial_number: leaf.tbs_certificate.serial_number.clone(),
        }),
        digest_alg: algorithm(SHA_256),
        signed_attrs: Some(attributes.attributes.clone()),
        signature_algorithm,
        signature: OctetString::new(signature)?,
        unsigned_attrs: unsigned_attributes(evidence)?,
    };
    let signed_data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![algorithm(SHA_256)])?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: ID_DATA, econtent: None },
        certificates: Some(CertificateSet::try_from(
            certificates.into_iter().map(CertificateChoices::Certificate).collect::<Vec<_>>(),
        )?),
        crls: None,
        signer_infos: SignerInfos::try_from(vec![signer])?,
    };
    let content_info = ContentInfo { content_type: ID_SIGNED_DATA, content: Any::encode_from(&signed_data)? };
    Ok(content_info.to_der()?)
}

fn unsigned_attributes(evidence: Evidence<'_>) -> Result<Option<SetOfVec<Attribute>>, EmitError> {
    let mut attributes = Vec::new();
    let Evidence { log_entries, timestamps } = evidence;
    if log_entries.len() > MAXIMUM_LOG_ENTRIES || timestamps.len() > MAXIMUM_TIMESTAMP_TOKENS {
        return Err(EmitError::Several);
    }
    let entries = log_entries.iter().map(|entry| Ok(Any::new(Tag::OctetString, entry.as_slice())?));
    let tokens = timestamps.iter().map(|token| Any::from_der(token).map_err(|_| EmitError::Timestamp));
    let kinds: [(_, _, Result<Vec<Any>, EmitError>); 2] = [
        (ID_LOG_ENTRY, FURTHER_LOG_ENTRIES, entries.collect()),
        (ID_TIMESTAMP_TOKEN, FURTHER_TIMESTAMPS, tokens.collect()),
    ];
    for (first_kind, further_kind, values) in kinds {
        let mut values = values?;
        if values.is_empty() {
            continue;
        }
        let further = values.split_off(1);
        attributes.push(Attribute { oid: first_kind, values: SetOfVec::try_from(values)? });
        if !further.is_empty() {
            attributes.push(Attribute { oid: further_kind, values: SetOfVec::try_from(further)? });
        }
    }
    if attributes.is_empty() {
        return Ok(None);
    }
    Ok(Some(SetOfVec::try_from(attributes)?))
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute, EmitError> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}

/// An algorithm with its parameters absent, as RFC 5754 and RFC 5758 ask for both used here.
fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: None }
}

fn time(seconds: i64) -> Result<Time, EmitError> {
    let seconds = u64::try_from(seconds).map_err(|_| EmitError::Time)?;
    let duration = Duration::from_secs(seconds);
    if seconds < YEAR_2050 {
        UtcTime::from_unix_duration(duration).map(Time::UtcTime)
    } else {
        GeneralizedTime::from_unix_duration(duration).map(Time::GeneralTime)
    }
    .map_err(|_| EmitError::Time)
}

#[cfg(test)]
pub(crate) mod tests;
