//! A timestamp authority (RFC 3161 over HTTP): a token that a signature existed at a time.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use der::{
    Any, Encode as _,
    asn1::{Int, ObjectIdentifier, OctetString},
};
use ureq::http::{Method, header};
use x509_cert::spki::AlgorithmIdentifier;
use x509_tsp::{MessageImprint, TimeStampReq, TspVersion};

use super::{
    Refusal,
    http::{Http, HttpError, Repeat, request},
};
use crate::encoding::der::{self as walk, DerError, Tag, Walk};

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const ID_TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// Why there is no timestamp. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The token is over something else.
    #[error("the timestamp authority stamped something else")]
    Imprint,
    /// The token answers another request.
    #[error("the timestamp authority answered another request")]
    Nonce,
    /// The nonce could not be drawn, or the query not be written.
    #[error("the timestamp query cannot be made")]
    Query,
    /// The authority said no in HTTP's terms.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The authority said no in RFC 3161's terms: its PKIStatus.
    #[error("the timestamp authority refused with status {0}")]
    Status(u64),
    /// The answer is not an RFC 3161 response.
    #[error("the timestamp authority's answer cannot be read")]
    Unreadable,
}

impl TimestampError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Http(error) => error.retryable(),
            Self::Refused(refusal) => refusal.retryable(),
            _ => false,
        }
    }
}

impl From<DerError> for TimestampError {
    fn from(_: DerError) -> Self {
        Self::Unreadable
    }
}

/// Asks the authority at `url` (used as it stands) for a token over `signature`.
///
/// Returns the `TimeStampToken` (a ContentInfo) cut out of the response as it came, in DER. Its signature
/// is not checked here.
///
/// # Errors
/// No answer, a refusal, or a token that is not for this very request.
pub fn request_token(http: &Http, url: &str, signature: &[u8]) -> Result<Vec<u8>, TimestampError> {
    let imprint = digest(&SHA256, signature);
    let mut nonce = [0; 16];
    rand::fill(&mut nonce).map_err(|_| TimestampError::Query)?;
    // A positive INTEGER of full length has one encoding.
    nonce[0] = nonce[0] & 0x3f | 0x40;
    let query = query(imprint.as_ref(), &nonce).map_err(|_| TimestampError::Query)?;

    let mut request = request(Method::POST, url, "application/timestamp-reply", query)?;
    let kind = header::HeaderValue::from_static("application/timestamp-query");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    let response = http.send(&request, Repeat::Always)?;
    if !matches!(response.status().as_u16(), 200 | 201) {
        return Err(Refusal::of(&response).into());
    }
    read(response.body(), imprint.as_ref(), &nonce)
}

fn query(imprint: &[u8], nonce: &[u8]) -> Result<Vec<u8>, der::Error> {
    TimeStampReq {
        version: TspVersion::V1,
        message_imprint: MessageImprint {
            hash_algorithm: AlgorithmIdentifier { oid: SHA_256, parameters: Some(Any::null()) },
            hashed_message: OctetString::new(imprint)?,
        },
        req_policy: None,
        nonce: Some(Int::new(nonce)?),
        cert_req: true,
        extensions: None,
    }
    .to_der()
}

/// The token in a response to the request for a stamp over `imprint`, the SHA-256 of something, with `nonce`:
/// `TimeStampResp ::= SEQUENCE { status PKIStatusInfo, timeStampToken ContentInfo OPTIONAL }`
///
/// # Errors
/// There is none, or it is for another request.
pub fn read(response: &[u8], imprint: &[u8], nonce: &[u8]) -> Result<Vec<u8>, TimestampError> {
    let mut fields = walk::only(response, Tag::Sequence)?.walk();
    let status = fields.expect(Tag::Sequence)?.walk().expect(Tag::Integer)?.unsigned()?;
    // granted (0) and grantedWithMods (1) come with a token.
    if status > 1 {
        return Err(TimestampError::Status(status));
    }
    let token = fields.expect(Tag::Sequence)?;
    fields.finish()?;

    let stated = Stated::read(token_info(token.walk())?)?;
    if stated.algorithm != SHA_256.as_bytes() || stated.imprint != imprint {
        return Err(TimestampError::Imprint);
    }
    if stated.nonce != Some(nonce) {
        return Err(TimestampError::Nonce);
    }
    Ok(token.raw.to_vec())
}

/// What a token states that has to match the query.
struct Stated<'a> {
    algorithm: &'a [u8],
    imprint: &'a [u8],
    nonce: Option<&'a [u8]>,
}

impl<'a> Stated<'a> {
    /// `TSTInfo ::= SEQUENCE { version, policy, messageImprint, serialNumber, genTime, accuracy OPTIONAL,
    /// ordering DEFAULT, nonce OPTIONAL, tsa [0] OPTIONAL, extensions [1] OPTIONAL }`
    fn read(info: &'a [u8]) -> Result<Self, DerError> {
        let mut fields = walk::only(info, Tag::Sequence)?.walk();
        fields.expect(Tag::Integer)?;
        fields.expect(Tag::ObjectIdentifier)?;
        let mut message_imprint = fields.expect(Tag::Sequence)?.walk();
        let algorithm = message_imprint.expect(Tag::Sequence)?.walk().expect(Tag::ObjectIdentifier)?.value;
        let imprint = message_imprint.expect(Tag::OctetString)?.value;
        fields.expect(Tag::Integer)?;
        fields.expect(Tag::GeneralizedTime)?;
        fields.accept(Tag::Sequence)?;
        fields.accept(Tag::Boolean)?;
        let nonce = fields.accept(Tag::Integer)?.map(|nonce| nonce.value);
        Ok(Self { algorithm, imprint, nonce })
    }
}

/// The TSTInfo inside a token, through ContentInfo, SignedData and EncapsulatedContentInfo.
fn token_info(mut content_info: Walk<'_>) -> Result<&[u8], DerError> {
    if content_info.expect(Tag::ObjectIdentifier)?.value != ID_SIGNED_DATA.as_bytes() {
        return Err(DerError);
    }
    let explicit = content_info.expect(walk::context(0))?;
    let mut signed_data = walk::only(explicit.value, Tag::Sequence)?.walk();
    signed_data.expect(Tag::Integer)?;
    signed_data.expect(Tag::Set)?;
    let mut encapsulated = signed_data.expect(Tag::Sequence)?.walk();
    if encapsulated.expect(Tag::ObjectIdentifier)?.value != ID_TST_INFO.as_bytes() {
        return Err(DerError);
    }
    let content = encapsulated.expect(walk::context(0))?;
    Ok(walk::only(content.value, Tag::OctetString)?.value)
}

#[cfg(test)]
mod tests;
