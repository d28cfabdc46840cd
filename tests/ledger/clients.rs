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
    // Which of the two git moves first is its business.
    world.countersign(&log).ended(0, &["5  ", "refs/heads/"]);
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
    // Another story from there on, by somebody who takes away what the server itself remembers.
    fs::remove_file(world.state().join("ledger.head")).unwrap();
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
fn an_earlier_head_takes_nothing_back_of_what_is_remembered() {
    let (world, [_, two, three]) = seen();
    let old = world.at(LEDGER);
    look(&world).good();
    world.git(&["-C", "clone", "fetch", "-q", "origin", &format!("{LEDGER}:refs/seen")]).good();
    world.push(&[&format!("{three}:refs/heads/main")]).good();
    look(&world).good();
    let new = world.at(LEDGER);
    let since = ["ledger", "verify", "--repository", "clone", "--remote", "origin", "--since", "refs/seen"];
    world.countersign(&since).ended(0, &["every ref is as the ledger says"]);
    // Rolled back to what '--since' names: that is not all that was seen.
    world.on_server(&["update-ref", "refs/heads/main", &two]).good();
    world.on_server(&["update-ref", LEDGER, &old]).good();
    let told = format!("the ledger ends before '{new}', which was seen earlier");
    world.countersign(&since).ended(1, &[&told]);
    look(&world).ended(1, &[&told]);
    world.on_server(&["update-ref", "-d", LEDGER]).good();
    world
        .countersign(&since)
        .ended(1, &["the ledger is gone", "hint: ask whoever keeps the remote; if they know why"]);
    // An earlier head that is no part of it is told, whatever is remembered.
    world.on_server(&["update-ref", "refs/heads/main", &three]).good();
    world.on_server(&["update-ref", LEDGER, &new]).good();
    let other = ["ledger", "verify", "--repository", "clone", "--remote", "origin", "--since", "main"];
    world.countersign(&other).ended(1, &["is no part of this one"]);
    look(&world).good();
}

#[test]
fn what_is_remembered_of_a_remote_holds_no_secret() {
    let (world, _) = seen();
    let url = "https://alice:secret@127.0.0.1:1/r.git";
    world.git(&["-C", "clone", "remote", "add", "other", url]).good();
    let verify = ["ledger", "verify", "--repository", "clone", "--remote", "other"];
    let said = world.countersign(&verify).ended(3, &["'https://127.0.0.1:1/r.git'"]);
    assert!(!said.stderr.contains("secret"), "{said:?}");
    look(&world).good();
    let state = world.path(".local/state/countersign");
    let found = run(world.command("grep", &["-rl", "secret", state.to_str().unwrap()]), b"");
    assert_eq!(found.stdout, "");
    assert!(!state.join("ledgers").exists());
}

#[test]
fn a_remote_without_a_ledger_can_be_told_nothing_of() {
    let world = World::with(&[], &["--no-ledger"]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    world.git(&["clone", "-q", "server.git", "clone"]).good();
    look(&world).ended(2, &["there is no ledger", "hint: have whoever keeps the remote run"]);
    let log = ["ledger", "log", "--repository", "clone", "--remote", "origin"];
    world.countersign(&log).ended(3, &["no ledger of 'origin' was seen yet"]);
    let since = ["ledger", "verify", "--repository", "clone", "--remote", "-x"];
    world.countersign(&since).refused(&[]);
}

#[test]
fn a_remote_that_is_not_there_is_told_as_such() {
    let (world, _) = seen();
    let hint = "hint: name one of 'git remote', or an address: 'https://HOST/PATH', 'HOST:PATH' or '/PATH'\n";
    for typed in [&["log"][..], &["show", "1"], &["verify"]] {
        let at = |remote| [&["ledger"], typed, &["--repository", "clone", "--remote", remote]].concat();
        let said = world.countersign(&at("NOWHERE")).ended(3, &[hint]);
        let words = "error: there is no remote 'NOWHERE', and no repository at that path\n";
        assert!(said.stderr.starts_with(words) && !said.stderr.contains("verified::"), "{said:?}");
        let said = world.countersign(&at("http://host.example/r")).ended(3, &[hint, "take 'https'"]);
        assert!(!said.stderr.contains("verified::"), "{said:?}");
        world.git(&["-C", "clone", "config", "remote.gone.url", "../gone.git"]).good();
        world
            .countersign(&at("gone"))
            .ended(3, &["error: the remote 'gone' is at '../gone.git', and there is no repository\n", hint]);
    }
}
