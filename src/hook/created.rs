//! Refs that a push creates: the histories of all that one rule governs are walked in one go.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use super::{
    finding::{Finding, MAXIMUM_BROKEN},
    gate::Gate,
    task::Task,
};
use crate::{
    object::ObjectId,
    policy::{Cause, Rule, Subject},
    repository::{History, HistoryError, ObjectReader},
};

/// How many refs that are created together are looked at one by one once something is wrong.
pub(super) const MAXIMUM_NAMED: usize = 64;

impl<'a> Gate<'a> {
    /// Walk the histories of all refs that are created under `rule` in one go, and one by one only
    /// if something is wrong with them. The commits of all stand with the first one then.
    pub(super) fn walk_created(
        &self,
        reader: &ObjectReader,
        finding: &mut Finding,
        rule: &Rule,
        bases: &[ObjectId],
        tasks: &mut [Task<'a>],
    ) {
        let mut created: Vec<&mut Task<'a>> =
            tasks.iter_mut().filter(|task| task.created && task.rule.name == rule.name).collect();
        let tips: Vec<ObjectId> = created.iter().filter_map(|task| task.tip).collect();
        let walk = |tips: &[ObjectId], hidden: &[ObjectId]| self.walk(reader, tips, hidden, rule.anchor);
        if rule.vouching.judges_each_ref() {
            return self.walk_each(finding, rule, &mut created, &|tip| walk(&[tip], bases));
        }
        let Some(first) = created.first_mut() else { return };
        let together = match walk(&tips, bases) {
            Ok(history) => {
                first.commits = history.commits;
                return;
            }
            Err(error) => error,
        };
        let before = finding.refusals.len();
        let mut passed = bases.to_vec();
        // The push is refused already; it is only to be told which refs it is refused for.
        for task in created.iter().take(MAXIMUM_NAMED) {
            if finding.broken >= MAXIMUM_BROKEN {
                return;
            }
            match task.tip.map(|tip| (tip, walk(&[tip], &passed))) {
                Some((_, Err(error))) => finding.refuse_history(&task.reference, rule, error),
                // Only to keep what is shared from being walked again and again.
                Some((tip, Ok(_))) => passed.push(tip),
                None => {}
            }
        }
        if finding.refusals.len() == before {
            finding.refuse_history(&created[0].reference, rule, together);
        }
    }

    /// Walk the history of each of `created` by itself, for who vouches for it is asked for each.
    fn walk_each(
        &self,
        finding: &mut Finding,
        rule: &Rule,
        created: &mut [&mut Task<'a>],
        walk: &dyn Fn(ObjectId) -> Result<History, HistoryError>,
    ) {
        let mut listed = 0;
        for task in created {
            if finding.broken >= MAXIMUM_BROKEN {
                return;
            }
            match task.tip.map(walk) {
                Some(Ok(history)) => {
                    listed += history.commits.len();
                    if listed > self.maximum_listed {
                        let cause = Cause::TooManyCommits;
                        return finding.refuse(&task.reference, Subject::Reference, Some(rule), cause);
                    }
                    task.commits = history.commits;
                }
                Some(Err(error)) => finding.refuse_history(&task.reference, rule, error),
                None => {}
            }
        }
    }
}

/// Which of several refs that are created together brought a commit: only words depend on it.
pub(super) struct Names<'a> {
    pub(super) gate: &'a Gate<'a>,
    pub(super) reader: &'a ObjectReader,
    pub(super) tasks: &'a [Task<'a>],
    pub(super) bases: &'a HashMap<&'a str, Vec<ObjectId>>,
    /// What each tip adds, as far as it was asked for.
    pub(super) histories: RefCell<HashMap<ObjectId, HashSet<ObjectId>>>,
}

impl<'a> Names<'a> {
    pub(super) fn of(&self, task: &'a Task<'a>, commit: ObjectId) -> &'a [u8] {
        if task.rule.vouching.judges_each_ref() {
            return &task.reference;
        }
        let bases = self.bases.get(task.rule.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let together: Vec<(&Task<'_>, ObjectId)> = (self.tasks.iter())
            .filter(|other| task.created && other.created && other.rule.name == task.rule.name)
            .filter_map(|other| Some((other, other.tip?)))
            .collect();
        if let Some((other, _)) = together.iter().find(|(_, tip)| *tip == commit) {
            return &other.reference;
        }
        let mut histories = self.histories.borrow_mut();
        let mut seen = HashSet::new();
        let distinct = together.iter().filter(|(_, tip)| seen.insert(*tip));
        for (other, tip) in distinct.take(MAXIMUM_NAMED) {
            let history = histories.entry(*tip).or_insert_with(|| {
                let walked = self.gate.walk(self.reader, &[*tip], bases, other.rule.anchor);
                walked.map(|history| history.commits.into_iter().collect()).unwrap_or_default()
            });
            if history.contains(&commit) {
                return &other.reference;
            }
        }
        &task.reference
    }
}
