//! What is not to the letter is refused, each for its one cause; and no changed bit is ever good.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use countersign::{
    signature::{
        FormatError,
        ssh::{self, Certificate, PublicKey, Revocations, SshSignature},
    },
    verify::{Bad, CannotTell, Verdict},
};

use crate::{
    keys::KINDS,
    software::{Parts, Token, string},
    workshop::{Workshop, armor, payload, verify},
};

fn format(cause: FormatError) -> Verdict {
    Verdict::CannotTell(CannotTell::Format(cause))
}

/// A plain key in software, and its signature over the payload.
struct Plain {
    pair: Ed25519KeyPair,
    parts: Parts,
}

impl Plain {
    fn new() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = [string("ssh-ed25519"), string(pair.public_key())].concat();
        let mut plain = Self { pair, parts: Parts::new(key) };
        plain.parts.signature = plain.signature(&plain.parts);
        plain
    }

    fn signature(&self, parts: &Parts) -> Vec<u8> {
        [string("ssh-ed25519"), string(self.pair.sign(&parts.signed(&payload())))].concat()
    }

    /// The parts, spoiled and then signed.
    fn signed(&self, spoil: impl FnOnce(&mut Parts)) -> Verdict {
        let mut parts = self.parts.clone();
        spoil(&mut parts);
        parts.signature = self.signature(&parts);
        verify(&payload(), &parts.armor())
    }

    /// The parts, signed and then spoiled.
    fn spoiled(&self, spoil: impl FnOnce(&mut Parts)) -> Verdict {
        let mut parts = self.parts.clone();
        spoil(&mut parts);
        verify(&payload(), &parts.armor())
    }
}

#[test]
fn each_field_has_one_spelling() {
    let plain = Plain::new();
    assert!(matches!(plain.signed(|_| {}), Verdict::Stated(_)));
    for namespace in ["file", "Git", "git2", "gi"] {
        let verdict = plain.signed(|parts| parts.namespace = namespace.into());
        assert_eq!(verdict, format(FormatError::Namespace), "{namespace}");
    }
    assert_eq!(plain.signed(|parts| parts.namespace = Vec::new()), format(FormatError::Ssh));
    assert_eq!(plain.signed(|parts| parts.reserved = b"x".to_vec()), format(FormatError::Ssh));
    for hash in ["sha1", "sha384", "SHA256", ""] {
        assert_eq!(plain.signed(|parts| parts.hash = hash.into()), format(FormatError::Algorithm), "{hash}");
    }
    assert_eq!(plain.spoiled(|parts| parts.magic = b"SSHSIg".to_vec()), format(FormatError::Ssh));
    for version in [0, 2, u32::MAX] {
        assert_eq!(plain.spoiled(|parts| parts.version = version), format(FormatError::Version));
    }
    assert_eq!(plain.spoiled(|parts| parts.tail = vec![0]), format(FormatError::Ssh));
    assert_eq!(plain.spoiled(|parts| parts.hash = b"sha512".to_vec()), Verdict::Bad(Bad::Signature));
    assert_eq!(plain.spoiled(|parts| parts.key.push(0)), format(FormatError::SshKey));
    assert_eq!(plain.spoiled(|parts| parts.key = string("ssh-dss")), format(FormatError::SshKey));
    assert_eq!(plain.spoiled(|parts| parts.signature.push(0)), format(FormatError::Ssh));
    let longer = |parts: &mut Parts| {
        parts.signature = [string("ssh-ed25519"), string([0; 65])].concat();
    };
    assert_eq!(plain.spoiled(longer), Verdict::Bad(Bad::Signature));
    for other in ["sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "rsa-sha2-256"] {
        let verdict = plain.spoiled(|parts| {
            let flags: &[u8] = if other.starts_with("sk-") { &[1, 0, 0, 0, 1] } else { &[] };
            parts.signature = [string(other), string([0; 64]), flags.to_vec()].concat();
        });
        assert_eq!(verdict, format(FormatError::Algorithm), "{other}");
    }
}

#[test]
fn the_armor_is_one_strict_block() {
    let good = String::from_utf8(Plain::new().parts.armor()).unwrap();
    let judge = |text: &str| verify(&payload(), text.as_bytes());
    assert!(matches!(judge(good.trim_end()), Verdict::Stated(_)), "as git keeps it in a commit");
    let base64: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    let wrapped = |columns: usize| {
        let lines: Vec<_> =
            base64.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let body = lines.join("\n");
        format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
    };
    assert!(matches!(judge(&wrapped(64)), Verdict::Stated(_)), "as PEM libraries write it");
    for (text, cause) in [
        (format!("{good}\n"), FormatError::TrailingBytes),
        (format!("{good}x"), FormatError::TrailingBytes),
        (good.replace('\n', "\r\n"), FormatError::Armor),
        (good.replacen('\n', "\n\n", 1), FormatError::Armor),
        (good.replacen('\n', "\nVersion: 1\n\n", 1), FormatError::Armor),
        (good.replace("-----END SSH SIGNATURE-----\n", ""), FormatError::Armor),
        (good.replace("END SSH", "END PGP"), FormatError::Armor),
        (wrapped(63), FormatError::Armor),
        (wrapped(76), FormatError::Armor),
        (wrapped(1000), FormatError::Armor),
        (format!("-----BEGIN SSH SIGNATURE-----\n{}", "A".repeat(300_000)), FormatError::TooLarge),
    ] {
        assert_eq!(judge(&text), format(cause), "{text:.200}");
    }
    assert_eq!(judge(&format!(" {good}")), format(FormatError::Armor));
}

