//! The hook on the developer's side: what git hands to it, and putting it into a repository.
//!
//! It binds nobody: whoever pushes may leave it out. It says before anything is sent what the server would
//! say of it.

use std::path::{Path, PathBuf};

use super::{
    InstallError, Uninstalled, Update, UpdateError,
    layout::refuse_hooks_path,
    place::{Place, absolute, is_executable, take_out},
    template::{fill, is_marked, quote},
    turn::Turn,
};
use crate::{
    object::{HashKind, ObjectId},
    repository::Repository,
};

const TEMPLATE: &str = include_str!("../../hooks/pre-push");

/// The line by which the shim is told from somebody else's hook.
const MARK: &str = "# countersign pre-push shim ";

/// Read what git says that it is about to push (githooks, `pre-push`): lines of
/// `<local ref> SP <local id> SP <remote ref> SP <remote id> LF`. The first is any expression, which may
/// hold spaces.
///
/// # Errors
/// Anything that git itself would not write.
pub fn parse_planned(hash: HashKind, input: &[u8]) -> Result<Vec<Update>, UpdateError> {
    let Some(lines) = input.strip_suffix(b"\n") else {
        return if input.is_empty() { Ok(Vec::new()) } else { Err(UpdateError::Line(1)) };
    };
    let line = |(index, line): (usize, &[u8])| {
        let number = index + 1;
        let mut fields = line.rsplitn(4, |byte| *byte == b' ');
        let mut field = || fields.next().filter(|field| !field.is_empty()).ok_or(UpdateError::Line(number));
        let (claimed, reference, wanted) = (field()?, field()?, field()?);
        field()?;
        let id = |text: &[u8]| {
            let lower = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let id = ObjectId::from_hex(text).ok().filter(|_| lower).ok_or(UpdateError::Line(number))?;
            if id.kind() == hash { Ok((!id.is_null()).then_some(id)) } else { Err(UpdateError::Hash(number)) }
        };
        Ok(Update { claimed: id(claimed)?, wanted: id(wanted)?, reference: reference.to_vec() })
    };
    lines.split(|byte| *byte == b'\n').enumerate().map(line).collect()
}

/// Install the hook that runs `program`, keeping one that is there; where it is, and where the other one is.
///
/// # Errors
/// See [`InstallError`]; then the hook that was there still is.
pub fn install_pre_push(
    repository: &Path,
    program: &Path,
) -> Result<(PathBuf, Option<PathBuf>), InstallError> {
    let repository = Repository::open(repository)?;
    let _turn = Turn::take(repository.common_dir())?;
    refuse_hooks_path(&repository)?;
    let program = absolute(program)?;
    if !is_executable(&program) {
        return Err(InstallError::NoProgram(program));
    }
    let place = Place::find(hook_path(&repository), &is_shim)?;
    let before = quote(place.before.as_deref().unwrap_or(Path::new("")).as_os_str())?;
    let program = quote(program.as_os_str())?;
    place.put(&fill(TEMPLATE, &|name| match name {
        "PROGRAM" => Some(program.clone()),
        "BEFORE" => Some(before.clone()),
        _ => None,
    }))?;
    Ok((place.hook, place.before))
}

/// Take the hook out, and put the one that was there before back in its place, byte for byte.
///
/// # Errors
/// The repository cannot be opened, or a file not moved.
pub fn uninstall_pre_push(repository: &Path) -> Result<Uninstalled, InstallError> {
    let repository = Repository::open(repository)?;
    let _turn = Turn::take(repository.common_dir())?;
    take_out(&hook_path(&repository), &is_shim)
}

fn hook_path(repository: &Repository) -> PathBuf {
    repository.common_dir().join("hooks/pre-push")
}

fn is_shim(text: &[u8]) -> bool {
    is_marked(text, MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_writes_is_read_whatever_the_source_is_called() {
        let (one, zero) = ("1".repeat(40), "0".repeat(40));
        let input = format!(
            "refs/heads/a {one} refs/heads/b {zero}\nHEAD@{{1 day ago}} {one} refs/heads/c {one}\n\
             (delete) {zero} refs/heads/d {one}\n"
        );
        let updates = parse_planned(HashKind::Sha1, input.as_bytes()).unwrap();
        let names: Vec<_> = updates.iter().map(|update| update.reference.as_slice()).collect();
        assert_eq!(names, [b"refs/heads/b", b"refs/heads/c", b"refs/heads/d"]);
        assert_eq!((updates[0].claimed, updates[2].wanted), (None, None));
        assert_eq!(updates[1].claimed, updates[1].wanted);
        assert_eq!(parse_planned(HashKind::Sha1, b""), Ok(vec![]), "nothing is pushed");
        for garbage in [
            format!("a {one} refs/heads/b {zero}"),
            format!("{one} refs/heads/b {zero}\n"),
            format!("a {one} refs/heads/b {zero} \n"),
            format!("a  refs/heads/b {zero}\n"),
            format!("a {} refs/heads/b {zero}\n", "A".repeat(40)),
            "\n".to_owned(),
        ] {
            assert_eq!(
                parse_planned(HashKind::Sha1, garbage.as_bytes()),
                Err(UpdateError::Line(1)),
                "{garbage:?}"
            );
        }
        let other = format!("a {} refs/heads/b {zero}\n", "1".repeat(64));
        assert_eq!(parse_planned(HashKind::Sha1, other.as_bytes()), Err(UpdateError::Hash(1)));
    }
}
