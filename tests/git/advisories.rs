//! What others got wrong, as objects in real repositories: each is refused with its own cause.

use std::sync::Arc;

use cms::{
    cert::CertificateChoices,
    signed_data::{CertificateSet, SignerInfos},
};
use countersign::sandbox::{ManualClock, Options};
use der::{Decode as _, asn1::SetOfVec};

use crate::support::{ALICE, BOB, Repository, World, insert_header, now, remove_signature, rewrite_cms};

/// A world that trusts `ALICE` and a repository with one commit of hers.
fn with_commit(format: &str, test: impl FnOnce(&Repository<'_>, Vec<u8>)) {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", format);
    repository.commit("first");
    let object = repository.object("commit", "HEAD");
    test(&repository, object);
}

/// `object` is refused by the program as `status` with `cause`.
#[track_caller]
fn assert_refused(repository: &Repository<'_>, object: &[u8], exit: i32, status: &str, cause: &str) {
    let id = repository.store("commit", object);
    let line = format!("{status:<11} {} ", &id[..12]);
    let run = repository.countersign(&["verify", &id]).status(exit);
    let outcome = run.any_stdout().any_stderr().check();
    let text = outcome.text();
    assert!(text.starts_with(&line) && text.contains(&format!("[{cause}]")), "{cause:?} is not in {text:?}");
}

/// The object with its signature replaced by what `change` makes of it.
fn with_armor(repository: &Repository<'_>, object: &[u8], change: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let header = repository.signature_header();
    let (payload, armor) = remove_signature(object, header);
    insert_header(&payload, header, &change(&armor))
}

#[test]
fn cve_2023_47122_no_server_is_asked_for_a_key() {
    let mut world = World::new();
    world.trust(ALICE);
    world.repository("r", "sha1").commit("first");
    let before = world.requests();
    let repository = Repository::at(&world, &world.path("r"));
    assert_eq!(repository.grade("HEAD"), "G|alice@example.com|fully");
    repository.countersign(&["verify"]).any_stdout().check();
    assert_eq!(world.requests(), before);
    world.stop_authority();
    let repository = Repository::at(&world, &world.path("r"));
    assert_eq!(repository.grade("HEAD"), "G|alice@example.com|fully");
}

#[test]
fn cve_2024_51746_an_entry_of_another_signature_does_not_count() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let (_, other) = remove_signature(&repository.object("commit", "HEAD"), "gpgsig");
    repository.commit("second");
    let object = repository.object("commit", "HEAD");
    let mut attributes = None;
    rewrite_cms(&other, |signed| attributes = signed.signer_infos.0.get(0).unwrap().unsigned_attrs.clone());
    // Same signer, same log, a true entry: of the other commit.
    let swapped = with_armor(&repository, &object, |armor| {
        rewrite_cms(armor, |signed| {
            let mut signer = signed.signer_infos.0.get(0).unwrap().clone();
            signer.unsigned_attrs = attributes;
            signed.signer_infos = SignerInfos(SetOfVec::try_from(vec![signer]).unwrap());
        })
    });
    let cause = "the log's signed entry timestamp does not cover this signature";
    assert_refused(&repository, &swapped, 1, "bad", cause);
    let id = repository.store("commit", &swapped);
    assert_eq!(repository.grade(&id), "B|unknown");
}

#[test]
fn gitsign_802_cve_2026_44309_a_duplicate_tree_is_refused() {
    for format in ["sha1", "sha256"] {
        with_commit(format, |repository, object| {
            let text = String::from_utf8(object).unwrap();
            let (tree, rest) = text.split_once('\n').unwrap();
            let author = rest.find("author ").unwrap();
            for (twice, cause) in [
                (format!("{tree}\n{tree}\n{rest}"), "the header 'author' is missing or out of place"),
                (
                    text.replacen("\ngpgsig", &format!("\n{tree}\ngpgsig"), 1),
                    "the header 'tree' stands twice",
                ),
                (
                    format!("{tree}\n{}{tree}\n{}", &rest[..author], &rest[author..]),
                    "the header 'author' is missing or out of place",
                ),
            ] {
                assert_refused(repository, twice.as_bytes(), 1, "bad", cause);
                let id = repository.store("commit", twice.as_bytes());
                assert_eq!(repository.grade(&id), "B|unknown", "git hands over every byte");
            }
        });
    }
}

