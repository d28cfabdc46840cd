//! Sigstore's artefacts as values: certificate, SCT, log entry, checkpoint, timestamp, trusted root.
//!
//! Responsible for their encodings and for checking one artefact against one key. What has to be
//! proven, and in which order, is the `verify` room's; who made the artefacts is nobody's business here.

pub mod api_entry;
pub mod certificate;
pub mod checkpoint;
pub mod claims;
pub mod key;
pub mod log_entry;
pub mod sct;
pub mod timestamp;
pub mod trusted_root;
