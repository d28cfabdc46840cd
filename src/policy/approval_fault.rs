//! What keeps an approval from counting, and a refusal for want of persons.

use std::fmt;

use super::{Cause, cause::list};
use crate::{
    object::{ApprovalError, ObjectId, Statement},
    verify::Identity,
    words::{escape, escape_bytes, shell_word},
};

/// Why an approval does not count, or may not be added. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApprovalFault {
    /// As many as are kept of one person's are kept already, of the same update; the person's name.
    Again(String),
    /// It is for another value of the ref than the one before the update.
    AnotherBase(Option<ObjectId>),
    /// It is for another ref.
    AnotherReference(String),
    /// It is for another repository.
    AnotherRepository(String),
    /// It is for another tree than the one that the ref would lead to.
    AnotherTree(Option<ObjectId>),
    /// As many are kept of the same update as are ever read.
    Crowded,
    /// It is added to a folder that holds too many already; its path.
    Full(Vec<u8>),
    /// It is for an update from a value that is not here.
    NoBase(ObjectId),
    /// It is for a ref under whose rule nothing is approved.
    NotAsked(String),
    /// Whoever judges does not believe the instance for who signed it.
    NotBelieved(Box<Identity>),
    /// Its signature counts for nobody who may approve.
    NotCounted(Box<Cause>),
    /// Something that was kept is not any more; its path.
    Removed(Vec<u8>),
    /// Something is added that is no approval under its own name; its path.
    Strange(Vec<u8>),
    /// More is added at once than is judged.
    TooMany,
    /// Its bytes are no approval.
    Unreadable(ApprovalError),
    /// Its bytes cannot be had.
    Unavailable(String),
}

impl fmt::Display for ApprovalFault {
    /// What follows upon "an approval ". Fit for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |id: &ObjectId| id.to_hex_with_len(12).to_string();
        match self {
            Self::Again(name) => write!(
                formatter,
                "is one more of the same update by '{}', which counts once and is kept already",
                escape(name)
            ),
            Self::AnotherBase(None) => write!(formatter, "is for a ref that does not exist before"),
            Self::AnotherBase(Some(id)) => write!(formatter, "is for the ref as it was at {}", short(id)),
            Self::AnotherReference(name) => write!(formatter, "is for another ref, '{}'", escape(name)),
            Self::AnotherRepository(id) => write!(formatter, "is for another repository, '{}'", escape(id)),
            Self::AnotherTree(None) => write!(formatter, "is for the ref's deletion"),
            Self::AnotherTree(Some(id)) => write!(formatter, "is for another tree, {}", short(id)),
            Self::Crowded => write!(formatter, "is of an update of which more are kept than are ever read"),
            Self::Full(path) => {
                write!(formatter, "is added to '{}', which holds too many", escape_bytes(path))
            }
            Self::NoBase(id) => write!(formatter, "is for an update from {}, which is not here", short(id)),
            Self::NotAsked(name) => {
                write!(formatter, "is for '{}', under whose rule nothing is approved", escape(name))
            }
            Self::NotBelieved(identity) => {
                let subject = escape(&identity.subject);
                write!(formatter, "is signed by '{subject}', for whom the instance is not believed here")
            }
            Self::NotCounted(cause) => write!(formatter, "does not count: {cause}"),
            Self::Removed(path) => write!(formatter, "is taken away or changed: '{}'", escape_bytes(path)),
            Self::Strange(path) => {
                write!(formatter, "does not stand under its own name: '{}'", escape_bytes(path))
            }
            Self::TooMany => write!(formatter, "is one of too many"),
            Self::Unreadable(error) => write!(formatter, "cannot be read: {error}"),
            Self::Unavailable(reason) => write!(formatter, "cannot be read: {}", escape(reason)),
        }
    }
}

