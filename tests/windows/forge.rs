//! What a forge signs on its web pages is nobody's.

use crate::{
    kinds::{KINDS, gpg},
    support::{ALICE, skipped},
};

#[test]
fn a_forges_key_says_that_the_forge_made_it() {
    if skipped("a forge's web key", "gpg") {
        return;
    }
    let kind = KINDS.iter().find(|kind| kind.name == "openpgp").unwrap();
    let Some(stage) = kind.world("a forge's web key") else { return };
    let world = &stage.world;
    let user = "Forge <noreply@forge.example>";
    gpg(world, &["--quick-generate-key", user, "ed25519", "sign", "0"]);
    world.write("forge.asc", gpg(world, &["--armor", "--export", "noreply@forge.example"]));
    let listing = gpg(world, &["--with-colons", "--list-keys", "noreply@forge.example"]);
    let fingerprint = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
    let fingerprint = fingerprint.split(':').nth(9).unwrap();

    let plain = std::fs::read_to_string(stage.policy("", "", &[])).unwrap();
    let tables = format!(
        "[[openpgp_certificates]]\nfile = \"forge.asc\"\n[[forge]]\nname = \"forge\"\nopenpgp = [\"{fingerprint}\"]\n"
    );
    let policy = world.write("forge.toml", plain.clone() + &tables);
    let policy = policy.to_str().unwrap();
    let repository = world.repository("work", "sha1");
    let key = format!("user.signingKey={fingerprint}");
    stage
        .git(&repository, &["-c", &key, "commit", "-q", "--allow-empty", "-S", "-m", "merged on the web"])
        .check();

    let said = ["refused", "made by the forge 'forge' for whoever was logged in there", fingerprint];
    let hint = "hint: make the merge or change with git and sign it yourself, not with the forge's button\n";
    repository
        .countersign(&["verify", "--policy", policy])
        .status(1)
        .stdout_holds(&said)
        .stderr(hint)
        .check();
    let json = repository.countersign(&["verify", "--json", "--policy", policy]).status(1);
    json.stdout_holds(&["\"refusedFor\":\"forge\""]).any_stderr().check();

    world.bare("server.git", "sha1");
    let install = ["hook", "install", "--repository", "server.git", "--policy", policy];
    world.countersign(&install).any_stdout().check();
    repository
        .git(&["push", "-q", "../server.git", "HEAD:refs/heads/main"])
        .status(1)
        .stderr_holds(&["made by the forge 'forge'", "hint: make the merge or change with git"])
        .check();

    let as_alice = plain.replace(
        "[identity.alice]\nopenpgp = [",
        &format!("[identity.alice]\nopenpgp = [\"{fingerprint}\", "),
    );
    let both = world.write("both.toml", as_alice + &tables);
    let words = ["identity 'alice' has the key", "it stands for no person"];
    world.countersign(&["policy", "check", both.to_str().unwrap()]).status(3).stderr_holds(&words).check();
    assert!(plain.contains("openpgp = [{"), "{ALICE}");
}
