//! What was seen before: for each pin the last commit that its policy was found at, so that a ref that is
//! set back is noticed in every clone.
//!
//! `<data>/countersign/policy/<digest of the pin>` holds the id of one commit, and
//! `<data>/countersign/repositories/<digest of its path>` by which repository's policy one was judged,
//! so that no other one's is slipped in. What cannot be written is not remembered; what cannot be read is an
//! error.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    cli::trust::store::make_folder,
    encoding::sha256,
    object::ObjectId,
    policy::is_repository_id,
    repository::{Durability, write_whole},
    trust::Pin,
    words::Failure,
};

/// The longest file of ours, in bytes: an id of a repository and a line feed.
const MAXIMUM_BYTES: u64 = 201;

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

    /// Where it is noted whose policy the repository in `folder` was judged by.
    fn path_of(&self, folder: &Path) -> Option<PathBuf> {
        let place = folder.canonicalize().ok()?;
        let digest = hex::encode(sha256(&[place.as_os_str().as_encoded_bytes()]));
        Some(self.folder.as_ref()?.with_file_name("repositories").join(digest))
    }

    /// The commit at which the policy of `pin` was seen last.
    pub(super) fn recall(&self, pin: &Pin) -> Result<Option<ObjectId>, Failure> {
        read(self.path(pin), "object id", |line| ObjectId::from_hex(line).ok())
    }

    /// The id of the repository whose policy was last used for the repository in `folder`.
    pub(super) fn recall_repository(&self, folder: &Path) -> Result<Option<String>, Failure> {
        read(self.path_of(folder), "id of a repository", |line| {
            std::str::from_utf8(line).ok().filter(|id| is_repository_id(id)).map(str::to_owned)
        })
    }

    /// Note that the policy of `pin` was seen at `commit`, as well as that can be done.
    pub(super) fn note(&self, pin: &Pin, commit: ObjectId) {
        if !matches!(self.recall(pin), Ok(Some(seen)) if seen == commit) {
            let _ = write(self.path(pin), &commit.to_string());
        }
    }

    /// Note that the repository in `folder` was judged by the policy of `pin`, as well as that can be done.
    pub(super) fn note_repository(&self, folder: &Path, pin: &Pin) {
        if !matches!(self.recall_repository(folder), Ok(Some(seen)) if seen == pin.repository) {
            let _ = write(self.path_of(folder), &pin.repository);
        }
    }

    /// Forget what was seen of the policy of `pin`.
    pub(super) fn forget(&self, pin: &Pin) -> Result<(), Failure> {
        remove(self.path(pin))
    }

    /// Forget whose policy the repository in `folder` was judged by.
    pub(super) fn forget_repository(&self, folder: &Path) -> Result<(), Failure> {
        remove(self.path_of(folder))
    }
}

fn remove(path: Option<PathBuf>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::new(
            format!("'{}' cannot be removed: {error}", path.display()),
            "check its permissions",
        )),
        _ => Ok(()),
    }
}

/// The line in `path`, as `parse` reads it; `None` where there is no such file.
fn read<T>(
    path: Option<PathBuf>,
    what: &str,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let Some(path) = path else { return Ok(None) };
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
    let line = bytes.strip_suffix(b"\n").unwrap_or_default();
    parse(line).map(Some).ok_or_else(|| failed(format!("it holds no {what}")))
}

fn write(path: Option<PathBuf>, line: &str) -> io::Result<()> {
    let Some((path, folder)) = path.as_deref().and_then(|path| Some((path, path.parent()?))) else {
        return Ok(());
    };
    make_folder(folder).map_err(|failure| io::Error::other(failure.error))?;
    write_whole(path, format!("{line}\n").as_bytes(), Durability::Disk)
}
