//! `countersign ledger log` and `show`.

use super::{Common, LogArguments, ShowArguments, at_hand, failure, full_names, remote::seen, words};
use crate::{
    cli::{Outcome, World, exit, verify::tasks::unreadable},
    ledger::{self, LEDGER},
    object::ObjectId,
    repository::{ObjectReader, Repository},
    words::{Failure, shell_word},
};

/// The head of the repository's own ledger, or of a remote's as it was seen last, and a reader of its records.
fn head(
    world: &World<'_>,
    repository: &Repository,
    common: &Common,
    remote: Option<&str>,
) -> Result<(ObjectId, ObjectReader), Failure> {
    let found = match remote {
        None => {
            let reader = repository.objects().map_err(|error| unreadable(&error))?.reader();
            ledger::head(repository).map_err(|error| failure(&error))?.map(|head| (head, reader))
        }
        Some(remote) => seen(world, repository, common.repository.as_deref(), remote)?,
    };
    found.ok_or_else(|| none(remote))
}

fn none(remote: Option<&str>) -> Failure {
    match remote {
        None => Failure::new(
            format!("there is no '{LEDGER}' here"),
            "a server keeps one; for a remote's, run 'countersign ledger verify --remote NAME' first",
        ),
        Some(remote) => Failure::new(
            format!("no ledger of '{remote}' was seen yet"),
            format!("run 'countersign ledger verify --remote {}'", shell_word(remote)),
        ),
    }
}

pub(super) fn run(world: &mut World<'_>, arguments: &LogArguments) -> Outcome {
    let (repository, _) = at_hand(world, &arguments.common)?;
    let remote = arguments.remote.as_deref();
    let (head, reader) = head(world, &repository, &arguments.common, remote)?;
    let mut left = arguments.maximum.unwrap_or(usize::MAX);
    let wanted = full_names(&arguments.references)?;
    for walked in ledger::walk(&reader, Some(head), None) {
        let walked = walked.map_err(|error| failure(&error))?;
        let mut text = String::new();
        let numbered: Vec<_> = walked.record.entries.iter().zip(walked.record.sequence..).collect();
        let numbered = numbered.into_iter().rev();
        for (entry, sequence) in
            numbered.filter(|(entry, _)| wanted.is_empty() || wanted.contains(&entry.reference)).take(left)
        {
            left -= 1;
            text += &match arguments.common.json {
                true => format!("{}\n", words::entry_json(&walked, sequence, entry)),
                false => words::line(&walked, sequence, entry),
            };
        }
        world.say(&text);
        if left == 0 {
            break;
        }
    }
    Ok(exit::GOOD)
}

pub(super) fn show(world: &mut World<'_>, arguments: &ShowArguments) -> Outcome {
    let (repository, _) = at_hand(world, &arguments.common)?;
    let remote = arguments.remote.as_deref();
    let (head, reader) = head(world, &repository, &arguments.common, remote)?;
    let wanted = arguments.sequence;
    for walked in ledger::walk(&reader, Some(head), None) {
        let walked = walked.map_err(|error| failure(&error))?;
        let mut numbered = walked.record.entries.iter().zip(walked.record.sequence..);
        if let Some((entry, sequence)) = numbered.find(|(_, sequence)| *sequence == wanted) {
            world.say(&match arguments.common.json {
                true => format!("{}\n", words::entry_json(&walked, sequence, entry)),
                false => words::all(&walked, sequence, entry),
            });
            return Ok(exit::GOOD);
        }
        if walked.record.sequence < wanted {
            break;
        }
    }
    Err(Failure::new(
        format!("the ledger has no entry {wanted}"),
        "see which there are with 'countersign ledger log'",
    ))
}
