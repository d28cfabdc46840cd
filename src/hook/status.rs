//! What stands between a repository and its pushers, and who else could change it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::repository::system::PermissionsExt;

use super::{
    Admissions, Companion, HookName, InstallError, PolicyMemory, PolicyPlace, Shim,
    configured::{Configured, Fault},
    for_all::Standing,
    hiding,
    install::{configuration, hook_path, hooks_path, is_executable, kept_path},
    layout::Layout,
    owner,
    policy_ref::PolicyRef,
    pre_receive::{foreign_anchor, same_place},
    writers,
};
use crate::{
    policy::{self, ForgeKind, Policy},
    repository::{Configuration, ConfigurationError, Repository},
    trust::{Beside, ChainError, Followed, Pin, Pinned, Trust, read_policy},
    words::Failure,
};

/// What is installed in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where the hook is looked for.
    pub hook: PathBuf,
    /// The file of git's configuration by which git runs it, if it does by one.
    pub configuration: Option<PathBuf>,
    /// The shim, if the hook is one.
    pub shim: Option<Shim>,
    /// The hooks beside it, and where they are.
    pub companions: Vec<(HookName, PathBuf)>,
    /// Of a policy in a ref: where it stands now, in words.
    pub followed: Option<String>,
    /// What is wrong or should be looked at.
    pub findings: Vec<StatusFinding>,
}

/// Something about an installation that its owner should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusFinding {
    /// An update is let through once, whatever the policy says.
    Admitted(String),
    /// Every push is refused as things stand.
    Broken(String),
    /// A rule asks for push certificates, and the shim names no address that one could be for.
    NoAddresses {
        /// The rule.
        rule: String,
    },
    /// The shim has another file of a certificate authority than the policy names now.
    OtherAuthority {
        /// Its name in the policy.
        name: String,
        /// What the shim holds.
        pinned: PathBuf,
    },
    /// The shim has another file of OpenPGP certificates than the policy names now.
    OtherCertificates {
        /// Its name in the policy.
        file: String,
        /// What the shim holds.
        pinned: PathBuf,
    },
    /// The shim has another trusted root than the policy names now.
    OtherTrustedRoot {
        /// The instance.
        instance: String,
        /// What the shim holds.
        pinned: PathBuf,
    },
    /// Something in the policy that is probably not meant.
    Policy(policy::Finding),
    /// The gate does not stand in the way of a push.
    Open(String),
    /// The ledger is not as it has to be to be of use.
    Ledger(String),
    /// Only one user of the server can keep the ledger, and others may push as well.
    OneUser {
        /// The state folder.
        state: PathBuf,
        /// Whose it is.
        keeper: String,
        /// Whose the repository is.
        repository: String,
    },
    /// The forge moves refs by its own pages in ways that pre-receive does not see, and nothing else looks.
    Unguarded,
    /// It, or a folder above it, belongs to another user than the repository.
    OwnedByAnother {
        /// What.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Whose the repository is.
        repository: String,
    },
    /// Two hooks of ours judge every push.
    Twice {
        /// The one that git's configuration names.
        configured: PathBuf,
        /// The one that lies where git or a forge looks for hooks.
        found: PathBuf,
    },
    /// Others than its owner can write the repository itself.
    Shared {
        /// A part of it that shows that.
        path: PathBuf,
        /// They, in words.
        who: String,
        /// The setting that has git let them.
        setting: Option<String>,
    },
    /// Others than the owner can change it, or a folder above it.
    Writable(PathBuf),
}

impl StatusFinding {
    /// Whether it is about git not running the hook as it is installed.
    #[must_use]
    pub fn is_about_running(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Twice { .. })
    }

    /// Whether it is about who can write what decides.
    #[must_use]
    pub fn is_about_writers(&self) -> bool {
        let is_writable = matches!(
            self,
            Self::OneUser { .. } | Self::OwnedByAnother { .. } | Self::Shared { .. } | Self::Writable(_)
        );
        is_writable || *self == Self::Unguarded
    }
}

