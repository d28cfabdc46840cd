//! Plain S/MIME signatures, with openssl as the authority and gpgsm and git as oracles: the engine, git's
//! program, policy and hook.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod approvals;
#[path = "../support/corpus.rs"]
mod corpus;
mod engine;
mod flips;
mod gate;
mod message;
mod oracle;
mod real;
mod seeds;
mod workshop;