#[test]
fn go_git_cve_2026_45022_a_malformed_object_is_refused_even_if_signed_as_it_is() {
    with_commit("sha1", |repository, object| {
        let (payload, _) = remove_signature(&object, "gpgsig");
        let text = String::from_utf8(payload).unwrap();
        let (tree, rest) = text.split_once('\n').unwrap();
        for (malformed, cause) in [
            (format!("{tree}\n{tree}\n{rest}"), "the header 'author' is missing or out of place"),
            (
                text.replacen("\n\n", "\nauthor M <m@example.com> 1 +0000\n\n", 1),
                "the header 'author' stands twice",
            ),
            (text.replacen("Alice <", "Alice <<", 1), "the header 'author' holds no valid person"),
            (text.replacen("tree ", "tree\t", 1), "a header line is malformed"),
            (text.replacen("\n\n", "\nx a\0b\n\n", 1), "a NUL byte stands among the headers"),
            (text.to_uppercase().replacen("TREE", "tree", 1), "the header 'tree' holds no valid object id"),
        ] {
            let armor = repository.sign(malformed.as_bytes());
            let signed = insert_header(malformed.as_bytes(), "gpgsig", &armor);
            assert_refused(repository, &signed, 1, "bad", cause);
        }
    });
}

#[test]
fn gitsign_799_cve_2026_44310_an_empty_certificate_bag_is_refused() {
    for format in ["sha1", "sha256"] {
        with_commit(format, |repository, object| {
            for empty in [None, Some(CertificateSet(SetOfVec::new()))] {
                let changed = with_armor(repository, &object, |armor| {
                    rewrite_cms(armor, |signed| signed.certificates = empty)
                });
                let id = repository.store("commit", &changed);
                assert_eq!(repository.grade(&id), "E|");
                repository.git(&["verify-commit", &id]).status(1).any_stderr().check();
                let run = repository.countersign(&["verify", &id]).status(2);
                run.stdout_holds(&["cannot-tell", "[the signature cannot be read: "]).check();
            }
        });
    }
}

#[test]
fn no_signer_and_several_signers_are_refused() {
    with_commit("sha1", |repository, object| {
        let cause = "the signature cannot be read: the signature does not have exactly one signer";
        let changed = with_armor(repository, &object, |armor| {
            rewrite_cms(armor, |signed| signed.signer_infos = SignerInfos(SetOfVec::new()))
        });
        assert_refused(repository, &changed, 2, "cannot-tell", cause);
        let changed = with_armor(repository, &object, |armor| {
            rewrite_cms(armor, |signed| {
                let one = signed.signer_infos.0.get(0).unwrap().clone();
                let mut other = one.clone();
                other.unsigned_attrs = None;
                signed.signer_infos = SignerInfos(SetOfVec::try_from(vec![one, other]).unwrap());
            })
        });
        assert_refused(repository, &changed, 2, "cannot-tell", cause);
        let id = repository.store("commit", &changed);
        assert_eq!(repository.grade(&id), "E|");
    });
}

#[test]
fn gitsign_810_the_certificate_that_counts_is_the_signers() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    repository.commit("alice");
    let (_, alice) = remove_signature(&repository.object("commit", "HEAD"), "gpgsig");
    let mut certificate = None;
    rewrite_cms(&alice, |signed| {
        certificate = signed.certificates.as_ref().unwrap().0.get(0).cloned();
    });
    let certificate = certificate.unwrap();
    repository.commit_as(BOB, "bob's, with the certificate of alice in the bag");
    let object = repository.object("commit", "HEAD");
    for keep in [true, false] {
        let changed = with_armor(&repository, &object, |armor| {
            rewrite_cms(armor, |signed| {
                let own = signed.certificates.as_ref().unwrap().0.get(0).unwrap().clone();
                let bag = if keep { vec![certificate.clone(), own] } else { vec![certificate.clone()] };
                signed.certificates = Some(CertificateSet(SetOfVec::try_from(bag).unwrap()));
            })
        });
        let id = repository.store("commit", &changed);
        let grade = repository.grade(&id);
        assert!(grade.starts_with('E') || grade.starts_with('B'), "{keep}: {grade}");
        let run = repository.countersign(&["verify", &id]).any_status().any_stdout().any_stderr();
        assert_ne!(run.check().status, 0, "{keep}");
    }
}

