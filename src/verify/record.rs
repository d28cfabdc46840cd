//! Good verdicts as bytes, for whoever judges the same objects again and again.
//!
//! A record is believed as it is: it stands for the check that was made when it was written, so it may be read
//! only from where nobody else can have written it, and only for the object, the trust material and the version
//! of this program that it was written for. Certificates are left out of it: a verdict from a record knows their
//! digest alone.

use std::sync::Arc;

use prost::Message;

use super::{Certified, Identity, Key, Proven, ProvenEntry, ProvenTime, ProvenTimestamp, Stated, Verdict};
use crate::sigstore::{certificate::SubjectKind, claims::Claim};

/// Raised whenever a verdict may come out differently, or is written differently.
pub const RECORD_VERSION: &str = concat!("countersign verdict 1, ", env!("CARGO_PKG_VERSION"));

/// On which trust material a verdict rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Material {
    /// The trusted roots of the instances.
    Instances,
    /// The files of OpenPGP certificates and of certificate authorities.
    Files,
    /// None: the signature brings its key along.
    None,
}

#[derive(Clone, PartialEq, Message)]
struct VerdictRecord {
    #[prost(message, optional, tag = "1")]
    good: Option<GoodRecord>,
    #[prost(message, optional, tag = "2")]
    stated: Option<StatedRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct GoodRecord {
    #[prost(string, tag = "1")]
    instance: String,
    #[prost(string, tag = "2")]
    issuer: String,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(string, tag = "4")]
    subject: String,
    #[prost(message, repeated, tag = "5")]
    claims: Vec<NamedText>,
    #[prost(message, repeated, tag = "6")]
    times: Vec<TimeRecord>,
    #[prost(message, repeated, tag = "7")]
    timestamps: Vec<TimestampRecord>,
    #[prost(message, repeated, tag = "8")]
    entries: Vec<EntryRecord>,
    #[prost(bytes = "vec", tag = "9")]
    certificate_digest: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    root_digest: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedText {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    text: String,
}

#[derive(Clone, PartialEq, Message)]
struct TimeRecord {
    #[prost(bool, tag = "1")]
    by_log: bool,
    #[prost(int64, tag = "2")]
    seconds: i64,
}

#[derive(Clone, PartialEq, Message)]
struct TimestampRecord {
    #[prost(string, tag = "1")]
    authority: String,
    #[prost(int64, tag = "2")]
    seconds: i64,
}

#[derive(Clone, PartialEq, Message)]
struct EntryRecord {
    #[prost(string, tag = "1")]
    log: String,
    #[prost(int64, tag = "2")]
    index: i64,
    #[prost(bool, tag = "3")]
    signed_entry_timestamp: bool,
    #[prost(bool, tag = "4")]
    inclusion_proof: bool,
    #[prost(bool, tag = "5")]
    embedded: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StatedRecord {
    #[prost(message, repeated, tag = "1")]
    keys: Vec<KeyRecord>,
    #[prost(string, tag = "2")]
    signing_key: String,
    #[prost(int64, optional, tag = "3")]
    time: Option<i64>,
    #[prost(bool, tag = "4")]
    key_expired: bool,
    #[prost(int64, optional, tag = "5")]
    until: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyRecord {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    first: String,
    #[prost(string, tag = "3")]
    second: String,
}

impl Verdict {
    /// The verdict as bytes, and what it rests on; `None` for one that is not good, or that the next second may
    /// change.
    #[must_use]
    pub fn record(&self) -> Option<(Material, Vec<u8>)> {
        let (material, record) = match self {
            Self::Good(proven) => {
                (Material::Instances, VerdictRecord { good: Some(good(proven)), stated: None })
            }
            Self::Stated(verdict) => {
                let record = VerdictRecord { good: None, stated: Some(stated(verdict)) };
                (material(verdict.keys())?, record)
            }
            Self::NotLogged(_) | Self::TimeNotProven(_) | Self::Bad(_) | Self::CannotTell(_) => return None,
        };
        Some((material, record.encode_to_vec()))
    }

    /// The verdict that [`Self::record`] has written; `None` for anything else.
    #[must_use]
    pub fn from_record(bytes: &[u8]) -> Option<Self> {
        let record = VerdictRecord::decode(bytes).ok()?;
        match (record.good, record.stated) {
            (Some(record), None) => Some(Self::Good(Box::new(proven(record)?))),
            (None, Some(record)) => Some(Self::Stated(Box::new(from_stated(record)?))),
            _ => None,
        }
    }

    /// From which moment on the clock alone may change a good verdict, in seconds since 1970; `None` if it never
    /// does.
    #[must_use]
    pub fn until(&self) -> Option<i64> {
        match self {
            Self::Stated(stated) => stated.until,
            _ => None,
        }
    }
}

/// What a signature by one of `keys` was judged with; `None` where they are of different kinds.
fn material(keys: &[Key]) -> Option<Material> {
    let of = |key: &Key| match key {
        Key::Ssh { .. } | Key::SshCertificate { .. } => Material::None,
        Key::OpenPgp { .. } | Key::X509 { .. } | Key::X509Certificate { .. } => Material::Files,
    };
    let first = of(keys.first()?);
    keys.iter().all(|key| of(key) == first).then_some(first)
}

fn good(proven: &Proven) -> GoodRecord {
    // Every part by its name: one that is added has to be written too.
    let Proven { certified, times, timestamps, entries } = proven;
    let Certified {
        identity: Identity { instance, issuer, kind, subject },
        claims,
        certificate_digest,
        certificate: _,
        root_digest,
    } = certified;
    let claim = |(claim, text): (Claim, &str)| NamedText { name: claim.name().into(), text: text.into() };
    let time = |time: &ProvenTime| match *time {
        ProvenTime::Log(seconds) => TimeRecord { by_log: true, seconds },
        ProvenTime::TimestampAuthority(seconds) => TimeRecord { by_log: false, seconds },
    };
    let timestamp = |ProvenTimestamp { authority, seconds }: &ProvenTimestamp| TimestampRecord {
        authority: authority.clone(),
        seconds: *seconds,
    };
    let entry = |entry: &ProvenEntry| {
        let ProvenEntry { log, index, signed_entry_timestamp, inclusion_proof, embedded } = entry;
        EntryRecord {
            log: log.clone(),
            index: *index,
            signed_entry_timestamp: *signed_entry_timestamp,
            inclusion_proof: *inclusion_proof,
            embedded: *embedded,
        }
    };
    GoodRecord {
        instance: instance.clone(),
        issuer: issuer.clone(),
        kind: kind.name().into(),
        subject: subject.clone(),
        claims: claims.iter().map(claim).collect(),
        times: times.iter().map(time).collect(),
        timestamps: timestamps.iter().map(timestamp).collect(),
        entries: entries.iter().map(entry).collect(),
        certificate_digest: certificate_digest.to_vec(),
        root_digest: root_digest.to_vec(),
    }
}

fn proven(record: GoodRecord) -> Option<Proven> {
    let kinds = [SubjectKind::Email, SubjectKind::Uri, SubjectKind::Username];
    let kind = kinds.into_iter().find(|kind| kind.name() == record.kind)?;
    let claim = |named: &NamedText| Claim::ALL.into_iter().find(|claim| claim.name() == named.name);
    let claims: Option<Vec<(Claim, &str)>> =
        record.claims.iter().map(|named| Some((claim(named)?, named.text.as_str()))).collect();
    let time = |time: &TimeRecord| match time.by_log {
        true => ProvenTime::Log(time.seconds),
        false => ProvenTime::TimestampAuthority(time.seconds),
    };
    let entry = |entry: EntryRecord| ProvenEntry {
        log: entry.log,
        index: entry.index,
        signed_entry_timestamp: entry.signed_entry_timestamp,
        inclusion_proof: entry.inclusion_proof,
        embedded: entry.embedded,
    };
    let timestamp =
        |stamp: TimestampRecord| ProvenTimestamp { authority: stamp.authority, seconds: stamp.seconds };
    let times: Vec<ProvenTime> = record.times.iter().map(time).collect();
    // Nothing is proven without a time and an entry.
    if times.is_empty() || record.entries.is_empty() {
        return None;
    }
    let certified = Certified {
        identity: Identity {
            instance: record.instance,
            issuer: record.issuer,
            kind,
            subject: record.subject,
        },
        claims: Arc::new(claims?.into_iter().collect()),
        certificate_digest: record.certificate_digest.try_into().ok()?,
        certificate: Arc::from([]),
        root_digest: record.root_digest.try_into().ok()?,
    };
    Some(Proven {
        certified,
        times,
        timestamps: record.timestamps.into_iter().map(timestamp).collect(),
        entries: record.entries.into_iter().map(entry).collect(),
    })
}

fn stated(verdict: &Stated) -> StatedRecord {
    let Stated { keys, signing_key, time, key_expired, until } = verdict;
    let key = |key: &Key| match key.clone() {
        Key::OpenPgp { fingerprint } => KeyRecord { kind: 1, first: fingerprint, second: String::new() },
        Key::Ssh { fingerprint } => KeyRecord { kind: 2, first: fingerprint, second: String::new() },
        Key::SshCertificate { authority, principal } => {
            KeyRecord { kind: 3, first: authority, second: principal }
        }
        Key::X509 { authority, subject } => KeyRecord { kind: 4, first: authority, second: subject },
        Key::X509Certificate { authority, fingerprint } => {
            KeyRecord { kind: 5, first: authority, second: fingerprint }
        }
    };
    StatedRecord {
        keys: keys.iter().map(key).collect(),
        signing_key: signing_key.clone(),
        time: *time,
        key_expired: *key_expired,
        until: *until,
    }
}

fn from_stated(record: StatedRecord) -> Option<Stated> {
    let key = |KeyRecord { kind, first, second }: KeyRecord| match kind {
        1 => Some(Key::OpenPgp { fingerprint: first }),
        2 => Some(Key::Ssh { fingerprint: first }),
        3 => Some(Key::SshCertificate { authority: first, principal: second }),
        4 => Some(Key::X509 { authority: first, subject: second }),
        5 => Some(Key::X509Certificate { authority: first, fingerprint: second }),
        _ => None,
    };
    let keys: Vec<Key> = record.keys.into_iter().map(key).collect::<Option<_>>()?;
    if keys.is_empty() {
        return None;
    }
    Some(Stated {
        keys,
        signing_key: record.signing_key,
        time: record.time,
        key_expired: record.key_expired,
        until: record.until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts() -> Vec<Verdict> {
        let text = "x".to_owned();
        let certified = Certified {
            identity: Identity {
                instance: "i".to_owned(),
                issuer: "https://i".to_owned(),
                kind: SubjectKind::Uri,
                subject: "s".to_owned(),
            },
            claims: Arc::new([(Claim::Repository, "r"), (Claim::Trigger, "t")].into_iter().collect()),
            certificate_digest: [1; 32],
            certificate: Arc::from([]),
            root_digest: [2; 32],
        };
        let proven = Proven {
            certified,
            times: vec![ProvenTime::Log(-5), ProvenTime::TimestampAuthority(7)],
            timestamps: vec![ProvenTimestamp { authority: "a".to_owned(), seconds: 7 }],
            entries: vec![ProvenEntry {
                log: "l".to_owned(),
                index: 9,
                signed_entry_timestamp: true,
                inclusion_proof: false,
                embedded: true,
            }],
        };
        let stated = |keys: Vec<Key>| Stated {
            keys,
            signing_key: "k".to_owned(),
            time: Some(3),
            key_expired: true,
            until: Some(4),
        };
        let keys = [
            vec![Key::OpenPgp { fingerprint: text.clone() }],
            vec![Key::Ssh { fingerprint: text.clone() }],
            vec![Key::SshCertificate { authority: text.clone(), principal: "p".to_owned() }],
            vec![
                Key::X509 { authority: text.clone(), subject: "p".to_owned() },
                Key::X509Certificate { authority: text, fingerprint: "f".to_owned() },
            ],
        ];
        let good = Verdict::Good(Box::new(proven));
        std::iter::once(good).chain(keys.map(|keys| Verdict::Stated(Box::new(stated(keys))))).collect()
    }

    #[test]
    fn a_good_verdict_reads_back_and_no_other_is_written() {
        for verdict in verdicts() {
            let (_, bytes) = verdict.record().unwrap();
            assert_eq!(Verdict::from_record(&bytes), Some(verdict));
        }
        assert_eq!(Verdict::Bad(super::super::Bad::Signature).record(), None);
        assert_eq!(Verdict::CannotTell(super::super::CannotTell::NoInclusion).record(), None);
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        assert_eq!(Verdict::from_record(b""), None);
        let both: Vec<u8> = verdicts()[..2].iter().flat_map(|verdict| verdict.record().unwrap().1).collect();
        assert_eq!(Verdict::from_record(&both), None);
        for verdict in verdicts() {
            let (_, bytes) = verdict.record().unwrap();
            for end in 0..bytes.len() {
                assert_ne!(Verdict::from_record(&bytes[..end]), Some(verdict.clone()));
            }
        }
    }

    #[test]
    fn nothing_is_proven_without_a_time_and_an_entry() {
        let Verdict::Good(whole) = &verdicts()[0] else { panic!("it is the first") };
        for (times, entries) in [(vec![], whole.entries.clone()), (whole.times.clone(), vec![])] {
            let verdict = Verdict::Good(Box::new(Proven { times, entries, ..(**whole).clone() }));
            assert_eq!(Verdict::from_record(&verdict.record().unwrap().1), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Verdict::from_record(&bytes);
        }
    }
}
