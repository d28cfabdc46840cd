//! A policy that names OpenPGP keys: at the gate, in `countersign verify`, and as git's program.

use crate::support::{PROGRAM, World, succeeded, write};

const POLICY: &str = r#"
version = 1
other_refs = "refuse"
[[openpgp_certificates]]
file = "keys/alice.asc"
[[openpgp_certificates]]
file = "keys/bob.asc"
[identity.alice]
openpgp = ["ALICE"]
[[rule]]
name = "all"
refs = ["refs/**"]
commits = ["alice"]
create = "allow"
"#;

/// A server with a policy that names alice, and knows bob's key without naming him.
fn server(world: &World) -> String {
    let alice = world.key("alice", "ed25519", "sign", "0", None);
    world.key("bob", "ed25519", "sign", "0", None);
    world.key("mallory", "ed25519", "sign", "0", None);
    let keys = world.path("policy/keys");
    std::fs::create_dir_all(&keys).unwrap();
    for user in ["alice", "bob"] {
        write(&keys, &format!("{user}.asc"), &world.gpg(&["--armor", "--export", &world.fingerprint(user)]));
    }
    let policy = write(&world.path("policy"), "policy.toml", &POLICY.replace("ALICE", &alice.to_lowercase()));
    world.run("git", &["init", "-q", "--bare", "server.git"]);
    let policy = policy.to_str().unwrap().to_owned();
    world.run(PROGRAM, &["hook", "install", "--repository", "server.git", "--policy", &policy]);
    policy
}

