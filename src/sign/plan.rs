//! Which services a signature is made with: from explicit URLs, or from Sigstore's signing config (v0.2).

use serde::{Deserialize, Serialize};
use sigstore_trust_root::{ServiceConfiguration, ServiceEndpoint, ServiceSelector, SigningConfig};

use crate::signature::keyless::{MAXIMUM_LOG_ENTRIES, MAXIMUM_TIMESTAMP_TOKENS};

/// The services that one signature is made with, every one of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SigningPlan {
    /// Base URL of the certificate authority.
    pub fulcio: String,
    /// The logs; the first entry is the one that gitsign reads.
    pub logs: Vec<LogService>,
    /// Whole URLs of the timestamp authorities.
    pub timestamps: Vec<String>,
    /// What there is to be without a log.
    pub logging: Logging,
}

/// One transparency log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogService {
    /// Base URL of the log.
    pub url: String,
    /// Which API it speaks.
    pub version: RekorVersion,
}

/// An API of Rekor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum RekorVersion {
    /// Its signed entry timestamp proves the time.
    V1,
    /// It states no time: a timestamp has to.
    V2,
}

/// Whether a signature has to be in a log. One that is in none is marked as such wherever it is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Logging {
    /// In every log of the plan, or there is no signature.
    #[default]
    Required,
    /// A signature with timestamps alone is made where a log does not answer.
    WhereItAnswers,
    /// In none: timestamps alone.
    Never,
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

impl Preference {
    /// The versions that are taken, the wanted one first.
    fn versions(self) -> &'static [u32] {
        match self {
            Self::Interoperable => &[1, 2],
            Self::Newest => &[2, 1],
            Self::RekorV1 => &[1],
            Self::RekorV2 => &[2],
        }
    }
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
    /// No log states the time and no timestamp authority is on offer.
    #[error("a timestamp authority is needed where no log proves the time, and none is on offer")]
    NoTimestampAuthority,
    /// Fewer operators offer a service than the config asks for.
    #[error("the signing config asks for {wanted} {what}, and {offered} can be had at this time")]
    NotEnough {
        /// What is asked for.
        what: &'static str,
        /// How many of them.
        wanted: usize,
        /// How many different operators offer one now.
        offered: usize,
    },
    /// The config says neither all, any, nor a number.
    #[error("the signing config does not say how many {0} it asks for")]
    Selector(&'static str),
    /// The config wants more logs or timestamps than one signature carries.
    #[error("the signing config asks for {wanted} {what}, and one signature carries {carried} at most")]
    TooMany {
        /// What is asked for.
        what: &'static str,
        /// How many of them.
        wanted: usize,
        /// How many one signature carries.
        carried: usize,
    },
}

/// One kind of service in a signing config.
struct Kind<'a> {
    what: &'static str,
    endpoints: &'a [ServiceEndpoint],
    selection: &'a ServiceConfiguration,
    carried: usize,
}

impl SigningPlan {
    /// [`SigningPlan::select`], for a signature that has to be in a log.
    ///
    /// # Errors
    /// As there.
    pub fn from_signing_config(json: &str, now: i64, preference: Preference) -> Result<Self, PlanError> {
        Self::select(json, now, preference, Logging::Required)
    }

    /// A plan from the text of a signing config, for a signature made at `now` (seconds since 1970).
    ///
    /// Of each operator one service counts: of the wanted version, the one whose window began last. `ALL` takes
    /// that of every operator, `EXACT` as many as it says, `ANY` one. Where the config asks for `ANY` timestamp
    /// and a Rekor v1 proves the time already, none is taken: gitsign would refuse the signature.
    ///
    /// # Errors
    /// The config cannot be read, or asks for what is not on offer or cannot be carried.
    pub fn select(json: &str, now: i64, preference: Preference, logging: Logging) -> Result<Self, PlanError> {
        let config = SigningConfig::from_json(json).map_err(|error| PlanError::Config(error.to_string()))?;
        let now = jiff::Timestamp::from_second(now)
            .map_err(|_| PlanError::Config("no signing config covers this time".to_owned()))?;
        // Only API version 1 of the authority exists; its endpoints are called v2.
        let fulcio = newest(&config.ca_urls, now, &[1]).ok_or(PlanError::NoAuthority)?.url.clone();
        let mut logs = Vec::new();
        if logging != Logging::Never {
            let kind = Kind {
                what: "log entries",
                endpoints: &config.rekor_tlog_urls,
                selection: &config.rekor_tlog_config,
                carried: MAXIMUM_LOG_ENTRIES,
            };
            let selected = select(&kind, now, preference.versions(), 1)?;
            logs = selected.into_iter().map(LogService::of).collect();
            if logs.is_empty() {
                return Err(PlanError::NoLog);
            }
            // What gitsign can verify has to stand where it looks.
            logs.sort_by_key(|log| log.version == RekorVersion::V2);
        }
        let proves_time =
            logging == Logging::Required && logs.iter().any(|log| log.version == RekorVersion::V1);
        let kind = Kind {
            what: "timestamps",
            endpoints: &config.tsa_urls,
            selection: &config.tsa_config,
            carried: MAXIMUM_TIMESTAMP_TOKENS,
        };
        let stamps = select(&kind, now, &[1], usize::from(!proves_time))?;
        let timestamps: Vec<String> = stamps.into_iter().map(|endpoint| endpoint.url.clone()).collect();
        if timestamps.is_empty() && !proves_time {
            return Err(PlanError::NoTimestampAuthority);
        }
        Ok(Self { fulcio, logs, timestamps, logging })
    }

