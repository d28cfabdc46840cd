//! `countersign policy`: policy files, and the words about them.

mod arguments;
mod file;

pub use arguments::PolicyArguments;

use super::{Outcome, World, exit};
use arguments::PolicyCommand;

/// Run one of the commands.
pub(super) fn run(world: &mut World<'_>, arguments: &PolicyArguments) -> Outcome {
    match &arguments.command {
        PolicyCommand::Init { path } => file::init(world, path),
        PolicyCommand::Check { path } => file::check(world, path),
    }
}
