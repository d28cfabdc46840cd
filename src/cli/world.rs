//! Everything that a command takes from the world, as values: tests make their own.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io::{self, Read, Write},
    path::PathBuf,
};

/// The environment variables, captured once.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Capture `variables`.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// The value of `name`; `None` also where it is empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// [`Self::get`] as text; `None` also where it is not UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    /// Every variable.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// What the outputs are connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminals {
    /// Standard input is a terminal.
    pub stdin: bool,
    /// Standard output is a terminal.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
    /// Standard output takes colours.
    pub colours: bool,
}

/// The world around one run.
pub struct World<'a> {
    /// The arguments, without the program's name.
    pub arguments: Vec<OsString>,
    /// The environment.
    pub environment: Environment,
    /// The current directory.
    pub directory: PathBuf,
    /// This program's own path, as well as it is known.
    pub program: PathBuf,
    /// When the run began, in seconds since 1970.
    pub now: i64,
    /// The clock itself, for what takes its time.
    pub clock: fn() -> i64,
    /// What the outputs are connected to.
    pub terminals: Terminals,
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Standard output; for git it carries nothing but status lines or the signature.
    pub stdout: &'a mut dyn Write,
    /// Standard error, for words.
    pub stderr: &'a mut dyn Write,
}

/// Standard output that remembers why something could not be written to it, so that nobody takes half of an answer
/// for the whole. A reader that has gone away wanted no more.
pub(super) struct Watched<'a> {
    output: &'a mut dyn Write,
    /// The first that went wrong.
    pub(super) failed: Option<io::Error>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(output: &'a mut dyn Write) -> Self {
        Self { output, failed: None }
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) {
                self.failed.get_or_insert_with(|| error.kind().into());
            }
        })
    }
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.output.flush();
        self.note(flushed)
    }
}

impl World<'_> {
    /// Write `text` to standard output. What goes wrong is [`Watched`].
    pub fn say(&mut self, text: &str) {
        let _ = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush());
    }

    /// Write `text` to standard error.
    pub fn complain(&mut self, text: &str) {
        let _ = self.stderr.write_all(text.as_bytes()).and_then(|()| self.stderr.flush());
    }
}
