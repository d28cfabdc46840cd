//! OpenPGP signatures, with gpg as the oracle: the engine, git's program, policy and hook.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod certificates;
#[path = "../support/corpus.rs"]
mod corpus;
mod gate;
mod hostile;
mod oracle;
mod real;
mod sequoia;
mod support;
mod version_6;
