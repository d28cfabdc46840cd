//! Git repositories, read through gix: objects, refs, what a push adds, configuration.
//!
//! Responsible for finding the repository's parts and refusing formats that would be answered
//! falsely. Everything that git takes from the environment is handed in as a value; no replace ref,
//! graft, commit-graph or repository-local setting changes what is read here.
//!
//! Not responsible for what is inside a signature.

mod absolute;
mod alternates;
mod approvals;
mod changes;
mod configuration;
mod coverage;
mod folding;
mod format;
mod history;
mod merge;
mod merge_base;
mod objects;
mod proofs;
mod proofs_add;
mod reachable;
mod ref_lock;
mod ref_on_disk;
mod references;
mod revision;
pub mod system;
mod tree;
mod version;
mod writing;

use std::path::{Path, PathBuf};

pub use absolute::absolute;
pub use alternates::parse_object_directories;
pub use approvals::{Approvals, MAXIMUM_APPROVALS_OF_AN_UPDATE};
pub use changes::{Allowance, Changes, ChangesError, Interest};
pub use configuration::{Configuration, ConfigurationError, Scope, Scopes};
pub use coverage::Coverage;
pub use folding::folded;
pub use format::{FormatError, hash_of};
pub use history::{History, HistoryError, Shallow, Survey, new_commits, new_commits_while, survey};
pub use merge::{MergeTreeError, merged_tree, merges_to};
pub use objects::{Object, ObjectReadError, ObjectReader, Objects};
pub use proofs::{
    MAXIMUM_OF_A_FOLDER, MAXIMUM_PROOFS_OF_AN_OBJECT, PROOFS, ProofChange, ProofName, Proofs, proof_changes,
    read_blob,
};
pub use proofs_add::{AddProofsError, Author};
pub use reachable::{Found, Reachable, tagged};
pub use references::{ReferenceError, ReferenceValue, References};
pub use revision::{Resolver, Revision, RevisionError};
pub use tree::{TreeError, tree_names};
pub use version::GitVersion;
pub use writing::{Durability, DurableObjects, WriteError, sync_folder, write_whole, write_whole_through};

use gix::bstr::BString;

use crate::object::{HashKind, ObjectId};

/// A repository on disk: bare, with a work tree, or a linked work tree.
#[derive(Clone, Debug)]
pub struct Repository {
    git_dir: PathBuf,
    common_dir: PathBuf,
    hash: HashKind,
    ignores_case: bool,
}

