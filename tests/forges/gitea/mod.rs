//! A Gitea of one's own on loopback: its web server, its ssh server, its command line.
//!
//! `COUNTERSIGN_TEST_GITEA` names the program, or it is the `gitea` of the path.

mod pages;
mod pushes;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Child,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{ALICE, BOB, Outcome, Repository, Run, World};

/// What the installation calls the forge.
const FORGE: &str = "gitea=git.example.com";
/// The password of every account.
const PASSWORD: &str = "not-much-of-a-secret";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that runs, with the accounts 'warden' (an administrator), 'alice', 'bob' and 'carol'.
struct Gitea<'w> {
    world: &'w World,
    program: String,
    child: Child,
    http: u16,
    ssh: u16,
    token: String,
}

/// Run `test` where there is a Gitea; say so where there is none.
fn with_gitea(name: &str, test: impl FnOnce(&World, &Gitea<'_>)) {
    let Some(program) = program() else {
        println!("NOTE: {name}: gitea not found ('COUNTERSIGN_TEST_GITEA' names the program)");
        return;
    };
    let world = World::new();
    let gitea = Gitea::start(&world, program);
    test(&world, &gitea);
}

fn program() -> Option<String> {
    let named = std::env::var("COUNTERSIGN_TEST_GITEA").ok().filter(|path| !path.is_empty());
    named.or_else(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut found = std::env::split_paths(&path).map(|folder| folder.join("gitea"));
        found.find(|path| path.is_file()).map(|path| path.to_str().unwrap().to_owned())
    })
}

/// A port of loopback that nobody listens at, and below those that a system gives away by itself.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 20_000) as u16;
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

/// Make a key pair of this name in the world's folder; its public half in one line.
fn ssh_key(world: &World, name: &str) -> String {
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name];
    world.run("ssh-keygen", &arguments).check();
    fs::read_to_string(world.path(&format!("{name}.pub"))).unwrap().trim_end().to_owned()
}

