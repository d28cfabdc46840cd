//! The agent: keeps a short-lived key, so that one login serves as many signatures as fit into its certificate.
//!
//! ```text
//! git ─▶ countersign ──payload──▶ agent ─▶ parsed as commit, tag or push certificate ─▶ signed attributes
//!              ▲   ◀──"log in"──    │                                                        │
//!              └──────armor─────────┴───────────────── log ∥ timestamp authority ◀───────────┘
//! ```
//!
//! Whoever asks hands over a payload, never a digest, and gets back an armor, never a key or a token; it logs
//! in itself when the agent has no key, once for all who wait, and checks what it gets as if it had made it.
//! The messages ([`protocol`]), what may be signed ([`payload`]) and who logs in when ([`state`]) are functions
//! of their arguments; sockets and threads stand apart from them, and on Unix only.

#[cfg(unix)]
pub mod client;
#[cfg(unix)]
mod conversation;
#[cfg(unix)]
mod forward;
pub mod payload;
#[cfg(unix)]
mod peer;
#[cfg(unix)]
pub mod place;
pub mod protocol;
#[cfg(unix)]
pub mod server;
pub mod state;
#[cfg(unix)]
mod wire;
