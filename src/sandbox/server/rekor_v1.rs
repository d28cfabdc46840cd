//! The first log's endpoints: Rekor's HTTP API, version 1.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Server, Shared};
use crate::sandbox::{
    log_entry::{HashedRekord, index_key_of_pem},
    rekor_v1::{RekorV1Entry, RekorV1Error},
};

/// How many entries one retrieval may name, as Rekor has it.
const MAXIMUM_RETRIEVAL: usize = 10;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/log", get(information))
        .route("/api/v1/log/proof", get(consistency))
        .route("/api/v1/log/publicKey", get(public_key))
        .route("/api/v1/log/entries", get(entry_at).post(add))
        .route("/api/v1/log/entries/retrieve", post(retrieve))
        .route("/api/v1/log/entries/{uuid}", get(entry_with_uuid))
        .route("/api/v1/index/retrieve", post(search))
}

async fn add(State(shared): Server, body: Bytes) -> Response {
    let rekord = match HashedRekord::from_v1(&body) {
        Ok(rekord) => rekord,
        Err(cause) => return error(StatusCode::BAD_REQUEST, &cause.to_string()),
    };
    match shared.authority.rekor_v1_add(&rekord) {
        Ok(entry) => {
            let location = format!("/api/v1/log/entries/{}", entry.uuid);
            let headers = [(header::LOCATION, location), (header::ETAG, entry.uuid.clone())];
            (StatusCode::CREATED, headers, Json(entry.to_json())).into_response()
        }
        Err(cause @ RekorV1Error::Duplicate { .. }) => {
            let message = cause.to_string();
            let RekorV1Error::Duplicate { uuid } = cause else { unreachable!("matched above") };
            let location = [(header::LOCATION, format!("/api/v1/log/entries/{uuid}"))];
            (location, error(StatusCode::CONFLICT, &message)).into_response()
        }
        Err(RekorV1Error::Proposal(cause)) => error(StatusCode::BAD_REQUEST, &cause.to_string()),
        Err(RekorV1Error::State(cause)) => error(StatusCode::INTERNAL_SERVER_ERROR, &cause.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryAt {
    log_index: u64,
}

async fn entry_at(State(shared): Server, Query(asked): Query<EntryAt>) -> Response {
    found(shared.authority.rekor_v1.entry_at(asked.log_index))
}

async fn entry_with_uuid(State(shared): Server, Path(uuid): Path<String>) -> Response {
    found(shared.authority.rekor_v1.entry_with_uuid(&uuid))
}

fn found(entry: Option<RekorV1Entry>) -> Response {
    match entry {
        Some(entry) => Json(entry.to_json()).into_response(),
        None => error(StatusCode::NOT_FOUND, "entry not found"),
    }
}

#[derive(Deserialize)]
struct Retrieval {
    #[serde(default, rename = "entryUUIDs")]
    uuids: Vec<String>,
    #[serde(default, rename = "logIndexes")]
    indexes: Vec<u64>,
    #[serde(default)]
    entries: Vec<Box<RawValue>>,
}

async fn retrieve(State(shared): Server, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Retrieval>(&body) else {
        return error(StatusCode::BAD_REQUEST, "the query could not be read");
    };
    let count = asked.uuids.len() + asked.indexes.len() + asked.entries.len();
    if count == 0 || count > MAXIMUM_RETRIEVAL {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "expected 1 to 10 entries in the query");
    }
    let log = &shared.authority.rekor_v1;
    let mut answer: Vec<Value> = Vec::new();
    let by_uuid = asked.uuids.iter().map(|uuid| log.entry_with_uuid(uuid));
    let by_index = asked.indexes.iter().map(|index| log.entry_at(*index));
    let mut all: Vec<Option<RekorV1Entry>> = by_uuid.chain(by_index).collect();
    for proposed in &asked.entries {
        match HashedRekord::from_v1(proposed.get().as_bytes()) {
            Ok(rekord) => all.push(log.entry_of(&rekord)),
            Err(cause) => return error(StatusCode::BAD_REQUEST, &cause.to_string()),
        }
    }
    answer.extend(all.into_iter().flatten().map(|entry| entry.to_json()));
    Json(answer).into_response()
}

async fn information(State(shared): Server) -> Json<Value> {
    Json(shared.authority.rekor_v1.information())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    #[serde(default = "one")]
    first_size: u64,
    last_size: u64,
    #[serde(rename = "treeID")]
    tree_id: Option<String>,
}

fn one() -> u64 {
    1
}

async fn consistency(State(shared): Server, Query(asked): Query<Consistency>) -> Response {
    let log = &shared.authority.rekor_v1;
    if asked.tree_id.is_some_and(|tree_id| tree_id != log.tree_id().to_string()) {
        return error(StatusCode::BAD_REQUEST, "there is no tree with this id");
    }
    if asked.first_size == 0 {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "firstSize must be at least 1");
    }
    match log.consistency(asked.first_size, asked.last_size) {
        Some(proof) => Json(proof).into_response(),
        None => error(StatusCode::BAD_REQUEST, "firstSize and lastSize are not sizes of the tree, in order"),
    }
}

async fn public_key(State(shared): Server) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/x-pem-file")];
    (content_type, shared.authority.rekor_v1.key.public_key_pem()).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    hash: Option<String>,
    email: Option<String>,
    public_key: Option<SearchKey>,
    operator: Option<String>,
}

#[derive(Deserialize)]
struct SearchKey {
    format: String,
    content: Option<String>,
}

async fn search(State(shared): Server, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Search>(&body) else {
        return error(StatusCode::BAD_REQUEST, "the query could not be read");
    };
    let mut keys = Vec::new();
    if let Some(hash) = asked.hash {
        // Rekor takes a hash without its algorithm for SHA-256.
        let hash = hash.to_lowercase();
        keys.push(if hash.contains(':') { hash } else { format!("sha256:{hash}") });
    }
    keys.extend(asked.email.map(|email| email.to_lowercase()));
    if let Some(key) = asked.public_key {
        let content = key.content.and_then(|content| STANDARD.decode(content).ok());
        let key = content.filter(|_| key.format == "x509").and_then(|content| index_key_of_pem(&content));
        let Some(key) = key else {
            return error(StatusCode::BAD_REQUEST, "the public key could not be read");
        };
        keys.push(key);
    }
    if keys.is_empty() {
        return error(StatusCode::BAD_REQUEST, "at least one of hash, email and publicKey is needed");
    }
    let both = match asked.operator.as_deref() {
        None | Some("" | "or") => false,
        Some("and") => true,
        Some(_) => return error(StatusCode::UNPROCESSABLE_ENTITY, "the operator must be 'and' or 'or'"),
    };
    let found: Vec<Vec<String>> = keys.iter().map(|key| shared.authority.rekor_v1.search(key)).collect();
    let mut answer: Vec<&String> = Vec::new();
    for uuid in found.iter().flatten() {
        let wanted = !both || found.iter().all(|uuids| uuids.contains(uuid));
        if wanted && !answer.contains(&uuid) {
            answer.push(uuid);
        }
    }
    Json(json!(answer)).into_response()
}

/// An error as Rekor writes it.
fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"code": status.as_u16(), "message": message}))).into_response()
}
