//! One record of the ledger: a commit whose message is a strict list of lines, and whose tree keeps the push
//! certificate, if there is one, and nothing else.
//!
//! ```text
//! tree <the empty tree, or one with the blob 'certificate'>
//! parent <the record before>                      not in the first
//! author countersign <countersign@localhost> <received> +0000
//! committer countersign <countersign@localhost> <sequence> +0000
//!
//! countersign ledger 1
//! sequence <the number of the first entry>
//! previous <SHA-256 of the whole commit before>   or 'none'
//! occasion push | recovered | standing | administrator
//! received <seconds since 1970>
//! push <32 digits>                                of push and recovered, as far as the certificate
//! policy sha256:<digest> | commit:<id>
//! pusher <words>
//! certificate <id of the blob>
//! reason <words>                                  of administrator
//!
//! <old> <new> <ref>                               once or more, no ref twice
//! ```
//!
//! Whatever git walks it walks by the committer's dates, the newest first, and it walks from every ref when it looks
//! at what a push brings: with the time of receipt it would read each record that is younger than what is pushed.
//!
//! The whole commit follows from what the record says, so a commit is a record only if it is exactly the one
//! that would be written.

use std::collections::HashSet;

use gix::{
    bstr::BString,
    objs::{Kind, Tree, WriteTo as _, tree},
};

use super::{
    Acceptance,
    fields::{self, Lines},
};
use crate::{
    encoding::sha256,
    object::{HashKind, MAXIMUM_OBJECT_BYTES, ObjectId, object_id},
};

/// The most entries of one record.
pub const MAXIMUM_ENTRIES: usize = 4096;

const FIRST_LINE: &[u8] = b"countersign ledger 1";
const AUTHOR: &str = "countersign <countersign@localhost>";
const CERTIFICATE: &str = "certificate";

/// What happened to one ref.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The value before; `None` where the ref did not exist.
    pub old: Option<ObjectId>,
    /// The value after; `None` where the ref is gone.
    pub new: Option<ObjectId>,
    /// The full name of the ref itself, not that of a symbolic ref to it.
    pub reference: BString,
}

/// How entries came into the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The administrator has entered what happened without a push.
    Administrator {
        /// When, in seconds since 1970.
        received: i64,
        /// Why: one line, fit for a terminal.
        reason: String,
    },
    /// A push was accepted, and its updates happened.
    Push(Acceptance),
    /// A push was accepted, and whether its updates happened could not be told any more.
    Recovered(Acceptance),
    /// The refs stood so when they were first entered.
    Standing {
        /// When, in seconds since 1970.
        received: i64,
    },
}

impl Occasion {
    /// The word for it in the record.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Administrator { .. } => "administrator",
            Self::Push(_) => "push",
            Self::Recovered(_) => "recovered",
            Self::Standing { .. } => "standing",
        }
    }

    /// When it was, in seconds since 1970: of a push the time of receipt.
    #[must_use]
    pub fn received(&self) -> i64 {
        match self {
            Self::Administrator { received, .. } | Self::Standing { received } => *received,
            Self::Push(acceptance) | Self::Recovered(acceptance) => acceptance.received,
        }
    }

    /// The push, if it was one.
    #[must_use]
    pub fn acceptance(&self) -> Option<&Acceptance> {
        match self {
            Self::Push(acceptance) | Self::Recovered(acceptance) => Some(acceptance),
            Self::Administrator { .. } | Self::Standing { .. } => None,
        }
    }
}

/// The record before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its commit.
    pub commit: ObjectId,
    /// SHA-256 of that commit's bytes: the chain holds also where object ids are SHA-1.
    pub digest: [u8; 32],
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number of the first entry; the ledger's first is 1.
    pub sequence: u64,
    /// The record before; `None` for the first.
    pub previous: Option<Previous>,
    /// How the entries came about.
    pub occasion: Occasion,
    /// The entries, each ref once.
    pub entries: Vec<Entry>,
}

