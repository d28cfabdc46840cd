//! Both transparency logs: their API, and what sigstore-verify says of bundles made of their evidence.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::sandbox::{Authority, REKOR_V2_ORIGIN, Role, Running};
use serde_json::{Value, json};
use sigstore_merkle::{hash_leaf, verify_consistency_proof, verify_inclusion_proof};
use sigstore_trust_root::{SigningConfig, TrustedRoot};
use sigstore_types::{Bundle, Checkpoint, Sha256Hash};
use sigstore_verify::{VerificationPolicy, Verifier};

use crate::{NEW_YEAR, Signed, authority, authority_at, get, pem, post, post_json, sha256};

fn bundle(signed: &Signed, entry: Value, timestamps: &[Vec<u8>]) -> Value {
    let timestamps: Vec<Value> =
        timestamps.iter().map(|token| json!({"signedTimestamp": STANDARD.encode(token)})).collect();
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": STANDARD.encode(&signed.chain[0])},
            "tlogEntries": [entry],
            "timestampVerificationData": {"rfc3161Timestamps": timestamps},
        },
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(signed.digest())},
            "signature": STANDARD.encode(&signed.signature),
        },
    })
}

fn sigstore_verify(authority: &Authority, signed: &Signed, bundle: &Value) -> Result<(), String> {
    let root = TrustedRoot::from_json(&authority.trusted_root_json()).map_err(|error| error.to_string())?;
    let verifier = Verifier::new(&root).map_err(|error| error.to_string())?;
    let bundle = Bundle::from_json(&bundle.to_string()).map_err(|error| error.to_string())?;
    let policy = VerificationPolicy::new("ada@example.com", authority.url());
    let result = verifier.verify(signed.message.as_slice(), &bundle, &policy);
    result.map(drop).map_err(|error| error.to_string())
}

#[test]
fn sigstore_verify_accepts_a_bundle_with_rekor_v1() {
    let running = authority();
    let authority = running.authority();
    // Not the only leaf: a proof of one leaf would be empty.
    for number in 0_u8..5 {
        authority.rekor_v1_add(&Signed::new(authority, "eve@example.com", &[number]).rekord()).unwrap();
    }
    let signed = Signed::new(authority, "ada@example.com", b"the message");
    let entry = authority.rekor_v1_add(&signed.rekord()).unwrap().to_transparency_log_entry();
    let good = bundle(&signed, entry, &[]);
    sigstore_verify(authority, &signed, &good).unwrap();

    // The same check, awake: each of these is evidence of something else.
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut bundle = good.clone();
        change(&mut bundle["verificationMaterial"]["tlogEntries"][0]);
        sigstore_verify(authority, &signed, &bundle)
    };
    let time: i64 =
        good["verificationMaterial"]["tlogEntries"][0]["integratedTime"].as_str().unwrap().parse().unwrap();
    assert!(changed(&|entry| entry["integratedTime"] = (time - 1).to_string().into()).is_err());
    assert!(changed(&|entry| entry["inclusionPromise"] = Value::Null).is_err());
    assert!(changed(&|entry| entry["inclusionProof"]["hashes"] = json!([])).is_err());
    let other = crate::authority();
    assert!(sigstore_verify(other.authority(), &signed, &good).is_err());
}

#[test]
fn sigstore_verify_accepts_a_bundle_with_rekor_v2_and_a_timestamp() {
    let running = authority();
    let authority = running.authority();
    for number in 0_u8..3 {
        authority.rekor_v2_add(&Signed::new(authority, "eve@example.com", &[number]).rekord()).unwrap();
    }
    let signed = Signed::new(authority, "ada@example.com", b"the message");
    let entry = authority.rekor_v2_add(&signed.rekord()).unwrap().to_transparency_log_entry();
    let token = authority.timestamp_token(&signed.signature).unwrap();
    sigstore_verify(authority, &signed, &bundle(&signed, entry.clone(), std::slice::from_ref(&token)))
        .unwrap();

    let without = sigstore_verify(authority, &signed, &bundle(&signed, entry.clone(), &[]));
    assert!(without.is_err(), "the second log proves no time");
    let another = authority.timestamp_token(b"something else").unwrap();
    assert!(sigstore_verify(authority, &signed, &bundle(&signed, entry, &[another])).is_err());
}

