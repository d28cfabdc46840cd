//! What is written about the program is held against the program.

#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

mod installer;
mod manual_pages;
mod packages;
mod vulnerabilities;

use std::{
    fs,
    path::{Path, PathBuf},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
const TREE: &str = env!("CARGO_MANIFEST_DIR");

/// A file of the source tree.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(TREE).join(path)).unwrap_or_else(|error| panic!("'{path}': {error}"))
}

/// Every file under a folder of the source tree whose name ends in `extension`, in order.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(TREE).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Where a program is, if `PATH` has it; else a line that says which test could not run.
fn oracle(test: &str, program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    if found.is_none() {
        println!("SKIPPED: {test}: {program} not found");
    }
    found
}
