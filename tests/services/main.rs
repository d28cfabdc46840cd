//! Signing with every kind of Sigstore: several logs and timestamp authorities, and none.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

mod front;
mod keys;
mod several;
mod transport;
mod unlogged;

#[path = "../support/mod.rs"]
mod support;
