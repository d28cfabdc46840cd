//! One hook for every repository of a server: which of them it stands before.

use std::{fs, path::PathBuf};

use super::{
    HookName, Shim,
    configured::Configured,
    install::{default_state, hook_path},
    status::find,
};
use crate::repository::Repository;

/// The hook that stands before a repository, where git finds it.
pub(super) struct Standing {
    /// The file.
    pub(super) hook: PathBuf,
    /// What it holds, if it is a shim that can be read; of one for every repository the state is that of this one.
    pub(super) shim: Option<Shim>,
    /// It is one for every repository, and this is where those keep their state.
    pub(super) for_all: Option<PathBuf>,
}

impl Standing {
    /// Look at the `hook` that stands before `repository`.
    pub(super) fn at(repository: &Repository, hook: PathBuf) -> Self {
        let shim = match fs::read(&hook).ok().and_then(|text| Shim::parse(&text).ok()) {
            Some(shim) if shim.repository.as_os_str().is_empty() => shim,
            shim => return Self { hook, shim, for_all: None },
        };
        let own = repository.git_dir();
        let own = own.canonicalize().unwrap_or_else(|_| own.to_owned());
        let base = shim.state.clone();
        let state = base.join(own.strip_prefix("/").unwrap_or(&own));
        Self { hook, shim: Some(Shim { state, repository: own, ..shim }), for_all: Some(base) }
    }

    /// Find out which hook stands before `repository`.
    pub(super) fn of(repository: &Repository) -> Self {
        let found = Configured::read(repository.git_dir()).ok();
        let found = found.and_then(|configured| find(repository, &configured, &mut Vec::new()).ok());
        // Where git does not say, its own hooks are what there may be.
        let hook = found.map_or_else(|| hook_path(repository, HookName::PreReceive), |(hook, _)| hook);
        Self::at(repository, hook)
    }
}

/// The state folder of `repository`'s hook: where its shim says, or where one would be.
#[must_use]
pub fn state_folder(repository: &Repository) -> PathBuf {
    Standing::of(repository).shim.map_or_else(|| default_state(repository), |shim| shim.state)
}
