//! What the authority publishes about itself: trusted root, signing config, and the environment that points
//! gitsign and cosign at it.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::key::SigningKey;

/// Which transparency logs the signing config offers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RekorOffer {
    /// Rekor v1 alone: what gitsign can verify.
    #[default]
    V1Only,
    /// Rekor v2 alone.
    V2Only,
    /// Both, and Rekor v2 is named first.
    V2First,
}

/// Everything that the published files tell.
pub(super) struct Published<'a> {
    pub(super) url: &'a str,
    /// Seconds since 1970, from which all keys and certificates are valid.
    pub(super) since: i64,
    pub(super) rekor_v1: &'a SigningKey,
    pub(super) rekor_v2: &'a SigningKey,
    pub(super) rekor_v2_id: [u8; 32],
    pub(super) timestamp_log: &'a SigningKey,
    /// Intermediate and root, DER.
    pub(super) certificate_authority: [&'a [u8]; 2],
    /// Leaf and root, DER.
    pub(super) timestamp_authority: [&'a [u8]; 2],
}

impl Published<'_> {
    /// The trusted root, `dev.sigstore.trustroot.v1.TrustedRoot` as JSON.
    pub(super) fn trusted_root(&self) -> Value {
        let log = |key: &SigningKey, details: &str, id: [u8; 32]| {
            json!({
                "baseUrl": self.url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.spki_der()),
                    "keyDetails": details,
                    "validFor": self.valid_for(),
                },
                "logId": {"keyId": STANDARD.encode(id)},
            })
        };
        let authority = |name: &str, uri: String, chain: [&[u8]; 2]| {
            let certificates: Vec<Value> =
                chain.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
            json!({
                "subject": {"organization": "countersign sandbox", "commonName": name},
                "uri": uri,
                "certChain": {"certificates": certificates},
                "validFor": self.valid_for(),
            })
        };
        let timestamp_uri = format!("{}/api/v1/timestamp", self.url);
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log(self.rekor_v1, "PKIX_ECDSA_P256_SHA_256", self.rekor_v1.key_id()),
                log(self.rekor_v2, "PKIX_ED25519", self.rekor_v2_id),
            ],
            "certificateAuthorities": [
                authority("countersign sandbox", self.url.to_owned(), self.certificate_authority),
            ],
            "ctlogs": [log(self.timestamp_log, "PKIX_ECDSA_P256_SHA_256", self.timestamp_log.key_id())],
            "timestampAuthorities": [
                authority("countersign sandbox timestamp authority", timestamp_uri, self.timestamp_authority),
            ],
        })
    }

    /// The signing config, `dev.sigstore.trustroot.v1.SigningConfig` version 0.2 as JSON.
    pub(super) fn signing_config(&self, offer: RekorOffer) -> Value {
        let service = |url: String, version: u32| {
            json!({
                "url": url,
                "majorApiVersion": version,
                "validFor": self.valid_for(),
                "operator": "countersign sandbox",
            })
        };
        let versions: &[u32] = match offer {
            RekorOffer::V1Only => &[1],
            RekorOffer::V2Only => &[2],
            RekorOffer::V2First => &[2, 1],
        };
        let logs: Vec<Value> =
            versions.iter().map(|version| service(self.url.to_owned(), *version)).collect();
        json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service(self.url.to_owned(), 1)],
            "oidcUrls": [service(self.url.to_owned(), 1)],
            "rekorTlogUrls": logs,
            "tsaUrls": [service(format!("{}/api/v1/timestamp", self.url), 1)],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        })
    }

    fn valid_for(&self) -> Value {
        // Within the years 1 to 9999 every second is a timestamp; a clock beyond them is not one.
        let start = jiff::Timestamp::from_second(self.since).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        json!({"start": start.to_string()})
    }
}

/// The files that [`environment`] names, beside `trusted_root.json` and `signing_config.json`.
pub(super) const FULCIO_ROOT_FILE: &str = "fulcio.pem";
/// The public key of the Rekor v1 log.
pub(super) const REKOR_KEY_FILE: &str = "rekor.pub";
/// The public key of the CT log.
pub(super) const TIMESTAMP_LOG_KEY_FILE: &str = "ctfe.pub";
/// The chain of the timestamp authority.
pub(super) const TIMESTAMP_CHAIN_FILE: &str = "tsa.pem";

/// Lines for a shell that point gitsign and cosign at the authority whose files are in `folder`.
pub(super) fn environment(url: &str, folder: &Path) -> String {
    let file = |name: &str| quote(&folder.join(name).display().to_string());
    let variables = [
        ("GITSIGN_FULCIO_URL", quote(url)),
        ("GITSIGN_REKOR_URL", quote(url)),
        ("GITSIGN_OIDC_ISSUER", quote(url)),
        ("GITSIGN_OIDC_CLIENT_ID", quote(super::identity_token::AUDIENCE)),
        ("GITSIGN_TIMESTAMP_SERVER_URL", quote(&format!("{url}/api/v1/timestamp"))),
        ("GITSIGN_TIMESTAMP_CERT_CHAIN", file(TIMESTAMP_CHAIN_FILE)),
        ("GITSIGN_FULCIO_ROOT", file(FULCIO_ROOT_FILE)),
        ("SIGSTORE_ROOT_FILE", file(FULCIO_ROOT_FILE)),
        ("SIGSTORE_REKOR_PUBLIC_KEY", file(REKOR_KEY_FILE)),
        ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", file(TIMESTAMP_LOG_KEY_FILE)),
        ("SIGSTORE_TSA_CERTIFICATE_FILE", file(TIMESTAMP_CHAIN_FILE)),
    ];
    let mut text = String::from("# countersign sandbox: for trials and tests, never for production\n");
    for (name, value) in variables {
        text.push_str(&format!("export {name}={value}\n"));
    }
    text.push_str(&format!(
        "# cosign sign-blob --signing-config {} --trusted-root {} ...\n",
        file("signing_config.json"),
        file("trusted_root.json"),
    ));
    text
}

/// A word that a POSIX shell reads as `text`.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
