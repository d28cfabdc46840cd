//! Fulcio: a certificate for a fresh key, against an identity token (`POST /api/v2/signingCert`).

use der::{Decode as _, Encode as _, pem::LineEnding};
use serde::Deserialize;
use x509_cert::Certificate;

use super::{
    Refusal, base64,
    http::{Http, HttpError, Repeat, join},
};
use crate::{
    encoding::der::{Tag, only},
    key::{self, KeyError, SigningKey},
    sigstore::key::KeyKind,
};

/// Why there is no certificate. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FulcioError {
    /// The SCT is not inside the certificate, where verifiers of git signatures need it.
    #[error("the certificate authority gave the SCT apart from the certificate")]
    DetachedSct,
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The certificate is for another key.
    #[error("the certificate is for another key than the one it was asked for")]
    Key,
    /// The proof of possession could not be made.
    #[error("the key cannot sign: {0}")]
    Possession(#[from] KeyError),
    /// The authority said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The answer is not what Fulcio's API says.
    #[error("the certificate authority's answer cannot be read: {0}")]
    Unreadable(String),
}

impl FulcioError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Http(error) => error.retryable(),
            Self::Refused(refusal) => refusal.retryable(),
            _ => false,
        }
    }
}

/// The claims of the token from which the proof of possession takes its text.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// `email`, where there is one.
    pub email: Option<&'a str>,
}

/// A leaf certificate and what it says of itself that its holder needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The leaf, DER.
    pub leaf: Vec<u8>,
    /// First second of validity, since 1970.
    pub not_before: i64,
    /// Last second of validity, since 1970.
    pub not_after: i64,
}

impl IssuedCertificate {
    /// The certificate `leaf` (DER), which is for the key `public` (DER SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// It is no certificate, or for another key.
    pub fn read(leaf: &[u8], public: &[u8]) -> Result<Self, FulcioError> {
        let unreadable = |reason: &str| FulcioError::Unreadable(reason.to_owned());
        let certificate =
            Certificate::from_der(leaf).map_err(|_| unreadable("the leaf is not a certificate"))?;
        let certified = certificate.tbs_certificate.subject_public_key_info.to_der();
        if certified.map_err(|_| unreadable("the leaf's key"))? != public {
            return Err(FulcioError::Key);
        }
        let validity = certificate.tbs_certificate.validity;
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).map_err(|_| unreadable("the leaf's validity"))
        };
        Ok(Self {
            not_before: seconds(validity.not_before)?,
            not_after: seconds(validity.not_after)?,
            leaf: leaf.to_owned(),
        })
    }
}

/// Asks the authority at `base` for a certificate for `key`, on the word of the identity `token`.
///
/// The proof of possession is a signature over the claim that the authority takes for the subject:
/// `email` where the token has one, else `sub`. Where that is refused and the token has both, the
/// authority's configuration is asked which one it is (`challengeClaim`).
///
/// # Errors
/// No answer, a refusal, or a certificate that is not for `key`.
pub fn request_certificate(
    http: &Http,
    base: &str,
    token: &str,
    subject: Subject<'_>,
    key: &dyn SigningKey,
) -> Result<IssuedCertificate, FulcioError> {
    let challenge = subject.email.unwrap_or(subject.subject);
    let refusal = match request_with_challenge(http, base, token, challenge, key) {
        Err(FulcioError::Refused(refusal)) if refusal.status == 400 => refusal,
        outcome => return outcome,
    };
    match (subject.email, challenge_claim(http, base, subject.issuer).as_deref()) {
        (Some(email), Some("sub")) if email != subject.subject => {
            request_with_challenge(http, base, token, subject.subject, key)
        }
        _ => Err(refusal.into()),
    }
}

fn request_with_challenge(
    http: &Http,
    base: &str,
    token: &str,
    challenge: &str,
    key: &dyn SigningKey,
) -> Result<IssuedCertificate, FulcioError> {
    let public = key.spki()?;
    let proof = key.sign(challenge.as_bytes())?;
    let pem = der::pem::encode_string("PUBLIC KEY", LineEnding::LF, &public).map_err(|_| KeyError::Kind)?;
    // A hint; the authority reads the key itself.
    let algorithm = if key::kind(&public)? == KeyKind::Rsa { "RSA_PSS" } else { "ECDSA" };
    let body = serde_json::json!({
        "credentials": { "oidcIdentityToken": token },
        "publicKeyRequest": {
            "publicKey": { "algorithm": algorithm, "content": pem },
            "proofOfPossession": base64(&proof),
        },
    });
    let url = join(base, "/api/v2/signingCert");
    // A certificate too many stands in the CT log for good: no second request unless the first was unheard.
    let response = http.post_json(&url, body.to_string().into_bytes(), Repeat::Unheard)?;
    if !matches!(response.status().as_u16(), 200 | 201) {
        return Err(Refusal::of(&response).into());
    }
    read(response.body(), &public)
}

/// The leaf in an answer of the authority to the request for a certificate for the key `public` (DER
/// SubjectPublicKeyInfo).
///
/// # Errors
/// There is none in it, or one for another key.
pub fn read(answer: &[u8], public: &[u8]) -> Result<IssuedCertificate, FulcioError> {
    let answer: SigningCertificate =
        serde_json::from_slice(answer).map_err(|error| FulcioError::Unreadable(error.to_string()))?;
    let chain = match answer {
        SigningCertificate { embedded: Some(embedded), .. } => embedded.chain.certificates,
        SigningCertificate { detached: Some(_), .. } => return Err(FulcioError::DetachedSct),
        SigningCertificate { .. } => return Err(FulcioError::Unreadable("no certificate in it".to_owned())),
    };
    let leaf = chain.first().ok_or_else(|| FulcioError::Unreadable("the chain is empty".to_owned()))?;
    read_leaf(leaf, public)
}

fn read_leaf(pem: &str, public: &[u8]) -> Result<IssuedCertificate, FulcioError> {
    let unreadable = |reason: &str| FulcioError::Unreadable(reason.to_owned());
    let (label, leaf) =
        der::pem::decode_vec(pem.as_bytes()).map_err(|_| unreadable("the leaf is not PEM"))?;
    if label != "CERTIFICATE" || only(&leaf, Tag::Sequence).is_err() {
        return Err(unreadable("the leaf is not a certificate"));
    }
    IssuedCertificate::read(&leaf, public)
}

/// What the authority's configuration names as the challenge for `issuer`; `None` where it does not say.
fn challenge_claim(http: &Http, base: &str, issuer: &str) -> Option<String> {
    let response = http.get(&join(base, "/api/v2/configuration")).ok()?;
    let configuration: Configuration = serde_json::from_slice(response.body()).ok()?;
    configuration
        .issuers
        .into_iter()
        .find(|known| known.issuer_url.as_deref() == Some(issuer))
        .and_then(|known| known.challenge_claim)
}

#[derive(Deserialize)]
struct SigningCertificate {
    #[serde(rename = "signedCertificateEmbeddedSct")]
    embedded: Option<WithChain>,
    #[serde(rename = "signedCertificateDetachedSct")]
    detached: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct WithChain {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    issuers: Vec<KnownIssuer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KnownIssuer {
    issuer_url: Option<String>,
    challenge_claim: Option<String>,
}

#[cfg(test)]
mod tests;
