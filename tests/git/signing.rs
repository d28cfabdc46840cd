//! Signing as git, jj, GitButler and EGit ask for it, and every way in which it does not come to a signature.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Instant,
};

use serde_json::json;

use crate::support::{ALICE, BOB, PROGRAM, Repository, World, now, unsigned_token};
use countersign::sandbox::{Authority, Options, RekorOffer};

const BEGIN: &str = "-----BEGIN SIGNED MESSAGE-----\n";
const END: &str = "-----END SIGNED MESSAGE-----\n";
const GOOD: &str = "countersign: good signature by 'alice@example.com' (issuer '[URL]', instance 'sandbox') \
                    at [TIME], known as 'alice@example.com'\n";
/// A commit as git would hand it over to be signed.
const PAYLOAD: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
                       author A <a@example.org> 0 +0000\ncommitter A <a@example.org> 0 +0000\n\nhello\n";

/// Nothing but one armor.
fn assert_armor(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.starts_with(BEGIN) && text.ends_with(END), "{text}");
    assert_eq!(text.matches("-----BEGIN").count(), 1, "{text}");
    assert_eq!(text.matches("-----END").count(), 1, "{text}");
}

/// git refuses to commit, the program says `words` and what to do, and there is no commit.
#[track_caller]
fn assert_no_commit(repository: &Repository<'_>, words: &[&str]) {
    let run = repository.git(&["commit", "-q", "--allow-empty", "-m", "never"]).status(128);
    run.stderr_holds(&["fatal: failed to write commit object"]).check();
    assert!(!repository.has("HEAD"), "there is a commit");
    let said = repository.refusal(PAYLOAD.as_bytes());
    for words in words.iter().chain(&["error: ", "hint: "]) {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
}

#[test]
fn commits_and_tags_are_signed_and_verified_in_repositories_of_both_hashes() {
    for (format, header) in [("sha1", "gpgsig"), ("sha256", "gpgsig-sha256")] {
        let world = World::new();
        world.trust(ALICE);
        let repository = world.repository("r", format);
        repository.commit("first");
        repository.git(&["tag", "-m", "one", "v1"]).check();
        let commit = String::from_utf8(repository.object("commit", "HEAD")).unwrap();
        assert!(commit.contains(&format!("\n{header} {BEGIN} ")), "{commit}");
        assert_eq!(commit.matches("gpgsig").count(), 1, "{commit}");
        let tag = String::from_utf8(repository.object("tag", "v1")).unwrap();
        assert!(tag.contains(&format!("\n\none\n{BEGIN}")) && tag.ends_with(END), "{tag}");

        repository.git(&["verify-commit", "HEAD"]).stderr(GOOD).check();
        repository.git(&["verify-tag", "v1"]).stderr(GOOD).check();
        repository.git(&["fsck", "--strict"]).any_stderr().any_stdout().check();
        repository.countersign(&["verify", "HEAD", "v1"]).any_stdout().check();
    }
}

#[test]
fn init_sets_up_all_that_git_needs() {
    let world = World::new();
    world.write("home/.gitconfig", "[user]\n name = Alice\n email = alice@example.com\n");
    let root = world.path("authority/trusted_root.json").display().to_string();
    let config = world.path("authority/signing_config.json").display().to_string();
    let arguments =
        ["init", "--instance", "sandbox", "--trusted-root", &root, "--signing-config", &config, "--dry-run"];
    let printed = format!(
        "git config --global gpg.format x509\n\
         git config --global gpg.x509.program {PROGRAM}\n\
         git config --global commit.gpgSign true\n\
         git config --global tag.gpgSign true\n\
         git config --global countersign.instance sandbox\n\
         git config --global countersign.sandbox.trustedRoot [DIR]/authority/trusted_root.json\n\
         git config --global countersign.sandbox.signingConfig [DIR]/authority/signing_config.json\n"
    );
    world.countersign(&arguments).stdout(printed.as_str()).check();
    let repository = world.repository("r", "sha1");
    repository.git(&["config", "gpg.format"]).status(1).check();
    world.countersign(&arguments[..7]).stdout(printed).check();
    repository.commit("first");
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
}

#[test]
fn standard_output_is_the_armor_and_standard_error_the_status_lines() {
    let world = World::new();
    let before = now();
    let run = world.countersign(&["--status-fd=2", "-bsau", "Alice <alice@example.com>"]).input(PAYLOAD);
    let outcome = run.any_stdout().any_stderr().check();
    assert_armor(&outcome.stdout);
    let words = outcome.words();
    let lines: Vec<_> = words.lines().collect();
    assert_eq!(lines[..2], ["", "[GNUPG:] BEGIN_SIGNING H8"], "{words}");
    let created: Vec<_> = lines[2].split(' ').collect();
    assert_eq!(created[..6], ["[GNUPG:]", "SIG_CREATED", "D", "19", "8", "00"], "{words}");
    assert!((before..=now()).contains(&created[6].parse().unwrap()), "{words}");
    assert!(created[7].len() == 64 && lines.len() == 3 && words.ends_with('\n'), "{words}");
}

#[test]
fn gitsign_fault_16_a_dash_is_standard_input() {
    let world = World::new();
    for arguments in [&["-bsau", "key", "-"][..], &["-b", "-"], &["--detach-sign", "-"]] {
        assert_armor(&world.countersign(arguments).input(PAYLOAD).any_stdout().check().stdout);
    }
}

#[test]
fn every_caller_is_understood() {
    let world = World::new();
    let file = world.write("payload", PAYLOAD);
    let file = file.to_str().unwrap();
    let key = "Alice <alice@example.com>";
    // jj: neither '-s' nor '--status-fd', and nothing may stand on standard error.
    let jj = world.countersign(&["-abu", key]).input(PAYLOAD).any_stdout().check();
    assert_armor(&jj.stdout);
    for arguments in [
        // git itself, and with it lazygit, magit and whatever runs git; gitui
        &["--status-fd=2", "-bsau", key][..],
        // GitButler
        &["--status-fd=2", "-bsau", key, "-"],
        &["-bsau", key, "-"],
        // EGit, and whatever takes options apart
        &["--status-fd", "2", "-b", "-s", "-a", "-u", key],
        &["--status-fd=2", "--detach-sign", "--sign", "--armor", "--local-user", key],
        &["--status-fd=2", "-sbau", key],
        &["--status-fd=2", "-bsau", key, file],
        &["--batch", "--no-tty", "--status-fd=2", "--keyid-format=long", "-bsau", key],
    ] {
        let outcome = world.countersign(arguments).input(PAYLOAD).any_stdout().any_stderr().check();
        assert_armor(&outcome.stdout);
        world.write("signature", &outcome.stdout);
        // git, and jj, which gives both as files and nothing on standard input.
        for (verify, input) in [
            (&["--status-fd=1", "--verify", "signature", "-"][..], PAYLOAD),
            (&["--keyid-format=long", "--status-fd=1", "--verify", "signature", "-"], PAYLOAD),
            (&["--status-fd", "1", "--verify", "signature"], PAYLOAD),
            (&["--status-fd=1", "--verify", "signature", "payload"], ""),
            (&["--status-fd=1", "--verify", "--", "signature", "payload"], ""),
        ] {
            let run = world.countersign(verify).input(input).any_stderr();
            run.stdout_holds(&["[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG "]).check();
            // What was not signed is never good, whoever asks.
            world.write("payload", format!("{PAYLOAD} "));
            let input = if input.is_empty() { "" } else { "other" };
            let bad = world.countersign(verify).input(input).any_status().any_stderr();
            let bad = bad.stdout_holds(&["[GNUPG:] BADSIG "]).check();
            assert!(bad.status != 0 && !bad.text().contains("GOODSIG"), "{verify:?}");
            world.write("payload", PAYLOAD);
        }
    }
    // jj tells by the status lines alone, and has no word for 'ERRSIG'.
    world.write("empty", "-----BEGIN SIGNED MESSAGE-----\nAAAA\n-----END SIGNED MESSAGE-----\n");
    let run = world.countersign(&["--status-fd=1", "--verify", "empty", "payload"]).any_status().any_stderr();
    run.stdout_holds(&["[GNUPG:] ERRSIG ", "[GNUPG:] NO_PUBKEY "]).check();
    world.countersign(&["--version", "--batch"]).stdout_holds(&["gpg (countersign) "]).check();
    world.countersign(&["--list-secret-keys", key]).check();
}

#[test]
fn one_signature_reads_the_configuration_once() {
    let world = World::new();
    let git = world.run("sh", &["-c", "command -v git"]).any_stdout().check().text();
    let counting = format!("#!/bin/sh\necho \"$@\" >>\"$HOME/called\"\nexec '{}' \"$@\"\n", git.trim_end());
    fs::create_dir(world.path("tmp/bin")).unwrap();
    world.write("tmp/bin/git", counting);
    world.run("chmod", &["+x", "tmp/bin/git"]).check();
    let path = format!("{}:{}", world.path("tmp/bin").display(), std::env::var("PATH").unwrap());
    let run = world.countersign(&["--status-fd=2", "-bsau", ALICE]).env("PATH", path).input(PAYLOAD);
    run.any_stdout().any_stderr().check();
    let called = fs::read_to_string(world.path("home/called")).unwrap();
    assert_eq!(called.lines().count(), 1, "{called}");
}

#[test]
fn status_lines_go_to_the_descriptor_that_is_named() {
    let world = World::new();
    let script = format!("exec '{PROGRAM}' --status-fd=3 -bsau key 3>status");
    let outcome = world.run("sh", &["-c", &script]).input(PAYLOAD).any_stdout().check();
    assert_armor(&outcome.stdout);
    let status = fs::read_to_string(world.path("status")).unwrap();
    assert!(status.starts_with("\n[GNUPG:] BEGIN_SIGNING H8\n[GNUPG:] SIG_CREATED D "), "{status}");

    world.write("signature", &outcome.stdout);
    let script = format!("exec '{PROGRAM}' --status-fd=4 --verify signature - 4>status");
    world.run("sh", &["-c", &script]).input(PAYLOAD).any_stderr().check();
    let status = fs::read_to_string(world.path("status")).unwrap();
    assert!(status.starts_with("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG "), "{status}");

    // One that is not open is an error, and git never sees a good exit without its status line.
    let run = world.countersign(&["--status-fd=77", "--verify", "signature", "-"]).input(PAYLOAD);
    run.status(3).any_stderr().check();
}

#[test]
fn what_is_not_understood_never_ends_well() {
    let world = World::new();
    for arguments in [
        &["--decrypt"][..],
        &["--status-fd=2", "-bsaux"],
        &["--status-fd=2", "-bsaZ", "key"],
        &["--status-fd=x", "-bsau", "key"],
        &["--status-fd=1", "--verify"],
        &["--frobnicate", "--verify", "signature", "-"],
        &["-a", "-u", "key"],
    ] {
        let run = world.countersign(arguments).input(PAYLOAD);
        let run = if arguments == ["--status-fd=2", "-bsaux"] {
            // A key called 'x': the option takes what stands behind it.
            run.any_stdout().any_stderr()
        } else {
            run.status(64).stderr_holds(&["error: ", "hint: "])
        };
        run.check();
    }
    for arguments in [&["frobnicate"][..], &["verify", "--frobnicate"], &[]] {
        world.countersign(arguments).status(64).any_stderr().check();
    }
}

#[test]
fn as_an_openpgp_program_it_refuses_to_sign_and_says_what_to_run() {
    for key in ["gpg.program", "gpg.openpgp.program"] {
        let world = World::new();
        let repository = world.repository("r", "sha1");
        for unset in ["gpg.format", "gpg.x509.program"] {
            repository.git(&["config", "--global", "--unset", unset]).check();
        }
        repository.git(&["config", "--global", key, PROGRAM]).check();
        let before = world.requests();
        assert_no_commit(&repository, &["as its OpenPGP program", "run 'countersign init'"]);
        assert_eq!(world.requests(), before, "nobody was asked for anything");
    }
}

#[test]
fn an_authority_that_is_away_fails_soon_and_leaves_nothing() {
    let mut world = World::new();
    world.stop_authority();
    let repository = world.repository("r", "sha1");
    let begun = Instant::now();
    assert_no_commit(&repository, &["connection refused", "nothing was written; try again in a moment"]);
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_hangs_up_fails_soon_and_leaves_nothing() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(drop));
    world.configure(&format!("[countersign]\n fulcio = {url}\n rekor = {url}"));
    let begun = Instant::now();
    assert_no_commit(&repository, &["no certificate: "]);
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
}

