//! Forges of which a program of their own runs the hooks, and not receive-pack: a script that is gone before any
//! ref has moved, or a service that lives on for weeks.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::*;

/// What Gitea and Forgejo put in the place of git's hooks: everything in the folder beside, one after the other.
const GITEA: &str = r#"#!/bin/sh
updates=$(cat)
for hook in "${GIT_DIR:-.}"/hooks/NAME.d/*; do
    test -x "$hook" && test -f "$hook" || continue
    printf '%s\n' "$updates" | "$hook" "$@" || exit $?
done
"#;

/// Before the update hook: waits where a push is told to, and refuses one ref.
const UPDATE: &str = r#"#!/bin/sh
if [ -n "$WAIT" ]; then
    : >waiting
    while [ ! -e go ]; do sleep 0.02; done
fi
[ "$1" != refs/heads/never ] || exit 1
for hook in "${GIT_DIR:-.}"/hooks/update.d/*; do
    test -x "$hook" && test -f "$hook" || continue
    "$hook" "$@" || exit $?
done
"#;

/// What Gitaly puts there: it asks the service, which runs the project's hooks itself.
const GITALY: &str = r#"#!/bin/sh
cat >"service/$$.input"
printf '%s\n%s\n' "$GIT_OBJECT_DIRECTORY" "$GIT_ALTERNATE_OBJECT_DIRECTORIES" >"service/$$.new"
mv "service/$$.new" "service/$$.request"
while [ ! -e "service/$$.answer" ]; do sleep 0.02; done
cat "service/$$.said" >&2
exit "$(cat "service/$$.answer")"
"#;

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_there() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Two pushes: the first is accepted and waits until the second is done.
fn overlapping(world: &World, first: &str, second: &str) {
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let slow = ["--receive-pack=WAIT=1 git receive-pack", first];
            world.push(&slow)
        });
        wait_for("the first push is accepted", || {
            world.server.join("waiting").exists() || slow.is_finished()
        });
        world.push(&[second]).good();
        fs::write(world.server.join("go"), "").unwrap();
        slow.join().unwrap().good();
    });
    for name in ["waiting", "go"] {
        fs::remove_file(world.server.join(name)).unwrap();
    }
}

#[test]
fn a_push_whose_hook_was_run_by_a_script_is_not_taken_for_one_that_has_ended() {
    for hooks in ["pre-receive", "update", "update,post-receive", "update,reference-transaction"] {
        let world = World::without_hooks(&[]);
        fs::create_dir_all(world.server.join("hooks")).unwrap();
        for name in ["pre-receive", "post-receive"] {
            write_hook(&world.server.join("hooks").join(name), &GITEA.replace("NAME", name));
        }
        write_hook(&world.server.join("hooks/update"), UPDATE);
        world.install(&["--hooks", hooks, "--forge", "gitea=git.example.org"]).good();
        let one = world.commit(&[], "one");
        let two = world.commit(&[&one], "two");
        world.push(&[&format!("{one}:refs/heads/main")]).good();
        overlapping(&world, &format!("{two}:refs/heads/main"), &format!("{one}:refs/heads/other"));
        assert_eq!(world.at("refs/heads/main"), two, "{hooks}");
        world.ledger(&["settle"]).good();
        let mut entries: Vec<String> = world.entries();
        entries[1..].sort_by_key(|entry| entry.contains("other"));
        let names: Vec<&str> = entries.iter().map(|entry| entry.split_once(' ').unwrap().1).collect();
        assert_eq!(
            names,
            ["push refs/heads/main", "push refs/heads/main", "push refs/heads/other"],
            "{hooks}"
        );
        world.is_in_order();
    }
}

/// Run the project's hook for each push that asks, until `is_done`.
fn serve(world: &World, is_done: &AtomicBool) {
    let service = world.server.join("service");
    while !is_done.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(5));
        for entry in fs::read_dir(&service).unwrap().map(Result::unwrap) {
            let request = entry.path();
            if request.extension().is_none_or(|extension| extension != "request") {
                continue;
            }
            let text = fs::read_to_string(&request).unwrap();
            let mut lines = text.lines();
            let mut hook = world.command("custom_hooks/pre-receive.d/countersign", &[]);
            hook.current_dir(&world.server)
                .env("GIT_DIR", &world.server)
                .env("GIT_OBJECT_DIRECTORY", lines.next().unwrap())
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", lines.next().unwrap());
            let said = run(hook, &fs::read(request.with_extension("input")).unwrap());
            fs::remove_file(&request).unwrap();
            fs::write(request.with_extension("said"), said.stderr).unwrap();
            fs::write(request.with_extension("new"), format!("{}\n", said.status)).unwrap();
            fs::rename(request.with_extension("new"), request.with_extension("answer")).unwrap();
        }
    }
}

/// Ends whoever serves, also where the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_push_whose_hook_was_run_by_a_service_is_settled_while_that_lives_on() {
    let world = World::without_hooks(&[]);
    for folder in ["hooks", "service"] {
        fs::create_dir_all(world.server.join(folder)).unwrap();
    }
    write_hook(&world.server.join("hooks/pre-receive"), GITALY);
    write_hook(&world.server.join("hooks/update"), UPDATE);
    world.install(&["--hooks", "pre-receive", "--forge", "gitlab=git.example.org"]).good();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| serve(&world, &is_done));
        let _done = Done(&is_done);
        let one = world.commit(&[], "one");
        let two = world.commit(&[&one], "two");
        world.push(&[&format!("{one}:refs/heads/main")]).good();
        overlapping(&world, &format!("{two}:refs/heads/main"), &format!("{one}:refs/heads/other"));
        world.ledger(&["settle"]).ended(0, &[" 0 under way"]);
        assert_eq!(world.entries().len(), 3);
        world.is_in_order();

        // One that was accepted and has not happened: nobody knows yet, and after an hour everybody does.
        world.push(&[&format!("{one}:refs/heads/never")]).refused(&["hook declined"]);
        world.ledger(&["settle"]).ended(2, &["1 under way"]);
        world.ledger(&["verify"]).good();
        // Nor is it taken for the administrator's.
        world.on_server(&["update-ref", "refs/heads/never", &two]).good();
        let words =
            ["an accepted update of 'refs/heads/never' is not settled yet", "countersign ledger verify"];
        world.ledger(&["enter", "--reason", "x"]).ended(3, &words);
        world.on_server(&["update-ref", "-d", "refs/heads/never"]).good();
        world.ledger(&["enter", "--reason", "x"]).ended(0, &["every ref is as the ledger says"]);
        let intent = world.state().join("intents").join(&world.intents()[0]);
        let text = fs::read_to_string(&intent).unwrap();
        assert!(!text.contains("\nprocess "), "{text}");
        let line = text.lines().find(|line| line.starts_with("received ")).unwrap();
        let received: i64 = line["received ".len()..].parse().unwrap();
        fs::write(&intent, text.replace(line, &format!("received {}", received - 4000))).unwrap();
        let words = ["1 accepted updates were never settled", "countersign ledger settle"];
        world.ledger(&["verify"]).ended(2, &words);
        let json = world.ledger(&["verify", "--json"]).ended(2, &[]).stdout;
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["findings"][0]["finding"], "left-over");
        assert_eq!(report["findings"][0]["updates"], 1);
        world.ledger(&["settle"]).ended(0, &["1 did not happen", "0 under way"]);
        world.ledger(&["verify"]).ended(0, &["every ref is as the ledger says"]);
    });
}

#[test]
fn an_update_that_is_under_way_hides_no_other() {
    let world = World::with(&[], &["--hooks", "pre-receive"]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    let other = world.commit(&[], "other");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{other}:refs/heads/x")]).good();
    world.ledger(&["settle"]).good();
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    world.ledger(&["verify"]).ended(2, &["refs/heads/main: an accepted update is not entered yet"]);
    // Whoever can write the repository moves what a push is about.
    world.on_server(&["update-ref", "refs/heads/main", &other]).good();
    world
        .ledger(&["verify"])
        .ended(1, &["refs/heads/main: holds", "that is what 'refs/heads/x' held by entry"]);
}
