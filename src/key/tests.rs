//! Which keys are named, and which are of use.

use std::path::PathBuf;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING};

use super::*;

#[test]
fn only_forms_that_nothing_else_has_name_a_key_of_ones_own() {
    for text in [
        "",
        "Alice <alice@example.com>",
        "0xDEADBEEF",
        "/home/alice/.ssh/id_ed25519.pub",
        "~/.ssh/id_ed25519.pub",
        "key::ssh-ed25519 AAAA",
        "ssh-ed25519 AAAA",
        "C:\\keys\\mine.pem",
        "HTTPS://example.com",
        "../x://y",
        "-x://y",
        "a b://c",
        "://c",
    ] {
        assert!(matches!(Reference::parse(text), Ok(None)), "{text}");
    }
    let kms =
        |scheme: &str, key: &str| Some(Reference::Kms { scheme: scheme.to_owned(), key: key.to_owned() });
    assert_eq!(Reference::parse("awskms:///alias/x").unwrap(), kms("awskms", "/alias/x"));
    assert_eq!(Reference::parse("my-hsm://k://y").unwrap(), kms("my-hsm", "k://y"));
    let file = Some(Reference::File(PathBuf::from("/k.pem")));
    assert_eq!(Reference::parse("file:/k.pem").unwrap(), file);
    assert_eq!(Reference::parse("file:///k.pem").unwrap(), file);
    assert!(Reference::parse("file:k.pem").is_err() && Reference::parse("pkcs11:object=x").is_err());
}

#[test]
fn keys_that_cannot_sign_what_verifiers_read_are_refused() {
    let fresh = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let spki = SigningKey::spki(&fresh).unwrap();
    assert!(matches!(kind(&spki), Ok(KeyKind::P256)));
    assert_eq!(p256_spki(EcdsaKeyPair::public_key(&fresh).as_ref()).unwrap(), spki);
    let larger = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    assert!(matches!(kind(&SigningKey::spki(&larger).unwrap()), Err(KeyError::Kind)));
    assert!(matches!(kind(b"nothing"), Err(KeyError::Kind)));
}

/// A keeper that signs with another key than it says.
struct Other(EcdsaKeyPair, Vec<u8>);

impl SigningKey for Other {
    fn spki(&self) -> Result<Vec<u8>, KeyError> {
        Ok(self.1.clone())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        SigningKey::sign(&self.0, message)
    }
}

#[test]
fn a_keeper_that_signs_with_another_key_is_noticed() {
    let [one, two] = [(); 2].map(|()| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap());
    let public = SigningKey::spki(&two).unwrap();
    assert!(matches!(Checked(Box::new(Other(one, public.clone()))).sign(b"x"), Err(KeyError::Signature)));
    let right = Checked(Box::new(Other(two, public)));
    assert!(right.sign(b"x").is_ok());
}
