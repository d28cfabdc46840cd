//! Logging in and signing against the embedded authority, judged by the engine.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

use std::{
    fs, io,
    process::Command,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::{
    encoding::cms::SignedData,
    identity::{
        self, BrowserOptions, Environment, IdentityError, Login, LoginError, Notice, Opener, Prompter,
        Provider, Token,
    },
    object::Payload,
    sandbox::{Authority, Identity, Options, RekorOffer, Running},
    service::{
        fulcio::FulcioError,
        http::Http,
        rekor_v1::{self, RekorError, Submission},
        rekor_v2,
    },
    sign::{
        LogService, Objection, Preference, RekorVersion, Session, SignError, Signature, Signer, SigningPlan,
    },
    signature::armor,
    sigstore::{
        certificate::SubjectKind,
        log_entry::{self, TransparencyLogEntry},
        trusted_root::Instance,
    },
    verify::{Bad, Proven, ProvenTime, Verdict, Verifier},
};
use serde_json::Value;
use sigstore_trust_root::TrustedRoot;
use url::Url;

const PAYLOAD: &[u8] =
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@example.org> 0 +0000\n\nhello\r";
const WHO: &str = "alice@example.org";

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn authority(rekor: RekorOffer) -> Running {
    let auto_approve = Some(Identity::Email(WHO.to_owned()));
    Authority::new(Options { rekor, auto_approve, ..Options::default() }).unwrap().serve(0).unwrap()
}

fn token(authority: &Running) -> Token {
    Token::parse(authority.authority().issue_id_token(Identity::Email(WHO.to_owned())).unwrap()).unwrap()
}

fn signer(authority: &Running) -> Signer {
    let config = authority.authority().signing_config_json();
    let plan = SigningPlan::from_signing_config(&config, now(), Preference::Newest).unwrap();
    Signer::new(Arc::new(Http::default()), plan)
}

fn open(signer: &Signer, authority: &Running) -> Session {
    signer.open(&token(authority), &|_| Ok(())).unwrap()
}

fn verifier(authority: &Running) -> Verifier {
    let root = Instance::from_json("sandbox", &authority.authority().trusted_root_json()).unwrap();
    Verifier::new(vec![root])
}

/// The check that every signature must stand, as the programs make it.
fn check<'a>(verifier: &'a Verifier) -> impl Fn(&[u8], &[u8]) -> Result<(), Objection> + 'a {
    move |payload, armor| match verifier.verify(&Payload::whole(payload), armor, now()) {
        Verdict::Good(_) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn prove(verifier: &Verifier, payload: &[u8], armor: &[u8]) -> Proven {
    match verifier.verify(&Payload::whole(payload), armor, now()) {
        Verdict::Good(proven) => *proven,
        other => panic!("{other:?}"),
    }
}

fn sign(signer: &Signer, authority: &Running) -> (Signature, Proven) {
    let verifier = verifier(authority);
    let session = open(signer, authority);
    let signature = signer.sign(&session, PAYLOAD, now(), &check(&verifier)).unwrap();
    let proven = prove(&verifier, PAYLOAD, &signature.armor);
    assert_eq!(proven.identity().subject, WHO);
    assert_eq!(proven.identity().kind, SubjectKind::Email);
    assert_eq!(proven.identity().issuer, authority.url());
    assert_eq!(Some(proven.entry().index), signature.log_index);
    assert_eq!(proven.certificate(), session.certificate().leaf);
    assert!(proven.times().iter().all(|time| (time.seconds() - now()).abs() < 60));
    let tampered = verifier.verify(&Payload::whole(&[PAYLOAD, b"\n"].concat()), &signature.armor, now());
    assert_eq!(tampered, Verdict::Bad(Bad::DigestMismatch));
    (signature, proven)
}

#[test]
fn a_signature_with_rekor_v1_is_good() {
    let authority = authority(RekorOffer::V1Only);
    let (signature, proven) = sign(&signer(&authority), &authority);
    assert!(proven.entry().signed_entry_timestamp && proven.entry().inclusion_proof);
    assert!(matches!(proven.times(), [ProvenTime::Log(_)]));
    assert!(signature.armor.ends_with(b"-----END SIGNED MESSAGE-----\n"));
    assert_eq!(signature.claims.name(), WHO);
    assert!(signature.timings.log > Duration::ZERO && signature.timings.timestamp.is_none());
}

#[test]
fn a_signature_with_rekor_v2_and_a_timestamp_is_good() {
    let authority = authority(RekorOffer::V2Only);
    let (signature, proven) = sign(&signer(&authority), &authority);
    assert!(!proven.entry().signed_entry_timestamp && proven.entry().inclusion_proof);
    assert!(matches!(proven.times(), [ProvenTime::TimestampAuthority(_)]));
    assert!(signature.timings.timestamp.unwrap() > Duration::ZERO);
}

#[test]
fn a_signature_with_rekor_v1_and_a_timestamp_has_both_times() {
    let authority = authority(RekorOffer::V2First);
    let config = authority.authority().signing_config_json();
    let newest = SigningPlan::from_signing_config(&config, now(), Preference::Newest).unwrap();
    let mut plan = SigningPlan::from_signing_config(&config, now(), Preference::Interoperable).unwrap();
    plan.timestamps = newest.timestamps;
    let signer = Signer::new(Arc::new(Http::default()), plan);
    let (_, proven) = sign(&signer, &authority);
    assert!(proven.entry().signed_entry_timestamp);
    let mut kinds: Vec<_> = proven.times().iter().map(|time| matches!(time, ProvenTime::Log(_))).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [false, true]);
}

