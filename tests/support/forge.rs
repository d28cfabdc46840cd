//! Signatures made by hand from the parts of an embedded authority, right or wrong at any one place.
//!
//! Everything is written byte by byte, so that a test can also write what no encoder would.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::{
    encoding::sha256,
    object::Payload,
    sandbox::{
        Authority, HashedRekord, Identity, InclusionProof as Proof, KeyAlgorithm, LeafProfile, ManualClock,
        Options, Role, SigningKey,
    },
    signature::armor,
    sigstore::{
        log_entry::{
            self, BodyVersion, Checkpoint, InclusionPromise, InclusionProof, KindVersion, LogId,
            TransparencyLogEntry,
        },
        trusted_root::Instance,
    },
    verify::{Verdict, Verifier},
};
use der::{Decode as _, Encode as _, asn1::ObjectIdentifier};
use prost::Message as _;
use x509_cert::{Certificate, TbsCertificate, ext::Extension};

/// When every world begins, in seconds since 1970.
pub const START: i64 = 1_790_000_000;
/// Who signs unless a test says otherwise.
pub const SIGNER: &str = "dev@example.com";
/// What is signed unless a test says otherwise.
pub const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nmessage\n";

/// OCTET STRING, OBJECT IDENTIFIER, SEQUENCE, SET and context-specific tags.
pub const OCTETS: u8 = 0x04;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
pub const CONTEXT_0: u8 = 0xa0;
pub const CONTEXT_1: u8 = 0xa1;

const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// One DER element over `parts`.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let mut element = vec![tag];
    match contents.len() {
        short @ 0..=0x7f => element.push(short as u8),
        long => {
            let octets = long.to_be_bytes();
            let significant = &octets[octets.iter().position(|octet| *octet != 0).unwrap()..];
            element.push(0x80 | significant.len() as u8);
            element.extend_from_slice(significant);
        }
    }
    [element, contents].concat()
}

/// An OBJECT IDENTIFIER.
pub fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new_unwrap(text).to_der().unwrap()
}

/// An AlgorithmIdentifier without parameters.
pub fn algorithm(text: &str) -> Vec<u8> {
    tlv(SEQUENCE, &[&oid(text)])
}

/// An attribute with one value.
pub fn attribute(kind: &str, value: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&oid(kind), &tlv(SET, &[value])])
}

pub const SHA256: &str = "2.16.840.1.101.3.4.2.1";
pub const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
pub const ID_DATA: &str = "1.2.840.113549.1.7.1";
pub const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
pub const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
pub const LOG_ENTRY: &str = "1.3.6.1.4.1.57264.3.1";
pub const TIMESTAMP_TOKEN: &str = "1.2.840.113549.1.9.16.2.14";

/// An authority whose clock a test sets.
pub struct World {
    pub authority: Authority,
    pub clock: Arc<ManualClock>,
}

/// A key with its certificate.
pub struct Signer {
    pub key: SigningKey,
    pub certificate: Vec<u8>,
}

/// Everything that goes into one SignerInfo, each element whole.
#[derive(Clone)]
pub struct SignerInfo {
    pub version: u8,
    pub identifier: Vec<u8>,
    pub digest_algorithm: Vec<u8>,
    pub attributes: Vec<Vec<u8>>,
    pub signature_algorithm: Vec<u8>,
    pub signature: Vec<u8>,
    pub entry: Option<TransparencyLogEntry>,
    pub tokens: Vec<Vec<u8>>,
    /// Further unsigned attributes.
    pub others: Vec<Vec<u8>>,
}

/// Everything that goes into a signature, each element whole.
#[derive(Clone)]
pub struct Signature {
    pub version: u8,
    pub digest_algorithms: Vec<Vec<u8>>,
    pub content_type: &'static str,
    pub content: Option<Vec<u8>>,
    pub certificates: Vec<Vec<u8>>,
    /// `[1]` behind the certificates.
    pub revocations: Vec<u8>,
    pub signers: Vec<SignerInfo>,
}

