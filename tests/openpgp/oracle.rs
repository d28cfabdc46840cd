//! One table: how gpg and countersign judge the same commit, each as git's OpenPGP program.

use crate::support::{PAYLOAD, PROGRAM, World, at, now};
use countersign::{
    object::Payload,
    signature::FormatError,
    verify::{Bad, CannotTell, Verdict, Verifier, openpgp::KeyRing},
};

/// What the engine has to say.
#[derive(Debug, PartialEq)]
enum Engine {
    Good,
    GoodKeyExpiredSince,
    Bad,
    CannotTell(CannotTell),
}

struct Case {
    name: &'static str,
    armor: String,
    /// The key that signed, where the engine says good.
    signing_key: Option<String>,
    /// `%G?` of gpg, and ours.
    letters: (char, char),
    engine: Engine,
}

/// Both say `letter`.
fn case(name: &'static str, armor: String, letter: char, engine: Engine) -> Case {
    Case { name, armor, signing_key: None, letters: (letter, letter), engine }
}

/// gpg takes it and we do not.
fn stricter(name: &'static str, armor: String, cause: impl Into<CannotTell>) -> Case {
    let engine = Engine::CannotTell(cause.into());
    Case { name, armor, signing_key: None, letters: ('G', 'E'), engine }
}

const LONG_AGO: &str = "20200101T000000!";
const LATER: &str = "20200601T000000!";
const MUCH_LATER: &str = "20230101T000000!";

fn good(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    for algorithm in ["rsa2048", "rsa3072", "ed25519", "nistp256", "nistp384", "nistp521"] {
        world.key(algorithm, algorithm, "sign", "0", None);
        let armor = world.sign(algorithm, PAYLOAD, &[]);
        cases.push(Case {
            signing_key: Some(world.fingerprint(algorithm)),
            ..case(algorithm, armor, 'G', Engine::Good)
        });
    }
    let armor = world.sign("nistp256", PAYLOAD, &["--digest-algo", "SHA512"]);
    cases.push(case("a longer digest than the curve", armor, 'G', Engine::Good));

    let primary = world.key("subkey", "rsa2048", "cert", "0", None);
    world.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "0"]);
    let armor = world.sign("subkey", PAYLOAD, &[]);
    let signing_key = Some(world.fingerprints("subkey").remove(1));
    cases.push(Case { signing_key, ..case("a signing subkey", armor, 'G', Engine::Good) });

    let fingerprint = world.key("extended", "ed25519", "sign", "1y", Some(LONG_AGO));
    let armor = world.sign("extended", PAYLOAD, &at(Some(LATER)));
    world.gpg(&["--quick-set-expire", &fingerprint, "0"]);
    cases.push(case("an expiry that was taken back", armor, 'G', Engine::Good));
    cases
}

fn expired(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    world.key("expired", "ed25519", "sign", "1y", Some(LONG_AGO));
    let armor = world.sign("expired", PAYLOAD, &at(Some(LATER)));
    cases.push(case("a key that has expired since", armor, 'Y', Engine::GoodKeyExpiredSince));

    let primary = world.key("expired-subkey", "ed25519", "cert", "0", Some(LONG_AGO));
    world.gpg(&[&at(Some(LONG_AGO))[..], &["--quick-add-key", &primary, "ed25519", "sign", "1y"]].concat());
    let armor = world.sign("expired-subkey", PAYLOAD, &at(Some(LATER)));
    cases.push(case("a subkey that has expired since", armor, 'Y', Engine::GoodKeyExpiredSince));

    let primary = world.key("expired-primary", "ed25519", "cert", "1y", Some(LONG_AGO));
    world.gpg(&[&at(Some(LONG_AGO))[..], &["--quick-add-key", &primary, "ed25519", "sign", "0"]].concat());
    let armor = world.sign("expired-primary", PAYLOAD, &at(Some(LATER)));
    cases.push(case("a subkey whose primary key has expired since", armor, 'Y', Engine::GoodKeyExpiredSince));

    let fingerprint = world.key("too-late", "ed25519", "sign", "0", Some(LONG_AGO));
    let armor = world.sign("too-late", PAYLOAD, &at(Some(MUCH_LATER)));
    world.gpg(&[&at(Some(LATER))[..], &["--quick-set-expire", &fingerprint, "1y"]].concat());
    let engine = Engine::CannotTell(CannotTell::KeyExpired);
    cases.push(case("made after the key's end", armor, 'Y', engine));

    let options = [&at(Some(MUCH_LATER))[..], &["--default-sig-expire", "1y"]].concat();
    world.key("passing", "ed25519", "sign", "0", Some(LONG_AGO));
    let armor = world.sign("passing", PAYLOAD, &options);
    let engine = Engine::CannotTell(CannotTell::SignatureExpired);
    cases.push(case("a signature that has expired", armor, 'X', engine));

    world.key("newborn", "ed25519", "sign", "0", None);
    let options = [&at(Some(LATER))[..], &["--ignore-time-conflict"]].concat();
    let armor = world.sign("newborn", PAYLOAD, &options);
    let engine = Engine::CannotTell(CannotTell::KeyUnfit);
    cases.push(case("made before the key", armor, 'E', engine));
    cases
}

