//! One command: what it is given, what it must say, and how it must end.

use std::{
    ffi::OsStr,
    io::{Read, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::World;

/// What an output must be.
enum Expected {
    Anything,
    Begins(String),
    Exactly(String),
    Holds(Vec<String>),
}

/// A command that has not run yet.
#[must_use = "nothing has run before 'check'"]
pub struct Run<'w> {
    world: &'w World,
    command: Command,
    input: Vec<u8>,
    status: Option<i32>,
    stdout: Expected,
    stderr: Expected,
}

/// A command that runs.
pub struct Started(Option<Child>);

impl Started {
    /// Waits for its end.
    pub fn finish(&mut self) -> Outcome {
        let output = self.0.take().expect("it is waited for once").wait_with_output().unwrap();
        Outcome { status: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr: output.stderr }
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// Standard error as text.
    pub fn words(&self) -> String {
        String::from_utf8(self.stderr.clone()).unwrap()
    }
}

impl<'w> Run<'w> {
    pub(super) fn new(world: &'w World, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(world.path(""))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", world.path("home"))
            .env("GNUPGHOME", world.path("gnupg"))
            .env("TMPDIR", world.path("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CEILING_DIRECTORIES", world.path(""))
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .envs(world.environment.borrow().iter().map(|(name, value)| (name, value)));
        Self {
            world,
            command,
            input: Vec::new(),
            status: Some(0),
            stdout: Expected::Exactly(String::new()),
            stderr: Expected::Exactly(String::new()),
        }
    }

    /// Run it in `directory`.
    pub fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Set an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Take away an environment variable.
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Give it `bytes` on standard input.
    pub fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        bytes.as_ref().clone_into(&mut self.input);
        self
    }

    /// It must end with `status`.
    pub fn status(mut self, status: i32) -> Self {
        self.status = Some(status);
        self
    }

    /// Any end will do; the test looks at it.
    pub fn any_status(mut self) -> Self {
        self.status = None;
        self
    }

    /// Standard output must be `text`, redacted.
    pub fn stdout(mut self, text: impl Into<String>) -> Self {
        self.stdout = Expected::Exactly(text.into());
        self
    }

    /// Standard output must hold each of `parts`.
    pub fn stdout_holds(mut self, parts: &[&str]) -> Self {
        self.stdout = Expected::Holds(parts.iter().map(|part| (*part).to_owned()).collect());
        self
    }

    /// Standard output is the test's business.
    pub fn any_stdout(mut self) -> Self {
        self.stdout = Expected::Anything;
        self
    }

    /// Standard error must be `text`, redacted.
    pub fn stderr(mut self, text: impl Into<String>) -> Self {
        self.stderr = Expected::Exactly(text.into());
        self
    }

    /// Standard error must begin with `text`.
    pub fn stderr_begins(mut self, text: &str) -> Self {
        self.stderr = Expected::Begins(text.to_owned());
        self
    }

    /// Standard error must hold each of `parts`.
    pub fn stderr_holds(mut self, parts: &[&str]) -> Self {
        self.stderr = Expected::Holds(parts.iter().map(|part| (*part).to_owned()).collect());
        self
    }

    /// Standard error is the test's business.
    pub fn any_stderr(mut self) -> Self {
        self.stderr = Expected::Anything;
        self
    }

    /// Starts it, with nothing to read and nobody who reads; the test looks at how it ends.
    pub fn start(mut self) -> Child {
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command))
    }

    /// [`Run::start`] as the head of a process group of its own.
    #[cfg(unix)]
    pub fn start_in_group(mut self) -> Child {
        std::os::unix::process::CommandExt::process_group(&mut self.command, 0);
        self.start()
    }

    /// Starts it; what it says is read when [`Started::finish`] is called.
    pub fn start_piped(mut self) -> Started {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        child.stdin.take().expect("the pipe was asked for").write_all(&self.input).unwrap();
        Started(Some(child))
    }

    /// Runs it with a person at its other end, who has typed `ahead` before it began, and of each pair of `dialogue`
    /// types the second when the first has been shown; standard error is not looked at. Panics where the status is
    /// not as expected, or something is waited for in vain.
    #[track_caller]
    pub fn converse(mut self, ahead: &str, dialogue: &[(&str, &str)]) -> Outcome {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let mut stdin = child.stdin.take().expect("the pipe was asked for");
        let mut output = child.stdout.take().expect("the pipe was asked for");
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut room) {
                let _ = sender.send(room[..count].to_vec());
            }
        });
        stdin.write_all(ahead.as_bytes()).unwrap();
        let (mut stdout, mut seen) = (Vec::new(), 0);
        let mut left = dialogue.iter();
        let mut next = left.next();
        loop {
            let rest = String::from_utf8_lossy(&stdout[seen..]).into_owned();
            if let Some((question, answer)) = next
                && rest.contains(question)
            {
                seen = stdout.len();
                next = left.next();
                stdin.write_all(answer.as_bytes()).unwrap();
                continue;
            }
            match receiver.recv_timeout(Duration::from_secs(90)) {
                Ok(bytes) => stdout.extend(bytes),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    panic!("nothing more comes than {rest:?}; {next:?} was waited for");
                }
            }
        }
        let status = child.wait().unwrap().code().unwrap_or(-1);
        let outcome = Outcome { status, stdout, stderr: Vec::new() };
        assert!(next.is_none(), "{next:?} was waited for in {:?}", outcome.text());
        assert!(self.status.is_none_or(|wanted| wanted == status), "{status}: {:?}", outcome.text());
        outcome
    }

    /// Runs it, and panics where anything is not as expected.
    #[track_caller]
    pub fn check(mut self) -> Outcome {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let mut stdin = child.stdin.take().expect("the pipe was asked for");
        let input = std::mem::take(&mut self.input);
        // Whether the child reads all of it shows in how it ends.
        let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
        let mut stderr = child.stderr.take().expect("the pipe was asked for");
        let listener = thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).map(|_| bytes)
        });
        let mut stdout = Vec::new();
        child.stdout.take().expect("the pipe was asked for").read_to_end(&mut stdout).unwrap();
        let stderr = listener.join().unwrap().unwrap();
        feeder.join().unwrap();
        let status = child.wait().unwrap();
        let outcome = Outcome { status: status.code().unwrap_or(-1), stdout, stderr };

        let mut wrong = Vec::new();
        if self.status.is_some_and(|wanted| wanted != outcome.status) {
            wrong.push(format!("exit status is not {:?}", self.status));
        }
        wrong.extend(self.objection("stdout", &self.stdout, &outcome.stdout));
        wrong.extend(self.objection("stderr", &self.stderr, &outcome.stderr));
        assert!(
            wrong.is_empty(),
            "{:?} {:?}: {}\n--- exit status {}\n--- stdout\n{}\n--- stderr\n{}",
            self.command.get_program(),
            self.command.get_args().collect::<Vec<_>>(),
            wrong.join("; "),
            outcome.status,
            self.world.redact(&String::from_utf8_lossy(&outcome.stdout)),
            self.world.redact(&String::from_utf8_lossy(&outcome.stderr)),
        );
        outcome
    }

    fn objection(&self, name: &str, expected: &Expected, found: &[u8]) -> Option<String> {
        let found = self.world.redact(&String::from_utf8_lossy(found));
        match expected {
            Expected::Anything => None,
            Expected::Begins(text) => {
                (!found.starts_with(text)).then(|| format!("{name} does not begin with {text:?}"))
            }
            Expected::Exactly(text) => (found != *text).then(|| format!("{name} is not {text:?}")),
            Expected::Holds(parts) => parts
                .iter()
                .find(|part| !found.contains(part.as_str()))
                .map(|part| format!("{name} does not hold {part:?}")),
        }
    }
}

/// `text` with every `2024-05-06 07:08:09 UTC` replaced by `[TIME]`.
pub(super) fn redact_times(text: &str) -> String {
    const SHAPE: &[u8] = b"dddd-dd-dd dd:dd:dd UTC";
    let mut redacted = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let is_time = rest.len() >= SHAPE.len()
            && rest.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                other => byte == *other,
            });
        let taken = if is_time { SHAPE.len() } else { character.len_utf8() };
        redacted.push_str(if is_time { "[TIME]" } else { &rest[..taken] });
        rest = &rest[taken..];
    }
    redacted
}

/// `text` with every `3 days old` replaced by `[AGE]`.
pub(super) fn redact_ages(text: &str) -> String {
    let mut parts = text.replace(" day old", " days old");
    while let Some(end) = parts.find(" days old") {
        let start = parts[..end].rfind(|character: char| !character.is_ascii_digit()).map_or(0, |at| at + 1);
        parts.replace_range(start..end + " days old".len(), "[AGE]");
    }
    parts
}
