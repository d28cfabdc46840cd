//! Any bytes as the environment of a hook.
#![no_main]

#[allow(dead_code, reason = "each program has one target")]
#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::pushes::push_environment(data));
