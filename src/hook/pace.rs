//! How long judging may take, what is heard of it meanwhile, and what was found before.
//!
//! Whatever goes on for as long as a pusher or a history likes asks here whether to go on. What was left out
//! because time was over decides nothing: whoever asks last refuses the whole push.

use std::{
    io::Write,
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

use super::Verdicts;
use crate::policy::Cause;

/// How long work goes on before the pusher hears of it, and how often then.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// There was no time left for it; that is said once, for the whole push.
pub(super) const OUT_OF_TIME: Cause = Cause::OutOfTime { judged: 0, of: 0 };

/// The time for judging a push is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeIsOver;

/// How the gate goes on with its work.
#[derive(Clone, Copy)]
pub struct Pace<'a> {
    /// Whether the time for judging is over: what is not judged by then is refused. Once it is, it stays so.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
    /// Told now and then how many commits of a history were read.
    pub reads: &'a dyn Fn(usize),
    /// Told how many changes of a policy were judged, of how many; 0 while its history is read.
    pub changes: &'a dyn Fn(usize, usize),
    /// How long work of many threads goes on before anybody hears of it, and how often then.
    pub patience: Duration,
    /// The good verdicts that are remembered.
    pub verdicts: Option<&'a Verdicts>,
}

impl Default for Pace<'_> {
    /// As long as it takes.
    fn default() -> Self {
        Self { is_over: &|| false, reads: &|_| {}, changes: &|_, _| {}, patience: PATIENCE, verdicts: None }
    }
}

impl Pace<'_> {
    /// Whether to go on with a walk that has met so many commits.
    pub(super) fn goes_on(&self, met: usize) -> bool {
        (self.reads)(met);
        !(self.is_over)()
    }

    /// Whether to go on along the history of a policy, of which so many changes were judged, of so many.
    pub(super) fn follows(&self, judged: usize, of: usize) -> bool {
        (self.changes)(judged, of);
        !(self.is_over)()
    }

    /// Do `work` on a thread of its own, and tell `progress` now and then how far it has come, in `words`.
    pub(super) fn told<T: Send>(
        &self,
        progress: &mut dyn Write,
        words: &dyn Fn() -> String,
        work: impl FnOnce() -> T + Send,
    ) -> T {
        // A patience of nothing would do nothing but tell.
        let patience = self.patience.max(Duration::from_millis(1));
        std::thread::scope(|scope| {
            let (working, finished) = channel::<()>();
            let worker = scope.spawn(move || {
                let _working = working;
                work()
            });
            while let Err(RecvTimeoutError::Timeout) = finished.recv_timeout(patience) {
                // A pusher who has gone does not change what is judged.
                let _ = writeln!(progress, "countersign: {}", words());
                let _ = progress.flush();
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn whoever_waits_hears_how_far_it_has_come() {
        let done = AtomicUsize::new(0);
        let pace = Pace { patience: Duration::ZERO, ..Pace::default() };
        let mut said = Vec::new();
        let words = || {
            done.fetch_add(1, Ordering::Relaxed);
            "at work".to_owned()
        };
        // It ends only once it was told of.
        let answer = pace.told(&mut said, &words, || {
            while done.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            7
        });
        assert_eq!(answer, 7);
        assert!(said.starts_with(b"countersign: at work\n"));
        // What is done at once is not told of.
        let mut said = Vec::new();
        Pace::default().told(&mut said, &|| "at work".to_owned(), || ());
        assert!(said.is_empty());
    }
}
