//! Whoever has signed the push vouches for all of it.

use crate::{ALICE, BOB, CAROL, Stage, TWO, support::World};

/// A stage whose server asks for push certificates.
fn stage<'w>(world: &'w World, rules: &str) -> Stage<'w> {
    let stage = Stage::new(world, rules);
    stage.server.git(&["config", "receive.certNonceSeed", "a seed that is no secret here"]).check();
    stage.server.git(&["config", "receive.advertisePushOptions", "true"]).check();
    stage.server.git(&["config", "gpg.x509.program", "true"]).check();
    let (server, policy) = (stage.server.path.to_str().unwrap(), world.path("policy.toml"));
    let install = ["hook", "install", "--repository", server, "--policy", policy.to_str().unwrap()];
    let install = [&install[..], &["--address", server]].concat();
    world.countersign(&install).any_stdout().any_stderr().check();
    stage
}

/// `git push --signed` as `email`; the exit status and what is said.
fn push(stage: &Stage<'_>, email: &str) -> (i32, String) {
    // What is signed in one second for the same push is the same, and counts once.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let run = stage.work.git(&["push", "-q", "--signed", "origin", "main"]);
    let run = run.env("SIGSTORE_ID_TOKEN", stage.world.token(email)).any_status().any_stderr();
    let run = run.any_stdout().check();
    (run.status, run.words())
}

#[test]
fn whoever_pushes_what_somebody_else_has_signed_is_the_second() {
    let world = World::new();
    let stage = stage(&world, TWO);
    stage.commit(ALICE, "a", "a\n");
    let (status, words) = push(&stage, ALICE);
    assert_ne!(status, 0);
    assert!(words.contains("1 of 2 persons vouches for it ('alice')"), "{words}");
    let (status, words) = push(&stage, BOB);
    assert_eq!(status, 0, "{words}");
    // What Bob has signed himself takes somebody else.
    stage.commit(BOB, "b", "b\n");
    assert_ne!(push(&stage, BOB).0, 0);
    assert_eq!(push(&stage, CAROL).0, 0);
}

#[test]
fn whoever_may_not_approve_does_not_vouch_by_pushing() {
    let world = World::new();
    let stage = stage(&world, &(TWO.to_owned() + "approvers = [\"carol\"]\n"));
    stage.commit(ALICE, "a", "a\n");
    let (status, words) = push(&stage, BOB);
    assert_ne!(status, 0);
    assert!(words.contains("1 of 2 persons vouches for it ('alice')"), "{words}");
    assert_eq!(push(&stage, CAROL).0, 0);
}
