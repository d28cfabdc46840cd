//! What must hold for any bytes: one function for each parser, and one for the verifier.
//!
//! The programs in `fuzz_targets` hand them whatever a fuzzer thinks of; `tests/fuzz.rs` hands them the seeds
//! and changed seeds in every run of the tests.

use std::sync::LazyLock;

use countersign::{
    encoding::x509::Slices,
    object::{Commit, HashKind, Payload, PushCertificate, Tag},
    policy::Policy,
    signature::{
        armor,
        keyless::{EmbeddedEntry, Keyless},
    },
    sigstore::{
        certificate::SigningCertificate, checkpoint::Checkpoint, log_entry::TransparencyLogEntry, sct::Sct,
        timestamp::TimestampToken, trusted_root::Instance,
    },
    verify::{Verdict, Verifier},
};
use prost::Message as _;

/// Who signed the seeds of [`signature`].
pub const SIGNER: &str = "dev@example.com";
/// What they sign.
pub const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nmessage\n";
/// Some time after the seeds were signed.
pub const NOW: i64 = 1_790_086_400;

const HASHES: [HashKind; 2] = [HashKind::Sha1, HashKind::Sha256];

/// Each target with its name.
pub const TARGETS: [(&str, fn(&[u8])); 12] = [
    ("armor", armor),
    ("certificate", certificate),
    ("checkpoint", checkpoint),
    ("cms", cms),
    ("commit", commit),
    ("log_entry", log_entry),
    ("policy", policy),
    ("push_certificate", push_certificate),
    ("sct", sct),
    ("signature", signature),
    ("tag", tag),
    ("timestamp", timestamp),
];

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
        assert_eq!((again.tree, again.parents), (commit.tree, commit.parents));
    }
}

/// An entry that is read has one encoding.
pub fn log_entry(data: &[u8]) {
    let Ok(entry) = TransparencyLogEntry::parse(data) else { return };
    assert_eq!(entry.encode_to_vec(), data);
    assert!(entry.body_version().is_ok());
}

/// A policy that is read can be asked about any ref.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(policy) = Policy::parse(text) else { return };
    let _ = policy.check();
    for reference in [&b"refs/heads/main"[..], b"refs/tags/v1", b"", b"refs/heads/\xff"] {
        let _ = policy.governing(reference);
    }
    assert!(policy.rules().iter().all(|rule| !rule.name.is_empty()));
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
