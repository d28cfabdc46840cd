//! Which paths differ between trees, and what a merge changes of its own.
//!
//! Folders that are the same are not looked at, nor are those below which nobody asks for anything. What is
//! read is counted: a tree whose folders stand in one another many times over has more paths than bytes.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use gix::objs::Kind;

use super::{
    ObjectReadError, ObjectReader, Shallow,
    merge_base::merge_bases,
    tree::{Entry, Tree, TreeError},
};
use crate::object::{Commit, ObjectError, ObjectId};

/// How deep folders may stand in one another: git's own `core.maxTreeDepth`.
const MAXIMUM_DEPTH: usize = 2048;

/// What a look at an object costs besides its bytes.
const COST_OF_A_LOOK: u64 = 512;

/// After how many entries of trees that are compared it is asked again whether to go on.
const ASKED_EVERY: usize = 4096;

/// What somebody asks about paths.
pub trait Interest {
    /// A folder, as far as it matters what may stand below.
    type Place;

    /// The root.
    fn root(&self) -> Self::Place;

    /// The folder `name` in `place`; `None` if nothing below matters.
    fn enter(&self, place: &Self::Place, name: &[u8]) -> Option<Self::Place>;

    /// Whether it matters what stands at `name` in `place`, where that is something else than a folder.
    fn matters(&self, place: &Self::Place, name: &[u8]) -> bool;

    /// What stands at `name` in `place` differs, and matters. `path` is its whole path.
    fn change(&mut self, place: &Self::Place, name: &[u8], path: &[u8]) -> ControlFlow<()>;
}

/// How much may be read, in bytes, and for how long; shared by all who read for one push.
pub struct Allowance<'a> {
    left: AtomicU64,
    looks: AtomicUsize,
    is_over: &'a (dyn Fn() -> bool + Sync),
}

/// Why changes cannot be told. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangesError {
    /// A commit cannot be parsed.
    #[error("commit '{id}' is malformed: {cause}")]
    Malformed {
        /// The commit.
        id: ObjectId,
        /// What is wrong with it.
        cause: ObjectError,
    },
    /// Merge bases cannot be found.
    #[error("what the parents of commit '{id}' have in common cannot be told: {reason}")]
    MergeBase {
        /// The merge.
        id: ObjectId,
        /// Why not.
        reason: String,
    },
    /// Something that should be a commit or a tree is not.
    #[error("the object '{0}' is not what it is named as")]
    Kind(ObjectId),
    /// An object cannot be had.
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    /// The time for comparing is over.
    #[error("the time for comparing trees is over")]
    Stopped,
    /// Folders stand deeper in one another than git allows.
    #[error("its folders are more than {MAXIMUM_DEPTH} deep")]
    TooDeep,
    /// More would have to be read than may be.
    #[error("more trees would have to be compared than are for one push")]
    TooMuch,
    /// A tree could be read in two ways.
    #[error("tree '{id}' is malformed: {cause}")]
    Tree {
        /// The tree.
        id: ObjectId,
        /// What is wrong with it.
        cause: TreeError,
    },
}

/// Reads what has changed.
pub struct Changes<'a> {
    pub(super) reader: &'a ObjectReader,
    shallow: &'a Shallow,
    allowance: &'a Allowance<'a>,
}

/// Trees that are compared, or folders of one path in them; `None` where there is no folder.
#[derive(Clone, Debug)]
struct Trees {
    new: Option<ObjectId>,
    old: Option<ObjectId>,
    merge: Option<Merge>,
}

/// What excuses a merge that differs from one of its parents: that parent holds what all merge bases hold, and
/// the merge holds what the other parent holds.
#[derive(Clone, Debug)]
struct Merge {
    other: Option<ObjectId>,
    bases: Vec<Option<ObjectId>>,
}

/// A folder that is still to be compared.
struct Pending<P> {
    place: P,
    name: Vec<u8>,
    trees: Trees,
}

impl<'a> Allowance<'a> {
    /// So many bytes, for as long as it takes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self::until(bytes, &|| false)
    }

    /// So many bytes, until `is_over` says so, which is asked at every object.
    #[must_use]
    pub fn until(bytes: u64, is_over: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { left: AtomicU64::new(bytes), looks: AtomicUsize::new(0), is_over }
    }

    /// How many objects were looked at.
    #[must_use]
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    /// Whether there is time left.
    fn goes_on(&self) -> Result<(), ChangesError> {
        if (self.is_over)() { Err(ChangesError::Stopped) } else { Ok(()) }
    }

    /// Take the cost of looking at an object of `bytes`.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), ChangesError> {
        self.goes_on()?;
        self.looks.fetch_add(1, Ordering::Relaxed);
        let cost = (bytes as u64).saturating_add(COST_OF_A_LOOK);
        let take = |left: u64| left.checked_sub(cost);
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        spent.map(|_| ()).map_err(|_| ChangesError::TooMuch)
    }
}

