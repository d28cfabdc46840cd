//! What must hold for any bytes: one function for each parser, and one for the verifier.
//!
//! The programs in `fuzz_targets` hand them whatever a fuzzer thinks of; `tests/fuzz.rs` hands them the seeds
//! and changed seeds in every run of the tests.

#[path = "targets/pushes.rs"]
pub mod pushes;
#[path = "targets/remotes.rs"]
pub mod remotes;
#[path = "targets/repositories.rs"]
pub mod repositories;
#[path = "targets/services.rs"]
pub mod services;

use std::sync::LazyLock;

use countersign::{
    agent::{
        payload::Signable,
        protocol::{self, Answer, PREFIX_BYTES, Prefix, Request},
    },
    encoding::x509::Slices,
    ledger::{Intent, Record},
    object::{Approval, Commit, HashKind, Payload, PushCertificate, Tag},
    policy::{AllowedSigners, Policy},
    signature::{
        armor,
        keyless::{EmbeddedEntry, Keyless},
        openpgp::Detached,
        smime::{Smime, normalised},
        ssh::{self, Revocations, SshSignature},
    },
    sigstore::{
        api_entry::HashedRecordEntry,
        certificate::SigningCertificate,
        checkpoint::Checkpoint,
        log_entry::{TransparencyLogEntry, body_with_verifier},
        sct::Sct,
        timestamp::TimestampToken,
        trusted_root::Instance,
    },
    verify::{
        Key, Verdict, Verifier,
        openpgp::KeyRing,
        smime::{Authorities, CertificateAuthority},
    },
};
use jiff::tz::TimeZone;
use prost::Message as _;

/// Who signed the seeds of [`signature`].
pub const SIGNER: &str = "dev@example.com";
/// What they sign.
pub const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nmessage\n";
/// Who made the seeds of [`ssh_signature`]: printed when they are written.
pub const SSH_SIGNERS: [&str; 3] = [
    "SHA256:PX0UVwCo0UAEV5s8mE/fOOr6vd+ItvH7Ks63PIbQbcM",
    "SHA256:nKhjv2XJMQt/es8YgbeqQGP1qdY7UtZjSlDMwWknn60",
    "SHA256:6qIyvGv1Pg5cuJxQC3Ju0UJzo23icZvdVyJLdXbCoOg",
];
/// Who made the seed `ed25519` of [`openpgp_signature`]: printed when it is written.
pub const OPENPGP_SIGNER: &str = "B988CA436D66EE5D6B5B0BE9A41F9B2CB590BA13";
/// What the seeds of [`smime`] sign.
pub const SMIME_PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
    author A <a@example.org> 1600000000 +0000\ncommitter A <a@example.org> 1600000000 +0000\n\nmessage\n";
/// Who signs them.
pub const SMIME_SIGNERS: [&str; 2] = ["alice@corp.example", "rsa@corp.example"];
/// Some time after the seeds were signed.
pub const NOW: i64 = 1_790_086_400;

const HASHES: [HashKind; 2] = [HashKind::Sha1, HashKind::Sha256];

/// Each target with its name.
pub const TARGETS: [(&str, fn(&[u8])); 50] = [
    ("address", remotes::address),
    ("advertisement", remotes::advertisement),
    ("agent_message", agent_message),
    ("allowed_signers", allowed_signers),
    ("api_entry", api_entry),
    ("approval", approval),
    ("armor", armor),
    ("assembled", repositories::assembled),
    ("certificate", certificate),
    ("certificate_answer", services::certificate_answer),
    ("checkpoint", checkpoint),
    ("cms", cms),
    ("commit", commit),
    ("configuration", repositories::configuration),
    ("hook_shim", pushes::hook_shim),
    ("identity_token", services::identity_token),
    ("key_file", services::key_file),
    ("key_reference", services::key_reference),
    ("ledger_intent", ledger_intent),
    ("ledger_record", ledger_record),
    ("log_answer", services::log_answer),
    ("log_entry", log_entry),
    ("login_answer", services::login_answer),
    ("names", repositories::names),
    ("openpgp_certificates", openpgp_certificates),
    ("openpgp_signature", openpgp_signature),
    ("policy", policy),
    ("program_arguments", repositories::program_arguments),
    ("push_certificate", push_certificate),
    ("push_environment", pushes::push_environment),
    ("ref_updates", pushes::ref_updates),
    ("remote_command", remotes::remote_command),
    ("remote_memory", remotes::remote_memory),
    ("repository_format", repositories::repository_format),
    ("sct", sct),
    ("signature", signature),
    ("signing_config", services::signing_config),
    ("smime", smime),
    ("ssh_revocations", ssh_revocations),
    ("ssh_signature", ssh_signature),
    ("status_lines", repositories::status_lines),
    ("tag", tag),
    ("timestamp", timestamp),
    ("timestamp_answer", services::timestamp_answer),
    ("tree", repositories::tree),
    ("trusted_root", services::trusted_root),
    ("tuf_root", services::tuf_root),
    ("verdict_cache", pushes::verdict_cache),
    ("verdict_record", pushes::verdict_record),
    ("words", repositories::words),
];

