//! A policy that the remote keeps in a ref: believed by the pin for its address, followed from there, and
//! never taken back.

use super::{
    BOB, RULES, address, author, fetch, holds, identity, served, stage,
    support::{ALICE, Repository, World},
    upload,
};

const REF: &str = "refs/countersign/policy";
const ID: &str = "example.com/project";

/// Publishes a policy of Alice's in which `signers` sign, as `email`; its commit.
fn publish(author: &Repository<'_>, id: &str, serial: u64, signers: &str, email: &str) -> String {
    let world = author.world;
    let text = format!(
        "version = 1\nrepository = \"{id}\"\nserial = {serial}\nother_refs = \"refuse\"\n\
         [[instance]]\nname = \"sandbox\"\ntrusted_root = \"authority/trusted_root.json\"\n{}{}\
         [[rule]]\nname = \"policy\"\nrefs = [\"{REF}\"]\ncommits = [\"alice\"]\n\
         [[rule]]\nname = \"branches\"\nrefs = [\"refs/heads/**\"]\ncommits = [{signers}]\n",
        identity("alice", ALICE, world),
        if signers.contains("bob") { identity("bob", BOB, world) } else { String::new() },
    );
    let path = world.write("published.toml", text);
    let token = world.token(email);
    let run = author.countersign(&["policy", "publish", path.to_str().unwrap()]);
    run.env("SIGSTORE_ID_TOKEN", &token).any_stdout().check();
    author.id(REF)
}

/// A world without a policy file, whose remote keeps one that is pinned; the pinned commit.
fn pinned() -> (World, String) {
    let world = stage(RULES);
    let home = std::fs::read_to_string(world.path("home/.gitconfig")).unwrap();
    let lines = home.lines().filter(|line| !line.starts_with(" policy ="));
    world.write("home/.gitconfig", lines.map(|line| format!("{line}\n")).collect::<String>());
    let root = publish(&author(&world), ID, 1, "\"alice\"", ALICE);
    upload(&author(&world), &[REF]);
    pin(&world, ID, &root);
    (world, root)
}

fn pin(world: &World, id: &str, root: &str) {
    let key = format!("countersign.file://{}.policyPin", world.path("served.git").display());
    world.run("git", &["config", "--global", &key, &format!("{id} {REF} {root}")]).check();
}

/// Nothing is taken, for this reason.
#[track_caller]
fn refused(ours: &Repository<'_>, reason: &str) {
    let words = fetch(ours, &[]).status(128).any_stderr().check().words();
    assert!(words.contains(reason) && words.contains("hint: "), "{words}");
}

#[test]
fn the_policy_is_followed_as_the_remote_goes_on_with_it() {
    let (world, _) = pinned();
    let author = author(&world);
    let ours = super::clone(&world, "ours");
    assert_eq!(ours.id("origin/main"), author.id("main"));
    let bobs = author.commit_as(BOB, "bob's");
    upload(&author, &["main"]);
    refused(&ours, "signed by 'bob@example.com' of");
    publish(&author, ID, 2, "\"alice\", \"bob\"", ALICE);
    upload(&author, &[REF]);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), bobs);
    fetch(&ours, &["origin", &format!("{REF}:{REF}")]).check();
    assert_eq!(ours.id(REF), author.id(REF));
    ours.git(&["reset", "-q", "--hard", "origin/main"]).check();
    ours.commit("alice's");
    ours.git(&["push", "-q", "origin", "main"]).check();
}

#[test]
fn a_policy_that_goes_back_goes_away_or_is_another_one_ends_everything() {
    let (world, root) = pinned();
    let author = author(&world);
    publish(&author, ID, 2, "\"alice\"", ALICE);
    upload(&author, &[REF]);
    let ours = super::clone(&world, "ours");
    let evil = author.commit_as(BOB, "bob's");
    upload(&author, &["main"]);

    upload(&author, &[&format!("{root}:{REF}")]);
    refused(&ours, "rewound");
    let good = author.id(REF);
    upload(&author, &[&format!(":{REF}")]);
    refused(&ours, "the remote has no ref 'refs/countersign/policy', where its policy has to be");

    // A history of its own, and one that goes on without leave.
    author.git(&["update-ref", "-d", REF]).check();
    publish(&author, ID, 9, "\"alice\", \"bob\"", ALICE);
    upload(&author, &[REF]);
    refused(&ours, "its history begins with commit");
    author.git(&["update-ref", REF, &good]).check();
    let tree = author.id(&format!("{good}^{{tree}}"));
    let run = author.git(&["commit-tree", "--no-gpg-sign", "-p", &good, "-m", "x", &tree]).any_stdout();
    let unsigned = run.check().text().trim_end().to_owned();
    upload(&author, &[&format!("{unsigned}:{REF}")]);
    refused(&ours, "it is not signed");
    assert!(!holds(&ours, &evil));
    let run = world.run("git", &["clone", "-q", &address(&world), "again"]).status(128).any_stderr();
    assert!(run.check().words().contains("it is not signed"));
    assert!(served(&world).has(REF));
}

#[test]
fn another_repositorys_policy_is_refused() {
    let (world, root) = pinned();
    pin(&world, "example.com/other", &root);
    let run = world.run("git", &["clone", "-q", &address(&world), "ours"]).status(128).any_stderr();
    let words = run.check().words();
    assert!(words.contains("example.com/other") && words.contains(ID), "{words}");
    assert!(!world.path("ours").exists());
}

