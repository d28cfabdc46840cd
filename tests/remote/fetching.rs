//! What passes: clones, fetches, tags, pruning, mirrors, both hashes.

use super::{
    RULES, address, author, clone, fetch, holds, is_clean, served, stage, stage_of,
    support::{Repository, World},
    unsigned, upload,
};

#[test]
fn a_clone_is_what_git_itself_would_have_made() {
    for format in ["sha1", "sha256"] {
        let world = stage_of(RULES, format);
        let author = author(&world);
        author.commit("second");
        author.git(&["tag", "-m", "one", "v1"]).check();
        upload(&author, &["main", "main:topic", "v1"]);
        let ours = clone(&world, "ours");
        let plain = world.path("served.git");
        world.run("git", &["clone", "-q", plain.to_str().unwrap(), "plain"]).check();
        let theirs = Repository::at(&world, &world.path("plain"));
        let refs = |clone: &Repository<'_>| {
            clone
                .git(&["for-each-ref", "--format=%(refname) %(objectname) %(symref)"])
                .any_stdout()
                .check()
                .text()
        };
        assert_eq!(refs(&ours), refs(&theirs));
        assert!(refs(&ours).contains("refs/tags/v1"), "{}", refs(&ours));
        ours.git(&["fsck", "--strict"]).any_stderr().check();
        assert!(is_clean(&ours));

        let third = author.commit("third");
        author.git(&["tag", "-m", "two", "v2"]).check();
        upload(&author, &["main", "v2"]);
        fetch(&ours, &[]).check();
        assert_eq!((ours.id("origin/main"), ours.id("v2^{}")), (third.clone(), third));
        fetch(&ours, &[]).check();
        assert!(is_clean(&ours));
    }
}

#[test]
fn a_second_clone_a_single_branch_a_mirror_and_a_pull() {
    let world = stage(&RULES.replace("create =", "delete = \"allow\"\ncreate ="));
    let author = author(&world);
    upload(&author, &["main:topic"]);
    clone(&world, "one");
    clone(&world, "two");
    let address = address(&world);
    world.run("git", &["clone", "-q", "--single-branch", "-b", "topic", &address, "single"]).check();
    let single = Repository::at(&world, &world.path("single"));
    assert!(single.has("origin/topic") && !single.has("origin/main"));
    world.run("git", &["clone", "-q", "--mirror", &address, "mirror.git"]).check();
    let mirror = Repository::at(&world, &world.path("mirror.git"));
    assert!(mirror.has("refs/heads/topic"));
    let next = author.commit("next");
    upload(&author, &["main", ":topic"]);
    let two = Repository::at(&world, &world.path("two"));
    two.git(&["pull", "-q", "--ff-only"]).check();
    assert_eq!(two.id("HEAD"), next);
    two.git(&["pull", "-q", "--ff-only", &address]).check();
    two.git(&["fetch", "-q", "--ipv4"]).check();
    two.git(&["push", "-q", "--ipv6", "origin", "main"]).check();
}

#[test]
fn git_need_not_look_again_at_what_a_clone_has_brought() {
    let world = stage(RULES);
    let packs = |repository: &Repository<'_>| {
        let listed = std::fs::read_dir(repository.path.join(".git/objects/pack")).unwrap();
        let names = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut kinds: Vec<String> = names.map(|name| name.rsplit('.').next().unwrap().to_owned()).collect();
        kinds.retain(|kind| kind != "rev");
        kinds.sort();
        kinds
    };
    let main = author(&world).id("main");
    // As git clone speaks with the helper.
    let empty = world.repository("empty", "sha1");
    let plain = world.path("served.git").display().to_string();
    let input = format!(
        "option cloning true\noption check-connectivity true\nlist\nfetch {main} refs/heads/main\n\n\n"
    );
    let run =
        world.run(super::HELPER, &["origin", &plain]).env("GIT_DIR", empty.path.join(".git")).input(input);
    let text = run.any_stdout().any_stderr().check().text();
    let lock = text.lines().find_map(|line| line.strip_prefix("lock ")).unwrap();
    assert!(lock.starts_with(empty.path.to_str().unwrap()) && lock.ends_with(".keep"), "{text}");
    assert!(text.ends_with(".keep\nconnectivity-ok\n\n") && std::path::Path::new(lock).exists(), "{text}");
    assert_eq!(packs(&empty), ["idx", "keep", "pack"]);
    // git takes it away again.
    assert_eq!(packs(&clone(&world, "ours")), ["idx", "pack"]);
    // Where git does not ask nothing is kept.
    let other = world.repository("other", "sha1");
    let input = format!("list\nfetch {main} refs/heads/main\n\n\n");
    let run =
        world.run(super::HELPER, &["origin", &plain]).env("GIT_DIR", other.path.join(".git")).input(input);
    assert!(run.any_stdout().any_stderr().check().text().ends_with("\n\n\n"));
    assert!(holds(&other, &main) && !packs(&other).contains(&"keep".to_owned()));
}

