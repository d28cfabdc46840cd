//! Tokens that a workflow runner issues to the job it runs: GitHub Actions.
//!
//! GitLab and others hand theirs over in `SIGSTORE_ID_TOKEN`.

use std::fmt;

use serde::Deserialize;
use ureq::http::{Method, header};
use url::Url;

use super::token::{Token, TokenError};
use crate::service::{
    Refusal,
    http::{Http, HttpError, Repeat, request},
};

/// Why the runner gave no token. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmbientError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The runner said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What the runner gave is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The answer holds no token.
    #[error("the answer holds no token")]
    Unreadable,
    /// The runner's variables are not a URL and a token.
    #[error("the runner's variables make no request")]
    Variables,
}

/// GitHub Actions, in a job with `id-token: write`.
#[derive(Clone)]
pub struct GitHubActions {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub request_url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub request_token: String,
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
    /// Asks the runner for a token for `audience`.
    ///
    /// # Errors
    /// [`AmbientError`].
    pub fn token(&self, http: &Http, audience: &str) -> Result<Token, AmbientError> {
        #[derive(Deserialize)]
        struct Answer {
            value: String,
        }
        let mut url = Url::parse(&self.request_url).map_err(|_| AmbientError::Variables)?;
        url.query_pairs_mut().append_pair("audience", audience);
        let mut request = request(Method::GET, url.as_str(), "application/json", Vec::new())?;
        let mut bearer = header::HeaderValue::try_from(format!("Bearer {}", self.request_token))
            .map_err(|_| AmbientError::Variables)?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let response = http.send(&request, Repeat::Always)?;
        if response.status().as_u16() != 200 {
            return Err(Refusal::of(&response).into());
        }
        let answer: Answer = serde_json::from_slice(response.body()).map_err(|_| AmbientError::Unreadable)?;
        Ok(Token::parse(answer.value)?)
    }
}
