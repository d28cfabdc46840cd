//! A remote's refs against its ledger, and its ledger against what was seen of it last.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    time::Duration,
};

use gix::bstr::{BString, ByteSlice as _};

use super::{memory::Heads, tracking_ref, verify::hold};
use crate::{
    cli::{
        World,
        policy::git::{git, git_word},
    },
    ledger::{Check, Finding, LEDGER, Report, UnderWay},
    object::ObjectId,
    remote::PREFIX,
    repository::Repository,
    words::Failure,
};

/// How often the remote is asked again where refs and ledger don't agree: a push may be under way.
const ATTEMPTS: usize = 3;

/// How long is waited in between.
const PAUSE: Duration = Duration::from_secs(1);

/// What the remote says of its refs.
struct Listed {
    refs: BTreeMap<BString, ObjectId>,
    head: Option<ObjectId>,
}

/// Look at the remote `name`, and remember its ledger if it goes on from what is remembered.
pub(super) fn verify(
    world: &World<'_>,
    repository: &Repository,
    place: Option<&Path>,
    name: &str,
    since: Option<ObjectId>,
) -> Result<Report, Failure> {
    if name.starts_with('-') {
        return Err(Failure::new(format!("'{name}' is no remote"), "name one of 'git remote'"));
    }
    let url = git_word(world, place, &["ls-remote", "--get-url", name], b"", false)?;
    // Behind the helper the refs would be those that are accepted, and not those that there are.
    let (address, key) = match url.strip_prefix(PREFIX) {
        Some(inner) => (inner, inner),
        None => (name, url.as_str()),
    };
    let heads = Heads::of_user()?;
    let remembered = since.map_or_else(|| heads.load(key), |since| Ok(Some(since)))?;
    let mut attempt = 1;
    let (report, head) = loop {
        let listed = list(world, repository, place, address)?;
        if let Some(head) = listed.head {
            let reader = repository.objects().map_err(|error| unusable(&error))?.reader();
            if reader.kind(head).is_err() {
                let arguments = [
                    "fetch",
                    "-q",
                    "--no-tags",
                    "--no-write-fetch-head",
                    "--no-auto-gc",
                    "--",
                    address,
                    LEDGER,
                ];
                git(world, place, &arguments, b"", false)?;
            }
        }
        let under_way = UnderWay::new();
        let check = Check {
            refs: &listed.refs,
            head: listed.head,
            remembered,
            under_way: &under_way,
            left_over: None,
        };
        let report = hold(repository, &check)?;
        let is_moved = report.findings.iter().any(|finding| matches!(finding, Finding::Moved { .. }));
        if !is_moved || attempt == ATTEMPTS {
            break (report, listed.head);
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
    if let Some(head) = head
        && report.findings.iter().all(goes_on)
    {
        // An address is no name that a ref could have; its ledger is fetched anew each time.
        let tracking = tracking_ref(name);
        if gix::validate::reference::name(tracking.as_str().into()).is_ok() {
            git(world, place, &["update-ref", &tracking, &head.to_string()], b"", false)?;
        }
        heads.save(key, head)?;
    }
    Ok(report)
}

fn list(
    world: &World<'_>,
    repository: &Repository,
    place: Option<&Path>,
    address: &str,
) -> Result<Listed, Failure> {
    let answer = git(world, place, &["ls-remote", "-q", "--symref", "--", address], b"", false)?;
    let (mut refs, mut symbolic) = (BTreeMap::new(), HashSet::new());
    for line in answer.lines() {
        let (value, name) = line.split_once_str("\t").ok_or_else(strange)?;
        if value.starts_with(b"ref: ") {
            symbolic.insert(BString::from(name));
        } else if name.starts_with(b"refs/") && !name.ends_with(b"^{}") {
            let id = ObjectId::from_hex(value).ok().filter(|id| id.kind() == repository.hash());
            refs.insert(BString::from(name), id.ok_or_else(strange)?);
        }
    }
    refs.retain(|name, _| !symbolic.contains(name));
    let head = refs.remove(&BString::from(LEDGER));
    Ok(Listed { refs, head })
}

fn strange() -> Failure {
    Failure::new("the remote's list of refs cannot be read", "see what 'git ls-remote' says of it")
}

fn unusable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(error, "see to the repository and its permissions")
}
