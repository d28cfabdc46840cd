//! `countersign verify`: who vouches for these commits and tags, for people and for machines.

pub(super) mod certificates;
pub(super) mod merged;
mod progress;
pub(super) mod tasks;

use std::sync::OnceLock;

use gix::objs::Kind;
use rayon::prelude::*;

use super::{
    Outcome, World,
    arguments::{Format, VerifyArguments},
    certificate, gnupg, gpgsm,
    kept::{self, Kept},
    policy::source::{self, Source},
    report::{Answer, Line, Place, Report, Tally},
    settings::{self, Trust},
    trust::roots,
};
use crate::{
    object::{Commit, ObjectId, PushCertificate, Signed, Tag},
    policy::{Covered, Receipt},
    repository::{Coverage, Object, ObjectReader, Objects, Proofs, Repository, Shallow},
    sigstore::certificate::SubjectKind,
    verify::{Identity, Verdict, Verifier},
    words::{self, Failure},
};
use progress::Progress;
use tasks::{TagNames, Task, Tasks, unreadable};

/// How many objects are judged before their lines are printed, and how many bytes of them are held at once:
/// memory stays flat however many there are.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Everything that an answer goes by.
struct Judge<'a> {
    repository: &'a Repository,
    objects: Objects,
    verifier: &'a Verifier,
    trust: &'a Trust,
    tags: TagNames,
    /// Entries of the log that the repository keeps.
    proofs: Proofs,
    now: i64,
    shallow: Shallow,
    /// What the policy's anchors cover, once somebody asks.
    coverage: OnceLock<Coverage>,
}

/// Verify what is asked for and print a report.
pub(super) fn run(world: &mut World<'_>, arguments: &VerifyArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    let mut trust = trust(world, arguments, &configuration, &repository)?;
    let ring = std::mem::take(&mut trust.openpgp);
    let verifier = Verifier::new(std::mem::take(&mut trust.instances))
        .with_openpgp(ring)
        .with_smime(std::mem::take(&mut trust.smime))
        .with_ssh_revocations(settings::ssh_revocations(world, &configuration)?);
    if arguments.verbose {
        tell_sources(world, &trust);
    }
    let objects = repository.objects().map_err(|error| unreadable(&error))?;
    let (tasks, tags) = match &arguments.push_certificate {
        None => tasks::tasks(world, &arguments.asked, &repository)?,
        Some(file) => {
            let object = certificate::from_file(repository.hash(), &world.directory.join(file))?;
            let task = Task { id: object.id, object: Some(Ok(object)), revision: None, place: Place::Named };
            let tasks: Tasks<'_> = Box::new(std::iter::once(Ok(task)));
            (tasks, TagNames::new())
        }
    };
    let (proofs, trouble) = kept::proofs(&repository, &objects.reader());
    world.complain(&kept::warning(&trouble));
    let judge = Judge {
        repository: &repository,
        objects,
        verifier: &verifier,
        trust: &trust,
        tags,
        proofs,
        now: world.now,
        shallow: repository.shallow(None).map_err(|error| unreadable(&error))?,
        coverage: OnceLock::new(),
    };
    let format = if arguments.json { Format::Json } else { arguments.format };
    let mut report =
        Report::new(format, world.terminals.colours, trust.policy_source.as_ref().map(Source::json));
    let mut tally = Tally::default();
    let outcome = judge_all(world, &judge, tasks, &mut report, &mut tally);
    report.finish(world, &tally, outcome.as_ref().err())?;

    for gap in tally.gaps() {
        world.complain(&gap.to_string());
    }
    for warning in
        source::unheard(&configuration).iter().chain(&trust.unpinned.map(|found| found.warning(&repository)))
    {
        world.complain(&source::as_warning(warning));
    }
    if tally.unnamed && trust.unpinned.is_none() {
        world.complain(
            "warning: signatures are proven, but neither a policy nor '--identity' says who should sign\n\
             hint: name one signer with '--identity SUBJECT --issuer URL', or a policy with '--policy FILE'\n\
             hint: 'countersign policy init FILE' writes a first policy\n",
        );
    }
    for hint in tally.hints() {
        world.complain(&format!("hint: {}\n", words::escape(hint)));
    }
    let listing = arguments.asked.all || arguments.asked.stdin || arguments.asked.since.is_some();
    if listing
        || (tally.total() > 1 && arguments.asked.revisions.iter().any(|revision| revision.contains("..")))
    {
        world.complain(&tally.summary());
    }
    outcome.map(|()| tally.exit())
}

