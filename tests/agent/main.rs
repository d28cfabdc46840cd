//! The agent as git's callers meet it: real git, the real program, and logins in a script that plays the browser.
#![cfg(all(feature = "sandbox", unix))]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

mod commands;
mod forwarding;
mod machine;
mod refresh;
mod refusals;
mod renewal;
mod sharing;
mod terminal;

#[path = "../support/mod.rs"]
mod support;
