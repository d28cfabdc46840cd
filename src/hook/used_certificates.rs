//! Which push certificates have been used: each is good for one push.
//!
//! git's nonce does not see to that: two pushes in one second get the same one, and over smart HTTP one
//! counts for as long as `receive.certNonceSlop` says. What is remembered is a digest of the signed bytes:
//! the signature can be written in other ways, and with it the id of the blob changes.
//!
//! A certificate is claimed by creating a file that must not be there, before anything is decided. Claims
//! lie in a folder for each day of their nonces. Once a day lies so far back that no nonce of it is taken,
//! its folder goes; before that it is written down that nothing of that day or before counts ever again, so
//! that a clock that goes back brings nothing back.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

/// How far the time of a nonce may lie from now, in seconds: the longest push there is, and clocks of several
/// servers that differ.
pub const MAXIMUM_AGE: i64 = DAY;

/// How many days are kept besides the one at hand: a clock that was a day ahead for a while does no harm.
const KEPT_DAYS: i64 = 3;

const DAY: i64 = 86_400;

/// How the names begin of files that say up to which day nothing is known.
const FORGOTTEN: &str = "forgotten-";

/// The used certificates of one repository.
#[derive(Clone, Debug)]
pub struct UsedCertificates {
    folder: PathBuf,
}

/// Why a certificate cannot be claimed. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// It was claimed before.
    #[error("it has been used before")]
    Used,
    /// It is of a day that nothing is known of any more.
    #[error("what was used on its day is forgotten, as '{}' says", path.display())]
    Forgotten {
        /// The file that says so; its name ends in the last day that is forgotten, counted from 1970.
        path: PathBuf,
        /// The last moment of that day, in seconds since 1970.
        until: i64,
    },
    /// It cannot be written down.
    #[error("'{}': {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl UsedCertificates {
    /// Those that are noted in the state folder `state`, which need not exist yet.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("push-certificates") }
    }

    /// Claim the certificate whose signed bytes have this digest and whose nonce was given out at `issued`,
    /// for one push and for good. `now` says what may be forgotten; both in seconds since 1970.
    ///
    /// # Errors
    /// It was claimed before, or the claim cannot be made to last.
    pub fn claim(&self, digest: &str, issued: i64, now: i64) -> Result<(), ClaimError> {
        let day = issued.div_euclid(DAY);
        let folder = self.folder.join(day.to_string());
        create_folder(&folder)?;
        let path = folder.join(digest);
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::AlreadyExists => ClaimError::Used,
            _ => ClaimError::Io { path: path.clone(), source },
        };
        let mut file = File::create_new(&path).map_err(failed)?;
        file.write_all(format!("used {digest}\n").as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        sync_folder(&folder)?;
        // Looked at after the claim: had the day been forgotten before, then that was noted before.
        if let Some(last) = self.forgotten()?.filter(|last| day <= *last) {
            let path = self.folder.join(format!("{FORGOTTEN}{last}"));
            return Err(ClaimError::Forgotten {
                path,
                until: last.saturating_add(1).saturating_mul(DAY) - 1,
            });
        }
        self.forget(now.div_euclid(DAY) - KEPT_DAYS);
        Ok(())
    }

    /// The last day of which no claim is known any more.
    fn forgotten(&self) -> Result<Option<i64>, ClaimError> {
        let days = self.days()?;
        Ok(days.iter().filter_map(|name| name.strip_prefix(FORGOTTEN)?.parse().ok()).max())
    }

    /// What lies in the folder.
    fn days(&self) -> Result<Vec<String>, ClaimError> {
        let failed = |source| ClaimError::Io { path: self.folder.clone(), source };
        let names = fs::read_dir(&self.folder)
            .map_err(failed)?
            .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    /// Forget the days up to `last`, if there are any. What cannot be forgotten is kept.
    fn forget(&self, last: i64) {
        let days = self.days().unwrap_or_default();
        let is_old = |name: &&String| name.parse().is_ok_and(|day: i64| day <= last);
        let old: Vec<&String> = days.iter().filter(is_old).collect();
        if !old.is_empty() && self.note_forgotten(last).is_ok() {
            for day in old {
                // The next push tries again.
                let _ = fs::remove_dir_all(self.folder.join(day));
            }
        }
    }

    /// Write down that nothing up to the day `last` counts. What is written so never goes away: one empty file
    /// for each day on which something was forgotten, and the last one counts.
    fn note_forgotten(&self, last: i64) -> Result<(), ClaimError> {
        let path = self.folder.join(format!("{FORGOTTEN}{last}"));
        match File::create_new(&path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(ClaimError::Io { path, source: error })
            }
            Ok(()) | Err(_) => sync_folder(&self.folder),
        }
    }
}

