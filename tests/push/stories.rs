//! Pushes as people make them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{ALICE, BOB, PROGRAM, REQUIRED, Stage, accepted, refused};

#[test]
fn only_a_signed_push_by_whom_the_rule_names_is_accepted() {
    for format in ["sha1", "sha256"] {
        let stage = Stage::with(REQUIRED, format, &[], "");
        let commit = stage.commit("first");
        refused(
            &stage.push(&["main"]),
            &[
                "error: refs/heads/main: the push is not signed, where only 'alice' may push, by a push certificate (rule 'all')",
                "hint: push with 'git push --signed'",
            ],
        );
        accepted(&stage.push(&["--signed", "main"]));
        assert_eq!(stage.server().id("refs/heads/main"), commit);

        stage.commit("second");
        let token = stage.world.token(BOB);
        stage.world.set("SIGSTORE_ID_TOKEN", &token);
        refused(
            &stage.push(&["--signed", "main"]),
            &[
                "the push certificate: signed by 'bob@example.com' of 'http",
                "('bob'), where only 'alice' may",
            ],
        );
        // Another push: who signs the same words in the same second uses up the same certificate.
        stage.commit("third");
        stage.world.set("SIGSTORE_ID_TOKEN", &stage.world.token("eve@example.com"));
        refused(
            &stage.push(&["--signed", "main"]),
            &["signed by 'eve@example.com' of 'http", "whom the policy does not name (rule 'all')"],
        );
        assert_eq!(stage.server().id("refs/heads/main"), commit);
        stage.policy("push_certificate = \"require\"", "");
        stage.world.set("SIGSTORE_ID_TOKEN", &token);
        stage.commit("fourth");
        accepted(&stage.push(&["--signed", "main"]));
    }
}

#[test]
fn what_git_says_about_the_signer_is_not_believed() {
    let stage = Stage::new(REQUIRED);
    stage.commit("first");
    // A program that finds everything good, and names alice.
    let liar = format!(
        "#!/bin/sh\ncat >/dev/null\nprintf '[GNUPG:] NEWSIG\\n[GNUPG:] GOODSIG 0123456789ABCDEF {ALICE}\\n\
         [GNUPG:] TRUST_FULLY 0 shell\\n'\n"
    );
    let liar = stage.world.write("liar", liar);
    fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).unwrap();
    stage.server().git(&["config", "gpg.x509.program", liar.to_str().unwrap()]).check();
    stage.world.set("SIGSTORE_ID_TOKEN", &stage.world.token("eve@example.com"));
    refused(&stage.push(&["--signed", "main"]), &["signed by 'eve@example.com'"]);
    // And one that finds nothing good.
    stage.server().git(&["config", "gpg.x509.program", "false"]).check();
    let commit = stage.commit("second");
    stage.world.set("SIGSTORE_ID_TOKEN", &stage.world.token(ALICE));
    accepted(&stage.push(&["--signed", "main"]));
    assert_eq!(stage.server().id("refs/heads/main"), commit);
}

