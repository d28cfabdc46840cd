//! The encodings of signatures: armor, CMS, SSHSIG and OpenPGP, bytes to claims and back. Nothing here is
//! trusted.

pub mod armor;
pub mod emit;
pub mod keyless;
pub mod openpgp;
pub mod smime;
pub mod ssh;

use crate::encoding::der::DerError;

/// Why the bytes of a signature cannot be read. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The armor is not one strict block.
    #[error("the armor is malformed")]
    Armor,
    /// An algorithm identifier is not the one that belongs there.
    #[error("an algorithm identifier is unknown or out of place")]
    Algorithm,
    /// A required signed attribute is missing, stands twice, or has not exactly one value.
    #[error("a signed attribute is missing or stands twice")]
    Attribute,
    /// The bag does not hold the signer's certificate, or holds it twice.
    #[error("the signature does not hold exactly one certificate of its signer")]
    Certificate,
    /// The content is inside the signature, or of another type.
    #[error("the signature is not detached")]
    Content,
    /// An OpenPGP subpacket that must be understood and is not.
    #[error("the signature makes a demand that is not understood")]
    CriticalSubpacket,
    /// Not DER, or not the structure that belongs there.
    #[error("the signature is not strict DER of the expected structure")]
    Der,
    /// An RSA key outside the sizes that are used.
    #[error("the RSA key has fewer than 2048 or more than 8192 bits")]
    KeySize,
    /// The embedded log entry cannot be read.
    #[error("the embedded log entry is malformed")]
    LogEntry,
    /// An SSH signature that was made for something else than git.
    #[error("the SSH signature was made for another purpose than git")]
    Namespace,
    /// Not exactly one OpenPGP signature packet over data.
    #[error("the armor does not hold exactly one signature over data")]
    Packet,
    /// Not exactly one signer.
    #[error("the signature does not have exactly one signer")]
    Signers,
    /// Not the fields of an SSH signature, or bytes left over.
    #[error("the SSH signature is not of the expected structure")]
    Ssh,
    /// A certificate of OpenSSH that cannot be read.
    #[error("the SSH certificate is not of the expected structure")]
    SshCertificate,
    /// A public key of SSH that cannot be read, or is of a kind that is not used here.
    #[error("the SSH public key is malformed or of an unknown kind")]
    SshKey,
    /// An OpenPGP signature over text, which does not cover its line ends.
    #[error("the signature is over text with any line ends, not over these bytes")]
    TextSignature,
    /// The timestamp token cannot be read.
    #[error("the timestamp token is malformed")]
    Timestamp,
    /// Larger than anything that is read.
    #[error("the signature or one of its fields is too large")]
    TooLarge,
    /// Bytes before or after the armor.
    #[error("there are bytes outside the armor")]
    TrailingBytes,
    /// An unsigned attribute that has no business in a keyless signature.
    #[error("the signature carries an unknown unsigned attribute")]
    UnknownAttribute,
    /// A version number that does not exist or does not fit.
    #[error("a version number is unknown")]
    Version,
}

impl From<DerError> for FormatError {
    fn from(_: DerError) -> Self {
        Self::Der
    }
}
