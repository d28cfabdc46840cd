//! pre-receive: from what git hands over to an answer that git and the pusher understand.

use std::{
    cell::{Cell, RefCell},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    AcceptedTips, Admissions, LogLine, Pace, PolicyPlace, PushEnvironment, Settings, Telling, Update,
    UsedCertificates, Verdicts,
    admission::Taken,
    admitting::{self, Admitted},
    audit::Decision,
    certificate::{self, Surrounding},
    entering::{self, Pushed},
    finding::Finding,
    folding, forge,
    gate::{Gate, MAXIMUM_LISTED},
    kept_approvals, leftovers, not_used,
    pace::{PATIENCE, TimeIsOver},
    parse_updates, proofs,
    snapshot::{Snapshot, SnapshotError},
    standing::{Server, Standing as _},
};
use crate::{
    ledger::PolicyVersion,
    object::{APPROVALS, HashKind, ObjectId},
    policy::{ForgeContext, Policy, Pushing, ReceivedPush},
    repository::{FormatError, PROOFS, Repository, Shallow},
    verify::Verifier,
    words::{Failure, escape},
};

/// The most that is read of a push, in bytes: some hundred thousand refs. Until it is done every other push reads what it
/// was accepted for, and whoever pushes chooses how much that is.
const MAXIMUM_INPUT: u64 = 32 * 1024 * 1024;

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

/// The time that a push has, and after how long the pusher hears of what is being done.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Whether the time is over. Once it is, it stays so.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
    /// How long work goes on before the pusher hears of it, and how often then.
    pub patience: Duration,
}

/// What is known of a push as far as the gate has come with it.
#[derive(Default)]
struct Course {
    updates: Vec<Update>,
    finding: Finding,
    admitted: Vec<Admitted>,
    /// The admissions that were used up for that.
    taken: Vec<Taken>,
    /// Who has signed the push certificate, by the policy's names.
    pushers: Vec<String>,
    policy: Option<[u8; 32]>,
    policy_commit: Option<ObjectId>,
    /// What the pusher is told.
    words: String,
}

/// Judge the push whose updates stand in `input`, tell the pusher on `output`, and write the decision down.
pub fn pre_receive(
    context: &Context,
    input: &mut dyn Read,
    output: &mut dyn Write,
    log_line: LogLine<'_>,
) -> Outcome {
    let begun = Instant::now();
    let is_over = || context.settings.time_limit.is_some_and(|limit| begun.elapsed() >= limit);
    let watch = Watch { is_over: &is_over, patience: PATIENCE };
    pre_receive_by(context, watch, input, output, log_line)
}

/// [`pre_receive`], by another clock than the system's.
pub fn pre_receive_by(
    context: &Context,
    watch: Watch<'_>,
    input: &mut dyn Read,
    output: &mut dyn Write,
    log_line: LogLine<'_>,
) -> Outcome {
    let mut course = Course::default();
    let judged = judge(context, watch, input, output, &mut course);
    let mut words = std::mem::take(&mut course.words);
    let (mut outcome, error) = match judged {
        Ok(()) if course.finding.refusals.is_empty() => (Outcome::Accepted, None),
        Ok(()) => (Outcome::Refused, None),
        Err(failure) => {
            words += &failure.to_string();
            (Outcome::CouldNotRun, Some(failure.error))
        }
    };
    let decision = Decision {
        outcome,
        error: error.as_deref(),
        updates: &course.updates,
        refusals: &course.finding.refusals,
        warnings: &course.finding.warnings,
        admitted: &course.admitted,
        pushers: &course.pushers,
        policy: course.policy,
        policy_commit: course.policy_commit,
    };
    if let Err(error) = decision.write(context, log_line) {
        let required = context.settings.audit_required;
        let failure = Failure::new(
            format!("the decision cannot be written down: {error}"),
            if required { ADMINISTRATOR } else { "tell the server's administrator; it changes no decision" },
        );
        words += &if required { failure.to_string() } else { as_warning(&failure) };
        if required && outcome == Outcome::Accepted {
            outcome = Outcome::CouldNotRun;
        }
    }
    if outcome != Outcome::Accepted {
        course.taken.drain(..).for_each(Taken::give_back);
    }
    if outcome == Outcome::Accepted {
        remember(&context.state, &course.finding, &mut words);
    }
    if let Some(forge) = context.forge.as_ref().filter(|_| outcome != Outcome::Accepted) {
        words = forge::told(forge, &words);
    }
    // A pusher who has gone does not change the answer.
    let _ = output.write_all(words.as_bytes()).and_then(|()| output.flush());
    leftovers::sweep(&context.state, context.now);
    outcome
}

