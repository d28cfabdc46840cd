//! Log entries: what they are bound to, and what of them proves a time.

use countersign::{
    encoding::sha256,
    sandbox::{HashedRekord, KeyAlgorithm, Role, SigningKey},
    signature::FormatError,
    sigstore::log_entry::{BodyVersion, Checkpoint, InclusionPromise, LogId, MAXIMUM_ENTRY_BYTES},
    verify::{Bad, CannotTell, ProvenTime, Verdict},
};

use prost::Message as _;

use crate::{
    bad,
    forge::{
        self, LOG_ENTRY, OCTETS, START, Signature, World, attribute, body, checkpoint, entry_by, kind, tlv,
    },
    format, good, unclear,
};

/// Another signature of the same world, logged.
fn another(world: &World) -> Signature {
    world.signed()
}

#[test]
fn a_true_entry_proves_inclusion_and_time() {
    let world = World::new();
    let proven = good(world.judge(&world.signed()));
    assert_eq!(proven.times(), [ProvenTime::Log(START)]);
    assert!(proven.entry().signed_entry_timestamp && proven.entry().inclusion_proof);
    assert_eq!(proven.identity().subject, forge::SIGNER);
    assert_eq!(proven.identity().issuer, world.authority.url());
}

#[test]
fn a_signed_entry_timestamp_alone_is_enough() {
    let world = World::new();
    let mut signature = world.signed();
    signature.entry().inclusion_proof = None;
    let proven = good(world.judge(&signature));
    assert!(!proven.entry().inclusion_proof);
}

#[test]
fn no_entry_and_an_entry_that_nothing_proves_are_two_causes() {
    let world = World::new();
    let mut signature = world.stamped(world.signed());
    signature.entry().inclusion_proof = None;
    signature.entry().inclusion_promise = None;
    assert_eq!(world.judge(&signature), unclear(CannotTell::NoInclusion));
    signature.signer().entry = None;
    let Verdict::NotLogged(signed) = world.judge(&signature) else { panic!("it is stamped") };
    assert_eq!(signed.times(), [ProvenTime::TimestampAuthority(START)]);
    assert_eq!(signed.timestamps().len(), 1);
    assert_eq!(signed.refused(), None);
}

#[test]
fn an_inclusion_proof_proves_no_time() {
    let world = World::new();
    let signer = world.signer();
    world.clock.set(START + 3600); // the key was stolen after its certificate had ended
    let late = world.signed_by(&signer);
    assert_eq!(world.judge(&late), unclear(CannotTell::CertificateWindow));
    let mut moved = late.clone();
    moved.entry().integrated_time = START + 60;
    assert_eq!(world.judge(&moved), bad(Bad::SignedEntryTimestamp));
    moved.entry().inclusion_promise = None;
    assert_eq!(world.judge(&moved), unclear(CannotTell::NoTrustedTime));
    moved.entry().inclusion_promise = Some(InclusionPromise::default());
    assert_eq!(world.judge(&moved), unclear(CannotTell::NoTrustedTime), "an empty promise promises nothing");
}

#[test]
fn without_signed_entry_timestamp_the_time_is_the_tokens() {
    let world = World::new();
    let mut signature = world.signed().without_entry_timestamp();
    assert_eq!(world.judge(&signature), unclear(CannotTell::NoTrustedTime));
    world.clock.set(START + 5);
    signature = world.stamped(signature);
    let proven = good(world.judge(&signature));
    assert_eq!(proven.times(), [ProvenTime::TimestampAuthority(START + 5)]);
    assert!(!proven.entry().signed_entry_timestamp);
}

#[test]
fn what_nothing_covers_may_not_be_stated() {
    let world = World::new();
    another(&world);
    let signature = world.stamped(world.signed()).without_entry_timestamp();
    good(world.judge(&signature));
    let mut timed = signature.clone();
    timed.entry().integrated_time = START;
    assert_eq!(world.judge(&timed), format(FormatError::LogEntry));
    let mut elsewhere = signature;
    elsewhere.entry().log_index += 1;
    assert_eq!(world.judge(&elsewhere), format(FormatError::LogEntry));
}

#[test]
fn a_signed_entry_timestamp_is_the_logs_own() {
    let world = World::new();
    let stranger = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let mut signature = world.signed();
    let id = signature.entry().log_id.clone().unwrap().key_id;
    let theirs = entry_by(&stranger, &id, &signature, START);
    signature.entry().inclusion_promise = theirs.inclusion_promise;
    assert_eq!(world.judge(&signature), bad(Bad::SignedEntryTimestamp));
}

