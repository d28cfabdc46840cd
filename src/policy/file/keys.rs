//! Every key of the file against the table that it stands in.

use toml::de::{DeTable, DeValue};

use super::{
    PolicyError, forge, forge_user, group, identity, line_of, moment::WINDOW_KEYS, path, rule,
    spelling::nearest,
};
use crate::words::escape;

/// The keys of each table; the first is the file itself.
const KEYS: [&str; 12] = [
    "version",
    "repository",
    "serial",
    "other_refs",
    "instance",
    "openpgp_certificates",
    "certificate_authority",
    "forge",
    "anchor",
    "identity",
    "group",
    "rule",
];
const INSTANCE_KEYS: [&str; 4] = ["name", "trusted_root", "issuers", "ci_issuers"];
const OPENPGP_CERTIFICATES_KEYS: [&str; 1] = ["file"];
const CERTIFICATE_AUTHORITY_KEYS: [&str; 2] = ["name", "file"];

/// Every key against the table that it stands in, with its line.
pub(super) fn check_keys(text: &str, table: &DeTable<'_>) -> Result<(), PolicyError> {
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
    tables(table.get("certificate_authority"), &CERTIFICATE_AUTHORITY_KEYS, "[[certificate_authority]]")?;
    tables(table.get("forge"), &forge::KEYS, "[[forge]]")?;
    tables(table.get("anchor"), &forge::ANCHOR_KEYS, "[[anchor]]")?;
    tables(table.get("rule"), &rule::KEYS, "[[rule]]")?;
    for rule in table.get("rule").and_then(|value| value.get_ref().as_array()).into_iter().flatten() {
        if let Some(rule) = rule.get_ref().as_table() {
            tables(rule.get("path"), &path::KEYS, "[[rule.path]]")?;
        }
    }
    let groups = table.get("group").and_then(|value| value.get_ref().as_table());
    for (name, entry) in groups.into_iter().flatten() {
        if let Some(entry) = entry.get_ref().as_table() {
            check(entry, &group::KEYS, &format!("[group.{}]", escape(name.get_ref())))?;
        }
    }
    let identities = table.get("identity").and_then(|value| value.get_ref().as_table());
    for (name, identity) in identities.into_iter().flatten() {
        if let Some(identity) = identity.get_ref().as_table() {
            let place = format!("[identity.{}]", escape(name.get_ref()));
            check(identity, &identity::KEYS, &place)?;
            for (key, known) in [
                ("keyless", &identity::KEYLESS_KEYS[..]),
                ("ssh", &identity::SSH_KEYS),
                ("ssh_certificates", &identity::SSH_CERTIFICATE_KEYS),
                ("openpgp", &identity::OPENPGP_KEYS),
                ("x509", &identity::X509_KEYS),
                ("forge_users", &forge_user::KEYS),
            ] {
                tables(identity.get(key), &[known, &WINDOW_KEYS].concat(), &place)?;
            }
        }
    }
    Ok(())
}
