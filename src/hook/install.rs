//! Putting the shim into a repository and taking it out again.

use std::path::{Path, PathBuf};

use crate::repository::system::{self, OsStringExt as _, PermissionsExt};

use super::{
    Companion, ConfiguredError, HookName, PolicyMemory, PolicyPlace, Settings, Shim, ShimError,
    configured::{self, Configured},
    entering, hiding,
    layout::Layout,
    owner,
    place::Place,
    policy_ref::PolicyRef,
};
use crate::{
    ledger::{Folder, LedgerError, Settler},
    object::ObjectId,
    repository::{Configuration, ConfigurationError, Durability, OpenError, Repository, Scopes, write_whole},
    trust::{
        Beside, ChainError, InCommit, Pin, PinError, Pinned, Trust, TrustError, check_reference, read_policy,
    },
    words::Failure,
};

/// What is added to the name of a hook that was there before; it is kept beside the shim.
const BEFORE: &str = ".before-countersign";

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
    pub guard: bool,
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

/// Why the shim cannot be installed, removed or looked at. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The repository belongs to another user, who could not go on with a ledger that this one begins.
    #[error(
        "the repository belongs to '{owner}', and this runs as '{user}', whose ledger '{owner}' could not write"
    )]
    AnotherUser {
        /// Whose it is.
        owner: String,
        /// Who installs.
        user: String,
    },
    /// The policy in the ref does not follow from the commit that is believed, or cannot be used.
    #[error("{}", .0.error)]
    Policy(Box<Failure>),
    /// A hook is to be kept where one is kept already.
    #[error("'{}' is in the way", .0.display())]
    BeforeExists(PathBuf),
    /// git's configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// git cannot be had to run hooks by its configuration.
    #[error(transparent)]
    Configured(#[from] ConfiguredError),
    /// The forge runs the hooks, and not git alone.
    #[error(
        "'{0}' looks for hooks in a folder of its own, and does not always let git run what its configuration names"
    )]
    ForgeRuns(String),
    /// One hook for every repository goes by a policy file, and keeps its state in a folder of its own.
    #[error("a hook for every repository needs a policy file and a state folder")]
    ForAll,
    /// What moves refs without a push cannot be judged where nobody runs the hook that sees it, or nothing is noted of
    /// what a push has had accepted.
    #[error("nothing would run the reference-transaction hook, or tell it what a push has had accepted")]
    Guard,
    /// git looks for hooks elsewhere.
    #[error("'core.hooksPath' is set to '{0}', so that git would not run a hook of the repository")]
    HooksPath(String),
    /// A file cannot be read or written.
    #[error("'{}': {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The ledger cannot be begun.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A ref in which no policy is kept.
    #[error(transparent)]
    PolicyReference(#[from] PinError),
    /// The program that the shim would run is not there.
    #[error("there is no program '{}'", .0.display())]
    NoProgram(PathBuf),
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] OpenError),
    /// A path does not fit into a shim, or the shim there was edited.
    #[error(transparent)]
    Shim(#[from] ShimError),
    /// git's configuration names the hook that is to go.
    #[error("git still runs '{}' by what is said in '{}'", hook.display(), file.display())]
    StillNamed {
        /// The hook.
        hook: PathBuf,
        /// Where it is named.
        file: PathBuf,
    },
    /// The state folder belongs to another repository.
    #[error("the state folder '{}' belongs to the repository '{}'", state.display(), owner.display())]
    StateOfAnother {
        /// The folder.
        state: PathBuf,
        /// Whose it is.
        owner: PathBuf,
    },
    /// The policy or a trusted root cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        let hint = match error {
            InstallError::Trust(error) => return error.into(),
            InstallError::Policy(failure) => return *failure,
            InstallError::AnotherUser { ref owner, .. } => {
                let hint = format!("run it as '{owner}', or keep no ledger with '--no-ledger'");
                return Self::new(error, hint);
            }
            InstallError::Configured(ConfiguredError::OldGit(_) | ConfiguredError::NoGit) => {
                "install git 2.54 or later, or leave that option out: every git runs a hook of its hooks folder"
            }
            InstallError::Configured(ConfiguredError::Edited(_)) => {
                "take the sections of hooks called 'countersign' out by hand, and the lines around them that speak of it"
            }
            InstallError::ForgeRuns(_) => "leave '--config-hooks' out",
            InstallError::StillNamed { .. } => {
                "name that file with '--config-file', or every push is refused"
            }
            InstallError::ForAll => "name them with '--policy' and '--state'",
            InstallError::BeforeExists(_) => "move one of the two hooks away by hand",
            InstallError::Guard => {
                "leave '--guard' out, or name 'reference-transaction' among the hooks and keep a ledger"
            }
            InstallError::HooksPath(_) => {
                "unset it for this repository, or install one hook for all with '--hooks-path'"
            }
            InstallError::Ledger(error) => return entering::failure(&error),
            InstallError::PolicyReference(_) => "name the ref by its whole name with '--policy-ref'",
            InstallError::NoProgram(_) => "give the program's path with '--program'",
            InstallError::StateOfAnother { .. } => "give this repository a folder of its own with '--state'",
            InstallError::Shim(ShimError::Edited) => "run 'countersign hook install' again",
            InstallError::Repository(OpenError::Format(ref format)) if format.remedy().is_some() => {
                format.remedy().unwrap_or_default()
            }
            InstallError::Repository(_) | InstallError::Configuration(_) => {
                "name a repository that git can use with '--repository'"
            }
            InstallError::Io { .. } | InstallError::Shim(_) | InstallError::Configured(_) => {
                "nothing was installed; see to the path and try again"
            }
        };
        Self::new(error, hint)
    }
}

