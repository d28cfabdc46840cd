//! Approvals that a repository keeps, a push that adds some, and who has approved what.
//!
//! What a push brings for `refs/countersign/approvals` is used for the very same push. Where a rule lets the
//! ref be pushed to, an update may add approvals by somebody who may give them, and do nothing else.

use std::collections::BTreeSet;

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
/// How many approvals of something else are told.
const MAXIMUM_OTHERS: usize = 3;

/// The approvals that a repository keeps, and those that `updates` would have it keep.
#[must_use]
pub fn kept_approvals(objects: &Objects, references: &References, updates: &[Update]) -> Approvals {
    Approvals::open(&objects.reader(), &tips(references, APPROVALS, updates))
}

/// What is wrong with an update of the ref, at most a few causes.
pub(super) fn faults(gate: &Gate<'_>, reader: &ObjectReader, update: &Update) -> Vec<Cause> {
    let too_many = Cause::Approval(ApprovalFault::TooMany);
    let (added, mut faults) = match added(
        gate.pace.is_over,
        reader,
        update,
        too_many,
        ApprovalFault::Removed,
        ApprovalFault::Strange,
    ) {
        Ok(changes) => changes,
        Err(cause) => return vec![cause],
    };
    if faults.is_empty() {
        let &Gate { policy, verifier, objects, approvals, now, pace: Pace { is_over, .. }, .. } = gate;
        let by = Judging { policy, verifier, approvals, now };
        // Where the time is over, the whole push is refused for that.
        let judge = |reader: &mut ObjectReader, name: &ProofName| {
            if is_over() { None } else { by.check(reader, *name).err() }
        };
        faults = added.par_iter().map_init(|| objects.reader(), judge).flatten().collect();
    }
    faults.truncate(MAXIMUM_TOLD);
    faults.into_iter().map(Cause::Approval).collect()
}

/// What one approval is judged by.
struct Judging<'a> {
    policy: &'a Policy,
    verifier: &'a Verifier,
    approvals: &'a Approvals,
    now: i64,
}

impl Judging<'_> {
    /// Whether an approval may be added.
    fn check(&self, reader: &ObjectReader, name: ProofName) -> Result<(), ApprovalFault> {
        let Self { policy, verifier, approvals, now } = *self;
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
        counted_as(policy, verifier, &approval, now)?;
        // More than that are never read.
        if approvals.count(reader, statement) > MAXIMUM_APPROVALS_OF_AN_UPDATE {
            return Err(ApprovalFault::TooMany);
        }
        Ok(())
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
    for approval in gate.approvals.of(reader, statement) {
        if gate.is_over() {
            break;
        }
        let judged = approval.map_err(ApprovalFault::Unreadable).and_then(|approval| {
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
    for (_, Approval { statement: other, .. }) in gate.approvals.all(reader).take_while(|_| !gate.is_over()) {
        let same = [
            other.repository == statement.repository,
            other.reference == statement.reference,
            other.base == statement.base,
            other.tree == statement.tree,
        ];
        let fault = match same {
            [false, true, true, true] => ApprovalFault::AnotherRepository(other.repository),
            [true, false, true, true] => ApprovalFault::AnotherReference(other.reference),
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
