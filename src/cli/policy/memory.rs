//! What was seen before: for each pin the last commit that its policy was found at, so that a ref that is
//! set back is noticed in every clone.
//!
//! `<data>/countersign/policy/<digest of the pin>` holds the id of one commit. What cannot be written is
//! not remembered; what cannot be read is an error.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::PathBuf,
};

use crate::{cli::trust::store::make_folder, encoding::sha256, object::ObjectId, trust::Pin, words::Failure};

/// The longest file of ours, in bytes: an id and a line feed.
const MAXIMUM_BYTES: u64 = 65;

/// The folder of what was seen; `None` where there is no home.
pub(super) struct Memory {
    folder: Option<PathBuf>,
}

impl Memory {
    /// The memory of the user who runs this.
    pub(super) fn open() -> Self {
        let directories = directories::ProjectDirs::from("", "", "countersign");
        Self { folder: directories.map(|directories| directories.data_dir().join("policy")) }
    }

    fn path(&self, pin: &Pin) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(hex::encode(sha256(&[pin.to_string().as_bytes()]))))
    }

    /// The commit at which the policy of `pin` was seen last.
    pub(super) fn recall(&self, pin: &Pin) -> Result<Option<ObjectId>, Failure> {
        let Some(path) = self.path(pin) else { return Ok(None) };
        let failed = |reason: String| {
            Failure::new(
                format!(
                    "'{}', which tells what was seen of the policy, cannot be read: {reason}",
                    path.display()
                ),
                "mend it, or take it away and look at the policy with 'countersign policy show'",
            )
        };
        let mut bytes = Vec::new();
        match fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file
                .and_then(|file| file.take(MAXIMUM_BYTES + 1).read_to_end(&mut bytes))
                .map_err(|error| failed(error.to_string()))?,
        };
        let hex = bytes.strip_suffix(b"\n").unwrap_or_default();
        ObjectId::from_hex(hex).map(Some).map_err(|_| failed("it holds no object id".to_owned()))
    }

    /// Note that the policy of `pin` was seen at `commit`, as well as that can be done.
    pub(super) fn note(&self, pin: &Pin, commit: ObjectId) {
        if !matches!(self.recall(pin), Ok(Some(seen)) if seen == commit) {
            let _ = self.write(pin, commit);
        }
    }

    fn write(&self, pin: &Pin, commit: ObjectId) -> io::Result<()> {
        let (Some(folder), Some(path)) = (&self.folder, self.path(pin)) else { return Ok(()) };
        make_folder(folder).map_err(|failure| io::Error::other(failure.error))?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{commit}")?;
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Forget what was seen of the policy of `pin`.
    pub(super) fn forget(&self, pin: &Pin) -> Result<(), Failure> {
        let Some(path) = self.path(pin) else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::new(
                format!("'{}' cannot be removed: {error}", path.display()),
                "check its permissions",
            )),
            _ => Ok(()),
        }
    }
}
