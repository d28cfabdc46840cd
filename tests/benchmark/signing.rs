//! What signing through a warm agent costs: one commit, a rebase that signs anew, and the start of the program.
//!
//! The embedded authority reports its own time; it is printed and subtracted, and so is what git itself takes for
//! a commit. Run with `cargo bench --bench signing`; the number of commits of the rebase may be given as argument.
//! Beside it gitsign does the same, where it is installed.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a benchmark stands in the world")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::sandbox::{Authority, Identity, Options, Role, Running};

const RUNS: usize = 41;
const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
const MAIL: &str = "alice@example.com";
/// How much of a commit may be ours.
const TARGET: Duration = Duration::from_millis(10);

struct World {
    directory: tempfile::TempDir,
    authority: Running,
}

/// Median times of a command.
struct Times {
    whole: Duration,
    /// The authority's own share in it.
    authority: Duration,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let auto_approve = Some(Identity::Email(MAIL.to_owned()));
        let options = Options { auto_approve, ..Options::default() };
        let authority = Authority::new(options).unwrap().serve(0).unwrap();
        let world = Self { directory, authority };
        for name in ["home", "run"] {
            fs::create_dir(world.path(name)).unwrap();
        }
        let authority = world.authority.authority();
        fs::write(world.path("trusted_root.json"), authority.trusted_root_json()).unwrap();
        fs::write(world.path("signing_config.json"), authority.signing_config_json()).unwrap();
        fs::write(world.path("browser"), include_str!("../support/browser.sh")).unwrap();
        fs::set_permissions(world.path("browser"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(
            world.path("home/.gitconfig"),
            format!(
                "[user]\n name = Alice\n email = {MAIL}\n[init]\n defaultBranch = main\n[commit]\n gpgSign = true\n\
                 [gpg]\n format = x509\n[gpg \"x509\"]\n program = {PROGRAM}\n\
                 [countersign]\n instance = sandbox\n urlOpener = '{}'\n issuer = {}\n\
                 [countersign \"sandbox\"]\n trustedRoot = {}\n signingConfig = {}\n",
                world.path("browser").display(),
                world.authority.url(),
                world.path("trusted_root.json").display(),
                world.path("signing_config.json").display(),
            ),
        )
        .unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Run hermetically; the program must succeed.
    fn run(&self, command: &mut Command) {
        self.run_with(command, &[]);
    }

    /// [`World::run`] with more in the environment.
    fn run_with(&self, command: &mut Command, environment: &[(&str, String)]) {
        let output = command
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn git(&self, repository: &str, arguments: &[&str]) {
        self.run(Command::new("git").arg("-C").arg(self.path(repository)).args(arguments));
    }

    fn logins(&self) -> usize {
        fs::read_to_string(self.path("opened")).map_or(0, |opened| opened.lines().count())
    }

    fn median(&self, run: impl Fn()) -> Times {
        let mut runs: Vec<(Duration, Duration)> = (0..RUNS).map(|_| self.timed(&run)).collect();
        runs.sort();
        let (whole, authority) = runs[RUNS / 2];
        Times { whole, authority }
    }

    fn timed(&self, run: impl Fn()) -> (Duration, Duration) {
        let before = self.authority.statistics().1;
        let begun = Instant::now();
        run();
        let took = begun.elapsed();
        (took, Duration::from_micros(self.authority.statistics().1 - before))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.run(Command::new(PROGRAM).args(["agent", "stop"]));
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn main() {
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(200);
    let world = World::new();

    let start = world.median(|| world.run(Command::new(PROGRAM).arg("--version")));
    println!("cold start of the program: {:.1} ms", milliseconds(start.whole));

    world.run(Command::new("git").args(["init", "-q", "one"]));
    let commit = ["commit", "-q", "--allow-empty", "-m", "message"];
    let (first, _) = world.timed(|| world.git("one", &commit));
    println!("first git commit -S, which starts the agent and logs in: {:.1} ms", milliseconds(first));
    let signed = world.median(|| world.git("one", &commit));
    let plain = ["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "message"];
    let plain = world.median(|| world.git("one", &plain));
    let ours = signed.whole.saturating_sub(signed.authority).saturating_sub(plain.whole);
    println!(
        "git commit -S with a warm agent: {:.1} ms (authority itself {:.1} ms, git without a signature {:.1} ms, \
         so ours {:.1} ms; target {:.0} ms: {})",
        milliseconds(signed.whole),
        milliseconds(signed.authority),
        milliseconds(plain.whole),
        milliseconds(ours),
        milliseconds(TARGET),
        if ours <= TARGET { "met" } else { "missed" },
    );

    rebase(&world, count);
    gitsign(&world);
}

/// A rebase that signs `count` commits anew, and one that signs none.
fn rebase(world: &World, count: usize) {
    world.run(Command::new("git").args(["init", "-q", "many"]));
    for number in 0..=count {
        let message = format!("commit {number}");
        world.git("many", &["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", &message]);
    }
    let base = format!("HEAD~{count}");
    let before = world.logins();
    let plain = ["rebase", "-q", "--no-gpg-sign", "--force-rebase", &base];
    let (plain, _) = world.timed(|| world.git("many", &plain));
    let (signed, authority) = world.timed(|| world.git("many", &["rebase", "-q", "--force-rebase", &base]));
    let per_commit = |duration: Duration| milliseconds(duration) / count as f64;
    println!(
        "git rebase that signs {count} commits anew: {:.2} s, {:.0} commits/s (without signing {:.2} s; authority \
         itself {:.2} s; so ours {:.1} ms a commit), logins besides the first: {}",
        signed.as_secs_f64(),
        count as f64 / signed.as_secs_f64(),
        plain.as_secs_f64(),
        authority.as_secs_f64(),
        per_commit(signed.saturating_sub(plain).saturating_sub(authority)),
        world.logins() - before,
    );
}

/// The same commit by gitsign, against the same authority and with its log entry embedded as ours is: with a token for
/// each, and with its credential cache, which is what an agent is here.
fn gitsign(world: &World) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name| std::env::split_paths(&path).any(|folder: PathBuf| folder.join(name).is_file());
    if !is_there("gitsign") {
        println!("SKIPPED: gitsign is not installed");
        return;
    }
    let url = world.authority.url();
    let authority = world.authority.authority();
    let pem = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    };
    let file = |name: &str, content: String| {
        fs::write(world.path(name), content).unwrap();
        world.path(name).display().to_string()
    };
    let chain = authority.certificate_chain().map(|der| pem("CERTIFICATE", der)).concat();
    let environment = [
        ("GITSIGN_FULCIO_URL", url.to_owned()),
        ("GITSIGN_REKOR_URL", url.to_owned()),
        ("GITSIGN_OIDC_ISSUER", url.to_owned()),
        ("GITSIGN_REKOR_MODE", "offline".to_owned()),
        ("GITSIGN_FULCIO_ROOT", file("fulcio.pem", chain)),
        (
            "SIGSTORE_REKOR_PUBLIC_KEY",
            file("rekor.pub", authority.signing_key(Role::RekorV1).public_key_pem()),
        ),
        (
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE",
            file("ctfe.pub", authority.signing_key(Role::CertificateTransparencyLog).public_key_pem()),
        ),
    ];
    let commit = |more: &[(&str, String)]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(world.path("one")).args(["-c", "gpg.x509.program=gitsign"]);
        command.args(["commit", "-q", "--allow-empty", "-m", "message"]);
        world.run_with(&mut command, &[&environment[..], more].concat());
    };
    let token = || ("SIGSTORE_ID_TOKEN", authority.issue_id_token(MAIL).unwrap());
    let times = world.median(|| commit(&[token()]));
    println!(
        "git commit -S by gitsign, a token and a certificate for each: {:.1} ms (authority itself {:.1} ms)",
        milliseconds(times.whole),
        milliseconds(times.authority)
    );

    if !is_there("gitsign-credential-cache") {
        return;
    }
    let mut cache = Command::new("gitsign-credential-cache")
        .env_clear()
        .env("HOME", world.path("home"))
        .env("PATH", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = world.path("home/.cache/sigstore/gitsign/cache.sock");
    let begun = Instant::now();
    while !socket.exists() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let cached = ("GITSIGN_CREDENTIAL_CACHE", socket.display().to_string());
    commit(&[cached.clone(), token()]);
    let times = world.median(|| commit(std::slice::from_ref(&cached)));
    println!(
        "git commit -S by gitsign with its credential cache: {:.1} ms (authority itself {:.1} ms)",
        milliseconds(times.whole),
        milliseconds(times.authority)
    );
    cache.kill().unwrap();
    cache.wait().unwrap();
}
