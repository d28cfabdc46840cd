//! `countersign ledger settle` and `enter`: what only the server's administrator does.

use serde_json::json;

use super::{Common, EnterArguments, at_hand, exit, failure, full_names};
use crate::{
    cli::{Outcome, World},
    hook,
    ledger::{Entered, Scope, Settler},
    repository::Repository,
    words::{Failure, escape, escape_bytes},
};

pub(super) fn run(world: &mut World<'_>, common: &Common) -> Outcome {
    let (repository, folder) = at_hand(world, common)?;
    check_kept(&repository)?;
    let settler = Settler { repository: &repository, folder: &folder, now: world.now };
    let settled = settler.settle(Scope::All, &[], None).map_err(|error| failure(&error))?;
    world.say(&match common.json {
        true => format!(
            "{}\n",
            json!({
                "version": 1, "entered": settled.entered, "recovered": settled.recovered,
                "dropped": settled.dropped, "waiting": settled.waiting,
            })
        ),
        false => format!(
            "{} entered, {} entered as recovered, {} did not happen, {} under way\n",
            settled.entered, settled.recovered, settled.dropped, settled.waiting
        ),
    });
    Ok(if settled.waiting == 0 { exit::GOOD } else { exit::CANNOT_TELL })
}

/// That a server keeps a ledger here, and this is somebody who may write it.
fn check_kept(repository: &Repository) -> Result<(), Failure> {
    let state = hook::state_folder(repository);
    if !state.is_dir() {
        return Err(Failure::new(
            format!("no ledger is kept in '{}'", repository.common_dir().display()),
            "name the server's repository with '--repository'",
        ));
    }
    hook::check_administrator(&state)
}

pub(super) fn enter(world: &mut World<'_>, arguments: &EnterArguments) -> Outcome {
    const MAXIMUM: usize = 1000;
    let reason = arguments.reason.trim();
    if reason.is_empty() || reason.len() > MAXIMUM || escape(reason) != reason {
        return Err(Failure::new(
            "the reason is empty, longer than a line, or holds what no terminal shows",
            "say in one line why the refs were moved without a push",
        ));
    }
    let (repository, folder) = at_hand(world, &arguments.common)?;
    check_kept(&repository)?;
    let settler = Settler { repository: &repository, folder: &folder, now: world.now };
    let only = full_names(&arguments.references)?;
    let only = (!only.is_empty()).then_some(&only);
    let Entered { entries, left_out } = settler.enter(reason, only).map_err(|error| failure(&error))?;
    let mut words = String::new();
    for entry in &entries {
        let value = |value: Option<crate::object::ObjectId>| {
            value.map_or_else(|| "nothing".to_owned(), |id| id.to_string())
        };
        words += &match arguments.common.json {
            true => format!(
                "{}\n",
                json!({
                    "version": 1, "ref": escape_bytes(&entry.reference),
                    "old": entry.old.map(|id| id.to_string()), "new": entry.new.map(|id| id.to_string()),
                })
            ),
            false => format!(
                "entered that '{}' went from {} to {}\n",
                escape_bytes(&entry.reference),
                value(entry.old),
                value(entry.new)
            ),
        };
    }
    if entries.is_empty() && left_out.is_empty() && !arguments.common.json {
        words = match only {
            None => "every ref is as the ledger says\n",
            Some(_) => "what was named is as the ledger says\n",
        }
        .to_owned();
    }
    world.say(&words);
    let Some(first) = left_out.first() else { return Ok(exit::GOOD) };
    let more =
        if left_out.len() > 1 { format!(" and {} more refs", left_out.len() - 1) } else { String::new() };
    Err(Failure::new(
        format!(
            "an accepted update of '{}'{more} is not settled yet, and may be under way",
            escape_bytes(first)
        ),
        "see what 'countersign ledger verify' says, and run it again once that is settled",
    ))
}