/// A message that is read says the same when it is written again, and a payload that is taken is an object of
/// git's that nobody has signed.
pub fn agent_message(data: &[u8]) {
    let Some((prefix, rest)) = data.split_first_chunk::<PREFIX_BYTES>() else { return };
    let Ok(prefix) = Prefix::parse(*prefix) else { return };
    let Some((head, rest)) = rest.split_at_checked(prefix.head) else { return };
    let Some(body) = rest.get(..prefix.body) else { return };
    if let Ok(request) = protocol::decode::<Request>(head) {
        let again = protocol::encode(&request, body).expect("what was read fits");
        let head = &again[PREFIX_BYTES..again.len() - body.len()];
        assert_eq!(protocol::decode::<Request>(head).expect("it was written here"), request);
    }
    let _ = protocol::decode::<Answer>(head);
    if let Ok(signable) = Signable::parse(body) {
        assert!(!body.is_empty() && signable.about.len() <= 600);
        let is_signed = |hash| {
            let commit = Commit::parse(hash, body).is_ok_and(|commit| commit.signed.signature.is_some());
            let tag = Tag::parse(hash, body).is_ok_and(|tag| tag.signed.signature.is_some());
            commit || tag
        };
        assert!(!HASHES.into_iter().any(is_signed), "it has a signature already");
    }
}

/// Lines of allowed signers that are read name somebody, and only whom they name.
pub fn allowed_signers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (usable, refused) = AllowedSigners::parse_usable(text, &TimeZone::UTC);
    assert_eq!(AllowedSigners::parse(text, &TimeZone::UTC).is_ok(), refused.is_empty());
    let stranger = [Key::Ssh { fingerprint: "SHA256:of nobody".to_owned() }];
    assert!(usable.principals(&stranger, NOW).is_empty());
    assert!(!usable.permits(SIGNER, &stranger, "git", NOW));
}

/// An entry of a log's API that is read has a body with one spelling, and bounds.
pub fn api_entry(data: &[u8]) {
    let Ok(HashedRecordEntry { entry, record }) = HashedRecordEntry::parse(data) else { return };
    assert_eq!(
        body_with_verifier(&record.digest, &record.signature, &record.verifier),
        entry.canonicalized_body
    );
    log_entry(&entry.encode_to_vec());
}

/// An armor that is read has one spelling.
pub fn armor(data: &[u8]) {
    let Ok(der) = armor::decode(data) else { return };
    let again = armor::encode(&der);
    assert!(again == data || again.strip_suffix(b"\n") == Some(data), "a second spelling");
}

/// A certificate that is read is read from its own bytes.
pub fn certificate(data: &[u8]) {
    let Ok(certificate) = SigningCertificate::parse(data) else { return };
    assert!(!certificate.subject.is_empty() && !certificate.issuer.is_empty());
    assert_inside(certificate.slices.spki, data);
    let _ = certificate.sct.signed_bytes(&certificate.slices, certificate.slices.spki);
}

/// A checkpoint that is read begins with what it says, in one spelling.
pub fn checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(checkpoint) = Checkpoint::parse(text) else { return };
    assert!(text.starts_with(checkpoint.text) && !checkpoint.signatures.is_empty());
    assert!(checkpoint.text.starts_with(&format!("{}\n{}\n", checkpoint.origin, checkpoint.tree_size)));
    assert!(checkpoint.origin.starts_with(checkpoint.log_name()));
}

/// A signature that is read holds the certificate that it names.
pub fn cms(data: &[u8]) {
    let Ok(signature) = Keyless::parse(data) else { return };
    assert_inside(signature.certificate, data);
    assert_inside(signature.signature, data);
    assert!(Slices::parse(signature.certificate).is_ok() && signature.message_digest.len() == 32);
    if let Some(EmbeddedEntry::Encoded(entry)) = &signature.log_entry {
        let _ = TransparencyLogEntry::parse(entry);
    }
    for token in &signature.timestamp_tokens {
        timestamp(token);
    }
}

