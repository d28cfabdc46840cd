//! `countersign trust`: the trusted roots that signatures are judged by.
//!
//! Responsible for the user's data folder, for what is in use here, and for the words about both.

mod add;
mod arguments;
pub(super) mod roots;
mod show;
pub(super) mod store;
pub(super) mod update;

use std::path::Path;

pub use arguments::TrustArguments;

use super::{Outcome, World, exit, settings};
use crate::{
    service::tuf::{self, MAXIMUM_PINNED_BYTES},
    words::{self, Failure},
};
use arguments::{PinArguments, RemoveArguments, TrustCommand};
use store::{Entry, Store};

/// Run one of the commands.
pub(super) fn run(world: &mut World<'_>, arguments: &TrustArguments) -> Outcome {
    match &arguments.command {
        TrustCommand::List(arguments) => show::list(world, arguments),
        TrustCommand::Show(arguments) => show::show(world, arguments),
        TrustCommand::Add(arguments) => add::run(world, arguments),
        TrustCommand::Update(arguments) => update::run(world, arguments),
        TrustCommand::Pin(arguments) => pin(world, arguments),
        TrustCommand::Remove(arguments) => remove(world, arguments),
    }
}

/// The store, where there is a home.
fn open_store() -> Result<Store, Failure> {
    Store::open()
        .ok_or_else(|| Failure::new("there is no home, and so no data folder", "set 'HOME' to your home"))
}

/// The folder of the instance `name`.
fn entry(name: &str) -> Result<Entry, Failure> {
    open_store()?.entry(name).ok_or_else(|| {
        Failure::new(format!("'{name}' is no name for an instance"), "choose a short name that is not empty")
    })
}

/// Read the TUF root in `file`, and check that it may be pinned; its version besides.
fn read_pinned(world: &World<'_>, file: &Path) -> Result<(Vec<u8>, u64), Failure> {
    let file = world.directory.join(file);
    let root = settings::read(&file, "TUF root")?.into_bytes();
    let refused = |reason: String| {
        Failure::new(
            format!("the TUF root '{}' cannot be pinned: {reason}", file.display()),
            "get the repository's root.json again from whoever runs the instance",
        )
    };
    if root.len() > MAXIMUM_PINNED_BYTES {
        return Err(refused(format!("it is larger than {MAXIMUM_PINNED_BYTES} bytes")));
    }
    let version = tuf::check_pinned(&root).map_err(|error| refused(error.to_string()))?;
    Ok((root, version))
}

fn pin(world: &mut World<'_>, arguments: &PinArguments) -> Outcome {
    let entry = entry(&arguments.name)?;
    let (root, version) = read_pinned(world, &arguments.tuf_root)?;
    let url = match &arguments.tuf_url {
        Some(url) => url.clone(),
        None => match entry.repository()? {
            Some(repository) => repository.url,
            None => {
                return Err(Failure::new(
                    format!("no repository is known for '{}'", arguments.name),
                    "name it with '--tuf-url URL'",
                ));
            }
        },
    };
    entry.pin(&url, &root)?;
    let name = words::escape(&arguments.name);
    world.say(&format!(
        "{name}: updates come from '{}', beginning with its root {version}\n\
         {name}: run 'countersign trust update {name}' to fetch the trusted root\n",
        words::escape(&url)
    ));
    Ok(exit::GOOD)
}

fn remove(world: &mut World<'_>, arguments: &RemoveArguments) -> Outcome {
    let entry = entry(&arguments.name)?;
    if !entry.exists() {
        return Err(Failure::new(
            format!("nothing is kept of the instance '{}'", arguments.name),
            "see 'countersign trust list'",
        ));
    }
    entry.remove()?;
    let stays = crate::sigstore::trusted_root::built_in(&arguments.name).is_some();
    let rest = if stays { "; the built-in trusted root is in use again" } else { "" };
    world.say(&format!("{}: removed{rest}\n", words::escape(&arguments.name)));
    Ok(exit::GOOD)
}
