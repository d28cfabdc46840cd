//! What an instance is believed for: some issuers, some subjects, or everything.

use crate::verify::Identity;

/// The issuers and subjects that an instance may vouch for; an empty list stands for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    issuers: Vec<String>,
    subjects: Vec<SubjectPattern>,
}

/// A subject, or many that differ where the one `*` stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubjectPattern(String);

/// Why a limit is refused. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// Nothing is named.
    #[error("an empty issuer or subject names nobody")]
    Empty,
    /// A star in an issuer.
    #[error("the issuer '{0}' holds a '*': issuers are exact and know no patterns")]
    IssuerPattern(String),
    /// More than one star.
    #[error("the subject '{0}' holds more than one '*'")]
    Stars(String),
}

impl SubjectPattern {
    /// Read a subject, with at most one `*`.
    ///
    /// # Errors
    /// It is empty or has more stars.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        if text.is_empty() {
            return Err(LimitError::Empty);
        }
        if text.matches('*').count() > 1 {
            return Err(LimitError::Stars(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it means one subject alone.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether `subject` is meant. The star stands for one character or more, none of them `/` or `@`.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        match self.0.split_once('*') {
            None => self.0 == subject,
            Some((before, after)) => subject
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|middle| !middle.is_empty() && !middle.contains(['/', '@'])),
        }
    }
}

impl Limits {
    /// Limits of exact `issuers` and of `subjects`; an empty list sets no limit.
    ///
    /// # Errors
    /// An issuer that is empty or holds a star.
    pub fn new(issuers: Vec<String>, subjects: Vec<SubjectPattern>) -> Result<Self, LimitError> {
        for issuer in &issuers {
            if issuer.is_empty() {
                return Err(LimitError::Empty);
            }
            if issuer.contains('*') {
                return Err(LimitError::IssuerPattern(issuer.clone()));
            }
        }
        Ok(Self { issuers, subjects })
    }

    /// Whether there is no limit.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.issuers.is_empty() && self.subjects.is_empty()
    }

    /// The only issuers that are believed, if there is such a limit.
    #[must_use]
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// Whether the instance is believed when it vouches for `identity`.
    #[must_use]
    pub fn believe(&self, identity: &Identity) -> bool {
        (self.issuers.is_empty() || self.issuers.contains(&identity.issuer))
            && (self.subjects.is_empty()
                || self.subjects.iter().any(|pattern| pattern.matches(&identity.subject)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigstore::certificate::SubjectKind;

    fn pattern(text: &str) -> SubjectPattern {
        SubjectPattern::parse(text).unwrap()
    }

    #[test]
    fn a_star_crosses_neither_slash_nor_at() {
        let mail = pattern("*@example.com");
        assert!(mail.matches("alice@example.com"));
        for other in ["alice@evil@example.com", "a/b@example.com", "alice@example.com.evil", "example.com"] {
            assert!(!mail.matches(other), "{other}");
        }
        let uri = pattern("https://github.com/org/*/.github/workflows/release.yml@refs/heads/main");
        assert!(uri.matches("https://github.com/org/x/.github/workflows/release.yml@refs/heads/main"));
        assert!(!uri.matches("https://github.com/org/x/y/.github/workflows/release.yml@refs/heads/main"));
        assert!(!pattern("a*").matches("a"), "nothing is not something");
        assert!(!pattern("ab*ba").matches("aba"), "the two ends do not overlap");
        assert!(!pattern("alice").matches("Alice"));
    }

    #[test]
    fn what_could_mean_everyone_by_mistake_is_refused() {
        assert_eq!(SubjectPattern::parse(""), Err(LimitError::Empty));
        assert_eq!(SubjectPattern::parse("*@*"), Err(LimitError::Stars("*@*".to_owned())));
        let issuers = |issuer: &str| Limits::new(vec![issuer.to_owned()], Vec::new());
        assert_eq!(issuers(""), Err(LimitError::Empty));
        assert_eq!(issuers("https://*"), Err(LimitError::IssuerPattern("https://*".to_owned())));
    }

    #[test]
    fn issuer_and_subject_both_have_to_be_meant() {
        let identity = |issuer: &str, subject: &str| Identity {
            instance: "x".to_owned(),
            issuer: issuer.to_owned(),
            kind: SubjectKind::Email,
            subject: subject.to_owned(),
        };
        let both = Limits::new(vec!["https://i".to_owned()], vec![pattern("*@a"), pattern("bob@b")]).unwrap();
        assert!(both.believe(&identity("https://i", "alice@a")));
        assert!(both.believe(&identity("https://i", "bob@b")));
        assert!(!both.believe(&identity("https://j", "alice@a")));
        assert!(!both.believe(&identity("https://i", "alice@b")));
        assert!(Limits::default().believe(&identity("https://j", "anyone")));
    }
}
