//! SSH signatures: one signature a commit, over what the key signs.

use aws_lc_rs::{digest, signature as algorithms};
use countersign::{
    encoding::sha256,
    object::{Commit, HashKind, ObjectId},
    repository::Objects,
    signature::ssh::{self, Curve, Material, MessageHash, SignatureAlgorithm, SshSignature},
};
use der::{Encode as _, asn1::UintRef};

use super::bare::{Bare, Check, Message};

/// The check of each of `ids`, prepared.
pub fn bare(objects: &Objects, ids: &[ObjectId]) -> Vec<Bare> {
    let reader = objects.reader();
    let one = |id: &ObjectId| {
        let object = reader.read(*id).unwrap();
        let commit = Commit::parse(HashKind::Sha1, &object.bytes).unwrap();
        let bytes = ssh::decode(commit.signed.signature.as_deref().unwrap()).unwrap();
        let signature = SshSignature::parse(&bytes).unwrap();
        let payload = commit.signed.payload.to_vec();
        let mut message = signature.signed_data(&[&payload]);
        if let Some((application, presence)) = signature.key.application.zip(signature.signature.presence) {
            let counter = presence.counter.to_be_bytes();
            message =
                [&sha256(&[application])[..], &[presence.flags], &counter, &sha256(&[&message])].concat();
        }
        let (key, algorithm): (Vec<u8>, &'static dyn algorithms::VerificationAlgorithm) =
            match signature.key.material {
                Material::Edwards(bytes) => (bytes.to_vec(), &algorithms::ED25519),
                Material::Point(Curve::P256, point) => (point.to_vec(), &algorithms::ECDSA_P256_SHA256_FIXED),
                Material::Point(Curve::P384, point) => (point.to_vec(), &algorithms::ECDSA_P384_SHA384_FIXED),
                Material::Point(Curve::P521, point) => (point.to_vec(), &algorithms::ECDSA_P521_SHA512_FIXED),
                Material::Rsa { exponent, modulus } => {
                    let key = [UintRef::new(modulus).unwrap(), UintRef::new(exponent).unwrap()];
                    let algorithm = match signature.signature.algorithm {
                        SignatureAlgorithm::RsaSha512 => &algorithms::RSA_PKCS1_2048_8192_SHA512,
                        _ => &algorithms::RSA_PKCS1_2048_8192_SHA256,
                    };
                    (key.to_vec().to_der().unwrap(), algorithm)
                }
            };
        let made = match signature.key.material {
            Material::Point(curve, _) => signature.signature.fixed_ecdsa(curve).unwrap(),
            _ => signature.signature.bytes.to_vec(),
        };
        let hash = match signature.hash {
            MessageHash::Sha256 => &digest::SHA256,
            MessageHash::Sha512 => &digest::SHA512,
        };
        Bare {
            checks: vec![Check::new(algorithm, &key, Message::Bytes(message), &made)],
            hashed: vec![(payload, Some(hash))],
        }
    };
    ids.iter().map(one).collect()
}
