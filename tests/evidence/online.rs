//! gitsign's online mode: the entry is about the object's id, and only in the log.

use countersign::{
    object::{Commit, HashKind, ObjectId, Payload, Signed, Tag, object_id},
    sandbox::{HashedRekord, KeyAlgorithm, Role, SigningKey},
    sigstore::log_entry::signed_entry_timestamp_payload,
    verify::{Bad, CannotTell, ProofError, TimeNotProven, Verdict, Verifier},
};
use gix::objs::Kind;
use serde_json::Value;

use super::{
    forge::{self, START, Signer, World, log_online, online_commit, online_rekord, online_tag},
    good,
};
use countersign::encoding::sha256;

const NOW: i64 = START + 86_400;

fn commit_payload(message: &str) -> Vec<u8> {
    let person = "A <a@b.c> 1 +0000";
    format!("tree {}\nauthor {person}\ncommitter {person}\n\n{message}\n", "4".repeat(40)).into_bytes()
}

/// A commit in online mode, and its id.
fn commit(signer: &Signer, message: &str) -> (Vec<u8>, String) {
    let object = online_commit(signer, "gpgsig", &commit_payload(message));
    let id = object_id(HashKind::Sha1, Kind::Commit, &object).unwrap().to_string();
    (object, id)
}

fn verifier(world: &World) -> Verifier {
    Verifier::new(vec![world.instance()])
}

fn judge(verifier: &Verifier, object: &[u8], proofs: &[Vec<u8>]) -> Verdict {
    let signed = Commit::parse(HashKind::Sha1, object).unwrap().signed;
    verifier.verify_signed(&signed, NOW, &|_| proofs.to_vec()).unwrap()
}

#[track_caller]
fn time_not_proven(verdict: Verdict) -> TimeNotProven {
    match verdict {
        Verdict::TimeNotProven(signed) => *signed,
        other => panic!("not what was expected: {other:?}"),
    }
}

#[test]
fn without_its_entry_a_signature_is_good_but_for_its_time() {
    let world = World::new();
    let (object, _) = commit(&world.signer(), "m");
    let signed = Commit::parse(HashKind::Sha1, &object).unwrap().signed;
    let armor = signed.signature.clone().unwrap();
    let judged = time_not_proven(verifier(&world).verify(&signed.payload, &armor, NOW));
    assert_eq!(judged.identity().subject, forge::SIGNER);
    assert_eq!(judged.identity().instance, "sandbox");
    assert_eq!((judged.window(), judged.refused()), ((START, START + 600), None));
    // Everything else is judged as ever.
    let other = verifier(&world).verify(&Payload::whole(b"tree x\n\nother"), &armor, NOW);
    assert_eq!(other, Verdict::Bad(Bad::DigestMismatch));
    assert_eq!(
        verifier(&World::new()).verify(&signed.payload, &armor, NOW),
        Verdict::CannotTell(CannotTell::UnknownAuthority)
    );
    assert_eq!(
        verifier(&world).verify(&signed.payload, &armor, START - 3600),
        Verdict::CannotTell(CannotTell::FutureTime)
    );
}

#[test]
fn with_its_entry_it_is_as_good_as_any() {
    let world = World::new();
    let signer = world.signer();
    let (object, id) = commit(&signer, "m");
    world.clock.set(START + 30);
    let proof = log_online(&world.authority, &signer, &id);
    let proven = good(judge(&verifier(&world), &object, std::slice::from_ref(&proof)));
    assert_eq!((proven.identity().subject.as_str(), proven.time()), (forge::SIGNER, START + 30));
    let entry = proven.entry();
    assert!(!entry.embedded && entry.signed_entry_timestamp && entry.inclusion_proof);

    // Asked for under its own id, and once.
    let signed = Commit::parse(HashKind::Sha1, &object).unwrap().signed;
    let asked = std::cell::RefCell::new(Vec::new());
    let find = |asked_for: &ObjectId| {
        asked.borrow_mut().push(asked_for.to_string());
        vec![proof.clone()]
    };
    good(verifier(&world).verify_signed(&signed, NOW, &find).unwrap());
    assert_eq!(*asked.borrow(), [id]);
}

