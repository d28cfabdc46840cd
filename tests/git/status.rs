//! What git makes of our answers: the table of status lines, format letters, trust levels and exit statuses.

use std::fs;

use crate::support::{ALICE, BOB, Repository, World, insert_header, remove_signature};

const SIGNED: &str = "(issuer '[URL]', instance 'sandbox') at [TIME]";

fn good(name: &str, rest: &str) -> String {
    format!("countersign: good signature by '{name}' {SIGNED}{rest}\n")
}

/// Changes the message of the signed commit `revision` and keeps its signature; the new id.
fn tamper(repository: &Repository<'_>, revision: &str) -> String {
    let mut object = repository.object("commit", revision);
    object.extend_from_slice(b"and more\n");
    repository.store("commit", &object)
}

/// What git shows of a commit: letter, name, trust.
fn assert_grade(repository: &Repository<'_>, revision: &str, grade: &str, status: i32, words: &str) {
    assert_eq!(repository.grade(revision), grade, "{words}");
    repository.git(&["verify-commit", revision]).status(status).stderr(words).check();
}

#[test]
fn proven_and_named_is_good_and_fully_trusted() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        world.trust(BOB);
        world.trust(ALICE);
        let repository = world.repository("r", format);
        repository.commit("first");
        let words = good(ALICE, ", known as 'alice@example.com'");
        assert_grade(&repository, "HEAD", "G|alice@example.com|fully", 0, &words);
    }
}

#[test]
fn proven_and_named_by_the_users_policy_is_good_under_the_name_there() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        let policy = world.policy(&[("the-boss", ALICE)]);
        world.configure(&format!("[countersign]\n policy = {}", policy.display()));
        let repository = world.repository("r", format);
        repository.commit("first");
        let words = good(ALICE, ", known as 'the-boss'");
        assert_grade(&repository, "HEAD", "G|alice@example.com|fully", 0, &words);
        repository.commit_as(BOB, "second");
        let words =
            format!("countersign: signed by 'bob@example.com' {SIGNED}, whom the policy does not name\n");
        assert_grade(&repository, "HEAD", "E|", 1, &words);
    }
}

#[test]
fn a_policy_that_cannot_be_used_is_an_error_and_not_unsigned() {
    let world = World::new();
    let policy = world.policy(&[("alice", ALICE)]);
    world.configure(&format!("[countersign]\n policy = {}", policy.display()));
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let text = fs::read_to_string(&policy).unwrap();
    for (broken, words) in [
        (
            Some(text.replace("version = 1", "version = 2")),
            "error: the policy '[DIR]/policy.toml' cannot be used",
        ),
        (Some(format!("{text}\nunknown = 1\n")), "error: the policy '[DIR]/policy.toml' cannot be used"),
        (Some("[".to_owned()), "error: the policy '[DIR]/policy.toml' cannot be used"),
        (Some(text.replace("trusted_root.json", "nowhere.json")), "nowhere.json' cannot be read"),
        (None, "error: there is no policy at '[DIR]/policy.toml'"),
    ] {
        match broken {
            Some(broken) => fs::write(&policy, broken).unwrap(),
            None => fs::remove_file(&policy).unwrap(),
        }
        assert_eq!(repository.grade("HEAD"), "E|", "{words}");
        let run = repository.git(&["verify-commit", "HEAD"]).status(1);
        run.stderr_holds(&[words, "\nhint: "]).check();
        repository.countersign(&["verify"]).status(3).stderr_holds(&[words, "\nhint: "]).check();
    }
}

#[test]
fn proven_without_policy_is_undefined() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        let repository = world.repository("r", format);
        repository.commit("first");
        let words = good(ALICE, "; no policy names anyone");
        assert_grade(&repository, "HEAD", "U|alice@example.com|undefined", 0, &words);
    }
}

#[test]
fn proven_and_not_named_is_refused() {
    let world = World::new();
    world.trust(BOB);
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let words =
        format!("countersign: signed by 'alice@example.com' {SIGNED}, whom the policy does not name\n");
    assert_grade(&repository, "HEAD", "E|", 1, &words);
    // The key is told, and it is not nobody's.
    let key = repository.git(&["log", "-1", "--format=%GK"]).any_stdout().any_stderr().check().text();
    assert!(key.trim().len() == 16 && key.trim() != "0".repeat(16), "{key}");
}

