//! What outlives a certificate: the next login comes in time, and the old key signs while there is none.

use std::{sync::Arc, thread, time::Duration};

use crate::{
    machine::{Behind, Machine, certificates},
    support::{ALICE, skipped},
};

#[test]
fn a_key_that_has_ended_is_followed_by_another_login() {
    if skipped("a_key_that_has_ended_is_followed_by_another_login", "bash") {
        return;
    }
    // Forty seconds, of which the last thirty-five are too late to begin a signature.
    let machine = Machine::with_clock(Arc::new(Behind(557)));
    let repository = machine.world.repository("r", "sha1");
    repository.commit("first");
    thread::sleep(Duration::from_secs(9));
    assert_eq!(machine.status()["logins"], serde_json::json!([]));
    repository.commit("second");
    assert_eq!(machine.logins(), 2);
    assert_eq!(certificates(&repository, 2), 2);
}

#[test]
fn a_run_is_asked_before_its_key_ends_and_never_fails() {
    if skipped("a_run_is_asked_before_its_key_ends_and_never_fails", "bash") {
        return;
    }
    let machine = Machine::with_clock(Arc::new(Behind(470)));
    let repository = machine.world.repository("r", "sha1");
    let words = machine.sign();
    assert!(words.contains("warning: this machine's clock is 47"), "{words}");
    assert!(words.contains(" seconds ahead of the one that proves the time\nhint: set it right"), "{words}");
    machine.world.countersign(&["logout"]).any_stdout().check();
    for number in 0..8 {
        repository.commit(&format!("commit {number}"));
    }
    assert_eq!(machine.logins(), 3, "the fifth in a row is asked");
    assert_eq!(certificates(&repository, 8), 2);
    // A no is no failure as long as the old key can sign, and nobody is asked twice.
    machine.browser("deny", "");
    for number in 0..6 {
        repository.commit(&format!("commit {number}"));
    }
    assert_eq!(machine.logins(), 4);
    assert_eq!(certificates(&repository, 6), 1);
}

#[test]
fn a_token_at_hand_renews_by_itself() {
    if skipped("a_token_at_hand_renews_by_itself", "bash") {
        return;
    }
    let machine = Machine::with_clock(Arc::new(Behind(520)));
    machine.world.configure("[countersign]\n agent = always");
    let token = machine.world.path("token");
    machine.world.configure(&format!("[countersign]\n tokenFile = {}", token.display()));
    machine.world.write("token", machine.world.token(ALICE));
    let repository = machine.world.repository("r", "sha1");
    repository.commit("first");
    repository.commit("second");
    assert_eq!(certificates(&repository, 2), 2, "the first key ends within the minute");
    assert_eq!(machine.logins(), 0);
    machine.world.write("token", "no token");
    let run = repository.countersign(&["--status-fd=2", "-bsau", "key"]).input(crate::machine::PAYLOAD);
    run.status(3).stderr_holds(&["error: this is not an identity token"]).check();
}