#[test]
fn material_of_another_time_is_of_that_time() {
    let (running, clock) = authority_at(NEW_YEAR);
    let authority = running.authority();
    let signed = Signed::new(authority, "ada@example.com", b"the message");
    let entry = authority.rekor_v1_add(&signed.rekord()).unwrap();
    assert_eq!(entry.integrated_time, NEW_YEAR);
    sigstore_verify(authority, &signed, &bundle(&signed, entry.to_transparency_log_entry(), &[])).unwrap();
    // Logged after the certificate's ten minutes.
    let late = Signed::new(authority, "ada@example.com", b"another message");
    clock.set(NEW_YEAR + 601);
    let entry = authority.rekor_v1_add(&late.rekord()).unwrap();
    let verdict = sigstore_verify(authority, &late, &bundle(&late, entry.to_transparency_log_entry(), &[]));
    assert!(verdict.is_err());
}

#[test]
fn the_published_files_are_read_by_sigstores_own_parsers() {
    let running = authority();
    let root = TrustedRoot::from_json(&running.authority().trusted_root_json()).unwrap();
    assert_eq!(root.media_type, "application/vnd.dev.sigstore.trustedroot+json;version=0.1");
    assert_eq!((root.tlogs.len(), root.ctlogs.len()), (2, 1));
    assert_eq!(root.rekor_keys().unwrap().len(), 2);
    let [ca] = root.certificate_authorities.as_slice() else { panic!("one certificate authority") };
    assert!(ca.subject.organization.as_deref().unwrap().contains("sandbox"));
    assert!(ca.subject.common_name.as_deref().unwrap().contains("sandbox"));
    assert_eq!(root.tsa_authorities().len(), 1);

    let config = SigningConfig::from_json(&running.authority().signing_config_json()).unwrap();
    let versions: Vec<u32> =
        config.eligible_rekor_urls(None).iter().map(|service| service.major_api_version).collect();
    assert_eq!(versions, [1], "gitsign reads entries of the first log alone");
    assert_eq!(config.tsa_urls[0].url, format!("{}/api/v1/timestamp", running.url()));
}

/// The one entry of an answer `{uuid: entry}`.
fn only_entry(answer: &Value) -> (String, Value) {
    let (uuid, entry) = answer.as_object().unwrap().iter().next().unwrap();
    (uuid.clone(), entry.clone())
}

fn hash(text: &Value) -> Sha256Hash {
    Sha256Hash::from_hex(text.as_str().unwrap()).unwrap()
}

fn hashes(list: &Value) -> Vec<Sha256Hash> {
    list.as_array().unwrap().iter().map(hash).collect()
}

/// Checks an entry as Rekor v1 answers it against the log's public key.
fn check_v1_entry(running: &Running, entry: &Value) {
    let proof = &entry["verification"]["inclusionProof"];
    let body = STANDARD.decode(entry["body"].as_str().unwrap()).unwrap();
    verify_inclusion_proof(
        &hash_leaf(&body),
        proof["logIndex"].as_u64().unwrap(),
        proof["treeSize"].as_u64().unwrap(),
        &hashes(&proof["hashes"]),
        &hash(&proof["rootHash"]),
    )
    .unwrap();
    let key = running.authority().signing_key(Role::RekorV1);
    let key_id = sha256(key.spki_der());
    assert_eq!(entry["logID"], hex::encode(key_id));
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.spki_der());

    let signed = format!(
        r#"{{"body":{},"integratedTime":{},"logID":{},"logIndex":{}}}"#,
        entry["body"], entry["integratedTime"], entry["logID"], entry["logIndex"]
    );
    let promise = entry["verification"]["signedEntryTimestamp"].as_str().unwrap();
    public.verify(signed.as_bytes(), &STANDARD.decode(promise).unwrap()).unwrap();

    let checkpoint = Checkpoint::from_text(proof["checkpoint"].as_str().unwrap()).unwrap();
    assert_eq!(checkpoint.root_hash(), &hash(&proof["rootHash"]));
    assert_eq!(checkpoint.tree_size(), proof["treeSize"].as_u64().unwrap());
    assert!(checkpoint.origin().starts_with("rekor.sandbox - "));
    let signature = &checkpoint.signatures()[0];
    assert_eq!(signature.name, "rekor.sandbox");
    assert_eq!(signature.key_id.as_bytes(), &key_id[..4]);
    public.verify(checkpoint.signed_data(), signature.signature.as_bytes()).unwrap();
}

