//! The signed certificate timestamp inside a certificate (RFC 6962 §3.2, §3.3).

use crate::encoding::{
    der::{self, Tag},
    sha256,
    x509::Slices,
};

/// The SCT list is malformed, of another version, or does not hold exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not exactly one version 1 SCT")]
pub struct SctError;

/// One SCT, version 1.
#[derive(Clone, Copy, Debug)]
pub struct Sct<'a> {
    /// SHA-256 of the CT log's key.
    pub log_id: [u8; 32],
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// CtExtensions, without their length.
    pub extensions: &'a [u8],
    /// HashAlgorithm and SignatureAlgorithm (RFC 5246 §7.4.1.4.1).
    pub algorithm: [u8; 2],
    /// The signature value.
    pub signature: &'a [u8],
}

impl<'a> Sct<'a> {
    /// Read the value of the SCT list extension, which must hold exactly one SCT.
    ///
    /// # Errors
    /// [`SctError`].
    pub fn parse_only(extension: &'a [u8]) -> Result<Self, SctError> {
        let list = der::only(extension, Tag::OctetString).map_err(|_| SctError)?.value;
        let mut list = Take(list);
        let mut scts = Take(list.vector()?);
        let mut sct = Take(scts.vector()?);
        list.finish()?;
        scts.finish()?;
        if sct.take(1)? != [0] {
            return Err(SctError);
        }
        let log_id = sct.take(32)?.try_into().map_err(|_| SctError)?;
        let timestamp = u64::from_be_bytes(sct.take(8)?.try_into().map_err(|_| SctError)?);
        let extensions = sct.vector()?;
        let algorithm = sct.take(2)?.try_into().map_err(|_| SctError)?;
        let signature = sct.vector()?;
        sct.finish()?;
        Ok(Self { log_id, timestamp, extensions, algorithm, signature })
    }

    /// When the log saw the certificate, in seconds since 1970.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        i64::try_from(self.timestamp / 1000).unwrap_or(i64::MAX)
    }

    /// What the signature covers: `digitally-signed struct` over the precertificate entry.
    ///
    /// `issuer_spki` is the SubjectPublicKeyInfo of the authority that issued `certificate`.
    #[must_use]
    pub fn signed_bytes(&self, certificate: &Slices<'_>, issuer_spki: &[u8]) -> Vec<u8> {
        let tbs = certificate.tbs_without(&super::certificate::SCT_LIST);
        let mut bytes = Vec::with_capacity(tbs.len() + self.extensions.len() + 64);
        bytes.extend_from_slice(&[0, 0]); // v1, certificate_timestamp
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]); // precert_entry
        bytes.extend_from_slice(&sha256(&[issuer_spki]));
        bytes.extend_from_slice(&tbs.len().to_be_bytes()[size_of::<usize>() - 3..]);
        bytes.extend_from_slice(&tbs);
        bytes.extend_from_slice(&self.extensions.len().to_be_bytes()[size_of::<usize>() - 2..]);
        bytes.extend_from_slice(self.extensions);
        bytes
    }
}

/// A reader of TLS vectors.
struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], SctError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SctError)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A vector with a length of two octets.
    fn vector(&mut self) -> Result<&'a [u8], SctError> {
        let length = self.take(2)?;
        self.take(usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    fn finish(&self) -> Result<(), SctError> {
        if self.0.is_empty() { Ok(()) } else { Err(SctError) }
    }
}