impl SignerInfo {
    /// What is signed: the signed attributes as a SET.
    pub fn attribute_set(&self) -> Vec<u8> {
        tlv(SET, &self.attributes.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    pub fn der(&self) -> Vec<u8> {
        let mut signed = self.attribute_set();
        signed[0] = CONTEXT_0;
        let mut unsigned = self.others.clone();
        unsigned.extend(
            self.entry.as_ref().map(|entry| attribute(LOG_ENTRY, &tlv(OCTETS, &[&entry.encode_to_vec()]))),
        );
        if !self.tokens.is_empty() {
            let mut tokens = self.tokens.clone();
            tokens.sort();
            let values = tlv(SET, &tokens.iter().map(Vec::as_slice).collect::<Vec<_>>());
            unsigned.push(tlv(SEQUENCE, &[&oid(TIMESTAMP_TOKEN), &values]));
        }
        unsigned.sort();
        let unsigned = match unsigned.is_empty() {
            true => Vec::new(),
            false => tlv(CONTEXT_1, &unsigned.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        };
        tlv(
            SEQUENCE,
            &[
                &[2, 1, self.version],
                &self.identifier,
                &self.digest_algorithm,
                &signed,
                &self.signature_algorithm,
                &tlv(OCTETS, &[&self.signature]),
                &unsigned,
            ],
        )
    }
}

impl Signature {
    /// The one signer.
    pub fn signer(&mut self) -> &mut SignerInfo {
        &mut self.signers[0]
    }

    /// The one entry.
    pub fn entry(&mut self) -> &mut TransparencyLogEntry {
        self.signers[0].entry.as_mut().unwrap()
    }

    /// The proof of the one entry.
    pub fn proof(&mut self) -> &mut InclusionProof {
        self.entry().inclusion_proof.as_mut().unwrap()
    }

    /// Without what covers the entry's time and index, and without these.
    pub fn without_entry_timestamp(mut self) -> Self {
        let index = self.proof().log_index;
        let entry = self.entry();
        entry.inclusion_promise = None;
        entry.integrated_time = 0;
        entry.log_index = index;
        self
    }

    pub fn der(&self) -> Vec<u8> {
        let set =
            |tag, elements: &[Vec<u8>]| tlv(tag, &elements.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let content =
            self.content.as_ref().map_or(Vec::new(), |content| tlv(CONTEXT_0, &[&tlv(OCTETS, &[content])]));
        let signers: Vec<Vec<u8>> = self.signers.iter().map(SignerInfo::der).collect();
        let signed_data = tlv(
            SEQUENCE,
            &[
                &[2, 1, self.version],
                &set(SET, &self.digest_algorithms),
                &tlv(SEQUENCE, &[&oid(self.content_type), &content]),
                &set(CONTEXT_0, &self.certificates),
                &self.revocations,
                &set(SET, &signers),
            ],
        );
        tlv(SEQUENCE, &[&oid("1.2.840.113549.1.7.2"), &tlv(CONTEXT_0, &[&signed_data])])
    }

    pub fn armor(&self) -> Vec<u8> {
        armor::encode(&self.der())
    }
}

impl World {
    /// An authority of its own, at [`START`].
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let authority = Authority::new(Options { clock: clock.clone(), ..Options::default() }).unwrap();
        Self { authority, clock }
    }

    /// An instance from the trusted root.
    pub fn instance(&self) -> Instance {
        Instance::from_json("sandbox", &self.authority.trusted_root_json()).unwrap()
    }

    /// An instance from the trusted root as `change` leaves it.
    pub fn instance_with(&self, change: impl FnOnce(&mut serde_json::Value)) -> Instance {
        self.instance_called("sandbox", change)
    }

    /// An instance of another name from the trusted root as `change` leaves it.
    pub fn instance_called(&self, name: &str, change: impl FnOnce(&mut serde_json::Value)) -> Instance {
        let mut root = serde_json::from_str(&self.authority.trusted_root_json()).unwrap();
        change(&mut root);
        Instance::from_json(name, &root.to_string()).unwrap()
    }

    /// What a verifier that trusts this world alone says to a signature over [`PAYLOAD`].
    pub fn judge(&self, signature: &Signature) -> Verdict {
        self.judge_armor(&signature.armor())
    }

    pub fn judge_armor(&self, armor: &[u8]) -> Verdict {
        judge(vec![self.instance()], armor)
    }

    /// A key with a certificate of the clock's time for [`SIGNER`].
    pub fn signer(&self) -> Signer {
        self.signer_for(SIGNER)
    }

    pub fn signer_for(&self, identity: &str) -> Signer {
        let key = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let certificate = self.authority.issue_certificate(identity, key.spki_der()).unwrap().remove(0);
        Signer { key, certificate }
    }

    /// A certificate that is valid from `not_before` to `not_after`.
    pub fn signer_valid(&self, not_before: i64, not_after: i64) -> Signer {
        let key = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let identity = Identity::Email(SIGNER.to_owned());
        let profile = LeafProfile {
            not_before,
            not_after,
            ..LeafProfile::new(identity, self.authority.url(), not_before)
        };
        let certificate = self.authority.issue_certificate_as(key.spki_der(), &profile).unwrap().remove(0);
        Signer { key, certificate }
    }

    /// A certificate as `change` leaves it, with a fresh SCT, signed anew.
    pub fn signer_with(&self, change: impl FnOnce(&mut TbsCertificate)) -> Signer {
        self.signer_by(change, |tbs| {
            let sct = self.sct(self.authority.signing_key(Role::CertificateTransparencyLog), tbs);
            sct_list(&[sct])
        })
    }

    /// Like [`Self::signer_with`]; `scts` makes the SCT list extension (`None`: no such extension).
    pub fn signer_by(
        &self,
        change: impl FnOnce(&mut TbsCertificate),
        scts: impl FnOnce(&TbsCertificate) -> Option<Extension>,
    ) -> Signer {
        let Signer { key, certificate } = self.signer();
        let mut tbs = Certificate::from_der(&certificate).unwrap().tbs_certificate;
        tbs.extensions.as_mut().unwrap().retain(|extension| extension.extn_id != SCT_LIST);
        change(&mut tbs);
        let list = scts(&tbs);
        tbs.extensions.as_mut().unwrap().extend(list);
        let authority = self.authority.signing_key(Role::CertificateIntermediate);
        Signer { key, certificate: issue(&tbs, authority) }
    }

    /// An SCT by `log` over `tbs`.
    pub fn sct(&self, log: &SigningKey, tbs: &TbsCertificate) -> Vec<u8> {
        let issuer = self.authority.signing_key(Role::CertificateIntermediate);
        let milliseconds = (START as u64 * 1000).to_be_bytes();
        let tbs = tbs.to_der().unwrap();
        let length = &(tbs.len() as u32).to_be_bytes()[1..];
        let signed = [&[0, 0][..], &milliseconds, &[0, 1], &issuer.key_id(), length, &tbs, &[0, 0]].concat();
        let signature = log.sign(&signed);
        let sct = [&[0][..], &log.key_id(), &milliseconds, &[0, 0, 4, 3]].concat();
        [sct, counted(&signature)].concat()
    }

    /// A signature over [`PAYLOAD`] without evidence.
    pub fn unlogged(&self, signer: &Signer) -> Signature {
        unlogged(signer, &default_attributes(PAYLOAD))
    }

    /// A signature with an entry of the Rekor v1 log: SET and inclusion proof.
    pub fn signed_by(&self, signer: &Signer) -> Signature {
        self.logged(self.unlogged(signer))
    }

    /// A signature by a new signer with an entry of the Rekor v1 log.
    pub fn signed(&self) -> Signature {
        self.signed_by(&self.signer())
    }

    /// `signature` with an entry of the Rekor v1 log, of the clock's time.
    pub fn logged(&self, mut signature: Signature) -> Signature {
        let entry = self.authority.rekor_v1_add(&rekord(&signature)).unwrap();
        signature.signer().entry = Some(TransparencyLogEntry {
            log_index: entry.log_index as i64,
            log_id: Some(LogId { key_id: entry.log_id.to_vec() }),
            kind_version: Some(kind("0.0.1")),
            integrated_time: entry.integrated_time,
            inclusion_promise: Some(InclusionPromise {
                signed_entry_timestamp: entry.signed_entry_timestamp,
            }),
            inclusion_proof: Some(proof(entry.inclusion_proof)),
            canonicalized_body: Vec::new(),
        });
        signature
    }

    /// `signature` with an entry of the Rekor v2 log, which says no time.
    pub fn logged_v2(&self, mut signature: Signature) -> Signature {
        let entry = self.authority.rekor_v2_add(&rekord(&signature)).unwrap();
        signature.signer().entry = Some(TransparencyLogEntry {
            log_index: entry.log_index as i64,
            log_id: Some(LogId { key_id: entry.log_id.to_vec() }),
            kind_version: Some(kind("0.0.2")),
            integrated_time: 0,
            inclusion_promise: None,
            inclusion_proof: Some(proof(entry.inclusion_proof)),
            canonicalized_body: Vec::new(),
        });
        signature
    }

    /// `signature` with a timestamp token of the clock's time.
    pub fn stamped(&self, mut signature: Signature) -> Signature {
        let token = self.authority.timestamp_token(&signature.signer().signature).unwrap();
        signature.signer().tokens.push(token);
        signature
    }
}

/// A timestamp token by parts, each element whole.
#[derive(Clone)]
pub struct Token {
    pub digest_algorithms: Vec<Vec<u8>>,
    pub information: Vec<u8>,
    pub certificates: Vec<Vec<u8>>,
    /// `[1]` behind the certificates.
    pub revocations: Vec<u8>,
    pub identifier: Vec<u8>,
    pub attributes: Vec<Vec<u8>>,
    pub signature_algorithm: Vec<u8>,
    /// `[1]` behind the signature.
    pub unsigned: Vec<u8>,
}

pub const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";
pub const SIGNING_CERTIFICATE_V2: &str = "1.2.840.113549.1.9.16.2.47";

impl Token {
    /// A token over `stamped`, of [`START`], that names `leaf` (DER).
    pub fn new(stamped: &[u8], leaf: &[u8]) -> Self {
        let tbs = Certificate::from_der(leaf).unwrap().tbs_certificate;
        let information = Self::information(stamped, START);
        let committed = tlv(SEQUENCE, &[&tlv(OCTETS, &[&sha256(&[leaf])])]);
        Self {
            digest_algorithms: vec![algorithm(SHA256)],
            attributes: vec![
                attribute(CONTENT_TYPE, &oid(TST_INFO)),
                attribute(MESSAGE_DIGEST, &tlv(OCTETS, &[&sha256(&[&information])])),
                attribute(SIGNING_CERTIFICATE_V2, &tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&committed])])),
            ],
            information,
            certificates: vec![leaf.to_vec()],
            revocations: Vec::new(),
            identifier: tlv(SEQUENCE, &[&tbs.issuer.to_der().unwrap(), &tbs.serial_number.to_der().unwrap()]),
            signature_algorithm: algorithm(ECDSA_SHA256),
            unsigned: Vec::new(),
        }
    }

    /// TSTInfo.
    pub fn information(stamped: &[u8], time: i64) -> Vec<u8> {
        let time = jiff::Timestamp::from_second(time).unwrap().strftime("%Y%m%d%H%M%SZ").to_string();
        let imprint = tlv(SEQUENCE, &[&algorithm(SHA256), &tlv(OCTETS, &[&sha256(&[stamped])])]);
        tlv(SEQUENCE, &[&[2, 1, 1], &oid("1.2.3"), &imprint, &[2, 1, 7], &tlv(0x18, &[time.as_bytes()])])
    }

    /// The token, signed by `key`.
    pub fn der(&self, key: &SigningKey) -> Vec<u8> {
        let set =
            |tag, elements: &[Vec<u8>]| tlv(tag, &elements.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let signature = tlv(OCTETS, &[&key.sign(&set(SET, &self.attributes))]);
        let signer = tlv(
            SEQUENCE,
            &[
                &[2, 1, 1],
                &self.identifier,
                &algorithm(SHA256),
                &set(CONTEXT_0, &self.attributes),
                &self.signature_algorithm,
                &signature,
                &self.unsigned,
            ],
        );
        let content = tlv(CONTEXT_0, &[&tlv(OCTETS, &[&self.information])]);
        let signed_data = tlv(
            SEQUENCE,
            &[
                &[2, 1, 3],
                &set(SET, &self.digest_algorithms),
                &tlv(SEQUENCE, &[&oid(TST_INFO), &content]),
                &set(CONTEXT_0, &self.certificates),
                &self.revocations,
                &tlv(SET, &[&signer]),
            ],
        );
        tlv(SEQUENCE, &[&oid("1.2.840.113549.1.7.2"), &tlv(CONTEXT_0, &[&signed_data])])
    }
}

