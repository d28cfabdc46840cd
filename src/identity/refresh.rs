//! Identity tokens by refresh tokens (RFC 6749 §6).
//!
//! A refresh token belongs to one purpose and one subject, is exchanged for an identity token of that very subject or
//! forgotten, and takes the place of the one before where the issuer rotates them.

use std::time::Duration;

use openidconnect::{Nonce, RefreshToken, RequestTokenError, core::CoreErrorResponseType};
use zeroize::Zeroizing;

use super::{
    keyring::{Kept, KeyringError, Purpose, forgotten, with_keyring},
    provider::{LoginError, Provider, caller, exchange_error, id_token},
    token::Token,
};
use crate::service::http::{Http, Repeat};

/// Why a refresh token brings nothing. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The issuer, or the way to it, has failed; the same may succeed a little later.
    #[error(transparent)]
    Failed(LoginError),
    /// The keyring is of no use.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// None is kept.
    #[error("no refresh token is kept")]
    None,
    /// The issuer says that it counts no more.
    #[error("the issuer takes the refresh token no more: {0}")]
    Refused(LoginError),
    /// What it brought is somebody else's.
    #[error("the issuer's token is for somebody else than before")]
    Stranger,
}

/// Gets an identity token for `purpose` with what the keyring keeps, and nobody is asked; for the keyring waits no
/// longer than `patience`. The token is for the same subject as the one before. A refresh token that the issuer takes
/// no more is forgotten, and one that nothing can be said of is not.
///
/// # Errors
/// [`RefreshError`].
pub fn renew(
    http: &Http,
    patience: Duration,
    purpose: &Purpose,
    client_secret: Option<Zeroizing<String>>,
) -> Result<Token, RefreshError> {
    let since = forgotten();
    let wanted = purpose.clone();
    let kept = with_keyring(patience, move |keyring| keyring.kept(&wanted))?.ok_or(RefreshError::None)?;
    let outcome = exchange(http, purpose, &kept, client_secret);
    let (purpose, brought) = (purpose.clone(), outcome.as_ref().ok().cloned());
    let is_over = matches!(outcome, Err(RefreshError::Refused(_) | RefreshError::Stranger));
    if is_over || brought.is_some() {
        // What was not rotated stays; what cannot be kept is lost, and the next login is a person's.
        let _ = with_keyring(patience, move |keyring| match brought {
            Some(token) => keyring.keep_since(&purpose, &token, since),
            None => keyring.forget(&purpose),
        });
    }
    outcome
}

fn exchange(
    http: &Http,
    purpose: &Purpose,
    kept: &Kept,
    client_secret: Option<Zeroizing<String>>,
) -> Result<Token, RefreshError> {
    let mut provider = Provider::new(purpose.issuer.clone());
    provider.client_id.clone_from(&purpose.client);
    provider.client_secret = client_secret;
    let client = provider.discover(http).map_err(RefreshError::Failed)?.client;
    let refresh = RefreshToken::new(kept.token.to_string());
    let request = client
        .exchange_refresh_token(&refresh)
        .map_err(|_| RefreshError::Failed(LoginError::Exchange("it has no token endpoint".to_owned())))?;
    let response = request.request(&caller(http, Repeat::Unheard)).map_err(|error| {
        // RFC 6749 §5.2: the one code that is about the refresh token, and not about us or the moment.
        let is_refused = matches!(
            &error,
            RequestTokenError::ServerResponse(said) if *said.error() == CoreErrorResponseType::InvalidGrant
        );
        let error = exchange_error(error);
        if is_refused { RefreshError::Refused(error) } else { RefreshError::Failed(error) }
    })?;
    let token = id_token(&client, &response, |_: Option<&Nonce>| Ok(())).map_err(RefreshError::Failed)?;
    let claims = token.claims();
    if (&claims.issuer, &claims.subject, &claims.email) != (&purpose.issuer, &kept.subject, &kept.email) {
        return Err(RefreshError::Stranger);
    }
    Ok(token)
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use serde_json::json;

    use super::{RefreshError, renew};
    use crate::{
        identity::{
            keyring::{Keyring, Purpose},
            token::{Token, tests::token},
        },
        service::test_server::{Answer, TestServer, quick_http},
    };

    /// Part of the one test that there is of the keyring: all of it is one process's.
    pub(in crate::identity) fn only_what_the_issuer_says_of_a_refresh_token_has_it_forgotten(
        keyring: &Keyring,
    ) {
        // An issuer that is down, behind a page of a proxy's, busy, that knows us no more, and that takes it no more.
        let turn = Arc::new(AtomicUsize::new(0));
        let now = Arc::clone(&turn);
        let server = TestServer::new(move |request, _| {
            let now = now.load(Ordering::SeqCst);
            let host = request.header("host").unwrap().to_owned();
            match (now, request.path.as_str()) {
                (0, _) => Answer::html(503),
                (1, _) => Answer::html(200),
                (_, "/.well-known/openid-configuration") => {
                    let at = |path: &str| format!("http://{host}{path}");
                    Answer::json(
                        200,
                        &json!({
                            "issuer": at(""), "authorization_endpoint": at("/auth"), "token_endpoint": at("/token"),
                            "jwks_uri": at("/keys"), "response_types_supported": ["code"],
                            "subject_types_supported": ["public"],
                            "id_token_signing_alg_values_supported": ["RS256"],
                        }),
                    )
                }
                (_, "/keys") => Answer::json(200, &json!({"keys": []})),
                (2, _) => Answer::html(500),
                (3, _) => Answer::json(401, &json!({"error": "invalid_client"})),
                (4, _) => Answer::json(200, &json!({"access_token": "a", "token_type": "bearer"})),
                _ => Answer::json(400, &json!({"error": "invalid_grant"})),
            }
        });
        let purpose = Purpose {
            issuer: server.url.clone(),
            client: "sigstore".to_owned(),
            connector: None,
            identity: None,
        };
        let claims = json!({"iss": server.url, "sub": "s", "aud": "sigstore", "exp": 1});
        let brought = Token::parse(token(&claims)).unwrap().with_refresh(Some("refresh".to_owned()));
        keyring.keep(&purpose, &brought).unwrap();
        let renewed = || renew(&quick_http(), Duration::from_secs(10), &purpose, None);
        for passing in 0..5 {
            turn.store(passing, Ordering::SeqCst);
            let outcome = renewed();
            assert!(matches!(outcome, Err(RefreshError::Failed(_))), "{passing}: {outcome:?}");
            assert_eq!(keyring.has(&purpose), Ok(true), "{passing}: {outcome:?}");
        }
        turn.store(5, Ordering::SeqCst);
        let outcome = renewed();
        assert!(matches!(outcome, Err(RefreshError::Refused(_))), "{outcome:?}");
        assert_eq!(keyring.has(&purpose), Ok(false));
        assert!(matches!(renewed(), Err(RefreshError::None)));
    }
}
