//! Who is asked for: identities by their names, and groups of them.

use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::words::escape;

/// How many members of a group are told in a message.
const MAXIMUM_TOLD: usize = 6;

/// A name of the policy's own for several identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name that rules and other groups use.
    pub name: String,
    /// Identities and groups, as they are written.
    pub members: Vec<String>,
    /// Every identity that it stands for, each once, in the order of their names.
    pub identities: Arc<[String]>,
}

/// One of whom is asked for. Cheap to clone: every refusal carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted(Arc<Names>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    written: Vec<WantedName>,
    identities: Vec<String>,
    set: BTreeSet<String>,
}

/// A name as a rule writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedName {
    /// That of an identity.
    Identity(String),
    /// That of a group, with the identities that it stands for.
    Group(String, Arc<[String]>),
}

impl Wanted {
    /// Whoever `written` stands for.
    #[must_use]
    pub fn new(written: Vec<WantedName>) -> Self {
        let mut names = Names { written, ..Names::default() };
        for word in &names.written {
            let meant = match word {
                WantedName::Identity(name) => std::slice::from_ref(name),
                WantedName::Group(_, members) => members,
            };
            for name in meant {
                if names.set.insert(name.clone()) {
                    names.identities.push(name.clone());
                }
            }
        }
        Self(Arc::new(names))
    }

    /// Whether the identity called `name` is one of them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.set.contains(name)
    }

    /// Every identity that is meant, each once: whoever is in two groups is one.
    #[must_use]
    pub fn identities(&self) -> &[String] {
        &self.0.identities
    }

    /// The names as they are written, with what groups stand for; to be escaped.
    #[must_use]
    pub fn summary(&self) -> String {
        let words = self.0.written.iter().map(|word| match word {
            WantedName::Identity(name) => name.clone(),
            WantedName::Group(name, members) => format!("group '{name}' ({})", members.join(", ")),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The names as they are written.
    #[must_use]
    pub fn written(&self) -> &[WantedName] {
        &self.0.written
    }
}

impl<'a> FromIterator<&'a str> for Wanted {
    /// Identities by their names.
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        Self::new(names.into_iter().map(|name| WantedName::Identity(name.to_owned())).collect())
    }
}

impl WantedName {
    /// The name alone.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Identity(name) | Self::Group(name, _) => name,
        }
    }
}

impl fmt::Display for WantedName {
    /// Fit for a terminal; a group with its first members.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(name) => write!(formatter, "'{}'", escape(name)),
            Self::Group(name, members) => {
                let told = members.iter().take(MAXIMUM_TOLD).map(|member| format!("'{}'", escape(member)));
                let told = told.collect::<Vec<_>>().join(", ");
                write!(formatter, "the group '{}' ({told}", escape(name))?;
                match members.len().saturating_sub(MAXIMUM_TOLD) {
                    0 => write!(formatter, ")"),
                    more => write!(formatter, " and {more} more)"),
                }
            }
        }
    }
}

impl fmt::Display for Wanted {
    /// Fit for a terminal: `'alice' or the group 'core' ('bob', 'carol')`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.written.iter().map(ToString::to_string).collect();
        formatter.write_str(&words.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_named_twice_is_one() {
        let group = |name: &str, members: &[&str]| {
            WantedName::Group(name.to_owned(), members.iter().map(|name| (*name).to_owned()).collect())
        };
        let alice = WantedName::Identity("alice".to_owned());
        let wanted =
            Wanted::new(vec![group("core", &["alice", "bob"]), alice, group("ops", &["bob", "eve"])]);
        assert_eq!(wanted.identities(), ["alice", "bob", "eve"]);
        assert!(wanted.contains("eve") && !wanted.contains("core"), "a group is nobody");
        assert_eq!(
            wanted.to_string(),
            "the group 'core' ('alice', 'bob') or 'alice' or the group 'ops' ('bob', 'eve')"
        );
        let many: Vec<String> = (0..9).map(|n| format!("m{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(Wanted::new(vec![group("all", &many)]).to_string().ends_with("'m5' and 3 more)"));
    }
}
