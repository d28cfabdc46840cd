//! What stands before a push, as whoever judges it knows it.

use std::{cell::RefCell, collections::HashMap};

use gix::bstr::{BStr, BString};

use super::AcceptedTips;
use crate::{
    object::ObjectId,
    repository::{ReferenceError, ReferenceValue, References},
};

/// What stands before the updates, as whoever judges them knows it.
pub trait Standing {
    /// The value of the ref with this full name, and the names that symbolic refs behind it stand for.
    ///
    /// # Errors
    /// The name is invalid, or what is there cannot be read.
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError>;

    /// Whether `commit` was accepted as a ref's value under the rule with this digest.
    fn is_accepted(&self, digest: &[u8; 32], commit: ObjectId) -> bool;

    /// Whether the past of the ref `name` counts as accepted with its next value, under the rule with this
    /// digest: where it is met for the first time.
    fn carries_its_past(&self, _digest: &[u8; 32], _name: &[u8]) -> bool {
        true
    }

    /// Whether somebody creates a ref of this name that has no value yet: whoever looks at a repository
    /// for the first time meets refs that are merely there.
    fn is_created(&self, _name: &[u8]) -> bool {
        true
    }

    /// Whether every move of a ref is seen. Whoever comes by now and then cannot tell who vouched for the
    /// moves in between.
    fn sees_each_move(&self) -> bool {
        true
    }
}

/// What stands in the server's own repository. Each ref is read once: whatever is decided about it is decided about
/// the same value and the same names.
pub(super) struct Server<'a> {
    references: &'a References,
    accepted: &'a AcceptedTips,
    read: RefCell<HashMap<BString, ReferenceValue>>,
}

impl<'a> Server<'a> {
    /// The refs as they stand when they are asked for first.
    pub(super) fn new(references: &'a References, accepted: &'a AcceptedTips) -> Self {
        Self { references, accepted, read: RefCell::default() }
    }
}

impl Standing for Server<'_> {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        if let Some(known) = self.read.borrow().get(name) {
            return Ok(known.clone());
        }
        let value = self.references.read(name)?;
        self.read.borrow_mut().insert(name.to_owned(), value.clone());
        Ok(value)
    }

    fn is_accepted(&self, digest: &[u8; 32], commit: ObjectId) -> bool {
        self.accepted.contains(digest, commit)
    }

    fn carries_its_past(&self, digest: &[u8; 32], name: &[u8]) -> bool {
        !self.accepted.has_begun(digest, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    #[test]
    fn what_was_read_once_is_what_is_decided_about() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let (references, state) = (scratch.open().references(), tempfile::tempdir().unwrap());
        let accepted = AcceptedTips::new(state.path());
        let server = Server::new(&references, &accepted);
        let value = || server.value("refs/heads/main".into()).unwrap().id;
        assert_eq!(value(), Some(one));
        scratch.commit("two");
        assert_eq!(value(), Some(one));
        // What could not be read is read again.
        let path = scratch.path().join(".git/refs/heads/other");
        std::fs::write(&path, "garbage").unwrap();
        assert!(server.value("refs/heads/other".into()).is_err());
        std::fs::write(&path, format!("{one}\n")).unwrap();
        assert_eq!(server.value("refs/heads/other".into()).unwrap().id, Some(one));
    }
}