impl fmt::Display for StatusFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted(what) => write!(formatter, "admitted once, whatever the policy says: {what}"),
            Self::Broken(what) => write!(formatter, "every push is refused: {what}"),
            Self::NoAddresses { rule } => write!(
                formatter,
                "rule '{rule}' asks for a push certificate, and none can be for this server: install the hook again with '--address'"
            ),
            Self::OtherAuthority { name, pinned } => write!(
                formatter,
                "the hook takes the certificate authority '{name}' from '{}', the policy from elsewhere; run 'countersign hook install' again",
                pinned.display()
            ),
            Self::OtherCertificates { file, pinned } => write!(
                formatter,
                "the hook takes the OpenPGP certificates '{file}' from '{}', the policy from elsewhere; run 'countersign hook install' again",
                pinned.display()
            ),
            Self::OtherTrustedRoot { instance, pinned } => write!(
                formatter,
                "the hook takes the trusted root of '{instance}' from '{}', the policy from elsewhere; run 'countersign hook install' again",
                pinned.display()
            ),
            Self::Policy(finding) => write!(formatter, "{finding}"),
            Self::Open(what) => write!(formatter, "pushes are not judged: {what}"),
            Self::Ledger(what) => write!(formatter, "{what}"),
            Self::OneUser { keeper, repository, .. } if keeper == repository => write!(
                formatter,
                "the ledger is kept by '{keeper}' alone: a push that comes in as any other user of the server is refused; let every push come in as '{keeper}', by an ssh forced command, gitolite or a forge, or install the hook with '--no-ledger'"
            ),
            Self::OneUser { state, keeper, repository } => write!(
                formatter,
                "'{}' belongs to '{keeper}', and the repository to '{repository}': a push that comes in as anybody but '{keeper}' is refused, for nobody else can keep the ledger",
                state.display()
            ),
            Self::Unguarded => formatter.write_str(
                "the forge makes tags, and deletes tags and branches, on its pages without asking the pre-receive hook; install with '--guard' to have that judged",
            ),
            Self::OwnedByAnother { path, owner, repository } => write!(
                formatter,
                "'{}' belongs to '{owner}', the repository to '{repository}': whoever is '{owner}' decides what is accepted",
                path.display()
            ),
            Self::Shared { path, who, setting } => {
                write!(formatter, "'{}' can be written by {who}", path.display())?;
                if let Some(setting) = setting {
                    write!(formatter, " ({setting})")?;
                }
                write!(
                    formatter,
                    ", who can move refs and change hooks without a push: the gate binds none of them; let all pushes come in as one user whom nobody else can be"
                )
            }
            Self::Twice { configured, found } => write!(
                formatter,
                "pushes are judged twice, by '{}' and by '{}', and a push certificate counts only once: uninstall one of them",
                configured.display(),
                found.display()
            ),
            Self::Writable(path) => write!(
                formatter,
                "'{}' can be changed by others than its owner, and with it what is accepted: the gate does not bind them",
                path.display()
            ),
        }
    }
}

