//! Objects that are on the disk before anything names them.

use std::{fs::File, io, path::Path};

use gix::objs::{Kind, Write as _};

use super::Repository;
use crate::object::ObjectId;

/// Why an object cannot be stored.
#[derive(Debug, thiserror::Error)]
#[error("an object cannot be written to '{}': {reason}", path.display())]
pub struct WriteError {
    path: std::path::PathBuf,
    reason: String,
}

impl Repository {
    /// Store an object, and wait until it has reached the disk; its id.
    ///
    /// # Errors
    /// It cannot be written, or not whole.
    pub fn store_durably(&self, kind: Kind, bytes: &[u8]) -> Result<ObjectId, WriteError> {
        let folder = self.common_dir.join("objects");
        let failed =
            |error: &dyn std::fmt::Display| WriteError { path: folder.clone(), reason: error.to_string() };
        let store = gix::odb::loose::Store::at(folder.clone(), self.hash);
        let id = store.write_buf(kind, bytes).map_err(|error| failed(&error))?;
        let path = store.object_path(&id);
        File::open(&path).and_then(|file| file.sync_all()).map_err(|error| failed(&error))?;
        let parent = path.parent().expect("an object lies in a folder");
        sync_folder(parent).and_then(|()| sync_folder(&folder)).map_err(|error| failed(&error))?;
        Ok(id)
    }
}

/// Wait until the names in `folder` have reached the disk.
///
/// # Errors
/// It is none, or the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
