//! The evidence that came with a signature: log entry and timestamps, each checked against one key.
//!
//! Everything that is present must hold. An inclusion proof proves no time; only a signed entry
//! timestamp or a timestamp token does.

use sigstore_types::Sha256Hash;

use super::{Bad, CannotTell, Failure, ProvenEntry, ProvenTimestamp};
use crate::{
    encoding::{sha256, x509::Slices},
    signature::{
        FormatError,
        keyless::{EmbeddedEntry, Keyless},
    },
    sigstore::{
        certificate::ProfileError,
        checkpoint::Checkpoint,
        key::{KeyKind, PublicKey},
        log_entry::{self, BodyVersion, InclusionProof, TransparencyLogEntry},
        timestamp::TimestampToken,
        trusted_root::{Authority, Instance, Log, PathError, Window},
    },
};

/// A log entry that is included, and when, if it says so provably.
pub(super) struct CheckedEntry<'a> {
    pub(super) log: &'a Log,
    pub(super) time: Option<i64>,
    pub(super) proven: ProvenEntry,
    /// Something that nothing covers is not at its one value.
    pub(super) misstated: bool,
}

/// A token that stamps the signature, with the window of its own authority.
pub(super) struct CheckedTimestamp {
    pub(super) time: i64,
    pub(super) authority: String,
    pub(super) window: Window,
}

impl CheckedTimestamp {
    pub(super) fn proven(&self) -> ProvenTimestamp {
        ProvenTimestamp { authority: self.authority.clone(), seconds: self.time }
    }
}

/// What a log signed: a tree.
#[derive(Clone, Copy)]
pub(super) struct CheckedCheckpoint {
    tree_size: u64,
    root_hash: [u8; 32],
}

/// Check every embedded log entry, each of another log; none where none is embedded. `checkpoint` verifies (or
/// remembers) a checkpoint of a log.
pub(super) fn entries<'a>(
    instance: &'a Instance,
    cms: &Keyless<'_>,
    key: KeyKind,
    checkpoint: impl Fn(&Log, &str) -> Result<CheckedCheckpoint, Failure>,
) -> Result<Vec<CheckedEntry<'a>>, Failure> {
    let first = cms.log_entry.iter().map(|entry| match entry {
        EmbeddedEntry::Encoded(bytes) => TransparencyLogEntry::parse(bytes),
        EmbeddedEntry::Prototype(fields) => TransparencyLogEntry::from_prototype(fields),
    });
    let further = cms.further_log_entries.iter().map(|bytes| TransparencyLogEntry::parse(bytes));
    let mut checked = Vec::new();
    for parsed in first.chain(further) {
        let parsed = parsed.map_err(|_| FormatError::LogEntry)?;
        let entry = entry(instance, cms, key, &parsed, &checkpoint)?;
        // A second entry of one log proves nothing that the first does not.
        if checked.iter().any(|other: &CheckedEntry<'_>| other.log.id == entry.log.id) {
            return Err(FormatError::LogEntry.into());
        }
        checked.push(entry);
    }
    Ok(checked)
}

/// Check one embedded log entry.
fn entry<'a>(
    instance: &'a Instance,
    cms: &Keyless<'_>,
    key: KeyKind,
    entry: &TransparencyLogEntry,
    checkpoint: &impl Fn(&Log, &str) -> Result<CheckedCheckpoint, Failure>,
) -> Result<CheckedEntry<'a>, Failure> {
    let version = entry.body_version().map_err(|_| FormatError::LogEntry)?;
    if version == BodyVersion::V002 && key_details(key).is_none() {
        return Err(ProfileError::Key.into());
    }
    let digest = sha256(&[&cms.signed_attributes]);
    let body = |version| {
        let details = match version {
            BodyVersion::V001 => "",
            BodyVersion::V002 => key_details(key)?,
        };
        let body = log_entry::body(version, &digest, cms.signature, cms.certificate, details);
        let stated = &entry.canonicalized_body;
        (stated.is_empty() || *stated == body).then_some(body)
    };
    logged(instance, entry, version, body, checkpoint)
}

