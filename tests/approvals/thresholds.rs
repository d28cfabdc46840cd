//! Who is counted, and for what.

use crate::{ALICE, ALICE_AT_HOME, BOB, CAROL, MAIN, REF, Stage, TWO, policy, support::World};

#[test]
fn nobodys_commit_goes_in_on_their_own_word() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        let stage = Stage::of(&world, TWO, format);
        let base = stage.work.id("origin/main");
        let tip = stage.commit(ALICE, "a", "a\n");
        let command = format!(
            "hint: have 'bob' or 'carol' run 'countersign approve --ref {MAIN} --base {base} {tip}', and push '{REF}' too"
        );
        stage.refused(&["main"], &["1 of 2 persons vouches for it ('alice')", "(rule 'main')", &command]);

        // Herself, however often and with whatever key, is one person.
        stage.approve(ALICE, &[]);
        stage.approve(ALICE_AT_HOME, &[]);
        stage.refused(&["main", REF], &["1 of 2 persons vouches for it ('alice')"]);

        // Bob's approval comes with the push.
        let said = stage.approve(BOB, &["--ref", MAIN, "--base", &base, &tip]);
        assert!(
            said.starts_with(&format!("approved as 'bob': {MAIN} of 'example.com/project', from ")),
            "{said}"
        );
        assert!(stage.approve(BOB, &[]).starts_with("already approved as 'bob': "));
        stage.accepted(&["main", REF]);
        assert_eq!(stage.server.id("main"), tip);

        // It is spent: what the branch holds now is another base.
        stage.commit(ALICE, "a", "b\n");
        stage.commit(ALICE, "a", "a\n");
        stage.refused(&["main"], &["1 of 2 persons"]);

        // One that lies on the server already counts as well.
        stage.work.git(&["fetch", "-q", "origin"]).check();
        stage.approve(CAROL, &[]);
        stage.accepted(&[REF]);
        stage.accepted(&["main"]);
    }
}

#[test]
fn a_signature_on_a_commit_counts_for_that_commit_alone() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let one = stage.commit(ALICE, "a", "a\n");
    let two = stage.commit(BOB, "b", "b\n");
    // Bob has built upon what Alice did; he has not vouched for it on this branch.
    stage.refused(&["main"], &[&one[..12], "1 of 2 persons vouches for it ('alice')"]);
    stage.approve(ALICE, &[]);
    stage.refused(&["main", REF], &[&one[..12], "1 of 2 persons vouches for it ('alice')"]);
    // Both for each other.
    stage.approve(BOB, &[]);
    stage.accepted(&["main", REF]);
    assert_eq!(stage.server.id("main"), two);
}

#[test]
fn a_third_person_vouches_for_all_and_merges_are_commits() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    stage.work.git(&["checkout", "-q", "-b", "topic"]).check();
    stage.commit(ALICE, "a", "a\n");
    stage.commit(BOB, "b", "b\n");
    stage.work.git(&["checkout", "-q", "main"]).check();
    let token = world.token(BOB);
    stage
        .work
        .git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"])
        .env("SIGSTORE_ID_TOKEN", token)
        .check();
    stage.refused(&["main"], &["1 of 2 persons"]);
    stage.approve(CAROL, &[]);
    stage.accepted(&["main", REF]);
}

#[test]
fn three_are_three() {
    let world = World::new();
    let stage = Stage::new(&world, &TWO.replace("threshold = 2", "threshold = 3"));
    stage.commit(ALICE, "a", "a\n");
    stage.approve(BOB, &[]);
    let parts = ["2 of 3 persons vouch for it ('alice', 'bob')", "have 'carol' run 'countersign approve"];
    stage.refused(&["main", REF], &parts);
    stage.approve(CAROL, &[]);
    stage.accepted(&["main", REF]);
}

#[test]
fn creation_rewind_and_deletion_take_as_many() {
    let world = World::new();
    let rules = TWO.replace("\"refs/heads/main\"", "\"refs/heads/main\", \"refs/heads/release/*\"")
        + "delete = \"allow\"\nrewind = \"allow\"\nbases = [\"refs/heads/main\"]\n";
    let stage = Stage::new(&world, &rules);
    let first = stage.work.id("HEAD");
    let release = "refs/heads/release/1";
    let words = stage.refused(&[&format!("{first}:{release}")], &["1 of 2 persons vouches for it ('alice')"]);
    assert!(words.contains(&format!("countersign approve --ref {release} --create {first}'")), "{words}");
    // An approval for the one branch is none for the other.
    stage.approve(BOB, &["--ref", MAIN, "--create", &first]);
    stage.refused(
        &[&format!("{first}:{release}"), REF],
        &["an approval is for another ref, 'refs/heads/main'"],
    );
    stage.approve(BOB, &["--ref", release, "--create", &first]);
    stage.accepted(&[&format!("{first}:{release}"), REF]);

    // Onwards, back and away.
    let second = stage.commit(ALICE, "a", "a\n");
    stage.approve(CAROL, &["--ref", release, "--base", &first, &second]);
    stage.accepted(&[&format!("{second}:{release}"), REF]);
    let hint = format!("countersign approve --ref {release} --base {second} {first} --rewind'");
    stage.refused(&[&format!("+{first}:{release}")], &["1 of 2 persons vouches for it ('alice')", &hint]);
    let why = stage.unapproved(BOB, &["--ref", release, "--base", &second, &first]);
    assert!(why.contains("does not stand on the base") && why.contains("--rewind"), "{why}");
    stage.approve(BOB, &["--ref", release, "--base", &second, "--rewind", &first]);
    stage.accepted(&[&format!("+{first}:{release}"), REF]);

    let words = stage.refused(&[&format!(":{release}")], &["0 of 2 persons vouch for it"]);
    assert!(
        words.contains(&format!("countersign approve --ref {release} --base {first} --delete'")),
        "{words}"
    );
    stage.approve(ALICE, &["--ref", release, "--base", &first, "--delete"]);
    stage.refused(&[&format!(":{release}"), REF], &["1 of 2 persons vouches for it ('alice')"]);
    stage.approve(BOB, &["--ref", release, "--base", &first, "--delete"]);
    stage.accepted(&[REF]);
    stage.accepted(&[&format!(":{release}")]);
}

