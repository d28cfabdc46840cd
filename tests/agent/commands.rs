//! `countersign login`, `logout` and `agent`: what they say and do.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt as _, PermissionsExt as _},
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    process::{Command, Stdio},
};

use crate::{
    machine::{Machine, eventually},
    support::{BOB, PROGRAM, skipped},
};

#[test]
fn login_comes_first_and_says_who_and_until_when() {
    if skipped("login_comes_first_and_says_who_and_until_when", "bash") {
        return;
    }
    let machine = Machine::new();
    let said = "logged in as 'alice@example.com' (issuer '[URL]', instance 'sandbox') until [TIME]\n";
    machine.world.countersign(&["login"]).stdout(said).check();
    let repository = machine.world.repository("r", "sha1");
    repository.commit("first");
    repository.commit("second");
    assert_eq!(machine.logins(), 1);
    machine.world.countersign(&["login", "--instance", "sandbox"]).stdout(said).check();
    assert_eq!(machine.logins(), 2, "asked for is asked for");
    assert_eq!(machine.status()["logins"].as_array().unwrap().len(), 1);
    machine.world.countersign(&["logout"]).stdout("logins forgotten: 1\n").check();
    repository.commit("third");
    assert_eq!(machine.logins(), 3);
}

#[test]
fn login_refuses_where_it_would_be_for_nothing() {
    if skipped("login_refuses_where_it_would_be_for_nothing", "bash") {
        return;
    }
    let mut machine = Machine::new();
    let token = machine.world.token(BOB);
    let given = machine.world.countersign(&["login"]).env("SIGSTORE_ID_TOKEN", &token);
    given.stdout("nobody has to log in: the identity here is 'bob@example.com'\n").check();
    let words = "error: 'countersign.identity' is";
    machine.world.configure("[countersign]\n identity = bob@example.com");
    let wrong = machine.world.countersign(&["login"]).status(3);
    let words = wrong.stderr_holds(&["error: the login is for 'alice@example.com'", &words[7..]]).check();
    assert!(words.words().contains("hint: "));
    assert_eq!(machine.status()["logins"], serde_json::json!([]), "no certificate either");
    let off = ["-c", "countersign.agent=off", "x"];
    machine.world.configure(&format!("[alias]\n x = !{PROGRAM} login"));
    let off = machine.world.run("git", &off).status(3);
    off.stderr_holds(&["error: nothing would keep the login: 'countersign.agent' is off"]).check();
    let logins = machine.logins();
    machine.world.stop_authority();
    let nobody = machine.world.countersign(&["login"]).status(3);
    nobody.stderr_holds(&["error: nobody was asked to log in, for nothing could be signed"]).check();
    assert_eq!(machine.logins(), logins);
}

#[test]
fn status_lock_and_stop_say_what_is() {
    if skipped("status_lock_and_stop_say_what_is", "bash") {
        return;
    }
    let machine = Machine::new();
    for command in ["lock", "stop"] {
        machine.world.countersign(&["agent", command]).stdout("no agent is running\n").check();
    }
    machine
        .world
        .countersign(&["agent", "status", "--json"])
        .stdout("{\"forwarded\":null,\"running\":false,\"version\":1}\n")
        .status(1)
        .check();
    let repository = machine.world.repository("r", "sha1");
    repository.commit("first");
    repository.git(&["tag", "-m", "one", "v1"]).check();
    let tree = repository.id("HEAD^{tree}");
    let status = machine.world.countersign(&["agent", "status"]);
    let text = status
        .stdout_holds(&[
            "since [TIME]\n",
            "login of 'alice@example.com' (issuer '[URL]', instance 'sandbox') until [TIME]; signatures: 2\n",
            &format!("[TIME] commit {tree} by 'alice@example.com' with 'sandbox' for "),
            "[TIME] tag v1 by 'alice@example.com' with 'sandbox' for ",
        ])
        .check()
        .text();
    assert_eq!(text.lines().count(), 4, "{text}");
    let json = machine.status();
    assert_eq!(json["version"], 1);
    assert_eq!(json["signed"][0]["kind"], "commit");
    assert_eq!(json["signed"][0]["about"], tree);
    assert_eq!(json["signed"][1]["about"], "v1");
    assert!(json["signed"][1]["process"].as_u64().unwrap() > 1 && !json["host"].as_str().unwrap().is_empty());
    for secret in ["key\"", "token", "eyJ"] {
        assert!(!json.to_string().contains(secret), "{json}");
    }

    // A login that has begun is not kept by an agent that is locked before it ends.
    machine.browser("slow", "3");
    let begun = machine.logins();
    let mut login = machine.world.countersign(&["login"]).start_piped();
    eventually("somebody logs in", || machine.logins() > begun);
    machine.world.countersign(&["agent", "lock"]).stdout("logins forgotten: 1\n").check();
    let login = login.finish();
    assert!(
        login.status == 3 && login.words().contains("the agent was locked meanwhile"),
        "{}",
        login.words()
    );
    assert_eq!(machine.status()["logins"], serde_json::json!([]));
    machine.browser_again("slow");
    let begun = machine.logins();
    let text = machine.world.countersign(&["agent", "status"]).any_stdout().check().text();
    assert!(text.contains("it keeps no login\n"), "{text}");
    assert_eq!(text.lines().count(), 4, "what was signed is still told: {text}");
    let process = machine.process();
    machine.world.countersign(&["agent", "stop"]).stdout("the agent has ended\n").check();
    assert!(!machine.place().socket().exists());
    repository.commit("a new agent");
    assert_eq!(machine.logins(), begun + 1);
    assert_ne!(machine.process(), process);
}

