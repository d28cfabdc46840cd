//! The ledger, with git itself on both sides: what is accepted is entered, once and in order, whatever becomes
//! of the processes in between.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

mod clients;
mod concurrency;
mod cost;
mod delegates;
mod faults;
mod for_all;
mod growth;
mod hooks;
mod hostile;
mod injected;
mod many;
mod users;
mod writers;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
const ZERO: &str = "0000000000000000000000000000000000000000";

/// Anything may happen to branches, as long as the gate sees it.
const POLICY: &str = r#"
version = 1
other_refs = "refuse"
[[rule]]
name = "branches"
refs = ["refs/heads/**"]
commits = "unsigned"
create = "allow"
delete = "allow"
rewind = "allow"
"#;

/// What a command came to.
#[derive(Debug)]
struct Said {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    #[track_caller]
    fn good(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }

    /// Ended so, with each of `words` on one of the outputs.
    #[track_caller]
    fn ended(self, status: i32, words: &[&str]) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        for word in words {
            assert!(self.stdout.contains(word) || self.stderr.contains(word), "no {word:?} in {self:?}");
        }
        self
    }

    #[track_caller]
    fn refused(self, words: &[&str]) -> Self {
        assert_ne!(self.status, 0, "{self:?}");
        let status = self.status;
        self.ended(status, words)
    }
}

/// A server with the hooks, and a pusher's repository.
struct World {
    folder: tempfile::TempDir,
    server: PathBuf,
}

impl World {
    fn new() -> Self {
        Self::with(&[], &[])
    }

    /// [`World::new`] with a first commit, which `main` was pushed to; its id.
    fn begun() -> (Self, String) {
        let world = Self::new();
        let one = world.commit(&[], "one");
        world.push(&[&format!("{one}:refs/heads/main")]).good();
        (world, one)
    }

    fn with(init: &[&str], install: &[&str]) -> Self {
        let world = Self::without_hooks(init);
        world.install(install).good();
        world
    }

    fn without_hooks(init: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { server: folder.path().join("server.git"), folder };
        world.git(&[&["init", "-q", "--bare", "-b", "main"], init, &["server.git"]].concat()).good();
        world.git(&[&["init", "-q", "-b", "main"], init, &["work"]].concat()).good();
        fs::write(world.path("policy.toml"), POLICY).unwrap();
        world
    }

    fn install(&self, options: &[&str]) -> Said {
        let install = ["hook", "install", "--repository", "server.git", "--policy", "policy.toml"];
        self.countersign(&[&install, options].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.server.join("countersign")
    }

    /// The names of the intents that are left.
    fn intents(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state().join("intents"));
        let names = entries.into_iter().flatten().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
            .envs([("GIT_COMMITTER_NAME", "A"), ("GIT_COMMITTER_EMAIL", "a@example.org")]);
        command
    }

    fn git(&self, arguments: &[&str]) -> Said {
        run(self.command("git", arguments), b"")
    }

    fn countersign(&self, arguments: &[&str]) -> Said {
        run(self.command(PROGRAM, arguments), b"")
    }

    /// `countersign ledger …` about the server.
    fn ledger(&self, arguments: &[&str]) -> Said {
        let (command, rest) = arguments.split_first().unwrap();
        self.countersign(&[&["ledger", command, "--repository", "server.git"], rest].concat())
    }

    /// git in the pusher's repository.
    fn work(&self, arguments: &[&str]) -> String {
        self.git(&[&["-C", "work"], arguments].concat()).good().stdout
    }

    /// git in the server's repository, as its administrator.
    fn on_server(&self, arguments: &[&str]) -> Said {
        self.git(&[&["--git-dir", "server.git"], arguments].concat())
    }

    fn push(&self, refs: &[&str]) -> Said {
        self.git(&[&["-C", "work", "push", "-q", "../server.git"], refs].concat())
    }

    /// What a ref of the server holds; empty if it does not exist.
    fn at(&self, reference: &str) -> String {
        self.on_server(&["rev-parse", "-q", "--verify", reference]).stdout
    }

    /// A commit on top of `parents`, in the pusher's repository.
    fn commit(&self, parents: &[&str], message: &str) -> String {
        let input = fs::File::open("/dev/null").unwrap();
        let mut tree = self.command("git", &["-C", "work", "mktree"]);
        tree.stdin(input);
        let tree = run(tree, b"").good().stdout;
        let mut arguments = vec!["commit-tree", "-m", message, &tree];
        for parent in parents {
            arguments.extend(["-p", parent]);
        }
        self.work(&arguments)
    }

    /// `<number> <occasion> <ref>` of every entry, the oldest first.
    fn entries(&self) -> Vec<String> {
        let log = self.ledger(&["log", "--json"]).good().stdout;
        let line = |line: &str| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| entry[key].as_str().unwrap().to_owned();
            format!("{} {} {}", entry["sequence"], text("occasion"), text("ref"))
        };
        let mut entries: Vec<String> = log.lines().map(line).collect();
        entries.reverse();
        entries
    }

    /// Every ref is as the ledger says, and nothing is left over.
    #[track_caller]
    fn is_in_order(&self) {
        self.ledger(&["verify"]).ended(0, &["every ref is as the ledger says"]);
        assert_eq!(self.intents(), Vec::<String>::new());
        self.on_server(&["fsck", "--strict"]).good();
    }
}

fn run(mut command: Command, input: &[u8]) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that does not read is no failure of the test.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Said {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn write_hook(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
