//! What integration tests share: a world of its own for each test, with an authority, git and the program.
//!
//! Nothing of the machine leaks in: the environment is cleared but for `PATH`, HOME is the world's own,
//! and no system-wide git configuration is read. Whatever a command prints has to be mentioned: standard
//! output and standard error are expected to be empty, and the exit status 0, unless a test says otherwise.

#![allow(dead_code, unused_imports, reason = "not every test binary uses everything")]

mod objects;
mod run;

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign::{
    repository::GitVersion,
    sandbox::{Authority, Options, RekorOffer, Running},
};

pub use objects::{insert_header, remove_signature, rewrite_cms};
pub use run::{Outcome, Run, Started};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
/// Who signs unless a test says otherwise.
pub const ALICE: &str = "alice@example.com";
/// Somebody else.
pub const BOB: &str = "bob@example.com";

/// One machine: a home, an authority that serves, and what lies in its folder.
pub struct World {
    folder: tempfile::TempDir,
    authority: Option<Running>,
    url: String,
    environment: RefCell<Vec<(String, String)>>,
}

impl World {
    /// An authority that offers Rekor v1, a configuration as `countersign init` writes it, and a token of
    /// [`ALICE`] in the environment. Nobody is trusted yet.
    pub fn new() -> Self {
        Self::offering(RekorOffer::V1Only)
    }

    /// [`World::new`] with other logs.
    pub fn offering(rekor: RekorOffer) -> Self {
        Self::with(Options { rekor, ..Options::default() })
    }

    /// [`World::new`] with an authority of any kind.
    pub fn with(options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("countersign-test-").tempdir().unwrap();
        let authority = Authority::new(options).unwrap().serve(0).unwrap();
        let world = Self {
            url: authority.url().to_owned(),
            environment: RefCell::new(Vec::new()),
            authority: Some(authority),
            folder,
        };
        for name in ["home", "gnupg", "authority", "tmp"] {
            fs::create_dir(world.path(name)).unwrap();
        }
        let authority = world.authority().authority();
        world.write("authority/trusted_root.json", authority.trusted_root_json());
        world.write("authority/signing_config.json", authority.signing_config_json());
        world.write("home/.gitconfig", "");
        world.configure(&format!(
            "[user]\n name = Alice\n email = {ALICE}\n[init]\n defaultBranch = main\n\
             [advice]\n detachedHead = false\n[commit]\n gpgSign = true\n[tag]\n gpgSign = true\n\
             [gpg]\n format = x509\n[gpg \"x509\"]\n program = {PROGRAM}\n\
             [countersign]\n instance = sandbox\n agent = off\n\
             [countersign \"sandbox\"]\n trustedRoot = {}\n signingConfig = {}\n",
            world.path("authority/trusted_root.json").display(),
            world.path("authority/signing_config.json").display(),
        ));
        world.set("SIGSTORE_ID_TOKEN", &world.token(ALICE));
        world
    }

    /// The authority while it serves.
    pub fn authority(&self) -> &Running {
        self.authority.as_ref().expect("the authority serves")
    }

    /// Ends the authority: whatever happens from now on happens offline.
    pub fn stop_authority(&mut self) {
        drop(self.authority.take());
    }

    /// The address of the authority, and the issuer of its tokens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many requests the authority has answered.
    pub fn requests(&self) -> u64 {
        self.authority().statistics().0
    }

    /// How many entries the Rekor v1 log has.
    pub fn log_size(&self) -> u64 {
        (0..).find(|index| self.authority().authority().rekor_v1_entry(*index).is_none()).unwrap()
    }

    /// A token for `email`.
    pub fn token(&self, email: &str) -> String {
        self.authority().authority().issue_id_token(email).unwrap()
    }

    /// A path inside the world's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the world's folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Sets an environment variable for every command to come.
    pub fn set(&self, name: &str, value: &str) {
        self.unset(name);
        self.environment.borrow_mut().push((name.to_owned(), value.to_owned()));
    }

