//! The signed tags that merge commits hold in their `mergetag` headers: each is judged as the tag that it is.
//!
//! Who has signed one is told and nothing depends on it, for the commit's own signature covers it. One that is
//! malformed, bad or unsigned, or that names no parent, is one that git never makes of a good tag: it spoils
//! the commit that holds it.

use gix::objs::Kind;

use super::answer;
use crate::{
    cli::{
        kept::Kept,
        report::{Answer, Line, Place},
        settings::Trust,
    },
    object::{Commit, HashKind, Tag, object_id},
    policy::Receipt,
    verify::Verifier,
    words,
};

/// What there is to ask.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Asked<'a> {
    pub(in crate::cli) hash: HashKind,
    pub(in crate::cli) verifier: &'a Verifier,
    pub(in crate::cli) trust: &'a Trust,
    /// Of the commit that holds them.
    pub(in crate::cli) receipt: Receipt<'a>,
    pub(in crate::cli) kept: Kept<'a>,
}

impl Asked<'_> {
    /// A line for each tag that `commit` holds, at most as many as it has parents.
    pub(in crate::cli) fn judge(&self, commit: &Commit<'_>) -> Vec<Line> {
        let tags = commit.merged_tags().take(commit.parents.len());
        tags.map(|bytes| self.line(commit, &bytes)).collect()
    }

    /// Ask again about those of `lines` for which a key was lacking.
    pub(super) fn again(&self, commit: &Commit<'_>, lines: &mut [Line]) {
        for (line, bytes) in lines.iter_mut().zip(commit.merged_tags()) {
            if line.lacks_key() {
                line.answer = self.line(commit, &bytes).answer;
            }
        }
    }

    fn line(&self, commit: &Commit<'_>, bytes: &[u8]) -> Line {
        let id = object_id(self.hash, Kind::Tag, bytes);
        let (title, answer) = match (Tag::parse(self.hash, bytes), id) {
            (Err(error), _) => (String::new(), Answer::Bad(error.to_string())),
            (Ok(tag), id) => {
                // A tag of a tag names no parent itself.
                let is_parent = tag.target_kind == Kind::Tag || commit.parents.contains(&tag.target);
                let answer = if id.is_none() {
                    Answer::Bad("its bytes are made to collide with others".to_owned())
                } else if is_parent {
                    answer(&tag.signed, self.verifier, self.trust, &self.receipt, self.kept)
                } else {
                    Answer::Bad(format!("it names '{}', which is no parent of the commit", tag.target))
                };
                (words::escape_bytes(tag.name), answer)
            }
        };
        let id = id.unwrap_or_else(|| self.hash.null());
        Line { id, kind: Kind::Tag, title, place: Place::Merged, answer, merged: Vec::new() }
    }
}

/// Why `commit` cannot be good, whatever its own signature is: one of the tags that it holds, which are judged
/// in `lines`.
pub(in crate::cli) fn fault(commit: &Commit<'_>, lines: &[Line]) -> Option<String> {
    if commit.merged_tags().len() > lines.len() {
        return Some("it holds more merged tags than it has parents".to_owned());
    }
    lines.iter().find_map(|line| {
        let cause = match &line.answer {
            Answer::Bad(cause) => cause,
            Answer::Unsigned => "there is no signature",
            _ => return None,
        };
        Some(format!("the merged tag '{}' is bad: {cause}", line.title))
    })
}
