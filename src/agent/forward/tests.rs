//! What may be asked for on a socket that is for signatures from elsewhere, and how it ends.

use std::{
    path::Path,
    sync::{Condvar, atomic::AtomicI64},
};

use zeroize::Zeroizing;

use super::*;
use crate::{
    agent::{
        peer::Peer,
        protocol::{Ask, Secret, Source, Wanted},
        state::State,
    },
    object::{HashKind, Statement},
    service::tls::TlsFiles,
    sign::{LogService, Logging, RekorVersion, SigningPlan},
};

const NOW: i64 = 1_790_000_000;
const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b.c> 1 +0000\n\
                         committer A <a@b.c> 1 +0000\n\nthe title\nmore\n";

fn wanted() -> Wanted {
    Wanted {
        instance: "a".to_owned(),
        plan: SigningPlan {
            fulcio: "https://ca.invalid".to_owned(),
            logs: vec![LogService { url: "https://log.invalid".to_owned(), version: RekorVersion::V1 }],
            timestamps: Vec::new(),
            logging: Logging::Required,
        },
        tls: TlsFiles::default(),
        source: Source::Login { issuer: "i".to_owned(), client: "c".to_owned(), connector: None },
        identity: None,
    }
}

fn terms(signatures: u32) -> Terms {
    Terms {
        host: "far".to_owned(),
        wanted: wanted(),
        demands: Demands::default(),
        signatures,
        seconds: 60,
        asks: false,
    }
}

fn shared(folder: &Path) -> Shared {
    let place = Place::new(folder.join("agent"));
    place.prepare().unwrap();
    Shared {
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
        clients: Mutex::default(),
        keyring: Mutex::default(),
        clock: || NOW,
        since: 0,
        host: "here".to_owned(),
        heard: AtomicI64::new(0),
        is_stopping: AtomicBool::new(false),
        is_withdrawn: AtomicBool::new(true),
        bell: UnixStream::pair().unwrap().0,
        place,
        grants: Grants::default(),
    }
}

fn grant(terms: Terms) -> (Grant, mpsc::Receiver<Asked>) {
    let (questions, asked) = mpsc::channel();
    let grant = Grant {
        until: NOW + i64::from(terms.seconds),
        left: AtomicU32::new(terms.signatures),
        made: AtomicU32::new(0),
        connections: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
        questions: Mutex::new(questions),
        terms,
    };
    (grant, asked)
}

#[test]
fn nothing_but_a_signature_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let ask = Ask {
        wanted: wanted(),
        demands: Demands::default(),
        may_log_in: true,
        token: Some(Secret(Zeroizing::new("a.b.c".to_owned()))),
        patience: 1,
        refreshing: None,
    };
    for request in [
        Request::Status {},
        Request::Lock { logout: true },
        Request::Stop {},
        Request::Sign(ask.clone()),
        Request::Open(ask),
        Request::Token { token: Secret(Zeroizing::new("a.b.c".to_owned())), refresh: None },
        Request::Forward(terms(9)),
        Request::Confirmed { yes: true },
    ] {
        let (near, far) = UnixStream::pair().unwrap();
        let mut near = Wire::new(near).unwrap();
        near.send(&request, PAYLOAD).unwrap();
        let (grant, _asked) = grant(terms(9));
        shared.converse_afar(far, &grant);
        let (answer, _) = near.receive::<Answer>(THOUGHT).unwrap();
        assert!(
            matches!(answer, Answer::Refused { cause: Cause::Restricted, .. }),
            "{request:?}: {answer:?}"
        );
        assert!(near.receive::<Answer>(THOUGHT).is_err(), "and that is all");
        assert_eq!(grant.left.load(Ordering::SeqCst), 9);
    }
    assert!(shared.state().is_empty());
}

#[test]
fn without_a_key_nobody_is_asked_and_nothing_counts() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    for (instance, reason) in
        [("a", "there is no login where the agent runs"), ("b", "it was forwarded for the instance 'a'")]
    {
        let (near, far) = UnixStream::pair().unwrap();
        let mut near = Wire::new(near).unwrap();
        let instance = instance.to_owned();
        near.send(&Request::SignAfar { instance, demands: Demands::default() }, PAYLOAD).unwrap();
        let (grant, asked) = grant(Terms { asks: true, ..terms(9) });
        shared.converse_afar(far, &grant);
        assert_eq!(near.receive::<Answer>(THOUGHT).unwrap().0, Answer::Working {});
        let refused = Answer::Refused { cause: Cause::NoKey, reason: reason.to_owned() };
        assert_eq!(near.receive::<Answer>(THOUGHT).unwrap().0, refused);
        assert_eq!(grant.left.load(Ordering::SeqCst), 9);
        assert!(asked.try_recv().is_err());
    }
}

