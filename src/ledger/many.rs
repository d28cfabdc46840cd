//! Pushes of many refs, each moved in a transaction of its own: they are entered together, with the last one.
//!
//! ```text
//! <state>/many/<number of the process that moves them>    the name of the last ref, and a line feed
//! ```
//!
//! The reference-transaction hook reads that before it starts this program at all, so that a push of
//! thousands of refs starts it once. The file only says when to look: one that is left over, or lacking, makes
//! settling later or slower, and nothing is settled by it.

use std::path::{Path, PathBuf};

use super::{Folder, Intent};

/// Pushes of more refs than that are entered with their last one.
pub(super) const SMALL: usize = 32;

const FOLDER: &str = "many";

impl Folder {
    /// Say of the process of `intent` that it moves many refs, if it does.
    pub(super) fn tell_many(&self, intent: &Intent) {
        let Some(process) = &intent.process else { return };
        let path = self.many(process.number());
        match intent.entries.last().filter(|_| intent.entries.len() > SMALL) {
            Some(last) => {
                let line = [last.reference.as_slice(), b"\n"].concat();
                // Without it every ref is looked at.
                let _ = self.write(&path, &line);
            }
            None => forget(&path),
        }
    }

    /// Nothing of a push by the process with this number waits any more.
    pub(super) fn forget_many(&self, process: u32) {
        forget(&self.many(process));
    }

    fn many(&self, process: u32) -> PathBuf {
        self.state().join(FOLDER).join(process.to_string())
    }
}

fn forget(path: &Path) {
    // It is seldom there, and one that stays is no harm.
    let _ = std::fs::remove_file(path);
}
