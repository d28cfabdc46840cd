//! Logins: openidconnect as the program, the test as the browser and as the user.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign::sandbox::{Authority, Identity, Options, Running};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClientId, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    PkceCodeChallenge, RedirectUrl, Scope, TokenResponse as _,
    core::{CoreClient, CoreProviderMetadata, CoreResponseType},
};
use url::Url;

use crate::{Answer, NEW_YEAR, agent, authority, authority_at, get, post_form, sha256};

const CALLBACK: &str = "http://localhost:5555/auth/callback";
const VERIFIER: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

/// The client that openidconnect wants, over ureq.
fn http(request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let mut response = agent().run(request)?;
    let body = response.body_mut().read_to_vec()?;
    Ok(response.map(|_| body))
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()))
}

/// A request for `/auth` that is right, with changes; an empty value leaves the parameter out.
fn begin(running: &Running, changes: &[(&str, &str)]) -> Answer {
    let challenge = challenge();
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", "sigstore"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid email"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        parameters.retain(|(known, _)| known != name);
        if !value.is_empty() {
            parameters.push((name, value));
        }
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    get(running, &format!("/auth?{query}"))
}

/// The hidden number of a login page.
fn number(page: &str) -> &str {
    let start = page.find("name=\"request\" value=\"").unwrap() + 22;
    &page[start..start + page[start..].find('"').unwrap()]
}

/// A parameter of the address to which an answer leads.
#[track_caller]
fn parameter(answer: &Answer, name: &str) -> Option<String> {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = Url::parse(answer.header("location").unwrap()).unwrap();
    assert!(location.as_str().starts_with(CALLBACK), "{location}");
    location.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Goes through the login page and returns the code.
fn code(running: &Running) -> String {
    let page = begin(running, &[]);
    let fields = [("request", number(page.text())), ("email", "ada@example.com")];
    parameter(&post_form(running, "/auth", &fields), "code").unwrap()
}

fn exchange(running: &Running, code: &str, changes: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("client_id", "sigstore"),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("code", code),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    post_form(running, "/token", &fields)
}

#[test]
fn openidconnect_logs_in_through_the_browser() {
    let running = authority();
    let issuer = IssuerUrl::new(running.url().to_owned()).unwrap();
    let metadata = CoreProviderMetadata::discover(&issuer, &http).unwrap();
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new("sigstore".to_owned()), None)
        .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (address, state, nonce) = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scope(Scope::new("email".to_owned()))
        .set_pkce_challenge(challenge)
        .url();

    let page = crate::answer(agent().get(address.as_str()).call().unwrap());
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let fields = [("request", number(page.text())), ("email", " ada@example.com ")];
    let answer = post_form(&running, "/auth", &fields);
    assert_eq!(parameter(&answer, "state").as_deref(), Some(state.secret().as_str()));
    let code = AuthorizationCode::new(parameter(&answer, "code").unwrap());

    let tokens = client.exchange_code(code).unwrap().set_pkce_verifier(verifier).request(&http).unwrap();
    let token = tokens.id_token().unwrap();
    let claims = token.claims(&client.id_token_verifier(), &nonce).unwrap();
    assert_eq!(claims.email().unwrap().as_str(), "ada@example.com");
    assert_eq!(claims.email_verified(), Some(true));
    let identity = running.authority().check_id_token(&token.to_string()).unwrap();
    assert_eq!(identity, Identity::Email("ada@example.com".to_owned()));
    let other = Nonce::new("another".to_owned());
    assert!(token.claims(&client.id_token_verifier(), &other).is_err());
}

#[test]
fn openidconnect_logs_in_on_a_device() {
    use openidconnect::{DeviceAuthorizationUrl, core::CoreDeviceAuthorizationResponse};
    let running = authority();
    let issuer = IssuerUrl::new(running.url().to_owned()).unwrap();
    let metadata = CoreProviderMetadata::discover(&issuer, &http).unwrap();
    let device = DeviceAuthorizationUrl::new(format!("{}/device/code", running.url())).unwrap();
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new("sigstore".to_owned()), None)
        .set_device_authorization_url(device);
    let details: CoreDeviceAuthorizationResponse =
        client.exchange_device_code().add_scope(Scope::new("email".to_owned())).request(&http).unwrap();
    // The user types while the program sleeps for the second time.
    let asked = std::cell::Cell::new(0);
    let user_code = details.user_code().secret().to_ascii_lowercase();
    let sleep = |duration| {
        asked.set(asked.get() + 1);
        if asked.get() == 2 {
            let fields = [("user_code", user_code.as_str()), ("email", "ada@example.com")];
            assert_eq!(post_form(&running, "/device", &fields).status, 200);
        }
        std::thread::sleep(duration);
    };
    let tokens = client.exchange_device_access_token(&details).unwrap().request(&http, sleep, None).unwrap();
    assert!(asked.get() >= 2, "the program had to wait");
    let token = tokens.extra_fields().id_token().unwrap().to_string();
    let identity = running.authority().check_id_token(&token).unwrap();
    assert_eq!(identity.as_str(), "ada@example.com");
}

#[test]
fn a_device_that_asks_too_often_is_told_so() {
    let (running, clock) = authority_at(NEW_YEAR);
    let fields = [("client_id", "sigstore"), ("scope", "openid email")];
    let opened = post_form(&running, "/device/code", &fields).json(200);
    let poll = |code: &str| {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let fields = [("grant_type", grant), ("client_id", "sigstore"), ("device_code", code)];
        post_form(&running, "/token", &fields).json(400)["error"].as_str().unwrap().to_owned()
    };
    let code = opened["device_code"].as_str().unwrap();
    assert_eq!(poll(code), "authorization_pending");
    assert_eq!(poll(code), "slow_down");
    clock.set(NEW_YEAR + 1);
    assert_eq!(poll(code), "authorization_pending");
    clock.set(NEW_YEAR + 300);
    assert_eq!(poll(code), "expired_token");
    assert_eq!(poll(code), "invalid_grant");
    assert_eq!(poll("guessed"), "invalid_grant");
    let late = [("user_code", opened["user_code"].as_str().unwrap()), ("email", "ada@example.com")];
    assert_eq!(post_form(&running, "/device", &late).status, 400);
}

