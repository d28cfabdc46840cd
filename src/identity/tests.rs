//! Where a token is looked for, in which order, and what is refused.

use std::{
    fs, io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    AmbientError, BrowserOptions, Choice, Environment, IdentityError, Login, LoginError, Notice, Opener,
    Options, Prompter, Provider, Token, TokenError, Variables, obtain, token::tests::token,
};
use crate::service::test_server::{Answer, TestServer, quick_http};

struct Nobody;

impl Prompter for Nobody {
    fn show(&self, notice: Notice<'_>) -> io::Result<()> {
        panic!("nobody is to be asked: {notice:?}")
    }
}

const NOW: i64 = 1000;

fn token_of(subject: &str, audience: &str, expires: i64) -> String {
    token(&serde_json::json!({"iss": "i", "sub": subject, "aud": audience, "exp": expires}))
}

fn runner(url: &str, token: &str) -> Variables {
    let set = [("ACTIONS_ID_TOKEN_REQUEST_URL", url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token)];
    Variables::new(set.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

fn options() -> Options {
    Options::new(Provider::new("https://issuer.invalid"))
}

fn ask(options: &Options, environment: &Environment) -> Result<Token, IdentityError> {
    obtain(&quick_http(), options, environment, &Nobody, NOW)
}

#[test]
fn file_then_variable_then_runner_then_nobody() {
    let server = TestServer::new(|_, _| {
        Answer::json(200, &serde_json::json!({"value": token_of("runner", "sigstore", 2000), "count": 1}))
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, format!("{}\n", token_of("file", "sigstore", 2000))).unwrap();
    let mut environment = Environment {
        sigstore_id_token: Some(token_of("variable", "sigstore", 2000)),
        variables: runner(&format!("{}/token?api-version=2.0", server.url), "runner-secret"),
        browser: None,
    };
    let mut options = options();
    options.token_file = Some(path);
    assert_eq!(ask(&options, &environment).unwrap().claims().subject, "file");
    options.token_file = None;
    assert_eq!(ask(&options, &environment).unwrap().claims().subject, "variable");
    environment.sigstore_id_token = Some("  ".to_owned());
    assert!(server.received().is_empty());
    assert_eq!(ask(&options, &environment).unwrap().claims().subject, "runner");
    let request = &server.received()[0];
    assert_eq!(request.path, "/token?api-version=2.0&audience=sigstore");
    assert_eq!(request.header("authorization"), Some("Bearer runner-secret"));
    options.ambient = Choice::Nothing;
    assert!(matches!(ask(&options, &environment), Err(IdentityError::NoSource)));
    let shown = format!("{environment:?}");
    assert!(!shown.contains("runner-secret") && !shown.contains("ey"), "{shown}");
}

#[test]
fn a_token_that_is_there_and_of_no_use_is_an_error() {
    let variable = |token: String| {
        ask(&options(), &Environment { sigstore_id_token: Some(token), ..Environment::default() })
            .unwrap_err()
    };
    let expired = variable(token_of("s", "sigstore", NOW));
    assert!(matches!(expired, IdentityError::Token(TokenError::Expired)), "{expired}");
    let audience = variable(token_of("s", "elsewhere", 2000));
    assert!(matches!(audience, IdentityError::Token(TokenError::Audience { .. })), "{audience}");
    let malformed = variable("nonsense".to_owned());
    assert!(matches!(malformed, IdentityError::Token(TokenError::Malformed)), "{malformed}");
}

#[test]
fn a_token_file_is_read_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let ask_file = |name: &str| {
        let mut options = options();
        options.token_file = Some(folder.path().join(name));
        ask(&options, &Environment::default()).unwrap_err()
    };
    assert!(matches!(ask_file("missing"), IdentityError::TokenFile { .. }));
    fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
    assert!(matches!(ask_file("binary"), IdentityError::TokenFile { .. }));
    fs::write(folder.path().join("long"), "x".repeat(1 << 20)).unwrap();
    assert!(matches!(ask_file("long"), IdentityError::Token(TokenError::TooLong)));
}

#[test]
fn a_runner_that_does_not_deliver_is_an_error() {
    let ask_runner = |url: String| match ask(
        &options(),
        &Environment { variables: runner(&url, "t"), ..Environment::default() },
    ) {
        Err(IdentityError::Ambient(error)) => error,
        other => panic!("{other:?}"),
    };
    let refusing = TestServer::new(|_, _| Answer::html(403));
    assert!(matches!(ask_runner(refusing.url), AmbientError::Refused(_)));
    let empty = TestServer::new(|_, _| Answer::json(200, &serde_json::json!({})));
    assert!(matches!(ask_runner(empty.url), AmbientError::Unreadable));
    let wrong = TestServer::new(|_, _| Answer::json(200, &serde_json::json!({"value": "x"})));
    assert!(matches!(ask_runner(wrong.url), AmbientError::Token(TokenError::Malformed)));
    assert!(matches!(ask_runner("nonsense".to_owned()), AmbientError::Variables));
    assert!(matches!(ask_runner("http://runner.example/".to_owned()), AmbientError::Http(_)), "plain http");
}

/// A login at an issuer whose discovery document says this besides the usual, and which answers like that.
fn log_in(
    login: Login,
    further: &serde_json::Value,
    answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> Result<Token, IdentityError> {
    struct Told;
    impl Prompter for Told {
        fn show(&self, _: Notice<'_>) -> io::Result<()> {
            Ok(())
        }
    }
    let url: Arc<OnceLock<String>> = Arc::default();
    let (own, further) = (Arc::clone(&url), further.clone());
    let server = TestServer::new(move |request, _| {
        let url = own.get().unwrap();
        match request.path.as_str() {
            "/.well-known/openid-configuration" => {
                let mut document = serde_json::json!({
                    "issuer": url, "authorization_endpoint": format!("{url}/auth"),
                    "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/keys"),
                    "device_authorization_endpoint": format!("{url}/device"),
                    "response_types_supported": ["code"], "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                });
                document.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
                Answer::json(200, &document)
            }
            "/keys" => Answer::json(200, &serde_json::json!({"keys": []})),
            path => answer(path),
        }
    });
    url.set(server.url.clone()).unwrap();
    let mut options = Options::new(Provider::new(server.url.clone()));
    options.login = Some(login);
    obtain(&quick_http(), &options, &Environment::default(), &Told, NOW)
}

#[test]
fn an_issuer_cannot_have_anything_but_a_web_page_opened() {
    for page in ["file:///etc/passwd", "ssh://-oProxyCommand=x/", "vscode://x", "http://elsewhere.example/"] {
        let opener = Opener::Function(Box::new(|url| panic!("{url} was opened")));
        let options =
            BrowserOptions { opener, wait: Duration::from_millis(100), ..BrowserOptions::default() };
        let further = serde_json::json!({"authorization_endpoint": page});
        let result = log_in(Login::Browser(options), &further, |_| Answer::html(404));
        assert!(
            matches!(&result, Err(IdentityError::Login(LoginError::Discovery { reason, .. })) if reason.contains("not on the web")),
            "{page}: {result:?}"
        );
    }
}

#[test]
fn an_issuer_cannot_have_a_device_login_wait_for_ever() {
    for interval in [30, u64::MAX] {
        let begun = std::time::Instant::now();
        let login = Login::Device { wait: Duration::from_secs(1) };
        let result = log_in(login, &serde_json::json!({}), move |path| match path {
            "/device" => Answer::json(
                200,
                &serde_json::json!({
                    "device_code": "d", "user_code": "u", "verification_uri": "https://issuer.example/",
                    "expires_in": u64::MAX, "interval": interval,
                }),
            ),
            _ => Answer::json(400, &serde_json::json!({"error": "slow_down"})),
        });
        let expected =
            matches!(&result, Err(IdentityError::Login(LoginError::Timeout(_) | LoginError::Exchange(_))));
        assert!(expected, "{result:?}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
