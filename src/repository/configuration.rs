//! git's configuration with the scope of each value, asked of git once.
//!
//! Values of the repository are its owner's to write, and a cloned or mounted folder's owner may be
//! anyone: whatever decides about trust takes [`Scopes::Protected`] only.

use std::{path::Path, process::Command};

use gix::bstr::{BStr, BString, ByteSlice};

/// Where a value stands (git-config, `--show-scope`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `-c`, `--config-env` and `GIT_CONFIG_*`.
    Command,
    /// The user's own file.
    Global,
    /// The repository's file.
    Local,
    /// The machine's file.
    System,
    /// Something that this program does not know; never protected.
    Unknown,
    /// The work tree's file.
    Worktree,
}

impl Scope {
    /// The name that git gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Global => "global",
            Self::Local => "local",
            Self::System => "system",
            Self::Unknown => "unknown",
            Self::Worktree => "worktree",
        }
    }

    /// Whether values of this scope are the user's or the machine's own (git-config, "protected configuration").
    #[must_use]
    pub fn is_protected(self) -> bool {
        matches!(self, Self::Command | Self::Global | Self::System)
    }
}

/// Which values a caller wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// Every value.
    Any,
    /// System, global and command line only.
    Protected,
}

/// Every value of git's configuration, in the order in which git reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    scope: Scope,
    key: BString,
    /// `None` where the name stands without `=`, which means true.
    value: Option<BString>,
}

/// Why git's configuration cannot be had. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// git answered with something that is no list of settings.
    #[error("git's list of settings cannot be read")]
    Answer,
    /// git refused.
    #[error("git cannot list its settings: {0}")]
    Git(String),
    /// A setting that should be true or false is neither.
    #[error("the setting '{key}' is '{value}', which is neither true nor false")]
    NotABoolean {
        /// The setting.
        key: String,
        /// What it is.
        value: BString,
    },
    /// git cannot be run.
    #[error("git cannot be run: {0}")]
    Spawn(std::io::Error),
}

impl Configuration {
    /// Ask git, in `directory`; `git_dir` names the repository where the caller knows it already.
    ///
    /// # Errors
    /// git cannot be run or refuses.
    pub fn read(directory: &Path, git_dir: Option<&Path>) -> Result<Self, ConfigurationError> {
        let mut command = Command::new("git");
        command.current_dir(directory);
        if let Some(git_dir) = git_dir {
            command.arg("--git-dir").arg(git_dir);
        }
        command.args(["config", "--list", "-z", "--show-scope"]);
        Self::ask(command)
    }

