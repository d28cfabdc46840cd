//! The CMS around it all: signers, certificates, attributes, encodings, sizes.

use countersign::{
    encoding::sha256,
    object::{HashKind, Tag},
    signature::{FormatError, armor},
    verify::{Bad, CannotTell},
};

use crate::{
    bad,
    forge::{
        self, CONTENT_TYPE, CONTEXT_0, CONTEXT_1, LOG_ENTRY, MESSAGE_DIGEST, OCTETS, SEQUENCE, SET, SHA256,
        Signature, World, algorithm, attribute, judge, oid, tlv,
    },
    format, good, unclear,
};

#[test]
fn gitsign_317_318_the_digest_is_compared_with_the_content() {
    let world = World::new();
    let signer = world.signer();
    let other = world.logged(forge::unlogged(&signer, &forge::default_attributes(b"other content")));
    assert_eq!(world.judge(&other), bad(Bad::DigestMismatch));
    // Nor does the signature's own content or an empty digest stand in for it.
    let mut inside = world.signed_by(&signer);
    inside.content = Some(forge::PAYLOAD.to_vec());
    assert_eq!(world.judge(&inside), format(FormatError::Content));
}

#[test]
fn the_signed_attributes_say_what_is_signed_once() {
    let world = World::new();
    let signer = world.signer();
    let kind = || attribute(CONTENT_TYPE, &oid(forge::ID_DATA));
    let digest = || attribute(MESSAGE_DIGEST, &tlv(OCTETS, &[&sha256(&[forge::PAYLOAD])]));
    let other = attribute(MESSAGE_DIGEST, &tlv(OCTETS, &[&sha256(&[b"other"])]));
    let values = [tlv(OCTETS, &[&sha256(&[b"other"])]), tlv(OCTETS, &[&sha256(&[forge::PAYLOAD])])];
    let mut two: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    two.sort_unstable();
    let both = tlv(SEQUENCE, &[&oid(MESSAGE_DIGEST), &tlv(SET, &two)]);
    let empty = tlv(SEQUENCE, &[&oid(MESSAGE_DIGEST), &tlv(SET, &[])]);
    let cases = [
        ("no digest", vec![kind()], FormatError::Attribute),
        ("no content type", vec![digest()], FormatError::Attribute),
        ("two digests", vec![kind(), digest(), other], FormatError::Attribute),
        ("the same digest twice", vec![kind(), digest(), digest()], FormatError::Attribute),
        ("two values", vec![kind(), both], FormatError::Attribute),
        ("no value", vec![kind(), empty], FormatError::Attribute),
        (
            "short digest",
            vec![kind(), attribute(MESSAGE_DIGEST, &tlv(OCTETS, &[&[0; 31]]))],
            FormatError::Attribute,
        ),
        (
            "digest of another type",
            vec![kind(), attribute(MESSAGE_DIGEST, &tlv(0x0c, &[&[b'a'; 32]]))],
            FormatError::Attribute,
        ),
        (
            "another content type",
            vec![attribute(CONTENT_TYPE, &oid("1.2.840.113549.1.7.2")), digest()],
            FormatError::Content,
        ),
    ];
    for (what, attributes, cause) in cases {
        let signature = world.logged(forge::unlogged(&signer, &attributes));
        assert_eq!(world.judge(&signature), format(cause), "{what}");
    }
    // As received: what is signed in another order is verified in that order.
    good(world.judge(&world.logged(forge::unlogged(&signer, &[digest(), kind()]))));
}

#[test]
fn a_signature_without_signed_attributes_is_not_read() {
    // A signature over attributes could otherwise be shown as one over content that looks like them.
    let world = World::new();
    let signature = world.signed();
    let mut der = signature.der();
    let signed = signature.signers[0].attribute_set();
    let at = der.windows(signed.len() - 1).position(|window| window == &signed[1..]).unwrap() - 1;
    der[at] = SET;
    assert_eq!(world.judge_armor(&armor::encode(&der)), format(FormatError::Der));
}

#[test]
fn cve_2026_44310_an_empty_certificate_bag_is_not_good() {
    let world = World::new();
    let mut signature = world.signed();
    signature.certificates.clear();
    assert_eq!(world.judge(&signature), format(FormatError::Certificate));
}

