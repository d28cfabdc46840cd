//! Logins in progress: authorization codes with PKCE (RFC 7636) and device codes (RFC 8628).
//!
//! Every code is random, works once and not for long; there is a limit to how many are open.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    certificate_authority::{Identity, IdentityError},
    identity_token::AUDIENCE,
    key::{random, sha256},
};

/// How long a login may take, in seconds.
pub(super) const LOGIN_LIFETIME: i64 = 300;
/// How often a device may ask, in seconds.
pub(super) const DEVICE_INTERVAL: i64 = 1;
/// How many logins may be open at a time.
const MAXIMUM_OPEN: usize = 1000;
/// Characters of user codes: none that look alike, no vowels (RFC 8628 section 6.1).
const USER_CODE_CHARACTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// The longest state, nonce or challenge that is kept, in bytes.
const MAXIMUM_PARAMETER: usize = 1024;

/// A login does not go on. The names are those of RFC 6749, RFC 7636 and RFC 8628.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum LoginError {
    #[error("the user has not approved yet")]
    AuthorizationPending,
    #[error("the code has expired")]
    ExpiredToken,
    #[error("the client is unknown")]
    InvalidClient,
    #[error("the code is unknown, used, or not for this client, redirect URI or verifier")]
    InvalidGrant,
    #[error("the identity is neither an e-mail address nor a URI")]
    InvalidIdentity,
    #[error("a parameter is missing or not allowed; PKCE with S256 is mandatory")]
    InvalidRequest,
    #[error("the scope must have openid")]
    InvalidScope,
    #[error("the redirect URI is not one of this machine")]
    RedirectUri,
    #[error("asked again too soon")]
    SlowDown,
    #[error("too many logins are open")]
    TemporarilyUnavailable,
    #[error("the grant type is not supported")]
    UnsupportedGrantType,
    #[error("the response type is not supported")]
    UnsupportedResponseType,
}

impl LoginError {
    /// The error code on the wire.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::AuthorizationPending => "authorization_pending",
            Self::ExpiredToken => "expired_token",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidIdentity | Self::InvalidRequest | Self::RedirectUri => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::SlowDown => "slow_down",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
        }
    }
}

impl From<IdentityError> for LoginError {
    fn from(_: IdentityError) -> Self {
        Self::InvalidIdentity
    }
}

/// What a program asks for when it sends a browser to `/auth`.
#[derive(Clone, Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    nonce: Option<String>,
    code_challenge: String,
    is_offline: bool,
}

/// The parameters of `/auth` as they come.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct AuthorizationParameters {
    pub(super) response_type: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) code_challenge: Option<String>,
    pub(super) code_challenge_method: Option<String>,
    pub(super) login_hint: Option<String>,
}

/// The parameters of `/token` as they come.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct TokenParameters {
    pub(super) grant_type: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) code: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) code_verifier: Option<String>,
    pub(super) device_code: Option<String>,
    pub(super) refresh_token: Option<String>,
}

/// The parameters of `/device/code` as they come.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct DeviceParameters {
    pub(super) client_id: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) code_challenge: Option<String>,
    pub(super) code_challenge_method: Option<String>,
}

/// Who has logged in, and the nonce for the token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Granted {
    pub(super) identity: Identity,
    pub(super) nonce: Option<String>,
    /// A refresh token, where one was asked for; it works once and brings the next.
    pub(super) refresh: Option<String>,
}

#[derive(Debug)]
struct Code {
    request: AuthorizationRequest,
    identity: Identity,
}

#[derive(Debug)]
struct Device {
    user_code: String,
    nonce: Option<String>,
    code_challenge: Option<String>,
    identity: Option<Identity>,
    asked: Option<i64>,
    is_offline: bool,
}

/// A value and the time at which it is over, in seconds since 1970.
#[derive(Debug)]
struct Until<T> {
    end: i64,
    value: T,
}

#[derive(Debug, Default)]
struct Open {
    requests: HashMap<String, Until<AuthorizationRequest>>,
    codes: HashMap<String, Until<Code>>,
    devices: HashMap<String, Until<Device>>,
    refreshes: HashMap<String, Until<Identity>>,
}

/// Where logins are kept while they are open.
#[derive(Debug)]
pub(super) struct LoginDesk {
    auto_approve: Option<Identity>,
    open: Mutex<Open>,
}

impl LoginDesk {
    pub(super) fn new(auto_approve: Option<Identity>) -> Self {
        Self { auto_approve, open: Mutex::new(Open::default()) }
    }

    /// The identity for which every login is approved.
    pub(super) fn auto_approve(&self) -> Option<&Identity> {
        self.auto_approve.as_ref()
    }

