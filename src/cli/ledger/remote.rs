//! A remote's refs against its ledger, and its ledger against what was seen of it last.
//!
//! What the remote serves is asked for and kept as the remote helper does it: by git's own transports within a
//! time limit, in a quarantine, in the user's state folder, and remembered with the rest of that remote. Nothing
//! of it comes into the repository at hand.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use gix::bstr::BString;

use crate::{
    cli::{
        World,
        policy::git::git_word,
        remote::{asking, store, unusable},
        verify::tasks::unreadable,
    },
    ledger::{Check, Finding, LEDGER, Report, UnderWay, check, walk},
    object::ObjectId,
    remote::{self, Address, MemoryError, PREFIX, without_secrets},
    repository::{Configuration, ObjectReader, Repository},
    words::Failure,
};

/// How often the remote is asked again where refs and ledger don't agree: a push may be under way.
const ATTEMPTS: usize = 3;

/// How long is waited in between.
const PAUSE: Duration = Duration::from_secs(1);

/// What can be named.
const ADDRESSES: &str =
    "name one of 'git remote', or an address: 'https://HOST/PATH', 'HOST:PATH' or '/PATH'";

/// Look at the remote `name`, and remember its ledger if it goes on from what is remembered; with its head, and what
/// reads its records.
pub(super) fn verify(
    world: &mut World<'_>,
    repository: &Repository,
    place: Option<&Path>,
    name: &str,
    since: Option<ObjectId>,
) -> Result<(Report, Option<(ObjectId, ObjectReader)>), Failure> {
    let address = address(world, place, name)?;
    let configuration = Configuration::read(&world.directory, Some(repository.git_dir()))
        .map_err(|error| Failure::new(error, "run 'git config --list' there to see what is wrong with it"))?;
    let mut context = asking(world, &configuration, address)?;
    // What the repository says of transports counts.
    if let Some(place) = place {
        context.transport.directory = world.directory.join(place);
    }
    let key = context.transport.address.key().to_owned();
    let remembered = context.store.load(&key).map_err(unusable)?.ledger;
    let mut attempt = 1;
    let (report, found) = loop {
        let told = remote::fetch_ledger(&context, world.stderr)?;
        if told.advertised.hash().is_some_and(|hash| hash != repository.hash()) {
            return Err(Failure::new(
                format!("'{}' names objects by another hash than this repository", context.transport.address),
                "look at it from a clone of it",
            ));
        }
        let (head, kept): (Option<ObjectId>, Option<PathBuf>) = told.ledger.unzip();
        let reader = reader(repository, kept.as_slice())?;
        let mut refs = told.advertised.direct();
        refs.remove(&BString::from(LEDGER));
        let under_way = UnderWay::new();
        let hold = |remembered| {
            let given = Check {
                refs: &refs,
                head,
                remembered,
                under_way: &under_way,
                left_over: None,
                comes_first: &|_| true,
            };
            check(&given, |from| walk(&reader, Some(from), None))
        };
        let mut report = hold(since.or(remembered));
        if remembered.is_some() && since.is_some() && since != remembered {
            // It has to go on from both.
            let breaks = hold(remembered).findings.into_iter().filter(|finding| {
                matches!(finding, Finding::Forked { .. } | Finding::RolledBack { .. })
                    && !report.findings.contains(finding)
            });
            let breaks: Vec<Finding> = breaks.collect();
            report.findings.splice(0..0, breaks);
        }
        let is_moved = report.findings.iter().any(|finding| matches!(finding, Finding::Moved { .. }));
        if !is_moved || attempt == ATTEMPTS {
            break (report, head.map(|head| (head, reader)));
        }
        attempt += 1;
        std::thread::sleep(PAUSE);
    };
    let goes_on = |finding: &Finding| {
        !matches!(
            finding,
            Finding::Broken { .. }
                | Finding::Forked { .. }
                | Finding::RolledBack { .. }
                | Finding::NoLedger { .. }
        )
    };
    let head = found.as_ref().map(|(head, _)| *head);
    if head.is_some() && head != remembered && report.findings.iter().all(goes_on) {
        let note = |memory: &mut remote::Memory| {
            if memory.ledger != remembered && memory.ledger != head {
                return Err(MemoryError::Changed(key.clone()));
            }
            memory.ledger = head;
            Ok(())
        };
        context.store.update(&key, note).map_err(|error| match error {
            MemoryError::Changed(_) => Failure::new(error, "run it again"),
            error => unusable(error),
        })?;
    }
    Ok((report, found))
}

/// The head of the ledger of the remote `name` as this user saw it last, if that was ever, and a reader that has
/// its records. The remote is not asked.
pub(super) fn seen(
    world: &World<'_>,
    repository: &Repository,
    place: Option<&Path>,
    name: &str,
) -> Result<Option<(ObjectId, ObjectReader)>, Failure> {
    let (address, store) = (address(world, place, name)?, store()?);
    let Some(head) = store.load(address.key()).map_err(unusable)?.ledger else { return Ok(None) };
    let kept = store.policy_repository(address.key(), head.kind()).map_err(|error| unreadable(&error))?;
    Ok(Some((head, reader(repository, &[kept.join("objects")])?)))
}

fn reader(repository: &Repository, kept: &[PathBuf]) -> Result<ObjectReader, Failure> {
    Ok(repository.objects_with(None, kept).map_err(|error| unreadable(&error))?.reader())
}

/// The address of the remote `name` as git goes to it, without the helper: behind that the refs would be those
/// that are accepted, and not those that there are.
fn address(world: &World<'_>, place: Option<&Path>, name: &str) -> Result<Address, Failure> {
    if name.starts_with('-') {
        return Err(Failure::new(format!("'{name}' is no remote"), ADDRESSES));
    }
    let url = git_word(world, place, &["ls-remote", "--get-url", name], b"", false)?;
    let inner = url.strip_prefix(PREFIX).unwrap_or(&url);
    let is_relative = !inner.starts_with('/') && !inner.contains(':');
    let folder = place.map_or_else(|| world.directory.clone(), |place| world.directory.join(place));
    let whole = is_relative.then(|| folder.join(inner).canonicalize().ok()).flatten();
    if is_relative && whole.is_none() {
        let words = match inner == name {
            true => format!("there is no remote '{name}', and no repository at that path"),
            false => format!("the remote '{name}' is at '{inner}', and there is no repository"),
        };
        return Err(Failure::new(words, ADDRESSES));
    }
    let text = whole.as_deref().and_then(Path::to_str).unwrap_or(inner);
    Address::parse(text)
        .map_err(|error| Failure::new(format!("'{}': {error}", without_secrets(text)), ADDRESSES))
}
