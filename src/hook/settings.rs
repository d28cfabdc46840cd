//! What an administrator chooses at installation: where the policy is, and how the gate goes about its work.
//!
//! All of it stands in the shim, and nowhere else: not in the repository's configuration, not in the
//! environment, not in push options.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::repository::{absolute, system::OsStrExt as _};

use super::{PusheeError, pushee_key};
use crate::{
    policy::{Forge, ForgeKind},
    trust::Pin,
    words::escape,
};

/// Where the policy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyPlace {
    /// In a file of the server's.
    File(PathBuf),
    /// In a ref of the repository itself, followed from the commit that the administrator believes.
    Reference(Pin),
}

impl PolicyPlace {
    /// The option that names it, with its value.
    pub(super) fn option(&self) -> (&'static str, OsString) {
        match self {
            Self::File(path) => ("--policy", path.into()),
            Self::Reference(pin) => ("--policy-pin", pin.to_string().into()),
        }
    }

    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Reference(_) => None,
        }
    }
}

impl fmt::Display for PolicyPlace {
    /// Escaped.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.write_str(&escape(&path.display().to_string())),
            Self::Reference(pin) => write!(formatter, "ref '{}' from commit {}", pin.reference, pin.root),
        }
    }
}

/// How the gate goes about its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How long it may judge before it gives up and refuses.
    pub time_limit: Option<Duration>,
    /// Where its decisions are written down.
    pub audit: AuditSink,
    /// Whether a decision that cannot be written down is a refusal.
    pub audit_required: bool,
    /// The server's own addresses of the repository, as pushers may write them.
    pub addresses: Vec<String>,
    /// The forge whose word about who pushes counts.
    pub forge: Option<Forge>,
    /// Whether what is accepted is entered into the ledger.
    pub ledger: bool,
}

/// Where the lines about decisions go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditSink {
    /// `audit.jsonl` in the state folder.
    #[default]
    State,
    /// Another file.
    File(PathBuf),
    /// The system's log, through this socket.
    Syslog(PathBuf),
    /// Nowhere.
    Off,
}

/// The socket of the system's log.
const SYSLOG: &str = "/dev/log";

impl AuditSink {
    /// Read `state`, `off`, `syslog`, `syslog:SOCKET` or `file:PATH`.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &OsStr) -> Result<Self, &'static str> {
        let path = |prefix: &str| {
            let rest = text.as_bytes().strip_prefix(prefix.as_bytes())?;
            (!rest.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(rest)))
        };
        match text.to_str() {
            Some("state") => return Ok(Self::State),
            Some("off") => return Ok(Self::Off),
            Some("syslog") => return Ok(Self::Syslog(SYSLOG.into())),
            _ => {}
        }
        let file = path("file:").map(Self::File).or_else(|| path("syslog:").map(Self::Syslog));
        file.ok_or("it has to be 'state', 'off', 'syslog', 'syslog:SOCKET' or 'file:PATH'")
    }

    fn text(&self) -> OsString {
        let with = |prefix: &str, path: &Path| {
            let mut text = OsString::from(prefix);
            text.push(path);
            text
        };
        match self {
            Self::State => "state".into(),
            Self::Off => "off".into(),
            Self::Syslog(path) => with("syslog:", path),
            Self::File(path) => with("file:", path),
        }
    }

    /// The same with a path that does not depend on the current directory.
    ///
    /// # Errors
    /// The path is empty, or the current directory cannot be told.
    pub fn absolute(self) -> std::io::Result<Self> {
        Ok(match self {
            Self::File(path) => Self::File(absolute(&path)?),
            Self::Syslog(path) => Self::Syslog(absolute(&path)?),
            other => other,
        })
    }
}

/// The longest time limit, in seconds.
const MAXIMUM_SECONDS: f64 = 1e6;

/// Read a number of seconds, such as `4` or `0.5`.
///
/// # Errors
/// It is no positive number, or too great.
pub fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse::<f64>().ok().filter(|seconds| plain && *seconds > 0.0);
    let seconds = seconds.filter(|seconds| *seconds <= MAXIMUM_SECONDS);
    // What is less than a nanosecond is no time at all.
    let time = seconds.map(Duration::from_secs_f64).filter(|time| !time.is_zero());
    time.ok_or("it has to be a number of seconds, such as 4 or 0.5")
}

