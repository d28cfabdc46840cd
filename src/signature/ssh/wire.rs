//! The data types of SSH (RFC 4251 §5) as slices of the input.

use crate::signature::FormatError;

/// Reads fields off the front of a slice. Every error is the one cause that the reader was made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    cause: FormatError,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], cause: FormatError) -> Self {
        Self { rest: bytes, cause }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.cause)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.take(N)?.try_into().map_err(|_| self.cause)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, FormatError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn uint32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn uint64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_be_bytes)
    }

    /// `string`: a length and as many bytes; never more than are there.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], FormatError> {
        let length = usize::try_from(self.uint32()?).map_err(|_| self.cause)?;
        self.take(length)
    }

    /// A `string` of printable ASCII, as names of algorithms and namespaces are.
    pub(crate) fn name(&mut self) -> Result<&'a str, FormatError> {
        let name = self.string()?;
        let text = std::str::from_utf8(name).map_err(|_| self.cause)?;
        if text.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(text) } else { Err(self.cause) }
    }

    /// A `string` of UTF-8 without control characters.
    pub(crate) fn text(&mut self) -> Result<&'a str, FormatError> {
        let text = std::str::from_utf8(self.string()?).map_err(|_| self.cause)?;
        if text.chars().any(char::is_control) { Err(self.cause) } else { Ok(text) }
    }

    /// A positive `mpint` in its one shortest spelling, without the leading zero that keeps it positive.
    pub(crate) fn positive(&mut self) -> Result<&'a [u8], FormatError> {
        match self.string()? {
            [0, magnitude @ ..] if magnitude.first().is_some_and(|byte| *byte >= 0x80) => Ok(magnitude),
            magnitude @ [1..=0x7f, ..] => Ok(magnitude),
            _ => Err(self.cause),
        }
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left over.
    pub(crate) fn finish(&self) -> Result<(), FormatError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.cause) }
    }
}

/// Append `bytes` to `buffer` as a `string`. Whatever is written here has been read with a length of
/// four bytes or is a constant.
pub(crate) fn write_string(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("no field is longer than the armor that is read");
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, FormatError::Ssh)
    }

    #[test]
    fn lengths_never_reach_beyond_the_input() {
        assert_eq!(reader(&[0, 0, 0, 2, b'a', b'b']).string(), Ok(&b"ab"[..]));
        for short in [&[][..], &[0, 0, 0], &[0, 0, 0, 1], &[255, 255, 255, 255, 1]] {
            assert_eq!(reader(short).string(), Err(FormatError::Ssh), "{short:?}");
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        for (bytes, number) in [
            (&[0, 0, 0, 1, 1][..], Some(&[1][..])),
            (&[0, 0, 0, 2, 0, 0x80], Some(&[0x80])),
            (&[0, 0, 0, 0], None),
            (&[0, 0, 0, 1, 0], None),
            (&[0, 0, 0, 1, 0x80], None),
            (&[0, 0, 0, 2, 0, 0x7f], None),
        ] {
            assert_eq!(reader(bytes).positive().ok(), number, "{bytes:?}");
        }
    }

    #[test]
    fn names_and_texts_hold_nothing_that_moves_a_cursor() {
        assert!(reader(&[0, 0, 0, 1, b' ']).name().is_err());
        assert_eq!(reader(&[0, 0, 0, 1, b' ']).text(), Ok(" "));
        assert!(reader(&[0, 0, 0, 1, 0x1b]).text().is_err());
        assert!(reader(&[0, 0, 0, 1, 0xff]).text().is_err());
    }
}
