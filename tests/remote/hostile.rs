//! What a hostile remote gets: nothing that it serves against the policy reaches refs, FETCH_HEAD or the
//! object store, and it cannot take back what was accepted.

use super::{
    RULES, address, author, clone, fetch, fetch_head, holds, is_clean, served, stage,
    support::{Repository, World, insert_header},
    unsigned, upload,
};

/// A clone of `first`, whatever comes after it.
fn begun(rules: &str) -> World {
    let world = stage(rules);
    clone(&world, "ours");
    world
}

fn ours(world: &World) -> Repository<'_> {
    Repository::at(world, &world.path("ours"))
}

#[test]
fn an_unsigned_commit_is_refused_once_and_held_from_then_on() {
    let world = begun(RULES);
    let (author, ours) = (author(&world), ours(&world));
    let first = author.id("HEAD");
    let evil = unsigned(&author, "unsigned");
    let short = &evil[..12];
    author.git(&["branch", "good", &first]).check();
    author.git(&["checkout", "-q", "good"]).check();
    let good = author.commit("good");
    upload(&author, &["main", "good"]);
    fetch(&ours, &[])
        .status(128)
        .stderr(format!(
            "error: refs/heads/main: commit {short}: it is not signed, where 'alice' has to sign (rule 'main')\n  by 'Alice <alice@example.com>': 'unsigned'\n\
             hint: where it was made: sign it with 'git commit --amend -S', or older ones with 'git rebase -S --force-rebase', and push again\n\
             error: nothing was taken: the policy refuses 'refs/heads/main' of '[DIR]/served.git'\n\
             hint: fetch again to take the rest, with these held at what was accepted last\n\
             hint: tell whoever keeps the remote; 'countersign remote status' shows what is held\n"
        ))
        .check();
    assert_eq!((ours.id("origin/main"), fetch_head(&ours)), (first.clone(), String::new()));
    assert!(!holds(&ours, &evil) && !ours.has("origin/good") && is_clean(&ours));
    world
        .countersign(&["remote", "status"])
        .status(1)
        .stdout_holds(&["1 ref accepted, 1 held", &evil])
        .check();

    let held = format!(
        "warning: '[DIR]/served.git': 'refs/heads/main' is held at {}, the remote says {short}: commit {short}: \
         it is not signed, where 'alice' has to sign (rule 'main')\n",
        &first[..12]
    );
    for _ in 0..2 {
        fetch(&ours, &["--prune"]).stderr(&held).check();
        assert_eq!((ours.id("origin/main"), ours.id("origin/good")), (first.clone(), good.clone()));
    }
    assert!(!holds(&ours, &evil));
    ours.git(&["-c", "countersign.held=fail", "fetch", "-q"])
        .status(128)
        .stderr_holds(&["1 ref of '[DIR]/served.git' held"])
        .check();

    // Once it is as it was nothing is held any more, and once it is mended the ref moves again.
    upload(&author, &[&format!("{first}:main")]);
    fetch(&ours, &[]).check();
    world.countersign(&["remote", "status"]).any_stdout().check();
    author.git(&["checkout", "-q", "main"]).check();
    author.git(&["reset", "-q", "--hard", &first]).check();
    let mended = author.commit("signed");
    upload(&author, &["main"]);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), mended);
    world.countersign(&["remote", "status"]).any_stdout().check();
}

#[test]
fn what_is_told_of_one_of_several_remotes_says_of_which() {
    let world = begun(RULES);
    let (author, ours) = (author(&world), ours(&world));
    world.run("cp", &["-r", "served.git", "other.git"]).check();
    let other = format!("verified::{}", world.path("other.git").display());
    ours.git(&["remote", "add", "other", &other]).check();
    ours.git(&["fetch", "-q", "other"]).check();
    unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    author.git(&["push", "-q", "-f", "../other.git", "main"]).check();
    for (remote, place) in [("origin", "served.git"), ("other", "other.git")] {
        let refused = format!("the policy refuses 'refs/heads/main' of '[DIR]/{place}'\n");
        ours.git(&["fetch", "-q", remote]).status(128).stderr_holds(&[&refused]).check();
    }
    let held = ["served.git", "other.git"]
        .map(|place| format!("warning: '[DIR]/{place}': 'refs/heads/main' is held at "));
    ours.git(&["fetch", "-q", "--all"]).stderr_holds(&[&held[0], &held[1]]).check();
}

