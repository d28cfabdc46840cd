//! What the configuration means: which trusted roots count, who is named, how to sign.
//!
//! Whatever decides about trust, names a server or runs a program is taken from protected
//! configuration (system, global, command line) and the user's environment only, never from a
//! repository's own file.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use gix::sec::Trust as Ownership;
use jiff::tz::TimeZone;

use super::{
    Environment, World,
    policy::source::{self, Here, POLICY, Source, Unpinned},
    trust::roots::{self, Facts, Root},
};
use crate::{
    gpg::Signer,
    policy::{AllowedSigners, Cause, Limits, Policy, Receipt, SignedBy},
    repository::{Configuration, Coverage, FormatError, Objects, OpenError, Repository, Scopes, Shallow},
    signature::ssh::Revocations,
    sigstore::{
        certificate::SubjectKind,
        trusted_root::{Instance, MAXIMUM_ROOT_BYTES, PUBLIC_GOOD},
    },
    trust::{Beside, Trust as Snapshot, read_policy},
    verify::{CannotTell, Identity, Key, Proven, Stated, openpgp::KeyRing, smime::Authorities},
    words::{Failure, shell_word},
};

/// The largest configuration-like file (policy, signing config) that is read, in bytes.
pub(super) const MAXIMUM_FILE_BYTES: usize = MAXIMUM_ROOT_BYTES;

/// What is said where no log holds a signature, and that counts for nothing.
pub(super) const NOT_LOGGED_HINT: &str = "if such signatures are to count here, run 'git config --global \
     countersign.notLogged accept'";

/// What is said of a signer that lies outside the limits of the instance.
pub(super) const NOT_BELIEVED: &str = "for whom the instance is not believed here";

/// Who counts, by policy or by the user's own word.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// The instances to verify with, each by its own trusted root.
    pub(super) instances: Vec<Instance>,
    /// What is known of their trusted roots.
    pub(super) roots: Vec<Facts>,
    /// What instances are believed for; every entry of a name has to believe.
    limits: Vec<(String, Limits)>,
    /// The age in days at which a trusted root tells nothing any more.
    maximum_age: Option<i64>,
    /// Signatures count that no log holds, as far as they show, where a timestamp authority proves their time.
    pub(super) not_logged_counts: bool,
    /// Where names come from; `None` where there is neither policy nor named identity.
    pub(super) source: Option<String>,
    pub(super) identities: Vec<Identity>,
    pub(super) policy: Option<Policy>,
    /// Where the policy comes from, if there is one.
    pub(super) policy_source: Option<Source>,
    /// A policy that was found and decides nothing.
    pub(super) unpinned: Option<Unpinned>,
    /// The OpenPGP certificates that the policy counts.
    pub(super) openpgp: KeyRing,
    /// The certificate authorities that the policy counts.
    pub(super) smime: Authorities,
    /// Who may sign with which SSH key where no policy says so, and where that stands.
    pub(super) ssh_signers: Option<(AllowedSigners, String)>,
}

/// Why nothing can be told, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unclear {
    pub(super) cause: String,
    pub(super) hint: Option<String>,
    /// A key would help that another key ring may have.
    pub(super) unknown_key: bool,
}

/// How an identity stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Named, under this name.
    Named(String),
    /// There is neither policy nor named identity.
    NoPolicy,
    /// The instance that vouches is not believed for such an identity.
    NotBelieved,
    /// Named or known, and not counted for this object.
    Refused(Box<Cause>),
    /// Not named.
    Unnamed,
}

impl Standing {
    /// Why it cannot be told whether the signer counts, where that is so.
    pub(super) fn unclear(&self) -> Option<Unclear> {
        match self {
            Self::Refused(cause) if cause.is_unclear() => {
                Some(Unclear { cause: cause.to_string(), hint: Some(cause.hint()), unknown_key: false })
            }
            _ => None,
        }
    }
}

impl Trust {
    /// Judge with `root`, in the place of any other of its name.
    pub(super) fn put(&mut self, root: Root) {
        self.instances.retain(|instance| instance.name() != root.facts.name);
        self.roots.retain(|facts| facts.name != root.facts.name);
        self.instances.push(root.instance);
        self.roots.push(root.facts);
    }

    /// What makes a good signature one that cannot be told: the trusted root behind it is too old.
    pub(super) fn stale(&self, proven: &Proven, now: i64) -> Option<Unclear> {
        self.stale_for(proven.identity(), now)
    }

