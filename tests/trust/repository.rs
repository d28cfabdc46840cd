//! A TUF repository that is signed here and served on loopback, well or badly.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use aws_lc_rs::digest::{SHA256, digest};
use countersign::sandbox::{KeyAlgorithm, SigningKey};
use serde_json::{Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;

/// Long enough for any test.
pub const LATER: &str = "2999-01-01T00:00:00Z";
/// Long over.
pub const OVER: &str = "2001-01-01T00:00:00Z";

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// The repository: its keys, and the files that it serves by their paths.
pub struct Tuf {
    pub url: String,
    root: SigningKey,
    online: SigningKey,
    version: u64,
    files: Files,
    requests: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
}

/// What one publication is like where it is not as it should be.
pub struct Publication {
    /// Of all but the timestamp.
    pub version: u64,
    pub timestamp: u64,
    pub expires: &'static str,
}

impl Tuf {
    /// A repository whose first publication has `target` as its trusted root.
    pub fn new(target: &str) -> Self {
        let files = Files::default();
        let (requests, down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let url = serve(Arc::clone(&files), Arc::clone(&requests), Arc::clone(&down));
        let (root, online) = (key(), key());
        let mut tuf = Self { url, root, online, version: 0, files, requests, down };
        tuf.next_root(LATER, &[]);
        tuf.publish(target, 1);
        tuf
    }

    /// Lose the keys and everything that was published, and begin with others and `target`.
    pub fn begin_anew(&mut self, target: &str) {
        (self.root, self.online, self.version) = (key(), key(), 0);
        self.files.lock().unwrap().clear();
        self.next_root(LATER, &[]);
        self.publish(target, 1);
    }

    /// The first root: what a user pins.
    pub fn first_root(&self) -> Vec<u8> {
        self.file("1.root.json").unwrap()
    }

    /// Publishes `target` under metadata of `version`.
    pub fn publish(&self, target: &str, version: u64) {
        self.publish_as(target, &Publication { version, timestamp: version, expires: LATER });
    }

    /// [`Tuf::publish`], as `publication` has it.
    pub fn publish_as(&self, target: &str, publication: &Publication) {
        let Publication { version, timestamp, expires } = *publication;
        let hash = sha256(target.as_bytes());
        let targets = json!({"trusted_root.json": {"length": target.len(), "hashes": {"sha256": hash}}});
        let role = |name: &str, version: u64, field: &str, content: Value| {
            let mut signed = json!({
                "_type": name, "spec_version": "1.0.31", "version": version, "expires": expires,
            });
            signed[field] = content;
            envelope(&signed, &[&self.online])
        };
        let pin = |bytes: &[u8]| json!({"version": version, "length": bytes.len(), "hashes": {"sha256": sha256(bytes)}});
        let targets = role("targets", version, "targets", targets);
        let snapshot = role("snapshot", version, "meta", json!({"targets.json": pin(&targets)}));
        let timestamp = role("timestamp", timestamp, "meta", json!({"snapshot.json": pin(&snapshot)}));
        self.put(&format!("{version}.targets.json"), targets);
        self.put(&format!("{version}.snapshot.json"), snapshot);
        self.put("timestamp.json", timestamp);
        self.put(&format!("targets/{hash}.trusted_root.json"), target.as_bytes().to_vec());
    }

    /// Publishes the next root, with a new root key, signed by the old one and the new one.
    pub fn rotate(&mut self) {
        let old = std::mem::replace(&mut self.root, key());
        self.next_root(LATER, &[&old]);
    }

    /// Publishes a next root that the old key has not signed.
    pub fn usurp(&mut self) {
        self.root = key();
        self.next_root(LATER, &[]);
    }

    /// Publishes the next root, which has expired.
    pub fn expire(&mut self) {
        self.next_root(OVER, &[]);
    }

    fn next_root(&mut self, expires: &str, old: &[&SigningKey]) {
        self.version += 1;
        let role = |key: &SigningKey| json!({"keyids": [key_id(key)], "threshold": 1});
        let keys: BTreeMap<String, Value> =
            [&self.root, &self.online].into_iter().map(|key| (key_id(key), described(key))).collect();
        let signed = json!({
            "_type": "root", "spec_version": "1.0.31", "version": self.version, "expires": expires,
            "consistent_snapshot": true, "keys": keys,
            "roles": {
                "root": role(&self.root), "timestamp": role(&self.online),
                "snapshot": role(&self.online), "targets": role(&self.online),
            },
        });
        let signers: Vec<&SigningKey> = old.iter().copied().chain([&self.root]).collect();
        self.put(&format!("{}.root.json", self.version), envelope(&signed, &signers));
    }

    /// A file as it is served.
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(path).cloned()
    }

    /// Serves `bytes` under `path`, whatever they are.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        self.files.lock().unwrap().insert(path.to_owned(), bytes);
    }

    /// The path under which the target with this content is served.
    pub fn target_path(target: &str) -> String {
        format!("targets/{}.trusted_root.json", sha256(target.as_bytes()))
    }

    /// From now on no request is answered.
    pub fn stop(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// How many requests were answered.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn key() -> SigningKey {
    SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

fn described(key: &SigningKey) -> Value {
    json!({
        "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": key.public_key_pem()},
    })
}

fn key_id(key: &SigningKey) -> String {
    sha256(&to_canonical_bytes(&described(key)).unwrap())
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

fn envelope(signed: &Value, signers: &[&SigningKey]) -> Vec<u8> {
    let canonical = to_canonical_bytes(signed).unwrap();
    let signatures: Vec<Value> = signers
        .iter()
        .map(|key| json!({"keyid": key_id(key), "sig": hex::encode(key.sign(&canonical))}))
        .collect();
    serde_json::to_vec(&json!({"signed": signed, "signatures": signatures})).unwrap()
}

/// Answers until the process ends; the address.
fn serve(files: Files, requests: Arc<AtomicUsize>, down: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if down.load(Ordering::SeqCst) {
                continue;
            }
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            if reader.read_line(&mut request).unwrap_or(0) == 0 {
                continue;
            }
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            requests.fetch_add(1, Ordering::SeqCst);
            let path = request.split(' ').nth(1).unwrap().trim_start_matches('/');
            let body = files.lock().unwrap().get(path).cloned();
            let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // A client that has read enough may be gone.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    url
}
