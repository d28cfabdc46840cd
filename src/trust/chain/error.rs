//! Why a policy does not follow from the commit that is believed.

use gix::objs::Kind;

use super::super::TrustError;
use crate::{
    object::{ObjectError, ObjectId},
    policy::{Cause, Refusal},
    repository::{ObjectReadError, ReferenceError},
    words::{Failure, escape},
};

/// Why a policy does not follow from the commit that is believed. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Several pins fit.
    #[error("more than one 'countersign.policyPin' fits this repository: '{one}' and '{other}'")]
    Ambiguous {
        /// One of them.
        one: String,
        /// Another.
        other: String,
    },
    /// The history is cut off.
    #[error("the policy's history is cut off at commit {commit}: its parent {missing} is missing")]
    CutOff {
        /// The last commit that is there.
        commit: ObjectId,
        /// What it names.
        missing: ObjectId,
    },
    /// A trusted root that the policy leaves to whoever reads it cannot be had.
    #[error("{}", .0.error)]
    Instance(Box<Failure>),
    /// A commit cannot be parsed strictly.
    #[error("the policy's commit {commit} is malformed: {cause}")]
    Malformed {
        /// The commit.
        commit: ObjectId,
        /// What is wrong with it.
        cause: ObjectError,
    },
    /// A commit with several parents.
    #[error("the policy's commit {0} is a merge, and a policy's history has none")]
    Merge(ObjectId),
    /// The rule before lets anybody change the policy.
    #[error(
        "the policy of commit {commit} names nobody who may change it: rule '{}' says 'unsigned'",
        escape(rule)
    )]
    NobodyNamed {
        /// The commit of that policy.
        commit: ObjectId,
        /// The rule.
        rule: String,
    },
    /// The pinned root is not here.
    #[error(
        "the commit {root} that 'countersign.policyPin' believes for '{repository}' is not in this repository"
    )]
    NoRoot {
        /// The pinned commit.
        root: ObjectId,
        /// The repository's id.
        repository: String,
    },
    /// The policy before has no rule for its own ref.
    #[error(
        "the policy of commit {commit} has no rule for '{}', so that nobody may change it",
        escape(reference)
    )]
    NoRule {
        /// The commit of that policy.
        commit: ObjectId,
        /// The ref.
        reference: String,
    },
    /// The ref does not exist.
    #[error("there is no ref '{}'", escape(.0))]
    NoReference(String),
    /// The policy does not say which repository's it is.
    #[error("the policy of commit {0} does not say 'repository'")]
    NoRepository(ObjectId),
    /// The policy has no serial.
    #[error("the policy of commit {0} does not say 'serial'")]
    NoSerial(ObjectId),
    /// Not a commit.
    #[error("the policy's {id} is a {kind}, where a commit should be")]
    NotACommit {
        /// The object.
        id: ObjectId,
        /// What it is.
        kind: Kind,
    },
    /// The instance is not believed for who signed.
    #[error(
        "the policy's commit {commit} is signed by '{}', for whom the instance is not believed here",
        escape(subject)
    )]
    NotBelieved {
        /// The commit.
        commit: ObjectId,
        /// Who signed.
        subject: String,
    },
    /// A commit does not stand on the policy before it.
    #[error("the policy's commit {commit} does not stand on commit {before}")]
    NotNext {
        /// The commit.
        commit: ObjectId,
        /// What it has to stand on.
        before: ObjectId,
    },
    /// An object cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    /// The policy is another repository's.
    #[error(
        "the policy of commit {commit} is for the repository '{}', where it has to be for '{}'",
        escape(named),
        escape(pinned)
    )]
    OtherRepository {
        /// The commit.
        commit: ObjectId,
        /// Whose it has to be.
        pinned: String,
        /// Whose it says that it is.
        named: String,
    },
    /// The history ends without having come to the root.
    #[error("the policy does not follow from commit {root}: its history begins with commit {first}")]
    OtherRoot {
        /// The commit that is believed.
        root: ObjectId,
        /// The first commit that there is.
        first: ObjectId,
    },
    /// The policy of a commit, or a file that it names, cannot be used.
    #[error("commit {commit}: {cause}")]
    Policy {
        /// The commit.
        commit: ObjectId,
        /// Why.
        cause: Box<TrustError>,
    },
    /// The ref cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Not signed by whom the policy before names.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The ref was known to name a commit that its history does not hold any more.
    #[error(
        "'{}' was rewound or is out of date: commit {seen}, which was seen there before, is not in its history",
        escape(reference)
    )]
    Rewound {
        /// The ref.
        reference: String,
        /// What was seen.
        seen: ObjectId,
    },
    /// The serial is not greater than the one before.
    #[error("the policy of commit {commit} has the serial {serial}, and the one before it has {before}")]
    SerialNotGrowing {
        /// The commit.
        commit: ObjectId,
        /// The serial before.
        before: u64,
        /// Its own.
        serial: u64,
    },
    /// The time for following it was over.
    #[error("the policy's history is long, and the time for following it is over")]
    Stopped {
        /// The last commit whose policy follows from the one that is believed, if any was judged.
        reached: Option<ObjectId>,
        /// How many steps were judged.
        judged: usize,
        /// How many there are; 0 where not even that was found out.
        of: usize,
    },
    /// The ref is a symbolic one.
    #[error("'{}' is a symbolic ref, and a policy is kept in none", escape(.0))]
    Symbolic(String),
    /// More commits than are followed.
    #[error("the policy's history has more than {} commits", super::MAXIMUM_COMMITS)]
    TooLong,
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        let hint = match &error {
            ChainError::Ambiguous { .. } => {
                "remove all but one with 'countersign policy pin --remove'".to_owned()
            }
            ChainError::CutOff { .. } | ChainError::NoRoot { .. } => {
                "fetch the whole history of the ref, in a shallow clone with 'git fetch --unshallow'".to_owned()
            }
            ChainError::Object(_) => "run 'git fsck' to see what is missing or damaged".to_owned(),
            ChainError::Instance(failure) => failure.hints.join("; "),
            ChainError::NoReference(reference) => {
                format!("fetch it: 'git fetch origin {reference}:{reference}'")
            }
            ChainError::Reference(_) | ChainError::Symbolic(_) => {
                "see to the ref with 'git symbolic-ref' and 'git update-ref'".to_owned()
            }
            ChainError::Rewound { .. } => {
                "fetch the ref; if somebody has set it back, ask them why before you pin it again with 'countersign policy pin'"
                    .to_owned()
            }
            _ => "no older policy counts in its place; ask whoever publishes the policy".to_owned(),
        };
        let failure = Self::new(&error, hint);
        let ChainError::Refused(refusal) = &error else { return failure };
        let Cause::Threshold(shortfall) = &refusal.cause else { return failure };
        Self { hints: vec![shortfall.hint()], ..failure }.hint(
            "then publish the same again, with 'countersign approve --fetch' before it: its commit carries who has approved",
        )
    }
}
