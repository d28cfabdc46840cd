//! Anchors where git asks: it tells content and signature, and not which object they are from.
//!
//! The object is put together again as git would have made it. What covers that object shows that its very
//! content and signature were there, whatever object git had them from.

use super::{
    World,
    settings::{self, Standing, Trust},
};
use crate::{
    object::{ObjectId, assemble, object_id},
    policy::{Cause, Covered, Known, Lapse, Receipt},
    repository::Coverage,
};

/// How a signer stands by `judge`, for an object that git asks about. A whole history may have to be walked to
/// tell what an anchor covers, so it is only for whoever would not count otherwise.
pub(super) fn standing(
    world: &World<'_>,
    trust: &Trust,
    payload: &[u8],
    signature: &[u8],
    judge: impl Fn(&Receipt<'_>) -> Standing,
) -> Standing {
    let without = judge(&Receipt::without_anchors(world.now));
    let is_lapsed = match &without {
        Standing::Refused(cause) => may_be_anchored(cause),
        _ => false,
    };
    if !is_lapsed || trust.policy.as_ref().is_none_or(|policy| policy.anchors().is_empty()) {
        return without;
    }
    let Some((id, coverage)) = coverage(world, trust, payload, signature) else { return without };
    let covered = |moment| Covered::from(coverage.covers(id, moment));
    judge(&Receipt { now: world.now, covered: &covered })
}

/// Whether an anchor can help what is refused for `cause`.
fn may_be_anchored(cause: &Cause) -> bool {
    let Cause::Lapsed { lapse, .. } = cause else { return false };
    matches!(lapse, Lapse::Compromised(_) | Lapse::Over { known: Known::Received, .. })
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
