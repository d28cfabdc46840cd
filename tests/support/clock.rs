//! The pre-receive hook's work in this process, by a clock that counts how often somebody looks at it.

#![allow(dead_code, reason = "not every test binary uses everything")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use countersign::hook::{
    AuditSink, Context, Outcome, PATIENCE, PolicyPlace, PushEnvironment, Settings, Watch, pre_receive_by,
};

use crate::support::{World, now};

/// What the pusher is told where the time was over.
const OVER: &str = ": the time for judging the push was over ";

/// How the hook answers a push whose objects are all at the server, by the policy in `policy`.
pub fn context(world: &World, policy: PolicyPlace) -> Context {
    Context {
        policy,
        trusted_roots: vec![("sandbox".to_owned(), world.path("authority/trusted_root.json"))],
        openpgp_certificates: Vec::new(),
        certificate_authorities: Vec::new(),
        state: world.path("server.git/countersign"),
        repository: world.path("server.git"),
        forge: None,
        environment: PushEnvironment { push_options: Some(Vec::new()), ..PushEnvironment::default() },
        now: now(),
        settings: Settings { audit: AuditSink::Off, ..Settings::default() },
    }
}

/// What became of a push.
pub struct Judged {
    pub outcome: Outcome,
    /// What the pusher was told.
    pub words: String,
    /// How often somebody has looked at the clock.
    pub looks: usize,
}

/// Judge the push of `lines` where the time is over after so many looks at the clock.
pub fn judge(context: &Context, lines: &str, looks: usize) -> Judged {
    judge_told(context, lines, looks, PATIENCE)
}

/// [`judge`], for a pusher who hears of it that often.
pub fn judge_told(context: &Context, lines: &str, looks: usize, patience: Duration) -> Judged {
    let looked = AtomicUsize::new(0);
    let is_over = || looked.fetch_add(1, Ordering::SeqCst) >= looks;
    let watch = Watch { is_over: &is_over, patience };
    let mut words = Vec::new();
    let outcome = pre_receive_by(context, watch, &mut lines.as_bytes(), &mut words, &|_, _| Ok(()));
    Judged { outcome, words: String::from_utf8(words).unwrap(), looks: looked.into_inner() }
}

/// A push that is accepted if there is time is refused wherever the time is over on the way, and for nothing else;
/// `before` comes before each try. After how many looks it was accepted.
pub fn wherever_it_ends(context: &Context, lines: &str, before: &dyn Fn(), each: &dyn Fn(&Judged)) -> usize {
    for looks in 0..10_000 {
        before();
        let judged = judge(context, lines, looks);
        if judged.outcome == Outcome::Accepted {
            return looks;
        }
        assert_eq!(judged.outcome, Outcome::Refused, "{}", judged.words);
        let mut errors = judged.words.lines().filter(|line| line.starts_with("error: "));
        assert!(errors.clone().next().is_some(), "{looks}: {}", judged.words);
        assert!(errors.all(|line| line.contains(OVER)), "{looks}: {}", judged.words);
        each(&judged);
    }
    panic!("it is never accepted");
}