/// Look at the installation in `repository`.
///
/// # Errors
/// The repository cannot be opened.
pub fn status(repository: &Path, now: i64) -> Result<Status, InstallError> {
    let repository = Repository::open(repository)?;
    let mut findings = Vec::new();
    let (mut followed, mut companions) = (None, Vec::new());
    let configured = Configured::read(repository.git_dir()).map_err(ConfigurationError::Git)?;
    let (hook, is_configured) = find(&repository, &configured, &mut findings)?;
    let standing = Standing::at(&repository, hook.clone());
    let shim = match std::fs::read(&hook) {
        Ok(text) if Shim::is_shim(&text) => match Shim::parse(&text) {
            Ok(_) => standing.shim.clone(),
            Err(error) => {
                findings.push(StatusFinding::Open(error.to_string()));
                None
            }
        },
        Ok(_) => {
            findings.push(StatusFinding::Open("another hook is in place".to_owned()));
            None
        }
        Err(_) => {
            findings.push(StatusFinding::Open("no hook is installed".to_owned()));
            None
        }
    };
    if let Some(shim) = &shim {
        if hook.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 == 0) {
            findings.push(StatusFinding::Open("the hook may not be executed".to_owned()));
        }
        let policy = match &shim.policy {
            PolicyPlace::File(path) => look_at_file(shim, path, &mut findings),
            PolicyPlace::Reference(pin) => match follow(shim, pin, &repository, now) {
                Ok((policy, words)) => {
                    followed = Some(words);
                    Some(policy)
                }
                Err(failure) => {
                    findings.push(StatusFinding::Broken(failure.error));
                    None
                }
            },
        };
        if let Some(policy) = policy {
            let all = policy.check().into_iter().chain(policy.check_at(now));
            findings.extend(all.map(StatusFinding::Policy));
            let forge = shim.settings.forge.as_ref();
            let at_forge =
                forge.map_or_else(|| policy.check_without_forge(), |forge| policy.check_for(forge));
            findings.extend(at_forge.into_iter().map(StatusFinding::Policy));
            let needs_certificate = policy.rules().iter().find(|rule| rule.pusher.needs_certificate);
            if let Some(rule) = needs_certificate.filter(|_| shim.settings.addresses.is_empty()) {
                findings.push(StatusFinding::NoAddresses { rule: rule.name.clone() });
            }
            findings.extend(foreign_anchor(&policy, repository.hash()).map(StatusFinding::Broken));
        }
        let configuration = configuration(&repository)?;
        let settings = if is_configured { configured.files() } else { Vec::new() };
        look_at(shim, &standing, &settings, &repository, &configuration, &mut findings);
        let found = is_configured.then_some(&configured);
        companions = look_at_ledger(shim, &standing, &repository, &configuration, found, &mut findings);
        let holding = Admissions::new(&shim.state).holding(now);
        findings.extend(holding.into_iter().map(|admission| StatusFinding::Admitted(admission.words())));
        if standing.for_all.is_none() && !same_place(&shim.repository, repository.common_dir()) {
            let what = format!("the hook was installed for the repository '{}'", shim.repository.display());
            findings.push(StatusFinding::Broken(what));
        }
    }
    let configuration = configured.file(HookName::PreReceive).filter(|_| is_configured).map(Path::to_owned);
    Ok(Status { hook, configuration, shim, companions, followed, findings })
}

/// Which hook stands before a push: what git's configuration names, or what lies where hooks are looked for. And
/// whether it is the former.
pub(super) fn find(
    repository: &Repository,
    configured: &Configured,
    findings: &mut Vec<StatusFinding>,
) -> Result<(PathBuf, bool), InstallError> {
    const NAME: HookName = HookName::PreReceive;
    let is_shim = |path: &Path| std::fs::read(path).is_ok_and(|text| Shim::is_shim(&text));
    let own = hook_path(repository, NAME);
    let meant = match own.starts_with(Layout::configured(repository.common_dir())) {
        true => Some(own.clone()),
        false => configured.shim(NAME).filter(|path| is_shim(path)),
    };
    let mut elsewhere = None;
    let found = match hooks_path(repository)? {
        None => Some(own.clone()).filter(|own| meant.as_ref() != Some(own) && is_shim(own)),
        // One for every repository may be there.
        Some(path) => {
            let shared = Path::new(&path).join(NAME.name());
            let shim = std::fs::read(&shared).ok().and_then(|text| Shim::parse(&text).ok());
            let found = shim.filter(|shim| shim.repository.as_os_str().is_empty()).map(|_| shared);
            elsewhere = found.is_none().then_some(path);
            found
        }
    };
    let fault = meant.as_ref().and_then(|meant| configured.fault(NAME, meant));
    match (meant, fault, found) {
        (Some(meant), None, found) => {
            let twice = found.map(|found| StatusFinding::Twice { configured: meant.clone(), found });
            findings.extend(twice);
            Ok((meant, true))
        }
        (Some(_), Some(Fault::Broken(what)), Some(found)) => {
            findings.push(StatusFinding::Broken(what));
            Ok((found, false))
        }
        (_, _, Some(found)) => Ok((found, false)),
        (Some(meant), Some(fault), None) => {
            findings.push(match fault {
                Fault::Broken(what) => StatusFinding::Broken(what),
                Fault::Idle(what) => StatusFinding::Open(what),
            });
            Ok((meant, true))
        }
        (None, _, None) => {
            let elsewhere =
                elsewhere.map(|path| StatusFinding::Open(format!("'core.hooksPath' is set to '{path}'")));
            findings.extend(elsewhere);
            Ok((own, false))
        }
    }
}

