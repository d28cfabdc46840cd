//! Approvals: that somebody vouches for what a ref would become, as a signed in-toto statement.
//!
//! The statement (in-toto Statement v1) names the repository, the ref, the value that the ref has before, and
//! the tree that it leads to afterwards; a zero id stands for "there is none". It lies in a DSSE envelope, and
//! what is signed is DSSE's pre-authentication encoding: nothing that git has signed begins like that. The
//! one signature is armored as git would store it, so whoever can sign commits can approve.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gix::objs::Kind;
use serde::{Deserialize, Serialize};

use super::{HashKind, ObjectId, Payload, object_id};

/// The ref in which approvals are kept.
pub const APPROVALS: &str = "refs/countersign/approvals";
/// The type of what is in the envelope (in-toto attestation, envelope v1).
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The type of the statement (in-toto attestation, statement v1).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of its predicate.
pub const PREDICATE_TYPE: &str = "urn:countersign:approval:v1";

/// The largest envelope that is read, in bytes.
pub const MAXIMUM_APPROVAL_BYTES: usize = 64 * 1024;

/// The most approvals that one commit carries.
pub const MAXIMUM_CARRIED: usize = 64;

/// With what a line begins that carries an approval.
const TRAILER: &str = "Approval: ";

/// With what everything begins that is signed for an envelope (DSSE v1, `PAE`).
const PREAMBLE: &str = "DSSEv1 ";

/// What is approved: all of it together, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The id of the repository, as its policy says it.
    pub repository: String,
    /// The full name of the ref.
    pub reference: String,
    /// What the ref holds before; `None` where it does not exist.
    pub base: Option<ObjectId>,
    /// The tree that it leads to afterwards; `None` where it is deleted.
    pub tree: Option<ObjectId>,
}

/// An approval that was parsed strictly. Whether the signature is good is for others to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What is approved.
    pub statement: Statement,
    signed: Vec<u8>,
    /// The armored signature.
    pub signature: Vec<u8>,
}