    /// [`Self::stale`], for a signature of which only the signer is known.
    pub(super) fn stale_for(&self, identity: &Identity, now: i64) -> Option<Unclear> {
        let facts = self.roots.iter().find(|facts| facts.name == identity.instance)?;
        let maximum = self.maximum_age.filter(|maximum| facts.days(now) > *maximum)?;
        Some(Unclear {
            cause: format!(
                "the trusted root of '{}' is {}, and 'countersign.trustMaxAge' is {maximum}",
                facts.name,
                facts.age(now)
            ),
            hint: Some(facts.remedy()),
            unknown_key: false,
        })
    }

    /// `cause` in words. Where a trusted root lacks something, its age is said, and what to do.
    pub(super) fn unclear(&self, cause: &CannotTell, now: i64) -> Unclear {
        let lacks = matches!(
            cause,
            CannotTell::UnknownAuthority
                | CannotTell::UnknownCtLog
                | CannotTell::UnknownLog
                | CannotTell::UnknownTimestampAuthority
        );
        if !lacks || self.roots.is_empty() {
            let unknown_key =
                matches!(cause, CannotTell::UnknownKey | CannotTell::UnknownCertificateAuthority);
            let hint = (*cause == CannotTell::UnknownCertificateAuthority).then(|| {
                "name the certificate authority in a policy, under '[[certificate_authority]]'".to_owned()
            });
            return Unclear { cause: cause.to_string(), hint, unknown_key };
        }
        // Which instance was meant is not known where its authority is not.
        let ages: Vec<String> =
            self.roots.iter().map(|facts| format!("'{}' is {}", facts.name, facts.age(now))).collect();
        let mut remedies: Vec<String> = self.roots.iter().map(Facts::remedy).collect();
        if self.roots.iter().filter(|facts| facts.is_updatable).count() > 1 {
            let others = self.roots.iter().filter(|facts| !facts.is_updatable).map(Facts::remedy);
            remedies = std::iter::once("run 'countersign trust update'".to_owned()).chain(others).collect();
        }
        Unclear {
            cause: format!("{cause} ({})", ages.join(", ")),
            hint: Some(remedies.join(", or ")),
            unknown_key: false,
        }
    }

    /// What the policy's anchors cover in a repository.
    pub(super) fn coverage(&self, objects: &Objects, shallow: Shallow) -> Coverage {
        let anchors = self.policy.iter().flat_map(|policy| policy.anchors());
        let anchors: Vec<_> = anchors.map(|anchor| (anchor.object, anchor.received)).collect();
        Coverage::new(objects.reader(), shallow, &anchors)
    }

    /// How a signer with a certificate of an instance stands.
    pub(super) fn standing<'s>(&self, signer: impl Into<SignedBy<'s>>, receipt: &Receipt<'_>) -> Standing {
        let signer = signer.into();
        let SignedBy::Proven { identity, .. } = signer else { return self.by_policy(signer, receipt) };
        let believes =
            |(name, limits): &(String, Limits)| *name != identity.instance || limits.believe(identity);
        if !self.limits.iter().all(believes) {
            return Standing::NotBelieved;
        }
        if self.source.is_none() {
            return Standing::NoPolicy;
        }
        let by_policy = self.by_policy(signer, receipt);
        if by_policy == Standing::Unnamed && self.identities.contains(identity) {
            return Standing::Named(identity.subject.clone());
        }
        by_policy
    }

    /// How the holder of a key stands by the policy.
    pub(super) fn standing_of_keys(
        &self,
        keys: &[Key],
        time: Option<i64>,
        receipt: &Receipt<'_>,
    ) -> Standing {
        if self.source.is_none() {
            return Standing::NoPolicy;
        }
        self.by_policy(SignedBy::Stated { keys, time }, receipt)
    }

    fn by_policy(&self, signer: SignedBy<'_>, receipt: &Receipt<'_>) -> Standing {
        let Some(policy) = &self.policy else { return Standing::Unnamed };
        match policy.names(signer, receipt) {
            Ok(names) => Standing::Named(names[0].to_owned()),
            Err(Cause::NotInThePolicy(..) | Cause::KeyNotInThePolicy(_)) => Standing::Unnamed,
            Err(cause) => Standing::Refused(Box::new(cause)),
        }
    }

    /// How the signer of an SSH or OpenPGP signature stands.
    pub(super) fn standing_of_stated(&self, stated: &Stated, receipt: &Receipt<'_>) -> Standing {
        let is_ssh = |key: &Key| matches!(key, Key::Ssh { .. } | Key::SshCertificate { .. });
        match &self.ssh_signers {
            Some((signers, _)) if stated.keys().iter().all(is_ssh) => signers
                .name(stated.keys(), stated.time().unwrap_or(receipt.now))
                .map_or(Standing::Unnamed, Standing::Named),
            _ => self.standing_of_keys(stated.keys(), stated.time(), receipt),
        }
    }

    /// What is said of a good signature where nobody is named.
    pub(super) fn nobody(&self) -> &'static str {
        match &self.unpinned {
            Some(_) => "policy found, not pinned: see 'countersign policy pin'",
            None => "no policy names anyone",
        }
    }

    /// Name one identity besides.
    pub(super) fn name(&mut self, identity: Identity, source: &str) {
        self.identities.push(identity);
        self.source.get_or_insert_with(|| source.to_owned());
    }
}

