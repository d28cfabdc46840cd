//! `[[rule]]`: what holds for the refs that match.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    PolicyError, check_name,
    demands::{DemandsText, demands},
    group::Directory,
    path::{PathText, path_rule},
};
use crate::{
    object::ObjectId,
    policy::{
        Mode, Pattern, Permission, Permissions, Proof, PusherDemand, Rule, Signers, Vouching, Wanted, Way,
        WayDemand, Whose,
    },
    words::escape,
};

/// The keys of the table.
pub(super) const KEYS: [&str; 32] = [
    "name",
    "refs",
    "commits",
    "tags",
    "pushers",
    "push_certificate",
    "ways",
    "web_merges",
    "create",
    "delete",
    "rewind",
    "replace_tags",
    "lightweight_tags",
    "nested_tags",
    "misnamed_tags",
    "tags_of_trees_and_blobs",
    "bases",
    "proof",
    "instances",
    "logs",
    "timestamp_authorities",
    "not_logged",
    "time_not_proven",
    "committer",
    "author",
    "anchor",
    "threshold",
    "approvers",
    "forge_merges",
    "trust_forge",
    "mode",
    "path",
];

/// The one word that stands for "no signature is asked for".
pub(super) const UNSIGNED: &str = "unsigned";

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of identities or \"unsigned\"")]
pub(super) enum SignersText {
    Names(Vec<String>),
    Word(String),
}

/// Whether there has to be a push certificate.
#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CertificateText {
    #[default]
    Accept,
    Require,
}

/// By which way a push comes; what a forge does not say is none.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WayText {
    Http,
    Ssh,
    Web,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub(super) name: String,
    pub(super) refs: Vec<String>,
    pub(super) commits: SignersText,
    pub(super) tags: Option<SignersText>,
    pub(super) pushers: Option<Vec<String>>,
    #[serde(default)]
    pub(super) push_certificate: CertificateText,
    ways: Option<Vec<WayText>>,
    web_merges: Option<Permission>,
    #[serde(default)]
    pub(super) create: Permission,
    #[serde(default)]
    pub(super) delete: Permission,
    #[serde(default)]
    pub(super) rewind: Permission,
    #[serde(default)]
    pub(super) replace_tags: Permission,
    #[serde(default)]
    pub(super) lightweight_tags: Permission,
    #[serde(default)]
    pub(super) nested_tags: Permission,
    #[serde(default)]
    pub(super) misnamed_tags: Permission,
    #[serde(default)]
    pub(super) tags_of_trees_and_blobs: Permission,
    #[serde(default)]
    pub(super) bases: Vec<String>,
    proof: Option<Proof>,
    instances: Option<Vec<String>>,
    logs: Option<Vec<String>>,
    timestamp_authorities: Option<Vec<String>>,
    #[serde(default)]
    not_logged: Permission,
    #[serde(default)]
    time_not_proven: Permission,
    #[serde(default)]
    committer: Whose,
    #[serde(default)]
    author: Whose,
    pub(super) anchor: Option<String>,
    pub(super) threshold: Option<u32>,
    pub(super) approvers: Option<Vec<String>>,
    #[serde(default)]
    pub(super) forge_merges: Permission,
    pub(super) trust_forge: Option<Vec<String>>,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    path: Vec<PathText>,
}

/// The rule that the table describes, but for what it says of persons and forges.
pub(super) fn named_rule(text: RuleText, directory: &Directory<'_>) -> Result<Rule, PolicyError> {
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
    let commits = signers(&name, "commits", text.commits, directory)?;
    let tags = text.tags.map(|tags| signers(&name, "tags", tags, directory)).transpose()?;
    let pushers = match &text.pushers {
        Some(names) if names.is_empty() => {
            return Err(PolicyError::Empty { key: "pushers", place: place() });
        }
        Some(names) => Some(wanted(&name, names, directory)?),
        None => None,
    };
    let needs_certificate = text.push_certificate == CertificateText::Require;
    let way = way_demand(&name, text.ways, text.web_merges)?;
    if needs_certificate && way.ways.as_deref() == Some(&[Way::Web]) {
        return Err(PolicyError::Contradiction { rule: name, keys: ["push_certificate", "ways"] });
    }
    let paths =
        text.path.into_iter().map(|text| path_rule(&name, text, directory)).collect::<Result<_, _>>()?;
    for (key, whose) in [("committer", text.committer), ("author", text.author)] {
        if whose == Whose::Signer && commits == Signers::Unsigned {
            return Err(PolicyError::Contradiction { rule: name, keys: [key, "commits"] });
        }
    }
    let demanded = DemandsText {
        proof: text.proof,
        instances: text.instances,
        logs: text.logs,
        timestamp_authorities: text.timestamp_authorities,
        not_logged: text.not_logged,
        time_not_proven: text.time_not_proven,
    };
    let demands = demands(&name, demanded, directory)?;
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
    Ok(Rule {
        name,
        patterns,
        commits,
        tags,
        pusher: PusherDemand { pushers, needs_certificate },
        way,
        permissions,
        bases: text.bases,
        demands,
        committer: text.committer,
        author: text.author,
        anchor,
        vouching: Vouching::default(),
        mode: text.mode,
        paths,
    })
}

/// What the table says of how a push comes.
fn way_demand(
    rule: &str,
    ways: Option<Vec<WayText>>,
    web_merges: Option<Permission>,
) -> Result<WayDemand, PolicyError> {
    if ways.as_ref().is_some_and(Vec::is_empty) {
        return Err(PolicyError::Empty { key: "ways", place: format!("rule '{rule}'") });
    }
    let way = |text: WayText| match text {
        WayText::Http => Way::Http,
        WayText::Ssh => Way::Ssh,
        WayText::Web => Way::Web,
    };
    let ways = ways.map(|ways| ways.into_iter().map(way).collect::<BTreeSet<Way>>().into_iter().collect());
    Ok(WayDemand { ways, web_merges })
}

pub(super) fn signers(
    rule: &str,
    key: &'static str,
    text: SignersText,
    directory: &Directory<'_>,
) -> Result<Signers, PolicyError> {
    match text {
        SignersText::Word(word) if word == UNSIGNED => Ok(Signers::Unsigned),
        SignersText::Word(word) => {
            Err(PolicyError::SignersWord { rule: rule.to_owned(), key, word: escape(&word) })
        }
        SignersText::Names(names) if names.is_empty() => {
            Err(PolicyError::Empty { key, place: format!("rule '{rule}'") })
        }
        SignersText::Names(names) => Ok(Signers::Named(wanted(rule, &names, directory)?)),
    }
}

/// Whom `names` stand for.
pub(super) fn wanted(rule: &str, names: &[String], directory: &Directory<'_>) -> Result<Wanted, PolicyError> {
    let find = |name: &String| {
        directory.find(name).map_err(|suggestion| PolicyError::UnknownIdentity {
            rule: rule.to_owned(),
            name: escape(name),
            suggestion,
        })
    };
    Ok(Wanted::new(names.iter().map(find).collect::<Result<_, _>>()?))
}
