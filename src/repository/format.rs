//! The repository's format: which hash, and whether everything it demands is understood.
//!
//! An extension that is not understood changes what files mean, so answering in spite of it would
//! be answering falsely (technical/repository-version).

use std::path::{Path, PathBuf};

use crate::object::HashKind;

/// Extensions that change nothing which is read here.
const HARMLESS: [&str; 8] = [
    "noop",
    "noop-v1",
    "preciousobjects",
    "partialclone",
    "worktreeconfig",
    "compatobjectformat",
    "relativeworktrees",
    // Where the git directories of submodules lie.
    "submodulepathconfig",
];

/// Why a repository's format is refused. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The configuration file cannot be read or parsed.
    #[error("the configuration '{}' cannot be read: {reason}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Refs are stored as reftable or elsewhere, and would seem not to exist.
    #[error("the repository keeps its refs as '{0}', which is not supported; only 'files' is")]
    RefStorage(String),
    /// An extension that is not understood.
    #[error("the repository uses the extension '{0}', which is not understood")]
    UnknownExtension(String),
    /// A hash other than SHA-1 and SHA-256.
    #[error("the repository names its objects by '{0}', which is not supported")]
    UnknownHash(String),
    /// A format version other than 0 and 1.
    #[error("the repository's format version '{0}' is not supported")]
    UnknownVersion(String),
}

impl FormatError {
    /// What to do about it, where there is something.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            // What only the environment says has a payload.
            Self::RefStorage(storage) if storage.contains("://") => Some(
                "go by the repository's own refs: unset 'GIT_REFERENCE_BACKEND' or 'extensions.refStorage'",
            ),
            Self::RefStorage(_) => {
                Some("have git keep them as files again with 'git refs migrate --ref-format=files'")
            }
            _ => None,
        }
    }
}

/// What a repository's configuration file says of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// The hash that names objects.
    pub(super) hash: HashKind,
    /// git has found that the file system does not tell upper and lower case apart.
    pub(super) ignores_case: bool,
}

/// What the configuration file at `path` states, once everything in it is understood.
pub(super) fn check(path: &Path) -> Result<Format, FormatError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        // Git itself takes a repository without a configuration file as version 0.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Format { hash: HashKind::Sha1, ignores_case: false });
        }
        Err(error) => {
            return Err(FormatError::Configuration { path: path.to_owned(), reason: error.to_string() });
        }
    };
    parse(&text, path)
}

/// The hash of a repository whose configuration file has this text.
///
/// # Errors
/// See [`FormatError`].
pub fn hash_of(text: &[u8]) -> Result<HashKind, FormatError> {
    parse(text, Path::new("config")).map(|format| format.hash)
}

fn parse(text: &[u8], path: &Path) -> Result<Format, FormatError> {
    let unreadable = |reason: String| FormatError::Configuration { path: path.to_owned(), reason };
    let configuration = gix::config::File::from_bytes_no_includes(
        text,
        gix::config::file::Metadata::from(gix::config::Source::Local),
        gix::config::file::init::Options::default(),
    )
    .map_err(|error| unreadable(error.to_string()))?;
    let text_of = |key: &str| configuration.string(key).map(|value| value.to_string());

    let version = text_of("core.repositoryFormatVersion");
    match version.as_deref() {
        None | Some("0" | "1") => {}
        Some(other) => return Err(FormatError::UnknownVersion(other.to_owned())),
    }
    if let Some(storage) = text_of("extensions.refStorage")
        && storage != "files"
    {
        return Err(FormatError::RefStorage(storage));
    }
    for section in configuration.sections_by_name("extensions").into_iter().flatten() {
        for name in section.value_names() {
            let name = name.to_ascii_lowercase();
            let known = HARMLESS.contains(&name.as_str()) || name == "objectformat" || name == "refstorage";
            // In version 0 git lets extensions pass that it does not know; here nothing is guessed.
            if !known || section.header().subsection_name().is_some() {
                return Err(FormatError::UnknownExtension(name));
            }
        }
    }
    let hash = match text_of("extensions.objectFormat").as_deref() {
        None | Some("sha1") => HashKind::Sha1,
        Some("sha256") if version.as_deref() == Some("1") => HashKind::Sha256,
        Some(other) => return Err(FormatError::UnknownHash(other.to_owned())),
    };
    // What is no boolean is taken for the answer that refuses more.
    let ignores_case = configuration.boolean("core.ignoreCase").map_or(true, |value| value.unwrap_or(false));
    Ok(Format { hash, ignores_case })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HashKind, FormatError> {
        super::parse(text.as_bytes(), Path::new("config")).map(|format| format.hash)
    }

    #[test]
    fn gits_note_of_a_folding_file_system_is_read() {
        let ignores = |text: &str| super::parse(text.as_bytes(), Path::new("config")).unwrap().ignores_case;
        for (text, expected) in [("", false), ("[core]\nignorecase=false\n", false)]
            .into_iter()
            .chain([("[core]\nignorecase=true\n", true), ("[core]\nignorecase\n", true)])
            .chain([("[core]\nignorecase=perhaps\n", true)])
        {
            assert_eq!(ignores(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_understood_passes() {
        assert_eq!(parse("").unwrap(), HashKind::Sha1);
        assert_eq!(
            parse(
                "[core]\n repositoryformatversion = 1\n[extensions]\n objectFormat = sha256\n worktreeConfig\n"
            )
            .unwrap(),
            HashKind::Sha256
        );
    }

    #[test]
    fn reftable_is_refused_in_clear_words() {
        let error = parse("[core]\n repositoryformatversion = 1\n[extensions]\n refStorage = reftable\n")
            .unwrap_err();
        assert!(matches!(&error, FormatError::RefStorage(storage) if storage == "reftable"));
        assert!(error.to_string().contains("'reftable'"));
    }

    #[test]
    fn an_unknown_extension_hash_or_version_is_refused() {
        assert!(matches!(parse("[extensions]\n future = 1\n"), Err(FormatError::UnknownExtension(_))));
        assert!(matches!(parse("[extensions \"x\"]\n noop = 1\n"), Err(FormatError::UnknownExtension(_))));
        assert!(matches!(
            parse("[core]\nrepositoryformatversion=1\n[extensions]\nobjectformat=sha512\n"),
            Err(FormatError::UnknownHash(_))
        ));
        assert!(matches!(parse("[extensions]\nobjectformat=sha256\n"), Err(FormatError::UnknownHash(_))));
        assert!(matches!(parse("[core]\nrepositoryformatversion=2\n"), Err(FormatError::UnknownVersion(_))));
        assert!(matches!(parse("[core\n"), Err(FormatError::Configuration { .. })));
    }
}
