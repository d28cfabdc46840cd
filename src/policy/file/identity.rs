//! `[identity.NAME]`: whom a name of the policy's own stands for.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{PolicyError, check_name, spelling::nearest};
use crate::{
    policy::{AuthorityEntry, NamedIdentity},
    signature::ssh,
    sigstore::certificate::SubjectKind,
    verify::{Identity, Key},
    words::escape,
};

/// The keys of the table, and of the tables in it.
pub(super) const KEYS: [&str; 5] = ["keyless", "ssh", "ssh_certificates", "openpgp", "x509"];
pub(super) const SSH_CERTIFICATE_KEYS: [&str; 2] = ["authority", "principal"];
pub(super) const X509_KEYS: [&str; 3] = ["authority", "subject", "certificate"];
pub(super) const KEYLESS_KEYS: [&str; 4] = ["instance", "issuer", "kind", "subject"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityText {
    #[serde(default)]
    pub(super) keyless: Vec<KeylessText>,
    #[serde(default)]
    pub(super) ssh: Vec<String>,
    #[serde(default)]
    pub(super) ssh_certificates: Vec<SshCertificateText>,
    #[serde(default)]
    pub(super) openpgp: Vec<String>,
    #[serde(default)]
    pub(super) x509: Vec<X509Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct X509Text {
    pub(super) authority: String,
    pub(super) subject: Option<String>,
    pub(super) certificate: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SshCertificateText {
    pub(super) authority: String,
    pub(super) principal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeylessText {
    pub(super) instance: String,
    pub(super) issuer: String,
    pub(super) kind: KindText,
    pub(super) subject: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KindText {
    Email,
    Uri,
    Username,
}

/// How the file and rule digests write a kind of subject.
pub(in crate::policy) fn kind_name(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Email => "email",
        SubjectKind::Uri => "uri",
        SubjectKind::Username => "username",
    }
}

/// The inline table that names exactly this identity in a policy file, fit for a terminal: whatever stands
/// in a name, pasting the table names no more than that one identity.
#[must_use]
pub fn policy_entry(identity: &Identity) -> String {
    format!(
        "{{ instance = {}, issuer = {}, kind = {}, subject = {} }}",
        quoted(&identity.instance),
        quoted(&identity.issuer),
        quoted(kind_name(identity.kind)),
        quoted(&identity.subject)
    )
}

/// `text` as a basic string of TOML, with everything escaped that [`escape`] would not show as it is.
pub(in crate::policy) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        let mut buffer = [0; 4];
        let plain = character.encode_utf8(&mut buffer);
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
            quoted.push(character);
        } else if escape(plain) == *plain {
            quoted.push(character);
        } else {
            quoted.push_str(&format!("\\U{:08x}", u32::from(character)));
        }
    }
    quoted.push('"');
    quoted
}

/// The identity called `name`, as its table says.
pub(super) fn named_identity(
    name: String,
    text: IdentityText,
    instances: &BTreeSet<String>,
    authorities: &[AuthorityEntry],
) -> Result<NamedIdentity, PolicyError> {
    check_name(&name)?;
    let place = || format!("identity '{name}'");
    let keys = text.ssh.len() + text.ssh_certificates.len() + text.openpgp.len() + text.x509.len();
    if text.keyless.is_empty() && keys == 0 {
        return Err(PolicyError::Empty { key: "keyless", place: place() });
    }
    let mut keys = Vec::new();
    for line in text.ssh {
        keys.push(Key::Ssh { fingerprint: ssh_fingerprint(&line, place)? });
    }
    for SshCertificateText { authority, principal } in text.ssh_certificates {
        let authority = ssh_fingerprint(&authority, place)?;
        if principal.is_empty() {
            return Err(PolicyError::Empty { key: "principal", place: place() });
        }
        if principal.contains('*') {
            return Err(PolicyError::SignerPattern(escape(&principal)));
        }
        keys.push(Key::SshCertificate { authority, principal });
    }
    for fingerprint in text.openpgp {
        let valid =
            [40, 64].contains(&fingerprint.len()) && fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
        if !valid {
            return Err(PolicyError::Fingerprint { fingerprint: escape(&fingerprint), place: place() });
        }
        keys.push(Key::OpenPgp { fingerprint: fingerprint.to_ascii_uppercase() });
    }
    for entry in text.x509 {
        keys.push(x509_key(&name, entry, authorities)?);
    }
    let mut keyless = Vec::new();
    for KeylessText { instance, issuer, kind, subject } in text.keyless {
        if !instances.contains(&instance) {
            let suggestion = nearest(&instance, instances.iter().map(String::as_str));
            return Err(PolicyError::UnknownInstance {
                identity: name,
                instance: escape(&instance),
                suggestion,
            });
        }
        for (key, value) in [("issuer", &issuer), ("subject", &subject)] {
            if value.is_empty() {
                return Err(PolicyError::Empty { key, place: place() });
            }
            if value.contains('*') {
                return Err(PolicyError::SignerPattern(escape(value)));
            }
        }
        let kind = match kind {
            KindText::Email => SubjectKind::Email,
            KindText::Uri => SubjectKind::Uri,
            KindText::Username => SubjectKind::Username,
        };
        keyless.push(Identity { instance, issuer, kind, subject });
    }
    Ok(NamedIdentity { name, keyless, keys })
}

/// Who is meant by an entry of `x509`: an address that the authority certifies, or one certificate.
fn x509_key(identity: &str, text: X509Text, authorities: &[AuthorityEntry]) -> Result<Key, PolicyError> {
    let X509Text { authority, subject, certificate } = text;
    let place = || format!("identity '{identity}'");
    if authorities.iter().all(|entry| entry.name != authority) {
        let suggestion = nearest(&authority, authorities.iter().map(|entry| entry.name.as_str()));
        let (identity, authority) = (identity.to_owned(), escape(&authority));
        return Err(PolicyError::UnknownAuthority { identity, authority, suggestion });
    }
    match (subject, certificate) {
        (Some(subject), None) if subject.is_empty() => {
            Err(PolicyError::Empty { key: "subject", place: place() })
        }
        (Some(subject), None) if subject.contains('*') => Err(PolicyError::SignerPattern(escape(&subject))),
        (Some(subject), None) if subject.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Key::X509 { authority, subject })
        }
        (None, Some(certificate)) => {
            let fingerprint = certificate.replace(':', "").to_ascii_uppercase();
            let valid = fingerprint.len() == 64 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
            let key = Key::X509Certificate { authority, fingerprint };
            if valid { Ok(key) } else { Err(PolicyError::X509Signer { place: place() }) }
        }
        _ => Err(PolicyError::X509Signer { place: place() }),
    }
}

/// The fingerprint of a public key as `ssh-keygen` writes it: type, base64 of the blob, perhaps a comment.
fn ssh_fingerprint(line: &str, place: impl Fn() -> String) -> Result<String, PolicyError> {
    ssh::line_fingerprint(line).map_err(|cause| PolicyError::Key { key: escape(line), place: place(), cause })
}
