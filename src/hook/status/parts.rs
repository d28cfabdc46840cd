//! The hooks of an installation, whatever they go by, and who else could change that.

use std::path::{Path, PathBuf};

use super::{Guarded, StatusFinding, reach, writers};
use crate::{
    hook::{
        Companion, HookName, PolicyPlace, Shim,
        configured::{Configured, Fault},
        for_all::Standing,
        hiding,
        layout::Layout,
        owner,
        place::{asks_for_its_name, is_executable, kept_path},
        pre_receive::same_place,
    },
    policy::ForgeKind,
    repository::{
        Configuration, Repository,
        system::{self, MetadataExt as _},
    },
};

/// What is looked at.
pub(super) struct Installation<'a> {
    pub(super) shim: &'a Shim,
    pub(super) standing: &'a Standing,
    pub(super) repository: &'a Repository,
    pub(super) configuration: &'a Configuration,
    /// git's configuration where hooks are concerned.
    pub(super) configured: &'a Configured,
    /// git runs the hooks by that.
    pub(super) is_configured: bool,
}

/// What is wrong with a hook that runs first, and does what the name under which it is run says.
fn by_its_name(before: &Path) -> String {
    format!(
        "the hook that runs first, '{}', goes by the name under which it is run, which was another one: it may do nothing any more",
        before.display()
    )
}

