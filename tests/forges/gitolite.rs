//! gitolite owns the update hook and leaves pre-receive alone.

use crate::{PROGRAM, commits, content, script, skipped, world};

#[test]
fn gitolite_asks_the_gate_and_keeps_its_own_hooks() {
    const TEST: &str = "gitolite_asks_the_gate_and_keeps_its_own_hooks";
    if ["gitolite", "ssh-keygen"].into_iter().any(|tool| skipped(TEST, tool)) {
        return;
    }
    let world = world();
    let home = world.path("gitolite");
    std::fs::create_dir(&home).unwrap();
    let home = home.to_str().unwrap();
    world
        .run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "alice"])
        .directory(&world.path(""))
        .check();
    let gitolite = |arguments: &[&str]| {
        let run = world.run("gitolite", arguments).directory(&world.path("")).env("HOME", home);
        run.any_stdout().any_stderr().check()
    };
    gitolite(&["setup", "-pk", "alice.pub"]);
    let server = format!("{home}/repositories/testing.git");
    let hooks = format!("{server}/hooks");
    let before = content(hooks.as_ref());
    let install = [
        "hook",
        "install",
        "--repository",
        &server,
        "--policy",
        "policy.toml",
        "--forge",
        "gitolite=git.example.com",
    ];
    world.countersign(&install).directory(&world.path("")).any_stdout().check();

    // What sshd would run for alice's key.
    let shell = script(
        &world,
        "ssh",
        "#!/bin/sh\nshift\nexport HOME=\"$GITOLITE_HOME\" SSH_ORIGINAL_COMMAND=\"$*\" SSH_CONNECTION='127.0.0.1 1 127.0.0.1 22'\n\
         exec /usr/share/gitolite3/gitolite-shell alice\n",
    );
    let (work, good, bad) = commits(&world);
    let push = |commit: &str| {
        let refs = format!("{commit}:refs/heads/main");
        let run = work.git(&["push", "-q", "git@git.example.com:testing", &refs]);
        let run =
            run.env("GIT_SSH_COMMAND", &shell).env("GIT_SSH_VARIANT", "simple").env("GITOLITE_HOME", home);
        run.any_status().any_stdout().any_stderr().check()
    };
    let refused = push(&bad);
    assert_ne!(refused.status, 0);
    assert!(refused.words().contains("it is not signed, where 'alice' has to sign"), "{}", refused.words());
    let accepted = push(&good);
    assert_eq!(accepted.status, 0, "{}", accepted.words());
    // It sets its repositories up anew at every change of its own.
    gitolite(&["setup"]);
    assert_ne!(push(&bad).status, 0);
    let status = world.countersign(&["hook", "status", "--repository", &server]).any_status().any_stdout();
    assert!(status.check().text().contains(PROGRAM));
    world.countersign(&["hook", "uninstall", "--repository", &server]).any_stdout().check();
    assert_eq!(content(hooks.as_ref()), before);
    assert_eq!(push(&bad).status, 0, "nobody asks any more");
}

#[test]
fn a_hook_that_gitolite_links_is_installed_where_it_takes_it_from() {
    const TEST: &str = "a_hook_that_gitolite_links_is_installed_where_it_takes_it_from";
    if ["gitolite", "ssh-keygen"].into_iter().any(|tool| skipped(TEST, tool)) {
        return;
    }
    let world = world();
    let home = world.path("gitolite");
    std::fs::create_dir(&home).unwrap();
    let home = home.to_str().unwrap();
    world.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "alice"]).check();
    let gitolite = |arguments: &[&str]| {
        let run = world.run("gitolite", arguments).env("HOME", home);
        run.any_stdout().any_stderr().check()
    };
    gitolite(&["setup", "-pk", "alice.pub"]);
    // The site's own code, with a hook for every repository.
    let settings = world.path("gitolite/.gitolite.rc");
    let text = std::fs::read_to_string(&settings).unwrap();
    assert!(text.contains("%RC = ("));
    let local = "%RC = (\n    LOCAL_CODE => \"$ENV{HOME}/local\",";
    std::fs::write(&settings, text.replacen("%RC = (", local, 1)).unwrap();
    let common = world.path("gitolite/local/hooks/common");
    std::fs::create_dir_all(&common).unwrap();
    script(&world, "gitolite/local/hooks/common/pre-receive", "#!/bin/sh\necho theirs >&2\n");
    gitolite(&["setup"]);
    let server = format!("{home}/repositories/testing.git");
    let hook = std::path::Path::new(&server).join("hooks/pre-receive");
    assert!(hook.is_symlink());

    // 'gitolite setup' would put its link in the place of one of ours.
    let forge = ["--policy", "policy.toml", "--forge", "gitolite=git.example.com"];
    let install = [&["hook", "install", "--repository", &server][..], &forge].concat();
    let words = ["is gitolite's link to '", "--hooks-path", "gitolite setup"];
    world.countersign(&install).status(3).stderr_holds(&words).check();
    let common = common.to_str().unwrap();
    let place = ["--hooks-path", common, "--state", "state"];
    let install = [&["hook", "install"][..], &place, &forge].concat();
    world.countersign(&install).any_stdout().check();
    gitolite(&["setup"]);

    let shell = script(
        &world,
        "ssh",
        "#!/bin/sh\nshift\nexport HOME=\"$GITOLITE_HOME\" SSH_ORIGINAL_COMMAND=\"$*\" SSH_CONNECTION='127.0.0.1 1 127.0.0.1 22'\n\
         exec /usr/share/gitolite3/gitolite-shell alice\n",
    );
    let (work, good, bad) = commits(&world);
    let push = |commit: &str| {
        let run =
            work.git(&["push", "-q", "git@git.example.com:testing", &format!("{commit}:refs/heads/main")]);
        let run =
            run.env("GIT_SSH_COMMAND", &shell).env("GIT_SSH_VARIANT", "simple").env("GITOLITE_HOME", home);
        run.any_status().any_stdout().any_stderr().check()
    };
    let refused = push(&bad);
    assert!(refused.status != 0 && refused.words().contains("it is not signed"), "{}", refused.words());
    let accepted = push(&good);
    assert!(accepted.status == 0 && accepted.words().contains("theirs"), "{}", accepted.words());
    gitolite(&["setup"]);
    assert_ne!(push(&bad).status, 0);
    let status = world.countersign(&["hook", "status", "--repository", &server]).any_status().any_stdout();
    let text = status.check().text();
    assert!(text.contains("hooks/pre-receive\n") && !text.contains("not judged:"), "{text}");
    let verify = ["ledger", "verify", "--repository", &server];
    world.countersign(&verify).any_stdout().any_stderr().check();
}
