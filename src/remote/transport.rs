//! git's own transports as child processes: for the inner address, and held to git's own rules.
//!
//! The inner address stands in no argument. A name that nobody can know is passed instead, with the one
//! settings `url.<address>.insteadOf` and `pushInsteadOf` that make git replace it; since git replaces the
//! longest match and only once, no others can lead elsewhere. Which transports may be used is git's decision:
//! `GIT_ALLOW_PROTOCOL`, `GIT_PROTOCOL_FROM_USER` and `protocol.*.allow` reach the child as they are.

use std::{
    collections::hash_map::RandomState,
    ffi::OsString,
    hash::{BuildHasher as _, Hasher as _},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use super::{Address, Quarantine};
use crate::words::escape_bytes;

/// Set for every child: whoever finds it set was started by this program, and stops.
pub const DEPTH: &str = "COUNTERSIGN_REMOTE_DEPTH";

/// The most that a child may answer, in bytes.
const MAXIMUM_ANSWER: usize = 512 * 1024 * 1024;

/// The most that a child and the remote may say to people, in bytes.
const MAXIMUM_SAID: usize = 16 * 1024 * 1024;

/// For how many times the patience with silence words alone count as a sign of life.
const PATIENCE_WITH_WORDS: u32 = 4;

/// How often a silent child is looked at.
const TICK: Duration = Duration::from_millis(200);

/// How long the output of a child that has ended is waited for where somebody else holds it open.
const LINGER: Duration = Duration::from_secs(2);

/// Variables that would lead the child into another repository, or that describe this one's.
const FOREIGN: [&str; 10] = [
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REFERENCE_BACKEND",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "GIT_GRAFT_FILE",
];

/// Colours that are set to be shown always would come as escapes that are shown as such.
const COLOURLESS: [&str; 5] = [
    "color.ui=false",
    "color.advice=false",
    "color.push=false",
    "color.remote=false",
    "color.transport=false",
];

/// The settings by which git replaces an address, for fetches and for pushes.
const REPLACED_BY: [&str; 2] = ["insteadOf", "pushInsteadOf"];

/// What starts children for one address.
#[derive(Clone, Debug)]
pub struct Transport {
    /// The inner address.
    pub address: Address,
    /// Where relative paths of the environment begin.
    pub directory: PathBuf,
    /// `GIT_CONFIG_COUNT` as it is set.
    pub settings: usize,
    /// How long nothing may happen.
    pub timeout: Duration,
}

/// Why a child did not do its work. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// It cannot be started.
    #[error("git cannot be run: {0}")]
    Spawn(io::Error),
    /// It gave up, and has said why.
    #[error("git cannot {what} '{address}'")]
    Failed {
        /// What it was to do.
        what: &'static str,
        /// The address.
        address: Address,
    },
    /// Nothing happened for too long.
    #[error("nothing was heard of '{address}' for {seconds} seconds")]
    Stalled {
        /// The address.
        address: Address,
        /// How long.
        seconds: u64,
    },
    /// It talks, and nothing comes of it.
    #[error("'{address}' has said much and sent nothing for {seconds} seconds")]
    OnlyWords {
        /// The address.
        address: Address,
        /// How long.
        seconds: u64,
    },
    /// It talks without end.
    #[error("'{0}' says more than is listened to")]
    TooMuch(Address),
    /// Its end cannot be seen.
    #[error("git was lost sight of: {0}")]
    Wait(io::Error),
}

/// What a child is started with besides its arguments.
#[derive(Default)]
pub struct Work<'a> {
    /// The repository that it works in, if not the one at hand.
    pub git_dir: Option<&'a Path>,
    /// What it reads.
    pub input: Vec<u8>,
    /// A folder in which something happens while it works.
    pub grows: Option<PathBuf>,
    /// Which lines are not for people.
    pub unsaid: Option<&'a dyn Fn(&[u8]) -> bool>,
    /// What it says is in English, so that it can be told apart by its words.
    pub is_english: bool,
    /// What the child says of its own progress is a sign of life; what it hands on from the remote is none.
    pub is_telling: bool,
}

/// How a child ended.
#[derive(Debug)]
pub struct Answer {
    /// Its standard output.
    pub text: Vec<u8>,
    status: ExitStatus,
    address: Address,
}

impl Answer {
    /// The text of a child that has done its work.
    ///
    /// # Errors
    /// It has not.
    pub fn good(self, what: &'static str) -> Result<Vec<u8>, TransportError> {
        if self.status.success() {
            return Ok(self.text);
        }
        Err(TransportError::Failed { what, address: self.address })
    }

    /// Whether it has done its work.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.status.success()
    }
}

enum Heard {
    Answer(Vec<u8>),
    /// The answer is whole: nobody can write to it any more.
    AnswerEnd,
    Said(Vec<u8>),
}

