//! Updates that an administrator has admitted: judged like all others, and let through once everything else of
//! the push is decided.

use std::{io::Write, slice};

use super::{AcceptedTips, Admission, Admissions, Update, admission::Taken, finding::Finding, gate::Gate};
use crate::policy::{Cause, Pushing, Refusal, Subject};

/// An update that passes only because it was admitted.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    pub(super) admission: Admission,
    /// What it would have been refused for.
    pub(super) waived: Vec<Refusal>,
    /// Where the ref's past does not count as accepted from now on: by digests of rules, and its names.
    begun: Vec<([u8; 32], Vec<u8>)>,
}

/// Judge `updates`, for which there are admissions among `holding`: those that need theirs. What could have passed
/// by itself needs nothing, and what is not for an administrator to waive is refused all the same.
pub(super) fn judge(
    gate: &Gate<'_>,
    holding: &[Admission],
    updates: &[Update],
    finding: &mut Finding,
    output: &mut dyn Write,
) -> Vec<Admitted> {
    let mut admitted = Vec::new();
    for update in updates {
        let mut judged = gate.judge(slice::from_ref(update), output);
        finding.warnings.append(&mut judged.warnings);
        finding.is_out_of_time |= judged.is_out_of_time;
        if judged.refusals.is_empty() {
            finding.tips.extend(judged.tips);
            finding.begun.extend(judged.begun);
            continue;
        }
        finding.unnamed += judged.unnamed;
        let admission = holding.iter().find(|admission| admission.admits(update));
        match admission.filter(|_| can_all_be_waived(gate.pushing, &judged)) {
            Some(admission) => admitted.push(Admitted {
                admission: admission.clone(),
                waived: judged.refusals,
                begun: gate.begun(update),
            }),
            None => finding.refusals.extend(judged.refusals),
        }
    }
    admitted
}

/// Whether an administrator can have meant all of it, also what is not told one by one.
fn can_all_be_waived(pushing: &Pushing, judged: &Finding) -> bool {
    !judged.hides_more && judged.refusals.iter().all(|refusal| can_be_waived(pushing, &refusal.cause))
}

/// Whether an administrator can have meant it: what the policy asks for, and not that something could not be judged,
/// is not what was admitted, or would change what the gate itself goes by.
fn can_be_waived(pushing: &Pushing, cause: &Cause) -> bool {
    // Each by its name: a new one is refused until somebody has thought about it.
    match cause {
        Cause::Path { cause, .. } => can_be_waived(pushing, cause),
        Cause::Pusher(_) => pushing.contradiction().is_none(),
        Cause::Stale { .. } | Cause::OutOfTime { .. } | Cause::Unexpected(_) | Cause::TooManyCommits => false,
        Cause::PolicyChange(_) | Cause::Reserved | Cause::Ledger | Cause::Approval(_) | Cause::Proof(_) => {
            false
        }
        // A push to one name would move the ref of another.
        Cause::Alike(_) | Cause::AlikeByTheRules => false,
        Cause::Ambiguous { .. }
        | Cause::Bad(_)
        | Cause::CannotTell(_)
        | Cause::Event(_)
        | Cause::Forge { .. }
        | Cause::ForgeMerge { .. }
        | Cause::ForgeUnapproved { .. }
        | Cause::KeyExpired(_)
        | Cause::KeyNotInThePolicy(_)
        | Cause::KeyNotInTheRule { .. }
        | Cause::Lapsed { .. }
        | Cause::Malformed(_)
        | Cause::NoHistoryForPaths
        | Cause::NoRule
        | Cause::NotACommit(_)
        | Cause::NotInThePolicy(..)
        | Cause::NotInTheRule { .. }
        | Cause::NotLogged(_)
        | Cause::NotProven { .. }
        | Cause::NotTheSigner(_)
        | Cause::PathTakenBack { .. }
        | Cause::SeveralPersons(_)
        | Cause::TagsNotNamed
        | Cause::Threshold(_)
        | Cause::TimeNotProven(_)
        | Cause::TooManyNestedTags
        | Cause::Unsigned { .. } => true,
    }
}

/// Use up what let `admitted` through, all of it or nothing; what cannot be used up is refused. What comes in so is
/// no base of anything, and that is written down before.
pub(super) fn take(
    admissions: &Admissions,
    accepted: &AcceptedTips,
    admitted: &[Admitted],
    now: i64,
    finding: &mut Finding,
) -> Vec<Taken> {
    let mut taken: Vec<Taken> = Vec::new();
    for Admitted { admission, begun, .. } in admitted {
        let noted = accepted.note(begun, &[]);
        match noted.and_then(|()| admissions.take(admission, now)) {
            Ok(one) => taken.push(one),
            Err(error) => {
                taken.drain(..).for_each(Taken::give_back);
                let cause = Cause::Unexpected(format!("its admission cannot be used up: {error}"));
                let reference = admission.reference.clone().into_bytes();
                finding.refusals.push(Refusal { reference, subject: Subject::Reference, rule: None, cause });
                break;
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hook::finding::MAXIMUM_KEPT, policy::Event};

    #[test]
    fn nothing_is_waived_that_is_not_seen() {
        let mut finding = Finding::default();
        for _ in 0..=MAXIMUM_KEPT {
            finding.refuse(b"refs/heads/a", Subject::Reference, None, Cause::Event(Event::Rewind));
        }
        assert!(can_all_be_waived(&Pushing::Nobody, &finding), "a long history that nobody has signed");
        finding.refuse(b"refs/heads/a", Subject::Reference, None, Cause::Unexpected("missing".to_owned()));
        assert!(!can_all_be_waived(&Pushing::Nobody, &finding));
        let mut finding = Finding::default();
        finding.refuse(b"refs/heads/a", Subject::Reference, None, Cause::Alike(b"refs/heads/A".to_vec()));
        assert!(!can_all_be_waived(&Pushing::Nobody, &finding));
    }
}
