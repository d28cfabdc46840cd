//! Who can write what decides: the repository, the hooks, the policy and its files, the state, the program.
//!
//! The gate binds only those who cannot. Whoever pushes as a user or group that can write the repository
//! moves refs and changes hooks without any push, and that is said plainly.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
};

use super::StatusFinding;
use crate::repository::{
    Configuration, Repository, Scopes,
    system::{MetadataExt as _, PermissionsExt as _},
};

/// Look at the repository itself and at `paths`, which decide about its pushes.
pub(super) fn look(
    repository: &Repository,
    configuration: &Configuration,
    paths: &[&Path],
    findings: &mut Vec<StatusFinding>,
) {
    let git_dir = repository.common_dir();
    let mut writable: Vec<PathBuf> = paths.iter().filter_map(|path| writable_by_others(path)).collect();
    writable.sort();
    writable.dedup();
    // What is told by itself is not told once more, unless it is git's.
    let is_gits = |path: &Path| match path.strip_prefix(git_dir).map(|part| part.components().next()) {
        Ok(Some(first)) => GITS.iter().any(|name| first.as_os_str() == *name),
        Ok(None) => true,
        Err(_) => false,
    };
    let mut parts = parts(git_dir);
    parts.retain(|(path, _)| is_gits(path) || !writable.contains(path));
    findings.extend(shared(configuration, &parts));
    findings.extend(writable.into_iter().map(StatusFinding::Writable));
    let Ok(own) = git_dir.metadata() else { return };
    let mut foreign: Vec<(PathBuf, u32)> =
        paths.iter().filter_map(|path| owned_by_another(path, own.uid())).collect();
    let is_anothers = |(_, metadata): &&(PathBuf, Metadata)| ![own.uid(), 0].contains(&metadata.uid());
    // One of its parts is enough to tell whose they are.
    if let Some((path, metadata)) = parts.iter().find(is_anothers).filter(|_| foreign.is_empty()) {
        foreign.push((path.clone(), metadata.uid()));
    }
    foreign.sort();
    foreign.dedup();
    findings.extend(foreign.into_iter().map(|(path, owner)| StatusFinding::OwnedByAnother {
        path,
        owner: user_name(owner),
        repository: user_name(own.uid()),
    }));
}

/// What git itself has in a repository.
const GITS: [&str; 9] =
    ["HEAD", "config", "config.worktree", "info", "logs", "objects", "packed-refs", "refs", "shallow"];

/// How many of a repository's files and folders are looked at.
const MAXIMUM_PARTS: usize = 500_000;

/// The files and folders of a repository, itself the first; but none of the objects that lie by themselves, whose names
/// say what they hold.
fn parts(git_dir: &Path) -> Vec<(PathBuf, Metadata)> {
    let mut parts: Vec<(PathBuf, Metadata)> = Vec::new();
    let mut waiting = vec![git_dir.to_owned()];
    while let Some(path) = waiting.pop() {
        // What a link leads to is looked at, and not what lies below that.
        let (Ok(metadata), Ok(itself)) = (path.metadata(), path.symlink_metadata()) else { continue };
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let is_of_objects =
            path.parent().is_some_and(|parent| parent == git_dir.join("objects")) && name.len() == 2;
        if (itself.is_dir() || path == git_dir) && !is_of_objects {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()));
        }
        parts.push((path, metadata));
        if parts.len() >= MAXIMUM_PARTS {
            break;
        }
    }
    parts
}

/// The repository, if others than its owner can write a part of it, or git is told to let them.
fn shared(configuration: &Configuration, parts: &[(PathBuf, Metadata)]) -> Option<StatusFinding> {
    let said = configuration.get("core.sharedRepository", Scopes::Any).map(ToString::to_string);
    // The name alone, without '=', means the same as a value that is true.
    let is_true = || matches!(configuration.boolean("core.sharedRepository", Scopes::Any), Ok(Some(true)));
    let meant = said.as_deref().map_or(0, |said| shared_mode(said, is_true));
    // The first of those that are open to the most.
    let found = parts.iter().rev().max_by_key(|(_, metadata)| {
        let mode = metadata.permissions().mode();
        (mode & 0o002, mode & 0o020)
    });
    let (path, metadata) = found?;
    let mode = metadata.permissions().mode() | meant;
    let who = if mode & 0o002 != 0 {
        "everybody on this machine".to_owned()
    } else if mode & 0o020 != 0 {
        format!("whoever is in the group '{}'", name_of("/etc/group", metadata.gid()))
    } else {
        return None;
    };
    let setting = said.filter(|_| meant != 0).map(|said| format!("core.sharedRepository = {said}"));
    Some(StatusFinding::Shared { path: path.clone(), who, setting })
}

