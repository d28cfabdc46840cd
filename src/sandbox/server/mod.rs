//! The authority on a port of 127.0.0.1: one thread, limits for what comes in, and the time it took.

mod fulcio;
mod oidc;
mod page;
mod rekor_v1;
mod rekor_v2;
mod timestamp;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{authority::Authority, state::StateError};

/// The longest body of a request, in bytes.
const MAXIMUM_BODY: usize = 1024 * 1024;
/// Where the authority tells how much it has worked.
const STATISTICS: &str = "/sandbox/statistics";

/// The authority could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is taken, or not allowed.
    #[error("cannot listen on port {port} of 127.0.0.1: {source}")]
    Bind {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The thread or its runtime could not be started.
    #[error("cannot start the server: {0}")]
    Start(io::Error),
    /// The state could not be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What the handlers share.
#[derive(Debug)]
struct Shared {
    authority: Authority,
    requests: AtomicU64,
    connections: AtomicU64,
    busy_microseconds: AtomicU64,
}

type Server = State<Arc<Shared>>;

/// An authority that serves; it stops when this is dropped.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// The address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.shared.authority.url
    }

    /// The authority, to issue without HTTP while it serves.
    pub fn authority(&self) -> &Authority {
        &self.shared.authority
    }

    /// How many requests were answered, and the microseconds that the answers took.
    pub fn statistics(&self) -> (u64, u64) {
        self.shared.statistics()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

impl Authority {
    /// Serves on `port` of 127.0.0.1 and on nothing else.
    ///
    /// Port 0 is the port of the earlier run on the same state, or else any that is free. The trusted
    /// root, the signing config and further files are written into the state's folder, when there is one.
    pub fn serve(mut self, port: u16) -> Result<Running, ServeError> {
        let port = if port == 0 { self.state.settings.port.unwrap_or(0) } else { port };
        let bind = |source| ServeError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let port = listener.local_addr().map_err(bind)?.port();

        self.url = format!("http://127.0.0.1:{port}");
        self.state.settings.port = Some(port);
        self.state.write_settings()?;
        for (name, content) in self.trust_files() {
            self.state.publish(name, content.as_bytes())?;
        }

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(ServeError::Start)?;
        let shared = Arc::new(Shared {
            authority: self,
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            busy_microseconds: AtomicU64::new(0),
        });
        let router = router(Arc::clone(&shared));
        let counted = Arc::clone(&shared);
        let (shutdown, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => {
                            tokio::spawn(serve(listener, router, counted));
                            // Either way it ends: by the message, or because the sender was dropped.
                            let _: Result<(), _> = stopped.await;
                        }
                        Err(error) => drop(error),
                    }
                });
            })
            .map_err(ServeError::Start)?;
        Ok(Running { shared, shutdown: Some(shutdown), thread: Some(thread) })
    }
}

async fn serve(listener: tokio::net::TcpListener, router: Router, shared: Arc<Shared>) {
    use axum::serve::ListenerExt as _;
    // Without this an answer in two packets waits for the client's delayed acknowledgement.
    let listener = listener.tap_io(move |stream| {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let _ = stream.set_nodelay(true);
    });
    let _ = axum::serve(listener, router).await;
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(oidc::routes())
        .merge(fulcio::routes())
        .merge(rekor_v1::routes())
        .merge(rekor_v2::routes())
        .merge(timestamp::routes())
        .route(STATISTICS, get(statistics))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), measure))
        .with_state(shared)
}

async fn statistics(State(shared): Server) -> Json<Value> {
    let (requests, busy) = shared.statistics();
    Json(json!({"requests": requests, "busy_microseconds": busy}))
}

impl Shared {
    fn statistics(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.busy_microseconds.load(Ordering::Relaxed))
    }
}

/// Takes in the whole request, then measures how long the answer takes: waiting for a slow client is not work.
async fn measure(State(shared): Server, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAXIMUM_BODY).await;
    let started = Instant::now();
    let counted = parts.uri.path() != STATISTICS;
    let mut response = if !addressed_to_us(&shared, parts.headers.get(header::HOST), &parts.uri) {
        (StatusCode::MISDIRECTED_REQUEST, "this is not the host that was asked for\n").into_response()
    } else {
        match body {
            Ok(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
            Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n").into_response(),
        }
    };
    let elapsed = started.elapsed();
    if counted {
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        shared.busy_microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }
    let timing = format!("total;dur={:.3}", elapsed.as_secs_f64() * 1000.0);
    if let Ok(timing) = HeaderValue::from_str(&timing) {
        response.headers_mut().insert("server-timing", timing);
    }
    response
}

/// Whether a request names this machine and port, so that no web page reaches the authority by a name of its own.
fn addressed_to_us(shared: &Shared, host: Option<&HeaderValue>, uri: &Uri) -> bool {
    let named = match (host, uri.authority()) {
        (Some(host), _) => host.to_str().unwrap_or(""),
        (None, Some(authority)) => authority.as_str(),
        (None, None) => return false,
    };
    let Some((_, port)) = shared.authority.url.rsplit_once(':') else { return false };
    let (name, named_port) = named.rsplit_once(':').unwrap_or((named, "80"));
    (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")) && named_port == port
}
