//! Real signatures by real people and bots, judged against Sigstore's public-good trusted root.

#![allow(clippy::unwrap_used)]

#[path = "support/corpus.rs"]
mod corpus;

use corpus::{Corpus, NOW};
use countersign::{
    sigstore::trusted_root::Instance,
    verify::{Verdict, Verifier},
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
