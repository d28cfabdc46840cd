//! What the update hook is told in advance of a push of several refs: which of them were accepted for the process that
//! moves them. git runs that hook once for each ref, and this program is started by the first of them alone.
//!
//! ```text
//! <state>/updates/<number of receive-pack>/process    which process it is, as an intent says it
//!                                          <ref>      a line of words with one space between them:
//!     <id of the system's start> <start of the process> <address of its stack> <old> <new> <ref>
//! ```
//!
//! The hook compares that line with what it finds out by itself, as a whole, and starts the program wherever it is not
//! so. The numbers of a process come again; not so together with its start and with the address that the system has
//! chosen at random. Nothing of it is chosen by whoever pushes.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{Entry, Folder, LedgerError, Process, fields};
use crate::repository::system;

const FOLDER: &str = "updates";
const PROCESS: &str = "process";

/// For how many refs of a push it is told.
const MAXIMUM: usize = 20_000;

impl Folder {
    /// Say for each ref of the push that `process` receives whether it was accepted, if several are, the hook was
    /// started by that very process, and it is not said yet. The hook does without what cannot be said.
    ///
    /// # Errors
    /// An intent cannot be read, or a file written.
    pub fn tell_update_hook(&self, process: &Process) -> Result<(), LedgerError> {
        let folder = self.told(process.number());
        let line = format!("{process}\n");
        if !self.is_of_many(process.number())
            || fs::read(folder.join(PROCESS)).is_ok_and(|told| told == line.as_bytes())
        {
            return Ok(());
        }
        let Some(identity) = process.is_parent().then(|| process.identity()).flatten() else { return Ok(()) };
        let accepted = self.accepted_by(process)?;
        let write = || {
            self.forget_those_who_ended();
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => system::make_own_folder(&folder)?,
            }
            let mut last = PathBuf::new();
            for entry in accepted.iter().take(MAXIMUM) {
                // One whose folder is a file of another's, for example.
                let _ = self.tell_entry(&folder, &mut last, &identity, entry);
            }
            fs::write(folder.join(PROCESS), &line)
        };
        write().map_err(LedgerError::unusable(&folder))
    }

    fn tell_entry(&self, folder: &Path, last: &mut PathBuf, identity: &str, entry: &Entry) -> io::Result<()> {
        use gix::bstr::ByteSlice as _;
        let name = entry.reference.to_path().map_err(|_| io::ErrorKind::InvalidInput)?;
        let path = folder.join(name);
        let parent = path.parent().expect("it lies in a folder");
        if parent != last.as_path() {
            system::make_own_folder(parent)?;
            *last = parent.to_owned();
        }
        let mut line = format!("{identity} ").into_bytes();
        fields::write_entry(self.hash(), entry, &mut line);
        File::create_new(&path)?.write_all(&line)
    }

    /// Nothing of a push by the process with this number is told any more.
    pub(super) fn forget_told(&self, process: u32) {
        // It is seldom there, and one that stays is of a process that is no more.
        let _ = fs::remove_dir_all(self.told(process));
    }

    /// What was told of processes that have ended, and that nobody has come to the end of.
    fn forget_those_who_ended(&self) {
        for entry in fs::read_dir(self.state().join(FOLDER)).into_iter().flatten().flatten() {
            let told = fs::read_to_string(entry.path().join(PROCESS)).ok();
            let process = told.as_deref().and_then(|line| Process::parse(line.strip_suffix('\n')?));
            if process.is_some_and(|process| process.is_over() == Some(true)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn told(&self, process: u32) -> PathBuf {
        self.state().join(FOLDER).join(process.to_string())
    }
}
