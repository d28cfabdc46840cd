//! A trusted root: the keys of one Sigstore instance, each with the window in which it counts.
//!
//! The JSON is read by `sigstore-trust-root`; here each part is made ready to verify with, and held to
//! what an authority must be: every chain is checked link by link when it is loaded, so that a leaf
//! needs one signature check against its issuer afterwards.

use std::{sync::Arc, time::Duration};

use ::der::Decode as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sigstore_trust_root::trusted_root::{CertChain, PublicKey as RootKey, TrustedRoot};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};

use super::key::{Hash, KeyKind, PublicKey, signature_hash};
use crate::encoding::{der::ObjectIdentifier, sha256, x509::Slices};

/// id-kp-codeSigning
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// id-kp-timeStamping
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

/// The largest trusted root that is read, in bytes.
pub const MAXIMUM_ROOT_BYTES: usize = 4 * 1024 * 1024;
/// The name of the instance that is built in and counts everywhere.
pub const PUBLIC_GOOD: &str = "public-good";
/// The name of Sigstore's staging instance, which is built in and counts only where it is named.
pub const STAGING: &str = "staging";
/// When the built-in trusted roots were published, in seconds since 1970: 2026-10-23.
pub const BUILT_IN_SINCE: i64 = 1_792_713_600;

/// The trusted root that is built in under `name`, as JSON text.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static str> {
    match name {
        PUBLIC_GOOD => Some(sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT),
        STAGING => Some(sigstore_trust_root::SIGSTORE_STAGING_TRUSTED_ROOT),
        _ => None,
    }
}

/// A span of time, both ends included, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first second.
    pub start: i64,
    /// The last second.
    pub end: i64,
}

impl Window {
    /// Whether `time` is inside.
    #[must_use]
    pub fn contains(&self, time: i64) -> bool {
        (self.start..=self.end).contains(&time)
    }

    /// The span that is inside both.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }
}

/// What an authority's leaf certificates are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Signing commits and tags.
    CodeSigning,
    /// Timestamp tokens.
    TimeStamping,
}

impl Usage {
    fn identifier(self) -> &'static ObjectIdentifier {
        match self {
            Self::CodeSigning => &CODE_SIGNING,
            Self::TimeStamping => &TIME_STAMPING,
        }
    }
}

/// A transparency log or CT log.
#[derive(Debug)]
pub struct Log {
    /// Where it is, as the trusted root says; a name for people.
    pub base_url: String,
    /// Its key id.
    pub id: Vec<u8>,
    /// Its key.
    pub key: PublicKey,
    /// When its key counts.
    pub window: Window,
}

/// A certificate authority or timestamp authority: a chain from the issuer of leaves to a root.
#[derive(Debug)]
pub struct Authority {
    /// What the trusted root calls it: where it is, or was. Empty where it does not say.
    pub uri: String,
    usage: Usage,
    pinned_leaf: Option<Vec<u8>>,
    chain: Vec<Vec<u8>>,
    anchor: Option<TrustAnchor<'static>>,
    subject: Vec<u8>,
    spki: Vec<u8>,
    key_identifier: Option<Vec<u8>>,
    window: Window,
}

/// Why a leaf certificate is not an authority's. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// The leaf names another issuer.
    OtherIssuer,
    /// The leaf names this very key as its issuer, and the signature is wrong.
    Signature,
    /// The path breaks a rule of RFC 5280 (name constraints, critical extensions, usage).
    Constraints,
}

