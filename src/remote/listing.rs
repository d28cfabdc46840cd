//! Which refs git hears of: those that may be taken, and the held ones at what was accepted last.
//!
//! git moves a ref without asking for objects where it has them already (fetch-pack's "quickfetch"), so
//! whatever could be taken that way is judged before it is listed.

use std::collections::{BTreeMap, HashMap};

use gix::bstr::{BString, ByteSlice as _};

use super::{
    Advertisement, Basis, Head, Held, Memory,
    ledger::Strange,
    session::Session,
    taking::{Scene, reach},
};
use crate::{
    hook::Update,
    object::ObjectId,
    policy::{Governing, Permission},
    repository::{Objects, Repository},
    words::{Failure, counted, escape_bytes},
};

/// In the place of what a value was judged by, where it is held by the remote's own ledger: it is looked at
/// each time.
const BY_LEDGER: [u8; 32] = [0; 32];

/// The same, where it is held only because a history is cut off: a whole clone judges it itself.
pub(super) const BY_CUT: [u8; 32] = [1; 32];

/// How many refs are named in a line about several.
const MAXIMUM_NAMED: usize = 3;

/// Refs by what git may hear of them.
#[derive(Default)]
struct Sorted {
    /// What git hears.
    listed: HashMap<BString, ObjectId>,
    /// What was refused before; git hears what was accepted last.
    held: Vec<BString>,
    /// What may go, and is gone.
    gone: Vec<BString>,
    /// What git could take without asking.
    to_judge: Vec<Update>,
    /// What no rule governs, so that it is taken, although the remote's ledger does not know it.
    free: Vec<BString>,
    /// How many refs git does not hear of.
    left_out: usize,
}

impl Sorted {
    fn list(&mut self, name: &BString, value: Option<ObjectId>) {
        self.listed.extend(value.map(|value| (name.clone(), value)));
    }
}

