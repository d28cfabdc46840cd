//! Push certificates read afterwards: `countersign verify` and `countersign inspect`.

use super::{ALICE, REQUIRED, Stage, accepted, support::Repository};

/// A certificate of a push that came: the id of its blob, and its bytes.
fn certificate(stage: &Stage) -> (String, Vec<u8>) {
    stage.commit("first");
    accepted(&stage.push(&["--signed", "-oticket=\u{202e}1", "main", "main:topic"]));
    let list = ["cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)"];
    let blobs = stage.server().git(&list).any_stdout().check().text();
    let blob = blobs.lines().find_map(|line| line.strip_prefix("blob ")).unwrap().to_owned();
    let bytes = stage.server().object("blob", &blob);
    (blob, bytes)
}

#[test]
fn a_certificate_is_verified_as_a_blob_and_as_a_file() {
    for format in ["sha1", "sha256"] {
        let stage = Stage::with(REQUIRED, format, &[], "");
        let (blob, bytes) = certificate(&stage);
        let file = stage.world.write("certificate", &bytes);
        let file = file.to_str().unwrap();
        let policy = stage.world.path("policy.toml");
        let verify = |repository: &Repository<'_>, more: &[&str], status| {
            let arguments = [&["verify", "--policy", policy.to_str().unwrap()], more].concat();
            let run = repository.countersign(&arguments).status(status).any_stdout().any_stderr();
            let outcome = run.check();
            (outcome.text(), outcome.words())
        };
        for (repository, more) in
            [(stage.server(), vec![blob.as_str()]), (stage.work(), vec!["--push-certificate", file])]
        {
            let (text, _) = verify(&repository, &more, 0);
            assert!(text.contains(&blob[..12]) && text.contains(ALICE), "{text}");
            assert!(text.contains("push certificate for 'refs/heads/main' and 1 more"), "{text}");
        }
        let (json, _) = verify(&stage.work(), &["--json", "--push-certificate", file], 0);
        let json: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!((json["type"].as_str(), json["object"].as_str()), (Some("blob"), Some(blob.as_str())));

        let text = String::from_utf8(bytes).unwrap();
        for (from, to, cause) in [
            ("heads/topic", "heads/prod", "the content was changed after signing"),
            ("pusher", "pusher B <b@c> 1 +0000\npusher", "malformed"),
            ("version 0.1", "version 0.2", "version is not 0.1"),
        ] {
            stage.world.write("certificate", text.replacen(from, to, 1));
            let (line, _) = verify(&stage.work(), &["--push-certificate", file], 1);
            assert!(line.contains(cause), "{line}");
        }
        stage.world.write("certificate", text.split("-----BEGIN").next().unwrap());
        verify(&stage.work(), &["--push-certificate", file], 1);
        stage.world.write("certificate", "no certificate");
        let (_, words) = verify(&stage.work(), &["--push-certificate", file], 3);
        assert!(words.contains("it does not begin as one does") && words.contains("hint: "), "{words}");
        stage.world.write("certificate", vec![b'x'; 17 * 1024 * 1024]);
        let (_, words) = verify(&stage.work(), &["--push-certificate", file], 3);
        assert!(words.contains("it is larger than 16777216 bytes"), "{words}");
    }
}

#[test]
fn a_certificate_is_told_with_what_it_says() {
    let stage = Stage::new(REQUIRED);
    let (blob, bytes) = certificate(&stage);
    stage.world.trust(ALICE);
    let file = stage.world.write("certificate", &bytes);
    let commit = stage.work().id("HEAD");
    for (repository, arguments) in [
        (stage.server(), vec!["inspect", blob.as_str()]),
        (stage.work(), vec!["inspect", "--push-certificate", file.to_str().unwrap()]),
    ] {
        let text = repository.countersign(&arguments).any_stdout().any_stderr().check().text();
        for line in [
            format!("blob {blob}\npusher: "),
            format!("\npushee: {}\nnonce: ", stage.path()),
            "\npush option: ticket=\\u{202e}1\n".to_owned(),
            format!("\ncommand: {} {commit} refs/heads/main\n", "0".repeat(40)),
            format!("\ncommand: {} {commit} refs/heads/topic\n", "0".repeat(40)),
            "\nproven:\n".to_owned(),
            format!("\n  email: {ALICE}\n"),
        ] {
            assert!(text.contains(&line), "no {line:?} in {text}");
        }
    }
}
