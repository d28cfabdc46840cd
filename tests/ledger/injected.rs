//! The program ended, or told that the disk is full, at each of the system calls by which it changes something:
//! whichever it is, nothing is accepted that the policy refuses, and every update is entered once.
//!
//! strace counts the calls, and does it.

use super::{faults::remove_locks, *};

/// Every call of the program's that may change a file.
const CHANGES: &str = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link,linkat,\
                       ftruncate,chmod,fchmod,fchmodat";

const FAULTS: [&str; 2] = ["signal=KILL", "error=ENOSPC"];

/// More calls than any hook makes for one ref.
const MAXIMUM: usize = 200;

pub fn strace(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|folder| folder.join("strace")).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {test}: strace not found");
        return None;
    }
    let may = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().unwrap().success();
    if !may {
        eprintln!("NOTE: {test}: this machine lets no program be traced");
    }
    found.filter(|_| may)
}

/// Where a program is met: with this fault, at the call of this name with this number.
#[derive(Clone, Copy, Debug)]
struct Point<'a> {
    fault: &'a str,
    call: &'a str,
    number: usize,
}

impl Point<'_> {
    /// Nowhere: the calls are only written down.
    const NOWHERE: Self = Point { fault: "", call: CHANGES, number: 0 };

    /// strace's options.
    fn words(self, world: &World) -> Vec<String> {
        let Self { fault, call, number } = self;
        let log = world.path("strace.log").to_str().unwrap().to_owned();
        let trace = format!("trace={call}");
        let mut words = ["-D", "-f", "-qq", "-o", &log, "-e", &trace].map(str::to_owned).to_vec();
        if number > 0 {
            words.extend(["-e".to_owned(), format!("inject={call}:{fault}:when={number}")]);
        }
        words
    }
}

/// The names of the calls in the log, each once.
fn calls(world: &World) -> Vec<String> {
    std::thread::sleep(std::time::Duration::from_millis(100));
    let log = fs::read_to_string(world.path("strace.log")).unwrap();
    let name = |line: &str| Some(line.split_once('(')?.0.rsplit(' ').next()?.to_owned());
    let mut names: Vec<String> = log.lines().filter_map(name).collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 3, "{log}");
    names
}

/// Whether the program came as far as the fault.
fn was_met(world: &World) -> bool {
    // Its tracer ends after it.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let log = fs::read_to_string(world.path("strace.log")).unwrap_or_default();
    log.contains("killed by SIGKILL") || log.contains("(INJECTED)")
}

/// Let every hook run through a script, which meets the one that is named with a fault.
fn let_hooks_meet(world: &World, strace: &Path, hook: &str, point: Point<'_>) {
    let words: Vec<String> = point.words(world).iter().map(|word| format!("'{word}'")).collect();
    let text = format!(
        "#!/bin/sh\n[ \"$2\" = {hook} ] || exec '{PROGRAM}' \"$@\"\nexec '{}' {} '{PROGRAM}' \"$@\"\n",
        strace.display(),
        words.join(" ")
    );
    write_hook(&world.path("program"), &text);
}

#[test]
fn whatever_befalls_the_judging_nothing_is_accepted_that_is_not_entered() {
    let Some(strace) = strace("ledger::injected::judging") else { return };
    let world = World::without_hooks(&[]);
    let_hooks_meet(&world, &strace, "pre-receive", Point::NOWHERE);
    world.install(&["--program", world.path("program").to_str().unwrap()]).good();
    let mut last = world.commit(&[], "begin");
    world.push(&[&format!("{last}:refs/heads/main")]).good();
    let (mut accepted, mut met) = (1, 0);
    for call in calls(&world) {
        for (fault, number) in FAULTS.into_iter().flat_map(|fault| (1..MAXIMUM).map(move |n| (fault, n))) {
            let point = Point { fault, call: &call, number };
            if fault == FAULTS[1] && number > met {
                break;
            }
            let next = world.commit(&[&last], &format!("{point:?}"));
            let_hooks_meet(&world, &strace, "pre-receive", point);
            let pushed = world.push(&[&format!("{next}:refs/heads/main")]);
            let is_met = was_met(&world);
            if fault == FAULTS[0] {
                assert_eq!(is_met, pushed.status != 0, "{point:?}: {pushed:?}");
                met = number - usize::from(!is_met);
            }
            let is_moved = world.at("refs/heads/main") == next;
            assert_eq!(is_moved, pushed.status == 0, "{point:?}: {pushed:?}");
            if is_moved {
                accepted += 1;
                last = next;
            }
            // What was accepted is entered, and what was not is no more.
            world.ledger(&["settle"]).good();
            assert_eq!(world.entries().len(), accepted, "{point:?}: {pushed:?}");
            if !is_met {
                break;
            }
            // What the policy refuses is so in any case.
            if number == 1 {
                world.push(&[&format!("{last}:refs/tags/v")]).refused(&[]);
                assert_eq!(world.at("refs/tags/v"), "");
            }
        }
    }
    world.ledger(&["verify"]).ended(0, &["every ref is as the ledger says"]);
    world.on_server(&["fsck", "--strict"]).good();
}

