//! What `init` takes over: a gitsign set-up of the user's, and settings of the repository's own that the
//! user allows.
//!
//! The user's own settings are taken over without a question. The repository's are somebody else's words:
//! each is taken over only by name or on a yes, and as it is now, so that it cannot change behind
//! the user's back.

use std::path::Path;

use super::{Change, PATIENCE};
use crate::{
    cli::{
        Environment, World,
        consent::ask,
        gitsign::{self, Fate, Found},
        unheard,
    },
    repository::{Configuration, Scope, Scopes},
    words::{self, Failure},
};

/// Settings that name a file.
const PATHS: [&str; 2] = ["countersign.clientSecretFile", "countersign.logPath"];

/// The settings that take the place of gitsign's in the file of `target`, and what there is to say about
/// them: lines, to be escaped.
pub(super) fn import(
    environment: &Environment,
    configuration: &Configuration,
    target: Scope,
) -> (Vec<Change>, Vec<String>) {
    let (mut changes, mut notes) = (Vec::new(), Vec::new());
    let program = configuration.text("gpg.x509.program", Scopes::Any).unwrap_or_default();
    if Path::new(program).file_stem().is_some_and(|name| name == "gitsign") {
        notes.push(format!("countersign takes the place of '{program}'"));
    }
    let found = gitsign::found(environment, configuration);
    for setting in found.iter().filter(|found| found.is_heard() && !found.value.is_empty()) {
        let Found { name, value, scope, fate } = setting;
        match fate {
            Fate::Works(ours) if name == ours => {}
            Fate::Works(_) if scope.is_none() => {
                notes.push(format!("the variable '{name}' counts as it stands"));
            }
            // What stands in another file counts as it stands.
            Fate::Works(_) if *scope != Some(target) => {}
            Fate::Works(ours) => match translated(name, ours, value) {
                Ok(translated) => {
                    for (ours, value) in translated {
                        if configuration.get(ours, Scopes::Protected).is_some() {
                            notes.push(format!("'{name}' is not taken over: '{ours}' is set already"));
                            continue;
                        }
                        changes.retain(|change: &Change| change.key != ours);
                        changes.push(Change::trusted(ours, value));
                        notes.push(format!("took over '{name}' as '{ours}'"));
                    }
                }
                Err(Failure { error, hints }) => {
                    notes.push(format!("warning: '{name}' is not taken over: {error}"));
                    notes.extend(hints.iter().map(|hint| format!("hint: {hint}")));
                }
            },
            Fate::Needless(why) => notes.push(format!("'{name}' is not needed: {why}")),
            Fate::Refused { unless, .. } if configuration.get(unless, Scopes::Protected).is_some() => {
                notes.push(format!("'{name}' counts no more: '{unless}' is set"));
            }
            Fate::Refused { instead, .. } => {
                notes.push(format!("warning: '{name}' does not work here"));
                notes.push(format!("hint: {instead}"));
            }
        }
    }
    (changes, notes)
}

/// What `value` of gitsign's `name` is here, where that is called `ours`.
fn translated<'a>(name: &str, ours: &'a str, value: &str) -> Result<Vec<(&'a str, String)>, Failure> {
    if name == "gitsign.tokenProvider" {
        let provider = gitsign::token_provider(value)?;
        return Ok(vec![
            ("countersign.ambient", provider.ambient.to_owned()),
            ("countersign.login", provider.login.to_owned()),
        ]);
    }
    if PATHS.contains(&ours) && !value.starts_with("~/") && !Path::new(value).is_absolute() {
        return Err(Failure::new(
            format!("'{value}' would lead into whatever repository is at hand"),
            format!("set '{ours}' to the whole path"),
        ));
    }
    Ok(vec![(ours, value.to_owned())])
}

/// The repository's own settings that the user allows: those in `named`, or on a yes at the terminal.
pub(super) fn allowed(
    world: &mut World<'_>,
    configuration: &Configuration,
    named: &[String],
) -> Result<Vec<Change>, Failure> {
    let unheard = unheard::unheard(configuration);
    for name in named {
        if !unheard.iter().any(|unheard| unheard.key.eq_ignore_ascii_case(name)) {
            return Err(Failure::new(
                format!("the repository sets no '{name}' that is not heard"),
                "look with 'git config --local --list'",
            ));
        }
    }
    let mut changes = Vec::new();
    for unheard in unheard {
        let is_named = named.iter().any(|name| unheard.key.eq_ignore_ascii_case(name));
        let question = format!(
            "The repository sets '{}' to '{}'. Use that here, as it is now? [y/N] ",
            words::escape(&unheard.key),
            words::escape(&unheard.value)
        );
        // Only a person who sees what is going on can be asked.
        let is_seen = world.terminals.stdout && world.terminals.stderr;
        if is_named || is_seen && ask(&question, PATIENCE).unwrap_or(false) {
            changes.push(Change::trusted(unheard.key, unheard.value));
        } else {
            let (key, command) = (words::escape(&unheard.key), words::escape(&unheard.command()));
            world.complain(&format!(
                "warning: the repository's own '{key}' is not heard\nhint: if you mean it, run '{command}'\n"
            ));
        }
    }
    Ok(changes)
}
