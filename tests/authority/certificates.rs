//! Certificates: their shape, their chain, and what has to be proven to get one.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::sandbox::{Identity, IssueError, TOKEN_LIFETIME};
use der::{Decode, Encode, asn1::Utf8StringRef, oid::ObjectIdentifier};
use serde_json::{Value, json};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::{
    Certificate,
    ext::pkix::{self, SubjectAltName, name::GeneralName},
};

use crate::{
    Customer, NEW_YEAR, assert_success, authority, authority_at, get, openssl, pem, post, post_json,
};

const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];

fn webpki_accepts(chain: &[Vec<u8>], usage: &'static [u8], seconds: i64) -> Result<(), webpki::Error> {
    let root = chain[2].as_slice().into();
    let anchor = anchor_from_trusted_cert(&root)?;
    let intermediate = chain[1].as_slice().into();
    let leaf = chain[0].as_slice().into();
    let time = Duration::from_secs(seconds.try_into().unwrap());
    EndEntityCert::try_from(&leaf)?
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &[anchor],
            &[intermediate],
            rustls::pki_types::UnixTime::since_unix_epoch(time),
            KeyUsage::required(usage),
            None,
            None,
        )
        .map(drop)
}

#[test]
fn the_chain_is_accepted_by_webpki_in_its_ten_minutes_only() {
    let (running, _) = authority_at(NEW_YEAR);
    let spki = Customer::new().spki();
    let chain = running.authority().issue_certificate("ada@example.com", &spki).unwrap();
    webpki_accepts(&chain, CODE_SIGNING, NEW_YEAR).unwrap();
    webpki_accepts(&chain, CODE_SIGNING, NEW_YEAR + 600).unwrap();
    assert!(webpki_accepts(&chain, CODE_SIGNING, NEW_YEAR + 601).is_err());
    assert!(webpki_accepts(&chain, CODE_SIGNING, NEW_YEAR - 1).is_err());
    assert!(webpki_accepts(&chain, TIME_STAMPING, NEW_YEAR).is_err(), "the usage is code signing alone");
}

#[test]
fn the_chain_is_accepted_by_openssl() {
    let running = authority();
    let folder = tempfile::tempdir().unwrap();
    let chain = running.authority().issue_certificate("ada@example.com", &Customer::new().spki()).unwrap();
    for (name, der) in ["leaf", "intermediate", "root"].iter().zip(&chain) {
        std::fs::write(folder.path().join(name), pem("CERTIFICATE", der)).unwrap();
    }
    let arguments = [
        "verify",
        "-x509_strict",
        "-CAfile",
        "root",
        "-untrusted",
        "intermediate",
        "-purpose",
        "any",
        "leaf",
    ];
    let Some(output) = openssl("the_chain_is_accepted_by_openssl", folder.path(), &arguments) else { return };
    assert_success(&output);
}

#[test]
fn a_leaf_has_the_shape_of_fulcios() {
    let (running, _) = authority_at(NEW_YEAR);
    for identity in ["ada@example.com", "https://ci.example.com/build@refs/heads/main"] {
        let chain = running.authority().issue_certificate(identity, &Customer::new().spki()).unwrap();
        let leaf = Certificate::from_der(&chain[0]).unwrap();
        assert_eq!(leaf.to_der().unwrap(), chain[0], "the encoding is canonical");
        let tbs = &leaf.tbs_certificate;
        assert!(tbs.subject.is_empty());
        assert_eq!(tbs.serial_number.as_bytes().len(), 20);
        assert!(tbs.issuer.to_string().contains("CN=countersign sandbox intermediate"));
        let lifetime = tbs.validity.not_after.to_unix_duration() - tbs.validity.not_before.to_unix_duration();
        assert_eq!(lifetime, Duration::from_secs(600));
        assert_eq!(leaf.signature_algorithm.oid.to_string(), "1.2.840.10045.4.3.3");

        let (critical, usage) = tbs.get::<pkix::KeyUsage>().unwrap().unwrap();
        assert!(critical && usage.digital_signature() && usage.0.bits().count_ones() == 1);
        let (critical, names) = tbs.get::<SubjectAltName>().unwrap().unwrap();
        assert!(critical);
        let [name] = names.0.as_slice() else { panic!("one name, not {names:?}") };
        match (name, Identity::from(identity)) {
            (GeneralName::Rfc822Name(name), Identity::Email(email)) => assert_eq!(name.as_str(), email),
            (GeneralName::UniformResourceIdentifier(name), Identity::Uri(uri)) => {
                assert_eq!(name.as_str(), uri)
            }
            other => panic!("the name has the kind of the identity: {other:?}"),
        }
        let extension = |oid: &str| {
            let oid = ObjectIdentifier::new_unwrap(oid);
            let all = tbs.extensions.as_ref().unwrap();
            let found = all.iter().find(|extension| extension.extn_id == oid).unwrap();
            assert!(!found.critical);
            found.extn_value.as_bytes()
        };
        assert_eq!(extension("1.3.6.1.4.1.57264.1.1"), running.url().as_bytes());
        let issuer = Utf8StringRef::from_der(extension("1.3.6.1.4.1.57264.1.8")).unwrap();
        assert_eq!(issuer.as_str(), running.url());
        assert!(!extension("1.3.6.1.4.1.11129.2.4.2").is_empty());
        let (_, subject_key) = tbs.get::<pkix::SubjectKeyIdentifier>().unwrap().unwrap();
        assert_eq!(subject_key.0.as_bytes().len(), 20);

        let intermediate = Certificate::from_der(&chain[1]).unwrap();
        let (_, issuer_key) = tbs.get::<pkix::AuthorityKeyIdentifier>().unwrap().unwrap();
        let (_, key) = intermediate.tbs_certificate.get::<pkix::SubjectKeyIdentifier>().unwrap().unwrap();
        assert_eq!(issuer_key.key_identifier.unwrap(), key.0);
        let (critical, basic) =
            intermediate.tbs_certificate.get::<pkix::BasicConstraints>().unwrap().unwrap();
        assert!(critical && basic.ca && basic.path_len_constraint == Some(0));
    }
}

