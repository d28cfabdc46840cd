//! The time that judging may take: over, it is a refusal; and what was found by then is not lost.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use countersign::{
    hook::{Gate, MAXIMUM_LISTED, Pace, Update, Verdicts},
    object::ObjectId,
    policy::{Cause, Pushing},
    repository::{Approvals, Proofs, Repository},
    trust::{Beside, Trust},
    verify::Verifier,
};

use crate::{Draft, MAIN, Stage, now, standing::Nothing};

#[test]
fn a_push_that_takes_too_long_is_refused_and_nothing_of_it_is_accepted() {
    let stage = Stage::new(MAIN);
    let tip = stage.chain(None, 3).pop().unwrap();
    let main = format!("{tip}:refs/heads/main");
    stage.install(&stage.root, &["--time-limit", "0.000001"]).any_stdout().check();
    let words =
        ["error: refs/heads/main: the time for judging the push was over", "hint: push fewer commits"];
    stage.refused(&[&main], &words);
    assert_eq!(stage.at("refs/heads/main"), "");
    assert!(!stage.world.path("server.git/countersign/accepted").exists());
    // Nor is there a way around it by deleting or by what needs no judging.
    stage.refused(&[&format!("{tip}:refs/heads/elsewhere")], &["error: "]);
    stage.install(&stage.root, &["--time-limit", "600"]).any_stdout().check();
    stage.accepted(&[&main]);
    for wrong in ["0", "-1", "soon"] {
        stage.install(&stage.root, &["--time-limit", wrong]).status(64).any_stderr().check();
    }
}

#[test]
fn the_next_try_gets_further() {
    let stage = Stage::new(MAIN);
    let tip: ObjectId = stage.chain(None, 40).pop().unwrap().parse().unwrap();
    let world = &stage.world;
    let policy = world.write("draft/file.toml", Draft::new(1, MAIN).text(world));
    let state = world.path("state");
    let repository = Repository::open(&stage.author().path).unwrap();
    let update = Update { claimed: None, wanted: Some(tip), reference: b"refs/heads/main".to_vec() };
    // Time for about so many looks at the clock.
    let judge = |looks: usize| {
        let mut trust = Trust::load(&Beside::new(&policy)).unwrap();
        let instances = trust.take_instances().unwrap();
        let verdicts = Verdicts::open(&state, &trust, &instances, now()).unwrap();
        let looked = AtomicUsize::new(0);
        let is_over = || looked.fetch_add(1, Ordering::Relaxed) >= looks;
        let gate = Gate {
            policy: &trust.policy,
            verifier: &Verifier::new(instances),
            objects: &repository.objects().unwrap(),
            standing: &Nothing,
            shallow: &repository.shallow(None).unwrap(),
            proofs: &Proofs::default(),
            pushing: &Pushing::Nobody,
            approvals: &Approvals::default(),
            now: now(),
            maximum_listed: MAXIMUM_LISTED,
            pace: Pace { is_over: &is_over, verdicts: Some(&verdicts), ..Pace::default() },
        };
        let finding = gate.judge(std::slice::from_ref(&update), &mut io::sink());
        verdicts.keep(false).unwrap();
        match finding.refusals.as_slice() {
            [] => None,
            [refusal] => match refusal.cause {
                Cause::OutOfTime { judged, of } if finding.is_out_of_time => Some((judged, of)),
                ref other => panic!("{other}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(judge(0), Some((0, 0)), "not even its history was read");
    let mut before = 0;
    let mut tries = 0;
    while let Some((judged, of)) = judge(20) {
        assert!(of == 40 && judged > before && judged < 40, "{judged} of {of} after {before}");
        (before, tries) = (judged, tries + 1);
    }
    assert!((2..10).contains(&tries), "{tries}");
    // All that was needed is remembered now.
    assert_eq!(judge(10), None);
}
