//! A repository's own configuration is as hostile as its content: it decides nothing about trust,
//! names no server and runs no program.

use crate::support::{ALICE, BOB, World};

#[test]
fn gitsign_fault_15_a_hostile_repository_changes_nothing_about_verifying() {
    let (world, evil) = (World::new(), World::new());
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let evil_root = world.write("evil.json", evil.authority().authority().trusted_root_json());
    let evil_root = evil_root.display();
    let identity = format!("sandbox {} email {ALICE}", world.url());
    for (key, value) in [
        ("countersign.trustedIdentity", identity.as_str()),
        ("countersign.sandbox.trustedRoot", &evil_root.to_string()),
        ("countersign.public-good.trustedRoot", &evil_root.to_string()),
        ("countersign.evil.trustedRoot", &evil_root.to_string()),
        ("countersign.instance", "evil"),
        ("countersign.policy", "/nowhere/policy.toml"),
    ] {
        repository.git(&["config", key, value]).check();
        let include = format!("{}/included", world.path("r").display());
        std::fs::write(&include, format!("[countersign]\n trustedIdentity = {identity}\n")).unwrap();
        repository.git(&["config", "include.path", &include]).check();
        assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined", "{key}");
        let run = repository.countersign(&["verify", "--verbose"]).status(2).any_stdout();
        let words = run.stderr_holds(&["identities: nobody is named\n"]).check().words();
        assert!(!words.contains("evil"), "{words}");
    }
    // Neither does it make anyone out of whom the user has not named.
    world.trust(BOB);
    assert_eq!(repository.grade("HEAD"), "E|");
    // A signature under the evil root stays unknown.
    world.write("authority/trusted_root.json", evil.authority().authority().trusted_root_json());
    assert_eq!(repository.grade("HEAD"), "E|");
}

#[test]
fn gitsign_fault_15_a_hostile_repository_changes_nothing_about_signing() {
    let (world, evil) = (World::new(), World::new());
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let program = world.write("program", "#!/bin/sh\ntouch \"$0.ran\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let program = program.display().to_string();
    let token = world.write("token", world.token(BOB)).display().to_string();
    let evil_url = evil.url();
    for family in ["gitsign", "countersign"] {
        for (key, value) in [
            ("fulcio", evil_url),
            ("rekor", evil_url),
            ("issuer", evil_url),
            ("urlOpener", &program),
            ("timestampServerURL", evil_url),
            ("clientSecretFile", "/etc/passwd"),
            ("tokenFile", &token),
            ("redirectURL", "http://localhost:1/"),
            ("rekorVersion", "2"),
            ("identity", BOB),
            ("instance", "evil"),
            ("login", "device"),
            ("sandbox.signingConfig", "/nowhere"),
            ("sandbox.trustedRoot", "/nowhere"),
        ] {
            repository.git(&["config", &format!("{family}.{key}"), value]).check();
        }
    }
    let before = evil.requests();
    repository.commit("first");
    assert_eq!(repository.grade("HEAD"), "G|alice@example.com|fully");
    // Without a token there would be a login; its server and its browser are not the repository's to name.
    world.unset("SIGSTORE_ID_TOKEN");
    world.configure("[countersign]\n login = none");
    let words = repository.refusal(b"x");
    assert!(words.contains("there is no identity token, and nobody to ask for one"), "{words}");
    assert_eq!(evil.requests(), before);
    assert!(!world.path("program.ran").exists());
}

#[test]
fn gitsign_240_a_value_with_line_feeds_sets_nothing_else() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let identity = format!("sandbox {} email {ALICE}", world.url());
    for separator in ["\n", "\0", "\r\n"] {
        let value = format!("x{separator}countersign.trustedidentity={identity}");
        let value = value.replace('\0', "\\0");
        // Even in the user's own file: a value is a value.
        repository.git(&["config", "--global", "alias.x", &value]).check();
        let value = format!("x\ncountersign.trustedidentity\n{identity}");
        repository.git(&["config", "--global", "alias.y", &value]).check();
        repository.git(&["config", "alias.z", &value]).check();
    }
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
    repository.countersign(&["verify"]).status(2).any_stdout().any_stderr().check();
}

#[test]
fn gitsign_142_instances_are_sub_sections_with_any_name() {
    let world = World::new();
    let name = "our own.instance";
    let root = world.path("authority/trusted_root.json");
    let config = world.path("authority/signing_config.json");
    world.configure(&format!(
        "[countersign]\n instance = {name}\n[countersign \"{name}\"]\n trustedRoot = {}\n signingConfig = {}\n",
        root.display(),
        config.display()
    ));
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let json = repository.countersign(&["verify", "--json"]).status(2).any_stdout().any_stderr().check();
    assert!(json.text().contains("\"subject\":\"alice@example.com\""), "{}", json.text());
}

#[test]
fn paths_of_the_users_own_configuration_may_begin_with_the_home() {
    let world = World::new();
    world.write("home/root.json", world.authority().authority().trusted_root_json());
    world.configure("[countersign \"sandbox\"]\n trustedRoot = ~/root.json");
    std::fs::remove_file(world.path("authority/trusted_root.json")).unwrap();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
}

#[test]
fn a_relative_path_is_not_looked_for_in_the_repository_at_hand() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    for name in ["policy.toml", "root.json"] {
        std::fs::write(repository.path.join(name), "whatever the repository's owner wants").unwrap();
    }
    for (key, name) in [
        ("countersign.policy", "policy.toml"),
        ("countersign.policy", "~nobody/policy.toml"),
        ("countersign.sandbox.trustedRoot", "root.json"),
        ("countersign.other.trustedRoot", "./root.json"),
    ] {
        let setting = format!("{key}={name}");
        let words = format!("'{key}' is '{name}', which would lead into whatever repository is at hand");
        repository.git(&["-c", &setting, "verify-commit", "HEAD"]).status(1).stderr_holds(&[&words]).check();
        let run = repository.countersign(&["verify"]).env("GIT_CONFIG_COUNT", "1");
        let run = run.env("GIT_CONFIG_KEY_0", key).env("GIT_CONFIG_VALUE_0", name);
        run.status(3).stderr_holds(&[&words]).check();
    }
}

#[test]
fn a_policy_whose_path_is_no_text_is_not_passed_over() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let name = std::ffi::OsStr::from_bytes(b"/nowhere/\xff.toml");
    let run = repository.countersign(&["verify"]).env("GIT_CONFIG_COUNT", "1");
    let run = run.env("GIT_CONFIG_KEY_0", "countersign.policy").env("GIT_CONFIG_VALUE_0", name);
    run.status(3).stderr_holds(&["there is no policy at '/nowhere/"]).check();
}

#[test]
fn the_command_line_of_git_is_the_users_own() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let identity = format!("countersign.trustedIdentity=sandbox {} email {ALICE}", world.url());
    let arguments = ["-c", &identity, "log", "-1", "--format=%G?"];
    repository.git(&arguments).stdout("G\n").any_stderr().check();
}
