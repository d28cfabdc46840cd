//! Timestamp tokens, and every window at every proven time.

use countersign::{
    object::Payload,
    sandbox::{KeyAlgorithm, Role, SigningKey},
    signature::FormatError,
    verify::{Bad, CannotTell, FUTURE_SKEW, ProvenTime, Verdict, Verifier},
};
use der::Decode as _;
use x509_cert::Certificate;

use crate::{
    bad,
    forge::{
        CONTENT_TYPE, CONTEXT_1, ID_DATA, PAYLOAD, SEQUENCE, SHA256, START, Token, World, algorithm,
        attribute, extension, issue, judge, oid, set_extension, tlv,
    },
    format, good, unclear,
};

/// RFC 3339 for a time in seconds since 1970, of the day of [`START`] (2026-09-21).
fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

#[test]
fn a_token_and_a_log_both_prove_their_time() {
    let world = World::new();
    let signature = world.signed();
    world.clock.set(START + 2);
    let signature = world.stamped(signature);
    let proven = good(world.judge(&signature));
    assert_eq!(proven.times(), [ProvenTime::Log(START), ProvenTime::TimestampAuthority(START + 2)]);
}

#[test]
fn gitsign_589_both_ends_of_a_certificate_are_inside() {
    let world = World::new();
    let signer = world.signer_valid(START + 100, START + 700);
    for (time, inside) in [(99, false), (100, true), (700, true), (701, false)] {
        world.clock.set(START + time);
        let logged = world.logged(world.unlogged(&signer));
        let stamped = world.stamped(world.logged_v2(world.unlogged(&signer)));
        for signature in [logged, stamped] {
            match inside {
                true => drop(good(world.judge(&signature))),
                false => {
                    assert_eq!(world.judge(&signature), unclear(CannotTell::CertificateWindow), "{time}");
                }
            }
        }
    }
}

#[test]
fn every_proven_time_is_inside_and_not_only_the_best() {
    let world = World::new();
    let signature = world.signed();
    world.clock.set(START + 3600);
    let signature = world.stamped(signature);
    assert_eq!(world.judge(&signature), unclear(CannotTell::CertificateWindow));
}

#[test]
fn a_token_is_for_this_signature() {
    let world = World::new();
    let other = world.stamped(world.signed());
    let mut signature = world.signed();
    signature.signer().tokens = other.signers[0].tokens.clone();
    assert_eq!(world.judge(&signature), bad(Bad::TimestampImprint));
}

#[test]
fn every_token_that_is_there_has_to_hold() {
    let world = World::new();
    let other = world.stamped(world.signed());
    let mut signature = world.stamped(world.signed());
    good(world.judge(&signature));
    signature.signer().tokens.push(other.signers[0].tokens[0].clone());
    assert_eq!(world.judge(&signature), bad(Bad::TimestampImprint));
}

#[test]
fn a_token_of_an_unknown_authority_is_not_passed_over() {
    let (world, stranger) = (World::new(), World::new());
    let signature = stranger.stamped(world.signed());
    assert_eq!(world.judge(&signature), unclear(CannotTell::UnknownTimestampAuthority));
}

#[test]
fn a_token_with_a_wrong_signature_is_bad() {
    let world = World::new();
    let mut signature = world.stamped(world.signed());
    let token = &mut signature.signer().tokens[0];
    *token.last_mut().unwrap() ^= 1;
    assert_eq!(world.judge(&signature), bad(Bad::TimestampSignature));
    signature.signer().tokens[0].push(0);
    assert_eq!(world.judge(&signature), format(FormatError::Der));
    signature.signer().tokens = vec![vec![0x30, 0]];
    assert_eq!(world.judge(&signature), format(FormatError::Timestamp));
}

#[test]
fn ghsa_cq38_jh5f_37mq_too_many_tokens_are_not_read() {
    let world = World::new();
    let mut signature = world.signed();
    for _ in 0..4 {
        signature = world.stamped(signature);
    }
    good(world.judge(&signature));
    signature = world.stamped(signature);
    assert_eq!(world.judge(&signature), format(FormatError::TooLarge));
}

#[test]
fn the_same_token_twice_is_not_read() {
    let world = World::new();
    let mut signature = world.stamped(world.signed());
    let token = signature.signers[0].tokens[0].clone();
    signature.signer().tokens.push(token);
    assert_eq!(world.judge(&signature), format(FormatError::Der));
}

