//! What rules of a policy can say: groups, paths, persons, proofs; through the hook with git itself, and tried on
//! history before.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests stand in the world")]

#[path = "../support/mod.rs"]
mod support;

mod groups;
mod paths;
mod persons;
mod proofs;
mod trial;

use support::{Repository, World};

/// A server with the hook, and whoever works on it.
struct Stage {
    world: World,
}

impl Stage {
    /// Alice, Bob and Eve, and `rules`.
    fn new(rules: &str) -> Self {
        let stage = Self { world: World::new() };
        stage.world.write("root.json", stage.world.authority().authority().trusted_root_json());
        let policy = stage.policy(rules);
        stage.world.bare("server.git", "sha1");
        let install = ["hook", "install", "--repository", "server.git", "--policy", &policy];
        stage.world.countersign(&install).any_stdout().check();
        stage.world.repository("work", "sha1");
        stage
    }

    /// Write the policy anew; its path.
    fn policy(&self, rules: &str) -> String {
        let mut text = "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\n\
                        trusted_root = \"root.json\"\n"
            .to_owned();
        for name in ["alice", "bob", "eve"] {
            text += &format!(
                "[identity.{name}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", \
                 subject = \"{name}@example.com\" }}]\n",
                self.world.url()
            );
        }
        let path = self.world.write("policy.toml", text + rules);
        path.to_str().unwrap().to_owned()
    }

    fn work(&self) -> Repository<'_> {
        Repository::at(&self.world, &self.world.path("work"))
    }

    /// What git says in the repository of whoever works.
    fn git(&self, arguments: &[&str]) -> String {
        self.work().git(arguments).any_stdout().any_stderr().check().text().trim_end().to_owned()
    }

    /// Put a file of the work tree, and all that is there, into the index.
    fn put(&self, path: &str, content: &str) {
        let whole = self.world.path("work").join(path);
        std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
        std::fs::write(whole, content).unwrap();
        self.git(&["add", "-A"]);
    }

    /// A commit signed by `who` of what is in the index, which may be nothing new.
    fn commit(&self, who: &str, message: &str) -> String {
        let token = self.world.token(&format!("{who}@example.com"));
        let run = self.work().git(&["commit", "-q", "--allow-empty", "-S", "-m", message]);
        run.env("SIGSTORE_ID_TOKEN", token).check();
        self.work().id("HEAD")
    }

    /// Push `source` to the ref of the server; what it said, if it refused.
    fn push(&self, source: &str, reference: &str) -> Result<(), String> {
        let target = format!("{source}:{reference}");
        let run =
            self.work().git(&["push", "-q", "../server.git", &target]).any_status().any_stderr().check();
        if run.status == 0 { Ok(()) } else { Err(run.words()) }
    }
}
