//! What a remote says of its refs, judged by the gate against what is remembered of it.

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    rc::Rc,
};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::{
    Memory,
    moves::{Before, Move, Moves, by_approvals},
};
use crate::{
    hook::{
        AcceptedTips, Finding, Gate, MAXIMUM_LISTED, Pace, Standing, Telling, Update, kept_approvals,
        kept_proofs,
    },
    object::{APPROVALS, ObjectId},
    policy::{Cause, Event, Policy, Pushing, Refusal, Rule, Subject},
    repository::{
        Approvals, ObjectReader, Objects, Proofs, ReferenceError, ReferenceValue, References, Shallow,
        new_commits,
    },
    verify::Verifier,
    words::{Failure, escape_bytes},
};

/// How often what is left is judged again without the refs that were refused.
const MAXIMUM_ROUNDS: usize = 64;

/// How many refusals are told in full.
const MAXIMUM_TOLD: usize = 20;

/// What a remote is judged by.
pub struct Basis {
    /// What is asked for.
    pub policy: Policy,
    /// Says who vouches for an object.
    pub verifier: Verifier,
    /// SHA-256 over all that decides: a refusal is remembered only as long as it would be made again.
    pub digest: [u8; 32],
    /// The id of the repository, as the policy names it.
    pub repository: Option<String>,
    /// The policy's number.
    pub serial: Option<u64>,
}

/// Where what a remote is judged by comes from.
pub enum Origin<'a> {
    /// It is at hand.
    Given(Rc<Basis>),
    /// The remote itself keeps it in a ref, and something else vouches for that.
    InRef(PolicyInRef<'a>),
    /// The user takes whatever the remote serves.
    Nobody,
}

/// A policy that a remote keeps in a ref.
pub struct PolicyInRef<'a> {
    /// The full name of the ref.
    pub reference: BString,
    /// Reads the policy of a commit, if it is believed: the objects behind the commit can be read.
    pub read: ReadPolicy<'a>,
}

/// See [`PolicyInRef::read`].
pub type ReadPolicy<'a> = Box<dyn Fn(&ObjectReader, ObjectId) -> Result<Basis, Failure> + 'a>;

/// A ref that is refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusedRef {
    pub(super) update: Update,
    pub(super) refusals: Vec<Refusal>,
    /// Only how it stands to the value before speaks against it, and that is not here, where histories are cut
    /// off: a whole clone can tell.
    pub(super) is_unseen: bool,
}

impl RefusedRef {
    /// Whether approvals that the remote has not shown could make it pass.
    pub(super) fn lacks_approvals(&self) -> bool {
        let is_for_want =
            |refusal: &Refusal| matches!(refusal.cause, Cause::Threshold(_) | Cause::ForgeUnapproved { .. });
        self.refusals.iter().any(is_for_want)
    }
}

/// What became of a number of updates.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Those that may be taken.
    pub(super) accepted: Vec<Update>,
    /// Those that may not, by their names.
    pub(super) refused: BTreeMap<BString, RefusedRef>,
    /// The first of them that does not simply go on.
    pub(super) moved: Option<BString>,
    /// What rules in warning mode would have refused.
    pub(super) warnings: Vec<Refusal>,
    /// Which tips count as bases from now on.
    pub(super) tips: Vec<([u8; 32], ObjectId)>,
    /// Which refs are met under which rule from now on.
    pub(super) begun: Vec<([u8; 32], Vec<u8>)>,
    /// Every commit and tag that was looked at.
    pub(super) seen: HashSet<ObjectId>,
}

/// Everything that the judgement looks at.
pub(super) struct Judge<'a> {
    basis: &'a Basis,
    objects: &'a Objects,
    standing: &'a dyn Standing,
    shallow: Shallow,
    proofs: Proofs,
    pushing: Pushing,
    approvals: Approvals,
    /// What refs were moved by, where persons are counted.
    moves: Option<Moves<'a>>,
    now: i64,
}

/// What was accepted of a remote.
pub(super) struct Remembered<'a> {
    pub(super) memory: &'a Memory,
    pub(super) tips: &'a AcceptedTips,
}

impl Standing for Remembered<'_> {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        Ok(ReferenceValue { names: vec![name.to_owned()], id: self.memory.accepted.get(name).copied() })
    }

    fn is_accepted(&self, digest: &[u8; 32], commit: ObjectId) -> bool {
        self.tips.contains(digest, commit)
    }

    fn carries_its_past(&self, digest: &[u8; 32], name: &[u8]) -> bool {
        !self.tips.has_begun(digest, name)
    }

    fn is_created(&self, name: &[u8]) -> bool {
        self.memory.is_created(&name.into())
    }

    fn sees_each_move(&self) -> bool {
        false
    }
}

