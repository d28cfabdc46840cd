//! Payload in, signature out: which evidence is gathered, from whom, in which order.
//!
//! ```text
//! token ─admit─▶ fresh key ─▶ certificate ═▶ Session
//! payload ─▶ signed attributes ─▶ signature ─▶ log entry ∥ timestamp ─▶ CMS ─▶ check ─▶ Signature
//! ```
//!
//! Nothing is written anywhere by this room, and it does not verify: the caller passes the check that each
//! signature must stand before it leaves, so that what is handed out is what a verifier accepts.
//!
//! ```
//! use std::sync::Arc;
//!
//! use countersign::{
//!     identity::Token,
//!     object::Payload,
//!     service::http::Http,
//!     sigstore::trusted_root::Instance,
//!     sign::{Preference, Signer, SigningPlan},
//!     verify::{Verdict, Verifier},
//! };
//!
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! # #[cfg(feature = "sandbox")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let running = countersign::sandbox::Authority::new(Default::default())?.serve(0)?;
//! # let authority = running.authority();
//! # let (signing_config, trusted_root) = (authority.signing_config_json(), authority.trusted_root_json());
//! # let identity_token = authority.issue_id_token("dev@example.com")?;
//! # let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs().try_into()?;
//! let plan = SigningPlan::from_signing_config(&signing_config, now, Preference::Interoperable)?;
//! let signer = Signer::new(Arc::new(Http::default()), plan);
//! let verifier = Verifier::new(vec![Instance::from_json("sandbox", &trusted_root)?]);
//!
//! // One login, and as many signatures as fit into the few minutes of its certificate.
//! let session = signer.open(&Token::parse(identity_token)?, &|_claims| Ok(()))?;
//! let signed = signer.sign(&session, b"payload", now, &|payload, armor| {
//!     match verifier.verify(&Payload::whole(payload), armor, now) {
//!         Verdict::Good(_) => Ok(()),
//!         other => Err(format!("{other:?}").into()),
//!     }
//! })?;
//! assert!(signed.armor.starts_with(b"-----BEGIN SIGNED MESSAGE-----\n"));
//! # Ok(())
//! # }
//! ```

mod plan;

use std::{
    error::Error,
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use prost::Message as _;

pub use self::plan::{LogPlan, PlanError, Preference, SigningPlan, login_issuer, rekor_v1_urls};
use crate::{
    identity::{Claims, Token},
    service::{
        fulcio::{self, FulcioError, IssuedCertificate, Subject},
        http::Http,
        rekor_v1::{self, RekorError, Submission},
        rekor_v2,
        timestamp::{self, TimestampError},
    },
    signature::{
        armor,
        emit::{EmitError, Evidence, SignedAttributes, detached_signature},
    },
    sigstore::log_entry::TransparencyLogEntry,
};

/// How many seconds a certificate must still be valid for to sign once more with it.
pub const LEAST_REMAINING: i64 = 30;

/// What a caller's own check says against an identity or a signature.
pub type Objection = Box<dyn Error + Send + Sync>;

/// A caller's check of an identity, by its token's claims, before anything is asked for.
pub type Admit<'a> = dyn Fn(&Claims) -> Result<(), Objection> + 'a;

/// A caller's check of a signature: payload and armor.
pub type Check<'a> = dyn Fn(&[u8], &[u8]) -> Result<(), Objection> + 'a;

/// Why there is no signature. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// There is no certificate.
    #[error("no certificate: {0}")]
    Certificate(#[from] FulcioError),
    /// The signature was made and does not stand the caller's check.
    #[error("the new signature does not verify: {0}")]
    Check(Objection),
    /// The certificate of the session is about to expire.
    #[error("the certificate has expired")]
    Expired,
    /// The parts do not fit together.
    #[error("the signature cannot be put together: {0}")]
    Emit(#[from] EmitError),
    /// The identity was refused before anything was asked for.
    #[error("{0}")]
    Identity(Objection),
    /// Key or signature could not be made.
    #[error("the fresh key cannot be made or cannot sign")]
    Key,
    /// There is no log entry.
    #[error("no log entry: {0}")]
    Log(#[from] RekorError),
    /// There is no timestamp.
    #[error("no timestamp: {0}")]
    Timestamp(#[from] TimestampError),
}

impl SignError {
    /// Whether the same may succeed a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Certificate(error) => error.retryable(),
            Self::Log(error) => error.retryable(),
            Self::Timestamp(error) => error.retryable(),
            _ => false,
        }
    }
}

/// A fresh key with a certificate for it; good for as many signatures as fit into its few minutes.
///
/// The key exists in this process's memory alone. The cryptographic library wipes it when it is freed.
pub struct Session {
    key: EcdsaKeyPair,
    certificate: IssuedCertificate,
    claims: Claims,
    took: Duration,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("claims", &self.claims)
            .field("not_after", &self.certificate.not_after)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Whether it can still sign at `now` (seconds since 1970).
    #[must_use]
    pub fn is_usable(&self, now: i64) -> bool {
        self.certificate.not_after.saturating_sub(now) > LEAST_REMAINING
    }

    /// The claims of the token that the certificate was asked for with.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The leaf certificate and its validity.
    #[must_use]
    pub fn certificate(&self) -> &IssuedCertificate {
        &self.certificate
    }

    /// How long key and certificate took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }
}

/// How long each step of a signature took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Hashing, and signing the attributes.
    pub sign: Duration,
    /// The log's answer.
    pub log: Duration,
    /// The timestamp authority's answer; it runs beside the log.
    pub timestamp: Option<Duration>,
    /// Putting the CMS and its armor together.
    pub emit: Duration,
    /// The caller's check.
    pub check: Duration,
}

/// A signature that has stood the caller's check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The armored signature, one LF at its end: the bytes for git.
    pub armor: Vec<u8>,
    /// The token's claims: who this is, by the caller's own account.
    pub claims: Claims,
    /// The entry's index in the whole log.
    pub log_index: i64,
    /// What took how long.
    pub timings: Timings,
}

