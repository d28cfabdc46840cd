//! Path rules: only Bob changes `infra`, however Alice goes about it.

use std::os::unix::fs::PermissionsExt as _;

use crate::Stage;

const RULES: &str = r#"
[[rule]]
name = "main"
refs = ["refs/heads/main", "refs/heads/release/*"]
commits = ["alice", "bob"]
create = "allow"
bases = ["refs/heads/main"]
[[rule.path]]
paths = ["infra/**"]
commits = ["bob"]
[[rule]]
name = "topics"
refs = ["refs/heads/topic/*"]
commits = ["alice", "bob"]
create = "allow"
delete = "allow"
rewind = "allow"
bases = ["refs/heads/main"]
[[rule.path]]
paths = ["infra/**"]
commits = ["bob"]
[[rule]]
name = "wild"
refs = ["refs/heads/wild/*"]
commits = "unsigned"
create = "allow"
rewind = "allow"
"#;

/// The rules, and a main branch of Bob's with something in it.
fn stage() -> (Stage, String) {
    let stage = Stage::new(RULES);
    stage.put("infra/a", "0");
    stage.put("src/a", "0");
    let first = stage.commit("bob", "first");
    stage.push("HEAD", "refs/heads/main").unwrap();
    (stage, first)
}

/// Push what is in the index as a commit of Alice's, which is refused for `path`; then nothing has happened.
#[track_caller]
fn refused(stage: &Stage, path: &str) {
    let before = stage.work().id("HEAD");
    stage.commit("alice", "not hers");
    let words = stage.push("HEAD", "refs/heads/main").unwrap_err();
    let wanted = format!("it changes '{path}', and signed by 'alice@example.com'");
    assert!(
        words.contains(&wanted) && words.contains("('alice'), where only 'bob' may (rule 'main')"),
        "{words}"
    );
    assert!(words.contains("hint: have one of them make and sign"), "{words}");
    stage.git(&["reset", "-q", "--hard", &before]);
    stage.git(&["clean", "-fdq"]);
}

#[test]
fn every_way_to_change_a_path_is_seen() {
    let (stage, first) = stage();
    let path = |path: &str| stage.world.path(&format!("work/{path}"));
    stage.put("infra/a", "1");
    refused(&stage, "infra/a");
    stage.put("infra/deep/b", "new");
    refused(&stage, "infra/deep/b");
    stage.git(&["rm", "-q", "infra/a"]);
    refused(&stage, "infra/a");
    stage.git(&["mv", "infra/a", "src/b"]);
    refused(&stage, "infra/a");
    stage.git(&["mv", "src/a", "infra/b"]);
    refused(&stage, "infra/b");
    std::fs::set_permissions(path("infra/a"), std::fs::Permissions::from_mode(0o755)).unwrap();
    stage.git(&["add", "-A"]);
    refused(&stage, "infra/a");
    stage.git(&["rm", "-rq", "infra"]);
    std::os::unix::fs::symlink("src", path("infra")).unwrap();
    stage.git(&["add", "-A"]);
    refused(&stage, "infra");
    stage.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{first},infra/module")]);
    refused(&stage, "infra/module");
    // What is none of it is hers, and what Bob does is his.
    stage.put("src/a", "1");
    stage.put("infrastructure", "1");
    stage.commit("alice", "hers");
    stage.push("HEAD", "refs/heads/main").unwrap();
    stage.put("infra/a", "1");
    stage.commit("bob", "his");
    stage.put("src/a", "2");
    stage.commit("alice", "hers again");
    stage.push("HEAD", "refs/heads/main").unwrap();
}

