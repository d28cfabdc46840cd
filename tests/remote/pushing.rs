//! Pushes through the helper: what git offers still works, and what the policy refuses is not sent.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{
    RULES, author, clone, fetch, served, stage,
    support::{Repository, World},
    unsigned, upload,
};

fn begun(world: &World) -> Repository<'_> {
    let ours = clone(world, "ours");
    served(world).git(&["config", "receive.advertisePushOptions", "true"]).check();
    served(world).git(&["config", "receive.certNonceSeed", "seed"]).check();
    ours
}

pub(super) fn hook(world: &World, text: &str) {
    let path = world.path("served.git/hooks/pre-receive");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_signed_commit_is_pushed_and_known_from_then_on() {
    let world = stage(RULES);
    let ours = begun(&world);
    let next = ours.commit("next");
    ours.git(&["tag", "-m", "one", "v1"]).check();
    let run = ours
        .git(&["push", "--porcelain", "origin", "main", "main:topic", "v1"])
        .any_stdout()
        .any_stderr()
        .check();
    assert!(run.text().contains("*\trefs/heads/main:refs/heads/topic\t[new branch]"), "{}", run.text());
    assert_eq!((served(&world).id("main"), served(&world).id("topic")), (next.clone(), next.clone()));
    assert_eq!(ours.id("origin/main"), next);
    world.countersign(&["remote", "status"]).stdout_holds(&["3 refs accepted\n"]).check();
    fetch(&ours, &[]).check();
    // What was pushed cannot be taken back by whoever serves it.
    upload(&author(&world), &["main"]);
    fetch(&ours, &[]).status(128).stderr_holds(&["it goes back in its own history"]).check();
}

#[test]
fn no_setting_of_the_repository_leads_a_push_elsewhere() {
    let world = stage(RULES);
    let ours = begun(&world);
    let elsewhere = world.bare("elsewhere.git", "sha1");
    for beginning in ["countersign-", "/", "c"] {
        let key = format!("url.{}.pushInsteadOf", elsewhere.path.display());
        ours.git(&["config", "--add", &key, beginning]).check();
    }
    ours.commit("next");
    ours.git(&["push", "-q", "origin", "main"]).check();
    assert_eq!(served(&world).id("main"), ours.id("main"));
    assert!(!elsewhere.has("main"));
}

#[test]
fn what_the_policy_refuses_is_not_sent() {
    let world = stage(RULES);
    let ours = begun(&world);
    let before = served(&world).id("main");
    let evil = unsigned(&ours, "unsigned");
    let run = ours.git(&["push", "origin", "main", "main~:refs/heads/topic"]).status(1).any_stderr().check();
    let words = run.words();
    for part in [
        "error: refs/heads/main: commit ",
        "it is not signed, where 'alice' has to sign (rule 'main')",
        "! [remote rejected] main -> main (refused by the policy)",
        "! [remote rejected] main~ -> topic (not sent, for the policy refuses another ref)",
    ] {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
    assert_eq!(served(&world).id("main"), before);
    // What somebody does himself is not told as what the remote says.
    let words = ours.git(&["push", "origin", ":main"]).status(1).any_stderr().check().words();
    assert!(words.contains("the ref may not be deleted") && !words.contains("the remote says"), "{words}");
    assert!(!super::holds(&served(&world), &evil) && !served(&world).has("topic"));
}

#[test]
fn forced_deleted_leased_atomic_and_dry_pushes() {
    let rules =
        RULES.replace("create = \"allow\"", "create = \"allow\"\nrewind = \"allow\"\ndelete = \"allow\"");
    let world = stage(&rules);
    let ours = begun(&world);
    let push = |arguments: &[&str]| ours.git(&[&["push", "-q"], arguments].concat());
    let first = ours.id("HEAD");
    ours.commit("next");
    push(&["--dry-run", "origin", "main"]).check();
    assert_eq!(served(&world).id("main"), first);
    push(&["origin", "main", "main:topic"]).check();
    push(&["origin", ":topic"]).check();
    assert!(!served(&world).has("topic"));
    ours.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "amended"]).check();
    push(&["origin", "main"]).status(1).stderr_holds(&["[rejected]", "(non-fast-forward)"]).check();
    push(&["--force-with-lease=main:".to_owned().as_str(), "origin", "main"])
        .status(1)
        .stderr_holds(&["stale info"])
        .check();
    push(&["--force-with-lease", "origin", "main"]).check();
    assert_eq!(served(&world).id("main"), ours.id("main"));
    hook(
        &world,
        "echo 'welcome'; while read old new ref; do [ $ref = refs/heads/no ] && exit 1; done; exit 0",
    );
    push(&["--atomic", "origin", "main:no", "main:yes"])
        .status(1)
        .stderr_holds(&["remote: welcome", "pre-receive hook declined"])
        .check();
    assert!(!served(&world).has("yes"));
}