#[test]
fn openssl_verifies_signature_and_timestamp() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: openssl_verifies_signature_and_timestamp: openssl not found");
        return;
    }
    let authority = authority(RekorOffer::V2Only);
    let (signature, _) = sign(&signer(&authority), &authority);
    let der = armor::decode(&signature.armor).unwrap();
    let parsed = SignedData::parse(&der).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    write("signature.der", &der);
    write("payload", PAYLOAD);
    run(&[
        "cms",
        "-verify",
        "-noverify",
        "-binary",
        "-inform",
        "DER",
        "-in",
        "signature.der",
        "-content",
        "payload",
        "-out",
        "out",
    ]);

    let token =
        &parsed.signers[0].unsigned_attributes.iter().find(|found| found.kind[..2] == [0x2a, 0x86]).unwrap();
    write("token", token.values[0].raw);
    write("value", parsed.signers[0].signature);
    let root = authority.authority().timestamp_chain()[1];
    write("root.der", root);
    run(&["x509", "-inform", "DER", "-in", "root.der", "-out", "root.pem"]);
    write("leaf.der", authority.authority().timestamp_chain()[0]);
    run(&["x509", "-inform", "DER", "-in", "leaf.der", "-out", "leaf.pem"]);
    run(&[
        "ts",
        "-verify",
        "-token_in",
        "-in",
        "token",
        "-data",
        "value",
        "-CAfile",
        "root.pem",
        "-untrusted",
        "leaf.pem",
    ]);
}

