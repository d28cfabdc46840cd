//! Entries of the log that a repository keeps, and a push that adds some.
//!
//! What a push brings for `refs/countersign/proofs` is used for the very same push: an entry counts for the
//! object that it is about, or for none, whoever has brought it. Where a rule lets the ref be pushed to, an
//! update may add entries that prove something of objects that are here, and do nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};

use gix::objs::Kind;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{
    Pace, Update,
    added::{added, tips},
    gate::Gate,
};
use crate::{
    object::{Commit, Tag},
    policy::{Cause, ProofFault},
    repository::{
        MAXIMUM_PROOFS_OF_AN_OBJECT, ObjectReader, Objects, PROOFS, ProofName, Proofs, References, read_blob,
    },
    verify::{ProofError, Verifier},
};

/// How many faults of one update are told.
const MAXIMUM_TOLD: usize = 16;

/// The answers of logs that a repository keeps, and those that `updates` would have it keep.
#[must_use]
pub fn kept(objects: &Objects, references: &References, updates: &[Update]) -> Proofs {
    Proofs::open(&objects.reader(), &tips(references, PROOFS, updates))
}

/// What is wrong with an update of the ref, at most a few causes.
pub(super) fn faults(gate: &Gate<'_>, reader: &ObjectReader, update: &Update) -> Vec<Cause> {
    let (added, mut faults) = match added(
        gate.pace.is_over,
        reader,
        update,
        Cause::Proof(ProofFault::TooMany),
        ProofFault::Removed,
        ProofFault::Strange,
        ProofFault::Full,
    ) {
        Ok(changes) => changes,
        Err(cause) => return vec![cause],
    };
    // More than that of one object are never read, whenever they came, and each would have the object read and judged
    // again.
    let too_many = added.chunk_by(|one, other| one.object == other.object).filter_map(|of_one| {
        let object = of_one[0].object;
        let mut names = gate.proofs.names_of(reader, &object);
        names.extend(of_one);
        (names.len() > MAXIMUM_PROOFS_OF_AN_OBJECT).then_some(ProofFault::TooManyOfOne(object))
    });
    faults.extend(too_many.take(MAXIMUM_TOLD));
    if faults.is_empty() {
        let &Gate { verifier, objects, now, pace: Pace { is_over, .. }, .. } = gate;
        // Where the time is over, the whole push is refused for that.
        // Nor is more looked at than is told.
        let told = AtomicUsize::new(0);
        let judge = |reader: &mut ObjectReader, name: &ProofName| {
            if is_over() || told.load(Ordering::Relaxed) >= MAXIMUM_TOLD {
                return None;
            }
            let fault = check(reader, verifier, now, *name).err()?;
            told.fetch_add(1, Ordering::Relaxed);
            Some(fault)
        };
        faults = added.par_iter().map_init(|| objects.reader(), judge).flatten().collect();
    }
    faults.truncate(MAXIMUM_TOLD);
    faults.into_iter().map(Cause::Proof).collect()
}

fn check(reader: &ObjectReader, verifier: &Verifier, now: i64, name: ProofName) -> Result<(), ProofFault> {
    let ProofName { object: id, blob } = name;
    let refused = |cause| ProofFault::Refused { object: id, cause };
    let unreadable = |reason: String| ProofFault::Unreadable { object: id, reason };
    let object = reader.read(id).map_err(|_| ProofFault::NoObject(id))?;
    let signed = match object.kind {
        Kind::Commit => Commit::parse(reader.hash(), &object.bytes).map(|commit| commit.signed),
        Kind::Tag => Tag::parse(reader.hash(), &object.bytes).map(|tag| tag.signed),
        Kind::Tree | Kind::Blob => return Err(refused(ProofError::NotNeeded)),
    };
    let signed = signed.map_err(|error| unreadable(error.to_string()))?;
    let proof = read_blob(reader, blob).map_err(|error| unreadable(error.to_string()))?;
    verifier.check_proof(&signed, &proof, now).map(|_| ()).map_err(refused)
}
