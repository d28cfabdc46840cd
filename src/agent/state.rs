//! What the agent keeps: keys by what they are for, who is logging in, and what was signed. No clock, no socket.
//!
//! For each [`Wanted`] at most one login runs at a time; whoever else wants the same waits for it. A login that
//! fails has failed for all who wait; one that is abandoned (its process is gone) passes to the next of them.

use std::{collections::VecDeque, sync::Arc};

use super::protocol::{Holder, KeyStatus, Record, Wanted};
use crate::sign::LEAST_REMAINING;

/// How many keys are kept.
const MAXIMUM_KEYS: usize = 16;
/// How many signatures are remembered.
const MAXIMUM_RECORDS: usize = 200;
/// How many outcomes of failed logins are remembered, for those who still wait.
const MAXIMUM_FAILURES: usize = 64;
/// A key that has fewer seconds left than this is of no use: a signature needs some time.
const USELESS: i64 = LEAST_REMAINING + 5;
/// A run of signatures that goes on is asked for the next login when its key has fewer seconds left than this:
/// a person may take two minutes, and the old key signs if that comes to nothing.
const RENEWAL: i64 = 180;
/// Where a token is at hand, the next key is got when the old one has fewer seconds left than this.
const RENEWAL_BY_TOKEN: i64 = 90;
/// The end of a key is announced to a run of signatures when it has fewer seconds left than this.
const ANNOUNCEMENT: i64 = 300;
/// So many signatures within [`RUN_SECONDS`] are a run, such as a rebase.
const RUN: usize = 4;
/// See [`RUN`].
const RUN_SECONDS: i64 = 120;

/// A key, and what is known of it. `S` is the key itself, of which nothing is asked here.
struct Kept<S> {
    wanted: Wanted,
    key: Arc<S>,
    holder: Holder,
    signatures: u64,
    recent: VecDeque<i64>,
    is_announced: bool,
    is_renewal_asked: bool,
    is_refreshable: Option<bool>,
}

impl<S> Kept<S> {
    fn remaining(&self, now: i64) -> i64 {
        self.holder.not_after.saturating_sub(now)
    }

    fn is_in_a_run(&self, now: i64) -> bool {
        let oldest = if self.recent.len() >= RUN { self.recent.front() } else { None };
        oldest.is_some_and(|oldest| now.saturating_sub(*oldest) <= RUN_SECONDS)
    }
}

/// A login that runs.
struct Login {
    number: u64,
    wanted: Wanted,
    process: Option<u32>,
}

/// Who wants a key, and what they can do about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visitor {
    /// Its process, where it is known.
    pub process: Option<u32>,
    /// It can log in, by asking a person.
    pub may_log_in: bool,
    /// It has brought a token.
    pub has_token: bool,
    /// The login that it has waited for.
    pub awaited: Option<u64>,
}

/// What comes next for someone who wants a key.
#[derive(Debug)]
pub enum Step<S> {
    /// The login that was waited for has failed, for this reason.
    Failed(String),
    /// Log in, and tell [`State::end_login`] what became of it.
    LogIn {
        /// The number of the login.
        number: u64,
        /// The key to sign with if it comes to nothing, and its remaining seconds.
        instead: Option<(Held<S>, i64)>,
    },
    /// There is no key and no way to one.
    NoKey,
    /// Use this key.
    Use {
        /// The key.
        held: Held<S>,
        /// Whether its end is near enough to be announced, once.
        announce: bool,
    },
    /// Wait for a login.
    Wait {
        /// The number of the login.
        number: u64,
        /// The process that logs in.
        process: Option<u32>,
    },
}

/// A key that is in use; it lives until the last use has ended.
#[derive(Debug)]
pub struct Held<S> {
    /// The key.
    pub key: Arc<S>,
    /// Whose it is.
    pub holder: Holder,
}

impl<S> Clone for Held<S> {
    fn clone(&self) -> Self {
        Self { key: Arc::clone(&self.key), holder: self.holder.clone() }
    }
}

/// What became of a login.
#[derive(Debug)]
pub enum Outcome<S> {
    /// Nobody knows: whoever was logging in is gone.
    Abandoned,
    /// It came to nothing, for this reason.
    Failed(String),
    /// It brought a key.
    Opened(Held<S>),
}

/// Everything that is kept. `S` is a key.
pub struct State<S> {
    kept: Vec<Kept<S>>,
    logins: Vec<Login>,
    failures: VecDeque<(u64, String)>,
    records: VecDeque<Record>,
    signatures: u64,
    next: u64,
}

impl<S> Default for State<S> {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            logins: Vec::new(),
            failures: VecDeque::new(),
            records: VecDeque::new(),
            signatures: 0,
            next: 0,
        }
    }
}

