//! Payload in, signature out: which evidence is gathered, from whom, in which order.
//!
//! ```text
//! token ─admit─▶ fresh key ─▶ certificate ═▶ Session
//! payload ─▶ signed attributes ─▶ signature ─▶ log entries ∥ timestamps ─▶ CMS ─▶ check ─▶ Signature
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

mod certified;
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
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use prost::Message as _;

pub use self::certified::{CertifiedError, sign_certified};
pub use self::plan::{
    LogService, Logging, PlanError, Preference, RekorVersion, SigningPlan, login_issuer, rekor_v1_urls,
};
use crate::{
    identity::{Claims, Token},
    key::{self, KeyError, SigningKey},
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
    sigstore::{key::KeyKind, log_entry::TransparencyLogEntry},
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
    #[error("the key cannot sign: {0}")]
    Key(#[from] KeyError),
    /// The log takes no signatures by such keys.
    #[error("the log '{0}' takes P-256 keys only (Rekor v2)")]
    KeyKind(String),
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

/// A key with a certificate for it; good for as many signatures as fit into its few minutes.
///
/// A fresh key exists in this process's memory alone. The cryptographic library wipes it when it is freed.
pub struct Session {
    key: Arc<dyn SigningKey>,
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
    /// A session that goes on with a `certificate` for `key` that was got before, on the word of `claims`.
    #[must_use]
    pub fn resume(key: Arc<dyn SigningKey>, certificate: IssuedCertificate, claims: Claims) -> Self {
        Self { key, certificate, claims, took: Duration::ZERO }
    }

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
    /// The first entry's index in the whole log; `None` for a signature that is in none.
    pub log_index: Option<i64>,
    /// Why it is in no log, where it should have been in one.
    pub unlogged: Option<String>,
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

    /// The way to the services.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
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
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Kind)?;
        self.open_with(Arc::new(key), token, admit)
    }

    /// [`Signer::open`] with a key of the user's own.
    ///
    /// # Errors
    /// As there, and [`SignError::KeyKind`].
    pub fn open_with(
        &self,
        key: Arc<dyn SigningKey>,
        token: &Token,
        admit: &Admit<'_>,
    ) -> Result<Session, SignError> {
        let begun = Instant::now();
        let claims = token.claims();
        admit(claims).map_err(SignError::Identity)?;
        // Said before there is a certificate: its bodies name the kind of key.
        let picky = self.plan.logs.iter().find(|log| log.version == RekorVersion::V2);
        if let (Some(log), KeyKind::Rsa) = (picky, key::kind(&key.spki()?)?) {
            return Err(SignError::KeyKind(log.url.clone()));
        }
        let subject =
            Subject { issuer: &claims.issuer, subject: &claims.subject, email: claims.email.as_deref() };
        let certificate =
            fulcio::request_certificate(&self.http, &self.plan.fulcio, token.secret(), subject, &*key)?;
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
            let signature = session.key.sign(attributes.as_der())?;
            Ok((attributes, signature))
        })?;

        let submission = Submission {
            digest: &sha256(attributes.as_der()),
            signature: &signature,
            certificate: &session.certificate.leaf,
        };
        let (gathered, unlogged) = self.gather(submission, &mut timings)?;
        let log_index = gathered.entries.first().map(|entry| entry.log_index);

        let armor = timed(&mut timings.emit, || -> Result<_, SignError> {
            let encode = |mut entry: TransparencyLogEntry| {
                // Every verifier builds the body again from the signature itself.
                entry.canonicalized_body.clear();
                entry.encode_to_vec()
            };
            let entries: Vec<Vec<u8>> = gathered.entries.into_iter().map(encode).collect();
            let evidence = Evidence { log_entries: &entries, timestamps: &gathered.tokens };
            let leaf = &session.certificate.leaf;
            Ok(armor::encode(&detached_signature(&attributes, &signature, leaf, evidence)?))
        })?;
        timed(&mut timings.check, || check(payload, &armor)).map_err(SignError::Check)?;
        Ok(Signature { armor, claims: session.claims.clone(), log_index, unlogged, timings })
    }

    /// The log entries and the timestamps, asked for side by side: none needs another. Where the plan lets a
    /// signature be without a log, and one does not answer, the second part says why there is no entry.
    fn gather(
        &self,
        submission: Submission<'_>,
        timings: &mut Timings,
    ) -> Result<(Gathered, Option<String>), SignError> {
        let http = &*self.http;
        let submit = |log: &LogService| match log.version {
            RekorVersion::V1 => rekor_v1::submit(http, &log.url, submission),
            RekorVersion::V2 => rekor_v2::submit(http, &log.url, submission),
        };
        let stamp = |url: &String| timestamp::request_token(http, url, submission.signature);
        let SigningPlan { logs, timestamps, logging, .. } = &self.plan;
        let (entries, tokens) = thread::scope(|scope| {
            let stamping = at_once(scope, timestamps, &stamp);
            let entries = timed(&mut timings.log, || match logs.as_slice() {
                // The usual one needs no thread of its own.
                [log] => submit(log).map(|entry| vec![entry]),
                logs => joined(at_once(scope, logs, &submit)).1,
            });
            let (taken, tokens) = joined(stamping);
            timings.timestamp = taken;
            (entries, tokens)
        });
        let tokens = tokens?;
        match entries {
            Ok(entries) => Ok((Gathered { entries, tokens }, None)),
            // All entries or none: what is in some of the logs would not be told from what was asked for.
            Err(error) if *logging == Logging::WhereItAnswers && error.is_absence() && !tokens.is_empty() => {
                Ok((Gathered { entries: Vec::new(), tokens }, Some(error.to_string())))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What vouches for a signature.
struct Gathered {
    entries: Vec<TransparencyLogEntry>,
    tokens: Vec<Vec<u8>>,
}

/// Services being asked, each with the time that its answer took.
type Asked<'s, T, E> = Vec<thread::ScopedJoinHandle<'s, (Duration, Result<T, E>)>>;

/// Ask every one of `services`, each on a thread of its own.
fn at_once<'s, 'e, S: Sync, T: Send + 's, E: Send + 's>(
    scope: &'s thread::Scope<'s, 'e>,
    services: &'e [S],
    ask: &'e (impl Fn(&S) -> Result<T, E> + Sync),
) -> Asked<'s, T, E> {
    let one = |service: &'e S| {
        scope.spawn(move || {
            let mut taken = Duration::ZERO;
            let answer = timed(&mut taken, || ask(service));
            (taken, answer)
        })
    };
    services.iter().map(one).collect()
}

/// Every answer, or the first error; and how long the slowest took, if there was any.
fn joined<T, E>(asked: Asked<'_, T, E>) -> (Option<Duration>, Result<Vec<T>, E>) {
    let joined = asked.into_iter().map(|asked| asked.join());
    let answers: Vec<(Duration, Result<T, E>)> =
        joined.map(|answer| answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
    let slowest = answers.iter().map(|(taken, _)| *taken).max();
    (slowest, answers.into_iter().map(|(_, answer)| answer).collect())
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