#[test]
fn the_first_policy_is_believed_by_somebody_who_has_looked_at_it() {
    let (world, root) = pinned();
    let key = format!("countersign.file://{}.policyPin", world.path("served.git").display());
    world.run("git", &["config", "--global", "--unset", &key]).check();
    let address = address(&world);
    let clone = |name: &str| world.run("git", &["clone", "-q", &address, name]);
    let hint = format!("countersign remote trust verified::{}", "[DIR]/served.git");
    clone("ours").status(128).stderr_holds(&[&hint]).check();

    let trust = |more: &[&str]| world.countersign(&[&["remote", "trust", &address], more].concat());
    let shown = [
        &format!("repository: {ID}\n")[..],
        &root,
        // The name is the policy's own: what counts is who is behind it, and who says so.
        "who may change it: alice\n  alice is 'alice@example.com' of '[URL]' (instance 'sandbox')\n  \
         the trusted root of 'sandbox' is the policy's own: sha256:",
    ];
    trust(&[]).status(3).stdout_holds(&shown).stderr_holds(&["error: nothing was pinned\n"]).check();
    let other = author(&world).id("main");
    trust(&["--root", &other, "--trust-first-use"]).status(3).stderr_holds(&["does not come from"]).check();
    clone("ours").status(128).any_stderr().check();
    trust(&["--trust-first-use"]).stdout_holds(&["pinned for 'file://[DIR]/served'\n"]).check();
    clone("ours").check();
    trust(&["--trust-first-use"]).status(3).stderr_holds(&["a policy is set for"]).check();
}

#[test]
fn a_remote_that_calls_itself_by_the_id_of_a_pinned_repository_has_its_root() {
    let (world, root) = pinned();
    // Pinned for clones, as 'countersign policy pin' does, and for no address.
    let key = format!("countersign.file://{}.policyPin", world.path("served.git").display());
    world.run("git", &["config", "--global", "--unset", &key]).check();
    world.run("git", &["config", "--global", "countersign.policyPin", &format!("{ID} {REF} {root}")]).check();
    let other = world.bare("other.git", "sha1").path.display().to_string();
    let theirs = world.repository("theirs", "sha1");
    publish(&theirs, ID, 7, "\"alice\"", ALICE);
    theirs.git(&["push", "-q", &other, REF]).check();
    let trust = |address: &str| world.countersign(&["remote", "trust", address, "--trust-first-use"]);
    let words = ["to another policy than this one: 'countersign.policyPin' says so", "hint: "];
    trust(&other).status(3).stderr_holds(&words).check();
    trust(&address(&world)).any_stdout().check();
}

#[test]
fn at_a_terminal_the_repositorys_name_has_to_be_typed() {
    let test = "at_a_terminal_the_repositorys_name_has_to_be_typed";
    if super::support::skipped(test, "script") {
        return;
    }
    let (world, _) = pinned();
    let key = format!("countersign.file://{}.policyPin", world.path("served.git").display());
    world.run("git", &["config", "--global", "--unset", &key]).check();
    let command = format!("'{}' remote trust '{}'", super::support::PROGRAM, address(&world));
    for (answer, is_pinned) in [("yes\n", false), (&*format!("{ID}\n"), true)] {
        let run = world.run("script", &["-qec", &command, "/dev/null"]).input(answer);
        let outcome = run.any_status().any_stdout().any_stderr().check();
        assert_eq!(outcome.status == 0, is_pinned, "{}", outcome.text());
        let key = key.replace("served.git", "served");
        let set = world.run("git", &["config", "--global", &key]).any_status().any_stdout().check();
        assert_eq!(set.status == 0, is_pinned);
    }
}

#[test]
fn what_the_remote_keeps_for_itself_comes_by_the_transport_that_is_set_up_here() {
    let (world, _) = pinned();
    let ours = super::clone(&world, "ours");
    let author = author(&world);
    publish(&author, ID, 2, "\"alice\"", ALICE);
    let second = author.commit("second");
    upload(&author, &[REF, "main"]);
    // What is allowed, and how a remote is reached, may be said for one repository.
    world.run("git", &["config", "--global", "protocol.file.allow", "never"]).check();
    ours.git(&["config", "protocol.file.allow", "always"]).check();
    super::fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), second);
}

#[test]
fn two_addresses_of_one_repository_have_one_root_of_its_policy() {
    let (world, root) = pinned();
    let other = world.bare("other.git", "sha1");
    let author = author(&world);
    author.git(&["update-ref", "-d", REF]).check();
    publish(&author, ID, 1, "\"alice\", \"bob\"", ALICE);
    author.git(&["push", "-q", other.path.to_str().unwrap(), "main", REF]).check();
    let trust = |more: &[&str]| {
        let address = format!("verified::{}", other.path.display());
        world.countersign(&[&["remote", "trust", "--trust-first-use", &address], more].concat())
    };
    let words = ["is pinned already, to another policy than this one", "hint: "];
    trust(&[]).status(3).stderr_holds(&words).check();
    other.git(&["fetch", "-q", world.path("served.git").to_str().unwrap(), &format!("+{REF}:{REF}")]).check();
    assert_eq!(other.git(&["rev-list", "--max-parents=0", REF]).any_stdout().check().text().trim(), root);
    trust(&[]).any_stdout().check();
}