#[test]
fn a_clone_that_is_refused_leaves_nothing() {
    let world = stage(RULES);
    unsigned(&author(&world), "unsigned");
    upload(&author(&world), &["main"]);
    for words in ["nothing was taken: the policy refuses", "has is accepted"] {
        let run = world.run("git", &["clone", "-q", &address(&world), "ours"]);
        run.status(128).stderr_holds(&[words]).check();
        assert!(!world.path("ours").exists());
    }
}

#[test]
fn an_unsigned_commit_under_a_signed_merge_is_refused() {
    let world = begun(RULES);
    let author = author(&world);
    author.git(&["checkout", "-q", "-b", "side"]).check();
    let evil = unsigned(&author, "unsigned");
    author.git(&["checkout", "-q", "main"]).check();
    author.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]).check();
    upload(&author, &["main"]);
    fetch(&ours(&world), &[]).status(128).stderr_holds(&[&evil[..12], "it is not signed"]).check();
    assert!(!holds(&ours(&world), &evil) && !holds(&ours(&world), &author.id("main")));
}

#[test]
fn somebody_elses_signature_and_a_changed_commit_are_refused() {
    let world = begun(RULES);
    let author = author(&world);
    let bobs = author.commit_as(super::BOB, "bob's");
    upload(&author, &["main"]);
    fetch(&ours(&world), &[])
        .status(128)
        .stderr_holds(&["signed by 'bob@example.com'", "where only 'alice' may"])
        .check();
    author.git(&["reset", "-q", "--hard", "HEAD~"]).check();
    author.commit("signed");
    let text = String::from_utf8(author.object("commit", "HEAD")).unwrap();
    let changed = author.store("commit", text.replace("\n\nsigned", "\n\nchanged").as_bytes());
    author.git(&["update-ref", "refs/heads/main", &changed]).check();
    upload(&author, &["main"]);
    fetch(&ours(&world), &[]).status(128).stderr_holds(&["the signature is bad"]).check();
    assert!(!holds(&ours(&world), &bobs) && !holds(&ours(&world), &changed));
}

#[test]
fn going_back_is_refused_although_git_would_ask_for_no_object() {
    let world = begun(RULES);
    let (author, ours) = (author(&world), ours(&world));
    let first = author.id("HEAD");
    let second = author.commit("second");
    upload(&author, &["main"]);
    fetch(&ours, &[]).check();
    upload(&author, &[&format!("{first}:main")]);
    let told = format!(
        "'refs/heads/main' was accepted at {second}, and the remote says {first}: it goes back in its own history\n"
    );
    fetch(&ours, &[])
        .status(128)
        .stderr_holds(&[
            &told,
            "the new value does not descend from the current one",
            "hint: if they say that it was meant, 'countersign remote forget file://[DIR]/served refs/heads/main' takes",
        ])
        .check();
    fetch(&ours, &[]).stderr_holds(&["'refs/heads/main' is held at"]).check();
    assert_eq!(ours.id("origin/main"), second);
    // A new clone by the same user is bound by what was seen.
    let again = clone_held(&world, "again");
    assert_eq!(again.id("origin/main"), second);
    // Unless the user forgets it in so many words.
    world.countersign(&["remote", "forget", &address(&world), "refs/heads/main"]).any_stdout().check();
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), first);
}

fn clone_held<'w>(world: &'w World, name: &str) -> Repository<'w> {
    world.run("git", &["clone", "-q", &address(world), name]).any_stderr().check();
    Repository::at(world, &world.path(name))
}

#[test]
fn another_history_is_refused_and_a_permitted_rewind_is_not() {
    let allowed = RULES.replacen("create = \"allow\"", "create = \"allow\"\nrewind = \"allow\"", 1);
    for (rules, is_allowed) in [(RULES, false), (allowed.as_str(), true)] {
        let world = begun(rules);
        let (author, ours) = (author(&world), ours(&world));
        let first = author.id("HEAD");
        author.git(&["checkout", "-q", "--orphan", "other"]).check();
        let other = author.commit("another history");
        upload(&author, &["other:main"]);
        if is_allowed {
            fetch(&ours, &[]).check();
            assert_eq!(ours.id("origin/main"), other);
        } else {
            let told = format!(
                "'refs/heads/main' was accepted at {first}, and the remote says {other}: its history was replaced\n"
            );
            fetch(&ours, &[]).status(128).stderr_holds(&[&told]).check();
            assert!(!holds(&ours, &other));
        }
    }
}

