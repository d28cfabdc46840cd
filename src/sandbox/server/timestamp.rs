//! The timestamp authority's endpoint: RFC 3161 section 3.4, where Sigstore has it.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

use super::{Server, Shared};
use crate::sandbox::pem;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/api/v1/timestamp", post(timestamp)).route("/api/v1/timestamp/certchain", get(chain))
}

async fn timestamp(State(shared): Server, headers: HeaderMap, body: Bytes) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    if content_type != Some(b"application/timestamp-query") {
        let answer = json!({"code": 415, "message": "expected application/timestamp-query"});
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, Json(answer)).into_response();
    }
    match shared.authority.timestamp(&body) {
        // Sigstore's timestamp authority answers 201, and clients made from its description insist on it.
        Ok(response) => {
            (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/timestamp-reply")], response)
                .into_response()
        }
        Err(cause) => {
            let answer = json!({"code": 500, "message": cause.to_string()});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(answer)).into_response()
        }
    }
}

async fn chain(State(shared): Server) -> Response {
    let chain = shared.authority.timestamp_chain().map(|der| pem::encode("CERTIFICATE", der)).concat();
    ([(header::CONTENT_TYPE, "application/pem-certificate-chain")], chain).into_response()
}
