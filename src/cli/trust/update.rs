//! `countersign trust update`: what the TUF repositories of instances publish now.
//!
//! TUF decides only whether a new trusted root may take the place of the one in use; until then, and
//! whenever anything is wrong, the old one stays. Never called by a hook.

use std::process::{Command, Stdio};

use super::{
    arguments::UpdateArguments,
    entry, open_store, roots,
    store::{Attempt, Entry, Store},
};
use crate::{
    cli::{Outcome, World, exit, settings, transport},
    repository::{Configuration, Scopes},
    service::{
        http::{Bounds, Http},
        tuf::{self, TufError},
    },
    sigstore::trusted_root::{Instance, PUBLIC_GOOD, TrustedRootError},
    words::{self, Failure},
};

/// How long nothing is tried again by itself, in seconds.
const PAUSE: i64 = 86_400;

/// What an update came to.
pub(super) enum Updated {
    /// The repository publishes what is in use, or something older than another update has just brought.
    Unchanged,
    /// The trusted root with this digest is in use now.
    Replaced([u8; 32]),
}

/// Why the trusted root in use stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpdateError {
    /// Our own files.
    #[error("{}", .0.error)]
    Files(Failure),
    /// There is nothing to ask.
    #[error("the instance '{0}' has no TUF repository")]
    NoRepository(String),
    /// The repository, or its answer.
    #[error("{0}")]
    Tuf(TufError),
    /// The new root cannot be used.
    #[error("the new trusted root cannot be used: {0}")]
    Unusable(TrustedRootError),
}

impl From<Failure> for UpdateError {
    fn from(failure: Failure) -> Self {
        Self::Files(failure)
    }
}

impl From<UpdateError> for Failure {
    fn from(error: UpdateError) -> Self {
        let hint = match &error {
            UpdateError::Files(failure) => return failure.clone(),
            UpdateError::NoRepository(name) => format!(
                "get its trusted root again from whoever runs it, and run 'countersign trust add {name} --replace'"
            ),
            UpdateError::Tuf(error) if error.is_refusal() => {
                "try again later; if it stays, ask whoever runs the instance".to_owned()
            }
            UpdateError::Tuf(_) => "try again when the network and the repository are there".to_owned(),
            UpdateError::Unusable(_) => "look for a newer countersign that understands it".to_owned(),
        };
        Self::new(error, hint)
    }
}

/// Update one instance, or each that has a repository.
pub(super) fn run(world: &mut World<'_>, arguments: &UpdateArguments) -> Outcome {
    let entries = match &arguments.name {
        Some(name) => vec![entry(name)?],
        None => updatable(world)?,
    };
    let configuration = settings::configuration(world)?;
    let configured = (!arguments.detached).then_some(&configuration);
    let mut worst = exit::GOOD;
    for entry in entries {
        if arguments.detached && is_recent(&entry, world.now) {
            continue;
        }
        let outcome = update(world, &configuration, &entry);
        let name = words::escape(&entry.name);
        match outcome {
            _ if arguments.detached => {}
            Ok(Updated::Unchanged) => world.say(&format!("{name}: unchanged\n")),
            Ok(Updated::Replaced(digest)) => {
                world.say(&format!("{name}: updated to sha256:{}\n", hex::encode(digest)));
            }
            Err(error) => {
                let refused = match &error {
                    UpdateError::Tuf(error) => error.is_refusal(),
                    UpdateError::Unusable(_) => true,
                    UpdateError::Files(_) | UpdateError::NoRepository(_) => false,
                };
                let status = if refused { exit::BAD } else { exit::COULD_NOT_RUN };
                worst = worst.max(status);
                let mut failure = Failure::from(error);
                failure.error = format!("{}: {}; the trusted root in use stays", entry.name, failure.error);
                world.complain(&failure.to_string());
            }
        }
        let key = format!("countersign.{}.trustedRoot", entry.name);
        let other =
            configured.and_then(|configuration| settings::path(world, configuration, &key).ok().flatten());
        if let Some(other) = other {
            world.complain(&format!(
                "warning: '{key}' names '{}', which goes before what is updated\n",
                words::escape(&other.display().to_string())
            ));
        }
    }
    Ok(worst)
}

/// Every instance with a repository: those that count here, and those of the data folder.
fn updatable(world: &World<'_>) -> Result<Vec<Entry>, Failure> {
    let store = open_store()?;
    let mut names = roots::names(&settings::configuration(world)?, &[])?;
    names.extend(store.names()?);
    names.insert(PUBLIC_GOOD.to_owned());
    let mut entries = Vec::new();
    for entry in names.iter().filter_map(|name| store.entry(name)) {
        if entry.repository()?.is_some() {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Ask the instance's repository, and put what it publishes in the place of the root in use.
pub(super) fn update(
    world: &World<'_>,
    configuration: &Configuration,
    entry: &Entry,
) -> Result<Updated, UpdateError> {
    let note = |error: Option<String>| entry.note_attempt(&Attempt { at: world.now, error });
    note(None)?;
    let http = transport::http(world, configuration, &entry.name, Bounds::default());
    let updated = http.map_err(UpdateError::Files).and_then(|http| try_update(entry, http, world.now));
    if let Err(error) = &updated {
        note(Some(error.to_string()))?;
    }
    updated
}

fn try_update(entry: &Entry, http: Http, now: i64) -> Result<Updated, UpdateError> {
    let repository = entry.repository()?.ok_or_else(|| UpdateError::NoRepository(entry.name.clone()))?;
    let cache = entry.cache()?;
    let update = tuf::update(&repository.url, &repository.root, &cache, now, http);
    let update = update.map_err(UpdateError::Tuf)?;
    let json = std::str::from_utf8(&update.trusted_root)
        .map_err(|error| UpdateError::Unusable(TrustedRootError::Json(error.to_string())))?;
    let instance = Instance::from_json(&entry.name, json).map_err(UpdateError::Unusable)?;
    let before = entry.accepted()?.is_some_and(|before| before.json == json);
    let taken = entry.accept_update(json, &repository.url, &update, now)?;
    Ok(if before || !taken { Updated::Unchanged } else { Updated::Replaced(*instance.digest()) })
}

/// Whether an update was tried within a day.
fn is_recent(entry: &Entry, now: i64) -> bool {
    // A note from the future is a clock that was put right.
    entry.attempt().is_some_and(|attempt| attempt.at <= now && now < attempt.at.saturating_add(PAUSE))
}

/// After a signature: begin an update of the instance `name` in a process of its own, if the user wants
/// that and none was tried within a day. Whatever goes wrong is no concern of the signature's.
pub(in crate::cli) fn start_detached(world: &World<'_>, configuration: &Configuration, name: &str) {
    let wanted = configuration.boolean("countersign.autoUpdate", Scopes::Protected);
    if !matches!(wanted, Ok(Some(true))) {
        return;
    }
    let Some(entry) = Store::open().and_then(|store| store.entry(name)) else { return };
    if is_recent(&entry, world.now) || !matches!(entry.repository(), Ok(Some(_))) {
        return;
    }
    let mut command = Command::new(&world.program);
    command.args(["trust", "update", "--detached", "--", name]);
    // git reads our outputs to their end: the process must hold none of them.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Nor is it to be interrupted together with git.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut command, DETACHED_PROCESS);
    let _ = command.spawn();
}

/// CreateProcess's flag for a process without console.
#[cfg(windows)]
const DETACHED_PROCESS: u32 = 0x0000_0008;