/// Judge all `tasks` on all cores, batch by batch: while one is judged, the next is gathered.
fn judge_all(
    world: &mut World<'_>,
    judge: &Judge<'_>,
    mut tasks: Tasks<'_>,
    report: &mut Report,
    tally: &mut Tally,
) -> Result<(), Failure> {
    // Lines that go to the same terminal are progress enough.
    let mut progress = Progress::begin(world.terminals.stderr && !world.terminals.stdout);
    let mut gathered = gather(&mut tasks);
    // Without a policy, what the user's own GnuPG knows is worth saying; it is asked at most once.
    let mut own = None;
    loop {
        let (batch, failure) = gathered;
        if batch.is_empty() {
            progress.end();
            return failure.map_or(Ok(()), Err);
        }
        let (mut lines, next) = rayon::join(
            || judge.batch(batch),
            || match failure {
                Some(failure) => (Vec::new(), Some(failure)),
                None => gather(&mut tasks),
            },
        );
        gathered = next;
        if judge.trust.source.is_none() && lines.iter().any(Line::lacks_key) {
            let own = own.get_or_insert_with(|| {
                Verifier::new(Vec::new())
                    .with_openpgp(gnupg::ring(world, None))
                    .with_smime(gpgsm::authorities(world))
            });
            judge.again(own, &mut lines);
        }
        lines.iter().for_each(|line| tally.count(line));
        let text = report.lines(&lines)?;
        world.say(&text);
        if let Some(words) = progress.advance(tally.total()) {
            world.complain(&words);
        }
    }
}

/// The next tasks, and why there are no more if that has a reason.
fn gather(tasks: &mut Tasks<'_>) -> (Vec<Task>, Option<Failure>) {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        match tasks.next() {
            Some(Ok(task)) => {
                bytes += task.object.iter().flatten().map(|object| object.bytes.len()).sum::<usize>();
                batch.push(task);
            }
            Some(Err(failure)) => return (batch, Some(failure)),
            None => break,
        }
    }
    (batch, None)
}

fn trust(
    world: &World<'_>,
    arguments: &VerifyArguments,
    configuration: &crate::repository::Configuration,
    repository: &Repository,
) -> Result<Trust, Failure> {
    let mut trust = match (&arguments.policy, &arguments.identity, &arguments.issuer) {
        (Some(policy), ..) => settings::policy_trust(world, configuration, policy)?,
        (None, Some(subject), Some(issuer)) => {
            let mut trust = settings::instances(world, configuration, &[&arguments.instance])?;
            for kind in [SubjectKind::Email, SubjectKind::Uri, SubjectKind::Username] {
                let (instance, issuer, subject) =
                    (arguments.instance.clone(), issuer.clone(), subject.clone());
                trust.name(Identity { instance, issuer, kind, subject }, "--identity");
            }
            trust
        }
        _ => {
            let mut trust = settings::trust(world, configuration, Some(repository))?;
            settings::name_ssh_signers(world, configuration, &mut trust)?;
            trust
        }
    };
    for named in &arguments.trusted_root {
        let (name, file) = named.split_once('=').ok_or_else(|| {
            Failure::new(format!("'--trusted-root {named}' names no file"), "write it as NAME=FILE")
        })?;
        trust.put(roots::from_file(name, &world.directory.join(file))?);
    }
    Ok(trust)
}

fn tell_sources(world: &mut World<'_>, trust: &Trust) {
    let source = trust.source.as_deref().unwrap_or("nobody is named");
    let mut text = format!("identities: {}\n", words::escape(source));
    if let Some(source) = &trust.policy_source {
        text.push_str(&source.details(world));
    }
    if let Some((_, source)) = &trust.ssh_signers {
        text.push_str(&format!("SSH signers: {}\n", words::escape(source)));
    }
    for facts in &trust.roots {
        text.push_str(&format!(
            "trusted root: {} sha256:{} ({}, {})\n",
            words::escape(&facts.name),
            hex::encode(facts.digest),
            words::escape(&facts.origin()),
            facts.age(world.now),
        ));
    }
    world.complain(&text);
}