    /// Run `command`, which must end in what lists the settings, and read its answer.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn ask(mut command: Command) -> Result<Self, ConfigurationError> {
        let output = command.output().map_err(ConfigurationError::Spawn)?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ConfigurationError::Git(words));
        }
        Self::parse(&output.stdout)
    }

    /// Read the answer of `git config --list -z --show-scope`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(answer: &[u8]) -> Result<Self, ConfigurationError> {
        let mut entries = Vec::new();
        let mut fields = answer.strip_suffix(b"\0").unwrap_or(answer).split(|byte| *byte == 0);
        if answer.is_empty() {
            return Ok(Self::default());
        }
        if !answer.ends_with(b"\0") {
            return Err(ConfigurationError::Answer);
        }
        while let Some(scope) = fields.next() {
            let scope = match scope {
                b"command" => Scope::Command,
                b"global" => Scope::Global,
                b"local" => Scope::Local,
                b"system" => Scope::System,
                b"worktree" => Scope::Worktree,
                _ => Scope::Unknown,
            };
            let setting = fields.next().ok_or(ConfigurationError::Answer)?;
            let (key, value) = match setting.find_byte(b'\n') {
                Some(end) => (&setting[..end], Some(setting[end + 1..].into())),
                None => (setting, None),
            };
            if !key.contains(&b'.') {
                return Err(ConfigurationError::Answer);
            }
            entries.push(Entry { scope, key: key.into(), value });
        }
        Ok(Self { entries })
    }

    /// The last value of `key`; a name that stands without `=` reads as an empty value.
    #[must_use]
    pub fn get(&self, key: &str, scopes: Scopes) -> Option<&BStr> {
        self.find(key, scopes).next_back().map(|entry| entry.text())
    }

    /// The last value of `key` as text; `None` also where it is not UTF-8.
    #[must_use]
    pub fn text(&self, key: &str, scopes: Scopes) -> Option<&str> {
        self.get(key, scopes).and_then(|value| value.to_str().ok())
    }

    /// Every value of `key` with its scope, in the order in which git reads them.
    pub fn get_all<'a>(&'a self, key: &str, scopes: Scopes) -> Vec<(Scope, &'a BStr)> {
        self.find(key, scopes).map(|entry| (entry.scope, entry.text())).collect()
    }

    /// The last value of `key` by git's rules for booleans (git-config, "Values").
    ///
    /// # Errors
    /// It is neither true nor false.
    pub fn boolean(&self, key: &str, scopes: Scopes) -> Result<Option<bool>, ConfigurationError> {
        let Some(entry) = self.find(key, scopes).next_back() else { return Ok(None) };
        let Some(value) = &entry.value else { return Ok(Some(true)) };
        let lower = value.to_ascii_lowercase();
        match lower.as_slice() {
            b"true" | b"yes" | b"on" => return Ok(Some(true)),
            b"" | b"false" | b"no" | b"off" => return Ok(Some(false)),
            _ => {}
        }
        let number = value.to_str().ok().and_then(|text| text.parse::<i64>().ok());
        number
            .map(|number| Some(number != 0))
            .ok_or_else(|| ConfigurationError::NotABoolean { key: key.to_owned(), value: value.clone() })
    }

    /// Every setting with its scope, in the order in which git reads them; section and name in lower case,
    /// as git lists them.
    pub fn settings(&self) -> impl Iterator<Item = (Scope, &BStr, &BStr)> {
        self.entries.iter().map(|entry| (entry.scope, entry.key.as_bstr(), entry.text()))
    }

    /// The sub-sections of `section` that have a value of the wanted scopes, each once, in order.
    #[must_use]
    pub fn subsections(&self, section: &str, scopes: Scopes) -> Vec<&BStr> {
        let mut found: Vec<&BStr> = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.counts(scopes)) {
            let (name, subsection, _) = split(entry.key.as_bstr());
            if let Some(subsection) = subsection
                && name.eq_ignore_ascii_case(section.as_bytes())
                && !found.contains(&subsection)
            {
                found.push(subsection);
            }
        }
        found
    }

    fn find<'a>(&'a self, key: &str, scopes: Scopes) -> impl DoubleEndedIterator<Item = &'a Entry> {
        let key = BString::from(key);
        self.entries.iter().filter(move |entry| {
            let (section, subsection, name) = split(entry.key.as_bstr());
            let (wanted_section, wanted_subsection, wanted_name) = split(key.as_bstr());
            entry.counts(scopes)
                && section.eq_ignore_ascii_case(wanted_section)
                && subsection == wanted_subsection
                && name.eq_ignore_ascii_case(wanted_name)
        })
    }
}

impl Entry {
    fn counts(&self, scopes: Scopes) -> bool {
        scopes == Scopes::Any || self.scope.is_protected()
    }

    fn text(&self) -> &BStr {
        self.value.as_ref().map_or(BStr::new(""), |value| value.as_bstr())
    }
}

