//! How many persons vouch for a push, approvals, and what forges may merge: real git through the installed hook,
//! with an embedded authority.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod commands;
mod crowding;
mod expired;
mod forges;
mod keys;
mod policy_changes;
mod refusals;
mod signed_pushes;
mod thresholds;
mod time;

#[path = "../support/clock.rs"]
mod clock;
#[path = "../support/mod.rs"]
mod support;

use support::{ALICE, BOB, Repository, World};

/// A third person.
const CAROL: &str = "carol@example.com";
/// Somebody whom no rule names.
const EVE: &str = "eve@example.com";
/// A second address of Alice's.
const ALICE_AT_HOME: &str = "alice@home.example";
/// The ref that keeps approvals.
const REF: &str = "refs/countersign/approvals";
/// The branch that two persons have to vouch for.
const MAIN: &str = "refs/heads/main";
/// The id of the repository of the tests.
const ID: &str = "example.com/project";

/// Where approvals go, and a branch that anybody may push to.
const COMMON: &str = "[[rule]]\nname = \"approvals\"\nrefs = [\"refs/countersign/approvals\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n\
                      [[rule]]\nname = \"wild\"\nrefs = [\"refs/heads/wild/*\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\ndelete = \"allow\"\n";

/// The rule for the branch, as most tests have it.
const TWO: &str = "[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\", \"bob\", \"carol\"]\n\
                   create = \"allow\"\nthreshold = 2\n";

/// A server with the hook, and a developer's repository.
struct Stage<'w> {
    world: &'w World,
    server: Repository<'w>,
    work: Repository<'w>,
}

/// Write the policy with `rules`; its text.
fn policy(world: &World, rules: &str) -> String {
    let signer = |email: &str, more: &str| {
        let issuer = world.url();
        format!(
            "{{ instance = \"sandbox\", issuer = \"{issuer}\", kind = \"email\", subject = \"{email}\"{more} }}"
        )
    };
    let text = format!(
        "version = 1\nrepository = \"{ID}\"\nother_refs = \"refuse\"\n\
         [[instance]]\nname = \"sandbox\"\ntrusted_root = \"authority/trusted_root.json\"\n\
         [identity.alice]\nkeyless = [{}, {}]\n[identity.bob]\nkeyless = [{}]\n\
         [identity.carol]\nkeyless = [{}]\n{rules}{COMMON}",
        signer(ALICE, ""),
        signer(ALICE_AT_HOME, ""),
        signer(BOB, ""),
        signer(CAROL, ""),
    );
    world.write("policy.toml", &text);
    text
}

impl<'w> Stage<'w> {
    /// The rules in force, and a first commit on the branch that was there before the hook was.
    fn new(world: &'w World, rules: &str) -> Self {
        Self::of(world, rules, "sha1")
    }

    fn of(world: &'w World, rules: &str, format: &str) -> Self {
        let path = world.path("policy.toml");
        policy(world, rules);
        world.configure(&format!("[countersign]\n policy = {}", path.display()));
        let (server, work) = (world.bare("server.git", format), world.repository("work", format));
        work.git(&["remote", "add", "origin", server.path.to_str().unwrap()]).check();
        let stage = Self { world, server, work };
        stage.commit(ALICE, "first", "1\n");
        stage.work.git(&["push", "-q", "origin", "main"]).check();
        stage.install();
        stage
    }

    fn install(&self) {
        let (server, policy) = (self.server.path.to_str().unwrap(), self.world.path("policy.toml"));
        let policy = policy.to_str().unwrap();
        let run = self.world.countersign(&["hook", "install", "--repository", server, "--policy", policy]);
        run.any_stdout().any_stderr().any_status().check();
    }

    /// Commit `content` as the file `path`, signed by `email`; the commit.
    fn commit(&self, email: &str, path: &str, content: &str) -> String {
        std::fs::write(self.work.path.join(path), content).unwrap();
        self.work.git(&["add", "-A"]).check();
        self.work.commit_as(email, path)
    }

    /// Approve as `email`; what it says.
    #[track_caller]
    fn approve(&self, email: &str, arguments: &[&str]) -> String {
        let arguments = [&["approve"], arguments].concat();
        let run = self.work.countersign(&arguments).env("SIGSTORE_ID_TOKEN", self.world.token(email));
        run.any_stdout().check().text()
    }

    /// An approval that is refused; why.
    #[track_caller]
    fn unapproved(&self, email: &str, arguments: &[&str]) -> String {
        let arguments = [&["approve"], arguments].concat();
        let run = self.work.countersign(&arguments).env("SIGSTORE_ID_TOKEN", self.world.token(email));
        run.status(3).any_stderr().check().words()
    }

    fn push(&self, refs: &[&str]) -> (i32, String) {
        let arguments = [&["push", "-q", "origin"], refs].concat();
        let run = self.work.git(&arguments).any_status().any_stdout().any_stderr().check();
        (run.status, run.words())
    }

    #[track_caller]
    fn accepted(&self, refs: &[&str]) {
        let (status, words) = self.push(refs);
        assert_eq!(status, 0, "{words}");
    }

    /// Refused, with each of `parts` said.
    #[track_caller]
    fn refused(&self, refs: &[&str], parts: &[&str]) -> String {
        let (status, words) = self.push(refs);
        assert_ne!(status, 0, "{words}");
        for part in parts {
            assert!(words.contains(part), "no {part:?} in {words}");
        }
        words
    }
}
