//! `countersign fetch`: `git fetch`, and once more without what was refused.

use std::process::Command;

use super::{Address, FetchArguments, Memory, Outcome, PREFIX, World, exit, store, unusable};
use crate::{cli::settings, remote::Store, repository::Scopes, words::Failure};

/// Fetch, at most twice.
pub(in crate::cli) fn run(world: &mut World<'_>, arguments: &FetchArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let mut urls: Vec<String> = (configuration.subsections("remote", Scopes::Any).iter())
        .flat_map(|remote| configuration.get_all(&format!("remote.{remote}.url"), Scopes::Any))
        .map(|(_, url)| super::protect::whole(&configuration, &url.to_string()))
        .collect();
    let typed = arguments.arguments.iter().filter_map(|argument| argument.to_str());
    urls.extend(typed.map(|url| super::protect::whole(&configuration, url)));
    let store = store()?;
    let before = held(&store, &urls)?;
    if !git(world, arguments)? {
        if held(&store, &urls)? == before {
            return Ok(exit::COULD_NOT_RUN);
        }
        if !git(world, arguments)? {
            return Ok(exit::COULD_NOT_RUN);
        }
    }
    let after = held(&store, &urls)?;
    Ok(if after.iter().all(|memory| memory.held.is_empty()) { exit::GOOD } else { exit::BAD })
}

/// What is remembered of those of `urls` that go through the helper.
fn held(store: &Store, urls: &[String]) -> Result<Vec<Memory>, Failure> {
    let addresses = urls.iter().filter_map(|url| Address::parse(url.strip_prefix(PREFIX)?).ok());
    addresses.map(|address| store.load(address.key()).map_err(unusable)).collect()
}

/// Run `git fetch`; whether it went well. It speaks with the user itself.
fn git(world: &World<'_>, arguments: &FetchArguments) -> Result<bool, Failure> {
    let mut git = Command::new("git");
    git.arg("fetch").args(&arguments.arguments).current_dir(&world.directory);
    git.env_clear().envs(world.environment.iter());
    let status = git.status().map_err(|error| {
        Failure::new(format!("git cannot be run: {error}"), "install git, or put it into PATH")
    })?;
    Ok(status.success())
}