/// A new commit signed by `user`, made by git with gpg.
fn commit(world: &World, user: &str) -> String {
    let key = format!("user.signingkey={}", world.fingerprint(user));
    world.git(&["-c", &key, "commit", "-q", "--allow-empty", "-S", "-m", user]);
    world.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

fn push(world: &World) -> (bool, String) {
    let mut git = world.command("git");
    git.current_dir(world.path("repository")).args(["push", "-q", "../server.git", "HEAD:refs/heads/main"]);
    let output = git.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_gate_lets_in_whom_the_policy_names_by_fingerprint() {
    let Some(world) = World::new("OpenPGP at the gate") else { return };
    server(&world);
    commit(&world, "alice");
    let (accepted, words) = push(&world);
    assert!(accepted, "{words}");
    for (user, cause) in [
        ("bob", "whom the policy does not name"),
        ("mallory", "the key that made the signature is not known here"),
    ] {
        commit(&world, user);
        let (accepted, words) = push(&world);
        assert!(!accepted && words.contains(cause), "{user}: {words}");
        world.git(&["reset", "-q", "--hard", "HEAD^"]);
    }
    // The hook goes by the files that it was installed with.
    std::fs::remove_file(world.path("policy/keys/bob.asc")).unwrap();
    commit(&world, "alice");
    let (accepted, words) = push(&world);
    assert!(!accepted && words.contains("bob.asc' cannot be read"), "{words}");
}

#[test]
fn a_revocation_that_reaches_the_server_counts_for_all_times() {
    let Some(world) = World::new("revocation at the gate") else { return };
    server(&world);
    commit(&world, "alice");
    let fingerprint = world.fingerprint("alice");
    world.edit(&fingerprint, "revkey\ny\n3\n\ny\nsave\n");
    let revoked = world.gpg(&["--armor", "--export", &fingerprint]);
    write(&world.path("policy/keys"), "alice.asc", &revoked);
    let (accepted, words) = push(&world);
    assert!(!accepted && words.contains("the key is revoked"), "{words}");
}

#[test]
fn as_gits_program_a_policy_decides_and_can_only_refuse_more() {
    let Some(world) = World::new("OpenPGP as git's program") else { return };
    let policy = server(&world);
    let configured = format!("countersign.policy={policy}");
    let ids = ["alice", "bob", "mallory"].map(|user| commit(&world, user));
    let log = |settings: &[&str]| {
        let program = format!("gpg.program={PROGRAM}");
        let log = ["log", "--reverse", "--format=%G?"];
        world.git(&[&["-c", &program][..], settings, &log].concat()).replace('\n', ",")
    };
    assert_eq!(log(&["-c", &configured]), "G,E,E,");
    assert_eq!(log(&[]), "G,G,G,", "gpg's own trust where no policy speaks");
    let program = format!("gpg.program={PROGRAM}");
    let level = |id: &str| world.git(&["-c", &program, "-c", &configured, "log", "-1", "--format=%GT", id]);
    assert_eq!(level(&ids[0]), "fully\n");
    assert_eq!(world.log(PROGRAM, &ids[0], "%GT"), "ultimate");
    world.git(&["config", "countersign.policy", &policy]);
    assert_eq!(log(&[]), "G,G,G,", "a repository cannot name a policy");

    let verify = |policy: &[&str], id: &str| {
        let mut command = world.command(PROGRAM);
        let output = command.current_dir(world.path("repository")).args(["verify", id]).args(policy).output();
        let output = output.unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let with = ["--policy", policy.as_str()];
    assert_eq!(verify(&with, &ids[0]).0, 0);
    assert_eq!(verify(&with, &ids[1]).0, 1);
    assert_eq!(verify(&with, &ids[2]).0, 2);
    let (status, words) = verify(&[], &ids[2]);
    assert!(status == 2 && words.contains(&world.fingerprint("mallory")), "{words}");
    let inspected =
        world.command(PROGRAM).current_dir(world.path("repository")).args(["inspect", &ids[0]]).output();
    let inspected = succeeded(&inspected.unwrap());
    assert!(inspected.contains(&format!("openpgp = [\"{}\"]", world.fingerprint("alice"))), "{inspected}");
}

#[test]
fn without_gpg_its_key_ring_is_read() {
    let Some(world) = World::new("a key ring without gpg") else { return };
    server(&world);
    let id = commit(&world, "alice");
    // git alone in PATH.
    let tools = world.path("tools");
    std::fs::create_dir(&tools).unwrap();
    let git = world.run("sh", &["-c", "command -v git"]);
    std::os::unix::fs::symlink(git.trim(), tools.join("git")).unwrap();
    let mut log = world.command("git");
    log.env("PATH", &tools).current_dir(world.path("repository"));
    log.args(["-c", &format!("gpg.program={PROGRAM}"), "log", "-1", "--format=%G? %GF", &id]);
    assert_eq!(succeeded(&log.output().unwrap()), format!("U {}\n", world.fingerprint("alice")));
}

#[test]
fn signing_is_passed_on_to_the_program_that_protected_configuration_names() {
    let Some(world) = World::new("passing on a request to sign") else { return };
    let fingerprint = world.key("alice", "ed25519", "sign", "0", None);
    world.git(&["config", "--global", "gpg.program", PROGRAM]);
    world.git(&["config", "--global", "user.signingkey", &fingerprint]);
    let sign = || {
        let mut git = world.command("git");
        git.current_dir(world.path("repository")).args(["commit", "-q", "--allow-empty", "-S", "-m", "x"]);
        git.output().unwrap()
    };
    // git does not show what its program says; so it is asked as git asks.
    let words = || {
        let mut program = world.command(PROGRAM);
        program.current_dir(world.path("repository")).args(["--status-fd=2", "-bsau", &fingerprint]);
        String::from_utf8_lossy(&program.output().unwrap().stderr).into_owned()
    };
    assert!(!sign().status.success() && words().contains("countersign.openpgpProgram"), "{}", words());
    world.git(&["config", "countersign.openpgpProgram", "gpg"]);
    assert!(!sign().status.success(), "a repository cannot name a program");
    world.git(&["config", "--global", "countersign.openpgpProgram", "gpg"]);
    succeeded(&sign());
    assert_eq!(world.log("gpg", "HEAD", "%G? %GF"), format!("G {fingerprint}"));
    // A relative path would lead to whatever the repository at hand has there.
    std::fs::create_dir(world.path("repository/bin")).unwrap();
    let script = write(&world.path("repository/bin"), "gpg", "#!/bin/sh\ntouch ../ran\nexec gpg \"$@\"\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.git(&["config", "--global", "countersign.openpgpProgram", "bin/gpg"]);
    assert!(!sign().status.success() && !world.path("ran").exists());
    world.git(&["config", "--global", "countersign.openpgpProgram", script.to_str().unwrap()]);
    succeeded(&sign());
    assert!(world.path("ran").exists(), "by its whole path it is found");
    world.git(&["config", "--global", "countersign.openpgpProgram", PROGRAM]);
    assert!(!sign().status.success() && words().contains("not to countersign"), "{}", words());
}
