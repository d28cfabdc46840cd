//! The way to the servers: authorities of one's own, certificates for both sides, proxies, and what is asked twice.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    front::{Fault, Front, HOST, certificates, proxy},
    support::{ALICE, Repository, World, skipped},
};

const PAYLOAD: &[u8] =
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <alice@example.com> 1 +0000\n\
    committer A <alice@example.com> 1 +0000\n\nx\n";
const CERTIFICATE: &str = "/api/v2/signingCert";
const ENTRIES_V1: &str = "/api/v1/log/entries";
const ENTRIES_V2: &str = "/api/v2/log/entries";
const TIMESTAMP: &str = "/api/v1/timestamp";

/// A world with certificates, and a repository; `None` where openssl is missing.
fn world(test: &str) -> Option<World> {
    if skipped(test, "openssl") {
        return None;
    }
    let world = World::new();
    certificates(&world);
    world.repository("r", "sha1");
    Some(world)
}

fn at(world: &World) -> Repository<'_> {
    Repository::at(world, &world.path("r"))
}

/// Sets `countersign.KEY` to the path of a file in the world's folder, for the user.
fn name(world: &World, key: &str, file: &str) {
    let path = world.path(file);
    world.run("git", &["config", "--global", &format!("countersign.{key}"), path.to_str().unwrap()]).check();
}

