//! The one way out to the network: HTTP requests with bounds on time, size and attempts.
//!
//! Plain http is spoken to loopback hosts only, and to the metadata server of the machine that this runs
//! on. Redirects are not followed: none of the servers asked here needs one, and a followed redirect could
//! carry a token to someone else.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use ureq::{
    Agent,
    http::{Method, Uri, header},
    tls::{TlsConfig, TlsProvider},
};

use super::tls::Tls;

/// A request with its whole body.
pub type Request = ureq::http::Request<Vec<u8>>;

/// A response with its whole body.
pub type Response = ureq::http::Response<Vec<u8>>;

/// The bounds on each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// For establishing a connection.
    pub connect: Duration,
    /// For a whole attempt, from name resolution to the last byte.
    pub attempt: Duration,
    /// How many bytes of body are read.
    pub body: u64,
    /// How often a request that may be repeated is tried in all.
    pub attempts: u32,
    /// The pause after the first failed attempt; doubled after each.
    pub backoff: Duration,
    /// How long a connection is kept for the next request.
    pub idle: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            // Rekor v2 answers when its next checkpoint is out, which may take many seconds.
            attempt: Duration::from_secs(60),
            body: 1 << 20,
            attempts: 3,
            backoff: Duration::from_millis(250),
            idle: Duration::from_secs(15),
        }
    }
}

impl Bounds {
    /// For a process that goes on: connections are kept between one commit and the next. Servers close theirs after a
    /// minute or more, which is noticed; and a network that has changed meanwhile is not.
    #[must_use]
    pub fn lasting() -> Self {
        Self { idle: Duration::from_secs(90), ..Self::default() }
    }
}

/// When a failed request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Whenever it failed in passing: sending it twice does no more than sending it once.
    Always,
    /// Only if the server cannot have acted on it, or says itself that it did not.
    Unheard,
}

/// Why there is no response. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The connection could not be made.
    #[error("cannot connect to '{host}': {reason}")]
    Connect {
        /// The host asked for.
        host: String,
        /// The system's words.
        reason: String,
    },
    /// Plain http to a host that is not loopback.
    #[error("will not speak plain http to '{host}'")]
    PlainHttp {
        /// The host asked for.
        host: String,
    },
    /// The exchange broke off, or was not HTTP.
    #[error("the exchange with '{host}' failed: {reason}")]
    Protocol {
        /// The host asked for.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// No answer in time.
    #[error("'{host}' did not answer in time")]
    Timeout {
        /// The host asked for.
        host: String,
    },
    /// The TLS peer is not who it should be, or TLS failed.
    #[error("cannot trust the TLS connection to '{host}': {reason}")]
    Tls {
        /// The host asked for.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// The body is larger than the bound.
    #[error("the answer of '{host}' is larger than {limit} bytes")]
    TooLarge {
        /// The host asked for.
        host: String,
        /// The bound, in bytes.
        limit: u64,
    },
    /// Not an absolute http or https URL.
    #[error("'{0}' is not an http or https URL")]
    Url(String),
}

impl HttpError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Protocol { .. } | Self::Timeout { .. })
    }
}

/// The HTTP client. Building it costs nothing; roots are read and connections made at the first request.
/// Shared freely between threads.
#[derive(Debug, Default)]
pub struct Http {
    bounds: Bounds,
    tls: Tls,
    agent: OnceLock<Agent>,
}

