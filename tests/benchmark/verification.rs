//! Verification throughput on real commits, as a ratio to the bare cryptography.
//!
//! Bare means: calls into aws-lc-rs only, on keys and digests prepared beforehand, with as many threads
//! and without parsing or allocation: one signature a commit, one leaf-by-intermediate and one SCT a
//! distinct certificate, one signed entry timestamp an entry, one signature a distinct checkpoint, and
//! SHA-256 over the same bytes. Both run alternately; the median ratio and its spread are printed.
//!
//! Run with `cargo bench --bench verification`. The corpus lies beside the project.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{HashMap, HashSet},
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    digest::{self, Digest},
    signature::{self, ParsedPublicKey, VerificationAlgorithm},
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
        trusted_root::Instance,
    },
    verify::{Verdict, Verifier},
};
use rayon::prelude::*;
use sigstore_trust_root::TrustedRoot;

const ROUNDS: usize = 5;
const NOW: i64 = 1_795_000_000;

/// One signature check with everything prepared.
struct Check {
    key: ParsedPublicKey,
    digest: Digest,
    signature: Vec<u8>,
}

/// The bare work of one commit.
#[derive(Default)]
struct Bare {
    checks: Vec<Check>,
    hashed: Vec<Vec<u8>>,
}

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("shared/corpus");
    let Ok(index) = std::fs::read_to_string(folder.join("index.tsv")) else {
        println!("the corpus folder is not there: nothing is measured");
        return;
    };
    let ids: Vec<ObjectId> = index
        .lines()
        .filter(|line| line.contains("\tcommit\tgitsign-embedded\t"))
        .map(|line| ObjectId::from_hex(line.split('\t').next().unwrap().as_bytes()).unwrap())
        .collect();
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("pack")).unwrap();
    for extension in ["pack", "idx"] {
        let to = directory.path().join("pack").join(format!("pack-real.{extension}"));
        std::fs::copy(folder.join(format!("real.{extension}")), to).unwrap();
    }
    let objects = Objects::open(HashKind::Sha1, &[directory.path().to_owned()]).unwrap();

    let mut counts = Counts::default();
    let bare = prepare(&objects, &ids, &mut counts);
    println!("commits {}; {counts:?}", ids.len());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, cores];
    threads.dedup();
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        // Long enough runs that a timer's grain does not matter.
        let repeat = 3;
        let mut ratios = Vec::new();
        let (mut best_bare, mut best_ours) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let bare_time = timed(|| pool.install(|| (0..repeat).for_each(|_| run_bare(&bare)))) / repeat;
            let our_time =
                timed(|| pool.install(|| (0..repeat).for_each(|_| run_ours(&objects, &ids)))) / repeat;
            best_bare = best_bare.min(bare_time);
            best_ours = best_ours.min(our_time);
            ratios.push(bare_time.as_secs_f64() / our_time.as_secs_f64());
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "threads {threads}: bare {:.0}/s, verify {:.0}/s; ratio median {:.1} %, spread {:.1} to {:.1} %",
            ids.len() as f64 / best_bare.as_secs_f64(),
            ids.len() as f64 / best_ours.as_secs_f64(),
            ratios[ROUNDS / 2] * 100.0,
            ratios[0] * 100.0,
            ratios[ROUNDS - 1] * 100.0,
        );
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// From the pack to the verdict, with a verifier that has seen nothing yet.
fn run_ours(objects: &Objects, ids: &[ObjectId]) {
    let verifier = Verifier::new(vec![Instance::public_good().unwrap()]);
    let good = ids
        .par_iter()
        .map_init(
            || objects.reader(),
            |reader, id| {
                let object = reader.read(*id).unwrap();
                let commit = Commit::parse(HashKind::Sha1, &object.bytes).unwrap();
                let armor = commit.signed.signature.as_deref().unwrap();
                matches!(verifier.verify(&commit.signed.payload, armor, NOW), Verdict::Good(_))
            },
        )
        .filter(|good| *good)
        .count();
    assert_eq!(good, ids.len());
}

fn run_bare(bare: &[Bare]) {
    bare.par_iter().for_each(|bare| {
        for check in &bare.checks {
            check.key.verify_digest_sig(&check.digest, &check.signature).unwrap();
        }
        for bytes in &bare.hashed {
            black_box(digest::digest(&digest::SHA256, bytes));
        }
    });
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
    let key = ParsedPublicKey::new(algorithm, spki).unwrap();
    Check { key, digest: digest::digest(hash, message), signature: signature.to_vec() }
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
            bare.hashed.push(commit.signed.payload.to_vec());
            bare.hashed.push(cms.signed_attributes.clone());
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
                bare.hashed.push(signed);
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
            bare.hashed.push(payload);
            bare.hashed.push(body);
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
                    bare.hashed.push(parsed.text.as_bytes().to_vec());
                }
            }
            counts.hashed_bytes += bare.hashed.iter().map(Vec::len).sum::<usize>();
            bare
        })
        .collect()
}
