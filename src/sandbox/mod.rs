//! An embedded Sigstore on loopback, for trials and tests, never for production.
//!
//! One process holds an OIDC issuer, a certificate authority that speaks Fulcio's HTTP API, a transparency
//! log that speaks Rekor v1 and one that speaks Rekor v2, and an RFC 3161 timestamp authority.
//! [`Authority`] issues without HTTP; [`Authority::serve`] puts it on a port of 127.0.0.1, and
//! [`command`] is that for the command line.

mod authority;
mod browse;
mod certificate_authority;
mod certificate_request;
mod certificate_transparency;
mod clock;
pub mod command;
mod demonstration;
mod identity_token;
mod key;
mod log;
mod log_entry;
mod login;
mod merkle;
mod note;
mod pem;
mod rekor_v1;
mod rekor_v2;
mod server;
mod state;
mod timestamp;
mod trust;
mod x509;

pub use authority::{Authority, AuthorityError, Options, Role};
pub use certificate_authority::{
    BuildClaims, Identity, IdentityError, IssueError, LEAF_LIFETIME, LeafProfile,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use identity_token::{AUDIENCE, Build, TOKEN_LIFETIME, TokenError};
pub use key::{HashAlgorithm, KeyAlgorithm, KeyError, PublicKeyError, SigningKey};
pub use log::InclusionProof;
pub use log_entry::{HashedRekord, ProposalError, Verifier};
pub use rekor_v1::{REKOR_V1_NAME, RekorV1Entry, RekorV1Error};
pub use rekor_v2::{REKOR_V2_ORIGIN, RekorV2Entry, RekorV2Error};
pub use server::{Running, ServeError};
pub use state::StateError;
pub use timestamp::TimestampError;
pub use trust::RekorOffer;
