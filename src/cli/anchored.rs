//! Anchors where git asks: it tells content and signature, and not which object they are from.
//!
//! The object is put together again as git would have made it. What covers that object shows that its very
//! content and signature were there, whatever object git had them from.

use std::cell::Cell;

use super::{
    World,
    settings::{self, Standing, Trust},
};
use crate::{
    object::{ObjectId, assemble, object_id},
    policy::{Covered, Policy, Receipt},
    repository::Coverage,
};

/// How a signer stands by `judge`, for an object that git asks about. A whole history may have to be walked to
/// tell what an anchor covers, so it is only done where the answer hangs on an anchor that is old enough: one
/// can save what would not count, and refuse what would.
pub(super) fn standing(
    world: &World<'_>,
    trust: &Trust,
    payload: &[u8],
    signature: &[u8],
    judge: impl Fn(&Receipt<'_>) -> Standing,
) -> Standing {
    let anchors = trust.policy.as_ref().map(Policy::anchors).unwrap_or_default();
    let is_asked = Cell::new(false);
    let uncovered = |moment| {
        is_asked.set(is_asked.get() || anchors.iter().any(|anchor| anchor.received <= moment));
        Covered::No
    };
    let without = judge(&Receipt { now: world.now, covered: &uncovered });
    if !is_asked.get() {
        return without;
    }
    let Some((id, coverage)) = coverage(world, trust, payload, signature) else { return without };
    let covered = |moment| Covered::from(coverage.covers(id, moment));
    judge(&Receipt { now: world.now, covered: &covered })
}

/// The object, and what anchors cover in the repository at hand; `None` where either cannot be told.
fn coverage(
    world: &World<'_>,
    trust: &Trust,
    payload: &[u8],
    signature: &[u8],
) -> Option<(ObjectId, Coverage)> {
    let repository = settings::repository(world, None).ok()?;
    let (kind, object) = assemble(repository.hash(), payload, signature)?;
    let id = object_id(repository.hash(), kind, &object)?;
    let objects = repository.objects().ok()?;
    let shallow = repository.shallow(None).ok()?;
    Some((id, trust.coverage(&objects, shallow)))
}
