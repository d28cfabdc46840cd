//! Signatures put together byte by byte, with keys in software where hardware would hold them.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::{
    encoding::sha256,
    verify::{Bad, CannotTell, Key, Verdict},
};

use crate::workshop::{Workshop, armor, payload, verify};

/// A field with its length before it.
pub fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A positive number in its shortest form.
pub fn number(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let bytes = &bytes[first..];
    let filled = if bytes[0] & 0x80 == 0 { bytes.to_vec() } else { [&[0], bytes].concat() };
    string(filled)
}

/// The parts of an SSHSIG blob, each to be spoiled alone.
#[derive(Clone)]
pub struct Parts {
    pub magic: Vec<u8>,
    pub version: u32,
    pub key: Vec<u8>,
    pub namespace: Vec<u8>,
    pub reserved: Vec<u8>,
    pub hash: Vec<u8>,
    pub signature: Vec<u8>,
    pub tail: Vec<u8>,
}

impl Parts {
    pub fn new(key: Vec<u8>) -> Self {
        Self {
            magic: b"SSHSIG".to_vec(),
            version: 1,
            key,
            namespace: b"git".to_vec(),
            reserved: Vec::new(),
            hash: b"sha256".to_vec(),
            signature: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// What the key signs for `payload`.
    pub fn signed(&self, payload: &[u8]) -> Vec<u8> {
        let digest = sha256(&[payload]);
        let fields = [string(&self.namespace), string(&self.reserved), string(&self.hash), string(digest)];
        [b"SSHSIG".to_vec(), fields.concat()].concat()
    }

    pub fn armor(&self) -> Vec<u8> {
        let fields = [
            self.magic.clone(),
            self.version.to_be_bytes().to_vec(),
            string(&self.key),
            string(&self.namespace),
            string(&self.reserved),
            string(&self.hash),
            string(&self.signature),
            self.tail.clone(),
        ];
        armor(&fields.concat())
    }
}

/// A security key in software.
pub enum Token {
    Ed25519(Box<Ed25519KeyPair>),
    Ecdsa(Box<EcdsaKeyPair>),
}

impl Token {
    pub fn both() -> [Self; 2] {
        let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        [Self::Ed25519(Box::new(Ed25519KeyPair::generate().unwrap())), Self::Ecdsa(Box::new(ecdsa))]
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            Self::Ecdsa(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    pub fn blob(&self) -> Vec<u8> {
        let key = match self {
            Self::Ed25519(pair) => string(pair.public_key()),
            Self::Ecdsa(pair) => [string("nistp256"), string(pair.public_key())].concat(),
        };
        [string(self.name()), key, string("ssh:")].concat()
    }

    /// The line of its public key.
    pub fn line(&self) -> String {
        format!("{} {}", self.name(), STANDARD.encode(self.blob()))
    }

    /// A signature blob over `message` with these flags.
    pub fn sign(&self, message: &[u8], flags: u8, counter: u32) -> Vec<u8> {
        let said = [&[flags][..], &counter.to_be_bytes()].concat();
        let enveloped = [&sha256(&[b"ssh:"])[..], &said, &sha256(&[message])].concat();
        let signature = match self {
            Self::Ed25519(pair) => pair.sign(&enveloped).as_ref().to_vec(),
            Self::Ecdsa(pair) => {
                let fixed = pair.sign(&SystemRandom::new(), &enveloped).unwrap();
                let (r, s) = fixed.as_ref().split_at(32);
                [number(r), number(s)].concat()
            }
        };
        [string(self.name()), string(signature), said].concat()
    }

    /// A whole signature over `payload`, with `key` (the blob or a certificate) as its signer.
    pub fn armor(&self, key: Vec<u8>, payload: &[u8], flags: u8) -> Vec<u8> {
        let mut parts = Parts::new(key);
        parts.signature = self.sign(&parts.signed(payload), flags, 7);
        parts.armor()
    }
}

#[test]
fn security_keys_count_where_somebody_touched_them() {
    let Some(workshop) = Workshop::open("ssh security keys") else { return };
    for token in Token::both() {
        workshop.write("token.pub", token.line());
        let fingerprint = workshop.fingerprint("token");
        for flags in [0x01, 0x05, 0x45] {
            let armor = token.armor(token.blob(), &payload(), flags);
            assert!(workshop.oracle(&payload(), &armor).good().ends_with(&format!("{fingerprint}\n")));
            let Verdict::Stated(stated) = verify(&payload(), &armor) else { panic!("{}", token.name()) };
            assert_eq!(stated.keys(), [Key::Ssh { fingerprint: fingerprint.clone() }]);
            assert_eq!(verify(b"other", &armor), Verdict::Bad(Bad::Signature));
        }
        for flags in [0x00, 0x04] {
            let untouched = token.armor(token.blob(), &payload(), flags);
            assert_eq!(verify(&payload(), &untouched), Verdict::CannotTell(CannotTell::NoUserPresence));
            assert_eq!(workshop.oracle(&payload(), &untouched).status, 0, "ssh-keygen leaves that open");
        }
    }
}

#[test]
fn flags_and_counter_are_signed() {
    for token in Token::both() {
        let mut parts = Parts::new(token.blob());
        let untouched = token.sign(&parts.signed(&payload()), 0, 7);
        for (offset, value) in [(5, 1), (1, 8)] {
            parts.signature = untouched.clone();
            let position = untouched.len() - offset;
            parts.signature[position] = value;
            assert_eq!(verify(&payload(), &parts.armor()), Verdict::Bad(Bad::Signature), "{}", token.name());
        }
    }
}

#[test]
fn certificates_of_security_keys_may_want_a_pin() {
    let Some(workshop) = Workshop::open("ssh security key certificates") else { return };
    workshop.key("ca", &["ed25519"]);
    for token in Token::both() {
        workshop.write("token.pub", token.line());
        for (options, flags, good) in [
            (&[][..], 1, true),
            (&["-O", "verify-required"], 1, false),
            (&["-O", "verify-required"], 5, true),
        ] {
            workshop.certify("ca", "token", &[&["-I", "id", "-n", "alice"], options].concat());
            let line = String::from_utf8(workshop.read("token-cert.pub")).unwrap();
            let certificate = STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap();
            let armor = token.armor(certificate, &payload(), flags);
            workshop.oracle(&payload(), &armor).good();
            let verdict = verify(&payload(), &armor);
            if good {
                assert!(matches!(verdict, Verdict::Stated(_)), "{verdict:?}");
            } else {
                assert_eq!(verdict, Verdict::CannotTell(CannotTell::SshCriticalOption));
            }
        }
    }
}
