//! When a signer counts, and what can show that an object was made while it did.
//!
//! A keyless signature proves its time. A signature by a key of one's own states one, and whoever holds the
//! key chooses it: such a time can only make things worse. What counts for it is when the object was
//! received: now, or at the latest when an anchor of the policy's was.

use std::fmt;

use crate::{verify::ProvenTime, words::time};

/// When a signer counts; moments in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// From this moment on.
    pub from: Option<i64>,
    /// Before this moment.
    pub until: Option<i64>,
    /// Others may hold the key since then: nothing counts but what an anchor of before covers.
    pub compromised: Option<i64>,
}

/// Whether an object is covered by an anchor that is old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// It is not.
    No,
    /// An anchor, or what lies behind it, is not at hand.
    Unknown,
    /// It is reachable from one.
    Yes,
}

/// What is known of an object besides its signature.
#[derive(Clone, Copy)]
pub struct Receipt<'a> {
    /// When it is judged: for a gate the time of receipt. Seconds since 1970.
    pub now: i64,
    /// Whether an anchor that was received at or before a moment covers the object.
    pub covered: &'a (dyn Fn(i64) -> Covered + 'a),
}

/// The times that a signature comes with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Times<'a> {
    /// All of them proven; none is as good as nothing stated.
    Proven(&'a [ProvenTime]),
    /// At most stated.
    Stated(Option<i64>),
}

/// How a time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is that of an anchor.
    Anchor,
    /// It is proven.
    Proven,
    /// It is the time of receipt.
    Received,
    /// The signer says so.
    Stated,
}

/// Why a signer whom the policy names does not count for an object. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lapse {
    /// Others may hold the key since this moment, and no anchor of before covers the object.
    Compromised(i64),
    /// The signer counts from a later moment on.
    NotYet {
        /// The moment.
        from: i64,
        /// When the object was there.
        time: i64,
        /// How that is known.
        known: Known,
    },
    /// The signer counted until this moment.
    Over {
        /// The moment.
        until: i64,
        /// When the object came.
        time: i64,
        /// How that is known.
        known: Known,
    },
    /// Whether an anchor from before this moment covers the object cannot be told: not all is at hand.
    Unclear(i64),
}

impl From<Option<bool>> for Covered {
    /// `None` where it cannot be told.
    fn from(covered: Option<bool>) -> Self {
        match covered {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }
}

impl Receipt<'_> {
    /// An object at `now` that no anchor covers.
    #[must_use]
    pub fn without_anchors(now: i64) -> Self {
        Self { now, covered: &|_| Covered::No }
    }
}

