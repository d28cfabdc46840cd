//! Entries of the log that a repository keeps, and a push that adds some.
//!
//! What a push brings for `refs/countersign/proofs` is used for the very same push: an entry counts for the
//! object that it is about, or for none, whoever has brought it. Where a rule lets the ref be pushed to, an
//! update may add entries that prove something of objects that are here, and do nothing else.

use gix::objs::Kind;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{Update, gate::Gate};
use crate::{
    object::{Commit, ObjectId, Tag},
    policy::{Cause, ProofFault},
    repository::{
        ObjectReader, Objects, PROOFS, ProofChange, ProofName, Proofs, References, proof_changes, read_blob,
    },
    verify::{ProofError, Verifier},
};

/// How many faults of one update are told.
const MAXIMUM_TOLD: usize = 16;

/// The answers of logs that a repository keeps, and those that `updates` would have it keep.
#[must_use]
pub fn kept(objects: &Objects, references: &References, updates: &[Update]) -> Proofs {
    let own = references.read(PROOFS.into()).ok().and_then(|value| value.id);
    let pushed = updates.iter().filter(|update| update.reference == PROOFS.as_bytes());
    let tips: Vec<ObjectId> = own.into_iter().chain(pushed.filter_map(|update| update.wanted)).collect();
    Proofs::open(&objects.reader(), &tips)
}

/// What is wrong with an update of the ref, at most a few causes.
pub(super) fn faults(gate: &Gate<'_>, reader: &ObjectReader, update: &Update) -> Vec<Cause> {
    let Some(wanted) = update.wanted else { return Vec::new() };
    let changes = match proof_changes(reader, update.claimed, wanted) {
        Ok(Some(changes)) => changes,
        Ok(None) => return vec![Cause::Proof(ProofFault::TooMany)],
        Err(error) => return vec![Cause::Unexpected(error.to_string())],
    };
    let mut faults = Vec::new();
    let mut added = Vec::new();
    for change in changes {
        match change {
            ProofChange::Added(name) => added.push(name),
            ProofChange::Removed(path) => faults.push(ProofFault::Removed(path.into())),
            ProofChange::Strange(path) => faults.push(ProofFault::Strange(path.into())),
        }
    }
    if faults.is_empty() {
        let &Gate { verifier, objects, now, .. } = gate;
        let judge = |reader: &mut ObjectReader, name: &ProofName| check(reader, verifier, now, *name).err();
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
