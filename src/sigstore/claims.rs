//! What a signing certificate says of the build that asked for it: Fulcio's extensions for CI.
//!
//! Source: Fulcio's OID registry (oid-info.md), 1.3.6.1.4.1.57264.1.8 and up, each a DER UTF8String.

use super::certificate::ProfileError;
use crate::encoding::{
    der::{self, ObjectIdentifier, Tag},
    x509::Slices,
};

/// The longest claim that is read, in bytes.
const MAXIMUM_CLAIM_BYTES: usize = 2048;

/// GitHub's issuer, whose certificates of before 2023 hold nothing but the extensions of old.
const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// Where the repositories of [`GITHUB`] are.
const GITHUB_SERVER: &str = "https://github.com/";
/// Fulcio, deprecated: GitHub's repository (`owner/name`) and ref, as raw text.
const GITHUB_REPOSITORY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.5");
const GITHUB_REF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.6");

/// One thing that a certificate may say of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// Source Repository URI.
    Repository,
    /// Source Repository Ref.
    Ref,
    /// Source Repository Identifier, which outlives a change of name.
    RepositoryId,
    /// Build Config URI: the build instructions that began it all.
    Workflow,
    /// Build Trigger.
    Trigger,
    /// Runner Environment.
    RunnerEnvironment,
    /// Source Repository Visibility At Signing.
    Visibility,
    /// Deployment Environment.
    Environment,
}

impl Claim {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 8] = [
        Self::Repository,
        Self::Ref,
        Self::RepositoryId,
        Self::Workflow,
        Self::Trigger,
        Self::RunnerEnvironment,
        Self::Visibility,
        Self::Environment,
    ];

    /// The word for it in policies and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Ref => "ref",
            Self::RepositoryId => "repository_id",
            Self::Workflow => "workflow",
            Self::Trigger => "trigger",
            Self::RunnerEnvironment => "runner_environment",
            Self::Visibility => "visibility",
            Self::Environment => "environment",
        }
    }

    fn identifier(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Repository => "1.3.6.1.4.1.57264.1.12",
            Self::Ref => "1.3.6.1.4.1.57264.1.14",
            Self::RepositoryId => "1.3.6.1.4.1.57264.1.15",
            Self::Workflow => "1.3.6.1.4.1.57264.1.18",
            Self::Trigger => "1.3.6.1.4.1.57264.1.20",
            Self::RunnerEnvironment => "1.3.6.1.4.1.57264.1.11",
            Self::Visibility => "1.3.6.1.4.1.57264.1.22",
            Self::Environment => "1.3.6.1.4.1.57264.1.23",
        })
    }
}

/// The claims of one certificate, each at most once and none of them empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(Vec<(Claim, String)>);

impl Claims {
    /// The claims of a certificate by `issuer`. What was written before 2023 counts only where there is
    /// nothing newer, and only for GitHub, which alone wrote it.
    ///
    /// # Errors
    /// A claim that is no text, or is too long or holds control characters.
    pub(super) fn read(slices: &Slices<'_>, issuer: &str) -> Result<Self, ProfileError> {
        let value =
            |identifier: &ObjectIdentifier| slices.extension(identifier).map(|extension| extension.value);
        let mut claims = Vec::new();
        let mut newer = false;
        for claim in Claim::ALL {
            let Some(value) = value(&claim.identifier()) else { continue };
            newer = true;
            let text = der::only(value, Tag::Utf8String).map_err(|_| ProfileError::Claim)?.value;
            claims.extend(text_of(text)?.map(|text| (claim, text)));
        }
        if !newer && issuer == GITHUB {
            let repository = value(&GITHUB_REPOSITORY).map(text_of).transpose()?.flatten();
            let reference = value(&GITHUB_REF).map(text_of).transpose()?.flatten();
            claims.extend(repository.map(|name| (Claim::Repository, format!("{GITHUB_SERVER}{name}"))));
            claims.extend(reference.map(|reference| (Claim::Ref, reference)));
        }
        Ok(Self(claims))
    }

    /// What the certificate says.
    #[must_use]
    pub fn get(&self, claim: Claim) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == claim).map(|(_, text)| text.as_str())
    }

    /// All that it says, in the order of [`Claim::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Claim, &str)> {
        self.0.iter().map(|(claim, text)| (*claim, text.as_str()))
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<(Claim, &'a str)> for Claims {
    /// Of several of one kind the first counts; empty ones are none.
    fn from_iter<I: IntoIterator<Item = (Claim, &'a str)>>(claims: I) -> Self {
        let mut made = Self::default();
        for (claim, text) in claims {
            if !text.is_empty() && made.get(claim).is_none() {
                made.0.push((claim, text.to_owned()));
            }
        }
        made.0.sort();
        made
    }
}

/// The text of a claim; `None` for an empty one, which says nothing.
fn text_of(bytes: &[u8]) -> Result<Option<String>, ProfileError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ProfileError::Claim)?;
    if text.len() > MAXIMUM_CLAIM_BYTES || text.chars().any(char::is_control) {
        return Err(ProfileError::Claim);
    }
    Ok(Some(text).filter(|text| !text.is_empty()).map(str::to_owned))
}
