//! What can be typed after `countersign policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::trust::POLICY_REF;

/// Write, check, publish and pin policies
#[derive(Args, Debug)]
pub struct PolicyArguments {
    #[command(subcommand)]
    pub(super) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Write a first policy, commented, to be made one's own
    Init {
        /// Where to; a file that is there is not overwritten
        #[arg(value_name = "FILE")]
        path: PathBuf,
    },
    /// Say whether a policy can be used, and what in it is probably not meant
    Check {
        /// The policy file
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// Say also what can never be met where this forge calls the hook
        #[arg(long, value_name = "KIND[=NAME]", value_parser = crate::hook::parse_forge)]
        forge: Option<crate::policy::Forge>,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say which rule decides about a ref, and who may do what by it
    Explain(ExplainArguments),
    /// Try a policy on history: what each rule would refuse, by cause
    Test(TestArguments),
    /// Say which policy counts in a repository, and where it comes from
    Show(ShowArguments),
    /// Keep a policy in a ref of the repository, as a signed commit
    Publish(PublishArguments),
    /// Believe the policy that a repository keeps in a ref, from one commit on
    Pin(PinArguments),
}

#[derive(Args, Debug)]
pub(super) struct ShowArguments {
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    pub(super) repository: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ExplainArguments {
    /// The full name of the ref, such as refs/heads/main; it need not exist
    #[arg(value_name = "REF")]
    pub(super) reference: String,
    /// Say also what the rule says of this commit
    #[arg(value_name = "COMMIT")]
    pub(super) commit: Option<String>,
    /// The policy file, instead of the configured policy
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    pub(super) repository: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct TestArguments {
    /// The history to try it on: as if the ref went from A to B, or had B without having been there
    #[arg(long, value_name = "[A..]B")]
    pub(super) against: String,
    /// The full name of the ref; the current branch if none is given
    #[arg(long = "ref", value_name = "REF")]
    pub(super) reference: Option<String>,
    /// The policy file, instead of the configured policy
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    pub(super) repository: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct PublishArguments {
    /// The policy file; files that it names have to lie beside or below it
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The ref to keep it in
    #[arg(long = "ref", value_name = "REF", default_value = POLICY_REF)]
    pub(super) reference: String,
    /// The message of the commit
    #[arg(long, short, value_name = "TEXT")]
    pub(super) message: Option<String>,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    pub(super) repository: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct PinArguments {
    /// The ref that the policy is kept in
    #[arg(long = "ref", value_name = "REF", default_value = POLICY_REF, conflicts_with_all = ["list", "remove"])]
    pub(super) reference: String,
    /// The commit that is believed as it is; the first one of the ref if none is given
    #[arg(long, value_name = "COMMIT", conflicts_with_all = ["list", "remove"])]
    pub(super) root: Option<String>,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["list", "remove"])]
    pub(super) repository: Option<PathBuf>,
    /// Do not ask
    #[arg(long, conflicts_with_all = ["list", "remove"])]
    pub(super) yes: bool,
    /// Put the pin in the place of another one of the same repository
    #[arg(long, conflicts_with_all = ["list", "remove"])]
    pub(super) replace: bool,
    /// List the pins that count
    #[arg(long, conflicts_with = "remove")]
    pub(super) list: bool,
    /// Take out the pin of the repository with this id
    #[arg(long, value_name = "ID")]
    pub(super) remove: Option<String>,
    /// Forget whose policy the repository here was judged by: another one has taken its place
    #[arg(long, conflicts_with_all = ["list", "remove", "root", "reference", "yes", "replace", "json"])]
    pub(super) forget_here: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
