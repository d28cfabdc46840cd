//! Whether enough persons vouch for an update, and what may pass that only a forge has signed.
//!
//! For every commit that an update adds, and for what it leads to, the signer of that very object and all who
//! vouch for the whole update are counted: nobody's commit goes in on their own word, and nobody has vouched
//! for what they have merely built upon.

use std::collections::{BTreeSet, HashSet};

use super::{approvals, gate::Gate, pace::OUT_OF_TIME, plan, task::Task};
use crate::{
    object::{Commit, ObjectId, Statement},
    policy::{Cause, Permission, Rule, Shortfall, Subject},
    repository::{MergeTreeError, ObjectReader, merges_to},
};

/// How many merges of forges are made anew for one ref.
const MAXIMUM_MERGES: usize = 500;

/// Why a commit is not taken for the merge of its parents.
enum NotMerged {
    /// There was no time left to make it anew.
    OutOfTime,
    /// It is none, in words.
    For(String),
}

/// What an update makes of a ref, as an approval names it.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The ref is deleted.
    Deleted,
    /// It leads to something without a tree.
    Nameless,
    /// It leads to this tree.
    Tree(ObjectId),
}

/// Why a commit passes that a forge has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It is what merging its parents yields.
    Merge,
    /// Its tree is approved, or the forge is trusted.
    Otherwise,
}

/// Who vouches for one update as a whole.
pub(super) struct Vouched<'a> {
    gate: &'a Gate<'a>,
    reader: &'a ObjectReader,
    rule: &'a Rule,
    statement: Option<Statement>,
    tip: Option<ObjectId>,
    rewind: bool,
    persons: BTreeSet<String>,
    faults: Vec<crate::policy::ApprovalFault>,
}

impl<'a> Vouched<'a> {
    /// Who vouches for `reference` going from `base` to `end`.
    pub(super) fn new(
        gate: &'a Gate<'a>,
        reader: &'a ObjectReader,
        rule: &'a Rule,
        reference: &[u8],
        base: Option<ObjectId>,
        (end, tip): (End, Option<ObjectId>),
    ) -> Self {
        // A signed push names the ref and its values as an approval does, and so takes the same people.
        let certifier = gate.policy.certifier(rule, gate.pushing, gate.now);
        let mut persons: BTreeSet<String> = certifier.into_iter().collect();
        let tree = match end {
            End::Deleted => Some(None),
            End::Nameless => None,
            End::Tree(tree) => Some(Some(tree)),
        };
        let statement = tree.and_then(|tree| statement(gate, reference, base, tree));
        let mut faults = Vec::new();
        if let Some(statement) = &statement {
            let (approvers, refused) = approvals::approvers(gate, reader, rule, statement);
            persons.extend(approvers);
            faults = refused;
        }
        Self { gate, reader, rule, statement, tip, rewind: false, persons, faults }
    }

    /// The same for an update that does not go on from the ref's value: an approval of it says so.
    pub(super) fn of_rewind(self, rewind: bool) -> Self {
        Self { rewind, ..self }
    }

    /// Whether enough persons vouch for an object that `signer` has signed, if that is known.
    pub(super) fn judge(&self, signer: Option<String>) -> Result<(), Cause> {
        let Some(wanted) = self.rule.vouching.threshold else { return Ok(()) };
        let mut persons = self.persons.clone();
        persons.extend(signer);
        if persons.len() >= wanted {
            return Ok(());
        }
        let mut faults = self.faults.clone();
        if let Some(statement) = &self.statement {
            faults.extend(approvals::others(self.gate, self.reader, statement));
        }
        Err(Cause::Threshold(Box::new(Shortfall {
            wanted,
            persons: persons.into_iter().collect(),
            approvers: self.gate.policy.approvers_at(self.rule, self.gate.now),
            statement: self.statement.clone(),
            tip: self.tip,
            rewind: self.rewind,
            faults,
        })))
    }

