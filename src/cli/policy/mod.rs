//! `countersign policy`: policy files, where a policy comes from, and the words about both.

mod arguments;
mod explain;
mod file;
pub(super) mod git;
mod memory;
mod pin;
mod publish;
mod show;
pub(super) mod source;
mod trial;

pub use arguments::PolicyArguments;
pub(super) use pin::asked;
pub(super) use show::describe;

use super::{Outcome, World, exit, settings};
use arguments::PolicyCommand;

/// Run one of the commands.
pub(super) fn run(world: &mut World<'_>, arguments: &PolicyArguments) -> Outcome {
    match &arguments.command {
        PolicyCommand::Init { path } => file::init(world, path),
        PolicyCommand::Check { path, forge, json } => file::check(world, path, forge.as_ref(), *json),
        PolicyCommand::Explain(arguments) => explain::run(world, arguments),
        PolicyCommand::Test(arguments) => trial::run(world, arguments),
        PolicyCommand::Show(arguments) => show::run(world, arguments),
        PolicyCommand::Publish(arguments) => publish::run(world, arguments),
        PolicyCommand::Pin(arguments) => pin::run(world, arguments),
    }
}
