//! A server that several of its users may write: only one of them keeps the ledger, and the others are told so.

use std::os::unix::{
    fs::{MetadataExt as _, PermissionsExt as _},
    process::CommandExt as _,
};

use super::*;

/// A user and group that nobody has.
const STRANGER: u32 = 54_321;

fn may_become_another(test: &str) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if !is_root {
        eprintln!("NOTE: {test}: only the machine's administrator can be another user");
    }
    is_root
}

/// A shared repository where everybody may go, and the program with it.
fn shared() -> (World, PathBuf) {
    let world = World::without_hooks(&["--shared=group"]);
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(world.folder.path());
    let program = world.path("countersign");
    // Where the program itself lies others may not go.
    fs::copy(PROGRAM, &program).unwrap();
    open(&program);
    (world, program)
}

#[test]
fn a_push_that_comes_in_as_another_user_is_refused_with_words() {
    if !may_become_another("ledger::users::push") {
        return;
    }
    let (world, program) = shared();
    let said = world.install(&["--program", program.to_str().unwrap()]).good();
    for words in ["the ledger is kept by 'root' alone", "ssh forced command", "--no-ledger"] {
        assert!(said.stdout.contains(words), "no {words:?} in {said:?}");
    }
    let status = ["hook", "status", "--repository", "server.git"];
    world.countersign(&status).ended(1, &["the ledger is kept by 'root' alone", "ssh forced command"]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();

    let two = world.commit(&[&one], "two");
    run(world.command("chmod", &["-R", "a+rX", "work"]), b"").good();
    let safe = ["-c", "safe.directory=*", "-C", "work", "push", "-q"];
    let to = ["--receive-pack=git -c safe.directory=* receive-pack", "../server.git"];
    let target = format!("{two}:refs/heads/main");
    let mut push = world.command("git", &[&safe[..], &to, &[&target]].concat());
    // One of the group.
    push.uid(STRANGER).gid(0);
    run(push, b"").refused(&[
        "the ledger is kept by 'root' alone, and this push comes in as '54321'",
        "ssh forced command, gitolite or a forge",
    ]);
    assert_eq!(world.at("refs/heads/main"), one);
    assert_eq!(world.entries(), ["1 push refs/heads/main"]);
    world.is_in_order();
}

#[test]
fn nobody_but_the_owner_of_the_repository_begins_or_goes_on_with_its_ledger() {
    if !may_become_another("ledger::users::owner") {
        return;
    }
    let (world, program) = shared();
    let program = program.to_str().unwrap();
    run(world.command("chown", &["-R", &format!("{STRANGER}:{STRANGER}"), "server.git"]), b"").good();
    let words = ["the repository belongs to '54321', and this runs as 'root'", "run it as '54321'"];
    world.install(&["--program", program]).refused(&words);
    assert!(!world.server.join("hooks/pre-receive").exists());
    let install = ["hook", "install", "--repository", "server.git", "--policy", "policy.toml"];
    let mut command = world.command(program, &install);
    run(
        {
            command.uid(STRANGER).gid(STRANGER);
            command
        },
        b"",
    )
    .good();
    world.git(&["config", "--global", "safe.directory", "*"]).good();
    // An administrator who settles as somebody else would leave what the owner cannot write.
    let kept = "the ledger is kept by '54321', and this runs as 'root'";
    world.ledger(&["settle"]).ended(3, &[kept]);
    world.ledger(&["enter", "--reason", "x"]).ended(3, &[kept]);
    // A state folder that is not the repository's owner's is told.
    run(world.command("chown", &["root", "server.git/countersign"]), b"").good();
    let status = ["hook", "status", "--repository", "server.git"];
    world.countersign(&status).ended(1, &["belongs to 'root', and the repository to '54321'"]);
}