fn revoked(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let engine = || Engine::CannotTell(CannotTell::KeyRevoked);
    for (name, user, code) in [
        ("revoked without a reason", "revoked", "0"),
        ("revoked for compromise", "compromised", "1"),
        ("revoked as superseded, after the signature", "superseded", "2"),
    ] {
        let fingerprint = world.key(user, "ed25519", "sign", "0", Some(LONG_AGO));
        let armor = world.sign(user, PAYLOAD, &at(Some(LATER)));
        world.edit(&fingerprint, &format!("revkey\ny\n{code}\n\ny\nsave\n"));
        cases.push(case(name, armor, 'R', engine()));
    }
    let primary = world.key("revoked-subkey", "ed25519", "cert", "0", None);
    world.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "0"]);
    let armor = world.sign("revoked-subkey", PAYLOAD, &[]);
    world.edit(&primary, "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    cases.push(case("a revoked subkey", armor, 'R', engine()));

    // What cannot be checked here can still only refuse.
    let fingerprint = world.key("revoked-oddly", "rsa2048", "sign", "0", None);
    let armor = world.sign("revoked-oddly", PAYLOAD, &[]);
    std::fs::write(world.path("gnupg/gpg.conf"), "cert-digest-algo SHA224\n").unwrap();
    world.edit(&fingerprint, "revkey\ny\n0\n\ny\nsave\n");
    std::fs::remove_file(world.path("gnupg/gpg.conf")).unwrap();
    cases.push(case("revoked with a digest that is never used", armor, 'R', engine()));
    cases
}

