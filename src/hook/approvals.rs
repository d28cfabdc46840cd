//! Approvals that a repository keeps, a push that adds some, and who has approved what.
//!
//! What a push brings for `refs/countersign/approvals` is used for the very same push. Where a rule lets the
//! ref be pushed to, an update may add approvals by somebody who may give them, and do nothing else.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{
    Pace, Update,
    added::{added, tips},
    gate::Gate,
};
use crate::{
    object::{APPROVALS, Approval, Statement},
    policy::{ApprovalFault, Cause, Policy, Rule},
    repository::{
        Approvals, MAXIMUM_APPROVALS_OF_AN_UPDATE, ObjectReader, Objects, ProofName, References, read_blob,
    },
    verify::Verifier,
};

/// How many faults of one update are told.
const MAXIMUM_TOLD: usize = 16;
/// How many approvals of one update are kept of one person, for whom one is enough: one from each place where they
/// work, and no more, so that nobody keeps others out. A signature can be written in many ways.
const MAXIMUM_OF_A_PERSON: usize = 4;
/// How many approvals of something else are told.
const MAXIMUM_OTHERS: usize = 3;

/// The approvals that a repository keeps, and those that `updates` would have it keep.
#[must_use]
pub fn kept_approvals(objects: &Objects, references: &References, updates: &[Update]) -> Approvals {
    Approvals::open(&objects.reader(), &tips(references, APPROVALS, updates))
}

/// What is wrong with an update of the ref, at most a few causes.
pub(super) fn faults(gate: &Gate<'_>, reader: &ObjectReader, update: &Update) -> Vec<Cause> {
    let (added, mut faults) = match added(
        gate.pace.is_over,
        reader,
        update,
        Cause::Approval(ApprovalFault::TooMany),
        ApprovalFault::Removed,
        ApprovalFault::Strange,
        ApprovalFault::Full,
    ) {
        Ok(changes) => changes,
        Err(cause) => return vec![cause],
    };
    if faults.is_empty() {
        faults = Judging::new(gate).faults(reader, &added);
    }
    faults.truncate(MAXIMUM_TOLD);
    faults.into_iter().map(Cause::Approval).collect()
}

/// What approvals are judged by.
struct Judging<'a> {
    policy: &'a Policy,
    verifier: &'a Verifier,
    objects: &'a Objects,
    approvals: &'a Approvals,
    now: i64,
    is_over: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Judging<'a> {
    fn new(gate: &Gate<'a>) -> Self {
        let &Gate { policy, verifier, objects, approvals, now, pace: Pace { is_over, .. }, .. } = gate;
        Self { policy, verifier, objects, approvals, now, is_over }
    }

    /// Why not all of `added` (in their order) may be added. Where the time is over that is not all, and the whole push
    /// is refused for it.
    fn faults(&self, reader: &ObjectReader, added: &[ProofName]) -> Vec<ApprovalFault> {
        let updates = || added.chunk_by(|one, other| one.object == other.object);
        // What costs nothing to refuse comes first.
        let crowded =
            updates().filter(|of_one| self.all(reader, of_one).len() > MAXIMUM_APPROVALS_OF_AN_UPDATE);
        let crowded: Vec<ApprovalFault> =
            crowded.map(|_| ApprovalFault::Crowded).take(MAXIMUM_TOLD).collect();
        if !crowded.is_empty() {
            return crowded;
        }
        let told = AtomicUsize::new(0);
        let judge = |reader: &mut ObjectReader, name: &ProofName| {
            if (self.is_over)() || told.load(Ordering::Relaxed) >= MAXIMUM_TOLD {
                return None;
            }
            let judged = self.check(reader, *name);
            told.fetch_add(judged.is_err().into(), Ordering::Relaxed);
            Some((*name, judged))
        };
        let judged: Vec<(ProofName, Result<String, ApprovalFault>)> =
            added.par_iter().map_init(|| self.objects.reader(), judge).flatten().collect();
        let (mut persons, mut faults) = (HashMap::new(), Vec::new());
        for (name, judged) in judged {
            match judged {
                Ok(person) => drop(persons.insert(name, person)),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            faults.extend(updates().filter_map(|of_one| self.once_too_often(reader, of_one, &persons)));
        }
        faults
    }

    /// All that is kept of the update that `added` approve, and those.
    fn all(&self, reader: &ObjectReader, added: &[ProofName]) -> BTreeSet<ProofName> {
        let mut names = self.approvals.names_of(reader, &added[0].object);
        names.extend(added);
        names
    }

    /// Whether somebody of `persons` has approved one update more often than is kept: `added` are of that update. What
    /// does not count any more is nobody's, so that it keeps nobody out.
    fn once_too_often(
        &self,
        reader: &ObjectReader,
        added: &[ProofName],
        persons: &HashMap<ProofName, String>,
    ) -> Option<ApprovalFault> {
        let all = self.all(reader, added);
        if all.len() <= MAXIMUM_OF_A_PERSON {
            return None;
        }
        let judge = |reader: &mut ObjectReader, name: &ProofName| match persons.get(name) {
            Some(person) => Some(person.clone()),
            None if (self.is_over)() => None,
            None => self.check(reader, *name).ok(),
        };
        let all: Vec<ProofName> = all.into_iter().collect();
        let counted = all.par_iter().map_init(|| self.objects.reader(), judge).flatten();
        let mut counts: HashMap<String, usize> = HashMap::new();
        for person in counted.collect::<Vec<String>>() {
            *counts.entry(person).or_default() += 1;
        }
        let mut adding = added.iter().filter_map(|name| persons.get(name));
        let person =
            adding.find(|person| counts.get(*person).is_some_and(|count| *count > MAXIMUM_OF_A_PERSON));
        person.cloned().map(ApprovalFault::Again)
    }

    /// The person as whom an approval counts that may be added, apart from how many there are.
    fn check(&self, reader: &ObjectReader, name: ProofName) -> Result<String, ApprovalFault> {
        let bytes =
            read_blob(reader, name.blob).map_err(|error| ApprovalFault::Unavailable(error.to_string()))?;
        let approval = Approval::parse(reader.hash(), &bytes).map_err(ApprovalFault::Unreadable)?;
        let statement = &approval.statement;
        if statement.key(reader.hash()) != Some(name.object) {
            return Err(ApprovalFault::Strange(name.path().into_bytes()));
        }
        if let Some(base) = statement.base.filter(|base| reader.kind(*base).is_err()) {
            return Err(ApprovalFault::NoBase(base));
        }
        counted_as(self.policy, self.verifier, &approval, self.now)
    }
}