/// What a verifier that trusts `instances` says to `armor` over [`PAYLOAD`], a day after [`START`].
pub fn judge(instances: Vec<Instance>, armor: &[u8]) -> Verdict {
    Verifier::new(instances).verify(&Payload::whole(PAYLOAD), armor, START + 86_400)
}

/// contentType and messageDigest, in DER order.
pub fn default_attributes(payload: &[u8]) -> Vec<Vec<u8>> {
    vec![
        attribute(CONTENT_TYPE, &oid(ID_DATA)),
        attribute(MESSAGE_DIGEST, &tlv(OCTETS, &[&sha256(&[payload])])),
    ]
}

/// A signature over `attributes` without evidence.
pub fn unlogged(signer: &Signer, attributes: &[Vec<u8>]) -> Signature {
    let tbs = Certificate::from_der(&signer.certificate).unwrap().tbs_certificate;
    let identifier = tlv(SEQUENCE, &[&tbs.issuer.to_der().unwrap(), &tbs.serial_number.to_der().unwrap()]);
    let mut info = SignerInfo {
        version: 1,
        identifier,
        digest_algorithm: algorithm(SHA256),
        attributes: attributes.to_vec(),
        signature_algorithm: algorithm(ECDSA_SHA256),
        signature: Vec::new(),
        entry: None,
        tokens: Vec::new(),
        others: Vec::new(),
    };
    info.signature = signer.key.sign(&info.attribute_set());
    Signature {
        version: 1,
        digest_algorithms: vec![algorithm(SHA256)],
        content_type: ID_DATA,
        content: None,
        certificates: vec![signer.certificate.clone()],
        revocations: Vec::new(),
        signers: vec![info],
    }
}