#[test]
fn ls_remote_downloads_nothing_and_needs_no_repository() {
    let world = stage(RULES);
    let run = world.run("git", &["ls-remote", "--symref", &address(&world)]).any_stdout().check();
    let main = served(&world).id("main");
    assert_eq!(run.text(), format!("ref: refs/heads/main\tHEAD\n{main}\tHEAD\n{main}\trefs/heads/main\n"));
    let clone = clone(&world, "ours");
    let next = author(&world).commit("next");
    upload(&author(&world), &["main"]);
    let run = clone.git(&["ls-remote", "origin", "main"]).any_stdout().check();
    assert_eq!(run.text(), format!("{next}\trefs/heads/main\n"));
    assert!(!holds(&clone, &next));
}

#[test]
fn progress_is_shown_as_git_shows_it() {
    let world = stage(RULES);
    let run = world.run("git", &["clone", "--progress", &address(&world), "ours"]).any_stderr().check();
    let words = run.words();
    for part in ["remote: Enumerating objects: ", "remote: Total ", "Receiving objects: 100%"] {
        assert!(words.contains(part), "{words}");
    }
    assert!(!words.contains("FETCH_HEAD") && !words.contains("countersign-"), "{words}");
    // Colours would come as escapes.
    let hook = world.write("hook", "#!/bin/sh\necho error: no colours >&2\n\"$@\"\n");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.configure(&format!("[uploadpack]\n packObjectsHook = {}\n[color]\n ui = always", hook.display()));
    let run = world.run("git", &["clone", "--progress", &address(&world), "again"]).any_stderr().check();
    let words = run.words();
    assert!(words.contains("remote: error: no colours") && !words.contains("u{1b}"), "{words}");
}

#[test]
fn without_a_policy_nothing_is_taken_and_both_ways_on_are_said() {
    let world = stage(RULES);
    let address = address(&world);
    let home = std::fs::read_to_string(world.path("home/.gitconfig")).unwrap();
    let without: String =
        home.lines().filter(|line| !line.starts_with(" policy =")).map(|line| format!("{line}\n")).collect();
    world.write("home/.gitconfig", &without);
    let clone = || world.run("git", &["clone", "-q", &address, "ours"]);
    clone()
        .status(128)
        // git 2.50 and later add that the helper has ended.
        .stderr_begins(
            "error: no policy says who may change what in '[DIR]/served.git'\n\
             hint: name a file with 'git config --global countersign.file://[DIR]/served.policy FILE', which \
             'countersign policy init' writes\n\
             hint: or look at the policy that the remote keeps, with 'countersign remote trust verified::[DIR]/served.git'\n\
             hint: or take whatever it serves, with 'countersign remote allow-unverified verified::[DIR]/served.git'\n",
        )
        .check();
    // What is to be copied stays one word of a shell, whoever has written the address.
    let hostile = format!("{address}/a b/$(id)");
    let words = world.run("git", &["ls-remote", &hostile]).status(128).any_stderr().check().words();
    for word in [format!("remote trust '{hostile}'"), format!("allow-unverified '{hostile}'")] {
        assert!(words.contains(&word), "{words}");
    }
    assert!(words.contains("git config --global 'countersign.file:///"), "{words}");
    let policy = world.path("policy.toml");
    let pattern =
        format!("countersign.file://{}.policy", world.path("").to_str().unwrap().trim_end_matches('/'));
    world.run("git", &["config", "--global", &pattern, policy.to_str().unwrap()]).check();
    unsigned(&author(&world), "unsigned");
    upload(&author(&world), &["main"]);
    clone().status(128).stderr_holds(&["it is not signed, where 'alice' has to sign"]).check();
    assert!(!world.path("ours").exists());
    world.run("git", &["config", "--global", "--unset", &pattern]).check();
    world
        .countersign(&["remote", "allow-unverified", &address])
        .stdout(format!("whatever '{}' serves is taken unverified\n", world.redact(&address)))
        .check();
    clone().stderr("warning: nothing that '[DIR]/served.git' serves is verified\n").check();
}

