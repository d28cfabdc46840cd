//! What `user.signingKey` may name: a key of one's own, in a form that nothing else has.

use std::{fmt, path::PathBuf};

use super::{KeyError, Pkcs11Uri};

/// Where a key is.
///
/// A name, an address, a fingerprint or the path of an OpenSSH key is none: git has those as signing keys of
/// other formats, and they are no concern of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `file:/path/to/key.pem`
    File(PathBuf),
    /// `SCHEME://KEY`, kept by the program `sigstore-kms-SCHEME`.
    Kms {
        /// The scheme: lower-case letters, digits and hyphens.
        scheme: String,
        /// The key, in the program's own terms.
        key: String,
    },
    /// `pkcs11:…` (RFC 7512).
    Pkcs11(Pkcs11Uri),
    /// `ssh-agent:/path/to/key.pub` or `ssh-agent:SHA256:…`
    SshAgent(String),
}

impl Reference {
    /// The reference in `text`; `None` where it is of another form.
    ///
    /// # Errors
    /// It is of such a form and cannot be read.
    pub fn parse(text: &str) -> Result<Option<Self>, KeyError> {
        if text.starts_with("pkcs11:") {
            let uri = Pkcs11Uri::parse(text).map_err(|cause| KeyError::Uri(text.to_owned(), cause))?;
            return Ok(Some(Self::Pkcs11(uri)));
        }
        if let Some(name) = text.strip_prefix("ssh-agent:") {
            return Ok(Some(Self::SshAgent(name.to_owned())));
        }
        if let Some(path) = text.strip_prefix("file:") {
            // Relative to what would depend on where git runs.
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if !path.is_absolute() {
                return Err(KeyError::Missing(text.to_owned()));
            }
            return Ok(Some(Self::File(path)));
        }
        let Some((scheme, key)) = text.split_once("://") else { return Ok(None) };
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.len() <= 64
            && scheme.bytes().all(is_name);
        Ok(is_scheme.then(|| Self::Kms { scheme: scheme.to_owned(), key: key.to_owned() }))
    }
}

impl fmt::Display for Reference {
    /// For people; without a PIN. Callers escape it for terminals.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "the file '{}'", path.display()),
            Self::Kms { scheme, key } => write!(formatter, "'{key}' of the program 'sigstore-kms-{scheme}'"),
            Self::Pkcs11(uri) => write!(formatter, "'{}' on a PKCS#11 token", uri.name()),
            Self::SshAgent(name) => write!(formatter, "'{name}' in the ssh-agent"),
        }
    }
}