    /// The same for all that `task` adds, each commit with what passed of it: the first that too few vouch
    /// for. `person` tells who has signed an object, as far as that counts.
    pub(super) fn judge_task(
        &self,
        task: &Task<'_>,
        merges: &HashSet<ObjectId>,
        person: &dyn Fn(&ObjectId) -> Option<String>,
    ) -> Result<(), (Subject, Cause)> {
        let Some(wanted) = self.rule.vouching.threshold else { return Ok(()) };
        if self.persons.len() >= wanted {
            return Ok(());
        }
        let mut is_judged = false;
        for commit in task.commits.iter().rev().filter(|commit| !merges.contains(*commit)) {
            if self.gate.is_over() {
                return Err((Subject::Reference, OUT_OF_TIME));
            }
            is_judged = true;
            self.judge(person(commit)).map_err(|cause| (Subject::Commit(*commit), cause))?;
        }
        match (task.tags.first(), task.tip) {
            (Some(tag), _) => self.judge(person(tag)).map_err(|cause| (Subject::Tag(*tag), cause)),
            // What a merge leads to is judged with what it merges.
            (None, Some(tip)) if merges.contains(&tip) && is_judged => Ok(()),
            (None, Some(tip)) => self.judge(person(&tip)).map_err(|cause| (Subject::Commit(tip), cause)),
            (None, None) => self.judge(None).map_err(|cause| (Subject::Reference, cause)),
        }
    }
}

/// The statement that would approve `reference` going from `base` to `tree`, if there can be one.
fn statement(
    gate: &Gate<'_>,
    reference: &[u8],
    base: Option<ObjectId>,
    tree: Option<ObjectId>,
) -> Option<Statement> {
    let reference = std::str::from_utf8(reference).ok()?.to_owned();
    Some(Statement { repository: gate.policy.repository()?.to_owned(), reference, base, tree })
}

/// The tree that a commit holds, or else that a tag leads to.
pub(super) fn end(reader: &ObjectReader, wanted: ObjectId, tip: Option<ObjectId>) -> End {
    let id = tip.or_else(|| plan::tree_behind(reader, wanted));
    let Some(id) = id else { return End::Nameless };
    if tip.is_none() {
        return End::Tree(id);
    }
    let Ok(object) = reader.read(id) else { return End::Nameless };
    Commit::parse(reader.hash(), &object.bytes).map_or(End::Nameless, |commit| End::Tree(commit.tree))
}

/// The commits of one update that a forge has signed, judged one by one.
pub(super) struct Forge<'a> {
    gate: &'a Gate<'a>,
    reader: &'a ObjectReader,
    task: &'a Task<'a>,
    /// The first parents on the way down to the ref's current value, once somebody asks.
    line: Option<HashSet<ObjectId>>,
    merges: usize,
}

impl<'a> Forge<'a> {
    pub(super) fn new(gate: &'a Gate<'a>, reader: &'a ObjectReader, task: &'a Task<'a>) -> Self {
        Self { gate, reader, task, line: None, merges: 0 }
    }

