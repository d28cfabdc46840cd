//! Taking hooks out again, and putting back what was there before.

use std::path::{Path, PathBuf};

use super::{InstallError, Uninstalled};
use crate::{
    hook::{
        HookName,
        configured::{self, Configured},
        hiding,
        layout::Layout,
        place::{absolute, take_out},
        turn::Turn,
    },
    repository::Repository,
};

/// Take out what [`super::install_for_all`] has put into `folder`.
///
/// # Errors
/// A file cannot be changed or moved, or git would still run what is not there any more.
pub fn uninstall_for_all(folder: &Path, configuration: Option<&Path>) -> Result<Uninstalled, InstallError> {
    let folder = absolute(folder)?;
    let _turn = Turn::take(&folder)?;
    let hook = folder.join(HookName::PreReceive.name());
    if let Some(file) = configuration {
        configured::remove(&absolute(file)?)?;
    }
    let configured = Configured::read_anywhere(&folder).ok();
    let named = configured
        .as_ref()
        .filter(|configured| configured.shim(HookName::PreReceive).as_ref() == Some(&hook));
    if let Some(file) = named.and_then(|configured| configured.file(HookName::PreReceive)) {
        return Err(InstallError::StillNamed { hook, file: file.to_owned() });
    }
    let places = |name| Layout::shared_places(&folder, name);
    take_all_out(&folder, &places)
}

/// Take the shims out, and put the hooks that were there before back in their place, byte for byte.
///
/// # Errors
/// The repository cannot be opened, or a file not moved.
pub fn uninstall(repository: &Path) -> Result<Uninstalled, InstallError> {
    let repository = Repository::open(repository)?;
    let git_dir = repository.common_dir();
    let _turn = Turn::take(git_dir)?;
    // First: git fails where it is to run what is not there.
    configured::remove(&git_dir.join("config"))?;
    let uninstalled = take_all_out(git_dir, &|name| Layout::places(git_dir, name).collect())?;
    let path = git_dir.join("config");
    hiding::show(git_dir).map_err(|source| InstallError::Io { path, source })?;
    Ok(uninstalled)
}

/// Take every hook out of its `places`. First the one that judges transactions, which asks the gate.
fn take_all_out(top: &Path, places: &dyn Fn(HookName) -> Vec<PathBuf>) -> Result<Uninstalled, InstallError> {
    let mut uninstalled = Uninstalled::Nothing;
    for name in HookName::ALL.into_iter().rev() {
        for path in places(name) {
            uninstalled = uninstalled.max(take_out_with_folder(&path, name, top)?);
        }
    }
    Ok(uninstalled)
}

/// Take the hook at `path` out, if it is ours; folders below `top` that were made for it go with it if nothing else is
/// in them, but for git's own.
pub(super) fn take_out_with_folder(
    path: &Path,
    name: HookName,
    top: &Path,
) -> Result<Uninstalled, InstallError> {
    let uninstalled = take_out(path, &|text| name.is_shim(text))?;
    if uninstalled != Uninstalled::Nothing {
        let gits = top.join("hooks");
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != top && *folder != gits) {
            // One that is not empty stays as it is.
            let _ = std::fs::remove_dir(folder);
        }
    }
    Ok(uninstalled)
}
