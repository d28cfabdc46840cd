//! Clones that have not all objects, objects asked for by their ids, and packs that hold more than was
//! asked for.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{
    RULES, address, author, clone, fetch, holds, is_clean, served, stage,
    support::{Repository, World},
    unsigned, upload,
};

/// A signed commit that changes a file; its id.
fn write(author: &Repository<'_>, name: &str, content: &str) -> String {
    fs::create_dir_all(author.path.join(name).parent().unwrap()).unwrap();
    fs::write(author.path.join(name), content).unwrap();
    author.git(&["add", name]).check();
    author.commit(content)
}

fn partial<'w>(world: &'w World, filter: &str) -> Repository<'w> {
    served(world).git(&["config", "uploadpack.allowFilter", "true"]).check();
    let name = filter.replace(':', "-");
    let run = world.run("git", &["clone", "-q", &format!("--filter={filter}"), &address(world), &name]);
    run.check();
    Repository::at(world, &world.path(&name))
}

/// How many objects are missing on purpose behind `revision`.
fn missing(clone: &Repository<'_>, revision: &str) -> usize {
    let listed = clone.git(&["rev-list", "--objects", "--missing=print", revision]).any_stdout().check();
    listed.text().lines().filter(|line| line.starts_with('?')).count()
}

#[test]
fn a_partial_clone_gets_what_is_missing_through_the_helper() {
    for filter in ["blob:none", "tree:0"] {
        let world = stage(RULES);
        let author = author(&world);
        write(&author, "folder/file", "one");
        write(&author, "folder/file", "two");
        upload(&author, &["main"]);
        let ours = partial(&world, filter);
        assert_eq!(fs::read_to_string(ours.path.join("folder/file")).unwrap(), "two", "{filter}");
        assert!(missing(&ours, "HEAD~") > 0, "{filter}");
        assert_eq!(ours.git(&["show", "HEAD~:folder/file"]).any_stdout().check().text(), "one", "{filter}");
        assert_eq!(ours.git(&["config", "remote.origin.promisor"]).any_stdout().check().text(), "true\n");
        ours.git(&["fsck"]).any_stderr().check();

        let third = write(&author, "folder/file", "three");
        upload(&author, &["main"]);
        fetch(&ours, &[]).check();
        assert!(missing(&ours, &third) > 0, "{filter}");
        ours.git(&["merge", "-q", "--ff-only", "origin/main"]).check();
        assert_eq!(fs::read_to_string(ours.path.join("folder/file")).unwrap(), "three");
        fetch(&ours, &["--refetch"]).check();
        assert!(is_clean(&ours));
        let next = write(&ours, "folder/other", "four");
        ours.git(&["push", "-q", "origin", "main"]).check();
        assert_eq!(served(&world).id("main"), next);
    }
}

#[test]
fn what_is_missing_brings_in_no_commit_that_the_policy_refuses() {
    let world = stage(RULES);
    let author = author(&world);
    write(&author, "file", "one");
    upload(&author, &["main"]);
    let ours = partial(&world, "tree:0");
    fs::write(author.path.join("file"), "evil").unwrap();
    author.git(&["add", "file"]).check();
    let evil = unsigned(&author, "unsigned");
    author.git(&["tag", "--no-sign", "-m", "x", "loose"]).check();
    let (tag, blob) = (author.id("loose"), author.id("main:file"));
    upload(&author, &["main", "loose"]);
    fetch(&ours, &[]).status(128).stderr_holds(&["it is not signed"]).check();
    // git asks by itself for what it misses, whatever kind of object it takes it for.
    let show = |id: &str| ours.git(&["cat-file", "-p", id]).any_stdout().any_stderr().any_status().check();
    for id in [&evil, &tag] {
        let words = show(id).words();
        assert!(words.contains("it is not signed") || words.contains("no rule can judge it"), "{words}");
    }
    let offline = ["-c", "remote.origin.url=/nowhere", "cat-file", "-e"];
    for id in [&evil, &tag] {
        let run = ours.git(&[&offline[..], &[id]].concat()).any_status().any_stderr().check();
        assert_ne!(run.status, 0, "{}", run.words());
    }
    // A blob stands for nothing: who knows its id may have it.
    assert_eq!(show(&blob).text(), "evil");
}