impl From<ChainError> for InstallError {
    fn from(error: ChainError) -> Self {
        Self::Policy(Box::new(error.into()))
    }
}

/// What the shim is to go by: the policy's place, and every file that is pinned with it.
struct Basis {
    policy: PolicyPlace,
    trusted_roots: Vec<(String, PathBuf)>,
    openpgp_certificates: Vec<(String, PathBuf)>,
    certificate_authorities: Vec<(String, PathBuf)>,
    /// Where a policy in a ref was found.
    found: Option<ObjectId>,
}

/// Where a repository's hook is, or would be.
pub(super) fn hook_path(repository: &Repository, name: HookName) -> PathBuf {
    Layout::find(repository.common_dir(), name)
}

/// Where the state is if nothing else is said.
pub(super) fn default_state(repository: &Repository) -> PathBuf {
    repository.common_dir().join("countersign")
}

/// Where a hook is kept that was there before.
pub(super) fn kept_path(hook: &Path) -> PathBuf {
    let mut name = hook.as_os_str().to_owned();
    name.push(BEFORE);
    name.into()
}

/// Install the shims, keeping hooks that are there. Installing again only renews the paths.
///
/// # Errors
/// See [`InstallError`]; then the hook that was there still is.
pub fn install(options: &InstallOptions) -> Result<Installed, InstallError> {
    let repository = Repository::open(&options.repository)?;
    let layout = layout(options, &repository)?;
    if options.settings.ledger {
        owner::check_install(&repository)?;
    }
    let basis = basis(options, &repository)?;
    let settings = settings(options)?;
    let program = absolute(&options.program)?;
    if !program.is_file() {
        return Err(InstallError::NoProgram(program));
    }
    let git_dir = repository.common_dir();
    let state = match &options.state {
        Some(state) => absolute(state)?,
        None => default_state(&repository),
    };

    let path = layout.path(git_dir, HookName::PreReceive).expect("every forge runs pre-receive");
    let transaction = HookName::ReferenceTransaction;
    let sees_all = options.hooks.contains(&transaction) && layout.path(git_dir, transaction).is_some();
    if options.guard && !(sees_all && settings.ledger) {
        return Err(InstallError::Guard);
    }
    let companion = |hook: HookName, before: Option<PathBuf>| Companion {
        hook,
        program: program.clone(),
        repository: git_dir.to_owned(),
        state: state.clone(),
        before,
        gate: (options.guard && hook == transaction).then(|| path.clone()),
    };
    // Every text first: what cannot be written stops everything before anything has changed.
    let mut places = Vec::new();
    for name in options.hooks.iter().copied().filter(|name| *name != HookName::PreReceive) {
        let Some(path) = layout.path(git_dir, name) else { continue };
        let place = Place::find(path, name)?;
        let shim = companion(name, place.before.clone());
        places.push((shim.render()?, place));
    }
    let place = Place::find(path.clone(), HookName::PreReceive)?;
    let shim = Shim {
        program: program.clone(),
        repository: git_dir.to_owned(),
        policy: basis.policy,
        state: state.clone(),
        before: place.before.clone(),
        trusted_roots: basis.trusted_roots,
        openpgp_certificates: basis.openpgp_certificates,
        certificate_authorities: basis.certificate_authorities,
        settings,
    };
    let text = shim.render()?;
    claim_state(&state, git_dir)?;
    if let (PolicyPlace::Reference(pin), Some(found)) = (&shim.policy, basis.found) {
        let failed = |source| InstallError::Io { path: state.clone(), source };
        PolicyMemory::new(&state).note(pin, found).map_err(failed)?;
    }
    if shim.settings.ledger {
        let configuration = configuration(&repository)?;
        let path = git_dir.join("config");
        hiding::hide(git_dir, &configuration).map_err(|source| InstallError::Io { path, source })?;
        let folder = Folder::new(&state, repository.hash());
        Settler { repository: &repository, folder: &folder, now: options.now }.begin()?;
    }
    let hook = place.hook.clone();
    let mut companions = Vec::new();
    for (text, place) in places {
        companions.push((place.name, place.hook.clone()));
        place.put(&text)?;
    }
    place.put(&text)?;
    let config = git_dir.join("config");
    if options.configured {
        let all = std::iter::once((HookName::PreReceive, hook.clone())).chain(companions.iter().cloned());
        configured::add(&config, &all.collect::<Vec<_>>())?;
    } else {
        configured::remove(&config)?;
    }
    let stays = |path: &Path| path == hook || companions.iter().any(|(_, other)| path == other);
    for name in std::iter::once(HookName::PreReceive).chain(HookName::COMPANIONS) {
        for path in Layout::places(git_dir, name).filter(|path| !stays(path)) {
            take_out(path, name)?;
        }
    }
    remove_if_empty(&Layout::configured(git_dir));
    Ok(Installed { hook, shim, companions, configuration: options.configured.then_some(config) })
}

