//! Every bit of signed objects, flipped: each flip has to be refused, for a cause that fits its place.
//!
//! The samples are real signatures of gitsign and of its prototype, and signatures that carry what no
//! real one does yet: an entry of Rekor v2 and timestamp tokens. All are judged by a verifier that has
//! proven the originals before, so what it remembers may not help a flip; verifiers that remember
//! nothing have to give the same answers.

#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/forge.rs"]
mod forge;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use corpus::Corpus;
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
    /// The CMS structure around the parts below: tags, lengths, versions, algorithms, the signer's name.
    Frame,
    /// The signer's certificate.
    Certificate,
    /// The signed attributes with tag and length, but for the digest.
    SignedAttributes,
    /// The digest of the payload.
    MessageDigest,
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

impl Region {
    /// Whether a flip at such a place may be refused for this cause.
    fn allows(self, verdict: &Verdict) -> bool {
        use CannotTell::Format;
        match (self, verdict) {
            (_, Verdict::Good(_)) => false,
            (Self::Frame, Verdict::CannotTell(Format(_) | CannotTell::CertificateProfile(_))) => true,
            (
                Self::Certificate,
                Verdict::Bad(Bad::CertificateSignature)
                | Verdict::CannotTell(
                    Format(FormatError::Certificate | FormatError::Der)
                    | CannotTell::CertificateProfile(_)
                    | CannotTell::CertificatePath
                    | CannotTell::UnknownAuthority,
                ),
            ) => true,
            (
                Self::SignedAttributes,
                Verdict::Bad(Bad::Signature)
                | Verdict::CannotTell(Format(FormatError::Attribute | FormatError::Content | FormatError::Der)),
            ) => true,
            (Self::MessageDigest, verdict) => *verdict == Verdict::Bad(Bad::DigestMismatch),
            (Self::Signature, verdict) => *verdict == Verdict::Bad(Bad::Signature),
            (Self::EntryTimestamp, verdict) => *verdict == Verdict::Bad(Bad::SignedEntryTimestamp),
            (
                Self::Entry,
                Verdict::Bad(Bad::SignedEntryTimestamp | Bad::InclusionProof)
                // A proof under another field's number is no proof.
                | Verdict::CannotTell(CannotTell::NoInclusion | Format(FormatError::LogEntry)),
            ) => true,
            (Self::LogId, Verdict::CannotTell(CannotTell::UnknownLog | Format(FormatError::LogEntry))) => {
                true
            }
            (
                Self::Hashes,
                Verdict::Bad(Bad::InclusionProof) | Verdict::CannotTell(Format(FormatError::LogEntry)),
            ) => true,
            (
                Self::Checkpoint,
                Verdict::Bad(Bad::CheckpointSignature)
                | Verdict::CannotTell(CannotTell::ForeignCheckpoint | Format(FormatError::LogEntry)),
            ) => true,
            (
                Self::Token,
                Verdict::Bad(Bad::TimestampSignature | Bad::TimestampImprint)
                | Verdict::CannotTell(
                    CannotTell::UnknownTimestampAuthority | Format(FormatError::Timestamp | FormatError::Der),
                ),
            ) => true,
            _ => false,
        }
    }
}

/// The causes without which the test would not have been where it says it was.
const REACHED: [(Region, Verdict); 9] = [
    (Region::Certificate, Verdict::Bad(Bad::CertificateSignature)),
    (Region::SignedAttributes, Verdict::Bad(Bad::Signature)),
    (Region::MessageDigest, Verdict::Bad(Bad::DigestMismatch)),
    (Region::Signature, Verdict::Bad(Bad::Signature)),
    (Region::LogId, Verdict::CannotTell(CannotTell::UnknownLog)),
    (Region::EntryTimestamp, Verdict::Bad(Bad::SignedEntryTimestamp)),
    (Region::Hashes, Verdict::Bad(Bad::InclusionProof)),
    (Region::Checkpoint, Verdict::Bad(Bad::CheckpointSignature)),
    (Region::Token, Verdict::Bad(Bad::TimestampSignature)),
];

/// Flips that stay good. There are none: a bit that nothing covers is held to its one legal value.
const SURVIVORS: [(&str, Range<usize>); 0] = [];

/// Which trusted root judges a sample.
type Trust = fn(&forge::World) -> Instance;

struct Sample {
    name: String,
    payload: Vec<u8>,
    der: Vec<u8>,
    good: Proven,
    trust: Trust,
}

