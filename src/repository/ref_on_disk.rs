//! Giving a ref of ours another value that is on the disk before anybody relies on it.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use gix::{bstr::ByteSlice as _, lock::acquire::Fail};

use super::{Author, ReferenceError, References, ref_lock::RefLock, sync_folder};
use crate::object::ObjectId;

/// The lock of a loose ref.
enum Lock {
    /// One that is free once whoever took it has ended.
    Own(RefLock),
    /// Where there are none of those: one that stays until somebody takes it away.
    Plain(gix::lock::File),
}

impl Lock {
    /// Take it, or say why it cannot be had within `patience`.
    fn take(path: &Path, boundary: &Path, patience: Duration) -> Result<Self, String> {
        match RefLock::take(path, patience) {
            Ok(Some(lock)) => Ok(Self::Own(lock)),
            Ok(None) => Err("somebody else has locked it".to_owned()),
            Err(_) => {
                let wait = Fail::AfterDurationWithBackoff(patience);
                let lock =
                    gix::lock::File::acquire_to_update_resource(path, wait, Some(boundary.to_owned()), 0);
                lock.map(Self::Plain).map_err(|error| error.to_string())
            }
        }
    }

    /// Let the ref hold `bytes`, which have reached the disk before.
    fn commit(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Own(lock) => lock.commit(bytes),
            Self::Plain(mut lock) => {
                lock.with_mut(|file| {
                    file.write_all(bytes)?;
                    file.sync_all()
                })?;
                lock.commit().map(drop).map_err(|error| error.error)
            }
        }
    }
}

impl References {
    /// Whether a process that lives is giving the ref of this name another value by [`Self::replace_on_disk`]. Of one
    /// that keeps a log this is not known.
    #[must_use]
    pub fn is_being_replaced(&self, name: &str) -> bool {
        RefLock::is_held(&self.common_dir().join(name))
    }

    /// [`Self::replace`], and the disk has it when this returns. What the ref is to hold gets there before it takes
    /// the ref's name: whenever the power fails, the ref holds one value or the other, and no half of one.
    ///
    /// # Errors
    /// As for [`Self::replace`]; the ref may hold the new value where only the disk has failed.
    pub fn replace_on_disk(
        &self,
        name: &str,
        old: Option<ObjectId>,
        new: ObjectId,
        author: &Author,
        message: &str,
    ) -> Result<bool, ReferenceError> {
        let unwritable = |reason: String| ReferenceError::Unwritable { name: name.into(), reason };
        let path = self.common_dir().join(name);
        let folder = path.parent().expect("a ref lies in a folder");
        let sync = |file: std::io::Result<File>| {
            let synced = file.and_then(|file| file.sync_all()).and_then(|()| sync_folder(folder));
            synced.map_err(|error| unwritable(error.to_string()))
        };
        // Whoever keeps a log of the ref gets it.
        if self.common_dir().join("logs").join(name).exists() {
            let is_moved = self.replace(name, old, new, author, message)?;
            // Packed by somebody in this very moment, it is as safe as they make it.
            if is_moved && path.exists() {
                sync(File::open(&path))?;
            }
            return Ok(is_moved);
        }
        let is_new = !folder.exists();
        let boundary = self.common_dir().join("refs");
        let lock = match Lock::take(&path, &boundary, self.patience()) {
            Ok(lock) => lock,
            Err(reason) if self.read(name.as_bytes().as_bstr())?.id == old => return Err(unwritable(reason)),
            // Somebody else was first.
            Err(_) => return Ok(false),
        };
        let value = self.read(name.as_bytes().as_bstr())?;
        if value.names.len() != 1 || value.id != old {
            return Ok(false);
        }
        lock.commit(format!("{new}\n").as_bytes()).map_err(|error| unwritable(error.to_string()))?;
        let synced = sync_folder(folder).and_then(|()| {
            // The folder is as new as what it holds.
            if is_new { folder.parent().map_or(Ok(()), sync_folder) } else { Ok(()) }
        });
        synced.map_err(|error| unwritable(error.to_string()))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    const NAME: &str = "refs/countersign/x";

    fn author() -> Author {
        Author { name: "a".to_owned(), email: "a@example.org".to_owned(), time: 5 }
    }

    #[test]
    fn a_ref_is_replaced_only_from_the_value_that_is_known() {
        for is_logged in [false, true] {
            let scratch = Scratch::new(&[]);
            let (one, two) = (scratch.commit("one"), scratch.commit("two"));
            let log = scratch.open().common_dir().join("logs").join(NAME);
            if is_logged {
                std::fs::create_dir_all(log.parent().unwrap()).unwrap();
                std::fs::write(&log, "").unwrap();
            }
            let references = scratch.open().references();
            let replace = |old, new| references.replace_on_disk(NAME, old, new, &author(), "m").unwrap();
            assert!(!replace(Some(one), two), "there is none");
            assert!(replace(None, one));
            assert!(!replace(None, two) && !replace(Some(two), one));
            assert_eq!(references.read(NAME.into()).unwrap().id, Some(one));
            // Packed, it is what it is.
            scratch.git(&["pack-refs", "--all"]);
            assert!(!replace(None, two) && !replace(Some(two), one));
            assert!(replace(Some(one), two));
            assert_eq!(references.read(NAME.into()).unwrap().id, Some(two));
            assert_eq!(scratch.git(&["rev-parse", NAME]), two.to_string());
            let lines = std::fs::read_to_string(&log).unwrap_or_default().lines().count();
            assert_eq!(lines, if is_logged { 2 } else { 0 });
            scratch.git(&["fsck", "--strict"]);
        }
    }

    #[test]
    fn a_ref_that_somebody_else_writes_or_that_is_another_name_is_left_alone() {
        let scratch = Scratch::new(&[]);
        let (one, two) = (scratch.commit("one"), scratch.commit("two"));
        let references = scratch.open().references().waiting_at_most(std::time::Duration::from_millis(50));
        let replace = |old, new| references.replace_on_disk(NAME, old, new, &author(), "m");
        assert!(replace(None, one).unwrap());
        let lock = scratch.open().common_dir().join(format!("{NAME}.lock"));
        std::fs::write(&lock, "").unwrap();
        assert!(replace(Some(one), two).is_err());
        assert!(!replace(Some(two), one).unwrap());
        assert!(lock.exists(), "it is somebody else's");
        std::fs::remove_file(&lock).unwrap();
        scratch.git(&["symbolic-ref", NAME, "refs/heads/other"]);
        scratch.git(&["update-ref", "refs/heads/other", &one.to_string()]);
        assert!(!replace(Some(one), two).unwrap());
        assert!(!lock.exists());
    }
}
