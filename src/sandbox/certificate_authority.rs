//! The certificate authority: a root, an intermediate, and leaves for identities as Fulcio issues them.

use std::str::FromStr;

use der::{
    Decode, Encode,
    asn1::{Ia5String, Utf8StringRef},
    oid::ObjectIdentifier,
};
use x509_cert::{
    Certificate,
    ext::pkix::{ExtendedKeyUsage, SubjectAltName, SubjectKeyIdentifier, name::GeneralName},
    name::{Name, RdnSequence},
};

use super::{
    certificate_transparency::embedded_timestamp,
    key::{KeyAlgorithm, PublicKey, PublicKeyError, SigningKey},
    x509::{self, Subject},
};

/// Where Fulcio's extensions are.
const FULCIO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");
/// Fulcio's issuer extension of old: the bytes of the text, no DER around them.
const FULCIO_ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// Fulcio's issuer extension: a DER UTF8String.
const FULCIO_ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// How long a leaf is valid, in seconds.
pub const LEAF_LIFETIME: i64 = 600;
/// How long the certificates of the authority itself are valid, in seconds: ten years.
pub(super) const AUTHORITY_LIFETIME: i64 = 10 * 365 * 24 * 3600;
/// The longest identity that is certified, in bytes.
const MAXIMUM_IDENTITY: usize = 1024;

/// Who a token or certificate is for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Identity {
    /// An e-mail address; in certificates an rfc822Name.
    Email(String),
    /// A URI, such as that of a workflow; in certificates a uniformResourceIdentifier.
    Uri(String),
}

impl Identity {
    /// The address or URI.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(text) | Self::Uri(text) => text,
        }
    }

    /// Whether the text is what its kind says, as far as a certificate needs it.
    pub(super) fn check(&self) -> Result<(), IdentityError> {
        let text = self.as_str();
        let plain = !text.is_empty()
            && text.len() <= MAXIMUM_IDENTITY
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        let shaped = match self {
            Self::Email(text) => text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            }),
            Self::Uri(text) => url::Url::parse(text).is_ok(),
        };
        if plain && shaped {
            return Ok(());
        }
        Err(match self {
            Self::Email(_) => IdentityError::Email,
            Self::Uri(_) => IdentityError::Uri,
        })
    }
}

/// `scheme://…` is a URI, everything else an e-mail address; whether it is a proper one shows at issuance.
impl From<&str> for Identity {
    fn from(text: &str) -> Self {
        if text.contains("://") { Self::Uri(text.to_owned()) } else { Self::Email(text.to_owned()) }
    }
}

/// A text that cannot be an identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// Not an e-mail address in visible ASCII.
    #[error("not an e-mail address")]
    Email,
    /// Not a URI in visible ASCII.
    #[error("not a URI")]
    Uri,
}