impl Transport {
    /// Run git; `arguments` makes its arguments from the name that stands for the address. What it says
    /// goes to `words`, with everything escaped that could deceive a terminal.
    ///
    /// # Errors
    /// It cannot be run, says too much, or nothing happens for too long. How it ended is the caller's.
    pub fn run(
        &self,
        arguments: impl FnOnce(&str) -> Vec<OsString>,
        work: Work<'_>,
        words: &mut dyn Write,
    ) -> Result<Answer, TransportError> {
        let name = unknowable_name();
        let mut command = Command::new("git");
        command.args(COLOURLESS.iter().flat_map(|setting| ["-c", setting]));
        command.args(arguments(&name)).current_dir(&self.directory).env(DEPTH, "1");
        if work.is_english {
            command.env("LC_ALL", "C");
        }
        command.env("GIT_CONFIG_COUNT", (self.settings + REPLACED_BY.len()).to_string());
        for (number, setting) in (self.settings..).zip(REPLACED_BY) {
            command
                .env(format!("GIT_CONFIG_KEY_{number}"), format!("url.{}.{setting}", self.address.written()));
            command.env(format!("GIT_CONFIG_VALUE_{number}"), &name);
        }
        if let Some(git_dir) = work.git_dir {
            for foreign in FOREIGN {
                command.env_remove(foreign);
            }
            command.env("GIT_DIR", git_dir);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(TransportError::Spawn)?;
        let mut stdin = child.stdin.take().expect("the pipe was asked for");
        // Whether the child reads all of it shows in how it ends.
        thread::spawn(move || drop(stdin.write_all(&work.input)));
        let (send, heard) = sync_channel(64);
        let stdout = child.stdout.take().expect("the pipe was asked for");
        let stderr = child.stderr.take().expect("the pipe was asked for");
        listen(stdout, send.clone(), Heard::Answer, Some(Heard::AnswerEnd));
        listen(stderr, send, Heard::Said, None);
        let mut relay = Relay {
            words,
            unsaid: work.unsaid,
            is_telling: work.is_telling,
            line: Vec::new(),
            said: 0,
            has_told: false,
        };
        let heard = self.attend(&mut child, &heard, &mut relay, work.grows.as_deref());
        relay.finish();
        if heard.is_err() {
            end(&mut child);
        }
        let (text, status) = heard?;
        Ok(Answer { text, status, address: self.address.clone() })
    }

    /// Hear the child out, as long as anything happens.
    fn attend(
        &self,
        child: &mut Child,
        heard: &Receiver<Heard>,
        relay: &mut Relay<'_>,
        grows: Option<&Path>,
    ) -> Result<(Vec<u8>, ExitStatus), TransportError> {
        let mut text = Vec::new();
        // When anything was heard last, and when anything came that counts.
        let (mut since, mut grown, mut size) = (Instant::now(), Instant::now(), 0);
        let patience = self.timeout.saturating_mul(PATIENCE_WITH_WORDS);
        // When the folder was looked at, and when the child was seen alive last.
        let (mut looked, mut left) = (Instant::now(), Instant::now());
        let (mut ended, mut is_whole) = (None, false);
        loop {
            match heard.recv_timeout(TICK) {
                Ok(Heard::Answer(bytes)) => {
                    text.extend(bytes);
                    (since, grown) = (Instant::now(), Instant::now());
                }
                Ok(Heard::Said(bytes)) => {
                    relay.hear(&bytes);
                    since = Instant::now();
                    if std::mem::take(&mut relay.has_told) {
                        grown = since;
                    }
                }
                Ok(Heard::AnswerEnd) => is_whole = true,
                // It has closed both ends, or has ended and left its words to a child that stays.
                Err(RecvTimeoutError::Disconnected) | Err(RecvTimeoutError::Timeout)
                    if ended.is_some() && is_whole =>
                {
                    return Ok((text, ended.expect("it was just looked at")));
                }
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(1)),
                // Whether more of the answer is on its way is not known; whoever reads it sees where it ends.
                Err(RecvTimeoutError::Timeout) if since.elapsed() > LINGER && left.elapsed() > LINGER => {
                    if let Some(status) = ended {
                        return Ok((text, status));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if looked.elapsed() > TICK {
                looked = Instant::now();
                let now = grows.map_or(0, Quarantine::size);
                if now != size {
                    (since, grown, size) = (looked, looked, now);
                }
            }
            if text.len() > MAXIMUM_ANSWER || relay.said > MAXIMUM_SAID {
                return Err(TransportError::TooMuch(self.address.clone()));
            }
            if ended.is_none() {
                ended = child.try_wait().map_err(TransportError::Wait)?;
                left = Instant::now();
            }
            if since.elapsed() > self.timeout {
                let seconds = self.timeout.as_secs();
                return Err(TransportError::Stalled { address: self.address.clone(), seconds });
            }
            if grown.elapsed() > patience {
                let seconds = patience.as_secs();
                return Err(TransportError::OnlyWords { address: self.address.clone(), seconds });
            }
        }
    }
}

/// End a child; asked politely it ends its own children too.
fn end(child: &mut Child) {
    #[cfg(unix)]
    {
        let asked = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
        for _ in 0..20 {
            if asked.is_err() || child.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Hand over what is read from `from` until it ends, and then `end`, if anybody waits for that.
fn listen(
    mut from: impl Read + Send + 'static,
    to: SyncSender<Heard>,
    heard: fn(Vec<u8>) -> Heard,
    end: Option<Heard>,
) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if to.send(heard(buffer[..length].to_vec())).is_err() {
                return;
            }
        }
        // Whoever does not listen any more has got what it wanted.
        let _ = end.map(|end| to.send(end));
    });
}

/// A name that no `insteadOf` of the configuration was written for.
fn unknowable_name() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("countersign-{:016x}{:016x}", random(), random())
}

/// What children say, line by line, on its way to people.
struct Relay<'a> {
    words: &'a mut dyn Write,
    unsaid: Option<&'a dyn Fn(&[u8]) -> bool>,
    is_telling: bool,
    line: Vec<u8>,
    said: usize,
    has_told: bool,
}