#[test]
fn an_object_is_asked_for_by_its_id() {
    let world = stage(RULES);
    let author = author(&world);
    let second = author.commit("second");
    author.commit("third");
    author.git(&["tag", "-m", "one", "v1"]).check();
    upload(&author, &["main", "v1"]);
    world.run("git", &["clone", "-q", "--depth=1", "--no-tags", &address(&world), "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    assert!(!holds(&ours, &second));
    fetch(&ours, &["--depth=1", "origin", &second]).check();
    assert_eq!(ours.id("FETCH_HEAD"), second);
    // The tag is what a ref is, and counts for it.
    fetch(&ours, &["origin", &author.id("v1")]).check();
    assert_eq!(ours.id("FETCH_HEAD"), author.id("v1"));

    let whole = clone(&world, "whole");
    let before = author.id("main");
    let evil = unsigned(&author, "unsigned");
    author.commit("signed on top");
    upload(&author, &["main"]);
    for id in [evil.clone(), author.id("main")] {
        fetch(&whole, &["origin", &id]).status(128).stderr_holds(&[&evil[..12], "it is not signed"]).check();
        assert!(!holds(&whole, &id) && !holds(&whole, &evil) && is_clean(&whole));
    }
    // What somebody has not put under any ref is judged all the same.
    upload(&author, &[&format!("{before}:main")]);
    author.git(&["reset", "-q", "--hard", &before]).check();
    let loose = author.commit("in no ref");
    upload(&author, &["HEAD:refs/elsewhere/x"]);
    fetch(&whole, &["origin", &loose]).check();
    assert_eq!((whole.id("FETCH_HEAD"), whole.id("origin/main")), (loose, before));
}

#[test]
fn an_object_that_is_asked_for_by_its_id_is_judged_by_a_rule_or_not_taken() {
    let world = stage(RULES);
    let author = author(&world);
    let policy = fs::read_to_string(world.path("policy.toml")).unwrap();
    let policy = policy.replace("other_refs = \"refuse\"", "other_refs = \"accept\"");
    world.write("policy.toml", policy.replace("refs/heads/**", "refs/heads/main"));
    let ours = clone(&world, "ours");
    let first = author.id("main");
    let evil = unsigned(&author, "unsigned");
    unsigned(&author, "on top");
    // The remote chooses a branch that no rule governs to have it judged by.
    upload(&author, &["HEAD:refs/heads/lax"]);
    served(&world).git(&["symbolic-ref", "HEAD", "refs/heads/lax"]).check();
    let run = fetch(&ours, &["origin", &evil]).status(128);
    run.stderr_holds(&["would not be accepted in 'refs/heads/main'", "it is not signed"]).check();
    world.countersign(&["remote", "forget", &address(&world)]).any_stdout().check();
    let run = fetch(&ours, &["origin", &evil]).status(128);
    run.stderr_holds(&["'HEAD' of the remote is no branch that a rule governs"]).check();
    // Or has it be the value of a ref that no rule governs, besides one that a rule does.
    upload(&author, &[&format!("{evil}:refs/aaa/x"), &format!("{evil}:refs/heads/main")]);
    fetch(&ours, &["origin", &evil])
        .status(128)
        .stderr_holds(&["refs/heads/main", "it is not signed"])
        .check();
    assert!(!holds(&ours, &evil) && is_clean(&ours));
    assert_eq!(ours.id("origin/main"), first);
}

#[test]
fn tags_that_follow_a_history_that_is_cut_off() {
    let world = stage(RULES);
    let author = author(&world);
    world.run("git", &["clone", "-q", "--depth=1", &address(&world), "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    author.commit("second");
    author.git(&["tag", "-m", "one", "v1"]).check();
    author.commit("third");
    upload(&author, &["main", "v1"]);
    fetch(&ours, &["--depth=2"]).check();
    // git has looked for the tagged commit before a helper brought it, and does so again at the next fetch.
    fetch(&ours, &[]).check();
    assert_eq!((ours.id("origin/main"), ours.id("v1")), (author.id("main"), author.id("v1")));
}

/// Has whatever is served come with `id` besides.
fn smuggle(world: &World, id: &str) {
    let path = world.path("smuggle");
    fs::write(&path, format!("#!/bin/sh\n(echo {id}; cat) | \"$@\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(&format!("[uploadpack]\n packObjectsHook = {}", path.display()));
}

#[test]
fn a_pack_that_holds_more_than_was_asked_for_is_refused() {
    let world = stage(RULES);
    let author = author(&world);
    let ours = clone(&world, "ours");
    let good = author.commit("good");
    upload(&author, &["main"]);
    author.git(&["checkout", "-q", "--detach"]).check();
    let evil = unsigned(&author, "unsigned");
    upload(&author, &["HEAD:refs/elsewhere/x"]);
    for limit in ["1", "1000"] {
        let home = fs::read_to_string(world.path("home/.gitconfig")).unwrap();
        smuggle(&world, &evil);
        let setting = format!("fetch.unpackLimit={limit}");
        let words = format!("the remote has sent '{evil}', to which nothing leads that was asked for");
        ours.git(&["-c", &setting, "fetch", "-q"]).status(128).stderr_holds(&[&words]).check();
        assert!(!holds(&ours, &evil) && !holds(&ours, &good) && is_clean(&ours));
        world.write("home/.gitconfig", home);
    }
    // A tag is found as well, and in what a clone brings.
    author.git(&["tag", "--no-sign", "-m", "x", "loose", "main"]).check();
    upload(&author, &["loose:refs/elsewhere/y"]);
    let tag = author.id("loose");
    let home = fs::read_to_string(world.path("home/.gitconfig")).unwrap();
    smuggle(&world, &tag);
    let run = world.run("git", &["clone", "-q", &address(&world), "again"]).status(128);
    run.stderr_holds(&[&format!("has sent '{tag}'")]).check();
    world.write("home/.gitconfig", home);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), good);
}

#[test]
fn the_remote_does_not_choose_anew_by_which_rule_an_object_is_judged() {
    let world = stage(
        &(RULES.replace("refs/heads/**", "refs/heads/main")
            + "[[rule]]\nname = \"lax\"\nrefs = [\"refs/heads/lax\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n"),
    );
    let author = author(&world);
    upload(&author, &["main:refs/heads/lax"]);
    let ours = clone(&world, "ours");
    let before = author.id("main");
    let evil = unsigned(&author, "unsigned");
    upload(&author, &[&format!("{evil}:refs/elsewhere/x")]);
    served(&world).git(&["symbolic-ref", "HEAD", "refs/heads/lax"]).check();
    fetch(&ours, &["origin", &evil])
        .status(128)
        .stderr_holds(&["it is not signed", "'refs/heads/main'"])
        .check();
    assert!(!holds(&ours, &evil));
    // The branch has another name now, and somebody says so.
    served(&world).git(&["branch", "-q", "-m", "main", "trunk"]).any_stderr().any_status().check();
    served(&world).git(&["update-ref", "-d", "refs/heads/main"]).any_stderr().any_status().check();
    let gone = ["'refs/heads/main', which 'HEAD' of the remote was when it was seen first", "remote forget"];
    let policy = fs::read_to_string(world.path("policy.toml")).unwrap();
    world.write(
        "policy.toml",
        policy.replacen(
            "refs = [\"refs/heads/main\"]\n",
            "refs = [\"refs/heads/main\", \"refs/heads/trunk\"]\ndelete = \"allow\"\n",
            1,
        ),
    );
    fetch(&ours, &["origin", &evil]).status(128).stderr_holds(&gone).check();
    served(&world).git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]).check();
    world.countersign(&["remote", "forget", &address(&world), "HEAD"]).any_stdout().check();
    fetch(&ours, &["origin", &evil]).status(128).stderr_holds(&["'refs/heads/trunk'"]).check();
    author.git(&["reset", "-q", "--hard", &before]).check();
    let good = author.commit("in no ref");
    upload(&author, &["HEAD:refs/elsewhere/x"]);
    fetch(&ours, &["origin", &good]).check();
}