#[test]
fn a_repositorys_own_configuration_sets_no_policy() {
    let world = stage(RULES);
    let clone = clone(&world, "ours");
    let loose = world.write("loose.toml", "version = 1\nother_refs = \"accept\"\n");
    for key in
        ["countersign.policy", &format!("countersign.file://{}/served.policy", world.path("").display())]
    {
        clone.git(&["config", key, loose.to_str().unwrap()]).check();
    }
    let evil = unsigned(&author(&world), "unsigned");
    upload(&author(&world), &["main"]);
    fetch(&clone, &[]).status(128).stderr_holds(&["it is not signed"]).check();
    assert!(!holds(&clone, &evil));
}

#[test]
fn histories_that_are_cut_off_are_judged_as_far_as_they_are_here() {
    let world = stage(RULES);
    let author = author(&world);
    let first = author.id("HEAD");
    let evil = unsigned(&author, "unsigned");
    for message in ["third", "fourth", "fifth"] {
        author.commit(message);
    }
    upload(&author, &["main"]);
    let address = address(&world);
    let whole = |name: &str| world.run("git", &["clone", "-q", &address, name]);
    whole("whole").status(128).stderr_holds(&["it is not signed"]).check();
    world.countersign(&["remote", "forget", &address]).any_stdout().check();

    world.run("git", &["clone", "-q", "--depth=1", &address, "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    let count = || ours.git(&["rev-list", "--count", "HEAD"]).any_stdout().check().text();
    assert_eq!((ours.id("origin/main"), count()), (author.id("main"), "1\n".to_owned()));
    assert!(is_clean(&ours));
    ours.git(&["fsck"]).any_stderr().check();
    fetch(&ours, &[]).check();
    fetch(&ours, &["--depth=2"]).check();
    assert_eq!(count(), "2\n");
    fetch(&ours, &["--deepen=1"]).check();
    assert_eq!(count(), "3\n");
    let sixth = author.commit("sixth");
    upload(&author, &["main"]);
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), sixth);

    // What comes in from behind the cut is judged too, and nothing of it vouches for a whole clone.
    fetch(&ours, &["--deepen=1"]).status(128).stderr_holds(&[&evil[..12], "it is not signed"]).check();
    assert!(!holds(&ours, &evil) && !holds(&ours, &first) && is_clean(&ours));
    world.countersign(&["remote", "forget", &address]).any_stdout().check();
    fetch(&ours, &["--unshallow"]).status(128).stderr_holds(&["it is not signed"]).check();
    assert_eq!(count(), "3\n");
    world.countersign(&["remote", "forget", &address]).any_stdout().check();
    whole("whole").status(128).stderr_holds(&["it is not signed"]).check();
}

#[test]
fn a_history_that_is_cut_off_has_no_say_for_whole_clones() {
    let world = stage(RULES);
    let author = author(&world);
    let whole = clone(&world, "whole");
    let first = author.id("main");
    author.commit("second");
    let third = author.commit("third");
    upload(&author, &["main", "main:topic"]);
    // Whether it goes on from what the whole clone has accepted cannot be told at this depth.
    let depth = |name: &str| world.run("git", &["clone", "-q", "--depth=1", &address(&world), name]);
    let told = format!(
        "error: 'refs/heads/main' was accepted at {first}, and the remote says {third}: whether it goes on from \
         there cannot be seen in a history that is cut off; a whole clone can tell\n"
    );
    depth("ours").status(128).stderr_holds(&[&told]).check();
    // From then on it is held there, at what was accepted.
    depth("ours").stderr_holds(&["'refs/heads/main' is held at"]).check();
    assert_eq!(Repository::at(&world, &world.path("ours")).id("origin/main"), first);
    // The whole clone judges by itself, and what it accepts counts for all.
    fetch(&whole, &[]).check();
    assert_eq!(whole.id("origin/main"), third);
    let ours = Repository::at(&world, &world.path("ours"));
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), third);
    // So is a remote noticed that goes back.
    upload(&author, &[&format!("{first}:main")]);
    depth("again").status(128).stderr_holds(&["a whole clone can tell"]).check();
    fetch(&whole, &[]).status(128).stderr_holds(&["it goes back in its own history"]).check();
}

