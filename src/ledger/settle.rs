//! Settling: what became of accepted pushes, entered into the ledger in the order in which it happened.
//!
//! Whoever settles holds a lock that ends with its process. An intent goes away only after the ledger has what
//! there is to say of it; if the process ends in between, the next one finds both, and enters nothing twice.

use std::collections::{BTreeSet, HashMap, HashSet};

use gix::bstr::{BString, ByteSlice as _};

use super::{
    Acceptance, Entry, Folder, LEDGER, LedgerError, LeftOver, Occasion, Pending, Process, PushId,
    folder::Held,
    many::SMALL,
    resolve,
    write::{self, append},
};
use crate::{object::ObjectId, policy::is_ledger, repository::Repository};

/// How long an accepted push may take until it is done, in seconds, where nobody can say whether the process
/// behind it still runs.
const GRACE: i64 = 60 * 60;

/// How often it is tried again when somebody else writes.
const ATTEMPTS: usize = 8;

/// How many records are looked back at for what a ref held.
const MAXIMUM_WALKED: usize = 100_000;

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

/// Where an update stands: the intent, and the entry in it.
type Place = (usize, usize);

/// What the ledger says of some refs.
#[derive(Default)]
struct Said {
    last: HashMap<BString, Option<ObjectId>>,
    entered: HashSet<(PushId, BString)>,
}

impl Settler<'_> {
    /// See to it that there is a ledger, if there is anything to enter: the refs as they stand. Its head.
    ///
    /// # Errors
    /// There was one and it is gone, or it cannot be read or written.
    pub fn begin(&self) -> Result<Option<ObjectId>, LedgerError> {
        if let Some(head) = write::head(self.repository)? {
            // What cannot be written behind accepts nothing.
            write::read(&self.repository.objects()?.reader(), head)?;
            return Ok(Some(head));
        }
        if let Some(head) = self.folder.remembered()? {
            return Err(LedgerError::Gone(head));
        }
        let refs = self.repository.references().direct()?;
        if refs.is_empty() {
            return Ok(None);
        }
        let _lock = self.folder.lock()?;
        if let Some(head) = write::head(self.repository)? {
            return Ok(Some(head));
        }
        let entry = |(reference, id)| Entry { old: None, new: Some(id), reference };
        let standing = Occasion::Standing { received: self.now.max(0) };
        self.write(None, &[(standing, refs.into_iter().map(entry).collect())])
    }

    /// Settle a transaction of refs that has just been committed by `process`. Of a push of many refs, each in a
    /// transaction of its own, all wait for the last one.
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
            if entries.len() <= SMALL || happened.len() > 1 {
                refs.insert(entries[entry].reference.clone());
            } else if entry + 1 == entries.len() {
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
            let head = write::head(self.repository)?;
            if head.is_none()
                && let Some(gone) = self.folder.remembered()?
            {
                return Err(LedgerError::Gone(gone));
            }
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

    /// Enter what refs hold now where the ledger says something else: `only` these, or all. What the
    /// administrator has done without a push.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub fn enter(&self, reason: &str, only: Option<&HashSet<BString>>) -> Result<Vec<Entry>, LedgerError> {
        self.begin()?;
        self.settle(Scope::All, &[], None)?;
        let _lock = self.folder.lock()?;
        for _ in 0..ATTEMPTS {
            let head = write::head(self.repository)?;
            let under_way: HashSet<BString> = self
                .folder
                .intents_left()?
                .into_iter()
                .flat_map(|intent| intent.entries)
                .map(|e| e.reference)
                .collect();
            let mut last: HashMap<BString, Option<ObjectId>> = HashMap::new();
            let reader = self.repository.objects()?.reader();
            for walked in write::walk(&reader, head, None) {
                for entry in walked?.record.entries {
                    last.entry(entry.reference).or_insert(entry.new);
                }
            }
            let refs: HashMap<BString, ObjectId> =
                self.repository.references().direct()?.into_iter().collect();
            let names: BTreeSet<&BString> = last.keys().chain(refs.keys()).collect();
            let entries: Vec<Entry> = names
                .into_iter()
                .filter(|name| !is_ledger(name) && only.is_none_or(|only| only.contains(*name)))
                .filter(|name| !under_way.contains(*name))
                .map(|name| Entry {
                    old: last.get(name).copied().flatten(),
                    new: refs.get(name).copied(),
                    reference: name.clone(),
                })
                .filter(|entry| entry.old != entry.new)
                .collect();
            if entries.is_empty() {
                return Ok(entries);
            }
            let occasion = Occasion::Administrator { received: self.now.max(0), reason: reason.to_owned() };
            if self.write(head, &[(occasion, entries.clone())])?.is_some() {
                return Ok(entries);
            }
        }
        Err(LedgerError::Busy)
    }

    /// Add to the ledger and note its new head; `None` where somebody else was first.
    fn write(
        &self,
        head: Option<ObjectId>,
        records: &[(Occasion, Vec<Entry>)],
    ) -> Result<Option<ObjectId>, LedgerError> {
        let records: Vec<_> = records
            .iter()
            .map(|(occasion, entries)| {
                let entries = entries.iter().filter(|entry| entry.reference != LEDGER).cloned();
                (occasion.clone(), entries.collect::<Vec<_>>())
            })
            .collect();
        let new = append(self.repository, head, &records, self.now, self.folder.deadline())?;
        if let Some(new) = new {
            self.folder.remember(new)?;
        }
        Ok(new)
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
        let reader = self.repository.objects()?.reader();
        since.remove(&head);
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
                let earlier: Vec<Entry> =
                    earlier.into_iter().filter(|entry| !dropped.contains(entry)).collect();
                dropped.splice(0..0, earlier);
                self.folder.keep(&with(dropped, true))?;
            }
            self.folder.keep(&with(part(held, index, &is_left), false))?;
        }
        Ok(())
    }

    /// Let go of what was dropped long ago.
    fn forget(&self, held: &[Held]) -> Result<(), LedgerError> {
        for held in held.iter().filter(|held| held.is_dropped) {
            if (self.now - held.intent.acceptance.received).abs() > 2 * GRACE {
                let mut gone = held.clone();
                gone.intent.entries.clear();
                self.folder.keep(&gone)?;
            }
        }
        Ok(())
    }
}

