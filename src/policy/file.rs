//! The policy file: TOML, version 1, nothing unknown and nothing left to guess.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::{
    BUILT_IN, InstanceEntry, LimitError, Limits, Mode, NamedIdentity, OpenPgp, OtherRefs, PUBLIC_GOOD,
    Pattern, PatternError, Permission, Permissions, Policy, Rule, Signers,
};
use crate::{
    object::ObjectId,
    signature::{FormatError, ssh},
    sigstore::certificate::SubjectKind,
    verify::{Identity, Key, openpgp::KeyRingError},
    words::escape,
};

/// The keys of each table; the first is the file itself.
const KEYS: [&str; 6] = ["version", "other_refs", "instance", "openpgp_certificates", "identity", "rule"];
const INSTANCE_KEYS: [&str; 3] = ["name", "trusted_root", "issuers"];
const OPENPGP_CERTIFICATES_KEYS: [&str; 1] = ["file"];
const IDENTITY_KEYS: [&str; 4] = ["keyless", "ssh", "ssh_certificates", "openpgp"];
const SSH_CERTIFICATE_KEYS: [&str; 2] = ["authority", "principal"];
const KEYLESS_KEYS: [&str; 4] = ["instance", "issuer", "kind", "subject"];
const RULE_KEYS: [&str; 15] = [
    "name",
    "refs",
    "commits",
    "tags",
    "create",
    "delete",
    "rewind",
    "replace_tags",
    "lightweight_tags",
    "nested_tags",
    "misnamed_tags",
    "tags_of_trees_and_blobs",
    "bases",
    "anchor",
    "mode",
];

/// The one word that stands for "no signature is asked for".
const UNSIGNED: &str = "unsigned";

