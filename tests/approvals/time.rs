//! Where the time for judging ends, a push is refused for that and for nothing else: wherever it ends.

use std::time::Duration;

use countersign::hook::{Outcome, PolicyPlace, Watch, pre_receive_by};

use crate::{
    ALICE, BOB, CAROL, MAIN, REF, Stage, TWO,
    clock::{context, judge, wherever_it_ends},
    forges::{MERGES, staged},
    support::{Repository, World},
};

/// Bring what the developer has to the server, without a push.
fn bring(stage: &Stage<'_>) {
    let fetch = ["fetch", "-q", "--no-write-fetch-head", stage.work.path.to_str().unwrap(), "main"];
    stage.server.git(&fetch).check();
    if stage.work.has(REF) {
        stage.server.git(&[&fetch[..4], &[REF]].concat()).check();
    }
}

/// The line for a push of `reference` from where the server has it to where the developer does.
fn line(stage: &Stage<'_>, reference: &str) -> String {
    let value = |repository: &Repository<'_>| match repository.has(reference) {
        true => repository.id(reference),
        false => "0".repeat(40),
    };
    format!("{} {} {reference}\n", value(&stage.server), value(&stage.work))
}

/// A push that is accepted is refused wherever its time ends; how often it looks at the clock. What was verified is
/// not remembered from try to try.
fn looks(stage: &Stage<'_>, lines: &str) -> usize {
    bring(stage);
    let context = context(stage.world, PolicyPlace::File(stage.world.path("policy.toml")));
    let verdicts = context.state.join("verdicts");
    let forget = || drop(std::fs::remove_dir_all(&verdicts));
    wherever_it_ends(&context, lines, &forget, &|_| {})
}

#[test]
fn while_persons_and_approvals_are_counted() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let looks = || looks(&stage, &(line(&stage, MAIN) + &line(&stage, REF)));
    stage.commit(ALICE, "a", "a\n");
    stage.approve(CAROL, &[]);
    let one = looks();
    // Another commit is a look where it is verified and one where those who vouch for it are counted, and another
    // approval one where it is asked whether it may be added.
    stage.commit(ALICE, "b", "b\n");
    stage.approve(CAROL, &[]);
    let two = looks();
    assert!(two >= one + 3, "{two} where it was {one}");
    // Where approvals are enough, one more is a look when it is added, and one when it is counted.
    stage.approve(BOB, &[]);
    let enough = looks();
    stage.approve(ALICE, &[]);
    let all = looks();
    assert!(all >= enough + 2, "{all} where it was {enough}");
}

#[test]
fn while_approvals_of_something_else_are_looked_through() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    for content in ["1\n", "2\n", "3\n"] {
        stage.work.git(&["reset", "-q", "--hard", "origin/main"]).check();
        stage.commit(ALICE, "a", content);
        if content != "3\n" {
            stage.approve(BOB, &[]);
        }
    }
    // Nobody has approved the last one; whoever looks for the nearest of those that are kept looks at the clock too.
    let context = context(&world, PolicyPlace::File(world.path("policy.toml")));
    let refused = || {
        bring(&stage);
        let judged = judge(&context, &line(&stage, MAIN), usize::MAX);
        assert!(judged.words.contains("1 of 2 persons vouches for it"), "{}", judged.words);
        (judged.looks, judged.words.contains("an approval is for another tree"))
    };
    let (none, is_told) = refused();
    assert!(!is_told);
    stage.accepted(&[REF]);
    let (two, is_told) = refused();
    assert!(is_told && two >= none + 2, "{two} where it was {none}");
}

#[test]
fn while_the_merges_of_a_forge_are_made_anew() {
    staged("while_the_merges_of_a_forge_are_made_anew", MERGES, |forge| {
        forge.fork();
        forge.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge", "topic"]);
        let looks = looks(&forge.stage, &line(&forge.stage, MAIN));
        assert!(looks > 8, "{looks}");
    });
}

#[test]
fn while_paths_are_compared() {
    let world = World::new();
    let rules = TWO.replace("threshold = 2\n", "rewind = \"allow\"\n")
        + "[[rule.path]]\npaths = [\"infra/*/secret\"]\ncommits = [\"alice\"]\n";
    let stage = Stage::new(&world, &rules);
    stage.commit(ALICE, "one", "1\n");
    let flat = looks(&stage, &line(&stage, MAIN));
    // A tree of many folders is as many looks, in one commit.
    let folders = 30;
    stage.work.git(&["reset", "-q", "--hard", "origin/main"]).check();
    for number in 0..folders {
        let folder = stage.work.path.join(format!("infra/{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("file"), format!("{number}\n")).unwrap();
    }
    stage.commit(BOB, "two", "2\n");
    let deep = looks(&stage, &line(&stage, MAIN));
    assert!(deep >= flat + folders, "{deep} where it was {flat}");
    // A ref that goes back is compared as a whole.
    stage.accepted(&["main"]);
    stage.work.git(&["reset", "-q", "--hard", "HEAD~1"]).check();
    stage.commit(ALICE, "three", "3\n");
    let back = looks(&stage, &line(&stage, MAIN));
    assert!(back >= flat + folders, "{back} where it was {flat}");
}

#[test]
fn whoever_waits_hears_how_many_paths_were_compared() {
    let world = World::new();
    let rules = TWO.replace("threshold = 2\n", "")
        + "[[rule.path]]\npaths = [\"infra/*/secret\"]\ncommits = [\"alice\"]\n";
    let stage = Stage::new(&world, &rules);
    stage.commit(ALICE, "one", "1\n");
    bring(&stage);
    let context = context(&world, PolicyPlace::File(world.path("policy.toml")));
    let lines = line(&stage, MAIN);
    // The clock is slow wherever it is looked at by others than the thread that tells.
    let teller = std::thread::current().id();
    let is_over = || {
        if std::thread::current().id() != teller {
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    };
    let watch = Watch { is_over: &is_over, patience: Duration::from_millis(1) };
    let mut words = Vec::new();
    let outcome = pre_receive_by(&context, watch, &mut lines.as_bytes(), &mut words, &|_, _| Ok(()));
    let words = String::from_utf8(words).unwrap();
    assert_eq!(outcome, Outcome::Accepted, "{words}");
    assert!(words.contains("countersign: compared the paths of 0 of 1 commits\n"), "{words}");
}
