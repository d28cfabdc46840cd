//! git's own way over the same commits: one process or more for each.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use countersign::{
    object::ObjectId,
    signature::ssh::{self, SshSignature},
};

use crate::corpus::Corpus;

/// How long git takes over `ids` with gpg and the corpus's own keys; `None` without gpg.
pub fn with_gpg(corpus: &Corpus, ids: &[ObjectId]) -> Option<Duration> {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("keys.asc");
    fs::write(&keys, corpus.file("keys/github-web-flow.asc")).unwrap();
    let import = Command::new("gpg")
        .args(["--batch", "--quiet", "--import"])
        .arg(&keys)
        .env("GNUPGHOME", home.path())
        .stderr(Stdio::null())
        .status();
    if !import.is_ok_and(|status| status.success()) {
        println!("git log with gpg is not measured: gpg is not there");
        return None;
    }
    Some(log(corpus, home.path(), &[], ids))
}

/// How long git takes over `ids` with ssh-keygen, where everybody's key is allowed; `None` without it.
pub fn with_ssh_keygen(corpus: &Corpus, ids: &[ObjectId]) -> Option<Duration> {
    if Command::new("ssh-keygen").arg("-?").stderr(Stdio::null()).status().is_err() {
        println!("git log with ssh-keygen is not measured: ssh-keygen is not there");
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let lines: BTreeSet<String> = (ids.iter())
        .map(|id| {
            let object = corpus.object(id);
            let bytes = ssh::decode(object.signed().signature.as_deref().unwrap()).unwrap();
            format!("signer@example.com {}\n", SshSignature::parse(&bytes).unwrap().key.line())
        })
        .collect();
    let allowed = home.path().join("allowed");
    fs::write(&allowed, lines.into_iter().collect::<String>()).unwrap();
    let setting = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    Some(log(corpus, home.path(), &["-c", &setting], ids))
}

/// How long git takes over `ids` with countersign in gpg's place.
pub fn with_countersign(corpus: &Corpus, ids: &[ObjectId]) -> Duration {
    let home = tempfile::tempdir().unwrap();
    let setting = format!("gpg.x509.program={}", env!("CARGO_BIN_EXE_countersign"));
    log(corpus, home.path(), &["-c", &setting], ids)
}

fn log(corpus: &Corpus, home: &std::path::Path, options: &[&str], ids: &[ObjectId]) -> Duration {
    let repository = home.join("corpus.git");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .env("HOME", home)
            .env("GNUPGHOME", home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_OBJECT_DIRECTORY", corpus.directory());
        command
    };
    let path = repository.to_str().unwrap();
    assert!(git(&["init", "-q", "--bare", path]).status().unwrap().success());
    let arguments = [options, &["-C", path, "log", "--no-walk", "--stdin", "--format=%G?"]].concat();
    let begun = Instant::now();
    let mut child = git(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for id in ids {
        writeln!(input, "{id}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let took = begun.elapsed();
    let grades = String::from_utf8(output.stdout).unwrap();
    let vouched = grades.lines().filter(|grade| ["G", "U", "Y"].contains(grade)).count();
    assert_eq!(vouched, ids.len(), "{grades}");
    took
}
