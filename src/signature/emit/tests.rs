//! The emitted bytes against other readers: this crate's own, the `cms` crate and OpenSSL.

use std::{fs, process::Command};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::AsDer as _,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use cms::{content_info::ContentInfo, signed_data::SignedData};
use der::{Decode as _, Encode as _, asn1::BitString};
use x509_cert::{
    Certificate, TbsCertificate, Version, name::Name, serial_number::SerialNumber,
    spki::SubjectPublicKeyInfoOwned, time::Validity,
};

use super::{
    ECDSA_WITH_SHA_256, EmitError, Evidence, ID_LOG_ENTRY, ID_TIMESTAMP_TOKEN, SignedAttributes, algorithm,
    detached_signature, time,
};
use crate::encoding::cms as reader;

const NOW: i64 = 1_700_000_000;
const PAYLOAD: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nmessage\r\nwith odd ends";

pub(crate) fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
}

/// A self-signed certificate for `key`, valid from `not_before` to `not_after` (seconds since 1970).
pub(crate) fn certificate(key: &EcdsaKeyPair, not_before: i64, not_after: i64) -> Vec<u8> {
    let name: Name = "CN=leaf,O=test".parse().unwrap();
    let tbs = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&[0x13, 0x37]).unwrap(),
        signature: algorithm(ECDSA_WITH_SHA_256),
        issuer: name.clone(),
        validity: Validity { not_before: time(not_before).unwrap(), not_after: time(not_after).unwrap() },
        subject: name,
        subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(
            key.public_key().as_der().unwrap().as_ref(),
        )
        .unwrap(),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: None,
    };
    let signature = key.sign(&SystemRandom::new(), &tbs.to_der().unwrap()).unwrap();
    Certificate {
        tbs_certificate: tbs,
        signature_algorithm: algorithm(ECDSA_WITH_SHA_256),
        signature: BitString::from_bytes(signature.as_ref()).unwrap(),
    }
    .to_der()
    .unwrap()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

fn sign(evidence: Evidence<'_>) -> (Vec<u8>, Vec<u8>) {
    let key = key();
    let leaf = certificate(&key, NOW, NOW + 600);
    let attributes = SignedAttributes::new(&sha256(PAYLOAD), NOW).unwrap();
    let signature = key.sign(&SystemRandom::new(), attributes.as_der()).unwrap();
    (detached_signature(&attributes, signature.as_ref(), &leaf, evidence).unwrap(), leaf)
}

#[test]
fn signed_attributes_stand_in_the_order_of_their_encodings() {
    let attributes = SignedAttributes::new(&[0xab; 32], NOW).unwrap();
    let expected = concat!(
        "3169",
        "301806092a864886f70d010903310b06092a864886f70d010701",
        "301c06092a864886f70d010905310f170d3233313131343232313332305a",
        "302f06092a864886f70d01090431220420abababababababababababababababababababababababababababababababab",
    );
    assert_eq!(hex::encode(attributes.as_der()), expected);
}

#[test]
fn times_change_their_form_in_2050() {
    let der = |seconds| SignedAttributes::new(&[0; 32], seconds).unwrap().as_der().to_vec();
    let contains = |der: Vec<u8>, text: &[u8]| der.windows(text.len()).any(|window| window == text);
    assert!(contains(der(2_524_607_999), b"\x17\x0d491231235959Z"));
    assert!(contains(der(2_524_608_000), b"\x18\x0f20500101000000Z"));
    assert_eq!(SignedAttributes::new(&[0; 32], -1), Err(EmitError::Time));
    assert_eq!(SignedAttributes::new(&[0; 32], i64::MAX), Err(EmitError::Time));
}

