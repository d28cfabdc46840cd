//! Certificates of OpenSSH (PROTOCOL.certkeys), version 01.

use super::{
    SignatureBlob,
    key::{KeyKind, PublicKey},
    wire::Reader,
};
use crate::signature::FormatError;

/// The most principals that OpenSSH reads (sshkey.h).
const MAXIMUM_PRINCIPALS: usize = 256;
/// The longest principal, and the most bytes of all of them. Anybody can be an authority of their own, and have a
/// history signed by certificates that take more memory than the history.
const MAXIMUM_PRINCIPAL_BYTES: usize = 256;
const MAXIMUM_PRINCIPALS_BYTES: usize = 16 * 1024;
/// The most options of each kind that are read.
const MAXIMUM_OPTIONS: usize = 64;
/// The type of certificates for people; the other one is for hosts.
const USER: u32 = 1;

/// A certificate that was read strictly. Its authority's signature is still to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The authority's number for it.
    pub serial: u64,
    /// For a person, not for a host.
    pub is_for_user: bool,
    /// The authority's name for it.
    pub key_id: &'a str,
    /// Who may use it; none would mean anyone.
    pub principals: Vec<&'a str>,
    /// First second of its validity, since 1970.
    pub valid_after: u64,
    /// First second after its validity.
    pub valid_before: u64,
    /// What has to be understood and met, with its data.
    pub critical_options: Vec<(&'a str, &'a [u8])>,
    /// Names of what it permits besides.
    pub extensions: Vec<&'a str>,
    /// The key of the authority.
    pub authority: PublicKey<'a>,
    /// The authority's signature.
    pub signature: SignatureBlob<'a>,
    /// What the authority signed.
    pub signed: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Read a certificate's blob: the certified key and the certificate.
    ///
    /// # Errors
    /// [`FormatError::SshCertificate`] and what [`PublicKey::parse`] gives.
    pub fn parse(blob: &'a [u8]) -> Result<(PublicKey<'a>, Self), FormatError> {
        let cause = FormatError::SshCertificate;
        let mut reader = Reader::new(blob, cause);
        let kind = KeyKind::of_certificate(reader.name()?).ok_or(FormatError::SshKey)?;
        let _nonce = reader.string()?;
        let key = PublicKey::read_fields(kind, &mut reader)?;
        let serial = reader.uint64()?;
        let is_for_user = match reader.uint32()? {
            USER => true,
            2 => false,
            _ => return Err(cause),
        };
        let key_id = reader.text()?;
        let mut principals = Vec::new();
        let names = reader.string()?;
        if names.len() > MAXIMUM_PRINCIPALS_BYTES {
            return Err(cause);
        }
        let mut names = Reader::new(names, cause);
        while !names.is_empty() {
            let name = names.text()?;
            if !(1..=MAXIMUM_PRINCIPAL_BYTES).contains(&name.len()) || principals.len() == MAXIMUM_PRINCIPALS
            {
                return Err(cause);
            }
            principals.push(name);
        }
        let (valid_after, valid_before) = (reader.uint64()?, reader.uint64()?);
        let critical_options = options(reader.string()?)?;
        let extensions = options(reader.string()?)?.into_iter().map(|(name, _)| name).collect();
        if !reader.string()?.is_empty() {
            return Err(cause);
        }
        let authority = PublicKey::parse(reader.string()?)?;
        let signed = &blob[..blob.len() - reader.rest().len()];
        let signature = SignatureBlob::parse(reader.string()?)?;
        reader.finish()?;
        let certificate = Self {
            serial,
            is_for_user,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            authority,
            signature,
            signed,
        };
        Ok((key, certificate))
    }
}

/// Names with their data, in the order of the names and each once, as PROTOCOL.certkeys wants it.
fn options(bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, FormatError> {
    let cause = FormatError::SshCertificate;
    let mut reader = Reader::new(bytes, cause);
    let mut options: Vec<(&str, &[u8])> = Vec::new();
    while !reader.is_empty() {
        let (name, data) = (reader.name()?, reader.string()?);
        let in_order = options.last().is_none_or(|(last, _)| *last < name);
        if !in_order || options.len() == MAXIMUM_OPTIONS {
            return Err(cause);
        }
        options.push((name, data));
    }
    Ok(options)
}
