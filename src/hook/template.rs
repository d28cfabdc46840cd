//! The texts of the hooks that git runs: templates, into which paths are written as words of `sh`.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use super::ShimError;
use crate::repository::system::{OsStrExt, OsStringExt};

/// What several of them do, each in its own place.
const PARTS: [(&str, &str); 2] =
    [("INPUT", include_str!("../../hooks/parts/input")), ("PLACE", include_str!("../../hooks/parts/place"))];

/// The template with what `value` gives for each `@NAME@` in it, and the parts that are there for all; what neither
/// knows stays as it is.
pub(super) fn fill(template: &str, value: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = template;
    while let Some((head, tail)) = rest.split_once('@') {
        text.extend(head.as_bytes());
        let known = tail.split_once('@').and_then(|(name, behind)| {
            let part = PARTS.iter().find(|(part, _)| *part == name).map(|(_, text)| text.as_bytes().to_vec());
            Some((part.or_else(|| value(name))?, behind))
        });
        match known {
            Some((value, behind)) => {
                text.extend(value);
                rest = behind;
            }
            None => {
                text.push(b'@');
                rest = tail;
            }
        }
    }
    text.extend(rest.as_bytes());
    text
}

/// What stands behind `name=` in the first line of a filled template that begins so.
pub(super) fn assigned(text: &[u8], name: &str) -> Result<PathBuf, ShimError> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    value.and_then(unquote).map(PathBuf::from).ok_or(ShimError::Edited)
}

/// Whether the second line of a hook begins with this, by which one of ours is told from somebody else's.
pub(super) fn is_marked(text: &[u8], mark: &str) -> bool {
    text.split(|byte| *byte == b'\n').nth(1).is_some_and(|line| line.starts_with(mark.as_bytes()))
}

/// `text` as one word of `sh`: in single quotes, each quote inside written as `'\''`.
pub(super) fn quote(text: &OsStr) -> Result<Vec<u8>, ShimError> {
    if text.as_bytes().contains(&b'\n') {
        return Err(ShimError::LineFeed(text.into()));
    }
    let mut quoted = b"'".to_vec();
    for byte in text.as_bytes() {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    Ok(quoted)
}

pub(super) fn unquote(text: &[u8]) -> Option<OsString> {
    let mut inner = text.strip_prefix(b"'")?.strip_suffix(b"'")?;
    let mut value = Vec::new();
    while let Some(byte) = inner.first() {
        if let Some(rest) = inner.strip_prefix(b"'\\''") {
            value.push(b'\'');
            inner = rest;
        } else {
            value.push(*byte);
            inner = &inner[1..];
        }
    }
    Some(OsString::from_vec(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_stays_and_what_is_written_in_is_not_read_again() {
        let value = |name: &str| (name == "A").then(|| b"<@B@>".to_vec());
        assert_eq!(fill("x @A@@C@ a@b @A@ @", &value), b"x <@B@>@C@ a@b <@B@> @");
        assert!(fill("@INPUT@", &|_| None).starts_with(b"# What git hands over"));
    }

    #[test]
    fn a_shell_takes_each_path_as_one_word() {
        for path in ["/it's", "/$(touch x) `y` \"z\" \\", "/*?[a]", "/ü \t", "/'';exit 1;'"] {
            let script = [b"printf %s ".as_slice(), &quote(OsStr::new(path)).unwrap()].concat();
            let output =
                std::process::Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script)).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), path);
        }
    }
}
