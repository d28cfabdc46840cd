//! Lists of object directories as `GIT_ALTERNATE_OBJECT_DIRECTORIES` holds them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::repository::system::OsStringExt;

/// Split `list` as git's `parse_alt_odb_entry` (object-file.c) does with `:`: entries may be C-quoted,
/// those that begin with `#` are comments. Relative entries are taken from `directory`.
#[must_use]
pub fn parse_object_directories(list: &[u8], directory: &Path) -> Vec<PathBuf> {
    let mut entries = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let quoted = rest.strip_prefix(b"\"").and_then(unquote);
        let entry = match quoted {
            Some((entry, behind)) => {
                rest = behind.get(1..).unwrap_or_default();
                Some(entry)
            }
            None => {
                let end = rest.iter().position(|byte| *byte == b':').unwrap_or(rest.len());
                let entry = &rest[..end];
                rest = rest.get(end + 1..).unwrap_or_default();
                (!entry.starts_with(b"#")).then(|| entry.to_vec())
            }
        };
        if let Some(entry) = entry.filter(|entry| !entry.is_empty()) {
            entries.push(directory.join(OsString::from_vec(entry)));
        }
    }
    entries
}

/// What stands before the closing quote with its escapes resolved, and what follows it
/// (quote.c, `unquote_c_style`); `None` if the quoting is broken.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut position = 0;
    loop {
        let byte = *text.get(position)?;
        position += 1;
        match byte {
            b'"' => return Some((value, &text[position..])),
            b'\\' => {
                let escape = *text.get(position)?;
                position += 1;
                value.push(match escape {
                    b'a' => 0x07,
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    b'\\' | b'"' => escape,
                    b'0'..=b'3' => {
                        let digits = text.get(position..position + 2)?;
                        position += 2;
                        digits.iter().try_fold(escape - b'0', |value, digit| match digit {
                            b'0'..=b'7' => Some((value << 3) | (digit - b'0')),
                            _ => None,
                        })?
                    }
                    _ => return None,
                });
            }
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(list: &[u8]) -> Vec<PathBuf> {
        parse_object_directories(list, Path::new("/base"))
    }

    #[test]
    fn entries_are_separated_by_colons_and_may_be_quoted() {
        assert_eq!(parse(b"/a:/b"), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(parse(b"\"/a:\\\"x\\\"\":/b"), [PathBuf::from("/a:\"x\""), PathBuf::from("/b")]);
        assert_eq!(parse(b"\"/\\303\\244\\t\""), [PathBuf::from("/ä\t")]);
        assert_eq!(parse(b"::/a:#/comment:rel"), [PathBuf::from("/a"), PathBuf::from("/base/rel")]);
        assert_eq!(parse(b"\"/broken:/b"), [PathBuf::from("/base/\"/broken"), PathBuf::from("/b")]);
        assert!(parse(b"").is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_comes_back(path in proptest::collection::vec(1u8..=255, 1..60)) {
            let mut quoted = b"\"".to_vec();
            for byte in &path {
                match byte {
                    b'"' | b'\\' => quoted.extend([b'\\', *byte]),
                    b' '..=b'~' => quoted.push(*byte),
                    _ => quoted.extend(format!("\\{byte:03o}").into_bytes()),
                }
            }
            quoted.extend(b"\":/next");
            let expected = Path::new("/base").join(OsString::from_vec(path));
            prop_assert_eq!(parse(&quoted), vec![expected, PathBuf::from("/next")]);
        }

        #[test]
        fn no_list_panics(list in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&list);
        }
    }
}
