//! Objects that are on the disk before anything names them.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
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
}

impl Repository {
    /// Begin to store objects that are on the disk before anything names them.
    #[must_use]
    pub fn durable_objects(&self) -> DurableObjects {
        let folder = self.common_dir.join("objects");
        let store = gix::odb::loose::Store::at(folder.clone(), self.hash);
        DurableObjects { folder, store, paths: BTreeSet::new() }
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
            let parents: BTreeSet<&Path> = self.paths.iter().filter_map(|path| path.parent()).collect();
            parents.into_iter().chain([self.folder.as_path()]).try_for_each(sync_folder)
        };
        sync().map_err(|error| self.failed(&error))
    }
}

/// Wait until the names in `folder` have reached the disk.
///
/// # Errors
/// It is none, or the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
