//! Policy and trusted roots, read once from the paths that the shim names.

use std::{
    collections::HashMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::{
    policy::{PUBLIC_GOOD, Policy, PolicyError},
    sigstore::trusted_root::{Instance, TrustedRootError},
    verify::{
        openpgp::{KeyRing, MAXIMUM_RING_BYTES},
        smime::{Authorities, MAXIMUM_AUTHORITY_BYTES},
    },
    words::Failure,
};

/// One snapshot of everything that decides.
#[derive(Debug)]
pub struct Trust {
    /// The policy.
    pub policy: Policy,
    /// The instances that it counts, public-good among them.
    pub instances: Vec<Instance>,
    /// The OpenPGP certificates that it counts.
    pub openpgp: KeyRing,
    /// The certificate authorities that it counts.
    pub smime: Authorities,
}

/// Why there is nothing that could decide. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is no policy file.
    #[error("there is no policy at '{}'", .0.display())]
    NoPolicy(PathBuf),
    /// The policy counts a certificate authority for which the hook has no file.
    #[error("the policy names the certificate authority '{0}', and the hook was installed without its file")]
    AuthorityNotPinned(String),
    /// The policy counts OpenPGP certificates for which the hook has no file.
    #[error("the policy names the OpenPGP certificates '{0}', and the hook was installed without them")]
    CertificatesNotPinned(String),
    /// The policy counts an instance for which the hook has no trusted root.
    #[error("the policy names the instance '{0}', and the hook was installed without its trusted root")]
    NotPinned(String),
    /// The policy does not parse.
    #[error("the policy '{}' cannot be used: {cause}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: PolicyError,
    },
    /// A trusted root that is built in is damaged.
    #[error("the built-in trusted root of '{name}' cannot be used: {cause}")]
    BuiltIn {
        /// The instance.
        name: String,
        /// What is wrong.
        cause: TrustedRootError,
    },
    /// A trusted root cannot be used.
    #[error("the trusted root '{}' of '{name}' cannot be used: {cause}", path.display())]
    TrustedRoot {
        /// The instance.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: TrustedRootError,
    },
    /// A file cannot be read.
    #[error("'{}' cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Trust {
    /// Read the policy at `path`, and the trusted roots, OpenPGP certificates and certificate authorities
    /// at exactly the paths that are given by their names in the policy.
    ///
    /// # Errors
    /// Anything missing, unreadable or not understood.
    pub fn read(
        path: &Path,
        pinned: &[(String, PathBuf)],
        certificates: &[(String, PathBuf)],
        authorities: &[(String, PathBuf)],
    ) -> Result<Self, TrustError> {
        let mut policy = read_policy(path)?;
        let pinned: HashMap<&str, &PathBuf> =
            pinned.iter().map(|(name, path)| (name.as_str(), path)).collect();
        let mut instances = Vec::new();
        for entry in policy.instances() {
            instances.push(match (pinned.get(entry.name.as_str()), &entry.trusted_root) {
                (Some(path), _) => read_instance(&entry.name, path)?,
                (None, None) => built_in_instance(&entry.name)?,
                (None, Some(_)) => return Err(TrustError::NotPinned(entry.name.clone())),
            });
        }
        if instances.iter().all(|instance: &Instance| instance.name() != PUBLIC_GOOD) {
            instances.push(match pinned.get(PUBLIC_GOOD) {
                Some(path) => read_instance(PUBLIC_GOOD, path)?,
                None => built_in_instance(PUBLIC_GOOD)?,
            });
        }
        let mut contents = Vec::new();
        for file in policy.openpgp_certificates() {
            let pinned = certificates.iter().find(|(name, _)| name == file);
            let (_, path) = pinned.ok_or_else(|| TrustError::CertificatesNotPinned(file.clone()))?;
            contents.push(read_certificates(path, MAXIMUM_RING_BYTES)?);
        }
        let mut authority_contents = Vec::new();
        for entry in policy.certificate_authorities() {
            let pinned = authorities.iter().find(|(name, _)| *name == entry.name);
            let (_, path) = pinned.ok_or_else(|| TrustError::AuthorityNotPinned(entry.name.clone()))?;
            authority_contents.push(read_certificates(path, MAXIMUM_AUTHORITY_BYTES)?);
        }
        let failed = |cause| TrustError::Policy { path: path.to_owned(), cause };
        let openpgp = policy.take_openpgp_certificates(&contents).map_err(failed)?;
        let smime = policy.take_certificate_authorities(&authority_contents).map_err(failed)?;
        Ok(Self { policy, instances, openpgp, smime })
    }
}

/// Read the policy file alone.
///
/// # Errors
/// It is missing, unreadable or not understood.
pub(super) fn read_policy(path: &Path) -> Result<Policy, TrustError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(TrustError::NoPolicy(path.to_owned()));
        }
        text => text.map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?,
    };
    Policy::parse(&text).map_err(|cause| TrustError::Policy { path: path.to_owned(), cause })
}