/// The person as whom `approval` counts by `policy`, for whatever it names.
///
/// # Errors
/// Why it counts for nothing.
pub fn counted_as(
    policy: &Policy,
    verifier: &Verifier,
    approval: &Approval,
    now: i64,
) -> Result<String, ApprovalFault> {
    let statement = &approval.statement;
    if policy.repository() != Some(statement.repository.as_str()) {
        return Err(ApprovalFault::AnotherRepository(statement.repository.clone()));
    }
    let rule = policy.rule_for(statement.reference.as_bytes());
    let rule = rule.filter(|rule| rule.vouching.hears_approvals());
    let rule = rule.ok_or_else(|| ApprovalFault::NotAsked(statement.reference.clone()))?;
    judge_approval(policy, verifier, rule, approval, now)
        .map_err(|cause| ApprovalFault::NotCounted(Box::new(cause)))
}

/// The person who has given `approval`, who may under `rule`. No anchor covers it: it is judged by the times
/// that its signature proves, and otherwise by when it is looked at.
///
/// # Errors
/// Why it counts for nobody who may.
fn judge_approval(
    policy: &Policy,
    verifier: &Verifier,
    rule: &Rule,
    approval: &Approval,
    now: i64,
) -> Result<String, Cause> {
    let verdict = verifier.verify(&approval.payload(), &approval.signature, now);
    policy.approver_now(rule, verdict, now)
}

/// Who has approved exactly `statement` under `rule`, and why other approvals of it do not count; of those for
/// which there is time.
pub(super) fn approvers(
    gate: &Gate<'_>,
    reader: &ObjectReader,
    rule: &Rule,
    statement: &Statement,
) -> (BTreeSet<String>, Vec<ApprovalFault>) {
    let (mut persons, mut faults) = (BTreeSet::new(), Vec::new());
    let kept = statement.key(reader.hash()).map(|key| gate.approvals.names_of(reader, &key).len());
    if kept.is_some_and(|kept| kept > MAXIMUM_APPROVALS_OF_AN_UPDATE) {
        faults.push(ApprovalFault::Crowded);
    }
    for approval in gate.approvals.of(reader, statement) {
        if gate.is_over() {
            break;
        }
        let judged = approval.map_err(ApprovalFault::Unreadable).and_then(|(approval, _)| {
            judge_approval(gate.policy, gate.verifier, rule, &approval, gate.now)
                .map_err(|cause| ApprovalFault::NotCounted(Box::new(cause)))
        });
        match judged {
            Ok(name) => {
                persons.insert(name);
            }
            Err(fault) => faults.push(fault),
        }
    }
    faults.truncate(MAXIMUM_OTHERS);
    (persons, faults)
}

/// Approvals of something that differs from `statement` in one part: whoever gave them may have meant it.
/// Only words depend on that, so nobody looks at their signatures.
pub(super) fn others(gate: &Gate<'_>, reader: &ObjectReader, statement: &Statement) -> Vec<ApprovalFault> {
    let mut faults = Vec::new();
    let statements = gate.approvals.statements(reader, &|| !gate.is_over());
    for other in statements {
        if gate.is_over() {
            break;
        }
        let same = [
            other.repository == statement.repository,
            other.reference == statement.reference,
            other.base == statement.base,
            other.tree == statement.tree,
        ];
        let fault = match same {
            [false, true, true, true] => ApprovalFault::AnotherRepository(other.repository.clone()),
            [true, false, true, true] => ApprovalFault::AnotherReference(other.reference.clone()),
            [true, true, false, true] => ApprovalFault::AnotherBase(other.base),
            [true, true, true, false] => ApprovalFault::AnotherTree(other.tree),
            _ => continue,
        };
        if !faults.contains(&fault) {
            faults.push(fault);
        }
        if faults.len() == MAXIMUM_OTHERS {
            break;
        }
    }
    faults
}