impl<'w> Gitea<'w> {
    fn start(world: &'w World, program: String) -> Self {
        let (http, ssh) = (free_port(), free_port());
        for folder in ["gitea", "gitea/home", "gitea/ssh"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        ssh_key(world, "gitea/ssh/host");
        ssh_key(world, "web");
        let folder = world.path("gitea");
        let folder = folder.to_str().unwrap();
        // Commits that it makes itself it signs with a key of its own.
        let settings = format!(
            "WORK_PATH = {folder}\n\
             [server]\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {http}\nROOT_URL = http://127.0.0.1:{http}/\n\
             DOMAIN = 127.0.0.1\nOFFLINE_MODE = true\nSTART_SSH_SERVER = true\nSSH_LISTEN_HOST = 127.0.0.1\n\
             SSH_LISTEN_PORT = {ssh}\nSSH_PORT = {ssh}\nBUILTIN_SSH_SERVER_USER = git\n\
             SSH_SERVER_HOST_KEYS = {folder}/ssh/host\n\
             [database]\nDB_TYPE = sqlite3\nPATH = {folder}/gitea.db\n\
             [repository]\nROOT = {folder}/repositories\n\
             [repository.signing]\nSIGNING_KEY = {web}\nSIGNING_FORMAT = ssh\nSIGNING_NAME = Web\n\
             SIGNING_EMAIL = web@git.example.com\nCRUD_ACTIONS = always\nMERGES = always\n\
             [security]\nINSTALL_LOCK = true\nSECRET_KEY = no-secret-here\nPASSWORD_HASH_ALGO = pbkdf2_v1\n\
             [service]\nDISABLE_REGISTRATION = true\n[mailer]\nENABLED = false\n\
             [log]\nROOT_PATH = {folder}/log\nMODE = file\nLEVEL = Warn\n[cron]\nENABLED = false\n\
             [cron.update_checker]\nENABLED = false\n[indexer]\nISSUE_INDEXER_TYPE = db\n",
            web = world.path("web.pub").display(),
        );
        world.write("gitea/app.ini", settings);
        let run = |arguments: &[&str]| {
            Self::command(world, &program, arguments).any_stdout().any_stderr().check().text()
        };
        run(&["migrate"]);
        let warden = [
            "admin",
            "user",
            "create",
            "--admin",
            "--username",
            "warden",
            "--password",
            PASSWORD,
            "--email",
            "warden@example.com",
            "--must-change-password=false",
            "--access-token",
            "--access-token-scopes",
            "all",
        ];
        let said = run(&warden);
        let is_token = |word: &&str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let token = said.split_whitespace().find(is_token).expect("it says a token").to_owned();
        let child = Self::command(world, &program, &["web"]).start();
        let gitea = Self { world, program, child, http, ssh, token };
        let begun = Instant::now();
        let answers = || agent().get(format!("{}/api/healthz", gitea.url())).call();
        while !answers().is_ok_and(|answer| answer.status() == 200) {
            assert!(begun.elapsed() < PATIENCE, "it does not answer: {}", gitea.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        for (name, email) in [("alice", ALICE), ("bob", BOB), ("carol", "carol@example.com")] {
            let user = json!({ "username": name, "email": email, "password": PASSWORD, "must_change_password": false });
            gitea.done("warden", "POST", "/admin/users", user);
        }
        gitea
    }

    fn command(world: &'w World, program: &str, arguments: &[&str]) -> Run<'w> {
        let folder = world.path("gitea");
        let settings = folder.join("app.ini");
        let arguments = [&["--config", settings.to_str().unwrap()], arguments].concat();
        world
            .run(program, &arguments)
            .directory(&folder)
            .env("HOME", folder.join("home"))
            .env("GITEA_WORK_DIR", &folder)
            // The tests may be root's, which it refuses otherwise.
            .env("GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", "true")
    }

    /// Its command line; everything that it says.
    fn gitea(&self, arguments: &[&str]) -> String {
        let outcome = Self::command(self.world, &self.program, arguments).any_stdout().any_stderr().check();
        outcome.text() + &outcome.words()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.world.path("gitea/log/gitea.log")).unwrap_or_default()
    }

    /// Wait until it has logged this, which it does by and by.
    #[track_caller]
    fn wait_for_log(&self, part: &str) {
        let begun = Instant::now();
        while !self.log().contains(part) {
            assert!(begun.elapsed() < PATIENCE, "no {part:?} in {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What its API answers when `user` asks: status and body.
    fn api(&self, user: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url()))
            .header("Authorization", format!("token {}", self.token))
            .header("Sudo", user)
            .header("Content-Type", "application/json");
        let answer = match body {
            Value::Null => agent().run(request.body(()).unwrap()),
            body => agent().run(request.body(body.to_string()).unwrap()),
        };
        let mut answer = answer.unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// The same; it has to be done.
    #[track_caller]
    fn done(&self, user: &str, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.api(user, method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}\n{}", self.log());
        answer
    }

    /// The same; it has to be refused. What it says, with the status before it.
    #[track_caller]
    fn refused(&self, user: &str, method: &str, path: &str, body: Value) -> String {
        let (status, answer) = self.api(user, method, path, body);
        assert!(status >= 400, "{method} {path}: {status} {answer}");
        format!("{status} {}", answer["message"].as_str().unwrap_or_default())
    }

    /// Make an empty repository of alice's; where it lies on the server.
    fn project(&self, name: &str) -> PathBuf {
        self.done("alice", "POST", "/user/repos", json!({ "name": name, "default_branch": "main" }));
        let collaborator = format!("/repos/alice/{name}/collaborators/bob");
        self.done("alice", "PUT", &collaborator, json!({ "permission": "write" }));
        self.path(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path(&format!("gitea/repositories/alice/{name}.git"))
    }

    /// git's address of a repository of alice's for `user`, who logs in by password.
    fn address(&self, user: &str, name: &str) -> String {
        format!("http://{user}:{PASSWORD}@127.0.0.1:{}/alice/{name}.git", self.http)
    }

    fn ssh_address(&self, name: &str) -> String {
        format!("ssh://git@127.0.0.1:{}/alice/{name}.git", self.ssh)
    }

    /// Wait until Gitea has heard of the first push.
    fn wait_for_content(&self, name: &str) {
        let begun = Instant::now();
        while self.done("alice", "GET", &format!("/repos/alice/{name}"), Value::Null)["empty"] != false {
            assert!(begun.elapsed() < PATIENCE, "it hears of no push");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `git push` over HTTP as `user`.
    fn push(&self, work: &Repository<'_>, user: &str, name: &str, refs: &[&str]) -> Outcome {
        let address = self.address(user, name);
        let arguments = [&["push", "-q", &address], refs].concat();
        work.git(&arguments).any_status().any_stdout().any_stderr().check()
    }

    /// `git push` over ssh with the key of this name.
    fn push_by_key(&self, work: &Repository<'_>, key: &str, name: &str, refs: &[&str]) -> Outcome {
        let address = self.ssh_address(name);
        let arguments = [&["push", "-q", &address], refs].concat();
        let run = work.git(&arguments).env("GIT_SSH_COMMAND", self.ssh_command(key));
        run.any_status().any_stdout().any_stderr().check()
    }

    fn ssh_command(&self, key: &str) -> String {
        let key = self.world.path(key);
        let known = self.world.path("known_hosts");
        format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o IdentityAgent=none -o LogLevel=ERROR -o BatchMode=yes \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile={}",
            key.display(),
            known.display()
        )
    }

    /// Install the hooks for a repository, with further options.
    fn install(&self, repository: &Path, more: &[&str]) -> String {
        let repository = repository.to_str().unwrap();
        let install =
            ["hook", "install", "--repository", repository, "--policy", "policy.toml", "--forge", FORGE];
        self.world.countersign(&[&install, more].concat()).any_stdout().any_stderr().check().text()
    }

    /// `countersign ledger verify` on the server: exit status and findings.
    fn ledger(&self, repository: &Path) -> (i32, String) {
        let verify = ["ledger", "verify", "--repository", repository.to_str().unwrap()];
        let outcome = self.world.countersign(&verify).any_status().any_stdout().any_stderr().check();
        (outcome.status, outcome.text() + &outcome.words())
    }

    /// The lines of the audit file about this ref, the newest last.
    fn audit(&self, repository: &Path, reference: &str) -> Vec<Value> {
        let text = fs::read_to_string(repository.join("countersign/audit.jsonl")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["ref"] == reference).collect()
    }
}

impl Drop for Gitea<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// A policy in which alice signs what goes to `main` and pushes it, with `rules` before the last one and `more` in
/// the rule for `main`.
fn policy(world: &World, more: &str, rules: &str) {
    let keyless = |name: &str, email: &str, account: &str| {
        format!(
            "[identity.{name}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", \
             subject = \"{email}\" }}]\nforge_users = [{{ forge = \"git.example.com\", {account} }}]\n",
            world.url()
        )
    };
    let web = fs::read_to_string(world.path("web.pub")).unwrap();
    let text = format!(
        "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\n\
         trusted_root = \"authority/trusted_root.json\"\n[[forge]]\nname = \"web\"\nssh = [\"{}\"]\n{}{}\
         [[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\"]\ncreate = \"allow\"\n{more}\
         {rules}\
         [[rule]]\nname = \"topics\"\nrefs = [\"refs/heads/topic/**\"]\ncommits = \"unsigned\"\n\
         create = \"allow\"\ndelete = \"allow\"\n",
        web.trim_end(),
        keyless("alice", ALICE, "user = \"alice\""),
        // The accounts are numbered as they are made.
        keyless("bob", BOB, "id = \"3\""),
    );
    world.write("policy.toml", text);
}

/// Every file below `folder` with its content.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.push((path.clone(), Vec::new()));
            found.extend(tree(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}