/// Which permissions `core.sharedRepository` gives to others: a word, else an octal number with or without a
/// leading zero, else what is true or not (git, setup.c, `git_config_perm`).
fn shared_mode(value: &str, is_true: impl Fn() -> bool) -> u32 {
    const GROUP: u32 = 0o020;
    const ALL: u32 = 0o022;
    match value.to_ascii_lowercase().as_str() {
        "umask" => 0,
        "group" => GROUP,
        "all" | "world" | "everybody" => ALL,
        other => match i64::from_str_radix(other, 8) {
            Ok(1) => GROUP,
            Ok(2) => ALL,
            // The last nine bits alone say who may do what.
            Ok(mode) => u32::try_from(mode & i64::from(ALL)).unwrap_or(ALL),
            Err(_) if is_true() => GROUP,
            Err(_) => 0,
        },
    }
}

/// The first of `path` and the folders above it that group or others can write, as it is written and as
/// symbolic links lead to it. In a folder with the sticky bit nobody can replace what is another's.
fn writable_by_others(path: &Path) -> Option<PathBuf> {
    on_the_way(path, |metadata| {
        let mode = metadata.permissions().mode();
        mode & 0o022 != 0 && !(metadata.is_dir() && mode & 0o1000 != 0)
    })
    .map(|(path, _)| path)
}

/// The first of them that belongs neither to `owner` nor to the machine's administrator.
fn owned_by_another(path: &Path, owner: u32) -> Option<(PathBuf, u32)> {
    on_the_way(path, |metadata| ![owner, 0].contains(&metadata.uid()))
        .map(|(path, metadata)| (path, metadata.uid()))
}

fn on_the_way(
    path: &Path,
    is_meant: impl Fn(&std::fs::Metadata) -> bool,
) -> Option<(PathBuf, std::fs::Metadata)> {
    let led_to = path.canonicalize().ok();
    let all = path.ancestors().chain(led_to.iter().flat_map(|path| path.ancestors()));
    let mut found = all.filter_map(|path| Some((path.to_owned(), path.metadata().ok()?)));
    found.find(|(_, metadata)| is_meant(metadata))
}

/// The name of a user, or the number where it has none.
pub(in crate::hook) fn user_name(id: u32) -> String {
    name_of("/etc/passwd", id)
}

