//! Certificates that somebody has put together by hand: nothing in them makes a key anybody else's, and
//! what is revoked in one place is revoked.

use countersign::{
    object::Payload,
    verify::{CannotTell, Key, Verdict, Verifier, openpgp::KeyRing},
};

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
