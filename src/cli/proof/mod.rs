//! `countersign proof`: entries of the log about objects whose signatures carry none.
//!
//! gitsign's online mode leaves the entry in the log. Here it is looked up once, checked, and kept in
//! `refs/countersign/proofs`, where every verification finds it offline. Nothing is kept that does not prove
//! something of an object that is here, and nothing that is kept is replaced.

mod fetch;
mod lookup;
mod merge;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Outcome, World, arguments::Asked, exit};
use crate::{
    object::ObjectId,
    repository::{Author, Configuration, Scopes},
    verify::{ProofError, Proven},
    words,
};

/// Look up, keep and share entries of the log for signatures that carry none
#[derive(Args, Debug)]
pub struct ProofArguments {
    #[command(subcommand)]
    command: ProofCommand,
}

#[derive(Debug, Subcommand)]
enum ProofCommand {
    /// Look entries up in the log, and keep those that prove when a signature was made
    Fetch(FetchArguments),
    /// Keep besides what another commit of refs/countersign/proofs keeps
    Merge(MergeArguments),
}

#[derive(Args, Debug)]
struct FetchArguments {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct MergeArguments {
    /// The other commit, such as FETCH_HEAD
    #[arg(value_name = "COMMIT")]
    commit: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Common {
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Run one of the commands.
pub(super) fn run(world: &mut World<'_>, arguments: &ProofArguments) -> Outcome {
    match &arguments.command {
        ProofCommand::Fetch(arguments) => fetch::run(world, arguments),
        ProofCommand::Merge(arguments) => merge::run(world, arguments),
    }
}

/// What became of one object.
enum Became {
    /// An entry is kept from now on.
    Kept(Box<Proven>),
    /// An entry that proves it was kept already.
    Already,
    /// The log has none.
    NotInTheLog,
    /// There is something, and it is no proof.
    Refused(String),
    /// The object is missing or damaged.
    Unreadable(String),
}

impl Became {
    fn word(&self) -> &'static str {
        match self {
            Self::Kept(_) => "kept",
            Self::Already => "already",
            Self::NotInTheLog => "not-in-log",
            Self::Refused(_) => "refused",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// A line about `id`, or a JSON object.
    fn line(&self, id: ObjectId, json: bool) -> String {
        if json {
            let mut value: Value = json!({"version": 1, "object": id.to_string(), "status": self.word()});
            match self {
                Self::Kept(proven) => {
                    value["time"] = proven.time().into();
                    value["log"] = json!({"url": proven.entry().log, "index": proven.entry().index});
                }
                Self::Refused(cause) | Self::Unreadable(cause) => value["cause"] = cause.as_str().into(),
                Self::Already | Self::NotInTheLog => {}
            }
            return format!("{value}\n");
        }
        let rest = match self {
            Self::Kept(proven) => format!(
                " {} ({}, index {})",
                words::time(proven.time()),
                words::escape(&proven.entry().log),
                proven.entry().index
            ),
            Self::Refused(cause) | Self::Unreadable(cause) => format!(" [{}]", words::escape(cause)),
            Self::Already | Self::NotInTheLog => String::new(),
        };
        format!("{:<10} {}{rest}\n", self.word(), &id.to_string()[..12])
    }
}

/// How many there were of each.
#[derive(Default)]
struct Tally {
    kept: u64,
    already: u64,
    not_in_log: u64,
    refused: u64,
    unreadable: u64,
}

impl Tally {
    fn count(&mut self, became: &Became) {
        *match became {
            Became::Kept(_) => &mut self.kept,
            Became::Already => &mut self.already,
            Became::NotInTheLog => &mut self.not_in_log,
            Became::Refused(_) => &mut self.refused,
            Became::Unreadable(_) => &mut self.unreadable,
        } += 1;
    }

    fn summary(&self) -> String {
        let Self { kept, already, not_in_log, refused, unreadable } = self;
        let total = kept + already + not_in_log + refused;
        let objects = if total == 1 { "signature needs an entry" } else { "signatures need an entry" };
        let mut text = format!(
            "{total} {objects} of the log: {kept} kept now, {already} already kept, {not_in_log} not in the log, \
             {refused} refused\n"
        );
        if *unreadable > 0 {
            text += &format!("{unreadable} objects cannot be read: what they need is not known\n");
        }
        text
    }

    fn exit(&self) -> u8 {
        match (self.unreadable, self.not_in_log + self.refused) {
            (0, 0) => exit::GOOD,
            (0, _) => exit::CANNOT_TELL,
            _ => exit::COULD_NOT_RUN,
        }
    }
}

/// Whose commits those of the ref are: whoever runs this, as git knows them.
fn author(world: &World<'_>, configuration: &Configuration) -> Author {
    let text = |key: &str| configuration.text(key, Scopes::Any).unwrap_or("countersign").to_owned();
    Author { name: text("user.name"), email: text("user.email"), time: world.now }
}

fn refused(error: ProofError) -> Became {
    Became::Refused(error.to_string())
}
