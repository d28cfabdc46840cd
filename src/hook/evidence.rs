//! The evidence about objects that a push adds, gathered on all cores.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use gix::objs::Kind;
use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};

use super::{Gate, Verdicts, answers::FEW};
use crate::{
    object::{Commit, ObjectId, Tag},
    policy::{Cause, Evidence},
    repository::{ObjectReader, Objects, Proofs},
    verify::Verifier,
};

/// What is known of each object; or why nothing can be.
pub(super) type Known = HashMap<ObjectId, Result<Evidence, Cause>>;

/// How many objects at least one reader reads in a row.
pub(super) const TOGETHER: usize = 64;

/// What is looked at when evidence is gathered.
pub(super) struct Gathering<'g> {
    pub(super) objects: &'g Objects,
    pub(super) now: i64,
    pub(super) is_over: &'g (dyn Fn() -> bool + Sync),
    verifier: &'g Verifier,
    proofs: &'g Proofs,
    verdicts: Option<&'g Verdicts>,
    done: &'g AtomicUsize,
}

impl<'g> Gathering<'g> {
    /// For `gate`, counting in `done` what is known.
    pub(super) fn new(gate: &Gate<'g>, done: &'g AtomicUsize) -> Self {
        let &Gate { objects, verifier, proofs, now, pace, .. } = gate;
        Self { objects, verifier, proofs, now, is_over: pace.is_over, verdicts: pace.verdicts, done }
    }

    /// Whether anything is remembered from earlier.
    pub(super) fn remembers(&self) -> bool {
        self.verdicts.is_some()
    }

    /// What is remembered of `ids`.
    pub(super) fn recall(&self, ids: &[ObjectId]) -> Known {
        let known = self.verdicts.map(|verdicts| verdicts.recall(ids, self.now)).unwrap_or_default();
        self.done.fetch_add(known.len(), Ordering::Relaxed);
        known
    }

    /// Gather the evidence about `ids`, each of them once. What there was no time for is not there.
    pub(super) fn gather(&self, ids: &[ObjectId]) -> Known {
        let one = |reader: &mut ObjectReader, id: &ObjectId| {
            if (self.is_over)() {
                return None;
            }
            let evidence = self.evidence(reader, *id);
            self.done.fetch_add(1, Ordering::Relaxed);
            Some((*id, evidence))
        };
        let judged: Known = if ids.len() <= FEW {
            let mut reader = self.objects.reader();
            ids.iter().filter_map(|id| one(&mut reader, id)).collect()
        } else {
            // Each reader begins with nothing in its memory.
            let each = ids.par_iter().with_min_len(TOGETHER);
            each.map_init(|| self.objects.reader(), one).flatten().collect()
        };
        if let Some(verdicts) = self.verdicts {
            verdicts.learn(&judged);
        }
        judged
    }

    fn evidence(&self, reader: &ObjectReader, id: ObjectId) -> Result<Evidence, Cause> {
        let object = reader.read(id).map_err(|error| Cause::Unexpected(error.to_string()))?;
        let signed = match object.kind {
            Kind::Commit => Commit::parse(reader.hash(), &object.bytes).map(|commit| commit.signed),
            Kind::Tag => Tag::parse(reader.hash(), &object.bytes).map(|tag| tag.signed),
            kind => return Err(Cause::Unexpected(format!("the object '{id}' is a {kind}"))),
        };
        Ok(match signed {
            Err(cause) => Evidence::Malformed(cause),
            Ok(signed) => self
                .verifier
                .verify_signed(&signed, self.now, &|id| self.proofs.of(reader, id))
                .map_or(Evidence::Unsigned, Evidence::Signed),
        })
    }
}
