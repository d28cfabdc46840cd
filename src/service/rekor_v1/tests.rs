//! The Rekor v1 client against logs that are right, wrong and rude.

use super::{Found, MAXIMUM_FOUND, RekorError, Submission, fetch, search, submit};
use crate::{
    service::{
        base64,
        test_server::{Answer, TestServer, quick_http},
    },
    sigstore::log_entry::BodyVersion,
};

const UUID: &str = "108e9186e8c5677a1234567812345678123456781234567812345678123456781234567812345678";
const SUBMISSION: Submission<'static> =
    Submission { digest: &[7; 32], signature: b"signature", certificate: b"certificate" };

fn entry(body: &[u8]) -> serde_json::Value {
    serde_json::json!({UUID: {
        "body": base64(body),
        "integratedTime": 1_700_000_000,
        "logID": "ab".repeat(32),
        "logIndex": 25_579_000,
        "verification": {
            "inclusionProof": {
                "checkpoint": "log\n3\nroot\n\n— log sig\n",
                "hashes": ["11".repeat(32), "22".repeat(32)],
                "logIndex": 2,
                "rootHash": "33".repeat(32),
                "treeSize": 3,
            },
            "signedEntryTimestamp": base64(b"set"),
        },
    }})
}

fn ours() -> Vec<u8> {
    SUBMISSION.body(BodyVersion::V001)
}

#[test]
fn a_new_entry_is_converted_with_both_its_indices() {
    let server = TestServer::new(|_, _| Answer::json(201, &entry(&ours())));
    let entry = submit(&quick_http(), &server.url, SUBMISSION).unwrap();
    assert_eq!(entry.log_index, 25_579_000);
    assert_eq!(entry.integrated_time, 1_700_000_000);
    assert_eq!(entry.log_id.as_ref().unwrap().key_id, [0xab; 32]);
    assert_eq!(entry.signed_entry_timestamp(), Some(b"set".as_slice()));
    assert_eq!(entry.canonicalized_body, ours());
    assert_eq!(entry.body_version(), Ok(BodyVersion::V001));
    let proof = entry.inclusion_proof.as_ref().unwrap();
    assert_eq!((proof.log_index, proof.tree_size), (2, 3));
    assert_eq!(proof.hashes, [vec![0x11; 32], vec![0x22; 32]]);
    assert_eq!(proof.root_hash, [0x33; 32]);
    assert_eq!(proof.checkpoint.as_ref().unwrap().envelope, "log\n3\nroot\n\n— log sig\n");

    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/log/entries"));
    assert_eq!(request.body, ours());
}

#[test]
fn an_entry_that_is_there_already_is_fetched_from_the_same_log() {
    for location in [
        format!("Location: /api/v1/log/entries/{UUID}\r\n"),
        // Only the id counts: the answer cannot send the client to another host.
        format!("Location: http://127.0.0.1:1/api/v1/log/entries/{UUID}\r\n"),
        String::new(),
    ] {
        let server = TestServer::new(move |request, _| {
            if request.method == "GET" {
                return Answer::json(200, &entry(&ours()));
            }
            let message = format!(
                "an equivalent entry already exists in the transparency log with UUID /api/v1/log/entries/{UUID}"
            );
            let body = serde_json::json!({"code": 409, "message": message}).to_string().into_bytes();
            Answer::Full(409, location.clone(), body)
        });
        submit(&quick_http(), &server.url, SUBMISSION).unwrap();
        assert_eq!(server.received()[1].path, format!("/api/v1/log/entries/{UUID}"));
    }
}

#[test]
fn a_foreign_entry_is_refused_new_or_old() {
    let foreign = || Submission { signature: b"other", ..SUBMISSION }.body(BodyVersion::V001);
    let new = TestServer::new(move |_, _| Answer::json(201, &entry(&foreign())));
    assert!(matches!(submit(&quick_http(), &new.url, SUBMISSION), Err(RekorError::ForeignEntry)));
    let old = TestServer::new(move |request, _| match request.method.as_str() {
        "GET" => Answer::json(200, &entry(&foreign())),
        _ => Answer::Full(409, format!("Location: /api/v1/log/entries/{UUID}\r\n"), Vec::new()),
    });
    assert!(matches!(submit(&quick_http(), &old.url, SUBMISSION), Err(RekorError::ForeignEntry)));
}

#[test]
fn a_conflict_without_an_id_is_a_refusal() {
    for location in ["", "Location: /api/v1/log/entries/../../x\r\n", "Location: /elsewhere\r\n"] {
        let server = TestServer::new(move |_, _| Answer::Full(409, location.to_owned(), b"exists".to_vec()));
        let result = submit(&quick_http(), &server.url, SUBMISSION);
        assert!(matches!(&result, Err(RekorError::Refused(refusal)) if refusal.status == 409), "{result:?}");
        assert_eq!(server.received().len(), 1);
    }
}

