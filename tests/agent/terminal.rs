//! What a person at the terminal is told while git holds both of the program's outputs.

use std::{sync::Arc, thread, time::Duration};

use crate::{
    machine::{Behind, Machine, certificates, eventually},
    support::skipped,
};

/// Whether there is what a terminal is made with.
fn missing(test: &str) -> bool {
    skipped(test, "bash") || skipped(test, "script")
}

/// Runs `command` at a terminal; what the person sees.
fn at_a_terminal(machine: &Machine, command: &str) -> String {
    let run = machine.world.run("script", &["-qec", command, "/dev/null"]);
    run.directory(&machine.world.path("r")).any_stdout().any_stderr().check().text()
}

#[test]
fn where_no_browser_comes_up_a_device_code_is_shown() {
    if missing("where_no_browser_comes_up_a_device_code_is_shown") {
        return;
    }
    let machine = Machine::new();
    machine.world.configure("[countersign]\n urlOpener = /nowhere/browser");
    let repository = machine.world.repository("r", "sha1");
    let seen = at_a_terminal(&machine, "git commit -q --allow-empty -m message");
    assert!(seen.contains("countersign: log in with your browser within 120 seconds"), "{seen}");
    assert!(seen.contains("countersign: to log in within 300 seconds, go to"), "{seen}");
    assert!(seen.contains("and enter the code "), "{seen}");
    repository.commit("without another login");
    assert_eq!(certificates(&repository, 2), 1);
    // Asked for by name it comes first.
    machine.world.countersign(&["logout"]).any_stdout().check();
    let program = crate::support::PROGRAM;
    let seen = at_a_terminal(&machine, &format!("{program} login --device"));
    assert!(!seen.contains("browser"), "{seen}");
    assert!(
        seen.contains("and enter the code ") && seen.contains("logged in as 'alice@example.com'"),
        "{seen}"
    );
}

#[test]
fn who_waits_and_who_is_asked_again_is_told_so() {
    if missing("who_waits_and_who_is_asked_again_is_told_so") {
        return;
    }
    // The key has four minutes: near enough to its end to be announced to a run of signatures.
    let machine = Machine::with_clock(Arc::new(Behind(360)));
    machine.browser("slow", "2");
    let (other, repository) =
        (machine.world.repository("other", "sha1"), machine.world.repository("r", "sha1"));
    let mut first = other.git(&["commit", "-q", "--allow-empty", "-m", "first"]).start();
    eventually("the first logs in", || machine.logins() == 1);
    thread::sleep(Duration::from_millis(200));
    let seen = at_a_terminal(&machine, "git commit -q --allow-empty -m second");
    assert!(seen.contains("countersign: waiting for the login of process "), "{seen}");
    assert!(seen.contains(", for 300 seconds at most"), "{seen}");
    assert!(first.wait().unwrap().success());
    let commit = "git commit -q --allow-empty -m more";
    let seen = at_a_terminal(&machine, &[commit; 5].join(" && "));
    assert_eq!(seen.matches("countersign: the login ends at ").count(), 1, "{seen}");
    assert!(seen.contains("you will be asked for another one"), "{seen}");
    assert_eq!(machine.logins(), 1);
    assert_eq!(certificates(&repository, 6), 1);
}

#[test]
fn a_run_near_the_end_of_its_key_is_told_why_it_is_asked() {
    if missing("a_run_near_the_end_of_its_key_is_told_why_it_is_asked") {
        return;
    }
    let machine = Machine::with_clock(Arc::new(Behind(470)));
    let repository = machine.world.repository("r", "sha1");
    let commit = "git commit -q --allow-empty -m more";
    let seen = at_a_terminal(&machine, &[commit; 5].join(" && "));
    assert!(seen.contains(" seconds; log in once more, so that signing goes on"), "{seen}");
    assert_eq!(machine.logins(), 2);
    assert_eq!(certificates(&repository, 5), 2);
}
