//! Every form that git gives to a commit or tag: signed by git, verified by git and by the program itself.

use crate::support::{ALICE, Repository, World, insert_header, remove_signature};

/// git and the program both vouch for `revision`, signed by `ALICE`.
#[track_caller]
fn assert_good(repository: &Repository<'_>, revision: &str, what: &str) {
    assert_eq!(repository.grade(revision), "G|alice@example.com|fully", "{what}");
    let run = repository.countersign(&["verify", revision]);
    let outcome = run.any_stdout().any_stderr().any_status().check();
    assert_eq!(outcome.status, 0, "{what}: {}{}", outcome.text(), outcome.words());
}

/// A world that trusts `ALICE`, twice: for each hash.
fn in_both_formats(test: impl Fn(&World, &Repository<'_>)) {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        world.trust(ALICE);
        let repository = world.repository("r", format);
        test(&world, &repository);
    }
}

/// The bytes of a commit with nothing but what is required, and then `rest`.
fn commit_bytes(repository: &Repository<'_>, rest: &[u8]) -> Vec<u8> {
    let tree = repository.git(&["hash-object", "-w", "-t", "tree", "/dev/null"]).any_stdout().check().text();
    let person = "Alice <alice@example.com> 1700000000 +0000";
    let head = format!("tree {tree}author {person}\ncommitter {person}\n");
    [head.as_bytes(), rest].concat()
}

#[test]
fn gitsign_fault_1_no_final_line_feed_is_added_or_dropped() {
    in_both_formats(|_, repository| {
        let arguments = ["commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", "-"];
        repository.git(&arguments).input("no line feed at the end").check();
        assert!(repository.object("commit", "HEAD").ends_with(b"at the end"));
        assert_good(repository, "HEAD", "verbatim");
        // Its twin with the line feed is another payload, and the other way round.
        let mut twin = repository.object("commit", "HEAD");
        twin.push(b'\n');
        let twin = repository.store("commit", &twin);
        assert_eq!(repository.grade(&twin), "B|unknown");
        repository.countersign(&["verify", &twin]).status(1).stdout_holds(&["bad"]).check();
        repository.commit("with");
        let mut twin = repository.object("commit", "HEAD");
        assert_eq!(twin.pop(), Some(b'\n'));
        let twin = repository.store("commit", &twin);
        assert_eq!(repository.grade(&twin), "B|unknown");
    });
}

#[test]
fn gitsign_fault_2_lines_of_any_length() {
    in_both_formats(|_, repository| {
        let message = format!("subject\n\n{}\nend\n", "x".repeat(200_000));
        repository.git(&["commit", "-q", "--allow-empty", "-F", "-"]).input(&message).check();
        assert_good(repository, "HEAD", "a long line");
        repository.git(&["tag", "-F", "-", "long"]).input(&message).check();
        repository.git(&["verify-tag", "long"]).any_stderr().check();
        repository.countersign(&["verify", "long"]).any_stdout().check();
    });
}

#[test]
fn gitsign_871_carriage_returns_are_signed_as_they_stand() {
    in_both_formats(|_, repository| {
        for message in ["subject\r\n\r\nbody\r\n", "subject\n\r\nbody\n\r\n\rx", "\r", "subject\r"] {
            let arguments = ["commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", "-"];
            repository.git(&arguments).input(message).check();
            assert_good(repository, "HEAD", message);
            let object = repository.object("commit", "HEAD");
            let without: Vec<u8> = object.iter().copied().filter(|byte| *byte != b'\r').collect();
            let without = repository.store("commit", &without);
            assert_eq!(repository.grade(&without), "B|unknown", "{message:?}");
            repository.countersign(&["verify", &without]).status(1).stdout_holds(&["bad"]).check();
        }
    });
}

#[test]
fn gitsign_871_a_line_of_a_lone_carriage_return_does_not_end_the_headers() {
    in_both_formats(|_, repository| {
        let payload = commit_bytes(repository, b"\r\n\nmessage\n");
        let id = repository.store_signed_commit(&payload);
        let run = repository.countersign(&["verify", &id]).status(1);
        run.stdout_holds(&["[a header line is malformed]"]).check();
    });
}

#[test]
fn dulwich_1441_messages_may_be_empty_or_hold_nul() {
    in_both_formats(|_, repository| {
        let arguments = ["commit", "-q", "--allow-empty", "--allow-empty-message", "-m", ""];
        repository.git(&arguments).check();
        assert_good(repository, "HEAD", "no message");
        // git itself stops signing and showing at NUL in places; the object is what counts.
        for rest in [&b"\n"[..], b"\n\n", b"\n\n\n", b"\na\0b\n", b"\n\0"] {
            let id = repository.store_signed_commit(&commit_bytes(repository, rest));
            assert_good(repository, &id, &format!("{rest:?}"));
        }
    });
}

