//! Bounds, repetition and refusals of the HTTP client, against servers that misbehave.

use std::{net::TcpListener, time::Duration};

use ureq::http::Method;

use super::{
    http::{Http, HttpError, Repeat, is_loopback, join, request},
    test_server::{Answer, TestServer, quick_http},
};

#[test]
fn a_request_says_who_asks() {
    let server = TestServer::new(|_, _| Answer::json(200, &serde_json::json!({})));
    let response = quick_http().get(&join(&server.url, "/path")).unwrap();
    assert_eq!(response.body(), b"{}");
    let received = server.received();
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("GET", "/path"));
    assert_eq!(received[0].header("user-agent"), Some(concat!("countersign/", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn plain_http_is_spoken_to_loopback_only() {
    for url in [
        "http://fulcio.example/",
        "http://127.0.0.1.example/",
        "http://10.0.0.1/",
        "http://localhost.example/",
    ] {
        assert!(matches!(Http::default().get(url), Err(HttpError::PlainHttp { .. })), "{url}");
    }
    for url in ["ftp://127.0.0.1/", "/path", "file:///etc/passwd", "not a url", "127.0.0.1:80"] {
        assert!(matches!(Http::default().get(url), Err(HttpError::Url(_))), "{url}");
    }
    for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "LOCALHOST"] {
        assert!(is_loopback(host), "{host}");
    }
    for host in ["", "localhost.", "0.0.0.0", "[::]", "128.0.0.1", "example.org"] {
        assert!(!is_loopback(host), "{host}");
    }
}

#[test]
fn redirects_are_not_followed() {
    let server = TestServer::new(|_, _| {
        Answer::Full(302, "Location: http://127.0.0.1:1/elsewhere\r\n".to_owned(), Vec::new())
    });
    assert_eq!(quick_http().get(&server.url).unwrap().status(), 302);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn passing_failures_are_tried_again_and_lasting_ones_are_not() {
    let passing = TestServer::new(|_, before| match before {
        0 => Answer::html(503),
        1 => Answer::html(429),
        _ => Answer::json(200, &serde_json::json!({})),
    });
    assert_eq!(quick_http().post_json(&passing.url, Vec::new(), Repeat::Unheard).unwrap().status(), 200);
    assert_eq!(passing.received().len(), 3);

    let down = TestServer::new(|_, _| Answer::html(502));
    assert_eq!(quick_http().get(&down.url).unwrap().status(), 502);
    assert_eq!(down.received().len(), 3, "attempts are bounded");

    let lasting = TestServer::new(|_, _| Answer::html(403));
    assert_eq!(quick_http().get(&lasting.url).unwrap().status(), 403);
    assert_eq!(lasting.received().len(), 1);
}

#[test]
fn what_the_server_may_have_acted_on_is_not_sent_twice() {
    for (repeat, times) in [(Repeat::Unheard, 1), (Repeat::Always, 3)] {
        let server = TestServer::new(|_, _| Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()));
        let error = quick_http().post_json(&server.url, b"{}".to_vec(), repeat).unwrap_err();
        assert!(matches!(error, HttpError::Protocol { .. }), "{error}");
        assert_eq!(server.received().len(), times, "{repeat:?}");
    }
    for (status, times) in [(429, 3), (500, 1), (502, 1), (503, 3), (504, 1), (403, 1)] {
        let server = TestServer::new(move |_, _| Answer::html(status));
        let answer = quick_http().post_json(&server.url, Vec::new(), Repeat::Unheard).unwrap();
        assert_eq!((answer.status().as_u16(), server.received().len()), (status, times));
    }
}

#[test]
fn silence_and_closed_ports_have_their_own_errors() {
    let silent = TestServer::new(|_, _| Answer::Silence(Duration::from_secs(10)));
    let error = quick_http().post_json(&silent.url, Vec::new(), Repeat::Unheard).unwrap_err();
    assert!(matches!(error, HttpError::Timeout { .. }) && error.retryable(), "{error}");

    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = quick_http().get(&format!("http://{address}/")).unwrap_err();
    assert!(matches!(error, HttpError::Connect { .. }) && error.retryable(), "{error}");
}

#[test]
fn a_body_may_fill_the_bound_and_not_exceed_it() {
    let full = TestServer::new(|_, _| Answer::Full(200, String::new(), vec![b'x'; 64 * 1024]));
    assert_eq!(quick_http().get(&full.url).unwrap().body().len(), 64 * 1024);
    let over = TestServer::new(|_, _| Answer::Full(200, String::new(), vec![b'x'; 64 * 1024 + 1]));
    let error = quick_http().get(&over.url).unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { .. }) && !error.retryable(), "{error}");
    let unbounded = TestServer::new(|_, _| {
        Answer::Raw([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; 200 * 1024]].concat())
    });
    assert!(matches!(quick_http().get(&unbounded.url), Err(HttpError::TooLarge { .. })));
}

#[test]
fn a_peer_that_does_not_speak_tls_is_an_error_of_its_own() {
    let server = TestServer::new(|_, _| Answer::html(200));
    let url = server.url.replace("http:", "https:");
    let error = quick_http().get(&url).unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. } | HttpError::Protocol { .. }), "{error}");
}

#[test]
fn a_servers_clock_is_read_from_whatever_it_answers() {
    let dated = |date: &'static str| {
        TestServer::new(move |_, _| Answer::Full(404, format!("Date: {date}\r\n"), Vec::new()))
    };
    let server = dated("Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(quick_http().clock(&server.url).unwrap(), Some(784_111_777));
    assert_eq!(quick_http().clock(&dated("yesterday").url).unwrap(), None);
    let silent = TestServer::new(|_, _| Answer::Full(200, String::new(), Vec::new()));
    assert_eq!(quick_http().clock(&silent.url).unwrap(), None);
}

#[test]
fn plain_http_to_the_machines_link_is_for_metadata_alone() {
    let ask = |url: &str| request(Method::GET, url, "*/*", Vec::new()).unwrap();
    let refused = quick_http().get("http://169.254.169.254/").unwrap_err();
    assert!(matches!(refused, HttpError::PlainHttp { .. }), "{refused}");
    for url in
        ["http://metadata.google.internal/", "http://169.255.0.1/", "http://10.0.0.1/", "http://example.org/"]
    {
        let refused = quick_http().send_to_machine(&ask(url)).unwrap_err();
        assert!(matches!(refused, HttpError::PlainHttp { .. }), "{url}: {refused}");
    }
    // Once only, whatever it is.
    let busy = TestServer::new(|_, _| Answer::html(503));
    assert_eq!(quick_http().send_to_machine(&ask(&busy.url)).unwrap().status().as_u16(), 503);
    assert_eq!(busy.received().len(), 1);
}
