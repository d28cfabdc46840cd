//! What merging two commits yields, computed anew by git in a repository of our own that has nothing but the
//! objects: no configuration, attributes, drivers, replace refs, grafts or commit-graph of the repository's.
//!
//! Forges merge with git's `ort` strategy. They differ in whether a renamed folder takes new files along
//! (`merge.directoryRenames`), so what is clean either way is told for both.
//!
//! How long a merge takes is for whoever made the commits to choose, so git is ended when there is no more time.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use crate::repository::system::OsStrExt as _;

use super::Objects;
use crate::object::{HashKind, ObjectId};

/// Where git is looked for.
const PLACES: &str =
    "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin:/opt/gitlab/embedded/bin:/run/current-system/sw/bin";

/// How much is kept of what git says, in bytes.
const MAXIMUM_SAID: u64 = 64 * 1024;

/// How long it is waited for git before it is asked again whether to go on.
const PAUSE: Duration = Duration::from_millis(10);

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
    /// The time for it was over.
    #[error("the time for merging them is over")]
    Stopped,
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
    merged_until(objects, ours, theirs, |_| false, &|| true)
}

/// Whether merging `theirs` into `ours` may yield `tree`, as long as `go_on` says so.
///
/// # Errors
/// There is a conflict whichever way, it cannot be computed, or not in time.
pub fn merges_to(
    objects: &Objects,
    ours: ObjectId,
    theirs: ObjectId,
    tree: ObjectId,
    go_on: &dyn Fn() -> bool,
) -> Result<bool, MergeTreeError> {
    merged_until(objects, ours, theirs, |found| found == tree, go_on).map(|trees| trees.contains(&tree))
}