#[test]
fn tags_count_whoever_has_signed_the_tag() {
    let world = World::new();
    let tags = "[[rule]]\nname = \"tags\"\nrefs = [\"refs/tags/*\"]\ncommits = [\"alice\", \"bob\"]\n\
                tags = [\"alice\", \"bob\"]\ncreate = \"allow\"\nthreshold = 2\n";
    let stage = Stage::new(&world, tags);
    stage.work.git(&["tag", "-s", "-m", "v1", "v1"]).check();
    stage.refused(&["v1"], &["1 of 2 persons vouches for it ('alice')"]);
    stage.approve(BOB, &["--ref", "refs/tags/v1", "--create", "v1"]);
    stage.accepted(&["v1", REF]);
    // What is approved is a tree upon a ref: for another tag it is nothing.
    stage.work.git(&["tag", "-s", "-m", "v2", "v2"]).check();
    stage.refused(&["v2"], &["an approval is for another ref, 'refs/tags/v1'"]);
}

#[test]
fn many_created_branches_are_each_asked_for() {
    let world = World::new();
    let rules = TWO.replace("\"refs/heads/main\"", "\"refs/heads/*\"");
    let stage = Stage::new(&world, &rules);
    let first = stage.work.id("HEAD");
    let (a, b) = (format!("{first}:refs/heads/a"), format!("{first}:refs/heads/b"));
    // One refusal, and a command for each ref.
    let command = |name: &str| format!("run 'countersign approve --ref refs/heads/{name} --create {first}'");
    stage.refused(&[&a, &b], &["refs/heads/a and another ref", &command("a"), &command("b")]);
    stage.approve(BOB, &["--ref", "refs/heads/a", "--create"]);
    let words = stage.refused(&[&a, &b, REF], &["refs/heads/b: commit ", "1 of 2 persons"]);
    assert!(!words.contains("error: refs/heads/a"), "{words}");
    stage.approve(CAROL, &["--ref", "refs/heads/b", "--create"]);
    stage.accepted(&[&a, &b, REF]);
}

#[test]
fn who_may_approve_is_the_rules_to_say() {
    let world = World::new();
    let rules =
        TWO.replace("[\"alice\", \"bob\", \"carol\"]", "[\"alice\", \"bob\"]") + "approvers = [\"carol\"]\n";
    let stage = Stage::new(&world, &rules);
    stage.commit(ALICE, "a", "a\n");
    let why = stage.unapproved(BOB, &[]);
    assert!(
        why.contains("nothing was kept: the approval does not count: signed by 'bob@example.com'"),
        "{why}"
    );
    assert!(why.contains("where only 'carol' may") && why.contains("rule's approvers"), "{why}");
    stage.approve(CAROL, &[]);
    stage.accepted(&["main", REF]);
}

#[test]
fn unsigned_commits_take_approvals_alone() {
    let world = World::new();
    let rules = TWO
        .replace("[\"alice\", \"bob\", \"carol\"]", "\"unsigned\"")
        .replace("threshold = 2", "threshold = 1")
        + "approvers = [\"bob\", \"carol\"]\n";
    let stage = Stage::new(&world, &rules);
    stage.commit(ALICE, "a", "a\n");
    stage.refused(&["main"], &["0 of 1 persons vouch for it"]);
    stage.approve(BOB, &[]);
    stage.accepted(&["main", REF]);
}

#[test]
fn an_unprotected_branch_is_no_way_around_it() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let tip = stage.commit(ALICE, "a", "a\n");
    stage.accepted(&["HEAD:refs/heads/wild/x"]);
    stage.refused(&["main"], &[&tip[..12], "1 of 2 persons"]);
    // Nor is a branch with the same signers that asks for nobody else.
    let free =
        TWO.replace("\"main\"\nrefs = [\"refs/heads/main\"]", "\"free\"\nrefs = [\"refs/heads/free\"]");
    let free = free.replace("threshold = 2\n", "");
    let based = TWO.replace("\"refs/heads/main\"", "\"refs/heads/main\", \"refs/heads/release/*\"")
        + "bases = [\"refs/heads/free\"]\n";
    policy(&world, &(based + &free));
    stage.accepted(&["HEAD:refs/heads/free"]);
    stage.refused(&["HEAD:refs/heads/release/1"], &["1 of 2 persons"]);
}

#[test]
fn a_warning_lets_it_pass() {
    let world = World::new();
    let stage = Stage::new(&world, &(TWO.to_owned() + "mode = \"warn\"\n"));
    stage.commit(ALICE, "a", "a\n");
    let (status, words) = stage.push(&["main"]);
    assert_eq!(status, 0, "{words}");
    assert!(
        words.contains("warning: refs/heads/main: commit ") && words.contains("1 of 2 persons"),
        "{words}"
    );
}
