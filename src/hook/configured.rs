//! Hooks that git runs by its configuration (git-hook(1), git 2.54 and later): the lines that have it do so, and
//! whether it does.
//!
//! Every scope has a say, and the last word counts: what one file asks for another one can change or switch off.
//! So git itself is asked what it would run.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::{
    HookName, ShimError,
    config_file::{self, Change},
    hiding::goes_on,
    pre_receive::same_place,
    template::{quote, unquote},
};
use crate::repository::{
    GitVersion,
    system::{OsStrExt as _, OsStringExt as _},
};

/// The first version of git that does.
const OLDEST: (u32, u32) = (2, 54);

/// How the lines begin in a file that ends in a line feed, or is empty.
const BEGIN: &[u8] = b"# countersign: hooks, by 'countersign hook install'\n";
/// How they begin in any other.
const BEGIN_AFTER_A_LINE: &[u8] =
    b"\n# countersign: hooks, by 'countersign hook install' (the line before had no end)\n";
/// How they begin where there was no file.
const BEGIN_OF_FILE: &[u8] =
    b"# countersign: hooks, by 'countersign hook install' (this file was made for them)\n";
/// How they end.
const END: &[u8] = b"# countersign: end of the hooks\n";

/// What a shell would not take as it stands; git starts anything else without one (run-command.c).
const MEANING: &[u8] = b"|&;<>()$`\\\"' \t\n*?[#~=%";

/// Why git cannot be had to run hooks by its configuration. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfiguredError {
    /// The end of the lines is gone, so that nobody knows which are whose.
    #[error("the lines about hooks in '{}' were edited", .0.display())]
    Edited(PathBuf),
    /// A file cannot be read or written.
    #[error("'{}': {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// git cannot be run, or does not say its version.
    #[error("git does not say which version it is")]
    NoGit,
    /// git is too old.
    #[error("git {0} runs no hooks by its configuration; git 2.54 and later do")]
    OldGit(GitVersion),
    /// The path of a hook cannot be written down.
    #[error(transparent)]
    Shim(#[from] ShimError),
}

