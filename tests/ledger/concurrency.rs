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
