//! A transparency-log entry as signatures carry it, and the exact bytes that the log signed.
//!
//! Responsible for the protobuf form (sigstore protobuf-specs, `sigstore_rekor.proto`), for building
//! the canonical body of a hashedrekord again (Rekor v1 0.0.1, Rekor v2 0.0.2) and for the payload of
//! a signed entry timestamp. Not responsible for keys.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;

use crate::encoding::der::{Element, Tag, Walk};

/// The most bytes of an encoded entry that are read.
pub const MAXIMUM_ENTRY_BYTES: usize = 64 * 1024;
/// The most hashes that an inclusion proof may have: a tree of 2^64 leaves needs no more.
pub const MAXIMUM_PROOF_HASHES: usize = 64;

/// `dev.sigstore.rekor.v1.TransparencyLogEntry`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TransparencyLogEntry {
    /// Index in the whole log (Rekor v1: over all shards).
    #[prost(int64, tag = "1")]
    pub log_index: i64,
    /// Which log.
    #[prost(message, optional, tag = "2")]
    pub log_id: Option<LogId>,
    /// What kind of entry.
    #[prost(message, optional, tag = "3")]
    pub kind_version: Option<KindVersion>,
    /// Seconds since 1970; covered by the signed entry timestamp only.
    #[prost(int64, tag = "4")]
    pub integrated_time: i64,
    /// The signed entry timestamp of Rekor v1.
    #[prost(message, optional, tag = "5")]
    pub inclusion_promise: Option<InclusionPromise>,
    /// The way to a checkpoint.
    #[prost(message, optional, tag = "6")]
    pub inclusion_proof: Option<InclusionProof>,
    /// The entry itself; left out in git signatures of Rekor v1.
    #[prost(bytes = "vec", tag = "7")]
    pub canonicalized_body: Vec<u8>,
}

/// `dev.sigstore.common.v1.LogId`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LogId {
    /// The log's key id.
    #[prost(bytes = "vec", tag = "1")]
    pub key_id: Vec<u8>,
}

/// `dev.sigstore.rekor.v1.KindVersion`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct KindVersion {
    /// `hashedrekord`.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// `0.0.1` or `0.0.2`.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// `dev.sigstore.rekor.v1.InclusionPromise`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct InclusionPromise {
    /// ECDSA over [`signed_entry_timestamp_payload`].
    #[prost(bytes = "vec", tag = "1")]
    pub signed_entry_timestamp: Vec<u8>,
}

/// `dev.sigstore.rekor.v1.InclusionProof`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct InclusionProof {
    /// Index in the tree that the proof is about.
    #[prost(int64, tag = "1")]
    pub log_index: i64,
    /// Root of that tree.
    #[prost(bytes = "vec", tag = "2")]
    pub root_hash: Vec<u8>,
    /// Size of that tree.
    #[prost(int64, tag = "3")]
    pub tree_size: i64,
    /// The siblings from leaf to root.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub hashes: Vec<Vec<u8>>,
    /// The log's signature over that tree.
    #[prost(message, optional, tag = "5")]
    pub checkpoint: Option<Checkpoint>,
}

/// `dev.sigstore.rekor.v1.Checkpoint`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Checkpoint {
    /// A signed note.
    #[prost(string, tag = "1")]
    pub envelope: String,
}

/// Which body an entry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyVersion {
    /// hashedrekord 0.0.1, Rekor v1.
    V001,
    /// hashedrekord 0.0.2, Rekor v2.
    V002,
}

/// The bytes are no log entry that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log entry in its one encoding")]
pub struct EntryError;

