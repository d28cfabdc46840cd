//! What the ledger costs a push: how often the program starts, and how often the disk is waited for. Each of those
//! has its reason, and there are no others.

use std::collections::HashMap;

use super::{injected::strace, *};

/// What hooks run.
const GATE: &str = env!("CARGO_BIN_EXE_countersign-gate");

/// How often the program was started in a trace, and each file or folder that it has waited for, in order.
fn started_and_synced(log: &str) -> (usize, Vec<String>) {
    // strace says `<number> <call>(...`; a number belongs to the program from there on that it starts it.
    let mut own: HashMap<&str, bool> = HashMap::new();
    let (mut started, mut synced) = (0, Vec::new());
    for line in log.lines() {
        let (number, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if call.starts_with("execve(") {
            let is_program = [PROGRAM, GATE].iter().any(|own| call.starts_with(&format!("execve(\"{own}\"")));
            started += usize::from(is_program);
            own.insert(number, is_program);
        } else if call.starts_with("fsync(") && own.get(number) == Some(&true) {
            let path = call.split_once('<').unwrap().1.split_once('>').unwrap().0;
            synced.push(path.to_owned());
        }
    }
    (started, synced)
}

/// strace's options.
fn trace(log: &str) -> Vec<&str> {
    vec!["-f", "-qq", "-y", "-s", "4096", "-o", log, "-e", "trace=execve,fsync,fdatasync,sync,syncfs"]
}

#[test]
fn a_push_of_one_commit_starts_the_program_twice_and_waits_for_what_has_to_last() {
    let Some(strace) = strace("ledger::cost::one_commit") else { return };
    let world = World::new();
    let one = world.commit(&[], "one");
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    let log = world.path("strace.log").to_str().unwrap().to_owned();
    let update = format!("{two}:refs/heads/main");
    let push = ["git", "-C", "work", "push", "-q", "../server.git", &update];
    let words = [trace(&log), push.to_vec()].concat();
    run(world.command(strace.to_str().unwrap(), &words), b"").good();
    let (started, synced) = started_and_synced(&fs::read_to_string(&log).unwrap());
    // To judge, and to enter.
    assert_eq!(started, 2);
    let hook = fs::read_to_string(world.server.join("hooks/pre-receive")).unwrap();
    assert!(hook.contains(&format!("program='{GATE}'\n")), "{hook}");
    let server = world.server.canonicalize().unwrap();
    let shown: Vec<&str> =
        synced.iter().map(|path| path.strip_prefix(server.to_str().unwrap()).unwrap()).collect();
    let head = world.at("refs/countersign/ledger");
    let object = format!("/objects/{}/{}", &head[..2], &head[2..]);
    assert!(shown[0].starts_with("/countersign/.tmp"), "{shown:?}");
    assert_eq!(
        shown[1..],
        [
            // The intent has its name, and the push is accepted.
            "/countersign/intents",
            // The record, before anything names it; its folder, and the folder of that, which is new here.
            &object,
            &object[..11],
            "/objects",
            // What the ref will hold, before it does; and that it does, before the intent goes away.
            "/refs/countersign/ledger.own.lock",
            "/refs/countersign",
        ]
    );
    world.is_in_order();
}

#[test]
fn a_certificate_reaches_the_disk_before_an_entry_names_it() {
    let Some(strace) = strace("ledger::cost::certificate") else { return };
    let world = World::with(&[], &["--hooks", "pre-receive"]);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    let hash = world.command("git", &["--git-dir", "server.git", "hash-object", "-w", "--stdin"]);
    let id = run(hash, b"certificate version 0.1\n").good().stdout;
    let intent = world.state().join("intents").join(&world.intents()[0]);
    let text = fs::read_to_string(&intent).unwrap();
    fs::write(&intent, text.replace("\nledger ", &format!("\ncertificate {id}\nledger "))).unwrap();
    let log = world.path("strace.log").to_str().unwrap().to_owned();
    let settle = [PROGRAM, "ledger", "settle", "--repository", "server.git"];
    let words = [trace(&log), settle.to_vec()].concat();
    run(world.command(strace.to_str().unwrap(), &words), b"").good();
    let (_, synced) = started_and_synced(&fs::read_to_string(&log).unwrap());
    let at = |end: &str| synced.iter().position(|path| path.ends_with(end));
    let object = format!("objects/{}/{}", &id[..2], &id[2..]);
    assert!(at(&object).unwrap() < at("refs/countersign/ledger.own.lock").unwrap(), "{synced:?}");
    assert!(at(&object[..10]).unwrap() < at("refs/countersign/ledger.own.lock").unwrap(), "{synced:?}");
    assert_eq!(world.entries(), ["1 push refs/heads/main"]);
}