/// What the closures that change a file come to.
enum Stopped {
    Edited,
    Io(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Stopped {
    fn at(self, path: &Path) -> ConfiguredError {
        let path = path.to_owned();
        match self {
            Self::Edited => ConfiguredError::Edited(path),
            Self::Io(source) => ConfiguredError::Io { path, source },
        }
    }
}

/// Refuse a git that would not look at the lines.
pub(super) fn check_git() -> Result<(), ConfiguredError> {
    match GitVersion::ask() {
        Some(version) if version.is_at_least(OLDEST) => Ok(()),
        Some(version) if version.numbers().is_some() => Err(ConfiguredError::OldGit(version)),
        _ => Err(ConfiguredError::NoGit),
    }
}

/// Have git run each of `shims` by what the configuration file at `path` says, instead of those of before.
pub(super) fn add(path: &Path, shims: &[(HookName, PathBuf)]) -> Result<(), ConfiguredError> {
    let lines = lines(shims)?;
    config_file::change(path, |text| changed(text, Some(&lines))).map_err(|stopped: Stopped| stopped.at(path))
}

/// Take out what [`add`] has added, byte for byte.
pub(super) fn remove(path: &Path) -> Result<(), ConfiguredError> {
    if !path.exists() {
        return Ok(());
    }
    config_file::change(path, |text| changed(text, None)).map_err(|stopped: Stopped| stopped.at(path))
}

/// What becomes of `text` when `lines` take the place of those that are in it.
fn changed(text: Option<&[u8]>, lines: Option<&[u8]>) -> Result<Change, Stopped> {
    let (others, was_made) = match text {
        None => (Vec::new(), true),
        Some(text) => without(text)?.unwrap_or_else(|| (text.to_owned(), false)),
    };
    let Some(lines) = lines else {
        return Ok(match text {
            None => Change::Nothing,
            Some(text) if text == others => Change::Nothing,
            Some(_) if was_made && others.is_empty() => Change::Remove,
            Some(_) => Change::Text(others),
        });
    };
    let begin = match &others[..] {
        [] if was_made => BEGIN_OF_FILE,
        [] | [.., b'\n'] => BEGIN,
        _ => BEGIN_AFTER_A_LINE,
    };
    let new = [&others[..], begin, lines, END].concat();
    Ok(if text == Some(&new[..]) { Change::Nothing } else { Change::Text(new) })
}

/// `text` without our lines, and whether its file was made for them; `None` if there are none.
fn without(text: &[u8]) -> Result<Option<(Vec<u8>, bool)>, Stopped> {
    let begins = |begin: &[u8]| {
        let at = text.rfind(begin)?;
        (begin.starts_with(b"\n") || at == 0 || text[at - 1] == b'\n').then_some((at, begin.len()))
    };
    let found = [BEGIN, BEGIN_AFTER_A_LINE, BEGIN_OF_FILE];
    let Some((begin, (at, length))) = found.iter().find_map(|begin| Some((*begin, begins(begin)?))) else {
        return Ok(None);
    };
    let behind = &text[at + length..];
    let end = behind.find(END).ok_or(Stopped::Edited)? + END.len();
    let rest = &behind[end..];
    // Settings of our own section would become those of the one before.
    if goes_on(rest) {
        return Err(Stopped::Edited);
    }
    // What came later begins a line of its own.
    let feed: &[u8] = if begin == BEGIN_AFTER_A_LINE && !rest.is_empty() { b"\n" } else { b"" };
    Ok(Some(([&text[..at], feed, rest].concat(), begin == BEGIN_OF_FILE)))
}

/// The lines that have git run `shims`, each under a name of its own: git tells a command neither its name nor the
/// event.
fn lines(shims: &[(HookName, PathBuf)]) -> Result<Vec<u8>, ShimError> {
    let mut lines = Vec::new();
    for (name, shim) in shims {
        let mut value = Vec::new();
        for byte in command_of(shim)? {
            if matches!(byte, b'"' | b'\\') {
                value.push(b'\\');
            }
            value.push(byte);
        }
        lines.extend(format!("[hook \"{}\"]\n\tcommand = \"", friendly(*name)).as_bytes());
        lines.extend(value);
        lines.extend(format!("\"\n\tevent = {}\n", name.name()).as_bytes());
    }
    Ok(lines)
}

/// The name under which git runs a hook of ours; never that of an event, which git refuses.
fn friendly(name: HookName) -> String {
    match name {
        HookName::PreReceive => "countersign".to_owned(),
        other => format!("countersign-{}", other.name()),
    }
}

/// The command that git runs: the path, or what has a shell make way for it, so that the hook is git's own child.
fn command_of(shim: &Path) -> Result<Vec<u8>, ShimError> {
    let path = shim.as_os_str().as_bytes();
    if path.iter().any(|byte| MEANING.contains(byte)) {
        return Ok([b"exec ", &quote(shim.as_os_str())?[..]].concat());
    }
    Ok(path.to_owned())
}

/// The path in a command that [`command_of`] has made.
fn shim_of(command: &BStr) -> Option<PathBuf> {
    let path = match command.strip_prefix(b"exec ") {
        Some(word) => PathBuf::from(unquote(word)?),
        None => PathBuf::from(std::ffi::OsString::from_vec(command.to_vec())),
    };
    (path.is_absolute() && command_of(&path).ok()? == **command).then_some(path)
}

/// Why git does not run a hook by its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// git fails, and with it every push.
    Broken(String),
    /// git passes it over.
    Idle(String),
}

/// git's configuration where hooks are concerned, as it holds in one place.
#[derive(Debug)]
pub(super) struct Configured {
    directory: PathBuf,
    git_dir: Option<PathBuf>,
    settings: Vec<Setting>,
}

#[derive(Debug)]
struct Setting {
    scope: String,
    /// The file in which it stands, if it does in one.
    file: Option<PathBuf>,
    key: BString,
    value: BString,
}

impl Setting {
    fn place(&self) -> String {
        match &self.file {
            Some(file) => format!("in '{}'", file.display()),
            None => format!("of scope '{}'", self.scope),
        }
    }
}

impl Configured {
    /// Ask git, in the repository at `git_dir`.
    ///
    /// # Errors
    /// What git says against it.
    pub(super) fn read(git_dir: &Path) -> Result<Self, String> {
        Self::ask(git_dir, Some(git_dir))
    }

    /// Ask git for what holds without any repository.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(super) fn read_anywhere(directory: &Path) -> Result<Self, String> {
        Self::ask(directory, None)
    }

    fn ask(directory: &Path, git_dir: Option<&Path>) -> Result<Self, String> {
        let mut configured = Self {
            directory: directory.to_owned(),
            git_dir: git_dir.map(Path::to_owned),
            settings: Vec::new(),
        };
        let output = configured.git(&["config", "--list", "-z", "--show-scope", "--show-origin"])?;
        if !output.status.success() {
            return Err(words(&output));
        }
        configured.settings =
            settings(&output.stdout, directory).ok_or("git's list of settings cannot be read")?;
        Ok(configured)
    }

