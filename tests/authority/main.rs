//! The embedded authority, judged by code that is not ours: sigstore-verify, rustls-webpki, openidconnect, openssl.
#![cfg(feature = "sandbox")]
#![expect(clippy::unwrap_used, reason = "what helpers of tests unwrap is what the tests assert")]

mod certificates;
mod login;
mod logs;
mod server;
mod state;
mod timestamps;

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::sandbox::{Authority, HashedRekord, ManualClock, Options, Running};
use serde_json::{Value, json};

/// A time in the past at which a test may set its clock: 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600;

/// An authority that serves, in memory and on the system's clock.
fn authority() -> Running {
    Authority::new(Options::default()).unwrap().serve(0).unwrap()
}

/// An authority that serves with a clock in the test's hands.
fn authority_at(seconds: i64) -> (Running, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(seconds));
    let options = Options { clock: Arc::clone(&clock) as _, ..Options::default() };
    (Authority::new(options).unwrap().serve(0).unwrap(), clock)
}

/// A P-256 key of a customer.
struct Customer(EcdsaKeyPair);

impl Customer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn spki(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    fn public_key_pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }
}

/// A message signed with a certificate of the authority.
struct Signed {
    message: Vec<u8>,
    chain: Vec<Vec<u8>>,
    signature: Vec<u8>,
}

impl Signed {
    fn new(authority: &Authority, email: &str, message: &[u8]) -> Self {
        let customer = Customer::new();
        let chain = authority.issue_certificate(email, &customer.spki()).unwrap();
        Self { message: message.to_vec(), chain, signature: customer.sign(message) }
    }

    fn digest(&self) -> [u8; 32] {
        sha256(&self.message)
    }

    fn rekord(&self) -> HashedRekord {
        HashedRekord::new(self.digest(), &self.signature, &self.chain[0])
    }

    /// Rekor v1's proposed entry.
    fn proposal_v1(&self) -> Value {
        json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "signature": {
                "content": STANDARD.encode(&self.signature),
                "publicKey": {"content": STANDARD.encode(pem("CERTIFICATE", &self.chain[0]))},
            },
            "data": {"hash": {"algorithm": "sha256", "value": hex::encode(self.digest())}},
        }})
    }

    /// Rekor v2's request.
    fn proposal_v2(&self) -> Value {
        json!({"hashedRekordRequestV002": {
            "digest": STANDARD.encode(self.digest()),
            "signature": {
                "content": STANDARD.encode(&self.signature),
                "verifier": {
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "x509Certificate": {"rawBytes": STANDARD.encode(&self.chain[0])},
                },
            },
        }})
    }
}

fn sha256(data: &[u8]) -> [u8; 32] {
    digest(&SHA256, data).as_ref().try_into().unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// What the server answered.
struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let body = response.body_mut().read_to_vec().unwrap();
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
}

fn get(running: &Running, path: &str) -> Answer {
    answer(agent().get(format!("{}{path}", running.url())).call().unwrap())
}

fn post(running: &Running, path: &str, content_type: &str, body: &[u8]) -> Answer {
    let request = agent().post(format!("{}{path}", running.url())).content_type(content_type);
    answer(request.send(body).unwrap())
}

fn post_json(running: &Running, path: &str, body: &Value) -> Answer {
    post(running, path, "application/json", body.to_string().as_bytes())
}

fn post_form(running: &Running, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    post(running, path, "application/x-www-form-urlencoded", body.as_bytes())
}

/// Runs openssl in a folder; `None`, and a line that says so, when there is none.
fn openssl(test: &str, folder: &Path, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new("openssl");
    command.args(arguments).current_dir(folder).env("HOME", folder).env_remove("OPENSSL_CONF");
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: {test}: openssl not found");
            None
        }
        Err(error) => panic!("openssl could not be run: {error}"),
    }
}

#[track_caller]
fn assert_success(output: &Output) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}
