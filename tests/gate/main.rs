//! The installed hook with a policy that the repository keeps in a ref of its own, and how the gate goes about
//! its work: what it remembers, how long it takes, what it says, and what it writes down. Real git on both sides.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

mod admission;
mod audit;
mod guard;
mod policy_ref;
mod policy_time;
mod rotation;
mod time;
mod verdicts;
mod words;

#[path = "../support/clock.rs"]
mod clock;
#[path = "../support/standing.rs"]
mod standing;
#[path = "../support/mod.rs"]
mod support;

use std::{fs, sync::Arc};

use countersign::{
    identity::Token,
    service::http::Http,
    sign::{Preference, Signer, SigningPlan},
};
use gix::{objs::Kind, objs::Write as _};

use support::{ALICE, BOB, Repository, Run, World, now};

/// The ref that the policy is kept in.
const REF: &str = "refs/countersign/policy";

/// What Alice alone decides about.
const MAIN: &str = r#"
    [[rule]]
    name = "main"
    refs = ["refs/heads/main", "refs/heads/release/*"]
    commits = ["alice"]
    create = "allow"
    bases = ["refs/heads/main"]
"#;

/// A policy in the making.
struct Draft<'a> {
    serial: u64,
    /// Who may change the policy.
    owners: &'a [&'a str],
    rules: &'a str,
}

impl<'a> Draft<'a> {
    fn new(serial: u64, rules: &'a str) -> Self {
        Self { serial, owners: &["alice"], rules }
    }

    fn text(&self, world: &World) -> String {
        let mut text = format!(
            "version = 1\nrepository = \"example.com/project\"\nserial = {}\nother_refs = \"refuse\"\n\
             [[instance]]\nname = \"sandbox\"\ntrusted_root = \"sandbox.json\"\n",
            self.serial
        );
        for (name, email) in [("alice", ALICE), ("bob", BOB)] {
            text += &format!(
                "[identity.{name}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", \
                 kind = \"email\", subject = \"{email}\" }}]\n",
                world.url()
            );
        }
        let owners: Vec<String> = self.owners.iter().map(|name| format!("\"{name}\"")).collect();
        text + &format!(
            "[[rule]]\nname = \"policy\"\nrefs = [\"{REF}\"]\ncommits = [{}]\ndelete = \"allow\"\n\
             rewind = \"allow\"\ncreate = \"allow\"\n{}",
            owners.join(", "),
            self.rules
        )
    }

    /// Publish it in the author's repository as `email`; the commit.
    fn publish(&self, stage: &Stage, email: &str) -> String {
        let world = &stage.world;
        fs::create_dir_all(world.path("draft")).unwrap();
        if !world.path("draft/sandbox.json").exists() {
            world.write("draft/sandbox.json", world.authority().authority().trusted_root_json());
        }
        let path = world.write("draft/policy.toml", self.text(world));
        let run = stage.author().countersign(&["policy", "publish", path.to_str().unwrap()]);
        run.env("SIGSTORE_ID_TOKEN", world.token(email)).any_stdout().check();
        stage.author().id(REF)
    }
}

/// A server whose hook goes by the policy in its own ref, and the repository of whoever pushes.
struct Stage {
    world: World,
    /// The commit that the administrator believes.
    root: String,
}

impl Stage {
    fn new(rules: &str) -> Self {
        Self::with(rules, &[])
    }

    /// The same with more options for the installation.
    fn with(rules: &str, options: &[&str]) -> Self {
        Self::of(World::new(), rules, options)
    }

    /// The same in a world of any kind.
    fn of(world: World, rules: &str, options: &[&str]) -> Self {
        world.bare("server.git", "sha1");
        world.repository("author", "sha1");
        let mut stage = Self { world, root: String::new() };
        stage.root = Draft::new(1, rules).publish(&stage, ALICE);
        stage.push(&[&format!("{REF}:{REF}")]).check();
        stage.install(&stage.root, options).any_stdout().check();
        stage
    }

    fn author(&self) -> Repository<'_> {
        Repository::at(&self.world, &self.world.path("author"))
    }

    fn server(&self) -> Repository<'_> {
        Repository::at(&self.world, &self.world.path("server.git"))
    }

    /// Install the hook with `root` as the commit that is believed.
    fn install(&self, root: &str, options: &[&str]) -> Run<'_> {
        let install = ["hook", "install", "--repository", "server.git", "--policy-root", root];
        self.world.countersign(&[&install, options].concat())
    }

    fn status(&self) -> Run<'_> {
        self.world.countersign(&["hook", "status", "--repository", "server.git"])
    }

    /// A push of the author's; git's own report is of no interest.
    fn push(&self, refs: &[&str]) -> Run<'_> {
        self.author().git(&[&["push", "-q", "../server.git"], refs].concat()).any_stderr()
    }

    #[track_caller]
    fn accepted(&self, refs: &[&str]) -> String {
        self.push(refs).check().words()
    }

    /// Refused, with each of `words` said to the pusher.
    #[track_caller]
    fn refused(&self, refs: &[&str], words: &[&str]) -> String {
        let said = self.push(refs).status(1).check().words();
        for word in words {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
        said
    }

    /// What a ref of the server holds; empty if it does not exist.
    fn at(&self, reference: &str) -> String {
        let server = self.server();
        if server.has(reference) { server.id(reference) } else { String::new() }
    }

    /// `count` commits with the empty tree on `parent`, signed by Alice and stored in the author's repository, the
    /// oldest first.
    fn chain(&self, parent: Option<&str>, count: usize) -> Vec<String> {
        let world = &self.world;
        let objects = gix::odb::at(self.author().path.join(".git/objects"), gix::hash::Kind::Sha1).unwrap();
        let tree = objects.write_buf(Kind::Tree, b"").unwrap();
        let config = world.authority().authority().signing_config_json();
        let plan = SigningPlan::from_signing_config(&config, now(), Preference::Newest).unwrap();
        let signer = Signer::new(Arc::new(Http::default()), plan);
        let session = signer.open(&Token::parse(world.token(ALICE)).unwrap(), &|_| Ok(())).unwrap();
        let person = format!("Alice <{ALICE}> {} +0000", now());
        let mut ids: Vec<String> = Vec::new();
        for number in 0..count {
            let parent = ids.last().map(String::as_str).or(parent);
            let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
            let head = format!("tree {tree}\n{parent}author {person}\ncommitter {person}\n");
            let body = format!("\ncommit {number}\n");
            let payload = format!("{head}{body}");
            let signed = signer.sign(&session, payload.as_bytes(), now(), &|_, _| Ok(())).unwrap();
            let folded = String::from_utf8(signed.armor).unwrap().trim_end().replace('\n', "\n ");
            let object = format!("{head}gpgsig {folded}\n{body}");
            ids.push(objects.write_buf(Kind::Commit, object.as_bytes()).unwrap().to_string());
        }
        ids
    }

    /// An empty commit that nobody signed, on the author's branch; its id.
    fn unsigned(&self, message: &str) -> String {
        self.author().git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", message]).check();
        self.author().id("HEAD")
    }
}