#[test]
fn a_token_that_is_of_no_use_is_refused_before_anyone_is_asked() {
    let claims = |audience: &str, expires: i64| json!({"iss": "https://issuer.example", "sub": "1", "email": ALICE, "aud": audience, "exp": expires});
    let world = World::new();
    let repository = world.repository("r", "sha1");
    let before = world.requests();
    for (token, words) in [
        (unsigned_token(&claims("sigstore", now() - 1)), "the identity token has expired"),
        (
            unsigned_token(&claims("other", now() + 600)),
            "the identity token is for the audience 'other', not for 'sigstore'",
        ),
        ("a secret".to_owned(), "this is not an identity token"),
    ] {
        world.set("SIGSTORE_ID_TOKEN", &token);
        assert_no_commit(&repository, &[words]);
        assert!(!repository.refusal(b"x").contains(&token), "the token is a secret");
    }
    assert_eq!(world.requests(), before);

    let forged = unsigned_token(&json!({
        "iss": world.url(), "sub": "1", "email": ALICE, "aud": "sigstore", "exp": now() + 600,
    }));
    world.set("SIGSTORE_ID_TOKEN", &forged);
    assert_no_commit(&repository, &["no certificate: "]);
    assert_eq!(world.log_size(), 0);
}

#[test]
fn with_no_token_and_nobody_to_ask_it_says_so() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    world.unset("SIGSTORE_ID_TOKEN");
    world.configure("[countersign]\n login = none");
    assert_no_commit(&repository, &["there is no identity token, and nobody to ask for one"]);
}