#[test]
fn gitsign_810_the_certificate_is_the_signers_and_not_the_first() {
    let world = World::new();
    let attacker = world.signer_for("attacker@example.com");
    let victim = world.signer_for("victim@example.com");
    for order in [[&victim, &attacker], [&attacker, &victim]] {
        let mut signature = world.signed_by(&attacker);
        signature.certificates = order.iter().map(|signer| signer.certificate.clone()).collect();
        // Neither is the victim named nor is a stranger's certificate carried along.
        assert_eq!(world.judge(&signature), format(FormatError::Certificate));
    }
    let mut renamed = world.signed_by(&attacker);
    renamed.signer().identifier = world.unlogged(&victim).signers[0].identifier.clone();
    assert_eq!(world.judge(&renamed), format(FormatError::Certificate), "not in the bag");
    renamed.certificates = vec![victim.certificate.clone()];
    assert_eq!(world.judge(&renamed), bad(Bad::Signature));
}

#[test]
fn certificates_of_the_authority_may_stand_beside_the_signers_once() {
    let world = World::new();
    let mut signature = world.signed();
    let [intermediate, root] = world.authority.certificate_chain().map(<[u8]>::to_vec);
    let leaf = signature.certificates[0].clone();
    for certificates in [
        vec![leaf.clone(), intermediate.clone()],
        vec![intermediate.clone(), leaf.clone()],
        vec![root.clone(), leaf.clone(), intermediate.clone()],
    ] {
        signature.certificates = certificates;
        let proven = good(world.judge(&signature));
        assert_eq!(proven.certificate(), leaf);
    }
    for certificates in [
        vec![leaf.clone(), leaf.clone()],
        vec![leaf.clone(), intermediate.clone(), intermediate.clone()],
        vec![leaf.clone(), world.signer().certificate],
        vec![leaf, World::new().authority.certificate_chain()[0].to_vec()],
    ] {
        signature.certificates = certificates;
        assert_eq!(world.judge(&signature), format(FormatError::Certificate));
    }
}

#[test]
fn there_is_exactly_one_signer() {
    let world = World::new();
    let mut none = world.signed();
    none.signers.clear();
    assert_eq!(world.judge(&none), format(FormatError::Signers));
    let (mut two, other) = (world.signed(), world.signed());
    two.signers.extend(other.signers);
    two.certificates.extend(other.certificates);
    assert_eq!(world.judge(&two), format(FormatError::Signers));
    let mut twice = world.signed();
    twice.signers.push(twice.signers[0].clone());
    assert_eq!(world.judge(&twice), format(FormatError::Signers));
}

#[test]
fn versions_and_digest_algorithms_have_one_value() {
    let world = World::new();
    let sha1 = || algorithm("1.3.14.3.2.26");
    let sha512 = || algorithm("2.16.840.1.101.3.4.2.3");
    type Change = Box<dyn Fn(&mut Signature)>;
    let changes: [(&str, Change, FormatError); 12] = [
        ("version 3", Box::new(|s| s.version = 3), FormatError::Version),
        ("signer version 3", Box::new(|s| s.signer().version = 3), FormatError::Version),
        ("key identifier", Box::new(|s| s.signer().identifier = vec![0x80, 1, 1]), FormatError::Version),
        ("SHA-1", Box::new(move |s| s.signer().digest_algorithm = sha1()), FormatError::Algorithm),
        ("SHA-512", Box::new(move |s| s.signer().digest_algorithm = sha512()), FormatError::Algorithm),
        ("SHA-1 announced", Box::new(move |s| s.digest_algorithms = vec![sha1()]), FormatError::Algorithm),
        ("two announced", Box::new(move |s| s.digest_algorithms.push(sha512())), FormatError::Algorithm),
        ("none announced", Box::new(|s| s.digest_algorithms.clear()), FormatError::Algorithm),
        (
            "parameters",
            Box::new(|s| s.signer().digest_algorithm = tlv(SEQUENCE, &[&oid(SHA256), &[4, 0]])),
            FormatError::Algorithm,
        ),
        ("type", Box::new(|s| s.content_type = "1.2.840.113549.1.9.16.1.4"), FormatError::Content),
        ("revocations", Box::new(|s| s.revocations = tlv(CONTEXT_1, &[])), FormatError::Content),
        ("empty content", Box::new(|s| s.content = Some(Vec::new())), FormatError::Content),
    ];
    for (what, change, cause) in changes {
        let mut signature = world.signed();
        change(&mut signature);
        assert_eq!(world.judge(&signature), format(cause), "{what}");
    }
}

