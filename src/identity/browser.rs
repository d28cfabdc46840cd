//! Login in a browser on this machine: authorization code with PKCE, state and nonce (RFC 8252, RFC 7636).

use std::time::Duration;

use openidconnect::{
    AuthorizationCode, CsrfToken, LoginHint, Nonce, PkceCodeChallenge, RedirectUrl, Scope,
    core::CoreAuthenticationFlow,
};
use url::Url;

use super::{
    Notice, Prompter,
    callback::{Answer, Listener},
    opener::Opener,
    page,
    provider::{LoginError, Provider, caller, exchange_error, id_token},
    token::Token,
};
use crate::service::http::{Http, Repeat, is_loopback};

/// How the browser is opened and waited for.
#[derive(Debug)]
pub struct BrowserOptions {
    /// How the login page is opened.
    pub opener: Opener,
    /// Where the issuer sends the browser back to: an http URL on this machine, port 0 for a free one. By
    /// default `http://localhost:0/auth/callback`.
    pub redirect_url: Option<Url>,
    /// How long to wait for the person.
    pub wait: Duration,
    /// After how long the last page closes itself, where the browser lets it; `None` for never.
    pub close_after: Option<Duration>,
    /// Whether the person may open the page by hand where no browser comes up.
    pub may_be_opened_by_hand: bool,
}

impl Default for BrowserOptions {
    fn default() -> Self {
        Self {
            opener: Opener::Desktop,
            redirect_url: None,
            wait: Duration::from_secs(120),
            close_after: Some(Duration::from_secs(6)),
            may_be_opened_by_hand: true,
        }
    }
}

/// Logs in. `browser` is the value of `BROWSER`.
pub(super) fn log_in(
    http: &Http,
    provider: &Provider,
    options: &BrowserOptions,
    browser: Option<&str>,
    prompter: &dyn Prompter,
) -> Result<Token, LoginError> {
    let listener = Listener::bind(options.redirect_url.as_ref())?;
    let redirect = RedirectUrl::from_url(listener.redirect_url().clone());
    let client = provider.discover(http)?.client.set_redirect_uri(redirect);

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut request = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scope(Scope::new("email".to_owned()))
        .set_pkce_challenge(challenge);
    if provider.offline {
        request = request.add_scope(Scope::new("offline_access".to_owned()));
    }
    if let Some(connector) = &provider.connector_id {
        request = request.add_extra_param("connector_id", connector);
    }
    if let Some(hint) = &provider.login_hint {
        request = request.set_login_hint(LoginHint::new(hint.clone()));
    }
    let (url, state, nonce) = request.url();

    // The issuer names its own login page, and other kinds of URL start other programs than a browser.
    if !is_web_page(&url) {
        return Err(LoginError::Discovery {
            issuer: provider.issuer.clone(),
            reason: "its login page is not on the web".to_owned(),
        });
    }

    // Told even when a browser comes up: it may be the wrong one, or on another machine.
    let told = prompter.show(Notice::Browser { url: &url });
    if let Err(error) = options.opener.open(&url, browser)
        && (told.is_err() || !options.may_be_opened_by_hand)
    {
        return Err(LoginError::NoWayToAsk(error));
    }
    let callback = listener.wait(state.secret(), &provider.issuer, options.wait)?;

    let exchange = || match &callback.answer {
        Answer::Denied { error, description } => {
            Err(LoginError::Denied { error: error.clone(), description: description.clone() })
        }
        Answer::Code(code) => {
            let response = client
                .exchange_code(AuthorizationCode::new(code.clone()))
                .map_err(|_| LoginError::Discovery {
                    issuer: provider.issuer.clone(),
                    reason: "it has no token endpoint".to_owned(),
                })?
                .set_pkce_verifier(verifier)
                .request(&caller(http, Repeat::Unheard))
                .map_err(exchange_error)?;
            id_token(&client, &response, &nonce)
        }
    };
    let outcome = exchange();
    callback.finish(&match &outcome {
        Ok(token) => page::signed_in(token.claims(), options.close_after),
        Err(_) => page::failed(),
    });
    outcome
}

/// Whether `url` is one that a browser fetches, in the clear from this machine alone.
fn is_web_page(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && url.host_str().is_some_and(is_loopback)
}
