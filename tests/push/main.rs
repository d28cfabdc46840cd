//! Who may push: push certificates and the forge's word, with git itself on both sides.
#![cfg(all(unix, feature = "sandbox"))]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

#[path = "../support/clock.rs"]
mod clock;
#[path = "../support/servers.rs"]
mod servers;
#[path = "../support/mod.rs"]
mod support;

mod before;
mod crafted;
mod forges;
mod hostile;
mod keys;
mod ledger;
mod reading;
mod stories;
mod time;
mod ways;
mod web;

use support::{ALICE, BOB, Outcome, PROGRAM, Repository, World};

/// A rule that asks for a certificate of alice's.
pub const REQUIRED: &str = "pushers = [\"alice\"]\npush_certificate = \"require\"\n";

/// A server that asks for push certificates, its hook with a policy, and the repository of a developer.
pub struct Stage {
    pub world: World,
}

impl Stage {
    /// The rule for every branch and tag says `rule`; signatures of commits are not looked at.
    pub fn new(rule: &str) -> Self {
        Self::with(rule, "sha1", &[], "")
    }

    /// The same, with options for the installation and further lines of the policy.
    pub fn with(rule: &str, format: &str, install: &[&str], more: &str) -> Self {
        let world = World::new();
        let server = world.bare("server.git", format);
        server.git(&["config", "receive.certNonceSeed", "a seed that is no secret here"]).check();
        server.git(&["config", "receive.advertisePushOptions", "true"]).check();
        // git asks a program too, and nobody believes what comes of that.
        server.git(&["config", "gpg.x509.program", "true"]).check();
        world.repository("work", format);
        let stage = Self { world };
        stage.policy(rule, more);
        stage.install(install);
        stage
    }

    pub fn policy(&self, rule: &str, more: &str) {
        let keyless = |name: &str, email: &str| {
            format!(
                "[identity.{name}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", \
                 subject = \"{email}\" }}]\n\
                 forge_users = [{{ forge = \"git.example.com\", user = \"{name}\" }}]\n",
                self.world.url()
            )
        };
        let text = format!(
            "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\n\
             trusted_root = \"authority/trusted_root.json\"\n{}{}{more}\
             [[rule]]\nname = \"all\"\nrefs = [\"refs/heads/**\", \"refs/tags/**\"]\ncommits = \"unsigned\"\n\
             tags = \"unsigned\"\ncreate = \"allow\"\ndelete = \"allow\"\nlightweight_tags = \"allow\"\n{rule}",
            keyless("alice", ALICE),
            keyless("bob", BOB),
        );
        self.world.write("policy.toml", text);
    }

    /// Install the hook, for the path of the server and what else is said.
    pub fn install(&self, more: &[&str]) {
        // What a forge puts there that looks for hooks in folders of its own.
        let hooks = self.world.path("server.git/hooks");
        let text = "#!/bin/sh\nfor hook in custom_hooks/pre-receive.d/* hooks/pre-receive.d/*; do\n\
                    test -x \"$hook\" && exec \"$hook\"\ndone\nexit 0\n";
        let delegate = || {
            if !hooks.join("pre-receive").exists() {
                std::fs::write(hooks.join("pre-receive"), text).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                std::fs::set_permissions(hooks.join("pre-receive"), mode).unwrap();
            }
        };
        if more.iter().any(|forge| forge.starts_with("gitea") || forge.starts_with("forgejo")) {
            delegate();
        }
        let path = self.path();
        let install = ["hook", "install", "--repository", "server.git", "--policy", "policy.toml"];
        let arguments = [&install[..], &["--address", &path], more].concat();
        self.world.countersign(&arguments).any_stdout().check();
        delegate();
    }

    /// The server's address as a path.
    pub fn path(&self) -> String {
        self.world.path("server.git").to_str().unwrap().to_owned()
    }

    pub fn server(&self) -> Repository<'_> {
        Repository::at(&self.world, &self.world.path("server.git"))
    }

    pub fn work(&self) -> Repository<'_> {
        Repository::at(&self.world, &self.world.path("work"))
    }

    /// A commit without signature; its id.
    pub fn commit(&self, message: &str) -> String {
        let work = self.work();
        work.git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", message]).check();
        work.id("HEAD")
    }

    /// Push to the server's path.
    pub fn push(&self, arguments: &[&str]) -> Outcome {
        self.push_to(&self.path(), arguments)
    }

    pub fn push_to(&self, address: &str, arguments: &[&str]) -> Outcome {
        let (options, refs): (Vec<&str>, Vec<&str>) =
            arguments.iter().partition(|argument| argument.starts_with('-'));
        let push = [&["push", "-q"], &options[..], &[address], &refs[..]].concat();
        self.work().git(&push).any_stdout().any_stderr().any_status().check()
    }
}

/// The push was accepted.
#[track_caller]
pub fn accepted(outcome: &Outcome) {
    assert_eq!(outcome.status, 0, "{}", String::from_utf8_lossy(&outcome.stderr));
}

/// The push was refused, and the pusher was told each of `words`.
#[track_caller]
pub fn refused(outcome: &Outcome, words: &[&str]) {
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert_ne!(outcome.status, 0, "{said}");
    // git breaks no lines, but marks each.
    let said = said.replace("remote: ", "");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}
