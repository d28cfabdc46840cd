//! git itself, for what changes a repository or the user's configuration.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::{cli::World, words::Failure};

/// Run git with `arguments` in the world's directory or `repository`, give it `input`, and return what it
/// prints. What it says on standard error is the user's to see if `is_heard`, and else part of the failure.
pub(in crate::cli) fn git(
    world: &World<'_>,
    repository: Option<&Path>,
    arguments: &[&str],
    input: &[u8],
    is_heard: bool,
) -> Result<Vec<u8>, Failure> {
    let failed = |reason: String| {
        Failure::new(format!("'git {}' failed: {reason}", arguments[0]), "see what git says, and try again")
    };
    let mut git = Command::new("git");
    git.env_clear().envs(world.environment.iter()).env("GIT_NO_REPLACE_OBJECTS", "1");
    match repository {
        Some(repository) => git
            .current_dir(world.directory.join(repository))
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE"),
        None => git.current_dir(&world.directory),
    };
    git.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    git.stderr(if is_heard { Stdio::inherit() } else { Stdio::piped() });
    let mut child = git.spawn().map_err(|error| failed(error.to_string()))?;
    // git reads all of it before it says anything.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
        return Err(failed(if words.is_empty() { output.status.to_string() } else { words.to_owned() }));
    }
    written.map_err(|error| failed(error.to_string()))?;
    Ok(output.stdout)
}

/// [`git`], whose answer is one word.
pub(in crate::cli) fn git_word(
    world: &World<'_>,
    repository: Option<&Path>,
    arguments: &[&str],
    input: &[u8],
    is_heard: bool,
) -> Result<String, Failure> {
    let answer = git(world, repository, arguments, input, is_heard)?;
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}
