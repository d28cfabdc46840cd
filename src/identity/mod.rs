//! Getting an identity token: given, from a file, from the surroundings, or by logging in.
//!
//! Responsible for finding or obtaining a [`Token`] and for checking that it is meant for Sigstore and
//! still good. What is done with it is the `sign` room's. Environment variables come in as a value, and
//! nothing is ever written to stdout or stderr: those belong to whoever called the program.

mod ambient;
mod browser;
mod callback;
mod demands;
mod device;
mod keyring;
mod opener;
mod page;
mod provider;
mod refresh;
mod token;

use std::{fmt, io, path::PathBuf, time::Duration};

use url::Url;

pub use self::{
    ambient::{AmbientError, CHOICES, Choice, ChoiceError, Kind, Source, VARIABLES, Variables, missing},
    browser::BrowserOptions,
    callback::login_code,
    demands::{DemandError, Demands},
    keyring::{Keyring, KeyringError, Purpose, with_keyring},
    opener::{OpenFunction, Opener, OpenerError},
    provider::{LoginError, Provider},
    refresh::{RefreshError, renew},
    token::{Claims, MAXIMUM_TOKEN_BYTES, Token, TokenError},
};
use crate::service::http::Http;

/// The audience that Sigstore's certificate authorities want, and the client id of its own issuer.
pub const SIGSTORE: &str = "sigstore";

/// Why there is no identity. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The surroundings promised a token and did not give one.
    #[error("no identity token from the surroundings: {0}")]
    Ambient(#[from] AmbientError),
    /// The login did not end well.
    #[error("login failed: {0}")]
    Login(#[from] LoginError),
    /// No token is given, none is around, and nobody may be asked.
    #[error("there is no identity token, and nobody to ask for one")]
    NoSource,
    /// A token is there and of no use.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token file cannot be read.
    #[error("cannot read the identity token from '{}': {reason}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// What the environment says about identity, as values taken by the caller.
#[derive(Clone, Default)]
pub struct Environment {
    /// `SIGSTORE_ID_TOKEN`.
    pub sigstore_id_token: Option<String>,
    /// Everything else that a provider of identities may have set.
    pub variables: Variables,
    /// `BROWSER`, which the default opener honours.
    pub browser: Option<String>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("sigstore_id_token", &self.sigstore_id_token.is_some())
            .field("variables", &self.variables)
            .field("browser", &self.browser)
            .finish()
    }
}

/// Where to look for an identity.
#[derive(Debug)]
pub struct Options {
    /// A token file; before everything else.
    pub token_file: Option<PathBuf>,
    /// The audience that a token found must have; `sigstore` by default.
    pub audience: String,
    /// Which of the surroundings to ask: a workflow runner, a cloud's metadata server, a file.
    pub ambient: Choice,
    /// How to ask a person, if one may be asked.
    pub login: Option<Login>,
    /// Who is asked to say who that person is.
    pub provider: Provider,
}

impl Options {
    /// Nothing given, a workflow runner's token where there is one, nobody asked, and `provider` for a login.
    #[must_use]
    pub fn new(provider: Provider) -> Self {
        Self {
            token_file: None,
            audience: SIGSTORE.to_owned(),
            ambient: Choice::Detect,
            login: None,
            provider,
        }
    }
}

/// How a person logs in.
#[derive(Debug)]
pub enum Login {
    /// In a browser on this machine.
    Browser(BrowserOptions),
    /// In a browser anywhere, with a code to type there (RFC 8628).
    Device {
        /// How long to wait for it.
        wait: Duration,
    },
}

/// Something to tell the person who logs in. Hostile text: escape it before a terminal shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// A browser is being opened at `url`; where none comes up, open it there oneself.
    Browser {
        /// The login page.
        url: &'a Url,
    },
    /// Go to a page and type a code.
    Device {
        /// The page.
        url: &'a str,
        /// The code to type there.
        code: &'a str,
        /// A page with the code filled in, where the issuer has one.
        complete: Option<&'a str>,
    },
}

/// A way to tell the person at the keyboard something: a terminal or an agent, never stdout or stderr.
pub trait Prompter: Sync {
    /// Shows `notice`.
    ///
    /// # Errors
    /// There is no way to; a login goes on only where it does not depend on it.
    fn show(&self, notice: Notice<'_>) -> io::Result<()>;
}

/// Finds or obtains a token: from the token file, else `SIGSTORE_ID_TOKEN`, else the surroundings, else by
/// logging in. What is there and of no use is an error, not a reason to go on. `now` in seconds since
/// 1970.
///
/// # Errors
/// There is no token, or the one found is not for the audience, or no longer good.
pub fn obtain(
    http: &Http,
    options: &Options,
    environment: &Environment,
    prompter: &dyn Prompter,
    now: i64,
) -> Result<Token, IdentityError> {
    match find(http, options, environment, now)? {
        Some(token) => Ok(token),
        None => log_in(http, options, environment, prompter, now),
    }
}

/// [`obtain`] without asking anyone: a token that is given or around, for the audience and still good.
///
/// # Errors
/// What is there is of no use.
pub fn find(
    http: &Http,
    options: &Options,
    environment: &Environment,
    now: i64,
) -> Result<Option<Token>, IdentityError> {
    let token = look(http, options, environment)?;
    if let Some(token) = &token {
        token.check(&options.audience, now)?;
    }
    Ok(token)
}

/// [`obtain`] by asking a person, whatever is around.
///
/// # Errors
/// Nobody may be asked, or nobody logged in.
pub fn log_in(
    http: &Http,
    options: &Options,
    environment: &Environment,
    prompter: &dyn Prompter,
    now: i64,
) -> Result<Token, IdentityError> {
    let token = match &options.login {
        Some(Login::Browser(browser)) => {
            browser::log_in(http, &options.provider, browser, environment.browser.as_deref(), prompter)?
        }
        Some(Login::Device { wait }) => device::log_in(http, &options.provider, *wait, prompter)?,
        None => return Err(IdentityError::NoSource),
    };
    token.check(&options.provider.client_id, now)?;
    Ok(token)
}

fn look(http: &Http, options: &Options, environment: &Environment) -> Result<Option<Token>, IdentityError> {
    if let Some(path) = &options.token_file {
        let text = ambient::read_token_file(path)
            .map_err(|reason| IdentityError::TokenFile { path: path.clone(), reason })?;
        return Ok(Some(Token::parse(text)?));
    }
    if let Some(token) = environment.sigstore_id_token.as_ref().filter(|token| !token.trim().is_empty()) {
        return Ok(Some(Token::parse(token.clone())?));
    }
    let source = Source::select(&options.ambient, &environment.variables, &options.audience)?;
    Ok(source.map(|source| source.token(http, &options.audience)).transpose()?)
}

#[cfg(test)]
mod tests;
