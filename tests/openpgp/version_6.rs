//! Version 6 of keys and signatures (RFC 9580), and certificates that no honest program makes; rPGP is
//! the signer here.

use countersign::{
    object::Payload,
    verify::{Bad, CannotTell, Verdict, Verifier, openpgp::KeyRing},
};
use pgp::{
    composed::{ArmorOptions, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedSecretKey},
    crypto::ecc_curve::ECCCurve,
    packet::{
        PacketTrait as _, PubKeyInner, PublicSubkey, Signature, SignatureConfig, SignatureType, Subpacket,
        SubpacketData,
    },
    ser::Serialize as _,
    types::{KeyDetails, KeyVersion, Password, Timestamp},
};
use rand::rngs::OsRng;

use crate::support::{PAYLOAD, now};

/// RFC 9580 appendix A.3.
const SAMPLE: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----

xioGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laPCsQYf
GwoAAABCBYJjh3/jAwsJBwUVCg4IDAIWAAKbAwIeCSIhBssYbE8GCaaX5NUt+mxy
KwwfHifBilZwj2Ul7Ce62azJBScJAgcCAAAAAK0oIBA+LX0ifsDm185Ecds2v8lw
gyU2kCcUmKfvBXbAf6rhRYWzuQOwEn7E/aLwIwRaLsdry0+VcallHhSu4RN6HWaE
QsiPlR4zxP/TP7mhfVEe7XWPxtnMUMtf15OyA51YBM4qBmOHf+MZAAAAIIaTJINn
+eUBXbki+PSAld2nhJh/LVmFsS+60WyvXkQ1wpsGGBsKAAAALAWCY4d/4wKbDCIh
BssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce62azJAAAAAAQBIKbpGG2dWTX8
j+VjFM21J0hqWlEg+bdiojWnKfA5AQpWUWtnNwDEM0g12vYxoWM8Y81W+bHBw805
I8kWVkXU6vFOi+HWvv/ira7ofJu16NnoUkhclkUrk0mXubZvyl4GBg==
-----END PGP PUBLIC KEY BLOCK-----
";

#[test]
fn the_sample_certificate_of_the_standard_is_read() {
    let ring = KeyRing::from_armored(SAMPLE.as_bytes()).unwrap();
    let fingerprints: Vec<String> = ring.fingerprints().collect();
    assert_eq!(fingerprints, ["CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9"]);
}

fn key(version: KeyVersion, key_type: KeyType, may_sign: bool) -> SignedSecretKey {
    let mut key = SecretKeyParamsBuilder::default();
    key.version(version).key_type(key_type).can_certify(true).can_sign(may_sign);
    key.primary_user_id("A <a@example.org>".to_owned());
    key.build().unwrap().generate(OsRng).unwrap()
}

/// What every signature says of its time and its key.
fn said(key: &impl KeyDetails) -> Vec<Subpacket> {
    vec![
        Subpacket::critical(SubpacketData::SignatureCreationTime(Timestamp::now())).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ]
}

fn sign(key: &SignedSecretKey) -> String {
    let mut config = SignatureConfig::from_key(OsRng, &key.primary_key, SignatureType::Binary).unwrap();
    config.hashed_subpackets = said(&key.primary_key);
    let signature = config.sign(&key.primary_key, &Password::empty(), PAYLOAD.as_bytes()).unwrap();
    DetachedSignature::new(signature).to_armored_string(ArmorOptions::default()).unwrap()
}

fn judge(certificate: &[u8], payload: &str, armor: &str) -> Verdict {
    let verifier = Verifier::new(vec![]).with_openpgp(KeyRing::from_binary(certificate).unwrap());
    verifier.verify(&Payload::whole(payload.as_bytes()), armor.as_bytes(), now())
}

