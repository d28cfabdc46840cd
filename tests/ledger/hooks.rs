//! Which hook enters what, and what the installer does.

use super::*;

#[test]
fn every_accepted_update_is_entered_once_and_in_order() {
    for format in ["--object-format=sha1", "--object-format=sha256"] {
        let world = World::with(&[format], &[]);
        let one = world.commit(&[], "one");
        let two = world.commit(&[&one], "two");
        world.push(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/x")]).good();
        assert_eq!(world.intents(), Vec::<String>::new());
        world.push(&[&format!("{two}:refs/heads/main")]).good();
        world.push(&[&format!("+{one}:refs/heads/main"), ":refs/heads/x"]).good();
        world.push(&["--atomic", &format!("{two}:refs/heads/main"), &format!("{two}:refs/heads/y")]).good();
        world.push(&[&format!("{two}:refs/tags/t")]).refused(&["no rule names this ref"]);
        // git 2.50 and later delete refs before they move others.
        let entries = world.entries();
        let deleted = if entries[3] == "4 push refs/heads/x" { 4 } else { 5 };
        let mut expected = ["main", "x", "main", "main", "main", "main", "y"];
        expected[deleted - 1] = "x";
        let expected: Vec<String> = expected
            .iter()
            .zip(1..)
            .map(|(name, number)| format!("{number} push refs/heads/{name}"))
            .collect();
        assert_eq!(entries, expected);
        world.is_in_order();
        let shown = world.ledger(&["show", &deleted.to_string()]).good().stdout;
        for line in ["ref: refs/heads/x", &format!("old: {one}"), "new: nothing", "policy: sha256:"] {
            assert!(shown.contains(line), "{shown}");
        }
        world.ledger(&["show", "8"]).ended(3, &["the ledger has no entry 8"]);
        let log = world.ledger(&["log", "-n", "2", "refs/heads/main"]).good().stdout;
        assert_eq!(log.lines().count(), 2);
        assert!(log.starts_with("6  "), "{log}");
    }
}

#[test]
fn whatever_hooks_there_are_the_entries_are_the_same() {
    for hooks in ["pre-receive", "post-receive", "reference-transaction", "update", "update,post-receive"] {
        let world = World::with(&[], &["--hooks", hooks]);
        let one = world.commit(&[], "one");
        let two = world.commit(&[&one], "two");
        world.push(&[&format!("{one}:refs/heads/main")]).good();
        world.push(&[&format!("{two}:refs/heads/main"), &format!("{two}:refs/heads/x")]).good();
        if hooks == "pre-receive" || hooks == "update" {
            assert_eq!(world.entries(), ["1 push refs/heads/main"]);
            world.ledger(&["verify"]).ended(2, &["refs/heads/x: an accepted update is not entered yet"]);
            world.ledger(&["settle"]).ended(0, &["2 entered, 0 entered as recovered"]);
        }
        assert_eq!(
            world.entries(),
            ["1 push refs/heads/main", "2 push refs/heads/main", "3 push refs/heads/x"],
            "{hooks}"
        );
        world.is_in_order();
    }
}

#[test]
fn refs_that_stood_before_are_the_first_entries() {
    let world = World::without_hooks(&[]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/a")]).good();
    world.on_server(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]).good();
    world.install(&[]).good();
    assert_eq!(world.entries(), ["1 standing refs/heads/a", "2 standing refs/heads/main"]);
    world.install(&[]).good();
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{two}:refs/heads/alias")]).good();
    assert_eq!(world.at("refs/heads/main"), two);
    // It is the ref that has moved, and not the alias.
    assert_eq!(world.entries()[2..], ["3 push refs/heads/main"]);
    world.is_in_order();
}

#[test]
fn an_update_of_no_push_is_not_looked_at_and_found_by_verify() {
    let (world, one) = World::begun();
    // With nothing to settle the program is not even started.
    let hook = world.server.join("hooks/reference-transaction");
    let text = fs::read_to_string(&hook).unwrap();
    fs::write(&hook, text.replace(PROGRAM, "/nowhere/program")).unwrap();
    world.on_server(&["update-ref", "refs/heads/behind", &one]).good().ended(0, &[]);
    fs::write(&hook, text).unwrap();
    world
        .ledger(&["verify"])
        .ended(1, &["refs/heads/behind: holds", "no entry names it", "'refs/heads/main' held by entry 1"]);
    world.ledger(&["enter", "--reason", "moved\u{1b}[2J"]).ended(3, &["reason"]);
    // Of a ref nothing is said by another name than its own.
    for name in ["behind", "refs/heads/..", "HEAD"] {
        let words =
            [&format!("'{name}' is no full name of a ref")[..], "hint: write it as 'refs/heads/main'"];
        world.ledger(&["enter", "--reason", "x", name]).ended(3, &words);
        world.ledger(&["log", name]).ended(3, &words);
    }
    world
        .ledger(&["enter", "--reason", "x", "refs/heads/main"])
        .ended(0, &["what was named is as the ledger says"]);
    world
        .ledger(&["enter", "--reason", "a restored branch"])
        .ended(0, &["entered that 'refs/heads/behind' went from nothing to"]);
    world.is_in_order();
    assert_eq!(world.entries()[1..], ["2 administrator refs/heads/behind"]);
    world.on_server(&["update-ref", "-d", "refs/heads/behind"]).good();
    world.ledger(&["verify"]).ended(1, &["refs/heads/behind: holds nothing, and entry 2 says"]);
    let json = world.ledger(&["verify", "--json"]).ended(1, &[]).stdout;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["findings"][0]["finding"], "moved");
    assert_eq!(report["entries"], 2);
}

