//! Settling: what became of accepted pushes, entered into the ledger in the order in which it happened.
//!
//! Whoever settles holds a lock that ends with its process. An intent goes away only after the ledger has what
//! there is to say of it; if the process ends in between, the next one finds both, and enters nothing twice.

use std::collections::{BTreeSet, HashMap, HashSet};

use gix::bstr::{BString, ByteSlice as _};

use super::{
    Entry, Folder, LedgerError, LeftOver, Pending, Process, PushId, dropped,
    folder::Held,
    resolve,
    work::{Place, Work, places},
    write,
};
use crate::{object::ObjectId, repository::Repository};

/// How long an accepted push may take until it is done, in seconds, where nobody can say whether the process
/// behind it still runs.
pub(super) const GRACE: i64 = 60 * 60;

/// How often it is tried again when somebody else writes.
pub(super) const ATTEMPTS: usize = 8;

/// How many records are looked back at for what a ref held.
pub(super) const MAXIMUM_WALKED: usize = 100_000;

/// Which refs are settled.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'s> {
    /// All of them.
    All,
    /// These.
    Refs(&'s HashSet<BString>),
}

impl Scope<'_> {
    fn holds(self, name: &BString) -> bool {
        match self {
            Self::All => true,
            Self::Refs(refs) => refs.contains(name),
        }
    }
}

/// What settling came to, in ref updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Entered: they happened.
    pub entered: usize,
    /// Entered as recovered: they may have happened.
    pub recovered: usize,
    /// Not entered: they did not happen.
    pub dropped: usize,
    /// Still under way.
    pub waiting: usize,
}

/// Settles one repository.
#[derive(Clone, Copy, Debug)]
pub struct Settler<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// Its intents.
    pub folder: &'a Folder,
    /// Seconds since 1970.
    pub now: i64,
}

/// What the ledger says of some refs.
#[derive(Default)]
struct Said {
    last: HashMap<BString, Option<ObjectId>>,
    entered: HashSet<(PushId, BString)>,
}

