//! Commits: required headers in git's order, one signature header, the rest of the object untouched.

use super::{
    HashKind, ObjectError, ObjectId, Payload, Signed, Whole,
    header::{Headers, object_id, person, signature_header, unfold},
};

/// A commit that was parsed strictly; everything borrows from the object's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// The root tree.
    pub tree: ObjectId,
    /// The parents, in order; empty for a root commit.
    pub parents: Vec<ObjectId>,
    /// The `author` value: `name <address> seconds zone`.
    pub author: &'a [u8],
    /// The `committer` value.
    pub committer: &'a [u8],
    /// The `encoding` value, if there is one.
    pub encoding: Option<&'a [u8]>,
    /// The `mergetag` values as stored, in order; see [`Self::merged_tags`].
    folded_tags: Vec<&'a [u8]>,
    /// Everything behind the blank line, untouched.
    pub message: &'a [u8],
    /// What was signed, and the signature.
    pub signed: Signed<'a>,
}

impl<'a> Commit<'a> {
    /// Parse the bytes of a commit in a repository that uses `hash`.
    ///
    /// # Errors
    /// Whatever is ambiguous or malformed, each with its own cause.
    pub fn parse(hash: HashKind, object: &'a [u8]) -> Result<Self, ObjectError> {
        let mut headers = Headers::new(object)?;
        let tree = object_id(hash, headers.expect("tree")?, "tree")?;
        let mut parents = Vec::new();
        while let Some(parent) = headers.accept("parent")? {
            parents.push(object_id(hash, parent, "parent")?);
        }
        let author = person(headers.expect("author")?, "author")?;
        let committer = person(headers.expect("committer")?, "committer")?;

        let mut encoding = None;
        let mut folded_tags = Vec::new();
        let mut signature = None;
        while let Some(header) = headers.next()? {
            match header.name {
                b"tree" => return Err(ObjectError::DuplicateHeader("tree")),
                b"parent" => return Err(ObjectError::MissingHeader("author")),
                b"author" => return Err(ObjectError::DuplicateHeader("author")),
                b"committer" => return Err(ObjectError::DuplicateHeader("committer")),
                b"encoding" if encoding.is_some() => return Err(ObjectError::DuplicateHeader("encoding")),
                b"encoding" => encoding = Some(header.folded),
                b"mergetag" => folded_tags.push(header.folded),
                name if name == signature_header(hash) => {
                    if signature.is_some() {
                        return Err(ObjectError::DuplicateHeader("gpgsig"));
                    }
                    signature = Some((header.unfold(), header.range));
                }
                name if name.starts_with(b"gpgsig") => return Err(ObjectError::ForeignSignatureHeader),
                _ => {}
            }
        }
        let message = &object[headers.body_start()..];
        let (payload, signature) = match signature {
            Some((armor, range)) => (Payload::without(object, range), Some(armor)),
            None => (Payload::whole(object), None),
        };
        let whole = Whole { object: Some((hash, gix::objs::Kind::Commit)), bytes: object };
        let signed = Signed { payload, signature, whole };
        Ok(Self { tree, parents, author, committer, encoding, folded_tags, message, signed })
    }

