//! How a ledger begins and goes on: from the refs as they stand, from the head that was written last, and by what the
//! administrator enters.

use std::collections::{BTreeSet, HashMap, HashSet};

use gix::bstr::BString;

use super::{
    Entry, LEDGER, LedgerError, Occasion, Scope, Settler,
    settle::{ATTEMPTS, MAXIMUM_WALKED},
    write::{self, append},
};
use crate::{object::ObjectId, policy::is_ledger};

/// What the administrator has entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// What is entered now.
    pub entries: Vec<Entry>,
    /// Refs that hold something else than the ledger says, and have an accepted update that is not settled yet.
    pub left_out: Vec<BString>,
}

impl Settler<'_> {
    /// See to it that there is a ledger, if there is anything to enter: the refs as they stand. Its head.
    ///
    /// # Errors
    /// There was one and it is gone, or it cannot be read or written.
    pub fn begin(&self) -> Result<Option<ObjectId>, LedgerError> {
        if let Some(head) = self.head()? {
            // What cannot be written behind accepts nothing.
            write::read(&self.repository.objects()?.reader(), head)?;
            return Ok(Some(head));
        }
        let refs = self.repository.references().direct()?;
        if refs.is_empty() {
            return Ok(None);
        }
        let _lock = self.folder.lock()?;
        if let Some(head) = self.head()? {
            return Ok(Some(head));
        }
        let entry = |(reference, id)| Entry { old: None, new: Some(id), reference };
        let standing = Occasion::Standing { received: self.now.max(0) };
        self.write(None, &[(standing, refs.into_iter().map(entry).collect())])
    }

    /// The head of the ledger. What was written last is part of it: nobody writes behind a ledger that was set back,
    /// and so takes away what tells of that.
    ///
    /// # Errors
    /// There was a ledger and it is gone, or it does not go on from there, or it cannot be read.
    pub(super) fn head(&self) -> Result<Option<ObjectId>, LedgerError> {
        // First: whoever writes the ledger meanwhile notes its head last.
        let remembered = self.folder.remembered();
        let Some(head) = write::head(self.repository)? else {
            return remembered?.map_or(Ok(None), |gone| Err(LedgerError::Gone(gone)));
        };
        // A note that is damaged says nothing, and stops nobody.
        let Some(remembered) = remembered.ok().flatten().filter(|remembered| *remembered != head) else {
            return Ok(Some(head));
        };
        // Whoever wrote it has ended before it was noted, or the disk has lost the later notes.
        let reader = self.repository.objects()?.reader();
        for walked in write::walk(&reader, Some(head), None).take(MAXIMUM_WALKED) {
            if walked?.commit == remembered {
                return Ok(Some(head));
            }
        }
        Err(LedgerError::SetBack { remembered, head })
    }

    /// Enter what refs hold now where the ledger says something else: `only` these, or all. What the
    /// administrator has done without a push.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub fn enter(&self, reason: &str, only: Option<&HashSet<BString>>) -> Result<Entered, LedgerError> {
        self.begin()?;
        self.settle(Scope::All, &[], None)?;
        let _lock = self.folder.lock()?;
        for _ in 0..ATTEMPTS {
            let head = self.head()?;
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
            let moved = names
                .into_iter()
                .filter(|name| !is_ledger(name) && only.is_none_or(|only| only.contains(*name)))
                .map(|name| Entry {
                    old: last.get(name).copied().flatten(),
                    new: refs.get(name).copied(),
                    reference: name.clone(),
                })
                .filter(|entry| entry.old != entry.new);
            let (left, entries): (Vec<Entry>, Vec<Entry>) =
                moved.partition(|entry| under_way.contains(&entry.reference));
            let left_out: Vec<BString> = left.into_iter().map(|entry| entry.reference).collect();
            if entries.is_empty() {
                return Ok(Entered { entries, left_out });
            }
            let occasion = Occasion::Administrator { received: self.now.max(0), reason: reason.to_owned() };
            if self.write(head, &[(occasion, entries.clone())])?.is_some() {
                return Ok(Entered { entries, left_out });
            }
        }
        Err(LedgerError::Busy)
    }

    /// Add to the ledger and note its new head; `None` where somebody else was first.
    pub(super) fn write(
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
}
