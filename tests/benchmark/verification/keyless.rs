//! Keyless signatures: one signature a commit, one leaf-by-intermediate and one SCT a distinct certificate,
//! one signed entry timestamp an entry, one signature a distinct checkpoint.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::{
    digest,
    signature::{self, VerificationAlgorithm},
};
use countersign::{
    encoding::x509::Slices,
    object::{Commit, HashKind, ObjectId},
    repository::Objects,
    signature::{
        armor,
        keyless::{EmbeddedEntry, Keyless},
    },
    sigstore::{
        certificate::SigningCertificate,
        checkpoint::Checkpoint,
        log_entry::{self, BodyVersion, TransparencyLogEntry},
    },
};
use sigstore_trust_root::TrustedRoot;

use super::bare::{Bare, Check, Message};

/// Everything that proves the commits among `ids`, prepared.
pub fn bare(objects: &Objects, ids: &[ObjectId]) -> Vec<Bare> {
    let mut counts = Counts::default();
    let bare = prepare(objects, ids, &mut counts);
    println!("  {counts:?}");
    bare
}

#[derive(Debug, Default)]
#[allow(dead_code, reason = "printed")]
struct Counts {
    signatures: usize,
    certificates: usize,
    scts: usize,
    entry_timestamps: usize,
    checkpoints: usize,
    hashed_bytes: usize,
}

fn check(
    algorithm: &'static dyn VerificationAlgorithm,
    hash: &'static digest::Algorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Check {
    Check::new(algorithm, spki, Message::Digest(digest::digest(hash, message)), signature)
}

fn prepare(objects: &Objects, ids: &[ObjectId], counts: &mut Counts) -> Vec<Bare> {
    let root = TrustedRoot::from_json(sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
    let logs: HashMap<Vec<u8>, Vec<u8>> = root
        .tlogs
        .iter()
        .map(|log| (&log.log_id, &log.public_key))
        .chain(root.ctlogs.iter().map(|log| (&log.log_id, &log.public_key)))
        .map(|(id, key)| (id.key_id.as_bytes().to_vec(), key.raw_bytes.as_bytes().to_vec()))
        .collect();
    let authorities: Vec<Vec<u8>> = root
        .certificate_authorities
        .iter()
        .map(|authority| authority.cert_chain.certificates[0].raw_bytes.as_bytes().to_vec())
        .collect();
    let reader = objects.reader();
    let (mut certificates, mut checkpoints) = (HashSet::new(), HashSet::new());
    let p256: &'static dyn VerificationAlgorithm = &signature::ECDSA_P256_SHA256_ASN1;
    ids.iter()
        .map(|id| {
            let object = reader.read(*id).unwrap();
            let commit = Commit::parse(HashKind::Sha1, &object.bytes).unwrap();
            let der = armor::decode(commit.signed.signature.as_deref().unwrap()).unwrap();
            let cms = Keyless::parse(&der).unwrap();
            let leaf = SigningCertificate::parse(cms.certificate).unwrap();
            let mut bare = Bare::default();
            bare.checks.push(check(
                p256,
                &digest::SHA256,
                leaf.slices.spki,
                &cms.signed_attributes,
                cms.signature,
            ));
            counts.signatures += 1;
            bare.hash(commit.signed.payload.to_vec());
            bare.hash(cms.signed_attributes.clone());
            if certificates.insert(cms.certificate.to_vec()) {
                let issuer = authorities
                    .iter()
                    .find(|issuer| {
                        let issuer = Slices::parse(issuer).unwrap();
                        issuer.subject == leaf.slices.issuer && leaf.slices.not_before >= issuer.not_before
                    })
                    .unwrap();
                let issuer = Slices::parse(issuer).unwrap();
                bare.checks.push(check(
                    &signature::ECDSA_P384_SHA384_ASN1,
                    &digest::SHA384,
                    issuer.spki,
                    leaf.slices.tbs,
                    leaf.slices.signature,
                ));
                counts.certificates += 1;
                let signed = leaf.sct.signed_bytes(&leaf.slices, issuer.spki);
                let log = &logs[&leaf.sct.log_id.to_vec()];
                bare.checks.push(check(p256, &digest::SHA256, log, &signed, leaf.sct.signature));
                counts.scts += 1;
                bare.hash(signed);
            }
            let entry = match cms.log_entry.as_ref().unwrap() {
                EmbeddedEntry::Encoded(bytes) => TransparencyLogEntry::parse(bytes).unwrap(),
                EmbeddedEntry::Prototype(fields) => TransparencyLogEntry::from_prototype(fields).unwrap(),
            };
            let id = &entry.log_id.as_ref().unwrap().key_id;
            let hash = countersign::encoding::sha256(&[&cms.signed_attributes]);
            let body = log_entry::body(BodyVersion::V001, &hash, cms.signature, cms.certificate, "");
            let payload =
                log_entry::signed_entry_timestamp_payload(&body, entry.integrated_time, id, entry.log_index);
            let timestamp = entry.signed_entry_timestamp().unwrap();
            bare.checks.push(check(p256, &digest::SHA256, &logs[id], &payload, timestamp));
            counts.entry_timestamps += 1;
            bare.hash(payload);
            bare.hash(body);
            if let Some(proof) = &entry.inclusion_proof {
                let note = &proof.checkpoint.as_ref().unwrap().envelope;
                if checkpoints.insert(note.clone()) {
                    let parsed = Checkpoint::parse(note).unwrap();
                    let line = &parsed.signatures[0];
                    bare.checks.push(check(
                        p256,
                        &digest::SHA256,
                        &logs[id],
                        parsed.text.as_bytes(),
                        &line.signature,
                    ));
                    counts.checkpoints += 1;
                    bare.hash(parsed.text.as_bytes().to_vec());
                }
            }
            counts.hashed_bytes += bare.hashed.iter().map(|(bytes, _)| bytes.len()).sum::<usize>();
            bare
        })
        .collect()
}