impl Installation<'_> {
    /// Whether git runs the gate at all, as far as that can be seen from the files.
    pub(super) fn look_whether_it_runs(&self, findings: &mut Vec<StatusFinding>) {
        let hook = &self.standing.hook;
        if !system::may_execute(hook) {
            let what = "the hook may not be executed, and git passes over it".to_owned();
            findings.push(StatusFinding::Open(what));
        } else if let Some(what) = Layout::unrun(self.repository.common_dir(), HookName::PreReceive, hook) {
            findings.push(StatusFinding::Open(what));
        } else {
            findings.extend(self.bars_the_way(hook).map(StatusFinding::Open));
        }
        let Ok(own) = self.repository.common_dir().metadata() else { return };
        if own.uid() != system::user() {
            findings.push(StatusFinding::NotAsOwner {
                user: writers::user_name(system::user()),
                owner: writers::user_name(own.uid()),
            });
        }
    }

    /// What keeps the owner of the repository, as whom pushes come in, from running the hook at `path`.
    fn bars_the_way(&self, path: &Path) -> Option<String> {
        let own = self.repository.common_dir().metadata().ok()?.uid();
        let obstacle = reach::obstacle(path, own)?;
        Some(format!(
            "'{}' keeps '{}', whose the repository is, from running the hook '{}', and git passes over it then",
            obstacle.display(),
            writers::user_name(own),
            path.display()
        ))
    }

    /// What the gate runs and goes by, and who else can write it.
    pub(super) fn look_at_what_decides(&self, findings: &mut Vec<StatusFinding>) {
        let Self { shim, standing, repository, .. } = *self;
        if !system::may_execute(&shim.program) {
            let what = format!("there is no program '{}' that may be executed", shim.program.display());
            findings.push(StatusFinding::Broken(what));
        }
        if let Some(before) = shim.before.as_ref().filter(|before| !is_executable(before)) {
            let what = format!(
                "the hook that runs first, '{}', is not there or may not be executed",
                before.display()
            );
            findings.push(StatusFinding::Broken(what));
        } else if let Some(before) = shim.before.as_ref().filter(|before| asks_for_its_name(before)) {
            findings.push(StatusFinding::Unmet(by_its_name(before)));
        }
        let git_dir = repository.common_dir();
        let files = shim.trusted_roots.iter().chain(&shim.openpgp_certificates);
        let files = files.chain(&shim.certificate_authorities).map(|(_, path)| path.clone());
        let kept = std::fs::read_dir(&shim.state).into_iter().flatten().flatten().map(|entry| entry.path());
        let companions = HookName::COMPANIONS.map(|name| standing.beside(repository, name));
        let befores = companions.each_ref().map(|path| kept_path(path));
        // Objects that come from elsewhere are the repository's, and git takes them for what they are called.
        let objects = git_dir.join("objects");
        let alternates = gix::odb::alternate::resolve(objects, git_dir).unwrap_or_default();
        let mut paths: Vec<PathBuf> = vec![standing.hook.clone(), shim.state.clone(), shim.program.clone()];
        paths.extend(git_dir.parent().map(Path::to_owned));
        paths.extend(companions.into_iter().chain(befores).filter(|path| path.exists()));
        // Each of them may have git look for hooks elsewhere.
        paths.extend(self.configured.files().into_iter().map(Path::to_owned));
        paths.extend(kept.chain(files).chain(alternates));
        paths.extend(shim.policy.file().into_iter().chain(shim.before.as_deref()).map(Path::to_owned));
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        writers::look(repository, self.configuration, &paths, findings);
        if shim.settings.ledger {
            owner::look(repository, &shim.state, findings);
        }
    }

    /// The hooks beside the gate, each where it is, and whether what moves refs without a push is judged.
    pub(super) fn look_beside(
        &self,
        findings: &mut Vec<StatusFinding>,
    ) -> (Vec<(HookName, PathBuf)>, Guarded) {
        let forge = self.shim.settings.forge.as_ref();
        let runs = |name| Layout::of(forge).path(self.repository.common_dir(), name).is_some();
        let (mut installed, mut guard) = (Vec::new(), Guarded::NotHere);
        if runs(HookName::ReferenceTransaction) && self.shim.settings.ledger {
            guard = Guarded::No;
        }
        for name in HookName::COMPANIONS {
            let path = self.standing.beside(self.repository, name);
            let Some(text) = std::fs::read(&path).ok().filter(|text| name.is_shim(text)) else { continue };
            match self.fault(name, &path, &text) {
                Ok(companion) if companion.gate.is_some() => guard = Guarded::Yes,
                Ok(_) => {}
                Err(fault) => {
                    let what = format!("the hook '{}' does not do its work: {fault}", name.name());
                    findings.push(StatusFinding::Ledger(what));
                }
            }
            installed.push((name, path));
        }
        if forge.is_some_and(|forge| forge.kind == ForgeKind::Gitea) && guard != Guarded::Yes {
            findings.push(StatusFinding::Unguarded);
        }
        let notes = |name: &HookName| matches!(name, HookName::PostReceive | HookName::ReferenceTransaction);
        let is_noted = self.shim.settings.ledger && installed.iter().any(|(name, _)| notes(name));
        if matches!(self.shim.policy, PolicyPlace::Reference(_)) && !is_noted {
            findings.push(StatusFinding::NotedLate);
        }
        self.look_at_hiding(findings);
        (installed, guard)
    }

    /// The shim of `name` at `path`, or why it does not do its work.
    fn fault(&self, name: HookName, path: &Path, text: &[u8]) -> Result<Companion, String> {
        let Self { shim, standing, repository, .. } = *self;
        let companion = Companion::parse(name, text).map_err(|error| error.to_string())?;
        let state = standing.for_all.as_ref().unwrap_or(&shim.state);
        let is_its = match standing.for_all {
            Some(_) => companion.repository.as_os_str().is_empty(),
            None => same_place(&companion.repository, repository.common_dir()),
        };
        if !system::may_execute(path) {
            return Err("it may not be executed".to_owned());
        }
        if let Some(what) =
            Layout::unrun(repository.common_dir(), name, path).or_else(|| self.bars_the_way(path))
        {
            return Err(what);
        }
        if companion.state != *state || companion.program != shim.program || !is_its {
            return Err("it goes by another state folder, repository or program than pre-receive".to_owned());
        }
        if companion.gate.as_ref().is_some_and(|gate| !same_place(gate, &standing.hook)) {
            return Err("it asks another hook than the one that is installed".to_owned());
        }
        if let Some(before) = companion.before.as_ref().filter(|before| !is_executable(before)) {
            return Err(format!("the hook that runs first, '{}', may not be executed", before.display()));
        }
        if let Some(before) = companion.before.as_ref().filter(|before| asks_for_its_name(before)) {
            return Err(by_its_name(before));
        }
        let named =
            standing.for_all.is_some() || path.starts_with(Layout::configured(repository.common_dir()));
        if self.is_configured
            && named
            && let Some(Fault::Broken(what) | Fault::Idle(what)) = self.configured.fault(name, path)
        {
            return Err(what);
        }
        Ok(companion)
    }

    /// From whom the ledger is hidden.
    fn look_at_hiding(&self, findings: &mut Vec<StatusFinding>) {
        let Self { shim, standing, configuration, .. } = *self;
        // In a repository that the one hook for all has not met yet nothing is hidden.
        let is_new = standing.for_all.is_some() && !shim.state.join("repository").is_file();
        if shim.settings.ledger && !is_new {
            if !hiding::is_hidden(configuration, "receive") {
                let what = "git offers the ledger to pushers, who are refused only by the hook; set 'receive.hideRefs' to 'refs/countersign/ledger'";
                findings.push(StatusFinding::Ledger(what.to_owned()));
            }
            if hiding::is_hidden(configuration, "uploadpack") {
                let what = "'transfer.hideRefs' or 'uploadpack.hideRefs' hides the ledger from those who fetch, and nobody but the server can check it";
                findings.push(StatusFinding::Ledger(what.to_owned()));
            }
        }
    }
}
