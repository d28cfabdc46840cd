//! The push certificate in the ledger: who pushed, for everybody to verify, and what is told where it was
//! tampered with.

use super::{ALICE, REQUIRED, Stage, accepted};

const LEDGER: &str = "refs/countersign/ledger";

/// What `countersign ledger <arguments>` says of the server, and how it ends.
fn ledger(stage: &Stage, arguments: &[&str]) -> (i32, String) {
    let (command, rest) = arguments.split_first().unwrap();
    let all = [&["ledger", command, "--repository", "server.git"], rest].concat();
    let run = stage.world.countersign(&all).any_status().any_stdout().any_stderr();
    let outcome = run.check();
    (outcome.status, outcome.text() + &outcome.words())
}

#[track_caller]
fn says(stage: &Stage, status: i32, words: &[&str]) {
    let (ended, said) = ledger(stage, &["verify"]);
    assert_eq!(ended, status, "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

/// The newest record, and the blob of its certificate.
fn record(stage: &Stage) -> (String, String) {
    let text = String::from_utf8(stage.server().object("commit", LEDGER)).unwrap();
    let blob = text.lines().find_map(|line| line.strip_prefix("certificate ")).unwrap().to_owned();
    (text, blob)
}

/// Write another newest record in the place of that one, as only somebody can who may write the repository.
fn put(stage: &Stage, record: &str) {
    let server = stage.server();
    let id = server.store("commit", record.as_bytes());
    server.git(&["update-ref", LEDGER, &id]).check();
    // What the server itself remembers is told by itself; this is for who has not looked before.
    let _ = std::fs::remove_file(stage.world.path("server.git/countersign/ledger.head"));
}

/// The same record with another certificate.
fn with_certificate(stage: &Stage, record: &str, certificate: &[u8]) -> String {
    let blob = stage.server().store("blob", certificate);
    let line = format!("100644 blob {blob}\tcertificate\n");
    let run = stage.server().git(&["mktree", "--missing"]).input(line.as_bytes()).any_stdout();
    let tree = run.check().text().trim_end().to_owned();
    let old = |prefix: &str| record.lines().find(|line| line.starts_with(prefix)).unwrap().to_owned();
    record
        .replace(&old("tree "), &format!("tree {tree}"))
        .replace(&old("certificate "), &format!("certificate {blob}"))
}

#[test]
fn the_ledger_names_pusher_and_certificate_and_verifies_it() {
    for format in ["sha1", "sha256"] {
        let stage = Stage::with(REQUIRED, format, &[], "");
        stage.commit("first");
        accepted(&stage.push(&["--signed", "main", "main:topic"]));
        stage.commit("second");
        accepted(&stage.push(&["--signed", "main"]));
        let (_, log) = ledger(&stage, &["log", "--json"]);
        let entries: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(entries.len(), 3);
        for entry in &entries {
            assert_eq!(entry["pusher"], "'alice' by certificate", "{entry}");
            let blob = entry["certificate"].as_str().unwrap();
            let text = String::from_utf8(stage.server().object("blob", blob)).unwrap();
            let line = format!("{} {}\n", entry["new"].as_str().unwrap(), entry["ref"].as_str().unwrap());
            assert!(text.starts_with("certificate version 0.1\n") && text.contains(&line), "{text}");
        }
        assert_eq!(entries[1]["certificate"], entries[2]["certificate"]);
        assert_ne!(entries[0]["certificate"], entries[2]["certificate"]);
        let (_, shown) = ledger(&stage, &["show", "1"]);
        let certificate = format!("certificate: {}\n", entries[2]["certificate"].as_str().unwrap());
        assert!(
            shown.contains("pusher: 'alice' by certificate\n") && shown.contains(&certificate),
            "{shown}"
        );
        // On the server by the policy of the hook.
        says(&stage, 0, &["3 entries, 3 of them by a push certificate, and every certificate is good"]);
        let (_, json) = ledger(&stage, &["verify", "--json"]);
        let json: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!((&json["certified"], &json["verified"]), (&3.into(), &3.into()));
        // In a clone by whoever is named there; by nobody, it cannot be told.
        let verify = |status, words: &str| {
            let path = stage.path();
            let run = stage.work().countersign(&["ledger", "verify", "--remote", &path]);
            let outcome = run.any_status().any_stdout().any_stderr().check();
            let said = outcome.text() + &outcome.words();
            assert!(outcome.status == status && said.contains(words), "{} {said}", outcome.status);
        };
        stage.world.trust("eve@example.com");
        verify(2, "its signer is not named here");
        stage.world.trust(ALICE);
        verify(0, "and every certificate is good");
    }
}

#[test]
fn a_certificate_that_was_tampered_with_is_told() {
    let stage = Stage::with(REQUIRED, "sha1", &[], "");
    stage.commit("first");
    accepted(&stage.push(&["--signed", "main"]));
    let other = stage.server().object("blob", &record(&stage).1);
    stage.commit("second");
    accepted(&stage.push(&["--signed", "main"]));
    let (honest, blob) = record(&stage);
    let certificate = stage.server().object("blob", &blob);
    let text = String::from_utf8(certificate.clone()).unwrap();
    let unsigned = text.split("-----BEGIN").next().unwrap();
    let does_not_count = |id: &str| format!("error: entry 2: the push certificate '{id}' does not count: ");
    for (tampered, cause) in [
        (text.replacen("heads/main", "heads/prod", 1).into_bytes(), "the content was changed after signing"),
        (unsigned.as_bytes().to_vec(), "it is not signed"),
        (other.clone(), "it is not for the update of 'refs/heads/main'"),
        (b"hello\n".to_vec(), "a header line is malformed"),
    ] {
        put(&stage, &with_certificate(&stage, &honest, &tampered));
        let id = record(&stage).1;
        says(&stage, 1, &[&(does_not_count(&id) + cause), "hint: look at it with 'countersign inspect'"]);
        let (ended, said) = ledger(&stage, &["verify", "--no-certificates"]);
        assert_eq!(ended, 0, "{said}");
    }
    // One push, one certificate, also where it would be for the right update.
    let (old, new) = (stage.work().id("HEAD~1"), stage.work().id("HEAD"));
    put(&stage, &honest);
    let digest = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        hex::encode(digest)
    };
    let next = |before: &str, sequence: u64, from: &str, to: &str| {
        let parent = stage.server().store("commit", before.as_bytes());
        let line = |prefix: &str| before.lines().find(|line| line.starts_with(prefix)).unwrap().to_owned();
        before
            .replace(&line("parent "), &format!("parent {parent}"))
            .replace(&line("sequence "), &format!("sequence {sequence}"))
            .replace(
                &line("committer "),
                &format!("committer countersign <countersign@localhost> {sequence} +0000"),
            )
            .replace(&line("previous "), &format!("previous {}", digest(before)))
            .replace(&line("push "), &format!("push {:032x}", sequence))
            .replace(&format!("{old} {new} "), &format!("{from} {to} "))
            .replace(&format!("{new} {old} "), &format!("{from} {to} "))
    };
    let back = next(&honest, 3, &new, &old);
    put(&stage, &back);
    stage.server().git(&["update-ref", "refs/heads/main", &old]).check();
    says(&stage, 1, &["entry 3: the push certificate"]);
    put(&stage, &next(&back, 4, &old, &new));
    stage.server().git(&["update-ref", "refs/heads/main", &new]).check();
    says(&stage, 1, &["it stands beside the push of entry 4 as well, and is good for one"]);
    // Whom the entry names is not who has signed.
    put(&stage, &honest.replace("pusher 'alice'", "pusher 'bob'"));
    says(&stage, 2, &["it is signed by 'alice', and the entry names 'bob' by certificate"]);
    // Spoken of, and not there.
    let tree = honest.lines().next().unwrap();
    let without = honest
        .replace(tree, "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904")
        .replace(&format!("certificate {blob}\n"), "");
    put(&stage, &without);
    says(&stage, 1, &["error: entry 2: it names a pusher by certificate, and has none"]);
    // Gone altogether.
    put(&stage, &honest);
    says(&stage, 0, &["every certificate is good"]);
    let object = stage.world.path("server.git/objects").join(&blob[..2]).join(&blob[2..]);
    std::fs::remove_file(object).unwrap();
    says(&stage, 1, &[&does_not_count(&blob)]);
}
