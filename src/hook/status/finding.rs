//! What there is to look at in an installation, in words.

use std::{fmt, path::PathBuf};

use crate::policy;

/// Something about an installation that its owner should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusFinding {
    /// An update is let through once, whatever the policy says.
    Admitted(String),
    /// The policy or the installation asks for what the server does not give.
    Unmet(String),
    /// Every push is refused as things stand.
    Broken(String),
    /// A rule takes what an anchor leads to as it is, and the anchor is not here.
    NoAnchor {
        /// The rule.
        rule: String,
        /// The anchor, in hexadecimal.
        anchor: String,
    },
    /// A rule asks for push certificates, and the shim names no address that one could be for.
    NoAddresses {
        /// The rule.
        rule: String,
    },
    /// It was looked at as another user than the one whose the repository is, for whom git may be told otherwise.
    NotAsOwner {
        /// Who looked.
        user: String,
        /// Whose the repository is.
        owner: String,
    },
    /// Nothing notes a change of the policy's ref when it happens.
    NotedLate,
    /// The shim has another file of a certificate authority than the policy names now.
    OtherAuthority {
        /// Its name in the policy.
        name: String,
        /// What the shim holds.
        pinned: PathBuf,
    },
    /// The shim has another file of OpenPGP certificates than the policy names now.
    OtherCertificates {
        /// Its name in the policy.
        file: String,
        /// What the shim holds.
        pinned: PathBuf,
    },
    /// The shim has another trusted root than the policy names now.
    OtherTrustedRoot {
        /// The instance.
        instance: String,
        /// What the shim holds.
        pinned: PathBuf,
    },
    /// Something in the policy that is probably not meant.
    Policy(policy::Finding),
    /// The gate does not stand in the way of a push.
    Open(String),
    /// Nobody can tell what the hook does.
    Unreadable(String),
    /// The ledger is not as it has to be to be of use.
    Ledger(String),
    /// Only one user of the server can keep the ledger, and others may push as well.
    OneUser {
        /// The state folder.
        state: PathBuf,
        /// Whose it is.
        keeper: String,
        /// Whose the repository is.
        repository: String,
    },
    /// The forge moves refs by its own pages in ways that pre-receive does not see, and nothing else looks.
    Unguarded,
    /// It, or a folder above it, belongs to another user than the repository.
    OwnedByAnother {
        /// What.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Whose the repository is.
        repository: String,
    },
    /// Two hooks of ours judge every push.
    Twice {
        /// The one that git's configuration names.
        configured: PathBuf,
        /// The one that lies where git or a forge looks for hooks.
        found: PathBuf,
    },
    /// Others than its owner can write the repository itself.
    Shared {
        /// A part of it that shows that.
        path: PathBuf,
        /// They, in words.
        who: String,
        /// The setting that has git let them.
        setting: Option<String>,
    },
    /// Others than the owner can change it, or a folder above it.
    Writable(PathBuf),
}

impl StatusFinding {
    /// What kind it is, for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Admitted(_) => "admitted",
            Self::Unmet(_) => "unmet",
            Self::Broken(_) => "broken",
            Self::NoAddresses { .. } => "no-addresses",
            Self::NoAnchor { .. } => "no-anchor",
            Self::NotAsOwner { .. } => "not-as-owner",
            Self::NotedLate => "noted-late",
            Self::OtherAuthority { .. } => "other-authority",
            Self::OtherCertificates { .. } => "other-certificates",
            Self::OtherTrustedRoot { .. } => "other-trusted-root",
            Self::Policy(_) => "policy",
            Self::Open(_) => "open",
            Self::Unreadable(_) => "unreadable",
            Self::Ledger(_) => "ledger",
            Self::OneUser { .. } => "one-user",
            Self::Unguarded => "unguarded",
            Self::OwnedByAnother { .. } => "owned-by-another",
            Self::Twice { .. } => "twice",
            Self::Shared { .. } => "shared",
            Self::Writable(_) => "writable",
        }
    }

    /// Whether it is about git not running the hook as it is installed, or about what the hook asks for and cannot
    /// have as things stand.
    #[must_use]
    pub fn is_about_running(&self) -> bool {
        let is_unmet = matches!(self, Self::Broken(_) | Self::NoAddresses { .. } | Self::Unmet(_));
        is_unmet
            || matches!(
                self,
                Self::NoAnchor { .. }
                    | Self::Open(_)
                    | Self::Unreadable(_)
                    | Self::Twice { .. }
                    | Self::NotAsOwner { .. }
            )
    }

    /// Whether it is about who can write what decides.
    #[must_use]
    pub fn is_about_writers(&self) -> bool {
        let is_writable = matches!(
            self,
            Self::OneUser { .. } | Self::OwnedByAnother { .. } | Self::Shared { .. } | Self::Writable(_)
        );
        is_writable || *self == Self::Unguarded
    }
}

