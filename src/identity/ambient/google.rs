//! Google Cloud: the metadata server is asked for a token of the machine's service account.
//!
//! GET `…/computeMetadata/v1/instance/service-accounts/default/identity?audience=…&format=full` with
//! `Metadata-Flavor: Google`; the token comes back as text (Google Cloud, "Verify VM identity"). With
//! `GOOGLE_SERVICE_ACCOUNT_NAME` the machine's access token serves to get one of that account: POST
//! `…:generateIdToken` at the IAM Service Account Credentials API, as Sigstore's other clients do.
//!
//! The server is asked at its fixed address: its name would be whatever some name server says.

use ureq::http::{HeaderName, HeaderValue, Method, header};
use url::Url;

use super::{AmbientError, Token, Variables, member, secret_header, token_member};
use crate::service::{
    Refusal,
    http::{Http, Repeat, Request, join, request},
};

pub(super) const NAME: &str = "Google Cloud";

const METADATA: &str = "http://169.254.169.254";
const CREDENTIALS: &str = "https://iamcredentials.googleapis.com";

/// A machine in Google Cloud.
#[derive(Clone, Debug)]
pub struct Google {
    metadata: String,
    credentials: String,
    /// The account to act as, if not the machine's own.
    account: Option<String>,
}

impl Google {
    pub(super) fn new(variables: &Variables) -> Result<Self, AmbientError> {
        let metadata = variables.get("GCE_METADATA_HOST").map(|host| format!("http://{host}"));
        let account = variables.get("GOOGLE_SERVICE_ACCOUNT_NAME").map(str::to_owned);
        // It becomes part of a path that an access token is sent to.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@:".contains(&byte);
        if account.as_ref().is_some_and(|account| !account.bytes().all(is_plain)) {
            return Err(AmbientError::Variables);
        }
        Ok(Self {
            metadata: metadata.unwrap_or_else(|| METADATA.to_owned()),
            credentials: CREDENTIALS.to_owned(),
            account,
        })
    }

    #[cfg(test)]
    pub(super) fn with_credentials(mut self, url: &str) -> Self {
        url.clone_into(&mut self.credentials);
        self
    }

    /// Asks for a token for `audience`.
    ///
    /// # Errors
    /// [`AmbientError`].
    pub fn token(&self, http: &Http, audience: &str) -> Result<Token, AmbientError> {
        match &self.account {
            Some(account) => self.impersonate(http, account, audience),
            None => {
                let query = [("audience", audience), ("format", "full")];
                let response = http.send_to_machine(&self.ask("identity", &query)?)?;
                if response.status().as_u16() != 200 {
                    return Err(Refusal::of(&response).into());
                }
                let text = String::from_utf8(response.into_body()).map_err(|_| AmbientError::Unreadable)?;
                Ok(Token::parse(text)?)
            }
        }
    }

    fn impersonate(&self, http: &Http, account: &str, audience: &str) -> Result<Token, AmbientError> {
        let scope = [("scopes", "https://www.googleapis.com/auth/cloud-platform")];
        let access = member(&http.send_to_machine(&self.ask("token", &scope)?)?, "access_token")?;
        let path = format!("/v1/projects/-/serviceAccounts/{account}:generateIdToken");
        let body = serde_json::json!({"audience": audience, "includeEmail": true});
        let url = join(&self.credentials, &path);
        let mut request = request(Method::POST, &url, "application/json", body.to_string().into_bytes())?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        secret_header(&mut request, header::AUTHORIZATION, format!("Bearer {}", access.as_str()))?;
        token_member(&http.send(&request, Repeat::Always)?, "token")
    }

    fn ask(&self, what: &str, query: &[(&str, &str)]) -> Result<Request, AmbientError> {
        let path = format!("/computeMetadata/v1/instance/service-accounts/default/{what}");
        let url = Url::parse_with_params(&join(&self.metadata, &path), query)
            .map_err(|_| AmbientError::Variables)?;
        let mut request = request(Method::GET, url.as_str(), "*/*", Vec::new())?;
        let flavor = HeaderValue::from_static("Google");
        request.headers_mut().insert(HeaderName::from_static("metadata-flavor"), flavor);
        Ok(request)
    }
}
