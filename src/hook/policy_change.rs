//! What becomes of the ref that holds the policy: a change of it is judged by the policy that stands.

use super::{Finding, foreign_anchor, pace::OUT_OF_TIME};
use crate::{
    object::ObjectId,
    policy::{Cause, Event, PolicyFault, Refusal, Subject},
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
        // Step by step, and by what each commit carries, is how persons are counted there. And no rule could allow what
        // never happens to it.
        let never = matches!(judged, Err(Cause::PolicyChange(PolicyFault::Deleted | PolicyFault::Rewound)));
        let is_said = |cause: &Cause| match cause {
            Cause::Threshold(_) => true,
            Cause::Event(Event::Delete | Event::Rewind) => never,
            _ => false,
        };
        let is_other = |refusal: &Refusal| refusal.reference != name || !is_said(&refusal.cause);
        self.refusals.retain(is_other);
        self.warnings.retain(is_other);
        if let Err(cause) = judged {
            let subject = Subject::Reference;
            self.refusals.push(Refusal { reference: name.to_vec(), subject, rule: None, cause });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happens_to_a_policy_is_not_said_to_be_its_rules_to_allow() {
        let name = b"refs/countersign/policy";
        let refusal = |reference: &[u8], event: Event| Refusal {
            reference: reference.to_vec(),
            subject: Subject::Reference,
            rule: Some("r".to_owned()),
            cause: Cause::Event(event),
        };
        let told = |event: Event, judged: Result<(), Cause>| {
            let refusals = vec![refusal(name, event.clone()), refusal(b"refs/heads/main", event)];
            let mut finding = Finding { refusals, ..Finding::default() };
            finding.take_policy_change(name, judged);
            finding.refusals.into_iter().map(|refusal| refusal.cause).collect::<Vec<_>>()
        };
        for (event, fault) in [(Event::Delete, PolicyFault::Deleted), (Event::Rewind, PolicyFault::Rewound)] {
            let cause = Cause::PolicyChange(fault);
            let other = Cause::Event(event.clone());
            assert_eq!(told(event.clone(), Err(cause.clone())), [other.clone(), cause]);
            assert_eq!(told(event, Ok(())), [other.clone(), other]);
        }
    }
}
