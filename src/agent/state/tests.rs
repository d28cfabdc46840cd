//! Who logs in, who waits, and when the next login is due.

use super::*;
use crate::{
    agent::{payload::Kind, protocol::Source},
    service::tls::TlsFiles,
    sign::{LogService, Logging, RekorVersion, SigningPlan},
};

const NOW: i64 = 1_790_000_000;
const PERSON: Visitor = Visitor { process: Some(7), may_log_in: true, has_token: false, awaited: None };

fn wanted(instance: &str, identity: Option<&str>) -> Wanted {
    Wanted {
        instance: instance.to_owned(),
        plan: SigningPlan {
            fulcio: "https://ca.example".to_owned(),
            logs: vec![LogService { url: "https://log.example".to_owned(), version: RekorVersion::V1 }],
            timestamps: Vec::new(),
            logging: Logging::Required,
        },
        tls: TlsFiles::default(),
        source: Source::Login {
            issuer: "https://issuer.example".to_owned(),
            client: "sigstore".to_owned(),
            connector: None,
        },
        identity: identity.map(str::to_owned),
    }
}

fn held(not_after: i64) -> Held<()> {
    let email = Some("a@example.org".to_owned());
    let holder = Holder { issuer: "i".to_owned(), subject: "s".to_owned(), email, not_after };
    Held { key: Arc::new(()), holder }
}

fn record(time: i64) -> Record {
    let word = || "x".to_owned();
    let (kind, process) = (Kind::Commit, None);
    Record { time, kind, about: word(), identity: word(), instance: word(), host: word(), process }
}

/// The number of the login that has to be.
fn login(step: Step<()>) -> u64 {
    let Step::LogIn { number, .. } = step else { panic!("{step:?}") };
    number
}

fn with_key(not_after: i64) -> (State<()>, Wanted) {
    let mut state = State::default();
    let wanted = wanted("a", None);
    let number = login(state.step(&wanted, PERSON, NOW));
    state.end_login(number, Outcome::Opened(held(not_after)));
    (state, wanted)
}

#[test]
fn one_logs_in_and_the_others_wait_for_the_same_key() {
    let mut state = State::default();
    let wanted = wanted("a", None);
    let number = login(state.step(&wanted, PERSON, NOW));
    for _ in 0..8 {
        let Step::Wait { number: awaited, process } = state.step(&wanted, PERSON, NOW) else { panic!() };
        assert_eq!((awaited, process), (number, Some(7)));
    }
    assert!(state.is_running(number) && !state.is_empty());
    state.end_login(number, Outcome::Opened(held(NOW + 600)));
    assert!(!state.is_running(number));
    let awaiting = Visitor { awaited: Some(number), ..PERSON };
    assert!(matches!(state.step(&wanted, awaiting, NOW), Step::Use { announce: false, .. }));
    assert!(matches!(state.step(&wanted, Visitor::default(), NOW), Step::Use { .. }), "nobody has to log in");
}

#[test]
fn a_failed_login_has_failed_for_those_who_waited_and_an_abandoned_one_passes_on() {
    let mut state = State::default();
    let wanted = wanted("a", None);
    let first = login(state.step(&wanted, PERSON, NOW));
    state.end_login(first, Outcome::Failed("no".to_owned()));
    let awaiting = Visitor { awaited: Some(first), ..PERSON };
    assert!(matches!(state.step(&wanted, awaiting, NOW), Step::Failed(reason) if reason == "no"));
    let second = login(state.step(&wanted, PERSON, NOW));
    state.end_login(second, Outcome::Abandoned);
    login(state.step(&wanted, Visitor { awaited: Some(second), ..PERSON }, NOW));
    // What ended already cannot end again.
    state.end_login(first, Outcome::Opened(held(NOW + 600)));
    assert!(matches!(state.step(&wanted, PERSON, NOW), Step::Wait { .. }));
}

#[test]
fn keys_are_told_apart_by_all_that_they_are_for() {
    let (mut state, key) = with_key(NOW + 600);
    let mut others = vec![wanted("b", None), wanted("a", Some("a@example.org"))];
    others.push(Wanted {
        plan: SigningPlan { timestamps: vec!["https://tsa.example".to_owned()], ..key.plan.clone() },
        ..key.clone()
    });
    for claims in ["00", "01"] {
        let (issuer, subject) = ("https://issuer.example".to_owned(), "s".to_owned());
        let source = Source::Token { issuer, subject, claims: claims.to_owned() };
        others.push(Wanted { source, ..key.clone() });
    }
    for other in others {
        assert!(matches!(state.step(&other, Visitor::default(), NOW), Step::NoKey), "{other:?}");
    }
    assert!(matches!(state.step(&key, Visitor::default(), NOW), Step::Use { .. }));
    assert_eq!(state.lock(), 1);
    assert!(state.is_empty());
    assert!(matches!(state.step(&key, Visitor::default(), NOW), Step::NoKey));
}