#[test]
fn a_moved_a_renamed_and_a_lightweight_tag_are_refused() {
    let world = begun(RULES);
    let (author, ours) = (author(&world), ours(&world));
    author.git(&["tag", "-m", "one", "v1"]).check();
    let tag = author.id("v1");
    upload(&author, &["v1"]);
    fetch(&ours, &[]).check();
    author.commit("second");
    author.git(&["tag", "-f", "-m", "one", "v1"]).any_stdout().check();
    upload(&author, &["main", "v1"]);
    let told = format!(
        "'refs/tags/v1' was accepted at {tag}, and the remote says {}: the tag was moved",
        author.id("v1")
    );
    fetch(&ours, &["--tags", "--force"])
        .status(128)
        .stderr_holds(&[&told, "the tag exists and may not be replaced"])
        .check();
    fetch(&ours, &["--tags", "--force"]).any_stderr().check();
    assert_eq!(ours.id("v1"), tag);

    served(&world).git(&["update-ref", "refs/tags/v2", &tag]).check();
    served(&world).git(&["update-ref", "refs/tags/light", "refs/heads/main"]).check();
    let words = ["the tag object was signed under the name 'v1'", "the tag is lightweight"];
    fetch(&ours, &["--tags"]).status(128).stderr_holds(&words).check();
    fetch(&ours, &["--tags"]).any_stderr().check();
    assert!(!ours.has("refs/tags/v2") && !ours.has("refs/tags/light"));
}

#[test]
fn a_ref_that_may_not_be_deleted_stays_when_git_prunes() {
    let world = stage(RULES);
    let author = author(&world);
    upload(&author, &["main:release"]);
    let ours = clone(&world, "ours");
    upload(&author, &[":release"]);
    fetch(&ours, &["--prune"])
        .status(128)
        .stderr_holds(&["the ref may not be deleted", "the remote says that it is gone"])
        .check();
    fetch(&ours, &["--prune"]).stderr_holds(&["'refs/heads/release' is held"]).check();
    assert!(ours.has("origin/release"));
    world.countersign(&["remote", "forget", &address(&world), "refs/heads/release"]).any_stdout().check();
    fetch(&ours, &["--prune"]).check();
    assert!(!ours.has("origin/release"));
}

#[test]
fn a_new_ref_needs_leave_where_the_rule_asks_for_it_and_the_first_sight_does_not() {
    let world = stage(&RULES.replace("create = \"allow\"", ""));
    upload(&author(&world), &["main:topic"]);
    let ours = clone(&world, "ours");
    assert!(ours.has("origin/main") && ours.has("origin/topic"));
    upload(&author(&world), &["main:new"]);
    fetch(&ours, &[]).status(128).stderr_holds(&["refs/heads/new: the ref may not be created"]).check();
    fetch(&ours, &[]).any_stderr().check();
    assert!(!ours.has("origin/new"));
}

#[test]
fn a_commit_that_hides_a_second_signature_is_refused() {
    let world = begun(RULES);
    let author = author(&world);
    author.commit("signed");
    let hidden = insert_header(&author.object("commit", "HEAD"), "gpgsig-other", b"x\n");
    let hidden = author.store("commit", &hidden);
    author.git(&["update-ref", "refs/heads/main", &hidden]).check();
    upload(&author, &["main"]);
    fetch(&ours(&world), &[]).status(128).stderr_holds(&["it is malformed"]).check();
    assert!(!holds(&ours(&world), &hidden));
}

#[test]
fn missing_and_damaged_objects_are_an_error_and_leave_nothing() {
    let world = begun(RULES);
    let (author, ours) = (author(&world), ours(&world));
    author.commit("second");
    let third = author.commit("third");
    upload(&author, &["main"]);
    let second = author.id("HEAD~");
    let path = world.path("served.git/objects").join(&second[..2]).join(&second[2..]);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    fetch(&ours, &[]).status(128).any_stderr().check();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    fetch(&ours, &[]).status(128).any_stderr().check();
    assert!(!holds(&ours, &third) && is_clean(&ours));
    std::fs::write(&path, &bytes).unwrap();
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), third);
}

#[test]
fn objects_that_are_here_already_vouch_for_nothing() {
    let world = begun(RULES);
    let (author, ours) = (author(&world), ours(&world));
    let evil = unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    // They came by another way.
    ours.git(&["fetch", "-q", "../author", "main:refs/heads/local"]).check();
    fetch(&ours, &[]).status(128).stderr_holds(&["it is not signed"]).check();
    fetch(&ours, &[]).stderr_holds(&["is held at"]).check();
    assert_ne!(ours.id("origin/main"), evil);
}