#[test]
fn cve_2023_47122_a_log_cannot_bring_its_own_key() {
    let world = World::new();
    let stranger = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let mut signature = world.signed();
    signature.signer().entry = Some(entry_by(&stranger, &stranger.key_id(), &signature, START));
    assert_eq!(world.judge(&signature), unclear(CannotTell::UnknownLog));
    // Under the true log's id the stranger's signatures are wrong ones.
    let id = world.authority.signing_key(Role::RekorV1).key_id();
    signature.signer().entry = Some(entry_by(&stranger, &id, &signature, START));
    assert_eq!(world.judge(&signature), bad(Bad::SignedEntryTimestamp));
    signature = world.stamped(signature.without_entry_timestamp());
    assert_eq!(world.judge(&signature), bad(Bad::CheckpointSignature));
}

#[test]
fn a_checkpoint_is_of_the_entrys_own_log_and_tree() {
    let world = World::new();
    let mut signature = world.signed();
    let key = world.authority.signing_key(Role::RekorV1);
    let root = signature.proof().root_hash.clone();
    let stranger = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let other_root = sha256(&[b"another tree"]);
    let (own, other) = (key.key_id(), stranger.key_id());
    let cases = [
        ("its own", checkpoint(key, &own, "l", 1, &root), None),
        (
            "another log's",
            checkpoint(&stranger, &other, "l", 1, &root),
            Some(unclear(CannotTell::ForeignCheckpoint)),
        ),
        ("another key", checkpoint(&stranger, &own, "l", 1, &root), Some(bad(Bad::CheckpointSignature))),
        ("another root", checkpoint(key, &own, "l", 1, &other_root), Some(bad(Bad::InclusionProof))),
        ("another size", checkpoint(key, &own, "l", 2, &root), Some(bad(Bad::InclusionProof))),
    ];
    for (what, envelope, cause) in cases {
        signature.proof().checkpoint = Some(Checkpoint { envelope });
        match cause {
            Some(cause) => assert_eq!(world.judge(&signature), cause, "{what}"),
            None => drop(good(world.judge(&signature))),
        }
    }
}

#[test]
fn a_checkpoint_is_signed_in_the_logs_own_name_once() {
    let world = World::new();
    let mut signature = world.signed();
    let key = world.authority.signing_key(Role::RekorV1);
    let root = signature.proof().root_hash.clone();
    let true_one = checkpoint(key, &key.key_id(), "l", 1, &root);
    let (text, line) = true_one.split_once("\n\n").unwrap();
    let renamed = line.replacen(" l ", " m ", 1);
    let witness = line.replacen(" l ", " witness ", 1);
    let stranger = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let foreign = checkpoint(&stranger, &stranger.key_id(), "l", 1, &root);
    let foreign = foreign.split_once("\n\n").unwrap().1;
    for (envelope, cause) in [
        (format!("{text}\n\n{renamed}"), bad(Bad::CheckpointSignature)),
        (format!("{text}\n\n{line}{line}"), format(FormatError::LogEntry)),
        (format!("{text}\n\n{line}{witness}"), bad(Bad::CheckpointSignature)),
    ] {
        signature.proof().checkpoint = Some(Checkpoint { envelope });
        assert_eq!(world.judge(&signature), cause);
    }
    // Lines under other keys are a witness's and prove nothing here.
    signature.proof().checkpoint = Some(Checkpoint { envelope: format!("{text}\n\n{line}{foreign}") });
    good(world.judge(&signature));
}

#[test]
fn a_proof_leads_from_this_entry_and_no_other() {
    let world = World::new();
    let other = another(&world);
    let signature = world.signed();
    let mut swapped = signature.clone();
    swapped.entry().inclusion_proof = other.signers[0].entry.clone().unwrap().inclusion_proof;
    assert_eq!(world.judge(&swapped), bad(Bad::InclusionProof), "the proof of another leaf");

    let mut moved = signature.clone();
    moved.proof().log_index = 0;
    assert_eq!(world.judge(&moved), bad(Bad::InclusionProof), "another index");
    let mut longer = signature.clone();
    let hash = longer.proof().hashes[0].clone();
    longer.proof().hashes.push(hash);
    assert_eq!(world.judge(&longer), bad(Bad::InclusionProof), "one hash too many");
    let mut shorter = signature;
    shorter.proof().hashes.clear();
    assert_eq!(world.judge(&shorter), bad(Bad::InclusionProof), "one hash too few");
}

