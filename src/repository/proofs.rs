//! The ref that keeps what a log has said about objects: `refs/countersign/proofs`.
//!
//! Its commits' tree holds each answer as a blob under `ab/cdef….<blob>`: the object's id, its first two
//! digits as a folder, and the id of the blob itself. So two answers never claim the same name, two such
//! trees are merged by taking all of both, and an entry that lies about itself cannot stand in the place of
//! one that doesn't. Whether an answer proves anything is for others to say.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use gix::{
    bstr::{BStr, BString, ByteSlice},
    objs::{
        Kind, TreeRefIter,
        tree::{EntryKind, EntryMode},
    },
};

use super::{ObjectReadError, ObjectReader};
use crate::object::{HashKind, ObjectId};

/// The ref.
pub const PROOFS: &str = "refs/countersign/proofs";

/// The largest answer that is read, in bytes.
pub const MAXIMUM_PROOF_BYTES: u64 = 64 * 1024;
/// The most answers about one object that are read.
pub const MAXIMUM_PROOFS_OF_AN_OBJECT: usize = 16;
/// The most answers whose names are held in memory.
const MAXIMUM_HELD: usize = 1_000_000;
/// The most entries of a folder to which more may be added: far fewer than make its tree too large to be read.
pub const MAXIMUM_OF_A_FOLDER: usize = 50_000;
/// How many reasons are told why something cannot be read.
const MAXIMUM_TROUBLE: usize = 8;
/// The most differences of two trees that are told.
const MAXIMUM_CHANGES: usize = 100_000;

/// An answer's name: which object it is about, and its blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProofName {
    /// The object.
    pub object: ObjectId,
    /// The blob.
    pub blob: ObjectId,
}

impl ProofName {
    /// The path in the tree.
    #[must_use]
    pub fn path(&self) -> String {
        let (folder, name) = self.parts();
        format!("{folder}/{name}")
    }

    pub(super) fn parts(&self) -> (String, String) {
        let mut name = self.object.to_string();
        let rest = name.split_off(2);
        (name, format!("{rest}.{}", self.blob))
    }

    /// Read the name of the entry `name` in `folder`; `None` unless it is the one spelling of one.
    #[must_use]
    pub fn parse(
        hash: HashKind,
        folder: &BStr,
        name: &BStr,
        mode: EntryMode,
        blob: ObjectId,
    ) -> Option<Self> {
        let (rest, stated) = name.split_once_str(".")?;
        let object = ObjectId::from_hex(&[folder.as_bytes(), rest].concat()).ok()?;
        let found = Self { object, blob };
        // The one spelling of exactly this name.
        let same = mode == EntryMode::from(EntryKind::Blob)
            && object.kind() == hash
            && stated == blob.to_string().as_bytes()
            && found.parts().1.as_bytes() == name.as_bytes()
            && found.parts().0.as_bytes() == folder.as_bytes();
        same.then_some(found)
    }
}

/// The answers that are kept in some commits of the ref. Shared freely between threads.
#[derive(Default)]
pub struct Proofs {
    tips: Vec<Folders>,
    held: AtomicUsize,
    /// Why not all of it can be read, as far as it was looked at.
    trouble: Mutex<Vec<String>>,
}

/// The folders of one tree, each read when it is first needed.
struct Folders {
    folders: BTreeMap<u8, (ObjectId, OnceLock<Vec<ProofName>>)>,
}

impl Proofs {
    /// What is kept in the trees of the commits `tips`. Whatever cannot be read is left out and told by
    /// [`Self::trouble`]: less is proven then, never more.
    #[must_use]
    pub fn open(reader: &ObjectReader, tips: &[ObjectId]) -> Self {
        let mut proofs = Self::default();
        for tip in tips {
            match Folders::open(reader, *tip) {
                Ok(folders) => proofs.tips.push(folders),
                Err(error) => proofs.is_in_trouble(error.to_string()),
            }
        }
        proofs
    }

