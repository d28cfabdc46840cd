//! Which tips this gate has accepted, and under which commit rule.
//!
//! ```text
//! <state>/accepted/<digest of the rule>/<2 digits>/<commit>    accepted of late: a file that says so in full
//!                                      tips.sha1, tips.sha256  accepted before: see `TipsFile`
//!                                      refs/<SHA-256 of name>  refs that were met under the rule
//! ```
//!
//! A commit counts only if its file says in full what its name says, or a part of the others' that is as it was
//! written: what is missing, cut short or unreadable is simply not accepted.
//!
//! Any tip may become a ref's value again, when its administrator sets it back, so none is forgotten. Now and then
//! those that lie in files of their own are folded into the one file, in which a million take 20 MB.
//!
//! A ref that the gate meets for the first time under a rule carries its past with it. From then on a tip is
//! accepted only if the one before it was: what an administrator put there since, or what a rule let in that
//! was relaxed for a while, does not become accepted by what is pushed on top of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::tips_file::TipsFile;
use crate::{
    encoding::sha256,
    object::{HashKind, ObjectId},
    repository::{Durability, system, write_whole},
};

/// The most that is read of a file that says of one tip that it was accepted, in bytes.
const MAXIMUM_TEXT: u64 = 4096;

/// How many tips are noted for each time that it is looked whether there are enough to be folded, more or less.
const SELDOM: u64 = 256;

/// A file is written anew for so many of what it holds already, at least.
const SHARE: usize = 256;

/// How many are folded at once, at most.
const MAXIMUM_FOLDED: usize = 8192;

/// How often a tip is written whose folder somebody takes away because it is empty.
const ATTEMPTS: usize = 8;

/// The accepted tips of one repository. The folder must be this repository's alone, and writable by
/// none but the user as whom the hook runs.
#[derive(Clone, Debug)]
pub struct AcceptedTips {
    folder: PathBuf,
}