/// The policy in its file, and what the shim has of what it names.
fn look_at_file(shim: &Shim, path: &Path, findings: &mut Vec<StatusFinding>) -> Option<Policy> {
    let beside = Beside::new(path);
    let trust = Trust::load(&Pinned {
        policy: path,
        trusted_roots: &shim.trusted_roots,
        openpgp_certificates: &shim.openpgp_certificates,
        certificate_authorities: &shim.certificate_authorities,
    });
    let policy = match trust {
        Ok(trust) => trust.policy,
        Err(error) => {
            findings.push(StatusFinding::Broken(error.to_string()));
            read_policy(&beside).ok()?.0
        }
    };
    let other = |pinned: &[(String, PathBuf)], name: &str, path: &Path| {
        let (_, pinned) = pinned.iter().find(|(pinned, _)| pinned == name)?;
        (pinned.canonicalize().ok() != path.canonicalize().ok()).then(|| pinned.clone())
    };
    for (file, path) in beside.openpgp_certificates(&policy) {
        if let Some(pinned) = other(&shim.openpgp_certificates, &file, &path) {
            findings.push(StatusFinding::OtherCertificates { file, pinned });
        }
    }
    for (name, path) in beside.certificate_authorities(&policy) {
        if let Some(pinned) = other(&shim.certificate_authorities, &name, &path) {
            findings.push(StatusFinding::OtherAuthority { name, pinned });
        }
    }
    for (instance, path) in beside.trusted_roots(&policy) {
        if let Some(pinned) = other(&shim.trusted_roots, &instance, &path) {
            findings.push(StatusFinding::OtherTrustedRoot { instance, pinned });
        }
    }
    Some(policy)
}

/// What the hook before `repository` goes by, if one is installed: where the policy is, and what it says.
///
/// # Errors
/// It cannot be used.
pub fn installed_trust(repository: &Repository, now: i64) -> Result<Option<(PathBuf, Trust)>, Failure> {
    let Some(shim) = Standing::of(repository).shim else { return Ok(None) };
    match &shim.policy {
        PolicyPlace::File(policy) => {
            let trust = Trust::load(&Pinned {
                policy,
                trusted_roots: &shim.trusted_roots,
                openpgp_certificates: &shim.openpgp_certificates,
                certificate_authorities: &shim.certificate_authorities,
            })?;
            Ok(Some((policy.clone(), trust)))
        }
        PolicyPlace::Reference(pin) => {
            let followed = followed(&shim, pin, repository, now)?;
            Ok(Some((PathBuf::from(&pin.reference), followed.into_trust())))
        }
    }
}

fn followed(shim: &Shim, pin: &Pin, repository: &Repository, now: i64) -> Result<Followed, Failure> {
    let seen = PolicyMemory::new(&shim.state).recall(pin)?;
    let objects = repository.objects().map_err(ChainError::from)?;
    let source = PolicyRef { pin, trusted_roots: &shim.trusted_roots, now, go_on: &|_, _| true };
    Ok(source.read(&objects.reader(), &repository.references(), seen)?)
}

/// The policy in its ref as the hook would go by it, and where it stands.
fn follow(shim: &Shim, pin: &Pin, repository: &Repository, now: i64) -> Result<(Policy, String), Failure> {
    let followed = followed(shim, pin, repository, now)?;
    let who = match followed.signers() {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    };
    let (commit, serial) = (followed.commit(), followed.serial());
    let words = format!("commit {commit}, serial {serial}, which {who} may change");
    let mut trust = followed.into_trust();
    PolicyRef { pin, trusted_roots: &shim.trusted_roots, now, go_on: &|_, _| true }
        .take_instances(&mut trust)?;
    Ok((trust.policy, words))
}

