//! A certificate authority of a policy's own: its roots, and whether they issued a certificate.
//!
//! Paths are built and checked by `rustls-webpki`; what it leaves to others is checked here: when the
//! root itself was valid, and that every authority on the way may sign certificates at all.

use std::{cell::Cell, cmp::Reverse, time::Duration};

use ::der::Decode as _;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime, pem::PemObject as _,
};
use webpki::{
    CertRevocationList, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, OwnedCertRevocationList,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};
use x509_cert::ext::pkix::{KeyUsage, KeyUsages, SubjectAltName, name::GeneralName};

use super::intermediates;
use crate::{
    encoding::{
        der::{self, DerError, ObjectIdentifier, Tag},
        sha256,
        x509::Slices,
    },
    sigstore::{
        certificate::ProfileError,
        trusted_root::{Window, is_authority},
    },
    verify::CannotTell,
};

/// The largest file of an authority's certificates that is read, in bytes.
pub const MAXIMUM_AUTHORITY_BYTES: usize = 16 * 1024 * 1024;
/// The most certificates that such a file may hold.
const MAXIMUM_CERTIFICATES: usize = 256;
/// The most revocation lists that such a file may hold.
const MAXIMUM_REVOCATION_LISTS: usize = 64;
/// The longest address that is read, in bytes (RFC 5321 §4.5.3.1).
const MAXIMUM_ADDRESS_BYTES: usize = 320;

/// id-kp-emailProtection
const EMAIL_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4");
/// anyExtendedKeyUsage
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// A name of the policy's own, and the certificates behind it.
#[derive(Debug)]
pub struct CertificateAuthority {
    name: String,
    digest: [u8; 32],
    roots: Vec<Root>,
    anchors: Vec<TrustAnchor<'static>>,
    others: Vec<Vec<u8>>,
    /// The newest first.
    revocation_lists: Vec<CertRevocationList<'static>>,
}

#[derive(Debug)]
struct Root {
    certificate: Vec<u8>,
    subject: Vec<u8>,
    spki: Vec<u8>,
    window: Window,
}

/// Why bytes are no certificate authority. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A certificate in it cannot be read.
    #[error("a certificate in it is not strict DER of version 3")]
    Certificate,
    /// No certificate in it issued itself, so nothing says what to trust.
    #[error("there is no root certificate in it: none is self-issued and may sign certificates")]
    NoRoot,
    /// The armor is damaged, or there is none.
    #[error("it is not certificates in PEM")]
    Pem,
    /// A private key, which has no business where certificates are.
    #[error("it holds a private key; keep the certificates alone")]
    PrivateKey,
    /// A revocation list in it cannot be read.
    #[error("a revocation list in it is not a whole one of version 2")]
    RevocationList,
    /// More than [`MAXIMUM_AUTHORITY_BYTES`], or too many certificates or revocation lists.
    #[error(
        "it is larger than {MAXIMUM_AUTHORITY_BYTES} bytes, or holds more than {MAXIMUM_CERTIFICATES} certificates or {MAXIMUM_REVOCATION_LISTS} revocation lists"
    )]
    TooLarge,
}

