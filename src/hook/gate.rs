//! The gate itself: ref updates in, refusals out, by one snapshot of policy, refs and objects.
//!
//! What a push has to answer for is `new --not B`. B is the ref's own current value as the server
//! reads it and, for a ref that is created or rewound, the tips of its rule's bases, each only if
//! its own commit rule has the same digest, is enforced, and this gate has accepted that very tip
//! under that digest. That a commit stands in the repository under some other name counts for nothing.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    io::Write,
};

use gix::bstr::{BStr, ByteSlice};

use super::{
    AcceptedTips, Pace, Update,
    answers::{Answers, answers},
    approvals, paths, plan, proofs,
    vouching::{End, Forge, Passed, Vouched, end},
};
use crate::{
    object::{APPROVALS, ObjectId},
    policy::{Cause, Event, Governing, Policy, Pushing, Refusal, Rule, Subject, is_ledger},
    repository::{
        Allowance, Approvals, History, HistoryError, ObjectReader, Objects, PROOFS, Proofs, ReferenceError,
        ReferenceValue, References, Shallow, new_commits_while,
    },
    verify::Verifier,
};

/// What stands before the updates, as whoever judges them knows it.
pub trait Standing {
    /// The value of the ref with this full name, and the names that symbolic refs behind it stand for.
    ///
    /// # Errors
    /// The name is invalid, or what is there cannot be read.
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError>;

    /// Whether `commit` was accepted as a ref's value under the rule with this digest.
    fn is_accepted(&self, digest: &[u8; 32], commit: ObjectId) -> bool;

    /// Whether the past of the ref `name` counts as accepted with its next value, under the rule with this
    /// digest: where it is met for the first time.
    fn carries_its_past(&self, _digest: &[u8; 32], _name: &[u8]) -> bool {
        true
    }

    /// Whether somebody creates a ref of this name that has no value yet: whoever looks at a repository
    /// for the first time meets refs that are merely there.
    fn is_created(&self, _name: &[u8]) -> bool {
        true
    }

    /// Whether every move of a ref is seen. Whoever comes by now and then cannot tell who vouched for the
    /// moves in between.
    fn sees_each_move(&self) -> bool {
        true
    }
}

/// What stands in the server's own repository.
pub(super) struct Server<'a> {
    pub(super) references: &'a References,
    pub(super) accepted: &'a AcceptedTips,
}

impl Standing for Server<'_> {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        self.references.read(name)
    }

    fn is_accepted(&self, digest: &[u8; 32], commit: ObjectId) -> bool {
        self.accepted.contains(digest, commit)
    }

    fn carries_its_past(&self, digest: &[u8; 32], name: &[u8]) -> bool {
        !self.accepted.has_begun(digest, name)
    }
}

/// Everything that the gate looks at, read before it begins.
pub struct Gate<'a> {
    /// What is asked for.
    pub policy: &'a Policy,
    /// Says who vouches for an object.
    pub verifier: &'a Verifier,
    /// Where objects are read from, those that are judged among them.
    pub objects: &'a Objects,
    /// What stands.
    pub standing: &'a dyn Standing,
    /// Where history is cut off.
    pub shallow: &'a Shallow,
    /// Entries of the log that are kept here, or brought by the push.
    pub proofs: &'a Proofs,
    /// Who pushes, as far as that is known.
    pub pushing: &'a Pushing,
    /// Approvals that are kept here, or brought by the push.
    pub approvals: &'a Approvals,
    /// The time of receipt, in seconds since 1970.
    pub now: i64,
    /// [`MAXIMUM_LISTED`], or less in a test.
    pub maximum_listed: usize,
    /// How long it may take, and what is known already.
    pub pace: Pace<'a>,
}

/// After how many commits whose evidence is known it is asked again whether the time is over.
const ASKED_EVERY: usize = 64;

/// The most commits that are listed for the refs that a push updates, each ref by itself: many refs that
/// all take in one long history would have it walked and kept once for each.
pub const MAXIMUM_LISTED: usize = 8_000_000;

