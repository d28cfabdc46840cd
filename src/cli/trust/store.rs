//! The user's data folder: the trusted roots that were accepted, each in the folder of its instance.
//!
//! ```text
//! <data>/countersign/trust/<name>/trusted_root.json    the root in use
//!                                 accepted.json        where it came from, and when
//!                                 attempt.json         the last update that was tried
//!                                 tuf/repository.json  where updates come from
//!                                 tuf/root.json        the pinned TUF root they begin with
//!                                 tuf/cache/           metadata that was verified
//! ```
//!
//! Each file is replaced as a whole, and nobody else may read or write any of them.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    encoding::sha256,
    repository::{Durability, system, write_whole},
    service::tuf::{self, MAXIMUM_PINNED_BYTES},
    sigstore::trusted_root::MAXIMUM_ROOT_BYTES,
    words::Failure,
};

/// The longest folder name that an instance gets, in bytes.
const MAXIMUM_FOLDER_NAME: usize = 200;
/// The largest record of our own, in bytes.
const MAXIMUM_RECORD_BYTES: usize = 64 * 1024;

const TRUSTED_ROOT: &str = "trusted_root.json";
const ACCEPTED: &str = "accepted.json";
const ATTEMPT: &str = "attempt.json";
const REPOSITORY: &str = "tuf/repository.json";
const PINNED: &str = "tuf/root.json";
const CACHE: &str = "tuf/cache";

/// The folder of all accepted roots.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Store {
    folder: PathBuf,
}

/// The folder of one instance; it need not be there.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Entry {
    pub(in crate::cli) name: String,
    folder: PathBuf,
}

/// An instance in the making; it goes away with this value unless it takes its place.
#[derive(Debug)]
pub(in crate::cli) struct Scratch {
    folder: tempfile::TempDir,
    entry: Entry,
}

impl Scratch {
    /// The folder to fill.
    pub(in crate::cli) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Put what was made in the place of `entry`.
    pub(in crate::cli) fn take_place_of(self, entry: &Entry) -> Result<(), Failure> {
        let failed = |error| unwritable(&entry.folder, &error);
        if entry.exists() {
            fs::rename(&entry.folder, self.folder.path().join("old")).map_err(failed)?;
        }
        fs::rename(&self.entry.folder, &entry.folder).map_err(failed)
    }
}

/// Where an accepted root came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(in crate::cli) enum Source {
    /// A file that the user named.
    File,
    /// Certificate and key files that the user named.
    Keys,
    /// A TUF repository.
    Tuf {
        /// Where it is.
        url: String,
    },
}

/// What is known of an accepted root besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Record {
    version: u32,
    pub(in crate::cli) source: Source,
    /// SHA-256 of the root's bytes, hexadecimal.
    sha256: String,
    /// When the root replaced another, in seconds since 1970.
    pub(in crate::cli) accepted: i64,
    /// When it was last known to be the newest one, in seconds since 1970.
    pub(in crate::cli) checked: i64,
    /// The versions of TUF's root and timestamp that named it.
    #[serde(default)]
    versions: Option<(u64, u64)>,
}

/// An accepted root.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Accepted {
    /// The JSON text.
    pub(in crate::cli) json: String,
    /// The record, if it is this root's.
    pub(in crate::cli) record: Option<Record>,
    /// When the root was last known to be the newest one, in seconds since 1970.
    pub(in crate::cli) since: i64,
}

/// The last update that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Attempt {
    /// When, in seconds since 1970.
    pub(in crate::cli) at: i64,
    /// Why it came to nothing, if it did.
    #[serde(default)]
    pub(in crate::cli) error: Option<String>,
}

/// Where updates of an instance come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Repository {
    /// The address.
    pub(in crate::cli) url: String,
    /// The TUF root to begin with.
    pub(in crate::cli) root: Vec<u8>,
    /// Pinned by the user, not built in.
    pub(in crate::cli) is_pinned: bool,
}

#[derive(Serialize, Deserialize)]
struct RepositoryRecord {
    version: u32,
    url: String,
}

impl Store {
    /// The store of the user who runs this; `None` where there is no home.
    pub(in crate::cli) fn open() -> Option<Self> {
        let directories = directories::ProjectDirs::from("", "", "countersign")?;
        Some(Self { folder: directories.data_dir().join("trust") })
    }