/// Where each trusted root of `policy` lies, by the policy's own words: relative to its file.
pub(super) fn trusted_roots_beside(path: &Path, policy: &Policy) -> Vec<(String, PathBuf)> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let entries = policy.instances().iter();
    entries
        .filter_map(|entry| Some((entry.name.clone(), folder.join(entry.trusted_root.as_ref()?))))
        .collect()
}

/// The policy has seen to it that only instances that are built in come without a trusted root.
fn built_in_instance(name: &str) -> Result<Instance, TrustError> {
    Instance::built_in(name)
        .ok_or_else(|| TrustError::NotPinned(name.to_owned()))?
        .map_err(|cause| TrustError::BuiltIn { name: name.to_owned(), cause })
}

/// Where each file of OpenPGP certificates lies, by the policy's own words: relative to its file.
pub(super) fn certificates_beside(path: &Path, policy: &Policy) -> Vec<(String, PathBuf)> {
    let folder = path.parent().unwrap_or(Path::new(""));
    policy.openpgp_certificates().iter().map(|file| (file.clone(), folder.join(file))).collect()
}

/// Where the file of each certificate authority lies, by the policy's own words: relative to its file.
pub(super) fn authorities_beside(path: &Path, policy: &Policy) -> Vec<(String, PathBuf)> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let entries = policy.certificate_authorities().iter();
    entries.map(|entry| (entry.name.clone(), folder.join(&entry.file))).collect()
}

fn read_certificates(path: &Path, maximum: usize) -> Result<Vec<u8>, TrustError> {
    let failed = |source| TrustError::Unreadable { path: path.to_owned(), source };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(maximum as u64 + 1).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

fn read_instance(name: &str, path: &Path) -> Result<Instance, TrustError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    Instance::from_json(name, &text).map_err(|cause| TrustError::TrustedRoot {
        name: name.to_owned(),
        path: path.to_owned(),
        cause,
    })
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        let hint = match &error {
            TrustError::NoPolicy(path) => {
                format!("write one with 'countersign policy init {}'", path.display())
            }
            TrustError::AuthorityNotPinned(_) | TrustError::CertificatesNotPinned(_) => {
                "put the file in its place and run 'countersign hook install' again".to_owned()
            }
            TrustError::NotPinned(_) | TrustError::TrustedRoot { .. } => {
                "put the trusted root in its place and run 'countersign hook install' again".to_owned()
            }
            TrustError::Policy { path, .. } => {
                format!("look at it with 'countersign policy check {}'", path.display())
            }
            TrustError::BuiltIn { .. } | TrustError::Unreadable { .. } => {
                "until this is mended every push is refused; ask the server's administrator".to_owned()
            }
        };
        Self::new(error, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.toml");
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    const SANDBOX: &str =
        "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"s\"\ntrusted_root = \"r.json\"\n";

    #[test]
    fn public_good_is_built_in() {
        let (_directory, path) = policy("version = 1\nother_refs = \"refuse\"\n");
        let trust = Trust::read(&path, &[], &[], &[]).unwrap();
        let names: Vec<&str> = trust.instances.iter().map(Instance::name).collect();
        assert_eq!(names, [PUBLIC_GOOD]);
    }

    #[test]
    fn staging_is_built_in_where_the_policy_names_it() {
        let (_directory, path) =
            policy("version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"staging\"\n");
        let trust = Trust::read(&path, &[], &[], &[]).unwrap();
        let names: Vec<&str> = trust.instances.iter().map(Instance::name).collect();
        assert_eq!(names, ["staging", PUBLIC_GOOD]);
    }

    #[test]
    fn no_policy_says_which_command_writes_one() {
        let failure =
            Failure::from(Trust::read(Path::new("/nowhere/policy.toml"), &[], &[], &[]).unwrap_err());
        assert_eq!(failure.error, "there is no policy at '/nowhere/policy.toml'");
        assert_eq!(failure.hints, ["write one with 'countersign policy init /nowhere/policy.toml'"]);
    }

    #[test]
    fn trusted_roots_come_from_the_shim_alone() {
        let (directory, path) = policy(SANDBOX);
        let root = directory.path().join("r.json");
        std::fs::write(&root, "{}").unwrap();
        assert!(
            matches!(Trust::read(&path, &[], &[], &[]), Err(TrustError::NotPinned(name)) if name == "s"),
            "the policy's own path is not followed"
        );
        let pinned = [("s".to_owned(), directory.path().join("missing.json"))];
        assert!(matches!(Trust::read(&path, &pinned, &[], &[]), Err(TrustError::Unreadable { .. })));
        std::fs::write(&root, "garbage").unwrap();
        assert!(matches!(
            Trust::read(&path, &[("s".to_owned(), root)], &[], &[]),
            Err(TrustError::TrustedRoot { .. })
        ));
    }

    #[test]
    fn a_policy_that_does_not_parse_is_refused() {
        let (_directory, path) = policy("version = 1\n");
        assert!(matches!(Trust::read(&path, &[], &[], &[]), Err(TrustError::Policy { .. })));
    }
}
