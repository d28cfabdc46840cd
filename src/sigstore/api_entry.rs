//! A log entry as Rekor v1's HTTP API writes it: `{"<id>": {"body": …, "verification": {…}, …}}`.
//!
//! Responsible for reading that JSON, and the hashedrekord in its body, strictly. Not responsible for
//! keys: nothing that is read here is trusted.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use serde::{
    Deserialize,
    de::{Deserializer, Error as _, MapAccess, Visitor},
};

use super::log_entry::{
    Checkpoint, EntryError, InclusionPromise, InclusionProof, KindVersion, LogId, MAXIMUM_ENTRY_BYTES,
    TransparencyLogEntry, body_with_verifier,
};
use crate::encoding::sha256;

/// The entry of an answer, before any of it is decoded. What else stands in it means nothing here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiEntry {
    /// Base64 of the canonical body.
    pub body: String,
    /// Seconds since 1970.
    pub integrated_time: i64,
    /// The log's key id in hexadecimal.
    #[serde(rename = "logID")]
    pub log_id: String,
    /// The index over all shards.
    pub log_index: i64,
    /// What the log says for it.
    pub verification: Option<Verification>,
}

/// What a log says for an entry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Base64.
    pub signed_entry_timestamp: Option<String>,
    /// The way to a checkpoint.
    pub inclusion_proof: Option<ApiProof>,
}

/// An inclusion proof inside one shard: its index is another number than the entry's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiProof {
    /// A signed note.
    pub checkpoint: String,
    /// In hexadecimal, from leaf to root.
    pub hashes: Vec<String>,
    /// The index in the shard.
    pub log_index: i64,
    /// In hexadecimal.
    pub root_hash: String,
    /// The size of the tree that is proven.
    pub tree_size: i64,
}

impl ApiEntry {
    /// The entry as signatures carry it, around the decoded `body`.
    ///
    /// # Errors
    /// Something in it is not base64 or hexadecimal.
    pub fn to_log_entry(&self, body: Vec<u8>) -> Result<TransparencyLogEntry, EntryError> {
        let hexadecimal = |text: &str| hex::decode(text).map_err(|_| EntryError);
        let verification = self.verification.as_ref();
        let timestamp = verification.and_then(|verification| verification.signed_entry_timestamp.as_ref());
        let proof = verification.and_then(|verification| verification.inclusion_proof.as_ref());
        Ok(TransparencyLogEntry {
            log_index: self.log_index,
            log_id: Some(LogId { key_id: hexadecimal(&self.log_id)? }),
            kind_version: Some(KindVersion { kind: "hashedrekord".to_owned(), version: "0.0.1".to_owned() }),
            integrated_time: self.integrated_time,
            inclusion_promise: match timestamp {
                Some(text) => Some(InclusionPromise {
                    signed_entry_timestamp: STANDARD.decode(text).map_err(|_| EntryError)?,
                }),
                None => None,
            },
            inclusion_proof: match proof {
                Some(proof) => Some(InclusionProof {
                    log_index: proof.log_index,
                    root_hash: hexadecimal(&proof.root_hash)?,
                    tree_size: proof.tree_size,
                    hashes: proof.hashes.iter().map(|hash| hexadecimal(hash)).collect::<Result<_, _>>()?,
                    checkpoint: Some(Checkpoint { envelope: proof.checkpoint.clone() }),
                }),
                None => None,
            },
            canonicalized_body: body,
        })
    }
}

/// An answer with exactly one entry.
#[derive(Debug)]
pub struct ApiAnswer {
    /// The id: 16 hexadecimal digits of the tree and 64 of the leaf, or these alone.
    pub uuid: String,
    /// The entry.
    pub entry: ApiEntry,
}

impl<'de> Deserialize<'de> for ApiAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;

        impl<'de> Visitor<'de> for One {
            type Value = ApiAnswer;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("exactly one entry under its id")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ApiAnswer, A::Error> {
                let none = || A::Error::custom("not exactly one entry");
                let (uuid, entry) = map.next_entry()?.ok_or_else(none)?;
                match map.next_key::<String>()? {
                    None => Ok(ApiAnswer { uuid, entry }),
                    Some(_) => Err(none()),
                }
            }
        }

        deserializer.deserialize_map(One)
    }
}

/// A hashedrekord 0.0.1: a signature over a digest, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRecord {
    /// SHA-256 of what was signed.
    pub digest: [u8; 32],
    /// The signature value.
    pub signature: Vec<u8>,
    /// The certificate or public key as the log wrote it: PEM.
    pub verifier: Vec<u8>,
}