#[test]
fn the_first_log_speaks_rekor_v1() {
    let running = authority();
    let signed = Signed::new(running.authority(), "Ada@example.com", b"the message");
    let posted = post_json(&running, "/api/v1/log/entries", &signed.proposal_v1());
    let (uuid, entry) = only_entry(&posted.json(201));
    let place = format!("/api/v1/log/entries/{uuid}");
    assert_eq!(posted.header("location"), Some(place.as_str()));
    assert_eq!(uuid.len(), 80);
    check_v1_entry(&running, &entry);

    let certificate = pem("CERTIFICATE", &signed.chain[0]);
    let body = format!(
        concat!(
            r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","#,
            r#""value":"{}"}}}},"signature":{{"content":"{}","publicKey":{{"content":"{}"}}}}}}}}"#
        ),
        hex::encode(signed.digest()),
        STANDARD.encode(&signed.signature),
        STANDARD.encode(&certificate),
    );
    assert_eq!(STANDARD.decode(entry["body"].as_str().unwrap()).unwrap(), body.as_bytes());

    let again = post_json(&running, "/api/v1/log/entries", &signed.proposal_v1());
    assert_eq!(again.header("location"), Some(place.as_str()));
    let message = format!("an equivalent entry already exists in the transparency log with UUID {uuid}");
    assert_eq!(again.json(409), json!({"code": 409, "message": message}));
    // Another spelling of the same certificate is the same entry.
    let mut spelled = signed.proposal_v1();
    spelled["spec"]["signature"]["publicKey"]["content"] =
        STANDARD.encode(certificate.replace('\n', "\r\n")).into();
    assert_eq!(post_json(&running, "/api/v1/log/entries", &spelled).status, 409);

    let other = Signed::new(running.authority(), "eve@example.com", b"the message");
    post_json(&running, "/api/v1/log/entries", &other.proposal_v1()).json(201);
    for path in [
        place.clone(),
        format!("/api/v1/log/entries/{}", &uuid[16..]),
        "/api/v1/log/entries?logIndex=0".into(),
    ] {
        let (found, entry) = only_entry(&get(&running, &path).json(200));
        assert_eq!(found, uuid, "{path}");
        assert_eq!(entry["verification"]["inclusionProof"]["treeSize"], 2, "the proof is of now");
        check_v1_entry(&running, &entry);
    }
    for query in [
        json!({"entryUUIDs": [uuid]}),
        json!({"logIndexes": [0, 7]}),
        json!({"entries": [signed.proposal_v1()]}),
    ] {
        let found = post_json(&running, "/api/v1/log/entries/retrieve", &query).json(200);
        assert_eq!(found.as_array().unwrap().len(), 1, "{query}");
        assert_eq!(only_entry(&found[0]).0, uuid);
    }

    let search = |query: Value| post_json(&running, "/api/v1/index/retrieve", &query).json(200);
    let digest = format!("sha256:{}", hex::encode(signed.digest()));
    let key = json!({"format": "x509", "content": STANDARD.encode(&certificate)});
    assert_eq!(search(json!({"email": "ADA@example.com"})), json!([uuid]));
    assert_eq!(search(json!({"publicKey": key})), json!([uuid]));
    assert_eq!(search(json!({"hash": digest})).as_array().unwrap().len(), 2);
    assert_eq!(search(json!({"hash": digest, "publicKey": key, "operator": "and"})), json!([uuid]));
    assert_eq!(search(json!({"hash": digest, "publicKey": key})).as_array().unwrap().len(), 2);
    assert_eq!(search(json!({"email": "nobody@example.com"})), json!([]));

    let public = get(&running, "/api/v1/log/publicKey");
    assert_eq!(public.text(), running.authority().signing_key(Role::RekorV1).public_key_pem());
}

