//! What is remembered of each remote, outside of any repository: what was accepted, what is held.
//!
//! ```text
//! <state>/countersign/remotes/<sha-256 of the key>/memory      one line for each fact, replaced as a whole
//!                                                  accepted/   tips that count as bases, as a hook keeps them
//!                                                  policy-*/   the policy that the remote keeps itself
//! ```
//!
//! The memory of a remote is the user's, not a clone's: what one clone was shown binds all of them. The key is
//! that of the address, until a policy has said which repository it is: from then on the memory of the address
//! leads to that of the repository, whose key is its id, and all addresses of one repository share that.
//! A memory that cannot be read is an error, never an empty one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use gix::bstr::{BString, ByteSlice as _};

use super::quarantine::make_repository;
use crate::{
    encoding::sha256,
    hook::AcceptedTips,
    object::{HashKind, ObjectId},
    repository::system,
    words::escape,
};

/// The largest memory that is read, in bytes.
const MAXIMUM_BYTES: u64 = 1024 * 1024 * 1024;

/// How long another process's change is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

const FIRST_LINE: &str = "countersign remote 1";
const FILE: &str = "memory";

/// What stands before the id of a repository in the key of its memory: no address begins so.
const REPOSITORY: &str = "repository:";

/// What is remembered of one remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The key of its address.
    pub key: String,
    /// The user takes whatever it serves.
    pub is_unverified: bool,
    /// The id of the repository, once a policy has named it.
    pub repository: Option<String>,
    /// The greatest serial of a policy that it was judged by.
    pub serial: Option<u64>,
    /// The last value of the ref that the repository keeps its ledger in.
    pub ledger: Option<ObjectId>,
    /// SHA-256 over the refs that were as that ledger says, and over what they were judged by.
    pub agreed: Option<[u8; 32]>,
    /// The branch under a rule that `HEAD` was when that was seen first.
    pub head: Option<BString>,
    /// Its refs were seen once: those that come later were created since.
    pub is_known: bool,
    /// Refs that were there and of which nothing was accepted so far.
    pub seen: BTreeSet<BString>,
    /// The value of each ref that was accepted last.
    pub accepted: BTreeMap<BString, ObjectId>,
    /// What clones whose histories are cut off have taken of refs of which no whole one has accepted anything: the
    /// last values of each, in their order.
    pub glimpsed: BTreeMap<BString, Vec<ObjectId>>,
    /// What was refused.
    pub held: BTreeMap<BString, Held>,
}

/// A value that was refused for a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the remote says; `None` where it says that there is no such ref.
    pub value: Option<ObjectId>,
    /// What it was judged by.
    pub digest: [u8; 32],
    /// Why, in words that are fit for a terminal.
    pub words: String,
}

