//! git's program for SSH signatures: `gpg.ssh.program = countersign`.
//!
//! The list that the caller names decides as `ssh-keygen` would decide by it; a configured policy can
//! only refuse more. Signing is for the program that holds the key.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{World, exit, git_program, settings};
use crate::{
    gpg::{
        Data,
        ssh_keygen::{self, FAILED, NO_PRINCIPAL, NOT_VERIFIED, Signer, SshRequest},
    },
    object::Payload,
    policy::{AllowedSigners, Receipt, SignedBy, parse_ssh_time},
    signature::ssh::{self, Revocations, SshSignature},
    verify::{self, Key, SSH_NAMESPACE, Verdict},
    words::{self, Failure},
};

/// Answer one call in the dialect of `ssh-keygen -Y`.
pub(super) fn run(world: &mut World<'_>) -> u8 {
    let request = match SshRequest::parse(&world.arguments) {
        Ok(request) => request,
        Err(error) => {
            let failure = Failure::new(error, "git calls this program by itself; see 'countersign --help'");
            world.complain(&failure.to_string());
            return exit::USAGE;
        }
    };
    match request {
        SshRequest::Sign => sign(world),
        SshRequest::FindPrincipals { allowed, signature, time } => {
            let found = find_principals(world, &allowed, &signature, time.as_deref());
            match found {
                Ok(names) if !names.is_empty() => {
                    world.say(&names.iter().map(|name| format!("{name}\n")).collect::<String>());
                    return exit::GOOD;
                }
                Ok(_) => {}
                Err(failure) => world.complain(&failure.to_string()),
            }
            world.complain(NO_PRINCIPAL);
            FAILED
        }
        SshRequest::Verify { signer, signature, namespace, revoked, time } => {
            // The payload is read to its end whatever happens, else git may see a broken pipe.
            let payload = git_program::read_data(world, &Data::Standard);
            let asked = Asked { signer, namespace, revoked, time };
            match payload.and_then(|payload| asked.verify(world, &payload, &signature)) {
                Ok(line) => {
                    world.say(&line);
                    exit::GOOD
                }
                Err(failure) => {
                    world.say(NOT_VERIFIED);
                    world.complain(&failure.to_string());
                    FAILED
                }
            }
        }
    }
}

fn find_principals(
    world: &mut World<'_>,
    allowed: &Path,
    signature: &Path,
    time: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let time = moment(world, time)?;
    let bytes = read_signature(world, signature)?;
    let signature = SshSignature::parse(&bytes).map_err(unreadable)?;
    let list = allowed_signers(world, allowed)?;
    let keys = verify::ssh_keys(&signature, time).map_err(|cause| Failure::new(cause, HINT))?;
    Ok(list.principals(&policy_agrees(world, keys, time)?, time))
}

/// What is asked about a signature.
struct Asked {
    signer: Option<Signer>,
    namespace: String,
    revoked: Option<PathBuf>,
    time: Option<String>,
}

const HINT: &str = "'countersign inspect' tells what is in the signature";

impl Asked {
    /// The line that says that the signature is good; or why it is not.
    fn verify(&self, world: &mut World<'_>, payload: &[u8], signature: &Path) -> Result<String, Failure> {
        if self.namespace != SSH_NAMESPACE {
            return Err(Failure::new(
                format!("signatures for '{}' are not checked here", self.namespace),
                "use ssh-keygen for what is not git's",
            ));
        }
        let time = moment(world, self.time.as_deref())?;
        let bytes = read_signature(world, signature)?;
        let signature = SshSignature::parse(&bytes).map_err(unreadable)?;
        verify::check_ssh(&Payload::whole(payload), &signature).map_err(|verdict| match verdict {
            Verdict::Bad(bad) => Failure::new(format!("bad signature: {bad}"), HINT),
            Verdict::CannotTell(cause) => Failure::new(cause, HINT),
            other => Failure::new(format!("{other:?}"), HINT),
        })?;
        let mut lists = Vec::new();
        if let Some(file) = &self.revoked {
            lists.push(revocations(&world.directory.join(file))?);
        }
        // git hands on the last word of the configuration, which a repository may have taken from the user.
        // Where nobody is meant, git hands on none.
        if self.signer.is_some() {
            lists.push(settings::ssh_revocations(world, &settings::configuration(world)?)?);
        }
        if lists.iter().any(|list| list.revokes(&signature)) {
            return Err(Failure::new("the key is revoked", "have somebody else sign what is still wanted"));
        }
        let fingerprint = signature.key.fingerprint();
        let mut principal = None;
        if let Some(signer) = &self.signer {
            let list = allowed_signers(world, &signer.allowed)?;
            let keys = verify::ssh_keys(&signature, time).map_err(|cause| Failure::new(cause, HINT))?;
            if !list.permits(&signer.principal, &keys, &self.namespace, time) {
                return Err(Failure::new(
                    format!("'{}' may not sign with the key {fingerprint}", signer.principal),
                    format!("'{}' decides that; look at its line and its times", signer.allowed.display()),
                ));
            }
            // A certificate may have several principals, and this answer is about one of them.
            let is_meant = |key: &&Key| match key {
                Key::SshCertificate { principal, .. } => *principal == signer.principal,
                _ => true,
            };
            policy_agrees(world, keys.iter().filter(is_meant).cloned().collect(), time)?;
            principal = Some(signer.principal.as_str());
        }
        Ok(ssh_keygen::good(&self.namespace, principal, &signature.key_type(), &fingerprint))
    }
}

