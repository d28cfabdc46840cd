//! `countersign remote trust`: the policy that a remote keeps, believed from the first time on that
//! somebody has looked at it.

use std::ffi::OsStr;

use super::{Failure, Outcome, PREFIX, World, address, asking, basis, exit};
use crate::{
    cli::{
        git_config,
        policy::{
            asked, describe,
            source::{PIN, with_reading},
        },
        remote::arguments::TrustArguments,
        settings,
    },
    object::ObjectId,
    remote::{self, Address},
    repository::{Configuration, ObjectReader, Scopes},
    trust::{ChainError, Followed, InCommit, Pin, check_reference, commits, read_policy},
    words::escape,
};

/// Show the policy of a remote, and pin it once somebody has said so.
pub(super) fn run(world: &mut World<'_>, arguments: &TrustArguments) -> Outcome {
    check_reference(&arguments.reference)
        .map_err(|error| Failure::new(error, "name the ref by its whole name"))?;
    let address = address(arguments.url.strip_prefix(PREFIX).unwrap_or(&arguments.url))?;
    let configuration = settings::configuration(world)?;
    if basis::named(world, &configuration, &address)?.is_some() {
        return Err(Failure::new(
            format!("a policy is set for '{address}' already"),
            "'git config --get-regexp countersign' shows it; unset it if this one is to take its place",
        ));
    }
    let (reader, tip) = get(world, &configuration, &address, &arguments.reference)?;
    let pin = pin(&reader, tip, arguments)?;
    one_root(&configuration, &pin)?;
    let followed = with_reading(world, &configuration, |reading| {
        // Whatever leads to the tip has to stand on the root.
        Ok(Followed::begin(&reader, &pin)?.advance_to(&reader, tip, reading)?)
    })?;
    world.say(&describe(&followed, &pin));
    if !arguments.trust_first_use {
        let question = "to believe this policy, and whoever it lets change it, type the repository's name: ";
        if asked(world, question).is_none_or(|answer| answer != pin.repository.as_bytes()) {
            return Err(Failure::new(
                "nothing was pinned",
                "type the name at a terminal, or add '--trust-first-use' once you have looked at it",
            ));
        }
    }
    let key = format!("countersign.{}.policyPin", address.key());
    let pin = pin.to_string();
    let arguments = ["config", "--global", &key, &pin].map(OsStr::new);
    git_config::write(world, &world.directory, &arguments, |words| {
        Failure::new(format!("git cannot set '{key}': {words}"), "see to your own configuration")
    })?;
    world.say(&format!("pinned for '{}'\n", escape(address.key())));
    Ok(exit::GOOD)
}

/// Refuse a pin of a repository that another address, or its own clones, are pinned to by another one: all of its
/// addresses share what is remembered, and whoever may say for one what is accepted says it for all.
fn one_root(configuration: &Configuration, pin: &Pin) -> Result<(), Failure> {
    let subsections = configuration.subsections("countersign", Scopes::Protected);
    let keys = subsections.iter().map(|subsection| format!("countersign.{subsection}.policyPin"));
    for key in keys.chain([PIN.to_owned()]) {
        let values = configuration.get_all(&key, Scopes::Protected).into_iter();
        // One that cannot be read counts nowhere.
        let mut others = values.filter_map(|(_, value)| Pin::parse(&value.to_string()).ok());
        if others.any(|other| other.repository == pin.repository && other != *pin) {
            return Err(Failure::new(
                format!(
                    "'{}' is pinned already, to another policy than this one: '{key}' says so",
                    pin.repository
                ),
                "if the remote is that repository, give the same '--root' and '--ref'; if it is not, do not trust it",
            ));
        }
    }
    Ok(())
}

/// The commit that the remote's ref names, and a reader that has it.
fn get(
    world: &mut World<'_>,
    configuration: &Configuration,
    address: &Address,
    reference: &str,
) -> Result<(ObjectReader, ObjectId), Failure> {
    let context = asking(world, configuration, address.clone())?;
    remote::fetch_policy(&context, &reference.into(), world.stderr)
}

/// The pin that is asked for: the policy of its root says for which repository.
fn pin(reader: &ObjectReader, tip: ObjectId, arguments: &TrustArguments) -> Result<Pin, Failure> {
    let chain = commits(reader, tip, None)?;
    let first = chain.last().copied().unwrap_or(tip);
    let root = match &arguments.root {
        None => first,
        Some(root) => {
            let id = ObjectId::from_hex(root.as_bytes()).ok().filter(|id| chain.contains(id));
            id.ok_or_else(|| {
                Failure::new(
                    format!("the policy of the remote does not come from the commit '{root}'"),
                    "give the whole id, as whoever publishes the policy told you; if it is that, do not trust the remote",
                )
            })?
        }
    };
    let (policy, _) = read_policy(&InCommit::new(reader, root)?)?;
    let repository = policy.repository().ok_or(ChainError::NoRepository(root))?.to_owned();
    Ok(Pin { repository, reference: arguments.reference.clone(), root })
}