#[test]
fn each_part_of_an_identity_counts() {
    for identity in [
        "sandbox [URL] email alice@example.co",
        "sandbox [URL] email Alice@example.com",
        "sandbox [URL] uri alice@example.com",
        "sandbox [URL]/ email alice@example.com",
        "sandbox https://accounts.google.com email alice@example.com",
        "public-good [URL] email alice@example.com",
    ] {
        let world = World::new();
        let identity = identity.replace("[URL]", world.url());
        world.configure(&format!("[countersign]\n trustedIdentity = {identity}"));
        let repository = world.repository("r", "sha1");
        repository.commit("first");
        assert_eq!(repository.grade("HEAD"), "E|", "{identity}");
    }
}

#[test]
fn a_named_identity_that_names_nobody_stops_everything() {
    let world = World::new();
    world.configure("[countersign]\n trustedIdentity = alice@example.com");
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let words = "error: 'countersign.trustedIdentity' is 'alice@example.com', which names no identity\n\
                 hint: write it as '<instance> <issuer> <email|uri|username> <subject>'\n";
    assert_grade(&repository, "HEAD", "E|", 1, words);
}

#[test]
fn cannot_tell_is_an_error_and_not_unsigned() {
    let (world, other) = (World::new(), World::new());
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    world.write("authority/trusted_root.json", other.authority().authority().trusted_root_json());
    let words = "countersign: cannot tell who signed: no trusted root in use knows the certificate's authority \
                 ('public-good' is [AGE], 'sandbox' is [AGE])\n\
                 hint: run 'countersign trust update public-good', \
                or get the trusted root of 'sandbox' again from whoever runs the instance\n";
    assert_grade(&repository, "HEAD", "E|", 1, words);
}

#[test]
fn gitsign_fault_4_tampered_is_bad_and_not_unsigned() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        world.trust(ALICE);
        let repository = world.repository("r", format);
        repository.commit("first");
        let tampered = tamper(&repository, "HEAD");
        let words = "countersign: bad signature: the content was changed after signing\n";
        assert_grade(&repository, &tampered, "B|unknown", 1, words);
    }
}

#[test]
fn unreadable_trust_is_an_error_and_not_unsigned() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    world.write("authority/trusted_root.json", "{");
    assert_eq!(repository.grade("HEAD"), "E|");
    let run = repository.git(&["verify-commit", "HEAD"]).status(1);
    run.stderr_holds(&["error: the trusted root '[DIR]/authority/trusted_root.json'", "hint: "]).check();
    fs::remove_file(world.path("authority/trusted_root.json")).unwrap();
    assert_eq!(repository.grade("HEAD"), "E|");
    let run = repository.git(&["verify-commit", "HEAD"]).status(1);
    run.stderr_holds(&["'[DIR]/authority/trusted_root.json' cannot be read", "hint: "]).check();
}

#[test]
fn gitsign_fault_5_signer_key_and_fingerprints_are_told() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let fields = |revision: &str| {
        let arguments = ["log", "-1", "--format=%G?|%GS|%GK|%GF|%GP|%GT", revision];
        let line = repository.git(&arguments).any_stdout().any_stderr().check().text();
        line.trim_end().split('|').map(str::to_owned).collect::<Vec<_>>()
    };
    repository.commit("first");
    let first = fields("HEAD");
    repository.commit("second");
    let second = fields("HEAD");
    assert_eq!((first[0].as_str(), first[1].as_str(), first[5].as_str()), ("G", ALICE, "fully"));
    assert!(first[3].len() == 64 && first[3].ends_with(&first[2]) && first[2].len() == 16, "{first:?}");
    let json = repository.countersign(&["verify", "--json", "HEAD~1"]).any_stdout().check().text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["certificateSha256"], first[3].to_lowercase());
    // Certificates come and go; the identity's fingerprint stays, and is nobody else's.
    assert_ne!(first[3], second[3]);
    assert_eq!(first[4], second[4]);
    world.trust(BOB);
    repository.commit_as(BOB, "third");
    assert_ne!(fields("HEAD")[4], first[4]);
}