    /// Takes away an environment variable.
    pub fn unset(&self, name: &str) {
        self.environment.borrow_mut().retain(|(known, _)| known != name);
    }

    /// Appends to the user's own git configuration.
    pub fn configure(&self, text: &str) {
        let path = self.path("home/.gitconfig");
        let configuration = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{configuration}{text}\n")).unwrap();
    }

    /// Names `email` as one whose signatures count, in the user's own configuration.
    pub fn trust(&self, email: &str) {
        self.configure(&format!("[countersign]\n trustedIdentity = sandbox {} email {email}", self.url));
    }

    /// Writes a policy in which each of `people` (name and e-mail address) may sign everything.
    pub fn policy(&self, people: &[(&str, &str)]) -> PathBuf {
        let mut text = "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\n\
                        trusted_root = \"authority/trusted_root.json\"\n"
            .to_owned();
        for (name, email) in people {
            text += &format!(
                "[identity.{name}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", \
                 kind = \"email\", subject = \"{email}\" }}]\n",
                self.url
            );
        }
        let names: Vec<_> = people.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        text += &format!(
            "[[rule]]\nname = \"everything\"\nrefs = [\"refs/**\"]\ncommits = [{0}]\ntags = [{0}]\n\
             create = \"allow\"\n",
            names.join(", ")
        );
        self.write("policy.toml", text)
    }

    /// A program in this world's folder.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Run<'_> {
        Run::new(self, program, arguments)
    }

    /// The program under test in this world's folder.
    pub fn countersign(&self, arguments: &[&str]) -> Run<'_> {
        self.run(PROGRAM, arguments)
    }

    /// Makes a repository in the folder `name`.
    pub fn repository(&self, name: &str, format: &str) -> Repository<'_> {
        let repository = Repository { world: self, path: self.path(name) };
        self.run("git", &["init", "-q", &format!("--object-format={format}"), name]).check();
        repository
    }

    /// Makes a bare repository in the folder `name`.
    pub fn bare(&self, name: &str, format: &str) -> Repository<'_> {
        let repository = Repository { world: self, path: self.path(name) };
        self.run("git", &["init", "-q", "--bare", &format!("--object-format={format}"), name]).check();
        repository
    }

    /// `text` with what differs from run to run replaced: `[URL]`, `[DIR]`, `[TIME]`, `[AGE]`.
    pub fn redact(&self, text: &str) -> String {
        let folder = self.folder.path().to_str().unwrap();
        run::redact_ages(&run::redact_times(&text.replace(&self.url, "[URL]").replace(folder, "[DIR]")))
    }
}

/// A repository in a world.
pub struct Repository<'w> {
    pub world: &'w World,
    pub path: PathBuf,
}

impl<'w> Repository<'w> {
    /// Another place in the same world, such as a clone or a linked work tree.
    pub fn at(world: &'w World, path: &Path) -> Self {
        Self { world, path: path.to_owned() }
    }

