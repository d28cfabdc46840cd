//! Pushes of many refs: entered together, by a program that is started a few times and not once for each.

use std::os::unix::process::CommandExt as _;

use super::{faults::remove_locks, *};

const LEDGER: &str = "refs/countersign/ledger";

impl World {
    /// A server whose hooks write down each start of the program.
    fn counting(install: &[&str]) -> Self {
        let world = Self::without_hooks(&[]);
        let program = world.path("program");
        let log = world.path("starts");
        let text = format!("#!/bin/sh\necho \"$2\" >>'{}'\nexec '{PROGRAM}' \"$@\"\n", log.display());
        write_hook(&program, &text);
        world.install(&[&["--program", program.to_str().unwrap()], install].concat()).good();
        world
    }

    /// How often each hook has started the program since this was asked last.
    fn starts(&self, hook: &str) -> usize {
        let log = fs::read_to_string(self.path("starts")).unwrap_or_default();
        log.lines().filter(|line| *line == hook).count()
    }

    fn forget_starts(&self) {
        let _ = fs::remove_file(self.path("starts"));
    }

    /// Let the pusher's refs `refs/heads/<name>` be what is said, and no others.
    fn heads(&self, heads: impl Iterator<Item = (String, String)>) {
        let there = self.work(&["for-each-ref", "--format=delete %(refname)", "refs/heads"]);
        let made: String = heads.map(|(name, id)| format!("create refs/heads/{name} {id}\n")).collect();
        for input in [there + "\n", made] {
            let update = self.command("git", &["-C", "work", "update-ref", "--no-deref", "--stdin"]);
            run(update, input.trim_start().as_bytes()).good();
        }
    }

