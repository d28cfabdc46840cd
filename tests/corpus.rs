//! Real signatures by real people and bots, judged against Sigstore's public-good trusted root.

#![allow(clippy::unwrap_used)]

#[path = "support/corpus.rs"]
mod corpus;

use std::collections::BTreeMap;

use corpus::{Corpus, NOW};
use countersign::{
    object::Payload,
    signature::ssh::{self, SshSignature},
    sigstore::{certificate::ProfileError, trusted_root::Instance},
    verify::{Bad, CannotTell, Stated, Verdict, Verifier, openpgp::KeyRing},
};

const TAG_SIGNER: &str = "billy@chainguard.dev https://accounts.google.com";

#[test]
fn every_embedded_signature_verifies_with_the_identity_that_the_index_names() {
    let Some(corpus) = Corpus::open("embedded commits") else { return };
    let verifier = Verifier::new(vec![Instance::public_good().unwrap()]);
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in corpus.embedded() {
        count += 1;
        let object = corpus.object(&row.id);
        let signed = object.signed();
        match verifier.verify(&signed.payload, signed.signature.as_deref().unwrap(), NOW) {
            Verdict::Good(proven) => {
                let identity = proven.identity();
                let found = format!("{} {}", identity.subject, identity.issuer);
                // The index leaves the tag's signer open; it is the maintainer of gitsign himself.
                let expected = if row.signer == "-" { TAG_SIGNER } else { &row.signer };
                if found != expected {
                    wrong.push(format!("{}: {found}, not {expected}", row.id));
                }
            }
            other => wrong.push(format!("{}: {other:?}", row.id)),
        }
    }
    assert_eq!(count, 511, "510 commits and one tag");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_ssh_signature_verifies_with_the_key_that_the_index_names() {
    let Some(corpus) = Corpus::open("ssh commits") else { return };
    let verifier = Verifier::new(Vec::new());
    let mut wrong = Vec::new();
    let rows: Vec<_> = corpus.rows.iter().filter(|row| row.signature == "ssh").collect();
    for row in &rows {
        let object = corpus.object(&row.id);
        let signed = object.signed();
        let armor = signed.signature.as_deref().unwrap();
        match verifier.verify(&signed.payload, armor, NOW) {
            Verdict::Stated(stated) => {
                let bytes = ssh::decode(armor).unwrap();
                let kind = SshSignature::parse(&bytes).unwrap().key_type();
                let found = format!("{kind} {}", stated.signing_key());
                if found != row.signer || stated.time().is_none() {
                    wrong.push(format!("{}: {found}, not {}", row.id, row.signer));
                }
            }
            other => wrong.push(format!("{}: {other:?}", row.id)),
        }
        let longer = [signed.payload.to_vec(), b"\n".to_vec()].concat();
        let changed = verifier.verify(&Payload::whole(&longer), armor, NOW);
        assert_eq!(changed, Verdict::Bad(Bad::Signature), "{}", row.id);
    }
    assert_eq!(rows.len(), 198, "180 commits and 18 tags");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn signatures_whose_entry_is_only_in_the_log_are_good_but_for_their_time() {
    let Some(corpus) = Corpus::open("online commits") else { return };
    let verifier = Verifier::new(vec![Instance::public_good().unwrap()]);
    let mut wrong = Vec::new();
    let (mut good, mut without_sct) = (0, 0);
    for row in corpus.rows.iter().filter(|row| row.signature == "gitsign-online") {
        let object = corpus.object(&row.id);
        let signed = object.signed();
        // Nobody keeps anything of these.
        match verifier.verify_signed(&signed, NOW, &|id| {
            assert_eq!(*id, row.id, "looked up under its own id");
            Vec::new()
        }) {
            Some(Verdict::TimeNotProven(judged)) => {
                good += 1;
                let identity = judged.identity();
                let found = format!("{} {}", identity.subject, identity.issuer);
                // The index leaves most signers open.
                if (row.signer != "-" && found != row.signer) || judged.refused().is_some() {
                    wrong.push(format!("{}: {found}, not {}", row.id, row.signer));
                }
                let (from, to) = judged.window();
                if !(0..=3600).contains(&(to - from)) {
                    wrong.push(format!("{}: valid for {} seconds", row.id, to - from));
                }
            }
            Some(Verdict::CannotTell(CannotTell::CertificateProfile(ProfileError::Sct))) => without_sct += 1,
            other => wrong.push(format!("{}: {other:?}", row.id)),
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((good, without_sct), (289, 4), "four of 2022 hold no SCT");
}

#[test]
fn every_row_gets_its_answer_by_kind_and_signer() {
    let Some(corpus) = Corpus::open("every row") else { return };
    let ring = KeyRing::from_armored(&corpus.file("keys/github-web-flow.asc")).unwrap();
    let verifier = Verifier::new(vec![Instance::public_good().unwrap()]).with_openpgp(ring);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in &corpus.rows {
        let object = corpus.object(&row.id);
        let verdict = verifier.verify_signed(&object.signed(), NOW, &|_| Vec::new());
        let key =
            |stated: &Stated| row.signer.ends_with(&stated.signing_key()[stated.signing_key().len() - 16..]);
        let answer = match (row.signature.as_str(), row.expect.as_str(), &verdict) {
            ("unsigned", "unsigned", None) => "unsigned",
            ("malformed", "malformed", Some(Verdict::CannotTell(CannotTell::HoldsNoSignature))) => {
                "no signature"
            }
            ("gitsign-embedded", "good" | "not-checked", Some(Verdict::Good(_))) => "good",
            ("gitsign-online", "good-but-no-log-proof" | "not-checked", Some(Verdict::TimeNotProven(_))) => {
                "good, time not proven"
            }
            (
                "gitsign-online",
                "good-but-no-log-proof" | "not-checked",
                Some(Verdict::CannotTell(CannotTell::CertificateProfile(ProfileError::Sct))),
            ) => "no SCT",
            ("openpgp", "good", Some(Verdict::Stated(stated))) if key(stated) && !stated.key_expired() => {
                "good"
            }
            ("openpgp", "good-key-expired-since", Some(Verdict::Stated(stated)))
                if key(stated) && stated.key_expired() =>
            {
                "good, key expired since"
            }
            ("openpgp", "unknown-key", Some(Verdict::CannotTell(CannotTell::UnknownKey))) => "unknown key",
            ("ssh", "good", Some(Verdict::Stated(stated))) if row.signer.ends_with(stated.signing_key()) => {
                "good"
            }
            // By smimesign; its authority is none of Sigstore's, and no policy names it here.
            (
                "x509-other",
                "not-checked",
                Some(Verdict::CannotTell(CannotTell::UnknownCertificateAuthority)),
            ) => "unknown authority",
            _ => {
                wrong.push(format!("{} {} {}: {verdict:?}", row.id, row.signature, row.expect));
                continue;
            }
        };
        *counts.entry((&row.signature, answer)).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    let expected = [
        (("gitsign-embedded", "good"), 511),
        (("gitsign-online", "good, time not proven"), 289),
        (("gitsign-online", "no SCT"), 4),
        (("malformed", "no signature"), 4),
        (("openpgp", "good"), 109),
        (("openpgp", "good, key expired since"), 68),
        (("openpgp", "unknown key"), 39),
        (("ssh", "good"), 198),
        (("unsigned", "unsigned"), 29),
        (("x509-other", "unknown authority"), 1),
    ];
    assert_eq!(counts, BTreeMap::from(expected), "1,252 rows");
}
