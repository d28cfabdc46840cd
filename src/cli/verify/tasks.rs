//! What was asked for, as a stream of objects to judge.
//!
//! Nothing is kept for an object that was handed on: a whole repository is as cheap as a single commit, but
//! for the ids that a walk has to remember.

use std::{collections::HashMap, io::Read as _};

use super::super::{World, arguments::Asked, report::Place};
use crate::{
    ledger::LEDGER,
    object::{APPROVALS, ObjectId},
    repository::{
        HistoryError, Object, ObjectReadError, ObjectReader, PROOFS, Reachable, Repository, Resolver,
        Revision, Shallow, survey, tagged,
    },
    words::Failure,
};

/// The longest list of revisions that is read from standard input, in bytes.
const MAXIMUM_LIST_BYTES: u64 = 64 * 1024 * 1024;

/// One object to judge.
pub(in crate::cli) struct Task {
    pub(in crate::cli) id: ObjectId,
    /// What was read on the way, if anything was.
    pub(in crate::cli) object: Option<Result<Object, ObjectReadError>>,
    /// By which word it was asked for.
    pub(in crate::cli) revision: Option<String>,
    pub(in crate::cli) place: Place,
}

/// The stream.
pub(in crate::cli) type Tasks<'a> = Box<dyn Iterator<Item = Result<Task, Failure>> + Send + 'a>;

/// The full names of the refs of tags, by the object that they hold.
pub(in crate::cli) type TagNames = HashMap<ObjectId, Vec<String>>;

/// What is needed to find the objects.
struct Finder {
    resolver: Resolver,
    reader: ObjectReader,
    shallow: Shallow,
    anchor: Option<ObjectId>,
}

/// The objects that `asked` names; and for `--all`, as which tags they are known.
pub(in crate::cli) fn tasks<'a>(
    world: &mut World<'_>,
    asked: &'a Asked,
    repository: &Repository,
) -> Result<(Tasks<'a>, TagNames), Failure> {
    let resolver = repository.resolver().map_err(|error| unreadable(&error))?;
    let reader = repository.objects().map_err(|error| unreadable(&error))?.reader();
    let shallow = repository.shallow(None).map_err(|error| unreadable(&error))?;
    let anchor = asked.since.as_deref().map(|since| anchor(&resolver, since)).transpose()?;
    if asked.all {
        let mut tips = repository.tips().map_err(|error| unreadable(&error))?;
        // What we keep there speaks for itself, and its commits are by nobody.
        tips.retain(|(name, _)| name != PROOFS && name != APPROVALS && !is_ledger_of_anybody(name));
        let mut names = TagNames::new();
        for (name, id) in &tips {
            if name.starts_with(b"refs/tags/") {
                names.entry(*id).or_default().push(name.to_string());
            }
        }
        let tips = tips.into_iter().map(|(_, id)| id);
        let Some(anchor) = anchor else {
            let found = Reachable::new(reader, shallow, tips).map(|found| {
                let place = if found.cut_off { Place::CutOff } else { Place::History };
                Ok(Task { id: found.id, object: Some(found.object), revision: None, place })
            });
            return Ok((Box::new(found), names));
        };
        let finder = Finder { resolver, reader, shallow, anchor: Some(anchor) };
        return Ok((Box::new(finder.histories(tips.collect()).into_iter().map(Ok)), names));
    }
    let finder = Finder { resolver, reader, shallow, anchor };
    let revisions: Vec<String> = if asked.stdin {
        read_list(world)?.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    } else if asked.revisions.is_empty() {
        vec!["HEAD".to_owned()]
    } else {
        asked.revisions.clone()
    };
    let listed = asked.stdin;
    let tasks = revisions.into_iter().flat_map(move |revision| match finder.find(revision, listed) {
        Ok(tasks) => tasks.into_iter().map(Ok).collect(),
        Err(failure) => vec![Err(failure)],
    });
    Ok((Box::new(tasks), TagNames::new()))
}