/// Makes signatures with the services of one plan. Shared freely between threads.
#[derive(Clone, Debug)]
pub struct Signer {
    http: Arc<Http>,
    plan: SigningPlan,
}

impl Signer {
    /// A signer that uses the services of `plan` through `http`.
    #[must_use]
    pub fn new(http: Arc<Http>, plan: SigningPlan) -> Self {
        Self { http, plan }
    }

    /// The services in use.
    #[must_use]
    pub fn plan(&self) -> &SigningPlan {
        &self.plan
    }

    /// Makes a fresh key and gets a certificate for it on the word of `token`.
    ///
    /// `admit` sees the token's claims before anything leaves this machine and may refuse them.
    ///
    /// # Errors
    /// [`SignError::Identity`], [`SignError::Key`], [`SignError::Certificate`].
    pub fn open(&self, token: &Token, admit: &Admit<'_>) -> Result<Session, SignError> {
        let begun = Instant::now();
        let claims = token.claims();
        admit(claims).map_err(SignError::Identity)?;
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| SignError::Key)?;
        let subject =
            Subject { issuer: &claims.issuer, subject: &claims.subject, email: claims.email.as_deref() };
        let certificate =
            fulcio::request_certificate(&self.http, &self.plan.fulcio, token.secret(), subject, &key)?;
        Ok(Session { key, certificate, claims: claims.clone(), took: begun.elapsed() })
    }

    /// Signs `payload` as `session`, at `now` (seconds since 1970; stated in the signature, proven by others).
    ///
    /// `check` gets payload and armor before anyone else does; what it objects to is not handed out.
    ///
    /// # Errors
    /// A service did not answer as it should, or `check` objected.
    pub fn sign(
        &self,
        session: &Session,
        payload: &[u8],
        now: i64,
        check: &Check<'_>,
    ) -> Result<Signature, SignError> {
        if !session.is_usable(now) {
            return Err(SignError::Expired);
        }
        let mut timings = Timings::default();
        let (attributes, signature) = timed(&mut timings.sign, || -> Result<_, SignError> {
            let attributes = SignedAttributes::new(&sha256(payload), now)?;
            let signature = session.key.sign(&SystemRandom::new(), attributes.as_der());
            Ok((attributes, signature.map_err(|_| SignError::Key)?))
        })?;

        let submission = Submission {
            digest: &sha256(attributes.as_der()),
            signature: signature.as_ref(),
            certificate: &session.certificate.leaf,
        };
        let (mut entry, token) = self.gather(submission, &mut timings)?;
        let log_index = entry.log_index;

        let armor = timed(&mut timings.emit, || -> Result<_, SignError> {
            // Every verifier builds the body again from the signature itself.
            entry.canonicalized_body.clear();
            let entry = entry.encode_to_vec();
            let evidence = Evidence { log_entry: Some(&entry), timestamp: token.as_deref() };
            let leaf = &session.certificate.leaf;
            Ok(armor::encode(&detached_signature(&attributes, signature.as_ref(), leaf, evidence)?))
        })?;
        timed(&mut timings.check, || check(payload, &armor)).map_err(SignError::Check)?;
        Ok(Signature { armor, claims: session.claims.clone(), log_index, timings })
    }

    /// The log entry and the timestamp, asked for side by side: neither needs the other.
    fn gather(
        &self,
        submission: Submission<'_>,
        timings: &mut Timings,
    ) -> Result<(TransparencyLogEntry, Option<Vec<u8>>), SignError> {
        let http = &*self.http;
        let Timings { log: log_time, timestamp: timestamp_time, .. } = timings;
        let authority = match &self.plan.log {
            LogPlan::RekorV1 { timestamp, .. } => timestamp.as_deref(),
            LogPlan::RekorV2 { timestamp, .. } => Some(timestamp.as_str()),
        };
        let submit = || match &self.plan.log {
            LogPlan::RekorV1 { rekor, .. } => rekor_v1::submit(http, rekor, submission),
            LogPlan::RekorV2 { rekor, .. } => rekor_v2::submit(http, rekor, submission),
        };
        let Some(authority) = authority else {
            return Ok((timed(log_time, submit)?, None));
        };
        let taken = timestamp_time.insert(Duration::ZERO);
        let (entry, token) = thread::scope(|scope| {
            let stamping = scope
                .spawn(|| timed(taken, || timestamp::request_token(http, authority, submission.signature)));
            let entry = timed(log_time, submit);
            let token = stamping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (entry, token)
        });
        Ok((entry?, Some(token?)))
    }
}

fn timed<T>(taken: &mut Duration, step: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let outcome = step();
    *taken = begun.elapsed();
    outcome
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}
