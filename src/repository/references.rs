//! Refs as the server itself reads them; and giving one of ours another value.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use gix::{
    bstr::{BStr, BString, ByteSlice},
    lock::acquire::Fail,
    refs::{
        FullName, Target,
        file::Store,
        transaction::{Change, LogChange, PreviousValue, RefEdit},
    },
};

use super::Author;
use crate::object::{HashKind, ObjectId};

/// How many symbolic refs are followed, as git does (refs.c, `SYMREF_MAXDEPTH`).
const MAXIMUM_DEPTH: usize = 5;

/// How long a ref is waited for that somebody else is writing.
const PATIENCE: Duration = Duration::from_secs(2);

/// The refs of one repository. Clones share what was read of `packed-refs`.
#[derive(Clone, Debug)]
pub struct References {
    store: Store,
    common_dir: PathBuf,
    patience: Duration,
}

/// What a ref holds, and the names under which it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceValue {
    /// The name that was asked for, then what each symbolic ref on the way points to.
    pub names: Vec<BString>,
    /// The object; `None` if the last name does not exist.
    pub id: Option<ObjectId>,
}

/// Why a ref cannot be read. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Not a valid full ref name.
    #[error("'{0}' is not a valid ref name")]
    InvalidName(BString),
    /// Symbolic refs in a circle, or too many in a row.
    #[error("the ref '{0}' leads through too many symbolic refs")]
    TooDeep(BString),
    /// The ref is there and cannot be read.
    #[error("the ref '{name}' cannot be read: {reason}")]
    Unreadable {
        /// The ref.
        name: BString,
        /// Why not.
        reason: String,
    },
    /// The ref cannot be given another value.
    #[error("the ref '{name}' cannot be written: {reason}")]
    Unwritable {
        /// The ref.
        name: BString,
        /// Why not.
        reason: String,
    },
}

impl References {
    pub(super) fn new(git_dir: &Path, common_dir: &Path, hash: HashKind) -> Self {
        let store = if git_dir == common_dir {
            Store::at(git_dir.to_owned(), hash)
        } else {
            Store::for_linked_worktree(git_dir.to_owned(), common_dir.to_owned(), hash)
        };
        Self { store, common_dir: common_dir.to_owned(), patience: PATIENCE }
    }

    /// The same, for whoever can wait no longer than `patience` for a ref that somebody else is writing.
    #[must_use]
    pub fn waiting_at_most(self, patience: Duration) -> Self {
        Self { patience: patience.min(self.patience), ..self }
    }

    /// Where shared refs are. Absolute.
    pub(super) fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// How long a ref is waited for that somebody else is writing.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// The value of the ref with exactly this full name, as it stands now.
    ///
    /// # Errors
    /// The name is invalid, or what is there cannot be read.
    pub fn read(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        let mut names: Vec<BString> = vec![name.to_owned()];
        loop {
            let current = names.last().expect("it never becomes empty").clone();
            match self.target(&current)? {
                None => return Ok(ReferenceValue { names, id: None }),
                Some(Target::Object(id)) => return Ok(ReferenceValue { names, id: Some(id) }),
                Some(Target::Symbolic(next)) if names.len() <= MAXIMUM_DEPTH => {
                    names.push(next.into_inner());
                }
                Some(Target::Symbolic(_)) => return Err(ReferenceError::TooDeep(name.to_owned())),
            }
        }
    }

