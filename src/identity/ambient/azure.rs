//! Microsoft Azure, in the order in which Azure's own clients look:
//!
//! 1. workload identity of a pod: the federated token in `AZURE_FEDERATED_TOKEN_FILE` is exchanged at
//!    `$AZURE_AUTHORITY_HOST/$AZURE_TENANT_ID/oauth2/v2.0/token` (client credentials, RFC 7523);
//! 2. managed identity of an app: GET `$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=…` with
//!    `X-IDENTITY-HEADER`;
//! 3. managed identity of a machine: GET `http://169.254.169.254/metadata/identity/oauth2/token` with
//!    `Metadata: true` (Azure, "How to use managed identities to acquire an access token").
//!
//! Each gives an access token, a JWT whose audience is the application that the audience names: it has to be
//! registered in the tenant. The public Sigstore takes none of them; a private one may. For a pod of AKS the
//! token that Kubernetes projects for Sigstore's own audience is the simpler way.

use std::{fmt, path::PathBuf};

use ureq::http::{HeaderName, HeaderValue, Method, header};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{AmbientError, Token, Variables, file, secret_header, token_member};
use crate::service::http::{Http, Repeat, join, request};

pub(super) const NAME: &str = "Azure";

const METADATA: &str = "http://169.254.169.254";
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// Something that runs in Azure.
#[derive(Clone, Debug)]
pub struct Azure {
    /// `AZURE_CLIENT_ID`: which identity, where there are several.
    client: Option<String>,
    place: Place,
}

#[derive(Clone)]
enum Place {
    App { endpoint: String, secret: Zeroizing<String> },
    Machine { metadata: String },
    Pod { authority: String, tenant: String, token_file: PathBuf },
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App { endpoint, .. } => formatter.debug_tuple("App").field(endpoint).finish(),
            Self::Machine { metadata } => formatter.debug_tuple("Machine").field(metadata).finish(),
            Self::Pod { authority, tenant, token_file } => {
                formatter.debug_tuple("Pod").field(authority).field(tenant).field(token_file).finish()
            }
        }
    }
}

impl Azure {
    pub(super) fn new(variables: &Variables) -> Result<Self, AmbientError> {
        let text = |name: &str| variables.get(name).map(str::to_owned);
        let place = if let Some(token_file) = text("AZURE_FEDERATED_TOKEN_FILE") {
            variables.require(NAME, "AZURE_CLIENT_ID")?;
            let tenant = variables.require(NAME, "AZURE_TENANT_ID")?.to_owned();
            if !tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) {
                return Err(AmbientError::Variables);
            }
            let authority = text("AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned());
            Place::Pod { authority, tenant, token_file: token_file.into() }
        } else if let Some((endpoint, secret)) = text("IDENTITY_ENDPOINT").zip(text("IDENTITY_HEADER")) {
            Place::App { endpoint, secret: Zeroizing::new(secret) }
        } else {
            let metadata = text("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| METADATA.to_owned());
            Place::Machine { metadata }
        };
        Ok(Self { client: text("AZURE_CLIENT_ID"), place })
    }

    /// Asks for a token for `audience`.
    ///
    /// # Errors
    /// [`AmbientError`].
    pub fn token(&self, http: &Http, audience: &str) -> Result<Token, AmbientError> {
        let client = self.client.as_deref();
        let query = |version| {
            [("api-version", version), ("resource", audience)]
                .into_iter()
                .chain(client.map(|client| ("client_id", client)))
        };
        let parsed = |url: Result<Url, _>| url.map_err(|_| AmbientError::Variables);
        let response = match &self.place {
            Place::App { endpoint, secret } => {
                let url = parsed(Url::parse_with_params(endpoint, query("2019-08-01")))?;
                let mut request = request(Method::GET, url.as_str(), "application/json", Vec::new())?;
                let name = HeaderName::from_static("x-identity-header");
                secret_header(&mut request, name, secret.to_string())?;
                http.send_to_machine(&request)?
            }
            Place::Machine { metadata } => {
                let url = join(metadata, "/metadata/identity/oauth2/token");
                let url = parsed(Url::parse_with_params(&url, query("2018-02-01")))?;
                let mut request = request(Method::GET, url.as_str(), "application/json", Vec::new())?;
                let name = HeaderName::from_static("metadata");
                request.headers_mut().insert(name, HeaderValue::from_static("true"));
                http.send_to_machine(&request)?
            }
            Place::Pod { authority, tenant, token_file } => {
                let own = file::token(token_file)?;
                let body = form_urlencoded::Serializer::new(String::new())
                    .append_pair("grant_type", "client_credentials")
                    .append_pair("client_id", client.unwrap_or_default())
                    .append_pair("scope", &format!("{audience}/.default"))
                    .append_pair(
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    )
                    .append_pair("client_assertion", own.secret())
                    .finish();
                let url = join(authority, &format!("/{tenant}/oauth2/v2.0/token"));
                let mut request = request(Method::POST, &url, "application/json", body.into_bytes())?;
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers_mut().insert(header::CONTENT_TYPE, form);
                http.send(&request, Repeat::Always)?
            }
        };
        token_member(&response, "access_token")
    }
}
