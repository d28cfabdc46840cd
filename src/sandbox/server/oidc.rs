//! The OIDC issuer's endpoints: discovery, keys, login by browser and by device, tokens.

use std::sync::Arc;

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Server, Shared,
    page::{escape, message, page},
};
use crate::sandbox::{
    certificate_authority::Identity,
    identity_token::{AUDIENCE, TOKEN_LIFETIME},
    login::{
        AuthorizationParameters, AuthorizationRequest, DEVICE_INTERVAL, DeviceParameters, LOGIN_LIFETIME,
        LoginDesk, LoginError, TokenParameters,
    },
};

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/auth", get(begin).post(approve))
        .route("/token", post(token))
        .route("/device/code", post(begin_device))
        .route("/device", get(device_page).post(approve_device))
        .route("/sandbox/token", post(sandbox_token))
}

async fn discovery(State(shared): Server) -> Json<Value> {
    let url = shared.authority.url();
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/auth"),
        "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device/code"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "grant_types_supported":
            ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "profile", "offline_access"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        "claims_supported": ["iss", "sub", "aud", "iat", "exp", "nonce", "email", "email_verified"],
    }))
}

async fn keys(State(shared): Server) -> Json<Value> {
    Json(shared.authority.tokens.key_set())
}

/// GET /auth: a page that asks who it is, or the answer at once.
async fn begin(State(shared): Server, Query(mut parameters): Query<AuthorizationParameters>) -> Response {
    let (desk, now) = (&shared.authority.login, shared.authority.clock.now());
    let redirect_uri = match LoginDesk::redirect_uri(&parameters) {
        Ok(uri) => uri.to_owned(),
        Err(error) => return message(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let state = parameters.state.clone();
    let hint = parameters.login_hint.take().unwrap_or_default();
    let number = match desk.begin(parameters, now) {
        Ok(number) => number,
        Err(error) => return refuse(&redirect_uri, state.as_deref(), error),
    };
    match desk.auto_approve() {
        Some(identity) => finish(desk.approve(&number, identity.clone(), now)),
        None => login_page(StatusCode::OK, &number, &hint, ""),
    }
}

#[derive(Deserialize)]
struct Approval {
    request: String,
    email: String,
}

/// POST /auth: the page comes back with who it is.
async fn approve(State(shared): Server, Form(approval): Form<Approval>) -> Response {
    let identity = Identity::from(approval.email.trim());
    if let Err(error) = identity.check() {
        return login_page(StatusCode::BAD_REQUEST, &approval.request, &approval.email, &error.to_string());
    }
    finish(shared.authority.login.approve(&approval.request, identity, shared.authority.clock.now()))
}

fn login_page(status: StatusCode, request: &str, email: &str, remark: &str) -> Response {
    let body = format!(
        "<p>A program on this machine wants to sign. As whom?</p><p><strong>{}</strong></p>\
         <form method=\"post\" action=\"/auth\"><input type=\"hidden\" name=\"request\" value=\"{}\">\
         <input name=\"email\" value=\"{}\" placeholder=\"you@example.com\" required autofocus> \
         <button>Log in</button></form>",
        escape(remark),
        escape(request),
        escape(email),
    );
    page(status, &body)
}

fn finish(approved: Result<(AuthorizationRequest, String), LoginError>) -> Response {
    match approved {
        Ok((request, code)) => redirect(&request.redirect_uri, request.state.as_deref(), &[("code", &code)]),
        Err(error) => message(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn refuse(redirect_uri: &str, state: Option<&str>, error: LoginError) -> Response {
    redirect(redirect_uri, state, &[("error", error.code()), ("error_description", &error.to_string())])
}

/// Sends the browser back to a URI that was checked.
fn redirect(uri: &str, state: Option<&str>, answer: &[(&str, &str)]) -> Response {
    let Ok(mut uri) = url::Url::parse(uri) else {
        return message(StatusCode::BAD_REQUEST, &LoginError::RedirectUri.to_string());
    };
    uri.query_pairs_mut().extend_pairs(answer).extend_pairs(state.map(|state| ("state", state)));
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, String::from(uri)), (header::CACHE_CONTROL, "no-store".into())],
    )
        .into_response()
}

/// POST /token: a code becomes tokens.
async fn token(
    State(shared): Server,
    headers: HeaderMap,
    Form(mut parameters): Form<TokenParameters>,
) -> Response {
    if parameters.client_id.is_none() {
        parameters.client_id = basic_client(&headers);
    }
    let now = shared.authority.clock.now();
    match shared.authority.login.exchange(&parameters, now) {
        Ok(granted) => {
            let nonce = granted.nonce.as_deref();
            let token = shared.authority.tokens.mint(shared.authority.url(), &granted.identity, nonce, now);
            let mut answer = json!({
                // Nothing here takes an access token, but OAuth clients insist on one.
                "access_token": "unused",
                "token_type": "Bearer",
                "expires_in": TOKEN_LIFETIME,
                "id_token": token,
            });
            if let Some(refresh) = granted.refresh {
                answer["refresh_token"] = refresh.into();
            }
            ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
        }
        Err(error) => oauth_error(error),
    }
}

/// The client that names itself in the header (RFC 6749 section 2.3.1); it has no secret to check.
fn basic_client(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    Some(pair.split_once(':')?.0.to_owned())
}

fn oauth_error(error: LoginError) -> Response {
    let status = match error {
        LoginError::InvalidClient => StatusCode::UNAUTHORIZED,
        LoginError::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let answer = json!({"error": error.code(), "error_description": error.to_string()});
    (status, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// POST /device/code: a program without a browser asks for a code that its user will type.
async fn begin_device(State(shared): Server, Form(parameters): Form<DeviceParameters>) -> Response {
    let url = shared.authority.url();
    match shared.authority.login.begin_device(parameters, shared.authority.clock.now()) {
        Ok((device_code, user_code)) => Json(json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": format!("{url}/device"),
            "verification_uri_complete": format!("{url}/device?user_code={user_code}"),
            "expires_in": LOGIN_LIFETIME,
            "interval": DEVICE_INTERVAL,
        }))
        .into_response(),
        Err(error) => oauth_error(error),
    }
}

#[derive(Deserialize)]
struct DevicePage {
    user_code: Option<String>,
}

async fn device_page(Query(asked): Query<DevicePage>) -> Response {
    show_device_page(StatusCode::OK, asked.user_code.as_deref().unwrap_or(""), "", "")
}

#[derive(Deserialize)]
struct DeviceApproval {
    user_code: String,
    email: String,
}

async fn approve_device(State(shared): Server, Form(approval): Form<DeviceApproval>) -> Response {
    let identity = Identity::from(approval.email.trim());
    let now = shared.authority.clock.now();
    match shared.authority.login.approve_device(&approval.user_code, identity, now) {
        Ok(()) => message(StatusCode::OK, "The program may go on; this page can be closed."),
        Err(error) => show_device_page(
            StatusCode::BAD_REQUEST,
            &approval.user_code,
            &approval.email,
            &error.to_string(),
        ),
    }
}

fn show_device_page(status: StatusCode, user_code: &str, email: &str, remark: &str) -> Response {
    let body = format!(
        "<p>A program on this machine shows a code. Which, and who are you?</p>\
         <p><strong>{}</strong></p><form method=\"post\" action=\"/device\">\
         <input name=\"user_code\" value=\"{}\" placeholder=\"XXXX-XXXX\" required autofocus> \
         <input name=\"email\" value=\"{}\" placeholder=\"you@example.com\" required> \
         <button>Log in</button></form>",
        escape(remark),
        escape(user_code),
        escape(email),
    );
    page(status, &body)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForTests {
    email: Option<String>,
    subject: Option<String>,
}

/// POST /sandbox/token: a token without a login.
async fn sandbox_token(State(shared): Server, body: Bytes) -> Response {
    let identity = match serde_json::from_slice(&body) {
        Ok(TokenForTests { email: Some(email), subject: None }) => Identity::Email(email),
        Ok(TokenForTests { email: None, subject: Some(subject) }) => Identity::Uri(subject),
        Ok(_) | Err(_) => {
            let answer = json!({"error": format!("expected email or subject, for a token for {AUDIENCE}")});
            return (StatusCode::BAD_REQUEST, Json(answer)).into_response();
        }
    };
    match shared.authority.issue_id_token(identity) {
        Ok(token) => ([(header::CACHE_CONTROL, "no-store")], Json(json!({"token": token}))).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error.to_string()}))).into_response(),
    }
}
