//! Putting hooks into a repository, or into a folder of hooks for every one.

mod basis;
mod error;
mod remove;
mod state;

use std::path::{Path, PathBuf};

use super::{
    Companion, HookName, PolicyMemory, PolicyPlace, Settings, Shim, configured, hiding,
    layout::{Layout, configuration, refuse_hooks_path},
    owner,
    place::{Place, absolute, is_executable, make_folder},
    status::unmet,
    turn::Turn,
};
use crate::{
    ledger::{Folder, Settler},
    object::ObjectId,
    repository::{GitVersion, Repository},
};

use basis::Basis;
pub use error::InstallError;
use remove::take_out_with_folder;
pub use remove::{uninstall, uninstall_for_all};
use state::make_private;
pub(super) use state::{claim_state, default_state};

/// The first git that runs a reference-transaction hook.
const OLDEST_WITH_TRANSACTIONS: (u32, u32) = (2, 28);

/// What to install.
#[derive(Clone, Debug)]
pub struct InstallOptions {
    /// The repository.
    pub repository: PathBuf,
    /// Where the policy is.
    pub policy: PolicyChoice,
    /// The state folder; `countersign` in the repository if none is given.
    pub state: Option<PathBuf>,
    /// The program that the shim runs.
    pub program: PathBuf,
    /// Which hooks to install beside pre-receive.
    pub hooks: Vec<HookName>,
    /// Have git run them by the repository's configuration, and leave its folder of hooks as it is.
    pub configured: bool,
    /// Trusted roots that count instead of those that the policy names.
    pub trusted_roots: Vec<(String, PathBuf)>,
    /// Files of OpenPGP certificates that count instead of those that the policy names.
    pub openpgp_certificates: Vec<(String, PathBuf)>,
    /// Files of certificate authorities that count instead of those that the policy names.
    pub certificate_authorities: Vec<(String, PathBuf)>,
    /// How the gate goes about its work.
    pub settings: Settings,
    /// Whether what moves refs without a push is judged too, in the reference-transaction hook.
    pub guard: GuardChoice,
    /// The time, in seconds since 1970.
    pub now: i64,
}

/// Where the policy is, as an administrator says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyChoice {
    /// In this file.
    File(PathBuf),
    /// In a ref of the repository itself.
    Reference {
        /// Its full name.
        reference: String,
        /// The commit that is believed as it is.
        root: ObjectId,
    },
}

/// Whether what moves refs without a push is judged, as an administrator says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuardChoice {
    /// Where a forge is known to move refs so, if that can be judged there.
    #[default]
    WhereForgesMove,
    /// Or nothing is installed.
    Always,
    /// Nowhere.
    Never,
}

/// What was installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Where the shim is.
    pub hook: PathBuf,
    /// What it holds.
    pub shim: Shim,
    /// The hooks beside it, and where they are.
    pub companions: Vec<(HookName, PathBuf)>,
    /// The configuration file by which git runs them, if it does by one.
    pub configuration: Option<PathBuf>,
    /// Whether what moves refs without a push is judged.
    pub guard: Guarded,
    /// Hooks that were asked for, and that nobody would run here or another one owns.
    pub left_out: Vec<HookName>,
    /// What the hook that was installed before did and this one does not, in words.
    pub given_up: Vec<String>,
}

/// Whether what moves refs without a push is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// It is.
    Yes,
    /// It is not, and could be.
    No,
    /// Nobody runs a hook that would see it, or notes what a push has had accepted.
    NotHere,
}

impl Guarded {
    /// What is told of it.
    pub(super) fn line(self) -> String {
        format!("what moves refs without a push: {self}\n")
    }
}

impl std::fmt::Display for Guarded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Yes => "judged like a push",
            Self::No => "nobody looks at it; '--guard' at installation has it judged",
            Self::NotHere => "nobody looks at it, for nothing here runs a hook that would see it",
        })
    }
}

