//! OpenPGP signatures: which known key made one, and whether it may have.
//!
//! Pure: the key ring and `now` are parameters. A signature states its time and proves none.

mod certificate;
mod fitness;
mod key;

use std::{collections::HashMap, io::Read as _};

use pgp::{
    armor::Dearmor,
    packet::{PacketHeader, PublicKey, PublicSubkey, Signature, UserId},
    types::{PacketLength, Tag},
};

use super::{Bad, CannotTell, FUTURE_SKEW, Failure, Key as SignerKey, Stated};
use crate::{
    object::Payload,
    signature::{
        FormatError,
        openpgp::{Detached, Issuer},
    },
};
use certificate::{Certificate, Subkey, is_revocation, is_strong};
use key::Key;

/// The largest key ring that is read, in bytes.
pub const MAXIMUM_RING_BYTES: usize = 32 * 1024 * 1024;

/// OpenPGP certificates, found by key id and fingerprint. Shared freely between threads; what a
/// certificate's own signatures prove is checked once, when it is first needed.
#[derive(Debug, Default)]
pub struct KeyRing {
    certificates: Vec<Certificate>,
    /// By key id: the certificate, and which of its subkeys; the primary key is `None`.
    keys: HashMap<[u8; 8], Vec<(usize, Option<usize>)>>,
}

/// Why bytes are no key ring. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The armor is damaged.
    #[error("the armor is malformed")]
    Armor,
    /// There is no certificate that can be used.
    #[error("there is no OpenPGP certificate of version 4 or 6 in it")]
    Empty,
    /// The packets do not end where they say, or stand where none belongs.
    #[error("it is not a sequence of OpenPGP packets")]
    Packets,
    /// A secret key, which has no business where certificates are.
    #[error("it holds a secret key; export the public key alone")]
    SecretKey,
    /// More than [`MAXIMUM_RING_BYTES`].
    #[error("it is larger than {MAXIMUM_RING_BYTES} bytes")]
    TooLarge,
}

/// What is known of a key by which a signature says it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The user id to show; the fingerprint where there is none.
    pub user_id: String,
    /// Fingerprint of the key or subkey, upper-case hexadecimal.
    pub fingerprint: String,
    /// Fingerprint of the primary key, upper-case hexadecimal.
    pub primary_fingerprint: String,
}

impl KeyRing {
    /// Certificates as `gpg --export` writes them.
    ///
    /// # Errors
    /// [`KeyRingError`]; a key or signature inside that is of an unknown kind is only left out.
    pub fn from_binary(bytes: &[u8]) -> Result<Self, KeyRingError> {
        if bytes.len() > MAXIMUM_RING_BYTES {
            return Err(KeyRingError::TooLarge);
        }
        let mut ring = Self::default();
        for certificate in certificates(bytes)? {
            ring.insert(certificate);
        }
        if ring.certificates.is_empty() { Err(KeyRingError::Empty) } else { Ok(ring) }
    }

