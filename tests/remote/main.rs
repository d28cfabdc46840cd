//! The remote helper with real git on both sides: what it lets through, and what a hostile remote gets.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

mod addresses;
mod commands;
mod contradicted;
mod counting;
mod fetching;
mod guarding;
mod hostile;
mod ledger;
mod partial;
mod pinned;
mod pushing;
mod real;
mod servers;
mod stalling;

#[path = "../support/servers.rs"]
mod git_servers;
#[path = "../support/mod.rs"]
mod support;

use std::{fs, path::Path};

use support::{ALICE, BOB, Repository, Run, World};

/// The remote helper under test.
const HELPER: &str = env!("CARGO_BIN_EXE_git-remote-verified");

/// Who may do what unless a test says otherwise.
const RULES: &str = r#"
    [[rule]]
    name = "main"
    refs = ["refs/heads/**"]
    commits = ["alice"]
    create = "allow"
    [[rule]]
    name = "tags"
    refs = ["refs/tags/*"]
    commits = ["alice"]
    tags = ["alice"]
    create = "allow"
"#;

/// A world in which git finds the helper, a policy counts everywhere, and a repository is served.
fn stage(rules: &str) -> World {
    stage_of(rules, "sha1")
}

fn stage_of(rules: &str, format: &str) -> World {
    let world = World::new();
    let folder = Path::new(HELPER).parent().unwrap().to_str().unwrap();
    world.set("PATH", &format!("{folder}:{}", std::env::var("PATH").unwrap()));
    let text = format!(
        "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\n\
         trusted_root = \"authority/trusted_root.json\"\n{}{}{rules}",
        identity("alice", ALICE, &world),
        identity("bob", BOB, &world)
    );
    let policy = world.write("policy.toml", text);
    world.configure(&format!("[countersign]\n policy = {}", policy.display()));
    world.configure("[protocol \"file\"]\n allow = always");
    {
        world.bare("served.git", format);
        let author = world.repository("author", format);
        author.git(&["remote", "add", "origin", "../served.git"]).check();
        author.commit("first");
        upload(&author, &["main"]);
    }
    world
}

fn identity(name: &str, email: &str, world: &World) -> String {
    format!(
        "[identity.{name}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", \
         subject = \"{email}\" }}]\n",
        world.url()
    )
}

/// The repository of whoever writes what is served.
fn author(world: &World) -> Repository<'_> {
    Repository::at(world, &world.path("author"))
}

/// What is served.
fn served(world: &World) -> Repository<'_> {
    Repository::at(world, &world.path("served.git"))
}

/// Writes refs to what is served, past any judgement.
fn upload(author: &Repository<'_>, specs: &[&str]) {
    author.git(&[&["push", "-q", "-f", "origin"], specs].concat()).check();
}

/// The address of what is served, through the helper.
fn address(world: &World) -> String {
    format!("verified::{}", world.path("served.git").display())
}

/// Clones what is served into `name`.
fn clone<'w>(world: &'w World, name: &str) -> Repository<'w> {
    world.run("git", &["clone", "-q", &address(world), name]).check();
    Repository::at(world, &world.path(name))
}

/// `git fetch` in `clone`.
fn fetch<'w>(clone: &Repository<'w>, arguments: &[&str]) -> Run<'w> {
    clone.git(&[&["fetch", "-q"], arguments].concat())
}

/// An empty commit that nobody has signed; its id.
fn unsigned(author: &Repository<'_>, message: &str) -> String {
    author.git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", message]).check();
    author.id("HEAD")
}

/// Whether `repository` has the object `id` in its store.
fn holds(repository: &Repository<'_>, id: &str) -> bool {
    repository.git(&["cat-file", "-e", id]).any_status().any_stderr().check().status == 0
}

/// What stands in FETCH_HEAD.
fn fetch_head(repository: &Repository<'_>) -> String {
    fs::read_to_string(repository.path.join(".git/FETCH_HEAD")).unwrap_or_default()
}

/// No quarantine was left behind.
fn is_clean(repository: &Repository<'_>) -> bool {
    let objects = repository.path.join(".git/objects");
    fs::read_dir(objects)
        .unwrap()
        .all(|entry| !entry.unwrap().file_name().to_str().unwrap().starts_with("tmp"))
}