impl Settler<'_> {
    /// Settle a transaction of refs that has just been committed by `process`. Of a push of several refs, each in
    /// a transaction of its own, all wait for the last one.
    ///
    /// # Errors
    /// As for [`Self::settle`].
    pub fn settle_transaction(
        &self,
        happened: &[Entry],
        process: Option<&Process>,
    ) -> Result<Settled, LedgerError> {
        let held = self.folder.list()?;
        let mut refs = HashSet::new();
        for (intent, entry) in places(&held, happened, process) {
            let entries = &held[intent].intent.entries;
            // Several at once are all but those that git deletes before, in a transaction of their own.
            if happened.len() > 1 || entry + 1 == entries.len() {
                refs.extend(entries.iter().map(|entry| entry.reference.clone()));
            }
        }
        if refs.is_empty() {
            self.forget(&held)?;
            return Ok(Settled::default());
        }
        self.settle(Scope::Refs(&refs), happened, process)
    }

    /// [`Self::settle`] after the last transaction of the push that `happened` is of: what has not happened of it
    /// will not.
    ///
    /// # Errors
    /// As for [`Self::settle`].
    pub fn settle_last(&self, happened: &[Entry], process: Option<&Process>) -> Result<Settled, LedgerError> {
        self.settle_all(Scope::All, happened, process, true)
    }

    /// Settle what can be settled. `happened` are updates that were seen to happen, by `process`.
    ///
    /// # Errors
    /// The ledger or an intent cannot be read or written; what is not settled then is so the next time.
    pub fn settle(
        &self,
        scope: Scope<'_>,
        happened: &[Entry],
        process: Option<&Process>,
    ) -> Result<Settled, LedgerError> {
        self.settle_all(scope, happened, process, false)
    }

    fn settle_all(
        &self,
        scope: Scope<'_>,
        happened: &[Entry],
        process: Option<&Process>,
        is_last: bool,
    ) -> Result<Settled, LedgerError> {
        if self.folder.is_empty() {
            return Ok(Settled::default());
        }
        let _lock = self.folder.lock()?;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 && self.folder.is_late() {
                break;
            }
            let head = self.head()?;
            let held = self.folder.list()?;
            // Before any ref is read: what such a process did is done.
            let mut is_over: Vec<bool> = held.iter().map(|held| self.is_over(held)).collect();
            let seen = places(&held, happened, process);
            let is_seen: HashSet<Place> = seen.iter().copied().collect();
            for (intent, _) in seen.iter().filter(|_| is_last) {
                is_over[*intent] = true;
            }
            let references = self.repository.references();
            let mut of_refs: HashMap<BString, Vec<Place>> = HashMap::new();
            // Dropped, and the ref holds what they would have made of it.
            let mut doubted: HashSet<Place> = HashSet::new();
            for (intent, held) in held.iter().enumerate() {
                for (entry, what) in held.intent.entries.iter().enumerate() {
                    if !scope.holds(&what.reference) {
                        continue;
                    }
                    let place = (intent, entry);
                    if held.is_dropped && !is_seen.contains(&place) {
                        if references.read(what.reference.as_bstr())?.id != what.new {
                            continue;
                        }
                        doubted.insert(place);
                    }
                    of_refs.entry(what.reference.clone()).or_default().push(place);
                }
            }
            let said = self.said(head, &held, &of_refs)?;
            let is_its_own = |place: &Place| {
                let its = &held[place.0].intent.process;
                process.is_some() && its.as_ref() == process && !is_last
            };
            // Whoever else was to do the same is not mistaken for the one who did.
            let counts = |place: &&Place| {
                let what = &held[place.0].intent.entries[place.1];
                let is_entered = said.last.get(&what.reference) == Some(&what.new);
                // Its own too: of two that are to do the same git rejects one, and may tell its hook of both.
                !is_entered && (is_its_own(place) || is_over[place.0] || is_last)
            };
            let mut seen_of: HashMap<&BString, Vec<Place>> = HashMap::new();
            for place in seen.iter().filter(counts) {
                let name = &held[place.0].intent.entries[place.1].reference;
                seen_of.entry(name).or_default().push(*place);
            }
            let references = self.repository.references();
            let mut guessed: HashSet<BString> = HashSet::new();
            let mut work = Work::new(&held);
            for (name, mut places) in of_refs {
                let now = references.read(name.as_bstr())?.id;
                let last = said.last.get(&name).copied();
                let of = |place: &Place| &held[place.0].intent.entries[place.1];
                let is_explained =
                    places.iter().any(|place| !doubted.contains(place) && of(place).new == now);
                places.retain(|place| {
                    let push = held[place.0].intent.acceptance.push;
                    let is_doubted = doubted.contains(place);
                    // What the ledger explains by another push was rightly dropped.
                    let is_settled = said.entered.contains(&(push, name.clone()))
                        || (is_doubted && last == Some(of(place).new));
                    if is_settled {
                        work.gone.insert(*place);
                    }
                    // Whoever dropped it was mistaken if nothing else has led to what the ref holds.
                    let has_happened = || {
                        let Entry { old, new, .. } = *of(place);
                        !is_explained && now == new && last.is_none_or(|last| last == old)
                    };
                    !is_settled && (!is_doubted || has_happened())
                });
                let pending: Vec<Pending> = places
                    .iter()
                    .map(|place| {
                        let Entry { old, new, .. } = held[place.0].intent.entries[place.1];
                        Pending { old, new, is_over: is_over[place.0] }
                    })
                    .collect();
                let seen = seen_of.get(&name).map(Vec::as_slice).unwrap_or_default();
                let seen: Vec<usize> =
                    seen.iter().filter_map(|seen| places.iter().position(|place| place == seen)).collect();
                let found = resolve(last, now, &pending, &seen);
                if found.entered.len() > seen.len() || !found.recovered.is_empty() {
                    guessed.insert(name);
                }
                work.take(&places, &found);
            }
            // Left, and done, between one look and the other: then it explains what was explained otherwise.
            if !guessed.is_empty() {
                let about = |held: &[Held]| -> BTreeSet<String> {
                    let is_about = |held: &&Held| {
                        let mut entries = held.intent.entries.iter();
                        !held.is_dropped && entries.any(|entry| guessed.contains(&entry.reference))
                    };
                    held.iter().filter(is_about).map(|held| held.stem.clone()).collect()
                };
                if about(&held) != about(&self.folder.list()?) {
                    continue;
                }
            }
            let records = work.records();
            if !records.is_empty() && self.write(head, &records)?.is_none() {
                continue;
            }
            self.clear(&held, &work)?;
            self.forget(&held)?;
            return Ok(work.settled());
        }
        Err(LedgerError::Busy)
    }

    /// What was accepted long ago, and is neither settled nor under way any more.
    ///
    /// # Errors
    /// An intent cannot be read.
    pub fn left_over(&self) -> Result<Option<LeftOver>, LedgerError> {
        let mut left_over: Option<LeftOver> = None;
        for intent in self.folder.intents_left()? {
            let received = intent.acceptance.received;
            let runs = intent.process.as_ref().and_then(Process::is_over) == Some(false);
            if self.now - received > GRACE && !runs {
                let found = left_over.get_or_insert(LeftOver { updates: 0, since: received });
                found.updates += intent.entries.len();
                found.since = found.since.min(received);
            }
        }
        Ok(left_over)
    }

    fn is_over(&self, held: &Held) -> bool {
        let by_its_process = held.intent.process.as_ref().and_then(Process::is_over);
        by_its_process.unwrap_or_else(|| self.now - held.intent.acceptance.received > GRACE)
    }

    /// What the ledger says of these refs since the oldest of the intents was left.
    fn said(
        &self,
        head: Option<ObjectId>,
        held: &[Held],
        of_refs: &HashMap<BString, Vec<Place>>,
    ) -> Result<Said, LedgerError> {
        let mut said = Said::default();
        let mut since: HashSet<Option<ObjectId>> =
            of_refs.values().flatten().map(|place| held[place.0].intent.ledger).collect();
        since.remove(&head);
        if since.is_empty() {
            return Ok(said);
        }
        let reader = self.repository.objects()?.reader();
        let mut records = write::walk(&reader, head, None).take(MAXIMUM_WALKED);
        while !since.is_empty()
            && let Some(walked) = records.next()
        {
            let walked = walked?;
            let push = walked.record.occasion.acceptance().map(|acceptance| acceptance.push);
            for entry in walked.record.entries {
                if of_refs.contains_key(&entry.reference) {
                    said.entered.extend(push.map(|push| (push, entry.reference.clone())));
                    said.last.entry(entry.reference).or_insert(entry.new);
                }
            }
            since.remove(&walked.record.previous.map(|previous| previous.commit));
        }
        Ok(said)
    }

    /// Take out of the intents what is settled, and keep for a while what is dropped.
    fn clear(&self, all: &[Held], work: &Work<'_>) -> Result<(), LedgerError> {
        // What is left of one: the entries that are dropped, and those that are not settled.
        let part = |held: &Held, index: usize, is_wanted: &dyn Fn(&Place) -> bool| {
            let entries = held.intent.entries.iter().enumerate();
            let entries = entries.filter(|(entry, _)| is_wanted(&(index, *entry)));
            entries.map(|(_, entry)| entry.clone()).collect::<Vec<_>>()
        };
        let is_dropped = |place: &Place| work.dropped.contains(place);
        let is_left = |place: &Place| !work.gone.contains(place);
        let keeps = |place: &Place| is_left(place) || is_dropped(place);
        for (index, held) in all.iter().enumerate() {
            if (0..held.intent.entries.len()).all(|entry| is_left(&(index, entry))) {
                continue;
            }
            let with = |entries, is_dropped| {
                let mut with = held.clone();
                (with.intent.entries, with.is_dropped) = (entries, is_dropped);
                with
            };
            if held.is_dropped {
                self.folder.keep(&with(part(held, index, &keeps), true))?;
                continue;
            }
            let mut dropped = part(held, index, &is_dropped);
            if !dropped.is_empty() {
                // Earlier ones of the same push stay with them.
                let earlier = all.iter().position(|other| other.is_dropped && other.stem == held.stem);
                let earlier = earlier.map(|other| part(&all[other], other, &keeps)).unwrap_or_default();
                let known: HashSet<&Entry> = dropped.iter().collect();
                let earlier: Vec<Entry> =
                    earlier.into_iter().filter(|entry| !known.contains(entry)).collect();
                dropped.splice(0..0, earlier);
                if !dropped::is_too_much(&dropped) {
                    self.folder.keep(&with(dropped, true))?;
                }
            }
            self.folder.keep(&with(part(held, index, &is_left), false))?;
        }
        Ok(())
    }

    /// Let go of what was dropped long ago, and of more than is kept.
    fn forget(&self, held: &[Held]) -> Result<(), LedgerError> {
        dropped::outdated(held, self.now, 2 * GRACE).try_for_each(|held| {
            let mut gone = held.clone();
            gone.intent.entries.clear();
            self.folder.keep(&gone)
        })
    }
}

#[cfg(test)]
mod tests;
