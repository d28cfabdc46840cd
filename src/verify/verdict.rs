//! The answer to "who vouches for these bytes?": good with its proof, bad, or cannot tell.

use std::{fmt, ops::Deref};

use super::{Certified, NotLogged, TimeNotProven};
use crate::{signature::FormatError, sigstore::certificate::SubjectKind};

/// The three answers. That the check could not run at all is an error elsewhere, not an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Every check has passed: who and when are proven.
    Good(Box<Proven>),
    /// The signature is by a key of its owner's keeping; the time is only stated.
    Stated(Box<Stated>),
    /// The signature is keyless and good, a timestamp authority proves its time, and no log holds it as far as
    /// can be seen.
    NotLogged(Box<NotLogged>),
    /// The signature is keyless and good, and its log entry is only in the log: nothing here proves when it
    /// was made.
    TimeNotProven(Box<TimeNotProven>),
    /// The bytes, or evidence that came with them, contradict a known key.
    Bad(Bad),
    /// Nothing is contradicted and something needed is not proven.
    CannotTell(CannotTell),
}

/// Who signed, in the terms of one Sigstore instance. All four parts make the identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The name of the instance whose certificate authority vouched.
    pub instance: String,
    /// The OpenID Connect issuer, exactly as certified.
    pub issuer: String,
    /// What kind of name the subject is.
    pub kind: SubjectKind,
    /// The one subject alternative name.
    pub subject: String,
}

impl fmt::Display for Identity {
    /// The subject alone, as git shows it for `%GS`. Callers escape it for terminals.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.subject)
    }
}

/// A time that a log or a timestamp authority vouched for, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvenTime {
    /// `integratedTime` under a valid signed entry timestamp.
    Log(i64),
    /// `genTime` of a valid RFC 3161 token over the signature.
    TimestampAuthority(i64),
}

impl ProvenTime {
    /// Seconds since 1970, whoever proved them.
    #[must_use]
    pub fn seconds(self) -> i64 {
        match self {
            Self::Log(seconds) | Self::TimestampAuthority(seconds) => seconds,
        }
    }
}

/// A time that a timestamp authority vouched for, and which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenTimestamp {
    /// What the trusted root calls the authority: where it is. Empty where it does not say.
    pub authority: String,
    /// `genTime`, in seconds since 1970.
    pub seconds: i64,
}

/// The log entry that was proven to be included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenEntry {
    /// Base URL of the log, as the trusted root names it.
    pub log: String,
    /// The entry's index in the whole log.
    pub index: i64,
    /// A signed entry timestamp was there and valid.
    pub signed_entry_timestamp: bool,
    /// An inclusion proof up to a checkpoint of that log was there and valid.
    pub inclusion_proof: bool,
    /// The entry is in the signature itself. Otherwise it was kept apart: it is about the object's id.
    pub embedded: bool,
}

/// The proof that every check has passed. Only [`super::Verifier`] can make one.
///
/// ```compile_fail
/// // The fields are private: no other code can claim to have verified something.
/// let proven = countersign::verify::Proven { certified: todo!() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    pub(super) certified: Certified,
    pub(super) times: Vec<ProvenTime>,
    pub(super) timestamps: Vec<ProvenTimestamp>,
    pub(super) entries: Vec<ProvenEntry>,
}

impl Deref for Proven {
    type Target = Certified;

    fn deref(&self) -> &Certified {
        &self.certified
    }
}

impl Proven {
    /// The proven times of signing; at least one, the earliest evidence first as it stood.
    #[must_use]
    pub fn times(&self) -> &[ProvenTime] {
        &self.times
    }

    /// The first proven time, in seconds since 1970.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.times.first().map_or(i64::MAX, |time| time.seconds())
    }

    /// The log entry; the first where there are more.
    #[must_use]
    pub fn entry(&self) -> &ProvenEntry {
        self.entries.first().expect("nothing is proven without an entry")
    }

    /// The log entries, at least one, each in another log.
    #[must_use]
    pub fn entries(&self) -> &[ProvenEntry] {
        &self.entries
    }

    /// Whether all that proves it is in the signature itself.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.entries.iter().all(|entry| entry.embedded)
    }

    /// The timestamps, with the authorities that gave them.
    #[must_use]
    pub fn timestamps(&self) -> &[ProvenTimestamp] {
        &self.timestamps
    }
}

