//! Messages there and back, and what is no message.

use zeroize::Zeroizing;

use super::*;
use crate::service::tls::TlsFiles;
use crate::sign::{LogService, Logging, RekorVersion};

fn ask(token: Option<&str>) -> Ask {
    Ask {
        wanted: Wanted {
            instance: "sandbox".to_owned(),
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
            identity: None,
        },
        demands: Demands { identity: None, committer: true },
        may_log_in: true,
        token: token.map(|token| Secret(Zeroizing::new(token.to_owned()))),
        patience: 120,
    }
}

/// The head of a message that was encoded.
fn head(message: &[u8]) -> &[u8] {
    let prefix = Prefix::parse(message[..PREFIX_BYTES].try_into().unwrap()).unwrap();
    assert_eq!(message.len(), PREFIX_BYTES + prefix.head + prefix.body);
    &message[PREFIX_BYTES..PREFIX_BYTES + prefix.head]
}

#[test]
fn messages_come_back_as_they_went() {
    let requests = [
        Request::Sign(ask(None)),
        Request::Open(ask(Some("a.b.c"))),
        Request::Status {},
        Request::SignAfar { instance: "sandbox".to_owned(), demands: Demands::default() },
        Request::Forward(Terms {
            host: "far".to_owned(),
            wanted: ask(None).wanted,
            demands: Demands::default(),
            signatures: 5,
            seconds: 60,
            asks: true,
        }),
        Request::Confirmed { yes: true },
        Request::Terms {},
        Request::Lock {},
        Request::Stop {},
        Request::Failed { reason: "nobody was there".to_owned() },
        Request::Token { token: Secret(Zeroizing::new("x.y.z".to_owned())) },
    ];
    for request in requests {
        let sent = encode(&request, b"payload").unwrap();
        assert!(sent.ends_with(b"payload"));
        assert_eq!(decode::<Request>(head(&sent)).unwrap(), request);
        assert!(!format!("{request:?}").contains("a.b.c") && !format!("{request:?}").contains("x.y.z"));
    }
    let sent = encode(&Answer::Unsupported { versions: vec![1] }, b"").unwrap();
    assert_eq!(head(&sent), br#"{"version":1,"message":{"unsupported":{"versions":[1]}}}"#);
}

#[test]
fn another_version_is_told_by_its_number_whatever_it_says() {
    for head in [&br#"{"version":2,"message":{"sign-faster":{}}}"#[..], br#"{"version":2,"more":[]}"#] {
        assert_eq!(decode::<Request>(head), Err(MessageError::Version(2)));
    }
}

#[test]
fn what_is_no_message_is_refused_and_never_quoted() {
    for head in [
        &b""[..],
        b"null",
        b"{}",
        b"GET / HTTP/1.1\r\n",
        br#"{"version":1}"#,
        br#"{"version":1,"message":{}}"#,
        br#"{"version":1,"message":"lock"}"#,
        br#"{"version":1,"message":{"lock":{"now":true}}}"#,
        br#"{"version":1,"message":{"lock":{}},"more":1}"#,
        br#"{"version":1,"version":1,"message":{"lock":{}}}"#,
        br#"{"version":1,"message":{"lock":{},"stop":{}}}"#,
        br#"{"version":1,"message":{"sign-digest":{"digest":"secret.secret.secret"}}}"#,
        br#"{"version":1,"message":{"token":{"token":["secret.secret.secret"]}}}"#,
    ] {
        let error = decode::<Request>(head).unwrap_err();
        assert!(matches!(error, MessageError::Malformed(_)), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn lengths_have_bounds() {
    let prefix = |head: u32, body: u32| {
        let mut bytes = [0; PREFIX_BYTES];
        bytes[..4].copy_from_slice(&head.to_be_bytes());
        bytes[4..].copy_from_slice(&body.to_be_bytes());
        Prefix::parse(bytes)
    };
    let [head, body] = [MAXIMUM_HEAD_BYTES, MAXIMUM_BODY_BYTES].map(|limit| u32::try_from(limit).unwrap());
    assert!(prefix(head, body).is_ok() && prefix(0, 0).is_ok());
    assert_eq!(prefix(head + 1, 0), Err(MessageError::TooLong));
    assert_eq!(prefix(0, body + 1), Err(MessageError::TooLong));
    assert_eq!(Prefix::parse(*b"GET / HT"), Err(MessageError::TooLong));
    let long = vec![0; MAXIMUM_BODY_BYTES + 1];
    assert_eq!(encode(&Request::Status {}, &long).unwrap_err(), MessageError::TooLong);
    let long = Request::Failed { reason: "x".repeat(MAXIMUM_HEAD_BYTES) };
    assert_eq!(encode(&long, b"").unwrap_err(), MessageError::TooLong);
}
