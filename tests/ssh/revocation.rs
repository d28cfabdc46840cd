//! Lists of revoked keys, as lines and as OpenSSH's binary lists.

use base64::{Engine, engine::general_purpose::STANDARD};
use countersign::{
    object::Payload,
    signature::ssh::{self, RevocationError, Revocations, SshSignature},
    verify::{CannotTell, Verdict, Verifier},
};

use crate::workshop::{NOW, Workshop, payload, verify};

struct Signatures {
    workshop: Workshop,
    plain: Vec<u8>,
    certified: Vec<u8>,
}

/// A key `key` alone, and `held` with the certificate number 500 called `some id`.
fn signatures(test: &str) -> Option<Signatures> {
    let workshop = Workshop::open(test)?;
    for key in ["ca", "key", "held", "other"] {
        workshop.key(key, &["ed25519"]);
    }
    workshop.certify("ca", "held", &["-I", "some id", "-z", "500", "-n", "alice"]);
    let plain = workshop.sign("key", &payload(), &[]);
    let certified = workshop.sign("held-cert.pub", &payload(), &[]);
    Some(Signatures { workshop, plain, certified })
}

impl Signatures {
    /// Which of the two a list revokes, for us and for `ssh-keygen`.
    fn revoked(&self, list: &[u8]) -> (bool, bool) {
        self.workshop.write("list", list);
        let (key, ca) = (self.workshop.public("key"), self.workshop.public("ca"));
        self.workshop.write("allowed", format!("alice {key}\nalice cert-authority {ca}\n"));
        let revocations = Revocations::parse(list).unwrap();
        let ask = |armor: &[u8]| {
            let blob = ssh::decode(armor).unwrap();
            let revoked = revocations.revokes(&SshSignature::parse(&blob).unwrap());
            self.workshop.write("signature", armor);
            let arguments = [
                "-Y",
                "verify",
                "-n",
                "git",
                "-f",
                "allowed",
                "-I",
                "alice",
                "-s",
                "signature",
                "-r",
                "list",
            ];
            let oracle = self.workshop.run("ssh-keygen", &arguments, &payload());
            assert_eq!(oracle.status != 0, revoked, "{oracle:?}");
            let own = self.workshop.run(crate::workshop::PROGRAM, &arguments, &payload());
            assert_eq!((own.status, &own.stdout), (oracle.status, &oracle.stdout), "{own:?}");
            revoked
        };
        (ask(&self.plain), ask(&self.certified))
    }

    /// A binary list made of `specification` (ssh-keygen(1), "KEY REVOCATION LISTS").
    fn binary(&self, specification: &str, authority: bool) -> Vec<u8> {
        let _ = std::fs::remove_file(self.workshop.path("krl"));
        self.workshop.write("specification", specification);
        let ca: &[&str] = if authority { &["-s", "ca.pub"] } else { &[] };
        let arguments = [&["-q", "-k", "-f", "krl"], ca, &["specification"]].concat();
        self.workshop.run("ssh-keygen", &arguments, b"").good();
        self.workshop.read("krl")
    }
}

#[test]
fn lines_revoke_keys_certificates_and_authorities() {
    let Some(signatures) = signatures("ssh revocation lines") else { return };
    let public = |key: &str| signatures.workshop.public(key);
    assert_eq!(signatures.revoked(b""), (false, false));
    assert_eq!(signatures.revoked(format!("# {}\n\n", public("key")).as_bytes()), (false, false));
    assert_eq!(signatures.revoked(format!("{} left\n", public("key")).as_bytes()), (true, false));
    assert_eq!(signatures.revoked(format!("{}\n", public("held")).as_bytes()), (false, true));
    assert_eq!(signatures.revoked(format!("{}\n", public("ca")).as_bytes()), (false, true));
    let certificate = signatures.workshop.read("held-cert.pub");
    assert_eq!(signatures.revoked(&certificate), (false, true));
    assert_eq!(signatures.revoked(public("other").as_bytes()), (false, false));
    assert_eq!(Revocations::parse(b"\nnonsense\n"), Err(RevocationError::Line(2)));
    // What is left of a key revokes nobody, so the list is refused, as ssh-keygen refuses it.
    let whole = public("key");
    let (kind, base64) = whole.split_once(' ').unwrap();
    let longer =
        STANDARD.encode([STANDARD.decode(base64.split(' ').next().unwrap()).unwrap(), vec![0]].concat());
    for damaged in [base64[..60].to_owned(), base64[..32].to_owned(), longer] {
        let line = format!("{kind} {damaged}\n");
        assert_eq!(Revocations::parse(line.as_bytes()), Err(RevocationError::Line(1)), "{line}");
    }
    assert_eq!(Revocations::parse(b"\xff\xfe"), Err(RevocationError::NotText));
}

