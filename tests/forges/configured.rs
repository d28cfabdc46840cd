//! Hooks that git runs by its configuration: with git 2.54 or later they stand before a push like any others, and
//! an older git is refused. `COUNTERSIGN_TEST_NEW_GIT` names the folder of a newer git than the one that is found.

use std::{fs, path::Path};

use countersign::repository::GitVersion;

use crate::{
    Repository, World, commits, content, script,
    support::{ALICE, Outcome, newer_git},
    world,
};

/// A world in which git is new enough, if there is such a git.
fn new_world(test: &str) -> Option<World> {
    let path = newer_git(test, (2, 54))?;
    let world = world();
    world.set("PATH", &path);
    Some(world)
}

fn push(work: &Repository<'_>, options: &[&str], path: &str, refs: &str) -> Outcome {
    let arguments = [options, &["push", "-q", path, refs]].concat();
    work.git(&arguments).any_status().any_stdout().any_stderr().check()
}

fn main(commit: &str) -> String {
    format!("{commit}:refs/heads/main")
}

/// What nobody signed is refused by the gate, which is git's own child.
#[track_caller]
fn refused(outcome: &Outcome) {
    assert_ne!(outcome.status, 0);
    let words = outcome.words();
    assert!(words.contains("it is not signed, where 'alice' has to sign"), "{words}");
}

#[track_caller]
fn accepted(outcome: &Outcome) {
    assert_eq!(outcome.status, 0, "{}", outcome.words());
}

/// What `hook status` says; about this machine's own folders nothing is asked.
fn status(world: &World, path: &str) -> String {
    let run = world.countersign(&["hook", "status", "--repository", path]).any_status().any_stdout();
    run.check().text()
}

#[test]
fn an_older_git_is_refused_and_nothing_is_installed() {
    let world = world();
    let git = "#!/bin/sh\n[ \"$1\" = version ] && { echo 'git version 2.53.1'; exit; }\nPATH=${PATH#*:}\nexec git \"$@\"\n";
    fs::create_dir(world.path("old")).unwrap();
    script(&world, "old/git", git);
    let server = world.bare("server", "sha1");
    let path = server.path.to_str().unwrap();
    let before = (content(&server.path), content(&server.path.join("hooks")));
    world.set("PATH", &format!("{}:{}", world.path("old").display(), std::env::var("PATH").unwrap()));
    let folder = world.path("hooks").display().to_string();
    let file = world.write("gitconfig", "[a]\n\tb = c").display().to_string();
    for place in [
        &["--repository", path, "--config-hooks"][..],
        &["--hooks-path", &folder, "--state", "state", "--config-file", &file],
    ] {
        let arguments = [&["hook", "install", "--policy", "policy.toml"], place].concat();
        let run = world.countersign(&arguments).directory(&world.path("")).status(3);
        run.stderr(
            "error: git 2.53.1 runs no hooks by its configuration; git 2.54 and later do\n\
             hint: install git 2.54 or later, or leave that option out: every git runs a hook of its hooks folder\n",
        )
        .check();
    }
    assert_eq!((content(&server.path), content(&server.path.join("hooks"))), before);
    assert!(!Path::new(&folder).exists());
    assert_eq!(fs::read_to_string(&file).unwrap(), "[a]\n\tb = c");

    // Lines that stand there already are not taken for a gate.
    let lines = format!("[hook \"countersign\"]\n\tcommand = {folder}/pre-receive\n\tevent = pre-receive\n");
    let config = fs::read_to_string(server.path.join("config")).unwrap();
    fs::write(server.path.join("config"), config + &lines).unwrap();
    assert!(status(&world, path).contains("warning: pushes are not judged: no hook is installed"));
    let install = ["hook", "install", "--hooks-path", &folder, "--policy", "policy.toml", "--state", "state"];
    world.countersign(&install).directory(&world.path("")).any_stdout().check();
    let text = status(&world, path);
    assert!(text.contains("pushes are not judged: git 2.53.1 runs no hooks by its configuration"), "{text}");
}

