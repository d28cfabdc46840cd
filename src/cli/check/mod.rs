//! `countersign check`: what the gate would say of a change to a ref, for forges that run no hooks.
//!
//! The gate itself judges, by the policy of protected configuration or the command line; the value of the ref
//! before the change is given, as a forge tells it to its builds. Nothing is accepted or remembered.

mod annotations;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gix::bstr::{BStr, BString};

use super::{
    Outcome, World, exit, kept,
    policy::source::{self, with_reading},
    remote::basis,
    settings,
};
use crate::{
    hook::{
        Finding, Gate, MAXIMUM_LISTED, Pace, Standing, Telling, Update, foreign_anchor, judge_policy_change,
        kept_approvals, not_used,
    },
    object::{APPROVALS, ObjectId},
    policy::{Cause, Event, Pushing, Refusal},
    remote::Basis,
    repository::{Configuration, ReferenceError, ReferenceValue, Repository, Scope},
    trust::{Pin, tip},
    words::{Failure, escape},
};

/// Judge a change to a ref as the hook would, in a build
#[derive(Args, Debug)]
pub struct CheckArguments {
    /// The full name of the ref, such as refs/heads/main
    #[arg(long = "ref", value_name = "REF")]
    reference: String,
    /// What the ref named before; all zeros, or nothing, for a ref that did not exist
    #[arg(long, value_name = "COMMIT")]
    base: Option<String>,
    /// What it is to name; all zeros for a ref that is deleted
    #[arg(long, value_name = "COMMIT", default_value = "HEAD")]
    head: String,
    /// HEAD is a topic that somebody is going to merge: it need not descend from the base
    #[arg(long)]
    topic: bool,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// The policy file, instead of the configured policy; never one of the change itself
    #[arg(long, value_name = "FILE", conflicts_with = "pin")]
    policy: Option<PathBuf>,
    /// The policy that the repository keeps in a ref, pinned as 'countersign policy pin --list' shows it
    #[arg(long, value_name = "ID REF COMMIT")]
    pin: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value = "text")]
    format: CheckFormat,
    /// The file to print it to, besides words for people on standard error
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// In which form the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// Words, as a refused push shows them
    Text,
    /// One JSON object
    Json,
    /// Workflow commands, which GitHub shows beside the change
    Github,
    /// GitLab's code quality report
    Gitlab,
    /// SARIF 2.1.0
    Sarif,
}

/// The ref as it was before, and nothing else: what other refs name does not count in a build.
struct Before {
    reference: BString,
    value: Option<ObjectId>,
}

impl Standing for Before {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        let id = self.value.filter(|_| self.reference == name);
        Ok(ReferenceValue { names: vec![name.to_owned()], id })
    }

    fn is_accepted(&self, _digest: &[u8; 32], _commit: ObjectId) -> bool {
        false
    }
}

/// What was judged, for the forms.
struct Judged {
    update: Update,
    finding: Finding,
    /// What a refused pusher reads.
    told: String,
    /// The change is a topic that has not what the ref had.
    behind: bool,
}

/// Run `countersign check`.
pub(super) fn run(world: &mut World<'_>, arguments: &CheckArguments) -> Outcome {
    let judged = judge(world, arguments)?;
    let status = judged.status();
    let text = match arguments.format {
        CheckFormat::Text => judged.words(),
        CheckFormat::Json => annotations::json(&judged),
        CheckFormat::Github => annotations::github(&judged),
        CheckFormat::Gitlab => annotations::gitlab(&judged),
        CheckFormat::Sarif => annotations::sarif(&judged, status),
    };
    match &arguments.output {
        None => world.say(&text),
        Some(path) => {
            let path = world.directory.join(path);
            std::fs::write(&path, text).map_err(|error| {
                let words = format!("'{}' cannot be written: {error}", path.display());
                Failure::new(words, "name another file with '--output'")
            })?;
            world.complain(&judged.words());
        }
    }
    Ok(status)
}

