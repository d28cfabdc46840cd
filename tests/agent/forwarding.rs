//! Signatures that are asked for on another machine: real ssh and sshd, whose two ends are one machine.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use countersign::{
    agent::{
        client::Client,
        place::Place,
        protocol::{Answer, Cause, Request},
    },
    identity::Demands,
    object::{HashKind, Statement},
};

use crate::{
    machine::{Machine, PAYLOAD, certificates, eventually},
    support::{ALICE, BOB, PROGRAM, Repository, Run, skipped},
};

const SSHD: &str = "/usr/sbin/sshd";

/// Whether there is what two machines are made with.
fn missing(test: &str) -> bool {
    if !Path::new(SSHD).exists() {
        eprintln!("SKIPPED: {test}: sshd not found");
        return true;
    }
    skipped(test, "ssh") || skipped(test, "ssh-keygen") || skipped(test, "bash")
}

/// A machine, and another one called `far` that its ssh leads to: with a home, a folder and git of its own.
struct Two {
    near: Machine,
}

impl Two {
    fn new() -> Self {
        let near = Machine::new();
        let world = &near.world;
        for key in ["host", "key"] {
            let path = world.path(key);
            world.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()]).check();
        }
        // Run by root it wants a folder that Debian makes when the service starts.
        let _ = fs::create_dir_all("/run/sshd");
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).recursive(true).create(world.path("far/run")).unwrap();
        fs::create_dir(world.path("bin")).unwrap();
        std::os::unix::fs::symlink(PROGRAM, world.path("bin/countersign")).unwrap();
        let folder = world.path("");
        let folder = folder.to_str().unwrap().trim_end_matches('/');
        world.write(
            "sshd_config",
            format!(
                "HostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\nStrictModes no\nUsePAM no\n\
                 PidFile none\nPermitRootLogin yes\nLogLevel ERROR\n\
                 SetEnv HOME={folder}/far XDG_RUNTIME_DIR={folder}/far/run GIT_CONFIG_NOSYSTEM=1 \
                 GIT_CEILING_DIRECTORIES={folder} PATH={folder}/bin:{}\n",
                std::env::var("PATH").unwrap()
            ),
        );
        let user = world.run("id", &["-un"]).any_stdout().check().text();
        world.write(
            "ssh_config",
            format!(
                "Host far\n HostName localhost\n User {}\n ProxyCommand {SSHD} -i -f {folder}/sshd_config -E {folder}/sshd.log\n \
                 IdentityFile {folder}/key\n IdentitiesOnly yes\n StrictHostKeyChecking no\n \
                 UserKnownHostsFile /dev/null\n LogLevel ERROR\n BatchMode yes\n",
                user.trim()
            ),
        );
        let two = Self { near };
        two.far_configuration("");
        two
    }

    /// The user's configuration at the far end, where nobody can log in.
    fn far_configuration(&self, more: &str) {
        let world = &self.near.world;
        world.write(
            "far/.gitconfig",
            format!(
                "[user]\n name = Alice\n email = {ALICE}\n[init]\n defaultBranch = main\n[commit]\n gpgSign = true\n\
                 [gpg]\n format = x509\n[gpg \"x509\"]\n program = {PROGRAM}\n\
                 [countersign]\n instance = sandbox\n login = none\n\
                 [countersign \"sandbox\"]\n trustedRoot = {}\n signingConfig = {}\n{more}",
                world.path("authority/trusted_root.json").display(),
                world.path("authority/signing_config.json").display(),
            ),
        );
    }

    /// `agent forward` to the far end, with `options`, running `script` there.
    fn forward(&self, options: &[&str], script: &str) -> Run<'_> {
        let config = self.near.world.path("ssh_config");
        let mut arguments = vec!["agent", "forward", "-F", config.to_str().unwrap()];
        arguments.extend(options);
        arguments.extend(["far", script]);
        self.near.world.countersign(&arguments)
    }

    fn near_socket(&self, number: u32) -> PathBuf {
        self.near.folder().join(format!("restricted-{number}.sock"))
    }

    /// Asks on the socket for others as whoever is at its far end may.
    fn ask(&self, number: u32, request: &Request, payload: &[u8]) -> Answer {
        ask(&self.near_socket(number), request, payload)
    }
}