#[test]
fn an_embedded_entry_asks_nobody_and_needs_no_proof() {
    let world = World::new();
    let signer = world.signer();
    let payload = commit_payload("m");
    let armor = world.logged(forge::unlogged(&signer, &forge::default_attributes(&payload))).armor();
    let armor = String::from_utf8(armor).unwrap();
    let end = payload.windows(2).position(|pair| pair == b"\n\n").unwrap() + 1;
    let folded = format!("gpgsig {}\n", armor.trim_end().replace('\n', "\n "));
    let object = [&payload[..end], folded.as_bytes(), &payload[end..]].concat();
    let signed = Commit::parse(HashKind::Sha1, &object).unwrap().signed;
    let proven = good(verifier(&world).verify_signed(&signed, NOW, &|_| panic!("asked")).unwrap());
    assert!(proven.entry().embedded);
    assert_eq!(verifier(&world).check_proof(&signed, b"{}", NOW), Err(ProofError::NotNeeded));
}

#[test]
fn sha_256_objects_and_tags_have_their_entries_too() {
    let world = World::new();
    let signer = world.signer();
    let verifier = verifier(&world);
    let check = |signed: &Signed<'_>, kind, hash, object: &[u8]| {
        let id = object_id(hash, kind, object).unwrap().to_string();
        let proof = log_online(&world.authority, &signer, &id);
        good(verifier.verify_signed(signed, NOW, &|_| vec![proof.clone()]).unwrap());
        assert!(verifier.check_proof(signed, &proof, NOW).is_ok());
    };
    for (hash, length, header) in [(HashKind::Sha1, 40, "gpgsig"), (HashKind::Sha256, 64, "gpgsig-sha256")] {
        let payload = String::from_utf8(commit_payload("m")).unwrap();
        let payload = payload.replace(&"4".repeat(40), &"4".repeat(length));
        let object = online_commit(&signer, header, payload.as_bytes());
        check(&Commit::parse(hash, &object).unwrap().signed, Kind::Commit, hash, &object);
        let payload = format!("object {}\ntype commit\ntag v1\n\nm\n", "4".repeat(length));
        let object = online_tag(&signer, payload.as_bytes());
        check(&Tag::parse(hash, &object).unwrap().signed, Kind::Tag, hash, &object);
    }
}

#[test]
fn gitsign_88_a_tag_may_be_logged_as_the_commit_that_it_was_taken_for() {
    let world = World::new();
    let signer = world.signer();
    let object =
        online_tag(&signer, format!("object {}\ntype commit\ntag v1\n\nm\n", "4".repeat(40)).as_bytes());
    let signed = Tag::parse(HashKind::Sha1, &object).unwrap().signed;
    let ids = signed.logged_ids();
    assert_eq!(ids.len(), 2);
    let proof = log_online(&world.authority, &signer, &ids[1].to_string());
    good(
        verifier(&world)
            .verify_signed(&signed, NOW, &|id| {
                assert_eq!(*id, ids[0], "kept under its own id");
                vec![proof.clone()]
            })
            .unwrap(),
    );
    // It says nothing of another tag with the same message, whose signature is another.
    let other =
        online_tag(&signer, format!("object {}\ntype commit\ntag v1\n\nm\n", "5".repeat(40)).as_bytes());
    let other = Tag::parse(HashKind::Sha1, &other).unwrap().signed;
    assert_eq!(verifier(&world).check_proof(&other, &proof, NOW), Err(ProofError::OtherObject));
    // Nor may a commit be logged so.
    let (object, _) = commit(&signer, "m");
    let as_tag = object_id(HashKind::Sha1, Kind::Tag, &object).unwrap().to_string();
    let proof = log_online(&world.authority, &signer, &as_tag);
    let signed = Commit::parse(HashKind::Sha1, &object).unwrap().signed;
    assert_eq!(verifier(&world).check_proof(&signed, &proof, NOW), Err(ProofError::OtherObject));
}

