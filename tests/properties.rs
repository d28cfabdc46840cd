//! Parsers of foreign bytes: whatever they are given, they answer, and only the original is good.

#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "support/forge.rs"]
mod forge;

use std::sync::LazyLock;

use countersign::{
    encoding::{cms::SignedData, x509::Slices},
    object::{Commit, HashKind, Payload, PushCertificate, Tag},
    signature::{armor, keyless::Keyless},
    sigstore::{
        certificate::SigningCertificate, checkpoint::Checkpoint, log_entry::TransparencyLogEntry, sct::Sct,
        timestamp::TimestampToken, trusted_root::Instance,
    },
    verify::{Proven, Verdict, Verifier},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message as _;

/// Real bytes of every kind, and a verifier that finds the signatures good.
struct Real {
    verifier: Verifier,
    signatures: Vec<(Vec<u8>, Proven)>,
    certificates: Vec<Vec<u8>>,
    entries: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
    checkpoint: String,
    root: String,
}

static REAL: LazyLock<Real> = LazyLock::new(|| {
    let world = forge::World::new();
    let root = world.authority.trusted_root_json();
    let verifier = Verifier::new(vec![world.instance()]);
    let mut made =
        [world.stamped(world.signed()), world.stamped(world.logged_v2(world.unlogged(&world.signer())))];
    let signatures = made.iter().map(|signature| {
        let verdict = verifier.verify(&Payload::whole(forge::PAYLOAD), &signature.armor(), forge::START);
        let Verdict::Good(proven) = verdict else { panic!("{verdict:?}") };
        (signature.der(), *proven)
    });
    Real {
        signatures: signatures.collect(),
        certificates: made.iter().map(|signature| signature.certificates[0].clone()).collect(),
        entries: made.iter_mut().map(|signature| signature.entry().encode_to_vec()).collect(),
        tokens: made.iter_mut().map(|signature| signature.signer().tokens[0].clone()).collect(),
        checkpoint: made[0].proof().checkpoint.clone().unwrap().envelope,
        verifier,
        root,
    }
});

/// Everything that reads foreign bytes reads these.
fn read_as_everything(bytes: &[u8]) {
    for hash in [HashKind::Sha1, HashKind::Sha256] {
        let _ = Commit::parse(hash, bytes);
        let _ = Tag::parse(hash, bytes);
        let _ = PushCertificate::parse(hash, bytes);
    }
    let _ = armor::decode(bytes);
    let _ = SignedData::parse(bytes);
    let _ = Keyless::parse(bytes);
    let _ =
        Slices::parse(bytes).map(|slices| slices.tbs_without(&countersign::sigstore::certificate::SCT_LIST));
    let _ = SigningCertificate::parse(bytes);
    let _ = TimestampToken::parse(bytes);
    let _ = TransparencyLogEntry::parse(bytes);
    let _ = Sct::parse_only(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = Checkpoint::parse(&text);
    let _ = Instance::from_json("x", &text);
}

/// One change to a run of bytes.
#[derive(Clone, Debug)]
enum Change {
    Overwrite(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Swap(Index, Index, usize),
    Cut(Index),
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Self::Overwrite(at, byte)),
            2 => (any::<Index>(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            2 => (any::<Index>(), 1..64_usize).prop_map(|(at, length)| Self::Remove(at, length)),
            1 => (any::<Index>(), 1..512_usize).prop_map(|(at, length)| Self::Repeat(at, length)),
            1 => (any::<Index>(), any::<Index>(), 1..64_usize).prop_map(|(a, b, length)| Self::Swap(a, b, length)),
            1 => any::<Index>().prop_map(Self::Cut),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Overwrite(at, byte) => *at.get_mut(bytes) = *byte,
            Self::Insert(at, inserted) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, inserted.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = at.index(bytes.len());
                bytes.drain(at..bytes.len().min(at + length));
            }
            Self::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let repeated = bytes[at..bytes.len().min(at + length)].to_vec();
                bytes.splice(at..at, repeated);
            }
            Self::Swap(one, other, length) => {
                let (one, other) = (one.index(bytes.len()), other.index(bytes.len()));
                for offset in 0..*length {
                    if one.max(other) + offset < bytes.len() {
                        bytes.swap(one + offset, other + offset);
                    }
                }
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

fn cases(number: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(number) }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn arbitrary_bytes_are_answered(bytes in vec(any::<u8>(), 0..400)) {
        read_as_everything(&bytes);
    }

    /// Bytes that look like DER get further.
    #[test]
    fn arbitrary_elements_are_answered(
        tags in vec(prop::sample::select(vec![0x02_u8, 0x03, 0x04, 0x05, 0x06, 0x17, 0x18, 0x30, 0x31, 0xa0, 0xa1, 0xa3]), 1..12),
        value in vec(any::<u8>(), 0..24),
    ) {
        let element = tags.iter().fold(value, |inner, tag| forge::tlv(*tag, &[&inner, &inner[..inner.len() / 3]]));
        read_as_everything(&element);
    }

    #[test]
    fn changed_parts_are_answered(which in any::<Index>(), changes in vec(Change::any(), 1..5)) {
        let real = &*REAL;
        let mut all: Vec<&[u8]> = vec![real.checkpoint.as_bytes(), real.root.as_bytes()];
        for parts in [&real.certificates, &real.entries, &real.tokens] {
            all.extend(parts.iter().map(Vec::as_slice));
        }
        let mut bytes = which.get(&all).to_vec();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        read_as_everything(&bytes);
    }

    #[test]
    fn a_changed_signature_is_good_only_if_it_proves_the_same(
        which in any::<Index>(),
        changes in vec(Change::any(), 1..4),
    ) {
        let (der, good) = which.get(&REAL.signatures);
        let mut changed = der.clone();
        changes.iter().for_each(|change| change.apply(&mut changed));
        let verdict = REAL.verifier.verify(&Payload::whole(forge::PAYLOAD), &armor::encode(&changed), forge::START);
        match verdict {
            Verdict::Good(proven) => {
                prop_assert_eq!(&changed, der);
                prop_assert_eq!(&*proven, good);
            }
            _ => prop_assert_ne!(&changed, der),
        }
    }

    #[test]
    fn a_changed_armor_is_good_only_if_it_is_the_same(
        which in any::<Index>(),
        changes in vec(Change::any(), 1..4),
    ) {
        let (der, _) = which.get(&REAL.signatures);
        let original = armor::encode(der);
        let mut changed = original.clone();
        changes.iter().for_each(|change| change.apply(&mut changed));
        let verdict = REAL.verifier.verify(&Payload::whole(forge::PAYLOAD), &changed, forge::START);
        // Git leaves the last line feed out of headers.
        let same = changed.strip_suffix(b"\n").unwrap_or(&changed) == &original[..original.len() - 1];
        prop_assert_eq!(matches!(verdict, Verdict::Good(_)), same);
    }

    #[test]
    fn what_is_armored_is_read_back(der in vec(any::<u8>(), 1..300)) {
        let armor = armor::encode(&der);
        prop_assert_eq!(armor::decode(&armor).unwrap(), der.clone());
        prop_assert_eq!(armor::decode(&armor[..armor.len() - 1]).unwrap(), der);
    }
}
