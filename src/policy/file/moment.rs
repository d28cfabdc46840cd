//! Moments in a policy file, and the windows that they bound.

use serde::Deserialize;
use toml::value::Datetime;

use super::PolicyError;
use crate::{policy::Window, words::escape};

/// A moment, as TOML writes it or as text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a date and time with its offset, such as 2026-01-31T12:00:00Z")]
pub(super) enum MomentText {
    Datetime(Datetime),
    Text(String),
}

/// The moments that may stand beside a signer. What else stands there was refused before.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WindowText {
    from: Option<MomentText>,
    until: Option<MomentText>,
    compromised: Option<MomentText>,
}

/// The keys of [`WindowText`].
pub(super) const WINDOW_KEYS: [&str; 3] = ["from", "until", "compromised"];

impl MomentText {
    /// Seconds since 1970: a full date and time of whole seconds, with its offset (RFC 3339).
    pub(super) fn moment(&self, key: &'static str, place: &str) -> Result<i64, PolicyError> {
        let written = match self {
            Self::Datetime(datetime) => datetime.to_string(),
            Self::Text(text) => text.clone(),
        };
        let refused = || PolicyError::Moment { key, text: escape(&written), place: place.to_owned() };
        let datetime: Datetime = written.parse().map_err(|_| refused())?;
        let whole = datetime.time.is_some_and(|time| time.second.is_some() && time.nanosecond.is_none());
        if datetime.date.is_none() || datetime.offset.is_none() || !whole {
            return Err(refused());
        }
        let moment: jiff::Timestamp = datetime.to_string().parse().map_err(|_| refused())?;
        Some(moment.as_second()).filter(|moment| *moment >= 0).ok_or_else(refused)
    }
}

impl WindowText {
    /// The window, within `outer`.
    pub(super) fn window(&self, outer: Window, place: &str) -> Result<Window, PolicyError> {
        let moment =
            |text: &Option<MomentText>, key| text.as_ref().map(|text| text.moment(key, place)).transpose();
        let window = Window {
            from: moment(&self.from, "from")?,
            until: moment(&self.until, "until")?,
            compromised: moment(&self.compromised, "compromised")?,
        };
        let window = window.within(outer);
        if window.is_empty() {
            return Err(PolicyError::EmptyWindow { place: place.to_owned() });
        }
        Ok(window)
    }
}
