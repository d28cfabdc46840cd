//! Results that were proven once, kept under the digest of what was proven, up to a fixed number.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

const SHARDS: usize = 16;
const ENTRIES_PER_SHARD: usize = 512;

/// A bounded map from SHA-256 digests to proven results. Failures are never kept.
pub(super) struct Memo<T> {
    shards: [Mutex<HashMap<[u8; 32], T>>; SHARDS],
}

impl<T: Clone> Default for Memo<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone> Memo<T> {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::new(HashMap::new())) }
    }

    /// The result kept under `key`, or that of `prove`, which is then kept. Two threads that ask for
    /// the same at once may both prove it.
    pub(super) fn get_or_try_insert<E>(
        &self,
        key: [u8; 32],
        prove: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let shard = &self.shards[usize::from(key[0]) % SHARDS];
        // A thread that panicked while holding the lock has at worst not inserted.
        if let Some(kept) = shard.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(kept.clone());
        }
        let proven = prove()?;
        let mut entries = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_PER_SHARD {
            entries.clear();
        }
        entries.insert(key, proven.clone());
        Ok(proven)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_are_kept_failures_are_not_and_the_number_is_bounded() {
        let memo = Memo::new();
        let key = |number: u32| crate::encoding::sha256(&[&number.to_be_bytes()]);
        assert_eq!(memo.get_or_try_insert(key(1), || Err::<u32, _>("no")), Err("no"));
        assert_eq!(memo.get_or_try_insert(key(1), || Ok::<_, &str>(7)), Ok(7));
        assert_eq!(memo.get_or_try_insert(key(1), || Err("not asked again")), Ok(7));
        for number in 0..100_000 {
            memo.get_or_try_insert(key(number), || Ok::<_, &str>(number)).unwrap();
        }
        let kept: usize = memo.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * ENTRIES_PER_SHARD);
    }
}