#[test]
fn the_agent_takes_nothing_along_and_leaves_its_caller() {
    if skipped("the_agent_takes_nothing_along_and_leaves_its_caller", "bash") {
        return;
    }
    let machine = Machine::new();
    for name in ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK"] {
        machine.world.set(name, "secret-of-the-job");
    }
    // Without it there is no way to the keyring.
    machine.world.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus");
    let repository = machine.world.repository("r", "sha1");
    repository.commit("first");
    let process = machine.process();
    let read = |name: &str| fs::read(format!("/proc/{process}/{name}"));
    let Ok(environment) = read("environ") else {
        eprintln!("SKIPPED: the_agent_takes_nothing_along_and_leaves_its_caller: no /proc to look into");
        return;
    };
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(
        !environment.contains("secret-of-the-job")
            && environment.contains("XDG_RUNTIME_DIR=")
            && environment.contains("DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere/bus"),
        "{environment}"
    );
    let stat = String::from_utf8(read("stat").unwrap()).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, process.to_string(), "a session of its own");
    assert_eq!(fs::read_link(format!("/proc/{process}/cwd")).unwrap().to_str(), Some("/"));
    for descriptor in 0..3 {
        let target = fs::read_link(format!("/proc/{process}/fd/{descriptor}")).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"));
    }
    let limits = String::from_utf8(read("limits").unwrap()).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn an_agent_that_nobody_needs_ends() {
    let machine = Machine::new();
    let folder = machine.folder();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["agent", "run"]).args(arguments).env_clear();
        command.env("XDG_RUNTIME_DIR", folder.parent().unwrap()).stdin(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut idle = run(&["--idle", "1"]);
    eventually("it listens", || machine.place().socket().exists());
    let other = run(&[]).wait_with_output().unwrap();
    assert_eq!(String::from_utf8(other.stderr).unwrap(), "another agent is running\n");
    assert!(other.status.success());
    assert!(idle.wait().unwrap().success());
    assert!(!machine.place().socket().exists());

    // One that nobody can reach any more is needed by nobody.
    let mut lost = run(&[]);
    eventually("it listens", || machine.place().socket().exists());
    fs::remove_dir_all(&folder).unwrap();
    assert!(lost.wait().unwrap().success());
}

#[test]
fn a_supervisor_may_hold_the_socket() {
    if skipped("a_supervisor_may_hold_the_socket", "bash") {
        return;
    }
    let machine = Machine::new();
    fs::DirBuilder::new().mode(0o700).create(machine.folder()).unwrap();
    let listener = UnixListener::bind(machine.place().socket()).unwrap();
    let mut agent = Command::new(PROGRAM)
        .args(["agent", "run", "--socket-activated", "--idle", "1"])
        .env_clear()
        .env("XDG_RUNTIME_DIR", machine.world.path("run"))
        .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
        .spawn()
        .unwrap();
    let repository = machine.world.repository("r", "sha1");
    repository.commit("first");
    repository.commit("second");
    assert_eq!(machine.logins(), 1);
    assert_eq!(machine.process(), agent.id());
    machine.world.countersign(&["agent", "stop"]).stdout("the agent has ended\n").check();
    assert!(agent.wait().unwrap().success());
    assert!(machine.place().socket().exists(), "the socket is the supervisor's");
    // It need not have looked whose the folder is.
    fs::set_permissions(machine.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let open = Command::new(PROGRAM)
        .args(["agent", "run", "--socket-activated", "--idle", "1"])
        .env_clear()
        .env("XDG_RUNTIME_DIR", machine.world.path("run"))
        .stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let open = open.wait_with_output().unwrap();
    assert_eq!(open.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&open.stderr).contains("others may enter the folder"));
    fs::set_permissions(machine.folder(), fs::Permissions::from_mode(0o700)).unwrap();

    // No socket at all, and sockets that do not listen: one that is connected, one for datagrams.
    let (near, _far) = UnixStream::pair().unwrap();
    let datagram = UnixDatagram::unbound().unwrap();
    for stdin in [Stdio::null(), Stdio::from(OwnedFd::from(near)), Stdio::from(OwnedFd::from(datagram))] {
        let output = Command::new(PROGRAM)
            .args(["agent", "run", "--socket-activated"])
            .env_clear()
            .env("XDG_RUNTIME_DIR", machine.world.path("run"))
            .stdin(stdin)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(
            String::from_utf8(output.stderr).unwrap().contains("standard input is no socket to listen on")
        );
    }
}
