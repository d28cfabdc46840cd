//! A rule: what holds for the refs that match one of its patterns.

use super::{Demands, PathRule, Pattern, PusherDemand, Vouching, Wanted, WayDemand, Whose};
use crate::object::ObjectId;

/// Whether an event may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// It may.
    Allow,
    /// It may not; what is not said is this.
    #[default]
    Refuse,
}

/// What a refusal by a rule leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The push is refused.
    #[default]
    Enforce,
    /// The pusher is warned, and nothing that happens counts as accepted.
    Warn,
}

/// Who has to have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signers {
    /// One of these.
    Named(Wanted),
    /// Nobody: signatures are not looked at.
    Unsigned,
}

/// What a rule says of each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// A ref that did not exist.
    pub create: Permission,
    /// A ref that goes away.
    pub delete: Permission,
    /// A tag that names a commit itself, without a tag object.
    pub lightweight_tags: Permission,
    /// A tag object whose name is not the ref's.
    pub misnamed_tags: Permission,
    /// A tag object that names a tag object.
    pub nested_tags: Permission,
    /// A tag that already exists and would name something else.
    pub replace_tags: Permission,
    /// A ref whose new value does not descend from the old one.
    pub rewind: Permission,
    /// A tag that leads to a tree or a blob.
    pub tags_of_trees_and_blobs: Permission,
}

/// What holds for the refs that match one of its patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Named in every refusal.
    pub name: String,
    /// Which refs it governs.
    pub patterns: Vec<Pattern>,
    /// Who may sign commits.
    pub commits: Signers,
    /// Who may sign tag objects; without it there may be none.
    pub tags: Option<Signers>,
    /// Who may push.
    pub pusher: PusherDemand,
    /// By which way a push may come.
    pub way: WayDemand,
    /// What may happen.
    pub permissions: Permissions,
    /// Refs from which a new or rewound ref may take its history.
    pub bases: Vec<String>,
    /// What has to prove a signature.
    pub demands: Demands,
    /// Whose address stands in the `committer` header of commits.
    pub committer: Whose,
    /// Whose address stands in the `author` header of commits.
    pub author: Whose,
    /// History up to this commit is taken as it is.
    pub anchor: Option<ObjectId>,
    /// How many persons have to vouch, and what a forge may do.
    pub vouching: Vouching,
    /// Whether it refuses or warns.
    pub mode: Mode,
    /// Who may change what in the tree; all of them hold.
    pub paths: Vec<PathRule>,
}

impl Signers {
    /// Who has to have signed; `None` for nobody.
    #[must_use]
    pub fn wanted(&self) -> Option<&Wanted> {
        match self {
            Self::Named(wanted) => Some(wanted),
            Self::Unsigned => None,
        }
    }
}

impl Rule {
    /// Everybody whom it asks for anything.
    pub fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        let signers = [Some(&self.commits), self.tags.as_ref()].into_iter().flatten();
        let paths = self.paths.iter().map(|path| &path.commits);
        let signers = signers.filter_map(Signers::wanted).chain(paths);
        signers.chain(&self.vouching.approvers).chain(&self.pusher.pushers)
    }

    /// Whether it asks for the identity called `name`, by itself or in a group.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.wanted().any(|wanted| wanted.contains(name))
    }

    /// Whether a refusal refuses the push.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.mode == Mode::Enforce
    }
}