#[test]
fn binary_lists_revoke_what_ssh_keygen_says() {
    let Some(signatures) = signatures("ssh revocation lists") else { return };
    let key = signatures.workshop.public("key");
    let held = signatures.workshop.fingerprint("held");
    for (specification, authority, revoked) in [
        (String::new(), false, (false, false)),
        (key.clone(), false, (true, false)),
        (format!("sha1: {key}"), false, (true, false)),
        (format!("sha256: {key}"), false, (true, false)),
        (format!("hash: {held}"), false, (false, true)),
        ("serial: 500".to_owned(), true, (false, true)),
        ("serial: 501".to_owned(), true, (false, false)),
        ("serial: 400-600".to_owned(), true, (false, true)),
        ("serial: 400-499\nserial: 501-600".to_owned(), true, (false, false)),
        // Close together, they become a bitmap.
        ("serial: 490\nserial: 493\nserial: 500\nserial: 503".to_owned(), true, (false, true)),
        ("serial: 490\nserial: 493\nserial: 499\nserial: 501\nserial: 507".to_owned(), true, (false, false)),
        ("id: some id".to_owned(), true, (false, true)),
        ("id: some".to_owned(), true, (false, false)),
    ] {
        let list = signatures.binary(&specification, authority);
        assert_eq!(signatures.revoked(&list), revoked, "{specification}");
    }
    let list = signatures.binary("serial: 1-5\nserial: 490\nserial: 493\nid: x", true);
    // Sections stand one after the other: only a list that ends between two of them is a list.
    let whole = (0..list.len()).filter(|length| Revocations::parse(&list[..*length]).is_ok()).count();
    assert!(whole <= 2, "{whole}");
    // A range that is turned round, or begins at zero, revokes nothing: OpenSSH refuses the list too.
    let ranges = signatures.binary("serial: 400-600", true);
    let at = ranges.windows(8).position(|bytes| bytes == 400u64.to_be_bytes()).unwrap();
    assert_eq!(signatures.revoked(&ranges), (false, true));
    for first in [601u64, 0] {
        let mut turned = ranges.clone();
        turned[at..at + 8].copy_from_slice(&first.to_be_bytes());
        assert_eq!(Revocations::parse(&turned), Err(RevocationError::Malformed), "{first}");
        signatures.workshop.write("turned", &turned);
        let said = signatures.workshop.run("ssh-keygen", &["-Q", "-f", "turned", "held-cert.pub"], b"");
        assert_ne!(said.status, 0, "{said:?}");
    }
    let mut other = list.clone();
    other[11] = 2;
    assert_eq!(Revocations::parse(&other), Err(RevocationError::Version(2)));
    let unknown = [&signatures.binary("", false)[..], &[9, 0, 0, 0, 0]].concat();
    assert_eq!(Revocations::parse(&unknown), Err(RevocationError::UnknownSection(9)));
    let critical =
        [&signatures.binary("", false)[..], &[255, 0, 0, 0, 9, 0, 0, 0, 0, 1, 0, 0, 0, 0]].concat();
    assert_eq!(Revocations::parse(&critical), Err(RevocationError::UnknownSection(255)));
}

#[test]
fn a_revoked_key_counts_at_no_stated_time() {
    let Some(signatures) = signatures("ssh revoked keys") else { return };
    assert!(matches!(verify(&payload(), &signatures.plain), Verdict::Stated(_)));
    let list = Revocations::parse(signatures.workshop.public("key").as_bytes()).unwrap();
    let verifier = Verifier::new(Vec::new()).with_ssh_revocations(list);
    let payload = payload();
    let judge = |armor: &[u8]| verifier.verify(&Payload::whole(&payload), armor, NOW);
    assert_eq!(judge(&signatures.plain), Verdict::CannotTell(CannotTell::KeyRevoked));
    assert!(matches!(judge(&signatures.certified), Verdict::Stated(_)));
}
