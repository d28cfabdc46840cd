//! The login as a person meets it: Debian's Chromium, headless, at the embedded authority's own login page.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{ALICE, BOB, World, skipped};

/// A browser that is told what to do by the Chrome DevTools Protocol, over a pair of pipes.
struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: String,
    last: u64,
    /// What the page's console said.
    console: Vec<String>,
}

impl Browser {
    fn open(world: &World, url: &str) -> Self {
        for pipe in ["to", "from"] {
            world.run("mkfifo", &[world.path(pipe).to_str().unwrap()]).check();
        }
        // The protocol is spoken on descriptors 3 and 4. Whatever happens, it ends.
        let script = "exec timeout 120 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
                      --no-first-run --disable-background-networking --user-data-dir=profile \
                      --remote-debugging-pipe about:blank 3<to 4>from";
        let child = world.run("bash", &["-c", script]).start();
        let to = OpenOptions::new().write(true).open(world.path("to")).unwrap();
        let from = BufReader::new(File::open(world.path("from")).unwrap());
        let mut browser = Self { child, to, from, session: String::new(), last: 0, console: Vec::new() };
        let target = browser.call("Target.createTarget", json!({"url": url}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser.call("Log.enable", json!({}));
        browser
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            assert!(self.from.read_until(0, &mut answer).unwrap() > 0, "the browser has ended");
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["method"] == "Log.entryAdded" {
                self.console.push(answer["params"]["entry"]["text"].as_str().unwrap_or_default().to_owned());
            }
            if answer["id"] == self.last {
                return answer["result"].clone();
            }
        }
    }

    /// Waits until `expression` is true on the page.
    #[track_caller]
    fn wait(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.evaluate(expression) != true {
            assert!(begun.elapsed() < Duration::from_secs(60), "not so in a minute: {expression}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn evaluate(&mut self, expression: &str) -> Value {
        let evaluated =
            self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        evaluated["result"]["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session.clear();
        // It ends by itself where it has not ended already.
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let _ = self.child.wait();
    }
}

/// A world in which the opener leaves the address of the login page in the file `opened`.
fn world() -> World {
    let world = World::new();
    world.unset("SIGSTORE_ID_TOKEN");
    let folder = world.path("");
    let folder = folder.display();
    let script = world.write(
        "opener",
        format!("#!/bin/sh\necho \"$1\" >'{folder}/new'\nmv '{folder}/new' '{folder}/opened'\n"),
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(&format!(
        "[countersign]\n urlOpener = '{}'\n issuer = {}\n identity = {ALICE}\n autocloseTimeout = 1",
        script.display(),
        world.url()
    ));
    world
}

/// The address of the login page, when it has been opened.
fn opened(world: &World) -> String {
    let begun = Instant::now();
    loop {
        if let Ok(url) = fs::read_to_string(world.path("opened")) {
            fs::remove_file(world.path("opened")).unwrap();
            return url.trim().to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no page was opened in a minute");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_person_logs_in_with_a_browser_and_is_told_as_whom() {
    const TEST: &str = "a_person_logs_in_with_a_browser_and_is_told_as_whom";
    if skipped(TEST, "chromium") || skipped(TEST, "bash") || skipped(TEST, "mkfifo") {
        return;
    }
    let world = world();
    let repository = world.repository("r", "sha1");
    let mut commit = repository.git(&["commit", "-q", "--allow-empty", "-m", "first"]).start();
    let mut browser = Browser::open(&world, &opened(&world));
    // The page knows whom the login is expected for.
    browser.wait("document.querySelector('input[name=email]')?.value === 'alice@example.com'");
    browser.evaluate("document.querySelector('button').click()");
    browser.wait("document.title === 'countersign: Signed in'");
    let text = browser.evaluate("document.body.innerText");
    let text = text.as_str().unwrap();
    assert!(text.contains(&format!("You signed in as {ALICE}.")), "{text}");
    assert!(text.contains(&format!("Said by {}.", world.url())), "{text}");
    assert!(commit.wait().unwrap().success());
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
    // Its one script is allowed to run, and nothing else was tried.
    thread::sleep(Duration::from_millis(1200));
    browser.evaluate("1");
    let violations: Vec<_> =
        browser.console.iter().filter(|text| text.contains("Content Security Policy")).collect();
    assert!(violations.is_empty(), "{violations:?}");
    drop(browser);

    // Somebody else may have logged in there: nothing is signed as them, and nothing of them exists.
    for pipe in ["to", "from"] {
        fs::remove_file(world.path(pipe)).unwrap();
    }
    let entries = world.log_size();
    let mut commit = repository.git(&["commit", "-q", "--allow-empty", "-m", "second"]).start();
    let mut browser = Browser::open(&world, &opened(&world));
    browser.wait("document.querySelector('button') !== null");
    browser.evaluate(&format!("document.querySelector('input[name=email]').value = '{BOB}'"));
    browser.evaluate("document.querySelector('button').click()");
    browser.wait("document.title === 'countersign: Signed in'");
    let text = browser.evaluate("document.body.innerText");
    assert!(text.as_str().unwrap().contains(&format!("You signed in as {BOB}.")), "{text}");
    assert!(!commit.wait().unwrap().success());
    assert_eq!(world.log_size(), entries);
}
