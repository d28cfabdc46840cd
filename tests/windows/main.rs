//! Signers that count for a time alone: backdating with each kind of key, at the gate and for readers; builds,
//! and what a forge signs.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests stand in the world")]

#[path = "../support/mod.rs"]
mod support;

mod builds;
mod forge;
mod gate;
mod kinds;
mod reader;
