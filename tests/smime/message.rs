//! CMS made by hand: every part can be given another value before it is signed by openssl.

use std::fs;

use countersign::encoding::{
    der::{self, ObjectIdentifier, Tag},
    x509::Slices,
};

use crate::workshop::{MIDDLE_OF_2021, PAYLOAD, Workshop, armor};

/// How a signer's certificate is named.
#[derive(Clone, Copy)]
pub enum Named {
    IssuerAndSerial,
    KeyIdentifier,
}

/// A SignedData with one signer.
#[derive(Clone)]
pub struct Message {
    /// The name of the certificate and its key.
    pub signer: &'static str,
    pub named: Named,
    /// Names of the certificates that come along.
    pub certificates: Vec<&'static str>,
    /// Object identifier of the digest algorithm.
    pub digest: &'static str,
    /// The signature algorithm, whole.
    pub algorithm: Vec<u8>,
    /// The command of openssl that signs a file.
    pub command: Vec<&'static str>,
    /// Each attribute, whole, in this order; none for no attributes at all.
    pub attributes: Vec<Vec<u8>>,
    /// The content, where it is inside.
    pub content: Option<Vec<u8>>,
    /// How often the SignerInfo stands there.
    pub signers: usize,
    /// The version, where it is not the one that belongs there.
    pub version: Option<u8>,
    pub content_type: &'static str,
    /// What is put behind the SignerInfo's signature.
    pub unsigned: Vec<u8>,
}

pub const ID_DATA: &str = "1.2.840.113549.1.7.1";
pub const SHA256: &str = "2.16.840.1.101.3.4.2.1";
pub const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";

pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = match contents.len() {
        short @ 0..=0x7f => vec![u8::try_from(short).unwrap()],
        middle @ 0x80..=0xff => vec![0x81, u8::try_from(middle).unwrap()],
        long => [&[0x82][..], &u16::try_from(long).unwrap().to_be_bytes()].concat(),
    };
    [&[tag][..], &length, &contents].concat()
}

/// `parts` under `tag` with an indefinite length.
pub fn endless(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[tag, 0x80][..], &parts.concat(), &[0, 0]].concat()
}

pub fn identifier(text: &str) -> Vec<u8> {
    tlv(6, &[ObjectIdentifier::new_unwrap(text).as_bytes()])
}

pub fn algorithm(text: &str) -> Vec<u8> {
    tlv(0x30, &[&identifier(text)])
}

pub fn content_type() -> Vec<u8> {
    attribute("1.2.840.113549.1.9.3", &identifier(ID_DATA))
}

/// signingTime, in seconds since 1970.
pub fn signing_time(seconds: i64) -> Vec<u8> {
    let text = jiff::Timestamp::from_second(seconds).unwrap().strftime("%y%m%d%H%M%SZ").to_string();
    attribute("1.2.840.113549.1.9.5", &tlv(0x17, &[text.as_bytes()]))
}

pub fn message_digest(digest: &[u8]) -> Vec<u8> {
    attribute("1.2.840.113549.1.9.4", &tlv(4, &[digest]))
}

pub fn attribute(kind: &str, value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&identifier(kind), &tlv(0x31, &[value])])
}

impl Message {
    /// A signature over [`PAYLOAD`] by a P-256 key, made in the middle of 2021, with every certificate but
    /// the root's.
    pub fn by(signer: &'static str) -> Self {
        let digest = countersign::encoding::sha256(&[PAYLOAD.as_bytes()]);
        Self {
            signer,
            named: Named::IssuerAndSerial,
            certificates: vec![signer, "middle"],
            digest: SHA256,
            algorithm: algorithm(ECDSA_SHA256),
            command: vec!["dgst", "-sha256", "-sign"],
            attributes: vec![content_type(), signing_time(MIDDLE_OF_2021), message_digest(&digest)],
            content: None,
            signers: 1,
            version: None,
            content_type: ID_DATA,
            unsigned: vec![],
        }
    }

    /// With another stated time.
    pub fn at(mut self, seconds: i64) -> Self {
        self.attributes[1] = signing_time(seconds);
        self
    }

