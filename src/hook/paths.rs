//! Path rules: which new commits change what only some may change, and what a ref that does not go on takes
//! back.
//!
//! Of a ref that goes on from its old value to a new one, whatever differs between the two was changed by one
//! of the new commits against one of its parents, so judging those judges the difference. Of a ref that does
//! not go on, what differs need not have been changed by anybody: that is looked at by itself.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io::Write,
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{gate::Gate, pace::OUT_OF_TIME, task::Task};
use crate::{
    object::ObjectId,
    policy::{Cause, PathPlace, Rule},
    repository::{Allowance, Changes, ChangesError, HistoryError, Interest},
};

/// The most that is read of trees and commits for one push, in bytes.
pub(super) const MAXIMUM_READ: u64 = 16 * 1024 * 1024 * 1024;

/// The most that is kept of paths that differ between two values of one ref, in bytes.
const MAXIMUM_DIFFERENCE: usize = 64 * 1024 * 1024;

/// How much of a path is told, in bytes.
const MAXIMUM_PATH: usize = 200;

/// Which of a rule's path rules a commit falls under, by their places, each with a path for which it does; or
/// why that cannot be told. Commits that fall under none are not among them.
pub(super) type Touched<'a> = HashMap<(&'a str, ObjectId), Result<Vec<(usize, Vec<u8>)>, Cause>>;

/// What the new commits of `tasks` change, telling `progress` when it takes long.
pub(super) fn touched<'a>(
    gate: &Gate<'_>,
    tasks: &[Task<'a>],
    allowance: &Allowance<'_>,
    progress: &mut dyn Write,
) -> Touched<'a> {
    let mut seen = HashSet::new();
    let mut asked: Vec<(&'a Rule, ObjectId)> = Vec::new();
    for task in tasks.iter().filter(|task| !task.rule.paths.is_empty()) {
        let commits = task.commits.iter().filter(|id| seen.insert((task.rule.name.as_str(), **id)));
        asked.extend(commits.map(|id| (task.rule, *id)));
    }
    if asked.is_empty() {
        return Touched::new();
    }
    let done = AtomicUsize::new(0);
    let &Gate { objects, shallow, .. } = gate;
    let falls_under_one =
        |answer: &Result<Vec<_>, _>| answer.as_ref().map_or(true, |found| !found.is_empty());
    let compare = || -> Touched<'a> {
        let answers = asked.par_iter().map_init(
            || objects.reader(),
            |reader, (rule, id)| {
                let mut first = First { rule, found: vec![None; rule.paths.len()] };
                let answer = match Changes::new(reader, shallow, allowance).of_commit(*id, &mut first) {
                    Ok(()) => Ok(first
                        .found
                        .into_iter()
                        .enumerate()
                        .filter_map(|(place, path)| Some((place, path?)))
                        .collect()),
                    Err(error) => Err(cause(error)),
                };
                done.fetch_add(1, Ordering::Relaxed);
                ((rule.name.as_str(), *id), answer)
            },
        );
        answers.filter(|(_, answer)| falls_under_one(answer)).collect()
    };
    let words = || {
        let done = done.load(Ordering::Relaxed);
        format!("compared the paths of {done} of {} commits", asked.len())
    };
    gate.pace.told(progress, &words, compare)
}

/// Why the ref of `task` may not take the place of its old value, if it does not go on from there.
pub(super) fn judge_replaced(
    gate: &Gate<'_>,
    task: &Task<'_>,
    allowance: &Allowance<'_>,
    progress: &mut dyn Write,
) -> Result<(), Cause> {
    let (Some(old), Some(tip)) = (task.replaced, task.tip) else { return Ok(()) };
    if task.rule.paths.is_empty() || old == tip {
        return Ok(());
    }
    let &Gate { objects, shallow, .. } = gate;
    let words = || format!("compared the paths of two values of a ref: {} objects read", allowance.looks());
    let rule = task.rule;
    let compare = || {
        let mut difference = Difference { rule, paths: BTreeSet::new(), bytes: 0, is_whole: true };
        Changes::new(&objects.reader(), shallow, allowance).between(old, tip, &mut difference)?;
        if difference.is_whole { Ok(Left(difference.paths)) } else { Err(ChangesError::TooMuch) }
    };
    let mut left = gate.pace.told(progress, &words, compare).map_err(cause)?;
    if left.0.is_empty() {
        return Ok(());
    }
    // Those that come from a base or from before an anchor are accepted; the others are judged anyway.
    let added = gate.walk(&objects.reader(), &[tip], &[old], None).map_err(|error| match error {
        HistoryError::Stopped => OUT_OF_TIME,
        other => Cause::Unexpected(other.to_string()),
    })?;
    let search = || {
        let reader = objects.reader();
        let changes = Changes::new(&reader, shallow, allowance);
        for id in added.commits {
            changes.of_commit(id, &mut left)?;
            if left.0.is_empty() {
                break;
            }
        }
        Ok(left)
    };
    let left = gate.pace.told(progress, &words, search).map_err(cause)?;
    if left.0.is_empty() {
        return Ok(());
    }
    let more = left.0.len() - 1;
    let path = left.0.first().map(|path| told(path)).unwrap_or_default();
    Err(Cause::PathTakenBack { path, more })
}

