//! One failure each, with its cause: what the engine says of signatures by openssl and made by hand.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::{
    object::Payload,
    signature::FormatError,
    verify::{
        Bad, CannotTell, Key, Verdict, Verifier,
        smime::{Authorities, AuthorityError, CertificateAuthority},
    },
};

use crate::{
    message::{ID_DATA, Message, Named, algorithm, attribute, endless, identifier, message_digest, tlv},
    workshop::{ALWAYS, INTERMEDIATE, MAIL, MIDDLE_OF_2021, PAYLOAD, ROOT, Workshop, YEAR_2021, armor},
};

/// 2027, in seconds since 1970.
pub const NOW: i64 = 1_800_000_000;

/// A verifier that trusts the root of `workshop` as `corp`.
pub fn verifier(workshop: &Workshop) -> Verifier {
    let corp = CertificateAuthority::from_pem("corp", workshop.pem(&["root"]).as_bytes()).unwrap();
    Verifier::new(Vec::new()).with_smime(Authorities::new(vec![corp]))
}

fn judge(verifier: &Verifier, armor: &str) -> Verdict {
    verifier.verify(&Payload::whole(PAYLOAD.as_bytes()), armor.as_bytes(), NOW)
}

/// Good, and by whom; `None` for every other verdict.
fn signer(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Stated(stated) => Some(stated.keys().first()?.to_string()),
        _ => None,
    }
}

fn cannot_tell(cause: impl Into<CannotTell>) -> Verdict {
    Verdict::CannotTell(cause.into())
}

