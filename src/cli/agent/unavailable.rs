//! Where there is no agent: it needs sockets that belong to one user, and knows those of Unix only.

use clap::Args;

use super::{Opened, Through};
use crate::{
    agent::{payload::Signable, protocol::ForwardStatus},
    cli::{
        Outcome, World,
        signing::{Access, Settings},
    },
    identity::{Demands, Token},
    words::Failure,
};

/// Have another machine ask for signatures over ssh, so many and for so long
#[derive(Args, Debug)]
pub struct ForwardArguments {}

/// Nothing was forwarded to here.
pub(in crate::cli) fn terms(_: &World<'_>) -> Result<Option<ForwardStatus>, Failure> {
    Ok(None)
}

/// What is said of it.
pub(super) fn failure() -> Failure {
    Failure::new(
        "there is no agent on this system",
        "each signature logs in by itself; a token in 'SIGSTORE_ID_TOKEN' serves several",
    )
}

/// Signs nothing.
pub(in crate::cli) fn sign(
    _: &Settings<'_, '_>,
    _: &mut Access,
    _: &Demands,
    _: Option<&Token>,
    _: &[u8],
    _: Option<&Signable<'_>>,
) -> Result<Through, Failure> {
    Ok(Through::Without { token: None, warning: None })
}

/// Keeps nothing.
pub(in crate::cli) fn open(
    _: &Settings<'_, '_>,
    _: &mut Access,
    _: &Demands,
    _: Option<&Token>,
) -> Result<Opened, Failure> {
    Err(failure())
}

/// Has nothing to forget.
pub(in crate::cli) fn lock(_: &mut World<'_>, _: bool) -> Outcome {
    Err(failure())
}

/// Keeps no logins.
pub(in crate::cli) fn kept(_: &World<'_>) -> Result<Option<usize>, Failure> {
    Ok(None)
}

/// There is none whose privacy is known.
pub(in crate::cli) fn private_folder(_: &crate::cli::Environment) -> Option<std::path::PathBuf> {
    None
}
