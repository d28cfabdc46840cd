//! The hook at forges: gitolite itself, what GitHub Enterprise is given, and the layouts of GitLab and Gitea as
//! their documentation describes them. Real git and an embedded authority.
#![cfg(all(feature = "sandbox", unix))]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod configured;
mod enterprise;
mod gitea;
mod gitolite;
mod guarded;
mod layouts;

#[path = "../support/mod.rs"]
mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use support::{ALICE, PROGRAM, Repository, World, skipped};

/// A world with a policy in which alice may sign everything.
fn world() -> World {
    let world = World::new();
    world.policy(&[("alice", ALICE)]);
    world
}

/// A commit of alice's and one that nobody signed on top of it, in a repository called `work`.
fn commits(world: &World) -> (Repository<'_>, String, String) {
    let work = world.repository("work", "sha1");
    let good = work.commit("by alice");
    work.git(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "by nobody"]).check();
    let bad = work.id("HEAD");
    (work, good, bad)
}

/// Write a program of this name.
fn script(world: &World, name: &str, text: &str) -> String {
    let path = world.write(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Everything in a folder, by name and content.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    found.sort();
    found
}
