//! How much is kept of what was dropped. Every hook reads it, and whoever pushes chooses how much it is: a push of
//! very many refs that is accepted and then comes to nothing costs its pusher little.

use super::{Entry, folder::Held};
use crate::object::HashKind;

/// The most that is kept, in bytes; of more than that the newest. Whoever dropped what is not kept cannot have been
/// mistaken without 'countersign ledger verify' telling of it: the refs were moved without an entry then.
const MAXIMUM_BYTES: usize = 8 * 1024 * 1024;

/// About how many bytes `entries` take.
fn bytes(entries: &[Entry]) -> usize {
    let ids = 2 * HashKind::Sha1.len_in_hex() + 3;
    entries.iter().map(|entry| ids + entry.reference.len()).sum()
}

/// Whether `entries` are more than is kept at all.
pub(super) fn is_too_much(entries: &[Entry]) -> bool {
    bytes(entries) > MAXIMUM_BYTES
}

/// Those of `held`, the oldest first, that were dropped and need not be kept any more: older than `maximum_age` at
/// `now`, in seconds, or more than is kept.
pub(super) fn outdated(held: &[Held], now: i64, maximum_age: i64) -> impl Iterator<Item = &Held> {
    let mut kept = 0;
    held.iter().rev().filter(|held| held.is_dropped).filter(move |held| {
        kept += bytes(&held.intent.entries);
        kept > MAXIMUM_BYTES || (now - held.intent.acceptance.received).abs() > maximum_age
    })
}