#[test]
fn tob_sigstore_11_a_token_is_bound_to_its_authoritys_window() {
    let world = World::new();
    let signature = world.stamped(world.signed());
    for (start, end, inside) in [(-9, 9, true), (0, 0, true), (1, 9, false), (-9, -1, false)] {
        let instance = world.instance_with(|root| {
            let valid_for = serde_json::json!({"start": rfc3339(START + start), "end": rfc3339(START + end)});
            root["timestampAuthorities"][0]["validFor"] = valid_for;
        });
        let verdict = judge(vec![instance], &signature.armor());
        match inside {
            true => drop(good(verdict)),
            false => assert_eq!(verdict, unclear(CannotTell::TimestampAuthorityWindow)),
        }
    }
}

#[test]
fn every_key_counts_in_its_window_only() {
    let world = World::new();
    let signature = world.signed();
    let key = "/publicKey/validFor";
    let places = [
        ("/certificateAuthorities/0/validFor".to_owned(), CannotTell::CertificateWindow),
        (format!("/ctlogs/0{key}"), CannotTell::CtLogWindow),
        (format!("/tlogs/0{key}"), CannotTell::LogWindow),
    ];
    for (place, cause) in places {
        for (start, end, inside) in [(0, 0, true), (1, 9, false), (-9, -1, false)] {
            let instance = world.instance_with(|root| {
                let valid_for =
                    serde_json::json!({"start": rfc3339(START + start), "end": rfc3339(START + end)});
                *root.pointer_mut(&place).unwrap_or_else(|| panic!("{place} is there")) = valid_for;
            });
            let verdict = judge(vec![instance], &signature.armor());
            match inside {
                true => drop(good(verdict)),
                false => assert_eq!(verdict, unclear(cause), "{place}"),
            }
        }
    }
}

#[test]
fn a_ct_key_that_ended_before_the_signature_does_not_count() {
    let world = World::new();
    let signer = world.signer(); // SCT at START
    world.clock.set(START + 10);
    let signature = world.signed_by(&signer);
    let instance = world.instance_with(|root| {
        root["ctlogs"][0]["publicKey"]["validFor"]["end"] = rfc3339(START + 5).into();
    });
    assert_eq!(judge(vec![instance], &signature.armor()), unclear(CannotTell::CtLogWindow));
}

#[test]
fn now_bounds_the_future_and_nothing_else() {
    let world = World::new();
    let signature = world.signed().armor();
    let verifier = Verifier::new(vec![world.instance()]);
    let at = |now| verifier.verify(&Payload::whole(PAYLOAD), &signature, now);
    good(at(START - FUTURE_SKEW));
    assert_eq!(at(START - FUTURE_SKEW - 1), unclear(CannotTell::FutureTime));
    assert_eq!(at(i64::MIN), unclear(CannotTell::FutureTime));
    good(at(START + 1_000_000_000));
    good(at(i64::MAX));
}

#[test]
fn a_stranger_with_the_name_of_the_authority_is_not_it() {
    let world = World::new();
    let signature = world.stamped(world.signed());
    // The pinned leaf's key is exchanged for a stranger's in the trusted root's own certificate.
    let stranger = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let own = world.authority.signing_key(Role::TimestampAuthority).spki_der();
    let mut changed = signature.clone();
    let token = &mut changed.signer().tokens[0];
    let at = token.windows(own.len()).position(|window| window == own).expect("the leaf is in the token");
    token[at..at + own.len()].copy_from_slice(stranger.spki_der());
    assert_eq!(world.judge(&changed), format(FormatError::Timestamp), "a certificate that nobody knows");
}

/// What is said to a signature whose token `change` has been at.
fn with_token(world: &World, change: impl FnOnce(&mut Token)) -> Verdict {
    let mut signature = world.signed();
    let mut token = Token::new(&signature.signer().signature, world.authority.timestamp_chain()[0]);
    change(&mut token);
    let key = world.authority.signing_key(Role::TimestampAuthority);
    signature.signer().tokens = vec![token.der(key)];
    world.judge(&signature)
}

#[test]
fn a_token_made_by_hand_passes_when_nothing_is_wrong_with_it() {
    let world = World::new();
    good(with_token(&world, |_| {}));
    good(with_token(&world, |token| token.certificates.clear()));
    let root = world.authority.timestamp_chain()[1].to_vec();
    good(with_token(&world, |token| token.certificates.push(root)));
}

