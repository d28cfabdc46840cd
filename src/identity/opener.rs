//! Opening a page in a browser, without that browser ever getting hold of our stdout or stderr.
//!
//! A browser that prints "Opening in existing browser session." would else print it into a signature.

use std::{
    ffi::OsString,
    fmt, io,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use url::Url;

/// Why no browser was opened. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenerError {
    /// The opener command is empty.
    #[error("the opener command is empty")]
    Empty,
    /// The command could not be started, or no browser was found.
    #[error("cannot open a browser: {0}")]
    Failed(#[from] io::Error),
    /// Nothing may be opened.
    #[error("no browser is to be opened")]
    Forbidden,
    /// The opener command has a quote without its partner.
    #[error("the opener command has an unbalanced quote")]
    Quote,
    /// A template with more in it than the URL, or with the URL as the program.
    #[error("of templates only '{{{{.URL}}}}' is known, and it cannot be the program")]
    Template,
    /// A text browser would write to our stdout.
    #[error("'{0}' is a text browser: it would write into our output")]
    TextBrowser(String),
}

/// Opens a page by whatever means of its own.
pub type OpenFunction = dyn Fn(&Url) -> io::Result<()> + Send + Sync;

/// How a page is opened.
#[derive(Default)]
pub enum Opener {
    /// The desktop's own browser, or what `BROWSER` says.
    #[default]
    Desktop,
    /// A program with its arguments; the URL takes the place of each `{{.URL}}` in them, or is added as the
    /// last one. No shell takes part.
    Command(Vec<OsString>),
    /// A function.
    Function(Box<OpenFunction>),
    /// Nothing is opened: the person is told the URL.
    None,
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desktop => formatter.write_str("Desktop"),
            Self::Command(words) => formatter.debug_tuple("Command").field(words).finish(),
            Self::Function(_) => formatter.write_str("Function"),
            Self::None => formatter.write_str("None"),
        }
    }
}

impl Opener {
    /// A command from one line of configuration: words parted by white space, where single or double quotes
    /// keep words together. Nothing else is special: no variables, no escapes, no shell.
    ///
    /// # Errors
    /// [`OpenerError::Empty`], [`OpenerError::Quote`].
    pub fn command(line: &str) -> Result<Self, OpenerError> {
        let mut words: Vec<OsString> = Vec::new();
        let mut word: Option<String> = None;
        let mut quote = None;
        for character in line.chars() {
            match quote {
                Some(open) if character == open => quote = None,
                Some(_) => word.get_or_insert_default().push(character),
                None if matches!(character, '"' | '\'') => {
                    quote = Some(character);
                    word.get_or_insert_default();
                }
                None if character.is_whitespace() => words.extend(word.take().map(OsString::from)),
                None => word.get_or_insert_default().push(character),
            }
        }
        if quote.is_some() {
            return Err(OpenerError::Quote);
        }
        words.extend(word.map(OsString::from));
        for word in &mut words {
            // Go's templates may be written with spaces.
            *word = word.to_string_lossy().replace("{{ .URL }}", URL).into();
        }
        if words.first().is_none_or(|program| program.is_empty()) {
            return Err(OpenerError::Empty);
        }
        let is_template = |word: &OsString| word.to_string_lossy().replace(URL, "").contains("{{");
        if words.iter().any(is_template) || words[0].to_string_lossy().contains(URL) {
            return Err(OpenerError::Template);
        }
        Ok(Self::Command(words))
    }

    /// Opens `url`. `browser` is the value of `BROWSER`, which the desktop's opener honours.
    ///
    /// # Errors
    /// Nothing was started. That a page has come up is not known even without an error.
    pub fn open(&self, url: &Url, browser: Option<&str>) -> Result<(), OpenerError> {
        match self {
            Self::Desktop => {
                refuse_text_browser(browser)?;
                Ok(webbrowser::open(url.as_str())?)
            }
            Self::Command(words) => {
                let (program, arguments) = words.split_first().ok_or(OpenerError::Empty)?;
                let mut child = Command::new(program)
                    .args(with_url(arguments, url))
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()?;
                // A browser may live as long as it likes; someone has to collect its exit status.
                thread::spawn(move || child.wait());
                Ok(())
            }
            Self::Function(open) => Ok(open(url)?),
            Self::None => Err(OpenerError::Forbidden),
        }
    }
}

/// The arguments with `url` where gitsign's template has it, else behind them.
fn with_url(arguments: &[OsString], url: &Url) -> Vec<OsString> {
    let mut placed = false;
    let mut words: Vec<OsString> = arguments
        .iter()
        .map(|word| match word.to_str() {
            Some(text) if text.contains(URL) => {
                placed = true;
                text.replace(URL, url.as_str()).into()
            }
            _ => word.clone(),
        })
        .collect();
    if !placed {
        words.push(url.as_str().into());
    }
    words
}

