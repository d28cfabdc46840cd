//! The transparency log as Rekor v1: signed entry timestamps, entry ids, search index.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    key::SigningKey,
    log::{AppendError, InclusionProof, Log},
    log_entry::{HashedRekord, ProposalError},
    merkle::Tree,
    note::NoteSigner,
    state::{EntryFile, StateError, StoredEntry},
};

/// The name with which the log signs its checkpoints.
pub const REKOR_V1_NAME: &str = "rekor.sandbox";

/// An entry was not logged.
#[derive(Debug, thiserror::Error)]
pub enum RekorV1Error {
    /// The same entry is in the log.
    #[error("an equivalent entry already exists in the transparency log with UUID {uuid}")]
    Duplicate {
        /// The id of that entry, 80 hexadecimal digits.
        uuid: String,
    },
    /// The entry is not one that the log takes.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// The entry could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// An entry with all that the log says about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RekorV1Entry {
    /// Tree id and leaf hash, 80 hexadecimal digits.
    pub uuid: String,
    /// The canonical body.
    pub body: Vec<u8>,
    /// Seconds since 1970.
    pub integrated_time: i64,
    /// SHA-256 of the log's SubjectPublicKeyInfo.
    pub log_id: [u8; 32],
    /// The index in the log.
    pub log_index: u64,
    /// The signature over body, time, log id and index; ECDSA in DER.
    pub signed_entry_timestamp: Vec<u8>,
    /// The proof in the tree as it was when the log answered.
    pub inclusion_proof: InclusionProof,
}

impl RekorV1Entry {
    /// The entry as the log's API writes it: `{uuid: {…}}`.
    pub fn to_json(&self) -> Value {
        let proof = &self.inclusion_proof;
        let hashes: Vec<String> = proof.hashes.iter().map(hex::encode).collect();
        json!({&self.uuid: {
            "body": STANDARD.encode(&self.body),
            "integratedTime": self.integrated_time,
            "logID": hex::encode(self.log_id),
            "logIndex": self.log_index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": proof.checkpoint,
                    "hashes": hashes,
                    "logIndex": proof.log_index,
                    "rootHash": hex::encode(proof.root_hash),
                    "treeSize": proof.tree_size,
                },
                "signedEntryTimestamp": STANDARD.encode(&self.signed_entry_timestamp),
            },
        }})
    }

    /// The entry as protobuf JSON of `dev.sigstore.rekor.v1.TransparencyLogEntry`, as bundles hold it.
    pub fn to_transparency_log_entry(&self) -> Value {
        let mut entry =
            transparency_log_entry(self.log_index, &self.log_id, "0.0.1", &self.inclusion_proof, &self.body);
        entry["integratedTime"] = self.integrated_time.to_string().into();
        entry["inclusionPromise"] =
            json!({"signedEntryTimestamp": STANDARD.encode(&self.signed_entry_timestamp)});
        entry
    }
}

/// What entries of both logs have in common as protobuf JSON, where 64-bit numbers are texts.
pub(super) fn transparency_log_entry(
    index: u64,
    log_id: &[u8; 32],
    version: &str,
    proof: &InclusionProof,
    body: &[u8],
) -> Value {
    let hashes: Vec<String> = proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    json!({
        "logIndex": index.to_string(),
        "logId": {"keyId": STANDARD.encode(log_id)},
        "kindVersion": {"kind": "hashedrekord", "version": version},
        "inclusionProof": {
            "logIndex": proof.log_index.to_string(),
            "rootHash": STANDARD.encode(proof.root_hash),
            "treeSize": proof.tree_size.to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": proof.checkpoint},
        },
        "canonicalizedBody": STANDARD.encode(body),
    })
}

/// The log.
#[derive(Debug)]
pub(super) struct RekorV1 {
    pub(super) key: SigningKey,
    tree_id: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: Log,
    /// Entries by search key, in order of time.
    search: HashMap<String, Vec<u64>>,
}

