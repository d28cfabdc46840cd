//! The command line of gpg as far as git and its friends use it: short options in clusters or apart,
//! long options with their value behind `=` or as the next argument.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Where the signed bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// On standard input.
    Standard,
    /// In a file (jj's `gpgsm` backend).
    File(PathBuf),
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Print the secret keys; a probe.
    ListSecretKeys,
    /// Make an armored detached signature over `data`.
    Sign {
        /// The `-u` value: what git has as the signing key, or the committer.
        key: Option<OsString>,
        /// The file descriptor for status lines.
        status: Option<u32>,
        /// What to sign.
        data: Data,
    },
    /// Check a detached signature.
    Verify {
        /// The file with the signature.
        signature: PathBuf,
        /// What was signed.
        data: Data,
        /// The file descriptor for status lines.
        status: Option<u32>,
    },
    /// Print the version; a probe.
    Version,
}

/// Why a command line is not understood. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// More than one file, or several commands.
    #[error("too many arguments: '{0}'")]
    Excess(String),
    /// An option without its value.
    #[error("the option '{0}' needs a value")]
    MissingValue(String),
    /// Neither signing nor verifying is asked for.
    #[error("neither '--verify' nor a detached signature ('-b') is asked for")]
    NoCommand,
    /// `--verify` without a file.
    #[error("'--verify' needs the file with the signature")]
    NoSignature,
    /// A file descriptor that is no small number.
    #[error("'{0}' is not a file descriptor")]
    StatusDescriptor(String),
    /// An option of gpg that is not understood here.
    #[error("unknown option '{0}'")]
    Unknown(String),
}

/// Whether `arguments` (without the program's name) are in gpg's dialect rather than our own.
#[must_use]
pub fn is_dialect(arguments: &[OsString]) -> bool {
    let own = ["--help", "-h", "--version", "-V"];
    arguments
        .first()
        .and_then(|first| first.to_str())
        .is_some_and(|first| first.starts_with('-') && (arguments.len() > 1 || !own.contains(&first)))
}

impl Request {
    /// Read `arguments`, the program's name not among them.
    ///
    /// # Errors
    /// [`ArgumentError`]; nothing that is not understood is passed over.
    pub fn parse(arguments: &[OsString]) -> Result<Self, ArgumentError> {
        let mut typed = Typed::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let text = argument.to_string_lossy();
            if let Some(long) = text.strip_prefix("--").filter(|long| !long.is_empty()) {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(OsString::from(value))),
                    None => (long.to_owned(), None),
                };
                typed.long(&name, value, &mut rest)?;
            } else if text.len() > 1 && text.starts_with('-') && text != "--" {
                typed.cluster(argument, &mut rest)?;
            } else if text != "--" {
                typed.files.push(argument.clone());
            }
        }
        typed.meant()
    }
}

/// What was typed, before it means anything.
#[derive(Default)]
struct Typed {
    verify: bool,
    detach: bool,
    sign: bool,
    version: bool,
    list: bool,
    key: Option<OsString>,
    status: Option<u32>,
    files: Vec<OsString>,
}

impl Typed {
    fn long<'a>(
        &mut self,
        name: &str,
        value: Option<OsString>,
        rest: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), ArgumentError> {
        let mut take = || {
            value
                .clone()
                .or_else(|| rest.next().cloned())
                .ok_or_else(|| ArgumentError::MissingValue(format!("--{name}")))
        };
        match name {
            "verify" => self.verify = true,
            "detach-sign" => self.detach = true,
            "sign" => self.sign = true,
            "version" => self.version = true,
            "list-secret-keys" | "list-keys" => self.list = true,
            "local-user" => self.key = Some(take()?),
            "status-fd" => self.status = Some(descriptor(&take()?)?),
            // What git's friends pass for gpg's sake, with a value of its own.
            "keyid-format" | "homedir" | "trust-model" | "pinentry-mode" | "logger-fd"
            | "display-charset" => {
                take()?;
            }
            "armor"
            | "batch"
            | "no-tty"
            | "yes"
            | "quiet"
            | "verbose"
            | "with-colons"
            | "fixed-list-mode"
            | "no-verbose"
            | "no-auto-check-trustdb"
            | "utf8-strings"
            | "use-agent" => {}
            _ => return Err(ArgumentError::Unknown(format!("--{name}"))),
        }
        Ok(())
    }

    /// A cluster such as `-bsau KEY`; the value of `u` is the rest of it or the next argument.
    fn cluster<'a>(
        &mut self,
        argument: &OsStr,
        rest: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), ArgumentError> {
        let text = argument.to_string_lossy();
        for (position, option) in text.char_indices().skip(1) {
            match option {
                'b' => self.detach = true,
                's' => self.sign = true,
                'a' | 'q' | 'v' => {}
                'K' | 'k' => self.list = true,
                'u' => {
                    let attached = &text[position + 1..];
                    let key = if attached.is_empty() {
                        rest.next().cloned().ok_or_else(|| ArgumentError::MissingValue("-u".to_owned()))?
                    } else {
                        OsString::from(attached)
                    };
                    self.key = Some(key);
                    return Ok(());
                }
                _ => return Err(ArgumentError::Unknown(format!("-{option}"))),
            }
        }
        Ok(())
    }

    fn meant(self) -> Result<Request, ArgumentError> {
        let excess = |file: &OsString| Err(ArgumentError::Excess(file.to_string_lossy().into_owned()));
        if self.verify {
            return match self.files.as_slice() {
                [] => Err(ArgumentError::NoSignature),
                [signature] => Ok(Request::Verify {
                    signature: signature.into(),
                    data: Data::Standard,
                    status: self.status,
                }),
                [signature, data] => Ok(Request::Verify {
                    signature: signature.into(),
                    data: source(data),
                    status: self.status,
                }),
                [_, _, extra, ..] => excess(extra),
            };
        }
        if self.version {
            return Ok(Request::Version);
        }
        // jj asks for `-abu KEY` without `-s`.
        if self.detach {
            return match self.files.as_slice() {
                [] => Ok(Request::Sign { key: self.key, status: self.status, data: Data::Standard }),
                [data] => Ok(Request::Sign { key: self.key, status: self.status, data: source(data) }),
                [_, extra, ..] => excess(extra),
            };
        }
        if self.list { Ok(Request::ListSecretKeys) } else { Err(ArgumentError::NoCommand) }
    }
}

