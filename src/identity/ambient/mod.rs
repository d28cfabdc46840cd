//! Tokens that the surroundings issue to whatever runs in them: workflow runners, cloud machines, pods.
//!
//! Responsible for telling which provider is meant and for asking it. A runner is used where its own
//! variables are set; a metadata server or a projected file only where it is configured, for a machine in
//! a cloud says nothing of who works on it. Two runners at once are refused: which one is meant is not
//! ours to guess. Whom a token is for, and whether it is still good, the caller checks.

mod azure;
mod buildkite;
mod circleci;
mod file;
mod github;
mod gitlab;
mod google;
mod program;

use std::{collections::BTreeMap, fmt, io, path::PathBuf, str::FromStr};

use ureq::http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

pub use self::{
    azure::Azure, buildkite::Buildkite, circleci::CircleCi, github::GitHubActions, google::Google,
};
use super::token::{Token, TokenError};
use crate::service::{
    Refusal,
    http::{Http, HttpError, Request, Response},
};

pub(super) use self::file::read as read_token_file;

/// Every variable that decides about an ambient identity, for the manual to be complete.
pub const VARIABLES: [&str; 18] = [
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "BUILDKITE_AGENT_ACCESS_TOKEN",
    "BUILDKITE_AGENT_ENDPOINT",
    "BUILDKITE_JOB_ID",
    "CIRCLECI",
    "CIRCLE_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN_V2",
    "GCE_METADATA_HOST",
    "GITLAB_CI",
    "GOOGLE_SERVICE_ACCOUNT_NAME",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
];

/// Why the surroundings gave no token. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmbientError {
    /// More than one runner has set its variables.
    #[error("both {first} and {second} offer an identity here")]
    Ambiguous {
        /// One of them.
        first: &'static str,
        /// Another one.
        second: &'static str,
    },
    /// A token file cannot be read.
    #[error("cannot read the identity token from '{}': {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The provider that was chosen is not here: a variable of its own is not set.
    #[error("{provider} is chosen, and '{variable}' is not set")]
    NotHere {
        /// The provider.
        provider: &'static str,
        /// The variable.
        variable: String,
    },
    /// The provider's own program did not give one.
    #[error("the program '{name}' gave no identity token: {reason}")]
    Program {
        /// What it is called.
        name: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The provider said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What the provider gave is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The answer holds no token.
    #[error("the answer holds no token")]
    Unreadable,
    /// The provider's variables are not what it should have set.
    #[error("the provider's variables make no request")]
    Variables,
}

/// The environment, as values taken by the caller. What it holds may be secret: only names are shown.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, Zeroizing<String>>);

impl Variables {
    /// Takes `variables`; empty ones count as not set.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let set = variables.into_iter().filter(|(_, value)| !value.is_empty());
        Self(set.map(|(name, value)| (name, Zeroizing::new(value))).collect())
    }

    /// The value of `name`, where it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }

    fn require(&self, provider: &'static str, name: &str) -> Result<&str, AmbientError> {
        self.get(name).ok_or_else(|| AmbientError::NotHere { provider, variable: name.to_owned() })
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_set()
            .entries(self.0.keys().filter(|name| VARIABLES.contains(&name.as_str())))
            .finish()
    }
}

/// Which provider to ask, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The runner whose variables are set, if there is one.
    #[default]
    Detect,
    /// A file with a token, such as one that Kubernetes or a SPIFFE helper keeps fresh.
    File(PathBuf),
    /// This provider, whether or not it would be found.
    Named(Kind),
    /// None at all.
    Nothing,
    /// The variable of this name.
    Variable(String),
}

/// A provider that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Microsoft Azure: workload identity, managed identity of an app or of a machine.
    Azure,
    /// Buildkite.
    Buildkite,
    /// CircleCI.
    CircleCi,
    /// GitHub Actions.
    GitHub,
    /// GitLab CI/CD.
    GitLab,
    /// Google Cloud's metadata server.
    Google,
}

