//! A remote that keeps a ledger: it is held to what it has shown of it, and its refs are held against it.

use std::fs;

use super::{
    RULES, address, author, clone, fetch, holds, served, stage,
    support::{Repository, World},
    upload,
};

pub(super) const LEDGER: &str = "refs/countersign/ledger";
const DELETABLE: &str = "create = \"allow\"\ndelete = \"allow\"\nrewind = \"allow\"";

/// A remote with a ledger in which `main` went from a first commit to a second; both of them.
pub(super) fn kept(rules: &str) -> (World, [String; 2]) {
    let world = stage(rules);
    enter(&world);
    let author = author(&world);
    let first = author.id("HEAD");
    let second = author.commit("second");
    upload(&author, &["main"]);
    enter(&world);
    (world, [first, second])
}

/// Has the ledger say what the refs of the remote are, whatever the remote itself remembers of it.
pub(super) fn enter(world: &World) {
    let state = world.path("served.git/countersign");
    let _ = fs::remove_dir_all(&state);
    fs::create_dir(&state).unwrap();
    let enter = ["ledger", "enter", "--repository", "served.git", "--reason", "a test"];
    world.countersign(&enter).any_stdout().check();
}

/// Moves a ref of the remote behind the back of its gate.
pub(super) fn set(world: &World, name: &str, value: &str) {
    served(world).git(&["update-ref", name, value]).check();
}

/// Nothing at all is taken by `ours`, for these reasons.
#[track_caller]
fn refused(ours: &Repository<'_>, reasons: &[&str]) {
    let before = ours.id("origin/main");
    for _ in 0..2 {
        fetch(ours, &[]).status(128).stderr_holds(&[reasons, &["hint: "]].concat()).check();
    }
    assert_eq!(ours.id("origin/main"), before);
}

#[test]
fn an_honest_remote_passes_and_its_ledger_reaches_no_clone() {
    let (world, [_, second]) = kept(RULES);
    let ours = clone(&world, "ours");
    assert_eq!(ours.id("origin/main"), second);
    assert!(!holds(&ours, &served(&world).id(LEDGER)) && !ours.has(LEDGER));
    let author = author(&world);
    let third = author.commit("third");
    upload(&author, &["main", "main:topic"]);
    served(&world).git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]).check();
    enter(&world);
    for _ in 0..2 {
        fetch(&ours, &[]).check();
        assert_eq!((ours.id("origin/main"), ours.id("origin/topic")), (third.clone(), third.clone()));
    }
    world.countersign(&["remote", "status"]).any_stdout().check();
}

#[test]
fn a_ledger_that_goes_back_forks_or_vanishes_ends_every_fetch() {
    let (world, [_, second]) = kept(RULES);
    let old = served(&world).id(LEDGER);
    let author = author(&world);
    let third = author.commit("third");
    upload(&author, &["main"]);
    enter(&world);
    let new = served(&world).id(LEDGER);
    let ours = clone(&world, "ours");
    assert_eq!(ours.id("origin/main"), third);

    // Refs and ledger go back together, and agree with each other.
    set(&world, "refs/heads/main", &second);
    set(&world, LEDGER, &old);
    let goes_back = format!("the ledger of the remote goes back: its head was '{new}', and is '{old}' now");
    refused(&ours, &[&goes_back, "nothing is taken from a remote that takes back what it has shown"]);
    // A clone that is new is held to what the user has seen.
    let again = ["clone", "-q", &address(&world), "again"];
    world.run("git", &again).status(128).stderr_holds(&[&goes_back]).check();

    // Another story from there on.
    author.git(&["reset", "-q", "--hard", &second]).check();
    let other = author.commit("other");
    upload(&author, &["main"]);
    enter(&world);
    let fork = served(&world).id(LEDGER);
    let replaced = format!("the ledger of the remote was replaced: its head was '{new}', and '{fork}'");
    refused(&ours, &[&replaced]);
    assert!(!holds(&ours, &other));

    served(&world).git(&["update-ref", "-d", LEDGER]).check();
    refused(&ours, &[&format!("the ledger of the remote is gone: its head was '{new}'")]);
    set(&world, LEDGER, &second);
    refused(&ours, &["the ledger of the remote does not hold", "is no record of the ledger"]);

    // What was seen is still known, and is forgotten only in so many words.
    set(&world, LEDGER, &new);
    set(&world, "refs/heads/main", &third);
    fetch(&ours, &[]).check();
    set(&world, LEDGER, &old);
    set(&world, "refs/heads/main", &second);
    refused(&ours, &[&goes_back]);
    world.countersign(&["remote", "forget", &address(&world), LEDGER]).any_stdout().check();
    world
        .countersign(&["remote", "forget", &address(&world), LEDGER])
        .status(3)
        .stderr_holds(&["nothing is known of a ref"])
        .check();
    // The ledger only: what was accepted of refs binds the remote still.
    fetch(&ours, &[]).status(128).stderr_holds(&["it goes back in its own history"]).check();
}

#[test]
fn a_ref_that_goes_back_against_the_ledger_is_held_even_where_it_may_go_back() {
    let (world, [first, second]) = kept(&RULES.replace("create = \"allow\"", DELETABLE));
    let ours = clone(&world, "ours");
    set(&world, "refs/heads/main", &first);
    let held = format!(
        "warning: '[DIR]/served.git': 'refs/heads/main' is held at {}, the remote says {}: the remote's ledger says {}: \
         it goes back to what it held by entry 1\n",
        &second[..12],
        &first[..12],
        &second[..12]
    );
    for _ in 0..2 {
        fetch(&ours, &[]).stderr(&held).check();
        assert_eq!(ours.id("origin/main"), second);
    }
    world.countersign(&["remote", "status"]).status(1).stdout_holds(&["1 held", "by entry 1"]).check();
    let fails = ours.git(&["-c", "countersign.held=fail", "fetch", "-q"]);
    fails.status(128).stderr_holds(&["1 ref of '[DIR]/served.git' held"]).check();
    // With an entry it may.
    enter(&world);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), first);
    world.countersign(&["remote", "status"]).any_stdout().check();
}

