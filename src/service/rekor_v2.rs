//! Rekor v2: a hashedrekord 0.0.2 into the log, its entry with inclusion proof and checkpoint out.
//!
//! This log states no time and gives no promise: when something was signed, a timestamp authority has to say.

use serde::{Deserialize, Deserializer};

use super::{
    Refusal, base64,
    http::{Http, Repeat, join},
    rekor_v1::{KEY_DETAILS, RekorError, Submission},
    unbase64,
};
use crate::sigstore::log_entry::{
    BodyVersion, Checkpoint, InclusionProof, KindVersion, LogId, TransparencyLogEntry,
};

/// Submits a hashedrekord to the log at `base` and returns its entry, body included.
///
/// # Errors
/// No answer, a refusal, or an answer that is not about this submission.
pub fn submit(
    http: &Http,
    base: &str,
    submission: Submission<'_>,
) -> Result<TransparencyLogEntry, RekorError> {
    let request = serde_json::json!({
        "hashedRekordRequestV002": {
            "digest": base64(submission.digest),
            "signature": {
                "content": base64(submission.signature),
                "verifier": {
                    "x509Certificate": { "rawBytes": base64(submission.certificate) },
                    "keyDetails": KEY_DETAILS,
                },
            },
        },
    });
    let url = join(base, "/api/v2/log/entries");
    // A second request for an entry that was taken in is a conflict, and the answer to the first is lost.
    let response = http.post_json(&url, request.to_string().into_bytes(), Repeat::Unheard)?;
    if response.status().as_u16() == 409 {
        return Err(RekorError::Existing);
    }
    if !matches!(response.status().as_u16(), 200 | 201) {
        return Err(Refusal::of(&response).into());
    }
    read(response.body(), submission.body(BodyVersion::V002))
}

/// The entry in an answer of the log about what has the canonical `body`.
///
/// # Errors
/// It is about something else, or lacks a part.
pub fn read(answer: &[u8], body: Vec<u8>) -> Result<TransparencyLogEntry, RekorError> {
    let entry: Entry =
        serde_json::from_slice(answer).map_err(|error| RekorError::Unreadable(error.to_string()))?;
    let bytes =
        |text: &str| unbase64(text).ok_or_else(|| RekorError::Unreadable("a field is not base64".to_owned()));
    if bytes(&entry.canonicalized_body)? != body
        || entry.kind_version.kind != "hashedrekord"
        || entry.kind_version.version != "0.0.2"
    {
        return Err(RekorError::ForeignEntry);
    }
    let proof = entry.inclusion_proof.ok_or(RekorError::Incomplete("inclusion proof"))?;
    let checkpoint = proof.checkpoint.ok_or(RekorError::Incomplete("checkpoint"))?;
    Ok(TransparencyLogEntry {
        log_index: entry.log_index,
        log_id: Some(LogId { key_id: bytes(&entry.log_id.key_id)? }),
        kind_version: Some(KindVersion { kind: "hashedrekord".to_owned(), version: "0.0.2".to_owned() }),
        integrated_time: 0,
        inclusion_promise: None,
        inclusion_proof: Some(InclusionProof {
            log_index: proof.log_index,
            root_hash: bytes(&proof.root_hash)?,
            tree_size: proof.tree_size,
            hashes: proof.hashes.iter().map(|hash| bytes(hash)).collect::<Result<_, _>>()?,
            checkpoint: Some(Checkpoint { envelope: checkpoint.envelope }),
        }),
        canonicalized_body: body,
    })
}

/// ProtoJSON: 64-bit integers are strings (numbers are accepted too), zero may be left out.
fn int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Int64 {
        Number(i64),
        Text(String),
    }
    match Int64::deserialize(deserializer)? {
        Int64::Number(number) => Ok(number),
        Int64::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default, deserialize_with = "int64")]
    log_index: i64,
    log_id: KeyId,
    kind_version: Kind,
    inclusion_proof: Option<Proof>,
    canonicalized_body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyId {
    key_id: String,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    #[serde(default, deserialize_with = "int64")]
    log_index: i64,
    root_hash: String,
    #[serde(deserialize_with = "int64")]
    tree_size: i64,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: Option<Envelope>,
}

#[derive(Deserialize)]
struct Envelope {
    envelope: String,
}

#[cfg(test)]
mod tests;
