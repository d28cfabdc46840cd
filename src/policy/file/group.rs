//! `[group.NAME]`: several identities under one name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;

use super::{PolicyError, check_name, spelling::nearest};
use crate::{
    policy::{Group, InstanceEntry, NamedIdentity, PUBLIC_GOOD, WantedName},
    words::escape,
};

/// The keys of the table.
pub(super) const KEYS: [&str; 1] = ["members"];

/// How deep groups may stand in groups.
const MAXIMUM_DEPTH: usize = 16;

/// How many groups there may be.
const MAXIMUM_GROUPS: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupText {
    members: Vec<String>,
}

/// What a list of identities and groups may name.
pub(super) struct Directory<'a> {
    identities: BTreeSet<&'a str>,
    groups: &'a [Group],
    instances: &'a [InstanceEntry],
}

impl<'a> Directory<'a> {
    pub(super) fn new(
        identities: &'a [NamedIdentity],
        groups: &'a [Group],
        instances: &'a [InstanceEntry],
    ) -> Self {
        let identities = identities.iter().map(|identity| identity.name.as_str()).collect();
        Self { identities, groups, instances }
    }

    /// Whether `name` is that of an instance; otherwise perhaps one that it might mean.
    pub(super) fn find_instance(&self, name: &str) -> Result<(), Option<String>> {
        let mut known = self.instances.iter().map(|entry| entry.name.as_str()).chain([PUBLIC_GOOD]);
        if known.clone().any(|known| known == name) { Ok(()) } else { Err(nearest(name, &mut known)) }
    }

    /// What `name` stands for; otherwise perhaps a name that it might mean.
    pub(super) fn find(&self, name: &str) -> Result<WantedName, Option<String>> {
        if self.identities.contains(name) {
            return Ok(WantedName::Identity(name.to_owned()));
        }
        match self.groups.binary_search_by(|group| group.name.as_str().cmp(name)) {
            Ok(at) => Ok(WantedName::Group(name.to_owned(), Arc::clone(&self.groups[at].identities))),
            Err(_) => {
                let groups = self.groups.iter().map(|group| group.name.as_str());
                Err(nearest(name, self.identities.iter().copied().chain(groups)))
            }
        }
    }
}

/// The groups that the tables describe, in the order of their names.
pub(super) fn groups(
    texts: BTreeMap<String, GroupText>,
    identities: &[NamedIdentity],
) -> Result<Vec<Group>, PolicyError> {
    if texts.len() > MAXIMUM_GROUPS {
        return Err(PolicyError::TooManyGroups(MAXIMUM_GROUPS));
    }
    let named: BTreeSet<&str> = identities.iter().map(|identity| identity.name.as_str()).collect();
    for (name, GroupText { members }) in &texts {
        check_name(name)?;
        if named.contains(name.as_str()) {
            return Err(PolicyError::GroupAndIdentity(name.clone()));
        }
        if members.is_empty() {
            return Err(PolicyError::Empty { key: "members", place: format!("group '{name}'") });
        }
        let is_known = |member: &&String| named.contains(member.as_str()) || texts.contains_key(*member);
        if let Some(member) = members.iter().find(|member| !is_known(member)) {
            let known = named.iter().copied().chain(texts.keys().map(String::as_str));
            return Err(PolicyError::UnknownMember {
                group: name.clone(),
                name: escape(member),
                suggestion: nearest(member, known.filter(|known| known != name)),
            });
        }
    }
    let mut resolved = BTreeMap::new();
    for name in texts.keys() {
        resolve(name, &texts, &mut Vec::new(), &mut resolved)?;
    }
    let group = |(name, text): (&String, &GroupText)| Group {
        name: name.clone(),
        members: text.members.clone(),
        identities: Arc::clone(&resolved[name.as_str()].0),
    };
    Ok(texts.iter().map(group).collect())
}

/// The identities behind a group, and how many groups stand in one another there.
type Resolved = (Arc<[String]>, usize);

