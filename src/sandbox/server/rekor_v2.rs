//! The second log's endpoints: rekor-tiles' HTTP API, version 2, with the tiles of C2SP tlog-tiles.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

use super::{Server, Shared};
use crate::sandbox::{
    log_entry::HashedRekord,
    rekor_v2::{RekorV2Error, parse_tile_path},
};

/// gRPC's code for an argument that is wrong.
const INVALID_ARGUMENT: u8 = 3;
/// gRPC's code for what is not there.
const NOT_FOUND: u8 = 5;
/// gRPC's code for an entry that is there already.
const ALREADY_EXISTS: u8 = 6;
/// gRPC's code for a log that cannot.
const INTERNAL: u8 = 13;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v2/log/entries", post(add))
        .route("/api/v2/checkpoint", get(checkpoint))
        .route("/api/v2/tile/{level}/{*index}", get(tile))
}

async fn add(State(shared): Server, body: Bytes) -> Response {
    let rekord = match HashedRekord::from_v2(&body) {
        Ok(rekord) => rekord,
        Err(cause) => return error(StatusCode::BAD_REQUEST, INVALID_ARGUMENT, &cause.to_string()),
    };
    match shared.authority.rekor_v2_add(&rekord) {
        Ok(entry) => (StatusCode::CREATED, Json(entry.to_transparency_log_entry())).into_response(),
        Err(cause) => match &cause {
            RekorV2Error::Duplicate { .. } => error(StatusCode::CONFLICT, ALREADY_EXISTS, &cause.to_string()),
            RekorV2Error::Proposal(_) => error(StatusCode::BAD_REQUEST, INVALID_ARGUMENT, &cause.to_string()),
            RekorV2Error::State(_) => error(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, &cause.to_string()),
        },
    }
}

async fn checkpoint(State(shared): Server) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, shared.authority.rekor_v2.checkpoint()).into_response()
}

async fn tile(State(shared): Server, Path((level, index)): Path<(String, String)>) -> Response {
    let log = &shared.authority.rekor_v2;
    let content = parse_tile_path(&index).and_then(|(index, width)| match level.as_str() {
        "entries" => log.entry_bundle(index, width),
        // C2SP tlog-tiles: levels are 0 to 63, in one spelling.
        _ => {
            let number: u32 = level.parse().ok().filter(|number| *number <= 63)?;
            (number.to_string() == level).then(|| log.tile(number, index, width))?
        }
    });
    match content {
        Some(content) => ([(header::CONTENT_TYPE, "application/octet-stream")], content).into_response(),
        None => error(StatusCode::NOT_FOUND, NOT_FOUND, "there is no such tile"),
    }
}

/// An error as a gRPC gateway writes it.
fn error(status: StatusCode, code: u8, message: &str) -> Response {
    (status, Json(json!({"code": code, "message": message, "details": []}))).into_response()
}
