//! The user's own GnuPG: its key ring and what it thinks of a key, for git's sake where no policy speaks.
//!
//! gpg itself is asked if it is there, within a time limit, and nothing is made where it was never
//! used; otherwise its files are read. This program never asks itself.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use super::World;
use crate::{
    gpg::openpgp::Level,
    verify::openpgp::{KeyRing, MAXIMUM_RING_BYTES},
};

/// Keeps gpg from writing while it is only asked.
const NO_TRUST_DATABASE: &str = "--no-auto-check-trustdb";

/// How long gpg may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The certificates of the user's key ring; with `key_id` (16 digits) only those of that key. Empty
/// where there is none, or none that can be had.
///
/// What gpg answers is all that counts, and without it the file that gpg would read: older ones are left
/// behind where keys are revoked or deleted.
pub(super) fn ring(world: &World<'_>, key_id: Option<&str>) -> KeyRing {
    let Some(home) = home(world) else { return KeyRing::default() };
    let keybox = home.join("pubring.kbx");
    let bytes = match program(world, "gpg") {
        Some(gpg) => {
            let key = key_id.map(|id| format!("0x{id}"));
            ask(world, &gpg, [NO_TRUST_DATABASE, "--export"].into_iter().chain(key.as_deref()))
        }
        None if keybox.exists() => read(&keybox).map(|keybox| blobs(&keybox, OPENPGP_BLOB).concat()),
        None => read(&home.join("pubring.gpg")),
    };
    bytes.and_then(|bytes| KeyRing::from_binary(&bytes).ok()).unwrap_or_default()
}

/// What gpg thinks of whether the certificate with this fingerprint is its owner's.
pub(super) fn level(world: &World<'_>, fingerprint: &str) -> Level {
    let listing = home(world)
        .and_then(|_| program(world, "gpg"))
        .and_then(|gpg| ask(world, &gpg, [NO_TRUST_DATABASE, "--with-colons", "--list-keys", fingerprint]))
        .unwrap_or_default();
    let listing = String::from_utf8_lossy(&listing);
    let validity = listing.lines().find_map(|line| line.strip_prefix("pub:")?.chars().next());
    match validity {
        Some('u') => Level::Ultimate,
        Some('f') => Level::Fully,
        Some('m') => Level::Marginal,
        Some('n') => Level::Never,
        _ => Level::Undefined,
    }
}

/// The program called `name`, which is not this one: by its whole path, or in the folders of `PATH`. A
/// relative path would lead into the repository at hand.
pub(super) fn program(world: &World<'_>, name: &str) -> Option<PathBuf> {
    let own = world.program.canonicalize().ok();
    let usable = |path: &PathBuf| path.is_file() && path.canonicalize().ok() != own;
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_absolute() && usable(path));
    }
    let folders = world.environment.get("PATH")?;
    std::env::split_paths(folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(usable)
}

/// GnuPG's folder, if it was ever used.
pub(super) fn home(world: &World<'_>) -> Option<PathBuf> {
    let named = world.environment.get("GNUPGHOME").map(|home| world.directory.join(home));
    named
        .or_else(|| Some(Path::new(world.environment.get("HOME")?).join(".gnupg")))
        .filter(|home| home.is_dir())
}

/// The answer of gpg or gpgsm; `None` if it fails or takes too long.
pub(super) fn ask<'a>(
    world: &World<'_>,
    gpg: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Option<Vec<u8>> {
    let mut child = Command::new(gpg)
        .args(["--batch", "--no-tty", "--quiet"])
        .args(arguments)
        .env_clear()
        .envs(world.environment.iter())
        .current_dir(&world.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let output = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(MAXIMUM_RING_BYTES as u64 + 1).read_to_end(&mut bytes);
        // Nobody waits any more when it took too long.
        let _ = sender.send(read.ok().map(|_| bytes));
    });
    let answer = receiver.recv_timeout(PATIENCE).ok().flatten();
    if answer.is_none() {
        let _ = child.kill();
    }
    let status = child.wait().ok()?;
    answer.filter(|_| status.success())
}

pub(super) fn read(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file).ok()?.take(MAXIMUM_RING_BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// OpenPGP certificates in a keybox file.
const OPENPGP_BLOB: u8 = 2;
/// X.509 certificates in a keybox file.
pub(super) const X509_BLOB: u8 = 3;

/// The certificates of one kind in a keybox file (GnuPG, `kbx/keybox-blob.c`): blobs that begin with their
/// length, and hold where the certificate begins and how long it is.
pub(super) fn blobs(mut keybox: &[u8], kind: u8) -> Vec<&[u8]> {
    let number = |blob: &[u8], at: usize| {
        let bytes: [u8; 4] = blob.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    };
    let mut certificates = Vec::new();
    while let Some((blob, rest)) =
        number(keybox, 0).filter(|length| *length >= 16).and_then(|length| keybox.split_at_checked(length))
    {
        if blob[4] == kind
            && let (Some(at), Some(length)) = (number(blob, 8), number(blob, 12))
            && let Some(certificate) = at.checked_add(length).and_then(|end| blob.get(at..end))
        {
            certificates.push(certificate);
        }
        keybox = rest;
    }
    certificates
}