#[test]
fn a_fixed_identity_is_approved_at_once() {
    let options = Options { auto_approve: Some(Identity::from("ada@example.com")), ..Options::default() };
    let running = Authority::new(options).unwrap().serve(0).unwrap();
    let answer = begin(&running, &[]);
    let code = parameter(&answer, "code").unwrap();
    let tokens = exchange(&running, &code, &[]).json(200);
    let identity = running.authority().check_id_token(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!(identity.as_str(), "ada@example.com");
}

#[test]
fn a_code_works_once_and_only_for_whom_it_was_made() {
    let running = authority();
    let error = |answer: Answer, status: u16| answer.json(status)["error"].as_str().unwrap().to_owned();

    let good = code(&running);
    exchange(&running, &good, &[]).json(200);
    assert_eq!(error(exchange(&running, &good, &[]), 400), "invalid_grant", "a code is spent");

    // Go's clients name themselves in the header first.
    let fields = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("code", &code(&running)),
    ];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = agent()
        .post(format!("{}/token", running.url()))
        .header("authorization", "Basic c2lnc3RvcmU6")
        .content_type("application/x-www-form-urlencoded");
    crate::answer(request.send(body).unwrap()).json(200);

    let other = "another-verifier-another-verifier-another-verifier";
    for (changes, status, name) in [
        (("code_verifier", other), 400, "invalid_grant"),
        (("code_verifier", ""), 400, "invalid_grant"),
        (("redirect_uri", "http://localhost:5556/auth/callback"), 400, "invalid_grant"),
        (("client_id", "another"), 401, "invalid_client"),
        (("code", "guessed"), 400, "invalid_grant"),
        (("grant_type", "password"), 400, "unsupported_grant_type"),
    ] {
        let code = code(&running);
        assert_eq!(error(exchange(&running, &code, &[changes]), status), name, "{changes:?}");
    }
    // A wrong verifier has spent the code.
    let guessed = code(&running);
    assert_eq!(exchange(&running, &guessed, &[("code_verifier", other)]).status, 400);
    assert_eq!(exchange(&running, &guessed, &[]).status, 400);
}

#[test]
fn a_code_is_not_good_for_ever() {
    let (running, clock) = authority_at(NEW_YEAR);
    let page = begin(&running, &[]);
    let code = code(&running);
    clock.set(NEW_YEAR + 300);
    assert_eq!(exchange(&running, &code, &[]).status, 400);
    let fields = [("request", number(page.text())), ("email", "ada@example.com")];
    assert_eq!(post_form(&running, "/auth", &fields).status, 400);
}

#[test]
fn pkce_is_mandatory() {
    let running = authority();
    for changes in [
        &[("code_challenge", ""), ("code_challenge_method", "")][..],
        &[("code_challenge", "")],
        &[("code_challenge_method", "")],
        &[("code_challenge_method", "plain")],
        &[("code_challenge", "short")],
    ] {
        let answer = begin(&running, changes);
        assert_eq!(parameter(&answer, "error").as_deref(), Some("invalid_request"), "{changes:?}");
        assert_eq!(parameter(&answer, "state").as_deref(), Some("the state"));
        assert_eq!(parameter(&answer, "code"), None);
    }
    let answer = begin(&running, &[("response_type", "token")]);
    assert_eq!(parameter(&answer, "error").as_deref(), Some("unsupported_response_type"));
    let answer = begin(&running, &[("scope", "email")]);
    assert_eq!(parameter(&answer, "error").as_deref(), Some("invalid_scope"));
}

#[test]
fn answers_go_to_this_machine_only() {
    let running = authority();
    for uri in [
        "https://example.com/callback",
        "http://example.com/callback",
        "http://localhost.example.com/",
        "http://localhost@example.com/",
        "http://example.com#@localhost/",
        "http://localhost:1/#fragment",
        "http://127.0.0.1.example.com/",
        "javascript:alert(1)",
        "//localhost/",
        "localhost",
    ] {
        let answer = begin(&running, &[("redirect_uri", uri)]);
        assert_eq!((answer.status, answer.header("location")), (400, None), "{uri}");
    }
    for uri in ["http://127.0.0.1:9/", "http://[::1]:9/callback", "http://localhost/"] {
        assert_eq!(begin(&running, &[("redirect_uri", uri)]).status, 200, "{uri}");
    }
    let answer = begin(&running, &[("client_id", "another")]);
    assert_eq!((answer.status, answer.header("location")), (400, None));
}

#[test]
fn text_from_outside_is_escaped() {
    let running = authority();
    let hostile = "\"><script>alert('x')</script>&";
    let page = begin(&running, &[("login_hint", hostile)]);
    let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;";
    assert!(page.text().contains(escaped) && !page.text().contains("<script"), "{}", page.text());
    let fields = [("request", number(page.text())), ("email", hostile)];
    let again = post_form(&running, "/auth", &fields);
    assert_eq!(again.status, 400);
    assert!(again.text().contains(escaped) && !again.text().contains("<script"));
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("user_code", hostile).finish();
    let device = get(&running, &format!("/device?{query}"));
    assert!(device.text().contains(escaped) && !device.text().contains("<script"));
}