/// Read git's configuration as it holds in the world's directory.
pub(super) fn configuration(world: &World<'_>) -> Result<Configuration, Failure> {
    let git_dir = world.environment.get("GIT_DIR").map(Path::new);
    Configuration::read(&world.directory, git_dir)
        .map_err(|error| Failure::new(error, "run 'git config --list' here to see what is wrong with it"))
}

/// The repository around the world's directory, as git finds it.
pub(super) fn discover(world: &World<'_>) -> Result<Repository, OpenError> {
    check_reference_backend(world)?;
    Repository::discover(&world.directory, world.environment.get("GIT_DIR").map(Path::new))
}

/// Refuse to read refs where git has been told to keep them elsewhere (git(1), `GIT_REFERENCE_BACKEND`, git 2.54).
fn check_reference_backend(world: &World<'_>) -> Result<(), OpenError> {
    match world.environment.get("GIT_REFERENCE_BACKEND") {
        None => Ok(()),
        Some(backend) if backend == "files" => Ok(()),
        Some(backend) => Err(FormatError::RefStorage(backend.to_string_lossy().into_owned()).into()),
    }
}

/// The repository around the world's directory.
pub(super) fn repository(world: &World<'_>, named: Option<&Path>) -> Result<Repository, Failure> {
    let opened = match named {
        Some(directory) => {
            check_reference_backend(world).and_then(|()| Repository::open(&world.directory.join(directory)))
        }
        None => discover(world),
    };
    let opened = opened.map_err(|error| {
        let remedy = if let OpenError::Format(error) = &error { error.remedy() } else { None };
        Failure::new(error, remedy.unwrap_or("run this inside a repository, or name one with '--repository'"))
    })?;
    // Whoever sets GIT_DIR has chosen the repository in so many words; git asks no more then either.
    if named.is_some() || world.environment.get("GIT_DIR").is_none() {
        check_owner(world, named, &opened)?;
    }
    Ok(opened)
}

/// Refuse a repository of somebody else's, unless `safe.directory` names it. Where anything of it is not
/// the user's own, git decides: it knows every form of that setting.
fn check_owner(world: &World<'_>, named: Option<&Path>, repository: &Repository) -> Result<(), Failure> {
    let git_dir = repository.git_dir();
    let work_tree = git_dir.ends_with(".git").then(|| git_dir.parent()).flatten();
    let is_own = |path: &Path| matches!(Ownership::from_path_ownership(path), Ok(Ownership::Full));
    if [Some(git_dir), Some(repository.common_dir()), work_tree].into_iter().flatten().all(is_own) {
        return Ok(());
    }
    let mut git = Command::new("git");
    git.current_dir(named.map_or(world.directory.clone(), |named| world.directory.join(named)));
    git.args(["rev-parse", "--git-dir"]).env_remove("GIT_DIR");
    let answer = git.output().map_err(|error| {
        Failure::new(format!("git cannot be run: {error}"), "install git, or put it into PATH")
    })?;
    if answer.status.success() {
        return Ok(());
    }
    let place = work_tree.unwrap_or(git_dir).display();
    let words = String::from_utf8_lossy(&answer.stderr);
    let reason = words.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
    Err(Failure::new(
        format!("git does not use the repository '{place}': {reason}"),
        format!(
            "if you trust whoever owns it, run 'git config --global --add safe.directory {}'",
            shell_word(&place.to_string())
        ),
    ))
}

