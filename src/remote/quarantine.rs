//! A repository of its own for what a fetch brings, until it is judged.
//!
//! It lies inside the object directory under a name that git takes for its own leftovers, borrows the
//! objects that are there, and has no refs. Whatever git does while it fetches, it does here; only
//! [`Quarantine::migrate`] carries objects over.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    object::HashKind,
    repository::{Repository, system},
};

/// `git gc` removes folders of this name once they are old.
const PREFIX: &str = "tmp_objdir-countersign-";

/// A file that is locked for as long as somebody works in the quarantine.
const WORK: &str = "work";

/// How old a quarantine is at least in which nobody works any more.
const AGE: Duration = Duration::from_secs(60);

/// How long another process's change is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The quarantine of one fetch. It goes away with this value, and all that it holds.
#[derive(Debug)]
pub struct Quarantine {
    folder: tempfile::TempDir,
    into: PathBuf,
    /// Locked until the quarantine goes away.
    _work: fs::File,
    /// The repository's list of commits at which histories are cut off, and what stood there.
    shallow: PathBuf,
    before: Option<Vec<u8>>,
}

impl Quarantine {
    /// Make one for `repository`, whose configuration counts in it as far as it concerns transports.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn new(repository: &Repository, is_partial: bool) -> io::Result<Self> {
        Self::with_settings(repository, repository, is_partial)
    }

    /// One for `repository`, in which the configuration of `other` counts, as far as it concerns transports.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn on_the_way_of(repository: &Repository, other: Option<&Repository>) -> io::Result<Self> {
        // Nothing of a remote there is for this one, least of all what it promises.
        Self::with_settings(repository, other.unwrap_or(repository), true)
    }

    fn with_settings(repository: &Repository, settings: &Repository, is_partial: bool) -> io::Result<Self> {
        let into = repository.common_dir().join("objects");
        sweep(&into);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&into)?;
        let git_dir = folder.path();
        let work = fs::File::create(git_dir.join(WORK))?;
        // Where there are no locks nobody sweeps.
        let _ = system::try_lock(&work);
        make_repository(git_dir, repository.hash())?;
        // Relative to the quarantine's own objects; no quoting is needed for whatever lies above.
        fs::write(git_dir.join("objects/info/alternates"), "../..\n")?;
        let mut config = fs::OpenOptions::new().append(true).open(git_dir.join("config"))?;
        config.write_all(&configuration(settings.common_dir(), is_partial)?)?;
        let shallow = repository.common_dir().join("shallow");
        let before = read_shallow(&shallow)?;
        if let Some(before) = &before {
            fs::write(git_dir.join("shallow"), before)?;
        }
        Ok(Self { folder, into, _work: work, shallow, before })
    }

    /// The repository of the quarantine.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Where its own objects are.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// Let go of packs that git would keep from being repacked: nobody waits for that here.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn let_go(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.objects().join("pack"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "keep") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Whether histories are cut off where they were.
    #[must_use]
    pub fn is_cut_off_as_before(&self) -> bool {
        read_shallow(&self.folder.path().join("shallow")).is_ok_and(|now| now == self.before)
    }

    /// How many bytes have arrived so far, as a sign of life.
    #[must_use]
    pub fn size(folder: &Path) -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => 1 + Self::size(&entry.path()),
                Ok(metadata) => metadata.len(),
                Err(_) => 0,
            })
            .sum()
    }

    /// [`Self::migrate`], for a quarantine in which everything hangs together: if all of it came as one pack that
    /// is new here, a `.keep` stands beside that from the first moment on. It is for git to remove.
    ///
    /// # Errors
    /// See [`Self::migrate`].
    pub fn migrate_and_keep(self) -> io::Result<Option<PathBuf>> {
        let packs = match fs::read_dir(self.objects().join("pack")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.migrate().map(|()| None),
            listed => listed?.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name()))),
        };
        let packs = packs.collect::<io::Result<Vec<PathBuf>>>()?;
        let mut packs =
            packs.iter().filter(|path| path.extension().is_some_and(|extension| extension == "pack"));
        let (Some(pack), None) = (packs.next(), packs.next()) else { return self.migrate().map(|()| None) };
        let folder = self.into.join("pack");
        let keep = folder.join(pack).with_extension("keep");
        let is_new = !folder.join(pack).exists();
        if !is_new || fs::OpenOptions::new().write(true).create_new(true).open(&keep).is_err() {
            return self.migrate().map(|()| None);
        }
        match self.migrate() {
            Ok(()) => Ok(Some(keep)),
            Err(error) => {
                let _ = fs::remove_file(&keep);
                Err(error)
            }
        }
    }

    /// Carry every object over to the repository, as git's own quarantine does (tmp-objdir.c): packs
    /// before their indexes, and nothing that is there already is replaced.
    ///
    /// # Errors
    /// A file cannot be moved; what was moved until then is whole and harms nothing.
    pub fn migrate(self) -> io::Result<()> {
        for entry in fs::read_dir(self.objects())? {
            let entry = entry?;
            let name = entry.file_name();
            let is_fanout = name.len() == 2;
            if !is_fanout && name != "pack" {
                continue;
            }
            let into = self.into.join(&name);
            if !into.exists() {
                fs::create_dir_all(&into)?;
                // git has made it for whoever shares the repository.
                fs::set_permissions(&into, entry.metadata()?.permissions())?;
            }
            let mut files: Vec<PathBuf> = fs::read_dir(entry.path())?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()?;
            files.sort_by_key(|path| path.extension().is_some_and(|extension| extension == "idx"));
            for file in files {
                let target = into.join(file.file_name().expect("it was listed in a folder"));
                if !target.exists() {
                    fs::rename(file, target)?;
                }
            }
        }
        self.migrate_shallow()
    }

    /// Have histories be cut off where they are in the quarantine, as git itself would: under its lock.
    fn migrate_shallow(&self) -> io::Result<()> {
        let now = read_shallow(&self.folder.path().join("shallow"))?;
        if now == self.before {
            return Ok(());
        }
        let wait = gix::lock::acquire::Fail::AfterDurationWithBackoff(PATIENCE);
        let mut lock = gix::lock::File::acquire_to_update_resource(&self.shallow, wait, None, 0)
            .map_err(|error| io::Error::other(error.to_string()))?;
        if read_shallow(&self.shallow)? != self.before {
            return Err(io::Error::other("another fetch has changed where histories are cut off"));
        }
        match now {
            Some(now) => {
                lock.with_mut(|file| file.write_all(&now))?;
                lock.commit().map(drop).map_err(|error| error.error)
            }
            None => fs::remove_file(&self.shallow),
        }
    }
}

