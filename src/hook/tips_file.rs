//! Accepted tips of one rule in one file, of which each part vouches for itself.
//!
//! ```text
//! <block> <block> ...     each of one size:
//!   SHA-256 (32 bytes)    over the words below, the rule's digest, and the ids of the block
//!   ids                   in order, as many bytes each as the hash has; the last one again where room is left
//! ```
//!
//! Ids are in order over all blocks. A block that is not as it was written says nothing, wherever it lies: what it
//! held is not accepted any more, and what the others hold still is. As a tip that was accepted stays so, it does no
//! harm either if a block is older than others, or there twice.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use crate::{
    encoding::sha256,
    object::{HashKind, ObjectId},
    repository::{sync_folder, system},
};

/// How large a block is at most: what a disk reads at once.
const BLOCK: usize = 4096;

const SUM: usize = 32;

const WORDS: &[u8] = b"countersign accepted tips 1\n";

/// One such file.
pub(super) struct TipsFile<'a> {
    /// Where it is, if it is.
    pub(super) path: &'a Path,
    /// The digest of the rule.
    pub(super) digest: &'a [u8; 32],
    /// The hash of all its ids.
    pub(super) hash: HashKind,
}

impl TipsFile<'_> {
    /// Whether `tip` stands in it.
    pub(super) fn contains(&self, tip: ObjectId) -> bool {
        let Ok(mut file) = File::open(self.path) else { return false };
        let Ok(metadata) = file.metadata() else { return false };
        let (mut low, mut high) = (0, metadata.len() / self.block_len() as u64);
        let mut block = vec![0; self.block_len()];
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(ids) = self.block(&mut file, middle, &mut block) else {
                // Nobody knows on which side of it to go on.
                return (low..high).any(|number| {
                    self.block(&mut file, number, &mut block).is_some_and(|ids| self.has(ids, tip))
                });
            };
            if self.ids(ids).next().is_some_and(|first| tip.as_bytes() < first) {
                high = middle;
            } else if self.ids(ids).next_back().is_some_and(|last| tip.as_bytes() > last) {
                low = middle + 1;
            } else {
                return self.has(ids, tip);
            }
        }
        false
    }

    /// How many tips it has room for.
    pub(super) fn room(&self) -> usize {
        let blocks = self.path.metadata().map_or(0, |metadata| metadata.len() / self.block_len() as u64);
        usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(self.per_block())
    }

    /// Add `tips`, which are in order; they have reached the disk when this returns. Only one may do so at a time. What
    /// was damaged before is left out.
    ///
    /// # Errors
    /// The system's; the file is as it was.
    pub(super) fn add(&self, tips: &[ObjectId]) -> io::Result<()> {
        let folder = self.path.parent().ok_or(ErrorKind::InvalidInput)?;
        let mut new = Writing {
            file: self,
            to: BufWriter::new(tempfile::NamedTempFile::new_in(folder)?),
            block: Vec::with_capacity(self.block_len()),
            last: Vec::new(),
        };
        let mut tips = tips.iter().peekable();
        match system::open_warily(File::options().read(true), self.path, system::LastLink::Refused) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            old => {
                let mut old = BufReader::new(old?);
                let mut block = vec![0; self.block_len()];
                loop {
                    match old.read_exact(&mut block) {
                        Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                        read => read?,
                    }
                    for id in self.ids(self.vouched(&block).unwrap_or_default()) {
                        while let Some(tip) = tips.next_if(|tip| tip.as_bytes() <= id) {
                            new.push(tip.as_bytes())?;
                        }
                        new.push(id)?;
                    }
                }
            }
        }
        tips.try_for_each(|tip| new.push(tip.as_bytes()))?;
        new.end()?.persist(self.path).map_err(|error| error.error)?;
        sync_folder(folder)
    }

    /// The ids of a block, if it is there and as it was written.
    fn block<'b>(&self, file: &mut File, number: u64, block: &'b mut [u8]) -> Option<&'b [u8]> {
        file.seek(SeekFrom::Start(number.checked_mul(block.len() as u64)?)).ok()?;
        file.read_exact(block).ok()?;
        self.vouched(block)
    }

    fn vouched<'b>(&self, block: &'b [u8]) -> Option<&'b [u8]> {
        let (sum, ids) = block.split_at_checked(SUM)?;
        (sum == self.sum(ids)).then_some(ids)
    }

    fn sum(&self, ids: &[u8]) -> [u8; SUM] {
        sha256(&[WORDS, self.digest, ids])
    }

    fn ids<'b>(&self, ids: &'b [u8]) -> std::slice::ChunksExact<'b, u8> {
        ids.chunks_exact(self.hash.len_in_bytes())
    }

    fn has(&self, ids: &[u8], tip: ObjectId) -> bool {
        self.ids(ids).any(|id| id == tip.as_bytes())
    }

    fn per_block(&self) -> usize {
        (BLOCK - SUM) / self.hash.len_in_bytes()
    }

    fn block_len(&self) -> usize {
        SUM + self.per_block() * self.hash.len_in_bytes()
    }
}

/// A file that is being written.
struct Writing<'a> {
    file: &'a TipsFile<'a>,
    to: BufWriter<tempfile::NamedTempFile>,
    /// The ids of the block that is not full yet.
    block: Vec<u8>,
    last: Vec<u8>,
}

