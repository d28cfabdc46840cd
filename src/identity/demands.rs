//! Whose signatures are wanted: an identity compared with what was asked for, before anything exists of it.

use serde::{Deserialize, Serialize};

use super::Claims;

/// What is demanded of an identity before something is signed as it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Demands {
    /// The subject that it has to be.
    pub identity: Option<String>,
    /// Whether it has to be the address in the committer's (tagger's, pusher's) line.
    pub committer: bool,
}

/// Why an identity is not the wanted one. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DemandError {
    /// Someone else is named as the committer.
    #[error("the login is for '{found}', and the committer is '{committer}'")]
    Committer {
        /// The identity's name.
        found: String,
        /// The address in the payload.
        committer: String,
    },
    /// The configuration names someone else.
    #[error("the login is for '{found}', and 'countersign.identity' is '{wanted}'")]
    Identity {
        /// The identity's name.
        found: String,
        /// The name in the configuration.
        wanted: String,
    },
}

impl Demands {
    /// Whether `claims` are those of the wanted identity, for a payload made by `committer` (an address).
    ///
    /// # Errors
    /// They are not.
    pub fn admit(&self, claims: &Claims, committer: Option<&[u8]>) -> Result<(), DemandError> {
        let found = || claims.name().to_owned();
        if let Some(wanted) = &self.identity
            && wanted != claims.name()
        {
            return Err(DemandError::Identity { found: found(), wanted: wanted.clone() });
        }
        let committer = committer.unwrap_or_default();
        if self.committer && committer != claims.name().as_bytes() {
            let committer = String::from_utf8_lossy(committer).into_owned();
            return Err(DemandError::Committer { found: found(), committer });
        }
        Ok(())
    }
}
