//! Plain keys of every kind that `ssh-keygen` makes.

use countersign::verify::{Bad, Key, Verdict};

use crate::workshop::{STATED, Workshop, payload, verify};

/// Every kind of plain key, with the name that git shows.
pub const KINDS: [(&[&str], &str); 6] = [
    (&["ed25519"], "ED25519"),
    (&["ecdsa", "-b", "256"], "ECDSA"),
    (&["ecdsa", "-b", "384"], "ECDSA"),
    (&["ecdsa", "-b", "521"], "ECDSA"),
    (&["rsa", "-b", "2048"], "RSA"),
    (&["rsa", "-b", "3072"], "RSA"),
];

#[test]
fn keys_of_every_kind_are_good_where_ssh_keygen_says_so() {
    let Some(workshop) = Workshop::open("ssh keys") else { return };
    for (index, (kind, name)) in KINDS.iter().enumerate() {
        let key = format!("key{index}");
        workshop.key(&key, kind);
        for hash in ["sha256", "sha512"] {
            let armor = workshop.sign(&key, &payload(), &["-O", &format!("hashalg={hash}")]);
            let fingerprint = workshop.fingerprint(&key);
            let good = format!("Good \"git\" signature with {name} key {fingerprint}\n");
            assert_eq!(workshop.oracle(&payload(), &armor).good(), good);
            let Verdict::Stated(stated) = verify(&payload(), &armor) else { panic!("{kind:?} {hash}") };
            assert_eq!(stated.keys(), [Key::Ssh { fingerprint: fingerprint.clone() }]);
            assert_eq!((stated.signing_key(), stated.time()), (fingerprint.as_str(), Some(STATED)));
            assert!(!stated.key_expired());

            let other = [payload(), b"x".to_vec()].concat();
            assert_eq!(verify(&other, &armor), Verdict::Bad(Bad::Signature));
            assert_ne!(workshop.oracle(&other, &armor).status, 0);
        }
    }
}

#[test]
fn the_stated_time_is_the_committers_or_the_taggers() {
    let Some(workshop) = Workshop::open("ssh stated times") else { return };
    workshop.key("key", &["ed25519"]);
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    for (payload, time) in [
        (format!("tree {tree}\nauthor A <a> 5 +0000\ncommitter C <c> 7 +0000\n\nm\n"), Some(7)),
        (format!("object {tree}\ntype tree\ntag v\ntagger T <t> 9 -0700\n\nm\n"), Some(9)),
        (format!("object {tree}\ntype tree\ntag v\n\ntagger T <t> 9 +0000\n"), None),
        ("certificate version 0.1\npusher key 3 +0000\n\ncommand\n".to_owned(), None),
        (format!("tree {tree}\nauthor A <a> 5 +0000\ncommitter C <c> x7 +0000\n\n"), None),
        (format!("tree {tree}\nauthor A <a> 5 +0000\ncommitter C <c> -7 +0000\n\n"), None),
        (format!("tree {tree}\nauthor A <a> 5 +0000\ncommitter C <c> 99999999999999999999 +0\n\n"), None),
    ] {
        let armor = workshop.sign("key", payload.as_bytes(), &[]);
        let Verdict::Stated(stated) = verify(payload.as_bytes(), &armor) else { panic!("{payload}") };
        assert_eq!(stated.time(), time, "{payload}");
    }
}
