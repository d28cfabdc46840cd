//! Signing as a workflow, through git: the provider's own variables are enough, and nothing else is.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use countersign::sandbox::Identity;

use crate::support::{ALICE, World};

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

/// A world without a token, and the token that a workflow of it would get.
fn world() -> (World, String) {
    let world = World::new();
    world.unset("SIGSTORE_ID_TOKEN");
    world.configure("[countersign]\n login = none");
    let token = world.authority().authority().issue_id_token(Identity::Uri(WORKFLOW.to_owned())).unwrap();
    (world, token)
}

/// A provider that answers every request with `body`; where it listens.
fn provider(body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 16 * 1024];
            let _ = stream.read(&mut request).unwrap();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).unwrap();
        }
    });
    host
}

#[test]
fn a_workflow_signs_as_itself() {
    let (world, token) = world();
    let runner = provider(serde_json::json!({"value": token, "count": 1}).to_string());
    let repository = world.repository("r", "sha1");
    assert!(repository.refusal(b"x").contains("there is no identity token, and nobody to ask for one"));
    world.set("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("http://{runner}/token?api-version=2.0"));
    world.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret");
    repository.commit("first");
    assert_eq!(repository.grade("HEAD"), format!("U|{WORKFLOW}|undefined"));
    // A second runner makes it a question that is not ours to answer.
    world.set("BUILDKITE_AGENT_ACCESS_TOKEN", "secret");
    world.set("BUILDKITE_JOB_ID", "17");
    let words = repository.refusal(b"x");
    assert!(words.contains("both GitHub Actions and Buildkite offer an identity here"), "{words}");
    assert!(words.contains("hint: set 'countersign.ambient' to one of"), "{words}");
    world.configure("[countersign]\n ambient = github");
    repository.commit("second");
    world.configure("[countersign]\n ambient = none");
    assert!(repository.refusal(b"x").contains("nobody to ask for one"));
}

#[test]
fn a_metadata_server_is_asked_only_where_the_user_says_so() {
    let (world, token) = world();
    world.set("GCE_METADATA_HOST", &provider(token));
    let repository = world.repository("r", "sha1");
    assert!(repository.refusal(b"x").contains("nobody to ask for one"));
    // The repository is not the one to say it.
    repository.git(&["config", "countersign.ambient", "google"]).check();
    let words = repository.refusal(b"x");
    assert!(words.contains("nobody to ask for one"), "{words}");
    assert!(words.contains("run 'countersign init --local --allow countersign.ambient'"), "{words}");
    world.configure("[countersign]\n ambient = google");
    repository.commit("first");
    assert_eq!(repository.grade("HEAD"), format!("U|{WORKFLOW}|undefined"));
}

#[test]
fn a_projected_token_signs_while_it_is_for_us_and_good() {
    let (world, token) = world();
    let path = world.write("projected", token);
    world.configure(&format!("[countersign]\n ambient = kubernetes:{}", path.display()));
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let foreign =
        serde_json::json!({"iss": world.url(), "sub": "s", "aud": "other", "exp": 4_000_000_000_u32});
    world.write("projected", crate::support::unsigned_token(&foreign));
    let words = repository.refusal(b"x");
    assert!(words.contains("the identity token is for the audience 'other', not for 'sigstore'"), "{words}");
    let old = serde_json::json!({"iss": world.url(), "sub": "s", "aud": "sigstore", "exp": 1000});
    world.write("projected", crate::support::unsigned_token(&old));
    assert!(repository.refusal(b"x").contains("the identity token has expired"));
    world.configure("[countersign]\n ambient = kubernetes:projected");
    let words = repository.refusal(b"x");
    assert!(words.contains("'countersign.ambient': 'projected' is not an absolute path"), "{words}");
}

#[test]
fn an_audience_of_ones_own_is_asked_for_and_checked() {
    let (world, _) = world();
    world.set("SIGSTORE_ID_TOKEN", &world.token(ALICE));
    world.configure("[countersign]\n audience = ours");
    let repository = world.repository("r", "sha1");
    let words = repository.refusal(b"x");
    assert!(words.contains("the identity token is for the audience 'sigstore', not for 'ours'"), "{words}");
}

#[test]
fn a_job_without_a_token_is_told_what_it_lacks() {
    let (world, _) = world();
    let repository = world.repository("r", "sha1");
    world.set("GITHUB_ACTIONS", "true");
    let words = repository.refusal(b"x");
    assert!(words.contains("hint: give the workflow's job 'permissions: id-token: write'"), "{words}");
}
