//! What is to be judged for one ref under one of its names: what happens to it, and which objects it adds.

use super::{
    Update,
    finding::Finding,
    gate::Gate,
    plan,
    vouching::{End, Vouched},
};
use crate::{
    object::ObjectId,
    policy::{Cause, Event, Rule, Subject},
    repository::{History, HistoryError, ObjectReader, new_commits_while},
};

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
    pub(super) before: Option<ObjectId>,
    /// The ref did not exist.
    pub(super) created: bool,
    /// The commit that it led to, if the new one does not descend from it.
    pub(super) replaced: Option<ObjectId>,
}

impl<'a> Gate<'a> {
    /// Judge what happens to the ref, and find out what else has to be judged. The commits of a ref
    /// that is created are left to [`Self::walk_created`].
    pub(super) fn plan(
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
}
