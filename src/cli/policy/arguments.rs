//! What can be typed after `countersign policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Write and check policy files
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
    },
}
