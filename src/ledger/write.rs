//! The chain of records in a repository: reading it from its head, and adding to it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use gix::objs::Kind;

use super::{Entry, IntentError, LEDGER, MAXIMUM_ENTRIES, Occasion, Previous, Record, RecordError};
use crate::{
    object::{HashKind, ObjectId},
    repository::{Author, ObjectReadError, ObjectReader, ReferenceError, Repository, WriteError},
};

/// A record with its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The commit.
    pub commit: ObjectId,
    /// What it says.
    pub record: Record,
}

/// Why the ledger cannot be read or written. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Somebody else settles, or writes the ref, again and again.
    #[error("the ledger is being written by others all the time")]
    Busy,
    /// A record does not hold what the one behind it says of it.
    #[error("the record '{commit}' of the ledger is not the one that the record behind it names")]
    Chain {
        /// The commit.
        commit: ObjectId,
    },
    /// What was written last is known, and there is no ledger any more.
    #[error("the ledger is gone: its head was '{0}'")]
    Gone(ObjectId),
    /// The file that says which head was written last says something else.
    #[error("'{}': it was cut short, or was not written by this program", .0.display())]
    HeadFile(PathBuf),
    /// An intent cannot be understood.
    #[error("'{}': {cause}", path.display())]
    Intent {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: IntentError,
    },
    /// A commit cannot be read.
    #[error("the ledger cannot be read: {0}")]
    Object(#[from] ObjectReadError),
    /// A commit is no record.
    #[error("'{commit}' is no record of the ledger: {cause}")]
    Record {
        /// The commit.
        commit: ObjectId,
        /// Why not.
        cause: RecordError,
    },
    /// A ref cannot be read or written.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Entries are not numbered one after the other.
    #[error(
        "the entries of the record '{commit}' of the ledger have other numbers than the record behind it says"
    )]
    Sequence {
        /// The commit.
        commit: ObjectId,
    },
    /// The ledger does not go on from the head that was written last.
    #[error(
        "the ledger was set back or replaced: its head was '{remembered}', and '{head}' does not come from there"
    )]
    SetBack {
        /// The head that was written last.
        remembered: ObjectId,
        /// The head that it has.
        head: ObjectId,
    },
    /// The ref is a symbolic one.
    #[error("the ref '{LEDGER}' is a symbolic ref")]
    Symbolic,
    /// A file of the state folder cannot be used.
    #[error("'{}': {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A record cannot be stored.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl LedgerError {
    pub(super) fn unusable(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Unusable { path: path.clone(), source }
    }
}

/// How old the lock of a ref gets in the hands of a process that lives, in seconds.
const STALE: i64 = 60;

/// How many seconds ago a file was written.
fn age(path: &Path, now: i64) -> Option<i64> {
    let written = jiff::Timestamp::try_from(path.metadata().ok()?.modified().ok()?).ok()?;
    Some(now - written.as_second())
}

/// The newest record of `repository`'s ledger, if it has one.
///
/// # Errors
/// The ref cannot be read, or is a symbolic one.
pub fn head(repository: &Repository) -> Result<Option<ObjectId>, LedgerError> {
    let value = repository.references().read(LEDGER.into())?;
    if value.names.len() == 1 { Ok(value.id) } else { Err(LedgerError::Symbolic) }
}

/// The record in `commit`, and the commit's bytes.
///
/// # Errors
/// It is missing, or no record.
pub fn read(reader: &ObjectReader, commit: ObjectId) -> Result<(Record, Vec<u8>), LedgerError> {
    let object = reader.read(commit)?;
    if object.kind != Kind::Commit {
        return Err(LedgerError::Record { commit, cause: RecordError::Malformed });
    }
    let record =
        Record::parse(reader.hash(), &object.bytes).map_err(|cause| LedgerError::Record { commit, cause })?;
    Ok((record, object.bytes))
}

/// Every record from `head` back to the first, or to `until`, which is left out. Each is what the one behind
/// it says; the first error is the last item.
pub fn walk(
    reader: &ObjectReader,
    head: Option<ObjectId>,
    until: Option<ObjectId>,
) -> impl Iterator<Item = Result<Walked, LedgerError>> {
    let mut next = head.map(|commit| (commit, None));
    std::iter::from_fn(move || {
        let (commit, expected) = next.take().filter(|(commit, _)| Some(*commit) != until)?;
        let (record, bytes) = match read(reader, commit) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        if let Some((previous, sequence)) = expected {
            if Record::previous_for_next(commit, &bytes) != previous {
                return Some(Err(LedgerError::Chain { commit }));
            }
            if record.next_sequence() != Some(sequence) {
                return Some(Err(LedgerError::Sequence { commit }));
            }
        }
        next = record.previous.map(|previous: Previous| (previous.commit, Some((previous, record.sequence))));
        Some(Ok(Walked { commit, record }))
    })
}

/// How many bytes of entries one record holds, unless a single one has more. With what stands before them it
/// stays far below what an object may have.
const MAXIMUM_BYTES: usize = 8 * 1024 * 1024;

/// `entries` in the portions that records hold.
fn portions(hash: HashKind, entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += 2 * hash.len_in_hex() + entry.reference.len() + 3;
            bytes <= MAXIMUM_BYTES
        };
        let count = rest.iter().take(MAXIMUM_ENTRIES).take_while(fits).count();
        let (portion, behind) = rest.split_at(count.max(1).min(rest.len()));
        rest = behind;
        (!portion.is_empty()).then_some(portion)
    })
}

