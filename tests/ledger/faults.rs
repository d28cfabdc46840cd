//! Processes that die, disks that are full, clients that hang up: no accepted update is lost or entered twice.

use std::{
    io::Read as _,
    os::unix::process::CommandExt as _,
    process::Child,
    thread,
    time::{Duration, SystemTime},
};

use super::{injected::strace, *};

const LEDGER: &str = "refs/countersign/ledger";

/// Ends receive-pack and its hook as nobody expects; to be run by a hook, or by the hook that one runs first.
const KILL: &str = r#"
grandparent=$(cut -d' ' -f4 /proc/$PPID/stat)
case $(cat /proc/$PPID/comm) in
git*) kill -9 $PPID ;;
*) kill -9 $grandparent $PPID ;;
esac
"#;

/// Put `before` where git's hook was before countersign's.
fn with_hooks_before(before: &[(&str, &str)], hooks: &str) -> World {
    let world = World::without_hooks(&[]);
    fs::create_dir_all(world.server.join("hooks")).unwrap();
    for (name, text) in before {
        write_hook(&world.server.join("hooks").join(name), &format!("#!/bin/sh\n{text}"));
    }
    world.install(&["--hooks", hooks]).good();
    world
}

/// What a process that was killed leaves behind of git's own, gone as an administrator sees to it. Our own is left to
/// the program.
pub fn remove_locks(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() && !entry.path().ends_with("countersign") {
            remove_locks(&entry.path());
        } else if entry.path().extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

/// Let a file be older than any lock of a process that lives.
fn age(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(100);
    fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

#[test]
fn killed_before_the_push_is_judged_nothing_is_left() {
    // receive-pack and its hook end before the hook has come to its own work, and while another one runs.
    let world = with_hooks_before(&[("pre-receive", KILL)], "post-receive,reference-transaction");
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).refused(&[]);
    assert_eq!((world.at("refs/heads/main"), world.intents().len()), (String::new(), 0));
    write_hook(&world.server.join("hooks/pre-receive.before-countersign"), "#!/bin/sh\n");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    assert_eq!(world.entries(), ["1 push refs/heads/main"]);
    world.is_in_order();
}

#[test]
fn killed_in_post_receive_the_push_is_entered_by_whoever_comes_next() {
    for (hooks, entered) in [("post-receive", 0), ("post-receive,reference-transaction", 2)] {
        let world = with_hooks_before(&[("post-receive", KILL)], hooks);
        let one = world.commit(&[], "one");
        // git tells the pusher that it broke off, and the refs have moved.
        let _ = world.push(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/x")]);
        assert_eq!((world.at("refs/heads/main"), world.at("refs/heads/x")), (one.clone(), one.clone()));
        if entered == 0 {
            assert_eq!(world.at(LEDGER), "", "{hooks}");
        } else {
            assert_eq!(world.entries().len(), entered, "{hooks}");
        }
        write_hook(&world.server.join("hooks/post-receive.before-countersign"), "#!/bin/sh\n");
        let two = world.commit(&[&one], "two");
        world.push(&[&format!("{two}:refs/heads/main")]).good();
        assert_eq!(
            world.entries(),
            ["1 push refs/heads/main", "2 push refs/heads/x", "3 push refs/heads/main"],
            "{hooks}"
        );
        world.is_in_order();
    }
}

#[test]
fn killed_before_any_ref_has_moved_nothing_is_entered() {
    let world = World::new();
    let hook = world.server.join("hooks/pre-receive");
    fs::rename(&hook, world.server.join("hooks/real")).unwrap();
    write_hook(&hook, "#!/bin/sh\nhooks/real || exit 1\nkill -9 $PPID\n");
    // Its parent is this hook then, and that ends too.
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).refused(&[]);
    assert_eq!((world.at("refs/heads/main"), world.intents().len()), (String::new(), 1));
    world.ledger(&["settle"]).ended(0, &["0 entered, 0 entered as recovered, 1 did not happen"]);
    fs::rename(world.server.join("hooks/real"), &hook).unwrap();
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    assert_eq!(world.entries(), ["1 push refs/heads/main"]);
    world.ledger(&["verify"]).good();
}

#[test]
fn killed_between_two_refs_the_first_is_entered() {
    for hooks in ["update", "update,post-receive", "update,reference-transaction"] {
        let world =
            with_hooks_before(&[("update", &format!("[ $1 = refs/heads/a ] || {{ {KILL} }}"))], hooks);
        let one = world.commit(&[], "one");
        world
            .push(
                &["a", "b", "c"]
                    .map(|name| format!("{one}:refs/heads/{name}"))
                    .each_ref()
                    .map(String::as_str),
            )
            .refused(&[]);
        assert_eq!(world.at("refs/heads/b"), "");
        // git 2.50 and later move all of them at once, or none.
        let moved = world.at("refs/heads/a");
        assert!(moved == one || moved.is_empty());
        remove_locks(&world.server.join("refs"));
        write_hook(&world.server.join("hooks/update.before-countersign"), "#!/bin/sh\n");
        let two = world.commit(&[&one], "two");
        world.push(&[&format!("{two}:refs/heads/d")]).good();
        world.ledger(&["settle"]).good();
        let expected = match moved.is_empty() {
            true => &["1 push refs/heads/d"][..],
            false => &["1 push refs/heads/a", "2 push refs/heads/d"],
        };
        assert_eq!(world.entries(), expected, "{hooks}");
        world.ledger(&["verify"]).good();
    }
}

#[test]
fn killed_after_the_ref_has_moved_it_is_entered_by_the_next() {
    let kill = format!("[ $1 = committed ] && {{ {KILL} }}\nexit 0");
    let world = with_hooks_before(&[("reference-transaction", &kill)], "reference-transaction,post-receive");
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).refused(&[]);
    assert_eq!((world.at("refs/heads/main"), world.at(LEDGER)), (one.clone(), String::new()));
    write_hook(&world.server.join("hooks/reference-transaction.before-countersign"), "#!/bin/sh\n");
    world.ledger(&["verify"]).ended(2, &["there is no ledger"]);
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    assert_eq!(world.entries(), ["1 push refs/heads/main", "2 push refs/heads/main"]);
    world.is_in_order();
}