/// What the shim runs and goes by, and who else can write it.
fn look_at(
    shim: &Shim,
    standing: &Standing,
    settings: &[&Path],
    repository: &Repository,
    configuration: &Configuration,
    findings: &mut Vec<StatusFinding>,
) {
    if !shim.program.is_file() {
        findings.push(StatusFinding::Broken(format!("there is no program '{}'", shim.program.display())));
    }
    if let Some(before) = shim.before.as_ref().filter(|before| !is_executable(before)) {
        let what =
            format!("the hook that runs first, '{}', is not there or may not be executed", before.display());
        findings.push(StatusFinding::Broken(what));
    }
    let files = shim.trusted_roots.iter().chain(&shim.openpgp_certificates);
    let roots = files.chain(&shim.certificate_authorities).map(|(_, path)| path.as_path());
    let kept = [
        "accepted",
        "verdicts",
        "admissions",
        "push-certificates",
        "intents",
        "many",
        "ledger.head",
        "ledger.lock",
    ];
    let kept = kept.map(|name| shim.state.join(name));
    let companions = HookName::COMPANIONS.map(|name| standing.beside(repository, name));
    let befores = companions.each_ref().map(|path| kept_path(path));
    let paths: Vec<&Path> = [standing.hook.as_path(), &shim.state, &shim.program]
        .into_iter()
        .chain(kept.iter().map(PathBuf::as_path))
        .chain(companions.iter().chain(&befores).map(PathBuf::as_path).filter(|path| path.exists()))
        .chain(settings.iter().copied())
        .chain(shim.policy.file())
        .chain(roots)
        .chain(shim.before.as_deref())
        .collect();
    writers::look(repository, configuration, &paths, findings);
    if shim.settings.ledger {
        owner::look(repository, &shim.state, findings);
    }
}

