//! A remote that dies, stalls, garbles or talks without end, at each step: every time an error within the
//! configured time, and nothing taken.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::{
    RULES, author, fetch,
    git_servers::daemon,
    holds, is_clean,
    servers::hostile,
    stage,
    support::{Repository, World},
    upload,
};

/// What is done to what a server says.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection ends after so many bytes.
    End(usize),
    /// Nothing comes any more after so many bytes.
    Stall(usize),
    /// The byte behind so many is another one.
    Garble(usize),
    None,
}

/// A server between git and `server` that does `fault` to the connection of this number; its address.
fn between(server: String, fault: Fault, number: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (at, client) in listener.incoming().flatten().enumerate() {
            let Ok(there) = TcpStream::connect(&server) else { continue };
            let fault = if at == number { fault } else { Fault::None };
            let (mut from, mut to) = (client.try_clone().unwrap(), there.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            thread::spawn(move || relay(there, client, fault));
        }
    });
    address.to_string()
}

fn relay(mut from: TcpStream, mut to: TcpStream, fault: Fault) {
    let mut passed = 0;
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..length];
        let whole = match fault {
            Fault::End(limit) | Fault::Stall(limit) => limit.saturating_sub(passed).min(length),
            Fault::Garble(at) => {
                if let Some(byte) = at.checked_sub(passed).and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 0x21;
                }
                length
            }
            Fault::None => length,
        };
        if to.write_all(&bytes[..whole]).is_err() {
            return;
        }
        passed += length;
        match fault {
            Fault::End(_) if whole < length => {
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
            Fault::Stall(_) if whole < length => {
                thread::sleep(Duration::from_secs(60));
                return;
            }
            _ => {}
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A world whose remote has something new behind `git daemon`, a clone, and what is new.
fn behind<'w>(world: &'w World, server: &str) -> (Repository<'w>, String) {
    world.configure("[countersign]\n remoteTimeout = 1");
    world.run("git", &["clone", "-q", &format!("verified::git://{server}/served.git"), "ours"]).check();
    let author = author(world);
    author.git(&["commit", "-q", "--allow-empty", "-F", "-"]).input("words ".repeat(2000)).check();
    let next = author.id("HEAD");
    upload(&author, &["main"]);
    (Repository::at(world, &world.path("ours")), next)
}

#[test]
fn an_end_a_stall_or_another_byte_at_each_step_takes_nothing() {
    let world = stage(RULES);
    let (_running, address) = daemon(&world);
    let server = address.strip_prefix("git://").unwrap().to_owned();
    let (ours, next) = behind(&world, &server);
    let first = ours.id("origin/main");
    // The first connection lists refs, the second brings objects.
    let mut faults = Vec::new();
    for number in [0, 1] {
        let points = [0, 2, 30, 120, 160, 200, 240, 300, 1000];
        faults.extend(points.map(|at| (number, Fault::End(at))));
        faults.extend([0, 150, 220].map(|at| (number, Fault::Stall(at))));
    }
    faults.extend([40, 230, 300, 800].map(|at| (1, Fault::Garble(at))));
    for (number, fault) in faults {
        let proxy = format!("verified::git://{}/served.git", between(server.clone(), fault, number));
        ours.git(&["config", "remote.origin.url", &proxy]).check();
        let begun = Instant::now();
        let run = fetch(&ours, &[]).any_status().any_stderr().check();
        let words = run.words();
        assert!(begun.elapsed() < Duration::from_secs(12), "{number} {fault:?}: {words}");
        // Some points lie behind all that is said.
        if run.status == 0 {
            assert_eq!(ours.id("origin/main"), next, "{number} {fault:?}: {words}");
            ours.git(&["update-ref", "refs/remotes/origin/main", &first]).check();
            ours.git(&["reflog", "expire", "--expire=all", "--all"]).check();
            let _ = std::fs::remove_file(ours.path.join(".git/FETCH_HEAD"));
            ours.git(&["prune", "--expire=now"]).check();
            continue;
        }
        assert_eq!(run.status, 128, "{number} {fault:?}: {words}");
        assert!(words.contains("error: ") && words.contains("hint: "), "{number} {fault:?}: {words}");
        assert_eq!(ours.id("origin/main"), first);
        assert!(!holds(&ours, &next) && is_clean(&ours), "{number} {fault:?}");
    }
}

fn packet(line: &str) -> Vec<u8> {
    format!("{:04x}{line}", line.len() + 4).into_bytes()
}

/// Reads packets up to the end of a request.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let length = usize::from_str_radix(std::str::from_utf8(&length).ok()?, 16).ok()?;
        if length == 0 {
            return Some(text);
        }
        let mut line = vec![0; length.saturating_sub(4)];
        stream.read_exact(&mut line).ok()?;
        text += &String::from_utf8_lossy(&line);
    }
}