/// The repository's own ledger, or that of a remote as it was seen last.
fn is_ledger_of_anybody(name: &[u8]) -> bool {
    name == LEDGER.as_bytes() || name.starts_with(b"refs/countersign/remotes/")
}

fn read_list(world: &mut World<'_>) -> Result<String, Failure> {
    let mut list = String::new();
    let mut bounded = (&mut *world.stdin).take(MAXIMUM_LIST_BYTES + 1);
    bounded.read_to_string(&mut list).map_err(|error| {
        Failure::new(format!("standard input cannot be read: {error}"), "give it one revision a line")
    })?;
    if list.len() as u64 > MAXIMUM_LIST_BYTES {
        return Err(Failure::new(
            format!("the list on standard input is longer than {MAXIMUM_LIST_BYTES} bytes"),
            "name ranges 'A..B' instead of each commit, or use '--all'",
        ));
    }
    Ok(list)
}

fn anchor(resolver: &Resolver, since: &str) -> Result<ObjectId, Failure> {
    resolver
        .single_commit(since)
        .map_err(|error| Failure::new(error, "name a commit that is in this repository, best by its full id"))
}

pub(in crate::cli) fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::new(error, "run 'git fsck' to see what is missing or damaged")
}

impl Finder {
    /// The objects that `revision` names: one, or the commits of a range, newest first. With an anchor it
    /// names everything that is reachable from it and not from the anchor.
    fn find(&self, revision: String, listed: bool) -> Result<Vec<Task>, Failure> {
        // Lists are mostly ids as `git rev-list` prints them, and git too takes these for nothing else.
        let id = ObjectId::from_hex(revision.as_bytes()).ok().filter(|id| id.kind() == self.reader.hash());
        let resolved = match id.filter(|_| listed) {
            Some(id) => Revision::Single(id),
            None => self.resolver.resolve(&revision).map_err(|error| {
                Failure::new(error, "name a commit, a tag or a range 'A..B' that is in this repository")
            })?,
        };
        Ok(match (resolved, self.anchor) {
            (Revision::Single(id), None) => {
                vec![Task { id, object: None, revision: Some(revision), place: Place::Named }]
            }
            (Revision::Single(id), Some(_)) => {
                let mut tasks = self.histories(vec![id]);
                if tasks.is_empty() && tagged(&self.reader, id).1.is_none() {
                    // A tree or a blob: judging it will say so.
                    tasks.push(Task { id, object: None, revision: None, place: Place::Named });
                }
                if let Some(first) = tasks.first_mut().filter(|task| task.id == id) {
                    first.revision = Some(revision);
                }
                tasks
            }
            (Revision::Range { exclude, include }, _) => self.history(&[include], &[exclude]),
        })
    }

    /// The tags among `tips` and on the way to commits, then the history of these commits.
    fn histories(&self, tips: Vec<ObjectId>) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut commits = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let named = |id| Task { id, object: None, revision: None, place: Place::Named };
        for tip in tips {
            let (tags, commit) = tagged(&self.reader, tip);
            tasks.extend(tags.into_iter().filter(|tag| seen.insert(*tag)).map(named));
            commits.extend(commit);
        }
        tasks.extend(self.history(&commits, &[]));
        tasks
    }

    /// The commits of a history, newest first, and then what should be among them and cannot be had.
    fn history(&self, tips: &[ObjectId], hidden: &[ObjectId]) -> Vec<Task> {
        let survey = survey(&self.reader, tips, hidden, self.anchor, &self.shallow);
        let missing = survey.failures.into_iter();
        let missing = missing.filter(|(_, error)| !matches!(error, HistoryError::Malformed { .. }));
        let commits = survey
            .history
            .commits
            .into_iter()
            .map(|id| (id, if survey.cut_off.contains(&id) { Place::CutOff } else { Place::History }));
        commits
            .chain(missing.map(|(id, _)| (id, Place::History)))
            .map(|(id, place)| Task { id, object: None, revision: None, place })
            .collect()
    }
}
