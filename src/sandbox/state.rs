//! What the authority keeps between runs: a folder with keys, certificates, settings and log entries.
//!
//! ```text
//! settings.json        version, time of creation, tree id, port
//! keys/NAME.p8         PKCS#8 DER, mode 0600 in a folder of mode 0700
//! certificates/NAME.der
//! rekor-v1.jsonl       one entry a line, appended to
//! rekor-v2.jsonl
//! ```

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::key::{KeyAlgorithm, KeyError, SigningKey, random};

/// The version of the folder's form.
const VERSION: u32 = 1;

/// The state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A line of a log, not the last one, is damaged.
    #[error("line {line} of '{}' is damaged", path.display())]
    Entry {
        /// The log.
        path: PathBuf,
        /// Counted from one.
        line: usize,
    },
    /// A log grew or shrank behind the authority's back.
    #[error("'{}' was changed by somebody else", path.display())]
    Changed {
        /// The log.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("'{}' could not be read or written: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are files in the folder, but none of an authority.
    #[error("'{}' is not empty and not the state of an authority", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// A key is damaged, or could not be made.
    #[error("the key '{name}': {source}")]
    Key {
        /// The key's name.
        name: String,
        /// Why.
        source: KeyError,
    },
    /// A key or certificate of an authority that has been set up is gone.
    #[error("'{}' is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The settings are damaged or of another version.
    #[error("'{}' could not be understood", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
    },
}

/// What an authority is, apart from keys and entries.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Settings {
    version: u32,
    /// Seconds since 1970.
    pub(super) created: i64,
    /// The id of the tree of the Rekor v1 log.
    pub(super) tree_id: u64,
    /// The port of the last run.
    pub(super) port: Option<u16>,
}

/// An entry of a log, as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct StoredEntry {
    pub(super) body: Vec<u8>,
    /// Seconds since 1970.
    pub(super) integrated_time: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Line {
    body: String,
    integrated_time: i64,
}

/// The folder, or its absence.
#[derive(Debug)]
pub(super) struct State {
    folder: Option<PathBuf>,
    /// Whether there was no state yet, so that keys may be made.
    fresh: bool,
    pub(super) settings: Settings,
    /// Entries that a run which was cut off had not written to their end.
    pub(super) torn: Vec<PathBuf>,
}

impl State {
    /// Opens the folder, which is made when it is not there; without one everything is in memory.
    ///
    /// A new state is one only when [`Self::write_settings`] has ended what set it up.
    pub(super) fn open(folder: Option<&Path>, now: i64) -> Result<Self, StateError> {
        // Tree ids are positive 64-bit numbers in Rekor v1.
        let tree_id = u64::from_be_bytes(random()) >> 1 | 1 << 62;
        let mut settings = Settings { version: VERSION, created: now, tree_id, port: None };
        let Some(folder) = folder else {
            return Ok(Self { folder: None, fresh: true, settings, torn: Vec::new() });
        };
        create_private_folder(folder)?;
        let path = folder.join("settings.json");
        let text = read(&path)?;
        let fresh = text.is_none();
        match text {
            Some(text) => {
                settings =
                    serde_json::from_slice(&text).map_err(|_| StateError::Settings { path: path.clone() })?;
                if settings.version != VERSION {
                    return Err(StateError::Settings { path });
                }
            }
            None => {
                let mut files = std::fs::read_dir(folder).map_err(file_error(folder))?;
                if files.next().is_some() {
                    return Err(StateError::Foreign { path: folder.to_owned() });
                }
            }
        }
        create_private_folder(&folder.join("keys"))?;
        create_private_folder(&folder.join("certificates"))?;
        Ok(Self { folder: Some(folder.to_owned()), fresh, settings, torn: Vec::new() })
    }