/// A server whose last push is accepted and not entered yet, kept aside, to be begun with again and again.
struct Left {
    world: World,
    one: String,
    two: String,
}

impl Left {
    fn new() -> Self {
        let world = World::with(&[], &["--hooks", "pre-receive"]);
        let one = world.commit(&[], "one");
        let two = world.commit(&[&one], "two");
        world.push(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/gone")]).good();
        world.ledger(&["settle"]).good();
        world
            .push(&[&format!("{two}:refs/heads/main"), ":refs/heads/gone", &format!("{two}:refs/heads/new")])
            .good();
        fs::rename(&world.server, world.path("aside")).unwrap();
        Self { world, one, two }
    }

    fn again(&self) {
        let _ = fs::remove_dir_all(&self.world.server);
        let copy = self.world.command("cp", &["-a", "aside", "server.git"]);
        run(copy, b"").good();
    }

    fn lines(&self) -> String {
        let Self { one, two, .. } = self;
        format!("{one} {ZERO} refs/heads/gone\n{one} {two} refs/heads/main\n{ZERO} {two} refs/heads/new\n")
    }

    #[track_caller]
    fn is_entered_once(&self) {
        remove_locks(&self.world.server.join("refs"));
        self.world.ledger(&["settle"]).good();
        assert_eq!(
            self.world.entries(),
            [
                "1 push refs/heads/main",
                "2 push refs/heads/gone",
                "3 push refs/heads/gone",
                "4 push refs/heads/main",
                "5 push refs/heads/new",
            ]
        );
        self.world.ledger(&["verify"]).ended(0, &["every ref is as the ledger says"]);
        assert_eq!(self.world.intents(), Vec::<String>::new());
    }
}

/// Meet `countersign <arguments>` with `fault` at every call, one after the other.
fn at_every_call(left: &Left, strace: &Path, fault: &str, arguments: &[&str], input: &str) {
    let run_at = |point: Point<'_>| {
        left.again();
        let options = point.words(&left.world);
        let words: Vec<&str> =
            options.iter().map(String::as_str).chain([PROGRAM]).chain(arguments.iter().copied()).collect();
        run(left.world.command(strace.to_str().unwrap(), &words), input.as_bytes())
    };
    run_at(Point::NOWHERE).good();
    let mut met = 0;
    for call in calls(&left.world) {
        for number in 1..MAXIMUM {
            let point = Point { fault, call: &call, number };
            let said = run_at(point);
            if !was_met(&left.world) {
                assert_eq!(said.status, 0, "{point:?}: {said:?}");
                break;
            }
            met += 1;
            left.is_entered_once();
        }
    }
    assert!(met > 10, "{fault}: only {met} calls");
}

#[test]
fn whatever_befalls_the_settling_every_update_is_entered_once() {
    let Some(strace) = strace("ledger::injected::settling") else { return };
    let left = Left::new();
    for fault in FAULTS {
        at_every_call(&left, &strace, fault, &["ledger", "settle", "--repository", "server.git"], "");
    }
}

#[test]
fn whatever_befalls_the_hooks_that_settle_every_update_is_entered_once() {
    let Some(strace) = strace("ledger::injected::hooks") else { return };
    let left = Left::new();
    for hook in ["reference-transaction", "post-receive"] {
        let arguments = ["hook", hook, "--repository", "server.git", "--state", "server.git/countersign"];
        at_every_call(&left, &strace, "signal=KILL", &arguments, &left.lines());
    }
}
