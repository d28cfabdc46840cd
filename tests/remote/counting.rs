//! Rules that count persons: a client counts them for each move of a ref that the remote shows it.

use super::{
    ALICE, BOB, Repository, World, address, author, clone, fetch, holds, is_clean, served, stage, upload,
};

const APPROVALS: &str = "refs/countersign/approvals";
const MAIN: &str = "refs/heads/main";
const RULES: &str = r#"
    [[rule]]
    name = "main"
    refs = ["refs/heads/main", "refs/heads/release/*"]
    commits = ["alice", "bob"]
    create = "allow"
    threshold = 2
    [[rule]]
    name = "wild"
    refs = ["refs/heads/wild/*"]
    commits = ["alice", "bob"]
    create = "allow"
    [[rule]]
    name = "approvals"
    refs = ["refs/countersign/approvals"]
    commits = "unsigned"
    create = "allow"
"#;

/// A remote under [`RULES`] whose repository has an id.
fn counted() -> World {
    let world = stage(RULES);
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    world.write(
        "policy.toml",
        policy.replacen("version = 1\n", "version = 1\nrepository = \"example.com/r\"\n", 1),
    );
    world
}

/// `email` approves what `arguments` say.
fn approve(author: &Repository<'_>, email: &str, arguments: &[&str]) {
    let run = author.countersign(&[&["approve"], arguments].concat());
    run.env("SIGSTORE_ID_TOKEN", author.world.token(email)).any_stdout().any_stderr().check();
}

/// The signer of `tip` and `email` are for it where `base` was.
fn approve_move(author: &Repository<'_>, email: &str, base: &str, tip: &str) {
    approve(author, email, &["--ref", MAIN, "--base", base, tip]);
}

/// Nothing is taken of `main`, for want of persons; and it is held from then on.
#[track_caller]
fn refused(ours: &Repository<'_>, evil: &str) {
    let before = ours.id("origin/main");
    let words = ["1 of 2 persons vouches for it ('alice')", "(rule 'main')", "nothing was taken"];
    fetch(ours, &[]).status(128).stderr_holds(&words).check();
    fetch(ours, &[]).stderr_holds(&["'refs/heads/main' is held at", "1 of 2 persons"]).check();
    assert_eq!(ours.id("origin/main"), before);
    assert!(!holds(ours, evil) && is_clean(ours));
}

#[test]
fn a_move_for_which_too_few_vouch_is_held_until_somebody_approves_it() {
    let world = counted();
    let ours = clone(&world, "ours");
    let author = author(&world);
    let first = author.id("HEAD");
    let second = author.commit("second");
    upload(&author, &["main"]);
    refused(&ours, &second);
    // One for another branch, and one from another value, are none for this move.
    approve(&author, BOB, &["--ref", "refs/heads/release/1", "--base", &first, &second]);
    approve(&author, BOB, &["--ref", MAIN, "--create", &second]);
    upload(&author, &[APPROVALS]);
    refused(&ours, &second);
    approve_move(&author, BOB, &first, &second);
    upload(&author, &[APPROVALS]);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), second);
    // They are the remote's to keep, and come into no clone that does not ask for them.
    assert!(!ours.has(APPROVALS) && !holds(&ours, &served(&world).id(APPROVALS)));
    world.countersign(&["remote", "status"]).any_stdout().check();
    // What another clone has seen accepted is not asked for twice.
    assert_eq!(clone(&world, "again").id("origin/main"), second);
}

