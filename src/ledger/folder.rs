//! Where intents lie: in the hook's state folder, apart from the repository's objects and refs.
//!
//! ```text
//! <state>/intents/<received>-<push>.intent     accepted, and not settled yet
//!                 <received>-<push>.dropped    what did not happen, kept for a while: who says so may be wrong
//!         many/                                see the module of that name
//!         updates/                             see `told`
//!         ledger.lock                          held by whoever settles
//!         ledger.head                          the head that was written last
//! ```

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gix::bstr::ByteSlice as _;

use super::{Entry, Intent, IntentError, LedgerError, Process, fields, intent::FIRST_LINE};
use crate::{
    object::{HashKind, ObjectId},
    repository::{
        Durability, sync_folder,
        system::{self, LastLink},
        write_whole_through,
    },
};

/// How long somebody else's settling is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether they are done.
const PAUSE: Duration = Duration::from_millis(3);

/// The largest intent that is read, in bytes: pre-receive reads no larger push.
const MAXIMUM_BYTES: u64 = 512 * 1024 * 1024;

/// The most that is read of a file that holds one line.
const MAXIMUM_NOTE: u64 = 64 * 1024;

const INTENT: &str = "intent";
const DROPPED: &str = "dropped";

/// The folder of one repository's intents.
#[derive(Clone, Debug)]
pub struct Folder {
    state: PathBuf,
    hash: HashKind,
    deadline: Option<Instant>,
}

/// Whoever has it settles; it is gone with its process, however that ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock is the open file's")] File);

/// An intent as it lies there.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) stem: String,
    pub(super) intent: Intent,
    pub(super) is_dropped: bool,
}

impl Folder {
    /// The intents in the state folder `state` of a repository that uses `hash`.
    #[must_use]
    pub fn new(state: &Path, hash: HashKind) -> Self {
        Self { state: state.to_owned(), hash, deadline: None }
    }

    /// The same, for whoever cannot wait for others any longer than until `deadline`.
    #[must_use]
    pub fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// Whether there is anything to settle, or that may turn out to have happened. What cannot be looked at is
    /// not taken for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match fs::read_dir(self.intents()) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Leave `intent`, so that it is found whatever happens next.
    ///
    /// # Errors
    /// It may not have reached the disk.
    pub fn leave(&self, intent: &Intent) -> Result<(), LedgerError> {
        let stem = format!("{:020}-{}", intent.acceptance.received, hex::encode(intent.acceptance.push.0));
        self.write(&self.intents().join(format!("{stem}.{INTENT}")), &intent.bytes(self.hash))?;
        self.tell_many(intent);
        Ok(())
    }

    /// Every intent, the oldest first.
    ///
    /// # Errors
    /// One cannot be read: it may stand for a push that was accepted.
    pub fn intents_left(&self) -> Result<Vec<Intent>, LedgerError> {
        Ok(self.list_of(&[INTENT])?.into_iter().map(|held| held.intent).collect())
    }

