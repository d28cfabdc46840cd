//! `[identity.NAME]`: whom a name of the policy's own stands for.

use serde::Deserialize;

use super::{
    PolicyError, check_name,
    forge_user::{ForgeUserText, forge_user},
    moment::{MomentText, WindowText},
    spelling::nearest,
};
use crate::{
    policy::{
        AuthorityEntry, InstanceEntry, KeySigner, KeylessSigner, LimitError, NamedIdentity, PUBLIC_GOOD,
        SubjectPattern, WantedClaims, Window, ci,
    },
    signature::ssh,
    sigstore::{
        certificate::SubjectKind,
        claims::{Claim, Claims},
    },
    verify::{Identity, Key},
    words::escape,
};

/// The keys of the table, and of the tables in it; of the latter [`super::moment::WINDOW_KEYS`] besides.
pub(super) const KEYS: [&str; 10] = [
    "keyless",
    "ssh",
    "ssh_certificates",
    "openpgp",
    "x509",
    "emails",
    "forge_users",
    "machine",
    "retired",
    "compromised",
];
pub(super) const SSH_KEYS: [&str; 1] = ["key"];
pub(super) const SSH_CERTIFICATE_KEYS: [&str; 2] = ["authority", "principal"];
pub(super) const X509_KEYS: [&str; 3] = ["authority", "subject", "certificate"];
pub(super) const OPENPGP_KEYS: [&str; 1] = ["fingerprint"];
pub(super) const KEYLESS_KEYS: [&str; 12] = [
    "instance",
    "issuer",
    "kind",
    "subject",
    "repository",
    "ref",
    "repository_id",
    "workflow",
    "trigger",
    "runner_environment",
    "visibility",
    "environment",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityText {
    #[serde(default)]
    keyless: Vec<KeylessText>,
    #[serde(default)]
    ssh: Vec<SshText>,
    #[serde(default)]
    ssh_certificates: Vec<SshCertificateText>,
    #[serde(default)]
    openpgp: Vec<OpenPgpText>,
    #[serde(default)]
    x509: Vec<X509Text>,
    #[serde(default)]
    emails: Vec<String>,
    #[serde(default)]
    forge_users: Vec<ForgeUserText>,
    #[serde(default)]
    machine: bool,
    retired: Option<MomentText>,
    compromised: Option<MomentText>,
}

#[derive(Deserialize)]
struct X509Text {
    authority: String,
    subject: Option<String>,
    certificate: Option<String>,
    #[serde(flatten)]
    window: WindowText,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a public key, or a table with 'key'")]
enum SshText {
    Line(String),
    Table {
        key: String,
        #[serde(flatten)]
        window: WindowText,
    },
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a fingerprint, or a table with 'fingerprint'")]
enum OpenPgpText {
    Fingerprint(String),
    Table {
        fingerprint: String,
        #[serde(flatten)]
        window: WindowText,
    },
}

#[derive(Deserialize)]
struct SshCertificateText {
    authority: String,
    principal: String,
    #[serde(flatten)]
    window: WindowText,
}

#[derive(Deserialize)]
struct KeylessText {
    instance: String,
    issuer: String,
    kind: KindText,
    subject: String,
    repository: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    repository_id: Option<String>,
    workflow: Option<String>,
    trigger: Option<String>,
    runner_environment: Option<String>,
    visibility: Option<String>,
    environment: Option<String>,
    #[serde(flatten)]
    window: WindowText,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindText {
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

/// The inline table that names exactly this identity in a policy file, with the claims that tell a build
/// from others, fit for a terminal: whatever stands in a name, pasting the table names no more than that one
/// identity. `None` where a `*` stands in it, which would be a pattern, and for a build of which the certificate
/// does not say enough.
#[must_use]
pub fn policy_entry(identity: &Identity, claims: &Claims) -> Option<String> {
    let mut entry = format!(
        "{{ instance = {}, issuer = {}, kind = {}, subject = {}",
        quoted(&identity.instance),
        quoted(&identity.issuer),
        quoted(kind_name(identity.kind)),
        quoted(&identity.subject)
    );
    let told = [Claim::Repository, Claim::RepositoryId, Claim::Ref];
    let written: Vec<(Claim, &str)> =
        told.into_iter().filter_map(|claim| Some((claim, claims.get(claim)?))).collect();
    for (claim, text) in &written {
        entry.push_str(&format!(", {} = {}", claim.name(), quoted(text)));
    }
    entry.push_str(" }");
    let texts = written.iter().map(|(_, text)| *text);
    let is_pattern =
        [identity.issuer.as_str(), &identity.subject].into_iter().chain(texts).any(|text| text.contains('*'));
    let is_build = identity.kind == SubjectKind::Uri && ci::is_known_issuer(&identity.issuer);
    let is_vague = is_build && ci::REQUIRED.into_iter().any(|claim| claims.get(claim).is_none());
    (!is_pattern && !is_vague).then_some(entry)
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
    instances: &[InstanceEntry],
    authorities: &[AuthorityEntry],
) -> Result<NamedIdentity, PolicyError> {
    check_name(&name)?;
    let place = || format!("identity '{name}'");
    let keys = text.ssh.len() + text.ssh_certificates.len() + text.openpgp.len() + text.x509.len();
    if text.keyless.is_empty() && keys == 0 && text.forge_users.is_empty() {
        return Err(PolicyError::NoSigner(name));
    }
    let moment = |text: Option<MomentText>, key| text.map(|text| text.moment(key, &place())).transpose();
    let outer = Window {
        from: None,
        until: moment(text.retired, "retired")?,
        compromised: moment(text.compromised, "compromised")?,
    };
    let window = |text: &WindowText| text.window(outer, &place());
    let mut keys = Vec::new();
    for text in text.ssh {
        let (line, text) = match text {
            SshText::Line(line) => (line, WindowText::default()),
            SshText::Table { key, window } => (key, window),
        };
        let key = Key::Ssh { fingerprint: ssh_fingerprint(&line, place)? };
        keys.push(KeySigner { key, window: window(&text)? });
    }
    for SshCertificateText { authority, principal, window: text } in text.ssh_certificates {
        let authority = ssh_fingerprint(&authority, place)?;
        if principal.is_empty() {
            return Err(PolicyError::Empty { key: "principal", place: place() });
        }
        if principal.contains('*') {
            return Err(PolicyError::SignerPattern(escape(&principal)));
        }
        keys.push(KeySigner { key: Key::SshCertificate { authority, principal }, window: window(&text)? });
    }
    for text in text.openpgp {
        let (fingerprint, text) = match text {
            OpenPgpText::Fingerprint(fingerprint) => (fingerprint, WindowText::default()),
            OpenPgpText::Table { fingerprint, window } => (fingerprint, window),
        };
        keys.push(KeySigner { key: openpgp_key(&fingerprint, place)?, window: window(&text)? });
    }
    for entry in text.x509 {
        let window = window(&entry.window)?;
        keys.push(KeySigner { key: x509_key(&name, entry, authorities)?, window });
    }
    let mut keyless = Vec::new();
    for text in text.keyless {
        let window = window(&text.window)?;
        keyless.push(keyless_signer(text, &name, window, instances)?);
    }
    for email in &text.emails {
        check_email(email, place)?;
    }
    let mut forge_users = Vec::new();
    for text in text.forge_users {
        let window = window(&text.window)?;
        forge_users.push(forge_user(text, window, place)?);
    }
    Ok(NamedIdentity { name, keyless, keys, emails: text.emails, forge_users, machine: text.machine })
}

/// An address as it can stand between `<` and `>` in a commit, and that looks like itself in a message.
fn check_email(email: &str, place: impl Fn() -> String) -> Result<(), PolicyError> {
    if email.contains('*') {
        return Err(PolicyError::SignerPattern(escape(email)));
    }
    let usable = email.len() <= 320 && email.contains('@') && !email.contains(['<', '>', ' ']);
    let usable = usable && escape(email) == email;
    if usable { Ok(()) } else { Err(PolicyError::Email { email: escape(email), place: place() }) }
}

/// Who is meant by an entry of `x509`: an address that the authority certifies, or one certificate.
fn x509_key(identity: &str, text: X509Text, authorities: &[AuthorityEntry]) -> Result<Key, PolicyError> {
    let X509Text { authority, subject, certificate, window: _ } = text;
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

/// The keyless signer of identity `name` that a table describes.
fn keyless_signer(
    text: KeylessText,
    name: &str,
    window: Window,
    instances: &[InstanceEntry],
) -> Result<KeylessSigner, PolicyError> {
    let place = || format!("identity '{name}'");
    let entry = instances.iter().find(|entry| entry.name == text.instance);
    if entry.is_none() && text.instance != PUBLIC_GOOD {
        let known = instances.iter().map(|entry| entry.name.as_str()).chain([PUBLIC_GOOD]);
        return Err(PolicyError::UnknownInstance {
            identity: name.to_owned(),
            instance: escape(&text.instance),
            suggestion: nearest(&text.instance, known),
        });
    }
    if text.issuer.is_empty() {
        return Err(PolicyError::Empty { key: "issuer", place: place() });
    }
    if text.issuer.contains('*') {
        return Err(PolicyError::SignerPattern(escape(&text.issuer)));
    }
    let issuers = entry.map_or(&[][..], |entry| entry.limits.issuers());
    if !issuers.is_empty() && !issuers.contains(&text.issuer) {
        return Err(PolicyError::NotBelieved {
            identity: name.to_owned(),
            instance: text.instance,
            issuer: escape(&text.issuer),
        });
    }
    let pattern = |key, text: &str| {
        SubjectPattern::parse(text).map_err(|error| match error {
            LimitError::Empty => PolicyError::Empty { key, place: place() },
            _ => PolicyError::Stars { key, text: escape(text), place: place() },
        })
    };
    let written = [
        (Claim::Repository, text.repository),
        (Claim::Ref, text.reference),
        (Claim::RepositoryId, text.repository_id),
        (Claim::Workflow, text.workflow),
        (Claim::Trigger, text.trigger),
        (Claim::RunnerEnvironment, text.runner_environment),
        (Claim::Visibility, text.visibility),
        (Claim::Environment, text.environment),
    ];
    let mut claims = Vec::new();
    for (claim, text) in written {
        let Some(text) = text else { continue };
        if claim != Claim::Ref && text.contains('*') {
            return Err(PolicyError::SignerPattern(escape(&text)));
        }
        claims.push((claim, pattern(claim.name(), &text)?));
    }
    let kind = match text.kind {
        KindText::Email => SubjectKind::Email,
        KindText::Uri => SubjectKind::Uri,
        KindText::Username => SubjectKind::Username,
    };
    let subject = pattern("subject", &text.subject)?;
    let is_ci = ci::is_known_issuer(&text.issuer)
        || entry.is_some_and(|entry| entry.ci_issuers.contains(&text.issuer));
    if kind == SubjectKind::Uri && is_ci {
        let missing = ci::REQUIRED.into_iter().find(|claim| claims.iter().all(|(known, _)| known != claim));
        if let Some(missing) = missing {
            return Err(PolicyError::MissingClaim {
                identity: name.to_owned(),
                subject: escape(&text.subject),
                issuer: escape(&text.issuer),
                key: missing.name(),
            });
        }
    }
    let claims = WantedClaims::new(claims);
    Ok(KeylessSigner { instance: text.instance, issuer: text.issuer, kind, subject, claims, window })
}

/// The key that a fingerprint of an OpenPGP certificate stands for.
pub(super) fn openpgp_key(fingerprint: &str, place: impl Fn() -> String) -> Result<Key, PolicyError> {
    let valid = [40, 64].contains(&fingerprint.len()) && fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
    if !valid {
        return Err(PolicyError::Fingerprint { fingerprint: escape(fingerprint), place: place() });
    }
    Ok(Key::OpenPgp { fingerprint: fingerprint.to_ascii_uppercase() })
}

/// The fingerprint of a public key as `ssh-keygen` writes it: type, base64 of the blob, perhaps a comment.
pub(super) fn ssh_fingerprint(line: &str, place: impl Fn() -> String) -> Result<String, PolicyError> {
    ssh::line_fingerprint(line).map_err(|cause| PolicyError::Key { key: escape(line), place: place(), cause })
}
