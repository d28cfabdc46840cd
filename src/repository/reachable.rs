//! Everything that can be signed and is reachable from a set of tips: each object once, read once.
//!
//! The walk keeps ids only, so it needs a few bytes for a commit however large the history is. Like every
//! walk here it believes raw objects alone: no commit-graph, replace ref or graft.

use std::collections::HashSet;

use gix::objs::{CommitRefIter, Kind, TagRefIter};

use super::{Object, ObjectReadError, ObjectReader, Shallow};
use crate::object::{Commit, HashKind, ObjectId, Tag};

/// An object that the walk has come upon.
#[derive(Debug)]
pub struct Found {
    /// Its id.
    pub id: ObjectId,
    /// The object, or why it cannot be had.
    pub object: Result<Object, ObjectReadError>,
    /// The history is cut off here: it has parents, and they are not looked for.
    pub cut_off: bool,
}

/// The walk: tip after tip, each followed by its history, first parents first.
pub struct Reachable {
    objects: ObjectReader,
    shallow: Shallow,
    seen: HashSet<ObjectId>,
    stack: Vec<ObjectId>,
}

impl Reachable {
    /// Walk from `tips`. Those that are trees or blobs are passed over: they hold nothing that is signed.
    pub fn new(objects: ObjectReader, shallow: Shallow, tips: impl IntoIterator<Item = ObjectId>) -> Self {
        let mut walk = Self { objects, shallow, seen: HashSet::new(), stack: Vec::new() };
        for tip in tips {
            walk.push_signable(tip);
        }
        walk.stack.reverse();
        walk
    }

    /// Walk from one more tip, but for what was met already.
    pub(super) fn also(&mut self, tip: ObjectId) {
        self.push_signable(tip);
    }

    fn push(&mut self, id: ObjectId) {
        if self.seen.insert(id) {
            self.stack.push(id);
        }
    }

    /// Push what is no tree or blob by its own account, whatever others say of it.
    fn push_signable(&mut self, id: ObjectId) {
        if !matches!(self.objects.kind(id), Ok(Kind::Tree | Kind::Blob)) {
            self.push(id);
        }
    }
}

impl Iterator for Reachable {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let id = self.stack.pop()?;
        let object = self.objects.read(id);
        let mut cut_off = false;
        if let Ok(object) = &object {
            let hash = self.objects.hash();
            match object.kind {
                Kind::Commit => {
                    let parents = parents(hash, &object.bytes);
                    cut_off = !parents.is_empty() && self.shallow.contains(id);
                    if !cut_off {
                        parents.into_iter().rev().for_each(|parent| self.push(parent));
                    }
                }
                Kind::Tag => {
                    if let Some((target, stated)) = target(hash, &object.bytes) {
                        match stated {
                            // A partial clone may not have it, and need not.
                            Kind::Tree | Kind::Blob if self.objects.kind(target).is_err() => {}
                            _ => self.push_signable(target),
                        }
                    }
                }
                Kind::Tree | Kind::Blob => {}
            }
        }
        Some(Found { id, object, cut_off })
    }
}

/// The parents of a commit. One that is malformed still tells them, so that nothing hides behind it.
fn parents(hash: HashKind, object: &[u8]) -> Vec<ObjectId> {
    match Commit::parse(hash, object) {
        Ok(commit) => commit.parents,
        Err(_) => CommitRefIter::from_bytes(object, hash).parent_ids().collect(),
    }
}

/// What a tag names, and of which kind that is by the tag's account; also where the tag is malformed.
fn target(hash: HashKind, object: &[u8]) -> Option<(ObjectId, Kind)> {
    match Tag::parse(hash, object) {
        Ok(tag) => Some((tag.target, tag.target_kind)),
        Err(_) => Some((TagRefIter::from_bytes(object, hash).target_id().ok()?, Kind::Commit)),
    }
}

