//! The remote helper: what a remote serves reaches refs and objects only where the policy accepts it.
//!
//! git starts `git-remote-verified` for addresses that begin with `verified::`. Refs are listed as the
//! remote says, but for those that are held at what was accepted last; what a fetch brings stays in a
//! quarantine until all of it is judged; and a push that the policy refuses is not sent. The remote is the
//! adversary here: nothing that it serves says what counts.
//!
//! Responsible for addresses, for the dialogue with git, for git's own transports as children, and for
//! what is remembered of each remote. Not responsible for where a policy comes from.

mod address;
mod advertisement;
mod arrived;
mod fetch;
mod glimpses;
mod guard;
mod judge;
mod ledger;
mod listing;
mod memory;
mod moves;
mod present;
mod protocol;
mod push;
mod quarantine;
mod session;
mod taking;
mod transport;

pub use address::{Address, AddressError, AddressPattern, PREFIX, without_secrets};
pub use advertisement::{Advertisement, AdvertisementError, Head};
pub use guard::{Guard, Mirrored, Move};
pub use judge::{Basis, Origin, PolicyInRef, ReadPolicy};
pub use memory::{Held, Memory, MemoryError, Store};
pub use protocol::{Command, ProtocolError, PushLine, next as next_command};
pub use quarantine::Quarantine;
pub use session::{Context, Told, fetch_ledger, fetch_policy, run};
pub use transport::{Answer, DEPTH, Transport, TransportError, Work};
