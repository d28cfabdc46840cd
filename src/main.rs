//! The program: captures the world as values and hands it over.

use std::{
    env,
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anstream::{AutoStream, ColorChoice};
use countersign::cli::{self, Environment, Terminals, World};

fn main() -> ExitCode {
    start(cli::run)
}

/// The clock, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
fn clock() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    i64::try_from(since_epoch).unwrap_or(i64::MAX)
}

/// Run one of the programs that this one is, in the world as it is.
#[expect(clippy::disallowed_methods, reason = "the one place where the world is read")]
pub fn start(run: fn(&mut World<'_>) -> u8) -> ExitCode {
    let mut world = World {
        arguments: env::args_os().skip(1).collect(),
        environment: Environment::new(env::vars_os()),
        directory: env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        program: env::current_exe().unwrap_or_else(|_| PathBuf::from("countersign")),
        now: clock(),
        clock,
        terminals: Terminals {
            stdin: io::stdin().is_terminal(),
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
            // It knows NO_COLOR and its like.
            colours: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
        },
        stdin: &mut io::stdin().lock(),
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
    };
    cli::exit_code(run(&mut world))
}
