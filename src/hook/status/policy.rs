//! The policy that a hook goes by, as it would be read now.

use std::path::{Path, PathBuf};

use super::StatusFinding;
use crate::{
    hook::{PolicyMemory, PolicyPlace, Shim, for_all::Standing, policy_ref::PolicyRef},
    policy::Policy,
    repository::Repository,
    trust::{Beside, ChainError, Followed, Pin, Pinned, Trust, read_policy},
    words::Failure,
};

/// The policy in its file, and what the shim has of what it names.
pub(super) fn look_at_file(shim: &Shim, path: &Path, findings: &mut Vec<StatusFinding>) -> Option<Policy> {
    let beside = Beside::new(path);
    let trust = Trust::load(&Pinned {
        policy: path,
        trusted_roots: &shim.trusted_roots,
        openpgp_certificates: &shim.openpgp_certificates,
        certificate_authorities: &shim.certificate_authorities,
    });
    let policy = match trust {
        Ok(trust) => trust.policy,
        Err(error) => {
            findings.push(StatusFinding::Broken(error.to_string()));
            read_policy(&beside).ok()?.0
        }
    };
    let other = |pinned: &[(String, PathBuf)], name: &str, path: &Path| {
        let (_, pinned) = pinned.iter().find(|(pinned, _)| pinned == name)?;
        (pinned.canonicalize().ok() != path.canonicalize().ok()).then(|| pinned.clone())
    };
    for (file, path) in beside.openpgp_certificates(&policy) {
        if let Some(pinned) = other(&shim.openpgp_certificates, &file, &path) {
            findings.push(StatusFinding::OtherCertificates { file, pinned });
        }
    }
    for (name, path) in beside.certificate_authorities(&policy) {
        if let Some(pinned) = other(&shim.certificate_authorities, &name, &path) {
            findings.push(StatusFinding::OtherAuthority { name, pinned });
        }
    }
    for (instance, path) in beside.trusted_roots(&policy) {
        if let Some(pinned) = other(&shim.trusted_roots, &instance, &path) {
            findings.push(StatusFinding::OtherTrustedRoot { instance, pinned });
        }
    }
    Some(policy)
}

/// What the hook before `repository` goes by, if one is installed: where the policy is, and what it says.
///
/// # Errors
/// It cannot be used.
pub fn installed_trust(repository: &Repository, now: i64) -> Result<Option<(PathBuf, Trust)>, Failure> {
    let Some(shim) = Standing::of(repository).shim else { return Ok(None) };
    match &shim.policy {
        PolicyPlace::File(policy) => {
            let trust = Trust::load(&Pinned {
                policy,
                trusted_roots: &shim.trusted_roots,
                openpgp_certificates: &shim.openpgp_certificates,
                certificate_authorities: &shim.certificate_authorities,
            })?;
            Ok(Some((policy.clone(), trust)))
        }
        PolicyPlace::Reference(pin) => {
            let followed = followed(&shim, pin, repository, now)?;
            Ok(Some((PathBuf::from(&pin.reference), followed.into_trust())))
        }
    }
}

fn followed(shim: &Shim, pin: &Pin, repository: &Repository, now: i64) -> Result<Followed, Failure> {
    let seen = PolicyMemory::new(&shim.state).recall(pin)?;
    let objects = repository.objects().map_err(ChainError::from)?;
    let source = PolicyRef { pin, trusted_roots: &shim.trusted_roots, now, go_on: &|_, _| true };
    Ok(source.read(&objects.reader(), &repository.references(), seen)?)
}

/// The policy in its ref as the hook would go by it, and where it stands.
pub(super) fn follow(
    shim: &Shim,
    pin: &Pin,
    repository: &Repository,
    now: i64,
) -> Result<(Policy, String), Failure> {
    let followed = followed(shim, pin, repository, now)?;
    let who = match followed.signers() {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    };
    let (commit, serial) = (followed.commit(), followed.serial());
    let words = format!("commit {commit}, serial {serial}, which {who} may change");
    let mut trust = followed.into_trust();
    PolicyRef { pin, trusted_roots: &shim.trusted_roots, now, go_on: &|_, _| true }
        .take_instances(&mut trust)?;
    Ok((trust.policy, words))
}
