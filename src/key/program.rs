//! Other people's programs: found in absolute folders only, run without a shell, and listened to within bounds.

use std::{
    env,
    ffi::OsStr,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How long a program may stay when it has said everything, or has been asked to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(5);

/// Why a program has not said anything of use. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It has not said everything in time.
    #[error("it did not answer in {} seconds", .0.as_secs())]
    Silent(Duration),
    /// The system's words.
    #[error("{0}")]
    System(#[from] io::Error),
    /// It has said more than it should have to.
    #[error("its answer is too long")]
    TooLong,
}

/// What a program has said.
#[derive(Debug)]
pub struct Said {
    /// All of its standard output.
    pub text: Vec<u8>,
    /// Whether it has ended by itself, and said that all went well.
    pub is_success: bool,
}

/// The program called `name` in the folders of `path` (as in `PATH`). Folders that depend on where this runs are passed
/// over: they would be whatever repository is at hand.
#[must_use]
pub fn find(path: &OsStr, name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
}

/// Runs `command` with `input` to read, and takes what it says: at most `limit` bytes, and within `patience`. It is
/// ended however that comes out.
///
/// # Errors
/// [`ProgramError`].
pub fn listen(
    mut command: Command,
    input: Vec<u8>,
    limit: u64,
    patience: Duration,
) -> Result<Said, ProgramError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running(command.spawn()?);
    let (stdin, stdout) = (running.0.stdin.take(), running.0.stdout.take());
    let (mut stdin, stdout) =
        stdin.zip(stdout).ok_or_else(|| io::Error::other("it has no input or output"))?;
    // A program that reads nothing, or writes first, must not stop us; both end with the program.
    thread::Builder::new().spawn(move || drop(stdin.write_all(&input)))?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(limit.saturating_add(1)).read_to_end(&mut text);
        // Whoever waited may have given up.
        let _ = sender.send(read.map(|_| text));
    })?;
    let text = receiver.recv_timeout(patience).map_err(|_| ProgramError::Silent(patience))??;
    if u64::try_from(text.len()).is_ok_and(|length| length > limit) {
        return Err(ProgramError::TooLong);
    }
    Ok(Said { text, is_success: running.ended_within(GRACE)? })
}

/// A program that has ended when this is dropped.
struct Running(Child);

impl Running {
    /// Whether it has ended well, by itself, within `patience`.
    fn ended_within(&mut self, patience: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.success());
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        // One that has made a terminal silent can put it right.
        #[cfg(unix)]
        if let Some(process) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
            if self.ended_within(GRACE).is_ok_and(|_| !matches!(self.0.try_wait(), Ok(None))) {
                return;
            }
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn run(script: &str, limit: u64, patience: Duration) -> Result<Said, ProgramError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        listen(command, b"question\n".to_vec(), limit, patience)
    }

    #[test]
    fn what_a_program_says_is_bounded_in_length_and_time_and_so_is_its_end() {
        const LONG: Duration = Duration::from_secs(60);
        let said = run("cat; exit 3", 9, LONG).unwrap();
        assert_eq!((said.text.as_slice(), said.is_success), (&b"question\n"[..], false));
        assert!(run("true", 0, LONG).unwrap().is_success);
        let begun = Instant::now();
        assert!(matches!(run("yes", 1 << 16, LONG), Err(ProgramError::TooLong)));
        assert!(matches!(run("sleep 100", 9, Duration::from_millis(200)), Err(ProgramError::Silent(_))));
        // A byte now and then buys no more time.
        let drip = "while :; do printf x; sleep 0.1; done";
        assert!(matches!(run(drip, 1 << 16, Duration::from_millis(500)), Err(ProgramError::Silent(_))));
        // One that has said everything and stays, deaf to being asked to end.
        let said = run("trap '' TERM; echo said; exec >&-; sleep 100 & wait; sleep 100", 9, LONG).unwrap();
        assert_eq!((said.text.as_slice(), said.is_success), (&b"said\n"[..], false));
        assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_program_in_the_folder_at_hand_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("program"), "").unwrap();
        assert_eq!(find(folder.path().as_os_str(), "program"), Some(folder.path().join("program")));
        // The folder of the tests is that of the package.
        for path in ["src", "./src", "", ".", "src/key:../."] {
            assert_eq!(find(OsStr::new(path), "lib.rs"), None, "{path}");
            assert_eq!(find(OsStr::new(path), "Cargo.toml"), None, "{path}");
        }
    }
}