    /// Checks where an answer may go: only that is told by redirection, everything else on a page.
    pub(super) fn redirect_uri(parameters: &AuthorizationParameters) -> Result<&str, LoginError> {
        if parameters.client_id.as_deref() != Some(AUDIENCE) {
            return Err(LoginError::InvalidClient);
        }
        let uri = parameters.redirect_uri.as_deref().ok_or(LoginError::InvalidRequest)?;
        let url = url::Url::parse(uri).map_err(|_| LoginError::RedirectUri)?;
        let loopback = match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let plain = url.scheme() == "http" && url.fragment().is_none() && url.username().is_empty();
        if loopback && plain && uri.len() <= MAXIMUM_PARAMETER {
            Ok(uri)
        } else {
            Err(LoginError::RedirectUri)
        }
    }

    /// Opens a login by browser and returns its number.
    pub(super) fn begin(&self, parameters: AuthorizationParameters, now: i64) -> Result<String, LoginError> {
        let redirect_uri = Self::redirect_uri(&parameters)?.to_owned();
        if parameters.response_type.as_deref() != Some("code") {
            return Err(LoginError::UnsupportedResponseType);
        }
        check_scope(parameters.scope.as_deref())?;
        check_lengths(&[&parameters.state, &parameters.nonce])?;
        let code_challenge =
            challenge(parameters.code_challenge, parameters.code_challenge_method.as_deref())?
                .ok_or(LoginError::InvalidRequest)?;
        let request = AuthorizationRequest {
            redirect_uri,
            state: parameters.state,
            nonce: parameters.nonce,
            code_challenge,
            is_offline: is_offline(parameters.scope.as_deref()),
        };
        let number = hex::encode(random::<16>());
        insert(&mut self.open().requests, number.clone(), request, now)?;
        Ok(number)
    }

    /// Ends a login by browser: returns what was asked, and the code for it.
    pub(super) fn approve(
        &self,
        number: &str,
        identity: Identity,
        now: i64,
    ) -> Result<(AuthorizationRequest, String), LoginError> {
        identity.check()?;
        let mut open = self.open();
        let request = take(&mut open.requests, number, now)?;
        let code = hex::encode(random::<32>());
        insert(&mut open.codes, code.clone(), Code { request: request.clone(), identity }, now)?;
        Ok((request, code))
    }

    /// Opens a login by device and returns device code and user code.
    pub(super) fn begin_device(
        &self,
        parameters: DeviceParameters,
        now: i64,
    ) -> Result<(String, String), LoginError> {
        if parameters.client_id.as_deref() != Some(AUDIENCE) {
            return Err(LoginError::InvalidClient);
        }
        check_scope(parameters.scope.as_deref())?;
        check_lengths(&[&parameters.nonce])?;
        let code_challenge =
            challenge(parameters.code_challenge, parameters.code_challenge_method.as_deref())?;
        let user_code: String = random::<8>()
            .iter()
            .map(|byte| char::from(USER_CODE_CHARACTERS[usize::from(*byte) % USER_CODE_CHARACTERS.len()]))
            .collect();
        let user_code = format!("{}-{}", &user_code[..4], &user_code[4..]);
        let device_code = hex::encode(random::<32>());
        let device = Device {
            user_code: user_code.clone(),
            nonce: parameters.nonce,
            code_challenge,
            identity: self.auto_approve.clone(),
            asked: None,
            is_offline: is_offline(parameters.scope.as_deref()),
        };
        insert(&mut self.open().devices, device_code.clone(), device, now)?;
        Ok((device_code, user_code))
    }

    /// Approves the login by device that shows this user code.
    pub(super) fn approve_device(
        &self,
        user_code: &str,
        identity: Identity,
        now: i64,
    ) -> Result<(), LoginError> {
        identity.check()?;
        let typed = user_code.trim().to_ascii_uppercase();
        let mut open = self.open();
        let device = open
            .devices
            .values_mut()
            .find(|device| device.end > now && device.value.user_code == typed)
            .ok_or(LoginError::InvalidGrant)?;
        if device.value.identity.is_some() {
            return Err(LoginError::InvalidGrant);
        }
        device.value.identity = Some(identity);
        Ok(())
    }

    /// Exchanges a code.
    pub(super) fn exchange(&self, parameters: &TokenParameters, now: i64) -> Result<Granted, LoginError> {
        if parameters.client_id.as_deref() != Some(AUDIENCE) {
            return Err(LoginError::InvalidClient);
        }
        match parameters.grant_type.as_deref() {
            Some("authorization_code") => self.exchange_code(parameters, now),
            Some("urn:ietf:params:oauth:grant-type:device_code") => self.exchange_device(parameters, now),
            Some("refresh_token") => {
                let token = parameters.refresh_token.as_deref().ok_or(LoginError::InvalidRequest)?;
                let taken = take(&mut self.open().refreshes, token, now);
                let identity = taken.map_err(|_| LoginError::InvalidGrant)?;
                self.grant(identity, None, true, now)
            }
            _ => Err(LoginError::UnsupportedGrantType),
        }
    }

