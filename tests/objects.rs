//! Payload and signature of objects as git cuts them, with libgit2 as the judge.

#![allow(clippy::unwrap_used)]

#[path = "support/corpus.rs"]
mod corpus;

use corpus::Corpus;
use countersign::object::{Commit, HashKind, ObjectError, Signed, Tag, object_id};
use proptest::{collection::vec, prelude::*};

const TREE: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";
const PEOPLE: &str = "author A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n";
const ARMOR: &str = "-----BEGIN SIGNED MESSAGE-----\nAAAA\n-----END SIGNED MESSAGE-----";

/// `value` as a header: a space in front of each line but the first.
fn folded(value: &str) -> String {
    value.replace('\n', "\n ")
}

/// A repository to ask libgit2 in.
fn repository() -> (tempfile::TempDir, git2::Repository) {
    let directory = tempfile::tempdir().unwrap();
    let repository = git2::Repository::init_bare(directory.path()).unwrap();
    (directory, repository)
}

/// Signature and payload as libgit2 cuts them.
fn as_libgit2(repository: &git2::Repository, commit: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let id = repository.odb().unwrap().write(git2::ObjectType::Commit, commit).unwrap();
    let ours = object_id(HashKind::Sha1, gix::objs::Kind::Commit, commit).unwrap();
    assert_eq!(id.to_string(), ours.to_string());
    let (signature, payload) = repository.extract_signature(&id, None).ok()?;
    Some((signature.to_vec(), payload.to_vec()))
}

fn parts(signed: &Signed<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((signed.signature.clone()?, signed.payload.to_vec()))
}

/// The commit that payload and signature were cut from.
fn put_together(signed: &Signed<'_>) -> Vec<u8> {
    let [before, after] = signed.payload.segments();
    let Some(signature) = &signed.signature else { return [before, after].concat() };
    let mut header = b"gpgsig ".to_vec();
    for (index, line) in signature.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            header.extend_from_slice(b"\n ");
        }
        header.extend_from_slice(line);
    }
    [before, &header, b"\n", after].concat()
}

#[test]
fn every_real_object_is_cut_as_libgit2_cuts_it_and_put_together_again() {
    let Some(corpus) = Corpus::open("objects against libgit2") else { return };
    let (_directory, repository) = repository();
    let (mut signed_commits, mut tags, mut refused) = (0, 0, Vec::new());
    for row in &corpus.rows {
        let object = corpus.object(&row.id);
        if object.kind == gix::objs::Kind::Tag {
            let signed = Tag::parse(HashKind::Sha1, &object.data).unwrap().signed;
            let signature = signed.signature.clone().unwrap_or_default();
            assert_eq!([signed.payload.to_vec(), signature].concat(), object.data);
            tags += 1;
            continue;
        }
        let Ok(commit) = Commit::parse(HashKind::Sha1, &object.data) else {
            refused.push(row.id);
            continue;
        };
        assert_eq!(put_together(&commit.signed), object.data, "{}", row.id);
        assert_eq!(parts(&commit.signed), as_libgit2(&repository, &object.data), "{}", row.id);
        signed_commits += usize::from(commit.signed.signature.is_some());
    }
    assert!(signed_commits > 1000 && tags > 0, "{signed_commits} signed commits, {tags} tags");
    assert!(refused.is_empty(), "real commits that are not read: {refused:?}");
}

#[test]
fn libgit2_1253_blank_lines_of_an_armor_are_continued_by_one_space() {
    let (_directory, repository) = repository();
    let armor = "-----BEGIN PGP SIGNATURE-----\nVersion: 1\n\nabc=\n\n-----END PGP SIGNATURE-----\n";
    let object = format!("{TREE}{PEOPLE}gpgsig {}\n\nmessage\n", folded(armor));
    let commit = Commit::parse(HashKind::Sha1, object.as_bytes()).unwrap();
    assert_eq!(commit.signed.signature.as_deref(), Some(armor.as_bytes()));
    assert_eq!(parts(&commit.signed), as_libgit2(&repository, object.as_bytes()));
}

#[test]
fn gitea_30119_the_encoding_is_part_of_the_payload() {
    let object =
        [format!("{TREE}{PEOPLE}encoding ISO-8859-1\ngpgsig {}\n\n", folded(ARMOR)).as_bytes(), b"caf\xe9\n"]
            .concat();
    let commit = Commit::parse(HashKind::Sha1, &object).unwrap();
    let payload = [format!("{TREE}{PEOPLE}encoding ISO-8859-1\n\n").as_bytes(), b"caf\xe9\n"].concat();
    assert_eq!(commit.signed.payload.to_vec(), payload, "and the message is no UTF-8");
    assert_eq!(commit.encoding, Some(&b"ISO-8859-1"[..]));
}

#[test]
fn a_merged_tags_armor_is_not_the_commits() {
    let tag = format!("object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\n\nm\n{ARMOR}");
    let own = ARMOR.replace("AAAA", "BBBB");
    let (_directory, repository) = repository();
    for object in [
        format!("{TREE}{PEOPLE}mergetag {}\ngpgsig {}\n\nm\n", folded(&tag), folded(&own)),
        format!("{TREE}{PEOPLE}gpgsig {}\nmergetag {}\n\nm\n", folded(&own), folded(&tag)),
    ] {
        let commit = Commit::parse(HashKind::Sha1, object.as_bytes()).unwrap();
        assert_eq!(commit.signed.signature.as_deref(), Some(own.as_bytes()));
        assert_eq!(parts(&commit.signed), as_libgit2(&repository, object.as_bytes()));
    }
    let unsigned = format!("{TREE}{PEOPLE}mergetag {}\n\nm\n", folded(&tag));
    assert_eq!(Commit::parse(HashKind::Sha1, unsigned.as_bytes()).unwrap().signed.signature, None);
}