/// Where the hooks go, once it is clear that they would run there.
fn layout(options: &InstallOptions, repository: &Repository) -> Result<Layout, InstallError> {
    let layout = Layout::of(options.settings.forge.as_ref());
    if !options.configured {
        refuse_hooks_path(repository)?;
        return Ok(layout);
    }
    configured::check_git()?;
    match &options.settings.forge {
        Some(forge) if matches!(layout, Layout::Gitaly | Layout::Gitea) => {
            Err(InstallError::ForgeRuns(forge.name.clone()))
        }
        _ => Ok(Layout::Configured),
    }
}

/// A folder of hooks that is left behind empty goes too.
fn remove_if_empty(folder: &Path) {
    // One that is not empty, or not there, stays as it is.
    let _ = std::fs::remove_dir(folder);
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
    let options = &InstallOptions { settings: settings(options)?, ..options.clone() };
    if configuration.is_some() {
        configured::check_git()?;
    }
    let basis = basis_of_file(options, policy)?;
    let program = absolute(&options.program)?;
    if !program.is_file() {
        return Err(InstallError::NoProgram(program));
    }
    let folder = absolute(folder)?;
    let state = absolute(state)?;
    let mut places = Vec::new();
    for hook in options.hooks.iter().copied().filter(|name| *name != HookName::PreReceive) {
        let place = Place::find(folder.join(hook.name()), hook)?;
        let (program, before) = (program.clone(), place.before.clone());
        let shim =
            Companion { hook, program, repository: PathBuf::new(), state: state.clone(), before, gate: None };
        places.push((shim.render()?, place));
    }
    let place = Place::find(folder.join(HookName::PreReceive.name()), HookName::PreReceive)?;
    let shim = Shim {
        program,
        repository: PathBuf::new(),
        policy: basis.policy,
        state,
        before: place.before.clone(),
        trusted_roots: basis.trusted_roots,
        openpgp_certificates: basis.openpgp_certificates,
        certificate_authorities: basis.certificate_authorities,
        settings: settings(options)?,
    };
    let text = shim.render()?;
    make_private(&shim.state)?;
    let hook = place.hook.clone();
    let mut companions = Vec::new();
    for (text, place) in places {
        companions.push((place.name, place.hook.clone()));
        place.put(&text)?;
    }
    place.put(&text)?;
    let configuration = configuration.map(absolute).transpose()?;
    if let Some(file) = &configuration {
        let named: Vec<_> =
            std::iter::once((HookName::PreReceive, hook.clone())).chain(companions.clone()).collect();
        configured::add(file, &named)?;
    }
    for name in HookName::COMPANIONS {
        if companions.iter().all(|(other, _)| *other != name) {
            take_out(folder.join(name.name()), name)?;
        }
    }
    Ok(Installed { hook, shim, companions, configuration })
}

