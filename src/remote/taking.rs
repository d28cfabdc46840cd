//! What is accepted and what is refused, and how it is remembered.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::PathBuf,
};

use gix::bstr::{BString, ByteSlice as _};

use super::{
    Address, Basis, Held, Memory, MemoryError,
    glimpses::{gone_back, hold_back},
    judge::{Judge, Judged, RefusedRef, Remembered, progress},
    listing::BY_CUT,
    moves::Moves,
    session::Session,
};
use crate::{
    encoding::sha256,
    hook::Update,
    ledger::LEDGER,
    object::{APPROVALS, ObjectId},
    policy::{Cause, Event, Governing, Pushing, Refusal},
    repository::{ObjectReader, Objects, Repository, Shallow},
    words::{Failure, escape_bytes, shell_word},
};

/// Where histories end for a judgement, and whether it says anything of what lies behind.
pub(super) struct Reach {
    pub(super) shallow: Shallow,
    pub(super) is_whole: bool,
}

/// What updates are judged in.
#[derive(Clone, Copy)]
pub(super) struct Scene<'s> {
    pub(super) basis: &'s Basis,
    pub(super) repository: &'s Repository,
    /// With what a fetch has brought.
    pub(super) objects: &'s Objects,
}

/// For what updates are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Objects are taken, and refs stay as they are.
    Objects,
    /// What is here already is looked at: nobody is told.
    Present,
    /// A push has been sent: nobody is told.
    Pushed,
    /// Refs are taken.
    Refs,
}

/// What a remote keeps for whoever judges its refs: the tip of its approvals, the ledger, and where the objects of
/// both are.
#[derive(Default)]
struct Beside {
    approvals: Option<ObjectId>,
    ledger: Option<(ObjectReader, ObjectId)>,
    objects: Option<PathBuf>,
}

