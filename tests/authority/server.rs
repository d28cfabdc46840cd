//! What holds for every endpoint: limits, the measured time, the host, and that it stops.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::json;

use crate::{agent, answer, authority, get, post, post_json};

#[test]
fn every_answer_says_how_long_it_took() {
    let running = authority();
    for path in ["/keys", "/nowhere", "/api/v1/log", "/sandbox/statistics"] {
        let timing = get(&running, path).header("server-timing").unwrap().to_owned();
        let duration: f64 = timing.strip_prefix("total;dur=").unwrap().parse().unwrap();
        assert!((0.0..10_000.0).contains(&duration), "{timing}");
    }
    let statistics = get(&running, "/sandbox/statistics").json(200);
    assert_eq!(statistics["requests"], 3, "asking for the statistics is not counted");
    let (requests, busy) = running.statistics();
    assert_eq!(statistics, json!({"requests": requests, "busy_microseconds": busy}));
}

#[test]
fn a_large_request_is_refused() {
    let running = authority();
    let large = vec![b' '; 1024 * 1024 + 1];
    for path in ["/api/v1/log/entries", "/api/v2/log/entries", "/api/v2/signingCert", "/sandbox/token"] {
        assert_eq!(post(&running, path, "application/json", &large).status, 413, "{path}");
    }
    assert_eq!(get(&running, "/keys").status, 200, "and it goes on");
}

#[test]
fn only_requests_to_this_machine_by_name_are_answered() {
    let running = authority();
    let port = running.url().rsplit_once(':').unwrap().1;
    let status = |host: &str| {
        let request = agent().get(format!("{}/keys", running.url())).header("host", host);
        answer(request.call().unwrap()).status
    };
    assert_eq!(status(&format!("localhost:{port}")), 200);
    assert_eq!(status(&format!("127.0.0.1:{port}")), 200);
    assert_eq!(status("127.0.0.1"), 421);
    assert_eq!(status(&format!("rebound.example.com:{port}")), 421);
}

#[test]
fn it_listens_on_loopback_and_stops_when_dropped() {
    let running = authority();
    let address = running.url().strip_prefix("http://").unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1:"));
    // A connection that stays open does not keep it alive.
    let mut open = TcpStream::connect(&address).unwrap();
    open.write_all(format!("GET /keys HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0; 16];
    open.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK\r");
    drop(running);
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn a_token_for_tests_needs_an_identity() {
    let running = authority();
    for request in [json!({}), json!({"email": "ada"}), json!({"subject": "x"}), json!({"e": 1}), json!(1)] {
        let refused = post_json(&running, "/sandbox/token", &request);
        assert!(refused.json(400)["error"].is_string(), "{request}");
    }
    let both = json!({"email": "ada@example.com", "subject": "https://example.com"});
    assert_eq!(post_json(&running, "/sandbox/token", &both).status, 400);
}