#[test]
fn gitsign_729_850_rekor_v2_signs_and_verifies_through_git() {
    for (offer, version) in
        [(RekorOffer::V2Only, None), (RekorOffer::V2First, Some("2")), (RekorOffer::V2First, Some("1"))]
    {
        for format in ["sha1", "sha256"] {
            let mut world = World::offering(offer);
            world.trust(ALICE);
            if let Some(version) = version {
                world.configure(&format!("[countersign]\n rekorVersion = {version}"));
            }
            let repository = world.repository("r", format);
            repository.commit("first");
            repository.git(&["tag", "-m", "one", "v1"]).check();
            let entries = world.log_size();
            assert_eq!(entries, if version == Some("1") { 2 } else { 0 }, "{offer:?} {version:?}");
            world.stop_authority();
            let repository = Repository::at(&world, &world.path("r"));
            repository.git(&["verify-commit", "HEAD"]).stderr(GOOD).check();
            repository.git(&["verify-tag", "v1"]).stderr(GOOD).check();
        }
    }
}

#[test]
fn a_timestamp_besides_rekor_v1_is_asked_for_where_configured() {
    let world = World::offering(RekorOffer::V2First);
    world.trust(ALICE);
    // With both logs offered the one is used that gitsign can read.
    world.configure(&format!("[countersign]\n timestampServerURL = {}/api/v1/timestamp", world.url()));
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    assert_eq!(world.log_size(), 1);
    repository.git(&["verify-commit", "HEAD"]).stderr(GOOD).check();
    let json = repository.countersign(&["verify", "--json"]).any_stdout().check().text();
    let line: serde_json::Value = serde_json::from_str(&json).unwrap();
    let by: Vec<_> = line["times"].as_array().unwrap().iter().map(|time| time["by"].clone()).collect();
    assert_eq!(by.len(), 2, "{json}");
    assert!(by.contains(&"log".into()) && by.contains(&"timestamp-authority".into()), "{json}");
}

