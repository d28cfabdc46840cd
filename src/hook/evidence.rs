//! The evidence about every object that a push adds, gathered once each and on all cores.

use std::{
    collections::HashMap,
    io::Write,
    sync::atomic::{AtomicUsize, Ordering},
};

use gix::objs::Kind;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{Gate, Pace};
use crate::{
    object::{Commit, ObjectId, Tag},
    policy::{Cause, Evidence},
    repository::{ObjectReader, Proofs},
    verify::Verifier,
};

/// What is known of each object; or why nothing can be.
pub(super) type Known = HashMap<ObjectId, Result<Evidence, Cause>>;

/// Gather the evidence about `ids` for `gate`, telling `progress` when it takes long. What there was no time for
/// is not there.
pub(super) fn gather(gate: &Gate<'_>, ids: &[ObjectId], progress: &mut dyn Write) -> Known {
    let &Gate { objects, verifier, proofs, now, .. } = gate;
    let Pace { is_over, verdicts, .. } = gate.pace;
    let mut known = verdicts.map(|verdicts| verdicts.recall(ids, now)).unwrap_or_default();
    let recalled = known.len();
    let left: Vec<ObjectId> = ids.iter().copied().filter(|id| !known.contains_key(id)).collect();
    let done = AtomicUsize::new(recalled);
    let work = || -> Known {
        let known = left.par_iter().map_init(
            || objects.reader(),
            |reader, id| {
                if is_over() {
                    return None;
                }
                let evidence = evidence(reader, verifier, proofs, now, *id);
                done.fetch_add(1, Ordering::Relaxed);
                Some((*id, evidence))
            },
        );
        known.flatten().collect()
    };
    let words = || format!("judged {} of {} objects", done.load(Ordering::Relaxed), ids.len());
    let judged = gate.pace.told(progress, &words, work);
    if let Some(verdicts) = verdicts {
        verdicts.learn(&judged);
    }
    known.extend(judged);
    known
}

fn evidence(
    reader: &ObjectReader,
    verifier: &Verifier,
    proofs: &Proofs,
    now: i64,
    id: ObjectId,
) -> Result<Evidence, Cause> {
    let object = reader.read(id).map_err(|error| Cause::Unexpected(error.to_string()))?;
    let signed = match object.kind {
        Kind::Commit => Commit::parse(reader.hash(), &object.bytes).map(|commit| commit.signed),
        Kind::Tag => Tag::parse(reader.hash(), &object.bytes).map(|tag| tag.signed),
        kind => return Err(Cause::Unexpected(format!("the object '{id}' is a {kind}"))),
    };
    Ok(match signed {
        Err(cause) => Evidence::Malformed(cause),
        Ok(signed) => verifier
            .verify_signed(&signed, now, &|id| proofs.of(reader, id))
            .map_or(Evidence::Unsigned, Evidence::Signed),
    })
}