/// Why a policy file is refused. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// An anchor that is no full object id.
    #[error("the anchor of rule '{rule}' is not a full object id in lower case")]
    Anchor {
        /// The rule.
        rule: String,
    },
    /// A base that is no full ref name.
    #[error("the base '{base}' of rule '{rule}' is not the full name of a ref")]
    Base {
        /// The rule.
        rule: String,
        /// What it names.
        base: String,
    },
    /// Two identities with one signer, or the same signer twice.
    #[error("the signer '{subject}' is listed twice")]
    DuplicateSigner {
        /// The subject of both.
        subject: String,
    },
    /// Two instances or rules of one name.
    #[error("two {what} are called '{name}'")]
    DuplicateName {
        /// Instances or rules.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A list that would match or allow nothing.
    #[error("'{key}' of {place} is empty")]
    Empty {
        /// The key.
        key: &'static str,
        /// Where it stands.
        place: String,
    },
    /// Not the fingerprint of an OpenPGP certificate.
    #[error(
        "'{fingerprint}' of {place} is not an OpenPGP fingerprint, which has 40 or 64 hexadecimal digits"
    )]
    Fingerprint {
        /// What stands there.
        fingerprint: String,
        /// Where it stands.
        place: String,
    },
    /// A key that cannot be read.
    #[error("'{key}' of {place} is not a public key that is used here: {cause}")]
    Key {
        /// The key as it stands.
        key: String,
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        cause: FormatError,
    },
    /// The file says no version.
    #[error("the policy does not say 'version = 1'")]
    MissingVersion,
    /// The file does not say what happens to refs that no rule names.
    #[error("the policy does not say what happens to 'other_refs'")]
    MissingOtherRefs,
    /// An identity has an OpenPGP fingerprint whose certificate is in none of the files.
    #[error("no file of 'openpgp_certificates' holds the certificate {fingerprint} of identity '{identity}'")]
    NoCertificate {
        /// The identity.
        identity: String,
        /// The fingerprint.
        fingerprint: String,
    },
    /// A file of OpenPGP certificates cannot be used.
    #[error("the OpenPGP certificates in '{file}' cannot be used: {cause}")]
    OpenPgpCertificates {
        /// The file, as the policy names it.
        file: String,
        /// What is wrong with it.
        cause: KeyRingError,
    },
    /// A name that cannot be told from something else, or from another in a message.
    #[error("'{0}' is not a name that can be used")]
    Name(String),
    /// An identity by an issuer that its instance is not believed for.
    #[error(
        "identity '{identity}' names the issuer '{issuer}', which is not among the 'issuers' of instance '{instance}'"
    )]
    NotBelieved {
        /// The identity.
        identity: String,
        /// The instance.
        instance: String,
        /// The issuer.
        issuer: String,
    },
    /// A ref pattern that cannot be meant.
    #[error("the pattern '{pattern}' of rule '{rule}' is refused: {cause}")]
    Pattern {
        /// The rule.
        rule: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        cause: PatternError,
    },
    /// A star in an issuer or a subject.
    #[error("'{0}' holds a '*': issuers, subjects and principals are exact and know no patterns")]
    SignerPattern(String),
    /// `commits` or `tags` is a word other than `unsigned`.
    #[error("'{key} = \"{word}\"' of rule '{rule}' is neither a list of identities nor \"unsigned\"")]
    SignersWord {
        /// The rule.
        rule: String,
        /// `commits` or `tags`.
        key: &'static str,
        /// The word.
        word: String,
    },
    /// Not TOML, or a value of the wrong kind.
    #[error("line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A rule names an identity that the file does not have.
    #[error("rule '{rule}' names the identity '{name}', which is not in the policy{}", did_you_mean(suggestion.as_deref()))]
    UnknownIdentity {
        /// The rule.
        rule: String,
        /// The identity.
        name: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// An identity names an instance that the file does not have.
    #[error("identity '{identity}' names the instance '{instance}', which is not in the policy{}", did_you_mean(suggestion.as_deref()))]
    UnknownInstance {
        /// The identity.
        identity: String,
        /// The instance.
        instance: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// A key that means nothing here.
    #[error("line {line}: unknown key '{key}' in {place}{}", did_you_mean(suggestion.as_deref()))]
    UnknownKey {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// Where it stands.
        place: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// A version that this program does not know.
    #[error("the policy is of version {0}, and this program knows version 1")]
    UnknownVersion(String),
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|suggestion| format!("; did you mean '{suggestion}'?")).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[expect(dead_code, reason = "checked before anything else is read")]
    version: i64,
    other_refs: OtherRefs,
    #[serde(default)]
    instance: Vec<InstanceText>,
    #[serde(default)]
    openpgp_certificates: Vec<OpenPgpCertificatesText>,
    #[serde(default)]
    identity: BTreeMap<String, IdentityText>,
    #[serde(default)]
    rule: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceText {
    name: String,
    trusted_root: Option<String>,
    issuers: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenPgpCertificatesText {
    file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityText {
    #[serde(default)]
    keyless: Vec<KeylessText>,
    #[serde(default)]
    ssh: Vec<String>,
    #[serde(default)]
    ssh_certificates: Vec<SshCertificateText>,
    #[serde(default)]
    openpgp: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SshCertificateText {
    authority: String,
    principal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeylessText {
    instance: String,
    issuer: String,
    kind: KindText,
    subject: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindText {
    Email,
    Uri,
    Username,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of identities or \"unsigned\"")]
enum SignersText {
    Names(Vec<String>),
    Word(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    refs: Vec<String>,
    commits: SignersText,
    tags: Option<SignersText>,
    #[serde(default)]
    create: Permission,
    #[serde(default)]
    delete: Permission,
    #[serde(default)]
    rewind: Permission,
    #[serde(default)]
    replace_tags: Permission,
    #[serde(default)]
    lightweight_tags: Permission,
    #[serde(default)]
    nested_tags: Permission,
    #[serde(default)]
    misnamed_tags: Permission,
    #[serde(default)]
    tags_of_trees_and_blobs: Permission,
    #[serde(default)]
    bases: Vec<String>,
    anchor: Option<String>,
    #[serde(default)]
    mode: Mode,
}

/// How the file and rule digests write a kind of subject.
pub(super) fn kind_name(kind: SubjectKind) -> &'static str {
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
fn quoted(text: &str) -> String {
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

pub(super) fn parse(text: &str) -> Result<Policy, PolicyError> {
    let syntax = |error: toml::de::Error| PolicyError::Syntax {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    };
    let table = DeTable::parse(text).map_err(syntax)?;
    let table = table.get_ref();
    match table.get("version").map(|version| version.get_ref()) {
        None => return Err(PolicyError::MissingVersion),
        Some(DeValue::Integer(version)) if version.as_str() == "1" => {}
        Some(DeValue::Integer(version)) => {
            return Err(PolicyError::UnknownVersion(version.as_str().to_owned()));
        }
        Some(_) => return Err(PolicyError::MissingVersion),
    }
    check_keys(text, table)?;
    if !table.contains_key("other_refs") {
        return Err(PolicyError::MissingOtherRefs);
    }
    let document: Document = toml::from_str(text).map_err(syntax)?;

    let mut instance_names = BTreeSet::from([PUBLIC_GOOD.to_owned()]);
    let mut seen = BTreeSet::new();
    let mut instances = Vec::new();
    for text in document.instance {
        let entry = instance_entry(text)?;
        if !seen.insert(entry.name.clone()) {
            return Err(PolicyError::DuplicateName { what: "instances", name: entry.name });
        }
        instance_names.insert(entry.name.clone());
        instances.push(entry);
    }

    let mut openpgp_certificates: Vec<String> = Vec::new();
    for OpenPgpCertificatesText { file } in document.openpgp_certificates {
        check_name(&file)?;
        if file.contains('=') {
            return Err(PolicyError::Name(file));
        }
        if openpgp_certificates.contains(&file) {
            return Err(PolicyError::DuplicateName { what: "files of OpenPGP certificates", name: file });
        }
        openpgp_certificates.push(file);
    }

    let mut identities = Vec::new();
    let mut names = HashMap::new();
    let mut key_names = HashMap::new();
    for (name, identity) in document.identity {
        let identity = named_identity(name, identity, &instance_names)?;
        for signer in &identity.keyless {
            let entry = instances.iter().find(|entry| entry.name == signer.instance);
            if entry.is_some_and(|entry| !entry.limits.believe(signer)) {
                return Err(PolicyError::NotBelieved {
                    identity: identity.name,
                    instance: signer.instance.clone(),
                    issuer: escape(&signer.issuer),
                });
            }
        }
        for signer in &identity.keyless {
            if names.insert(signer.clone(), identity.name.clone()).is_some() {
                return Err(PolicyError::DuplicateSigner { subject: escape(&signer.subject) });
            }
        }
        for key in &identity.keys {
            if key_names.insert(key.clone(), identity.name.clone()).is_some() {
                return Err(PolicyError::DuplicateSigner { subject: escape(&key.to_string()) });
            }
        }
        identities.push(identity);
    }

    let identity_names: Vec<&str> = identities.iter().map(|identity| identity.name.as_str()).collect();
    let mut rules: Vec<Rule> = Vec::new();
    for rule in document.rule {
        let rule = named_rule(rule, &identity_names)?;
        if rules.iter().any(|other| other.name == rule.name) {
            return Err(PolicyError::DuplicateName { what: "rules", name: rule.name });
        }
        rules.push(rule);
    }
    Ok(Policy {
        instances,
        other_refs: document.other_refs,
        identities,
        names,
        key_names,
        rules,
        openpgp: OpenPgp::new(openpgp_certificates),
    })
}

fn instance_entry(text: InstanceText) -> Result<InstanceEntry, PolicyError> {
    let InstanceText { name, trusted_root, issuers } = text;
    check_name(&name)?;
    let place = || format!("instance '{name}'");
    let has_root = match &trusted_root {
        Some(path) => !path.is_empty(),
        None => BUILT_IN.contains(&name.as_str()),
    };
    if !has_root {
        return Err(PolicyError::Empty { key: "trusted_root", place: place() });
    }
    // A list that is there and empty would believe nothing, and one that is not there everything.
    if issuers.as_ref().is_some_and(Vec::is_empty) {
        return Err(PolicyError::Empty { key: "issuers", place: place() });
    }
    let limits = Limits::new(issuers.unwrap_or_default(), Vec::new()).map_err(|error| match error {
        LimitError::IssuerPattern(issuer) => PolicyError::SignerPattern(escape(&issuer)),
        _ => PolicyError::Empty { key: "issuers", place: place() },
    })?;
    Ok(InstanceEntry { name, trusted_root, limits })
}

fn named_identity(
    name: String,
    text: IdentityText,
    instances: &BTreeSet<String>,
) -> Result<NamedIdentity, PolicyError> {
    check_name(&name)?;
    let place = || format!("identity '{name}'");
    let keys = text.ssh.len() + text.ssh_certificates.len() + text.openpgp.len();
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

/// The fingerprint of a public key as `ssh-keygen` writes it: type, base64 of the blob, perhaps a comment.
fn ssh_fingerprint(line: &str, place: impl Fn() -> String) -> Result<String, PolicyError> {
    ssh::line_fingerprint(line).map_err(|cause| PolicyError::Key { key: escape(line), place: place(), cause })
}

fn named_rule(text: RuleText, identities: &[&str]) -> Result<Rule, PolicyError> {
    check_name(&text.name)?;
    let name = text.name;
    let place = || format!("rule '{name}'");
    if text.refs.is_empty() {
        return Err(PolicyError::Empty { key: "refs", place: place() });
    }
    let mut patterns = Vec::new();
    for pattern in &text.refs {
        patterns.push(Pattern::parse(pattern).map_err(|cause| PolicyError::Pattern {
            rule: name.clone(),
            pattern: escape(pattern),
            cause,
        })?);
    }
    for base in &text.bases {
        let valid = base.starts_with("refs/") && gix::validate::reference::name(base.as_str().into()).is_ok();
        if !valid {
            return Err(PolicyError::Base { rule: name, base: escape(base) });
        }
    }
    let anchor = match &text.anchor {
        None => None,
        Some(hex) => {
            let lower = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let id = ObjectId::from_hex(hex.as_bytes()).ok().filter(|id| lower && !id.is_null());
            Some(id.ok_or_else(|| PolicyError::Anchor { rule: name.clone() })?)
        }
    };
    let commits = signers(&name, "commits", text.commits, identities)?;
    let tags = text.tags.map(|tags| signers(&name, "tags", tags, identities)).transpose()?;
    let permissions = Permissions {
        create: text.create,
        delete: text.delete,
        lightweight_tags: text.lightweight_tags,
        misnamed_tags: text.misnamed_tags,
        nested_tags: text.nested_tags,
        replace_tags: text.replace_tags,
        rewind: text.rewind,
        tags_of_trees_and_blobs: text.tags_of_trees_and_blobs,
    };
    Ok(Rule { name, patterns, commits, tags, permissions, bases: text.bases, anchor, mode: text.mode })
}

fn signers(
    rule: &str,
    key: &'static str,
    text: SignersText,
    identities: &[&str],
) -> Result<Signers, PolicyError> {
    match text {
        SignersText::Word(word) if word == UNSIGNED => Ok(Signers::Unsigned),
        SignersText::Word(word) => {
            Err(PolicyError::SignersWord { rule: rule.to_owned(), key, word: escape(&word) })
        }
        SignersText::Names(names) if names.is_empty() => {
            Err(PolicyError::Empty { key, place: format!("rule '{rule}'") })
        }
        SignersText::Names(names) => match names.iter().find(|name| !identities.contains(&name.as_str())) {
            None => Ok(Signers::Named(names)),
            Some(name) => Err(PolicyError::UnknownIdentity {
                rule: rule.to_owned(),
                name: escape(name),
                suggestion: nearest(name, identities.iter().copied()),
            }),
        },
    }
}

/// A name that looks like itself in every message, and not like the word that means "nobody".
fn check_name(name: &str) -> Result<(), PolicyError> {
    let escaped = escape(name);
    let usable = !name.trim().is_empty() && name.len() <= 200 && escaped == name && name != UNSIGNED;
    if usable { Ok(()) } else { Err(PolicyError::Name(escaped)) }
}

/// Every key against the table that it stands in, with its line.
fn check_keys(text: &str, table: &DeTable<'_>) -> Result<(), PolicyError> {
    let check = |table: &DeTable<'_>, known: &[&str], place: &str| {
        for (key, _) in table {
            if !known.contains(&key.get_ref().as_ref()) {
                return Err(PolicyError::UnknownKey {
                    line: line_of(text, key.span().start),
                    key: escape(key.get_ref()),
                    place: place.to_owned(),
                    suggestion: nearest(key.get_ref(), known.iter().copied()),
                });
            }
        }
        Ok(())
    };
    check(table, &KEYS, "the policy")?;
    let tables = |value: Option<&toml::Spanned<DeValue<'_>>>, known: &[&str], place: &str| {
        for entry in value.and_then(|value| value.get_ref().as_array()).into_iter().flatten() {
            if let Some(table) = entry.get_ref().as_table() {
                check(table, known, place)?;
            }
        }
        Ok(())
    };
    tables(table.get("instance"), &INSTANCE_KEYS, "[[instance]]")?;
    tables(table.get("openpgp_certificates"), &OPENPGP_CERTIFICATES_KEYS, "[[openpgp_certificates]]")?;
    tables(table.get("rule"), &RULE_KEYS, "[[rule]]")?;
    let identities = table.get("identity").and_then(|value| value.get_ref().as_table());
    for (name, identity) in identities.into_iter().flatten() {
        if let Some(identity) = identity.get_ref().as_table() {
            let place = format!("[identity.{}]", escape(name.get_ref()));
            check(identity, &IDENTITY_KEYS, &place)?;
            tables(identity.get("keyless"), &KEYLESS_KEYS, &place)?;
            tables(identity.get("ssh_certificates"), &SSH_CERTIFICATE_KEYS, &place)?;
        }
    }
    Ok(())
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// The known word that needs the fewest changes, if they are few.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let allowed = 1 + word.chars().count() / 4;
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// How many insertions, deletions and replacements lead from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::POLICY;

    fn refused(text: &str) -> PolicyError {
        Policy::parse(text).unwrap_err()
    }

    #[test]
    fn the_first_policy_parses_as_it_stands() {
        let policy = Policy::parse(crate::policy::FIRST_POLICY).unwrap();
        assert_eq!(policy.other_refs(), OtherRefs::Refuse);
        assert_eq!(policy.rules().len(), 2);
        assert_eq!(policy.check(), []);
    }

    #[test]
    fn what_is_not_said_is_refused() {
        let policy = Policy::parse(POLICY).unwrap();
        let rule = &policy.rules()[1];
        assert_eq!(rule.permissions, Permissions::default());
        assert_eq!((rule.permissions.create, rule.mode), (Permission::Refuse, Mode::Enforce));
        assert!(rule.tags.is_none());
    }

    #[test]
    fn a_file_that_does_not_say_is_refused() {
        assert_eq!(refused(""), PolicyError::MissingVersion);
        assert_eq!(refused("version = \"1\""), PolicyError::MissingVersion);
        assert_eq!(refused("version = 1"), PolicyError::MissingOtherRefs);
        assert_eq!(
            refused("version = 2\nnew_key = 1"),
            PolicyError::UnknownVersion("2".to_owned()),
            "and not an unknown key"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
        let error = refused("version = 1\nother_refs = \"refuse\"\n[[rule]]\ncomits = [\"a\"]\n");
        assert_eq!(
            error,
            PolicyError::UnknownKey {
                line: 4,
                key: "comits".to_owned(),
                place: "[[rule]]".to_owned(),
                suggestion: Some("commits".to_owned()),
            }
        );
        assert_eq!(error.to_string(), "line 4: unknown key 'comits' in [[rule]]; did you mean 'commits'?");
        for (text, place) in [
            ("other_ref = 1", "the policy"),
            ("[[instance]]\nnam = 1", "[[instance]]"),
            ("[identity.a]\nkey = 1", "[identity.a]"),
            ("[identity.a]\nkeyless = [{ isuer = 1 }]", "[identity.a]"),
            ("[identity.a]\nssh_certificates = [{ autority = 1 }]", "[identity.a]"),
            ("[[rule]]\nzzzzzzz = 1", "[[rule]]"),
        ] {
            let text = format!("version = 1\n{text}");
            assert!(
                matches!(refused(&text), PolicyError::UnknownKey { place: p, .. } if p == place),
                "{text}"
            );
        }
    }

    const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

    fn with_identity(lines: &str) -> Result<Policy, PolicyError> {
        let rule = "[[rule]]\nname = \"r\"\nrefs = [\"refs/**\"]\ncommits = [\"a\"]\n";
        Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n[identity.a]\n{lines}\n{rule}"))
    }

    #[test]
    fn ssh_keys_and_principals_of_an_authority_are_names() {
        let lines = format!(
            "ssh = [\"{SSH_KEY} a comment\"]\nssh_certificates = [{{ authority = \"{SSH_KEY}\", principal = \"al\" }}]"
        );
        let policy = with_identity(&lines).unwrap();
        let authority = ssh::line_fingerprint(SSH_KEY).unwrap();
        let certificate = |principal: &str| Key::SshCertificate {
            authority: authority.clone(),
            principal: principal.to_owned(),
        };
        assert_eq!(policy.name_of_key(&Key::Ssh { fingerprint: authority.clone() }), Some("a"));
        assert_eq!(policy.name_of_key(&certificate("al")), Some("a"));
        assert_eq!(policy.name_of_key(&certificate("alice")), None);

        let digest = |lines: &str| {
            let policy = with_identity(lines).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| Some([1; 32])).unwrap()
        };
        let without_comment = lines.replace(" a comment", "");
        assert_eq!(digest(&lines), digest(&without_comment));
        assert_ne!(digest(&lines), digest(&lines.replace("\"al\"", "\"bo\"")));
        assert_ne!(digest(&lines), digest(&format!("ssh = [\"{SSH_KEY}\"]")));
    }

    #[test]
    fn ssh_keys_that_cannot_be_meant_are_refused() {
        let key = |line: &str| with_identity(&format!("ssh = [\"{line}\"]")).unwrap_err();
        for line in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M="] {
            assert!(matches!(key(line), PolicyError::Key { cause: FormatError::SshKey, .. }), "{line}");
        }
        assert!(matches!(key(&SSH_KEY.replace("ssh-ed", "ssh-Ed")), PolicyError::Key { .. }));
        let certificate = |authority: &str, principal: &str| {
            with_identity(&format!(
                "ssh_certificates = [{{ authority = \"{authority}\", principal = \"{principal}\" }}]"
            ))
            .unwrap_err()
        };
        assert!(matches!(certificate(SSH_KEY, ""), PolicyError::Empty { key: "principal", .. }));
        assert!(matches!(certificate(SSH_KEY, "*@example.com"), PolicyError::SignerPattern(_)));
        assert!(matches!(certificate("x", "a"), PolicyError::Key { .. }));
        let twice = format!("ssh = [\"{SSH_KEY}\", \"{SSH_KEY} again\"]");
        assert!(matches!(with_identity(&twice).unwrap_err(), PolicyError::DuplicateSigner { .. }));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let with = |from: &str, to: &str| {
            assert!(POLICY.contains(from), "{from}");
            refused(&POLICY.replace(from, to))
        };
        assert!(matches!(with("name = \"notes\"", "name = \"main\""), PolicyError::DuplicateName { .. }));
        assert!(matches!(
            with("commits = [\"alice\"]", "commits = [\"alcie\"]"),
            PolicyError::UnknownIdentity { suggestion: Some(name), .. } if name == "alice"
        ));
        assert!(matches!(
            with("instance = \"sandbox\"", "instance = \"sandbx\""),
            PolicyError::UnknownInstance { suggestion: Some(name), .. } if name == "sandbox"
        ));
        assert!(matches!(with("alice@example.com", "*@example.com"), PolicyError::SignerPattern(_)));
        assert!(matches!(with("https://j", "*"), PolicyError::SignerPattern(_)));
        assert!(matches!(with("commits = [\"alice\"]", "commits = []"), PolicyError::Empty { .. }));
        assert!(matches!(
            with("commits = [\"alice\"]", "commits = \"anyone\""),
            PolicyError::SignersWord { .. }
        ));
        assert!(matches!(with("refs/heads/release/*", "release"), PolicyError::Pattern { .. }));
        assert!(matches!(
            with("bases = [\"refs/heads/main\"]", "bases = [\"refs/heads/*\"]"),
            PolicyError::Base { .. }
        ));
        assert!(matches!(
            with("bases = [\"refs/heads/main\"]", "anchor = \"abc\""),
            PolicyError::Anchor { .. }
        ));
        assert!(matches!(with("identity.alice", "identity.unsigned"), PolicyError::Name(_)));
        assert!(matches!(with("identity.alice", "identity.\"a\\u202e\""), PolicyError::Name(_)));
        assert!(matches!(
            with(
                "issuer = \"https://j\", kind = \"uri\", subject = \"https://bob\"",
                "issuer = \"https://i\", kind = \"email\", subject = \"bob@example.com\""
            ),
            PolicyError::DuplicateSigner { .. }
        ));
        assert!(matches!(with("\"allow\"", "\"maybe\""), PolicyError::Syntax { line: 18, .. }));
        assert!(
            matches!(with("commits = [\"alice\"]", ""), PolicyError::Syntax { .. }),
            "commits is required"
        );
        assert!(matches!(with("version = 1", "version = 1\n[["), PolicyError::Syntax { .. }));
    }

    #[test]
    fn an_instance_may_be_limited_to_issuers() {
        let limited = |issuers: &str| {
            let root = "trusted_root = \"trusted_root.json\"";
            Policy::parse(&POLICY.replace(root, &format!("{root}\nissuers = {issuers}")))
        };
        let policy = limited("[\"https://i\", \"https://k\"]").unwrap();
        assert_eq!(policy.limits("sandbox").unwrap().issuers(), ["https://i", "https://k"]);
        assert!(policy.limits("public-good").is_none());
        assert!(matches!(limited("[\"https://k\"]"), Err(PolicyError::NotBelieved { .. })));
        assert!(matches!(limited("[]"), Err(PolicyError::Empty { key: "issuers", .. })));
        assert!(matches!(limited("[\"\"]"), Err(PolicyError::Empty { key: "issuers", .. })));
        assert!(matches!(limited("[\"https://*\"]"), Err(PolicyError::SignerPattern(_))));
        assert!(matches!(limited("\"https://i\""), Err(PolicyError::Syntax { .. })));
    }

    #[test]
    fn only_what_is_built_in_needs_no_trusted_root() {
        let named = |name: &str| {
            Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"{name}\"\n"))
        };
        for name in ["staging", "public-good"] {
            assert_eq!(named(name).unwrap().instances()[0].trusted_root, None);
        }
        assert!(matches!(named("corp"), Err(PolicyError::Empty { key: "trusted_root", .. })));
        let staging = POLICY.replace("instance = \"public-good\"", "instance = \"staging\"");
        assert!(
            matches!(refused(&staging), PolicyError::UnknownInstance { .. }),
            "what is built in besides public-good counts only where it is named"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = Policy::parse(&text);
            let _ = Policy::parse(&format!("version = 1\nother_refs = \"accept\"\n{text}"));
        }
    }
}