/// What keeps the ledger: the hooks beside this one, and what hides it from whom.
fn look_at_ledger(
    shim: &Shim,
    standing: &Standing,
    repository: &Repository,
    configuration: &Configuration,
    configured: Option<&Configured>,
    findings: &mut Vec<StatusFinding>,
) -> Vec<(HookName, PathBuf)> {
    let (mut installed, mut is_guarded) = (Vec::new(), false);
    for name in HookName::COMPANIONS {
        let path = standing.beside(repository, name);
        let state = standing.for_all.as_ref().unwrap_or(&shim.state);
        let Some(text) = std::fs::read(&path).ok().filter(|text| name.is_shim(text)) else { continue };
        let hook = name.name();
        let fault = match Companion::parse(name, &text) {
            Err(error) => Some(error.to_string()),
            Ok(_) if !is_executable(&path) => Some("it may not be executed".to_owned()),
            Ok(companion) if companion.state != *state || companion.program != shim.program => {
                Some("it goes by another state folder or program than pre-receive".to_owned())
            }
            Ok(Companion { gate: Some(gate), .. }) if gate != hook_path(repository, HookName::PreReceive) => {
                Some("it asks another hook than the one that is installed".to_owned())
            }
            Ok(Companion { before: Some(before), .. }) if !is_executable(&before) => {
                Some(format!("the hook that runs first, '{}', may not be executed", before.display()))
            }
            Ok(companion) => {
                is_guarded |= companion.gate.is_some();
                let is_configured = standing.for_all.is_some()
                    || path.starts_with(Layout::configured(repository.common_dir()));
                let configured = configured.filter(|_| is_configured);
                let fault = configured.and_then(|configured| configured.fault(name, &path));
                fault.map(|fault| match fault {
                    Fault::Broken(what) | Fault::Idle(what) => what,
                })
            }
        };
        let words = |fault| StatusFinding::Ledger(format!("the hook '{hook}' does not do its work: {fault}"));
        findings.extend(fault.map(words));
        installed.push((name, path));
    }
    let is_gitea = shim.settings.forge.as_ref().is_some_and(|forge| forge.kind == ForgeKind::Gitea);
    if is_gitea && !is_guarded {
        findings.push(StatusFinding::Unguarded);
    }
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
    installed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hook::{InstallOptions, PolicyChoice, Settings, install},
        repository::tests::Scratch,
    };

    #[test]
    fn what_is_open_broken_or_writable_is_said() {
        let scratch = Scratch::new(&["--bare"]);
        let findings = || status(scratch.path(), 0).unwrap().findings;
        assert!(matches!(&findings()[..], [StatusFinding::Open(_)]));

        let policy = scratch.path().join("policy.toml");
        std::fs::write(&policy, policy::FIRST_POLICY).unwrap();
        let options = InstallOptions {
            repository: scratch.path().to_owned(),
            policy: PolicyChoice::File(policy.clone()),
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
        };
        install(&options).unwrap();
        let mode = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&policy, 0o644);
        for part in ["hooks", "refs", "refs/heads", "objects", "objects/pack"] {
            mode(&scratch.path().join(part), 0o755);
        }
        mode(&scratch.path().join("config"), 0o644);
        mode(&scratch.path().join("HEAD"), 0o644);
        assert_eq!(findings(), []);

        mode(&policy, 0o664);
        assert_eq!(findings(), [StatusFinding::Writable(policy.clone())]);
        mode(&policy, 0o644);
        mode(&scratch.path().join("countersign"), 0o777);
        assert_eq!(findings(), [StatusFinding::Writable(scratch.path().join("countersign"))]);
        mode(&scratch.path().join("countersign"), 0o700);

        std::fs::write(&policy, "version = 1\n").unwrap();
        assert!(matches!(&findings()[..], [StatusFinding::Broken(_)]));
        std::fs::write(&policy, policy::FIRST_POLICY).unwrap();

        let shim = |change: &dyn Fn(&mut Shim)| {
            let hook = scratch.path().join("hooks/pre-receive");
            let mut shim = Shim::parse(&std::fs::read(&hook).unwrap()).unwrap();
            change(&mut shim);
            std::fs::write(&hook, shim.render().unwrap()).unwrap();
        };
        shim(&|shim| shim.repository = "/elsewhere".into());
        assert!(matches!(&findings()[..], [StatusFinding::Broken(what)] if what.contains("'/elsewhere'")));
        shim(&|shim| shim.repository = scratch.path().to_owned());
        shim(&|shim| shim.before = Some("/nowhere/before".into()));
        assert!(matches!(&findings()[..], [StatusFinding::Broken(what)] if what.contains("/nowhere/before")));
        shim(&|shim| shim.before = None);
        let anchor = format!(
            "[[rule]]\nname = \"a\"\nrefs = [\"refs/a\"]\ncommits = \"unsigned\"\nanchor = \"{}\"\n",
            "1".repeat(64)
        );
        std::fs::write(&policy, format!("version = 1\nother_refs = \"refuse\"\n{anchor}")).unwrap();
        assert!(matches!(&findings()[..], [StatusFinding::Broken(what)] if what.contains("of another hash")));
        std::fs::write(&policy, policy::FIRST_POLICY).unwrap();
        let open = scratch.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::rename(&policy, open.join("policy.toml")).unwrap();
        mode(&open, 0o777);
        std::os::unix::fs::symlink(open.join("policy.toml"), &policy).unwrap();
        assert_eq!(findings(), [StatusFinding::Writable(open.canonicalize().unwrap())]);
        mode(&open, 0o755);
        std::fs::create_dir(scratch.path().join("countersign/accepted")).unwrap();
        mode(&scratch.path().join("countersign/accepted"), 0o777);
        assert_eq!(findings(), [StatusFinding::Writable(scratch.path().join("countersign/accepted"))]);
        mode(&scratch.path().join("countersign/accepted"), 0o700);

        let text = std::fs::read(scratch.path().join("config")).unwrap();
        scratch.git(&["config", "transfer.hideRefs", "refs/countersign"]);
        assert!(matches!(&findings()[..], [StatusFinding::Ledger(what)] if what.contains("those who fetch")));
        scratch.git(&["config", "transfer.hideRefs", "!refs/countersign"]);
        scratch.git(&["config", "--unset", "receive.hideRefs"]);
        assert!(
            matches!(&findings()[..], [StatusFinding::Ledger(what)] if what.contains("offers the ledger"))
        );
        std::fs::write(scratch.path().join("config"), text).unwrap();
        for (name, path) in status(scratch.path(), 0).unwrap().companions {
            mode(&path, 0o644);
            assert!(matches!(&findings()[..], [StatusFinding::Ledger(what)] if what.contains(name.name())));
            mode(&path, 0o755);
            mode(&path, 0o775);
            assert_eq!(findings(), [StatusFinding::Writable(path.clone())]);
            mode(&path, 0o755);
        }
        scratch.git(&["config", "core.hooksPath", "/x"]);
        assert!(matches!(&findings()[..], [StatusFinding::Open(_)]));
        scratch.git(&["config", "--unset", "core.hooksPath"]);
        let hook = scratch.path().join("hooks/pre-receive");
        mode(&hook, 0o644);
        assert!(matches!(&findings()[..], [StatusFinding::Open(_)]));
        std::fs::write(&hook, "#!/bin/sh\n").unwrap();
        assert!(matches!(&findings()[..], [StatusFinding::Open(_)]));
    }
}
