//! What receive-pack tells a hook through the environment, as values.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::repository::system::OsStrExt;

use crate::repository::parse_object_directories;

/// The variables that describe one push (githooks, `pre-receive`; tmp-objdir.c). An empty value is
/// the same as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushEnvironment {
    /// `GIT_DIR`: the repository that is pushed to.
    pub git_dir: Option<PathBuf>,
    /// `GIT_QUARANTINE_PATH`: where the pushed objects are; unset when a push only deletes.
    pub quarantine: Option<PathBuf>,
    /// `GIT_OBJECT_DIRECTORY` and then each entry of `GIT_ALTERNATE_OBJECT_DIRECTORIES`.
    pub object_directories: Vec<PathBuf>,
    /// `GIT_NAMESPACE`: the refs are not the ones that the push names.
    pub namespace: Option<OsString>,
    /// `GIT_REFERENCE_BACKEND`: the refs are kept elsewhere than the repository's configuration says (git 2.54).
    pub reference_backend: Option<OsString>,
    /// `GIT_SHALLOW_FILE`: where the pusher's history is cut off.
    pub shallow_file: Option<PathBuf>,
    /// `GIT_PUSH_OPTION_*`, as bytes; `None` if they are not as git writes them.
    pub push_options: Option<Vec<Vec<u8>>>,
    /// What git says of the push certificate.
    pub certificate: CertificateEnvironment,
}

/// The variables about a push certificate (git-receive-pack) that are looked at: which blob it is, and
/// what git alone can tell of its nonce. Who has signed it is never taken from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateEnvironment {
    /// `GIT_PUSH_CERT`: the blob.
    pub id: Option<String>,
    /// `GIT_PUSH_CERT_NONCE`: the nonce that git waited for.
    pub nonce: Option<String>,
    /// `GIT_PUSH_CERT_NONCE_STATUS`: how the certificate's nonce compares with it.
    pub nonce_status: Option<String>,
    /// `GIT_PUSH_CERT_NONCE_SLOP`: by how many seconds it is late.
    pub nonce_slop: Option<String>,
}

/// The most push options that are read.
const MAXIMUM_PUSH_OPTIONS: usize = 10_000;

impl PushEnvironment {
    /// Take the variables from `variable`; relative paths are relative to `directory`.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>, directory: &Path) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(|value| directory.join(value));
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let mut object_directories: Vec<PathBuf> = path("GIT_OBJECT_DIRECTORY").into_iter().collect();
        if let Some(list) = set("GIT_ALTERNATE_OBJECT_DIRECTORIES") {
            object_directories.extend(parse_object_directories(list.as_bytes(), directory));
        }
        Self {
            git_dir: path("GIT_DIR"),
            quarantine: path("GIT_QUARANTINE_PATH"),
            object_directories,
            namespace: set("GIT_NAMESPACE"),
            reference_backend: set("GIT_REFERENCE_BACKEND"),
            shallow_file: path("GIT_SHALLOW_FILE"),
            push_options: push_options(&variable),
            certificate: CertificateEnvironment {
                id: text("GIT_PUSH_CERT"),
                nonce: text("GIT_PUSH_CERT_NONCE"),
                nonce_status: text("GIT_PUSH_CERT_NONCE_STATUS"),
                nonce_slop: text("GIT_PUSH_CERT_NONCE_SLOP"),
            },
        }
    }
}

/// The push options, each of which may be empty; none if git has not agreed on any with the client.
fn push_options(variable: impl Fn(&str) -> Option<OsString>) -> Option<Vec<Vec<u8>>> {
    let Some(count) = variable("GIT_PUSH_OPTION_COUNT").filter(|count| !count.is_empty()) else {
        return Some(Vec::new());
    };
    let count: usize = count.to_str()?.parse().ok().filter(|count| *count <= MAXIMUM_PUSH_OPTIONS)?;
    let option =
        |index| variable(&format!("GIT_PUSH_OPTION_{index}")).map(|option| option.as_bytes().to_vec());
    (0..count).map(option).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_paths_and_empty_ones_nothing() {
        let variable = |name: &str| match name {
            "GIT_DIR" => Some(OsString::from(".")),
            "GIT_QUARANTINE_PATH" => Some("/r/objects/tmp".into()),
            "GIT_OBJECT_DIRECTORY" => Some("objects/tmp".into()),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES" => Some("\"/a:b/objects\":/c".into()),
            "GIT_NAMESPACE" | "GIT_REFERENCE_BACKEND" | "GIT_SHALLOW_FILE" | "GIT_PUSH_CERT" => {
                Some(OsString::new())
            }
            "GIT_PUSH_OPTION_COUNT" => Some("2".into()),
            "GIT_PUSH_OPTION_0" => Some("a=b".into()),
            "GIT_PUSH_OPTION_1" => Some(OsString::new()),
            "GIT_PUSH_CERT_NONCE" => Some("1-a".into()),
            "GIT_PUSH_CERT_NONCE_STATUS" => Some("OK".into()),
            "GIT_PUSH_CERT_NONCE_SLOP" => None,
            other => panic!("'{other}' is nothing that a hook looks at"),
        };
        let environment = PushEnvironment::from_variables(variable, Path::new("/r"));
        assert_eq!(environment.git_dir.unwrap(), Path::new("/r/."));
        assert_eq!(
            environment.object_directories,
            [PathBuf::from("/r/objects/tmp"), "/a:b/objects".into(), "/c".into()]
        );
        assert_eq!((environment.namespace, environment.shallow_file), (None, None));
        assert_eq!(environment.reference_backend, None);
        assert_eq!(environment.push_options, Some(vec![b"a=b".to_vec(), Vec::new()]), "one may be empty");
        let certificate = CertificateEnvironment {
            nonce: Some("1-a".to_owned()),
            nonce_status: Some("OK".to_owned()),
            ..CertificateEnvironment::default()
        };
        assert_eq!(environment.certificate, certificate);
    }

    #[test]
    fn push_options_that_git_does_not_write_are_none() {
        let options = |count: &str| {
            push_options(|name| match name {
                "GIT_PUSH_OPTION_COUNT" => Some(count.into()),
                "GIT_PUSH_OPTION_0" => Some("x".into()),
                _ => None,
            })
        };
        assert_eq!((options(""), options("0")), (Some(vec![]), Some(vec![])));
        assert_eq!(options("1"), Some(vec![b"x".to_vec()]));
        for count in ["2", "x", "-1", "99999999999999999999", "10001"] {
            assert_eq!(options(count), None, "{count}");
        }
    }
}