#[test]
fn the_first_log_refuses_what_it_cannot_vouch_for() {
    let running = authority();
    let signed = Signed::new(running.authority(), "ada@example.com", b"the message");
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut proposal = signed.proposal_v1();
        change(&mut proposal);
        let answer = post_json(&running, "/api/v1/log/entries", &proposal).json(400);
        assert_eq!(answer["code"], 400);
    };
    refused(&|proposal| proposal["spec"]["data"]["hash"]["value"] = hex::encode(sha256(b"other")).into());
    refused(&|proposal| proposal["spec"]["data"]["hash"]["value"] = "00".into());
    refused(&|proposal| proposal["spec"]["data"]["hash"]["algorithm"] = "sha1".into());
    refused(&|proposal| proposal["spec"]["data"]["hash"]["algorithm"] = "sha512".into());
    refused(&|proposal| proposal["spec"]["signature"]["content"] = STANDARD.encode("no").into());
    refused(&|proposal| proposal["spec"]["signature"]["publicKey"]["content"] = STANDARD.encode("no").into());
    refused(&|proposal| proposal["kind"] = "rekord".into());
    refused(&|proposal| proposal["apiVersion"] = "0.0.2".into());
    refused(&|proposal| *proposal = json!(null));
    let deep = "[".repeat(100_000);
    assert_eq!(post(&running, "/api/v1/log/entries", "application/json", deep.as_bytes()).status, 400);
    assert_eq!(get(&running, "/api/v1/log").json(200)["treeSize"], 0);

    for missing in ["/api/v1/log/entries?logIndex=0", "/api/v1/log/entries/00", "/api/v1/log/entries/%ff"] {
        assert!(matches!(get(&running, missing).status, 400 | 404), "{missing}");
    }
    assert_eq!(get(&running, "/api/v1/log/entries?logIndex=-1").status, 400);
    assert_eq!(get(&running, "/api/v1/log/proof?firstSize=1&lastSize=9").status, 400);
}

#[test]
fn the_first_log_is_consistent_between_any_two_sizes() {
    let running = authority();
    let mut sizes = Vec::new();
    for number in 0_u8..12 {
        let signed = Signed::new(running.authority(), "ada@example.com", &[number]);
        running.authority().rekor_v1_add(&signed.rekord()).unwrap();
        let information = get(&running, "/api/v1/log").json(200);
        assert_eq!(information["inactiveShards"], json!([]));
        let head = Checkpoint::from_text(information["signedTreeHead"].as_str().unwrap()).unwrap();
        assert_eq!(head.root_hash(), &hash(&information["rootHash"]));
        assert!(head.origin().ends_with(information["treeID"].as_str().unwrap()));
        sizes.push((information["treeSize"].as_u64().unwrap(), hash(&information["rootHash"])));
    }
    for (first, old) in &sizes {
        for (last, new) in sizes.iter().filter(|(last, _)| last >= first) {
            let proof =
                get(&running, &format!("/api/v1/log/proof?firstSize={first}&lastSize={last}")).json(200);
            assert_eq!(&hash(&proof["rootHash"]), new);
            verify_consistency_proof(*first, *last, &hashes(&proof["hashes"]), old, new).unwrap();
        }
    }
}

