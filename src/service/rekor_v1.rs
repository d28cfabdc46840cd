//! Rekor v1: a hashedrekord 0.0.1 into the log, its entry with SET and inclusion proof out.

use std::collections::BTreeMap;

use serde::Deserialize;
use ureq::http::header;

use super::{
    Refusal, base64,
    http::{Http, HttpError, Repeat, Response, join},
    unbase64,
};
use crate::sigstore::log_entry::{
    BodyVersion, Checkpoint, InclusionPromise, InclusionProof, KindVersion, LogId, TransparencyLogEntry, body,
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
        200 | 201 => read(&response, body),
        409 => {
            let uuid = existing(&response).ok_or_else(|| RekorError::Refused(Refusal::of(&response)))?;
            let response = http.get(&join(base, &format!("/api/v1/log/entries/{uuid}")))?;
            if response.status().as_u16() == 200 {
                read(&response, body)
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
        .find(|id| matches!(id.len(), 64 | 80) && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(ToOwned::to_owned)
}

fn read(response: &Response, body: Vec<u8>) -> Result<TransparencyLogEntry, RekorError> {
    let entries: BTreeMap<String, LogEntry> =
        serde_json::from_slice(response.body()).map_err(|error| RekorError::Unreadable(error.to_string()))?;
    let mut entries = entries.into_values();
    let (Some(entry), None) = (entries.next(), entries.next()) else {
        return Err(RekorError::Unreadable("not exactly one entry".to_owned()));
    };
    if entry.body != base64(&body) {
        return Err(RekorError::ForeignEntry);
    }
    let verification = entry.verification.ok_or(RekorError::Incomplete("verification"))?;
    let timestamp =
        verification.signed_entry_timestamp.ok_or(RekorError::Incomplete("signed entry timestamp"))?;
    let proof = verification.inclusion_proof.ok_or(RekorError::Incomplete("inclusion proof"))?;
    let bytes = |text: &str| {
        hex::decode(text).map_err(|_| RekorError::Unreadable("a hash is not hexadecimal".to_owned()))
    };
    Ok(TransparencyLogEntry {
        log_index: entry.log_index,
        log_id: Some(LogId { key_id: bytes(&entry.log_id)? }),
        kind_version: Some(KindVersion { kind: "hashedrekord".to_owned(), version: "0.0.1".to_owned() }),
        integrated_time: entry.integrated_time,
        inclusion_promise: Some(InclusionPromise {
            signed_entry_timestamp: unbase64(&timestamp).ok_or_else(|| {
                RekorError::Unreadable("the signed entry timestamp is not base64".to_owned())
            })?,
        }),
        // The proof counts inside one shard: its index is another number than the entry's.
        inclusion_proof: Some(InclusionProof {
            log_index: proof.log_index,
            root_hash: bytes(&proof.root_hash)?,
            tree_size: proof.tree_size,
            hashes: proof.hashes.iter().map(|hash| bytes(hash)).collect::<Result<_, _>>()?,
            checkpoint: Some(Checkpoint { envelope: proof.checkpoint }),
        }),
        canonicalized_body: body,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    body: String,
    integrated_time: i64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: i64,
    verification: Option<Verification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    signed_entry_timestamp: Option<String>,
    inclusion_proof: Option<Proof>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: i64,
    root_hash: String,
    tree_size: i64,
}

#[cfg(test)]
mod tests;
