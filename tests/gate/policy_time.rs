//! A long history of the policy itself: followed for as long as there is time, and noted as soon as it changes.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use countersign::{
    hook::{Context, Outcome, PolicyMemory, PolicyPlace},
    object::ObjectId,
    trust::Pin,
};

use crate::{
    ALICE, Draft, MAIN, REF, Stage,
    clock::{context, judge, judge_told, wherever_it_ends},
};

/// How many changes the policy has gone through.
const STEPS: usize = 5;

/// A stage whose policy has changed that often since the hook was installed, without the hook having seen it; the
/// commits, and how the hook goes by them.
fn changed_often(stage: &Stage) -> (Vec<ObjectId>, Pin, Context) {
    let mut commits = vec![stage.root.clone()];
    for serial in 2..2 + STEPS as u64 {
        commits.push(Draft::new(serial, MAIN).publish(stage, ALICE));
    }
    bring(stage, &format!("+{REF}:{REF}"));
    let commits: Vec<ObjectId> = commits.iter().map(|commit| commit.parse().unwrap()).collect();
    let pin =
        Pin { repository: "example.com/project".to_owned(), reference: REF.to_owned(), root: commits[0] };
    let context = context(&stage.world, PolicyPlace::Reference(pin.clone()));
    (commits, pin, context)
}

/// Bring objects of the author's, or a ref, to the server without a push.
fn bring(stage: &Stage, what: &str) {
    let author = stage.world.path("author");
    stage.server().git(&["fetch", "-q", "--no-write-fetch-head", author.to_str().unwrap(), what]).check();
}

/// The line for a push that creates `main` with `id`.
fn created(id: &str) -> String {
    format!("{} {id} refs/heads/main\n", "0".repeat(40))
}

#[test]
fn a_long_history_of_the_policy_is_followed_as_long_as_there_is_time_and_what_was_judged_is_kept() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    bring(&stage, "HEAD");
    let (commits, pin, context) = changed_often(&stage);
    let memory = PolicyMemory::new(&context.state);
    let anew = || memory.note(&pin, commits[0]).unwrap();

    // Every step is a look at the clock, and each is kept once it was judged.
    let reached = RefCell::new(BTreeSet::new());
    wherever_it_ends(&context, &created(&one), &anew, &|_| {
        reached.borrow_mut().extend(memory.recall(&pin).unwrap());
    });
    assert_eq!(reached.into_inner(), commits.iter().copied().collect());

    // With time to read the history and judge two steps, the next try goes on where the one before has come to.
    anew();
    let mut tries = Vec::new();
    loop {
        let looks = if tries.is_empty() { STEPS + 2 } else { 2 * STEPS + 2 };
        let judged = judge(&context, &created(&one), looks);
        tries.push(memory.recall(&pin).unwrap().unwrap());
        if judged.outcome == Outcome::Accepted {
            break;
        }
        let over = "error: refs/heads/main: the time for judging the push was over ";
        assert!(judged.words.starts_with(over), "{}", judged.words);
        if tries.len() == 1 {
            let words = [&*format!("when 2 of {STEPS} objects were judged\n"), "hint: push again"];
            assert!(words.iter().all(|word| judged.words.contains(word)), "{}", judged.words);
        }
        assert!(tries.len() < 10, "{tries:?}");
    }
    let places = tries.iter().map(|at| commits.iter().position(|commit| commit == at).unwrap());
    let places: Vec<usize> = places.collect();
    assert!(places.len() > 1 && places.is_sorted() && places[0] > 0, "{places:?}");
}

#[test]
fn a_push_that_changes_the_policy_often_is_refused_wherever_its_time_ends() {
    let stage = Stage::new(MAIN);
    let (commits, pin, context) = changed_often(&stage);
    stage.server().git(&["update-ref", REF, &stage.root]).check();
    let lines = format!("{} {} {REF}\n", stage.root, commits[STEPS]);
    let memory = PolicyMemory::new(&context.state);
    let looks = wherever_it_ends(&context, &lines, &|| {}, &|_| {
        assert_eq!(memory.recall(&pin).unwrap(), Some(commits[0]), "what a push proposes is not noted");
    });
    assert!(looks > 2 * STEPS, "its history is read, and each step judged: {looks}");
}