#[test]
fn killed_while_settling_nothing_is_entered_twice() {
    // The record is in the ledger and the intent is left: as if the program had ended in between.
    let world = World::with(&[], &["--hooks", "pre-receive"]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/x")]).good();
    let intent = world.state().join("intents").join(&world.intents()[0]);
    let text = fs::read(&intent).unwrap();
    world.ledger(&["settle"]).ended(0, &["2 entered"]);
    fs::write(&intent, &text).unwrap();
    world.ledger(&["settle"]).ended(0, &["0 entered, 0 entered as recovered, 0 did not happen"]);
    world.is_in_order();
    // Also where the refs have gone there and back.
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    world.push(&[&format!("+{one}:refs/heads/main")]).good();
    world.ledger(&["settle"]).ended(0, &["1 entered"]);
    fs::write(&intent, &text).unwrap();
    world.ledger(&["settle"]).ended(0, &["0 entered"]);
    assert_eq!(world.entries().len(), 4);
    world.is_in_order();
    // And before the ref had moved: only objects that nothing names, and a lock.
    let head = world.at(LEDGER);
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    let lock = world.server.join("refs/countersign/ledger.lock");
    fs::write(&lock, "").unwrap();
    world.ledger(&["settle"]).ended(3, &["is being written by others"]);
    assert_eq!((world.at(LEDGER), lock.exists()), (head, true));
    // It was another program's, which would have been done long ago.
    age(&lock);
    world.ledger(&["settle"]).ended(0, &["1 entered"]);
    world.is_in_order();
}

#[test]
fn a_lock_that_git_has_is_waited_for_and_never_taken_away() {
    let world = World::with(&[], &["--hooks", "pre-receive"]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    world.ledger(&["settle"]).good();
    let head = world.at(LEDGER);
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    // Beside what a process has left that was killed.
    let folder = world.server.join("refs/countersign");
    let (own, lock) = (folder.join("ledger.own.lock"), folder.join("ledger.lock"));
    fs::write(&own, "").unwrap();
    let mut git = world.command("git", &["--git-dir", "server.git", "update-ref", "--stdin"]);
    let mut git = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut commands = git.stdin.take().unwrap();
    write!(commands, "start\nverify {LEDGER} {head}\nprepare\n").unwrap();
    let mut said = [0; "start: ok\nprepare: ok\n".len()];
    git.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert!(lock.exists());
    world.ledger(&["settle"]).ended(3, &["is being written by others"]);
    assert!(lock.exists() && !own.exists());
    writeln!(commands, "commit").unwrap();
    drop(commands);
    assert!(git.wait().unwrap().success());
    assert!(!lock.exists());
    world.ledger(&["settle"]).ended(0, &["1 entered"]);
    world.is_in_order();
}

#[test]
fn the_lock_of_a_process_that_was_killed_keeps_nobody_waiting() {
    let Some(strace) = strace("ledger::faults::killed_with_the_lock") else { return };
    let world = World::with(&[], &["--hooks", "pre-receive"]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    world.ledger(&["settle"]).good();
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    let folder = world.server.join("refs/countersign");
    let (ledger, lock) = (folder.join("ledger"), folder.join("ledger.lock"));
    let before = fs::read(&ledger).unwrap();
    // When it is about to rename the lock; other files are renamed before and after, so the path is looked for.
    let options = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2"];
    let inject = ["-e", "inject=rename,renameat,renameat2:signal=KILL", "-P", lock.to_str().unwrap()];
    let settle = [PROGRAM, "ledger", "settle", "--repository", "server.git"];
    let words = [&options[..], &inject, &settle].concat();
    run(world.command(strace.to_str().unwrap(), &words), b"").refused(&[]);
    // Whether the call itself was made depends on when the signal comes.
    if fs::read(&ledger).unwrap() == before {
        assert!(lock.exists());
    }
    let begun = std::time::Instant::now();
    let three = world.commit(&[&two], "three");
    let said = world.push(&[&format!("{three}:refs/heads/main")]).good();
    assert!(!said.stderr.contains("not entered"), "{said:?}");
    world.ledger(&["settle"]).good();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(world.entries().len(), 3);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    world.is_in_order();
}

/// Pushes that are killed, all processes at once, at any moment.
#[test]
fn killed_at_any_moment_the_ledger_is_right_afterwards() {
    let world = World::new();
    let mut last = world.commit(&[], "begin");
    world.push(&[&format!("{last}:refs/heads/main")]).good();
    let (mut moved, mut survived) = (0, 0);
    for round in 0..24_u64 {
        let next = world.commit(&[&last], &round.to_string());
        let name = format!("{next}:refs/heads/r{round}");
        let main = format!("{next}:refs/heads/main");
        let mut command = world.command("git", &["-C", "work", "push", "-q", "../server.git", &name, &main]);
        let mut child: Child =
            command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(12 * round));
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status().unwrap();
        let _ = child.wait().unwrap();
        remove_locks(&world.server.join("refs"));
        // Whatever was killed with it may take a moment to be gone.
        let settled = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(10));
            world.ledger(&["settle"]).status == 0
        });
        assert!(settled, "{:?}", world.ledger(&["settle"]));
        if world.at(&format!("refs/heads/r{round}")) == next {
            moved += 1;
        }
        if world.at("refs/heads/main") == next {
            survived += 1;
            last = next;
        }
        world.ledger(&["verify"]).ended(0, &["every ref is as the ledger says"]);
    }
    let count = |name: &str| world.entries().iter().filter(|entry| entry.contains(name)).count();
    assert_eq!((count("refs/heads/r"), count("refs/heads/main")), (moved, survived + 1));
    world.push(&[&format!("{last}:refs/heads/end")]).good();
    world.on_server(&["fsck", "--strict"]).good();
}

