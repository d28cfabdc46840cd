//! Each provider against a fake of its documented endpoint: the exact call, and what becomes of the answer.

use std::{fs, time::Duration};

use super::{AmbientError, Choice, ChoiceError, Google, Kind, Source, Variables, missing};
use crate::{
    identity::token::{Token, TokenError, tests::token},
    service::{
        http::HttpError,
        test_server::{Answer, Received, TestServer, quick_http},
    },
};

fn variables(set: &[(&str, &str)]) -> Variables {
    Variables::new(set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn token_for(audience: &str) -> String {
    token(&serde_json::json!({"iss": "i", "sub": "workload", "aud": audience, "exp": 2_000_000_000}))
}

fn select(choice: &str, variables: &Variables) -> Result<Option<Source>, AmbientError> {
    Source::select(&choice.parse().unwrap(), variables, "sigstore")
}

fn ask(choice: &str, variables: &Variables) -> Result<Token, AmbientError> {
    select(choice, variables)?.expect("a provider is here").token(&quick_http(), "sigstore")
}

/// A server that answers every request with `key` in JSON, or as text where there is no key.
fn giving(key: Option<&'static str>) -> TestServer {
    TestServer::new(move |_, _| match key {
        Some(key) => Answer::json(200, &serde_json::json!({key: token_for("sigstore"), "more": [1, {}]})),
        None => Answer::Full(200, String::new(), token_for("sigstore").into_bytes()),
    })
}

fn only(server: &TestServer) -> Received {
    let [request] = <[Received; 1]>::try_from(server.received()).unwrap();
    request
}

#[test]
fn github_actions_is_asked_with_the_runners_bearer() {
    let server = giving(Some("value"));
    let url = format!("{}/idtoken?api-version=2.0", server.url);
    let set = [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret")];
    for choice in ["auto", "github"] {
        assert_eq!(ask(choice, &variables(&set)).unwrap().claims().subject, "workload");
    }
    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.body.len()), ("GET", 0));
    assert_eq!(request.path, "/idtoken?api-version=2.0&audience=sigstore");
    assert_eq!(request.header("authorization"), Some("Bearer secret"));
}

#[test]
fn gitlab_hands_its_token_over_in_a_variable_called_after_the_audience() {
    let text = token_for("sigstore");
    for (audience, name) in [
        ("sigstore", "SIGSTORE_ID_TOKEN"),
        ("http://test.audience", "HTTP___TEST_AUDIENCE_ID_TOKEN"),
        ("1st", "_ST_ID_TOKEN"),
    ] {
        let here = variables(&[("GITLAB_CI", "true"), (name, &text)]);
        for choice in [Choice::Detect, Choice::Named(Kind::GitLab)] {
            let source = Source::select(&choice, &here, audience).unwrap().unwrap();
            assert_eq!(source.token(&quick_http(), audience).unwrap().secret(), text, "{audience}");
            assert_eq!(source.to_string(), format!("the variable '{name}'"));
        }
    }
    // A variable of that name elsewhere is nobody's promise; a GitLab job without one has no identity.
    assert!(select("auto", &variables(&[("OTHER_ID_TOKEN", &text)])).unwrap().is_none());
    assert!(select("auto", &variables(&[("GITLAB_CI", "true")])).unwrap().is_none());
    let refused = select("gitlab", &variables(&[("GITLAB_CI", "true")])).unwrap_err();
    assert_eq!(refused.to_string(), "GitLab CI/CD is chosen, and 'SIGSTORE_ID_TOKEN' is not set");
}

#[test]
fn buildkites_agent_api_is_asked_for_the_job() {
    let server = giving(Some("token"));
    let endpoint = format!("{}/v3/", server.url);
    let job = "b078e2d2-86e9-4c12-bf3b-612a8058d0a4";
    let set = [
        ("BUILDKITE_AGENT_ACCESS_TOKEN", "llamas"),
        ("BUILDKITE_AGENT_ENDPOINT", &endpoint),
        ("BUILDKITE_JOB_ID", job),
    ];
    assert_eq!(ask("auto", &variables(&set)).unwrap().claims().subject, "workload");
    let request = only(&server);
    assert_eq!((&*request.method, &*request.path), ("POST", &*format!("/v3/jobs/{job}/oidc/tokens")));
    assert_eq!(request.headers.iter().filter(|(name, _)| name == "authorization").count(), 1);
    assert_eq!(request.header("authorization"), Some("Token llamas"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.body, br#"{"audience":"sigstore"}"#);

    let escape = [set[0], set[1], ("BUILDKITE_JOB_ID", "../../elsewhere?x=")];
    assert!(matches!(ask("buildkite", &variables(&escape)), Err(AmbientError::Variables)));
    let elsewhere = [set[0], ("BUILDKITE_AGENT_ENDPOINT", "http://agent.example/v3"), set[2]];
    let refused = ask("auto", &variables(&elsewhere)).unwrap_err();
    assert!(matches!(refused, AmbientError::Http(HttpError::PlainHttp { .. })), "{refused}");
    let shown = format!("{:?} {:?}", variables(&set), select("auto", &variables(&set)));
    assert!(!shown.contains("llamas"), "{shown}");
}

#[cfg(unix)]
#[test]
fn circlecis_own_program_is_asked_for_our_audience() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (program, seen) = (folder.path().join("circleci"), folder.path().join("seen"));
    let write = |end: &str| {
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >'{}'\nprintf '%s\\n' {}\necho a-secret >&2\n{end}\n",
            seen.display(),
            token_for("sigstore")
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("exit 0");
    let fixed = token_for("organization");
    let path = format!("relative::{}", folder.path().display());
    let set = [("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN_V2", fixed.as_str()), ("PATH", path.as_str())];
    assert_eq!(ask("auto", &variables(&set)).unwrap().secret(), token_for("sigstore"));
    assert_eq!(fs::read_to_string(&seen).unwrap(), "run\noidc\nget\n--claims\n{\"aud\":\"sigstore\"}\n");
    // A private authority may take the organization's own audience; nothing is run for that.
    fs::remove_file(&seen).unwrap();
    let source = select("circleci", &variables(&set)).unwrap().unwrap();
    assert_eq!(source.token(&quick_http(), "organization").unwrap().secret(), fixed);
    assert!(!seen.exists());
    // What fails has printed a token, and is not believed.
    write("exit 3");
    let failed = ask("auto", &variables(&set)).unwrap_err().to_string();
    assert!(failed.starts_with("the program 'circleci' gave no identity token: it ended with"), "{failed}");
    assert!(!failed.contains("a-secret"), "{failed}");
    // Not in a relative folder, and not at all in a build without OIDC.
    let relative = [set[0], set[1], ("PATH", "relative")];
    let refused = ask("auto", &variables(&relative)).unwrap_err().to_string();
    assert_eq!(refused, "the program 'circleci' gave no identity token: it is not installed");
    assert!(select("auto", &variables(&[set[0], set[2]])).unwrap().is_none());
}

#[test]
fn googles_metadata_server_is_asked_only_when_it_is_chosen() {
    let server = giving(None);
    let host = server.url.trim_start_matches("http://").to_owned();
    let set = variables(&[("GCE_METADATA_HOST", &host)]);
    assert!(select("auto", &set).unwrap().is_none());
    assert_eq!(ask("google", &set).unwrap().claims().subject, "workload");
    let request = only(&server);
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        (
            "GET",
            "/computeMetadata/v1/instance/service-accounts/default/identity?audience=sigstore&format=full"
        )
    );
    assert_eq!(request.header("metadata-flavor"), Some("Google"));
    let elsewhere = ask("google", &variables(&[("GCE_METADATA_HOST", "metadata.example")])).unwrap_err();
    assert!(matches!(elsewhere, AmbientError::Http(HttpError::PlainHttp { .. })), "{elsewhere}");
}

#[test]
fn google_gives_a_token_of_another_account_for_an_access_token() {
    let metadata = TestServer::new(|_, _| {
        Answer::json(200, &serde_json::json!({"access_token": "ya29.access", "expires_in": 3600}))
    });
    let credentials = giving(Some("token"));
    let host = metadata.url.trim_start_matches("http://").to_owned();
    let account = "signer@project.iam.gserviceaccount.com";
    let set = variables(&[("GCE_METADATA_HOST", &host), ("GOOGLE_SERVICE_ACCOUNT_NAME", account)]);
    let google = Google::new(&set).unwrap().with_credentials(&credentials.url);
    assert_eq!(google.token(&quick_http(), "sigstore").unwrap().claims().subject, "workload");
    let request = only(&metadata);
    assert_eq!(
        request.path,
        "/computeMetadata/v1/instance/service-accounts/default/token?\
         scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
    );
    assert_eq!(request.header("metadata-flavor"), Some("Google"));
    let request = only(&credentials);
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, format!("/v1/projects/-/serviceAccounts/{account}:generateIdToken"));
    assert_eq!(request.header("authorization"), Some("Bearer ya29.access"));
    assert_eq!(request.json(), serde_json::json!({"audience": "sigstore", "includeEmail": true}));
    for account in ["a/../../b", "a?b", "a b"] {
        let set = variables(&[("GOOGLE_SERVICE_ACCOUNT_NAME", account)]);
        assert!(matches!(select("google", &set), Err(AmbientError::Variables)), "{account}");
    }
}

#[test]
fn azure_is_asked_where_its_own_clients_would_ask() {
    let folder = tempfile::tempdir().unwrap();
    let federated = folder.path().join("azure-identity-token");
    fs::write(&federated, token_for("api://AzureADTokenExchange")).unwrap();

    // A machine.
    let server = giving(Some("access_token"));
    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url.as_str()), ("AZURE_CLIENT_ID", "17")];
    assert!(select("auto", &variables(&machine)).unwrap().is_none());
    ask("azure", &variables(&machine)).unwrap();
    let request = only(&server);
    assert_eq!(
        request.path,
        "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=sigstore&client_id=17"
    );
    assert_eq!(request.header("metadata"), Some("true"));

    // An app, which a machine's settings do not override.
    let server = giving(Some("access_token"));
    let endpoint = format!("{}/msi/token", server.url);
    let app = [machine[0], ("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "a-secret")];
    ask("azure", &variables(&app)).unwrap();
    let request = only(&server);
    assert_eq!(request.path, "/msi/token?api-version=2019-08-01&resource=sigstore");
    assert_eq!(request.header("x-identity-header"), Some("a-secret"));

    // A pod.
    let server = giving(Some("access_token"));
    let authority = format!("{}/", server.url);
    let pod = [
        ("AZURE_FEDERATED_TOKEN_FILE", federated.to_str().unwrap()),
        ("AZURE_AUTHORITY_HOST", &authority),
        ("AZURE_TENANT_ID", "c0ffee-11"),
        ("AZURE_CLIENT_ID", "17"),
    ];
    ask("azure", &variables(&pod)).unwrap();
    let request = only(&server);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/c0ffee-11/oauth2/v2.0/token"));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    let body = String::from_utf8(request.body).unwrap();
    let expected = format!(
        "grant_type=client_credentials&client_id=17&scope=sigstore%2F.default&client_assertion_type=\
         urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={}",
        token_for("api://AzureADTokenExchange")
    );
    assert_eq!(body, expected);
    let shown = format!("{:?}", select("azure", &variables(&app)));
    assert!(!shown.contains("a-secret"), "{shown}");
    assert!(matches!(ask("azure", &variables(&pod[..2])), Err(AmbientError::NotHere { .. })));
    let tenant = [pod[0], pod[1], ("AZURE_TENANT_ID", "../x"), pod[3]];
    assert!(matches!(ask("azure", &variables(&tenant)), Err(AmbientError::Variables)));
}

#[test]
fn a_projected_token_is_read_anew_each_time_and_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let none = Variables::default();
    let source = select(&format!("kubernetes:{}", path.display()), &none).unwrap().unwrap();
    let ask = || source.token(&quick_http(), "sigstore");
    assert!(matches!(ask(), Err(AmbientError::File { .. })));
    for subject in ["one", "two"] {
        let claims = serde_json::json!({"iss": "i", "sub": subject, "aud": ["sigstore"], "exp": 1});
        fs::write(&path, token(&claims) + "\n").unwrap();
        assert_eq!(ask().unwrap().claims().subject, subject);
    }
    fs::write(&path, "x".repeat(1 << 20)).unwrap();
    assert!(matches!(ask(), Err(AmbientError::Token(TokenError::TooLong))));
    // Neither a folder nor anything else that is no file.
    let folder = select(&format!("file:{}", folder.path().display()), &none).unwrap().unwrap();
    assert!(matches!(folder.token(&quick_http(), "sigstore"), Err(AmbientError::File { .. })));
    for (written, wanted) in
        [("kubernetes", "/var/run/sigstore/cosign/oidc-token"), ("spiffe:/run/spiffe/jwt", "/run/spiffe/jwt")]
    {
        assert_eq!(written.parse(), Ok(Choice::File(wanted.into())));
    }
}