#[test]
fn gitsign_317_318_the_digest_is_computed_and_compared() {
    for format in ["sha1", "sha256"] {
        with_commit(format, |repository, object| {
            for (from, to) in [("first\n", "First\n"), ("author Alice", "author Alicf"), ("+0000", "+0001")] {
                let changed = String::from_utf8(object.clone()).unwrap().replacen(from, to, 1);
                assert_refused(
                    repository,
                    changed.as_bytes(),
                    1,
                    "bad",
                    "the content was changed after signing",
                );
            }
        });
    }
}

#[test]
fn gitverify_ghsa_h829_an_unsigned_tag_of_a_signed_commit_is_unsigned() {
    with_commit("sha1", |repository, _| {
        repository.git(&["-c", "tag.gpgSign=false", "tag", "-a", "-m", "unsigned", "v1"]).check();
        repository.git(&["verify-tag", "v1"]).status(1).stderr("error: no signature found\n").check();
        repository.countersign(&["verify", "v1"]).status(1).stdout_holds(&["unsigned    "]).check();
        repository.countersign(&["verify", "v1^{commit}"]).any_stdout().check();
    });
}

#[test]
fn sigstore_go_ghsa_cq38_sizes_are_bounded() {
    with_commit("sha1", |repository, object| {
        let huge = with_armor(repository, &object, |armor| {
            let text = std::str::from_utf8(armor).unwrap();
            let line = format!("{}\n", "A".repeat(64));
            text.replacen("-----END", &format!("{}-----END", line.repeat(5000)), 1).into_bytes()
        });
        let cause = "the signature cannot be read: the signature or one of its fields is too large";
        assert_refused(repository, &huge, 2, "cannot-tell", cause);
        let id = repository.store("commit", &huge);
        assert_eq!(repository.grade(&id), "E|");
    });
}

#[test]
fn heartwood_20_a_second_signature_header_is_refused() {
    for format in ["sha1", "sha256"] {
        with_commit(format, |repository, object| {
            let header = repository.signature_header();
            let (_, armor) = remove_signature(&object, header);
            for second in
                [&armor[..], b"garbage", b"-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----"]
            {
                let twice = insert_header(&object, header, second);
                assert_refused(repository, &twice, 1, "bad", "the header 'gpgsig' stands twice");
                // git joins the two values into one text; that is no signature either.
                let id = repository.store("commit", &twice);
                assert_eq!(repository.grade(&id), "E|");
            }
        });
    }
}

#[test]
fn functionalscript_1903_a_foreign_signature_header_is_refused() {
    for (format, foreign) in [
        ("sha1", &["gpgsig-sha256", "gpgsig2", "gpgsigX", "gpgsig-foo"][..]),
        ("sha256", &["gpgsig", "gpgsig2", "gpgsig-sha512"]),
    ] {
        with_commit(format, |repository, object| {
            for name in foreign {
                let smuggled = insert_header(&object, name, b"anything at all");
                let cause = "a foreign 'gpgsig' header stands outside what was signed";
                assert_refused(repository, &smuggled, 1, "bad", cause);
            }
        });
    }
}

#[test]
fn bytes_outside_the_armor_are_refused() {
    for format in ["sha1", "sha256"] {
        with_commit(format, |repository, object| {
            let cause = "the signature cannot be read: there are bytes outside the armor";
            for junk in ["junk", "\njunk", "-----END SIGNED MESSAGE-----"] {
                let changed = with_armor(repository, &object, |armor| [armor, junk.as_bytes()].concat());
                assert_refused(repository, &changed, 2, "cannot-tell", cause);
                let id = repository.store("commit", &changed);
                assert_eq!(repository.grade(&id), "E|");
            }
            repository.git(&["tag", "-m", "one", "v1"]).check();
            let mut tag = repository.object("tag", "v1");
            tag.extend_from_slice(b"junk\n");
            let id = repository.store("tag", &tag);
            repository.git(&["update-ref", "refs/tags/v1", &id]).check();
            repository
                .git(&["verify-tag", "v1"])
                .status(1)
                .stderr_holds(&["bytes outside the armor"])
                .check();
            let run = repository.countersign(&["verify", "v1"]).status(2);
            run.stdout_holds(&["cannot-tell", cause]).check();
        });
    }
}