/// Why bytes are no approval. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// Not an envelope with one signature, or its parts are not base64.
    #[error("it is no DSSE envelope with one signature")]
    Envelope,
    /// An id that is not lower-case hexadecimal of the repository's hash.
    #[error("it holds no valid object id")]
    ObjectId,
    /// A statement of another type than [`STATEMENT_TYPE`] and [`PREDICATE_TYPE`].
    #[error("it states something else than an approval")]
    OtherStatement,
    /// Not the full name of a ref.
    #[error("it names no ref by its full name")]
    Reference,
    /// Not the JSON of a statement with one subject and nothing unknown in it.
    #[error("its statement cannot be read")]
    Statement,
    /// More than [`MAXIMUM_APPROVAL_BYTES`].
    #[error("it is larger than {MAXIMUM_APPROVAL_BYTES} bytes")]
    TooLarge,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeText {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<SignatureText>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SignatureText {
    sig: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StatementText {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<SubjectText>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: PredicateText,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SubjectText {
    digest: DigestText,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DigestText {
    #[serde(rename = "gitTree")]
    tree: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PredicateText {
    repository: String,
    #[serde(rename = "ref")]
    reference: String,
    base: String,
}

impl Statement {
    /// The statement as JSON, as it is put into an envelope, in a repository that uses `hash`.
    #[must_use]
    pub fn to_json(&self, hash: HashKind) -> Vec<u8> {
        let text = |id: Option<ObjectId>| id.unwrap_or_else(|| hash.null()).to_string();
        let statement = StatementText {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![SubjectText { digest: DigestText { tree: text(self.tree) } }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: PredicateText {
                repository: self.repository.clone(),
                reference: self.reference.clone(),
                base: text(self.base),
            },
        };
        serde_json::to_vec(&statement).expect("texts and lists of them are JSON")
    }

    /// What has to be signed to approve it: DSSE's pre-authentication encoding of [`Self::to_json`].
    #[must_use]
    pub fn to_be_signed(&self, hash: HashKind) -> Vec<u8> {
        pre_authentication(&self.to_json(hash))
    }

    /// The envelope that holds the statement and `signature` (armored) over [`Self::to_be_signed`].
    #[must_use]
    pub fn envelope(&self, hash: HashKind, signature: &[u8]) -> Vec<u8> {
        let envelope = EnvelopeText {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: STANDARD.encode(self.to_json(hash)),
            signatures: vec![SignatureText { sig: STANDARD.encode(signature) }],
        };
        serde_json::to_vec(&envelope).expect("texts and lists of them are JSON")
    }

    /// Where approvals of exactly this are found: an id that stands for repository, ref, base and tree.
    /// `None` where SHA-1 is being attacked.
    #[must_use]
    pub fn key(&self, hash: HashKind) -> Option<ObjectId> {
        object_id(hash, Kind::Blob, &self.to_json(hash))
    }

    fn parse(hash: HashKind, json: &[u8]) -> Result<Self, ApprovalError> {
        // What states something else is told apart before anything of it is unknown.
        let any: serde_json::Value = serde_json::from_slice(json).map_err(|_| ApprovalError::Statement)?;
        let is = |key: &str, wanted: &str| any.get(key).and_then(|value| value.as_str()) == Some(wanted);
        if !is("_type", STATEMENT_TYPE) || !is("predicateType", PREDICATE_TYPE) {
            return Err(ApprovalError::OtherStatement);
        }
        let text: StatementText = serde_json::from_slice(json).map_err(|_| ApprovalError::Statement)?;
        let [subject] = text.subject.as_slice() else { return Err(ApprovalError::Statement) };
        let PredicateText { repository, reference, base } = text.predicate;
        let is_name = gix::validate::reference::name(reference.as_str().into()).is_ok();
        if !reference.starts_with("refs/") || !is_name {
            return Err(ApprovalError::Reference);
        }
        let id = |text: &str| {
            let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let id = ObjectId::from_hex(text.as_bytes()).ok().filter(|id| lower && id.kind() == hash);
            id.ok_or(ApprovalError::ObjectId).map(|id| (!id.is_null()).then_some(id))
        };
        Ok(Self { repository, base: id(&base)?, tree: id(&subject.digest.tree)?, reference })
    }
}

impl Approval {
    /// Parse an envelope in a repository that uses `hash`.
    ///
    /// # Errors
    /// Whatever is not exactly an approval, each with its own cause.
    pub fn parse(hash: HashKind, bytes: &[u8]) -> Result<Self, ApprovalError> {
        if bytes.len() > MAXIMUM_APPROVAL_BYTES {
            return Err(ApprovalError::TooLarge);
        }
        let envelope: EnvelopeText = serde_json::from_slice(bytes).map_err(|_| ApprovalError::Envelope)?;
        let [signature] = envelope.signatures.as_slice() else { return Err(ApprovalError::Envelope) };
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| ApprovalError::Envelope);
        let (json, signature) = (decode(&envelope.payload)?, decode(&signature.sig)?);
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(ApprovalError::OtherStatement);
        }
        let statement = Statement::parse(hash, &json)?;
        Ok(Self { statement, signed: pre_authentication(&json), signature })
    }

    /// What was signed.
    #[must_use]
    pub fn payload(&self) -> Payload<'_> {
        Payload::whole(&self.signed)
    }
}

/// The approvals that a commit's message carries, unparsed: lines of [`carry`], at most [`MAXIMUM_CARRIED`].
#[must_use]
pub fn carried(message: &[u8]) -> Vec<Vec<u8>> {
    let lines = message.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(TRAILER.as_bytes()));
    let decoded = lines.filter_map(|text| STANDARD.decode(text).ok());
    decoded.take(MAXIMUM_CARRIED).collect()
}

/// The line of a commit's message that carries an approval. What is approved is a tree, and a message is no part
/// of it.
#[must_use]
pub fn carry(envelope: &[u8]) -> String {
    format!("{TRAILER}{}\n", STANDARD.encode(envelope))
}

/// The statement that `bytes` are [`Statement::to_be_signed`] of, in a repository that uses `hash`.
///
/// # Errors
/// It is something else.
pub fn parse_to_be_signed(hash: HashKind, bytes: &[u8]) -> Result<Statement, ApprovalError> {
    if bytes.len() > MAXIMUM_APPROVAL_BYTES {
        return Err(ApprovalError::TooLarge);
    }
    let start = bytes.iter().position(|byte| *byte == b'{').ok_or(ApprovalError::Envelope)?;
    let statement = Statement::parse(hash, &bytes[start..])?;
    // The one encoding of it.
    if statement.to_be_signed(hash) == bytes { Ok(statement) } else { Err(ApprovalError::Statement) }
}

/// `DSSEv1 <length> <type> <length> <payload>` (DSSE v1, protocol).
fn pre_authentication(payload: &[u8]) -> Vec<u8> {
    let head = format!("{PREAMBLE}{} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[digit; 20])
    }

    fn statement() -> Statement {
        Statement {
            repository: "example.com/a".to_owned(),
            reference: "refs/heads/main".to_owned(),
            base: Some(id(0xb0)),
            tree: Some(id(0x7e)),
        }
    }

    fn wrapped(json: &str) -> Vec<u8> {
        let payload = STANDARD.encode(json);
        format!(r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":"{payload}","signatures":[{{"sig":"eA=="}}]}}"#)
            .into_bytes()
    }

    fn refused(json: &str) -> ApprovalError {
        Approval::parse(HashKind::Sha1, &wrapped(json)).unwrap_err()
    }

    #[test]
    fn what_is_approved_comes_back_and_its_encoding_is_dsse() {
        for (base, tree) in [(Some(id(1)), Some(id(2))), (None, Some(id(2))), (Some(id(1)), None)] {
            let statement = Statement { base, tree, ..statement() };
            let envelope = statement.envelope(HashKind::Sha1, b"armor");
            let approval = Approval::parse(HashKind::Sha1, &envelope).unwrap();
            assert_eq!((&approval.statement, approval.signature.as_slice()), (&statement, &b"armor"[..]));
            let signed = statement.to_be_signed(HashKind::Sha1);
            assert_eq!(approval.payload().to_vec(), signed);
            assert_eq!(parse_to_be_signed(HashKind::Sha1, &signed).unwrap(), statement);
        }
        // The vector of the specification, with our type.
        assert_eq!(
            pre_authentication(b"hello world"),
            b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
        );
    }

    #[test]
    fn every_part_has_a_key_of_its_own() {
        let key = |statement: Statement| statement.key(HashKind::Sha1).unwrap();
        let keys: std::collections::BTreeSet<ObjectId> = [
            statement(),
            Statement { repository: "example.com/b".to_owned(), ..statement() },
            Statement { reference: "refs/heads/other".to_owned(), ..statement() },
            Statement { base: None, ..statement() },
            Statement { tree: Some(id(0xb0)), ..statement() },
        ]
        .map(key)
        .into();
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn what_is_no_approval_has_its_own_cause() {
        let good = String::from_utf8(statement().to_json(HashKind::Sha1)).unwrap();
        assert!(Approval::parse(HashKind::Sha1, &wrapped(&good)).is_ok());
        assert_eq!(Approval::parse(HashKind::Sha256, &wrapped(&good)).unwrap_err(), ApprovalError::ObjectId);
        let tree = id(0x7e).to_string();
        for (from, to, cause) in [
            ("Statement/v1", "Statement/v0.1", ApprovalError::OtherStatement),
            (PREDICATE_TYPE, "https://slsa.dev/verification_summary/v1", ApprovalError::OtherStatement),
            ("refs/heads/main", "main", ApprovalError::Reference),
            ("refs/heads/main", "refs/heads/a..b", ApprovalError::Reference),
            (&tree, "7E7e", ApprovalError::ObjectId),
            (&tree, &tree.to_uppercase(), ApprovalError::ObjectId),
            ("\"predicate\":{", "\"predicate\":{\"more\":1,", ApprovalError::Statement),
            ("\"predicate\":{", "\"predicate\":{\"ref\":\"refs/heads/x\",", ApprovalError::Statement),
            ("\"subject\":[", "\"subject\":[{\"digest\":{\"gitTree\":\"x\"}},", ApprovalError::Statement),
            ("\"subject\":[", "\"subject\":[],\"subject\":[", ApprovalError::Statement),
            ("{", "", ApprovalError::Statement),
        ] {
            assert!(good.contains(from), "{from}");
            assert_eq!(refused(&good.replacen(from, to, 1)), cause, "{from} -> {to}");
        }
        let envelope = String::from_utf8(wrapped(&good)).unwrap();
        for (from, to) in [
            ("[{\"sig\":\"eA==\"}]", "[]"),
            ("[{\"sig\":\"eA==\"}]", "[{\"sig\":\"eA==\"},{\"sig\":\"eA==\"}]"),
            ("eA==", "eB=="),
            ("eA==", "eA"),
            ("{\"payloadType\"", "{\"x\":1,\"payloadType\""),
            ("{\"payloadType\"", "{\"payload\":\"\",\"payloadType\""),
        ] {
            let changed = envelope.replacen(from, to, 1);
            assert_ne!(changed, envelope);
            let refused = Approval::parse(HashKind::Sha1, changed.as_bytes()).unwrap_err();
            assert_eq!(refused, ApprovalError::Envelope, "{from} -> {to}");
        }
        let large = vec![b' '; MAXIMUM_APPROVAL_BYTES + 1];
        assert_eq!(Approval::parse(HashKind::Sha1, &large).unwrap_err(), ApprovalError::TooLarge);
    }

    #[test]
    fn a_message_carries_approvals() {
        let envelope = statement().envelope(HashKind::Sha1, b"armor");
        let line = carry(&envelope);
        let message = format!("subject\n\nbody\n\n{line}Approval: !\n Approval: eA==\n{line}");
        assert_eq!(carried(message.as_bytes()), [envelope.clone(), envelope]);
        assert_eq!(carried(line.repeat(MAXIMUM_CARRIED + 1).as_bytes()).len(), MAXIMUM_CARRIED);
    }

    #[test]
    fn only_the_one_encoding_is_to_be_signed() {
        let good = statement().to_be_signed(HashKind::Sha1);
        let json = String::from_utf8(statement().to_json(HashKind::Sha1)).unwrap();
        let spaced = pre_authentication(json.replace(',', ", ").as_bytes());
        for bytes in [&good[1..], &spaced, &[&good[..], b" "].concat(), json.as_bytes(), b"DSSEv1"] {
            assert!(parse_to_be_signed(HashKind::Sha1, bytes).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = Approval::parse(HashKind::Sha1, &input);
            let _ = parse_to_be_signed(HashKind::Sha256, &input);
            let _ = Statement::parse(HashKind::Sha1, &input);
        }
    }
}
