//! What moves refs without a push, judged by the one hook for every repository wherever git runs it.

use crate::{Repository, World, commits, content, script, support::newer_git, world};

/// Run git with the hooks of `folder`, from the world's folder.
fn git<'w>(world: &'w World, folder: &str, arguments: &[&str]) -> crate::support::Run<'w> {
    let hooks = format!("core.hooksPath={folder}");
    let run = world.run("git", &[&["-c", hooks.as_str()], arguments].concat());
    run.directory(&world.path("")).any_status().any_stdout().any_stderr()
}

/// A world with one guarding hook for every repository; the folder of the hooks.
fn guarded(world: &World) -> String {
    let folder = world.path("hooks for all").to_str().unwrap().to_owned();
    let install = ["hook", "install", "--hooks-path", &folder, "--policy", "policy.toml", "--state", "state"];
    let run = world.countersign(&[&install[..], &["--guard"]].concat()).directory(&world.path(""));
    run.stdout_holds(&["what moves refs without a push: judged like a push"]).check();
    folder
}

/// Each way to name a repository, from wherever it is named.
fn wherever_it_is_named(world: &World, folder: &str) {
    let (work, good, bad) = commits(world);
    let plain = world.bare("plain.git", "sha1");
    let other = world.repository("other", "sha1");
    let worktree = world.path("its worktree");
    for repository in [&plain, &other] {
        repository.git(&["fetch", "-q", work.path.to_str().unwrap(), &bad]).any_stderr().check();
    }
    let with = |directory: &std::path::Path, before: &[&str], reference: &str, commit: &str| {
        let update = [before, &["update-ref", reference, commit]].concat();
        git(world, folder, &update).directory(directory).check()
    };
    #[track_caller]
    fn tried(
        repository: &Repository<'_>,
        update: &dyn Fn(&str, &str) -> crate::support::Outcome,
        commits: [&str; 2],
    ) {
        let [good, bad] = commits;
        let refused = update("refs/heads/bad", bad);
        assert!(refused.status != 0 && refused.words().contains("it is not signed"), "{}", refused.words());
        assert!(!repository.has("refs/heads/bad"));
        let done = update("refs/heads/good", good);
        assert_eq!(done.status, 0, "{}", done.words());
        assert_eq!(repository.id("refs/heads/good"), good);
        repository.git(&["update-ref", "-d", "refs/heads/good"]).check();
    }
    let commits = [good.as_str(), bad.as_str()];
    let here = world.path("");
    tried(&plain, &|name, commit| with(&plain.path, &[], name, commit), commits);
    tried(&plain, &|name, commit| with(&here, &["--git-dir", "plain.git"], name, commit), commits);
    tried(&plain, &|name, commit| with(&here, &["-C", "plain.git/refs"], name, commit), commits);
    tried(&other, &|name, commit| with(&other.path, &[], name, commit), commits);
    std::fs::create_dir(other.path.join("below")).unwrap();
    tried(&other, &|name, commit| with(&other.path.join("below"), &[], name, commit), commits);
    other.git(&["worktree", "add", "-q", "--detach", worktree.to_str().unwrap(), &good]).any_stderr().check();
    tried(&other, &|name, commit| with(&worktree, &[], name, commit), commits);
    // A repository that is made has no ref yet, and one that comes with refs answers for them.
    let made = git(world, folder, &["init", "-q", "--bare", "made.git"]).check();
    assert_eq!(made.status, 0, "{}", made.words());
    let cloned = git(world, folder, &["clone", "-q", "--bare", "--no-tags", "work", "cloned.git"]).check();
    let cloned_at = world.path("cloned.git");
    let has = |reference: &str| Repository::at(world, &cloned_at).has(reference);
    assert!(cloned.status != 0 || !has("refs/heads/main"), "{}", cloned.words());
}

#[test]
fn one_hook_for_all_guards_each_of_them_wherever_git_is_run() {
    let world = world();
    let folder = guarded(&world);
    wherever_it_is_named(&world, &folder);
}

#[test]
fn a_newer_git_tells_the_hook_otherwise_and_it_guards_as_well() {
    let test = "a_newer_git_tells_the_hook_otherwise_and_it_guards_as_well";
    let Some(path) = newer_git(test, (2, 54)) else { return };
    let world = world();
    world.set("PATH", &path);
    let folder = guarded(&world);
    wherever_it_is_named(&world, &folder);
}