/// What uninstalling came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Uninstalled {
    /// There was no shim.
    Nothing,
    /// The shim is gone.
    Removed,
    /// The hook that was there before is back.
    Restored,
}

/// The hooks of one installation, before any of them is put in its place.
struct Plan {
    shim: Shim,
    /// Each with its text, pre-receive last: what stands beside it waits for it.
    hooks: Vec<(HookName, Place, Vec<u8>)>,
    guard: Guarded,
    left_out: Vec<HookName>,
}

impl Plan {
    /// Every text first: what cannot be written stops everything before anything has changed. `repository` is empty
    /// where the hooks are for every one; `place` says where each goes.
    fn new(
        options: &InstallOptions,
        basis: Basis,
        repository: &Path,
        state: PathBuf,
        place: &dyn Fn(HookName) -> Option<PathBuf>,
    ) -> Result<Self, InstallError> {
        let program = absolute(&options.program)?;
        if !is_executable(&program) {
            return Err(InstallError::NoProgram(program));
        }
        let settings = settings(options)?;
        let gate = place(HookName::PreReceive).expect("every forge runs pre-receive");
        let mut companions: Vec<(HookName, PathBuf)> = Vec::new();
        let mut left_out = Vec::new();
        for name in HookName::COMPANIONS.into_iter().filter(|name| options.hooks.contains(name)) {
            match place(name) {
                Some(path) => companions.push((name, path)),
                None => left_out.push(name),
            }
        }
        let sees_all = companions.iter().any(|(name, _)| *name == HookName::ReferenceTransaction);
        let guard = guard(options, sees_all && settings.ledger)?;
        let mut hooks = Vec::new();
        for (name, path) in companions {
            let place = Place::find(path, &|text| name.is_shim(text))?;
            let is_guard = guard == Guarded::Yes && name == HookName::ReferenceTransaction;
            let shim = Companion {
                hook: name,
                program: program.clone(),
                repository: repository.to_owned(),
                state: state.clone(),
                before: place.before.clone(),
                gate: is_guard.then(|| gate.clone()),
            };
            let text = shim.render()?;
            hooks.push((name, place, text));
        }
        let place = Place::find(gate, &Shim::is_shim)?;
        let shim = Shim {
            program,
            repository: repository.to_owned(),
            policy: basis.policy,
            state,
            before: place.before.clone(),
            trusted_roots: basis.trusted_roots,
            openpgp_certificates: basis.openpgp_certificates,
            certificate_authorities: basis.certificate_authorities,
            settings,
        };
        let text = shim.render()?;
        hooks.push((HookName::PreReceive, place, text));
        Ok(Self { shim, hooks, guard, left_out })
    }

    fn put(&self) -> Result<(), InstallError> {
        self.hooks.iter().try_for_each(|(_, place, text)| place.put(text))
    }

    /// Every hook, the gate first.
    fn all(&self) -> Vec<(HookName, PathBuf)> {
        self.hooks.iter().rev().map(|(name, place, _)| (*name, place.hook.clone())).collect()
    }

    fn installed(self, configuration: Option<PathBuf>, given_up: Vec<String>) -> Installed {
        let Self { shim, hooks, guard, left_out } = self;
        let mut companions: Vec<_> = hooks.into_iter().map(|(name, place, _)| (name, place.hook)).collect();
        let (_, hook) = companions.pop().expect("the gate is one of them");
        Installed { hook, shim, companions, configuration, guard, left_out, given_up }
    }
}

/// Whether what moves refs without a push will be judged, where it `can` be.
fn guard(options: &InstallOptions, can: bool) -> Result<Guarded, InstallError> {
    // One that does not say its version is taken for one of today's.
    let is_old = || {
        GitVersion::ask()
            .is_some_and(|git| !git.is_at_least(OLDEST_WITH_TRANSACTIONS) && git.numbers().is_some())
    };
    let layout = Layout::of(options.settings.forge.as_ref());
    let is_wanted = match options.guard {
        GuardChoice::Always => true,
        GuardChoice::WhereForgesMove => layout.moves_refs_by_itself(),
        GuardChoice::Never => false,
    };
    match (is_wanted, can) {
        (true, true) if !is_old() => Ok(Guarded::Yes),
        (true, _) if options.guard == GuardChoice::Always => Err(InstallError::Guard),
        (_, true) => Ok(Guarded::No),
        (_, false) => Ok(Guarded::NotHere),
    }
}

