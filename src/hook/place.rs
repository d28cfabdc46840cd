//! Where one hook goes, and what becomes of the hook that is there: it is kept beside ours, and there is no moment
//! without a hook.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use gix::bstr::ByteSlice as _;

use super::{InstallError, Uninstalled};
use crate::repository::system::{self, PermissionsExt as _};

/// What is added to the name of a hook that was there before; it is kept beside the shim.
const BEFORE: &str = ".before-countersign";

/// Where one hook goes, and what is there.
pub(super) struct Place {
    pub(super) hook: PathBuf,
    /// Where a hook of somebody else's is kept.
    kept: PathBuf,
    /// What is there is somebody else's, and makes room.
    moves: bool,
    /// What runs first.
    pub(super) before: Option<PathBuf>,
}

impl Place {
    /// Look at what is at `hook`.
    ///
    /// # Errors
    /// It cannot be read, or somebody else's has to make room and one is kept already.
    pub(super) fn find(hook: PathBuf, is_shim: &dyn Fn(&[u8]) -> bool) -> Result<Self, InstallError> {
        let kept = kept_path(&hook);
        // A symbolic link that leads nowhere is somebody's too.
        let moves = match read(&hook)? {
            Some(text) => !is_shim(&text),
            None => hook.symlink_metadata().is_ok(),
        };
        if moves && kept.symlink_metadata().is_ok() {
            return Err(InstallError::BeforeExists(kept));
        }
        let runs_first = if moves { &hook } else { &kept };
        let before = is_executable(runs_first).then(|| kept.clone());
        if before.is_some() && asks_for_its_name(runs_first) {
            return Err(InstallError::GoesByItsName { hook: runs_first.clone(), kept });
        }
        Ok(Self { hook, kept, moves, before })
    }

    /// Put a hook with `text` there.
    ///
    /// # Errors
    /// A file cannot be written; then what was there still is.
    pub(super) fn put(&self, text: &[u8]) -> Result<(), InstallError> {
        put(&self.hook, self.moves.then_some(&self.kept), text)
    }
}

/// Take the hook at `hook` out, if it is ours, and put the one that was there before back in its place.
///
/// # Errors
/// A file cannot be read or moved.
pub(super) fn take_out(hook: &Path, is_shim: &dyn Fn(&[u8]) -> bool) -> Result<Uninstalled, InstallError> {
    if !read(hook)?.is_some_and(|text| is_shim(&text)) {
        return Ok(Uninstalled::Nothing);
    }
    let kept = kept_path(hook);
    let failed = |source: io::Error| InstallError::Io { path: hook.to_owned(), source };
    if kept.symlink_metadata().is_ok() {
        fs::rename(&kept, hook).map_err(failed)?;
        Ok(Uninstalled::Restored)
    } else {
        fs::remove_file(hook).map_err(failed)?;
        Ok(Uninstalled::Removed)
    }
}

/// Where a hook is kept that was there before.
pub(super) fn kept_path(hook: &Path) -> PathBuf {
    let mut name = hook.as_os_str().to_owned();
    name.push(BEFORE);
    name.into()
}

/// What a file holds; nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, InstallError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(InstallError::Io { path: path.to_owned(), source }),
    }
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, InstallError> {
    crate::repository::absolute(path).map_err(|source| InstallError::Io { path: path.to_owned(), source })
}

/// How much of a hook is looked at.
const MAXIMUM_SCRIPT: u64 = 1024 * 1024;

/// What stands for the name under which a script is run, in the languages that hooks are written in.
const OWN_NAMES: [&str; 8] =
    ["$0", "${0", "argv", "$PROGRAM_NAME", "BASH_SOURCE", "__FILE__", "__file__", "__filename"];

/// Whether the hook at `path` is a script that goes by the name under which it is run: what it does as `pre-receive` it
/// would not do under the name by which it is kept, and nobody would notice.
pub(super) fn asks_for_its_name(path: &Path) -> bool {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAXIMUM_SCRIPT).read_to_end(&mut text));
    if read.is_err() || text.contains(&0) {
        return false;
    }
    let asks = |line: &[u8]| {
        let line = line.trim_start();
        let is_said = line.starts_with(b"#") || line.to_ascii_lowercase().contains_str("usage");
        let takes_it_apart =
            ["basename", "fileparse", ").name", ").stem"].iter().any(|word| line.contains_str(word));
        let is_its_own = takes_it_apart && OWN_NAMES.iter().any(|name| line.contains_str(name));
        !is_said && (is_its_own || ["${0##", "${0:t", "$0 =~"].iter().any(|word| line.contains_str(word)))
    };
    text.lines().any(asks)
}

/// Git passes over hooks that may not be executed, and so does the shim.
pub(super) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Make a folder of hooks and those above it, where they are missing, so that whoever git runs as finds what is in it:
/// what git may not look at it passes over, and no push is refused for it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    folder.parent().map_or(Ok(()), make_folder)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => Ok(()),
        Ok(()) => system::set_mode(folder, 0o755),
    }
}