impl Judge<'_> {
    fn batch(&self, tasks: Vec<Task>) -> Vec<Line> {
        tasks
            .into_par_iter()
            .map_init(|| self.objects.reader(), |reader, task| self.task(reader, task))
            .collect()
    }

    fn task(&self, reader: &ObjectReader, task: Task) -> Line {
        let Task { id, object, revision, place } = task;
        let line = |kind, title, answer| Line { id, kind, title, place, answer, merged: Vec::new() };
        let Object { kind, bytes, .. } = match object.unwrap_or_else(|| reader.read(id)) {
            Ok(object) => object,
            Err(error) => return line(Kind::Commit, String::new(), Answer::Failed(error.to_string())),
        };
        let covered = self.covered(id);
        let receipt = Receipt { now: self.now, covered: &covered };
        // Whoever sees an object that git reads in one way and others in another must not vouch for it.
        let malformed =
            |error: &dyn std::error::Error| line(kind, String::new(), Answer::Bad(error.to_string()));
        match kind {
            Kind::Commit => match Commit::parse(reader.hash(), &bytes) {
                Ok(commit) => {
                    let title = commit.message.split(|byte| *byte == b'\n').next().unwrap_or_default();
                    let kept = self.kept(reader);
                    let answer = answer(&commit.signed, self.verifier, self.trust, &receipt, kept);
                    let mut line = line(kind, words::escape_bytes(title), answer);
                    line.merged = self.merged(reader, self.verifier, receipt).judge(&commit);
                    spoil(&mut line, &commit);
                    line
                }
                Err(error) => malformed(&error),
            },
            Kind::Tag => match Tag::parse(reader.hash(), &bytes) {
                Ok(tag) => {
                    let answer = self.misnamed(revision.as_deref(), id, tag.name).unwrap_or_else(|| {
                        answer(&tag.signed, self.verifier, self.trust, &receipt, self.kept(reader))
                    });
                    line(kind, words::escape_bytes(tag.name), answer)
                }
                Err(error) => malformed(&error),
            },
            Kind::Blob if PushCertificate::is_meant(&bytes) => {
                match PushCertificate::parse(reader.hash(), &bytes) {
                    Ok(parsed) => {
                        let kept = self.kept(reader);
                        let answer = answer(&parsed.signed, self.verifier, self.trust, &receipt, kept);
                        line(kind, certificate::title(&parsed), answer)
                    }
                    Err(error) => malformed(&error),
                }
            }
            Kind::Tree | Kind::Blob => {
                line(kind, String::new(), Answer::Failed(format!("a {kind} carries no signature")))
            }
        }
    }

    /// Ask `verifier` about the lines for which a key was lacking.
    fn again(&self, verifier: &Verifier, lines: &mut [Line]) {
        lines.par_iter_mut().filter(|line| line.lacks_key()).for_each_init(
            || self.objects.reader(),
            |reader, line| {
                let Ok(object) = reader.read(line.id) else { return };
                let covered = self.covered(line.id);
                let receipt = Receipt { now: self.now, covered: &covered };
                let kept = self.kept(reader);
                match object.kind {
                    Kind::Commit => {
                        let Ok(commit) = Commit::parse(reader.hash(), &object.bytes) else { return };
                        if line.answer.lacks_key() {
                            line.answer = answer(&commit.signed, verifier, self.trust, &receipt, kept);
                        }
                        self.merged(reader, verifier, receipt).again(&commit, &mut line.merged);
                        spoil(line, &commit);
                    }
                    Kind::Blob => {
                        let Ok(parsed) = PushCertificate::parse(reader.hash(), &object.bytes) else { return };
                        line.answer = answer(&parsed.signed, verifier, self.trust, &receipt, kept);
                    }
                    _ => {
                        let Ok(tag) = Tag::parse(reader.hash(), &object.bytes) else { return };
                        line.answer = answer(&tag.signed, verifier, self.trust, &receipt, kept);
                    }
                }
            },
        );
    }

    /// What a commit holds was there when it was, so its receipt is that of its merged tags.
    fn merged<'a>(
        &'a self,
        reader: &'a ObjectReader,
        verifier: &'a Verifier,
        receipt: Receipt<'a>,
    ) -> merged::Asked<'a> {
        let kept = self.kept(reader);
        merged::Asked { hash: reader.hash(), verifier, trust: self.trust, receipt, kept }
    }

    fn kept<'a>(&'a self, reader: &'a ObjectReader) -> Kept<'a> {
        Kept { proofs: &self.proofs, reader }
    }

    /// A tag that was asked for by the name of a ref must call itself by that name (git does not compare).
    fn misnamed(&self, revision: Option<&str>, id: ObjectId, name: &[u8]) -> Option<Answer> {
        let calls_itself =
            |reference: &str| reference.strip_prefix("refs/tags/").map(str::as_bytes) == Some(name);
        let named = revision.and_then(|revision| {
            // What follows only says which object of the ref is meant: `v1^{tag}`, `v1@{0}`.
            let asked = revision.split(['^', '~', ':']).next().unwrap_or_default();
            let asked = asked.split("@{").next().unwrap_or_default();
            let short = asked.strip_prefix("refs/tags/").or(asked.strip_prefix("tags/")).unwrap_or(asked);
            let reference = format!("refs/tags/{short}");
            match self.repository.references().read(reference.as_str().into()) {
                Ok(value) if value.id == Some(id) => Some(reference),
                // By its own id, nobody gave it another name.
                _ if id.to_string().starts_with(&asked.to_ascii_lowercase()) => None,
                // Some other ref by which the object was found, with whatever stands before the name.
                _ if asked.as_bytes() == name || asked.as_bytes().ends_with(&[b"/", name].concat()) => None,
                _ => Some(asked.to_owned()),
            }
        });
        let known = self.tags.get(&id).into_iter().flatten().cloned();
        let reference = named.into_iter().chain(known).find(|reference| !calls_itself(reference))?;
        Some(Answer::Misnamed { tag: words::escape_bytes(name), reference: words::escape(&reference) })
    }

    /// Whether an anchor of the policy covers the object `id`; the walk is made once somebody asks.
    fn covered(&self, id: ObjectId) -> impl Fn(i64) -> Covered + '_ {
        move |moment| {
            let coverage =
                self.coverage.get_or_init(|| self.trust.coverage(&self.objects, self.shallow.clone()));
            Covered::from(coverage.covers(id, moment))
        }
    }
}