/// What the gate has found.
#[derive(Debug, Default)]
pub struct Finding {
    /// Why the push is refused; empty if it is not.
    pub refusals: Vec<Refusal>,
    /// What rules in warning mode would have refused.
    pub warnings: Vec<Refusal>,
    /// Which tips may be written down as accepted, once the whole push is.
    pub tips: Vec<([u8; 32], ObjectId)>,
    /// Every commit and tag that was looked at.
    pub judged: Vec<ObjectId>,
    /// Which refs are met under which rule, by its digest, once the whole push is accepted.
    pub begun: Vec<([u8; 32], Vec<u8>)>,
    /// Which refs do not go on from what they held.
    pub replaced: Vec<Vec<u8>>,
    /// Whether the time was over before everything was judged; then that is refused.
    pub is_out_of_time: bool,
    /// How many refs are refused because their history cannot be walked.
    broken: usize,
}

/// What is to be judged for one ref under one of its names.
pub(super) struct Task<'a> {
    pub(super) reference: Vec<u8>,
    pub(super) rule: &'a Rule,
    /// What the ref holds.
    pub(super) base: Option<ObjectId>,
    /// What it would hold.
    pub(super) wanted: ObjectId,
    pub(super) tags: Vec<ObjectId>,
    pub(super) commits: Vec<ObjectId>,
    pub(super) tip: Option<ObjectId>,
    /// The commit behind the current value.
    before: Option<ObjectId>,
    /// The ref did not exist.
    created: bool,
    /// The commit that it led to, if the new one does not descend from it.
    pub(super) replaced: Option<ObjectId>,
}

