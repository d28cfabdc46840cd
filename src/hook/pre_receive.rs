//! pre-receive: from what git hands over to an answer that git and the pusher understand.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use super::{
    AcceptedTips, PushEnvironment,
    entering::{self, Pushed},
    gate::{Finding, Gate, MAXIMUM_LISTED, Server},
    parse_updates, proofs,
};
use crate::{
    ledger::PolicyVersion,
    object::ObjectId,
    policy::{Policy, Refusal},
    repository::{PROOFS, Repository},
    trust::{Pinned, Trust},
    verify::Verifier,
    words::{Failure, escape},
};

/// How many refusals are told in full.
const MAXIMUM_TOLD: usize = 20;

/// The most that is read from standard input, in bytes.
pub(super) const MAXIMUM_INPUT: u64 = 256 * 1024 * 1024;

/// Everything that the hook acts on, as values.
#[derive(Clone, Debug)]
pub struct Context {
    /// The policy file.
    pub policy: PathBuf,
    /// The trusted root of each instance that the policy names.
    pub trusted_roots: Vec<(String, PathBuf)>,
    /// Each file of OpenPGP certificates, by its name in the policy.
    pub openpgp_certificates: Vec<(String, PathBuf)>,
    /// The file of each certificate authority, by its name in the policy.
    pub certificate_authorities: Vec<(String, PathBuf)>,
    /// The folder for what the gate has accepted.
    pub state: PathBuf,
    /// Accepted pushes are entered into the ledger.
    pub ledger: bool,
    /// The repository for which the hook was installed.
    pub repository: PathBuf,
    /// What receive-pack says about this push.
    pub environment: PushEnvironment,
    /// The time of receipt, in seconds since 1970.
    pub now: i64,
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

    let mut trust = Trust::load(&Pinned {
        policy: &context.policy,
        trusted_roots: &context.trusted_roots,
        openpgp_certificates: &context.openpgp_certificates,
        certificate_authorities: &context.certificate_authorities,
    })?;
    let instances = trust.take_instances()?;
    let repository = Repository::at(&context.repository).map_err(|error| failed(&error))?;
    if let Some(git_dir) = &context.environment.git_dir
        && !same_place(git_dir, repository.git_dir())
    {
        return Err(Failure::new(
            format!("this hook was installed for the repository '{}'", repository.git_dir().display()),
            "run 'countersign hook install' for this repository",
        ));
    }
    if let Some(what) = foreign_anchor(&trust.policy, &repository) {
        return Err(failed(&what));
    }
    let updates = parse_updates(repository.hash(), &lines).map_err(|error| failed(&error))?;
    // Before anything is read of the refs: what is entered from here on is what this push may have seen.
    let ledger = if context.ledger { entering::prepare(context, &repository)? } else { None };
    let environment = &context.environment;
    let objects = repository
        .objects_with(environment.quarantine.as_deref(), &environment.object_directories)
        .map_err(|error| failed(&error))?;
    let shallow = repository.shallow(environment.shallow_file.as_deref()).map_err(|error| failed(&error))?;
    let references = repository.references();
    let proofs = proofs::kept(&objects, &references, &updates);
    for reason in proofs.trouble() {
        // Less is proven then, and a pusher who has gone does not change that.
        let _ = writeln!(output, "warning: what '{PROOFS}' keeps is not used: {}", escape(reason));
    }
    let gate = Gate {
        policy: &trust.policy,
        verifier: &Verifier::new(instances).with_openpgp(trust.openpgp).with_smime(trust.smime),
        objects: &objects,
        standing: &Server { references: &references, accepted: &AcceptedTips::new(&context.state) },
        shallow: &shallow,
        proofs: &proofs,
        now: context.now,
        maximum_listed: MAXIMUM_LISTED,
    };
    let finding = gate.judge(&updates, output);
    if context.ledger && finding.refusals.is_empty() {
        let policy = PolicyVersion::Digest(trust.digest);
        entering::leave(context, &repository, policy, Pushed::default(), ledger, &updates)?;
    }
    Ok(finding)
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
    for (digest, tip) in &finding.tips {
        if let Err(error) = accepted.insert(digest, *tip) {
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
fn tell(words: &mut Vec<u8>, prefix: &str, refusals: &[Refusal]) {
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