    /// The folder of the instance `name`; `None` for a name that is too long for one.
    pub(in crate::cli) fn entry(&self, name: &str) -> Option<Entry> {
        let folder = folder_name(name);
        let fits = !name.is_empty() && folder.len() <= MAXIMUM_FOLDER_NAME;
        fits.then(|| Entry { name: name.to_owned(), folder: self.folder.join(folder) })
    }

    /// A folder beside the others in which the instance `name` is made before it counts.
    pub(in crate::cli) fn scratch(&self, name: &str) -> Result<Scratch, Failure> {
        make_folder(&self.folder)?;
        let folder = tempfile::Builder::new()
            .prefix(".adding-")
            .tempdir_in(&self.folder)
            .map_err(|error| unwritable(&self.folder, &error))?;
        let entry = Entry { name: name.to_owned(), folder: folder.path().join("new") };
        Ok(Scratch { folder, entry })
    }

    /// The names of the instances that have a folder, in order.
    pub(in crate::cli) fn names(&self) -> Result<Vec<String>, Failure> {
        let failed = |error| unreadable(&self.folder, &error);
        let listed = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in listed {
            let entry = entry.map_err(failed)?;
            names.extend(entry.file_name().to_str().and_then(instance_name));
        }
        names.sort();
        Ok(names)
    }
}

impl Entry {
    /// Whether anything is kept for the instance.
    pub(in crate::cli) fn exists(&self) -> bool {
        self.folder.is_dir()
    }

    /// The accepted root, if there is one.
    pub(in crate::cli) fn accepted(&self) -> Result<Option<Accepted>, Failure> {
        let path = self.path();
        let Some(bytes) = read(&path, MAXIMUM_ROOT_BYTES)? else { return Ok(None) };
        let record: Option<Record> = self.record(ACCEPTED)?;
        // The two files are replaced one after the other: a record may be that of the root before.
        let digest = hex::encode(sha256(&[&bytes]));
        let record = record.filter(|record| record.version == 1 && record.sha256 == digest);
        let json = String::from_utf8(bytes).map_err(|_| {
            Failure::new(
                format!("the trusted root '{}' is not text", path.display()),
                format!("run 'countersign trust remove {}', and add it again", self.name),
            )
        })?;
        let since = match &record {
            Some(record) => record.checked,
            None => modified(&path)?,
        };
        Ok(Some(Accepted { json, record, since }))
    }

    /// Where the accepted root lies.
    pub(in crate::cli) fn path(&self) -> PathBuf {
        self.folder.join(TRUSTED_ROOT)
    }

    /// Put `json` in the place of the accepted root; if it is there already, only note that it was seen.
    ///
    /// The caller has loaded it: nothing is accepted here that cannot be used.
    pub(in crate::cli) fn accept(&self, json: &str, source: Source, now: i64) -> Result<(), Failure> {
        self.replace(json, source, None, now)
    }

    /// [`Self::accept`] what `update` brought from the repository at `url`. `false` if another update has
    /// brought something newer in the meantime, which then stays.
    pub(in crate::cli) fn accept_update(
        &self,
        json: &str,
        url: &str,
        update: &tuf::Update,
        now: i64,
    ) -> Result<bool, Failure> {
        let versions = (update.root, update.timestamp);
        let source = Source::Tuf { url: url.to_owned() };
        let before = self.accepted()?.and_then(|accepted| accepted.record);
        let newer = before.filter(|record| record.source == source).and_then(|record| record.versions);
        // A new TUF root may begin the other versions again, but none comes before an older root's.
        if newer.is_some_and(|newer| newer > versions) {
            return Ok(false);
        }
        self.replace(json, source, Some(versions), now)?;
        Ok(true)
    }

    fn replace(
        &self,
        json: &str,
        source: Source,
        versions: Option<(u64, u64)>,
        now: i64,
    ) -> Result<(), Failure> {
        let before = self.accepted()?;
        let unchanged = before.as_ref().filter(|before| before.json == json);
        let accepted = unchanged
            .and_then(|before| before.record.as_ref())
            .map_or(now, |record| record.accepted.min(now));
        if unchanged.is_none() {
            self.write(TRUSTED_ROOT, json.as_bytes())?;
        }
        let sha256 = hex::encode(sha256(&[json.as_bytes()]));
        self.write_record(ACCEPTED, &Record { version: 1, source, sha256, accepted, checked: now, versions })
    }

