//! The transparency log as Rekor v2 (rekor-tiles): no promise and no time, checkpoints with Ed25519, tiles.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::{
    key::SigningKey,
    log::{AppendError, InclusionProof, Log},
    log_entry::{HashedRekord, ProposalError},
    note::NoteSigner,
    rekor_v1::transparency_log_entry,
    state::{EntryFile, StateError, StoredEntry},
};

/// The origin of the log and the name on its signatures: the host of its address, without the port.
pub const REKOR_V2_ORIGIN: &str = "127.0.0.1";
/// Hashes in a full tile and entries in a full bundle (C2SP tlog-tiles).
const TILE_WIDTH: u64 = 256;

/// An entry was not logged.
#[derive(Debug, thiserror::Error)]
pub enum RekorV2Error {
    /// The same entry is in the log.
    #[error("an equivalent entry already exists in the transparency log with index {index}")]
    Duplicate {
        /// The index of that entry.
        index: u64,
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
pub struct RekorV2Entry {
    /// The canonical body.
    pub body: Vec<u8>,
    /// The id of the log's key: SHA-256 over origin, LF, 0x01 and the raw key.
    pub log_id: [u8; 32],
    /// The index in the log.
    pub log_index: u64,
    /// The proof in the tree as it was when the log answered.
    pub inclusion_proof: InclusionProof,
}

impl RekorV2Entry {
    /// The entry as protobuf JSON of `dev.sigstore.rekor.v1.TransparencyLogEntry`, as the API answers it.
    pub fn to_transparency_log_entry(&self) -> Value {
        transparency_log_entry(self.log_index, &self.log_id, "0.0.2", &self.inclusion_proof, &self.body)
    }
}

/// The log.
#[derive(Debug)]
pub(super) struct RekorV2 {
    pub(super) key: SigningKey,
    log: Mutex<Log>,
}

impl RekorV2 {
    /// Opens the log on the entries that are kept.
    pub(super) fn new(key: SigningKey, entries: Vec<StoredEntry>, file: EntryFile) -> Self {
        Self { key, log: Mutex::new(Log::new(entries, file)) }
    }

    /// Checks, logs and proves an entry; `now`, in seconds since 1970, is kept but not told.
    pub(super) fn add(&self, rekord: &HashedRekord, now: i64) -> Result<RekorV2Entry, RekorV2Error> {
        rekord.check()?;
        let body = rekord.body_v2().ok_or(ProposalError::KeyDetails)?;
        let mut log = self.lock();
        let index = log.append(body.clone(), now).map_err(|error| match error {
            AppendError::Duplicate(index) => RekorV2Error::Duplicate { index },
            AppendError::State(error) => error.into(),
        })?;
        let inclusion_proof =
            log.prove(index, |size, root| self.sign(size, root)).expect("the index was appended just now");
        Ok(RekorV2Entry { body, log_id: self.log_id(), log_index: index, inclusion_proof })
    }

    /// The signed checkpoint of the tree as it is now.
    pub(super) fn checkpoint(&self) -> String {
        let log = self.lock();
        self.sign(log.tree().size(), &log.root())
    }

    /// A tile of hashes (C2SP tlog-tiles); `width` of `None` is a full one.
    pub(super) fn tile(&self, level: u32, index: u64, width: Option<u64>) -> Option<Vec<u8>> {
        let level = usize::try_from(level.checked_mul(8)?).ok()?;
        let first = index.checked_mul(TILE_WIDTH)?;
        self.lock().tree().complete_subtrees(level, first, width.unwrap_or(TILE_WIDTH))
    }

    /// A bundle of entries (C2SP tlog-tiles), each behind its length in two bytes.
    pub(super) fn entry_bundle(&self, index: u64, width: Option<u64>) -> Option<Vec<u8>> {
        let first = usize::try_from(index.checked_mul(TILE_WIDTH)?).ok()?;
        let end = first.checked_add(usize::try_from(width.unwrap_or(TILE_WIDTH)).ok()?)?;
        let log = self.lock();
        let mut bundle = Vec::new();
        for entry in log.entries().get(first..end)? {
            bundle.extend_from_slice(&u16::try_from(entry.body.len()).ok()?.to_be_bytes());
            bundle.extend_from_slice(&entry.body);
        }
        Some(bundle)
    }

    /// The id of the log's key (C2SP signed-note).
    pub(super) fn log_id(&self) -> [u8; 32] {
        NoteSigner { name: REKOR_V2_ORIGIN, key: &self.key }.key_id()
    }

    fn sign(&self, size: u64, root: &[u8; 32]) -> String {
        NoteSigner { name: REKOR_V2_ORIGIN, key: &self.key }.checkpoint(REKOR_V2_ORIGIN, size, root)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the index part of a tile's path, such as `x001/x234/067` or `000.p/7`.
pub(super) fn parse_tile_path(path: &str) -> Option<(u64, Option<u64>)> {
    let (path, width) = match path.split_once(".p/") {
        Some((path, width)) => {
            let width: u64 = canonical_number(width)?;
            if width == 0 || width >= TILE_WIDTH {
                return None;
            }
            (path, Some(width))
        }
        None => (path, None),
    };
    let mut index = 0_u64;
    let mut groups = path.split('/').peekable();
    let mut first = true;
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() { group.strip_prefix('x')? } else { group };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // One spelling: the number has no leading group of zeros.
        if first && groups.peek().is_some() && digits == "000" {
            return None;
        }
        first = false;
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some((index, width))
}

fn canonical_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_paths_have_one_spelling() {
        assert_eq!(parse_tile_path("x001/x234/067.p/7"), Some((1_234_067, Some(7))));
        assert_eq!(parse_tile_path("000"), Some((0, None)));
        assert_eq!(parse_tile_path("x001/000"), Some((1000, None)));
        for wrong in
            ["", "1", "x001", "x000/001", "001.p/0", "001.p/256", "001.p/07", "001.p/", "01a", "x1/001"]
        {
            assert_eq!(parse_tile_path(wrong), None, "'{wrong}' is not a tile");
        }
    }
}