/// The name of a user or group, or its number where it has none (passwd(5), group(5)).
fn name_of(file: &str, id: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    fn findings(scratch: &Scratch, paths: &[&Path]) -> Vec<StatusFinding> {
        let answer = scratch.git(&["config", "--list", "-z", "--show-scope"]);
        let configuration = Configuration::parse(answer.as_bytes()).unwrap();
        let mut findings = Vec::new();
        look(&scratch.open(), &configuration, paths, &mut findings);
        findings
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A repository that only its owner can write, whatever the umask.
    fn own() -> Scratch {
        let scratch = Scratch::new(&["--bare"]);
        let status = std::process::Command::new("chmod").args(["-R", "go-w"]).arg(scratch.path()).status();
        assert!(status.unwrap().success());
        scratch
    }

    #[test]
    fn a_repository_that_pushers_can_write_binds_nobody() {
        let scratch = own();
        assert_eq!(findings(&scratch, &[]), []);
        std::fs::create_dir_all(scratch.path().join("refs/heads/deep")).unwrap();
        std::fs::create_dir_all(scratch.path().join("objects/ab")).unwrap();
        std::fs::write(scratch.path().join("refs/heads/deep/ref"), "").unwrap();
        for part in
            ["refs", "config", "objects/pack", "objects/ab", "objects/info", "refs/heads/deep/ref", ""]
        {
            let path = scratch.path().join(part);
            let before = path.metadata().unwrap().permissions().mode();
            mode(&path, 0o2775);
            let found = findings(&scratch, &[]);
            let [StatusFinding::Shared { who, setting: None, .. }] = &found[..] else { panic!("{found:?}") };
            assert!(who.starts_with("whoever is in the group '"), "{who}");
            assert!(found[0].to_string().contains("the gate binds none of them"), "{}", found[0]);
            mode(&path, before);
        }
        mode(&scratch.path().join("refs/heads"), 0o777);
        let found = findings(&scratch, &[]);
        assert!(matches!(&found[..], [StatusFinding::Shared { who, .. }] if who.starts_with("everybody")));
        mode(&scratch.path().join("refs/heads"), 0o755);
    }

    /// What git is told counts as if it were so already; git itself says what that is.
    #[test]
    fn what_is_shared_is_read_as_git_reads_it() {
        let scratch = own();
        let (config, head) = (scratch.path().join("config"), scratch.path().join("HEAD"));
        let before = std::fs::read_to_string(&config).unwrap();
        for (line, is_shared) in [
            ("= group", true),
            ("= all", true),
            ("= everybody", true),
            ("= 1", true),
            ("= 2", true),
            ("= true", true),
            ("= yes", true),
            ("", true),
            ("= 0660", true),
            ("= 660", true),
            ("= 0662", true),
            ("= 602", true),
            ("= 0640", false),
            ("= 640", false),
            ("= 0600", false),
            ("= umask", false),
            ("= false", false),
            ("= 0", false),
            ("=", false),
        ] {
            std::fs::write(&config, format!("{before}[core]\n\tsharedRepository {line}\n")).unwrap();
            mode(&config, 0o644);
            // A new file in the place of the old one.
            mode(&head, 0o600);
            let script = "umask 077 && git symbolic-ref HEAD refs/heads/other";
            let mut git = std::process::Command::new("sh");
            git.args(["-c", script]).current_dir(scratch.path()).env("HOME", scratch.path());
            assert!(git.env("GIT_CONFIG_NOSYSTEM", "1").status().unwrap().success(), "{line}");
            let is_written = head.metadata().unwrap().permissions().mode() & 0o022 != 0;
            assert_eq!(is_written, is_shared, "git: {line}");
            mode(&head, 0o644);
            assert_eq!(!findings(&scratch, &[]).is_empty(), is_shared, "{line}");
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_told() {
        let scratch = own();
        let policy = scratch.path().join("policy.toml");
        std::fs::write(&policy, "").unwrap();
        mode(&policy, 0o644);
        assert_eq!(findings(&scratch, &[&policy]), []);
        // Only the machine's administrator can give a file away.
        if std::os::unix::fs::chown(&policy, Some(54321), None).is_err() {
            eprintln!("SKIPPED: what_belongs_to_another_user_is_told: root not found");
            return;
        }
        let found = findings(&scratch, &[&policy]);
        assert!(
            matches!(&found[..], [StatusFinding::OwnedByAnother { owner, .. }] if owner == "54321"),
            "{found:?}"
        );
        // A part of the repository that is another's can be written by that one.
        let refs = scratch.path().join("refs/heads");
        std::os::unix::fs::chown(&policy, Some(0), None).unwrap();
        std::os::unix::fs::chown(&refs, Some(54322), None).unwrap();
        let found = findings(&scratch, &[]);
        assert!(
            matches!(&found[..], [StatusFinding::OwnedByAnother { owner, path, .. }] if owner == "54322" && *path == refs),
            "{found:?}"
        );
        std::os::unix::fs::chown(&refs, Some(0), None).unwrap();
        std::os::unix::fs::chown(&policy, Some(54321), None).unwrap();
        // The owner of both, and the machine's administrator, may.
        std::os::unix::fs::chown(scratch.path(), Some(54321), None).unwrap();
        assert_eq!(findings(&scratch, &[&policy]), []);
    }
}
