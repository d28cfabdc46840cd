//! How long judging may take, what is heard of it meanwhile, and what was found before.

use super::Verdicts;

/// How the gate goes on with its work.
#[derive(Clone, Copy)]
pub struct Pace<'a> {
    /// Whether the time for judging is over: what is not judged by then is refused.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
    /// Told now and then how many commits of a history were read.
    pub reads: &'a dyn Fn(usize),
    /// The good verdicts that are remembered.
    pub verdicts: Option<&'a Verdicts>,
}

impl Default for Pace<'_> {
    /// As long as it takes.
    fn default() -> Self {
        Self { is_over: &|| false, reads: &|_| {}, verdicts: None }
    }
}

impl Pace<'_> {
    /// Whether to go on with a walk that has met so many commits.
    pub(super) fn goes_on(&self, met: usize) -> bool {
        (self.reads)(met);
        !(self.is_over)()
    }
}
