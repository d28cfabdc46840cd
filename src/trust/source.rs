//! The places that a policy and its files are read from.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::TrustError;
use crate::{
    object::ObjectId,
    policy::Policy,
    sigstore::trusted_root::MAXIMUM_ROOT_BYTES,
    verify::{openpgp::MAXIMUM_RING_BYTES, smime::MAXIMUM_AUTHORITY_BYTES},
    words::escape,
};

/// The largest policy that is read, in bytes.
pub const MAXIMUM_POLICY_BYTES: usize = 4 * 1024 * 1024;

/// Where a policy and the files that it names can be had.
pub trait PolicySource {
    /// The bytes of the policy, at most [`MAXIMUM_POLICY_BYTES`].
    ///
    /// # Errors
    /// It is missing or cannot be read.
    fn policy(&self) -> Result<Content, TrustError>;

    /// The bytes of a file that the policy names; `None` only for a trusted root that neither the policy
    /// nor this source has a file for.
    ///
    /// # Errors
    /// It is missing, not to be had here, or cannot be read.
    fn file(&self, named: &NamedFile<'_>) -> Result<Option<Content>, TrustError>;
}

/// A file that a policy needs, as it names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamedFile<'a> {
    /// The certificates of a certificate authority.
    CertificateAuthority {
        /// Its name.
        name: &'a str,
        /// The path in the policy.
        path: &'a str,
    },
    /// OpenPGP certificates.
    OpenPgpCertificates {
        /// The path in the policy, which is also the name that a hook pins them by.
        path: &'a str,
    },
    /// The trusted root of an instance.
    TrustedRoot {
        /// The instance.
        instance: &'a str,
        /// The path in the policy; `None` where it leaves the root to whoever reads it.
        path: Option<&'a str>,
    },
}

impl NamedFile<'_> {
    /// The path that the policy gives, relative to itself.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match *self {
            Self::CertificateAuthority { path, .. } | Self::OpenPgpCertificates { path } => Some(path),
            Self::TrustedRoot { path, .. } => path,
        }
    }

    /// The largest that is read, in bytes.
    #[must_use]
    pub fn maximum_bytes(&self) -> usize {
        match self {
            Self::CertificateAuthority { .. } => MAXIMUM_AUTHORITY_BYTES,
            Self::OpenPgpCertificates { .. } => MAXIMUM_RING_BYTES,
            Self::TrustedRoot { .. } => MAXIMUM_ROOT_BYTES,
        }
    }
}

/// What was read, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where they stood.
    pub place: Place,
}

/// Where something was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the tree of a commit.
    Commit(Box<CommitPlace>),
    /// A file.
    File(PathBuf),
}

/// A place in the tree of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPlace {
    /// The commit.
    pub commit: ObjectId,
    /// When it says that it was made, in seconds since 1970.
    pub time: i64,
    /// The path in its tree.
    pub path: String,
}

impl fmt::Display for Place {
    /// The path, or `COMMIT:PATH` as git writes it; escaped.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(place) => write!(formatter, "{}:{}", place.commit, escape(&place.path)),
            Self::File(path) => formatter.write_str(&escape(&path.display().to_string())),
        }
    }
}

/// A policy file, with the files that it names relative to it.
#[derive(Clone, Debug)]
pub struct Beside {
    path: PathBuf,
}

impl Beside {
    /// The policy at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(name)
    }

    /// Where each trusted root of `policy` lies, by the name of its instance.
    #[must_use]
    pub fn trusted_roots(&self, policy: &Policy) -> Vec<(String, PathBuf)> {
        let entries = policy.instances().iter();
        entries
            .filter_map(|entry| Some((entry.name.clone(), self.join(entry.trusted_root.as_ref()?))))
            .collect()
    }

    /// Where each file of OpenPGP certificates of `policy` lies, by the name that it has there.
    #[must_use]
    pub fn openpgp_certificates(&self, policy: &Policy) -> Vec<(String, PathBuf)> {
        policy.openpgp_certificates().iter().map(|file| (file.clone(), self.join(file))).collect()
    }

    /// Where the file of each certificate authority of `policy` lies, by the name of the authority.
    #[must_use]
    pub fn certificate_authorities(&self, policy: &Policy) -> Vec<(String, PathBuf)> {
        let entries = policy.certificate_authorities().iter();
        entries.map(|entry| (entry.name.clone(), self.join(&entry.file))).collect()
    }
}

impl PolicySource for Beside {
    fn policy(&self) -> Result<Content, TrustError> {
        policy_file(&self.path)
    }

    fn file(&self, named: &NamedFile<'_>) -> Result<Option<Content>, TrustError> {
        named.path().map(|path| read(&self.join(path), named.maximum_bytes())).transpose()
    }
}

/// A policy file whose named files are read from exactly the paths that are given for them, whatever it
/// says of where they lie: for a hook, which keeps them from its installation on.
#[derive(Clone, Debug)]
pub struct Pinned<'a> {
    /// The policy.
    pub policy: &'a Path,
    /// The trusted root of each instance.
    pub trusted_roots: &'a [(String, PathBuf)],
    /// Each file of OpenPGP certificates by its name in the policy.
    pub openpgp_certificates: &'a [(String, PathBuf)],
    /// The file of each certificate authority by its name in the policy.
    pub certificate_authorities: &'a [(String, PathBuf)],
}

impl PolicySource for Pinned<'_> {
    fn policy(&self) -> Result<Content, TrustError> {
        policy_file(self.policy)
    }

    fn file(&self, named: &NamedFile<'_>) -> Result<Option<Content>, TrustError> {
        let find = |pinned: &'_ [(String, PathBuf)], wanted: &str| {
            pinned.iter().rfind(|(name, _)| name == wanted).map(|(_, path)| path.clone())
        };
        let path = match *named {
            NamedFile::CertificateAuthority { name, .. } => Some(
                find(self.certificate_authorities, name)
                    .ok_or_else(|| TrustError::AuthorityNotPinned(name.to_owned()))?,
            ),
            NamedFile::OpenPgpCertificates { path } => Some(
                find(self.openpgp_certificates, path)
                    .ok_or_else(|| TrustError::CertificatesNotPinned(path.to_owned()))?,
            ),
            NamedFile::TrustedRoot { instance, path } => match find(self.trusted_roots, instance) {
                None if path.is_some() => return Err(TrustError::NotPinned(instance.to_owned())),
                found => found,
            },
        };
        path.map(|path| read(&path, named.maximum_bytes())).transpose()
    }
}

fn policy_file(path: &Path) -> Result<Content, TrustError> {
    match read(path, MAXIMUM_POLICY_BYTES) {
        Err(TrustError::Unreadable { path, source }) if source.kind() == io::ErrorKind::NotFound => {
            Err(TrustError::NoPolicy(Place::File(path)))
        }
        read => read,
    }
}

/// Read a file of at most `maximum` bytes.
fn read(path: &Path, maximum: usize) -> Result<Content, TrustError> {
    let failed = |source| TrustError::Unreadable { path: path.to_owned(), source };
    let place = Place::File(path.to_owned());
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(maximum as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > maximum {
        return Err(TrustError::TooLarge { place, maximum });
    }
    Ok(Content { bytes, place })
}