#[test]
fn a_history_that_was_cut_off_is_made_whole_and_counts_from_then_on() {
    let world = stage(RULES);
    let author = author(&world);
    author.commit("second");
    author.commit("third");
    upload(&author, &["main"]);
    world.run("git", &["clone", "-q", "--depth=1", &address(&world), "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    world.countersign(&["remote", "status"]).stdout_holds(&["0 refs accepted"]).check();
    fetch(&ours, &["--unshallow"]).check();
    assert!(!ours.path.join(".git/shallow").exists());
    assert_eq!(ours.git(&["rev-list", "--count", "HEAD"]).any_stdout().check().text(), "3\n");
    world.countersign(&["remote", "status"]).stdout_holds(&["1 ref accepted"]).check();
    let evil = unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    world
        .run("git", &["clone", "-q", "--depth=1", &address(&world), "again"])
        .status(128)
        .any_stderr()
        .check();
    fetch(&ours, &[]).stderr_holds(&["is held at"]).check();
    assert!(!holds(&ours, &evil));
}

#[test]
fn nobody_walks_what_a_clone_brings_once_more() {
    let world = stage(RULES);
    let address = format!("verified::file://{}", world.path("served.git").display());
    let trace = world.path("trace");
    let run = world.run("git", &["clone", "-q", &address, "ours"]);
    run.env("GIT_TRACE", &trace).check();
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(trace.contains("--check-self-contained-and-connected"), "{trace}");
    // The git that clones asks once more, and only for what is not in the pack.
    assert!(trace.matches("built-in: git rev-list").count() <= 1, "{trace}");
}

#[test]
fn what_does_not_hang_together_is_looked_at_by_git_once_more() {
    // With what is here already a pack need not be whole in itself.
    let world = stage(RULES);
    clone(&world, "ours");
    author(&world).commit("second");
    upload(&author(&world), &["main"]);
    let run = world.run("git", &["clone", "-q", "--reference", "ours", &super::address(&world), "again"]);
    run.check();
    let again = Repository::at(&world, &world.path("again"));
    assert_eq!(again.id("origin/main"), author(&world).id("main"));
    again.git(&["fsck"]).any_stderr().any_stdout().check();
}

#[test]
fn a_command_that_is_copied_from_a_hint_runs_nothing_else() {
    let world = World::new();
    let run = world.run(super::HELPER, &["origin", "https://example.com/$(id)/r"]).status(128);
    let words = run.any_stderr().check().words();
    for word in
        ["'countersign.https://example.com/$(id)/r.policy'", "'verified::https://example.com/$(id)/r'"]
    {
        assert!(words.contains(word), "{words}");
    }
    assert!(!words.contains('"'), "{words}");
}

#[test]
fn a_remote_that_goes_back_is_told_from_what_clones_that_are_cut_off_have_seen() {
    let world = stage(RULES);
    let author = author(&world);
    let first = author.commit("second");
    author.git(&["tag", "-m", "one", "v1"]).check();
    upload(&author, &["main", "v1"]);
    let url = format!("verified::file://{}", world.path("served.git").display());
    world.run("git", &["clone", "-q", "--depth=1", &url, "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    author.commit("third");
    let next = author.commit("fourth");
    upload(&author, &["main"]);
    fetch(&ours, &["--depth=1"]).check();
    assert_eq!(ours.id("origin/main"), next);
    // Nothing here says how the two belong together, but that one was seen before the other.
    upload(&author, &[&format!("{first}:main")]);
    fetch(&ours, &["--depth=1"]).status(128).stderr_holds(&["refs/heads/main", "nothing was taken"]).check();
    for more in [&["--depth=1"][..], &["--prune"]] {
        fetch(&ours, more).stderr_holds(&["'refs/heads/main' is held at", &next[..12]]).check();
        assert_eq!(ours.id("origin/main"), next);
    }
    // Of another such clone that is the same remote; a whole one sees for itself.
    let again = ["clone", "-q", "--depth=1", "-b", "v1", &url, "again"];
    world.run("git", &again).any_status().any_stderr().check();
    assert!(!Repository::at(&world, &world.path("again")).has("origin/main"));
    upload(&author, &[&format!("{next}:main")]);
    fetch(&ours, &["--depth=1"]).check();
    world.countersign(&["remote", "status"]).any_stdout().check();
    let tag = ours.git(&["fetch", "-q", "--depth=1", "origin", "tag", "v1"]);
    tag.check();
    author.git(&["tag", "-f", "-m", "one", "v1"]).any_stdout().check();
    upload(&author, &["v1"]);
    let run = ours.git(&["fetch", "-q", "--depth=1", "--force", "origin", "tag", "v1"]).status(128);
    run.stderr_holds(&["the tag exists and may not be replaced"]).check();
    assert_eq!(clone(&world, "whole").id("v1"), author.id("v1"));
}
