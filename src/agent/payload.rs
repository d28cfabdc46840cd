//! What may be signed: commits, tags, push certificates and approvals, parsed strictly, and nothing else.

use serde::{Deserialize, Serialize};

use crate::object::{
    ApprovalError, Commit, HashKind, ObjectError, PushCertificate, Tag, parse_to_be_signed, person_address,
};

/// The longest name of a ref that is kept, in bytes.
const MAXIMUM_NAME_BYTES: usize = 200;
/// How many refs of a push are named.
const MAXIMUM_REFS: usize = 8;

/// A kind of object that git has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A commit.
    Commit,
    /// An annotated tag.
    Tag,
    /// A push certificate.
    PushCertificate,
    /// An approval of what a ref would become.
    Approval,
}

impl Kind {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tag => "tag",
            Self::PushCertificate => "push certificate",
            Self::Approval => "approval",
        }
    }
}

/// Why a payload is not signed. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// It begins like nothing that git has signed; a digest does.
    #[error("this is no commit, tag, push certificate or approval")]
    NoObject,
    /// It begins like what is signed to approve something, and is not.
    #[error("this is no approval: {0}")]
    Approval(ApprovalError),
    /// It begins like one, and is not.
    #[error("this is no {}: {reason}", .kind.name())]
    Malformed {
        /// What it begins like.
        kind: Kind,
        /// What is wrong with it.
        reason: ObjectError,
    },
    /// There is a signature in it already.
    #[error("a signature stands in this {} already", .0.name())]
    Signed(Kind),
}

/// What a payload is, as far as the agent has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signable<'a> {
    /// What it is.
    pub kind: Kind,
    /// What it is about: the tree of a commit, the name of a tag, the refs of a push and where it goes, the ref
    /// of an approval. Hostile text.
    pub about: String,
    /// How many refs of a push are only counted in that.
    pub unnamed: usize,
    /// The address of its committer, tagger or pusher.
    pub address: Option<&'a [u8]>,
}

impl<'a> Signable<'a> {
    /// Parse `payload` as git hands it to its signing program, in a repository of either hash.
    ///
    /// # Errors
    /// It is nothing that git has signed.
    pub fn parse(payload: &'a [u8]) -> Result<Self, PayloadError> {
        let either = |parse: &dyn Fn(HashKind) -> Result<Self, PayloadError>| {
            parse(HashKind::Sha1).or_else(|first| parse(HashKind::Sha256).map_err(|_| first))
        };
        if payload.starts_with(b"tree ") {
            either(&|hash| {
                let commit = Commit::parse(hash, payload).map_err(malformed(Kind::Commit))?;
                unsigned(Kind::Commit, commit.signed.signature.is_some())?;
                let address = person_address(commit.committer);
                Ok(Self { kind: Kind::Commit, about: commit.tree.to_string(), unnamed: 0, address })
            })
        } else if payload.starts_with(b"object ") {
            either(&|hash| {
                let tag = Tag::parse(hash, payload).map_err(malformed(Kind::Tag))?;
                unsigned(Kind::Tag, tag.signed.signature.is_some())?;
                let address = tag.tagger.and_then(person_address);
                Ok(Self { kind: Kind::Tag, about: name(tag.name), unnamed: 0, address })
            })
        } else if payload.starts_with(b"certificate ") {
            either(&|hash| {
                let kind = Kind::PushCertificate;
                let certificate = PushCertificate::parse(hash, payload).map_err(malformed(kind))?;
                unsigned(kind, certificate.signed.signature.is_some())?;
                let unnamed = certificate.commands.len().saturating_sub(MAXIMUM_REFS);
                Ok(Self {
                    kind,
                    about: push(&certificate)?,
                    unnamed,
                    address: person_address(certificate.pusher),
                })
            })
        } else if payload.starts_with(b"DSSEv1 ") {
            let statement = parse_to_be_signed(HashKind::Sha1, payload)
                .or_else(|first| parse_to_be_signed(HashKind::Sha256, payload).map_err(|_| first));
            let about = name(statement.map_err(PayloadError::Approval)?.reference.as_bytes());
            Ok(Self { kind: Kind::Approval, about, unnamed: 0, address: None })
        } else {
            Err(PayloadError::NoObject)
        }
    }
}

fn malformed(kind: Kind) -> impl Fn(ObjectError) -> PayloadError {
    move |reason| PayloadError::Malformed { kind, reason }
}

fn unsigned(kind: Kind, is_signed: bool) -> Result<(), PayloadError> {
    if is_signed { Err(PayloadError::Signed(kind)) } else { Ok(()) }
}

fn name(bytes: &[u8]) -> String {
    let kept = &bytes[..bytes.len().min(MAXIMUM_NAME_BYTES)];
    let cut = if kept.len() < bytes.len() { "\u{2026}" } else { "" };
    format!("{}{cut}", String::from_utf8_lossy(kept))
}

/// Which refs a push is about, with what, and where it goes: none of it can stand for something else, because no
/// name of a ref has a space in it, and the place, which may be anything, stands last.
fn push(certificate: &PushCertificate<'_>) -> Result<String, PayloadError> {
    let is_name = |reference: &[u8]| gix::validate::reference::name(reference.into()).is_ok();
    if !certificate.commands.iter().all(|command| is_name(command.reference)) {
        return Err(malformed(Kind::PushCertificate)(ObjectError::MalformedHeader));
    }
    let named: Vec<String> =
        certificate.commands.iter().take(MAXIMUM_REFS).map(|command| name(command.reference)).collect();
    let mut about = named.join(", ");
    if certificate.commands.len() > MAXIMUM_REFS {
        about += &format!(" and {} more", certificate.commands.len() - MAXIMUM_REFS);
    }
    if !certificate.push_options.is_empty() {
        about += &format!(" with {} push options", certificate.push_options.len());
    }
    if let Some(pushee) = certificate.pushee {
        about += &format!(" at {}", name(pushee));
    }
    Ok(about)
}