    /// Of which processes the update hook is told something.
    fn told(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state().join("updates")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn records(&self) -> usize {
        self.on_server(&["rev-list", "--count", LEDGER]).good().stdout.parse().unwrap()
    }
}

#[test]
fn three_thousand_refs_are_entered_together_whether_all_at_once_or_one_by_one() {
    const REFS: usize = 3000;
    let world = World::counting(&[]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    let name = |number: usize| format!("n{number:04}");
    world.heads((0..REFS).map(|number| (name(number), one.clone())));
    world.push(&["--atomic", "refs/heads/*:refs/heads/*"]).good();
    assert_eq!((world.entries().len(), world.records()), (REFS, 1));
    assert!(world.starts("reference-transaction") <= 1);
    // Some are moved, some gone, and some new, each in a transaction of its own as far as git does so.
    world.forget_starts();
    world.heads((10..REFS + 10).map(|number| (name(number), two.clone())));
    world.push(&["--no-atomic", "--prune", "refs/heads/*:refs/heads/*"]).good();
    assert_eq!((world.entries().len(), world.records()), (2 * REFS + 20 - 10, 2));
    for hook in ["pre-receive", "reference-transaction", "post-receive"] {
        assert!(world.starts(hook) <= 3, "{hook}: {}", world.starts(hook));
    }
    world.is_in_order();
    assert_eq!(fs::read_dir(world.state().join("many")).unwrap().count(), 0);
    for (number, value) in [(0, ""), (9, ""), (10, two.as_str()), (REFS + 9, two.as_str())] {
        assert_eq!(world.at(&format!("refs/heads/{}", name(number))), value);
    }
}

#[test]
fn whichever_ref_is_the_last_of_a_few_one_program_enters_all_of_them() {
    let world = World::counting(&["--hooks", "reference-transaction"]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    let to = |id: &str, name: &str| format!("{id}:refs/heads/{name}");
    world.push(&[&to(&one, "a"), &to(&one, "b"), &to(&one, "c"), &to(&one, "d")]).good();
    assert_eq!((world.starts("reference-transaction"), world.records()), (1, 1));
    // git 2.50 and later delete first, in a transaction of its own; others do one ref after the other.
    for (round, refs) in [
        [to(&two, "a"), ":refs/heads/b".to_owned(), to(&two, "c")],
        [to(&two, "b"), to(&one, "c"), ":refs/heads/d".to_owned()],
        [":refs/heads/a".to_owned(), ":refs/heads/c".to_owned(), to(&two, "d")],
    ]
    .iter()
    .enumerate()
    {
        world.forget_starts();
        world.push(&["-f", &refs[0], &refs[1], &refs[2]]).good();
        // Nothing but this hook has come to it.
        assert_eq!(world.intents(), Vec::<String>::new(), "{refs:?}");
        assert_eq!(world.entries().len(), 4 + 3 * (round + 1), "{refs:?}");
        assert!(world.starts("reference-transaction") <= 2, "{refs:?}");
        world.ledger(&["verify"]).ended(0, &["every ref is as the ledger says"]);
    }
    assert_eq!(fs::read_dir(world.state().join("many")).unwrap().count(), 0);
    world.is_in_order();
}

#[test]
fn the_update_hook_looks_at_each_of_many() {
    let world = World::counting(&["--hooks", "update,reference-transaction"]);
    let one = world.commit(&[], "one");
    world.heads((0..100).map(|number| (format!("n{number:03}"), one.clone())));
    world.push(&["refs/heads/*:refs/heads/*"]).good();
    // The first of them is told of all.
    assert_eq!((world.starts("update"), world.entries().len()), (1, 100));
    world.is_in_order();
    assert_eq!(world.told(), Vec::<String>::new());
    // What was accepted for one ref is not for another, nor what stands there in other words.
    let two = world.commit(&[&one], "two");
    write_hook(&world.server.join("hooks/pre-receive"), "#!/bin/sh\nexit 0\n");
    let pusher = format!("pusher {one} {two} refs/heads/n001");
    let line = format!("{one} {two} refs/heads/n000");
    let text = format!(
        "countersign intent 1\nreceived 1\npush {}\npolicy sha256:{}\n{pusher}\nledger none\n\n{line}\n",
        "a".repeat(32),
        "b".repeat(64)
    );
    let intents = world.state().join("intents");
    fs::create_dir_all(&intents).unwrap();
    fs::write(intents.join("1-a.intent"), &text).unwrap();
    let not = "was not accepted by the pre-receive hook";
    world.push(&[&format!("{two}:refs/heads/n001")]).refused(&[not]);
    world.push(&[&format!("{two}:refs/heads/n00")]).refused(&[not]);
    world.push(&[":refs/heads/n000"]).refused(&[not]);
    fs::write(intents.join("1-a.intent"), text.trim_end()).unwrap();
    world.push(&[&format!("{two}:refs/heads/n000")]).refused(&["the intent is cut short"]);
    fs::write(intents.join("1-a.intent"), text).unwrap();
    world.push(&[&format!("{two}:refs/heads/n000")]).good();
}

/// What tells this process from every other, as a script finds it out.
fn identity() -> [String; 3] {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    [boot.trim_end().to_owned(), fields[19].to_owned(), fields[25].to_owned()]
}

#[test]
fn what_the_update_hook_is_told_counts_word_for_word_or_the_program_is_asked() {
    let world = World::counting(&["--hooks", "update"]);
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{one}:refs/heads/a"), &format!("{one}:refs/heads/b")]).good();
    let objects =
        world.command("git", &["-C", "work", "push", "-q", "../server.git", &format!("{two}:refs/heads/c")]);
    run(objects, b"").good();
    let own = std::process::id();
    let folder = world.state().join("updates").join(own.to_string());
    let hook = world.server.join("hooks/update");
    // As a child of this very process; whether the program was started.
    let asks = |name: &str, old: &str, new: &str| {
        world.forget_starts();
        let mut command = world.command(hook.to_str().unwrap(), &[name, old, new]);
        command.current_dir(&world.server).arg0("update");
        let said = run(command, b"");
        let started = world.starts("update");
        // The program refuses what no push has had accepted.
        assert_eq!(
            (said.status, started == 1),
            if started == 0 { (0, false) } else { (1, true) },
            "{said:?}"
        );
        started == 1
    };
    let tell = |name: &str, line: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, line).unwrap();
    };
    let (a, [boot, start, stack]) = ("refs/heads/a", identity());
    let good = format!("{boot} {start} {stack} {one} {two} {a}\n");
    assert!(asks(a, &one, &two), "nothing is told");
    tell(a, &good);
    assert!(!asks(a, &one, &two));
    // Another ref, other values, and nothing at all.
    for (name, old, new) in [
        ("refs/heads/b", &one, &two),
        ("refs/heads/../heads/a", &one, &two),
        ("refs//heads/a", &one, &two),
        (a, &two, &one),
        (a, &one, &ZERO.to_owned()),
        (a, &ZERO.to_owned(), &two),
    ] {
        assert!(asks(name, old, new), "{name} {old} {new}");
    }
    // What was told of another process that had this number, of the same before the system was started anew, or that
    // is not there whole.
    let other = |number: &str| {
        number.parse::<u64>().map_or_else(|_| "-".repeat(36), |number| (number + 1).to_string())
    };
    for told in [
        good.replace(&boot, &other(&boot)),
        good.replace(&start, &other(&start)),
        good.replace(&stack, &other(&stack)),
        good.trim_end().to_owned(),
        good.replace(' ', "  "),
        good[1..].to_owned(),
        format!(" {good}"),
        format!("\n{good}"),
        "$(touch x) `touch x`\n".to_owned(),
        "*\n".to_owned(),
        "-n\n".to_owned(),
        String::new(),
    ] {
        tell(a, &told);
        assert!(asks(a, &one, &two), "{told}");
    }
    assert!(!world.server.join("x").exists());
    // The ref has moved meanwhile, has become the name of another, or is gone.
    tell(a, &good);
    assert!(!asks(a, &one, &two));
    let file = world.server.join(a);
    for text in [
        format!("{two}\n"),
        "ref: refs/heads/b\n".to_owned(),
        format!("{one}x\n"),
        one.clone(),
        String::new(),
    ] {
        fs::write(&file, &text).unwrap();
        assert!(asks(a, &one, &two), "{text}");
    }
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("refs/heads/b", &file).unwrap();
    assert!(asks(a, &one, &two), "a link is a symbolic ref");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(asks(a, &one, &two));
    fs::remove_dir(&file).unwrap();
    // git itself compares what it has elsewhere, unless it is to be deleted.
    assert!(!asks(a, &one, &two));
    tell(a, &format!("{boot} {start} {stack} {one} {ZERO} {a}\n"));
    assert!(asks(a, &one, ZERO));
    fs::write(&file, format!("{one}\n")).unwrap();
    assert!(!asks(a, &one, ZERO));
    // Whoever runs the hook on behalf of receive-pack is another process.
    tell(a, &good);
    let script = world.path("script");
    write_hook(&script, &format!("#!/bin/sh\n'{}' \"$@\"\nexit $?\n", hook.display()));
    world.forget_starts();
    let mut command = world.command(script.to_str().unwrap(), &[a, &one, &two]);
    command.current_dir(&world.server);
    run(command, b"").refused(&["was not accepted by the pre-receive hook"]);
    assert_eq!(world.starts("update"), 1);
}

#[test]
fn what_was_told_of_others_goes_and_what_is_packed_is_asked_about_if_it_is_deleted() {
    let world = World::counting(&["--hooks", "update,reference-transaction"]);
    let one = world.commit(&[], "one");
    // Processes that ended long ago, one with a number that comes again, and what somebody has put there.
    let updates = world.state().join("updates");
    for (name, process) in [("999999999", "999999999 1 1\n"), ("1", "garbage"), ("x", "")] {
        fs::create_dir_all(updates.join(name).join("refs/heads")).unwrap();
        fs::write(updates.join(name).join("process"), process).unwrap();
    }
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    let namespace = namespace.to_str().unwrap().trim_start_matches("pid:[").trim_end_matches(']').to_owned();
    fs::write(updates.join("999999999/process"), format!("999999999 1 {namespace}\n")).unwrap();
    let names = ["c", "d", "deep/deeper/deepest", "it's\"$(touch${IFS}x)\"`y`"]
        .map(|name| format!("{one}:refs/heads/{name}"));
    world.push(&names.each_ref().map(String::as_str)).good();
    assert_eq!((world.starts("update"), world.entries().len()), (1, 4));
    assert!(!world.server.join("x").exists());
    let mut told = world.told();
    told.sort();
    assert_eq!(told, ["1", "x"], "what has ended is gone, and the rest is nobody's");
    world.is_in_order();
    // Deleted while they are packed: each is looked at.
    world.on_server(&["pack-refs", "--all"]).good();
    world.forget_starts();
    world.push(&[":refs/heads/c", ":refs/heads/d"]).good();
    assert_eq!(world.starts("update"), 2);
    world.is_in_order();
}

#[test]
fn killed_among_many_refs_what_has_moved_is_entered_by_the_next_push() {
    let kill = "[ $2 ] && [ $1 = refs/heads/n060 ] && kill -9 $PPID\nexit 0\n";
    let world = World::without_hooks(&[]);
    fs::create_dir_all(world.server.join("hooks")).unwrap();
    write_hook(&world.server.join("hooks/update"), &format!("#!/bin/sh\n{kill}"));
    world.install(&[]).good();
    let one = world.commit(&[], "one");
    world.heads((0..100).map(|number| (format!("n{number:03}"), one.clone())));
    world.push(&["--no-atomic", "refs/heads/*:refs/heads/*"]).refused(&[]);
    remove_locks(&world.server.join("refs"));
    let moved = world.on_server(&["for-each-ref", "refs/heads"]).good().stdout.lines().count();
    write_hook(&world.server.join("hooks/update"), "#!/bin/sh\n");
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{two}:refs/heads/last")]).good();
    let entries = world.entries();
    assert_eq!(entries.len(), moved + 1, "{entries:?}");
    assert_eq!(entries.last().unwrap(), &format!("{} push refs/heads/last", moved + 1));
    world.ledger(&["verify"]).ended(0, &["every ref is as the ledger says"]);
    assert_eq!(fs::read_dir(world.state().join("many")).unwrap().count(), 0, "nothing is left of it");
}

#[test]
fn a_note_about_many_refs_only_says_when_to_look() {
    let world = World::with(&[], &["--hooks", "pre-receive,reference-transaction"]);
    let one = world.commit(&[], "one");
    let hook = world.server.join("hooks/reference-transaction");
    let kept = world.path("hook");
    fs::rename(&hook, &kept).unwrap();
    world.push(&[&format!("{one}:refs/heads/a"), &format!("{one}:refs/heads/b")]).good();
    let note = |text: &[u8]| {
        let many = world.state().join("many");
        fs::create_dir_all(&many).unwrap();
        fs::write(many.join(std::process::id().to_string()), text).unwrap();
    };
    let committed = |lines: &str| {
        // As a child of this very process, whose number the note goes by.
        let mut command = world.command(kept.to_str().unwrap(), &["committed"]);
        command.current_dir(&world.server).arg0("reference-transaction");
        run(command, lines.as_bytes()).good();
    };
    let line = |name: &str| format!("{ZERO} {one} refs/heads/{name}\n");
    let head = || world.at(LEDGER);
    // One that is not the last waits.
    note(b"refs/heads/b\n");
    committed(&line("a"));
    assert_eq!(head(), "");
    // A note that nobody could have written is none that is waited for.
    for damaged in [&b"\n"[..], b"", b"refs/heads/b", b"$(touch x)\n", b"\xff\n"] {
        note(damaged);
        committed("");
    }
    assert!(!world.server.join("x").exists());
    assert_eq!(head(), "");
    // Several in one transaction are entered whichever they are.
    note(b"refs/heads/z\n");
    committed(&(line("a") + &line("b")));
    assert_eq!(world.entries(), ["1 push refs/heads/a", "2 push refs/heads/b"]);
    world.is_in_order();
}