/// Where memories lie.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// Why a memory cannot be had. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// Another process changed what this one had decided by.
    #[error("another fetch from '{0}' has changed what was accepted in the meantime")]
    Changed(String),
    /// A line that was not written by this program.
    #[error("line {line} of the memory '{}' is not understood", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
    /// The policy at hand is that of another repository than before, or of none.
    #[error(
        "it was judged by the policy of the repository '{before}', and the one at hand is for {}",
        now.as_ref().map_or_else(|| "no repository by name".to_owned(), |now| format!("'{now}'"))
    )]
    OtherRepository {
        /// Whose policy it was.
        before: String,
        /// Whose it is.
        now: Option<String>,
    },
    /// The policy at hand is older than one that it was judged by.
    #[error("it was judged by a policy with the serial {before}, and the one at hand has {now}")]
    OlderPolicy {
        /// The greatest serial so far.
        before: u64,
        /// The one at hand; 0 if it has none.
        now: u64,
    },
    /// It is being changed by another process, or one has died while changing it.
    #[error("the memory '{}' is locked: {reason}", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// It cannot be read.
    #[error("the memory '{}' cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("the memory '{}' cannot be written: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Memory {
    /// The memory of a remote of which nothing is known.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::default() }
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::new(&self.key)
    }

    /// Whether it only leads to the memory of a repository.
    #[must_use]
    pub fn is_of_address(&self) -> bool {
        !self.key.starts_with(REPOSITORY)
    }

    /// The key under which the facts stand.
    fn facts_key(&self) -> String {
        self.repository.as_ref().map_or_else(|| self.key.clone(), |id| format!("{REPOSITORY}{id}"))
    }

    /// What of it stands under the address, where a repository is known.
    fn of_address(&self) -> Self {
        let repository = self.repository.clone();
        Self { is_unverified: self.is_unverified, repository, ..Self::new(&self.key) }
    }

    /// What of it stands under the repository.
    fn of_repository(&self) -> Self {
        let key = self.facts_key();
        Self { key, is_unverified: false, repository: None, ..self.clone() }
    }

    /// The facts of `repository` in the place of its own; what only the address has seen so far counts on.
    fn with(mut self, repository: Self) -> Self {
        self.is_known |= repository.is_known;
        self.serial = self.serial.max(repository.serial);
        self.head = repository.head.or(self.head);
        // The two belong together.
        if repository.ledger.is_some() {
            (self.ledger, self.agreed) = (repository.ledger, repository.agreed);
        }
        self.accepted.extend(repository.accepted);
        self.held.extend(repository.held);
        self.glimpsed.extend(repository.glimpsed);
        self.seen.extend(repository.seen);
        let accepted = &self.accepted;
        self.seen.retain(|name| !accepted.contains_key(name));
        self.glimpsed.retain(|name, _| !accepted.contains_key(name));
        self
    }

    /// Take `value` as what was accepted of `name`; `None` where the ref is gone.
    pub fn accept(&mut self, name: &BString, value: Option<ObjectId>) {
        self.held.remove(name);
        self.seen.remove(name);
        self.glimpsed.remove(name);
        match value {
            Some(value) => drop(self.accepted.insert(name.clone(), value)),
            None => drop(self.accepted.remove(name)),
        }
    }

    /// Whether a ref that was never accepted has come since the remote was first seen.
    #[must_use]
    pub fn is_created(&self, name: &BString) -> bool {
        self.is_known && !self.seen.contains(name) && !self.accepted.contains_key(name)
    }

    /// Read what [`Self::text`] writes.
    ///
    /// # Errors
    /// The number of a line that is not understood.
    pub fn parse(text: &[u8]) -> Result<Self, usize> {
        let mut memory = Self::default();
        let mut lines = text.strip_suffix(b"\n").ok_or(1_usize)?.split(|byte| *byte == b'\n').enumerate();
        if lines.next().is_none_or(|(_, line)| line != FIRST_LINE.as_bytes()) {
            return Err(1);
        }
        for (index, line) in lines {
            memory.line(line).ok_or(index + 1)?;
        }
        Ok(memory)
    }

    fn line(&mut self, line: &[u8]) -> Option<()> {
        let (word, rest) = line.split_once_str(" ").unwrap_or((line, b""));
        match word {
            b"key" => rest.to_str().ok()?.clone_into(&mut self.key),
            b"unverified" => self.is_unverified = true,
            b"repository" => self.repository = Some(rest.to_str().ok()?.to_owned()),
            b"serial" => self.serial = Some(rest.to_str().ok()?.parse().ok()?),
            b"ledger" => self.ledger = Some(ObjectId::from_hex(rest).ok()?),
            b"agreed" => self.agreed = Some(hex::decode(rest).ok()?.try_into().ok()?),
            b"head" => self.head = Some(rest.into()),
            b"known" => self.is_known = true,
            b"seen" => drop(self.seen.insert(rest.into())),
            b"accepted" => {
                let (id, name) = rest.split_once_str(" ")?;
                self.accepted.insert(name.into(), ObjectId::from_hex(id).ok()?);
            }
            b"glimpsed" => {
                let (id, name) = rest.split_once_str(" ")?;
                self.glimpsed.entry(name.into()).or_default().push(ObjectId::from_hex(id).ok()?);
            }
            b"held" => {
                let mut fields = rest.splitn_str(4, " ");
                let digest = hex::decode(fields.next()?).ok()?.try_into().ok()?;
                let value = match fields.next()? {
                    b"-" => None,
                    id => Some(ObjectId::from_hex(id).ok()?),
                };
                let name = fields.next()?.into();
                let words = fields.next()?.to_str().ok()?.to_owned();
                self.held.insert(name, Held { value, digest, words });
            }
            _ => return None,
        }
        Some(())
    }

    /// A line for each fact, as it stands in the file.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut text = format!("{FIRST_LINE}\nkey {}\n", self.key).into_bytes();
        if self.is_unverified {
            text.extend(b"unverified\n");
        }
        if let Some(repository) = &self.repository {
            text.extend(format!("repository {repository}\n").into_bytes());
        }
        if let Some(serial) = self.serial {
            text.extend(format!("serial {serial}\n").into_bytes());
        }
        if let Some(ledger) = self.ledger {
            text.extend(format!("ledger {ledger}\n").into_bytes());
        }
        if let Some(agreed) = self.agreed {
            text.extend(format!("agreed {}\n", hex::encode(agreed)).into_bytes());
        }
        if let Some(head) = &self.head {
            text.extend([b"head ", head.as_slice(), b"\n"].concat());
        }
        if self.is_known {
            text.extend(b"known\n");
        }
        let mut line = |parts: &[&[u8]]| parts.iter().for_each(|part| text.extend_from_slice(part));
        for name in &self.seen {
            line(&[b"seen ", name, b"\n"]);
        }
        for (name, id) in &self.accepted {
            line(&[b"accepted ", id.to_hex_with_len(64).to_string().as_bytes(), b" ", name, b"\n"]);
        }
        for (name, id) in self.glimpsed.iter().flat_map(|(name, ids)| ids.iter().map(move |id| (name, id))) {
            line(&[b"glimpsed ", id.to_string().as_bytes(), b" ", name, b"\n"]);
        }
        for (name, Held { value, digest, words }) in &self.held {
            let value = value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            let start = format!("held {} {value} ", hex::encode(digest));
            // Whoever wrote the words, they are one line.
            text.extend([start.as_bytes(), name, b" ", escape(words).as_bytes(), b"\n"].concat());
        }
        text
    }
}

