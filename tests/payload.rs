//! libgit2 as an independent oracle: what was signed, and with which signature, in one commit.

#![allow(clippy::unwrap_used)]

use countersign::object::{Commit, HashKind};
use git2::{ObjectType, Repository};

#[path = "support/corpus.rs"]
mod corpus;

/// Both take a commit apart; they have to agree to the byte.
fn agree(repository: &Repository, object: &[u8]) {
    let id = repository.odb().unwrap().write(ObjectType::Commit, object).unwrap();
    let (signature, payload) = repository.extract_signature(&id, None).unwrap();
    let commit = Commit::parse(HashKind::Sha1, object).unwrap();
    let what = String::from_utf8_lossy(object);
    assert_eq!(commit.signed.payload.to_vec(), &*payload, "{what}");
    let ours = commit.signed.signature.unwrap();
    assert_eq!(ours.trim_ascii_end(), signature.trim_ascii_end(), "{what}");
}

#[test]
fn libgit2_takes_commits_apart_alike() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    let head = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n";
    let signature = "gpgsig -----BEGIN SIGNED MESSAGE-----\n \n MIIB\n -----END SIGNED MESSAGE-----\n \n";
    let long = "x".repeat(70_000);
    for headers in ["", "encoding ISO-8859-1\n", "mergetag object 1\n type commit\n \n gpgsig no\n"] {
        for later in ["", "change-id k\n", "note one\n two\n \n three\n"] {
            for message in ["", "\n", "m", "subject\r\n\r\nbody\r\n", "gpgsig no\n more\n", &long] {
                agree(&repository, format!("{head}{headers}{signature}{later}\n{message}").as_bytes());
            }
        }
    }
}

#[test]
fn libgit2_takes_real_commits_apart_alike() {
    let Some(corpus) = corpus::Corpus::open("libgit2_takes_real_commits_apart_alike") else { return };
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(folder.path()).unwrap();
    let mut count = 0;
    for row in &corpus.rows {
        let object = corpus.object(&row.id);
        if object.kind == gix::objs::Kind::Commit && object.signed().signature.is_some() {
            agree(&repository, &object.data);
            count += 1;
        }
    }
    println!("{count} commits taken apart alike");
    assert!(count >= 500, "only {count}");
}
