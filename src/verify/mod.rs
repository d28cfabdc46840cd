//! What has to be proven, in which order: payload bytes and a signature in, a [`Verdict`] out.
//!
//! Pure: trust roots and `now` are parameters; nothing here reads a clock, a file or the network.
//! A signature is judged wholly inside one instance: the keys of two are never pooled.
//!
//! For programs that verify without a command line: read the trusted root once, share the verifier between
//! threads, and give it the bytes of each object as git stores them (`git cat-file commit <id>`). Whether the
//! signer is the right one is for the caller to say: compare the whole [`Identity`].
//!
//! ```
//! use countersign::{
//!     object::{Commit, HashKind},
//!     sigstore::trusted_root::Instance,
//!     verify::{Verdict, Verifier},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let trusted_root = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/trusted_root.json"));
//! # let object = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/commit/signed.seed"));
//! # let now = 1_790_086_400;
//! let verifier = Verifier::new(vec![Instance::from_json("sandbox", trusted_root)?, Instance::public_good()?]);
//!
//! let commit = Commit::parse(HashKind::Sha1, object)?;
//! let signature = commit.signed.signature.ok_or("nobody has signed it")?;
//! match verifier.verify(&commit.signed.payload, &signature, now) {
//!     Verdict::Good(proven) => {
//!         assert_eq!(proven.identity().subject, "dev@example.com");
//!         assert_eq!(proven.identity().instance, "sandbox");
//!         assert_eq!(proven.time(), 1_790_000_000);
//!     }
//!     Verdict::Stated(stated) => panic!("good, by the key {}, at a time that nothing proves", stated.signing_key()),
//!     Verdict::NotLogged(signed) => panic!("{signed}: {}", signed.identity()),
//!     Verdict::TimeNotProven(signed) => panic!("{signed}: {}", signed.identity()),
//!     Verdict::Bad(contradiction) => panic!("bad: {contradiction}"),
//!     Verdict::CannotTell(cause) => panic!("cannot tell: {cause}"),
//! }
//! # Ok(())
//! # }
//! ```

mod certified;
mod evidence;
mod memo;
mod not_logged;
mod online;
pub mod openpgp;
mod record;
pub mod smime;
mod ssh;
mod time_not_proven;
mod verdict;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

pub use certified::Certified;
pub use not_logged::NotLogged;
pub use online::ProofLookup;
pub use record::{Material, RECORD_VERSION};
pub use ssh::{NAMESPACE as SSH_NAMESPACE, check_ssh, ssh_keys};
pub use time_not_proven::{ProofError, TimeNotProven};
pub use verdict::{
    Bad, CannotTell, Identity, Key, Proven, ProvenEntry, ProvenTime, ProvenTimestamp, Stated, Verdict,
};

use crate::{
    encoding::{
        cms::{Algorithm, SignedData},
        sha256,
    },
    object::Payload,
    signature::{FormatError, armor, keyless::Keyless, smime as smime_signature, ssh::Revocations},
    sigstore::{
        certificate::{ProfileError, SigningCertificate},
        claims::Claims,
        key::{Family, Hash, KeyKind, PublicKey, signature_hash},
        trusted_root::{Authority, Instance, Log, PathError, Window},
    },
};
use memo::Memo;

/// How far a proven time may lie in the future of `now`, in seconds.
pub const FUTURE_SKEW: i64 = 300;

/// Judges signatures against a set of instances. Shared freely between threads; it memoises
/// certificates and checkpoints that it has proven, up to a fixed number of each.
pub struct Verifier {
    instances: Vec<Instance>,
    certificates: Memo<Arc<CheckedCertificate>>,
    checkpoints: Memo<evidence::CheckedCheckpoint>,
    openpgp: openpgp::KeyRing,
    smime: smime::Authorities,
    ssh_revocations: Revocations,
}

/// A certificate whose path and SCT have been verified inside one instance. Its validity at a proven
/// time is still to be compared.
struct CheckedCertificate {
    identity: Identity,
    claims: Arc<Claims>,
    key: PublicKey,
    /// In which leaf, chain and authority are all valid.
    window: Window,
    /// In which the CT log's key counts.
    ct_window: Window,
    der: Arc<[u8]>,
    digest: [u8; 32],
}

/// What a keyless signature comes to that nothing is wrong with.
enum Judged {
    Proven(Proven),
    NotLogged(NotLogged),
    TimeNotProven(TimeNotProven),
}

/// Why there is no proof: one of the two other answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Bad(Bad),
    CannotTell(CannotTell),
}

