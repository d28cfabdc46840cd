//! Refresh tokens: the agent's own, in a keyring; here one of the test's, for which the agent runs in this process.

use std::{
    any::Any,
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use countersign::{
    agent::server::{self, Options, ServeError},
    identity::{Keyring, Purpose},
};

use keyring_core::{
    Entry,
    api::{Credential, CredentialApi, CredentialStoreApi},
};

use crate::{
    machine::{Behind, Machine, certificates, eventually},
    support::{ALICE, now, skipped},
};

const ENTRY: (&str, &str) = ("countersign", "refresh-tokens");

/// A machine whose authority's clock is so many seconds behind, and its agent in this process.
fn machine(behind: i64) -> (Machine, thread::JoinHandle<Result<(), ServeError>>) {
    let machine = Machine::with_clock(Arc::new(Behind(behind)));
    let place = machine.place();
    let agent = thread::spawn(move || {
        server::serve(&place, None, Options { idle: Duration::from_secs(600), clock: now })
    });
    eventually("the agent listens", || machine.place().socket().exists());
    (machine, agent)
}

#[test]
fn a_rebase_outlives_its_certificate_by_a_refresh_token_and_asks_nobody() {
    if skipped("a_rebase_outlives_its_certificate_by_a_refresh_token_and_asks_nobody", "bash") {
        return;
    }
    keyring_core::set_default_store(keyring_core::mock::Store::new().unwrap());
    // Every certificate ends within the minute and a half in which the next is got.
    let (machine, agent) = machine(520);
    let keyring = Keyring::open().unwrap();
    let purpose = Purpose {
        issuer: machine.world.url().to_owned(),
        client: "sigstore".to_owned(),
        connector: None,
        identity: None,
    };
    let entry = keyring_core::Entry::new(ENTRY.0, ENTRY.1).unwrap();

    // Off unless it is asked for: none is asked of the issuer, none is kept.
    let repository = machine.world.repository("r", "sha1");
    repository.commit("first");
    assert_eq!((machine.logins(), keyring.has(&purpose)), (1, Ok(false)));
    repository.git(&["config", "countersign.refreshToken", "true"]).check();
    machine.world.countersign(&["logout"]).any_stdout().check();
    repository.commit("the repository has no say in it");
    assert_eq!((machine.logins(), keyring.has(&purpose)), (2, Ok(false)));

    machine.world.configure("[countersign]\n refreshToken = true");
    machine.world.countersign(&["logout"]).any_stdout().check();
    repository.commit("with one that is kept");
    assert_eq!((machine.logins(), keyring.has(&purpose)), (3, Ok(true)));
    for number in 0..12 {
        let commit = ["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", &number.to_string()];
        repository.git(&commit).check();
    }
    repository.git(&["rebase", "-q", "--force-rebase", "HEAD~12"]).any_stderr().check();
    assert!(certificates(&repository, 12) > 5, "each has got the next, and each refresh token the next one");
    assert_eq!(machine.logins(), 3, "and nobody was asked");
    // Nothing that leaves the agent says what it is.
    let kept = String::from_utf8(entry.get_secret().unwrap()).unwrap();
    let token = kept.split("\"token\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(token.len() == 64 && !machine.status().to_string().contains(&token), "{kept}");

    // One that the issuer takes no more is forgotten, and the person asked; nothing fails.
    entry.set_secret(kept.replace(&token, "stolen-and-used").as_bytes()).unwrap();
    repository.commit("after it was used elsewhere");
    assert_eq!(machine.logins(), 4);
    assert_eq!(keyring.has(&purpose), Ok(true), "with the next");
    // One that brings somebody else is not used.
    let kept = String::from_utf8(entry.get_secret().unwrap()).unwrap();
    entry.set_secret(kept.replace(ALICE, "bob@example.com").as_bytes()).unwrap();
    repository.commit("by whom it was");
    assert_eq!(machine.logins(), 5);

    machine.world.countersign(&["agent", "lock"]).any_stdout().check();
    assert_eq!(keyring.has(&purpose), Ok(true), "locked is not logged out");
    repository.commit("unlocked by nobody");
    assert_eq!(machine.logins(), 5);
    machine.world.countersign(&["logout"]).any_stdout().check();
    assert_eq!(keyring.has(&purpose), Ok(false));
    repository.commit("by another login");
    assert_eq!(machine.logins(), 6);
    machine.world.countersign(&["agent", "stop"]).any_stdout().check();
    agent.join().unwrap().unwrap();

    // With less than three minutes left a run of signatures would be asked for a login if there were none.
    let (machine, agent) = crate::refresh::machine(440);
    machine.world.configure("[countersign]\n refreshToken = true");
    let repository = machine.world.repository("r", "sha1");
    for number in 0..7 {
        repository.commit(&format!("commit {number}"));
    }
    assert_eq!((machine.logins(), certificates(&repository, 7)), (1, 1));
    machine.world.countersign(&["agent", "stop"]).any_stdout().check();
    agent.join().unwrap().unwrap();

    a_keyring_that_is_locked_stands_in_nobodys_way();
}

/// A keyring that asks its user first, who is not there. The keyring is the process's, so this is part of the test
/// above.
#[derive(Debug)]
struct Locked;

impl Locked {
    fn wait() -> ! {
        loop {
            thread::park();
        }
    }
}

impl CredentialApi for Locked {
    fn set_secret(&self, _: &[u8]) -> keyring_core::Result<()> {
        Self::wait()
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        Self::wait()
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        Self::wait()
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl CredentialStoreApi for Locked {
    fn vendor(&self) -> String {
        "test".to_owned()
    }

    fn id(&self) -> String {
        "locked".to_owned()
    }

    fn build(&self, _: &str, _: &str, _: Option<&HashMap<&str, &str>>) -> keyring_core::Result<Entry> {
        Ok(Entry::new_with_credential(Arc::new(Self)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn a_keyring_that_is_locked_stands_in_nobodys_way() {
    keyring_core::set_default_store(Arc::new(Locked));
    // The keys have four minutes: near enough to their end for the keyring to be asked.
    let (machine, agent) = machine(360);
    machine.world.configure("[countersign]\n refreshToken = true");
    let repository = machine.world.repository("r", "sha1");
    let begun = Instant::now();
    repository.commit("first");
    assert_eq!(machine.logins(), 1, "the person is asked instead");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    // The key is good, and that is all that signing takes.
    let begun = Instant::now();
    for number in 0..3 {
        repository.commit(&format!("commit {number}"));
    }
    assert!(
        machine.status()["keyring"].as_str().unwrap().contains("does not answer"),
        "{}",
        machine.status()
    );
    machine.world.countersign(&["logout"]).stdout("logins forgotten: 1\n").check();
    assert_eq!(machine.status()["logins"], serde_json::json!([]));
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    machine.world.countersign(&["agent", "stop"]).any_stdout().check();
    agent.join().unwrap().unwrap();
}
