//! A walk over DER (X.690) that hands out slices of the input and never builds anything.
//!
//! Tag and length octets are decoded by the `der` crate, which refuses every encoding but the
//! canonical one.

use ::der::{Reader as _, SliceReader};
pub use ::der::{Tag, TagNumber};

/// The bytes are not the DER that was expected here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the expected DER")]
pub struct DerError;

impl From<::der::Error> for DerError {
    fn from(_: ::der::Error) -> Self {
        Self
    }
}

/// One element: its tag, its contents, and the whole of it with tag and length.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// The tag.
    pub tag: Tag,
    /// The contents octets.
    pub value: &'a [u8],
    /// Tag, length and contents.
    pub raw: &'a [u8],
}

impl<'a> Element<'a> {
    /// Walk the contents.
    #[must_use]
    pub fn walk(&self) -> Walk<'a> {
        Walk { rest: self.value }
    }

    /// A non-negative INTEGER of at most 8 bytes.
    ///
    /// # Errors
    /// Negative, too large, or not minimally encoded.
    pub fn unsigned(&self) -> Result<u64, DerError> {
        <u64 as ::der::Decode>::from_der(self.raw).map_err(Into::into)
    }
}

/// A run of DER elements, read one by one.
#[derive(Clone, Copy, Debug)]
pub struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    /// Walk `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element of whatever tag.
    ///
    /// # Errors
    /// The end, or octets that are not DER.
    pub fn any(&mut self) -> Result<Element<'a>, DerError> {
        let mut reader = SliceReader::new(self.rest)?;
        let header = reader.peek_header()?;
        let raw = reader.tlv_bytes()?;
        let length = usize::try_from(header.length)?;
        self.rest = &self.rest[raw.len()..];
        Ok(Element { tag: header.tag, value: &raw[raw.len() - length..], raw })
    }

    /// The next element, which must have `tag`.
    ///
    /// # Errors
    /// Another tag, the end, or octets that are not DER.
    pub fn expect(&mut self, tag: Tag) -> Result<Element<'a>, DerError> {
        let element = self.any()?;
        if element.tag == tag { Ok(element) } else { Err(DerError) }
    }

    /// The next element if it has `tag`.
    ///
    /// # Errors
    /// Octets that are not DER.
    pub fn accept(&mut self, tag: Tag) -> Result<Option<Element<'a>>, DerError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let before = *self;
        let element = self.any()?;
        if element.tag == tag {
            return Ok(Some(element));
        }
        *self = before;
        Ok(None)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Something is.
    pub fn finish(self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DerError) }
    }
}

/// The only element in `bytes`, which must have `tag`.
///
/// # Errors
/// Another tag, something left over, or octets that are not DER.
pub fn only(bytes: &[u8], tag: Tag) -> Result<Element<'_>, DerError> {
    let mut walk = Walk::new(bytes);
    let element = walk.expect(tag)?;
    walk.finish()?;
    Ok(element)
}

/// The constructed context-specific tag `[number]`.
#[must_use]
pub fn context(number: u8) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber::new(number) }
}

/// The contents octets of an object identifier given as constant, for comparison with [`Element::value`].
pub use ::der::asn1::ObjectIdentifier;

/// `UTCTime` or `GeneralizedTime` (whole seconds, or with a fraction that is cut off), in seconds since 1970.
///
/// # Errors
/// Not such a time.
pub fn time(element: &Element<'_>) -> Result<i64, DerError> {
    use ::der::Decode as _;
    let seconds = match element.tag {
        Tag::UtcTime => ::der::asn1::UtcTime::from_der(element.raw)?.to_unix_duration(),
        Tag::GeneralizedTime => match element.value {
            [whole @ .., b'Z'] if whole.len() > 15 && whole[14] == b'.' => {
                let fraction = &whole[15..];
                if fraction.ends_with(b"0") || !fraction.iter().all(u8::is_ascii_digit) {
                    return Err(DerError);
                }
                let mut plain = vec![0x18, 15];
                plain.extend_from_slice(&whole[..14]);
                plain.push(b'Z');
                ::der::asn1::GeneralizedTime::from_der(&plain)?.to_unix_duration()
            }
            _ => ::der::asn1::GeneralizedTime::from_der(element.raw)?.to_unix_duration(),
        },
        _ => return Err(DerError),
    };
    i64::try_from(seconds.as_secs()).map_err(|_| DerError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_lengths_and_whole_input_are_accepted() {
        assert_eq!(only(&[0x04, 1, 7], Tag::OctetString).unwrap().value, [7]);
        for bytes in [&[0x04, 0x81, 1, 7][..], &[0x04, 1, 7, 0], &[0x04, 2, 7], &[0x24, 0x80, 0, 0], &[]] {
            assert!(only(bytes, Tag::OctetString).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let read = |tag: u8, text: &str| {
            let mut bytes = vec![tag, u8::try_from(text.len()).unwrap()];
            bytes.extend_from_slice(text.as_bytes());
            let mut walk = Walk::new(&bytes);
            time(&walk.any().unwrap())
        };
        assert_eq!(read(0x17, "700101000001Z"), Ok(1));
        assert_eq!(read(0x18, "19700101000002Z"), Ok(2));
        assert_eq!(read(0x18, "19700101000002.5Z"), Ok(2));
        for text in ["19700101000002.50Z", "19700101000002.Z", "19700101000002.x", "1970010100000Z"] {
            assert_eq!(read(0x18, text), Err(DerError), "{text}");
        }
    }
}