#[test]
fn a_forge_that_looks_elsewhere_for_hooks_is_refused() {
    let Some(world) = new_world("a_forge_that_looks_elsewhere_for_hooks_is_refused") else { return };
    let server = world.bare("server", "sha1");
    let path = server.path.to_str().unwrap();
    for forge in ["gitlab=git.example.com", "gitea=git.example.com", "forgejo=git.example.com"] {
        let install = [
            "hook",
            "install",
            "--repository",
            path,
            "--policy",
            "policy.toml",
            "--config-hooks",
            "--forge",
            forge,
        ];
        let run = world.countersign(&install).directory(&world.path("")).status(3);
        run.stderr_holds(&["'git.example.com' looks for hooks in a folder of its own"]).check();
    }
    assert!(!server.path.join("hooks/countersign").exists());
}

#[test]
fn git_runs_the_gate_by_the_repositorys_configuration() {
    let Some(world) = new_world("git_runs_the_gate_by_the_repositorys_configuration") else { return };
    // A path that a shell would take apart.
    let server = world.bare("it's $(a) server", "sha1");
    let path = server.path.to_str().unwrap();
    script(&world, "it's $(a) server/hooks/pre-receive", "#!/bin/sh\necho \"theirs: $(cat | wc -l)\" >&2\n");
    let config = || fs::read_to_string(server.path.join("config")).unwrap();
    let (before, hooks) = (config(), content(&server.path.join("hooks")));
    let install = ["hook", "install", "--repository", path, "--policy", "policy.toml", "--config-hooks"];
    let all = [&install[..], &["--hooks", "update,post-receive,reference-transaction"]].concat();
    let run = world.countersign(&all).directory(&world.path(""));
    run.stdout_holds(&["hooks/countersign/pre-receive'", "git runs it by what '", "/config' says"]).check();
    let installed = config();
    world.countersign(&all).directory(&world.path("")).any_stdout().check();
    assert_eq!(config(), installed, "again");
    let listed = server.git(&["hook", "list", "pre-receive"]).any_stdout().check().text();
    assert_eq!(listed, "countersign\nhook from hookdir\n");
    let text = status(&world, path);
    assert!(text.contains("hooks/countersign/pre-receive\nrun by: "), "{text}");
    assert!(!text.contains("not judged") && !text.contains("does not do its work"), "{text}");

    let (work, good, bad) = commits(&world);
    let bad_push = push(&work, &[], path, &main(&bad));
    refused(&bad_push);
    assert!(bad_push.words().contains("theirs: 1"), "theirs runs too: {}", bad_push.words());
    let good_push = push(&work, &[], path, &main(&good));
    accepted(&good_push);
    assert!(good_push.words().contains("theirs: 1"));
    // Entered by reference-transaction, which knows the push by the process that git's own child has as parent.
    let ledger = world.countersign(&["ledger", "log", "--repository", path]).any_stdout().check().text();
    assert_eq!(ledger.matches("refs/heads/main").count(), 1, "{ledger}");
    assert_eq!(content(&server.path.join("countersign/intents")), []);
    world.countersign(&["ledger", "verify", "--repository", path]).any_stdout().check();

    // Nothing that the pusher configures reaches it.
    for option in
        ["hook.countersign.enabled=false", "hook.pre-receive.enabled=false", "hook.countersign.command=true"]
    {
        refused(&push(&work, &["-c", option], path, &main(&bad)));
        let arguments = ["push", "-q", path, &main(&bad)];
        let run = work.git(&arguments).env("GIT_CONFIG_COUNT", "1");
        let (key, value) = option.split_once('=').unwrap();
        let run = run.env("GIT_CONFIG_KEY_0", key).env("GIT_CONFIG_VALUE_0", value);
        refused(&run.any_status().any_stdout().any_stderr().check());
    }
    // Nor does a folder of hooks elsewhere.
    server.git(&["config", "core.hooksPath", "/nowhere"]).check();
    refused(&push(&work, &[], path, &main(&bad)));
    assert!(!status(&world, path).contains("not judged"));
    server.git(&["config", "--unset", "core.hooksPath"]).check();

    // Installed the other way it is there once, and back again.
    let plain = ["hook", "install", "--repository", path, "--policy", "policy.toml"];
    world.countersign(&plain).directory(&world.path("")).any_stdout().check();
    assert!(!config().contains("[hook"), "{}", config());
    assert!(!server.path.join("hooks/countersign").exists());
    refused(&push(&work, &[], path, &main(&bad)));
    world.countersign(&all).directory(&world.path("")).any_stdout().check();
    assert_eq!(content(&server.path.join("hooks")).len(), hooks.len() + 1);
    refused(&push(&work, &[], path, &main(&bad)));

    world
        .countersign(&["hook", "uninstall", "--repository", path])
        .stdout_holds(&["removed the hooks"])
        .check();
    assert_eq!(config(), before);
    assert_eq!(content(&server.path.join("hooks")), hooks);
    accepted(&push(&work, &[], path, &main(&bad)));
}

