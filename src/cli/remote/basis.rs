//! Which policy counts for an address, by protected configuration alone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        World,
        settings::{self, Standing},
        trust::roots,
    },
    encoding::sha256,
    remote::{Address, AddressPattern, Basis, Memory, PREFIX},
    repository::{Configuration, Scopes},
    verify::Verifier,
    words::Failure,
};

/// What `address` is judged by; nothing where the user has said that it is taken unverified.
pub(super) fn basis(
    world: &World<'_>,
    configuration: &Configuration,
    address: &Address,
    memory: &Memory,
) -> Result<Option<Basis>, Failure> {
    let file = match named(world, configuration, address)? {
        Some(file) => file,
        None if memory.is_unverified => return Ok(None),
        None => settings::path(world, configuration, "countersign.policy")?.ok_or_else(|| {
            let place = address.key();
            Failure::new(
                format!("no policy says who may change what in '{address}'"),
                format!(
                    "pin one with 'git config --global \"countersign.{place}.policy\" /PATH/policy.toml'; \
                     'countersign policy init' writes a first one"
                ),
            )
            .hint(format!(
                "or take whatever it serves, with 'countersign remote allow-unverified {PREFIX}{address}'"
            ))
        })?,
    };
    read(world, configuration, &file).map(Some)
}

/// The policy of the longest pattern that covers `address`.
fn named(
    world: &World<'_>,
    configuration: &Configuration,
    address: &Address,
) -> Result<Option<PathBuf>, Failure> {
    let mut best: Option<(usize, String)> = None;
    for subsection in configuration.subsections("countersign", Scopes::Protected) {
        let key = format!("countersign.{subsection}.policy");
        if configuration.get(&key, Scopes::Protected).is_none() {
            continue;
        }
        let pattern = AddressPattern::parse(&subsection.to_string()).map_err(|error| {
            Failure::new(
                format!("'{key}' is set for no address: {error}"),
                "write it as 'countersign.URL.policy'",
            )
        })?;
        if pattern.covers(address) && best.as_ref().is_none_or(|(length, _)| pattern.len() >= *length) {
            best = Some((pattern.len(), key));
        }
    }
    match best {
        Some((_, key)) => settings::path(world, configuration, &key),
        None => Ok(None),
    }
}

fn read(world: &World<'_>, configuration: &Configuration, file: &Path) -> Result<Basis, Failure> {
    let trust = settings::policy_trust(world, configuration, file)?;
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
                format!(
                    "the policy '{}' names '{}', {}",
                    file.display(),
                    identity.subject,
                    settings::NOT_BELIEVED
                ),
                "have the policy or the limits in your configuration changed",
            ));
        }
    }
    let revocations = settings::ssh_revocations(world, configuration)?;
    let policy = trust.policy.ok_or_else(|| {
        Failure::new(format!("there is no policy in '{}'", file.display()), "see to the file")
    })?;
    let mut decides = trust.source.unwrap_or_default().into_bytes();
    for instance in &trust.instances {
        decides.extend(instance.name().as_bytes());
        decides.extend(instance.digest());
    }
    for certificates in policy.openpgp_certificates() {
        let beside = file.parent().map(|folder| folder.join(certificates)).unwrap_or_default();
        decides.extend(sha256(&[&fs::read(beside).unwrap_or_default()]));
    }
    let verifier =
        Verifier::new(trust.instances).with_openpgp(trust.openpgp).with_ssh_revocations(revocations);
    Ok(Basis { policy, verifier, digest: sha256(&[&decides]) })
}