#[test]
fn heartwood_20_and_functionalscript_1903_no_second_signature_header_of_any_name() {
    let armor = folded(ARMOR);
    for (extra, cause) in [
        (format!("gpgsig {armor}\n"), ObjectError::DuplicateHeader("gpgsig")),
        (format!("gpgsig2 {armor}\n"), ObjectError::ForeignSignatureHeader),
        ("gpgsigX unsigned words\n".to_owned(), ObjectError::ForeignSignatureHeader),
        ("gpgsig\tx y\n".to_owned(), ObjectError::ForeignSignatureHeader),
        ("gpgsig\n".to_owned(), ObjectError::MalformedHeader),
    ] {
        let object = format!("{TREE}{PEOPLE}gpgsig {armor}\n{extra}\nm\n");
        assert_eq!(Commit::parse(HashKind::Sha1, object.as_bytes()).unwrap_err(), cause, "{extra:?}");
    }
}

#[test]
fn each_hash_has_its_own_signature_header() {
    let armor = folded(ARMOR);
    let tree = "0".repeat(64);
    let object = format!("tree {tree}\n{PEOPLE}gpgsig-sha256 {armor}\n\nm\n");
    let commit = Commit::parse(HashKind::Sha256, object.as_bytes()).unwrap();
    assert_eq!(commit.signed.signature.as_deref(), Some(ARMOR.as_bytes()));
    let other = format!("tree {tree}\n{PEOPLE}gpgsig {armor}\n\nm\n");
    let error = Commit::parse(HashKind::Sha256, other.as_bytes()).unwrap_err();
    assert_eq!(error, ObjectError::ForeignSignatureHeader);
}

#[test]
fn go_git_2341_the_last_armor_of_a_tag_is_its_signature() {
    let tree = "0".repeat(64);
    let head = format!("object {tree}\ntype tree\ntag v1\ntagger A <a@b.c> 1 +0000\n\n");
    let pgp = "-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----\n";
    let object = format!("{head}message\n{pgp}{ARMOR}\n");
    let tag = Tag::parse(HashKind::Sha256, object.as_bytes()).unwrap();
    assert_eq!(tag.signed.signature, Some(format!("{ARMOR}\n").into_bytes()));
    assert_eq!(tag.signed.payload.to_vec(), format!("{head}message\n{pgp}").into_bytes());
}

#[test]
fn cve_2026_45022_what_git_would_read_otherwise_is_refused() {
    let armor = folded(ARMOR);
    for object in [
        format!("{TREE}{TREE}{PEOPLE}gpgsig {armor}\n\nm"),
        format!("{PEOPLE}{TREE}gpgsig {armor}\n\nm"),
        format!("{TREE}{PEOPLE}{PEOPLE}gpgsig {armor}\n\nm"),
        format!("{TREE}parent 4b825dc\n{PEOPLE}gpgsig {armor}\n\nm"),
        format!("{TREE}{PEOPLE}parent 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ngpgsig {armor}\n\nm"),
        format!(" {TREE}{PEOPLE}gpgsig {armor}\n\nm"),
        format!("{TREE} x\n{PEOPLE}gpgsig {armor}\n\nm"),
        format!("{TREE}author A <a@b.c> <d@e.f> 1 +0000\ncommitter A <a@b.c> 1 +0000\ngpgsig {armor}\n\nm"),
    ] {
        assert!(Commit::parse(HashKind::Sha1, object.as_bytes()).is_err(), "{object:?}");
    }
}

thread_local! {
    /// One repository for all that is generated.
    static SHARED: (tempfile::TempDir, git2::Repository) = repository();
}

/// A header name that no signature and no required header has.
fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z-]{0,9}".prop_filter("of its own", |name| {
        !name.starts_with("gpgsig")
            && !["tree", "parent", "author", "committer", "encoding"].contains(&name.as_str())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_generated_commit_is_cut_as_libgit2_cuts_it(
        before in vec((name(), "[ -~\r]{1,20}(\n[ -~\r]{0,20}){0,3}"), 0..3),
        signature in prop::option::of("[ -~\r]{1,70}(\n[ -~\r]{0,70}){0,5}"),
        after in vec((name(), "[ -~]{1,20}"), 0..3),
        // libgit2 ends a payload at a NUL, which git does not.
        message in "(\\PC|\n|\r){0,60}",
    ) {
        let header = |(name, value): &(String, String)| format!("{name} {}\n", folded(value));
        let mut object = format!("{TREE}{PEOPLE}");
        object.extend(before.iter().map(header));
        object.extend(signature.iter().map(|value| format!("gpgsig {}\n", folded(value))));
        object.extend(after.iter().map(header));
        object.push('\n');
        object.push_str(&message);
        let commit = Commit::parse(HashKind::Sha1, object.as_bytes()).unwrap();
        prop_assert_eq!(&commit.signed.signature, &signature.map(String::into_bytes));
        prop_assert_eq!(commit.message, message.as_bytes());
        prop_assert_eq!(put_together(&commit.signed), object.as_bytes());
        SHARED.with(|(_directory, repository)| {
            prop_assert_eq!(parts(&commit.signed), as_libgit2(repository, object.as_bytes()));
            Ok(())
        })?;
    }
}
