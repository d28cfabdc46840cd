//! The ledger is hidden from whoever pushes, and from nobody who fetches: `receive.hideRefs`.
//!
//! The lines are added to the end of the repository's configuration file and taken out again byte for byte,
//! under the lock that git itself takes.

use std::{io, path::Path};

use gix::bstr::{BStr, ByteSlice as _};

use super::config_file::{self, Change};
use crate::{ledger::LEDGER, repository::Configuration};

/// What is added to a file that ends in a line feed, or is empty.
const LINES: &[u8] =
    b"# countersign: nobody pushes to the ledger\n[receive]\n\thideRefs = refs/countersign/ledger\n";

/// What is added to any other.
const LINES_AFTER_A_LINE: &[u8] =
    b"\n# countersign: nobody pushes to the ledger (the line before had no end)\n[receive]\n\thideRefs = refs/countersign/ledger\n";

/// Whether git hides the ledger for what `section` is about, `receive` or `uploadpack`.
pub(super) fn is_hidden(configuration: &Configuration, section: &str) -> bool {
    // git keeps one list of both, in the order in which it reads them (refs.c, `parse_hide_refs_config`).
    let own = format!("{section}.hiderefs");
    let is_meant = |name: &BStr| name == "transfer.hiderefs" || name == own.as_str();
    let all = configuration.settings().filter(|(_, name, _)| is_meant(name)).map(|(_, _, value)| value);
    // The last that matches decides (git-config, `transfer.hideRefs`).
    let hides = |value: &BStr| {
        let (is_shown, rest) = match value.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, value.as_bytes()),
        };
        let prefix = rest.strip_prefix(b"^").unwrap_or(rest);
        let prefix = prefix.trim_end_with(|c| c == '/');
        let behind = LEDGER.as_bytes().strip_prefix(prefix.as_bytes())?;
        (behind.is_empty() || behind.starts_with(b"/")).then_some(!is_shown)
    };
    all.filter_map(hides).last().unwrap_or(false)
}

/// Hide the ledger, if it is not hidden.
pub(super) fn hide(common_dir: &Path, configuration: &Configuration) -> io::Result<()> {
    if is_hidden(configuration, "receive") { Ok(()) } else { hide_always(common_dir) }
}

/// Hide the ledger, whatever else hides it, if that was not done already. git is not asked for it.
pub(super) fn hide_always(common_dir: &Path) -> io::Result<()> {
    change(common_dir, |text| {
        let is_ended = text.is_empty() || text.ends_with(b"\n");
        let lines = if is_ended { LINES } else { LINES_AFTER_A_LINE };
        let is_there = [LINES, LINES_AFTER_A_LINE].iter().any(|lines| text.contains_str(lines));
        (!is_there).then(|| [text, lines].concat())
    })
}

/// Take out what [`hide`] has added.
pub(super) fn show(common_dir: &Path) -> io::Result<()> {
    change(common_dir, |text| {
        let (at, lines) =
            [LINES, LINES_AFTER_A_LINE].into_iter().find_map(|lines| Some((text.rfind(lines)?, lines)))?;
        let rest = &text[at + lines.len()..];
        // What came later begins a line of its own, and stays in the section that it was put into.
        let end: &[u8] = if lines.starts_with(b"\n") && !rest.is_empty() { b"\n" } else { b"" };
        let section: &[u8] = if goes_on(rest) { b"[receive]\n" } else { b"" };
        Some([&text[..at], end, section, rest].concat())
    })
}

/// Whether there are more settings of the section before in `rest`. A comment may be about either, and is no setting.
pub(super) fn goes_on(rest: &[u8]) -> bool {
    let mut lines = rest.lines().map(|line| line.trim_start());
    let is_said = |line: &&[u8]| !(line.is_empty() || line.starts_with(b"#") || line.starts_with(b";"));
    lines.find(is_said).is_some_and(|line| !line.starts_with(b"["))
}

