//! Which trusted root an instance has here, where it came from, and how old it is.
//!
//! The file that the configuration or a policy names goes first, then the last root that was accepted
//! into the user's data folder, then the one that is built in. Nothing here reads the network or TUF's
//! expiry.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::store::{self, Record, Source, Store};
use crate::{
    cli::{World, settings},
    policy::{Limits, SubjectPattern},
    repository::{Configuration, Scopes},
    sigstore::trusted_root::{BUILT_IN_SINCE, Instance, PUBLIC_GOOD, STAGING},
    trust::Place,
    words::Failure,
};

/// The name under which the embedded authority is used; trials count only where they are named.
const SANDBOX: &str = "sandbox";
const SECONDS_A_DAY: i64 = 86_400;

/// An instance, loaded, and what is known of its trusted root.
#[derive(Debug)]
pub(in crate::cli) struct Root {
    pub(in crate::cli) instance: Instance,
    pub(in crate::cli) facts: Facts,
}

/// What is known of a trusted root.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Facts {
    /// The instance.
    pub(in crate::cli) name: String,
    /// SHA-256 of the JSON text.
    pub(in crate::cli) digest: [u8; 32],
    /// Where it came from.
    pub(in crate::cli) origin: Origin,
    /// When it was last known to be the newest one, in seconds since 1970.
    pub(in crate::cli) since: i64,
    /// 'countersign trust update' can replace it.
    pub(in crate::cli) is_updatable: bool,
}

/// Where a trusted root came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Origin {
    /// Accepted into the data folder.
    Accepted(Option<Record>),
    /// Embedded in the program.
    BuiltIn,
    /// Kept in a commit, written as git writes it: `COMMIT:PATH`.
    Committed(String),
    /// The file that configuration, policy or command line names.
    File(PathBuf),
}

impl Facts {
    /// Whole days since the root was last known to be the newest one.
    pub(in crate::cli) fn days(&self, now: i64) -> i64 {
        now.saturating_sub(self.since).max(0) / SECONDS_A_DAY
    }

    /// `3 days old`
    pub(in crate::cli) fn age(&self, now: i64) -> String {
        match self.days(now) {
            1 => "1 day old".to_owned(),
            days => format!("{days} days old"),
        }
    }

    /// Where it came from, for people; to be escaped.
    pub(in crate::cli) fn origin(&self) -> String {
        match &self.origin {
            Origin::BuiltIn => "built in".to_owned(),
            Origin::Committed(place) => format!("committed as '{place}'"),
            Origin::File(path) => format!("file '{}'", path.display()),
            Origin::Accepted(record) => match record.as_ref().map(|record| &record.source) {
                Some(Source::Tuf { url }) => format!("updated from '{url}'"),
                Some(Source::Keys) => "made from key files".to_owned(),
                Some(Source::File) | None => "added from a file".to_owned(),
            },
        }
    }

    /// What to do about an old or incomplete root.
    pub(in crate::cli) fn remedy(&self) -> String {
        if self.is_updatable {
            format!("run 'countersign trust update {}'", self.name)
        } else {
            format!("get the trusted root of '{}' again from whoever runs the instance", self.name)
        }
    }
}

/// Every instance that counts: those that protected configuration names, those of the data folder,
/// public-good, and `named` besides. Staging and sandbox count only where they are named.
pub(in crate::cli) fn all(
    world: &World<'_>,
    configuration: &Configuration,
    named: &[&str],
) -> Result<Vec<Root>, Failure> {
    let mut roots = Vec::new();
    for name in names(configuration, named)? {
        roots.extend(resolve(world, configuration, &name)?);
    }
    Ok(roots)
}

/// The names of the instances that count; not each of them has a trusted root.
pub(in crate::cli) fn names(
    configuration: &Configuration,
    named: &[&str],
) -> Result<BTreeSet<String>, Failure> {
    let mut names = named_in(configuration);
    names.extend(named.iter().map(|name| (*name).to_owned()));
    if let Some(store) = Store::open() {
        let kept = store.names()?.into_iter();
        names.extend(kept.filter(|name| !counts_where_named(name)));
    }
    names.insert(PUBLIC_GOOD.to_owned());
    Ok(names)
}

/// Whether an instance is one for trials, which counts only where it is named.
pub(in crate::cli) fn counts_where_named(name: &str) -> bool {
    [STAGING, SANDBOX].contains(&name)
}