#[test]
fn an_identity_that_is_none_is_not_certified() {
    let running = authority();
    let spki = Customer::new().spki();
    for identity in
        ["", "ada", "@example.com", "ada@", "a@b@c", "ada@exam\nple.com", "ada@exämple.com", "://"]
    {
        let result = running.authority().issue_certificate(identity, &spki);
        assert!(matches!(result, Err(IssueError::Identity(_))), "'{identity}' is certified: {result:?}");
    }
    let result = running.authority().issue_certificate("ada@example.com", b"not a key");
    assert!(matches!(result, Err(IssueError::PublicKey(_))));
}

fn request(token: &str, key: &str, proof: &[u8]) -> Value {
    json!({
        "credentials": {"oidcIdentityToken": token},
        "publicKeyRequest": {
            "publicKey": {"algorithm": "ECDSA", "content": key},
            "proofOfPossession": STANDARD.encode(proof),
        },
    })
}

/// The certificates of an answer, DER.
fn chain(answer: &Value) -> Vec<Vec<u8>> {
    let certificates = answer["signedCertificateEmbeddedSct"]["chain"]["certificates"].as_array().unwrap();
    certificates
        .iter()
        .map(|text| {
            let body: String = text.as_str().unwrap().lines().filter(|line| !line.starts_with('-')).collect();
            STANDARD.decode(body).unwrap()
        })
        .collect()
}

#[test]
fn a_certificate_is_for_who_proves_to_hold_the_key() {
    let (running, clock) = authority_at(NEW_YEAR);
    let (customer, thief) = (Customer::new(), Customer::new());
    let token = running.authority().issue_id_token("ada@example.com").unwrap();
    let proof = customer.sign(b"ada@example.com");
    let key = customer.public_key_pem();
    let path = "/api/v2/signingCert";

    let answer = post_json(&running, path, &request(&token, &key, &proof)).json(200);
    let issued = chain(&answer);
    assert_eq!(issued.len(), 3);
    webpki_accepts(&issued, CODE_SIGNING, NEW_YEAR).unwrap();
    let leaf = Certificate::from_der(&issued[0]).unwrap();
    assert_eq!(leaf.tbs_certificate.subject_public_key_info.to_der().unwrap(), customer.spki());

    let refused = |request: Value, status: u16, code: u64| {
        let answer = post_json(&running, path, &request).json(status);
        assert_eq!(answer["code"], code, "{answer}");
    };
    refused(request(&token, &key, &thief.sign(b"ada@example.com")), 400, 3);
    refused(request(&token, &key, &customer.sign(b"eve@example.com")), 400, 3);
    refused(request(&token, &key, b""), 400, 3);
    refused(request(&token, "no key", &proof), 400, 3);
    refused(request("no.token.here", &key, &proof), 401, 16);
    refused(json!({"publicKeyRequest": {"publicKey": {"content": key}, "proofOfPossession": ""}}), 401, 16);
    refused(json!({"credentials": {"oidcIdentityToken": token}}), 400, 3);
    refused(json!([]), 400, 3);
    // A token of another authority at the same address is signed with another key.
    let (other, _) = authority_at(NEW_YEAR);
    let foreign = other.authority().issue_id_token("ada@example.com").unwrap();
    refused(request(&foreign, &key, &proof), 401, 16);

    clock.set(NEW_YEAR + TOKEN_LIFETIME);
    refused(request(&token, &key, &proof), 401, 16);
}

#[test]
fn a_token_for_a_uri_is_proven_with_the_uri() {
    let running = authority();
    let customer = Customer::new();
    let uri = "https://ci.example.com/build";
    let answer = post_json(&running, "/sandbox/token", &json!({"subject": uri})).json(200);
    let token = answer["token"].as_str().unwrap();
    let proof = customer.sign(uri.as_bytes());
    let request = request(token, &customer.public_key_pem(), &proof);
    let leaf =
        Certificate::from_der(&chain(&post_json(&running, "/api/v2/signingCert", &request).json(200))[0]);
    let (_, names) = leaf.unwrap().tbs_certificate.get::<SubjectAltName>().unwrap().unwrap();
    assert!(matches!(&names.0[..], [GeneralName::UniformResourceIdentifier(name)] if name.as_str() == uri));
}

