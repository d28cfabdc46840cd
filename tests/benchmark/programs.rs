//! What whole programs cost: verifying and signing one commit through git beside gpg and ssh-keygen,
//! and a push of 1 and of 5,000 signed commits through the hook beside the same push without it.
//!
//! The embedded authority reports its own time, which is subtracted; both are printed. Run with
//! `cargo bench --bench programs`; the number of commits of the large push may be given as argument.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a benchmark stands in the world")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use countersign::{
    identity::Token,
    sandbox::{Authority, Options, Running},
    service::http::Http,
    sign::{Preference, Signer, SigningPlan},
};
use gix::{objs::Kind, objs::Write as _};

const RUNS: usize = 41;
const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
const MAIL: &str = "alice@example.com";
/// How many commits one certificate signs in the large push.
const COMMITS_PER_CERTIFICATE: usize = 10;

struct World {
    directory: tempfile::TempDir,
    authority: Running,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new(Options::default()).unwrap().serve(0).unwrap();
        let world = Self { directory, authority };
        fs::create_dir(world.path("home")).unwrap();
        fs::write(world.path("trusted_root.json"), world.authority.authority().trusted_root_json()).unwrap();
        fs::write(world.path("signing_config.json"), world.authority.authority().signing_config_json())
            .unwrap();
        fs::write(
            world.path("policy.toml"),
            format!(
                "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\n\
                 trusted_root = \"trusted_root.json\"\n[identity.alice]\nkeyless = [{{ instance = \"sandbox\", \
                 issuer = \"{}\", kind = \"email\", subject = \"{MAIL}\" }}]\n[[rule]]\nname = \"all\"\n\
                 refs = [\"refs/heads/**\"]\ncommits = [\"alice\"]\ncreate = \"allow\"\n",
                world.authority.url()
            ),
        )
        .unwrap();
        for (key, value) in [("user.name", "Alice"), ("user.email", MAIL), ("init.defaultBranch", "main")] {
            world.run(Command::new("git").args(["config", "--global", key, value]));
        }
        world.run(
            Command::new(PROGRAM)
                .args(["init", "--instance", "sandbox", "--trusted-root", "trusted_root.json"])
                .args(["--signing-config", "signing_config.json", "--policy", "policy.toml"])
                .current_dir(world.directory.path()),
        );
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn token(&self) -> String {
        self.authority.authority().issue_id_token(MAIL).unwrap()
    }

