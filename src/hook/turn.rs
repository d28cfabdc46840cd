//! One at a time: whoever puts hooks into a folder, or takes them out, has it until that is done.

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use super::InstallError;
use crate::repository::system;

/// How long others are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether they are done.
const PAUSE: Duration = Duration::from_millis(10);

/// Nobody else has the folder while this is there; it is gone with its process, however that ends. Where folders
/// cannot be locked everybody has it.
pub(super) struct Turn(#[expect(dead_code, reason = "the lock is the open folder's")] Option<File>);

impl Turn {
    /// Wait for `folder`.
    ///
    /// # Errors
    /// Somebody else has it for too long.
    pub(super) fn take(folder: &Path) -> Result<Self, InstallError> {
        Self::take_within(folder, PATIENCE)
    }

    fn take_within(folder: &Path, patience: Duration) -> Result<Self, InstallError> {
        let Ok(file) = File::open(folder) else { return Ok(Self(None)) };
        let begun = Instant::now();
        loop {
            match system::try_lock(&file) {
                Ok(true) => return Ok(Self(Some(file))),
                Err(_) => return Ok(Self(None)),
                Ok(false) if begun.elapsed() > patience => return Err(InstallError::Busy(folder.to_owned())),
                Ok(false) => std::thread::sleep(PAUSE),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::eventually;

    #[test]
    fn one_waits_for_the_other_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let take = || Turn::take_within(folder.path(), Duration::from_millis(30));
        let turn = take().unwrap();
        assert!(matches!(take(), Err(InstallError::Busy(_))));
        drop(turn);
        eventually(|| take().is_ok());
        assert!(Turn::take(&folder.path().join("none")).is_ok());
    }
}