/// The names that protected configuration speaks of.
fn named_in(configuration: &Configuration) -> BTreeSet<String> {
    let sections = configuration.subsections("countersign", Scopes::Protected);
    let mut names: BTreeSet<String> =
        sections.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.extend(configuration.text("countersign.instance", Scopes::Protected).map(str::to_owned));
    for (_, identity) in configuration.get_all("countersign.trustedIdentity", Scopes::Protected) {
        let identity = String::from_utf8_lossy(identity);
        names.extend(identity.split(' ').next().map(str::to_owned));
    }
    names.remove("");
    names
}

/// The trusted root of the instance `name` as it holds here, if it has one.
pub(in crate::cli) fn resolve(
    world: &World<'_>,
    configuration: &Configuration,
    name: &str,
) -> Result<Option<Root>, Failure> {
    let key = format!("countersign.{name}.trustedRoot");
    if let Some(file) = settings::path(world, configuration, &key)? {
        return from_file(name, &file).map(Some);
    }
    let entry = Store::open().and_then(|store| store.entry(name));
    if let Some(entry) = &entry
        && let Some(accepted) = entry.accepted()?
    {
        let instance = Instance::from_json(name, &accepted.json).map_err(|error| {
            Failure::new(
                format!(
                    "the accepted trusted root '{}' of instance '{name}': {error}",
                    entry.path().display()
                ),
                format!("run 'countersign trust remove {name}', and add it again"),
            )
        })?;
        let is_updatable = entry.repository()?.is_some();
        let origin = Origin::Accepted(accepted.record);
        return Ok(Some(Root::new(instance, origin, accepted.since, is_updatable)));
    }
    let built_in = Instance::built_in(name).transpose().map_err(|error| {
        Failure::new(format!("the built-in trusted root of '{name}': {error}"), "install countersign again")
    })?;
    Ok(built_in.map(|instance| Root::new(instance, Origin::BuiltIn, BUILT_IN_SINCE, entry.is_some())))
}

/// The trusted root in `file` as the instance `name`.
pub(in crate::cli) fn from_file(name: &str, file: &Path) -> Result<Root, Failure> {
    let text = settings::read(file, "trusted root")?;
    let instance = Instance::from_json(name, &text).map_err(|error| {
        Failure::new(
            format!("the trusted root '{}' of instance '{name}': {error}", file.display()),
            "get it again from whoever runs the instance",
        )
    })?;
    let since = store::modified(file)?;
    Ok(Root::new(instance, Origin::File(file.to_owned()), since, false))
}

/// The trusted root that a policy gives to an instance.
pub(in crate::cli) fn from_policy(instance: Instance, place: Place) -> Result<Root, Failure> {
    let (origin, since) = match place {
        Place::File(path) => {
            let since = store::modified(&path)?;
            (Origin::File(path), since)
        }
        Place::Commit(ref commit) => (Origin::Committed(place.to_string()), commit.time),
    };
    Ok(Root::new(instance, origin, since, false))
}

impl Root {
    fn new(instance: Instance, origin: Origin, since: i64, is_updatable: bool) -> Self {
        let (name, digest) = (instance.name().to_owned(), *instance.digest());
        Self { instance, facts: Facts { name, digest, origin, since, is_updatable } }
    }
}

/// What protected configuration believes each instance for, by name.
pub(in crate::cli) fn limits(configuration: &Configuration) -> Result<Vec<(String, Limits)>, Failure> {
    let mut limits = Vec::new();
    for name in configuration.subsections("countersign", Scopes::Protected) {
        let name = String::from_utf8_lossy(name).into_owned();
        let values = |key: &str| -> Vec<String> {
            let values = configuration.get_all(&format!("countersign.{name}.{key}"), Scopes::Protected);
            values.into_iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
        };
        let parsed = values("subject")
            .iter()
            .map(|subject| SubjectPattern::parse(subject))
            .collect::<Result<Vec<_>, _>>()
            .and_then(|subjects| Limits::new(values("issuer"), subjects));
        let limit = parsed.map_err(|error| {
            Failure::new(
                format!("the limits of instance '{name}': {error}"),
                format!("mend 'countersign.{name}.issuer' and 'countersign.{name}.subject'"),
            )
        })?;
        if !limit.is_unlimited() {
            limits.push((name, limit));
        }
    }
    Ok(limits)
}

/// The age in days at which a trusted root tells nothing any more, if there is one.
pub(in crate::cli) fn maximum_age(configuration: &Configuration) -> Result<Option<i64>, Failure> {
    let Some(value) = configuration.get("countersign.trustMaxAge", Scopes::Protected) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value);
    let days = text.parse::<u32>().map_err(|_| {
        Failure::new(
            format!("'countersign.trustMaxAge' is '{text}', which is no number of days"),
            "set it to a whole number of days, or unset it",
        )
    })?;
    Ok(Some(days.into()))
}
