//! `sigstore-verify` as the judge of our judge: it reads the same parts as a bundle and has to agree.
//!
//! What it is asked about is the signature over the signed attributes; that these name the payload's
//! digest, and everything about CMS, is ours alone. Whatever we call good, it has to verify, with the
//! same identity and issuer; where it verifies and we do not, our cause has to be on a list.

#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/forge.rs"]
mod forge;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use corpus::{Corpus, NOW};
use countersign::{
    encoding::{
        cms::{SignedData, SignerInfo},
        der::{self, Tag},
        sha256,
    },
    object::Payload,
    signature::{armor, keyless},
    sigstore::{
        certificate::ProfileError,
        log_entry::{self, InclusionPromise, TransparencyLogEntry},
        trusted_root::Instance,
    },
    verify::{Bad, CannotTell, Verdict, Verifier},
};
use prost::Message as _;
use rayon::prelude::*;
use serde_json::{Value, json};
use sigstore_verify::{VerificationPolicy, trust_root::TrustedRoot, types::Bundle};

/// Both judges, with the same trusted root.
struct Judges {
    ours: Verifier,
    theirs: sigstore_verify::Verifier,
}

impl Judges {
    fn new(name: &str, root: &str) -> Self {
        Self {
            ours: Verifier::new(vec![Instance::from_json(name, root).unwrap()]),
            theirs: sigstore_verify::Verifier::new(&TrustedRoot::from_json(root).unwrap()).unwrap(),
        }
    }

    fn public_good() -> Self {
        Self::new("public-good", sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT)
    }

    /// Our verdict; their identity and issuer, if they verify; `None` where there is no bundle to ask about.
    fn judge(&self, payload: &[u8], der: &[u8]) -> (Verdict, Option<(String, String)>) {
        let ours = self.ours.verify(&Payload::whole(payload), &armor::encode(der), NOW);
        let theirs = bundle(der).and_then(|(signed, bundle)| {
            let policy = VerificationPolicy::any_identity();
            let result = self.theirs.verify(signed.as_slice(), &bundle, &policy).ok()?;
            assert!(result.certificate_verified() && result.sct_verified() && result.tlog_verified());
            let identity = result.identity()?.as_str().to_owned();
            Some((identity, result.issuer()?.to_owned()))
        });
        (ours, theirs)
    }

    /// Judge both ways. The answer is our cause where we alone refuse.
    #[track_caller]
    fn compare(&self, what: &str, payload: &[u8], der: &[u8]) -> Option<Verdict> {
        match self.judge(payload, der) {
            (Verdict::Good(proven), theirs) => {
                let identity = proven.identity();
                let ours = (identity.subject.clone(), identity.issuer.clone());
                assert_eq!(theirs, Some(ours), "{what}: good here and not there");
                None
            }
            (_, None) => None,
            (ours, Some(_)) => Some(ours),
        }
    }
}

/// Why we may refuse what they verify.
fn is_explained(verdict: &Verdict) -> bool {
    match verdict {
        // The payload is not part of the bundle.
        Verdict::Bad(Bad::DigestMismatch) => true,
        // CMS is not part of the bundle, and an encoded entry has one spelling.
        Verdict::CannotTell(CannotTell::Format(_)) => true,
        // Which kind of key an algorithm's name stands for is not part of the bundle either.
        Verdict::CannotTell(CannotTell::CertificateProfile(ProfileError::Key)) => true,
        // The name on a checkpoint's signature line is covered by nothing; here it is the log's own.
        Verdict::Bad(Bad::CheckpointSignature) => true,
        // Without a promise nothing covers the entry's own log id; here it is that of the checkpoint's log.
        Verdict::CannotTell(CannotTell::UnknownLog) => true,
        _ => false,
    }
}

