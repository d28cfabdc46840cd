//! The certificate authorities of X.509 behind a policy's names: bytes in, authorities to judge with out.

use std::collections::BTreeMap;

use super::{Policy, PolicyError};
use crate::verify::{
    Key,
    smime::{Authorities, CertificateAuthority},
};

/// A certificate authority that the policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityEntry {
    /// The name under which identities speak of it.
    pub name: String,
    /// Path of its certificates in PEM, relative to the policy file.
    pub file: String,
}

/// What a policy knows of certificate authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CertificateAuthorities {
    entries: Vec<AuthorityEntry>,
    /// By name: the digest of its file.
    digests: BTreeMap<String, [u8; 32]>,
}

impl CertificateAuthorities {
    pub(super) fn new(entries: Vec<AuthorityEntry>) -> Self {
        Self { entries, digests: BTreeMap::new() }
    }

    pub(super) fn digest(&self, name: &str) -> Option<[u8; 32]> {
        self.digests.get(name).copied()
    }
}

impl Policy {
    /// The certificate authorities that the policy names, in its order.
    #[must_use]
    pub fn certificate_authorities(&self) -> &[AuthorityEntry] {
        &self.certificate_authorities.entries
    }

    /// Take in the content of the file of each of [`Self::certificate_authorities`], in their order; what
    /// S/MIME signatures are to be judged by under this policy.
    ///
    /// # Errors
    /// A file that cannot be used or is missing in `contents`.
    pub fn take_certificate_authorities(&mut self, contents: &[Vec<u8>]) -> Result<Authorities, PolicyError> {
        let mut authorities = Vec::new();
        for (index, AuthorityEntry { name, .. }) in self.certificate_authorities.entries.iter().enumerate() {
            let content = contents.get(index).map_or(&[][..], Vec::as_slice);
            let authority = CertificateAuthority::from_pem(name, content)
                .map_err(|cause| PolicyError::CertificateAuthority { name: name.clone(), cause })?;
            authorities.push(authority);
        }
        self.certificate_authorities.digests = (authorities.iter())
            .map(|authority| (authority.name().to_owned(), *authority.digest()))
            .collect();
        Ok(Authorities::new(authorities))
    }
}

/// The inline table that names exactly this key in the list `x509` of an identity; `None` for other keys.
#[must_use]
pub fn x509_entry(key: &Key) -> Option<String> {
    let quoted = super::file::quoted;
    match key {
        Key::X509 { authority, subject } => {
            Some(format!("{{ authority = {}, subject = {} }}", quoted(authority), quoted(subject)))
        }
        Key::X509Certificate { authority, fingerprint } => {
            Some(format!("{{ authority = {}, certificate = {} }}", quoted(authority), quoted(fingerprint)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Receipt, SignedBy},
        verify::smime::AuthorityError,
    };

    const HEAD: &str = "version = 1\nother_refs = \"refuse\"\n";
    const CORP: &str = "[[certificate_authority]]\nname = \"corp\"\nfile = \"corp.pem\"\n";

    fn identity(entry: &str) -> String {
        format!("{HEAD}{CORP}[identity.alice]\nx509 = [{entry}]\n")
    }

    fn refused(entry: &str) -> PolicyError {
        Policy::parse(&identity(entry)).unwrap_err()
    }

    #[test]
    fn subjects_and_certificates_are_exact() {
        let fingerprint = "ab".repeat(32);
        let text = identity(&format!(
            "{{ authority = \"corp\", subject = \"alice@corp.example\" }}, \
             {{ authority = \"corp\", certificate = \"{fingerprint}\" }}"
        ));
        let policy = Policy::parse(&text).unwrap();
        let authority = "corp".to_owned();
        let keys = [
            Key::X509 { authority: authority.clone(), subject: "alice@corp.example".to_owned() },
            Key::X509Certificate { authority, fingerprint: fingerprint.to_uppercase() },
        ];
        let of_alice = |policy: &Policy| -> Vec<Key> {
            policy.identities()[0].keys.iter().map(|signer| signer.key.clone()).collect()
        };
        let is_named = |key: &Key| {
            let signed_by = SignedBy::Stated { keys: std::slice::from_ref(key), time: Some(0) };
            policy.names(signed_by, &Receipt::without_anchors(0)) == Ok(vec!["alice"])
        };
        assert_eq!(of_alice(&policy), keys);
        assert!(keys.iter().all(is_named));
        let other = Key::X509 { authority: "corp2".to_owned(), subject: "alice@corp.example".to_owned() };
        assert!(!is_named(&other));
        // What is told to be added is what was meant.
        let entries: Vec<String> = keys.iter().filter_map(x509_entry).collect();
        assert_eq!(of_alice(&Policy::parse(&identity(&entries.join(", "))).unwrap()), keys);
    }

    #[test]
    fn what_names_no_one_exactly_is_refused() {
        for (entry, is_cause) in [
            ("{ authority = \"corp\", subject = \"*@corp.example\" }", "a '*'"),
            ("{ authority = \"corp\", subject = \"\" }", "is empty"),
            ("{ authority = \"corp\", subject = \"a of b\" }", "neither"),
            ("{ authority = \"corp\" }", "neither"),
            ("{ authority = \"corp\", subject = \"a@b\", certificate = \"00\" }", "neither"),
            ("{ authority = \"corp\", certificate = \"abcd\" }", "neither"),
            ("{ authority = \"crop\", subject = \"a@b\" }", "did you mean 'corp'"),
            ("{ authority = \"corp\", email = \"a@b\" }", "unknown key 'email'"),
            (
                "{ authority = \"corp\", subject = \"a@b\" }, { authority = \"corp\", subject = \"a@b\" }",
                "twice",
            ),
        ] {
            let error = refused(entry).to_string();
            assert!(error.contains(is_cause), "{entry}: {error}");
        }
        let twice = Policy::parse(&format!("{HEAD}{CORP}{CORP}")).unwrap_err();
        assert!(matches!(twice, PolicyError::DuplicateName { .. }));
    }

    #[test]
    fn a_file_that_is_none_is_refused_and_nothing_counts_unread() {
        let rule = "[[rule]]\nname = \"r\"\nrefs = [\"refs/heads/a\"]\ncommits = [\"alice\"]\n";
        let text = identity("{ authority = \"corp\", subject = \"a@b\" }") + rule;
        let mut policy = Policy::parse(&text).unwrap();
        assert_eq!(policy.commit_rule_digest(&policy.rules()[0], |_| None), None);
        let error = policy.take_certificate_authorities(&[]).err();
        let cause = AuthorityError::Pem;
        assert_eq!(error, Some(PolicyError::CertificateAuthority { name: "corp".to_owned(), cause }));
        assert_eq!(policy.check(), []);
    }
}
