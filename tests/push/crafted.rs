//! Pushes as no client makes them: certificates written by hand, handed to git's own receive-pack.

use super::{Outcome, REQUIRED, Stage};

/// A server that takes nonces of the last hour, as one that is reached over HTTP does.
pub fn stage(rule: &str) -> Stage {
    let stage = Stage::new(rule);
    stage.server().git(&["config", "receive.certNonceSlop", "3600"]).check();
    stage
}

/// The same for the rule that asks for a certificate of alice's.
pub fn required() -> Stage {
    stage(REQUIRED)
}

fn packet(line: &[u8]) -> Vec<u8> {
    [format!("{:04x}", line.len() + 4).as_bytes(), line].concat()
}

impl Stage {
    /// A nonce of the server's.
    pub fn nonce(&self) -> String {
        let advertise = ["receive-pack", "--stateless-rpc", "--advertise-refs", "server.git"];
        let answer = self.world.run("git", &advertise).any_stdout().check().stdout;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let nonce = text.split("push-cert=").nth(1).unwrap();
        nonce.split([' ', '\n', '\0']).next().unwrap().to_owned()
    }

    /// The bytes of a certificate before they are signed.
    pub fn payload(&self, nonce: &str, commands: &[(&str, &str, &str)]) -> String {
        let commands: String =
            commands.iter().map(|(old, new, name)| format!("{old} {new} {name}\n")).collect();
        let pushee = self.path();
        format!(
            "certificate version 0.1\npusher Alice <alice@example.com> 1790000000 +0000\npushee {pushee}\n\
             nonce {nonce}\n\n{commands}"
        )
    }

    /// The same, signed by whoever holds the token.
    pub fn certificate(&self, payload: &str) -> Vec<u8> {
        [payload.as_bytes(), &self.work().sign(payload.as_bytes())].concat()
    }

    /// What a client sends that pushes with this certificate; all objects are at the server.
    pub fn request(&self, certificate: &[u8]) -> Vec<u8> {
        let mut request = packet(b"push-cert\0report-status object-format=sha1\n");
        for line in certificate.split_inclusive(|byte| *byte == b'\n') {
            request.extend(packet(line));
        }
        request.extend(packet(b"push-cert-end\n"));
        request.extend(b"0000");
        let empty = self.work().git(&["pack-objects", "-q", "--stdout"]).any_stdout().check().stdout;
        request.extend(empty);
        request
    }

    /// Have receive-pack carry out a request, as a web server has it; what it reports.
    pub fn send(&self, request: &[u8]) -> Outcome {
        let run = self.world.run("git", &["receive-pack", "--stateless-rpc", "server.git"]);
        run.input(request).any_stdout().any_stderr().any_status().check()
    }

    /// Put an object of the developer's into the server's store, under no name.
    pub fn upload(&self, revision: &str) {
        let server = self.server();
        let work = self.world.path("work");
        let fetch = ["fetch", "-q", "--no-write-fetch-head", work.to_str().unwrap(), revision];
        server.git(&fetch).check();
    }
}