impl HashedRecord {
    /// Read a canonical body, which must be the one spelling of what it says.
    ///
    /// # Errors
    /// Another kind of entry, another hash, or not as Rekor writes it.
    pub fn parse(body: &[u8]) -> Result<Self, EntryError> {
        let text: BodyText = serde_json::from_slice(body).map_err(|_| EntryError)?;
        let BodyText { spec: SpecText { data, signature }, .. } = text;
        let base64 = |text: &str| STANDARD.decode(text).map_err(|_| EntryError);
        let digest = hex::decode(&data.hash.value).ok().and_then(|digest| digest.try_into().ok());
        let record = Self {
            digest: digest.ok_or(EntryError)?,
            signature: base64(&signature.content)?,
            verifier: base64(&signature.public_key.content)?,
        };
        // Kind, version and algorithm are in it too.
        let again = body_with_verifier(&record.digest, &record.signature, &record.verifier);
        if again == body { Ok(record) } else { Err(EntryError) }
    }
}

#[derive(Deserialize)]
struct BodyText {
    spec: SpecText,
}

#[derive(Deserialize)]
struct SpecText {
    data: DataText,
    signature: SignatureText,
}

#[derive(Deserialize)]
struct DataText {
    hash: HashText,
}

#[derive(Deserialize)]
struct HashText {
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignatureText {
    content: String,
    public_key: ContentText,
}

#[derive(Deserialize)]
struct ContentText {
    content: String,
}

/// One hashedrekord entry with all that the log says for it, as the log's API hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRecordEntry {
    /// The entry, body included.
    pub entry: TransparencyLogEntry,
    /// What its body says.
    pub record: HashedRecord,
}

impl HashedRecordEntry {
    /// Read `json`, an answer to `GET /api/v1/log/entries/<id>`.
    ///
    /// # Errors
    /// Too large, not exactly one entry, another kind of entry, an id that is not the body's, or sizes
    /// outside the bounds.
    pub fn parse(json: &[u8]) -> Result<Self, EntryError> {
        if json.len() > MAXIMUM_ENTRY_BYTES {
            return Err(EntryError);
        }
        let ApiAnswer { uuid, entry } = serde_json::from_slice(json).map_err(|_| EntryError)?;
        let body = STANDARD.decode(&entry.body).map_err(|_| EntryError)?;
        let record = HashedRecord::parse(&body)?;
        let leaf = hex::encode(sha256(&[&[0], &body]));
        if !matches!(uuid.len(), 64 | 80) || !uuid.to_ascii_lowercase().ends_with(&leaf) {
            return Err(EntryError);
        }
        let entry = entry.to_log_entry(body)?;
        // The bounds of an entry that is embedded hold here too.
        let entry = TransparencyLogEntry::parse(&entry.encode_to_vec())?;
        Ok(Self { entry, record })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Vec<u8> {
        body_with_verifier(&[7; 32], b"signature", b"verifier")
    }

    fn answer(body: &[u8]) -> serde_json::Value {
        let uuid = format!("{}{}", "0".repeat(16), hex::encode(sha256(&[&[0], body])));
        serde_json::json!({uuid: {
            "attestation": {},
            "body": STANDARD.encode(body),
            "integratedTime": 1_700_000_000,
            "logID": "ab".repeat(32),
            "logIndex": 25_579_000,
            "verification": {"signedEntryTimestamp": STANDARD.encode("set")},
        }})
    }

    #[test]
    fn an_answer_is_read_as_it_stands() {
        let read = HashedRecordEntry::parse(answer(&body()).to_string().as_bytes()).unwrap();
        assert_eq!((read.record.digest, read.record.signature.as_slice()), ([7; 32], &b"signature"[..]));
        assert_eq!(read.record.verifier, b"verifier");
        assert_eq!(read.entry.signed_entry_timestamp(), Some(&b"set"[..]));
        assert_eq!((read.entry.log_index, read.entry.integrated_time), (25_579_000, 1_700_000_000));
        assert_eq!(read.entry.canonicalized_body, body());
    }

    #[test]
    fn anything_else_is_refused() {
        let good = answer(&body()).to_string();
        let twice = format!("{},{}", good.strip_suffix('}').unwrap(), good.strip_prefix('{').unwrap());
        let other_id = good.replacen("0000000000000000", "", 1).replacen('"', "\"f", 1);
        let spaced = String::from_utf8(body()).unwrap().replace(':', ": ");
        let kind = String::from_utf8(body()).unwrap().replace("hashedrekord", "rekord");
        let algorithm = String::from_utf8(body()).unwrap().replace("sha256", "sha512");
        for json in [
            String::new(),
            "{}".to_owned(),
            "[]".to_owned(),
            twice,
            other_id,
            good.replace("25579000", "-1"),
            good.replace("abab", "xyz"),
            good.replace("\"body\"", "\"body\":\"\",\"body\""),
            format!("{good}{}", " ".repeat(MAXIMUM_ENTRY_BYTES)),
            answer(spaced.as_bytes()).to_string(),
            answer(kind.as_bytes()).to_string(),
            answer(algorithm.as_bytes()).to_string(),
        ] {
            assert_eq!(HashedRecordEntry::parse(json.as_bytes()), Err(EntryError), "{json}");
        }
    }
}
