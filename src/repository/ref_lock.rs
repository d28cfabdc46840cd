//! The lock of a ref as git has them, `<ref>.lock`, of which it can be told that whoever took it has ended.
//!
//! It is made as a second name (link(2)) of a file of ours beside it, `<ref>.own.lock`, which is held by flock(2) until
//! the lock is given back. git makes a new file for each lock, so one that is the same file as ours was taken by this
//! program; and once that file can be held by somebody else, the process that took it is no more. To git and to its
//! ends both are locks like any other, that of a ref `<ref>.own` among them.
//!
//! This goes as far as the file system's own locks do: several machines that write one repository need a file system
//! on which they are held among all of them, as those of the state folder are.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::system::{self, LastLink};

/// How often it is looked whether somebody else has given the lock back.
const PAUSE: Duration = Duration::from_millis(3);

/// The lock of a ref, taken; given back when this goes.
#[derive(Debug)]
pub(super) struct RefLock {
    reference: PathBuf,
    lock: PathBuf,
    own: OwnFile,
    is_committed: bool,
}

/// The file beside the lock, held. Nobody else removes it meanwhile.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    file: File,
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // One that stays is found by the next.
        let _ = fs::remove_file(&self.path);
    }
}

impl RefLock {
    /// Take the lock of the loose ref whose file is `reference`; `None` where somebody else has it for longer than
    /// `patience`. What a process has left that was ended is taken away; what anybody else has is left alone.
    ///
    /// # Errors
    /// The system's: where files have no second names, or are not held, there are no such locks.
    pub(super) fn take(reference: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let begun = Instant::now();
        let (lock, own) = (with_suffix(reference, ".lock"), own_path(reference));
        let mut held: Option<OwnFile> = None;
        loop {
            if held.is_none() {
                held = OwnFile::take(&own, &lock)?;
            }
            if let Some(own) = held.take() {
                match fs::hard_link(&own.path, &lock) {
                    Ok(()) => {
                        let reference = reference.to_owned();
                        return Ok(Some(Self { reference, lock, own, is_committed: false }));
                    }
                    // Another program's.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => held = Some(own),
                    // Whoever packs refs takes folders away that look empty.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            if begun.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether a process that lives holds the lock of the loose ref whose file is `reference`, as this program takes it.
    pub(super) fn is_held(reference: &Path) -> bool {
        let held = File::open(own_path(reference)).and_then(|file| system::try_lock(&file));
        held.is_ok_and(|is_free| !is_free)
    }

    /// Let the ref hold `bytes`, which have reached the disk before it does; that it does may not have yet.
    ///
    /// # Errors
    /// The system's; the ref is as it was.
    pub(super) fn commit(mut self, bytes: &[u8]) -> io::Result<()> {
        self.own.file.write_all(bytes)?;
        self.own.file.sync_all()?;
        if !is_same(&self.lock, &self.own.file) {
            return Err(io::Error::other("somebody has taken its lock away"));
        }
        fs::rename(&self.lock, &self.reference)?;
        self.is_committed = true;
        Ok(())
    }
}

impl Drop for RefLock {
    fn drop(&mut self) {
        if !self.is_committed && is_same(&self.lock, &self.own.file) {
            // One that stays is found by the next.
            let _ = fs::remove_file(&self.lock);
        }
    }
}

impl OwnFile {
    /// Make the file at `path` and hold it; `None` where somebody else does, or it is to be tried again. What is there
    /// of a process that has ended goes away, and with it `lock` where it is that file.
    fn take(path: &Path, lock: &Path) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().expect("a ref lies in a folder"))?;
                return Ok(None);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Self::clear(path, lock)?;
                return Ok(None);
            }
            file => file?,
        };
        match system::try_lock(&file) {
            Ok(true) if is_same(path, &file) => Ok(Some(Self { path: path.to_owned(), file })),
            // Between its making and this somebody else may have held it, and have taken it away.
            Ok(_) => Ok(None),
            Err(error) => {
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Take away what a process has left that has ended. The file may be the ref's own by now, and is not written to.
    fn clear(path: &Path, lock: &Path) -> io::Result<()> {
        let file = match system::open_warily(OpenOptions::new().read(true), path, LastLink::Refused) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        if !system::try_lock(&file)? || !is_same(path, &file) {
            return Ok(());
        }
        if is_same(lock, &file) {
            fs::remove_file(lock)?;
        }
        fs::remove_file(path)
    }
}

/// Whether what `path` itself names, and not what a symbolic link there leads to, is this file.
fn is_same(path: &Path, file: &File) -> bool {
    let both = path.symlink_metadata().and_then(|one| Ok((one, file.metadata()?)));
    both.is_ok_and(|(one, other)| system::is_same_file(&one, &other))
}

fn own_path(reference: &Path) -> PathBuf {
    with_suffix(reference, ".own.lock")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Child, Command, Stdio},
    };

    use super::*;
    use crate::repository::tests::eventually;

    const SHORT: Duration = Duration::from_millis(50);

    /// The names in the folder, in order.
    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn whoever_has_the_lock_lets_the_ref_hold_something_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let (reference, below) = (folder.path().join("x"), folder.path().join("a/b"));
        for text in ["one\n", "two\n"] {
            let lock = RefLock::take(&reference, SHORT).unwrap().unwrap();
            assert_eq!(names(folder.path()).len(), 2 + usize::from(text == "two\n"));
            assert!(RefLock::take(&reference, SHORT).unwrap().is_none() && RefLock::is_held(&reference));
            lock.commit(text.as_bytes()).unwrap();
            assert_eq!(
                (fs::read_to_string(&reference).unwrap().as_str(), names(folder.path()).len()),
                (text, 1)
            );
        }
        drop(RefLock::take(&reference, SHORT).unwrap().unwrap());
        assert_eq!(
            (fs::read_to_string(&reference).unwrap().as_str(), names(folder.path()).len()),
            ("two\n", 1)
        );
        RefLock::take(&below, SHORT).unwrap().unwrap().commit(b"x").unwrap();
        assert_eq!(names(&folder.path().join("a")), ["b"]);
    }

