//! From a pinned commit to the present policy, each step judged by the policy before it.
//!
//! The pin vouches for the first commit as it is. Every later one has a single parent, is signed by
//! somebody whom the rule for the ref in the policy before it names (whether or not that rule only warns),
//! and holds a policy of the same repository with a greater serial, with all that it names. Where that rule has
//! a threshold, as many persons vouch for the step: its signer, and whoever has approved its tree upon the one
//! before, by approvals that its message carries. The trusted
//! roots, certificates and keys of a step are those of the policy before it. Whatever else there is ends
//! in an error: there is no falling back to an older policy.

mod error;

pub use error::ChainError;

use std::collections::BTreeSet;

use gix::bstr::ByteSlice as _;

use super::{InCommit, Pin, Trust, commit::read_commit};
use crate::{
    object::{Approval, Commit, ObjectId, Statement, carried},
    policy::{
        ApprovalFault, Cause, Evidence, Policy, Receipt, Refusal, Rule, Shortfall, Signers, Subject,
        refuse_expired,
    },
    repository::{ObjectReadError, ObjectReader, References},
    signature::ssh::Revocations,
    sigstore::trusted_root::Instance,
    verify::{Identity, Verdict, Verifier},
    words::Failure,
};

/// The most commits that a policy's history may have.
pub const MAXIMUM_COMMITS: usize = 10_000;

/// How many approvals of one step that do not count are told.
const MAXIMUM_FAULTS: usize = 3;

/// What whoever reads a policy brings to judging its steps.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Seconds since 1970.
    pub now: i64,
    /// The instance of a name for which a policy gives no trusted root of its own.
    pub instance: &'a dyn Fn(&str) -> Result<Option<Instance>, Failure>,
    /// Whether an instance is believed for an identity.
    pub believes: &'a dyn Fn(&Identity) -> bool,
    /// SSH keys that never count.
    pub ssh_revocations: &'a Revocations,
    /// Whether to go on: asked at each step with how many steps were judged, of how many; and while the history
    /// is read, with how many of its commits were, of a number that is not known yet: 0.
    pub go_on: &'a dyn Fn(usize, usize) -> bool,
    /// Whether the steps are made now. Whoever follows them later cannot tell when they were.
    pub is_new: bool,
}

impl Reading<'_> {
    /// The same for steps that are made now: a key that has expired signs and approves none of them, whatever time
    /// its holder states.
    #[must_use]
    pub fn of_new_steps(&self) -> Self {
        Self { is_new: true, ..*self }
    }
}

/// A policy that follows from a commit that is believed. Only the check can make one.
#[derive(Debug)]
pub struct Followed {
    reference: String,
    root: ObjectId,
    state: State,
    steps: usize,
}

/// The policy of one commit of the chain.
#[derive(Debug)]
struct State {
    commit: ObjectId,
    trust: Trust,
    repository: String,
    serial: u64,
}

impl Followed {
    /// Begin with the commit that `pin` vouches for.
    ///
    /// # Errors
    /// It holds no policy of the pinned repository that can be used.
    pub fn begin(reader: &ObjectReader, pin: &Pin) -> Result<Self, ChainError> {
        let state = State::read(reader, pin.root)?;
        if state.repository != pin.repository {
            return Err(ChainError::OtherRepository {
                commit: pin.root,
                pinned: pin.repository.clone(),
                named: state.repository,
            });
        }
        Ok(Self { reference: pin.reference.clone(), root: pin.root, state, steps: 0 })
    }

    /// Whether the policy would let whoever signed its own commit change it: nothing depends on that, but
    /// whoever publishes a first policy wants to know.
    ///
    /// # Errors
    /// It would not, and why.
    pub fn judge_own_signer(
        mut self,
        reader: &ObjectReader,
        reading: &Reading<'_>,
    ) -> Result<(), ChainError> {
        let commit = self.state.commit;
        self.state.judge_signature(reader, commit, &self.reference, reading)
    }

    /// The ref that the policy is kept in.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The commit that is believed as it is.
    #[must_use]
    pub fn root(&self) -> ObjectId {
        self.root
    }

    /// The commit that holds the policy.
    #[must_use]
    pub fn commit(&self) -> ObjectId {
        self.state.commit
    }

    /// How many persons have to vouch for the next change; at least whoever signs it.
    #[must_use]
    pub fn threshold(&self) -> usize {
        let rule = self.state.trust.policy.rule_for(self.reference.as_bytes());
        rule.and_then(|rule| rule.vouching.threshold).unwrap_or(1)
    }