/// The samples with the world that made those which are not real.
struct Samples {
    world: forge::World,
    samples: Vec<Sample>,
}

const NOW: i64 = corpus::NOW;

impl Samples {
    fn gather(test: &str) -> Self {
        let world = forge::World::new();
        let mut samples = Vec::new();
        let v1 = world.stamped(world.signed());
        let v2 = world.stamped(world.logged_v2(world.unlogged(&world.signer())));
        for (name, signature) in [("Rekor v1 and a token", v1), ("Rekor v2 and a token", v2)] {
            samples.push((name.to_owned(), forge::PAYLOAD.to_vec(), signature.der(), sandbox as Trust));
        }
        if let Some(corpus) = Corpus::open(test) {
            for prefix in ["0049be14", "c47e8bf5", "138f9d7c"] {
                let object = corpus.object_called(prefix);
                let signed = object.signed();
                let der = armor::decode(signed.signature.as_deref().unwrap()).unwrap();
                samples.push((prefix.to_owned(), signed.payload.to_vec(), der, public_good));
            }
        }
        let prove = |(name, payload, der, trust): (String, Vec<u8>, Vec<u8>, Trust)| {
            let good = match judge(&Verifier::new(vec![trust(&world)]), &payload, &der) {
                Verdict::Good(proven) => *proven,
                other => panic!("{name} is good unflipped: {other:?}"),
            };
            Sample { name, payload, der, good, trust }
        };
        let samples = samples.into_iter().map(prove).collect();
        Self { world, samples }
    }
}

fn sandbox(world: &forge::World) -> Instance {
    world.instance()
}

fn public_good(_: &forge::World) -> Instance {
    Instance::public_good().unwrap()
}

fn judge(verifier: &Verifier, payload: &[u8], der: &[u8]) -> Verdict {
    verifier.verify(&Payload::whole(payload), &armor::encode(der), NOW)
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    changed
}

fn find(haystack: &[u8], needle: &[u8]) -> Range<usize> {
    let start = haystack.windows(needle.len()).position(|window| window == needle).expect("it is there");
    start..start + needle.len()
}

/// What each byte of a signature belongs to.
fn regions(der: &[u8]) -> Vec<Region> {
    let mut map = vec![Region::Frame; der.len()];
    let mark = |map: &mut [Region], part: &[u8], region| map[find(der, part)].fill(region);
    let cms = SignedData::parse(der).unwrap();
    let keyless = Keyless::parse(der).unwrap();
    mark(&mut map, keyless.certificate, Region::Certificate);
    mark(&mut map, cms.signers[0].signed_attributes_raw.unwrap(), Region::SignedAttributes);
    mark(&mut map, keyless.message_digest, Region::MessageDigest);
    mark(&mut map, keyless.signature, Region::Signature);
    match keyless.log_entry.as_ref().unwrap() {
        EmbeddedEntry::Encoded(bytes) => {
            mark(&mut map, bytes, Region::Entry);
            let entry = TransparencyLogEntry::parse(bytes).unwrap();
            mark(&mut map, &entry.log_id.as_ref().unwrap().key_id, Region::LogId);
            if let Some(timestamp) = entry.signed_entry_timestamp() {
                mark(&mut map, timestamp, Region::EntryTimestamp);
            }
            let proof = entry.inclusion_proof.as_ref().unwrap();
            for hash in proof.hashes.iter().chain([&proof.root_hash]) {
                mark(&mut map, hash, Region::Hashes);
            }
            mark(&mut map, proof.checkpoint.as_ref().unwrap().envelope.as_bytes(), Region::Checkpoint);
        }
        EmbeddedEntry::Prototype(fields) => {
            use Region::{Checkpoint, Entry, EntryTimestamp, Hashes, LogId};
            let kinds = [Entry, LogId, Entry, EntryTimestamp, Checkpoint, Hashes, Hashes, Entry, Entry];
            for (field, kind) in fields.iter().zip(kinds) {
                let whole = find(der, field.raw);
                map[whole.end - field.value.len()..whole.end].fill(kind);
            }
        }
    }
    for token in &keyless.timestamp_tokens {
        mark(&mut map, token, Region::Token);
    }
    map
}

#[test]
fn no_bit_of_a_payload_may_change() {
    let Samples { world, samples } = Samples::gather("flipped payloads");
    for sample in &samples {
        let verifier = Verifier::new(vec![(sample.trust)(&world)]);
        assert!(matches!(judge(&verifier, &sample.payload, &sample.der), Verdict::Good(_)));
        (0..sample.payload.len() * 8).into_par_iter().for_each(|bit| {
            let verdict = judge(&verifier, &flipped(&sample.payload, bit), &sample.der);
            assert_eq!(verdict, Verdict::Bad(Bad::DigestMismatch), "{} bit {bit}", sample.name);
        });
    }
}