#[test]
fn any_variable_may_hold_the_token() {
    let set = variables(&[("JWT", &token_for("sigstore"))]);
    assert_eq!(ask("variable:JWT", &set).unwrap().claims().subject, "workload");
    assert!(matches!(ask("variable:OTHER", &set), Err(AmbientError::NotHere { .. })));
}

#[test]
fn two_runners_at_once_are_refused_unless_one_is_chosen() {
    let both = variables(&[
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://runner.example/"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
        ("BUILDKITE_AGENT_ACCESS_TOKEN", "t"),
        ("BUILDKITE_JOB_ID", "1"),
    ]);
    let refused = select("auto", &both).unwrap_err();
    assert_eq!(refused.to_string(), "both GitHub Actions and Buildkite offer an identity here");
    assert!(matches!(select("buildkite", &both), Ok(Some(Source::Buildkite(_)))));
    assert!(select("none", &both).unwrap().is_none());
    // Half of a provider's variables is nobody.
    for half in [("ACTIONS_ID_TOKEN_REQUEST_URL", "u"), ("BUILDKITE_AGENT_ACCESS_TOKEN", "t")] {
        assert!(select("auto", &variables(&[half])).unwrap().is_none(), "{half:?}");
    }
}

#[test]
fn a_choice_has_one_spelling() {
    for (written, refusal) in [
        ("GitHub", ChoiceError::Unknown("GitHub".to_owned())),
        ("google:x", ChoiceError::Unknown("google:x".to_owned())),
        ("file:token", ChoiceError::Path("token".to_owned())),
        ("kubernetes:", ChoiceError::Path(String::new())),
        ("variable:", ChoiceError::Variable(String::new())),
        ("variable:A-B", ChoiceError::Variable("A-B".to_owned())),
        ("", ChoiceError::Unknown(String::new())),
    ] {
        assert_eq!(written.parse::<Choice>(), Err(refusal), "{written}");
    }
}

