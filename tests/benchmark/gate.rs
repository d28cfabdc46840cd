//! What the gate adds to a push: one commit, many new ones, a repository with many refs or with a long history,
//! many refs at once; each beside the same push without the hook, and how much anonymous memory the hook takes.
//!
//! Run with `cargo bench --bench gate`; with `-- small` everything is a hundredth of its size, to see that it works,
//! and with `-- one` it ends after the pushes of one commit to a small repository.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a benchmark stands in the world")]

use std::{
    cell::Cell,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use countersign::{
    identity::Token,
    sandbox::{Authority, Options, RekorOffer, Running},
    service::http::Http,
    sign::{Preference, Signer, SigningPlan},
};
use gix::{objs::Kind, objs::Write as _};

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
/// What the hooks run.
const GATE: &str = env!("CARGO_BIN_EXE_countersign-gate");
const MAIL: &str = "alice@example.com";
/// How many commits one certificate signs.
const COMMITS_PER_CERTIFICATE: usize = 10;
/// How often a push of one commit is measured.
const RUNS: usize = 41;
/// How many pushes a repository has had before it is measured again.
const EARLIER: usize = 800;

struct World {
    directory: tempfile::TempDir,
    authority: Running,
    /// What the next commit says of when it was made: a second after the one before it.
    date: Cell<i64>,
}

/// Whether a repository has the hook, and who runs it.
#[derive(Clone, Copy, PartialEq)]
enum Hook {
    None,
    Gate,
    /// The gate without its ledger.
    NoLedger,
    /// Through this benchmark, which looks at its memory.
    Watched,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "hook") {
        watch(&arguments[1..]);
    }
    let scale = if arguments.iter().any(|argument| argument == "small") { 100 } else { 1 };
    let world = World::new();
    one_commit(&world);
    if arguments.iter().any(|argument| argument == "one") {
        return;
    }
    for count in [1_000, 10_000] {
        many_commits(&world, count / scale);
    }
    many_references(&world, 100_000 / scale);
    references_at_once(&world, 3_000 / scale);
    long_history(&world, 1_000_000 / scale);
}