impl AcceptedTips {
    /// The tips that are kept in the state folder `state`, which need not exist yet.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("accepted") }
    }

    /// Whether the gate has accepted `commit` as a ref's value under the rule with this digest. What stood in the
    /// ref before was not judged again for that where the ref was new to the gate.
    #[must_use]
    pub fn contains(&self, digest: &[u8; 32], commit: ObjectId) -> bool {
        // In this order: what is folded stands there before its own file goes.
        self.has_own_file(digest, commit) || {
            let folder = self.folder_of(digest);
            TipsFile { path: &folder.join(folded_name(commit.kind())), digest, hash: commit.kind() }
                .contains(commit)
        }
    }

    fn has_own_file(&self, digest: &[u8; 32], commit: ObjectId) -> bool {
        let text = system::read_regular(&self.path(digest, commit), MAXIMUM_TEXT);
        text.is_ok_and(|text| text == content(digest, commit))
    }

    /// Write down that the gate has accepted `commit` under the rule with this digest.
    ///
    /// # Errors
    /// The file cannot be written; nothing half-written is left.
    pub fn insert(&self, digest: &[u8; 32], commit: ObjectId) -> io::Result<()> {
        // Whether it is among those that are folded is not worth a look: most are new.
        if self.has_own_file(digest, commit) {
            return Ok(());
        }
        let path = self.path(digest, commit);
        let folder = path.parent().expect("the path ends in a file name");
        for _ in 1..ATTEMPTS {
            fs::create_dir_all(folder)?;
            match write_whole(&path, &content(digest, commit), Durability::System) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                written => return written,
            }
        }
        fs::create_dir_all(folder)?;
        write_whole(&path, &content(digest, commit), Durability::System)
    }

    /// Whether a value of the ref `reference` was accepted under the rule with this digest already. Where that
    /// cannot be told it counts as if.
    #[must_use]
    pub fn has_begun(&self, digest: &[u8; 32], reference: &[u8]) -> bool {
        self.mark(digest, reference).try_exists().unwrap_or(true)
    }

    /// Write down that a value of the ref `reference` was accepted under the rule with this digest.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(&self, digest: &[u8; 32], reference: &[u8]) -> io::Result<()> {
        let path = self.mark(digest, reference);
        if path.try_exists()? {
            return Ok(());
        }
        fs::create_dir_all(path.parent().expect("the path ends in a file name"))?;
        // Were it gone after the power has failed, the ref's past would count once more.
        write_whole(&path, reference, Durability::Disk)
    }

    /// Write down what a judgement has accepted: which refs were met under which rule, and which tips count. A tip
    /// that counts without the mark that its ref was met would have the ref's past count once more, whatever came
    /// into it since, so that comes first.
    ///
    /// Once in some hundred tips this takes a moment longer.
    ///
    /// # Errors
    /// A file cannot be written; what comes after it is not written either.
    pub fn note(&self, begun: &[([u8; 32], Vec<u8>)], tips: &[([u8; 32], ObjectId)]) -> io::Result<()> {
        begun.iter().try_for_each(|(digest, name)| self.begin(digest, name))?;
        tips.iter().try_for_each(|(digest, tip)| self.insert(digest, *tip))?;
        // By chance: nothing has to be counted for it, and nobody who pushes can choose it.
        if RandomState::new().build_hasher().finish() % SELDOM < tips.len() as u64 {
            self.fold();
        }
        Ok(())
    }

    /// Fold the tips that lie in files of their own, those of rules that are no more among them. What cannot be folded
    /// stays where it is and counts as before.
    fn fold(&self) {
        let mut left = MAXIMUM_FOLDED;
        for folder in folders_in(&self.folder) {
            let digest =
                folder.file_name().and_then(|name| name.to_str()).and_then(|name| hex::decode(name).ok());
            if let Some(digest) = digest.and_then(|digest| <[u8; 32]>::try_from(digest).ok()) {
                // The next one tries again.
                let _ = self.fold_rule(&digest, &mut left);
            }
        }
    }

    /// The same for one rule, and no more than are `left`.
    fn fold_rule(&self, digest: &[u8; 32], left: &mut usize) -> io::Result<()> {
        let folder = self.folder_of(digest);
        // Whoever else folds meanwhile would have read what is replaced here.
        let turn = File::open(&folder)?;
        if !system::try_lock(&turn)? {
            return Ok(());
        }
        let folded = self.fold_own_files(digest, &folder, left);
        // Closing it would not do where a child is being started in this moment, which has it too.
        system::unlock(&turn)?;
        folded
    }

    fn fold_own_files(&self, digest: &[u8; 32], folder: &Path, left: &mut usize) -> io::Result<()> {
        let (mut found, mut tips): (usize, BTreeMap<HashKind, Vec<ObjectId>>) = Default::default();
        let is_part = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 2);
        let parts: Vec<PathBuf> = folders_in(folder).filter(is_part).collect();
        for name in parts.iter().flat_map(fs::read_dir).flatten().flatten() {
            if found >= *left {
                break;
            }
            let tip = name.file_name().to_str().and_then(|name| ObjectId::from_hex(name.as_bytes()).ok());
            // What was cut short may be written again in this moment, and is left to that.
            if let Some(tip) = tip.filter(|tip| self.has_own_file(digest, *tip)) {
                tips.entry(tip.kind()).or_default().push(tip);
                found += 1;
            }
        }
        for (hash, mut tips) in tips {
            let file = TipsFile { path: &folder.join(folded_name(hash)), digest, hash };
            if tips.len() < (file.room() / SHARE).min(MAXIMUM_FOLDED / 2) {
                continue;
            }
            tips.sort();
            file.add(&tips)?;
            *left = left.saturating_sub(tips.len());
            for tip in tips {
                fs::remove_file(self.path(digest, tip))?;
            }
        }
        // What is not empty stays.
        parts.iter().for_each(|part| drop(fs::remove_dir(part)));
        Ok(())
    }

    fn mark(&self, digest: &[u8; 32], reference: &[u8]) -> PathBuf {
        let name = hex::encode(sha256(&[reference]));
        self.folder_of(digest).join("refs").join(name)
    }

    fn folder_of(&self, digest: &[u8; 32]) -> PathBuf {
        self.folder.join(hex::encode(digest))
    }

    fn path(&self, digest: &[u8; 32], commit: ObjectId) -> PathBuf {
        let commit = commit.to_string();
        self.folder_of(digest).join(&commit[..2]).join(commit)
    }
}

/// The folders in a folder, none of them through a link.
fn folders_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    fs::read_dir(folder).into_iter().flatten().flatten().filter(is_folder).map(|entry| entry.path())
}

fn folded_name(hash: HashKind) -> String {
    format!("tips.{hash}")
}

fn content(digest: &[u8; 32], commit: ObjectId) -> Vec<u8> {
    format!("accepted {} {commit}\n", hex::encode(digest)).into_bytes()
}

#[cfg(test)]
mod tests;
