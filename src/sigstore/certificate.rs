//! The keyless signing certificate: its one subject, its issuer, its key and its embedded SCT.
//!
//! Source: Fulcio's certificate specification and OID registry. Responsible for what the certificate
//! says and whether it is fit for keyless signing at all; its path is the trusted root's matter.

use ::der::Decode as _;
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, name::GeneralName,
};

use super::{
    claims::Claims,
    sct::{Sct, SctError},
};
use crate::encoding::{
    der::{self, ObjectIdentifier, Tag},
    x509::Slices,
};

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// The embedded SCT list (RFC 6962 §3.3).
pub const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
/// Fulcio: OIDC issuer as raw text.
const ISSUER_RAW: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// Fulcio: OIDC issuer as DER UTF8String.
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// Fulcio: the type of an otherName that holds a user name.
const USERNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

/// The longest issuer or subject that is read, in bytes.
const MAXIMUM_NAME_BYTES: usize = 2048;

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

impl SubjectKind {
    /// The word for it in policies and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Username => "username",
        }
    }

    /// The kind called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Email, Self::Uri, Self::Username].into_iter().find(|kind| kind.name() == name)
    }
}

/// What makes a certificate unfit for keyless signing. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// It may issue certificates itself.
    #[error("it is an authority's certificate")]
    Authority,
    /// A claim about the build is no text, or holds control characters or is too long.
    #[error("a claim in it cannot be read")]
    Claim,
    /// Not a certificate in strict DER.
    #[error("it is not a certificate in strict DER")]
    Der,
    /// Extended key usage is not code signing alone.
    #[error("its extended key usage is not code signing")]
    ExtendedKeyUsage,
    /// There is no issuer, or the two issuer extensions differ.
    #[error("it names no consistent issuer")]
    Issuer,
    /// The key is of a kind that is not used, or does not fit the signature.
    #[error("its key is of another kind than the signature")]
    Key,
    /// Key usage lacks digitalSignature.
    #[error("its key usage is not digital signature")]
    KeyUsage,
    /// A name holds control characters, or is empty or too long.
    #[error("a name in it holds control characters, or is empty or too long")]
    Name,
    /// Not exactly one readable SCT.
    #[error("it does not hold exactly one SCT")]
    Sct,
    /// Not exactly one subject alternative name of a known kind.
    #[error("it does not name exactly one subject")]
    Subject,
}

impl From<der::DerError> for ProfileError {
    fn from(_: der::DerError) -> Self {
        Self::Der
    }
}

impl From<SctError> for ProfileError {
    fn from(_: SctError) -> Self {
        Self::Sct
    }
}

/// What a signing certificate claims; everything borrows from its DER.
#[derive(Clone, Debug)]
pub struct SigningCertificate<'a> {
    /// The certificate's parts.
    pub slices: Slices<'a>,
    /// What kind of name the subject is.
    pub kind: SubjectKind,
    /// The one subject alternative name.
    pub subject: String,
    /// The OpenID Connect issuer.
    pub issuer: String,
    /// What it says of the build that asked for it.
    pub claims: Claims,
    /// The one embedded SCT.
    pub sct: Sct<'a>,
}

impl<'a> SigningCertificate<'a> {
    /// Read `certificate` and hold it to the profile.
    ///
    /// # Errors
    /// Each departure from the profile with its own cause.
    pub fn parse(certificate: &'a [u8]) -> Result<Self, ProfileError> {
        let slices = Slices::parse(certificate)?;
        let value =
            |identifier: &ObjectIdentifier| slices.extension(identifier).map(|extension| extension.value);
        let constraints = value(&BASIC_CONSTRAINTS).map(BasicConstraints::from_der).transpose();
        if constraints.map_err(|_| ProfileError::Der)?.is_some_and(|constraints| constraints.ca) {
            return Err(ProfileError::Authority);
        }
        let usage = value(&KEY_USAGE).and_then(|value| KeyUsage::from_der(value).ok());
        if !usage.is_some_and(|usage| usage.0.contains(KeyUsages::DigitalSignature)) {
            return Err(ProfileError::KeyUsage);
        }
        let extended = value(&EXTENDED_KEY_USAGE).and_then(|value| ExtendedKeyUsage::from_der(value).ok());
        if extended.is_none_or(|usage| usage.0 != [CODE_SIGNING]) {
            return Err(ProfileError::ExtendedKeyUsage);
        }
        let (kind, subject) = subject(value(&SUBJECT_ALT_NAME).ok_or(ProfileError::Subject)?)?;
        let issuer = issuer(value(&ISSUER_RAW), value(&ISSUER))?;
        let claims = Claims::read(&slices, &issuer)?;
        let sct = Sct::parse_only(value(&SCT_LIST).ok_or(ProfileError::Sct)?)?;
        Ok(Self { kind, subject: printable(subject)?, issuer: printable(issuer)?, claims, sct, slices })
    }
}

fn subject(extension: &[u8]) -> Result<(SubjectKind, String), ProfileError> {
    let names = SubjectAltName::from_der(extension).map_err(|_| ProfileError::Subject)?;
    match names.0.as_slice() {
        [GeneralName::Rfc822Name(name)] => Ok((SubjectKind::Email, name.to_string())),
        [GeneralName::UniformResourceIdentifier(name)] => Ok((SubjectKind::Uri, name.to_string())),
        [GeneralName::OtherName(name)] if name.type_id == USERNAME => {
            let text: String = name.value.decode_as().map_err(|_| ProfileError::Subject)?;
            Ok((SubjectKind::Username, text))
        }
        _ => Err(ProfileError::Subject),
    }
}

/// The issuer of whichever extension is there; if both are, they must agree.
fn issuer(raw: Option<&[u8]>, encoded: Option<&[u8]>) -> Result<String, ProfileError> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| ProfileError::Issuer);
    let raw = raw.map(text).transpose()?;
    let encoded = encoded
        .map(|value| text(der::only(value, Tag::Utf8String).map_err(|_| ProfileError::Issuer)?.value))
        .transpose()?;
    match (raw, encoded) {
        (Some(raw), Some(encoded)) if raw != encoded => Err(ProfileError::Issuer),
        (_, Some(issuer)) | (Some(issuer), None) => Ok(issuer),
        (None, None) => Err(ProfileError::Issuer),
    }
}

fn printable(name: String) -> Result<String, ProfileError> {
    if name.is_empty() || name.len() > MAXIMUM_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(ProfileError::Name);
    }
    Ok(name)
}
