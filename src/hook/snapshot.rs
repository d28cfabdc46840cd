//! What decides about one push, read once: the policy with all that it names, from a file or from its ref.

use gix::bstr::ByteSlice as _;

use super::{
    Context, PolicyMemory, PolicyPlace, Update,
    gate::Finding,
    policy_ref::{self, PolicyRef},
};
use crate::{
    object::ObjectId,
    policy::{Cause, Refusal, Subject},
    repository::{ObjectReader, References, Repository},
    sigstore::trusted_root::Instance,
    trust::{Pin, Pinned, Trust},
    words::Failure,
};

/// What decides about one push.
pub(super) struct Snapshot {
    pub(super) trust: Trust,
    pub(super) instances: Vec<Instance>,
    /// The commit of a policy that is kept in a ref.
    pub(super) commit: Option<ObjectId>,
    /// Whether that commit was noted already.
    is_noted: bool,
}

fn source<'a>(context: &'a Context, pin: &'a Pin) -> PolicyRef<'a> {
    PolicyRef { pin, trusted_roots: &context.trusted_roots, now: context.now }
}

impl Snapshot {
    /// Read what decides now.
    ///
    /// # Errors
    /// Something of it is missing or cannot be used.
    pub(super) fn read(
        context: &Context,
        repository: &Repository,
        references: &References,
    ) -> Result<Self, Failure> {
        match &context.policy {
            PolicyPlace::File(policy) => {
                let mut trust = Trust::load(&Pinned {
                    policy,
                    trusted_roots: &context.trusted_roots,
                    openpgp_certificates: &context.openpgp_certificates,
                    certificate_authorities: &context.certificate_authorities,
                })?;
                let instances = trust.take_instances()?;
                Ok(Self { trust, instances, commit: None, is_noted: true })
            }
            PolicyPlace::Reference(pin) => {
                let source = source(context, pin);
                let seen = PolicyMemory::new(&context.state).recall(pin)?;
                // What the push brings has no part in it: only the repository's own objects are looked at.
                let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
                let followed = source.read(&objects.reader(), references, seen)?;
                let commit = followed.commit();
                let mut trust = followed.into_trust();
                let instances = source.take_instances(&mut trust)?;
                Ok(Self { trust, instances, commit: Some(commit), is_noted: seen == Some(commit) })
            }
        }
    }

    /// Judge what the updates would do to the ref of the policy, under whatever name they speak of it: besides
    /// what the rule for that ref says, and whatever it says.
    pub(super) fn judge_changes(
        &self,
        context: &Context,
        reader: &ObjectReader,
        references: &References,
        updates: &[Update],
        finding: &mut Finding,
    ) {
        let (PolicyPlace::Reference(pin), Some(present)) = (&context.policy, self.commit) else { return };
        let source = source(context, pin);
        let name = pin.reference.as_bytes();
        for update in updates {
            let names = references.read(update.reference.as_bstr()).map(|value| value.names);
            // A name that cannot be read has been refused already.
            if !names.is_ok_and(|names| names.iter().any(|found| *found == name)) {
                continue;
            }
            // Step by step, and by what each commit carries, is how persons are counted here.
            let is_other = |refusal: &Refusal| {
                refusal.reference != name || !matches!(refusal.cause, Cause::Threshold(_))
            };
            finding.refusals.retain(is_other);
            finding.warnings.retain(is_other);
            if let Err(cause) = source.judge_change(reader, present, update.wanted) {
                let subject = Subject::Reference;
                finding.refusals.push(Refusal { reference: name.to_vec(), subject, rule: None, cause });
            }
        }
    }

    /// Note where the policy was found, if that is news.
    pub(super) fn remember(&self, context: &Context, words: &mut String) {
        if let (PolicyPlace::Reference(pin), Some(commit), false) =
            (&context.policy, self.commit, self.is_noted)
        {
            policy_ref::remember(&PolicyMemory::new(&context.state), pin, commit, words);
        }
    }
}
