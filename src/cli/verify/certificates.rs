//! The push certificates that stand in a ledger, each judged by its signature as `countersign verify` does.

use std::cell::OnceCell;

use crate::{
    cli::{
        World, gnupg, gpgsm,
        kept::{self, Kept},
        policy::source::Source,
        report::Answer,
        settings::{self, Standing, Trust},
    },
    hook,
    object::PushCertificate,
    policy::{Covered, Receipt},
    repository::{ObjectReader, Proofs, Repository},
    verify::Verifier,
    words::Failure,
};

/// What a signature comes to.
pub(in crate::cli) enum Signed {
    /// Good, and by somebody whom the hook's own policy knows by this name, if that is what it was judged by.
    Good { name: Option<String> },
    /// Changed, or not signed at all.
    Bad(String),
    /// It cannot be told here.
    Unclear(String),
}

/// Everything that certificates are judged by.
pub(in crate::cli) struct Certificates<'a, 'w> {
    world: &'a World<'w>,
    trust: Trust,
    /// It is the policy of the hook that counts.
    is_the_hooks: bool,
    verifier: Verifier,
    /// What the user's own GnuPG knows, once somebody asks.
    own: OnceCell<Verifier>,
    proofs: Proofs,
}

impl<'a, 'w> Certificates<'a, 'w> {
    /// By what the configuration says; where it names no policy, by that of the hook before `repository`.
    pub(in crate::cli) fn new(world: &'a World<'w>, repository: &Repository) -> Result<Self, Failure> {
        let configuration = settings::configuration(world)?;
        let mut trust = settings::trust(world, &configuration, Some(repository))?;
        let mut is_the_hooks = false;
        if trust.policy.is_none()
            && let Some((place, snapshot)) = hook::installed_trust(repository, world.now)?
        {
            let source = Source::typed(&place, &snapshot);
            trust = settings::by_policy(world, &configuration, snapshot, source)?;
            is_the_hooks = true;
        }
        settings::name_ssh_signers(world, &configuration, &mut trust)?;
        let verifier = Verifier::new(std::mem::take(&mut trust.instances))
            .with_openpgp(std::mem::take(&mut trust.openpgp))
            .with_smime(std::mem::take(&mut trust.smime))
            .with_ssh_revocations(settings::ssh_revocations(world, &configuration)?);
        let reader = repository.objects().map_err(|error| super::unreadable(&error))?.reader();
        let (proofs, _) = kept::proofs(repository, &reader);
        Ok(Self { world, trust, is_the_hooks, verifier, own: OnceCell::new(), proofs })
    }

    /// Judge the signature of a certificate that was received at that time, in seconds since 1970.
    pub(in crate::cli) fn judge(
        &self,
        reader: &ObjectReader,
        certificate: &PushCertificate<'_>,
        received: i64,
    ) -> Signed {
        let kept = Kept { proofs: &self.proofs, reader };
        // Nobody vouches for what is to come by saying when it was.
        let now = received.min(self.world.now);
        let receipt = Receipt { now, covered: &|_| Covered::No };
        let judged = |verifier| super::answer(&certificate.signed, verifier, &self.trust, &receipt, kept);
        let mut answer = judged(&self.verifier);
        if self.trust.source.is_none() && answer.lacks_key() {
            answer = judged(self.own.get_or_init(|| {
                Verifier::new(Vec::new())
                    .with_openpgp(gnupg::ring(self.world, None))
                    .with_smime(gpgsm::authorities(self.world))
            }));
        }
        let by_standing = |standing: Standing| match standing {
            Standing::Named(name) => Signed::Good { name: Some(name).filter(|_| self.is_the_hooks) },
            Standing::NoPolicy => Signed::Good { name: None },
            Standing::Refused(cause) => Signed::Unclear(cause.to_string()),
            Standing::NotBelieved | Standing::Unnamed => {
                Signed::Unclear("its signer is not named here".to_owned())
            }
        };
        match answer {
            // Whoever holds such a key chooses the time that it states.
            Answer::Stated { stated, .. } if stated.key_expired() => {
                Signed::Unclear("its key had expired when it was received".to_owned())
            }
            Answer::Good { standing, .. }
            | Answer::Stated { standing, .. }
            | Answer::NotLogged { standing, counts: true, .. } => by_standing(standing),
            Answer::NotLogged { signed, .. } => Signed::Unclear(signed.to_string()),
            Answer::TimeNotProven { signed, .. } => Signed::Unclear(signed.to_string()),
            Answer::CannotTell(unclear) => Signed::Unclear(unclear.cause),
            Answer::Bad(cause) | Answer::Failed(cause) => Signed::Bad(cause),
            Answer::Unsigned | Answer::Misnamed { .. } => Signed::Bad("it is not signed".to_owned()),
        }
    }
}
