//! Timestamps, asked for and verified by openssl.

use std::path::Path;

use countersign::sandbox::Running;

use crate::{Answer, assert_success, authority, openssl, pem, post};

const QUERY: &str = "application/timestamp-query";

fn ask(running: &Running, request: &[u8]) -> Answer {
    post(running, "/api/v1/timestamp", QUERY, request)
}

/// Has openssl make a request about `data`, and answers it; `None` without openssl.
fn stamped(test: &str, running: &Running, folder: &Path, extra: &[&str]) -> Option<()> {
    std::fs::write(folder.join("data"), b"what is to be stamped").unwrap();
    let [leaf, root] = running.authority().timestamp_chain();
    std::fs::write(folder.join("leaf"), pem("CERTIFICATE", leaf)).unwrap();
    std::fs::write(folder.join("root"), pem("CERTIFICATE", root)).unwrap();
    let arguments = [&["ts", "-query", "-data", "data", "-out", "query"], extra].concat();
    assert_success(&openssl(test, folder, &arguments)?);
    let answer = ask(running, &std::fs::read(folder.join("query")).unwrap());
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), Some("application/timestamp-reply"));
    std::fs::write(folder.join("reply"), answer.body).unwrap();
    Some(())
}

#[test]
fn openssl_verifies_the_timestamps() {
    let test = "openssl_verifies_the_timestamps";
    let running = authority();
    for digest in ["-sha256", "-sha384", "-sha512"] {
        for (extra, untrusted) in [
            (&["-cert"][..], &[][..]),
            (&["-cert", "-no_nonce"], &[]),
            (&[], &["-untrusted", "leaf"]),
            (&["-tspolicy", "1.3.6.1.4.1.57264.2", "-cert"], &[]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let extra = [&[digest], extra].concat();
            let Some(()) = stamped(test, &running, folder.path(), &extra) else { return };
            for source in [["-queryfile", "query"], ["-data", "data"]] {
                let verify =
                    [&["ts", "-verify", "-in", "reply", "-CAfile", "root"], &source[..], untrusted].concat();
                assert_success(&openssl(test, folder.path(), &verify).unwrap());
            }
            std::fs::write(folder.path().join("data"), b"something else").unwrap();
            let verify =
                [&["ts", "-verify", "-in", "reply", "-CAfile", "root", "-data", "data"], untrusted].concat();
            assert!(!openssl(test, folder.path(), &verify).unwrap().status.success());
        }
    }
}

#[test]
fn certificates_come_only_when_asked_for() {
    let test = "certificates_come_only_when_asked_for";
    let running = authority();
    let [leaf, _] = running.authority().timestamp_chain();
    for (extra, wanted) in [(&["-cert"][..], true), (&[], false)] {
        let folder = tempfile::tempdir().unwrap();
        let Some(()) = stamped(test, &running, folder.path(), extra) else { return };
        let reply = std::fs::read(folder.path().join("reply")).unwrap();
        assert_eq!(reply.windows(leaf.len()).any(|window| window == leaf), wanted);
    }
}

#[test]
fn what_cannot_be_stamped_is_rejected_with_its_reason() {
    let test = "what_cannot_be_stamped_is_rejected_with_its_reason";
    let running = authority();
    // PKIStatusInfo {rejection, badDataFormat} and no token.
    let bad_data = [0x30, 0x09, 0x30, 0x07, 0x02, 0x01, 0x02, 0x03, 0x02, 0x02, 0x04];
    for request in [&b""[..], b"hello", &[0x30, 0x00], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
        assert_eq!(ask(&running, request).body, bad_data);
    }
    assert_eq!(post(&running, "/api/v1/timestamp", "text/plain", b"").status, 415);

    for (extra, reason) in [(["-sha1", "-cert"], "algorithm"), (["-tspolicy", "1.2.3.4"], "policy")] {
        let folder = tempfile::tempdir().unwrap();
        let Some(()) = stamped(test, &running, folder.path(), &extra) else { return };
        let shown = openssl(test, folder.path(), &["ts", "-reply", "-in", "reply", "-text"]).unwrap();
        let text = String::from_utf8_lossy(&shown.stdout).to_lowercase();
        assert!(text.contains("rejected") && text.contains(reason), "{text}");
    }
}