#[test]
fn an_approval_is_not_signed_for_anybody_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    for (hash, id) in [(HashKind::Sha1, "4".repeat(40)), (HashKind::Sha256, "4".repeat(64))] {
        let statement = Statement {
            repository: "example.com/a".to_owned(),
            reference: "refs/heads/main".to_owned(),
            base: None,
            tree: Some(id.parse().unwrap()),
        };
        for asks in [false, true] {
            let (near, far) = UnixStream::pair().unwrap();
            let mut near = Wire::new(near).unwrap();
            let request = Request::SignAfar { instance: "a".to_owned(), demands: Demands::default() };
            near.send(&request, &statement.to_be_signed(hash)).unwrap();
            let (grant, asked) = grant(Terms { asks, ..terms(9) });
            shared.converse_afar(far, &grant);
            let (answer, _) = near.receive::<Answer>(THOUGHT).unwrap();
            assert!(matches!(answer, Answer::Refused { cause: Cause::Restricted, .. }), "{answer:?}");
            assert_eq!(grant.left.load(Ordering::SeqCst), 9);
            assert!(asked.try_recv().is_err(), "nobody is asked");
        }
    }
}

#[test]
fn a_push_of_more_refs_than_can_be_shown_is_not_asked_about() {
    let id = "4".repeat(40);
    let payload = |count: usize| {
        let lines: String = (0..count).map(|number| format!("{id} {id} refs/heads/{number}\n")).collect();
        format!("certificate version 0.1\npusher P <p@b.c> 1 +0000\npushee https://a.b/c\nnonce 1\n\n{lines}")
    };
    let (many, few) = (payload(9), payload(2));
    let (grant, asked) = grant(Terms { asks: true, ..terms(2) });
    let (_near, far) = UnixStream::pair().unwrap();
    let wire = Wire::new(far).unwrap();
    let outcome = grant.confirm(&wire, &Signable::parse(many.as_bytes()).unwrap(), many.as_bytes());
    assert!(matches!(outcome, Err(Stop::Refused(Cause::Restricted, _))));
    assert!(asked.try_recv().is_err());
    let question = question("far", &Signable::parse(few.as_bytes()).unwrap(), few.as_bytes());
    assert_eq!(question.about, "refs/heads/0, refs/heads/1 at https://a.b/c");
    assert_eq!(question.title, format!("{id} {id} refs/heads/0"));
}

#[test]
fn locking_ends_what_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let (near, far) = UnixStream::pair().unwrap();
    let (mut near, mut far) = (Wire::new(near).unwrap(), Wire::new(far).unwrap());
    thread::scope(|scope| {
        let open = scope.spawn(|| shared.forward(&mut far, terms(9)));
        let (answer, _) = near.receive::<Answer>(THOUGHT).unwrap();
        let Answer::Forwarded { socket } = answer else { panic!("{answer:?}") };
        let (asks, owned) = UnixStream::pair().unwrap();
        let (mut asks, mut owned) = (Wire::new(asks).unwrap(), Wire::new(owned).unwrap());
        asks.send(&Request::Lock { logout: false }, b"").unwrap();
        shared.converse(&mut owned, Peer { process: None });
        assert_eq!(asks.receive::<Answer>(THOUGHT).unwrap().0, Answer::Done { forgotten: 0 });
        let (answer, _) = near.receive::<Answer>(THOUGHT).unwrap();
        assert_eq!(answer, Answer::Ended { reason: "the agent was locked".to_owned() });
        assert!(open.join().unwrap().is_ok());
        assert!(!Path::new(&socket).exists() && shared.grants.status().is_empty());
    });
}

