//! What the agent does not do, and what git's caller does without it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    thread,
    time::Duration,
};

use countersign::{
    agent::{
        client::Guest,
        protocol::{Answer, Ask, Cause, Request, Source, Wanted},
    },
    identity::{Demands, Token},
    service::tls::TlsFiles,
    sign::{Preference, SigningPlan},
};

use crate::{
    machine::{Machine, PAYLOAD, eventually},
    support::{now, skipped},
};

/// Nobody who could log in.
struct Nobody;

impl Guest for Nobody {
    fn waiting(&mut self, _: Option<u32>) {}

    fn log_in(&mut self, _: Option<i64>) -> Result<Token, String> {
        Err("nobody is here".to_owned())
    }
}

fn ask(machine: &Machine, may_log_in: bool) -> Ask {
    let config = machine.world.authority().authority().signing_config_json();
    Ask {
        wanted: Wanted {
            instance: "sandbox".to_owned(),
            plan: SigningPlan::from_signing_config(&config, now(), Preference::Interoperable).unwrap(),
            tls: TlsFiles::default(),
            source: Source::Login {
                issuer: machine.world.url().to_owned(),
                client: "sigstore".to_owned(),
                connector: None,
            },
            identity: None,
        },
        demands: Demands::default(),
        may_log_in,
        token: None,
        patience: 5,
    }
}

fn answer(machine: &Machine, request: &Request, payload: &[u8]) -> Answer {
    machine.client().ask(request, payload, Duration::from_secs(5), &mut Nobody).unwrap().0
}

