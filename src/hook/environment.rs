//! What receive-pack tells a hook through the environment, as values.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

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
    /// `GIT_SHALLOW_FILE`: where the pusher's history is cut off.
    pub shallow_file: Option<PathBuf>,
}

impl PushEnvironment {
    /// Take the variables from `variable`; relative paths are relative to `directory`.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>, directory: &Path) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(|value| directory.join(value));
        let mut object_directories: Vec<PathBuf> = path("GIT_OBJECT_DIRECTORY").into_iter().collect();
        if let Some(list) = set("GIT_ALTERNATE_OBJECT_DIRECTORIES") {
            object_directories.extend(parse_object_directories(list.as_bytes(), directory));
        }
        Self {
            git_dir: path("GIT_DIR"),
            quarantine: path("GIT_QUARANTINE_PATH"),
            object_directories,
            namespace: set("GIT_NAMESPACE"),
            shallow_file: path("GIT_SHALLOW_FILE"),
        }
    }
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
            "GIT_NAMESPACE" | "GIT_SHALLOW_FILE" => Some(OsString::new()),
            other => panic!("'{other}' is nothing that a hook looks at"),
        };
        let environment = PushEnvironment::from_variables(variable, Path::new("/r"));
        assert_eq!(environment.git_dir.unwrap(), Path::new("/r/."));
        assert_eq!(
            environment.object_directories,
            [PathBuf::from("/r/objects/tmp"), "/a:b/objects".into(), "/c".into()]
        );
        assert_eq!((environment.namespace, environment.shallow_file), (None, None));
    }
}
