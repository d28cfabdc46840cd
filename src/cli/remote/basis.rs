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
        settings::{self, Standing},
        trust::roots,
    },
    encoding::sha256,
    object::ObjectId,
    remote::{Address, AddressPattern, Basis, Memory, Origin, PREFIX, PolicyInRef},
    repository::{Configuration, ObjectReader, Scope, Scopes},
    trust::Pin,
    verify::Verifier,
    words::Failure,
};

/// What names a policy for an address.
enum Named {
    File(PathBuf),
    Pin(Scope, Pin),
}

/// What `address` is judged by.
pub(super) fn origin<'w>(
    world: &'w World<'w>,
    configuration: &'w Configuration,
    address: &Address,
    memory: &Memory,
) -> Result<Origin<'w>, Failure> {
    let file = match named(world, configuration, address)? {
        Some(Named::Pin(scope, pin)) => return Ok(in_ref(world, configuration, scope, pin)),
        Some(Named::File(file)) => file,
        None if memory.is_unverified => return Ok(Origin::Nobody),
        None => settings::path(world, configuration, POLICY)?.ok_or_else(|| {
            let place = address.key();
            Failure::new(
                format!("no policy says who may change what in '{address}'"),
                format!(
                    "name a file with 'git config --global \"countersign.{place}.policy\" FILE', which \
                     'countersign policy init' writes, or what the remote keeps with 'git config --global \
                     \"countersign.{place}.policyPin\" \"REPOSITORY-ID REF COMMIT\"'"
                ),
            )
            .hint(format!(
                "or take whatever it serves, with 'countersign remote allow-unverified {PREFIX}{address}'"
            ))
        })?,
    };
    let trust = settings::policy_trust(world, configuration, &file)?;
    let beside = file.parent().unwrap_or(Path::new(""));
    let certificates = |path: &str| fs::read(beside.join(path)).unwrap_or_default();
    basis(world, configuration, trust, &certificates).map(|basis| Origin::Given(Rc::new(basis)))
}

/// What the remote keeps in the ref of `pin`.
fn in_ref<'w>(world: &'w World<'w>, configuration: &'w Configuration, scope: Scope, pin: Pin) -> Origin<'w> {
    let (reference, hash) = (pin.reference.as_str().into(), pin.root.kind());
    let read = move |reader: &ObjectReader, tip: ObjectId| {
        let (followed, source) = followed_to(world, configuration, reader, (scope, &pin), tip)?;
        let trust = settings::by_policy(world, configuration, followed.into_trust(), source)?;
        // They stand in the commit, whose id is among what decides.
        basis(world, configuration, trust, &|_| Vec::new())
    };
    Origin::InRef(PolicyInRef { reference, hash, read: Box::new(read) })
}

/// What the longest pattern that covers `address` names.
fn named(
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

/// What `trust` comes to for a judge; `certificates` has the bytes of a file that the policy names.
fn basis(
    world: &World<'_>,
    configuration: &Configuration,
    trust: settings::Trust,
    certificates: &dyn Fn(&str) -> Vec<u8>,
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
    let named = trust.policy.iter().flat_map(|policy| policy.identities());
    for identity in named.flat_map(|identity| &identity.keyless) {
        if trust.standing(identity) == Standing::NotBelieved {
            return Err(Failure::new(
                format!("the {source} names '{}', {}", identity.subject, settings::NOT_BELIEVED),
                "have the policy or the limits in your configuration changed",
            ));
        }
    }
    let revocations = settings::ssh_revocations(world, configuration)?;
    let policy = trust
        .policy
        .ok_or_else(|| Failure::new(format!("the {source} holds no policy"), "see to where it is kept"))?;
    let mut decides = source.into_bytes();
    for instance in &trust.instances {
        decides.extend(instance.name().as_bytes());
        decides.extend(instance.digest());
    }
    for path in policy.openpgp_certificates() {
        decides.extend(sha256(&[&certificates(path)]));
    }
    let verifier =
        Verifier::new(trust.instances).with_openpgp(trust.openpgp).with_ssh_revocations(revocations);
    Ok(Basis { policy, verifier, digest: sha256(&[&decides]) })
}
