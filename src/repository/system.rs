//! What differs between systems: paths as bytes, whose a file is and who may run, read or write it, and locks.
//!
//! Hooks run on Unix only, where paths are bytes. Elsewhere a path is what can be written in UTF-8, and files have
//! neither modes nor owners that could be told: everything compiles, `countersign hook` says that it is not for
//! there, nothing counts as the user's own, and nothing is locked.

use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io,
    path::Path,
};

#[cfg(not(unix))]
pub use elsewhere::{MetadataExt, OsStrExt, OsStringExt, PermissionsExt};
#[cfg(unix)]
pub use std::os::unix::{
    ffi::{OsStrExt, OsStringExt},
    fs::{MetadataExt, PermissionsExt},
};

/// What becomes of a symbolic link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLink {
    /// What it leads to is opened.
    Followed,
    /// Nothing is opened.
    Refused,
}

/// The number of the user with whose rights this process acts; one that nobody has where users have no numbers.
#[must_use]
pub fn user() -> u32 {
    #[cfg(unix)]
    return rustix::process::geteuid().as_raw();
    #[cfg(not(unix))]
    u32::MAX
}

/// The number of the user who has started this process; one that nobody has where users have no numbers.
#[must_use]
pub fn real_user() -> u32 {
    #[cfg(unix)]
    return rustix::process::getuid().as_raw();
    #[cfg(not(unix))]
    u32::MAX
}

/// Whether a file is this user's, and nobody else may write it. Never so where that cannot be told.
#[must_use]
pub fn is_own(metadata: &Metadata) -> bool {
    belongs_to(metadata, &[user()])
}

/// [`is_own`], or the machine's administrator's alone.
#[must_use]
pub fn is_own_or_administrators(metadata: &Metadata) -> bool {
    belongs_to(metadata, &[user(), 0])
}

fn belongs_to(metadata: &Metadata, users: &[u32]) -> bool {
    cfg!(unix) && users.contains(&metadata.uid()) && metadata.permissions().mode() & 0o022 == 0
}

/// Gives the file at `path` to the user and group whose `model` is, where files belong to users.
///
/// # Errors
/// The system's: only its administrator may give a file away.
pub fn give_like(path: &Path, model: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    if std::fs::metadata(path)?.uid() != model.uid() {
        std::os::unix::fs::chown(path, Some(model.uid()), Some(model.gid()))?;
    }
    let (_, _) = (path, model);
    Ok(())
}

/// Makes the folder `path` and those above it that are missing; where files have modes nobody else can look into them.
///
/// # Errors
/// The system's.
pub fn make_own_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Whether both are of one file, under whatever names. Never so where that cannot be told.
#[must_use]
pub fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    #[cfg(unix)]
    return (one.dev(), one.ino()) == (other.dev(), other.ino());
    #[cfg(not(unix))]
    {
        let (_, _) = (one, other);
        false
    }
}

/// Whether this user may execute the file at `path`, wherever it is mounted; never where nobody asks git's hooks.
#[must_use]
pub fn may_execute(path: &Path) -> bool {
    #[cfg(unix)]
    return path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Opens a file that may have become something else: a pipe is not waited for, and a new file is the user's alone
/// where files have modes.
///
/// # Errors
/// The system's; or `path` is a symbolic link and `link` refuses those.
pub fn open_warily(options: &mut OpenOptions, path: &Path, link: LastLink) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        use rustix::fs::OFlags;

        let links = if link == LastLink::Refused { OFlags::NOFOLLOW } else { OFlags::empty() };
        options.mode(0o600).custom_flags((links | OFlags::NONBLOCK).bits().cast_signed());
    }
    #[cfg(not(unix))]
    if link == LastLink::Refused && path.is_symlink() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    options.open(path)
}

/// What a regular file of at most `maximum` bytes holds. Nothing else is read: a pipe is not waited for, and a device has
/// no end.
///
/// # Errors
/// The system's; or it is something else, or larger.
pub fn read_regular(path: &Path, maximum: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let file = open_warily(OpenOptions::new().read(true), path, LastLink::Followed)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    let taken = file.take(maximum.saturating_add(1)).read_to_end(&mut bytes)?;
    if taken as u64 > maximum { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Locks `file` for this process; `false` if another one holds it. It is free again when the file is closed.
///
/// # Errors
/// The system's; always where there are no such locks.
pub fn try_lock(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    return match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    };
    #[cfg(not(unix))]
    {
        let _ = file;
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// Frees `file`, also where a child that is being started has it open too.
///
/// # Errors
/// The system's; always where there are no such locks.
pub fn unlock(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    return Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock)?);
    #[cfg(not(unix))]
    {
        let _ = file;
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// [`try_lock`], waiting until it is free.
///
/// # Errors
/// The system's; always where there are no such locks.
pub fn lock(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    return Ok(rustix::fs::flock(file, rustix::fs::FlockOperation::LockExclusive)?);
    #[cfg(not(unix))]
    {
        let _ = file;
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// Sets who may do what with the file or folder at `path`, where files have modes.
///
/// # Errors
/// The system's.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    return std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    #[cfg(not(unix))]
    {
        let (_, _) = (path, mode);
        Ok(())
    }
}

/// Makes the symbolic link `link`, which leads to `target`.
///
/// # Errors
/// The system's; or it is one where not everybody may make them.
pub fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, link);
    #[cfg(not(unix))]
    {
        let (_, _) = (target, link);
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::{
        ffi::{OsStr, OsString},
        fs::{Metadata, Permissions},
    };

    /// A path as bytes.
    pub trait OsStrExt {
        /// Its bytes, in whatever form this system has them.
        fn as_bytes(&self) -> &[u8];
        /// What `bytes` name; nothing where they are no UTF-8.
        fn from_bytes(bytes: &[u8]) -> &Self;
    }

    impl OsStrExt for OsStr {
        fn as_bytes(&self) -> &[u8] {
            self.as_encoded_bytes()
        }

        fn from_bytes(bytes: &[u8]) -> &Self {
            OsStr::new(std::str::from_utf8(bytes).unwrap_or_default())
        }
    }

    /// A path of bytes.
    pub trait OsStringExt {
        /// What `bytes` name; nothing where they are no UTF-8.
        fn from_vec(bytes: Vec<u8>) -> Self;
    }

    impl OsStringExt for OsString {
        fn from_vec(bytes: Vec<u8>) -> Self {
            String::from_utf8(bytes).unwrap_or_default().into()
        }
    }

    /// Owners, of whom nothing is known.
    pub trait MetadataExt {
        /// The number of a user whom nobody is.
        fn uid(&self) -> u32;
        /// The number of a group in which nobody is.
        fn gid(&self) -> u32;
    }

    impl MetadataExt for Metadata {
        fn uid(&self) -> u32 {
            u32::MAX
        }

        fn gid(&self) -> u32 {
            u32::MAX
        }
    }

    /// Modes, of which there are none.
    pub trait PermissionsExt {
        /// As if the user alone could do everything.
        fn mode(&self) -> u32;
    }

    impl PermissionsExt for Permissions {
        fn mode(&self) -> u32 {
            0o700
        }
    }
}
