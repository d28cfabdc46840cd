//! The policy file: TOML, version 1, nothing unknown and nothing left to guess.

mod demands;
mod error;
mod forge;
mod forge_user;
mod group;
mod hint;
mod identity;
mod keys;
mod moment;
mod path;
mod rule;
mod spelling;
mod vouching;

use std::collections::{BTreeMap, BTreeSet};

pub use error::PolicyError;
pub(super) use identity::kind_name;
pub use identity::policy_entry;
pub(super) use identity::quoted;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use self::{
    forge::{AnchorText, ForgeText},
    group::GroupText,
    identity::{IdentityText, named_identity},
    keys::check_keys,
    rule::{RuleText, UNSIGNED, named_rule},
};
use super::{
    AuthorityEntry, BUILT_IN, CertificateAuthorities, Directory, InstanceEntry, LimitError, Limits, OpenPgp,
    OtherRefs, Policy, Rule,
};
use crate::words::escape;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[expect(dead_code, reason = "checked before anything else is read")]
    version: i64,
    repository: Option<String>,
    serial: Option<u64>,
    other_refs: OtherRefs,
    #[serde(default)]
    instance: Vec<InstanceText>,
    #[serde(default)]
    openpgp_certificates: Vec<OpenPgpCertificatesText>,
    #[serde(default)]
    certificate_authority: Vec<CertificateAuthorityText>,
    #[serde(default)]
    forge: Vec<ForgeText>,
    #[serde(default)]
    anchor: Vec<AnchorText>,
    #[serde(default)]
    identity: BTreeMap<String, IdentityText>,
    #[serde(default)]
    group: BTreeMap<String, GroupText>,
    #[serde(default)]
    rule: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceText {
    name: String,
    trusted_root: Option<String>,
    issuers: Option<Vec<String>>,
    #[serde(default)]
    ci_issuers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenPgpCertificatesText {
    file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateAuthorityText {
    name: String,
    file: String,
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

    if let Some(id) = document.repository.as_ref().filter(|id| !is_repository_id(id)) {
        return Err(PolicyError::Repository(escape(id)));
    }
    if document.serial == Some(0) {
        return Err(PolicyError::Serial);
    }
    let mut seen = BTreeSet::new();
    let mut instances = Vec::new();
    for text in document.instance {
        let entry = instance_entry(text)?;
        if !seen.insert(entry.name.clone()) {
            return Err(PolicyError::DuplicateName { what: "instances", name: entry.name });
        }
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

    let mut authorities: Vec<AuthorityEntry> = Vec::new();
    for CertificateAuthorityText { name, file } in document.certificate_authority {
        check_name(&name)?;
        if name.contains('=') {
            return Err(PolicyError::Name(name));
        }
        if file.is_empty() {
            let place = format!("certificate authority '{name}'");
            return Err(PolicyError::Empty { key: "file", place });
        }
        if authorities.iter().any(|entry| entry.name == name) {
            return Err(PolicyError::DuplicateName { what: "certificate authorities", name });
        }
        authorities.push(AuthorityEntry { name, file });
    }

    let mut identities = Vec::new();
    for (name, identity) in document.identity {
        identities.push(named_identity(name, identity, &instances, &authorities)?);
    }
    forge_user::refuse_shared(&identities)?;
    let directory = Directory::new(&identities, forge::forges(document.forge)?)?;

    let groups = group::groups(document.group, &identities)?;
    let names = group::Directory::new(&identities, &groups, &instances);
    let mut rules: Vec<Rule> = Vec::new();
    for mut rule in document.rule {
        let has_repository = document.repository.is_some();
        let vouching = vouching::vouching(&mut rule, &names, &directory, has_repository)?;
        let rule = Rule { vouching, ..named_rule(rule, &names)? };
        if rules.iter().any(|other| other.name == rule.name) {
            return Err(PolicyError::DuplicateName { what: "rules", name: rule.name });
        }
        rules.push(rule);
    }
    Ok(Policy {
        repository: document.repository,
        serial: document.serial,
        instances,
        other_refs: document.other_refs,
        identities,
        groups,
        directory,
        anchors: forge::anchors(document.anchor)?,
        rules,
        openpgp: OpenPgp::new(openpgp_certificates),
        certificate_authorities: CertificateAuthorities::new(authorities),
    })
}

fn instance_entry(text: InstanceText) -> Result<InstanceEntry, PolicyError> {
    let InstanceText { name, trusted_root, issuers, ci_issuers } = text;
    check_name(&name)?;
    // The hook is told where the root of each lies by 'name=path'.
    if name.contains('=') {
        return Err(PolicyError::Name(name));
    }
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
    // Only their form is looked at: what vouches for builds need not be believed.
    let ci = Limits::new(ci_issuers, Vec::new()).map_err(|error| match error {
        LimitError::IssuerPattern(issuer) => PolicyError::SignerPattern(escape(&issuer)),
        _ => PolicyError::Empty { key: "ci_issuers", place: place() },
    })?;
    Ok(InstanceEntry { name, trusted_root, limits, ci_issuers: ci.issuers().to_vec() })
}

/// Whether `text` may be the id of a repository: one word without anything that a terminal, a setting or a
/// path could read differently.
#[must_use]
pub fn is_repository_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/@+".contains(&byte);
    (1..=200).contains(&text.len())
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// A name that looks like itself in every message, and not like the word that means "nobody".
fn check_name(name: &str) -> Result<(), PolicyError> {
    let escaped = escape(name);
    let usable = !name.trim().is_empty() && name.len() <= 200 && escaped == name && name != UNSIGNED;
    if usable { Ok(()) } else { Err(PolicyError::Name(escaped)) }
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Mode, Permission, Permissions, tests::POLICY},
        signature::{FormatError, ssh},
        verify::Key,
    };

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
    fn a_policy_may_say_for_which_repository_and_how_new_it_is() {
        let with = |lines: &str| Policy::parse(&format!("version = 1\n{lines}\nother_refs = \"refuse\"\n"));
        let policy = with("repository = \"example.com/a\"\nserial = 7").unwrap();
        assert_eq!((policy.repository(), policy.serial()), (Some("example.com/a"), Some(7)));
        assert_eq!((with("").unwrap().repository(), with("").unwrap().serial()), (None, None));
        assert_eq!(with("serial = 0").unwrap_err(), PolicyError::Serial);
        for serial in ["-1", "1.0", "\"1\"", "99999999999999999999"] {
            assert!(
                matches!(with(&format!("serial = {serial}")), Err(PolicyError::Syntax { .. })),
                "{serial}"
            );
        }
        for id in ["", "a b", "-a", "/a", "a\\tb", "a\\u202e", "ä", &"a".repeat(201)] {
            let refused = with(&format!("repository = \"{id}\"")).unwrap_err();
            assert!(matches!(refused, PolicyError::Repository(_)), "{id}");
        }
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
            ("[identity.a]\nssh = [{ key = \"k\", untill = 1 }]", "[identity.a]"),
            ("[identity.a]\nopenpgp = [{ key = \"k\" }]", "[identity.a]"),
            ("[[forge]]\nkey = 1", "[[forge]]"),
            ("[[anchor]]\ncommit = 1", "[[anchor]]"),
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
        assert!(matches!(with("alice@example.com", "*@*"), PolicyError::Stars { key: "subject", .. }));
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
