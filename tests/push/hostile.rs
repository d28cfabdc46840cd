//! What a hostile pusher, or somebody between a pusher and the server, does with certificates.

use super::{
    ALICE, BOB, REQUIRED, Stage, accepted,
    crafted::{required, stage},
    refused,
};

const ZERO: &str = "0000000000000000000000000000000000000000";

#[track_caller]
fn done(outcome: &super::Outcome, reference: &str) {
    let report = String::from_utf8_lossy(&outcome.stdout);
    assert!(report.contains(&format!("ok {reference}\n")), "{report} {}", outcome.words());
}

#[track_caller]
fn not_done(outcome: &super::Outcome, reference: &str, words: &str) {
    let report = String::from_utf8_lossy(&outcome.stdout);
    assert!(!report.contains(&format!("ok {reference}")), "{report}");
    let said = outcome.words();
    assert!(said.contains(words), "no {words:?} in {said}");
}

#[test]
fn a_certificate_is_good_for_one_push() {
    let stage = required();
    let commit = stage.commit("first");
    stage.upload("main");
    let name = "refs/heads/topic";
    let payload = stage.payload(&stage.nonce(), &[(ZERO, &commit, name)]);
    let request = stage.request(&stage.certificate(&payload));
    done(&stage.send(&request), name);
    assert_eq!(stage.server().id(name), commit);
    // Alice takes the branch away, and somebody who listened wants it back.
    accepted(&stage.push(&["--signed", ":topic"]));
    not_done(&stage.send(&request), name, "the push certificate does not count: it has been used before");
    // The same words with another signature are the same certificate, in another blob.
    let again = stage.certificate(&payload);
    not_done(&stage.send(&stage.request(&again)), name, "it has been used before");
    assert!(!stage.server().has(name));
    // Whoever forgets can be told anything: what is forgotten is what keeps it out.
    std::fs::remove_dir_all(stage.world.path("server.git/countersign/push-certificates")).unwrap();
    done(&stage.send(&request), name);
}

#[test]
fn a_certificate_that_was_refused_is_used_up_as_well() {
    let stage = stage(&REQUIRED.replace("alice", "bob"));
    let commit = stage.commit("first");
    stage.upload("main");
    let name = "refs/heads/main";
    let payload = stage.payload(&stage.nonce(), &[(ZERO, &commit, name)]);
    let request = stage.request(&stage.certificate(&payload));
    not_done(&stage.send(&request), name, "signed by 'alice@example.com'");
    stage.policy(REQUIRED, "");
    not_done(&stage.send(&request), name, "it has been used before");
}

#[test]
fn of_many_that_replay_at_once_one_is_served() {
    let stage = required();
    let commit = stage.commit("first");
    stage.upload("main");
    let name = "refs/heads/main";
    let payload = stage.payload(&stage.nonce(), &[(ZERO, &commit, name)]);
    let request = stage.request(&stage.certificate(&payload));
    let receive = || {
        let run = stage.world.run("git", &["receive-pack", "--stateless-rpc", "server.git"]);
        run.input(&request).start_piped()
    };
    let mut all: Vec<_> = (0..12).map(|_| receive()).collect();
    let outcomes: Vec<_> = all.iter_mut().map(super::support::Started::finish).collect();
    let served =
        |outcome: &&super::Outcome| String::from_utf8_lossy(&outcome.stdout).contains("ok refs/heads/main\n");
    assert_eq!(outcomes.iter().filter(served).count(), 1);
    for outcome in outcomes.iter().filter(|outcome| !served(outcome)) {
        // Whoever came after the ref was there is told of that.
        let words = outcome.words();
        let causes = ["it has been used before", "the ref is at "];
        assert!(causes.iter().any(|cause| words.contains(cause)), "none has come as far as the ref: {words}");
    }
}

#[test]
fn two_hundred_signed_pushes_at_once_are_each_judged_for_themselves() {
    let stage = required();
    let commit = stage.commit("first");
    stage.upload("main");
    let nonce = stage.nonce();
    // Signing is what takes long: four certificates, each sent fifty times.
    let requests: Vec<_> = (0..4)
        .map(|index| {
            let payload = stage.payload(&nonce, &[(ZERO, &commit, &format!("refs/heads/b{index}"))]);
            stage.request(&stage.certificate(&payload))
        })
        .collect();
    let mut served = [0; 4];
    for _ in 0..10 {
        let start = |request: &Vec<u8>| {
            let run = stage.world.run("git", &["receive-pack", "--stateless-rpc", "server.git"]);
            run.input(request).start_piped()
        };
        let mut running: Vec<_> = (0..20).map(|index| (index % 4, start(&requests[index % 4]))).collect();
        for (index, started) in &mut running {
            let report = started.finish().stdout;
            served[*index] += usize::from(String::from_utf8_lossy(&report).contains("ok refs/heads/b"));
        }
    }
    assert_eq!(served, [1; 4]);
}