/// Put a hook with `text` at `hook`, in one step: git finds the one that was there, or this one. What was there is
/// kept as `kept` before, if that is said.
///
/// # Errors
/// A file cannot be written; then what was there still is.
fn put(hook: &Path, kept: Option<&PathBuf>, text: &[u8]) -> Result<(), InstallError> {
    let folder = hook.parent().expect("the hook is in a folder");
    let failed = |path: &Path, source: io::Error| InstallError::Io { path: path.to_owned(), source };
    make_folder(folder).map_err(|source| failed(folder, source))?;
    // A forge that runs everything in a folder passes over what is called so, should this be killed.
    let unfinished = tempfile::Builder::new().suffix("~").tempfile_in(folder);
    let mut file = unfinished.map_err(|source| failed(hook, source))?;
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

    use super::{super::Shim, *};

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
                let place = Place::find(hook.clone(), &Shim::is_shim).unwrap();
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
    fn a_hook_that_goes_by_its_name_is_not_run_under_another() {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("pre-receive");
        let asks = |text: &[u8]| {
            fs::write(&hook, text).unwrap();
            asks_for_its_name(&hook)
        };
        for text in [
            "#!/usr/bin/env bash\ndata=$(cat)\nhookname=$(basename $0)\n",
            "#!/bin/sh\nfor hook in hooks/${0##*/}.d/*; do :; done\n",
            "#!/bin/bash\ncase $(basename \"${BASH_SOURCE[0]}\") in pre-receive) exit 1 ;; esac\n",
            "#!/usr/bin/env python3\nname = os.path.basename(sys.argv[0])\n",
            "#!/usr/bin/env python3\nname = Path(__file__).name\n",
            "#!/usr/bin/env ruby\nhook = File.basename($PROGRAM_NAME)\n",
            "#!/usr/bin/perl\nmy ($name) = fileparse($0);\n",
            "#!/usr/bin/perl\nupdate() if $0 =~ /update$/;\n",
            "#!/usr/bin/env node\nconst name = path.basename(process.argv[1])\n",
        ] {
            assert!(asks(text.as_bytes()), "{text}");
        }
        for text in [
            "#!/bin/sh\n. \"$(dirname \"$0\")/common.sh\"\n",
            "#!/bin/sh\necho \"usage: $(basename $0) ref\"\n",
            "#!/bin/sh\n# $(basename $0) is what it is called\nname=$(basename \"$PWD\" .git)\n",
            "#!/usr/bin/perl\nuse Gitolite::Hooks::Update;\nupdate();\n",
            "\u{7f}ELF\0 basename $0",
        ] {
            assert!(!asks(text.as_bytes()), "{text}");
        }
        // Nothing is moved; one that git would not run is not asked.
        fs::write(&hook, "#!/bin/sh\nexec \"$(basename \"$0\").d/site\"\n").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let found = Place::find(hook.clone(), &Shim::is_shim);
        assert!(matches!(found, Err(InstallError::GoesByItsName { hook: of, .. }) if of == hook));
        // Nor is it renewed where it was kept before.
        fs::rename(&hook, kept_path(&hook)).unwrap();
        fs::write(&hook, SHIM).unwrap();
        let found = Place::find(hook.clone(), &Shim::is_shim);
        assert!(matches!(found, Err(InstallError::GoesByItsName { hook: of, .. }) if of == kept_path(&hook)));
        fs::set_permissions(kept_path(&hook), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Place::find(hook, &Shim::is_shim).unwrap().before.is_none());
    }

    #[test]
    fn a_link_that_leads_nowhere_is_kept_and_writes_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("pre-receive");
        symlink("nowhere", &hook).unwrap();
        let place = Place::find(hook.clone(), &Shim::is_shim).unwrap();
        place.put(SHIM.as_bytes()).unwrap();
        assert_eq!(fs::read_link(&place.kept).unwrap(), Path::new("nowhere"));
        assert_eq!(fs::read_to_string(&hook).unwrap(), SHIM);
        // What is kept from before stays, whatever has taken the hook's place since.
        fs::remove_file(&hook).unwrap();
        symlink("elsewhere", &hook).unwrap();
        let found = Place::find(hook.clone(), &Shim::is_shim);
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

    #[test]
    fn whoever_git_runs_as_finds_a_hook_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        fs::create_dir(&there).unwrap();
        fs::set_permissions(&there, fs::Permissions::from_mode(0o710)).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        // As under a umask that leaves others nothing.
        let hook = there.join("one/two/pre-receive");
        put(&hook, None, SHIM.as_bytes()).unwrap();
        assert_eq!(
            (mode(&hook), mode(hook.parent().unwrap()), mode(&there.join("one"))),
            (0o755, 0o755, 0o755)
        );
        assert_eq!(mode(&there), 0o710, "what was there stays as it is");
    }
}