/// Remove what fetches have left in the object directory `into` that were killed, by Ctrl-C for one.
fn sweep(into: &Path) {
    for entry in fs::read_dir(into).into_iter().flatten().flatten() {
        let is_old =
            || entry.metadata()?.modified()?.elapsed().map_err(io::Error::other).map(|age| age > AGE);
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) || !is_old().unwrap_or_default() {
            continue;
        }
        let path = entry.path();
        let work = fs::File::open(path.join(WORK));
        if work.is_ok_and(|work| system::try_lock(&work).unwrap_or_default()) {
            // Whoever may not remove it leaves it to 'git gc'.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// What the configuration of a repository says of transports. What it says of its remotes is left out where
/// objects are missing here on purpose: git would ask them for what is missing, past the quarantine.
fn configuration(common_dir: &Path, is_partial: bool) -> io::Result<Vec<u8>> {
    let path = common_dir.join("config");
    let mut text = Vec::new();
    if is_partial {
        let source = gix::config::Source::Local;
        let mut file = gix::config::File::from_path_no_includes(path, source).map_err(io::Error::other)?;
        let core: Vec<_> =
            file.sections_and_ids_by_name("core").into_iter().flatten().map(|(_, id)| id).collect();
        for id in core {
            // It is that of another repository.
            file.section_mut_by_id(id).and_then(|mut section| section.remove("worktree"));
        }
        let left_out = ["remote", "extensions", "branch", "include", "includeIf"];
        file.write_to_filter(&mut text, |section| {
            let name = section.header().name().to_owned();
            !left_out.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
        })?;
    } else {
        text.extend(b"[include]\n\tpath = \"");
        let path = gix::path::into_bstr(path)
            .map_err(|_| io::Error::other("the path of the repository is no text"))?;
        for byte in path.iter() {
            match byte {
                b'"' | b'\\' => text.extend([b'\\', *byte]),
                b'\n' => text.extend(b"\\n"),
                other => text.push(*other),
            }
        }
        text.push(b'"');
    }
    text.extend(b"\n[core]\n\tbare = true\n");
    Ok(text)
}

/// A list of commits at which histories are cut off; `None` where nothing is.
fn read_shallow(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(list) if list.is_empty() => Ok(None),
        list => list.map(Some),
    }
}

/// Make a bare repository without refs in the folder `git_dir`.
///
/// # Errors
/// A file cannot be written.
pub(super) fn make_repository(git_dir: &Path, hash: HashKind) -> io::Result<()> {
    for name in ["objects/info", "objects/pack", "refs"] {
        fs::create_dir_all(git_dir.join(name))?;
    }
    let format = match hash {
        HashKind::Sha256 => "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = sha256\n",
        _ => "[core]\n\trepositoryFormatVersion = 0\n",
    };
    fs::write(git_dir.join("config"), format!("{format}[core]\n\tbare = true\n"))?;
    // Only with this file is it a repository.
    fs::write(git_dir.join("HEAD"), "ref: refs/heads/none\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    #[test]
    fn objects_stay_apart_until_they_are_carried_over() {
        for format in ["sha1", "sha256"] {
            let scratch = Scratch::new(&[&format!("--object-format={format}")]);
            let one = scratch.commit("one");
            let quarantine = Quarantine::new(&scratch.open(), false).unwrap();
            let git_dir = quarantine.git_dir().to_str().unwrap().to_owned();
            assert_eq!(scratch.git(&["--git-dir", &git_dir, "cat-file", "-t", &one.to_string()]), "commit");
            let blob = scratch.git_with(&["--git-dir", &git_dir, "hash-object", "-w", "--stdin"], b"new");
            let has = || scratch.git(&["cat-file", "--batch-all-objects", "--batch-check"]).contains(&blob);
            assert!(!has());
            assert!(Quarantine::size(quarantine.git_dir()) > 0);
            quarantine.migrate().unwrap();
            assert!(has());
            assert!(!Path::new(&git_dir).exists());
            // One that somebody was killed in goes away with the next one; one in which somebody works stays.
            let age = |path: &Path| {
                fs::File::open(path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            };
            let working = Quarantine::new(&scratch.open(), false).unwrap();
            age(working.git_dir());
            let killed = working.git_dir().with_file_name(format!("{PREFIX}killed"));
            fs::create_dir_all(killed.join("objects/pack")).unwrap();
            fs::write(killed.join(WORK), "").unwrap();
            age(&killed);
            drop(Quarantine::new(&scratch.open(), false).unwrap());
            assert!(working.git_dir().exists() && !killed.exists());
            drop(working);
            let dropped = Quarantine::new(&scratch.open(), false).unwrap().git_dir().to_owned();
            assert!(!dropped.exists());
        }
    }
}
