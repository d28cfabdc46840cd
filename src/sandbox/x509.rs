//! Certificates (RFC 5280) put together from plain structs and signed with the authority's keys.

use std::time::Duration;

use der::{
    Encode,
    asn1::{BitString, GeneralizedTime, OctetString, UtcTime},
    flagset::FlagSet,
    oid::{AssociatedOid, ObjectIdentifier},
};
use x509_cert::{
    Certificate, TbsCertificate, Version,
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
            SubjectKeyIdentifier,
        },
    },
    name::Name,
    serial_number::SerialNumber,
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef},
    time::{Time, Validity},
};

use super::key::{KeyAlgorithm, SigningKey, random};

/// id-kp-codeSigning (RFC 5280).
pub(super) const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// id-kp-timeStamping (RFC 3161).
pub(super) const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
/// ecdsa-with-SHA256 (RFC 5758).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// ecdsa-with-SHA384 (RFC 5758).
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// id-Ed25519 (RFC 8410).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The extensions of a CA certificate.
pub(super) fn authority_extensions(
    path_length: Option<u8>,
    extended_key_usage: &[ObjectIdentifier],
    spki: &[u8],
    issuer_spki: Option<&[u8]>,
) -> der::Result<Vec<Extension>> {
    let mut extensions = vec![extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?];
    if !extended_key_usage.is_empty() {
        extensions.push(extension(false, &ExtendedKeyUsage(extended_key_usage.to_vec()))?);
    }
    extensions.push(extension(true, &BasicConstraints { ca: true, path_len_constraint: path_length })?);
    extensions.push(extension(false, &SubjectKeyIdentifier(key_identifier(spki)?))?);
    if let Some(issuer_spki) = issuer_spki {
        extensions.push(authority_key_identifier(issuer_spki)?);
    }
    Ok(extensions)
}

/// The usage of a certificate that signs and does nothing else.
pub(super) fn digital_signature() -> der::Result<Extension> {
    extension(true, &KeyUsage(FlagSet::from(KeyUsages::DigitalSignature)))
}

/// An extension of a type that knows its own object identifier.
pub(super) fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> der::Result<Extension> {
    raw_extension(T::OID, critical, value.to_der()?)
}

/// An extension with these bytes as its value.
pub(super) fn raw_extension(
    extn_id: ObjectIdentifier,
    critical: bool,
    value: Vec<u8>,
) -> der::Result<Extension> {
    Ok(Extension { extn_id, critical, extn_value: OctetString::new(value)? })
}

/// The extension that names the issuer's key.
pub(super) fn authority_key_identifier(issuer_spki: &[u8]) -> der::Result<Extension> {
    let identifier = AuthorityKeyIdentifier {
        key_identifier: Some(key_identifier(issuer_spki)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    extension(false, &identifier)
}

/// SHA-1 of the bits of the public key (RFC 5280 section 4.2.1.2, method 1): a name, not a protection.
pub(super) fn key_identifier(spki: &[u8]) -> der::Result<OctetString> {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    use der::Decode;
    let info = SubjectPublicKeyInfoRef::from_der(spki)?;
    OctetString::new(digest(&SHA1_FOR_LEGACY_USE_ONLY, info.subject_public_key.raw_bytes()).as_ref())
}

/// What is to be certified, without the extensions.
pub(super) struct Subject<'a> {
    pub(super) name: Name,
    pub(super) spki: &'a [u8],
    /// Seconds since 1970, both inclusive.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

/// A TBSCertificate with a new random serial number.
pub(super) fn to_be_signed(
    subject: Subject<'_>,
    issuer: &Name,
    issuer_key: KeyAlgorithm,
    extensions: Vec<Extension>,
) -> der::Result<TbsCertificate> {
    use der::Decode;
    Ok(TbsCertificate {
        version: Version::V3,
        serial_number: serial_number()?,
        signature: signature_algorithm(issuer_key),
        issuer: issuer.clone(),
        validity: Validity { not_before: time(subject.not_before)?, not_after: time(subject.not_after)? },
        subject: subject.name,
        subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(subject.spki)?,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    })
}

/// Signs a TBSCertificate.
pub(super) fn sign(tbs_certificate: TbsCertificate, key: &SigningKey) -> der::Result<Certificate> {
    let signature = key.sign(&tbs_certificate.to_der()?);
    Ok(Certificate {
        signature_algorithm: tbs_certificate.signature.clone(),
        tbs_certificate,
        signature: BitString::from_bytes(&signature)?,
    })
}

/// The AlgorithmIdentifier of a key's signatures.
pub(super) fn signature_algorithm(key: KeyAlgorithm) -> AlgorithmIdentifierOwned {
    let oid = match key {
        KeyAlgorithm::EcdsaP256 => ECDSA_WITH_SHA256,
        KeyAlgorithm::EcdsaP384 => ECDSA_WITH_SHA384,
        KeyAlgorithm::Ed25519 => ED25519,
    };
    AlgorithmIdentifierOwned { oid, parameters: None }
}

/// 20 random bytes, positive, the first one never zero.
fn serial_number() -> der::Result<SerialNumber> {
    let mut bytes = random::<20>();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::new(&bytes)
}

/// `seconds` since 1970 as UTCTime to 2049 and GeneralizedTime from then on (RFC 5280 section 4.1.2.5).
fn time(seconds: i64) -> der::Result<Time> {
    let duration = unix_duration(seconds)?;
    UtcTime::from_unix_duration(duration)
        .map(Time::UtcTime)
        .or_else(|_| GeneralizedTime::from_unix_duration(duration).map(Time::GeneralTime))
}

/// `seconds` since 1970 as the der crate takes it.
pub(super) fn unix_duration(seconds: i64) -> der::Result<Duration> {
    let seconds = u64::try_from(seconds).map_err(|_| der::ErrorKind::DateTime)?;
    Ok(Duration::from_secs(seconds))
}