fn change(common_dir: &Path, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
    config_file::change(&common_dir.join("config"), |text| {
        Ok(change(text.unwrap_or_default()).map_or(Change::Nothing, Change::Text))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::repository::tests::Scratch;

    fn configuration(scratch: &Scratch) -> Configuration {
        let answer = scratch.git(&["config", "--list", "-z", "--show-scope"]);
        Configuration::parse(answer.as_bytes()).unwrap()
    }

    #[test]
    fn the_ledger_is_hidden_and_shown_again_byte_for_byte() {
        for end in ["", "\n", "[x]\n\ty = z", "# countersign: nobody"] {
            let scratch = Scratch::new(&["--bare"]);
            let path = scratch.path().join("config");
            let before = [fs::read(&path).unwrap().as_slice(), end.as_bytes()].concat();
            fs::write(&path, &before).unwrap();
            assert!(!is_hidden(&configuration(&scratch), "receive"));
            hide(scratch.path(), &configuration(&scratch)).unwrap();
            let now = configuration(&scratch);
            assert!(is_hidden(&now, "receive") && !is_hidden(&now, "uploadpack"), "{end:?}");
            hide(scratch.path(), &now).unwrap();
            show(scratch.path()).unwrap();
            show(scratch.path()).unwrap();
            let after = fs::read(&path).unwrap();
            assert_eq!(String::from_utf8_lossy(&after), String::from_utf8_lossy(&before));
            hide(scratch.path(), &configuration(&scratch)).unwrap();
            scratch.git(&["config", "later.key", "value"]);
            show(scratch.path()).unwrap();
            assert_eq!(scratch.git(&["config", "later.key"]), "value");
            assert!(!is_hidden(&configuration(&scratch), "receive"));
        }
    }

    /// git puts a new setting into a section that is there.
    #[test]
    fn what_was_set_in_the_same_section_stays_set() {
        for end in ["", "[x]\n\ty = z"] {
            let scratch = Scratch::new(&["--bare"]);
            let path = scratch.path().join("config");
            let before = [fs::read(&path).unwrap().as_slice(), end.as_bytes()].concat();
            fs::write(&path, &before).unwrap();
            hide(scratch.path(), &configuration(&scratch)).unwrap();
            scratch.git(&["config", "receive.certNonceSeed", "seed"]);
            scratch.git(&["config", "receive.certNonceSlop", "60"]);
            for _ in 0..2 {
                show(scratch.path()).unwrap();
                let now = configuration(&scratch);
                assert!(!is_hidden(&now, "receive"));
                let names = [
                    ("receive.certNonceSeed", "seed"),
                    ("receive.certNonceSlop", "60"),
                    ("core.bare", "true"),
                ];
                for (name, value) in names {
                    assert_eq!(scratch.git(&["config", name]), value, "{name}");
                }
                hide(scratch.path(), &now).unwrap();
            }
            // Nothing is left over once they are gone too.
            show(scratch.path()).unwrap();
            for name in ["receive.certNonceSeed", "receive.certNonceSlop"] {
                scratch.git(&["config", "--unset", name]);
            }
            let after = fs::read(&path).unwrap();
            assert_eq!(after.trim_end(), before.trim_end(), "{}", String::from_utf8_lossy(&after));
        }
    }

    #[test]
    fn what_hides_is_read_as_git_reads_it() {
        for (values, hidden) in [
            (&["refs/countersign"][..], true),
            (&["refs/countersign/"], true),
            (&["^refs/countersign/ledger"], true),
            (&["refs/countersign/led"], false),
            (&["refs/countersign", "!refs/countersign/ledger"], false),
            (&["!refs/countersign/ledger", "refs/countersign"], true),
            (&["refs/heads"], false),
        ] {
            let scratch = Scratch::new(&["--bare"]);
            for value in values {
                scratch.git(&["config", "--add", "transfer.hideRefs", value]);
            }
            for section in ["receive", "uploadpack"] {
                assert_eq!(is_hidden(&configuration(&scratch), section), hidden, "{values:?}");
            }
        }
    }

    #[test]
    fn both_settings_are_one_list_as_git_has_it() {
        const ALL: &str = "refs/countersign";
        const NOT: &str = "!refs/countersign/ledger";
        let scratch = Scratch::new(&["--bare"]);
        let tree = scratch.git(&["hash-object", "-w", "-t", "tree", "/dev/null"]);
        let commit = scratch.git(&["commit-tree", "-m", "x", &tree]);
        scratch.git(&["update-ref", LEDGER, &commit]);
        let path = scratch.path().join("config");
        let before = fs::read_to_string(&path).unwrap();
        let keys = ["transfer", "receive", "uploadpack", "Transfer"];
        for (first, one) in keys.iter().flat_map(|key| [(key, ALL), (key, NOT)]) {
            for (second, two) in keys.iter().flat_map(|key| [(key, ALL), (key, NOT)]) {
                let lines = format!("[{first}]\n\thideRefs = {one}\n[{second}]\n\tHiderefs = {two}\n");
                fs::write(&path, format!("{before}{lines}")).unwrap();
                for (section, program) in [("receive", "receive-pack"), ("uploadpack", "upload-pack")] {
                    let is_shown = scratch.git(&[program, "--advertise-refs", "."]).contains(LEDGER);
                    assert_eq!(is_hidden(&configuration(&scratch), section), !is_shown, "{section}: {lines}");
                }
            }
        }
    }
}