/// Section, sub-section and name; only the sub-section is case-sensitive and may hold dots.
fn split(key: &BStr) -> (&BStr, Option<&BStr>, &BStr) {
    let first = key.find_byte(b'.').unwrap_or(key.len());
    let last = key.rfind_byte(b'.').unwrap_or(key.len());
    let name = key.get(last + 1..).unwrap_or_default().as_bstr();
    (key[..first].as_bstr(), (first < last).then(|| key[first + 1..last].as_bstr()), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &[u8] = b"system\0core.pager\nless\0\
        global\0gitsign.issuer\nhttps://one\0\
        global\0url.https://a.b/c d.insteadof\nx y\0\
        local\0gitsign.issuer\nhttps://evil\0\
        local\0alias.x\nline one\ngitsign.rekor=https://evil\0\
        worktree\0gitsign.autoclose\0\
        command\0gitsign.connectorid\n\0";

    fn captured() -> Configuration {
        Configuration::parse(CAPTURED).unwrap()
    }

    #[test]
    fn the_repository_is_not_heard_where_trust_is_at_stake() {
        let configuration = captured();
        assert_eq!(configuration.text("gitsign.issuer", Scopes::Any), Some("https://evil"));
        assert_eq!(configuration.text("gitsign.issuer", Scopes::Protected), Some("https://one"));
        assert_eq!(configuration.text("gitsign.autoClose", Scopes::Protected), None);
        assert_eq!(
            configuration.get_all("gitsign.issuer", Scopes::Any),
            [(Scope::Global, BStr::new("https://one")), (Scope::Local, BStr::new("https://evil"))]
        );
    }

    #[test]
    fn gitsign_240_a_value_with_line_feeds_injects_no_setting() {
        let configuration = captured();
        assert_eq!(configuration.get("gitsign.rekor", Scopes::Any), None);
        assert_eq!(
            configuration.get("alias.x", Scopes::Any).unwrap(),
            "line one\ngitsign.rekor=https://evil"
        );
    }

    #[test]
    fn gitsign_142_sub_sections_keep_dots_spaces_and_case() {
        let configuration = captured();
        assert_eq!(configuration.get("URL.https://a.b/c d.InsteadOf", Scopes::Any).unwrap(), "x y");
        assert_eq!(configuration.get("url.https://A.b/c d.insteadof", Scopes::Any), None);
        assert_eq!(configuration.subsections("url", Scopes::Protected), ["https://a.b/c d"]);
    }

    #[test]
    fn booleans_follow_git() {
        let configuration = Configuration::parse(
            b"global\0a.yes\nYes\0global\0a.on\non\0global\0a.bare\0global\0a.two\n2\0\
              global\0a.empty\n\0global\0a.off\nOFF\0global\0a.zero\n0\0global\0a.odd\nmaybe\0",
        )
        .unwrap();
        for (key, expected) in [("a.yes", true), ("a.on", true), ("a.bare", true), ("a.two", true)]
            .into_iter()
            .chain([("a.empty", false), ("a.off", false), ("a.zero", false)])
        {
            assert_eq!(configuration.boolean(key, Scopes::Any).unwrap(), Some(expected), "{key}");
        }
        assert!(matches!(
            configuration.boolean("a.odd", Scopes::Any),
            Err(ConfigurationError::NotABoolean { .. })
        ));
        assert_eq!(configuration.boolean("a.none", Scopes::Any).unwrap(), None);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for answer in [&b"global\0"[..], b"global\0a.b\nc", b"global\0nodot\nx\0"] {
            assert!(matches!(Configuration::parse(answer), Err(ConfigurationError::Answer)));
        }
        assert_eq!(Configuration::parse(b"").unwrap(), Configuration::default());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "git is found where the tests' own is")]
    fn git_itself_is_understood() {
        let scratch = crate::repository::tests::Scratch::new(&[]);
        scratch.git(&["config", "gitsign.issuer", "two\nlines"]);
        scratch.git(&["config", "--global", "Url.A B.insteadOf", "x"]);
        let mut command = Command::new("git");
        command
            .current_dir(scratch.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", scratch.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .args(["-c", "gitsign.bare", "config", "--list", "-z", "--show-scope"]);
        let configuration = Configuration::ask(command).unwrap();
        assert_eq!(
            configuration.get_all("gitsign.issuer", Scopes::Any),
            [(Scope::Local, BStr::new("two\nlines"))]
        );
        assert_eq!(configuration.get("url.A B.insteadof", Scopes::Protected).unwrap(), "x");
        assert_eq!(configuration.boolean("gitsign.bare", Scopes::Protected).unwrap(), Some(true));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            if let Ok(configuration) = Configuration::parse(&answer) {
                let _ = configuration.get("a.b", Scopes::Any);
                let _ = configuration.subsections("a", Scopes::Any);
            }
        }
    }
}
