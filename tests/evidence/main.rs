//! Forged evidence: each forgery has to be refused for its own cause, beside the true thing that passes.
//!
//! The evidence is made with the keys of embedded authorities. Names that begin with the id of an
//! advisory or of a public issue say which fault of others the test keeps out.

#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "../support/forge.rs"]
mod forge;

mod certificate;
mod instances;
mod log;
mod online;
mod structure;
mod timestamp;

use countersign::{
    signature::FormatError,
    sigstore::certificate::ProfileError,
    verify::{Bad, CannotTell, Proven, Verdict},
};

/// The proof in a good verdict.
#[track_caller]
fn good(verdict: Verdict) -> Proven {
    match verdict {
        Verdict::Good(proven) => *proven,
        other => panic!("not good: {other:?}"),
    }
}

fn bad(bad: Bad) -> Verdict {
    Verdict::Bad(bad)
}

fn unclear(cause: CannotTell) -> Verdict {
    Verdict::CannotTell(cause)
}

fn format(cause: FormatError) -> Verdict {
    Verdict::CannotTell(CannotTell::Format(cause))
}

fn profile(cause: ProfileError) -> Verdict {
    Verdict::CannotTell(CannotTell::CertificateProfile(cause))
}
