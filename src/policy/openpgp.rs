//! The OpenPGP certificates behind a policy's fingerprints: bytes in, a key ring out.

use std::collections::BTreeMap;

use super::{Finding, NamedIdentity, Policy, PolicyError};
use crate::{
    encoding::sha256,
    verify::{
        Key,
        openpgp::{KeyRing, KeyRingError},
    },
};

/// The address in the user id of the keys with which GitHub signs what is made on its web pages.
const FORGE_ADDRESS: &str = "noreply@github.com";

/// What a policy knows of OpenPGP certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenPgp {
    /// Paths relative to the policy file.
    files: Vec<String>,
    /// By fingerprint: a digest over every file that holds the certificate.
    digests: BTreeMap<String, [u8; 32]>,
    forge_keys: Vec<Finding>,
}

impl OpenPgp {
    pub(super) fn new(files: Vec<String>) -> Self {
        Self { files, ..Self::default() }
    }

    pub(super) fn digest(&self, fingerprint: &str) -> Option<[u8; 32]> {
        self.digests.get(fingerprint).copied()
    }

    pub(super) fn forge_keys(&self) -> impl Iterator<Item = &Finding> {
        self.forge_keys.iter()
    }
}

impl Policy {
    /// The files of OpenPGP certificates that the policy names, in its order; paths are relative to it.
    #[must_use]
    pub fn openpgp_certificates(&self) -> &[String] {
        &self.openpgp.files
    }

    /// Take in the content of each of [`Self::openpgp_certificates`], in their order; the key ring by
    /// which OpenPGP signatures are to be judged under this policy.
    ///
    /// # Errors
    /// A file that cannot be used or is missing in `contents`, or a fingerprint without its certificate.
    pub fn take_openpgp_certificates(&mut self, contents: &[Vec<u8>]) -> Result<KeyRing, PolicyError> {
        let mut ring = KeyRing::default();
        let mut digests: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (index, file) in self.openpgp.files.iter().enumerate() {
            let content = contents.get(index).map_or(&[][..], Vec::as_slice);
            let failed = |cause: KeyRingError| PolicyError::OpenPgpCertificates { file: file.clone(), cause };
            let certificates = KeyRing::from_armored(content).map_err(failed)?;
            for fingerprint in certificates.fingerprints() {
                digests.entry(fingerprint).or_default().extend(sha256(&[content]));
            }
            ring.extend(certificates);
        }
        let mut forge_keys = Vec::new();
        for (identity, fingerprint) in self.identities.iter().flat_map(fingerprints) {
            if !digests.contains_key(fingerprint) {
                let (identity, fingerprint) = (identity.to_owned(), fingerprint.to_owned());
                return Err(PolicyError::NoCertificate { identity, fingerprint });
            }
            for user_id in ring.user_ids(fingerprint) {
                if user_id.trim_end_matches('>').ends_with(FORGE_ADDRESS) {
                    forge_keys.push(Finding::ForgeKey { identity: identity.to_owned(), user_id });
                }
            }
        }
        self.openpgp.digests =
            digests.into_iter().map(|(fingerprint, bytes)| (fingerprint, sha256(&[&bytes]))).collect();
        self.openpgp.forge_keys = forge_keys;
        Ok(ring)
    }
}

