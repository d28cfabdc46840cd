//! Servers on loopback: `git daemon`, `git http-backend`, ssh by a stand-in; and servers that stall, die
//! or answer nonsense.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant},
};

use super::{
    RULES, author, fetch, git_servers, holds, served, stage,
    support::{Repository, World},
    unsigned, upload,
};

/// A web server that hands out files and knows nothing of git; its address.
fn files(world: &World) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let root = world.path("");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let root = root.clone();
            thread::spawn(move || -> Option<()> {
                let mut reader = BufReader::new(stream.try_clone().ok()?);
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let mut header = String::from("x");
                while !header.trim_end().is_empty() {
                    header.clear();
                    reader.read_line(&mut header).ok()?;
                }
                let path = line.split_whitespace().nth(1)?.split('?').next()?.trim_start_matches('/');
                let (status, bytes) = match fs::read(root.join(path)) {
                    Ok(bytes) => ("200 OK", bytes),
                    Err(_) => ("404 Not Found", Vec::new()),
                };
                let length = bytes.len();
                let head =
                    format!("HTTP/1.0 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(&[head.as_bytes(), &bytes].concat()).ok()
            });
        }
    });
    address
}

/// A stand-in for ssh that runs the command here; what it was called with stands in `ssh.log`.
pub(super) fn ssh(world: &World) {
    let path = world.path("ssh");
    let log = world.path("ssh.log");
    let text =
        format!("#!/bin/sh\necho \"$@\" >>'{}'\nfor last; do :; done\neval \"$last\"\n", log.display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    world.set("GIT_SSH", path.to_str().unwrap());
    world.set("GIT_SSH_VARIANT", "ssh");
}

/// The whole work over one transport: clone, fetch, refusal, hold, push.
pub(super) fn work_over(world: &World, address: &str) {
    let author = author(world);
    world.run("git", &["clone", "-q", &format!("verified::{address}"), "ours"]).check();
    let ours = Repository::at(world, &world.path("ours"));
    assert_eq!(ours.id("origin/main"), author.id("main"));
    author.git(&["tag", "-m", "one", "v1"]).check();
    let second = author.commit("second");
    upload(&author, &["main", "v1"]);
    fetch(&ours, &[]).check();
    assert_eq!((ours.id("origin/main"), ours.has("v1")), (second.clone(), true));
    let evil = unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    fetch(&ours, &[]).status(128).stderr_holds(&["it is not signed"]).check();
    fetch(&ours, &[]).stderr_holds(&["is held at"]).check();
    assert!(!holds(&ours, &evil));
    upload(&author, &[&format!("{second}:main")]);
    ours.git(&["reset", "-q", "--hard", "origin/main"]).check();
    let third = ours.commit("third");
    ours.git(&["push", "-q", "--atomic", "origin", "main", "main:topic"]).check();
    assert_eq!((served(world).id("main"), served(world).id("topic")), (third.clone(), third));
}

#[test]
fn over_git_daemon() {
    let world = stage(RULES);
    let (_running, address) = git_servers::daemon(&world);
    work_over(&world, &format!("{address}/served.git"));
}

#[test]
fn one_repository_under_two_addresses_is_bound_by_what_either_has_shown() {
    let world = stage(RULES);
    let policy = fs::read_to_string(world.path("policy.toml")).unwrap();
    let with = |id: &str, serial: u32| {
        let head = format!("version = 1\nrepository = \"{id}\"\nserial = {serial}\n");
        world.write("policy.toml", policy.replace("version = 1\n", &head));
    };
    with("example.com/r", 2);
    let author = author(&world);
    let first = author.id("main");
    author.commit("second");
    upload(&author, &["main"]);
    let ours = super::clone(&world, "ours");
    let (_running, address) = git_servers::daemon(&world);
    let other = format!("verified::{address}/served.git");
    upload(&author, &[&format!("{first}:main")]);
    let run = world.run("git", &["clone", "-q", &other, "again"]).status(128);
    run.stderr_holds(&["the remote says", "its history does not go on from there"]).check();
    upload(&author, &["main"]);
    world.run("git", &["clone", "-q", &other, "again"]).check();
    world.countersign(&["remote", "status"]).any_stdout().check();

    // The policy of another repository, of none, or an older one.
    for (id, serial, words) in [
        ("example.com/s", 9, "it was judged by the policy of the repository 'example.com/r'"),
        ("example.com/r", 1, "it was judged by a policy with the serial 2, and the one at hand has 1"),
    ] {
        with(id, serial);
        fetch(&ours, &[]).status(128).stderr_holds(&[words, "hint: get the right policy"]).check();
    }
    world.write("policy.toml", &policy);
    fetch(&ours, &[]).status(128).stderr_holds(&["is for no repository by name"]).check();
    world.countersign(&["remote", "forget", &other]).any_stdout().check();
    world.run("git", &["-C", "again", "fetch", "-q"]).check();
}

#[test]
fn over_http() {
    let world = stage(RULES);
    let address = git_servers::web(&world, "somebody");
    work_over(&world, &format!("{address}/served.git"));
}

#[test]
fn a_server_of_files_can_be_used_as_long_as_its_packs_hold_nothing_else() {
    let world = stage(RULES);
    let author = author(&world);
    let second = author.commit("second");
    upload(&author, &["main"]);
    served(&world).git(&["repack", "-q", "-a", "-d"]).check();
    served(&world).git(&["update-server-info"]).check();
    let address = format!("verified::{}/served.git", files(&world));
    world.run("git", &["clone", "-q", &address, "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    assert_eq!(ours.id("origin/main"), second);
    // What stands under a ref that nobody may have is in the same pack.
    let evil = unsigned(&author, "unsigned");
    upload(&author, &["HEAD:refs/elsewhere/x"]);
    author.git(&["reset", "-q", "--hard", &second]).check();
    author.commit("third");
    upload(&author, &["main"]);
    served(&world).git(&["repack", "-q", "-a", "-d"]).check();
    served(&world).git(&["update-server-info"]).check();
    let words = [
        &*format!("the remote has sent '{evil}', to which nothing leads that was asked for"),
        "hint: a web server that hands out files ('dumb' http) sends whole packs",
    ];
    fetch(&ours, &[]).status(128).stderr_holds(&words).check();
    assert!(!holds(&ours, &evil) && ours.id("origin/main") == second && super::is_clean(&ours));
}

#[test]
fn over_ssh_in_both_ways_of_writing_it() {
    let world = stage(RULES);
    ssh(&world);
    let path = world.path("served.git").display().to_string();
    work_over(&world, &format!("somebody@example.com:{path}"));
    let other = format!("verified::ssh://example.com:22{path}");
    world.run("git", &["clone", "-q", &other, "again"]).check();
    let log = fs::read_to_string(world.path("ssh.log")).unwrap();
    assert!(log.contains("somebody@example.com git-upload-pack '"), "{log}");
    assert!(log.contains("git-receive-pack '") && log.contains("-p 22 example.com"), "{log}");
    world
        .countersign(&["remote", "status"])
        .stdout(format!(
            "ssh://example.com{}: 3 refs accepted\n",
            world.redact(path.trim_end_matches(".git"))
        ))
        .check();
}

/// A server that does `serve` with each connection; its address.
pub(super) fn hostile(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    format!("git://{address}/r")
}

#[test]
fn a_server_that_stalls_dies_or_answers_nonsense_ends_in_an_error() {
    let world = stage(RULES);
    world.configure("[countersign]\n remoteTimeout = 2");
    let list = |address: &str| {
        let begun = Instant::now();
        let run = world.run("git", &["ls-remote", &format!("verified::{address}")]).status(128).any_stderr();
        let words = run.check().words();
        assert!(begun.elapsed() < Duration::from_secs(15), "{words}");
        words
    };
    let stalling = hostile(|stream| {
        thread::sleep(Duration::from_secs(60));
        drop(stream);
    });
    assert!(list(&stalling).contains("' for 2 seconds\n"), "{}", list(&stalling));
    let look = ["ledger", "verify", "--repository", "author", "--remote", &stalling];
    let begun = Instant::now();
    world.countersign(&look).status(3).stderr_holds(&["' for 2 seconds\n"]).check();
    assert!(begun.elapsed() < Duration::from_secs(15));
    for serve in [
        |stream: TcpStream| drop(stream),
        |mut stream: TcpStream| drop(stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello")),
        |mut stream: TcpStream| drop(stream.write_all(b"0100")),
        |mut stream: TcpStream| {
            drop(stream.write_all(b"003f1111111111111111111111111111111111111111 refs/heads/main\0x\n"))
        },
    ] {
        let words = list(&hostile(serve));
        assert!(words.contains("error: git cannot read the refs of 'git://127.0.0.1"), "{words}");
    }
}

#[test]
fn a_server_that_ends_or_talks_on_during_a_fetch_leaves_nothing() {
    let world = stage(RULES);
    ssh(&world);
    world.configure("[countersign]\n remoteTimeout = 3");
    let path = world.path("served.git").display().to_string();
    world.run("git", &["clone", "-q", &format!("verified::host:{path}"), "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    let author = author(&world);
    author.git(&["commit", "-q", "--allow-empty", "-F", "-"]).input("long ".repeat(20_000)).check();
    let next = author.id("HEAD");
    upload(&author, &["main"]);
    // The refs are listed in full; what comes after them is cut off, stalls or is changed.
    let full = fs::read_to_string(world.path("ssh")).unwrap();
    for (what, ending) in [
        ("cut off", "eval \"$last\" | head -c 1500"),
        ("stall", "eval \"$last\" | { head -c 1500; sleep 30; }"),
        ("changed", "eval \"$last\" | LC_ALL=C sed 's/PACK/PICK/'"),
    ] {
        let script = full.replace(
            "eval \"$last\"",
            &format!(
                "if [ -e '{0}' ]; then {ending}; else touch '{0}'; eval \"$last\"; fi",
                world.path("listed").display()
            ),
        );
        fs::write(world.path("ssh"), script).unwrap();
        let _ = fs::remove_file(world.path("listed"));
        let begun = Instant::now();
        fetch(&ours, &[]).status(128).any_stderr().check();
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        assert!(!holds(&ours, &next) && super::is_clean(&ours), "{what}");
    }
    fs::write(world.path("ssh"), full).unwrap();
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), next);
}