/// What verification goes by in `repository`, or the one around the world's directory, as protected
/// configuration says.
pub(super) fn trust(
    world: &World<'_>,
    configuration: &Configuration,
    repository: Option<&Repository>,
) -> Result<Trust, Failure> {
    let mut trust = match (path(world, configuration, POLICY)?, repository) {
        (Some(file), _) => {
            let snapshot = Snapshot::load(&Beside::new(&file))?;
            let source = Source::configured(&file, &snapshot, configuration);
            by_policy(world, configuration, snapshot, source)?
        }
        (None, repository) => match source::here(world, configuration, repository)? {
            Here::Pinned(found) => {
                let (followed, source) = *found;
                by_policy(world, configuration, followed.into_trust(), source)?
            }
            Here::Unpinned(found) => Trust { unpinned: Some(found), ..instances(world, configuration, &[])? },
            Here::Nothing => instances(world, configuration, &[])?,
        },
    };
    for (_, value) in configuration.get_all("countersign.trustedIdentity", Scopes::Protected) {
        let text = String::from_utf8_lossy(value);
        let identity = parse_identity(&text).ok_or_else(|| {
            Failure::new(
                format!("'countersign.trustedIdentity' is '{text}', which names no identity"),
                "write it as '<instance> <issuer> <email|uri|username> <subject>'",
            )
        })?;
        trust.name(identity, "countersign.trustedIdentity");
    }
    Ok(trust)
}

/// What verification goes by, as the policy in `file` says. Trusted roots that it names lie relative
/// to it; instances of the configuration count beside its own.
pub(super) fn policy_trust(
    world: &World<'_>,
    configuration: &Configuration,
    file: &Path,
) -> Result<Trust, Failure> {
    let file = world.directory.join(file);
    let snapshot = Snapshot::load(&Beside::new(&file))?;
    let source = Source::typed(&file, &snapshot);
    by_policy(world, configuration, snapshot, source)
}

/// What verification goes by, as the policy of `snapshot` says.
pub(super) fn by_policy(
    world: &World<'_>,
    configuration: &Configuration,
    snapshot: Snapshot,
    source: Source,
) -> Result<Trust, Failure> {
    let mut trust = instances(world, configuration, &[])?;
    trust.openpgp = snapshot.openpgp;
    trust.smime = snapshot.smime;
    for (instance, place) in snapshot.roots {
        trust.put(roots::from_policy(instance, place)?);
    }
    for name in &snapshot.rootless {
        if let Some(root) = roots::resolve(world, configuration, name)? {
            trust.put(root);
        }
    }
    let limits = snapshot.policy.instances().iter();
    trust.limits.extend(limits.map(|entry| (entry.name.clone(), entry.limits.clone())));
    trust.source = Some(source.words());
    trust.policy_source = Some(source);
    trust.policy = Some(snapshot.policy);
    Ok(trust)
}

/// The policy that counts here as protected configuration says, if one does.
pub(super) fn policy(world: &World<'_>, configuration: &Configuration) -> Result<Option<Policy>, Failure> {
    if let Some(file) = path(world, configuration, POLICY)? {
        return Ok(Some(read_policy(&Beside::new(&file))?.0));
    }
    Ok(match source::here(world, configuration, None)? {
        Here::Pinned(found) => Some(found.0.into_trust().policy),
        Here::Unpinned(_) | Here::Nothing => None,
    })
}

/// Where no policy says who may sign, let git's own list of allowed signers say it for SSH keys, if
/// protected configuration names one.
pub(super) fn name_ssh_signers(
    world: &World<'_>,
    configuration: &Configuration,
    trust: &mut Trust,
) -> Result<(), Failure> {
    let file = path(world, configuration, "gpg.ssh.allowedSignersFile")?;
    let Some(file) = file.filter(|_| trust.policy.is_none()) else { return Ok(()) };
    let text = read(&file, "list of allowed signers")?;
    let signers = AllowedSigners::parse(&text, &time_zone()).map_err(|error| {
        let error = format!("the list of allowed signers '{}' cannot be used: {error}", file.display());
        Failure::new(error, "mend it: ssh-keygen(1) says how a line is written")
    })?;
    let digest = hex::encode(crate::encoding::sha256(&[text.as_bytes()]));
    trust.ssh_signers = Some((signers, format!("allowed signers '{}' sha256:{digest}", file.display())));
    Ok(())
}

/// The SSH keys that protected configuration revokes.
pub(super) fn ssh_revocations(
    world: &World<'_>,
    configuration: &Configuration,
) -> Result<Revocations, Failure> {
    match path(world, configuration, "gpg.ssh.revocationFile")? {
        Some(file) => super::ssh_program::revocations(&file),
        None => Ok(Revocations::default()),
    }
}

/// The time zone of whoever runs the program, as git and `ssh-keygen` take it for times of SSH keys.
pub(super) fn time_zone() -> TimeZone {
    TimeZone::system()
}