/// A certificate over `tbs` by `authority`.
pub fn issue(tbs: &TbsCertificate, authority: &SigningKey) -> Vec<u8> {
    let encoded = tbs.to_der().unwrap();
    let signature = tlv(0x03, &[&[0], &authority.sign(&encoded)]);
    tlv(SEQUENCE, &[&encoded, &tbs.signature.to_der().unwrap(), &signature])
}

/// The extension that holds these SCTs.
pub fn sct_list(scts: &[Vec<u8>]) -> Option<Extension> {
    let list: Vec<u8> = scts.iter().flat_map(|sct| counted(sct)).collect();
    Some(extension("1.3.6.1.4.1.11129.2.4.2", false, &tlv(OCTETS, &[&counted(&list)])))
}

/// An extension with `value` inside its OCTET STRING.
pub fn extension(identifier: &str, critical: bool, value: &[u8]) -> Extension {
    Extension {
        extn_id: ObjectIdentifier::new_unwrap(identifier),
        critical,
        extn_value: der::asn1::OctetString::new(value).unwrap(),
    }
}

/// Replace the extension of the same identifier, in its place, or add it.
pub fn set_extension(tbs: &mut TbsCertificate, new: Extension) {
    let extensions = tbs.extensions.as_mut().unwrap();
    match extensions.iter_mut().find(|extension| extension.extn_id == new.extn_id) {
        Some(old) => *old = new,
        None => extensions.push(new),
    }
}

