//! `countersign protect --hooks`: a clone's own hook judges what moves, where its remotes stay plain.
//!
//! Responsible for putting the hook there, for taking it out again, and for what it runs. Whatever hook was
//! there before is kept and runs first.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use gix::bstr::{BString, ByteSlice as _};

use super::{Failure, Outcome, World, basis, exit};
use crate::{
    cli::settings,
    object::ObjectId,
    remote::{Guard, Mirrored, Move},
    repository::{Configuration, Repository, Scopes},
    words::escape,
};

const TEMPLATE: &str = include_str!("../../../hooks/client/reference-transaction");
/// The line by which the hook is told from somebody else's.
const MARK: &[u8] = b"# countersign guard ";
const NAME: &str = "reference-transaction";
/// Under which name a hook that was there before is kept.
const BEFORE: &str = "reference-transaction.before-countersign";

/// The most that git says of one transaction, in bytes.
const MAXIMUM_INPUT: u64 = 512 * 1024 * 1024;

/// Put the hook into `repository`.
pub(super) fn install(
    world: &mut World<'_>,
    repository: &Repository,
    configuration: &Configuration,
) -> Result<(), Failure> {
    if let Some(path) = configuration.get("core.hooksPath", Scopes::Any) {
        return Err(Failure::new(
            format!(
                "'core.hooksPath' is set to '{path}', so that git would not run a hook of the repository"
            ),
            "unset it for this repository, or call 'countersign protect --judge' from your own hook",
        ));
    }
    // Without a policy it would refuse everything.
    judged_by(world, repository, configuration)?;
    let hook = repository.common_dir().join("hooks").join(NAME);
    let kept = hook.with_file_name(BEFORE);
    let failed = |error: io::Error| {
        Failure::new(format!("'{}': {error}", hook.display()), "see to the path and its permissions")
    };
    let moves = match fs::read(&hook) {
        Ok(text) if is_ours(&text) => false,
        Ok(_) if kept.symlink_metadata().is_ok() => {
            return Err(Failure::new(
                format!("'{}' is in the way", kept.display()),
                "move one of the two hooks away by hand",
            ));
        }
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(error)),
    };
    let before = if is_executable(if moves { &hook } else { &kept }) { kept.clone() } else { PathBuf::new() };
    let text = TEMPLATE.replace("@PROGRAM@", &quoted(&world.program)?).replace("@BEFORE@", &quoted(&before)?);
    let folder = hook.parent().expect("the hook is in a folder");
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    if moves {
        fs::rename(&hook, &kept).map_err(failed)?;
    }
    file.persist(&hook).map_err(|error| failed(error.error))?;
    world.say(&format!("{}: judges what moves\n", escape(&hook.display().to_string())));
    world.say(
        "note: a weaker guard than 'verified::': what a fetch brings is in the object store and in FETCH_HEAD \
         before it is judged\n",
    );
    let references = repository.references().all();
    let references = references.map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let there = references.into_iter().filter(|(name, _)| !name.starts_with(b"refs/heads/"));
    let moves = there.filter_map(|(reference, id)| Some(Move { reference, wanted: id? }));
    let moves: Vec<Move> = moves.filter(|moved| !moved.reference.ends_with(b"/HEAD")).collect();
    if !judge(world, repository, configuration, &moves, true)? {
        world.complain(
            "warning: the policy refuses some of what is here already; only what comes is judged\n",
        );
    }
    Ok(())
}

/// Take the hook out again, and put back what was there before; whether there was one.
pub(super) fn uninstall(world: &mut World<'_>, repository: &Repository) -> Result<bool, Failure> {
    let hook = repository.common_dir().join("hooks").join(NAME);
    let kept = hook.with_file_name(BEFORE);
    if !fs::read(&hook).is_ok_and(|text| is_ours(&text)) {
        return Ok(false);
    }
    let done = match kept.symlink_metadata().is_ok() {
        true => fs::rename(&kept, &hook),
        false => fs::remove_file(&hook),
    };
    done.map_err(|error| {
        Failure::new(format!("'{}': {error}", hook.display()), "see to the path and its permissions")
    })?;
    world.say(&format!("{}: judges no longer\n", escape(&hook.display().to_string())));
    Ok(true)
}

/// What the hook runs: the exit status says whether the transaction may happen.
pub(super) fn run(world: &mut World<'_>) -> Outcome {
    let input = heard(world.stdin, MAXIMUM_INPUT)?;
    let moves = moves(&input)?;
    if moves.is_empty() {
        return Ok(exit::GOOD);
    }
    let repository =
        settings::discover(world).map_err(|error| Failure::new(error, "run it inside of a repository"))?;
    let configuration = Configuration::read(&world.directory, Some(repository.git_dir()))
        .map_err(|error| Failure::new(error, "run 'git config --list' to see what is wrong with it"))?;
    if judge(world, &repository, &configuration, &moves, false)? {
        return Ok(exit::GOOD);
    }
    world.complain("hint: 'countersign protect --undo' takes this hook out\n");
    Ok(exit::BAD)
}

