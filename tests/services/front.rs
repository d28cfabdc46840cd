//! TLS in front of the authority: a server that may ask for a certificate, misbehave on purpose, and keeps what it
//! was asked; certificates for it; and a proxy.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use crate::support::World;

/// The name in the server's certificate, beside 127.0.0.1.
pub const HOST: &str = "sigstore.test";

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answer it.
    Nothing,
    /// Answer 503, and do nothing.
    Busy,
    /// Hand it on, and lose the answer.
    Lost,
}

type Faults = dyn Fn(&str, usize) -> Fault + Send + Sync;

/// The server.
pub struct Front {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// In front of the world's authority. With `client`, a certificate by the world's authority is demanded.
    pub fn new(
        world: &World,
        client: bool,
        faults: impl Fn(&str, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if client {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(world.path("ca.pem")).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(world.path("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(world.path("server.key")).unwrap();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        let upstream = world.url().trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, faults): (_, Arc<Faults>) = (Arc::clone(&asked), Arc::new(faults));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, kept, faults) = (Arc::clone(&config), Arc::clone(&kept), Arc::clone(&faults));
                let upstream = upstream.clone();
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    let stream = StreamOwned::new(connection, stream.unwrap());
                    // A client that does not trust the server hangs up: that is then what the test is about.
                    let _ = answer(stream, &upstream, &kept, &*faults);
                });
            }
        });
        Self { address, asked }
    }

    /// A server that has nothing wrong with it.
    pub fn plain(world: &World) -> Self {
        Self::new(world, false, |_, _| Fault::Nothing)
    }

    /// How often `path` was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// Lets the world's signing config name this server, by `host`.
    pub fn publish(&self, world: &World, host: &str) {
        let path = world.path("authority/signing_config.json");
        let url = format!("https://{host}:{}", self.address.port());
        let text = world.authority().authority().signing_config_json().replace(world.url(), &url);
        fs::write(path, text).unwrap();
    }
}

fn answer(
    stream: StreamOwned<ServerConnection, TcpStream>,
    upstream: &str,
    kept: &Mutex<Vec<String>>,
    faults: &Faults,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut path, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_lowercase();
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap().to_owned();
            head.push_str(&line);
        } else if let Some(text) = lower.strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
            head.push_str(&line);
        } else if lower.starts_with("host: ") {
            head.push_str(&format!("Host: {upstream}\r\nConnection: close\r\n"));
        } else if !lower.starts_with("connection: ") {
            head.push_str(&line);
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let before = {
        let mut kept = kept.lock().unwrap();
        kept.push(path.clone());
        kept.iter().filter(|asked| **asked == path).count() - 1
    };
    let fault = faults(&path, before);
    let mut stream = reader.into_inner();
    let answer = if fault == Fault::Busy {
        b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    } else {
        let mut server = TcpStream::connect(upstream)?;
        server.write_all(head.as_bytes())?;
        server.write_all(&body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        answer
    };
    if fault != Fault::Lost {
        stream.write_all(&answer)?;
    }
    stream.conn.send_close_notify();
    stream.flush()
}

/// Makes an authority, a server's certificate, a client's, and a stranger's in the world's folder.
pub fn certificates(world: &World) {
    let configuration = format!(
        "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = x\n\
         [ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
         [server]\nsubjectAltName = DNS:{HOST},IP:127.0.0.1\nextendedKeyUsage = serverAuth\n\
         [client]\nextendedKeyUsage = clientAuth\nsubjectAltName = DNS:laptop\n"
    );
    world.write("tls.cnf", configuration);
    let make = |name: &str, kind: &str, by: Option<&str>| {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let subject = format!("/CN={name}");
        let mut arguments: Vec<String> = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-config",
            "tls.cnf",
            "-extensions",
            kind,
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]
        .map(str::to_owned)
        .to_vec();
        if let Some(by) = by {
            arguments.extend([
                "-CA".to_owned(),
                format!("{by}.pem"),
                "-CAkey".to_owned(),
                format!("{by}.key"),
            ]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        world.run("openssl", &arguments).any_stdout().any_stderr().check();
    };
    make("ca", "ca", None);
    make("server", "server", Some("ca"));
    make("client", "client", Some("ca"));
    make("other-ca", "ca", None);
    make("stranger", "client", Some("other-ca"));
}

/// A proxy that connects everybody to one server, whatever they ask for; and what they asked for.
pub fn proxy(to: SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                let mut client = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    client.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
                kept.lock().unwrap().push(line);
                let mut server = TcpStream::connect(to).unwrap();
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                let (mut from_client, mut to_server) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = io::copy(&mut from_client, &mut to_server);
                    let _ = to_server.shutdown(std::net::Shutdown::Write);
                });
                let _ = io::copy(&mut server, &mut client);
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    (url, asked)
}
