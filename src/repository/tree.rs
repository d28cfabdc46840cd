//! The entries of one tree, strictly: what git, or a checkout, could read in two ways is refused.

use gix::objs::TreeRefIter;

use crate::object::{HashKind, ObjectId};

/// The bits of a mode that say what an entry is, and those of a folder.
const KIND: u16 = 0o170_000;
const FOLDER: u16 = 0o040_000;

/// An entry: what stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    mode: u16,
    pub(super) id: ObjectId,
}

/// The entries of a tree, by name.
#[derive(Debug, Default)]
pub(super) struct Tree<'a>(Vec<(&'a [u8], Entry)>);

/// Why a tree cannot be read in one way alone. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The bytes are no entries.
    #[error("its entries cannot be parsed")]
    Entries,
    /// A name that leads somewhere else.
    #[error("an entry's name is empty, '.', '..' or holds a '/'")]
    Name,
    /// Two entries of one name.
    #[error("two entries have one name")]
    Twice,
    /// Not in git's order, in which names are looked up.
    #[error("its entries are not in order")]
    Order,
}

impl Entry {
    /// The id of the folder, if it is one.
    pub(super) fn folder(&self) -> Option<ObjectId> {
        (self.mode & KIND == FOLDER).then_some(self.id)
    }

    /// Whether it is something else: a file, a link, a submodule.
    pub(super) fn is_leaf(&self) -> bool {
        self.folder().is_none()
    }
}

/// The names in the `bytes` of a tree, sorted.
///
/// # Errors
/// They can be read in more ways than one, or in none.
pub fn tree_names(hash: HashKind, bytes: &[u8]) -> Result<Vec<&[u8]>, TreeError> {
    Tree::parse(hash, bytes).map(|tree| tree.0.into_iter().map(|(name, _)| name).collect())
}

impl<'a> Tree<'a> {
    pub(super) fn parse(hash: HashKind, bytes: &'a [u8]) -> Result<Self, TreeError> {
        let mut entries: Vec<(&[u8], Entry)> = Vec::new();
        for entry in TreeRefIter::from_bytes(bytes, hash) {
            let entry = entry.map_err(|_| TreeError::Entries)?;
            let name: &[u8] = entry.filename;
            if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
                return Err(TreeError::Name);
            }
            let found = Entry { mode: entry.mode.value(), id: entry.oid.to_owned() };
            if let Some((before, other)) = entries.last()
                && key(before, other).ge(key(name, &found))
            {
                return Err(if *before == name { TreeError::Twice } else { TreeError::Order });
            }
            entries.push((name, found));
        }
        entries.sort_unstable_by_key(|(name, _)| *name);
        if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(TreeError::Twice);
        }
        Ok(Self(entries))
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Entry> {
        let at = self.0.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?;
        Some(self.0[at].1)
    }

    /// Every name that stands in one of two trees, in order, with what stands there in each.
    pub(super) fn join<'t>(
        &'t self,
        other: &'t Self,
    ) -> impl Iterator<Item = (&'a [u8], Option<Entry>, Option<Entry>)> + 't {
        let (mut left, mut right) = (self.0.as_slice(), other.0.as_slice());
        std::iter::from_fn(move || {
            let order = match (left.first(), right.first()) {
                (None, None) => return None,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((one, _)), Some((two, _))) => one.cmp(two),
            };
            let take = |wanted: bool, side: &mut &'t [(&'a [u8], Entry)]| {
                let (first, rest) = side.split_first().filter(|_| wanted)?;
                *side = rest;
                Some(*first)
            };
            let one = take(order.is_le(), &mut left);
            let two = take(order.is_ge(), &mut right);
            let name = one.or(two)?.0;
            Some((name, one.map(|(_, entry)| entry), two.map(|(_, entry)| entry)))
        })
    }
}

/// What git orders entries by: folders as if a slash followed their names (tree.c, `base_name_compare`).
fn key<'k>(name: &'k [u8], entry: &Entry) -> impl Iterator<Item = u8> + 'k {
    let slash = entry.folder().map(|_| b'/');
    name.iter().copied().chain(slash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &str)]) -> Vec<u8> {
        let entry = |(mode, name): &(&str, &str)| [format!("{mode} {name}\0").as_bytes(), &[7; 20]].concat();
        entries.iter().flat_map(entry).collect()
    }

    fn refused(entries: &[(&str, &str)]) -> Option<TreeError> {
        Tree::parse(HashKind::Sha1, &tree(entries)).err()
    }

    #[test]
    fn a_tree_is_read_in_one_way_or_not_at_all() {
        let (file, folder) = ("100644", "40000");
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&[(file, "a"), (file, "a-b"), (folder, "a.b"), (file, "b")]), None);
        assert_eq!(refused(&[(file, "a.b"), (folder, "a"), (file, "a0")]), None, "a folder is as 'a/'");
        assert_eq!(refused(&[("160000", "a"), ("120000", "b"), ("100664", "c")]), None);
        assert_eq!(refused(&[(folder, "a"), (file, "a.b")]), Some(TreeError::Order));
        assert_eq!(refused(&[(file, "b"), (file, "a")]), Some(TreeError::Order));
        assert_eq!(refused(&[(file, "a"), (file, "a")]), Some(TreeError::Twice));
        assert_eq!(refused(&[(file, "a"), (file, "a.b"), (folder, "a")]), Some(TreeError::Twice));
        for name in ["", ".", "..", "a/b", "/"] {
            assert_eq!(refused(&[(file, name)]), Some(TreeError::Name), "{name}");
        }
        assert_eq!(Tree::parse(HashKind::Sha1, b"100644 a\0short").err(), Some(TreeError::Entries));
        assert_eq!(
            Tree::parse(HashKind::Sha1, b"100648 a\0aaaaaaaaaaaaaaaaaaaa").err(),
            Some(TreeError::Entries)
        );
    }

    #[test]
    fn two_trees_are_joined_by_name() {
        let [one, two] =
            [tree(&[("100644", "a"), ("100644", "b")]), tree(&[("100644", "b"), ("40000", "c")])];
        let [one, two] = [&one, &two].map(|bytes| Tree::parse(HashKind::Sha1, bytes).unwrap());
        let joined: Vec<_> = one.join(&two).map(|(name, l, r)| (name, l.is_some(), r.is_some())).collect();
        assert_eq!(joined, [(&b"a"[..], true, false), (b"b", true, true), (b"c", false, true)]);
        assert!(two.get(b"c").unwrap().folder().is_some() && one.get(b"c").is_none());
    }
}
