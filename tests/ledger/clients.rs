//! A remote's refs and ledger, held against each other and against what was seen before.

use super::*;

const LEDGER: &str = "refs/countersign/ledger";

/// A server with a little history, and what a clone says of it.
fn seen() -> (World, [String; 3]) {
    let world = World::new();
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    let three = world.commit(&[&two], "three");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    world.push(&[&format!("{two}:refs/heads/main"), &format!("{one}:refs/heads/x")]).good();
    world.git(&["clone", "-q", "server.git", "clone"]).good();
    (world, [one, two, three])
}

fn look(world: &World) -> Said {
    world.countersign(&["ledger", "verify", "--repository", "clone", "--remote", "origin"])
}

#[test]
fn a_remote_that_goes_on_is_good_and_its_head_is_remembered() {
    let (world, [_, two, three]) = seen();
    look(&world).ended(0, &["every ref is as the ledger says: 3 entries"]);
    world.push(&[&format!("{three}:refs/heads/main"), ":refs/heads/x"]).good();
    let json = ["ledger", "verify", "--repository", "clone", "--remote", "origin", "--json"];
    let report: serde_json::Value = serde_json::from_str(&world.countersign(&json).good().stdout).unwrap();
    assert_eq!((&report["entries"], &report["new_entries"]), (&5.into(), &2.into()));
    let log = ["ledger", "log", "--repository", "clone", "--remote", "origin", "-n", "1"];
    world.countersign(&log).ended(0, &["5  ", "refs/heads/x"]);
    assert_eq!(world.at("refs/heads/main"), three);
    assert_ne!(two, three);
}

#[test]
fn rollback_fork_and_teleport_are_told() {
    let (world, [one, two, three]) = seen();
    let old = world.at(LEDGER);
    world.push(&[&format!("{three}:refs/heads/main")]).good();
    let new = world.at(LEDGER);
    look(&world).good();
    let set = |name: &str, value: &str| {
        world.on_server(&["update-ref", name, value]).good();
    };
    // One ref goes back, or shows what another holds.
    set("refs/heads/main", &two);
    look(&world).ended(1, &["refs/heads/main: holds", "it held that by entry 2"]);
    set("refs/heads/main", &three);
    set("refs/heads/x", &two);
    look(&world).ended(1, &["refs/heads/x: holds", "that is what 'refs/heads/main' held by entry 2"]);
    world.on_server(&["update-ref", "-d", "refs/heads/x"]).good();
    look(&world).ended(1, &["refs/heads/x: holds nothing, and entry 3 says"]);
    set("refs/heads/x", &one);
    look(&world).good();
    // All of it goes back, and agrees with itself: only who has seen more can tell.
    set("refs/heads/main", &two);
    set(LEDGER, &old);
    look(&world).ended(1, &[&format!("the ledger ends before '{new}', which was seen earlier")]);
    let stranger = ["ledger", "verify", "--repository", "work", "--remote", "../server.git"];
    let mut command = world.command(PROGRAM, &stranger);
    command.env("HOME", world.path("clone"));
    run(command, b"").good();
    // Another story from there on.
    let other = world.commit(&[&two], "other");
    world.push(&[&format!("{other}:refs/heads/main")]).good();
    look(&world).ended(1, &[&format!("its head '{new}' is no part of this one")]);
    world.on_server(&["update-ref", "-d", LEDGER]).good();
    look(&world).ended(1, &["the ledger is gone"]);
    // What was remembered is still.
    set("refs/heads/main", &three);
    set(LEDGER, &new);
    look(&world).good();
}

#[test]
fn a_remote_without_a_ledger_can_be_told_nothing_of() {
    let world = World::with(&[], &["--no-ledger"]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    world.git(&["clone", "-q", "server.git", "clone"]).good();
    look(&world).ended(2, &["there is no ledger"]);
    let log = ["ledger", "log", "--repository", "clone", "--remote", "origin"];
    world.countersign(&log).ended(3, &["no ledger of 'origin' was seen yet"]);
    let since = ["ledger", "verify", "--repository", "clone", "--remote", "-x"];
    world.countersign(&since).refused(&[]);
}
