//! `countersign protect`: the remotes of a clone go through the helper from now on, or no longer.

use std::{ffi::OsStr, path::Path};

use super::{Failure, Outcome, PREFIX, ProtectArguments, World, address, exit, guard};
use crate::{
    cli::{git_config, settings},
    remote::without_secrets,
    repository::{Configuration, Scope, Scopes},
    words::escape,
};

/// Change the addresses of remotes.
pub(in crate::cli) fn run(world: &mut World<'_>, arguments: &ProtectArguments) -> Outcome {
    if arguments.judge {
        return guard::run(world);
    }
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    let configuration = Configuration::read(&world.directory, Some(repository.git_dir()))
        .map_err(|error| Failure::new(error, "run 'git config --list' there to see what is wrong with it"))?;
    if arguments.hooks && !arguments.undo {
        guard::install(world, &repository, &configuration)?;
        return Ok(exit::GOOD);
    }
    let is_removed = arguments.undo && arguments.remotes.is_empty() && guard::uninstall(world, &repository)?;
    if arguments.hooks {
        if !is_removed {
            world.say("nothing to change\n");
        }
        return Ok(exit::GOOD);
    }
    let mut remotes = arguments.remotes.clone();
    if remotes.is_empty() {
        remotes = configuration.subsections("remote", Scopes::Any).iter().map(ToString::to_string).collect();
        remotes.retain(|remote| configuration.get(&format!("remote.{remote}.url"), Scopes::Any).is_some());
    }
    if remotes.is_empty() && is_removed {
        return Ok(exit::GOOD);
    }
    if remotes.is_empty() {
        return Err(Failure::new("the repository has no remote", "add one with 'git remote add'"));
    }
    let mut changes = Vec::new();
    for remote in &remotes {
        let mut found = false;
        for name in ["url", "pushurl"] {
            let key = format!("remote.{remote}.{name}");
            for (scope, value) in configuration.get_all(&key, Scopes::Any) {
                found = true;
                let written = value.to_string();
                let value = whole(&configuration, &written);
                let Some(value) = change(&value, arguments.undo, repository.git_dir())? else { continue };
                // One more address beside it would be asked after it.
                if scope != Scope::Local {
                    return Err(Failure::new(
                        format!("'{key}' is set in the {} configuration", scope.name()),
                        format!("change it there, to '{}'", without_secrets(&value)),
                    ));
                }
                changes.push((key.clone(), written, value));
            }
        }
        if !found {
            return Err(Failure::new(
                format!("there is no remote '{remote}'"),
                "'git remote' lists those that there are",
            ));
        }
    }
    for (key, written, value) in &changes {
        let [option, config, exactly] = ["--git-dir", "config", "--fixed-value"].map(OsStr::new);
        let [name, new, old] = [key, value, written].map(OsStr::new);
        let arguments = [option, repository.git_dir().as_os_str(), config, exactly, name, new, old];
        git_config::write(world, &world.directory, &arguments, |words| {
            Failure::new(format!("git cannot set '{key}': {words}"), "see to the repository's configuration")
        })?;
        world.say(&format!("{}: {}\n", escape(key), escape(&without_secrets(value))));
    }
    if changes.is_empty() && !is_removed {
        world.say("nothing to change\n");
    }
    Ok(exit::GOOD)
}

/// `value` as git goes to it (git-config, `url.<base>.insteadOf`): the longest beginning is replaced.
pub(super) fn whole(configuration: &Configuration, value: &str) -> String {
    let mut best: Option<(String, String)> = None;
    for base in configuration.subsections("url", Scopes::Any) {
        for (_, beginning) in configuration.get_all(&format!("url.{base}.insteadOf"), Scopes::Any) {
            let beginning = beginning.to_string();
            let is_longer = best.as_ref().is_none_or(|(longest, _)| beginning.len() > longest.len());
            if value.starts_with(&beginning) && is_longer {
                best = Some((beginning, base.to_string()));
            }
        }
    }
    best.map_or_else(|| value.to_owned(), |(beginning, base)| base + &value[beginning.len()..])
}

/// The other form of an address, where it does not have it already.
fn change(value: &str, undo: bool, git_dir: &Path) -> Result<Option<String>, Failure> {
    match value.strip_prefix(PREFIX) {
        Some(plain) => Ok(undo.then(|| plain.to_owned())),
        None if undo => Ok(None),
        None => {
            let is_relative = !value.starts_with('/') && !value.contains(':');
            // git takes a relative path from the work tree, or from a bare repository itself.
            let base = if git_dir.ends_with(".git") { git_dir.parent().unwrap_or(git_dir) } else { git_dir };
            let whole = base.join(value).canonicalize().ok().filter(|_| is_relative);
            let whole = whole.and_then(|path| path.to_str().map(str::to_owned));
            let plain = whole.unwrap_or_else(|| value.to_owned());
            Ok(Some(format!("{PREFIX}{}", address(&plain)?.written())))
        }
    }
}