impl From<Bad> for Failure {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

impl From<CannotTell> for Failure {
    fn from(cannot_tell: CannotTell) -> Self {
        Self::CannotTell(cannot_tell)
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Self {
        Self::CannotTell(error.into())
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Self::CannotTell(error.into())
    }
}

impl Verifier {
    /// A verifier that trusts `instances`; each signature is judged wholly inside one of them. An identity
    /// names its instance, so of several with one name none counts.
    #[must_use]
    pub fn new(instances: Vec<Instance>) -> Self {
        let mut seen = HashMap::<String, usize>::new();
        for instance in &instances {
            *seen.entry(instance.name().to_owned()).or_default() += 1;
        }
        Self {
            instances: instances.into_iter().filter(|instance| seen[instance.name()] == 1).collect(),
            certificates: Memo::new(),
            checkpoints: Memo::new(),
            openpgp: openpgp::KeyRing::default(),
            smime: smime::Authorities::default(),
            ssh_revocations: Revocations::default(),
        }
    }

    /// With the OpenPGP certificates in `ring`, by which OpenPGP signatures are judged.
    #[must_use]
    pub fn with_openpgp(self, ring: openpgp::KeyRing) -> Self {
        Self { openpgp: ring, ..self }
    }

    /// The OpenPGP certificates in use.
    #[must_use]
    pub fn openpgp(&self) -> &openpgp::KeyRing {
        &self.openpgp
    }

    /// With the certificate authorities by which S/MIME signatures are judged.
    #[must_use]
    pub fn with_smime(self, authorities: smime::Authorities) -> Self {
        Self { smime: authorities, ..self }
    }

    /// The certificate authorities for S/MIME in use.
    #[must_use]
    pub fn smime(&self) -> &smime::Authorities {
        &self.smime
    }

    /// The same verifier, for which the SSH keys of `revocations` never count, whatever time is stated.
    #[must_use]
    pub fn with_ssh_revocations(self, revocations: Revocations) -> Self {
        Self { ssh_revocations: revocations, ..self }
    }

    /// The instances in use.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// Judge `signature` (armored, as git stores it) over `payload`. Where the log entry is only in the log,
    /// see [`Self::verify_signed`].
    ///
    /// `now` in seconds since 1970 only bounds the future.
    pub fn verify(&self, payload: &Payload<'_>, signature: &[u8], now: i64) -> Verdict {
        self.verify_with(payload, signature, now, None)
    }

    fn verify_with(
        &self,
        payload: &Payload<'_>,
        signature: &[u8],
        now: i64,
        online: Option<&online::Online<'_>>,
    ) -> Verdict {
        let judged = match armor::kind(signature) {
            Some(armor::Kind::OpenPgp) => {
                self.openpgp.judge(payload, signature, now).map(|stated| Verdict::Stated(Box::new(stated)))
            }
            Some(armor::Kind::Ssh) => ssh::judge(payload, signature, now, &self.ssh_revocations)
                .map(|stated| Verdict::Stated(Box::new(stated))),
            Some(armor::Kind::Cms) => self.judge_cms(payload, signature, now, online),
            None if armor::has_begin(signature) => Err(FormatError::Armor.into()),
            None => Err(CannotTell::HoldsNoSignature.into()),
        };
        match judged {
            Ok(good) => good,
            Err(Failure::Bad(bad)) => Verdict::Bad(bad),
            Err(Failure::CannotTell(cannot_tell)) => Verdict::CannotTell(cannot_tell),
        }
    }

    /// A CMS signature is keyless or plain S/MIME, by what it carries; only the latter may be BER.
    fn judge_cms(
        &self,
        payload: &Payload<'_>,
        signature: &[u8],
        now: i64,
        online: Option<&online::Online<'_>>,
    ) -> Result<Verdict, Failure> {
        let bytes = armor::decode(signature)?;
        let der = smime_signature::normalised(&bytes)?;
        let cms = SignedData::parse(&der).map_err(FormatError::from)?;
        if !smime_signature::is_keyless(&cms) {
            let stated = self.smime.judge(payload, &cms, now)?;
            return Ok(Verdict::Stated(Box::new(stated)));
        }
        if matches!(der, Cow::Owned(_)) {
            return Err(FormatError::Der.into());
        }
        self.judge_keyless(payload, &Keyless::of(&cms)?, now, online).map(|judged| match judged {
            Judged::Proven(proven) => Verdict::Good(Box::new(proven)),
            Judged::NotLogged(signed) => Verdict::NotLogged(Box::new(signed)),
            Judged::TimeNotProven(signed) => Verdict::TimeNotProven(Box::new(signed)),
        })
    }