#[test]
fn status_says_what_switches_the_gate_off_and_who_could() {
    let Some(world) = new_world("status_says_what_switches_the_gate_off_and_who_could") else { return };
    let server = world.bare("server", "sha1");
    let path = server.path.to_str().unwrap();
    let install = ["hook", "install", "--repository", path, "--policy", "policy.toml", "--config-hooks"];
    world.countersign(&install).directory(&world.path("")).any_stdout().check();
    let (work, _, bad) = commits(&world);
    let global = fs::read_to_string(world.path("home/.gitconfig")).unwrap();
    let config = fs::read_to_string(server.path.join("config")).unwrap();
    let worktree = format!("{path}/config.worktree");
    let open = |what: &str, lines: &str, expected: &str| {
        fs::write(server.path.join("config"), format!("{config}{lines}")).unwrap();
        let text = status(&world, path);
        assert!(text.contains(&format!("warning: pushes are not judged: {expected}")), "{what}: {text}");
        // As it says.
        accepted(&push(&work, &[], path, &format!("{bad}:refs/heads/{what}")));
        fs::write(server.path.join("config"), &config).unwrap();
        refused(&push(&work, &[], path, &main(&bad)));
    };
    let place = format!("in '{path}/config'");
    open(
        "off",
        "[hook \"countersign\"]\n\tenabled = off\n",
        &format!("'hook.countersign.enabled' is 'off' {place}"),
    );
    open(
        "other",
        "[hook \"countersign\"]\n\tcommand = true\n",
        &format!("'hook.countersign.command' is 'true' {place}"),
    );
    open(
        "reset",
        "[hook \"countersign\"]\n\tevent =\n",
        "no 'hook.countersign.event' is 'pre-receive' in the end",
    );
    if GitVersion::parse(&server.git(&["version"]).any_stdout().check().text()).is_at_least((2, 55)) {
        open("event", "[hook \"pre-receive\"]\n\tenabled = false\n", "'hook.pre-receive.enabled' is 'false'");
    }
    // The work tree's file has the last word of all files.
    fs::write(&worktree, "[hook \"countersign\"]\n\tenabled = 0\n").unwrap();
    open(
        "worktree",
        "[extensions]\n\tworktreeConfig = true\n",
        &format!("'hook.countersign.enabled' is '0' in '{worktree}'"),
    );
    fs::remove_file(&worktree).unwrap();
    // The user's own file is read before the repository's, which does not say that it is on.
    world.configure("[hook \"countersign\"]\n enabled = no");
    let text = status(&world, path);
    assert!(
        text.contains("'hook.countersign.enabled' is 'no' in '") && text.contains("/home/.gitconfig'"),
        "{text}"
    );
    fs::write(world.path("home/.gitconfig"), &global).unwrap();

    // What git fails on is no open door.
    fs::write(server.path.join("config"), format!("{config}[hook \"theirs\"]\n\tevent = pre-receive\n"))
        .unwrap();
    let text = status(&world, path);
    assert!(text.contains("warning: every push is refused: git cannot tell which hooks it runs: "), "{text}");
    assert_ne!(push(&work, &[], path, &main(&bad)).status, 0);
    fs::write(server.path.join("config"), &config).unwrap();

    // A hook beside it that is switched off.
    let lines = "[hook \"countersign-reference-transaction\"]\n\tenabled = false\n";
    fs::write(server.path.join("config"), format!("{config}{lines}")).unwrap();
    let text = status(&world, path);
    let expected = "the hook 'reference-transaction' does not do its work: 'hook.countersign-reference-transaction.enabled' is 'false'";
    assert!(text.contains(expected), "{text}");
    fs::write(server.path.join("config"), &config).unwrap();

    // Whoever can write a file that git reads decides.
    let file = world.path("home/.gitconfig");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let text = status(&world, path);
    assert!(
        text.contains(&format!("'{}' can be changed by others than its owner", file.display())),
        "{text}"
    );
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    // A shim that is gone has every push refused, and is no gate that is passed over.
    fs::remove_file(server.path.join("hooks/countersign/pre-receive")).unwrap();
    assert_ne!(push(&work, &[], path, &main(&bad)).status, 0);
    assert!(status(&world, path).contains("warning: pushes are not judged: no hook is installed"));

    // Lines without their end are nobody's to take out but the administrator's.
    let edited = config.replace("# countersign: end of the hooks\n", "");
    fs::write(server.path.join("config"), &edited).unwrap();
    for command in [&install[..], &["hook", "uninstall", "--repository", path]] {
        let run = world.countersign(command).directory(&world.path("")).status(3).any_stdout();
        run.stderr_holds(&["were edited", "by hand"]).check();
    }
    assert_eq!(fs::read_to_string(server.path.join("config")).unwrap(), edited);
}

