//! The timestamp authority (RFC 3161): requests in, signed tokens out.

use std::str::FromStr;

use aws_lc_rs::digest;
use cms::{
    cert::{CertificateChoices, IssuerAndSerialNumber},
    content_info::{CmsVersion, ContentInfo},
    signed_data::{
        CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
    },
};
use der::{
    Any, Decode, Encode, Sequence,
    asn1::{BitString, GeneralizedTime, Int, OctetString, SetOfVec, UtcTime},
    oid::ObjectIdentifier,
};
use x509_cert::{
    Certificate,
    attr::{Attribute, Attributes},
    ext::pkix::{ExtendedKeyUsage, SubjectKeyIdentifier, name::GeneralName},
    name::Name,
    serial_number::SerialNumber,
    spki::AlgorithmIdentifierOwned,
};
use x509_tsp::{MessageImprint, TimeStampReq, TspVersion, TstInfo};

use super::{
    certificate_authority::{AUTHORITY_LIFETIME, self_signed},
    key::{SigningKey, random, sha256},
    x509::{self, Subject},
};

/// id-ct-TSTInfo (RFC 3161).
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// id-signedData (RFC 5652).
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// id-contentType (RFC 5652).
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
/// id-messageDigest (RFC 5652).
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// id-signingTime (RFC 5652).
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
/// id-aa-signingCertificateV2 (RFC 5035).
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
/// id-sha256, id-sha384 and id-sha512 (RFC 5754).
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// The policy of Sigstore's timestamp authority.
const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2");

/// Why a request is answered with a rejection: PKIFailureInfo (RFC 3161 section 2.4.2) by its bit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Failure {
    BadAlgorithm = 0,
    BadDataFormat = 5,
    UnacceptedPolicy = 15,
    UnacceptedExtension = 16,
}

/// A timestamp could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// The answer could not be encoded.
    #[error("the timestamp could not be encoded")]
    Encoding(#[from] der::Error),
}

/// TimeStampResp (RFC 3161 section 2.4.2).
#[derive(Sequence)]
struct Response {
    status: Status,
    #[asn1(optional = "true")]
    token: Option<ContentInfo>,
}

/// PKIStatusInfo without its texts: 0 is granted, 2 is rejection.
#[derive(Sequence)]
struct Status {
    status: u8,
    #[asn1(optional = "true")]
    failure: Option<BitString>,
}

/// SigningCertificateV2 (RFC 5035 section 3).
#[derive(Sequence)]
struct SigningCertificateV2 {
    certificates: Vec<CertificateIdV2>,
}

/// ESSCertIDv2 (RFC 5035 section 4); the hash is SHA-256, the default, which DER leaves out.
#[derive(Sequence)]
struct CertificateIdV2 {
    hash: OctetString,
    issuer_serial: IssuerSerial,
}

/// IssuerSerial (RFC 5035 section 5.4.1).
#[derive(Sequence)]
struct IssuerSerial {
    issuer: Vec<GeneralName>,
    serial_number: SerialNumber,
}

/// The authority: a root of its own and the leaf that signs.
#[derive(Debug)]
pub(super) struct TimestampAuthority {
    pub(super) root_key: SigningKey,
    pub(super) key: SigningKey,
    /// DER.
    pub(super) root: Vec<u8>,
    /// DER.
    pub(super) leaf: Vec<u8>,
    certificate: Certificate,
}

impl TimestampAuthority {
    /// Puts the authority together from its keys and the certificates that [`Self::certify`] made for them.
    pub(super) fn new(
        root_key: SigningKey,
        key: SigningKey,
        root: Vec<u8>,
        leaf: Vec<u8>,
    ) -> der::Result<Self> {
        let certificate = Certificate::from_der(&leaf)?;
        Ok(Self { root_key, key, root, leaf, certificate })
    }

    /// Makes the root and the leaf certificate, DER, valid from `now`.
    pub(super) fn certify(root: &SigningKey, leaf: &SigningKey, now: i64) -> der::Result<[Vec<u8>; 2]> {
        let root_name = Name::from_str("CN=countersign sandbox timestamp root,O=countersign sandbox")?;
        let root_certificate = self_signed(&root_name, root, now)?;
        let subject = Subject {
            name: Name::from_str("CN=countersign sandbox timestamp authority,O=countersign sandbox")?,
            spki: leaf.spki_der(),
            not_before: now,
            not_after: now + AUTHORITY_LIFETIME,
        };
        let extensions = vec![
            x509::digital_signature()?,
            // RFC 3161 section 2.3: this usage, no other, critical.
            x509::extension(true, &ExtendedKeyUsage(vec![x509::TIME_STAMPING]))?,
            x509::extension(false, &SubjectKeyIdentifier(x509::key_identifier(leaf.spki_der())?))?,
            x509::authority_key_identifier(root.spki_der())?,
        ];
        let tbs = x509::to_be_signed(subject, &root_name, root.algorithm(), extensions)?;
        Ok([root_certificate, x509::sign(tbs, root)?.to_der()?])
    }

