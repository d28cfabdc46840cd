//! A remote that contradicts its own ledger by other means: names that it calls symbolic, refs that no rule governs;
//! and what it costs to hold it to its ledger.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use super::{
    RULES, author, clone, fetch, holds,
    ledger::{LEDGER, enter, kept, set},
    served,
    servers::ssh,
    support::{Repository, World},
    upload,
};

/// Whatever is served is changed on its way: `from` is written `to`, which is as long.
fn lie(world: &World, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let path = world.path("ssh");
    let text = fs::read_to_string(&path).unwrap();
    // Nothing is kept back: the other end waits for it.
    let filter = format!("while (sysread(STDIN, $_, 65536)) {{ s,{from},{to},g; syswrite(STDOUT, $_) }}");
    fs::write(path, text.replace("eval \"$last\"", &format!("eval \"$last\" | perl -e '{filter}'"))).unwrap();
}

#[test]
fn a_ref_is_no_other_name_for_one_with_another_value() {
    let (world, [first, second]) = kept(RULES);
    ssh(&world);
    let address = format!("verified::host:{}", world.path("served.git").display());
    world.run("git", &["clone", "-q", &address, "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    // Signed by whom it may be, and under no entry: at a name that is said to be another one for 'main'.
    let server = served(&world);
    server.git(&["update-ref", "refs/heads/trap", &first]).check();
    server.git(&["symbolic-ref", "refs/heads/release", "refs/heads/trap"]).check();
    lie(&world, "symref-target:refs/heads/trap", "symref-target:refs/heads/main");
    let run = ours.git(&["ls-remote", "--symref", &address["verified::".len()..]]).any_stdout().check();
    assert!(run.text().contains("ref: refs/heads/main\trefs/heads/release\n"), "{}", run.text());
    for _ in 0..2 {
        let words = [
            "'refs/heads/release' is held at nothing",
            "the remote's ledger says nothing: it was put where 'refs/heads/main' was by entry 1",
        ];
        fetch(&ours, &[]).stderr_holds(&words).check();
        assert!(!ours.has("origin/release") && !ours.has("origin/trap"));
        assert_eq!(ours.id("origin/main"), second);
    }
    // The same is told to whoever looks at the remote only.
    let verify = ["ledger", "verify", "--repository", "ours", "--remote", "origin"];
    world.countersign(&verify).status(1).stdout_holds(&["refs/heads/release: holds"]).check();
}

#[test]
fn another_name_for_a_ref_is_held_with_it() {
    let (world, [first, second]) = kept(RULES);
    served(&world).git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]).check();
    let ours = clone(&world, "ours");
    assert_eq!(ours.id("origin/alias"), second);
    set(&world, "refs/heads/main", &first);
    let words = [
        "'refs/heads/alias' is held at",
        "it is another name for 'refs/heads/main': the remote's ledger says",
    ];
    fetch(&ours, &[]).stderr_holds(&words).check();
    assert_eq!((ours.id("origin/alias"), ours.id("origin/main")), (second.clone(), second));
}

#[test]
fn what_no_rule_governs_is_held_where_the_ledger_contradicts_it_and_told_where_it_does_not_know_it() {
    let (world, [first, second]) = kept(RULES);
    let policy = fs::read_to_string(world.path("policy.toml")).unwrap();
    world.write("policy.toml", policy.replace("other_refs = \"refuse\"", "other_refs = \"accept\""));
    upload(&author(&world), &["main:refs/free/a", "main:refs/free/b"]);
    enter(&world);
    let ours = clone(&world, "ours");
    let all = ["--prune", "origin", "+refs/free/*:refs/free/*"];
    fetch(&ours, &all).check();
    // Its gate has let in another value, and none of it to go.
    set(&world, "refs/free/a", &first);
    served(&world).git(&["update-ref", "-d", "refs/free/b"]).check();
    for _ in 0..2 {
        let held = [
            "'refs/free/a' is held at",
            "it was put where 'refs/heads/main' was",
            "'refs/free/b' is held at",
        ];
        fetch(&ours, &all).stderr_holds(&held).check();
        assert_eq!((ours.id("refs/free/a"), ours.id("refs/free/b")), (second.clone(), second.clone()));
    }
    world.countersign(&["remote", "status"]).status(1).stdout_holds(&["2 held"]).check();
    // Nobody has ever entered these.
    for name in ["c", "d", "e", "f"] {
        set(&world, &format!("refs/free/{name}"), &first);
    }
    let words = [
        "not what the remote's ledger says, and taken because no rule governs it: ",
        "'refs/free/c', 'refs/free/d', 'refs/free/e' and 1 more\n",
    ];
    fetch(&ours, &all).stderr_holds(&words).check();
    assert_eq!(ours.id("refs/free/c"), first);
    enter(&world);
    fetch(&ours, &all).check();
    assert_eq!(ours.id("refs/free/a"), first);
    assert!(!ours.has("refs/free/b"));
    world.countersign(&["remote", "status"]).any_stdout().check();
}