#[test]
fn incomplete_and_unreadable_answers_have_their_causes() {
    let ask = |change: fn(&mut serde_json::Value)| {
        let server = TestServer::new(move |_, _| {
            let mut answer = entry(&ours());
            change(&mut answer[UUID]);
            Answer::json(201, &answer)
        });
        submit(&quick_http(), &server.url, SUBMISSION).unwrap_err()
    };
    let missing = ask(|entry| entry["verification"]["signedEntryTimestamp"] = serde_json::Value::Null);
    assert!(matches!(missing, RekorError::Incomplete("signed entry timestamp")), "{missing}");
    let missing = ask(|entry| entry["verification"]["inclusionProof"] = serde_json::Value::Null);
    assert!(matches!(missing, RekorError::Incomplete("inclusion proof")), "{missing}");
    for change in [
        |entry: &mut serde_json::Value| entry["logID"] = "xyz".into(),
        |entry: &mut serde_json::Value| entry["logIndex"] = "1".into(),
        |entry: &mut serde_json::Value| entry["verification"]["signedEntryTimestamp"] = "!".into(),
        |entry: &mut serde_json::Value| entry["verification"]["inclusionProof"]["hashes"][0] = "1".into(),
    ] {
        let error = ask(change);
        assert!(matches!(error, RekorError::Unreadable(_)), "{error}");
    }
    for answer in [Answer::json, |_, _: &serde_json::Value| Answer::html(201)] {
        let server = TestServer::new(move |_, _| answer(201, &serde_json::json!({})));
        let result = submit(&quick_http(), &server.url, SUBMISSION);
        assert!(matches!(result, Err(RekorError::Unreadable(_))), "{result:?}");
    }
}

#[test]
fn a_search_is_for_digest_and_certificate_both() {
    let server = TestServer::new(|_, _| Answer::json(200, &serde_json::json!([UUID, UUID])));
    let found = search(&quick_http(), &server.url, &[7; 32], b"certificate").unwrap();
    assert_eq!(found, Found { ids: vec![UUID.to_owned()], more: false });
    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/index/retrieve"));
    let pem = "-----BEGIN CERTIFICATE-----\nY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    assert_eq!(
        request.json(),
        serde_json::json!({
            "hash": format!("sha256:{}", "07".repeat(32)),
            "publicKey": {"format": "x509", "content": base64(pem.as_bytes())},
            "operator": "and",
        })
    );
}

#[test]
fn a_search_that_finds_thousands_gives_back_few_and_says_so() {
    let ids: Vec<String> = (0..500).map(|number| format!("{number:080x}")).collect();
    let server = TestServer::new(move |_, _| Answer::json(200, &serde_json::json!(ids)));
    let found = search(&quick_http(), &server.url, &[7; 32], b"certificate").unwrap();
    assert_eq!((found.ids.len(), found.more), (MAXIMUM_FOUND, true));
}

#[test]
fn a_search_that_answers_anything_else_is_unreadable_or_a_refusal() {
    for answer in [
        serde_json::json!({}),
        serde_json::json!([7]),
        serde_json::json!(["../../x"]),
        serde_json::json!([UUID, "\u{1b}[2J"]),
    ] {
        let server = TestServer::new(move |_, _| Answer::json(200, &answer));
        let result = search(&quick_http(), &server.url, &[7; 32], b"certificate");
        assert!(matches!(result, Err(RekorError::Unreadable(_))), "{result:?}");
    }
    let server = TestServer::new(|_, _| Answer::html(404));
    let result = search(&quick_http(), &server.url, &[7; 32], b"certificate");
    assert!(matches!(&result, Err(RekorError::Refused(refusal)) if refusal.status == 404), "{result:?}");
}

#[test]
fn an_entry_is_fetched_as_the_log_writes_it() {
    let spelled = b"{ \"whatever\" : 1 }".to_vec();
    let answer = spelled.clone();
    let server = TestServer::new(move |_, _| Answer::Full(200, String::new(), answer.clone()));
    assert_eq!(fetch(&quick_http(), &server.url, UUID).unwrap(), Some(spelled));
    assert_eq!(server.received()[0].path, format!("/api/v1/log/entries/{UUID}"));
    let none = TestServer::new(|_, _| Answer::html(404));
    assert_eq!(fetch(&quick_http(), &none.url, UUID).unwrap(), None);
    let refused = TestServer::new(|_, _| Answer::html(403));
    assert!(matches!(fetch(&quick_http(), &refused.url, UUID), Err(RekorError::Refused(_))));
}