/// Those of `keys` that count by the policy too, where one is configured. git tells content and signature and
/// not which object it is, so no anchor helps here.
fn policy_agrees(world: &World<'_>, keys: Vec<Key>, time: i64) -> Result<Vec<Key>, Failure> {
    let configuration = settings::configuration(world)?;
    let Some(policy) = settings::policy(world, &configuration)? else { return Ok(keys) };
    let receipt = Receipt::without_anchors(world.now);
    let judge =
        |keys: &[Key]| policy.names(SignedBy::Stated { keys, time: Some(time) }, &receipt).map(|_| ());
    judge(&keys).map_err(|cause| Failure::new(&cause, cause.hint()))?;
    Ok(keys.into_iter().filter(|key| judge(std::slice::from_ref(key)).is_ok()).collect())
}

/// The time to judge by, in seconds since 1970: as it was written, or now.
fn moment(world: &World<'_>, text: Option<&str>) -> Result<i64, Failure> {
    let Some(text) = text else { return Ok(world.now) };
    parse_ssh_time(text, &settings::time_zone()).ok_or_else(|| {
        Failure::new(format!("'verify-time={text}' is no time"), "write it as YYYYMMDD[HHMM[SS]][Z]")
    })
}

fn read_signature(world: &World<'_>, path: &Path) -> Result<Vec<u8>, Failure> {
    let armor = git_program::read_signature(&world.directory.join(path))?;
    ssh::decode(&armor).map_err(unreadable)
}

fn unreadable(error: crate::signature::FormatError) -> Failure {
    Failure::new(format!("the signature cannot be read: {error}"), HINT)
}

/// The list in `path`. As for `ssh-keygen`, a line that is not understood names nobody.
fn allowed_signers(world: &mut World<'_>, path: &Path) -> Result<AllowedSigners, Failure> {
    let text = settings::read(&world.directory.join(path), "list of allowed signers")?;
    let (list, errors) = AllowedSigners::parse_usable(&text, &settings::time_zone());
    for error in errors {
        let path = path.display().to_string();
        world
            .complain(&format!("warning: '{}', {error}; the line counts for nobody\n", words::escape(&path)));
    }
    Ok(list)
}

/// The list of revoked keys in `path`.
pub(super) fn revocations(path: &Path) -> Result<Revocations, Failure> {
    let failed = |reason: String| {
        let error = format!("the list of revoked keys '{}' cannot be used: {reason}", path.display());
        Failure::new(error, "mend it: until then it is unknown which keys still count")
    };
    let limit = settings::MAXIMUM_FILE_BYTES;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    if bytes.len() > limit {
        return Err(failed(format!("it is larger than {limit} bytes")));
    }
    Revocations::parse(&bytes).map_err(|error| failed(error.to_string()))
}

/// Hand the call on to the `ssh-keygen` that is installed, with all that it needs.
fn sign(world: &mut World<'_>) -> u8 {
    let Some(program) = installed(world) else {
        let failure = Failure::new(
            "'ssh-keygen' is not in the PATH, and it is what signs with SSH keys",
            "install OpenSSH, or sign without a key of your own: 'countersign init'",
        );
        world.complain(&failure.to_string());
        return exit::COULD_NOT_RUN;
    };
    let status = Command::new(&program)
        .args(&world.arguments)
        .env_clear()
        .envs(world.environment.iter())
        .current_dir(&world.directory)
        .status();
    match status {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED),
        Err(error) => {
            let failure = Failure::new(
                format!("'{}' cannot be run: {error}", program.display()),
                "install OpenSSH again",
            );
            world.complain(&failure.to_string());
            exit::COULD_NOT_RUN
        }
    }
}

/// The first `ssh-keygen` in the PATH that is not this very program under that name.
fn installed(world: &World<'_>) -> Option<PathBuf> {
    let own = world.program.canonicalize().ok();
    let name = format!("ssh-keygen{}", std::env::consts::EXE_SUFFIX);
    let paths = world.environment.get("PATH")?;
    std::env::split_paths(paths)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&name))
        .find(|path| path.is_file() && path.canonicalize().ok() != own)
}