    fn is_in_trouble(&self, reason: String) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.len() < MAXIMUM_TROUBLE {
            trouble.push(reason);
        }
    }

    /// The names of all that is kept, at most `maximum`; what cannot be read is left out.
    #[must_use]
    pub(super) fn names(&self, reader: &ObjectReader, maximum: usize) -> Vec<ProofName> {
        let mut names = BTreeSet::new();
        for tip in &self.tips {
            for number in tip.folders.keys() {
                names.extend(tip.in_folder(reader, *number, self).iter().copied());
                if names.len() > maximum {
                    return names.into_iter().take(maximum).collect();
                }
            }
        }
        names.into_iter().collect()
    }

    /// The names of what is kept about `object`.
    #[must_use]
    pub fn names_of(&self, reader: &ObjectReader, object: &ObjectId) -> BTreeSet<ProofName> {
        self.tips.iter().flat_map(|tip| tip.of(reader, object, self)).collect()
    }

    /// Why not all of it can be read, as far as anybody has asked for it: folders are read when they are needed.
    #[must_use]
    pub fn trouble(&self) -> Vec<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answers about `object`, at most [`MAXIMUM_PROOFS_OF_AN_OBJECT`]; what cannot be read is none.
    #[must_use]
    pub fn of(&self, reader: &ObjectReader, object: &ObjectId) -> Vec<Vec<u8>> {
        let names = self.names_of(reader, object);
        let read = |name: ProofName| read_blob(reader, name.blob).ok();
        names.into_iter().take(MAXIMUM_PROOFS_OF_AN_OBJECT).filter_map(read).collect()
    }
}

impl Folders {
    fn open(reader: &ObjectReader, tip: ObjectId) -> Result<Self, ObjectReadError> {
        let mut folders = BTreeMap::new();
        for (name, mode, id) in entries(reader, tree_of(reader, tip)?)? {
            if let (true, Some(number)) = (mode.is_tree(), folder_number(name.as_ref())) {
                folders.insert(number, (id, OnceLock::new()));
            }
        }
        Ok(Self { folders })
    }

    fn of(&self, reader: &ObjectReader, object: &ObjectId, all: &Proofs) -> Vec<ProofName> {
        let names = self.in_folder(reader, object.as_slice()[0], all);
        let start = names.partition_point(|name| name.object < *object);
        names[start..].iter().take_while(|name| name.object == *object).copied().collect()
    }

    fn in_folder(&self, reader: &ObjectReader, number: u8, all: &Proofs) -> &[ProofName] {
        let Some((tree, names)) = self.folders.get(&number) else { return &[] };
        names.get_or_init(|| {
            let folder = BString::from(format!("{number:02x}"));
            let entries = entries(reader, *tree).unwrap_or_else(|error| {
                all.is_in_trouble(error.to_string());
                Vec::new()
            });
            let parse = |(name, mode, blob): (BString, EntryMode, ObjectId)| {
                ProofName::parse(reader.hash(), folder.as_ref(), name.as_ref(), mode, blob)
            };
            let mut names: Vec<ProofName> = entries.into_iter().filter_map(parse).collect();
            if all.held.fetch_add(names.len(), Ordering::Relaxed) + names.len() > MAXIMUM_HELD {
                all.is_in_trouble(format!("the folder '{folder}' is one more than are held at once"));
                names = Vec::new();
            }
            names.sort_unstable();
            names
        })
    }
}

/// How one commit of the ref differs from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofChange {
    /// An answer was added.
    Added(ProofName),
    /// A folder was added to that holds more than [`MAXIMUM_OF_A_FOLDER`] now; its path.
    Full(BString),
    /// Something that was there is not, or is something else; its path.
    Removed(BString),
    /// Something was added that is no answer under its own name; its path.
    Strange(BString),
}

/// How much of the name of something strange is told, in bytes: a tree may hold names of any length.
const MAXIMUM_NAME: usize = 200;

