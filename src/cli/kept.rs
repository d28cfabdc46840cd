//! Entries of the log that are kept in the repository at hand, where a verification finds them offline.

use super::{World, settings};
use crate::{
    hook::not_used,
    object::{Commit, ObjectId, Payload, Signed, Tag, assemble},
    repository::{ObjectReader, PROOFS, Proofs, Repository},
    verify::{Verdict, Verifier},
};

/// What to do about a signature whose time is not proven.
pub(super) const FETCH_HINT: &str = "run 'countersign proof fetch' to look for its entry in the log, once; it is kept in 'refs/countersign/proofs'";

/// What `repository` keeps, and why not all of it can be read.
pub(super) fn proofs(repository: &Repository, reader: &ObjectReader) -> (Proofs, Vec<String>) {
    let tip = match repository.references().read(PROOFS.into()) {
        Ok(value) => value.id,
        Err(error) => return (Proofs::default(), vec![error.to_string()]),
    };
    let proofs = Proofs::open(reader, &tip.into_iter().collect::<Vec<ObjectId>>());
    let trouble = proofs.trouble();
    (proofs, trouble)
}

/// What is kept, for one thread.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) proofs: &'a Proofs,
    pub(super) reader: &'a ObjectReader,
}

impl Kept<'_> {
    /// Judge a signature with whatever is kept for it; `None` if there is none.
    pub(super) fn judge(&self, verifier: &Verifier, signed: &Signed<'_>, now: i64) -> Option<Verdict> {
        verifier.verify_signed(signed, now, &|id| self.proofs.of(self.reader, id))
    }
}

/// The words about what cannot be read.
pub(super) fn warning(trouble: &[String]) -> String {
    not_used(PROOFS, trouble)
}

/// Judge what git hands over, which is payload and signature without the object. Where its time is not
/// proven, the object is put together again as git would have made it, and looked for in the repository at
/// hand. What it proves it proves of these bytes, whatever object git had them from.
pub(super) fn judge(world: &World<'_>, verifier: &Verifier, payload: &[u8], signature: &[u8]) -> Verdict {
    let verdict = verifier.verify(&Payload::whole(payload), signature, world.now);
    if !matches!(verdict, Verdict::NotLogged(_) | Verdict::TimeNotProven(_)) {
        return verdict;
    }
    judge_assembled(world, verifier, payload, signature).unwrap_or(verdict)
}

fn judge_assembled(
    world: &World<'_>,
    verifier: &Verifier,
    payload: &[u8],
    signature: &[u8],
) -> Option<Verdict> {
    let repository = settings::repository(world, None).ok()?;
    let reader = repository.objects().ok()?.reader();
    let (proofs, _) = proofs(&repository, &reader);
    let (kind, object) = assemble(repository.hash(), payload, signature)?;
    let signed = match kind {
        gix::objs::Kind::Commit => Commit::parse(repository.hash(), &object).ok()?.signed,
        _ => Tag::parse(repository.hash(), &object).ok()?.signed,
    };
    Kept { proofs: &proofs, reader: &reader }.judge(verifier, &signed, world.now)
}