impl Writing<'_> {
    fn push(&mut self, id: &[u8]) -> io::Result<()> {
        if id == self.last {
            return Ok(());
        }
        self.last.clear();
        self.last.extend(id);
        self.block.extend(id);
        if self.block.len() + SUM < self.file.block_len() { Ok(()) } else { self.write_block() }
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.to.write_all(&self.file.sum(&self.block))?;
        self.to.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    fn end(mut self) -> io::Result<tempfile::NamedTempFile> {
        if !self.block.is_empty() {
            while self.block.len() + SUM < self.file.block_len() {
                self.block.extend(&self.last);
            }
            self.write_block()?;
        }
        let file = self.to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A tip that no other number has, and whose place among the others nobody would guess.
    fn tip(hash: HashKind, number: u32) -> ObjectId {
        let id = sha256(&[&number.to_be_bytes()]);
        ObjectId::from_bytes_or_panic(&id[..hash.len_in_bytes()])
    }

    fn tips(hash: HashKind, numbers: impl Iterator<Item = u32>) -> Vec<ObjectId> {
        let tips: BTreeSet<ObjectId> = numbers.map(|number| tip(hash, number)).collect();
        tips.into_iter().collect()
    }

    #[test]
    fn what_was_added_stands_there_and_nothing_else_does() {
        for hash in [HashKind::Sha1, HashKind::Sha256] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tips");
            let file = TipsFile { path: &path, digest: &[1; 32], hash };
            assert!(!file.contains(tip(hash, 0)) && file.room() == 0);
            let mut end = 0;
            // Less than a block, a block exactly, several, and some that were there before.
            for count in [1, 2, 10, 190, 203, 127, 1, 400] {
                file.add(&tips(hash, end.min(5)..end + count)).unwrap();
                end += count;
                for number in 0..end + 50 {
                    assert_eq!(file.contains(tip(hash, number)), number < end, "{hash} {number} of {end}");
                }
            }
            let room = file.room();
            assert!(room >= 934 && room < 934 + file.per_block(), "{room}: none is there twice");
            file.add(&[]).unwrap();
            assert_eq!(file.room(), room);
            let other = TipsFile { digest: &[2; 32], ..file };
            assert!((0..end).all(|number| !other.contains(tip(hash, number))), "another rule's");
            let other = if hash == HashKind::Sha1 { HashKind::Sha256 } else { HashKind::Sha1 };
            let other = TipsFile { path: &path, digest: &[1; 32], hash: other };
            assert!((0..end).all(|number| !other.contains(tip(other.hash, number))), "another hash's");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_part_that_is_damaged_says_nothing_and_the_others_what_they_said() {
        let hash = HashKind::Sha1;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tips");
        let file = TipsFile { path: &path, digest: &[1; 32], hash };
        let all = tips(hash, 0..1000);
        file.add(&all).unwrap();
        let (good, block_len, per_block) =
            (std::fs::read(&path).unwrap(), file.block_len(), file.per_block());
        assert_eq!(good.len(), 5 * block_len);
        let is_right_without = |lost: &dyn Fn(usize) -> bool, what: &str| {
            // Some of each block, and the first and last of all.
            for (place, tip) in all.iter().enumerate().filter(|(place, _)| place % 9 == 0) {
                assert_eq!(file.contains(*tip), !lost(place / per_block), "{what}: {place}");
            }
            assert!((1000..1200).all(|number| !file.contains(super::tests::tip(hash, number))), "{what}");
        };
        for at in (0..good.len()).step_by(1597) {
            let mut damaged = good.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            is_right_without(&|block| block == at / block_len, &format!("changed at {at}"));
        }
        for length in [0, 1, block_len - 1, block_len, 3 * block_len + 7, good.len() - 1] {
            std::fs::write(&path, &good[..length]).unwrap();
            is_right_without(&|block| block >= length / block_len, &format!("cut to {length}"));
        }
        // An id changed for one that was never accepted, and what the power has left of a page.
        let mut damaged = good.clone();
        damaged[SUM..SUM + 20].copy_from_slice(super::tests::tip(hash, 1001).as_bytes());
        damaged[2 * block_len..3 * block_len].fill(0);
        std::fs::write(&path, &damaged).unwrap();
        is_right_without(&|block| [0, 2].contains(&block), "two");
        // Whoever adds to it keeps what is good, and nothing that is not.
        file.add(&[super::tests::tip(hash, 5000)]).unwrap();
        is_right_without(&|block| [0, 2].contains(&block), "two, and one added");
        assert!(file.contains(super::tests::tip(hash, 5000)));
        assert!(!file.contains(ObjectId::null(hash)));
    }

    #[test]
    fn what_cannot_be_written_leaves_what_there_was() {
        let hash = HashKind::Sha1;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tips");
        std::fs::create_dir(&path).unwrap();
        let file = TipsFile { path: &path, digest: &[1; 32], hash };
        assert!(file.add(&tips(hash, 0..3)).is_err());
        assert!(!file.contains(tip(hash, 0)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn whatever_is_added_and_damaged_nothing_counts_that_was_not_added(
            added in proptest::collection::vec(proptest::collection::vec(0..400_u32, 0..200), 1..6),
            damage in proptest::collection::vec((0..40_000_usize, 0..=255_u8), 0..6),
        ) {
            let hash = HashKind::Sha256;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tips");
            let file = TipsFile { path: &path, digest: &[7; 32], hash };
            for part in &added {
                file.add(&tips(hash, part.iter().copied())).unwrap();
            }
            let all: BTreeSet<u32> = added.into_iter().flatten().collect();
            for number in 0..400 {
                proptest::prop_assert_eq!(file.contains(tip(hash, number)), all.contains(&number));
            }
            let mut bytes = std::fs::read(&path).unwrap();
            for (at, value) in damage {
                let length = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte = value;
                }
            }
            std::fs::write(&path, bytes).unwrap();
            for number in 0..400 {
                proptest::prop_assert!(!file.contains(tip(hash, number)) || all.contains(&number));
            }
        }
    }
}
