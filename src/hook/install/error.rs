//! Why hooks cannot be installed, and what to do then.

use std::path::PathBuf;

use crate::{
    hook::{ConfiguredError, ShimError, entering},
    ledger::LedgerError,
    object::ObjectId,
    repository::{ConfigurationError, OpenError},
    trust::{ChainError, PinError, TrustError},
    words::{Failure, shell_word},
};

/// Why the shim cannot be installed, removed or looked at. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The repository belongs to another user, who could not go on with a ledger that this one begins.
    #[error(
        "the repository belongs to '{owner}', and this runs as '{user}', whose ledger '{owner}' could not write"
    )]
    AnotherUser {
        /// Whose it is.
        owner: String,
        /// Who installs.
        user: String,
    },
    /// The policy in the ref does not follow from the commit that is believed, or cannot be used.
    #[error("{}", .0.error)]
    Policy(Box<Failure>),
    /// The commit that the administrator believes has not come to the repository yet.
    #[error("the commit '{root}', from which on the policy is believed, is not in the repository")]
    NoRoot {
        /// The commit.
        root: ObjectId,
        /// The ref that is to hold the policy.
        reference: String,
    },
    /// A hook is to be kept where one is kept already.
    #[error("'{}' is in the way", .0.display())]
    BeforeExists(PathBuf),
    /// Somebody else installs hooks there, or takes them out.
    #[error("somebody else installs hooks in '{}', or takes them out", .0.display())]
    Busy(PathBuf),
    /// git's configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// git cannot be had to run hooks by its configuration.
    #[error(transparent)]
    Configured(#[from] ConfiguredError),
    /// The forge runs the hooks, and not git alone.
    #[error(
        "'{0}' looks for hooks in a folder of its own, and does not always let git run what its configuration names"
    )]
    ForgeRuns(String),
    /// gitolite makes every repository's hook a link to its own, whenever it sets them up.
    #[error("'{}' is gitolite's link to '{}', which it makes anew", hook.display(), leads_to.display())]
    Gitolites {
        /// The hook.
        hook: PathBuf,
        /// Where it leads to.
        leads_to: PathBuf,
    },
    /// A hook that is to be kept does what its name says, and would be run under another one.
    #[error(
        "the hook '{}' goes by the name under which it is run, and would be run as '{}'",
        hook.display(), kept.file_name().unwrap_or_default().to_string_lossy()
    )]
    GoesByItsName {
        /// The hook.
        hook: PathBuf,
        /// Under which name it would be run.
        kept: PathBuf,
    },
    /// What would run the hook in its folder is not there, or does not do so.
    #[error("{0}")]
    NobodyRuns(String),
    /// One hook for every repository goes by a policy file, and keeps its state in a folder of its own.
    #[error("a hook for every repository needs a policy file and a state folder")]
    ForAll,
    /// What moves refs without a push cannot be judged where nobody runs the hook that sees it, or nothing is noted of
    /// what a push has had accepted.
    #[error("nothing would run the reference-transaction hook, or tell it what a push has had accepted")]
    Guard,
    /// git looks for hooks elsewhere.
    #[error("'core.hooksPath' is set to '{0}', so that git would not run a hook of the repository")]
    HooksPath(String),
    /// A file cannot be read or written.
    #[error("'{}': {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The ledger cannot be begun.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A ref in which no policy is kept.
    #[error(transparent)]
    PolicyReference(#[from] PinError),
    /// The program that the shim would run is not there.
    #[error("there is no program '{}' that may be executed", .0.display())]
    NoProgram(PathBuf),
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] OpenError),
    /// A path does not fit into a shim, or the shim there was edited.
    #[error(transparent)]
    Shim(#[from] ShimError),
    /// git's configuration names the hook that is to go.
    #[error("git still runs '{}' by what is said in '{}'", hook.display(), file.display())]
    StillNamed {
        /// The hook.
        hook: PathBuf,
        /// Where it is named.
        file: PathBuf,
    },
    /// The state folder belongs to another repository.
    #[error("the state folder '{}' belongs to the repository '{}'", state.display(), owner.display())]
    StateOfAnother {
        /// The folder.
        state: PathBuf,
        /// Whose it is.
        owner: PathBuf,
    },
    /// The policy or a trusted root cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        let hint = match error {
            InstallError::Trust(error) => return error.into(),
            InstallError::Policy(failure) => return *failure,
            InstallError::AnotherUser { ref owner, .. } => {
                let hint = format!("run it as '{owner}', or keep no ledger with '--no-ledger'");
                return Self::new(error, hint);
            }
            InstallError::NoRoot { ref reference, .. } => {
                let hint = format!("push it there first: 'git push REMOTE {}'", shell_word(reference));
                return Self::new(error, hint);
            }
            InstallError::Busy(_) => "try again",
            InstallError::Gitolites { .. } => {
                "install it where gitolite takes that from, with '--hooks-path' and its folder, and run 'gitolite setup'"
            }
            InstallError::GoesByItsName { .. } => {
                "where a forge has put it there, name the forge with '--forge'; else put a script in its place that runs it from another folder, under its own name there"
            }
            InstallError::NobodyRuns(_) => {
                "have the forge write its own hooks first, such as by 'gitea admin regenerate hooks', or name the forge that it is"
            }
            InstallError::Configured(ConfiguredError::OldGit(_) | ConfiguredError::NoGit) => {
                "install git 2.54 or later, or leave that option out: every git runs a hook of its hooks folder"
            }
            InstallError::Configured(ConfiguredError::Edited(_)) => {
                "take the sections of hooks called 'countersign' out by hand, and the lines around them that speak of it"
            }
            InstallError::ForgeRuns(_) => {
                "install them in each repository, without '--config-hooks' and without '--hooks-path'"
            }
            InstallError::StillNamed { .. } => {
                "name that file with '--config-file', or every push is refused"
            }
            InstallError::ForAll => "name them with '--policy' and '--state'",
            InstallError::BeforeExists(_) => "move one of the two hooks away by hand",
            InstallError::Guard => {
                "leave '--guard' out, or name 'reference-transaction' among the hooks, keep a ledger and have git 2.28 or later"
            }
            InstallError::HooksPath(_) => {
                "unset it for this repository, or install one hook for all with '--hooks-path'"
            }
            InstallError::Ledger(error) => return entering::failure(&error),
            InstallError::PolicyReference(_) => "name the ref by its whole name with '--policy-ref'",
            InstallError::NoProgram(_) => "give the program's path with '--program'",
            InstallError::StateOfAnother { .. } => "give this repository a folder of its own with '--state'",
            InstallError::Shim(ShimError::Edited) => "run 'countersign hook install' again",
            InstallError::Repository(OpenError::Format(ref format)) if format.remedy().is_some() => {
                format.remedy().unwrap_or_default()
            }
            InstallError::Repository(_) | InstallError::Configuration(_) => {
                "name a repository that git can use with '--repository'"
            }
            InstallError::Io { .. } | InstallError::Shim(_) | InstallError::Configured(_) => {
                "nothing was installed; see to the path and try again"
            }
        };
        Self::new(error, hint)
    }
}

impl From<ChainError> for InstallError {
    fn from(error: ChainError) -> Self {
        let failure = match &error {
            // Whoever installs is the administrator, and not somebody who fetches.
            ChainError::Rewound { reference, seen } => Failure::new(
                &error,
                format!(
                    "set it right with 'git update-ref {} {seen}' in the repository, or have another commit believed with '--policy-root'",
                    shell_word(reference)
                ),
            ),
            _ => error.into(),
        };
        Self::Policy(Box::new(failure))
    }
}
