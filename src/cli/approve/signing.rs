//! Signing an approval with what git signs with: keyless, or the program that protected configuration names.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    cli::{World, signing},
    repository::{Configuration, Scopes},
    signature::armor::MAXIMUM_ARMOR_BYTES,
    words::Failure,
};

/// The armor over `payload`, and what else the person should hear.
pub(super) fn sign(
    world: &World<'_>,
    configuration: &Configuration,
    payload: &[u8],
) -> Result<(Vec<u8>, Vec<Failure>), Failure> {
    let setting = |key: &str| configuration.text(key, Scopes::Protected).filter(|text| !text.is_empty());
    let key = setting("user.signingKey");
    let no_key = || {
        Failure::new("no key to sign with is configured", "set 'user.signingKey' with 'git config --global'")
    };
    match setting("gpg.format") {
        Some("ssh") => {
            let key = key.ok_or_else(no_key)?;
            let program = setting("gpg.ssh.program").unwrap_or("ssh-keygen");
            let literal = key.strip_prefix("key::").or(Some(key).filter(|key| key.starts_with("ssh-")));
            let file = match literal {
                // A key of the agent's: ssh-keygen wants its public half in a file.
                Some(line) => {
                    let mut file = tempfile::NamedTempFile::new().map_err(|error| unwritten(&error))?;
                    writeln!(file, "{line}").map_err(|error| unwritten(&error))?;
                    Some(file)
                }
                None => None,
            };
            let path = match (&file, key.strip_prefix("~/"), world.environment.get("HOME")) {
                (Some(file), ..) => file.path().to_owned(),
                (None, Some(rest), Some(home)) => Path::new(home).join(rest),
                _ => world.directory.join(key),
            };
            let path = path.to_string_lossy().into_owned();
            let mut arguments = vec!["-Y", "sign", "-n", "git", "-f", &path];
            arguments.extend(file.is_some().then_some("-U"));
            run(world, program, &arguments, payload).map(|armor| (armor, Vec::new()))
        }
        Some("openpgp") => {
            let program = setting("gpg.openpgp.program").or_else(|| setting("gpg.program")).unwrap_or("gpg");
            detached(world, program, key, payload)
        }
        Some("x509") => match setting("gpg.x509.program") {
            Some(program) if !is_ours(program) => detached(world, program, key, payload),
            _ => keyless(world, configuration, payload),
        },
        _ => keyless(world, configuration, payload),
    }
}

/// Whether the program that git runs is this one.
fn is_ours(program: &str) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == "countersign")
}

fn keyless(
    world: &World<'_>,
    configuration: &Configuration,
    payload: &[u8],
) -> Result<(Vec<u8>, Vec<Failure>), Failure> {
    signing::sign(world, configuration, payload, None).map(|signed| (signed.armor, signed.warnings))
}

/// By a program that speaks GnuPG's dialect, as git would call it.
fn detached(
    world: &World<'_>,
    program: &str,
    key: Option<&str>,
    payload: &[u8],
) -> Result<(Vec<u8>, Vec<Failure>), Failure> {
    let arguments = match key {
        Some(key) => vec!["-bsau", key],
        None => vec!["-bsa"],
    };
    run(world, program, &arguments, payload).map(|armor| (armor, Vec::new()))
}

fn run(world: &World<'_>, program: &str, arguments: &[&str], payload: &[u8]) -> Result<Vec<u8>, Failure> {
    let failed = |reason: String| {
        Failure::new(
            format!("'{program}' did not sign: {reason}"),
            "see that 'git commit -S' works, and try again",
        )
    };
    let mut command = Command::new(program);
    command.current_dir(&world.directory).env_clear().envs(world.environment.iter());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(payload));
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(failed(words.lines().next().unwrap_or("it gave up").to_owned()));
    }
    written.map_err(|error| failed(error.to_string()))?;
    if output.stdout.is_empty() || output.stdout.len() > MAXIMUM_ARMOR_BYTES {
        return Err(failed("what it printed is no signature".to_owned()));
    }
    Ok(output.stdout)
}

fn unwritten(error: &std::io::Error) -> Failure {
    Failure::new(format!("a temporary file cannot be written: {error}"), "see to 'TMPDIR'")
}
