//! Where the policy comes from: a ref of the repository, believed by a pin and followed from there, or not
//! believed at all. Real git and an embedded authority.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod check;
mod following;
mod keys;
mod pins;
mod story;

#[path = "../support/mod.rs"]
mod support;

use support::{ALICE, BOB, Repository, World};

/// The ref that a policy is kept in.
const REF: &str = "refs/countersign/policy";
/// The id of the repository of the tests.
const ID: &str = "example.com/project";

/// A policy file with all that it names, in a folder of its own.
#[derive(Clone, Copy)]
struct Draft {
    serial: u64,
    repository: &'static str,
    /// Who may change the policy.
    owners: &'static [&'static str],
    /// Who may sign everything else.
    signers: &'static [&'static str],
}

impl Draft {
    /// The first policy: Alice may change it, and only she signs.
    const FIRST: Self = Self { serial: 1, repository: ID, owners: &["alice"], signers: &["alice"] };

    fn text(&self, world: &World) -> String {
        let mut text = format!(
            "version = 1\nrepository = \"{}\"\nserial = {}\nother_refs = \"refuse\"\n\
             [[instance]]\nname = \"sandbox\"\ntrusted_root = \"roots/sandbox.json\"\n",
            self.repository, self.serial
        );
        let is_named = |name: &&str| self.owners.contains(name) || self.signers.contains(name);
        for (name, email) in [("alice", ALICE), ("bob", BOB)].into_iter().filter(|(name, _)| is_named(name)) {
            text += &format!(
                "[identity.{name}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", \
                 kind = \"email\", subject = \"{email}\" }}]\n",
                world.url()
            );
        }
        let names =
            |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        text + &format!(
            "[[rule]]\nname = \"policy\"\nrefs = [\"{REF}\"]\ncommits = [{}]\n\
             [[rule]]\nname = \"everything\"\nrefs = [\"refs/**\"]\ncommits = [{}]\n",
            names(self.owners),
            names(self.signers),
        )
    }

    /// Write it into the world's folder; the path of the policy.
    fn write(&self, world: &World) -> String {
        std::fs::create_dir_all(world.path("draft/roots")).unwrap();
        let root = world.authority().authority().trusted_root_json().to_owned();
        world.write("draft/roots/sandbox.json", root);
        world.write("draft/policy.toml", self.text(world)).to_str().unwrap().to_owned()
    }

    /// Publish it in `repository` as `email`; the commit.
    fn publish(&self, repository: &Repository<'_>, email: &str) -> String {
        let path = self.write(repository.world);
        let token = repository.world.token(email);
        let run = repository.countersign(&["policy", "publish", &path]).env("SIGSTORE_ID_TOKEN", &token);
        run.any_stdout().check();
        repository.id(REF)
    }
}

/// A world whose configuration signs with the sandbox, and does not name it for verifying.
fn world() -> World {
    World::new()
}

/// A repository whose first policy is published, and one commit by Alice.
fn published<'w>(world: &'w World, format: &str) -> Repository<'w> {
    let repository = world.repository("r", format);
    Draft::FIRST.publish(&repository, ALICE);
    repository.commit("by alice");
    repository
}

/// Pin the policy of `repository` as it is.
fn pin(repository: &Repository<'_>) {
    repository.countersign(&["policy", "pin", "--yes"]).any_stdout().check();
}

/// The exit status of `countersign verify`, and what it says on standard error.
fn verified(repository: &Repository<'_>) -> (i32, String) {
    let run = repository.countersign(&["verify"]).any_status().any_stdout().any_stderr().check();
    (run.status, run.words())
}

/// Nothing is vouched for any more: verifying could not run, for this reason, and git is told no trust.
#[track_caller]
fn refused(repository: &Repository<'_>, reason: &str) {
    let (status, words) = verified(repository);
    assert_eq!(status, 3, "{words}");
    assert!(words.contains(reason) && words.contains("hint: "), "{words}");
    assert_eq!(repository.grade("HEAD"), "E|", "{reason}");
}
