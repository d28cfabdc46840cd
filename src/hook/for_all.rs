//! One hook for every repository of a server: which of them it stands before, and what it needs to begin a
//! ledger in one that it meets for the first time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    HookName, Shim, ShimError,
    configured::Configured,
    hiding,
    install::{claim_state, default_state},
    layout::{configuration, hook_path},
    status::find,
};
use crate::{ledger::LEDGER, repository::Repository, words::Failure};

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
        Self::read(repository, hook, Shim::parse)
    }

    fn read(
        repository: &Repository,
        hook: PathBuf,
        parse: impl Fn(&[u8]) -> Result<Shim, ShimError>,
    ) -> Self {
        let shim = match fs::read(&hook).ok().and_then(|text| parse(&text).ok()) {
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

    /// Where the hook `name` beside it is looked for.
    pub(super) fn beside(&self, repository: &Repository, name: HookName) -> PathBuf {
        match self.for_all {
            Some(_) => self.hook.with_file_name(name.name()),
            None => hook_path(repository, name),
        }
    }
}

/// The state folder of `repository`'s hook: where its shim says, whichever version of the program has written that,
/// or where one would be.
#[must_use]
pub fn state_folder(repository: &Repository) -> PathBuf {
    let Standing { hook, .. } = Standing::of(repository);
    let shim = Standing::read(repository, hook, Shim::parse_any).shim;
    shim.map_or_else(|| default_state(repository), |shim| shim.state)
}

/// See to it that a ledger can be kept in `repository`, of which nobody has said at installation that one
/// should be: the ref is hidden from pushers, and the state folder is this repository's.
///
/// # Errors
/// One of both cannot be had.
pub(super) fn prepare(repository: &Repository, state: &Path) -> Result<(), Failure> {
    if state.join("repository").is_file() {
        return Ok(());
    }
    if let Err(error) = hiding::hide_always(repository.common_dir()) {
        // Somebody else writes that file; then it may be hidden elsewhere.
        let is_hidden = configuration(repository).is_ok_and(|all| hiding::is_hidden(&all, "receive"));
        if !is_hidden {
            return Err(Failure::new(
                format!(
                    "the ledger cannot be hidden from pushers in this repository's configuration: {error}"
                ),
                format!("the server's administrator runs 'git config --system receive.hideRefs {LEDGER}'"),
            ));
        }
    }
    let hint = "ask the server's administrator to look at the state folder";
    claim_state(state, repository.git_dir()).map_err(|error| Failure::new(error, hint))
}