#[test]
fn each_commit_counts_and_not_only_what_comes_of_them() {
    let (stage, first) = stage();
    stage.put("infra/a", "1");
    let there = stage.commit("alice", "there");
    stage.put("infra/a", "0");
    let back = stage.commit("alice", "and back");
    let words = stage.push("HEAD", "refs/heads/main").unwrap_err();
    assert!(words.contains("each of 2 commits: it changes 'infra/a'"), "{words}");
    assert!(words.contains(&there[..12]) && words.contains(&back[..12]), "{words}");
    // By way of a branch without such a rule, it is as new here as it was there.
    stage.git(&["reset", "-q", "--hard", &first]);
    stage.put("infra/a", "1");
    let smuggled = stage.commit("alice", "smuggled");
    stage.push(&smuggled, "refs/heads/wild/a").unwrap();
    stage.push(&smuggled, "refs/heads/main").unwrap_err();
    stage.push(&smuggled, "refs/heads/release/1").unwrap_err();
    // A new branch takes its history from a base, and a history of its own begins with nothing.
    stage.push(&first, "refs/heads/release/1").unwrap();
    stage.git(&["checkout", "-q", "--orphan", "alone"]);
    stage.commit("alice", "everything anew");
    let words = stage.push("HEAD", "refs/heads/release/2").unwrap_err();
    assert!(words.contains("it changes 'infra/a'"), "{words}");
}

#[test]
fn whoever_merges_brings_in_what_others_did_and_no_more() {
    let (stage, first) = stage();
    stage.put("infra/a", "1");
    stage.put("infra/b", "1");
    let main = stage.commit("bob", "infra");
    stage.push("HEAD", "refs/heads/main").unwrap();
    stage.git(&["checkout", "-q", "-b", "topic", &first]);
    stage.put("src/a", "1");
    let topic = stage.commit("alice", "topic");
    let merge = |arguments: &[&str]| {
        stage.git(&["reset", "-q", "--hard", &topic]);
        stage.git(&[&["merge", "-q", "--no-commit", "--no-ff"], arguments, &[&main]].concat());
    };

    merge(&["-s", "ours"]);
    stage.commit("alice", "without infra");
    let words = stage.push("HEAD", "refs/heads/main").unwrap_err();
    assert!(words.contains("it changes 'infra/a', and signed by 'alice@example.com'"), "{words}");
    merge(&[]);
    stage.put("infra/b", "evil");
    stage.commit("alice", "with more");
    let words = stage.push("HEAD", "refs/heads/main").unwrap_err();
    assert!(words.contains("it changes 'infra/b', and signed by 'alice@example.com'"), "{words}");
    merge(&[]);
    stage.commit("alice", "a merge");
    stage.push("HEAD", "refs/heads/topic/a").unwrap();
    stage.push("HEAD", "refs/heads/main").unwrap();

    // What both sides changed, only Bob can settle.
    stage.put("infra/a", "2");
    let ours = stage.commit("bob", "one way");
    stage.git(&["checkout", "-q", &main]);
    stage.put("infra/a", "3");
    let theirs = stage.commit("bob", "another way");
    let settle = |who: &str| {
        stage.git(&["reset", "-q", "--hard", &ours]);
        stage.git(&["merge", "-q", "--no-commit", "-X", "theirs", &theirs]);
        stage.commit(who, "settled");
        stage.push("HEAD", "refs/heads/main")
    };
    assert!(settle("alice").unwrap_err().contains("it changes 'infra/a'"));
    settle("bob").unwrap();
}

#[test]
fn what_is_rewound_takes_back_nothing_that_is_somebody_elses() {
    let (stage, first) = stage();
    stage.put("infra/a", "1");
    let with = stage.commit("bob", "infra");
    stage.push(&with, "refs/heads/topic/a").unwrap();
    let words = stage.push(&format!("+{first}"), "refs/heads/topic/a").unwrap_err();
    assert!(
        words.contains("'infra/a' would not be as it is, and no commit that is added changes it"),
        "{words}"
    );
    stage.git(&["reset", "-q", "--hard", &first]);
    stage.put("src/a", "1");
    let without = stage.commit("alice", "instead");
    stage.push(&format!("+{without}"), "refs/heads/topic/a").unwrap_err();
    stage.put("infra/a", "2");
    let by_bob = stage.commit("bob", "infra anew");
    stage.push(&format!("+{by_bob}"), "refs/heads/topic/a").unwrap();

    // What main has accepted meanwhile comes with it.
    stage.push(&first, "refs/heads/topic/b").unwrap();
    stage.git(&["checkout", "-q", "-b", "c", &first]);
    stage.put("src/c", "1");
    let old = stage.commit("alice", "topic");
    stage.push(&old, "refs/heads/topic/c").unwrap();
    stage.git(&["checkout", "-q", &with]);
    stage.push(&with, "refs/heads/main").unwrap();
    stage.put("src/c", "1");
    let rebased = stage.commit("alice", "topic, rebased");
    stage.push(&format!("+{rebased}"), "refs/heads/topic/c").unwrap();
}