    /// The id of the repository, which every policy of the chain names.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.state.repository
    }

    /// The serial of the policy.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.state.serial
    }

    /// How many changes there were since the root.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The policy with all that it names.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.state.trust
    }

    /// The policy with all that it names.
    #[must_use]
    pub fn into_trust(self) -> Trust {
        self.state.trust
    }

    /// Who may change the policy, by their names in it; empty where nobody may.
    #[must_use]
    pub fn signers(&self) -> &[String] {
        match self.state.trust.policy.rule_for(self.reference.as_bytes()).map(|rule| &rule.commits) {
            Some(Signers::Named(wanted)) => wanted.identities(),
            _ => &[],
        }
    }

    /// `envelopes`, approvals of the step `statement`, in another order: one by each person who counts, and then all
    /// others. A commit carries only so many, and anybody may have given any number.
    ///
    /// # Errors
    /// What judges them cannot be had.
    pub fn each_person_first(
        &self,
        reader: &ObjectReader,
        statement: &Statement,
        envelopes: Vec<Vec<u8>>,
        reading: &Reading<'_>,
    ) -> Result<Vec<Vec<u8>>, ChainError> {
        let mut state = State::read(reader, self.commit())?;
        let verifier = state.take_verifier(reading)?;
        let policy = &state.trust.policy;
        let Some(rule) = policy.rule_for(self.reference.as_bytes()) else { return Ok(envelopes) };
        let mut persons = BTreeSet::new();
        let is_first = |bytes: &Vec<u8>| {
            approver(reader, (policy, rule), &verifier, reading, (statement, bytes))
                .is_ok_and(|person| persons.insert(person))
        };
        let (first, others): (Vec<_>, Vec<_>) = envelopes.into_iter().partition(is_first);
        Ok([first, others].concat())
    }

    /// Go on to `tip`, commit by commit; as a gate does with what a push would make of the ref.
    ///
    /// # Errors
    /// It does not stand on [`Self::commit`], or one of the policies before does not allow the next.
    pub fn advance_to(
        self,
        reader: &ObjectReader,
        tip: ObjectId,
        reading: &Reading<'_>,
    ) -> Result<Self, ChainError> {
        let go_on = |read| (reading.go_on)(read, 0);
        let chain = commits_while(reader, tip, Some(self.commit()), &go_on)?;
        self.advance_along(reader, &chain, reading)
    }

    /// Go along `chain`, the newest first, which ends with [`Self::commit`]; [`commits`] makes one.
    ///
    /// # Errors
    /// As for [`Self::advance_to`].
    pub fn advance_along(
        mut self,
        reader: &ObjectReader,
        chain: &[ObjectId],
        reading: &Reading<'_>,
    ) -> Result<Self, ChainError> {
        let of = chain.len().saturating_sub(1);
        for (judged, commit) in chain.iter().rev().skip(1).enumerate() {
            if !(reading.go_on)(judged, of) {
                return Err(ChainError::Stopped { reached: Some(self.commit()), judged, of });
            }
            self = self.advance(reader, *commit, reading)?;
        }
        Ok(self)
    }

    /// Go one commit further: `next`, whose only parent is [`Self::commit`].
    ///
    /// # Errors
    /// The policy so far does not allow it.
    pub fn advance(
        self,
        reader: &ObjectReader,
        next: ObjectId,
        reading: &Reading<'_>,
    ) -> Result<Self, ChainError> {
        let state = self.state.step(reader, next, &self.reference, reading)?;
        Ok(Self { state, steps: self.steps + 1, ..self })
    }
}

/// Follow the policy in the ref of `pin` from its root to the commit that the ref names now. `seen` is a
/// commit that the ref is known to have named: it must not have been rewound to before it.
///
/// # Errors
/// There is no such ref, or the policy does not follow from the root.
pub fn follow(
    reader: &ObjectReader,
    references: &References,
    pin: &Pin,
    seen: Option<ObjectId>,
    reading: &Reading<'_>,
) -> Result<Followed, ChainError> {
    let tip = tip(references, &pin.reference)?;
    let chain = commits_while(reader, tip, Some(pin.root), &|read| (reading.go_on)(read, 0))?;
    if let Some(seen) = seen.filter(|seen| !chain.contains(seen)) {
        return Err(ChainError::Rewound { reference: pin.reference.clone(), seen });
    }
    Followed::begin(reader, pin)?.advance_along(reader, &chain, reading)
}

/// Whom an instance vouches for, however well the rest is proven.
fn identity(verdict: &Verdict) -> Option<&Identity> {
    match verdict {
        Verdict::Good(proven) => Some(proven.identity()),
        Verdict::NotLogged(signed) => Some(signed.identity()),
        Verdict::TimeNotProven(signed) => Some(signed.identity()),
        Verdict::Stated(_) | Verdict::Bad(_) | Verdict::CannotTell(_) => None,
    }
}

/// Who vouches for one step.
struct Step {
    /// What has to be approved.
    statement: Statement,
    /// What the commit carries.
    approvals: Vec<Vec<u8>>,
    /// Who has signed it, if that counts.
    signer: Option<String>,
}