/// Why a repository cannot be opened. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The repository's format is not one that is read here.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The path is no repository.
    #[error("'{}' is not a git repository", path.display())]
    NotARepository {
        /// What was tried.
        path: PathBuf,
    },
    /// No repository in the directory or above it.
    #[error("there is no git repository in '{}' or above it", directory.display())]
    NotFound {
        /// Where the search began.
        directory: PathBuf,
    },
    /// A file that describes the repository cannot be read.
    #[error("'{}' cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Repository {
    /// Open the repository at `path`: a work tree with `.git` in it, or what [`Self::at`] opens. A
    /// relative path is relative to the process's directory.
    ///
    /// # Errors
    /// It is none, or of a format that would be answered falsely.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let dot_git = path.join(".git");
        if dot_git.exists() { Self::at(&dot_git) } else { Self::at(path) }
    }

    /// Open exactly this git directory, or the one that a `.git` file points to, as `GIT_DIR` names it.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn at(path: &Path) -> Result<Self, OpenError> {
        let not_a_repository = || OpenError::NotARepository { path: path.to_owned() };
        let found = absolute(path).map_err(|_| not_a_repository())?;
        let git_dir = if found.is_file() {
            gix::discover::path::from_gitdir_file(&found).map_err(|_| not_a_repository())?
        } else {
            found
        };
        if !git_dir.join("HEAD").exists() && !git_dir.join("HEAD").is_symlink() {
            return Err(not_a_repository());
        }
        let common_dir = common_dir(&git_dir)?;
        if !common_dir.join("objects").is_dir() {
            return Err(not_a_repository());
        }
        let format = format::check(&common_dir.join("config"))?;
        Ok(Self { git_dir, common_dir, hash: format.hash, ignores_case: format.ignores_case })
    }

    /// Find the repository that git would use in `directory`; `git_dir` is the value of `GIT_DIR`,
    /// if the caller has one, and then decides alone.
    ///
    /// # Errors
    /// There is none, or [`Self::open`] fails.
    pub fn discover(directory: &Path, git_dir: Option<&Path>) -> Result<Self, OpenError> {
        if let Some(git_dir) = git_dir {
            return Self::at(&directory.join(git_dir));
        }
        let (found, _trust) = gix::discover::upwards(directory)
            .map_err(|_| OpenError::NotFound { directory: directory.to_owned() })?;
        let (git_dir, _work_tree) = found.into_repository_and_work_tree_directories();
        Self::at(&directory.join(git_dir))
    }

    /// The git directory: for a linked work tree its private one. Absolute.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The directory that holds objects, shared refs, configuration and hooks. Absolute.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The hash that names this repository's objects.
    #[must_use]
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// Whether names of refs that differ only in case are one here: by git's own note of it, or by what the
    /// file system answers.
    #[must_use]
    pub fn folds_names(&self) -> bool {
        self.ignores_case || folding::folds(&self.common_dir)
    }

    /// The repository's own object database, with the alternates that it names itself.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn objects(&self) -> Result<Objects, ObjectReadError> {
        Objects::open(self.hash, &[self.common_dir.join("objects")])
    }

    /// Object databases for a hook: `quarantine` first, then the repository's own, then `others`.
    ///
    /// # Errors
    /// The quarantine or the repository's own directory cannot be opened; of `others` those that
    /// do not exist are passed over, as git does.
    pub fn objects_with(
        &self,
        quarantine: Option<&Path>,
        others: &[PathBuf],
    ) -> Result<Objects, ObjectReadError> {
        let mut directories: Vec<PathBuf> = quarantine.map(Path::to_owned).into_iter().collect();
        directories.push(self.common_dir.join("objects"));
        directories.extend(others.iter().filter(|other| other.is_dir()).cloned());
        Objects::open(self.hash, &directories)
    }

    /// The refs as they stand now.
    #[must_use]
    pub fn references(&self) -> References {
        References::new(&self.git_dir, &self.common_dir, self.hash)
    }

    /// The commits at which this repository's history is cut off, with those of `extra` (the value
    /// of `GIT_SHALLOW_FILE`).
    ///
    /// # Errors
    /// A list is there and cannot be read.
    pub fn shallow(&self, extra: Option<&Path>) -> Result<Shallow, HistoryError> {
        let mut shallow = Shallow::read(self.hash, &self.common_dir.join("shallow"))?;
        if let Some(extra) = extra {
            shallow.extend(Shallow::read(self.hash, extra)?);
        }
        Ok(shallow)
    }

    /// [`Resolver::single`] for one revision.
    ///
    /// # Errors
    /// It names nothing, or a range.
    pub fn resolve_single(&self, revision: &str) -> Result<ObjectId, RevisionError> {
        self.resolver()?.single(revision)
    }

    /// Resolves any number of revisions, and opens the repository for it once.
    ///
    /// # Errors
    /// The repository cannot be opened.
    pub fn resolver(&self) -> Result<Resolver, RevisionError> {
        Resolver::new(self)
    }

    /// What `git rev-list --all` begins with: every ref, and the HEAD of every work tree. Each with its
    /// name; refs that lead nowhere are left out.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn tips(&self) -> Result<Vec<(BString, ObjectId)>, ReferenceError> {
        let mut found = vec![(BString::from("HEAD"), self.references().read("HEAD".into())?.id)];
        found.extend(self.references().all()?);
        let work_trees = std::fs::read_dir(self.common_dir.join("worktrees"));
        let others = work_trees.into_iter().flatten().flatten().map(|entry| entry.path());
        let main = std::iter::once(self.common_dir.clone());
        for git_dir in main.chain(others).filter(|other| *other != self.git_dir) {
            if git_dir.join("HEAD").exists() {
                let references = References::new(&git_dir, &self.common_dir, self.hash);
                let name = format!("HEAD of {}", git_dir.display());
                found.push((name.into(), references.read("HEAD".into())?.id));
            }
        }
        Ok(found.into_iter().filter_map(|(name, id)| Some((name, id?))).collect())
    }
}

