//! Why things are as they are. Nothing here runs.
//!
//! * [`vulnerabilities`]: what went wrong elsewhere in this field, what holds it off here, and the
//!   test that would notice.
//! * [`defaults`]: what holds where nobody has said anything, and why.

pub mod defaults;
pub mod vulnerabilities;
