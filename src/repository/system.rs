//! What differs between systems: paths as bytes, and who may run or read a file.
//!
//! Hooks run on Unix only, where paths are bytes. Elsewhere a path is what can be written in UTF-8, and files have no
//! modes: everything compiles, and `countersign hook` says that it is not for there.

use std::{io, path::Path};

#[cfg(not(unix))]
pub use elsewhere::{OsStrExt, OsStringExt, PermissionsExt};
#[cfg(unix)]
pub use std::os::unix::{
    ffi::{OsStrExt, OsStringExt},
    fs::PermissionsExt,
};

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
        fs::Permissions,
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
