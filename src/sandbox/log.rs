//! One transparency log without its interface: entries, their tree, and the search for duplicates.

use std::collections::HashMap;

use super::{
    merkle::Tree,
    state::{EntryFile, StateError, StoredEntry},
};

/// A log that only grows.
#[derive(Debug)]
pub(super) struct Log {
    tree: Tree,
    entries: Vec<StoredEntry>,
    index_of_leaf: HashMap<[u8; 32], u64>,
    file: EntryFile,
}

/// An entry was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// The same body is in the log already, at this index.
    Duplicate(u64),
    /// The entry could not be kept.
    State(StateError),
}

/// Where an entry stands in a tree, without signatures.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InclusionProof {
    /// The index of the leaf.
    pub log_index: u64,
    /// The number of leaves of the tree.
    pub tree_size: u64,
    /// The root of the tree.
    pub root_hash: [u8; 32],
    /// The audit path, from the leaf to the root (RFC 6962 section 2.1.1).
    pub hashes: Vec<[u8; 32]>,
    /// The signed note over root and size.
    pub checkpoint: String,
}

impl Log {
    /// Grows the tree of the entries that are kept.
    pub(super) fn new(entries: Vec<StoredEntry>, file: EntryFile) -> Self {
        let mut log =
            Self { tree: Tree::default(), entries: Vec::new(), index_of_leaf: HashMap::new(), file };
        for entry in entries {
            log.grow(entry);
        }
        log
    }

    fn grow(&mut self, entry: StoredEntry) -> u64 {
        let leaf = Tree::leaf_hash(&entry.body);
        let index = self.tree.append(leaf);
        self.index_of_leaf.insert(leaf, index);
        self.entries.push(entry);
        index
    }

    /// Appends a body that is not in the log yet and returns its index.
    pub(super) fn append(&mut self, body: Vec<u8>, integrated_time: i64) -> Result<u64, AppendError> {
        if let Some(index) = self.index_of_leaf(&Tree::leaf_hash(&body)) {
            return Err(AppendError::Duplicate(index));
        }
        let entry = StoredEntry { body, integrated_time };
        self.file.append(&entry).map_err(AppendError::State)?;
        Ok(self.grow(entry))
    }

    /// The tree.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The entries, by index.
    pub(super) fn entries(&self) -> &[StoredEntry] {
        &self.entries
    }

    /// The index of the leaf with this hash.
    pub(super) fn index_of_leaf(&self, leaf: &[u8; 32]) -> Option<u64> {
        self.index_of_leaf.get(leaf).copied()
    }

    /// The root of the tree as it is now.
    pub(super) fn root(&self) -> [u8; 32] {
        self.tree.root(self.tree.size()).expect("a tree has a root at its own size")
    }

    /// The proof of an entry in the tree as it is now; `sign` makes the checkpoint of size and root.
    pub(super) fn prove(
        &self,
        index: u64,
        sign: impl FnOnce(u64, &[u8; 32]) -> String,
    ) -> Option<InclusionProof> {
        let size = self.tree.size();
        let root = self.root();
        let hashes = self.tree.inclusion_proof(index, size)?;
        let checkpoint = sign(size, &root);
        Some(InclusionProof { log_index: index, tree_size: size, root_hash: root, hashes, checkpoint })
    }
}