/// What was signed and the bundle of the parts, read as leniently as they can be found.
fn bundle(der: &[u8]) -> Option<(Vec<u8>, Bundle)> {
    let cms = SignedData::parse(der).ok()?;
    let signer = cms.signers.first()?;
    let certificate = cms.certificates.first()?;
    let signed = signer.signed_attributes_as_set()?;
    let entry = entry(signer)?;
    let version = entry.body_version().ok()?;
    let body = match entry.canonicalized_body.as_slice() {
        [] => log_entry::body(version, &sha256(&[&signed]), signer.signature, certificate, key_details()),
        stated => stated.to_vec(),
    };
    let tokens = signer
        .unsigned_attributes
        .iter()
        .filter(|attribute| attribute.kind == keyless::TIMESTAMP_TOKEN.as_bytes())
        .flat_map(|attribute| &attribute.values)
        // TimeStampResp: PKIStatusInfo granted, token.
        .map(|token| forge::tlv(0x30, &[&[0x30, 3, 2, 1, 0], token.raw]))
        .map(|response| json!({"signedTimestamp": STANDARD.encode(response)}));
    let tokens: Vec<Value> = tokens.collect();
    let certificate = json!({"rawBytes": STANDARD.encode(certificate)});
    let mut material = json!({
        "tlogEntries": [entry_json(&entry, &body)],
        "timestampVerificationData": {"rfc3161Timestamps": tokens},
    });
    // Only the oldest form of bundle goes without an inclusion proof.
    let media_type = if entry.inclusion_proof.is_some() {
        material["certificate"] = certificate;
        "application/vnd.dev.sigstore.bundle.v0.3+json"
    } else {
        material["x509CertificateChain"] = json!({"certificates": [certificate]});
        "application/vnd.dev.sigstore.bundle+json;version=0.1"
    };
    let bundle = json!({
        "mediaType": media_type,
        "verificationMaterial": material,
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(sha256(&[&signed]))},
            "signature": STANDARD.encode(signer.signature),
        },
    });
    Some((signed, Bundle::from_json(&bundle.to_string()).ok()?))
}

/// All samples have keys of this kind.
fn key_details() -> &'static str {
    "PKIX_ECDSA_P256_SHA_256"
}

fn entry(signer: &SignerInfo<'_>) -> Option<TransparencyLogEntry> {
    let family = &keyless::LOG_ENTRY.as_bytes()[..keyless::LOG_ENTRY.as_bytes().len() - 1];
    let mut fields: Vec<_> = signer
        .unsigned_attributes
        .iter()
        .filter(|attribute| attribute.kind.starts_with(family))
        .filter_map(|attribute| Some((*attribute.kind.last()?, *attribute.values.first()?)))
        .collect();
    fields.sort_by_key(|(number, _)| *number);
    match fields.as_slice() {
        [(1, entry)] => TransparencyLogEntry::decode(entry.value).ok(),
        all => {
            let fields: Vec<_> = all.iter().map(|(_, field)| *field).collect();
            TransparencyLogEntry::from_prototype(fields.as_slice().try_into().ok()?).ok()
        }
    }
}

fn entry_json(entry: &TransparencyLogEntry, body: &[u8]) -> Value {
    let kind = entry.kind_version.clone().unwrap_or_default();
    let mut value = json!({
        "logIndex": entry.log_index.to_string(),
        "logId": {"keyId": STANDARD.encode(&entry.log_id.clone().unwrap_or_default().key_id)},
        "kindVersion": {"kind": kind.kind, "version": kind.version},
        "integratedTime": entry.integrated_time.to_string(),
        "canonicalizedBody": STANDARD.encode(body),
    });
    if let Some(timestamp) = entry.signed_entry_timestamp() {
        value["inclusionPromise"] = json!({"signedEntryTimestamp": STANDARD.encode(timestamp)});
    }
    if let Some(proof) = &entry.inclusion_proof {
        let hashes: Vec<String> = proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
        value["inclusionProof"] = json!({
            "logIndex": proof.log_index.to_string(),
            "rootHash": STANDARD.encode(&proof.root_hash),
            "treeSize": proof.tree_size.to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": proof.checkpoint.clone().unwrap_or_default().envelope},
        });
    }
    value
}