impl TransparencyLogEntry {
    /// Decode `bytes`, which must be the one canonical encoding of a hashedrekord entry.
    ///
    /// # Errors
    /// Too large, not protobuf, unknown or repeated fields, another kind, ids or hashes of a wrong size.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAXIMUM_ENTRY_BYTES {
            return Err(EntryError);
        }
        let entry = Self::decode(bytes).map_err(|_| EntryError)?;
        if entry.encode_to_vec() != bytes {
            return Err(EntryError);
        }
        entry.body_version()?;
        let proof_is_sound = entry.inclusion_proof.as_ref().is_none_or(|proof| {
            proof.log_index >= 0
                && proof.tree_size > 0
                && proof.root_hash.len() == 32
                && proof.hashes.len() <= MAXIMUM_PROOF_HASHES
                && proof.hashes.iter().all(|hash| hash.len() == 32)
                && proof.checkpoint.is_some()
        });
        let id_is_sound = entry.log_id.as_ref().is_some_and(|id| (4..=64).contains(&id.key_id.len()));
        if proof_is_sound && id_is_sound && entry.log_index >= 0 && entry.integrated_time >= 0 {
            Ok(entry)
        } else {
            Err(EntryError)
        }
    }

    /// Read the nine fields of gitsign's prototype of 2023: integrated time, log id, log index, signed
    /// entry timestamp, checkpoint, hashes, root hash, tree size, index in the tree.
    ///
    /// # Errors
    /// A field that is not what the prototype wrote.
    pub fn from_prototype(fields: &[Element<'_>; 9]) -> Result<Self, EntryError> {
        let integer = |number: usize| {
            fields[number].unsigned().ok().and_then(|value| i64::try_from(value).ok()).ok_or(EntryError)
        };
        let hexadecimal = |element: &Element<'_>| {
            let lower = element.tag == Tag::PrintableString
                && element.value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            lower.then(|| hex::decode(element.value).ok()).flatten().ok_or(EntryError)
        };
        let bytes = |number: usize, tag: Tag| {
            Some(&fields[number]).filter(|field| field.tag == tag).map(|field| field.value).ok_or(EntryError)
        };
        let mut hashes = Vec::new();
        let mut walk = Walk::new(bytes(5, Tag::Sequence)?);
        while !walk.is_empty() && hashes.len() <= MAXIMUM_PROOF_HASHES {
            hashes.push(hexadecimal(&walk.any().map_err(|_| EntryError)?)?);
        }
        let envelope = String::from_utf8(bytes(4, Tag::Utf8String)?.to_vec()).map_err(|_| EntryError)?;
        let entry = Self {
            log_index: integer(2)?,
            log_id: Some(LogId { key_id: hexadecimal(&fields[1])? }),
            kind_version: Some(KindVersion { kind: "hashedrekord".into(), version: "0.0.1".into() }),
            integrated_time: integer(0)?,
            inclusion_promise: Some(InclusionPromise {
                signed_entry_timestamp: bytes(3, Tag::OctetString)?.to_vec(),
            }),
            inclusion_proof: Some(InclusionProof {
                log_index: integer(8)?,
                root_hash: hexadecimal(&fields[6])?,
                tree_size: integer(7)?,
                hashes,
                checkpoint: Some(Checkpoint { envelope }),
            }),
            canonicalized_body: Vec::new(),
        };
        Self::parse(&entry.encode_to_vec())
    }

    /// The version of the body that the entry claims.
    ///
    /// # Errors
    /// Not a hashedrekord of a known version.
    pub fn body_version(&self) -> Result<BodyVersion, EntryError> {
        match &self.kind_version {
            Some(KindVersion { kind, version }) if kind == "hashedrekord" => match version.as_str() {
                "0.0.1" => Ok(BodyVersion::V001),
                "0.0.2" => Ok(BodyVersion::V002),
                _ => Err(EntryError),
            },
            _ => Err(EntryError),
        }
    }

    /// The signed entry timestamp, where there is one that is not empty (gitsign writes an empty
    /// promise for Rekor v2).
    #[must_use]
    pub fn signed_entry_timestamp(&self) -> Option<&[u8]> {
        self.inclusion_promise
            .as_ref()
            .map(|promise| promise.signed_entry_timestamp.as_slice())
            .filter(|timestamp| !timestamp.is_empty())
    }
}

/// The canonical body of the hashedrekord for a signature: what the log hashed and signed.
///
/// `digest` is SHA-256 of what was signed (the signed attributes), `signature` the signature value,
/// `certificate` the leaf in DER, `key_details` the protobuf-specs name of the leaf's key (0.0.2 only).
#[must_use]
pub fn body(
    version: BodyVersion,
    digest: &[u8; 32],
    signature: &[u8],
    certificate: &[u8],
    key_details: &str,
) -> Vec<u8> {
    match version {
        BodyVersion::V001 => body_with_verifier(digest, signature, &certificate_pem(certificate)),
        BodyVersion::V002 => format!(
            concat!(
                r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"#,
                r#""algorithm":"SHA2_256","digest":"{}"}},"signature":{{"content":"{}","verifier":{{"#,
                r#""keyDetails":"{}","x509Certificate":{{"rawBytes":"{}"}}}}}}}}}}}}"#
            ),
            STANDARD.encode(digest),
            STANDARD.encode(signature),
            key_details,
            STANDARD.encode(certificate),
        )
        .into_bytes(),
    }
}

/// The canonical body of hashedrekord 0.0.1 around `verifier`, the PEM of a certificate or public key.
#[must_use]
pub fn body_with_verifier(digest: &[u8; 32], signature: &[u8], verifier: &[u8]) -> Vec<u8> {
    format!(
        concat!(
            r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","#,
            r#""value":"{}"}}}},"signature":{{"content":"{}","publicKey":{{"content":"{}"}}}}}}}}"#
        ),
        hex::encode(digest),
        STANDARD.encode(signature),
        STANDARD.encode(verifier),
    )
    .into_bytes()
}

/// PEM as Rekor writes it: 64 columns, LF, LF at the end.
#[must_use]
pub fn certificate_pem(certificate: &[u8]) -> Vec<u8> {
    let base64 = STANDARD.encode(certificate);
    let mut pem = Vec::with_capacity(base64.len() + base64.len() / 64 + 64);
    pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    pem
}

/// What a signed entry timestamp covers: canonical JSON of body, time, log and global index.
#[must_use]
pub fn signed_entry_timestamp_payload(
    body: &[u8],
    integrated_time: i64,
    log_id: &[u8],
    log_index: i64,
) -> Vec<u8> {
    let mut payload = Vec::with_capacity(body.len() * 4 / 3 + 200);
    write!(
        payload,
        r#"{{"body":"{}","integratedTime":{integrated_time},"logID":"{}","logIndex":{log_index}}}"#,
        STANDARD.encode(body),
        hex::encode(log_id),
    )
    .expect("writing to a vector cannot fail");
    payload
}