    fn judge_keyless(
        &self,
        payload: &Payload<'_>,
        cms: &Keyless<'_>,
        now: i64,
        online: Option<&online::Online<'_>>,
    ) -> Result<Judged, Failure> {
        if sha256(&payload.segments()) != cms.message_digest {
            return Err(Bad::DigestMismatch.into());
        }
        let digest = sha256(&[cms.certificate]);
        // Looked up once, and only for a signature that does not carry its entry itself.
        let kept = online.filter(|_| cms.log_entry.is_none()).map(online::Online::look_up);
        let mut failure = Failure::CannotTell(CannotTell::UnknownAuthority);
        let mut lesser = None;
        for (index, instance) in self.instances.iter().enumerate() {
            match self.judge_in(index, instance, cms, digest, now, kept.as_ref()) {
                Ok(Judged::Proven(proven)) => return Ok(Judged::Proven(proven)),
                Ok(judged) => {
                    lesser.get_or_insert(judged);
                }
                Err(Failure::CannotTell(CannotTell::UnknownAuthority)) => {}
                Err(other) if failure == Failure::CannotTell(CannotTell::UnknownAuthority) => failure = other,
                Err(_) => {}
            }
        }
        lesser.ok_or(failure)
    }

    /// Judge inside one instance. The proof is built at the end, from the results of the checks.
    fn judge_in(
        &self,
        index: usize,
        instance: &Instance,
        cms: &Keyless<'_>,
        digest: [u8; 32],
        now: i64,
        kept: Option<&online::Kept>,
    ) -> Result<Judged, Failure> {
        let certificate = self.certificate(index, instance, cms.certificate, digest)?;
        check_algorithm(&cms.algorithm, certificate.key.kind())?;
        let is_own = |other: &&[u8]| instance.authorities.iter().any(|authority| authority.holds(other));
        if !cms.other_certificates.iter().all(is_own) {
            return Err(FormatError::Certificate.into());
        }
        if !certificate.key.verifies(&cms.signed_attributes, cms.signature) {
            return Err(Bad::Signature.into());
        }
        let checkpoint = |log: &Log, checkpoint: &str| {
            self.checkpoints.get_or_try_insert(checkpoint_key(index, log, checkpoint), || {
                evidence::check_checkpoint(log, checkpoint)
            })
        };
        if cms.log_entry.is_some() {
            let entries = evidence::entries(instance, cms, certificate.key.kind(), checkpoint)?;
            let tokens = evidence::timestamps(instance, cms)?;
            return proven(instance, &certificate, entries, &tokens, now).map(Judged::Proven);
        }
        let tokens = evidence::timestamps(instance, cms)?;
        let mut refused = None;
        for proof in kept.into_iter().flat_map(|kept| &kept.proofs) {
            let ids = kept.map_or(&[][..], |kept| &kept.ids);
            let judged = online::entry(instance, cms.certificate, &certificate.key, ids, proof, checkpoint)
                .and_then(|entry| Ok(proven(instance, &certificate, vec![entry], &tokens, now)?));
            match judged {
                Ok(proven) => return Ok(Judged::Proven(proven)),
                Err(cause) => {
                    refused.get_or_insert(cause);
                }
            }
        }
        // A token proves a time and no log: an answer of its own, which is never taken for a proof.
        if !tokens.is_empty() {
            return not_logged::judge(instance, &certificate, &tokens, now, refused).map(Judged::NotLogged);
        }
        time_not_proven::judge(instance, cms, &certificate, now, refused).map(Judged::TimeNotProven)
    }