/// A choice that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// A path that is not absolute would be looked for in whatever repository is at hand.
    #[error("'{0}' is not an absolute path")]
    Path(String),
    /// There is no such provider.
    #[error("there is no ambient identity called '{0}'")]
    Unknown(String),
    /// A name that no variable can have.
    #[error("'{0}' cannot be the name of a variable")]
    Variable(String),
}

/// What [`Choice`] may be written as, for people.
pub const CHOICES: &str = "auto, none, github, gitlab, buildkite, circleci, google, azure, \
                           kubernetes[:PATH], spiffe:PATH, file:PATH or variable:NAME";

/// Where a pod finds its token unless it is told, the place that cosign looks at.
const KUBERNETES_TOKEN: &str = "/var/run/sigstore/cosign/oidc-token";

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        let file = |path: &str| match PathBuf::from(path) {
            path if path.is_absolute() => Ok(Self::File(path)),
            _ => Err(ChoiceError::Path(path.to_owned())),
        };
        Ok(match text.split_once(':') {
            None => match text {
                "auto" => Self::Detect,
                "azure" => Self::Named(Kind::Azure),
                "buildkite" => Self::Named(Kind::Buildkite),
                "circleci" => Self::Named(Kind::CircleCi),
                "github" => Self::Named(Kind::GitHub),
                "gitlab" => Self::Named(Kind::GitLab),
                "google" => Self::Named(Kind::Google),
                "kubernetes" => Self::File(PathBuf::from(KUBERNETES_TOKEN)),
                "none" => Self::Nothing,
                _ => return Err(ChoiceError::Unknown(text.to_owned())),
            },
            Some(("file" | "kubernetes" | "spiffe", path)) => file(path)?,
            Some(("variable", name)) => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                if name.is_empty() || !name.bytes().all(plain) {
                    return Err(ChoiceError::Variable(name.to_owned()));
                }
                Self::Variable(name.to_owned())
            }
            Some(_) => return Err(ChoiceError::Unknown(text.to_owned())),
        })
    }
}

/// A provider that is here, with all it takes to ask it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Source {
    /// Microsoft Azure.
    Azure(Azure),
    /// Buildkite.
    Buildkite(Buildkite),
    /// CircleCI.
    CircleCi(CircleCi),
    /// A file that someone keeps fresh.
    File(PathBuf),
    /// GitHub Actions.
    GitHub(GitHubActions),
    /// Google Cloud.
    Google(Google),
    /// A token in a variable: GitLab's, or any.
    Variable {
        /// The variable.
        name: String,
        /// The token.
        token: Zeroizing<String>,
    },
}

impl Source {
    /// The provider that `choice` means among `variables`; `None` where there is none to be found.
    ///
    /// # Errors
    /// The chosen one is not here, or more than one is.
    pub fn select(
        choice: &Choice,
        variables: &Variables,
        audience: &str,
    ) -> Result<Option<Self>, AmbientError> {
        Ok(Some(match choice {
            Choice::Nothing => return Ok(None),
            Choice::Detect => return detect(variables, audience),
            Choice::File(path) => Self::File(path.clone()),
            Choice::Variable(name) => Self::variable("a variable", name, variables)?,
            Choice::Named(Kind::Azure) => Self::Azure(Azure::new(variables)?),
            Choice::Named(Kind::Buildkite) => Self::Buildkite(Buildkite::new(variables)?),
            Choice::Named(Kind::CircleCi) => Self::CircleCi(CircleCi::new(variables)?),
            Choice::Named(Kind::GitHub) => Self::GitHub(GitHubActions::new(variables)?),
            Choice::Named(Kind::GitLab) => {
                Self::variable(gitlab::NAME, &gitlab::variable(audience), variables)?
            }
            Choice::Named(Kind::Google) => Self::Google(Google::new(variables)?),
        }))
    }