/// How the tree of `new` differs from that of `old`: what was added first, at most a fixed number of each.
/// `None` where there is more, or `go_on` says that there is no time for it.
///
/// # Errors
/// One of them cannot be read.
pub fn proof_changes(
    reader: &ObjectReader,
    old: Option<ObjectId>,
    new: ObjectId,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Vec<ProofChange>>, ObjectReadError> {
    let told = |name: &BString| BString::from(&name[..name.len().min(MAXIMUM_NAME)]);
    type Tree = BTreeMap<BString, (EntryMode, ObjectId)>;
    let read = |tree: Option<ObjectId>| -> Result<Tree, ObjectReadError> {
        let Some(tree) = tree else { return Ok(Tree::new()) };
        Ok(entries(reader, tree)?.into_iter().map(|(name, mode, id)| (name, (mode, id))).collect())
    };
    let old_root = read(old.map(|old| tree_of(reader, old)).transpose()?)?;
    let new_root = read(Some(tree_of(reader, new)?))?;
    let mut changes: Vec<ProofChange> = old_root
        .keys()
        .filter(|name| !new_root.contains_key(*name))
        .map(|name| ProofChange::Removed(told(name)))
        .collect();
    for (folder, (mode, id)) in &new_root {
        if !go_on() {
            return Ok(None);
        }
        let before = old_root.get(folder);
        if before == Some(&(*mode, *id)) {
            continue;
        }
        if folder_number(folder.as_ref()).is_none() || !mode.is_tree() {
            changes.push(ProofChange::Strange(told(folder)));
            continue;
        }
        let path = |name: &BString| BString::from([folder.as_slice(), b"/", told(name).as_slice()].concat());
        let (before, after) = match before {
            Some((mode, _)) if !mode.is_tree() => {
                changes.push(ProofChange::Removed(folder.clone()));
                continue;
            }
            before => (read(before.map(|(_, id)| *id))?, read(Some(*id))?),
        };
        changes.extend(
            before
                .iter()
                .filter(|(name, entry)| after.get(*name) != Some(entry))
                .map(|(name, _)| ProofChange::Removed(path(name))),
        );
        if after.len() > MAXIMUM_OF_A_FOLDER && after.len() > before.len() {
            changes.push(ProofChange::Full(folder.clone()));
        }
        for (name, (mode, blob)) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            let parsed = ProofName::parse(reader.hash(), folder.as_ref(), name.as_ref(), *mode, *blob);
            changes.push(parsed.map_or_else(|| ProofChange::Strange(path(name)), ProofChange::Added));
        }
        if changes.len() > MAXIMUM_CHANGES {
            return Ok(None);
        }
    }
    Ok(Some(changes))
}

/// The bytes of an answer.
///
/// # Errors
/// It is missing, damaged, too large, or no blob.
pub fn read_blob(reader: &ObjectReader, blob: ObjectId) -> Result<Vec<u8>, ObjectReadError> {
    let unreadable = |reason: String| ObjectReadError::Unreadable { id: blob, reason };
    match reader.header(blob)? {
        (Kind::Blob, size) if size <= MAXIMUM_PROOF_BYTES => Ok(reader.read(blob)?.bytes),
        (Kind::Blob, size) => Err(unreadable(format!("{size} bytes are too many for an answer of a log"))),
        (kind, _) => Err(unreadable(format!("it is a {kind}"))),
    }
}

/// The tree of a commit.
pub(super) fn tree_of(reader: &ObjectReader, commit: ObjectId) -> Result<ObjectId, ObjectReadError> {
    let object = reader.read(commit)?;
    let unreadable = |reason: String| ObjectReadError::Unreadable { id: commit, reason };
    if object.kind != Kind::Commit {
        return Err(unreadable(format!("it is a {}", object.kind)));
    }
    crate::object::Commit::parse(reader.hash(), &object.bytes)
        .map(|commit| commit.tree)
        .map_err(|error| unreadable(error.to_string()))
}

