//! Keys that sign: a fresh one, or one of the user's own in a file, a token, a KMS or an ssh-agent.
//!
//! Every one signs with SHA-256, because that is what logs, verifiers and gitsign agree on: P-256 and RSA.
//! Whose a key is, a certificate says; nothing here knows of any.

mod file;
mod kms;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod pkcs11_uri;
pub mod program;
mod reference;
#[cfg(unix)]
pub mod socket;
#[cfg(unix)]
mod ssh_agent;

use std::{ffi::OsString, io, path::PathBuf};

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{EcdsaKeyPair, KeyPair as _},
};
use der::{
    Encode as _,
    asn1::{Any, BitString, ObjectIdentifier, UintRef},
};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

pub use self::{
    file::from_pem,
    pkcs11_uri::{Pkcs11Uri, UriError},
    reference::Reference,
};
use crate::sigstore::key::{Hash, KeyKind, PublicKey};

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Why a key cannot be used. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// More than one key fits what names it.
    #[error("{0} keys fit '{1}', and which one is meant cannot be told")]
    Ambiguous(usize, String),
    /// What keeps the key says no, or something that it should not.
    #[error("{keeper}: {reason}")]
    Keeper {
        /// Who keeps it.
        keeper: String,
        /// Its words. Hostile text.
        reason: String,
    },
    /// Of a kind that is not used here.
    #[error("the key is of a kind that is not used here: P-256 and RSA of at least 2048 bits are")]
    Kind,
    /// There is no such key.
    #[error("there is no key '{0}'")]
    Missing(String),
    /// The passphrase or PIN is wrong, or the file damaged.
    #[error("the passphrase for '{0}' is wrong, or the file is damaged")]
    Passphrase(String),
    /// There is nobody to ask for passphrase or PIN.
    #[error("'{0}' wants a passphrase, and there is nobody to ask: {1}")]
    Person(String, io::Error),
    /// The file is protected in a way that is not used here.
    #[error("'{0}' is protected in a way that is not used here: PBKDF2 with AES-CBC is")]
    Protection(String),
    /// It cannot be read.
    #[error("'{0}' cannot be read: {1}")]
    Read(String, io::Error),
    /// The signature is not by the key.
    #[error("what the key's keeper gave back is no signature by that key")]
    Signature,
    /// This program was built without what it takes.
    #[error("this countersign was built without {0}")]
    Unsupported(&'static str),
    /// The URI is none of RFC 7512.
    #[error("'{0}' is no PKCS#11 URI: {1}")]
    Uri(String, UriError),
}

/// A key that signs.
pub trait SigningKey: Send + Sync {
    /// The public key: DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// It cannot be had.
    fn spki(&self) -> Result<Vec<u8>, KeyError>;

    /// A signature over SHA-256 of `message`: an ECDSA-Sig-Value (RFC 3279), or PKCS #1 v1.5.
    ///
    /// # Errors
    /// The key does not sign.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// The fresh key, P-256. The cryptographic library wipes it when it is freed.
impl SigningKey for EcdsaKeyPair {
    fn spki(&self) -> Result<Vec<u8>, KeyError> {
        Ok(EcdsaKeyPair::public_key(self).as_der().map_err(|_| KeyError::Kind)?.as_ref().to_vec())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = EcdsaKeyPair::sign(self, &SystemRandom::new(), message);
        Ok(signature.map_err(|_| KeyError::Signature)?.as_ref().to_vec())
    }
}

/// The person whose keys they are.
pub trait Keyholder {
    /// The passphrase or PIN for `what`.
    ///
    /// # Errors
    /// Nobody is there, or nobody answers in time.
    fn passphrase(&self, what: &str) -> io::Result<Zeroizing<String>>;
}

/// What keys are found with.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Where programs are: `PATH`.
    pub path: Option<OsString>,
    /// The socket of the ssh-agent: `SSH_AUTH_SOCK`.
    pub ssh_agent: Option<PathBuf>,
}

/// The key that `reference` names. Made sure of is that it is of a kind that is used here.
///
/// # Errors
/// [`KeyError`].
pub fn open(
    reference: &Reference,
    environment: &Environment,
    keyholder: &dyn Keyholder,
) -> Result<Box<dyn SigningKey>, KeyError> {
    let key: Box<dyn SigningKey> = match reference {
        Reference::File(path) => file::open(path, keyholder)?,
        Reference::Kms { scheme, key } => Box::new(kms::KmsKey::open(environment, scheme, key)?),
        #[cfg(unix)]
        Reference::SshAgent(name) => Box::new(ssh_agent::AgentKey::open(environment, name)?),
        #[cfg(not(unix))]
        Reference::SshAgent(_) => return Err(KeyError::Unsupported("ssh-agent, which is for Unix")),
        #[cfg(feature = "pkcs11")]
        Reference::Pkcs11(uri) => Box::new(pkcs11::TokenKey::open(uri, keyholder)?),
        #[cfg(not(feature = "pkcs11"))]
        Reference::Pkcs11(_) => return Err(KeyError::Unsupported("PKCS#11")),
    };
    kind(&key.spki()?)?;
    Ok(Box::new(Checked(key)))
}