#[test]
fn several_moves_are_judged_one_by_one_whoever_has_seen_them() {
    let world = counted();
    let ours = clone(&world, "ours");
    let author = author(&world);
    let mut base = author.id("HEAD");
    for (message, signer, approver) in [("a", ALICE, BOB), ("b", BOB, ALICE), ("c", ALICE, BOB)] {
        author.commit_as(signer, &format!("{message}, to be built upon"));
        let tip = author.commit_as(signer, message);
        std::fs::write(author.path.join("file"), message).unwrap();
        author.git(&["add", "file"]).check();
        author
            .git(&["commit", "-q", "--amend", "--no-edit"])
            .env("SIGSTORE_ID_TOKEN", world.token(signer))
            .check();
        let tip = if author.id("HEAD") == tip { tip } else { author.id("HEAD") };
        approve_move(&author, approver, &base, &tip);
        base = tip;
    }
    upload(&author, &["main", APPROVALS]);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), base);
    // One of them without an approval, between others that have theirs, is enough to hold it all.
    let between = author.commit("in between");
    std::fs::write(author.path.join("file"), "d").unwrap();
    author.git(&["commit", "-qam", "d"]).env("SIGSTORE_ID_TOKEN", world.token(ALICE)).check();
    approve_move(&author, BOB, &between, "HEAD");
    upload(&author, &["main", APPROVALS]);
    refused(&ours, &between);
}

#[test]
fn a_new_branch_takes_as_many_and_what_is_there_at_first_sight_does_not() {
    let world = counted();
    let author = author(&world);
    author.commit("second");
    upload(&author, &["main", "main:refs/heads/release/0"]);
    // Nobody can tell any more how they came about.
    let ours = clone(&world, "ours");
    assert_eq!(ours.id("origin/release/0"), author.id("main"));
    upload(&author, &["main:refs/heads/release/1", "main:refs/heads/wild/1"]);
    fetch(&ours, &[]).status(128).stderr_holds(&["refs/heads/release/1", "1 of 2 persons"]).check();
    fetch(&ours, &[]).stderr_holds(&["'refs/heads/release/1' is held at nothing"]).check();
    assert!(ours.has("origin/wild/1") && !ours.has("origin/release/1"));
    approve(&author, BOB, &["--ref", "refs/heads/release/1", "--create", "main"]);
    upload(&author, &[APPROVALS]);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/release/1"), author.id("main"));
}

#[test]
fn a_signed_push_counts_by_the_ledger_and_for_this_remote_alone() {
    let world = counted();
    let (server, author) = (served(&world), author(&world));
    let path = server.path.to_str().unwrap().to_owned();
    for (key, value) in [
        ("receive.certNonceSeed", "a seed that is no secret here"),
        ("receive.advertisePushOptions", "true"),
        ("gpg.x509.program", "true"),
    ] {
        server.git(&["config", key, value]).check();
    }
    let policy = world.path("policy.toml");
    let install = ["hook", "install", "--repository", &path, "--policy", policy.to_str().unwrap()];
    world.countersign(&[&install[..], &["--address", &path]].concat()).any_stdout().any_stderr().check();
    let ours = clone(&world, "ours");
    author.commit("second");
    let push = |email: &str| {
        // What is signed in one second for the same push is the same, and counts once.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let run = author.git(&["push", "-q", "--signed", &path, "main"]);
        run.env("SIGSTORE_ID_TOKEN", world.token(email)).any_stderr().check();
    };
    push(BOB);
    author.commit("third");
    push(BOB);
    // Two moves, each with its certificate.
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), author.id("main"));
    // From elsewhere the very same says nothing: it was not pushed there.
    let elsewhere = world.path("elsewhere.git");
    world.run("git", &["clone", "-q", "--mirror", &path, elsewhere.to_str().unwrap()]).check();
    author.commit("fourth");
    push(BOB);
    let mirror = Repository::at(&world, &elsewhere);
    mirror.git(&["fetch", "-q", &path, "+refs/*:refs/*"]).check();
    let url = format!("verified::{}", elsewhere.display());
    let run = ours.git(&["fetch", "-q", &url, MAIN]).status(128);
    run.stderr_holds(&["1 of 2 persons vouches for it ('alice')"]).check();
    assert_eq!(address(&world), format!("verified::{path}"));
}
