//! `countersign init`: the git configuration that makes git sign and verify with this program.
//!
//! Everything that is going to be set is known before the first thing is set.

mod import;
mod place;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Outcome, World,
    arguments::{InitArguments, Scope},
    consent::ask,
    exit, settings,
    trust::roots,
};
use crate::{
    repository::{Configuration, Scopes},
    trust::{Beside, Trust},
    words::{self, Failure},
};
use place::Place;

/// How long a person may think about a question.
const PATIENCE: Duration = Duration::from_secs(120);

/// One setting to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    key: String,
    value: String,
    /// In the place for what decides about trust; else in the one that was asked for.
    is_trusted: bool,
}

impl Change {
    fn new(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned(), is_trusted: false }
    }

    fn trusted(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), is_trusted: true }
    }
}

/// Set, or with `--dry-run` print, each setting.
pub(super) fn run(world: &mut World<'_>, arguments: &InitArguments) -> Outcome {
    let scope = if arguments.local { Scope::Local } else { arguments.scope };
    let directory = match &arguments.repository {
        Some(repository) => {
            settings::repository(world, Some(repository))?;
            world.directory.join(repository)
        }
        None => world.directory.clone(),
    };
    let git_dir = if arguments.repository.is_none() { world.environment.get("GIT_DIR") } else { None };
    let configuration = Configuration::read(&directory, git_dir.map(Path::new))
        .map_err(|error| Failure::new(error, "run 'git config --list' here to see what is wrong with it"))?;

    let mut changes = of_git(world)?;
    changes.extend(of_arguments(world, arguments)?);
    changes.extend(submodules(world, &configuration, arguments.verified_submodules));
    let (imported, notes) = import::import(&world.environment, &configuration, scope.of_git());
    // What is said on the command line goes before what gitsign was told.
    let is_said = |change: &Change| changes.iter().any(|said| said.key == change.key);
    let imported: Vec<Change> = imported.into_iter().filter(|change| !is_said(change)).collect();
    changes.extend(imported);
    if scope == Scope::Local {
        changes.extend(import::allowed(world, &configuration, &arguments.allow)?);
    }

    let asked_for = Place::of_scope(scope);
    let trusted = if scope == Scope::Local && changes.iter().any(|change| change.is_trusted) {
        Place::of_repository(world, &settings::repository(world, arguments.repository.as_deref())?)?
    } else {
        asked_for.clone()
    };
    for change in trusted.announcement(&configuration) {
        place::set(world, &directory, &Place::of_scope(Scope::Global), &change, arguments.dry_run)?;
    }
    for change in &changes {
        let place = if change.is_trusted { &trusted } else { &asked_for };
        place::set(world, &directory, place, change, arguments.dry_run)?;
    }
    for note in notes.into_iter().chain(overridden(world, scope, &configuration)) {
        world.complain(&format!("{}\n", words::escape(&note)));
    }
    Ok(exit::GOOD)
}

/// What git has to be told.
fn of_git(world: &World<'_>) -> Result<Vec<Change>, Failure> {
    let program = world.program.to_str().ok_or_else(|| {
        Failure::new("the path of this program is not UTF-8", "install countersign under a plain path")
    })?;
    let settings = [
        ("gpg.format", "x509"),
        ("gpg.x509.program", program),
        ("commit.gpgSign", "true"),
        ("tag.gpgSign", "true"),
    ];
    Ok(settings.iter().map(|(key, value)| Change::new(key, value)).collect())
}

/// What lets git take submodules through the remote helper, where that is asked for: git itself lets no
/// helper in there (git-config, `protocol.allow`).
fn submodules(world: &World<'_>, configuration: &Configuration, is_typed: bool) -> Option<Change> {
    const KEY: &str = "protocol.verified.allow";
    let question = "Let git take submodules through 'verified::', judged as any other remote? [y/N] ";
    let is_seen = world.terminals.stdin && world.terminals.stdout && world.terminals.stderr;
    let is_offered = is_seen && configuration.get(KEY, Scopes::Any).is_none();
    let is_wanted = is_typed || is_offered && ask(question, PATIENCE).unwrap_or(false);
    is_wanted.then(|| Change::new(KEY, "always"))
}

/// What was typed: it decides about trust.
fn of_arguments(world: &World<'_>, arguments: &InitArguments) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    if let Some(instance) = &arguments.instance {
        changes.push(Change::trusted("countersign.instance", instance));
        for (name, file) in
            [("trustedRoot", &arguments.trusted_root), ("signingConfig", &arguments.signing_config)]
        {
            if let Some(file) = file {
                let file = absolute(&world.directory, file)?;
                if name == "trustedRoot" {
                    roots::from_file(instance, Path::new(&file))?;
                }
                changes.push(Change::trusted(format!("countersign.{instance}.{name}"), file));
            }
        }
    }
    if let Some(policy) = &arguments.policy {
        let file = absolute(&world.directory, policy)?;
        // One that cannot be used would have every verification fail.
        Trust::load(&Beside::new(Path::new(&file)))?;
        changes.push(Change::trusted("countersign.policy", file));
    }
    Ok(changes)
}

/// What the repository at hand sets otherwise, and goes before what was just set for all of them.
fn overridden(world: &World<'_>, scope: Scope, configuration: &Configuration) -> Vec<String> {
    let mut notes = Vec::new();
    if scope == Scope::Local {
        return notes;
    }
    let program = world.program.to_string_lossy();
    for (key, wanted) in [("gpg.format", "x509"), ("gpg.x509.program", &*program)] {
        let own = configuration.get_all(key, Scopes::Any);
        let own = own.last().filter(|(scope, value)| !scope.is_protected() && *value != wanted);
        if let Some((_, value)) = own {
            notes.push(format!("warning: in this repository '{key}' is '{value}', which goes before"));
            notes.push("hint: run 'countersign init --local' here".to_owned());
        }
    }
    notes
}

fn absolute(directory: &Path, file: &Path) -> Result<String, Failure> {
    let path: PathBuf = directory.join(file);
    if !path.is_file() {
        return Err(Failure::new(
            format!("there is no file '{}'", path.display()),
            "check the path; a folder is none",
        ));
    }
    path.canonicalize().ok().and_then(|path| path.to_str().map(str::to_owned)).ok_or_else(|| {
        Failure::new(format!("the path '{}' is not UTF-8", path.display()), "move the file to a plain path")
    })
}
