//! What a hook is to go by: its policy, and every file that is pinned with it at installation.

use std::path::{Path, PathBuf};

use super::{InstallError, InstallOptions, PolicyChoice, state::default_state};
use crate::{
    hook::{PolicyMemory, PolicyPlace, place::absolute, policy_ref::PolicyRef},
    object::ObjectId,
    repository::{ObjectReadError, Repository},
    trust::{Beside, ChainError, InCommit, Pin, Pinned, Trust, check_reference, read_policy},
};

/// What the shim is to go by: the policy's place, and every file that is pinned with it.
pub(super) struct Basis {
    pub(super) policy: PolicyPlace,
    pub(super) trusted_roots: Vec<(String, PathBuf)>,
    pub(super) openpgp_certificates: Vec<(String, PathBuf)>,
    pub(super) certificate_authorities: Vec<(String, PathBuf)>,
    /// Where a policy in a ref was found.
    pub(super) found: Option<ObjectId>,
}

impl Basis {
    /// Read the policy with all that it needs, as the hook will.
    pub(super) fn read(options: &InstallOptions, repository: &Repository) -> Result<Self, InstallError> {
        match &options.policy {
            PolicyChoice::File(policy) => Self::of_file(options, policy),
            PolicyChoice::Reference { reference, root } => {
                check_reference(reference)?;
                let objects = repository.objects().map_err(ChainError::from)?;
                let reader = objects.reader();
                if matches!(reader.kind(*root), Err(ObjectReadError::Missing(_))) {
                    return Err(InstallError::NoRoot { root: *root, reference: reference.clone() });
                }
                let (policy, _) = read_policy(&InCommit::new(&reader, *root)?)?;
                let id = policy.repository().ok_or(ChainError::NoRepository(*root))?.to_owned();
                let pin = Pin { repository: id, reference: reference.clone(), root: *root };
                let trusted_roots = pinned(&options.trusted_roots, Vec::new())?;
                // A pin that is installed again goes on where it was: what was seen is not forgotten.
                let seen = match &options.state {
                    Some(state) => PolicyMemory::new(&absolute(state)?).recall(&pin),
                    None => PolicyMemory::new(&default_state(repository)).recall(&pin),
                };
                let seen = seen.map_err(|failure| InstallError::Policy(Box::new(failure)))?;
                let source = PolicyRef {
                    pin: &pin,
                    trusted_roots: &trusted_roots,
                    now: options.now,
                    go_on: &|_, _| true,
                };
                let followed = source.read(&reader, &repository.references(), seen)?;
                let found = Some(followed.commit());
                let instances = source.take_instances(&mut followed.into_trust());
                instances.map_err(|failure| InstallError::Policy(Box::new(failure)))?;
                Ok(Self {
                    policy: PolicyPlace::Reference(pin),
                    trusted_roots,
                    openpgp_certificates: Vec::new(),
                    certificate_authorities: Vec::new(),
                    found,
                })
            }
        }
    }

    /// The same of a policy file.
    pub(super) fn of_file(options: &InstallOptions, policy: &Path) -> Result<Self, InstallError> {
        let policy = absolute(policy)?;
        let beside = Beside::new(&policy);
        let (words, _) = read_policy(&beside)?;
        let trusted_roots = pinned(&options.trusted_roots, beside.trusted_roots(&words))?;
        let openpgp_certificates =
            pinned(&options.openpgp_certificates, beside.openpgp_certificates(&words))?;
        let certificate_authorities =
            pinned(&options.certificate_authorities, beside.certificate_authorities(&words))?;
        Trust::load(&Pinned {
            policy: &policy,
            trusted_roots: &trusted_roots,
            openpgp_certificates: &openpgp_certificates,
            certificate_authorities: &certificate_authorities,
        })?;
        let policy = PolicyPlace::File(policy);
        Ok(Self { policy, trusted_roots, openpgp_certificates, certificate_authorities, found: None })
    }
}

/// Each file that the policy names: where `given` says, or where the policy does (`beside`).
fn pinned(
    given: &[(String, PathBuf)],
    beside: Vec<(String, PathBuf)>,
) -> Result<Vec<(String, PathBuf)>, InstallError> {
    let mut pinned = Vec::new();
    for (name, path) in given {
        pinned.push((name.clone(), absolute(path)?));
    }
    for (name, path) in beside {
        if pinned.iter().all(|(other, _)| *other != name) {
            pinned.push((name, absolute(&path)?));
        }
    }
    pinned.sort();
    Ok(pinned)
}