    /// All refs below `refs/` in the order of their names, symbolic ones resolved.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn all(&self) -> Result<Vec<(BString, Option<ObjectId>)>, ReferenceError> {
        let unreadable = |reason: String| ReferenceError::Unreadable { name: "refs/".into(), reason };
        let platform = self.store.iter().map_err(|error| unreadable(error.to_string()))?;
        let mut all = Vec::new();
        for reference in platform.all().map_err(|error| unreadable(error.to_string()))? {
            let reference = reference.map_err(|error| unreadable(error.to_string()))?;
            let id = match reference.target {
                Target::Object(id) => Some(id),
                Target::Symbolic(_) => self.read(reference.name.as_bstr())?.id,
            };
            all.push((reference.name.into_inner(), id));
        }
        Ok(all)
    }

    /// Every ref below `refs/` that holds an object itself, in the order of their names.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn direct(&self) -> Result<Vec<(BString, ObjectId)>, ReferenceError> {
        let unreadable = |reason: String| ReferenceError::Unreadable { name: "refs/".into(), reason };
        let platform = self.store.iter().map_err(|error| unreadable(error.to_string()))?;
        let mut direct = Vec::new();
        for reference in platform.all().map_err(|error| unreadable(error.to_string()))? {
            let reference = reference.map_err(|error| unreadable(error.to_string()))?;
            let name = reference.name.into_inner();
            if let Target::Object(id) = reference.target
                && self.symbolic_link(&name)?.is_none()
            {
                direct.push((name, id));
            }
        }
        Ok(direct)
    }

    /// Let `name` hold `new` if it holds `old` still (`None`: does not exist); whether it does now. No hook
    /// of git's runs for it.
    ///
    /// # Errors
    /// The name is invalid, or the ref cannot be written.
    pub fn replace(
        &self,
        name: &str,
        old: Option<ObjectId>,
        new: ObjectId,
        author: &Author,
        message: &str,
    ) -> Result<bool, ReferenceError> {
        let unwritable = |reason: String| ReferenceError::Unwritable { name: name.into(), reason };
        let full = FullName::try_from(name).map_err(|_| ReferenceError::InvalidName(name.into()))?;
        let change = Change::Update {
            log: LogChange { message: message.into(), ..LogChange::default() },
            expected: match old {
                Some(old) => PreviousValue::MustExistAndMatch(Target::Object(old)),
                None => PreviousValue::MustNotExist,
            },
            new: Target::Object(new),
        };
        let time = format!("{} +0000", author.time);
        let committer = gix::actor::SignatureRef {
            name: author.name.as_str().into(),
            email: author.email.as_str().into(),
            time: &time,
        };
        let wait = Fail::AfterDurationWithBackoff(self.patience);
        let prepared = self.store.transaction().prepare([RefEdit::new(full, change)], wait, wait);
        match prepared {
            Ok(prepared) => {
                prepared.commit(committer).map_err(|error| unwritable(error.to_string()))?;
                Ok(true)
            }
            Err(error) if self.read(name.into())?.id == old => Err(unwritable(error.to_string())),
            // Somebody else was first.
            Err(_) => Ok(false),
        }
    }

    fn target(&self, name: &BString) -> Result<Option<Target>, ReferenceError> {
        let full =
            FullName::try_from(name.as_bstr()).map_err(|_| ReferenceError::InvalidName(name.clone()))?;
        if let Some(target) = self.symbolic_link(name)? {
            return Ok(Some(target));
        }
        let found = self
            .store
            .try_find(full.as_ref())
            .map_err(|error| ReferenceError::Unreadable { name: name.clone(), reason: error.to_string() })?;
        // gix goes on to guess (`refs/tags/<name>` and the like) where the exact name does not exist.
        Ok(found.filter(|reference| reference.name == full).map(|reference| reference.target))
    }

    /// Git takes a symbolic link among loose refs for a symbolic ref (files-backend.c, `read_ref_internal`).
    fn symbolic_link(&self, name: &BString) -> Result<Option<Target>, ReferenceError> {
        if !name.starts_with(b"refs/") {
            return Ok(None);
        }
        let unreadable =
            |reason: &str| ReferenceError::Unreadable { name: name.clone(), reason: reason.to_owned() };
        let relative = name.to_path().map_err(|_| ReferenceError::InvalidName(name.clone()))?;
        let path = self.common_dir.join(relative);
        if !path.is_symlink() {
            return Ok(None);
        }
        let target = std::fs::read_link(&path).map_err(|error| unreadable(&error.to_string()))?;
        let target = gix::path::into_bstr(target).map_err(|_| unreadable("its link is not a path"))?;
        if !target.starts_with(b"refs/") {
            return Err(unreadable("it is a link to something that is no ref"));
        }
        let target = FullName::try_from(target.into_owned())
            .map_err(|_| unreadable("it is a link to something that is no ref"))?;
        Ok(Some(Target::Symbolic(target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    fn read(scratch: &Scratch, name: &str) -> Result<ReferenceValue, ReferenceError> {
        scratch.open().references().read(name.into())
    }

    #[test]
    fn loose_packed_and_absent_refs() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        scratch.git(&["branch", "packed"]);
        scratch.git(&["pack-refs", "--all"]);
        scratch.git(&["branch", "loose"]);
        for name in ["refs/heads/packed", "refs/heads/loose"] {
            let value = read(&scratch, name).unwrap();
            assert_eq!((value.id, value.names), (Some(one), vec![BString::from(name)]));
        }
        assert_eq!(read(&scratch, "refs/heads/absent").unwrap().id, None);
        assert!(matches!(read(&scratch, "refs/heads/a..b"), Err(ReferenceError::InvalidName(_))));
    }

    #[test]
    fn only_the_exact_name_counts() {
        let scratch = Scratch::new(&[]);
        scratch.commit("one");
        scratch.git(&["update-ref", "refs/tags/refs/heads/x", "HEAD"]);
        scratch.git(&["update-ref", "refs/heads/refs/heads/x", "HEAD"]);
        assert_eq!(read(&scratch, "refs/heads/x").unwrap().id, None);
    }

    #[test]
    fn symbolic_refs_tell_every_name_on_the_way() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        scratch.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
        scratch.git(&["symbolic-ref", "refs/heads/alias2", "refs/heads/alias"]);
        let value = read(&scratch, "refs/heads/alias2").unwrap();
        assert_eq!(value.id, Some(one));
        assert_eq!(value.names, ["refs/heads/alias2", "refs/heads/alias", "refs/heads/main"]);
        scratch.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/alias2"]);
        assert!(matches!(read(&scratch, "refs/heads/alias"), Err(ReferenceError::TooDeep(_))));
    }

    #[test]
    fn a_link_among_the_refs_is_a_symbolic_ref() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let heads = scratch.path().join(".git/refs/heads");
        std::os::unix::fs::symlink("refs/heads/main", heads.join("link")).unwrap();
        let value = read(&scratch, "refs/heads/link").unwrap();
        assert_eq!((value.id, value.names.len()), (Some(one), 2));
        std::os::unix::fs::symlink("../../../outside", heads.join("out")).unwrap();
        assert!(matches!(read(&scratch, "refs/heads/out"), Err(ReferenceError::Unreadable { .. })));
    }

    #[test]
    fn a_damaged_ref_is_an_error_and_not_an_absent_one() {
        let scratch = Scratch::new(&[]);
        scratch.commit("one");
        std::fs::write(scratch.path().join(".git/refs/heads/broken"), "garbage").unwrap();
        assert!(matches!(read(&scratch, "refs/heads/broken"), Err(ReferenceError::Unreadable { .. })));
    }

    #[test]
    fn all_refs_are_listed() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        scratch.git(&["tag", "v1"]);
        assert_eq!(
            scratch.open().references().all().unwrap(),
            [("refs/heads/main".into(), Some(one)), ("refs/tags/v1".into(), Some(one))]
        );
    }
}
