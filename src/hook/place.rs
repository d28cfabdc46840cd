//! Where one hook goes, and what becomes of the hook that is there: it is kept beside ours, and there is no moment
//! without a hook.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{
    HookName, InstallError,
    install::{is_executable, kept_path, read},
};
use crate::repository::system;

/// Where one hook goes, and what is there.
pub(super) struct Place {
    pub(super) name: HookName,
    pub(super) hook: PathBuf,
    /// Where a hook of somebody else's is kept.
    kept: PathBuf,
    /// What is there is somebody else's, and makes room.
    moves: bool,
    /// What runs first.
    pub(super) before: Option<PathBuf>,
}

impl Place {
    pub(super) fn find(hook: PathBuf, name: HookName) -> Result<Self, InstallError> {
        let kept = kept_path(&hook);
        let moves = moves(&hook, &kept, |text| name.is_shim(text))?;
        let runs_before = if moves { is_executable(&hook) } else { is_executable(&kept) };
        let before = runs_before.then(|| kept.clone());
        Ok(Self { name, hook, kept, moves, before })
    }

    pub(super) fn put(&self, text: &[u8]) -> Result<(), InstallError> {
        put(&self.hook, self.moves.then_some(&self.kept), text)
    }
}

/// Whether somebody else's hook is at `hook`, and makes room by being kept as `kept`.
///
/// # Errors
/// It cannot be read, or one is kept there already.
pub(super) fn moves(hook: &Path, kept: &Path, is_shim: impl Fn(&[u8]) -> bool) -> Result<bool, InstallError> {
    // A symbolic link that leads nowhere is somebody's too.
    let moves = match read(hook)? {
        Some(text) => !is_shim(&text),
        None => hook.symlink_metadata().is_ok(),
    };
    if moves && kept.symlink_metadata().is_ok() {
        return Err(InstallError::BeforeExists(kept.to_owned()));
    }
    Ok(moves)
}

/// Put a hook with `text` at `hook`, in one step: git finds the one that was there, or this one. What was there is
/// kept as `kept` before, if that is said.
///
/// # Errors
/// A file cannot be written; then what was there still is.
pub(super) fn put(hook: &Path, kept: Option<&PathBuf>, text: &[u8]) -> Result<(), InstallError> {
    let folder = hook.parent().expect("the hook is in a folder");
    let failed = |path: &Path, source: io::Error| InstallError::Io { path: path.to_owned(), source };
    fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|source| failed(hook, source))?;
    file.write_all(text).map_err(|source| failed(hook, source))?;
    system::set_mode(file.path(), 0o755).map_err(|source| failed(hook, source))?;
    if let Some(kept) = kept {
        keep(hook, kept).map_err(|source| failed(kept, source))?;
    }
    file.persist(hook).map(drop).map_err(|error| {
        // Or it would be in the way of the next try.
        kept.map(fs::remove_file);
        failed(hook, error.error)
    })
}

/// Give what is at `hook` the name `kept` besides.
fn keep(hook: &Path, kept: &Path) -> io::Result<()> {
    if hook.symlink_metadata()?.is_symlink() {
        return system::symlink(&fs::read_link(hook)?, kept);
    }
    match fs::hard_link(hook, kept) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has two names for one file, and not every file may get a second one.
        Err(_) => copy(hook, kept),
        Ok(()) => Ok(()),
    }
}

fn copy(hook: &Path, kept: &Path) -> io::Result<()> {
    let folder = kept.parent().expect("it is in the hook's folder");
    let mut from = File::open(hook)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::copy(&mut from, file.as_file_mut())?;
    file.as_file().set_permissions(from.metadata()?.permissions())?;
    file.persist_noclobber(kept).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    const SHIM: &str = "#!/bin/sh\n# countersign pre-receive shim 1\n";

    #[test]
    fn what_is_there_is_kept_and_at_no_moment_is_nothing_there() {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("pre-receive");
        fs::write(&hook, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o751)).unwrap();
        let looked = std::sync::atomic::AtomicBool::new(true);
        let number = hook.metadata().unwrap().ino();
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| {
                while looked.load(std::sync::atomic::Ordering::Relaxed) {
                    assert!(hook.symlink_metadata().is_ok(), "there was no hook");
                }
            });
            for _ in 0..200 {
                let place = Place::find(hook.clone(), HookName::PreReceive).unwrap();
                assert!(place.before.is_some());
                place.put(SHIM.as_bytes()).unwrap();
                assert_eq!(fs::read_to_string(&hook).unwrap(), SHIM);
                // It is the very file, and goes back as it was.
                assert_eq!(place.kept.metadata().unwrap().ino(), number);
                fs::rename(&place.kept, &hook).unwrap();
            }
            looked.store(false, std::sync::atomic::Ordering::Relaxed);
            looks.join().unwrap();
        });
        assert_eq!(hook.metadata().unwrap().mode() & 0o777, 0o751);
        copy(&hook, &folder.path().join("copied")).unwrap();
        let copied = folder.path().join("copied").metadata().unwrap();
        assert_eq!((copied.mode() & 0o777, copied.len()), (0o751, 10));
        assert!(copy(&hook, &folder.path().join("copied")).is_err(), "nothing is written over");
    }

    #[test]
    fn a_link_that_leads_nowhere_is_kept_and_writes_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("pre-receive");
        symlink("nowhere", &hook).unwrap();
        let place = Place::find(hook.clone(), HookName::PreReceive).unwrap();
        place.put(SHIM.as_bytes()).unwrap();
        assert_eq!(fs::read_link(&place.kept).unwrap(), Path::new("nowhere"));
        assert_eq!(fs::read_to_string(&hook).unwrap(), SHIM);
        // What is kept from before stays, whatever has taken the hook's place since.
        fs::remove_file(&hook).unwrap();
        symlink("elsewhere", &hook).unwrap();
        let found = Place::find(hook.clone(), HookName::PreReceive);
        assert!(matches!(found, Err(InstallError::BeforeExists(_))));
        assert_eq!(fs::read_link(&place.kept).unwrap(), Path::new("nowhere"));
        // Where the hook cannot be put in its place, nothing is left in the way.
        fs::remove_file(&place.kept).unwrap();
        fs::remove_file(&hook).unwrap();
        fs::create_dir(&hook).unwrap();
        fs::write(hook.join("x"), "").unwrap();
        assert!(put(&hook, None, SHIM.as_bytes()).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
