//! The command line: arguments in, words for people or JSON out, and one exit status.
//!
//! Responsible for what a user types and reads, and for handing the world (configuration, clock,
//! environment) to the rooms below as values.

mod agent;
mod anchored;
mod approve;
mod arguments;
mod certificate;
mod check;
mod consent;
mod doctor;
mod git_config;
mod git_program;
mod gitsign;
mod gnupg;
mod gpgsm;
mod init;
mod inspect;
mod kept;
mod kept_certificate;
mod ledger;
mod login;
mod manual;
mod own_key;
mod policy;
mod pre_push;
mod proof;
mod remote;
mod report;
mod settings;
mod signing;
mod ssh_program;
mod terminal;
mod transport;
mod trust;
mod unheard;
mod verify;
mod world;

use std::{ffi::OsString, mem, process::ExitCode};

use clap::{CommandFactory as _, Parser};

pub use arguments::Arguments;
pub use remote::run_helper;
pub use world::{Environment, Terminals, World};

use crate::{gpg, hook, words::Failure};
use arguments::{Command, GateArguments, GitHookCommand, GitHookOnly};
use world::Watched;

/// Exit statuses, the same for every command.
pub mod exit {
    /// Everything is good.
    pub const GOOD: u8 = 0;
    /// Something is bad, unsigned or refused.
    pub const BAD: u8 = 1;
    /// Something cannot be told.
    pub const CANNOT_TELL: u8 = 2;
    /// The check could not run.
    pub const COULD_NOT_RUN: u8 = 3;
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
}

/// Run the program in `world`; `world.arguments` are without the program's name.
pub fn run(world: &mut World<'_>) -> u8 {
    if gpg::ssh_keygen::is_ssh_dialect(&world.arguments) {
        return ssh_program::run(world);
    }
    if gpg::is_dialect(&world.arguments) {
        return git_program::run(world);
    }
    watched(world, run_command)
}

/// Run a command that fails where what it says cannot be written.
fn watched(world: &mut World<'_>, run: fn(&mut World<'_>) -> u8) -> u8 {
    let mut stdout = Watched::new(&mut *world.stdout);
    let status = run(&mut World {
        arguments: mem::take(&mut world.arguments),
        environment: mem::take(&mut world.environment),
        directory: mem::take(&mut world.directory),
        program: mem::take(&mut world.program),
        now: world.now,
        clock: world.clock,
        terminals: world.terminals,
        stdin: &mut *world.stdin,
        stdout: &mut stdout,
        stderr: &mut *world.stderr,
    });
    let Some(error) = stdout.failed else { return status };
    let failure = Failure::new(
        format!("standard output cannot be written: {error}"),
        "see where it goes to; what was to be done is done, and what was said of it is not whole",
    );
    world.complain(&failure.to_string());
    exit::COULD_NOT_RUN
}

