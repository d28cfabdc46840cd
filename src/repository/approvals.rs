//! The ref that keeps approvals, `refs/countersign/approvals`: like the one for answers of a log, with each
//! approval under the key of what it approves (repository, ref, base and tree together).
//!
//! Whether an approval counts for anything is for others to say.

use std::{collections::BTreeSet, sync::OnceLock};

use super::{ObjectReader, ProofName, Proofs, read_blob};
use crate::object::{Approval, ApprovalError, ObjectId, Statement};

/// The most approvals of one update that are read. Whoever takes them in keeps each person from filling that.
pub const MAXIMUM_APPROVALS_OF_AN_UPDATE: usize = 1024;
/// The most approvals that are looked through.
const MAXIMUM_LOOKED_THROUGH: usize = 10_000;
/// How many bytes are held of what is approved: a push may bring approvals by nobody, of whatever names.
const MAXIMUM_STATEMENT_BYTES: usize = 8 * 1024 * 1024;

/// The approvals that are kept in some commits of the ref. Shared freely between threads.
#[derive(Default)]
pub struct Approvals {
    kept: Proofs,
    /// What is approved, once somebody has looked through all.
    statements: OnceLock<Vec<Statement>>,
}

impl Approvals {
    /// What is kept in the trees of the commits `tips`. Whatever cannot be read is left out and told by
    /// [`Self::trouble`]: fewer have approved then, never more.
    #[must_use]
    pub fn open(reader: &ObjectReader, tips: &[ObjectId]) -> Self {
        Self { kept: Proofs::open(reader, tips), statements: OnceLock::new() }
    }

    /// Why not all of it can be read, as far as anybody has asked for it.
    #[must_use]
    pub fn trouble(&self) -> Vec<String> {
        self.kept.trouble()
    }

    /// The approvals of exactly `statement`, at most [`MAXIMUM_APPROVALS_OF_AN_UPDATE`], unverified, each with its
    /// envelope and read when it is asked for; and why others under its key are none.
    pub fn of<'a>(
        &'a self,
        reader: &'a ObjectReader,
        statement: &'a Statement,
    ) -> impl Iterator<Item = Result<(Approval, Vec<u8>), ApprovalError>> + 'a {
        let names = statement.key(reader.hash()).map(|key| self.names_of(reader, &key)).unwrap_or_default();
        let names = names.into_iter().take(MAXIMUM_APPROVALS_OF_AN_UPDATE);
        names.filter_map(|name| read_blob(reader, name.blob).ok()).map(|bytes| {
            let approval = Approval::parse(reader.hash(), &bytes)?;
            // What lies about where it belongs is not found there.
            if approval.statement == *statement {
                Ok((approval, bytes))
            } else {
                Err(ApprovalError::Statement)
            }
        })
    }

    /// The names of all that is kept under the key of a statement.
    #[must_use]
    pub fn names_of(&self, reader: &ObjectReader, key: &ObjectId) -> BTreeSet<ProofName> {
        self.kept.names_of(reader, key)
    }

    /// What is approved, by whomever: looked through once, at most a fixed number and for as long as `go_on` says.
    pub fn statements(&self, reader: &ObjectReader, go_on: &dyn Fn() -> bool) -> &[Statement] {
        self.statements.get_or_init(|| {
            let mut bytes = 0;
            let fits = |statement: &Statement| {
                bytes += statement.repository.len() + statement.reference.len();
                bytes <= MAXIMUM_STATEMENT_BYTES
            };
            let all = self.all(reader).take_while(|_| go_on());
            all.map(|(_, approval)| approval.statement).take_while(fits).collect()
        })
    }

    /// All that is kept as far as it can be parsed, unverified, each with its blob; at most a fixed number.
    pub fn all<'a>(&'a self, reader: &'a ObjectReader) -> impl Iterator<Item = (ObjectId, Approval)> + 'a {
        self.kept.names(reader, MAXIMUM_LOOKED_THROUGH).into_iter().filter_map(|name| {
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
            let found: Vec<_> = approvals.of(&reader, &main).collect();
            let mut armors: Vec<_> =
                found.iter().flatten().map(|(approval, _)| approval.signature.clone()).collect();
            armors.sort();
            assert_eq!(armors, [b"a", b"b"]);
            assert_eq!(found.iter().filter(|approval| approval.is_err()).count(), 1);
            assert_eq!(approvals.of(&reader, &other).count(), 1);
            assert_eq!(approvals.of(&reader, &statement("refs/heads/none")).count(), 0);
            assert_eq!(approvals.all(&reader).count(), 3);
            let asked = std::cell::Cell::new(0);
            let go_on = || asked.replace(asked.get() + 1) < 100;
            assert_eq!(approvals.statements(&reader, &go_on).len(), 3);
            assert_eq!(
                (approvals.statements(&reader, &go_on).len(), asked.get()),
                (3, 3),
                "they are read once"
            );
            let subject = scratch.git(&["log", "-1", "--format=%s", APPROVALS]);
            assert_eq!(subject, "keep 4 approvals");
            scratch.git(&["fsck", "--strict"]);
        }
    }
}
