//! Which policy counts for an address, by protected configuration alone: a file, or what the remote itself
//! keeps in a ref as far as a pin vouches for it.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::{
    cli::{
        World,
        policy::source::{POLICY, followed_to},
        settings,
        trust::roots,
    },
    encoding::sha256,
    object::ObjectId,
    remote::{Address, AddressPattern, Basis, Memory, Origin, PREFIX, PolicyInRef},
    repository::{Configuration, ObjectReader, Repository, Scope, Scopes},
    trust::{NamedFile, Pin, named_files},
    verify::{Identity, Verifier},
    words::{Failure, shell_word},
};

/// What names a policy for an address.
pub(in crate::cli) enum Named {
    File(PathBuf),
    Pin(Scope, Pin),
}

/// What `address` is judged by.
pub(super) fn origin<'r>(
    world: &'r World<'_>,
    configuration: &'r Configuration,
    address: &Address,
    memory: &Memory,
) -> Result<Origin<'r>, Failure> {
    let file = match named(world, configuration, address)? {
        Some(Named::Pin(scope, pin)) => return Ok(in_ref(world, configuration, scope, pin)),
        Some(Named::File(file)) => file,
        None if memory.is_unverified => return Ok(Origin::Nobody),
        None => settings::path(world, configuration, POLICY)?.ok_or_else(|| {
            let place = shell_word(&format!("countersign.{}.policy", address.key()));
            let whole = shell_word(&format!("{PREFIX}{address}"));
            Failure::new(
                format!("no policy says who may change what in '{address}'"),
                format!(
                    "name a file with 'git config --global {place} FILE', which 'countersign policy init' writes"
                ),
            )
            .hint(format!(
                "or look at the policy that the remote keeps, with 'countersign remote trust {whole}'"
            ))
            .hint(format!(
                "or take whatever it serves, with 'countersign remote allow-unverified {whole}'"
            ))
        })?,
    };
    by_file(world, configuration, &file).map(|basis| Origin::Given(Rc::new(basis)))
}

/// What the policy in `file` says.
pub(in crate::cli) fn by_file(
    world: &World<'_>,
    configuration: &Configuration,
    file: &Path,
) -> Result<Basis, Failure> {
    let trust = settings::policy_trust(world, configuration, file)?;
    let beside = file.parent().unwrap_or(Path::new(""));
    let beside = |path: &str| fs::read(beside.join(path)).unwrap_or_default();
    basis(world, configuration, trust, &beside)
}

/// What the policy says that counts in `repository`; `none` where none does.
pub(in crate::cli) fn configured(
    world: &World<'_>,
    configuration: &Configuration,
    repository: &Repository,
    none: impl FnOnce() -> Failure,
) -> Result<Basis, Failure> {
    let trust = settings::trust(world, configuration, Some(repository))?;
    if trust.policy.is_none() {
        return Err(none());
    }
    basis(world, configuration, trust, &|_| Vec::new())
}

/// What the policy says that follows from a pin where its ref is at `tip`.
pub(in crate::cli) fn by_pin(
    world: &World<'_>,
    configuration: &Configuration,
    reader: &ObjectReader,
    (scope, pin): (Scope, &Pin),
    tip: ObjectId,
) -> Result<Basis, Failure> {
    let (followed, source) = followed_to(world, configuration, reader, (scope, pin), tip)?;
    let trust = settings::by_policy(world, configuration, followed.into_trust(), source)?;
    // They stand in the commit, whose id is among what decides.
    basis(world, configuration, trust, &|_| Vec::new())
}

/// What the remote keeps in the ref of `pin`.
fn in_ref<'r>(world: &'r World<'_>, configuration: &'r Configuration, scope: Scope, pin: Pin) -> Origin<'r> {
    let reference = pin.reference.as_str().into();
    let read =
        move |reader: &ObjectReader, tip: ObjectId| by_pin(world, configuration, reader, (scope, &pin), tip);
    Origin::InRef(PolicyInRef { reference, read: Box::new(read) })
}

