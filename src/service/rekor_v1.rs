//! Rekor v1: a hashedrekord 0.0.1 into the log, its entry with SET and inclusion proof out; and searching it.

use ureq::http::header;

use super::{
    Refusal, base64,
    http::{Http, HttpError, Repeat, Response, join},
};
use crate::sigstore::{
    api_entry::ApiAnswer,
    log_entry::{BodyVersion, TransparencyLogEntry, body, certificate_pem},
};

/// Why there is no log entry. One cause, one variant; shared by both versions of Rekor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RekorError {
    /// The log holds this very entry and does not hand it out (Rekor v2). A new signature makes a new entry.
    #[error("the log already holds this entry and does not hand it out")]
    Existing,
    /// The log holds or returned something else than what was submitted.
    #[error("the log answered with another entry than the one submitted")]
    ForeignEntry,
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The entry lacks a part that proves its inclusion.
    #[error("the log's answer has no {0}")]
    Incomplete(&'static str),
    /// The log said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The answer is not what Rekor's API says.
    #[error("the log's answer cannot be read: {0}")]
    Unreadable(String),
}

impl RekorError {
    /// Whether nobody has taken the entry in, as far as can be seen: the log is down, or cannot be reached.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Http(error) => error.retryable(),
            Self::Refused(refusal) => refusal.retryable(),
            _ => false,
        }
    }

    /// Whether signing once more may succeed, now or a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Existing => true,
            Self::Http(error) => error.retryable(),
            Self::Refused(refusal) => refusal.retryable(),
            _ => false,
        }
    }
}

/// What a hashedrekord is made from.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// SHA-256 of what was signed: the DER SET of the signed attributes.
    pub digest: &'a [u8; 32],
    /// The signature value.
    pub signature: &'a [u8],
    /// The leaf certificate, DER; its key is P-256.
    pub certificate: &'a [u8],
}

impl Submission<'_> {
    /// The canonical body that the log will hash.
    pub(super) fn body(&self, version: BodyVersion) -> Vec<u8> {
        body(version, self.digest, self.signature, self.certificate, KEY_DETAILS)
    }
}

/// The protobuf-specs name of the only kind of key that is used to sign here.
pub(super) const KEY_DETAILS: &str = "PKIX_ECDSA_P256_SHA_256";

/// Submits a hashedrekord to the log at `base` and returns its entry, body included.
///
/// An entry that is already there (409) is fetched and must be the very same.
///
/// # Errors
/// No answer, a refusal, or an answer that is not about this submission.
pub fn submit(
    http: &Http,
    base: &str,
    submission: Submission<'_>,
) -> Result<TransparencyLogEntry, RekorError> {
    // The canonical body is itself a valid proposal.
    let body = submission.body(BodyVersion::V001);
    let response = http.post_json(&join(base, "/api/v1/log/entries"), body.clone(), Repeat::Always)?;
    match response.status().as_u16() {
        200 | 201 => read(response.body(), body),
        409 => {
            let uuid = existing(&response).ok_or_else(|| RekorError::Refused(Refusal::of(&response)))?;
            let response = http.get(&join(base, &format!("/api/v1/log/entries/{uuid}")))?;
            if response.status().as_u16() == 200 {
                read(response.body(), body)
            } else {
                Err(Refusal::of(&response).into())
            }
        }
        _ => Err(Refusal::of(&response).into()),
    }
}

/// The id of the entry that a 409 speaks of: the end of `Location`, else of a path in its message.
/// Only the id is taken, so that the answer cannot send us elsewhere.
fn existing(response: &Response) -> Option<String> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let message = Refusal::of(response).said;
    [location, message.split_whitespace().find(|word| word.contains("/log/entries/"))]
        .into_iter()
        .flatten()
        .filter_map(|path| path.rsplit('/').next())
        .find(|id| is_id(id))
        .map(ToOwned::to_owned)
}

/// The entry in an answer of the log about what has the canonical `body`.
///
/// # Errors
/// It is about something else, or lacks a part.
pub fn read(answer: &[u8], body: Vec<u8>) -> Result<TransparencyLogEntry, RekorError> {
    let answer: ApiAnswer =
        serde_json::from_slice(answer).map_err(|error| RekorError::Unreadable(error.to_string()))?;
    let entry = answer.entry;
    if entry.body != base64(&body) {
        return Err(RekorError::ForeignEntry);
    }
    let verification = entry.verification.as_ref().ok_or(RekorError::Incomplete("verification"))?;
    if verification.signed_entry_timestamp.is_none() {
        return Err(RekorError::Incomplete("signed entry timestamp"));
    }
    if verification.inclusion_proof.is_none() {
        return Err(RekorError::Incomplete("inclusion proof"));
    }
    entry.to_log_entry(body).map_err(|error| RekorError::Unreadable(error.to_string()))
}

/// The most ids that one search gives back.
pub const MAXIMUM_FOUND: usize = 64;

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Ids of entries, at most [`MAXIMUM_FOUND`].
    pub ids: Vec<String>,
    /// There were more.
    pub more: bool,
}

/// Searches the log at `base` for entries with the SHA-256 `digest` of what was signed, made with
/// `certificate` (DER). Nobody without its key can have logged one, so nobody can bury it either; whether
/// an entry is the right one is still to be checked, for an index may answer anything.
///
/// # Errors
/// No answer, a refusal, or something else than a list of ids.
pub fn search(http: &Http, base: &str, digest: &[u8; 32], certificate: &[u8]) -> Result<Found, RekorError> {
    let query = serde_json::json!({
        "hash": format!("sha256:{}", hex::encode(digest)),
        "publicKey": {"format": "x509", "content": base64(&certificate_pem(certificate))},
        "operator": "and",
    });
    let query = query.to_string().into_bytes();
    let response = http.post_json(&join(base, "/api/v1/index/retrieve"), query, Repeat::Always)?;
    if response.status().as_u16() != 200 {
        return Err(Refusal::of(&response).into());
    }
    let unreadable = |reason: String| RekorError::Unreadable(reason);
    let mut ids: Vec<String> =
        serde_json::from_slice(response.body()).map_err(|error| unreadable(error.to_string()))?;
    if !ids.iter().all(|id| is_id(id)) {
        return Err(unreadable("what was found is not a list of ids".to_owned()));
    }
    ids.sort_unstable();
    ids.dedup();
    let more = ids.len() > MAXIMUM_FOUND;
    ids.truncate(MAXIMUM_FOUND);
    Ok(Found { ids, more })
}

/// The entry `id` of the log at `base`, as the log writes it; `None` where it has none. Not a word of it is
/// checked.
///
/// # Errors
/// No answer, or a refusal.
pub fn fetch(http: &Http, base: &str, id: &str) -> Result<Option<Vec<u8>>, RekorError> {
    let response = http.get(&join(base, &format!("/api/v1/log/entries/{id}")))?;
    match response.status().as_u16() {
        200 => Ok(Some(response.into_body())),
        404 => Ok(None),
        _ => Err(Refusal::of(&response).into()),
    }
}

/// Tree id and leaf hash in hexadecimal, or the leaf hash alone.
fn is_id(id: &str) -> bool {
    matches!(id.len(), 64 | 80) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