#[test]
fn a_leaf_is_not_taken_for_a_node() {
    // The root of a tree with one leaf is the leaf's hash; a body given as hash must not pass for it.
    let world = World::new();
    let mut signature = world.stamped(world.signed()).without_entry_timestamp();
    let key = world.authority.signing_key(Role::RekorV1);
    let unprefixed = sha256(&[&body(&signature, BodyVersion::V001)]).to_vec();
    let envelope = checkpoint(key, &key.key_id(), "l", 1, &unprefixed);
    signature.proof().root_hash = unprefixed;
    signature.proof().checkpoint = Some(Checkpoint { envelope });
    assert_eq!(world.judge(&signature), bad(Bad::InclusionProof));
}

#[test]
fn cve_2024_51746_the_entry_is_for_this_payload_signature_and_certificate() {
    let world = World::new();
    let signer = world.signer();
    let signature = world.signed_by(&signer);
    let twice = world.signed_by(&signer); // ECDSA: the same payload, another signature
    let mut attributes = forge::default_attributes(forge::PAYLOAD);
    attributes.push(forge::attribute("1.2.840.113549.1.9.5", b"\x17\x0d260921142640Z"));
    attributes.sort();
    let restated = world.logged(forge::unlogged(&signer, &attributes));
    good(world.judge(&restated));
    for (what, other) in [
        ("another signature", twice),
        ("other attributes", restated),
        ("another certificate", world.signed()),
    ] {
        for stated in [false, true] {
            let mut mixed = signature.clone();
            let mut entry = other.signers[0].entry.clone().unwrap();
            if stated {
                entry.canonicalized_body = body(&other, BodyVersion::V001);
            }
            mixed.signer().entry = Some(entry);
            assert_eq!(world.judge(&mixed), bad(Bad::SignedEntryTimestamp), "{what}, body stated: {stated}");
            let mixed = world.stamped(mixed.without_entry_timestamp());
            assert_eq!(world.judge(&mixed), bad(Bad::InclusionProof), "{what}, body stated: {stated}");
        }
    }
}

#[test]
fn a_body_that_is_stated_is_the_rebuilt_one() {
    let world = World::new();
    let mut signature = world.signed();
    signature.entry().canonicalized_body = body(&signature.clone(), BodyVersion::V001);
    good(world.judge(&signature));
    signature.entry().canonicalized_body.push(b' ');
    assert_eq!(world.judge(&signature), bad(Bad::SignedEntryTimestamp));
}

#[test]
fn gitsign_330_the_canonical_body_is_rebuilt_byte_for_byte() {
    let world = World::new();
    let signature = world.signed();
    let signer = &signature.signers[0];
    let rekord =
        HashedRekord::new(sha256(&[&signer.attribute_set()]), &signer.signature, &signature.certificates[0]);
    assert_eq!(body(&signature, BodyVersion::V001), rekord.body_v1());
    assert_eq!(body(&signature, BodyVersion::V002), rekord.body_v2().unwrap());
}

#[test]
fn rekor_v2_proves_inclusion_and_a_token_the_time() {
    let world = World::new();
    let signature = world.logged_v2(world.unlogged(&world.signer()));
    assert_eq!(world.judge(&signature), unclear(CannotTell::NoTrustedTime));
    let stamped = world.stamped(signature);
    let proven = good(world.judge(&stamped));
    assert_eq!(proven.times(), [ProvenTime::TimestampAuthority(START)]);

    let mut kept = stamped.clone();
    kept.entry().canonicalized_body = body(&kept.clone(), BodyVersion::V002);
    good(world.judge(&kept));

    let mut timed = stamped.clone();
    timed.entry().integrated_time = START;
    assert_eq!(world.judge(&timed), format(FormatError::LogEntry));
    let mut elsewhere = stamped.clone();
    elsewhere.entry().log_index += 1;
    assert_eq!(
        world.judge(&elsewhere),
        bad(Bad::InclusionProof),
        "an index of its own is none of Rekor v2's"
    );
    let mut promised = stamped;
    promised.entry().inclusion_promise = Some(InclusionPromise { signed_entry_timestamp: vec![1] });
    assert_eq!(world.judge(&promised), format(FormatError::LogEntry), "Rekor v2 promises nothing");
}

