//! The evidence about every object that a push adds, gathered once each and on all cores.

use std::{
    collections::HashMap,
    io::Write,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    time::Duration,
};

use gix::objs::Kind;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use crate::{
    object::{Commit, ObjectId, Tag},
    policy::{Cause, Evidence},
    repository::{ObjectReader, Objects, Proofs},
    verify::Verifier,
};

/// How long work goes on before the pusher hears of it, and how often then.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of each object; or why nothing can be.
pub(super) type Known = HashMap<ObjectId, Result<Evidence, Cause>>;

/// Gather the evidence about `ids`, telling `progress` when it takes long. `now` is in seconds since 1970.
pub(super) fn gather(
    objects: &Objects,
    verifier: &Verifier,
    proofs: &Proofs,
    now: i64,
    ids: &[ObjectId],
    progress: &mut dyn Write,
) -> Known {
    let done = AtomicUsize::new(0);
    let work = || {
        let known = ids.par_iter().map_init(
            || objects.reader(),
            |reader, id| {
                let evidence = evidence(reader, verifier, proofs, now, *id);
                done.fetch_add(1, Ordering::Relaxed);
                (*id, evidence)
            },
        );
        known.collect()
    };
    std::thread::scope(|scope| {
        let (working, finished) = channel::<()>();
        let worker = scope.spawn(move || {
            let _working = working;
            work()
        });
        while let Err(RecvTimeoutError::Timeout) = finished.recv_timeout(PATIENCE) {
            // A pusher who has gone does not change what is judged.
            let done = done.load(Ordering::Relaxed);
            let _ = writeln!(progress, "countersign: judged {done} of {} objects", ids.len());
            let _ = progress.flush();
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn evidence(
    reader: &ObjectReader,
    verifier: &Verifier,
    proofs: &Proofs,
    now: i64,
    id: ObjectId,
) -> Result<Evidence, Cause> {
    let object = reader.read(id).map_err(|error| Cause::Unexpected(error.to_string()))?;
    let signed = match object.kind {
        Kind::Commit => Commit::parse(reader.hash(), &object.bytes).map(|commit| commit.signed),
        Kind::Tag => Tag::parse(reader.hash(), &object.bytes).map(|tag| tag.signed),
        kind => return Err(Cause::Unexpected(format!("the object '{id}' is a {kind}"))),
    };
    Ok(match signed {
        Err(cause) => Evidence::Malformed(cause),
        Ok(signed) => verifier
            .verify_signed(&signed, now, &|id| proofs.of(reader, id))
            .map_or(Evidence::Unsigned, Evidence::Signed),
    })
}
