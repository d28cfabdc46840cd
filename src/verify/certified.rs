//! What a certificate of Sigstore's says of a signature, whatever else is proven of it.

use std::sync::Arc;

use super::{CheckedCertificate, Identity};
use crate::sigstore::{claims::Claims, trusted_root::Instance};

/// The signer by a certificate that was checked, and by which trusted root. Only the `verify` room can make
/// one; it says nothing of when the signature was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    pub(super) identity: Identity,
    pub(super) claims: Arc<Claims>,
    pub(super) certificate_digest: [u8; 32],
    pub(super) certificate: Arc<[u8]>,
    pub(super) root_digest: [u8; 32],
}

impl Certified {
    pub(super) fn new(instance: &Instance, certificate: &CheckedCertificate) -> Self {
        Self {
            identity: certificate.identity.clone(),
            claims: Arc::clone(&certificate.claims),
            certificate_digest: certificate.digest,
            certificate: Arc::clone(&certificate.der),
            root_digest: *instance.digest(),
        }
    }

    /// Who signed.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What the certificate says of the build that asked for it; empty for people.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// SHA-256 of the signing certificate's DER encoding.
    #[must_use]
    pub fn certificate_digest(&self) -> &[u8; 32] {
        &self.certificate_digest
    }

    /// The signing certificate, DER; empty in a verdict that was remembered.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// SHA-256 of the trusted root (its JSON bytes) under which everything was judged.
    #[must_use]
    pub fn root_digest(&self) -> &[u8; 32] {
        &self.root_digest
    }
}