/// Let what is wrong with a merged tag be what is wrong with the commit, unless that is not good either.
fn spoil(line: &mut Line, commit: &Commit<'_>) {
    if !matches!(line.answer, Answer::Bad(_) | Answer::Unsigned)
        && let Some(fault) = merged::fault(commit, &line.merged)
    {
        line.answer = Answer::Bad(fault);
    }
}

fn answer(
    signed: &Signed<'_>,
    verifier: &Verifier,
    trust: &Trust,
    receipt: &Receipt<'_>,
    kept: Kept<'_>,
) -> Answer {
    let now = receipt.now;
    let Some(verdict) = kept.judge(verifier, signed, now) else { return Answer::Unsigned };
    match verdict {
        Verdict::Good(proven) => {
            let standing = trust.standing(&*proven, receipt);
            match trust.stale(&proven, now).or_else(|| standing.unclear()) {
                Some(unclear) => Answer::CannotTell(unclear),
                None => Answer::Good { proven, standing },
            }
        }
        Verdict::Stated(stated) => {
            let standing = trust.standing_of_stated(&stated, receipt);
            match standing.unclear() {
                Some(unclear) => Answer::CannotTell(unclear),
                None => Answer::Stated { stated, standing },
            }
        }
        Verdict::NotLogged(signed) => {
            let standing = trust.standing(&*signed, receipt);
            match trust.stale_for(signed.identity(), now).or_else(|| standing.unclear()) {
                Some(unclear) => Answer::CannotTell(unclear),
                None => Answer::NotLogged { signed, standing, counts: trust.not_logged_counts },
            }
        }
        Verdict::TimeNotProven(signed) => {
            let standing = trust.standing(&*signed, receipt);
            match trust.stale_for(signed.identity(), now).or_else(|| standing.unclear()) {
                Some(unclear) => Answer::CannotTell(unclear),
                None => Answer::TimeNotProven { signed, standing },
            }
        }
        Verdict::Bad(bad) => Answer::Bad(bad.to_string()),
        Verdict::CannotTell(cause) => Answer::CannotTell(trust.unclear(&cause, now)),
    }
}