#[test]
fn whoever_waits_for_a_long_policy_hears_how_far_it_is() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    bring(&stage, "HEAD");
    let (_, _, context) = changed_often(&stage);
    let judged = judge_told(&context, &created(&one), usize::MAX, Duration::ZERO);
    assert_eq!(judged.outcome, Outcome::Accepted, "{}", judged.words);
    for words in [
        "countersign: read 4 changes of the policy\n".to_owned(),
        format!("countersign: judged 3 of {STEPS} changes of the policy\n"),
    ] {
        assert!(judged.words.contains(&words), "no {words:?} in {}", judged.words);
    }
    assert!(!judged.words.contains("read 0 commits"), "{}", judged.words);
    // Nobody who does not wait hears of it.
    assert_eq!(judge(&context, &created(&one), usize::MAX).words, "");
}

#[test]
fn a_ref_that_is_set_back_right_after_a_push_has_changed_the_policy_is_noticed() {
    for hooks in [
        "pre-receive,post-receive,reference-transaction",
        "pre-receive,post-receive",
        "reference-transaction",
    ] {
        let stage = Stage::with(MAIN, &["--hooks", hooks]);
        let second = Draft::new(2, MAIN).publish(&stage, ALICE);
        // Alone, and with others, which are entered together.
        let zero = stage.author().commit("zero");
        stage.accepted(&[&format!("{REF}:{REF}"), &format!("{zero}:refs/heads/main")]);
        // By a shell on the server; no hook has run since the push.
        stage.server().git(&["-c", "core.hooksPath=/dev/null", "update-ref", REF, &stage.root]).check();
        let one = stage.author().commit("one");
        stage.refused(&[&format!("{one}:refs/heads/main")], &["was rewound or is out of date", &second]);
        // Put right, everything goes on.
        stage.server().git(&["-c", "core.hooksPath=/dev/null", "update-ref", REF, &second]).check();
        stage.accepted(&[&format!("{one}:refs/heads/main")]);
    }
}

#[test]
fn what_a_shell_makes_of_the_policys_ref_is_not_noted_for_it() {
    let stage = Stage::new(MAIN);
    let second = Draft::new(2, MAIN).publish(&stage, ALICE);
    stage.accepted(&[&format!("{REF}:{REF}")]);
    let memory = PolicyMemory::new(&stage.world.path("server.git/countersign"));
    let pin = Pin {
        repository: "example.com/project".to_owned(),
        reference: REF.to_owned(),
        root: stage.root.parse().unwrap(),
    };
    let noted = || memory.recall(&pin).unwrap().unwrap().to_string();
    assert_eq!(noted(), second);
    // With the hooks on, forwards to what nobody has signed, and back: an intent of another push waits meanwhile, so
    // that the hook does look.
    let server = stage.server();
    let tree = server.id(&format!("{second}^{{tree}}"));
    let forged = ["commit-tree", "--no-gpg-sign", "-m", "forged", "-p", &second, &tree];
    let forged = server.git(&forged).any_stdout().check().text();
    let intents = stage.world.path("server.git/countersign/intents");
    std::fs::create_dir_all(&intents).unwrap();
    for (waiting, value) in [("refs/heads/other", forged.trim_end()), ("refs/heads/other", &stage.root)] {
        let zero = "0".repeat(40);
        let intent = format!(
            "countersign intent 1\nreceived {}\npush {}\npolicy commit:{second}\nledger none\n\n{zero} {second} {waiting}\n",
            crate::now(),
            "1".repeat(32)
        );
        std::fs::write(intents.join(format!("{}.intent", "1".repeat(32))), intent).unwrap();
        server.git(&["update-ref", REF, value]).any_stderr().check();
        assert_eq!(noted(), second);
    }
}
