//! Servers of git's own on loopback: `git daemon`, and `git http-backend` behind as little of a web server as it needs.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::World;

/// A program that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that git keeps for itself.
pub fn git_program(world: &World, name: &str) -> PathBuf {
    let core = world.run("git", &["--exec-path"]).any_stdout().check().text();
    Path::new(core.trim_end()).join(name)
}

/// A port that nobody listens at.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `git daemon` over the world's folder; its address.
pub fn daemon(world: &World) -> (Running, String) {
    let port = free_port();
    let child = Command::new(git_program(world, "git-daemon"))
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
    (running, format!("git://127.0.0.1:{port}"))
}

/// `git http-backend` over the world's folder, behind as little of a web server as it needs, which lets `user` in;
/// its address.
pub fn web(world: &World, user: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (root, home) = (world.path(""), world.path("home"));
    let backend = git_program(world, "git-http-backend");
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
