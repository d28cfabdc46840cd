//! Where a token is looked for, in which order, and what is refused.

use std::{fs, io};

use super::{
    AmbientError, Environment, GitHubActions, IdentityError, Notice, Options, Prompter, Provider, Token,
    TokenError, obtain, token::tests::token,
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
        github_actions: Some(GitHubActions {
            request_url: format!("{}/token?api-version=2.0", server.url),
            request_token: "runner-secret".to_owned(),
        }),
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
    options.ambient = false;
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
    let ask_runner = |url: String| {
        let github_actions = Some(GitHubActions { request_url: url, request_token: "t".to_owned() });
        match ask(&options(), &Environment { github_actions, ..Environment::default() }) {
            Err(IdentityError::Ambient(error)) => error,
            other => panic!("{other:?}"),
        }
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
