//! What is accepted and what is refused, and how it is remembered.

use std::{
    collections::{BTreeMap, HashSet},
    io,
};

use gix::bstr::{BString, ByteSlice as _};

use super::{
    Basis, Held, Memory, MemoryError,
    judge::{self, Judge, Judged, RefusedRef, Remembered, progress},
    listing::BY_CUT,
    session::Session,
};
use crate::{
    hook::Update,
    object::ObjectId,
    policy::{Cause, Event, Pushing, Refusal},
    repository::{Objects, Repository, Shallow},
    words::{Failure, escape_bytes, shell_word},
};

/// Where histories end for a judgement, and whether it says anything of what lies behind.
pub(super) struct Reach {
    pub(super) shallow: Shallow,
    pub(super) is_whole: bool,
}

impl Session<'_> {
    /// Judge `updates`, let `change` have its say, and write down what came of it; the commits and tags that
    /// were looked at.
    ///
    /// # Errors
    /// Something is refused.
    pub(super) fn take(
        &mut self,
        basis: &Basis,
        repository: &Repository,
        objects: &Objects,
        updates: Vec<Update>,
        Reach { shallow, is_whole }: Reach,
        change: impl FnOnce(&mut Judged),
    ) -> Result<HashSet<ObjectId>, Failure> {
        let tips = self.context.store.tips(&self.memory);
        let standing = &Remembered { memory: &self.memory, tips: &tips };
        let judge = Judge::new(
            (basis, self.context.now),
            (objects, &repository.references()),
            standing,
            shallow,
            Pushing::Nobody,
            &updates,
        );
        let mut judged = judge.part(updates, progress(self.options.progress, self.words, &mut io::sink()));
        let mut moved = None;
        if !judged.refused.is_empty() {
            judge.tell(&judged.refused, false, self.words);
            moved = judged.refused.values().find(|refused| judge.move_of(refused).is_some()).cloned();
        }
        judge::warn(&judged.warnings, self.words);
        change(&mut judged);
        if !is_whole {
            let vouched = judged.accepted.drain(..);
            self.vouched.extend(vouched.map(|update| (update.reference.into(), update.wanted)));
            judged.tips.clear();
        }
        self.remember(basis, &judged)?;
        match refusal(&judged.refused) {
            None => Ok(judged.seen),
            Some(failure) => Err(match moved {
                None => failure,
                Some(moved) => failure.hint(format!(
                    "if they say that it was meant, 'countersign remote forget {} {}' takes what the remote has then",
                    shell_word(self.key()),
                    shell_word(&escape_bytes(&moved.update.reference))
                )),
            }),
        }
    }

    /// Write down what was judged, if what it was judged by still stands.
    pub(super) fn remember(&mut self, basis: &Basis, judged: &Judged) -> Result<(), Failure> {
        let tips = self.context.store.tips(&self.memory);
        let key = self.key().to_owned();
        let change = |memory: &mut Memory| {
            let both = judged.accepted.iter().chain(judged.refused.values().map(|refused| &refused.update));
            for update in both {
                let now = memory.accepted.get(update.reference.as_bstr()).copied();
                if now != update.claimed && now != update.wanted {
                    return Err(MemoryError::Changed(key));
                }
            }
            for update in &judged.accepted {
                memory.accept(&update.reference.clone().into(), update.wanted);
            }
            for (name, refused) in &judged.refused {
                let words = refused.refusals.first().map(ToString::to_string).unwrap_or_default();
                // The ref is named wherever they are told.
                let words =
                    words.strip_prefix(&format!("{}: ", escape_bytes(name))).unwrap_or(&words).to_owned();
                let digest = if refused.is_unseen { BY_CUT } else { basis.digest };
                let held = Held { value: refused.update.wanted, digest, words };
                memory.held.insert(name.clone(), held);
            }
            Ok(())
        };
        self.memory =
            self.context.store.update(self.key(), change).map_err(|error| self.forgettable(error))?;
        for (digest, tip) in &judged.tips {
            if let Err(error) = tips.insert(digest, *tip) {
                let _ = writeln!(self.words, "warning: what was accepted cannot be noted: {error}");
                break;
            }
        }
        Ok(())
    }
}

impl Session<'_> {
    /// Judge a commit that is asked for by its id, as what the branch would bring that `HEAD` is: whose
    /// commits may be there, but not where the branch goes. Nothing of it is remembered.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn take_by_id(
        &mut self,
        basis: &Basis,
        repository: &Repository,
        objects: &Objects,
        (branch, id): (&BString, ObjectId),
        shallow: Shallow,
    ) -> Result<HashSet<ObjectId>, Failure> {
        let tips = self.context.store.tips(&self.memory);
        let standing = &Remembered { memory: &self.memory, tips: &tips };
        let claimed = self.memory.accepted.get(branch).copied();
        let updates = vec![Update { claimed, wanted: Some(id), reference: branch.to_vec() }];
        let judge = Judge::new(
            (basis, self.context.now),
            (objects, &repository.references()),
            standing,
            shallow,
            Pushing::Nobody,
            &updates,
        );
        let mut judged = judge.part(updates, progress(self.options.progress, self.words, &mut io::sink()));
        for refused in judged.refused.values_mut() {
            let is_move =
                |refusal: &Refusal| matches!(refusal.cause, Cause::Event(Event::Rewind | Event::Create));
            refused.refusals.retain(|refusal| !is_move(refusal));
        }
        judged.refused.retain(|_, refused| !refused.refusals.is_empty());
        if judged.refused.is_empty() {
            return Ok(judged.seen);
        }
        judge.tell(&judged.refused, false, self.words);
        Err(Failure::new(
            format!("nothing was taken: the object {id} would not be accepted in '{}'", escape_bytes(branch)),
            "tell whoever keeps the remote, or fetch a branch or tag by its name",
        ))
    }
}

/// How far the histories of `repository` reach: what is cut off is answered for as far as it is here.
pub(super) fn reach(repository: &Repository) -> Result<Reach, Failure> {
    let shallow = repository
        .shallow(None)
        .map_err(|error| Failure::new(error, "see to the repository's file 'shallow'"))?;
    Ok(Reach { is_whole: shallow.is_empty(), shallow: shallow.as_end() })
}

/// Why a fetch ends at refs that were refused just now, if any were.
fn refusal(refused: &BTreeMap<BString, RefusedRef>) -> Option<Failure> {
    let names: Vec<String> = refused.keys().take(3).map(|name| format!("'{}'", escape_bytes(name))).collect();
    let more = refused.len() - names.len();
    let names = names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() };
    (!refused.is_empty()).then(|| {
        Failure::new(
            format!("nothing was taken: the policy refuses {names}"),
            "fetch again to take the rest, with these held at what was accepted last",
        )
        .hint("tell whoever keeps the remote; 'countersign remote status' shows what is held")
    })
}