    /// Where updates come from: the pinned repository, else the one that is built in.
    pub(in crate::cli) fn repository(&self) -> Result<Option<Repository>, Failure> {
        let pinned: Option<RepositoryRecord> = self.record(REPOSITORY)?;
        match pinned {
            Some(record) => {
                let root = read(&self.folder.join(PINNED), MAXIMUM_PINNED_BYTES)?.ok_or_else(|| {
                    Failure::new(
                        format!("the pinned TUF root of '{}' is not there", self.name),
                        format!("run 'countersign trust pin {} --tuf-root FILE'", self.name),
                    )
                })?;
                Ok(Some(Repository { url: record.url, root, is_pinned: true }))
            }
            None => Ok(tuf::built_in(&self.name).map(|(url, root)| Repository {
                url: url.to_owned(),
                root: root.to_vec(),
                is_pinned: false,
            })),
        }
    }

    /// Let updates come from `url`, beginning with `root`. What was seen of another repository, or under
    /// another root, is forgotten.
    pub(in crate::cli) fn pin(&self, url: &str, root: &[u8]) -> Result<(), Failure> {
        let cache = self.folder.join(CACHE);
        match fs::remove_dir_all(&cache) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(&cache, &error)),
            _ => {}
        }
        // Versions of another root's repository say nothing of this one's.
        if let Some(record) = self.accepted()?.and_then(|accepted| accepted.record) {
            self.write_record(ACCEPTED, &Record { versions: None, ..record })?;
        }
        self.write(PINNED, root)?;
        self.write_record(REPOSITORY, &RepositoryRecord { version: 1, url: url.to_owned() })
    }

    /// The folder in which TUF keeps what it has verified; made if it is not there.
    pub(in crate::cli) fn cache(&self) -> Result<PathBuf, Failure> {
        let cache = self.folder.join(CACHE);
        make_folder(&cache)?;
        Ok(cache)
    }

    /// The last update that was tried; an unreadable note of it counts as none.
    pub(in crate::cli) fn attempt(&self) -> Option<Attempt> {
        self.record(ATTEMPT).ok().flatten()
    }

    /// Note that an update is being tried, or what it came to.
    pub(in crate::cli) fn note_attempt(&self, attempt: &Attempt) -> Result<(), Failure> {
        self.write_record(ATTEMPT, attempt)
    }

    /// Forget everything about the instance.
    pub(in crate::cli) fn remove(&self) -> Result<(), Failure> {
        fs::remove_dir_all(&self.folder).map_err(|error| unwritable(&self.folder, &error))
    }

    fn record<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let path = self.folder.join(name);
        let Some(bytes) = read(&path, MAXIMUM_RECORD_BYTES)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Failure::new(
                format!("'{}' cannot be understood: {error}", path.display()),
                format!("run 'countersign trust remove {}', and add it again", self.name),
            )
        })
    }

    fn write_record(&self, name: &str, record: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_vec_pretty(record)
            .map_err(|error| unwritable(&self.folder.join(name), &io::Error::other(error)))?;
        self.write(name, &json)
    }

    /// Write one file in a step that either happens or does not. The temporary file, and with it the
    /// final one, belongs to its owner alone.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        make_folder(folder)?;
        write_whole(&path, bytes, Durability::Disk).map_err(|error| unwritable(&path, &error))
    }
}

/// Make a folder, and those above it, that only its owner may enter.
pub(in crate::cli) fn make_folder(folder: &Path) -> Result<(), Failure> {
    system::make_own_folder(folder).map_err(|error| unwritable(folder, &error))
}

/// Read a file of at most `limit` bytes; `None` if there is none.
fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
    let mut bytes = Vec::new();
    match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened
            .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| unreadable(path, &error))?,
    };
    if bytes.len() > limit {
        return Err(unreadable(path, &io::Error::other(format!("it is larger than {limit} bytes"))));
    }
    Ok(Some(bytes))
}