impl Authority {
    /// Load a chain, leaf-most first.
    fn load(usage: Usage, uri: &str, chain: &CertChain, window: Window) -> Result<Self, TrustedRootError> {
        let damaged = || TrustedRootError::Authority;
        let mut certificates: Vec<Vec<u8>> =
            chain.certificates.iter().map(|entry| entry.raw_bytes.as_bytes().to_vec()).collect();
        let first = Slices::parse(certificates.first().ok_or_else(damaged)?).map_err(|_| damaged())?;
        let mut window = window.intersect(Window { start: first.not_before, end: first.not_after });
        let first_is_leaf = !is_authority(&first, 0);
        if first_is_leaf && !(usage == Usage::TimeStamping && is_timestamping_leaf(&first)) {
            return Err(damaged());
        }
        for (depth, pair) in certificates.windows(2).enumerate() {
            let [lower, upper] = pair else { return Err(damaged()) };
            let lower = Slices::parse(lower).map_err(|_| damaged())?;
            let upper = Slices::parse(upper).map_err(|_| damaged())?;
            window = window.intersect(Window { start: upper.not_before, end: upper.not_after });
            let below = if first_is_leaf { depth } else { depth + 1 };
            if lower.issuer != upper.subject
                || !is_authority(&upper, below)
                || !allows(&upper, usage)
                || !is_signed_by(&lower, upper.spki)
            {
                return Err(damaged());
            }
        }
        if !first_is_leaf && !allows(&first, usage) {
            return Err(damaged());
        }
        let pinned_leaf = first_is_leaf.then(|| certificates.remove(0));
        let (subject, spki, key_identifier, anchor) = match certificates.first() {
            Some(issuer) => {
                let slices = Slices::parse(issuer).map_err(|_| damaged())?;
                let der = CertificateDer::from(issuer.as_slice());
                let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| damaged())?.to_owned();
                let identifier = slices
                    .extension(&SUBJECT_KEY_IDENTIFIER)
                    .and_then(|extension| ::der::asn1::OctetStringRef::from_der(extension.value).ok())
                    .map(|identifier| identifier.as_bytes().to_vec());
                (slices.subject.to_vec(), slices.spki.to_vec(), identifier, Some(anchor))
            }
            None => (Vec::new(), Vec::new(), None, None),
        };
        Ok(Self {
            uri: uri.to_owned(),
            usage,
            pinned_leaf,
            chain: certificates,
            anchor,
            subject,
            spki,
            key_identifier,
            window,
        })
    }

    /// The subject (DER Name) of the certificate that issues leaves; empty where only a leaf is pinned.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// When the authority, and each certificate of its chain, is valid.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// The SubjectPublicKeyInfo of the certificate that issues leaves.
    #[must_use]
    pub fn issuer_spki(&self) -> &[u8] {
        &self.spki
    }

    /// The one leaf that the trusted root pins (timestamp authorities).
    #[must_use]
    pub fn pinned_leaf(&self) -> Option<&[u8]> {
        self.pinned_leaf.as_deref()
    }

    /// Whether `certificate` is one of the authority's own, byte for byte.
    #[must_use]
    pub fn holds(&self, certificate: &[u8]) -> bool {
        self.chain.iter().any(|own| own == certificate)
    }

    /// Check that `leaf` was issued by this authority, for its usage, by the rules of RFC 5280. The
    /// span in which leaf and chain are valid is the answer; the caller compares it with proven times.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn issued(&self, leaf: &[u8], slices: &Slices<'_>) -> Result<Window, PathError> {
        let Some(anchor) = &self.anchor else { return Err(PathError::OtherIssuer) };
        if slices.issuer != self.subject {
            return Err(PathError::OtherIssuer);
        }
        // `rustls-webpki` looks for the usage among others, critical or not.
        if self.usage == Usage::TimeStamping && !is_timestamping_leaf(slices) {
            return Err(PathError::Constraints);
        }
        let der = CertificateDer::from(leaf);
        let certificate = webpki::EndEntityCert::try_from(&der).map_err(|_| PathError::Constraints)?;
        let start = u64::try_from(slices.not_before).map_err(|_| PathError::Constraints)?;
        let verified = certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(anchor),
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(start)),
            webpki::KeyUsage::required(match self.usage {
                Usage::CodeSigning => CODE_SIGNING.as_bytes(),
                Usage::TimeStamping => TIME_STAMPING.as_bytes(),
            }),
            None,
            None,
        );
        match verified {
            Ok(_) => {
                let leaf = Window { start: slices.not_before, end: slices.not_after };
                Ok(leaf.intersect(self.window))
            }
            Err(webpki::Error::InvalidSignatureForPublicKey) if self.is_named_by(slices) => {
                Err(PathError::Signature)
            }
            Err(webpki::Error::InvalidSignatureForPublicKey) => Err(PathError::OtherIssuer),
            Err(_) => Err(PathError::Constraints),
        }
    }

    /// The leaf's authority key identifier is this authority's key.
    fn is_named_by(&self, leaf: &Slices<'_>) -> bool {
        let named = leaf
            .extension(&AUTHORITY_KEY_IDENTIFIER)
            .and_then(|extension| {
                x509_cert::ext::pkix::AuthorityKeyIdentifier::from_der(extension.value).ok()
            })
            .and_then(|identifier| identifier.key_identifier);
        match (named, &self.key_identifier) {
            (Some(named), Some(own)) => named.as_bytes() == own,
            _ => false,
        }
    }
}