#[test]
fn a_certificate_for_another_server_is_refused() {
    let stage = required();
    let commit = stage.commit("first");
    stage.upload("main");
    let name = "refs/heads/main";
    let right = stage.payload(&stage.nonce(), &[(ZERO, &commit, name)]);
    // The nonces of two repositories with one seed behind one web server are the same.
    let foreign = right.replace(&format!("pushee {}", stage.path()), "pushee https://example.com/other");
    let outcome = stage.send(&stage.request(&stage.certificate(&foreign)));
    not_done(&outcome, name, "it is for 'https://example.com/other', which is no address of this server");
    let nowhere = right.replace(&format!("pushee {}\n", stage.path()), "");
    let outcome = stage.send(&stage.request(&stage.certificate(&nowhere)));
    not_done(&outcome, name, "it does not say where the push goes");
    let hostile = right.replace(&stage.path(), "https://\u{202e}example.com/r");
    let outcome = stage.send(&stage.request(&stage.certificate(&hostile)));
    not_done(&outcome, name, "it is for 'https://\\u{202e}example.com/r'");
    // It is told for each ref, and as long as whoever signs it likes.
    let long = format!("https://example.com/{}", "x".repeat(50_000));
    let many: Vec<String> = (0..50).map(|number| format!("refs/heads/n{number}")).collect();
    let commands: Vec<(&str, &str, &str)> =
        many.iter().map(|name| (ZERO, commit.as_str(), &**name)).collect();
    let endless = stage.payload(&stage.nonce(), &commands).replace(&stage.path(), &long);
    let outcome = stage.send(&stage.request(&stage.certificate(&endless)));
    not_done(&outcome, &many[0], "it is for 'https://example.com/xxx");
    assert!(outcome.words().len() + outcome.text().len() < 16_000, "{}", outcome.words().len());
    // Neither was used up: nobody had to give it out.
    done(&stage.send(&stage.request(&stage.certificate(&right))), name);
}

#[test]
fn a_nonce_that_the_server_has_not_given_out_is_refused() {
    let stage = required();
    let commit = stage.commit("first");
    stage.upload("main");
    let name = "refs/heads/main";
    let nonce = stage.nonce();
    let send = |nonce: &str| {
        let payload = stage.payload(nonce, &[(ZERO, &commit, name)]);
        stage.send(&stage.request(&stage.certificate(&payload)))
    };
    let (seconds, code) = nonce.split_once('-').unwrap();
    let earlier: i64 = seconds.parse().unwrap();
    let forged = format!("{}-{code}", earlier - 1);
    not_done(&send(&forged), name, "its nonce is 'BAD' for git");
    not_done(&send("x"), name, "its nonce is 'BAD' for git");
    stage.server().git(&["config", "receive.certNonceSeed", "another seed"]).check();
    not_done(&send(&nonce), name, "its nonce is 'BAD' for git");
    let payload = stage.payload(&nonce, &[(ZERO, &commit, name)]);
    let without = payload.replace(&format!("nonce {nonce}\n"), "");
    let outcome = stage.send(&stage.request(&stage.certificate(&without)));
    not_done(&outcome, name, "the server gave out no nonce for it");
    stage.server().git(&["config", "--unset", "receive.certNonceSeed"]).check();
    // git takes no certificate then, so that there are no commands.
    let outcome = send(&nonce);
    assert!(!stage.server().has(name), "{}", outcome.words());
}

#[test]
fn a_certificate_that_lies_about_the_old_value_is_refused() {
    let stage = required();
    let one = stage.commit("one");
    let two = stage.commit("two");
    stage.upload("main");
    accepted(&stage.push(&["--signed", &format!("{one}:refs/heads/main")]));
    let name = "refs/heads/main";
    for old in [ZERO, &two] {
        let payload = stage.payload(&stage.nonce(), &[(old, &two, name)]);
        let outcome = stage.send(&stage.request(&stage.certificate(&payload)));
        not_done(&outcome, name, "the ref is at ");
    }
    assert_eq!(stage.server().id(name), one);
}

