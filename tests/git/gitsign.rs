//! A set-up of gitsign's: every setting works, or is refused with what takes its place.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    thread,
    time::{Duration, Instant},
};

use crate::support::{ALICE, Run, World};
use countersign::sandbox::{Identity, Options};

/// How a setting shows.
enum Shows {
    /// The signature is made as without it.
    Signs,
    /// There is none, with these words.
    Words(&'static str),
    /// The login page that was opened has this in its address.
    Opens(&'static str),
    /// The page at the end of the login has this in it, or does not.
    Page(&'static str, bool),
}

use Shows::{Opens, Page, Signs, Words};

const ROOT: &str = "hint: keep the authority's keys as an instance with 'countersign trust add'";

/// Setting, variables, value, and how it shows.
const TABLE: &[(&str, &[&str], &str, Shows)] = &[
    (
        "gitsign.fulcio",
        &["GITSIGN_FULCIO_URL", "SIGSTORE_FULCIO_URL"],
        "http://127.0.0.1:1",
        Words("both 'countersign.fulcio' and 'countersign.rekor'"),
    ),
    (
        "gitsign.fulcioRoot",
        &["GITSIGN_FULCIO_ROOT", "SIGSTORE_FULCIO_ROOT", "SIGSTORE_ROOT_FILE"],
        "/root.pem",
        Words(ROOT),
    ),
    (
        "gitsign.rekor",
        &["GITSIGN_REKOR_URL", "SIGSTORE_REKOR_URL"],
        "http://127.0.0.1:1",
        Words("both 'countersign.fulcio' and 'countersign.rekor'"),
    ),
    ("gitsign.rekorMode", &["GITSIGN_REKOR_MODE"], "offline", Signs),
    ("gitsign.rekorMode", &["GITSIGN_REKOR_MODE"], "online", Signs),
    (
        "gitsign.rekorMode",
        &["GITSIGN_REKOR_MODE"],
        "sideways",
        Words("hint: unset it: the log entry is always embedded"),
    ),
    ("gitsign.rekorVersion", &["GITSIGN_REKOR_VERSION"], "7", Words("there is no Rekor version '7'")),
    ("gitsign.enableSigstoreGo", &["GITSIGN_ENABLE_SIGSTORE_GO"], "true", Signs),
    (
        "gitsign.clientID",
        &["GITSIGN_OIDC_CLIENT_ID", "SIGSTORE_OIDC_CLIENT_ID"],
        "someone",
        Opens("client_id=someone"),
    ),
    (
        "gitsign.clientSecretFile",
        &["GITSIGN_OIDC_CLIENT_SECRET_FILE", "SIGSTORE_OIDC_CLIENT_SECRET_FILE"],
        "/nowhere",
        Words("the client secret '/nowhere' cannot be read"),
    ),
    (
        "gitsign.redirectURL",
        &["GITSIGN_OIDC_REDIRECT_URL", "SIGSTORE_OIDC_REDIRECT_URL"],
        "http://127.0.0.1:0/own",
        Opens("%2Fown"),
    ),
    (
        "gitsign.issuer",
        &["GITSIGN_OIDC_ISSUER", "SIGSTORE_OIDC_ISSUER"],
        "http://127.0.0.1:1",
        Words("login failed: cannot connect to '127.0.0.1'"),
    ),
    (
        "gitsign.connectorID",
        &["GITSIGN_CONNECTOR_ID", "SIGSTORE_CONNECTOR_ID"],
        "https://accounts.google.com",
        Opens("connector_id=https%3A%2F%2Faccounts.google.com"),
    ),
    (
        "gitsign.tokenProvider",
        &["GITSIGN_TOKEN_PROVIDER", "SIGSTORE_TOKEN_PROVIDER"],
        "github-actions",
        Words("GitHub Actions is chosen, and 'ACTIONS_ID_TOKEN_REQUEST_URL' is not set"),
    ),
    (
        "gitsign.tokenProvider",
        &["GITSIGN_TOKEN_PROVIDER"],
        "buildkite-agent",
        Words("Buildkite is chosen, and 'BUILDKITE_AGENT_ACCESS_TOKEN' is not set"),
    ),
    (
        "gitsign.tokenProvider",
        &["GITSIGN_TOKEN_PROVIDER"],
        "filesystem",
        Words("/var/run/sigstore/cosign/oidc-token"),
    ),
    ("gitsign.tokenProvider", &["GITSIGN_TOKEN_PROVIDER"], "interactive", Opens("client_id=sigstore")),
    (
        "gitsign.tokenProvider",
        &["GITSIGN_TOKEN_PROVIDER"],
        "spiffe",
        Words("set 'countersign.ambient' to 'spiffe:PATH'"),
    ),
    (
        "gitsign.tokenProvider",
        &["GITSIGN_TOKEN_PROVIDER"],
        "carrier-pigeon",
        Words("gitsign has no token provider 'carrier-pigeon'"),
    ),
    (
        "gitsign.timestampServerURL",
        &["GITSIGN_TIMESTAMP_SERVER_URL", "SIGSTORE_TIMESTAMP_SERVER_URL"],
        "http://127.0.0.1:1",
        Words("no timestamp: cannot connect"),
    ),
    (
        "gitsign.timestampCertChain",
        &["GITSIGN_TIMESTAMP_CERT_CHAIN", "SIGSTORE_TIMESTAMP_CERT_CHAIN"],
        "/tsa.pem",
        Words(ROOT),
    ),
    (
        "gitsign.matchCommitter",
        &[],
        "true",
        Words("the login is for 'alice@example.com', and the committer is ''"),
    ),
    ("gitsign.autoclose", &["GITSIGN_AUTOCLOSE", "SIGSTORE_AUTOCLOSE"], "false", Page("window.close", false)),
    (
        "gitsign.autoclose",
        &["GITSIGN_AUTOCLOSE", "SIGSTORE_AUTOCLOSE"],
        "true",
        Page("window.close(), 6000", true),
    ),
    (
        "gitsign.autocloseTimeout",
        &["GITSIGN_AUTOCLOSE_TIMEOUT", "SIGSTORE_AUTOCLOSE_TIMEOUT"],
        "17",
        Page("window.close(), 17000", true),
    ),
    (
        "gitsign.urlOpener",
        &["GITSIGN_URL_OPENER"],
        "browser {{.URL.Host}}",
        Words("of templates only '{{.URL}}' is known"),
    ),
    ("", &["GITSIGN_CREDENTIAL_CACHE"], "/nowhere.sock", Signs),
    ("", &["SIGSTORE_REKOR_PUBLIC_KEY", "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE"], "/key.pem", Words(ROOT)),
];

/// A browser that keeps what it was given and logs in; where the file `deny` lies, it says no instead.
const OPENER: &str = r#"#!/bin/bash
folder="$(dirname "$0")"
[ -e "$folder/deny" ] || exec "$folder/approve" "$1"
echo "$1" >"$folder/opened"
parameter() { local value="${url#*[?&]$1=}"; value="${value%%&*}"; printf '%b' "${value//%/\\x}"; }
url="$1" redirect="$(parameter redirect_uri)" state="$(parameter state)"
rest="${redirect#http://}"; host="${rest%%/*}"; port="${host##*:}"
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
printf 'GET /%s?error=access_denied&state=%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' \
  "${rest#*/}" "$state" "$host" >&3
cat <&3 >/dev/null
"#;

/// A world without a token, in which a login in the browser is approved for `ALICE` at once, and whose
/// authority is called by the name of the public one.
fn world() -> World {
    let auto_approve = Some(Identity::Email(ALICE.to_owned()));
    let world = World::with(Options { auto_approve, ..Options::default() });
    world.unset("SIGSTORE_ID_TOKEN");
    let script = world.write("browser", OPENER);
    for script in [&script, &world.write("approve", super::login::BROWSER)] {
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    world.configure(&format!(
        "[countersign]\n instance =\n publish = {ALICE}\n[gitsign]\n urlOpener = '{}'\n issuer = {}\n\
         [countersign \"public-good\"]\n trustedRoot = {}\n signingConfig = {}",
        script.display(),
        world.url(),
        world.path("authority/trusted_root.json").display(),
        world.path("authority/signing_config.json").display(),
    ));
    world
}

fn expect(world: &World, run: Run<'_>, value: &str, shows: &Shows, what: &str) {
    for name in ["deny", "opened", "page"] {
        let _ = fs::remove_file(world.path(name));
    }
    // Of these only the address matters; the authority need not like it.
    if matches!(shows, Opens(_)) {
        world.write("deny", "");
    }
    let run = run.input("tree x").any_stdout().any_stderr().any_status();
    let outcome = run.check();
    let words = world.redact(&outcome.words());
    let read = |name: &str| fs::read_to_string(world.path(name)).unwrap_or_default();
    match shows {
        Signs => assert_eq!(outcome.status, 0, "{what} = {value}: {words}"),
        Words(expected) => {
            assert!(outcome.status == 3 && words.contains(expected), "{what} = {value}: {words}");
        }
        Opens(part) => assert!(read("opened").contains(part), "{what} = {value}: {}", read("opened")),
        Page(part, is_there) => {
            // The browser may still be about to keep it.
            let end = Instant::now() + Duration::from_secs(10);
            while !read("page").contains("</html>") && Instant::now() < end {
                thread::sleep(Duration::from_millis(10));
            }
            let page = read("page");
            assert!(page.contains("You signed in as") && page.contains(part) == *is_there, "{what}: {page}");
        }
    }
}

#[test]
fn every_setting_and_variable_works_or_is_refused_with_what_takes_its_place() {
    if crate::support::skipped("every_setting_and_variable_works", "bash") {
        return;
    }
    let world = world();
    let sign = || world.countersign(&["--status-fd=2", "-bsau", "key"]);
    for (key, variables, value, shows) in TABLE {
        if !key.is_empty() {
            let run = sign().env("GIT_CONFIG_COUNT", "1");
            let run = run.env("GIT_CONFIG_KEY_0", key).env("GIT_CONFIG_VALUE_0", value);
            expect(&world, run, value, shows, key);
        }
        for variable in *variables {
            expect(&world, sign().env(variable, value), value, shows, variable);
        }
    }
    // What takes the place of one that is refused is heard.
    world.write("token", world.token(ALICE));
    let run = sign().env("GITSIGN_TOKEN_PROVIDER", "carrier-pigeon").env("GIT_CONFIG_COUNT", "1");
    let run = run.env("GIT_CONFIG_KEY_0", "countersign.ambient");
    let run = run.env("GIT_CONFIG_VALUE_0", format!("file:{}", world.path("token").display()));
    expect(&world, run, "", &Signs, "instead of gitsign's token provider");
    // Our own word goes before gitsign's, the environment in between.
    let run = sign().env("GIT_CONFIG_COUNT", "2").env("GITSIGN_OIDC_CLIENT_ID", "two");
    let run = run.env("GIT_CONFIG_KEY_0", "gitsign.clientID").env("GIT_CONFIG_VALUE_0", "three");
    let run = run.env("GIT_CONFIG_KEY_1", "countersign.clientID").env("GIT_CONFIG_VALUE_1", "one");
    expect(&world, run, "", &Opens("client_id=one"), "ours");
    let run = sign().env("SIGSTORE_OIDC_CLIENT_ID", "three").env("GITSIGN_OIDC_CLIENT_ID", "two");
    expect(&world, run, "", &Opens("client_id=two"), "gitsign's before Sigstore's");
    // Where the user has an instance with keys of its own, gitsign's files of keys count no more.
    world.configure("[countersign]\n instance = sandbox");
    expect(&world, sign().env("GITSIGN_FULCIO_ROOT", "/root.pem"), "", &Signs, "instance");
}

#[test]
fn both_servers_may_be_gitsigns_and_what_went_wrong_stands_in_its_log() {
    let world = world();
    world.set("SIGSTORE_ID_TOKEN", &world.token(ALICE));
    let repository = world.repository("r", "sha1");
    world.configure(&format!("[gitsign]\n fulcio = {0}\n rekor = {0}", world.url()));
    repository.commit("first");
    for (key, variable) in [("gitsign.logPath", ""), ("countersign.logPath", ""), ("", "GITSIGN_LOG")] {
        let log = world.path(&format!("log-{key}{variable}"));
        let mut run = repository.countersign(&["--status-fd=2", "-bsau", "key"]).input("x");
        run = run.env("GIT_CONFIG_COUNT", "2");
        run = run.env("GIT_CONFIG_KEY_0", "countersign.identity").env("GIT_CONFIG_VALUE_0", "nobody");
        run = run.env("GIT_CONFIG_KEY_1", if key.is_empty() { "a.b" } else { key });
        run = run.env("GIT_CONFIG_VALUE_1", &log);
        if !variable.is_empty() {
            run = run.env(variable, &log);
        }
        let words = run.status(3).any_stderr().check().words();
        assert_eq!(fs::read_to_string(&log).unwrap(), words, "{key}{variable}");
    }
}

#[test]
fn init_takes_a_set_up_over_and_says_so() {
    let world = world();
    let config = "[user]\n name = Alice\n email = alice@example.com\n[gpg]\n format = x509\n\
                  [gpg \"x509\"]\n program = /usr/bin/gitsign\n\
                  [gitsign]\n fulcio = https://fulcio.example\n tokenProvider = device\n\
                  logPath = relative.log\n rekorMode = offline\n fulcioRoot = /root.pem\n connectorID = c\n\
                  [countersign]\n connectorID = mine\n";
    world.write("home/.gitconfig", config);
    world.set("GITSIGN_OIDC_ISSUER", "https://issuer.example");
    let run = world.countersign(&["init"]).any_stdout();
    let expected = "countersign takes the place of '/usr/bin/gitsign'\n\
        took over 'gitsign.fulcio' as 'countersign.fulcio'\n\
        warning: 'gitsign.fulcioRoot' does not work here\n\
        hint: keep the authority's keys as an instance with 'countersign trust add', and set 'countersign.instance'\n\
        'gitsign.rekorMode' is not needed: the log entry is always embedded, and verified without a network\n\
        the variable 'GITSIGN_OIDC_ISSUER' counts as it stands\n\
        warning: 'gitsign.logPath' is not taken over: 'relative.log' would lead into whatever repository is at hand\n\
        hint: set 'countersign.logPath' to the whole path\n\
        'gitsign.connectorID' is not taken over: 'countersign.connectorID' is set already\n\
        took over 'gitsign.tokenProvider' as 'countersign.ambient'\n\
        took over 'gitsign.tokenProvider' as 'countersign.login'\n";
    run.stderr(expected).check();
    for (key, value) in [
        ("countersign.fulcio", "https://fulcio.example"),
        ("countersign.ambient", "none"),
        ("countersign.login", "device"),
        ("countersign.connectorID", "mine"),
        ("gpg.x509.program", crate::support::PROGRAM),
    ] {
        world.run("git", &["config", "--global", key]).stdout(format!("{value}\n")).check();
    }
}