#[test]
fn truncated_signatures_are_never_good() {
    let blob = ssh::decode(&Plain::new().parts.armor()).unwrap();
    for length in 0..blob.len() {
        let verdict = verify(&payload(), &armor(&blob[..length]));
        assert!(matches!(verdict, Verdict::CannotTell(CannotTell::Format(_))), "{length}: {verdict:?}");
    }
}

#[test]
fn rsa_signs_with_sha2_and_enough_bits() {
    let Some(workshop) = Workshop::open("ssh weak rsa") else { return };
    workshop.key("key", &["rsa", "-b", "2048"]);
    let good = ssh::decode(&workshop.sign("key", &payload(), &[])).unwrap();
    let position = good.windows(12).rposition(|window| window == b"rsa-sha2-512").unwrap();
    // The name of the old algorithm is shorter; the lengths around it change with it.
    let tail = &good[position + 12..];
    let renamed = [string("ssh-rsa"), tail.to_vec()].concat();
    let head = &good[..position - 8];
    let sha1 = armor(&[head, &string(renamed)].concat());
    assert_eq!(verify(&payload(), &sha1), format(FormatError::Algorithm));
    let mut other_hash = good.clone();
    other_hash[position + 9..position + 12].copy_from_slice(b"256");
    assert_eq!(verify(&payload(), &armor(&other_hash)), Verdict::Bad(Bad::Signature));

    workshop.key("small", &["rsa", "-b", "1024"]);
    let small = workshop.sign("small", &payload(), &[]);
    assert_eq!(verify(&payload(), &small), format(FormatError::KeySize));
}

#[test]
fn an_authority_that_did_not_sign_is_bad() {
    let Some(workshop) = Workshop::open("ssh forged certificates") else { return };
    workshop.key("ca", &["ed25519"]);
    workshop.key("key", &["ed25519"]);
    workshop.certify("ca", "key", &["-I", "i", "-n", "alice"]);
    // The signature covers no certificate: a forger could put in any that the authority has signed.
    let good = ssh::decode(&workshop.sign("key-cert.pub", &payload(), &[])).unwrap();
    let position = good.windows(5).position(|window| window == b"alice").unwrap();
    let mut forged = good.clone();
    forged[position..position + 5].copy_from_slice(b"mally");
    assert_eq!(verify(&payload(), &armor(&forged)), Verdict::Bad(Bad::CertificateSignature));
    assert_ne!(workshop.oracle(&payload(), &armor(&forged)).status, 0);
}

#[test]
fn no_changed_bit_is_good() {
    let Some(workshop) = Workshop::open("ssh flipped bits") else { return };
    workshop.key("ca", &["ed25519"]);
    let mut signatures = Vec::new();
    for (index, (kind, _)) in KINDS.iter().enumerate().filter(|(_, (kind, _))| !kind.contains(&"3072")) {
        let key = format!("key{index}");
        workshop.key(&key, kind);
        signatures.push(workshop.sign(&key, &payload(), &[]));
    }
    workshop.certify("ca", "key0", &["-I", "i", "-n", "alice", "-V", "20200101:20400101"]);
    signatures.push(workshop.sign("key0-cert.pub", &payload(), &[]));
    signatures.extend(Token::both().map(|token| token.armor(token.blob(), &payload(), 1)));
    assert_eq!(signatures.len(), 8);
    for signature in &signatures {
        assert!(matches!(verify(&payload(), signature), Verdict::Stated(_)));
        let blob = ssh::decode(signature).unwrap();
        for position in 0..blob.len() * 8 {
            let mut changed = blob.clone();
            changed[position / 8] ^= 1 << (position % 8);
            let verdict = verify(&payload(), &armor(&changed));
            assert!(!matches!(verdict, Verdict::Stated(_) | Verdict::Good(_)), "bit {position}");
        }
    }
    let armored = &signatures[0];
    for position in 0..armored.len() * 8 {
        let mut changed = armored.clone();
        changed[position / 8] ^= 1 << (position % 8);
        // The last line feed may be missing but not be something else.
        let verdict = verify(&payload(), &changed);
        assert!(!matches!(verdict, Verdict::Stated(_) | Verdict::Good(_)), "bit {position} of the armor");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let _ = SshSignature::parse(&bytes);
        let _ = Certificate::parse(&bytes);
        let _ = PublicKey::parse(&bytes);
        let _ = Revocations::parse(&bytes);
        let _ = Revocations::parse(&[b"SSHKRL\n\0\0\0\0\x01", &bytes[..]].concat());
        let _ = ssh::decode(&bytes);
        let _ = verify(&bytes, &armor(&bytes));
        let _ = Certificate::parse(&[string("ssh-ed25519-cert-v01@openssh.com"), string([0; 32]), string([7; 32]), bytes].concat());
    }

    #[test]
    fn no_spliced_signature_panics(cut in 0usize..300, bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..12)) {
        let mut parts = Parts::new([string("ssh-ed25519"), string([9; 32])].concat());
        parts.signature = [string("ssh-ed25519"), string([0; 64])].concat();
        let mut blob = ssh::decode(&parts.armor()).unwrap();
        let cut = cut.min(blob.len());
        blob.splice(cut..(cut + bytes.len() / 2).min(blob.len()), bytes);
        let verdict = verify(&payload(), &armor(&blob));
        proptest::prop_assert!(!matches!(verdict, Verdict::Stated(_)));
    }
}