/// Whether there is something where `reference` says that a key is. Nobody is asked, and nothing run or loaded.
///
/// # Errors
/// [`KeyError`].
pub fn look(reference: &Reference, environment: &Environment) -> Result<(), KeyError> {
    let there = |path: &std::path::Path| match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(KeyError::Read(path.display().to_string(), error)),
    };
    match reference {
        Reference::File(path) => there(path),
        Reference::Kms { scheme, .. } => kms::find(environment, scheme).map(drop),
        Reference::Pkcs11(uri) if cfg!(feature = "pkcs11") => there(&uri.module),
        Reference::Pkcs11(_) => Err(KeyError::Unsupported("PKCS#11")),
        Reference::SshAgent(_) => match &environment.ssh_agent {
            Some(socket) => there(socket),
            None => Err(KeyError::Keeper {
                keeper: "the ssh-agent".to_owned(),
                reason: "there is none: 'SSH_AUTH_SOCK' is not set".to_owned(),
            }),
        },
    }
}

/// A key whose every signature is verified: whoever keeps it is trusted with the key, not with our time.
struct Checked(Box<dyn SigningKey>);

impl SigningKey for Checked {
    fn spki(&self) -> Result<Vec<u8>, KeyError> {
        self.0.spki()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.0.sign(message)?;
        let key = PublicKey::from_spki(&self.0.spki()?, Hash::Sha256).map_err(|_| KeyError::Kind)?;
        if key.verifies(message, &signature) { Ok(signature) } else { Err(KeyError::Signature) }
    }
}

/// What kind of key `spki` is, of those that are used here.
///
/// # Errors
/// [`KeyError::Kind`].
pub fn kind(spki: &[u8]) -> Result<KeyKind, KeyError> {
    let key = PublicKey::from_spki(spki, Hash::Sha256).map_err(|_| KeyError::Kind)?;
    match key.kind() {
        kind @ (KeyKind::P256 | KeyKind::Rsa) => Ok(kind),
        KeyKind::P384 | KeyKind::P521 | KeyKind::Ed25519 => Err(KeyError::Kind),
    }
}

/// The SubjectPublicKeyInfo of the P-256 key with the uncompressed `point`.
fn p256_spki(point: &[u8]) -> Result<Vec<u8>, KeyError> {
    spki(ID_EC_PUBLIC_KEY, Any::encode_from(&SECP256R1), point)
}

/// The SubjectPublicKeyInfo of an RSA key; both numbers big-endian.
#[cfg_attr(not(any(unix, feature = "pkcs11")), allow(dead_code, reason = "files and KMS give it whole"))]
fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, KeyError> {
    let numbers = || -> der::Result<Vec<u8>> {
        let (modulus, exponent) = (UintRef::new(modulus)?, UintRef::new(exponent)?);
        sequence(&[modulus.to_der()?, exponent.to_der()?])
    };
    spki(RSA_ENCRYPTION, Ok(Any::null()), &numbers().map_err(|_| KeyError::Kind)?)
}

fn spki(oid: ObjectIdentifier, parameters: der::Result<Any>, key: &[u8]) -> Result<Vec<u8>, KeyError> {
    let build = || -> der::Result<Vec<u8>> {
        SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned { oid, parameters: Some(parameters?) },
            subject_public_key: BitString::from_bytes(key)?,
        }
        .to_der()
    };
    build().map_err(|_| KeyError::Kind)
}

/// An ECDSA-Sig-Value of two big-endian numbers.
#[cfg_attr(not(any(unix, feature = "pkcs11")), allow(dead_code, reason = "files and KMS give it whole"))]
fn ecdsa_signature(r: &[u8], s: &[u8]) -> Result<Vec<u8>, KeyError> {
    let build = || sequence(&[UintRef::new(r)?.to_der()?, UintRef::new(s)?.to_der()?]);
    build().map_err(|_| KeyError::Signature)
}

fn sequence(parts: &[Vec<u8>]) -> der::Result<Vec<u8>> {
    Any::new(der::Tag::Sequence, parts.concat())?.to_der()
}

#[cfg(test)]
mod tests;
