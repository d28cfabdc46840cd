//! A growing Merkle tree (RFC 6962 section 2, SHA-256) that answers for each of its past sizes.
//!
//! Each level keeps the hashes of its complete subtrees, so an append, a root and a proof cost no more
//! than the square of the tree's height.

use sigstore_merkle::{hash_children, hash_leaf};
use sigstore_types::Sha256Hash;

/// SHA-256 of nothing: the root of the empty tree.
pub(super) const EMPTY_ROOT: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// A Merkle tree that only grows.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// `levels[l][i]` is the hash over leaves `i << l` up to `(i + 1) << l`.
    levels: Vec<Vec<Sha256Hash>>,
}

impl Tree {
    /// Number of leaves.
    pub(super) fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The hash of the leaf that holds `data`.
    pub(super) fn leaf_hash(data: &[u8]) -> [u8; 32] {
        *hash_leaf(data).as_bytes()
    }

    /// Appends the leaf with this hash and returns its index.
    pub(super) fn append(&mut self, leaf_hash: [u8; 32]) -> u64 {
        let index = self.size();
        let mut hash = Sha256Hash::new(leaf_hash);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            let [.., left, right] = self.levels[level].as_slice() else { break };
            if self.levels[level].len() % 2 == 1 {
                break;
            }
            hash = hash_children(left, right);
        }
        index
    }

    /// The root of the tree of the first `size` leaves; `None` when there are not so many.
    pub(super) fn root(&self, size: u64) -> Option<[u8; 32]> {
        match size {
            0 => Some(EMPTY_ROOT),
            _ if size > self.size() => None,
            _ => Some(*self.subtree(0, size).as_bytes()),
        }
    }

    /// The audit path (RFC 6962 section 2.1.1) of leaf `index` in the tree of the first `size` leaves.
    pub(super) fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<[u8; 32]>> {
        if index >= size || size > self.size() {
            return None;
        }
        let mut path = Vec::new();
        let (mut start, mut length) = (0, size);
        while length > 1 {
            let split = largest_power_of_two_below(length);
            if index < start + split {
                path.push(*self.subtree(start + split, length - split).as_bytes());
                length = split;
            } else {
                path.push(*self.subtree(start, split).as_bytes());
                start += split;
                length -= split;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The consistency proof (RFC 6962 section 2.1.2) between the trees of `old` and of `new` leaves.
    pub(super) fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<[u8; 32]>> {
        if old > new || new > self.size() {
            return None;
        }
        let mut path = Vec::new();
        if old == 0 || old == new {
            return Some(path);
        }
        let (mut start, mut length, mut wanted) = (0, new, old);
        let mut whole = true;
        while wanted != length {
            let split = largest_power_of_two_below(length);
            if wanted <= split {
                path.push(*self.subtree(start + split, length - split).as_bytes());
                length = split;
            } else {
                path.push(*self.subtree(start, split).as_bytes());
                start += split;
                length -= split;
                wanted -= split;
                whole = false;
            }
        }
        if !whole {
            path.push(*self.subtree(start, length).as_bytes());
        }
        path.reverse();
        Some(path)
    }

    /// Hashes of the complete subtrees of `1 << level` leaves, from number `first`, `count` of them.
    pub(super) fn complete_subtrees(&self, level: usize, first: u64, count: u64) -> Option<Vec<u8>> {
        let first = usize::try_from(first).ok()?;
        let end = first.checked_add(usize::try_from(count).ok()?)?;
        let hashes = self.levels.get(level)?.get(first..end)?;
        Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
    }

    /// The hash over `length` leaves from `start`; `start` is a multiple of the next power of two of `length`.
    fn subtree(&self, start: u64, length: u64) -> Sha256Hash {
        if length.is_power_of_two() {
            let level = length.trailing_zeros() as usize;
            return self.levels[level][(start >> level) as usize];
        }
        let split = largest_power_of_two_below(length);
        hash_children(&self.subtree(start, split), &self.subtree(start + split, length - split))
    }
}

/// The largest power of two that is smaller than `length`, for `length` of at least 2.
fn largest_power_of_two_below(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sigstore_merkle::{verify_consistency_proof, verify_inclusion_proof};

    use super::*;

    fn tree(size: u64) -> Tree {
        let mut tree = Tree::default();
        for index in 0..size {
            assert_eq!(tree.append(Tree::leaf_hash(&index.to_be_bytes())), index);
        }
        tree
    }

    fn hashes(path: &[[u8; 32]]) -> Vec<Sha256Hash> {
        path.iter().copied().map(Sha256Hash::new).collect()
    }

    fn root(tree: &Tree, size: u64) -> Sha256Hash {
        Sha256Hash::new(tree.root(size).unwrap())
    }

    fn check(tree: &Tree, index: u64, old: u64, new: u64) {
        let inclusion = tree.inclusion_proof(index, new).unwrap();
        let leaf = hash_leaf(&index.to_be_bytes());
        verify_inclusion_proof(&leaf, index, new, &hashes(&inclusion), &root(tree, new)).unwrap();
        let consistency = tree.consistency_proof(old, new).unwrap();
        verify_consistency_proof(old, new, &hashes(&consistency), &root(tree, old), &root(tree, new))
            .unwrap();
    }

    #[test]
    fn every_index_and_size_of_a_small_tree_is_proven() {
        let tree = tree(70);
        for new in 1..=70 {
            for other in 0..new {
                check(&tree, other, other, new);
            }
            check(&tree, 0, new, new);
        }
    }

    #[test]
    fn what_the_tree_does_not_have_is_not_proven() {
        let tree = tree(5);
        assert_eq!(tree.root(6), None);
        assert_eq!(tree.inclusion_proof(5, 5), None);
        assert_eq!(tree.inclusion_proof(0, 6), None);
        assert_eq!(tree.consistency_proof(3, 2), None);
        assert_eq!(tree.consistency_proof(3, 6), None);
        assert_eq!(tree.root(0), Some(EMPTY_ROOT));
    }

    #[test]
    fn a_hundred_thousand_leaves_are_no_burden() {
        // With work for every leaf in each append or proof, this would not end in a day.
        let tree = tree(100_000);
        for step in 0..1000 {
            let index = step * 99 + 7;
            check(&tree, index, index, 100_000 - step);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn random_sizes_are_proven(new in 1_u64..3000, index in any::<u64>(), old in any::<u64>()) {
            let tree = tree(new);
            check(&tree, index % new, old % (new + 1), new);
        }
    }
}
