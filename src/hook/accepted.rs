//! Which tips this gate has accepted, and under which commit rule.
//!
//! One small file for each pair of rule digest and commit. A commit counts only if its file says in
//! full what its name says: what is missing, cut short or unreadable is simply not accepted.
//!
//! A ref that the gate meets for the first time under a rule carries its past with it. From then on a tip is
//! accepted only if the one before it was: what an administrator put there since, or what a rule let in that
//! was relaxed for a while, does not become accepted by what is pushed on top of it.

use std::path::{Path, PathBuf};

use crate::{
    encoding::sha256,
    object::ObjectId,
    repository::{Durability, write_whole},
};

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
        std::fs::read(self.path(digest, commit)).is_ok_and(|text| text == content(digest, commit))
    }

    /// Write down that the gate has accepted `commit` under the rule with this digest.
    ///
    /// # Errors
    /// The file cannot be written; nothing half-written is left.
    pub fn insert(&self, digest: &[u8; 32], commit: ObjectId) -> std::io::Result<()> {
        if self.contains(digest, commit) {
            return Ok(());
        }
        let path = self.path(digest, commit);
        let folder = path.parent().expect("the path ends in a file name");
        std::fs::create_dir_all(folder)?;
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
    pub fn begin(&self, digest: &[u8; 32], reference: &[u8]) -> std::io::Result<()> {
        let path = self.mark(digest, reference);
        if path.try_exists()? {
            return Ok(());
        }
        std::fs::create_dir_all(path.parent().expect("the path ends in a file name"))?;
        // Were it gone after the power has failed, the ref's past would count once more.
        write_whole(&path, reference, Durability::Disk)
    }

    /// Write down what a judgement has accepted: which refs were met under which rule, and which tips count. A tip
    /// that counts without the mark that its ref was met would have the ref's past count once more, whatever came
    /// into it since, so that comes first.
    ///
    /// # Errors
    /// A file cannot be written; what comes after it is not written either.
    pub fn note(&self, begun: &[([u8; 32], Vec<u8>)], tips: &[([u8; 32], ObjectId)]) -> std::io::Result<()> {
        begun.iter().try_for_each(|(digest, name)| self.begin(digest, name))?;
        tips.iter().try_for_each(|(digest, tip)| self.insert(digest, *tip))
    }

    fn mark(&self, digest: &[u8; 32], reference: &[u8]) -> PathBuf {
        let name = hex::encode(sha256(&[reference]));
        self.folder.join(hex::encode(digest)).join("refs").join(name)
    }

    fn path(&self, digest: &[u8; 32], commit: ObjectId) -> PathBuf {
        let commit = commit.to_string();
        self.folder.join(hex::encode(digest)).join(&commit[..2]).join(commit)
    }
}

fn content(digest: &[u8; 32], commit: ObjectId) -> Vec<u8> {
    format!("accepted {} {commit}\n", hex::encode(digest)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_there_in_full_counts() {
        let state = tempfile::tempdir().unwrap();
        let tips = AcceptedTips::new(state.path());
        let commit = ObjectId::from_hex(&[b'a'; 40]).unwrap();
        assert!(!tips.contains(&[1; 32], commit));
        tips.insert(&[1; 32], commit).unwrap();
        tips.insert(&[1; 32], commit).unwrap();
        assert!(tips.contains(&[1; 32], commit));
        assert!(!tips.contains(&[2; 32], commit), "another rule");
        assert!(!tips.contains(&[1; 32], ObjectId::from_hex(&[b'b'; 40]).unwrap()));
        assert!(!tips.has_begun(&[1; 32], b"refs/heads/main"));
        tips.begin(&[1; 32], b"refs/heads/main").unwrap();
        tips.begin(&[1; 32], b"refs/heads/main").unwrap();
        assert!(tips.has_begun(&[1; 32], b"refs/heads/main"));
        assert!(!tips.has_begun(&[2; 32], b"refs/heads/main"));
        assert!(!tips.has_begun(&[1; 32], b"refs/heads/other"));
        for damaged in [&b""[..], b"accepted"] {
            std::fs::write(tips.path(&[1; 32], commit), damaged).unwrap();
            assert!(!tips.contains(&[1; 32], commit));
        }
        std::fs::rename(state.path().join("accepted"), state.path().join("away")).unwrap();
        assert!(!tips.contains(&[1; 32], commit));
        std::fs::write(state.path().join("accepted"), "in the way").unwrap();
        assert!(tips.insert(&[1; 32], commit).is_err());
    }
}