impl RekorV1 {
    /// Opens the log on the entries that are kept.
    pub(super) fn new(key: SigningKey, tree_id: u64, entries: Vec<StoredEntry>, file: EntryFile) -> Self {
        let mut search = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            if let Ok(rekord) = HashedRekord::from_body_v1(&entry.body) {
                add_search_keys(&mut search, &rekord, index as u64);
            }
        }
        let inner = Mutex::new(Inner { log: Log::new(entries, file), search });
        Self { key, tree_id, inner }
    }

    /// Checks, logs and proves an entry; `now` in seconds since 1970.
    pub(super) fn add(&self, rekord: &HashedRekord, now: i64) -> Result<RekorV1Entry, RekorV1Error> {
        rekord.check()?;
        let mut inner = self.lock();
        match inner.log.append(rekord.body_v1(), now) {
            Ok(index) => {
                add_search_keys(&mut inner.search, rekord, index);
                Ok(self.answer(&inner.log, index).expect("the index was appended just now"))
            }
            Err(AppendError::Duplicate(index)) => {
                let leaf = Tree::leaf_hash(&inner.log.entries()[index as usize].body);
                Err(RekorV1Error::Duplicate { uuid: self.uuid(&leaf) })
            }
            Err(AppendError::State(error)) => Err(error.into()),
        }
    }

    /// The entry at an index.
    pub(super) fn entry_at(&self, index: u64) -> Option<RekorV1Entry> {
        self.answer(&self.lock().log, index)
    }

    /// The entry with this id: tree id and leaf hash, or the leaf hash alone.
    pub(super) fn entry_with_uuid(&self, uuid: &str) -> Option<RekorV1Entry> {
        let leaf = match uuid.len() {
            80 => uuid.strip_prefix(&format!("{:016x}", self.tree_id))?,
            64 => uuid,
            _ => return None,
        };
        let leaf: [u8; 32] = hex::decode(leaf).ok()?.try_into().ok()?;
        let inner = self.lock();
        let index = inner.log.index_of_leaf(&leaf)?;
        self.answer(&inner.log, index)
    }

    /// The entry that has the body of this proposal.
    pub(super) fn entry_of(&self, rekord: &HashedRekord) -> Option<RekorV1Entry> {
        let inner = self.lock();
        let index = inner.log.index_of_leaf(&Tree::leaf_hash(&rekord.body_v1()))?;
        self.answer(&inner.log, index)
    }

    /// The ids of the entries with this search key.
    pub(super) fn search(&self, key: &str) -> Vec<String> {
        let inner = self.lock();
        let found = inner.search.get(key).map_or(&[][..], Vec::as_slice);
        let leaf = |index: &u64| Tree::leaf_hash(&inner.log.entries()[*index as usize].body);
        found.iter().map(|index| self.uuid(&leaf(index))).collect()
    }

    /// Size, root and signed checkpoint as the API writes them.
    pub(super) fn information(&self) -> Value {
        let inner = self.lock();
        let (size, root) = (inner.log.tree().size(), inner.log.root());
        json!({
            "inactiveShards": [],
            "rootHash": hex::encode(root),
            "signedTreeHead": self.checkpoint(size, &root),
            "treeID": self.tree_id.to_string(),
            "treeSize": size,
        })
    }

    /// The consistency proof between two sizes as the API writes it.
    pub(super) fn consistency(&self, first: u64, last: u64) -> Option<Value> {
        let inner = self.lock();
        let hashes: Vec<String> =
            inner.log.tree().consistency_proof(first, last)?.iter().map(hex::encode).collect();
        Some(json!({"hashes": hashes, "rootHash": hex::encode(inner.log.tree().root(last)?)}))
    }

    /// The id of the tree.
    pub(super) fn tree_id(&self) -> u64 {
        self.tree_id
    }

    fn answer(&self, log: &Log, index: u64) -> Option<RekorV1Entry> {
        let stored = log.entries().get(usize::try_from(index).ok()?)?;
        let log_id = self.key.key_id();
        let signed = format!(
            r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{index}}}"#,
            STANDARD.encode(&stored.body),
            stored.integrated_time,
            hex::encode(log_id),
        );
        Some(RekorV1Entry {
            uuid: self.uuid(&Tree::leaf_hash(&stored.body)),
            body: stored.body.clone(),
            integrated_time: stored.integrated_time,
            log_id,
            log_index: index,
            signed_entry_timestamp: self.key.sign(signed.as_bytes()),
            inclusion_proof: log.prove(index, |size, root| self.checkpoint(size, root))?,
        })
    }

    fn checkpoint(&self, size: u64, root: &[u8; 32]) -> String {
        let origin = format!("{REKOR_V1_NAME} - {}", self.tree_id);
        NoteSigner { name: REKOR_V1_NAME, key: &self.key }.checkpoint(&origin, size, root)
    }

    fn uuid(&self, leaf: &[u8; 32]) -> String {
        format!("{:016x}{}", self.tree_id, hex::encode(leaf))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add_search_keys(search: &mut HashMap<String, Vec<u64>>, rekord: &HashedRekord, index: u64) {
    for key in rekord.index_keys() {
        search.entry(key).or_default().push(index);
    }
}