/// A commit that is read loses nothing but its signature, and gix reads the same in it.
pub fn commit(data: &[u8]) {
    for hash in HASHES {
        let Ok(commit) = Commit::parse(hash, data) else { continue };
        let payload = commit.signed.payload.to_vec();
        assert_eq!(payload.len() < data.len(), commit.signed.signature.is_some());
        let headers = payload.len() - commit.message.len();
        let is_signature = |line: &[u8]| line.starts_with(b"gpgsig");
        assert!(!payload[..headers].split(|byte| *byte == b'\n').any(is_signature), "an unsigned channel");
        let parents: Vec<_> = gix::objs::CommitRefIter::from_bytes(data, hash).parent_ids().collect();
        assert_eq!(parents, commit.parents);
        let tree = gix::objs::CommitRefIter::from_bytes(data, hash).tree_id().expect("it is well-formed");
        assert_eq!(tree, commit.tree);
        let again = Commit::parse(hash, &payload).expect("what was signed is a commit too");
        assert!(again.merged_tags().eq(commit.merged_tags()), "merged tags are signed");
        for bytes in commit.merged_tags() {
            assert!(bytes.len() < data.len() && bytes.ends_with(b"\n"));
            tag(&bytes);
        }
        assert_eq!((again.tree, again.parents), (commit.tree, commit.parents));
    }
}

/// An entry that is read has one encoding.
pub fn log_entry(data: &[u8]) {
    let Ok(entry) = TransparencyLogEntry::parse(data) else { return };
    assert_eq!(entry.encode_to_vec(), data);
    assert!(entry.body_version().is_ok());
}

/// Certificates that are read have a name each, and no key of theirs made a signature that another made.
pub fn openpgp_certificates(data: &[u8]) {
    for ring in [KeyRing::from_binary(data), KeyRing::from_armored(data)].into_iter().flatten() {
        for fingerprint in ring.fingerprints() {
            assert!([40, 64].contains(&fingerprint.len()), "{fingerprint}");
            let _ = ring.user_ids(&fingerprint);
        }
        let signature = include_bytes!("corpus/openpgp_signature/ed25519.seed");
        let verifier = Verifier::new(Vec::new()).with_openpgp(ring);
        if let Verdict::Stated(stated) = verifier.verify(&Payload::whole(PAYLOAD), signature, NOW) {
            assert_eq!(stated.signing_key(), OPENPGP_SIGNER);
        }
    }
}

/// No bytes but a signer's own are by a key of the ring.
pub fn openpgp_signature(data: &[u8]) {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
        let certificates = include_bytes!("corpus/openpgp_certificates/all.seed");
        let ring = KeyRing::from_binary(certificates).expect("the seeds' certificates are some");
        Verifier::new(Vec::new()).with_openpgp(ring)
    });
    let _ = Detached::parse(data);
    if let Verdict::Stated(stated) = VERIFIER.verify(&Payload::whole(PAYLOAD), data, NOW) {
        assert!(stated.time().is_some_and(|time| time <= NOW));
    }
    let other = VERIFIER.verify(&Payload::whole(b"another payload"), data, NOW);
    assert!(!matches!(other, Verdict::Stated(_) | Verdict::Good(_)), "nobody has signed that");
}

/// A policy that is read can be asked about any ref.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(policy) = Policy::parse(text) else { return };
    let _ = policy.check();
    let _ = policy.check_at(0);
    for reference in [&b"refs/heads/main"[..], b"refs/tags/v1", b"", b"refs/heads/\xff"] {
        let _ = policy.governing(reference);
    }
    assert!(policy.rules().iter().all(|rule| !rule.name.is_empty()));
}

/// An approval that is read says the same when its statement is written again, and what it signs is no object.
pub fn approval(data: &[u8]) {
    for hash in HASHES {
        let Ok(approval) = Approval::parse(hash, data) else { continue };
        let payload = approval.payload().to_vec();
        assert!(payload.starts_with(b"DSSEv1 ") && Commit::parse(hash, &payload).is_err());
        let again = approval.statement.envelope(hash, &approval.signature);
        let again = Approval::parse(hash, &again).expect("it was written here");
        assert_eq!((again.statement, again.signature), (approval.statement, approval.signature));
    }
}

/// What is read of an accepted push has one spelling.
pub fn ledger_intent(data: &[u8]) {
    for hash in HASHES {
        let Ok(intent) = Intent::parse(hash, data) else { continue };
        assert_eq!(intent.bytes(hash), data);
        assert!(intent.entries.iter().all(|entry| entry.old != entry.new));
    }
}

/// A record of a ledger has one spelling, and is a commit like others.
pub fn ledger_record(data: &[u8]) {
    for hash in HASHES {
        let Ok(record) = Record::parse(hash, data) else { continue };
        assert_eq!(record.commit(hash), data);
        assert!(Commit::parse(hash, data).is_ok_and(|commit| commit.signed.signature.is_none()));
        assert!(record.next_sequence().is_some_and(|next| next > record.sequence));
    }
}

