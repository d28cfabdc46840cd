//! What the servers of a Sigstore and of a login answer, and the keys that sign with them.

use std::{io, sync::LazyLock};

use countersign::{
    encoding::x509::Slices,
    identity::{Token, login_code},
    key::{self, Keyholder, Reference},
    service::{fulcio, rekor_v1, rekor_v2, timestamp, tuf},
    sign::{Logging, Preference, SigningPlan, login_issuer, rekor_v1_urls},
    sigstore::{
        api_entry::HashedRecordEntry, log_entry::TransparencyLogEntry, timestamp::TimestampToken,
        trusted_root::Instance,
    },
};
use prost::Message as _;

use super::NOW;

/// What the login of the seeds of [`login_answer`] keeps to itself.
pub const STATE: &str = "a-secret-state";
/// The path to which its issuer sends the browser, and the issuer.
pub const LOGIN: (&str, &str) = ("/auth/callback", "https://issuer.example");
/// What the request for the seed of [`timestamp_answer`] has for a nonce.
pub const NONCE: [u8; 16] = [0x41; 16];
/// SHA-256 of nothing: what it asks a stamp for.
pub const IMPRINT: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The key of the seed of [`certificate_answer`].
pub static PUBLIC: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let certificate = include_bytes!("../corpus/certificate/email.seed");
    Slices::parse(certificate).expect("the seed is a certificate").spki.to_vec()
});

/// What the seeds of [`log_answer`] are about: for Rekor v1 and v2.
pub static BODIES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let first = HashedRecordEntry::parse(include_bytes!("../corpus/api_entry/sha1.seed"));
    let second = TransparencyLogEntry::parse(include_bytes!("../corpus/log_entry/rekor-v2.seed"));
    [first.expect("the seed is an entry").entry, second.expect("the seed is an entry")]
        .map(|entry| entry.canonicalized_body)
});

/// Nobody, who knows no passphrase.
pub struct Nobody;

impl Keyholder for Nobody {
    fn passphrase(&self, _what: &str) -> io::Result<zeroize::Zeroizing<String>> {
        Err(io::Error::other("there is nobody"))
    }
}

/// A certificate that is taken is for the key that it was asked for.
pub fn certificate_answer(data: &[u8]) {
    let Ok(issued) = fulcio::read(data, &PUBLIC) else { return };
    if let Ok(slices) = Slices::parse(&issued.leaf) {
        assert_eq!(slices.spki, PUBLIC.as_slice());
    }
}

/// An entry that is taken is about what was submitted.
pub fn log_answer(data: &[u8]) {
    for body in BODIES.iter() {
        let answers = [rekor_v1::read(data, body.clone()), rekor_v2::read(data, body.clone())];
        for entry in answers.into_iter().flatten() {
            assert_eq!(&entry.canonicalized_body, body);
            super::log_entry(&entry.encode_to_vec());
        }
    }
}

/// A stamp that is taken is over what it was asked for.
pub fn timestamp_answer(data: &[u8]) {
    let Ok(token) = timestamp::read(data, &IMPRINT, &NONCE) else { return };
    if let Ok(token) = TimestampToken::parse(&token) {
        assert_eq!(token.imprint, IMPRINT);
    }
}

/// An identity token that is taken can be asked about everything.
pub fn identity_token(data: &[u8]) {
    let Ok(text) = String::from_utf8(data.to_vec()) else { return };
    let Ok(token) = Token::parse(text) else { return };
    assert_eq!(Token::parse(token.secret().to_owned()).expect("it was read").binding(), token.binding());
    for audience in token.claims().audience.iter().map(String::as_str).chain(["sigstore"]) {
        let is_good = token.check(audience, NOW).is_ok();
        assert!(!is_good || token.claims().audience.iter().any(|meant| meant == audience));
    }
}

/// Nobody who does not know the secret state ends a login.
pub fn login_answer(data: &[u8]) {
    let (path, issuer) = LOGIN;
    let Some(code) = login_code(data, path, STATE, issuer) else { return };
    assert!(!code.is_empty() && !code.contains(char::is_control));
    assert_eq!(login_code(data, path, "another state", issuer), None);
    assert_eq!(login_code(data, "/", STATE, issuer), None);
}

/// Services that are chosen are a signature's worth, and prove a time.
pub fn signing_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (login_issuer(text, NOW), rekor_v1_urls(text));
    let preferences =
        [Preference::Interoperable, Preference::Newest, Preference::RekorV1, Preference::RekorV2];
    for preference in preferences {
        for logging in [Logging::Required, Logging::WhereItAnswers, Logging::Never] {
            let Ok(plan) = SigningPlan::select(text, NOW, preference, logging) else { continue };
            assert_eq!(plan.logs.is_empty(), logging == Logging::Never);
            let first = plan.logs.first().map(|log| log.version);
            assert!(!plan.timestamps.is_empty() || first == Some(countersign::sign::RekorVersion::V1));
            assert!(plan.recorders().count() == plan.logs.len() + 1);
        }
    }
}

/// A trusted root that is read says the same however often, and nothing of what it does not hold.
pub fn trusted_root(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(instance) = Instance::from_json("x", text) else { return };
    let again = Instance::from_json("x", text).expect("it was read");
    assert_eq!((instance.name(), instance.digest()), ("x", again.digest()));
    assert!(instance.log_urls().chain(instance.timestamp_authority_urls()).all(|url| text.contains(url)));
}

/// A root that is pinned is signed by its own keys.
pub fn tuf_root(data: &[u8]) {
    if let Ok(version) = tuf::check_pinned(data) {
        assert!(version > 0 && data.len() > 100);
    }
}

/// A key that is taken from a file is of a kind that signs.
pub fn key_file(data: &[u8]) {
    let Ok(key) = key::from_pem(data, "key.pem", &Nobody) else { return };
    let Ok(kind) = key.spki().and_then(|spki| key::kind(&spki)) else { return };
    assert!(matches!(
        kind,
        countersign::sigstore::key::KeyKind::P256 | countersign::sigstore::key::KeyKind::Rsa
    ));
}

/// A reference to a key that is read names one, by a path that depends on nothing.
pub fn key_reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Reference::parse(text) {
        Ok(Some(Reference::File(path))) => assert!(path.is_absolute()),
        Ok(Some(Reference::Pkcs11(uri))) => {
            assert!(uri.module.is_absolute() && (uri.object.is_some() || uri.id.is_some()));
            assert!(uri.pin_file.is_none_or(|path| path.is_absolute()));
        }
        Ok(Some(Reference::Kms { scheme, .. })) => {
            assert!(scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        }
        Ok(Some(Reference::SshAgent(_)) | None) | Err(_) => {}
    }
}
