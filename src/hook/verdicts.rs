//! Good verdicts that are remembered, so that what was verified once is not verified again.
//!
//! `verdicts/` in the state folder holds up to 256 files, by the first byte of the object's id; records are
//! added at their ends, and a file that grows too large loses its older half. A record says for which object,
//! under which trust material and by which version of the verifier it was found; what is said for others is
//! passed over, like everything that is damaged. Who counts is not in it: the policy is asked each time.
//!
//! Whoever could write here could have anything accepted. So folder and files count only where they belong to
//! the user as whom this runs and nobody else may write them.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    mem,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{answers::FEW, evidence::Known};
use crate::{
    encoding::sha256,
    object::ObjectId,
    policy::Evidence,
    repository::{
        Durability,
        system::{self, LastLink, is_own},
        write_whole,
    },
    sigstore::trusted_root::Instance,
    trust::Trust,
    verify::{Material, RECORD_VERSION, Verdict},
};

/// The largest file, in bytes; with 256 of them the most that all may take.
const MAXIMUM_FILE_BYTES: u64 = 1536 * 1024;

/// How every record begins.
const MAGIC: &[u8; 4] = b"CSv1";

/// Magic, length of what follows the checksum, checksum.
const HEADER_BYTES: usize = 16;

/// Digest of what it rests on, when it was found, until when it holds, and the length of the id.
const FIXED_BYTES: usize = 16 + 8 + 8 + 1;

/// Stands for a verdict that the clock alone never changes.
const FOR_EVER: i64 = i64::MAX;

/// What a verdict rests on, shortened to what tells two of them apart.
type Basis = [u8; 16];

/// The remembered verdicts of one repository under one set of trust material.
pub struct Verdicts {
    folder: PathBuf,
    bases: HashMap<Material, Basis>,
    now: i64,
    found: Mutex<Findings>,
}

/// What was found good.
struct Found {
    id: ObjectId,
    record: Vec<u8>,
    /// It rests on what the object itself does not hold, and the push may have brought.
    is_apart: bool,
}

/// What was found good and is not written down yet.
#[derive(Default)]
struct Findings {
    found: Vec<Found>,
    /// What came of writing some of it.
    written: Option<io::Error>,
}

/// The largest verdict that is remembered, in bytes. One for the many principals of a certificate that anybody can make
/// would take the place of a hundred others.
const MAXIMUM_VERDICT: usize = 8192;

/// How many records are held before they are written down, and how many bytes of them.
const MAXIMUM_HELD: usize = 16 * 1024;
const MAXIMUM_HELD_BYTES: usize = 8 * 1024 * 1024;

