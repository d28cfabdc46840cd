//! GitHub Enterprise runs a script in an environment of its own, which is made here and entered as far as that
//! can be done without an appliance.

use std::process::Command;

use crate::{PROGRAM, commits, skipped, world};

#[test]
fn the_hook_runs_in_the_environment_that_it_is_given() {
    const TEST: &str = "the_hook_runs_in_the_environment_that_it_is_given";
    if ["unshare", "chroot", "tar", "ldd"].into_iter().any(|tool| skipped(TEST, tool)) {
        return;
    }
    let may_enter = Command::new("unshare").args(["-r", "chroot", "/", "/bin/true"]).status();
    if !may_enter.is_ok_and(|status| status.success()) {
        println!("NOTE: {TEST}: nobody but root may enter another root here");
        return;
    }
    let world = world();
    let folder = world.path("policies");
    std::fs::create_dir_all(folder.join("authority")).unwrap();
    for file in ["policy.toml", "authority/trusted_root.json"] {
        std::fs::copy(world.path(file), folder.join(file)).unwrap();
    }
    let maker = concat!(env!("CARGO_MANIFEST_DIR"), "/installers/github-enterprise.sh");
    let made =
        ["--policy", "policies", "--host", "ghe.example.com", "--program", PROGRAM, "--output", "made"];
    // Made by somebody whose files are nobody else's.
    let command = format!("umask 077; exec '{maker}' \"$@\"");
    let made = [&["-c", &command, "sh"], &made[..]].concat();
    // In a folder whose name is more than a name to others.
    let folder = world.path("tmp/a|b.[c] & $d");
    std::fs::create_dir(&folder).unwrap();
    let run = world.run("sh", &made).directory(&world.path("")).env("TMPDIR", &folder);
    run.any_stdout().any_stderr().check();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);

    let list = world.run("tar", &["-tvzf", "made/environment.tar.gz"]).directory(&world.path(""));
    let list = list.any_stdout().check().text();
    // Whoever runs the hook in there is nobody that the archive names.
    for folder in ["./", "./bin/", "./usr/bin/", "./etc/countersign/"] {
        let line = list.lines().find(|line| line.ends_with(&format!(" {folder}"))).unwrap();
        assert!(line.starts_with("drwxr-xr-x"), "{line}");
    }
    let line = list.lines().find(|line| line.ends_with(" ./etc/countersign/policy.toml")).unwrap();
    assert!(line.starts_with("-rw-r--r--"), "{line}");

    let root = world.path("root");
    std::fs::create_dir(&root).unwrap();
    let unpack = ["-xzf", "made/environment.tar.gz", "-C", "root"];
    world.run("tar", &unpack).directory(&world.path("")).check();
    let script = std::fs::read_to_string(world.path("made/pre-receive.sh")).unwrap();
    assert!(script.contains("policy='/etc/countersign/policy.toml'") && !script.contains("a|b."), "{script}");
    std::fs::copy(world.path("made/pre-receive.sh"), root.join("pre-receive.sh")).unwrap();
    let (_, good, bad) = commits(&world);
    let clone = ["clone", "-q", "--bare", "work", "root/repository.git"];
    world.run("git", &clone).directory(&world.path("")).any_stderr().check();
    let server = ["--git-dir", "root/repository.git", "update-ref", "refs/heads/main", &good];
    world.run("git", &server).directory(&world.path("")).check();
    let hook = |line: String| {
        let enter = "cd /repository.git && exec /pre-receive.sh";
        let run = world.run("unshare", &["-r", "chroot", root.to_str().unwrap(), "/bin/sh", "-c", enter]);
        let run =
            run.env("GIT_DIR", ".").env("PATH", "/usr/sbin:/usr/bin:/bin").env("GITHUB_USER_LOGIN", "alice");
        run.input(line).any_status().any_stdout().any_stderr().check()
    };
    let zero = "0".repeat(40);
    let refused = hook(format!("{good} {bad} refs/heads/main\n"));
    assert_eq!(refused.status, 1, "{}", refused.words());
    assert!(refused.words().contains("it is not signed, where 'alice' has to sign"), "{}", refused.words());
    let accepted = hook(format!("{zero} {good} refs/heads/topic\n"));
    assert_eq!(accepted.status, 0, "{}", accepted.words());
}
