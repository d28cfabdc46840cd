//! What a clone has had of a remote before the helper was asked for it.
//!
//! A ref that is held is listed at what was accepted of it last. Where nothing was, but the clone follows the
//! ref already, that value is judged as at first sight: left out of the list it would be pruned.

use std::collections::BTreeMap;

use gix::bstr::BString;

use super::{
    Basis, Memory,
    session::Session,
    taking::{Purpose, Reach, Scene, reach},
};
use crate::{
    hook::Update,
    repository::{Objects, Repository},
    words::Failure,
};

impl Session<'_> {
    /// Look at what stands here for those of `held` of which nothing was accepted; whether any of it may be listed
    /// in the place of what the remote says. Nothing is told of what may not.
    ///
    /// # Errors
    /// The refs of the repository, or the memory, cannot be had.
    pub(super) fn look_at_present(
        &mut self,
        basis: &Basis,
        repository: &Repository,
        objects: &Objects,
        held: &[BString],
    ) -> Result<bool, Failure> {
        let is_lacking = |name: &&BString| !self.memory.accepted.contains_key(*name);
        let lacking: Vec<&BString> = held.iter().filter(is_lacking).collect();
        if lacking.is_empty() || self.context.mirrored.is_empty() {
            return Ok(false);
        }
        let references = repository.references();
        let all = references.all().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
        let mut updates = BTreeMap::new();
        for (here, value) in all {
            let there = self.context.mirrored.iter().find_map(|mirrored| mirrored.over_there(&here));
            if let (Some(there), Some(_)) = (there.filter(|there| lacking.contains(&there)), value) {
                let update = Update { claimed: None, wanted: value, reference: there.to_vec() };
                updates.insert(there, update);
            }
        }
        let updates: Vec<Update> = updates.into_values().collect();
        let Reach { shallow, is_whole } = reach(repository)?;
        let scene = Scene { basis, repository, objects };
        let accepted = self.judged(scene, updates, shallow, Purpose::Present, |_| ())?.accepted;
        if accepted.is_empty() {
            return Ok(false);
        }
        let values = || {
            let value = |update: &Update| Some((update.reference.clone().into(), update.wanted?));
            accepted.iter().filter_map(value)
        };
        self.present.extend(values());
        if is_whole {
            let note = |memory: &mut Memory| {
                for (name, value) in values() {
                    memory.seen.remove(&name);
                    // What the remote says stays held.
                    memory.accepted.entry(name).or_insert(value);
                }
                Ok(())
            };
            self.memory =
                (self.context.store.update(self.key(), note)).map_err(|error| self.forgettable(error))?;
        }
        Ok(true)
    }
}