impl Session<'_> {
    /// The value of each ref that git may hear of.
    pub(super) fn choose(
        &mut self,
        basis: &Basis,
        advertised: &Advertisement,
    ) -> Result<HashMap<BString, ObjectId>, Failure> {
        self.see(basis, advertised)?;
        let strange = self.hold_against_ledger(basis, advertised)?;
        let is_same_hash =
            |repository: &Repository| advertised.hash().is_none_or(|hash| hash == repository.hash());
        let repository = self.repository()?.filter(is_same_hash);
        let objects = repository.as_ref().map(|repository| self.objects(repository, None)).transpose()?;
        let reader = objects.as_ref().map(Objects::reader);
        let has = |id: ObjectId| reader.as_ref().is_some_and(|reader| reader.kind(id).is_ok());
        let mut judged_by = vec![basis.digest, self.digest_with_approvals(basis)];
        let is_whole = match &repository {
            Some(repository) => reach(repository)?.is_whole,
            None => true,
        };
        if !is_whole || !self.options.deepening.arguments().is_empty() {
            judged_by.push(BY_CUT);
        }

        // Judging takes its time, and what was not here may have come meanwhile.
        let mut has_looked = false;
        loop {
            let sorted = self.sort((basis, &judged_by), advertised, &strange, &has);
            if let Some((repository, objects)) = repository.as_ref().zip(objects.as_ref())
                && sorted.to_judge.is_empty()
                && !std::mem::replace(&mut has_looked, true)
                && self.look_at_present(basis, repository, objects, &sorted.held)?
            {
                continue;
            }
            let Some((repository, objects)) =
                repository.as_ref().zip(objects.as_ref()).filter(|_| !sorted.to_judge.is_empty())
            else {
                if sorted.left_out > 0 && (self.options.verbosity > 1 || sorted.listed.is_empty()) {
                    let left_out = counted(sorted.left_out, "ref");
                    let _ = writeln!(self.words, "note: {left_out} left out that no rule allows");
                }
                self.tell_free(&sorted.free);
                self.tidy(&sorted, advertised, &strange)?;
                self.tell_held(&sorted, advertised)?;
                if sorted.listed.is_empty() && !sorted.held.is_empty() {
                    return Err(Failure::new(
                        format!("nothing that '{}' has is accepted", self.context.transport.address),
                        "tell whoever keeps the remote; 'countersign remote status' shows what is held",
                    ));
                }
                return Ok(sorted.listed);
            };
            let reach = reach(repository)?;
            self.take(Scene { basis, repository, objects }, sorted.to_judge, reach, |_| ())?;
        }
    }

    /// Sort refs by what git may hear of them. What was refused before by one of `judged_by` is held.
    fn sort(
        &self,
        (basis, judged_by): (&Basis, &[[u8; 32]]),
        advertised: &Advertisement,
        strange: &BTreeMap<BString, Strange>,
        has: &dyn Fn(ObjectId) -> bool,
    ) -> Sorted {
        let mut sorted = Sorted { left_out: advertised.invalid.len(), ..Sorted::default() };
        let gone = self.memory.accepted.keys().filter(|name| !advertised.refs.contains_key(*name));
        let values = advertised.refs.iter().map(|(name, id)| (name, Some(*id)));
        for (name, value) in values.chain(gone.map(|name| (name, None))) {
            let accepted = self.memory.accepted.get(name).copied();
            match basis.policy.governing(name) {
                Governing::Accepted => {
                    let strange = strange.get(name);
                    if strange.is_none_or(|strange| strange.entered.is_none()) {
                        sorted.list(name, value);
                        sorted.free.extend(strange.map(|_| name.clone()));
                    }
                    continue;
                }
                Governing::Refused | Governing::Reserved => {
                    sorted.left_out += usize::from(value.is_some());
                    continue;
                }
                // A ref that may go is gone, and so is one of which nothing is here.
                Governing::Rule(rule) if value.is_none() => {
                    let is_strange = strange.contains_key(name);
                    if rule.permissions.delete == Permission::Allow && !is_strange {
                        sorted.gone.push(name.clone());
                        continue;
                    }
                    if !accepted.is_some_and(has) {
                        // What is not here cannot be had any more, but it is told.
                        sorted.held.extend(is_strange.then(|| name.clone()));
                        continue;
                    }
                }
                Governing::Rule(_) => {}
            }
            let held = self.memory.held.get(name);
            let last = accepted.or_else(|| self.present.get(name).copied());
            let last = last.or_else(|| self.memory.glimpsed_last(name.as_bstr()).filter(|id| has(*id)));
            if strange.contains_key(name) {
                sorted.list(name, last);
                sorted.held.push(name.clone());
            } else if value == accepted || self.vouched.get(name) == Some(&value) {
                sorted.list(name, value);
            } else if held.is_some_and(|held| held.value == value && judged_by.contains(&held.digest)) {
                sorted.list(name, last);
                sorted.held.push(name.clone());
            } else if value.is_none_or(has) {
                let reference = name.to_vec();
                sorted.to_judge.push(Update { claimed: accepted, wanted: value, reference });
            } else {
                sorted.list(name, value);
            }
        }
        // Nothing is remembered of what no rule governs; what its gate has let in last is said by the ledger.
        for (name, Strange { entered, .. }) in strange {
            if let Some(entered) = entered
                && matches!(basis.policy.governing(name), Governing::Accepted)
            {
                sorted.list(name, entered.filter(|id| has(*id)));
                sorted.held.push(name.clone());
            }
        }
        sorted
    }

    /// Take out of the memory what is over: refs that are gone with leave, and refusals of what the remote
    /// does not say any more.
    fn tidy(
        &mut self,
        sorted: &Sorted,
        advertised: &Advertisement,
        strange: &BTreeMap<BString, Strange>,
    ) -> Result<(), Failure> {
        let held = self.memory.held.iter();
        let is_over = |(name, held): &(&BString, &Held)| {
            let value = advertised.refs.get(*name).copied();
            let is_as_accepted = value == self.memory.accepted.get(*name).copied();
            let is_as_glimpsed = value.is_some() && value == self.memory.glimpsed_last(name.as_bstr());
            !strange.contains_key(*name)
                && (is_as_accepted || held.digest == BY_LEDGER || (held.digest == BY_CUT && is_as_glimpsed))
        };
        let over = held.filter(is_over).map(|(name, _)| name);
        let over: Vec<BString> = over.chain(&sorted.gone).cloned().collect();
        let by_ledger = sorted.held.iter().filter_map(|name| {
            let (value, words) = (advertised.refs.get(name).copied(), strange.get(name)?.words.clone());
            Some((name.clone(), Held { value, digest: BY_LEDGER, words }))
        });
        let new: Vec<(BString, Held)> =
            by_ledger.filter(|(name, held)| self.memory.held.get(name) != Some(held)).collect();
        if over.is_empty() && new.is_empty() {
            return Ok(());
        }
        let before = self.memory.accepted.clone();
        let change = |memory: &mut Memory| {
            for name in &over {
                memory.held.remove(name);
                // Unless somebody has accepted another value in the meantime.
                if sorted.gone.contains(name) && memory.accepted.get(name) == before.get(name) {
                    memory.accepted.remove(name);
                }
            }
            memory.held.extend(new);
            Ok(())
        };
        self.memory =
            self.context.store.update(self.key(), change).map_err(|error| self.forgettable(error))?;
        Ok(())
    }

    /// One line for each ref that is held.
    fn tell_held(&mut self, sorted: &Sorted, advertised: &Advertisement) -> Result<(), Failure> {
        let held = &sorted.held;
        for name in held {
            let short = |id: Option<&ObjectId>| {
                id.map_or_else(|| "nothing".to_owned(), |id| id.to_hex_with_len(12).to_string())
            };
            let here = sorted.listed.get(name).or_else(|| self.memory.accepted.get(name));
            let (here, there) = (short(here), short(advertised.refs.get(name)));
            let why = self.memory.held.get(name).map_or("", |held| held.words.as_str());
            let name = escape_bytes(name);
            let why = why.to_owned();
            self.warn(format_args!("'{name}' is held at {here}, the remote says {there}: {why}"));
        }
        if !held.is_empty() && self.context.held_fails {
            return Err(Failure::new(
                format!(
                    "{} of '{}' held, and 'countersign.held' is 'fail'",
                    counted(held.len(), "ref"),
                    self.context.transport.address
                ),
                "run 'countersign remote status' to see what is refused and why",
            ));
        }
        Ok(())
    }

    /// One line for all refs that are taken by no rule although the remote's ledger does not know them.
    fn tell_free(&mut self, free: &[BString]) {
        if free.is_empty() {
            return;
        }
        let names: Vec<String> =
            free.iter().take(MAXIMUM_NAMED).map(|name| format!("'{}'", escape_bytes(name))).collect();
        let more = match free.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.warn(format_args!(
            "not what the remote's ledger says, and taken because no rule governs it: {}{more}",
            names.join(", ")
        ));
    }

    /// At first sight of a remote its refs are merely there; those that come later were created. What its `HEAD` is
    /// then stays that: whatever is asked for by no ref is judged by the rule of that branch.
    fn see(&mut self, basis: &Basis, advertised: &Advertisement) -> Result<(), Failure> {
        if advertised.refs.is_empty() {
            return Ok(());
        }
        let is_branch = |name: &&BString| {
            name.starts_with(b"refs/heads/") && matches!(basis.policy.governing(name), Governing::Rule(_))
        };
        let head = match &advertised.head {
            Some(Head::Symbolic(target)) => Some(target).filter(|name| advertised.refs.contains_key(*name)),
            Some(Head::Detached(id)) => {
                let mut named = advertised.refs.iter().filter(|(_, value)| *value == id);
                named.find_map(|(name, _)| is_branch(&name).then_some(name))
            }
            None => None,
        };
        let head = head.filter(is_branch).filter(|_| self.memory.head.is_none());
        if self.memory.is_known && head.is_none() {
            return Ok(());
        }
        let seen = |memory: &mut Memory| {
            memory.head = memory.head.take().or_else(|| head.cloned());
            if !memory.is_known {
                memory.is_known = true;
                let accepted = &memory.accepted;
                let names = advertised.refs.keys().filter(|name| !accepted.contains_key(*name));
                memory.seen = names.cloned().collect();
            }
            Ok(())
        };
        self.memory = self.context.store.update(self.key(), seen).map_err(|error| self.forgettable(error))?;
        Ok(())
    }
}
