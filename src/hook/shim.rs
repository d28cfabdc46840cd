//! The shim that git runs: a template with paths written in, quoted for `sh`.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::{
    PolicyPlace, Settings,
    template::{fill, is_marked, quote, unquote},
};
use crate::{repository::system::OsStrExt, trust::Pin};

const TEMPLATE: &str = include_str!("../../hooks/pre-receive");

/// How the lines of a shim begin that name trusted roots, OpenPGP certificates and
/// certificate authorities.
const ROOT: &[u8] = b"    --trusted-root ";
const CERTIFICATES: &[u8] = b"    --openpgp-certificates ";
const AUTHORITIES: &[u8] = b"    --certificate-authority ";

/// How every line begins that holds an option.
const OPTION: &[u8] = b"    --";

/// The line by which a shim is told from somebody else's hook.
const MARK: &str = "# countersign pre-receive shim ";

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
    /// A program that env(1) would take for a variable.
    #[error("the path '{}' holds an equals sign", .0.display())]
    EqualsSign(PathBuf),
    /// A file with the shim's mark that does not hold what a shim holds.
    #[error("the hook is not as this version of the program writes it")]
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
        // What comes before a program and has '=' in it is a variable to env(1).
        if self.program.as_os_str().as_bytes().contains(&b'=') {
            return Err(ShimError::EqualsSign(self.program.clone()));
        }
        let program = quote(self.program.as_os_str())?;
        let repository = quote(self.repository.as_os_str())?;
        let (policy, state) = (quote(&policy)?, quote(self.state.as_os_str())?);
        let before = quote(before.as_os_str())?;
        Ok(fill(TEMPLATE, &|name| {
            let value = match name {
                "PROGRAM" => &program,
                "REPOSITORY" => &repository,
                "POLICY" => &policy,
                "POLICY_OPTION" => policy_option.as_bytes(),
                "STATE" => &state,
                "BEFORE" => &before,
                "TRUSTED_ROOTS" => &roots,
                "FORGE_VARIABLES" => variables.as_bytes(),
                _ => return None,
            };
            Some(value.to_vec())
        }))
    }

    /// Whether a hook's text is a shim.
    #[must_use]
    pub fn is_shim(text: &[u8]) -> bool {
        is_marked(text, MARK)
    }

    /// Read a shim back.
    ///
    /// # Errors
    /// It is not exactly what [`Self::render`] would write with the paths that it holds.
    pub fn parse(text: &[u8]) -> Result<Self, ShimError> {
        let shim = Self::parse_any(text)?;
        if shim.render().as_deref() == Ok(text) { Ok(shim) } else { Err(ShimError::Edited) }
    }

    /// Read the paths and options of a shim that another version of the program may have written. What else it does
    /// nobody knows.
    ///
    /// # Errors
    /// It is no shim, or holds none.
    pub(super) fn parse_any(text: &[u8]) -> Result<Self, ShimError> {
        if !Self::is_shim(text) {
            return Err(ShimError::Edited);
        }
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
        Ok(Self {
            program,
            repository,
            policy,
            state,
            before,
            trusted_roots,
            openpgp_certificates,
            certificate_authorities,
            settings,
        })
    }
}

/// The option that a line holds, and its value as it is quoted.
fn option(line: &[u8]) -> Option<(String, &[u8])> {
    let rest = line.strip_suffix(b" \\").unwrap_or(line).strip_prefix(OPTION)?;
    let at = rest.iter().position(|byte| *byte == b' ')?;
    Some((format!("--{}", std::str::from_utf8(&rest[..at]).ok()?), &rest[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::{super::AuditSink, *};

    fn shim(path: &str) -> Shim {
        Shim {
            program: path.replace('=', "").into(),
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
        let program = Shim { program: "/a=b/c".into(), ..shim("/p") };
        assert!(matches!(program.render(), Err(ShimError::EqualsSign(_))));
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

    /// As many as the program itself reads, in the time of a few: a pusher chooses how many there are.
    #[test]
    fn push_options_come_through_as_they_are_and_cost_little_each() {
        use crate::repository::system::{PermissionsExt as _, set_mode};
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            set_mode(&path, std::fs::Permissions::from_mode(0o755).mode()).unwrap();
            path
        };
        let program = write("program", b"#!/bin/sh\nexec /usr/bin/env -0\n");
        let hook = write("hook", &Shim { program, before: None, ..shim("/p") }.render().unwrap());
        let odd = ["$(touch x) `y` \"z\" \\", "it's\nGIT_DIR=/elsewhere", "", " a=b "];
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -t 3; exec \"$0\""]).arg(hook).env("GIT_PUSH_OPTION_COUNT", "10000");
        for number in 0..10_000 {
            command.env(format!("GIT_PUSH_OPTION_{number}"), odd.get(number).unwrap_or(&"x"));
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
        let told: std::collections::HashSet<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        for (number, value) in odd.iter().enumerate() {
            assert!(told.contains(format!("GIT_PUSH_OPTION_{number}={value}").as_bytes()), "{value:?}");
        }
        assert!(told.contains(b"GIT_PUSH_OPTION_9999=x".as_slice()) && told.contains(b"GIT_DIR=".as_slice()));
    }

    proptest::proptest! {
        #[test]
        fn any_path_reads_back(path in "[^\n\0]{0,30}") {
            let shim = shim(&path);
            proptest::prop_assert_eq!(Shim::parse(&shim.render().unwrap()), Ok(shim));
        }
    }
}
