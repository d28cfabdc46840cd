//! `countersign agent`: the process that keeps logins, and what it keeps; and signing through it.

#[cfg(unix)]
mod afar;
#[cfg(unix)]
mod asking;
#[cfg(unix)]
mod forward;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod status;
#[cfg(not(unix))]
mod unavailable;

use clap::{Args, Subcommand};

#[cfg(unix)]
use self::forward::ForwardArguments;
#[cfg(not(unix))]
pub(super) use self::unavailable::{ForwardArguments, kept, lock, open, private_folder, sign, terms};
#[cfg(unix)]
pub(super) use self::{
    afar::terms,
    asking::{open, sign},
    place::private_folder,
    status::{kept, lock},
};
use super::{Outcome, World};
use crate::{agent::protocol::Holder, identity::Token, words::Failure};

/// Keep logins for the minutes of their certificates, and sign with them
#[derive(Args, Debug)]
#[cfg_attr(not(unix), allow(dead_code, reason = "they can be typed everywhere"))]
pub struct AgentArguments {
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Debug, Subcommand)]
#[cfg_attr(not(unix), allow(dead_code, reason = "they can be typed everywhere"))]
enum AgentCommand {
    Forward(ForwardArguments),
    /// Say where a socket belongs that is forwarded to this machine
    Place,
    /// Be the agent, until nobody needs it any more
    Run(RunArguments),
    /// Say which logins are kept, and what was signed with them
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Forget every login
    Lock,
    /// Forget every login, and end the agent
    Stop,
}

#[derive(Args, Debug)]
#[cfg_attr(not(unix), allow(dead_code, reason = "they can be typed everywhere"))]
struct RunArguments {
    /// How long to stay when no login is kept and nothing is asked
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_IDLE)]
    idle: u64,
    /// Listen on the socket that is standard input, from systemd or launchd
    #[arg(long)]
    socket_activated: bool,
}

/// How many seconds an agent stays without a key when nothing is asked.
const DEFAULT_IDLE: u64 = 900;

/// What became of asking the agent for a signature.
#[cfg_attr(not(unix), allow(dead_code, reason = "nothing is ever signed through it there"))]
pub(super) enum Through {
    /// It has signed.
    Signed {
        /// The armor, which nobody has checked yet.
        armor: Vec<u8>,
        /// Whose it is by the word of the user's own agent; one elsewhere is not believed.
        holder: Option<Holder>,
        /// What the person should hear besides.
        warning: Option<Failure>,
    },
    /// It has no part in this signature.
    Without {
        /// The token of a login that went before.
        token: Option<Token>,
        /// Why, where there should have been an agent.
        warning: Option<Failure>,
    },
}

/// What became of a login for the agent.
#[cfg_attr(not(unix), allow(dead_code, reason = "nothing is ever kept there"))]
pub(super) enum Opened {
    /// The agent keeps it.
    Kept(Holder),
    /// An identity is at hand without it, with this name.
    Needless(String),
}

/// Answer one command.
#[cfg(unix)]
pub(super) fn run(world: &mut World<'_>, arguments: &AgentArguments) -> Outcome {
    match &arguments.command {
        AgentCommand::Forward(arguments) => forward::run(world, arguments),
        AgentCommand::Place => afar::show_place(world),
        AgentCommand::Run(arguments) => status::serve(world, arguments.idle, arguments.socket_activated),
        AgentCommand::Status { json } => status::show(world, *json),
        AgentCommand::Lock => lock(world, false),
        AgentCommand::Stop => status::stop(world),
    }
}

/// Answer one command.
#[cfg(not(unix))]
pub(super) fn run(_: &mut World<'_>, _: &AgentArguments) -> Outcome {
    Err(unavailable::failure())
}
