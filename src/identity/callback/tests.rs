//! Hostile and clumsy visitors of the loopback listener.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use url::Url;

use super::{Answer, Expected, Listener, LoginError, MAXIMUM_REQUEST, Page, Visit, judge};

const STATE: &str = "secret-state";

fn judged(request: &str) -> Visit {
    let expected = Expected {
        path: "/auth/callback".to_owned(),
        state: STATE.to_owned(),
        issuer: "https://issuer.example".to_owned(),
    };
    judge(format!("{request}\r\nHost: localhost\r\n\r\n").as_bytes(), &expected)
}

fn got(query: &str) -> Visit {
    judged(&format!("GET /auth/callback?{query} HTTP/1.1"))
}

#[test]
fn the_answer_is_read() {
    let code = |code: &str| Visit::Answer(Answer::Code(code.to_owned()));
    assert_eq!(got("code=abc&state=secret-state"), code("abc"));
    assert_eq!(got("state=secret%2Dstate&code=a%2Fb+c&extra=1&extra=2"), code("a/b c"));
    assert_eq!(got("code=abc&state=secret-state&iss=https%3A%2F%2Fissuer.example"), code("abc"));
    assert_eq!(
        got("error=access_denied&error_description=not+you&state=secret-state"),
        Visit::Answer(Answer::Denied {
            error: "access_denied".to_owned(),
            description: "not you".to_owned()
        })
    );
}

#[test]
fn parameters_that_do_not_add_up_are_stray() {
    for query in [
        "",
        "code=abc",
        "code=abc&state=",
        "code=abc&state=other",
        "code=abc&state=secret-stat",
        "code=abc&state=secret-state2",
        "code=abc&state=SECRET-STATE",
        "code=abc&state=secret-state&state=secret-state",
        "code=abc&state=secret-state&state=other",
        "state=secret-state",
        "code=&state=secret-state",
        "code=a&code=b&state=secret-state",
        "code=a%0d%0ab&state=secret-state",
        "error=a&error=b&state=secret-state",
        "error=access_denied",
        "code=abc&state=secret-state&iss=https%3A%2F%2Fother.example",
        "code=abc&state=secret-state&iss=",
        "code=abc;state=secret-state",
    ] {
        assert_eq!(got(query), Visit::Stray(400), "{query}");
    }
}

#[test]
fn other_requests_are_stray() {
    let query = "code=abc&state=secret-state";
    for (request, status) in [
        (format!("GET /favicon.ico?{query} HTTP/1.1"), 404),
        (format!("GET /auth/callback/?{query} HTTP/1.1"), 404),
        (format!("GET /auth/../auth/callback?{query} HTTP/1.1"), 404),
        (format!("GET http://localhost/auth/callback?{query} HTTP/1.1"), 404),
        (format!("POST /auth/callback?{query} HTTP/1.1"), 405),
        (format!("HEAD /auth/callback?{query} HTTP/1.1"), 405),
        (format!("GET /auth/callback?{query}"), 400),
        (format!("GET /auth/callback?{query} HTTP/2"), 400),
        (format!("GET  /auth/callback?{query} HTTP/1.1"), 400),
        (format!("GET /auth/callback?{query} x HTTP/1.1"), 400),
        (String::new(), 400),
    ] {
        assert_eq!(judged(&request), Visit::Stray(status), "{request}");
    }
}

fn listener() -> (Listener, u16) {
    let listener = Listener::bind(None).unwrap();
    let port = listener.redirect_url().port().unwrap();
    (listener, port)
}

fn send(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    // A connection that is closed in our face is an answer too.
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn silent_slow_and_stray_visitors_do_not_keep_the_browser_out() {
    let (listener, port) = listener();
    let visitors = thread::spawn(move || {
        let silent: Vec<_> = (0..5).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
        slow.write_all(b"GET /auth/callb").unwrap();
        assert!(send(port, b"GET /favicon.ico HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        assert!(send(port, b"\xff\xfe / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
        let endless = [b"GET /".as_slice(), &vec![b'x'; 2 * MAXIMUM_REQUEST]].concat();
        assert_eq!(send(port, &endless), "");
        let page = send(port, b"GET /auth/callback?code=abc&state=secret-state HTTP/1.1\r\n\r\n");
        drop((silent, slow));
        page
    });
    let begun = Instant::now();
    let callback = listener.wait(STATE, "https://issuer.example", Duration::from_secs(20)).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(callback.answer, Answer::Code("abc".to_owned()));
    callback.finish(&Page { html: "<p>page</p>".to_owned(), policy: "default-src 'none'".to_owned() });
    let answer = visitors.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n<p>page</p>"), "{answer}");
    assert!(answer.contains("Content-Security-Policy: default-src 'none'\r\n"), "{answer}");
}

#[test]
fn waiting_ends() {
    let (listener, _) = listener();
    let begun = Instant::now();
    let result = listener.wait(STATE, "i", Duration::from_millis(150));
    assert!(matches!(result, Err(LoginError::Timeout(_))), "{result:?}");
    assert!((150..2000).contains(&begun.elapsed().as_millis()));
}

#[test]
fn only_this_machine_is_listened_on_and_a_taken_port_is_an_error() {
    let (listener, port) = listener();
    assert!(listener.socket.local_addr().unwrap().ip().is_loopback());
    let url = Url::parse(&format!("http://127.0.0.1:{port}/auth/callback")).unwrap();
    assert!(matches!(Listener::bind(Some(&url)), Err(LoginError::Listener(_))));
}
