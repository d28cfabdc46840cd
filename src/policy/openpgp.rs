//! The OpenPGP certificates behind a policy's fingerprints: bytes in, a key ring out.

use std::collections::BTreeMap;

use super::{Finding, NamedIdentity, Policy, PolicyError};
use crate::{
    encoding::sha256,
    verify::{
        Key,
        openpgp::{KeyRing, KeyRingError},
    },
};

/// The address in the user id of the keys with which GitHub signs what is made on its web pages.
const FORGE_ADDRESS: &str = "noreply@github.com";

/// What a policy knows of OpenPGP certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenPgp {
    /// Paths relative to the policy file.
    files: Vec<String>,
    /// By fingerprint: a digest over every file that holds the certificate.
    digests: BTreeMap<String, [u8; 32]>,
    forge_keys: Vec<Finding>,
}

impl OpenPgp {
    pub(super) fn new(files: Vec<String>) -> Self {
        Self { files, ..Self::default() }
    }

    pub(super) fn digest(&self, fingerprint: &str) -> Option<[u8; 32]> {
        self.digests.get(fingerprint).copied()
    }

    pub(super) fn forge_keys(&self) -> impl Iterator<Item = &Finding> {
        self.forge_keys.iter()
    }
}

impl Policy {
    /// The files of OpenPGP certificates that the policy names, in its order; paths are relative to it.
    #[must_use]
    pub fn openpgp_certificates(&self) -> &[String] {
        &self.openpgp.files
    }

    /// Take in the content of each of [`Self::openpgp_certificates`], in their order; the key ring by
    /// which OpenPGP signatures are to be judged under this policy.
    ///
    /// # Errors
    /// A file that cannot be used or is missing in `contents`, or a fingerprint without its certificate.
    pub fn take_openpgp_certificates(&mut self, contents: &[Vec<u8>]) -> Result<KeyRing, PolicyError> {
        let mut ring = KeyRing::default();
        let mut digests: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (index, file) in self.openpgp.files.iter().enumerate() {
            let content = contents.get(index).map_or(&[][..], Vec::as_slice);
            let failed = |cause: KeyRingError| PolicyError::OpenPgpCertificates { file: file.clone(), cause };
            let certificates = KeyRing::from_armored(content).map_err(failed)?;
            for fingerprint in certificates.fingerprints() {
                digests.entry(fingerprint).or_default().extend(sha256(&[content]));
            }
            ring.extend(certificates);
        }
        let mut forge_keys = Vec::new();
        for (identity, fingerprint) in self.identities.iter().flat_map(fingerprints) {
            if !digests.contains_key(fingerprint) {
                let (identity, fingerprint) = (identity.to_owned(), fingerprint.to_owned());
                return Err(PolicyError::NoCertificate { identity, fingerprint });
            }
            for user_id in ring.user_ids(fingerprint) {
                if user_id.trim_end_matches('>').ends_with(FORGE_ADDRESS) {
                    forge_keys.push(Finding::ForgeKey { identity: identity.to_owned(), user_id });
                }
            }
        }
        self.openpgp.digests =
            digests.into_iter().map(|(fingerprint, bytes)| (fingerprint, sha256(&[&bytes]))).collect();
        self.openpgp.forge_keys = forge_keys;
        Ok(ring)
    }
}

/// The OpenPGP fingerprints of an identity, beside its name.
fn fingerprints(identity: &NamedIdentity) -> impl Iterator<Item = (&str, &str)> {
    identity.keys.iter().filter_map(|key| match key {
        Key::OpenPgp { fingerprint } => Some((identity.name.as_str(), fingerprint.as_str())),
        _ => None,
    })
}
