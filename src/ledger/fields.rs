//! The lines that records and intents share. Reading may be lenient: whatever was read is written again and
//! has to be the same, so that there is one spelling of everything.

use gix::bstr::{BString, ByteSlice as _};

use super::{Acceptance, Entry, PolicyVersion, PushId};
use crate::{
    object::{HashKind, ObjectId},
    words::escape,
};

/// The longest line of words, in bytes.
pub(super) const MAXIMUM_WORDS: usize = 1024;

/// Header lines, `name SP value` each, taken in order.
pub(super) struct Lines<'a>(pub(super) &'a [u8]);

impl<'a> Lines<'a> {
    /// The next line without its line feed.
    pub(super) fn line(&mut self) -> Option<&'a [u8]> {
        let (line, rest) = self.0.split_once_str("\n")?;
        self.0 = rest;
        Some(line)
    }

    /// The value of the next line if it has this name.
    pub(super) fn value(&mut self, name: &str) -> Option<&'a [u8]> {
        let (line, rest) = self.0.split_once_str("\n")?;
        let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b" ")?;
        self.0 = rest;
        Some(value)
    }

    /// [`Self::value`] as text.
    pub(super) fn text(&mut self, name: &str) -> Option<&'a str> {
        self.value(name)?.to_str().ok()
    }
}

/// A number from 0 on.
pub(super) fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number >= 0)
}

/// An object id of the repository's hash.
pub(super) fn id(hash: HashKind, text: &[u8]) -> Option<ObjectId> {
    ObjectId::from_hex(text).ok().filter(|id| id.kind() == hash)
}

/// Words that a terminal can be shown as they are.
pub(super) fn words(text: &str) -> Option<String> {
    let is_plain = !text.is_empty() && text.len() <= MAXIMUM_WORDS && escape(text) == text;
    is_plain.then(|| text.to_owned())
}

/// Read what [`write_acceptance`] writes.
pub(super) fn acceptance(hash: HashKind, lines: &mut Lines<'_>) -> Option<Acceptance> {
    let received = number(lines.text("received")?)?;
    let push = PushId(hex::decode(lines.value("push")?).ok()?.try_into().ok()?);
    let policy = match lines.text("policy")?.split_once(':')? {
        ("sha256", digest) => PolicyVersion::Digest(hex::decode(digest).ok()?.try_into().ok()?),
        ("commit", commit) => PolicyVersion::Commit(id(hash, commit.as_bytes())?),
        _ => return None,
    };
    let pusher = match lines.text("pusher") {
        Some(text) => Some(words(text)?),
        None => None,
    };
    let certificate = match lines.value("certificate") {
        Some(text) => Some(id(hash, text)?),
        None => None,
    };
    Some(Acceptance { push, received, policy, pusher, certificate })
}

pub(super) fn write_acceptance(acceptance: &Acceptance, text: &mut Vec<u8>) {
    let Acceptance { push, received, policy, pusher, certificate } = acceptance;
    let policy = match policy {
        PolicyVersion::Commit(commit) => format!("commit:{commit}"),
        PolicyVersion::Digest(digest) => format!("sha256:{}", hex::encode(digest)),
    };
    text.extend(format!("received {received}\npush {}\npolicy {policy}\n", hex::encode(push.0)).into_bytes());
    if let Some(pusher) = pusher {
        text.extend(format!("pusher {pusher}\n").into_bytes());
    }
    if let Some(certificate) = certificate {
        text.extend(format!("certificate {certificate}\n").into_bytes());
    }
}

/// Read one line of an entry: `<old> SP <new> SP <ref>`; null ids stand for no value.
pub(super) fn entry(hash: HashKind, line: &[u8]) -> Option<Entry> {
    let mut fields = line.splitn(3, |byte| *byte == b' ');
    let mut value = || id(hash, fields.next()?).map(|id| (!id.is_null()).then_some(id));
    let (old, new) = (value()?, value()?);
    let reference = BString::from(fields.next()?);
    let is_valid =
        reference.starts_with(b"refs/") && gix::validate::reference::name(reference.as_bstr()).is_ok();
    (is_valid && old != new).then_some(Entry { old, new, reference })
}

pub(super) fn write_entry(hash: HashKind, entry: &Entry, text: &mut Vec<u8>) {
    let value = |value: Option<ObjectId>| value.unwrap_or_else(|| ObjectId::null(hash));
    text.extend(format!("{} {} ", value(entry.old), value(entry.new)).into_bytes());
    text.extend([entry.reference.as_slice(), b"\n"].concat());
}
