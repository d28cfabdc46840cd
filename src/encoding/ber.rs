//! BER (X.690) in the frames around what is signed, made into DER.
//!
//! Some programs do not know the length of a structure when they begin to write it, so they write the
//! indefinite form and, for octet strings, pieces. Only that is undone here, and only where the caller
//! says that an element is a frame: whatever has a definite length is copied as it came, byte for byte,
//! and is held to DER by those who read it. So nothing that a signature covers is written anew.

/// The deepest nesting of elements that are opened.
const MAXIMUM_DEPTH: usize = 8;
/// The most elements that are opened or copied.
const MAXIMUM_ELEMENTS: usize = 1024;
/// An octet string in pieces.
const CONSTRUCTED_OCTET_STRING: u8 = 0x24;
const OCTET_STRING: u8 = 0x04;

/// Why BER is not made into DER. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BerError {
    /// Too many elements, or too many inside one another.
    #[error("there are too many elements, or too many inside one another")]
    Limits,
    /// An element of indefinite length where only what is signed may stand.
    #[error("an element whose bytes have to be as they were signed has no definite length")]
    NotAFrame,
    /// Bytes that end early, are left over, or are no element.
    #[error("it is not BER")]
    Structure,
}

/// Whether `bytes` begin with an element of indefinite length: BER and not DER.
#[must_use]
pub fn is_indefinite(bytes: &[u8]) -> bool {
    matches!(bytes, [_, 0x80, ..])
}

/// The one element in `bytes`, with every length in its frames definite and minimal. `is_frame` is given
/// the identifier octets from the outermost to the element in question, and says whether it may be of
/// indefinite length. Octet strings in pieces become whole. The answer is never longer than 1.5 times
/// `bytes`.
///
/// # Errors
/// [`BerError`].
pub fn to_der(bytes: &[u8], is_frame: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, BerError> {
    let mut reader = Reader { rest: bytes, left: MAXIMUM_ELEMENTS, path: Vec::new(), is_frame };
    let element = reader.element()?;
    if reader.rest.is_empty() { Ok(element) } else { Err(BerError::Structure) }
}

struct Reader<'a, F> {
    rest: &'a [u8],
    left: usize,
    /// The identifier octets of the elements around.
    path: Vec<u8>,
    is_frame: F,
}

impl<'a, F: Fn(&[u8]) -> bool> Reader<'a, F> {
    /// The next element in DER.
    fn element(&mut self) -> Result<Vec<u8>, BerError> {
        self.left = self.left.checked_sub(1).ok_or(BerError::Limits)?;
        let identifier = *self.rest.first().ok_or(BerError::Structure)?;
        if identifier & 0x1f == 0x1f || identifier == 0 {
            return Err(BerError::Structure); // no tag above 30 is in use, and 0 ends contents
        }
        if identifier == CONSTRUCTED_OCTET_STRING {
            return self.octet_string();
        }
        if !is_indefinite(self.rest) {
            return Ok(self.definite()?.to_vec());
        }
        self.open(identifier)?;
        let mut contents = Vec::new();
        while !self.ends()? {
            contents.extend_from_slice(&self.element()?);
        }
        self.path.pop();
        Ok(enclose(identifier, &contents))
    }

    /// Enter an element of indefinite length.
    fn open(&mut self, identifier: u8) -> Result<(), BerError> {
        if identifier & 0x20 == 0 {
            return Err(BerError::Structure); // primitive elements have a length
        }
        self.path.push(identifier);
        if self.path.len() > MAXIMUM_DEPTH {
            return Err(BerError::Limits);
        }
        if !(self.is_frame)(&self.path) {
            return Err(BerError::NotAFrame);
        }
        self.rest = &self.rest[2..];
        Ok(())
    }

    /// Whether the contents of indefinite length end here; if so, their end is passed.
    fn ends(&mut self) -> Result<bool, BerError> {
        match self.rest {
            [0, 0, rest @ ..] => {
                self.rest = rest;
                Ok(true)
            }
            [] => Err(BerError::Structure),
            _ => Ok(false),
        }
    }

    /// A whole element of definite length, as it came. Its length octets are minimal.
    fn definite(&mut self) -> Result<&'a [u8], BerError> {
        let (header, length) = definite_length(self.rest).ok_or(BerError::Structure)?;
        let end = header.checked_add(length).ok_or(BerError::Structure)?;
        let (element, rest) = self.rest.split_at_checked(end).ok_or(BerError::Structure)?;
        self.rest = rest;
        Ok(element)
    }

    /// An octet string in pieces, which are whole themselves (X.690 §8.7.3; pieces of pieces are not in use).
    fn octet_string(&mut self) -> Result<Vec<u8>, BerError> {
        let mut contents = Vec::new();
        if is_indefinite(self.rest) {
            self.open(CONSTRUCTED_OCTET_STRING)?;
            while !self.ends()? {
                contents.extend_from_slice(self.piece()?);
            }
            self.path.pop();
        } else {
            self.path.push(CONSTRUCTED_OCTET_STRING);
            if !(self.is_frame)(&self.path) {
                return Err(BerError::NotAFrame);
            }
            self.path.pop();
            let whole = self.definite()?;
            let (header, _) = definite_length(whole).ok_or(BerError::Structure)?;
            let after = std::mem::replace(&mut self.rest, &whole[header..]);
            while !self.rest.is_empty() {
                contents.extend_from_slice(self.piece()?);
            }
            self.rest = after;
        }
        Ok(enclose(OCTET_STRING, &contents))
    }

    fn piece(&mut self) -> Result<&'a [u8], BerError> {
        self.left = self.left.checked_sub(1).ok_or(BerError::Limits)?;
        if self.rest.first() != Some(&OCTET_STRING) {
            return Err(BerError::Structure);
        }
        let piece = self.definite()?;
        let (header, _) = definite_length(piece).ok_or(BerError::Structure)?;
        Ok(&piece[header..])
    }
}