impl Step {
    /// Whether `wanted` persons vouch for it, by `policy` and `rule`.
    #[expect(clippy::too_many_arguments, reason = "they are what the step before decides by")]
    fn judge(
        self,
        reader: &ObjectReader,
        policy: &Policy,
        rule: &Rule,
        wanted: usize,
        verifier: &Verifier,
        reading: &Reading<'_>,
        tip: ObjectId,
    ) -> Result<(), Cause> {
        let mut faults = Vec::new();
        let mut persons: BTreeSet<String> = self.signer.into_iter().collect();
        for bytes in &self.approvals {
            match approver(reader, (policy, rule), verifier, reading, (&self.statement, bytes)) {
                Ok(name) => drop(persons.insert(name)),
                Err(fault) => faults.push(fault),
            }
        }
        if persons.len() >= wanted {
            return Ok(());
        }
        faults.truncate(MAXIMUM_FAULTS);
        Err(Cause::Threshold(Box::new(Shortfall {
            wanted,
            persons: persons.into_iter().collect(),
            approvers: policy.approvers_at(rule, reading.now),
            statement: Some(self.statement),
            tip: Some(tip),
            rewind: false,
            faults,
        })))
    }
}

/// The person who has approved `statement` by the envelope `bytes`, by `policy` and its `rule`.
fn approver(
    reader: &ObjectReader,
    (policy, rule): (&Policy, &Rule),
    verifier: &Verifier,
    reading: &Reading<'_>,
    (statement, bytes): (&Statement, &[u8]),
) -> Result<String, ApprovalFault> {
    let approval = Approval::parse(reader.hash(), bytes).map_err(ApprovalFault::Unreadable)?;
    if approval.statement != *statement {
        return Err(ApprovalFault::of_another(&approval.statement, statement));
    }
    let verdict = verifier.verify(&approval.payload(), &approval.signature, reading.now);
    if let Some(identity) = identity(&verdict).filter(|identity| !(reading.believes)(identity)) {
        return Err(ApprovalFault::NotBelieved(Box::new(identity.clone())));
    }
    let counted = if reading.is_new {
        policy.approver_now(rule, verdict, reading.now)
    } else {
        policy.approver(rule, verdict, &Receipt::without_anchors(reading.now))
    };
    counted.map_err(|cause| ApprovalFault::NotCounted(Box::new(cause)))
}

/// What the ref of a policy names: directly, and a commit.
///
/// # Errors
/// It is not there, symbolic, or cannot be read.
pub fn tip(references: &References, reference: &str) -> Result<ObjectId, ChainError> {
    let value = references.read(reference.as_bytes().as_bstr())?;
    if value.names.len() > 1 {
        return Err(ChainError::Symbolic(reference.to_owned()));
    }
    value.id.ok_or_else(|| ChainError::NoReference(reference.to_owned()))
}

/// The commits from `tip` back to `root`, both included, the newest first; without `root` to the first.
///
/// # Errors
/// There is a merge, or `root` is not on the way.
pub fn commits(
    reader: &ObjectReader,
    tip: ObjectId,
    root: Option<ObjectId>,
) -> Result<Vec<ObjectId>, ChainError> {
    commits_while(reader, tip, root, &|_| true)
}

/// [`commits`] for as long as `go_on` says so, which is asked with how many were read.
///
/// # Errors
/// [`ChainError::Stopped`] besides.
pub fn commits_while(
    reader: &ObjectReader,
    tip: ObjectId,
    root: Option<ObjectId>,
    go_on: &dyn Fn(usize) -> bool,
) -> Result<Vec<ObjectId>, ChainError> {
    let mut chain = vec![tip];
    loop {
        let current = *chain.last().expect("it never becomes empty");
        if Some(current) == root {
            return Ok(chain);
        }
        if !go_on(chain.len() - 1) {
            return Err(ChainError::Stopped { reached: None, judged: 0, of: 0 });
        }
        let parents = match parents(reader, current) {
            // What is cut off lies behind the one that is there.
            Err(ChainError::Object(ObjectReadError::Missing(id))) if chain.len() > 1 => {
                return Err(ChainError::CutOff { commit: chain[chain.len() - 2], missing: id });
            }
            parents => parents?,
        };
        match (parents.as_slice(), root) {
            ([], None) => return Ok(chain),
            ([], Some(root)) => return Err(ChainError::OtherRoot { root, first: current }),
            ([parent], _) if chain.len() < MAXIMUM_COMMITS => chain.push(*parent),
            ([_], _) => return Err(ChainError::TooLong),
            _ => return Err(ChainError::Merge(current)),
        }
    }
}

fn parents(reader: &ObjectReader, id: ObjectId) -> Result<Vec<ObjectId>, ChainError> {
    read_commit(reader, id, |commit| commit.parents)
}