/// `proof` with something in its one entry changed.
fn changed(proof: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(proof).unwrap();
    change(value.as_object_mut().unwrap().values_mut().next().unwrap());
    value.to_string().into_bytes()
}

/// An entry that the log's own key vouches for, whatever stands in it: what a log that checks nothing would
/// answer.
fn vouched_for(world: &World, rekord: &HashedRekord, time: i64) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let key = world.authority.signing_key(Role::RekorV1);
    let body = rekord.body_v1();
    let payload = signed_entry_timestamp_payload(&body, time, &key.key_id(), 7);
    let uuid = hex::encode(sha256(&[&[0], &body]));
    serde_json::json!({uuid: {
        "body": STANDARD.encode(&body),
        "integratedTime": time,
        "logID": hex::encode(key.key_id()),
        "logIndex": 7,
        "verification": {"signedEntryTimestamp": STANDARD.encode(key.sign(&payload))},
    }})
    .to_string()
    .into_bytes()
}

#[test]
fn each_forged_entry_is_refused_for_its_own_cause_and_hides_no_good_one() {
    let world = World::new();
    let signer = world.signer();
    let (object, id) = commit(&signer, "m");
    let (_, other_id) = commit(&signer, "other");
    let proof = log_online(&world.authority, &signer, &id);
    let later = world.signer();
    // The same key under a second certificate, another key under the first.
    let reissued = Signer {
        certificate: world
            .authority
            .issue_certificate(forge::SIGNER, signer.key.spki_der())
            .unwrap()
            .remove(0),
        key: SigningKey::from_pkcs8(KeyAlgorithm::EcdsaP256, signer.key.pkcs8_der()).unwrap(),
    };
    let stolen = Signer {
        certificate: signer.certificate.clone(),
        key: SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap(),
    };
    let over_other = HashedRekord::new(
        sha256(&[id.as_bytes()]),
        &signer.key.sign(other_id.as_bytes()),
        &signer.certificate,
    );
    let mut bare = online_rekord(&signer, &id);
    bare.verifier = countersign::sandbox::Verifier::PublicKey(signer.key.spki_der().to_vec());
    let verification =
        |name: &'static str, value: Value| changed(&proof, move |entry| entry["verification"][name] = value);
    let inclusion = |name: &'static str, value: Value| {
        changed(&proof, move |entry| entry["verification"]["inclusionProof"][name] = value)
    };
    let foreign = World::new();
    let checkpoint = {
        let value: Value =
            serde_json::from_slice(&log_online(&foreign.authority, &foreign.signer(), "x")).unwrap();
        value.as_object().unwrap().values().next().unwrap()["verification"]["inclusionProof"]["checkpoint"]
            .clone()
    };
    let bad = |bad| ProofError::Bad(bad);
    let unclear = |cause| ProofError::CannotTell(cause);
    let forged = [
        ("of another commit", log_online(&world.authority, &signer, &other_id), ProofError::OtherObject),
        ("upper case", log_online(&world.authority, &signer, &id.to_uppercase()), ProofError::OtherObject),
        ("by another signer", log_online(&world.authority, &later, &id), ProofError::OtherCertificate),
        ("another certificate", log_online(&world.authority, &reissued, &id), ProofError::OtherCertificate),
        ("a bare key", vouched_for(&world, &bare, START), ProofError::OtherCertificate),
        ("another key", vouched_for(&world, &online_rekord(&stolen, &id), START), ProofError::Signature),
        ("over another id", vouched_for(&world, &over_other, START), ProofError::Signature),
        (
            "too late",
            vouched_for(&world, &online_rekord(&signer, &id), START + 3600),
            unclear(CannotTell::CertificateWindow),
        ),
        (
            "too early",
            vouched_for(&world, &online_rekord(&signer, &id), START - 1),
            unclear(CannotTell::CertificateWindow),
        ),
        (
            "another time",
            changed(&proof, |entry| entry["integratedTime"] = (START + 1).into()),
            bad(Bad::SignedEntryTimestamp),
        ),
        (
            "another index",
            changed(&proof, |entry| entry["logIndex"] = 77.into()),
            bad(Bad::SignedEntryTimestamp),
        ),
        (
            "an unknown log",
            changed(&proof, |entry| entry["logID"] = "ab".repeat(32).into()),
            unclear(CannotTell::UnknownLog),
        ),
        (
            "no timestamp",
            verification("signedEntryTimestamp", Value::Null),
            unclear(CannotTell::NoTrustedTime),
        ),
        (
            "an empty timestamp",
            verification("signedEntryTimestamp", "".into()),
            unclear(CannotTell::NoTrustedTime),
        ),
        ("another root", inclusion("rootHash", "11".repeat(32).into()), bad(Bad::InclusionProof)),
        ("a foreign checkpoint", inclusion("checkpoint", checkpoint), unclear(CannotTell::ForeignCheckpoint)),
        ("another body", changed(&proof, |entry| entry["body"] = "e30=".into()), ProofError::Malformed),
        ("garbage", b"\xff\xfe{".to_vec(), ProofError::Malformed),
        ("nothing", Vec::new(), ProofError::Malformed),
        ("too much", vec![b' '; 1 << 20], ProofError::Malformed),
    ];
    let verifier = verifier(&world);
    let signed = Commit::parse(HashKind::Sha1, &object).unwrap().signed;
    assert!(verifier.check_proof(&signed, &proof, NOW).is_ok(), "the true one");
    for (what, forged, cause) in &forged {
        assert_eq!(verifier.check_proof(&signed, forged, NOW), Err(*cause), "{what}");
        let judged = time_not_proven(judge(&verifier, &object, std::slice::from_ref(forged)));
        assert_eq!(judged.refused(), Some(*cause), "{what}");
        good(judge(&verifier, &object, &[forged.clone(), proof.clone()]));
    }
    let all: Vec<Vec<u8>> = forged.into_iter().map(|(_, forged, _)| forged).chain([proof]).collect();
    good(judge(&verifier, &object, &all));
}