/// Signing is refused, with each of `parts` said.
#[track_caller]
fn refused(world: &World, parts: &[&str]) {
    let words = at(world).refusal(PAYLOAD);
    for part in parts {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
}

/// Signing succeeds, and what is signed verifies.
#[track_caller]
fn signs(world: &World) {
    at(world).sign(PAYLOAD);
}

#[test]
fn servers_are_vouched_for_by_authorities_that_the_user_names() {
    let Some(world) = world("servers_are_vouched_for_by_authorities_that_the_user_names") else { return };
    Front::plain(&world).publish(&world, "127.0.0.1");
    refused(&world, &["cannot trust the TLS connection to '127.0.0.1'"]);

    // A repository names nobody who may read tokens.
    let repository = at(&world);
    let file = world.path("ca.pem");
    repository.git(&["config", "--local", "countersign.caFile", file.to_str().unwrap()]).check();
    refused(&world, &["cannot trust the TLS connection", "'countersign.cafile' is not heard"]);
    repository.git(&["config", "--local", "--unset", "countersign.caFile"]).check();

    name(&world, "caFile", "ca.pem");
    signs(&world);
    // For one instance alone, and before what is said for all.
    name(&world, "sandbox.caFile", "other-ca.pem");
    refused(&world, &["cannot trust the TLS connection"]);
    name(&world, "sandbox.caFile", "ca.pem");
    name(&world, "caFile", "other-ca.pem");
    signs(&world);

    world
        .run("git", &["config", "--global", "--remove-section", "countersign.sandbox"])
        .any_status()
        .any_stderr()
        .check();
}

#[test]
fn the_systems_variable_names_authorities_too() {
    let Some(world) = world("the_systems_variable_names_authorities_too") else { return };
    Front::plain(&world).publish(&world, "127.0.0.1");
    world.set("SSL_CERT_FILE", world.path("ca.pem").to_str().unwrap());
    signs(&world);
}

#[test]
fn files_that_are_of_no_use_are_said_to_be() {
    let Some(world) = world("files_that_are_of_no_use_are_said_to_be") else { return };
    let front = Front::plain(&world);
    front.publish(&world, "127.0.0.1");
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    world.write("broken.pem", broken);
    world.write("empty.pem", "");
    world.write("big.pem", vec![b'x'; (4 << 20) + 1]);
    for (file, words) in [
        ("nowhere.pem", "cannot be read"),
        ("empty.pem", "there is no certificate in"),
        ("server.key", "there is no certificate in"),
        ("broken.pem", "holds a certificate that cannot be used"),
        ("big.pem", "it is larger than"),
    ] {
        name(&world, "caFile", file);
        refused(&world, &[words, file, "hint: "]);
    }
    name(&world, "caFile", "ca.pem");
    let locked = ["ec", "-aes128", "-passout", "pass:secret", "-in", "client.key", "-out", "locked.key"];
    world.run("openssl", &locked).any_stdout().any_stderr().check();
    let locked = ["pkcs8", "-topk8", "-passout", "pass:secret", "-in", "client.key", "-out", "locked8.key"];
    world.run("openssl", &locked).any_stdout().any_stderr().check();
    name(&world, "clientCertificate", "client.pem");
    refused(&world, &["of client certificate and key only one is configured"]);
    for (file, words) in [
        ("locked.key", "is protected by a passphrase"),
        ("locked8.key", "is protected by a passphrase"),
        ("client.pem", "holds no private key"),
        ("server.key", "is not that of the certificate"),
    ] {
        name(&world, "clientKey", file);
        refused(&world, &[words, file]);
    }
    assert_eq!(front.count(CERTIFICATE), 0, "nobody was asked for anything");
}

#[test]
fn a_server_that_wants_to_know_who_asks_is_told() {
    let Some(world) = world("a_server_that_wants_to_know_who_asks_is_told") else { return };
    let front = Front::new(&world, true, |_, _| Fault::Nothing);
    front.publish(&world, "127.0.0.1");
    name(&world, "caFile", "ca.pem");
    refused(&world, &["127.0.0.1"]);
    name(&world, "clientCertificate", "stranger.pem");
    name(&world, "clientKey", "stranger.key");
    refused(&world, &["127.0.0.1"]);
    assert_eq!(front.count(CERTIFICATE), 0);
    name(&world, "clientCertificate", "client.pem");
    name(&world, "clientKey", "client.key");
    signs(&world);
    assert_eq!((front.count(CERTIFICATE), front.count(ENTRIES_V1)), (1, 1));
    // The timestamp authority, too.
    world.configure("[countersign]\n log = never");
    at(&world).git(&["commit", "-q", "--allow-empty", "-m", "one"]).check();
    assert_eq!(front.count(TIMESTAMP), 1);
    // And the doctor looks the same way.
    let looked = at(&world).countersign(&["doctor"]).any_status().any_stderr().any_stdout().check().text();
    assert!(!looked.contains("cannot trust"), "{looked}");
}

#[test]
fn the_agent_goes_the_same_way_and_notices_a_renewed_certificate() {
    let Some(world) = world("the_agent_goes_the_same_way_and_notices_a_renewed_certificate") else { return };
    fs::create_dir(world.path("run")).unwrap();
    fs::set_permissions(world.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
    world.set("XDG_RUNTIME_DIR", world.path("run").to_str().unwrap());
    let front = Front::new(&world, true, |_, _| Fault::Nothing);
    front.publish(&world, "127.0.0.1");
    name(&world, "caFile", "ca.pem");
    fs::copy(world.path("client.pem"), world.path("mine.pem")).unwrap();
    fs::copy(world.path("client.key"), world.path("mine.key")).unwrap();
    name(&world, "clientCertificate", "mine.pem");
    name(&world, "clientKey", "mine.key");
    world.run("git", &["config", "--global", "countersign.agent", "always"]).check();
    signs(&world);
    signs(&world);
    let status =
        at(&world).countersign(&["agent", "status"]).any_status().any_stdout().any_stderr().check().text();
    assert_eq!(
        (front.count(CERTIFICATE), front.count(ENTRIES_V1)),
        (1, 2),
        "one login, two signatures: {status}"
    );
    fs::copy(world.path("stranger.pem"), world.path("mine.pem")).unwrap();
    fs::copy(world.path("stranger.key"), world.path("mine.key")).unwrap();
    refused(&world, &["127.0.0.1"]);
    at(&world).countersign(&["agent", "stop"]).any_stdout().any_stderr().check();
}

#[test]
fn a_proxy_leads_to_servers_elsewhere() {
    let Some(world) = world("a_proxy_leads_to_servers_elsewhere") else { return };
    let front = Front::plain(&world);
    front.publish(&world, HOST);
    name(&world, "caFile", "ca.pem");
    refused(&world, &[&format!("cannot connect to '{HOST}'")]);
    let (url, asked) = proxy(front.address);
    world.set("HTTPS_PROXY", &url);
    signs(&world);
    {
        let asked = asked.lock().unwrap();
        let line = format!("CONNECT {HOST}:{} HTTP/1.1", front.address.port());
        assert!(!asked.is_empty() && asked.iter().all(|known| *known == line), "{asked:?}");
    }
    // What the proxy has to do with is not what vouches for the server.
    name(&world, "caFile", "other-ca.pem");
    refused(&world, &["cannot trust the TLS connection"]);
    name(&world, "caFile", "ca.pem");
    let before = asked.lock().unwrap().len();
    world.set("NO_PROXY", HOST);
    refused(&world, &[&format!("cannot connect to '{HOST}'")]);
    assert_eq!(asked.lock().unwrap().len(), before, "the proxy was left out");
}

#[test]
fn an_entry_that_was_taken_in_unheard_is_found_again() {
    let Some(world) = world("an_entry_that_was_taken_in_unheard_is_found_again") else { return };
    let front = Front::new(&world, false, |path, before| match (path, before) {
        (ENTRIES_V1, 0) => Fault::Lost,
        _ => Fault::Nothing,
    });
    front.publish(&world, "127.0.0.1");
    name(&world, "caFile", "ca.pem");
    signs(&world);
    assert_eq!((front.count(CERTIFICATE), front.count(ENTRIES_V1), world.log_size()), (1, 2, 1));
}

#[test]
fn what_may_have_been_done_is_not_asked_for_again() {
    let Some(world) = world("what_may_have_been_done_is_not_asked_for_again") else { return };
    name(&world, "caFile", "ca.pem");
    // A second certificate would stand in the CT log for good.
    let front = Front::new(&world, false, |path, _| match path {
        CERTIFICATE => Fault::Lost,
        _ => Fault::Nothing,
    });
    front.publish(&world, "127.0.0.1");
    refused(&world, &["no certificate: ", "hint: nothing was written; try again in a moment"]);
    assert_eq!((front.count(CERTIFICATE), world.log_size()), (1, 0));
    // The second log does not hand out what it holds.
    let front = Front::new(&world, false, |path, _| match path {
        ENTRIES_V2 => Fault::Lost,
        _ => Fault::Nothing,
    });
    front.publish(&world, "127.0.0.1");
    let path = world.path("authority/signing_config.json");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["rekorTlogUrls"][0]["majorApiVersion"] = 2.into();
    fs::write(path, config.to_string()).unwrap();
    refused(&world, &["no log entry: "]);
    assert_eq!(front.count(ENTRIES_V2), 1);
}

#[test]
fn a_server_that_is_busy_is_asked_three_times() {
    let Some(world) = world("a_server_that_is_busy_is_asked_three_times") else { return };
    name(&world, "caFile", "ca.pem");
    world.trust(ALICE);
    let front = Front::new(&world, false, |_, before| if before < 2 { Fault::Busy } else { Fault::Nothing });
    front.publish(&world, "127.0.0.1");
    signs(&world);
    assert_eq!((front.count(CERTIFICATE), front.count(ENTRIES_V1)), (3, 3));
    let front = Front::new(&world, false, |path, _| match path {
        ENTRIES_V1 => Fault::Busy,
        _ => Fault::Nothing,
    });
    front.publish(&world, "127.0.0.1");
    refused(&world, &["no log entry: the server answered 503", "try again in a moment"]);
    assert_eq!(front.count(ENTRIES_V1), 3);
}
