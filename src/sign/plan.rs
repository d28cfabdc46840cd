//! Which services a signature is made with: from explicit URLs, or from Sigstore's signing config (v0.2).

use serde::{Deserialize, Serialize};
use sigstore_trust_root::{ServiceConfiguration, ServiceEndpoint, ServiceSelector, SigningConfig};

/// The services that one signature is made with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SigningPlan {
    /// Base URL of the certificate authority.
    pub fulcio: String,
    /// The log, and what proves the time.
    pub log: LogPlan,
}

/// The log, and what proves the time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub enum LogPlan {
    /// Rekor v1: its signed entry timestamp proves the time; a timestamp token may be added.
    RekorV1 {
        /// Base URL of the log.
        rekor: String,
        /// Whole URL of a timestamp authority, if wanted.
        timestamp: Option<String>,
    },
    /// Rekor v2: it states no time, so the token is not optional.
    RekorV2 {
        /// Base URL of the log.
        rekor: String,
        /// Whole URL of the timestamp authority.
        timestamp: String,
    },
}

/// Which version of Rekor to take where the signing config offers more than one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// v1 where there is one: what every gitsign can verify.
    #[default]
    Interoperable,
    /// The newest, as the signing config's own rules say.
    Newest,
    /// v1 or nothing.
    RekorV1,
    /// v2 or nothing.
    RekorV2,
}

/// Why no plan can be made. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not a signing config of version 0.2.
    #[error("the signing config cannot be read: {0}")]
    Config(String),
    /// No certificate authority is on offer now.
    #[error("the signing config offers no certificate authority at this time")]
    NoAuthority,
    /// No log of the wanted version is on offer now.
    #[error("the signing config offers no suitable transparency log at this time")]
    NoLog,
    /// The log states no time and no timestamp authority is on offer.
    #[error("a timestamp authority is needed with Rekor v2 and none is on offer")]
    NoTimestampAuthority,
    /// The config wants more logs or timestamps in one signature than are made here.
    #[error("the signing config asks for several {0} in one signature, which is not supported")]
    Several(&'static str),
}

impl SigningPlan {
    /// A plan from the text of a signing config, for a signature made at `now` (seconds since 1970).
    ///
    /// With Rekor v1 a timestamp authority on offer is not used: the log already proves the time.
    ///
    /// # Errors
    /// The config cannot be read, offers nothing suitable, or demands what is not done here.
    pub fn from_signing_config(json: &str, now: i64, preference: Preference) -> Result<Self, PlanError> {
        let config = SigningConfig::from_json(json).map_err(|error| PlanError::Config(error.to_string()))?;
        let now = jiff::Timestamp::from_second(now)
            .map_err(|_| PlanError::Config("no signing config covers this time".to_owned()))?;
        // Only API version 1 of the authority exists; its endpoints are called v2.
        let fulcio = newest(&config.ca_urls, now, &[1]).ok_or(PlanError::NoAuthority)?.url.clone();
        require_one(&config.rekor_tlog_config, "log entries")?;
        let logs = &config.rekor_tlog_urls;
        let log = match preference {
            Preference::Interoperable => newest(logs, now, &[1]).or_else(|| newest(logs, now, &[2])),
            Preference::Newest => newest(logs, now, &[1, 2]),
            Preference::RekorV1 => newest(logs, now, &[1]),
            Preference::RekorV2 => newest(logs, now, &[2]),
        };
        let log = log.ok_or(PlanError::NoLog)?;
        let rekor = log.url.clone();
        if log.major_api_version == 1 {
            return Ok(Self { fulcio, log: LogPlan::RekorV1 { rekor, timestamp: None } });
        }
        require_one(&config.tsa_config, "timestamps")?;
        let timestamp =
            newest(&config.tsa_urls, now, &[1]).ok_or(PlanError::NoTimestampAuthority)?.url.clone();
        Ok(Self { fulcio, log: LogPlan::RekorV2 { rekor, timestamp } })
    }

    /// The same plan with a timestamp from the authority at `url` (used as it stands).
    #[must_use]
    pub fn with_timestamp(mut self, url: String) -> Self {
        match &mut self.log {
            LogPlan::RekorV1 { timestamp, .. } => *timestamp = Some(url),
            LogPlan::RekorV2 { timestamp, .. } => *timestamp = url,
        }
        self
    }
}

/// Base URLs of every Rekor v1 that the signing config names, at whatever time: a log that takes no more
/// entries answers questions still.
///
/// # Errors
/// [`PlanError::Config`].
pub fn rekor_v1_urls(json: &str) -> Result<Vec<String>, PlanError> {
    let config = SigningConfig::from_json(json).map_err(|error| PlanError::Config(error.to_string()))?;
    let logs = config.rekor_tlog_urls.into_iter().filter(|log| log.major_api_version == 1);
    Ok(logs.map(|log| log.url).collect())
}

/// The issuer that a login should go to, if the signing config names one that is good at `now`.
///
/// # Errors
/// [`PlanError::Config`].
pub fn login_issuer(json: &str, now: i64) -> Result<Option<String>, PlanError> {
    let config = SigningConfig::from_json(json).map_err(|error| PlanError::Config(error.to_string()))?;
    let now = jiff::Timestamp::from_second(now)
        .map_err(|_| PlanError::Config("no signing config covers this time".to_owned()))?;
    Ok(newest(&config.oidc_urls, now, &[1]).map(|endpoint| endpoint.url.clone()))
}