#[test]
fn gitea_30119_other_encodings_pass_untouched() {
    in_both_formats(|_, repository| {
        let arguments = ["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-F", "-"];
        repository.git(&arguments).input(b"caf\xe9\n").check();
        let object = repository.object("commit", "HEAD");
        let text = String::from_utf8_lossy(&object);
        assert!(text.contains("\nencoding ISO-8859-1\n") && object.ends_with(b"caf\xe9\n"), "{text}");
        assert_good(repository, "HEAD", "encoding");
        let plain = repository.store_signed_commit(&commit_bytes(repository, b"\nnot UTF-8: \xff\xfe\n"));
        assert_good(repository, &plain, "no encoding");
        // The header is signed: without it the object is another one.
        let without = String::from_utf8_lossy(&object).replace("encoding ISO-8859-1\n", "");
        let without = repository.store("commit", without.replace('\u{fffd}', "\u{e9}").as_bytes());
        assert_eq!(repository.grade(&without), "B|unknown");
    });
}

#[test]
fn jj_7907_extra_headers_stay_in_the_payload_in_order() {
    in_both_formats(|_, repository| {
        let header = "change-id zzyyxxwwvvuuttssrrqqppoonnmmllkk\nHG:extra a\n b\n \n c\n\nmessage\n";
        let payload = commit_bytes(repository, header.as_bytes());
        let id = repository.store_signed_commit(&payload);
        assert_good(repository, &id, "extra headers before the signature");
        // Behind the signature, as other programs write it (gitsign's fault 9).
        let armor = repository.sign(&payload);
        let at = payload.windows(9).position(|window| window == b"change-id").unwrap();
        let mut early =
            insert_header(&[&payload[..at], b"\n"].concat(), repository.signature_header(), &armor);
        assert_eq!(early.pop(), Some(b'\n'));
        early.extend_from_slice(&payload[at..]);
        let id = repository.store("commit", &early);
        assert_good(repository, &id, "extra headers behind the signature");
        let changed = String::from_utf8(early).unwrap().replace("change-id zz", "change-id zy");
        let changed = repository.store("commit", changed.as_bytes());
        assert_eq!(repository.grade(&changed), "B|unknown");
    });
}

#[test]
fn libgit2_1253_a_blank_continuation_line_is_one_space() {
    in_both_formats(|_, repository| {
        let payload = commit_bytes(repository, b"extra one\n \n \n two\n\nmessage\n");
        let armor = repository.sign(&payload);
        let signed = insert_header(&payload, repository.signature_header(), &armor);
        let id = repository.store("commit", &signed);
        assert_good(repository, &id, "blank lines inside a header");
        let text = String::from_utf8(signed).unwrap();
        for other in ["extra one\n \n two\n", "extra one\n  \n \n two\n", "extra one\n \n \n  two\n"] {
            let changed = text.replacen("extra one\n \n \n two\n", other, 1);
            let id = repository.store("commit", changed.as_bytes());
            assert_eq!(repository.grade(&id), "B|unknown", "{other:?}");
            repository.countersign(&["verify", &id]).status(1).stdout_holds(&["bad"]).check();
        }
    });
}

#[test]
fn any_number_of_parents() {
    in_both_formats(|_, repository| {
        repository.commit("root");
        let mut branches = Vec::new();
        for number in 0..9 {
            let branch = format!("branch{number}");
            repository.git(&["checkout", "-q", "-b", &branch, "main"]).check();
            repository.commit(&branch);
            branches.push(branch);
        }
        repository.git(&["checkout", "-q", "main"]).check();
        let mut arguments = vec!["merge", "-q", "--no-ff", "-m", "octopus"];
        arguments.extend(branches.iter().map(String::as_str));
        repository.git(&arguments).any_stdout().any_stderr().check();
        let object = String::from_utf8(repository.object("commit", "HEAD")).unwrap();
        assert!(object.matches("\nparent ").count() >= 9, "{object}");
        assert_good(repository, "HEAD", "octopus");
        repository.countersign(&["verify", "branch0..main"]).any_stdout().any_stderr().check();
    });
}

#[test]
fn a_merged_tag_is_part_of_the_payload() {
    in_both_formats(|_, repository| {
        repository.commit("root");
        repository.git(&["checkout", "-q", "-b", "side"]).check();
        repository.commit("side");
        repository.git(&["tag", "-m", "one", "v1"]).check();
        repository.git(&["checkout", "-q", "main"]).check();
        repository.git(&["merge", "-q", "--no-ff", "--no-edit", "v1"]).any_stdout().any_stderr().check();
        let object = String::from_utf8(repository.object("commit", "HEAD")).unwrap();
        assert!(object.contains("\nmergetag object ") && object.contains("\n -----BEGIN SIGNED MESSAGE"));
        assert_good(repository, "HEAD", "mergetag");
        let changed = repository.store("commit", object.replace("\n tag v1\n", "\n tag v2\n").as_bytes());
        assert_eq!(repository.grade(&changed), "B|unknown");
        // git speaks of both signatures, and each is there.
        let shown = repository.git(&["log", "-1", "--show-signature"]).any_stdout().any_stderr().check();
        let good = "countersign: good signature by 'alice@example.com'";
        assert_eq!(shown.text().lines().filter(|line| line.starts_with(good)).count(), 2);
    });
}