#[test]
fn no_bit_of_a_signature_may_change() {
    let Samples { world, samples } = Samples::gather("flipped signatures");
    let mut reached = BTreeSet::new();
    for sample in &samples {
        let map = regions(&sample.der);
        let verifier = Verifier::new(vec![(sample.trust)(&world)]);
        assert!(matches!(judge(&verifier, &sample.payload, &sample.der), Verdict::Good(_)));
        let verdicts: Vec<Verdict> = (0..sample.der.len() * 8)
            .into_par_iter()
            .map(|bit| judge(&verifier, &sample.payload, &flipped(&sample.der, bit)))
            .collect();
        let mut wrong: BTreeMap<(Region, String), Vec<usize>> = BTreeMap::new();
        for (bit, verdict) in verdicts.iter().enumerate() {
            let region = map[bit / 8];
            reached
                .extend(REACHED.iter().position(|expected| (expected.0, &expected.1) == (region, verdict)));
            let listed =
                SURVIVORS.iter().any(|(name, place)| *name == sample.name && place.contains(&(bit / 8)));
            match verdict {
                // A survivor says nothing else about who, when, where logged and with which certificate.
                Verdict::Good(proven) if listed => assert_eq!(**proven, sample.good, "{}", sample.name),
                verdict if region.allows(verdict) => {}
                verdict => wrong.entry((region, format!("{verdict:?}"))).or_default().push(bit),
            }
        }
        assert!(wrong.is_empty(), "{}: {wrong:#?}", sample.name);
    }
    let mut left: Vec<_> = REACHED.iter().enumerate().filter(|(place, _)| !reached.contains(place)).collect();
    // Only real signatures have an attribute that nothing else is held against.
    let has_real_ones = samples.iter().any(|sample| !sample.name.starts_with("Rekor"));
    left.retain(|(_, (region, _))| has_real_ones || *region != Region::SignedAttributes);
    assert!(left.is_empty(), "not every part has been reached: {left:?}");
}

#[test]
fn no_bit_of_an_armor_may_change() {
    let Samples { world, samples } = Samples::gather("flipped armor");
    for sample in &samples {
        let armor = armor::encode(&sample.der);
        let verifier = Verifier::new(vec![(sample.trust)(&world)]);
        let payload = Payload::whole(&sample.payload);
        assert!(matches!(verifier.verify(&payload, &armor, NOW), Verdict::Good(_)));
        // One bit of every byte; the highest is of no base64 character and would be refused at once.
        (0..armor.len()).into_par_iter().map(|at| at * 8 + at % 7).for_each(|bit| {
            let verdict = verifier.verify(&payload, &flipped(&armor, bit), NOW);
            assert!(!matches!(verdict, Verdict::Good(_)), "{} bit {bit}", sample.name);
        });
        // Nor may a byte be missing, but for the last line feed, which git leaves out of headers.
        (0..armor.len()).into_par_iter().rev().step_by(16).for_each(|length| {
            let verdict = verifier.verify(&payload, &armor[..length], NOW);
            assert_eq!(matches!(verdict, Verdict::Good(_)), length == armor.len() - 1, "{length} bytes");
        });
    }
}

#[test]
fn what_a_verifier_remembers_changes_no_answer() {
    let Samples { world, samples } = Samples::gather("warm and cold");
    for sample in &samples {
        let warm = Verifier::new(vec![(sample.trust)(&world)]);
        assert!(matches!(judge(&warm, &sample.payload, &sample.der), Verdict::Good(_)));
        // Every fifth byte, at bits that differ; a verifier of its own for each of them.
        (0..sample.der.len()).into_par_iter().step_by(5).for_each(|at| {
            let changed = flipped(&sample.der, at * 8 + at % 8);
            let cold = Verifier::new(vec![(sample.trust)(&world)]);
            let answer = judge(&cold, &sample.payload, &changed);
            assert_eq!(judge(&warm, &sample.payload, &changed), answer, "{} byte {at}", sample.name);
            assert_eq!(judge(&cold, &sample.payload, &changed), answer, "asked again");
        });
        assert_eq!(judge(&warm, &sample.payload, &sample.der), Verdict::Good(Box::new(sample.good.clone())));
    }
}
