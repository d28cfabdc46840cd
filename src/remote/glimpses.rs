//! What clones whose histories are cut off have seen of a remote's refs.
//!
//! It vouches for nothing that lies behind the cut, so it counts for such clones alone: a remote that shows them a
//! value again from which it has gone on, or another one for a tag, takes back what it has shown.

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::{
    Memory,
    judge::{Judged, RefusedRef},
    taking::Scene,
};
use crate::{
    hook::Update,
    object::ObjectId,
    policy::{Cause, Event, Refusal, Subject},
    repository::{Shallow, new_commits},
};

/// How many values of one ref are remembered.
const MAXIMUM_GLIMPSED: usize = 256;

impl Memory {
    /// Note `value` as what was taken of `name` where histories are cut off; what a whole history has shown says more.
    pub(super) fn glimpse(&mut self, name: &BString, value: ObjectId) {
        if self.accepted.contains_key(name) {
            return;
        }
        let values = self.glimpsed.entry(name.clone()).or_default();
        values.retain(|other| *other != value);
        values.push(value);
        let surplus = values.len().saturating_sub(MAXIMUM_GLIMPSED);
        values.drain(..surplus);
    }

    /// What was taken of `name` last where histories are cut off.
    pub(super) fn glimpsed_last(&self, name: &BStr) -> Option<ObjectId> {
        self.glimpsed.get(name).and_then(|values| values.last().copied())
    }
}

/// Those of `updates` by which a ref would go back from what was taken of it before, and may not: with why.
pub(super) fn gone_back(
    memory: &Memory,
    scene: Scene<'_>,
    shallow: &Shallow,
    updates: &[Update],
) -> Vec<RefusedRef> {
    let refused = |update: &Update| {
        let wanted = update.wanted.filter(|_| update.claimed.is_none())?;
        let name = update.reference.as_bstr();
        let rule = scene.basis.policy.rule_for(name).filter(|rule| rule.is_enforced())?;
        let values = memory.glimpsed.get(name)?;
        let last = values.last().copied().filter(|last| *last != wanted)?;
        let is_tag = name.starts_with(b"refs/tags/");
        let was_left = || {
            let reader = scene.objects.reader();
            let walked = new_commits(&reader, &[last], &[wanted], None, shallow);
            values.contains(&wanted) || walked.is_ok_and(|history| history.reached.contains(&wanted))
        };
        if !is_tag && !was_left() {
            return None;
        }
        let cause: Cause = rule.judge_event(if is_tag { Event::ReplaceTag } else { Event::Rewind }).err()?;
        let refusal = Refusal {
            reference: update.reference.clone(),
            subject: Subject::Reference,
            rule: Some(rule.name.clone()),
            cause,
        };
        Some(RefusedRef { update: update.clone(), refusals: vec![refusal], is_unseen: true })
    };
    updates.iter().filter_map(refused).collect()
}

/// Have `refused` be refused, too.
pub(super) fn hold_back(judged: &mut Judged, refused: Vec<RefusedRef>) {
    for one in refused {
        let name: BString = one.update.reference.clone().into();
        let was_accepted = judged.accepted.iter().position(|update| update.reference == one.update.reference);
        if let Some(at) = was_accepted {
            judged.accepted.remove(at);
            judged.refused.insert(name, one);
        }
    }
}