#[test]
fn amended_and_rebased_commits_are_signed_anew() {
    in_both_formats(|_, repository| {
        repository.commit("root");
        repository.git(&["checkout", "-q", "-b", "side"]).check();
        for name in ["one", "two"] {
            std::fs::write(repository.path.join(name), name).unwrap();
            repository.git(&["add", name]).check();
            repository.git(&["commit", "-q", "-m", name]).check();
        }
        let before = repository.id("HEAD");
        repository.git(&["commit", "-q", "--amend", "-m", "two, amended"]).check();
        assert_ne!(repository.id("HEAD"), before);
        assert_good(repository, "HEAD", "amended");
        repository.git(&["checkout", "-q", "main"]).check();
        repository.commit("onto");
        repository.git(&["rebase", "-q", "main", "side"]).any_stderr().check();
        assert_good(repository, "side", "rebased");
        assert_good(repository, "side~1", "rebased");
        repository.countersign(&["verify", "main..side"]).any_stdout().any_stderr().check();
    });
}

#[test]
fn go_git_2341_a_tag_is_signed_from_its_last_armor_on() {
    in_both_formats(|_, repository| {
        repository.commit("root");
        let quoted = "subject\n\n-----BEGIN SIGNED MESSAGE-----\nquoted\n-----END SIGNED MESSAGE-----\n";
        let arguments = ["tag", "--cleanup=verbatim", "-F", "-", "quoting"];
        repository.git(&arguments).input(quoted).check();
        let run = repository.git(&["verify-tag", "quoting"]);
        run.stderr_holds(&["good signature by 'alice@example.com'"]).check();
        repository.countersign(&["verify", "quoting"]).any_stdout().check();
    });
}

#[test]
fn gitsign_fault_13_nested_tags_and_tags_of_trees_and_blobs_are_verified_as_they_are_named() {
    in_both_formats(|_, repository| {
        repository.commit("root");
        repository.git(&["tag", "-m", "inner", "inner"]).check();
        repository.git(&["-c", "advice.nestedTag=false", "tag", "-m", "outer", "outer", "inner"]).check();
        repository.git(&["tag", "-m", "tree", "tree", "HEAD^{tree}"]).check();
        let blob = repository.store("blob", b"text");
        repository.git(&["tag", "-m", "blob", "blob", &blob]).check();
        for tag in ["inner", "outer", "tree", "blob"] {
            repository.git(&["verify-tag", tag]).any_stderr().check();
            repository.countersign(&["verify", tag]).stdout_holds(&["good", tag]).check();
        }
    });
}

#[test]
fn gitui_1149_armor_may_lack_its_last_line_feed_in_a_tag() {
    in_both_formats(|_, repository| {
        repository.commit("root");
        repository.git(&["tag", "-m", "one", "v1"]).check();
        let mut tag = repository.object("tag", "v1");
        assert_eq!(tag.pop(), Some(b'\n'));
        let id = repository.store("tag", &tag);
        repository.git(&["update-ref", "refs/tags/v1", &id]).check();
        repository.git(&["verify-tag", "v1"]).any_stderr().check();
    });
}

#[test]
fn replace_refs_and_grafts_change_nothing_that_is_judged() {
    in_both_formats(|_, repository| {
        repository.commit("root");
        repository.git(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "unsigned"]).check();
        let unsigned = repository.id("HEAD");
        repository.commit("signed");
        repository.git(&["replace", &unsigned, "HEAD"]).check();
        repository.countersign(&["verify", &unsigned]).status(1).stdout_holds(&["unsigned"]).check();
        repository.git(&["replace", "-d", &unsigned]).any_stdout().check();
        // The graft hides the unsigned commit from git's own walks.
        repository.git(&["replace", "--graft", "HEAD", "HEAD~2"]).any_stderr().check();
        assert_eq!(repository.git(&["rev-list", "--count", "HEAD"]).any_stdout().check().text(), "2\n");
        let run = repository.countersign(&["verify", "HEAD~2..HEAD"]).any_status().any_stderr();
        let outcome = run.any_stdout().check();
        assert_ne!(outcome.status, 0, "{}", outcome.text());
    });
}

#[test]
fn the_parts_come_apart_as_git_takes_them_apart() {
    in_both_formats(|world, repository| {
        repository.commit("root");
        let header = repository.signature_header();
        let (payload, armor) = remove_signature(&repository.object("commit", "HEAD"), header);
        let again = insert_header(&payload, header, &armor);
        assert_eq!(again, repository.object("commit", "HEAD"));
        world.write("s", armor);
        let run = world.countersign(&["--status-fd=1", "--verify", "s", "-"]).input(payload);
        run.stdout_holds(&["\n[GNUPG:] TRUST_FULLY "]).any_stderr().check();
    });
}
