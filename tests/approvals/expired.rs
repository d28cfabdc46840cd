//! Approvals of a policy's change by a key that has expired, whose holder states an earlier time.

use countersign::object::{HashKind, Statement, carry};

use crate::{
    ALICE, ID, REF,
    policy_changes::{POLICY, TWO, approve, draft, proposed, publish},
    support::{World, skipped},
};

#[test]
fn an_expired_key_approves_no_change_of_the_policy_that_arrives_now() {
    if skipped("an_expired_key_approves_no_change_of_the_policy_that_arrives_now", "gpg") {
        return;
    }
    let world = World::new();
    let home = world.path("gnupg");
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    world.set("GNUPGHOME", home.to_str().unwrap());
    let gpg = |time: &str, arguments: &[&str], input: &[u8]| {
        let fixed =
            ["--batch", "--faked-system-time", time, "--pinentry-mode", "loopback", "--passphrase", ""];
        let run = world.run("gpg", &[&fixed[..], arguments].concat()).input(input);
        run.any_stdout().any_stderr().check().stdout
    };
    gpg("20210101T000000", &["--quick-gen-key", "bob@example.com", "ed25519", "sign", "1y"], b"");
    let listed = gpg("20210101T000000", &["--with-colons", "--list-keys"], b"");
    let listed = String::from_utf8(listed).unwrap();
    let bob = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
    let bob = bob.trim_end_matches(':');
    let certificate = gpg("20210101T000000", &["--armor", "--export"], b"");
    let draft = |serial: u32, threshold: &str| {
        let path = draft(&world, serial, threshold);
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("[identity.bob]\n", &format!("[identity.bob]\nopenpgp = [\"{bob}\"]\n"));
        let head = "other_refs = \"refuse\"\n";
        let text = text.replace(head, &format!("{head}[[openpgp_certificates]]\nfile = \"bob.asc\"\n"));
        world.write("draft/policy.toml", text);
        world.write("draft/bob.asc", &certificate);
        path
    };
    let repository = world.repository("r", "sha1");
    let (status, words) = publish(&repository, ALICE, &draft(1, TWO));
    assert_eq!(status, 0, "{words}");
    repository.countersign(&["policy", "pin", "--yes"]).any_stdout().check();
    let root = repository.id(POLICY);
    let server = world.bare("server.git", "sha1");
    let at = server.path.to_str().unwrap();
    repository.git(&["push", "-q", at, POLICY]).check();
    let install = ["hook", "install", "--repository", at, "--policy-root", &root];
    world.countersign(&install).any_stdout().any_stderr().any_status().check();

    // One person would do from then on; the second of the two has a key that had not expired when it says that it
    // signed.
    let proposal = proposed(&publish(&repository, ALICE, &draft(2, "")).1);
    let tree = repository.id(&format!("{proposal}^{{tree}}"));
    let statement = Statement {
        repository: ID.to_owned(),
        reference: POLICY.to_owned(),
        base: Some(root.parse().unwrap()),
        tree: Some(tree.parse().unwrap()),
    };
    let payload = statement.to_be_signed(HashKind::Sha1);
    let signature = gpg("20210601T000000", &["--armor", "--detach-sign"], &payload);
    let message = format!("alone\n\n{}", carry(&statement.envelope(HashKind::Sha1, &signature)));
    let run = repository.git(&["commit-tree", "-S", "-F", "-", "-p", &root, &tree]).input(message);
    let alone = run.any_stdout().check().text().trim_end().to_owned();
    let push = |what: &str| {
        let run = repository.git(&["push", "-q", at, what]).any_status().any_stderr().check();
        (run.status, run.words())
    };
    // The other way around: the expired key signs, and Alice approves.
    approve(&repository, ALICE, &root, &proposal);
    let kept = repository.git(&["ls-tree", "-r", REF]).any_stdout().check().text();
    let blob = kept.split([' ', '\t']).nth(2).unwrap().to_owned();
    let envelope = repository.git(&["cat-file", "blob", &blob]).any_stdout().check().stdout;
    let script = "#!/bin/sh\nexec gpg --faked-system-time 20210601T000000 \"$@\"\n";
    let program = world.write("gpg-then", script);
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (program, key) = (format!("gpg.program={}", program.display()), format!("user.signingKey={bob}"));
    let as_bob = ["-c", "gpg.format=openpgp", "-c", &program, "-c", &key];
    let commit = ["commit-tree", "-S", "-F", "-", "-p", &root, &tree];
    let run = repository.git(&[&as_bob[..], &commit].concat()).input(format!("x\n\n{}", carry(&envelope)));
    let by_bob = run.env("GIT_COMMITTER_DATE", "1622505600 +0000").any_stdout().check();
    let by_bob = by_bob.text().trim_end().to_owned();
    for (commit, parts) in [
        (&alone, &["1 of 2 persons vouches for it ('alice')", "which has expired"][..]),
        (&by_bob, &["signed by 'OpenPGP ", "which has expired"]),
    ] {
        let (status, words) = push(&format!("{commit}:{POLICY}"));
        assert_ne!(status, 0, "the policy was changed by one person and an expired key");
        for part in parts {
            assert!(words.contains(part), "no {part:?} in {words}");
        }
        assert_eq!(server.id(POLICY), root);
    }

    // What stands is followed later by whoever believes its beginning: nobody can tell when it was approved.
    server.git(&["fetch", "-q", repository.path.to_str().unwrap(), &alone]).any_stderr().check();
    server.git(&["update-ref", POLICY, &alone]).check();
    repository.git(&["update-ref", POLICY, &alone]).check();
    let shown = repository.countersign(&["policy", "show"]).any_stdout().check().text();
    assert!(shown.contains("policy serial: 2"), "{shown}");
    repository.commit_as(ALICE, "a");
    let (status, words) = push("main");
    assert_eq!(status, 0, "{words}");
    world.run("gpgconf", &["--kill", "all"]).any_status().any_stdout().any_stderr().check();
}
