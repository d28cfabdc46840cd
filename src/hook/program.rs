//! Which program the hooks of a server run: the gate alone, where it is installed.
//!
//! git waits for every hook, and most of the time of a small push is spent on starting programs. One that has
//! nothing else in it starts in half the time; and what has no network in it cannot be talked into using it.

use std::{
    env::consts::EXE_SUFFIX,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::place::is_executable;

/// The program's name.
pub const GATE_PROGRAM: &str = "countersign-gate";

/// The gate beside `program`, or else `program` itself, which does the same. One of another version, as an update
/// that ended half-way leaves it, might not understand what is written into the hooks, and would refuse every push.
pub(super) fn gate_beside(program: &Path) -> PathBuf {
    let gate = program.with_file_name(format!("{GATE_PROGRAM}{EXE_SUFFIX}"));
    let is_it = || told(&gate).is_some_and(|told| told.trim_ascii() == expected().as_bytes());
    if is_executable(&gate) && is_it() { gate } else { program.to_owned() }
}

/// What it says of itself.
fn expected() -> String {
    format!("{GATE_PROGRAM} {}", env!("CARGO_PKG_VERSION"))
}

fn told(gate: &Path) -> Option<Vec<u8>> {
    let mut asked = Command::new(gate);
    asked.arg("--version").env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    asked.output().ok().filter(|output| output.status.success()).map(|output| output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::system::set_mode;

    #[test]
    fn the_gate_is_taken_where_it_is_of_this_version() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("countersign");
        let gate = folder.path().join(GATE_PROGRAM);
        assert_eq!(gate_beside(&program), program, "there is none");
        let write = |words: &str, mode: u32| {
            std::fs::write(&gate, format!("#!/bin/sh\n[ \"$*\" = --version ] && {words}\n")).unwrap();
            set_mode(&gate, mode).unwrap();
        };
        let expected = expected();
        write(&format!("echo '{expected}'"), 0o755);
        assert_eq!(gate_beside(&program), gate);
        for (words, mode) in [
            (format!("echo '{expected}'"), 0o644),
            (format!("echo '{expected}.1'"), 0o755),
            ("echo 'countersign-gate 0.0.1'".to_owned(), 0o755),
            ("echo 'countersign-gate'".to_owned(), 0o755),
            (format!("echo '{expected}'; exit 1"), 0o755),
            ("exit 0".to_owned(), 0o755),
        ] {
            write(&words, mode);
            assert_eq!(gate_beside(&program), program, "{words} {mode:o}");
        }
        std::fs::remove_file(&gate).unwrap();
        std::fs::create_dir(&gate).unwrap();
        assert_eq!(gate_beside(&program), program, "a folder");
    }
}