    fn grant(
        &self,
        identity: Identity,
        nonce: Option<String>,
        is_offline: bool,
        now: i64,
    ) -> Result<Granted, LoginError> {
        let refresh = is_offline.then(|| hex::encode(random::<32>()));
        if let Some(token) = &refresh {
            insert(&mut self.open().refreshes, token.clone(), identity.clone(), now)?;
        }
        Ok(Granted { identity, nonce, refresh })
    }

    fn exchange_code(&self, parameters: &TokenParameters, now: i64) -> Result<Granted, LoginError> {
        let code = parameters.code.as_deref().ok_or(LoginError::InvalidRequest)?;
        // Taken before it is checked: who guesses wrong has spent the code.
        let code = take(&mut self.open().codes, code, now).map_err(|_| LoginError::InvalidGrant)?;
        let verifier = parameters.code_verifier.as_deref().ok_or(LoginError::InvalidGrant)?;
        let same_uri = parameters.redirect_uri.as_deref() == Some(code.request.redirect_uri.as_str());
        if !same_uri || !fits(verifier, &code.request.code_challenge) {
            return Err(LoginError::InvalidGrant);
        }
        self.grant(code.identity, code.request.nonce, code.request.is_offline, now)
    }

    fn exchange_device(&self, parameters: &TokenParameters, now: i64) -> Result<Granted, LoginError> {
        let code = parameters.device_code.as_deref().ok_or(LoginError::InvalidRequest)?;
        let mut open = self.open();
        let device = open.devices.get_mut(code).ok_or(LoginError::InvalidGrant)?;
        if device.end <= now {
            open.devices.remove(code);
            return Err(LoginError::ExpiredToken);
        }
        let device = &mut device.value;
        let verifier = parameters.code_verifier.as_deref();
        if let Some(challenge) = &device.code_challenge
            && !verifier.is_some_and(|verifier| fits(verifier, challenge))
        {
            open.devices.remove(code);
            return Err(LoginError::InvalidGrant);
        }
        let Some(identity) = device.identity.clone() else {
            let too_soon = device.asked.is_some_and(|asked| now < asked + DEVICE_INTERVAL);
            device.asked = Some(now);
            return Err(if too_soon { LoginError::SlowDown } else { LoginError::AuthorizationPending });
        };
        let (nonce, is_offline) = (device.nonce.clone(), device.is_offline);
        open.devices.remove(code);
        drop(open);
        self.grant(identity, nonce, is_offline, now)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert<T>(
    open: &mut HashMap<String, Until<T>>,
    name: String,
    value: T,
    now: i64,
) -> Result<(), LoginError> {
    open.retain(|_, until| until.end > now);
    if open.len() >= MAXIMUM_OPEN {
        return Err(LoginError::TemporarilyUnavailable);
    }
    open.insert(name, Until { end: now + LOGIN_LIFETIME, value });
    Ok(())
}

fn take<T>(open: &mut HashMap<String, Until<T>>, name: &str, now: i64) -> Result<T, LoginError> {
    let until = open.remove(name).ok_or(LoginError::InvalidGrant)?;
    if until.end > now { Ok(until.value) } else { Err(LoginError::ExpiredToken) }
}

fn check_scope(scope: Option<&str>) -> Result<(), LoginError> {
    match scope.is_some_and(|scope| scope.split(' ').any(|word| word == "openid")) {
        true => Ok(()),
        false => Err(LoginError::InvalidScope),
    }
}

/// Whether a refresh token is asked for (OpenID Connect Core section 11).
fn is_offline(scope: Option<&str>) -> bool {
    scope.is_some_and(|scope| scope.split(' ').any(|word| word == "offline_access"))
}

fn check_lengths(parameters: &[&Option<String>]) -> Result<(), LoginError> {
    match parameters.iter().all(|text| text.as_ref().is_none_or(|text| text.len() <= MAXIMUM_PARAMETER)) {
        true => Ok(()),
        false => Err(LoginError::InvalidRequest),
    }
}

/// The challenge of S256, 43 characters of base64url; any other method is refused.
fn challenge(challenge: Option<String>, method: Option<&str>) -> Result<Option<String>, LoginError> {
    match (challenge, method) {
        (None, None) => Ok(None),
        (Some(challenge), Some("S256"))
            if URL_SAFE_NO_PAD.decode(&challenge).is_ok_and(|bytes| bytes.len() == 32) =>
        {
            Ok(Some(challenge))
        }
        _ => Err(LoginError::InvalidRequest),
    }
}

/// Whether a verifier of 43 to 128 characters has this challenge (RFC 7636 section 4.6).
fn fits(verifier: &str, challenge: &str) -> bool {
    (43..=128).contains(&verifier.len()) && URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())) == challenge
}
