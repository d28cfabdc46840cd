//! S/MIME signatures: the certificate's key signed these bytes, and an authority that counts here issued
//! the certificate for such a use.
//!
//! Pure: authorities and `now` are parameters; the web's roots never count. A signature states its time
//! and proves none; every certificate of the chain has to have been valid at that time, as `gpgsm` and git
//! have it.

mod algorithm;
mod authority;
mod intermediates;

use std::{fmt, sync::Arc};

pub use authority::{AuthorityError, CertificateAuthority, MAXIMUM_AUTHORITY_BYTES, addresses};

use super::{Bad, CannotTell, FUTURE_SKEW, Failure, Key, Stated, memo::Memo};
use crate::{
    encoding::{cms::SignedData, sha256, x509::Slices},
    object::Payload,
    signature::{FormatError, smime::Smime},
    sigstore::{timestamp::signing_certificate, trusted_root::Window},
};

/// The most certificates that are tried as parts of a chain.
const MAXIMUM_CERTIFICATES: usize = 16;

/// Certificate authorities by which S/MIME signatures are judged, and certificates that signatures may leave
/// out. Shared freely between threads; chains that have been proven are remembered, up to a fixed number.
#[derive(Default)]
pub struct Authorities {
    list: Vec<CertificateAuthority>,
    known: Vec<Vec<u8>>,
    chains: Memo<Arc<Chain>>,
}

/// A chain that has been proven, up to an authority.
struct Chain {
    /// In which every certificate of it is valid.
    window: Window,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authorities").field("list", &self.list).finish_non_exhaustive()
    }
}

impl Authorities {
    /// These authorities, each judged by itself. A name stands for one, so of several with one name none
    /// counts.
    #[must_use]
    pub fn new(mut list: Vec<CertificateAuthority>) -> Self {
        let names: Vec<String> = list.iter().map(|authority| authority.name().to_owned()).collect();
        list.retain(|authority| names.iter().filter(|name| *name == authority.name()).count() == 1);
        Self { list, ..Self::default() }
    }

    /// With certificates of signers and intermediate authorities (DER) that signatures may leave out. They
    /// are believed nothing that an authority has not signed.
    #[must_use]
    pub fn with_known(self, known: Vec<Vec<u8>>) -> Self {
        Self { known, ..self }
    }

    /// The certificate of the signer of `smime`: among those that came along, or known here.
    ///
    /// # Errors
    /// [`FormatError::Certificate`]: there is more than one.
    pub fn certificate<'a>(&'a self, smime: &Smime<'a>) -> Result<Option<&'a [u8]>, FormatError> {
        if let Some(certificate) = smime.certificate()? {
            return Ok(Some(certificate));
        }
        let of_authorities = self.list.iter().flat_map(CertificateAuthority::others);
        let known = of_authorities.chain(self.known.iter().map(Vec::as_slice));
        let mut named = known
            .filter(|certificate| Slices::parse(certificate).is_ok_and(|slices| smime.names(&slices)))
            .collect::<Vec<_>>();
        named.sort_unstable();
        named.dedup();
        match named.as_slice() {
            [] => Ok(None),
            [certificate] => Ok(Some(certificate)),
            _ => Err(FormatError::Certificate),
        }
    }

    /// Judge a signature over `payload`; `now` in seconds since 1970.
    ///
    /// Wrong bytes come before everything that is said of the certificate, as with gpgsm.
    pub(super) fn judge(
        &self,
        payload: &Payload<'_>,
        cms: &SignedData<'_>,
        now: i64,
    ) -> Result<Stated, Failure> {
        let smime = Smime::of(cms)?;
        let hash = algorithm::digest(&smime.digest_algorithm)?;
        if hash.of_segments(&payload.segments()) != smime.message_digest {
            return Err(Bad::DigestMismatch.into());
        }
        let Some(certificate) = self.certificate(&smime)? else {
            let unreadable = |certificate: &&[u8]| Slices::parse(certificate).is_err();
            let damaged = smime.certificates.iter().any(unreadable);
            return Err(if damaged { FormatError::Der.into() } else { CannotTell::UnknownKey.into() });
        };
        let leaf = Slices::parse(certificate).map_err(FormatError::from)?;
        let key = algorithm::key(&smime.signature_algorithm, hash, leaf.spki)?;
        if !key.verifies(&smime.signed_attributes, smime.signature) {
            return Err(Bad::Signature.into());
        }
        // Which certificate the signature goes with is not signed, but for this: the same key may be certified
        // to somebody else, too.
        if let Some(committed) = smime.signing_certificate {
            let (hash, digest) = signing_certificate(committed).map_err(|_| FormatError::Attribute)?;
            if hash.of(certificate) != digest {
                return Err(FormatError::Certificate.into());
            }
        }
        let time = smime.signing_time.ok_or(CannotTell::NoStatedTime)?;
        if time > now.saturating_add(FUTURE_SKEW) {
            return Err(CannotTell::FutureTime.into());
        }
        authority::check_leaf(&leaf)?;
        let chain = self.chains(certificate, &leaf, &smime.certificates, time)?;
        if time > leaf.not_after {
            return Err(CannotTell::KeyExpired.into());
        }
        let fingerprint = hex::encode_upper(sha256(&[certificate]));
        let mut keys = Vec::new();
        for (authority, _) in &chain {
            let authority = authority.name();
            keys.extend(
                authority::addresses(&leaf)?
                    .into_iter()
                    .map(|subject| Key::X509 { authority: authority.to_owned(), subject }),
            );
            keys.push(Key::X509Certificate {
                authority: authority.to_owned(),
                fingerprint: fingerprint.clone(),
            });
        }
        // One authority that still counts is enough.
        let end = chain.iter().map(|(_, chain)| chain.window.end).max().unwrap_or(i64::MIN);
        let until = (end >= now).then(|| end.saturating_add(1));
        Ok(Stated { keys, signing_key: fingerprint, time: Some(time), key_expired: end < now, until })
    }

    /// The authorities that issued the certificate, each with the chain that was valid at `time`.
    fn chains(
        &self,
        certificate: &[u8],
        leaf: &Slices<'_>,
        others: &[&[u8]],
        time: i64,
    ) -> Result<Vec<(&CertificateAuthority, Arc<Chain>)>, CannotTell> {
        if others.len() > MAXIMUM_CERTIFICATES {
            return Err(CannotTell::Format(FormatError::TooLarge));
        }
        // The certificate's own end has a cause of its own, so the chain is asked for a time before it.
        let time = time.min(leaf.not_after);
        let together = sha256(others);
        let mut failure = CannotTell::UnknownCertificateAuthority;
        let mut chains = Vec::new();
        for (index, authority) in self.list.iter().enumerate() {
            let prove = || {
                let known = self.known.iter().map(Vec::as_slice);
                let window =
                    authority.issued(certificate, leaf, others.iter().copied().chain(known), time)?;
                Ok(Arc::new(Chain { window }))
            };
            let key = sha256(&[&index.to_be_bytes(), &sha256(&[certificate]), &together]);
            let chain = self.chains.get_or_try_insert(key, prove).and_then(|chain| {
                // Another chain may have been valid at another time.
                if chain.window.contains(time) { Ok(chain) } else { prove() }
            });
            match chain {
                Ok(chain) => chains.push((authority, chain)),
                Err(cause) if failure == CannotTell::UnknownCertificateAuthority => failure = cause,
                Err(_) => {}
            }
        }
        if chains.is_empty() { Err(failure) } else { Ok(chains) }
    }
}