fn source(file: &OsString) -> Data {
    if file == "-" { Data::Standard } else { Data::File(file.into()) }
}

fn descriptor(value: &OsStr) -> Result<u32, ArgumentError> {
    let text = value.to_string_lossy();
    text.parse()
        .ok()
        .filter(|number| *number < 1024)
        .ok_or_else(|| ArgumentError::StatusDescriptor(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Request, ArgumentError> {
        Request::parse(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn sign(key: &str, status: Option<u32>) -> Request {
        Request::Sign { key: Some(key.into()), status, data: Data::Standard }
    }

    #[test]
    fn every_way_of_asking_for_a_signature_is_understood() {
        let key = "A B <a@b.c>";
        for arguments in [
            vec!["--status-fd=2", "-bsau", key],
            vec!["--status-fd", "2", "-b", "-s", "-a", "-u", key],
            vec!["--status-fd=2", "-sbau", key],
            vec!["--status-fd=2", "--detach-sign", "--sign", "--armor", "--local-user", key],
            vec!["--status-fd=2", "-bsau", key, "-"],
        ] {
            assert_eq!(parse(&arguments), Ok(sign(key, Some(2))), "{arguments:?}");
        }
        assert_eq!(parse(&["-abu", key]), Ok(sign(key, None)), "jj");
        assert_eq!(parse(&["-abukey"]), Ok(sign("key", None)));
    }

    #[test]
    fn every_way_of_asking_for_a_verification_is_understood() {
        let verify = |data| Request::Verify { signature: "/tmp/s".into(), data, status: Some(1) };
        assert_eq!(parse(&["--status-fd=1", "--verify", "/tmp/s", "-"]), Ok(verify(Data::Standard)));
        assert_eq!(
            parse(&["--keyid-format=long", "--status-fd=1", "--verify", "/tmp/s", "-"]),
            Ok(verify(Data::Standard))
        );
        assert_eq!(
            parse(&["--status-fd=1", "--verify", "/tmp/s", "/tmp/d"]),
            Ok(verify(Data::File("/tmp/d".into())))
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (arguments, cause) in [
            (vec!["--decrypt"], ArgumentError::Unknown("--decrypt".into())),
            (vec!["-bsax"], ArgumentError::Unknown("-x".into())),
            (vec!["-bsau"], ArgumentError::MissingValue("-u".into())),
            (vec!["--status-fd=x", "-b"], ArgumentError::StatusDescriptor("x".into())),
            (vec!["--verify"], ArgumentError::NoSignature),
            (vec!["-a"], ArgumentError::NoCommand),
            (vec!["-b", "x", "y"], ArgumentError::Excess("y".into())),
        ] {
            assert_eq!(parse(&arguments), Err(cause), "{arguments:?}");
        }
    }

    #[test]
    fn our_own_options_are_not_the_dialect() {
        let dialect =
            |arguments: &[&str]| is_dialect(&arguments.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(!dialect(&["--help"]) && !dialect(&["--version"]) && !dialect(&["verify"]) && !dialect(&[]));
        assert!(dialect(&["--status-fd=2", "-bsau", "k"]) && dialect(&["-abu", "k"]));
    }
}
