//! `countersign ledger verify`: the refs of this repository, or of a remote, against their ledger.

use std::collections::BTreeMap;

use gix::bstr::BString;
use serde_json::json;

use super::{VerifyArguments, at_hand, certificates, exit, failure, remote, words};
use crate::{
    cli::{Outcome, World, verify::tasks::unreadable},
    ledger::{self, Check, Entry, Finding, Report, Settler, UnderWay, check},
    object::ObjectId,
    repository::Repository,
    words::Failure,
};

/// How often refs and ledger are looked at where they do not agree, and each time in another way.
const LOOKS: usize = 5;

pub(super) fn run(world: &mut World<'_>, arguments: &VerifyArguments) -> Outcome {
    let (repository, folder) = at_hand(world, &arguments.common)?;
    let since = arguments.since.as_deref().map(|since| commit(&repository, since)).transpose()?;
    let (mut report, found) = if let Some(name) = &arguments.remote {
        remote::verify(world, &repository, arguments.common.repository.as_deref(), name, since)?
    } else {
        let (remembered, now) = (folder.remembered().map_err(|error| failure(&error))?, world.now);
        let look = || {
            // Intents first: what is accepted after that may move refs, and is looked for again.
            let intents = folder.intents_left().map_err(|error| failure(&error))?;
            let refs = repository.references().direct().map_err(|error| unreadable(&error))?;
            let refs: BTreeMap<BString, ObjectId> = refs.into_iter().collect();
            let later = folder.intents_left().map_err(|error| failure(&error))?;
            let entries = intents.into_iter().chain(later).flat_map(|intent| intent.entries);
            let mut under_way = UnderWay::new();
            for Entry { old, new, reference } in entries {
                under_way.entry(reference).or_default().push((old, new));
            }
            let settler = Settler { repository: &repository, folder: &folder, now };
            let left_over = settler.left_over().map_err(|error| failure(&error))?;
            let head = ledger::head(&repository).map_err(|error| failure(&error))?;
            let since = since.or(remembered);
            let under_way = &under_way;
            let check =
                Check { refs: &refs, head, remembered: since, under_way, left_over, comes_first: &|_| true };
            let reader = repository.objects().map_err(|error| unreadable(&error))?.reader();
            Ok::<_, Failure>((hold(&repository, &check)?, head.map(|head| (head, reader))))
        };
        let mut seen = look()?;
        // A push may have been entered between one look and the other, and on a busy server so may the next one.
        for _ in 1..LOOKS {
            if !seen.0.findings.iter().any(|finding| matches!(finding, Finding::Moved { .. })) {
                break;
            }
            let before = seen.0.findings;
            seen = look()?;
            if seen.0.findings == before {
                break;
            }
        }
        seen
    };
    if let Some((head, reader)) = found.filter(|_| !arguments.no_certificates) {
        let is_own = arguments.remote.is_none();
        certificates::look(world, (&repository, &reader), head, is_own, &mut report)?;
    }
    tell(world, arguments, &report);
    let is_unclear = |finding: &Finding| {
        matches!(
            finding,
            Finding::UnclearCertificate { .. }
                | Finding::UnderWay { .. }
                | Finding::LeftOver(_)
                | Finding::NoLedger { remembered: None }
        )
    };
    Ok(match report.findings.as_slice() {
        [] => exit::GOOD,
        findings if findings.iter().all(is_unclear) => exit::CANNOT_TELL,
        _ => exit::BAD,
    })
}

/// Hold what was read against the records of `repository`.
fn hold(repository: &Repository, given: &Check<'_>) -> Result<Report, Failure> {
    let reader = repository.objects().map_err(|error| unreadable(&error))?.reader();
    Ok(check(given, |from| ledger::walk(&reader, Some(from), None)))
}

fn commit(repository: &Repository, revision: &str) -> Result<ObjectId, Failure> {
    repository
        .resolve_single(revision)
        .map_err(|error| Failure::new(error, "name a commit that 'refs/countersign/ledger' was seen at"))
}

fn tell(world: &mut World<'_>, arguments: &VerifyArguments, report: &Report) {
    let Report { entries, new_entries, certified, verified, recovered, clock_set_back, .. } = report;
    if arguments.common.json {
        let findings: Vec<_> = report.findings.iter().map(words::finding_json).collect();
        let object = json!({
            "version": 1,
            "entries": entries,
            "new_entries": new_entries,
            "certified": certified,
            "verified": verified,
            "recovered": recovered,
            "clock_set_back": clock_set_back,
            "findings": findings,
            "cut_short": report.is_cut_short,
        });
        world.say(&format!("{object}\n"));
        return;
    }
    let mut text = String::new();
    for finding in &report.findings {
        let is_unclear = matches!(
            finding,
            Finding::UnclearCertificate { .. } | Finding::UnderWay { .. } | Finding::LeftOver(_)
        );
        let prefix = if is_unclear { "warning" } else { "error" };
        text += &format!("{prefix}: {}\n", words::finding(finding));
    }
    if report.is_cut_short {
        text += "error: and more\n";
    }
    for hint in words::hints(&report.findings, arguments.remote.as_deref()) {
        text += &format!("hint: {hint}\n");
    }
    if *clock_set_back > 0 {
        text += &format!("warning: the server's clock was set back {clock_set_back} times\n");
    }
    if *recovered > 0 {
        text +=
            &format!("warning: of {recovered} accepted updates it could not be told whether they happened\n");
    }
    if report.findings.is_empty() {
        let proven = match (certified, arguments.no_certificates) {
            (0, _) | (_, true) => "",
            _ => ", and every certificate is good",
        };
        text += &format!(
            "every ref is as the ledger says: {entries} entries, {certified} of them by a push certificate{proven}\n"
        );
    }
    world.say(&text);
}
