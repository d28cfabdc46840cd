//! Annotated tags: the signature is the tail of the body, from the last line that begins an armor.

use super::{
    HashKind, ObjectError, ObjectId, Payload, Signed, Whole,
    header::{Headers, object_id, person},
};

/// The lines that begin a signature (gpg-interface.c).
const ARMOR_LINES: [&[u8]; 4] = [
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
];

/// An annotated tag that was parsed strictly; everything borrows from the object's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// What the tag names.
    pub target: ObjectId,
    /// The kind of the target as the tag states it.
    pub target_kind: gix::objs::Kind,
    /// The tag's own name, without `refs/tags/`.
    pub name: &'a [u8],
    /// The `tagger` value; very old tags have none.
    pub tagger: Option<&'a [u8]>,
    /// What was signed, and the signature.
    pub signed: Signed<'a>,
}

impl<'a> Tag<'a> {
    /// Parse the bytes of a tag in a repository that uses `hash`.
    ///
    /// # Errors
    /// Whatever is ambiguous or malformed, each with its own cause.
    pub fn parse(hash: HashKind, object: &'a [u8]) -> Result<Self, ObjectError> {
        let mut headers = Headers::new(object)?;
        let target = object_id(hash, headers.expect("object")?, "object")?;
        let target_kind = gix::objs::Kind::from_bytes(headers.expect("type")?)
            .map_err(|_| ObjectError::UnknownTargetType)?;
        let name = headers.expect("tag")?;
        let tagger = headers.accept("tagger")?.map(|value| person(value, "tagger")).transpose()?;
        while let Some(header) = headers.next()? {
            match header.name {
                b"object" => return Err(ObjectError::DuplicateHeader("object")),
                b"type" => return Err(ObjectError::DuplicateHeader("type")),
                b"tag" => return Err(ObjectError::DuplicateHeader("tag")),
                b"tagger" => return Err(ObjectError::DuplicateHeader("tagger")),
                name if name.starts_with(b"gpgsig") => return Err(ObjectError::ForeignSignatureHeader),
                _ => {}
            }
        }
        Ok(Self {
            target,
            target_kind,
            name,
            tagger,
            signed: split_at_last_armor(object, headers.body_start(), Some((hash, gix::objs::Kind::Tag))),
        })
    }
}

/// Split at the last line that begins an armor, as git's `parse_signed_buffer` does.
pub(super) fn split_at_last_armor(
    object: &[u8],
    body_start: usize,
    kind: Option<(HashKind, gix::objs::Kind)>,
) -> Signed<'_> {
    let mut position = body_start;
    let mut armor = None;
    for line in object[body_start..].split_inclusive(|byte| *byte == b'\n') {
        if ARMOR_LINES.iter().any(|begin| line.starts_with(begin)) {
            armor = Some(position);
        }
        position += line.len();
    }
    let (payload, signature) = object.split_at(armor.unwrap_or(object.len()));
    Signed {
        payload: Payload::whole(payload),
        signature: armor.map(|_| signature.to_vec()),
        whole: Whole { object: kind, bytes: object },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype tree\ntag v1\ntagger A <a@b.c> 1 +0000\n";

    fn parse(object: &str) -> Result<Tag<'_>, ObjectError> {
        Tag::parse(HashKind::Sha1, object.as_bytes())
    }

    #[test]
    fn the_last_armor_line_begins_the_signature() {
        let quoted = "-----BEGIN SIGNED MESSAGE-----\nquoted\n-----END SIGNED MESSAGE-----\n";
        let object = format!("{HEAD}\nmessage\n{quoted}-----BEGIN SIGNED MESSAGE-----\nreal\n");
        let tag = parse(&object).unwrap();
        assert_eq!(tag.signed.payload.to_vec(), format!("{HEAD}\nmessage\n{quoted}").into_bytes());
        assert_eq!(tag.signed.signature.unwrap(), b"-----BEGIN SIGNED MESSAGE-----\nreal\n");
        assert_eq!(tag.name, b"v1");
    }

    #[test]
    fn a_signature_header_in_a_tag_is_refused() {
        let object = format!("{HEAD}gpgsig garbage\n\nmessage\n");
        assert_eq!(parse(&object).unwrap_err(), ObjectError::ForeignSignatureHeader);
    }

    #[test]
    fn duplicate_and_unknown_headers_have_their_own_cause() {
        assert_eq!(parse(&format!("{HEAD}tag v2\n\nm")).unwrap_err(), ObjectError::DuplicateHeader("tag"));
        assert_eq!(
            parse("object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype ref\ntag v1\n\n").unwrap_err(),
            ObjectError::UnknownTargetType
        );
    }

    #[test]
    fn an_unsigned_tag_has_no_signature() {
        let object = format!("{HEAD}\nmessage -----BEGIN SIGNED MESSAGE-----\n");
        assert!(parse(&object).unwrap().signed.signature.is_none(), "armor begins at the start of a line");
    }
}
