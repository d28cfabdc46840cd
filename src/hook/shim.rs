//! The shim that git runs: a template with paths written in, quoted for `sh`.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::repository::system::{OsStrExt, OsStringExt};

use super::{PolicyPlace, Settings};
use crate::trust::Pin;

const TEMPLATE: &str = include_str!("../../hooks/pre-receive");

/// How the lines of a shim begin that name trusted roots, OpenPGP certificates and
/// certificate authorities.
const ROOT: &[u8] = b"    --trusted-root ";
const CERTIFICATES: &[u8] = b"    --openpgp-certificates ";
const AUTHORITIES: &[u8] = b"    --certificate-authority ";

/// How every line begins that holds an option.
const OPTION: &[u8] = b"    --";

/// The line by which a shim is told from somebody else's hook.
const MARK: &[u8] = b"# countersign pre-receive shim ";

/// The paths that a shim holds; all are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shim {
    /// The program.
    pub program: PathBuf,
    /// The repository's git directory.
    pub repository: PathBuf,
    /// Where the policy is.
    pub policy: PolicyPlace,
    /// The state folder.
    pub state: PathBuf,
    /// The hook that was there before and runs first.
    pub before: Option<PathBuf>,
    /// The trusted root of each instance, by name.
    pub trusted_roots: Vec<(String, PathBuf)>,
    /// Each file of OpenPGP certificates, by its name in the policy.
    pub openpgp_certificates: Vec<(String, PathBuf)>,
    /// The file of each certificate authority, by its name in the policy.
    pub certificate_authorities: Vec<(String, PathBuf)>,
    /// How the gate goes about its work.
    pub settings: Settings,
}

/// Why a shim cannot be written or read. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShimError {
    /// A path with a line feed, which the shim's lines cannot hold.
    #[error("the path '{}' holds a line feed", .0.display())]
    LineFeed(PathBuf),
    /// A file with the shim's mark that does not hold what a shim holds.
    #[error("the shim was edited and cannot be read")]
    Edited,
}

impl Shim {
    /// The shim's text.
    ///
    /// # Errors
    /// A path cannot be written into it.
    pub fn render(&self) -> Result<Vec<u8>, ShimError> {
        let before = self.before.as_deref().unwrap_or(Path::new(""));
        let mut roots = Vec::new();
        for (option, files) in [
            (ROOT, &self.trusted_roots),
            (CERTIFICATES, &self.openpgp_certificates),
            (AUTHORITIES, &self.certificate_authorities),
        ] {
            for (name, path) in files {
                let mut argument = OsString::from(name);
                argument.push("=");
                argument.push(path);
                roots.extend(b" \\\n");
                roots.extend(option);
                roots.extend(quote(&argument)?);
            }
        }
        for (option, value) in self.settings.options() {
            roots.extend([b" \\\n    ", option.as_bytes(), b" "].concat());
            roots.extend(quote(&value)?);
        }
        let variables = self.settings.forge.iter().flat_map(|forge| forge.kind.variables());
        let variables: String = variables.map(|name| format!("    {name}=\"${{{name}-}}\" \\\n")).collect();
        let (policy_option, policy) = self.policy.option();
        let mut text = Vec::new();
        let mut rest = TEMPLATE;
        while let Some((head, tail)) = rest.split_once('@') {
            text.extend(head.as_bytes());
            let Some((name, behind)) = tail.split_once('@') else {
                text.push(b'@');
                rest = tail;
                continue;
            };
            match name {
                "PROGRAM" => text.extend(quote(self.program.as_os_str())?),
                "REPOSITORY" => text.extend(quote(self.repository.as_os_str())?),
                "POLICY" => text.extend(quote(&policy)?),
                "POLICY_OPTION" => text.extend(policy_option.as_bytes()),
                "STATE" => text.extend(quote(self.state.as_os_str())?),
                "BEFORE" => text.extend(quote(before.as_os_str())?),
                "TRUSTED_ROOTS" => text.extend(&roots),
                "FORGE_VARIABLES" => text.extend(variables.as_bytes()),
                _ => {
                    text.push(b'@');
                    rest = tail;
                    continue;
                }
            }
            rest = behind;
        }
        text.extend(rest.as_bytes());
        Ok(text)
    }

    /// Whether a hook's text is a shim.
    #[must_use]
    pub fn is_shim(text: &[u8]) -> bool {
        text.split(|byte| *byte == b'\n').nth(1).is_some_and(|line| line.starts_with(MARK))
    }