/// Where the user keeps what the remote keeps for itself.
fn state(world: &World) -> PathBuf {
    let memories = fs::read_dir(world.path("home/.local/state/countersign/remotes")).unwrap();
    let kept = memories.map(|entry| entry.unwrap().path().join("policy-sha1.git"));
    let kept: Vec<PathBuf> = kept.filter(|path| path.exists()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    kept[0].clone()
}

#[test]
fn a_fetch_that_brings_nothing_reads_no_ledger() {
    let (world, _) = kept(RULES);
    // One that nobody may have, and one that nobody has fetched.
    upload(&author(&world), &["main:refs/pull/1/head", "main:topic"]);
    enter(&world);
    world.run("git", &["clone", "-q", "--single-branch", &super::address(&world), "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    let kept = state(&world);
    fs::remove_dir_all(&kept).unwrap();
    fetch(&ours, &[]).check();
    assert!(!kept.exists());
    // Anything that is new is held against it, also where it is only the policy.
    let policy = fs::read_to_string(world.path("policy.toml")).unwrap();
    world.write(
        "policy.toml",
        format!("{policy}\n[[rule]]\nname = \"pulls\"\nrefs = [\"refs/pull/**\"]\ncommits = [\"alice\"]\n"),
    );
    fetch(&ours, &[]).check();
    assert!(kept.exists());
    fs::remove_dir_all(&kept).unwrap();
    set(&world, "refs/pull/1/head", &author(&world).id("HEAD~"));
    fetch(&ours, &[]).stderr_holds(&["'refs/pull/1/head' is held"]).check();
    assert!(kept.exists());
}

#[test]
fn of_a_ledger_that_goes_on_only_the_rest_is_downloaded() {
    let (world, _) = kept(RULES);
    let author = author(&world);
    for number in 0..30 {
        upload(&author, &[&format!("main:topic{number}")]);
        enter(&world);
    }
    let log = world.path("sent");
    let hook = world.path("count");
    let text =
        format!("#!/bin/sh\n\"$@\" >'{0}.pack'\nwc -c <'{0}.pack' >>'{0}'\ncat '{0}.pack'\n", log.display());
    fs::write(&hook, text).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(&format!("[uploadpack]\n packObjectsHook = {}", hook.display()));
    let list = || {
        let _ = fs::remove_file(&log);
        world.run("git", &["ls-remote", "-q", &super::address(&world)]).any_stdout().check();
        // Listing alone downloads nothing but the ledger.
        let sent = fs::read_to_string(&log).unwrap();
        let sent: Vec<usize> = sent.lines().map(|line| line.trim().parse().unwrap()).collect();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent[0]
    };
    let all = list();
    upload(&author, &["main:one-more"]);
    enter(&world);
    let rest = list();
    assert!(rest * 5 < all, "{rest} of {all} bytes");
    let kept = state(&world);
    assert_eq!(Repository::at(&world, &kept).id("refs/heads/ledger"), served(&world).id(LEDGER));
}

#[test]
fn a_remote_that_is_looked_at_is_remembered_with_what_the_helper_has_seen() {
    let (world, [_, second]) = kept(RULES);
    let old = served(&world).id(LEDGER);
    world.run("git", &["clone", "-q", "served.git", "plain"]).check();
    let plain = Repository::at(&world, &world.path("plain"));
    let third = author(&world).commit("third");
    upload(&author(&world), &["main"]);
    enter(&world);
    let new = served(&world).id(LEDGER);
    let verify =
        |remote: &str| ["ledger", "verify", "--repository", "plain", "--remote", remote].map(str::to_owned);
    let look = |remote: &str| {
        let arguments = verify(remote);
        world.countersign(&arguments.each_ref().map(String::as_str)).any_stderr().any_stdout()
    };
    look("origin").check();
    // Neither what the remote serves nor its ledger is in the repository at hand.
    assert!(!holds(&plain, &new) && !holds(&plain, &third));
    plain
        .countersign(&["ledger", "log", "--remote", "origin", "-n", "1"])
        .stdout_holds(&["refs/heads/main"])
        .check();
    set(&world, "refs/heads/main", &second);
    set(&world, LEDGER, &old);
    // Under whichever name.
    let path = world.path("served.git").display().to_string();
    let short = path.trim_end_matches(".git").to_owned();
    for remote in ["origin", &path, &format!("file://{path}"), &format!("verified::{path}"), "../served.git"]
    {
        look(remote).status(1).stdout_holds(&["which was seen earlier"]).check();
    }
    let goes_back = "the ledger of the remote goes back";
    let helped = ["clone", "-q", &format!("verified::{short}"), "ours"];
    world.run("git", &helped).status(128).stderr_holds(&[goes_back]).check();
}