/// Which intent each of the updates that happened belongs to: that of the process which did it, or else the
/// newest, and one that was dropped only where there is no other.
fn places(held: &[Held], happened: &[Entry], process: Option<&Process>) -> Vec<Place> {
    let mut of: HashMap<&Entry, Vec<Place>> = HashMap::new();
    let wanted: HashSet<&Entry> = happened.iter().collect();
    for (intent, held) in held.iter().enumerate() {
        for (entry, what) in held.intent.entries.iter().enumerate().filter(|(_, what)| wanted.contains(what))
        {
            of.entry(what).or_default().push((intent, entry));
        }
    }
    let best = |what: &Entry| {
        of.get(what)?.iter().copied().max_by_key(|(intent, _)| {
            let held = &held[*intent];
            let is_its_own = process.is_some() && held.intent.process.as_ref() == process;
            (is_its_own, !held.is_dropped, *intent)
        })
    };
    happened.iter().filter_map(best).collect()
}

/// What settling has found so far.
struct Work<'h> {
    held: &'h [Held],
    /// For each ref what happened, in order.
    entered: Vec<Vec<Place>>,
    recovered: Vec<Place>,
    dropped: HashSet<Place>,
    /// What need not be kept as an intent any more.
    gone: HashSet<Place>,
    waiting: usize,
}

impl<'h> Work<'h> {
    fn new(held: &'h [Held]) -> Self {
        let (entered, recovered) = (Vec::new(), Vec::new());
        Self { held, entered, recovered, dropped: HashSet::new(), gone: HashSet::new(), waiting: 0 }
    }

    fn take(&mut self, places: &[Place], found: &super::Resolution) {
        let of = |indices: &[usize]| -> Vec<Place> { indices.iter().map(|index| places[*index]).collect() };
        let (entered, recovered, dropped) = (of(&found.entered), of(&found.recovered), of(&found.dropped));
        self.waiting += places.len() - entered.len() - recovered.len() - dropped.len();
        self.gone.extend(entered.iter().chain(&recovered).chain(&dropped));
        self.dropped.extend(dropped);
        self.recovered.extend(recovered);
        if !entered.is_empty() {
            self.entered.push(entered);
        }
    }

    /// What to enter: pushes one after the other, each ref's updates in their order.
    fn records(&self) -> Vec<(Occasion, Vec<Entry>)> {
        let mut open: Vec<std::slice::Iter<'_, Place>> =
            self.entered.iter().map(|list| list.iter()).collect();
        let mut records = Vec::new();
        loop {
            let next = open.iter().filter_map(|list| list.as_slice().first()).min();
            let Some((intent, _)) = next.copied() else { break };
            let mut places = Vec::new();
            for list in &mut open {
                if list.as_slice().first().is_some_and(|place| place.0 == intent) {
                    places.extend(list.next().copied());
                }
            }
            records.push((Occasion::Push(self.acceptance(intent)), self.entries(places)));
        }
        let intents: BTreeSet<usize> = self.recovered.iter().map(|place| place.0).collect();
        for intent in intents {
            let places = self.recovered.iter().copied().filter(|place| place.0 == intent).collect();
            records.push((Occasion::Recovered(self.acceptance(intent)), self.entries(places)));
        }
        records
    }

    fn acceptance(&self, intent: usize) -> Acceptance {
        self.held[intent].intent.acceptance.clone()
    }

    /// In the order in which they were pushed.
    fn entries(&self, mut places: Vec<Place>) -> Vec<Entry> {
        places.sort_unstable();
        places.into_iter().map(|(intent, entry)| self.held[intent].intent.entries[entry].clone()).collect()
    }

    fn settled(&self) -> Settled {
        Settled {
            entered: self.entered.iter().map(Vec::len).sum(),
            recovered: self.recovered.len(),
            dropped: self.dropped.len(),
            waiting: self.waiting,
        }
    }
}

#[cfg(test)]
mod tests;
