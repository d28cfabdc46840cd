//! Real signatures by real people and bots, judged against Sigstore's public-good trusted root.

#![allow(clippy::unwrap_used)]

#[path = "support/corpus.rs"]
mod corpus;

use corpus::{Corpus, NOW};
use countersign::{
    object::Payload,
    signature::ssh::{self, SshSignature},
    sigstore::{certificate::ProfileError, trusted_root::Instance},
    verify::{Bad, CannotTell, Verdict, Verifier},
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
