//! Signatures that no log holds: made only where the user wants it so, and marked wherever they are seen.

use std::fs;

use serde_json::Value;

use crate::support::{ALICE, BOB, World};

const CAUSE: &str = "good signature with a timestamp, and without an entry of a transparency log";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A world whose log is at an address where nobody is.
fn without_log() -> World {
    let world = World::new();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let path = world.path("authority/signing_config.json");
    let mut config = json(&fs::read_to_string(&path).unwrap());
    config["rekorTlogUrls"][0]["url"] = format!("http://{gone}").into();
    fs::write(path, config.to_string()).unwrap();
    world
}

#[test]
fn it_is_marked_everywhere_and_counts_only_where_that_is_said() {
    let world = World::new();
    world.configure("[countersign]\n log = never");
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    repository.commit("one");
    assert_eq!(world.log_size(), 0, "nothing was logged");

    let run = repository.countersign(&["verify", "HEAD"]).status(2);
    run.stdout_holds(&["cannot-tell", ALICE, "(timestamp, in no log)", CAUSE])
        .stderr_holds(&["hint: ", "countersign.notLogged accept"])
        .check();
    let verify = || {
        let run = repository.countersign(&["verify", "--json", "HEAD"]).any_status();
        let outcome = run.any_stdout().any_stderr().check();
        (outcome.status, json(&outcome.text()))
    };
    let (status, value) = verify();
    assert_eq!((status, &value["status"]), (2, &Value::from("cannot-tell")));
    assert_eq!(value["notLogged"], true);
    assert_eq!(value["identity"]["subject"], ALICE);
    assert_eq!(value["times"][0]["by"], "timestamp-authority");
    assert_eq!(value.get("log"), None);
    repository.git(&["verify-commit", "HEAD"]).status(1).any_stderr().check();
    assert!(repository.grade("HEAD").starts_with('E'), "{}", repository.grade("HEAD"));

    // A repository cannot let them count.
    repository.git(&["config", "--local", "countersign.notLogged", "accept"]).check();
    assert_eq!(verify().0, 2);

    world.configure("[countersign]\n notLogged = accept");
    let (status, value) = verify();
    assert_eq!(
        (status, &value["status"], &value["notLogged"]),
        (0, &Value::from("good"), &Value::from(true))
    );
    let run = repository.git(&["verify-commit", "HEAD"]);
    run.stderr_holds(&["good signature", "in no transparency log", "known as"]).check();
    assert_eq!(repository.grade("HEAD"), format!("G|{ALICE}|fully"));
    let inspected = repository.countersign(&["inspect", "HEAD"]).any_stdout().any_stderr().check().text();
    assert!(
        inspected.contains("no log entry") && inspected.contains("in no transparency log"),
        "{inspected}"
    );

    // Who it is still decides.
    repository.commit_as(BOB, "two");
    let (status, value) = verify();
    assert_eq!(
        (status, &value["status"], &value["notLogged"]),
        (1, &Value::from("refused"), &Value::from(true))
    );
}

#[test]
fn a_gate_refuses_it_whatever_the_pusher_sets() {
    let world = World::new();
    world.configure("[countersign]\n log = never");
    let policy = world.policy(&[("alice", ALICE)]);
    let server = world.bare("server.git", "sha1");
    let install = ["hook", "install", "--repository", "server.git", "--policy", policy.to_str().unwrap()];
    world.countersign(&install).any_stdout().any_stderr().check();
    let repository = world.repository("r", "sha1");
    repository.commit("one");
    // Neither the pusher's settings nor the server's repository can let it count.
    server.git(&["config", "countersign.notLogged", "accept"]).check();
    let push = |status| {
        let path = server.path.to_str().unwrap();
        let run = repository.git(&["push", "-q", path, "HEAD:refs/heads/main"]);
        run.status(status).any_stdout().any_stderr().check().words()
    };
    let words = push(1);
    assert!(words.contains(CAUSE) && words.contains("countersign.log"), "{words}");

    world.configure("[countersign]\n log = required");
    repository.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "logged"]).check();
    push(0);
}

#[test]
fn a_log_that_is_down_is_an_error_unless_timestamps_may_do() {
    let world = without_log();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let words = repository.refusal(b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nx\n");
    assert!(words.contains("no log entry: cannot connect"), "{words}");
    assert!(words.contains("hint: nothing was written"), "{words}");

    // A repository cannot make signatures weaker.
    repository.git(&["config", "--local", "countersign.log", "optional"]).check();
    repository.refusal(b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nx\n");

    world.configure("[countersign]\n log = optional");
    repository.git(&["commit", "-q", "--allow-empty", "-m", "one"]).any_stderr().check();
    let run = repository.countersign(&["--status-fd=2", "-bsau", ALICE]);
    let outcome =
        run.input(b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nx\n").any_stdout().any_stderr();
    let words = outcome.check().words();
    assert!(words.contains("the transparency log does not answer"), "{words}");
    assert!(words.contains("is in no log"), "{words}");
    let run = repository.countersign(&["verify", "--json", "HEAD"]).status(2).any_stdout().any_stderr();
    assert_eq!(json(&run.check().text())["notLogged"], true);
}

#[test]
fn a_log_that_says_no_is_an_error_even_so() {
    let world = World::new();
    let path = world.path("authority/signing_config.json");
    let mut config = json(&fs::read_to_string(&path).unwrap());
    // What answers there is no log: it says 404, and that is not "down".
    config["rekorTlogUrls"][0]["url"] = format!("{}/nowhere", world.url()).into();
    fs::write(path, config.to_string()).unwrap();
    world.configure("[countersign]\n log = optional");
    let repository = world.repository("r", "sha1");
    let words = repository.refusal(b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nx\n");
    assert!(words.contains("no log entry: the server answered 404"), "{words}");
}

#[test]
fn the_doctor_says_that_signatures_may_be_weaker() {
    let world = World::new();
    for (value, words) in
        [("never", "signatures are in no log"), ("optional", "where the log does not answer")]
    {
        world.configure(&format!("[countersign]\n log = {value}"));
        let run = world.countersign(&["doctor", "--offline"]).any_status().any_stderr();
        run.stdout_holds(&[words, "countersign.log"]).check();
    }
}
