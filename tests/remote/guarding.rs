//! The weaker guard: a hook of the clone that judges what moves, and what it cannot keep out.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{
    RULES, author, fetch, fetch_head, holds, stage,
    support::{Repository, World},
    unsigned, upload,
};

/// A plain clone with the hook.
fn guarded<'w>(world: &'w World, name: &str) -> Repository<'w> {
    world.run("git", &["clone", "-q", "served.git", name]).check();
    let ours = Repository::at(world, &world.path(name));
    let hook = format!("[DIR]/{name}/.git/hooks/reference-transaction: judges what moves\n");
    ours.countersign(&["protect", "--hooks"]).stdout_holds(&[&hook, "note: a weaker guard"]).check();
    ours
}

#[test]
fn a_fetch_moves_no_ref_to_what_the_policy_refuses_and_leaves_the_rest_behind() {
    let world = stage(RULES);
    let (author, ours) = (author(&world), guarded(&world, "ours"));
    let good = author.commit("good");
    author.git(&["tag", "-m", "one", "v1"]).check();
    upload(&author, &["main", "v1"]);
    fetch(&ours, &[]).check();
    assert_eq!((ours.id("origin/main"), ours.has("v1")), (good.clone(), true));
    let evil = unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    let run = fetch(&ours, &[]).any_status().any_stderr().check();
    assert_ne!(run.status, 0);
    assert!(
        run.words().contains("it is not signed, where 'alice' has to sign (rule 'main')"),
        "{}",
        run.words()
    );
    assert_eq!(ours.id("origin/main"), good);
    // What no hook can keep out: the objects are stored and FETCH_HEAD is written before it is asked.
    assert!(holds(&ours, &evil));
    assert!(fetch_head(&ours).contains(&evil));

    // Another history, a tag that moves, and one that nobody signed.
    upload(&author, &[&format!("{good}~:main")]);
    fetch(&ours, &[]).any_status().stderr_holds(&["does not descend from the current one"]).check();
    upload(&author, &[&format!("{good}:main")]);
    author.git(&["tag", "-f", "-m", "again", "v1", &good]).any_stdout().check();
    author.git(&["tag", "--no-sign", "-m", "x", "v2", &good]).check();
    upload(&author, &["v1", "v2"]);
    let run = fetch(&ours, &["--tags", "--force"]).any_status().any_stderr().check();
    assert_ne!(run.status, 0);
    assert!(!ours.has("v2") && ours.id("v1") != author.id("v1"), "{}", run.words());
}

#[test]
fn refs_beside_a_refused_one_are_as_the_git_at_hand_leaves_them() {
    let world = stage(RULES);
    let (author, ours, again) = (author(&world), guarded(&world, "ours"), guarded(&world, "again"));
    let first = ours.id("origin/main");
    upload(&author, &["main:a", "main:z"]);
    unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    let run = fetch(&ours, &[]).any_status().any_stderr().check();
    assert_ne!(run.status, 0);
    assert_eq!(ours.id("origin/main"), first);
    // Whether they moved before git met the refused one depends on its version.
    let moved: Vec<&str> = ["origin/a", "origin/z"].into_iter().filter(|name| ours.has(name)).collect();
    let version = ours.git(&["version"]).any_stdout().check().text();
    println!("{}: beside a refused ref there moved {moved:?}", version.trim_end());
    // With this option it is all or nothing, whatever the version.
    let run = fetch(&again, &["--atomic"]).any_status().any_stderr().check();
    assert_ne!(run.status, 0);
    assert!(!again.has("origin/a") && !again.has("origin/z"), "{}", run.words());
    assert_eq!(again.id("origin/main"), first);
}