/// Take an extension away.
pub fn drop_extension(tbs: &mut TbsCertificate, identifier: &str) {
    let identifier = ObjectIdentifier::new_unwrap(identifier);
    tbs.extensions.as_mut().unwrap().retain(|extension| extension.extn_id != identifier);
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn rekord(signature: &Signature) -> HashedRekord {
    let signer = &signature.signers[0];
    HashedRekord::new(sha256(&[&signer.attribute_set()]), &signer.signature, &signature.certificates[0])
}

/// The body that a log has for `signature`.
pub fn body(signature: &Signature, version: BodyVersion) -> Vec<u8> {
    let signer = &signature.signers[0];
    log_entry::body(
        version,
        &sha256(&[&signer.attribute_set()]),
        &signer.signature,
        &signature.certificates[0],
        "PKIX_ECDSA_P256_SHA_256",
    )
}

pub fn kind(version: &str) -> KindVersion {
    KindVersion { kind: "hashedrekord".to_owned(), version: version.to_owned() }
}

fn proof(proof: Proof) -> InclusionProof {
    InclusionProof {
        log_index: proof.log_index as i64,
        root_hash: proof.root_hash.to_vec(),
        tree_size: proof.tree_size as i64,
        hashes: proof.hashes.iter().map(|hash| hash.to_vec()).collect(),
        checkpoint: Some(Checkpoint { envelope: proof.checkpoint }),
    }
}

/// A checkpoint in the form of Rekor v1, signed by `key` under the hint of `id`.
pub fn checkpoint(key: &SigningKey, id: &[u8], name: &str, size: u64, root: &[u8]) -> String {
    let text = format!("{name} - 1\n{size}\n{}\n", STANDARD.encode(root));
    let signature = [&id[..4], &key.sign(text.as_bytes())].concat();
    format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(signature))
}