fn ask(socket: &Path, request: &Request, payload: &[u8]) -> Answer {
    let client = Client::connect(&Place::at(socket).unwrap()).unwrap();
    client.ask_afar(request, payload).unwrap().0
}

/// Has the program sign what is on standard input, and hides the signature: old versions of git keep to themselves
/// what it says.
const SIGN: &str = "countersign --status-fd=2 -bsau key >/dev/null";

/// Commits `count` times in the folder `r` of the home, and says what git says.
fn commits(count: usize) -> String {
    format!(
        "cd; git init -q r; cd r; for i in $(seq {count}); do git commit -q --allow-empty -m $i || exit 7; done"
    )
}

#[test]
fn a_session_elsewhere_signs_with_the_login_here_and_ends_with_all_that_it_had() {
    if missing("a_session_elsewhere_signs_with_the_login_here_and_ends_with_all_that_it_had") {
        return;
    }
    let two = Two::new();
    two.near.world.countersign(&["login"]).any_stdout().check();
    let script = format!(
        "countersign agent status --json >$HOME/status || exit 9; countersign agent status; {}; countersign doctor --offline",
        commits(3)
    );
    let said = two.forward(&["--signatures", "3"], &script).any_stdout().any_stderr().any_status().check();
    let text = two.near.world.redact(&said.text());
    let expected = "no agent is running\none is forwarded to here with 'sandbox' until [TIME]; \
                    signatures: 0, and 3 more\n";
    assert!(text.starts_with(expected), "{text}\n{}", said.words());
    assert!(text.contains("one is forwarded to here, for 0 signatures more with 'sandbox' until"), "{text}");
    assert!(text.contains("forward it again with 'countersign agent forward'"), "{text}");
    let status = fs::read_to_string(two.near.world.path("far/status")).unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["running"], &status["forwarded"]["left"]), (&false.into(), &3.into()), "{status}");
    let repository = Repository::at(&two.near.world, &two.near.world.path("far/r"));
    assert_eq!(certificates(&repository, 3), 1);
    assert_eq!(two.near.logins(), 1);
    eventually("it is over with the session", || two.near.status()["forwards"] == serde_json::json!([]));
    let status = two.near.status();
    let signed = status["signed"].as_array().unwrap();
    assert!(signed.len() == 3 && signed.iter().all(|record| record["host"] == "far"), "{status}");
    assert!(!two.near_socket(1).exists());
    // What a session leaves behind is in nobody's way.
    let again = two.forward(&[], "countersign agent status; ls $XDG_RUNTIME_DIR/countersign").any_status();
    let said = again.any_stdout().check().text();
    assert!(said.contains("one is forwarded to here") && said.ends_with("\nforwarded-0.sock\n"), "{said}");
}

#[test]
fn no_more_signatures_than_were_allowed_and_no_login() {
    if missing("no_more_signatures_than_were_allowed_and_no_login") {
        return;
    }
    let two = Two::new();
    // Nobody has logged in here yet, and nobody there can have that done.
    let said = two.forward(&[], SIGN).input(PAYLOAD).status(3).any_stderr().check().words();
    assert!(said.contains("error: there is no identity token, and nobody to ask for one"), "{said}");
    assert!(
        said.contains("hint: run 'countersign login' on the machine from which it is forwarded"),
        "{said}"
    );
    assert_eq!(two.near.logins(), 0);
    two.near.world.countersign(&["login"]).any_stdout().check();
    let script = format!("{} && {SIGN}", commits(2));
    let said = two.forward(&["--signatures", "2"], &script).input(PAYLOAD);
    let said = said.status(3).any_stderr().check().words();
    assert!(
        said.contains("it was forwarded for a number of signatures, and they have been asked for"),
        "{said}"
    );
    assert_eq!((two.near.logins(), two.near.world.log_size()), (1, 2));
    // The committer is compared here, whatever the other machine says.
    two.near.world.configure("[countersign]\n matchCommitter = true");
    let bob = PAYLOAD.replace("committer Alice <alice@", "committer Bob <bob@");
    let said = two.forward(&[], SIGN).input(bob).status(3).any_stderr().check().words();
    assert!(
        said.contains("the login is for 'alice@example.com', and the committer is 'bob@example.com'"),
        "{said}"
    );
    assert_eq!(two.near.world.log_size(), 2);
}

