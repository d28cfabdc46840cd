//! The certificate authority's endpoints: Fulcio's HTTP API, version 2.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Server, Shared};
use crate::sandbox::{certificate_request, identity_token::AUDIENCE, pem};

/// gRPC's code for an argument that is wrong.
const INVALID_ARGUMENT: u8 = 3;
/// gRPC's code for an authority that cannot.
const INTERNAL: u8 = 13;
/// gRPC's code for a token that is not accepted.
const UNAUTHENTICATED: u8 = 16;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v2/signingCert", post(signing_certificate))
        .route("/api/v2/trustBundle", get(trust_bundle))
        .route("/api/v2/configuration", get(configuration))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningCertificateRequest {
    credentials: Option<Credentials>,
    public_key_request: Option<PublicKeyRequest>,
    certificate_signing_request: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    oidc_identity_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublicKeyRequest {
    public_key: PublicKeyContent,
    proof_of_possession: String,
}

#[derive(Deserialize)]
struct PublicKeyContent {
    content: String,
}

async fn signing_certificate(State(shared): Server, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<SigningCertificateRequest>(&body) else {
        return error(StatusCode::BAD_REQUEST, INVALID_ARGUMENT, "the request could not be read");
    };
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token =
        request.credentials.as_ref().and_then(|credentials| credentials.oidc_identity_token.as_deref());
    let Some(token) = token.or(bearer) else {
        return error(StatusCode::UNAUTHORIZED, UNAUTHENTICATED, "an identity token is missing");
    };
    let identity = match shared.authority.check_id_token(token) {
        Ok(identity) => identity,
        Err(cause) => return error(StatusCode::UNAUTHORIZED, UNAUTHENTICATED, &cause.to_string()),
    };
    let key = match (&request.public_key_request, &request.certificate_signing_request) {
        (Some(request), None) => match STANDARD.decode(&request.proof_of_possession) {
            Ok(proof) => {
                certificate_request::from_public_key(&request.public_key.content, identity.as_str(), &proof)
            }
            Err(_) => Err(certificate_request::ProofError::Signature),
        },
        (None, Some(request)) => match STANDARD.decode(request) {
            Ok(request) => certificate_request::from_request(&request),
            Err(_) => Err(certificate_request::ProofError::RequestMalformed),
        },
        _ => {
            let message = "expected either a public key or a certificate signing request";
            return error(StatusCode::BAD_REQUEST, INVALID_ARGUMENT, message);
        }
    };
    let key = match key {
        Ok(key) => key,
        Err(cause) => return error(StatusCode::BAD_REQUEST, INVALID_ARGUMENT, &cause.to_string()),
    };
    match shared.authority.issue_certificate(identity, key.spki_der()) {
        Ok(chain) => {
            let certificates: Vec<String> = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
            Json(json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": certificates}}}))
                .into_response()
        }
        Err(cause) => error(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, &cause.to_string()),
    }
}

async fn trust_bundle(State(shared): Server) -> Json<Value> {
    let chain = shared.authority.certificate_chain().map(|der| pem::encode("CERTIFICATE", der));
    Json(json!({"chains": [{"certificates": chain}]}))
}

async fn configuration(State(shared): Server) -> Json<Value> {
    Json(json!({"issuers": [{
        "issuerUrl": shared.authority.url(),
        "audience": AUDIENCE,
        "challengeClaim": "email",
        "spiffeTrustDomain": "",
        "issuerType": "email",
    }]}))
}

/// An error as a gRPC gateway writes it.
fn error(status: StatusCode, code: u8, message: &str) -> Response {
    (status, Json(json!({"code": code, "message": message, "details": []}))).into_response()
}