fn judge(world: &mut World<'_>, arguments: &CheckArguments) -> Result<Judged, Failure> {
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    let is_name = gix::validate::reference::name(arguments.reference.as_str().into()).is_ok();
    if !(is_name && arguments.reference.starts_with("refs/")) {
        let words = format!("'{}' is no full name of a ref", arguments.reference);
        return Err(Failure::new(words, "write it as 'refs/heads/main'"));
    }
    let is_nothing =
        |id: &str| id.len() == repository.hash().len_in_hex() && id.bytes().all(|byte| byte == b'0');
    let value = |id: Option<&str>| match id {
        None | Some("") => Ok(None),
        Some(zeros) if is_nothing(zeros) => Ok(None),
        Some(id) => object(&repository, id).map(Some),
    };
    let base = value(arguments.base.as_deref())?;
    let wanted = match arguments.head.as_str() {
        // Nothing at all says nothing; that a ref is deleted is said by zeros.
        "" => Some(object(&repository, "")?),
        head => value(Some(head))?,
    };
    let pinned = pin_of(world, &configuration, &repository, arguments)?;
    // Where the policy itself changes, the one before decides: what the ref names here may be the change already.
    let own = pinned.as_ref().filter(|(_, pin)| pin.reference == arguments.reference).map(|(_, pin)| pin);
    let present = match (own, base) {
        (Some(_), None) => {
            let words =
                format!("'{}' holds the policy, and what it named before is not said", arguments.reference);
            return Err(Failure::new(words, "name the commit with '--base'"));
        }
        (own, base) => own.and(base),
    };
    let basis = basis_of(world, &configuration, &repository, arguments, (pinned.as_ref(), present))?;
    if let Some(what) = foreign_anchor(&basis.policy, repository.hash()) {
        return Err(Failure::new(what, "have the policy's owner mend it"));
    }
    let update = Update { claimed: base, wanted, reference: arguments.reference.clone().into_bytes() };
    let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let shallow = repository.shallow(None).map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let reader = objects.reader();
    let (proofs, trouble) = kept::proofs(&repository, &reader);
    world.complain(&kept::warning(&trouble));
    let approvals = kept_approvals(&objects, &repository.references(), &[]);
    let gate = Gate {
        policy: &basis.policy,
        verifier: &basis.verifier,
        objects: &objects,
        standing: &Before { reference: arguments.reference.as_str().into(), value: base },
        shallow: &shallow,
        proofs: &proofs,
        pushing: &Pushing::Nobody,
        approvals: &approvals,
        now: world.now,
        maximum_listed: MAXIMUM_LISTED,
        pace: Pace::default(),
    };
    let mut finding = gate.judge(std::slice::from_ref(&update), world.stderr);
    world.complain(&not_used(APPROVALS, &approvals.trouble()));
    if let (Some(pin), Some(present)) = (own, present) {
        let judged = with_reading(world, &configuration, |reading| {
            Ok(judge_policy_change(&reader, pin, present, update.wanted, reading))
        })?;
        finding.take_policy_change(&update.reference, judged);
    }
    let mut behind = false;
    if let (true, Some(base), Some(head)) = (arguments.topic, base, update.wanted) {
        behind = base != head && finding.replaced.contains(&update.reference);
        // The forge makes something of both, and what that is is for whoever judges the result: that it is no rewind,
        // and takes no path back. It is not here, and so nobody can have approved it as it is.
        let is_of_the_change = |refusal: &Refusal| match refusal.cause {
            Cause::Event(Event::Rewind) => false,
            Cause::PathTakenBack { .. } | Cause::Threshold(_) => !behind,
            _ => true,
        };
        finding.refusals.retain(is_of_the_change);
        finding.warnings.retain(is_of_the_change);
    }
    let telling = Telling {
        reader: &reader,
        shallow: &shallow,
        updates: std::slice::from_ref(&update),
        is_own: true,
        go_on: &|| true,
    };
    let told = telling.all("warning", &finding.warnings) + &telling.all("error", &finding.refusals);
    Ok(Judged { update, finding, told, behind })
}

/// The pin that says which policy counts, if one does.
fn pin_of(
    world: &World<'_>,
    configuration: &Configuration,
    repository: &Repository,
    arguments: &CheckArguments,
) -> Result<Option<(Scope, Pin)>, Failure> {
    match (&arguments.policy, &arguments.pin) {
        (Some(_), _) => Ok(None),
        (None, Some(text)) => Pin::parse(text).map(|pin| Some((Scope::Command, pin))).map_err(|error| {
            Failure::new(
                format!("'--pin' is '{text}', which is no pin: {error}"),
                "write it as 'countersign policy pin --list' shows it, without the scope",
            )
        }),
        (None, None) => source::pin_of(world, configuration, repository),
    }
}

/// The policy that counts: never one that the change brings along. By a pin it is the one at `present`, or where
/// its ref stands.
fn basis_of(
    world: &World<'_>,
    configuration: &Configuration,
    repository: &Repository,
    arguments: &CheckArguments,
    (pinned, present): (Option<&(Scope, Pin)>, Option<ObjectId>),
) -> Result<Basis, Failure> {
    if let Some(file) = &arguments.policy {
        return basis::by_file(world, configuration, &world.directory.join(file));
    }
    if let Some((scope, pin)) = pinned.filter(|_| arguments.pin.is_some() || present.is_some()) {
        let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
        let at = present.map_or_else(|| tip(&repository.references(), &pin.reference), Ok)?;
        return basis::by_pin(world, configuration, &objects.reader(), (*scope, pin), at);
    }
    basis::configured(world, configuration, repository, || {
        Failure::new(
            "no policy says what counts here",
            "name it with '--policy FILE', or pin the one that the repository keeps with '--pin'",
        )
    })
}

fn object(repository: &Repository, revision: &str) -> Result<ObjectId, Failure> {
    repository.resolve_single(revision).map_err(|error| {
        Failure::new(error, "fetch the whole history of both ('git fetch --unshallow', or 'fetch-depth: 0')")
    })
}

impl Judged {
    fn status(&self) -> u8 {
        match &self.finding.refusals[..] {
            [] => exit::GOOD,
            refusals if refusals.iter().all(|refusal| refusal.cause.is_unclear()) => exit::CANNOT_TELL,
            _ => exit::BAD,
        }
    }

    /// What a refused pusher reads, and a line if nothing is refused.
    fn words(&self) -> String {
        let mut text = self.told.clone();
        if self.behind {
            text += BEHIND;
        }
        if self.finding.refusals.is_empty() {
            text += &format!("{}: accepted\n", escape(&String::from_utf8_lossy(&self.update.reference)));
        }
        text
    }

    /// Everything that is told, and whether it refuses.
    fn told(&self) -> impl Iterator<Item = (&Refusal, bool)> {
        let refusals = self.finding.refusals.iter().map(|refusal| (refusal, true));
        refusals.chain(self.finding.warnings.iter().map(|warning| (warning, false)))
    }
}

const BEHIND: &str = "warning: the topic has not all that the ref has, and what a merge makes of both was not judged\n\
                      hint: have the forge require that topics are up to date\n";