impl Store {
    /// The memories in `folder`, which need not exist.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What is remembered under `key`.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn load(&self, key: &str) -> Result<Memory, MemoryError> {
        let memory = self.own(key)?;
        if memory.repository.is_none() {
            return Ok(memory);
        }
        let facts = self.own(&memory.facts_key())?;
        Ok(memory.with(facts))
    }

    /// What stands in the file of `key` itself.
    fn own(&self, key: &str) -> Result<Memory, MemoryError> {
        let memory = read(&self.place(key).join(FILE))?;
        Ok(memory.unwrap_or_else(|| Memory::new(key)))
    }

    /// Note that `memory` was judged by a policy of `repository` with this serial.
    ///
    /// # Errors
    /// It was judged by that of another repository or by a newer one before, or nothing can be written.
    pub fn judged_by(
        &self,
        memory: Memory,
        repository: Option<&str>,
        serial: Option<u64>,
    ) -> Result<Memory, MemoryError> {
        let check = |memory: &Memory| {
            match &memory.repository {
                Some(before) if Some(before.as_str()) != repository => {
                    let (before, now) = (before.clone(), repository.map(str::to_owned));
                    return Err(MemoryError::OtherRepository { before, now });
                }
                _ => {}
            }
            match memory.serial.filter(|before| serial.is_none_or(|serial| serial < *before)) {
                Some(before) => Err(MemoryError::OlderPolicy { before, now: serial.unwrap_or(0) }),
                None => Ok(()),
            }
        };
        check(&memory)?;
        let is_noted = memory.repository.as_deref() == repository && memory.serial == serial;
        if is_noted && !memory.is_unverified {
            return Ok(memory);
        }
        let key = memory.key.clone();
        if memory.repository.as_deref() != repository {
            // From here on the facts of the repository are those of the address.
            let bind = |memory: &mut Memory| {
                check(memory)?;
                memory.repository = repository.map(str::to_owned);
                Ok(())
            };
            self.update(&key, bind)?;
        }
        self.update(&key, |memory| {
            check(memory)?;
            // The user's leave was for an address without a policy.
            memory.is_unverified = false;
            memory.serial = serial;
            Ok(())
        })
    }

    /// Every memory of an address, in the order of their keys.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn all(&self) -> Result<Vec<Memory>, MemoryError> {
        let failed = |source| MemoryError::Unreadable { path: self.folder.clone(), source };
        let listed = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(failed)?,
        };
        let mut memories = Vec::new();
        for entry in listed {
            let found = read(&entry.map_err(failed)?.path().join(FILE))?;
            let found = found.filter(Memory::is_of_address);
            memories.extend(found.map(|memory| self.load(&memory.key)).transpose()?);
        }
        memories.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(memories)
    }

    /// Change what is remembered under `key`, while nobody else does.
    ///
    /// # Errors
    /// What `change` says, and then nothing is changed; or the memory cannot be read or written.
    pub fn update(
        &self,
        key: &str,
        change: impl FnOnce(&mut Memory) -> Result<(), MemoryError>,
    ) -> Result<Memory, MemoryError> {
        let of_address = Change::begin(self, key)?;
        let facts_key = of_address.before.facts_key();
        // The address is always locked before the repository.
        let facts = of_address.before.repository.is_some().then(|| Change::begin(self, &facts_key));
        let mut memory = of_address.before.clone();
        let Some(facts) = facts.transpose()? else {
            change(&mut memory)?;
            of_address.write(&memory)?;
            return Ok(memory);
        };
        memory = memory.with(facts.before.clone());
        change(&mut memory)?;
        facts.write(&memory.of_repository())?;
        of_address.write(&memory.of_address())?;
        Ok(memory)
    }

    /// Forget everything about `key`, and about the repository that it is.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget(&self, key: &str) -> Result<(), MemoryError> {
        // One that cannot be read leads nowhere.
        let facts = self.own(key).ok().filter(|memory| memory.repository.is_some());
        for key in facts.map(|memory| memory.facts_key()).iter().map(String::as_str).chain([key]) {
            let folder = self.place(key);
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(MemoryError::Unwritable { path: folder, source: error });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The tips that count as bases.
    #[must_use]
    pub fn tips(&self, memory: &Memory) -> AcceptedTips {
        AcceptedTips::new(&self.place(&memory.facts_key()))
    }

    /// A repository for the policy that the remote keeps itself; its objects are those of every policy
    /// that it was seen with.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn policy_repository(&self, key: &str, hash: HashKind) -> io::Result<PathBuf> {
        let folder = self.place(key);
        system::make_own_folder(&folder)?;
        let git_dir = folder.join(format!("policy-{hash}.git"));
        if !git_dir.join("HEAD").exists() {
            make_repository(&git_dir, hash)?;
        }
        Ok(git_dir)
    }

    fn place(&self, key: &str) -> PathBuf {
        self.folder.join(hex::encode(sha256(&[key.as_bytes()])))
    }
}