impl<'a> Changes<'a> {
    /// Read through `reader`, no more than `allowance` lets.
    #[must_use]
    pub fn new(reader: &'a ObjectReader, shallow: &'a Shallow, allowance: &'a Allowance<'a>) -> Self {
        Self { reader, shallow, allowance }
    }

    /// Show `interest` what the commit `id` changes against each of its parents, or, where it has none, what
    /// it holds.
    ///
    /// A merge of two parents is excused where it holds what merging yields of itself: what one parent holds,
    /// and the other has not changed since any of their merge bases. Other merges are not excused. At a
    /// commit where the history is cut off for a reader, nothing has changed.
    ///
    /// # Errors
    /// See [`ChangesError`].
    pub fn of_commit(&self, id: ObjectId, interest: &mut impl Interest) -> Result<(), ChangesError> {
        if self.shallow.contains(id) {
            return Ok(());
        }
        let (tree, parents) = self.commit(id)?;
        let trees = |old, merge| Trees { new: Some(tree), old, merge };
        if parents.is_empty() {
            return self.compare(trees(None, None), interest).map(drop);
        }
        let tree_of = |parent: &ObjectId| self.commit(*parent).map(|(tree, _)| tree);
        let held = parents.iter().map(tree_of).collect::<Result<Vec<_>, _>>()?;
        let [first, second] = parents[..] else {
            for old in held {
                if self.compare(trees(Some(old), None), interest)?.is_break() {
                    return Ok(());
                }
            }
            return Ok(());
        };
        let mut bases = None;
        for (old, other) in [(held[0], held[1]), (held[1], held[0])] {
            // Most merges change nothing that anybody asks for, and need no look at history.
            if self.compare(trees(Some(old), None), &mut Any(&*interest))?.is_continue() {
                continue;
            }
            let bases = match &bases {
                Some(bases) => bases,
                None => bases.insert(self.bases(id, first, second)?),
            };
            let merge = Merge { other: Some(other), bases: bases.clone() };
            if self.compare(trees(Some(old), Some(merge)), interest)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Show `interest` what differs between what the commits `old` and `new` hold.
    ///
    /// # Errors
    /// See [`ChangesError`].
    pub fn between(
        &self,
        old: ObjectId,
        new: ObjectId,
        interest: &mut impl Interest,
    ) -> Result<(), ChangesError> {
        let (old, new) = (self.commit(old)?.0, self.commit(new)?.0);
        self.compare(Trees { new: Some(new), old: Some(old), merge: None }, interest).map(drop)
    }

    /// The trees of all merge bases; that of nothing where there is none.
    fn bases(
        &self,
        merge: ObjectId,
        one: ObjectId,
        two: ObjectId,
    ) -> Result<Vec<Option<ObjectId>>, ChangesError> {
        let bases = merge_bases(self.reader, self.allowance, one, two);
        // Why it was ended is not in the words of who was ended.
        self.allowance.goes_on()?;
        let bases = bases.map_err(|reason| ChangesError::MergeBase { id: merge, reason })?;
        if bases.is_empty() {
            return Ok(vec![None]);
        }
        bases.into_iter().map(|id| Ok(Some(self.commit(id)?.0))).collect()
    }

    /// The tree and the parents of a commit.
    fn commit(&self, id: ObjectId) -> Result<(ObjectId, Vec<ObjectId>), ChangesError> {
        let object = self.reader.read(id)?;
        self.allowance.spend(object.bytes.len())?;
        if object.kind != Kind::Commit {
            return Err(ChangesError::Kind(id));
        }
        let commit = Commit::parse(self.reader.hash(), &object.bytes)
            .map_err(|cause| ChangesError::Malformed { id, cause })?;
        Ok((commit.tree, commit.parents))
    }

    /// The bytes of a tree; none of nothing.
    fn tree(&self, id: Option<ObjectId>) -> Result<Vec<u8>, ChangesError> {
        // git knows the empty tree without anybody having stored it.
        let Some(id) = id.filter(|id| *id != ObjectId::empty_tree(self.reader.hash())) else {
            return Ok(Vec::new());
        };
        let object = self.reader.read(id)?;
        self.allowance.spend(object.bytes.len())?;
        if object.kind == Kind::Tree { Ok(object.bytes) } else { Err(ChangesError::Kind(id)) }
    }

    fn compare<I: Interest>(&self, trees: Trees, interest: &mut I) -> Result<ControlFlow<()>, ChangesError> {
        let mut path: Vec<u8> = Vec::new();
        // For each folder above, how long its path is and what is still to be compared in it.
        let mut levels: Vec<(usize, Vec<Pending<I::Place>>)> = Vec::new();
        if trees.is_settled() {
            return Ok(ControlFlow::Continue(()));
        }
        let root = interest.root();
        match self.level(&root, &trees, &path, interest)? {
            Some(pending) => levels.push((0, pending)),
            None => return Ok(ControlFlow::Break(())),
        }
        while let Some((length, pending)) = levels.last_mut() {
            path.truncate(*length);
            let Some(Pending { place, name, trees }) = pending.pop() else {
                levels.pop();
                continue;
            };
            if levels.len() == MAXIMUM_DEPTH {
                return Err(ChangesError::TooDeep);
            }
            path.extend_from_slice(&name);
            path.push(b'/');
            match self.level(&place, &trees, &path, interest)? {
                Some(pending) => levels.push((path.len(), pending)),
                None => return Ok(ControlFlow::Break(())),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Compare one folder; what is to be compared below it, the first last. `None` if nobody asks further.
    fn level<I: Interest>(
        &self,
        place: &I::Place,
        trees: &Trees,
        path: &[u8],
        interest: &mut I,
    ) -> Result<Option<Vec<Pending<I::Place>>>, ChangesError> {
        let hash = self.reader.hash();
        let parse = |id: Option<ObjectId>, bytes| {
            let named = || id.unwrap_or_else(|| ObjectId::null(hash));
            Tree::parse(hash, bytes).map_err(|cause| ChangesError::Tree { id: named(), cause })
        };
        let (new, old) = (self.tree(trees.new)?, self.tree(trees.old)?);
        let (new, old) = (parse(trees.new, &new)?, parse(trees.old, &old)?);
        let aside: Vec<Option<ObjectId>> = trees
            .merge
            .iter()
            .flat_map(|merge| [merge.other].into_iter().chain(merge.bases.clone()))
            .collect();
        let bytes = aside.iter().map(|id| self.tree(*id)).collect::<Result<Vec<_>, _>>()?;
        let aside =
            aside.iter().zip(&bytes).map(|(id, bytes)| parse(*id, bytes)).collect::<Result<Vec<_>, _>>()?;

        let mut pending = Vec::new();
        let mut entries = 0;
        for (name, new, old) in new.join(&old) {
            entries += 1 + aside.len();
            if entries >= ASKED_EVERY {
                self.allowance.goes_on()?;
                entries = 0;
            }
            if new == old {
                continue;
            }
            let aside: Vec<Option<Entry>> = aside.iter().map(|tree| tree.get(name)).collect();
            let excuses = |view: &dyn Fn(Option<Entry>) -> Option<Entry>| {
                let Some((other, bases)) = aside.split_first() else { return false };
                view(new) == view(*other) && bases.iter().all(|base| view(*base) == view(old))
            };
            if excuses(&|entry| entry) {
                continue;
            }
            let leaf = |entry: Option<Entry>| entry.filter(Entry::is_leaf);
            if leaf(new) != leaf(old) && !excuses(&leaf) && interest.matters(place, name) {
                let whole = [path, name].concat();
                if interest.change(place, name, &whole).is_break() {
                    return Ok(None);
                }
            }
            let folder = |entry: Option<Entry>| entry.and_then(|entry| entry.folder());
            let merge = aside.split_first().map(|(other, bases)| Merge {
                other: folder(*other),
                bases: bases.iter().map(|base| folder(*base)).collect(),
            });
            let below = Trees { new: folder(new), old: folder(old), merge };
            if !below.is_settled()
                && let Some(place) = interest.enter(place, name)
            {
                pending.push(Pending { place, name: name.to_vec(), trees: below });
            }
        }
        pending.reverse();
        Ok(Some(pending))
    }
}

impl Trees {
    /// Whether nothing below can have changed.
    fn is_settled(&self) -> bool {
        let is_excused =
            |merge: &Merge| self.new == merge.other && merge.bases.iter().all(|base| *base == self.old);
        self.new == self.old || self.merge.as_ref().is_some_and(is_excused)
    }
}

/// Whether there is anything that matters to somebody else: the first such thing ends the comparison.
struct Any<'i, I>(&'i I);

impl<I: Interest> Interest for Any<'_, I> {
    type Place = I::Place;

    fn root(&self) -> Self::Place {
        self.0.root()
    }

    fn enter(&self, place: &Self::Place, name: &[u8]) -> Option<Self::Place> {
        self.0.enter(place, name)
    }

    fn matters(&self, place: &Self::Place, name: &[u8]) -> bool {
        self.0.matters(place, name)
    }

    fn change(&mut self, _place: &Self::Place, _name: &[u8], _path: &[u8]) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

#[cfg(test)]
mod tests;
