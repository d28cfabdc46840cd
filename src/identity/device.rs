//! Login on another device, with a code to type there (RFC 8628).

use std::{thread, time::Duration};

use openidconnect::{
    DeviceCodeErrorResponseType, Nonce, PkceCodeChallenge, RequestTokenError, Scope,
    core::CoreDeviceAuthorizationResponse,
};

use super::{
    Notice, Prompter,
    provider::{LoginError, Provider, caller, exchange_error, id_token},
    token::Token,
};
use crate::service::http::{Http, Repeat};

/// The longest pause between two questions that an issuer may ask for; they grow by its answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Logs in, waiting no longer than `wait` and than the code is good for.
pub(super) fn log_in(
    http: &Http,
    provider: &Provider,
    wait: Duration,
    prompter: &dyn Prompter,
) -> Result<Token, LoginError> {
    let discovered = provider.discover(http)?;
    let endpoint =
        discovered.device_endpoint.ok_or_else(|| LoginError::DeviceUnsupported(provider.issuer.clone()))?;
    let client = discovered.client;
    let device = client.clone().set_device_authorization_url(endpoint);

    // Sigstore's issuer demands PKCE here too.
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut request = device
        .exchange_device_code()
        .add_scope(Scope::new("email".to_owned()))
        .add_extra_param("code_challenge", challenge.as_str().to_owned())
        .add_extra_param("code_challenge_method", challenge.method().as_str().to_owned());
    if provider.offline {
        request = request.add_scope(Scope::new("offline_access".to_owned()));
    }
    if let Some(connector) = &provider.connector_id {
        request = request.add_extra_param("connector_id", connector);
    }
    let details: CoreDeviceAuthorizationResponse =
        request.request(&caller(http, Repeat::Unheard)).map_err(exchange_error)?;
    prompter
        .show(Notice::Device {
            url: details.verification_uri(),
            code: details.user_code().secret(),
            complete: details.verification_uri_complete().map(|url| url.secret().as_str()),
        })
        .map_err(|_| LoginError::NoTerminal)?;

    let wait = wait.min(details.expires_in());
    // The pause between two questions is the issuer's to name; when nobody is waited for any longer is not.
    if details.interval() > LONGEST_PAUSE {
        return Err(LoginError::Exchange("it wants to be asked again at the end of days only".to_owned()));
    }
    let response = device
        .exchange_device_access_token(&details)
        .map_err(|_| LoginError::Discovery {
            issuer: provider.issuer.clone(),
            reason: "it has no token endpoint".to_owned(),
        })?
        .add_extra_param("code_verifier", verifier.secret().clone())
        .request(&caller(http, Repeat::Unheard), |pause| thread::sleep(pause.min(wait)), Some(wait))
        .map_err(|error| match &error {
            RequestTokenError::ServerResponse(said) => match said.error() {
                DeviceCodeErrorResponseType::ExpiredToken => LoginError::Timeout(wait),
                DeviceCodeErrorResponseType::AccessDenied => LoginError::Denied {
                    error: "access_denied".to_owned(),
                    description: said.error_description().cloned().unwrap_or_default(),
                },
                _ => exchange_error(error),
            },
            _ => exchange_error(error),
        })?;
    // This flow has no nonce of ours to compare; the device code binds the answer to the question.
    id_token(&client, &response, |_: Option<&Nonce>| Ok(()))
}