#[test]
fn gitsign_729_rekor_v2_under_the_label_of_v1_is_read() {
    let world = World::new();
    let mut signature = world.logged_v2(world.unlogged(&world.signer()));
    signature.entry().kind_version = Some(kind("0.0.1"));
    signature.entry().inclusion_promise = Some(InclusionPromise::default());
    assert_eq!(world.judge(&signature), unclear(CannotTell::NoTrustedTime));
    let mut signature = world.stamped(signature);
    good(world.judge(&signature));
    // The empty promise is how gitsign's are known: it belongs to that label and to no other entry.
    signature.entry().inclusion_promise = None;
    assert_eq!(world.judge(&signature), format(FormatError::LogEntry));
    signature.entry().kind_version = Some(kind("0.0.2"));
    good(world.judge(&signature));
    signature.entry().inclusion_promise = Some(InclusionPromise::default());
    assert_eq!(world.judge(&signature), format(FormatError::LogEntry));
    let mut v1 = world.stamped(world.signed()).without_entry_timestamp();
    v1.entry().inclusion_promise = Some(InclusionPromise::default());
    assert_eq!(world.judge(&v1), format(FormatError::LogEntry));

    let mut reversed = world.stamped(world.signed()).without_entry_timestamp();
    reversed.entry().kind_version = Some(kind("0.0.2"));
    assert_eq!(world.judge(&reversed), bad(Bad::InclusionProof), "a v1 body is never a v2 entry");
}

#[test]
fn an_entry_of_another_kind_or_encoding_is_not_read() {
    let world = World::new();
    let signature = world.signed();
    type Change = fn(&mut Signature);
    let changes: [(&str, Change); 9] = [
        ("kind", |s| s.entry().kind_version.as_mut().unwrap().kind = "intoto".to_owned()),
        ("version", |s| s.entry().kind_version = Some(kind("0.0.3"))),
        ("no kind", |s| s.entry().kind_version = None),
        ("no log", |s| s.entry().log_id = None),
        ("short log id", |s| s.entry().log_id = Some(LogId { key_id: vec![1, 2, 3] })),
        ("negative time", |s| s.entry().integrated_time = -1),
        ("negative index", |s| s.entry().log_index = -1),
        ("no checkpoint", |s| s.proof().checkpoint = None),
        ("short hash", |s| s.proof().hashes.push(vec![0; 31])),
    ];
    for (what, change) in changes {
        let mut changed = signature.clone();
        change(&mut changed);
        assert_eq!(world.judge(&changed), format(FormatError::LogEntry), "{what}");
    }
}

#[test]
fn ghsa_cq38_jh5f_37mq_an_oversized_entry_is_not_read() {
    let world = World::new();
    let mut hashes = world.signed();
    hashes.proof().hashes = vec![vec![0; 32]; 65];
    assert_eq!(world.judge(&hashes), format(FormatError::LogEntry));
    let mut large = world.signed();
    large.entry().canonicalized_body = vec![b' '; MAXIMUM_ENTRY_BYTES];
    assert_eq!(world.judge(&large), format(FormatError::LogEntry));
    let mut note = world.signed();
    note.proof().checkpoint = Some(Checkpoint { envelope: "x\n".repeat(10_000) });
    assert_eq!(world.judge(&note), format(FormatError::LogEntry));
}

#[test]
fn an_entry_has_one_encoding() {
    let world = World::new();
    let signature = world.signed();
    let encoded = signature.signers[0].entry.clone().unwrap().encode_to_vec();
    let index = signature.signers[0].entry.clone().unwrap().log_index;
    assert_eq!(index, 0, "so that the default may be written out");
    let judge = |entry: Vec<u8>| {
        let mut signature = signature.clone();
        signature.signer().entry = None;
        signature.signer().others = vec![attribute(LOG_ENTRY, &tlv(OCTETS, &[&entry]))];
        world.judge(&signature)
    };
    good(judge(encoded.clone()));
    let with = |before: &[u8], after: &[u8]| [before, &encoded, after].concat();
    for (what, entry) in [
        ("a default written out", with(&[0x08, 0], b"")),
        ("an unknown field", with(b"", &[0x42, 1, 0])),
        ("an unknown number", with(b"", &[0xf8, 0x7f, 1])),
        ("a field that stands twice", with(&[0x20, 1], b"")),
        ("a field behind its place", [&encoded[..], &[0x08, 0]].concat()),
        ("a long number", with(&[0x88, 0, 0], b"")),
        ("an empty message merged in", with(b"", &[0x2a, 0])),
    ] {
        assert_eq!(judge(entry), format(FormatError::LogEntry), "{what}");
    }
}
