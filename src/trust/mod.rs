//! What decides, and where it comes from: a policy with everything that it names, from one place.
//!
//! Responsible for reading a policy and the files that it names from beside it, from pinned paths or from
//! a commit, each with a bound on its size; and for following the policy of a repository from the commit
//! that is believed to the present one. Whoever asks says what is believed: nothing in a repository does.

mod chain;
mod commit;
mod error;
mod find;
mod pin;
mod source;

pub use chain::{ChainError, Followed, MAXIMUM_COMMITS, Reading, commits, commits_while, follow, tip};
pub use commit::{InCommit, POLICY_FILE, path_in_tree};
pub use error::TrustError;
pub use find::find_pin;
pub use pin::{POLICY_REF, Pin, PinError, check_reference};
pub use source::{
    Beside, CommitPlace, Content, MAXIMUM_POLICY_BYTES, NamedFile, Pinned, Place, PolicySource,
};

use crate::{
    encoding::sha256,
    policy::{PUBLIC_GOOD, Policy},
    sigstore::trusted_root::Instance,
    verify::{openpgp::KeyRing, smime::Authorities},
};

/// The most that is read of the files that one policy names, in bytes.
pub const MAXIMUM_TOTAL_BYTES: usize = 128 * 1024 * 1024;

/// One snapshot of a policy and of all that it names.
#[derive(Debug)]
pub struct Trust {
    /// The policy.
    pub policy: Policy,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// The instances that it gives a trusted root to, each with where that stood.
    pub roots: Vec<(Instance, Place)>,
    /// The instances that it counts by a trusted root that is not its own to give, public-good among them.
    pub rootless: Vec<String>,
    /// The OpenPGP certificates that it counts.
    pub openpgp: KeyRing,
    /// The certificate authorities that it counts.
    pub smime: Authorities,
    /// SHA-256 over the files that both were read from, with their names.
    pub files_digest: [u8; 32],
}

impl Trust {
    /// Read the policy of `source` and everything that it names.
    ///
    /// # Errors
    /// Anything missing, unreadable or not understood.
    pub fn load(source: &dyn PolicySource) -> Result<Self, TrustError> {
        let (mut policy, content) = read_policy(source)?;
        let (mut roots, mut rootless) = (Vec::new(), Vec::new());
        let (mut certificates, mut authorities) = (Vec::new(), Vec::new());
        let mut total = 0;
        let mut material = Vec::new();
        for named in named_files(&policy) {
            let file = source.file(&named)?;
            total += file.as_ref().map_or(0, |file| file.bytes.len());
            if total > MAXIMUM_TOTAL_BYTES {
                return Err(TrustError::TooMuch { place: content.place });
            }
            match (named, file) {
                (NamedFile::TrustedRoot { instance, .. }, Some(file)) => {
                    roots.push((read_instance(instance, &file)?, file.place));
                }
                (NamedFile::TrustedRoot { instance, .. }, None) => rootless.push(instance.to_owned()),
                (NamedFile::OpenPgpCertificates { path }, file) => {
                    let missing = || TrustError::CertificatesNotPinned(path.to_owned());
                    let bytes = file.ok_or_else(missing)?.bytes;
                    material.push([sha256(&[b"OpenPGP"]), sha256(&[&bytes])]);
                    certificates.push(bytes);
                }
                (NamedFile::CertificateAuthority { name, .. }, file) => {
                    let missing = || TrustError::AuthorityNotPinned(name.to_owned());
                    let bytes = file.ok_or_else(missing)?.bytes;
                    material.push([sha256(&[b"authority ", name.as_bytes()]), sha256(&[&bytes])]);
                    authorities.push(bytes);
                }
            }
        }
        let failed = |cause| TrustError::Policy { place: content.place.clone(), cause };
        let openpgp = policy.take_openpgp_certificates(&certificates).map_err(failed)?;
        let smime = policy.take_certificate_authorities(&authorities).map_err(failed)?;
        let files_digest = sha256(&[material.as_flattened().as_flattened()]);
        Ok(Self { digest: sha256(&[&content.bytes]), policy, roots, rootless, openpgp, smime, files_digest })
    }

    /// Take out the instances that count where only the policy and what is built in say which: those that
    /// the policy gives a trusted root to, and the built-in ones of [`Self::rootless`].
    ///
    /// # Errors
    /// One that is not built in has no trusted root.
    pub fn take_instances(&mut self) -> Result<Vec<Instance>, TrustError> {
        let mut instances: Vec<Instance> = self.roots.drain(..).map(|(instance, _)| instance).collect();
        for name in self.rootless.drain(..) {
            let built_in = Instance::built_in(&name).ok_or_else(|| TrustError::NotPinned(name.clone()))?;
            instances.push(built_in.map_err(|cause| TrustError::BuiltIn { name, cause })?);
        }
        Ok(instances)
    }
}

/// Read the policy of `source` alone; with it the bytes that it was read from.
///
/// # Errors
/// It is missing, unreadable or not understood.
pub fn read_policy(source: &dyn PolicySource) -> Result<(Policy, Content), TrustError> {
    let content = source.policy()?;
    let text = std::str::from_utf8(&content.bytes).map_err(|_| TrustError::NotText(content.place.clone()))?;
    let policy =
        Policy::parse(text).map_err(|cause| TrustError::Policy { place: content.place.clone(), cause })?;
    Ok((policy, content))
}

/// Every file that `policy` needs: a trusted root for each instance that counts, public-good among them
/// (some without a path), and the files of OpenPGP certificates and of certificate authorities in the policy's
/// order.
#[must_use]
pub fn named_files(policy: &Policy) -> Vec<NamedFile<'_>> {
    let entries = policy.instances().iter();
    let roots = entries.map(|entry| (entry.name.as_str(), entry.trusted_root.as_deref()));
    let implied = policy.instances().iter().all(|entry| entry.name != PUBLIC_GOOD);
    let roots = roots.chain(implied.then_some((PUBLIC_GOOD, None)));
    let certificates = policy.openpgp_certificates().iter();
    let authorities = policy.certificate_authorities().iter();
    roots
        .map(|(instance, path)| NamedFile::TrustedRoot { instance, path })
        .chain(certificates.map(|path| NamedFile::OpenPgpCertificates { path }))
        .chain(
            authorities.map(|entry| NamedFile::CertificateAuthority { name: &entry.name, path: &entry.file }),
        )
        .collect()
}

fn read_instance(name: &str, content: &Content) -> Result<Instance, TrustError> {
    let text = std::str::from_utf8(&content.bytes).map_err(|_| TrustError::NotText(content.place.clone()))?;
    Instance::from_json(name, text).map_err(|cause| TrustError::TrustedRoot {
        name: name.to_owned(),
        place: content.place.clone(),
        cause,
    })
}

#[cfg(test)]
mod tests;