/// Install the shims, keeping hooks that are there. Installing again only renews the paths.
///
/// # Errors
/// See [`InstallError`]; then the hook that was there still is.
pub fn install(options: &InstallOptions) -> Result<Installed, InstallError> {
    let repository = Repository::open(&options.repository)?;
    let git_dir = repository.common_dir();
    let _turn = Turn::take(git_dir)?;
    let layout = layout(options, &repository)?;
    if options.settings.ledger {
        owner::check_install(&repository)?;
    }
    let basis = Basis::read(options, &repository)?;
    let found = basis.found;
    let state = match &options.state {
        Some(state) => absolute(state)?,
        None => default_state(&repository),
    };
    let plan = Plan::new(options, basis, git_dir, state, &|name| layout.path(git_dir, name))?;
    for (_, place, _) in plan.hooks.iter().filter(|_| layout == Layout::Gitolite) {
        if let Ok(leads_to) = std::fs::read_link(&place.hook) {
            return Err(InstallError::Gitolites { hook: place.hook.clone(), leads_to });
        }
    }
    if let Some(what) = Layout::unrun(git_dir, HookName::PreReceive, &layout.gate(git_dir)) {
        return Err(InstallError::NobodyRuns(what));
    }
    let given_up = given_up(git_dir, &plan);
    let state = &plan.shim.state;
    claim_state(state, git_dir)?;
    if let (PolicyPlace::Reference(pin), Some(found)) = (&plan.shim.policy, found) {
        let failed = |source| InstallError::Io { path: state.clone(), source };
        PolicyMemory::new(state).note(pin, found).map_err(failed)?;
    }
    if plan.shim.settings.ledger {
        let configuration = configuration(&repository)?;
        let path = git_dir.join("config");
        hiding::hide(git_dir, &configuration).map_err(|source| InstallError::Io { path, source })?;
        let folder = Folder::new(state, repository.hash());
        Settler { repository: &repository, folder: &folder, now: options.now }.begin()?;
    }
    plan.put()?;
    let all = plan.all();
    let config = git_dir.join("config");
    if options.configured {
        configured::add(&config, &all)?;
    } else {
        configured::remove(&config)?;
    }
    for name in HookName::ALL {
        for path in Layout::places(git_dir, name).filter(|path| all.iter().all(|(_, other)| path != other)) {
            take_out_with_folder(&path, name, git_dir)?;
        }
    }
    Ok(plan.installed(options.configured.then_some(config), given_up))
}

/// What was installed before, and will not be any more once `plan` is.
fn given_up(git_dir: &Path, plan: &Plan) -> Vec<String> {
    let read = |name| std::fs::read(Layout::find(git_dir, name)).ok();
    let mut words = Vec::new();
    // The last version of the program may have written it.
    let Some(before) = read(HookName::PreReceive).and_then(|text| Shim::parse_any(&text).ok()) else {
        return words;
    };
    let place = |state: &Path| state.canonicalize().ok();
    let is_same = before.state == plan.shim.state || place(&before.state) == place(&plan.shim.state);
    if !is_same && before.state.is_dir() {
        words.push(format!(
            "what was noted in '{}' counts no more, such as which push certificates are used up; '--state' goes on with it",
            before.state.display()
        ));
    }
    if before.settings.ledger && !plan.shim.settings.ledger {
        words.push("a ledger was kept, and is not gone on with".to_owned());
    }
    let transaction = read(HookName::ReferenceTransaction);
    let transaction =
        transaction.and_then(|text| Companion::parse_any(HookName::ReferenceTransaction, &text).ok());
    if transaction.is_some_and(|companion| companion.gate.is_some()) && plan.guard != Guarded::Yes {
        words.push(
            "what moves refs without a push was judged, and is not any more; '--guard' goes on with it"
                .to_owned(),
        );
    }
    words.extend(unmet::given_up(&before.settings, &plan.shim.settings));
    words
}