    /// The signed tags that were merged: each whole, as the bytes of a tag object, in the order of the
    /// `mergetag` headers (commit.c, `handle_signed_tag`). They are part of the commit's own payload.
    pub fn merged_tags(&self) -> impl ExactSizeIterator<Item = Vec<u8>> {
        self.folded_tags.iter().map(|folded| {
            let mut tag = unfold(folded);
            tag.push(b'\n');
            tag
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";
    const PEOPLE: &str = "author A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n";

    fn parse(object: &str) -> Result<Commit<'_>, ObjectError> {
        Commit::parse(HashKind::Sha1, object.as_bytes())
    }

    #[test]
    fn the_payload_is_the_object_without_its_signature_header() {
        let object = format!("{TREE}{PEOPLE}gpgsig -----BEGIN\n \n x\n -----END\nchange-id k\n\nhello");
        let commit = parse(&object).unwrap();
        assert_eq!(
            commit.signed.payload.to_vec(),
            format!("{TREE}{PEOPLE}change-id k\n\nhello").into_bytes(),
            "later headers stay in order and no line feed is added"
        );
        assert_eq!(commit.signed.signature.unwrap(), b"-----BEGIN\n\nx\n-----END");
        assert_eq!(commit.message, b"hello");
    }

    #[test]
    fn merged_tags_come_out_as_they_were() {
        let tag = "object x\ntag v1\n\nmessage\n \n-----END\n";
        let folded = tag.trim_end_matches('\n').replace('\n', "\n ");
        let object = format!("{TREE}{PEOPLE}mergetag {folded}\nmergetag second\ngpgsig x\n\nm");
        let commit = parse(&object).unwrap();
        assert_eq!(commit.merged_tags().collect::<Vec<_>>(), [tag.as_bytes(), b"second\n"]);
        assert!(commit.signed.payload.to_vec().ends_with(b"\nmergetag second\n\nm"), "they are signed too");
        assert_eq!(parse(&format!("{TREE}{PEOPLE}\nmergetag x\n")).unwrap().merged_tags().len(), 0);
    }

    #[test]
    fn an_extra_signature_header_is_refused() {
        for (extra, cause) in [
            ("gpgsig a\ngpgsig b\n", ObjectError::DuplicateHeader("gpgsig")),
            ("gpgsig-sha256 a\n", ObjectError::ForeignSignatureHeader),
            ("gpgsig2 a\n", ObjectError::ForeignSignatureHeader),
            ("gpgsigX a\n", ObjectError::ForeignSignatureHeader),
        ] {
            assert_eq!(parse(&format!("{TREE}{PEOPLE}{extra}\nm")).unwrap_err(), cause, "{extra:?}");
        }
    }

    #[test]
    fn cve_2026_44309_a_duplicate_tree_is_refused() {
        for (object, cause) in [
            (format!("{TREE}{TREE}{PEOPLE}\nm"), ObjectError::MissingHeader("author")),
            (format!("{TREE}{PEOPLE}{TREE}\nm"), ObjectError::DuplicateHeader("tree")),
        ] {
            assert_eq!(parse(&object).unwrap_err(), cause);
        }
    }

    #[test]
    fn gitsign_871_carriage_returns_are_ordinary_bytes() {
        let with = format!("{TREE}{PEOPLE}gpgsig x\n\nsubject\r\n");
        let without = format!("{TREE}{PEOPLE}gpgsig x\n\nsubject\n");
        assert_ne!(
            parse(&with).unwrap().signed.payload.to_vec(),
            parse(&without).unwrap().signed.payload.to_vec()
        );
        let cr_line = format!("{TREE}{PEOPLE}\r\n\nmessage");
        assert_eq!(parse(&cr_line).unwrap_err(), ObjectError::MalformedHeader);
    }

    #[test]
    fn malformed_headers_have_their_own_cause() {
        for (object, cause) in [
            (format!("{PEOPLE}\nm"), ObjectError::MissingHeader("tree")),
            (format!("{TREE}\nm"), ObjectError::MissingHeader("author")),
            (format!("{TREE}{PEOPLE}"), ObjectError::UnterminatedHeaders),
            (format!("{TREE}{PEOPLE}x a\0b\n\nm"), ObjectError::NulInHeader),
            (
                "tree 4B825DC642cb6eb9a060e54bf8d69288fbee4904\n\n".to_owned(),
                ObjectError::MalformedObjectId("tree"),
            ),
            (format!("{TREE}author A a@b.c 1 +0000\n\n"), ObjectError::MalformedPerson("author")),
        ] {
            assert_eq!(parse(&object).unwrap_err(), cause, "{object:?}");
        }
    }

    #[test]
    fn long_lines_nul_in_the_body_and_empty_messages_pass() {
        let long = "x".repeat(70_000);
        for body in [long.as_str(), "a\0b", "", "\n"] {
            let object = format!("{TREE}{PEOPLE}\n{body}");
            assert_eq!(parse(&object).unwrap().message, body.as_bytes());
        }
    }
}
