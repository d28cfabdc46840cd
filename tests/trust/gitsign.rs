//! gitsign itself, where it is installed: each verifies what the other has signed, by the same authority.

use crate::{
    instances::files,
    repository::Tuf,
    support::{ALICE, BOB, World},
};

#[test]
fn gitsign_and_countersign_verify_each_other() {
    const TEST: &str = "gitsign_and_countersign_verify_each_other";
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("gitsign").is_file()) {
        println!("NOTE: {TEST}: gitsign not found");
        return;
    }
    let world = World::new();
    world.trust(ALICE);
    let [fulcio, rekor, _, ctfe, _] = files(&world);
    for (name, value) in [
        ("GITSIGN_FULCIO_URL", world.url()),
        ("GITSIGN_REKOR_URL", world.url()),
        ("GITSIGN_OIDC_ISSUER", world.url()),
        ("GITSIGN_FULCIO_ROOT", &fulcio),
        // What goes into the signature can be verified by whoever has it.
        ("GITSIGN_REKOR_MODE", "offline"),
        ("SIGSTORE_REKOR_PUBLIC_KEY", &rekor),
        ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", &ctfe),
    ] {
        world.set(name, value);
    }
    // It takes the trusted root from a TUF repository only.
    let tuf = Tuf::new(&world.authority().authority().trusted_root_json());
    let pinned = world.write("root.json", tuf.first_root()).display().to_string();
    let run = world.run("gitsign", &["initialize", "--mirror", &tuf.url, "--root", &pinned]);
    run.any_stdout().any_stderr().check();

    let repository = world.repository("r", "sha1");
    let theirs = |arguments: &[&str]| {
        let all = [&["-c", "gpg.x509.program=gitsign"], arguments].concat();
        repository.git(&all).any_stdout().any_stderr()
    };
    let gitsign = |command: &str, identity: &str, revision: &str| {
        let arguments =
            [command, "--certificate-identity", identity, "--certificate-oidc-issuer", world.url(), revision];
        world
            .run("gitsign", &arguments)
            .directory(&repository.path)
            .any_stdout()
            .any_stderr()
            .any_status()
            .check()
    };

    // Ours, to them.
    repository.commit("by countersign");
    repository.git(&["tag", "-m", "by countersign", "ours"]).check();
    for (command, revision) in [("verify", "HEAD"), ("verify-tag", "ours")] {
        let outcome = gitsign(command, ALICE, revision);
        assert_eq!(outcome.status, 0, "{command}: {}", outcome.words());
        assert_ne!(gitsign(command, BOB, revision).status, 0, "{command}: it is somebody else's");
    }
    theirs(&["verify-commit", "HEAD"]).check();
    theirs(&["verify-tag", "ours"]).check();

    // Theirs, to us.
    theirs(&["commit", "-q", "--allow-empty", "-m", "by gitsign"]).check();
    theirs(&["tag", "-m", "by gitsign", "theirs"]).check();
    assert_eq!(repository.grade("HEAD"), format!("G|{ALICE}|fully"));
    repository.git(&["verify-tag", "theirs"]).any_stderr().check();
    for revision in ["HEAD", "theirs"] {
        let run = repository.countersign(&["verify", revision]).stdout_holds(&["good", ALICE]);
        run.check();
    }

    // And what was changed behind the signature neither takes.
    for (revision, name) in [("HEAD", "by gitsign"), ("HEAD~", "by countersign")] {
        let bytes = repository.object("commit", revision);
        let changed = String::from_utf8(bytes).unwrap().replace(name, "by nobody");
        let id = repository.store("commit", changed.as_bytes());
        assert_ne!(gitsign("verify", ALICE, &id).status, 0, "{name}");
        repository.countersign(&["verify", &id]).any_stdout().any_stderr().status(1).check();
    }
}