/// What the longest pattern that covers `address` names.
pub(in crate::cli) fn named(
    world: &World<'_>,
    configuration: &Configuration,
    address: &Address,
) -> Result<Option<Named>, Failure> {
    let mut best: Option<(usize, String)> = None;
    for subsection in configuration.subsections("countersign", Scopes::Protected) {
        let keys = ["policy", "policyPin"].map(|name| format!("countersign.{subsection}.{name}"));
        let mut set = keys.iter().filter(|key| configuration.get(key, Scopes::Protected).is_some());
        let (Some(key), other) = (set.next(), set.next()) else { continue };
        if let Some(other) = other {
            return Err(Failure::new(
                format!("'{key}' and '{other}' are both set"),
                "leave one of them, so that it is clear which policy counts",
            ));
        }
        let pattern = AddressPattern::parse(&subsection.to_string()).map_err(|error| {
            Failure::new(
                format!("'{key}' is set for no address: {error}"),
                "write the address, or the part of it that ends before a slash, between 'countersign.' and the last dot",
            )
        })?;
        if pattern.covers(address) && best.as_ref().is_none_or(|(length, _)| pattern.len() >= *length) {
            best = Some((pattern.len(), key.clone()));
        }
    }
    let Some((_, key)) = best else { return Ok(None) };
    if !key.ends_with(".policyPin") {
        return Ok(settings::path(world, configuration, &key)?.map(Named::File));
    }
    let Some((scope, value)) = configuration.get_all(&key, Scopes::Protected).pop() else { return Ok(None) };
    let pin = Pin::parse(&value.to_string()).map_err(|error| {
        Failure::new(format!("'{key}' is no pin: {error}"), "write it as 'countersign policy pin' prints it")
    })?;
    Ok(Some(Named::Pin(scope, pin)))
}

/// What `trust` comes to for a judge; `beside` has the bytes of a file that the policy names.
pub(in crate::cli) fn basis(
    world: &World<'_>,
    configuration: &Configuration,
    trust: settings::Trust,
    beside: &dyn Fn(&str) -> Vec<u8>,
) -> Result<Basis, Failure> {
    let source = trust.source.clone().unwrap_or_default();
    let maximum_age = roots::maximum_age(configuration)?;
    for facts in &trust.roots {
        if let Some(maximum) = maximum_age.filter(|maximum| facts.days(world.now) > *maximum) {
            return Err(Failure::new(
                format!(
                    "the trusted root of '{}' is {}, and 'countersign.trustMaxAge' is {maximum}",
                    facts.name,
                    facts.age(world.now)
                ),
                facts.remedy(),
            ));
        }
    }
    for (instance, limits) in roots::limits(configuration)? {
        let named = trust.policy.iter().flat_map(|policy| policy.identities());
        for signer in named.flat_map(|named| &named.keyless).filter(|signer| signer.instance == instance) {
            // A star of the policy's own is a character like any other to a limit, whose star takes it in.
            let subject = signer.subject.as_str().to_owned();
            let (instance, issuer, kind) = (signer.instance.clone(), signer.issuer.clone(), signer.kind);
            if !limits.believe(&Identity { instance, issuer, kind, subject }) {
                let subject = signer.subject.as_str();
                return Err(Failure::new(
                    format!("the {source} names '{subject}', {}", settings::NOT_BELIEVED),
                    "have the policy or the limits in your configuration changed",
                ));
            }
        }
    }
    let revocations = settings::ssh_revocations(world, configuration)?;
    let policy = trust
        .policy
        .ok_or_else(|| Failure::new(format!("the {source} holds no policy"), "see to where it is kept"))?;
    let (repository, serial) = (policy.repository().map(str::to_owned), policy.serial());
    let mut decides = source.into_bytes();
    for instance in &trust.instances {
        decides.extend(instance.name().as_bytes());
        decides.extend(instance.digest());
    }
    for path in named_files(&policy).iter().filter_map(NamedFile::path) {
        decides.extend(sha256(&[&beside(path)]));
    }
    let verifier = Verifier::new(trust.instances)
        .with_openpgp(trust.openpgp)
        .with_smime(trust.smime)
        .with_ssh_revocations(revocations);
    Ok(Basis { policy, verifier, digest: sha256(&[&decides]), repository, serial })
}