/// Why a commit is no record. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A line is missing, unknown, out of place, or holds something else than it should.
    #[error("the record is malformed")]
    Malformed,
    /// It says what it says in another way than it would be written.
    #[error("the record is not written as records are")]
    NotCanonical,
    /// A ref stands twice.
    #[error("a ref stands twice in the record")]
    RefTwice,
    /// More than [`MAXIMUM_ENTRIES`], or more bytes than any object may have.
    #[error("the record is too large")]
    TooLarge,
    /// Written by a later program.
    #[error("the record is of a version that this program does not know")]
    UnknownVersion,
}

impl Record {
    /// Read the bytes of a commit of a repository that uses `hash`.
    ///
    /// # Errors
    /// It is not exactly what [`Self::commit`] writes.
    pub fn parse(hash: HashKind, commit: &[u8]) -> Result<Self, RecordError> {
        if commit.len() > MAXIMUM_OBJECT_BYTES {
            return Err(RecordError::TooLarge);
        }
        let mut lines = Lines(commit);
        lines.value("tree").ok_or(RecordError::Malformed)?;
        let parent = lines.value("parent");
        let parent = parent.map(|text| fields::id(hash, text).ok_or(RecordError::Malformed)).transpose()?;
        for name in ["author", "committer"] {
            lines.value(name).ok_or(RecordError::Malformed)?;
        }
        let (blank, version) = (lines.line(), lines.line());
        if blank != Some(b"") {
            return Err(RecordError::Malformed);
        }
        match version {
            Some(FIRST_LINE) => {}
            Some(line) if line.starts_with(b"countersign ledger ") => {
                return Err(RecordError::UnknownVersion);
            }
            _ => return Err(RecordError::Malformed),
        }
        let record = Self::message(hash, parent, &mut lines)?;
        if record.commit(hash) == commit { Ok(record) } else { Err(RecordError::NotCanonical) }
    }