#[test]
fn what_does_not_deliver_is_an_error_soon() {
    let runner = |answer: fn() -> Answer| {
        let server = TestServer::new(move |_, _| answer());
        let set = [("ACTIONS_ID_TOKEN_REQUEST_URL", &*server.url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t")];
        (ask("auto", &variables(&set)).unwrap_err(), server.received().len())
    };
    assert!(matches!(runner(|| Answer::html(403)), (AmbientError::Refused(_), 1)));
    assert!(matches!(runner(|| Answer::json(200, &serde_json::json!([1]))), (AmbientError::Unreadable, 1)));
    assert!(matches!(
        runner(|| Answer::json(200, &serde_json::json!({"value": 7}))).0,
        AmbientError::Unreadable
    ));
    let long = || Answer::json(200, &serde_json::json!({"value": "x".repeat(70_000)}));
    assert!(matches!(runner(long).0, AmbientError::Http(HttpError::TooLarge { .. })));
    // A redirect is an answer, and no way to have the bearer sent elsewhere.
    let redirect = || Answer::Full(302, "Location: http://127.0.0.1:1/\r\n".to_owned(), Vec::new());
    assert!(matches!(runner(redirect), (AmbientError::Refused(_), 1)));

    let silent = TestServer::new(|_, _| Answer::Silence(Duration::from_secs(20)));
    let host = silent.url.trim_start_matches("http://").to_owned();
    let begun = std::time::Instant::now();
    let refused = ask("google", &variables(&[("GCE_METADATA_HOST", &host)])).unwrap_err();
    assert!(matches!(refused, AmbientError::Http(HttpError::Timeout { .. })), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(6) && silent.received().len() == 1);
}

#[test]
fn a_job_that_could_have_a_token_is_told_how() {
    for (name, word) in
        [("GITHUB_ACTIONS", "id-token: write"), ("GITLAB_CI", "id_tokens"), ("CIRCLECI", "forks")]
    {
        assert!(missing(&variables(&[(name, "true")])).unwrap().contains(word), "{name}");
    }
    assert_eq!(missing(&Variables::default()), None);
}