/// A file that is being changed; nobody else can begin until this value is gone.
struct Change {
    before: Memory,
    path: PathBuf,
    lock: gix::lock::File,
}

impl Change {
    fn begin(store: &Store, key: &str) -> Result<Self, MemoryError> {
        let folder = store.place(key);
        let path = folder.join(FILE);
        system::make_own_folder(&folder)
            .map_err(|source| MemoryError::Unwritable { path: path.clone(), source })?;
        let wait = gix::lock::acquire::Fail::AfterDurationWithBackoff(PATIENCE);
        let lock = gix::lock::File::acquire_to_update_resource(&path, wait, None, 0)
            .map_err(|error| MemoryError::Locked { path: path.clone(), reason: error.to_string() })?;
        let before = store.own(key)?;
        Ok(Self { before, path, lock })
    }

    fn write(self, memory: &Memory) -> Result<(), MemoryError> {
        let Self { before, path, mut lock } = self;
        if *memory == before {
            return Ok(());
        }
        let unwritable = |source| MemoryError::Unwritable { path: path.clone(), source };
        lock.with_mut(|file| file.write_all(&memory.text())).map_err(unwritable)?;
        lock.commit().map(drop).map_err(|error| unwritable(error.error))
    }
}

fn read(path: &Path) -> Result<Option<Memory>, MemoryError> {
    let unreadable = |source| MemoryError::Unreadable { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(unreadable)?,
    };
    let mut text = Vec::new();
    file.take(MAXIMUM_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAXIMUM_BYTES {
        return Err(unreadable(io::Error::other("it is too large")));
    }
    Memory::parse(&text).map(Some).map_err(|line| MemoryError::Line { path: path.to_owned(), line })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let id = |digit: char| ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap();
        let held = |value| Held { value, digest: [7; 32], words: "it is 'not' signed \\u{a}".to_owned() };
        Memory {
            key: "https://example.com/a b".to_owned(),
            is_unverified: true,
            repository: Some("example.com/a".to_owned()),
            serial: Some(7),
            ledger: Some(id('c')),
            agreed: Some([8; 32]),
            head: Some("refs/heads/a".into()),
            is_known: true,
            seen: ["refs/heads/s".into()].into(),
            accepted: [("refs/heads/a".into(), id('a'))].into(),
            glimpsed: [("refs/heads/g".into(), vec![id('d'), id('e')])].into(),
            held: [("refs/heads/a".into(), held(Some(id('b')))), ("refs/tags/g".into(), held(None))].into(),
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_else() {
        assert_eq!(Memory::parse(&memory().text()), Ok(memory()));
        for damage in ["", "countersign remote 2\n", "countersign remote 1\nwhat\n", "countersign remote 1"] {
            assert!(Memory::parse(damage.as_bytes()).is_err(), "{damage:?}");
        }
        let text = String::from_utf8(memory().text()).unwrap();
        assert_eq!(Memory::parse(text.replace("accepted a", "accepted x").as_bytes()), Err(11));
    }

    #[test]
    fn two_addresses_of_one_repository_share_what_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (one, two): (ObjectId, ObjectId) =
            ("1".repeat(40).parse().unwrap(), "2".repeat(40).parse().unwrap());
        let accept = |key: &str, name: &str, id: ObjectId| {
            let accept = |memory: &mut Memory| {
                memory.accept(&name.into(), Some(id));
                Ok(())
            };
            store.update(key, accept).unwrap();
        };
        accept("a", "refs/heads/main", one);
        let judged =
            |key: &str, repository, serial| store.judged_by(store.load(key).unwrap(), repository, serial);
        judged("a", Some("example.com/r"), Some(3)).unwrap();
        assert_eq!(store.load("a").unwrap().accepted.len(), 1);
        accept("b", "refs/heads/topic", two);
        judged("b", Some("example.com/r"), Some(4)).unwrap();
        for key in ["a", "b"] {
            let memory = store.load(key).unwrap();
            assert_eq!((memory.key.as_str(), memory.accepted.len(), memory.serial), (key, 2, Some(4)));
        }
        assert_eq!(store.all().unwrap().len(), 2);
        let older = judged("a", Some("example.com/r"), Some(3));
        assert!(matches!(older, Err(MemoryError::OlderPolicy { before: 4, now: 3 })));
        for other in [Some("example.com/s"), None] {
            assert!(matches!(judged("a", other, Some(9)), Err(MemoryError::OtherRepository { .. })));
        }
        store.forget("b").unwrap();
        assert!(store.load("a").unwrap().accepted.is_empty());
    }

    #[test]
    fn a_change_is_whole_or_none_and_a_damaged_memory_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        assert!(store.load("k").unwrap().is_empty());
        let known = |memory: &mut Memory| {
            memory.is_known = true;
            Ok(())
        };
        store.update("k", known).unwrap();
        assert!(store.load("k").unwrap().is_known);
        let refused = store.update("k", |memory| {
            memory.is_unverified = true;
            Err(MemoryError::Changed("k".to_owned()))
        });
        assert!(matches!(refused, Err(MemoryError::Changed(_))));
        assert!(!store.load("k").unwrap().is_unverified);
        assert_eq!(store.all().unwrap().len(), 1);
        fs::write(store.place("k").join(FILE), "garbage").unwrap();
        assert!(matches!(store.load("k"), Err(MemoryError::Line { .. })));
        assert!(store.update("k", |_| Ok(())).is_err());
        store.forget("k").unwrap();
        assert!(store.load("k").unwrap().is_empty());
        store.forget("k").unwrap();
    }
}