#[test]
fn unsigned_attributes_are_known_and_stand_once() {
    let world = World::new();
    let add = |other: Vec<u8>| {
        let mut signature = world.stamped(world.signed());
        signature.signer().others.push(other);
        world.judge(&signature)
    };
    assert_eq!(
        add(attribute("1.2.840.113549.1.9.6", &tlv(SEQUENCE, &[]))),
        format(FormatError::UnknownAttribute)
    );
    assert_eq!(
        add(attribute("1.3.6.1.4.1.57264.3.9", &tlv(OCTETS, &[]))),
        format(FormatError::UnknownAttribute)
    );
    assert_eq!(add(attribute("1.3.6.1.4.1.57264.3.2", &[2, 1, 0])), format(FormatError::LogEntry));
    assert_eq!(add(attribute(LOG_ENTRY, &tlv(OCTETS, &[b"x"]))), format(FormatError::LogEntry));
    let own = attribute(LOG_ENTRY, &tlv(OCTETS, &[b"x"]));
    let mut signature = world.signed();
    signature.signer().entry = None;
    signature.signer().others = vec![own.clone(), own];
    assert_eq!(world.judge(&signature), format(FormatError::Der), "the same twice");
    signature.signer().others = vec![attribute(LOG_ENTRY, &tlv(0x0c, &[b"x"]))];
    assert_eq!(world.judge(&signature), format(FormatError::LogEntry), "of another type");
}

#[test]
fn unsigned_attributes_stand_in_one_order() {
    let world = World::new();
    let signature = world.stamped(world.signed());
    let der = signature.der();
    let info = signature.signers[0].der();
    // The second of two attributes, put in front of the first: lengths stay as they are.
    let token = {
        let mut alone = signature.signers[0].clone();
        alone.entry = None;
        unsigned(&alone.der())
    };
    let entry = {
        let mut alone = signature.signers[0].clone();
        alone.tokens.clear();
        unsigned(&alone.der())
    };
    let both = unsigned(&info);
    let swapped = if both.starts_with(&token) { [entry, token].concat() } else { [token, entry].concat() };
    assert_ne!(both, swapped);
    let at = der.windows(both.len()).position(|window| window == both).unwrap();
    let mut changed = der.clone();
    changed[at..at + both.len()].copy_from_slice(&swapped);
    good(world.judge_armor(&armor::encode(&der)));
    assert_eq!(world.judge_armor(&armor::encode(&changed)), format(FormatError::Der));
}

/// The contents of the unsigned attributes of a SignerInfo.
fn unsigned(info: &[u8]) -> Vec<u8> {
    use countersign::encoding::der::{self, Tag};
    let mut walk = der::only(info, Tag::Sequence).unwrap().walk();
    let mut last = walk.any().unwrap();
    while !walk.is_empty() {
        last = walk.any().unwrap();
    }
    assert_eq!(last.raw[0], CONTEXT_1);
    last.value.to_vec()
}