impl<'a> Judge<'a> {
    /// One for `updates`, with the log entries and approvals that `references` keep of them. Histories are
    /// cut off where `shallow` says.
    pub(super) fn new(
        (basis, now): (&'a Basis, i64),
        (objects, references): (&'a Objects, &References),
        standing: &'a dyn Standing,
        shallow: Shallow,
        pushing: Pushing,
        updates: &[Update],
    ) -> Self {
        let proofs = kept_proofs(objects, references, updates);
        let approvals = kept_approvals(objects, references, updates);
        Self { basis, objects, standing, shallow, proofs, pushing, approvals, moves: None, now }
    }

    /// The same by the approvals that the remote keeps in the commit `theirs`, besides those that are kept here.
    pub(super) fn with_approvals(self, references: &References, theirs: Option<ObjectId>) -> Self {
        let Some(tip) = theirs else { return self };
        let theirs = Update { claimed: None, wanted: Some(tip), reference: APPROVALS.into() };
        Self { approvals: kept_approvals(self.objects, references, &[theirs]), ..self }
    }

    /// The same that counts persons where a rule asks for that.
    pub(super) fn counting(self, moves: Moves<'a>) -> Self {
        Self { moves: Some(moves), ..self }
    }

    fn gate<'g>(&'g self, standing: &'g dyn Standing, pushing: &'g Pushing) -> Gate<'g> {
        Gate {
            policy: &self.basis.policy,
            verifier: &self.basis.verifier,
            objects: self.objects,
            standing,
            shallow: &self.shallow,
            proofs: &self.proofs,
            pushing,
            approvals: &self.approvals,
            now: self.now,
            maximum_listed: MAXIMUM_LISTED,
            pace: Pace::default(),
        }
    }

    /// Part `updates` into those that may be taken and those that may not.
    pub(super) fn part(&self, updates: Vec<Update>, progress: &mut dyn Write) -> Judged {
        let counted = |update: &Update| Some((self.moves.as_ref()?, self.counting_rule(update)?));
        let (by_moves, updates) = updates.into_iter().partition(|update| counted(update).is_some());
        let mut judged = self.part_together(updates, progress);
        for update in by_moves {
            let Some((moves, rule)) = counted(&update) else { continue };
            let finding = self.judge_moves(moves, rule, &update, progress);
            judged.seen.extend(finding.judged);
            if !finding.refusals.is_empty() {
                let name = BString::from(update.reference.clone());
                let refused = RefusedRef { update, refusals: finding.refusals, is_unseen: false };
                judged.refused.insert(name, refused);
                continue;
            }
            judged.accepted.push(update);
            judged.warnings.extend(finding.warnings);
            judged.tips.extend(finding.tips);
            judged.begun.extend(finding.begun);
        }
        self.mark_unseen(&mut judged.refused);
        judged
    }