/// The directory that a linked work tree shares with its repository (gitrepository-layout, `commondir`).
fn common_dir(git_dir: &Path) -> Result<PathBuf, OpenError> {
    let path = git_dir.join("commondir");
    match gix::discover::path::from_plain_file(&path) {
        None => Ok(git_dir.to_owned()),
        Some(Ok(common)) => {
            // Whoever is told this path keeps it, and the work tree may go away.
            let path = git_dir.join(common);
            Ok(gix::path::realpath(&path).unwrap_or(path))
        }
        Some(Err(source)) => Err(OpenError::Unreadable { path, source }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use super::*;

    /// Wait until something is so that is so soon: a child that another test starts in this very moment has the
    /// locks of this process until it runs its program.
    pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) {
        for _ in 0..100 {
            if is_so() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("it has not become so");
    }

    /// A repository made by git itself, apart from the user's and the system's configuration.
    pub(crate) struct Scratch {
        pub(crate) directory: tempfile::TempDir,
    }

    impl Scratch {
        pub(crate) fn new(arguments: &[&str]) -> Self {
            let scratch = Self { directory: tempfile::tempdir().unwrap() };
            let mut init = vec!["init", "-q", "-b", "main"];
            init.extend(arguments);
            scratch.git(&init);
            scratch
        }

        pub(crate) fn path(&self) -> &Path {
            self.directory.path()
        }

        pub(crate) fn git(&self, arguments: &[&str]) -> String {
            self.git_with(arguments, b"")
        }

        #[expect(clippy::disallowed_methods, reason = "git is found where the tests' own is")]
        pub(crate) fn git_with(&self, arguments: &[&str], input: &[u8]) -> String {
            use std::io::Write;
            let mut child = Command::new("git")
                .args(arguments)
                .current_dir(self.path())
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap())
                .env("HOME", self.path())
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_AUTHOR_NAME", "A")
                .env("GIT_AUTHOR_EMAIL", "a@example.com")
                .env("GIT_COMMITTER_NAME", "A")
                .env("GIT_COMMITTER_EMAIL", "a@example.com")
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(input).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(
                output.status.success(),
                "git {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        }

        pub(crate) fn commit(&self, message: &str) -> crate::object::ObjectId {
            self.git(&["commit", "-q", "--allow-empty", "-m", message]);
            self.id("HEAD")
        }

        pub(crate) fn id(&self, revision: &str) -> crate::object::ObjectId {
            self.git(&["rev-parse", revision]).parse().unwrap()
        }

        pub(crate) fn open(&self) -> Repository {
            Repository::open(self.path()).unwrap()
        }
    }

    #[test]
    fn bare_repositories_work_trees_and_linked_ones_are_found() {
        let scratch = Scratch::new(&[]);
        scratch.commit("one");
        let nested = scratch.path().join("a/b");
        std::fs::create_dir_all(&nested).unwrap();
        assert_eq!(
            Repository::discover(&nested, None).unwrap().git_dir().canonicalize().unwrap(),
            scratch.path().join(".git").canonicalize().unwrap()
        );
        scratch.git(&["worktree", "add", "-q", "linked"]);
        let linked = Repository::discover(&scratch.path().join("linked"), None).unwrap();
        assert!(linked.git_dir().ends_with(".git/worktrees/linked"), "{:?}", linked.git_dir());
        assert_eq!(
            linked.common_dir().canonicalize().unwrap(),
            scratch.path().join(".git").canonicalize().unwrap()
        );
        assert!(linked.objects().unwrap().reader().read(scratch.id("HEAD")).is_ok());

        let bare = Scratch::new(&["--bare"]);
        bare.git(&["init", "-q", "--bare", ".git"]);
        let by_value = Repository::discover(&nested, Some(bare.path())).unwrap();
        assert_eq!(by_value.git_dir(), bare.path(), "GIT_DIR decides alone, whatever is inside it");
    }

    #[test]
    fn a_folder_that_is_no_repository_has_its_own_error() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Repository::open(empty.path()), Err(OpenError::NotARepository { .. })));
    }

    #[test]
    fn sha_256_repositories_say_so() {
        let scratch = Scratch::new(&["--object-format=sha256"]);
        let id = scratch.commit("one");
        let repository = scratch.open();
        assert_eq!(repository.hash(), HashKind::Sha256);
        assert!(repository.objects().unwrap().reader().read(id).is_ok());
    }
}
