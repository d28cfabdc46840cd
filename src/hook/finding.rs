//! What judging a push has come to.

use super::Update;
use crate::{
    object::ObjectId,
    policy::{Cause, Refusal, Rule, Subject},
    repository::HistoryError,
};

/// How many refusals of one push are kept, and how many warnings: whoever pushes chooses how much there is to say.
pub(super) const MAXIMUM_KEPT: usize = 50_000;

/// How many histories that cannot be walked are met before the rest of a push is not looked at: each may
/// have been walked for long, and nothing of it is remembered.
pub(super) const MAXIMUM_BROKEN: usize = 16;

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
    /// How many more refusals and warnings there are than are kept.
    pub unnamed: usize,
    /// Whether one of those is a refusal for more than what a rule asks for, which nobody may waive unseen.
    pub(super) hides_more: bool,
    /// Whether the time was over before everything was judged; then that is refused.
    pub is_out_of_time: bool,
    /// How many refs are refused because their history cannot be walked.
    pub(super) broken: usize,
}

impl Finding {
    /// Refuse everything because only `judged` of so many objects were judged in time.
    pub(super) fn out_of_time(mut self, updates: &[Update], judged: usize, of: usize) -> Self {
        self.is_out_of_time = true;
        // It is said once for each ref.
        self.refusals.retain(|refusal| !refusal.cause.is_out_of_time());
        self.refusals.truncate(MAXIMUM_KEPT.saturating_sub(updates.len()));
        for update in updates {
            self.refuse(&update.reference, Subject::Reference, None, Cause::OutOfTime { judged, of });
        }
        self
    }

    /// Note a refusal, or a warning where the rule only warns and the cause is its own to weigh.
    pub(super) fn refuse(&mut self, reference: &[u8], subject: Subject, rule: Option<&Rule>, cause: Cause) {
        let only_warns = rule.is_some_and(|rule| !rule.is_enforced()) && cause.is_for_the_rule_to_decide();
        let refusal = Refusal {
            reference: reference.to_vec(),
            subject,
            rule: rule.map(|rule| rule.name.clone()),
            cause,
        };
        // Whether there is one is never lost.
        let kept = if only_warns { &mut self.warnings } else { &mut self.refusals };
        if kept.len() < MAXIMUM_KEPT {
            kept.push(refusal);
            return;
        }
        self.unnamed += 1;
        self.hides_more |= !refusal.cause.is_for_the_rule_to_decide();
    }

    pub(super) fn refuse_history(&mut self, reference: &[u8], rule: &Rule, error: HistoryError) {
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
    use crate::policy::{Event, Policy};

    #[test]
    fn what_there_is_to_say_is_bounded_and_that_there_is_something_is_not_lost() {
        let rule = |mode: &str| {
            let rules = format!(
                "[[rule]]\nname = \"a\"\nrefs = [\"refs/heads/*\"]\ncommits = \"unsigned\"\nmode = \"{mode}\"\n"
            );
            Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n{rules}")).unwrap().rules()[0]
                .clone()
        };
        let (warns, refuses) = (rule("warn"), rule("enforce"));
        let mut finding = Finding::default();
        let mut refuse = |rule: &Rule, count: usize| {
            for _ in 0..count {
                finding.refuse(b"refs/heads/a", Subject::Reference, Some(rule), Cause::Event(Event::Rewind));
            }
            (finding.warnings.len(), finding.refusals.len(), finding.unnamed)
        };
        assert_eq!(refuse(&warns, MAXIMUM_KEPT + 3), (MAXIMUM_KEPT, 0, 3));
        assert_eq!(refuse(&refuses, 1), (MAXIMUM_KEPT, 1, 3), "a refusal behind many warnings");
        assert_eq!(refuse(&refuses, MAXIMUM_KEPT), (MAXIMUM_KEPT, MAXIMUM_KEPT, 4));
        assert!(!finding.hides_more);
        finding.refuse(b"refs/heads/a", Subject::Reference, Some(&refuses), Cause::TooManyCommits);
        assert!(finding.hides_more);
        let update = Update { claimed: None, wanted: None, reference: b"refs/heads/a".to_vec() };
        let finding = finding.out_of_time(&[update], 1, 2);
        assert!(finding.refusals.iter().any(|refusal| refusal.cause.is_out_of_time()));
    }
}