    fn message(hash: HashKind, parent: Option<ObjectId>, lines: &mut Lines<'_>) -> Result<Self, RecordError> {
        let head = |lines: &mut Lines<'_>| {
            let sequence = lines.text("sequence")?.parse().ok().filter(|sequence| *sequence > 0)?;
            let previous = match (lines.text("previous")?, parent) {
                ("none", None) => None,
                (digest, Some(commit)) => {
                    Some(Previous { commit, digest: hex::decode(digest).ok()?.try_into().ok()? })
                }
                _ => return None,
            };
            let occasion = match lines.text("occasion")? {
                "push" => Occasion::Push(fields::acceptance(hash, lines)?),
                "recovered" => Occasion::Recovered(fields::acceptance(hash, lines)?),
                "standing" => Occasion::Standing { received: fields::number(lines.text("received")?)? },
                "administrator" => Occasion::Administrator {
                    received: fields::number(lines.text("received")?)?,
                    reason: fields::words(lines.text("reason")?)?,
                },
                _ => return None,
            };
            (lines.line()? == b"").then_some((sequence, previous, occasion))
        };
        let (sequence, previous, occasion): (u64, _, _) = head(lines).ok_or(RecordError::Malformed)?;
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        while !lines.0.is_empty() {
            let entry = lines.line().and_then(|line| fields::entry(hash, line));
            let entry = entry.ok_or(RecordError::Malformed)?;
            if !seen.insert(entry.reference.clone()) {
                return Err(RecordError::RefTwice);
            }
            entries.push(entry);
            if entries.len() > MAXIMUM_ENTRIES {
                return Err(RecordError::TooLarge);
            }
        }
        let record = Self { sequence, previous, occasion, entries };
        // The first record is the first, every record has something to say, and numbers do not run over.
        let is_numbered = record.next_sequence().is_some() && record.previous.is_some() == (sequence > 1);
        if is_numbered && !record.entries.is_empty() { Ok(record) } else { Err(RecordError::Malformed) }
    }

    /// The number that the next record begins with; `None` where there is no such number.
    #[must_use]
    pub fn next_sequence(&self) -> Option<u64> {
        self.sequence.checked_add(u64::try_from(self.entries.len()).ok()?)
    }

    /// What the next record says of this one, whose commit has `bytes` and the id `commit`.
    #[must_use]
    pub fn previous_for_next(commit: ObjectId, bytes: &[u8]) -> Previous {
        Previous { commit, digest: sha256(&[bytes]) }
    }

    /// The bytes of the tree.
    #[must_use]
    pub fn tree(&self) -> Vec<u8> {
        let certificate = self.occasion.acceptance().and_then(|acceptance| acceptance.certificate);
        let entries = certificate.map(|oid| tree::Entry {
            mode: tree::EntryKind::Blob.into(),
            filename: CERTIFICATE.into(),
            oid,
        });
        let mut bytes = Vec::new();
        let written = Tree { entries: entries.into_iter().collect() }.write_to(&mut bytes);
        written.expect("a name without NUL can be written to memory");
        bytes
    }

    /// The bytes of the commit.
    #[must_use]
    pub fn commit(&self, hash: HashKind) -> Vec<u8> {
        let tree = object_id(hash, Kind::Tree, &self.tree()).expect("an id and one name are no collision");
        let received = self.occasion.received();
        let parent =
            self.previous.map(|previous| format!("parent {}\n", previous.commit)).unwrap_or_default();
        let previous =
            self.previous.map_or_else(|| "none".to_owned(), |previous| hex::encode(previous.digest));
        let mut text = format!(
            "tree {tree}\n{parent}author {AUTHOR} {received} +0000\ncommitter {AUTHOR} {} +0000\n\n",
            self.sequence
        )
        .into_bytes();
        text.extend(FIRST_LINE);
        text.extend(
            format!("\nsequence {}\nprevious {previous}\noccasion {}\n", self.sequence, self.occasion.word())
                .into_bytes(),
        );
        match &self.occasion {
            Occasion::Push(acceptance) | Occasion::Recovered(acceptance) => {
                fields::write_acceptance(acceptance, &mut text);
            }
            Occasion::Standing { received } => text.extend(format!("received {received}\n").into_bytes()),
            Occasion::Administrator { received, reason } => {
                text.extend(format!("received {received}\nreason {reason}\n").into_bytes());
            }
        }
        text.push(b'\n');
        for entry in &self.entries {
            fields::write_entry(hash, entry, &mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{PolicyVersion, PushId};

    fn id(hash: HashKind, digit: &str) -> ObjectId {
        ObjectId::from_hex(digit.repeat(hash.len_in_hex()).as_bytes()).unwrap()
    }

    fn record(hash: HashKind) -> Record {
        let acceptance = Acceptance {
            push: PushId([0xab; 16]),
            received: 1_700_000_000,
            policy: PolicyVersion::Digest([1; 32]),
            pusher: Some("alice (ssh key 7)".to_owned()),
            certificate: Some(id(hash, "c")),
        };
        Record {
            sequence: 7,
            previous: Some(Previous { commit: id(hash, "d"), digest: [2; 32] }),
            occasion: Occasion::Push(acceptance),
            entries: vec![
                Entry { old: None, new: Some(id(hash, "1")), reference: "refs/heads/main".into() },
                Entry { old: Some(id(hash, "2")), new: None, reference: b"refs/tags/v\xff1"[..].into() },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for hash in [HashKind::Sha1, HashKind::Sha256] {
            let push = record(hash);
            let acceptance = push.occasion.acceptance().unwrap().clone();
            let mut plain = acceptance.clone();
            (plain.pusher, plain.certificate) = (None, None);
            plain.policy = PolicyVersion::Commit(id(hash, "e"));
            let first = Record { sequence: 1, previous: None, ..push.clone() };
            let of = |occasion| Record { occasion, ..push.clone() };
            for record in [
                push.clone(),
                first,
                of(Occasion::Recovered(acceptance)),
                of(Occasion::Push(plain)),
                of(Occasion::Standing { received: 0 }),
                of(Occasion::Administrator { received: 5, reason: "a key was lost".to_owned() }),
            ] {
                let bytes = record.commit(hash);
                assert_eq!(Record::parse(hash, &bytes), Ok(record));
                crate::object::Commit::parse(hash, &bytes).unwrap();
                let other = if hash == HashKind::Sha1 { HashKind::Sha256 } else { HashKind::Sha1 };
                assert!(Record::parse(other, &bytes).is_err());
            }
        }
    }

    #[test]
    fn whatever_is_written_in_another_way_is_refused() {
        let text = String::from_utf8_lossy(&record(HashKind::Sha1).commit(HashKind::Sha1)).into_owned();
        let text = text.replace('\u{fffd}', "x");
        assert!(Record::parse(HashKind::Sha1, text.as_bytes()).is_ok());
        let one = "1".repeat(40);
        for (from, to, cause) in [
            ("countersign ledger 1", "countersign ledger 2", RecordError::UnknownVersion),
            ("countersign ledger 1", "something else", RecordError::Malformed),
            ("sequence 7", "sequence 07", RecordError::NotCanonical),
            ("sequence 7", "sequence 0", RecordError::Malformed),
            ("sequence 7", "sequence 1", RecordError::Malformed),
            ("sequence 7", "sequence 18446744073709551615", RecordError::Malformed),
            ("received 1700000000\n", "received -1\n", RecordError::Malformed),
            ("received 1700000000\n", "received 1700000001\n", RecordError::NotCanonical),
            ("occasion push", "occasion pull", RecordError::Malformed),
            ("pusher alice", "pusher \u{202e}alice", RecordError::Malformed),
            ("certificate ", "signature ", RecordError::Malformed),
            ("policy sha256:", "policy sha1:", RecordError::Malformed),
            ("+0000\ncommitter", "+0100\ncommitter", RecordError::NotCanonical),
            ("> 7 +0000\n\n", "> 1700000000 +0000\n\n", RecordError::NotCanonical),
            ("\n\ncountersign", "\ngpgsig x\n\ncountersign", RecordError::Malformed),
            ("\n\ncountersign", "\nencoding x\n\ncountersign", RecordError::Malformed),
            ("refs/tags/vx1\n", "refs/tags/vx1", RecordError::Malformed),
            ("refs/tags/vx1\n", "refs/tags/vx1\n\n", RecordError::Malformed),
            ("refs/tags/vx1\n", "refs/tags/v..1\n", RecordError::Malformed),
            ("refs/tags/vx1\n", "HEAD\n", RecordError::Malformed),
            ("refs/tags/vx1", "refs/heads/main", RecordError::RefTwice),
            (one.as_str(), &"0".repeat(40), RecordError::Malformed),
            (one.as_str(), &"A".repeat(40), RecordError::NotCanonical),
        ] {
            let damaged = text.replacen(from, to, 1);
            assert_ne!(damaged, text, "{from}");
            assert_eq!(Record::parse(HashKind::Sha1, damaged.as_bytes()), Err(cause), "{from} -> {to}");
        }
        let empty = text.split_inclusive('\n').filter(|line| !line.contains(" refs/")).collect::<String>();
        assert_eq!(Record::parse(HashKind::Sha1, empty.as_bytes()), Err(RecordError::Malformed));
        let line = format!("{} {one} refs/heads/", "2".repeat(40));
        let many: String = (0..MAXIMUM_ENTRIES).map(|number| format!("{line}{number}\n")).collect();
        assert_eq!(Record::parse(HashKind::Sha1, (text + &many).as_bytes()), Err(RecordError::TooLarge));
    }
}