/// A server that has a branch and, asked for it, does `serve` in the place of sending objects.
fn begin(mut stream: TcpStream, serve: impl Fn(&mut TcpStream) -> std::io::Result<()>) -> Option<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = usize::from_str_radix(std::str::from_utf8(&length).ok()?, 16).ok()?;
    stream.read_exact(&mut vec![0; length - 4]).ok()?;
    let lines = ["version 2\n", "ls-refs\n", "fetch=shallow\n", "object-format=sha1\n"];
    stream.write_all(&[&lines.map(packet).concat()[..], b"0000"].concat()).ok()?;
    while let Some(text) = request(&mut stream) {
        if text.contains("command=ls-refs") {
            let line = packet("1111111111111111111111111111111111111111 refs/heads/main\n");
            stream.write_all(&[&line[..], b"0000"].concat()).ok()?;
        } else if text.contains("command=fetch") {
            stream.write_all(&packet("packfile\n")).ok()?;
            serve(&mut stream).ok()?;
        }
    }
    Some(())
}

#[test]
fn words_keep_alive_packets_and_drops_of_data_without_end_are_ended() {
    let world = stage(RULES);
    world.configure("[countersign]\n remoteTimeout = 1");
    let servers = [
        // Words without end: slowly, and as fast as they go.
        hostile(|stream| {
            begin(stream, |stream| {
                loop {
                    stream.write_all(&packet("\u{2}words\n"))?;
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }),
        hostile(|stream| {
            begin(stream, |stream| {
                loop {
                    stream.write_all(&packet("\u{2}words without an end\n").repeat(1000))?;
                }
            });
        }),
        // Packets that say nothing.
        hostile(|stream| {
            begin(stream, |stream| {
                loop {
                    stream.write_all(b"0005\x01")?;
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }),
        // The beginning of a pack, and then a byte at a time.
        hostile(|stream| {
            begin(stream, |stream| {
                stream.write_all(b"0011\x01PACK\0\0\0\x02\x7f\xff\xff\xff")?;
                loop {
                    stream.write_all(b"0006\x01x")?;
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }),
        // Refs without end.
        hostile(|mut stream| {
            let _ = stream.write_all(&packet("version 1\n"));
            for number in 0_u64.. {
                let line = packet(&format!("{:040x} refs/heads/{number}\n", number + 1));
                if stream.write_all(&line).is_err() {
                    return;
                }
            }
        }),
    ];
    for (at, address) in servers.iter().enumerate() {
        let begun = Instant::now();
        let run = world.run("git", &["clone", "-q", &format!("verified::{address}"), "ours"]).status(128);
        let words = run.any_stderr().check().words();
        let last: String = words.lines().rev().take(4).collect::<Vec<_>>().join("\n");
        assert!(begun.elapsed() < Duration::from_secs(60), "{at}: {last}");
        assert!(last.contains("hint: "), "{at}: {last}");
        assert!(!world.path("ours").exists());
    }
}
