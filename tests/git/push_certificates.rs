//! `git push --signed`: the pusher's program signs the certificate, the server's program judges it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::{ALICE, BOB, PROGRAM, Repository, World};

/// A bare repository that asks for push certificates and writes down what its hook is told.
fn server<'w>(world: &'w World, format: &str) -> Repository<'w> {
    let server = world.bare("server.git", format);
    server.git(&["config", "receive.certNonceSeed", "a seed that is no secret here"]).check();
    server.git(&["config", "gpg.x509.program", PROGRAM]).check();
    let hook = world.write(
        "server.git/hooks/pre-receive",
        "#!/bin/sh\n{ env | grep ^GIT_PUSH_CERT | grep -v NONCE= ; } >\"$GIT_DIR/told\"\n\
         [ -z \"$GIT_PUSH_CERT\" ] || git cat-file blob \"$GIT_PUSH_CERT\" >\"$GIT_DIR/certificate\"\n",
    );
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    server
}

/// What the hook was told of `name`.
fn told(world: &World, name: &str) -> String {
    let told = fs::read_to_string(world.path("server.git/told")).unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix(&format!("GIT_PUSH_CERT{name}=")));
    line.unwrap_or_default().to_owned()
}

#[test]
fn a_signed_push_is_told_to_the_hook_as_the_table_says() {
    for format in ["sha1", "sha256"] {
        for (trusted, status, signer) in
            // git passes on the letter without the trust: 'G' also where the table says 'U'. Whoever judges
            // a push by its certificate has to verify it again.
            [(Some(ALICE), "G", ALICE), (None, "G", ALICE), (Some(BOB), "E", "")]
        {
            let world = World::new();
            if let Some(trusted) = trusted {
                world.trust(trusted);
            }
            let server = server(&world, format);
            let repository = world.repository("r", format);
            let commit = repository.commit("first");
            let push = ["push", "-q", "--signed", "../server.git", "main"];
            repository.git(&push).any_stderr().check();
            assert_eq!(server.id("refs/heads/main"), commit);
            assert_eq!(told(&world, "_STATUS"), status, "{format} {trusted:?}");
            assert_eq!(told(&world, "_SIGNER"), signer, "{format} {trusted:?}");
            assert_eq!(told(&world, "_NONCE_STATUS"), "OK");
            assert_eq!(told(&world, "_KEY").len(), 16);
            let certificate = fs::read_to_string(world.path("server.git/certificate")).unwrap();
            assert!(certificate.starts_with("certificate version 0.1\npusher "), "{certificate}");
            assert!(certificate.contains(&format!(" {commit} refs/heads/main\n-----BEGIN SIGNED MESSAGE")));
        }
    }
}

#[test]
fn a_signed_push_carries_its_options_and_deletions() {
    let world = World::new();
    world.trust(ALICE);
    let server = server(&world, "sha1");
    server.git(&["config", "receive.advertisePushOptions", "true"]).check();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    repository.git(&["push", "-q", "../server.git", "main:topic"]).any_stderr().check();
    assert_eq!(told(&world, "_STATUS"), "", "there was no certificate");
    let arguments = ["push", "-q", "--signed", "-o", "ticket=1", "../server.git", ":topic", "main"];
    repository.git(&arguments).any_stderr().check();
    assert_eq!(told(&world, "_STATUS"), "G");
    assert!(server.has("refs/heads/main") && !server.has("refs/heads/topic"));
    let certificate = fs::read_to_string(world.path("server.git/certificate")).unwrap();
    assert!(certificate.contains("\npush-option ticket=1\n"), "{certificate}");
}

#[test]
fn a_push_certificate_of_another_push_is_bad() {
    let world = World::new();
    world.trust(ALICE);
    server(&world, "sha1");
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    repository.git(&["push", "-q", "--signed", "../server.git", "main"]).any_stderr().check();
    let certificate = fs::read_to_string(world.path("server.git/certificate")).unwrap();
    let (payload, armor) = certificate.split_at(certificate.find("-----BEGIN").unwrap());
    world.write("signature", armor);
    let verify = ["--status-fd=1", "--verify", "signature", "-"];
    world.countersign(&verify).input(payload).stdout_holds(&["TRUST_FULLY"]).any_stderr().check();
    let run = world.countersign(&verify).input(payload.replace("heads/main", "heads/prod")).status(1);
    run.stdout_holds(&["\n[GNUPG:] BADSIG "]).any_stderr().check();
}

#[test]
fn match_committer_looks_at_the_pusher_of_a_certificate() {
    let world = World::new();
    world.configure("[countersign]\n matchCommitter = true");
    let server = server(&world, "sha1");
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let push = ["push", "-q", "--signed", "../server.git", "main"];
    let run = repository.git(&push).env("GIT_COMMITTER_EMAIL", BOB).any_status();
    let outcome = run.any_stderr().check();
    assert_ne!(outcome.status, 0);
    assert!(outcome.words().contains("failed to sign the push certificate"), "{}", outcome.words());
    assert!(!server.has("refs/heads/main"));
    repository.git(&push).any_stderr().check();
    assert!(server.has("refs/heads/main"));
}
