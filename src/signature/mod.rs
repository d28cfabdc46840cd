//! The encodings of signatures: armor and CMS, bytes to claims and back. Nothing here is trusted.

/// Why the bytes of a signature cannot be read. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The armor is not one strict block.
    #[error("the armor is malformed")]
    Armor,
}