#[test]
fn each_signature_is_asked_for_where_that_is_wanted() {
    if missing("each_signature_is_asked_for_where_that_is_wanted") {
        return;
    }
    let two = Two::new();
    let world = &two.near.world;
    world.countersign(&["login"]).any_stdout().check();
    let git = world.run("bash", &["-c", "command -v git"]).any_stdout().check().text();
    fs::create_dir(world.path("only-git")).unwrap();
    std::os::unix::fs::symlink(git.trim(), world.path("only-git/git")).unwrap();
    let none = two.forward(&["--ask"], "true").env("PATH", world.path("only-git")).status(3);
    none.stderr_holds(&["error: there is no way to ask", "hint: "]).check();
    // What lies where this runs asks nobody, however it is named.
    for name in ["ssh-askpass", "ssh"] {
        let trap = world.write(name, format!("#!/bin/sh\ntouch {}\n", world.path("trapped").display()));
        fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!(".::{}", world.path("only-git").display());
    let none = two.forward(&["--ask"], "true").env("PATH", &path).status(3);
    none.stderr_holds(&["error: there is no way to ask"]).check();
    for named in ["./ssh-askpass", "x/../ssh-askpass", "ssh-askpass"] {
        let none = two.forward(&["--ask"], "true").env("PATH", &path).env("SSH_ASKPASS", named).status(3);
        none.stderr_holds(&["in 'SSH_ASKPASS' is no program to ask with", "hint: "]).check();
    }
    two.forward(&[], "true").env("PATH", &path).status(3).stderr_holds(&["ssh cannot be run"]).check();
    assert!(!world.path("trapped").exists());
    let folder = world.path("");
    let asks = world.write(
        "ask-pass",
        format!(
            "#!/bin/sh\nprintf '%s %s\\n' \"$SSH_ASKPASS_PROMPT\" \"$1\" >>{0}/asked\ntest -e {0}/yes\n",
            folder.display()
        ),
    );
    fs::set_permissions(&asks, fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(&format!("[countersign]\n askPass = {}", asks.display()));
    let said = two.forward(&["--ask"], SIGN).input(PAYLOAD).status(3).any_stderr().check().words();
    assert!(
        said.contains("error: the forwarded agent does not sign: the user was asked, and said no"),
        "{said}"
    );
    assert_eq!(world.log_size(), 0);
    world.write("yes", "");
    two.forward(
        &["--ask"],
        "cd; git init -q r; cd r; git commit -q --allow-empty -m \"$(printf 'a\\033]0;title')\"",
    )
    .any_stderr()
    .check();
    assert_eq!(world.log_size(), 1);
    let asked = fs::read_to_string(world.path("asked")).unwrap();
    assert_eq!(asked.matches("confirm 'far' asks for a signature of the commit ").count(), 2, "{asked}");
    assert!(asked.contains(" by 'alice@example.com': message\n"), "{asked}");
    assert!(asked.contains("': a\\u{1b}]0;title"), "what moves a cursor is shown: {asked}");
}

#[test]
fn whoever_is_at_the_far_end_gets_signatures_and_nothing_else() {
    if missing("whoever_is_at_the_far_end_gets_signatures_and_nothing_else") {
        return;
    }
    let two = Two::new();
    let world = &two.near.world;
    world.countersign(&["login"]).any_stdout().check();
    let mut session = two.forward(&["--signatures", "4"], "sleep 100").start();
    eventually("the socket is there", || two.near_socket(1).exists());
    let mode = fs::metadata(two.near_socket(1)).unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    for request in [Request::Status {}, Request::Lock { logout: true }, Request::Stop {}] {
        let answer = two.ask(1, &request, b"");
        assert!(matches!(answer, Answer::Refused { cause: Cause::Restricted, .. }), "{answer:?}");
    }
    let sign = |instance: &str, demands| Request::SignAfar { instance: instance.to_owned(), demands };
    let plain = || sign("sandbox", Demands::default());
    for payload in [&[7; 32][..], b"", b"anything", &PAYLOAD.as_bytes()[..60]] {
        let answer = two.ask(1, &plain(), payload);
        assert!(matches!(answer, Answer::Refused { cause: Cause::Payload, .. }), "{answer:?}");
    }
    // What the user has to look at nobody there has them sign, nor is it held to be a commit of theirs.
    let statement = Statement {
        repository: "example.com/project".to_owned(),
        reference: "refs/heads/main".to_owned(),
        base: None,
        tree: Some("4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap()),
    };
    let approval = two.ask(1, &plain(), &statement.to_be_signed(HashKind::Sha1));
    assert!(matches!(approval, Answer::Refused { cause: Cause::Restricted, .. }), "{approval:?}");
    let other = two.ask(1, &sign("other", Demands::default()), PAYLOAD.as_bytes());
    assert!(matches!(other, Answer::Refused { cause: Cause::NoKey, .. }), "{other:?}");
    let somebody = Demands { identity: Some("bob@example.com".to_owned()), committer: false };
    let somebody = two.ask(1, &sign("sandbox", somebody), PAYLOAD.as_bytes());
    assert!(matches!(somebody, Answer::Refused { cause: Cause::Identity, .. }), "{somebody:?}");
    // Nonsense, silence, and more connections than are served.
    let connect = || UnixStream::connect(two.near_socket(1)).unwrap();
    connect().write_all(&[0xff; 64]).unwrap();
    connect().write_all(&[0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff]).unwrap();
    let silent: Vec<UnixStream> = (0..40).map(|_| connect()).collect();
    drop(silent);
    thread::sleep(Duration::from_millis(600));
    assert_eq!(world.log_size(), 0);
    let Answer::Terms(terms) = two.ask(1, &Request::Terms {}, b"") else { panic!() };
    assert_eq!((terms.left, terms.made), (4, 0));
    // At once there are no more than one after the other.
    let socket = two.near_socket(1);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let asked: Vec<_> =
            (0..7).map(|_| scope.spawn(|| ask(&socket, &plain(), PAYLOAD.as_bytes()))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let signed = answers.iter().filter(|answer| matches!(answer, Answer::Signed { .. })).count();
    assert_eq!(signed, 4, "{answers:?}");
    assert_eq!((world.log_size(), two.near.logins()), (4, 1));
    session.kill().unwrap();
    session.wait().unwrap();
    eventually("it is gone with whoever forwarded it", || !two.near_socket(1).exists());
    assert_eq!(two.near.status()["logins"].as_array().unwrap().len(), 1, "the login is kept");
}

#[test]
fn what_the_far_end_says_of_itself_reaches_no_command_line() {
    if missing("what_the_far_end_says_of_itself_reaches_no_command_line") {
        return;
    }
    let two = Two::new();
    let world = &two.near.world;
    fs::remove_file(world.path("bin/countersign")).unwrap();
    for said in ["8080:localhost:22", "/tmp/x:localhost:22", "-oProxyCommand=touch /tmp/evil", "", "relative"]
    {
        let script = world.write("bin/countersign", format!("#!/bin/sh\necho '{said}'\n"));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let run = two.forward(&[], "true").status(3);
        run.stderr_holds(&["is no path for the other machine's socket that ssh can be given", "hint: "])
            .check();
    }
    fs::write(world.path("bin/countersign"), "#!/bin/sh\nyes\n").unwrap();
    let run = two.forward(&[], "true").status(3);
    run.stderr_holds(&["error: 'far' does not say where the socket belongs: its answer is too long"]).check();
    fs::remove_file(world.path("bin/countersign")).unwrap();
    let run = two.forward(&[], "true").status(3);
    run.stderr_holds(&["error: 'far' does not say where the socket belongs", "hint: "]).check();
    for host in ["-oProxyCommand=touch /tmp/evil", ""] {
        let run = world.countersign(&["agent", "forward", "--", host]).status(3);
        run.stderr_holds(&["is no machine"]).check();
    }
}

/// Something that was forwarded to this machine, which takes one request and says `answer`; the request.
fn impostor(socket: PathBuf, answer: &'static [u8]) -> thread::JoinHandle<Vec<u8>> {
    signing_impostor(socket, answer, Vec::new())
}

/// [`impostor`] that has something to hand over with its answer.
fn signing_impostor(socket: PathBuf, answer: &'static [u8], body: Vec<u8>) -> thread::JoinHandle<Vec<u8>> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut prefix = [0; 8];
        stream.read_exact(&mut prefix).unwrap();
        let half = |at: usize| u32::from_be_bytes(prefix[at..at + 4].try_into().unwrap()) as usize;
        let mut rest = vec![0; half(0) + half(4)];
        stream.read_exact(&mut rest).unwrap();
        let mut bytes = u32::try_from(answer.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(answer);
        bytes.extend(body);
        stream.write_all(&bytes).unwrap();
        // What is sent in answer to that, if anything is.
        let _ = stream.read_to_end(&mut rest);
        drop(listener);
        fs::remove_file(socket).unwrap();
        rest
    })
}

#[test]
fn a_hostile_agent_that_is_forwarded_to_here_learns_nothing_and_is_not_believed() {
    if skipped("a_hostile_agent_that_is_forwarded_to_here", "bash") {
        return;
    }
    let machine = Machine::new();
    let forwarded = machine.folder().join("forwarded-0.sock");
    for answer in [
        // It asks for a login, to be sent its token.
        &br#"{"version":1,"message":{"log-in":{"remaining":null}}}"#[..],
        br#"{"version":2,"message":{}}"#,
        b"nonsense",
    ] {
        let impostor = impostor(forwarded.clone(), answer);
        let words = machine.sign();
        assert!(words.contains("warning: the forwarded agent is passed over: "), "{words}");
        let heard = String::from_utf8_lossy(&impostor.join().unwrap()).into_owned();
        assert!(
            heard.contains("sign-afar") && !heard.contains("eyJ") && !heard.contains("token\":\""),
            "{heard}"
        );
        assert_eq!(machine.logins(), 1, "the login is this machine's own");
    }
    // A signature that it makes up does not verify.
    let holder = br#"{"version":1,"message":{"signed":{"holder":{"issuer":"i","subject":"s","email":null,"not_after":9},"announce":false}}}"#;
    let made_up = impostor(forwarded.clone(), holder);
    let run = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input(PAYLOAD).status(3);
    run.stderr_holds(&["error: the new signature does not verify", "hint: nothing was written"]).check();
    made_up.join().unwrap();
    // One that verifies and is somebody else's is refused, whoever it says that it is of.
    let bobs = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input(PAYLOAD);
    let bobs =
        bobs.env("SIGSTORE_ID_TOKEN", machine.world.token(BOB)).any_stdout().any_stderr().check().stdout;
    let alices = br#"{"version":1,"message":{"signed":{"holder":{"issuer":"i","subject":"s","email":"alice@example.com","not_after":9},"announce":false}}}"#;
    let kept = fs::read(machine.world.path("home/.gitconfig")).unwrap();
    for (demand, words) in [
        (
            "identity = alice@example.com",
            "for 'bob@example.com', and 'countersign.identity' is 'alice@example.com'",
        ),
        ("matchCommitter = true", "for 'bob@example.com', and the committer is 'alice@example.com'"),
    ] {
        machine.world.configure(&format!("[countersign]\n {demand}"));
        let impostor = signing_impostor(forwarded.clone(), alices, bobs.clone());
        let run = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input(PAYLOAD).status(3);
        run.stderr_holds(&[words, "hint: "]).check();
        impostor.join().unwrap();
        fs::write(machine.world.path("home/.gitconfig"), &kept).unwrap();
    }
    // A token that is at hand is not even told of.
    let idle = UnixListener::bind(&forwarded).unwrap();
    idle.set_nonblocking(true).unwrap();
    let run = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input(PAYLOAD);
    run.env("SIGSTORE_ID_TOKEN", machine.world.token(ALICE)).any_stdout().any_stderr().check();
    assert!(idle.accept().is_err());
    drop(idle);
    fs::remove_file(&forwarded).unwrap();
    // One that was named and is not there is said to be missing; one that is left over is not.
    machine.world.set("COUNTERSIGN_AGENT_SOCKET", "/nowhere/agent.sock");
    let words = machine.sign();
    assert!(
        words.contains("warning: the forwarded agent at '/nowhere/agent.sock' is passed over"),
        "{words}"
    );
}