#[test]
fn deletions_options_many_refs_and_atomic_pushes_are_certified_too() {
    let stage = Stage::new(REQUIRED);
    stage.commit("first");
    accepted(&stage.push(&["--signed", "--atomic", "-oticket=1", "-o", "-o$(id)'\\", "main", "main:topic"]));
    // Nothing is uploaded, and so there is no quarantine.
    refused(&stage.push(&[":topic"]), &["the push is not signed"]);
    assert!(stage.server().has("refs/heads/topic"));
    accepted(&stage.push(&["--signed", ":topic"]));
    assert!(!stage.server().has("refs/heads/topic"));
    let many: Vec<String> = (0..300).map(|index| format!("main:refs/heads/many/{index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    accepted(&stage.push(&[&["--signed"], &many[..]].concat()));
    assert!(stage.server().has("refs/heads/many/299"));
}

#[test]
fn an_address_of_another_kind_has_to_be_named() {
    let stage = Stage::new(REQUIRED);
    stage.commit("first");
    let url = format!("file://{}", stage.path());
    accepted(&stage.push_to(&url, &["--signed", "main"]));
    refused(
        &stage.push_to("../server.git", &["--signed", "main:topic"]),
        &["it is for '../server.git', which cannot be compared: it depends on where it was used from"],
    );
    let link = stage.world.path("alias.git");
    std::os::unix::fs::symlink(stage.world.path("server.git"), &link).unwrap();
    let alias = link.to_str().unwrap();
    let words = format!("it is for '{alias}', which is no address of this server");
    refused(&stage.push_to(alias, &["--signed", "main:topic"]), &[&words, "'--address'"]);
    stage.install(&["--address", alias]);
    accepted(&stage.push_to(alias, &["--signed", "main:topic"]));
}

#[test]
fn an_installation_that_cannot_take_certificates_says_so() {
    let stage = Stage::new(REQUIRED);
    let install = ["hook", "install", "--repository", "server.git", "--policy", "policy.toml"];
    stage.world.countersign(&install).any_stdout().check();
    stage.commit("first");
    refused(
        &stage.push(&["--signed", "main"]),
        &["which addresses are the server's own is not known to the hook", "'--address'"],
    );
    let status = ["hook", "status", "--repository", "server.git"];
    let run = stage.world.countersign(&status).status(1);
    run.stdout_holds(&["rule 'all' asks for a push certificate, and none can be for this server"]).check();
    let wrong = [&install[..], &["--address", "server.git"]].concat();
    let words = "invalid value 'server.git' for '--address <URL>': it depends on where it was used from";
    stage.world.countersign(&wrong).status(64).stderr_holds(&[words]).check();

    stage.install(&[]);
    let path = format!("address: {}\n", stage.world.redact(&stage.path()));
    stage.world.countersign(&status).any_status().stdout_holds(&[&path]).check();
    stage.server().git(&["config", "--unset", "receive.certNonceSeed"]).check();
    let words = "asks for a push certificate, and git takes none here: set 'receive.certNonceSeed'";
    stage.world.countersign(&status).status(1).stdout_holds(&[words]).check();
    stage.world.countersign(&install).stdout_holds(&[words]).check();
    stage.install(&[]);
    refused(&stage.push(&["--signed", "main"]), &["does not support --signed push"]);
    refused(
        &stage.push(&["--signed=if-asked", "main"]),
        &["the push is not signed", "set 'receive.certNonceSeed'"],
    );
}

#[test]
fn a_hook_that_was_there_is_told_of_the_certificate_as_well() {
    let stage = Stage::new("");
    stage.world.countersign(&["hook", "uninstall", "--repository", "server.git"]).any_stdout().check();
    let hook = stage.world.write(
        "server.git/hooks/pre-receive",
        "#!/bin/sh\n[ -z \"$GIT_PUSH_CERT\" ] || git cat-file blob \"$GIT_PUSH_CERT\" >\"$GIT_DIR/seen\"\n\
         cat >\"$GIT_DIR/lines\"\n",
    );
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    stage.policy(REQUIRED, "");
    stage.install(&[]);
    let commit = stage.commit("first");
    accepted(&stage.push(&["--signed", "main"]));
    let seen = fs::read_to_string(stage.world.path("server.git/seen")).unwrap();
    assert!(seen.starts_with("certificate version 0.1\n"), "{seen}");
    let lines = fs::read_to_string(stage.world.path("server.git/lines")).unwrap();
    assert!(lines.ends_with(&format!("{commit} refs/heads/main\n")), "{lines}");
}

#[test]
fn a_rule_that_only_warns_lets_an_unsigned_push_pass_with_words() {
    let stage = Stage::new(&format!("{REQUIRED}mode = \"warn\"\n"));
    stage.commit("first");
    let outcome = stage.push(&["main"]);
    accepted(&outcome);
    assert!(
        outcome.words().contains("warning: refs/heads/main: the push is not signed"),
        "{}",
        outcome.words()
    );
}

#[test]
fn the_signers_own_words_about_who_pushes_are_not_believed() {
    let stage = Stage::new(REQUIRED);
    stage.commit("first");
    stage.world.set("SIGSTORE_ID_TOKEN", &stage.world.token(BOB));
    let push = ["-c", "user.signingKey=alice@example.com", "push", "-q", "--signed", &stage.path(), "main"];
    let run = stage.work().git(&push).env("GIT_COMMITTER_EMAIL", ALICE).any_status();
    refused(&run.any_stderr().check(), &["signed by 'bob@example.com'"]);
    // Nor does it take anything from alice.
    stage.world.set("SIGSTORE_ID_TOKEN", &stage.world.token(ALICE));
    let push = ["-c", "user.signingKey=bob", "push", "-q", "--signed", &stage.path(), "main"];
    stage.work().git(&push).env("GIT_COMMITTER_EMAIL", BOB).any_stderr().check();
}

#[test]
fn git_itself_can_verify_with_countersign_on_the_server() {
    let stage = Stage::new(REQUIRED);
    stage.server().git(&["config", "gpg.x509.program", PROGRAM]).check();
    stage.commit("first");
    accepted(&stage.push(&["--signed", "main"]));
}

#[test]
fn whoever_signs_the_push_is_one_of_the_persons_who_vouch() {
    let stage = Stage::new("");
    let threshold = |rule: &str| {
        stage.policy(rule, "");
        let text = fs::read_to_string(stage.world.path("policy.toml")).unwrap();
        let text = text.replace("commits = \"unsigned\"", "commits = [\"alice\", \"bob\"]");
        let text = text.replace("version = 1\n", "version = 1\nrepository = \"example.com/r\"\n");
        stage.world.write("policy.toml", text);
    };
    threshold("threshold = 2\n");
    stage.work().commit_as(BOB, "by bob");
    let refused_for_want = stage.push(&["main"]);
    assert_ne!(refused_for_want.status, 0, "bob alone");
    // Alice's signature of the push makes two.
    accepted(&stage.push(&["--signed", "main"]));
    // The same person twice is one.
    stage.work().commit("by alice");
    let twice = stage.push(&["--signed", "main"]);
    assert_ne!(twice.status, 0, "{}", twice.words());
}
