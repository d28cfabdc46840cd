//! Certificates that somebody has put together by hand: nothing in them makes a key anybody else's, and
//! what is revoked in one place is revoked.

use countersign::{
    object::Payload,
    verify::{CannotTell, Key, Verdict, Verifier, openpgp::KeyRing},
};

use proptest::prelude::*;

use crate::support::{PAYLOAD, PROGRAM, World, now, write};

const SIGNATURE: u8 = 2;
const PRIMARY: u8 = 6;
const USER_ID: u8 = 13;
const SUBKEY: u8 = 14;

/// The packets of an export: tag and bytes, header included (RFC 9580 §4.2).
fn packets(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut packets = Vec::new();
    while let [first, ..] = bytes {
        assert_eq!(first & 0xc0, 0x80, "gpg writes the old format");
        let (header, length) = match first & 3 {
            0 => (2, usize::from(bytes[1])),
            1 => (3, usize::from(u16::from_be_bytes([bytes[1], bytes[2]]))),
            _ => panic!("no packet here is as long"),
        };
        let (packet, rest) = bytes.split_at(header + length);
        packets.push(((first >> 2) & 15, packet.to_vec()));
        bytes = rest;
    }
    packets
}

fn joined(packets: &[(u8, Vec<u8>)]) -> Vec<u8> {
    packets.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
}

fn export(world: &World, fingerprint: &str) -> Vec<u8> {
    let arguments = ["--batch", "--quiet", "--export", fingerprint];
    world.command("gpg").args(arguments).output().unwrap().stdout
}

fn judge(ring: &[&[u8]], armor: &str) -> Verdict {
    let mut all = KeyRing::default();
    ring.iter().for_each(|ring| all.extend(KeyRing::from_binary(ring).unwrap()));
    Verifier::new(vec![]).with_openpgp(all).verify(
        &Payload::whole(PAYLOAD.as_bytes()),
        armor.as_bytes(),
        now(),
    )
}

#[track_caller]
fn assert_cannot(verdict: Verdict, cause: CannotTell) {
    assert_eq!(verdict, Verdict::CannotTell(cause));
}

#[test]
fn whoever_adopts_a_subkey_is_never_shown_as_its_owner() {
    let Some(world) = World::new("adopted subkeys") else { return };
    let alice = world.key("alice", "ed25519", "cert", "0", None);
    world.gpg(&["--quick-add-key", &alice, "ed25519", "sign", "0"]);
    let mallory = world.key("mallory", "ed25519", "sign", "0", None);
    let subkey = world.fingerprints("alice").remove(1);
    let (of_alice, of_mallory) = (export(&world, &alice), export(&world, &mallory));
    let adopted: Vec<_> =
        packets(&of_alice).into_iter().skip_while(|(tag, _)| *tag != SUBKEY).take(2).collect();
    // A certificate of Mallory's with Alice's subkey stands before hers.
    let adopter = [of_mallory, joined(&adopted)].concat();
    let armor = world.sign("alice", PAYLOAD, &[]);
    match judge(&[&adopter, &of_alice], &armor) {
        Verdict::Stated(stated) => {
            assert_eq!(stated.keys(), [Key::OpenPgp { fingerprint: alice.clone() }]);
            assert_eq!(stated.signing_key(), subkey);
        }
        other => panic!("{other:?}"),
    }
    assert_cannot(judge(&[&adopter], &armor), CannotTell::KeyUnfit);

    std::fs::write(world.path("ring"), [adopter, of_alice].concat()).unwrap();
    let policy = format!(
        "version = 1\nother_refs = \"refuse\"\n[[openpgp_certificates]]\nfile = \"ring\"\n\
         [identity.alice]\nopenpgp = [\"{alice}\"]\n[identity.mallory]\nopenpgp = [\"{mallory}\"]\n"
    );
    let policy = write(&world.path(""), "policy", &policy);
    world.git(&["config", "--global", "countersign.policy", policy.to_str().unwrap()]);
    let id = world.commit(&armor);
    let shown = world.log(PROGRAM, &id, "%G?|%GS|%GF|%GP");
    assert_eq!(shown, format!("G|alice <alice@example.org>|{subkey}|{alice}"));
}