/// Take out what [`install_for_all`] has put into `folder`.
///
/// # Errors
/// A file cannot be changed or moved, or git would still run what is not there any more.
pub fn uninstall_for_all(folder: &Path, configuration: Option<&Path>) -> Result<Uninstalled, InstallError> {
    let folder = absolute(folder)?;
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
    let mut uninstalled = Uninstalled::Nothing;
    for name in std::iter::once(HookName::PreReceive).chain(HookName::COMPANIONS) {
        uninstalled = uninstalled.max(take_out(folder.join(name.name()), name)?);
    }
    Ok(uninstalled)
}

/// Take the shims out, and put the hooks that were there before back in their place, byte for byte.
///
/// # Errors
/// The repository cannot be opened, or a file not moved.
pub fn uninstall(repository: &Path) -> Result<Uninstalled, InstallError> {
    let repository = Repository::open(repository)?;
    let mut uninstalled = Uninstalled::Nothing;
    // First: git fails where it is to run what is not there.
    configured::remove(&repository.common_dir().join("config"))?;
    for name in std::iter::once(HookName::PreReceive).chain(HookName::COMPANIONS) {
        for path in Layout::places(repository.common_dir(), name) {
            uninstalled = uninstalled.max(take_out(path, name)?);
        }
    }
    remove_if_empty(&Layout::configured(repository.common_dir()));
    let path = repository.common_dir().join("config");
    hiding::show(repository.common_dir()).map_err(|source| InstallError::Io { path, source })?;
    Ok(uninstalled)
}

fn take_out(hook: PathBuf, name: HookName) -> Result<Uninstalled, InstallError> {
    if !read(&hook)?.is_some_and(|text| name.is_shim(&text)) {
        return Ok(Uninstalled::Nothing);
    }
    let kept = kept_path(&hook);
    let failed = |source: std::io::Error| InstallError::Io { path: hook.clone(), source };
    if kept.symlink_metadata().is_ok() {
        std::fs::rename(&kept, &hook).map_err(failed)?;
        Ok(Uninstalled::Restored)
    } else {
        std::fs::remove_file(&hook).map_err(failed)?;
        Ok(Uninstalled::Removed)
    }
}

/// The settings for the hook, which may run anywhere.
fn settings(options: &InstallOptions) -> Result<Settings, InstallError> {
    let audit = options.settings.audit.clone().absolute();
    let audit = audit.map_err(|source| InstallError::Io { path: options.repository.clone(), source })?;
    Ok(Settings { audit, ..options.settings.clone() })
}

/// Read the policy with all that it needs, as the hook will.
fn basis(options: &InstallOptions, repository: &Repository) -> Result<Basis, InstallError> {
    match &options.policy {
        PolicyChoice::File(policy) => basis_of_file(options, policy),
        PolicyChoice::Reference { reference, root } => {
            check_reference(reference)?;
            let objects = repository.objects().map_err(ChainError::from)?;
            let reader = objects.reader();
            let (policy, _) = read_policy(&InCommit::new(&reader, *root)?)?;
            let id = policy.repository().ok_or(ChainError::NoRepository(*root))?.to_owned();
            let pin = Pin { repository: id, reference: reference.clone(), root: *root };
            let trusted_roots = pinned(&options.trusted_roots, Vec::new())?;
            // A pin that is installed again goes on where it was: what was seen is not forgotten.
            let seen = match &options.state {
                Some(state) => PolicyMemory::new(&absolute(state)?).recall(&pin),
                None => PolicyMemory::new(&default_state(repository)).recall(&pin),
            };
            let seen = seen.map_err(|failure| InstallError::Policy(Box::new(failure)))?;
            let source =
                PolicyRef { pin: &pin, trusted_roots: &trusted_roots, now: options.now, go_on: &|_, _| true };
            let followed = source.read(&reader, &repository.references(), seen)?;
            let found = Some(followed.commit());
            let instances = source.take_instances(&mut followed.into_trust());
            instances.map_err(|failure| InstallError::Policy(Box::new(failure)))?;
            Ok(Basis {
                policy: PolicyPlace::Reference(pin),
                trusted_roots,
                openpgp_certificates: Vec::new(),
                certificate_authorities: Vec::new(),
                found,
            })
        }
    }
}