#[test]
fn the_structure_is_gitsigns() {
    let token = hex::decode("3003020101").unwrap();
    let (der, leaf) =
        sign(Evidence { log_entries: &[b"entry".to_vec()], timestamps: std::slice::from_ref(&token) });

    let parsed = reader::SignedData::parse(&der).unwrap();
    assert_eq!(parsed.version, 1);
    assert!(parsed.content.is_none() && !parsed.has_revocations);
    assert_eq!(parsed.certificates, [leaf.as_slice()]);
    assert!(parsed.digest_algorithms.iter().all(|algorithm| algorithm.parameters.is_none()));
    let [signer] = parsed.signers.as_slice() else { panic!("one signer") };
    assert_eq!(signer.version, 1);
    assert!(signer.digest_algorithm.parameters.is_none() && signer.signature_algorithm.parameters.is_none());
    assert!(matches!(
        signer.identifier,
        reader::SignerIdentifier::IssuerAndSerial { serial: [0x13, 0x37], .. }
    ));
    let value = |kind: &der::asn1::ObjectIdentifier| {
        let mut found = signer.unsigned_attributes.iter().filter(|found| found.kind == kind.as_bytes());
        let attribute = found.next().unwrap();
        assert!(found.next().is_none() && attribute.values.len() == 1);
        attribute.values[0]
    };
    assert_eq!(value(&ID_LOG_ENTRY).value, b"entry");
    assert_eq!(value(&ID_TIMESTAMP_TOKEN).raw, token);

    // What is written by the `cms` crate, it must read and write again alike.
    let content = ContentInfo::from_der(&der).unwrap();
    assert_eq!(content.to_der().unwrap(), der);
    let signed_data: SignedData = content.content.decode_as().unwrap();
    assert_eq!(signed_data.signer_infos.0.len(), 1);
}

#[test]
fn unsigned_attributes_are_in_der_order_whatever_their_size() {
    let long = {
        let mut token = vec![0x30, 0x82, 0x01, 0x00];
        token.resize(260, 5);
        token
    };
    for (entry, token) in [
        (vec![1; 10], long.clone()),
        (vec![1; 1000], vec![0x30, 0]),
        (vec![1; 259], long),
        (vec![2; 3], vec![0x30, 0]),
    ] {
        let (der, _) = sign(Evidence {
            log_entries: std::slice::from_ref(&entry),
            timestamps: std::slice::from_ref(&token),
        });
        let encoded = |kind: &der::asn1::ObjectIdentifier| {
            let content = ContentInfo::from_der(&der).unwrap();
            let signed_data: SignedData = content.content.decode_as().unwrap();
            let signer = signed_data.signer_infos.0.get(0).unwrap();
            let unsigned = signer.unsigned_attrs.as_ref().unwrap();
            unsigned.iter().map(|found| (found.oid == *kind, found.to_der().unwrap())).collect::<Vec<_>>()
        };
        let attributes = encoded(&ID_LOG_ENTRY);
        assert!(attributes[0].1 < attributes[1].1, "{} {}", entry.len(), token.len());
    }
}

#[test]
fn without_evidence_there_are_no_unsigned_attributes() {
    let (der, _) = sign(Evidence::default());
    assert!(reader::SignedData::parse(&der).unwrap().signers[0].unsigned_attributes.is_empty());
}

#[test]
fn parts_that_are_not_what_they_should_be_are_refused() {
    let key = key();
    let leaf = certificate(&key, NOW, NOW + 600);
    let attributes = SignedAttributes::new(&[0; 32], NOW).unwrap();
    let emit = |leaf: &[u8], evidence| detached_signature(&attributes, b"signature", leaf, evidence);
    let trailing = [leaf.as_slice(), &[0]].concat();
    assert_eq!(emit(&trailing, Evidence::default()), Err(EmitError::Certificate));
    assert_eq!(emit(b"", Evidence::default()), Err(EmitError::Certificate));
    let evidence = Evidence { log_entries: &[], timestamps: &[b"\x30\x05\x01".to_vec()] };
    assert_eq!(emit(&leaf, evidence), Err(EmitError::Timestamp));
}

#[test]
fn openssl_verifies_the_signature_and_notices_another_payload() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: openssl_verifies_the_signature_and_notices_another_payload: openssl not found");
        return;
    }
    let (der, _) = sign(Evidence { log_entries: &[b"entry".to_vec()], timestamps: &[] });
    let folder = tempfile::tempdir().unwrap();
    let (signature, content) = (folder.path().join("signature"), folder.path().join("content"));
    fs::write(&signature, der).unwrap();
    let verify = |payload: &[u8]| {
        fs::write(&content, payload).unwrap();
        let mut command = Command::new("openssl");
        command.args(["cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in"]).arg(&signature);
        command.arg("-content").arg(&content).output().unwrap()
    };
    let output = verify(PAYLOAD);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, PAYLOAD);
    assert!(!verify(&[PAYLOAD, b"\n"].concat()).status.success());
}