fn unfit(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let fingerprint = world.key("not-for-signing", "ed25519", "sign", "0", Some(LONG_AGO));
    let armor = world.sign("not-for-signing", PAYLOAD, &[]);
    world.edit(&fingerprint, "change-usage\nS\nQ\nsave\n");
    let engine = Engine::CannotTell(CannotTell::KeyUnfit);
    cases.push(case("a key that may not sign", armor, 'E', engine));

    let fingerprint = world.key("unknown", "ed25519", "sign", "0", None);
    let armor = world.sign("unknown", PAYLOAD, &[]);
    world.gpg(&["--yes", "--delete-secret-and-public-key", &fingerprint]);
    cases.push(case("an unknown key", armor, 'E', Engine::CannotTell(CannotTell::UnknownKey)));

    // An old file that gpg has left behind, with a key that was deleted since.
    let fingerprint = world.key("deleted", "ed25519", "sign", "0", None);
    let armor = world.sign("deleted", PAYLOAD, &[]);
    let old = world.path("gnupg/pubring.gpg");
    world.gpg(&["--output", old.to_str().unwrap(), "--export", &fingerprint]);
    world.gpg(&["--yes", "--delete-secret-and-public-key", &fingerprint]);
    cases.push(case("a key that was deleted", armor, 'E', Engine::CannotTell(CannotTell::UnknownKey)));

    world.gpg(&["--quick-generate-key", "a%0A[GNUPG:] %25 ~ ö <odd@example.org>", "ed25519", "sign", "0"]);
    cases.push(case("an odd name", world.sign("odd@example.org", PAYLOAD, &[]), 'G', Engine::Good));

    let armor = world.sign("ed25519", &PAYLOAD.replace("message", "massage"), &[]);
    cases.push(case("over other bytes", armor, 'B', Engine::Bad));

    let armor = world.sign("ed25519", PAYLOAD, &["--sig-notation", "!demand@example.org=1"]);
    let engine = Engine::CannotTell(FormatError::CriticalSubpacket.into());
    cases.push(Case { letters: ('B', 'E'), ..case("a demand that nobody understands", armor, 'E', engine) });

    let armor = world.sign("rsa2048", PAYLOAD, &["--digest-algo", "SHA1"]);
    cases.push(stricter("SHA-1", armor, CannotTell::WeakAlgorithm));
    let armor = world.sign("rsa2048", PAYLOAD, &["--digest-algo", "RIPEMD160"]);
    cases.push(stricter("RIPEMD-160", armor, CannotTell::WeakAlgorithm));
    for algorithm in ["rsa1024", "dsa2048", "brainpoolP256r1"] {
        world.key(algorithm, algorithm, "sign", "0", None);
        cases.push(stricter(algorithm, world.sign(algorithm, PAYLOAD, &[]), CannotTell::WeakAlgorithm));
    }
    let armor = world.sign("ed25519", PAYLOAD, &["--textmode"]);
    cases.push(stricter("over text", armor, FormatError::TextSignature));
    let armor = world.sign("ed25519", PAYLOAD, &["--sig-notation", "note@example.org=1"]);
    cases.push(case("a note without a demand", armor, 'G', Engine::Good));
    cases
}

#[test]
fn gpg_and_countersign_say_the_same_of_the_same_commit() {
    let Some(world) = World::new("OpenPGP beside gpg") else { return };
    let cases = [good(&world), expired(&world), revoked(&world), unfit(&world)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    let verifier = Verifier::new(vec![]).with_openpgp(KeyRing::from_binary(&world.ring()).unwrap());
    let mut wrong = Vec::new();
    for Case { name, armor, signing_key, letters, engine } in &cases {
        let found = match verifier.verify(&Payload::whole(PAYLOAD.as_bytes()), armor.as_bytes(), now()) {
            Verdict::Stated(stated) => {
                if signing_key.as_ref().is_some_and(|key| key != stated.signing_key()) {
                    wrong.push(format!("{name}: by {}, not {signing_key:?}", stated.signing_key()));
                }
                if stated.key_expired() { Engine::GoodKeyExpiredSince } else { Engine::Good }
            }
            Verdict::Bad(Bad::Signature) => Engine::Bad,
            Verdict::CannotTell(cause) => Engine::CannotTell(cause),
            other => panic!("{other:?}"),
        };
        if found != *engine {
            wrong.push(format!("{name}: {found:?}, not {engine:?}"));
        }
        let id = world.commit(armor);
        // git dies of '%GT' where there is no trust.
        let format = if letters.0 == 'G' && letters.1 == 'G' {
            "%G?|%GK|%GF|%GP|%GS|%GT"
        } else {
            "%G?|%GK|%GF|%GP|%GS"
        };
        let (theirs, ours) = (world.log("gpg", &id, format), world.log(PROGRAM, &id, format));
        let letter = |line: &str| line.chars().next().unwrap_or(' ');
        if (letter(&theirs), letter(&ours)) != *letters {
            wrong.push(format!("{name}: gpg '{theirs}', countersign '{ours}', not {letters:?}"));
        }
        if letters.0 == letters.1 && theirs != ours {
            wrong.push(format!("{name}: gpg '{theirs}', countersign '{ours}'"));
        }
        let accepts = |program: &str| {
            let program = format!("gpg.program={program}");
            let mut git = world.command("git");
            git.current_dir(world.path("repository")).args(["-c", &program, "verify-commit", &id]);
            git.output().unwrap().status.success()
        };
        if accepts(PROGRAM) && !accepts("gpg") {
            wrong.push(format!("{name}: countersign accepts what gpg does not"));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", cases.len(), wrong.join("\n"));
}
