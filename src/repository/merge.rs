//! What merging two commits yields, computed anew by git in a repository of our own that has nothing but the
//! objects: no configuration, attributes, drivers, replace refs, grafts or commit-graph of the repository's.
//!
//! Forges merge with git's `ort` strategy. They differ in whether a renamed folder takes new files along
//! (`merge.directoryRenames`), so what is clean either way is told for both.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::repository::system::OsStrExt as _;

use super::Objects;
use crate::object::{HashKind, ObjectId};

/// Where git is looked for.
const PLACES: &str =
    "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin:/opt/gitlab/embedded/bin:/run/current-system/sw/bin";

/// Why it is not known what a merge yields. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeTreeError {
    /// The two do not merge without a decision.
    #[error("the two do not merge without conflicts")]
    Conflict,
    /// git could not do it.
    #[error("git cannot merge them: {0}")]
    Git(String),
    /// git is in none of the usual places, or cannot be run.
    #[error("git cannot be run from its usual places: {0}")]
    NotRun(#[from] io::Error),
}

/// The trees that merging `theirs` into `ours` may yield: one, or two where forges differ.
///
/// # Errors
/// There is a conflict whichever way, or it cannot be computed.
pub fn merged_tree(
    objects: &Objects,
    ours: ObjectId,
    theirs: ObjectId,
) -> Result<Vec<ObjectId>, MergeTreeError> {
    merged_until(objects, ours, theirs, |_| false)
}

/// Whether merging `theirs` into `ours` may yield `tree`.
///
/// # Errors
/// There is a conflict whichever way, or it cannot be computed.
pub fn merges_to(
    objects: &Objects,
    ours: ObjectId,
    theirs: ObjectId,
    tree: ObjectId,
) -> Result<bool, MergeTreeError> {
    merged_until(objects, ours, theirs, |found| found == tree).map(|trees| trees.contains(&tree))
}

/// The trees that a merge may yield, up to one that is enough.
fn merged_until(
    objects: &Objects,
    ours: ObjectId,
    theirs: ObjectId,
    is_enough: impl Fn(ObjectId) -> bool,
) -> Result<Vec<ObjectId>, MergeTreeError> {
    let folder = tempfile::Builder::new().prefix("countersign-merge-").tempdir()?;
    prepare(folder.path(), objects.hash(), &objects.directories())?;
    let mut trees = Vec::new();
    let mut failure = None;
    for directory_renames in ["conflict", "false"] {
        match merge(folder.path(), directory_renames, ours, theirs) {
            Ok(tree) if trees.contains(&tree) => {}
            Ok(tree) => trees.push(tree),
            Err(error) => failure = failure.or(Some(error)),
        }
        if trees.last().is_some_and(|tree| is_enough(*tree)) {
            return Ok(trees);
        }
    }
    match failure {
        Some(failure) if trees.is_empty() => Err(failure),
        _ => Ok(trees),
    }
}