/// What the server's administrator has to see to.
const ADMINISTRATOR: &str = "every push is refused until this is mended; ask the server's administrator";

/// What it costs that nothing is remembered.
const VERIFIED_ANEW: &str = "hint: tell the server's administrator; the next push is verified anew\n";

fn as_warning(failure: &Failure) -> String {
    failure.to_string().replacen("error: ", "warning: ", 1)
}

fn judge(
    context: &Context,
    watch: Watch<'_>,
    input: &mut dyn Read,
    output: &mut dyn Write,
    course: &mut Course,
) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error, ADMINISTRATOR);
    let output = Shared(RefCell::new(output));
    let begun = Instant::now();
    let told = Cell::new(begun);
    let tell = |words: &dyn Fn() -> String| {
        if told.get().elapsed() >= watch.patience {
            told.set(Instant::now());
            // A pusher who has gone does not change what is judged.
            let _ = writeln!(&output, "countersign: {}", words());
        }
    };
    let reads = |met: usize| {
        // What was done before the first one took its time, and says nothing of the history.
        if met > 0 {
            tell(&|| format!("read {met} commits of a history"));
        }
    };
    let changes = |judged: usize, of: usize| {
        tell(&|| match of {
            0 => format!("read {judged} changes of the policy"),
            of => format!("judged {judged} of {of} changes of the policy"),
        });
    };
    let Watch { is_over, patience } = watch;
    let pace = Pace { is_over, reads: &reads, changes: &changes, patience, verdicts: None };

    let mut lines = Vec::new();
    let read = input.take(MAXIMUM_INPUT + 1).read_to_end(&mut lines);
    read.map_err(|error| failed(&format!("the push cannot be read: {error}")))?;
    if lines.len() as u64 > MAXIMUM_INPUT {
        return Err(Failure::new("the push names too many refs", "update fewer refs at a time"));
    }
    let repository = Repository::at(&context.repository).map_err(|error| failed(&error))?;
    course.updates = parse_updates(repository.hash(), &lines).map_err(|error| {
        Failure::new(error, "this command is for git's pre-receive hook, which gets a line for each ref")
    })?;
    if context.environment.namespace.is_some() {
        return Err(Failure::new(
            "the push goes to a namespace ('GIT_NAMESPACE'), whose refs have other names than it says",
            "push to the repository itself; namespaces are not supported",
        ));
    }
    if let Some(backend) =
        context.environment.reference_backend.as_ref().filter(|backend| *backend != "files")
    {
        return Err(failed(&FormatError::RefStorage(backend.to_string_lossy().into_owned())));
    }

    let references = repository.references();
    let read = Snapshot::read(context, &repository, &references, &pace, &mut course.words);
    let mut snapshot = match read {
        Ok(snapshot) => snapshot,
        // A pusher reads it, who can do nothing about it.
        Err(SnapshotError::Failed(failure)) if failure.hints.iter().all(|hint| hint != ADMINISTRATOR) => {
            return Err(failure.hint(ADMINISTRATOR));
        }
        Err(SnapshotError::Failed(failure)) => return Err(failure),
        Err(SnapshotError::OutOfTime { judged, of }) => return refuse_late(&repository, course, judged, of),
    };
    (course.policy, course.policy_commit) = (Some(snapshot.trust.digest), snapshot.commit);
    if let Some(git_dir) = &context.environment.git_dir
        && !same_place(git_dir, repository.git_dir())
    {
        return Err(Failure::new(
            format!("this hook was installed for the repository '{}'", repository.git_dir().display()),
            "run 'countersign hook install' for this repository",
        ));
    }
    if let Some(what) = foreign_anchor(&snapshot.trust.policy, repository.hash()) {
        return Err(failed(&what));
    }
    // Before the refs are judged: what is entered from here on is what this push may have seen.
    let ledger = if context.settings.ledger { entering::prepare(context, &repository, begun)? } else { None };
    let environment = &context.environment;
    let objects = repository
        .objects_with(environment.quarantine.as_deref(), &environment.object_directories)
        .map_err(|error| failed(&error))?;
    let shallow = repository.shallow(environment.shallow_file.as_deref()).map_err(|error| failed(&error))?;
    let proofs = proofs::kept(&objects, &references, &course.updates);
    let verdicts = Verdicts::open(&context.state, &snapshot.trust, &snapshot.instances, context.now);
    let verifier = Verifier::new(std::mem::take(&mut snapshot.instances))
        .with_openpgp(std::mem::take(&mut snapshot.trust.openpgp))
        .with_smime(std::mem::take(&mut snapshot.trust.smime));
    let surrounding = Surrounding {
        environment: &environment.certificate,
        push_options: environment.push_options.as_deref(),
        updates: &course.updates,
        addresses: &context.settings.addresses,
        used: &UsedCertificates::new(&context.state),
        verifier: &verifier,
        now: context.now,
        is_over,
    };
    let Ok(certificate) = certificate::receive(&surrounding, &objects.reader()) else {
        snapshot.remember(context, &mut course.words);
        return refuse_late(&repository, course, 0, 0);
    };
    let verified = certificate.as_ref().and_then(|received| received.as_ref().ok()?.verified());
    let pushing = Pushing::Received(ReceivedPush {
        certificate: certificate.map(|received| received.and_then(|certificate| certificate.judged)),
        forge: context.forge.clone(),
    });
    let certified = snapshot.trust.policy.certified_pushers(&pushing, context.now);
    course.pushers = certified.into_iter().map(str::to_owned).collect();
    let approvals = kept_approvals(&objects, &references, &course.updates);
    let verdicts = verdicts
        .inspect_err(|error| {
            let error = escape(&error.to_string());
            course.words +=
                &format!("warning: what is found good is not remembered: {error}\n{VERIFIED_ANEW}");
        })
        .ok();
    let accepted = AcceptedTips::new(&context.state);
    let server = Server::new(&references, &accepted);
    let gate = Gate {
        policy: &snapshot.trust.policy,
        verifier: &verifier,
        objects: &objects,
        standing: &server,
        shallow: &shallow,
        proofs: &proofs,
        pushing: &pushing,
        approvals: &approvals,
        now: context.now,
        maximum_listed: MAXIMUM_LISTED,
        pace: Pace { verdicts: verdicts.as_ref(), ..pace },
    };
    let admissions = Admissions::new(&context.state);
    let holding = admissions.holding(context.now);
    let is_admitted = |update: &&Update| holding.iter().any(|admission| admission.admits(update));
    let (admitted, others): (Vec<&Update>, Vec<&Update>) = course.updates.iter().partition(is_admitted);
    let others: Vec<Update> = others.into_iter().cloned().collect();
    let reader = objects.reader();
    let mut finding = gate.judge(&others, &mut &output);
    finding.refusals.extend(folding::refusals(&repository, &snapshot.trust.policy, &course.updates));
    let changed = snapshot.judge_changes(context, &reader, &server, &course.updates, &pace, &mut finding);
    if changed == Err(TimeIsOver) {
        finding = finding.out_of_time(&course.updates, 0, 0);
    } else if finding.refusals.is_empty() && is_over() {
        let judged = finding.judged.len();
        finding = finding.out_of_time(&course.updates, judged, judged);
    }
    if finding.refusals.is_empty() && !admitted.is_empty() {
        let admitted: Vec<Update> = admitted.into_iter().cloned().collect();
        course.admitted = admitting::judge(&gate, &holding, &admitted, &mut finding, &mut &output);
    }
    course.words += &not_used(PROOFS, &proofs.trouble());
    course.words += &not_used(APPROVALS, &approvals.trouble());
    snapshot.remember(context, &mut course.words);
    let mut entered = Ok(());
    if context.settings.ledger && finding.refusals.is_empty() {
        let policy =
            snapshot.commit.map_or(PolicyVersion::Digest(snapshot.trust.digest), PolicyVersion::Commit);
        let reasons = course.admitted.iter().map(|admitted| admitted.admission.reason_words());
        let pushed = Pushed::new(verified, &course.pushers, context.forge.as_ref(), reasons);
        entered = entering::entries(&course.updates, &|name| server.value(name))
            .map_err(|error| entering::failure(&error))
            .and_then(|entries| entering::leave(context, repository.hash(), policy, pushed, ledger, entries));
    }
    // Last of all: what is used up is needed, and enough.
    if entered.is_ok() && finding.refusals.is_empty() {
        course.taken = admitting::take(&admissions, &accepted, &course.admitted, context.now, &mut finding);
    }
    let is_accepted = entered.is_ok() && finding.refusals.is_empty();
    if let Some(verdicts) = verdicts.filter(|_| is_accepted || finding.is_out_of_time)
        && let Err(error) = verdicts.keep(is_accepted)
    {
        let error = escape(&error.to_string());
        course.words +=
            &format!("warning: what was found good cannot be remembered: {error}\n{VERIFIED_ANEW}");
    }
    let telling = Telling {
        reader: &reader,
        shallow: &shallow,
        updates: &course.updates,
        is_own: true,
        go_on: &|| !is_over(),
    };
    let mut words = telling.all("warning", &finding.warnings);
    for Admitted { admission, waived, .. } in course.admitted.iter().filter(|_| is_accepted) {
        // It is in, and there is nothing to mend.
        let told = telling.all("warning", waived);
        words.extend(told.lines().filter(|line| !line.starts_with("hint: ")).flat_map(|line| [line, "\n"]));
        words += &format!("warning: admitted by the server's administrator: {}\n", admission.words());
    }
    words += &telling.all("error", &finding.refusals);
    if finding.unnamed > 0 {
        let word = if finding.refusals.is_empty() { "warning" } else { "error" };
        words += &format!("{word}: and {} more\n", finding.unnamed);
    }
    course.words += &words;
    course.finding = finding;
    entered
}