    /// Asks for a token for `audience`.
    ///
    /// # Errors
    /// [`AmbientError`].
    pub fn token(&self, http: &Http, audience: &str) -> Result<Token, AmbientError> {
        match self {
            Self::Azure(azure) => azure.token(http, audience),
            Self::Buildkite(runner) => runner.token(http, audience),
            Self::CircleCi(runner) => runner.token(audience),
            Self::File(path) => file::token(path),
            Self::GitHub(runner) => runner.token(http, audience),
            Self::Google(google) => google.token(http, audience),
            Self::Variable { token, .. } => Ok(Token::parse(token.to_string())?),
        }
    }

    fn variable(provider: &'static str, name: &str, variables: &Variables) -> Result<Self, AmbientError> {
        let token = Zeroizing::new(variables.require(provider, name)?.to_owned());
        Ok(Self::Variable { name: name.to_owned(), token })
    }
}

impl fmt::Display for Source {
    /// What it is called, for people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Azure(_) => formatter.write_str(azure::NAME),
            Self::Buildkite(_) => formatter.write_str(buildkite::NAME),
            Self::CircleCi(_) => formatter.write_str(circleci::NAME),
            Self::File(path) => write!(formatter, "the token file '{}'", path.display()),
            Self::GitHub(_) => formatter.write_str(github::NAME),
            Self::Google(_) => formatter.write_str(google::NAME),
            Self::Variable { name, .. } => write!(formatter, "the variable '{name}'"),
        }
    }
}

/// The one runner whose variables are set.
fn detect(variables: &Variables, audience: &str) -> Result<Option<Source>, AmbientError> {
    let mut found: Vec<(&'static str, Source)> = Vec::new();
    if let Ok(runner) = GitHubActions::new(variables) {
        found.push((github::NAME, Source::GitHub(runner)));
    }
    if gitlab::is_here(variables)
        && let Ok(source) = Source::variable(gitlab::NAME, &gitlab::variable(audience), variables)
    {
        found.push((gitlab::NAME, source));
    }
    if let Ok(runner) = Buildkite::new(variables) {
        found.push((buildkite::NAME, Source::Buildkite(runner)));
    }
    if let Ok(runner) = CircleCi::new(variables) {
        found.push((circleci::NAME, Source::CircleCi(runner)));
    }
    if let [(first, _), (second, _), ..] = found.as_slice() {
        return Err(AmbientError::Ambiguous { first, second });
    }
    Ok(found.pop().map(|(_, source)| source))
}

/// What a job that runs without an identity token is missing, where it is known.
#[must_use]
pub fn missing(variables: &Variables) -> Option<&'static str> {
    let lacks = |name: &str| variables.get(name).is_none();
    if variables.get("GITHUB_ACTIONS").is_some() && lacks("ACTIONS_ID_TOKEN_REQUEST_URL") {
        return Some("give the workflow's job 'permissions: id-token: write'");
    }
    if gitlab::is_here(variables) {
        return Some("give the GitLab job 'id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore'");
    }
    if variables.get("CIRCLECI").is_some() && lacks("CIRCLE_OIDC_TOKEN") && lacks("CIRCLE_OIDC_TOKEN_V2") {
        return Some(
            "CircleCI gives this job no OIDC token: builds of forks get none unless the project says so",
        );
    }
    None
}

/// A header whose value is not to be shown.
fn secret_header(request: &mut Request, name: HeaderName, value: String) -> Result<(), AmbientError> {
    let mut value = HeaderValue::try_from(value).map_err(|_| AmbientError::Variables)?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}

/// The text under `key` in a JSON object that came with status 200.
fn member(response: &Response, key: &str) -> Result<Zeroizing<String>, AmbientError> {
    if response.status().as_u16() != 200 {
        return Err(Refusal::of(response).into());
    }
    let mut answer: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(response.body()).map_err(|_| AmbientError::Unreadable)?;
    match answer.remove(key) {
        Some(serde_json::Value::String(text)) => Ok(Zeroizing::new(text)),
        _ => Err(AmbientError::Unreadable),
    }
}

/// The token under `key` in a JSON object that came with status 200.
fn token_member(response: &Response, key: &str) -> Result<Token, AmbientError> {
    Ok(Token::parse(member(response, key)?.to_string())?)
}

#[cfg(test)]
mod tests;
