//! The timestamp client against authorities that are right, wrong and rude.

use std::{fs, process::Command};

use aws_lc_rs::digest::{SHA256, digest};
use der::{Decode as _, Encode as _};
use x509_tsp::TimeStampReq;

use super::{TimestampError, query, read, request_token};
use crate::service::test_server::{Answer, Received, TestServer, quick_http};

/// DER of one element; contents shorter than 64 KiB.
fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let length = u16::try_from(contents.len()).unwrap();
    let mut der = vec![tag];
    match length {
        0..=127 => der.push(length as u8),
        128..=255 => der.extend([0x81, length as u8]),
        _ => der.extend([&[0x82], length.to_be_bytes().as_slice()].concat()),
    }
    der.extend(contents);
    der
}

fn oid(text: &str) -> Vec<u8> {
    der::asn1::ObjectIdentifier::new(text).unwrap().to_der().unwrap()
}

/// A token (unsigned: signatures are not this client's to check) with fractional seconds and accuracy.
fn token(imprint: &[u8], nonce: &[u8]) -> Vec<u8> {
    let sha256 = element(0x30, &[&oid("2.16.840.1.101.3.4.2.1")]);
    let info = element(
        0x30,
        &[
            &[2, 1, 1],
            &oid("1.2.3.4"),
            &element(0x30, &[&sha256, &element(4, &[imprint])]),
            &[2, 1, 9],
            &element(0x18, &[b"20250101000000.25Z"]),
            &element(0x30, &[&[2, 1, 1]]),
            &element(2, &[nonce]),
        ],
    );
    let content =
        element(0x30, &[&oid("1.2.840.113549.1.9.16.1.4"), &element(0xa0, &[&element(4, &[&info])])]);
    let signed_data = element(0x30, &[&[2, 1, 3], &element(0x31, &[&sha256]), &content, &element(0x31, &[])]);
    element(0x30, &[&oid("1.2.840.113549.1.7.2"), &element(0xa0, &[&signed_data])])
}

fn granted(token: &[u8]) -> Vec<u8> {
    element(0x30, &[&element(0x30, &[&[2, 1, 0]]), token])
}

fn asked(request: &Received) -> TimeStampReq {
    TimeStampReq::from_der(&request.body).unwrap()
}

fn reply(body: Vec<u8>) -> Answer {
    Answer::Full(200, "Content-Type: application/timestamp-reply\r\n".to_owned(), body)
}

#[test]
fn a_token_is_asked_for_and_cut_out_as_it_came() {
    let server = TestServer::new(|request, _| {
        let asked = asked(request);
        let imprint = asked.message_imprint.hashed_message.as_bytes();
        reply(granted(&token(imprint, asked.nonce.unwrap().as_bytes())))
    });
    let got =
        request_token(&quick_http(), &format!("{}/api/v1/timestamp", server.url), b"signature").unwrap();
    let request = &server.received()[0];
    let asked = asked(request);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/timestamp"));
    assert_eq!(request.header("content-type"), Some("application/timestamp-query"));
    assert!(asked.cert_req);
    let imprint = digest(&SHA256, b"signature");
    assert_eq!(asked.message_imprint.hashed_message.as_bytes(), imprint.as_ref());
    assert_eq!(got, token(imprint.as_ref(), asked.nonce.unwrap().as_bytes()));
}

#[test]
fn a_token_for_something_else_is_refused() {
    let nonce = TestServer::new(|request, _| {
        let imprint = asked(request).message_imprint.hashed_message.as_bytes().to_vec();
        reply(granted(&token(&imprint, &[0x55; 16])))
    });
    let result = request_token(&quick_http(), &nonce.url, b"signature");
    assert!(matches!(result, Err(TimestampError::Nonce)), "{result:?}");
    let imprint = TestServer::new(|request, _| {
        reply(granted(&token(&[9; 32], asked(request).nonce.unwrap().as_bytes())))
    });
    let result = request_token(&quick_http(), &imprint.url, b"signature");
    assert!(matches!(result, Err(TimestampError::Imprint)), "{result:?}");
}

#[test]
fn refusals_and_nonsense_have_their_causes() {
    let ask = |answer: fn() -> Answer| {
        let server = TestServer::new(move |_, _| answer());
        request_token(&quick_http(), &server.url, b"signature").unwrap_err()
    };
    let rejection = || reply(element(0x30, &[&element(0x30, &[&[2, 1, 2], &[3, 2, 5, 0x20]])]));
    assert!(matches!(ask(rejection), TimestampError::Status(2)));
    assert!(matches!(ask(|| Answer::html(400)), TimestampError::Refused(_)));
    assert!(matches!(ask(|| Answer::html(200)), TimestampError::Unreadable));
    let empty_grant = || reply(element(0x30, &[&element(0x30, &[&[2, 1, 0]])]));
    assert!(matches!(ask(empty_grant), TimestampError::Unreadable));
    let trailing = || reply([granted(&token(&[0; 32], &[1])), vec![0]].concat());
    assert!(matches!(ask(trailing), TimestampError::Unreadable));
    assert!(matches!(ask(|| reply(vec![0; 100_000])), TimestampError::Http(_)), "oversize");
}

#[test]
fn openssl_answers_our_query() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: openssl_answers_our_query: openssl not found");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        let output = command.current_dir(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(
        folder.path().join("tsa.cnf"),
        "[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=ext\n[dn]\nCN=test\n\
         [ext]\nextendedKeyUsage=critical,timeStamping\n[tsa]\ndefault_tsa=t\n[t]\nserial=serial\n\
         signer_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\naccuracy=secs:1\nclock_precision_digits=3\n",
    )
    .unwrap();
    run(&[
        "req",
        "-x509",
        "-config",
        "tsa.cnf",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "certificate.pem",
        "-days",
        "2",
    ]);
    let imprint = digest(&SHA256, b"signature");
    let nonce = [0x41; 16];
    fs::write(folder.path().join("query.tsq"), query(imprint.as_ref(), &nonce).unwrap()).unwrap();
    run(&[
        "ts",
        "-reply",
        "-config",
        "tsa.cnf",
        "-queryfile",
        "query.tsq",
        "-inkey",
        "key.pem",
        "-signer",
        "certificate.pem",
        "-out",
        "response.tsr",
    ]);
    let response = fs::read(folder.path().join("response.tsr")).unwrap();
    let token = read(&response, imprint.as_ref(), &nonce).unwrap();
    fs::write(folder.path().join("token"), token).unwrap();
    fs::write(folder.path().join("data"), b"signature").unwrap();
    run(&["ts", "-verify", "-token_in", "-in", "token", "-data", "data", "-CAfile", "certificate.pem"]);
}