/// Why nothing is remembered. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerdictsError {
    /// Others can write it, or it is another user's.
    #[error("'{}' belongs to somebody else, or others can write it", .0.display())]
    Open(PathBuf),
    /// It cannot be made or looked at.
    #[error("'{}': {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Verdicts {
    /// What is remembered in the state folder `state` under this trust material; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// The folder is not this user's alone, or cannot be made.
    pub fn open(
        state: &Path,
        trust: &Trust,
        instances: &[Instance],
        now: i64,
    ) -> Result<Self, VerdictsError> {
        let folder = state.join("verdicts");
        if !folder.is_dir() {
            let made = system::make_own_folder(&folder);
            made.map_err(|source| VerdictsError::Io { path: folder.clone(), source })?;
        }
        for path in [state, &folder] {
            let failed = |source| VerdictsError::Io { path: path.to_owned(), source };
            let metadata = fs::metadata(path).map_err(failed)?;
            if !metadata.is_dir() || !is_own(&metadata) {
                return Err(VerdictsError::Open(path.to_owned()));
            }
        }
        let mut roots = Vec::new();
        for instance in instances {
            roots.extend(sha256(&[instance.name().as_bytes()]));
            roots.extend(instance.digest());
        }
        let basis = |material: Material, word: &[u8], bytes: &[u8]| {
            let digest = sha256(&[RECORD_VERSION.as_bytes(), b"\0", word, b"\0", &sha256(&[bytes])]);
            (material, digest[..16].try_into().expect("it has 32 bytes"))
        };
        let bases = HashMap::from([
            basis(Material::Instances, b"instances", &roots),
            basis(Material::Files, b"files", &trust.files_digest),
            basis(Material::None, b"none", b""),
        ]);
        Ok(Self { folder, bases, now, found: Mutex::default() })
    }

    /// What is remembered of `ids`, good verdicts all of them.
    pub(super) fn recall(&self, ids: &[ObjectId], now: i64) -> Known {
        let mut shards: HashMap<u8, Vec<ObjectId>> = HashMap::new();
        for id in ids {
            shards.entry(id.as_slice()[0]).or_default().push(*id);
        }
        let of_shard = |(shard, mut ids): (u8, Vec<ObjectId>)| {
            ids.sort_unstable();
            let bytes = self.read(shard).unwrap_or_default();
            let mut found: HashMap<ObjectId, Verdict> = HashMap::new();
            for record in Records(&bytes) {
                if let Some((id, verdict)) = self.understood(&record, &ids, now) {
                    found.insert(id, verdict);
                }
            }
            found.into_iter().map(|(id, verdict)| (id, Ok(Evidence::Signed(verdict))))
        };
        if shards.len() <= FEW {
            return shards.into_iter().flat_map(of_shard).collect();
        }
        shards.into_par_iter().flat_map_iter(of_shard).collect()
    }

    /// The verdict in a record that is about one of `ids` (sorted), counts here and is undamaged.
    fn understood(&self, record: &Record<'_>, ids: &[ObjectId], now: i64) -> Option<(ObjectId, Verdict)> {
        let id = ids.binary_search_by(|id| id.as_slice().cmp(record.id)).ok().map(|at| ids[at])?;
        let counts = self.bases.values().any(|basis| basis == record.basis)
            && record.found_at <= now
            && now < record.until
            && sha256(&[record.checked])[..8] == *record.checksum;
        let verdict = Verdict::from_record(record.verdict).filter(|_| counts)?;
        // What it rests on is part of what it says.
        let (material, _) = verdict.record()?;
        (self.bases.get(&material) == Some(record.basis)).then_some((id, verdict))
    }

    /// Take note of what was found good. Of a long history some is written down on the way: what was found good
    /// is good, whatever becomes of the push.
    pub(super) fn learn(&self, known: &Known) {
        let mut findings = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, evidence) in known {
            let Ok(Evidence::Signed(verdict)) = evidence else { continue };
            let until = verdict.until().unwrap_or(FOR_EVER);
            let counts =
                |(_, bytes): &(Material, Vec<u8>)| until > self.now && bytes.len() <= MAXIMUM_VERDICT;
            if let Some((material, bytes)) = verdict.record().filter(counts) {
                let record = record(&self.bases[&material], self.now, until, *id, &bytes);
                let is_apart = matches!(verdict, Verdict::Good(proven) if !proven.is_embedded());
                findings.found.push(Found { id: *id, record, is_apart });
            }
        }
        let own = findings.found.iter().filter(|found| !found.is_apart);
        let bytes: usize = own.map(|found| found.record.len()).sum();
        if findings.found.len() >= MAXIMUM_HELD || bytes >= MAXIMUM_HELD_BYTES {
            let all = mem::take(&mut findings.found).into_iter();
            let (apart, own): (Vec<Found>, Vec<Found>) = all.partition(|found| found.is_apart);
            findings.found = apart;
            findings.written = self.write(own.into_iter()).err().or(findings.written.take());
        }
    }

    /// Write down what was found; a file that another push is writing to is left to that. Unless the push is
    /// accepted, what it brings besides an object proves nothing of it later.
    ///
    /// # Errors
    /// Something cannot be written; what is there is still whole.
    pub fn keep(&self, is_accepted: bool) -> io::Result<()> {
        let findings = mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
        self.write(findings.found.into_iter().filter(|found| is_accepted || !found.is_apart))?;
        findings.written.map_or(Ok(()), Err)
    }

    fn write(&self, found: impl Iterator<Item = Found>) -> io::Result<()> {
        let mut shards: HashMap<u8, Vec<u8>> = HashMap::new();
        for Found { id, record, .. } in found {
            shards.entry(id.as_slice()[0]).or_default().extend(record);
        }
        shards.into_iter().try_for_each(|(shard, records)| self.append(shard, &records))
    }

    /// The records that stand whole in the bytes of a file, as they stand there; what they say is not looked at.
    pub fn whole_records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        Records(bytes).map(|record| record.whole)
    }

    fn path(&self, shard: u8) -> PathBuf {
        self.folder.join(format!("{shard:02x}"))
    }

    /// A file as it is, if it is ours; an empty one if there is none.
    fn read(&self, shard: u8) -> io::Result<Vec<u8>> {
        let file = system::open_warily(OpenOptions::new().read(true), &self.path(shard), LastLink::Refused)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || !is_own(&metadata) {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::with_capacity(metadata.len().min(MAXIMUM_FILE_BYTES) as usize);
        file.take(MAXIMUM_FILE_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&self, shard: u8, records: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        let mut file = system::open_warily(&mut options, &self.path(shard), LastLink::Refused)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || !is_own(&metadata) {
            return Err(io::Error::other("a file is somebody else's, or others can write it"));
        }
        if !system::try_lock(&file).unwrap_or_default() {
            return Ok(());
        }
        let before = file.metadata()?.len();
        if before + records.len() as u64 <= MAXIMUM_FILE_BYTES {
            return file.write_all(records).inspect_err(|_| {
                // Half a record would only be passed over; but it would stay.
                let _ = file.set_len(before);
            });
        }
        self.renew(shard, records, &file)
    }

    /// Put a new file in the place of a full one, with the newest records in it.
    fn renew(&self, shard: u8, records: &[u8], _locked: &File) -> io::Result<()> {
        let before = self.read(shard)?;
        let all: Vec<&[u8]> = Records(&before).chain(Records(records)).map(|record| record.whole).collect();
        let mut kept = Vec::new();
        let mut size = 0;
        for whole in all.into_iter().rev() {
            size += whole.len() as u64;
            if size > MAXIMUM_FILE_BYTES / 2 {
                break;
            }
            kept.push(whole);
        }
        kept.reverse();
        write_whole(&self.path(shard), &kept.concat(), Durability::System)
    }
}

/// One record as it stands in a file; its checksum is not compared yet.
struct Record<'a> {
    whole: &'a [u8],
    checksum: &'a [u8],
    checked: &'a [u8],
    basis: &'a Basis,
    found_at: i64,
    until: i64,
    id: &'a [u8],
    verdict: &'a [u8],
}