    /// The rule by which persons are counted for an update. Of what is merely there at first sight nobody can tell
    /// how it came about.
    fn counting_rule(&self, update: &Update) -> Option<&'a Rule> {
        let rule = self.basis.policy.rule_for(&update.reference)?;
        rule.vouching.threshold?;
        let is_seen_to_happen = update.claimed.is_some() || self.standing.is_created(&update.reference);
        is_seen_to_happen.then_some(rule)
    }

    /// Judge what happened to a ref move by move, by what is known of its moves; where that does not do, as one.
    fn judge_moves(
        &self,
        moves: &Moves<'_>,
        rule: &Rule,
        update: &Update,
        progress: &mut dyn Write,
    ) -> Finding {
        let by_ledger = || moves.by_ledger(update);
        let by_approvals = || {
            let kept = (&self.approvals, &self.objects.reader());
            by_approvals(kept, self.basis.repository.as_deref()?, &self.shallow, update)
        };
        let whole = || Some(Move::whole(update));
        let ways: [&dyn Fn() -> Option<Vec<Move>>; 3] = [&by_ledger, &by_approvals, &whole];
        let mut finding = Finding::default();
        let mut tried: Vec<Vec<Move>> = Vec::new();
        for way in ways {
            let Some(made) = way().filter(|made| !tried.contains(made)) else { continue };
            finding = Finding::default();
            for one in &made {
                let standing = Before { standing: self.standing, update: &one.update };
                let pushing = moves.pushing(self.basis, rule, one, self.now);
                let gate = self.gate(&standing, &pushing);
                let found = gate.judge(std::slice::from_ref(&one.update), progress);
                finding.refusals.extend(found.refusals);
                finding.warnings.extend(found.warnings);
                finding.tips.extend(found.tips);
                finding.judged.extend(found.judged);
                finding.begun.extend(found.begun);
                if !finding.refusals.is_empty() {
                    break;
                }
            }
            let falls_short = |refusal: &Refusal| matches!(refusal.cause, Cause::Threshold(_));
            if finding.refusals.is_empty() && !finding.warnings.iter().any(falls_short) {
                return finding;
            }
            tried.push(made);
        }
        finding
    }

    /// The same for all of them at once. What is shared by several refs is refused for one of them only, so
    /// whatever is left is judged again until nothing more is refused.
    fn part_together(&self, updates: Vec<Update>, progress: &mut dyn Write) -> Judged {
        let mut judged = Judged { accepted: updates, ..Judged::default() };
        for _ in 0..MAXIMUM_ROUNDS {
            if judged.accepted.is_empty() {
                return judged;
            }
            let finding = self.gate(self.standing, &self.pushing).judge(&judged.accepted, progress);
            judged.seen.extend(finding.judged);
            if finding.refusals.is_empty() {
                judged.warnings = finding.warnings;
                judged.tips = finding.tips;
                judged.begun = finding.begun;
                return judged;
            }
            for refusal in finding.refusals {
                let at = judged.accepted.iter().position(|update| update.reference == refusal.reference);
                if let Some(at) = at {
                    let update = judged.accepted.remove(at);
                    let refused = RefusedRef { update, refusals: Vec::new(), is_unseen: false };
                    judged.refused.insert(refusal.reference.clone().into(), refused);
                }
                if let Some(refused) = judged.refused.get_mut(refusal.reference.as_bstr()) {
                    refused.refusals.push(refusal);
                }
            }
        }
        for update in std::mem::take(&mut judged.accepted) {
            let refusals = vec![Refusal {
                reference: update.reference.clone(),
                subject: Subject::Reference,
                rule: None,
                cause: Cause::Unexpected("too many other refs are refused".to_owned()),
            }];
            judged
                .refused
                .insert(update.reference.clone().into(), RefusedRef { update, refusals, is_unseen: false });
        }
        judged
    }

    fn mark_unseen(&self, refused: &mut BTreeMap<BString, RefusedRef>) {
        if self.shallow.is_empty() {
            return;
        }
        let reader = self.objects.reader();
        for refused in refused.values_mut() {
            let is_missing = refused.update.claimed.is_some_and(|before| reader.kind(before).is_err());
            let is_of_ref = |refusal: &Refusal| refusal.subject == Subject::Reference;
            refused.is_unseen = is_missing && refused.refusals.iter().all(is_of_ref);
        }
    }

    /// Both values of a ref that would not simply go on, and in which way it does not.
    pub(super) fn move_of(&self, refused: &RefusedRef) -> Option<String> {
        let is_move = |refusal: &Refusal| {
            let events = [Event::Rewind, Event::ReplaceTag, Event::Delete];
            matches!(&refusal.cause, Cause::Event(event) if events.contains(event))
        };
        let before = refused.update.claimed.filter(|_| refused.refusals.iter().any(is_move))?;
        let name = escape_bytes(&refused.update.reference);
        let Some(after) = refused.update.wanted else {
            return Some(format!("'{name}' was accepted at {before}, and the remote says that it is gone"));
        };
        let reader = self.objects.reader();
        let walked = new_commits(&reader, &[before], &[after], None, &self.shallow);
        let way = match walked {
            _ if refused.update.reference.starts_with(b"refs/tags/") => "the tag was moved",
            _ if refused.is_unseen => {
                "whether it goes on from there cannot be seen in a history that is cut off; a whole clone can tell"
            }
            Ok(history) if history.reached.contains(&after) => "it goes back in its own history",
            Ok(_) => "its history was replaced",
            Err(_) => "its history does not go on from there",
        };
        Some(format!("'{name}' was accepted at {before}, and the remote says {after}: {way}"))
    }

    /// The refusals in words, with what to do; whether it is the reader's own work that was refused.
    pub(super) fn tell(&self, refused: &BTreeMap<BString, RefusedRef>, is_own: bool, words: &mut dyn Write) {
        let all: Vec<&Refusal> = refused.values().flat_map(|refused| &refused.refusals).collect();
        let updates: Vec<Update> = refused.values().map(|refused| refused.update.clone()).collect();
        let reader = self.objects.reader();
        let telling =
            Telling { reader: &reader, shallow: &self.shallow, updates: &updates, is_own, go_on: &|| true };
        let mut text = telling.words("error", &all);
        // Of one's own work the remote says nothing.
        let told = refused.values().take(if is_own { 0 } else { MAXIMUM_TOLD });
        for moved in told.filter_map(|refused| self.move_of(refused)) {
            text += &format!("error: {moved}\n");
        }
        // Whoever does not listen changes nothing.
        let _ = words.write_all(text.as_bytes());
    }
}

/// Where to tell how far a judgement is: nowhere, where git shows no progress either.
pub(super) fn progress<'a>(
    is_shown: bool,
    words: &'a mut dyn Write,
    nobody: &'a mut std::io::Sink,
) -> &'a mut dyn Write {
    if is_shown { words } else { nobody }
}

/// What rules in warning mode would have refused, a line each.
pub(super) fn warned(warnings: &[Refusal]) -> impl Iterator<Item = String> {
    let more = warnings.len().saturating_sub(MAXIMUM_TOLD);
    let told = warnings.iter().take(MAXIMUM_TOLD).map(ToString::to_string);
    told.chain((more > 0).then(|| format!("and {more} more")))
}
