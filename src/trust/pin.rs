//! Pins: which policy of which repository is believed, by the commit that it began with.

use std::fmt;

use crate::{object::ObjectId, policy::is_repository_id, words::escape};

/// The ref that a repository keeps its policy in unless a pin names another one.
pub const POLICY_REF: &str = "refs/countersign/policy";

/// The namespace that such refs lie in: only a rule that names it governs them.
const NAMESPACE: &str = "refs/countersign/";

/// A policy that is believed, because whoever pinned it vouches for the commit that it began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The repository's id, as its policy names it.
    pub repository: String,
    /// The full name of the ref.
    pub reference: String,
    /// The commit that is believed as it is.
    pub root: ObjectId,
}

/// Why a pin cannot be read. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// Not three words with a space between each.
    #[error("it is not '<repository id> <ref> <commit id>'")]
    Form,
    /// Not the name of a ref in our namespace.
    #[error("'{0}' is not the full name of a ref below '{NAMESPACE}'")]
    Reference(String),
    /// Not the id of a repository.
    #[error("'{0}' is not an id of a repository")]
    Repository(String),
    /// Not the full id of a commit.
    #[error("'{0}' is not a full object id in lower case")]
    Root(String),
}

impl Pin {
    /// Read a pin as [`fmt::Display`] writes it.
    ///
    /// # Errors
    /// It is written in any other way.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let mut words = text.split(' ');
        let (Some(repository), Some(reference), Some(root), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(PinError::Form);
        };
        if !is_repository_id(repository) {
            return Err(PinError::Repository(escape(repository)));
        }
        check_reference(reference)?;
        let lower = root.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = ObjectId::from_hex(root.as_bytes()).ok().filter(|id| lower && !id.is_null());
        let root = id.ok_or_else(|| PinError::Root(escape(root)))?;
        Ok(Self { repository: repository.to_owned(), reference: reference.to_owned(), root })
    }
}

/// Whether a policy may be kept in the ref with this full name.
///
/// # Errors
/// It is no valid name, or lies outside of our namespace.
pub fn check_reference(name: &str) -> Result<(), PinError> {
    let valid = name.starts_with(NAMESPACE) && gix::validate::reference::name(name.into()).is_ok();
    if valid { Ok(()) } else { Err(PinError::Reference(escape(name))) }
}

impl fmt::Display for Pin {
    /// `<repository id> <ref> <commit id>`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.repository, self.reference, self.root)
    }
}