    /// The certificate's path and SCT inside `instance`, checked once.
    fn certificate(
        &self,
        index: usize,
        instance: &Instance,
        der: &[u8],
        digest: [u8; 32],
    ) -> Result<Arc<CheckedCertificate>, Failure> {
        let key = sha256(&[&index.to_be_bytes(), &digest]);
        self.certificates.get_or_try_insert(key, || check_certificate(instance, der, digest).map(Arc::new))
    }
}

/// The proof, from the results of the checks, once every time that is proven fits everything that takes part.
fn proven(
    instance: &Instance,
    certificate: &CheckedCertificate,
    entries: Vec<evidence::CheckedEntry<'_>>,
    tokens: &[evidence::CheckedTimestamp],
    now: i64,
) -> Result<Proven, Failure> {
    let times = proven_times(certificate, &entries, tokens, now)?;
    Ok(Proven {
        certified: Certified::new(instance, certificate),
        times,
        timestamps: tokens.iter().map(evidence::CheckedTimestamp::proven).collect(),
        entries: entries.into_iter().map(|entry| entry.proven).collect(),
    })
}

/// The times that `entries` and `tokens` prove, at least one, each inside the windows of everything that takes
/// part: certificate, authority, CT log, and every log and timestamp authority.
fn proven_times(
    certificate: &CheckedCertificate,
    entries: &[evidence::CheckedEntry<'_>],
    tokens: &[evidence::CheckedTimestamp],
    now: i64,
) -> Result<Vec<ProvenTime>, Failure> {
    let logged = entries.iter().filter_map(|entry| entry.time).map(ProvenTime::Log);
    let stamped = tokens.iter().map(|token| ProvenTime::TimestampAuthority(token.time));
    let times: Vec<ProvenTime> = logged.chain(stamped).collect();
    if times.is_empty() {
        return Err(CannotTell::NoTrustedTime.into());
    }
    if entries.iter().any(|entry| entry.misstated) {
        return Err(FormatError::LogEntry.into());
    }
    for time in times.iter().map(|time| time.seconds()) {
        if time > now.saturating_add(FUTURE_SKEW) {
            return Err(CannotTell::FutureTime.into());
        }
        if !certificate.window.contains(time) {
            return Err(CannotTell::CertificateWindow.into());
        }
        if !certificate.ct_window.contains(time) {
            return Err(CannotTell::CtLogWindow.into());
        }
        if !entries.iter().all(|entry| entry.log.window.contains(time)) {
            return Err(CannotTell::LogWindow.into());
        }
        if !tokens.iter().all(|token| token.window.contains(time)) {
            return Err(CannotTell::TimestampAuthorityWindow.into());
        }
    }
    Ok(times)
}

/// What a proven checkpoint is remembered by. Instances may name different keys by one log id, and ids
/// differ in length, so both the instance and the id's length are part of it.
fn checkpoint_key(instance: usize, log: &Log, checkpoint: &str) -> [u8; 32] {
    let lengths = [instance.to_be_bytes(), log.id.len().to_be_bytes()].concat();
    sha256(&[&lengths, &log.id, checkpoint.as_bytes()])
}

/// No signature covers the algorithm's name, so it must be the one that the key is used with here:
/// SHA-256, but for Ed25519, which hashes by itself.
fn check_algorithm(algorithm: &Algorithm<'_>, key: KeyKind) -> Result<(), Failure> {
    let (family, hash) = signature_hash(algorithm, Some(Hash::Sha256)).ok_or(FormatError::Algorithm)?;
    if family != key.family() {
        return Err(ProfileError::Key.into());
    }
    if family != Family::Ed25519 && hash != Hash::Sha256 {
        return Err(FormatError::Algorithm.into());
    }
    Ok(())
}

fn check_certificate(
    instance: &Instance,
    der: &[u8],
    digest: [u8; 32],
) -> Result<CheckedCertificate, Failure> {
    let leaf = SigningCertificate::parse(der)?;
    let (authority, window) = issuer(instance, der, &leaf)?;
    let sct = &leaf.sct;
    let ct_log = instance.ct_logs.iter().find(|log| log.id == sct.log_id).ok_or(CannotTell::UnknownCtLog)?;
    let expected_algorithm = [4, if ct_log.key.kind() == KeyKind::Rsa { 1 } else { 3 }];
    let signed = sct.signed_bytes(&leaf.slices, authority.issuer_spki());
    if sct.algorithm != expected_algorithm || !ct_log.key.verifies(&signed, sct.signature) {
        return Err(Bad::SctSignature.into());
    }
    if !ct_log.window.contains(sct.seconds()) {
        return Err(CannotTell::CtLogWindow.into());
    }
    Ok(CheckedCertificate {
        key: PublicKey::from_spki(leaf.slices.spki, Hash::Sha256).map_err(|_| ProfileError::Key)?,
        window,
        ct_window: ct_log.window,
        identity: Identity {
            instance: instance.name().to_owned(),
            issuer: leaf.issuer,
            kind: leaf.kind,
            subject: leaf.subject,
        },
        claims: Arc::new(leaf.claims),
        der: der.into(),
        digest,
    })
}

/// The authority that issued `leaf`. Authorities may share a name; the key decides.
fn issuer<'a>(
    instance: &'a Instance,
    der: &[u8],
    leaf: &SigningCertificate<'_>,
) -> Result<(&'a Authority, Window), Failure> {
    let mut failure = Failure::CannotTell(CannotTell::UnknownAuthority);
    for authority in &instance.authorities {
        match authority.issued(der, &leaf.slices) {
            Ok(window) => return Ok((authority, window)),
            Err(PathError::OtherIssuer) => {}
            Err(PathError::Signature) => failure = Bad::CertificateSignature.into(),
            Err(PathError::Constraints) => failure = CannotTell::CertificatePath.into(),
        }
    }
    Err(failure)
}
