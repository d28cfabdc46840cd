//! `countersign ledger`: what a server has accepted, and whether refs are as it says.

mod certificates;
mod log;
mod remote;
mod settle;
mod verify;
mod words;

use std::{collections::HashSet, path::PathBuf};

use clap::{Args, Subcommand};
use gix::bstr::BString;

use super::{Outcome, World, exit, settings};
use crate::{
    hook::{self, ledger_failure as failure},
    ledger::Folder,
    repository::Repository,
    words::{Failure, escape},
};

/// Read and check the ledger of ref updates that a server has accepted
#[derive(Args, Debug)]
pub struct LedgerArguments {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// List entries, the newest first
    Log(LogArguments),
    /// Tell everything about one entry
    Show(ShowArguments),
    /// Hold refs against the ledger: what moved without an entry, and what a ledger seen earlier says
    Verify(VerifyArguments),
    /// Enter what earlier pushes have left over; for the server's administrator
    Settle(Common),
    /// Enter what refs hold now, where they were moved without a push; for the server's administrator
    Enter(EnterArguments),
}

#[derive(Args, Debug)]
struct LogArguments {
    #[command(flatten)]
    common: Common,
    /// Only this many
    #[arg(long, short = 'n', value_name = "NUMBER")]
    maximum: Option<usize>,
    /// The ledger of this remote, as it was seen last
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Only of these refs, by their full names
    #[arg(value_name = "REF")]
    references: Vec<String>,
}

#[derive(Args, Debug)]
struct ShowArguments {
    #[command(flatten)]
    common: Common,
    /// The ledger of this remote, as it was seen last
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// The entry's number
    #[arg(value_name = "NUMBER")]
    sequence: u64,
}

#[derive(Args, Debug)]
struct VerifyArguments {
    #[command(flatten)]
    common: Common,
    /// The refs and the ledger of this remote, against what was seen of it last
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// A head that the ledger had earlier; it has to be part of it still
    #[arg(long, value_name = "COMMIT")]
    since: Option<String>,
    /// Leave the push certificates of entries unverified
    #[arg(long)]
    no_certificates: bool,
}

#[derive(Args, Debug)]
struct EnterArguments {
    #[command(flatten)]
    common: Common,
    /// Why, in one line
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only these refs, by their full names
    #[arg(value_name = "REF")]
    references: Vec<String>,
}

#[derive(Args, Debug)]
struct Common {
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Run one of the commands.
pub(super) fn run(world: &mut World<'_>, arguments: &LedgerArguments) -> Outcome {
    match &arguments.command {
        LedgerCommand::Log(arguments) => log::run(world, arguments),
        LedgerCommand::Show(arguments) => log::show(world, arguments),
        LedgerCommand::Verify(arguments) => verify::run(world, arguments),
        LedgerCommand::Settle(common) => settle::run(world, common),
        LedgerCommand::Enter(arguments) => settle::enter(world, arguments),
    }
}

/// The full names of refs: another name is none of a ref, and nothing could be said of it.
fn full_names(names: &[String]) -> Result<HashSet<BString>, Failure> {
    let full = |name: &String| {
        let is_full =
            name.starts_with("refs/") && gix::validate::reference::name(name.as_str().into()).is_ok();
        is_full.then(|| name.as_str().into()).ok_or_else(|| {
            Failure::new(
                format!("'{}' is no full name of a ref", escape(name)),
                "write it as 'refs/heads/main'",
            )
        })
    };
    names.iter().map(full).collect()
}

/// The repository, and where its hook leaves intents.
fn at_hand(world: &World<'_>, common: &Common) -> Result<(Repository, Folder), Failure> {
    let repository = settings::repository(world, common.repository.as_deref())?;
    let folder = Folder::new(&hook::state_folder(&repository), repository.hash());
    Ok((repository, folder))
}
