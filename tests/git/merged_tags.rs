//! Merges of signed tags: who has signed the tag is told under the merge, and a bad one is never passed over.

use serde_json::Value;

use crate::support::{ALICE, BOB, Repository, World, remove_signature};

/// A merge of the tag 'v1' of the branch 'side', the tag signed by `tagger` and all else by `ALICE`.
fn merge<'w>(world: &'w World, format: &str, tagger: &str) -> Repository<'w> {
    world.trust(ALICE);
    let repository = world.repository("r", format);
    repository.commit("root");
    repository.git(&["checkout", "-q", "-b", "side"]).check();
    repository.commit("beside");
    world.set("SIGSTORE_ID_TOKEN", &world.token(tagger));
    repository.git(&["tag", "-m", "one", "v1"]).check();
    world.set("SIGSTORE_ID_TOKEN", &world.token(ALICE));
    repository.git(&["checkout", "-q", "main"]).check();
    repository.commit("meanwhile");
    repository.git(&["merge", "-q", "--no-ff", "-m", "merge", "v1"]).any_stdout().any_stderr().check();
    assert!(repository.object("commit", "HEAD").windows(10).any(|window| window == b"\nmergetag "));
    repository
}

fn json(repository: &Repository<'_>, revision: &str, status: i32) -> Value {
    let run = repository.countersign(&["verify", "--json", revision]).status(status).any_stdout();
    serde_json::from_str(&run.any_stderr().check().text()).unwrap()
}

#[test]
fn who_signed_a_merged_tag_stands_under_the_merge() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        let repository = merge(&world, format, ALICE);
        let (commit, tag) = (repository.id("HEAD"), repository.id("v1^{tag}"));
        let text = repository.countersign(&["verify"]).any_stdout().check().text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with(&format!("good        {} alice@", &commit[..12])), "{text}");
        assert!(lines[1].starts_with(&format!("  good        {} alice@", &tag[..12])), "{text}");
        assert!(lines.len() == 2 && lines[1].ends_with(" merged tag v1"), "{text}");
        let object = json(&repository, "HEAD", 0);
        let merged = &object["mergedTags"][0];
        assert_eq!((&merged["object"], &merged["tag"]), (&tag.as_str().into(), &"v1".into()));
        assert_eq!((&merged["status"], &merged["identity"]["subject"]), (&"good".into(), &ALICE.into()));
        assert!(json(&repository, "HEAD~1", 0).get("mergedTags").is_none());
        let run = repository.countersign(&["inspect"]).any_stdout().check();
        let (_, merged) = run
            .text()
            .split_once(&format!("merged tag: {tag} 'v1'\n"))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert!(merged.contains("proven:\n") && merged.contains(ALICE), "{merged}");
        // git itself asks the same program about both.
        let shown =
            repository.git(&["log", "-1", "--show-signature"]).any_stdout().any_stderr().check().text();
        assert!(shown.contains("merged tag 'v1'\n"), "{shown}");
        assert_eq!(shown.matches("good signature by 'alice@example.com'").count(), 2, "{shown}");
        let count = repository.countersign(&["verify", "--all"]).any_stdout();
        count.stderr("verified 5 objects: 5 good\n").check();
    }
}

#[test]
fn a_merged_tag_of_somebody_else_is_told_and_decides_nothing() {
    let world = World::new();
    let repository = merge(&world, "sha1", BOB);
    let object = json(&repository, "HEAD", 0);
    assert_eq!(object["status"], "good");
    let merged = &object["mergedTags"][0];
    assert_eq!((&merged["status"], &merged["identity"]["subject"]), (&"refused".into(), &BOB.into()));
    repository.countersign(&["verify"]).stdout_holds(&["\n  refused "]).check();
}

#[test]
fn a_bad_merged_tag_spoils_the_merge_that_holds_it() {
    let world = World::new();
    let repository = merge(&world, "sha1", ALICE);
    let (payload, _) = remove_signature(&repository.object("commit", "HEAD"), "gpgsig");
    let payload = String::from_utf8(payload).unwrap();
    let begin = payload.find("mergetag ").unwrap();
    let end = payload.find("\n\n").unwrap() + 1;
    let header = &payload[begin..end];
    let unsigned = {
        let armor = header.find(" -----BEGIN").unwrap();
        header[..armor].to_owned()
    };
    let side = repository.id("side");
    let other = repository.id("HEAD~2");
    let with = |header: &str| format!("{}{header}{}", &payload[..begin], &payload[end..]);
    for (what, header, cause) in [
        ("changed", header.replacen("\n one\n", "\n two\n", 1), "the merged tag 'v1' is bad: "),
        ("unsigned", unsigned.clone(), "the merged tag 'v1' is bad: there is no signature"),
        ("another's", header.replacen(&side, &other, 1), "which is no parent of the commit"),
        (
            "a blob's",
            header.replacen("\n type commit\n", "\n type blob\n", 1),
            "the merged tag 'v1' is bad: ",
        ),
        (
            "malformed",
            header.replacen("\n tag v1\n", "\n tag v1\n tag v2\n", 1),
            "the header 'tag' stands twice",
        ),
        ("garbage", "mergetag garbage\n".to_owned(), "the merged tag '' is bad: "),
        ("too many", header.repeat(3), "it holds more merged tags than it has parents"),
        ("good, then bad", format!("{header}{unsigned}"), "there is no signature"),
    ] {
        // Whoever made it has signed it: without looking into it, it would be good.
        let id = repository.store_signed_commit(with(&header).as_bytes());
        assert!(repository.grade(&id).starts_with('G'), "{what}");
        let object = json(&repository, &id, 1);
        assert!(object["cause"].as_str().unwrap().contains(cause), "{what}: {object}");
        assert_eq!((&object["status"], object.get("identity")), (&"bad".into(), None), "{what}");
        repository.countersign(&["verify", &id]).status(1).stdout_holds(&["bad ", cause]).check();
        repository.countersign(&["inspect", &id]).status(1).stdout_holds(&["\nbad: ", cause]).check();
    }
    let id = repository.store_signed_commit(with(&header.repeat(2)).as_bytes());
    assert_eq!(json(&repository, &id, 0)["mergedTags"].as_array().unwrap().len(), 2);
}
