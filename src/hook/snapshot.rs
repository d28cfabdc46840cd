//! What decides about one push, read once: the policy with all that it names, from a file or from its ref.

use gix::bstr::ByteSlice as _;

use super::{
    Context, Pace, PolicyMemory, PolicyPlace, Update,
    finding::Finding,
    pace::TimeIsOver,
    policy_ref::{self, PolicyRef},
    standing::Standing,
};
use crate::{
    object::ObjectId,
    policy::Cause,
    repository::{ObjectReader, References, Repository},
    sigstore::trusted_root::Instance,
    trust::{ChainError, Pin, Pinned, Trust},
    words::Failure,
};

/// What decides about one push.
pub(super) struct Snapshot {
    pub(super) trust: Trust,
    pub(super) instances: Vec<Instance>,
    /// The commit of a policy that is kept in a ref.
    pub(super) commit: Option<ObjectId>,
    /// Where the policy was found the time before.
    seen: Option<ObjectId>,
}

/// Why there is none.
pub(super) enum SnapshotError {
    /// Something of it is missing or cannot be used.
    Failed(Failure),
    /// The time was over when so many steps of the policy's history were judged, of so many.
    OutOfTime { judged: usize, of: usize },
}

impl<F: Into<Failure>> From<F> for SnapshotError {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

fn source<'a>(context: &'a Context, pin: &'a Pin, go_on: &'a dyn Fn(usize, usize) -> bool) -> PolicyRef<'a> {
    PolicyRef { pin, trusted_roots: &context.trusted_roots, now: context.now, go_on }
}

impl Snapshot {
    /// Read what decides now, for as long as `pace` lets. How far it came until then along the policy's history is
    /// noted: what follows need not be judged another time.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub(super) fn read(
        context: &Context,
        repository: &Repository,
        references: &References,
        pace: &Pace<'_>,
        words: &mut String,
    ) -> Result<Self, SnapshotError> {
        match &context.policy {
            PolicyPlace::File(policy) => {
                let mut trust = Trust::load(&Pinned {
                    policy,
                    trusted_roots: &context.trusted_roots,
                    openpgp_certificates: &context.openpgp_certificates,
                    certificate_authorities: &context.certificate_authorities,
                })?;
                let instances = trust.take_instances()?;
                Ok(Self { trust, instances, commit: None, seen: None })
            }
            PolicyPlace::Reference(pin) => {
                let go_on = |judged, of| pace.follows(judged, of);
                let source = source(context, pin, &go_on);
                let memory = PolicyMemory::new(&context.state);
                let seen = memory.recall(pin)?;
                // What the push brings has no part in it: only the repository's own objects are looked at.
                let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
                let followed = match source.read(&objects.reader(), references, seen) {
                    Err(ChainError::Stopped { reached, judged, of }) => {
                        if let Some(reached) = reached.filter(|_| judged > 0) {
                            policy_ref::remember(&memory, pin, seen, reached, words);
                        }
                        let of = if judged > 0 { of } else { 0 };
                        return Err(SnapshotError::OutOfTime { judged, of });
                    }
                    followed => followed?,
                };
                let commit = followed.commit();
                let mut trust = followed.into_trust();
                let instances = source.take_instances(&mut trust)?;
                Ok(Self { trust, instances, commit: Some(commit), seen })
            }
        }
    }

    /// Judge what the updates would do to the ref of the policy, under whatever name they speak of it: besides
    /// what the rule for that ref says, and whatever it says.
    ///
    /// # Errors
    /// There was not enough time for it.
    pub(super) fn judge_changes(
        &self,
        context: &Context,
        reader: &ObjectReader,
        server: &dyn Standing,
        updates: &[Update],
        pace: &Pace<'_>,
        finding: &mut Finding,
    ) -> Result<(), TimeIsOver> {
        let (PolicyPlace::Reference(pin), Some(present)) = (&context.policy, self.commit) else {
            return Ok(());
        };
        let go_on = |judged, of| pace.follows(judged, of);
        let source = source(context, pin, &go_on);
        let name = pin.reference.as_bytes();
        for update in updates {
            if (pace.is_over)() {
                return Err(TimeIsOver);
            }
            let names = server.value(update.reference.as_bstr()).map(|value| value.names);
            // A name that cannot be read has been refused already.
            if !names.is_ok_and(|names| names.iter().any(|found| *found == name)) {
                continue;
            }
            match source.judge_change(reader, present, update.wanted) {
                Err(Cause::OutOfTime { .. }) => return Err(TimeIsOver),
                judged => finding.take_policy_change(name, judged),
            }
        }
        Ok(())
    }

    /// Note where the policy was found, if that is news.
    pub(super) fn remember(&self, context: &Context, words: &mut String) {
        if let (PolicyPlace::Reference(pin), Some(commit)) = (&context.policy, self.commit)
            && self.seen != Some(commit)
        {
            policy_ref::remember(&PolicyMemory::new(&context.state), pin, self.seen, commit, words);
        }
    }
}