    /// git in this repository.
    pub fn git(&self, arguments: &[&str]) -> Run<'w> {
        self.world.run("git", arguments).directory(&self.path)
    }

    /// The program under test in this repository.
    pub fn countersign(&self, arguments: &[&str]) -> Run<'w> {
        self.world.countersign(arguments).directory(&self.path)
    }

    /// An empty commit, signed; its id.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["commit", "-q", "--allow-empty", "-m", message]).check();
        self.id("HEAD")
    }

    /// An empty commit, signed by `email`; its id.
    pub fn commit_as(&self, email: &str, message: &str) -> String {
        let token = self.world.token(email);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]).env("SIGSTORE_ID_TOKEN", &token).check();
        self.id("HEAD")
    }

    /// The full id that `revision` names.
    pub fn id(&self, revision: &str) -> String {
        self.git(&["rev-parse", "--verify", "-q", revision]).any_stdout().check().text().trim_end().to_owned()
    }

    /// Whether `revision` names anything.
    pub fn has(&self, revision: &str) -> bool {
        self.git(&["rev-parse", "--verify", "-q", revision]).any_stdout().any_status().check().status == 0
    }

    /// The bytes of an object, without replacement.
    pub fn object(&self, kind: &str, revision: &str) -> Vec<u8> {
        self.git(&["--no-replace-objects", "cat-file", kind, revision]).any_stdout().check().stdout
    }

    /// Stores `bytes` as an object whatever they are; its id.
    pub fn store(&self, kind: &str, bytes: &[u8]) -> String {
        let arguments = ["hash-object", "-w", "--literally", "-t", kind, "--stdin"];
        self.git(&arguments).input(bytes).any_stdout().check().text().trim_end().to_owned()
    }

    /// Signs `payload` as git would have it signed; the armor.
    pub fn sign(&self, payload: &[u8]) -> Vec<u8> {
        let status = "\n[GNUPG:] BEGIN_SIGNING H8\n[GNUPG:] SIG_CREATED D 19 8 00 ";
        let outcome = self
            .countersign(&["--status-fd=2", "-bsau", ALICE])
            .input(payload)
            .any_stdout()
            .stderr_begins(status)
            .check();
        outcome.stdout
    }

    /// Stores `payload`, a commit without signature, as a commit that is signed; its id.
    pub fn store_signed_commit(&self, payload: &[u8]) -> String {
        let armor = self.sign(payload);
        self.store("commit", &insert_header(payload, self.signature_header(), &armor))
    }

    /// The header in which commits of this repository carry their signature.
    pub fn signature_header(&self) -> &'static str {
        let format = self.git(&["rev-parse", "--show-object-format"]).any_stdout().check();
        if format.text().trim_end() == "sha256" { "gpgsig-sha256" } else { "gpgsig" }
    }

    /// git's answer to one commit: `%G?|%GS`, and for a good signature `|%GT` besides (git before 2.41
    /// aborts where it is asked for a trust level that no status line has named).
    pub fn grade(&self, revision: &str) -> String {
        let ask = |format: &str| {
            let format = format!("--format={format}");
            let run = self.git(&["log", "-1", &format, revision]).any_stdout().any_stderr();
            run.check().text().trim_end().to_owned()
        };
        let grade = ask("%G?|%GS");
        if grade.starts_with(['G', 'U']) { format!("{grade}|{}", ask("%GT")) } else { grade }
    }

    /// What the program says about why it does not sign `payload`: git 2.39 keeps it to itself.
    pub fn refusal(&self, payload: &[u8]) -> String {
        let run = self.countersign(&["--status-fd=2", "-bsau", ALICE]).input(payload).status(3);
        self.world.redact(&run.any_stderr().check().words())
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// An identity token with these claims that nobody has signed.
pub fn unsigned_token(claims: &serde_json::Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"none"}"#), part(&claims.to_string()), part("signature"))
}

/// A `PATH` on which git is `version` or newer: by the git at hand, or by the one in the folder that
/// `COUNTERSIGN_TEST_NEW_GIT` names. Where neither is it is said that `test` could not run.
pub fn newer_git(test: &str, version: (u32, u32)) -> Option<String> {
    let path = std::env::var("PATH").unwrap();
    let named = std::env::var("COUNTERSIGN_TEST_NEW_GIT").ok().map(|folder| format!("{folder}:{path}"));
    let found = named.into_iter().chain([path]).find(|path| {
        let output = std::process::Command::new("git").arg("version").env("PATH", path).output().unwrap();
        GitVersion::parse(&String::from_utf8_lossy(&output.stdout)).is_at_least(version)
    });
    if found.is_none() {
        println!("NOTE: {test}: git {}.{} or later not found", version.0, version.1);
    }
    found
}

/// Says that a test could not run for want of a program; whether that is so.
pub fn skipped(test: &str, tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = !std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    if missing {
        eprintln!("SKIPPED: {test}: {tool} not found");
    }
    missing
}
