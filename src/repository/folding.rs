//! File systems that take names of different spelling for one: a ref there is also what another name says.

use std::{borrow::Cow, path::Path};

use gix::bstr::{BStr, BString};

/// The spelling under which such a file system finds a name: composed, and in lower case (APFS, NTFS and
/// case-folding ext4 agree on that as far as refs of one project ever differ).
#[must_use]
pub fn folded(name: &BStr) -> BString {
    let composed = gix::utils::str::precompose_bstr(Cow::Borrowed(name));
    match std::str::from_utf8(&composed) {
        Ok(text) => text.to_lowercase().into(),
        Err(_) => composed.to_ascii_lowercase().into(),
    }
}

/// Whether the file system of a git directory answers to `HEAD` under another spelling.
pub(super) fn folds(git_dir: &Path) -> bool {
    git_dir.join("hEaD").symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_fold_together() {
        for other in ["refs/heads/MAIN", "REFS/heads/Main"] {
            assert_eq!(folded(other.into()), "refs/heads/main");
        }
        assert_eq!(folded("u\u{308}".into()), folded("\u{fc}".into()), "composed and decomposed");
        assert_eq!(folded("\u{dc}".into()), folded("\u{fc}".into()));
        assert_eq!(folded(b"\xffA".as_slice().into()), b"\xffa".as_slice());
    }
}
