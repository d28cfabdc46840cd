//! Signatures of versions 4 and 6 by Sequoia, the engine of sq, with the answers that it gives itself.
//!
//! They were made by sequoia-openpgp 2.4.2 with `sequoia/generate.rs.txt`; the sq that systems carry knows
//! no version 6.

use std::{collections::BTreeMap, fs, path::Path};

use countersign::{
    object::Payload,
    signature::FormatError,
    verify::{Bad, CannotTell, Verdict, Verifier, openpgp::KeyRing},
};

const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nmessage\n";
/// When Sequoia was asked: 30 days after the keys were made.
const NOW: i64 = 1_780_000_000 + 30 * 86_400;

fn judge(name: &str, payload: &[u8], now: i64) -> Verdict {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openpgp/sequoia");
    let read = |extension: &str| fs::read(folder.join(format!("{name}.{extension}"))).unwrap();
    let verifier = Verifier::new(Vec::new()).with_openpgp(KeyRing::from_armored(&read("cert")).unwrap());
    verifier.verify(&Payload::whole(payload), &read("sig"), now)
}

#[test]
fn sequoia_and_we_agree_but_where_git_and_gpg_are_stricter() {
    let answers = include_str!("sequoia/answers.tsv");
    let mut counts = BTreeMap::new();
    for line in answers.lines() {
        let (name, answer) = line.split_once('\t').unwrap();
        let verdict = judge(name, PAYLOAD, NOW);
        let variant = name.splitn(3, '-').nth(2).unwrap();
        let is_expected = match (variant, &verdict) {
            ("good" | "primary", Verdict::Stated(stated)) => answer == "good" && !stated.key_expired(),
            ("expired-since", Verdict::Stated(stated)) => answer == "good" && stated.key_expired(),
            ("expired-before", verdict) => *verdict == Verdict::CannotTell(CannotTell::KeyExpired),
            ("subkey-expired", verdict) => *verdict == Verdict::CannotTell(CannotTell::KeyExpired),
            ("revoked", verdict) => *verdict == Verdict::CannotTell(CannotTell::KeyRevoked),
            // gpg knows no softer revocation, whatever its reason: who revokes means it.
            ("retired", verdict) => {
                answer == "good" && *verdict == Verdict::CannotTell(CannotTell::KeyRevoked)
            }
            ("sha1", verdict) => *verdict == Verdict::CannotTell(CannotTell::WeakAlgorithm),
            // Line ends are not signed in such a signature, and git's objects are bytes.
            ("text", verdict) => {
                *verdict == Verdict::CannotTell(CannotTell::from(FormatError::TextSignature))
            }
            _ => false,
        };
        assert!(is_expected, "{name}: Sequoia says {answer}, and we {verdict:?}");
        *counts.entry(&name[..2]).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("v4", 14), ("v6", 13)]));
}

#[test]
fn what_sequoia_signed_is_those_bytes_and_no_others() {
    for name in ["v4-p384-good", "v6-ed25519-good", "v6-p521-good", "v6-rsa-good", "v6-ed448-good"] {
        assert_eq!(judge(name, b"another payload", NOW), Verdict::Bad(Bad::Signature), "{name}");
        let verdict = judge(name, PAYLOAD, 1_780_000_000);
        assert_eq!(verdict, Verdict::CannotTell(CannotTell::FutureTime), "{name}");
    }
}
