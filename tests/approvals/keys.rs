//! Approvals by keys of one's own, as git would have a commit signed.

use crate::{
    ALICE, REF, Stage, TWO, policy,
    support::{World, skipped},
};

/// An SSH key in the world's folder; its public half.
pub fn ssh_key(world: &World, name: &str) -> String {
    let path = world.path(name);
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path.to_str().unwrap()];
    world.run("ssh-keygen", &arguments).check();
    std::fs::read_to_string(path.with_extension("pub")).unwrap().trim_end().to_owned()
}

#[test]
fn a_key_is_a_person_and_two_of_them_are_one() {
    if skipped("a_key_is_a_person_and_two_of_them_are_one", "ssh-keygen") {
        return;
    }
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let (bobs, alices) = (ssh_key(&world, "bobs"), ssh_key(&world, "alices"));
    let text = policy(&world, TWO);
    let text = text.replace("[identity.bob]\n", &format!("[identity.bob]\nssh = [\"{bobs}\"]\n"));
    world.write(
        "policy.toml",
        text.replace("[identity.alice]\n", &format!("[identity.alice]\nssh = [\"{alices}\"]\n")),
    );
    stage.commit(ALICE, "a", "a\n");
    let approve = |key: &str| {
        world
            .configure(&format!("[gpg]\n format = ssh\n[user]\n signingKey = {}", world.path(key).display()));
        stage.work.countersign(&["approve"]).any_stdout().check().text()
    };
    assert!(approve("alices").starts_with("approved as 'alice'"));
    stage.refused(&["main", REF], &["1 of 2 persons vouches for it ('alice')"]);
    assert!(approve("bobs").starts_with("approved as 'bob'"));
    stage.accepted(&["main", REF]);
}

#[test]
fn an_openpgp_key_approves_by_gpg() {
    if skipped("an_openpgp_key_approves_by_gpg", "gpg") {
        return;
    }
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let home = world.path("gnupg");
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    world.set("GNUPGHOME", home.to_str().unwrap());
    let gpg = |arguments: &[&str]| {
        let arguments = [&["--batch", "--pinentry-mode", "loopback", "--passphrase", ""], arguments].concat();
        world.run("gpg", &arguments).any_stdout().any_stderr().check().text()
    };
    gpg(&["--quick-gen-key", "Bob <bob@example.com>", "ed25519", "sign", "never"]);
    let listed = gpg(&["--with-colons", "--list-keys"]);
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
    let fingerprint = fingerprint.trim_end_matches(':');
    world.write("bob.asc", gpg(&["--armor", "--export"]));
    let text = policy(&world, TWO).replace(
        "[identity.bob]\n",
        &format!("[identity.bob]\nopenpgp = [{{ fingerprint = \"{fingerprint}\" }}]\n"),
    );
    let head = "other_refs = \"refuse\"\n";
    world.write(
        "policy.toml",
        text.replace(head, &format!("{head}[[openpgp_certificates]]\nfile = \"bob.asc\"\n")),
    );
    stage.install();
    stage.commit(ALICE, "a", "a\n");
    world.configure(&format!("[gpg]\n format = openpgp\n[user]\n signingKey = {fingerprint}"));
    let run = stage.work.countersign(&["approve"]).any_stdout().check();
    assert!(run.text().starts_with("approved as 'bob'"), "{}", run.text());
    stage.accepted(&["main", REF]);
    world.run("gpgconf", &["--kill", "all"]).any_status().any_stdout().any_stderr().check();
}