/// A key that signs without a certificate authority of Sigstore's. Whose it is, a policy says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Key {
    /// An OpenPGP certificate.
    OpenPgp {
        /// Fingerprint of the primary key, upper-case hexadecimal.
        fingerprint: String,
    },
    /// An SSH key.
    Ssh {
        /// `SHA256:` and the base64 of the key blob's digest, as `ssh-keygen -l` prints it.
        fingerprint: String,
    },
    /// A certificate authority for SSH keys that issued a certificate to this principal.
    SshCertificate {
        /// The authority's key, as for [`Key::Ssh`].
        authority: String,
        /// One principal of the certificate.
        principal: String,
    },
    /// An e-mail address that a certificate authority of X.509 has certified.
    X509 {
        /// The policy's own name for the authority.
        authority: String,
        /// The address, exactly as certified (`rfc822Name`).
        subject: String,
    },
    /// A certificate of X.509 that an authority has issued.
    X509Certificate {
        /// The policy's own name for the authority.
        authority: String,
        /// SHA-256 of the certificate, upper-case hexadecimal.
        fingerprint: String,
    },
}

impl fmt::Display for Key {
    /// The fingerprint with its kind. Callers escape it for terminals.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenPgp { fingerprint } => write!(formatter, "OpenPGP {fingerprint}"),
            Self::Ssh { fingerprint } => write!(formatter, "SSH {fingerprint}"),
            Self::SshCertificate { authority, principal } => {
                write!(formatter, "SSH principal {principal} of {authority}")
            }
            Self::X509 { authority, subject } => write!(formatter, "X.509 {subject} of {authority}"),
            Self::X509Certificate { authority, fingerprint } => {
                write!(formatter, "X.509 certificate {fingerprint} of {authority}")
            }
        }
    }
}

/// A signature that is good and proves no time: it states one, and whoever holds the key chooses it.
/// Only the `verify` room can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    pub(super) keys: Vec<Key>,
    pub(super) signing_key: String,
    pub(super) time: Option<i64>,
    pub(super) key_expired: bool,
    /// From when on the clock alone may change the verdict; `None` if it never does.
    pub(super) until: Option<i64>,
}

impl Stated {
    /// The names under which a policy may know the signer: the key, or each principal of its certificate.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Fingerprint of the key that made the signature itself (an OpenPGP subkey, say).
    #[must_use]
    pub fn signing_key(&self) -> &str {
        &self.signing_key
    }

    /// When the signer says that it was made, in seconds since 1970. Proves nothing.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        self.time
    }

    /// The key was valid at the stated time and has expired since.
    #[must_use]
    pub fn key_expired(&self) -> bool {
        self.key_expired
    }
}

/// What contradicts a known key or the bytes themselves. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Bad {
    /// A CA that the certificate names did not sign it.
    #[error("the certificate was not signed by the authority it names")]
    CertificateSignature,
    /// The checkpoint of a known log has a wrong signature.
    #[error("the log's checkpoint has a wrong signature")]
    CheckpointSignature,
    /// The signed digest is not the payload's.
    #[error("the content was changed after signing")]
    DigestMismatch,
    /// The inclusion proof does not lead from the entry to the checkpoint.
    #[error("the inclusion proof does not lead to the log's checkpoint")]
    InclusionProof,
    /// The embedded SCT has a wrong signature.
    #[error("the certificate's SCT has a wrong signature")]
    SctSignature,
    /// The signature is not by the key that it names, or not over this content.
    #[error("the signature does not match its key and the content")]
    Signature,
    /// The log's signed entry timestamp does not cover this entry.
    #[error("the log's signed entry timestamp does not cover this signature")]
    SignedEntryTimestamp,
    /// The timestamp token is for another signature.
    #[error("the timestamp token is for another signature")]
    TimestampImprint,
    /// The timestamp token has a wrong signature or chain.
    #[error("the timestamp token has a wrong signature")]
    TimestampSignature,
}

