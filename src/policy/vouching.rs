//! How many persons have to vouch for what happens to a ref, who counts as one, and what a forge may do.
//!
//! A person is an identity of the policy, whichever of its keys is used. A signature on a commit or a tag
//! counts for that object alone: it names no ref, and whoever has built upon something has not approved it.
//! An approval and a push certificate name the ref and its values, and count for all that the update adds.

use std::collections::BTreeSet;

use super::{
    Cause, Demands, Evidence, KeylessSigner, NamedIdentity, Permission, Policy, Pushing, Receipt, Rule,
    SignedBy, Signers, Wanted, WantedName, cause::told,
};
use crate::{sigstore::certificate::SubjectKind, verify::Verdict};

/// What a rule asks for besides the signatures of commits and tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouching {
    /// How many distinct persons have to vouch for each new commit and for each update of a ref.
    pub threshold: Option<usize>,
    /// Who may approve; without it whoever may sign commits. A machine only by its own name, not by a group's.
    pub approvers: Option<Wanted>,
    /// Whether a forge's key may sign a merge of two parents whose tree is what merging them yields.
    pub forge_merges: Permission,
    /// Forges by whose own key a commit may be signed, whatever is in it.
    pub trusted_forges: Vec<String>,
}

impl Vouching {
    /// Whether approvals can count.
    #[must_use]
    pub fn hears_approvals(&self) -> bool {
        self.threshold.is_some() || self.approvers.is_some()
    }

    /// Whether what is new has to be known for each ref by itself.
    #[must_use]
    pub fn judges_each_ref(&self) -> bool {
        self.hears_approvals() || self.forge_merges == Permission::Allow
    }

    /// Whether it matters to a commit that a forge has signed it.
    pub(super) fn hears_forges(&self) -> bool {
        self.judges_each_ref() || !self.trusted_forges.is_empty()
    }

    /// The parts of it in order, for a digest; none where it asks for nothing and lets nothing pass.
    pub(super) fn canonical(&self) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        if let Some(threshold) = self.threshold {
            parts.push([&b"threshold"[..], &(threshold as u64).to_be_bytes()].concat());
        }
        if self.forge_merges == Permission::Allow {
            parts.push(b"forge merges".to_vec());
        }
        let mut forges = self.trusted_forges.clone();
        forges.sort();
        parts.extend(forges.into_iter().map(|forge| [&b"trusted forge"[..], forge.as_bytes()].concat()));
        parts
    }
}

impl NamedIdentity {
    /// Whether it is a machine: the policy says so, or a certificate of it is a build's or another machine's, which
    /// are for URIs (Fulcio's `oid-info.md`) or say of which repository they are.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        let is_machines =
            |signer: &KeylessSigner| signer.kind == SubjectKind::Uri || !signer.claims.is_empty();
        self.machine || self.keyless.iter().any(is_machines)
    }

    /// Whether what it signs at `now`, in seconds since 1970, counts.
    #[must_use]
    pub fn can_sign_at(&self, now: i64) -> bool {
        let windows = self.keyless.iter().map(|signer| signer.window);
        windows.chain(self.keys.iter().map(|signer| signer.window)).any(|window| window.is_open(now))
    }
}

impl Policy {
    /// Who may approve under `rule`, by their names, in the order of the policy's identities.
    #[must_use]
    pub fn approvers(&self, rule: &Rule) -> Vec<String> {
        let counts = |identity: &&NamedIdentity| match &rule.vouching.approvers {
            Some(approvers) => approves(approvers, identity),
            None => rule.commits.wanted().is_some_and(|wanted| signs(wanted, identity)),
        };
        self.identities.iter().filter(counts).map(|identity| identity.name.clone()).collect()
    }

    /// Those of [`Self::approvers`] who have a signer that counts at `now`, in seconds since 1970.
    #[must_use]
    pub fn approvers_at(&self, rule: &Rule, now: i64) -> Vec<String> {
        let can_sign = |name: &String| {
            self.identities.iter().any(|identity| identity.name == *name && identity.can_sign_at(now))
        };
        self.approvers(rule).into_iter().filter(can_sign).collect()
    }

