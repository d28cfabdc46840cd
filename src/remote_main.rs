//! The program that git starts for addresses behind `verified::`: the same one under another name.

#[path = "main.rs"]
#[allow(dead_code, reason = "it is a program of its own besides")]
mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::start(countersign::cli::run_helper)
}