impl Relay<'_> {
    fn hear(&mut self, bytes: &[u8]) {
        self.said += bytes.len();
        for byte in bytes {
            match byte {
                // Progress goes back to the start of its line.
                b'\n' | b'\r' => self.end(&[*byte]),
                other => self.line.push(*other),
            }
        }
        // A reader that has gone does not change what is done.
        let _ = self.words.flush();
    }

    fn end(&mut self, end: &[u8]) {
        let line = std::mem::take(&mut self.line);
        self.has_told |= self.is_telling && !line.starts_with(b"remote: ");
        if self.unsaid.is_some_and(|unsaid| unsaid(&line)) {
            return;
        }
        let shown = escape_bytes(&line).replace("\\u{9}", "\t");
        let _ = self.words.write_all(&[shown.as_bytes(), end].concat());
    }

    fn finish(&mut self) {
        if !self.line.is_empty() {
            self.end(b"\n");
        }
        let _ = self.words.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(timeout: u64) -> Transport {
        Transport {
            address: Address::parse("/nowhere/at/all").unwrap(),
            directory: PathBuf::from("/"),
            settings: 0,
            timeout: Duration::from_millis(timeout),
        }
    }

    fn aliased(command: &str) -> Vec<OsString> {
        ["-c", &format!("alias.x=!{command}"), "x"].map(OsString::from).into()
    }

    #[test]
    fn a_child_that_stalls_talks_without_end_or_fails_is_an_error() {
        let mut words = Vec::new();
        let run = |timeout, command: &str, words: &mut Vec<u8>| {
            transport(timeout).run(|_| aliased(command), Work::default(), words)
        };
        assert!(matches!(run(500, "sleep 5", &mut words), Err(TransportError::Stalled { .. })));
        assert!(matches!(run(5_000, "yes >&2", &mut words), Err(TransportError::TooMuch(_))));
        let endless = "while :; do echo x >&2; sleep 0.1; done";
        assert!(matches!(run(500, endless, &mut words), Err(TransportError::OnlyWords { .. })));
        words.clear();
        let answer = run(5_000, "printf 'a\\033[2J\\tb' >&2; echo out; exit 3", &mut words).unwrap();
        assert_eq!(String::from_utf8_lossy(&words), "a\\u{1b}[2J\tb\n");
        assert_eq!(answer.text, b"out\n");
        assert!(matches!(answer.good("read"), Err(TransportError::Failed { .. })));
    }

    #[test]
    fn a_child_that_leaves_somebody_behind_has_ended() {
        let started = Instant::now();
        let answer =
            transport(20_000).run(|_| aliased("sleep 8 & echo done"), Work::default(), &mut Vec::new());
        assert_eq!(answer.unwrap().good("read").unwrap(), b"done\n");
        assert!(started.elapsed() < Duration::from_secs(6));
    }

    #[test]
    fn what_comes_late_is_part_of_the_answer() {
        // The child has ended, and somebody else says the rest of what it was to say.
        let late = "(sleep 1; echo rest; sleep 1; echo end) & echo begin";
        let answer = transport(20_000).run(|_| aliased(late), Work::default(), &mut Vec::new());
        assert_eq!(answer.unwrap().good("read").unwrap(), b"begin\nrest\nend\n");
    }

    #[test]
    fn the_address_is_replaced_once_and_by_nothing_else() {
        let answer = transport(20_000).run(
            |name| {
                ["-c", "url./elsewhere/.insteadOf=/nowhere/", "ls-remote", "--get-url", name]
                    .map(OsString::from)
                    .into()
            },
            Work::default(),
            &mut Vec::new(),
        );
        assert_eq!(answer.unwrap().good("read").unwrap(), b"/nowhere/at/all\n");
    }
}