#[test]
fn ber_is_not_read() {
    let world = World::new();
    let signature = world.signed();
    let der = signature.der();
    let inner = &der[4..]; // SEQUENCE with a length of two octets
    let indefinite = [&[0x30, 0x80][..], inner, &[0, 0]].concat();
    let length = (inner.len() as u32).to_be_bytes();
    let long_length = [&[0x30, 0x83], &length[1..], inner].concat();
    let value = &signature.signers[0].signature;
    let primitive = tlv(OCTETS, &[value]);
    let half = value.len() / 2;
    let constructed = tlv(0x24, &[&tlv(OCTETS, &[&value[..half]]), &tlv(OCTETS, &[&value[half..]])]);
    let mut info = signature.signers[0].der();
    let at = info.windows(primitive.len()).position(|window| window == primitive).unwrap();
    info.splice(at..at + primitive.len(), constructed);
    let info = tlv(SEQUENCE, &[&info[4..]]);
    let set = tlv(SET, &[&info]);
    let signed_data = tlv(
        SEQUENCE,
        &[
            &[2, 1, 1],
            &tlv(SET, &[&algorithm(SHA256)]),
            &tlv(SEQUENCE, &[&oid(forge::ID_DATA)]),
            &tlv(CONTEXT_0, &[&signature.certificates[0]]),
            &set,
        ],
    );
    let split = tlv(SEQUENCE, &[&oid("1.2.840.113549.1.7.2"), &tlv(CONTEXT_0, &[&signed_data])]);
    for (what, bytes) in [
        ("indefinite length", indefinite),
        ("length in too many octets", long_length),
        ("constructed OCTET STRING", split),
        ("trailing bytes", [der.clone(), vec![0]].concat()),
        ("cut short", der[..der.len() - 1].to_vec()),
        ("nothing", Vec::new()),
        ("nested without end", [0x30, 0x80].repeat(20_000)),
    ] {
        let cause = if bytes.is_empty() { FormatError::Armor } else { FormatError::Der };
        assert_eq!(world.judge_armor(&armor::encode(&bytes)), format(cause), "{what}");
    }
}

#[test]
fn ghsa_cq38_jh5f_37mq_oversized_parts_are_not_read() {
    let world = World::new();
    let mut certificates = world.signed();
    certificates.certificates.extend(std::iter::repeat_n(certificates.certificates[0].clone(), 32));
    assert_eq!(world.judge(&certificates), format(FormatError::Der));
    let mut attributes = world.signed();
    for number in 0..33 {
        attributes.signer().others.push(attribute("1.2.3.4", &[2, 1, number]));
    }
    assert_eq!(world.judge(&attributes), format(FormatError::Der));
    let mut large = world.signed();
    large.signer().others.push(attribute("1.2.3.4", &tlv(OCTETS, &[&vec![0; 256 * 1024]])));
    assert_eq!(world.judge(&large), format(FormatError::TooLarge));
}

#[test]
fn bytes_outside_the_armor_and_other_kinds_have_their_cause() {
    let world = World::new();
    let armor = world.signed().armor();
    let with = |before: &[u8], after: &[u8]| judge(vec![world.instance()], &[before, &armor, after].concat());
    good(with(b"", b""));
    assert_eq!(with(b"", b"\n"), format(FormatError::TrailingBytes));
    assert_eq!(with(b"", &armor), format(FormatError::TrailingBytes), "two armors");
    assert_eq!(with(b"Opening in existing browser session.\n", b""), format(FormatError::Armor));
    for (other, verdict) in [
        ("PGP SIGNATURE", unclear(CannotTell::UnknownKind)),
        ("PGP MESSAGE", unclear(CannotTell::UnknownKind)),
        ("SSH SIGNATURE", format(FormatError::Armor)),
    ] {
        let armor = format!("-----BEGIN {other}-----\n");
        assert_eq!(world.judge_armor(armor.as_bytes()), verdict);
    }
}

#[test]
fn ghsa_h829_5cg7_6hff_an_unsigned_tag_borrows_no_signature() {
    // Neither from what it names nor from what it quotes.
    let head =
        "object 4b825dc642cb6eb9a060e54bf8d69288fbee4904\ntype commit\ntag v1\ntagger A <a@b.c> 1 +0000\n\n";
    let unsigned = format!("{head}message\n");
    assert_eq!(Tag::parse(HashKind::Sha1, unsigned.as_bytes()).unwrap().signed.signature, None);
    let world = World::new();
    let armor = String::from_utf8(world.signed().armor()).unwrap();
    let quoting = format!("{head}message\n{armor}and more\n");
    let tag = Tag::parse(HashKind::Sha1, quoting.as_bytes()).unwrap();
    let verdict = forge::judge(vec![world.instance()], &tag.signed.signature.unwrap());
    assert_eq!(verdict, format(FormatError::TrailingBytes));
}