    /// Whether `id`, which is refused for `cause`, passes all the same because it is a forge's.
    pub(super) fn pass(&mut self, id: ObjectId, cause: Cause) -> Result<Passed, Cause> {
        let Cause::Forge { forge, .. } = &cause else { return Err(cause) };
        let vouching = &self.task.rule.vouching;
        if vouching.trusted_forges.contains(forge) {
            return Ok(Passed::Otherwise);
        }
        let merges = vouching.forge_merges == Permission::Allow;
        if !merges && !vouching.hears_approvals() {
            return Err(cause);
        }
        let unreadable = |reason: String| Cause::Unexpected(reason);
        let object = self.reader.read(id).map_err(|error| unreadable(error.to_string()))?;
        let commit = Commit::parse(self.reader.hash(), &object.bytes).map_err(Cause::Malformed)?;
        let refused = match commit.parents.as_slice() {
            [ours, theirs] if merges => match self.merged(id, *ours, *theirs, commit.tree) {
                Ok(()) => return Ok(Passed::Merge),
                Err(NotMerged::OutOfTime) => return Err(OUT_OF_TIME),
                Err(NotMerged::For(reason)) => Cause::ForgeMerge { forge: forge.clone(), reason },
            },
            [_] | [_, _] => cause,
            // What a forge makes has one parent or two.
            [] | [_, _, _, ..] => return Err(cause),
        };
        let base = commit.parents.first().copied();
        let statement = statement(self.gate, &self.task.reference, base, Some(commit.tree));
        let Some(statement) = statement.filter(|_| vouching.hears_approvals()) else { return Err(refused) };
        let (persons, faults) = approvals::approvers(self.gate, self.reader, self.task.rule, &statement);
        match refused {
            _ if !persons.is_empty() => Ok(Passed::Otherwise),
            Cause::Forge { forge, .. } => {
                let shortfall = Box::new(Shortfall {
                    wanted: 1,
                    persons: Vec::new(),
                    approvers: self.gate.policy.approvers_at(self.task.rule, self.gate.now),
                    statement: Some(statement),
                    tip: Some(id),
                    rewind: false,
                    faults,
                });
                Err(Cause::ForgeUnapproved { forge, shortfall })
            }
            refused => Err(refused),
        }
    }

    /// Whether merging `theirs` into `ours` yields `tree`, and the ref's own line goes through `id`. What the
    /// parents bring is judged as all other commits are.
    fn merged(
        &mut self,
        id: ObjectId,
        ours: ObjectId,
        theirs: ObjectId,
        tree: ObjectId,
    ) -> Result<(), NotMerged> {
        let refused = |reason: &str| Err(NotMerged::For(reason.to_owned()));
        if self.line.is_none() {
            self.line = Some(self.walk_line());
        }
        if self.gate.is_over() {
            return Err(NotMerged::OutOfTime);
        }
        if !self.line.iter().any(|line| line.contains(&id)) {
            return refused("and its first parent is not on the ref's own line");
        }
        self.merges += 1;
        if self.merges > MAXIMUM_MERGES {
            return refused(&format!("and only {MAXIMUM_MERGES} such merges are made anew at once"));
        }
        match merges_to(self.gate.objects, ours, theirs, tree, &|| !self.gate.is_over()) {
            Ok(true) => Ok(()),
            Ok(false) => refused("and its tree is not what merging its parents yields"),
            Err(MergeTreeError::Stopped) => Err(NotMerged::OutOfTime),
            Err(error @ MergeTreeError::Conflict) => {
                refused(&format!("and its parents need a decision: {error}"))
            }
            Err(error) => refused(&format!("and what merging its parents yields is not known: {error}")),
        }
    }

    /// The new commits that are reached from the tip over first parents alone, if that leads down to what the
    /// ref holds, or to where what is new ends.
    fn walk_line(&self) -> HashSet<ObjectId> {
        let new: HashSet<&ObjectId> = self.task.commits.iter().collect();
        let mut line = HashSet::new();
        let mut current = self.task.tip;
        while let Some(id) = current.filter(|id| new.contains(id)) {
            if self.gate.is_over() {
                return HashSet::new();
            }
            if !line.insert(id) {
                break;
            }
            let object = self.reader.read(id).ok();
            let commit =
                object.as_ref().and_then(|object| Commit::parse(self.reader.hash(), &object.bytes).ok());
            current = commit.and_then(|commit| commit.parents.first().copied());
        }
        let before = self.task.base.and_then(|base| plan::commit_behind(self.reader, base));
        // A line that ends at a root of its own has come from elsewhere.
        let arrives = match (before, current) {
            (None, _) => true,
            (Some(before), current) if current == Some(before) => true,
            // The anchor stands in for what the ref holds only where that is behind it.
            (Some(before), Some(end)) if current == self.task.rule.anchor => {
                let past = self.gate.walk(self.reader, &[end], &[before], None);
                past.is_ok_and(|past| past.reached.contains(&before))
            }
            _ => false,
        };
        if arrives { line } else { HashSet::new() }
    }
}