#[test]
fn a_rule_may_ask_for_signatures_of_some_paths_alone_or_only_warn() {
    let rules = "[[rule]]\nname = \"open\"\nrefs = [\"refs/heads/*\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n\
                 [[rule.path]]\npaths = [\"**\"]\nexcept = [\"docs/**\"]\ncommits = [\"bob\"]\n";
    let stage = Stage::new(rules);
    stage.put("docs/a", "0");
    stage.git(&["commit", "-q", "--no-gpg-sign", "-m", "unsigned"]);
    stage.push("HEAD", "refs/heads/main").unwrap();
    stage.put("a", "0");
    stage.git(&["commit", "-q", "--no-gpg-sign", "-m", "unsigned"]);
    let words = stage.push("HEAD", "refs/heads/main").unwrap_err();
    assert!(
        words.contains("it changes 'a', and it is not signed, where 'bob' has to sign (rule 'open')"),
        "{words}"
    );
    stage.policy(&rules.replace("name = \"open\"", "name = \"open\"\nmode = \"warn\""));
    let push = stage.work().git(&["push", "-q", "../server.git", "HEAD:refs/heads/main"]);
    assert!(push.any_stderr().check().words().contains("warning: refs/heads/main: commit"));
}

#[test]
fn a_tag_of_a_tree_is_no_way_around_the_paths() {
    let (stage, _) = stage();
    let rule = r#"
[[rule]]
name = "tags"
refs = ["refs/tags/*"]
commits = ["alice", "bob"]
tags = ["alice", "bob"]
create = "allow"
lightweight_tags = "allow"
tags_of_trees_and_blobs = "allow"
bases = ["refs/heads/main"]
"#;
    let path = "[[rule.path]]\npaths = [\"infra/**\"]\ncommits = [\"bob\"]\n";
    stage.policy(&format!("{RULES}{rule}"));
    stage.put("infra/a", "1");
    let commit = stage.commit("alice", "not hers");
    let tree = stage.git(&["rev-parse", &format!("{commit}^{{tree}}")]);
    stage.push(&tree, "refs/tags/a").unwrap();
    stage.policy(&format!("{RULES}{rule}{path}"));
    let words = stage.push(&tree, "refs/tags/b").unwrap_err();
    assert!(words.contains("it leads to no commit"), "{words}");
}

#[test]
fn a_topic_that_is_merely_behind_takes_nothing_back() {
    let (stage, first) = stage();
    stage.put("src/a", "1");
    let topic = stage.commit("alice", "a topic");
    stage.git(&["reset", "-q", "--hard", &first]);
    stage.put("infra/a", "1");
    let main = stage.commit("bob", "main went on");
    let check = |head: &str, more: &[&str]| {
        let check = ["check", "--policy", "../policy.toml", "--ref", "refs/heads/main", "--base", &main];
        let run = stage.work().countersign(&[&check[..], &["--head", head], more].concat());
        let run = run.any_status().any_stdout().any_stderr().check();
        (run.status, run.text())
    };
    let (status, said) = check(&topic, &[]);
    assert!(status == 1 && said.contains("'infra/a' would not be as it is"), "{said}");
    let (status, said) = check(&topic, &["--topic"]);
    assert!(status == 0 && said.contains("warning: the topic has not all that the ref has"), "{said}");
    // What a topic's own commits do is judged all the same.
    stage.git(&["reset", "-q", "--hard", &first]);
    stage.put("infra/a", "2");
    let hostile = stage.commit("alice", "not hers");
    let (status, said) = check(&hostile, &["--topic"]);
    assert!(status == 1 && said.contains("it changes 'infra/a'"), "{said}");
}