#[test]
fn keys_of_version_6_sign() {
    for (name, key_type) in [
        ("Ed25519", KeyType::Ed25519),
        ("Ed448", KeyType::Ed448),
        ("P-256", KeyType::ECDSA(ECCCurve::P256)),
        ("P-521", KeyType::ECDSA(ECCCurve::P521)),
    ] {
        let key = key(KeyVersion::V6, key_type, true);
        let certificate = key.to_public_key().to_bytes().unwrap();
        let armor = sign(&key);
        match judge(&certificate, PAYLOAD, &armor) {
            Verdict::Stated(stated) => {
                assert_eq!(stated.signing_key().len(), 64, "{name}");
                assert_eq!(stated.signing_key(), hex::encode_upper(key.fingerprint().as_bytes()), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        let other = PAYLOAD.replace("message", "massage");
        assert_eq!(judge(&certificate, &other, &armor), Verdict::Bad(Bad::Signature), "{name}");
    }
}

#[test]
fn a_key_of_version_6_that_may_not_sign_does_not() {
    let key = key(KeyVersion::V6, KeyType::Ed25519, false);
    let certificate = key.to_public_key().to_bytes().unwrap();
    assert_eq!(judge(&certificate, PAYLOAD, &sign(&key)), Verdict::CannotTell(CannotTell::KeyUnfit));
}

/// The certificate of `thief` with the victim's key as its subkey.
fn adopted(thief: &SignedSecretKey, victim: &SignedSecretKey, back: Option<Signature>) -> Vec<u8> {
    let own = victim.primary_key.public_key();
    let inner =
        PubKeyInner::new(own.version(), own.algorithm(), own.created_at(), None, own.public_params().clone());
    let subkey = PublicSubkey::from_inner(inner.unwrap()).unwrap();
    let mut config =
        SignatureConfig::from_key(OsRng, &thief.primary_key, SignatureType::SubkeyBinding).unwrap();
    config.hashed_subpackets = said(&thief.primary_key);
    let mut flags = pgp::packet::KeyFlags::default();
    flags.set_sign(true);
    config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
    if let Some(back) = back {
        let embedded = SubpacketData::EmbeddedSignature(Box::new(back));
        config.hashed_subpackets.push(Subpacket::regular(embedded).unwrap());
    }
    let primary = thief.primary_key.public_key();
    let binding =
        config.sign_subkey_binding(&thief.primary_key, primary, &Password::empty(), &subkey).unwrap();
    let mut bytes = thief.to_public_key().to_bytes().unwrap();
    subkey.to_writer_with_header(&mut bytes).unwrap();
    binding.to_writer_with_header(&mut bytes).unwrap();
    bytes
}

#[test]
fn nobody_takes_over_a_key_that_has_not_agreed() {
    let (thief, victim) = (
        key(KeyVersion::V4, KeyType::Ed25519Legacy, true),
        key(KeyVersion::V4, KeyType::Ed25519Legacy, true),
    );
    let armor = sign(&victim);
    let unfit = Verdict::CannotTell(CannotTell::KeyUnfit);
    assert_eq!(judge(&adopted(&thief, &victim, None), PAYLOAD, &armor), unfit, "no back-signature");

    let back = |signer: &SignedSecretKey| {
        let mut config =
            SignatureConfig::from_key(OsRng, &signer.primary_key, SignatureType::KeyBinding).unwrap();
        config.hashed_subpackets = said(&signer.primary_key);
        let (own, other) = (signer.primary_key.public_key(), thief.primary_key.public_key());
        config.sign_primary_key_binding(&signer.primary_key, own, &Password::empty(), other).unwrap()
    };
    assert_eq!(judge(&adopted(&thief, &victim, Some(back(&thief))), PAYLOAD, &armor), unfit, "by the thief");
    match judge(&adopted(&thief, &victim, Some(back(&victim))), PAYLOAD, &armor) {
        Verdict::Stated(stated) => {
            assert_eq!(stated.signing_key(), hex::encode_upper(victim.fingerprint().as_bytes()));
            let primary = hex::encode_upper(thief.fingerprint().as_bytes());
            assert_eq!(stated.keys()[0].to_string(), format!("OpenPGP {primary}"));
        }
        other => panic!("with the owner's consent: {other:?}"),
    }

    // The two rings together: the victim's own certificate still answers for the key.
    let mut ring = adopted(&thief, &victim, None);
    ring.extend(victim.to_public_key().to_bytes().unwrap());
    assert!(matches!(judge(&ring, PAYLOAD, &armor), Verdict::Stated(_)));
}

#[test]
fn a_certificate_without_its_own_signatures_counts_for_nothing() {
    let key = key(KeyVersion::V4, KeyType::Ed25519Legacy, true);
    let mut bare = Vec::new();
    key.primary_key.public_key().to_writer_with_header(&mut bare).unwrap();
    assert_eq!(judge(&bare, PAYLOAD, &sign(&key)), Verdict::CannotTell(CannotTell::KeyUnfit));
}