impl fmt::Debug for Receipt<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Receipt").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Window {
    /// Whether there is nothing that limits it.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// The moments of both: what either ends is over.
    #[must_use]
    pub(super) fn within(self, other: Self) -> Self {
        let least = |one: Option<i64>, two: Option<i64>| one.into_iter().chain(two).min();
        Self {
            from: self.from.max(other.from),
            until: least(self.until, other.until),
            compromised: least(self.compromised, other.compromised),
        }
    }

    /// Whether what is signed and received at `now` counts.
    pub(super) fn is_open(&self, now: i64) -> bool {
        self.compromised.is_none()
            && self.from.is_none_or(|from| from <= now)
            && self.until.is_none_or(|until| now < until)
    }

    /// Whether there is no moment in it.
    pub(super) fn is_empty(&self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if from >= until)
    }

    /// The bytes that stand for it in a digest.
    pub(super) fn canonical(&self) -> Vec<u8> {
        let moment =
            |moment: Option<i64>| moment.map_or(vec![0], |moment| [&[1][..], &moment.to_be_bytes()].concat());
        [moment(self.from), moment(self.until), moment(self.compromised)].concat()
    }

    /// Whether an object was there before others may have held the key.
    pub(super) fn admit_safe(&self, receipt: &Receipt<'_>) -> Result<(), Lapse> {
        let Some(since) = self.compromised else { return Ok(()) };
        match (receipt.covered)(since) {
            Covered::Yes => Ok(()),
            Covered::No => Err(Lapse::Compromised(since)),
            Covered::Unknown => Err(Lapse::Unclear(since)),
        }
    }

    /// Whether an object with these `times` counts.
    pub(super) fn admit(&self, times: Times<'_>, receipt: &Receipt<'_>) -> Result<(), Lapse> {
        self.admit_safe(receipt)?;
        match times {
            Times::Proven([]) => self.admit_received(receipt),
            Times::Proven(times) => {
                times.iter().try_for_each(|time| self.hold(time.seconds(), Known::Proven))
            }
            Times::Stated(stated) => {
                stated.map_or(Ok(()), |time| self.hold(time, Known::Stated))?;
                self.admit_received(receipt)
            }
        }
    }

    /// Whether `time` is in the window.
    fn hold(&self, time: i64, known: Known) -> Result<(), Lapse> {
        match (self.from, self.until) {
            (Some(from), _) if time < from => Err(Lapse::NotYet { from, time, known }),
            (_, Some(until)) if time >= until => Err(Lapse::Over { until, time, known }),
            _ => Ok(()),
        }
    }

    /// Whether an object counts by when it was received.
    fn admit_received(&self, receipt: &Receipt<'_>) -> Result<(), Lapse> {
        let now = receipt.now;
        if let Some(from) = self.from {
            if now < from {
                return Err(Lapse::NotYet { from, time: now, known: Known::Received });
            }
            // What was there before cannot have been made since.
            let before = from.saturating_sub(1);
            match (receipt.covered)(before) {
                Covered::Yes => return Err(Lapse::NotYet { from, time: before, known: Known::Anchor }),
                Covered::Unknown => return Err(Lapse::Unclear(before)),
                Covered::No => {}
            }
        }
        let Some(until) = self.until.filter(|until| now >= *until) else { return Ok(()) };
        match (receipt.covered)(until) {
            Covered::Yes => Ok(()),
            Covered::No => Err(Lapse::Over { until, time: now, known: Known::Received }),
            Covered::Unknown => Err(Lapse::Unclear(until)),
        }
    }
}

impl fmt::Display for Lapse {
    /// What follows upon "signed by …, who ".
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compromised(since) => write!(
                formatter,
                "counts no longer: others may hold the key since {}, and no anchor of before covers the object",
                time(*since)
            ),
            Self::NotYet { from, time: _, known: Known::Anchor } => {
                write!(formatter, "counts from {} on, and an anchor of before covers the object", time(*from))
            }
            Self::NotYet { from, time: at, known } => {
                write!(formatter, "counts from {} on, and {known} {}", time(*from), time(*at))
            }
            Self::Over { until, time: at, known } => {
                write!(formatter, "counted until {}, and {known} {}", time(*until), time(*at))?;
                match known {
                    Known::Received => write!(formatter, " without an anchor that covers it"),
                    _ => Ok(()),
                }
            }
            Self::Unclear(moment) => write!(
                formatter,
                "counts for a time alone, and whether an anchor from before {} covers the object cannot be told, for not all history is here",
                time(*moment)
            ),
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Anchor => "the object was there at",
            Self::Proven => "the object is proven to be signed at",
            Self::Received => "the object came at",
            Self::Stated => "the object states",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FROM: i64 = 100;
    const UNTIL: i64 = 200;

    fn window() -> Window {
        Window { from: Some(FROM), until: Some(UNTIL), compromised: None }
    }

    fn proven(times: &[i64]) -> Vec<ProvenTime> {
        times.iter().map(|time| ProvenTime::Log(*time)).collect()
    }

    /// An object that an anchor of `anchored` covers, if any does.
    fn admit(window: Window, times: Times<'_>, now: i64, anchored: Option<i64>) -> Result<(), Lapse> {
        let covered = |moment: i64| match anchored {
            Some(received) if received <= moment => Covered::Yes,
            _ => Covered::No,
        };
        window.admit(times, &Receipt { now, covered: &covered })
    }