#[test]
fn gitsign_fault_14_match_committer_looks_at_the_payload_and_before_anything_exists() {
    for key in ["gitsign.matchCommitter", "countersign.matchCommitter"] {
        let world = World::new();
        let repository = world.repository("r", "sha1");
        // Making it stricter is open to the repository itself.
        repository.git(&["config", key, "yes"]).check();
        world.set("GIT_COMMITTER_EMAIL", BOB);
        let before = world.requests();
        assert_no_commit(
            &repository,
            &[
                "the login is for 'alice@example.com', and the committer is 'a@example.org'",
                "log in as the committer",
            ],
        );
        assert_eq!((world.requests(), world.log_size()), (before, 0), "no certificate and no log entry");
        world.unset("GIT_COMMITTER_EMAIL");
        repository.commit("matches");
        repository.git(&["tag", "-m", "one", "v1"]).check();
    }
}

#[test]
fn a_repository_cannot_take_back_that_the_committer_has_to_match() {
    for key in ["gitsign.matchCommitter", "countersign.matchCommitter"] {
        let world = World::new();
        let repository = world.repository("r", "sha1");
        repository.git(&["config", "--global", key, "true"]).check();
        repository.git(&["config", key, "false"]).check();
        world.set("GIT_COMMITTER_EMAIL", BOB);
        assert_no_commit(&repository, &["the committer is 'a@example.org'"]);
        assert_eq!(world.log_size(), 0);
    }
}