/// One Sigstore instance: certificate authorities, CT logs, transparency logs, timestamp authorities.
#[derive(Debug)]
pub struct Instance {
    name: Arc<str>,
    digest: [u8; 32],
    /// Who issues signing certificates.
    pub(crate) authorities: Vec<Authority>,
    /// Who signs SCTs.
    pub(crate) ct_logs: Vec<Log>,
    /// Who logs signatures.
    pub(crate) logs: Vec<Log>,
    /// Who signs timestamps.
    pub(crate) timestamp_authorities: Vec<Authority>,
}

/// Why a trusted root cannot be used. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustedRootError {
    /// A chain is not one: a link is not signed by the next, or a certificate may not do what it does.
    #[error("an authority's certificate chain in the trusted root does not hold together")]
    Authority,
    /// Two logs have one id, so that it would not say whose key is meant.
    #[error("two logs in the trusted root have one id")]
    DuplicateLogId,
    /// Nothing could ever be verified with it.
    #[error("the trusted root lacks a certificate authority, a CT log or a transparency log")]
    Incomplete,
    /// Not a trusted root in JSON.
    #[error("the trusted root cannot be read: {0}")]
    Json(String),
    /// A key cannot be read.
    #[error("the trusted root holds a malformed key")]
    Key,
    /// A log's id is not the digest of its key.
    #[error("a log id in the trusted root does not belong to its key")]
    LogId,
    /// More than [`MAXIMUM_ROOT_BYTES`].
    #[error("the trusted root is larger than {MAXIMUM_ROOT_BYTES} bytes")]
    TooLarge,
}