impl Http {
    /// A client within `bounds`.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self::with_tls(bounds, Tls::default())
    }

    /// [`Http::new`] with authorities and a certificate of the user's own.
    #[must_use]
    pub fn with_tls(bounds: Bounds, tls: Tls) -> Self {
        Self { bounds, tls, agent: OnceLock::new() }
    }

    /// Which authorities vouch for servers, and who this is to them.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Sends `request`, again where `repeat` allows it, and reads the whole response. Every status is a
    /// response; of those that pass (429 and 5xx; for [`Repeat::Unheard`] 429 and 503, by which the server itself says
    /// that it did nothing) the last one is returned when attempts run out.
    ///
    /// # Errors
    /// There is no response within the bounds.
    pub fn send(&self, request: &Request, repeat: Repeat) -> Result<Response, HttpError> {
        self.send_within(request, repeat, self.bounds.body)
    }

    /// [`Http::send`] with a bound of its own, in bytes, on the response's body.
    fn send_within(&self, request: &Request, repeat: Repeat, limit: u64) -> Result<Response, HttpError> {
        let host = check_url(request.uri(), is_loopback)?;
        let mut pause = self.bounds.backoff;
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(request, &host, limit, None);
            let again = match &outcome {
                Ok(response) => match (repeat, response.status().as_u16()) {
                    (Repeat::Always, status) => is_passing(status),
                    // Of the others a gateway's may come after the server has acted.
                    (Repeat::Unheard, status) => matches!(status, 429 | 503),
                },
                Err(HttpError::Connect { .. }) => true,
                Err(error) => repeat == Repeat::Always && error.retryable(),
            };
            if !again || attempt >= self.bounds.attempts {
                return outcome;
            }
            thread::sleep(pause);
            pause = pause.saturating_mul(2);
            attempt += 1;
        }
    }

    /// Sends `request` to a metadata server: a host on this machine or on its link (RFC 3927), to which plain
    /// http is spoken and no proxy leads. Once, and for seconds only: elsewhere than in a cloud nobody
    /// answers at such an address.
    ///
    /// # Errors
    /// There is no response within the bounds.
    pub fn send_to_machine(&self, request: &Request) -> Result<Response, HttpError> {
        let host = check_url(request.uri(), is_on_the_machine)?;
        self.attempt(request, &host, self.bounds.body, Some(MACHINE_PATIENCE))
    }

    /// GETs `url`, whatever comes of it, for the server's own clock in its `Date` (RFC 9110 §6.6.1): seconds
    /// since 1970, or `None` where it does not say.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub fn clock(&self, url: &str) -> Result<Option<i64>, HttpError> {
        let response = self.send(&request(Method::GET, url, "*/*", Vec::new())?, Repeat::Unheard)?;
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok(date.map(|date| date.timestamp().as_second()))
    }

    /// GETs `url`, accepting JSON.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub fn get(&self, url: &str) -> Result<Response, HttpError> {
        self.send(&request(Method::GET, url, "application/json", Vec::new())?, Repeat::Always)
    }

    /// GETs `url` whatever it is; of its body at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub fn get_within(&self, url: &str, limit: u64) -> Result<Response, HttpError> {
        self.send_within(&request(Method::GET, url, "*/*", Vec::new())?, Repeat::Always, limit)
    }

    /// POSTs `body` as JSON to `url`, accepting JSON.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub fn post_json(&self, url: &str, body: Vec<u8>, repeat: Repeat) -> Result<Response, HttpError> {
        let mut request = request(Method::POST, url, "application/json", body)?;
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        self.send(&request, repeat)
    }

    /// One exchange; with `patience` a host of this machine or its link is given less time.
    fn attempt(
        &self,
        request: &Request,
        host: &str,
        limit: u64,
        patience: Option<Duration>,
    ) -> Result<Response, HttpError> {
        let agent = self.agent.get_or_init(|| build(self.bounds, &self.tls));
        let local = is_loopback(host) || patience.is_some();
        let whole = patience.unwrap_or(self.bounds.attempt).min(self.bounds.attempt);
        let failed = |error| describe(error, host, limit);
        let response = if request.method() == Method::GET {
            let (parts, _) = request.clone().into_parts();
            let mut config = agent.configure_request(ureq::http::Request::from_parts(parts, ()));
            if local {
                config = config.proxy(None);
            }
            agent.run(config.timeout_global(Some(whole)).build())
        } else {
            let mut config = agent.configure_request(request.clone());
            if local {
                config = config.proxy(None);
            }
            agent.run(config.timeout_global(Some(whole)).build())
        };
        let (parts, mut body) = response.map_err(failed)?.into_parts();
        // The library's limit must not be reached; the bound here may be.
        let bytes = body.with_config().limit(limit.saturating_add(1)).read_to_vec().map_err(failed)?;
        Ok(Response::from_parts(parts, bytes))
    }
}

/// How long a metadata server may take.
const MACHINE_PATIENCE: Duration = Duration::from_secs(5);

fn describe(error: ureq::Error, host: &str, limit: u64) -> HttpError {
    use ureq::Error;
    let host = host.to_owned();
    match error {
        Error::Timeout(_) => HttpError::Timeout { host },
        Error::BodyExceedsLimit(_) => HttpError::TooLarge { host, limit },
        Error::HostNotFound => HttpError::Connect { host, reason: "host not found".to_owned() },
        Error::ConnectionFailed => HttpError::Connect { host, reason: "connection failed".to_owned() },
        Error::ConnectProxyFailed(reason) => HttpError::Connect { host, reason },
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            HttpError::Connect { host, reason: "connection refused".to_owned() }
        }
        Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => HttpError::Timeout { host },
        Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(inner) => HttpError::Tls { host, reason: inner.to_string() },
            // The system's resolver has no kind of its own.
            None if error.to_string().starts_with("failed to lookup address") => {
                HttpError::Connect { host, reason: "host not found".to_owned() }
            }
            None => HttpError::Protocol { host, reason: error.to_string() },
        },
        Error::Rustls(error) => HttpError::Tls { host, reason: error.to_string() },
        Error::Tls(reason) => HttpError::Tls { host, reason: reason.to_owned() },
        other => HttpError::Protocol { host, reason: other.to_string() },
    }
}

/// A request to `url` that accepts `accept`.
///
/// # Errors
/// [`HttpError::Url`].
pub fn request(method: Method, url: &str, accept: &str, body: Vec<u8>) -> Result<Request, HttpError> {
    ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header(header::ACCEPT, accept)
        .body(body)
        .map_err(|_| HttpError::Url(url.to_owned()))
}

/// `base` with `path` (which begins with a slash) after it, whether or not `base` ends with a slash.
#[must_use]
pub fn join(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// Whether `host` (as it stands in a URL) names this machine without asking anyone.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a status says "not now" rather than "no".
#[must_use]
pub fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// Whether `host` is this machine or an IPv4 address of its link, which no router passes on.
fn is_on_the_machine(host: &str) -> bool {
    is_loopback(host) || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_link_local())
}

/// The host of `url`; plain http is for hosts that `is_near` only.
fn check_url(url: &Uri, is_near: impl Fn(&str) -> bool) -> Result<String, HttpError> {
    let host = url.host().filter(|host| !host.is_empty()).ok_or_else(|| HttpError::Url(url.to_string()))?;
    match url.scheme_str() {
        Some("https") => Ok(host.to_owned()),
        Some("http") if is_near(host) => Ok(host.to_owned()),
        Some("http") => Err(HttpError::PlainHttp { host: host.to_owned() }),
        _ => Err(HttpError::Url(url.to_string())),
    }
}

fn build(bounds: Bounds, tls: &Tls) -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(tls.roots())
        .client_cert(tls.client())
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(bounds.connect))
        .timeout_global(Some(bounds.attempt))
        .max_idle_age(bounds.idle)
        .max_idle_connections_per_host(8)
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .new_agent()
}
