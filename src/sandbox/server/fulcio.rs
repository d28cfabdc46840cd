//! The certificate authority's endpoints: Fulcio's HTTP API, version 2, and of version 1 what gitsign uses.

use std::{fmt::Display, sync::Arc};

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
use crate::sandbox::{
    authority::Authority,
    certificate_request::{self, ProofError},
    identity_token::AUDIENCE,
    pem,
};

/// The type of certificates in PEM, one after the other.
const PEM_CHAIN: &str = "application/pem-certificate-chain";

/// gRPC's code for an argument that is wrong.
const INVALID_ARGUMENT: u8 = 3;
/// gRPC's code for an authority that cannot.
const INTERNAL: u8 = 13;
/// gRPC's code for a token that is not accepted.
const UNAUTHENTICATED: u8 = 16;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/signingCert", post(signing_certificate_v1))
        .route("/api/v1/rootCert", get(root_certificate_v1))
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

/// What somebody brings to prove to hold a key; base64 as it came.
enum Proof<'a> {
    /// A public key in PEM and a signature over the name in the token.
    Possession { key: &'a str, signature: &'a str },
    /// A certification request.
    Request(&'a str),
}

async fn signing_certificate(
    State(shared): Server,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let request: SigningCertificateRequest =
        serde_json::from_slice(&body).map_err(|_| Refusal::wrong("the request could not be read"))?;
    let token =
        request.credentials.as_ref().and_then(|credentials| credentials.oidc_identity_token.as_deref());
    let proof = match (&request.public_key_request, &request.certificate_signing_request) {
        (Some(request), None) => Some(Proof::Possession {
            key: &request.public_key.content,
            signature: &request.proof_of_possession,
        }),
        (None, Some(request)) => Some(Proof::Request(request)),
        _ => None,
    };
    let certificates = issue(&shared.authority, token.or(bearer(&headers)), proof)?;
    Ok(Json(json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": certificates}}})))
}

/// Fulcio's request of old, in which everything is base64.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningCertificateRequestV1 {
    public_key: Option<PublicKeyContent>,
    signed_email_address: Option<String>,
    certificate_signing_request: Option<String>,
}

async fn signing_certificate_v1(
    State(shared): Server,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request: SigningCertificateRequestV1 =
        serde_json::from_slice(&body).map_err(|_| Refusal::wrong("the request could not be read"))?;
    // The key is DER or PEM inside the base64; it goes on as PEM.
    let key =
        request.public_key.as_ref().and_then(|key| STANDARD.decode(&key.content).ok()).map(|key| {
            String::from_utf8(key).unwrap_or_else(|der| pem::encode("PUBLIC KEY", der.as_bytes()))
        });
    let proof = match (&key, &request.signed_email_address, &request.certificate_signing_request) {
        (Some(key), Some(signature), None) => Some(Proof::Possession { key, signature }),
        (None, None, Some(request)) => Some(Proof::Request(request)),
        _ => None,
    };
    let certificates = issue(&shared.authority, bearer(&headers), proof)?;
    Ok((StatusCode::CREATED, [(header::CONTENT_TYPE, PEM_CHAIN)], certificates.concat()).into_response())
}

/// Checks token and proof and issues the chain, in PEM.
fn issue(
    authority: &Authority,
    token: Option<&str>,
    proof: Option<Proof<'_>>,
) -> Result<Vec<String>, Refusal> {
    let token = token.ok_or_else(|| Refusal::unauthenticated("an identity token is missing"))?;
    let (identity, claims) = authority.check_build_token(token).map_err(Refusal::unauthenticated)?;
    let key = match proof {
        Some(Proof::Possession { key, signature }) => match STANDARD.decode(signature) {
            Ok(signature) => certificate_request::from_public_key(key, identity.as_str(), &signature),
            Err(_) => Err(ProofError::Signature),
        },
        Some(Proof::Request(request)) => match STANDARD.decode(request) {
            Ok(request) => certificate_request::from_request(&request),
            Err(_) => Err(ProofError::RequestMalformed),
        },
        None => return Err(Refusal::wrong("expected either a public key or a certificate signing request")),
    };
    let key = key.map_err(Refusal::wrong)?;
    let chain =
        authority.issue_build_certificate(identity, claims, key.spki_der()).map_err(Refusal::internal)?;
    Ok(chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

async fn root_certificate_v1(State(shared): Server) -> Response {
    let chain = shared.authority.certificate_chain().map(|der| pem::encode("CERTIFICATE", der)).concat();
    ([(header::CONTENT_TYPE, PEM_CHAIN)], chain).into_response()
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

/// An error, which is answered as a gRPC gateway writes it.
struct Refusal {
    status: StatusCode,
    /// gRPC's code.
    code: u8,
    message: String,
}

impl Refusal {
    fn wrong(cause: impl Display) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: INVALID_ARGUMENT, message: cause.to_string() }
    }

    fn unauthenticated(cause: impl Display) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, code: UNAUTHENTICATED, message: cause.to_string() }
    }

    fn internal(cause: impl Display) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: INTERNAL, message: cause.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let answer = json!({"code": self.code, "message": self.message, "details": []});
        (self.status, Json(answer)).into_response()
    }
}