/// Where gitsign's template of a command has the URL.
const URL: &str = "{{.URL}}";

/// The desktop's opener runs these in the foreground with our own stdout.
fn refuse_text_browser(browser: Option<&str>) -> Result<(), OpenerError> {
    for command in browser.unwrap_or_default().split(':') {
        let program = command.trim_start_matches('"').split(['"', ' ']).next().unwrap_or_default();
        let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if TEXT_BROWSERS.contains(&name) {
            return Err(OpenerError::TextBrowser(name.to_owned()));
        }
    }
    Ok(())
}

const TEXT_BROWSERS: [&str; 12] = [
    "browsh",
    "carbonyl",
    "curl",
    "elinks",
    "eww",
    "links",
    "links2",
    "lynx",
    "netrik",
    "retawq",
    "w3m",
    "www-browser",
];

#[cfg(test)]
mod tests {
    use super::{Opener, OpenerError, refuse_text_browser, with_url};

    fn words(line: &str) -> Vec<String> {
        let Ok(Opener::Command(words)) = Opener::command(line) else { panic!("{line}") };
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn a_command_line_is_split_without_a_shell() {
        assert_eq!(words("firefox"), ["firefox"]);
        assert_eq!(words("  open -a 'Google Chrome' \t --new"), ["open", "-a", "Google Chrome", "--new"]);
        assert_eq!(words(r#""C:\Program Files\b.exe" ''"#), [r"C:\Program Files\b.exe", ""]);
        assert_eq!(words("x;rm $HOME `id` | cat"), ["x;rm", "$HOME", "`id`", "|", "cat"]);
        assert!(matches!(Opener::command("x 'y"), Err(OpenerError::Quote)));
        for line in ["", "  ", "''", "'' x"] {
            assert!(matches!(Opener::command(line), Err(OpenerError::Empty)), "{line}");
        }
    }

    #[test]
    fn the_url_stands_where_the_template_has_it_or_last() {
        let url = url::Url::parse("https://issuer.example/auth?a=1&b=2").unwrap();
        let run = |line: &str| {
            let Ok(Opener::Command(words)) = Opener::command(line) else { panic!("{line}") };
            with_url(&words[1..], &url)
                .into_iter()
                .map(|word| word.into_string().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(run("firefox --new-tab {{.URL}} -x"), ["--new-tab", url.as_str(), "-x"]);
        assert_eq!(run("open '--url={{.URL}}'"), [format!("--url={url}")]);
        assert_eq!(run("open -a x"), ["-a", "x", url.as_str()]);
        assert_eq!(run("open '{{ .URL }}'"), [url.as_str()]);
        for line in ["{{.URL}}", "x {{.Other}}", "x {{ .URL }}", "x {{printf `id`}}"] {
            assert!(matches!(Opener::command(line), Err(OpenerError::Template)), "{line}");
        }
    }

    #[test]
    fn text_browsers_are_not_started() {
        for browser in ["lynx", "/usr/bin/w3m", "firefox:elinks %s", "\"/usr/bin/links\" -g"] {
            assert!(
                matches!(refuse_text_browser(Some(browser)), Err(OpenerError::TextBrowser(_))),
                "{browser}"
            );
        }
        for browser in [None, Some(""), Some("firefox"), Some("firefox %s:chromium"), Some("linksys")] {
            assert!(refuse_text_browser(browser).is_ok(), "{browser:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gets_the_url_last_and_nothing_of_our_output() {
        use std::{fs, os::unix::fs::PermissionsExt as _, thread, time::Duration};

        let folder = tempfile::tempdir().unwrap();
        let (script, seen) = (folder.path().join("open er"), folder.path().join("seen"));
        let text = format!(
            "#!/bin/sh\necho noise; echo noise >&2\n\
             out=$(readlink /proc/$$/fd/1) err=$(readlink /proc/$$/fd/2)\n\
             {{ printf '%s|' \"$@\"; echo \"$out $err\"; }} >'{0}.new'\n\
             mv '{0}.new' '{0}'\n",
            seen.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        // Through the shell: a file just written may not be run while another thread's child still holds it.
        let opener = Opener::command(&format!("/bin/sh '{}' first 'sec ond'", script.display())).unwrap();
        opener.open(&url::Url::parse("https://issuer.example/?a=b&c").unwrap(), None).unwrap();
        for _ in 0..3000 {
            if seen.exists() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let seen = fs::read_to_string(seen).unwrap();
        assert!(seen.starts_with("first|sec ond|https://issuer.example/?a=b&c|"), "{seen}");
        if std::path::Path::new("/proc/self/fd").exists() {
            assert!(seen.ends_with("|/dev/null /dev/null\n"), "{seen}");
        }
    }
}
