//! The ids by which a log may know a commit or tag, computed from the very bytes that were parsed.
//!
//! gitsign's online mode logs a signature over an object's id. The ids here are functions of the bytes
//! that hold both payload and signature: whoever finds such an id in a log has found that object.

use gix::objs::Kind;

use super::{Commit, HashKind, ObjectId, Signed, Tag, header::signature_header, object_id};

impl Signed<'_> {
    /// The id of the object that payload and signature were taken from. `None` for a push certificate, and
    /// where SHA-1 is being attacked.
    #[must_use]
    pub fn id(&self) -> Option<ObjectId> {
        let (hash, kind) = self.whole.object?;
        object_id(hash, kind, self.whole.bytes)
    }

    /// Every id by which a log may know the object; the first is its own.
    ///
    /// Until July 2022 gitsign logged a tag under the id of what became of it when it was read as a commit
    /// and written again (sigstore/gitsign#88): headers that no commit has are lost, message and signature
    /// stay. Such an id still holds the whole signature, and the signature covers the whole tag.
    #[must_use]
    pub fn logged_ids(&self) -> Vec<ObjectId> {
        let Some(own) = self.id() else { return Vec::new() };
        let mut ids = vec![own];
        if let (Some((HashKind::Sha1, Kind::Tag)), Some(signature)) = (self.whole.object, &self.signature) {
            ids.extend(commit_form(&self.payload.to_vec(), signature));
        }
        ids
    }
}

/// The id of a tag that go-git 5.4 has read as a commit and written again with its signature.
fn commit_form(payload: &[u8], signature: &[u8]) -> Option<ObjectId> {
    const NOBODY: &str = " <> 0 +0000";
    let end = payload.windows(2).position(|pair| pair == b"\n\n")?;
    let head =
        format!("tree {}\nauthor {NOBODY}\ncommitter {NOBODY}\n", ObjectId::null(HashKind::Sha1).to_hex());
    let commit = [head.as_bytes(), &header(HashKind::Sha1, signature), &payload[end + 1..]].concat();
    object_id(HashKind::Sha1, Kind::Commit, &commit)
}

/// The object that git has taken `payload` and `signature` out of to have them verified, if git itself made
/// it: a commit with its signature as the last header (commit.c, `sign_commit_to_strbuf`), or a tag with its
/// signature at the end. `None` unless exactly this payload and signature are in it again.
///
/// Where somebody else made the object, with the signature between other headers, this is another object
/// with the same payload and signature.
#[must_use]
pub fn assemble(hash: HashKind, payload: &[u8], signature: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let (kind, object) = if payload.starts_with(b"tree ") {
        let end = payload.windows(2).position(|pair| pair == b"\n\n")? + 1;
        (Kind::Commit, [&payload[..end], &header(hash, signature), &payload[end..]].concat())
    } else {
        (Kind::Tag, [payload, signature].concat())
    };
    let same = |signed: &Signed<'_>| {
        let armor = |bytes: &[u8]| bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec();
        signed.payload.to_vec() == payload
            && signed.signature.as_deref().map(armor).as_ref() == Some(&armor(signature))
    };
    let same = match kind {
        Kind::Commit => Commit::parse(hash, &object).is_ok_and(|commit| same(&commit.signed)),
        _ => Tag::parse(hash, &object).is_ok_and(|tag| same(&tag.signed)),
    };
    same.then_some((kind, object))
}

/// The header that holds `signature`, folded, with its line feed.
fn header(hash: HashKind, signature: &[u8]) -> Vec<u8> {
    let signature = signature.strip_suffix(b"\n").unwrap_or(signature);
    let mut header = signature_header(hash).to_vec();
    for line in signature.split(|byte| *byte == b'\n') {
        header.push(b' ');
        header.extend_from_slice(line);
        header.push(b'\n');
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b.c> 1 +0000\n\
                        committer A <a@b.c> 1 +0000\n";
    const ARMOR: &str = "-----BEGIN SIGNED MESSAGE-----\nAA==\n-----END SIGNED MESSAGE-----\n";

    #[test]
    fn what_git_hands_over_is_put_together_again() {
        let folded = ARMOR.trim_end().replace('\n', "\n ");
        for message in ["", "m", "m\n", "a\n\nb\n"] {
            let payload = format!("{HEAD}encoding UTF-8\n\n{message}");
            let object = format!("{HEAD}encoding UTF-8\ngpgsig {folded}\n\n{message}");
            let made = assemble(HashKind::Sha1, payload.as_bytes(), ARMOR.as_bytes()).unwrap();
            assert_eq!(made, (Kind::Commit, object.clone().into_bytes()));
            let commit = Commit::parse(HashKind::Sha1, object.as_bytes()).unwrap();
            let own = object_id(HashKind::Sha1, Kind::Commit, object.as_bytes()).unwrap();
            assert_eq!(commit.signed.logged_ids(), [own]);
        }
        let tag = "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype tree\ntag v1\n\nm\n";
        let made = assemble(HashKind::Sha1, tag.as_bytes(), ARMOR.as_bytes()).unwrap();
        assert_eq!(made, (Kind::Tag, format!("{tag}{ARMOR}").into_bytes()));
    }

    #[test]
    fn nothing_is_put_together_that_would_be_read_otherwise() {
        let payload = format!("{HEAD}\nm\n");
        for (payload, signature) in [
            (format!("{HEAD}gpgsig x\n\nm\n"), ARMOR.to_owned()),
            (HEAD.to_owned(), ARMOR.to_owned()),
            ("blob".to_owned(), ARMOR.to_owned()),
            (payload.clone(), format!("{ARMOR}\0")),
        ] {
            assert_eq!(assemble(HashKind::Sha1, payload.as_bytes(), signature.as_bytes()), None, "{payload}");
        }
        assert_eq!(assemble(HashKind::Sha256, payload.as_bytes(), ARMOR.as_bytes()), None, "another hash");
    }

    #[test]
    fn gitsign_88_a_tag_has_the_id_of_the_commit_that_it_was_taken_for() {
        let object = format!(
            "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype tree\ntag v1\ntagger A <a@b.c> 1 +0000\n\n\
             the message\n{ARMOR}"
        );
        let tag = Tag::parse(HashKind::Sha1, object.as_bytes()).unwrap();
        let folded = ARMOR.trim_end().replace('\n', "\n ");
        let taken_for = format!(
            "tree 0000000000000000000000000000000000000000\nauthor  <> 0 +0000\ncommitter  <> 0 +0000\n\
             gpgsig {folded}\n\nthe message\n"
        );
        let ids = [(Kind::Tag, object.as_bytes()), (Kind::Commit, taken_for.as_bytes())];
        let ids = ids.map(|(kind, bytes)| object_id(HashKind::Sha1, kind, bytes).unwrap());
        assert_eq!(tag.signed.logged_ids(), ids);
    }
}