#[test]
fn signed_pushes_and_push_options_arrive() {
    let world = stage(RULES);
    let ours = begun(&world);
    ours.commit("next");
    hook(
        &world,
        "echo \"options $GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0\"; echo \"certificate $GIT_PUSH_CERT_NONCE_STATUS\"",
    );
    let run = ours
        .git(&["push", "--signed", "-o", "with \"quotes\" and\ttab", "origin", "main"])
        .any_stderr()
        .check();
    let words = run.words();
    assert!(words.contains("remote: options 1 with \"quotes\" and\ttab"), "{words}");
    assert!(words.contains("remote: certificate OK"), "{words}");
    assert_eq!(served(&world).id("main"), ours.id("main"));
}

#[test]
fn a_remote_that_has_moved_on_is_said_as_git_says_it() {
    let world = stage(RULES);
    let ours = begun(&world);
    author(&world).commit("meanwhile");
    upload(&author(&world), &["main"]);
    ours.commit("mine");
    ours.git(&["push", "-q", "origin", "main"]).status(1).stderr_holds(&["(fetch first)"]).check();
}

#[test]
fn a_server_may_write_another_ref_in_the_place_of_the_one_that_is_pushed() {
    let rules = RULES.replace("\"refs/heads/**\"", "\"refs/heads/**\", \"refs/for/**\"");
    let world = stage(&rules);
    let ours = begun(&world);
    served(&world).git(&["config", "receive.procReceiveRefs", "refs/for"]).check();
    let before = served(&world).id("main");
    let next = ours.commit("next");
    let path = world.path("served.git/hooks/proc-receive");
    let packet = "packet() { printf '%04x%s\\n' $((${#1} + 5)) \"$1\"; }";
    fs::write(
        &path,
        format!(
            "#!/bin/sh\n{packet}\nread_packet() {{ head -c $((0x$(head -c 4) - 4)); }}\nread_packet >/dev/null\n\
             packet version=1\nprintf 0000\npacket 'ok refs/for/main'\n\
             packet 'option refname refs/heads/review'\npacket 'option old-oid {before}'\n\
             packet 'option new-oid {next}'\nprintf 0000\ncat >/dev/null\n"
        ),
    )
    .unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let plain = served(&world).path.display().to_string();
    let push = |to: &str| {
        let run = ours.git(&["push", to, "main:refs/for/main", "main:refs/heads/other"]).any_stderr().check();
        let words = run.words();
        words.lines().filter(|line| line.contains("main -> ")).collect::<Vec<_>>().join("\n")
    };
    let theirs = push(&plain);
    served(&world).git(&["update-ref", "-d", "refs/heads/other"]).check();
    assert_eq!(push("origin"), theirs);
    assert!(theirs.contains("main -> review"), "{theirs}");
}

#[test]
fn a_push_that_is_slow_and_quiet_lives_on() {
    let world = stage(RULES);
    let ours = begun(&world);
    world.configure("[countersign]\n remoteTimeout = 2");
    ours.commit("next");
    // A server that says nothing for longer than anybody waits.
    hook(&world, "sleep 30");
    let begun = std::time::Instant::now();
    ours.git(&["push", "-q", "origin", "main"]).status(1).stderr_holds(&["for 2 seconds"]).check();
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    hook(&world, "for n in 1 2 3 4; do echo $n; sleep 1; done");
    ours.git(&["push", "-q", "origin", "main"]).stderr_holds(&["remote: 4"]).check();
}
