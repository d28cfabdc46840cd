//! Where a hook lies: git's own folder, or the folder in which a forge that owns git's looks for those of others.

use std::path::{Path, PathBuf};

use super::{
    HookName, InstallError,
    place::{is_executable, kept_path},
};
use crate::{
    policy::{Forge, ForgeKind},
    repository::{Configuration, ConfigurationError, Repository, Scopes},
};

/// The name of our file in a folder of many hooks.
const OURS: &str = "countersign";

/// Who runs the hooks of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// git itself: `hooks/<name>`.
    Git,
    /// Gitaly: `custom_hooks/<name>.d/*` (GitLab, "Git server hooks").
    Gitaly,
    /// What Gitea and Forgejo put into `hooks/<name>`: `hooks/<name>.d/*`.
    Gitea,
    /// git itself, and its update hook is gitolite's.
    Gitolite,
    /// git itself, by its configuration: `hooks/countersign/<name>`.
    Configured,
}

impl Layout {
    const ALL: [Self; 4] = [Self::Git, Self::Gitaly, Self::Gitea, Self::Configured];

    /// That of a forge; git's own where there is none.
    pub(super) fn of(forge: Option<&Forge>) -> Self {
        match forge.map(|forge| forge.kind) {
            Some(ForgeKind::GitLab) => Self::Gitaly,
            Some(ForgeKind::Gitea) => Self::Gitea,
            Some(ForgeKind::Gitolite) => Self::Gitolite,
            _ => Self::Git,
        }
    }

    /// The path of a hook in a repository; `None` where nobody would run it, or another one owns it.
    pub(super) fn path(self, git_dir: &Path, name: HookName) -> Option<PathBuf> {
        let folder = |parent: &str| git_dir.join(parent).join(format!("{}.d", name.name())).join(OURS);
        let own = || git_dir.join("hooks").join(name.name());
        match (self, name) {
            (Self::Git, _) => Some(own()),
            // What the forge does not know it does not touch.
            (Self::Gitea, HookName::ReferenceTransaction) => Some(own()),
            (Self::Gitea, _) => Some(folder("hooks")),
            (Self::Gitaly, HookName::ReferenceTransaction) | (Self::Gitolite, HookName::Update) => None,
            (Self::Gitaly, _) => Some(folder("custom_hooks")),
            (Self::Gitolite, _) => Some(own()),
            (Self::Configured, _) => Some(Self::configured(git_dir).join(name.name())),
        }
    }

    /// The path of the gate in a repository.
    pub(super) fn gate(self, git_dir: &Path) -> PathBuf {
        self.path(git_dir, HookName::PreReceive).expect("every forge runs pre-receive")
    }

    /// The path of a hook in a folder of hooks for every repository; `None` where nobody would run it there, or another
    /// one owns it.
    pub(super) fn shared_path(self, folder: &Path, name: HookName) -> Option<PathBuf> {
        match (self, name) {
            (Self::Gitaly, HookName::ReferenceTransaction) | (Self::Gitolite, HookName::Update) => None,
            // What it calls its folder of custom hooks.
            (Self::Gitaly, _) => Some(folder.join(format!("{}.d", name.name())).join(OURS)),
            _ => Some(folder.join(name.name())),
        }
    }

    /// Every place in such a folder where a hook of ours may lie.
    pub(super) fn shared_places(folder: &Path, name: HookName) -> Vec<PathBuf> {
        [Self::Git, Self::Gitaly].into_iter().filter_map(|layout| layout.shared_path(folder, name)).collect()
    }

    /// Whether the forge is known to move refs by git alone, which asks no pre-receive hook of them.
    pub(super) fn moves_refs_by_itself(self) -> bool {
        self == Self::Gitea
    }

    /// Why nobody runs the hook at `path`, where it lies in a folder whose hooks a script of the forge's has to run: that
    /// is not there, or does not.
    pub(super) fn unrun(git_dir: &Path, name: HookName, path: &Path) -> Option<String> {
        if Self::Gitea.path(git_dir, name).as_deref() != Some(path) || name == HookName::ReferenceTransaction
        {
            return None;
        }
        let script = Self::Git.path(git_dir, name)?;
        // In the place of one that is ours and goes comes the one that was there before.
        let is_ours = std::fs::read(&script).is_ok_and(|text| name.is_shim(&text));
        let script = if is_ours { kept_path(&script) } else { script };
        let runs = |text: Vec<u8>| gix::bstr::ByteSlice::contains_str(text.as_slice(), ".d/");
        let is_run = is_executable(&script) && std::fs::read(&script).is_ok_and(runs);
        (!is_run).then(|| {
            format!("'{}' does not run what lies in its folder '{}.d'", script.display(), name.name())
        })
    }

    /// The folder of those that git runs by its configuration.
    pub(super) fn configured(git_dir: &Path) -> PathBuf {
        git_dir.join("hooks").join(OURS)
    }

    /// Every place where a hook of ours may lie.
    pub(super) fn places(git_dir: &Path, name: HookName) -> impl Iterator<Item = PathBuf> {
        let places = Self::ALL.map(|layout| layout.path(git_dir, name));
        let own = git_dir.join("hooks").join(name.name());
        std::iter::once(own.clone()).chain(places.into_iter().flatten().filter(move |path| *path != own))
    }

    /// Where a hook is, whoever runs it: the first place that holds a shim of ours, or git's own.
    pub(super) fn find(git_dir: &Path, name: HookName) -> PathBuf {
        let is_ours = |path: &PathBuf| std::fs::read(path).is_ok_and(|text| name.is_shim(&text));
        let own = git_dir.join("hooks").join(name.name());
        Self::places(git_dir, name).find(is_ours).unwrap_or(own)
    }
}

/// Where a repository's hook is, or would be.
pub(super) fn hook_path(repository: &Repository, name: HookName) -> PathBuf {
    Layout::find(repository.common_dir(), name)
}

/// The setting that would make git look elsewhere for hooks, wherever it stands: the folder, as git comes to it in
/// a push, which it takes in in the repository itself (git-config, `core.hooksPath` and "pathname").
pub(super) fn hooks_path(repository: &Repository) -> Result<Option<String>, ConfigurationError> {
    let configuration = configuration(repository)?;
    let Some(said) = configuration.get("core.hooksPath", Scopes::Any).map(ToString::to_string) else {
        return Ok(None);
    };
    // What is relative to some home depends on whose: nobody here knows as whom the pushes come.
    let is_somebodys = said.starts_with('~') || said.starts_with("%(");
    let path = (!is_somebodys).then(|| repository.git_dir().join(&said));
    Ok(Some(path.as_deref().and_then(Path::to_str).map_or(said.clone(), str::to_owned)))
}

pub(super) fn configuration(repository: &Repository) -> Result<Configuration, ConfigurationError> {
    Configuration::read(repository.git_dir(), Some(repository.git_dir()))
}

pub(super) fn refuse_hooks_path(repository: &Repository) -> Result<(), InstallError> {
    hooks_path(repository)?.map_or(Ok(()), |path| Err(InstallError::HooksPath(path)))
}