#[test]
fn a_tokens_time_is_under_its_signature() {
    let world = World::new();
    let moved = with_token(&world, |token| {
        let last_digit = token.information.len() - 2;
        token.information[last_digit] ^= 1;
    });
    assert_eq!(moved, format(FormatError::Timestamp), "the signed digest is of another content");
    let other_type = with_token(&world, |token| token.attributes[0] = attribute(CONTENT_TYPE, &oid(ID_DATA)));
    assert_eq!(other_type, format(FormatError::Timestamp));
}

#[test]
fn a_token_commits_to_its_signers_certificate() {
    let world = World::new();
    let none = with_token(&world, |token| drop(token.attributes.pop()));
    assert_eq!(none, format(FormatError::Timestamp));
    let other = world.authority.timestamp_chain()[1].to_vec();
    let theirs =
        with_token(&world, |token| token.attributes[2] = Token::new(b"", &other).attributes[2].clone());
    assert_eq!(theirs, bad(Bad::TimestampSignature));
}

#[test]
fn what_nothing_covers_in_a_token_has_one_value() {
    let world = World::new();
    let stranger = World::new().signer().certificate;
    let own = world.authority.timestamp_chain()[0].to_vec();
    type Change = Box<dyn FnOnce(&mut Token)>;
    let changes: [(&str, Change, Verdict); 7] = [
        (
            "two digests announced",
            Box::new(|token| token.digest_algorithms.push(algorithm(SHA256))),
            format(FormatError::Timestamp),
        ),
        (
            "another digest announced",
            Box::new(|token| token.digest_algorithms = vec![algorithm("2.16.840.1.101.3.4.2.3")]),
            format(FormatError::Timestamp),
        ),
        (
            "revocation lists",
            Box::new(|token| token.revocations = tlv(CONTEXT_1, &[])),
            format(FormatError::Timestamp),
        ),
        (
            "unsigned attributes",
            Box::new(|token| token.unsigned = tlv(CONTEXT_1, &[&attribute("1.2.3", &[5, 0])])),
            format(FormatError::Timestamp),
        ),
        (
            "a stranger's certificate",
            Box::new(|token| token.certificates.push(stranger)),
            format(FormatError::Timestamp),
        ),
        (
            "a certificate twice",
            Box::new(|token| token.certificates.push(own)),
            format(FormatError::Timestamp),
        ),
        (
            "another algorithm",
            Box::new(|token| token.signature_algorithm = algorithm("1.2.840.113549.1.1.11")),
            bad(Bad::TimestampSignature),
        ),
    ];
    for (what, change, cause) in changes {
        assert_eq!(with_token(&world, change), cause, "{what}");
    }
}

#[test]
fn a_leaf_in_a_token_is_for_timestamps_alone() {
    // Where the trusted root pins no leaf, the token brings it, issued by the authority.
    let world = World::new();
    let leaf = world.authority.timestamp_chain()[0].to_vec();
    let usage = |critical, usages: &[&str]| {
        let mut tbs = Certificate::from_der(&leaf).unwrap().tbs_certificate;
        let usages: Vec<Vec<u8>> = usages.iter().map(|usage| oid(usage)).collect();
        let value = tlv(SEQUENCE, &usages.iter().map(Vec::as_slice).collect::<Vec<_>>());
        set_extension(&mut tbs, extension("2.5.29.37", critical, &value));
        issue(&tbs, world.authority.signing_key(Role::TimestampRoot))
    };
    let time_stamping = "1.3.6.1.5.5.7.3.8";
    let code_signing = "1.3.6.1.5.5.7.3.3";
    for (leaf, fit) in [
        (leaf.clone(), true),
        (usage(true, &[time_stamping]), true),
        (usage(false, &[time_stamping]), false),
        (usage(true, &[time_stamping, code_signing]), false),
        (usage(true, &[code_signing]), false),
    ] {
        let mut signature = world.signed();
        let token = Token::new(&signature.signer().signature, &leaf);
        let key = world.authority.signing_key(Role::TimestampAuthority);
        signature.signer().tokens = vec![token.der(key)];
        let instance = world.instance_with(|root| {
            let chain = root["timestampAuthorities"][0]["certChain"]["certificates"].as_array_mut().unwrap();
            chain.remove(0);
        });
        let verdict = judge(vec![instance], &signature.armor());
        match fit {
            true => drop(good(verdict)),
            false => assert_eq!(verdict, bad(Bad::TimestampSignature)),
        }
    }
}
