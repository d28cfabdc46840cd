//! An X.509 certificate (RFC 5280) as slices of its DER.
//!
//! Libraries that decode certificates into owned structures cannot say which bytes a signature or an
//! SCT covered. This gives those bytes; the values of extensions are decoded by `x509-cert`, and
//! paths are built and checked by `rustls-webpki`, which reads the certificate once more by itself.

use super::{
    ber::enclose,
    cms::{Algorithm, algorithm},
    der::{self, DerError, ObjectIdentifier, Tag, Walk},
};

/// The largest certificate that is read, in bytes.
pub const MAXIMUM_CERTIFICATE_BYTES: usize = 16 * 1024;
const MAXIMUM_EXTENSIONS: usize = 64;

/// One extension.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'a> {
    /// Contents octets of the object identifier.
    pub identifier: &'a [u8],
    /// Marked critical.
    pub critical: bool,
    /// Contents of the OCTET STRING.
    pub value: &'a [u8],
    /// The whole Extension.
    pub raw: &'a [u8],
}

/// A certificate's parts.
#[derive(Clone, Debug)]
pub struct Slices<'a> {
    /// The whole TBSCertificate: what the signature covers.
    pub tbs: &'a [u8],
    /// Contents octets of the serial number.
    pub serial: &'a [u8],
    /// The issuer Name, whole.
    pub issuer: &'a [u8],
    /// In seconds since 1970, inclusive.
    pub not_before: i64,
    /// In seconds since 1970, inclusive.
    pub not_after: i64,
    /// The subject Name, whole.
    pub subject: &'a [u8],
    /// The SubjectPublicKeyInfo, whole.
    pub spki: &'a [u8],
    /// The signature's algorithm.
    pub signature_algorithm: Algorithm<'a>,
    /// The signature value.
    pub signature: &'a [u8],
    /// The extensions, in order, none twice.
    pub extensions: Vec<Extension<'a>>,
    before_extensions: &'a [u8],
}

impl<'a> Slices<'a> {
    /// Parse a version 3 certificate; nothing may follow it.
    ///
    /// # Errors
    /// Not DER, another structure, an extension that stands twice.
    pub fn parse(certificate: &'a [u8]) -> Result<Self, DerError> {
        if certificate.len() > MAXIMUM_CERTIFICATE_BYTES {
            return Err(DerError);
        }
        let mut outer = der::only(certificate, Tag::Sequence)?.walk();
        let tbs = outer.expect(Tag::Sequence)?;
        let outer_algorithm = outer.expect(Tag::Sequence)?;
        let bits = outer.expect(Tag::BitString)?.value;
        outer.finish()?;

        let mut walk = tbs.walk();
        let version = der::only(walk.expect(der::context(0))?.value, Tag::Integer)?.unsigned()?;
        if version != 2 {
            return Err(DerError);
        }
        let serial = walk.expect(Tag::Integer)?.value;
        if walk.expect(Tag::Sequence)?.raw != outer_algorithm.raw {
            return Err(DerError);
        }
        let issuer = walk.expect(Tag::Sequence)?.raw;
        let mut validity = walk.expect(Tag::Sequence)?.walk();
        let not_before = der::time(&validity.any()?)?;
        let not_after = der::time(&validity.any()?)?;
        validity.finish()?;
        let subject = walk.expect(Tag::Sequence)?.raw;
        let spki = walk.expect(Tag::Sequence)?.raw;
        let tagged = walk.expect(der::context(3))?;
        walk.finish()?;
        let extensions = extensions(der::only(tagged.value, Tag::Sequence)?.walk())?;
        let before_extensions = &tbs.value[..tbs.value.len() - tagged.raw.len()];
        Ok(Self {
            tbs: tbs.raw,
            serial,
            issuer,
            not_before,
            not_after,
            subject,
            spki,
            signature_algorithm: algorithm(&outer_algorithm)?,
            signature: bits.strip_prefix(&[0]).ok_or(DerError)?,
            extensions,
            before_extensions,
        })
    }

    /// The extension called `identifier`.
    #[must_use]
    pub fn extension(&self, identifier: &ObjectIdentifier) -> Option<&Extension<'a>> {
        self.extensions.iter().find(|extension| extension.identifier == identifier.as_bytes())
    }

    /// The TBSCertificate without one extension, as a CT log saw it (RFC 6962 §3.2): every other byte
    /// is copied, only the enclosing lengths change.
    #[must_use]
    pub fn tbs_without(&self, identifier: &ObjectIdentifier) -> Vec<u8> {
        let kept: Vec<u8> = self
            .extensions
            .iter()
            .filter(|extension| extension.identifier != identifier.as_bytes())
            .flat_map(|extension| extension.raw)
            .copied()
            .collect();
        let extensions = enclose(0xa3, &enclose(0x30, &kept));
        enclose(0x30, &[self.before_extensions, &extensions].concat())
    }
}

fn extensions<'a>(mut walk: Walk<'a>) -> Result<Vec<Extension<'a>>, DerError> {
    let mut extensions: Vec<Extension<'a>> = Vec::new();
    while !walk.is_empty() {
        let whole = walk.expect(Tag::Sequence)?;
        let mut parts = whole.walk();
        let identifier = parts.expect(Tag::ObjectIdentifier)?.value;
        let critical = match parts.accept(Tag::Boolean)? {
            Some(boolean) if boolean.value == [0xff] => true,
            Some(_) => return Err(DerError), // DER leaves out the default, false
            None => false,
        };
        let value = parts.expect(Tag::OctetString)?.value;
        parts.finish()?;
        let repeated = extensions.iter().any(|extension| extension.identifier == identifier);
        if repeated || extensions.len() == MAXIMUM_EXTENSIONS {
            return Err(DerError);
        }
        extensions.push(Extension { identifier, critical, value, raw: whole.raw });
    }
    Ok(extensions)
}