fn basis_of_file(options: &InstallOptions, policy: &Path) -> Result<Basis, InstallError> {
    let policy = absolute(policy)?;
    let beside = Beside::new(&policy);
    let (words, _) = read_policy(&beside)?;
    let trusted_roots = pinned(&options.trusted_roots, beside.trusted_roots(&words))?;
    let openpgp_certificates = pinned(&options.openpgp_certificates, beside.openpgp_certificates(&words))?;
    let certificate_authorities =
        pinned(&options.certificate_authorities, beside.certificate_authorities(&words))?;
    Trust::load(&Pinned {
        policy: &policy,
        trusted_roots: &trusted_roots,
        openpgp_certificates: &openpgp_certificates,
        certificate_authorities: &certificate_authorities,
    })?;
    let policy = PolicyPlace::File(policy);
    Ok(Basis { policy, trusted_roots, openpgp_certificates, certificate_authorities, found: None })
}

/// Each file that the policy names: where `given` says, or where the policy does (`beside`).
fn pinned(
    given: &[(String, PathBuf)],
    beside: Vec<(String, PathBuf)>,
) -> Result<Vec<(String, PathBuf)>, InstallError> {
    let mut pinned = Vec::new();
    for (name, path) in given {
        pinned.push((name.clone(), absolute(path)?));
    }
    for (name, path) in beside {
        if pinned.iter().all(|(other, _)| *other != name) {
            pinned.push((name, absolute(&path)?));
        }
    }
    pinned.sort();
    Ok(pinned)
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

/// Make a folder, if it is not there, that only its owner may enter.
fn make_private(folder: &Path) -> Result<(), InstallError> {
    if folder.exists() {
        return Ok(());
    }
    let failed = |source: std::io::Error| InstallError::Io { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    system::set_mode(folder, 0o700).map_err(failed)
}

/// Make the state folder and note in it whose it is.
pub(super) fn claim_state(state: &Path, git_dir: &Path) -> Result<(), InstallError> {
    let failed = |source: std::io::Error| InstallError::Io { path: state.to_owned(), source };
    let owner_file = state.join("repository");
    let own = git_dir.canonicalize().map_err(failed)?;
    if let Some(text) = read(&owner_file)? {
        let owner = PathBuf::from(std::ffi::OsString::from_vec(text));
        // What lies in the repository itself has come along with it when it was moved, whoever is in its place now.
        let is_inside = state.canonicalize().is_ok_and(|state| state.starts_with(&own));
        if owner != own && owner.is_dir() && !is_inside {
            return Err(InstallError::StateOfAnother { state: state.to_owned(), owner });
        }
    }
    make_private(state)?;
    // Put in its place as a new file: a symbolic link that lies there is not written through.
    write_whole(&owner_file, own.as_os_str().as_encoded_bytes(), Durability::System).map_err(failed)
}

pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, InstallError> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(InstallError::Io { path: path.to_owned(), source }),
    }
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, InstallError> {
    crate::repository::absolute(path).map_err(|source| InstallError::Io { path: path.to_owned(), source })
}

/// Git passes over hooks that may not be executed, and so does the shim.
pub(super) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    fn options(scratch: &Scratch) -> InstallOptions {
        let policy = scratch.path().join("policy.toml");
        std::fs::write(&policy, crate::policy::FIRST_POLICY).unwrap();
        InstallOptions {
            repository: scratch.path().to_owned(),
            policy: PolicyChoice::File(policy),
            state: None,
            program: "/bin/sh".into(),
            hooks: HookName::COMPANIONS.into(),
            configured: false,
            trusted_roots: vec![],
            openpgp_certificates: vec![],
            certificate_authorities: vec![],
            settings: Settings { ledger: true, ..Settings::default() },
            guard: false,
            now: 0,
        }
    }

    fn hook(scratch: &Scratch) -> PathBuf {
        scratch.path().join("hooks/pre-receive")
    }

    fn kept(scratch: &Scratch) -> PathBuf {
        kept_path(&hook(scratch))
    }

    #[test]
    fn a_symbolic_link_in_the_state_folder_is_not_written_through() {
        let scratch = Scratch::new(&["--bare"]);
        let victim = scratch.path().join("victim");
        std::fs::write(&victim, scratch.path().canonicalize().unwrap().as_os_str().as_encoded_bytes())
            .unwrap();
        std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o600)).unwrap();
        let state = scratch.path().join("countersign");
        std::fs::create_dir(&state).unwrap();
        std::os::unix::fs::symlink(&victim, state.join("repository")).unwrap();
        install(&options(&scratch)).unwrap();
        assert!(!state.join("repository").is_symlink());
    }

    #[test]
    fn installing_and_uninstalling_leave_nothing_behind() {
        let scratch = Scratch::new(&["--bare"]);
        let options = options(&scratch);
        let first = install(&options).unwrap();
        assert!(is_executable(&first.hook));
        assert_eq!(install(&options).unwrap(), first, "again");
        assert_eq!(Shim::parse(&std::fs::read(hook(&scratch)).unwrap()).unwrap(), first.shim);
        assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Removed);
        assert!(!hook(&scratch).exists());
        assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Nothing);
    }

    #[test]
    fn a_hook_that_is_there_is_chained_and_restored_byte_for_byte() {
        let scratch = Scratch::new(&["--bare"]);
        let text = b"#!/bin/sh\nexit 0 # \xff\n";
        std::fs::create_dir_all(scratch.path().join("hooks")).unwrap();
        std::fs::write(hook(&scratch), text).unwrap();
        std::fs::set_permissions(hook(&scratch), std::fs::Permissions::from_mode(0o750)).unwrap();
        let options = options(&scratch);
        let kept = kept(&scratch);
        for _ in 0..2 {
            assert_eq!(install(&options).unwrap().shim.before.as_ref(), Some(&kept), "again too");
        }
        assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Restored);
        assert_eq!(std::fs::read(hook(&scratch)).unwrap(), text);
        assert_eq!(hook(&scratch).metadata().unwrap().permissions().mode() & 0o777, 0o750);
        assert!(!kept.exists());
    }

    #[test]
    fn every_hook_and_the_configuration_are_restored_byte_for_byte() {
        let scratch = Scratch::new(&["--bare"]);
        let folder = scratch.path().join("hooks");
        std::fs::create_dir_all(&folder).unwrap();
        let configuration = std::fs::read(scratch.path().join("config")).unwrap();
        let text = |name: HookName| format!("#!/bin/sh\n# {}\n", name.name());
        for name in HookName::COMPANIONS {
            let path = folder.join(name.name());
            std::fs::write(&path, text(name)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let options = options(&scratch);
        let first = install(&options).unwrap();
        assert_eq!(install(&options).unwrap(), first, "again");
        for (name, path) in &first.companions {
            let shim = Companion::parse(*name, &std::fs::read(path).unwrap()).unwrap();
            assert_eq!(shim.before, Some(kept_path(path)));
        }
        // Installing fewer takes the others out.
        install(&InstallOptions { hooks: vec![HookName::PostReceive], ..options.clone() }).unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("update")).unwrap(), text(HookName::Update));
        install(&options).unwrap();
        assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Restored);
        for name in HookName::COMPANIONS {
            let path = folder.join(name.name());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text(name));
            assert!(!kept_path(&path).exists());
        }
        assert!(!folder.join("pre-receive").exists());
        assert_eq!(std::fs::read(scratch.path().join("config")).unwrap(), configuration);
    }

    #[test]
    fn a_hook_that_git_would_not_run_is_kept_and_not_run() {
        let scratch = Scratch::new(&["--bare"]);
        std::fs::create_dir_all(scratch.path().join("hooks")).unwrap();
        std::fs::write(hook(&scratch), "#!/bin/sh\nexit 1\n").unwrap();
        std::fs::set_permissions(hook(&scratch), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(install(&options(&scratch)).unwrap().shim.before, None);
        assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Restored);
    }

    #[test]
    fn a_foreign_hook_is_never_lost() {
        let scratch = Scratch::new(&["--bare"]);
        let folder = scratch.path().join("hooks");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(hook(&scratch), "one").unwrap();
        std::fs::write(kept(&scratch), "two").unwrap();
        assert!(matches!(install(&options(&scratch)), Err(InstallError::BeforeExists(_))));
        assert_eq!(uninstall(scratch.path()).unwrap(), Uninstalled::Nothing);
        assert_eq!(std::fs::read(hook(&scratch)).unwrap(), b"one");
    }

    #[test]
    fn hooks_path_is_refused() {
        let scratch = Scratch::new(&["--bare"]);
        scratch.git(&["config", "core.hooksPath", "/elsewhere"]);
        let error = install(&options(&scratch)).unwrap_err();
        assert!(matches!(&error, InstallError::HooksPath(path) if path == "/elsewhere"));
        assert!(!hook(&scratch).exists());
    }

    #[test]
    fn a_hooks_path_is_where_git_comes_to_it_in_a_push() {
        let scratch = Scratch::new(&["--bare"]);
        let path = |said: &str| {
            scratch.git(&["config", "core.hooksPath", said]);
            PathBuf::from(hooks_path(&scratch.open()).unwrap().unwrap())
        };
        assert_eq!(path("hooks of all"), scratch.open().git_dir().join("hooks of all"));
        assert_eq!(path("/elsewhere"), Path::new("/elsewhere"));
        assert_eq!(path("~/hooks"), Path::new("~/hooks"));
    }

    #[test]
    fn where_decisions_are_written_down_does_not_depend_on_where_the_hook_runs() {
        let scratch = Scratch::new(&["--bare"]);
        let mut options = options(&scratch);
        options.settings.audit = super::super::AuditSink::File("audit.jsonl".into());
        options.state = Some(scratch.path().join("state"));
        let folder = scratch.path().join("hooks-of-all");
        let for_all = install_for_all(&folder, None, &options).unwrap().shim.settings.audit;
        let here = absolute(Path::new("audit.jsonl")).unwrap();
        assert_eq!(for_all, super::super::AuditSink::File(here));
        assert_eq!(install(&options).unwrap().shim.settings.audit, for_all);
    }

    #[test]
    fn nothing_is_installed_without_a_policy_that_can_be_used() {
        let scratch = Scratch::new(&["--bare"]);
        let mut options = options(&scratch);
        std::fs::write(scratch.path().join("policy.toml"), "version = 1\n").unwrap();
        assert!(matches!(install(&options), Err(InstallError::Trust(TrustError::Policy { .. }))));
        options.policy = PolicyChoice::File("/nowhere".into());
        let failure = Failure::from(install(&options).unwrap_err());
        assert!(failure.hints[0].contains("countersign policy init /nowhere"));
        assert!(!hook(&scratch).exists() && !scratch.path().join("countersign").exists());
    }

    #[test]
    fn a_repository_that_has_moved_keeps_its_state_whoever_takes_its_place() {
        let scratch = Scratch::new(&["--bare"]);
        install(&options(&scratch)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (here, moved) = (scratch.path(), folder.path().join("moved.git"));
        std::process::Command::new("cp").arg("-a").arg(here).arg(&moved).status().unwrap();
        let moved_options = InstallOptions { repository: moved.clone(), ..options(&scratch) };
        install(&moved_options).unwrap();
        let owner = std::fs::read(moved.join("countersign/repository")).unwrap();
        assert_eq!(owner, moved.canonicalize().unwrap().as_os_str().as_encoded_bytes());
        // A folder of the other one's is another matter.
        let state = Some(here.join("countersign"));
        let shared = InstallOptions { state, ..moved_options };
        assert!(matches!(install(&shared), Err(InstallError::StateOfAnother { .. })));
    }

    #[test]
    fn two_repositories_share_no_state() {
        let (one, two) = (Scratch::new(&["--bare"]), Scratch::new(&["--bare"]));
        let state = tempfile::tempdir().unwrap();
        let with =
            |scratch: &Scratch| InstallOptions { state: Some(state.path().into()), ..options(scratch) };
        install(&with(&one)).unwrap();
        install(&with(&one)).unwrap();
        assert!(matches!(install(&with(&two)), Err(InstallError::StateOfAnother { .. })));
    }
}