/// Where the hooks go, once it is clear that they would run there.
fn layout(options: &InstallOptions, repository: &Repository) -> Result<Layout, InstallError> {
    let layout = Layout::of(options.settings.forge.as_ref());
    if !options.configured {
        refuse_hooks_path(repository)?;
        return Ok(layout);
    }
    configured::check_git()?;
    refuse_own_folders(options, &[Layout::Gitaly, Layout::Gitea])?;
    Ok(Layout::Configured)
}

/// Refuse a forge that looks for hooks in a folder of its own, where that is one of `layouts`.
fn refuse_own_folders(options: &InstallOptions, layouts: &[Layout]) -> Result<(), InstallError> {
    match &options.settings.forge {
        Some(forge) if layouts.contains(&Layout::of(Some(forge))) => {
            Err(InstallError::ForgeRuns(forge.name.clone()))
        }
        _ => Ok(()),
    }
}

/// Install hooks in `folder` for every repository of which `core.hooksPath` says that its hooks are there; or for
/// every one that goes by the `configuration` file, if one is given, which is told to have git run them. What they
/// note of each they note below the state folder, under the repository's own path; the ledger of each begins
/// with the first push that they see.
///
/// # Errors
/// As for [`install`]; a policy in a ref, or no state folder, is refused.
pub fn install_for_all(
    folder: &Path,
    configuration: Option<&Path>,
    options: &InstallOptions,
) -> Result<Installed, InstallError> {
    let (PolicyChoice::File(policy), Some(state)) = (&options.policy, &options.state) else {
        return Err(InstallError::ForAll);
    };
    // Gitea's own hooks, which git would look for in that folder too, would not run any more.
    refuse_own_folders(options, &[Layout::Gitea])?;
    if configuration.is_some() {
        configured::check_git()?;
        refuse_own_folders(options, &[Layout::Gitaly])?;
    }
    let (folder, state) = (absolute(folder)?, absolute(state)?);
    let layout = Layout::of(options.settings.forge.as_ref());
    let basis = Basis::of_file(options, policy)?;
    let plan = Plan::new(options, basis, Path::new(""), state, &|name| layout.shared_path(&folder, name))?;
    make_folder(&folder).map_err(|source| InstallError::Io { path: folder.clone(), source })?;
    let _turn = Turn::take(&folder)?;
    make_private(&plan.shim.state)?;
    let before = layout.shared_path(&folder, HookName::PreReceive).and_then(|path| std::fs::read(path).ok());
    let before = before.and_then(|text| Shim::parse_any(&text).ok());
    let given_up = before.map(|before| unmet::given_up(&before.settings, &plan.shim.settings));
    plan.put()?;
    let all = plan.all();
    let configuration = configuration.map(absolute).transpose()?;
    if let Some(file) = &configuration {
        configured::add(file, &all)?;
    }
    for name in HookName::ALL {
        let places = Layout::shared_places(&folder, name);
        for path in places.into_iter().filter(|path| all.iter().all(|(_, other)| path != other)) {
            take_out_with_folder(&path, name, &folder)?;
        }
    }
    Ok(plan.installed(configuration, given_up.unwrap_or_default()))
}

/// The settings for the hook, which may run anywhere.
fn settings(options: &InstallOptions) -> Result<Settings, InstallError> {
    let audit = options.settings.audit.clone().absolute();
    let audit = audit.map_err(|source| InstallError::Io { path: options.repository.clone(), source })?;
    Ok(Settings { audit, ..options.settings.clone() })
}

#[cfg(test)]
pub(super) mod tests;
