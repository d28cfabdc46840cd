//! Pushes of several refs, each moved in a transaction of its own: they are entered together, with the last one.
//!
//! ```text
//! <state>/many/<number of the process that moves them>    the name of the last ref, and a line feed
//! ```
//!
//! The reference-transaction hook reads that before it starts this program at all, so that a push of
//! thousands of refs starts it once. The file only says when to look: one that is left over, or lacking, makes
//! settling later or slower, and nothing is settled by it. Once some of a push is entered and the rest waits, that
//! is looked at one by one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Folder, Intent};
use crate::repository::{Durability, write_whole_through};

const FOLDER: &str = "many";

impl Folder {
    /// Say of the process of `intent` that it moves several refs, if it does.
    pub(super) fn tell_many(&self, intent: &Intent) {
        let Some(process) = &intent.process else { return };
        let path = self.many(process.number());
        match intent.entries.last().filter(|_| intent.entries.len() > 1) {
            Some(last) => {
                let line = [last.reference.as_slice(), b"\n"].concat();
                // Without it every ref is looked at.
                let _ = self.note_last(&path, &line);
            }
            None => forget(&path),
        }
    }

    /// What is lost of that with the power is needed by nobody: the process is, too.
    fn note_last(&self, path: &Path, line: &[u8]) -> io::Result<()> {
        fs::create_dir_all(path.parent().expect("a file lies in a folder"))?;
        write_whole_through(self.state(), path, line, Durability::System)
    }

    /// Nothing of a push by the process with this number waits for its last ref any more.
    pub(super) fn forget_many(&self, process: u32) {
        forget(&self.many(process));
    }

    /// Whether it is said of the process with this number that it moves several refs.
    pub(super) fn is_of_many(&self, process: u32) -> bool {
        self.many(process).exists()
    }

    fn many(&self, process: u32) -> PathBuf {
        self.state().join(FOLDER).join(process.to_string())
    }
}

fn forget(path: &Path) {
    // It is seldom there, and one that stays is no harm.
    let _ = fs::remove_file(path);
}
