//! The manual pages that describe the command line, made from its own definition.

use std::path::Path;

use clap::CommandFactory as _;

use super::{Arguments, Outcome, World, exit};
use crate::words::Failure;

/// Write `countersign.1` and a page for each command into `directory`.
pub(super) fn write(_world: &mut World<'_>, directory: &Path) -> Outcome {
    let mut command = Arguments::command().flatten_help(false);
    command.build();
    clap_mangen::generate_to(command, directory).map_err(|error| {
        Failure::new(
            format!("the manual cannot be written to '{}': {error}", directory.display()),
            "name a directory that you can write to",
        )
    })?;
    Ok(exit::GOOD)
}