#[test]
fn a_certificate_that_was_changed_or_is_read_in_two_ways_is_refused_whoever_asks() {
    for rule in [REQUIRED, ""] {
        let stage = stage(rule);
        let commit = stage.commit("first");
        stage.upload("main");
        let name = "refs/heads/main";
        let payload = stage.payload(&stage.nonce(), &[(ZERO, &commit, name)]);
        let good = stage.certificate(&payload);
        let changed = |from: &str, to: &str| {
            let at = good.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
            [&good[..at], to.as_bytes(), &good[at + from.len()..]].concat()
        };
        for (certificate, words) in [
            (changed("heads/main", "heads/prod"), "the content was changed after signing"),
            (changed("pusher Alice", "pusher Mallory"), "the content was changed after signing"),
            (changed("pusher", "pusher Bob <b@example.com> 1 +0000\npusher"), "it is malformed"),
            (changed("nonce ", "nonce 1-a\nnonce "), "it is malformed"),
            (changed("\n\n", "\nx-other y\n\n"), "it is malformed"),
            // git ends each line at a NUL, so that what it stores is not what was sent.
            (changed("pusher Alice", "pusher A\0lice"), ""),
            (changed("heads/main\n", "heads/main\0 x\n"), ""),
            // git takes only the last armor for the signature.
            (changed("-----BEGIN", "-----BEGIN PGP MESSAGE-----\n-----BEGIN"), ""),
        ] {
            let outcome = stage.send(&stage.request(&certificate));
            not_done(&outcome, "refs/heads/", words);
        }
        let server = stage.server();
        assert!(!server.has(name) && !server.has("refs/heads/prod"));
        // It was never used, and is good as it was signed.
        done(&stage.send(&stage.request(&good)), name);
    }
}

/// Calls the installed hook as git does, with what git would never hand it.
fn hook(stage: &Stage, variables: &[(&str, &str)], lines: &str) -> super::Outcome {
    let path = stage.world.path("server.git/hooks/pre-receive");
    let run = stage.world.run(path.to_str().unwrap(), &[]).directory(&stage.world.path("server.git"));
    let run = variables.iter().fold(run.env("GIT_DIR", "."), |run, (name, value)| run.env(name, value));
    run.input(lines).any_stderr().any_status().check()
}

#[test]
fn a_certificate_vouches_for_the_whole_of_its_push_and_nothing_else() {
    let stage = required();
    let commit = stage.commit("first");
    stage.upload("main");
    let nonce = stage.nonce();
    let commands = [(ZERO, commit.as_str(), "refs/heads/main"), (ZERO, &commit, "refs/heads/topic")];
    let certificate = stage.certificate(&stage.payload(&nonce, &commands));
    let blob = stage.server().store("blob", &certificate);
    let lines: Vec<String> =
        commands.iter().map(|(old, new, name)| format!("{old} {new} {name}\n")).collect();
    let told = |lines: &str, more: &[(&str, &str)]| {
        let usual = [
            ("GIT_PUSH_CERT", blob.as_str()),
            ("GIT_PUSH_CERT_NONCE", &nonce),
            ("GIT_PUSH_CERT_NONCE_STATUS", "OK"),
        ];
        hook(&stage, &[&usual[..], more].concat(), lines)
    };
    let (first, second) = (&lines[0], &lines[1]);
    for (lines, words) in [
        (first.clone(), "it holds 2 commands, and git carries out 1"),
        (second.clone(), "its command 1 is not the one"),
        (format!("{second}{first}"), "its command 1 is not the one"),
        (
            format!("{first}{second}{ZERO} {commit} refs/heads/more\n"),
            "it holds 2 commands, and git carries out 3",
        ),
    ] {
        refused(&told(&lines, &[]), &[words]);
    }
    let whole = lines.concat();
    for (more, words) in [
        (&[("GIT_PUSH_OPTION_COUNT", "1"), ("GIT_PUSH_OPTION_0", "x")][..], "it holds other push options"),
        (&[("GIT_PUSH_OPTION_COUNT", "one")], "it holds other push options"),
        (
            &[("GIT_PUSH_CERT_NONCE_STATUS", "SLOP"), ("GIT_PUSH_CERT_NONCE_SLOP", "9")],
            "came back after 9 seconds",
        ),
        (&[("GIT_PUSH_CERT_NONCE_STATUS", "UNSOLICITED")], "its nonce is 'UNSOLICITED' for git"),
        (&[("GIT_PUSH_CERT_NONCE_STATUS", "")], "the server gave out no nonce for it"),
        (&[("GIT_PUSH_CERT_NONCE", "1-a")], "its nonce is 'another one' for git"),
        (&[("GIT_PUSH_CERT", "x")], "'x' is no object id"),
        (&[("GIT_PUSH_CERT", &commit)], "is a commit"),
        (&[("GIT_PUSH_CERT", &"1".repeat(40))], "is missing"),
        // What git says about the signer changes nothing, and no signature is no signature.
        (
            &[("GIT_PUSH_CERT", ""), ("GIT_PUSH_CERT_STATUS", "G"), ("GIT_PUSH_CERT_SIGNER", ALICE)],
            "is not signed",
        ),
    ] {
        refused(&told(&whole, more), &[words]);
    }
    accepted(&told(&whole, &[("GIT_PUSH_CERT_STATUS", "B"), ("GIT_PUSH_CERT_SIGNER", BOB)]));
    refused(&told(&whole, &[]), &["it has been used before"]);
}

