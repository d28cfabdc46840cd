//! CMS SignedData (RFC 5652) as slices of the input: structure only, no profile and no trust.
//!
//! Signed attributes are kept exactly as received, for their signature covers those bytes.

use super::{
    ber::{self, BerError},
    der::{self, DerError, Element, ObjectIdentifier, Tag, Walk},
};

/// The most elements that any set in a signature may have.
const MAXIMUM_ELEMENTS: usize = 32;

/// id-signedData
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// An AlgorithmIdentifier.
#[derive(Clone, Copy, Debug)]
pub struct Algorithm<'a> {
    /// Contents octets of the object identifier.
    pub identifier: &'a [u8],
    /// The parameters, whole; `None` where they are absent.
    pub parameters: Option<&'a [u8]>,
}

impl Algorithm<'_> {
    /// The identifier is `wanted`, and parameters are absent or NULL.
    #[must_use]
    pub fn is(&self, wanted: &ObjectIdentifier) -> bool {
        self.identifier == wanted.as_bytes() && matches!(self.parameters, None | Some([5, 0]))
    }
}

/// One attribute: type and values.
#[derive(Clone, Debug)]
pub struct Attribute<'a> {
    /// Contents octets of the type's object identifier.
    pub kind: &'a [u8],
    /// Each value, whole.
    pub values: Vec<Element<'a>>,
}

/// How the signer's certificate is named.
#[derive(Clone, Copy, Debug)]
pub enum SignerIdentifier<'a> {
    /// Issuer (whole Name) and serial number (contents octets).
    IssuerAndSerial {
        /// The Name, with tag and length.
        issuer: &'a [u8],
        /// The INTEGER's contents octets.
        serial: &'a [u8],
    },
    /// subjectKeyIdentifier contents.
    SubjectKeyIdentifier(&'a [u8]),
}

/// One SignerInfo.
#[derive(Clone, Debug)]
pub struct SignerInfo<'a> {
    /// 1 or 3.
    pub version: u64,
    /// Which certificate.
    pub identifier: SignerIdentifier<'a>,
    /// The digest algorithm.
    pub digest_algorithm: Algorithm<'a>,
    /// `[0]` signed attributes as received, with tag and length.
    pub signed_attributes_raw: Option<&'a [u8]>,
    /// The signed attributes, parsed.
    pub signed_attributes: Vec<Attribute<'a>>,
    /// The signature algorithm.
    pub signature_algorithm: Algorithm<'a>,
    /// The signature value.
    pub signature: &'a [u8],
    /// The unsigned attributes, parsed; in the order of DER, for nothing else fixes it.
    pub unsigned_attributes: Vec<Attribute<'a>>,
    /// The field of the unsigned attributes is there, be it empty.
    pub has_unsigned_attributes: bool,
}

impl<'a> SignerInfo<'a> {
    /// The signed attributes as their signature covers them: the same bytes with the tag of a SET
    /// (RFC 5652 §5.4). `None` where there are none.
    #[must_use]
    pub fn signed_attributes_as_set(&self) -> Option<Vec<u8>> {
        self.signed_attributes_raw.map(|raw| {
            let mut set = raw.to_vec();
            set[0] = 0x31;
            set
        })
    }

    /// The only value of the only signed attribute of this type.
    #[must_use]
    pub fn signed_attribute(&self, kind: &ObjectIdentifier) -> Option<Element<'a>> {
        let mut found = self.signed_attributes.iter().filter(|attribute| attribute.kind == kind.as_bytes());
        match (found.next(), found.next()) {
            (Some(Attribute { values, .. }), None) if values.len() == 1 => values.first().copied(),
            _ => None,
        }
    }
}

/// A SignedData inside its ContentInfo.
#[derive(Clone, Debug)]
pub struct SignedData<'a> {
    /// 1, 3, 4 or 5.
    pub version: u64,
    /// The digest algorithms announced.
    pub digest_algorithms: Vec<Algorithm<'a>>,
    /// Contents octets of the content type's object identifier.
    pub content_type: &'a [u8],
    /// The content, if it is inside.
    pub content: Option<&'a [u8]>,
    /// Each certificate, whole.
    pub certificates: Vec<&'a [u8]>,
    /// Revocation lists are there.
    pub has_revocations: bool,
    /// The signers.
    pub signers: Vec<SignerInfo<'a>>,
}

impl<'a> SignedData<'a> {
    /// Parse one ContentInfo that is a SignedData; nothing may follow it.
    ///
    /// # Errors
    /// Not DER, or another structure.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DerError> {
        let mut content_info = der::only(bytes, Tag::Sequence)?.walk();
        if content_info.expect(Tag::ObjectIdentifier)?.value != SIGNED_DATA.as_bytes() {
            return Err(DerError);
        }
        let explicit = content_info.expect(der::context(0))?;
        content_info.finish()?;
        let mut walk = der::only(explicit.value, Tag::Sequence)?.walk();

        let version = walk.expect(Tag::Integer)?.unsigned()?;
        let digest_algorithms =
            elements(walk.expect(Tag::Set)?.value)?.iter().map(algorithm).collect::<Result<_, _>>()?;

        let mut encapsulated = walk.expect(Tag::Sequence)?.walk();
        let content_type = encapsulated.expect(Tag::ObjectIdentifier)?.value;
        let content = match encapsulated.accept(der::context(0))? {
            Some(explicit) => Some(der::only(explicit.value, Tag::OctetString)?.value),
            None => None,
        };
        encapsulated.finish()?;

