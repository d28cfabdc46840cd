//! `countersign policy pin`: which commit is believed, written into the user's own configuration.

use serde_json::json;

use super::{
    Outcome, World,
    arguments::PinArguments,
    exit,
    git::git,
    memory::Memory,
    settings,
    show::describe,
    source::{PIN, POLICY, pins, with_reading},
};
use crate::{
    object::ObjectId,
    repository::{Configuration, ObjectReader, Repository, Scope, Scopes},
    trust::{ChainError, Followed, InCommit, Pin, check_reference, commits, follow, read_policy, tip},
    words::{Failure, escape, shell_word},
};

/// The longest answer that is read.
const MAXIMUM_ANSWER_BYTES: usize = 100;

/// Pin, list or remove.
pub(super) fn run(world: &mut World<'_>, arguments: &PinArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    if arguments.list {
        return list(world, arguments, &configuration);
    }
    if let Some(id) = &arguments.remove {
        return remove(world, arguments, id, &configuration);
    }
    check_reference(&arguments.reference)
        .map_err(|error| Failure::new(error, "name the ref by its whole name"))?;
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    if arguments.forget_here {
        Memory::open().forget_repository(repository.common_dir())?;
        world.say("forgotten\n");
        return Ok(exit::GOOD);
    }
    let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let reader = objects.reader();
    let pin = pin_of(arguments, &repository, &reader)?;
    let followed = with_reading(world, &configuration, |reading| {
        Ok(follow(&reader, &repository.references(), &pin, None, reading)?)
    })?;

    let others = of_repository(&configuration, &pin.repository)?;
    let is_there = others.iter().any(|(_, other)| *other == pin);
    let replaced: Vec<&(Scope, Pin)> = others.iter().filter(|(_, other)| *other != pin).collect();
    if let Some((scope, other)) = replaced.iter().find(|(scope, _)| *scope != Scope::Global) {
        return Err(Failure::new(
            format!(
                "the {} configuration pins '{}' already, from commit {}",
                scope.name(),
                other.repository,
                other.root
            ),
            "have it changed there",
        ));
    }
    if let Some((_, other)) = replaced.first().filter(|_| !arguments.replace) {
        return Err(Failure::new(
            format!("'{}' is pinned already, by '{} {}'", other.repository, other.reference, other.root),
            "if this one is to take its place, add '--replace'",
        ));
    }
    if !arguments.json {
        world.say(&describe(&followed, &pin));
    }
    // Nobody is asked to believe what was not shown.
    if !arguments.yes && (arguments.json || !confirmed(world)) {
        return Err(Failure::new("nothing was pinned", "say yes, or add '--yes' once you have looked at it"));
    }
    for (_, other) in replaced {
        unset(world, other)?;
    }
    if !is_there {
        git(world, None, &["config", "--global", "--add", PIN, &pin.to_string()], b"", false)?;
    }
    let memory = Memory::open();
    memory.forget(&pin)?;
    memory.note(&pin, followed.commit());
    memory.note_repository(repository.common_dir(), &pin);
    if arguments.json {
        world.say(&format!("{}\n", as_json(&pin, Scope::Global, Some(&followed))));
    } else {
        world.say("pinned\n");
    }
    if configuration.get(POLICY, Scopes::Protected).is_some_and(|value| !value.is_empty()) {
        world.complain(
            "warning: 'countersign.policy' is set, and a file that it names goes before every pin\n\
             hint: unset it for the pin to count\n",
        );
    }
    Ok(exit::GOOD)
}

/// The pin that is asked for: the policy of its root says for which repository.
fn pin_of(arguments: &PinArguments, repository: &Repository, reader: &ObjectReader) -> Result<Pin, Failure> {
    let root = match &arguments.root {
        Some(root) => commit(repository, root, &arguments.reference)?,
        None => {
            let tip = tip(&repository.references(), &arguments.reference)?;
            let chain = commits(reader, tip, None)?;
            chain.last().copied().unwrap_or(tip)
        }
    };
    let (policy, _) = read_policy(&InCommit::new(reader, root)?)?;
    let id = policy.repository().ok_or(ChainError::NoRepository(root))?.to_owned();
    Ok(Pin { repository: id, reference: arguments.reference.clone(), root })
}

