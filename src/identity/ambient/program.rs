//! A provider's own program: found in absolute folders only, run without a shell, within bounds.

use std::{
    env,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::AmbientError;
use crate::identity::token::MAXIMUM_TOKEN_BYTES;

/// How long such a program may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program called `name` in the folders of `path`; relative ones would be whatever repository is at hand.
pub(super) fn find(name: &str, path: &str) -> Option<PathBuf> {
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    folders.map(|folder| folder.join(&name)).find(|program| program.is_file())
}

/// What `program`, called `name` for people, prints. Its words on standard error are not kept: they may
/// repeat what it was about to print.
pub(super) fn run(
    name: &'static str,
    program: &Path,
    arguments: &[&str],
) -> Result<Zeroizing<String>, AmbientError> {
    let failed = |reason: String| AmbientError::Program { name, reason };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut text = Zeroizing::new(String::new());
            let read = stdout.take(MAXIMUM_TOKEN_BYTES as u64 + 1).read_to_string(&mut text);
            // Whoever waited may have given up.
            let _ = sender.send(read.map(|_| text));
        });
    }
    let end = Instant::now() + PATIENCE;
    let text = receiver.recv_timeout(PATIENCE);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < end && text.is_ok() => thread::sleep(Duration::from_millis(5)),
            _ => break None,
        }
    };
    let Some(status) = status else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!("it did not end within {} seconds", PATIENCE.as_secs())));
    };
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    text.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
}