impl<S> State<S> {
    /// What comes next for `visitor`, who wants a key for `wanted` at `now`.
    pub fn step(&mut self, wanted: &Wanted, visitor: Visitor, now: i64) -> Step<S> {
        self.forget_ended(now);
        let running = self.logins.iter().find(|login| login.wanted == *wanted);
        let can_renew = running.is_none();
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.wanted == *wanted) {
            let held = Held { key: Arc::clone(&kept.key), holder: kept.holder.clone() };
            let remaining = kept.remaining(now);
            let is_due = if visitor.has_token {
                remaining < RENEWAL_BY_TOKEN
            } else {
                visitor.may_log_in && remaining < RENEWAL && kept.is_in_a_run(now)
            };
            if is_due && can_renew && !kept.is_renewal_asked {
                kept.is_renewal_asked = true;
                return Step::LogIn {
                    number: self.begin_login(wanted, visitor.process),
                    instead: Some((held, remaining)),
                };
            }
            let announce =
                !visitor.has_token && !kept.is_announced && remaining < ANNOUNCEMENT && kept.is_in_a_run(now);
            kept.is_announced |= announce;
            return Step::Use { held, announce };
        }
        let failure = self.failures.iter().find(|(number, _)| visitor.awaited == Some(*number));
        if let Some((_, reason)) = failure {
            return Step::Failed(reason.clone());
        }
        match running {
            Some(login) => Step::Wait { number: login.number, process: login.process },
            None if visitor.may_log_in || visitor.has_token => {
                Step::LogIn { number: self.begin_login(wanted, visitor.process), instead: None }
            }
            None => Step::NoKey,
        }
    }

    /// The key for `wanted` as it is kept at `now`, and nothing begun or remembered.
    pub fn look(&mut self, wanted: &Wanted, now: i64) -> Option<Held<S>> {
        self.forget_ended(now);
        let kept = self.kept.iter().find(|kept| kept.wanted == *wanted)?;
        Some(Held { key: Arc::clone(&kept.key), holder: kept.holder.clone() })
    }

    /// Begin a login for `wanted` whatever is kept; `None` while another one runs.
    pub fn begin_anew(&mut self, wanted: &Wanted, process: Option<u32>) -> Option<u64> {
        let is_free = !self.logins.iter().any(|login| login.wanted == *wanted);
        is_free.then(|| self.begin_login(wanted, process))
    }

    fn begin_login(&mut self, wanted: &Wanted, process: Option<u32>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.logins.push(Login { number, wanted: wanted.clone(), process });
        number
    }

    /// Whether the login `number` still runs.
    #[must_use]
    pub fn is_running(&self, number: u64) -> bool {
        self.logins.iter().any(|login| login.number == number)
    }

    /// The login `number` has ended; whether it was still awaited. What it has brought is kept only then.
    pub fn end_login(&mut self, number: u64, outcome: Outcome<S>) -> bool {
        let Some(at) = self.logins.iter().position(|login| login.number == number) else { return false };
        let login = self.logins.swap_remove(at);
        match outcome {
            Outcome::Abandoned => {}
            Outcome::Failed(reason) => {
                if self.failures.len() >= MAXIMUM_FAILURES {
                    self.failures.pop_front();
                }
                self.failures.push_back((number, reason));
            }
            Outcome::Opened(Held { key, holder }) => {
                self.kept.retain(|kept| kept.wanted != login.wanted);
                if self.kept.len() >= MAXIMUM_KEYS {
                    let soonest = (0..self.kept.len()).min_by_key(|at| self.kept[*at].holder.not_after);
                    self.kept.swap_remove(soonest.expect("there are some"));
                }
                self.kept.push(Kept {
                    wanted: login.wanted,
                    key,
                    holder,
                    signatures: 0,
                    recent: VecDeque::new(),
                    is_announced: false,
                    is_renewal_asked: false,
                    is_refreshable: None,
                });
            }
        }
        true
    }

    /// Whether a refresh token is kept that brings the next key for `wanted`, as far as that is needed before long and
    /// has been asked: `None` where it has not.
    #[must_use]
    pub fn refreshable(&self, wanted: &Wanted, now: i64) -> Option<bool> {
        match self.kept.iter().find(|kept| kept.wanted == *wanted && kept.remaining(now) > USELESS) {
            Some(kept) if kept.remaining(now) >= ANNOUNCEMENT => Some(false),
            Some(kept) => kept.is_refreshable,
            None => None,
        }
    }

    /// Remember what [`Self::refreshable`] is to say, as long as the key for `wanted` lasts: it is asked once.
    pub fn remember_refreshable(&mut self, wanted: &Wanted, is_refreshable: bool) {
        for kept in self.kept.iter_mut().filter(|kept| kept.wanted == *wanted) {
            kept.is_refreshable = Some(is_refreshable);
        }
    }

    /// Remember a signature that was made with the key for `wanted`.
    pub fn note(&mut self, wanted: &Wanted, record: Record) {
        self.signatures += 1;
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.wanted == *wanted) {
            kept.signatures += 1;
            if kept.recent.len() >= RUN {
                kept.recent.pop_front();
            }
            kept.recent.push_back(record.time);
        }
        if self.records.len() >= MAXIMUM_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// Forget every key; how many there were. One in use is gone when its use has ended, and one that a login is
    /// about to bring is not kept.
    pub fn lock(&mut self) -> usize {
        let count = self.kept.len();
        self.kept.clear();
        self.logins.clear();
        count
    }

    /// Forget the keys that are of no use any more.
    pub fn forget_ended(&mut self, now: i64) {
        self.kept.retain(|kept| kept.remaining(now) > USELESS);
    }

    /// Whether there is no key and no login.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.logins.is_empty()
    }

    /// The keys that are kept.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyStatus> {
        let status = |kept: &Kept<S>| KeyStatus {
            instance: kept.wanted.instance.clone(),
            holder: kept.holder.clone(),
            signatures: kept.signatures,
        };
        self.kept.iter().map(status).collect()
    }

    /// How many signatures were made, and the last of them, oldest first.
    #[must_use]
    pub fn records(&self) -> (u64, Vec<Record>) {
        (self.signatures, self.records.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests;
