//! Which certificate authorities vouch for servers, and who this is to servers that want to know: from files.
//!
//! The files are read when they are used, so that a certificate that is renewed every hour counts at once.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts};
use zeroize::Zeroizing;

/// The largest file that is read, in bytes: a bundle of every authority that there is fits.
const MAXIMUM_FILE_BYTES: u64 = 4 << 20;

/// Where the certificates and the key are, all PEM. Nothing named: what the system trusts, and nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The authorities that vouch for servers, in the place of the system's.
    pub authorities: Option<PathBuf>,
    /// The certificate, with its chain, that is shown to a server that asks for one; and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why the files are of no use. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// It holds something that is no certificate of an authority.
    #[error("'{0}' holds a certificate that cannot be used: {1}")]
    Certificate(PathBuf, String),
    /// The key is protected by a passphrase, which nobody is asked for in the middle of a connection.
    #[error("the key in '{0}' is protected by a passphrase")]
    Encrypted(PathBuf),
    /// There is no key, or of a kind that is unknown.
    #[error("'{0}' holds no private key that can be used")]
    Key(PathBuf),
    /// The key is another one's.
    #[error("the key in '{key}' is not that of the certificate in '{certificate}'")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// It holds no certificate.
    #[error("there is no certificate in '{0}'")]
    NoCertificate(PathBuf),
    /// The system's words.
    #[error("'{0}' cannot be read: {1}")]
    Read(PathBuf, io::Error),
}

/// What was in the files.
#[derive(Clone, Default)]
pub struct Tls {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Arc<Zeroizing<Vec<u8>>>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authorities, client } = self;
        formatter
            .debug_struct("Tls")
            .field("authorities", &authorities.is_some())
            .field("client", &client.is_some())
            .finish()
    }
}

impl PartialEq for Tls {
    /// Byte for byte; one user's own keys are compared, so how long it takes tells nobody anything.
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities && self.client == other.client
    }
}

impl Tls {
    /// Read `files`, and make sure that a connection can be made with them.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let mut tls = Self::default();
        if let Some(path) = &files.authorities {
            let bytes = read(path)?;
            let mut store = RootCertStore::empty();
            for certificate in certificates(path, &bytes)? {
                store
                    .add(certificate)
                    .map_err(|error| TlsError::Certificate(path.clone(), error.to_string()))?;
            }
            tls.authorities = Some(bytes);
        }
        if let Some((certificate, key)) = &files.client {
            let chain = read(certificate)?;
            let secret = Zeroizing::new(read(key)?);
            let parsed = certificates(certificate, &chain)?;
            let signer = any_supported_type(&private_key(key, &secret)?);
            let signer = signer.map_err(|_| TlsError::Key(key.clone()))?;
            CertifiedKey::new(parsed, signer)
                .keys_match()
                .map_err(|_| TlsError::Mismatch { certificate: certificate.clone(), key: key.clone() })?;
            tls.client = Some((chain, Arc::new(secret)));
        }
        Ok(tls)
    }

    /// The authorities that vouch for servers.
    pub(super) fn roots(&self) -> RootCerts {
        match &self.authorities {
            None => RootCerts::PlatformVerifier,
            Some(bytes) => {
                let certificates = CertificateDer::pem_slice_iter(bytes).filter_map(Result::ok);
                certificates.map(|der| Certificate::from_der(&der).to_owned()).into()
            }
        }
    }

    /// The certificate that is shown, and its key.
    pub(super) fn client(&self) -> Option<ClientCert> {
        let (chain, secret) = self.client.as_ref()?;
        let chain: Vec<Certificate<'static>> = CertificateDer::pem_slice_iter(chain)
            .filter_map(Result::ok)
            .map(|der| Certificate::from_der(&der).to_owned())
            .collect();
        // Both readers take the first key that there is.
        let key = PrivateKey::from_pem(secret).ok()?;
        Some(ClientCert::new_with_certs(&chain, key))
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let parsed = parsed.map_err(|error| TlsError::Certificate(path.to_owned(), error.to_string()))?;
    if parsed.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(parsed) }
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let holds = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::Encrypted(path.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::Key(path.to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error| TlsError::Read(path.to_owned(), error);
    let file = fs::File::open(path).map_err(failed)?;
    // Room for all of it at once: a buffer that grows would leave copies of a key behind.
    let length = file.metadata().map_err(failed)?.len();
    if length > MAXIMUM_FILE_BYTES {
        return Err(failed(io::Error::other(format!("it is larger than {MAXIMUM_FILE_BYTES} bytes"))));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1));
    file.take(MAXIMUM_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
