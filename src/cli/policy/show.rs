//! `countersign policy show`: which policy counts here, and where it comes from.

use serde_json::json;

use super::{
    Outcome, World,
    arguments::ShowArguments,
    exit, settings,
    source::{self, Here, POLICY, Source, Unpinned, as_warning},
};
use crate::{
    policy::{NamedIdentity, Policy, Signers},
    repository::Repository,
    trust::{Beside, Followed, Pin, Trust, commits, read_policy, tip},
    words::{Failure, escape},
};

/// Of how many identities, and of how many names of each, it is said who that is.
const MAXIMUM_SHOWN: usize = 20;

/// 0 where a policy counts, 2 where none does.
pub(super) fn run(world: &mut World<'_>, arguments: &ShowArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    for warning in source::unheard(&configuration) {
        world.complain(&as_warning(&warning));
    }
    if let Some(file) = settings::path(world, &configuration, POLICY)? {
        let trust = Trust::load(&Beside::new(&file))?;
        let source = Source::configured(&file, &trust, &configuration);
        tell(world, arguments, &source, &trust.policy, (&[], 1));
        return Ok(exit::GOOD);
    }
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    match source::here(world, &configuration, Some(&repository))? {
        Here::Pinned(found) => {
            let (followed, source) = *found;
            let (signers, threshold) = (followed.signers().to_vec(), followed.threshold());
            tell(world, arguments, &source, &followed.into_trust().policy, (&signers, threshold));
            Ok(exit::GOOD)
        }
        Here::Unpinned(found) => {
            world.complain(&as_warning(&found.warning(&repository)));
            tell_unpinned(world, arguments, &found, &repository)?;
            Ok(exit::CANNOT_TELL)
        }
        Here::Nothing => {
            world.complain(&as_warning(&Failure::new(
                "no policy counts here",
                "name a file with 'countersign.policy', or fetch the policy of the repository and pin it with 'countersign policy pin'",
            )));
            Ok(exit::CANNOT_TELL)
        }
    }
}

fn tell(
    world: &mut World<'_>,
    arguments: &ShowArguments,
    source: &Source,
    policy: &Policy,
    (signers, threshold): (&[String], usize),
) {
    if arguments.json {
        let mut value = source.json();
        value["version"] = 1.into();
        if !signers.is_empty() {
            value["signers"] = signers.into();
            value["threshold"] = threshold.into();
        }
        world.say(&format!("{value}\n"));
        return;
    }
    let mut text = format!("{}\n{}", escape(&source.words()), source.details(world));
    if !signers.is_empty() {
        text += &format!("who may change it: {}{}\n", escape(&signers.join(", ")), together(threshold));
    }
    text += &rules(policy);
    world.say(&text);
}

/// What an unpinned policy says, all of it unproven.
fn tell_unpinned(
    world: &mut World<'_>,
    arguments: &ShowArguments,
    found: &Unpinned,
    repository: &Repository,
) -> Result<(), Failure> {
    let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let reader = objects.reader();
    let tip = tip(&repository.references(), found.reference)?;
    let chain = commits(&reader, tip, None)?;
    let (policy, content) = read_policy(&crate::trust::InCommit::new(&reader, tip)?)?;
    let digest = hex::encode(crate::encoding::sha256(&[&content.bytes]));
    let root = chain.last().map(ToString::to_string).unwrap_or_default();
    if arguments.json {
        let mut value = json!({
            "version": 1, "ref": found.reference, "commit": tip.to_string(), "root": root, "sha256": digest,
            "pinned": false,
        });
        if let Some(repository) = policy.repository() {
            value["repository"] = repository.into();
        }
        if let Some(serial) = policy.serial() {
            value["serial"] = serial.into();
        }
        world.say(&format!("{value}\n"));
        return Ok(());
    }
    let mut text =
        format!("not pinned: '{}' at commit {tip} sha256:{digest}\nroot: {root}\n", found.reference);
    if let Some(repository) = policy.repository() {
        text += &format!("repository: {}\n", escape(repository));
    }
    if let Some(serial) = policy.serial() {
        text += &format!("serial: {serial}\n");
    }
    text += &rules(&policy);
    world.say(&text);
    Ok(())
}

/// A line for each rule: which refs, and who signs.
fn rules(policy: &Policy) -> String {
    let mut text = String::new();
    for rule in policy.rules() {
        let patterns: Vec<&str> = rule.patterns.iter().map(crate::policy::Pattern::as_str).collect();
        let signers = match &rule.commits {
            Signers::Named(wanted) => wanted.summary(),
            Signers::Unsigned => "unsigned".to_owned(),
        };
        let line = format!("rule '{}': {}: {signers}", rule.name, patterns.join(" "));
        text += &format!("{}\n", escape(&line));
    }
    text
}

/// What is to be said of how many have to vouch for a change.
fn together(threshold: usize) -> String {
    if threshold > 1 {
        format!(" ({threshold} persons have to vouch for each change)")
    } else {
        String::new()
    }
}

/// What a policy that follows from `pin` is, a line each, escaped. Names are the policy's own: what is behind
/// them, and which trusted roots it brings itself to prove that, is said besides.
pub(in crate::cli) fn describe(followed: &Followed, pin: &Pin) -> String {
    let names = match followed.signers() {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    };
    let trust = followed.trust();
    let mut text = format!(
        "repository: {}\nref: {}\nroot: {}\npresent: commit {}, serial {}, sha256:{}\nwho may change it: {}\n",
        escape(&pin.repository),
        escape(&pin.reference),
        pin.root,
        followed.commit(),
        followed.serial(),
        hex::encode(trust.digest),
        escape(&(names + &together(followed.threshold()))),
    );
    let identities = trust.policy.identities().iter();
    let signers = identities.filter(|identity| followed.signers().contains(&identity.name));
    let signers = first(signers.map(|identity| format!("{} is {}", identity.name, behind(identity))));
    let own = trust.roots.iter().map(|(instance, _)| {
        format!(
            "the trusted root of '{}' is the policy's own: sha256:{}",
            instance.name(),
            hex::encode(instance.digest())
        )
    });
    for line in signers.into_iter().chain(first(own)) {
        text += &format!("  {}\n", escape(&line));
    }
    text
}

/// Who counts as `identity`.
fn behind(identity: &NamedIdentity) -> String {
    let keyless = identity.keyless.iter().map(|signer| {
        format!("'{}' of '{}' (instance '{}')", signer.subject.as_str(), signer.issuer, signer.instance)
    });
    let keys = identity.keys.iter().map(|signer| signer.key.to_string());
    match first(keyless.chain(keys)).join(", or ") {
        none if none.is_empty() => "nobody".to_owned(),
        all => all,
    }
}

/// The first of `all`, and how many more there are.
fn first(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(MAXIMUM_SHOWN);
    all.truncate(MAXIMUM_SHOWN);
    all.extend((more > 0).then(|| format!("{more} more")));
    all
}
