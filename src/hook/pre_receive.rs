//! pre-receive: from what git hands over to an answer that git and the pusher understand.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use gix::bstr::ByteSlice as _;

use super::{
    AcceptedTips, PolicyMemory, PolicyPlace, PushEnvironment, Settings, Update, UsedCertificates,
    certificate::{self, Surrounding},
    folding,
    gate::{Finding, Gate, MAXIMUM_LISTED, Server},
    kept_approvals, parse_updates,
    policy_ref::{self, PolicyRef},
    proofs,
};
use crate::{
    object::{APPROVALS, ObjectId},
    policy::{Cause, Demands, ForgeContext, Policy, Pushing, ReceivedPush, Refusal, Subject},
    repository::{ObjectReader, PROOFS, References, Repository},
    sigstore::trusted_root::Instance,
    trust::{Pin, Pinned, Trust},
    verify::Verifier,
    words::{Failure, escape},
};

/// How many refusals are told in full.
const MAXIMUM_TOLD: usize = 20;

/// The most that is read from standard input, in bytes.
const MAXIMUM_INPUT: u64 = 256 * 1024 * 1024;

/// Everything that the hook acts on, as values.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where the policy is.
    pub policy: PolicyPlace,
    /// The trusted root of each instance that the policy names.
    pub trusted_roots: Vec<(String, PathBuf)>,
    /// Each file of OpenPGP certificates, by its name in the policy.
    pub openpgp_certificates: Vec<(String, PathBuf)>,
    /// The file of each certificate authority, by its name in the policy.
    pub certificate_authorities: Vec<(String, PathBuf)>,
    /// The folder for what the gate has accepted.
    pub state: PathBuf,
    /// The repository for which the hook was installed.
    pub repository: PathBuf,
    /// What the forge says about this push, if the hook was installed for one.
    pub forge: Option<ForgeContext>,
    /// What receive-pack says about this push.
    pub environment: PushEnvironment,
    /// The time of receipt, in seconds since 1970.
    pub now: i64,
    /// How the gate goes about its work.
    pub settings: Settings,
}

/// What decides about one push, read once.
struct Snapshot {
    trust: Trust,
    instances: Vec<Instance>,
    /// The commit of a policy that is kept in a ref, and whether that was noted already.
    found: Option<(ObjectId, bool)>,
}

/// The answer to a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Every update is accepted.
    Accepted,
    /// The gate could not do its work, so everything is refused.
    CouldNotRun,
    /// At least one update is refused, and with it the push.
    Refused,
}

impl Outcome {
    /// The exit status for git, for which anything but 0 refuses the push.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Refused => 1,
            Self::CouldNotRun => 3,
        }
    }
}

/// Judge the push whose updates stand in `input`, and tell the pusher on `output`.
pub fn pre_receive(context: &Context, input: &mut dyn Read, output: &mut dyn Write) -> Outcome {
    let mut words = Vec::new();
    let outcome = match judge(context, input, output) {
        Err(failure) => {
            words.extend(failure.to_string().into_bytes());
            Outcome::CouldNotRun
        }
        Ok(finding) => {
            tell(&mut words, "warning", &finding.warnings);
            tell(&mut words, "error", &finding.refusals);
            if finding.refusals.is_empty() {
                remember(&context.state, &finding, &mut words);
                Outcome::Accepted
            } else {
                Outcome::Refused
            }
        }
    };
    // A pusher who has gone does not change the answer.
    let _ = output.write_all(&words).and_then(|()| output.flush());
    outcome
}

