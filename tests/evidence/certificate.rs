//! The signing certificate: its profile, its issuer and its SCT.

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{ECDSA_P521_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use countersign::{
    sandbox::{KeyAlgorithm, Role, SigningKey},
    signature::FormatError,
    sigstore::{
        certificate::{ProfileError, SubjectKind},
        claims::Claim,
    },
    verify::{Bad, CannotTell, Verdict},
};
use der::Decode as _;
use x509_cert::{Certificate, TbsCertificate};

use crate::{
    bad,
    forge::{
        self, CONTEXT_0, OCTETS, SEQUENCE, START, Signer, World, algorithm, drop_extension, entry_by,
        extension, issue, oid, sct_list, set_extension, tlv,
    },
    format, good, profile, unclear,
};

const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const KEY_USAGE: &str = "2.5.29.15";
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const ISSUER_RAW: &str = "1.3.6.1.4.1.57264.1.1";
const ISSUER: &str = "1.3.6.1.4.1.57264.1.8";
const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

/// What is said to a signature under a certificate that `change` has been at.
fn with(world: &World, change: impl FnOnce(&mut TbsCertificate)) -> Verdict {
    world.judge(&world.signed_by(&world.signer_with(change)))
}

/// GeneralNames: rfc822Name is `[1]`, uniformResourceIdentifier `[6]`.
fn names(names: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &names.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn username(kind: &str, text: &[u8]) -> Vec<u8> {
    tlv(CONTEXT_0, &[&oid(kind), &tlv(CONTEXT_0, &[&tlv(0x0c, &[text])])])
}

#[test]
fn a_certificate_made_by_hand_passes_when_nothing_is_wrong_with_it() {
    let world = World::new();
    good(with(&world, |_| {}));
}

#[test]
fn exactly_one_subject_of_a_known_kind() {
    let world = World::new();
    let subject =
        |value: Vec<u8>| with(&world, |tbs| set_extension(tbs, extension(SUBJECT_ALT_NAME, true, &value)));
    let email = tlv(0x81, &[b"a@example.com"]);
    let uri = tlv(0x86, &[b"https://example.com/workflow"]);
    let proven = good(subject(names(std::slice::from_ref(&uri))));
    assert_eq!(proven.identity().kind, SubjectKind::Uri);
    for (what, value) in [
        ("two of one kind", names(&[email.clone(), email.clone()])),
        ("two of two kinds", names(&[email.clone(), uri])),
        ("none in the list", names(&[])),
        ("a DNS name", names(&[tlv(0x82, &[b"example.com"])])),
        ("another otherName", names(&[username("1.3.6.1.4.1.311.20.2.3", b"a")])),
        (
            "not text",
            names(&[tlv(CONTEXT_0, &[&oid("1.3.6.1.4.1.57264.1.7"), &tlv(CONTEXT_0, &[&[2, 1, 1]])])]),
        ),
        ("trailing bytes", [names(std::slice::from_ref(&email)), vec![0]].concat()),
    ] {
        assert_eq!(subject(value), profile(ProfileError::Subject), "{what}");
    }
    let none = with(&world, |tbs| drop_extension(tbs, SUBJECT_ALT_NAME));
    assert_eq!(none, profile(ProfileError::Subject));
}

#[test]
fn gitsign_565_a_username_is_a_subject() {
    let world = World::new();
    let value = names(&[username("1.3.6.1.4.1.57264.1.7", b"dev!example.com")]);
    let verdict = with(&world, |tbs| set_extension(tbs, extension(SUBJECT_ALT_NAME, true, &value)));
    let proven = good(verdict);
    assert_eq!(proven.identity().kind, SubjectKind::Username);
    assert_eq!(proven.identity().subject, "dev!example.com");
}

#[test]
fn a_name_with_control_characters_is_no_name() {
    let world = World::new();
    for name in [&b"a@b\ngood"[..], b"a@b\x1b[2J", b"a\0@b", b"", &[b'a'; 2049]] {
        let value = names(&[username("1.3.6.1.4.1.57264.1.7", name)]);
        let verdict = with(&world, |tbs| set_extension(tbs, extension(SUBJECT_ALT_NAME, true, &value)));
        assert_eq!(verdict, profile(ProfileError::Name), "{name:?}");
    }
}

#[test]
fn the_issuer_is_there_and_consistent() {
    let world = World::new();
    let utf8 = |text: &str| tlv(0x0c, &[text.as_bytes()]);
    good(with(&world, |tbs| drop_extension(tbs, ISSUER)));
    good(with(&world, |tbs| drop_extension(tbs, ISSUER_RAW)));
    type Change = Box<dyn FnOnce(&mut TbsCertificate)>;
    let changes: [(&str, Change); 4] = [
        (
            "contradicting",
            Box::new(move |tbs| {
                set_extension(tbs, extension(ISSUER, false, &utf8("https://other.example")));
            }),
        ),
        (
            "none",
            Box::new(|tbs| {
                drop_extension(tbs, ISSUER);
                drop_extension(tbs, ISSUER_RAW);
            }),
        ),
        (
            "new form without DER",
            Box::new(|tbs| {
                set_extension(tbs, extension(ISSUER, false, b"https://issuer.example"));
            }),
        ),
        (
            "old form not UTF-8",
            Box::new(|tbs| {
                set_extension(tbs, extension(ISSUER_RAW, false, &[0xff]));
            }),
        ),
    ];
    for (what, change) in changes {
        assert_eq!(with(&world, change), profile(ProfileError::Issuer), "{what}");
    }
}

#[test]
fn an_authority_does_not_sign_commits() {
    let world = World::new();
    let ca = tlv(SEQUENCE, &[&[1, 1, 0xff]]);
    let verdict = with(&world, |tbs| set_extension(tbs, extension(BASIC_CONSTRAINTS, true, &ca)));
    assert_eq!(verdict, profile(ProfileError::Authority));
    let explicit = with(&world, |tbs| {
        set_extension(tbs, extension(BASIC_CONSTRAINTS, true, &tlv(SEQUENCE, &[])));
    });
    good(explicit);

    // The authority's own key and certificate.
    let own = world.authority.signing_key(Role::CertificateIntermediate);
    let key = SigningKey::from_pkcs8(KeyAlgorithm::EcdsaP384, own.pkcs8_der()).unwrap();
    let certificate = world.authority.certificate_chain()[0].to_vec();
    let mut signature = world.unlogged(&Signer { key, certificate });
    // Without an entry it would be no keyless signature at all.
    signature.signer().entry = world.logged_v2(world.unlogged(&world.signer())).signers[0].entry.clone();
    assert_eq!(world.judge(&signature), profile(ProfileError::Authority));
}

#[test]
fn the_key_is_for_code_signing_alone() {
    let world = World::new();
    let usages = |list: &[&str]| {
        let list: Vec<Vec<u8>> = list.iter().map(|usage| oid(usage)).collect();
        let value = tlv(SEQUENCE, &list.iter().map(Vec::as_slice).collect::<Vec<_>>());
        with(&world, |tbs| set_extension(tbs, extension(EXTENDED_KEY_USAGE, false, &value)))
    };
    good(usages(&[CODE_SIGNING]));
    for list in [&[TIME_STAMPING][..], &[CODE_SIGNING, TIME_STAMPING], &["2.5.29.37.0"], &[]] {
        assert_eq!(usages(list), profile(ProfileError::ExtendedKeyUsage), "{list:?}");
    }
    let none = with(&world, |tbs| drop_extension(tbs, EXTENDED_KEY_USAGE));
    assert_eq!(none, profile(ProfileError::ExtendedKeyUsage));
}

#[test]
fn the_key_is_for_digital_signatures() {
    let world = World::new();
    let usage = |bits: &[u8]| with(&world, |tbs| set_extension(tbs, extension(KEY_USAGE, true, bits)));
    good(usage(&[3, 2, 7, 0x80]));
    for bits in [&[3, 2, 5, 0x20][..], &[3, 2, 6, 0x40], &[5, 0]] {
        assert_eq!(usage(bits), profile(ProfileError::KeyUsage), "{bits:?}");
    }
    assert_eq!(with(&world, |tbs| drop_extension(tbs, KEY_USAGE)), profile(ProfileError::KeyUsage));
}

#[test]
fn an_unknown_critical_extension_is_not_passed_over() {
    let world = World::new();
    let unknown = |critical| {
        with(&world, |tbs| set_extension(tbs, extension("1.2.3.4", critical, &tlv(OCTETS, &[b"x"]))))
    };
    good(unknown(false));
    assert_eq!(unknown(true), unclear(CannotTell::CertificatePath));
}

#[test]
fn the_certificate_holds_one_sct() {
    let world = World::new();
    let log = world.authority.signing_key(Role::CertificateTransparencyLog);
    let none = world.signer_by(|_| {}, |_| None);
    assert_eq!(world.judge(&world.signed_by(&none)), profile(ProfileError::Sct));
    let empty = world.signer_by(|_| {}, |_| sct_list(&[]));
    assert_eq!(world.judge(&world.signed_by(&empty)), profile(ProfileError::Sct));
    let two = world.signer_by(|_| {}, |tbs| sct_list(&[world.sct(log, tbs), world.sct(log, tbs)]));
    assert_eq!(world.judge(&world.signed_by(&two)), profile(ProfileError::Sct));
    let later = world.signer_by(
        |_| {},
        |tbs| {
            let mut sct = world.sct(log, tbs);
            sct[0] = 1; // v2
            sct_list(&[sct])
        },
    );
    assert_eq!(world.judge(&world.signed_by(&later)), profile(ProfileError::Sct));
}

#[test]
fn the_sct_is_a_known_logs_over_this_precertificate() {
    let world = World::new();
    let log = world.authority.signing_key(Role::CertificateTransparencyLog);
    let stranger = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let unknown = world.signer_by(|_| {}, |tbs| sct_list(&[world.sct(&stranger, tbs)]));
    assert_eq!(world.judge(&world.signed_by(&unknown)), unclear(CannotTell::UnknownCtLog));

    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 3] = [
        ("signature", |sct| *sct.last_mut().unwrap() ^= 1),
        ("time", |sct| sct[40] ^= 1),
        ("algorithm", |sct| sct[43] = 5),
    ];
    for (what, change) in changes {
        let signer = world.signer_by(
            |_| {},
            |tbs| {
                let mut sct = world.sct(log, tbs);
                change(&mut sct);
                sct_list(&[sct])
            },
        );
        assert_eq!(world.judge(&world.signed_by(&signer)), bad(Bad::SctSignature), "{what}");
    }

    let other = world.signer_by(
        |_| {},
        |tbs| {
            let mut other = tbs.clone();
            set_extension(&mut other, extension(ISSUER_RAW, false, b"https://logged.example"));
            sct_list(&[world.sct(log, &other)])
        },
    );
    assert_eq!(world.judge(&world.signed_by(&other)), bad(Bad::SctSignature), "another precertificate");
}

#[test]
fn an_sct_outside_the_ct_keys_window_does_not_count() {
    let world = World::new();
    let signer = world.signer(); // SCT at START
    world.clock.set(START + 10);
    let signature = world.signed_by(&signer).armor();
    for (start, inside) in [(0, true), (1, false), (10, false)] {
        let instance = world.instance_with(|root| {
            let start = jiff::Timestamp::from_second(START + start).unwrap().to_string();
            root["ctlogs"][0]["publicKey"]["validFor"]["start"] = start.into();
        });
        match inside {
            true => drop(good(forge::judge(vec![instance], &signature))),
            false => {
                assert_eq!(forge::judge(vec![instance], &signature), unclear(CannotTell::CtLogWindow));
            }
        }
    }
}

/// The certificate of a signer of `world`, issued again by `key`.
fn issued_by(world: &World, key: &SigningKey) -> Signer {
    let Signer { key: own, certificate } = world.signer();
    let tbs = Certificate::from_der(&certificate).unwrap().tbs_certificate;
    Signer { key: own, certificate: issue(&tbs, key) }
}

#[test]
fn a_certificate_is_issued_by_the_authority_that_it_names() {
    let world = World::new();
    let stranger = SigningKey::generate(KeyAlgorithm::EcdsaP384).unwrap();
    let forged = world.signed_by(&issued_by(&world, &stranger));
    assert_eq!(world.judge(&forged), bad(Bad::CertificateSignature));
    // The root did not issue it either: leaves are the intermediate's.
    let root = world.authority.signing_key(Role::CertificateRoot);
    let skipped = world.signed_by(&issued_by(&world, root));
    assert_eq!(world.judge(&skipped), bad(Bad::CertificateSignature));
    let unknown = World::new();
    assert_eq!(world.judge(&world.signed_by(&unknown.signer())), unclear(CannotTell::UnknownAuthority));
}

#[test]
fn keys_of_other_kinds_sign_under_their_own_algorithm() {
    let world = World::new();
    let log = world.authority.signing_key(Role::RekorV1);
    let key = SigningKey::generate(KeyAlgorithm::Ed25519).unwrap();
    let certificate = world.authority.issue_certificate(forge::SIGNER, key.spki_der()).unwrap().remove(0);
    let mut signature = world.unlogged(&Signer { key, certificate });
    signature.signer().entry = Some(entry_by(log, &log.key_id(), &signature, START));
    assert_eq!(world.judge(&signature), profile(ProfileError::Key), "ECDSA is not what the key does");
    signature.signer().signature_algorithm = algorithm("1.3.101.112");
    good(world.judge(&signature));
    signature.signer().signature_algorithm = tlv(SEQUENCE, &[&oid("1.3.101.112"), &[5, 0]]);
    assert_eq!(world.judge(&signature), format(FormatError::Algorithm));
}

#[test]
fn the_signature_algorithm_has_one_name() {
    let world = World::new();
    let mut signature = world.signed();
    for (name, cause) in [
        ("1.2.840.10045.4.3.3", format(FormatError::Algorithm)), // ecdsa-with-SHA384
        ("1.2.840.10045.4.3.1", format(FormatError::Algorithm)), // ecdsa-with-SHA224
        ("1.2.840.113549.1.1.11", profile(ProfileError::Key)),   // sha256WithRSAEncryption
    ] {
        signature.signer().signature_algorithm = algorithm(name);
        assert_eq!(world.judge(&signature), cause, "{name}");
    }
    signature.signer().signature_algorithm = tlv(SEQUENCE, &[&oid(forge::ECDSA_SHA256), &[5, 0]]);
    assert_eq!(world.judge(&signature), format(FormatError::Algorithm), "RFC 5758: no parameters");
}

#[test]
fn a_key_that_rekor_v2_does_not_take_is_no_forged_proof() {
    let world = World::new();
    let log = world.authority.signing_key(Role::RekorV1);
    let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA256_ASN1_SIGNING).unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let signer = world.signer_with(|tbs| {
        tbs.subject_public_key_info = x509_cert::spki::SubjectPublicKeyInfo::from_der(spki.as_ref()).unwrap();
    });
    let mut signature = world.unlogged(&signer);
    let signed = signature.signer().attribute_set();
    signature.signer().signature = pair.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec();
    signature.signer().entry = Some(entry_by(log, &log.key_id(), &signature, START));
    good(world.judge(&signature));
    signature.signer().entry = world.logged_v2(world.unlogged(&world.signer())).signers[0].entry.clone();
    assert_eq!(world.judge(&world.stamped(signature)), profile(ProfileError::Key));
}

