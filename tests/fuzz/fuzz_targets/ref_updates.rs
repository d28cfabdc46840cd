//! Any bytes as the updates of a push.
#![no_main]

#[allow(dead_code, reason = "each program has one target")]
#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::pushes::ref_updates(data));