/// The entry of a log of its own that holds `signature` alone: all evidence by `key`, under `id`.
pub fn entry_by(key: &SigningKey, id: &[u8], signature: &Signature, time: i64) -> TransparencyLogEntry {
    let body = body(signature, BodyVersion::V001);
    let payload = log_entry::signed_entry_timestamp_payload(&body, time, id, 0);
    let root = sha256(&[&[0], &body]).to_vec();
    let envelope = checkpoint(key, id, "log.example", 1, &root);
    TransparencyLogEntry {
        log_index: 0,
        log_id: Some(LogId { key_id: id.to_vec() }),
        kind_version: Some(kind("0.0.1")),
        integrated_time: time,
        inclusion_promise: Some(InclusionPromise { signed_entry_timestamp: key.sign(&payload) }),
        inclusion_proof: Some(InclusionProof {
            log_index: 0,
            root_hash: root,
            tree_size: 1,
            hashes: Vec::new(),
            checkpoint: Some(Checkpoint { envelope }),
        }),
        canonicalized_body: Vec::new(),
    }
}

/// A key with a certificate of `authority`'s present time.
pub fn signer_of(authority: &Authority, identity: &str) -> Signer {
    let key = SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let certificate = authority.issue_certificate(identity, key.spki_der()).unwrap().remove(0);
    Signer { key, certificate }
}

/// `payload`, a commit without signature, signed as gitsign's online mode does it: nothing of the log in it.
pub fn online_commit(signer: &Signer, header: &str, payload: &[u8]) -> Vec<u8> {
    let armor = String::from_utf8(unlogged(signer, &default_attributes(payload)).armor()).unwrap();
    let end = payload.windows(2).position(|pair| pair == b"\n\n").unwrap() + 1;
    let folded = format!("{header} {}\n", armor.trim_end().replace('\n', "\n "));
    [&payload[..end], folded.as_bytes(), &payload[end..]].concat()
}

/// `payload`, a tag without signature, signed likewise.
pub fn online_tag(signer: &Signer, payload: &[u8]) -> Vec<u8> {
    [payload, &unlogged(signer, &default_attributes(payload)).armor()].concat()
}

/// What gitsign proposes to the log: a signature over the digits of an object's id, by the same key.
pub fn online_rekord(signer: &Signer, id: &str) -> HashedRekord {
    HashedRekord::new(sha256(&[id.as_bytes()]), &signer.key.sign(id.as_bytes()), &signer.certificate)
}

/// That, entered into the log; its answer.
pub fn log_online(authority: &Authority, signer: &Signer, id: &str) -> Vec<u8> {
    authority.rekor_v1_add(&online_rekord(signer, id)).unwrap().to_json().to_string().into_bytes()
}
