//! An RFC 3161 timestamp token: when, over which bytes, and by whom. Nothing here is trusted yet.

use super::key::{Family, Hash, digest_hash, signature_hash};
use crate::encoding::{
    cms::{SignedData, SignerIdentifier, algorithm},
    der::{self, DerError, ObjectIdentifier, Tag, Walk},
};

/// id-ct-TSTInfo
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const ID_CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const ID_MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// id-aa-signingCertificateV2 (RFC 5816)
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// A timestamp token, structurally sound and consistent in itself.
#[derive(Clone, Debug)]
pub struct TimestampToken<'a> {
    /// The hash of the imprint.
    pub imprint_hash: Hash,
    /// The digest of what was stamped.
    pub imprint: &'a [u8],
    /// genTime, in seconds since 1970; a fraction is cut off.
    pub time: i64,
    /// The signer's issuer (whole Name) and serial number (contents octets).
    pub signer: (&'a [u8], &'a [u8]),
    /// The certificates in the token.
    pub certificates: Vec<&'a [u8]>,
    /// What the signature covers.
    pub signed_attributes: Vec<u8>,
    /// The signature value.
    pub signature: &'a [u8],
    /// The signature's family and hash.
    pub algorithm: (Family, Hash),
    /// The digest of the signer's certificate that the signature commits to.
    pub signing_certificate: (Hash, &'a [u8]),
}

impl<'a> TimestampToken<'a> {
    /// Read `token`, a ContentInfo. The digest of its content is compared with the signed one.
    ///
    /// # Errors
    /// Not a token in strict DER, not exactly one signer, unknown algorithms, inconsistent digests, no
    /// commitment to the signer's certificate (RFC 3161 §2.4.2, RFC 5816 §2.2).
    pub fn parse(token: &'a [u8]) -> Result<Self, DerError> {
        let cms = SignedData::parse(token)?;
        let [signer] = cms.signers.as_slice() else { return Err(DerError) };
        let SignerIdentifier::IssuerAndSerial { issuer, serial } = signer.identifier else {
            return Err(DerError);
        };
        let content = cms.content.ok_or(DerError)?;
        let content_type = signer.signed_attribute(&ID_CONTENT_TYPE).ok_or(DerError)?;
        if cms.version != 3
            || signer.version != 1
            || cms.content_type != TST_INFO.as_bytes()
            || content_type.value != TST_INFO.as_bytes()
        {
            return Err(DerError);
        }
        // Covered by nothing, so held to one value: the digest announced is the signer's, and neither
        // revocation lists nor unsigned attributes have business here.
        let digest_algorithm = digest_hash(&signer.digest_algorithm).ok_or(DerError)?;
        let [announced] = cms.digest_algorithms.as_slice() else { return Err(DerError) };
        if digest_hash(announced) != Some(digest_algorithm)
            || cms.has_revocations
            || signer.has_unsigned_attributes
        {
            return Err(DerError);
        }
        let digest = signer.signed_attribute(&ID_MESSAGE_DIGEST).ok_or(DerError)?;
        if digest.tag != Tag::OctetString || digest.value != digest_algorithm.of(content) {
            return Err(DerError);
        }
        let signing_certificate =
            signing_certificate(signer.signed_attribute(&SIGNING_CERTIFICATE_V2).ok_or(DerError)?.raw)?;

        let mut info = der::only(content, Tag::Sequence)?.walk();
        if info.expect(Tag::Integer)?.unsigned()? != 1 {
            return Err(DerError);
        }
        info.expect(Tag::ObjectIdentifier)?;
        let mut imprint = info.expect(Tag::Sequence)?.walk();
        let imprint_hash = digest_hash(&algorithm(&imprint.expect(Tag::Sequence)?)?).ok_or(DerError)?;
        let hashed = imprint.expect(Tag::OctetString)?.value;
        imprint.finish()?;
        info.expect(Tag::Integer)?;
        let time = info.expect(Tag::GeneralizedTime)?;
        Ok(Self {
            imprint_hash,
            imprint: hashed,
            time: der::time(&time)?,
            signer: (issuer, serial),
            certificates: cms.certificates.clone(),
            signed_attributes: signer.signed_attributes_as_set().ok_or(DerError)?,
            signature: signer.signature,
            algorithm: signature_hash(&signer.signature_algorithm, Some(digest_algorithm)).ok_or(DerError)?,
            signing_certificate,
        })
    }
}

/// The first ESSCertIDv2: hash algorithm (SHA-256 by default) and certificate hash.
pub(crate) fn signing_certificate(value: &[u8]) -> Result<(Hash, &[u8]), DerError> {
    let mut list = der::only(value, Tag::Sequence)?.walk().expect(Tag::Sequence)?.walk();
    let mut first: Walk<'_> = list.expect(Tag::Sequence)?.walk();
    let hash = match first.accept(Tag::Sequence)? {
        Some(element) => digest_hash(&algorithm(&element)?).ok_or(DerError)?,
        None => Hash::Sha256,
    };
    Ok((hash, first.expect(Tag::OctetString)?.value))
}
