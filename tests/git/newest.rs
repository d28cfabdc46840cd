//! What newer gits do that older ones do not: refs kept as reftable, or where the environment says.

use std::fs;

use crate::support::{ALICE, Repository, World, newer_git};

const REFUSED: &str = "keeps its refs as 'reftable', which is not supported";

/// A world with a git that can make reftable repositories, and in which alice may sign everything.
fn world(test: &str) -> Option<World> {
    let path = newer_git(test, (2, 46))?;
    let world = World::new();
    world.set("PATH", &path);
    world.trust(ALICE);
    world.policy(&[("alice", ALICE)]);
    Some(world)
}

#[test]
fn in_a_reftable_repository_git_signs_and_verifies_and_the_rest_is_refused_in_words() {
    let Some(world) =
        world("in_a_reftable_repository_git_signs_and_verifies_and_the_rest_is_refused_in_words")
    else {
        return;
    };
    world.run("git", &["init", "-q", "--ref-format=reftable", "r"]).check();
    let repository = Repository::at(&world, &world.path("r"));
    // Neither needs a ref.
    repository.commit("first");
    repository.git(&["tag", "-m", "a tag", "v1"]).check();
    assert_eq!(repository.grade("HEAD"), format!("G|{ALICE}|fully"));
    repository.git(&["verify-tag", "v1"]).any_stderr().check();
    let id = repository.id("HEAD");
    let place = repository.path.to_str().unwrap();
    for arguments in [
        &["verify"][..],
        &["verify", &id],
        &["verify", "--all"],
        &["inspect", "HEAD"],
        &["ledger", "verify", "--repository", place],
        &["hook", "status", "--repository", place],
        &["hook", "install", "--repository", place, "--policy", "../policy.toml"],
        &["policy", "test", "--policy", "../policy.toml", "--against", "HEAD"],
    ] {
        let outcome = repository.countersign(arguments).any_status().any_stdout().any_stderr().check();
        assert!(outcome.status == 3 && outcome.words().contains(REFUSED), "{arguments:?}: {outcome:?}");
        assert!(!outcome.text().contains("good"), "{arguments:?}");
        if arguments[0] != "policy" && arguments[0] != "ledger" {
            assert!(outcome.words().contains("'git refs migrate --ref-format=files'"), "{outcome:?}");
        }
    }
    assert!(!repository.path.join(".git/hooks/pre-receive").exists());
}

#[test]
fn a_gate_whose_refs_have_moved_into_reftable_lets_nothing_in() {
    let Some(world) = world("a_gate_whose_refs_have_moved_into_reftable_lets_nothing_in") else { return };
    let work = world.repository("work", "sha1");
    let (first, second) = (work.commit("first"), work.commit("second"));
    let server = world.bare("server", "sha1");
    let place = server.path.to_str().unwrap();
    let install = ["hook", "install", "--repository", place, "--policy", "policy.toml"];
    world.countersign(&install).directory(&world.path("")).any_stdout().check();
    let push = |id: &str| {
        let run = work.git(&["push", "-q", place, &format!("{id}:refs/heads/main")]);
        run.any_status().any_stdout().any_stderr().check()
    };
    assert_eq!(push(&first).status, 0);
    let ledger = server.id("refs/countersign/ledger");
    // The hooks of that very server watch it being done.
    server.git(&["refs", "migrate", "--ref-format=reftable"]).any_stdout().any_stderr().check();
    let refused = push(&second);
    assert!(refused.status != 0 && refused.words().contains(REFUSED), "{}", refused.words());
    let run = world.countersign(&["hook", "status", "--repository", place]).status(3);
    run.stderr_holds(&[REFUSED]).check();
    assert_eq!((server.id("refs/heads/main"), server.id("refs/countersign/ledger")), (first, ledger));
    // And back again it goes on where it was.
    server.git(&["refs", "migrate", "--ref-format=files"]).any_stdout().any_stderr().check();
    assert_eq!(push(&second).status, 0);
    world.countersign(&["ledger", "verify", "--repository", place]).any_stdout().check();
}

#[test]
fn refs_that_the_environment_keeps_elsewhere_are_refused_whatever_git_it_is() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let id = repository.commit("first");
    let elsewhere = format!("reftable://{}", world.path("elsewhere").display());
    for arguments in [&["verify"][..], &["verify", &id], &["verify", "--repository", "."], &["inspect"]] {
        let run = repository.countersign(arguments).env("GIT_REFERENCE_BACKEND", &elsewhere).status(3);
        run.stderr_holds(&["error: ", "the repository keeps its refs as 'reftable://", "not supported"])
            .check();
    }
    let files = repository.countersign(&["verify"]).env("GIT_REFERENCE_BACKEND", "files");
    files.stdout_holds(&["good"]).check();
    assert!(!fs::exists(world.path("elsewhere")).unwrap());
}
