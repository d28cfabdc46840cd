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
