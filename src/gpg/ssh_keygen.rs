//! The `-Y` dialect of `ssh-keygen` as far as git and jj speak it, and the lines that git reads.
//!
//! git takes the first line of the answer for everything (gpg-interface.c, `parse_ssh_output`): good
//! and named, good and not named, or bad; it has no "cannot tell".

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use super::ArgumentError;

/// What `ssh-keygen` says where a signature is not verified.
pub const NOT_VERIFIED: &str = "Could not verify signature.\n";
/// What it says where nobody may sign with the key.
pub const NO_PRINCIPAL: &str = "No principal matched.\n";
/// The exit status of both.
pub const FAILED: u8 = 255;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshRequest {
    /// Whose is the key that made the signature?
    FindPrincipals {
        /// The list of allowed signers.
        allowed: PathBuf,
        /// The file with the signature.
        signature: PathBuf,
        /// The time to judge by, as it was written.
        time: Option<String>,
    },
    /// Make a signature: that is for the program that holds the key.
    Sign,
    /// Is the signature over standard input good, and its signer this one? Without `signer`, only whether
    /// it is good.
    Verify {
        /// Who, and by which list.
        signer: Option<Signer>,
        /// The file with the signature.
        signature: PathBuf,
        /// What the signature has to be for.
        namespace: String,
        /// Keys that no longer count.
        revoked: Option<PathBuf>,
        /// The time to judge by, as it was written.
        time: Option<String>,
    },
}

/// Who is asked about, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The list of allowed signers.
    pub allowed: PathBuf,
    /// The name in it.
    pub principal: String,
}

/// Whether `arguments` (without the program's name) are in this dialect.
#[must_use]
pub fn is_ssh_dialect(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|first| first.as_encoded_bytes().starts_with(b"-Y"))
}

impl SshRequest {
    /// Read `arguments`, the program's name not among them.
    ///
    /// # Errors
    /// [`ArgumentError`]; nothing that is not understood is passed over. What follows `-Y sign` is not read.
    pub fn parse(arguments: &[OsString]) -> Result<Self, ArgumentError> {
        let mut typed = Typed::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let text = argument.to_string_lossy();
            let mut letters = text.chars();
            let (Some('-'), Some(option)) = (letters.next(), letters.next()) else {
                return Err(ArgumentError::Excess(text.into_owned()));
            };
            let place = match option {
                'Y' => &mut typed.operation,
                'n' => &mut typed.namespace,
                'f' => &mut typed.allowed,
                'I' => &mut typed.principal,
                's' => &mut typed.signature,
                'r' => &mut typed.revoked,
                'O' => &mut typed.option,
                _ => return Err(ArgumentError::Unknown(text.into_owned())),
            };
            let joined = letters.as_str();
            let value = if joined.is_empty() {
                rest.next().map(OsString::as_os_str)
            } else {
                Some(OsStr::new(joined))
            };
            let value = value.ok_or_else(|| ArgumentError::MissingValue(format!("-{option}")))?;
            if place.replace(value.to_owned()).is_some() {
                return Err(ArgumentError::Excess(text.into_owned()));
            }
            if option == 'Y' && value == "sign" {
                return Ok(Self::Sign);
            }
        }
        typed.meant()
    }
}

/// What was typed, before it means anything.
#[derive(Default)]
struct Typed {
    operation: Option<OsString>,
    namespace: Option<OsString>,
    allowed: Option<OsString>,
    principal: Option<OsString>,
    signature: Option<OsString>,
    revoked: Option<OsString>,
    option: Option<OsString>,
}

