//! `countersign init`: the git configuration that makes git sign and verify with this program.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Outcome, World,
    arguments::{InitArguments, Scope},
    exit,
};
use crate::{words, words::Failure};

/// Set, or with `--dry-run` print, each setting.
pub(super) fn run(world: &mut World<'_>, arguments: &InitArguments) -> Outcome {
    let program = world.program.to_str().ok_or_else(|| {
        Failure::new("the path of this program is not UTF-8", "install countersign under a plain path")
    })?;
    let mut settings: Vec<(Scope, String, String)> = [
        ("gpg.format", "x509"),
        ("gpg.x509.program", program),
        ("commit.gpgSign", "true"),
        ("tag.gpgSign", "true"),
    ]
    .into_iter()
    .map(|(key, value)| (arguments.scope, key.to_owned(), value.to_owned()))
    .collect();

    // What decides about trust counts from protected configuration only, so it never goes to a
    // repository's own file.
    let trusted = if arguments.scope == Scope::Local { Scope::Global } else { arguments.scope };
    if let Some(instance) = &arguments.instance {
        settings.push((trusted, "countersign.instance".to_owned(), instance.clone()));
        for (name, file) in
            [("trustedRoot", &arguments.trusted_root), ("signingConfig", &arguments.signing_config)]
        {
            if let Some(file) = file {
                let file = absolute(&world.directory, file)?;
                settings.push((trusted, format!("countersign.{instance}.{name}"), file));
            }
        }
    }
    if let Some(policy) = &arguments.policy {
        let policy = absolute(&world.directory, policy)?;
        settings.push((trusted, "countersign.policy".to_owned(), policy));
    }

    for (scope, key, value) in settings {
        let flag = match scope {
            Scope::Global => "--global",
            Scope::Local => "--local",
            Scope::System => "--system",
        };
        world.say(&format!("git config {flag} {key} {}\n", words::escape(&quoted(&value))));
        if arguments.dry_run {
            continue;
        }
        let directory = arguments.repository.as_deref().unwrap_or(&world.directory);
        let output = Command::new("git")
            .current_dir(directory)
            .args(["config", flag, &key, &value])
            .output()
            .map_err(|error| Failure::new(format!("git cannot be run: {error}"), "install git"))?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Failure::new(
                format!("git cannot set '{key}': {reason}"),
                "choose another '--scope', or set it by hand as printed above",
            ));
        }
    }
    Ok(exit::GOOD)
}

fn absolute(directory: &Path, file: &Path) -> Result<String, Failure> {
    let path: PathBuf = directory.join(file);
    if !path.is_file() {
        return Err(Failure::new(format!("there is no file '{}'", path.display()), "check the path"));
    }
    path.canonicalize().ok().and_then(|path| path.to_str().map(str::to_owned)).ok_or_else(|| {
        Failure::new(format!("the path '{}' is not UTF-8", path.display()), "move the file to a plain path")
    })
}

/// `value` as a word for a shell.
fn quoted(value: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@+".contains(character);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}
