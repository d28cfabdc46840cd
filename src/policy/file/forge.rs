//! `[[forge]]` and `[[anchor]]`: keys that stand for no person, and what was there at which moment.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    PolicyError, check_name,
    identity::{openpgp_key, ssh_fingerprint},
    moment::MomentText,
};
use crate::{object::ObjectId, policy::Anchor, verify::Key, words::escape};

/// The keys of the tables.
pub(super) const KEYS: [&str; 3] = ["name", "openpgp", "ssh"];
pub(super) const ANCHOR_KEYS: [&str; 2] = ["object", "received"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgeText {
    name: String,
    #[serde(default)]
    openpgp: Vec<String>,
    #[serde(default)]
    ssh: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnchorText {
    object: String,
    received: MomentText,
}

/// The names of forges, with their keys.
pub(super) fn forges(texts: Vec<ForgeText>) -> Result<Vec<(String, Vec<Key>)>, PolicyError> {
    let mut forges: Vec<(String, Vec<Key>)> = Vec::new();
    for ForgeText { name, openpgp, ssh } in texts {
        check_name(&name)?;
        if forges.iter().any(|(other, _)| *other == name) {
            return Err(PolicyError::DuplicateName { what: "forges", name });
        }
        let place = || format!("forge '{name}'");
        if openpgp.is_empty() && ssh.is_empty() {
            return Err(PolicyError::Empty { key: "openpgp", place: place() });
        }
        let mut keys = Vec::new();
        for fingerprint in openpgp {
            keys.push(openpgp_key(&fingerprint, place)?);
        }
        for line in ssh {
            keys.push(Key::Ssh { fingerprint: ssh_fingerprint(&line, place)? });
        }
        forges.push((name, keys));
    }
    Ok(forges)
}

/// The anchors, the oldest first.
pub(super) fn anchors(texts: Vec<AnchorText>) -> Result<Vec<Anchor>, PolicyError> {
    let mut anchors = Vec::new();
    let mut seen = BTreeSet::new();
    for AnchorText { object, received } in texts {
        let lower = object.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = ObjectId::from_hex(object.as_bytes()).ok().filter(|id| lower && !id.is_null());
        let id = id.ok_or_else(|| PolicyError::AnchorObject(escape(&object)))?;
        if !seen.insert(id) {
            return Err(PolicyError::DuplicateName { what: "anchors", name: id.to_string() });
        }
        let received = received.moment("received", &format!("anchor '{id}'"))?;
        anchors.push(Anchor { object: id, received });
    }
    anchors.sort_by_key(|anchor| (anchor.received, anchor.object));
    Ok(anchors)
}
