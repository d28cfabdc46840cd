//! What is wrong with an update of the ref that keeps entries of a log.

use std::fmt;

use crate::{
    object::ObjectId,
    verify::ProofError,
    words::{escape, escape_bytes},
};

/// Why such an update is refused: it may add entries that prove something, and do nothing else. One cause,
/// one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofFault {
    /// It adds to a folder that holds too much already; its path.
    Full(Vec<u8>),
    /// An entry about an object that is not here.
    NoObject(ObjectId),
    /// An entry that proves nothing about its object.
    Refused {
        /// The object.
        object: ObjectId,
        /// Why not.
        cause: ProofError,
    },
    /// Something that was kept is not any more; its path.
    Removed(Vec<u8>),
    /// Something is added that is no entry under its own name; its path.
    Strange(Vec<u8>),
    /// More is added at once than is judged.
    TooMany,
    /// More is kept about one object than is ever read.
    TooManyOfOne(ObjectId),
    /// An entry that cannot be read.
    Unreadable {
        /// The object that it should be about.
        object: ObjectId,
        /// Why not.
        reason: String,
    },
}

impl fmt::Display for ProofFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(path) => {
                write!(formatter, "it adds to '{}', which holds too many entries", escape_bytes(path))
            }
            Self::NoObject(id) => write!(formatter, "it adds an entry about '{id}', which is not here"),
            Self::Refused { object, cause } => {
                write!(formatter, "it adds an entry that proves nothing about '{object}': {cause}")
            }
            Self::Removed(path) => {
                write!(formatter, "it takes away or changes '{}'", escape_bytes(path))
            }
            Self::Strange(path) => {
                write!(formatter, "it adds '{}', which is no entry under its own name", escape_bytes(path))
            }
            Self::TooMany => write!(formatter, "it adds too many entries at once"),
            Self::TooManyOfOne(id) => {
                write!(formatter, "it adds an entry about '{id}', of which as many are kept as are read")
            }
            Self::Unreadable { object, reason } => {
                write!(formatter, "it adds an entry about '{object}' that cannot be read: {}", escape(reason))
            }
        }
    }
}

impl ProofFault {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Full(_) => {
                "ask the server's administrator to put 'refs/countersign/proofs' aside, and begin it anew with what is still needed"
            }
            Self::TooMany => "push fewer entries at a time",
            Self::TooManyOfOne(_) => {
                "leave the entry out: fetch the ref, and merge into it only what it lacks with 'countersign proof merge'"
            }
            _ => {
                "fetch the ref, add to it with 'countersign proof fetch' or 'countersign proof merge', and push again"
            }
        }
    }
}