/// When a file was last written, in seconds since 1970.
pub(in crate::cli) fn modified(path: &Path) -> Result<i64, Failure> {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let modified = modified.map_err(|error| unreadable(path, &error))?;
    let elapsed = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("'{}' cannot be read: {error}", path.display()),
        "check the path and its permissions",
    )
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("'{}' cannot be written: {error}", path.display()),
        "check the space and the permissions there",
    )
}

/// Folder names are told apart whatever the file system thinks of case: all but small letters, digits,
/// `-`, `_` and an inner `.` is written as `%` and two digits.
fn folder_name(name: &str) -> String {
    let mut folder = String::new();
    for (index, byte) in name.bytes().enumerate() {
        let is_plain = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') || (byte == b'.' && index > 0);
        if is_plain {
            folder.push(char::from(byte));
        } else {
            folder.push_str(&format!("%{byte:02x}"));
        }
    }
    folder
}

/// The instance that has this folder; `None` for folders that are not ours.
fn instance_name(folder: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = folder.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|name| folder_name(name) == folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store { folder: directory.path().join("countersign/trust") };
        (directory, store)
    }

    #[test]
    fn every_name_has_a_folder_of_its_own() {
        for name in ["public-good", "our own.instance", "../../etc", ".hidden", "Corp", "corp", "Zoë", "a%b"]
        {
            let folder = folder_name(name);
            assert!(!folder.contains(['/', '\\']) && !folder.starts_with('.'), "{folder}");
            assert_eq!(folder, folder.to_lowercase());
            assert_eq!(instance_name(&folder).as_deref(), Some(name));
        }
        for folder in [".tmpabc", "Corp", "%zz", "a%2", "%61"] {
            assert_eq!(instance_name(folder), None, "{folder}");
        }
        let (_directory, store) = store();
        assert!(store.entry("").is_none());
        assert!(store.entry(&"x".repeat(201)).is_none());
    }

    #[test]
    fn what_was_accepted_is_found_again_and_is_nobody_elses() {
        let (_directory, store) = store();
        assert_eq!(store.names().unwrap(), Vec::<String>::new());
        let entry = store.entry("corp").unwrap();
        assert!(entry.accepted().unwrap().is_none());
        entry.accept("{}", Source::File, 100).unwrap();
        entry.accept("{}", Source::File, 200).unwrap();
        let accepted = entry.accepted().unwrap().unwrap();
        assert_eq!((accepted.json.as_str(), accepted.since), ("{}", 200));
        assert_eq!(accepted.record.unwrap().accepted, 100, "it has not changed since");
        assert_eq!(store.names().unwrap(), ["corp"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&entry.path()), 0o600);
            assert_eq!(mode(&entry.folder.join(ACCEPTED)), 0o600);
            assert_eq!(mode(&entry.folder), 0o700);
            assert_eq!(mode(&store.folder), 0o700);
        }
    }

    #[test]
    fn a_record_of_another_root_tells_nothing() {
        let (_directory, store) = store();
        let entry = store.entry("corp").unwrap();
        entry.accept("{}", Source::File, 100).unwrap();
        fs::write(entry.path(), "{ }").unwrap();
        let accepted = entry.accepted().unwrap().unwrap();
        assert!(accepted.record.is_none());
        assert!(accepted.since > 100, "the file's own time");
    }

    #[test]
    fn an_update_that_was_overtaken_replaces_nothing() {
        let (_directory, store) = store();
        let entry = store.entry("corp").unwrap();
        let update = |root, timestamp| tuf::Update { trusted_root: Vec::new(), root, timestamp };
        assert!(entry.accept_update("new", "https://t", &update(2, 5), 100).unwrap());
        assert!(!entry.accept_update("old", "https://t", &update(2, 4), 101).unwrap());
        assert!(!entry.accept_update("old", "https://t", &update(1, 9), 101).unwrap());
        assert_eq!(entry.accepted().unwrap().unwrap().json, "new");
        assert!(entry.accept_update("next", "https://t", &update(3, 1), 102).unwrap());
        assert!(entry.accept_update("other", "https://u", &update(1, 1), 103).unwrap());
    }
}