fn cause(error: ChangesError) -> Cause {
    match error {
        ChangesError::Malformed { cause, .. } => Cause::Malformed(cause),
        ChangesError::Stopped => OUT_OF_TIME,
        other => Cause::Unexpected(format!("what it changes cannot be told: {other}")),
    }
}

fn told(path: &[u8]) -> Vec<u8> {
    path[..path.len().min(MAXIMUM_PATH)].to_vec()
}

/// Where a path is in each of a rule's path rules; `None` in those that mean nothing below.
type Places = Vec<Option<PathPlace>>;

fn root(rule: &Rule) -> Places {
    rule.paths.iter().map(|path| Some(path.root())).collect()
}

fn enter(rule: &Rule, places: &Places, name: &[u8]) -> Option<Places> {
    let each = rule.paths.iter().zip(places);
    let below: Places =
        each.map(|(path, place)| place.as_ref().and_then(|place| path.enter(place, name))).collect();
    below.iter().any(Option::is_some).then_some(below)
}

/// Which path rules mean `name` in `places`.
fn meant<'p>(rule: &'p Rule, places: &'p Places, name: &'p [u8]) -> impl Iterator<Item = usize> + 'p {
    let each = rule.paths.iter().zip(places).enumerate();
    each.filter(move |(_, (path, place))| place.as_ref().is_some_and(|place| path.means(place, name)))
        .map(|(index, _)| index)
}

/// The first path that falls under each path rule.
struct First<'r> {
    rule: &'r Rule,
    found: Vec<Option<Vec<u8>>>,
}

impl Interest for First<'_> {
    type Place = Places;

    fn root(&self) -> Places {
        root(self.rule)
    }

    fn enter(&self, place: &Places, name: &[u8]) -> Option<Places> {
        let mut below = enter(self.rule, place, name)?;
        below
            .iter_mut()
            .zip(&self.found)
            .filter(|(_, found)| found.is_some())
            .for_each(|(below, _)| *below = None);
        below.iter().any(Option::is_some).then_some(below)
    }

    fn matters(&self, place: &Places, name: &[u8]) -> bool {
        meant(self.rule, place, name).any(|index| self.found[index].is_none())
    }

    fn change(&mut self, place: &Places, name: &[u8], path: &[u8]) -> ControlFlow<()> {
        for index in meant(self.rule, place, name) {
            self.found[index].get_or_insert_with(|| told(path));
        }
        if self.found.iter().all(Option::is_some) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Every path that falls under one of the path rules.
struct Difference<'r> {
    rule: &'r Rule,
    paths: BTreeSet<Vec<u8>>,
    bytes: usize,
    is_whole: bool,
}

impl Interest for Difference<'_> {
    type Place = Places;

    fn root(&self) -> Places {
        root(self.rule)
    }

    fn enter(&self, place: &Places, name: &[u8]) -> Option<Places> {
        enter(self.rule, place, name)
    }

    fn matters(&self, place: &Places, name: &[u8]) -> bool {
        meant(self.rule, place, name).next().is_some()
    }

    fn change(&mut self, _place: &Places, _name: &[u8], path: &[u8]) -> ControlFlow<()> {
        self.bytes += path.len();
        if self.bytes > MAXIMUM_DIFFERENCE {
            self.is_whole = false;
            return ControlFlow::Break(());
        }
        self.paths.insert(path.to_vec());
        ControlFlow::Continue(())
    }
}

/// Paths of which it is not known yet who has changed them.
struct Left(BTreeSet<Vec<u8>>);

impl Interest for Left {
    type Place = Vec<u8>;

    fn root(&self) -> Vec<u8> {
        Vec::new()
    }

    fn enter(&self, place: &Vec<u8>, name: &[u8]) -> Option<Vec<u8>> {
        let below = [place.as_slice(), name, b"/"].concat();
        let first = self.0.range::<Vec<u8>, _>(&below..).next();
        first.is_some_and(|path| path.starts_with(&below)).then_some(below)
    }

    fn matters(&self, place: &Vec<u8>, name: &[u8]) -> bool {
        self.0.contains(&[place.as_slice(), name].concat())
    }

    fn change(&mut self, _place: &Vec<u8>, _name: &[u8], path: &[u8]) -> ControlFlow<()> {
        self.0.remove(path);
        if self.0.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