    /// Of those who `can_sign`, how many may approve under `rule`, and how many persons may vouch for one object.
    pub(super) fn vouchers(&self, rule: &Rule, can_sign: &dyn Fn(&NamedIdentity) -> bool) -> (usize, usize) {
        let names = self.approvers(rule);
        let able = || self.identities.iter().filter(|identity| can_sign(identity));
        let approvers = able().filter(|identity| names.contains(&identity.name)).count();
        // Whoever has signed an object counts for that one alone, so of those who may not approve one at most.
        let signs = |identity: &NamedIdentity| {
            !names.contains(&identity.name) && self.counts_as_person(rule, &identity.name)
        };
        (approvers, approvers + usize::from(able().any(signs)))
    }

    /// Whether the identity called `name` counts as a person under `rule`: who may approve does, and who may
    /// sign commits or tags unless it is a machine.
    #[must_use]
    pub fn counts_as_person(&self, rule: &Rule, name: &str) -> bool {
        let Some(identity) = self.identities.iter().find(|identity| identity.name == name) else {
            return false;
        };
        let signers = [Some(&rule.commits), rule.tags.as_ref()].into_iter().flatten();
        rule.vouching.approvers.iter().any(|approvers| approves(approvers, identity))
            || signers.filter_map(Signers::wanted).any(|wanted| signs(wanted, identity))
    }

    /// The person who has approved by a signature with this verdict.
    ///
    /// # Errors
    /// Why the signature counts for nobody who may approve under `rule`.
    pub fn approver(&self, rule: &Rule, verdict: Verdict, receipt: &Receipt<'_>) -> Result<String, Cause> {
        let approvers = self.approvers(rule);
        let evidence = Evidence::Signed(verdict);
        let wanted = Signers::Named(approvers.iter().map(String::as_str).collect());
        // What is approved is the present, so its time has to be proven whatever the rule takes of commits.
        let demands = Demands { time_not_proven: Permission::Refuse, ..rule.demands.clone() };
        self.judge(&wanted, &demands, &evidence, receipt)?;
        let person = one_person(self.names_behind(&evidence, receipt)?)?;
        if approvers.contains(&person) { Ok(person) } else { Err(Cause::SeveralPersons(vec![person])) }
    }

    /// The same for an approval that is to count at `now`, in seconds since 1970: a key that has expired by then
    /// approves nothing, whatever time it states.
    ///
    /// # Errors
    /// As for [`Self::approver`].
    pub fn approver_now(&self, rule: &Rule, verdict: Verdict, now: i64) -> Result<String, Cause> {
        refuse_expired(&verdict)?;
        self.approver(rule, verdict, &Receipt::without_anchors(now))
    }

    /// The person who vouches for a whole push by having signed it, as an approval of it would count under `rule`;
    /// none without a certificate that does.
    #[must_use]
    pub fn certifier(&self, rule: &Rule, pushing: &Pushing, now: i64) -> Option<String> {
        let Some(Ok(Evidence::Signed(verdict))) = pushing.certificate() else { return None };
        self.approver_now(rule, verdict.clone(), now).ok()
    }

    /// The person as whom the signature on a commit or tag counts toward the threshold of `rule`, if it is one
    /// that the rule accepts.
    #[must_use]
    pub fn person(&self, rule: &Rule, evidence: &Evidence, receipt: &Receipt<'_>) -> Option<String> {
        let signers = [Some(&rule.commits), rule.tags.as_ref()].into_iter().flatten();
        let accepts = |signers: &Signers| {
            signers.wanted().is_some() && self.judge(signers, &rule.demands, evidence, receipt).is_ok()
        };
        signers.into_iter().find(|signers| accepts(signers))?;
        let person = one_person(self.names_behind(evidence, receipt).ok()?).ok()?;
        self.counts_as_person(rule, &person).then_some(person)
    }

    /// Everybody who may have made a signature that counts; of a certificate for several also those who count no
    /// longer.
    fn names_behind(&self, evidence: &Evidence, receipt: &Receipt<'_>) -> Result<BTreeSet<String>, Cause> {
        let (signer, holders) = match evidence {
            Evidence::Signed(Verdict::Good(proven)) => (SignedBy::from(&**proven), BTreeSet::new()),
            Evidence::Signed(Verdict::NotLogged(signed)) => (SignedBy::from(&**signed), BTreeSet::new()),
            Evidence::Signed(Verdict::Stated(stated)) => {
                (SignedBy::from(&**stated), self.holders(stated.keys()))
            }
            Evidence::Signed(Verdict::TimeNotProven(signed)) => (SignedBy::from(&**signed), BTreeSet::new()),
            _ => return Ok(BTreeSet::new()),
        };
        Ok(self.names(signer, receipt)?.into_iter().chain(holders).map(str::to_owned).collect())
    }
}