/// Refuse the push because the time was over before its refs were looked at, when so many steps of so many were
/// judged.
fn refuse_late(
    repository: &Repository,
    course: &mut Course,
    judged: usize,
    of: usize,
) -> Result<(), Failure> {
    let objects = repository.objects().map_err(|error| Failure::new(error, ADMINISTRATOR))?;
    course.finding = Finding::default().out_of_time(&course.updates, judged, of);
    let telling = Telling {
        reader: &objects.reader(),
        shallow: &Shallow::default(),
        updates: &course.updates,
        is_own: true,
        go_on: &|| false,
    };
    course.words += &telling.all("error", &course.finding.refusals);
    Ok(())
}

/// What several may write to in turn.
struct Shared<'a>(RefCell<&'a mut dyn Write>);

impl Write for &Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

/// What is wrong with an anchor that no commit of a repository with `hash` can be, if one is.
#[must_use]
pub fn foreign_anchor(policy: &Policy, hash: HashKind) -> Option<String> {
    let foreign = |anchor: &ObjectId| anchor.kind() != hash;
    let rule = policy.rules().iter().find(|rule| rule.anchor.as_ref().is_some_and(foreign))?;
    Some(format!("the anchor of rule '{}' is of another hash than the repository's", rule.name))
}

pub(super) fn same_place(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Write down what was accepted. If that fails, more will have to be judged another time, so the
/// push is not refused for it.
fn remember(state: &Path, finding: &Finding, words: &mut String) {
    if let Err(error) = AcceptedTips::new(state).note(&finding.begun, &finding.tips) {
        *words += &format!(
            "warning: what was accepted cannot be noted in '{}': {error}\n\
             hint: new refs are judged with their whole history until it can\n",
            escape(&state.display().to_string())
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tip_counts_where_it_cannot_be_noted_that_its_ref_was_met() {
        let state = tempfile::tempdir().unwrap();
        let (digest, tip) = ([1; 32], ObjectId::null(HashKind::Sha1));
        let name = b"refs/heads/main".to_vec();
        let finding =
            Finding { tips: vec![(digest, tip)], begun: vec![(digest, name.clone())], ..Finding::default() };
        let accepted = AcceptedTips::new(state.path());
        let folder = state.path().join("accepted").join(hex::encode(digest));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("refs"), "in the way").unwrap();
        let mut words = String::new();
        remember(state.path(), &finding, &mut words);
        assert!(words.contains("cannot be noted") && words.contains("hint: "), "{words}");
        assert!(!accepted.contains(&digest, tip));
        std::fs::remove_file(folder.join("refs")).unwrap();
        words.clear();
        remember(state.path(), &finding, &mut words);
        assert_eq!(words, "");
        assert!(accepted.contains(&digest, tip) && accepted.has_begun(&digest, &name));
    }
}
