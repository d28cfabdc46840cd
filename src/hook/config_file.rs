//! Changing one of git's configuration files under the lock that git itself takes, so that every other byte of
//! it stays as it is.

use std::{fs, io, io::Write as _, path::Path, time::Duration};

use gix::lock::{File, acquire::Fail};

use crate::repository::system;

/// How long somebody else's writing is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to become of a file.
pub(super) enum Change {
    /// It stays as it is.
    Nothing,
    /// It goes.
    Remove,
    /// It gets this text.
    Text(Vec<u8>),
}

/// Change the file at `path` as `decide` says by its text, which is `None` where there is no file.
///
/// # Errors
/// It cannot be read or written, or is locked for long.
pub(super) fn change<E: From<io::Error>>(
    path: &Path,
    decide: impl FnOnce(Option<&[u8]>) -> Result<Change, E>,
) -> Result<(), E> {
    // A link stays one; what it leads to is written.
    let path = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => path.to_owned(),
        found => found?,
    };
    let wait = Fail::AfterDurationWithBackoff(PATIENCE);
    let mut lock = File::acquire_to_update_resource(&path, wait, None, 0)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let (before, permissions) = match fs::read(&path) {
        Ok(text) => (Some(text), Some(path.metadata()?.permissions())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
        Err(error) => return Err(error.into()),
    };
    match decide(before.as_deref())? {
        Change::Nothing => {}
        // The lock goes with its end.
        Change::Remove => fs::remove_file(&path)?,
        Change::Text(text) => {
            let is_new = permissions.is_none();
            lock.with_mut(|file| {
                file.write_all(&text)?;
                permissions.map_or(Ok(()), |permissions| file.set_permissions(permissions))
            })?;
            lock.commit().map_err(|error| error.error)?;
            if is_new {
                system::set_mode(&path, 0o644)?;
            }
        }
    }
    Ok(())
}