/// A real signature as parts that can be exchanged; `None` for the prototype.
fn parts(der: &[u8]) -> Option<forge::Signature> {
    let cms = SignedData::parse(der).unwrap();
    let signer = &cms.signers[0];
    let signed = signer.signed_attributes_as_set().unwrap();
    let attributes = der::only(&signed, Tag::Set).unwrap().walk();
    let countersign::encoding::cms::SignerIdentifier::IssuerAndSerial { issuer, serial } = signer.identifier
    else {
        return None;
    };
    let attribute = signer.unsigned_attributes.first()?;
    if signer.unsigned_attributes.len() != 1 || attribute.kind != keyless::LOG_ENTRY.as_bytes() {
        return None;
    }
    Some(forge::Signature {
        version: 1,
        digest_algorithms: vec![forge::algorithm(forge::SHA256)],
        content_type: forge::ID_DATA,
        content: None,
        certificates: vec![cms.certificates[0].to_vec()],
        revocations: Vec::new(),
        signers: vec![forge::SignerInfo {
            version: 1,
            identifier: forge::tlv(0x30, &[issuer, &forge::tlv(2, &[serial])]),
            digest_algorithm: forge::algorithm(forge::SHA256),
            attributes: elements(attributes),
            signature_algorithm: forge::algorithm(forge::ECDSA_SHA256),
            signature: signer.signature.to_vec(),
            entry: Some(TransparencyLogEntry::parse(attribute.values[0].value).unwrap()),
            tokens: Vec::new(),
            others: Vec::new(),
        }],
    })
}

fn elements(mut walk: der::Walk<'_>) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    while !walk.is_empty() {
        elements.push(walk.any().unwrap().raw.to_vec());
    }
    elements
}

/// Payload and DER of each corpus signature, `step` apart.
fn samples(corpus: &Corpus, step: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = corpus.embedded().step_by(step).map(|row| {
        let object = corpus.object(&row.id);
        let signed = object.signed();
        (signed.payload.to_vec(), armor::decode(signed.signature.as_deref().unwrap()).unwrap())
    });
    rows.collect()
}

#[test]
fn both_verify_every_real_signature() {
    let Some(corpus) = Corpus::open("oracle, real signatures") else { return };
    let judges = Judges::public_good();
    let samples = samples(&corpus, 1);
    samples.par_iter().for_each(|(payload, der)| {
        let (ours, theirs) = judges.judge(payload, der);
        let Verdict::Good(proven) = ours else { panic!("{ours:?}") };
        let identity = proven.identity();
        assert_eq!(theirs, Some((identity.subject.clone(), identity.issuer.clone())));
    });
}