/// What is missing, unknown or unreadable. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotTell {
    /// Another certificate of the signer's chain than its own was not valid, or its own was not yet.
    #[error("a certificate in the signer's chain was not valid at the time that the signature states")]
    CertificateChainWindow,
    /// The certificate does not meet the profile of a keyless signing certificate.
    #[error("the certificate is not fit for keyless signing: {0}")]
    CertificateProfile(#[from] crate::sigstore::certificate::ProfileError),
    /// The path from certificate to authority breaks a rule of RFC 5280.
    #[error("the certificate's path breaks a constraint of its authority")]
    CertificatePath,
    /// The certificate, or an authority of its chain, is for something else than signing mail or objects.
    #[error("the signer's certificate is not for signatures of this kind")]
    CertificateUsage,
    /// Not inside the certificate's or its authority's validity at the proven time.
    #[error("the certificate was not valid at the proven time")]
    CertificateWindow,
    /// A proven time lies in the future.
    #[error("the proven time lies in the future")]
    FutureTime,
    /// The CT log's key was outside its window.
    #[error("the CT log's key was not valid at the proven time")]
    CtLogWindow,
    /// The checkpoint is not signed by the log that the entry names.
    #[error("the checkpoint is signed by another log than the entry's")]
    ForeignCheckpoint,
    /// The signature's encoding cannot be read.
    #[error("the signature cannot be read: {0}")]
    Format(#[from] FormatError),
    /// What stands where a signature belongs is something else, such as a program's words.
    #[error("what stands in the place of its signature holds no signature")]
    HoldsNoSignature,
    /// The key had expired by the time that the signature states.
    #[error("the key had expired by the time that the signature states")]
    KeyExpired,
    /// The key is revoked.
    #[error("the key is revoked")]
    KeyRevoked,
    /// The key had expired, was revoked or may not sign, by what its own certificate says.
    #[error("the key may not make this signature: it is expired, revoked, or not for signing")]
    KeyUnfit,
    /// The log's key was outside its window.
    #[error("the log's key was not valid at the proven time")]
    LogWindow,
    /// There is an entry and neither a signed entry timestamp nor an inclusion proof.
    #[error("nothing proves that the log holds the entry")]
    NoInclusion,
    /// The signature does not say when it was made.
    #[error("the signature does not state when it was made")]
    NoStatedTime,
    /// No valid signed entry timestamp and no timestamp token.
    #[error("nothing proves when the signature was made")]
    NoTrustedTime,
    /// A security key says that nobody touched it.
    #[error("the security key signed without anybody touching it")]
    NoUserPresence,
    /// The SSH certificate names nobody, or is not for people.
    #[error("the SSH certificate names no person")]
    SshCertificatePrincipals,
    /// Not inside the SSH certificate's validity at the stated time.
    #[error("the SSH certificate was not valid at the stated time")]
    SshCertificateWindow,
    /// The SSH certificate has a condition that is unknown or not met.
    #[error("the SSH certificate has a condition that is not met here")]
    SshCriticalOption,
    /// The signature says of itself that it counts no longer.
    #[error("the signature has expired by its own word")]
    SignatureExpired,
    /// The timestamp authority was outside its window.
    #[error("the timestamp authority was not valid at the proven time")]
    TimestampAuthorityWindow,
    /// No key that is known here made the signature.
    #[error("the key that made the signature is not known here")]
    UnknownKey,
    /// No instance in use has an authority that issued the certificate.
    #[error("no trusted root in use knows the certificate's authority")]
    UnknownAuthority,
    /// No certificate authority that counts here issued the signer's certificate.
    #[error("no certificate authority that counts here issued the signer's certificate")]
    UnknownCertificateAuthority,
    /// The certificate's SCT is by a CT log that the instance does not have.
    #[error("the certificate's SCT is by a CT log that the trusted root does not know")]
    UnknownCtLog,
    /// The entry is in a log that the instance does not have.
    #[error("the entry is in a log that the trusted root does not know")]
    UnknownLog,
    /// The token is by a timestamp authority that the instance does not have.
    #[error("the timestamp token is by an authority that the trusted root does not know")]
    UnknownTimestampAuthority,
    /// A digest or a key that no longer proves anything.
    #[error("the signature's digest or key is too weak, or of a kind that does not count")]
    WeakAlgorithm,
}