/// Trust in nobody yet, with every instance that counts here, and `named` besides.
pub(super) fn instances(
    world: &World<'_>,
    configuration: &Configuration,
    named: &[&str],
) -> Result<Trust, Failure> {
    let mut trust = Trust {
        limits: roots::limits(configuration)?,
        maximum_age: roots::maximum_age(configuration)?,
        not_logged_counts: not_logged_counts(configuration)?,
        ..Trust::default()
    };
    for root in roots::all(world, configuration, named)? {
        trust.put(root);
    }
    Ok(trust)
}

/// Whether signatures count that show no log entry.
fn not_logged_counts(configuration: &Configuration) -> Result<bool, Failure> {
    match configuration.text("countersign.notLogged", Scopes::Protected) {
        None | Some("" | "refuse") => Ok(false),
        Some("accept") => Ok(true),
        Some(other) => Err(Failure::new(
            format!("'countersign.notLogged' is '{other}', which it cannot be"),
            "set it to accept or refuse",
        )),
    }
}

/// Read a text file of ours, with a bound on its size.
pub(super) fn read(file: &Path, what: &str) -> Result<String, Failure> {
    let bytes = read_bytes(file, what, MAXIMUM_FILE_BYTES)?;
    String::from_utf8(bytes).map_err(|error| unreadable(file, what, &error))
}

/// Read a file of at most `maximum` bytes.
fn read_bytes(file: &Path, what: &str, maximum: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(|error| unreadable(file, what, &error))?;
    let mut bounded = opened.take(maximum as u64 + 1);
    bounded.read_to_end(&mut bytes).map_err(|error| unreadable(file, what, &error))?;
    if bytes.len() > maximum {
        return Err(unreadable(file, what, &format!("it is larger than {maximum} bytes")));
    }
    Ok(bytes)
}

fn unreadable(file: &Path, what: &str, reason: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        format!("the {what} '{}' cannot be read: {reason}", file.display()),
        "check the path and its permissions",
    )
}

/// A path from protected configuration, with git's `~/` (git-config, "pathname"); `None` where it is not
/// set. It has to be absolute: what is relative to the current directory is the repository's own content.
pub(super) fn path(
    world: &World<'_>,
    configuration: &Configuration,
    key: &str,
) -> Result<Option<PathBuf>, Failure> {
    let Some(value) = configuration.get(key, Scopes::Protected).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = gix::path::from_bstr(value).map_err(|_| {
        Failure::new(format!("'{key}' is '{value}', which is no path"), "name the file by its whole path")
    })?;
    let path = match (text.strip_prefix("~"), home(&world.environment)) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => text.into_owned(),
    };
    if !path.is_absolute() {
        return Err(Failure::new(
            format!("'{key}' is '{value}', which would lead into whatever repository is at hand"),
            "name the file by its whole path",
        ));
    }
    Ok(Some(path))
}

/// The user's home folder.
pub(super) fn home(environment: &Environment) -> Option<PathBuf> {
    environment
        .get("HOME")
        .map(PathBuf::from)
        .or_else(|| directories::BaseDirs::new().map(|directories| directories.home_dir().to_owned()))
}

fn parse_identity(text: &str) -> Option<Identity> {
    let mut words = text.splitn(4, ' ');
    let (instance, issuer, kind, subject) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some(Identity {
        instance: instance.to_owned(),
        issuer: issuer.to_owned(),
        kind: SubjectKind::from_name(kind)?,
        subject: Some(subject).filter(|subject| !subject.is_empty())?.to_owned(),
    })
}

/// What git's status lines say of a signature at a proven time, by the certificate with this SHA-256.
pub(super) fn signer(identity: &Identity, certificate: &[u8; 32], time: i64) -> Signer {
    let Identity { instance, issuer, kind, subject } = identity;
    let identity = [instance.as_str(), issuer, kind.name(), subject].join("\0");
    Signer {
        name: subject.clone(),
        fingerprint: hex::encode_upper(certificate),
        primary_fingerprint: hex::encode_upper(crate::encoding::sha256(&[identity.as_bytes()])),
        time,
    }
}

/// What git's status lines say of a signature that states its time.
pub(super) fn key_signer(stated: &Stated) -> Signer {
    let name = stated.keys().first().map(ToString::to_string).unwrap_or_default();
    Signer {
        fingerprint: stated.signing_key().to_owned(),
        primary_fingerprint: name.rsplit(' ').next().unwrap_or_default().to_owned(),
        name,
        time: stated.time().unwrap_or_default(),
    }
}

/// An e-mail subject under one of `issuers` of the public-good instance.
pub(super) fn is_checked_mail(identity: &Identity, issuers: &[&str]) -> bool {
    identity.instance == PUBLIC_GOOD
        && identity.kind == SubjectKind::Email
        && issuers.contains(&identity.issuer.as_str())
}