    /// Certificates as `gpg --armor --export` writes them: one or more blocks, with nothing but white
    /// space between them. Bytes that begin like no text are read as binary.
    ///
    /// # Errors
    /// [`KeyRingError`].
    pub fn from_armored(bytes: &[u8]) -> Result<Self, KeyRingError> {
        const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
        const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
        if bytes.len() > MAXIMUM_RING_BYTES {
            return Err(KeyRingError::TooLarge);
        }
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            return Self::from_binary(bytes);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| KeyRingError::Armor)?;
        if text.contains("-----BEGIN PGP PRIVATE KEY BLOCK-----") {
            return Err(KeyRingError::SecretKey);
        }
        let mut ring = Self::default();
        let mut blocks = text.split(BEGIN);
        if blocks.next().is_none_or(|before| !before.trim().is_empty()) {
            return Err(KeyRingError::Armor);
        }
        for block in blocks {
            // A reader of armor stops at its end, and what it passes over may be a revocation.
            if block.split_once(END).is_none_or(|(_, behind)| !behind.trim().is_empty()) {
                return Err(KeyRingError::Armor);
            }
            let mut binary = Vec::new();
            let block = format!("{BEGIN}{block}");
            let read = Dearmor::new(block.as_bytes()).read_to_end(&mut binary);
            read.map_err(|_| KeyRingError::Armor)?;
            ring.extend(Self::from_binary(&binary)?);
        }
        if ring.certificates.is_empty() { Err(KeyRingError::Empty) } else { Ok(ring) }
    }

    /// Take in another ring's certificates. Copies of one certificate become one that says all that they say.
    pub fn extend(&mut self, other: Self) {
        for certificate in other.certificates {
            self.insert(certificate);
        }
    }

    /// The fingerprints of the primary keys, upper-case hexadecimal.
    pub fn fingerprints(&self) -> impl Iterator<Item = String> {
        self.certificates.iter().map(|certificate| certificate.primary.fingerprint_text())
    }

    /// The user ids in the certificate with this primary fingerprint, proven or not.
    #[must_use]
    pub fn user_ids(&self, fingerprint: &str) -> Vec<String> {
        let named = |certificate: &&Certificate| certificate.primary.fingerprint_text() == fingerprint;
        let users = self.certificates.iter().filter(named).flat_map(|certificate| &certificate.users);
        users.map(|user| String::from_utf8_lossy(user.packet.id()).into_owned()).collect()
    }

    /// What is known of the key that `issuer` names, whether or not it may sign. Several certificates may
    /// hold that key, and anybody may put somebody else's into his own: where a signature was found good,
    /// `primary` (upper-case hexadecimal) says by which certificate.
    #[must_use]
    pub fn known(&self, issuer: &Issuer<'_>, primary: Option<&str>, now: i64) -> Option<KnownKey> {
        let is_meant = |(certificate, ..): &(&Certificate, Option<usize>, &Key)| {
            primary.is_none_or(|primary| certificate.primary.fingerprint_text() == primary)
        };
        let (certificate, _, key) = self.candidates(issuer).find(is_meant)?;
        let primary_fingerprint = certificate.primary.fingerprint_text();
        Some(KnownKey {
            user_id: certificate.user_id(now).unwrap_or(&primary_fingerprint).to_owned(),
            fingerprint: key.fingerprint_text(),
            primary_fingerprint,
        })
    }

    fn insert(&mut self, certificate: Certificate) {
        let index = match self.find(&certificate) {
            Some(index) => {
                self.certificates[index].merge(certificate);
                index
            }
            None => {
                self.certificates.push(certificate);
                self.certificates.len() - 1
            }
        };
        let certificate = &self.certificates[index];
        let subkeys = certificate.subkeys.iter().enumerate();
        let subkeys = subkeys.map(|(subkey, Subkey { key, .. })| (key.key_id(), Some(subkey)));
        for (key_id, subkey) in std::iter::once((certificate.primary.key_id(), None)).chain(subkeys) {
            let places = self.keys.entry(key_id).or_default();
            if !places.contains(&(index, subkey)) {
                places.push((index, subkey));
            }
        }
    }

    /// The certificate of the same primary key, if it is there.
    fn find(&self, certificate: &Certificate) -> Option<usize> {
        let fingerprint = certificate.primary.fingerprint_text();
        let places = self.keys.get(&certificate.primary.key_id())?;
        let primaries = places.iter().filter(|(_, subkey)| subkey.is_none()).map(|(index, _)| *index);
        primaries
            .into_iter()
            .find(|index| self.certificates[*index].primary.fingerprint_text() == fingerprint)
    }

    /// The keys that `issuer` may mean.
    fn candidates<'a>(
        &'a self,
        issuer: &Issuer<'_>,
    ) -> impl Iterator<Item = (&'a Certificate, Option<usize>, &'a Key)> {
        let fingerprint = issuer.fingerprint.map(hex::encode_upper);
        let places = self.keys.get(&issuer.key_id).into_iter().flatten();
        let keys = places.map(|(index, subkey)| {
            let certificate = &self.certificates[*index];
            let key = subkey.map_or(&certificate.primary, |subkey| &certificate.subkeys[subkey].key);
            (certificate, *subkey, key)
        });
        keys.filter(move |(_, _, key)| {
            fingerprint.as_ref().is_none_or(|wanted| key.fingerprint_text() == *wanted)
        })
    }

    /// Judge an armored signature over `payload`; `now` in seconds since 1970.
    ///
    /// Wrong bytes come before everything that is said of the key, as with gpg.
    pub(super) fn judge(&self, payload: &Payload<'_>, armor: &[u8], now: i64) -> Result<Stated, Failure> {
        let signature = Detached::parse(armor)?;
        let mut failure = None;
        for (certificate, subkey, key) in self.candidates(&signature.issuer()) {
            match judge_by(certificate, subkey, key, &signature, payload, now) {
                Ok(stated) => return Ok(stated),
                Err(other) => {
                    failure.get_or_insert(other);
                }
            }
        }
        Err(failure.unwrap_or(CannotTell::UnknownKey.into()))
    }
}

