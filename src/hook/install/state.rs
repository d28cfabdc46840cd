//! The folder in which a repository's hooks note what they have to know of it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::InstallError;
use crate::{
    hook::turn::Turn,
    repository::{
        Durability, Repository,
        system::{self, OsStringExt as _},
        write_whole,
    },
};

/// The longest path that is read, in bytes.
const MAXIMUM_PATH: u64 = 64 * 1024;

/// Where the state is if nothing else is said.
pub(in crate::hook) fn default_state(repository: &Repository) -> PathBuf {
    repository.common_dir().join("countersign")
}

/// Make a folder, if it is not there, that only its owner may enter.
pub(super) fn make_private(folder: &Path) -> Result<(), InstallError> {
    if folder.exists() {
        return Ok(());
    }
    let make = || {
        folder.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        system::make_own_folder(folder)
    };
    make().map_err(|source| InstallError::Io { path: folder.to_owned(), source })
}

/// Make the state folder and note in it whose it is.
pub(in crate::hook) fn claim_state(state: &Path, git_dir: &Path) -> Result<(), InstallError> {
    let failed = |source: std::io::Error| InstallError::Io { path: state.to_owned(), source };
    let owner_file = state.join("repository");
    let own = git_dir.canonicalize().map_err(failed)?;
    make_private(state)?;
    // Two repositories that come to it at once do not both find it free.
    let _turn = Turn::take(state)?;
    let text = match system::read_regular(&owner_file, MAXIMUM_PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        text => Some(text.map_err(|source| InstallError::Io { path: owner_file.clone(), source })?),
    };
    if let Some(text) = text {
        let owner = PathBuf::from(std::ffi::OsString::from_vec(text));
        // What lies in the repository itself has come along with it when it was moved, whoever is in its place now.
        let is_inside = state.canonicalize().is_ok_and(|state| state.starts_with(&own));
        if owner != own && owner.is_dir() && !is_inside {
            return Err(InstallError::StateOfAnother { state: state.to_owned(), owner });
        }
    }
    // Put in its place as a new file: a symbolic link that lies there is not written through.
    write_whole(&owner_file, own.as_os_str().as_encoded_bytes(), Durability::System).map_err(failed)
}
