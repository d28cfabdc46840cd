//! The armor around CMS signatures in git: one PEM block labelled `SIGNED MESSAGE`, one legal spelling.

use base64::Engine as _;

use super::FormatError;

/// The largest armored signature that is read, in bytes.
pub const MAXIMUM_ARMOR_BYTES: usize = 256 * 1024;

/// The line that begins a CMS signature; git maps it to the format `x509`.
pub const BEGIN: &str = "-----BEGIN SIGNED MESSAGE-----";
const END: &str = "-----END SIGNED MESSAGE-----";
const LINE: usize = 64;

/// How every armor begins.
const MARK: &[u8] = b"-----BEGIN ";

/// What kind of signature an armor announces, by its first line as git does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `SIGNED MESSAGE`.
    Cms,
    /// `PGP SIGNATURE` or `PGP MESSAGE`.
    OpenPgp,
    /// `SSH SIGNATURE`.
    Ssh,
}

/// The kind of `armor`, or `None` where it begins like no signature at all.
#[must_use]
pub fn kind(armor: &[u8]) -> Option<Kind> {
    if armor.starts_with(BEGIN.as_bytes()) {
        Some(Kind::Cms)
    } else if armor.starts_with(b"-----BEGIN PGP SIGNATURE-----")
        || armor.starts_with(b"-----BEGIN PGP MESSAGE-----")
    {
        Some(Kind::OpenPgp)
    } else if armor.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
        Some(Kind::Ssh)
    } else {
        None
    }
}

/// Whether a line anywhere in `text` begins an armor, of whatever kind.
#[must_use]
pub fn has_begin(text: &[u8]) -> bool {
    text.windows(MARK.len()).any(|window| window == MARK)
}

/// The DER inside `armor`. Lines are 64 columns and end in LF; the last LF may be missing, as git
/// leaves it out in commit headers.
///
/// # Errors
/// [`FormatError::TooLarge`], [`FormatError::TrailingBytes`], [`FormatError::Armor`].
pub fn decode(armor: &[u8]) -> Result<Vec<u8>, FormatError> {
    decode_block(armor, BEGIN, END, &[LINE])
}

/// The bytes in the one block between the lines `begin` and `end`, in base64 whose full lines are all
/// of one of these `widths`.
pub(super) fn decode_block(
    armor: &[u8],
    begin: &str,
    end: &str,
    widths: &[usize],
) -> Result<Vec<u8>, FormatError> {
    if armor.len() > MAXIMUM_ARMOR_BYTES {
        return Err(FormatError::TooLarge);
    }
    let rest = armor.strip_prefix(begin.as_bytes()).and_then(|rest| rest.strip_prefix(b"\n"));
    let rest = rest.ok_or(FormatError::Armor)?;
    let mut end = end.as_bytes().to_vec();
    end.insert(0, b'\n');
    let body_end = rest.windows(end.len()).position(|window| window == end).ok_or(FormatError::Armor)?;
    match &rest[body_end + end.len()..] {
        [] | [b'\n'] => {}
        _ => return Err(FormatError::TrailingBytes),
    }
    let body = &rest[..body_end];
    let mut base64 = Vec::with_capacity(body.len());
    let mut lines = body.split(|byte| *byte == b'\n').peekable();
    let first = lines.peek().map_or(0, |line| line.len());
    let width = widths.iter().copied().find(|width| *width == first);
    let width = width.or(widths.iter().copied().max()).unwrap_or(LINE);
    while let Some(line) = lines.next() {
        let full =
            if lines.peek().is_some() { line.len() == width } else { (1..=width).contains(&line.len()) };
        if !full {
            return Err(FormatError::Armor);
        }
        base64.extend_from_slice(line);
    }
    base64::engine::general_purpose::STANDARD.decode(base64).map_err(|_| FormatError::Armor)
}

/// Armor around `der`, ending in one LF.
#[must_use]
pub fn encode(der: &[u8]) -> Vec<u8> {
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let mut armor = Vec::with_capacity(base64.len() + base64.len() / LINE + 80);
    armor.extend_from_slice(BEGIN.as_bytes());
    for line in base64.as_bytes().chunks(LINE) {
        armor.push(b'\n');
        armor.extend_from_slice(line);
    }
    armor.push(b'\n');
    armor.extend_from_slice(END.as_bytes());
    armor.push(b'\n');
    armor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_with_and_without_the_last_line_feed() {
        let der: Vec<u8> = (0..=255).collect();
        let armor = encode(&der);
        assert_eq!(decode(&armor), Ok(der.clone()));
        assert_eq!(decode(&armor[..armor.len() - 1]), Ok(der));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let armor = String::from_utf8(encode(&[7; 60])).unwrap();
        for (text, cause) in [
            (format!("{armor}x"), FormatError::TrailingBytes),
            (format!("{armor}\n"), FormatError::TrailingBytes),
            (format!(" {armor}"), FormatError::Armor),
            (armor.replace('\n', "\r\n"), FormatError::Armor),
            (armor.replacen("Bw", "Bw\n", 1), FormatError::Armor),
            (
                armor.replacen('B', "!", 1).replace("!EGIN", "BEGIN").replacen("Bw", "B!", 1),
                FormatError::Armor,
            ),
            (armor.replace("-----\nB", "-----\nVersion: 1\n\nB"), FormatError::Armor),
            (armor.replace("=", ""), FormatError::Armor),
            ("x".repeat(MAXIMUM_ARMOR_BYTES + 1), FormatError::TooLarge),
        ] {
            if text == armor {
                continue;
            }
            assert_eq!(decode(text.as_bytes()), Err(cause), "{text}");
        }
        let unpadded_bits = "-----BEGIN SIGNED MESSAGE-----\nBx==\n-----END SIGNED MESSAGE-----\n";
        assert_eq!(decode(unpadded_bits.as_bytes()), Err(FormatError::Armor), "trailing bits must be zero");
    }
}
