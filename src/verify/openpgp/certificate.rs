//! An OpenPGP certificate: its packets, and what its primary key is proven to have said about it.
//!
//! The cryptography is done once a certificate, when it is first needed. What the proven statements
//! come to at a time is decided in `fitness`.

use std::sync::OnceLock;

use pgp::{
    crypto::hash::HashAlgorithm,
    packet::{Signature, SignatureType, SignatureVersion, SubpacketData, UserId},
    types::Tag,
};

use super::key::Key;
use crate::signature::openpgp::is_understood;

/// SHA-1 counts in statements about keys that were made before 2023-02-01 (seconds since 1970): to
/// forge one takes a second preimage, not a collision. In signatures over data it never counts.
const SHA1_ENDS: i64 = 1_675_209_600;

/// A certificate as it was read. Nothing in it is proven but through [`Certificate::proven`].
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) primary: Key,
    pub(super) signatures: Vec<Signature>,
    /// Each user id once.
    pub(super) users: Vec<User>,
    /// Each subkey once.
    pub(super) subkeys: Vec<Subkey>,
    /// Every revocation of the primary key, a user id or a subkey, wherever it stood.
    pub(super) revocations: Vec<Signature>,
    proven: OnceLock<Proven>,
}

/// A user id with the signatures behind it.
#[derive(Debug)]
pub(super) struct User {
    pub(super) packet: UserId,
    pub(super) signatures: Vec<Signature>,
}

/// A subkey with the signatures behind it.
#[derive(Debug)]
pub(super) struct Subkey {
    pub(super) key: Key,
    pub(super) signatures: Vec<Signature>,
}

/// What the primary key has said, with valid signatures.
#[derive(Debug)]
pub(super) struct Proven {
    /// A revocation of the whole key.
    pub(super) revoked: bool,
    /// By signatures directly on the key.
    pub(super) direct: Vec<Statement>,
    pub(super) users: Vec<ProvenUser>,
    /// In the order of the certificate's subkeys.
    pub(super) subkeys: Vec<ProvenSubkey>,
}

#[derive(Debug)]
pub(super) struct ProvenUser {
    pub(super) name: String,
    pub(super) statements: Vec<Statement>,
    /// When the user id was revoked, the last time.
    pub(super) revoked: Option<i64>,
}

#[derive(Debug)]
pub(super) struct ProvenSubkey {
    pub(super) statements: Vec<Statement>,
    pub(super) revoked: bool,
}

/// One valid self-signature.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Seconds since 1970.
    pub(super) created: i64,
    /// When the statement itself ceases to count.
    pub(super) expires: Option<i64>,
    /// How long the key is valid, in seconds from its creation.
    pub(super) lifetime: Option<i64>,
    /// Whether the key may sign data; `None` where nothing is said.
    pub(super) may_sign: Option<bool>,
    /// The user id is the one to show.
    pub(super) is_primary: bool,
    /// The subkey has signed that it belongs to the primary key.
    pub(super) is_mutual: bool,
}

impl Certificate {
    pub(super) fn new(primary: Key) -> Self {
        Self {
            primary,
            signatures: vec![],
            users: vec![],
            subkeys: vec![],
            revocations: vec![],
            proven: OnceLock::new(),
        }
    }

    /// The place of a user id; a second copy of one is the same, so that what revokes it revokes both.
    pub(super) fn user(&mut self, packet: UserId) -> usize {
        let known = self.users.iter().position(|user| user.packet.id() == packet.id());
        known.unwrap_or_else(|| {
            self.users.push(User { packet, signatures: vec![] });
            self.users.len() - 1
        })
    }

    /// The place of a subkey; a second copy of one is the same.
    pub(super) fn subkey(&mut self, key: Key) -> usize {
        let fingerprint = key.fingerprint_text();
        let known = self.subkeys.iter().position(|subkey| subkey.key.fingerprint_text() == fingerprint);
        known.unwrap_or_else(|| {
            self.subkeys.push(Subkey { key, signatures: vec![] });
            self.subkeys.len() - 1
        })
    }

    /// Take in what another copy of the same certificate says besides: a revocation may stand in one alone.
    pub(super) fn merge(&mut self, other: Self) {
        self.signatures.extend(other.signatures);
        self.revocations.extend(other.revocations);
        for User { packet, signatures } in other.users {
            let index = self.user(packet);
            self.users[index].signatures.extend(signatures);
        }
        for Subkey { key, signatures } in other.subkeys {
            let index = self.subkey(key);
            self.subkeys[index].signatures.extend(signatures);
        }
        self.proven = OnceLock::new();
    }

    /// What the primary key has said, checked when first asked for.
    pub(super) fn proven(&self) -> &Proven {
        self.proven.get_or_init(|| self.prove())
    }