#[test]
fn a_revocation_counts_wherever_it_stands() {
    let Some(world) = World::new("misplaced revocations") else { return };
    let alice = world.key("alice", "ed25519", "cert", "0", None);
    world.gpg(&["--quick-add-key", &alice, "ed25519", "sign", "0"]);
    let armor = world.sign("alice", PAYLOAD, &[]);
    let before = export(&world, &alice);
    assert!(matches!(judge(&[&before], &armor), Verdict::Stated(_)));

    world.edit(&alice, "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    let after = packets(&export(&world, &alice));
    let second: Vec<_> = after.iter().skip_while(|(tag, _)| *tag != SUBKEY).cloned().collect();
    // The subkey a second time, now with its revocation.
    assert_cannot(judge(&[&[before.clone(), joined(&second)].concat()], &armor), CannotTell::KeyRevoked);
    // Its revocation alone, behind the user id.
    let is_known = |packet: &(u8, Vec<u8>)| packets(&before).contains(packet);
    let revocation: Vec<_> = after.iter().filter(|packet| !is_known(packet)).cloned().collect();
    assert!(matches!(&revocation[..], [(SIGNATURE, _)]), "{revocation:?}");
    let mut moved = packets(&before);
    let user = moved.iter().position(|(tag, _)| *tag == USER_ID).unwrap();
    moved.insert(user + 1, revocation[0].clone());
    assert_cannot(judge(&[&joined(&moved)], &armor), CannotTell::KeyRevoked);
    // In another copy of the certificate.
    assert_cannot(judge(&[&before, &joined(&after)], &armor), CannotTell::KeyRevoked);

    // The revocation of the whole key at the very end, where 'cat' puts it.
    let bob = world.key("bob", "ed25519", "cert", "0", None);
    world.gpg(&["--quick-add-key", &bob, "ed25519", "sign", "0"]);
    let armor = world.sign("bob", PAYLOAD, &[]);
    let before = export(&world, &bob);
    world.edit(&bob, "revkey\ny\n0\n\ny\nsave\n");
    let after = packets(&export(&world, &bob));
    assert_eq!((after[0].0, after[1].0), (PRIMARY, SIGNATURE));
    assert_cannot(judge(&[&[before.clone(), after[1].1.clone()].concat()], &armor), CannotTell::KeyRevoked);

    // A user id that is revoked in one copy alone: without another there is nothing left that counts.
    let carol = world.key("carol", "ed25519", "sign", "0", None);
    let armor = world.sign("carol", PAYLOAD, &[]);
    let before = export(&world, &carol);
    world.gpg(&["--quick-add-uid", &carol, "other <other@example.org>"]);
    world.gpg(&["--quick-revoke-uid", &carol, "carol <carol@example.org>"]);
    let mut after = packets(&export(&world, &carol));
    let other = |packet: &(u8, Vec<u8>)| packet.0 == USER_ID && packet.1.ends_with(b"<other@example.org>");
    let at = after.iter().position(other).unwrap();
    after.drain(at..at + 2);
    assert_cannot(judge(&[&joined(&after)], &armor), CannotTell::KeyUnfit);
    assert_cannot(judge(&[&before, &joined(&after)], &armor), CannotTell::KeyUnfit);
    assert_cannot(judge(&[&joined(&after), &before], &armor), CannotTell::KeyUnfit);
}

/// What gpg's status line says of a signature by a certificate that it has just taken in.
fn imported(world: &World, certificate: &[u8], armor: &str) -> String {
    let home = tempfile::Builder::new().prefix("gh").tempdir_in("/tmp").unwrap();
    let gpg = |arguments: &[&str]| {
        let mut command = world.command("gpg");
        command.env("GNUPGHOME", home.path()).args(["--batch", "--quiet", "--no-autostart"]).args(arguments);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    };
    std::fs::write(home.path().join("certificate"), certificate).unwrap();
    let signature = write(home.path(), "signature", armor);
    let payload = write(home.path(), "payload", PAYLOAD);
    gpg(&["--import", home.path().join("certificate").to_str().unwrap()]);
    gpg(&["--status-fd=1", "--verify", signature.to_str().unwrap(), payload.to_str().unwrap()])
}

#[test]
fn no_second_copy_of_a_part_makes_good_what_gpg_refuses() {
    let Some(world) = World::new("rearranged certificates") else { return };
    const LONG_AGO: &str = "20200101T000000!";
    const LATER: &str = "20200601T000000!";
    let then = |time: &'static str, arguments: &[&str]| {
        world.gpg(&[&["--ignore-time-conflict", "--faked-system-time", time][..], arguments].concat());
    };
    let mut cases = Vec::new();
    // A subkey whose life was cut short, and one that was revoked.
    for user in ["shortened", "revoked"] {
        let primary = world.key(user, "ed25519", "cert", "0", Some(LONG_AGO));
        then(LONG_AGO, &["--quick-add-key", &primary, "ed25519", "sign", "0"]);
        let armor = world.sign(user, PAYLOAD, &["--faked-system-time", "20210601T000000!"]);
        let subkey = world.fingerprints(user).remove(1);
        match user {
            "shortened" => then(LATER, &["--quick-set-expire", &primary, "2m", &subkey]),
            _ => world.edit(&primary, "key 1\nrevkey\ny\n0\n\ny\nsave\n"),
        }
        cases.push((export(&world, &primary), armor));
    }
    // A primary key that was good for longer, has two names of which one is revoked, and may no longer sign.
    for (user, answers) in
        [("named", ""), ("unable", "change-usage\nS\nQ\nsave\n"), ("gone", "revkey\ny\n0\n\ny\nsave\n")]
    {
        let primary = world.key(user, "ed25519", "sign", "0", Some(LONG_AGO));
        let armor = world.sign(user, PAYLOAD, &["--faked-system-time", "20210601T000000!"]);
        let other = format!("other <other-{user}@example.org>");
        then(LATER, &["--quick-add-uid", &primary, &other]);
        if answers.is_empty() {
            // gpg waits for a clock to go on that stands still.
            then("20200602T000000!", &["--quick-set-expire", &primary, "2m"]);
            then("20200603T000000!", &["--quick-revoke-uid", &primary, &other]);
        } else {
            world.edit(&primary, answers);
        }
        cases.push((export(&world, &primary), armor));
    }
    let strategy = (0..cases.len(), prop::collection::vec((0..2_u8, any::<prop::sample::Index>()), 1..4));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&strategy, |(which, changes)| {
        let (certificate, armor) = &cases[which];
        let mut packets = packets(certificate);
        // Nothing is taken away: without it anything may be good.
        for (change, at) in changes {
            let at = 1 + at.index(packets.len() - 1);
            match change {
                // A packet twice.
                0 => packets.insert(at, packets[at].clone()),
                // A user id or subkey once more, with what stands behind it.
                _ => {
                    let parts = packets[at..].iter().skip_while(|(tag, _)| *tag == SIGNATURE);
                    let again: Vec<_> = parts.cloned().collect();
                    packets.extend(again);
                }
            }
        }
        let bytes = joined(&packets);
        let ring = KeyRing::from_binary(&bytes).unwrap_or_default();
        let verifier = Verifier::new(vec![]).with_openpgp(ring);
        let payload = Payload::whole(PAYLOAD.as_bytes());
        if let Verdict::Stated(stated) = verifier.verify(&payload, armor.as_bytes(), now()) {
            let theirs = imported(&world, &bytes, armor);
            let taken =
                theirs.contains("] GOODSIG ") || stated.key_expired() && theirs.contains("] EXPKEYSIG ");
            let tags: Vec<u8> = packets.iter().map(|(tag, _)| *tag).collect();
            prop_assert!(taken, "{which} {tags:?} {}: {theirs}", stated.key_expired());
        }
        Ok(())
    });
    result.unwrap();
}