    #[test]
    fn a_lock_that_another_program_has_is_left_alone_whatever_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let reference = folder.path().join("x");
        let (lock, own) = (with_suffix(&reference, ".lock"), own_path(&reference));
        for beside in [None, Some("")] {
            if let Some(text) = beside {
                fs::write(&own, text).unwrap();
            }
            fs::write(&lock, "git's").unwrap();
            assert!(RefLock::take(&reference, SHORT).unwrap().is_none());
            assert_eq!(
                (names(folder.path()), fs::read_to_string(&lock).unwrap()),
                (vec!["x.lock".to_owned()], "git's".to_owned())
            );
            assert!(!RefLock::is_held(&reference));
            fs::remove_file(&lock).unwrap();
        }
        // Taken away by hand and by git's hand taken anew while it is held: that one is not ours to give back or to use.
        for is_committed in [false, true] {
            let held = RefLock::take(&reference, SHORT).unwrap().unwrap();
            fs::remove_file(&lock).unwrap();
            fs::write(&lock, "git's").unwrap();
            if is_committed {
                assert!(held.commit(b"new").is_err());
            } else {
                drop(held);
            }
            assert_eq!(
                (names(folder.path()), fs::read_to_string(&lock).unwrap()),
                (vec!["x.lock".to_owned()], "git's".to_owned())
            );
            fs::remove_file(&lock).unwrap();
        }
    }

    /// Not a test: the process that has the lock, and says so, until it is ended.
    #[test]
    #[ignore = "run by another test"]
    fn child_with_the_lock() {
        let mut line = String::new();
        io::stdin().read_line(&mut line).unwrap();
        let (how, path) = line.trim_end().split_once(' ').unwrap();
        let lock = RefLock::take(Path::new(path), SHORT).unwrap().unwrap();
        if how == "renamed" {
            // As far as `commit` comes before it gives back.
            (&lock.own.file).write_all(b"new\n").unwrap();
            fs::rename(&lock.lock, &lock.reference).unwrap();
        }
        eprintln!("held");
        loop {
            std::thread::park();
        }
    }

    fn child(how: &str, reference: &Path) -> Child {
        let name = "repository::ref_lock::tests::child_with_the_lock";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{how} {}", reference.display()).unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"));
        child
    }

    #[test]
    fn what_a_living_process_has_is_waited_for_and_what_an_ended_one_had_is_free_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let reference = folder.path().join("x");
        fs::write(&reference, "old\n").unwrap();
        for (how, text) in [("held", "old\n"), ("renamed", "new\n")] {
            let mut child = child(how, &reference);
            assert!(RefLock::is_held(&reference), "{how}");
            assert!(RefLock::take(&reference, SHORT).unwrap().is_none(), "{how}");
            assert_eq!(with_suffix(&reference, ".lock").exists(), how == "held");
            // SIGKILL.
            child.kill().unwrap();
            child.wait().unwrap();
            eventually(|| !RefLock::is_held(&reference));
            assert_eq!(names(folder.path()).len(), if how == "held" { 3 } else { 2 }, "{how}: left over");
            let begun = Instant::now();
            let lock = RefLock::take(&reference, Duration::from_secs(20)).unwrap().unwrap();
            assert!(begun.elapsed() < Duration::from_secs(10));
            assert_eq!(fs::read_to_string(&reference).unwrap(), text, "{how}: only a commit changes it");
            drop(lock);
            assert_eq!(
                (names(folder.path()), fs::read_to_string(&reference).unwrap().as_str()),
                (vec!["x".to_owned()], text)
            );
        }
    }

    #[test]
    fn of_many_at_once_one_after_the_other_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let reference = folder.path().join("x");
        fs::write(&reference, "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lock = RefLock::take(&reference, Duration::from_secs(60)).unwrap().unwrap();
                        let number: u32 = fs::read_to_string(&reference).unwrap().parse().unwrap();
                        // Some end before they have come to anything.
                        lock.commit((number + 1).to_string().as_bytes()).unwrap();
                    }
                });
            }
        });
        assert_eq!(
            (fs::read_to_string(&reference).unwrap().as_str(), names(folder.path()).len()),
            ("160", 1)
        );
    }
}