#[test]
fn a_proof_without_inclusion_proof_is_one_by_its_timestamp() {
    let world = World::new();
    let signer = world.signer();
    let (object, id) = commit(&signer, "m");
    let proof = vouched_for(&world, &online_rekord(&signer, &id), START + 600);
    let proven = good(judge(&verifier(&world), &object, &[proof]));
    assert!(!proven.entry().inclusion_proof && proven.time() == START + 600);
}

#[test]
fn a_good_proof_mends_nothing_else() {
    let world = World::new();
    let signer = world.signer();
    // Changed after it was signed; the key then logs the changed one's id.
    let (object, _) = commit(&signer, "m");
    let object = String::from_utf8(object).unwrap().replace("\n\nm\n", "\n\nn\n").into_bytes();
    let id = object_id(HashKind::Sha1, Kind::Commit, &object).unwrap().to_string();
    let proof = log_online(&world.authority, &signer, &id);
    assert_eq!(
        judge(&verifier(&world), &object, std::slice::from_ref(&proof)),
        Verdict::Bad(Bad::DigestMismatch)
    );
    let signed = Commit::parse(HashKind::Sha1, &object).unwrap().signed;
    let error = verifier(&world).check_proof(&signed, &proof, NOW);
    assert_eq!(error, Err(ProofError::Bad(Bad::DigestMismatch)));
    // An instance that does not know the authority gains nothing from knowing the log.
    let (object, id) = commit(&signer, "m");
    let proof = log_online(&world.authority, &signer, &id);
    assert_eq!(
        judge(&verifier(&World::new()), &object, &[proof]),
        Verdict::CannotTell(CannotTell::UnknownAuthority)
    );
}
