//! What becomes of the ref that holds the policy: a change of it is judged by the policy that stands.

use super::{Finding, foreign_anchor, pace::OUT_OF_TIME};
use crate::{
    object::ObjectId,
    policy::{Cause, PolicyFault, Refusal, Subject},
    repository::ObjectReader,
    trust::{ChainError, Followed, Pin, Reading, TrustError, commits_while},
};

/// Whether the ref of `pin` may get the value `wanted`, where `present` is the commit that decides now. `present` is
/// believed as it is.
///
/// # Errors
/// Why not.
pub fn judge_policy_change(
    reader: &ObjectReader,
    pin: &Pin,
    present: ObjectId,
    wanted: Option<ObjectId>,
    reading: &Reading<'_>,
) -> Result<(), Cause> {
    let refused =
        |error: &dyn std::fmt::Display| Cause::PolicyChange(PolicyFault::Refused(error.to_string()));
    let reading = &reading.of_new_steps();
    let Some(wanted) = wanted else { return Err(Cause::PolicyChange(PolicyFault::Deleted)) };
    let chain = match commits_while(reader, wanted, Some(present), &|read| (reading.go_on)(read, 0)) {
        Err(ChainError::OtherRoot { .. }) => return Err(Cause::PolicyChange(PolicyFault::Rewound)),
        Err(ChainError::Stopped { .. }) => return Err(OUT_OF_TIME),
        chain => chain.map_err(|error| refused(&error))?,
    };
    let begun = Followed::begin(reader, &Pin { root: present, ..pin.clone() });
    let begun = begun.map_err(|error| refused(&error))?;
    let trust = match begun.advance_along(reader, &chain, reading) {
        Err(ChainError::Refused(refusal)) if matches!(refusal.cause, Cause::Threshold(_)) => {
            return Err(refusal.cause);
        }
        Err(ChainError::Stopped { .. }) => return Err(OUT_OF_TIME),
        next => next.map_err(|error| refused(&error))?.into_trust(),
    };
    // A policy that cannot be used where it decides would have every push refused from then on.
    for name in &trust.rootless {
        let found = (reading.instance)(name).map_err(|failure| refused(&failure.error))?;
        found.ok_or_else(|| refused(&TrustError::NotPinned(name.clone())))?;
    }
    foreign_anchor(&trust.policy, reader.hash()).map_or(Ok(()), |what| Err(refused(&what)))
}

impl Finding {
    /// Take in how the change of the policy's own ref `name` was judged: besides what the rule for that ref says, and
    /// whatever it says.
    pub fn take_policy_change(&mut self, name: &[u8], judged: Result<(), Cause>) {
        // Step by step, and by what each commit carries, is how persons are counted there.
        let is_other =
            |refusal: &Refusal| refusal.reference != name || !matches!(refusal.cause, Cause::Threshold(_));
        self.refusals.retain(is_other);
        self.warnings.retain(is_other);
        if let Err(cause) = judged {
            let subject = Subject::Reference;
            self.refusals.push(Refusal { reference: name.to_vec(), subject, rule: None, cause });
        }
    }
}