/// An empty bare repository that borrows the objects in `directories`.
fn prepare(folder: &Path, hash: HashKind, directories: &[PathBuf]) -> io::Result<()> {
    for name in ["objects/info", "refs"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    std::fs::write(folder.join("HEAD"), "ref: refs/heads/none\n")?;
    let (version, extensions) = match hash {
        HashKind::Sha256 => (1, "[extensions]\n\tobjectFormat = sha256\n"),
        _ => (0, ""),
    };
    let config = format!("[core]\n\trepositoryFormatVersion = {version}\n\tbare = true\n{extensions}");
    std::fs::write(folder.join("config"), config)?;
    let mut alternates = Vec::new();
    for directory in directories {
        // C-quoted (git's quote.c): a path may hold anything.
        alternates.push(b'"');
        for byte in directory.as_os_str().as_bytes() {
            match byte {
                b'"' | b'\\' => alternates.extend([b'\\', *byte]),
                b' '..=b'~' => alternates.push(*byte),
                byte => alternates.extend(format!("\\{byte:03o}").bytes()),
            }
        }
        alternates.extend(b"\"\n");
    }
    std::fs::write(folder.join("objects/info/alternates"), alternates)
}

fn merge(
    folder: &Path,
    directory_renames: &str,
    ours: ObjectId,
    theirs: ObjectId,
) -> Result<ObjectId, MergeTreeError> {
    let mut git = Command::new("git");
    // Nothing of the environment, which may be the pusher's.
    git.env_clear().env("PATH", PLACES).env("HOME", folder).env("LC_ALL", "C");
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.env("GIT_ATTR_NOSYSTEM", "1").env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_GRAFT_FILE", "/dev/null");
    git.env("GIT_NO_LAZY_FETCH", "1").current_dir(folder);
    git.arg(format!("--git-dir={}", folder.display()));
    for setting in [
        "core.commitGraph=false",
        "core.attributesFile=/dev/null",
        "merge.renames=true",
        "merge.renormalize=false",
        "merge.renameLimit=7000",
        &format!("merge.directoryRenames={directory_renames}"),
    ] {
        git.args(["-c", setting]);
    }
    git.args(["merge-tree", "--write-tree", "--no-messages", &ours.to_string(), &theirs.to_string()]);
    let output = git.stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Behind the tree of a conflict stands what is in conflict.
    let tree = text.lines().next().and_then(|line| line.parse::<ObjectId>().ok());
    let tree = tree.filter(|tree| tree.kind() == ours.kind());
    match (output.status.code(), tree) {
        (Some(0), Some(tree)) => Ok(tree),
        (Some(1), Some(_)) => Err(MergeTreeError::Conflict),
        _ => {
            let words = String::from_utf8_lossy(&output.stderr);
            let line = words.lines().next().unwrap_or("it answered nothing that is a tree");
            Err(MergeTreeError::Git(line.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    struct Forked {
        scratch: Scratch,
    }

    impl Forked {
        fn write(&self, path: &str, content: &str) {
            let path = self.scratch.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
            self.scratch.git(&["add", "-A"]);
        }

        fn merged(&self) -> Result<Vec<ObjectId>, MergeTreeError> {
            let objects = self.scratch.open().objects().unwrap();
            merged_tree(&objects, self.scratch.id("main"), self.scratch.id("topic"))
        }
    }

    /// Two branches, on which `ours` and `theirs` do what they do after a common file.
    fn forked(arguments: &[&str], ours: &dyn Fn(&Forked), theirs: &dyn Fn(&Forked)) -> Forked {
        let forked = Forked { scratch: Scratch::new(arguments) };
        forked.write("dir/a", &(0..30).map(|n| format!("{n}\n")).collect::<String>());
        forked.scratch.commit("base");
        forked.scratch.git(&["branch", "topic"]);
        ours(&forked);
        forked.scratch.commit("ours");
        forked.scratch.git(&["checkout", "-q", "topic"]);
        theirs(&forked);
        forked.scratch.commit("theirs");
        forked
    }

    #[test]
    fn it_is_what_git_itself_yields() {
        for arguments in [&["--object-format=sha1"][..], &["--object-format=sha256"]] {
            let forked = forked(arguments, &|repository| repository.write("b", "ours"), &|repository| {
                repository.write("c d/\u{e9}", "theirs")
            });
            let merged = forked.merged().unwrap();
            forked.scratch.git(&["checkout", "-q", "main"]);
            forked.scratch.git(&["merge", "-q", "--no-edit", "topic"]);
            assert_eq!(merged, [forked.scratch.id("HEAD^{tree}")]);
            let objects = forked.scratch.open().objects().unwrap();
            let (ours, theirs) = (forked.scratch.id("HEAD^1"), forked.scratch.id("HEAD^2"));
            assert!(merges_to(&objects, ours, theirs, merged[0]).unwrap());
            assert!(!merges_to(&objects, ours, theirs, forked.scratch.id("HEAD^1^{tree}")).unwrap());
            // A merge that is behind already yields what is there.
            let objects = forked.scratch.open().objects().unwrap();
            let (head, topic) = (forked.scratch.id("HEAD"), forked.scratch.id("topic"));
            assert_eq!(merged_tree(&objects, head, topic).unwrap(), merged);
        }
    }

    #[test]
    fn nothing_that_the_repository_says_changes_it() {
        let forked = forked(&[], &|repository| repository.write("dir/a", "ours\n"), &|repository| {
            repository.write("dir/a", "theirs\n")
        });
        assert!(matches!(forked.merged(), Err(MergeTreeError::Conflict)));
        let scratch = &forked.scratch;
        for (key, value) in [
            ("merge.evil.driver", "touch evil; true"),
            ("merge.default", "evil"),
            ("merge.renames", "false"),
            ("core.attributesFile", "../evil-attributes"),
            ("diff.external", "touch evil"),
        ] {
            scratch.git(&["config", key, value]);
        }
        for attributes in [".gitattributes", ".git/info/attributes", "../evil-attributes"] {
            let _ = std::fs::write(scratch.path().join(attributes), "* merge=union\n");
        }
        scratch.git(&["add", "-A"]);
        scratch.commit("attributes");
        scratch.git(&["replace", "main", "topic"]);
        assert!(matches!(forked.merged(), Err(MergeTreeError::Conflict)));
        assert!(!scratch.path().join("evil").exists());
    }

    #[test]
    fn a_folder_that_was_renamed_may_take_new_files_along_or_not() {
        let forked = forked(
            &[],
            &|repository| {
                repository.scratch.git(&["mv", "dir", "moved"]);
            },
            &|repository| repository.write("dir/new", "new"),
        );
        let trees = forked.merged().unwrap();
        assert_eq!(trees.len(), 1, "git's own default asks");
        let scratch = &forked.scratch;
        scratch.git(&["checkout", "-q", "main"]);
        scratch.git(&["-c", "merge.directoryRenames=false", "merge", "-q", "--no-edit", "topic"]);
        assert_eq!(trees, [scratch.id("HEAD^{tree}")]);
        assert!(scratch.path().join("dir/new").exists());
    }

    #[test]
    fn what_has_nothing_in_common_or_is_missing_is_an_error() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        scratch.git(&["checkout", "-q", "--orphan", "other"]);
        let other = scratch.commit("other");
        let objects = scratch.open().objects().unwrap();
        assert!(matches!(merged_tree(&objects, one, other), Err(MergeTreeError::Git(_))));
        let missing = ObjectId::from_bytes_or_panic(&[1; 20]);
        let refused = merged_tree(&objects, one, missing).unwrap_err();
        assert!(matches!(refused, MergeTreeError::Git(_)), "{refused:?}");
    }

    #[test]
    fn a_folder_may_be_called_anything() {
        let forked = forked(&[], &|repository| repository.write("b", "ours"), &|repository| {
            repository.write("c", "theirs")
        });
        let odd = tempfile::tempdir().unwrap();
        let odd = odd.path().join("a \"b\\c:\u{e9}\n#");
        let git = forked.scratch.path().join(".git");
        std::fs::rename(git.join("objects"), &odd).unwrap();
        let objects = Objects::open(HashKind::Sha1, std::slice::from_ref(&odd)).unwrap();
        let parse = |name: &str| -> ObjectId {
            std::fs::read_to_string(git.join("refs/heads").join(name)).unwrap().trim_end().parse().unwrap()
        };
        let merged = merged_tree(&objects, parse("main"), parse("topic"));
        assert_eq!(merged.unwrap().len(), 1);
    }
}