impl State {
    /// The policy of `commit`, which is not judged.
    fn read(reader: &ObjectReader, commit: ObjectId) -> Result<Self, ChainError> {
        let failed = |cause| ChainError::Policy { commit, cause: Box::new(cause) };
        let trust = Trust::load(&InCommit::new(reader, commit)?).map_err(failed)?;
        let repository = trust.policy.repository().ok_or(ChainError::NoRepository(commit))?.to_owned();
        let serial = trust.policy.serial().ok_or(ChainError::NoSerial(commit))?;
        Ok(Self { commit, trust, repository, serial })
    }

    /// The policy of `next`, judged by this one.
    fn step(
        mut self,
        reader: &ObjectReader,
        next: ObjectId,
        reference: &str,
        reading: &Reading<'_>,
    ) -> Result<Self, ChainError> {
        match parents(reader, next)?.as_slice() {
            [parent] if *parent == self.commit => {}
            [_] | [] => return Err(ChainError::NotNext { commit: next, before: self.commit }),
            _ => return Err(ChainError::Merge(next)),
        }
        self.judge_signature(reader, next, reference, reading)?;
        let state = Self::read(reader, next)?;
        if state.repository != self.repository {
            return Err(ChainError::OtherRepository {
                commit: next,
                pinned: self.repository,
                named: state.repository,
            });
        }
        if state.serial <= self.serial {
            let (before, serial) = (self.serial, state.serial);
            return Err(ChainError::SerialNotGrowing { commit: next, before, serial });
        }
        Ok(state)
    }

    fn judge_signature(
        &mut self,
        reader: &ObjectReader,
        next: ObjectId,
        reference: &str,
        reading: &Reading<'_>,
    ) -> Result<(), ChainError> {
        let verifier = self.take_verifier(reading)?;
        let policy = &self.trust.policy;
        let rule = policy
            .rule_for(reference.as_bytes())
            .ok_or_else(|| ChainError::NoRule { commit: self.commit, reference: reference.to_owned() })?;
        if rule.commits == Signers::Unsigned {
            return Err(ChainError::NobodyNamed { commit: self.commit, rule: rule.name.clone() });
        }
        let object = reader.read(next)?;
        let commit = Commit::parse(reader.hash(), &object.bytes)
            .map_err(|cause| ChainError::Malformed { commit: next, cause })?;
        let signed = &commit.signed;
        let evidence = match &signed.signature {
            None => Evidence::Unsigned,
            Some(signature) => Evidence::Signed(verifier.verify(&signed.payload, signature, reading.now)),
        };
        let identity = match &evidence {
            Evidence::Signed(verdict) => identity(verdict),
            _ => None,
        };
        if let Some(identity) = identity.filter(|identity| !(reading.believes)(identity)) {
            let subject = identity.subject.clone();
            return Err(ChainError::NotBelieved { commit: next, subject });
        }
        // A policy cannot anchor what comes after it.
        let receipt = Receipt::without_anchors(reading.now);
        let refused = |cause| {
            ChainError::Refused(Box::new(Refusal {
                reference: reference.as_bytes().to_vec(),
                subject: Subject::Commit(next),
                rule: Some(rule.name.clone()),
                cause,
            }))
        };
        if let Evidence::Signed(verdict) = &evidence
            && reading.is_new
        {
            refuse_expired(verdict).map_err(refused)?;
        }
        policy.judge(&rule.commits, &rule.demands, &evidence, &receipt).map_err(refused)?;
        // Nobody has approved what is believed as it is.
        let Some(wanted) = rule.vouching.threshold.filter(|_| next != self.commit) else { return Ok(()) };
        let step = Step {
            statement: Statement {
                repository: self.repository.clone(),
                reference: reference.to_owned(),
                base: Some(self.commit),
                tree: Some(commit.tree),
            },
            approvals: carried(commit.message),
            signer: policy.person(rule, &evidence, &receipt),
        };
        step.judge(reader, policy, rule, wanted, &verifier, reading, next).map_err(refused)
    }

    /// What judges the next step: the policy's own trusted roots, certificates and keys, and the reader's
    /// for the instances that it leaves to whoever reads it.
    fn take_verifier(&mut self, reading: &Reading<'_>) -> Result<Verifier, ChainError> {
        let mut instances: Vec<Instance> = self.trust.roots.drain(..).map(|(instance, _)| instance).collect();
        for name in self.trust.rootless.drain(..) {
            instances.extend(
                (reading.instance)(&name).map_err(|failure| ChainError::Instance(Box::new(failure)))?,
            );
        }
        Ok(Verifier::new(instances)
            .with_openpgp(std::mem::take(&mut self.trust.openpgp))
            .with_smime(std::mem::take(&mut self.trust.smime))
            .with_ssh_revocations(reading.ssh_revocations.clone()))
    }
}