/// Answers each request for a certificate with one for that key and [`BOB`], until somebody hangs up.
fn certify_bob(authority: &Authority, listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut reader = BufReader::new(stream.unwrap());
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim_end().parse().unwrap();
            }
            line.clear();
        }
        if line.is_empty() {
            return;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let request: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let pem = request["publicKeyRequest"]["publicKey"]["content"].as_str().unwrap();
        let (_, key) = der::pem::decode_vec(pem.as_bytes()).unwrap();
        let chain: Vec<String> = (authority.issue_certificate(BOB, &key).unwrap().iter())
            .map(|der| der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap())
            .collect();
        let body = json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        reader.get_mut().write_all([head, body].concat().as_bytes()).unwrap();
    }
}

/// Ends [`certify_bob`] however the test ends.
struct HangUp(SocketAddr);

impl Drop for HangUp {
    fn drop(&mut self) {
        let _ = TcpStream::connect(self.0);
    }
}

#[test]
fn a_certificate_for_somebody_else_signs_nothing() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    world.configure(&format!("[countersign]\n fulcio = http://{address}\n rekor = {}\n", world.url()));
    let authority = world.authority().authority();
    std::thread::scope(|scope| {
        let _server = HangUp(address);
        scope.spawn(|| certify_bob(authority, &listener));
        let words = repository.refusal(PAYLOAD.as_bytes());
        let why = "it is by 'bob@example.com', and the login is for 'alice@example.com'";
        assert!(words.contains(why) && words.contains("nothing was written"), "{words}");
    });
}

#[test]
fn a_wrong_identity_is_refused_before_anything_exists() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    world.configure("[countersign]\n identity = bob@example.com");
    let before = world.requests();
    let words = "the login is for 'alice@example.com', and 'countersign.identity' is 'bob@example.com'";
    assert_no_commit(&repository, &[words]);
    assert_eq!(world.requests(), before);
}

#[test]
fn cve_2023_47122_a_server_whose_keys_are_not_in_the_trusted_root_signs_nothing() {
    let (world, other) = (World::new(), World::with(Options::default()));
    world.write("authority/trusted_root.json", other.authority().authority().trusted_root_json());
    let repository = world.repository("r", "sha1");
    let words = ["the new signature does not verify: ", "nothing was written"];
    assert_no_commit(&repository, &words);
    let run = world.countersign(&["--status-fd=2", "-bsau", "key"]).input(PAYLOAD);
    run.status(3).stderr_begins("error: the new signature does not verify: ").check();
}

#[test]
fn a_payload_that_is_too_large_is_refused_before_anyone_is_asked() {
    let world = World::new();
    let before = world.requests();
    let run = world.countersign(&["--status-fd=2", "-bsau", "key"]).input(vec![b'x'; 17 << 20]);
    run.status(3).stderr_holds(&["error: what is signed cannot be read: it is larger than"]).check();
    assert_eq!(world.requests(), before);
}

#[test]
fn gitsign_fault_9_anything_can_be_signed() {
    let world = World::new();
    for payload in [&b"not a git object"[..], b"", b"\0\xff\r"] {
        let run = world.countersign(&["--status-fd=2", "-bsau", "key"]).input(payload);
        let armor = run.any_stdout().any_stderr().check().stdout;
        world.write("signature", armor);
        let run = world.countersign(&["--status-fd=1", "--verify", "signature", "-"]).input(payload);
        run.stdout_holds(&["\n[GNUPG:] GOODSIG "]).any_stderr().check();
    }
}