#[test]
fn a_request_made_by_openssl_is_answered() {
    let test = "a_request_made_by_openssl_is_answered";
    let running = authority();
    let folder = tempfile::tempdir().unwrap();
    for (curve, digest) in [("prime256v1", "-sha256"), ("secp384r1", "-sha384"), ("secp384r1", "-sha256")] {
        let generate = ["ecparam", "-name", curve, "-genkey", "-noout", "-out", "key.pem"];
        let Some(output) = openssl(test, folder.path(), &generate) else { return };
        assert_success(&output);
        let make = ["req", "-new", digest, "-key", "key.pem", "-subj", "/CN=ignored", "-out", "request.pem"];
        assert_success(&openssl(test, folder.path(), &make).unwrap());
        let request = std::fs::read(folder.path().join("request.pem")).unwrap();

        // The token goes where OAuth has it, too.
        let token = running.authority().issue_id_token("ada@example.com").unwrap();
        let body = json!({"certificateSigningRequest": STANDARD.encode(&request)}).to_string();
        let sent = crate::agent()
            .post(format!("{}/api/v2/signingCert", running.url()))
            .header("authorization", format!("Bearer {token}"))
            .content_type("application/json")
            .send(body);
        let issued = chain(&crate::answer(sent.unwrap()).json(200));
        std::fs::write(folder.path().join("leaf.pem"), pem("CERTIFICATE", &issued[0])).unwrap();
        let shown = openssl(test, folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]).unwrap();
        let wanted = openssl(test, folder.path(), &["pkey", "-in", "key.pem", "-pubout"]).unwrap();
        assert_eq!(shown.stdout, wanted.stdout);

        // One bit of the signature, which is at the end.
        let mut der = STANDARD
            .decode(
                std::str::from_utf8(&request)
                    .unwrap()
                    .lines()
                    .filter(|line| !line.starts_with('-'))
                    .collect::<String>(),
            )
            .unwrap();
        *der.last_mut().unwrap() ^= 1;
        let damaged = STANDARD.encode(pem("CERTIFICATE REQUEST", &der));
        let body = json!({"credentials": {"oidcIdentityToken": token}, "certificateSigningRequest": damaged});
        post_json(&running, "/api/v2/signingCert", &body).json(400);
    }
}

#[test]
fn fulcios_first_api_is_there_for_gitsign() {
    let running = authority();
    let customer = Customer::new();
    let token = running.authority().issue_id_token("ada@example.com").unwrap();
    let send = |key: &[u8], proof: &[u8]| {
        let body = json!({
            "publicKey": {"content": STANDARD.encode(key), "algorithm": "ecdsa"},
            "signedEmailAddress": STANDARD.encode(proof),
        });
        let request = crate::agent()
            .post(format!("{}/api/v1/signingCert", running.url()))
            .header("authorization", format!("Bearer {token}"))
            .content_type("application/json");
        crate::answer(request.send(body.to_string()).unwrap())
    };
    let proof = customer.sign(b"ada@example.com");
    for key in [customer.spki(), customer.public_key_pem().into_bytes()] {
        let answer = send(&key, &proof);
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("content-type"), Some("application/pem-certificate-chain"));
        let chain = Certificate::load_pem_chain(&answer.body).unwrap();
        assert_eq!(chain.len(), 3);
        let spki = chain[0].tbs_certificate.subject_public_key_info.to_der().unwrap();
        assert_eq!(spki, customer.spki());
    }
    assert_eq!(send(&customer.spki(), &customer.sign(b"eve@example.com")).status, 400);
    post_json(&running, "/api/v1/signingCert", &json!({})).json(401);
    let chain = running.authority().certificate_chain().map(|der| pem("CERTIFICATE", der)).concat();
    assert_eq!(get(&running, "/api/v1/rootCert").text(), chain);
}

#[test]
fn the_authority_describes_itself() {
    let running = authority();
    let bundle = get(&running, "/api/v2/trustBundle").json(200);
    let certificates = bundle["chains"][0]["certificates"].as_array().unwrap();
    let [intermediate, root] = running.authority().certificate_chain();
    assert_eq!(certificates[0], pem("CERTIFICATE", intermediate));
    assert_eq!(certificates[1], pem("CERTIFICATE", root));
    let configuration = get(&running, "/api/v2/configuration").json(200);
    let issuer = &configuration["issuers"][0];
    assert_eq!(issuer["issuerUrl"], running.url());
    assert_eq!((&issuer["audience"], &issuer["challengeClaim"]), (&json!("sigstore"), &json!("email")));
    assert_eq!(post(&running, "/api/v2/signingCert", "application/json", b"\xff{").status, 400);
}
