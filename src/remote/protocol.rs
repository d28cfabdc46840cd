//! What git says to a remote helper (gitremote-helpers), line by line, as values.
//!
//! Responsible for reading commands strictly and with bounds. Not responsible for what they come to.

use std::io::{self, BufRead, Read as _};

use gix::bstr::{BString, ByteSlice as _};

use crate::object::ObjectId;

/// The longest line, in bytes.
const MAXIMUM_LINE: u64 = 64 * 1024;

/// How many refs one batch may name.
const MAXIMUM_BATCH: usize = 4_000_000;

/// What this helper can do, as it answers `capabilities`.
pub const CAPABILITIES: &str = "fetch\npush\noption\nobject-format\ncheck-connectivity\n\n";

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What the helper can do.
    Capabilities,
    /// The objects behind these values of these refs.
    Fetch(Vec<(ObjectId, BString)>),
    /// The refs of the remote; with `true` for a push.
    List(bool),
    /// A setting for what comes after it.
    Option {
        /// Its name.
        name: String,
        /// Its value, unquoted.
        value: BString,
    },
    /// Refs to be written.
    Push(Vec<PushLine>),
}

/// One ref to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushLine {
    /// Whether its value need not descend from the one before.
    pub force: bool,
    /// What to write, as git names it; empty to delete the ref.
    pub source: BString,
    /// The full name of the ref.
    pub destination: BString,
}

/// Why git is not understood. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// It cannot be read.
    #[error("git cannot be heard any more: {0}")]
    Input(#[from] io::Error),
    /// A line without end, or too long.
    #[error("git said a line that is cut off or too long")]
    Line,
    /// A batch with too many lines.
    #[error("git asks for too many refs at once")]
    TooMany,
    /// A command that is not known or is written in another way.
    #[error("git said '{0}', which is not understood")]
    Unknown(BString),
}

/// Read the next command; `None` where git has no more.
///
/// # Errors
/// See [`ProtocolError`].
pub fn next(input: &mut dyn BufRead) -> Result<Option<Command>, ProtocolError> {
    let Some(first) = line(input)? else { return Ok(None) };
    let unknown = |line: &BString| ProtocolError::Unknown(line.clone());
    if first.is_empty() {
        return Ok(None);
    }
    if first == "capabilities" {
        return Ok(Some(Command::Capabilities));
    }
    if first == "list" || first == "list for-push" {
        return Ok(Some(Command::List(first.ends_with(b"for-push"))));
    }
    if let Some(rest) = first.strip_prefix(b"option ") {
        // One without a value is true (remote-curl.c).
        let (name, value) = rest.split_once_str(" ").unwrap_or((rest, b"true"));
        let name = name.to_str().map_err(|_| unknown(&first))?.to_owned();
        let (unquoted, end) = gix::quote::ansi_c::undo(value.as_bstr()).map_err(|_| unknown(&first))?;
        // Nothing stands behind the closing quote.
        let value =
            Some(unquoted.into_owned()).filter(|_| end == value.len()).ok_or_else(|| unknown(&first))?;
        return Ok(Some(Command::Option { name, value }));
    }
    if first.starts_with(b"fetch ") {
        return batch(input, first, fetch_line).map(|lines| Some(Command::Fetch(lines)));
    }
    if first.starts_with(b"push ") {
        return batch(input, first, push_line).map(|lines| Some(Command::Push(lines)));
    }
    Err(ProtocolError::Unknown(first))
}

/// `first` and what follows it up to an empty line.
fn batch<T>(
    input: &mut dyn BufRead,
    first: BString,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, ProtocolError> {
    let mut found = Vec::new();
    let mut current = first;
    loop {
        found.push(read(&current).ok_or(ProtocolError::Unknown(current))?);
        if found.len() > MAXIMUM_BATCH {
            return Err(ProtocolError::TooMany);
        }
        current = line(input)?.ok_or(ProtocolError::Line)?;
        if current.is_empty() {
            return Ok(found);
        }
    }
}

/// `fetch <id> <name>`
fn fetch_line(line: &[u8]) -> Option<(ObjectId, BString)> {
    let (id, name) = line.strip_prefix(b"fetch ")?.split_once_str(" ")?;
    Some((ObjectId::from_hex(id).ok()?, Some(name).filter(|name| !name.is_empty())?.into()))
}

/// `push [+]<src>:<dst>`
fn push_line(line: &[u8]) -> Option<PushLine> {
    let rest = line.strip_prefix(b"push ")?;
    let (force, rest) = match rest.strip_prefix(b"+") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (source, destination) = rest.split_once_str(":")?;
    let destination = Some(destination).filter(|name| name.starts_with(b"refs/") && !name.contains(&b':'))?;
    Some(PushLine { force, source: source.into(), destination: destination.into() })
}

/// A line without its end; `None` where there is no more.
fn line(input: &mut dyn BufRead) -> Result<Option<BString>, ProtocolError> {
    let mut line = Vec::new();
    input.take(MAXIMUM_LINE).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line.into())),
        Some(_) => Err(ProtocolError::Line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut input: &[u8]) -> Result<Vec<Command>, ProtocolError> {
        let mut commands = Vec::new();
        while let Some(command) = next(&mut input)? {
            commands.push(command);
        }
        Ok(commands)
    }

    #[test]
    fn what_git_says_is_understood() {
        let id: ObjectId = "1".repeat(40).parse().unwrap();
        let input = format!(
            "capabilities\noption verbosity 1\noption object-format\noption push-option \"a\\tb\"\nlist\nlist for-push\n\
             fetch {id} refs/heads/main\nfetch {id} HEAD\n\n\
             push +refs/heads/a:refs/heads/b\npush :refs/heads/c\n\n\n"
        );
        let option = |name: &str, value: &str| Command::Option { name: name.to_owned(), value: value.into() };
        let push = |force, source: &str, destination: &str| PushLine {
            force,
            source: source.into(),
            destination: destination.into(),
        };
        assert_eq!(
            all(input.as_bytes()).unwrap(),
            [
                Command::Capabilities,
                option("verbosity", "1"),
                option("object-format", "true"),
                option("push-option", "a\tb"),
                Command::List(false),
                Command::List(true),
                Command::Fetch(vec![(id, "refs/heads/main".into()), (id, "HEAD".into())]),
                Command::Push(vec![
                    push(true, "refs/heads/a", "refs/heads/b"),
                    push(false, "", "refs/heads/c")
                ]),
            ]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let id = "1".repeat(40);
        for input in [
            "import refs/heads/a\n".to_owned(),
            "fetch 12 refs/heads/a\n\n".to_owned(),
            format!("fetch {id}\n\n"),
            format!("fetch {id} refs/heads/a\nlist\n\n"),
            "push refs/heads/a\n\n".to_owned(),
            "push a:b\n\n".to_owned(),
            "push a:refs/heads/b:refs/heads/c\n\n".to_owned(),
            "option x \"y\n".to_owned(),
            "option x \"y\"z\n".to_owned(),
        ] {
            assert!(matches!(all(input.as_bytes()), Err(ProtocolError::Unknown(_))), "{input:?}");
        }
        for input in [format!("fetch {id} refs/heads/a\n"), "lis".to_owned(), "x".repeat(70_000)] {
            assert!(matches!(all(input.as_bytes()), Err(ProtocolError::Line)), "{}", input.len());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = all(&input);
        }
    }
}
