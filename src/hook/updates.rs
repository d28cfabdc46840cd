//! The ref updates that receive-pack writes to a hook's standard input.

use crate::object::{HashKind, ObjectId};

/// One line: `<old> SP <new> SP <ref> LF`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The value that the pusher says the ref has; `None` for a ref that should not exist.
    pub claimed: Option<ObjectId>,
    /// The value that the pusher wants; `None` to delete the ref.
    pub wanted: Option<ObjectId>,
    /// The full ref name, as bytes.
    pub reference: Vec<u8>,
}

/// Why the list of updates cannot be read. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// There is none.
    #[error("the push holds no ref update")]
    Empty,
    /// A line of another form.
    #[error("line {0} of the push is not '<old> <new> <ref>'")]
    Line(usize),
    /// An object id of another hash than the repository's.
    #[error("line {0} of the push holds an object id of another hash than the repository's")]
    Hash(usize),
}

/// Read every line of `input` for a repository that uses `hash`.
///
/// # Errors
/// Anything in it that git itself would not write.
pub fn parse_updates(hash: HashKind, input: &[u8]) -> Result<Vec<Update>, UpdateError> {
    let lines = input.strip_suffix(b"\n").ok_or(match input {
        [] => UpdateError::Empty,
        _ => UpdateError::Line(input.split(|byte| *byte == b'\n').count()),
    })?;
    let lines = lines.split(|byte| *byte == b'\n').enumerate();
    lines.map(|(index, line)| parse_line(hash, line, index + 1)).collect()
}

fn parse_line(hash: HashKind, line: &[u8], number: usize) -> Result<Update, UpdateError> {
    let mut fields = line.splitn(3, |byte| *byte == b' ');
    let mut field = || fields.next().filter(|field| !field.is_empty()).ok_or(UpdateError::Line(number));
    let id = |text: &[u8]| {
        let lower = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = ObjectId::from_hex(text).ok().filter(|_| lower).ok_or(UpdateError::Line(number))?;
        if id.kind() != hash {
            return Err(UpdateError::Hash(number));
        }
        Ok((!id.is_null()).then_some(id))
    };
    let (claimed, wanted) = (id(field()?)?, id(field()?)?);
    let reference = field()?.to_vec();
    Ok(Update { claimed, wanted, reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digit: char, length: usize) -> String {
        std::iter::repeat_n(digit, length).collect()
    }

    #[test]
    fn zero_ids_of_40_and_64_digits_stand_for_no_value() {
        for (hash, length) in [(HashKind::Sha1, 40), (HashKind::Sha256, 64)] {
            let (zero, one) = (hex('0', length), hex('1', length));
            let input = format!("{zero} {one} refs/heads/a\n{one} {zero} refs/heads/b c\n");
            let updates = parse_updates(hash, input.as_bytes()).unwrap();
            assert_eq!((updates[0].claimed, updates[0].wanted.is_some()), (None, true));
            assert_eq!((updates[1].wanted, updates[1].reference.as_slice()), (None, &b"refs/heads/b c"[..]));
        }
    }

    #[test]
    fn garbage_is_refused() {
        let (one, long) = (hex('1', 40), hex('1', 64));
        for (input, cause) in [
            (String::new(), UpdateError::Empty),
            (format!("{one} {one} refs/heads/a"), UpdateError::Line(1)),
            (format!("{one} {one} refs/heads/a\n\n"), UpdateError::Line(2)),
            (format!("{one} {one}\n"), UpdateError::Line(1)),
            (format!("{one} {one} \n"), UpdateError::Line(1)),
            (format!("{one}  {one} refs/heads/a\n"), UpdateError::Line(1)),
            (format!("{} {one} refs/heads/a\n", hex('A', 40)), UpdateError::Line(1)),
            (format!("{long} {one} refs/heads/a\n"), UpdateError::Hash(1)),
        ] {
            assert_eq!(parse_updates(HashKind::Sha1, input.as_bytes()).unwrap_err(), cause, "{input:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = parse_updates(HashKind::Sha1, &input);
        }
    }
}
