//! One hook for every repository of a server, which keeps a ledger for each.

use super::*;

const LEDGER: &str = "refs/countersign/ledger";

/// A server on which git looks for the hooks of every repository in one folder, the pusher's own included.
fn server(install: &[&str]) -> World {
    let world = World::without_hooks(&[]);
    world.git(&["init", "-q", "--bare", "-b", "main", "other.git"]).good();
    world.git(&["config", "--global", "core.hooksPath", world.path("hooks").to_str().unwrap()]).good();
    let arguments =
        ["hook", "install", "--hooks-path", "hooks", "--policy", "policy.toml", "--state", "state"];
    world.countersign(&[&arguments[..], install].concat()).good();
    world
}

/// Where the hook keeps what it notes of a repository.
fn state(world: &World, name: &str) -> PathBuf {
    let repository = world.path(name).canonicalize().unwrap();
    world.path("state").join(repository.strip_prefix("/").unwrap())
}

fn push_to(world: &World, name: &str, refs: &[&str]) -> Said {
    let to = format!("../{name}");
    world.git(&[&["-C", "work", "push", "-q", &to], refs].concat())
}

fn entries(world: &World, name: &str) -> Vec<String> {
    let log = world.countersign(&["ledger", "log", "--json", "--repository", name]).good().stdout;
    let text = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{} {}", entry["sequence"], entry["ref"].as_str().unwrap())
    };
    let mut entries: Vec<String> = log.lines().map(text).collect();
    entries.reverse();
    entries
}

#[test]
fn every_repository_has_a_ledger_of_its_own_from_its_first_push_on() {
    let world = server(&[]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    // What is there before any push is the first entry.
    world.git(&["--git-dir", "other.git", "fetch", "-q", "work", &format!("{one}:refs/heads/old")]).good();
    for name in ["server.git", "other.git"] {
        push_to(&world, name, &[&format!("{one}:refs/heads/main")]).good();
        push_to(&world, name, &[&format!("{two}:refs/heads/main")]).good();
        push_to(&world, name, &[&format!("{two}:refs/tags/t")]).refused(&["no rule names this ref"]);
        // Hidden from whoever pushes, and from nobody who fetches.
        push_to(&world, name, &[&format!("+{one}:{LEDGER}")]).refused(&["deny updating a hidden ref"]);
        let listed = world.git(&["ls-remote", name, LEDGER]).good().stdout;
        assert!(listed.ends_with(LEDGER), "{listed:?}");
        let text = fs::read_to_string(world.path(name).join("config")).unwrap();
        assert_eq!(text.matches("hideRefs = refs/countersign/ledger").count(), 1, "{text}");
        world
            .countersign(&["ledger", "verify", "--repository", name])
            .ended(0, &["every ref is as the ledger says"]);
        let own = state(&world, name);
        assert_eq!(fs::read_dir(own.join("intents")).unwrap().count(), 0);
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(own.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let status = world.countersign(&["hook", "status", "--repository", name]);
        for line in ["reference-transaction: ", "post-receive: ", "ledger: true", own.to_str().unwrap()] {
            assert!(status.stdout.contains(line), "no {line:?} in {status:?}");
        }
        assert!(!status.stdout.contains("ledger to pushers"), "{status:?}");
    }
    assert_eq!(entries(&world, "server.git"), ["1 refs/heads/main", "2 refs/heads/main"]);
    let others = entries(&world, "other.git");
    assert_eq!(others, ["1 refs/heads/old", "2 refs/heads/main", "3 refs/heads/main"]);
    // The pusher's own repository has the hooks too, and nobody pushes there.
    assert!(!state(&world, "work/.git").exists());
}

#[test]
fn many_refs_one_broken_push_and_another_hook_are_as_in_a_repository_of_its_own() {
    let world = server(&[]);
    let one = world.commit(&[], "one");
    let names: Vec<String> = (0..60).map(|number| format!("{one}:refs/heads/n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    push_to(&world, "server.git", &names).good();
    assert_eq!(entries(&world, "server.git").len(), 60);
    let records = world.on_server(&["rev-list", "--count", LEDGER]).good().stdout;
    assert_eq!(records, "1");
    // Where only the hook that judges is left, the next push enters.
    fs::remove_file(world.path("hooks/reference-transaction")).unwrap();
    fs::remove_file(world.path("hooks/post-receive")).unwrap();
    push_to(&world, "server.git", &[":refs/heads/n0"]).good();
    assert_eq!(entries(&world, "server.git").len(), 60);
    world.ledger(&["settle"]).ended(0, &["1 entered"]);
    // A folder that was there runs first, and comes back.
    write_hook(&world.path("hooks/post-receive"), "#!/bin/sh\necho own >&2\n");
    let arguments =
        ["hook", "install", "--hooks-path", "hooks", "--policy", "policy.toml", "--state", "state"];
    world.countersign(&arguments).good();
    push_to(&world, "server.git", &[":refs/heads/n1"]).ended(0, &["own"]);
    assert_eq!(entries(&world, "server.git").len(), 62);
    world.countersign(&["hook", "uninstall", "--hooks-path", "hooks"]).good();
    let left: Vec<_> =
        fs::read_dir(world.path("hooks")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["post-receive"]);
}

#[test]
fn without_a_ledger_there_is_one_hook_and_nothing_is_touched() {
    let world = server(&["--no-ledger"]);
    let before = fs::read(world.server.join("config")).unwrap();
    let one = world.commit(&[], "one");
    push_to(&world, "server.git", &[&format!("{one}:refs/heads/main")]).good();
    assert_eq!(world.at(LEDGER), "");
    assert_eq!(fs::read(world.server.join("config")).unwrap(), before);
    assert_eq!(fs::read_dir(world.path("hooks")).unwrap().count(), 1);
}

#[test]
fn a_ledger_that_cannot_be_hidden_or_is_of_another_repository_is_not_begun() {
    let world = server(&[]);
    let one = world.commit(&[], "one");
    let lock = world.server.join("config.lock");
    fs::write(&lock, "").unwrap();
    let words = [
        "the ledger cannot be hidden from pushers",
        "git config --system receive.hideRefs refs/countersign/ledger",
    ];
    push_to(&world, "server.git", &[&format!("{one}:refs/heads/main")]).refused(&words);
    assert_eq!((world.at("refs/heads/main"), world.at(LEDGER)), (String::new(), String::new()));
    fs::remove_file(&lock).unwrap();
    push_to(&world, "server.git", &[&format!("{one}:refs/heads/main")]).good();
    // Made anew at the same place it is not the one whose ledger was kept.
    fs::remove_dir_all(&world.server).unwrap();
    world.git(&["init", "-q", "--bare", "-b", "main", "server.git"]).good();
    let words = ["the ledger is gone", "ledger.head"];
    push_to(&world, "server.git", &[&format!("{one}:refs/heads/main")]).refused(&words);
    fs::remove_dir_all(state(&world, "server.git")).unwrap();
    push_to(&world, "server.git", &[&format!("{one}:refs/heads/main")]).good();
    world.ledger(&["verify"]).good();
}
