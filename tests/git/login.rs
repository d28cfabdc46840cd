//! Logging in through a browser while git waits, with a script that plays the browser.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::{ALICE, World, skipped};
use countersign::sandbox::{Identity, Options};

/// A browser that follows redirects, talks on both of its outputs, and keeps what it was given.
pub(super) const BROWSER: &str = r#"#!/bin/bash
echo "Opening in existing browser session."
echo "noise" >&2
url="$1"
echo "$url" >"$(dirname "$0")/opened"
for _ in 1 2 3 4 5; do
  rest="${url#http://}"; host="${rest%%/*}"; path="/${rest#*/}"; port="${host##*:}"
  exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$host" >&3
  url=""
  while IFS= read -r line <&3; do
    line="${line%$'\r'}"
    [ -z "$line" ] && break
    case "$line" in
      [Ll]ocation:\ *) url="${line#*: }" ;;
    esac
  done
  cat <&3 >"$(dirname "$0")/page"
  exec 3>&-
  [ -z "$url" ] && exit 0
done
"#;

/// A world without a token, in which a login in the browser is approved for `ALICE` at once.
fn world() -> World {
    let auto_approve = Some(Identity::Email(ALICE.to_owned()));
    let world = World::with(Options { auto_approve, ..Options::default() });
    world.unset("SIGSTORE_ID_TOKEN");
    let script = world.write("browser", BROWSER);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(&format!(
        "[countersign]\n urlOpener = '{}'\n issuer = {}",
        script.display(),
        world.url()
    ));
    world
}

#[test]
fn gitsign_741_757_a_browser_that_talks_writes_nothing_into_the_signature() {
    if skipped("gitsign_741_757_a_browser_that_talks_writes_nothing_into_the_signature", "bash") {
        return;
    }
    let world = world();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    repository.git(&["tag", "-m", "one", "v1"]).check();
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
    repository.git(&["verify-tag", "v1"]).stderr_holds(&["good signature by 'alice@example.com'"]).check();
    let tag = String::from_utf8(repository.object("tag", "v1")).unwrap();
    assert!(tag.contains("\n\none\n-----BEGIN SIGNED MESSAGE-----\n"), "{tag}");
    let page = fs::read_to_string(world.path("page")).unwrap();
    assert!(page.contains("You signed in as <strong>alice@example.com</strong>"), "{page}");
    let opened = fs::read_to_string(world.path("opened")).unwrap();
    for part in ["response_type=code", "code_challenge_method=S256", "nonce=", "state=", "localhost"] {
        assert!(opened.contains(part), "{part} is not in {opened}");
    }
}

#[test]
fn gitsign_fault_7_no_prompt_reaches_standard_output_or_error() {
    if skipped("gitsign_fault_7_no_prompt_reaches_standard_output_or_error", "bash") {
        return;
    }
    let world = world();
    let run = world.countersign(&["--status-fd=2", "-bsau", "key"]).input("anything");
    let outcome = run.any_stdout().any_stderr().check();
    assert!(outcome.text().starts_with("-----BEGIN SIGNED MESSAGE-----\n"));
    let words = outcome.words();
    let [empty, begin, created] = words.lines().collect::<Vec<_>>()[..] else { panic!("{words}") };
    assert_eq!((empty, begin), ("", "[GNUPG:] BEGIN_SIGNING H8"));
    assert!(created.starts_with("[GNUPG:] SIG_CREATED D "), "{words}");
}

#[test]
fn an_opener_that_is_not_there_ends_the_login_with_a_hint() {
    let world = world();
    world.configure("[countersign]\n urlOpener = /nowhere/browser");
    let repository = world.repository("r", "sha1");
    // With a terminal at hand the person could still open the page; without one it is over.
    let program = crate::support::PROGRAM;
    let script = format!("setsid -w '{program}' --status-fd=2 -bsau key </dev/null");
    if skipped("an_opener_that_is_not_there_ends_the_login_with_a_hint", "setsid") {
        return;
    }
    let run = world.run("sh", &["-c", &script]).directory(&repository.path);
    run.status(3).stderr_holds(&["error: login failed: there is no way to show the login page"]).check();
}
