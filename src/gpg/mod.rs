//! The dialect that git and its friends speak with a signing program: arguments in, status lines out.
//!
//! Knows how git (gpg-interface.c), jj, GitButler and EGit call `gpg`, `gpgsm` and `ssh-keygen -Y`,
//! and which lines they read. Knows nothing of signatures, policies or repositories.

mod arguments;
pub mod gpgsm;
pub mod openpgp;
pub mod ssh_keygen;
mod status;

pub use arguments::{ArgumentError, Data, Request, is_dialect};
pub use status::{Answer, Signer, signed, verified};
