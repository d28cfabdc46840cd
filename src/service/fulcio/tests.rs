//! The Fulcio client against authorities that are right, wrong and rude.

use aws_lc_rs::{
    encoding::AsDer as _,
    signature::{ECDSA_P256_SHA256_ASN1, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey},
};

use super::{FulcioError, Subject, request_certificate};
use crate::{
    service::{
        test_server::{Answer, Received, TestServer, quick_http},
        unbase64,
    },
    signature::emit::tests::{certificate, key},
};

const SUBJECT: Subject<'static> =
    Subject { issuer: "https://issuer.example", subject: "17", email: Some("a@example.org") };

fn pem(certificate: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, certificate).unwrap()
}

fn issued(leaf: &[u8]) -> Answer {
    let chain = serde_json::json!({"certificates": [pem(leaf), pem(leaf)]});
    Answer::json(200, &serde_json::json!({"signedCertificateEmbeddedSct": {"chain": chain}}))
}

/// Whether the request proves possession of `key` over `challenge`.
fn proves(request: &Received, key: &EcdsaKeyPair, challenge: &str) -> bool {
    let body = request.json();
    let proof = unbase64(body["publicKeyRequest"]["proofOfPossession"].as_str().unwrap()).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref());
    public.verify(challenge.as_bytes(), &proof).is_ok()
}

#[test]
fn a_certificate_is_asked_for_and_read() {
    let key = key();
    let leaf = certificate(&key, 1_700_000_000, 1_700_000_600);
    let answer = leaf.clone();
    let server = TestServer::new(move |_, _| issued(&answer));
    let issued = request_certificate(&quick_http(), &server.url, "tok.en.x", SUBJECT, &key).unwrap();
    assert_eq!((issued.leaf, issued.not_before, issued.not_after), (leaf, 1_700_000_000, 1_700_000_600));

    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v2/signingCert"));
    let body = request.json();
    assert_eq!(body["credentials"]["oidcIdentityToken"], "tok.en.x");
    assert_eq!(body["publicKeyRequest"]["publicKey"]["algorithm"], "ECDSA");
    let public = body["publicKeyRequest"]["publicKey"]["content"].as_str().unwrap();
    let (label, der) = der::pem::decode_vec(public.as_bytes()).unwrap();
    assert_eq!((label, der.as_slice()), ("PUBLIC KEY", key.public_key().as_der().unwrap().as_ref()));
    assert!(proves(request, &key, "a@example.org") && !proves(request, &key, "17"));
}

#[test]
fn the_subject_is_the_challenge_where_there_is_no_address() {
    let key = key();
    let leaf = certificate(&key, 0, 1);
    let server = TestServer::new(move |_, _| issued(&leaf));
    let subject = Subject { email: None, ..SUBJECT };
    request_certificate(&quick_http(), &server.url, "t", subject, &key).unwrap();
    assert!(proves(&server.received()[0], &key, "17"));
}

#[test]
fn a_refused_proof_is_made_again_over_the_claim_that_the_authority_names() {
    for (claim, outcome) in [("sub", true), ("email", false)] {
        let key = key();
        let leaf = certificate(&key, 0, 1);
        let server = TestServer::new(move |request, before| match (request.path.as_str(), before) {
            ("/api/v2/configuration", _) => Answer::json(
                200,
                &serde_json::json!({"issuers": [
                    {"wildcardIssuerUrl": "https://*.example", "challengeClaim": "x"},
                    {"issuerUrl": "https://issuer.example", "audience": "sigstore", "challengeClaim": claim},
                ]}),
            ),
            (_, 0) => {
                Answer::json(400, &serde_json::json!({"code": 3, "message": "The signature is invalid"}))
            }
            _ => issued(&leaf),
        });
        let result = request_certificate(&quick_http(), &server.url, "t", SUBJECT, &key);
        let received = server.received();
        if outcome {
            result.unwrap();
            assert!(proves(&received[2], &key, "17"));
        } else {
            let Err(FulcioError::Refused(refusal)) = result else { panic!("{result:?}") };
            assert_eq!((refusal.status, refusal.said.as_str()), (400, "The signature is invalid"));
            assert_eq!(received.len(), 2);
        }
    }
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let other = certificate(&key(), 0, 1);
    let server = TestServer::new(move |_, _| issued(&other));
    let result = request_certificate(&quick_http(), &server.url, "t", SUBJECT, &key());
    assert!(matches!(result, Err(FulcioError::Key)), "{result:?}");
}

#[test]
fn answers_that_are_no_certificate_have_their_causes() {
    let ask = |answer: fn() -> Answer| {
        let server = TestServer::new(move |_, _| answer());
        request_certificate(&quick_http(), &server.url, "t", SUBJECT, &key()).unwrap_err()
    };
    let embedded =
        |leaf: &str| serde_json::json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": [leaf]}}});
    let error =
        ask(|| Answer::json(200, &serde_json::json!({"signedCertificateDetachedSct": {"chain": {}}})));
    assert!(matches!(error, FulcioError::DetachedSct), "{error}");
    for answer in [
        || Answer::json(200, &serde_json::json!({})),
        || Answer::html(200),
        || {
            let chain = serde_json::json!({"chain": {"certificates": []}});
            Answer::json(200, &serde_json::json!({"signedCertificateEmbeddedSct": chain}))
        },
    ] {
        let error = ask(answer);
        assert!(matches!(error, FulcioError::Unreadable(_)) && !error.retryable(), "{error}");
    }
    for leaf in ["", "nonsense", &pem(b"\x30\x00").replace("CERTIFICATE", "PUBLIC KEY"), &pem(b"\x30\x00")] {
        let body = embedded(leaf);
        let server = TestServer::new(move |_, _| Answer::json(200, &body));
        let result = request_certificate(&quick_http(), &server.url, "t", SUBJECT, &key());
        assert!(matches!(result, Err(FulcioError::Unreadable(_))), "{result:?}");
    }
    let error = ask(|| Answer::html(403));
    let FulcioError::Refused(refusal) = &error else { panic!("{error}") };
    assert!(refusal.status == 403 && refusal.said.starts_with("<html>") && !error.retryable());
    assert!(ask(|| Answer::html(503)).retryable());
}
