//! `countersign trust list` and `show`: which trusted root is in use, and what is in it.

use ::der::Decode as _;
use serde_json::{Value, json};

use super::{
    arguments::{ListArguments, ShowArguments},
    roots::{self, Origin, Root},
    store::{Source, Store},
};
use crate::{
    cli::{Outcome, World, exit, settings},
    encoding::x509::Slices,
    sigstore::trusted_root::{Authority, Log, Window},
    words::{self, Failure},
};

/// List the instances that count here.
pub(super) fn list(world: &mut World<'_>, arguments: &ListArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let mut status = exit::GOOD;
    for name in roots::names(&configuration, &[])? {
        match roots::resolve(world, &configuration, &name) {
            // Sub-sections of the configuration may be about something else.
            Ok(None) => {}
            Ok(Some(root)) if arguments.json => {
                let line = json(&root, world.now);
                world.say(&format!("{line}\n"));
            }
            Ok(Some(root)) => {
                let mut line = format!(
                    "{:<16} sha256:{}  {}, {}\n",
                    words::escape(&name),
                    &hex::encode(root.facts.digest)[..16],
                    words::escape(&root.facts.origin()),
                    root.facts.age(world.now),
                );
                if let Some(error) = last_error(&name) {
                    line.push_str(&format!("{:<16} the last update failed: {}\n", "", words::escape(&error)));
                }
                world.say(&line);
            }
            Err(failure) => {
                status = exit::COULD_NOT_RUN;
                world.complain(&failure.to_string());
            }
        }
    }
    Ok(status)
}

/// Tell what is in one trusted root.
pub(super) fn show(world: &mut World<'_>, arguments: &ShowArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let name = &arguments.name;
    let root = roots::resolve(world, &configuration, name)?.ok_or_else(|| {
        Failure::new(
            format!("the instance '{name}' has no trusted root here"),
            format!("see 'countersign trust list', or add it with 'countersign trust add {name}'"),
        )
    })?;
    if arguments.json {
        let line = json(&root, world.now);
        world.say(&format!("{line}\n"));
    } else {
        world.say(&describe(&root, world.now));
    }
    Ok(exit::GOOD)
}

fn describe(root: &Root, now: i64) -> String {
    let Root { instance, facts } = root;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!("{name}: {}\n", words::escape(value)));
    };
    line("instance", &facts.name);
    line("trusted root", &format!("sha256:{}", hex::encode(facts.digest)));
    line("source", &facts.origin());
    line("age", &format!("{}, as of {}", facts.age(now), words::time(facts.since)));
    if let Some(error) = last_error(&facts.name) {
        line("last update failed", &error);
    }
    if roots::counts_where_named(&facts.name) {
        line("counts", "only where it is named");
    }
    for log in &instance.logs {
        line("transparency log", &describe_log(log));
    }
    for log in &instance.ct_logs {
        line("CT log", &describe_log(log));
    }
    for authority in &instance.authorities {
        line("certificate authority", &describe_authority(authority));
    }
    for authority in &instance.timestamp_authorities {
        line("timestamp authority", &describe_authority(authority));
    }
    text
}

fn describe_log(log: &Log) -> String {
    let id = hex::encode(&log.id);
    format!("{} {} {}", log.base_url, &id[..id.len().min(16)], describe_window(log.window))
}

fn describe_authority(authority: &Authority) -> String {
    format!("{} {}", subject(authority), describe_window(authority.window()))
}

fn describe_window(window: Window) -> String {
    match bounds(window) {
        (None, None) => "at any time".to_owned(),
        (Some(start), None) => format!("from {}", words::time(start)),
        (None, Some(end)) => format!("until {}", words::time(end)),
        (Some(start), Some(end)) => format!("from {} until {}", words::time(start), words::time(end)),
    }
}

/// The ends that a window has.
fn bounds(window: Window) -> (Option<i64>, Option<i64>) {
    let bound = |end: i64, none: i64| Some(end).filter(|end| *end != none);
    (bound(window.start, i64::MIN), bound(window.end, i64::MAX))
}

/// Who issues, or for a timestamp authority that is one certificate, who signs.
fn subject(authority: &Authority) -> String {
    let pinned = authority.pinned_leaf().and_then(|leaf| Slices::parse(leaf).ok());
    let name = pinned.as_ref().map_or(authority.subject(), |leaf| leaf.subject);
    x509_cert::name::Name::from_der(name).map_or_else(|_| hex::encode(name), |name| name.to_string())
}

/// Why the last update came to nothing.
fn last_error(name: &str) -> Option<String> {
    Store::open()?.entry(name)?.attempt()?.error
}

/// One object; the fields are described in countersign-trust-show(1).
fn json(root: &Root, now: i64) -> Value {
    let Root { instance, facts } = root;
    let source = match &facts.origin {
        Origin::BuiltIn => json!({"kind": "built-in"}),
        Origin::Committed(place) => json!({"kind": "commit", "place": place}),
        Origin::File(path) => json!({"kind": "configured-file", "path": path.to_string_lossy()}),
        Origin::Accepted(record) => match record.as_ref().map(|record| &record.source) {
            Some(Source::Tuf { url }) => json!({"kind": "tuf", "url": url}),
            Some(Source::Keys) => json!({"kind": "keys"}),
            Some(Source::File) | None => json!({"kind": "file"}),
        },
    };
    let window = |window| {
        let (start, end) = bounds(window);
        json!({"start": start, "end": end})
    };
    let log =
        |log: &Log| json!({"url": log.base_url, "id": hex::encode(&log.id), "validFor": window(log.window)});
    let authority = |authority: &Authority| json!({"subject": subject(authority), "validFor": window(authority.window())});
    let mut value = json!({
        "version": 1,
        "instance": facts.name,
        "trustedRootSha256": hex::encode(facts.digest),
        "source": source,
        "since": facts.since,
        "ageDays": facts.days(now),
        "updatable": facts.is_updatable,
        "onlyWhereNamed": roots::counts_where_named(&facts.name),
        "transparencyLogs": instance.logs.iter().map(log).collect::<Vec<_>>(),
        "ctLogs": instance.ct_logs.iter().map(log).collect::<Vec<_>>(),
        "certificateAuthorities": instance.authorities.iter().map(authority).collect::<Vec<_>>(),
        "timestampAuthorities": instance.timestamp_authorities.iter().map(authority).collect::<Vec<_>>(),
    });
    if let Some(error) = last_error(&facts.name) {
        value["lastUpdateError"] = error.into();
    }
    value
}