    /// Whether `entry` was accepted for the push that `process` receives. One that was dropped counts only for
    /// that very process, of which somebody was mistaken; where nobody knows the process, one that was not.
    ///
    /// This is asked for each ref of a push, so that intents are not understood here, but searched for the one
    /// line that the entry is written as.
    ///
    /// # Errors
    /// An intent cannot be read.
    pub fn accepts(&self, entry: &Entry, process: Option<&Process>) -> Result<bool, LedgerError> {
        // The lines before begin with words, so that no name of a pusher is taken for it.
        let mut line = vec![b'\n'];
        fields::write_entry(self.hash, entry, &mut line);
        for (path, bytes) in self.files(&[INTENT, DROPPED])? {
            let damaged = || LedgerError::Intent { path: path.clone(), cause: IntentError };
            if !bytes.starts_with(FIRST_LINE) || !bytes.ends_with(b"\n") {
                return Err(damaged());
            }
            if !bytes.contains_str(&line) {
                continue;
            }
            let its = Intent::process_of(&bytes).ok_or_else(damaged)?;
            let counts = match (&its, process) {
                (Some(its), Some(process)) => its == process,
                _ => path.extension().is_some_and(|extension| extension == INTENT),
            };
            if counts {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Every entry that was accepted for the push that this very `process` receives, in the order in which it was left.
    ///
    /// # Errors
    /// As for [`Self::intents_left`].
    pub(super) fn accepted_by(&self, process: &Process) -> Result<Vec<Entry>, LedgerError> {
        let its = self.list()?.into_iter().filter(|held| held.intent.process.as_ref() == Some(process));
        Ok(its.flat_map(|held| held.intent.entries).collect())
    }

    /// Every entry of which [`Self::accepts`] says so.
    ///
    /// # Errors
    /// As for [`Self::intents_left`].
    pub fn accepted(&self, process: Option<&Process>) -> Result<HashSet<Entry>, LedgerError> {
        let counts = |held: &Held| match (&held.intent.process, process) {
            (Some(its), Some(process)) => its == process,
            _ => !held.is_dropped,
        };
        let those = self.list()?.into_iter().filter(counts);
        Ok(those.flat_map(|held| held.intent.entries).collect())
    }

    pub(super) fn list(&self) -> Result<Vec<Held>, LedgerError> {
        self.list_of(&[INTENT, DROPPED])
    }

    fn list_of(&self, kinds: &[&str]) -> Result<Vec<Held>, LedgerError> {
        let mut held = Vec::new();
        for (path, bytes) in self.files(kinds)? {
            let intent = Intent::parse(self.hash, &bytes)
                .map_err(|cause| LedgerError::Intent { path: path.clone(), cause })?;
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("it was read as one");
            let is_dropped = path.extension().is_some_and(|extension| extension == DROPPED);
            held.push(Held { stem: stem.to_owned(), intent, is_dropped });
        }
        Ok(held)
    }

    /// The files of these kinds and what they hold, in the order of their names.
    fn files(&self, kinds: &[&str]) -> Result<Vec<(PathBuf, Vec<u8>)>, LedgerError> {
        let folder = self.intents();
        let mut names = Vec::new();
        match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => {
                for entry in entries.map_err(LedgerError::unusable(&folder))? {
                    names.push(entry.map_err(LedgerError::unusable(&folder))?.file_name());
                }
            }
        }
        names.sort();
        let mut files = Vec::new();
        for name in names.iter().filter_map(|name| name.to_str()) {
            if !name.rsplit_once('.').is_some_and(|(_, kind)| kinds.contains(&kind)) {
                continue;
            }
            let path = folder.join(name);
            match system::read_regular(&path, MAXIMUM_BYTES) {
                // Somebody else has settled it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                bytes => files.push((path.clone(), bytes.map_err(LedgerError::unusable(&path))?)),
            }
        }
        Ok(files)
    }

    /// Let what is left of an intent take its place; an empty one goes away.
    pub(super) fn keep(&self, held: &Held) -> Result<(), LedgerError> {
        if let Some(process) = held.intent.process.as_ref().filter(|_| !held.is_dropped) {
            self.forget_many(process.number());
            self.forget_told(process.number());
        }
        let kind = if held.is_dropped { DROPPED } else { INTENT };
        let path = self.intents().join(format!("{}.{kind}", held.stem));
        if !held.intent.entries.is_empty() {
            return self.write(&path, &held.intent.bytes(self.hash));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LedgerError::unusable(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Wait until nobody else settles.
    ///
    /// # Errors
    /// Somebody else does for too long, or the file cannot be made.
    pub fn lock(&self) -> Result<Lock, LedgerError> {
        let path = self.state.join("ledger.lock");
        let unusable = LedgerError::unusable(&path);
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let file = system::open_warily(&mut options, &path, LastLink::Followed).map_err(&unusable)?;
        let begin = Instant::now();
        loop {
            if system::try_lock(&file).map_err(&unusable)? {
                return Ok(Lock(file));
            }
            if begin.elapsed() > PATIENCE || self.is_late() {
                return Err(LedgerError::Busy);
            }
            std::thread::sleep(PAUSE);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether whoever uses the folder can wait no longer.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The head that was written last, if it is known.
    ///
    /// # Errors
    /// It was noted and cannot be read, or the file holds something else.
    pub fn remembered(&self) -> Result<Option<ObjectId>, LedgerError> {
        let path = self.head_file();
        let text = match system::read_regular(&path, MAXIMUM_NOTE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(LedgerError::unusable(&path))?,
        };
        let id = text.strip_suffix(b"\n").and_then(|hex| ObjectId::from_hex(hex).ok());
        id.map(Some).ok_or(LedgerError::HeadFile(path))
    }

    /// Note the head that was written last. That there is a ledger at all has to reach the disk; after that it is
    /// enough if an earlier head does, from which the ledger goes on.
    pub(super) fn remember(&self, head: ObjectId) -> Result<(), LedgerError> {
        let (path, line) = (self.head_file(), format!("{head}\n"));
        if path.exists() {
            let written = write_whole_through(&self.state, &path, line.as_bytes(), Durability::System);
            return written.map_err(LedgerError::unusable(&path));
        }
        self.write(&path, line.as_bytes())
    }

    fn head_file(&self) -> PathBuf {
        self.state.join("ledger.head")
    }

    pub(super) fn hash(&self) -> HashKind {
        self.hash
    }

    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    fn intents(&self) -> PathBuf {
        self.state.join("intents")
    }

    /// Write a file that is there whatever happens next.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
        let folder = path.parent().expect("a file lies in a folder");
        let is_new = !folder.exists();
        let write = || {
            fs::create_dir_all(folder)?;
            // Not beside the others: whoever lists them never sees half of one.
            write_whole_through(&self.state, path, bytes, Durability::Disk)?;
            if is_new {
                sync_folder(&self.state)?;
                // Those above may be as new; whatever cannot be looked into was made by others, long ago.
                let above = self.state.ancestors().skip(1);
                above.map(sync_folder).take_while(Result::is_ok).for_each(drop);
            }
            Ok(())
        };
        write().map_err(LedgerError::unusable(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Acceptance, PolicyVersion, PushId},
        repository::tests::eventually,
    };

    fn entry(name: &str) -> Entry {
        let new = ObjectId::from_hex("a".repeat(40).as_bytes()).unwrap();
        Entry { old: None, new: Some(new), reference: format!("refs/heads/{name}").into() }
    }

    fn process(number: u32) -> Process {
        Process::parse(&format!("{number} 5 6")).unwrap()
    }

    /// A folder with one intent for the ref of each name.
    fn folder(state: &Path, intents: &[(&str, Option<Process>)]) -> Folder {
        let folder = Folder::new(state, HashKind::Sha1);
        for (number, (name, process)) in (1..).zip(intents) {
            let acceptance = Acceptance {
                push: PushId([number; 16]),
                received: 1000,
                policy: PolicyVersion::Digest([0; 32]),
                pusher: None,
                certificate: None,
            };
            let process = process.clone();
            folder.leave(&Intent { acceptance, ledger: None, process, entries: vec![entry(name)] }).unwrap();
        }
        folder
    }

    #[test]
    fn an_update_is_accepted_for_the_push_that_makes_it() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path(), &[("known", Some(process(1))), ("unknown", None)]);
        let accepts =
            |name: &str, process: Option<Process>| folder.accepts(&entry(name), process.as_ref()).unwrap();
        assert!(accepts("known", Some(process(1))));
        assert!(!accepts("known", Some(process(2))), "that is another push");
        assert!(accepts("known", None), "who asks is not known");
        assert!(accepts("unknown", Some(process(1))), "who was to do it is not known");
        assert!(!accepts("other", Some(process(1))) && !accepts("other", None));
        // Dropped by somebody who was mistaken: only whom it was left for can know.
        for mut held in folder.list().unwrap() {
            let gone = Held { intent: Intent { entries: vec![], ..held.intent.clone() }, ..held.clone() };
            held.is_dropped = true;
            folder.keep(&held).unwrap();
            folder.keep(&gone).unwrap();
        }
        assert!(accepts("known", Some(process(1))));
        for (name, process) in
            [("known", Some(process(2))), ("known", None), ("unknown", Some(process(1))), ("unknown", None)]
        {
            assert!(!accepts(name, process.clone()), "{name} {process:?}");
        }
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_nothing() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path(), &[]);
        assert!(folder.is_empty());
        fs::write(state.path().join("intents"), "").unwrap();
        assert!(!folder.is_empty());
        assert!(matches!(folder.list(), Err(LedgerError::Unusable { .. })));
    }

    #[test]
    fn what_has_become_something_else_is_not_waited_for_and_not_read_without_an_end() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path(), &[]);
        fs::create_dir(folder.intents()).unwrap();
        for name in ["ledger.head", "ledger.lock", "intents/1.intent"] {
            let path = state.path().join(name);
            for (program, words) in [("mkfifo", &[][..]), ("ln", &["-s", "/dev/zero"])] {
                let made = std::process::Command::new(program).args(words).arg(&path).status().unwrap();
                assert!(made.success());
                let answers = [
                    folder.remembered().err().is_some(),
                    folder.list().err().is_some(),
                    folder.clone().until(Some(Instant::now())).lock().err().is_some(),
                ];
                let expected = ["ledger.head", "intents/1.intent", "ledger.lock"].map(|other| other == name);
                // A device can be locked like a file.
                let is_locked = (program, name) == ("ln", "ledger.lock");
                assert!(answers == expected || is_locked, "{program} {name}: {answers:?}");
                fs::remove_file(&path).unwrap();
            }
            let _ = fs::remove_file(state.path().join("ledger.lock"));
        }
    }

    #[test]
    fn whoever_has_no_time_does_not_wait_for_the_lock() {
        let state = tempfile::tempdir().unwrap();
        let folder = folder(state.path(), &[]);
        let lock = folder.lock().unwrap();
        let begin = Instant::now();
        let deadline = begin + Duration::from_millis(100);
        assert!(matches!(folder.clone().until(Some(deadline)).lock(), Err(LedgerError::Busy)));
        let waited = begin.elapsed();
        assert!(waited >= Duration::from_millis(100) && waited < PATIENCE / 2, "{waited:?}");
        drop(lock);
        // What nobody holds is had at once, also by whoever is late.
        eventually(|| folder.clone().until(Some(begin)).lock().is_ok());
    }
}
