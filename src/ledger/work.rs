//! What settling has found: which accepted updates happened, did not, or wait, and the records that follow from it.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Acceptance, Entry, Occasion, Process, Resolution, Settled, folder::Held};

/// Where an update stands: the intent, and the entry in it.
pub(super) type Place = (usize, usize);

/// Which intent each of the updates that happened belongs to: that of the process which did it, or else the
/// newest, and one that was dropped only where there is no other.
pub(super) fn places(held: &[Held], happened: &[Entry], process: Option<&Process>) -> Vec<Place> {
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
pub(super) struct Work<'h> {
    held: &'h [Held],
    /// For each ref what happened, in order.
    entered: Vec<Vec<Place>>,
    recovered: Vec<Place>,
    pub(super) dropped: HashSet<Place>,
    /// What need not be kept as an intent any more.
    pub(super) gone: HashSet<Place>,
    waiting: usize,
}

impl<'h> Work<'h> {
    pub(super) fn new(held: &'h [Held]) -> Self {
        let (entered, recovered) = (Vec::new(), Vec::new());
        Self { held, entered, recovered, dropped: HashSet::new(), gone: HashSet::new(), waiting: 0 }
    }

    pub(super) fn take(&mut self, places: &[Place], found: &Resolution) {
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
    pub(super) fn records(&self) -> Vec<(Occasion, Vec<Entry>)> {
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

    pub(super) fn settled(&self) -> Settled {
        Settled {
            entered: self.entered.iter().map(Vec::len).sum(),
            recovered: self.recovered.len(),
            dropped: self.dropped.len(),
            waiting: self.waiting,
        }
    }
}
