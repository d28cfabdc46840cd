//! The loopback listener to which the issuer sends the browser back (RFC 8252 §7.3).
//!
//! Anyone on this machine, and any page in the browser, can send it requests: only one with this login's
//! secret state counts, and everything else is answered and forgotten.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use url::Url;

use super::{
    page::{self, Page},
    provider::LoginError,
};

/// The longest request that is read, in bytes.
const MAXIMUM_REQUEST: usize = 16 * 1024;
/// How long one visitor may take. Browsers open connections ahead that stay silent.
const VISIT: Duration = Duration::from_secs(5);
/// How many visitors are heard at a time.
const MAXIMUM_VISITORS: usize = 16;

/// A listener on 127.0.0.1, and the URL under which the browser reaches it.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    redirect: Url,
}

/// The browser with the answer, waiting for a page.
#[derive(Debug)]
pub(super) struct Callback {
    pub(super) answer: Answer,
    stream: TcpStream,
}

/// What the issuer has the browser say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Code(String),
    Denied { error: String, description: String },
}

/// What a request to the listener is.
#[derive(Debug, PartialEq, Eq)]
enum Visit {
    Answer(Answer),
    /// Not part of this login; the status it gets.
    Stray(u16),
}

impl Listener {
    /// Listens at `redirect`: an http URL on this machine, port 0 or none for a free one. By default
    /// `http://localhost/auth/callback` with a free port, which is what Sigstore's issuer knows.
    pub(super) fn bind(redirect: Option<&Url>) -> Result<Self, LoginError> {
        let mut redirect = match redirect {
            Some(url) => url.clone(),
            None => Url::parse("http://localhost:0/auth/callback").expect("the constant is a URL"),
        };
        let local = matches!(redirect.host_str(), Some("localhost" | "127.0.0.1"));
        if redirect.scheme() != "http"
            || !local
            || redirect.query().is_some()
            || redirect.fragment().is_some()
        {
            return Err(LoginError::RedirectUrl(redirect.to_string()));
        }
        let port = redirect.port().unwrap_or(0);
        let socket = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        redirect.set_port(Some(port)).map_err(|()| LoginError::RedirectUrl(redirect.to_string()))?;
        Ok(Self { socket, redirect })
    }

    /// The URL to give to the issuer.
    pub(super) fn redirect_url(&self) -> &Url {
        &self.redirect
    }

    /// Waits for the request that carries `state`, for no longer than `wait`.
    pub(super) fn wait(&self, state: &str, issuer: &str, wait: Duration) -> Result<Callback, LoginError> {
        let deadline = Instant::now() + wait;
        let expected = Arc::new(Expected {
            path: self.redirect.path().to_owned(),
            state: state.to_owned(),
            issuer: issuer.to_owned(),
        });
        let (sender, receiver) = mpsc::channel();
        let visitors = Arc::new(AtomicUsize::new(0));
        loop {
            match receiver.recv_timeout(Duration::from_millis(10)) {
                Ok(callback) => return Ok(callback),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => unreachable!("the sender is held above"),
            }
            if Instant::now() >= deadline {
                return Err(LoginError::Timeout(wait));
            }
            if visitors.load(Ordering::Acquire) >= MAXIMUM_VISITORS {
                continue;
            }
            let stream = match self.socket.accept() {
                Ok((stream, _)) => stream,
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            visitors.fetch_add(1, Ordering::AcqRel);
            let (sender, expected, visitors) = (sender.clone(), Arc::clone(&expected), Arc::clone(&visitors));
            thread::spawn(move || {
                // A visitor that breaks off is no more than a stray one.
                if let Ok(Some(callback)) = visit(stream, &expected) {
                    let _ = sender.send(callback);
                }
                visitors.fetch_sub(1, Ordering::AcqRel);
            });
        }
    }
}

impl Callback {
    /// Shows `page` in the browser. That it cannot be shown changes nothing about the login.
    pub(super) fn finish(mut self, page: &Page) {
        let _ = respond(&mut self.stream, 200, page);
    }
}

/// What makes a request part of this login.
struct Expected {
    path: String,
    state: String,
    issuer: String,
}

fn visit(mut stream: TcpStream, expected: &Expected) -> io::Result<Option<Callback>> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(VISIT))?;
    let deadline = Instant::now() + VISIT;
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > MAXIMUM_REQUEST {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        let mut piece = [0; 4096];
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            count => head.extend_from_slice(&piece[..count]),
        }
    }
    match judge(&head, expected) {
        Visit::Answer(answer) => Ok(Some(Callback { answer, stream })),
        Visit::Stray(status) => {
            respond(&mut stream, status, &page::stray())?;
            Ok(None)
        }
    }
}

/// The code in the `head` of a request to the listener, if it is part of the login with this redirect `path`, secret
/// `state` and `issuer`.
#[must_use]
pub fn login_code(head: &[u8], path: &str, state: &str, issuer: &str) -> Option<String> {
    let expected = Expected { path: path.to_owned(), state: state.to_owned(), issuer: issuer.to_owned() };
    match judge(head, &expected) {
        Visit::Answer(Answer::Code(code)) => Some(code),
        Visit::Answer(Answer::Denied { .. }) | Visit::Stray(_) => None,
    }
}

/// What the request with this head is. Parameters that matter must be there once.
fn judge(head: &[u8], expected: &Expected) -> Visit {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Visit::Stray(400) };
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Visit::Stray(400);
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != expected.path {
        return Visit::Stray(404);
    }
    if method != "GET" {
        return Visit::Stray(405);
    }
    let parameters: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let all = |name: &str| {
        parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    let same =
        |given: &str, wanted: &str| verify_slices_are_equal(given.as_bytes(), wanted.as_bytes()).is_ok();
    let ours = matches!(all("state").as_slice(), [state] if same(state, &expected.state));
    // RFC 9207: an issuer that names itself must be the one that was asked.
    let issuer = match all("iss").as_slice() {
        [] => true,
        [issuer] => *issuer == expected.issuer,
        _ => false,
    };
    if !ours || !issuer {
        return Visit::Stray(400);
    }
    match (all("error").as_slice(), all("code").as_slice()) {
        ([], [code]) if !code.is_empty() && !code.contains(char::is_control) => {
            Visit::Answer(Answer::Code((*code).to_owned()))
        }
        ([error], _) => Visit::Answer(Answer::Denied {
            error: (*error).to_owned(),
            description: all("error_description").concat(),
        }),
        _ => Visit::Stray(400),
    }
}

fn respond(stream: &mut TcpStream, status: u16, page: &Page) -> io::Result<()> {
    let Page { html, policy } = page;
    let reason = if status == 200 { "OK" } else { "No" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: {policy}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
        html.len(),
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(html.as_bytes())?;
    stream.flush()
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted | ConnectionReset)
}

#[cfg(test)]
mod tests;
