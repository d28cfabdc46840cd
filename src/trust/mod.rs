//! What decides, and where it comes from: a policy with everything that it names, from one place.
//!
//! Responsible for reading a policy and the files that it names from beside it, from pinned paths or from
//! a commit, each with a bound on its size. Whoever asks says which place counts; nothing here looks for
//! one.

mod error;
mod source;

pub use error::TrustError;
pub use source::{
    Beside, CommitPlace, Content, MAXIMUM_POLICY_BYTES, NamedFile, Pinned, Place, PolicySource,
};

use crate::{
    encoding::sha256,
    policy::{PUBLIC_GOOD, Policy},
    sigstore::trusted_root::Instance,
    verify::openpgp::KeyRing,
};

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
}

impl Trust {
    /// Read the policy of `source` and everything that it names.
    ///
    /// # Errors
    /// Anything missing, unreadable or not understood.
    pub fn load(source: &dyn PolicySource) -> Result<Self, TrustError> {
        let (mut policy, content) = read_policy(source)?;
        let (mut roots, mut rootless) = (Vec::new(), Vec::new());
        let named =
            policy.instances().iter().map(|entry| (entry.name.as_str(), entry.trusted_root.as_deref()));
        let implied = policy.instances().iter().all(|entry| entry.name != PUBLIC_GOOD);
        for (instance, path) in named.chain(implied.then_some((PUBLIC_GOOD, None))) {
            match source.file(&NamedFile::TrustedRoot { instance, path })? {
                Some(content) => roots.push((read_instance(instance, &content)?, content.place)),
                None => rootless.push(instance.to_owned()),
            }
        }
        let mut certificates = Vec::new();
        for path in policy.openpgp_certificates() {
            let content = source.file(&NamedFile::OpenPgpCertificates { path })?;
            certificates.push(content.ok_or_else(|| TrustError::CertificatesNotPinned(path.clone()))?.bytes);
        }
        let openpgp = policy
            .take_openpgp_certificates(&certificates)
            .map_err(|cause| TrustError::Policy { place: content.place.clone(), cause })?;
        Ok(Self { digest: sha256(&[&content.bytes]), policy, roots, rootless, openpgp })
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
