//! Header lines of commits and tags: `name SP value LF`, continued by lines that begin with one space.

use super::{HashKind, ObjectError, ObjectId};

/// One header with where it stands in the object.
pub(super) struct Header<'a> {
    pub(super) name: &'a [u8],
    /// The value as stored: continuation lines still carry their leading space.
    pub(super) folded: &'a [u8],
    /// From the first byte of the name to behind the last line feed.
    pub(super) range: std::ops::Range<usize>,
}

impl Header<'_> {
    /// The value with the one space taken off each continuation line.
    pub(super) fn unfold(&self) -> Vec<u8> {
        unfold(self.folded)
    }
}

/// A header's value with the one space taken off each continuation line.
pub(super) fn unfold(folded: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(folded.len() + 1);
    for (index, line) in folded.split_inclusive(|byte| *byte == b'\n').enumerate() {
        value.extend_from_slice(if index == 0 { line } else { &line[1..] });
    }
    value
}

/// The headers of an object up to its blank line, one by one.
///
/// Lines end at line feeds only; carriage returns are ordinary bytes.
pub(super) struct Headers<'a> {
    object: &'a [u8],
    position: usize,
}

impl<'a> Headers<'a> {
    pub(super) fn new(object: &'a [u8]) -> Result<Self, ObjectError> {
        if object.len() > super::MAXIMUM_OBJECT_BYTES {
            return Err(ObjectError::TooLarge);
        }
        Ok(Self { object, position: 0 })
    }

    /// Where the body begins, once every header has been read.
    pub(super) fn body_start(&self) -> usize {
        self.position
    }

    /// The next header, or `None` at the blank line (which is passed over).
    pub(super) fn next(&mut self) -> Result<Option<Header<'a>>, ObjectError> {
        let start = self.position;
        let mut end = self.line_end(start)?;
        if end == start {
            self.position = start + 1;
            return Ok(None);
        }
        let first_line = &self.object[start..end];
        let space = first_line.iter().position(|byte| *byte == b' ').ok_or(ObjectError::MalformedHeader)?;
        if space == 0 {
            return Err(ObjectError::MalformedHeader);
        }
        while self.object.get(end + 1) == Some(&b' ') {
            end = self.line_end(end + 1)?;
        }
        let line = &self.object[start..end];
        if line.contains(&0) {
            return Err(ObjectError::NulInHeader);
        }
        self.position = end + 1;
        Ok(Some(Header {
            name: &line[..space],
            folded: &self.object[start + space + 1..end],
            range: start..end + 1,
        }))
    }

    /// The next header, which must be a single line called `name`.
    pub(super) fn expect(&mut self, name: &'static str) -> Result<&'a [u8], ObjectError> {
        let position = self.position;
        match self.next()? {
            Some(header) if header.name == name.as_bytes() => {
                if header.folded.contains(&b'\n') {
                    return Err(ObjectError::MalformedHeader);
                }
                Ok(header.folded)
            }
            _ => {
                self.position = position;
                Err(ObjectError::MissingHeader(name))
            }
        }
    }

    /// Like [`Self::expect`], but leaves another header where it is.
    pub(super) fn accept(&mut self, name: &'static str) -> Result<Option<&'a [u8]>, ObjectError> {
        match self.expect(name) {
            Ok(value) => Ok(Some(value)),
            Err(ObjectError::MissingHeader(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn line_end(&self, start: usize) -> Result<usize, ObjectError> {
        self.object[start.min(self.object.len())..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|offset| start + offset)
            .ok_or(ObjectError::UnterminatedHeaders)
    }
}

/// A full object id in lower-case hexadecimal.
pub(super) fn object_id(hash: HashKind, value: &[u8], name: &'static str) -> Result<ObjectId, ObjectError> {
    let lower = value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if value.len() != hash.len_in_hex() || !lower {
        return Err(ObjectError::MalformedObjectId(name));
    }
    ObjectId::from_hex(value).map_err(|_| ObjectError::MalformedObjectId(name))
}

/// A person line must hold exactly one `<address>`.
pub(super) fn person<'a>(value: &'a [u8], name: &'static str) -> Result<&'a [u8], ObjectError> {
    let count = |wanted: u8| value.iter().filter(|byte| **byte == wanted).count();
    if count(b'<') != 1 || count(b'>') != 1 || super::person_address(value).is_none() {
        return Err(ObjectError::MalformedPerson(name));
    }
    Ok(value)
}

/// The header that holds a signature over an object of `hash` (commit.c, `gpg_sig_headers`).
pub(super) fn signature_header(hash: HashKind) -> &'static [u8] {
    match hash {
        HashKind::Sha256 => b"gpgsig-sha256",
        _ => b"gpgsig",
    }
}