/// What is behind the group `name`, which stands in the groups of `path`.
fn resolve<'a>(
    name: &'a str,
    texts: &'a BTreeMap<String, GroupText>,
    path: &mut Vec<&'a str>,
    resolved: &mut BTreeMap<&'a str, Resolved>,
) -> Result<Resolved, PolicyError> {
    if let Some(at) = path.iter().position(|other| *other == name) {
        let cycle = path[at..].iter().chain([&name]).map(|name| (*name).to_owned()).collect();
        return Err(PolicyError::GroupCycle(cycle));
    }
    let too_deep = |group: &str| PolicyError::GroupDepth { group: group.to_owned(), maximum: MAXIMUM_DEPTH };
    if let Some(resolved) = resolved.get(name) {
        return Ok(resolved.clone());
    }
    if path.len() == MAXIMUM_DEPTH {
        return Err(too_deep(path[0]));
    }
    path.push(name);
    let (mut identities, mut height) = (BTreeSet::new(), 0);
    for member in &texts[name].members {
        match texts.get_key_value(member) {
            Some((group, _)) => {
                let (members, below) = resolve(group, texts, path, resolved)?;
                identities.extend(members.iter().cloned());
                height = height.max(below);
            }
            None => {
                identities.insert(member.clone());
            }
        }
    }
    path.pop();
    if height == MAXIMUM_DEPTH {
        return Err(too_deep(name));
    }
    let found: Resolved = (identities.into_iter().collect(), height + 1);
    resolved.insert(name, found.clone());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Finding, Policy, Signers};

    /// Alice, Bob and Eve, these groups, and a rule for `commits`.
    fn parse(groups: &str, commits: &str) -> Result<Policy, PolicyError> {
        let identities: String = ["alice", "bob", "eve"]
            .map(|name| {
                format!(
                    "[identity.{name}]\nkeyless = [{{ instance = \"public-good\", issuer = \"https://i\", \
                     kind = \"email\", subject = \"{name}@example.com\" }}]\n"
                )
            })
            .concat();
        Policy::parse(&format!(
            "version = 1\nother_refs = \"refuse\"\n{identities}{groups}\
             [[rule]]\nname = \"r\"\nrefs = [\"refs/heads/*\"]\ncommits = [{commits}]\n"
        ))
    }

    #[test]
    fn a_group_stands_for_its_members_however_deep() {
        let groups =
            "[group.core]\nmembers = [\"ops\", \"alice\"]\n[group.ops]\nmembers = [\"bob\", \"alice\"]\n";
        let policy = parse(groups, "\"core\"").unwrap();
        let Signers::Named(wanted) = &policy.rules()[0].commits else { panic!() };
        assert_eq!(wanted.identities(), ["alice", "bob"]);
        assert_eq!(wanted.to_string(), "the group 'core' ('alice', 'bob')");
        assert_eq!(policy.groups()[0].members, ["ops", "alice"]);
        let unused = Finding::UnusedIdentity { identity: "eve".to_owned() };
        assert_eq!(policy.check(), [unused], "a member is named, and so is a group in a group");
        let unused = Finding::UnusedGroup { group: "idle".to_owned() };
        let idle =
            parse(&format!("{groups}[group.idle]\nmembers = [\"eve\"]\n"), "\"core\", \"eve\"").unwrap();
        assert_eq!(idle.check(), [unused]);
    }

    #[test]
    fn a_rule_is_the_same_whether_it_names_a_group_or_its_members() {
        let digest = |groups: &str, commits: &str| {
            let policy = parse(groups, commits).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| Some([0; 32])).unwrap()
        };
        let group = "[group.core]\nmembers = [\"alice\", \"bob\"]\n";
        assert_eq!(digest(group, "\"core\""), digest("", "\"bob\", \"alice\""));
        assert_ne!(digest(group, "\"core\""), digest("", "\"alice\""));
        assert_ne!(digest(group, "\"core\""), digest(&group.replace("\"bob\"", "\"eve\""), "\"core\""));
    }

    #[test]
    fn groups_that_mean_nothing_certain_are_refused() {
        let refused = |groups: &str, commits: &str| parse(groups, commits).unwrap_err();
        let cycle =
            "[group.a]\nmembers = [\"b\"]\n[group.b]\nmembers = [\"c\"]\n[group.c]\nmembers = [\"b\"]\n";
        let names = ["b", "c", "b"].map(str::to_owned).to_vec();
        assert_eq!(refused(cycle, "\"a\""), PolicyError::GroupCycle(names));
        let own = refused("[group.a]\nmembers = [\"a\"]\n", "\"a\"");
        assert_eq!(own.to_string(), "groups stand in themselves: 'a' has 'a'");
        assert!(matches!(
            refused("[group.core]\nmembers = [\"alcie\"]\n", "\"core\""),
            PolicyError::UnknownMember { suggestion: Some(name), .. } if name == "alice"
        ));
        assert!(matches!(
            refused("[group.core]\nmembers = [\"alice\"]\n", "\"coer\""),
            PolicyError::UnknownIdentity { suggestion: Some(name), .. } if name == "core"
        ));
        assert!(matches!(refused("[group.core]\nmembers = []\n", "\"alice\""), PolicyError::Empty { .. }));
        assert_eq!(
            refused("[group.bob]\nmembers = [\"alice\"]\n", "\"bob\""),
            PolicyError::GroupAndIdentity("bob".to_owned())
        );
        assert!(matches!(
            refused("[group.unsigned]\nmembers = [\"alice\"]\n", "\"bob\""),
            PolicyError::Name(_)
        ));
        assert!(matches!(
            refused("[group.core]\nmember = [\"alice\"]\n", "\"bob\""),
            PolicyError::UnknownKey { suggestion: Some(key), .. } if key == "members"
        ));
        let nested: String = (0..40).map(|n| format!("[group.g{n}]\nmembers = [\"g{}\"]\n", n + 1)).collect();
        let nested = format!("{nested}[group.g40]\nmembers = [\"alice\"]\n");
        assert!(matches!(refused(&nested, "\"alice\""), PolicyError::GroupDepth { .. }));
        let many: String = (0..1001).map(|n| format!("[group.g{n}]\nmembers = [\"alice\"]\n")).collect();
        assert_eq!(refused(&many, "\"alice\""), PolicyError::TooManyGroups(1000));
    }
}