impl CertificateAuthority {
    /// The authority called `name` from the PEM text of its certificates. The self-issued ones among them
    /// are its roots, and trusted; the others are only known, as intermediate authorities or as signers
    /// whose signatures leave their certificate out.
    /// Revocation lists among them count for all times; what no list speaks of is not revoked.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn from_pem(name: &str, pem: &[u8]) -> Result<Self, AuthorityError> {
        if pem.len() > MAXIMUM_AUTHORITY_BYTES {
            return Err(AuthorityError::TooLarge);
        }
        let text = std::str::from_utf8(pem).map_err(|_| AuthorityError::Pem)?;
        if text.contains("PRIVATE KEY-----") {
            return Err(AuthorityError::PrivateKey);
        }
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificates.push(certificate.map_err(|_| AuthorityError::Pem)?.to_vec());
            if certificates.len() > MAXIMUM_CERTIFICATES {
                return Err(AuthorityError::TooLarge);
            }
        }
        let mut lists = Vec::new();
        for list in CertificateRevocationListDer::pem_slice_iter(pem) {
            lists.push(revocation_list(&list.map_err(|_| AuthorityError::Pem)?)?);
            if lists.len() > MAXIMUM_REVOCATION_LISTS {
                return Err(AuthorityError::TooLarge);
            }
        }
        let blocks = text.matches("-----BEGIN ").count();
        if certificates.is_empty() || blocks != certificates.len() + lists.len() {
            return Err(AuthorityError::Pem);
        }
        // The first that speaks for an authority is the one that is asked.
        lists.sort_by_key(|(made, _)| Reverse(*made));
        let mut authority = Self::from_certificates(name, certificates, |_| true)?;
        authority.digest = sha256(&[pem]);
        authority.revocation_lists = lists.into_iter().map(|(_, list)| list).collect();
        Ok(authority)
    }

    /// The authority called `name` from certificates (DER), of which those are its roots that are
    /// self-issued and for which `is_trusted` holds.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn from_certificates(
        name: &str,
        certificates: Vec<Vec<u8>>,
        is_trusted: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, AuthorityError> {
        let parts: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
        let digest = sha256(&parts);
        let mut authority = Self {
            name: name.to_owned(),
            digest,
            roots: vec![],
            anchors: vec![],
            others: vec![],
            revocation_lists: vec![],
        };
        for certificate in certificates {
            let slices = Slices::parse(&certificate).map_err(|_| AuthorityError::Certificate)?;
            let is_root = slices.subject == slices.issuer && is_authority(&slices, 0);
            if !is_root || !is_trusted(&certificate) {
                authority.others.push(certificate);
                continue;
            }
            let der = CertificateDer::from(certificate.as_slice());
            let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| AuthorityError::Certificate)?;
            authority.anchors.push(anchor.to_owned());
            authority.roots.push(Root {
                // As a trust anchor has it: without tag and length.
                subject: anchor.subject.to_vec(),
                spki: anchor.subject_public_key_info.to_vec(),
                window: Window { start: slices.not_before, end: slices.not_after },
                certificate: certificate.clone(),
            });
        }
        if authority.roots.is_empty() { Err(AuthorityError::NoRoot) } else { Ok(authority) }
    }

    /// The name under which policies speak of it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the text that it was read from.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The certificates that are known and not trusted by themselves, DER.
    pub(super) fn others(&self) -> impl Iterator<Item = &[u8]> {
        self.others.iter().map(Vec::as_slice)
    }

    /// Check that `certificate` was issued by this authority, over `others` and its own intermediates if
    /// need be, and that all of them were valid at `time`. The span in which they are is the answer.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn issued<'a>(
        &'a self,
        certificate: &[u8],
        leaf: &Slices<'_>,
        others: impl Iterator<Item = &'a [u8]>,
        time: i64,
    ) -> Result<Window, CannotTell> {
        let der = CertificateDer::from(certificate);
        let end_entity = webpki::EndEntityCert::try_from(&der).map_err(|_| CannotTell::CertificatePath)?;
        let candidates = others
            .chain(self.others())
            .filter(|other| *other != certificate)
            .filter_map(|other| Some((other, Slices::parse(other).ok()?)))
            .filter(|(_, slices)| is_authority(slices, 0))
            .collect();
        let roots: Vec<Slices<'_>> =
            self.roots.iter().filter_map(|root| Slices::parse(&root.certificate).ok()).collect();
        let signed = intermediates::signed(leaf, candidates, &roots);
        let intermediates: Vec<CertificateDer<'_>> =
            signed.certificates.into_iter().map(CertificateDer::from).collect();
        let leaf_window = Window { start: leaf.not_before, end: leaf.not_after };
        let found = Cell::new(None);
        let check = |path: &VerifiedPath<'_>| {
            let window = self.window(path)?.intersect(leaf_window);
            if !window.contains(time) {
                return Err(webpki::Error::InvalidCertValidity);
            }
            found.set(Some(window));
            Ok(())
        };
        let seconds = u64::try_from(time).map_err(|_| CannotTell::CertificateChainWindow)?;
        let lists: Vec<&CertRevocationList<'_>> = self.revocation_lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok();
        let revocation =
            revocation.map(|options| options.with_status_policy(UnknownStatusPolicy::Allow).build());
        let verified = end_entity.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.anchors,
            &intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            ForMail,
            revocation,
            Some(&check),
        );
        match verified {
            Ok(_) => found.get().ok_or(CannotTell::CertificatePath),
            Err(error) => match cause(&error) {
                CannotTell::UnknownCertificateAuthority if signed.is_any_weak => {
                    Err(CannotTell::WeakAlgorithm)
                }
                cause => Err(cause),
            },
        }
    }

    /// In which the authorities of `path` are all valid.
    fn window(&self, path: &VerifiedPath<'_>) -> Result<Window, webpki::Error> {
        let anchor = path.anchor();
        let intermediates: Vec<_> =
            path.intermediate_certificates().map(|certificate| certificate.der()).collect();
        let intermediates = intermediates
            .iter()
            .map(|der| Slices::parse(der).ok().filter(|slices| is_authority(slices, 0)))
            .collect::<Option<Vec<_>>>()
            .ok_or(webpki::Error::EndEntityUsedAsCa)?;
        // A trust anchor has lost how many authorities may stand below it (RFC 5280 §4.2.1.9).
        let below = intermediates.iter().filter(|slices| slices.subject != slices.issuer).count();
        let may_stand_above =
            |certificate: &[u8]| Slices::parse(certificate).is_ok_and(|slices| is_authority(&slices, below));
        // A root may have been renewed, with the same name and key: the longest of them counts.
        let roots = self.roots.iter().filter(|root| {
            root.subject == anchor.subject.as_ref()
                && root.spki == anchor.subject_public_key_info.as_ref()
                && may_stand_above(&root.certificate)
        });
        let window = roots
            .map(|root| root.window)
            .reduce(|one, other| Window { start: one.start.min(other.start), end: one.end.max(other.end) })
            .ok_or(webpki::Error::PathLenConstraintViolated)?;
        let own = |slices: &Slices<'_>| Window { start: slices.not_before, end: slices.not_after };
        Ok(intermediates.iter().fold(window, |window, slices| window.intersect(own(slices))))
    }
}

