//! Where a hook lies: git's own folder, or the folder in which a forge that owns git's looks for those of others.

use std::path::{Path, PathBuf};

use super::HookName;
use crate::policy::{Forge, ForgeKind};

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