    /// Answers a TimeStampReq (DER) with a TimeStampResp (DER); `now` in seconds since 1970.
    pub(super) fn answer(&self, request: &[u8], now: i64) -> Result<Vec<u8>, TimestampError> {
        let response =
            match TimeStampReq::from_der(request).map_err(|_| Failure::BadDataFormat).and_then(check) {
                Ok(request) => {
                    let token = self.token(request.message_imprint, request.nonce, request.cert_req, now)?;
                    Response { status: Status { status: 0, failure: None }, token: Some(token) }
                }
                Err(failure) => Response { status: rejection(failure)?, token: None },
            };
        Ok(response.to_der()?)
    }

    /// A token (DER ContentInfo) over SHA-256 of `message`, with the certificate in it.
    pub(super) fn token_over(&self, message: &[u8], now: i64) -> Result<Vec<u8>, TimestampError> {
        let imprint = MessageImprint {
            hash_algorithm: AlgorithmIdentifierOwned { oid: SHA256, parameters: None },
            hashed_message: OctetString::new(sha256(message))?,
        };
        Ok(self.token(imprint, None, true, now)?.to_der()?)
    }

    fn token(
        &self,
        message_imprint: MessageImprint,
        nonce: Option<Int>,
        with_certificate: bool,
        now: i64,
    ) -> der::Result<ContentInfo> {
        let time = x509::unix_duration(now)?;
        let mut serial_number = random::<16>();
        serial_number[0] = serial_number[0] & 0x7f | 0x40;
        let information = TstInfo {
            version: TspVersion::V1,
            policy: POLICY,
            message_imprint,
            serial_number: Int::new(&serial_number)?,
            gen_time: GeneralizedTime::from_unix_duration(time)?,
            accuracy: None,
            ordering: false,
            nonce,
            tsa: None,
            extensions: None,
        }
        .to_der()?;

        let sha256_identifier = AlgorithmIdentifierOwned { oid: SHA256, parameters: None };
        let tbs = &self.certificate.tbs_certificate;
        let certificate_id = CertificateIdV2 {
            hash: OctetString::new(sha256(&self.leaf))?,
            issuer_serial: IssuerSerial {
                issuer: vec![GeneralName::DirectoryName(tbs.issuer.clone())],
                serial_number: tbs.serial_number.clone(),
            },
        };
        let content_digest = digest::digest(&digest::SHA256, &information);
        let signing_time = match UtcTime::from_unix_duration(time) {
            Ok(time) => Any::encode_from(&time)?,
            Err(_) => Any::encode_from(&GeneralizedTime::from_unix_duration(time)?)?,
        };
        let signed_attributes: Attributes = SetOfVec::try_from(vec![
            attribute(CONTENT_TYPE, Any::encode_from(&TST_INFO)?)?,
            attribute(SIGNING_TIME, signing_time)?,
            attribute(MESSAGE_DIGEST, Any::encode_from(&OctetString::new(content_digest.as_ref())?)?)?,
            attribute(
                SIGNING_CERTIFICATE_V2,
                Any::encode_from(&SigningCertificateV2 { certificates: vec![certificate_id] })?,
            )?,
        ])?;
        let signature = self.key.sign(&signed_attributes.to_der()?);
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: tbs.issuer.clone(),
                serial_number: tbs.serial_number.clone(),
            }),
            digest_alg: sha256_identifier.clone(),
            signed_attrs: Some(signed_attributes),
            signature_algorithm: x509::signature_algorithm(self.key.algorithm()),
            signature: OctetString::new(signature)?,
            unsigned_attrs: None,
        };
        let certificates = match with_certificate {
            true => Some(CertificateSet(SetOfVec::try_from(vec![CertificateChoices::Certificate(
                self.certificate.clone(),
            )])?)),
            false => None,
        };
        let signed_data = SignedData {
            // RFC 5652 section 5.1: 3, for the content is no id-data.
            version: CmsVersion::V3,
            digest_algorithms: SetOfVec::try_from(vec![sha256_identifier])?,
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: TST_INFO,
                econtent: Some(Any::encode_from(&OctetString::new(information)?)?),
            },
            certificates,
            crls: None,
            signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
        };
        Ok(ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed_data)? })
    }
}

/// Whether a request asks for something that the authority does.
fn check(request: TimeStampReq) -> Result<TimeStampReq, Failure> {
    let imprint = &request.message_imprint;
    let parameters = imprint.hash_algorithm.parameters.as_ref();
    if parameters.is_some_and(|parameters| !parameters.is_null()) {
        return Err(Failure::BadAlgorithm);
    }
    let length = match imprint.hash_algorithm.oid {
        SHA256 => 32,
        SHA384 => 48,
        SHA512 => 64,
        _ => return Err(Failure::BadAlgorithm),
    };
    if imprint.hashed_message.as_bytes().len() != length {
        return Err(Failure::BadDataFormat);
    }
    if request.req_policy.is_some_and(|policy| policy != POLICY) {
        return Err(Failure::UnacceptedPolicy);
    }
    if request.extensions.is_some() {
        return Err(Failure::UnacceptedExtension);
    }
    Ok(request)
}

fn rejection(failure: Failure) -> der::Result<Status> {
    let bit = failure as u8;
    // A named bit list ends with its last one bit (X.690 section 11.2.2).
    let mut bytes = vec![0; usize::from(bit / 8) + 1];
    bytes[usize::from(bit / 8)] = 0x80 >> (bit % 8);
    Ok(Status { status: 2, failure: Some(BitString::new(7 - bit % 8, bytes)?) })
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}