fn judge(
    world: &mut World<'_>,
    repository: &Repository,
    configuration: &Configuration,
    moves: &[Move],
    is_first: bool,
) -> Result<bool, Failure> {
    let mut mirrored = Vec::new();
    for remote in configuration.subsections("remote", Scopes::Any) {
        for (_, value) in configuration.get_all(&format!("remote.{remote}.fetch"), Scopes::Any) {
            mirrored.extend(Mirrored::parse(&remote.to_string(), value));
        }
    }
    let mut upstream = HashMap::new();
    for branch in configuration.subsections("branch", Scopes::Any) {
        if let Some(merge) = configuration.get(&format!("branch.{branch}.merge"), Scopes::Any) {
            upstream.insert(BString::from(format!("refs/heads/{branch}")), merge.to_owned());
        }
    }
    let names = ["user.email", "committer.email"];
    let own = names.iter().filter_map(|key| configuration.get(key, Scopes::Any).map(ToOwned::to_owned));
    let own: HashSet<BString> =
        own.chain(world.environment.text("GIT_COMMITTER_EMAIL").map(BString::from)).collect();
    let fetched = fetched(repository)?;
    let mut words = Vec::new();
    let basis = || judged_by(world, repository, configuration);
    let guard = Guard {
        repository,
        basis: &basis,
        mirrored: &mirrored,
        upstream: &upstream,
        own: &own,
        fetched: &fetched,
        now: world.now,
    };
    let judged = guard.judge(moves, is_first, &mut words);
    // Every part of them is escaped.
    world.complain(&String::from_utf8_lossy(&words));
    judged
}

/// The policy that counts in the repository, as for 'countersign verify'.
fn judged_by(
    world: &World<'_>,
    repository: &Repository,
    configuration: &Configuration,
) -> Result<crate::remote::Basis, Failure> {
    basis::configured(world, configuration, repository, || {
        Failure::new(
            "no policy says who may change what here",
            "set 'countersign.policy', or pin the repository's own with 'countersign policy pin'",
        )
    })
}

/// All that `input` says, if it is not more than `maximum` bytes: what is passed over is not judged.
fn heard(input: &mut dyn Read, maximum: u64) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let taken = input.take(maximum + 1).read_to_end(&mut text).map_err(|error| {
        Failure::new(format!("git cannot be heard: {error}"), "this command is for git's hook")
    })?;
    if taken as u64 > maximum {
        return Err(Failure::new("git moves too many refs at once", "move fewer refs at a time"));
    }
    Ok(text)
}

/// What git says of a transaction: `<old> <new> <ref>`, a line each.
fn moves(input: &[u8]) -> Result<Vec<Move>, Failure> {
    let mut moves = Vec::new();
    for line in input.lines() {
        let mut fields = line.splitn_str(3, " ");
        let (Some(_), Some(new), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Failure::new(
                "git says a line that is not '<old> <new> <ref>'",
                "this command is for git's hook",
            ));
        };
        let is_guarded = [&b"refs/remotes/"[..], b"refs/tags/", b"refs/heads/"]
            .iter()
            .any(|start| name.starts_with(start));
        // Another name for a ref is no value of its own.
        if !is_guarded || new.starts_with(b"ref:") {
            continue;
        }
        let wanted = ObjectId::from_hex(new).map_err(|_| {
            Failure::new("git says a value that is no object id", "this command is for git's hook")
        })?;
        // What goes away brings nothing in.
        if !wanted.is_null() {
            moves.push(Move { reference: name.into(), wanted });
        }
    }
    Ok(moves)
}

/// What stands in FETCH_HEAD, of every work tree. One that cannot be read says nothing of what was made elsewhere,
/// so nothing can be judged by it.
fn fetched(repository: &Repository) -> Result<Vec<ObjectId>, Failure> {
    let common = repository.common_dir();
    let unreadable = |path: &Path, error: &io::Error| {
        Failure::new(format!("'{}' cannot be read: {error}", path.display()), "see to it, or remove it")
    };
    let worktrees = common.join("worktrees");
    let mut folders = vec![common.to_owned()];
    match fs::read_dir(&worktrees) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        listed => {
            for entry in listed.map_err(|error| unreadable(&worktrees, &error))? {
                folders.push(entry.map_err(|error| unreadable(&worktrees, &error))?.path());
            }
        }
    }
    let mut ids = Vec::new();
    for path in folders.iter().map(|folder| folder.join("FETCH_HEAD")) {
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(|error| unreadable(&path, &error))?,
        };
        ids.extend(text.lines().filter_map(|line| ObjectId::from_hex(line.fields().next()?).ok()));
    }
    Ok(ids)
}

fn is_ours(text: &[u8]) -> bool {
    text.lines().nth(1).is_some_and(|line| line.starts_with(MARK))
}

/// Git passes over hooks that may not be executed.
fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    path.is_file()
}

/// A path as one word of `sh`.
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.contains(['\n', '@'])).ok_or_else(|| {
        Failure::new(format!("the path '{}' fits into no hook", path.display()), "choose a plain path")
    })?;
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_heard_whole_or_refused() {
        assert_eq!(heard(&mut &b"12345"[..], 5).unwrap(), b"12345");
        assert!(heard(&mut &b"123456"[..], 5).is_err());
    }
}
