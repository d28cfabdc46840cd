//! What the configuration means: which trusted roots count, who is named, how to sign.
//!
//! Whatever decides about trust, names a server or runs a program is taken from protected
//! configuration (system, global, command line) and the user's environment only, never from a
//! repository's own file.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{Environment, World};
use crate::{
    gpg::Signer,
    policy::Policy,
    repository::{Configuration, Repository, Scopes},
    sigstore::{
        certificate::SubjectKind,
        trusted_root::{Instance, MAXIMUM_ROOT_BYTES, PUBLIC_GOOD},
    },
    verify::{Identity, Proven},
    words::Failure,
};

/// The largest configuration-like file (policy, signing config) that is read, in bytes.
const MAXIMUM_FILE_BYTES: usize = MAXIMUM_ROOT_BYTES;

/// Who counts, by policy or by the user's own word.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// The instances to verify with, each by its own trusted root.
    pub(super) instances: Vec<Instance>,
    /// Where names come from; `None` where there is neither policy nor named identity.
    pub(super) source: Option<String>,
    pub(super) identities: Vec<Identity>,
    pub(super) policy: Option<Policy>,
}

/// How an identity stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Named, under this name.
    Named(String),
    /// There is neither policy nor named identity.
    NoPolicy,
    /// Not named.
    Unnamed,
}

impl Trust {
    /// How `identity` stands.
    pub(super) fn standing(&self, identity: &Identity) -> Standing {
        if self.source.is_none() {
            return Standing::NoPolicy;
        }
        if let Some(name) = self.policy.as_ref().and_then(|policy| policy.name_of(identity)) {
            return Standing::Named(name.to_owned());
        }
        if self.identities.contains(identity) {
            return Standing::Named(identity.subject.clone());
        }
        Standing::Unnamed
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

/// The repository around the world's directory.
pub(super) fn repository(world: &World<'_>, named: Option<&Path>) -> Result<Repository, Failure> {
    let opened = match named {
        Some(directory) => Repository::open(&world.directory.join(directory)),
        None => Repository::discover(&world.directory, world.environment.get("GIT_DIR").map(Path::new)),
    };
    opened
        .map_err(|error| Failure::new(error, "run this inside a repository, or name one with '--repository'"))
}

/// What verification goes by, as protected configuration says.
pub(super) fn trust(world: &World<'_>, configuration: &Configuration) -> Result<Trust, Failure> {
    let mut trust = match path(world, configuration, "countersign.policy")? {
        Some(policy) => policy_trust(world, configuration, &policy)?,
        None => Trust { instances: instances(world, configuration)?, ..Trust::default() },
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
    let text = read(&file, "policy")?;
    let policy = Policy::parse(&text).map_err(|error| {
        Failure::new(
            format!("the policy '{}' cannot be used: {error}", file.display()),
            format!("mend it, and look with 'countersign policy check {}'", file.display()),
        )
    })?;
    let mut instances = Vec::new();
    for entry in policy.instances() {
        let root = file.parent().unwrap_or(Path::new("")).join(&entry.trusted_root);
        instances.push(load_instance(&entry.name, &root)?);
    }
    for instance in self::instances(world, configuration)? {
        if instances.iter().all(|own: &Instance| own.name() != instance.name()) {
            instances.push(instance);
        }
    }
    let digest = hex::encode(crate::encoding::sha256(&[text.as_bytes()]));
    let source = format!("policy '{}' sha256:{digest}", file.display());
    Ok(Trust { instances, source: Some(source), identities: Vec::new(), policy: Some(policy) })
}

/// Every instance that protected configuration names, and public-good.
pub(super) fn instances(world: &World<'_>, configuration: &Configuration) -> Result<Vec<Instance>, Failure> {
    let mut instances = Vec::new();
    for name in configuration.subsections("countersign", Scopes::Protected) {
        let name = String::from_utf8_lossy(name).into_owned();
        if let Some(file) = path(world, configuration, &format!("countersign.{name}.trustedRoot"))? {
            instances.push(load_instance(&name, &file)?);
        }
    }
    if !instances.iter().any(|instance| instance.name() == PUBLIC_GOOD) {
        instances.push(public_good()?);
    }
    Ok(instances)
}

pub(super) fn public_good() -> Result<Instance, Failure> {
    Instance::public_good().map_err(|error| {
        Failure::new(format!("the built-in trusted root: {error}"), "install countersign again")
    })
}

/// Load the trusted root in `file` as the instance `name`.
pub(super) fn load_instance(name: &str, file: &Path) -> Result<Instance, Failure> {
    let text = read(file, "trusted root")?;
    Instance::from_json(name, &text).map_err(|error| {
        Failure::new(
            format!("the trusted root '{}' of instance '{name}': {error}", file.display()),
            "get it again from whoever runs the instance",
        )
    })
}

/// Read a text file of ours, with a bound on its size.
pub(super) fn read(file: &Path, what: &str) -> Result<String, Failure> {
    let failed = |reason: String| {
        Failure::new(
            format!("the {what} '{}' cannot be read: {reason}", file.display()),
            "check the path and its permissions",
        )
    };
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(|error| failed(error.to_string()))?;
    let mut bounded = opened.take(MAXIMUM_FILE_BYTES as u64 + 1);
    bounded.read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() > MAXIMUM_FILE_BYTES {
        return Err(failed(format!("it is larger than {MAXIMUM_FILE_BYTES} bytes")));
    }
    Ok(text)
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

fn home(environment: &Environment) -> Option<PathBuf> {
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

/// What git's status lines say of a proven signature.
pub(super) fn signer(proven: &Proven) -> Signer {
    let Identity { instance, issuer, kind, subject } = proven.identity();
    let identity = [instance.as_str(), issuer, kind.name(), subject].join("\0");
    Signer {
        name: subject.clone(),
        fingerprint: hex::encode_upper(proven.certificate_digest()),
        primary_fingerprint: hex::encode_upper(crate::encoding::sha256(&[identity.as_bytes()])),
        time: proven.time(),
    }
}

/// An e-mail subject under one of `issuers` of the public-good instance.
pub(super) fn is_checked_mail(identity: &Identity, issuers: &[&str]) -> bool {
    identity.instance == PUBLIC_GOOD
        && identity.kind == SubjectKind::Email
        && issuers.contains(&identity.issuer.as_str())
}