/// Everything in a tree.
pub(super) fn entries(
    reader: &ObjectReader,
    tree: ObjectId,
) -> Result<Vec<(BString, EntryMode, ObjectId)>, ObjectReadError> {
    let object = reader.read(tree)?;
    let unreadable = |reason: String| ObjectReadError::Unreadable { id: tree, reason };
    if object.kind != Kind::Tree {
        return Err(unreadable(format!("it is a {}", object.kind)));
    }
    let entries: Vec<(BString, EntryMode, ObjectId)> = TreeRefIter::from_bytes(&object.bytes, reader.hash())
        .map(|entry| entry.map(|entry| (entry.filename.to_owned(), entry.mode, entry.oid.to_owned())))
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(error.to_string()))?;
    // Of two that are called alike nobody can say which one is meant.
    let mut names = HashSet::with_capacity(entries.len());
    match entries.iter().find(|(name, ..)| !names.insert(name)) {
        Some((name, ..)) => Err(unreadable(format!("it holds '{name}' twice"))),
        None => Ok(entries),
    }
}

fn folder_number(name: &BStr) -> Option<u8> {
    let lower = name.len() == 2 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let text = name.to_str().ok().filter(|_| lower)?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    #[test]
    fn a_name_has_one_spelling() {
        let (object, blob) =
            (ObjectId::from_bytes_or_panic(&[0xab; 20]), ObjectId::from_bytes_or_panic(&[1; 20]));
        let parse = |folder: &str, name: &str, mode: gix::objs::tree::EntryKind| {
            ProofName::parse(HashKind::Sha1, folder.into(), name.into(), mode.into(), blob)
        };
        let file = gix::objs::tree::EntryKind::Blob;
        let name = format!("{}.{}", "ab".repeat(19), "01".repeat(20));
        assert_eq!(parse("ab", &name, file), Some(ProofName { object, blob }));
        assert_eq!(parse("ab", &name, file).unwrap().path(), format!("ab/{name}"));
        for (folder, name, kind) in [
            ("ab", name.clone(), gix::objs::tree::EntryKind::Link),
            ("ab", name.clone(), gix::objs::tree::EntryKind::BlobExecutable),
            ("AB", name.clone(), file),
            ("ab", name.to_uppercase(), file),
            ("a", format!("b{name}"), file),
            ("ab", name.replace("01", "02"), file),
            ("ab", "ab".repeat(19), file),
            ("ab", format!("{name}.x"), file),
            ("ab", format!("{}.{}", "ab".repeat(31), "01".repeat(20)), file),
        ] {
            assert_eq!(parse(folder, &name, kind), None, "{folder}/{name}");
        }
    }

    #[test]
    fn two_entries_of_one_name_are_refused() {
        let scratch = Scratch::new(&[]);
        let reader = scratch.open().objects().unwrap().reader();
        let blob = scratch.commit("anything");
        let entry = |name: &str| [b"100644 ", name.as_bytes(), b"\0", blob.as_slice()].concat();
        let tree = |names: &[&str]| {
            let bytes: Vec<u8> = names.iter().flat_map(|name| entry(name)).collect();
            let id = scratch.git_with(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &bytes);
            ObjectId::from_hex(id.trim().as_bytes()).unwrap()
        };
        assert_eq!(entries(&reader, tree(&["a", "b"])).unwrap().len(), 2);
        let error = entries(&reader, tree(&["a", "a"])).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }

    #[test]
    fn names_of_any_length_are_told_shortly_and_only_while_there_is_time() {
        let scratch = Scratch::new(&[]);
        let reader = scratch.open().objects().unwrap().reader();
        let blob = scratch.commit("anything");
        let store = |kind: &str, bytes: &[u8]| -> ObjectId {
            let arguments = ["hash-object", "-w", "-t", kind, "--literally", "--stdin"];
            scratch.git_with(&arguments, bytes).trim().parse().unwrap()
        };
        let entry = |mode: &str, name: &str, id: ObjectId| {
            [format!("{mode} {name}\0").as_bytes(), id.as_slice()].concat()
        };
        let long = "x".repeat(100_000);
        let folders: Vec<u8> = (0..10)
            .flat_map(|number| {
                let folder = store("tree", &entry("100644", &format!("{number}{long}"), blob));
                entry("40000", &format!("{number:02x}"), folder)
            })
            .collect();
        let tree = store("tree", &[folders, entry("100644", &long, blob)].concat());
        let commit = format!("tree {tree}\nauthor A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n\nm\n");
        let commit = store("commit", commit.as_bytes());
        let changes = proof_changes(&reader, None, commit, &|| true).unwrap().unwrap();
        assert_eq!(changes.len(), 11);
        for change in changes {
            assert!(matches!(&change, ProofChange::Strange(path) if path.len() < 300), "{change:?}");
        }
        let left = std::cell::Cell::new(5);
        let go_on = || left.replace(left.get() - 1) > 0;
        assert_eq!(proof_changes(&reader, None, commit, &go_on).unwrap(), None);
        assert_eq!(left.get(), -1, "it has ended at once");
    }

    #[test]
    fn a_folder_that_could_become_too_large_to_be_read_is_told_before_and_one_that_is_too() {
        let scratch = Scratch::new(&[]);
        let store = |kind: &str, bytes: &[u8]| -> ObjectId {
            let arguments = ["hash-object", "-w", "-t", kind, "--literally", "--stdin"];
            scratch.git_with(&arguments, bytes).trim().parse().unwrap()
        };
        let blob = store("blob", b"anything");
        let of = |count: usize| {
            let folder: Vec<u8> = (0..count)
                .flat_map(|number| {
                    let name = format!("{number:038x}.{blob}");
                    [format!("100644 {name}\0").as_bytes(), blob.as_slice()].concat()
                })
                .collect();
            let folder = store("tree", &folder);
            let tree = store("tree", &[&b"40000 ab\0"[..], folder.as_slice()].concat());
            let person = "A <a@b.c> 1 +0000";
            let commit = format!("tree {tree}\nauthor {person}\ncommitter {person}\n\nm\n");
            store("commit", commit.as_bytes())
        };
        let (fits, full, too_large) =
            (of(MAXIMUM_OF_A_FOLDER), of(MAXIMUM_OF_A_FOLDER + 1), of(MAXIMUM_OF_A_FOLDER * 4));
        let reader = scratch.open().objects().unwrap().reader();
        let told = |old: Option<ObjectId>, new: ObjectId| {
            let changes = proof_changes(&reader, old, new, &|| true).unwrap().unwrap();
            changes.contains(&ProofChange::Full("ab".into()))
        };
        assert!(!told(None, fits) && told(None, full) && told(Some(fits), full));
        assert!(!told(Some(full), full) && !told(Some(full), fits), "it can be mended");
        let object = ObjectId::from_hex(format!("ab{:038x}", 7).as_bytes()).unwrap();
        for (tip, count, is_trouble) in [(full, 1, false), (too_large, 0, true)] {
            let proofs = Proofs::open(&reader, &[tip]);
            assert_eq!(proofs.names_of(&reader, &object).len(), count);
            assert_eq!(!proofs.trouble().is_empty(), is_trouble, "{:?}", proofs.trouble());
        }
    }

    #[test]
    fn no_more_of_an_object_are_read_than_the_bound() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let author = crate::repository::Author { name: "a".to_owned(), email: "a".to_owned(), time: 0 };
        let mut proofs: Vec<_> = (0..40_u8).map(|number| (one, vec![number])).collect();
        proofs.push((one, vec![0; 1 << 17]));
        scratch.open().add_proofs(&proofs, &author).unwrap();
        let reader = scratch.open().objects().unwrap().reader();
        let kept = Proofs::open(&reader, &[scratch.id(PROOFS)]).of(&reader, &one);
        assert!((MAXIMUM_PROOFS_OF_AN_OBJECT - 1..=MAXIMUM_PROOFS_OF_AN_OBJECT).contains(&kept.len()));
        assert!(kept.iter().all(|bytes| bytes.len() as u64 <= MAXIMUM_PROOF_BYTES));
    }
}