/// Run the program as the hook would, and write down the most anonymous memory that it took.
fn watch(arguments: &[String]) -> ! {
    let mut child = Command::new(GATE).args(arguments).spawn().unwrap();
    let state = arguments.iter().skip_while(|argument| *argument != "--state").nth(1).unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let code = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let now: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        peak = peak.max(now);
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap_or(1);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    // The ledger's hooks come after it.
    if arguments[1] == "pre-receive" {
        fs::write(Path::new(state).join("peak"), peak.to_string()).unwrap();
    }
    std::process::exit(code);
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { rekor: RekorOffer::V1Only, ..Options::default() };
        let authority = Authority::new(options).unwrap().serve(0).unwrap();
        let date = Cell::new(jiff::Timestamp::now().as_second() - 2_000_000);
        let world = Self { directory, authority, date };
        fs::create_dir(world.path("home")).unwrap();
        fs::write(world.path("trusted_root.json"), world.authority.authority().trusted_root_json()).unwrap();
        world.git(".", &["init", "-q", "--bare", "source"]);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Write the policy; `more` are lines of the rule, `signers` besides Alice are strangers.
    fn policy(&self, signers: &[&str], more: &str) {
        let url = self.authority.url();
        let mut text = "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\n\
                        trusted_root = \"trusted_root.json\"\n"
            .to_owned();
        for signer in signers {
            text += &format!(
                "[identity.{signer}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{url}\", kind = \"email\", \
                 subject = \"{signer}@example.com\" }}]\n"
            );
        }
        let names: Vec<String> = signers.iter().map(|signer| format!("\"{signer}\"")).collect();
        text += &format!(
            "[[rule]]\nname = \"all\"\nrefs = [\"refs/heads/**\"]\ncommits = [{}]\ncreate = \"allow\"\n\
             bases = [\"refs/heads/main\"]\n{more}",
            names.join(", ")
        );
        fs::write(self.path("policy.toml"), text).unwrap();
    }

    /// Run hermetically; the program must succeed.
    fn run(&self, command: &mut Command, input: &[u8]) -> String {
        let mut child = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn git(&self, repository: &str, arguments: &[&str]) -> String {
        self.git_with(repository, arguments, b"")
    }

    fn git_with(&self, repository: &str, arguments: &[&str], input: &[u8]) -> String {
        self.run(Command::new("git").arg("-C").arg(self.path(repository)).args(arguments), input)
    }

    fn target(&self, name: &str, hook: Hook) {
        if !self.path(name).exists() {
            self.git(".", &["init", "-q", "--bare", "-b", "main", name]);
        }
        let mut install = Command::new(PROGRAM);
        install.args(["hook", "install", "--policy", "policy.toml", "--repository", name]);
        match hook {
            Hook::None => return,
            Hook::Gate => {}
            Hook::NoLedger => drop(install.arg("--no-ledger")),
            Hook::Watched => drop(install.arg("--program").arg(std::env::current_exe().unwrap())),
        }
        self.run(install.current_dir(self.directory.path()), b"");
    }

    /// Push `refs` from the source; how long it took.
    fn push(&self, target: &str, refs: &[&str]) -> Duration {
        let to = self.path(target);
        let push = [&["push", "-q", to.to_str().unwrap()], refs].concat();
        let begun = Instant::now();
        self.git("source", &push);
        begun.elapsed()
    }

    /// The most anonymous memory of the last push through a watched hook.
    fn peak(&self, target: &str) -> String {
        let text = fs::read_to_string(self.path(target).join("countersign/peak")).unwrap();
        format!("{:.1} MiB anonymous memory", text.parse::<f64>().unwrap() / 1024.0)
    }

    /// `count` commits signed by Alice on `parent`, in the source; their ids.
    fn chain(&self, parent: Option<&str>, count: usize) -> Vec<String> {
        let objects = gix::odb::at(self.path("source/objects"), gix::hash::Kind::Sha1).unwrap();
        let tree = objects.write_buf(Kind::Tree, b"").unwrap();
        let now = jiff::Timestamp::now().as_second();
        let config = self.authority.authority().signing_config_json();
        let plan = SigningPlan::from_signing_config(&config, now, Preference::Interoperable).unwrap();
        let signer = Signer::new(Arc::new(Http::default()), plan);
        let mut ids: Vec<String> = Vec::new();
        let mut session = None;
        for number in 0..count {
            if number % COMMITS_PER_CERTIFICATE == 0 {
                let token = self.authority.authority().issue_id_token(MAIL).unwrap();
                session = Some(signer.open(&Token::parse(token).unwrap(), &|_| Ok(())).unwrap());
            }
            let parent = ids.last().map(String::as_str).or(parent);
            let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
            let date = self.date.get() + 1;
            self.date.set(date);
            let person = format!("Alice <{MAIL}> {date} +0000");
            let head = format!("tree {tree}\n{parent}author {person}\ncommitter {person}\n");
            let body = format!("\ncommit {number}\n");
            let session = session.as_ref().unwrap();
            let signed =
                signer.sign(session, format!("{head}{body}").as_bytes(), now, &|_, _| Ok(())).unwrap();
            let folded = String::from_utf8(signed.armor).unwrap().trim_end().replace('\n', "\n ");
            let object = format!("{head}gpgsig {folded}\n{body}");
            ids.push(objects.write_buf(Kind::Commit, object.as_bytes()).unwrap().to_string());
        }
        ids
    }

    /// Pack the source, keeping `tip`.
    fn pack(&self, tip: &str) {
        self.git("source", &["update-ref", "refs/heads/kept", tip]);
        self.git("source", &["repack", "-adq"]);
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Pushes of one signed commit each on top of what both repositories hold, turn by turn; what the hook adds.
fn single_pushes(world: &World, what: &str, plain: &str, gated: &str, tip: Option<&str>) {
    let ids = world.chain(tip, RUNS);
    measured_pushes(world, what, plain, gated, &ids);
}

fn measured_pushes(world: &World, what: &str, plain: &str, gated: &str, ids: &[String]) {
    let mut times = [Vec::new(), Vec::new()];
    for id in ids {
        for (target, times) in [plain, gated].into_iter().zip(&mut times) {
            times.push(world.push(target, &[&format!("{id}:refs/heads/main")]));
        }
    }
    let [without, with] = times.map(median);
    println!(
        "{what}: one commit without the hook {:.1} ms, through it {:.1} ms: {:+.1} ms",
        milliseconds(without),
        milliseconds(with),
        milliseconds(with) - milliseconds(without),
    );
}

fn one_commit(world: &World) {
    world.policy(&["alice"], "");
    world.target("one-plain", Hook::None);
    world.target("one-gated", Hook::Gate);
    // The first pushes to a repository make folders that the later ones find, git's as well as the gate's.
    let ids = world.chain(None, RUNS + EARLIER + RUNS);
    let (first, later) = ids.split_at(RUNS);
    let (between, last) = later.split_at(EARLIER);
    measured_pushes(world, "a new repository", "one-plain", "one-gated", first);
    for (id, target) in between.iter().flat_map(|id| [(id, "one-plain"), (id, "one-gated")]) {
        world.push(target, &[&format!("{id}:refs/heads/main")]);
    }
    let what = format!("the same after {} pushes", RUNS + EARLIER);
    measured_pushes(world, &what, "one-plain", "one-gated", last);
    world.target("none-plain", Hook::None);
    world.target("none-gated", Hook::NoLedger);
    single_pushes(world, "a new repository without a ledger", "none-plain", "none-gated", None);
}

fn many_commits(world: &World, count: usize) {
    world.policy(&["alice"], "");
    let begun = Instant::now();
    let tip = world.chain(None, count).pop().unwrap();
    println!("({count} commits signed in {:.1} s)", begun.elapsed().as_secs_f64());
    world.pack(&tip);
    let main = format!("{tip}:refs/heads/main");
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..3 {
        for (hook, times) in [Hook::None, Hook::Gate].into_iter().zip(&mut times) {
            let name = format!("many-{count}-{round}-{}", hook == Hook::Gate);
            world.target(&name, hook);
            times.push(world.push(&name, &[&main]));
        }
    }
    let [without, with] = times.map(median);
    println!(
        "{count} new signed commits: without the hook {:.2} s, through it {:.2} s: {:+.2} s, {:.0} commits/s",
        without.as_secs_f64(),
        with.as_secs_f64(),
        with.as_secs_f64() - without.as_secs_f64(),
        count as f64 / with.saturating_sub(without).as_secs_f64().max(1e-6),
    );
    // The whole history once more for another ref, after a change of the policy: nothing is verified again.
    let gated = format!("many-{count}-2-true");
    world.policy(&["alice", "bob"], "");
    let again = world.push(&gated, &[&format!("{tip}:refs/heads/again")]);
    println!("the same {count} judged anew by another policy: {:.2} s", again.as_secs_f64());
    world.policy(&["alice"], "");
    let watched = format!("many-{count}-watched");
    world.target(&watched, Hook::Watched);
    world.push(&watched, &[&main]);
    println!("{count} new signed commits: {}", world.peak(&watched));
}

fn many_references(world: &World, count: usize) {
    world.policy(&["alice"], "");
    let tip = world.chain(None, 1).pop().unwrap();
    let names: Vec<String> = (0..count).map(|number| format!("refs/heads/many/{number}")).collect();
    let create: String = names.iter().map(|name| format!("create {name} {tip}\n")).collect();
    for (name, hook) in [("refs-plain", Hook::None), ("refs-gated", Hook::Gate)] {
        world.target(name, Hook::None);
        world.push(name, &[&format!("{tip}:refs/heads/main")]);
        world.git_with(name, &["update-ref", "--stdin"], create.as_bytes());
        world.git(name, &["pack-refs", "--all"]);
        world.target(name, hook);
    }
    single_pushes(world, &format!("{count} refs"), "refs-plain", "refs-gated", Some(&tip));
}

fn references_at_once(world: &World, count: usize) {
    world.policy(&["alice"], "");
    let tip = world.chain(None, 1).pop().unwrap();
    let create: String =
        (0..count).map(|number| format!("create refs/heads/at-once/{number} {tip}\n")).collect();
    world.git_with("source", &["update-ref", "--stdin"], create.as_bytes());
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..3 {
        for (hook, times) in [Hook::None, Hook::Gate].into_iter().zip(&mut times) {
            let name = format!("at-once-{round}-{}", hook == Hook::Gate);
            world.target(&name, hook);
            times.push(world.push(&name, &["refs/heads/at-once/*:refs/heads/at-once/*"]));
        }
    }
    let [without, with] = times.map(median);
    println!(
        "{count} refs in one push: without the hook {:.2} s, through it {:.2} s: {:+.2} s",
        without.as_secs_f64(),
        with.as_secs_f64(),
        with.as_secs_f64() - without.as_secs_f64(),
    );
}

/// A history as an import leaves it: nobody signed it, no commit-graph, and an anchor at its end.
fn long_history(world: &World, count: usize) {
    let mut stream = String::with_capacity(count * 90);
    for number in 0..count {
        stream += &format!(
            "commit refs/heads/main\ncommitter C <c@example.com> {} +0000\ndata 2\n.\n",
            1_000_000_000 + number * 60
        );
    }
    let begun = Instant::now();
    for name in ["long-plain", "long-gated", "long-watched"] {
        world.target(name, Hook::None);
        world.git(name, &["config", "core.commitGraph", "false"]);
        world.git_with(name, &["fast-import", "--quiet"], stream.as_bytes());
    }
    drop(stream);
    let last = world.git("long-plain", &["rev-parse", "refs/heads/main"]);
    let from = world.path("long-plain");
    world.git("source", &["fetch", "-q", from.to_str().unwrap(), "refs/heads/main:refs/heads/long"]);
    println!("({count} commits imported in {:.1} s)", begun.elapsed().as_secs_f64());
    let anchor = format!("anchor = \"{last}\"\n");
    world.policy(&["alice"], &anchor);
    world.target("long-gated", Hook::Gate);
    world.target("long-watched", Hook::Watched);
    single_pushes(world, &format!("{count} commits"), "long-plain", "long-gated", Some(&last));
    let tip = world.git("long-gated", &["rev-parse", "refs/heads/main"]);
    let [next, after] = &world.chain(Some(&tip), 2)[..] else { unreachable!("two were asked for") };
    world.policy(&["alice", "bob"], &anchor);
    let first = world.push("long-gated", &[&format!("{next}:refs/heads/main")]);
    println!("{count} commits, the first push after a change of the policy: {:.1} ms", milliseconds(first));
    world.policy(&["alice", "carol"], &anchor);
    let branch = world.push("long-gated", &[&format!("{after}:refs/heads/branch")]);
    println!(
        "{count} commits, the first branch after a change of the policy: {:.1} ms",
        milliseconds(branch)
    );
    world.push("long-watched", &[&format!("{next}:refs/heads/main")]);
    println!("{count} commits: {}", world.peak("long-watched"));
    // All of it, by a rule that asks nobody to sign: what reading a million commits costs.
    world.policy(
        &["alice"],
        "[[rule]]\nname = \"free\"\nrefs = [\"refs/free/*\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n",
    );
    let whole = world.push("long-watched", &[&format!("{last}:refs/free/x")]);
    println!("{count} commits read as a whole: {:.2} s, {}", whole.as_secs_f64(), world.peak("long-watched"));
}
