//! A tiny HTTP server on loopback that answers as a test says; each request is kept for inspection.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::http::{Bounds, Http};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What to do with a request.
pub(crate) enum Answer {
    /// Status, further header lines (each with CRLF), body.
    Full(u16, String, Vec<u8>),
    /// Bytes as they stand, then the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, for this long.
    Silence(Duration),
}

impl Answer {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Full(status, "Content-Type: application/json\r\n".to_owned(), body.to_string().into_bytes())
    }

    pub(crate) fn html(status: u16) -> Self {
        let page = b"<html><head><title>proxy</title></head><body>no\x1b[31m</body></html>".to_vec();
        Self::Full(status, "Content-Type: text/html\r\n".to_owned(), page)
    }
}

/// The server; it lives as long as the test's process.
pub(crate) struct TestServer {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl TestServer {
    /// Answers each request with what `answer` says; it gets the request and how many came before it.
    pub(crate) fn new(answer: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&received), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || serve(stream.unwrap(), &kept, &*answer));
            }
        });
        Self { url, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// A client with small bounds, so that failures come soon.
pub(crate) fn quick_http() -> Http {
    Http::new(Bounds {
        connect: Duration::from_secs(2),
        attempt: Duration::from_millis(1500),
        body: 64 * 1024,
        attempts: 3,
        backoff: Duration::from_millis(1),
        idle: Duration::from_secs(15),
    })
}

fn serve(
    stream: TcpStream,
    kept: &Mutex<Vec<Received>>,
    answer: &(dyn Fn(&Received, usize) -> Answer + Send + Sync),
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let mut received = Received { method, path, headers, body: Vec::new() };
    let length = received.header("content-length").map_or(0, |length| length.parse().unwrap());
    received.body = vec![0; length];
    reader.read_exact(&mut received.body).unwrap();
    let before = {
        let mut kept = kept.lock().unwrap();
        kept.push(received.clone());
        kept.len() - 1
    };
    // The client may have hung up already: that is then what the test is about.
    let _ = match answer(&received, before) {
        Answer::Full(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
            );
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
        Answer::Raw(bytes) => stream.write_all(&bytes),
        Answer::Silence(duration) => {
            thread::sleep(duration);
            Ok(())
        }
    };
}
