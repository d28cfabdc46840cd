//! Why there is nothing that could decide.

use std::path::PathBuf;

use super::Place;
use crate::{
    policy::PolicyError,
    repository::ObjectReadError,
    sigstore::trusted_root::TrustedRootError,
    words::{Failure, shell_word},
};

/// Why there is nothing that could decide. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The policy counts a certificate authority for which the hook has no file.
    #[error("the policy names the certificate authority '{0}', and the hook was installed without its file")]
    AuthorityNotPinned(String),
    /// A trusted root that is built in is damaged.
    #[error("the built-in trusted root of '{name}' cannot be used: {cause}")]
    BuiltIn {
        /// The instance.
        name: String,
        /// What is wrong.
        cause: TrustedRootError,
    },
    /// The policy counts OpenPGP certificates for which the hook has no file.
    #[error("the policy names the OpenPGP certificates '{0}', and the hook was installed without them")]
    CertificatesNotPinned(String),
    /// The commit has no file at that path.
    #[error("there is no file '{0}'")]
    Missing(Place),
    /// There is no policy.
    #[error("there is no policy at '{0}'")]
    NoPolicy(Place),
    /// The policy counts an instance for which the hook has no trusted root.
    #[error("the policy names the instance '{0}', and the hook was installed without its trusted root")]
    NotPinned(String),
    /// What stands in the commit's tree is no file that is read.
    #[error("'{place}' cannot be read: {reason}")]
    NotInTheTree {
        /// Where it should stand.
        place: Place,
        /// What is there.
        reason: &'static str,
    },
    /// Something that has to be UTF-8 is not.
    #[error("'{0}' cannot be read: it is not text in UTF-8")]
    NotText(Place),
    /// An object on the way to a file of a commit cannot be read.
    #[error("'{place}' cannot be read: {source}")]
    Object {
        /// Where it should stand.
        place: Place,
        /// Why not.
        source: ObjectReadError,
    },
    /// The policy does not parse.
    #[error("the policy '{place}' cannot be used: {cause}")]
    Policy {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        cause: PolicyError,
    },
    /// More bytes than are read.
    #[error("'{place}' cannot be read: it is larger than {maximum} bytes")]
    TooLarge {
        /// Where it stands.
        place: Place,
        /// How many are read.
        maximum: usize,
    },
    /// The files that the policy names hold more bytes than are read.
    #[error(
        "the files that the policy '{place}' names have more than {} bytes together",
        super::MAXIMUM_TOTAL_BYTES
    )]
    TooMuch {
        /// The policy.
        place: Place,
    },
    /// A trusted root cannot be used.
    #[error("the trusted root '{place}' of '{name}' cannot be used: {cause}")]
    TrustedRoot {
        /// The instance.
        name: String,
        /// Where it stands.
        place: Place,
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

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        if let TrustError::Policy { cause, .. } = &error {
            let hint = cause.hint();
            return Self::new(&error, hint).hint(remedy(&error));
        }
        let hint = remedy(&error);
        Self::new(error, hint)
    }
}

/// What to do next, apart from what is wrong inside of a policy.
fn remedy(error: &TrustError) -> String {
    match error {
        TrustError::NoPolicy(Place::File(path)) => {
            let path = path.display().to_string();
            format!("write one with 'countersign policy init {}'", shell_word(&path))
        }
        TrustError::AuthorityNotPinned(_) | TrustError::CertificatesNotPinned(_) => {
            "put the file in its place and run 'countersign hook install' again".to_owned()
        }
        TrustError::NotPinned(_) | TrustError::TrustedRoot { .. } => {
            "put the trusted root in its place, and for a hook run 'countersign hook install' again"
                .to_owned()
        }
        TrustError::Policy { place: Place::File(path), .. } => {
            let path = path.display().to_string();
            format!("look at it with 'countersign policy check {}'", shell_word(&path))
        }
        TrustError::Missing(_)
        | TrustError::NoPolicy(Place::Commit(_))
        | TrustError::NotInTheTree { .. }
        | TrustError::Object { .. }
        | TrustError::Policy { .. } => "ask whoever publishes the policy".to_owned(),
        TrustError::BuiltIn { .. }
        | TrustError::NotText(_)
        | TrustError::TooLarge { .. }
        | TrustError::TooMuch { .. }
        | TrustError::Unreadable { .. } => {
            "see to the path and its permissions; until this is mended a hook refuses every push".to_owned()
        }
    }
}