#[test]
fn a_certificate_is_strict_der_of_bounded_size() {
    let world = World::new();
    // No log would take these.
    let with = |change: fn(&mut TbsCertificate)| world.judge(&world.unlogged(&world.signer_with(change)));
    let verdict = with(|tbs| set_extension(tbs, extension("1.2.3.4", false, &[0; 16 * 1024])));
    assert_eq!(verdict, format(FormatError::Der));
    let twice = with(|tbs| {
        let first = tbs.extensions.as_ref().unwrap()[0].clone();
        tbs.extensions.as_mut().unwrap().push(first);
    });
    assert_eq!(twice, format(FormatError::Der), "an extension that stands twice");
    let version_1 = with(|tbs| {
        tbs.version = x509_cert::Version::V1;
    });
    assert_eq!(version_1, format(FormatError::Der));
}

/// Fulcio's extensions about a build.
fn claim(number: u8) -> String {
    format!("1.3.6.1.4.1.57264.1.{number}")
}

#[test]
fn claims_of_a_build_are_texts_and_the_newer_ones_count() {
    const GITHUB: &str = "https://token.actions.githubusercontent.com";
    let world = World::new();
    let utf8 = |text: &str| tlv(0x0c, &[text.as_bytes()]);
    let issued = |issuer: &str, claims: &[(u8, Vec<u8>)]| {
        with(&world, |tbs| {
            set_extension(tbs, extension(ISSUER, false, &utf8(issuer)));
            set_extension(tbs, extension(ISSUER_RAW, false, issuer.as_bytes()));
            for (number, value) in claims {
                set_extension(tbs, extension(&claim(*number), false, value));
            }
        })
    };
    let told = |verdict: Verdict| {
        let proven = good(verdict);
        let told = |claim| proven.claims().get(claim).map(str::to_owned);
        (told(Claim::Repository), told(Claim::Ref))
    };
    let pair = |one: &str, two: &str| (Some(one.to_owned()), Some(two.to_owned()));
    let old = [(5, b"o/old".to_vec()), (6, b"refs/heads/old".to_vec())];
    let new = [(12, utf8("https://github.com/o/new")), (14, utf8("refs/heads/new"))];
    let new_pair = pair("https://github.com/o/new", "refs/heads/new");
    assert_eq!(told(issued(GITHUB, &[&old[..], &new].concat())), new_pair);
    assert_eq!(told(issued(GITHUB, &old)), pair("https://github.com/o/old", "refs/heads/old"));
    assert_eq!(told(issued("https://gitlab.com", &old)), (None, None), "GitHub alone wrote these");
    let mixed = [&old[..], &new[..1]].concat();
    assert_eq!(told(issued(GITHUB, &mixed)), (Some("https://github.com/o/new".to_owned()), None));
    assert_eq!(told(issued(GITHUB, &[(12, utf8(""))])), (None, None), "an empty one says nothing");
    for wrong in
        [b"https://github.com/o/r".to_vec(), utf8("a\nb"), utf8(&"a".repeat(2049)), tlv(0x16, &[b"a"])]
    {
        assert_eq!(issued(GITHUB, &[(12, wrong)]), profile(ProfileError::Claim));
    }
    assert_eq!(issued(GITHUB, &[(5, b"\xff".to_vec())]), profile(ProfileError::Claim));
}