    /// Writes the settings as they are now.
    pub(super) fn write_settings(&self) -> Result<(), StateError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let text = serde_json::to_vec_pretty(&self.settings).expect("numbers serialise");
        write(&folder.join("settings.json"), &text)
    }

    /// The key with this name, made when there is none.
    pub(super) fn key(&self, name: &str, algorithm: KeyAlgorithm) -> Result<SigningKey, StateError> {
        let key_error = |source| StateError::Key { name: name.to_owned(), source };
        let Some(folder) = &self.folder else { return SigningKey::generate(algorithm).map_err(key_error) };
        let path = folder.join("keys").join(format!("{name}.p8"));
        if let Some(pkcs8) = read(&path)? {
            let pkcs8 = zeroize::Zeroizing::new(pkcs8);
            return SigningKey::from_pkcs8(algorithm, &pkcs8).map_err(key_error);
        }
        // A new key for an old tree would speak for what it never signed.
        if !self.fresh {
            return Err(StateError::Missing { path });
        }
        let key = SigningKey::generate(algorithm).map_err(key_error)?;
        write(&path, key.pkcs8_der())?;
        Ok(key)
    }

    /// The kept certificate with this name, DER; none when the state is new.
    pub(super) fn certificate(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = folder.join("certificates").join(format!("{name}.der"));
        match read(&path)? {
            None if !self.fresh => Err(StateError::Missing { path }),
            certificate => Ok(certificate),
        }
    }

    /// Keeps a certificate, DER.
    pub(super) fn keep_certificate(&self, name: &str, der: &[u8]) -> Result<(), StateError> {
        match &self.folder {
            Some(folder) => write(&folder.join("certificates").join(format!("{name}.der")), der),
            None => Ok(()),
        }
    }

    /// The entries of a log and the place where further ones go.
    ///
    /// A last line without its end is what a run leaves that is cut off while writing. Nobody was told
    /// of that entry, so it is taken away and reported in [`Self::torn`].
    pub(super) fn log(&mut self, name: &str) -> Result<(Vec<StoredEntry>, EntryFile), StateError> {
        let Some(folder) = &self.folder else { return Ok((Vec::new(), EntryFile::default())) };
        let path = folder.join(format!("{name}.jsonl"));
        let mut file = private_file().append(true).open(&path).map_err(file_error(&path))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(file_error(&path))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(file_error(&path))?;
            text.truncate(whole);
            self.torn.push(path.clone());
        }
        let mut entries = Vec::new();
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let damaged = || StateError::Entry { path: path.clone(), line: index + 1 };
            let line: Line = serde_json::from_slice(line).map_err(|_| damaged())?;
            let body = STANDARD.decode(line.body).map_err(|_| damaged())?;
            entries.push(StoredEntry { body, integrated_time: line.integrated_time });
        }
        Ok((entries, EntryFile { file: Some((file, path)), length: whole as u64 }))
    }

    /// Writes a file into the folder, when there is one.
    pub(super) fn publish(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        match &self.folder {
            Some(folder) => write(&folder.join(name), content),
            None => Ok(()),
        }
    }
}

/// Where the entries of one log are appended.
#[derive(Debug, Default)]
pub(super) struct EntryFile {
    file: Option<(File, PathBuf)>,
    length: u64,
}

impl EntryFile {
    /// Appends one entry.
    pub(super) fn append(&mut self, entry: &StoredEntry) -> Result<(), StateError> {
        let Some((file, path)) = &mut self.file else { return Ok(()) };
        let line = Line { body: STANDARD.encode(&entry.body), integrated_time: entry.integrated_time };
        let mut line = serde_json::to_vec(&line).expect("texts and numbers serialise");
        line.push(b'\n');
        // Two authorities on one folder would grow two trees with one name.
        if file.metadata().map_err(file_error(path))?.len() != self.length {
            return Err(StateError::Changed { path: path.clone() });
        }
        file.write_all(&line).map_err(file_error(path))?;
        self.length += line.len() as u64;
        Ok(())
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    |source| StateError::File { path, source }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(path)(error)),
    }
}

/// Writes a whole file under another name first, so that nobody ever reads half of it.
fn write(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = private_file().write(true).truncate(true).open(&new).map_err(file_error(&new))?;
    file.write_all(content).map_err(file_error(&new))?;
    std::fs::rename(&new, path).map_err(file_error(path))
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

fn create_private_folder(path: &Path) -> Result<(), StateError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(file_error(path))
}
