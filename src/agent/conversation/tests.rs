//! What may be asked for on a socket that is for signing only.

use std::os::unix::net::UnixStream;

use zeroize::Zeroizing;

use super::*;
use crate::{
    agent::protocol::{Source, Wanted},
    identity::Demands,
    service::tls::TlsFiles,
    sign::{LogService, Logging, RekorVersion, SigningPlan},
};

const RESTRICTED: Access = Access { may_log_in: false, may_manage: false };
const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b.c> 1 +0000\n\
                         committer A <a@b.c> 1 +0000\n\nmessage\n";

/// The answers to one request.
fn answers(request: &Request, payload: &[u8], access: Access) -> Vec<Answer> {
    let shared = Shared {
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
        clients: Mutex::default(),
        clock: || 1_790_000_000,
        since: 0,
        host: "here".to_owned(),
        heard: AtomicI64::new(0),
        is_stopping: AtomicBool::new(false),
        is_withdrawn: AtomicBool::new(true),
        bell: UnixStream::pair().unwrap().0,
    };
    let (near, far) = UnixStream::pair().unwrap();
    let (mut near, mut far) = (Wire::new(near).unwrap(), Wire::new(far).unwrap());
    near.send(request, payload).unwrap();
    shared.converse(&mut far, Peer { process: None }, access);
    drop(far);
    std::iter::from_fn(|| near.receive::<Answer>(REQUEST).ok()).map(|(answer, _)| answer).collect()
}

#[test]
fn a_restricted_socket_manages_nothing_and_starts_no_login() {
    for request in [Request::Status {}, Request::Lock {}, Request::Stop {}] {
        let [Answer::Refused { cause: Cause::Restricted, .. }] = &answers(&request, b"", RESTRICTED)[..]
        else {
            panic!("{request:?}")
        };
        assert!(!matches!(answers(&request, b"", Access::OWNER)[..], [Answer::Refused { .. }]));
    }
    let ask = Ask {
        wanted: Wanted {
            instance: "a".to_owned(),
            plan: SigningPlan {
                fulcio: "https://ca.invalid".to_owned(),
                logs: vec![LogService { url: "https://log.invalid".to_owned(), version: RekorVersion::V1 }],
                timestamps: Vec::new(),
                logging: Logging::Required,
            },
            tls: TlsFiles::default(),
            source: Source::Token { issuer: "i".to_owned(), subject: "s".to_owned() },
            identity: None,
        },
        demands: Demands::default(),
        may_log_in: true,
        token: Some(Secret(Zeroizing::new("a.b.c".to_owned()))),
        patience: 1,
    };
    for request in [Request::Sign(ask.clone()), Request::Open(ask)] {
        let answers = answers(&request, PAYLOAD, RESTRICTED);
        let [Answer::Working {}, Answer::Refused { cause: Cause::NoKey, .. }] = &answers[..] else {
            panic!("{answers:?}")
        };
    }
}