/// What the signer made, as the bundle that other Sigstore clients read: the artifact is the signed attributes.
fn bundle(cms: &SignedData<'_>) -> (Vec<u8>, Value) {
    let signer = &cms.signers[0];
    let attributes = signer.signed_attributes_as_set().unwrap();
    let digest: [u8; 32] = digest(&SHA256, &attributes).as_ref().try_into().unwrap();
    let attribute = |kind: &str| {
        let kind = der::asn1::ObjectIdentifier::new_unwrap(kind);
        let found = signer.unsigned_attributes.iter().find(|found| found.kind == kind.as_bytes());
        found.map(|found| found.values[0])
    };
    let entry = TransparencyLogEntry::parse(attribute("1.3.6.1.4.1.57264.3.1").unwrap().value).unwrap();
    let body = log_entry::body(
        entry.body_version().unwrap(),
        &digest,
        signer.signature,
        cms.certificates[0],
        "PKIX_ECDSA_P256_SHA_256",
    );
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let proof = entry.inclusion_proof.as_ref().unwrap();
    let promise =
        entry.signed_entry_timestamp().map(|set| serde_json::json!({"signedEntryTimestamp": base64(set)}));
    let tokens: Vec<Value> = attribute("1.2.840.113549.1.9.16.2.14")
        .iter()
        .map(|token| serde_json::json!({"signedTimestamp": base64(token.raw)}))
        .collect();
    let bundle = serde_json::json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": base64(cms.certificates[0])},
            "tlogEntries": [{
                "logIndex": entry.log_index.to_string(),
                "logId": {"keyId": base64(&entry.log_id.as_ref().unwrap().key_id)},
                "kindVersion": {
                    "kind": "hashedrekord",
                    "version": entry.kind_version.as_ref().unwrap().version,
                },
                "integratedTime": entry.integrated_time.to_string(),
                "inclusionPromise": promise,
                "inclusionProof": {
                    "logIndex": proof.log_index.to_string(),
                    "treeSize": proof.tree_size.to_string(),
                    "rootHash": base64(&proof.root_hash),
                    "hashes": proof.hashes.iter().map(|hash| base64(hash)).collect::<Vec<_>>(),
                    "checkpoint": {"envelope": proof.checkpoint.as_ref().unwrap().envelope},
                },
                "canonicalizedBody": base64(&body),
            }],
            "timestampVerificationData": {"rfc3161Timestamps": tokens},
        },
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": base64(&digest)},
            "signature": base64(signer.signature),
        },
    });
    (attributes, bundle)
}

#[test]
fn sigstore_verify_accepts_the_same_parts_as_a_bundle() {
    for offer in [RekorOffer::V1Only, RekorOffer::V2Only] {
        let authority = authority(offer);
        // The second entry of its log, so that the proof has a hash in it.
        sign(&signer(&authority), &authority);
        let (signature, _) = sign(&signer(&authority), &authority);
        let der = armor::decode(&signature.armor).unwrap();
        let (attributes, bundle) = bundle(&SignedData::parse(&der).unwrap());
        let root = TrustedRoot::from_json(&authority.authority().trusted_root_json()).unwrap();
        let verifier = sigstore_verify::Verifier::new(&root).unwrap();
        let bundle = sigstore_types::Bundle::from_json(&bundle.to_string()).unwrap();
        let verify = |artifact: &[u8], who: &str| {
            let policy = sigstore_verify::VerificationPolicy::new(who, authority.url());
            verifier.verify(artifact, &bundle, &policy).map(drop)
        };
        verify(&attributes, WHO).unwrap();
        assert!(verify(&attributes, "mallory@example.org").is_err());
        assert!(verify(b"other", WHO).is_err());
    }
}

#[test]
fn one_session_signs_many_times_until_its_certificate_runs_out() {
    let authority = authority(RekorOffer::V1Only);
    let (signer, verifier) = (signer(&authority), verifier(&authority));
    let session = open(&signer, &authority);
    let first = signer.sign(&session, b"first", now(), &check(&verifier)).unwrap();
    let second = signer.sign(&session, b"second", now(), &check(&verifier)).unwrap();
    let (first, second) =
        (prove(&verifier, b"first", &first.armor), prove(&verifier, b"second", &second.armor));
    assert_eq!(first.certificate_digest(), second.certificate_digest());
    assert_ne!(first.entry().index, second.entry().index);

    let end = session.certificate().not_after;
    assert!(session.is_usable(end - 31) && !session.is_usable(end - 30));
    let (requests, _) = authority.statistics();
    let result = signer.sign(&session, b"late", end - 30, &|_, _| Ok(()));
    assert!(matches!(result, Err(SignError::Expired)), "{result:?}");
    assert_eq!(authority.statistics().0, requests, "nothing was asked for");
}