#[cfg(test)]
mod tests {
    use super::{Kind, PayloadError, Signable};
    use crate::object::{ApprovalError, HashKind, ObjectError, Statement};

    const PEOPLE: &str = "author A <a@b.c> 1 +0000\ncommitter C <c@b.c> 1 +0000\n";

    fn commit(tree: &str, more: &str) -> String {
        format!("tree {tree}\n{PEOPLE}{more}\nmessage\n")
    }

    fn error(payload: &str) -> PayloadError {
        Signable::parse(payload.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_git_has_signed_is_told_apart_with_either_hash() {
        for tree in ["4".repeat(40), "4".repeat(64)] {
            let payload = commit(&tree, "");
            let signable = Signable::parse(payload.as_bytes()).unwrap();
            assert_eq!((signable.kind, signable.about.as_str()), (Kind::Commit, tree.as_str()));
            assert_eq!(signable.address, Some(&b"c@b.c"[..]));

            let tag = format!("object {tree}\ntype commit\ntag v1\ntagger T <t@b.c> 1 +0000\n\nmessage\n");
            let signable = Signable::parse(tag.as_bytes()).unwrap();
            assert_eq!((signable.kind, signable.about.as_str()), (Kind::Tag, "v1"));
            assert_eq!(signable.address, Some(&b"t@b.c"[..]));

            let push = format!(
                "certificate version 0.1\npusher P <p@b.c> 1 +0000\nnonce 1\n\n{tree} {tree} refs/heads/main\n"
            );
            let signable = Signable::parse(push.as_bytes()).unwrap();
            assert_eq!((signable.kind, signable.about.as_str()), (Kind::PushCertificate, "refs/heads/main"));
            assert_eq!(signable.address, Some(&b"p@b.c"[..]));

            let hash = if tree.len() == 64 { HashKind::Sha256 } else { HashKind::Sha1 };
            let statement = Statement {
                repository: "example.com/a".to_owned(),
                reference: "refs/heads/main".to_owned(),
                base: None,
                tree: Some(tree.parse().unwrap()),
            };
            let approval = statement.to_be_signed(hash);
            let signable = Signable::parse(&approval).unwrap();
            assert_eq!((signable.kind, signable.about.as_str()), (Kind::Approval, "refs/heads/main"));
            let other = String::from_utf8(approval).unwrap().replace("approval:v1", "approval:v2");
            assert_eq!(error(&other), PayloadError::Approval(ApprovalError::OtherStatement));
        }
    }

    #[test]
    fn a_push_is_all_of_its_refs_and_where_it_goes() {
        let id = "4".repeat(40);
        let push = |pushee: &str, options: &str, refs: &[&str]| {
            let commands: String = refs.iter().map(|name| format!("{id} {id} {name}\n")).collect();
            format!(
                "certificate version 0.1\npusher P <p@b.c> 1 +0000\n{pushee}nonce 1\n{options}\n{commands}"
            )
        };
        let about = |payload: &str| {
            let signable = Signable::parse(payload.as_bytes()).unwrap();
            (signable.about, signable.unnamed)
        };
        let two = push("pushee https://a.example/r\n", "", &["refs/heads/topic", "refs/heads/main"]);
        assert_eq!(about(&two), ("refs/heads/topic, refs/heads/main at https://a.example/r".to_owned(), 0));
        let names: Vec<String> = (0..11).map(|number| format!("refs/heads/{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (text, unnamed) = about(&push("", "push-option o\n", &names));
        assert!(text.ends_with("refs/heads/7 and 3 more with 1 push options"), "{text}");
        assert_eq!(unnamed, 3);
        let long = format!("refs/heads/{}", "x".repeat(300));
        assert!(about(&push("", "", &[&long])).0.ends_with("xx\u{2026}"));
        // What is no name of a ref could stand for anything.
        for reference in ["refs/heads/a at https://b.example", "refs/heads/a\u{1b}[2J", "refs/heads/a..b"] {
            let reason = ObjectError::MalformedHeader;
            let malformed = PayloadError::Malformed { kind: Kind::PushCertificate, reason };
            assert_eq!(error(&push("", "", &[reference])), malformed, "{reference}");
        }
    }

    #[test]
    fn a_digest_and_what_is_no_object_are_not_signable() {
        let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        for payload in ["", "anything", digest, "blob 3\0abc", "treeless\n"] {
            assert_eq!(error(payload), PayloadError::NoObject, "{payload:?}");
        }
        assert!(Signable::parse(&[7; 32]).is_err());
        let reason = ObjectError::MalformedObjectId("tree");
        assert_eq!(
            error(&format!("tree {digest}0\n{PEOPLE}\nm")),
            PayloadError::Malformed { kind: Kind::Commit, reason }
        );
    }

    #[test]
    fn what_is_signed_already_is_not_signed_again() {
        let payload = commit(&"4".repeat(40), "gpgsig x\n");
        assert_eq!(error(&payload), PayloadError::Signed(Kind::Commit));
        let tag = format!(
            "object {}\ntype commit\ntag v1\ntagger T <t@b.c> 1 +0000\n\nm\n-----BEGIN SIGNED MESSAGE-----\n",
            "4".repeat(40)
        );
        assert_eq!(error(&tag), PayloadError::Signed(Kind::Tag));
    }
}
