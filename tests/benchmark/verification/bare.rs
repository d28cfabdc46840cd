//! The bare cryptography of many signatures, and ours beside it: a ratio.
//!
//! Bare means: calls into aws-lc-rs only, on keys and digests prepared beforehand, with as many threads and
//! without parsing or allocation, and a digest over every byte that a signature covers.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    digest::{self, Digest},
    signature::{ParsedPublicKey, VerificationAlgorithm},
};
use rayon::prelude::*;

const ROUNDS: usize = 5;

/// What is signed: prehashed where the algorithm takes a digest.
pub enum Message {
    Digest(Digest),
    Bytes(Vec<u8>),
}

/// One signature check with everything prepared.
pub struct Check {
    key: ParsedPublicKey,
    message: Message,
    signature: Vec<u8>,
}

impl Check {
    pub fn new(
        algorithm: &'static dyn VerificationAlgorithm,
        key: &[u8],
        message: Message,
        signature: &[u8],
    ) -> Self {
        Self { key: ParsedPublicKey::new(algorithm, key).unwrap(), message, signature: signature.to_vec() }
    }
}

/// The bare work of one object.
#[derive(Default)]
pub struct Bare {
    pub checks: Vec<Check>,
    pub hashed: Vec<(Vec<u8>, Option<&'static digest::Algorithm>)>,
}

impl Bare {
    /// These bytes are hashed with SHA-256.
    pub fn hash(&mut self, bytes: Vec<u8>) {
        self.hashed.push((bytes, None));
    }
}

fn run(bare: &[Bare]) {
    bare.par_iter().for_each(|bare| {
        for Check { key, message, signature } in &bare.checks {
            match message {
                Message::Digest(digest) => key.verify_digest_sig(digest, signature).unwrap(),
                Message::Bytes(bytes) => key.verify_sig(bytes, signature).unwrap(),
            }
        }
        for (bytes, algorithm) in &bare.hashed {
            black_box(digest::digest(algorithm.unwrap_or(&digest::SHA256), bytes));
        }
    });
}

pub fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Run both by turns on `threads` threads, and print what came of it; our best rate, in objects a second.
pub fn compare(threads: usize, bare: &[Bare], ours: impl Fn() + Sync) -> f64 {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    // Long enough runs that a timer's grain does not matter.
    let repeat = u32::try_from(1500 / bare.len().max(1)).unwrap().max(1);
    let mut ratios = Vec::new();
    let (mut best_bare, mut best_ours) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let bare_time = timed(|| pool.install(|| (0..repeat).for_each(|_| run(bare)))) / repeat;
        let our_time = timed(|| pool.install(|| (0..repeat).for_each(|_| ours()))) / repeat;
        best_bare = best_bare.min(bare_time);
        best_ours = best_ours.min(our_time);
        ratios.push(bare_time.as_secs_f64() / our_time.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let rate = |time: Duration| bare.len() as f64 / time.as_secs_f64();
    println!(
        "threads {threads}: bare {:.0}/s, verify {:.0}/s; ratio median {:.1} %, spread {:.1} to {:.1} %",
        rate(best_bare),
        rate(best_ours),
        ratios[ROUNDS / 2] * 100.0,
        ratios[0] * 100.0,
        ratios[ROUNDS - 1] * 100.0,
    );
    rate(best_ours)
}

/// One thread, and as many as there are cores.
pub fn thread_counts() -> Vec<usize> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, cores];
    threads.dedup();
    threads
}
