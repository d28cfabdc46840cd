//! What has to be judged for one ref: its events, the tag objects on the way, and the commit behind them.

use gix::objs::Kind;

use crate::{
    object::{ObjectId, Tag},
    policy::{Cause, Event, Subject},
    repository::{ObjectReadError, ObjectReader},
};

/// How many tag objects in a row are followed.
const MAXIMUM_TAGS: usize = 8;

/// How much is told of the name that a tag gives itself, in bytes.
const MAXIMUM_NAME: usize = 200;

const BRANCHES: &[u8] = b"refs/heads/";
const TAGS: &[u8] = b"refs/tags/";

/// What a ref's new value leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// The tag objects on the way, the outermost first.
    pub(super) tags: Vec<ObjectId>,
    /// The commit at the end; `None` for a tree or a blob.
    pub(super) commit: Option<ObjectId>,
    /// What the rule has to allow.
    pub(super) events: Vec<(Subject, Event)>,
}

/// Whether a ref is a tag by its name.
pub(super) fn is_tag(reference: &[u8]) -> bool {
    reference.starts_with(TAGS)
}

/// Follow the new value of `reference` to its commit.
///
/// # Errors
/// It leads to something that this ref cannot name, or that cannot be read.
pub(super) fn target(
    objects: &ObjectReader,
    reference: &[u8],
    id: ObjectId,
) -> Result<Target, (Subject, Cause)> {
    let mut target = Target::default();
    let mut current = id;
    let mut stated = None;
    loop {
        let subject = target.tags.last().map_or(Subject::Reference, |tag| Subject::Tag(*tag));
        let unexpected = |error: ObjectReadError| (subject, Cause::Unexpected(error.to_string()));
        let kind = objects.kind(current).map_err(unexpected)?;
        if stated.is_some_and(|stated| stated != kind) {
            return Err((subject, Cause::Unexpected(format!("it misstates what it names, a {kind}"))));
        }
        match kind {
            Kind::Commit => target.commit = Some(current),
            Kind::Tag if reference.starts_with(BRANCHES) => return Err((subject, Cause::NotACommit(kind))),
            Kind::Tag => {
                if target.tags.len() == MAXIMUM_TAGS {
                    return Err((subject, Cause::TooManyNestedTags));
                }
                let object = objects.read(current).map_err(unexpected)?;
                let subject = Subject::Tag(current);
                let tag = Tag::parse(objects.hash(), &object.bytes)
                    .map_err(|cause| (subject, Cause::Malformed(cause)))?;
                if !target.tags.is_empty() {
                    target.events.push((subject, Event::NestedTag));
                } else if is_tag(reference) && reference[TAGS.len()..] != *tag.name {
                    let told = &tag.name[..tag.name.len().min(MAXIMUM_NAME)];
                    target.events.push((subject, Event::MisnamedTag(told.to_vec())));
                }
                target.tags.push(current);
                (current, stated) = (tag.target, Some(tag.target_kind));
                continue;
            }
            Kind::Tree | Kind::Blob if target.tags.is_empty() && !is_tag(reference) => {
                return Err((subject, Cause::NotACommit(kind)));
            }
            Kind::Tree | Kind::Blob => target.events.push((subject, Event::TagOfTreeOrBlob)),
        }
        if target.tags.is_empty() && is_tag(reference) {
            target.events.push((Subject::Reference, Event::LightweightTag));
        }
        return Ok(target);
    }
}

/// The tree that a value leads to without a commit on the way, if it does.
pub(super) fn tree_behind(objects: &ObjectReader, id: ObjectId) -> Option<ObjectId> {
    let mut current = id;
    for _ in 0..=MAXIMUM_TAGS {
        if objects.kind(current).ok()? == Kind::Tree {
            return Some(current);
        }
        let object = objects.read(current).ok().filter(|object| object.kind == Kind::Tag)?;
        current = Tag::parse(objects.hash(), &object.bytes).ok()?.target;
    }
    None
}

/// The commit that a value which stands already leads to, if it can be had.
pub(super) fn commit_behind(objects: &ObjectReader, id: ObjectId) -> Option<ObjectId> {
    let mut current = id;
    for _ in 0..=MAXIMUM_TAGS {
        let object = objects.read(current).ok()?;
        match object.kind {
            Kind::Commit => return Some(current),
            Kind::Tag => current = Tag::parse(objects.hash(), &object.bytes).ok()?.target,
            Kind::Tree | Kind::Blob => return None,
        }
    }
    None
}
