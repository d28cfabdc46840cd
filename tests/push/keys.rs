//! Certificates signed with keys of one's own.

use super::{REQUIRED, Stage, accepted, refused, support::skipped};

#[test]
fn certificates_signed_with_ssh_keys_count() {
    if skipped("push certificates with ssh", "ssh-keygen") {
        return;
    }
    let stage = Stage::new("");
    for key in ["carol", "eve"] {
        let path = stage.world.path(key);
        let make = ["-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", path.to_str().unwrap()];
        stage.world.run("ssh-keygen", &make).check();
    }
    let line = std::fs::read_to_string(stage.world.path("carol.pub")).unwrap();
    let carol = format!("[identity.carol]\nssh = [\"{}\"]\n", line.trim_end());
    stage.policy(&REQUIRED.replace("alice", "carol"), &carol);
    stage.commit("first");
    let push = |key: &str, reference: &str| {
        let key = format!("user.signingKey={}", stage.world.path(key).display());
        let push = ["-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen", "-c", &key, "push", "-q"];
        let path = stage.path();
        let push = [&push[..], &["--signed", &path, reference]].concat();
        stage.work().git(&push).any_stderr().any_status().check()
    };
    accepted(&push("carol", "main"));
    refused(&push("eve", "main:topic"), &["the push certificate: signed by 'SSH SHA256:", "does not name"]);
    refused(&stage.push(&["--signed", "main:topic"]), &["signed by 'alice@example.com'", "only 'carol' may"]);
}

#[test]
fn certificates_signed_with_openpgp_keys_count() {
    if skipped("push certificates with OpenPGP", "gpg") {
        return;
    }
    let stage = Stage::new("");
    let home = stage.world.path("gnupg");
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let fingerprint = |user: &str| {
        let make = ["--batch", "--passphrase", "", "--quick-generate-key", user, "ed25519", "sign", "0"];
        stage.world.run("gpg", &make).any_stdout().any_stderr().check();
        let list = ["--batch", "--with-colons", "--list-keys", user];
        let list = stage.world.run("gpg", &list).any_stdout().any_stderr().check().text();
        list.lines()
            .find_map(|line| line.strip_prefix("fpr:::::::::"))
            .unwrap()
            .trim_end_matches(':')
            .to_owned()
    };
    let (carol, eve) = (fingerprint("carol@example.com"), fingerprint("eve@example.com"));
    let export = ["--batch", "--armor", "--export", &carol, &eve];
    let exported = stage.world.run("gpg", &export).any_stdout().any_stderr().check().stdout;
    stage.world.write("carol.asc", exported);
    let more = format!(
        "[identity.carol]\nopenpgp = [\"{carol}\"]\n[[openpgp_certificates]]\nfile = \"carol.asc\"\n"
    );
    stage.policy(&REQUIRED.replace("alice", "carol"), &more);
    stage.install(&[]);
    stage.commit("first");
    let push = |key: &str, reference: &str| {
        let key = format!("user.signingKey={key}");
        let push =
            ["-c", "gpg.format=openpgp", "-c", "gpg.program=gpg", "-c", &key, "push", "-q", "--signed"];
        let path = stage.path();
        let push = [&push[..], &[&path, reference]].concat();
        stage.work().git(&push).any_stderr().any_status().check()
    };
    accepted(&push(&carol, "main"));
    refused(&push(&eve, "main:topic"), &["the push certificate: signed by 'OpenPGP ", "does not name"]);
    stage.world.run("gpgconf", &["--kill", "all"]).any_status().any_stderr().check();
}

#[test]
fn an_expired_key_signs_no_push_whatever_time_it_states() {
    const TEST: &str = "push certificates with an expired OpenPGP key";
    if skipped(TEST, "gpg") {
        return;
    }
    let stage = Stage::new("");
    let home = stage.world.path("gnupg");
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let then = ["--batch", "--faked-system-time", "20210101T000000"];
    let make = ["--passphrase", "", "--quick-generate-key", "carol@example.com", "ed25519", "sign", "1y"];
    stage.world.run("gpg", &[&then[..], &make].concat()).any_stdout().any_stderr().check();
    let list = ["--batch", "--with-colons", "--list-keys"];
    let list = stage.world.run("gpg", &list).any_stdout().any_stderr().check().text();
    let carol =
        list.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':');
    let export = stage.world.run("gpg", &["--batch", "--armor", "--export"]).any_stdout().any_stderr();
    stage.world.write("carol.asc", export.check().stdout);
    let more = format!(
        "[identity.carol]\nopenpgp = [\"{carol}\"]\n[[openpgp_certificates]]\nfile = \"carol.asc\"\n"
    );
    let asked = "pushers = [\"carol\"]\n";
    stage.policy(asked, &more);
    stage.install(&[]);
    stage.commit("first");
    // Its holder lets the signature state a time at which it had not expired.
    let gpg = "#!/bin/sh\nexec gpg --faked-system-time 20210601T000000 \"$@\"\n";
    let program = stage.world.write("gpg-then", gpg);
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (program, key) = (format!("gpg.program={}", program.display()), format!("user.signingKey={carol}"));
    let push = ["-c", "gpg.format=openpgp", "-c", &program, "-c", &key, "push", "-q", "--signed"];
    let path = stage.path();
    let push = |refs: &str| {
        let run = stage.work().git(&[&push[..], &[&path, refs]].concat());
        run.any_stderr().any_status().check()
    };
    refused(
        &push("main"),
        &["the push certificate: signed by 'OpenPGP ", "which has expired", "has not expired"],
    );
    stage.policy("", &more);
    // Within one second the same words would be the same certificate, which was used.
    accepted(&push("main:topic"));
    let verify = stage.world.countersign(&["ledger", "verify", "--repository", "server.git"]);
    let said = verify.any_status().any_stdout().any_stderr().check();
    let said = said.text() + &said.words();
    assert!(said.contains("its key had expired when it was received"), "{said}");
    stage.world.run("gpgconf", &["--kill", "all"]).any_status().any_stderr().check();
}