/// A certificate for anything, or for mail among others: one for servers alone does not sign objects.
struct ForMail;

impl ExtendedKeyUsageValidator for ForMail {
    fn validate(&self, identifiers: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut is_empty = true;
        for identifier in identifiers {
            is_empty = false;
            let identifier = identifier?;
            if [EMAIL_PROTECTION.as_bytes(), ANY_EXTENDED_KEY_USAGE.as_bytes()]
                .into_iter()
                .any(|wanted| identifier == KeyPurposeId::new(wanted))
            {
                return Ok(());
            }
        }
        if is_empty { Ok(()) } else { Err(webpki::Error::EmptyEkuExtension) }
    }
}

fn cause(error: &webpki::Error) -> CannotTell {
    use webpki::Error;
    match error {
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => CannotTell::UnknownCertificateAuthority,
        Error::CertRevoked => CannotTell::KeyRevoked,
        Error::EmptyEkuExtension => CannotTell::CertificateUsage,
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } | Error::InvalidCertValidity => {
            CannotTell::CertificateChainWindow
        }
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => CannotTell::WeakAlgorithm,
        _ => CannotTell::CertificatePath,
    }
}

/// A revocation list, and when it was made.
fn revocation_list(der: &[u8]) -> Result<(i64, CertRevocationList<'static>), AuthorityError> {
    let made = || -> Result<i64, DerError> {
        // RFC 5280 §5.1: version, algorithm, issuer, thisUpdate.
        let mut list = der::only(der, Tag::Sequence)?.walk().expect(Tag::Sequence)?.walk();
        list.accept(Tag::Integer)?;
        list.expect(Tag::Sequence)?;
        list.expect(Tag::Sequence)?;
        der::time(&list.any()?)
    };
    let made = made().map_err(|_| AuthorityError::RevocationList)?;
    let list = OwnedCertRevocationList::from_der(der).map_err(|_| AuthorityError::RevocationList)?;
    Ok((made, list.into()))
}

/// Whether the certificate is for signatures: its key usage, where there is one, has to allow them.
pub(super) fn check_leaf(leaf: &Slices<'_>) -> Result<(), CannotTell> {
    let Some(usage) = leaf.extension(&KEY_USAGE) else { return Ok(()) };
    let usage = KeyUsage::from_der(usage.value).map_err(|_| ProfileError::Der)?;
    if usage.0.contains(KeyUsages::DigitalSignature) || usage.0.contains(KeyUsages::NonRepudiation) {
        Ok(())
    } else {
        Err(CannotTell::CertificateUsage)
    }
}

/// The e-mail addresses among the certificate's alternative names (`rfc822Name`), exactly as certified.
///
/// # Errors
/// They cannot be read.
pub fn addresses(leaf: &Slices<'_>) -> Result<Vec<String>, CannotTell> {
    let Some(extension) = leaf.extension(&SUBJECT_ALT_NAME) else { return Ok(Vec::new()) };
    let names = SubjectAltName::from_der(extension.value).map_err(|_| ProfileError::Der)?;
    let mut addresses = Vec::new();
    for name in names.0 {
        let GeneralName::Rfc822Name(address) = name else { continue };
        let address = address.as_str();
        if address.is_empty()
            || address.len() > MAXIMUM_ADDRESS_BYTES
            || address.chars().any(|character| !character.is_ascii_graphic())
        {
            return Err(ProfileError::Name.into());
        }
        addresses.push(address.to_owned());
    }
    Ok(addresses)
}