fn commit(repository: &Repository, revision: &str, reference: &str) -> Result<ObjectId, Failure> {
    let commit = repository.resolver().and_then(|resolver| resolver.single_commit(revision));
    commit.map_err(|error| {
        let hint = format!(
            "name the commit with '--root', as whoever publishes the policy told you; where it is not here yet, \
             fetch the ref: 'git fetch REMOTE {0}:{0}'",
            shell_word(reference)
        );
        Failure::new(error, hint)
    })
}

/// Whether somebody at the terminal says yes.
fn confirmed(world: &mut World<'_>) -> bool {
    let question = "believe this policy, and whoever it lets change it, from now on? type 'yes': ";
    asked(world, question).is_some_and(|answer| answer == b"yes")
}

/// What somebody at the terminal answers; `None` where there is none.
pub(in crate::cli) fn asked(world: &mut World<'_>, question: &str) -> Option<Vec<u8>> {
    if !(world.terminals.stdin && world.terminals.stderr) {
        return None;
    }
    world.complain(question);
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.len() < MAXIMUM_ANSWER_BYTES
        && matches!(world.stdin.read(&mut byte), Ok(1))
        && byte[0] != b'\n'
    {
        answer.push(byte[0]);
    }
    Some(answer.trim_ascii().to_vec())
}

fn of_repository(configuration: &Configuration, id: &str) -> Result<Vec<(Scope, Pin)>, Failure> {
    let pins = pins(configuration)?;
    Ok(pins.into_iter().filter(|(_, pin)| pin.repository == id).collect())
}

fn list(world: &mut World<'_>, arguments: &PinArguments, configuration: &Configuration) -> Outcome {
    for (scope, pin) in pins(configuration)? {
        let line = match arguments.json {
            true => as_json(&pin, scope, None).to_string(),
            false => format!("{} ({})", escape(&pin.to_string()), scope.name()),
        };
        world.say(&format!("{line}\n"));
    }
    Ok(exit::GOOD)
}

fn remove(
    world: &mut World<'_>,
    arguments: &PinArguments,
    id: &str,
    configuration: &Configuration,
) -> Outcome {
    let found = of_repository(configuration, id)?;
    if found.is_empty() {
        return Err(Failure::new(
            format!("no pin is for the repository '{id}'"),
            "'countersign policy pin --list' lists them",
        ));
    }
    if let Some((scope, _)) = found.iter().find(|(scope, _)| *scope != Scope::Global) {
        return Err(Failure::new(
            format!("'{id}' is pinned by the {} configuration", scope.name()),
            "have it taken out there",
        ));
    }
    for (_, pin) in &found {
        unset(world, pin)?;
        Memory::open().forget(pin)?;
        world.say(&match arguments.json {
            true => format!("{}\n", as_json(pin, Scope::Global, None)),
            false => format!("removed {}\n", escape(&pin.to_string())),
        });
    }
    Ok(exit::GOOD)
}

fn unset(world: &World<'_>, pin: &Pin) -> Result<(), Failure> {
    // A value stands for itself: in a pattern the dots of an id would match anything.
    let arguments = ["config", "--global", "--fixed-value", "--unset-all", PIN, &pin.to_string()];
    git(world, None, &arguments, b"", false).map(drop)
}

fn as_json(pin: &Pin, scope: Scope, followed: Option<&Followed>) -> serde_json::Value {
    let mut value = json!({
        "version": 1,
        "repository": pin.repository,
        "ref": pin.reference,
        "root": pin.root.to_string(),
        "scope": scope.name(),
    });
    if let Some(followed) = followed {
        value["commit"] = followed.commit().to_string().into();
        value["serial"] = followed.serial().into();
        value["sha256"] = hex::encode(followed.trust().digest).into();
        value["signers"] = followed.signers().into();
    }
    value
}