#[test]
fn the_second_log_speaks_rekor_v2() {
    let running = authority();
    let key = running.authority().signing_key(Role::RekorV2);
    let raw = &key.spki_der()[12..];
    let key_id = sha256(&[REKOR_V2_ORIGIN.as_bytes(), b"\n\x01", raw].concat());
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for number in 0_u64..3 {
        let signed = Signed::new(running.authority(), "ada@example.com", &number.to_be_bytes());
        let entry = post_json(&running, "/api/v2/log/entries", &signed.proposal_v2()).json(201);
        assert_eq!(entry["logIndex"], number.to_string());
        assert_eq!(entry["logId"]["keyId"], STANDARD.encode(key_id));
        assert_eq!(entry["kindVersion"], json!({"kind": "hashedrekord", "version": "0.0.2"}));
        assert!(entry.get("integratedTime").is_none() && entry.get("inclusionPromise").is_none());
        let body = STANDARD.decode(entry["canonicalizedBody"].as_str().unwrap()).unwrap();
        let expected = format!(
            concat!(
                r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"#,
                r#""algorithm":"SHA2_256","digest":"{}"}},"signature":{{"content":"{}","verifier":{{"#,
                r#""keyDetails":"PKIX_ECDSA_P256_SHA_256","x509Certificate":{{"rawBytes":"{}"}}}}}}}}}}}}"#
            ),
            STANDARD.encode(signed.digest()),
            STANDARD.encode(&signed.signature),
            STANDARD.encode(&signed.chain[0]),
        );
        assert_eq!(body, expected.as_bytes());
        bodies.push(body);

        let again = post_json(&running, "/api/v2/log/entries", &signed.proposal_v2()).json(409);
        assert_eq!(again["code"], 6);
        let mut wrong = signed.proposal_v2();
        wrong["hashedRekordRequestV002"]["digest"] = STANDARD.encode(sha256(b"other")).into();
        post_json(&running, "/api/v2/log/entries", &wrong).json(400);
        let mut wrong = signed.proposal_v2();
        wrong["hashedRekordRequestV002"]["signature"]["verifier"]["keyDetails"] = "PKIX_ED25519".into();
        post_json(&running, "/api/v2/log/entries", &wrong).json(400);
    }

    let text = get(&running, "/api/v2/checkpoint");
    let checkpoint = Checkpoint::from_text(text.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.tree_size()), (REKOR_V2_ORIGIN, 3));
    let signature = &checkpoint.signatures()[0];
    assert_eq!(
        (signature.name.as_str(), signature.key_id.as_bytes()),
        (REKOR_V2_ORIGIN, &key_id[..4].try_into().unwrap())
    );
    UnparsedPublicKey::new(&ED25519, raw)
        .verify(checkpoint.signed_data(), signature.signature.as_bytes())
        .unwrap();

    let leaves: Vec<u8> = bodies.iter().flat_map(|body| *hash_leaf(body).as_bytes()).collect();
    assert_eq!(get(&running, "/api/v2/tile/0/000.p/3").body, leaves);
    assert_eq!(get(&running, "/api/v2/tile/0/000.p/2").body, leaves[..64]);
    let entries: Vec<u8> = bodies
        .iter()
        .flat_map(|body| [&u16::try_from(body.len()).unwrap().to_be_bytes(), body.as_slice()].concat())
        .collect();
    assert_eq!(get(&running, "/api/v2/tile/entries/000.p/3").body, entries);
    for missing in
        ["0/000", "0/000.p/4", "1/000.p/1", "0/001.p/1", "64/000", "00/000.p/1", "x/000", "0/x", "0/000.p/0"]
    {
        assert_eq!(get(&running, &format!("/api/v2/tile/{missing}")).status, 404, "{missing}");
    }
}

#[test]
fn entries_that_come_at_once_each_have_their_place() {
    const THREADS: usize = 8;
    const ENTRIES: usize = 12;
    let running = authority();
    let indexes: Vec<u64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let running = &running;
                scope.spawn(move || {
                    let mut indexes = Vec::new();
                    for number in 0..ENTRIES {
                        let message = format!("{thread} {number}");
                        let signed = Signed::new(running.authority(), "ada@example.com", message.as_bytes());
                        // Half of them over HTTP, half beside it.
                        if number % 2 == 0 {
                            let answer = post_json(running, "/api/v1/log/entries", &signed.proposal_v1());
                            let (_, entry) = only_entry(&answer.json(201));
                            check_v1_entry(running, &entry);
                            indexes.push(entry["logIndex"].as_u64().unwrap());
                        } else {
                            let entry = running.authority().rekor_v1_add(&signed.rekord()).unwrap();
                            let (_, json) = only_entry(&entry.to_json());
                            check_v1_entry(running, &json);
                            indexes.push(entry.log_index);
                        }
                    }
                    indexes
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut sorted = indexes;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..(THREADS * ENTRIES) as u64).collect::<Vec<_>>());
}
