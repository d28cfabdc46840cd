//! The OpenID Connect issuer of a login: its discovery document, and the token that it exchanges.

use std::{fmt, io, time::Duration};

use openidconnect::{
    AdditionalProviderMetadata, ClientId, ClientSecret, DeviceAuthorizationUrl, DiscoveryError,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, NonceVerifier,
    OAuth2TokenResponse as _, ProviderMetadata, RequestTokenError, TokenResponse as _,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType,
        CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
        CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
    },
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    SIGSTORE,
    opener::OpenerError,
    token::{Token, TokenError},
};
use crate::service::http::{Http, HttpError, Repeat};

/// Why a login did not yield a token. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The person or the issuer said no.
    #[error("the issuer says '{error}': {description}")]
    Denied {
        /// The issuer's error code.
        error: String,
        /// The issuer's words; hostile text.
        description: String,
    },
    /// The issuer has no device flow.
    #[error("the issuer '{0}' offers no login with a device code")]
    DeviceUnsupported(String),
    /// The issuer's discovery document or keys are of no use.
    #[error("the issuer '{issuer}' cannot be used: {reason}")]
    Discovery {
        /// The issuer.
        issuer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The issuer did not exchange the code for a token.
    #[error("the issuer gave no token: {0}")]
    Exchange(String),
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The token does not prove this login.
    #[error("the issuer's token is not for this login: {0}")]
    IdToken(String),
    /// The loopback listener failed.
    #[error("cannot listen for the browser on this machine: {0}")]
    Listener(#[from] io::Error),
    /// Neither a browser could be opened nor the person be told to open one.
    #[error("there is no way to show the login page: {0}")]
    NoWayToAsk(OpenerError),
    /// The person could not be told the device code.
    #[error("there is no terminal to show the device code on")]
    NoTerminal,
    /// The redirect URL is not an http URL of this machine.
    #[error("'{0}' is not a redirect URL on this machine")]
    RedirectUrl(String),
    /// Nobody logged in.
    #[error("nobody logged in within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// What the issuer gave is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// An issuer, and who we are to it.
#[derive(Clone)]
pub struct Provider {
    /// The issuer's URL, exactly as it names itself.
    pub issuer: String,
    /// Our client id, which becomes the token's audience.
    pub client_id: String,
    /// Our client secret, where the issuer gave us one.
    pub client_secret: Option<Zeroizing<String>>,
    /// The upstream provider that Sigstore's issuer should go straight to (`connector_id`).
    pub connector_id: Option<String>,
    /// Whom the login is expected for (`login_hint`).
    pub login_hint: Option<String>,
    /// Whether a refresh token is asked for (`offline_access`).
    pub offline: bool,
}

impl Provider {
    /// The issuer at this URL, for the client `sigstore`.
    #[must_use]
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: SIGSTORE.to_owned(),
            client_secret: None,
            connector_id: None,
            login_hint: None,
            offline: false,
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Provider")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret.is_some())
            .field("connector_id", &self.connector_id)
            .field("login_hint", &self.login_hint)
            .field("offline", &self.offline)
            .finish()
    }
}

/// What the discovery document says beyond OpenID Connect's own fields (RFC 8628 §4).
#[derive(Clone, Debug, Deserialize, Serialize)]
struct DeviceMetadata {
    device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
}

impl AdditionalProviderMetadata for DeviceMetadata {}

type Metadata = ProviderMetadata<
    DeviceMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A client of an issuer whose endpoints are known.
pub(super) type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// An issuer with its discovery document and keys read.
pub(super) struct Discovered {
    pub(super) client: Client,
    pub(super) device_endpoint: Option<DeviceAuthorizationUrl>,
}

impl Provider {
    /// Reads the issuer's discovery document and keys.
    pub(super) fn discover(&self, http: &Http) -> Result<Discovered, LoginError> {
        let unusable = |reason: String| LoginError::Discovery { issuer: self.issuer.clone(), reason };
        let issuer = IssuerUrl::new(self.issuer.clone()).map_err(|error| unusable(error.to_string()))?;
        let metadata =
            Metadata::discover(&issuer, &caller(http, Repeat::Always)).map_err(|error| match error {
                DiscoveryError::Request(error) => LoginError::Http(error),
                DiscoveryError::Response(status, ..) => unusable(format!("it answered {status}")),
                DiscoveryError::Parse(error) => unusable(format!("its discovery document: {error}")),
                other => unusable(other.to_string()),
            })?;
        let device_endpoint = metadata.additional_metadata().device_authorization_endpoint.clone();
        let secret = self.client_secret.as_ref().map(|secret| ClientSecret::new(secret.to_string()));
        let client = Client::from_provider_metadata(metadata, ClientId::new(self.client_id.clone()), secret);
        Ok(Discovered { client, device_endpoint })
    }
}

/// Our HTTP client as the OpenID Connect library wants one.
pub(super) fn caller(
    http: &Http,
    repeat: Repeat,
) -> impl Fn(HttpRequest) -> Result<HttpResponse, HttpError> + '_ {
    move |request| http.send(&request, repeat)
}

/// The ID token in the issuer's answer: signed by the issuer's keys, for us, still good, and for this login
/// as `nonce` says.
pub(super) fn id_token(
    client: &Client,
    response: &CoreTokenResponse,
    nonce: impl NonceVerifier,
) -> Result<Token, LoginError> {
    let token = response.id_token().ok_or_else(|| LoginError::Exchange("no ID token in it".to_owned()))?;
    token
        .claims(&client.id_token_verifier(), nonce)
        .map_err(|error| LoginError::IdToken(error.to_string()))?;
    let refresh = response.refresh_token().map(|refresh| refresh.secret().clone());
    Ok(Token::parse(token.to_string())?.with_refresh(refresh))
}

/// What a refused or failed exchange means.
pub(super) fn exchange_error<T: openidconnect::ErrorResponse + fmt::Display + 'static>(
    error: RequestTokenError<HttpError, T>,
) -> LoginError {
    match error {
        RequestTokenError::Request(error) => LoginError::Http(error),
        RequestTokenError::ServerResponse(said) => LoginError::Exchange(said.to_string()),
        RequestTokenError::Parse(error, _) => LoginError::Exchange(error.to_string()),
        RequestTokenError::Other(reason) => LoginError::Exchange(reason),
    }
}
