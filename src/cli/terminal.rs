//! A question at the person's own terminal, whatever the streams of this program are: one line, within a time.
//!
//! What was typed before the question was there is no answer to it. Ctrl-C is one, and it is no; it does not end the
//! program while the terminal shows nothing of what is typed, and however the question ends the terminal is as it was.

use std::{io, time::Duration};

use zeroize::Zeroizing;

/// Whether what is typed is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// It is not.
    Off,
    /// It is.
    On,
}

/// Whether `error` of [`ask`] is the person's: they were there, and would not answer.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof)
}

/// Ask `question`; the answer is one line without its end.
///
/// # Errors
/// There is no terminal, or this program may not use it now; the person would not answer ([`is_refusal`]), or has not
/// within `patience`.
#[cfg(unix)]
pub(super) fn ask(question: &str, echo: Echo, patience: Duration) -> io::Result<Zeroizing<String>> {
    use std::{
        fs::{File, OpenOptions},
        io::{Read as _, Write as _},
        time::Instant,
    };

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        termios::{
            LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
            tcgetpgrp, tcsetattr,
        },
    };

    /// The longest line that a terminal hands over (`N_TTY_BUF_SIZE` of Linux), in bytes.
    const MAXIMUM_LINE: usize = 4096;

    /// The terminal as it was, again when this is dropped.
    struct Restored<'a> {
        terminal: &'a File,
        before: Termios,
    }
    impl Drop for Restored<'_> {
        fn drop(&mut self) {
            // What is typed behind an answer answers nothing else.
            let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
        }
    }

    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    // The system would stop whoever reads in the background, without end.
    if tcgetpgrp(&terminal).is_ok_and(|foreground| foreground != rustix::process::getpgrp()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another program has the terminal"));
    }
    let before = tcgetattr(&terminal)?;
    let restored = Restored { terminal: &terminal, before };
    let mut modes = restored.before.clone();
    modes.local_modes.remove(LocalModes::ISIG);
    modes.local_modes.insert(LocalModes::ICANON);
    modes.local_modes.set(LocalModes::ECHO, echo == Echo::On);
    // Without signals it is a character like any other; as the end of a line it is handed over at once.
    let interrupt = restored.before.special_codes[SpecialCodeIndex::VINTR];
    if interrupt != 0 {
        modes.special_codes[SpecialCodeIndex::VEOL] = interrupt;
    }
    tcsetattr(&terminal, OptionalActions::Now, &modes)?;
    tcflush(&terminal, QueueSelector::IFlush)?;
    (&terminal).write_all(question.as_bytes())?;
    let deadline = Instant::now() + patience;
    let answer = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break Err(io::Error::new(io::ErrorKind::TimedOut, "nobody answered in time"));
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => break Err(error.into()),
        }
        let mut line = Zeroizing::new(vec![0; MAXIMUM_LINE]);
        break match (&terminal).read(&mut line) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "nothing was answered")),
            Ok(length) if interrupt != 0 && line[length - 1] == interrupt => {
                Err(io::Error::new(io::ErrorKind::Interrupted, "it was broken off"))
            }
            Ok(length) => match std::str::from_utf8(&line[..length]) {
                Ok(text) => Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned())),
                Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is no text")),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    };
    // Where the person's own line end was not shown, or there was none.
    if echo == Echo::Off || answer.is_err() {
        let _ = (&terminal).write_all(b"\n");
    }
    drop(restored);
    answer
}

/// Ask `question`.
///
/// # Errors
/// Always: how to ask is known on Unix only.
#[cfg(not(unix))]
pub(super) fn ask(_question: &str, _echo: Echo, _patience: Duration) -> io::Result<Zeroizing<String>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there is no terminal to ask on here"))
}