/// The endpoint on offer at `now` with the highest of `versions`; of several, the one whose window began
/// last, as the signing config's specification says.
fn newest<'a>(
    endpoints: &'a [ServiceEndpoint],
    now: jiff::Timestamp,
    versions: &[u32],
) -> Option<&'a ServiceEndpoint> {
    endpoints
        .iter()
        .filter(|endpoint| versions.contains(&endpoint.major_api_version) && endpoint.valid_for.contains(now))
        .max_by_key(|endpoint| (endpoint.major_api_version, endpoint.valid_for.start))
}

/// One service of a kind is used for a signature: refuse a config that demands more.
fn require_one(configuration: &ServiceConfiguration, what: &'static str) -> Result<(), PlanError> {
    match (configuration.selector, configuration.count) {
        (ServiceSelector::Any, _) | (ServiceSelector::Exact, Some(1)) => Ok(()),
        _ => Err(PlanError::Several(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::{LogPlan, PlanError, Preference, SigningPlan};

    const NOW: i64 = 1_750_000_000;

    fn config() -> serde_json::Value {
        let endpoint = |url: &str, version: u32, start: &str| {
            serde_json::json!({
                "url": url, "majorApiVersion": version, "validFor": {"start": start}, "operator": "o",
            })
        };
        serde_json::json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [endpoint("https://old-ca", 1, "2022-01-01T00:00:00Z"),
                       endpoint("https://ca", 1, "2024-01-01T00:00:00Z"),
                       endpoint("https://future-ca", 1, "2030-01-01T00:00:00Z")],
            "oidcUrls": [endpoint("https://oidc", 1, "2022-01-01T00:00:00Z")],
            "rekorTlogUrls": [endpoint("https://v2", 2, "2025-01-01T00:00:00Z"),
                              endpoint("https://v1", 1, "2022-01-01T00:00:00Z"),
                              endpoint("https://v9", 9, "2022-01-01T00:00:00Z")],
            "tsaUrls": [endpoint("https://tsa/api/v1/timestamp", 1, "2025-01-01T00:00:00Z")],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "EXACT", "count": 1},
        })
    }

    fn plan(config: &serde_json::Value, preference: Preference) -> Result<SigningPlan, PlanError> {
        SigningPlan::from_signing_config(&config.to_string(), NOW, preference)
    }

    #[test]
    fn windows_and_preference_choose() {
        let v1 = LogPlan::RekorV1 { rekor: "https://v1".to_owned(), timestamp: None };
        let v2 = LogPlan::RekorV2 {
            rekor: "https://v2".to_owned(),
            timestamp: "https://tsa/api/v1/timestamp".to_owned(),
        };
        for (preference, log) in [
            (Preference::Interoperable, &v1),
            (Preference::RekorV1, &v1),
            (Preference::Newest, &v2),
            (Preference::RekorV2, &v2),
        ] {
            let plan = plan(&config(), preference).unwrap();
            assert_eq!(plan.fulcio, "https://ca");
            assert_eq!(&plan.log, log, "{preference:?}");
        }
    }

    #[test]
    fn what_is_missing_or_not_done_here_is_refused() {
        let mut none = config();
        none["tsaUrls"] = serde_json::json!([]);
        assert_eq!(plan(&none, Preference::Newest), Err(PlanError::NoTimestampAuthority));
        none["rekorTlogUrls"] = serde_json::json!([]);
        assert_eq!(plan(&none, Preference::Interoperable), Err(PlanError::NoLog));
        none["caUrls"] = serde_json::json!([]);
        assert_eq!(plan(&none, Preference::Interoperable), Err(PlanError::NoAuthority));

        let several = [
            serde_json::json!({"selector": "ALL"}),
            serde_json::json!({"selector": "EXACT", "count": 2}),
            serde_json::json!({"selector": "EXACT"}),
            serde_json::json!({"selector": "SERVICE_SELECTOR_UNDEFINED"}),
        ];
        for selector in several {
            let mut config = config();
            config["rekorTlogConfig"] = selector.clone();
            assert_eq!(plan(&config, Preference::Newest), Err(PlanError::Several("log entries")));
            config["rekorTlogConfig"] = serde_json::json!({"selector": "ANY"});
            config["tsaConfig"] = selector;
            assert_eq!(plan(&config, Preference::Newest), Err(PlanError::Several("timestamps")));
        }

        let mut old = config();
        old["mediaType"] = "application/vnd.dev.sigstore.signingconfig.v0.1+json".into();
        assert!(matches!(plan(&old, Preference::Newest), Err(PlanError::Config(_))));
    }

    #[test]
    fn the_public_config_of_the_crate_can_be_planned_with() {
        let json = sigstore_trust_root::SIGSTORE_PRODUCTION_SIGNING_CONFIG;
        let plan = SigningPlan::from_signing_config(json, NOW, Preference::Interoperable).unwrap();
        assert_eq!(plan.fulcio, "https://fulcio.sigstore.dev");
        assert!(matches!(plan.log, LogPlan::RekorV1 { .. }));
    }
}