fn judge_by(
    certificate: &Certificate,
    subkey: Option<usize>,
    key: &Key,
    signature: &Detached,
    payload: &Payload<'_>,
    now: i64,
) -> Result<Stated, Failure> {
    let packet = signature.packet();
    let hash = packet.hash_alg().ok_or(FormatError::Version)?;
    if signature.version() == 3 {
        return Err(FormatError::Version.into());
    }
    if !is_strong(hash) || !key.is_strong() || !certificate.primary.is_strong() || !key.takes(hash) {
        return Err(CannotTell::WeakAlgorithm.into());
    }
    let [first, second] = payload.segments();
    packet.verify(key, first.chain(second)).map_err(|_| Bad::Signature)?;
    if signature.created() > now.saturating_add(FUTURE_SKEW) {
        return Err(CannotTell::FutureTime.into());
    }
    let fit = certificate.fitness(subkey, signature.created(), now)?;
    if signature.expires().is_some_and(|expires| expires <= now) {
        return Err(CannotTell::SignatureExpired.into());
    }
    Ok(Stated {
        keys: vec![SignerKey::OpenPgp { fingerprint: certificate.primary.fingerprint_text() }],
        signing_key: key.fingerprint_text(),
        time: Some(signature.created()),
        key_expired: fit.expired_since,
        until: certificate
            .changes_after(now)
            .into_iter()
            .chain(signature.expires())
            .chain(fit.expires)
            .filter(|moment| *moment > now)
            .min(),
    })
}

/// The certificates in a sequence of packets (RFC 9580 §10.1). What belongs to a primary key of an
/// unknown kind is left out with it.
fn certificates(mut bytes: &[u8]) -> Result<Vec<Certificate>, KeyRingError> {
    /// What the signatures to come are about.
    enum Subject {
        Primary,
        User(usize),
        Subkey(usize),
        Unknown,
    }
    let mut certificates: Vec<Certificate> = Vec::new();
    let mut subject = Subject::Unknown;
    let mut skipping = true;
    while !bytes.is_empty() {
        let header = PacketHeader::try_from_reader(&mut bytes).map_err(|_| KeyRingError::Packets)?;
        let PacketLength::Fixed(length) = header.packet_length() else { return Err(KeyRingError::Packets) };
        let (mut body, rest) = bytes.split_at_checked(length as usize).ok_or(KeyRingError::Packets)?;
        bytes = rest;
        match header.tag() {
            Tag::PublicKey => {
                let key = PublicKey::try_from_reader(header, &mut body).ok().and_then(Key::primary);
                skipping = key.is_none();
                subject = Subject::Primary;
                certificates.extend(key.map(Certificate::new));
            }
            Tag::SecretKey | Tag::SecretSubkey => return Err(KeyRingError::SecretKey),
            _ if skipping => {}
            tag => {
                let Some(certificate) = certificates.last_mut() else { continue };
                match tag {
                    Tag::UserId => {
                        subject = Subject::Unknown;
                        if let Ok(packet) = UserId::try_from_reader(header, &mut body) {
                            subject = Subject::User(certificate.user(packet));
                        }
                    }
                    Tag::PublicSubkey => {
                        subject = Subject::Unknown;
                        let packet = PublicSubkey::try_from_reader(header, &mut body).ok();
                        if let Some(key) = packet.and_then(Key::subkey) {
                            subject = Subject::Subkey(certificate.subkey(key));
                        }
                    }
                    Tag::UserAttribute => subject = Subject::Unknown,
                    Tag::Signature => {
                        let Ok(signature) = Signature::try_from_reader(header, &mut body) else { continue };
                        match subject {
                            // It counts wherever it stands: lists of packets are put together by hand.
                            _ if is_revocation(&signature) => certificate.revocations.push(signature),
                            Subject::Primary => certificate.signatures.push(signature),
                            Subject::User(index) => certificate.users[index].signatures.push(signature),
                            Subject::Subkey(index) => certificate.subkeys[index].signatures.push(signature),
                            Subject::Unknown => {}
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(certificates)
}