    /// With other parts.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The SignerInfo's fields, signed.
    fn signer_info(&self, workshop: &Workshop) -> Vec<Vec<u8>> {
        let certificate = workshop.der(self.signer);
        let slices = Slices::parse(&certificate).unwrap();
        let (version, name) = match self.named {
            Named::IssuerAndSerial => (1, tlv(0x30, &[slices.issuer, &tlv(2, &[slices.serial])])),
            Named::KeyIdentifier => {
                let extension = slices.extension(&ObjectIdentifier::new_unwrap("2.5.29.14")).unwrap();
                (3, tlv(0x80, &[der::only(extension.value, Tag::OctetString).unwrap().value]))
            }
        };
        let attributes = self.attributes.concat();
        let signed = if attributes.is_empty() { PAYLOAD.into() } else { tlv(0x31, &[&attributes]) };
        fs::write(workshop.path("signed"), signed).unwrap();
        let key = format!("{}.key", self.signer);
        let mut command = self.command.clone();
        command.push(&key);
        command.extend(if command[0] == "pkeyutl" { &["-in", "signed"][..] } else { &["signed"] });
        let signature = workshop.bytes("openssl", &command);
        vec![
            tlv(2, &[&[version]]),
            name,
            algorithm(self.digest),
            if attributes.is_empty() { vec![] } else { tlv(0xa0, &[&attributes]) },
            self.algorithm.clone(),
            tlv(4, &[&signature]),
            self.unsigned.clone(),
        ]
    }

    fn version_field(&self) -> Vec<u8> {
        let own = match self.named {
            Named::IssuerAndSerial => 1,
            Named::KeyIdentifier => 3,
        };
        tlv(2, &[&[self.version.unwrap_or(own)]])
    }

    fn certificates(&self, workshop: &Workshop) -> Vec<u8> {
        if self.certificates.is_empty() {
            return vec![];
        }
        let certificates: Vec<Vec<u8>> = self.certificates.iter().map(|name| workshop.der(name)).collect();
        tlv(0xa0, &[&certificates.concat()])
    }

    fn encapsulated(&self) -> Vec<u8> {
        let content = self.content.as_ref().map(|content| tlv(0xa0, &[&tlv(4, &[content])]));
        [identifier(self.content_type), content.unwrap_or_default()].concat()
    }

    /// In DER, but for the order of the attributes.
    pub fn der(&self, workshop: &Workshop) -> Vec<u8> {
        let info = tlv(0x30, &[&self.signer_info(workshop).concat()]);
        let signed_data = tlv(
            0x30,
            &[
                &self.version_field(),
                &tlv(0x31, &[&algorithm(self.digest)]),
                &tlv(0x30, &[&self.encapsulated()]),
                &self.certificates(workshop),
                &tlv(0x31, &[&info.repeat(self.signers)]),
            ],
        );
        tlv(0x30, &[&identifier("1.2.840.113549.1.7.2"), &tlv(0xa0, &[&signed_data])])
    }

    /// In BER, with an indefinite length for every frame and a signature in two pieces.
    pub fn ber(&self, workshop: &Workshop) -> Vec<u8> {
        let mut fields = self.signer_info(workshop);
        let octets = der::only(&fields[5], Tag::OctetString).unwrap().value.to_vec();
        let (one, two) = octets.split_at(octets.len() / 2);
        fields[5] = endless(0x24, &[&tlv(4, &[one]), &tlv(4, &[two])]);
        let certificates: Vec<Vec<u8>> = self.certificates.iter().map(|name| workshop.der(name)).collect();
        let signed_data = endless(
            0x30,
            &[
                &self.version_field(),
                &endless(0x31, &[&algorithm(self.digest)]),
                &endless(0x30, &[&self.encapsulated()]),
                &endless(0xa0, &[&certificates.concat()]),
                &endless(0x31, &[&endless(0x30, &[&fields.concat()])]),
            ],
        );
        endless(0x30, &[&identifier("1.2.840.113549.1.7.2"), &endless(0xa0, &[&signed_data])])
    }

    /// [`Self::der`] in git's armor.
    pub fn armored(&self, workshop: &Workshop) -> String {
        armor(&self.der(workshop))
    }
}
