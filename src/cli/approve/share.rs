//! Fetching and pushing approvals. Both sides may have added some: those that are only here are put on top of
//! what the remote keeps, so that the remote's ref only grows.

use std::path::Path;

use serde_json::json;

use super::author;
use crate::{
    cli::{
        Outcome, World, exit,
        policy::git::{git, git_word},
        settings,
        verify::tasks::unreadable,
    },
    object::{APPROVALS, Approval, ObjectId},
    repository::{ProofChange, Repository, new_commits, proof_changes, read_blob},
    words::{Failure, escape},
};

/// Take in what `remote` keeps.
pub(super) fn fetch(world: &mut World<'_>, at: Option<&Path>, remote: &str, is_json: bool) -> Outcome {
    let (fetched, own) = bring_together(world, at, remote)?;
    world.say(&match is_json {
        true => format!("{}\n", json!({ "version": 1, "remote": remote, "fetched": fetched, "own": own })),
        false => format!("fetched {fetched} new, kept {own} that '{}' has not\n", escape(remote)),
    });
    Ok(exit::GOOD)
}

/// Push what is here, once it stands on what `remote` keeps.
pub(super) fn push(world: &mut World<'_>, at: Option<&Path>, remote: &str, is_json: bool) -> Outcome {
    let (fetched, pushed) = bring_together(world, at, remote)?;
    let repository = settings::repository(world, at)?;
    let own = repository.references().read(APPROVALS.into()).map_err(|error| unreadable(&error))?.id;
    if own.is_none() {
        return Err(Failure::new(
            "there is no approval to push",
            "approve something with 'countersign approve'",
        ));
    }
    git(world, at, &["push", "--", remote, &format!("{APPROVALS}:{APPROVALS}")], b"", true)?;
    if is_json {
        let value = json!({ "version": 1, "remote": remote, "fetched": fetched, "pushed": pushed });
        world.say(&format!("{value}\n"));
    }
    Ok(exit::GOOD)
}

/// How many are new here, and how many the remote has not.
fn bring_together(world: &mut World<'_>, at: Option<&Path>, remote: &str) -> Result<(usize, usize), Failure> {
    let repository = settings::repository(world, at)?;
    let configuration = settings::configuration(world)?;
    let references = repository.references();
    let own = references.read(APPROVALS.into()).map_err(|error| unreadable(&error))?.id;
    let listed = git_word(world, at, &["ls-remote", "--", remote, APPROVALS], b"", true)?;
    let theirs = listed.split_whitespace().next().map(str::parse::<ObjectId>).transpose();
    let theirs = theirs.map_err(|_| {
        Failure::new(
            format!("'{remote}' says '{listed}', which is no ref"),
            "look at it with 'git ls-remote'",
        )
    })?;
    let Some(theirs) = theirs else { return Ok((0, only_in(&repository, None, own)?.len())) };
    git(
        world,
        at,
        &["fetch", "-q", "--no-tags", "--no-write-fetch-head", "--", remote, APPROVALS],
        b"",
        true,
    )?;
    let fetched = only_in(&repository, own, Some(theirs))?.len();
    let only_here = only_in(&repository, Some(theirs), own)?;
    let number = only_here.len();
    let reader = repository.objects().map_err(|error| unreadable(&error))?.reader();
    let shallow = repository.shallow(None).map_err(|error| unreadable(&error))?;
    let descends = |new: ObjectId, old: ObjectId| {
        new == old
            || new_commits(&reader, &[new], &[old], None, &shallow)
                .is_ok_and(|history| history.reached.contains(&old))
    };
    if own.is_some_and(|own| descends(own, theirs)) {
        return Ok((fetched, number));
    }
    let author = author(world, &configuration);
    let moved = references
        .replace(APPROVALS, own, theirs, &author, "countersign: take approvals")
        .map_err(|error| unreadable(&error))?;
    if !moved {
        return Err(Failure::new(format!("'{APPROVALS}' was changed meanwhile"), "try again"));
    }
    if !only_here.is_empty() {
        repository.add_approvals(&only_here, &author).map_err(|error| {
            // What was only here is not to be lost for that.
            if let Some(own) = own {
                let _ = references.replace(APPROVALS, Some(theirs), own, &author, "countersign: as before");
            }
            Failure::new(error, "see that the repository can be written to, and try again")
        })?;
    }
    Ok((fetched, number))
}

/// The approvals that `new` keeps and `old` does not, with their keys.
fn only_in(
    repository: &Repository,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
) -> Result<Vec<(ObjectId, Vec<u8>)>, Failure> {
    let Some(new) = new else { return Ok(Vec::new()) };
    let reader = repository.objects().map_err(|error| unreadable(&error))?.reader();
    let changes = proof_changes(&reader, old, new, &|| true).map_err(|error| unreadable(&error))?;
    let changes = changes.ok_or_else(|| {
        Failure::new("there are too many approvals to bring together", "fetch the ref with git itself")
    })?;
    let mut added = Vec::new();
    for change in changes {
        let ProofChange::Added(name) = change else { continue };
        // One that is left out would be gone.
        let bytes = read_blob(&reader, name.blob).map_err(|error| unreadable(&error))?;
        let approval = Approval::parse(reader.hash(), &bytes).ok();
        if approval.is_some_and(|approval| approval.statement.key(reader.hash()) == Some(name.object)) {
            added.push((name.object, bytes));
        }
    }
    Ok(added)
}