/// The trees that a merge may yield, up to one that is enough.
fn merged_until(
    objects: &Objects,
    ours: ObjectId,
    theirs: ObjectId,
    is_enough: impl Fn(ObjectId) -> bool,
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<ObjectId>, MergeTreeError> {
    let folder = tempfile::Builder::new().prefix("countersign-merge-").tempdir()?;
    prepare(folder.path(), objects.hash(), &objects.directories())?;
    let mut trees = Vec::new();
    let mut failure = None;
    for directory_renames in ["conflict", "false"] {
        match merge(folder.path(), directory_renames, ours, theirs, go_on) {
            Err(MergeTreeError::Stopped) => return Err(MergeTreeError::Stopped),
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
    go_on: &dyn Fn() -> bool,
) -> Result<ObjectId, MergeTreeError> {
    let mut git = Command::new("git");
    // Nothing of the environment, which may be the pusher's.
    git.env_clear().env("PATH", PLACES).env("HOME", folder).env("LC_ALL", "C");
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.env("GIT_ATTR_NOSYSTEM", "1").env("GIT_NO_REPLACE_OBJECTS", "1");
    // The folder holds no grafts, and to name a file of them makes git give advice.
    git.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ADVICE", "0").current_dir(folder);
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
    let Said { status, stdout, stderr } = run(git, go_on)?;
    let text = String::from_utf8_lossy(&stdout);
    // Behind the tree of a conflict stands what is in conflict.
    let tree = text.lines().next().and_then(|line| line.parse::<ObjectId>().ok());
    let tree = tree.filter(|tree| tree.kind() == ours.kind());
    match (status.code(), tree) {
        (Some(0), Some(tree)) => Ok(tree),
        (Some(1), Some(_)) => Err(MergeTreeError::Conflict),
        _ => Err(MergeTreeError::Git(reason(&String::from_utf8_lossy(&stderr)))),
    }
}

/// Why git gave up, out of all that it said: the first line that is neither advice nor a warning.
fn reason(words: &str) -> String {
    let is_aside = |line: &&str| ["hint:", "warning:"].iter().any(|prefix| line.starts_with(prefix));
    let mut lines = words.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.find(|line| !is_aside(line)).unwrap_or("it answered nothing that is a tree").to_owned()
}

/// What a program has said, of each stream no more than is needed.
struct Said {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Run `program` for as long as `go_on` says so.
///
/// # Errors
/// It cannot be run, or was ended because there was no more time.
fn run(mut program: Command, go_on: &dyn Fn() -> bool) -> Result<Said, MergeTreeError> {
    if !go_on() {
        return Err(MergeTreeError::Stopped);
    }
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn()?;
    let said = listen(&mut child, go_on);
    if said.is_err() {
        // One that has ended by itself cannot be ended any more; whatever is left behind is waited for by nobody.
        let _ = child.kill();
        let _ = child.wait();
    }
    said
}

fn listen(child: &mut Child, go_on: &dyn Fn() -> bool) -> Result<Said, MergeTreeError> {
    let stdout = read(child.stdout.take());
    let stderr = read(child.stderr.take());
    let [stdout, stderr] = [stdout, stderr].map(|stream| {
        loop {
            match stream.recv_timeout(PAUSE) {
                Ok(bytes) => return Ok(bytes),
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
                Err(RecvTimeoutError::Timeout) if go_on() => {}
                Err(RecvTimeoutError::Timeout) => return Err(MergeTreeError::Stopped),
            }
        }
    });
    let (stdout, stderr) = (stdout?, stderr?);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Said { status, stdout, stderr });
        }
        if !go_on() {
            return Err(MergeTreeError::Stopped);
        }
        // Both streams are closed: it is about to end.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Read a stream to its end on a thread of its own, so that a program that says much is not kept waiting; the
/// beginning of it comes once the end is reached.
fn read(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read up to a fault is what there is.
            let _ = stream.by_ref().take(MAXIMUM_SAID).read_to_end(&mut bytes);
            let _ = io::copy(&mut stream, &mut io::sink());
        }
        // Nobody listens any more once the time is over.
        let _ = sender.send(bytes);
    });
    receiver
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
            let merges_to = |tree: ObjectId| merges_to(&objects, ours, theirs, tree, &|| true).unwrap();
            assert!(merges_to(merged[0]));
            assert!(!merges_to(forked.scratch.id("HEAD^1^{tree}")));
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
        let missing = ObjectId::from_bytes_or_panic(&[1; 20]);
        for theirs in [other, missing] {
            // The reason is git's own, and not what it says beside.
            match merged_tree(&objects, one, theirs) {
                Err(MergeTreeError::Git(words)) => assert!(!words.starts_with("hint:"), "{words}"),
                found => panic!("{found:?}"),
            }
        }
    }

    #[test]
    fn advice_and_warnings_are_no_reason() {
        let said = "hint: Support for <GIT_DIR>/info/grafts is deprecated\nhint: and will be removed\n\n\
                    warning: something\nfatal: refusing to merge unrelated histories\nfatal: and more\n";
        assert_eq!(reason(said), "fatal: refusing to merge unrelated histories");
        assert_eq!(
            reason("merge-tree: 1 - not something we can merge\n"),
            "merge-tree: 1 - not something we can merge"
        );
        for nothing in ["", "\n", "hint: only\n"] {
            assert_eq!(reason(nothing), "it answered nothing that is a tree");
        }
    }

    #[test]
    fn what_stalls_is_ended_when_the_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Command::new("sh");
        // It stalls for longer than any test, and so does a child of its own that holds its streams.
        program.args(["-c", "sleep 600 & echo $$ $! >part; mv part begun; wait"]).current_dir(folder.path());
        let begun = folder.path().join("begun");
        // Time is over once it runs: the clock is the program's own.
        let said = run(program, &|| !begun.exists());
        assert!(matches!(said, Err(MergeTreeError::Stopped)));
        let numbers = std::fs::read_to_string(&begun).unwrap();
        let [its_own, child] = numbers.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{numbers}")
        };
        let signal = |signal: &str, number: &str| {
            let mut kill = Command::new("kill");
            kill.args([signal, number]).stderr(Stdio::null()).status().unwrap().success()
        };
        assert!(!signal("-0", its_own), "it was ended and waited for");
        assert!(signal("-9", child), "the child was waited for by nobody");
    }

    #[test]
    fn where_no_time_is_left_nothing_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Command::new("sh");
        program.args(["-c", "touch ran"]).current_dir(folder.path());
        assert!(matches!(run(program, &|| false), Err(MergeTreeError::Stopped)));
        assert!(!folder.path().join("ran").exists());
    }

    #[test]
    fn a_program_that_says_much_is_not_kept_waiting_and_fills_no_memory() {
        let mut program = Command::new("sh");
        program.args(["-c", "echo first; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 1"]);
        let said = run(program, &|| true).unwrap();
        assert_eq!((said.status.code(), &said.stdout[..6]), (Some(1), &b"first\n"[..]));
        assert_eq!((said.stdout.len(), said.stderr.len()), (MAXIMUM_SAID as usize, MAXIMUM_SAID as usize));
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
