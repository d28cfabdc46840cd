//! Changed bytes: never good, and never the end of the program.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::{
    object::Payload,
    signature::{FormatError, openpgp::Detached},
    verify::{
        Verdict, Verifier,
        openpgp::{KeyRing, KeyRingError},
    },
};
use proptest::prelude::*;

use crate::support::{PAYLOAD, World, now};

/// The bytes inside an armor.
fn dearmored(armor: &str) -> Vec<u8> {
    let lines = armor.lines().skip_while(|line| !line.is_empty()).skip(1);
    STANDARD.decode(lines.take_while(|line| !line.starts_with(['=', '-'])).collect::<String>()).unwrap()
}

fn armored(bytes: &[u8]) -> String {
    let base64 = STANDARD.encode(bytes);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PGP SIGNATURE-----\n\n{}\n-----END PGP SIGNATURE-----\n", lines.join("\n"))
}

fn is_good(verifier: &Verifier, payload: &[u8], armor: &str) -> bool {
    matches!(verifier.verify(&Payload::whole(payload), armor.as_bytes(), now()), Verdict::Stated(_))
}

#[test]
fn no_signature_survives_a_flipped_bit() {
    let Some(world) = World::new("flipped bits") else { return };
    for algorithm in ["ed25519", "nistp256", "rsa2048"] {
        world.key(algorithm, algorithm, "sign", "0", None);
        let armor = world.sign(algorithm, PAYLOAD, &[]);
        let verifier = Verifier::new(vec![]).with_openpgp(KeyRing::from_binary(&world.ring()).unwrap());
        let bytes = dearmored(&armor);
        assert!(is_good(&verifier, PAYLOAD.as_bytes(), &armored(&bytes)), "{algorithm}");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Of a number's bit count there are two spellings; everything else has one.
            let good = is_good(&verifier, PAYLOAD.as_bytes(), &armored(&flipped));
            assert!(!good || counts_bits(&bytes, bit / 8), "{algorithm}: bit {bit}");
        }
        let mut payload = PAYLOAD.as_bytes().to_vec();
        for bit in 0..payload.len() * 8 {
            payload[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_good(&verifier, &payload, &armor), "{algorithm}: payload bit {bit}");
            payload[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// Whether the octet at `at` belongs to the bit count of one of the numbers at the end.
fn counts_bits(signature: &[u8], at: usize) -> bool {
    let counts = (0..signature.len() - 2).filter(|start| {
        let mut rest = &signature[*start..];
        while let Some((bits, tail)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*bits)).div_ceil(8);
            match tail.split_at_checked(length) {
                Some((number, tail)) if number.len() >= 30 => rest = tail,
                _ => return false,
            }
        }
        rest.is_empty()
    });
    counts.into_iter().any(|start| (start..start + 2).contains(&at))
}

#[test]
fn there_is_one_spelling_of_a_signature() {
    let Some(world) = World::new("one spelling") else { return };
    world.key("a", "ed25519", "sign", "0", None);
    let armor = world.sign("a", PAYLOAD, &[]);
    let bytes = dearmored(&armor);
    let parse = |armor: &str| Detached::parse(armor.as_bytes()).map(|_| ());
    assert_eq!(parse(&armor), Ok(()));
    assert_eq!(parse(armor.trim_end()), Ok(()), "git leaves out the last line feed");
    assert_eq!(parse(&format!("{armor}\n")), Ok(()), "GitHub adds one");
    assert_eq!(parse(&armor.replacen("\n\n", "\nVersion: GnuPG v2\n\n", 1)), Ok(()));
    let checksum = armor.lines().find(|line| line.starts_with('=') && line.len() == 5).unwrap().to_owned();
    for (other, cause) in [
        (format!("{armor}x"), FormatError::TrailingBytes),
        (format!("{armor}{armor}"), FormatError::TrailingBytes),
        (format!("x\n{armor}"), FormatError::Armor),
        (armor.replace('\n', "\r\n"), FormatError::Armor),
        (armor.replacen("\n\n", "\n", 1), FormatError::Armor),
        (armor.replacen("\n\n", "\n \n", 1), FormatError::Armor),
        (armor.replace(&checksum, "=AAAA"), FormatError::Armor),
        (armor.replacen("\n\n", "\n\n\n", 1), FormatError::Armor),
        (armor.replace("PGP SIGNATURE", "PGP MESSAGE"), FormatError::Armor),
        ("x".repeat(1 << 20), FormatError::TooLarge),
        (armored(&[bytes.clone(), bytes.clone()].concat()), FormatError::Packet),
        (armored(&[&bytes[..], &[0xb4, 1, b'x']].concat()), FormatError::Packet),
        (armored(&bytes[..bytes.len() - 1]), FormatError::Packet),
        (armored(&[]), FormatError::Armor),
    ] {
        assert_eq!(parse(&other), Err(cause), "{other}");
    }
    // Length of the unhashed area, then its one subpacket: something else than an issuer is added.
    let at = bytes.windows(4).position(|window| window == [0, 10, 9, 16]).unwrap();
    let mut more = bytes.clone();
    more[at + 1] = 13;
    more.splice(at + 12..at + 12, [2, 100, 0]);
    more[1] += 3;
    assert_eq!(parse(&armored(&more)), Err(FormatError::UnknownAttribute));
}

#[test]
fn a_ring_holds_certificates_and_nothing_else() {
    let Some(world) = World::new("key rings") else { return };
    let fingerprint = world.key("a", "ed25519", "sign", "0", None);
    let armor = world.gpg(&["--armor", "--export"]);
    let ring = KeyRing::from_armored(format!("{armor}\n{armor}").as_bytes()).unwrap();
    assert_eq!(ring.fingerprints().collect::<Vec<_>>(), [fingerprint]);
    let secret = world.gpg(&["--armor", "--export-secret-keys"]);
    let cause = |bytes: &[u8]| KeyRing::from_armored(bytes).map(|_| ()).unwrap_err();
    assert_eq!(cause(secret.as_bytes()), KeyRingError::SecretKey);
    assert_eq!(cause(b""), KeyRingError::Empty);
    assert_eq!(cause(b"hello"), KeyRingError::Armor);
    assert_eq!(cause(armor.replacen("mDME", "m*ME", 1).as_bytes()), KeyRingError::Armor);
    let behind = |more: &str| cause(format!("{armor}{more}").as_bytes());
    assert_eq!(behind("-----BEGIN PGP MESSAGE-----"), KeyRingError::Armor);
    assert_eq!(behind(&armor.replacen("-----BEGIN", "----BEGIN", 1)), KeyRingError::Armor);
    let binary = world.ring();
    assert_eq!(cause(&binary[..binary.len() - 1]), KeyRingError::Packets);
    assert!(KeyRing::from_armored(&binary).is_ok());
    assert_eq!(cause(&vec![0x99; (32 << 20) + 1]), KeyRingError::TooLarge);
}

#[test]
fn no_bytes_end_the_program() {
    let Some(world) = World::new("hostile bytes") else { return };
    let mut signatures = Vec::new();
    for (algorithm, usage) in
        [("rsa2048", "cert"), ("ed25519", "sign"), ("nistp256", "sign"), ("dsa2048", "sign")]
    {
        let fingerprint = world.key(algorithm, algorithm, usage, "2y", None);
        world.gpg(&["--quick-add-key", &fingerprint, "ed25519", "sign", "1y"]);
        signatures.push(dearmored(&world.sign(algorithm, PAYLOAD, &[])));
    }
    let ring = world.ring();
    let mutation = (any::<prop::sample::Index>(), any::<u8>());
    let strategy = (
        0..signatures.len(),
        prop::collection::vec(mutation.clone(), 0..4),
        prop::collection::vec(mutation, 0..6),
        any::<Option<prop::sample::Index>>(),
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let change = |bytes: &[u8], mutations: &[(prop::sample::Index, u8)]| {
        let mut bytes = bytes.to_vec();
        for (at, value) in mutations {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        bytes
    };
    let result = runner.run(&strategy, |(which, in_signature, in_ring, cut)| {
        let signature = change(&signatures[which], &in_signature);
        let mut ring = change(&ring, &in_ring);
        if let Some(cut) = cut {
            ring.truncate(cut.index(ring.len()));
        }
        let _ = Detached::parse(&ring);
        if let Ok(ring) = KeyRing::from_binary(&ring) {
            let verifier = Verifier::new(vec![]).with_openpgp(ring);
            let good = is_good(&verifier, PAYLOAD.as_bytes(), &armored(&signature));
            prop_assert!(!good || signature == signatures[which]);
        }
        Ok(())
    });
    result.unwrap();
}