#[test]
fn gitsign_fault_6_status_lines_are_all_there_is_on_standard_output() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let (payload, armor) = remove_signature(&repository.object("commit", "HEAD"), "gpgsig");
    world.write("signature", &armor);
    let verify = |payload: &[u8], status| {
        let run = world.countersign(&["--status-fd=1", "--verify", "signature", "-"]).input(payload);
        run.status(status).any_stdout().any_stderr().check().text()
    };
    let undefined = verify(&payload, 0);
    let kinds: Vec<_> = undefined.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(kinds, ["NEWSIG", "GOODSIG", "VALIDSIG", "TRUST_UNDEFINED"]);
    world.trust(ALICE);
    assert_eq!(verify(&payload, 0), undefined.replace("TRUST_UNDEFINED", "TRUST_FULLY"));
    assert_eq!(verify(b"x", 1), "[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 0000000000000000 unknown\n");
    world.write("signature", "-----BEGIN SIGNED MESSAGE-----\n");
    let unknown = "[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG 0000000000000000 19 8 00 0 9\n\
                   [GNUPG:] NO_PUBKEY 0000000000000000\n";
    assert_eq!(verify(&payload, 1), unknown);
    fs::remove_file(world.path("signature")).unwrap();
    assert_eq!(verify(&payload, 3), unknown, "jj and git read the lines whatever the exit status");
}

#[test]
fn jj_verifies_with_two_files_and_an_empty_standard_input() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let (payload, armor) = remove_signature(&repository.object("commit", "HEAD"), "gpgsig");
    let (signature, data) = (world.write("s", &armor), world.write("d", &payload));
    let (signature, data) = (signature.to_str().unwrap(), data.to_str().unwrap());
    let arguments = ["--status-fd=1", "--verify", signature, data];
    world.countersign(&arguments).stdout_holds(&["\n[GNUPG:] GOODSIG "]).any_stderr().check();
    world.write("d", [&payload[..], b"x"].concat());
    let run = world.countersign(&arguments).status(1).stdout_holds(&["\n[GNUPG:] BADSIG "]);
    run.any_stderr().check();
    let run = world.countersign(&["--status-fd=1", "--verify", signature, "/nowhere"]).status(3);
    run.stdout_holds(&["\n[GNUPG:] ERRSIG ", "\n[GNUPG:] NO_PUBKEY "]).any_stderr().check();
}

#[test]
fn the_verifier_reads_its_input_to_the_end_whatever_it_thinks_of_it() {
    let world = World::new();
    let payload = vec![b'x'; 1 << 20];
    world.write("signature", "no signature at all");
    fs::write(world.path("payload"), payload).unwrap();
    // 'cat' says with its status whether somebody hung up on it.
    let script = format!(
        "{{ cat payload; echo $? >cat; }} | '{}' --status-fd=1 --verify \"$1\" -",
        crate::support::PROGRAM
    );
    for (signature, status) in [("signature", 1), ("missing", 3)] {
        let run = world.run("sh", &["-c", &script, "sh", signature]).status(status);
        run.stdout_holds(&["\n[GNUPG:] ERRSIG "]).any_stderr().check();
        assert_eq!(fs::read_to_string(world.path("cat")).unwrap(), "0\n");
    }
}

#[test]
fn minimum_trust_is_met_by_who_is_named_and_by_nobody_else() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    repository.git(&["tag", "-m", "one", "v1"]).check();
    for level in ["marginal", "fully"] {
        let level = format!("gpg.minTrustLevel={level}");
        for arguments in [["-c", &level, "verify-commit", "HEAD"], ["-c", &level, "verify-tag", "v1"]] {
            repository.git(&arguments).status(1).any_stderr().check();
        }
    }
    let undefined = ["-c", "gpg.minTrustLevel=undefined", "verify-commit", "HEAD"];
    repository.git(&undefined).any_stderr().check();
    world.trust(ALICE);
    for level in ["undefined", "marginal", "fully"] {
        let level = format!("gpg.minTrustLevel={level}");
        for arguments in [["-c", &level, "verify-commit", "HEAD"], ["-c", &level, "verify-tag", "v1"]] {
            repository.git(&arguments).any_stderr().check();
        }
    }
    let ultimate = ["-c", "gpg.minTrustLevel=ultimate", "verify-commit", "HEAD"];
    repository.git(&ultimate).status(1).any_stderr().check();
}

