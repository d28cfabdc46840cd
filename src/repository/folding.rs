//! File systems that take names of different spelling for one: a ref there is also what another name says.

use std::{borrow::Cow, path::Path};

use gix::bstr::{BStr, BString};

use crate::words::is_deceptive;

/// One spelling for all that any such file system takes for one name: decomposed, without what is drawn as nothing,
/// and with whole case folding (HFS+, APFS, NTFS and case-folding ext4 each take fewer spellings for one).
#[must_use]
pub fn folded(name: &BStr) -> BString {
    // Of what is no text no file system folds more.
    let Ok(text) = std::str::from_utf8(name) else { return name.to_ascii_lowercase().into() };
    // What gix composes it leaves as it is where a name holds a character beyond U+FFFF.
    let decomposed = |text: &str| gix::utils::str::decompose(Cow::Borrowed(text)).into_owned();
    let shown: String = text.chars().filter(|character| !is_deceptive(*character)).collect();
    let shown = decomposed(&shown);
    // By way of the upper case: of `\u{df}` and `ss`, `\u{17f}` and `s` only the lower cases differ. The capital
    // `\u{1e9e}` has none of its own.
    let letters = shown.chars().flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    let letters: String = letters.flat_map(char::to_lowercase).collect();
    decomposed(&letters).into()
}

/// Whether the file system of a git directory answers to `HEAD` under another spelling.
pub(super) fn folds(git_dir: &Path) -> bool {
    git_dir.join("hEaD").symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fold(text: &str) -> BString {
        folded(text.into())
    }

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

    #[test]
    fn letters_whose_case_is_no_pair_fold_together() {
        for (one, other) in [
            // The small sigma at the end of a word, and elsewhere.
            ("refs/heads/\u{391}\u{3a3}", "refs/heads/\u{3b1}\u{3c3}"),
            ("refs/heads/\u{3b1}\u{3c2}", "refs/heads/\u{3b1}\u{3c3}"),
            // One that is composed as a small letter alone.
            ("J\u{30c}", "\u{1f0}"),
            // The long s: what is the server's own by another spelling.
            ("refs/counter\u{17f}ign/ledger", "refs/countersign/ledger"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{1e9e}", "\u{df}"),
            ("\u{212a}", "k"),
            // What is drawn as nothing.
            ("refs/heads/ma\u{200d}in", "refs/heads/main"),
            ("\u{feff}main", "main"),
            // Marks in another order.
            ("\u{3b1}\u{345}\u{313}", "\u{1f80}"),
            // Beside a character that takes four bytes.
            ("u\u{308}\u{1f600}", "\u{fc}\u{1f600}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
        for (one, other) in [("a", "b"), ("refs/heads/a", "refs/heads/a/"), ("o", "\u{f6}"), ("a-b", "a_b")] {
            assert_ne!(fold(one), fold(other), "{one} and {other}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_of_a_name_folds_alike(
            name in "([a-zA-Z/.-]|\\PC|[\u{300}-\u{345}]|[\u{370}-\u{3ff}]|[\u{1f00}-\u{1fff}]|[\u{c0}-\u{24f}]){0,12}"
        ) {
            let once = fold(&name);
            prop_assert_eq!(folded(once.as_ref()), once.clone(), "twice");
            prop_assert_eq!(fold(&name.to_uppercase()), once.clone(), "upper case");
            prop_assert_eq!(fold(&name.to_lowercase()), once.clone(), "lower case");
            let composed = gix::utils::str::precompose(Cow::Borrowed(name.as_str()));
            prop_assert_eq!(fold(&composed), once.clone(), "composed");
            let decomposed = gix::utils::str::decompose(Cow::Borrowed(name.as_str()));
            prop_assert_eq!(fold(&decomposed), once, "decomposed");
        }
    }
}
