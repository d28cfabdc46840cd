//! Signed certificate timestamps (RFC 6962 section 3) for certificates that are about to be issued.

use der::{Encode, asn1::OctetString, oid::ObjectIdentifier};
use x509_cert::{TbsCertificate, ext::Extension};

use super::{key::SigningKey, x509::raw_extension};

/// The embedded list of signed certificate timestamps (RFC 6962 section 3.3).
const SIGNED_CERTIFICATE_TIMESTAMPS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
/// TLS 1.2 SignatureAndHashAlgorithm: SHA-256, ECDSA (RFC 5246 section 7.4.1.4.1).
const SHA256_ECDSA: [u8; 2] = [4, 3];

/// Signs a timestamp for the certificate to be and returns the extension that carries it.
///
/// `seconds` since 1970 is the time of the timestamp; `issuer_key_hash` is SHA-256 of the issuer's
/// SubjectPublicKeyInfo.
pub(super) fn embedded_timestamp(
    log: &SigningKey,
    seconds: i64,
    issuer_key_hash: &[u8; 32],
    certificate: &TbsCertificate,
) -> der::Result<Extension> {
    let milliseconds = u64::try_from(seconds).map_err(|_| der::ErrorKind::DateTime)?.saturating_mul(1000);
    let certificate = certificate.to_der()?;
    let length = u32::try_from(certificate.len())
        .ok()
        .filter(|length| *length < 1 << 24)
        .ok_or(der::ErrorKind::Overlength)?;

    // digitally-signed struct: v1, certificate_timestamp, time, precert_entry, PreCert, no extensions
    let mut signed = vec![0, 0];
    signed.extend_from_slice(&milliseconds.to_be_bytes());
    signed.extend_from_slice(&[0, 1]);
    signed.extend_from_slice(issuer_key_hash);
    signed.extend_from_slice(&length.to_be_bytes()[1..]);
    signed.extend_from_slice(&certificate);
    signed.extend_from_slice(&[0, 0]);
    let signature = log.sign(&signed);

    // SignedCertificateTimestamp: v1, log id, time, no extensions, signature
    let mut timestamp = vec![0];
    timestamp.extend_from_slice(&log.key_id());
    timestamp.extend_from_slice(&milliseconds.to_be_bytes());
    timestamp.extend_from_slice(&[0, 0]);
    timestamp.extend_from_slice(&SHA256_ECDSA);
    timestamp.extend_from_slice(&with_length(&signature)?);

    let list = with_length(&with_length(&timestamp)?)?;
    raw_extension(SIGNED_CERTIFICATE_TIMESTAMPS, false, OctetString::new(list)?.to_der()?)
}

/// `bytes` behind their length in two bytes.
fn with_length(bytes: &[u8]) -> der::Result<Vec<u8>> {
    let length = u16::try_from(bytes.len()).map_err(|_| der::ErrorKind::Overlength)?;
    Ok([&length.to_be_bytes(), bytes].concat())
}