#[test]
fn tag_v_and_log_show_signature_speak_of_each_object() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let first = repository.commit("first");
    let known = good(ALICE, ", known as 'alice@example.com'");
    repository.git(&["tag", "-m", "one", "v1"]).check();
    let tag = format!("object {first}\ntype commit\ntag v1\n");
    repository.git(&["tag", "-v", "v1"]).stdout_holds(&[&tag, "\n\none\n"]).stderr(known.as_str()).check();
    let unsigned = {
        repository.git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "second"]).check();
        repository.id("HEAD")
    };
    let arguments = ["log", "--show-signature", "--format=%h %s", "--abbrev=40"];
    repository.git(&arguments).stdout(format!("{unsigned} second\n{known}{first} first\n")).check();
    assert_eq!(repository.grade("HEAD"), "N|");
    repository.git(&["verify-commit", "HEAD"]).status(1).check();
}

/// A repository whose branch `side` has one commit more than `main`.
fn with_side<'w>(world: &'w World, side: impl Fn(&Repository<'_>)) -> Repository<'w> {
    let repository = world.repository("r", "sha1");
    repository.commit("base");
    repository.git(&["checkout", "-q", "-b", "side"]).check();
    side(&repository);
    repository.git(&["checkout", "-q", "main"]).check();
    repository
}

#[test]
fn merge_and_pull_let_in_only_who_is_named() {
    for (trusted, signer, merged) in
        [(Some(ALICE), ALICE, true), (None, ALICE, false), (Some(ALICE), BOB, false)]
    {
        let world = World::new();
        let repository = with_side(&world, |repository| drop(repository.commit_as(signer, "side")));
        if let Some(trusted) = trusted {
            world.trust(trusted);
        }
        let (main, side) = (repository.id("main"), repository.id("side"));
        world.run("git", &["clone", "-q", "-b", "main", "r", "clone"]).check();
        let clone = Repository::at(&world, &world.path("clone"));
        for (repository, arguments) in [
            (&repository, &["merge", "-q", "--verify-signatures", "--no-edit", "side"][..]),
            (&clone, &["pull", "-q", "--no-rebase", "--verify-signatures", "origin", "side"]),
        ] {
            let run = repository.git(arguments).status(if merged { 0 } else { 1 });
            let outcome = run.any_stdout().any_status().any_stderr().check();
            assert_eq!(
                outcome.status == 0,
                merged,
                "{trusted:?} {signer} {arguments:?}: {}",
                outcome.words()
            );
            assert_eq!(repository.id("HEAD"), if merged { side.clone() } else { main.clone() });
        }
    }
}

#[test]
fn a_merge_that_is_bad_or_unsigned_stays_out() {
    let world = World::new();
    world.trust(ALICE);
    let repository = with_side(&world, |repository| {
        repository.git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "unsigned"]).check();
    });
    let main = repository.id("main");
    let merge = ["merge", "-q", "--verify-signatures", "--no-edit"];
    let run = repository.git(&[&merge[..], &["side"]].concat()).status(128);
    run.stderr_holds(&["does not have a GPG signature"]).check();
    let child = {
        repository.git(&["checkout", "-q", "side"]).check();
        repository.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "signed"]).check();
        tamper(&repository, "side")
    };
    repository.git(&["checkout", "-q", "main"]).check();
    let run = repository.git(&[&merge[..], &[&child]].concat()).status(128);
    run.stderr_holds(&["has a bad GPG signature"]).check();
    assert_eq!(repository.id("HEAD"), main);
}

#[test]
fn the_remark_about_the_committer_is_for_checked_mail_of_the_public_good_only() {
    // What a committer line says is the signer's to write: it never makes a difference to trust.
    let world = World::new();
    let repository = world.repository("r", "sha1");
    world.set("GIT_COMMITTER_EMAIL", BOB);
    repository.commit("not mine");
    let words = good(ALICE, "; no policy names anyone");
    assert_grade(&repository, "HEAD", "U|alice@example.com|undefined", 0, &words);
}

#[test]
fn a_signature_of_another_object_is_bad() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    repository.commit("second");
    let (_, armor) = remove_signature(&repository.object("commit", "HEAD~1"), "gpgsig");
    let (payload, _) = remove_signature(&repository.object("commit", "HEAD"), "gpgsig");
    let grafted = repository.store("commit", &insert_header(&payload, "gpgsig", &armor));
    assert_eq!(repository.grade(&grafted), "B|unknown");
}
