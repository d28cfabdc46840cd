//! The Update Framework: which trusted root an instance's repository publishes now.
//!
//! The client workflow (TUF specification §5: chain of roots, expiry, rollback, lengths and hashes) is
//! `sigstore-tuf`'s; here are its transport over our own HTTP client, its cache, and its answers in words.

use std::{
    future::Future,
    path::Path,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use sigstore_tuf::{
    FileStore, MetadataStore, Repository, TrustedMetadataSet, Updater, UpdaterConfig, transport::FetchFuture,
};

use super::{
    Refusal,
    http::{self, Http, HttpError},
};
use crate::sigstore::trusted_root::{MAXIMUM_ROOT_BYTES, PUBLIC_GOOD, STAGING};

/// The name of the trusted root among a repository's targets.
pub const TRUSTED_ROOT: &str = "trusted_root.json";
/// The largest TUF root that may be pinned, in bytes.
pub const MAXIMUM_PINNED_BYTES: usize = 512_000;

/// Where an instance that is built in publishes its trusted root, and the TUF root to begin with.
#[must_use]
pub fn built_in(name: &str) -> Option<(&'static str, &'static [u8])> {
    match name {
        PUBLIC_GOOD => Some((
            "https://tuf-repo-cdn.sigstore.dev",
            include_bytes!("tuf/public-good.root.json").as_slice(),
        )),
        STAGING => {
            Some(("https://tuf-repo-cdn.sigstage.dev", include_bytes!("tuf/staging.root.json").as_slice()))
        }
        _ => None,
    }
}

/// What a repository publishes, after the whole workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The target [`TRUSTED_ROOT`].
    pub trusted_root: Vec<u8>,
    /// The version of the last root in the chain.
    pub root: u64,
    /// The version of the timestamp role.
    pub timestamp: u64,
}

/// Why a repository's trusted root is not taken. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TufError {
    /// The server answered with an error.
    #[error("{0}")]
    Answer(Refusal),
    /// What was verified cannot be kept or read again, and without it nothing stops a rollback.
    #[error("the verified metadata cannot be kept: {0}")]
    Cache(String),
    /// A length, hash or version is not the one that the signed metadata names.
    #[error("what the repository serves is not what its metadata names: {0}")]
    Content(String),
    /// Metadata is older than it may be: the repository is not looked after, or someone holds updates back.
    #[error("the repository's '{role}' metadata expired at {expires}")]
    Expired {
        /// The role.
        role: String,
        /// When.
        expires: String,
    },
    /// There is no answer.
    #[error("{0}")]
    Http(HttpError),
    /// Not TUF metadata, or of a kind that is not known here.
    #[error("the repository's metadata cannot be read: {0}")]
    Malformed(String),
    /// The repository publishes no trusted root.
    #[error("the repository publishes no '{TRUSTED_ROOT}'")]
    NoTarget,
    /// Something that has to be there is not, or the chain of roots does not end.
    #[error("the repository is not whole: {0}")]
    Repository(String),
    /// Older than what was seen before.
    #[error("the repository goes back: '{role}' is version {offered}, and version {trusted} was seen before")]
    Rollback {
        /// The role.
        role: String,
        /// The version seen before.
        trusted: u64,
        /// The version that is served now.
        offered: u64,
    },
    /// The next root does not follow from the last one.
    #[error("the repository's next root is version {offered}, and follows version {trusted}")]
    RootVersion {
        /// The last version.
        trusted: u64,
        /// The version that is served.
        offered: u64,
    },
    /// Too few of the keys that the root names have signed.
    #[error("'{role}' of the repository has {found} valid signatures and needs {needed}")]
    Signatures {
        /// The role.
        role: String,
        /// Distinct valid signatures.
        found: usize,
        /// The threshold.
        needed: usize,
    },
    /// The client waits for something that nobody will do.
    #[error("the client of the repository came to no end")]
    Stalled,
}

impl TufError {
    /// Whether the repository answered, and its answer is refused.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            // More than the metadata names, or than metadata may be.
            Self::Http(error) => matches!(error, HttpError::TooLarge { .. }),
            Self::Answer(_) | Self::Cache(_) | Self::Stalled => false,
            _ => true,
        }
    }
}

impl From<sigstore_tuf::Error> for TufError {
    fn from(error: sigstore_tuf::Error) -> Self {
        use sigstore_tuf::Error;
        match error {
            Error::Expired { role, expires } => Self::Expired { role, expires: expires.to_string() },
            Error::Rollback { role, trusted, new } => Self::Rollback { role, trusted, offered: new },
            Error::BadRootVersion { trusted, new } => Self::RootVersion { trusted, offered: new },
            Error::ThresholdNotMet { role, found, threshold } => {
                Self::Signatures { role, found, needed: threshold }
            }
            Error::IntegrityMismatch(what) => Self::Content(what),
            Error::TargetNotFound(_) => Self::NoTarget,
            Error::Transport { message, source } => {
                match source.map(|source| source.downcast::<TransportError>()) {
                    Some(Ok(error)) => match *error {
                        TransportError::Http(error) => Self::Http(error),
                        TransportError::Answer(refusal) => Self::Answer(refusal),
                    },
                    _ => Self::Repository(message),
                }
            }
            Error::Io { context, source } => Self::Cache(format!("{context}: {source}")),
            other => {
                let mut words = other.to_string();
                let mut source = std::error::Error::source(&other);
                while let Some(cause) = source {
                    words = format!("{words}: {cause}");
                    source = cause.source();
                }
                Self::Malformed(words)
            }
        }
    }
}

