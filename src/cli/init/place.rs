//! Where `init` writes to: a file of git's, or a file of the user's that git includes for one repository.
//!
//! What decides about trust counts from the user's own configuration only. For one repository it is kept in
//! a file of its own there, which `includeIf.gitdir:` (git-config, "Conditional includes") brings in.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::{Change, Scope};
use crate::{
    cli::{World, git_config},
    encoding::sha256,
    repository::{Configuration, Repository, Scopes},
    words::{self, Failure},
};

/// Where a setting is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// What `git config` knows by this option.
    Option(&'static str),
    /// A file of the user's for one repository.
    Repository {
        file: String,
        /// The conditions under which git reads it: in the repository, and in its linked work trees.
        conditions: [String; 2],
    },
}

impl Place {
    pub(super) fn of_scope(scope: Scope) -> Self {
        Self::Option(match scope {
            Scope::Global => "--global",
            Scope::Local => "--local",
            Scope::System => "--system",
        })
    }

    /// The user's own file for `repository`, all of its work trees included.
    pub(super) fn of_repository(world: &World<'_>, repository: &Repository) -> Result<Self, Failure> {
        let unusable = |path: &Path| {
            Failure::new(
                format!("the path '{}' cannot be written into git's configuration", path.display()),
                "move the repository to a plain path",
            )
        };
        let common = repository.common_dir();
        let common = common.canonicalize().unwrap_or_else(|_| common.to_owned());
        let text = common.to_str().filter(|text| !text.contains('\n')).ok_or_else(|| unusable(&common))?;
        let folder = world
            .environment
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|folder| folder.is_absolute())
            .or_else(|| world.environment.get("HOME").map(|home| Path::new(home).join(".config")))
            .ok_or_else(|| Failure::new("there is no home folder", "set 'HOME'"))?;
        let name = format!("repository-{}.gitconfig", &hex::encode(sha256(&[text.as_bytes()]))[..16]);
        let file = folder.join("countersign").join(name);
        let file = file.to_str().ok_or_else(|| unusable(&file))?.to_owned();
        // The path is a pattern there.
        let mut pattern = String::new();
        for character in text.chars() {
            if "*?[]\\".contains(character) {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        let pattern = pattern.trim_end_matches('/');
        Ok(Self::Repository {
            file,
            conditions: [format!("gitdir:{pattern}"), format!("gitdir:{pattern}/worktrees/")],
        })
    }

    /// What the user's configuration has to say for this place to be read, where it does not say so already.
    pub(super) fn announcement(&self, configuration: &Configuration) -> Vec<Change> {
        let Self::Repository { file, conditions } = self else { return Vec::new() };
        let keys = conditions.iter().map(|condition| format!("includeIf.{condition}.path"));
        keys.filter(|key| {
            let known = configuration.get_all(key, Scopes::Protected);
            !known.iter().any(|(_, known)| known == file)
        })
        .map(|key| Change::new(&key, file))
        .collect()
    }
}

/// Set `change` in `place` and say so, or with `is_dry` only say so.
pub(super) fn set(
    world: &mut World<'_>,
    directory: &Path,
    place: &Place,
    change: &Change,
    is_dry: bool,
) -> Result<(), Failure> {
    let Change { key, value, .. } = change;
    let place: Vec<&str> = match place {
        Place::Option(option) => vec![option],
        Place::Repository { file, .. } => vec!["--file", file],
    };
    let words: Vec<String> = place.iter().map(|word| words::shell_word(word)).collect();
    let command =
        format!("git config {} {} {}\n", words.join(" "), words::shell_word(key), words::shell_word(value));
    world.say(&words::escape(command.trim_end()));
    world.say("\n");
    if is_dry {
        return Ok(());
    }
    let failed = |reason: String| {
        Failure::new(
            format!("git cannot set '{key}': {reason}"),
            "choose another '--scope', or set it by hand as printed above",
        )
    };
    if let ["--file", file] = place[..]
        && let Some(folder) = Path::new(file).parent()
    {
        fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    }
    let arguments = [&["config"], &place[..], &[key, value]].concat();
    let arguments: Vec<&OsStr> = arguments.into_iter().map(OsStr::new).collect();
    git_config::write(world, directory, &arguments, failed)
}