fn judge(context: &Context, input: &mut dyn Read, output: &mut dyn Write) -> Result<Finding, Failure> {
    const ADMINISTRATOR: &str = "every push is refused until this is mended; ask the server's administrator";
    let failed = |error: &dyn std::fmt::Display| Failure::new(error, ADMINISTRATOR);

    let mut lines = Vec::new();
    let read = input.take(MAXIMUM_INPUT + 1).read_to_end(&mut lines);
    read.map_err(|error| failed(&format!("the push cannot be read: {error}")))?;
    if lines.len() as u64 > MAXIMUM_INPUT {
        return Err(failed(&"the push names too many refs"));
    }
    if context.environment.namespace.is_some() {
        return Err(Failure::new(
            "the push goes to a namespace ('GIT_NAMESPACE'), whose refs have other names than it says",
            "push to the repository itself; namespaces are not supported",
        ));
    }

    let repository = Repository::at(&context.repository).map_err(|error| failed(&error))?;
    let references = repository.references();
    let mut snapshot = snapshot(context, &repository, &references)?;
    if let Some(git_dir) = &context.environment.git_dir
        && !same_place(git_dir, repository.git_dir())
    {
        return Err(Failure::new(
            format!("this hook was installed for the repository '{}'", repository.git_dir().display()),
            "run 'countersign hook install' for this repository",
        ));
    }
    let trust = &mut snapshot.trust;
    if let Some(what) = foreign_anchor(&trust.policy, &repository) {
        return Err(failed(&what));
    }
    let updates = parse_updates(repository.hash(), &lines).map_err(|error| failed(&error))?;
    let environment = &context.environment;
    let objects = repository
        .objects_with(environment.quarantine.as_deref(), &environment.object_directories)
        .map_err(|error| failed(&error))?;
    let shallow = repository.shallow(environment.shallow_file.as_deref()).map_err(|error| failed(&error))?;
    let proofs = proofs::kept(&objects, &references, &updates);
    for reason in proofs.trouble() {
        // Less is proven then, and a pusher who has gone does not change that.
        let _ = writeln!(output, "warning: what '{PROOFS}' keeps is not used: {}", escape(reason));
    }
    let verifier = Verifier::new(snapshot.instances)
        .with_openpgp(std::mem::take(&mut trust.openpgp))
        .with_smime(std::mem::take(&mut trust.smime));
    let surrounding = Surrounding {
        environment: &environment.certificate,
        push_options: environment.push_options.as_deref(),
        updates: &updates,
        addresses: &context.settings.addresses,
        used: &UsedCertificates::new(&context.state),
        verifier: &verifier,
        now: context.now,
    };
    let certificate = certificate::receive(&surrounding, &objects.reader());
    let pushing = Pushing::Received(ReceivedPush {
        certificate: certificate.map(|received| received.and_then(|certificate| certificate.judged)),
        forge: context.forge.clone(),
    });
    let vouchers = vouchers(&trust.policy, &pushing, context.now);
    let approvals = kept_approvals(&objects, &references, &updates);
    for reason in approvals.trouble() {
        let _ = writeln!(output, "warning: what '{APPROVALS}' keeps is not used: {}", escape(reason));
    }
    let gate = Gate {
        policy: &trust.policy,
        verifier: &verifier,
        objects: &objects,
        standing: &Server { references: &references, accepted: &AcceptedTips::new(&context.state) },
        shallow: &shallow,
        proofs: &proofs,
        pushing: &pushing,
        approvals: &approvals,
        vouchers: &vouchers,
        now: context.now,
        maximum_listed: MAXIMUM_LISTED,
    };
    let mut finding = gate.judge(&updates, output);
    finding.refusals.extend(folding::refusals(&repository, &trust.policy, &updates));
    if let (PolicyPlace::Reference(pin), Some((present, is_noted))) = (&context.policy, snapshot.found) {
        let source = policy_source(context, pin);
        judge_policy_changes(&source, &objects.reader(), &references, present, &updates, &mut finding);
        if !is_noted {
            let mut words = Vec::new();
            policy_ref::remember(&PolicyMemory::new(&context.state), pin, present, &mut words);
            let _ = output.write_all(&words);
        }
    }
    Ok(finding)
}

/// Whoever vouches for the whole push by its certificate: one person, or nobody where a certificate is for
/// several whom the policy tells apart.
fn vouchers(policy: &Policy, pushing: &Pushing, now: i64) -> Vec<String> {
    match policy.certified_pushers(pushing, &Demands::default(), now)[..] {
        [name] => vec![name.to_owned()],
        _ => Vec::new(),
    }
}

fn policy_source<'a>(context: &'a Context, pin: &'a Pin) -> PolicyRef<'a> {
    PolicyRef { pin, trusted_roots: &context.trusted_roots, now: context.now }
}

