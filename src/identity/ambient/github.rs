//! GitHub Actions, in a job with `id-token: write`: the runner is asked for a token.
//!
//! GET `$ACTIONS_ID_TOKEN_REQUEST_URL&audience=…` with the runner's bearer token; `{"value": …}` comes back
//! (GitHub, "OpenID Connect reference"). Forgejo Actions speak the same.

use std::fmt;

use ureq::http::{Method, header};
use url::Url;
use zeroize::Zeroizing;

use super::{AmbientError, Token, Variables, secret_header, token_member};
use crate::service::http::{Http, Repeat, request};

pub(super) const NAME: &str = "GitHub Actions";

/// The runner of a job.
#[derive(Clone)]
pub struct GitHubActions {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    request_url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    request_token: Zeroizing<String>,
}

impl fmt::Debug for GitHubActions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GitHubActions")
            .field("request_url", &self.request_url)
            .finish_non_exhaustive()
    }
}

impl GitHubActions {
    pub(super) fn new(variables: &Variables) -> Result<Self, AmbientError> {
        let url = variables.require(NAME, "ACTIONS_ID_TOKEN_REQUEST_URL")?;
        let token = variables.require(NAME, "ACTIONS_ID_TOKEN_REQUEST_TOKEN")?;
        Ok(Self { request_url: url.to_owned(), request_token: Zeroizing::new(token.to_owned()) })
    }

    /// Asks the runner for a token for `audience`.
    ///
    /// # Errors
    /// [`AmbientError`].
    pub fn token(&self, http: &Http, audience: &str) -> Result<Token, AmbientError> {
        let mut url = Url::parse(&self.request_url).map_err(|_| AmbientError::Variables)?;
        url.query_pairs_mut().append_pair("audience", audience);
        let mut request = request(Method::GET, url.as_str(), "application/json", Vec::new())?;
        let bearer = format!("Bearer {}", self.request_token.as_str());
        secret_header(&mut request, header::AUTHORIZATION, bearer)?;
        token_member(&http.send(&request, Repeat::Always)?, "value")
    }
}