#[test]
fn a_new_policy_judges_again_what_the_old_one_refused() {
    let world = begun(RULES);
    let (author, ours) = (author(&world), ours(&world));
    let bobs = author.commit_as(super::BOB, "bob's");
    upload(&author, &["main"]);
    fetch(&ours, &[]).status(128).any_stderr().check();
    fetch(&ours, &[]).stderr_holds(&["is held at"]).check();
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    world.write("policy.toml", policy.replace("commits = [\"alice\"]", "commits = [\"alice\", \"bob\"]"));
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), bobs);
}

#[test]
fn what_is_pushed_onto_something_that_was_never_accepted_vouches_for_nothing() {
    let world = begun(RULES);
    let (author, ours) = (author(&world), ours(&world));
    let evil = unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    // It comes by another way, and a signed commit on top of it is pushed.
    ours.git(&["fetch", "-q", "../author", "main"]).check();
    ours.git(&["reset", "-q", "--hard", "FETCH_HEAD"]).check();
    ours.commit("signed");
    ours.git(&["push", "-q", "origin", "main"]).check();
    fetch(&ours, &["origin", "main"]).status(128).stderr_holds(&[&evil[..12], "it is not signed"]).check();
    let again = world.run("git", &["clone", "-q", &address(&world), "again"]).any_stderr();
    assert_eq!(again.check().status, 0);
    assert!(!holds(&Repository::at(&world, &world.path("again")), &evil));
}

#[test]
fn a_ref_that_may_go_may_come_again_as_another_one() {
    let world = stage(&RULES.replace("create =", "delete = \"allow\"\ncreate ="));
    let author = author(&world);
    upload(&author, &["main:topic"]);
    let ours = clone(&world, "ours");
    upload(&author, &[":topic"]);
    fetch(&ours, &["--prune"]).check();
    assert!(!ours.has("origin/topic"));
    author.git(&["checkout", "-q", "--orphan", "other"]).check();
    let other = author.commit("another history");
    upload(&author, &["other:topic"]);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/topic"), other);
}

#[test]
fn what_was_let_in_for_a_while_does_not_become_accepted_by_what_stands_on_it() {
    let rules = r#"
        [[rule]]
        name = "main"
        refs = ["refs/heads/main"]
        commits = ["alice"]
        [[rule]]
        name = "release"
        refs = ["refs/heads/release/*"]
        commits = ["alice"]
        create = "allow"
        bases = ["refs/heads/main"]
    "#;
    let world = stage(rules);
    let ours = clone(&world, "ours");
    let author = author(&world);
    let strict = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let relaxed = strict.replacen("commits = [\"alice\"]", "commits = \"unsigned\"", 1);
    world.write("policy.toml", relaxed);
    let evil = unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), evil);
    world.write("policy.toml", strict);
    author.commit("signed on top");
    upload(&author, &["main"]);
    fetch(&ours, &[]).check();
    // As the gate would have it: a new branch answers for all that it takes in.
    upload(&author, &["main:refs/heads/release/1"]);
    fetch(&ours, &[])
        .status(128)
        .stderr_holds(&["refs/heads/release/1", &evil[..12], "it is not signed"])
        .check();
    assert!(!ours.has("origin/release/1"));
}

#[test]
fn a_tag_that_git_takes_without_asking_is_judged_all_the_same() {
    let world = stage(RULES);
    let ours = clone(&world, "ours");
    let author = author(&world);
    // It stands on a commit that comes by the way, of which git has everything in the end.
    author.commit("second");
    author.commit("third");
    upload(&author, &["main", "main~:refs/tags/light"]);
    let words = ["the tag is lightweight", "nothing was taken: the policy refuses 'refs/tags/light'"];
    fetch(&ours, &[]).status(128).stderr_holds(&words).check();
    fetch(&ours, &[]).stderr_holds(&["'refs/tags/light' is held at nothing"]).check();
    assert_eq!(ours.id("origin/main"), author.id("main"));
    assert!(!ours.has("refs/tags/light"));
    // So does a clone of one branch.
    world.countersign(&["remote", "forget", &address(&world)]).any_stdout().check();
    let one = |name: &str| world.run("git", &["clone", "-q", "--single-branch", &address(&world), name]);
    one("one").status(128).stderr_holds(&words).check();
    one("one").any_stderr().check();
    assert!(!Repository::at(&world, &world.path("one")).has("refs/tags/light"));
}