    /// Base URLs of authority and logs, at least one: whatever keeps a record that others may read.
    pub fn recorders(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.fulcio.as_str()).chain(self.logs.iter().map(|log| log.url.as_str()))
    }
}

impl LogService {
    fn of(endpoint: &ServiceEndpoint) -> Self {
        let version = if endpoint.major_api_version == 1 { RekorVersion::V1 } else { RekorVersion::V2 };
        Self { url: endpoint.url.clone(), version }
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

/// The endpoint on offer at `now` with the first of `versions` that is there; of several, the one whose window
/// began last, as the signing config's specification says.
fn newest<'a>(
    endpoints: impl IntoIterator<Item = &'a ServiceEndpoint>,
    now: jiff::Timestamp,
    versions: &[u32],
) -> Option<&'a ServiceEndpoint> {
    let rank = |endpoint: &ServiceEndpoint| versions.iter().position(|it| *it == endpoint.major_api_version);
    endpoints
        .into_iter()
        .filter(|endpoint| rank(endpoint).is_some() && endpoint.valid_for.contains(now))
        .max_by_key(|endpoint| (std::cmp::Reverse(rank(endpoint)), endpoint.valid_for.start))
}

/// The services of `kind` that its selector asks for, the best first; `any` is how many it comes to where any
/// will do.
fn select<'a>(
    kind: &Kind<'a>,
    now: jiff::Timestamp,
    versions: &[u32],
    any: usize,
) -> Result<Vec<&'a ServiceEndpoint>, PlanError> {
    let Kind { what, endpoints, selection, carried } = *kind;
    // Whoever does not say who operates a service has one operator for each.
    let operator = |endpoint: &'a ServiceEndpoint| {
        endpoint.operator.as_deref().map_or((false, endpoint.url.as_str()), |operator| (true, operator))
    };
    let mut operators: Vec<_> = endpoints.iter().map(operator).collect();
    operators.sort_unstable();
    operators.dedup();
    let of = |wanted| endpoints.iter().filter(move |endpoint| operator(endpoint) == wanted);
    let mut offered: Vec<&ServiceEndpoint> =
        operators.into_iter().filter_map(|operator| newest(of(operator), now, versions)).collect();
    let rank = |endpoint: &ServiceEndpoint| versions.iter().position(|it| *it == endpoint.major_api_version);
    offered.sort_by_key(|endpoint| (rank(endpoint), std::cmp::Reverse(endpoint.valid_for.start)));
    let wanted = match (selection.selector, selection.count) {
        (ServiceSelector::Any, _) => any.min(offered.len()),
        (ServiceSelector::All, _) => offered.len(),
        (ServiceSelector::Exact, Some(count)) if count > 0 => {
            usize::try_from(count).map_err(|_| PlanError::Selector(what))?
        }
        _ => return Err(PlanError::Selector(what)),
    };
    if wanted > carried {
        return Err(PlanError::TooMany { what, wanted, carried });
    }
    if wanted > offered.len() {
        return Err(PlanError::NotEnough { what, wanted, offered: offered.len() });
    }
    offered.truncate(wanted);
    Ok(offered)
}

#[cfg(test)]
mod tests {
    use super::{LogService, Logging, PlanError, Preference, RekorVersion, SigningPlan};

    const NOW: i64 = 1_750_000_000;