impl ApprovalFault {
    /// Why an approval of `stated` is none of `wanted`, from which it differs.
    #[must_use]
    pub fn of_another(stated: &Statement, wanted: &Statement) -> Self {
        if stated.repository != wanted.repository {
            Self::AnotherRepository(stated.repository.clone())
        } else if stated.reference != wanted.reference {
            Self::AnotherReference(stated.reference.clone())
        } else if stated.base != wanted.base {
            Self::AnotherBase(stated.base)
        } else {
            Self::AnotherTree(stated.tree)
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Again(_) => {
                "leave it out: take what the remote keeps with 'git fetch REMOTE +refs/countersign/approvals:refs/countersign/approvals'"
                    .to_owned()
            }
            Self::Crowded | Self::Full(_) => {
                "ask the server's administrator to put 'refs/countersign/approvals' aside, and begin it anew with what is still needed"
                    .to_owned()
            }
            Self::AnotherBase(_) | Self::AnotherReference(_) | Self::AnotherTree(_) | Self::NoBase(_) => {
                "fetch, and approve what the ref would become now with 'countersign approve --ref REF --base BASE COMMIT'"
                    .to_owned()
            }
            Self::AnotherRepository(_) => {
                "approve it again with 'countersign approve' by the policy of this repository".to_owned()
            }
            Self::NotBelieved(identity) => format!(
                "have somebody else approve it; or if the instance may vouch for that subject here, say so under 'countersign.{}.*', see countersign(1)",
                escape(&identity.instance)
            ),
            Self::NotAsked(_) => "have 'threshold' or 'approvers' added to the ref's rule".to_owned(),
            Self::NotCounted(cause) => match &**cause {
                Cause::NotInTheRule { .. } | Cause::KeyNotInTheRule { .. } => {
                    "have one of the rule's approvers run 'countersign approve', or have the rule changed".to_owned()
                }
                Cause::Lapsed { .. } => {
                    "approve it again with 'countersign approve' and a key that counts now".to_owned()
                }
                cause => cause.hint(),
            },
            Self::Removed(_) | Self::Strange(_) => {
                "fetch the ref and add to it with 'countersign approve --fetch', and push again"
                    .to_owned()
            }
            Self::TooMany => "push fewer approvals at a time".to_owned(),
            Self::Unreadable(_) | Self::Unavailable(_) => "approve it again with 'countersign approve'".to_owned(),
        }
    }
}

/// Too few persons vouch for an update, or for a commit that it adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// How many persons are wanted.
    pub wanted: usize,
    /// Who vouches, by their names in the policy.
    pub persons: Vec<String>,
    /// Who may approve.
    pub approvers: Vec<String>,
    /// What would have to be approved; `None` where no approval could name it.
    pub statement: Option<Statement>,
    /// The commit that the ref would lead to, if it leads to one.
    pub tip: Option<ObjectId>,
    /// Whether the ref would not go on from its value before.
    pub rewind: bool,
    /// Approvals that were looked at and do not count.
    pub faults: Vec<ApprovalFault>,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, persons, faults, .. } = self;
        let vouch = if persons.len() == 1 { "vouches" } else { "vouch" };
        write!(formatter, "{} of {wanted} persons {vouch} for it", persons.len())?;
        if !persons.is_empty() {
            let quoted: Vec<String> = persons.iter().map(|name| format!("'{}'", escape(name))).collect();
            write!(formatter, " ({})", quoted.join(", "))?;
        }
        faults.iter().try_for_each(|fault| write!(formatter, "; an approval {fault}"))
    }
}

impl Shortfall {
    /// What to do next, with the command that mends it.
    #[must_use]
    pub fn hint(&self) -> String {
        // Whatever comes besides would not be read either.
        if let Some(fault) = self.faults.iter().find(|fault| **fault == ApprovalFault::Crowded) {
            return fault.hint();
        }
        let others: Vec<String> =
            self.approvers.iter().filter(|name| !self.persons.contains(name)).cloned().collect();
        let who = match others.as_slice() {
            [] => return "nobody else may approve it; have the policy's owner add approvers".to_owned(),
            names => list(names),
        };
        let Some(statement) = &self.statement else {
            return format!("no approval can name it; {who} can vouch for it with a signed push");
        };
        let base = statement.base.map_or_else(|| "--create".to_owned(), |base| format!("--base {base}"));
        let what = match (statement.tree, self.tip) {
            (None, _) => " --delete".to_owned(),
            (Some(_), Some(tip)) => format!(" {tip}"),
            (Some(tree), None) => format!(" {tree}"),
        };
        let reference = &statement.reference;
        if shell_word(reference) != *reference {
            // A pusher has chosen the name, and a shell would take it for more than a name.
            return format!(
                "have {who} approve it with 'countersign approve', and push 'refs/countersign/approvals' too"
            );
        }
        let rewind = if self.rewind { " --rewind" } else { "" };
        format!(
            "have {who} run 'countersign approve --ref {reference} {base}{what}{rewind}', and push 'refs/countersign/approvals' too"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_holds_no_name_that_a_shell_would_take_for_more() {
        let hint = |reference: &str| {
            let id = ObjectId::from_hex("1".repeat(40).as_bytes()).unwrap();
            let statement = Statement {
                repository: "example.com/project".to_owned(),
                reference: reference.to_owned(),
                base: None,
                tree: Some(id),
            };
            let shortfall = Shortfall {
                wanted: 2,
                persons: vec!["alice".to_owned()],
                approvers: vec!["alice".to_owned(), "bob".to_owned()],
                statement: Some(statement),
                tip: Some(id),
                rewind: false,
                faults: Vec::new(),
            };
            shortfall.hint()
        };
        assert!(hint("refs/heads/a").contains("'countersign approve --ref refs/heads/a --create 1111"));
        let odd = hint("refs/heads/a;touch${IFS}b");
        assert!(odd.starts_with("have 'bob' approve it with 'countersign approve', "), "{odd}");
        assert!(!odd.contains("touch"), "{odd}");
    }
}
