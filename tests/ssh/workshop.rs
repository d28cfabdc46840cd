//! A folder of its own with keys, and the commands that run in it.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::{
    object::Payload,
    verify::{Verdict, Verifier},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
/// When the payloads say that they were made: 2023-11-14 22:13:20 UTC.
pub const STATED: i64 = 1_700_000_000;
/// 2026-11-18.
pub const NOW: i64 = 1_795_000_000;

pub struct Workshop {
    folder: tempfile::TempDir,
    zone: &'static str,
}

/// How a command ended.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.stdout
    }
}

/// A commit's payload that states `seconds`.
pub fn payload_at(seconds: i64) -> Vec<u8> {
    let person = format!("A <a@example.org> {seconds} +0200");
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    format!("tree {tree}\nauthor {person}\ncommitter {person}\n\nmessage\n").into_bytes()
}

pub fn payload() -> Vec<u8> {
    payload_at(STATED)
}

pub fn verify(payload: &[u8], armor: &[u8]) -> Verdict {
    Verifier::new(Vec::new()).verify(&Payload::whole(payload), armor, NOW)
}

/// Armor as `ssh-keygen` writes it.
pub fn armor(blob: &[u8]) -> Vec<u8> {
    let mut text = "-----BEGIN SSH SIGNATURE-----\n".to_owned();
    for line in STANDARD.encode(blob).as_bytes().chunks(70) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text.push_str("-----END SSH SIGNATURE-----\n");
    text.into_bytes()
}

impl Workshop {
    /// A workshop, or `None` with a line that says which program `test` misses.
    pub fn open(test: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join("ssh-keygen").is_file()) {
            println!("SKIPPED: {test}: ssh-keygen not found");
            return None;
        }
        Some(Self { folder: tempfile::tempdir().unwrap(), zone: "UTC" })
    }

    /// The same in another time zone.
    pub fn in_zone(self, zone: &'static str) -> Self {
        Self { zone, ..self }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The text of a public key, without comment.
    pub fn public(&self, name: &str) -> String {
        let line = String::from_utf8(self.read(&format!("{name}.pub"))).unwrap();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .env("TZ", self.zone)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CEILING_DIRECTORIES", self.folder.path());
        command
    }

    pub fn run_command(&self, mut command: Command, input: &[u8]) -> Said {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that does not read is no failure of the test.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Said {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Said {
        let mut command = self.command(program);
        command.args(arguments);
        self.run_command(command, input)
    }

    pub fn git(&self, arguments: &[&str]) -> Said {
        self.run("git", &[&["-C", "r"], arguments].concat(), b"")
    }

    pub fn countersign(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(PROGRAM);
        command.args(arguments).current_dir(self.path("r"));
        self.run_command(command, b"")
    }

    /// Make the key `name`; `kind` as `-t` and `-b` want it.
    pub fn key(&self, name: &str, kind: &[&str]) {
        self.run("ssh-keygen", &[&["-q", "-N", "", "-C", name, "-f", name, "-t"], kind].concat(), b"").good();
    }

    /// The fingerprint of the key `name`, as `ssh-keygen` computes it.
    pub fn fingerprint(&self, name: &str) -> String {
        let said = self.run("ssh-keygen", &["-l", "-f", &format!("{name}.pub")], b"").good();
        said.split(' ').nth(1).unwrap().to_owned()
    }

    /// Certify the key `name` by `authority`: `name-cert.pub`.
    pub fn certify(&self, authority: &str, name: &str, arguments: &[&str]) {
        let public = format!("{name}.pub");
        self.run("ssh-keygen", &[&["-q", "-s", authority], arguments, &[&public]].concat(), b"").good();
    }

    /// Sign `payload` with the key or certificate in the file `key`.
    pub fn sign(&self, key: &str, payload: &[u8], more: &[&str]) -> Vec<u8> {
        self.write("payload", payload);
        let _ = std::fs::remove_file(self.path("payload.sig"));
        let arguments = [&["-q", "-Y", "sign", "-n", "git", "-f", key], more, &["payload"]].concat();
        self.run("ssh-keygen", &arguments, b"").good();
        self.read("payload.sig")
    }

    /// What `ssh-keygen` says of a signature, whoever made it.
    pub fn oracle(&self, payload: &[u8], armor: &[u8]) -> Said {
        self.write("signature", armor);
        self.run("ssh-keygen", &["-Y", "check-novalidate", "-n", "git", "-s", "signature"], payload)
    }

    /// A repository `r`, and who commits in it.
    pub fn repository(&self) {
        self.run("git", &["init", "-q", "-b", "main", "r"], b"").good();
        self.configure("[user]\n name = A\n email = a@example.org\n[gpg]\n format = ssh\n");
    }

    /// Append to the user's own git configuration.
    pub fn configure(&self, text: &str) {
        let path = self.path(".gitconfig");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{before}{text}")).unwrap();
    }
}