impl<'a> Gate<'a> {
    /// Judge a whole push, telling `progress` when it takes long.
    pub fn judge(&self, updates: &[Update], progress: &mut dyn Write) -> Finding {
        let reader = self.objects.reader();
        let mut finding = Finding::default();
        let mut bases = HashMap::new();
        let mut names = Vec::new();
        for update in updates {
            if self.is_over() {
                return finding.out_of_time(updates, 0, 0);
            }
            match self.names_of(update) {
                Ok(found) => names.push((update, found)),
                // Whoever has not seen it is told that first: what it holds is nothing to fetch and try again with.
                Err(_) if is_ledger(&update.reference) => {
                    finding.refuse(&update.reference, Subject::Reference, None, Cause::Ledger);
                }
                Err(cause) => finding.refuse(&update.reference, Subject::Reference, None, cause),
            }
        }
        if let Some(fault) = self.pushing.contradiction() {
            for update in updates {
                let rule = self.policy.rule_for(&update.reference);
                let cause = Cause::Pusher(Box::new(fault.clone()));
                finding.refuse(&update.reference, Subject::Reference, rule, cause);
            }
            return finding;
        }
        let mut tasks: Vec<Task<'a>> = Vec::new();
        let mut listed = 0;
        for (update, names) in &names {
            for name in names {
                match self.policy.governing(name) {
                    Governing::Accepted => {}
                    Governing::Refused => finding.refuse(name, Subject::Reference, None, Cause::NoRule),
                    Governing::Reserved if is_ledger(name) => {
                        finding.refuse(name, Subject::Reference, None, Cause::Ledger);
                    }
                    Governing::Reserved => finding.refuse(name, Subject::Reference, None, Cause::Reserved),
                    Governing::Rule(rule) => {
                        if let Err(fault) = self.policy.judge_pusher(rule, self.pushing, self.now) {
                            let cause = Cause::Pusher(Box::new(fault));
                            finding.refuse(name, Subject::Reference, Some(rule), cause);
                        }
                        if *name == PROOFS.as_bytes() {
                            for cause in proofs::faults(self, &reader, update) {
                                finding.refuse(name, Subject::Reference, Some(rule), cause);
                            }
                        }
                        if *name == APPROVALS.as_bytes() {
                            for cause in approvals::faults(self, &reader, update) {
                                finding.refuse(name, Subject::Reference, Some(rule), cause);
                            }
                        }
                        let tips =
                            bases.entry(rule.name.as_str()).or_insert_with(|| self.bases(&reader, rule));
                        let task = self.plan(&reader, &mut finding, rule, tips, name, update);
                        listed += task.as_ref().map_or(0, |task| task.commits.len());
                        tasks.extend(task);
                        if listed > self.maximum_listed {
                            finding.refuse(name, Subject::Reference, Some(rule), Cause::TooManyCommits);
                        }
                        if listed > self.maximum_listed || finding.broken >= MAXIMUM_BROKEN {
                            return finding;
                        }
                        if self.is_over() {
                            return finding.out_of_time(updates, 0, 0);
                        }
                    }
                }
            }
        }
        for rule in self.policy.rules() {
            let tips = bases.get(rule.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            self.walk_created(&reader, &mut finding, rule, tips, &mut tasks);
        }
        match self.judge_tasks(&mut finding, &reader, &tasks, &bases, progress) {
            Ok(()) => finding,
            Err((judged, of)) => finding.out_of_time(updates, judged, of),
        }
    }

    /// Judge one commit as if a ref of this name took it in, apart from what happens to the ref.
    pub fn judge_commit(&self, reference: &[u8], id: ObjectId, progress: &mut dyn Write) -> Finding {
        let mut finding = Finding::default();
        let rule = match self.policy.governing(reference) {
            Governing::Rule(rule) => rule,
            Governing::Accepted => return finding,
            governing => {
                let is_reserved = matches!(governing, Governing::Reserved);
                let cause = if is_reserved { Cause::Reserved } else { Cause::NoRule };
                finding.refuse(reference, Subject::Reference, None, cause);
                return finding;
            }
        };
        let task = Task {
            reference: reference.to_vec(),
            rule,
            base: None,
            wanted: id,
            tags: Vec::new(),
            commits: vec![id],
            tip: Some(id),
            before: None,
            created: false,
            replaced: None,
        };
        let reader = self.objects.reader();
        match self.judge_tasks(&mut finding, &reader, &[task], &HashMap::new(), progress) {
            Ok(()) => finding,
            Err((judged, of)) => {
                let update = Update { claimed: None, wanted: Some(id), reference: reference.to_vec() };
                finding.out_of_time(&[update], judged, of)
            }
        }
    }

    /// Judge what is to be judged of each ref, once that is known. Where time runs out on the way: how many
    /// objects of how many were judged.
    fn judge_tasks(
        &self,
        finding: &mut Finding,
        reader: &ObjectReader,
        tasks: &[Task<'a>],
        bases: &HashMap<&'a str, Vec<ObjectId>>,
        progress: &mut dyn Write,
    ) -> Result<(), (usize, usize)> {
        let allowance = Allowance::until(paths::MAXIMUM_READ, self.pace.is_over);
        let touched = paths::touched(self, tasks, &allowance, progress);
        for task in tasks {
            if let Err(cause) = paths::judge_replaced(self, task, &allowance, progress) {
                finding.refuse(&task.reference, Subject::Reference, Some(task.rule), cause);
            }
        }
        if self.is_over() {
            return Err((0, 0));
        }
        let (answers, of) = answers(self, tasks, &touched, progress)?;
        let names = Names { gate: self, reader, tasks, bases, histories: RefCell::default() };
        for (task, answers) in tasks.iter().zip(&answers) {
            if self.is_over() {
                return Err((of, of));
            }
            self.judge_task(finding, task, answers, &names);
            finding.judged.extend(task.commits.iter().chain(&task.tags));
        }
        if self.is_over() {
            return Err((of, of));
        }
        Ok(())
    }

    /// Whether the time for judging is over. Whoever leaves something out for that reason is asked last by
    /// [`Self::judge_tasks`], which then has everything refused.
    pub(super) fn is_over(&self) -> bool {
        (self.pace.is_over)()
    }

    /// The name that was pushed to and those that symbolic refs behind it stand for, once the
    /// pusher's idea of the ref's value has proven to be the server's.
    fn names_of(&self, update: &Update) -> Result<Vec<Vec<u8>>, Cause> {
        let name = update.reference.as_bstr();
        if !name.starts_with(b"refs/") {
            return Err(Cause::Unexpected("a ref's name has to begin with 'refs/'".to_owned()));
        }
        let value = self.standing.value(name).map_err(|error| Cause::Unexpected(error.to_string()))?;
        if value.id != update.claimed {
            return Err(Cause::Stale { server: value.id, claimed: update.claimed });
        }
        Ok(value.names.into_iter().map(Into::into).collect())
    }

    /// The commits from which a new or rewound ref under `rule` may take its history.
    fn bases(&self, reader: &ObjectReader, rule: &Rule) -> Vec<ObjectId> {
        let Some(digest) = self.digest(rule) else { return Vec::new() };
        let tip = |base: &String| {
            let value = self.standing.value(base.as_str().into()).ok()?;
            let same = value.names.iter().all(|name| {
                self.policy
                    .rule_for(name)
                    .is_some_and(|other| other.is_enforced() && self.digest(other) == Some(digest))
            });
            let commit = plan::commit_behind(reader, value.id?)?;
            (same && self.standing.is_accepted(&digest, commit)).then_some(commit)
        };
        rule.bases.iter().filter_map(tip).collect()
    }

    /// The refs of `update` that are bases under rules that are enforced, each with the digest of its rule.
    pub(super) fn begun(&self, update: &Update) -> Vec<([u8; 32], Vec<u8>)> {
        let begun = |name: Vec<u8>| {
            let rule =
                self.policy.rule_for(&name).filter(|rule| rule.is_enforced() && self.is_base(&name))?;
            Some((self.digest(rule)?, name))
        };
        self.names_of(update).unwrap_or_default().into_iter().filter_map(begun).collect()
    }

    /// Whether new refs may take their history from the ref of this name.
    fn is_base(&self, name: &[u8]) -> bool {
        self.policy.rules().iter().any(|rule| rule.bases.iter().any(|base| base.as_bytes() == name))
    }

    fn digest(&self, rule: &Rule) -> Option<[u8; 32]> {
        self.policy.commit_rule_digest(rule, |name| {
            self.verifier.instances().iter().find(|instance| instance.name() == name).map(|i| *i.digest())
        })
    }

    /// Judge what happens to the ref, and find out what else has to be judged. The commits of a ref
    /// that is created are left to [`Self::walk_created`].
    fn plan(
        &self,
        reader: &ObjectReader,
        finding: &mut Finding,
        rule: &'a Rule,
        bases: &[ObjectId],
        name: &[u8],
        update: &Update,
    ) -> Option<Task<'a>> {
        let mut event = |subject: Subject, event: Event| {
            if let Err(cause) = rule.judge_event(event) {
                finding.refuse(name, subject, Some(rule), cause);
            }
        };
        let Some(wanted) = update.wanted else {
            event(Subject::Reference, Event::Delete);
            if rule.vouching.threshold.is_some() && self.standing.sees_each_move() {
                let base = update.claimed;
                let vouched = Vouched::new(self, reader, rule, name, base, (End::Deleted, None));
                if let Err(cause) = vouched.judge(None) {
                    finding.refuse(name, Subject::Reference, Some(rule), cause);
                }
            }
            return None;
        };
        match update.claimed {
            None if self.standing.is_created(name) => event(Subject::Reference, Event::Create),
            Some(current) if current != wanted && plan::is_tag(name) => {
                event(Subject::Reference, Event::ReplaceTag);
            }
            Some(_) | None => {}
        }
        let target = match plan::target(reader, name, wanted) {
            Ok(target) => target,
            Err((subject, cause)) => {
                finding.refuse(name, subject, Some(rule), cause);
                return None;
            }
        };
        for (subject, happens) in target.events {
            event(subject, happens);
        }
        let mut task = Task {
            reference: name.to_vec(),
            rule,
            base: update.claimed,
            wanted,
            tags: target.tags,
            commits: Vec::new(),
            tip: target.commit,
            before: None,
            created: update.claimed.is_none(),
            replaced: None,
        };
        if update.claimed.is_some_and(|current| current != wanted)
            && target.commit.is_none()
            && !plan::is_tag(name)
        {
            event(Subject::Reference, Event::Rewind);
        }
        if let (Some(current), Some(tip)) = (update.claimed, target.commit) {
            let current = plan::commit_behind(reader, current);
            if current.is_none() && !rule.paths.is_empty() && !plan::is_tag(name) {
                let words = "what the ref holds now cannot be read".to_owned();
                finding.refuse(name, Subject::Reference, Some(rule), Cause::Unexpected(words));
                return None;
            }
            task.before = current;
            match self.walk_updated(reader, rule, bases, current, tip) {
                Ok((history, descends)) => {
                    if !descends && !plan::is_tag(name) {
                        event(Subject::Reference, Event::Rewind);
                    }
                    task.commits = history.commits;
                    task.replaced = current.filter(|_| !descends);
                    finding.replaced.extend(task.replaced.map(|_| name.to_vec()));
                }
                Err(error) => finding.refuse_history(name, rule, error),
            }
        }
        if task.tip.is_none() && !rule.paths.is_empty() {
            finding.refuse(name, Subject::Reference, Some(rule), Cause::NoHistoryForPaths);
        }
        Some(task)
    }

    /// The commits of `tips` that are new.
    pub(super) fn walk(
        &self,
        reader: &ObjectReader,
        tips: &[ObjectId],
        hidden: &[ObjectId],
        anchor: Option<ObjectId>,
    ) -> Result<History, HistoryError> {
        let go_on = |met| self.pace.goes_on(met);
        new_commits_while(reader, tips, hidden, anchor, self.shallow, &go_on)
    }

    /// What an update adds, and whether the new value descends from the current one.
    fn walk_updated(
        &self,
        reader: &ObjectReader,
        rule: &Rule,
        bases: &[ObjectId],
        current: Option<ObjectId>,
        tip: ObjectId,
    ) -> Result<(History, bool), HistoryError> {
        let walk = |hidden: &[ObjectId], anchor| self.walk(reader, &[tip], hidden, anchor);
        let own: Vec<ObjectId> = current.into_iter().collect();
        let history = walk(&own, rule.anchor);
        let reaches = |history: &Result<History, HistoryError>| {
            history
                .as_ref()
                .is_ok_and(|history| !own.is_empty() && own.iter().all(|id| history.reached.contains(id)))
        };
        // The way down to the current value may lead through the anchor, where the walk ends.
        let descends = reaches(&history) || (rule.anchor.is_some() && reaches(&walk(&own, None)));
        if descends || bases.is_empty() {
            return Ok((history?, descends));
        }
        Ok((walk(&[&own, bases].concat(), rule.anchor)?, false))
    }

    /// Walk the histories of all refs that are created under `rule` in one go, and one by one only
    /// if something is wrong with them. The commits of all stand with the first one then.
    fn walk_created(
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

    fn judge_task(&self, finding: &mut Finding, task: &Task<'a>, answers: &Answers, names: &Names<'_>) {
        for (tag, answer) in task.tags.iter().zip(&answers.tags) {
            if let Err(cause) = answer.by_rule(*tag) {
                finding.refuse(&task.reference, Subject::Tag(*tag), Some(task.rule), cause);
            }
        }
        let (mut forge, mut merges) = (Forge::new(self, names.reader, task), HashSet::new());
        let commits = task.commits.iter().zip(&answers.commits).rev();
        for (number, (commit, answer)) in commits.enumerate() {
            if number % ASKED_EVERY == ASKED_EVERY - 1 && self.is_over() {
                return;
            }
            let judged = answer.by_rule(*commit);
            let judged = judged.map(|()| Passed::Otherwise).or_else(|cause| forge.pass(*commit, cause));
            if judged == Ok(Passed::Merge) {
                merges.insert(*commit);
            }
            if let Err(cause) = judged.and_then(|_| answer.by_paths(*commit)) {
                // Nobody reads the name of the thousandth.
                let is_read = finding.refusals.len() + finding.warnings.len() < MAXIMUM_NAMED;
                let reference = if is_read { names.of(task, *commit) } else { &task.reference };
                finding.refuse(reference, Subject::Commit(*commit), Some(task.rule), cause);
            }
        }
        self.judge_vouching(finding, task, &merges, names.reader, &|id| {
            answers.persons.get(id).map(|person| person.to_string())
        });
        // A ref that stays or goes back says nothing about what it already held.
        let is_judged = |tip: ObjectId| task.created || task.commits.contains(&tip);
        if self.is_base(&task.reference)
            && task.rule.is_enforced()
            && task.tip.is_some_and(is_judged)
            && let (Some(tip), Some(digest)) = (task.tip, self.digest(task.rule))
        {
            let follows = |before| self.standing.is_accepted(&digest, before);
            if task.created
                || task.before.is_some_and(follows)
                || self.standing.carries_its_past(&digest, &task.reference)
            {
                finding.tips.push((digest, tip));
            }
            finding.begun.push((digest, task.reference.clone()));
        }
    }
}

impl<'a> Gate<'a> {
    /// Judge whether enough persons vouch for `task`; `person` tells who has signed an object.
    fn judge_vouching(
        &self,
        finding: &mut Finding,
        task: &Task<'a>,
        merges: &HashSet<ObjectId>,
        reader: &ObjectReader,
        person: &dyn Fn(&ObjectId) -> Option<String>,
    ) {
        if task.rule.vouching.threshold.is_none() || !self.standing.sees_each_move() {
            return;
        }
        let end = (end(reader, task.wanted, task.tip), task.tip);
        let vouched = Vouched::new(self, reader, task.rule, &task.reference, task.base, end)
            .of_rewind(task.replaced.is_some());
        if let Err((subject, cause)) = vouched.judge_task(task, merges, person) {
            finding.refuse(&task.reference, subject, Some(task.rule), cause);
        }
    }
}

/// Which of several refs that are created together brought a commit: only words depend on it.
struct Names<'a> {
    gate: &'a Gate<'a>,
    reader: &'a ObjectReader,
    tasks: &'a [Task<'a>],
    bases: &'a HashMap<&'a str, Vec<ObjectId>>,
    /// What each tip adds, as far as it was asked for.
    histories: RefCell<HashMap<ObjectId, HashSet<ObjectId>>>,
}