/// Run one of the commands that are typed.
fn run_command(world: &mut World<'_>) -> u8 {
    let is_of_git = |name: &OsString| name.to_str().is_some_and(hook::GitHookArguments::has);
    let is_git_hook = matches!(&world.arguments[..], [hook, name, ..] if hook == "hook" && is_of_git(name));
    let command = if is_git_hook {
        match typed::<GitHookOnly>(world, "countersign") {
            Ok(GitHookOnly { command: GitHookCommand::Hook(arguments) }) => Command::Hook(arguments.into()),
            Err(code) => return code,
        }
    } else {
        match typed::<Arguments>(world, "countersign") {
            Ok(arguments) => arguments.command,
            Err(code) => return code,
        }
    };
    let outcome = match command {
        Command::Verify(arguments) => verify::run(world, &arguments),
        Command::Check(arguments) => check::run(world, &arguments),
        Command::Inspect(arguments) => inspect::run(world, &arguments),
        Command::Doctor(arguments) => doctor::run(world, &arguments),
        Command::Init(arguments) => init::run(world, &arguments),
        Command::Login(arguments) => login::run(world, &arguments),
        Command::Logout => agent::lock(world, true),
        Command::Agent(arguments) => agent::run(world, &arguments),
        Command::Hook(arguments) if arguments.pre_push().is_some() => {
            arguments.pre_push().map_or(Ok(exit::USAGE), |arguments| pre_push::run(world, arguments))
        }
        Command::Hook(_) if cfg!(not(unix)) => Err(not_here()),
        Command::Hook(arguments) => Ok(with_surroundings(world, |around| hook::run_hook(arguments, around))),
        Command::Policy(arguments) => policy::run(world, &arguments),
        Command::Remote(arguments) => remote::run(world, &arguments),
        Command::Fetch(arguments) => remote::fetch(world, &arguments),
        Command::Protect(arguments) => remote::protect(world, &arguments),
        Command::Approve(arguments) => approve::run(world, &arguments),
        Command::Trust(arguments) => trust::run(world, &arguments),
        Command::Ledger(arguments) => ledger::run(world, &arguments),
        Command::Proof(arguments) => proof::run(world, &arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "countersign", &mut script);
            world.say(&String::from_utf8_lossy(&script));
            Ok(exit::GOOD)
        }
        Command::Manual { directory } => manual::write(world, &directory),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(arguments) => return crate::sandbox::command::run(arguments, &mut *world.stdout),
    };
    outcome.unwrap_or_else(|failure| {
        world.complain(&failure.to_string());
        exit::COULD_NOT_RUN
    })
}

/// Run the gate alone, as the hooks of a server do.
pub fn run_gate(world: &mut World<'_>) -> u8 {
    watched(world, run_gate_command)
}

fn run_gate_command(world: &mut World<'_>) -> u8 {
    let GitHookCommand::Hook(arguments) = match typed::<GateArguments>(world, hook::GATE_PROGRAM) {
        Ok(GateArguments { command }) => command,
        Err(code) => return code,
    };
    let failure = if cfg!(not(unix)) {
        not_here()
    } else if arguments.is_pre_push() {
        Failure::new(
            "this program judges what a server receives",
            "have the hook run 'countersign hook pre-push'",
        )
    } else {
        return with_surroundings(world, |around| hook::run_git_hook(arguments, around));
    };
    world.complain(&failure.to_string());
    exit::COULD_NOT_RUN
}

fn not_here() -> Failure {
    Failure::new(
        "hooks run on Unix only: elsewhere paths are not bytes, and files have no modes",
        "run the server on Unix, or have 'countersign verify' or 'countersign check' judge in a job",
    )
}

/// What was typed for `program`; else what was wrong with it, or asked for instead, has been said: the exit code.
fn typed<A: Parser>(world: &mut World<'_>, program: &str) -> Result<A, u8> {
    let typed = std::iter::once(program.into()).chain(world.arguments.iter().cloned());
    A::try_parse_from(typed).map_err(|error| {
        let text = error.render().to_string();
        if error.use_stderr() {
            world.complain(&text);
            exit::USAGE
        } else {
            world.say(&text);
            exit::GOOD
        }
    })
}

/// Hand a command of the `hook` room what it takes from the world.
fn with_surroundings(world: &mut World<'_>, run: impl FnOnce(&mut hook::Surroundings<'_>) -> u8) -> u8 {
    let environment = &world.environment;
    run(&mut hook::Surroundings {
        variable: &|name| environment.get(name).map(ToOwned::to_owned),
        directory: world.directory.clone(),
        program: world.program.clone(),
        now: world.now,
        stdin: &mut *world.stdin,
        stdout: &mut *world.stdout,
        stderr: &mut *world.stderr,
        log_line: &crate::service::syslog::log_line,
    })
}

/// An exit status for the operating system.
#[must_use]
pub fn exit_code(status: u8) -> ExitCode {
    ExitCode::from(status)
}

/// What a command comes to: an exit status, or why it could not run.
type Outcome = Result<u8, Failure>;