#[test]
fn what_is_pushed_is_judged_once_and_entered_and_what_is_moved_otherwise_too() {
    let world = world();
    let folder = guarded(&world);
    let (work, good, bad) = commits(&world);
    let server = world.bare("server.git", "sha1");
    let path = server.path.to_str().unwrap();
    server.git(&["config", "core.hooksPath", &folder]).check();
    let push = |commit: &str, reference: &str| {
        let run = work.git(&["push", "-q", path, &format!("{commit}:{reference}")]);
        run.any_status().any_stdout().any_stderr().check()
    };
    assert_eq!(push(&good, "refs/heads/main").status, 0);
    assert_ne!(push(&bad, "refs/heads/main").status, 0);
    server.git(&["branch", "other", &good]).check();
    let refused = server.git(&["fetch", "-q", "../work", &format!("{bad}:refs/heads/bad")]).any_status();
    let refused = refused.any_stdout().any_stderr().check();
    assert!(refused.status != 0 && refused.words().contains("it is not signed"), "{}", refused.words());
    let verify = ["ledger", "verify", "--repository", path];
    world.countersign(&verify).any_stdout().any_stderr().check();
    let status = world.countersign(&["hook", "status", "--repository", path]).any_status().any_stdout();
    let text = status.check().text();
    assert!(text.contains("what moves refs without a push: judged like a push"), "{text}");
    assert!(!text.contains("does not do its work"), "{text}");
    // What was killed while it wrote is taken away with a push some day.
    let state = world.path(&format!("state{}", server.path.canonicalize().unwrap().display()));
    let left = state.join(".tmpAbc012");
    std::fs::write(&left, "").unwrap();
    world.run("chmod", &["600", left.to_str().unwrap()]).check();
    world
        .run("touch", &["-d", "2 days ago", left.to_str().unwrap(), state.join("swept").to_str().unwrap()])
        .check();
    assert_eq!(push(&good, "refs/heads/third").status, 0);
    assert!(!left.exists() && state.join("swept").exists());
    // Where the gate is gone nothing moves, and where the hooks are nobody asks.
    std::fs::remove_file(world.path("hooks for all/pre-receive")).unwrap();
    let refused = server.git(&["branch", "fourth", &good]).any_status().any_stderr().check();
    assert!(refused.status != 0 && !server.has("refs/heads/fourth"), "{}", refused.words());
    world.countersign(&["hook", "uninstall", "--hooks-path", &folder]).any_stdout().check();
    assert_eq!(content(&world.path("hooks for all")), []);
    server.git(&["branch", "fifth", &bad]).check();
}

#[test]
fn a_guard_whose_shell_is_told_to_end_or_whose_file_is_gone_lets_nothing_pass() {
    let world = world();
    let folder = guarded(&world);
    let (work, good, _) = commits(&world);
    let server = world.bare("server.git", "sha1");
    server.git(&["fetch", "-q", work.path.to_str().unwrap(), &good]).any_stderr().check();
    let branch = || git(&world, &folder, &["-C", "server.git", "branch", "one", &good]).check();
    // In the place of the program, as the guard asks it; the answer is that there is something to judge.
    let shim = world.path("hooks for all/reference-transaction");
    let text = std::fs::read_to_string(&shim).unwrap();
    let tmp = world.path("tmp");
    for does in [
        format!("rm -f '{}'/countersign.*; exit 1", tmp.display()),
        "kill -TERM $PPID; sleep 0.1; exit 1".to_owned(),
        "kill -HUP $PPID; sleep 0.1; exit 0".to_owned(),
        "exit 3".to_owned(),
        "kill -KILL $$".to_owned(),
    ] {
        let program = script(&world, "in its place", &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{does}\n"));
        let line = text.lines().find(|line| line.starts_with("program=")).unwrap();
        std::fs::write(&shim, text.replace(line, &format!("program='{program}'"))).unwrap();
        let refused = branch();
        assert!(refused.status != 0 && !server.has("refs/heads/one"), "{does}: {}", refused.words());
        assert_eq!(content(&tmp), [], "{does}");
    }
    std::fs::write(&shim, text).unwrap();
    let done = branch();
    assert_eq!(done.status, 0, "{}", done.words());
}
