//! How far a long verification has come: a line that moves on a terminal, or a line now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that takes no longer than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often something is said where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    terminal: bool,
    begun: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begin; `terminal` is whether there is one that shows nothing else meanwhile.
    pub(super) fn begin(terminal: bool) -> Self {
        let now = Instant::now();
        Self { terminal, begun: now, said: now, bar: None }
    }

    /// `done` objects are done. What is to be said on standard error, if anything is.
    pub(super) fn advance(&mut self, done: u64) -> Option<String> {
        if !self.terminal {
            if self.said.elapsed() < INTERVAL {
                return None;
            }
            self.said = Instant::now();
            return Some(format!("verified {done} objects so far\n"));
        }
        if self.bar.is_none() && self.begun.elapsed() > PATIENCE {
            let style =
                ProgressStyle::with_template("{spinner} verified {human_pos} objects, {per_sec}, {elapsed}");
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            self.bar = Some(
                bar.with_style(style.expect("the template is well-formed"))
                    .with_elapsed(self.begun.elapsed()),
            );
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
        None
    }

    /// Leave the terminal as it was.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
