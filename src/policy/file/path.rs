//! `[[rule.path]]`: who may change which paths.

use serde::Deserialize;

use super::{PolicyError, group::Directory, rule};
use crate::{
    policy::{PathPattern, PathRule},
    words::escape,
};

/// The keys of the table.
pub(super) const KEYS: [&str; 3] = ["paths", "except", "commits"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathText {
    paths: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    commits: Vec<String>,
}

/// The path rule of rule `name` that the table describes.
pub(super) fn path_rule(
    name: &str,
    text: PathText,
    directory: &Directory<'_>,
) -> Result<PathRule, PolicyError> {
    let place = || format!("a path of rule '{name}'");
    for (key, list) in [("paths", &text.paths), ("commits", &text.commits)] {
        if list.is_empty() {
            return Err(PolicyError::Empty { key, place: place() });
        }
    }
    let patterns = |texts: Vec<String>| -> Result<Vec<PathPattern>, PolicyError> {
        let parse = |text: &String| {
            PathPattern::parse(text).map_err(|cause| PolicyError::PathPattern {
                rule: name.to_owned(),
                pattern: escape(text),
                cause,
            })
        };
        texts.iter().map(parse).collect()
    };
    let (paths, except) = (patterns(text.paths)?, patterns(text.except)?);
    Ok(PathRule { paths, except, commits: rule::wanted(name, &text.commits, directory)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PathPatternError, Policy};

    fn parse(path: &str) -> Result<Policy, PolicyError> {
        let identity = |name: &str| {
            format!(
                "[identity.{name}]\nkeyless = [{{ instance = \"public-good\", issuer = \"https://i\", \
                 kind = \"email\", subject = \"{name}@example.com\" }}]\n"
            )
        };
        Policy::parse(&format!(
            "version = 1\nother_refs = \"refuse\"\n{}{}[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/*\"]\n\
             commits = [\"alice\", \"bob\"]\n[[rule.path]]\n{path}\n",
            identity("alice"),
            identity("bob"),
        ))
    }

    #[test]
    fn path_rules_stand_under_their_rule_and_in_its_digest() {
        let digest = |path: &str| {
            let policy = parse(path).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| Some([0; 32])).unwrap()
        };
        let base = "paths = [\"infra/**\"]\ncommits = [\"bob\"]";
        let policy = parse(base).unwrap();
        assert!(policy.rules()[0].paths[0].means_path(b"infra/x"));
        for other in [
            "paths = [\"infra/*\"]\ncommits = [\"bob\"]",
            "paths = [\"infra/**\"]\nexcept = [\"infra/a\"]\ncommits = [\"bob\"]",
            "paths = [\"infra/**\"]\ncommits = [\"alice\"]",
            "paths = [\"infra/**\"]\ncommits = [\"bob\"]\n[[rule.path]]\npaths = [\"x\"]\ncommits = [\"bob\"]",
        ] {
            assert_ne!(digest(other), digest(base), "{other}");
        }
        let mut plain = parse(base).unwrap();
        plain.rules[0].paths.clear();
        let plain = plain.commit_rule_digest(&plain.rules[0], |_| Some([0; 32])).unwrap();
        assert_ne!(plain, digest(base));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let refused = |path: &str| parse(path).unwrap_err();
        assert!(matches!(
            refused("paths = []\ncommits = [\"bob\"]"),
            PolicyError::Empty { key: "paths", .. }
        ));
        assert!(matches!(
            refused("paths = [\"a\"]\ncommits = []"),
            PolicyError::Empty { key: "commits", .. }
        ));
        assert!(matches!(refused("paths = [\"a\"]"), PolicyError::Syntax { .. }));
        assert!(matches!(refused("paths = [\"a\"]\ncommits = \"unsigned\""), PolicyError::Syntax { .. }));
        assert!(matches!(
            refused("paths = [\"a/\"]\ncommits = [\"bob\"]"),
            PolicyError::PathPattern { cause: PathPatternError::Component, .. }
        ));
        assert!(matches!(
            refused("paths = [\"a\"]\ncommits = [\"bobb\"]"),
            PolicyError::UnknownIdentity { suggestion: Some(name), .. } if name == "bob"
        ));
        assert!(matches!(
            refused("path = [\"a\"]\ncommits = [\"bob\"]"),
            PolicyError::UnknownKey { place, suggestion: Some(key), .. } if key == "paths" && place == "[[rule.path]]"
        ));
    }
}