        let certificates = match walk.accept(der::context(0))? {
            Some(set) => {
                let certificates = elements(set.value)?;
                if certificates.iter().any(|certificate| certificate.tag != Tag::Sequence) {
                    return Err(DerError);
                }
                certificates.iter().map(|certificate| certificate.raw).collect()
            }
            None => Vec::new(),
        };
        let has_revocations = walk.accept(der::context(1))?.is_some();
        let signers = elements(walk.expect(Tag::Set)?.value)?.iter().map(signer).collect::<Result<_, _>>()?;
        walk.finish()?;
        Ok(Self { version, digest_algorithms, content_type, content, certificates, has_revocations, signers })
    }
}

/// A ContentInfo in BER, its frames made into DER for [`SignedData::parse`]. Certificates, revocation lists
/// and signed attributes stay as they came, and have to be DER.
///
/// # Errors
/// [`BerError`].
pub fn from_ber(bytes: &[u8]) -> Result<Vec<u8>, BerError> {
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    const OCTET_STRING: u8 = 0x24;
    ber::to_der(bytes, |path| {
        const SIGNED_DATA: [u8; 3] = [SEQUENCE, 0xa0, SEQUENCE];
        let Some(inside) = path.strip_prefix(&SIGNED_DATA) else { return SIGNED_DATA.starts_with(path) };
        match inside {
            [] | [SEQUENCE | SET | 0xa0 | 0xa1] => true,
            [SEQUENCE, 0xa0] | [SEQUENCE, 0xa0, OCTET_STRING] => true, // the content, if it is inside
            [SET, SEQUENCE] | [SET, SEQUENCE, OCTET_STRING] => true,   // a SignerInfo, and its signature
            _ => false,
        }
    })
}

fn signer<'a>(element: &Element<'a>) -> Result<SignerInfo<'a>, DerError> {
    let mut walk = sequence(element)?;
    let version = walk.expect(Tag::Integer)?.unsigned()?;
    let named = walk.any()?;
    let identifier = match named.tag {
        Tag::Sequence => {
            let mut named = named.walk();
            let issuer = named.expect(Tag::Sequence)?.raw;
            let serial = named.expect(Tag::Integer)?.value;
            named.finish()?;
            SignerIdentifier::IssuerAndSerial { issuer, serial }
        }
        Tag::ContextSpecific { constructed: false, number } if number.value() == 0 => {
            SignerIdentifier::SubjectKeyIdentifier(named.value)
        }
        _ => return Err(DerError),
    };
    let digest_algorithm = algorithm(&walk.expect(Tag::Sequence)?)?;
    let signed = walk.accept(der::context(0))?;
    let signature_algorithm = algorithm(&walk.expect(Tag::Sequence)?)?;
    let signature = walk.expect(Tag::OctetString)?.value;
    let unsigned = walk.accept(der::context(1))?;
    walk.finish()?;
    if let Some(set) = unsigned {
        ascending(&elements(set.value)?)?;
    }
    Ok(SignerInfo {
        version,
        identifier,
        digest_algorithm,
        signed_attributes_raw: signed.map(|set| set.raw),
        signed_attributes: attributes(signed)?,
        signature_algorithm,
        signature,
        unsigned_attributes: attributes(unsigned)?,
        has_unsigned_attributes: unsigned.is_some(),
    })
}

fn attributes<'a>(set: Option<Element<'a>>) -> Result<Vec<Attribute<'a>>, DerError> {
    let Some(set) = set else { return Ok(Vec::new()) };
    elements(set.value)?
        .iter()
        .map(|attribute| {
            let mut walk = sequence(attribute)?;
            let kind = walk.expect(Tag::ObjectIdentifier)?.value;
            let values = elements(walk.expect(Tag::Set)?.value)?;
            ascending(&values)?;
            walk.finish()?;
            Ok(Attribute { kind, values })
        })
        .collect()
}

/// The order of a SET OF in DER (X.690 §11.6), which also rules out that an element stands twice.
fn ascending(elements: &[Element<'_>]) -> Result<(), DerError> {
    if elements.windows(2).all(|pair| pair[0].raw < pair[1].raw) { Ok(()) } else { Err(DerError) }
}

/// Read an AlgorithmIdentifier.
///
/// # Errors
/// Not one.
pub fn algorithm<'a>(element: &Element<'a>) -> Result<Algorithm<'a>, DerError> {
    let mut walk = sequence(element)?;
    let identifier = walk.expect(Tag::ObjectIdentifier)?.value;
    let parameters = if walk.is_empty() { None } else { Some(walk.any()?.raw) };
    walk.finish()?;
    Ok(Algorithm { identifier, parameters })
}

fn sequence<'a>(element: &Element<'a>) -> Result<Walk<'a>, DerError> {
    if element.tag == Tag::Sequence { Ok(element.walk()) } else { Err(DerError) }
}

fn elements(bytes: &[u8]) -> Result<Vec<Element<'_>>, DerError> {
    let mut walk = Walk::new(bytes);
    let mut elements = Vec::new();
    while !walk.is_empty() {
        if elements.len() == MAXIMUM_ELEMENTS {
            return Err(DerError);
        }
        elements.push(walk.any()?);
    }
    Ok(elements)
}
