//! CircleCI: its own program is asked for a token for our audience.
//!
//! The tokens in `CIRCLE_OIDC_TOKEN_V2` and `CIRCLE_OIDC_TOKEN` are for the audience of the organization and
//! no other, which no public authority takes; `circleci run oidc get --claims '{"aud": …}'` gives one that
//! is for another (CircleCI, "OIDC tokens with custom claims"). It has no documented HTTP interface.

use std::{fmt, path::PathBuf};

use zeroize::Zeroizing;

use super::{AmbientError, Token, Variables, program};

pub(super) const NAME: &str = "CircleCI";

/// A job that may have OIDC tokens.
#[derive(Clone)]
pub struct CircleCi {
    /// The token of the organization's own audience.
    token: Zeroizing<String>,
    /// CircleCI's own program, where it is installed.
    program: Option<PathBuf>,
}

impl fmt::Debug for CircleCi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CircleCi").field("program", &self.program).finish_non_exhaustive()
    }
}

impl CircleCi {
    pub(super) fn new(variables: &Variables) -> Result<Self, AmbientError> {
        variables.require(NAME, "CIRCLECI")?;
        let token = variables
            .get("CIRCLE_OIDC_TOKEN_V2")
            .map_or_else(|| variables.require(NAME, "CIRCLE_OIDC_TOKEN"), Ok)?;
        let program = program::find("circleci", variables.get("PATH").unwrap_or_default());
        Ok(Self { token: Zeroizing::new(token.to_owned()), program })
    }

    /// A token for `audience`: the job's own where it is for that, else a new one.
    ///
    /// # Errors
    /// [`AmbientError`].
    pub fn token(&self, audience: &str) -> Result<Token, AmbientError> {
        let own = Token::parse(self.token.to_string())?;
        if own.claims().audience.iter().any(|meant| meant == audience) {
            return Ok(own);
        }
        let Some(program) = &self.program else {
            return Err(AmbientError::Program { name: "circleci", reason: "it is not installed".to_owned() });
        };
        let claims = serde_json::json!({"aud": audience}).to_string();
        let printed = program::run("circleci", program, &["run", "oidc", "get", "--claims", &claims])?;
        Ok(Token::parse(printed.to_string())?)
    }
}
