//! The program: captures the world as values and hands it over.

use std::{
    env, io,
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use countersign::cli::{self, Environment, World};

#[expect(clippy::disallowed_methods, reason = "the one place where the world is read")]
fn main() -> ExitCode {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let mut world = World {
        arguments: env::args_os().skip(1).collect(),
        environment: Environment::new(env::vars_os()),
        directory: env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        program: env::current_exe().unwrap_or_else(|_| PathBuf::from("countersign")),
        now: i64::try_from(since_epoch).unwrap_or(i64::MAX),
        stdin: &mut io::stdin().lock(),
        stdout: &mut io::stdout().lock(),
        stderr: &mut io::stderr().lock(),
    };
    cli::exit_code(cli::run(&mut world))
}