/// Check what the log says for `entry`, whose body in each version `body` gives.
pub(super) fn logged<'a>(
    instance: &'a Instance,
    entry: &TransparencyLogEntry,
    version: BodyVersion,
    body: impl Fn(BodyVersion) -> Option<Vec<u8>>,
    checkpoint: impl Fn(&Log, &str) -> Result<CheckedCheckpoint, Failure>,
) -> Result<CheckedEntry<'a>, Failure> {
    let id = entry.log_id.as_ref().ok_or(FormatError::LogEntry)?;
    let log = instance.logs.iter().find(|log| log.id == id.key_id).ok_or(CannotTell::UnknownLog)?;

    let timestamp = entry.signed_entry_timestamp();
    if let Some(timestamp) = timestamp {
        // Rekor v2 has no such thing, so one beside its entries is not its one legal value.
        if version != BodyVersion::V001 {
            return Err(FormatError::LogEntry.into());
        }
        let body = body(version).ok_or(Bad::SignedEntryTimestamp)?;
        let payload =
            log_entry::signed_entry_timestamp_payload(&body, entry.integrated_time, &log.id, entry.log_index);
        if !log.key.verifies(&payload, timestamp) {
            return Err(Bad::SignedEntryTimestamp.into());
        }
    }
    let included = match &entry.inclusion_proof {
        Some(proof) => {
            let envelope = proof.checkpoint.as_ref().ok_or(FormatError::LogEntry)?;
            let tree = checkpoint(log, &envelope.envelope)?;
            // gitsign labels its Rekor v2 entries 0.0.1; without a timestamp either body may be meant.
            let candidates: &[BodyVersion] = match (version, timestamp) {
                (BodyVersion::V001, None) => &[BodyVersion::V001, BodyVersion::V002],
                (BodyVersion::V001, Some(_)) => &[BodyVersion::V001],
                (BodyVersion::V002, _) => &[BodyVersion::V002],
            };
            let included = candidates.iter().copied().find(|candidate| {
                let index_agrees = *candidate == BodyVersion::V001 || entry.log_index == proof.log_index;
                index_agrees && body(*candidate).is_some_and(|body| is_included(&body, proof, &tree))
            });
            Some((included.ok_or(Bad::InclusionProof)?, proof.log_index))
        }
        None if timestamp.is_none() => return Err(CannotTell::NoInclusion.into()),
        None => None,
    };

    // Only what is covered is reported, and only that may be stated: without the timestamp there is no
    // time, no index but that in the proof's tree, and no promise but the empty one by which gitsign's
    // Rekor v2 entries are known.
    let (index, misstated) = match (timestamp, included) {
        (None, Some((body, index))) => {
            let is_mislabelled = (version, body) == (BodyVersion::V001, BodyVersion::V002);
            let is_covered = entry.integrated_time == 0
                && entry.log_index == index
                && entry.inclusion_promise.is_some() == is_mislabelled;
            (index, !is_covered)
        }
        _ => (entry.log_index, false),
    };
    Ok(CheckedEntry {
        log,
        misstated,
        time: timestamp.map(|_| entry.integrated_time),
        proven: ProvenEntry {
            log: log.base_url.clone(),
            index,
            signed_entry_timestamp: timestamp.is_some(),
            inclusion_proof: entry.inclusion_proof.is_some(),
            embedded: true,
        },
    })
}

/// The name that protobuf-specs gives to a leaf's key in Rekor v2.
fn key_details(key: KeyKind) -> Option<&'static str> {
    match key {
        KeyKind::P256 => Some("PKIX_ECDSA_P256_SHA_256"),
        KeyKind::Ed25519 => Some("PKIX_ED25519"),
        // Rekor v2 takes these curves with their own hash only, and RSA by size.
        KeyKind::P384 | KeyKind::P521 | KeyKind::Rsa => None,
    }
}