#[test]
fn what_openssl_signs_is_good() {
    let Some(workshop) = Workshop::new("openssl cms", &[]) else { return };
    for (name, algorithm) in [
        ("rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..]),
        ("p384", &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("p521", &["EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
    ] {
        workshop.key_as(name, algorithm);
        workshop.issue(name, "middle", MAIL, ALWAYS);
    }
    workshop.key_as("short", &["RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    workshop.issue("short", "middle", MAIL, ALWAYS);
    workshop.issue_by_digest("weakly-issued", "middle", "sha1");
    let verifier = verifier(&workshop);
    let chain = ["-certfile", "middle.pem"];
    let pss = ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:-1"];
    for (signing, options) in [
        ("alice", &[][..]),
        ("alice", &["-md", "sha384"]),
        ("alice", &["-md", "sha512", "-keyid"]),
        ("rsa", &["-md", "sha256"]),
        ("rsa", &["-md", "sha384"]),
        ("rsa", &["-md", "sha512", "-nosmimecap"]),
        ("rsa", &[&["-md", "sha256"][..], &pss].concat()),
        ("rsa", &[&["-md", "sha512"][..], &pss].concat()),
        ("p384", &["-md", "sha384"]),
        ("p521", &["-md", "sha512"]),
    ] {
        let armor = workshop.openssl_sign(signing, &[&chain, options].concat());
        let verdict = judge(&verifier, &armor);
        let expected = format!("X.509 {signing}@corp.example of corp");
        assert_eq!(signer(&verdict), Some(expected), "{signing} {options:?}: {verdict:?}");
        let longer = format!("{PAYLOAD}\n");
        let changed = verifier.verify(&Payload::whole(longer.as_bytes()), armor.as_bytes(), NOW);
        assert_eq!(changed, Verdict::Bad(Bad::DigestMismatch), "{signing} {options:?}");
    }
    for name in ["short", "weakly-issued"] {
        let armor = workshop.openssl_sign(name, &chain);
        assert_eq!(judge(&verifier, &armor), cannot_tell(CannotTell::WeakAlgorithm), "{name}");
    }
    for (options, expected) in [
        (&["-md", "sha1"][..], cannot_tell(CannotTell::WeakAlgorithm)),
        (&["-md", "md5"], cannot_tell(CannotTell::WeakAlgorithm)),
        (&["-noattr"], cannot_tell(FormatError::Attribute)),
        (&["-nocerts"], cannot_tell(CannotTell::UnknownKey)),
        (&["-nodetach"], cannot_tell(FormatError::Content)),
        (&["-signer", "rsa.pem", "-inkey", "rsa.key"], cannot_tell(FormatError::Signers)),
        // The intermediate authority is not there.
        (&["-md", "sha256"], cannot_tell(CannotTell::UnknownCertificateAuthority)),
        (
            &["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"],
            cannot_tell(FormatError::Algorithm),
        ),
    ] {
        let signing = if options.contains(&"md5") || options.contains(&"-keyopt") { "rsa" } else { "alice" };
        assert_eq!(judge(&verifier, &workshop.openssl_sign(signing, options)), expected, "{options:?}");
    }
}

#[test]
fn every_form_that_programs_write_is_read() {
    let Some(workshop) = Workshop::new("forms of S/MIME", &[]) else { return };
    workshop.key_as("edwards", &["ED25519"]);
    workshop.issue("edwards", "middle", MAIL, ALWAYS);
    workshop.issue("other", "middle", MAIL, ALWAYS);
    let plain = Message::by("alice");
    let capabilities = attribute("1.2.840.113549.1.9.15", &tlv(0x30, &[]));
    let unsorted = plain.clone().with(|message| {
        message.attributes.push(capabilities);
        message.attributes.reverse();
    });
    let sha512 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, PAYLOAD.as_bytes());
    let edwards = Message::by("edwards").with(|message| {
        message.digest = "2.16.840.1.101.3.4.2.3";
        message.algorithm = algorithm("1.3.101.112");
        message.command = vec!["pkeyutl", "-sign", "-rawin", "-inkey"];
        message.attributes[2] = message_digest(sha512.as_ref());
    });
    let verifier = verifier(&workshop);
    let by = |name: &str| Some(format!("X.509 {name}@corp.example of corp"));
    for (what, armor, expected) in [
        ("plain", plain.armored(&workshop), by("alice")),
        ("unsorted attributes", unsorted.armored(&workshop), by("alice")),
        ("BER", armor(&plain.ber(&workshop)), by("alice")),
        ("BER with unsorted attributes", armor(&unsorted.ber(&workshop)), by("alice")),
        ("Ed25519", edwards.armored(&workshop), by("edwards")),
        (
            "by key identifier",
            plain.clone().with(|message| message.named = Named::KeyIdentifier).armored(&workshop),
            by("alice"),
        ),
        (
            "certificates in any order, and more of them",
            plain
                .clone()
                .with(|message| message.certificates = vec!["middle", "root", "other", "alice", "alice"])
                .armored(&workshop),
            by("alice"),
        ),
    ] {
        let verdict = judge(&verifier, &armor);
        assert_eq!(signer(&verdict), expected, "{what}: {verdict:?}");
        let Verdict::Stated(stated) = verdict else { unreachable!() };
        assert_eq!((stated.time(), stated.key_expired()), (Some(MIDDLE_OF_2021), false), "{what}");
    }
    // What the signature leaves out may stand beside the root.
    let bare = plain.with(|message| message.certificates.clear()).armored(&workshop);
    assert_eq!(judge(&verifier, &bare), cannot_tell(CannotTell::UnknownKey));
    let pem = workshop.pem(&["alice", "middle", "root"]);
    let corp = CertificateAuthority::from_pem("corp", pem.as_bytes()).unwrap();
    let knowing = Verifier::new(Vec::new()).with_smime(Authorities::new(vec![corp]));
    assert_eq!(signer(&judge(&knowing, &bare)), by("alice"));
}

#[test]
fn each_departure_has_its_cause() {
    let Some(workshop) = Workshop::new("departures of S/MIME", &[]) else { return };
    let verifier = verifier(&workshop);
    let plain = Message::by("alice");
    let zeros = [0; 32];
    let signed_attributes_first = |message: &mut Message| message.attributes.swap(0, 2);
    assert!(
        signer(&judge(&verifier, &plain.clone().with(signed_attributes_first).armored(&workshop))).is_some()
    );
    type Change = Box<dyn FnOnce(&mut Message)>;
    let changes: Vec<(&str, Change, Verdict)> = vec![
        ("no content type", Box::new(|m| drop(m.attributes.remove(0))), cannot_tell(FormatError::Attribute)),
        ("no digest", Box::new(|m| drop(m.attributes.pop())), cannot_tell(FormatError::Attribute)),
        ("no time", Box::new(|m| drop(m.attributes.remove(1))), cannot_tell(CannotTell::NoStatedTime)),
        (
            "a time that stands twice",
            Box::new(|m| m.attributes.push(m.attributes[1].clone())),
            cannot_tell(FormatError::Attribute),
        ),
        (
            "a digest that stands twice",
            Box::new(|m| m.attributes.push(m.attributes[2].clone())),
            cannot_tell(FormatError::Attribute),
        ),
        (
            "another content type in the attributes",
            Box::new(|m| m.attributes[0] = attribute("1.2.840.113549.1.9.3", &identifier("1.2.3"))),
            cannot_tell(FormatError::Content),
        ),
        ("another content type", Box::new(|m| m.content_type = "1.2.3"), cannot_tell(FormatError::Content)),
        ("content inside", Box::new(|m| m.content = Some(PAYLOAD.into())), cannot_tell(FormatError::Content)),
        ("two signers", Box::new(|m| m.signers = 2), cannot_tell(FormatError::Signers)),
        ("no signer", Box::new(|m| m.signers = 0), cannot_tell(FormatError::Signers)),
        ("no attributes", Box::new(|m| m.attributes.clear()), cannot_tell(FormatError::Attribute)),
        ("an unknown version", Box::new(|m| m.version = Some(3)), cannot_tell(FormatError::Version)),
        (
            "the digest of something else",
            Box::new(move |m| m.attributes[2] = message_digest(&zeros)),
            Verdict::Bad(Bad::DigestMismatch),
        ),
        (
            "an unknown digest algorithm",
            Box::new(|m| m.digest = "1.2.3"),
            cannot_tell(FormatError::Algorithm),
        ),
        (
            "a signature algorithm of another digest",
            Box::new(|m| m.algorithm = algorithm("1.2.840.10045.4.3.3")),
            cannot_tell(FormatError::Algorithm),
        ),
        (
            "a signature algorithm of another key",
            Box::new(|m| m.algorithm = algorithm("1.2.840.113549.1.1.11")),
            cannot_tell(FormatError::Algorithm),
        ),
        (
            "ECDSA with SHA-1",
            Box::new(|m| m.algorithm = algorithm("1.2.840.10045.4.1")),
            cannot_tell(CannotTell::WeakAlgorithm),
        ),
        (
            "a signature over something else",
            Box::new(|m| m.command = vec!["dgst", "-sha384", "-sign"]),
            Verdict::Bad(Bad::Signature),
        ),
        (
            "a stated time in the future",
            Box::new(|m| m.attributes[1] = crate::message::signing_time(NOW + 3600)),
            cannot_tell(CannotTell::FutureTime),
        ),
        (
            "a log entry, so that it claims to be keyless",
            Box::new(|m| {
                m.unsigned = tlv(0xa1, &[&attribute("1.3.6.1.4.1.57264.3.1", &tlv(4, &[]))]);
            }),
            cannot_tell(FormatError::Attribute),
        ),
    ];
    for (what, change, expected) in changes {
        let verdict = judge(&verifier, &plain.clone().with(change).armored(&workshop));
        // What claims to be keyless is held to that profile, whatever it breaks first.
        let keyless = what.contains("keyless") && !matches!(verdict, Verdict::Stated(_) | Verdict::Good(_));
        assert!(verdict == expected || keyless, "{what}: {verdict:?}, not {expected:?}");
    }
}

#[test]
fn nothing_signed_may_be_in_ber() {
    let Some(workshop) = Workshop::new("what is signed in BER", &[]) else { return };
    let verifier = verifier(&workshop);
    let good = Message::by("alice").ber(&workshop);
    assert!(signer(&judge(&verifier, &armor(&good))).is_some());
    let replace = |part: &[u8], by: &[u8]| {
        let at = good.windows(part.len()).position(|window| window == part).unwrap();
        armor(&[&good[..at], by, &good[at + part.len()..]].concat())
    };
    let certificate = workshop.der("alice");
    let contents = &certificate[4..];
    let verdict = judge(&verifier, &replace(&certificate, &endless(0x30, &[contents])));
    assert_eq!(verdict, cannot_tell(FormatError::Der), "a certificate");
    let attributes = Message::by("alice").attributes.concat();
    let verdict = judge(&verifier, &replace(&tlv(0xa0, &[&attributes]), &endless(0xa0, &[&attributes])));
    assert_eq!(verdict, cannot_tell(FormatError::Der), "signed attributes");
    // A definite length promises DER inside.
    let inner = identifier(ID_DATA);
    let verdict = judge(&verifier, &replace(&endless(0x30, &[&inner]), &tlv(0x30, &[&endless(0x24, &[])])));
    assert_eq!(verdict, cannot_tell(FormatError::Der), "BER inside DER");
    let mut trailing = good.clone();
    trailing.push(0);
    assert_eq!(judge(&verifier, &armor(&trailing)), cannot_tell(FormatError::Der));
}

#[test]
fn certificates_are_held_to_their_purpose_and_their_authority() {
    let Some(workshop) = Workshop::new("purposes of certificates", &[]) else { return };
    workshop.issue("stranger-root", "stranger-root", ROOT, ALWAYS);
    let issue = |name: &str, issuer: &str, from: &str, to: &str| {
        workshop.issue(name, issuer, &MAIL.replace(from, to), ALWAYS);
    };
    issue("server", "middle", "emailProtection", "serverAuth");
    issue("any", "middle", "emailProtection", "anyExtendedKeyUsage");
    issue("none", "middle", "extendedKeyUsage=emailProtection\n", "");
    issue("both", "middle", "emailProtection", "clientAuth,emailProtection");
    issue("encrypts", "middle", "digitalSignature", "keyEncipherment");
    issue("repudiates-not", "middle", "digitalSignature", "nonRepudiation");
    issue("nameless", "middle", "subjectAltName=email:NAME@corp.example\n", "");
    issue("stranger", "stranger-root", "", "");
    issue("critical", "middle", "basicConstraints", "1.2.3.4=critical,ASN1:NULL\nbasicConstraints");
    // An authority that is none, one below one that may have none below it, and one that may not sign.
    issue("under-alice", "alice", "", "");
    workshop.issue("lower", "middle", INTERMEDIATE, ALWAYS);
    issue("under-lower", "lower", "", "");
    workshop.issue("idle", "root", &INTERMEDIATE.replace("keyCertSign,", ""), ALWAYS);
    issue("under-idle", "idle", "", "");
    workshop.issue("servers", "root", &format!("{INTERMEDIATE}extendedKeyUsage=serverAuth\n"), ALWAYS);
    issue("under-servers", "servers", "", "");
    let constraint = "nameConstraints=critical,permitted;email:corp.example\n";
    workshop.issue("constrained", "root", &format!("{INTERMEDIATE}{constraint}"), ALWAYS);
    issue("under-constrained", "constrained", "", "");

    let verifier = verifier(&workshop);
    let judge_by = |name: &'static str, issuer: &'static str| {
        let message = Message::by(name).with(|m| m.certificates = vec![name, issuer, "middle"]);
        judge(&verifier, &message.armored(&workshop))
    };
    for name in ["any", "none", "both", "repudiates-not"] {
        assert_eq!(signer(&judge_by(name, "middle")), Some(format!("X.509 {name}@corp.example of corp")));
    }
    let Verdict::Stated(stated) = judge_by("nameless", "middle") else { panic!("it has no address alone") };
    let fingerprint = hex::encode_upper(countersign::encoding::sha256(&[&workshop.der("nameless")]));
    let authority = "corp".to_owned();
    assert_eq!(stated.keys(), [Key::X509Certificate { authority, fingerprint }]);
    for (name, issuer, cause) in [
        ("server", "middle", CannotTell::CertificateUsage),
        ("encrypts", "middle", CannotTell::CertificateUsage),
        ("under-servers", "servers", CannotTell::CertificateUsage),
        ("stranger", "stranger-root", CannotTell::UnknownCertificateAuthority),
        ("critical", "middle", CannotTell::CertificatePath),
        ("under-alice", "alice", CannotTell::UnknownCertificateAuthority),
        ("under-lower", "lower", CannotTell::CertificatePath),
        // Fit as it is, but constraints on addresses are not understood.
        ("under-constrained", "constrained", CannotTell::CertificatePath),
        ("under-idle", "idle", CannotTell::UnknownCertificateAuthority),
        // An authority's own certificate signs no objects.
        ("middle", "root", CannotTell::CertificateUsage),
    ] {
        assert_eq!(judge_by(name, issuer), cannot_tell(cause), "{name}");
    }
}

#[test]
fn validity_is_judged_at_the_stated_time() {
    let Some(workshop) = Workshop::new("validity of certificates", &[]) else { return };
    workshop.issue("former", "middle", MAIL, YEAR_2021);
    workshop.issue("brief", "root", INTERMEDIATE, YEAR_2021);
    workshop.issue("outlives", "brief", MAIL, ALWAYS);
    workshop.issue("old-root", "old-root", ROOT, YEAR_2021);
    workshop.issue("orphan", "old-root", MAIL, ALWAYS);
    let authorities = ["root", "old-root"]
        .map(|name| CertificateAuthority::from_pem(name, workshop.pem(&[name]).as_bytes()).unwrap());
    let verifier = Verifier::new(Vec::new()).with_smime(Authorities::new(authorities.into()));
    let judge_at = |name: &'static str, issuer: &'static str, time: i64| {
        let message = Message::by(name).with(|m| m.certificates = vec![name, issuer]).at(time);
        judge(&verifier, &message.armored(&workshop))
    };
    let year = 365 * 86_400;
    for (name, issuer, later, earlier) in [
        ("former", "middle", CannotTell::KeyExpired, CannotTell::CertificateChainWindow),
        ("outlives", "brief", CannotTell::CertificateChainWindow, CannotTell::CertificateChainWindow),
        ("orphan", "old-root", CannotTell::CertificateChainWindow, CannotTell::CertificateChainWindow),
    ] {
        // The chain that was found first is remembered, and is no excuse at other times.
        for _ in 0..2 {
            match judge_at(name, issuer, MIDDLE_OF_2021) {
                Verdict::Stated(stated) => assert!(stated.key_expired(), "{name}: it has ended since"),
                other => panic!("{name}: {other:?}"),
            }
            assert_eq!(judge_at(name, issuer, MIDDLE_OF_2021 + year), cannot_tell(later), "{name}");
            assert_eq!(judge_at(name, issuer, MIDDLE_OF_2021 - year), cannot_tell(earlier), "{name}");
        }
    }
    // Whoever still holds the key states what time he likes: such a verdict proves none.
    let Verdict::Stated(backdated) = judge_at("former", "middle", MIDDLE_OF_2021) else { panic!() };
    assert_eq!(backdated.time(), Some(MIDDLE_OF_2021));
}

#[test]
fn what_a_revocation_list_names_counts_at_no_time() {
    let Some(workshop) = Workshop::new("revocation lists", &[]) else { return };
    for name in ["mallory", "eve"] {
        workshop.issue(name, "middle", MAIL, ALWAYS);
    }
    let list = |issuer: &str, revoked: &[&str], made: &str| {
        let fixed = ["ca", "-config", "ca.cnf"];
        for name in revoked {
            let certificate = format!("{name}.pem");
            let by = ["-revoke", &certificate, "-keyfile", "root.key", "-cert", "root.pem"];
            workshop.run("openssl", &[&fixed[..], &by].concat());
        }
        let (key, certificate) = (format!("{issuer}.key"), format!("{issuer}.pem"));
        let by = ["-gencrl", "-keyfile", &key, "-cert", &certificate, "-crlexts", "numbered"];
        let dates = ["-crl_lastupdate", made, "-crl_nextupdate", "20220101000000Z"];
        workshop.run("openssl", &[&fixed[..], &by, &dates].concat())
    };
    let verdict = |lists: &[&str], name: &'static str| {
        let pem = workshop.pem(&["root"]) + &lists.concat();
        let corp = CertificateAuthority::from_pem("corp", pem.as_bytes()).unwrap();
        let verifier = Verifier::new(Vec::new()).with_smime(Authorities::new(vec![corp]));
        judge(&verifier, &Message::by(name).armored(&workshop))
    };
    let empty = list("middle", &[], "20210101000000Z");
    let older = list("middle", &["mallory"], "20210201000000Z");
    let newer = list("middle", &["eve"], "20210301000000Z");
    let by = |name: &str| Some(format!("X.509 {name}@corp.example of corp"));
    assert_eq!(signer(&verdict(&[&empty], "mallory")), by("mallory"));
    assert_eq!(verdict(&[&older], "mallory"), cannot_tell(CannotTell::KeyRevoked));
    assert_eq!(signer(&verdict(&[&older], "eve")), by("eve"));
    for lists in [[&older, &newer], [&newer, &older], [&newer, &empty]] {
        assert_eq!(verdict(&lists.map(String::as_str), "eve"), cannot_tell(CannotTell::KeyRevoked));
        assert_eq!(signer(&verdict(&lists.map(String::as_str), "alice")), by("alice"));
    }
    // The authority itself is revoked, and with it everybody below.
    let root = list("root", &["middle"], "20210401000000Z");
    assert_eq!(verdict(&[&root], "alice"), cannot_tell(CannotTell::KeyRevoked));
    // A list in its name that it has not signed decides nothing, and stands in the way.
    let body: String = newer.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut forged = STANDARD.decode(body).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    let forged = STANDARD.encode(forged);
    let forged = format!("-----BEGIN X509 CRL-----\n{forged}\n-----END X509 CRL-----\n");
    assert_eq!(verdict(&[&forged], "alice"), cannot_tell(CannotTell::CertificatePath));
}

#[test]
fn authorities_are_kept_apart() {
    let Some(workshop) = Workshop::new("several authorities", &[]) else { return };
    workshop.issue("rival", "rival", ROOT, ALWAYS);
    // The same address, certified by somebody else.
    workshop.issue("alice-elsewhere", "rival", &MAIL.replace("NAME", "alice"), ALWAYS);
    let authorities = [("corp", "root"), ("rival", "rival")]
        .map(|(name, file)| CertificateAuthority::from_pem(name, workshop.pem(&[file]).as_bytes()).unwrap());
    let verifier = Verifier::new(Vec::new()).with_smime(Authorities::new(authorities.into()));
    let by = |name: &'static str| signer(&judge(&verifier, &Message::by(name).armored(&workshop))).unwrap();
    assert_eq!(by("alice"), "X.509 alice@corp.example of corp");
    assert_eq!(by("alice-elsewhere"), "X.509 alice@corp.example of rival");
    // One name for two authorities stands for neither.
    let both = ["root", "rival"]
        .map(|file| CertificateAuthority::from_pem("corp", workshop.pem(&[file]).as_bytes()).unwrap());
    let ambiguous = Verifier::new(Vec::new()).with_smime(Authorities::new(both.into()));
    let verdict = judge(&ambiguous, &Message::by("alice").armored(&workshop));
    assert_eq!(verdict, cannot_tell(CannotTell::UnknownCertificateAuthority));
    // Two names for one root are two authorities, and either name may be the policy's.
    let both = ["one", "two"]
        .map(|name| CertificateAuthority::from_pem(name, workshop.pem(&["root"]).as_bytes()).unwrap());
    let verifier = Verifier::new(Vec::new()).with_smime(Authorities::new(both.into()));
    let Verdict::Stated(stated) = judge(&verifier, &Message::by("alice").armored(&workshop)) else {
        panic!()
    };
    assert_eq!(stated.keys().len(), 4);
}

#[test]
fn a_file_that_is_no_authority_has_its_cause() {
    let Some(workshop) = Workshop::new("files of authorities", &[]) else { return };
    let read = |text: &str| CertificateAuthority::from_pem("x", text.as_bytes()).map(|_| ());
    let (root, middle) = (workshop.pem(&["root"]), workshop.pem(&["middle"]));
    assert_eq!(read(&root), Ok(()));
    assert_eq!(read(&format!("Corp's own\n{middle}\n{root}")), Ok(()));
    let key = std::fs::read_to_string(workshop.path("root.key")).unwrap();
    for (text, cause) in [
        (middle, AuthorityError::NoRoot),
        (workshop.pem(&["alice"]), AuthorityError::NoRoot),
        (String::new(), AuthorityError::Pem),
        ("garbage".to_owned(), AuthorityError::Pem),
        (root.replace("-----END", "----END"), AuthorityError::Pem),
        (root.replace(" CERTIFICATE", " X509 CRL") + &root, AuthorityError::RevocationList),
        (format!("{root}{key}"), AuthorityError::PrivateKey),
        (root.repeat(2000), AuthorityError::TooLarge),
    ] {
        assert_eq!(read(&text), Err(cause), "{text:.60}");
    }
}
