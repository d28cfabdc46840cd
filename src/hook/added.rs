//! Refs that only ever grow, by entries that are named after what they are about: what a push adds to one.

use gix::bstr::BStr;

use super::{Update, pace::OUT_OF_TIME};
use crate::{
    object::ObjectId,
    policy::Cause,
    repository::{ObjectReader, ProofChange, ProofName, References, proof_changes},
    words::escape,
};

/// The commits of the ref `name` whose entries count for a push: what it holds, and what the push would have it
/// hold by the first of its updates. git carries out no other one, and each would be looked through for each object.
pub(super) fn tips(references: &References, name: &str, updates: &[Update]) -> Vec<ObjectId> {
    let own = references.read(BStr::new(name)).ok().and_then(|value| value.id);
    let pushed = updates.iter().find(|update| update.reference == name.as_bytes());
    own.into_iter().chain(pushed.and_then(|update| update.wanted)).collect()
}

/// Why not all that the ref `name` keeps is used, in words. Less is proven then, never more.
#[must_use]
pub fn not_used(name: &str, reasons: &[String]) -> String {
    let warning = |reason: &String| format!("warning: what '{name}' keeps is not used: {}\n", escape(reason));
    let mut words: String = reasons.iter().map(warning).collect();
    if !words.is_empty() {
        words += &format!("hint: have whoever keeps the repository look at '{name}' with 'git fsck'\n");
    }
    words
}

/// The entries that `update` adds, and what else it does: what it takes away or changes by `removed`, what it
/// adds that is no entry under its own name by `strange`, and folders that it makes too large by `full`. Whether the
/// ref may be deleted is for its rule to say.
///
/// # Errors
/// It adds more than is judged at once (`too_many`), cannot be read, or there is no time left for it.
pub(super) fn added<F>(
    is_over: &dyn Fn() -> bool,
    reader: &ObjectReader,
    update: &Update,
    too_many: Cause,
    removed: fn(Vec<u8>) -> F,
    strange: fn(Vec<u8>) -> F,
    full: fn(Vec<u8>) -> F,
) -> Result<(Vec<ProofName>, Vec<F>), Cause> {
    let (mut names, mut faults) = (Vec::new(), Vec::new());
    let Some(wanted) = update.wanted else { return Ok((names, faults)) };
    let changes = proof_changes(reader, update.claimed, wanted, &|| !is_over());
    let changes = changes.map_err(|error| Cause::Unexpected(error.to_string()))?;
    let unread = || if is_over() { OUT_OF_TIME } else { too_many };
    for change in changes.ok_or_else(unread)? {
        match change {
            ProofChange::Added(name) => names.push(name),
            ProofChange::Removed(path) => faults.push(removed(path.into())),
            ProofChange::Strange(path) => faults.push(strange(path.into())),
            ProofChange::Full(path) => faults.push(full(path.into())),
        }
    }
    Ok((names, faults))
}