#[test]
fn one_configured_hook_stands_before_every_repository_of_a_server() {
    let Some(world) = new_world("one_configured_hook_stands_before_every_repository_of_a_server") else {
        return;
    };
    let folder = world.path("hooks").display().to_string();
    let file = world.path("home/.gitconfig").display().to_string();
    let before = fs::read_to_string(&file).unwrap();
    let install = [
        "hook",
        "install",
        "--hooks-path",
        &folder,
        "--policy",
        "policy.toml",
        "--state",
        "state",
        "--config-file",
        &file,
    ];
    for _ in 0..2 {
        let run = world.countersign(&install).directory(&world.path(""));
        run.stdout_holds(&["/hooks/pre-receive'", "git runs it by what '[DIR]/home/.gitconfig' says"])
            .check();
    }
    let (work, good, bad) = commits(&world);
    for name in ["one", "two"] {
        let server = world.bare(name, "sha1");
        let path = server.path.to_str().unwrap();
        let text = status(&world, path);
        assert!(text.contains(&format!("hook: {folder}/pre-receive\nrun by: {file}\n")), "{text}");
        assert!(!text.contains("not judged"), "{text}");
        refused(&push(&work, &[], path, &main(&bad)));
        accepted(&push(&work, &[], path, &main(&good)));
        let state = world.path(&format!("state{}", server.path.canonicalize().unwrap().display()));
        assert!(state.is_dir(), "its own state");
        // Two gates judge everything twice.
        let plain = ["hook", "install", "--repository", path, "--policy", "policy.toml"];
        world
            .countersign(&plain)
            .directory(&world.path(""))
            .stdout_holds(&["pushes are judged twice"])
            .check();
        let own = ["hook", "install", "--repository", path, "--policy", "policy.toml", "--config-hooks"];
        world.countersign(&own).directory(&world.path("")).any_stdout().check();
        let text = status(&world, path);
        assert!(text.contains("hooks/countersign/pre-receive") && !text.contains("twice"), "{text}");
        refused(&push(&work, &[], path, &main(&bad)));
        world.countersign(&["hook", "uninstall", "--repository", path]).any_stdout().check();
        refused(&push(&work, &[], path, &main(&bad)));
    }
    // What git still runs is not taken away: then no push at all would come in.
    let run = world.countersign(&["hook", "uninstall", "--hooks-path", &folder]).status(3);
    run.stderr_holds(&["git still runs '", "/home/.gitconfig'", "name that file with '--config-file'"])
        .check();
    let uninstall = ["hook", "uninstall", "--hooks-path", &folder, "--config-file", &file];
    world.countersign(&uninstall).any_stdout().check();
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert_eq!(content(Path::new(&folder)), []);
    assert!(before.contains(ALICE));
}
