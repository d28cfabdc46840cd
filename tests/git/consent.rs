//! An e-mail address goes into a public log only after its owner has said yes, once.

use countersign::sandbox::Identity;

use crate::support::{ALICE, BOB, PROGRAM, World, skipped};

/// A world whose authority stands for the public one.
fn world() -> World {
    let world = World::new();
    world.configure(&format!(
        "[countersign]\n instance = public-good\n[countersign \"public-good\"]\n trustedRoot = {}\n signingConfig = {}",
        world.path("authority/trusted_root.json").display(),
        world.path("authority/signing_config.json").display(),
    ));
    world
}

/// `git commit` for a person at a terminal who has typed `ahead`, and types `answer` when asked; what it showed.
fn at_a_terminal(world: &World, ahead: &str, answer: Option<&str>, status: i32) -> String {
    // What was typed ahead has to be there before the question is.
    let wait = if ahead.is_empty() { "" } else { "sleep 1; " };
    let command = format!("{wait}git -C '{}' commit -q --allow-empty -m x", world.path("r").display());
    let run = world.run("script", &["-qec", &command, "/dev/null"]).status(status);
    let dialogue: Vec<_> = answer.map(|answer| ("[y/N] ", answer)).into_iter().collect();
    run.converse(ahead, &dialogue).text()
}

#[test]
fn without_a_terminal_nothing_is_published_and_the_command_is_named() {
    let test = "without_a_terminal_nothing_is_published_and_the_command_is_named";
    if skipped(test, "setsid") {
        return;
    }
    let world = world();
    world.repository("r", "sha1");
    let sign = |status: i32| {
        let script = format!("setsid -w '{PROGRAM}' --status-fd=2 -bsau key");
        world.run("sh", &["-c", &script]).input("x").status(status).any_stdout().any_stderr().check().words()
    };
    let before = world.requests();
    let words = sign(3);
    assert!(words.contains("would put 'alice@example.com' into a public log for good"), "{words}");
    let command = "git config --global --add countersign.publish alice@example.com";
    assert!(words.contains(&format!("run '{command}'")), "{words}");
    assert_eq!(world.requests(), before, "nothing was asked for");
    // Whoever would sign for us is not even started.
    world.configure("[countersign]\n agent = always");
    assert!(sign(3).contains("into a public log for good"));
    assert_eq!(world.requests(), before, "nothing was asked for");
    world.configure("[countersign]\n agent = off");
    // The command does what it says, for that address and no other.
    world.run("sh", &["-c", command]).check();
    sign(0);
    world.set("SIGSTORE_ID_TOKEN", &world.token(BOB));
    assert!(sign(3).contains("'bob@example.com'"));
    // What has no e-mail address publishes none.
    let workflow = Identity::Uri("https://ci.example/workflow".to_owned());
    world.set("SIGSTORE_ID_TOKEN", &world.authority().authority().issue_id_token(workflow).unwrap());
    sign(0);
    // Neither does a private instance.
    world.configure("[countersign]\n instance = sandbox");
    world.set("SIGSTORE_ID_TOKEN", &world.token(BOB));
    sign(0);
}

#[test]
fn a_repository_cannot_consent() {
    if skipped("a_repository_cannot_consent", "setsid") {
        return;
    }
    let world = world();
    let repository = world.repository("r", "sha1");
    repository.git(&["config", "countersign.publish", ALICE]).check();
    let script = format!("setsid -w '{PROGRAM}' --status-fd=2 -bsau key");
    let run = world.run("sh", &["-c", &script]).directory(&repository.path).input("x").status(3);
    run.stderr_holds(&["into a public log for good"]).check();
}

#[test]
fn a_person_is_asked_once() {
    if skipped("a_person_is_asked_once", "script") {
        return;
    }
    let world = world();
    let repository = world.repository("r", "sha1");
    // Ctrl-D and Ctrl-C are answers too, and what stood there before the question is none.
    for (ahead, answer) in
        [("", "\n"), ("", "n\n"), ("", "why\n"), ("", "\u{4}"), ("", "\u{3}"), ("y\n", "n\n")]
    {
        let shown = at_a_terminal(&world, ahead, Some(answer), 128);
        assert!(shown.contains("puts 'alice@example.com' into a public log, for good"), "{shown}");
        assert!(shown.contains("is not to be published"), "{answer:?}: {shown}");
        assert!(!repository.has("HEAD"));
    }
    let shown = at_a_terminal(&world, "n\n", Some("y\n"), 0);
    assert!(shown.contains("publish it, now and from now on?"), "{shown}");
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
    assert_eq!(at_a_terminal(&world, "", None, 0), "");
    let kept = repository.git(&["config", "--global", "--get-all", "countersign.publish"]);
    kept.stdout("alice@example.com\n").check();
}
