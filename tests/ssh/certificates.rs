//! OpenSSH certificates, by authorities of every kind.

use countersign::verify::{Bad, CannotTell, Key, Verdict};

use crate::{
    keys::KINDS,
    workshop::{Workshop, payload, payload_at, verify},
};

fn sign(workshop: &Workshop, payload: &[u8]) -> Vec<u8> {
    workshop.sign("key-cert.pub", payload, &[])
}

/// A workshop with the key `key` and the authority `ca`.
fn workshop(test: &str) -> Option<Workshop> {
    let workshop = Workshop::open(test)?;
    workshop.key("ca", &["ed25519"]);
    workshop.key("key", &["ed25519"]);
    Some(workshop)
}

#[test]
fn certificates_of_every_kind_stand_for_their_principals() {
    let Some(workshop) = Workshop::open("ssh certificates") else { return };
    for (index, (kind, name)) in KINDS.iter().enumerate() {
        let (key, authority) = (format!("key{index}"), format!("ca{index}"));
        workshop.key(&key, kind);
        workshop.key(&authority, KINDS[(index + 1) % KINDS.len()].0);
        workshop.certify(&authority, &key, &["-I", "an id", "-z", "9", "-n", "alice,bob@example.org"]);
        let armor = workshop.sign(&format!("{key}-cert.pub"), &payload(), &[]);
        let good = format!("with {name}-CERT key {}\n", workshop.fingerprint(&key));
        assert!(workshop.oracle(&payload(), &armor).good().ends_with(&good));
        let Verdict::Stated(stated) = verify(&payload(), &armor) else { panic!("{kind:?}") };
        let certified = |principal: &str| Key::SshCertificate {
            authority: workshop.fingerprint(&authority),
            principal: principal.to_owned(),
        };
        assert_eq!(stated.keys(), [certified("alice"), certified("bob@example.org")]);
        assert_eq!(stated.signing_key(), workshop.fingerprint(&key));
        assert!(!stated.key_expired());
        assert_eq!(verify(b"other", &armor), Verdict::Bad(Bad::Signature));
    }
}

#[test]
fn validity_is_judged_at_the_stated_time() {
    let Some(workshop) = workshop("ssh certificate validity") else { return };
    workshop.certify("ca", "key", &["-I", "i", "-n", "alice", "-V", "20230101000000Z:20240101000000Z"]);
    let (first, end) = (1_672_531_200, 1_704_067_200);
    for (time, valid) in [(first - 1, false), (first, true), (end - 1, true), (end, false)] {
        let payload = payload_at(time);
        let verdict = verify(&payload, &sign(&workshop, &payload));
        match verdict {
            Verdict::Stated(stated) if valid => assert!(stated.key_expired(), "it has expired since"),
            other => {
                assert!(!valid, "{time}: {other:?}");
                assert_eq!(other, Verdict::CannotTell(CannotTell::SshCertificateWindow));
            }
        }
    }
    // A certificate for a time that has not come counts for nobody who states that time.
    workshop.certify("ca", "key", &["-I", "i", "-n", "alice", "-V", "20270101000000Z:20280101000000Z"]);
    let later = payload_at(1_800_000_000);
    let verdict = verify(&later, &sign(&workshop, &later));
    assert_eq!(verdict, Verdict::CannotTell(CannotTell::SshCertificateWindow), "not valid yet");
    let push = b"certificate version 0.1\npusher key 1690000000 +0000\n\n";
    let verdict = verify(push, &sign(&workshop, push));
    assert_eq!(verdict, Verdict::CannotTell(CannotTell::SshCertificateWindow), "judged now, as git does");
}

#[test]
fn certificates_that_name_no_person_or_want_more_are_refused() {
    let Some(workshop) = workshop("ssh certificate conditions") else { return };
    for (arguments, cause) in [
        (&["-I", "i"][..], CannotTell::SshCertificatePrincipals),
        (&["-I", "i", "-n", "alice", "-h"], CannotTell::SshCertificatePrincipals),
        (&["-I", "i", "-n", "alice", "-O", "force-command=true"], CannotTell::SshCriticalOption),
        (&["-I", "i", "-n", "alice", "-O", "source-address=10.0.0.0/8"], CannotTell::SshCriticalOption),
        (&["-I", "i", "-n", "alice", "-O", "verify-required"], CannotTell::SshCriticalOption),
        (&["-I", "i", "-n", "alice", "-O", "critical:new@example.org=x"], CannotTell::SshCriticalOption),
    ] {
        workshop.certify("ca", "key", arguments);
        let verdict = verify(&payload(), &sign(&workshop, &payload()));
        assert_eq!(verdict, Verdict::CannotTell(cause), "{arguments:?}");
    }
    workshop.certify("ca", "key", &["-I", "i", "-n", "alice", "-O", "extension:new@example.org=x"]);
    assert!(matches!(verify(&payload(), &sign(&workshop, &payload())), Verdict::Stated(_)));
}