    fn prove(&self) -> Proven {
        let primary = &self.primary;
        let of_type = |signature: &&Signature, wanted: SignatureType| signature.typ() == Some(wanted);
        let direct: Vec<&Signature> = (self.signatures.iter())
            .filter(|signature| of_type(signature, SignatureType::Key) && is_acceptable(signature))
            .filter(|signature| signature.verify_key(primary).is_ok())
            .collect();
        let revocations = |wanted: SignatureType| {
            self.revocations.iter().filter(move |signature| signature.typ() == Some(wanted))
        };
        // What cannot be checked at all may be true, and believing it can only refuse more.
        let is_unclear =
            |signature: &Signature| !signature.hash_alg().is_some_and(|hash| primary.takes(hash));
        let users = self.users.iter().map(|user| {
            let verifies = |signature: &&Signature| {
                signature.verify_certification(primary, Tag::UserId, &user.packet).is_ok()
            };
            let valid = user.signatures.iter().filter(|s| s.is_certification() && is_acceptable(s));
            let statements: Vec<&Signature> = valid.filter(verifies).collect();
            let revoked = revocations(SignatureType::CertRevocation).filter(verifies).map(created).max();
            ProvenUser {
                name: String::from_utf8_lossy(user.packet.id()).into_owned(),
                statements: statements.into_iter().map(|signature| statement(signature, false)).collect(),
                revoked,
            }
        });
        let subkeys = self.subkeys.iter().map(|Subkey { key, signatures }| {
            let verifies = |signature: &&Signature| signature.verify_subkey_binding(primary, key).is_ok();
            let bindings = (signatures.iter())
                .filter(|signature| {
                    of_type(signature, SignatureType::SubkeyBinding) && is_acceptable(signature)
                })
                .filter(verifies);
            let statements = bindings.map(|binding| {
                let back = binding.embedded_signature().filter(|back| is_acceptable(back));
                statement(
                    binding,
                    back.is_some_and(|back| back.verify_primary_key_binding(key, primary).is_ok()),
                )
            });
            let revoked = revocations(SignatureType::SubkeyRevocation)
                .any(|signature| is_unclear(signature) || verifies(&signature));
            ProvenSubkey { statements: statements.collect(), revoked }
        });
        Proven {
            revoked: revocations(SignatureType::KeyRevocation).any(|signature| {
                is_unclear(signature)
                    || signature.verify_key(primary).is_ok()
                    || is_by_designated_revoker(signature, &direct)
            }),
            users: users.collect(),
            subkeys: subkeys.collect(),
            direct: direct.iter().map(|signature| statement(signature, false)).collect(),
        }
    }
}

/// Whether a revocation names a key to which the primary key has given the right to revoke (RFC 9580
/// §5.2.3.23). That key need not be known here, so its signature is not checked: it is believed, which
/// can only refuse more.
fn is_by_designated_revoker(revocation: &Signature, direct: &[&Signature]) -> bool {
    let revokers = direct.iter().flat_map(|signature| {
        signature.config().into_iter().flat_map(|config| config.hashed_subpackets()).filter_map(|subpacket| {
            match &subpacket.data {
                SubpacketData::RevocationKey(key) => Some(&key.fingerprint[..]),
                _ => None,
            }
        })
    });
    let issuers = revocation.issuer_key_id();
    revokers.into_iter().any(|fingerprint| {
        issuers.iter().any(|id| fingerprint.ends_with(id.as_ref()))
            || revocation.issuer_fingerprint().iter().any(|issuer| issuer.as_bytes() == fingerprint)
    })
}

/// Whether a signature takes something back.
pub(super) fn is_revocation(signature: &Signature) -> bool {
    matches!(
        signature.typ(),
        Some(SignatureType::KeyRevocation | SignatureType::SubkeyRevocation | SignatureType::CertRevocation)
    )
}

/// Whether a statement about a key is in a form that counts.
fn is_acceptable(signature: &Signature) -> bool {
    let Some(config) = signature.config() else { return false };
    let strong = match config.hash_alg {
        HashAlgorithm::Sha1 => created(signature) < SHA1_ENDS,
        hash => is_strong(hash),
    };
    let times = config
        .hashed_subpackets()
        .filter(|subpacket| matches!(subpacket.data, SubpacketData::SignatureCreationTime(_)))
        .count();
    matches!(config.version(), SignatureVersion::V4 | SignatureVersion::V6)
        && strong
        && times == 1
        && config.hashed_subpackets().chain(config.unhashed_subpackets()).all(is_understood)
}

/// Whether a digest counts in signatures over data.
pub(super) fn is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

fn created(signature: &Signature) -> i64 {
    signature.created().map_or(0, |time| i64::from(time.as_secs()))
}

fn statement(signature: &Signature, is_mutual: bool) -> Statement {
    let created = created(signature);
    let seconds = |duration: pgp::types::Duration| Some(i64::from(duration.as_secs())).filter(|s| *s != 0);
    let flags = signature.config().and_then(|config| {
        config.hashed_subpackets().find_map(|subpacket| match &subpacket.data {
            SubpacketData::KeyFlags(flags) => Some(flags.sign()),
            _ => None,
        })
    });
    Statement {
        created,
        expires: signature.signature_expiration_time().and_then(seconds).map(|seconds| created + seconds),
        lifetime: signature.key_expiration_time().and_then(seconds),
        may_sign: flags,
        is_primary: signature.is_primary(),
        is_mutual,
    }
}
