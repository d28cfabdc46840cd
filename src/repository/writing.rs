//! Objects that are on the disk before anything names them, and files that are there whole or not at all.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use gix::objs::{Kind, Write as _};

use super::Repository;
use crate::object::ObjectId;

/// Why an object cannot be stored.
#[derive(Debug, thiserror::Error)]
#[error("an object cannot be written to '{}': {reason}", path.display())]
pub struct WriteError {
    path: PathBuf,
    reason: String,
}

/// Objects that are stored together: none is to be named before [`DurableObjects::finish`] has returned.
pub struct DurableObjects {
    folder: PathBuf,
    store: gix::odb::loose::Store,
    paths: BTreeSet<PathBuf>,
    /// Stored by others, who may not have waited for the disk.
    others: BTreeSet<PathBuf>,
}

/// From that age on a folder's own name has reached the disk, whoever has made it: systems write down what changed
/// within half a minute, and those that spare their disk within ten.
const SETTLED_DOWN: Duration = Duration::from_secs(15 * 60);

impl Repository {
    /// Begin to store objects that are on the disk before anything names them.
    #[must_use]
    pub fn durable_objects(&self) -> DurableObjects {
        let folder = self.common_dir.join("objects");
        let store = gix::odb::loose::Store::at(folder.clone(), self.hash);
        DurableObjects { folder, store, paths: BTreeSet::new(), others: BTreeSet::new() }
    }
}

impl DurableObjects {
    fn failed(&self, error: &dyn std::fmt::Display) -> WriteError {
        WriteError { path: self.folder.clone(), reason: error.to_string() }
    }

    /// Store an object; its id.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&mut self, kind: Kind, bytes: &[u8]) -> Result<ObjectId, WriteError> {
        let id = self.store.write_buf(kind, bytes).map_err(|error| self.failed(&error))?;
        self.paths.insert(self.store.object_path(&id));
        Ok(id)
    }

    /// Wait for this object, too, where git has stored it in a file of its own: it does so without waiting for the
    /// disk.
    pub fn with(&mut self, id: ObjectId) {
        self.others.insert(self.store.object_path(&id));
    }

    /// Wait until all of them have reached the disk: what they hold first, then their names, which costs less
    /// than one after the other.
    ///
    /// # Errors
    /// One has not, or not whole.
    pub fn finish(self) -> Result<(), WriteError> {
        let sync = || -> io::Result<()> {
            for path in &self.paths {
                File::open(path)?.sync_all()?;
            }
            for path in &self.others {
                match File::open(path) {
                    // In a pack, for which git waits itself.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    file => file?.sync_all()?,
                }
            }
            let paths = self.paths.iter().chain(self.others.iter().filter(|path| path.exists()));
            let parents: BTreeSet<&Path> = paths.filter_map(|path| path.parent()).collect();
            parents.iter().copied().try_for_each(sync_folder)?;
            let now = self.paths.iter().filter_map(|path| path.metadata().ok()?.modified().ok()).max();
            let is_named =
                now.is_some_and(|now| parents.into_iter().all(|parent| has_settled_down(parent, now)));
            if is_named { Ok(()) } else { sync_folder(&self.folder) }
        };
        sync().map_err(|error| self.failed(&error))
    }
}

/// Whether a folder is so old `now` that its own name is on the disk. Where that cannot be told it is not.
fn has_settled_down(folder: &Path, now: SystemTime) -> bool {
    let made = folder.metadata().and_then(|metadata| metadata.created());
    let age = made.ok().and_then(|made| now.duration_since(made).ok());
    age.is_some_and(|age| age > SETTLED_DOWN)
}

/// Wait until the names in `folder` have reached the disk.
///
/// # Errors
/// It is none, or the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What is there after the power has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What was written: it has reached the disk.
    Disk,
    /// That or what was there before, or a file that was cut short; for what can be had again.
    System,
}

/// Let the file at `path` hold `bytes`, for its owner alone. Whoever reads it finds all of them or what was there
/// before, and a symbolic link is replaced and not written through.
///
/// # Errors
/// There is no folder for it, or it cannot be written; what was there before still is.
pub fn write_whole(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    write_whole_through(folder_of(path)?, path, bytes, durability)
}

/// [`write_whole`], where half a file must not even be seen under another name beside: it grows in the folder
/// `through`, on the same file system.
///
/// # Errors
/// As for [`write_whole`].
pub fn write_whole_through(
    through: &Path,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(through)?;
    file.write_all(bytes)?;
    if durability == Durability::Disk {
        file.as_file().sync_all()?;
    }
    file.persist(path).map_err(|error| error.error)?;
    // Elsewhere folders cannot be opened.
    if cfg!(unix) && durability == Durability::Disk {
        sync_folder(folder_of(path)?)?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn only_a_folder_that_is_old_is_known_to_have_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let Ok(made) = folder.path().metadata().unwrap().created() else {
            eprintln!("SKIPPED: writing::folders: this file system does not say when a folder was made");
            return;
        };
        for (seconds, expected) in [(0, false), (600, false), (1000, true)] {
            assert_eq!(
                has_settled_down(folder.path(), made + Duration::from_secs(seconds)),
                expected,
                "{seconds}"
            );
        }
        assert!(!has_settled_down(folder.path(), made - Duration::from_secs(1000)), "the clock was set back");
        assert!(!has_settled_down(&folder.path().join("none"), made + SETTLED_DOWN * 2));
    }

    #[test]
    fn a_file_is_there_whole_or_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("file"), folder.path().join("aside"));
        fs::create_dir(&aside).unwrap();
        for durability in [Durability::Disk, Durability::System] {
            write_whole(&path, b"one", durability).unwrap();
            write_whole_through(&aside, &path, b"two", durability).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"two");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
            // A link that somebody has put there leads nowhere.
            let other = folder.path().join("other");
            fs::write(&other, "theirs").unwrap();
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&other, &path).unwrap();
            write_whole(&path, b"ours", durability).unwrap();
            assert_eq!(
                (fs::read(&path).unwrap(), fs::read(&other).unwrap()),
                (b"ours".into(), b"theirs".into())
            );
            // What cannot take its place leaves nothing behind.
            let taken = folder.path().join("taken");
            fs::create_dir_all(taken.join("full")).unwrap();
            assert!(write_whole(&taken, b"x", durability).is_err());
            assert!(write_whole_through(&folder.path().join("none"), &path, b"x", durability).is_err());
            assert_eq!(fs::read(&path).unwrap(), b"ours");
        }
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["aside", "file", "other", "taken"]);
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
    }
}