fn record(basis: &Basis, found_at: i64, until: i64, id: ObjectId, verdict: &[u8]) -> Vec<u8> {
    let id = id.as_slice();
    let length = u8::try_from(id.len()).expect("no hash is that long");
    let checked =
        [basis.as_slice(), &found_at.to_le_bytes(), &until.to_le_bytes(), &[length], id, verdict].concat();
    let size = u32::try_from(checked.len()).expect("what a verdict says is bounded");
    [MAGIC.as_slice(), &size.to_le_bytes(), &sha256(&[&checked])[..8], &checked].concat()
}

/// The records in the bytes of a file. What is damaged is passed over up to where one begins again.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let at = self.0.windows(MAGIC.len()).position(|window| window == MAGIC)?;
            self.0 = &self.0[at..];
            match parse(self.0) {
                Some(record) => {
                    self.0 = &self.0[record.whole.len()..];
                    return Some(record);
                }
                None => self.0 = &self.0[MAGIC.len()..],
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Record<'_>> {
    let size = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    let whole = bytes.get(..HEADER_BYTES.checked_add(size)?)?;
    let (checksum, checked) = (&whole[8..HEADER_BYTES], &whole[HEADER_BYTES..]);
    let (fixed, rest) = checked.split_at_checked(FIXED_BYTES)?;
    let (id, verdict) = rest.split_at_checked(usize::from(fixed[FIXED_BYTES - 1]))?;
    Some(Record {
        whole,
        checksum,
        checked,
        basis: fixed[..16].try_into().ok()?,
        found_at: i64::from_le_bytes(fixed[16..24].try_into().ok()?),
        until: i64::from_le_bytes(fixed[24..32].try_into().ok()?),
        id,
        verdict,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::eventually;

    fn id(number: u32) -> ObjectId {
        let mut bytes = sha256(&[&number.to_be_bytes()])[..20].to_vec();
        bytes[0] = 7;
        ObjectId::from_bytes_or_panic(&bytes)
    }

    #[test]
    fn damage_costs_no_more_than_what_is_damaged() {
        let records: Vec<Vec<u8>> =
            (0..9).map(|number| record(&[1; 16], 5, FOR_EVER, id(number), &[9; 40])).collect();
        let read = |bytes: &[u8]| {
            let whole = |record: &Record<'_>| sha256(&[record.checked])[..8] == *record.checksum;
            Records(bytes)
                .filter(whole)
                .map(|record| ObjectId::from_bytes_or_panic(record.id))
                .collect::<Vec<_>>()
        };
        let all: Vec<ObjectId> = (0..9).map(id).collect();
        assert_eq!(read(&records.concat()), all);
        // One that was cut short, as by a full disk, and what another wrote behind it.
        let torn = [records[..4].concat(), records[4][..30].to_vec(), records[5..].concat()].concat();
        let left: Vec<ObjectId> = read(&torn);
        assert!(left.starts_with(&all[..4]) && left.ends_with(&all[6..]), "{left:?}");
        for at in 0..records[0].len() {
            let mut flipped = records[..2].concat();
            flipped[at] ^= 1;
            assert!(!read(&flipped).contains(&id(0)), "byte {at}");
        }
    }

    #[test]
    fn a_full_file_keeps_what_is_newest_and_others_files_count_for_nothing() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("verdicts");
        system::make_own_folder(&folder).unwrap();
        let verdicts =
            Verdicts { folder: folder.clone(), bases: HashMap::new(), now: 0, found: Mutex::default() };
        let large = |number: u32| record(&[1; 16], 5, FOR_EVER, id(number), &[9; 100_000]);
        for number in 0..40 {
            eventually(|| {
                verdicts.append(7, &large(number)).unwrap();
                let bytes = verdicts.read(7).unwrap();
                Records(&bytes).last().is_some_and(|last| last.id == id(number).as_slice())
            });
        }
        let bytes = verdicts.read(7).unwrap();
        assert!(bytes.len() as u64 <= MAXIMUM_FILE_BYTES);
        let last = Records(&bytes).last().unwrap();
        assert_eq!(last.id, id(39).as_slice());
        assert!(Records(&bytes).count() >= 7);
        // Others may write it; it is a link; it is no file at all.
        let path = verdicts.path(7);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o620)).unwrap();
        assert!(verdicts.read(7).unwrap().is_empty() && verdicts.append(7, b"x").is_err());
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::rename(&path, folder.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(verdicts.read(7).is_err() && verdicts.append(7, b"x").is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(verdicts.read(7).unwrap_or_default().is_empty());
    }

    #[test]
    fn what_is_found_in_a_long_history_is_not_held_until_its_end() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("verdicts");
        system::make_own_folder(&folder).unwrap();
        let found = |number: usize| Found {
            id: id(1),
            record: record(&[1; 16], 5, FOR_EVER, id(1), &[9]),
            is_apart: number == 0,
        };
        let verdicts = |count: usize| Verdicts {
            folder: folder.clone(),
            bases: HashMap::new(),
            now: 0,
            found: Mutex::new(Findings { found: (0..count).map(found).collect(), written: None }),
        };
        let few = verdicts(MAXIMUM_HELD - 1);
        few.learn(&Known::new());
        assert_eq!(few.found.lock().unwrap().found.len(), MAXIMUM_HELD - 1);
        assert!(few.read(7).is_err());
        let many = verdicts(MAXIMUM_HELD);
        many.learn(&Known::new());
        // What may rest on what the push has brought waits for its end.
        assert_eq!(many.found.lock().unwrap().found.len(), 1);
        assert_eq!(Records(&many.read(7).unwrap()).count(), MAXIMUM_HELD - 1);
        // A few large ones are as much: whoever signs has a part in how large they are.
        let large = verdicts(1);
        let record = record(&[1; 16], 5, FOR_EVER, id(1), &[9; MAXIMUM_HELD_BYTES]);
        large.found.lock().unwrap().found.push(Found { id: id(1), record, is_apart: false });
        large.learn(&Known::new());
        assert_eq!(large.found.lock().unwrap().found.len(), 1);
        // What went wrong on the way is told in the end.
        fs::set_permissions(many.path(7), std::os::unix::fs::PermissionsExt::from_mode(0o620)).unwrap();
        let failing = verdicts(MAXIMUM_HELD);
        failing.learn(&Known::new());
        assert!(failing.keep(true).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let with_magic = [MAGIC.as_slice(), &bytes].concat();
            let _ = (Records(&bytes).count(), Records(&with_magic).count());
        }
    }
}
