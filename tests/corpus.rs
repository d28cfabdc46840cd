//! Real signatures by real people and bots, judged against Sigstore's public-good trusted root.
//!
//! The corpus lies beside the project, not in it; where the folder is missing these tests say so.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use countersign::{
    object::{Commit, HashKind, ObjectId, Tag},
    sigstore::trusted_root::Instance,
    verify::{Verdict, Verifier},
};
use gix::prelude::FindExt as _;

const TAG_SIGNER: &str = "billy@chainguard.dev https://accounts.google.com";
const NOW: i64 = 1_795_000_000; // 2026-11-18

struct Row {
    id: ObjectId,
    signature: String,
    signer: String,
}

/// The corpus beside the project, or `None` with a line that says so.
fn corpus(test: &str) -> Option<(PathBuf, Vec<Row>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared/corpus");
    let Ok(index) = std::fs::read_to_string(folder.join("index.tsv")) else {
        println!("NOTE: {test}: the corpus folder is not there");
        return None;
    };
    let rows = index.lines().skip(1).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        Row {
            id: ObjectId::from_hex(columns[0].as_bytes()).unwrap(),
            signature: columns[2].to_owned(),
            signer: columns[6].to_owned(),
        }
    });
    Some((folder, rows.collect()))
}

/// An object database that holds the corpus.
fn objects(folder: &Path) -> (tempfile::TempDir, gix::odb::Handle) {
    let directory = tempfile::tempdir().unwrap();
    let pack = directory.path().join("pack");
    std::fs::create_dir(&pack).unwrap();
    for extension in ["pack", "idx"] {
        std::fs::copy(folder.join(format!("real.{extension}")), pack.join(format!("pack-real.{extension}")))
            .unwrap();
    }
    let handle = gix::odb::at(directory.path().to_owned(), HashKind::Sha1).unwrap();
    (directory, handle)
}

#[test]
fn every_embedded_signature_verifies_with_the_identity_that_the_index_names() {
    let Some((folder, rows)) = corpus("embedded commits") else { return };
    let (_directory, objects) = objects(&folder);
    let verifier = Verifier::new(vec![Instance::public_good().unwrap()]);
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows.iter().filter(|row| row.signature == "gitsign-embedded") {
        count += 1;
        let mut buffer = Vec::new();
        let object = objects.find(&row.id, &mut buffer).unwrap();
        let signed = match object.kind {
            gix::objs::Kind::Tag => Tag::parse(HashKind::Sha1, object.data).unwrap().signed,
            _ => Commit::parse(HashKind::Sha1, object.data).unwrap().signed,
        };
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
