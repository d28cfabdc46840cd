//! What stands between a repository and its pushers, and who else could change it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::repository::system::PermissionsExt;

use super::{
    Admissions, InstallError, PolicyMemory, PolicyPlace, Shim,
    install::{hook_path, hooks_path, is_executable},
    policy_ref::PolicyRef,
    pre_receive::{foreign_anchor, same_place},
};
use crate::{
    policy::{self, Policy},
    repository::Repository,
    trust::{Beside, ChainError, Followed, Pin, Pinned, Trust, read_policy},
    words::Failure,
};

/// What is installed in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where the hook is looked for.
    pub hook: PathBuf,
    /// The shim, if the hook is one.
    pub shim: Option<Shim>,
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
    /// Others than the owner can change it, or a folder above it.
    Writable(PathBuf),
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
            Self::Writable(path) => write!(
                formatter,
                "'{}' can be changed by others than its owner, and with it what is accepted",
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
    let hook = hook_path(&repository);
    let mut findings = Vec::new();
    let mut followed = None;
    if let Some(path) = hooks_path(&repository)? {
        findings.push(StatusFinding::Open(format!("'core.hooksPath' is set to '{path}'")));
    }
    let shim = match std::fs::read(&hook) {
        Ok(text) if Shim::is_shim(&text) => match Shim::parse(&text) {
            Ok(shim) => Some(shim),
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
            findings.extend(policy.check().into_iter().map(StatusFinding::Policy));
            let at_forge = shim.settings.forge.iter().flat_map(|forge| policy.check_for(forge));
            findings.extend(at_forge.map(StatusFinding::Policy));
            let needs_certificate = policy.rules().iter().find(|rule| rule.pusher.needs_certificate);
            if let Some(rule) = needs_certificate.filter(|_| shim.settings.addresses.is_empty()) {
                findings.push(StatusFinding::NoAddresses { rule: rule.name.clone() });
            }
            findings.extend(foreign_anchor(&policy, &repository).map(StatusFinding::Broken));
        }
        look_at(shim, &hook, &mut findings);
        let holding = Admissions::new(&shim.state).holding(now);
        findings.extend(holding.into_iter().map(|admission| StatusFinding::Admitted(admission.words())));
        if !same_place(&shim.repository, repository.common_dir()) {
            let what = format!("the hook was installed for the repository '{}'", shim.repository.display());
            findings.push(StatusFinding::Broken(what));
        }
    }
    Ok(Status { hook, shim, followed, findings })
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

/// The policy in its ref as the hook would go by it, and where it stands.
fn follow(shim: &Shim, pin: &Pin, repository: &Repository, now: i64) -> Result<(Policy, String), Failure> {
    let seen = PolicyMemory::new(&shim.state).recall(pin)?;
    let objects = repository.objects().map_err(ChainError::from)?;
    let source = PolicyRef { pin, trusted_roots: &shim.trusted_roots, now };
    let followed: Followed = source.read(&objects.reader(), &repository.references(), seen)?;
    let who = match followed.signers() {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    };
    let (commit, serial) = (followed.commit(), followed.serial());
    let words = format!("commit {commit}, serial {serial}, which {who} may change");
    let mut trust = followed.into_trust();
    source.take_instances(&mut trust)?;
    Ok((trust.policy, words))
}

/// What the shim runs and goes by, and who else can write it.
fn look_at(shim: &Shim, hook: &Path, findings: &mut Vec<StatusFinding>) {
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
    let accepted = shim.state.join("accepted");
    let verdicts = shim.state.join("verdicts");
    let admissions = shim.state.join("admissions");
    let used = shim.state.join("push-certificates");
    let paths = [hook, &shim.state, &accepted, &verdicts, &admissions, &used, &shim.program]
        .into_iter()
        .chain(shim.policy.file())
        .chain(roots);
    let mut writable: Vec<PathBuf> =
        paths.chain(shim.before.as_deref()).filter_map(writable_by_others).collect();
    writable.sort();
    writable.dedup();
    findings.extend(writable.into_iter().map(StatusFinding::Writable));
}

/// The first of `path` and the folders above it that group or others can write, as it is written and as
/// symbolic links lead to it. In a folder with the sticky bit nobody can replace what is another's.
fn writable_by_others(path: &Path) -> Option<PathBuf> {
    let led_to = path.canonicalize().ok();
    path.ancestors()
        .chain(led_to.iter().flat_map(|path| path.ancestors()))
        .find(|path| {
            path.metadata().is_ok_and(|metadata| {
                let mode = metadata.permissions().mode();
                mode & 0o022 != 0 && !(metadata.is_dir() && mode & 0o1000 != 0)
            })
        })
        .map(Path::to_owned)
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
            trusted_roots: vec![],
            openpgp_certificates: vec![],
            certificate_authorities: vec![],
            settings: Settings::default(),
            now: 0,
        };
        install(&options).unwrap();
        let mode = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&policy, 0o644);
        mode(&scratch.path().join("hooks"), 0o755);
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
