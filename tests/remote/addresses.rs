//! Addresses through real git: what is handed on, and what git's own rules still refuse.

use super::{RULES, address, author, clone, served, stage, unsigned, upload};

#[test]
fn hostile_addresses_start_nothing() {
    let world = stage(RULES);
    let touched = world.path("touched");
    for (url, words) in [
        (format!("verified::ext::touch {}", touched.display()), "the address names another remote helper"),
        ("verified::verified::/x".to_owned(), "the address names another remote helper"),
        (
            format!("verified::ssh://-oProxyCommand=touch${{IFS}}{}/x", touched.display()),
            "no plain address does",
        ),
        ("verified::ssh://-oProxyCommand=x/y".to_owned(), "begins with '-'"),
        ("verified::http://example.com/x".to_owned(), "'http' is for this machine only"),
        ("verified::../served.git".to_owned(), "write the whole path"),
        ("verified://example.com/x".to_owned(), "is not handed on"),
        ("verified::ftp://example.com/x".to_owned(), "the transport 'ftp' is not handed on"),
    ] {
        let run = world.run("git", &["ls-remote", &url]).status(128).any_stderr().check();
        assert!(run.words().contains(words), "{url}: {}", run.words());
        assert!(!touched.exists(), "{url}");
    }
}

#[test]
fn the_inner_transport_is_held_to_gits_own_rules() {
    let world = stage(RULES);
    let address = address(&world);
    let list = || world.run("git", &["ls-remote", &address]);
    let refused = "fatal: transport 'file' not allowed\n";
    list().env("GIT_ALLOW_PROTOCOL", "verified").status(128).stderr_holds(&[refused]).check();
    list().env("GIT_ALLOW_PROTOCOL", "verified:file").any_stdout().check();
    world
        .run("git", &["-c", "protocol.file.allow=never", "ls-remote", &address])
        .status(128)
        .stderr_holds(&[refused])
        .check();
    let user =
        ["-c", "protocol.file.allow=user", "-c", "protocol.verified.allow=always", "ls-remote", &address];
    world.run("git", &user).env("GIT_PROTOCOL_FROM_USER", "0").status(128).stderr_holds(&[refused]).check();
    world.run("git", &user).any_stdout().check();
}

#[test]
fn instead_of_leads_to_the_helper_once() {
    let world = stage(RULES);
    let plain = world.path("served.git").display().to_string();
    let folder = world.path("").display().to_string();
    // Every plain address under the folder goes through the helper, and the inner one does not again.
    world.configure(&format!("[url \"verified::{folder}\"]\n insteadOf = {folder}"));
    world.run("git", &["clone", "-q", &plain, "ours"]).check();
    unsigned(&author(&world), "unsigned");
    served(&world).git(&["fetch", "-q", "../author", "main:main"]).check();
    let ours = super::Repository::at(&world, &world.path("ours"));
    ours.git(&["fetch", "-q"]).status(128).stderr_holds(&["it is not signed"]).check();
    world
        .run("git", &["ls-remote", &plain])
        .env("COUNTERSIGN_REMOTE_DEPTH", "1")
        .status(128)
        .stderr_holds(&["leads back to this program"])
        .check();
}

#[test]
fn submodules_go_by_the_same_rules() {
    let world = stage(RULES);
    let whole = world.bare("whole.git", "sha1");
    let parent = world.repository("parent", "sha1");
    let add =
        ["-c", "protocol.verified.allow=always", "submodule", "--quiet", "add", &address(&world), "sub"];
    parent.git(&add).check();
    parent.git(&["commit", "-q", "-m", "with a submodule"]).check();
    parent.git(&["push", "-q", whole.path.to_str().unwrap(), "main"]).check();
    let address = format!("verified::{}", whole.path.display());
    let plain = world.run("git", &["clone", "-q", "--recurse-submodules", &address, "refused"]);
    plain.any_status().stderr_holds(&["fatal: transport 'verified' not allowed"]).check();
    let allowed =
        ["-c", "protocol.verified.allow=always", "clone", "-q", "--recurse-submodules", &address, "ours"];
    world.run("git", &allowed).check();
    assert!(world.path("ours/sub/.git").exists());

    // With the helper allowed, its address still opens neither 'ext' nor, by git's default, paths.
    let touched = world.path("touched");
    for url in [
        format!("verified::ext::touch {}", touched.display()),
        format!("verified::{}", world.path("served.git").display()),
    ] {
        parent.git(&["config", "-f", ".gitmodules", "submodule.sub.url", &url]).check();
        parent.git(&["commit", "-q", "-am", "another address"]).check();
        parent.git(&["push", "-q", whole.path.to_str().unwrap(), "main"]).check();
        let name = format!("h{}", url.len());
        let strict = ["-c", "protocol.verified.allow=always", "-c", "protocol.file.allow=user"];
        let run = [&strict[..], &["clone", "-q", "--recurse-submodules", &address, &name]].concat();
        let run = world.run("git", &run).any_status().any_stderr().check();
        assert_ne!(run.status, 0, "{url}");
        assert!(!touched.exists() && !world.path(&name).join("sub/.git/HEAD").exists());
    }
    drop(clone(&world, "plain"));
    upload(&author(&world), &["main"]);
}