#[test]
fn a_ref_moved_between_two_pushes_leaves_a_gap() {
    let world = World::new();
    let (one, two) = (world.commit(&[], "one"), world.commit(&[], "two"));
    let three = world.commit(&[&two], "three");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{two}:refs/heads/x")]).good();
    world.on_server(&["update-ref", "refs/heads/main", &two]).good();
    world.push(&[&format!("{three}:refs/heads/main")]).good();
    world.ledger(&["verify"]).ended(1, &["refs/heads/main: was moved without an entry before entry 3"]);
}

#[test]
fn hooks_that_were_there_run_and_come_back() {
    let world = World::without_hooks(&[]);
    let hooks = world.server.join("hooks");
    fs::create_dir_all(&hooks).unwrap();
    let names = ["pre-receive", "update", "post-receive", "reference-transaction"];
    let log = world.path("log");
    for name in names {
        let read = if name == "update" { "echo \"$@\"" } else { "cat" };
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = prepared ] || {{ echo \"{name} $1\"; {read}; }} >>'{}'\n",
            log.display()
        );
        write_hook(&hooks.join(name), &text);
    }
    let before: Vec<Vec<u8>> = names.iter().map(|name| fs::read(hooks.join(name)).unwrap()).collect();
    let configuration = fs::read(world.server.join("config")).unwrap();
    world.install(&["--hooks", "update,post-receive,reference-transaction"]).good();
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    let said = fs::read_to_string(&log).unwrap();
    let line = format!("{ZERO} {one} refs/heads/main\n");
    for part in [
        format!("pre-receive \n{line}"),
        format!("update refs/heads/main\nrefs/heads/main {ZERO} {one}\n"),
        format!("post-receive \n{line}"),
    ] {
        assert!(said.contains(&part), "no {part:?} in {said}");
    }
    assert!(said.contains("reference-transaction committed\n"), "{said}");
    world.is_in_order();
    // What one of them refuses is refused.
    write_hook(&hooks.join("update.before-countersign"), "#!/bin/sh\nexit 7\n");
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{two}:refs/heads/main")]).refused(&["hook declined"]);
    assert_eq!(world.at("refs/heads/main"), one);
    world.ledger(&["settle"]).good();
    assert_eq!(world.entries(), ["1 push refs/heads/main"]);

    fs::write(hooks.join("update.before-countersign"), &before[1]).unwrap();
    world.countersign(&["hook", "uninstall", "--repository", "server.git"]).good();
    for (name, before) in names.iter().zip(before) {
        assert_eq!(fs::read(hooks.join(name)).unwrap(), before, "{name}");
    }
    assert_eq!(fs::read(world.server.join("config")).unwrap(), configuration);
    assert_eq!(
        fs::read_dir(&hooks)
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_str().unwrap().contains("countersign") })
            .count(),
        0
    );
}

#[test]
fn the_update_hook_lets_nothing_pass_that_was_not_judged() {
    let world = World::with(&[], &["--hooks", "update"]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    // Somebody has replaced the hook that judges.
    write_hook(&world.server.join("hooks/pre-receive"), "#!/bin/sh\nexit 0\n");
    let two = world.commit(&[&one], "two");
    world
        .push(&[&format!("{two}:refs/heads/main")])
        .refused(&["the update of 'refs/heads/main' was not accepted by the pre-receive hook"]);
    assert_eq!(world.at("refs/heads/main"), one);
}

#[test]
fn without_a_ledger_there_is_only_the_gate() {
    let world = World::with(&[], &["--no-ledger"]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    assert_eq!(world.at("refs/countersign/ledger"), "");
    assert!(!world.server.join("hooks/post-receive").exists());
    world
        .ledger(&["verify"])
        .ended(2, &["there is no ledger", "hint: a server keeps one once 'countersign hook install'"]);
    // Nor is one begun, or called settled, where somebody has named a developer's repository.
    for command in [&["settle"][..], &["enter", "--reason", "x"]] {
        let words = ["no ledger is kept in '", "work", "hint: name the server's repository"];
        world.countersign(&[&["ledger"], command, &["--repository", "work"]].concat()).ended(3, &words);
    }
    assert!(!world.path("work/.git/countersign").exists());
}
