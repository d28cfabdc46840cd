//! Git's signed objects as raw bytes: where the payload is, where the signature is, and nothing else.
//!
//! Responsible for strict parsing of commits, annotated tags, push certificates and approvals. What was signed
//! is always a list of slices of the bytes that git stores; no object is ever written anew. Anything
//! ambiguous is refused with its own cause: git itself drops every header that begins with `gpgsig`
//! from the payload, so a second one would be an unsigned channel inside a signed object.
//!
//! Not responsible for repositories, or for what is inside a signature.

mod approval;
mod commit;
mod header;
mod logged;
mod push_certificate;
mod tag;

pub use approval::{
    APPROVALS, Approval, ApprovalError, MAXIMUM_APPROVAL_BYTES, MAXIMUM_CARRIED, Statement, carried, carry,
    parse_to_be_signed,
};
pub use commit::Commit;
pub use logged::assemble;
pub use push_certificate::{Command, PushCertificate};
pub use tag::Tag;

pub use gix::hash::{Kind as HashKind, ObjectId};

/// The largest commit, tag or push certificate that is read, in bytes.
pub const MAXIMUM_OBJECT_BYTES: usize = 16 * 1024 * 1024;

/// The bytes that were signed: up to two slices of one object, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    segments: [&'a [u8]; 2],
}

impl<'a> Payload<'a> {
    /// A payload that is one run of bytes.
    #[must_use]
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { segments: [bytes, &[]] }
    }

    /// `object` without the bytes of `excluded`.
    pub(crate) fn without(object: &'a [u8], excluded: std::ops::Range<usize>) -> Self {
        Self { segments: [&object[..excluded.start], &object[excluded.end..]] }
    }

    /// The slices, in the order in which they were signed.
    #[must_use]
    pub fn segments(&self) -> [&'a [u8]; 2] {
        self.segments
    }

    /// A contiguous copy, for callers that must hand it to another program.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.segments.concat()
    }
}

/// A signed object: its payload, and its armored signature if it carries one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The slices that were signed, or would be.
    pub payload: Payload<'a>,
    /// The armor as the signing program wrote it (for commits with the header folding taken off).
    pub signature: Option<Vec<u8>>,
    /// The object that both were taken from; set here alone, so that nothing else can stand for it.
    whole: Whole<'a>,
}

/// The bytes of a commit or tag; a push certificate is no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whole<'a> {
    /// The hash of its repository, and its kind.
    object: Option<(HashKind, gix::objs::Kind)>,
    bytes: &'a [u8],
}

/// Why bytes are not an object that can be judged. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// A second header of a kind that may stand once.
    #[error("the header '{0}' stands twice")]
    DuplicateHeader(&'static str),
    /// `gpgsig` with a suffix, or the signature header of the other hash: git leaves it out of the payload.
    #[error("a foreign 'gpgsig' header stands outside what was signed")]
    ForeignSignatureHeader,
    /// A header line that is not `name SP value`.
    #[error("a header line is malformed")]
    MalformedHeader,
    /// A required header is missing or out of order.
    #[error("the header '{0}' is missing or out of place")]
    MissingHeader(&'static str),
    /// An object id that is not lower-case hexadecimal of the repository's hash.
    #[error("the header '{0}' holds no valid object id")]
    MalformedObjectId(&'static str),
    /// An `author`, `committer` or `tagger` line without `<` and `>` around one address.
    #[error("the header '{0}' holds no valid person")]
    MalformedPerson(&'static str),
    /// A NUL byte among the headers.
    #[error("a NUL byte stands among the headers")]
    NulInHeader,
    /// More than [`MAXIMUM_OBJECT_BYTES`].
    #[error("the object is larger than {MAXIMUM_OBJECT_BYTES} bytes")]
    TooLarge,
    /// No blank line after the headers.
    #[error("the headers do not end")]
    UnterminatedHeaders,
    /// A push certificate of another version.
    #[error("the push certificate's version is not 0.1")]
    UnknownPushCertificateVersion,
    /// A tag whose `type` is none of commit, tree, blob, tag.
    #[error("the tag's target type is unknown")]
    UnknownTargetType,
}

/// The id that git gives to `bytes` as an object of `kind`: the hash of `<kind> SP <size> NUL <bytes>`.
///
/// `None` when the hash implementation detects a collision attack on SHA-1.
#[must_use]
pub fn object_id(hash: HashKind, kind: gix::objs::Kind, bytes: &[u8]) -> Option<ObjectId> {
    gix::objs::compute_hash(hash, kind, bytes).ok()
}

/// The address between `<` and `>` of an `author`, `committer` or `tagger` value, as raw bytes.
#[must_use]
pub fn person_address(person: &[u8]) -> Option<&[u8]> {
    let open = person.iter().position(|byte| *byte == b'<')?;
    let close = person.iter().position(|byte| *byte == b'>')?;
    (open < close).then(|| &person[open + 1..close])
}