#[test]
fn a_first_clone_is_not_served_an_old_or_an_unknown_value() {
    let (world, [first, _]) = kept(RULES);
    let author = author(&world);
    upload(&author, &["main:topic"]);
    enter(&world);
    set(&world, "refs/heads/main", &first);
    world
        .run("git", &["clone", "-q", "-b", "topic", &address(&world), "ours"])
        .stderr_holds(&["'refs/heads/main' is held at nothing", "it goes back to what it held by entry 1"])
        .check();
    let ours = Repository::at(&world, &world.path("ours"));
    assert!(ours.has("origin/topic") && !ours.has("origin/main"));
    // Signed by whom it may be, but by no gate's leave.
    let third = author.commit("third");
    upload(&author, &["main"]);
    fetch(&ours, &[]).stderr_holds(&["no entry knows that value"]).check();
    assert!(!ours.has("origin/main") && !holds(&ours, &third));
    enter(&world);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), third);
}

#[test]
fn a_ref_that_shows_what_another_held_and_one_that_is_unknown_are_held() {
    let (world, [first, second]) = kept(RULES);
    let author = author(&world);
    upload(&author, &[&format!("{first}:refs/heads/topic")]);
    enter(&world);
    let ours = clone(&world, "ours");
    // git has the objects, and both would only go forward.
    set(&world, "refs/heads/topic", &second);
    set(&world, "refs/heads/new", &second);
    let words = [
        "'refs/heads/topic' is held",
        "it was put where 'refs/heads/main' was by entry 2",
        "'refs/heads/new' is held at nothing",
        "the remote's ledger says nothing: it was put where 'refs/heads/main' was",
    ];
    fetch(&ours, &[]).stderr_holds(&words).check();
    assert!(ours.id("origin/topic") == first && !ours.has("origin/new"));
    // The others go on.
    set(&world, "refs/heads/topic", &first);
    let third = author.commit("third");
    upload(&author, &["main"]);
    served(&world).git(&["update-ref", "-d", "refs/heads/new"]).check();
    enter(&world);
    set(&world, "refs/heads/new", &second);
    fetch(&ours, &[]).stderr_holds(&["'refs/heads/new' is held"]).check();
    assert_eq!(ours.id("origin/main"), third);
}

#[test]
fn a_ref_that_goes_away_without_an_entry_stays_even_where_it_may_be_deleted() {
    let (world, [_, second]) = kept(&RULES.replace("create = \"allow\"", DELETABLE));
    upload(&author(&world), &["main:topic"]);
    enter(&world);
    let ours = clone(&world, "ours");
    served(&world).git(&["update-ref", "-d", "refs/heads/topic"]).check();
    for _ in 0..2 {
        let words = ["'refs/heads/topic' is held", "it was deleted without an entry"];
        fetch(&ours, &["--prune"]).stderr_holds(&words).check();
        assert_eq!(ours.id("origin/topic"), second);
    }
    enter(&world);
    fetch(&ours, &["--prune"]).check();
    assert!(!ours.has("origin/topic"));
}

#[test]
fn a_move_that_was_entered_by_nobody_in_between_is_told_once() {
    let (world, [first, second]) = kept(RULES);
    let ours = clone(&world, "ours");
    // A record that begins where the one before did not end: only who can write there makes one.
    let server = served(&world);
    let third = author(&world).commit("third");
    upload(&author(&world), &["main"]);
    let head = server.id(LEDGER);
    enter(&world);
    let record = String::from_utf8(server.object("commit", LEDGER)).unwrap();
    let lied = record.replace(&format!("{second} {third}"), &format!("{first} {third}"));
    assert_ne!((lied.as_str(), head), (record.as_str(), server.id(LEDGER)));
    set(&world, LEDGER, &server.store("commit", lied.as_bytes()));
    fetch(&ours, &[]).stderr_holds(&["'refs/heads/main' was moved without an entry before entry 3"]).check();
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), third);
}

#[test]
fn many_refs_of_a_forges_own_stop_nobody_and_hide_nothing() {
    let (world, [first, second]) = kept(RULES);
    let ours = clone(&world, "ours");
    let creations: String =
        (0..1001).map(|number| format!("create refs/changes/{number}/head {first}\n")).collect();
    let server = served(&world);
    server.git(&["update-ref", "--stdin"]).input(creations).check();
    fetch(&ours, &[]).any_stderr().check();
    assert_eq!(ours.id("origin/main"), second);
    set(&world, "refs/heads/main", &first);
    fetch(&ours, &[]).stderr_holds(&["'refs/heads/main'"]).any_status().check();
    assert_eq!(ours.id("origin/main"), second);
}

#[test]
fn more_strange_refs_than_are_told_are_no_way_past_the_ledger() {
    let (world, [first, _]) = kept(RULES);
    let ours = clone(&world, "ours");
    let creations: String =
        (0..1001).map(|number| format!("create refs/heads/n{number} {first}\n")).collect();
    served(&world).git(&["update-ref", "--stdin"]).input(creations).check();
    refused(&ours, &["too many refs of the remote are not what its ledger says"]);
    assert!(!ours.has("origin/n1000"));
}
