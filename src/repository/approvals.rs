//! The ref that keeps approvals, `refs/countersign/approvals`: like the one for answers of a log, with each
//! approval under the key of what it approves (repository, ref, base and tree together).
//!
//! Whether an approval counts for anything is for others to say.

use super::{ObjectReader, Proofs, read_blob};
use crate::object::{Approval, ApprovalError, ObjectId, Statement};

/// The most approvals of one update that are read.
pub const MAXIMUM_APPROVALS_OF_AN_UPDATE: usize = 64;
/// The most approvals that are looked through.
const MAXIMUM_LOOKED_THROUGH: usize = 10_000;

/// The approvals that are kept in some commits of the ref. Shared freely between threads.
#[derive(Default)]
pub struct Approvals(Proofs);

impl Approvals {
    /// What is kept in the trees of the commits `tips`. Whatever cannot be read is left out and told by
    /// [`Self::trouble`]: fewer have approved then, never more.
    #[must_use]
    pub fn open(reader: &ObjectReader, tips: &[ObjectId]) -> Self {
        Self(Proofs::open(reader, tips))
    }

    /// Why not all of it can be read.
    #[must_use]
    pub fn trouble(&self) -> &[String] {
        self.0.trouble()
    }

    /// The approvals of exactly `statement`, at most [`MAXIMUM_APPROVALS_OF_AN_UPDATE`], unverified; and why
    /// others under its key are none.
    #[must_use]
    pub fn of(&self, reader: &ObjectReader, statement: &Statement) -> Vec<Result<Approval, ApprovalError>> {
        let envelopes = self.envelopes_of(reader, statement).into_iter();
        envelopes
            .map(|bytes| {
                let approval = Approval::parse(reader.hash(), &bytes)?;
                // What lies about where it belongs is not found there.
                if approval.statement == *statement { Ok(approval) } else { Err(ApprovalError::Statement) }
            })
            .collect()
    }

    /// The envelopes that are kept of exactly `statement`, at most [`MAXIMUM_APPROVALS_OF_AN_UPDATE`].
    #[must_use]
    pub fn envelopes_of(&self, reader: &ObjectReader, statement: &Statement) -> Vec<Vec<u8>> {
        let Some(key) = statement.key(reader.hash()) else { return Vec::new() };
        let names = self.0.names_of(reader, &key).into_iter().take(MAXIMUM_APPROVALS_OF_AN_UPDATE);
        names.filter_map(|name| read_blob(reader, name.blob).ok()).collect()
    }

    /// How many are kept of exactly `statement`.
    #[must_use]
    pub fn count(&self, reader: &ObjectReader, statement: &Statement) -> usize {
        statement.key(reader.hash()).map_or(0, |key| self.0.names_of(reader, &key).len())
    }

    /// All that is kept as far as it can be parsed, unverified, each with its blob; at most a fixed number.
    pub fn all<'a>(&'a self, reader: &'a ObjectReader) -> impl Iterator<Item = (ObjectId, Approval)> + 'a {
        self.0.names(reader, MAXIMUM_LOOKED_THROUGH).into_iter().filter_map(|name| {
            let bytes = read_blob(reader, name.blob).ok()?;
            let approval = Approval::parse(reader.hash(), &bytes).ok()?;
            (approval.statement.key(reader.hash()) == Some(name.object)).then_some((name.blob, approval))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        object::APPROVALS,
        repository::{Author, tests::Scratch},
    };

    #[test]
    fn each_is_found_under_what_it_approves_and_nowhere_else() {
        for arguments in [&["--object-format=sha1"][..], &["--object-format=sha256"]] {
            let scratch = Scratch::new(arguments);
            let one = scratch.commit("one");
            let repository = scratch.open();
            let hash = repository.hash();
            let author = Author { name: "a".to_owned(), email: "a".to_owned(), time: 0 };
            let statement = |reference: &str| Statement {
                repository: "example.com/a".to_owned(),
                reference: reference.to_owned(),
                base: None,
                tree: Some(one),
            };
            let (main, other) = (statement("refs/heads/main"), statement("refs/heads/other"));
            let entry = |statement: &Statement, armor: &[u8]| {
                (statement.key(hash).unwrap(), statement.envelope(hash, armor))
            };
            // The last one stands where it does not belong.
            let misplaced = (main.key(hash).unwrap(), other.envelope(hash, b"c"));
            let kept = [entry(&main, b"a"), entry(&main, b"b"), entry(&other, b"c"), misplaced];
            repository.add_approvals(&kept, &author).unwrap();
            let reader = repository.objects().unwrap().reader();
            let approvals = Approvals::open(&reader, &[scratch.id(APPROVALS)]);
            let found = approvals.of(&reader, &main);
            let mut armors: Vec<_> =
                found.iter().flatten().map(|approval| approval.signature.clone()).collect();
            armors.sort();
            assert_eq!(armors, [b"a", b"b"]);
            assert_eq!(found.iter().filter(|approval| approval.is_err()).count(), 1);
            assert_eq!(approvals.of(&reader, &other).len(), 1);
            assert!(approvals.of(&reader, &statement("refs/heads/none")).is_empty());
            assert_eq!(approvals.all(&reader).count(), 3);
            let subject = scratch.git(&["log", "-1", "--format=%s", APPROVALS]);
            assert_eq!(subject, "keep 4 approvals");
            scratch.git(&["fsck", "--strict"]);
        }
    }
}