/// The server's side of a push, spoken to by hand.
fn receive_pack(world: &World) -> Child {
    let mut command = world.command("git", &["receive-pack", "server.git"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn packet(text: &str) -> Vec<u8> {
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}

#[test]
fn a_client_that_hangs_up_before_the_report_is_entered() {
    let marker = "echo ran >>post-receive.ran\n";
    for hooks in ["post-receive,reference-transaction", "pre-receive"] {
        let world = with_hooks_before(&[("post-receive", marker)], hooks);
        let one = world.commit(&[], "one");
        let mut server = receive_pack(&world);
        let mut stdout = server.stdout.take().unwrap();
        let mut advertised = Vec::new();
        while !advertised.ends_with(b"0000") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            advertised.extend(byte);
        }
        let mut stdin = server.stdin.take().unwrap();
        stdin.write_all(&packet(&format!("{ZERO} {one} refs/heads/main\0 report-status"))).unwrap();
        stdin.write_all(b"0000").unwrap();
        let pack = world.command("git", &["-C", "work", "pack-objects", "--stdout", "--revs", "-q"]);
        stdin.write_all(&binary(pack, format!("{one}\n").as_bytes())).unwrap();
        drop(stdout);
        drop(stdin);
        assert!(!server.wait().unwrap().success(), "it could not report");
        assert_eq!(world.at("refs/heads/main"), one);
        assert!(!world.server.join("post-receive.ran").exists());
        if hooks == "pre-receive" {
            world.ledger(&["settle"]).ended(0, &["1 entered"]);
        }
        assert_eq!(world.entries(), ["1 push refs/heads/main"]);
        world.is_in_order();
    }
}

fn binary(mut command: Command, input: &[u8]) -> Vec<u8> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn a_full_disk_refuses_the_push_and_loses_nothing() {
    let (world, one) = World::begun();
    let names: Vec<String> = (0..8).map(|name| format!("{one}:refs/heads/name-{name}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // A file of a single block: objects fit, what is to be entered does not. First the write fails, then the
    // program is killed for it.
    for (ignored, words) in [("trap '' XFSZ;", "File too large"), ("", "")] {
        let pack = format!("--receive-pack={ignored} ulimit -f 1; git receive-pack");
        world.push(&[&[pack.as_str()], names.as_slice()].concat()).refused(&[words]);
        assert_eq!(world.at("refs/heads/name-0"), "");
        assert_eq!(world.entries().len(), 1);
        world.is_in_order();
    }
    world.push(&names).good();
    assert_eq!(world.entries().len(), 9);
    world.is_in_order();
}

#[test]
fn a_ledger_that_cannot_be_written_is_caught_up_with() {
    let (world, one) = World::begun();
    let lock = world.server.join("refs/countersign/ledger.lock");
    fs::create_dir(&lock).unwrap();
    let two = world.commit(&[&one], "two");
    let said = world.push(&[&format!("{two}:refs/heads/main")]).good();
    assert!(said.stderr.contains("not entered into the ledger yet"), "{said:?}");
    world.ledger(&["verify"]).ended(2, &["refs/heads/main: an accepted update is not entered yet"]);
    let three = world.commit(&[&two], "three");
    world.push(&[&format!("{three}:refs/heads/main")]).good();
    fs::remove_dir(&lock).unwrap();
    world.push(&[&format!("{three}:refs/heads/x")]).good();
    assert_eq!(world.entries().len(), 4);
    world.is_in_order();
}

#[test]
fn a_lock_that_was_left_before_the_clock_was_set_back_is_as_old() {
    let (world, one) = World::begun();
    let lock = world.server.join("refs/countersign/ledger.lock");
    fs::write(&lock, "").unwrap();
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    fs::File::options().write(true).open(&lock).unwrap().set_modified(tomorrow).unwrap();
    world.push(&[&format!("{one}:refs/heads/x")]).good().ended(0, &[]);
    assert_eq!(world.entries().len(), 2);
    world.is_in_order();
}

#[test]
fn a_policy_that_cannot_be_read_and_a_missing_object_refuse_every_push() {
    let world = World::new();
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    let policy = world.path("policy.toml");
    fs::rename(&policy, world.path("away")).unwrap();
    world.push(&[&format!("{two}:refs/heads/main")]).refused(&["policy.toml"]);
    fs::rename(world.path("away"), &policy).unwrap();
    assert_eq!(world.intents(), Vec::<String>::new());

    let head = world.at(LEDGER);
    let object = world.server.join("objects").join(&head[..2]).join(&head[2..]);
    let bytes = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    // git itself refuses what it cannot connect; by hand the hook does.
    world.push(&[&format!("{two}:refs/heads/main")]).refused(&[]);
    world.ledger(&["verify"]).ended(1, &["is missing"]);
    let three = world.commit(&[&two], "three");
    let mut hook = world.command("hooks/pre-receive", &[]);
    hook.current_dir(&world.server).env("GIT_DIR", ".");
    let line = format!("{one} {one} refs/heads/main\n");
    run(hook, line.as_bytes()).refused(&["is missing", "countersign ledger verify"]);
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(&object, bytes).unwrap();
    world.push(&[&format!("{three}:refs/heads/main")]).good();
    assert_eq!(world.entries().len(), 2);
    world.is_in_order();
}

#[test]
fn an_intent_that_was_cut_short_is_never_passed_over() {
    let world = World::with(&[], &["--hooks", "pre-receive"]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    let intent = world.state().join("intents").join(&world.intents()[0]);
    let text = fs::read(&intent).unwrap();
    let two = world.commit(&[&one], "two");
    let away = world.path("away");
    for length in [text.len() / 2, 0] {
        fs::write(&intent, &text[..length]).unwrap();
        // The words say the way out, to whoever pushes and to the administrator.
        let words = ["the intent is cut short", intent.to_str().unwrap(), "moves the file away"];
        world.push(&[&format!("{two}:refs/heads/x")]).refused(&words);
        world.ledger(&["settle"]).ended(3, &words);
        world.ledger(&["verify"]).ended(3, &words);
        fs::rename(&intent, &away).unwrap();
        world.push(&[&format!("{two}:refs/heads/y{length}")]).good();
        world.ledger(&["settle"]).good();
        assert_eq!(world.at("refs/heads/x"), "");
    }
    // The ledger began with what the refs held, and so this one explains nothing any more.
    assert!(world.entries().contains(&"1 standing refs/heads/main".to_owned()), "{:?}", world.entries());
    fs::write(&intent, text).unwrap();
    world.ledger(&["settle"]).ended(0, &["0 entered"]);
    world.ledger(&["verify"]).good();
}

#[test]
fn a_note_of_the_head_that_was_cut_short_stops_nobody_who_can_do_without() {
    let (world, one) = World::begun();
    let note = world.state().join("ledger.head");
    for (damaged, name) in [("", "x"), ("1234\n", "y")] {
        fs::write(&note, damaged).unwrap();
        world.ledger(&["verify"]).ended(3, &["ledger.head", "was cut short", "may remove the file"]);
        world.push(&[&format!("{one}:refs/heads/{name}")]).good();
        world.is_in_order();
    }
    // Where there is no ledger, it is what says whether there was one.
    fs::write(&note, "").unwrap();
    world.on_server(&["update-ref", "-d", LEDGER]).good();
    world.push(&[&format!("{one}:refs/heads/z")]).refused(&["was cut short", "may remove the file"]);
    fs::remove_file(&note).unwrap();
    world.push(&[&format!("{one}:refs/heads/z")]).good();
    world.is_in_order();
}

#[test]
fn a_push_whose_time_is_limited_does_not_wait_for_others() {
    let world = World::with(&[], &["--hooks", "pre-receive", "--time-limit", "6"]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    let lock = fs::File::options().write(true).open(world.state().join("ledger.lock")).unwrap();
    lock.lock().unwrap();
    let begin = std::time::Instant::now();
    world.push(&[&format!("{one}:refs/heads/x")]).good();
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(20), "{took:?}");
    drop(lock);
    world.ledger(&["settle"]).good();
    world.is_in_order();
}

#[test]
fn a_clock_that_is_off_by_a_day_changes_no_entry() {
    let world = World::with(&[], &["--hooks", "pre-receive"]);
    let mut last = world.commit(&[], "begin");
    world.push(&[&format!("{last}:refs/heads/main")]).good();
    for seconds in [86_400_i64, -86_400, 0] {
        let next = world.commit(&[&last], "next");
        world.push(&[&format!("{next}:refs/heads/main")]).good();
        last = next;
        // The intent that this push has left, as the clock would have it.
        let name = &world.intents()[0];
        let path = world.state().join("intents").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let line = text.lines().find(|line| line.starts_with("received ")).unwrap();
        let received: i64 = line["received ".len()..].parse().unwrap();
        let shifted = text.replace(line, &format!("received {}", received + seconds));
        fs::write(&path, shifted).unwrap();
    }
    world.ledger(&["settle"]).ended(0, &["1 entered"]);
    world
        .ledger(&["verify"])
        .ended(0, &["the server's clock was set back", "every ref is as the ledger says"]);
    assert_eq!(world.entries().len(), 4);
}

/// Hooks whose clock is a day fast, a day slow and right, in turn, each after the other.
#[test]
fn hooks_whose_clock_is_off_by_a_day_enter_every_push_in_order() {
    let path = std::env::var_os("PATH").unwrap();
    if !std::env::split_paths(&path).any(|folder| folder.join("faketime").is_file()) {
        eprintln!("SKIPPED: ledger::faults::clock: faketime not found");
        return;
    }
    for hooks in ["post-receive,reference-transaction", "pre-receive"] {
        let world = World::without_hooks(&[]);
        let program = world.path("program");
        let set = |offset: &str| {
            let text = format!(
                "#!/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin exec faketime -f {offset} '{PROGRAM}' \"$@\"\n"
            );
            write_hook(&program, &text);
        };
        set("+0d");
        world.install(&["--hooks", hooks, "--program", program.to_str().unwrap()]).good();
        let mut last = world.commit(&[], "begin");
        let mut count = 0;
        for offset in ["+1d", "-1d", "+0d", "-1d", "+1d", "+0d"] {
            set(offset);
            let next = world.commit(&[&last], offset);
            world.push(&[&format!("{next}:refs/heads/main"), &format!("{next}:refs/heads/r{count}")]).good();
            world.push(&[&format!("{next}:refs/tags/v{count}")]).refused(&["no rule names this ref"]);
            (last, count) = (next, count + 1);
        }
        world.ledger(&["settle"]).good();
        let entries = world.entries();
        assert_eq!(entries.len(), 2 * count, "{hooks}: {entries:?}");
        assert!(entries.iter().all(|entry| entry.contains(" push ")), "{hooks}: {entries:?}");
        let said = ["the server's clock was set back", "every ref is as the ledger says"];
        world.ledger(&["verify"]).ended(0, &said);
    }
}

#[test]
fn what_cannot_be_told_any_more_is_entered_as_recovered() {
    let world = World::with(&[], &["--hooks", "pre-receive"]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    let other = world.commit(&[], "other");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{other}:refs/heads/o")]).good();
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    world.on_server(&["update-ref", "refs/heads/main", &other]).good();
    world.ledger(&["settle"]).ended(0, &["1 entered as recovered"]);
    assert_eq!(
        world.entries(),
        ["1 push refs/heads/main", "2 push refs/heads/o", "3 recovered refs/heads/main"]
    );
    world.ledger(&["verify"]).ended(1, &["refs/heads/main: holds", "entry 3 says"]);
    world.ledger(&["enter", "--reason", "set back by hand", "refs/heads/main"]).good();
    world.ledger(&["verify"]).ended(0, &["could not be told"]);
}