    fn endpoint(url: &str, version: u32, start: &str, operator: &str) -> serde_json::Value {
        serde_json::json!({
            "url": url, "majorApiVersion": version, "validFor": {"start": start}, "operator": operator,
        })
    }

    fn config() -> serde_json::Value {
        serde_json::json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [endpoint("https://old-ca", 1, "2022-01-01T00:00:00Z", "o"),
                       endpoint("https://ca", 1, "2024-01-01T00:00:00Z", "o"),
                       endpoint("https://future-ca", 1, "2030-01-01T00:00:00Z", "o")],
            "oidcUrls": [endpoint("https://oidc", 1, "2022-01-01T00:00:00Z", "o")],
            "rekorTlogUrls": [endpoint("https://v2", 2, "2025-01-01T00:00:00Z", "o"),
                              endpoint("https://v1", 1, "2022-01-01T00:00:00Z", "o"),
                              endpoint("https://v9", 9, "2022-01-01T00:00:00Z", "o")],
            "tsaUrls": [endpoint("https://tsa/api/v1/timestamp", 1, "2025-01-01T00:00:00Z", "o")],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        })
    }

    /// Three operators of logs, one of which runs both versions and one of which is no more; two of timestamps.
    fn many() -> serde_json::Value {
        let mut config = config();
        let mut gone = endpoint("https://gone", 1, "2020-01-01T00:00:00Z", "gone");
        gone["validFor"]["end"] = "2024-01-01T00:00:00Z".into();
        config["rekorTlogUrls"] = serde_json::json!([
            gone,
            endpoint("https://b2", 2, "2025-02-01T00:00:00Z", "b"),
            endpoint("https://a2", 2, "2025-01-01T00:00:00Z", "a"),
            endpoint("https://a1-old", 1, "2021-01-01T00:00:00Z", "a"),
            endpoint("https://a1", 1, "2022-01-01T00:00:00Z", "a"),
        ]);
        config["tsaUrls"] = serde_json::json!([
            endpoint("https://t1", 1, "2025-01-01T00:00:00Z", "a"),
            endpoint("https://t1-too", 1, "2024-01-01T00:00:00Z", "a"),
            endpoint("https://t2", 1, "2024-01-01T00:00:00Z", "b"),
        ]);
        config
    }

    fn plan(config: &serde_json::Value, preference: Preference) -> Result<SigningPlan, PlanError> {
        SigningPlan::from_signing_config(&config.to_string(), NOW, preference)
    }

    fn urls(plan: &SigningPlan) -> (Vec<&str>, Vec<&str>) {
        let logs = plan.logs.iter().map(|log| log.url.as_str()).collect();
        (logs, plan.timestamps.iter().map(String::as_str).collect())
    }

    fn log(url: &str, version: RekorVersion) -> LogService {
        LogService { url: url.to_owned(), version }
    }

    #[test]
    fn windows_and_preference_choose() {
        let (v1, v2) = (log("https://v1", RekorVersion::V1), log("https://v2", RekorVersion::V2));
        let stamp: &[&str] = &["https://tsa/api/v1/timestamp"];
        for (preference, log, stamps) in [
            (Preference::Interoperable, &v1, &[][..]),
            (Preference::RekorV1, &v1, &[]),
            (Preference::Newest, &v2, stamp),
            (Preference::RekorV2, &v2, stamp),
        ] {
            let plan = plan(&config(), preference).unwrap();
            assert_eq!(plan.fulcio, "https://ca");
            assert_eq!(plan.logs, std::slice::from_ref(log), "{preference:?}");
            assert_eq!(plan.timestamps, stamps, "{preference:?}");
        }
    }

    #[test]
    fn a_selector_takes_one_service_of_each_operator() {
        let mut config = many();
        let select = |config: &mut serde_json::Value, logs: &str, stamps: &str| {
            config["rekorTlogConfig"] = serde_json::from_str(logs).unwrap();
            config["tsaConfig"] = serde_json::from_str(stamps).unwrap();
        };
        let (any, all, two) =
            (r#"{"selector":"ANY"}"#, r#"{"selector":"ALL"}"#, r#"{"selector":"EXACT","count":2}"#);
        select(&mut config, any, any);
        assert_eq!(urls(&plan(&config, Preference::Interoperable).unwrap()), (vec!["https://a1"], vec![]));
        select(&mut config, all, any);
        let both = plan(&config, Preference::Interoperable).unwrap();
        assert_eq!(urls(&both), (vec!["https://a1", "https://b2"], vec![]), "v1 proves the time");
        let both = plan(&config, Preference::Newest).unwrap();
        assert_eq!(urls(&both), (vec!["https://b2", "https://a2"], vec!["https://t1"]));
        select(&mut config, any, two);
        let stamped = plan(&config, Preference::Interoperable).unwrap();
        assert_eq!(urls(&stamped), (vec!["https://a1"], vec!["https://t1", "https://t2"]));
        select(&mut config, two, all);
        let both = plan(&config, Preference::Interoperable).unwrap();
        assert_eq!(urls(&both), (vec!["https://a1", "https://b2"], vec!["https://t1", "https://t2"]));
        select(&mut config, r#"{"selector":"EXACT","count":1}"#, any);
        assert_eq!(urls(&plan(&config, Preference::RekorV2).unwrap()).0, ["https://b2"]);
    }

    #[test]
    fn fewer_proofs_than_are_asked_for_are_no_plan() {
        let mut config = many();
        config["rekorTlogConfig"] = serde_json::json!({"selector": "EXACT", "count": 3});
        let lacking = |what, offered| Err(PlanError::NotEnough { what, wanted: 3, offered });
        assert_eq!(plan(&config, Preference::Newest), lacking("log entries", 2));
        assert_eq!(plan(&config, Preference::RekorV1), lacking("log entries", 1), "b runs no v1");
        config["rekorTlogConfig"] = serde_json::json!({"selector": "ANY"});
        config["tsaConfig"] = serde_json::json!({"selector": "EXACT", "count": 3});
        assert_eq!(plan(&config, Preference::Newest), lacking("timestamps", 2));

        let five: Vec<_> = (0..5)
            .map(|number| {
                endpoint(&format!("https://{number}"), 1, "2025-01-01T00:00:00Z", &number.to_string())
            })
            .collect();
        config["tsaUrls"] = five.into();
        config["tsaConfig"] = serde_json::json!({"selector": "ALL"});
        let many = Err(PlanError::TooMany { what: "timestamps", wanted: 5, carried: 4 });
        assert_eq!(plan(&config, Preference::Newest), many);
    }

    #[test]
    fn without_a_log_a_timestamp_is_needed() {
        let without = |config: &serde_json::Value, logging| {
            SigningPlan::select(&config.to_string(), NOW, Preference::Interoperable, logging)
        };
        let never = without(&many(), Logging::Never).unwrap();
        assert_eq!(urls(&never), (vec![], vec!["https://t1"]));
        let where_it_answers = without(&many(), Logging::WhereItAnswers).unwrap();
        assert_eq!(urls(&where_it_answers), (vec!["https://a1"], vec!["https://t1"]));
        let mut none = many();
        none["tsaUrls"] = serde_json::json!([]);
        for logging in [Logging::Never, Logging::WhereItAnswers] {
            assert_eq!(without(&none, logging), Err(PlanError::NoTimestampAuthority));
        }
    }

    #[test]
    fn what_is_missing_or_not_said_is_refused() {
        let mut none = config();
        none["tsaUrls"] = serde_json::json!([]);
        assert_eq!(plan(&none, Preference::Newest), Err(PlanError::NoTimestampAuthority));
        none["rekorTlogUrls"] = serde_json::json!([]);
        assert_eq!(plan(&none, Preference::Interoperable), Err(PlanError::NoLog));
        none["rekorTlogConfig"] = serde_json::json!({"selector": "ALL"});
        assert_eq!(plan(&none, Preference::Interoperable), Err(PlanError::NoLog));
        none["caUrls"] = serde_json::json!([]);
        assert_eq!(plan(&none, Preference::Interoperable), Err(PlanError::NoAuthority));

        let unsaid = [
            serde_json::json!({"selector": "EXACT"}),
            serde_json::json!({"selector": "EXACT", "count": 0}),
            serde_json::json!({"selector": "SERVICE_SELECTOR_UNDEFINED"}),
        ];
        for selector in unsaid {
            let mut config = config();
            config["rekorTlogConfig"] = selector.clone();
            assert_eq!(plan(&config, Preference::Newest), Err(PlanError::Selector("log entries")));
            config["rekorTlogConfig"] = serde_json::json!({"selector": "ANY"});
            config["tsaConfig"] = selector;
            assert_eq!(plan(&config, Preference::Newest), Err(PlanError::Selector("timestamps")));
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
        assert_eq!(plan.logs, [log("https://rekor.sigstore.dev", RekorVersion::V1)]);
        assert!(plan.timestamps.is_empty());
    }
}
