//! Many pushes at once.

use std::{collections::BTreeSet, sync::Mutex, thread};

use super::*;

/// How many pushes there are, and how many at the same time.
const PUSHES: usize = 200;
const AT_ONCE: usize = 24;

#[test]
fn two_hundred_pushes_at_once_are_entered_once_each() {
    let world = World::new();
    let base = world.commit(&[], "base");
    world.push(&[&format!("{base}:refs/heads/shared")]).good();
    // Some go to refs of their own, some all to one from the same value, and some are not allowed.
    let rivals = world.commit(&[&base], "rival");
    let ways: Vec<String> = (0..PUSHES)
        .map(|number| match number % 4 {
            0 | 1 => format!("{base}:refs/heads/own-{number}"),
            2 => format!("{rivals}:refs/heads/shared"),
            _ => format!("{base}:refs/tags/t-{number}"),
        })
        .collect();
    let next = Mutex::new(ways.iter());
    let accepted = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(way) = next.lock().unwrap().next() else { return };
                    let said = world.push(&[way]);
                    let reference = way.split(':').nth(1).unwrap().to_owned();
                    if said.status == 0 {
                        accepted.lock().unwrap().push(reference);
                    } else {
                        let is_own = reference.contains("own");
                        assert!(!is_own, "{reference}: {said:?}");
                    }
                }
            });
        }
    });
    world.ledger(&["settle"]).good();
    let entered: Vec<String> =
        world.entries().into_iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    let own = entered.iter().filter(|entry| entry.starts_with("push refs/heads/own-")).count();
    assert_eq!(own, PUSHES / 2);
    // The first was there before; whoever came later found it done, or was too late.
    assert_eq!(entered.iter().filter(|entry| *entry == "push refs/heads/shared").count(), 2);
    let names: BTreeSet<&String> = entered.iter().collect();
    assert_eq!(names.len() + 1, entered.len(), "{entered:?}");
    assert!(accepted.into_inner().unwrap().iter().all(|name| !name.starts_with("refs/tags/")));
    world.ledger(&["verify"]).ended(0, &["every ref is as the ledger says"]);
    world.on_server(&["fsck", "--strict"]).good();
}

#[test]
fn packing_refs_while_a_push_is_under_way_waits_for_nobody() {
    let (world, one) = World::begun();
    // Between the gate's answer and the end of the push somebody packs refs.
    let hook = world.server.join("hooks/post-receive");
    fs::rename(&hook, world.server.join("hooks/real")).unwrap();
    write_hook(&hook, "#!/bin/sh\ngit pack-refs --all || exit 1\nexec hooks/real\n");
    let two = world.commit(&[&one], "two");
    let begun = std::time::Instant::now();
    world.push(&[&format!("{two}:refs/heads/main"), &format!("{two}:refs/heads/x")]).good();
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(world.entries().len(), 3);
    world.is_in_order();
}

#[test]
fn what_git_rejects_among_what_it_moves_is_not_entered() {
    for same in [false, true] {
        let world = World::with(&[], &["--hooks", "reference-transaction"]);
        let one = world.commit(&[], "one");
        let (two, three) = (world.commit(&[&one], "two"), world.commit(&[&one], "three"));
        world.push(&[&format!("{one}:refs/heads/main"), &format!("{three}:refs/heads/y")]).good();
        // Somebody else is first, after the gate has accepted and before git moves anything; once to the very same.
        let first = if same { &two } else { &three };
        let objects = "git --git-dir=../work/.git cat-file commit";
        let hook = format!(
            "#!/bin/sh\n[ $1 = refs/heads/main ] || exit 0\n{objects} {first} | git hash-object -t commit -w --stdin >&2\n\
             exec git update-ref refs/heads/main {first}\n"
        );
        write_hook(&world.server.join("hooks/update"), &hook);
        let push = [&format!("{two}:refs/heads/main")[..], &format!("{two}:refs/heads/other")];
        world.push(&push).refused(&["refs/heads/main"]);
        assert_eq!((&world.at("refs/heads/main"), &world.at("refs/heads/other")), (first, &two));
        world.ledger(&["settle"]).good();
        let entries = world.entries();
        let of = |name: &str| {
            entries.iter().filter(|line| line.ends_with(&format!(" push refs/heads/{name}"))).count()
        };
        assert_eq!(of("other"), 1, "{entries:?}");
        // What led to the same cannot be told from it by anybody; anything else is no deed of this push.
        assert_eq!(of("main"), 1 + usize::from(same), "{entries:?}");
        assert_eq!(world.intents(), Vec::<String>::new());
    }
}

#[test]
fn a_push_of_many_refs_is_entered_in_batches() {
    for atomic in ["--atomic", "--no-atomic"] {
        let world = World::new();
        let one = world.commit(&[], "one");
        let names: Vec<String> = (0..200).map(|number| format!("{one}:refs/heads/{number:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        world.push(&[&[atomic], names.as_slice()].concat()).good();
        assert_eq!(world.entries().len(), 200);
        world.is_in_order();
        let records = world.on_server(&["rev-list", "--count", "refs/countersign/ledger"]).good().stdout;
        assert!(records.parse::<usize>().unwrap() <= 40, "{records}");
        let gone: Vec<String> = (0..200).map(|number| format!(":refs/heads/{number:03}")).collect();
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        world.push(&gone).good();
        assert_eq!(world.entries().len(), 400);
        world.is_in_order();
    }
}
