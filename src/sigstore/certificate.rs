//! The keyless signing certificate: its one subject, its issuer, its key and its embedded SCT.

/// What kind of subject alternative name a certificate carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectKind {
    /// `rfc822Name`.
    Email,
    /// `uniformResourceIdentifier`.
    Uri,
    /// `otherName` of type 1.3.6.1.4.1.57264.1.7.
    Username,
}

/// What makes a certificate unfit for keyless signing. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not exactly one subject alternative name of a known kind.
    #[error("it does not name exactly one subject")]
    Subject,
}
