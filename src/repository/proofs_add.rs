//! Adding to a ref that keeps answers of a log, or approvals, under the ids that they are about: adding only,
//! never replacing.

use std::collections::BTreeMap;

use gix::{
    bstr::BString,
    objs::{Kind, Tree, Write as _, WriteTo as _, tree},
};

use super::{
    ObjectReadError, PROOFS, ProofName, ReferenceError, Repository,
    proofs::{entries, tree_of},
};
use crate::object::{self, APPROVALS, ObjectId};

const MESSAGE: &str = "countersign: keep what was signed or logged";

/// How often a ref that somebody else moves meanwhile is tried again.
const ATTEMPTS: usize = 5;

/// Whose commit it is; it vouches for nothing.
#[derive(Clone, Debug)]
pub struct Author {
    /// A name.
    pub name: String,
    /// An address.
    pub email: String,
    /// Seconds since 1970.
    pub time: i64,
}

impl Author {
    /// Without what would end a name or an address.
    fn plain(&self) -> Self {
        let plain = |text: &str| {
            text.replace(|character: char| character.is_control() || "<>".contains(character), "")
        };
        Self { name: plain(&self.name), email: plain(&self.email), time: self.time }
    }
}

/// Why nothing was added. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddProofsError {
    /// The ref was moved again and again.
    #[error("the ref '{0}' was changed by somebody else again and again")]
    Busy(&'static str),
    /// What is there cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    /// The ref cannot be read or written.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The ref is a symbolic one.
    #[error("the ref '{0}' is a symbolic ref")]
    Symbolic(&'static str),
    /// An object cannot be written.
    #[error("an object cannot be written: {0}")]
    Write(String),
}

impl Repository {
    /// Keep each answer with the object that it is about, beside all that is kept already. Gives back the
    /// new value of the ref; `None` where all of them were there.
    ///
    /// # Errors
    /// See [`AddProofsError`].
    pub fn add_proofs(
        &self,
        proofs: &[(ObjectId, Vec<u8>)],
        author: &Author,
    ) -> Result<Option<ObjectId>, AddProofsError> {
        let entries = if proofs.len() == 1 { "entry" } else { "entries" };
        self.add_kept(PROOFS, proofs, &format!("keep {} {entries} of a log", proofs.len()), author)
    }

    /// Keep each approval under the key of its statement, beside all that is kept already. Gives back the new
    /// value of the ref; `None` where all of them were there.
    ///
    /// # Errors
    /// See [`AddProofsError`].
    pub fn add_approvals(
        &self,
        approvals: &[(ObjectId, Vec<u8>)],
        author: &Author,
    ) -> Result<Option<ObjectId>, AddProofsError> {
        let noun = if approvals.len() == 1 { "approval" } else { "approvals" };
        self.add_kept(APPROVALS, approvals, &format!("keep {} {noun}", approvals.len()), author)
    }

    fn add_kept(
        &self,
        reference: &'static str,
        proofs: &[(ObjectId, Vec<u8>)],
        message: &str,
        author: &Author,
    ) -> Result<Option<ObjectId>, AddProofsError> {
        let author = &author.plain();
        let store = gix::odb::loose::Store::at(self.common_dir.join("objects"), self.hash);
        let write = |kind, bytes: &[u8]| {
            store.write_buf(kind, bytes).map_err(|error| AddProofsError::Write(error.to_string()))
        };
        let mut names = Vec::new();
        for (object, bytes) in proofs {
            names.push(ProofName { object: *object, blob: write(Kind::Blob, bytes)? });
        }
        for _ in 0..ATTEMPTS {
            let value = self.references().read(reference.into())?;
            if value.names.len() != 1 {
                return Err(AddProofsError::Symbolic(reference));
            }
            let Some(tree) = self.with_proofs(reference, value.id, &names, &write)? else { return Ok(None) };
            let commit = commit(tree, value.id, author, message);
            object::Commit::parse(self.hash, &commit)
                .map_err(|error| AddProofsError::Write(error.to_string()))?;
            let commit = write(Kind::Commit, &commit)?;
            if self.references().replace(reference, value.id, commit, author, MESSAGE)? {
                return Ok(Some(commit));
            }
        }
        Err(AddProofsError::Busy(reference))
    }

    /// The tree of `tip` with `names` in it; `None` where they all are.
    fn with_proofs(
        &self,
        reference: &str,
        tip: Option<ObjectId>,
        names: &[ProofName],
        write: &dyn Fn(Kind, &[u8]) -> Result<ObjectId, AddProofsError>,
    ) -> Result<Option<ObjectId>, AddProofsError> {
        let reader = self.objects()?.reader();
        let read = |tree: Option<ObjectId>| -> Result<Entries, AddProofsError> {
            let Some(tree) = tree else { return Ok(Entries::new()) };
            let entry = |(name, mode, oid): (BString, _, _)| {
                (name.clone(), tree::Entry { mode, filename: name, oid })
            };
            Ok(entries(&reader, tree)?.into_iter().map(entry).collect())
        };
        let put = |entries: Entries| {
            let mut entries: Vec<tree::Entry> = entries.into_values().collect();
            entries.sort();
            let mut bytes = Vec::new();
            Tree { entries }
                .write_to(&mut bytes)
                .map_err(|error| AddProofsError::Write(error.to_string()))?;
            write(Kind::Tree, &bytes)
        };
        let mut root = read(tip.map(|tip| tree_of(&reader, tip)).transpose()?)?;
        let mut folders: BTreeMap<String, Vec<(BString, ObjectId)>> = BTreeMap::new();
        for name in names {
            let (folder, file) = name.parts();
            folders.entry(folder).or_default().push((file.into(), name.blob));
        }
        let mut changed = tip.is_none();
        for (folder, files) in folders {
            let folder = BString::from(folder);
            let before = root.get(&folder);
            if before.is_some_and(|entry| !entry.mode.is_tree()) {
                let reason = format!("'{folder}' in '{reference}' is no folder");
                return Err(AddProofsError::Write(reason));
            }
            let mut entries = read(before.map(|entry| entry.oid))?;
            let count = entries.len();
            for (filename, oid) in files {
                let mode = tree::EntryKind::Blob.into();
                entries.entry(filename.clone()).or_insert(tree::Entry { mode, filename, oid });
            }
            if entries.len() == count {
                continue;
            }
            changed = true;
            let (mode, oid) = (tree::EntryKind::Tree.into(), put(entries)?);
            root.insert(folder.clone(), tree::Entry { mode, filename: folder, oid });
        }
        if changed { put(root).map(Some) } else { Ok(None) }
    }
}

type Entries = BTreeMap<BString, tree::Entry>;

fn commit(tree: ObjectId, parent: Option<ObjectId>, author: &Author, message: &str) -> Vec<u8> {
    let person = format!("{} <{}> {} +0000", author.name, author.email, author.time);
    let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
    format!("tree {tree}\n{parent}author {person}\ncommitter {person}\n\n{message}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{Proofs, tests::Scratch};

    fn author() -> Author {
        Author { name: "A <\n>".to_owned(), email: "a@example.com".to_owned(), time: 1_700_000_000 }
    }

    fn of(scratch: &Scratch, object: ObjectId) -> Vec<Vec<u8>> {
        let reader = scratch.open().objects().unwrap().reader();
        Proofs::open(&reader, &[scratch.id(PROOFS)]).of(&reader, &object)
    }

    #[test]
    fn what_is_added_is_found_and_nothing_is_replaced() {
        for arguments in [&["--object-format=sha1"][..], &["--object-format=sha256"]] {
            let scratch = Scratch::new(arguments);
            let (one, two) = (scratch.commit("one"), scratch.commit("two"));
            let add = |proofs: &[(ObjectId, &[u8])]| {
                let proofs: Vec<_> = proofs.iter().map(|(id, bytes)| (*id, bytes.to_vec())).collect();
                scratch.open().add_proofs(&proofs, &author()).unwrap()
            };
            let first = add(&[(one, b"a"), (two, b"b")]).unwrap();
            assert_eq!(add(&[(one, b"a")]), None, "it is there");
            let second = add(&[(one, b"c")]).unwrap();
            assert_eq!(scratch.id(&format!("{PROOFS}^")), first);
            assert_eq!(scratch.id(PROOFS), second);
            let mut kept = of(&scratch, one);
            kept.sort();
            assert_eq!(kept, [b"a".to_vec(), b"c".to_vec()]);
            assert_eq!(of(&scratch, two), [b"b".to_vec()]);
            assert_eq!(of(&scratch, ObjectId::null(one.kind())), Vec::<Vec<u8>>::new());
            scratch.git(&["fsck", "--strict"]);
            scratch.git(&["pack-refs", "--all"]);
            add(&[(two, b"d")]).unwrap();
            assert_eq!(of(&scratch, two).len(), 2);
        }
    }

    #[test]
    fn a_ref_that_was_moved_meanwhile_is_not_overwritten() {
        let scratch = Scratch::new(&[]);
        let (one, two) = (scratch.commit("one"), scratch.commit("two"));
        let references = scratch.open().references();
        assert!(references.replace(PROOFS, None, one, &author(), MESSAGE).unwrap());
        assert!(!references.replace(PROOFS, None, two, &author(), MESSAGE).unwrap());
        assert!(!references.replace(PROOFS, Some(two), one, &author(), MESSAGE).unwrap());
        assert!(references.replace(PROOFS, Some(one), two, &author(), MESSAGE).unwrap());
        assert_eq!(scratch.id(PROOFS), two);
    }

    #[test]
    fn everybody_who_adds_at_once_has_added() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        std::thread::scope(|scope| {
            for number in 0..4_u8 {
                let repository = scratch.open();
                scope.spawn(move || {
                    // Who is always second gives up in the end, and says so.
                    while repository.add_proofs(&[(one, vec![number])], &author()).is_err() {}
                });
            }
        });
        assert_eq!(of(&scratch, one).len(), 4);
    }
}
