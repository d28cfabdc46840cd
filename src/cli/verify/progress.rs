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
        let elapsed = self.begun.elapsed();
        if self.bar.is_none() && elapsed > PATIENCE {
            let style =
                ProgressStyle::with_template("{spinner} verified {human_pos} objects, {msg}, {elapsed}");
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let bar = bar.with_style(style.expect("the template is well-formed"));
            self.bar = Some(bar.with_elapsed(elapsed));
        }
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{:.0} a second", done as f64 / elapsed.as_secs_f64()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(terminal: bool, ago: Duration) -> Progress {
        let then = Instant::now().checked_sub(ago).unwrap();
        Progress { terminal, begun: then, said: then, bar: None }
    }

    #[test]
    fn short_work_shows_nothing() {
        for terminal in [true, false] {
            let mut progress = begun(terminal, Duration::ZERO);
            assert_eq!(progress.advance(1000), None);
            assert!(progress.bar.is_none());
        }
    }

    #[test]
    fn long_work_says_so_now_and_then() {
        let mut progress = begun(false, INTERVAL);
        assert_eq!(progress.advance(1000), Some("verified 1000 objects so far\n".to_owned()));
        assert_eq!(progress.advance(2000), None);
    }

    #[test]
    fn a_terminal_gets_a_line_that_moves_and_goes() {
        let mut progress = begun(true, PATIENCE + PATIENCE);
        assert_eq!(progress.advance(1000), None, "nothing besides it");
        let bar = progress.bar.clone().unwrap();
        assert_eq!((bar.position(), bar.is_finished()), (1000, false));
        assert!(bar.message().ends_with(" a second"));
        progress.end();
        assert!(bar.is_finished());
    }
}
