//! The program that a server's hooks run: the gate alone, without network, logins and keys.

#[path = "main.rs"]
#[allow(dead_code, reason = "it is a program of its own besides")]
mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::start(countersign::cli::run_gate)
}