/// How many refs that are created together are looked at one by one once something is wrong.
const MAXIMUM_NAMED: usize = 64;

/// How many histories that cannot be walked are met before the rest of a push is not looked at: each may
/// have been walked for long, and nothing of it is remembered.
const MAXIMUM_BROKEN: usize = 16;

impl<'a> Names<'a> {
    fn of(&self, task: &'a Task<'a>, commit: ObjectId) -> &'a [u8] {
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

impl Finding {
    /// Refuse everything because only `judged` of so many objects were judged in time.
    pub(super) fn out_of_time(mut self, updates: &[Update], judged: usize, of: usize) -> Self {
        self.is_out_of_time = true;
        // It is said once for each ref.
        self.refusals.retain(|refusal| !refusal.cause.is_out_of_time());
        for update in updates {
            self.refuse(&update.reference, Subject::Reference, None, Cause::OutOfTime { judged, of });
        }
        self
    }

    /// Note a refusal, or a warning where the rule only warns and the cause is its own to weigh.
    fn refuse(&mut self, reference: &[u8], subject: Subject, rule: Option<&Rule>, cause: Cause) {
        let only_warns = rule.is_some_and(|rule| !rule.is_enforced()) && cause.is_for_the_rule_to_decide();
        let refusal = Refusal {
            reference: reference.to_vec(),
            subject,
            rule: rule.map(|rule| rule.name.clone()),
            cause,
        };
        if only_warns { self.warnings.push(refusal) } else { self.refusals.push(refusal) }
    }

