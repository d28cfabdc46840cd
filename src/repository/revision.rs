//! Revisions and ranges as people type them, resolved by gix.

use gix::{objs::Kind, revision::plumbing::Spec};

use super::{ObjectReadError, ObjectReader, Repository, tagged};
use crate::object::ObjectId;

/// What a revision argument names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// `A..B`: what is reachable from `include` and not from `exclude`; both are commits.
    Range {
        /// `A`.
        exclude: ObjectId,
        /// `B`.
        include: ObjectId,
    },
    /// One object as it was named: an annotated tag stays a tag.
    Single(ObjectId),
}

/// Why a revision argument cannot be resolved. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// An end of a range is not a commit and no tag of one.
    #[error("'{0}' is not a commit")]
    NotACommit(ObjectId),
    /// An object on the way cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    /// A range, where one object is asked for.
    #[error("'{0}' is a range")]
    Range(String),
    /// The repository cannot be opened for asking.
    #[error("the repository cannot be opened: {0}")]
    Open(String),
    /// It names nothing, or several things.
    #[error("'{revision}' cannot be resolved: {reason}")]
    Unknown {
        /// What was typed.
        revision: String,
        /// Why not.
        reason: String,
    },
    /// A form such as `A...B` or `^A`.
    #[error("'{0}' is neither a revision nor a range 'A..B'")]
    Unsupported(String),
}

/// Resolves revisions in one repository.
pub struct Resolver {
    opened: gix::Repository,
    reader: ObjectReader,
}

impl Resolver {
    pub(super) fn new(repository: &Repository) -> Result<Self, RevisionError> {
        let options = gix::open::Options::isolated()
            .open_path_as_is(true)
            .strict_config(true)
            // A commit-graph file states parents, and nothing proves them.
            .config_overrides(["core.commitGraph=false"]);
        let mut opened = gix::open_opts(repository.git_dir(), options)
            .map_err(|error| RevisionError::Open(error.to_string()))?;
        opened.objects.ignore_replacements = true;
        opened.refs.namespace = None;
        Ok(Self { opened, reader: repository.objects()?.reader() })
    }

    /// The one object that `revision` names, as it was named: an annotated tag stays a tag.
    ///
    /// # Errors
    /// It names nothing, or a range.
    pub fn single(&self, revision: &str) -> Result<ObjectId, RevisionError> {
        match self.resolve(revision)? {
            Revision::Single(id) => Ok(id),
            Revision::Range { .. } => Err(RevisionError::Range(revision.to_owned())),
        }
    }

    /// The one commit that `revision` names, or the tag of which it does.
    ///
    /// # Errors
    /// It names nothing, a range, or no commit.
    pub fn single_commit(&self, revision: &str) -> Result<ObjectId, RevisionError> {
        self.single(revision).and_then(|id| self.commit(id))
    }

    /// Resolve a revision or a range as the command line gives it.
    ///
    /// # Errors
    /// It names nothing, or something that is neither.
    pub fn resolve(&self, revision: &str) -> Result<Revision, RevisionError> {
        let spec = self
            .opened
            .rev_parse(revision)
            .map_err(|error| RevisionError::Unknown {
                revision: revision.to_owned(),
                reason: innermost(&error),
            })?
            .detach();
        match spec {
            Spec::Include(id) => Ok(Revision::Single(id)),
            Spec::Range { from, to } => {
                Ok(Revision::Range { exclude: self.commit(from)?, include: self.commit(to)? })
            }
            _ => Err(RevisionError::Unsupported(revision.to_owned())),
        }
    }

    /// The commit that `id` is, or that tags lead to.
    ///
    /// # Errors
    /// It is none, or cannot be read.
    pub fn commit(&self, id: ObjectId) -> Result<ObjectId, RevisionError> {
        let (_, target) = tagged(&self.reader, id);
        let target = target.ok_or(RevisionError::NotACommit(id))?;
        match self.reader.kind(target)? {
            Kind::Commit => Ok(target),
            _ => Err(RevisionError::NotACommit(id)),
        }
    }
}

/// The cause behind all others; what stands before it speaks of gix's own steps.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.to_string() {
        // A word of gix's own for a ref that is not there.
        reason if reason == "NotFound" => "there is nothing of this name".to_owned(),
        reason => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    #[test]
    fn revisions_ranges_and_tags() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        scratch.git(&["tag", "-m", "v1", "v1"]);
        let two = scratch.commit("two");
        let resolver = scratch.open().resolver().unwrap();
        assert_eq!(resolver.resolve("HEAD").unwrap(), Revision::Single(two));
        assert_eq!(resolver.resolve("HEAD~1").unwrap(), Revision::Single(one));
        assert_eq!(resolver.resolve(&two.to_string()[..10]).unwrap(), Revision::Single(two));
        assert_eq!(resolver.resolve("v1").unwrap(), Revision::Single(scratch.id("v1^{tag}")));
        assert_eq!(resolver.resolve("v1..main").unwrap(), Revision::Range { exclude: one, include: two });
        let unknown = resolver.resolve("nothing").unwrap_err();
        assert!(matches!(unknown, RevisionError::Unknown { .. }));
        assert_eq!(unknown.to_string(), "'nothing' cannot be resolved: there is nothing of this name");
        assert!(matches!(resolver.resolve("v1...main"), Err(RevisionError::Unsupported(_))));
        assert!(matches!(resolver.single("v1..main"), Err(RevisionError::Range(_))));
        assert_eq!(resolver.single("v1").unwrap(), scratch.id("v1^{tag}"));
        assert_eq!(resolver.single_commit("v1").unwrap(), one);
    }

    #[test]
    fn replace_refs_change_nothing() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let two = scratch.commit("two");
        scratch.git(&["replace", &two.to_string(), &one.to_string()]);
        assert_eq!(scratch.open().resolver().unwrap().resolve("HEAD^").unwrap(), Revision::Single(one));
    }

    #[test]
    fn linked_work_trees_and_sha_256() {
        let scratch = Scratch::new(&["--object-format=sha256"]);
        scratch.commit("one");
        scratch.git(&["worktree", "add", "-q", "-b", "side", "linked"]);
        scratch.commit("two");
        let linked = Repository::discover(&scratch.path().join("linked"), None).unwrap();
        assert_eq!(linked.resolver().unwrap().resolve("HEAD").unwrap(), Revision::Single(scratch.id("side")));
        assert_eq!(linked.resolver().unwrap().resolve("main").unwrap(), Revision::Single(scratch.id("main")));
    }
}