#[test]
fn nothing_is_opened_in_a_folder_that_others_may_enter() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let place = folder.path().join("agent");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (_near, far) = UnixStream::pair().unwrap();
    let outcome = shared.forward(&mut Wire::new(far).unwrap(), terms(9));
    assert!(matches!(outcome, Err(Stop::Refused(Cause::Unavailable, _))));
    assert!(shared.grants.status().is_empty());
    assert_eq!(std::fs::read_dir(place).unwrap().count(), 0, "not even for a moment");
}

#[test]
fn a_connection_counts_until_it_ends_however_that_comes() {
    let count = AtomicUsize::new(0);
    let outcome = thread::scope(|scope| {
        let failing = scope.spawn(|| {
            let _counted = Counted::new(&count);
            assert_eq!(count.load(Ordering::SeqCst), 0, "it counts, and this fails");
        });
        failing.join()
    });
    assert!(outcome.is_err());
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn so_many_and_for_so_long_and_no_more() {
    let (grant, _asked) = grant(terms(2));
    let is_restricted = |outcome| matches!(outcome, Err(Stop::Refused(Cause::Restricted, _)));
    assert!(is_restricted(grant.take(NOW + 60)));
    assert!(grant.take(NOW).is_ok() && grant.take(NOW + 59).is_ok());
    assert!(is_restricted(grant.take(NOW)));
    assert_eq!(grant.status().left, 0);
    let (grant, _asked) = super::tests::grant(terms(2));
    grant.is_over.store(true, Ordering::SeqCst);
    assert!(is_restricted(grant.take(NOW)));
}

#[test]
fn the_user_is_asked_what_it_is_and_only_yes_is_yes() {
    let (grant, asked) = grant(Terms { asks: true, ..terms(2) });
    let signable = Signable::parse(PAYLOAD).unwrap();
    let confirm = |answer: Option<bool>| {
        let (near, far) = UnixStream::pair().unwrap();
        let wire = Wire::new(far).unwrap();
        thread::scope(|scope| {
            let confirmed = scope.spawn(|| grant.confirm(&wire, &signable, PAYLOAD));
            let question = asked.recv().unwrap();
            match answer {
                Some(yes) => question.answer.send(yes).unwrap(),
                // Whoever waited has gone, and the question with them.
                None => drop(near),
            }
            let outcome = confirmed.join().unwrap();
            assert!(question.waits.upgrade().is_none());
            (question.question, outcome)
        })
    };
    let (question, outcome) = confirm(Some(true));
    assert!(outcome.is_ok());
    assert_eq!((question.title.as_str(), question.address.as_str()), ("the title", "a@b.c"));
    assert_eq!(question.about, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    assert!(matches!(confirm(Some(false)).1, Err(Stop::Refused(Cause::Denied, _))));
    assert!(matches!(confirm(None).1, Err(Stop::Gone)));
    drop(asked);
    let wire = Wire::new(UnixStream::pair().unwrap().0).unwrap();
    assert!(matches!(grant.confirm(&wire, &signable, PAYLOAD), Err(Stop::Refused(Cause::Denied, _))));
}

#[test]
fn a_socket_lasts_as_long_as_whoever_has_opened_it() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(folder.path());
    let (near, far) = UnixStream::pair().unwrap();
    let (mut near, mut far) = (Wire::new(near).unwrap(), Wire::new(far).unwrap());
    thread::scope(|scope| {
        let open = scope.spawn(|| shared.forward(&mut far, terms(MAXIMUM_SIGNATURES + 1)));
        let (answer, _) = near.receive::<Answer>(THOUGHT).unwrap();
        let Answer::Forwarded { socket } = answer else { panic!("{answer:?}") };
        let ask = |request| {
            let mut wire = Wire::new(UnixStream::connect(&socket).unwrap()).unwrap();
            wire.send(&request, b"").unwrap();
            wire.receive::<Answer>(THOUGHT).unwrap().0
        };
        let Answer::Terms(status) = ask(Request::Terms {}) else { panic!() };
        assert_eq!((status.left, status.until), (MAXIMUM_SIGNATURES, NOW + 60));
        assert_eq!(shared.grants.status(), [status]);
        assert!(matches!(ask(Request::Stop {}), Answer::Refused { cause: Cause::Restricted, .. }));
        drop(near);
        assert!(matches!(open.join().unwrap(), Err(Stop::Gone)));
        assert!(!Path::new(&socket).exists());
        assert!(shared.grants.status().is_empty());
    });
}
