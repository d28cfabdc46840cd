//! A machine on which an agent may run, with a browser that logs in at once, slowly, never, or not at all.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign::{
    agent::{client::Client, place::Place},
    sandbox::{Clock, Identity, Options, SystemClock},
};

use crate::support::{ALICE, Repository, World};

/// What plays the browser.
const BROWSER: &str = include_str!("../support/browser.sh");

/// A commit that git could hand over.
pub const PAYLOAD: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
                           author Alice <alice@example.com> 1790000000 +0000\n\
                           committer Alice <alice@example.com> 1790000000 +0000\n\nmessage\n";

/// A world in which a person logs in as `ALICE`, and an agent may run; it ends with the machine.
pub struct Machine {
    pub world: World,
}

impl Machine {
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// A machine whose authority has another clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::with(Options { clock, ..Options::default() })
    }

    /// A machine whose authority is another one in more than that.
    pub fn with(options: Options) -> Self {
        let auto_approve = Some(Identity::Email(ALICE.to_owned()));
        let world = World::with(Options { auto_approve, ..options });
        world.unset("SIGSTORE_ID_TOKEN");
        let script = world.write("browser", BROWSER);
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let runtime = world.path("run");
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
        world.set("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
        world.configure(&format!(
            "[countersign]\n agent = auto\n urlOpener = '{}'\n issuer = {}",
            script.display(),
            world.url()
        ));
        Self { world }
    }

    /// How often somebody has logged in, or was asked to.
    pub fn logins(&self) -> usize {
        fs::read_to_string(self.world.path("opened")).map_or(0, |opened| opened.lines().count())
    }

    /// The folder of the agent's socket.
    pub fn folder(&self) -> PathBuf {
        self.world.path("run/countersign")
    }

    pub fn place(&self) -> Place {
        Place::new(self.folder())
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.place()).unwrap()
    }

    /// What `agent status --json` says.
    pub fn status(&self) -> serde_json::Value {
        let run = self.world.countersign(&["agent", "status", "--json"]).any_stdout().any_status();
        serde_json::from_slice(&run.check().stdout).unwrap()
    }

    /// The agent's process.
    pub fn process(&self) -> u32 {
        u32::try_from(self.status()["process"].as_u64().unwrap()).unwrap()
    }

    /// Ends the agent as nothing can prepare for.
    pub fn kill(&self) {
        let process = self.process().to_string();
        self.world.run("kill", &["-9", &process]).check();
        eventually("the agent is gone", || !fs::exists(format!("/proc/{process}/root/.")).unwrap_or(false));
    }

    /// Tells the browser how to behave.
    pub fn browser(&self, how: &str, content: &str) {
        self.world.write(how, content);
    }

    /// Takes that back.
    pub fn browser_again(&self, how: &str) {
        fs::remove_file(self.world.path(how)).unwrap();
    }

    /// Signs [`PAYLOAD`] as git would have it signed; what was said besides.
    pub fn sign(&self) -> String {
        let run = self.world.countersign(&["--status-fd=2", "-bsau", ALICE]).input(PAYLOAD);
        let outcome = run.any_stdout().any_stderr().check();
        assert!(outcome.text().starts_with("-----BEGIN SIGNED MESSAGE-----\n"));
        let words = outcome.words();
        assert!(words.contains("\n[GNUPG:] SIG_CREATED "), "{words}");
        words
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.folder(), fs::Permissions::from_mode(0o700));
        if let Ok(client) = Client::connect(&self.place()) {
            let _ = client.manage(&countersign::agent::protocol::Request::Stop {});
        }
    }
}

/// A clock that is behind by so many seconds: what it certifies ends that much sooner.
pub struct Behind(pub i64);

impl Clock for Behind {
    fn now(&self) -> i64 {
        SystemClock.now() - self.0
    }
}

/// How many certificates the last `count` commits were signed with; each of them has to be good.
pub fn certificates(repository: &Repository<'_>, count: usize) -> usize {
    let format = ["log", "--format=%G? %GF", &format!("-{count}")];
    let log = repository.git(&format).any_stdout().any_stderr().check().text();
    assert_eq!(log.lines().count(), count);
    let mut keys: Vec<&str> = log.lines().map(|line| line.strip_prefix("U ").expect(line)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len()
}

/// Waits until `what` is so.
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not so in a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