#[test]
fn an_identity_that_the_caller_refuses_leaves_no_trace() {
    let authority = authority(RekorOffer::V1Only);
    let signer = signer(&authority);
    let result = signer
        .open(&token(&authority), &|claims| Err(format!("'{}' is not the committer", claims.name()).into()));
    let Err(SignError::Identity(objection)) = result else { panic!("{result:?}") };
    assert_eq!(objection.to_string(), "'alice@example.org' is not the committer");
    assert_eq!(authority.statistics().0, 0);
}

#[test]
fn a_signature_that_the_caller_cannot_verify_is_not_handed_out() {
    let (authority, other) = (authority(RekorOffer::V1Only), authority(RekorOffer::V1Only));
    let signer = signer(&authority);
    let session = open(&signer, &authority);
    let verifier = verifier(&other);
    let result = signer.sign(&session, PAYLOAD, now(), &check(&verifier));
    assert!(matches!(result, Err(SignError::Check(_))), "{result:?}");
}

#[test]
fn a_token_of_another_issuer_is_refused_by_the_authority() {
    let (authority, other) = (authority(RekorOffer::V1Only), authority(RekorOffer::V1Only));
    let result = signer(&authority).open(&token(&other), &|_| Ok(()));
    let Err(SignError::Certificate(FulcioError::Refused(refusal))) = result else { panic!("{result:?}") };
    assert!(refusal.status < 500 && !refusal.retryable(), "{refusal}");
}

#[test]
fn the_same_entry_twice_is_the_same_entry() {
    let authority = authority(RekorOffer::V2First);
    let (signer, http) = (signer(&authority), Http::default());
    let session = open(&signer, &authority);
    let armored = Mutex::new(Vec::new());
    signer
        .sign(&session, PAYLOAD, now(), &|_, armor| {
            armored.lock().unwrap().extend_from_slice(armor);
            Ok(())
        })
        .unwrap();
    let der = armor::decode(&armored.lock().unwrap()).unwrap();
    let parsed = SignedData::parse(&der).unwrap();
    let attributes = parsed.signers[0].signed_attributes_as_set().unwrap();
    let digest = digest(&SHA256, &attributes);
    let submission = Submission {
        digest: digest.as_ref().try_into().unwrap(),
        signature: parsed.signers[0].signature,
        certificate: parsed.certificates[0],
    };
    let one = rekor_v1::submit(&http, authority.url(), submission).unwrap();
    let two = rekor_v1::submit(&http, authority.url(), submission).unwrap();
    assert_eq!((one.log_index, &one.canonicalized_body), (two.log_index, &two.canonicalized_body));
    let [LogService { url: rekor, version: RekorVersion::V2 }] = signer.plan().logs.as_slice() else {
        panic!("{:?}", signer.plan())
    };
    let again = rekor_v2::submit(&http, rekor, submission);
    assert!(matches!(again, Err(RekorError::Existing)), "{again:?}");
}

/// Keeps what it is told, or says that it cannot show anything.
#[derive(Default)]
struct Told {
    mute: bool,
    notices: Mutex<Vec<String>>,
}

impl Prompter for Told {
    fn show(&self, notice: Notice<'_>) -> io::Result<()> {
        if self.mute {
            return Err(io::ErrorKind::NotFound.into());
        }
        let text = match notice {
            Notice::Browser { url } => url.to_string(),
            Notice::Device { complete, code, .. } => format!("{code} {}", complete.unwrap_or_default()),
        };
        self.notices.lock().unwrap().push(text);
        Ok(())
    }
}

/// An opener that changes the login page's URL and then is a browser: follows redirects, keeps the page.
fn browser(change: fn(Url) -> Url) -> (Opener, mpsc::Receiver<(u16, String)>) {
    let (sender, receiver) = mpsc::channel();
    let opener = Opener::Function(Box::new(move |url| {
        let (url, sender) = (change(url.clone()), sender.clone());
        thread::spawn(move || {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
            let mut response = agent.get(url.as_str()).call().unwrap();
            let page = response.body_mut().read_to_string().unwrap();
            // The test may be over already.
            let _ = sender.send((response.status().as_u16(), page));
        });
        Ok(())
    }));
    (opener, receiver)
}

fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    assert!(pairs.iter().any(|(key, _)| key == name), "{name} is in {url}");
    let mut changed = url.clone();
    let kept = pairs.iter().map(|(key, old)| (key, if key == name { value } else { old }));
    changed.query_pairs_mut().clear().extend_pairs(kept);
    changed
}

fn log_in(authority: &Running, login: Login, told: &Told) -> Result<Token, IdentityError> {
    let mut provider = Provider::new(authority.url());
    provider.connector_id = Some("https://github.com/login/oauth".to_owned());
    provider.login_hint = Some(WHO.to_owned());
    let mut options = identity::Options::new(provider);
    options.login = Some(login);
    identity::obtain(&Http::default(), &options, &Environment::default(), told, now())
}

fn browser_login(opener: Opener, wait: Duration) -> Login {
    Login::Browser(BrowserOptions { opener, wait, ..BrowserOptions::default() })
}

#[test]
fn a_login_in_the_browser_ends_in_a_signature() {
    let authority = authority(RekorOffer::V1Only);
    let (opener, page) = browser(|url| url);
    let told = Told::default();
    let token = log_in(&authority, browser_login(opener, Duration::from_secs(30)), &told).unwrap();
    assert_eq!(token.claims().name(), WHO);
    let (status, page) = page.recv().unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("You signed in as <strong>alice@example.org</strong>"), "{page}");

    let url = Url::parse(&told.notices.lock().unwrap()[0]).unwrap();
    let parameters: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(parameters["code_challenge_method"], "S256");
    assert_eq!(parameters["connector_id"], "https://github.com/login/oauth");
    assert_eq!(parameters["login_hint"], WHO);
    assert_eq!(parameters["client_id"], "sigstore");
    assert_eq!(parameters["scope"], "openid email");
    let redirect = Url::parse(&parameters["redirect_uri"]).unwrap();
    assert_eq!((redirect.host_str(), redirect.path()), (Some("localhost"), "/auth/callback"));
    assert!(parameters["state"].len() >= 16 && parameters["nonce"].len() >= 16);

    let signer = signer(&authority);
    let session = signer.open(&token, &|_| Ok(())).unwrap();
    signer.sign(&session, PAYLOAD, now(), &check(&verifier(&authority))).unwrap();
}

#[test]
fn a_redirect_url_of_ones_own_is_used_as_it_stands() {
    let authority = authority(RekorOffer::V1Only);
    let (opener, page) = browser(|url| url);
    let login = Login::Browser(BrowserOptions {
        opener,
        redirect_url: Some(Url::parse("http://127.0.0.1:0/own/path").unwrap()),
        wait: Duration::from_secs(30),
        ..BrowserOptions::default()
    });
    let told = Told::default();
    log_in(&authority, login, &told).unwrap();
    assert_eq!(page.recv().unwrap().0, 200);
    assert!(told.notices.lock().unwrap()[0].contains("%2Fown%2Fpath"));

    for url in
        ["https://localhost:0/x", "http://example.org:80/x", "http://0.0.0.0:0/x", "http://localhost:0/x?y=z"]
    {
        let login = Login::Browser(BrowserOptions {
            opener: Opener::None,
            redirect_url: Some(Url::parse(url).unwrap()),
            wait: Duration::from_secs(1),
            ..BrowserOptions::default()
        });
        let result = log_in(&authority, login, &Told::default());
        assert!(matches!(result, Err(IdentityError::Login(LoginError::RedirectUrl(_)))), "{url} {result:?}");
    }
}

#[test]
fn a_token_with_another_nonce_is_refused_and_the_page_says_so() {
    let authority = authority(RekorOffer::V1Only);
    let (opener, page) = browser(|url| with_parameter(&url, "nonce", "injected"));
    let result = log_in(&authority, browser_login(opener, Duration::from_secs(30)), &Told::default());
    assert!(matches!(result, Err(IdentityError::Login(LoginError::IdToken(_)))), "{result:?}");
    assert!(page.recv().unwrap().1.contains("Not signed in"));
}

