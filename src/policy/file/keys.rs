//! Every key of the file against the table that it stands in.

use toml::de::{DeTable, DeValue};

use super::{PolicyError, identity, line_of, rule, spelling::nearest};
use crate::words::escape;

/// The keys of each table; the first is the file itself.
const KEYS: [&str; 8] =
    ["version", "repository", "serial", "other_refs", "instance", "openpgp_certificates", "identity", "rule"];
const INSTANCE_KEYS: [&str; 3] = ["name", "trusted_root", "issuers"];
const OPENPGP_CERTIFICATES_KEYS: [&str; 1] = ["file"];
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
    tables(table.get("rule"), &rule::KEYS, "[[rule]]")?;
    let identities = table.get("identity").and_then(|value| value.get_ref().as_table());
    for (name, identity) in identities.into_iter().flatten() {
        if let Some(identity) = identity.get_ref().as_table() {
            let place = format!("[identity.{}]", escape(name.get_ref()));
            check(identity, &identity::KEYS, &place)?;
            tables(identity.get("keyless"), &identity::KEYLESS_KEYS, &place)?;
            tables(identity.get("ssh_certificates"), &identity::SSH_CERTIFICATE_KEYS, &place)?;
        }
    }
    Ok(())
}
