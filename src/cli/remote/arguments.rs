//! What can be typed after `countersign remote` and `countersign protect`.

use clap::{Args, Subcommand};

use crate::trust::POLICY_REF;

/// Say what is remembered of remotes behind 'verified::', and change it
#[derive(Args, Debug)]
pub struct RemoteArguments {
    #[command(subcommand)]
    pub(super) command: RemoteCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum RemoteCommand {
    /// Say what was accepted of each remote, and what is held
    Status {
        /// Only this address
        url: Option<String>,
    },
    /// Forget a remote, or one of its refs: what it says next is taken as first sight
    Forget {
        /// The address
        url: String,
        /// The full name of a ref
        reference: Option<String>,
    },
    /// Look at the policy that a remote keeps in a ref, and believe it from now on
    Trust(TrustArguments),
    /// Take whatever an address serves, without any verification
    AllowUnverified {
        /// The address
        url: String,
        /// No longer
        #[arg(long)]
        undo: bool,
    },
}

#[derive(Args, Debug)]
pub(super) struct TrustArguments {
    /// The address
    pub(super) url: String,
    /// The ref that the policy is kept in
    #[arg(long = "ref", value_name = "REF", default_value = POLICY_REF)]
    pub(super) reference: String,
    /// The commit that is believed as it is; the first one of the ref if none is given
    #[arg(long, value_name = "COMMIT")]
    pub(super) root: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(super) trust_first_use: bool,
}

/// Fetch, and fetch again without what was refused
#[derive(Args, Debug)]
pub struct FetchArguments {
    /// What 'git fetch' takes
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) arguments: Vec<std::ffi::OsString>,
}

/// Have the remotes of a clone go through 'verified::', or back
#[derive(Args, Debug)]
pub struct ProtectArguments {
    /// The remotes; all of them if none is named
    #[arg(value_name = "REMOTE")]
    pub(super) remotes: Vec<String>,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    pub(super) repository: Option<std::path::PathBuf>,
    /// Have them go to their plain addresses again, and take the hook out
    #[arg(long)]
    pub(super) undo: bool,
    /// Leave the addresses as they are and have a hook judge what moves: a weaker guard
    #[arg(long, conflicts_with = "remotes")]
    pub(super) hooks: bool,
    /// What the hook runs
    #[arg(long, hide = true, exclusive = true)]
    pub(super) judge: bool,
}