    /// Read a shim back.
    ///
    /// # Errors
    /// It is not exactly what [`Self::render`] would write with the paths that it holds.
    pub fn parse(text: &[u8]) -> Result<Self, ShimError> {
        let mut values = Vec::new();
        let (mut trusted_roots, mut openpgp_certificates) = (Vec::new(), Vec::new());
        let mut certificate_authorities = Vec::new();
        let mut settings = Settings::default();
        for line in text.split(|byte| *byte == b'\n') {
            let assigned = ["program=", "repository=", "policy=", "state=", "before="];
            if let Some(name) = assigned.get(values.len())
                && let Some(value) = line.strip_prefix(name.as_bytes())
            {
                values.push(PathBuf::from(unquote(value).ok_or(ShimError::Edited)?));
                continue;
            }
            for (option, files) in [
                (ROOT, &mut trusted_roots),
                (CERTIFICATES, &mut openpgp_certificates),
                (AUTHORITIES, &mut certificate_authorities),
            ] {
                let Some(value) = line.strip_prefix(option) else { continue };
                let value = unquote(value.strip_suffix(b" \\").unwrap_or(value)).ok_or(ShimError::Edited)?;
                let at = value.as_bytes().iter().position(|byte| *byte == b'=').ok_or(ShimError::Edited)?;
                let name =
                    String::from_utf8(value.as_bytes()[..at].to_vec()).map_err(|_| ShimError::Edited)?;
                files.push((name, PathBuf::from(OsStr::from_bytes(&value.as_bytes()[at + 1..]))));
            }
            if let Some((name, value)) = option(line)
                && let Some(value) = unquote(value)
            {
                settings.read(&name, &value);
            }
        }
        let [program, repository, policy, state, before]: [PathBuf; 5] =
            values.try_into().map_err(|_| ShimError::Edited)?;
        let before = (!before.as_os_str().is_empty()).then_some(before);
        let policy = match policy.to_str().and_then(|text| Pin::parse(text).ok()) {
            Some(pin) => PolicyPlace::Reference(pin),
            None => PolicyPlace::File(policy),
        };
        let shim = Self {
            program,
            repository,
            policy,
            state,
            before,
            trusted_roots,
            openpgp_certificates,
            certificate_authorities,
            settings,
        };
        if shim.render().as_deref() == Ok(text) { Ok(shim) } else { Err(ShimError::Edited) }
    }
}

/// The option that a line holds, and its value as it is quoted.
fn option(line: &[u8]) -> Option<(String, &[u8])> {
    let rest = line.strip_suffix(b" \\").unwrap_or(line).strip_prefix(OPTION)?;
    let at = rest.iter().position(|byte| *byte == b' ')?;
    Some((format!("--{}", std::str::from_utf8(&rest[..at]).ok()?), &rest[at + 1..]))
}

/// `text` as one word of `sh`: in single quotes, each quote inside written as `'\''`.
pub(super) fn quote(text: &OsStr) -> Result<Vec<u8>, ShimError> {
    if text.as_bytes().contains(&b'\n') {
        return Err(ShimError::LineFeed(text.into()));
    }
    let mut quoted = b"'".to_vec();
    for byte in text.as_bytes() {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    Ok(quoted)
}

pub(super) fn unquote(text: &[u8]) -> Option<OsString> {
    let mut inner = text.strip_prefix(b"'")?.strip_suffix(b"'")?;
    let mut value = Vec::new();
    while let Some(byte) = inner.first() {
        if let Some(rest) = inner.strip_prefix(b"'\\''") {
            value.push(b'\'');
            inner = rest;
        } else {
            value.push(*byte);
            inner = &inner[1..];
        }
    }
    Some(OsString::from_vec(value))
}

#[cfg(test)]
mod tests {
    use super::{super::AuditSink, *};

    fn shim(path: &str) -> Shim {
        Shim {
            program: path.into(),
            repository: "/r/it's.git".into(),
            policy: PolicyPlace::File("/etc/@POLICY@ $(x) \"y\"".into()),
            state: path.into(),
            before: Some("/r/hooks/pre-receive.before-countersign".into()),
            trusted_roots: vec![("s".into(), path.into()), ("t".into(), "/a=b \\".into())],
            openpgp_certificates: vec![("keys/a b.asc".into(), path.into())],
            certificate_authorities: vec![("corp".into(), path.into())],
            settings: Settings {
                time_limit: Some(std::time::Duration::from_millis(4500)),
                audit: AuditSink::Syslog("/a 'b'".into()),
                audit_required: true,
                addresses: vec![path.replace('\n', ""), "host:r \\".into()],
                forge: Some(super::super::parse_forge("gitlab=git lab's").unwrap()),
                ledger: true,
            },
        }
    }

    #[test]
    fn what_is_rendered_reads_back() {
        let pin = "example.com/a refs/countersign/policy 1111111111111111111111111111111111111111";
        let policy = PolicyPlace::Reference(Pin::parse(pin).unwrap());
        for shim in [
            shim("/p"),
            Shim { before: None, trusted_roots: vec![], ..shim("/a b'c'") },
            Shim { policy, settings: Settings::default(), ..shim("/p") },
        ] {
            let text = shim.render().unwrap();
            assert!(Shim::is_shim(&text));
            assert_eq!(Shim::parse(&text).unwrap(), shim);
        }
        assert!(matches!(shim("/a\nb").render(), Err(ShimError::LineFeed(_))));
    }

    #[test]
    fn an_edited_shim_is_noticed() {
        let text = String::from_utf8(shim("/p").render().unwrap()).unwrap();
        for edited in
            [text.replace("env -i", "env"), text.replace("policy='", "policy=''"), format!("{text}#\n")]
        {
            assert_eq!(Shim::parse(edited.as_bytes()), Err(ShimError::Edited), "{edited}");
        }
        assert!(!Shim::is_shim(b"#!/bin/sh\nexit 0\n"));
    }

    #[test]
    fn a_shell_takes_each_path_as_one_word() {
        for path in ["/it's", "/$(touch x) `y` \"z\" \\", "/*?[a]", "/ü \t", "/'';exit 1;'"] {
            let script = [b"printf %s ".as_slice(), &quote(OsStr::new(path)).unwrap()].concat();
            let output =
                std::process::Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script)).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), path);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_reads_back(path in "[^\n\0]{0,30}") {
            let shim = shim(&path);
            proptest::prop_assert_eq!(Shim::parse(&shim.render().unwrap()), Ok(shim));
        }
    }
}
