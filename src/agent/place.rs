//! Where the agent's socket lies: in a folder that nobody but its user may enter.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use super::peer;

/// Why the place is not used. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// There is nothing.
    #[error("there is no agent")]
    Absent,
    /// Another agent is there.
    #[error("another agent is running")]
    Busy,
    /// It is of the wrong kind, such as a link.
    #[error("'{}' is not what it should be", .0.display())]
    Kind(PathBuf),
    /// Others may enter the folder.
    #[error("others may enter the folder '{}' (its mode is {mode:o})", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is somebody else's.
    #[error("'{}' belongs to the user {user}", path.display())]
    Owner {
        /// The folder or socket.
        path: PathBuf,
        /// The owner's number.
        user: u32,
    },
    /// The system's words.
    #[error("cannot use '{}': {reason}", path.display())]
    System {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// The folder of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
    name: String,
}

/// How many forwarded sockets a folder has room for.
const FORWARDED: usize = 8;
/// What the sockets begin with that an agent opens for signatures that are asked for elsewhere.
const RESTRICTED: &str = "restricted-";

/// The right to be the one agent of a place; it ends with this value.
#[derive(Debug)]
pub struct Claim {
    _file: File,
}

impl Place {
    /// The place in `folder`, which need not be there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, name: "agent.sock".to_owned() }
    }

    /// The place of the socket at `path`; `None` where that names no file in a folder.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
        path.is_absolute().then(|| Self { folder: folder.to_owned(), name: name.to_owned() })
    }

    /// Where in the folder of this place the sockets lie that were forwarded to here from elsewhere.
    pub fn forwarded(&self) -> impl Iterator<Item = Self> {
        (0..FORWARDED).map(|number| self.beside(format!("forwarded-{number}.sock")))
    }

    /// Where an agent at this place opens a socket for signatures that are asked for elsewhere.
    pub(super) fn restricted(&self, number: u64) -> Self {
        self.beside(format!("{RESTRICTED}{number}.sock"))
    }

    fn beside(&self, name: String) -> Self {
        Self { folder: self.folder.clone(), name }
    }

    /// The path of the socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Make the folder if it is not there, private to its user.
    ///
    /// # Errors
    /// It cannot be made, or is not private.
    pub fn prepare(&self) -> Result<(), PlaceError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.folder).map_err(system(&self.folder))?;
        self.check_folder()
    }

    /// Remove what an agent that is gone has left here.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn clear(&self) -> Result<(), PlaceError> {
        let socket = self.socket();
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(system(&socket)(error)),
            _ => Ok(()),
        }
    }

    /// Whether the folder is private and the socket in it ours.
    ///
    /// # Errors
    /// [`PlaceError::Absent`] where one of them is not there; else what is wrong with it.
    pub fn check(&self) -> Result<(), PlaceError> {
        self.check_folder()?;
        let socket = self.socket();
        let metadata = metadata(&socket)?;
        if !metadata.file_type().is_socket() {
            return Err(PlaceError::Kind(socket));
        }
        check_owner(&socket, &metadata)
    }

    fn check_folder(&self) -> Result<(), PlaceError> {
        let metadata = metadata(&self.folder)?;
        if !metadata.is_dir() {
            return Err(PlaceError::Kind(self.folder.clone()));
        }
        check_owner(&self.folder, &metadata)?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(PlaceError::Open { path: self.folder.clone(), mode });
        }
        Ok(())
    }

    /// Make the folder if it is not there, and become its one agent.
    pub(super) fn claim(&self) -> Result<Claim, PlaceError> {
        self.prepare()?;
        let path = self.folder.join("agent.lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(system(&path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Claim { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(PlaceError::Busy),
            Err(error) => Err(system(&path)(error.into())),
        }
    }

    /// Listen, in the place of whatever an agent that is gone has left.
    pub(super) fn listen(&self, _: &Claim) -> Result<UnixListener, PlaceError> {
        // Whoever was here before has forwarded to nowhere.
        for entry in fs::read_dir(&self.folder).map_err(system(&self.folder))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(RESTRICTED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        self.bind()
    }

    /// Listen at a socket of its own beside that of an agent.
    pub(super) fn bind(&self) -> Result<UnixListener, PlaceError> {
        let socket = self.socket();
        self.clear()?;
        let listener = UnixListener::bind(&socket).map_err(system(&socket))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&socket, mode).map_err(system(&socket))?;
        Ok(listener)
    }

    /// What tells one socket of this place from a later one.
    pub(super) fn mark(&self) -> Option<(u64, u64)> {
        fs::symlink_metadata(self.socket()).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
}

fn metadata(path: &Path) -> Result<fs::Metadata, PlaceError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(PlaceError::Absent),
        outcome => outcome.map_err(system(path)),
    }
}

fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), PlaceError> {
    if metadata.uid() == peer::user() {
        return Ok(());
    }
    Err(PlaceError::Owner { path: path.to_owned(), user: metadata.uid() })
}

fn system(path: &Path) -> impl Fn(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |reason| PlaceError::System { path: path.clone(), reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_place_is_private_and_has_one_agent() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path().join("run/countersign"));
        assert!(matches!(place.check(), Err(PlaceError::Absent)));
        let claim = place.claim().unwrap();
        assert!(matches!(place.check(), Err(PlaceError::Absent)), "nobody listens yet");
        let _listener = place.listen(&claim).unwrap();
        place.check().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&place.folder), mode(&place.socket())), (0o700, 0o600));
        assert!(matches!(place.claim(), Err(PlaceError::Busy)));
        let mark = place.mark();
        drop(claim);
        let claim = place.claim().unwrap();
        let _listener = place.listen(&claim).unwrap();
        assert!(mark.is_some() && place.mark() != mark);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path().join("place"));
        let claim = place.claim().unwrap();
        let _listener = place.listen(&claim).unwrap();
        for mode in [0o770, 0o707, 0o750, 0o701, 0o1777] {
            fs::set_permissions(&place.folder, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(place.check(), Err(PlaceError::Open { .. })), "{mode:o}");
            assert!(matches!(place.claim(), Err(PlaceError::Open { .. })), "{mode:o}");
        }
    }

    #[test]
    fn what_is_no_folder_or_no_socket_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let real = Place::new(directory.path().join("real"));
        let _claim = real.claim().unwrap();
        let link = directory.path().join("link");
        symlink(&real.folder, &link).unwrap();
        assert!(matches!(Place::new(link).check(), Err(PlaceError::Kind(_))));
        fs::write(real.socket(), "").unwrap();
        assert!(matches!(real.check(), Err(PlaceError::Kind(_))));
    }
}
