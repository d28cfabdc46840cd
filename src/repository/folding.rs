//! File systems that take names of different spelling for one: a ref there is also what another name says.

use std::{borrow::Cow, path::Path};

use gix::bstr::{BStr, BString};

use crate::words::is_deceptive;

/// One spelling for all that any such file system takes for one name: composed, without what is drawn as nothing,
/// and with whole case folding (HFS+, APFS, NTFS and case-folding ext4 each take fewer spellings for one).
#[must_use]
pub fn folded(name: &BStr) -> BString {
    let composed = compose(name);
    let Ok(text) = std::str::from_utf8(&composed) else { return composed.to_ascii_lowercase().into() };
    // Upper case first: of `\u{df}` and `ss`, `\u{17f}` and `s` only the lower cases differ.
    let shown = text.chars().filter(|character| !is_deceptive(*character));
    let folded: String = shown.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    compose(folded.as_str().into())
}

fn compose(name: &BStr) -> BString {
    gix::utils::str::precompose_bstr(Cow::Borrowed(name)).into_owned()
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
        for (one, other) in [
            ("ma\u{17f}ter", "MASTER"),
            ("gro\u{df}", "GROSS"),
            ("\u{fb01}x", "fix"),
            ("ma\u{200d}in", "main"),
            ("ma\u{feff}in", "main"),
            ("\u{3c3}\u{3c2}", "\u{3a3}\u{3a3}"),
            ("\u{212a}", "k"),
        ] {
            assert_eq!(folded(one.into()), folded(other.into()), "{one} {other}");
        }
        assert_ne!(folded("a\u{308}".into()), folded("a".into()));
        assert_eq!(
            folded("refs/heads/\u{3b1}\u{3c3}*".into()),
            "refs/heads/\u{3b1}\u{3c3}*",
            "as a pattern too"
        );
        assert_eq!(folded(b"\xffA".as_slice().into()), b"\xffa".as_slice());
    }
}
