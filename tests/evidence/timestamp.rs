//! Timestamp tokens, and every window at every proven time.

use countersign::{
    object::Payload,
    sandbox::{KeyAlgorithm, Role, SigningKey},
    signature::FormatError,
    verify::{Bad, CannotTell, FUTURE_SKEW, ProvenTime, Verifier},
};

use crate::{
    bad,
    forge::{PAYLOAD, START, World, judge},
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
