//! What processes have left in a state folder that were killed while they wrote: files that were to take the place of
//! others. Once a day they are looked for.
//!
//! Such a file is called as the library for temporary files calls them, is this user's alone, in a folder that is so
//! too, and has been as it is for a day. Whoever still wrote it after all finds it gone when it is to take its place,
//! and fails, which refuses a push and loses nothing.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::repository::{Durability, system, write_whole};

const DAY: Duration = Duration::from_secs(86_400);

/// The file that says by its age when that was done last.
const MARK: &str = "swept";

/// How many files are looked at in all.
const MAXIMUM_FILES: usize = 100_000;

/// Take them away if nobody has for a day; `now` is in seconds since 1970. What cannot be taken away stays.
pub(super) fn sweep(state: &Path, now: i64) {
    let now = UNIX_EPOCH + Duration::from_secs(now.max(0).unsigned_abs());
    let mark = state.join(MARK);
    // One of a clock that was ahead is no reason to wait.
    let is_recent = |time: SystemTime| time <= now + DAY && now < time + DAY;
    if mark.metadata().and_then(|metadata| metadata.modified()).is_ok_and(is_recent) {
        return;
    }
    if !is_own_folder(state) || write_whole(&mark, b"", Durability::System).is_err() {
        return;
    }
    let mut left = MAXIMUM_FILES;
    let mut waiting = vec![state.to_owned()];
    while let Some(folder) = waiting.pop().filter(|_| left > 0) {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            left = left.saturating_sub(1);
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_dir() {
                waiting.extend(is_own_folder(&path).then_some(path));
            } else if is_left_over(&path, &metadata, now) {
                // The next day tries again.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn is_own_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir() && system::is_own(&metadata))
}

fn is_left_over(path: &Path, metadata: &fs::Metadata, now: SystemTime) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    // tempfile, `Builder`: what it says if nothing else is asked for.
    let is_called_so = name
        .strip_prefix(b".tmp")
        .is_some_and(|rest| rest.len() == 6 && rest.iter().all(u8::is_ascii_alphanumeric));
    let is_old = metadata.modified().is_ok_and(|time| time + DAY <= now);
    is_called_so && is_old && metadata.is_file() && system::is_own(metadata)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_what_is_old_and_called_so_goes_and_only_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let deep = state.join("accepted/aa");
        fs::create_dir_all(&deep).unwrap();
        let mode =
            |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for folder in [&state, &state.join("accepted"), &deep] {
            mode(folder, 0o700);
        }
        // As the library calls them: a file of a writer that never came to its end.
        let temporary = |folder: &Path| {
            let (_, path) = tempfile::NamedTempFile::new_in(folder).unwrap().keep().unwrap();
            path
        };
        let (one, two, other) = (temporary(&state), temporary(&deep), state.join("ledger.head"));
        fs::write(&other, "").unwrap();
        let elsewhere = folder.path().join(".tmpabcdef");
        fs::write(&elsewhere, "").unwrap();
        symlink(folder.path(), state.join("link")).unwrap();
        let written = one.metadata().unwrap().modified().unwrap();
        let after = |days: u64| {
            let time = written.duration_since(UNIX_EPOCH).unwrap() + DAY * u32::try_from(days).unwrap();
            i64::try_from(time.as_secs()).unwrap() + 1
        };
        let there = || [&one, &two].map(|path| path.exists());
        sweep(&state, after(0));
        assert_eq!(there(), [true, true], "somebody may write them");
        sweep(&state, after(0) + 60);
        assert!(state.join(MARK).exists());
        // What others may write may be anybody's.
        mode(&deep, 0o770);
        sweep(&state, after(1));
        assert_eq!(there(), [false, true]);
        mode(&deep, 0o700);
        // It was done today: by the clock of the file, which is now.
        sweep(&state, after(0) + 120);
        assert_eq!(there(), [false, true]);
        sweep(&state, after(2));
        assert_eq!(there(), [false, false]);
        assert!(other.exists() && elsewhere.exists());
        mode(&state, 0o770);
        let three = temporary(&state);
        sweep(&state, after(9));
        assert!(three.exists());
    }
}
