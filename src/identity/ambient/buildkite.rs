//! Buildkite: the agent API is asked for a token of the job, as `buildkite-agent oidc request-token` does.
//!
//! POST `$BUILDKITE_AGENT_ENDPOINT/jobs/$BUILDKITE_JOB_ID/oidc/tokens` with `Authorization: Token …` and
//! `{"audience": …}`; `{"token": …}` comes back (Buildkite, "buildkite-agent oidc").

use std::fmt;

use ureq::http::{Method, header};
use zeroize::Zeroizing;

use super::{AmbientError, Token, Variables, secret_header, token_member};
use crate::service::http::{Http, Repeat, join, request};

pub(super) const NAME: &str = "Buildkite";

/// Where the agent API is unless the job is told.
const ENDPOINT: &str = "https://agent.buildkite.com/v3";

/// The agent of a job.
#[derive(Clone)]
pub struct Buildkite {
    endpoint: String,
    job: String,
    access_token: Zeroizing<String>,
}

impl fmt::Debug for Buildkite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Buildkite")
            .field("endpoint", &self.endpoint)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

impl Buildkite {
    pub(super) fn new(variables: &Variables) -> Result<Self, AmbientError> {
        let access_token = variables.require(NAME, "BUILDKITE_AGENT_ACCESS_TOKEN")?;
        let job = variables.require(NAME, "BUILDKITE_JOB_ID")?;
        let endpoint = variables.get("BUILDKITE_AGENT_ENDPOINT").unwrap_or(ENDPOINT);
        Ok(Self {
            endpoint: endpoint.to_owned(),
            job: job.to_owned(),
            access_token: Zeroizing::new(access_token.to_owned()),
        })
    }

    /// Asks the agent API for a token for `audience`.
    ///
    /// # Errors
    /// [`AmbientError`].
    pub fn token(&self, http: &Http, audience: &str) -> Result<Token, AmbientError> {
        // Job ids are UUIDs; anything else could lead the access token to another path.
        if !self.job.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(AmbientError::Variables);
        }
        let url = join(&self.endpoint, &format!("/jobs/{}/oidc/tokens", self.job));
        let body = serde_json::json!({"audience": audience}).to_string().into_bytes();
        let mut request = request(Method::POST, &url, "application/json", body)?;
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        let token = format!("Token {}", self.access_token.as_str());
        secret_header(&mut request, header::AUTHORIZATION, token)?;
        // One token more does no harm.
        token_member(&http.send(&request, Repeat::Always)?, "token")
    }
}
