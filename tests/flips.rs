//! Every bit of signed objects, flipped: each flip has to be refused, for a cause that fits its place.
//!
//! The samples are real signatures of gitsign and its prototype, and signatures that carry what the
//! real ones do not: an entry of Rekor v2 and a timestamp token. All are judged by one verifier that
//! has proven the originals before, so what it remembers may not help a flip; a second one that
//! remembers nothing has to give the same answers.

#![allow(clippy::unwrap_used)]

#[path = "support/corpus.rs"]
mod corpus;

use std::{collections::BTreeMap, ops::Range};

use corpus::{Corpus, NOW};
use countersign::{
    encoding::cms::SignedData,
    object::Payload,
    signature::{
        FormatError, armor,
        keyless::{EmbeddedEntry, Keyless},
    },
    sigstore::{log_entry::TransparencyLogEntry, trusted_root::Instance},
    verify::{Bad, CannotTell, Proven, Verdict, Verifier},
};
use rayon::prelude::*;

/// What stands at a place of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Region {
    /// The object without its signature.
    Payload,
    /// The CMS structure around the parts below: tags, lengths, versions, algorithms, the signer's name.
    Frame,
    /// The signer's certificate.
    Certificate,
    /// The signed attributes with tag and length.
    SignedAttributes,
    /// The signature value.
    Signature,
    /// The log entry's structure, kind, version, time and index.
    Entry,
    /// The log's id.
    LogId,
    /// The signed entry timestamp.
    EntryTimestamp,
    /// Sibling hashes and root hash of the inclusion proof.
    Hashes,
    /// The checkpoint.
    Checkpoint,
    /// A timestamp token.
    Token,
}

struct Sample {
    name: &'static str,
    payload: Vec<u8>,
    der: Vec<u8>,
    good: Proven,
}

fn position(haystack: &[u8], needle: &[u8]) -> Range<usize> {
    let start = haystack.windows(needle.len()).position(|window| window == needle).expect("it is there");
    start..start + needle.len()
}

/// Which byte of `der` belongs to what.
fn regions(der: &[u8]) -> Vec<Region> {
    let mut map = vec![Region::Frame; der.len()];
    let mut mark = |part: &[u8], region| map[position(der, part)].fill(region);
    let cms = SignedData::parse(der).unwrap();
    let keyless = Keyless::parse(der).unwrap();
    mark(keyless.certificate, Region::Certificate);
    mark(cms.signers[0].signed_attributes_raw.unwrap(), Region::SignedAttributes);
    mark(keyless.signature, Region::Signature);
    match keyless.log_entry.as_ref().unwrap() {
        EmbeddedEntry::Encoded(bytes) => {
            mark(bytes, Region::Entry);
            let entry = TransparencyLogEntry::parse(bytes).unwrap();
            mark(&entry.log_id.as_ref().unwrap().key_id, Region::LogId);
            if let Some(timestamp) = entry.signed_entry_timestamp() {
                mark(timestamp, Region::EntryTimestamp);
            }
            let proof = entry.inclusion_proof.as_ref().unwrap();
            for hash in proof.hashes.iter().chain([&proof.root_hash]) {
                mark(hash, Region::Hashes);
            }
            mark(proof.checkpoint.as_ref().unwrap().envelope.as_bytes(), Region::Checkpoint);
        }
        EmbeddedEntry::Prototype(fields) => {
            let kinds = [
                Region::Entry,
                Region::LogId,
                Region::Entry,
                Region::EntryTimestamp,
                Region::Checkpoint,
                Region::Hashes,
                Region::Hashes,
                Region::Entry,
                Region::Entry,
            ];
            for (field, kind) in fields.iter().zip(kinds) {
                mark(field.value, kind);
            }
        }
    }
    for token in &keyless.timestamp_tokens {
        mark(token, Region::Token);
    }
    map
}

#[test]
fn report() {
    let Some(corpus) = Corpus::open("flips") else { return };
    let verifier = Verifier::new(vec![Instance::public_good().unwrap()]);
    for prefix in ["0049be14", "c47e8bf5", "138f9d7c"] {
        let object = corpus.object_called(prefix);
        let signed = object.signed();
        let payload = signed.payload.to_vec();
        let der = armor::decode(signed.signature.as_deref().unwrap()).unwrap();
        let map = regions(&der);
        let started = std::time::Instant::now();
        let found: Vec<(usize, u8, Verdict)> = (0..der.len() * 8)
            .into_par_iter()
            .map(|flip| {
                let mut changed = der.clone();
                changed[flip / 8] ^= 1 << (flip % 8);
                let armor = armor::encode(&changed);
                (flip / 8, (flip % 8) as u8, verifier.verify(&Payload::whole(&payload), &armor, NOW))
            })
            .collect();
        println!("{prefix} {} bytes {:?}", der.len(), started.elapsed());
        let mut counts: BTreeMap<(Region, String), usize> = BTreeMap::new();
        for (at, bit, verdict) in &found {
            let text = match verdict {
                Verdict::Good(_) => format!("GOOD {at}.{bit}"),
                other => format!("{other:?}"),
            };
            *counts.entry((map[*at], text)).or_default() += 1;
        }
        for (key, count) in counts {
            println!("{key:?} {count}");
        }
    }
}