/// Read what decides: once for the whole push.
fn snapshot(
    context: &Context,
    repository: &Repository,
    references: &References,
) -> Result<Snapshot, Failure> {
    match &context.policy {
        PolicyPlace::File(policy) => {
            let mut trust = Trust::load(&Pinned {
                policy,
                trusted_roots: &context.trusted_roots,
                openpgp_certificates: &context.openpgp_certificates,
                certificate_authorities: &context.certificate_authorities,
            })?;
            let instances = trust.take_instances()?;
            Ok(Snapshot { trust, instances, found: None })
        }
        PolicyPlace::Reference(pin) => {
            let source = policy_source(context, pin);
            let seen = PolicyMemory::new(&context.state).recall(pin)?;
            // What the push brings has no part in it: only the repository's own objects are looked at.
            let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
            let followed = source.read(&objects.reader(), references, seen)?;
            let commit = followed.commit();
            let mut trust = followed.into_trust();
            let instances = source.take_instances(&mut trust)?;
            Ok(Snapshot { trust, instances, found: Some((commit, seen == Some(commit))) })
        }
    }
}

/// Judge what the updates would do to the ref of the policy, under whatever name they speak of it: besides
/// what the rule for that ref says, and whatever it says.
fn judge_policy_changes(
    source: &PolicyRef<'_>,
    reader: &ObjectReader,
    references: &References,
    present: ObjectId,
    updates: &[Update],
    finding: &mut Finding,
) {
    let name = source.pin.reference.as_bytes();
    for update in updates {
        let names = references.read(update.reference.as_bstr()).map(|value| value.names);
        // A name that cannot be read has been refused already.
        if !names.is_ok_and(|names| names.iter().any(|found| *found == name)) {
            continue;
        }
        // Step by step, and by what each commit carries, is how persons are counted here.
        let is_other =
            |refusal: &Refusal| refusal.reference != name || !matches!(refusal.cause, Cause::Threshold(_));
        finding.refusals.retain(is_other);
        finding.warnings.retain(is_other);
        if let Err(cause) = source.judge_change(reader, present, update.wanted) {
            let subject = Subject::Reference;
            finding.refusals.push(Refusal { reference: name.to_vec(), subject, rule: None, cause });
        }
    }
}

/// What is wrong with an anchor that no commit of `repository` can be, if one is.
pub fn foreign_anchor(policy: &Policy, repository: &Repository) -> Option<String> {
    let foreign = |anchor: &ObjectId| anchor.kind() != repository.hash();
    let rule = policy.rules().iter().find(|rule| rule.anchor.as_ref().is_some_and(foreign))?;
    Some(format!("the anchor of rule '{}' is of another hash than the repository's", rule.name))
}

pub(super) fn same_place(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Write down what was accepted. If that fails, more will have to be judged another time, so the
/// push is not refused for it.
fn remember(state: &Path, finding: &Finding, words: &mut Vec<u8>) {
    let accepted = AcceptedTips::new(state);
    let begun = finding.begun.iter().map(|(digest, name)| accepted.begin(digest, name));
    let tips = finding.tips.iter().map(|(digest, tip)| accepted.insert(digest, *tip));
    for noted in tips.chain(begun) {
        if let Err(error) = noted {
            let failure = format!(
                "warning: what was accepted cannot be noted in '{}': {error}\n\
                 hint: new refs are judged with their whole history until it can\n",
                escape(&state.display().to_string())
            );
            words.extend(failure.into_bytes());
            return;
        }
    }
}

/// One line for each refusal, a hint where it is not the same as before, and how many more there are.
pub fn tell(words: &mut Vec<u8>, prefix: &str, refusals: &[Refusal]) {
    let mut last = String::new();
    for refusal in refusals.iter().take(MAXIMUM_TOLD) {
        let hint = refusal.hint();
        if !last.is_empty() && hint != last {
            words.extend(format!("hint: {last}\n").into_bytes());
        }
        words.extend(format!("{prefix}: {refusal}\n").into_bytes());
        last = hint;
    }
    if refusals.len() > MAXIMUM_TOLD {
        words.extend(format!("{prefix}: and {} more\n", refusals.len() - MAXIMUM_TOLD).into_bytes());
    }
    if !last.is_empty() {
        words.extend(format!("hint: {last}\n").into_bytes());
    }
}
