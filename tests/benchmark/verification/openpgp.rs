//! OpenPGP signatures by a forge's RSA keys: one signature a commit, over its digest.
//!
//! Packets are cut by hand (RFC 9580 §4.2, §5.2.3, §5.5.2): only what these two keys make is met here.

use aws_lc_rs::{
    digest,
    signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign::{
    object::{Commit, HashKind, ObjectId},
    repository::Objects,
};
use der::{Encode as _, asn1::UintRef};

use super::bare::{Bare, Check, Message};

/// The check of each of `ids`, prepared; `keys` are all the keys that made them.
pub fn bare(objects: &Objects, ids: &[ObjectId], keys: &[u8]) -> Vec<Bare> {
    let keys: Vec<Vec<u8>> = packets(&dearmored(keys))
        .into_iter()
        .filter(|(tag, _)| *tag == 6)
        .map(|(_, body)| key(&body))
        .collect();
    let reader = objects.reader();
    let one = |id: &ObjectId| {
        let object = reader.read(*id).unwrap();
        let commit = Commit::parse(HashKind::Sha1, &object.bytes).unwrap();
        let (_, packet) = packets(&dearmored(commit.signed.signature.as_deref().unwrap())).remove(0);
        let hashed = 6 + length(&packet[4..6]);
        let unhashed = hashed + 2 + length(&packet[hashed..hashed + 2]);
        let (signature, _) = number(&packet[unhashed + 2..]);
        // What a version 4 signature covers (§5.2.4).
        let trailer = [&packet[..hashed], &[4, 0xff], &u32::try_from(hashed).unwrap().to_be_bytes()].concat();
        let covered = [commit.signed.payload.to_vec(), trailer].concat();
        let (algorithm, hash) = match packet[3] {
            8 => (&RSA_PKCS1_2048_8192_SHA256, &digest::SHA256),
            10 => (&RSA_PKCS1_2048_8192_SHA512, &digest::SHA512),
            other => panic!("hash algorithm {other}"),
        };
        let made_it = |key: &&Vec<u8>| {
            let key = aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, key);
            key.verify(&covered, signature).is_ok()
        };
        let key = keys.iter().find(made_it).expect("one of the keys made it");
        let message = Message::Digest(digest::digest(hash, &covered));
        Bare {
            checks: vec![Check::new(algorithm, key, message, signature)],
            hashed: vec![(covered, Some(hash))],
        }
    };
    ids.iter().map(one).collect()
}

/// `RSAPublicKey` of a version 4 key packet.
fn key(packet: &[u8]) -> Vec<u8> {
    assert_eq!((packet[0], packet[5]), (4, 1), "an RSA key");
    let (modulus, rest) = number(&packet[6..]);
    let (exponent, _) = number(rest);
    [modulus, exponent].map(|number| UintRef::new(number).unwrap()).to_vec().to_der().unwrap()
}

fn number(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes[2..].split_at(length(&bytes[..2]).div_ceil(8))
}

fn length(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// Tag and body of each packet.
fn packets(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut packets = Vec::new();
    while let [header, rest @ ..] = bytes {
        let (tag, octets, length) = if header & 0x40 == 0 {
            let octets = 1 << (header & 3);
            (header >> 2 & 15, octets, length(&rest[..octets]))
        } else {
            match rest[0] {
                short @ 0..=191 => (header & 63, 1, usize::from(short)),
                long @ 192..=223 => {
                    (header & 63, 2, ((usize::from(long) - 192) << 8) + usize::from(rest[1]) + 192)
                }
                other => panic!("length {other}"),
            }
        };
        packets.push((tag, rest[octets..octets + length].to_vec()));
        bytes = &rest[octets + length..];
    }
    packets
}

/// The bytes of every block, one after the other.
fn dearmored(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    let mut bytes = Vec::new();
    let mut block = None;
    for line in text.lines() {
        if line.starts_with("-----BEGIN") {
            block = Some(String::new());
        } else if line.starts_with("-----END") {
            bytes.extend(STANDARD.decode(block.take().unwrap()).unwrap());
        } else if let Some(block) = &mut block
            && !line.starts_with('=')
            && !line.contains(": ")
        {
            block.push_str(line.trim());
        }
    }
    bytes
}
