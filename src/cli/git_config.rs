//! Settings are written by git itself: it knows where they belong, and locks the file.

use std::{ffi::OsStr, path::Path, process::Command};

use super::World;
use crate::words::Failure;

/// Run git with `arguments`, which end in `git config`'s own, in `directory`. What git says against
/// it becomes a failure by `refused`.
pub(super) fn write(
    world: &World<'_>,
    directory: &Path,
    arguments: &[&OsStr],
    refused: impl FnOnce(String) -> Failure,
) -> Result<(), Failure> {
    let mut git = Command::new("git");
    git.current_dir(directory).env_clear().envs(world.environment.iter());
    let output = git.args(arguments).output().map_err(|error| {
        Failure::new(format!("git cannot be run: {error}"), "install git, or put it into PATH")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