impl Typed {
    fn meant(self) -> Result<SshRequest, ArgumentError> {
        let missing = |option: &str| ArgumentError::MissingValue(option.to_owned());
        let operation = self.operation.ok_or_else(|| missing("-Y"))?;
        let signature = self.signature.map(PathBuf::from).ok_or_else(|| missing("-s"));
        let allowed = self.allowed.map(PathBuf::from).ok_or_else(|| missing("-f"));
        let text = |value: Option<OsString>, option: &str| {
            let value = value.ok_or_else(|| missing(option))?;
            value.into_string().map_err(|value| ArgumentError::Unknown(value.to_string_lossy().into_owned()))
        };
        let time = match self.option {
            None => None,
            Some(option) => {
                let text = option.to_string_lossy();
                let time = text.strip_prefix("verify-time=");
                Some(time.ok_or_else(|| ArgumentError::Unknown(format!("-O {text}")))?.to_owned())
            }
        };
        match operation.to_str() {
            Some("find-principals") => {
                Ok(SshRequest::FindPrincipals { allowed: allowed?, signature: signature?, time })
            }
            Some("check-novalidate") => Ok(SshRequest::Verify {
                signer: None,
                signature: signature?,
                namespace: text(self.namespace, "-n")?,
                revoked: self.revoked.map(PathBuf::from),
                time,
            }),
            Some("verify") => Ok(SshRequest::Verify {
                signer: Some(Signer { allowed: allowed?, principal: text(self.principal, "-I")? }),
                signature: signature?,
                namespace: text(self.namespace, "-n")?,
                revoked: self.revoked.map(PathBuf::from),
                time,
            }),
            _ => Err(ArgumentError::Unknown(format!("-Y {}", operation.to_string_lossy()))),
        }
    }
}

/// The line for a good signature by `principal`, or by a key of which no more is asked.
#[must_use]
pub fn good(namespace: &str, principal: Option<&str>, key_type: &str, fingerprint: &str) -> String {
    let name = principal.map(|principal| format!("for {} ", crate::words::escape(principal)));
    let name = name.unwrap_or_default();
    format!("Good \"{namespace}\" signature {name}with {key_type} key {fingerprint}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<SshRequest, ArgumentError> {
        let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
        assert!(is_ssh_dialect(&arguments));
        SshRequest::parse(&arguments)
    }

    #[test]
    fn the_calls_of_git_and_jj_are_understood() {
        let time = Some("20240102030405".to_owned());
        assert_eq!(
            parse(&["-Y", "find-principals", "-f", "al", "-s", "sig", "-Overify-time=20240102030405"]),
            Ok(SshRequest::FindPrincipals {
                allowed: "al".into(),
                signature: "sig".into(),
                time: time.clone()
            })
        );
        let signer = Some(Signer { allowed: "al".into(), principal: "a b".to_owned() });
        let verify = SshRequest::Verify {
            signer,
            signature: "sig".into(),
            namespace: "git".to_owned(),
            revoked: Some("krl".into()),
            time,
        };
        for words in [
            [
                "-Y",
                "verify",
                "-n",
                "git",
                "-f",
                "al",
                "-I",
                "a b",
                "-s",
                "sig",
                "-Overify-time=20240102030405",
                "-r",
                "krl",
            ],
            [
                "-Y",
                "verify",
                "-s",
                "sig",
                "-I",
                "a b",
                "-f",
                "al",
                "-n",
                "git",
                "-rkrl",
                "-O",
                "verify-time=20240102030405",
            ],
        ] {
            assert_eq!(parse(&words).as_ref(), Ok(&verify));
        }
        assert!(matches!(
            parse(&["-Y", "check-novalidate", "-n", "git", "-s", "sig"]),
            Ok(SshRequest::Verify { signer: None, .. })
        ));
        assert_eq!(parse(&["-Y", "sign", "-n", "git", "-f", "key", "-U", "/tmp/x"]), Ok(SshRequest::Sign));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [
            &["-Y"][..],
            &["-Y", "verify", "-n", "git", "-f", "al", "-s", "sig"],
            &["-Y", "verify", "-n", "git", "-I", "a", "-s", "sig"],
            &["-Y", "check-novalidate", "-s", "sig"],
            &["-Y", "find-principals", "-f", "al"],
            &["-Y", "find-principals", "-f", "al", "-s", "sig", "-O", "print-pubkey"],
            &["-Y", "find-principals", "-f", "al", "-f", "al", "-s", "sig"],
            &["-Y", "find-principals", "-f", "al", "-s", "sig", "more"],
            &["-Y", "find-principals", "-f", "al", "-s", "sig", "-q"],
            &["-Y", "match-principals", "-f", "al", "-s", "sig"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        assert!(!is_ssh_dialect(&["--verify".into()]));
    }

    #[test]
    fn a_name_is_one_line() {
        let line = good("git", Some("a\nGood"), "ED25519", "SHA256:x");
        assert_eq!(line, "Good \"git\" signature for a\\u{a}Good with ED25519 key SHA256:x\n");
        assert_eq!(good("git", None, "RSA", "SHA256:x"), "Good \"git\" signature with RSA key SHA256:x\n");
    }
}
