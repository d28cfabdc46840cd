//! The Rekor v2 client against logs that are right, wrong and rude.

use super::submit;
use crate::{
    service::{
        base64,
        rekor_v1::{RekorError, Submission},
        test_server::{Answer, TestServer, quick_http},
    },
    sigstore::log_entry::BodyVersion,
};

const SUBMISSION: Submission<'static> =
    Submission { digest: &[7; 32], signature: b"signature", certificate: b"certificate" };

fn ours() -> Vec<u8> {
    SUBMISSION.body(BodyVersion::V002)
}

fn entry() -> serde_json::Value {
    serde_json::json!({
        "logIndex": "4",
        "logId": {"keyId": base64(&[0xcd; 32])},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "integratedTime": "0",
        "inclusionPromise": null,
        "inclusionProof": {
            "logIndex": "4", "treeSize": "5", "rootHash": base64(&[1; 32]),
            "hashes": [base64(&[2; 32])], "checkpoint": {"envelope": "log\n5\nroot\n\n— log sig\n"},
        },
        "canonicalizedBody": base64(&ours()),
    })
}

#[test]
fn an_entry_is_asked_for_and_converted() {
    let server = TestServer::new(|_, _| Answer::json(201, &entry()));
    let entry = submit(&quick_http(), &server.url, SUBMISSION).unwrap();
    assert_eq!((entry.log_index, entry.integrated_time), (4, 0));
    assert!(entry.inclusion_promise.is_none());
    assert_eq!(entry.body_version(), Ok(BodyVersion::V002));
    assert_eq!(entry.log_id.as_ref().unwrap().key_id, [0xcd; 32]);
    let proof = entry.inclusion_proof.as_ref().unwrap();
    assert_eq!((proof.log_index, proof.tree_size), (4, 5));

    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v2/log/entries"));
    let sent = &request.json()["hashedRekordRequestV002"];
    assert_eq!(sent["digest"], base64(&[7; 32]));
    assert_eq!(sent["signature"]["content"], base64(b"signature"));
    assert_eq!(sent["signature"]["verifier"]["keyDetails"], "PKIX_ECDSA_P256_SHA_256");
    assert_eq!(sent["signature"]["verifier"]["x509Certificate"]["rawBytes"], base64(b"certificate"));
}

#[test]
fn the_first_entry_of_a_log_has_no_index_in_its_json() {
    let server = TestServer::new(|_, _| {
        let mut entry = entry();
        entry.as_object_mut().unwrap().remove("logIndex");
        let proof = entry["inclusionProof"].as_object_mut().unwrap();
        proof.remove("logIndex");
        proof.remove("hashes");
        proof.insert("treeSize".to_owned(), 1.into());
        Answer::json(201, &entry)
    });
    let entry = submit(&quick_http(), &server.url, SUBMISSION).unwrap();
    let proof = entry.inclusion_proof.unwrap();
    assert_eq!((entry.log_index, proof.log_index, proof.tree_size, proof.hashes.len()), (0, 0, 1, 0));
}

#[test]
fn other_answers_have_their_causes() {
    let ask = |change: fn(&mut serde_json::Value)| {
        let server = TestServer::new(move |_, _| {
            let mut answer = entry();
            change(&mut answer);
            Answer::json(201, &answer)
        });
        submit(&quick_http(), &server.url, SUBMISSION).unwrap_err()
    };
    for change in [
        |entry: &mut serde_json::Value| entry["canonicalizedBody"] = base64(b"{}").into(),
        |entry: &mut serde_json::Value| entry["kindVersion"]["version"] = "0.0.1".into(),
        |entry: &mut serde_json::Value| entry["kindVersion"]["kind"] = "dsse".into(),
    ] {
        let error = ask(change);
        assert!(matches!(error, RekorError::ForeignEntry), "{error}");
    }
    let error = ask(|entry| entry["inclusionProof"] = serde_json::Value::Null);
    assert!(matches!(error, RekorError::Incomplete("inclusion proof")), "{error}");
    let error = ask(|entry| entry["inclusionProof"]["checkpoint"] = serde_json::Value::Null);
    assert!(matches!(error, RekorError::Incomplete("checkpoint")), "{error}");
    let error = ask(|entry| entry["logIndex"] = "four".into());
    assert!(matches!(error, RekorError::Unreadable(_)), "{error}");
    let server = TestServer::new(|_, _| Answer::html(400));
    let result = submit(&quick_http(), &server.url, SUBMISSION);
    assert!(matches!(result, Err(RekorError::Refused(_))), "{result:?}");
}