#[test]
fn a_huge_or_unsigned_certificate_is_refused() {
    let stage = required();
    let commit = stage.commit("first");
    stage.upload("main");
    let nonce = stage.nonce();
    let line = format!("{ZERO} {commit} refs/heads/main\n");
    let payload = stage.payload(&nonce, &[(ZERO, &commit, "refs/heads/main")]);
    let judged = |certificate: &[u8]| {
        let blob = stage.server().store("blob", certificate);
        let usual = [("GIT_PUSH_CERT", blob.as_str()), ("GIT_PUSH_CERT_NONCE_STATUS", "OK")];
        hook(&stage, &[&usual[..], &[("GIT_PUSH_CERT_NONCE", &nonce)]].concat(), &line)
    };
    refused(&judged(payload.as_bytes()), &["the push certificate: it is not signed"]);
    let huge = payload.replace("\n\n", &format!("\npush-option {}\n\n", "x".repeat(17 * 1024 * 1024)));
    refused(&judged(huge.as_bytes()), &["is larger than 16777216 bytes"]);
    refused(&judged(b""), &["it is malformed"]);
}

#[test]
fn variables_that_a_pusher_brings_along_do_not_make_a_certificate() {
    let stage = required();
    stage.commit("first");
    accepted(&stage.push(&["--signed", "main:topic"]));
    // The certificate lies in the store; its name and nonce are no secret to whoever may read it.
    let list = ["cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)"];
    let blobs = stage.server().git(&list).any_stdout().check().text();
    let blob = blobs.lines().find_map(|line| line.strip_prefix("blob ")).unwrap().to_owned();
    let certificate = String::from_utf8(stage.server().object("blob", &blob)).unwrap();
    let nonce = certificate.lines().find_map(|line| line.strip_prefix("nonce ")).unwrap();
    accepted(&stage.push(&["--signed", ":topic"]));
    let push = |reference: &str| {
        let run = stage.work().git(&["push", "-q", &stage.path(), reference]);
        let run = run.env("GIT_PUSH_CERT", &blob).env("GIT_PUSH_CERT_NONCE", nonce);
        run.env("GIT_PUSH_CERT_NONCE_STATUS", "OK").any_stderr().any_status().check()
    };
    refused(&push("main:other"), &["its command 1 is not the one"]);
    refused(&push("main:topic"), &["it has been used before"]);
}

#[test]
fn a_certificate_that_nobody_asks_for_may_be_anybodys() {
    let stage = Stage::new("");
    stage.commit("first");
    stage.world.set("SIGSTORE_ID_TOKEN", &stage.world.token("eve@example.com"));
    accepted(&stage.push(&["--signed", "main"]));
}

#[test]
fn a_memory_that_cannot_be_written_refuses() {
    let stage = Stage::new(REQUIRED);
    stage.commit("first");
    std::fs::write(stage.world.path("server.git/countersign/push-certificates"), "in the way").unwrap();
    refused(
        &stage.push(&["--signed", "main"]),
        &["that it is used cannot be written down: '", "see to the hook's state folder"],
    );
}