/// The OpenPGP fingerprints of an identity, beside its name.
fn fingerprints(identity: &NamedIdentity) -> impl Iterator<Item = (&str, &str)> {
    identity.keys.iter().filter_map(|signer| match &signer.key {
        Key::OpenPgp { fingerprint } => Some((identity.name.as_str(), fingerprint.as_str())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use pgp::{
        composed::{KeyType, SecretKeyParamsBuilder},
        ser::Serialize as _,
        types::KeyDetails as _,
    };

    use super::*;

    /// A certificate and its fingerprint.
    fn certificate(user_id: &str) -> (Vec<u8>, String) {
        let mut key = SecretKeyParamsBuilder::default();
        key.key_type(KeyType::Ed25519Legacy).can_certify(true).can_sign(true);
        key.primary_user_id(user_id.to_owned());
        let key = key.build().unwrap().generate(rand::rngs::OsRng).unwrap();
        let fingerprint = hex::encode(key.fingerprint().as_bytes());
        (key.to_public_key().to_bytes().unwrap(), fingerprint)
    }

    fn policy(alice: &str, bob: &str) -> Policy {
        let text = format!(
            "version = 1\nother_refs = \"refuse\"\n\
             [[openpgp_certificates]]\nfile = \"alice\"\n[[openpgp_certificates]]\nfile = \"bob\"\n\
             [identity.alice]\nopenpgp = [\"{alice}\"]\n[identity.bob]\nopenpgp = [\"{bob}\"]\n\
             [[rule]]\nname = \"a\"\nrefs = [\"refs/heads/a\"]\ncommits = [\"alice\"]\n\
             [[rule]]\nname = \"b\"\nrefs = [\"refs/heads/b\"]\ncommits = [\"bob\"]\n"
        );
        Policy::parse(&text).unwrap()
    }

    #[test]
    fn a_rule_digest_covers_the_certificates_of_its_signers_and_no_others() {
        let ((alice, alice_id), (bob, bob_id)) = (certificate("a"), certificate("b"));
        let digests = |contents: &[Vec<u8>]| {
            let mut policy = policy(&alice_id, &bob_id);
            policy.take_openpgp_certificates(contents).unwrap();
            let digest = |index: usize| policy.commit_rule_digest(&policy.rules()[index], |_| None);
            (digest(0).unwrap(), digest(1).unwrap())
        };
        let plain = digests(&[alice.clone(), bob.clone()]);
        assert_ne!(plain.0, plain.1);
        let changed = digests(&[alice.clone(), [bob.clone(), certificate("c").0].concat()]);
        assert_eq!(changed.0, plain.0);
        assert_ne!(changed.1, plain.1);
        let unread = policy(&alice_id, &bob_id);
        assert_eq!(unread.commit_rule_digest(&unread.rules()[0], |_| None), None, "nothing counts unread");
        assert_eq!(unread.check(), [], "and what is checked without them is not led astray");
    }

    #[test]
    fn each_fingerprint_has_its_certificate_and_each_file_is_one() {
        let ((alice, alice_id), (bob, bob_id)) = (certificate("a"), certificate("b"));
        let take = |contents: &[Vec<u8>]| {
            policy(&alice_id, &bob_id).take_openpgp_certificates(contents).map(|_| ()).unwrap_err()
        };
        let fingerprint = bob_id.to_ascii_uppercase();
        assert_eq!(
            take(&[alice.clone(), alice.clone()]),
            PolicyError::NoCertificate { identity: "bob".to_owned(), fingerprint }
        );
        let unusable = |file: &str, cause| PolicyError::OpenPgpCertificates { file: file.to_owned(), cause };
        assert_eq!(take(std::slice::from_ref(&alice)), unusable("bob", KeyRingError::Empty));
        assert_eq!(take(&[b"garbage".to_vec(), bob]), unusable("alice", KeyRingError::Armor));
    }

    #[test]
    fn the_key_of_a_forge_is_pointed_out() {
        let ((forge, forge_id), (bob, bob_id)) =
            (certificate("GitHub <noreply@github.com>"), certificate("b <1+b@users.noreply.github.com>"));
        let mut policy = policy(&forge_id, &bob_id);
        policy.take_openpgp_certificates(&[forge, bob]).unwrap();
        let user_id = "GitHub <noreply@github.com>".to_owned();
        assert_eq!(policy.check(), [Finding::ForgeKey { identity: "alice".to_owned(), user_id }]);
    }

    #[test]
    fn what_is_no_fingerprint_or_no_file_is_refused() {
        let head = "version = 1\nother_refs = \"refuse\"\n";
        let refused = |text: &str| Policy::parse(&format!("{head}{text}")).unwrap_err();
        for text in ["", "ABCDEF0123456789", &"0x".repeat(20), &"a ".repeat(20), &"g".repeat(40)] {
            let identity = format!("[identity.a]\nopenpgp = [\"{text}\"]\n");
            assert!(matches!(refused(&identity), PolicyError::Fingerprint { .. }), "{text}");
        }
        let fingerprint = "a".repeat(40);
        let twice =
            format!("[identity.a]\nopenpgp = [\"{fingerprint}\", \"{}\"]\n", fingerprint.to_uppercase());
        assert!(matches!(refused(&twice), PolicyError::DuplicateSigner { .. }));
        let file = |name: &str| format!("[[openpgp_certificates]]\nfile = \"{name}\"\n");
        assert!(matches!(refused(&file("a=b")), PolicyError::Name(_)));
        assert!(matches!(refused(&file("")), PolicyError::Name(_)));
        assert!(matches!(refused(&(file("a") + &file("a"))), PolicyError::DuplicateName { .. }));
        assert!(matches!(
            refused("[[openpgp_certificates]]\npath = \"a\"\n"),
            PolicyError::UnknownKey { line: 4, .. }
        ));
    }
}