    /// The hook that git runs under the name of ours for `name`.
    pub(super) fn shim(&self, name: HookName) -> Option<PathBuf> {
        shim_of(self.last(&friendly(name), "command")?.value.as_bstr())
    }

    /// The file that names that hook.
    pub(super) fn file(&self, name: HookName) -> Option<&Path> {
        self.last(&friendly(name), "command")?.file.as_deref()
    }

    /// Every file that has a say.
    pub(super) fn files(&self) -> Vec<&Path> {
        let mut files: Vec<&Path> =
            self.settings.iter().filter_map(|setting| setting.file.as_deref()).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Why git does not run the shim at `path` for `name`; `None` if it does.
    pub(super) fn fault(&self, name: HookName, path: &Path) -> Option<Fault> {
        if let Err(error) = check_git() {
            return Some(Fault::Idle(error.to_string()));
        }
        let friendly = friendly(name);
        let Some(command) = self.last(&friendly, "command") else {
            return Some(Fault::Idle(format!(
                "'{}' is run by no 'hook.{friendly}.command' of git's configuration",
                path.display()
            )));
        };
        if !shim_of(command.value.as_bstr()).is_some_and(|shim| same_place(&shim, path)) {
            let (value, place) = (&command.value, command.place());
            return Some(Fault::Idle(format!("'hook.{friendly}.command' is '{value}' {place}")));
        }
        match self.running(name) {
            Ok(running) if running.iter().any(|found| *found == friendly.as_bytes()) => None,
            Ok(_) => Some(Fault::Idle(self.reason(name))),
            Err(words) => Some(Fault::Broken(format!("git cannot tell which hooks it runs: {words}"))),
        }
    }

    /// The names of the hooks that git runs for `name`; those that are switched off have other words before them.
    fn running(&self, name: HookName) -> Result<Vec<BString>, String> {
        let output = self.git(&["hook", "list", "-z", name.name()])?;
        match output.status.code() {
            Some(0) => {}
            Some(1) if output.stdout.is_empty() => {}
            _ => return Err(words(&output)),
        }
        Ok(output.stdout.split(|byte| *byte == 0).map(BString::from).collect())
    }

    /// Why git passes over a hook that it knows.
    fn reason(&self, name: HookName) -> String {
        let friendly = friendly(name);
        let switches = [friendly.as_str(), name.name()];
        let off = switches.iter().find_map(|switch| {
            let setting = self.last(switch, "enabled")?;
            let off = ["false", "no", "off", "0", ""]
                .iter()
                .any(|word| setting.value.eq_ignore_ascii_case(word.as_bytes()));
            off.then(|| format!("'hook.{switch}.enabled' is '{}' {}", setting.value, setting.place()))
        });
        off.unwrap_or_else(|| format!("no 'hook.{friendly}.event' is '{}' in the end", name.name()))
    }

    fn last(&self, subsection: &str, name: &str) -> Option<&Setting> {
        let key = format!("hook.{subsection}.{name}");
        self.settings.iter().rfind(|setting| setting.key == key)
    }

    fn git(&self, arguments: &[&str]) -> Result<Output, String> {
        let mut command = Command::new("git");
        command.current_dir(&self.directory);
        if let Some(git_dir) = &self.git_dir {
            command.arg("--git-dir").arg(git_dir);
        }
        command.args(arguments).output().map_err(|error| format!("git cannot be run: {error}"))
    }
}

fn words(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    words.lines().next().unwrap_or_default().trim_start_matches("fatal: ").to_owned()
}

/// Read the answer of `git config --list -z --show-scope --show-origin`.
fn settings(answer: &[u8], directory: &Path) -> Option<Vec<Setting>> {
    let mut settings = Vec::new();
    if answer.is_empty() {
        return Some(settings);
    }
    let mut fields = answer.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    while let Some(scope) = fields.next() {
        let (origin, setting) = (fields.next()?, fields.next()?);
        let (key, value) = setting.split_once_str("\n").unwrap_or((setting, b""));
        let file = origin
            .strip_prefix(b"file:")
            .map(|path| directory.join(PathBuf::from(std::ffi::OsString::from_vec(path.to_owned()))));
        settings.push(Setting {
            scope: String::from_utf8_lossy(scope).into_owned(),
            file,
            key: key.into(),
            value: value.into(),
        });
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shims() -> Vec<(HookName, PathBuf)> {
        vec![
            (HookName::PreReceive, "/r.git/hooks/countersign/pre-receive".into()),
            (HookName::Update, "/it's \"r\\.git/update".into()),
        ]
    }

    #[test]
    fn the_lines_are_added_once_and_taken_out_byte_for_byte() {
        for before in
            [Some(""), Some("[a]\n\tb = c\n"), Some("[a]\n\tb = c"), Some("# countersign: hooks"), None]
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config");
            if let Some(before) = before {
                fs::write(&path, before).unwrap();
            }
            remove(&path).unwrap();
            add(&path, &shims()[..1]).unwrap();
            add(&path, &shims()).unwrap();
            let with = fs::read_to_string(&path).unwrap();
            assert_eq!(with.matches("end of the hooks").count(), 1, "{with}");
            add(&path, &shims()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), with);
            remove(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), before);
            // What somebody adds later stays.
            add(&path, &shims()).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, format!("{text}[later]\n\tkey = value\n")).unwrap();
            remove(&path).unwrap();
            let after = fs::read_to_string(&path).unwrap();
            assert!(
                after.ends_with("[later]\n\tkey = value\n") && !after.contains("end of the hooks"),
                "{after}"
            );
            assert!(after.starts_with(before.unwrap_or_default()));
        }
    }

    #[test]
    fn lines_without_their_end_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        add(&path, &shims()).unwrap();
        let text = fs::read_to_string(&path).unwrap().replace("end of the hooks", "");
        fs::write(&path, &text).unwrap();
        assert!(matches!(remove(&path), Err(ConfiguredError::Edited(_))));
        assert!(matches!(add(&path, &shims()), Err(ConfiguredError::Edited(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn settings_that_were_put_behind_the_lines_get_into_no_other_section() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "[core]\n\tbare = true\n").unwrap();
        add(&path, &shims()).unwrap();
        let text = fs::read_to_string(&path).unwrap() + "\tenabled = false\n";
        fs::write(&path, &text).unwrap();
        assert!(matches!(remove(&path), Err(ConfiguredError::Edited(_))));
        assert!(matches!(add(&path, &shims()), Err(ConfiguredError::Edited(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        // A comment belongs to nobody.
        fs::write(&path, text.replace("\tenabled", "# enabled")).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[core]\n\tbare = true\n# enabled = false\n");
    }

    #[test]
    fn git_reads_the_lines_as_they_are_meant() {
        let scratch = crate::repository::tests::Scratch::new(&["--bare"]);
        add(&scratch.path().join("config"), &shims()).unwrap();
        let answer = scratch.git(&["config", "--list", "-z", "--show-scope", "--show-origin"]);
        let settings =
            settings(format!("{answer}\0").replace("\0\0", "\0").as_bytes(), scratch.path()).unwrap();
        let configured = Configured { directory: "/".into(), git_dir: None, settings };
        for (name, shim) in shims() {
            assert_eq!(configured.shim(name), Some(shim));
            let file = configured.file(name).unwrap();
            assert_eq!(file.canonicalize().unwrap(), scratch.path().join("config").canonicalize().unwrap());
        }
        assert_eq!(configured.shim(HookName::PostReceive), None);
        let event = configured.last("countersign-update", "event").unwrap();
        assert_eq!(event.value, "update");
    }

    #[test]
    fn a_command_is_read_back_or_is_not_ours() {
        for path in ["/plain/path-1.git", "/with space", "/it's", "/$(x)", "/a=b", "/ü", "/~"] {
            let command = command_of(Path::new(path)).unwrap();
            assert_eq!(command.starts_with(b"exec "), !["/plain/path-1.git", "/ü"].contains(&path), "{path}");
            assert_eq!(shim_of(command.as_bstr()).unwrap(), Path::new(path));
        }
        assert!(matches!(command_of(Path::new("/a\nb")), Err(ShimError::LineFeed(_))));
        for other in
            ["", "true", "hooks/x", "/a b", "exec /plain", "exec '/plain'", "exec '/a b' || true", "/a;true"]
        {
            assert_eq!(shim_of(other.into()), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_list_of_settings_is_none() {
        let read = |answer: &[u8]| settings(answer, Path::new("/d")).map(|settings| settings.len());
        assert_eq!(read(b""), Some(0));
        assert_eq!(read(b"local\0file:config\0a.b\nc\0command\0command line:\0a.b\0"), Some(2));
        for answer in [&b"local\0"[..], b"local\0file:config\0", b"local\0file:config\0a.b\nc"] {
            assert_eq!(read(answer), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_reads_back(path in "/[^\n\0]{0,30}") {
            let command = command_of(Path::new(&path)).unwrap();
            proptest::prop_assert_eq!(shim_of(command.as_bstr()), Some(PathBuf::from(path)));
        }

        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = settings(&answer, Path::new("/"));
            let _ = without(&answer);
        }
    }
}