/// The tags on the way from `id`, if it is one, and what they lead to unless that is a tree or a blob: a
/// commit, or something that cannot be read.
#[must_use]
pub fn tagged(objects: &ObjectReader, id: ObjectId) -> (Vec<ObjectId>, Option<ObjectId>) {
    let mut tags = Vec::new();
    let mut current = id;
    loop {
        match objects.kind(current) {
            Ok(Kind::Tree | Kind::Blob) => return (tags, None),
            Ok(Kind::Tag) => {}
            Ok(Kind::Commit) | Err(_) => return (tags, Some(current)),
        }
        let Ok(object) = objects.read(current) else { return (tags, Some(current)) };
        tags.push(current);
        match target(objects.hash(), &object.bytes) {
            Some((target, _)) => current = target,
            None => return (tags, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    fn walk(scratch: &Scratch, tips: &[ObjectId]) -> Vec<(ObjectId, bool, bool)> {
        let repository = scratch.open();
        let reader = repository.objects().unwrap().reader();
        Reachable::new(reader, repository.shallow(None).unwrap(), tips.iter().copied())
            .map(|found| (found.id, found.object.is_ok(), found.cut_off))
            .collect()
    }

    fn found(ids: &[ObjectId]) -> Vec<(ObjectId, bool, bool)> {
        ids.iter().map(|id| (*id, true, false)).collect()
    }

    #[test]
    fn each_object_comes_once_with_tags_and_without_trees_and_blobs() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        scratch.git(&["checkout", "-q", "-b", "side"]);
        let side = scratch.commit("side");
        scratch.git(&["checkout", "-q", "main"]);
        let two = scratch.commit("two");
        scratch.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        scratch.git(&["tag", "-m", "inner", "inner"]);
        scratch.git(&["-c", "advice.nestedTag=false", "tag", "-m", "outer", "outer", "inner"]);
        scratch.git(&["tag", "-m", "tree", "tree", "HEAD^{tree}"]);
        let [merge, inner, outer, tagged] =
            ["main", "inner^{tag}", "outer^{tag}", "tree^{tag}"].map(|name| scratch.id(name));
        let tree = scratch.id("HEAD^{tree}");
        assert_eq!(
            walk(&scratch, &[merge, side, tree, outer, inner, tagged]),
            found(&[merge, two, one, side, outer, inner, tagged])
        );
    }

    #[test]
    fn a_tag_that_lies_about_its_target_hides_nothing() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let text = format!("object {one}\ntype blob\ntag t\ntagger A <a@b.c> 1 +0000\n\nm\n");
        let arguments = ["hash-object", "-t", "tag", "-w", "--stdin", "--literally"];
        let liar: ObjectId = scratch.git_with(&arguments, text.as_bytes()).parse().unwrap();
        assert_eq!(walk(&scratch, &[liar]), found(&[liar, one]));
    }

    #[test]
    fn however_many_tags_lead_to_a_commit_all_are_told() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let mut tags = Vec::new();
        let mut target = (one, "commit");
        for number in 0..40 {
            let (id, kind) = target;
            let text = format!("object {id}\ntype {kind}\ntag t{number}\ntagger A <a@b.c> 1 +0000\n\nm\n");
            let tag = scratch.git_with(&["hash-object", "-t", "tag", "-w", "--stdin"], text.as_bytes());
            target = (tag.parse().unwrap(), "tag");
            tags.insert(0, target.0);
        }
        let reader = scratch.open().objects().unwrap().reader();
        assert_eq!(tagged(&reader, tags[0]), (tags.clone(), Some(one)));
        assert_eq!(tagged(&reader, one), (vec![], Some(one)));
        assert_eq!(tagged(&reader, scratch.id("HEAD^{tree}")), (vec![], None));
        let gone = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        assert_eq!(tagged(&reader, gone), (vec![], Some(gone)));
        assert_eq!(walk(&scratch, &[tags[0]]), found(&[&tags[..], &[one]].concat()));
    }

    #[test]
    fn cuts_and_gaps_are_told_and_the_rest_is_walked() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let two = scratch.commit("two");
        let three = scratch.commit("three");
        std::fs::write(scratch.path().join(".git/shallow"), format!("{one}\n{two}\n")).unwrap();
        assert_eq!(walk(&scratch, &[three]), [(three, true, false), (two, true, true)]);
        assert_eq!(walk(&scratch, &[one]), found(&[one]), "it has no parents to miss");
        std::fs::remove_file(scratch.path().join(".git/shallow")).unwrap();
        let hex = two.to_string();
        std::fs::remove_file(scratch.path().join(".git/objects").join(&hex[..2]).join(&hex[2..])).unwrap();
        assert_eq!(
            walk(&scratch, &[three, one]),
            [(three, true, false), (two, false, false), (one, true, false)]
        );
    }
}
