//! The one user of the server who keeps the ledger: whose state folder it is.
//!
//! What one user leaves there no other can read, enter or take away, so that a push which comes in as another
//! user is refused before anything of it is judged.

use std::{io::ErrorKind, path::Path};

use super::{InstallError, StatusFinding, status::user_name};
use crate::{
    repository::{
        Repository,
        system::{MetadataExt as _, user as own},
    },
    words::Failure,
};

/// Who cannot write what is another's, in words: the owner as far as that can be seen, and the present user.
fn others(state: &Path) -> Option<(Option<String>, String)> {
    let own = own();
    let owner = match state.metadata() {
        Ok(metadata) if metadata.uid() == own => return None,
        Ok(metadata) => Some(user_name(metadata.uid())),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
        // What comes next says what is wrong with it.
        Err(_) => return None,
    };
    Some((owner, user_name(own)))
}

/// Whether a push may come in as the present user.
///
/// # Errors
/// The state folder is another's.
pub(super) fn check_push(state: &Path) -> Result<(), Failure> {
    let Some((owner, user)) = others(state) else { return Ok(()) };
    let owner = owner.map_or_else(|| "another user of the server".to_owned(), |owner| format!("'{owner}'"));
    Err(Failure::new(
        format!("the ledger is kept by {owner} alone, and this push comes in as '{user}'"),
        format!(
            "the server's administrator lets every push come in as {owner}: by an ssh forced command, gitolite or a forge"
        ),
    ))
}

/// Whether the present user may write the ledger that goes with this state folder.
///
/// # Errors
/// It is another's.
pub fn check_administrator(state: &Path) -> Result<(), Failure> {
    let Some((owner, user)) = others(state) else { return Ok(()) };
    let owner = owner.unwrap_or_else(|| "another user".to_owned());
    Err(Failure::new(
        format!("the ledger is kept by '{owner}', and this runs as '{user}'"),
        format!("run it as '{owner}', who could not write what another user leaves"),
    ))
}

/// Whether the present user may begin a ledger in `repository`.
///
/// # Errors
/// The repository is another's, who could not go on with it.
pub(super) fn check_install(repository: &Repository) -> Result<(), InstallError> {
    let owner = repository.common_dir().metadata().map(|metadata| metadata.uid()).ok();
    match owner.filter(|owner| *owner != own()) {
        None => Ok(()),
        Some(owner) => Err(InstallError::AnotherUser { owner: user_name(owner), user: user_name(own()) }),
    }
}

/// What there is to say of an installation whose repository several may write, or whose state folder belongs to
/// another user than the repository.
pub(super) fn look(repository: &Repository, state: &Path, findings: &mut Vec<StatusFinding>) {
    let (Ok(folder), Ok(own)) = (state.metadata(), repository.common_dir().metadata()) else { return };
    let is_shared = findings.iter().any(|finding| matches!(finding, StatusFinding::Shared { .. }));
    if folder.uid() != own.uid() || is_shared {
        findings.push(StatusFinding::OneUser {
            state: state.to_owned(),
            keeper: user_name(folder.uid()),
            repository: user_name(own.uid()),
        });
    }
}
