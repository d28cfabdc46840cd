//! A policy that is kept in the tree of a commit: `policy.toml` at its root, and the files that it names.

use gix::objs::{Kind, TreeRefIter, tree::EntryKind};

use super::{
    CommitPlace, Content, MAXIMUM_POLICY_BYTES, NamedFile, Place, PolicySource, TrustError, chain::ChainError,
};
use crate::{
    object::{Commit, MAXIMUM_OBJECT_BYTES, ObjectId},
    repository::ObjectReader,
};

/// The name of the policy in the tree.
pub const POLICY_FILE: &str = "policy.toml";

/// How many folders deep a file may lie.
const MAXIMUM_DEPTH: usize = 16;

/// The policy in the tree of one commit.
pub struct InCommit<'a> {
    reader: &'a ObjectReader,
    commit: ObjectId,
    tree: ObjectId,
    time: i64,
}

impl<'a> InCommit<'a> {
    /// The policy of the commit `id`.
    ///
    /// # Errors
    /// It is no commit, malformed, or cannot be read.
    pub fn new(reader: &'a ObjectReader, id: ObjectId) -> Result<Self, ChainError> {
        let (tree, time) = read_commit(reader, id, |commit| (commit.tree, seconds(commit.committer)))?;
        Ok(Self { reader, commit: id, tree, time })
    }

    /// The regular file at `path`, of at most `maximum` bytes.
    fn read(&self, path: &str, maximum: usize) -> Result<Content, TrustError> {
        let place = Place::Commit(Box::new(CommitPlace {
            commit: self.commit,
            time: self.time,
            path: path.to_owned(),
        }));
        let refused = |reason: &'static str| TrustError::NotInTheTree { place: place.clone(), reason };
        let unreadable = |source| TrustError::Object { place: place.clone(), source };
        let names = path_in_tree(path).ok_or_else(|| refused("its path leads out of the tree"))?;
        let mut tree = self.tree;
        for (index, name) in names.iter().enumerate() {
            let object = self.reader.read_at_most(tree, MAXIMUM_OBJECT_BYTES).map_err(unreadable)?;
            if object.kind != Kind::Tree {
                return Err(refused("what should be a tree is none"));
            }
            let (kind, id) = entry(&object.bytes, self.reader, name)
                .map_err(refused)?
                .ok_or_else(|| TrustError::Missing(place.clone()))?;
            let is_last = index + 1 == names.len();
            match (kind, is_last) {
                (EntryKind::Tree, false) => tree = id,
                (EntryKind::Blob | EntryKind::BlobExecutable, true) => {
                    let object = match self.reader.read_at_most(id, maximum) {
                        Err(crate::repository::ObjectReadError::TooLarge(_)) => {
                            return Err(TrustError::TooLarge { place: place.clone(), maximum });
                        }
                        read => read.map_err(unreadable)?,
                    };
                    if object.kind != Kind::Blob {
                        return Err(refused("what should be a file is none"));
                    }
                    return Ok(Content { bytes: object.bytes, place });
                }
                (EntryKind::Link, _) => {
                    return Err(refused("it is a symbolic link, and those are not followed"));
                }
                (EntryKind::Commit, _) => return Err(refused("it is a submodule")),
                (EntryKind::Tree, true) => return Err(refused("it is a folder")),
                (EntryKind::Blob | EntryKind::BlobExecutable, false) => {
                    return Err(refused("its path leads through a file"));
                }
            }
        }
        Err(refused("its path is empty"))
    }
}

/// What `take` makes of the commit `id`.
///
/// # Errors
/// It is no commit, malformed, or cannot be read.
pub(super) fn read_commit<T>(
    reader: &ObjectReader,
    id: ObjectId,
    take: impl FnOnce(Commit<'_>) -> T,
) -> Result<T, ChainError> {
    let object = reader.read(id)?;
    if object.kind != Kind::Commit {
        return Err(ChainError::NotACommit { id, kind: object.kind });
    }
    let commit = Commit::parse(reader.hash(), &object.bytes);
    commit.map(take).map_err(|cause| ChainError::Malformed { commit: id, cause })
}

impl PolicySource for InCommit<'_> {
    fn policy(&self) -> Result<Content, TrustError> {
        match self.read(POLICY_FILE, MAXIMUM_POLICY_BYTES) {
            Err(TrustError::Missing(place)) => Err(TrustError::NoPolicy(place)),
            read => read,
        }
    }

    fn file(&self, named: &NamedFile<'_>) -> Result<Option<Content>, TrustError> {
        named.path().map(|path| self.read(path, named.maximum_bytes())).transpose()
    }
}

/// The names of the folders and the file in `path`, a path inside a tree; `None` for one that leads
/// anywhere else.
#[must_use]
pub fn path_in_tree(path: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = path.split('/').collect();
    let plain = |name: &&str| !["", ".", ".."].contains(name) && !name.contains(['\\', '\0']);
    (names.iter().all(plain) && names.len() <= MAXIMUM_DEPTH).then_some(names)
}

/// The one entry of a tree that is called `name`.
fn entry(
    tree: &[u8],
    reader: &ObjectReader,
    name: &str,
) -> Result<Option<(EntryKind, ObjectId)>, &'static str> {
    let mut found = None;
    for entry in TreeRefIter::from_bytes(tree, reader.hash()) {
        let entry = entry.map_err(|_| "its tree is malformed")?;
        if entry.filename == name {
            if found.is_some() {
                return Err("its name stands twice in the tree");
            }
            found = Some((entry.mode.kind(), entry.oid.to_owned()));
        }
    }
    Ok(found)
}

/// The seconds in a line that says who made a commit; 0 where they cannot be read.
fn seconds(person: &[u8]) -> i64 {
    let behind = person.rsplit(|byte| *byte == b'>').next().unwrap_or_default();
    let text = std::str::from_utf8(behind).unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}