#[test]
fn a_digest_and_what_is_no_object_are_not_signed() {
    if skipped("a_digest_and_what_is_no_object_are_not_signed", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.sign();
    let entries = machine.world.log_size();
    let request = Request::Sign(ask(&machine, false));
    let digest = [7; 32];
    let signed =
        format!("{PAYLOAD}-----BEGIN SIGNED MESSAGE-----\n").replace("\n\nmessage", "\ngpgsig x\n\nm");
    for payload in [&digest[..], &[0; 64], b"", b"anything", signed.as_bytes(), &PAYLOAD.as_bytes()[..60]] {
        let answer = answer(&machine, &request, payload);
        assert!(matches!(answer, Answer::Refused { cause: Cause::Payload, .. }), "{answer:?}");
    }
    assert_eq!(machine.world.log_size(), entries);
    assert!(matches!(answer(&machine, &request, PAYLOAD.as_bytes()), Answer::Signed { .. }));
    // What the signing program is given and git has not signed needs no agent, and gets none.
    let run = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input("anything");
    run.any_stdout().any_stderr().check();
    assert_eq!(machine.status()["signatures"], 2);
}

#[test]
fn what_the_person_refuses_or_nobody_can_answer_is_no_key() {
    if skipped("what_the_person_refuses_or_nobody_can_answer_is_no_key", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.world.countersign(&["login"]).any_stdout().check();
    machine.world.countersign(&["logout"]).any_stdout().check();
    let no_key = answer(&machine, &Request::Sign(ask(&machine, false)), PAYLOAD.as_bytes());
    assert!(matches!(no_key, Answer::Refused { cause: Cause::NoKey, .. }), "{no_key:?}");
    let no_login = answer(&machine, &Request::Sign(ask(&machine, true)), PAYLOAD.as_bytes());
    let Answer::Refused { cause: Cause::Login, reason } = no_login else { panic!("{no_login:?}") };
    assert_eq!(reason, "nobody is here");
    // A login that nobody has asked for is none.
    let early = Request::Failed { reason: "x".to_owned() };
    assert!(matches!(answer(&machine, &early, b""), Answer::Refused { cause: Cause::Malformed, .. }));
    let asked = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input(PAYLOAD);
    let asked = asked.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "countersign.login");
    let asked = asked.env("GIT_CONFIG_VALUE_0", "none").status(3);
    asked.stderr_holds(&["error: there is no identity token, and nobody to ask for one"]).check();
}

#[test]
fn garbage_gets_nothing_and_holds_nobody_up() {
    if skipped("garbage_gets_nothing_and_holds_nobody_up", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.sign();
    let connect = || UnixStream::connect(machine.place().socket()).unwrap();
    let frame = |head: &[u8]| {
        let mut bytes = u32::try_from(head.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend([0; 4]);
        bytes.extend(head);
        bytes
    };
    // Slow ones, and such as say nothing at all, while everything else goes on.
    let mut silent: Vec<UnixStream> = (0..20).map(|_| connect()).collect();
    for stream in &mut silent[..10] {
        stream.write_all(&[0, 0]).unwrap();
    }
    for (sent, said) in [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "too long"),
        (vec![0xff; 64], "too long"),
        (frame(b"{}"), "cannot be read"),
        (frame(b"\0\0\0\0"), "cannot be read"),
        (frame(br#"{"version":1,"message":{"sign":{"digest":"00"}}}"#), "cannot be read"),
        (frame(br#"{"version":1,"message":{"export-key":{}}}"#), "cannot be read"),
        (frame(br#"{"version":2,"message":{"sign-faster":{}}}"#), r#"{"unsupported":{"versions":[1]}}"#),
    ] {
        let mut stream = connect();
        stream.write_all(&sent).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        // An answer to what was not read to its end may be cut short by the end.
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains(said) || answer.is_empty() && said == "too long", "{text}");
    }
    let mut truncated = connect();
    truncated.write_all(&frame(br#"{"version":1,"message":{"stop":{}}}"#)[..20]).unwrap();
    drop(truncated);
    machine.sign();
    // Whoever says nothing is shown out.
    let mut stream = silent.remove(0);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(machine.status()["signatures"], 2);
    assert_eq!(machine.logins(), 1);
}

#[test]
fn a_socket_of_an_agent_that_is_gone_is_replaced() {
    if skipped("a_socket_of_an_agent_that_is_gone_is_replaced", "bash") {
        return;
    }
    let machine = Machine::new();
    assert_eq!(machine.sign().lines().count(), 3, "no warning");
    machine.kill();
    assert!(machine.place().socket().exists());
    machine.world.countersign(&["agent", "status"]).stdout("no agent is running\n").status(1).check();
    assert!(!machine.sign().contains("warning"), "a new one was started");
    assert_eq!(machine.logins(), 2);
    machine.sign();
    assert_eq!(machine.logins(), 2);
}

#[test]
fn a_folder_that_others_may_enter_is_passed_over() {
    if skipped("a_folder_that_others_may_enter_is_passed_over", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.sign();
    let folder = fs::metadata(machine.folder()).unwrap();
    let socket = fs::metadata(machine.place().socket()).unwrap();
    assert_eq!((folder.mode() & 0o7777, socket.mode() & 0o7777), (0o700, 0o600));
    fs::set_permissions(machine.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    let words = machine.sign();
    assert!(words.contains("warning: the agent is passed over: others may enter the folder"), "{words}");
    assert_eq!(machine.logins(), 2);
    let status = machine.world.countersign(&["agent", "status"]).status(3);
    status.stderr_holds(&["error: others may enter the folder", "hint: "]).check();
    fs::set_permissions(machine.folder(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(machine.status()["signatures"], 1);
}

/// Something in the agent's place that takes one request and says `answer`, or nothing.
fn impostor(machine: &Machine, answer: &'static [u8]) -> thread::JoinHandle<()> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(machine.folder()).unwrap();
    let _ = fs::remove_file(machine.place().socket());
    let listener = UnixListener::bind(machine.place().socket()).unwrap();
    let socket = machine.place().socket();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut prefix = [0; 8];
        stream.read_exact(&mut prefix).unwrap();
        let half = |at: usize| u32::from_be_bytes(prefix[at..at + 4].try_into().unwrap()) as usize;
        let mut rest = vec![0; half(0) + half(4)];
        stream.read_exact(&mut rest).unwrap();
        let mut bytes = u32::try_from(answer.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend([0; 4]);
        bytes.extend(answer);
        if !answer.is_empty() {
            stream.write_all(&bytes).unwrap();
        }
        drop(listener);
        fs::remove_file(socket).unwrap();
    })
}

#[test]
fn an_agent_of_another_version_or_none_at_all_is_passed_over() {
    if skipped("an_agent_of_another_version_or_none_at_all_is_passed_over", "bash") {
        return;
    }
    let machine = Machine::new();
    for (number, (answer, said)) in [
        (&br#"{"version":2,"message":{"signed-faster":{}}}"#[..], "another version of countersign"),
        (br#"{"version":1,"message":{"unsupported":{"versions":[7]}}}"#, "another version of countersign"),
        (br#"{"version":1,"message":{"done":{"forgotten":1}}}"#, "the agent's answer makes no sense"),
        (br#"{"version":1,"message":{"done"#, "the message cannot be read"),
    ]
    .into_iter()
    .enumerate()
    {
        let impostor = impostor(&machine, answer);
        let words = machine.sign();
        assert!(words.contains("warning: the agent is passed over: ") && words.contains(said), "{words}");
        impostor.join().unwrap();
        assert_eq!(machine.logins(), number + 1);
    }
    // One that is gone before it has heard anything is followed by another.
    let impostor = impostor(&machine, b"");
    assert!(!machine.sign().contains("warning"));
    impostor.join().unwrap();
    assert_eq!(machine.status()["signatures"], 1);
}

#[test]
fn an_agent_that_does_not_start_is_passed_over() {
    if skipped("an_agent_that_does_not_start_is_passed_over", "bash") {
        return;
    }
    let machine = Machine::new();
    // Longer than the address of a socket may be.
    let long = machine.world.path(&"long".repeat(30));
    fs::create_dir(&long).unwrap();
    machine.world.set("XDG_RUNTIME_DIR", long.to_str().unwrap());
    let words = machine.sign();
    assert!(words.contains("warning: the agent is passed over: it does not start"), "{words}");
    let run = machine.world.countersign(&["agent", "run"]).status(3);
    run.stderr_holds(&["error: cannot use '", "hint: "]).check();
}

#[test]
fn a_signature_that_does_not_verify_is_not_handed_on_whoever_made_it() {
    if skipped("a_signature_that_does_not_verify_is_not_handed_on_whoever_made_it", "bash") {
        return;
    }
    let machine = Machine::new();
    let holder = br#"{"version":1,"message":{"signed":{"holder":{"issuer":"i","subject":"s","email":null,"not_after":9},"announce":false}}}"#;
    let impostor = impostor(&machine, holder);
    let run = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input(PAYLOAD).status(3);
    run.stderr_holds(&["error: the new signature does not verify", "hint: nothing was written"]).check();
    impostor.join().unwrap();
}

#[test]
fn an_agent_that_dies_during_a_login_costs_no_second_one() {
    if skipped("an_agent_that_dies_during_a_login_costs_no_second_one", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.sign();
    machine.world.countersign(&["logout"]).any_stdout().check();
    machine.browser("kill", &machine.process().to_string());
    let words = machine.sign();
    assert!(
        words.contains("warning: the agent is passed over: the agent: the connection was closed"),
        "{words}"
    );
    assert_eq!(machine.logins(), 2, "the login was used without it");
    machine.browser_again("kill");
    machine.sign();
    eventually("a new agent runs", || machine.status()["running"] == true);
    assert_eq!(machine.logins(), 3);
}

/// Whether there is another user to be: for that one has to be root, and perl has to speak to sockets.
fn no_stranger(test: &str) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if !is_root {
        eprintln!("SKIPPED: {test}: only root can be somebody else");
    }
    !is_root || skipped(test, "setpriv") || skipped(test, "perl") || skipped(test, "bash")
}

/// Runs `script` as nobody.
fn as_nobody<'w>(machine: &'w Machine, script: &str) -> crate::support::Run<'w> {
    let socket = machine.place().socket();
    let arguments = [
        "--reuid=65534",
        "--clear-groups",
        "--",
        "perl",
        "-MIO::Socket::UNIX",
        "-e",
        script,
        socket.to_str().unwrap(),
    ];
    machine.world.run("setpriv", &arguments)
}

#[test]
fn another_user_is_not_heard_even_where_the_folder_lets_them_in() {
    if no_stranger("another_user_is_not_heard_even_where_the_folder_lets_them_in") {
        return;
    }
    let machine = Machine::new();
    machine.sign();
    let mode =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let ask = r#"
        my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$!\n";
        $SIG{PIPE} = "IGNORE";
        my $head = '{"version":1,"message":{"status":{}}}';
        syswrite $socket, pack("NN", length $head, 0) . $head;
        print sysread($socket, my $answer, 9) || 0, "\n";"#;
    let refused = as_nobody(&machine, ask).any_status().any_stderr().check();
    assert_ne!(refused.status, 0);
    assert!(refused.words().contains("Permission denied"), "{refused:?}");
    for path in [machine.world.path(""), machine.world.path("run"), machine.folder()] {
        mode(&path, 0o711);
    }
    mode(&machine.place().socket(), 0o666);
    as_nobody(&machine, ask).stdout("0\n").check();
    mode(&machine.folder(), 0o700);
    let said = machine
        .world
        .run("perl", &["-MIO::Socket::UNIX", "-e", ask, machine.place().socket().to_str().unwrap()]);
    said.stdout("9\n").check();
}

#[test]
fn a_stranger_who_listens_is_not_talked_to() {
    if no_stranger("a_stranger_who_listens_is_not_talked_to") {
        return;
    }
    let machine = Machine::new();
    let mode =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    fs::DirBuilder::new().mode(0o777).create(machine.folder()).unwrap();
    mode(&machine.folder(), 0o777);
    for path in [machine.world.path(""), machine.world.path("run")] {
        mode(&path, 0o711);
    }
    let listen = r#"
        my $socket = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die "$!\n";
        my $caller = $socket->accept;
        exit(sysread($caller, my $said, 1) ? 1 : 0);"#;
    let mut stranger = as_nobody(&machine, listen).start();
    eventually("somebody else listens", || machine.place().socket().exists());
    mode(&machine.folder(), 0o700);
    let words = machine.sign();
    assert!(words.contains("' belongs to the user 65534"), "{words}");
    // And where the socket itself has been made to look like ours.
    std::os::unix::fs::chown(machine.place().socket(), Some(0), Some(0)).unwrap();
    let words = machine.sign();
    assert!(
        words.contains("warning: the agent is passed over: the agent belongs to the user 65534"),
        "{words}"
    );
    assert!(stranger.wait().unwrap().success(), "it was told nothing");
}