impl Instance {
    /// The instance that is built in under `name`, from the trusted root embedded in the program.
    ///
    /// # Errors
    /// The embedded root is damaged.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Result<Self, TrustedRootError>> {
        built_in(name).map(|json| Self::from_json(name, json))
    }

    /// The public-good instance, from the trusted root embedded in the program.
    ///
    /// # Errors
    /// The embedded root is damaged.
    pub fn public_good() -> Result<Self, TrustedRootError> {
        Self::from_json(PUBLIC_GOOD, sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT)
    }

    /// An instance called `name` from the text of a `trusted_root.json` (protobuf-specs, version 0.1).
    ///
    /// Logs whose algorithm is unknown are left out: nothing can be verified with them.
    ///
    /// # Errors
    /// Anything in it that cannot be read.
    pub fn from_json(name: &str, json: &str) -> Result<Self, TrustedRootError> {
        if json.len() > MAXIMUM_ROOT_BYTES {
            return Err(TrustedRootError::TooLarge);
        }
        let root = TrustedRoot::from_json(json).map_err(|error| TrustedRootError::Json(error.to_string()))?;
        let authorities = root
            .certificate_authorities
            .iter()
            .map(|ca| {
                Authority::load(Usage::CodeSigning, &ca.uri, &ca.cert_chain, window(ca.valid_for.as_ref()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let timestamp_authorities = root
            .timestamp_authorities
            .iter()
            .map(|tsa| {
                let uri = tsa.uri.as_deref().unwrap_or_default();
                Authority::load(Usage::TimeStamping, uri, &tsa.cert_chain, window(tsa.valid_for.as_ref()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut ct_logs = Vec::new();
        for ct_log in &root.ctlogs {
            let id = ct_log.log_id.key_id.as_bytes().to_vec();
            // A key in a form that is not read here (PKCS #1 in Sigstore's staging) has its id from another.
            let Some(log) = log(&ct_log.base_url, id, &ct_log.public_key)? else { continue };
            if log.id != sha256(&[ct_log.public_key.raw_bytes.as_bytes()]) {
                return Err(TrustedRootError::LogId);
            }
            add(&mut ct_logs, log)?;
        }
        let mut logs = Vec::new();
        for tlog in &root.tlogs {
            let id = tlog.log_id.key_id.as_bytes().to_vec();
            if id.len() < 4 {
                return Err(TrustedRootError::LogId);
            }
            let Some(log) = log(&tlog.base_url, id, &tlog.public_key)? else { continue };
            // The id of an Ed25519 key is over the log's name too (C2SP signed-note), which may not stand here.
            let is_named = log.key.kind() == KeyKind::Ed25519;
            if !is_named && log.id != sha256(&[tlog.public_key.raw_bytes.as_bytes()]) {
                return Err(TrustedRootError::LogId);
            }
            add(&mut logs, log)?;
        }
        if authorities.is_empty() || ct_logs.is_empty() || logs.is_empty() {
            return Err(TrustedRootError::Incomplete);
        }
        let digest = sha256(&[json.as_bytes()]);
        Ok(Self { name: name.into(), digest, authorities, ct_logs, logs, timestamp_authorities })
    }

    /// The name under which policies speak of the instance.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its logs are, as the trusted root says.
    pub fn log_urls(&self) -> impl Iterator<Item = &str> {
        self.logs.iter().map(|log| log.base_url.as_str())
    }

    /// Where its timestamp authorities are, as the trusted root says.
    pub fn timestamp_authority_urls(&self) -> impl Iterator<Item = &str> {
        self.timestamp_authorities.iter().map(|authority| authority.uri.as_str())
    }

    /// SHA-256 of the JSON text.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Entries, SCTs and checkpoints name their log by its id alone.
fn add(logs: &mut Vec<Log>, log: Log) -> Result<(), TrustedRootError> {
    if logs.iter().any(|other| other.id == log.id) {
        return Err(TrustedRootError::DuplicateLogId);
    }
    logs.push(log);
    Ok(())
}

fn window(range: Option<&sigstore_types::TimeRange>) -> Window {
    range.map_or(Window { start: i64::MIN, end: i64::MAX }, |range| Window {
        start: range.start.as_second(),
        end: range.end.map_or(i64::MAX, |end| end.as_second()),
    })
}

fn log(base_url: &str, id: Vec<u8>, key: &RootKey) -> Result<Option<Log>, TrustedRootError> {
    let hash = match key.key_details.as_str() {
        "PKIX_ECDSA_P256_SHA_256"
        | "PKIX_RSA_PKCS1V15_2048_SHA256"
        | "PKIX_RSA_PKCS1V15_3072_SHA256"
        | "PKIX_RSA_PKCS1V15_4096_SHA256" => Hash::Sha256,
        "PKIX_ECDSA_P384_SHA_384" => Hash::Sha384,
        "PKIX_ECDSA_P521_SHA_512" | "PKIX_ED25519" => Hash::Sha512,
        _ => return Ok(None),
    };
    let public = PublicKey::from_spki(key.raw_bytes.as_bytes(), hash).map_err(|_| TrustedRootError::Key)?;
    Ok(Some(Log { base_url: base_url.to_owned(), id, key: public, window: window(key.valid_for.as_ref()) }))
}

/// An authority's certificate that may stand above `below` further authorities (RFC 5280 §4.2.1.9).
pub(crate) fn is_authority(slices: &Slices<'_>, below: usize) -> bool {
    let constraints = slices
        .extension(&BASIC_CONSTRAINTS)
        .and_then(|extension| BasicConstraints::from_der(extension.value).ok());
    let usage = slices.extension(&KEY_USAGE).map(|extension| KeyUsage::from_der(extension.value));
    let may_sign = match usage {
        Some(Ok(usage)) => usage.0.contains(KeyUsages::KeyCertSign),
        Some(Err(_)) => false,
        None => true,
    };
    may_sign
        && constraints.is_some_and(|constraints| {
            constraints.ca && constraints.path_len_constraint.is_none_or(|most| usize::from(most) >= below)
        })
}

/// An authority's certificate without extended key usage, or with this one.
fn allows(slices: &Slices<'_>, usage: Usage) -> bool {
    slices.extension(&EXTENDED_KEY_USAGE).is_none_or(|extension| {
        ExtendedKeyUsage::from_der(extension.value).is_ok_and(|list| list.0.contains(usage.identifier()))
    })
}

/// A leaf for timestamps and nothing else (RFC 3161 §2.3).
fn is_timestamping_leaf(slices: &Slices<'_>) -> bool {
    slices.extension(&EXTENDED_KEY_USAGE).is_some_and(|extension| {
        extension.critical
            && ExtendedKeyUsage::from_der(extension.value).is_ok_and(|list| list.0 == [TIME_STAMPING])
    })
}

fn is_signed_by(lower: &Slices<'_>, spki: &[u8]) -> bool {
    signature_hash(&lower.signature_algorithm, None)
        .and_then(|(family, hash)| Some((family, PublicKey::from_spki(spki, hash).ok()?)))
        .is_some_and(|(family, key)| {
            key.kind().family() == family && key.verifies(lower.tbs, lower.signature)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_public_good_root_loads_with_its_expired_keys() {
        let root = Instance::public_good().unwrap();
        assert!(root.authorities.len() >= 2, "old certificates need the authority that ended in 2022");
        assert!(root.ct_logs.iter().any(|log| log.window.end < i64::MAX), "expired CT keys are kept");
    }

    #[test]
    fn the_built_in_roots_are_those_of_their_date() {
        // When these change, so does `BUILT_IN_SINCE`.
        let digests = [PUBLIC_GOOD, STAGING].map(|name| {
            let root = Instance::from_json(name, built_in(name).unwrap()).unwrap();
            hex::encode(&root.digest()[..8])
        });
        assert_eq!(digests, ["6494e21ea73fa7ee", "44deb991d4bbf215"]);
    }

    #[test]
    fn a_log_with_a_key_of_an_unknown_form_is_left_out() {
        let good = sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
        let mut value: serde_json::Value = serde_json::from_str(good).unwrap();
        let before = value["ctlogs"].as_array().unwrap().len();
        value["ctlogs"][0]["publicKey"]["keyDetails"] = "PKCS1_RSA_PKCS1V5".into();
        value["ctlogs"][0]["logId"]["keyId"] = value["ctlogs"][1]["logId"]["keyId"].clone();
        let root = Instance::from_json("x", &value.to_string()).unwrap();
        assert_eq!(root.ct_logs.len(), before - 1);
    }

    #[test]
    fn a_root_that_cannot_be_read_has_its_cause() {
        let good = sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
        assert!(matches!(Instance::from_json("x", "{"), Err(TrustedRootError::Json(_))));
        let empty = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
        assert_eq!(Instance::from_json("x", empty).unwrap_err(), TrustedRootError::Incomplete);
        let large = " ".repeat(MAXIMUM_ROOT_BYTES + 1);
        assert_eq!(Instance::from_json("x", &large).unwrap_err(), TrustedRootError::TooLarge);
        let mut value: serde_json::Value = serde_json::from_str(good).unwrap();
        let chain = value["certificateAuthorities"][1]["certChain"]["certificates"].as_array_mut().unwrap();
        chain.reverse();
        assert_eq!(
            Instance::from_json("x", &value.to_string()).unwrap_err(),
            TrustedRootError::Authority,
            "a chain in the wrong order does not hold together"
        );
        let cause = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value: serde_json::Value = serde_json::from_str(good).unwrap();
            change(&mut value);
            Instance::from_json("x", &value.to_string()).unwrap_err()
        };
        let other_id = |value: &mut serde_json::Value, logs: &str| {
            value[logs][0]["logId"]["keyId"] = value[logs][1]["logId"]["keyId"].clone();
        };
        assert_eq!(cause(&|value| other_id(value, "ctlogs")), TrustedRootError::LogId);
        assert_eq!(cause(&|value| other_id(value, "tlogs")), TrustedRootError::LogId);
        for logs in ["ctlogs", "tlogs"] {
            let twice = cause(&|value| {
                let log = value[logs][0].clone();
                value[logs].as_array_mut().unwrap().push(log);
            });
            assert_eq!(twice, TrustedRootError::DuplicateLogId, "{logs}");
        }
        // The key of the second log is Ed25519, so that its id need not be the key's.
        assert_eq!(
            cause(&|value| value["tlogs"][1]["logId"] = value["tlogs"][0]["logId"].clone()),
            TrustedRootError::DuplicateLogId
        );
        let key = "\"tlogs\"";
        assert_eq!(good.matches(key).count(), 1);
        let twice = good.replacen(key, "\"tlogs\": [], \"tlogs\"", 1);
        assert!(matches!(Instance::from_json("x", &twice), Err(TrustedRootError::Json(_))));
    }
}