#[test]
fn a_code_that_was_asked_for_with_another_challenge_is_not_exchanged() {
    let authority = authority(RekorOffer::V1Only);
    let challenge = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(challenge.len(), 43);
    let (opener, page) =
        browser(|url| with_parameter(&url, "code_challenge", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    let result = log_in(&authority, browser_login(opener, Duration::from_secs(30)), &Told::default());
    assert!(matches!(result, Err(IdentityError::Login(LoginError::Exchange(_)))), "{result:?}");
    assert!(page.recv().unwrap().1.contains("Not signed in"));
}

#[test]
fn an_answer_with_another_state_is_stray_and_the_login_waits_on() {
    let authority = authority(RekorOffer::V1Only);
    let (opener, page) = browser(|url| with_parameter(&url, "state", "injected"));
    let result = log_in(&authority, browser_login(opener, Duration::from_millis(700)), &Told::default());
    assert!(matches!(result, Err(IdentityError::Login(LoginError::Timeout(_)))), "{result:?}");
    let (status, page) = page.recv().unwrap();
    assert_eq!(status, 400);
    assert!(page.contains("not part of the login in progress"), "{page}");
}

#[test]
fn what_the_issuer_denies_is_told() {
    let authority = authority(RekorOffer::V1Only);
    let (opener, page) = browser(|url| with_parameter(&url, "response_type", "token"));
    let result = log_in(&authority, browser_login(opener, Duration::from_secs(30)), &Told::default());
    let Err(IdentityError::Login(LoginError::Denied { error, .. })) = result else { panic!("{result:?}") };
    assert_eq!(error, "unsupported_response_type");
    assert!(page.recv().unwrap().1.contains("Not signed in"));
}

#[test]
fn without_browser_and_terminal_nobody_is_waited_for() {
    let authority = authority(RekorOffer::V1Only);
    let told = Told { mute: true, ..Told::default() };
    let result = log_in(&authority, browser_login(Opener::None, Duration::from_secs(600)), &told);
    assert!(matches!(result, Err(IdentityError::Login(LoginError::NoWayToAsk(_)))), "{result:?}");
    let result = log_in(&authority, Login::Device { wait: Duration::from_secs(600) }, &told);
    assert!(matches!(result, Err(IdentityError::Login(LoginError::NoTerminal))), "{result:?}");
    // Where it can be told, the person opens the page: nobody does here.
    let told = Told::default();
    let result = log_in(&authority, browser_login(Opener::None, Duration::from_millis(100)), &told);
    assert!(matches!(result, Err(IdentityError::Login(LoginError::Timeout(_)))), "{result:?}");
}

#[test]
fn a_login_with_a_device_code() {
    let authority = Authority::new(Options::default()).unwrap().serve(0).unwrap();
    let told = Arc::new(Told::default());
    let told_too = Arc::clone(&told);
    let page = format!("{}/device", authority.url());
    let person = thread::spawn(move || {
        let code = loop {
            if let Some(notice) = told_too.notices.lock().unwrap().first() {
                break notice.split(' ').next().unwrap().to_owned();
            }
            thread::sleep(Duration::from_millis(10));
        };
        let form = [("user_code", code.as_str()), ("email", WHO)];
        let status = ureq::post(&page).send_form(form).unwrap().status();
        assert_eq!(status, 200);
    });
    let token = log_in(&authority, Login::Device { wait: Duration::from_secs(30) }, &told).unwrap();
    person.join().unwrap();
    assert_eq!(token.claims().name(), WHO);
    signer(&authority).open(&token, &|_| Ok(())).unwrap();
}

#[test]
fn nobody_types_the_device_code() {
    let authority = Authority::new(Options::default()).unwrap().serve(0).unwrap();
    let result = log_in(&authority, Login::Device { wait: Duration::from_secs(1) }, &Told::default());
    assert!(matches!(result, Err(IdentityError::Login(LoginError::Timeout(_)))), "{result:?}");
}