    /// Run hermetically; the program must succeed.
    fn run(&self, command: &mut Command) -> String {
        let output = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("GNUPGHOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("SIGSTORE_ID_TOKEN", self.token())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn git(&self, repository: &str, arguments: &[&str]) -> String {
        self.run(Command::new("git").arg("-C").arg(self.path(repository)).args(arguments))
    }

    /// Median time of a git command, and the authority's own share in it.
    fn median(&self, repository: &str, arguments: &[&str]) -> (Duration, Duration) {
        let mut runs: Vec<(Duration, Duration)> = (0..RUNS)
            .map(|_| {
                let before = self.authority.statistics().1;
                let begun = Instant::now();
                self.git(repository, arguments);
                let took = begun.elapsed();
                (took, Duration::from_micros(self.authority.statistics().1 - before))
            })
            .collect();
        runs.sort();
        runs[RUNS / 2]
    }
}

fn main() {
    let large = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    let world = World::new();
    single_commits(&world);
    pushes(&world, 1);
    pushes(&world, large);
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Signing and verifying one commit, with each program.
fn single_commits(world: &World) {
    world.run(Command::new("gpg").args([
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-generate-key",
        "Alice <alice@example.com>",
        "ed25519",
    ]));
    let key = world.path("id_ed25519");
    world.run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    fs::write(world.path("allowed"), format!("{MAIL} {public}")).unwrap();
    let key = key.to_str().unwrap().to_owned();
    let allowed = format!("gpg.ssh.allowedSignersFile={}", world.path("allowed").display());

    let setups: [(&str, Vec<&str>); 3] = [
        ("countersign", vec![]),
        ("gpg", vec!["-c", "gpg.format=openpgp"]),
        ("ssh-keygen", vec!["-c", "gpg.format=ssh", "-c", &allowed]),
    ];
    for (name, options) in setups {
        world.git(".", &["init", "-q", name]);
        let signing_key = format!("user.signingKey={key}");
        let mut commit = options.clone();
        if name == "ssh-keygen" {
            commit.extend(["-c", &signing_key]);
        }
        commit.extend(["commit", "-q", "--allow-empty", "-m", "message"]);
        let (signing, inside_authority) = world.median(name, &commit);
        let mut verify = options;
        verify.extend(["verify-commit", "HEAD"]);
        let (verifying, _) = world.median(name, &verify);
        println!(
            "{name}: git commit -S {:.1} ms (authority itself {:.1} ms, so {:.1} ms), git verify-commit {:.1} ms",
            milliseconds(signing),
            milliseconds(inside_authority),
            milliseconds(signing.saturating_sub(inside_authority)),
            milliseconds(verifying),
        );
    }
    let (unsigned, _) =
        world.median("countersign", &["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "m"]);
    println!("git commit without a signature {:.1} ms", milliseconds(unsigned));

    // The program alone, as git calls it; `git config` runs inside it as it does then.
    world.git("countersign", &["commit", "-q", "--allow-empty", "-m", "last"]);
    let raw = world.git("countersign", &["cat-file", "commit", "HEAD"]);
    let commit = countersign::object::Commit::parse(gix::hash::Kind::Sha1, raw.as_bytes()).unwrap();
    fs::write(world.path("signature"), commit.signed.signature.as_ref().unwrap()).unwrap();
    let payload = commit.signed.payload.to_vec();
    let signature = world.path("signature");
    let verify = ["--status-fd=1", "--verify", signature.to_str().unwrap(), "-"];
    println!("of verify-commit, inside countersign: {:.1} ms", milliseconds(alone(world, &verify, &payload)));
    let before = world.authority.statistics().1;
    let signing = alone(world, &["--status-fd=2", "-bsau", "Alice"], &payload);
    let authority = Duration::from_micros((world.authority.statistics().1 - before) / RUNS as u64);
    println!(
        "of commit -S, inside countersign: {:.1} ms (authority itself {:.1} ms, so {:.1} ms)",
        milliseconds(signing),
        milliseconds(authority),
        milliseconds(signing.saturating_sub(authority)),
    );
    println!("of both, git config inside countersign: {:.1} ms", {
        let (reading, _) = world.median("countersign", &["config", "--list", "-z", "--show-scope"]);
        milliseconds(reading)
    });
}

/// Median time of the program by itself with `payload` on standard input.
fn alone(world: &World, arguments: &[&str], payload: &[u8]) -> Duration {
    let token = world.token();
    let mut runs: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let begun = Instant::now();
            let mut child = Command::new(PROGRAM)
                .args(arguments)
                .env("HOME", world.path("home"))
                .env("SIGSTORE_ID_TOKEN", &token)
                .current_dir(world.path("countersign"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(payload).unwrap();
            assert!(child.wait_with_output().unwrap().status.success());
            begun.elapsed()
        })
        .collect();
    runs.sort();
    runs[RUNS / 2]
}

/// A push of `count` signed commits, through the hook and without it.
fn pushes(world: &World, count: usize) {
    let source = format!("source-{count}");
    world.git(".", &["init", "-q", "--bare", &source]);
    let begun = Instant::now();
    let tip = chain(world, &world.path(&source), count);
    println!("signed {count} commits in {:.1} s", begun.elapsed().as_secs_f64());
    world.git(&source, &["update-ref", "refs/heads/main", &tip]);
    world.git(&source, &["repack", "-adq"]);
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..if count == 1 { 15 } else { 3 } {
        for (gated, times) in times.iter_mut().enumerate() {
            let target = format!("target-{count}-{round}-{gated}");
            world.git(".", &["init", "-q", "--bare", &target]);
            if gated == 1 {
                world.run(
                    Command::new(PROGRAM)
                        .args(["hook", "install", "--repository", &target, "--policy", "policy.toml"])
                        .current_dir(world.directory.path()),
                );
            }
            let to = world.path(&target);
            let begun = Instant::now();
            world.git(&source, &["push", "-q", to.to_str().unwrap(), "main"]);
            times.push(begun.elapsed());
        }
    }
    let [plain, gated] = times.map(|mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    });
    println!(
        "push of {count}: without the hook {:.1} ms, through it {:.1} ms: {:.2} ms a commit, {:.0} commits/s",
        milliseconds(plain),
        milliseconds(gated),
        milliseconds(gated.saturating_sub(plain)) / count as f64,
        count as f64 / gated.saturating_sub(plain).as_secs_f64().max(1e-6),
    );
}

/// `count` signed commits on one another; the last one's id.
fn chain(world: &World, repository: &Path, count: usize) -> String {
    let objects = gix::odb::at(repository.join("objects"), gix::hash::Kind::Sha1).unwrap();
    let tree = objects.write_buf(Kind::Tree, b"").unwrap();
    let now = jiff::Timestamp::now().as_second();
    let plan = SigningPlan::from_signing_config(
        &world.authority.authority().signing_config_json(),
        now,
        Preference::Interoperable,
    )
    .unwrap();
    let signer = Signer::new(Arc::new(Http::default()), plan);
    let mut parent = String::new();
    let mut session = None;
    for number in 0..count {
        if number % COMMITS_PER_CERTIFICATE == 0 {
            let token = Token::parse(world.token()).unwrap();
            session = Some(signer.open(&token, &|_| Ok(())).unwrap());
        }
        let person = format!("Alice <{MAIL}> {now} +0000");
        let head = format!("tree {tree}\n{parent}author {person}\ncommitter {person}\n");
        let body = format!("\ncommit {number}\n");
        let payload = format!("{head}{body}");
        let signed = signer.sign(session.as_ref().unwrap(), payload.as_bytes(), now, &|_, _| Ok(())).unwrap();
        let armor = String::from_utf8(signed.armor).unwrap();
        let folded = armor.trim_end().replace('\n', "\n ");
        let id =
            objects.write_buf(Kind::Commit, format!("{head}gpgsig {folded}\n{body}").as_bytes()).unwrap();
        parent = format!("parent {id}\n");
    }
    parent.trim_start_matches("parent ").trim_end().to_owned()
}