#[test]
fn a_key_that_ends_is_forgotten_before_it_is_too_late_to_sign() {
    let (mut state, wanted) = with_key(NOW + 600);
    assert!(matches!(state.step(&wanted, PERSON, NOW + 600 - USELESS - 1), Step::Use { .. }));
    assert!(matches!(state.step(&wanted, PERSON, NOW + 600 - USELESS), Step::LogIn { instead: None, .. }));
}

#[test]
fn a_run_that_outlives_its_key_is_told_and_asked_in_time_and_once() {
    let (mut state, wanted) = with_key(NOW + 600);
    // A signature now and then is never asked before the end.
    assert!(matches!(state.step(&wanted, PERSON, NOW + 500), Step::Use { announce: false, .. }));
    for second in 290..300 {
        assert!(matches!(state.step(&wanted, PERSON, NOW + second), Step::Use { announce: false, .. }));
        state.note(&wanted, record(NOW + second));
    }
    assert!(matches!(state.step(&wanted, PERSON, NOW + 301), Step::Use { announce: true, .. }));
    assert!(matches!(state.step(&wanted, PERSON, NOW + 302), Step::Use { announce: false, .. }));
    for second in 415..421 {
        state.note(&wanted, record(NOW + second));
    }
    let Step::LogIn { number, instead: Some((_, remaining)) } = state.step(&wanted, PERSON, NOW + 421) else {
        panic!()
    };
    assert_eq!(remaining, 179);
    // The others go on with the old key while one logs in, and afterwards if that fails.
    assert!(matches!(state.step(&wanted, PERSON, NOW + 422), Step::Use { .. }));
    state.end_login(number, Outcome::Failed("nobody there".to_owned()));
    assert!(matches!(state.step(&wanted, PERSON, NOW + 423), Step::Use { .. }));
    assert_eq!(state.keys()[0].signatures, 16);
}

#[test]
fn a_token_at_hand_renews_without_a_run() {
    let (mut state, wanted) = with_key(NOW + 600);
    let visitor = Visitor { has_token: true, ..Visitor::default() };
    assert!(matches!(state.step(&wanted, visitor, NOW + 500), Step::Use { announce: false, .. }));
    assert!(matches!(state.step(&wanted, visitor, NOW + 511), Step::LogIn { instead: Some(_), .. }));
}

#[test]
fn what_is_kept_is_bounded() {
    let mut state: State<()> = State::default();
    for number in 0..40 {
        let wanted = wanted(&number.to_string(), None);
        let login = login(state.step(&wanted, PERSON, NOW));
        state.end_login(login, Outcome::Opened(held(NOW + 600 + number)));
        state.note(&wanted, record(NOW));
    }
    assert_eq!(state.keys().len(), MAXIMUM_KEYS);
    assert_eq!(state.keys().iter().map(|key| key.holder.not_after).min(), Some(NOW + 624), "the last ones");
    for time in 0..1000 {
        state.note(&wanted("0", None), record(time));
        let login = login(state.step(&wanted("never", None), PERSON, NOW));
        state.end_login(login, Outcome::Failed(String::new()));
    }
    assert_eq!(state.records().0, 1040);
    assert_eq!(state.records().1.len(), MAXIMUM_RECORDS);
    assert_eq!(state.failures.len(), MAXIMUM_FAILURES);
}
#[test]
fn a_login_that_ends_after_the_agent_was_locked_brings_nothing() {
    let (mut state, wanted) = with_key(NOW + 600);
    let number = state.begin_anew(&wanted, Some(7)).unwrap();
    assert_eq!(state.lock(), 1);
    assert!(!state.is_running(number), "nobody waits for it any more");
    assert!(!state.end_login(number, Outcome::Opened(held(NOW + 600))));
    assert!(state.is_empty() && state.keys().is_empty());
    let number = login(state.step(&wanted, PERSON, NOW));
    assert!(state.end_login(number, Outcome::Opened(held(NOW + 600))));
    assert_eq!(state.keys().len(), 1);
}

#[test]
fn whether_a_key_can_be_refreshed_is_asked_near_its_end_and_once() {
    let (mut state, wanted) = with_key(NOW + 600);
    assert_eq!(state.refreshable(&wanted, NOW), Some(false), "nobody needs to know yet");
    assert_eq!(state.refreshable(&wanted, NOW + 301), None);
    for answer in [true, false] {
        state.remember_refreshable(&wanted, answer);
        assert_eq!(state.refreshable(&wanted, NOW + 302), Some(answer));
    }
    assert_eq!(state.refreshable(&wanted, NOW + 600), None, "there is none any more");
    let number = state.begin_anew(&wanted, None).unwrap();
    state.end_login(number, Outcome::Opened(held(NOW + 600)));
    assert_eq!(state.refreshable(&wanted, NOW + 301), None, "the next key is another question");
}