/// The size of identifier and length octets, and the length that they give; `None` unless it is definite
/// and minimal.
fn definite_length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        short @ 0..=0x7f => Some((2, usize::from(short))),
        0x81 => Some((3, usize::from(*bytes.get(2)?))).filter(|(_, length)| *length >= 0x80),
        0x82 => {
            let length = usize::from(*bytes.get(2)?) << 8 | usize::from(*bytes.get(3)?);
            Some((4, length)).filter(|(_, length)| *length >= 0x100)
        }
        0x83 => {
            let length = bytes.get(2..5)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            Some((5, length)).filter(|(_, length)| *length >= 0x1_0000)
        }
        _ => None,
    }
}

/// `contents` under an identifier octet, with its DER length.
pub(super) fn enclose(identifier: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut element = Vec::with_capacity(contents.len() + 6);
    element.push(identifier);
    match significant {
        [] => element.push(0),
        [short] if *short < 0x80 => element.push(*short),
        long => {
            element.push(0x80 | u8::try_from(long.len()).expect("a usize has at most eight octets"));
            element.extend_from_slice(long);
        }
    }
    element.extend_from_slice(contents);
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<u8>, BerError> {
        to_der(bytes, |_| true)
    }

    #[test]
    fn indefinite_lengths_become_definite_and_the_rest_is_copied() {
        assert_eq!(all(&[0x30, 0x80, 4, 1, 7, 0, 0]), Ok(vec![0x30, 3, 4, 1, 7]));
        assert_eq!(all(&[0x30, 0x80, 0xa0, 0x80, 0, 0, 0, 0]), Ok(vec![0x30, 2, 0xa0, 0]));
        let long = [&[0x30, 0x80, 4, 0x81, 200][..], &[9; 200], &[0, 0]].concat();
        assert_eq!(all(&long).unwrap(), [&[0x30, 0x81, 203, 4, 0x81, 200][..], &[9; 200]].concat());
        // What has a length is nobody's to change, be it no DER inside.
        let inner = [0x30, 4, 0x30, 0x80, 0, 0];
        assert_eq!(all(&inner).unwrap(), inner);
    }

    #[test]
    fn octet_strings_in_pieces_become_whole() {
        let whole = vec![0x30, 5, 4, 3, 1, 2, 3];
        assert_eq!(all(&[0x30, 0x80, 0x24, 0x80, 4, 1, 1, 4, 2, 2, 3, 0, 0, 0, 0]), Ok(whole.clone()));
        assert_eq!(all(&[0x30, 0x80, 0x24, 7, 4, 1, 1, 4, 2, 2, 3, 0, 0]), Ok(whole));
        for damaged in [
            &[0x30, 0x80, 0x24, 3, 2, 1, 1, 0, 0][..],
            &[0x30, 0x80, 0x24, 4, 4, 1, 1, 4, 0, 0],
            &[0x30, 0x80, 0x24, 5, 0x24, 3, 4, 1, 1, 0, 0],
        ] {
            assert_eq!(all(damaged), Err(BerError::Structure), "{damaged:?}");
        }
    }

    #[test]
    fn only_frames_are_opened() {
        let outermost = |path: &[u8]| path.len() == 1;
        let nested = [0x30, 0x80, 0xa0, 0x80, 0, 0, 0, 0];
        assert_eq!(to_der(&nested, outermost), Err(BerError::NotAFrame));
        assert_eq!(to_der(&[0x30, 0x80, 0x24, 3, 4, 1, 1, 0, 0], outermost), Err(BerError::NotAFrame));
    }

    #[test]
    fn what_is_no_ber_or_too_much_is_refused() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x80, 0],
            &[0x30, 0x80, 0, 0, 0],
            &[0x30, 0x80, 0, 1, 0, 0],
            &[0x30, 0x80, 4, 0x80, 0, 0, 0, 0],
            &[0x30, 0x80, 4, 0x81, 1, 7, 0, 0],
            &[0x30, 0x80, 4, 0x84, 0, 0, 0, 1, 7, 0, 0],
            &[0x30, 0x80, 4, 5, 7, 0, 0],
            &[0x3f, 0x80, 0, 0],
        ] {
            assert_eq!(all(bytes), Err(BerError::Structure), "{bytes:?}");
        }
        let deep = [0x30, 0x80].repeat(MAXIMUM_DEPTH + 1);
        assert_eq!(all(&deep), Err(BerError::Limits));
        let wide = [&[0x30, 0x80][..], &[5, 0].repeat(MAXIMUM_ELEMENTS), &[0, 0]].concat();
        assert_eq!(all(&wide), Err(BerError::Limits));
    }
}