/// Add records to the ledger, if its head is `head` still: the new head, or `None` where it is not. Somebody
/// else who writes the ref is not waited for any longer than until `deadline`.
///
/// # Errors
/// The head is no record, or something cannot be written.
pub(super) fn append(
    repository: &Repository,
    head: Option<ObjectId>,
    added: &[(Occasion, Vec<Entry>)],
    now: i64,
    deadline: Option<Instant>,
) -> Result<Option<ObjectId>, LedgerError> {
    let (mut sequence, mut previous) = (1, None);
    // Most records have the tree of the one before, which is there.
    let mut tree = Vec::new();
    if let Some(commit) = head {
        let (record, bytes) = read(&repository.objects()?.reader(), commit)?;
        // More entries than can be numbered are not met in the life of a disk.
        sequence = record.next_sequence().unwrap_or(u64::MAX);
        previous = Some(Record::previous_for_next(commit, &bytes));
        tree = record.tree();
    }
    let mut new = None;
    let mut objects = repository.durable_objects();
    for (occasion, entries) in added {
        let certificate = occasion.acceptance().and_then(|acceptance| acceptance.certificate);
        certificate.into_iter().for_each(|certificate| objects.with(certificate));
        for entries in portions(repository.hash(), entries) {
            let record = Record { sequence, previous, occasion: occasion.clone(), entries: entries.to_vec() };
            if previous.is_none() || record.tree() != tree {
                tree = record.tree();
                objects.store(Kind::Tree, &tree)?;
            }
            let bytes = record.commit(repository.hash());
            Record::parse(repository.hash(), &bytes)
                .map_err(|cause| LedgerError::Record { commit: ObjectId::null(repository.hash()), cause })?;
            let commit = objects.store(Kind::Commit, &bytes)?;
            sequence = record.next_sequence().unwrap_or(u64::MAX);
            previous = Some(Record::previous_for_next(commit, &bytes));
            new = Some(commit);
        }
    }
    let Some(new) = new else { return Ok(head) };
    objects.finish()?;
    let author = Author {
        name: "countersign".to_owned(),
        email: "countersign@localhost".to_owned(),
        time: now.max(0),
    };
    let path = repository.common_dir().join(LEDGER);
    let lock = path.with_file_name("ledger.lock");
    let mut references = repository.references();
    // What a process of ours has left that was ended is found out by itself. This is another program's that was, or of
    // git packing refs, which is soon done. Made in what will be, it is as old: the clock was set back.
    if age(&lock, now).is_some_and(|age| age.abs() > STALE) && !references.is_being_replaced(LEDGER) {
        std::fs::remove_file(&lock).map_err(LedgerError::unusable(&lock))?;
    }
    if let Some(deadline) = deadline {
        references = references.waiting_at_most(deadline.saturating_duration_since(Instant::now()));
    }
    let is_moved = references.replace_on_disk(LEDGER, head, new, &author, "countersign: ledger");
    let is_moved = match is_moved {
        Err(_) if lock.exists() => return Err(LedgerError::Busy),
        is_moved => is_moved?,
    };
    Ok(is_moved.then_some(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{object::MAXIMUM_OBJECT_BYTES, repository::tests::Scratch};

    /// New refs with names of `length` bytes.
    fn entries(count: usize, length: usize) -> Vec<Entry> {
        let new = ObjectId::from_hex("a".repeat(40).as_bytes()).unwrap();
        let name = |number| {
            let number = format!("{number}");
            format!("refs/heads/{}{number}", "0".repeat(length - 11 - number.len())).into()
        };
        (0..count).map(|number| Entry { old: None, new: Some(new), reference: name(number) }).collect()
    }

    #[test]
    fn no_record_is_larger_than_one_that_is_read() {
        for (count, length, expected) in [
            (0, 100, &[][..]),
            (1, 100, &[1]),
            (MAXIMUM_ENTRIES, 100, &[MAXIMUM_ENTRIES]),
            (MAXIMUM_ENTRIES + 1, 100, &[MAXIMUM_ENTRIES, 1]),
            // Names as long as paths may be; and one that no file system has.
            (4096, 4090, &[2010, 2010, 76]),
            (2, MAXIMUM_BYTES, &[1, 1]),
        ] {
            let entries = entries(count, length);
            let portions: Vec<&[Entry]> = portions(HashKind::Sha1, &entries).collect();
            let counts: Vec<usize> = portions.iter().map(|portion| portion.len()).collect();
            assert_eq!(counts, expected, "{count} of {length}");
            assert_eq!(portions.concat(), entries);
        }
    }

    #[test]
    fn what_one_push_can_hold_is_written_and_read_again() {
        let scratch = Scratch::new(&["--bare"]);
        let repository = scratch.open();
        let entries = entries(MAXIMUM_ENTRIES, 4090);
        let bytes: usize = entries.iter().map(|entry| entry.reference.len()).sum();
        assert!(bytes > MAXIMUM_OBJECT_BYTES * 99 / 100, "{bytes}");
        let head =
            append(&repository, None, &[(Occasion::Standing { received: 1 }, entries.clone())], 1, None);
        let reader = repository.objects().unwrap().reader();
        let records: Vec<Record> =
            walk(&reader, head.unwrap(), None).map(|walked| walked.unwrap().record).collect();
        assert_eq!(records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [4021, 2011, 1]);
        let read: Vec<Entry> = records.into_iter().rev().flat_map(|record| record.entries).collect();
        assert!(read == entries);
    }
}
