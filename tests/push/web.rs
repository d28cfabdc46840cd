//! Signed pushes to servers on loopback: `git daemon`, and `git http-backend` behind as little of a web
//! server as it needs.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{PROGRAM, REQUIRED, Stage, accepted, refused, support::World};

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(world: &World, name: &str) -> PathBuf {
    let core = world.run("git", &["--exec-path"]).any_stdout().check().text();
    Path::new(core.trim_end()).join(name)
}

/// `git daemon` over the world's folder; its address.
fn daemon(world: &World) -> (Running, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(program(world, "git-daemon"))
        .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}")])
        .arg("--enable=receive-pack")
        .arg(format!("--base-path={}", world.path("").display()))
        .env("HOME", world.path("home"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "git daemon does not answer");
        thread::sleep(Duration::from_millis(20));
    }
    (running, format!("git://127.0.0.1:{port}/server.git"))
}

/// A web server that lets `user` in; its address.
fn web(world: &World, user: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/server.git", listener.local_addr().unwrap());
    let (root, home) = (world.path(""), world.path("home"));
    let backend = program(world, "git-http-backend");
    // It ends with the process of the tests.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (root, home, backend) = (root.clone(), home.clone(), backend.clone());
            thread::spawn(move || answer(stream, user, &root, &home, &backend));
        }
    });
    address
}

/// One request by the rules of CGI (RFC 3875), one connection each.
fn answer(stream: TcpStream, user: &str, root: &Path, home: &Path, backend: &Path) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut command = Command::new(backend);
    command.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1").env("HOME", home);
    command.env("REQUEST_METHOD", &method).env("PATH_INFO", path).env("QUERY_STRING", query);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("REMOTE_USER", user).env("REMOTE_ADDR", "127.0.0.1");
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "content-type" => drop(command.env("CONTENT_TYPE", value)),
            "content-encoding" => drop(command.env("HTTP_CONTENT_ENCODING", value)),
            "git-protocol" => drop(command.env("GIT_PROTOCOL", value)),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    command.env("CONTENT_LENGTH", length.to_string());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().ok()?.stdout;
    let text = String::from_utf8_lossy(&output);
    let status = text.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let mut stream = stream;
    stream.write_all(format!("HTTP/1.0 {status}\r\nConnection: close\r\n").as_bytes()).ok()?;
    stream.write_all(&output).ok()
}

/// Lets each signature take more than a second.
fn sign_slowly(world: &World) {
    let path = world.write("slow", format!("#!/bin/sh\nsleep 1.2\nexec '{PROGRAM}' \"$@\"\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(&format!("[gpg \"x509\"]\n program = {}", path.display()));
}

#[test]
fn over_git_daemon() {
    let stage = Stage::new(REQUIRED);
    let (_running, address) = daemon(&stage.world);
    stage.commit("first");
    refused(&stage.push_to(&address, &["main"]), &["the push is not signed"]);
    refused(
        &stage.push_to(&address, &["--signed", "main"]),
        &["it is for 'git://127.0.0.1:", "which is no address of this server"],
    );
    stage.install(&["--address", &address]);
    // However long the signer takes: the server that has given out the nonce waits for it.
    sign_slowly(&stage.world);
    accepted(&stage.push_to(&address, &["--signed", "main", "main:topic"]));
    accepted(&stage.push_to(&address, &["--signed", ":topic"]));
}

#[test]
fn over_http_the_nonce_may_be_as_old_as_the_server_says() {
    let stage = Stage::new(REQUIRED);
    let address = web(&stage.world, "somebody");
    let with_user = address.replace("http://", "http://alice:secret@");
    stage.install(&["--address", &format!("{with_user}/")]);
    stage.commit("first");
    refused(&stage.push_to(&address, &["main"]), &["the push is not signed"]);
    sign_slowly(&stage.world);
    refused(
        &stage.push_to(&address, &["--signed", "main"]),
        &["its nonce came back after ", "'receive.certNonceSlop'"],
    );
    stage.server().git(&["config", "receive.certNonceSlop", "60"]).check();
    accepted(&stage.push_to(&address, &["--signed", "main", "main:topic"]));
    accepted(&stage.push_to(&with_user, &["--signed", ":topic"]));
}

#[test]
fn a_web_server_that_asks_for_a_password_says_who_pushes() {
    let stage = Stage::with("pushers = [\"alice\"]\n", "sha1", &["--forge", "http=git.example.com"], "");
    stage.commit("first");
    accepted(&stage.push_to(&web(&stage.world, "alice"), &["main"]));
    refused(
        &stage.push_to(&web(&stage.world, "bob"), &["main:topic"]),
        &["pushed by 'bob' at 'git.example.com' ('bob'), where only 'alice' may"],
    );
    // Whoever comes another way may bring the variable along.
    let run = stage.work().git(&["push", "-q", &stage.path(), "main:topic"]).env("REMOTE_USER", "alice");
    refused(&run.any_stderr().any_status().check(), &["nothing says who pushes"]);
}
