//! Getting an identity token: given, from a file, from the surroundings, or by logging in.
//!
//! Responsible for finding or obtaining a [`Token`] and for checking that it is meant for Sigstore and
//! still good. What is done with it is the `sign` room's.

mod token;

pub use self::token::{Claims, MAXIMUM_TOKEN_BYTES, Token, TokenError};