#[test]
fn what_was_made_elsewhere_comes_into_no_branch_and_own_work_is_left_alone() {
    let world = stage(RULES);
    let (author, ours) = (author(&world), guarded(&world, "ours"));
    let first = ours.id("HEAD");
    // A pull by address moves no ref that mirrors a remote's.
    let evil = unsigned(&author, "unsigned");
    let run = ours.git(&["pull", "-q", "--ff-only", "../author", "main"]).any_status().any_stderr().check();
    assert_ne!(run.status, 0);
    assert!(run.words().contains("it is not signed"), "{}", run.words());
    assert_eq!(ours.id("refs/heads/main"), first);
    ours.git(&["reset", "-q", "--hard"]).check();
    for arguments in
        [&["merge", "-q", "--no-ff", "-m", "merge", "FETCH_HEAD"][..], &["branch", "other", &evil]]
    {
        let run = ours.git(arguments).any_status().any_stdout().any_stderr().check();
        assert_ne!(run.status, 0, "{arguments:?}");
        assert!(ours.id("refs/heads/main") == first && !ours.has("other"));
        ours.git(&["merge", "--abort"]).any_status().any_stderr().check();
        ours.git(&["reset", "-q", "--hard"]).check();
    }
    // Somebody else's commit is known by its committer once FETCH_HEAD says other things.
    author
        .git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "another"])
        .env("GIT_COMMITTER_EMAIL", "mallory@example.com")
        .check();
    ours.git(&["fetch", "-q", "../author", "main"]).check();
    fetch(&ours, &["origin", "main"]).check();
    let stranger = author.id("HEAD");
    assert!(!fetch_head(&ours).contains(&stranger));
    ours.git(&["branch", "other", &stranger]).any_status().stderr_holds(&["it is not signed"]).check();
    assert!(!ours.has("other"));

    // One's own commits are nobody else's business until they are pushed.
    let mine = unsigned(&ours, "work in progress");
    ours.git(&["commit", "-q", "--amend", "--no-gpg-sign", "--allow-empty", "-m", "better"]).check();
    ours.git(&["branch", "topic"]).check();
    ours.git(&["reset", "-q", "--hard", &first]).check();
    ours.git(&["merge", "-q", "--ff-only", "topic"]).check();
    ours.git(&["branch", "-q", "-D", "topic"]).any_stdout().check();
    assert_ne!(ours.id("HEAD"), mine);
    // What the policy accepts comes in from wherever it was made.
    author.git(&["reset", "-q", "--hard", &first]).check();
    let good = author.commit("good");
    ours.git(&["reset", "-q", "--hard", &first]).check();
    ours.git(&["pull", "-q", "--ff-only", "../author", "main"]).check();
    assert_eq!(ours.id("HEAD"), good);
}

#[test]
fn a_fetch_head_that_cannot_be_read_lets_nothing_in() {
    let world = stage(RULES);
    let (author, ours) = (author(&world), guarded(&world, "ours"));
    // Alice's own, as far as its committer says.
    let evil = unsigned(&author, "unsigned");
    ours.git(&["fetch", "-q", "../author", "main"]).check();
    let path = ours.path.join(".git/FETCH_HEAD");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let run = ours.git(&["branch", "other", &evil]).any_status();
    run.stderr_holds(&["[DIR]/ours/.git/FETCH_HEAD' cannot be read", "hint: see to it"]).check();
    assert!(!ours.has("other"));
}

#[test]
fn a_hook_that_is_there_is_kept_and_put_back() {
    let world = stage(RULES);
    world.run("git", &["clone", "-q", "served.git", "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    let hook = ours.path.join(".git/hooks/reference-transaction");
    let log = world.path("heard");
    let text = format!("#!/bin/sh\necho \"$1\" >>'{}'\ncat >>'{0}'\n[ ! -e '{0}.no' ]\n", log.display());
    fs::write(&hook, &text).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o750)).unwrap();
    for _ in 0..2 {
        ours.countersign(&["protect", "--hooks"]).any_stdout().check();
    }
    let next = ours.commit("next");
    let heard = fs::read_to_string(&log).unwrap();
    assert!(
        heard.contains("prepared\n") && heard.contains("committed\n") && heard.contains(&next),
        "{heard}"
    );
    fs::write(world.path("heard.no"), "").unwrap();
    let run = ours.git(&["branch", "topic"]).any_status().any_stderr().check();
    assert_ne!(run.status, 0);
    fs::remove_file(world.path("heard.no")).unwrap();
    ours.countersign(&["protect", "--hooks", "--undo"]).any_stdout().check();
    assert_eq!(fs::read_to_string(&hook).unwrap(), text);
    assert_eq!(fs::metadata(&hook).unwrap().permissions().mode() & 0o777, 0o750);
    ours.countersign(&["protect", "--hooks", "--undo"]).stdout("nothing to change\n").check();

    ours.git(&["config", "core.hooksPath", "/elsewhere"]).check();
    let run = ours.countersign(&["protect", "--hooks"]).status(3);
    run.stderr_holds(&["'core.hooksPath' is set to '/elsewhere'"]).check();
}

#[test]
fn without_a_policy_no_hook_is_installed_and_one_that_is_there_refuses() {
    let world = stage(RULES);
    let ours = guarded(&world, "ours");
    let home = fs::read_to_string(world.path("home/.gitconfig")).unwrap();
    let lines = home.lines().filter(|line| !line.starts_with(" policy ="));
    world.write("home/.gitconfig", lines.map(|line| format!("{line}\n")).collect::<String>());
    author(&world).commit("good");
    upload(&author(&world), &["main"]);
    let first = ours.id("origin/main");
    fetch(&ours, &[]).any_status().stderr_holds(&["no policy says who may change what here"]).check();
    assert_eq!(ours.id("origin/main"), first);
    ours.commit("one's own");
    ours.countersign(&["protect", "--hooks"]).status(3).stderr_holds(&["no policy"]).check();
}

#[test]
fn what_is_there_already_is_looked_at_once() {
    let world = stage(RULES);
    unsigned(&author(&world), "unsigned");
    upload(&author(&world), &["main"]);
    world.run("git", &["clone", "-q", "served.git", "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    let run = ours.countersign(&["protect", "--hooks"]).any_stdout();
    run.stderr_holds(&["it is not signed", "refuses some of what is here already"]).check();
}