/// A push certificate that is read is its payload and its signature.
pub fn push_certificate(data: &[u8]) {
    for hash in HASHES {
        let Ok(certificate) = PushCertificate::parse(hash, data) else { continue };
        assert!(certificate.commands.iter().all(|command| command.new.kind() == hash));
        let signature = certificate.signed.signature.unwrap_or_default();
        assert_eq!([certificate.signed.payload.to_vec(), signature].concat(), data);
    }
}

/// An SCT that is read keeps to its bytes.
pub fn sct(data: &[u8]) {
    let Ok(sct) = Sct::parse_only(data) else { return };
    assert_inside(sct.signature, data);
    assert!(sct.seconds() >= 0);
}

/// No bytes but a signer's own prove who signed.
pub fn signature(data: &[u8]) {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
        let root = include_str!("trusted_root.json");
        Verifier::new(vec![Instance::from_json("sandbox", root).expect("the seeds' trusted root is one")])
    });
    if let Verdict::Good(proven) = VERIFIER.verify(&Payload::whole(PAYLOAD), data, NOW) {
        assert_eq!(proven.identity().subject, SIGNER);
        assert!(proven.times().iter().all(|time| time.seconds() <= NOW));
    }
    let other = VERIFIER.verify(&Payload::whole(b"another payload"), data, NOW);
    assert!(!matches!(other, Verdict::Good(_)), "it proves what nobody has signed");
}

/// What is signed in S/MIME is read as it came, be the frames BER; and no bytes but a signer's own are good.
pub fn smime(data: &[u8]) {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
        let authority = CertificateAuthority::from_pem("corp", include_bytes!("authority.pem"));
        let authority = authority.expect("the seeds' authority is one");
        Verifier::new(Vec::new()).with_smime(Authorities::new(vec![authority]))
    });
    let _ = CertificateAuthority::from_pem("any", data);
    let Ok(der) = normalised(data) else { return };
    assert!(der.len() <= data.len() * 3 / 2 + 8, "{} bytes of {}", der.len(), data.len());
    let Ok(parts) = Smime::parse(&der) else { return };
    parts.certificates.iter().for_each(|certificate| assert_inside(certificate, data));
    assert_inside(&parts.signed_attributes[1..], data);
    let armor = armor::encode(data);
    if let Verdict::Stated(stated) = VERIFIER.verify(&Payload::whole(SMIME_PAYLOAD), &armor, NOW) {
        assert!(matches!(
            &stated.keys()[0],
            Key::X509 { subject, .. } if SMIME_SIGNERS.contains(&subject.as_str())
        ));
    }
    let other = VERIFIER.verify(&Payload::whole(PAYLOAD), &armor, NOW);
    assert!(!matches!(other, Verdict::Stated(_) | Verdict::Good(_)), "it is good for what nobody has signed");
}

/// A revocation list that is read can be asked about any signature.
pub fn ssh_revocations(data: &[u8]) {
    let Ok(revocations) = Revocations::parse(data) else { return };
    let armor = include_bytes!("corpus/ssh_signature/ed25519.seed");
    let blob = ssh::decode(armor).expect("the seed is an armor");
    let _ = revocations.revokes(&SshSignature::parse(&blob).expect("the seed is a signature"));
}

/// No bytes but a signer's own are by that signer.
pub fn ssh_signature(data: &[u8]) {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(Vec::new()));
    if let Ok(blob) = ssh::decode(data)
        && let Ok(signature) = SshSignature::parse(&blob)
    {
        assert!(!signature.key_type().is_empty());
    }
    if let Verdict::Stated(stated) = VERIFIER.verify(&Payload::whole(b"another payload"), data, NOW) {
        assert!(!SSH_SIGNERS.contains(&stated.signing_key()), "nobody has signed that");
    }
    let _ = VERIFIER.verify(&Payload::whole(PAYLOAD), data, NOW);
}

/// A tag that is read is its payload and its signature.
pub fn tag(data: &[u8]) {
    for hash in HASHES {
        let Ok(tag) = Tag::parse(hash, data) else { continue };
        assert_eq!(tag.target.kind(), hash);
        let signature = tag.signed.signature.unwrap_or_default();
        assert_eq!([tag.signed.payload.to_vec(), signature].concat(), data);
    }
}

/// A timestamp token that is read keeps to its bytes.
pub fn timestamp(data: &[u8]) {
    let Ok(token) = TimestampToken::parse(data) else { return };
    assert_inside(token.signature, data);
    assert_inside(token.imprint, data);
    token.certificates.iter().for_each(|certificate| assert_inside(certificate, data));
}

fn assert_inside(part: &[u8], whole: &[u8]) {
    assert!(whole.windows(part.len().max(1)).any(|window| window == part));
}