/// Make a folder and those above it, so that they last.
fn create_folder(folder: &Path) -> Result<(), ClaimError> {
    let failed = |source: io::Error| ClaimError::Io { path: folder.to_owned(), source };
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        create_folder(above)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
        // Another push has just made it, and may not have come to this yet.
        Ok(()) | Err(_) => {}
    }
    above.map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<(), ClaimError> {
    let failed = |source| ClaimError::Io { path: folder.to_owned(), source };
    File::open(folder).and_then(|file| file.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn used(claim: Result<(), ClaimError>) -> bool {
        match claim {
            Ok(()) => false,
            Err(ClaimError::Used | ClaimError::Forgotten { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_certificate_is_claimed_once() {
        let state = tempfile::tempdir().unwrap();
        let memory = UsedCertificates::new(&state.path().join("not/there/yet"));
        assert!(!used(memory.claim("aa", NOW, NOW)));
        assert!(used(memory.claim("aa", NOW, NOW)));
        assert!(!used(memory.claim("bb", NOW, NOW)), "another one");
    }

    #[test]
    fn of_many_at_once_one_gets_it() {
        let state = tempfile::tempdir().unwrap();
        let memory = UsedCertificates::new(state.path());
        for certificate in 0..20 {
            let won = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        if !used(memory.claim(&certificate.to_string(), NOW, NOW)) {
                            won.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(won.into_inner(), 1);
        }
    }

    #[test]
    fn what_is_forgotten_never_counts_again_whatever_the_clock_says() {
        let state = tempfile::tempdir().unwrap();
        let memory = UsedCertificates::new(state.path());
        let day = |days: i64| NOW + days * DAY;
        assert!(!used(memory.claim("first", NOW, NOW)));
        for later in 1..=KEPT_DAYS {
            assert!(!used(memory.claim("other", day(later), day(later))));
        }
        let folder = state.path().join(format!("push-certificates/{}", NOW / DAY));
        assert!(!folder.exists(), "it is forgotten by now");
        assert!(used(memory.claim("first", NOW, NOW)), "and still does not count");
        assert!(used(memory.claim("never seen", NOW, NOW)));
        // A clock that was a day ahead for a push has taken nothing away from now.
        let memory = UsedCertificates::new(&state.path().join("ahead"));
        assert!(!used(memory.claim("ahead", day(1), day(1))));
        assert!(!used(memory.claim("now", NOW, NOW)));
        assert!(used(memory.claim("now", NOW, NOW)));
    }

    #[test]
    fn a_clock_that_was_far_ahead_is_named_as_the_cause() {
        let state = tempfile::tempdir().unwrap();
        let memory = UsedCertificates::new(state.path());
        assert!(!used(memory.claim("first", NOW, NOW)));
        let ahead = NOW + 365 * DAY;
        assert!(!used(memory.claim("ahead", ahead, ahead)));
        let last = ahead.div_euclid(DAY) - KEPT_DAYS;
        let expected = state.path().join(format!("push-certificates/{FORGOTTEN}{last}"));
        match memory.claim("fresh", NOW, NOW) {
            Err(ClaimError::Forgotten { path, until }) => {
                assert!(path.is_file());
                assert_eq!((path, until), (expected, last * DAY + DAY - 1));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn many_that_forget_at_once_lose_nothing_that_counts() {
        let state = tempfile::tempdir().unwrap();
        let memory = UsedCertificates::new(state.path());
        for days in 0..30 {
            let now = NOW + days * DAY;
            assert!(!used(memory.claim("sole", now, now)));
            std::thread::scope(|scope| {
                for thread in 0..8 {
                    let memory = &memory;
                    // Each has a clock of its own.
                    let now = now + (thread % 3) * DAY;
                    scope.spawn(move || memory.claim(&format!("{days}-{thread}"), now, now).unwrap());
                }
            });
            assert!(used(memory.claim("sole", now, now)));
        }
        let left = fs::read_dir(state.path().join("push-certificates")).unwrap();
        let folders = left.filter(|entry| entry.as_ref().unwrap().path().is_dir());
        assert!(folders.count() < 12);
    }

    #[test]
    fn what_cannot_be_written_refuses() {
        let state = tempfile::tempdir().unwrap();
        let memory = UsedCertificates::new(state.path());
        fs::write(state.path().join("push-certificates"), "in the way").unwrap();
        assert!(matches!(memory.claim("a", NOW, NOW), Err(ClaimError::Io { .. })));
        fs::remove_file(state.path().join("push-certificates")).unwrap();
        memory.claim("a", NOW, NOW).unwrap();
        fs::write(state.path().join("push-certificates/strange"), "and none of ours").unwrap();
        assert!(!used(memory.claim("b", NOW, NOW)));
    }
}