impl Settings {
    /// The options of `hook pre-receive` that stand for what is not as it is without them.
    pub(super) fn options(&self) -> Vec<(&'static str, OsString)> {
        let mut options = Vec::new();
        if let Some(limit) = self.time_limit {
            options.push(("--time-limit", limit.as_secs_f64().to_string().into()));
        }
        if self.audit != AuditSink::default() {
            options.push(("--audit", self.audit.text()));
        }
        if self.audit_required {
            options.push(("--audit-required", "true".into()));
        }
        if self.ledger {
            options.push(("--ledger", "true".into()));
        }
        options.extend(self.addresses.iter().map(|address| ("--address", address.into())));
        if let Some(Forge { kind, name }) = &self.forge {
            options.push(("--forge", format!("{}={name}", kind.word()).into()));
        }
        options
    }

    /// Take in an option that [`Self::options`] has written; whether it was one.
    pub(super) fn read(&mut self, name: &str, value: &OsStr) -> bool {
        match name {
            "--time-limit" => {
                self.time_limit = value.to_str().and_then(|text| parse_seconds(text).ok());
                self.time_limit.is_some()
            }
            "--audit" => AuditSink::parse(value).map(|sink| self.audit = sink).is_ok(),
            "--audit-required" => {
                self.audit_required = true;
                value == "true"
            }
            "--ledger" => {
                self.ledger = true;
                value == "true"
            }
            "--address" => value.to_str().map(|text| self.addresses.push(text.to_owned())).is_some(),
            "--forge" => {
                self.forge = value.to_str().and_then(|text| parse_forge(text).ok());
                self.forge.is_some()
            }
            _ => false,
        }
    }
}

/// Read an address that a push certificate may be for.
///
/// # Errors
/// It is not plainly the address of one repository.
pub fn parse_address(text: &str) -> Result<String, PusheeError> {
    pushee_key(text.as_bytes()).map(|_| text.to_owned())
}

/// Read `KIND` or `KIND=NAME`; a forge without a name of its own goes by its kind.
///
/// # Errors
/// There is no such forge, or its name cannot be used.
pub fn parse_forge(text: &str) -> Result<Forge, String> {
    let (word, name) = text.split_once('=').unwrap_or((text, text));
    let kind = ForgeKind::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = ForgeKind::words().collect();
        format!("there is no such forge; known are {}", words.join(", "))
    })?;
    if name.is_empty() || escape(name) != name {
        return Err("its name cannot be used".to_owned());
    }
    Ok(Forge { kind, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for audit in ["state", "off", "syslog", "syslog:/a b", "file:/x=y\u{e4}"] {
            let audit = AuditSink::parse(OsStr::new(audit)).unwrap();
            for time_limit in [None, Some(Duration::from_millis(500)), Some(Duration::from_secs(4))] {
                let settings = Settings {
                    time_limit,
                    audit: audit.clone(),
                    audit_required: true,
                    addresses: vec!["https://example.com/it's".to_owned(), "host:r \\".to_owned()],
                    forge: Some(parse_forge("gitlab=git lab's").unwrap()),
                    ledger: true,
                };
                let mut read = Settings::default();
                assert!(settings.options().iter().all(|(name, value)| read.read(name, value)));
                assert_eq!(read, settings);
            }
        }
        assert!(!Settings::default().read("--policy", OsStr::new("x")));
    }

    #[test]
    fn only_what_is_meant_is_understood() {
        for text in ["", "0", "-1", "1e3", "nan", "inf", "1 ", "10000000", "0.0000000001"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
        assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "on", "file:", "syslog:", "FILE:/x"] {
            assert!(AuditSink::parse(OsStr::new(text)).is_err(), "{text}");
        }
        assert_eq!(parse_forge("gitolite").unwrap().name, "gitolite");
        for text in ["", "sourceforge", "gitlab=", "gitlab=\u{202e}", "GitLab"] {
            assert!(parse_forge(text).is_err(), "{text}");
        }
        for text in ["", "../r", "r", "https://example.com"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