    fn refuse_history(&mut self, reference: &[u8], rule: &Rule, error: HistoryError) {
        let (subject, cause) = match error {
            HistoryError::Malformed { id, cause } => (Subject::Commit(id), Cause::Malformed(cause)),
            // That is said once, for the whole push.
            HistoryError::Stopped => return,
            HistoryError::Shallow(id) => (Subject::Commit(id), Cause::Unexpected(error.to_string())),
            other => (Subject::Reference, Cause::Unexpected(other.to_string())),
        };
        self.broken += 1;
        self.refuse(reference, subject, Some(rule), cause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    fn judge(scratch: &Scratch, policy: &Policy, updates: &[Update], maximum_listed: usize) -> Finding {
        let repository = scratch.open();
        let state = tempfile::tempdir().unwrap();
        let gate = Gate {
            policy,
            verifier: &Verifier::new(Vec::new()),
            objects: &repository.objects().unwrap(),
            standing: &Server {
                references: &repository.references(),
                accepted: &AcceptedTips::new(state.path()),
            },
            shallow: &repository.shallow(None).unwrap(),
            proofs: &Proofs::default(),
            pushing: &Pushing::Nobody,
            approvals: &Approvals::default(),
            now: 0,
            maximum_listed,
            pace: Pace::default(),
        };
        gate.judge(updates, &mut Vec::new())
    }

    #[test]
    fn many_refs_that_take_in_one_long_history_are_bounded() {
        let scratch = Scratch::new(&[]);
        let root = scratch.commit("root");
        for name in ["a", "b", "c"] {
            scratch.git(&["update-ref", &format!("refs/heads/{name}"), &root.to_string()]);
        }
        for n in 0..5 {
            scratch.commit(&n.to_string());
        }
        let rules = "[[rule]]\nname = \"all\"\nrefs = [\"refs/heads/*\"]\ncommits = \"unsigned\"\n";
        let policy = Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n{rules}")).unwrap();
        let updates: Vec<Update> = ["a", "b", "c"]
            .map(|name| Update {
                claimed: Some(root),
                wanted: Some(scratch.id("HEAD")),
                reference: format!("refs/heads/{name}").into_bytes(),
            })
            .into();
        let judge = |maximum| judge(&scratch, &policy, &updates, maximum).refusals;
        assert_eq!(judge(15), []);
        assert!(matches!(&judge(14)[..], [Refusal { cause: Cause::TooManyCommits, .. }]));
    }

    #[test]
    fn every_object_of_a_long_history_is_judged() {
        let scratch = Scratch::new(&[]);
        let count = 9_000;
        let commit = |number| {
            format!(
                "commit refs/heads/long\ncommitter C <c@example.com> {} +0000\ndata 1\n.\n",
                1_000 + number
            )
        };
        scratch.git_with(&["fast-import", "--quiet"], (0..count).map(commit).collect::<String>().as_bytes());
        let rules = "[identity.alice]\nssh = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\"]\n\
                     [[rule]]\nname = \"all\"\nrefs = [\"refs/heads/*\"]\ncommits = [\"alice\"]\ncreate = \"allow\"\n";
        let policy = Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n{rules}")).unwrap();
        let wanted = Some(scratch.id("refs/heads/long"));
        let updates = ["x", "y"].map(|name| Update {
            claimed: None,
            wanted,
            reference: format!("refs/heads/{name}").into_bytes(),
        });
        let finding = judge(&scratch, &policy, &updates, MAXIMUM_LISTED);
        let refused: HashSet<ObjectId> = (finding.refusals.iter())
            .map(|refusal| match (&refusal.subject, &refusal.cause) {
                (Subject::Commit(id), Cause::Unsigned { .. }) => *id,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((refused.len(), finding.refusals.len()), (count, count));
    }
}