    #[test]
    fn a_stated_time_opens_no_window_and_closes_any() {
        let at = |stated, now, anchored| admit(window(), Times::Stated(stated), now, anchored);
        assert_eq!(at(Some(150), 150, None), Ok(()));
        assert_eq!(at(None, 150, None), Ok(()));
        let over = |time, known| Err(Lapse::Over { until: UNTIL, time, known });
        assert_eq!(at(Some(150), UNTIL, None), over(UNTIL, Known::Received), "backdated");
        assert_eq!(at(None, 300, None), over(300, Known::Received));
        assert_eq!(at(Some(150), 300, Some(UNTIL)), Ok(()), "an anchor shows it");
        assert_eq!(
            at(Some(150), 300, Some(UNTIL + 1)),
            over(300, Known::Received),
            "and a late one does not"
        );
        assert_eq!(at(Some(250), 150, None), over(250, Known::Stated));
        assert_eq!(at(Some(250), 300, Some(150)), over(250, Known::Stated));
        let early = |time, known| Err(Lapse::NotYet { from: FROM, time, known });
        assert_eq!(at(Some(99), 150, None), early(99, Known::Stated));
        assert_eq!(at(Some(150), 99, None), early(99, Known::Received));
        assert_eq!(at(Some(150), 150, Some(99)), early(99, Known::Anchor), "it was there before");
    }

    #[test]
    fn proven_times_decide_alone_and_all_of_them() {
        let at = |times: &[i64]| admit(window(), Times::Proven(&proven(times)), 1_000, None);
        assert_eq!(at(&[FROM, UNTIL - 1]), Ok(()));
        assert!(matches!(at(&[FROM, UNTIL]), Err(Lapse::Over { known: Known::Proven, .. })));
        assert!(matches!(at(&[FROM - 1, FROM]), Err(Lapse::NotYet { known: Known::Proven, .. })));
        assert!(matches!(at(&[]), Err(Lapse::Over { known: Known::Received, .. })), "none is no proof");
    }

    #[test]
    fn what_is_compromised_counts_under_an_old_anchor_alone() {
        let window = Window { compromised: Some(150), ..Window::default() };
        for times in [Times::Proven(&proven(&[10])), Times::Stated(Some(10)), Times::Stated(None)] {
            assert_eq!(admit(window, times, 20, None), Err(Lapse::Compromised(150)));
            assert_eq!(admit(window, times, 300, Some(151)), Err(Lapse::Compromised(150)));
            assert_eq!(admit(window, times, 300, Some(150)), Ok(()));
        }
    }

    #[test]
    fn what_is_not_at_hand_is_not_taken_for_covered() {
        let receipt = Receipt { now: 300, covered: &|_| Covered::Unknown };
        let ended = Window { from: None, ..window() };
        assert_eq!(ended.admit(Times::Stated(Some(150)), &receipt), Err(Lapse::Unclear(UNTIL)));
        let compromised = Window { compromised: Some(150), ..Window::default() };
        assert_eq!(compromised.admit(Times::Proven(&proven(&[1])), &receipt), Err(Lapse::Unclear(150)));
        let open = Receipt { now: 150, ..receipt };
        assert_eq!(window().admit(Times::Stated(Some(150)), &open), Err(Lapse::Unclear(FROM - 1)));
        assert_eq!(ended.admit(Times::Stated(Some(150)), &open), Ok(()));
    }

    proptest! {
        #[test]
        fn a_window_only_refuses_more(
            from in proptest::option::of(0..50_i64),
            until in proptest::option::of(0..50_i64),
            compromised in proptest::option::of(0..50_i64),
            outer in proptest::option::of(0..50_i64),
            stated in proptest::option::of(0..50_i64),
            times in proptest::collection::vec(0..50_i64, 1..3),
            now in 0..50_i64,
            anchored in proptest::option::of(0..50_i64),
        ) {
            let window = Window { from, until, compromised };
            let narrower = window.within(Window { from: outer, until: stated, compromised: None });
            for times in [Times::Stated(stated), Times::Proven(&proven(&times))] {
                prop_assert!(admit(Window::default(), times, now, anchored).is_ok());
                if admit(narrower, times, now, anchored).is_ok() {
                    prop_assert!(admit(window, times, now, anchored).is_ok());
                }
            }
            // Whoever chooses what is stated gains nothing by it.
            if admit(window, Times::Stated(stated), now, anchored).is_ok() {
                prop_assert!(admit(window, Times::Stated(None), now, anchored).is_ok());
            }
        }
    }
}