#[test]
fn what_is_good_here_is_good_there_whichever_bit_is_flipped() {
    let Some(corpus) = Corpus::open("oracle, flips") else { return };
    let judges = Judges::public_good();
    let alone: Vec<Verdict> = samples(&corpus, 64)
        .par_iter()
        .enumerate()
        .flat_map(|(number, (payload, der))| {
            (0..der.len() * 8)
                .into_par_iter()
                .skip(number)
                .step_by(41)
                .filter_map(|bit| {
                    let mut changed = der.clone();
                    changed[bit / 8] ^= 1 << (bit % 8);
                    judges.compare(&format!("sample {number}, bit {bit}"), payload, &changed)
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut causes: BTreeMap<String, usize> = BTreeMap::new();
    for verdict in &alone {
        assert!(is_explained(verdict), "refused here alone, unexplained: {verdict:?}");
        *causes.entry(format!("{verdict:?}")).or_default() += 1;
    }
    println!("refused here alone: {causes:?}");
}

/// One way to put a signature together from two.
type Mix = (&'static str, fn(&mut forge::Signature, &forge::Signature));

const MIXES: [Mix; 11] = [
    ("another's entry", |mine, other| mine.signers[0].entry = other.signers[0].entry.clone()),
    ("another's promise", |mine, other| {
        mine.entry().inclusion_promise = other.signers[0].entry.clone().unwrap().inclusion_promise;
    }),
    ("another's proof", |mine, other| {
        mine.entry().inclusion_proof = other.signers[0].entry.clone().unwrap().inclusion_proof;
    }),
    ("another's checkpoint", |mine, other| {
        let proof = other.signers[0].entry.clone().unwrap().inclusion_proof.unwrap();
        mine.proof().checkpoint = proof.checkpoint;
    }),
    ("another's signature", |mine, other| {
        mine.signers[0].signature = other.signers[0].signature.clone();
    }),
    ("another's attributes", |mine, other| {
        mine.signers[0].attributes = other.signers[0].attributes.clone();
    }),
    ("another's certificate", |mine, other| {
        mine.certificates = other.certificates.clone();
        mine.signers[0].identifier = other.signers[0].identifier.clone();
    }),
    ("no promise", |mine, _| mine.entry().inclusion_promise = None),
    ("no promise, no time", |mine, _| *mine = mine.clone().without_entry_timestamp()),
    ("empty promise", |mine, _| mine.entry().inclusion_promise = Some(InclusionPromise::default())),
    ("no proof", |mine, _| mine.entry().inclusion_proof = None),
];

#[test]
fn what_is_good_here_is_good_there_whatever_parts_are_exchanged() {
    let Some(corpus) = Corpus::open("oracle, exchanged parts") else { return };
    let judges = Judges::public_good();
    let samples = samples(&corpus, 32);
    let mut good = 0;
    for (number, (payload, der)) in samples.iter().enumerate() {
        let Some(mine) = parts(der) else { continue };
        assert_eq!(mine.der(), *der, "taken apart and put together");
        let Some(other) = parts(&samples[(number + 1) % samples.len()].1) else { continue };
        for (what, mix) in MIXES {
            let mut mixed = mine.clone();
            mix(&mut mixed, &other);
            let der = mixed.der();
            if let Some(alone) = judges.compare(what, payload, &der) {
                assert!(is_explained(&alone), "{what}: refused here alone, unexplained: {alone:?}");
            }
            let ours = judges.ours.verify(&Payload::whole(payload), &armor::encode(&der), NOW);
            assert_eq!(matches!(ours, Verdict::Good(_)), what == "no proof", "{what}");
            good += usize::from(matches!(ours, Verdict::Good(_)));
        }
    }
    assert!(good > 10, "a signed entry timestamp alone was seen to be enough");
}

#[test]
fn both_verify_rekor_v2_and_tokens() {
    let world = forge::World::new();
    let judges = Judges::new("sandbox", &world.authority.trusted_root_json());
    let v1 = world.stamped(world.signed());
    let v2 = world.stamped(world.logged_v2(world.unlogged(&world.signer())));
    for signature in [v1, v2.clone()] {
        let (ours, theirs) = judges.judge(forge::PAYLOAD, &signature.der());
        assert!(matches!(ours, Verdict::Good(_)), "{ours:?}");
        assert_eq!(theirs, Some((forge::SIGNER.to_owned(), world.authority.url().to_owned())));
        let der = signature.der();
        // Of Rekor v2's proofs the oracle reads root and size in the checkpoint alone; here they agree with
        // those that stand beside it: 32 bytes, and after them tag and value of the size.
        let entry = signature.signers[0].entry.clone().unwrap();
        let root = entry.inclusion_proof.unwrap().root_hash;
        let stated = der.windows(root.len()).position(|window| window == root).unwrap() * 8;
        let alone: Vec<Verdict> = (0..der.len() * 8)
            .into_par_iter()
            .step_by(17)
            .filter(|bit| !(stated..stated + (root.len() + 2) * 8).contains(bit))
            .filter_map(|bit| {
                let mut changed = der.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                judges.compare(&format!("bit {bit}"), forge::PAYLOAD, &changed)
            })
            .collect();
        for verdict in alone {
            assert!(is_explained(&verdict), "refused here alone, unexplained: {verdict:?}");
        }
    }
    let timeless = world.logged_v2(world.unlogged(&world.signer()));
    let (ours, theirs) = judges.judge(forge::PAYLOAD, &timeless.der());
    assert_eq!(ours, Verdict::CannotTell(CannotTell::NoTrustedTime));
    assert_eq!(theirs, None, "nor does the oracle take an entry for a time");
}
