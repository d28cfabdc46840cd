//! What moves refs without a push: a forge's own pages, which run git in the repository, or whoever works on the
//! server. git's reference-transaction hook sees it before it happens, and what no push has had accepted is handed
//! to the gate as if somebody had pushed it, whoever that may be: no certificate and seldom a forge says.
//!
//! Not all of it is seen: git renames a branch without telling the hook of the new name.

use std::{
    io::{Read, Write},
    path::Path,
};

use gix::bstr::{BString, ByteSlice as _};

use super::{
    LedgerContext,
    entering::{failure, open, read},
};
use crate::{
    ledger::{Entry, LedgerError, Process},
    object::{HashKind, ObjectId},
    words::{Failure, escape_bytes},
};

/// A line of a transaction (githooks, `reference-transaction`): what a ref is to hold, `None` for nothing. What it is
/// said to hold already is zeros wherever git does not care, and is looked up instead.
struct Wanted {
    new: Option<ObjectId>,
    reference: BString,
}

/// git's reference-transaction hook in the state `prepared`: of the updates in `input` those that no push has had
/// accepted, on `output`, in the form in which pre-receive reads them. The exit status is 0 if there is none, 1 if the
/// gate has to be asked, and 3 where that cannot be told, which refuses all of them.
pub fn unjudged(
    context: &LedgerContext,
    input: &mut dyn Read,
    output: &mut dyn Write,
    errors: &mut dyn Write,
) -> u8 {
    let mut look = || -> Result<bool, Failure> {
        let input = read(input)?;
        // A repository that is being made has no refs, and is not one yet.
        if !names_refs(&input) {
            return Ok(false);
        }
        let (repository, folder) = open(context)?;
        let hash = repository.hash();
        let references = repository.references();
        let accepted = folder.accepted(Process::moving().as_ref()).map_err(|error| failure(&error))?;
        let mut lines = Vec::new();
        for Wanted { new, reference } in wanted(hash, &input)? {
            let now = references
                .read(reference.as_bstr())
                .map_err(|error| failure(&LedgerError::Reference(error)))?;
            if now.id == new {
                continue;
            }
            if let (Some(id), None) = (now.id, new)
                && is_packed(repository.common_dir(), id, &reference)
            {
                continue;
            }
            let name = now.names.into_iter().next_back().unwrap_or_else(|| reference.clone());
            let entry = Entry { old: now.id, new, reference: name };
            if accepted.contains(&entry) {
                continue;
            }
            let text = |id: Option<ObjectId>| id.unwrap_or_else(|| hash.null()).to_string();
            lines.extend(format!("{} {} ", text(now.id), text(new)).into_bytes());
            lines.extend([reference.as_bytes(), b"\n"].concat());
        }
        output.write_all(&lines).and_then(|()| output.flush()).map_err(|error| {
            Failure::new(format!("the updates cannot be handed on: {error}"), ADMINISTRATOR)
        })?;
        Ok(!lines.is_empty())
    };
    match look() {
        Ok(has_any) => u8::from(has_any),
        Err(failure) => {
            // Whoever has gone does not change the answer.
            let _ = write!(errors, "{failure}");
            3
        }
    }
}

/// Whether the ref only loses its file, because `packed-refs` has the same value of it (git-pack-refs tells the hook of a
/// deletion then). A deletion that is one has written the list anew without it by now, and not yet put in its place.
fn is_packed(common_dir: &Path, id: ObjectId, reference: &BString) -> bool {
    let line = [id.to_string().as_bytes(), b" ", reference.as_bytes()].concat();
    let holds = |name: &str| match std::fs::read(common_dir.join(name)) {
        Ok(text) => Some(text.split(|byte| *byte == b'\n').any(|other| other == line)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some(false),
    };
    holds("packed-refs") == Some(true) && holds("packed-refs.new") != Some(false)
}

const ADMINISTRATOR: &str = "ask the server's administrator to look at 'countersign hook status'";

/// Whether a line of a transaction may be about a ref, and not about what git keeps beside them.
fn names_refs(lines: &[u8]) -> bool {
    let is_beside = |line: &[u8]| {
        let name = line.splitn(3, |byte| *byte == b' ').nth(2);
        name.is_some_and(|name| !name.is_empty() && !name.starts_with(b"refs/"))
    };
    lines.split(|byte| *byte == b'\n').any(|line| !line.is_empty() && !is_beside(line))
}

/// The lines of a transaction that are about refs, and not about what git keeps beside them.
fn wanted(hash: HashKind, lines: &[u8]) -> Result<Vec<Wanted>, Failure> {
    let mut wanted = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut fields = line.splitn(3, |byte| *byte == b' ');
        let (_, new, reference) = (fields.next(), fields.next(), fields.next());
        let (Some(new), Some(reference)) = (new, reference) else {
            return Err(Failure::new(
                format!("git hands over a line that is no update: '{}'", escape_bytes(line)),
                ADMINISTRATOR,
            ));
        };
        if !reference.starts_with(b"refs/") {
            continue;
        }
        let id = ObjectId::from_hex(new).ok().filter(|id| id.kind() == hash).ok_or_else(|| {
            Failure::new(
                format!("'{}' would become something else than an object", escape_bytes(reference)),
                "symbolic refs are made by the server's administrator while the hooks are taken out",
            )
        })?;
        wanted.push(Wanted { new: (!id.is_null()).then_some(id), reference: reference.into() });
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_ref_needs_no_repository() {
        let zero = "0".repeat(40);
        for (lines, names) in [
            (String::new(), false),
            (format!("{zero} ref:refs/heads/main HEAD\n"), false),
            (format!("{zero} {zero} HEAD\n{zero} {zero} refs/heads/a\n"), true),
            // What is no line of git's is looked at.
            ("x\n".to_owned(), true),
            (format!("{zero} {zero} \n"), true),
        ] {
            assert_eq!(names_refs(lines.as_bytes()), names, "{lines}");
        }
    }

    #[test]
    fn lines_about_refs_are_read_and_nothing_else_is_let_through() {
        let (zero, one) = ("0".repeat(40), "1".repeat(40));
        let read = |text: &str| wanted(HashKind::Sha1, text.as_bytes());
        let lines =
            format!("{zero} {one} refs/heads/a b\n{zero} {zero} refs/tags/c\n{one} ref:refs/x HEAD\n");
        let found = read(&lines).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].new.is_some(), found[0].reference.as_bstr()), (true, "refs/heads/a b".into()));
        assert_eq!(found[1].new, None);
        for line in
            ["x", "x y", &format!("{zero} ref:refs/heads/a refs/heads/b"), &format!("{zero} 11 refs/a")]
        {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(read(&format!("{zero} {} refs/heads/a", "1".repeat(64))).is_err(), "another hash");
    }
}
