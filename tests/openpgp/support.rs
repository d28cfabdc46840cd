//! A private GnuPG home, a private repository, and objects signed in it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What every object of these tests says, but for its signature.
pub const PAYLOAD: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
    author A <a@example.org> 1600000000 +0000\ncommitter A <a@example.org> 1600000000 +0000\n\nmessage\n";

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");

/// A home of one's own, with a GnuPG folder and a repository in it.
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// `None`, with a line that says so, where gpg is not installed.
    pub fn new(test: &str) -> Option<Self> {
        if Command::new("gpg").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("SKIPPED: {test}: gpg is not installed");
            return None;
        }
        // The path of the agent's socket has to be short.
        let folder = tempfile::Builder::new().prefix("cs").tempdir_in("/tmp").unwrap();
        let world = Self { folder };
        std::fs::create_dir(world.path("gnupg")).unwrap();
        world.run("chmod", &["700", "gnupg"]);
        world.run("git", &["init", "-q", "-b", "main", "repository"]);
        Some(world)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("GNUPGHOME", self.path("gnupg"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        succeeded(&self.command(program).args(arguments).output().unwrap())
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        succeeded(&self.command("git").current_dir(self.path("repository")).args(arguments).output().unwrap())
    }

    pub fn gpg(&self, arguments: &[&str]) -> String {
        let fixed = ["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""];
        succeeded(&self.command("gpg").args(fixed).args(arguments).output().unwrap())
    }

    /// Make a key as `gpg --quick-generate-key` does, at `time` if one is given; its fingerprint.
    pub fn key(&self, user: &str, algorithm: &str, usage: &str, expires: &str, time: Option<&str>) -> String {
        let user_id = format!("{user} <{user}@example.org>");
        let generate = ["--quick-generate-key", &user_id, algorithm, usage, expires];
        self.gpg(&[&at(time)[..], &generate].concat());
        self.fingerprint(user)
    }

    /// The fingerprint of a user's primary key.
    pub fn fingerprint(&self, user: &str) -> String {
        self.fingerprints(user).remove(0)
    }

    /// The fingerprints of a user's primary key and subkeys.
    pub fn fingerprints(&self, user: &str) -> Vec<String> {
        let listing = self.gpg(&["--with-colons", "--list-keys", &format!("{user}@example.org")]);
        let fields = listing.lines().filter(|line| line.starts_with("fpr:"));
        fields.map(|line| line.split(':').nth(9).unwrap().to_owned()).collect()
    }

    /// An armored detached signature over `payload` by `key` (a user or a fingerprint).
    pub fn sign(&self, key: &str, payload: &str, options: &[&str]) -> String {
        let file = self.path("payload");
        std::fs::write(&file, payload).unwrap();
        let file = file.to_str().unwrap();
        self.gpg(
            &[options, &["--armor", "--detach-sign", "--local-user", key, "--output", "-", file]].concat(),
        )
    }

    /// Answer gpg's questions about editing a key.
    pub fn edit(&self, fingerprint: &str, answers: &str) {
        let script = self.path("answers");
        std::fs::write(&script, answers).unwrap();
        let mut command = self.command("gpg");
        command.args(["--quiet", "--no-tty", "--expert", "--pinentry-mode", "loopback", "--passphrase", ""]);
        command.args(["--command-fd", "0", "--status-fd", "2", "--edit-key", fingerprint]);
        let output = command.stdin(std::fs::File::open(script).unwrap()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Every certificate in the ring, in binary.
    pub fn ring(&self) -> Vec<u8> {
        self.command("gpg").args(["--batch", "--quiet", "--export"]).output().unwrap().stdout
    }

    /// Write a commit that carries `armor`; its id.
    pub fn commit(&self, armor: &str) -> String {
        let mut object = String::new();
        let (headers, message) = PAYLOAD.split_once("\n\n").unwrap();
        write!(object, "{headers}\ngpgsig {}\n\n{message}", armor.trim_end().replace('\n', "\n ")).unwrap();
        let file = self.path("object");
        std::fs::write(&file, object).unwrap();
        let id = self.git(&["hash-object", "-t", "commit", "-w", file.to_str().unwrap()]);
        id.trim().to_owned()
    }

    /// What `git log` prints for a commit in `format`, with `program` as git's OpenPGP program.
    pub fn log(&self, program: &str, id: &str, format: &str) -> String {
        let program = format!("gpg.program={program}");
        let format = format!("--format={format}");
        self.git(&["-c", &program, "log", "-1", &format, id]).trim_end().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The agent of this home alone; it would go by itself once its folder has.
        let _ = self.command("gpgconf").args(["--kill", "all"]).output();
    }
}

/// The options that make gpg believe in another time.
pub fn at(time: Option<&str>) -> Vec<&str> {
    time.map_or_else(Vec::new, |time| vec!["--faked-system-time", time])
}

pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    elapsed.as_secs().try_into().unwrap()
}

/// `text` in the file `name` of `folder`.
pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