fn is_included(body: &[u8], proof: &InclusionProof, tree: &CheckedCheckpoint) -> bool {
    let hashes: Option<Vec<Sha256Hash>> =
        proof.hashes.iter().map(|hash| hash.as_slice().try_into().ok().map(Sha256Hash::new)).collect();
    let (Some(hashes), Ok(index), Ok(size)) =
        (hashes, u64::try_from(proof.log_index), u64::try_from(proof.tree_size))
    else {
        return false;
    };
    size == tree.tree_size
        && proof.root_hash == tree.root_hash
        && sigstore_merkle::verify_inclusion_proof(
            &sigstore_merkle::hash_leaf(body),
            index,
            size,
            &hashes,
            &Sha256Hash::new(tree.root_hash),
        )
        .is_ok()
}

/// Verify that `log` signed the checkpoint `note`. Lines of witnesses are passed over; every line that
/// claims to be the log's must hold.
pub(super) fn check_checkpoint(log: &Log, note: &str) -> Result<CheckedCheckpoint, Failure> {
    let checkpoint = Checkpoint::parse(note).map_err(|_| FormatError::LogEntry)?;
    let own = || checkpoint.signatures.iter().filter(|line| log.id.starts_with(&line.key_hint));
    if own().next().is_none() {
        return Err(CannotTell::ForeignCheckpoint.into());
    }
    let holds = own().all(|line| {
        line.name == checkpoint.log_name() && log.key.verifies(checkpoint.text.as_bytes(), &line.signature)
    });
    if !holds {
        return Err(Bad::CheckpointSignature.into());
    }
    Ok(CheckedCheckpoint { tree_size: checkpoint.tree_size, root_hash: checkpoint.root_hash })
}

/// Check each timestamp token over the signature value.
pub(super) fn timestamps(instance: &Instance, cms: &Keyless<'_>) -> Result<Vec<CheckedTimestamp>, Failure> {
    cms.timestamp_tokens.iter().map(|token| timestamp(instance, token, cms.signature)).collect()
}

fn timestamp(instance: &Instance, token: &[u8], stamped: &[u8]) -> Result<CheckedTimestamp, Failure> {
    let token = TimestampToken::parse(token).map_err(|_| FormatError::Timestamp)?;
    if token.imprint != token.imprint_hash.of(stamped) {
        return Err(Bad::TimestampImprint.into());
    }
    for authority in &instance.timestamp_authorities {
        let Some((leaf, window)) = timestamp_leaf(authority, &token)? else { continue };
        let slices = Slices::parse(leaf).map_err(|_| FormatError::Timestamp)?;
        let (family, hash) = token.algorithm;
        let key = PublicKey::from_spki(slices.spki, hash).map_err(|_| FormatError::Timestamp)?;
        let (committed_hash, committed) = token.signing_certificate;
        if key.kind().family() != family
            || committed_hash.of(leaf) != committed
            || !key.verifies(&token.signed_attributes, token.signature)
        {
            return Err(Bad::TimestampSignature.into());
        }
        let mut bag = token.certificates.clone();
        bag.sort_unstable();
        let accounted = |certificate: &&[u8]| *certificate == leaf || authority.holds(certificate);
        if !bag.iter().all(accounted) || bag.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(FormatError::Timestamp.into());
        }
        return Ok(CheckedTimestamp { time: token.time, authority: authority.uri.clone(), window });
    }
    Err(CannotTell::UnknownTimestampAuthority.into())
}

/// The certificate that signed `token`, if it is `authority`'s: the pinned one, or one in the token
/// that the authority issued.
fn timestamp_leaf<'a>(
    authority: &'a Authority,
    token: &TimestampToken<'a>,
) -> Result<Option<(&'a [u8], Window)>, Failure> {
    let names = |certificate: &[u8]| {
        Slices::parse(certificate).is_ok_and(|slices| (slices.issuer, slices.serial) == token.signer)
    };
    if let Some(pinned) = authority.pinned_leaf() {
        return Ok(names(pinned).then(|| (pinned, authority.window())));
    }
    for certificate in token.certificates.iter().copied().filter(|certificate| names(certificate)) {
        let slices = Slices::parse(certificate).map_err(|_| FormatError::Timestamp)?;
        match authority.issued(certificate, &slices) {
            Ok(window) => return Ok(Some((certificate, window))),
            Err(PathError::OtherIssuer) => {}
            Err(PathError::Signature | PathError::Constraints) => return Err(Bad::TimestampSignature.into()),
        }
    }
    Ok(None)
}