impl Session<'_> {
    /// Judge `updates`, let `change` have its say, and write down what came of it; the commits and tags that
    /// were looked at.
    ///
    /// # Errors
    /// Something is refused.
    pub(super) fn take(
        &mut self,
        scene: Scene<'_>,
        updates: Vec<Update>,
        Reach { shallow, is_whole }: Reach,
        change: impl FnOnce(&mut Judged),
    ) -> Result<HashSet<ObjectId>, Failure> {
        let back = if is_whole { Vec::new() } else { gone_back(&self.memory, scene, &shallow, &updates) };
        let hold_back = |judged: &mut Judged| hold_back(judged, back);
        let mut judged = self.judged(scene, updates, shallow, Purpose::Refs, hold_back)?;
        change(&mut judged);
        let mut glimpsed = Vec::new();
        if !is_whole {
            glimpsed = std::mem::take(&mut judged.accepted);
            let vouched = glimpsed.iter().cloned();
            self.vouched.extend(vouched.map(|update| (update.reference.into(), update.wanted)));
            judged.tips.clear();
            judged.begun.clear();
        }
        self.remember(scene.basis, &judged, &glimpsed)?;
        match refusal(&judged.refused, &self.context.transport.address) {
            None => Ok(judged.seen),
            Some(failure) => Err(match judged.moved {
                None => failure,
                Some(moved) => failure.hint(format!(
                    "if they say that it was meant, 'countersign remote forget {} {}' takes what the remote has then",
                    shell_word(self.key()),
                    shell_word(&escape_bytes(&moved))
                )),
            }),
        }
    }

    /// Judge a commit that is asked for by its id, as what the branch would bring: whose commits may be there, but
    /// not where the branch goes. Nothing of it is remembered.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn take_by_id(
        &mut self,
        scene: Scene<'_>,
        (branch, id): (&BString, ObjectId),
        shallow: Shallow,
    ) -> Result<HashSet<ObjectId>, Failure> {
        let claimed = self.memory.accepted.get(branch).copied();
        let updates = vec![Update { claimed, wanted: Some(id), reference: branch.to_vec() }];
        let judged = self.judged(scene, updates, shallow, Purpose::Objects, |judged| {
            for refused in judged.refused.values_mut() {
                let is_move =
                    |refusal: &Refusal| matches!(refusal.cause, Cause::Event(Event::Rewind | Event::Create));
                refused.refusals.retain(|refusal| !is_move(refusal));
            }
            judged.refused.retain(|_, refused| !refused.refusals.is_empty());
        })?;
        if judged.refused.is_empty() {
            return Ok(judged.seen);
        }
        Err(Failure::new(
            format!("nothing was taken: the object {id} would not be accepted in '{}'", escape_bytes(branch)),
            "tell whoever keeps the remote, or fetch a branch or tag by its name",
        ))
    }

    /// Write down what was pushed as what the remote is expected to have, as far as it would be accepted from
    /// there: the push was judged by what the remote says that it had.
    ///
    /// # Errors
    /// It cannot be judged or written down.
    pub(super) fn take_pushed(&mut self, scene: Scene<'_>, mut updates: Vec<Update>) -> Result<(), Failure> {
        for update in &mut updates {
            update.claimed = self.memory.accepted.get(update.reference.as_bstr()).copied();
        }
        updates.retain(|update| update.claimed != update.wanted);
        let shallow = scene.repository.shallow(None);
        let shallow =
            shallow.map_err(|error| Failure::new(error, "see to the repository's file 'shallow'"))?;
        // Nobody has fetched it, so it is no refusal: whoever does has it judged again.
        let judged =
            self.judged(scene, updates, shallow, Purpose::Pushed, |judged| judged.refused.clear())?;
        self.remember(scene.basis, &judged, &[])
    }

    /// Judge `updates` by what is remembered, and let `change` have its say before anybody is told.
    pub(super) fn judged(
        &mut self,
        Scene { basis, repository, objects }: Scene<'_>,
        updates: Vec<Update>,
        shallow: Shallow,
        purpose: Purpose,
        change: impl FnOnce(&mut Judged),
    ) -> Result<Judged, Failure> {
        let beside = self.beside(basis, repository, &updates)?;
        let together = beside.objects.map(|folder| {
            let mut directories = objects.directories();
            directories.push(folder);
            Objects::open(objects.hash(), &directories).map_err(|error| Failure::new(error, "fetch again"))
        });
        let together = together.transpose()?;
        let tips = self.context.store.tips(&self.memory);
        let standing = &Remembered { memory: &self.memory, tips: &tips };
        let judge = Judge::new(
            (basis, self.context.now),
            (together.as_ref().unwrap_or(objects), &repository.references()),
            standing,
            shallow,
            Pushing::Nobody,
            &updates,
        )
        .with_approvals(&repository.references(), beside.approvals);
        let judge = match purpose {
            Purpose::Objects | Purpose::Present => judge,
            Purpose::Pushed | Purpose::Refs => {
                judge.counting(Moves { address: &self.context.transport.address, ledger: beside.ledger })
            }
        };
        let is_silent = matches!(purpose, Purpose::Present | Purpose::Pushed);
        let is_shown = self.options.progress && !is_silent;
        let mut judged = judge.part(updates, progress(is_shown, self.words, &mut io::sink()));
        change(&mut judged);
        if !is_silent {
            if !judged.refused.is_empty() {
                judge.tell(&judged.refused, false, self.words);
                let moved = judged.refused.iter().find(|(_, refused)| judge.move_of(refused).is_some());
                judged.moved = moved.map(|(name, _)| name.clone());
            }
            self.warn_of(&judged.warnings);
        }
        Ok(judged)
    }

    /// What the remote keeps of approvals and moves, where a rule of one of `updates` hears approvals.
    fn beside(
        &mut self,
        basis: &Basis,
        repository: &Repository,
        updates: &[Update],
    ) -> Result<Beside, Failure> {
        let hears = |update: &Update| match basis.policy.governing(&update.reference) {
            Governing::Rule(rule) => rule.vouching.hears_approvals(),
            _ => false,
        };
        if !updates.iter().any(hears) {
            return Ok(Beside::default());
        }
        let is_same_hash = |tip: &ObjectId| tip.kind() == repository.hash();
        let mut beside = Beside::default();
        if let Some(tip) = self.beside.get(APPROVALS).copied().filter(is_same_hash) {
            self.kept_in(tip, "approvals")?;
            (beside.approvals, beside.objects) = (Some(tip), Some(self.kept(tip)?.join("objects")));
        }
        if let Some(head) = self.beside.get(LEDGER).copied().filter(is_same_hash) {
            beside.ledger = Some((self.kept_in(head, "ledger")?, head));
        }
        Ok(beside)
    }

    /// By what a refusal is remembered that other approvals of the remote could change.
    pub(super) fn digest_with_approvals(&self, basis: &Basis) -> [u8; 32] {
        let tip = self.beside.get(APPROVALS).map_or_else(|| "none".to_owned(), ToString::to_string);
        sha256(&[&basis.digest, tip.as_bytes()])
    }

    /// Write down what was judged, if what it was judged by still stands; and what was only `glimpsed`.
    fn remember(&mut self, basis: &Basis, judged: &Judged, glimpsed: &[Update]) -> Result<(), Failure> {
        let tips = self.context.store.tips(&self.memory);
        let key = self.key().to_owned();
        let with_approvals = self.digest_with_approvals(basis);
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
            for (update, value) in glimpsed.iter().filter_map(|update| Some((update, update.wanted?))) {
                memory.glimpse(&update.reference.clone().into(), value);
            }
            for (name, refused) in &judged.refused {
                let words = refused.refusals.first().map(ToString::to_string).unwrap_or_default();
                // The ref is named wherever they are told.
                let words =
                    words.strip_prefix(&format!("{}: ", escape_bytes(name))).unwrap_or(&words).to_owned();
                let digest = match refused {
                    refused if refused.is_unseen => BY_CUT,
                    refused if refused.lacks_approvals() => with_approvals,
                    _ => basis.digest,
                };
                let held = Held { value: refused.update.wanted, digest, words };
                memory.held.insert(name.clone(), held);
            }
            Ok(())
        };
        self.memory =
            self.context.store.update(self.key(), change).map_err(|error| self.forgettable(error))?;
        if let Err(error) = tips.note(&judged.begun, &judged.tips) {
            self.warn(format_args!("what was accepted cannot be noted: {error}"));
        }
        Ok(())
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
fn refusal(refused: &BTreeMap<BString, RefusedRef>, address: &Address) -> Option<Failure> {
    let names: Vec<String> = refused.keys().take(3).map(|name| format!("'{}'", escape_bytes(name))).collect();
    let more = refused.len() - names.len();
    let names = names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() };
    (!refused.is_empty()).then(|| {
        Failure::new(
            format!("nothing was taken: the policy refuses {names} of '{address}'"),
            "fetch again to take the rest, with these held at what was accepted last",
        )
        .hint("tell whoever keeps the remote; 'countersign remote status' shows what is held")
    })
}
