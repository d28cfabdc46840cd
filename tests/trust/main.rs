//! Trusted roots: which one counts where, how one is replaced, and that nothing else replaces it. Real
//! git, an embedded authority, and a TUF repository of the test's own on loopback.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod gitsign;
mod instances;
mod repository;
mod updates;

#[path = "../support/mod.rs"]
mod support;

use support::{ALICE, PROGRAM, Repository, World};

/// Where the data folder of the world's user holds a file of an instance.
fn kept(world: &World, name: &str) -> std::path::PathBuf {
    world.path("home/.local/share/countersign/trust").join(name)
}

/// A repository with one commit, signed by [`ALICE`], in a world whose configuration names no instance
/// any more.
fn signed(world: &World) -> Repository<'_> {
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    unname(world);
    repository
}

/// Take every instance out of the world's configuration.
fn unname(world: &World) {
    world.write(
        "home/.gitconfig",
        format!(
            "[user]\n name = Alice\n email = {ALICE}\n[gpg]\n format = x509\n[gpg \"x509\"]\n program = {PROGRAM}\n"
        ),
    );
}

/// In which instance HEAD is proven; `None` where it is not.
fn proven(repository: &Repository<'_>) -> Option<String> {
    let run = repository.countersign(&["verify", "--json"]).any_status().any_stdout().any_stderr();
    let line: serde_json::Value = serde_json::from_str(&run.check().text()).unwrap();
    line["identity"]["instance"].as_str().map(str::to_owned)
}
