//! What can be typed after `countersign trust`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Show, add, update and pin the trusted roots that signatures are judged by
#[derive(Args, Debug)]
pub struct TrustArguments {
    #[command(subcommand)]
    pub(super) command: TrustCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TrustCommand {
    /// List the instances that count here
    List(ListArguments),
    /// Tell what is in the trusted root of an instance
    Show(ShowArguments),
    /// Keep the trusted root of an instance in the data folder
    Add(AddArguments),
    /// Fetch newer trusted roots from their TUF repositories
    Update(UpdateArguments),
    /// Say from which repository, and from which TUF root on, an instance is updated
    Pin(PinArguments),
    /// Forget what the data folder holds of an instance
    Remove(RemoveArguments),
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct ShowArguments {
    /// The instance
    #[arg(default_value = "public-good")]
    pub(super) name: String,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct AddArguments {
    /// The name under which policies speak of the instance
    pub(super) name: String,
    /// Its trusted_root.json
    #[arg(long, value_name = "FILE", group = "source")]
    pub(super) trusted_root: Option<PathBuf>,
    /// Its TUF repository
    #[arg(long, value_name = "URL", group = "source", requires = "tuf_root")]
    pub(super) tuf_url: Option<String>,
    /// The TUF root (root.json) to begin with, got from whoever runs the instance
    #[arg(long, value_name = "FILE", requires = "tuf_url")]
    pub(super) tuf_root: Option<PathBuf>,
    /// A certificate authority: its certificates in PEM, from the issuer of leaves to the root
    #[arg(long, value_name = "PEM", group = "source", requires_all = ["rekor_key", "ct_key"])]
    pub(super) fulcio_root: Vec<PathBuf>,
    /// The public key of a transparency log in PEM; Ed25519 keys need the log's URL
    #[arg(long, value_name = "[URL=]PEM", requires = "fulcio_root")]
    pub(super) rekor_key: Vec<String>,
    /// The public key of a certificate transparency log in PEM
    #[arg(long, value_name = "[URL=]PEM", requires = "fulcio_root")]
    pub(super) ct_key: Vec<String>,
    /// A timestamp authority: its certificates in PEM, from the leaf to the root
    #[arg(long, value_name = "PEM", requires = "fulcio_root")]
    pub(super) timestamp_chain: Vec<PathBuf>,
    /// Put it in the place of what is kept under this name
    #[arg(long)]
    pub(super) replace: bool,
}

#[derive(Args, Debug)]
pub(super) struct UpdateArguments {
    /// The instance, if not every one that has a repository
    pub(super) name: Option<String>,
    /// Say nothing, and do nothing if an update was tried within a day
    #[arg(long)]
    pub(super) detached: bool,
}

#[derive(Args, Debug)]
pub(super) struct PinArguments {
    /// The instance
    pub(super) name: String,
    /// The TUF root (root.json) to begin with
    #[arg(long, value_name = "FILE")]
    pub(super) tuf_root: PathBuf,
    /// The TUF repository, if it is not the one in use
    #[arg(long, value_name = "URL")]
    pub(super) tuf_url: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct RemoveArguments {
    /// The instance
    pub(super) name: String,
}