/// Refuse what is signed for the present with a key that has expired: whoever holds it chooses what time it states.
pub(crate) fn refuse_expired(verdict: &Verdict) -> Result<(), Cause> {
    match verdict {
        Verdict::Stated(stated) if stated.key_expired() => Err(Cause::KeyExpired(told(stated.keys()))),
        _ => Ok(()),
    }
}

/// Whether `identity` is among those who may approve: a machine only by its own name.
fn approves(approvers: &Wanted, identity: &NamedIdentity) -> bool {
    let is_named = |word: &WantedName| matches!(word, WantedName::Identity(name) if *name == identity.name);
    approvers.contains(&identity.name) && (!identity.is_machine() || approvers.written().iter().any(is_named))
}

/// Whether `identity` is a person among those who may sign.
fn signs(wanted: &Wanted, identity: &NamedIdentity) -> bool {
    wanted.contains(&identity.name) && !identity.is_machine()
}

/// One signature is one person's: a certificate for several principals may be used by either of them, whoever
/// of them counts.
fn one_person(mut names: BTreeSet<String>) -> Result<String, Cause> {
    match (names.pop_first(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (first, _) => Err(Cause::SeveralPersons(first.into_iter().chain(names).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PusherFault, ReceivedPush};

    /// A good verdict by the OpenPGP key `AA…`, which has expired or not, as the gate remembers it.
    fn stated(has_expired: bool) -> Verdict {
        let text =
            |tag: u8, text: &str| [&[tag, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        let key = [vec![0x08, 1], text(0x12, &"A".repeat(40))].concat();
        let expired = if has_expired { vec![0x20, 1] } else { Vec::new() };
        let inner = |tag: u8, bytes: Vec<u8>| [vec![tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let record = inner(0x12, [inner(0x0a, key), text(0x12, "k"), vec![0x18, 5], expired].concat());
        Verdict::from_record(&record).unwrap()
    }

    #[test]
    fn an_expired_key_does_nothing_for_the_present_whatever_time_it_states() {
        let policy = Policy::parse(&format!(
            "version = 1\nrepository = \"r\"\nother_refs = \"refuse\"\n[identity.a]\nopenpgp = [\"{}\"]\n\
             [[rule]]\nname = \"r\"\nrefs = [\"refs/heads/a\"]\ncommits = [\"a\"]\nthreshold = 1\npushers = [\"a\"]\n",
            "A".repeat(40)
        ));
        let policy = policy.unwrap();
        let rule = &policy.rules()[0];
        let judged = |has_expired| {
            let verdict = stated(has_expired);
            let pushing = Pushing::Received(ReceivedPush {
                certificate: Some(Ok(Evidence::Signed(verdict.clone()))),
                forge: None,
            });
            let pushed = policy.judge_pusher(rule, &pushing, 10);
            let named = policy.certified_pushers(&pushing, 10).len();
            (policy.approver_now(rule, verdict, 10), policy.certifier(rule, &pushing, 10), pushed, named)
        };
        let a = || "a".to_owned();
        assert_eq!(judged(false), (Ok(a()), Some(a()), Ok(()), 1));
        let cause = || refuse_expired(&stated(true)).unwrap_err();
        let fault = PusherFault::Signer(Box::new(cause()));
        assert_eq!(judged(true), (Err(cause()), None, Err(fault), 0));
        // What it has signed while it had not is history.
        let evidence = Evidence::Signed(stated(true));
        assert_eq!(policy.person(rule, &evidence, &Receipt::without_anchors(10)), Some(a()));
    }

    #[test]
    fn one_signature_is_one_persons() {
        let person = |names: &[&str]| one_person(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(person(&["alice"]), Ok("alice".to_owned()));
        assert_eq!(person(&["alice", "alice"]), Ok("alice".to_owned()));
        let several =
            |names: &[&str]| Err(Cause::SeveralPersons(names.iter().map(|n| (*n).to_owned()).collect()));
        assert_eq!(person(&["bob", "alice"]), several(&["alice", "bob"]));
        assert_eq!(person(&[]), several(&[]));
    }
}
