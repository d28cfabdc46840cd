//! What the remote helper costs: clones and fetches that bring nothing, with and without it.
//!
//! A clone of keyless history has to take at most what git itself takes and 1.15 times what
//! `countersign verify --all` takes over the result; a fetch that brings nothing at most 20 ms more than git's
//! own, and with 100,000 refs on the remote at most twice as long.
//!
//! Run with `cargo bench --bench remote`; the numbers of commits may be given as arguments.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[allow(dead_code, reason = "it is a benchmark of its own besides")]
#[path = "history.rs"]
mod history;

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use history::{SIGNER, World};

/// The program that git starts for addresses behind `verified::`.
const HELPER: &str = env!("CARGO_BIN_EXE_git-remote-verified");
/// How many commits when the command line says nothing.
const COMMITS: [usize; 3] = [1_000, 10_000, 100_000];
/// How many refs.
const REFS: usize = 100_000;
/// How often a fetch is measured.
const FETCHES: usize = 15;

fn main() {
    let mut sizes: Vec<usize> =
        std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = COMMITS.into();
    }
    for size in sizes {
        let world = World::new();
        let commits = world.build(size).commits;
        let served = world.path("history.git");
        world.git(&served, &["symbolic-ref", "HEAD", "refs/heads/branch0"]);
        configure(&world);
        // A second time, so that what a first run loads is there for both.
        let plain = clones(&world, &format!("file://{}", served.display()), "plain");
        let helped = clones(&world, &format!("verified::file://{}", served.display()), "helped");
        let verify = || world.verify(&world.path("helped"), &["--all"], commits).seconds;
        let verified = verify().min(verify());
        println!(
            "clone of {commits} commits: git {plain:.2} s, with the helper {helped:.2} s, verify --all {verified:.2} s: \
             what the helper adds is {:.2} times a verification (aim: 1.15)",
            (helped - plain) / verified
        );
        let (plain, helped) = fetches(&world);
        println!(
            "fetch of nothing, {commits} commits: git {plain:.1} ms, with the helper {helped:.1} ms: {:.1} ms more (aim: 20)",
            helped - plain
        );
    }
    let world = World::new();
    world.build(200);
    let served = world.path("history.git");
    world.git(&served, &["symbolic-ref", "HEAD", "refs/heads/branch0"]);
    configure(&world);
    let tip = world.git(&served, &["rev-parse", "branch0"]);
    let refs: String = (0..REFS).map(|n| format!("create refs/heads/many/{n} {tip}")).collect();
    let list = world.path("refs");
    fs::write(&list, refs).unwrap();
    let mut update = Command::new("git");
    update.arg("-C").arg(&served).args(["update-ref", "--stdin"]);
    let status = world.isolated(&mut update).stdin(File::open(&list).unwrap()).status().unwrap();
    assert!(status.success());
    world.git(&served, &["pack-refs", "--all"]);
    clones(&world, &format!("file://{}", served.display()), "plain");
    clones(&world, &format!("verified::file://{}", served.display()), "helped");
    let (plain, helped) = fetches(&world);
    println!(
        "fetch of nothing, {REFS} refs: git {plain:.0} ms, with the helper {helped:.0} ms: {:.2} times as long (aim: 2)",
        helped / plain
    );
}

/// A policy by which whoever signed the history may.
fn configure(world: &World) {
    let policy = world.path("policy.toml");
    let text = format!(
        "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\ntrusted_root = \"root.json\"\n\
         [identity.alice]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", subject = \"{SIGNER}\" }}]\n\
         [[rule]]\nname = \"all\"\nrefs = [\"refs/heads/**\"]\ncommits = [\"alice\"]\ncreate = \"allow\"\n",
        world.authority.url()
    );
    fs::write(&policy, text).unwrap();
    let settings = format!("[countersign]\n policy = {}\n[maintenance]\n auto = false\n", policy.display());
    fs::write(world.path("home/.gitconfig"), settings).unwrap();
}

/// The seconds that a clone takes, the better of two.
fn clones(world: &World, address: &str, name: &str) -> f64 {
    let clone = || {
        let _ = fs::remove_dir_all(world.path(name));
        let _ = fs::remove_dir_all(world.path("home/.local"));
        let mut git = Command::new("git");
        git.args(["clone", "-q", "--mirror", address]);
        run(world, git.arg(world.path(name)))
    };
    clone().min(clone())
}

/// The milliseconds that a fetch takes which brings nothing, without and with the helper: medians of runs in
/// turn.
fn fetches(world: &World) -> (f64, f64) {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..FETCHES {
        for (name, took) in ["plain", "helped"].iter().zip(&mut took) {
            let mut git = Command::new("git");
            took.push(run(world, git.arg("-C").arg(world.path(name)).args(["fetch", "-q"])) * 1000.0);
        }
    }
    let [plain, helped] = took.map(|mut took| {
        took.sort_by(f64::total_cmp);
        took[took.len() / 2]
    });
    (plain, helped)
}

/// The seconds that a command takes, which must end well.
fn run(world: &World, command: &mut Command) -> f64 {
    let folder = Path::new(HELPER).parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let begun = Instant::now();
    let status = world.isolated(command).env("PATH", path).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
    begun.elapsed().as_secs_f64()
}