/// A certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The certificate could not be encoded.
    #[error("the certificate could not be encoded")]
    Encoding(#[from] der::Error),
    /// The identity is unfit for a certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The public key is unfit for a certificate.
    #[error(transparent)]
    PublicKey(#[from] PublicKeyError),
}

/// What a certificate says of the build that asked for it, as Fulcio writes it for GitHub Actions: the last
/// number of the extension under 1.3.6.1.4.1.57264.1, and the text.
pub type BuildClaims = Vec<(u8, String)>;

/// Everything about a leaf that a test may want to have otherwise than the authority issues it.
#[derive(Clone, Debug)]
pub struct LeafProfile {
    /// The subject alternative name.
    pub identity: Identity,
    /// The issuer of the identity token, for the issuer extensions.
    pub issuer: String,
    /// What is said of the build; nothing for people.
    pub claims: BuildClaims,
    /// Start of validity, in seconds since 1970; also the time of the signed certificate timestamp.
    pub not_before: i64,
    /// End of validity, inclusive, in seconds since 1970.
    pub not_after: i64,
    /// The extended key usages; empty leaves the extension out.
    pub extended_key_usage: Vec<ObjectIdentifier>,
    /// Whether a signed certificate timestamp is embedded.
    pub embed_timestamp: bool,
}

impl LeafProfile {
    /// What Fulcio would issue at the time `now`, in seconds since 1970.
    pub fn new(identity: Identity, issuer: &str, now: i64) -> Self {
        Self {
            identity,
            issuer: issuer.to_owned(),
            claims: Vec::new(),
            not_before: now,
            not_after: now + LEAF_LIFETIME,
            extended_key_usage: vec![x509::CODE_SIGNING],
            embed_timestamp: true,
        }
    }
}

/// The certificates and keys that issue.
#[derive(Debug)]
pub(super) struct CertificateAuthority {
    pub(super) root_key: SigningKey,
    pub(super) intermediate_key: SigningKey,
    pub(super) timestamp_log_key: SigningKey,
    /// DER.
    pub(super) root: Vec<u8>,
    /// DER.
    pub(super) intermediate: Vec<u8>,
    intermediate_name: Name,
}

impl CertificateAuthority {
    /// Puts the authority together from its keys and the certificates that [`Self::certify`] made for them.
    pub(super) fn new(
        root_key: SigningKey,
        intermediate_key: SigningKey,
        timestamp_log_key: SigningKey,
        root: Vec<u8>,
        intermediate: Vec<u8>,
    ) -> der::Result<Self> {
        let intermediate_name = Certificate::from_der(&intermediate)?.tbs_certificate.subject;
        Ok(Self { root_key, intermediate_key, timestamp_log_key, root, intermediate, intermediate_name })
    }

    /// Makes the root and the intermediate certificate, DER, valid from `now`.
    pub(super) fn certify(
        root: &SigningKey,
        intermediate: &SigningKey,
        now: i64,
    ) -> der::Result<[Vec<u8>; 2]> {
        let root_name = Name::from_str("CN=countersign sandbox root,O=countersign sandbox")?;
        let root_certificate = self_signed(&root_name, root, now)?;
        let subject = Subject {
            name: Name::from_str("CN=countersign sandbox intermediate,O=countersign sandbox")?,
            spki: intermediate.spki_der(),
            not_before: now,
            not_after: now + AUTHORITY_LIFETIME,
        };
        let extensions = x509::authority_extensions(
            Some(0),
            &[x509::CODE_SIGNING],
            intermediate.spki_der(),
            Some(root.spki_der()),
        )?;
        let tbs = x509::to_be_signed(subject, &root_name, root.algorithm(), extensions)?;
        Ok([root_certificate, x509::sign(tbs, root)?.to_der()?])
    }

    /// Issues a leaf for the key `spki` (DER SubjectPublicKeyInfo); returns leaf, intermediate and root, each DER.
    pub(super) fn issue(&self, spki: &[u8], profile: &LeafProfile) -> Result<Vec<Vec<u8>>, IssueError> {
        profile.identity.check()?;
        let key = PublicKey::from_spki(spki)?;
        let subject = Subject {
            name: RdnSequence::default(),
            spki: key.spki_der(),
            not_before: profile.not_before,
            not_after: profile.not_after,
        };
        let name = match &profile.identity {
            Identity::Email(text) => GeneralName::Rfc822Name(Ia5String::new(text)?),
            Identity::Uri(text) => GeneralName::UniformResourceIdentifier(Ia5String::new(text)?),
        };
        let mut extensions = vec![x509::digital_signature()?];
        if !profile.extended_key_usage.is_empty() {
            let usages = ExtendedKeyUsage(profile.extended_key_usage.clone());
            extensions.push(x509::extension(false, &usages)?);
        }
        extensions.push(x509::extension(false, &SubjectKeyIdentifier(x509::key_identifier(spki)?))?);
        extensions.push(x509::authority_key_identifier(self.intermediate_key.spki_der())?);
        extensions.push(x509::extension(true, &SubjectAltName(vec![name]))?);
        let issuer = profile.issuer.as_bytes();
        extensions.push(x509::raw_extension(FULCIO_ISSUER_V1, false, issuer.to_vec())?);
        let issuer = Utf8StringRef::new(&profile.issuer)?.to_der()?;
        extensions.push(x509::raw_extension(FULCIO_ISSUER_V2, false, issuer)?);
        for (number, text) in &profile.claims {
            // From 7 on texts are DER; before, they stand there raw.
            let value =
                if *number < 7 { text.as_bytes().to_vec() } else { Utf8StringRef::new(text)?.to_der()? };
            let identifier = FULCIO.push_arc(u32::from(*number)).map_err(der::Error::from)?;
            extensions.push(x509::raw_extension(identifier, false, value)?);
        }

        let algorithm = self.intermediate_key.algorithm();
        let mut tbs = x509::to_be_signed(subject, &self.intermediate_name, algorithm, extensions)?;
        if profile.embed_timestamp {
            let issuer_key_hash = self.intermediate_key.key_id();
            let timestamp =
                embedded_timestamp(&self.timestamp_log_key, profile.not_before, &issuer_key_hash, &tbs)?;
            tbs.extensions.get_or_insert_default().push(timestamp);
        }
        let leaf = x509::sign(tbs, &self.intermediate_key)?.to_der()?;
        Ok(vec![leaf, self.intermediate.clone(), self.root.clone()])
    }
}

/// A self-signed root, DER, valid from `now`.
pub(super) fn self_signed(name: &Name, key: &SigningKey, now: i64) -> der::Result<Vec<u8>> {
    debug_assert_eq!(key.algorithm(), KeyAlgorithm::EcdsaP384, "roots are P-384");
    let subject = Subject {
        name: name.clone(),
        spki: key.spki_der(),
        not_before: now,
        not_after: now + AUTHORITY_LIFETIME,
    };
    let extensions = x509::authority_extensions(None, &[], key.spki_der(), None)?;
    x509::sign(x509::to_be_signed(subject, name, key.algorithm(), extensions)?, key)?.to_der()
}