#[test]
fn gitsign_fault_3_one_spelling_of_the_armor() {
    with_commit("sha1", |repository, object| {
        let text = String::from_utf8(object).unwrap();
        let cause = "the signature cannot be read: the armor is malformed";
        for (from, to) in [
            ("MESSAGE-----\n MII", "MESSAGE-----\n  MII"),
            ("MESSAGE-----\n MII", "MESSAGE-----\n \tMII"),
            ("MESSAGE-----\n MII", "MESSAGE-----\n \n MII"),
            ("MESSAGE-----\n MII", "MESSAGE-----\n Version: 1\n \n MII"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert_refused(repository, changed.as_bytes(), 2, "cannot-tell", cause);
        }
    });
}

#[test]
fn a_signature_header_in_a_tag_is_refused() {
    with_commit("sha1", |repository, _| {
        repository.git(&["tag", "-m", "one", "v1"]).check();
        let tag = insert_header(&repository.object("tag", "v1"), "gpgsig", b"garbage");
        let id = repository.store("tag", &tag);
        let run = repository.countersign(&["verify", &id]).status(1);
        run.stdout_holds(&["bad", "[a foreign 'gpgsig' header stands outside what was signed]"]).check();
    });
}

#[test]
fn other_kinds_of_signature_are_not_vouched_for() {
    with_commit("sha1", |repository, object| {
        let cause = "the signature cannot be read: the armor is malformed";
        for label in ["PGP SIGNATURE", "PGP MESSAGE", "SSH SIGNATURE"] {
            let armor = format!("-----BEGIN {label}-----\n\nxx\n-----END {label}-----\n");
            let changed = with_armor(repository, &object, |_| armor.into_bytes());
            assert_refused(repository, &changed, 2, "cannot-tell", cause);
        }
    });
}

#[test]
fn a_log_entry_that_is_missing_proves_nothing() {
    with_commit("sha1", |repository, object| {
        let changed = with_armor(repository, &object, |armor| {
            rewrite_cms(armor, |signed| {
                let mut signer = signed.signer_infos.0.get(0).unwrap().clone();
                signer.unsigned_attrs = None;
                signed.signer_infos = SignerInfos(SetOfVec::try_from(vec![signer]).unwrap());
            })
        });
        let cause = "good signature, time not proven: its log entry is in the log alone";
        assert_refused(repository, &changed, 2, "cannot-tell", cause);
    });
}

#[test]
fn a_signature_made_in_the_future_is_refused() {
    let clock = Arc::new(ManualClock::at(now()));
    let world = World::with(Options { clock: clock.clone(), ..Options::default() });
    let repository = world.repository("r", "sha1");
    clock.set(now() + 3600);
    world.set("SIGSTORE_ID_TOKEN", &world.token(ALICE));
    let words = repository.refusal(b"x");
    let refusal = "error: the new signature does not verify: the proven time lies in the future\n";
    assert!(words.starts_with(refusal), "{words}");
}

#[test]
fn a_certificate_of_the_authority_is_no_signer() {
    // What stands in the bag besides the signer's certificate is of an authority or has no business there.
    with_commit("sha1", |repository, object| {
        let chain = repository.world.authority().authority().certificate_chain().map(<[u8]>::to_vec);
        let changed = with_armor(repository, &object, |armor| {
            rewrite_cms(armor, |signed| {
                let authority = CertificateChoices::from_der(&chain[0]).unwrap();
                signed.certificates = Some(CertificateSet(SetOfVec::try_from(vec![authority]).unwrap()));
            })
        });
        let cause = "the signature cannot be read: \
                     the signature does not hold exactly one certificate of its signer";
        assert_refused(repository, &changed, 2, "cannot-tell", cause);
    });
}
