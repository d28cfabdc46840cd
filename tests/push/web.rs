//! Signed pushes to servers on loopback.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::servers;

use super::{PROGRAM, REQUIRED, Stage, accepted, refused, support::World};

/// `git daemon` over the world's folder; the address of the server's repository.
fn daemon(world: &World) -> (servers::Running, String) {
    let (running, address) = servers::daemon(world);
    (running, address + "/server.git")
}

/// The same of a web server that lets `user` in.
fn web(world: &World, user: &'static str) -> String {
    servers::web(world, user) + "/server.git"
}

/// Lets each signature take more than a second.
fn sign_slowly(world: &World) {
    let path = world.write("slow", format!("#!/bin/sh\nsleep 1.2\nexec '{PROGRAM}' \"$@\"\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    world.configure(&format!("[gpg \"x509\"]\n program = {}", path.display()));
}

#[test]
fn over_git_daemon() {
    let stage = Stage::new(REQUIRED);
    let (_running, address) = daemon(&stage.world);
    stage.commit("first");
    refused(&stage.push_to(&address, &["main"]), &["the push is not signed"]);
    refused(
        &stage.push_to(&address, &["--signed", "main"]),
        &["it is for 'git://127.0.0.1:", "which is no address of this server"],
    );
    stage.install(&["--address", &address]);
    // However long the signer takes: the server that has given out the nonce waits for it.
    sign_slowly(&stage.world);
    accepted(&stage.push_to(&address, &["--signed", "main", "main:topic"]));
    accepted(&stage.push_to(&address, &["--signed", ":topic"]));
}

#[test]
fn over_http_the_nonce_may_be_as_old_as_the_server_says() {
    let stage = Stage::new(REQUIRED);
    let address = web(&stage.world, "somebody");
    let with_user = address.replace("http://", "http://alice:secret@");
    stage.install(&["--address", &format!("{with_user}/")]);
    stage.commit("first");
    refused(&stage.push_to(&address, &["main"]), &["the push is not signed"]);
    sign_slowly(&stage.world);
    refused(
        &stage.push_to(&address, &["--signed", "main"]),
        &["its nonce came back after ", "'receive.certNonceSlop'"],
    );
    stage.server().git(&["config", "receive.certNonceSlop", "60"]).check();
    accepted(&stage.push_to(&address, &["--signed", "main", "main:topic"]));
    accepted(&stage.push_to(&with_user, &["--signed", ":topic"]));
}

#[test]
fn a_web_server_that_asks_for_a_password_says_who_pushes() {
    let stage = Stage::with("pushers = [\"alice\"]\n", "sha1", &["--forge", "http=git.example.com"], "");
    stage.commit("first");
    accepted(&stage.push_to(&web(&stage.world, "alice"), &["main"]));
    refused(
        &stage.push_to(&web(&stage.world, "bob"), &["main:topic"]),
        &["pushed by 'bob' at 'git.example.com' ('bob'), where only 'alice' may"],
    );
    // Whoever comes another way may bring the variable along.
    let run = stage.work().git(&["push", "-q", &stage.path(), "main:topic"]).env("REMOTE_USER", "alice");
    refused(&run.any_stderr().any_status().check(), &["nothing says who pushes"]);
}
