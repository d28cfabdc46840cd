//! SSH signatures, with `ssh-keygen` and git as the oracles that judge the same bytes.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod certificates;
mod git;
mod hook;
mod keys;
mod refusals;
mod revocation;
mod software;
mod workshop;