impl fmt::Display for StatusFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted(what) => write!(formatter, "admitted once, whatever the policy says: {what}"),
            Self::Broken(what) => write!(formatter, "every push is refused: {what}"),
            Self::Unmet(what) => formatter.write_str(what),
            Self::NoAddresses { rule } => write!(
                formatter,
                "rule '{rule}' asks for a push certificate, and none can be for this server: install the hook again with '--address'"
            ),
            Self::NoAnchor { rule, anchor } => write!(
                formatter,
                "the anchor '{anchor}' of rule '{rule}' is no commit that is here: until it is, the rule judges the whole history"
            ),
            Self::NotAsOwner { user, owner } => write!(
                formatter,
                "this was looked at as '{user}': for '{owner}', whose the repository is, git may be told to look for hooks elsewhere ('core.hooksPath'); run 'countersign hook status' as '{owner}' too"
            ),
            Self::NotedLate => formatter.write_str(
                "a change of the policy's ref is noted by the next push only: until then nobody would notice that the ref is set back; let the hooks 'reference-transaction' or 'post-receive' note it, with a ledger",
            ),
            Self::OtherAuthority { name, pinned } => write!(
                formatter,
                "the hook takes the certificate authority '{name}' from '{}', the policy from elsewhere; run 'countersign hook install' again",
                pinned.display()
            ),
            Self::OtherCertificates { file, pinned } => write!(
                formatter,
                "the hook takes the OpenPGP certificates '{file}' from '{}', the policy from elsewhere; run 'countersign hook install' again",
                pinned.display()
            ),
            Self::OtherTrustedRoot { instance, pinned } => write!(
                formatter,
                "the hook takes the trusted root of '{instance}' from '{}', the policy from elsewhere; run 'countersign hook install' again",
                pinned.display()
            ),
            Self::Policy(finding) => write!(formatter, "{finding}"),
            Self::Open(what) => write!(formatter, "pushes are not judged: {what}"),
            Self::Unreadable(what) => write!(formatter, "it cannot be told whether pushes are judged: {what}"),
            Self::Ledger(what) => write!(formatter, "{what}"),
            Self::OneUser { keeper, repository, .. } if keeper == repository => write!(
                formatter,
                "the ledger is kept by '{keeper}' alone: a push that comes in as any other user of the server is refused; let every push come in as '{keeper}', by an ssh forced command, gitolite or a forge, or install the hook with '--no-ledger'"
            ),
            Self::OneUser { state, keeper, repository } => write!(
                formatter,
                "'{}' belongs to '{keeper}', and the repository to '{repository}': a push that comes in as anybody but '{keeper}' is refused, for nobody else can keep the ledger",
                state.display()
            ),
            Self::Unguarded => formatter.write_str(
                "the forge makes tags, and deletes tags and branches, on its pages without asking the pre-receive hook; install without '--no-guard' to have that judged",
            ),
            Self::OwnedByAnother { path, owner, repository } => write!(
                formatter,
                "'{}' belongs to '{owner}', the repository to '{repository}': whoever is '{owner}' decides what is accepted",
                path.display()
            ),
            Self::Shared { path, who, setting } => {
                write!(formatter, "'{}' can be written by {who}", path.display())?;
                if let Some(setting) = setting {
                    write!(formatter, " ({setting})")?;
                }
                write!(
                    formatter,
                    ", who can move refs and change hooks without a push: the gate binds none of them; let all pushes come in as one user whom nobody else can be"
                )
            }
            Self::Twice { configured, found } => write!(
                formatter,
                "pushes are judged twice, by '{}' and by '{}', and a push certificate counts only once: uninstall one of them",
                configured.display(),
                found.display()
            ),
            Self::Writable(path) => write!(
                formatter,
                "'{}' can be changed by others than its owner, and with it what is accepted: the gate does not bind them",
                path.display()
            ),
        }
    }
}
