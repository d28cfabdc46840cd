//! `countersign proof fetch`: batch by batch, judged on all cores and looked up a few at a time.

use std::time::{Duration, Instant};

use gix::objs::Kind;
use rayon::{iter::Either, prelude::*};

use super::{Became, FetchArguments, Tally, author, lookup::Lookup};
use crate::{
    cli::{
        Outcome, World, kept, settings,
        verify::tasks::{self, Task, unreadable},
    },
    object::{Commit, ObjectId, Tag},
    repository::{Object, ObjectReader, Objects, Proofs},
    verify::{Verdict, Verifier},
    words::Failure,
};

/// How many objects are judged before what was found for them is kept: a run that is broken off loses no
/// more than this.
const BATCH: usize = 512;
/// How many questions are put to a log at once.
const AT_ONCE: usize = 4;
/// How often something is said while it takes long.
const INTERVAL: Duration = Duration::from_secs(5);

/// What became of an object, and the bytes to keep with it.
type Found = (ObjectId, Became, Option<Vec<u8>>);

pub(super) fn run(world: &mut World<'_>, arguments: &FetchArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.common.repository.as_deref())?;
    let mut trust = settings::trust(world, &configuration, Some(&repository))?;
    let verifier = Verifier::new(std::mem::take(&mut trust.instances));
    let lookup = Lookup::new(world, &configuration, &verifier)?;
    let author = author(world, &configuration);
    let objects = repository.objects().map_err(|error| unreadable(&error))?;
    let (proofs, trouble) = kept::proofs(&repository, &objects.reader());
    world.complain(&kept::warning(&trouble));
    let (mut tasks, _) = tasks::tasks(world, &arguments.asked, &repository)?;
    let workers = rayon::ThreadPoolBuilder::new().num_threads(AT_ONCE).build().map_err(|error| {
        Failure::new(
            format!("no threads can be started: {error}"),
            "try again on a machine that is less busy",
        )
    })?;
    let judge = Judge { objects: &objects, verifier: &verifier, proofs: &proofs, now: world.now };

    let mut tally = Tally::default();
    let (mut looked_at, mut said) = (0_u64, Instant::now());
    loop {
        let batch: Vec<Task> = tasks.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        looked_at += batch.len() as u64;
        let (unreadable, needing): (Vec<(ObjectId, String)>, Vec<Needing>) = batch
            .into_par_iter()
            .map_init(|| objects.reader(), |reader, task| judge.needing(reader, task))
            .flatten()
            .partition_map(Either::from);
        let asked: Vec<Result<Found, Failure>> =
            workers.install(|| needing.into_par_iter().map(|needing| judge.ask(&lookup, needing)).collect());
        let mut failure = None;
        let mut new = Vec::new();
        let mut text = String::new();
        for (id, reason) in unreadable {
            let became = Became::Unreadable(reason);
            tally.count(&became);
            text.push_str(&became.line(id, arguments.common.json));
        }
        for found in asked {
            match found {
                Ok((id, became, bytes)) => {
                    new.extend(bytes.map(|bytes| (id, bytes)));
                    tally.count(&became);
                    text.push_str(&became.line(id, arguments.common.json));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if !new.is_empty() {
            repository.add_proofs(&new, &author).map_err(|error| {
                Failure::new(error, "see that the repository can be written to, and try again")
            })?;
        }
        // Said when it is true: what is kept is kept.
        world.say(&text);
        if let Some(failure) = failure {
            world.complain(&tally.summary());
            return Err(failure);
        }
        if said.elapsed() > INTERVAL {
            said = Instant::now();
            world.complain(&format!("looked at {looked_at} objects so far\n"));
        }
    }
    world.complain(&tally.summary());
    Ok(tally.exit())
}

/// An object whose signature needs an entry of the log.
struct Needing {
    id: ObjectId,
    /// The object; `None` where its entry is kept already.
    object: Option<Object>,
}

struct Judge<'a> {
    objects: &'a Objects,
    verifier: &'a Verifier,
    proofs: &'a Proofs,
    now: i64,
}

impl Judge<'_> {
    /// Whether the object of `task` has a signature that needs an entry. Everything else is somebody
    /// else's to judge.
    fn needing(&self, reader: &ObjectReader, task: Task) -> Option<Result<Needing, (ObjectId, String)>> {
        let id = task.id;
        let object = match task.object.unwrap_or_else(|| reader.read(id)) {
            Ok(object) => object,
            Err(error) => return Some(Err((id, error.to_string()))),
        };
        match self.verdict(reader, &object)? {
            Verdict::Good(proven) if !proven.entry().embedded => Some(Ok(Needing { id, object: None })),
            Verdict::TimeNotProven(_) => Some(Ok(Needing { id, object: Some(object) })),
            _ => None,
        }
    }

    fn verdict(&self, reader: &ObjectReader, object: &Object) -> Option<Verdict> {
        let signed = match object.kind {
            Kind::Commit => Commit::parse(reader.hash(), &object.bytes).ok()?.signed,
            Kind::Tag => Tag::parse(reader.hash(), &object.bytes).ok()?.signed,
            Kind::Tree | Kind::Blob => return None,
        };
        self.verifier.verify_signed(&signed, self.now, &|id| self.proofs.of(reader, id))
    }

    fn ask(&self, lookup: &Lookup<'_>, needing: Needing) -> Result<Found, Failure> {
        let Needing { id, object } = needing;
        let Some(object) = object else { return Ok((id, Became::Already, None)) };
        let hash = self.objects.hash();
        let parsed = match object.kind {
            Kind::Commit => Commit::parse(hash, &object.bytes).map(|commit| commit.signed),
            _ => Tag::parse(hash, &object.bytes).map(|tag| tag.signed),
        };
        let signed = parsed.map_err(|error| unreadable(&error))?;
        match self.verifier.verify_signed(&signed, self.now, &|_| Vec::new()) {
            Some(Verdict::TimeNotProven(judged)) => {
                let (became, bytes) = lookup.find(&signed, &judged)?;
                Ok((id, became, bytes))
            }
            _ => Ok((id, Became::Already, None)),
        }
    }
}