/// The version of a TUF root that someone wants to pin.
///
/// # Errors
/// It is none, or not signed by its own keys.
pub fn check_pinned(root: &[u8]) -> Result<u64, TufError> {
    Ok(TrustedMetadataSet::from_root(root)?.root().version)
}

/// Ask the repository at `url` for its trusted root, beginning with the root `pinned`. What was verified
/// is kept in the folder `cache`, so that nothing older is taken the next time. `now` in seconds since
/// 1970 is what expiry is held against.
///
/// # Errors
/// Anything that is not exactly as the workflow has it.
pub fn update(url: &str, pinned: &[u8], cache: &Path, now: i64, http: Http) -> Result<Update, TufError> {
    let now = jiff::Timestamp::from_second(now).map_err(|error| TufError::Malformed(error.to_string()))?;
    let cache = Arc::new(Cache { files: FileStore::new(cache), failure: Mutex::new(None) });
    let transport = Transport { url: url.to_owned(), http };
    let mut config = UpdaterConfig::default();
    config.target_max_length = MAXIMUM_ROOT_BYTES as u64;
    let mut updater = Updater::new(transport, pinned)?.with_config(config).with_store(Arc::clone(&cache));
    let target = complete(async {
        updater.refresh(now).await?;
        updater.get_target(TRUSTED_ROOT, now).await
    });
    let target = target.ok_or(TufError::Stalled)??;
    if let Some(reason) = cache.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(TufError::Cache(reason));
    }
    let trusted = updater.trusted();
    Ok(Update {
        trusted_root: target,
        root: trusted.root().version,
        timestamp: trusted.timestamp().map_or(0, |timestamp| timestamp.version),
    })
}

/// The result of a future that never waits: the transport below has its answer when it is asked.
fn complete<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// A repository over HTTP: metadata beside each other, targets in their own folder.
struct Transport {
    url: String,
    http: Http,
}

/// What the transport tells through the library's error.
#[derive(Debug, thiserror::Error)]
enum TransportError {
    #[error("{0}")]
    Http(HttpError),
    #[error("{0}")]
    Answer(Refusal),
}

impl Transport {
    fn get(&self, path: &str, limit: u64) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        let failed = |error| sigstore_tuf::Error::transport_with_source("no answer", error);
        let url = http::join(&self.url, path);
        let response =
            self.http.get_within(&url, limit).map_err(|error| failed(TransportError::Http(error)))?;
        match response.status().as_u16() {
            200 => Ok(Some(response.into_body())),
            // Object stores say "forbidden" of what is not there.
            403 | 404 => Ok(None),
            _ => Err(failed(TransportError::Answer(Refusal::of(&response)))),
        }
    }
}

impl Repository for Transport {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        let answer = self.get(&format!("/{name}"), max_length);
        Box::pin(async move { answer })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        let answer = self.get(&format!("/targets/{path}"), max_length);
        Box::pin(async move { answer })
    }
}

/// The library's own store, but for this: it passes over what cannot be read or written, and with it
/// over what stops a rollback.
struct Cache {
    files: FileStore,
    failure: Mutex<Option<String>>,
}

impl Cache {
    fn remember<T>(&self, result: sigstore_tuf::Result<T>) -> sigstore_tuf::Result<T> {
        result.inspect_err(|error| {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| error.to_string());
        })
    }
}

impl MetadataStore for Cache {
    fn load(&self, name: &str) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        self.remember(self.files.load(name))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> sigstore_tuf::Result<()> {
        self.remember(self.files.store(name, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_roots_are_signed_by_their_own_keys() {
        for name in [PUBLIC_GOOD, STAGING] {
            let (_, root) = built_in(name).unwrap();
            assert!(check_pinned(root).unwrap() > 1, "{name}");
        }
        assert!(built_in("sandbox").is_none());
    }

    #[test]
    fn a_root_that_nobody_signed_is_not_pinned() {
        let (_, root) = built_in(PUBLIC_GOOD).unwrap();
        let mut value: serde_json::Value = serde_json::from_slice(root).unwrap();
        value["signed"]["version"] = 99.into();
        let changed = check_pinned(value.to_string().as_bytes());
        assert!(matches!(changed, Err(TufError::Signatures { .. })), "{changed:?}");
        assert!(matches!(check_pinned(b"{}"), Err(TufError::Malformed(_))));
    }

    #[test]
    fn a_future_that_waits_is_given_up() {
        assert_eq!(complete(async { 1 }), Some(1));
        assert_eq!(complete(std::future::pending::<u8>()), None);
    }
}
