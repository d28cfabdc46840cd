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

use gix::bstr::ByteSlice;

use super::{
    Pace, Standing, Update,
    answers::{Answers, answers},
    approvals,
    created::{MAXIMUM_NAMED, Names},
    finding::{Finding, MAXIMUM_BROKEN},
    paths, plan, proofs,
    task::Task,
    vouching::{Forge, Passed, Vouched, end},
};
use crate::{
    object::{APPROVALS, ObjectId},
    policy::{Cause, Governing, Policy, Pushing, Rule, Subject, is_ledger},
    repository::{Allowance, Approvals, ObjectReader, Objects, PROOFS, Proofs, Shallow},
    verify::Verifier,
};

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

/// The longest name of a ref, in bytes: Linux's `PATH_MAX`. What is said of each commit says it again.
const MAXIMUM_NAME: usize = 4096;

/// The most commits that are listed for the refs that a push updates, each ref by itself: many refs that
/// all take in one long history would have it walked and kept once for each.
pub const MAXIMUM_LISTED: usize = 8_000_000;

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
        if name.len() > MAXIMUM_NAME {
            return Err(Cause::Unexpected("the ref's name is longer than any file's".to_owned()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hook::{AcceptedTips, standing::Server},
        policy::Refusal,
        repository::tests::Scratch,
    };

    fn judge(scratch: &Scratch, policy: &Policy, updates: &[Update], maximum_listed: usize) -> Finding {
        let repository = scratch.open();
        let state = tempfile::tempdir().unwrap();
        let (references, accepted) = (repository.references(), AcceptedTips::new(state.path()));
        let gate = Gate {
            policy,
            verifier: &Verifier::new(Vec::new()),
            objects: &repository.objects().unwrap(),
            standing: &Server::new(&references, &accepted),
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
    fn a_name_that_no_file_can_have_is_refused_before_anything_is_said_of_its_commits() {
        let scratch = Scratch::new(&[]);
        let root = scratch.commit("root");
        let rules = "[[rule]]\nname = \"all\"\nrefs = [\"refs/heads/*\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n";
        let policy = Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n{rules}")).unwrap();
        let of = |length: usize| {
            let name = [&b"refs/heads/"[..], &vec![b'x'; length - 11]].concat();
            let update = Update { claimed: None, wanted: Some(root), reference: name };
            judge(&scratch, &policy, &[update], MAXIMUM_LISTED).refusals
        };
        assert_eq!(of(200), []);
        match &of(MAXIMUM_NAME + 1)[..] {
            [Refusal { cause: Cause::Unexpected(words), .. }] => assert!(words.contains("longer than any")),
            other => panic!("{other:?}"),
        }
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
