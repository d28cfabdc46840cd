//! Policies that are changed with SSH keys, and repositories of every shape.

use crate::{
    REF, pin, refused,
    support::{PROGRAM, Repository, World, skipped},
    verified,
};

/// The text of a policy that the SSH keys `keys` of Alice change, and sign by.
fn text(serial: u64, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    format!(
        "version = 1\nrepository = \"r\"\nserial = {serial}\nother_refs = \"refuse\"\n\
         [identity.alice]\nssh = [{}]\n\
         [[rule]]\nname = \"policy\"\nrefs = [\"{REF}\"]\ncommits = [\"alice\"]\n\
         [[rule]]\nname = \"everything\"\nrefs = [\"refs/heads/**\"]\ncommits = [\"alice\"]\n",
        keys.join(", ")
    )
}

/// Make an SSH key; its public half.
fn key(world: &World, name: &str) -> String {
    let path = world.path(name);
    let path = path.to_str().unwrap();
    world.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]).check();
    std::fs::read_to_string(format!("{path}.pub")).unwrap().trim_end().to_owned()
}

fn publish(repository: &Repository<'_>, key: &str, text: &str) -> i32 {
    let world = repository.world;
    world.write("policy.toml", text);
    let key = world.path(key).display().to_string();
    let run = repository.countersign(&["policy", "publish", "../policy.toml"]).env("GIT_CONFIG_COUNT", "1");
    let run = run.env("GIT_CONFIG_KEY_0", "user.signingKey").env("GIT_CONFIG_VALUE_0", key);
    run.any_status().any_stdout().any_stderr().check().status
}

#[test]
fn keys_are_rolled_over_and_a_revoked_one_vouches_for_nothing() {
    if skipped("keys_are_rolled_over_and_a_revoked_one_vouches_for_nothing", "ssh-keygen") {
        return;
    }
    let world = World::new();
    let [old, new] = ["old", "new"].map(|name| key(&world, name));
    world.configure(&format!(
        "[gpg]\n format = ssh\n[gpg \"ssh\"]\n program = {PROGRAM}\n[user]\n signingKey = {}\n",
        world.path("new").display()
    ));
    let repository = world.repository("r", "sha1");
    assert_eq!(publish(&repository, "old", &text(1, &[&old])), 0);
    let first = repository.id(REF);
    pin(&repository);
    repository.git(&["commit", "-q", "--allow-empty", "-m", "by the new key"]).check();
    assert_eq!(verified(&repository).0, 1);
    assert_eq!(publish(&repository, "new", &text(2, &[&new])), 3, "the new key is nobody yet");
    assert_eq!(publish(&repository, "old", &text(2, &[&old, &new])), 0);
    assert_eq!(verified(&repository).0, 0);
    assert_eq!(publish(&repository, "new", &text(3, &[&new])), 0);
    assert_eq!(verified(&repository).0, 0);
    assert_eq!(publish(&repository, "old", &text(4, &[&new])), 3, "the old key is nobody any more");

    // git's own list decides for git; the policy can only refuse more, and must be had for that.
    let allowed = world.write("allowed", format!("alice@example.com {new}\n"));
    world.configure(&format!("[gpg \"ssh\"]\n allowedSignersFile = {}\n", allowed.display()));
    assert!(repository.grade("HEAD").starts_with("G|alice@example.com"), "{}", repository.grade("HEAD"));
    let revoked = world.write("revoked", format!("{old}\n"));
    world.configure(&format!("[gpg \"ssh\"]\n revocationFile = {}\n", revoked.display()));
    let (status, words) = verified(&repository);
    assert_eq!(status, 3);
    assert!(words.contains("the key is revoked"), "{words}");
    // Where nobody is found for a key, git asks only whether the signature is the key's.
    assert_eq!(repository.grade("HEAD"), "U||undefined");
    // Whoever has looked believes the last step that the old key made, and goes on from there.
    let second = repository.id(&format!("{REF}~1"));
    repository.countersign(&["policy", "pin", "--yes", "--replace", "--root", &second]).any_stdout().check();
    assert_eq!(verified(&repository).0, 0);
    repository.git(&["update-ref", REF, &first]).check();
    let (status, words) = verified(&repository);
    assert_eq!(status, 3);
    assert!(words.contains("its history begins with commit"), "{words}");
}

#[test]
fn bare_linked_and_named_repositories_find_their_policy() {
    let world = World::new();
    let repository = crate::published(&world, "sha1");
    pin(&repository);
    repository.git(&["pack-refs", "--all"]).check();
    repository.git(&["worktree", "add", "-q", "-b", "side", "../linked"]).check();
    world.run("git", &["clone", "-q", "--bare", "r", "bare.git"]).check();
    let bare = Repository::at(&world, &world.path("bare.git"));
    bare.git(&["fetch", "-q", "origin", &format!("{REF}:{REF}")]).check();
    for name in ["r", "linked", "bare.git"] {
        let at = Repository::at(&world, &world.path(name));
        assert_eq!(at.grade("HEAD"), "G|alice@example.com|fully", "{name}");
        assert_eq!(verified(&at).0, 0, "{name}");
        world.countersign(&["verify", "--repository", name]).any_stdout().check();
        world.countersign(&["policy", "show", "--repository", name]).any_stdout().check();
    }
    let run = world.run("git", &["--git-dir", "r/.git", "log", "-1", "--format=%G?", "HEAD"]);
    assert_eq!(run.any_stdout().any_stderr().check().text(), "G\n");
    // A folder further down is in the repository too.
    std::fs::create_dir(world.path("r/below")).unwrap();
    let below = Repository::at(&world, &world.path("r/below"));
    assert_eq!(below.grade("HEAD"), "G|alice@example.com|fully");
    bare.git(&["update-ref", "-d", REF]).check();
    refused(&bare, "there is no ref");
    let run = world.countersign(&["inspect", "--repository", "bare.git"]).status(3).any_stdout();
    run.stderr_holds(&["there is no ref"]).check();
}
