//! TUF decides whether a new trusted root may take the place of the one in use, and nothing else does.

use std::{fs, time::Duration};

use crate::{
    kept, proven,
    repository::{LATER, OVER, Publication, Tuf},
    signed,
    support::{ALICE, World},
    unname,
};

/// A world with an instance `corp` of its own authority, whose trusted root comes from a repository.
fn corp(world: &World) -> Tuf {
    let tuf = Tuf::new(&root(world));
    let pinned = world.write("pinned.json", tuf.first_root()).display().to_string();
    let arguments = ["trust", "add", "corp", "--tuf-url", &tuf.url, "--tuf-root", &pinned];
    world.countersign(&arguments).stdout_holds(&["corp: added, sha256:"]).check();
    tuf
}

/// The authority's trusted root.
fn root(world: &World) -> String {
    world.authority().authority().trusted_root_json()
}

/// The same trusted root in other bytes.
fn next(world: &World) -> String {
    format!("{}\n", root(world))
}

fn in_use(world: &World) -> String {
    fs::read_to_string(kept(world, "corp/trusted_root.json")).unwrap()
}

/// Updates, which must be refused with `words`, and change nothing.
#[track_caller]
fn refused(world: &World, status: i32, words: &str) {
    let before = in_use(world);
    let run = world.countersign(&["trust", "update", "corp"]).status(status);
    run.stderr_holds(&["error: corp: ", words, "; the trusted root in use stays\nhint: "]).check();
    assert_eq!(in_use(world), before);
    let list = world.countersign(&["trust", "list"]).any_stdout().check().text();
    assert!(list.contains("the last update failed: "), "{list}");
}

#[test]
fn the_first_update_makes_the_instance_count() {
    let world = World::new();
    let repository = signed(&world);
    assert_eq!(proven(&repository), None);
    let tuf = corp(&world);
    assert_eq!(proven(&repository).as_deref(), Some("corp"));
    let requests = tuf.requests();
    assert_eq!(repository.grade("HEAD"), format!("U|{ALICE}|undefined"));
    assert_eq!(tuf.requests(), requests, "verification asks nobody");
    let list = world.countersign(&["trust", "list"]).any_stdout().check().text();
    assert!(list.contains(&format!("updated from '{}', 0 days old", tuf.url)), "{list}");
    world.countersign(&["trust", "update", "corp"]).stdout("corp: unchanged\n").check();
}

#[test]
fn a_chain_of_roots_is_followed() {
    let world = World::new();
    let mut tuf = corp(&world);
    tuf.rotate();
    tuf.rotate();
    tuf.publish(&next(&world), 2);
    world.countersign(&["trust", "update", "corp"]).stdout_holds(&["corp: updated to sha256:"]).check();
    assert_eq!(in_use(&world), next(&world));
    // The chain goes on from where it was, and not only from the pinned root.
    tuf.rotate();
    tuf.publish(&root(&world), 3);
    world.countersign(&["trust", "update", "corp"]).stdout_holds(&["corp: updated to sha256:"]).check();
}

#[test]
fn a_root_that_the_old_key_did_not_sign_is_refused() {
    let world = World::new();
    let mut tuf = corp(&world);
    tuf.usurp();
    tuf.publish(&next(&world), 2);
    refused(&world, 1, "'root' of the repository has 0 valid signatures and needs 1");
}

#[test]
fn a_rollback_is_refused() {
    let world = World::new();
    let tuf = corp(&world);
    let (old_timestamp, first) = (tuf.file("timestamp.json").unwrap(), root(&world));
    tuf.publish(&next(&world), 2);
    world.countersign(&["trust", "update", "corp"]).stdout_holds(&["corp: updated to sha256:"]).check();
    tuf.put("timestamp.json", old_timestamp);
    refused(&world, 1, "the repository goes back: 'timestamp' is version 1, and version 2 was seen before");
    // Neither under a newer timestamp.
    tuf.publish_as(&first, &Publication { version: 1, timestamp: 3, expires: LATER });
    refused(&world, 1, "the repository goes back: 'snapshot (via timestamp)' is version 1");
}

#[test]
fn expired_metadata_is_refused_and_verification_does_not_mind() {
    let world = World::new();
    let repository = signed(&world);
    let mut tuf = corp(&world);
    tuf.publish_as(&next(&world), &Publication { version: 2, timestamp: 2, expires: OVER });
    refused(&world, 1, "the repository's 'timestamp' metadata expired at 2001-01-01");
    tuf.publish(&next(&world), 3);
    tuf.expire();
    refused(&world, 1, "the repository's 'root' metadata expired at 2001-01-01");
    assert_eq!(proven(&repository).as_deref(), Some("corp"));
}

#[test]
fn a_target_that_is_not_the_signed_one_is_refused() {
    let world = World::new();
    let tuf = corp(&world);
    let target = next(&world);
    let path = Tuf::target_path(&target);
    tuf.publish(&target, 2);
    for (wrong, words) in [
        (target.replacen('1', "2", 1), "what the repository serves is not what its metadata names"),
        (root(&world), "what the repository serves is not what its metadata names"),
    ] {
        tuf.put(&path, wrong.into_bytes());
        refused(&world, 1, words);
    }
    tuf.put(&path, format!("{target} ").into_bytes());
    refused(&world, 1, "is larger than");
    tuf.put(&path, target.clone().into_bytes());
    world.countersign(&["trust", "update", "corp"]).stdout_holds(&["corp: updated to sha256:"]).check();
}

#[test]
fn a_root_that_cannot_be_used_is_refused() {
    let world = World::new();
    let tuf = corp(&world);
    tuf.publish("{}", 2);
    refused(&world, 1, "the new trusted root cannot be used");
}

#[test]
fn metadata_that_nobody_signed_is_refused() {
    let world = World::new();
    let tuf = corp(&world);
    tuf.publish(&next(&world), 2);
    let text = String::from_utf8(tuf.file("timestamp.json").unwrap()).unwrap();
    tuf.put("timestamp.json", text.replace("\"version\":2", "\"version\":9").into_bytes());
    refused(&world, 1, "'timestamp' of the repository has 0 valid signatures and needs 1");
    tuf.put("timestamp.json", vec![b' '; 20_000]);
    refused(&world, 1, "is larger than 16384 bytes");
}

#[test]
fn without_what_stops_a_rollback_nothing_is_updated() {
    let world = World::new();
    let tuf = corp(&world);
    let old = tuf.file("timestamp.json").unwrap();
    tuf.publish(&next(&world), 2);
    let cache = kept(&world, "corp/tuf/cache");
    fs::remove_file(cache.join("timestamp.json")).unwrap();
    fs::create_dir(cache.join("timestamp.json")).unwrap();
    refused(&world, 3, "the verified metadata cannot be kept");
    fs::remove_dir_all(&cache).unwrap();
    world.countersign(&["trust", "update", "corp"]).stdout_holds(&["corp: updated to sha256:"]).check();
    // Even with the whole cache gone, what was accepted is remembered.
    fs::remove_dir_all(&cache).unwrap();
    tuf.put("timestamp.json", old);
    world.countersign(&["trust", "update", "corp"]).stdout("corp: unchanged\n").check();
    assert_eq!(in_use(&world), next(&world));
}

#[test]
fn a_dead_server_changes_nothing() {
    let world = World::new();
    let repository = signed(&world);
    let tuf = corp(&world);
    tuf.stop();
    refused(&world, 3, "127.0.0.1");
    assert_eq!(proven(&repository).as_deref(), Some("corp"));
}

#[test]
fn an_instance_without_a_first_trusted_root_is_not_added() {
    let world = World::new();
    let tuf = Tuf::new("{}");
    let pinned = world.write("pinned.json", tuf.first_root()).display().to_string();
    let arguments = ["trust", "add", "corp", "--tuf-url", &tuf.url, "--tuf-root", &pinned];
    world.countersign(&arguments).status(3).stderr_holds(&["the new trusted root cannot be used"]).check();
    assert!(!kept(&world, "corp").exists());
    let other = Tuf::new(&root(&world));
    let arguments = ["trust", "add", "corp", "--tuf-url", &other.url, "--tuf-root", &pinned];
    world.countersign(&arguments).status(3).any_stderr().check();
    assert!(!kept(&world, "corp").exists(), "the pinned root is another repository's");
    let plain = ["trust", "add", "corp", "--tuf-url", "http://example.com", "--tuf-root", &pinned];
    world.countersign(&plain).status(3).stderr_holds(&["will not speak plain http"]).check();
}

#[test]
fn another_root_may_be_pinned_by_hand() {
    let world = World::new();
    let _lost = corp(&world);
    let tuf = Tuf::new(&next(&world));
    let pinned = world.write("pinned.json", tuf.first_root()).display().to_string();
    let words = ["corp: updates come from", "beginning with its root 1\n"];
    let arguments = ["trust", "pin", "corp", "--tuf-root", &pinned, "--tuf-url", &tuf.url];
    world.countersign(&arguments).stdout_holds(&words).check();
    assert_eq!(in_use(&world), root(&world), "until the next update");
    world.countersign(&["trust", "update", "corp"]).stdout_holds(&["corp: updated to sha256:"]).check();
    assert_eq!(in_use(&world), next(&world));
    let garbage = world.write("pinned.json", "{}").display().to_string();
    let run = world.countersign(&["trust", "pin", "corp", "--tuf-root", &garbage]).status(3);
    run.stderr_holds(&["cannot be pinned"]).check();
}

#[test]
fn a_root_that_is_pinned_by_hand_begins_anew_at_the_same_address() {
    let world = World::new();
    let mut tuf = corp(&world);
    for timestamp in 2..5 {
        tuf.publish(&root(&world), timestamp);
        world.countersign(&["trust", "update", "corp"]).any_stdout().check();
    }
    tuf.begin_anew(&next(&world));
    refused(&world, 1, "has 0 valid signatures");
    let pinned = world.write("pinned.json", tuf.first_root()).display().to_string();
    world.countersign(&["trust", "pin", "corp", "--tuf-root", &pinned]).any_stdout().check();
    world.countersign(&["trust", "update", "corp"]).stdout_holds(&["corp: updated to sha256:"]).check();
    assert_eq!(in_use(&world), next(&world));
}

#[test]
fn what_is_built_in_may_come_from_a_mirror_and_goes_back_when_it_is_removed() {
    let world = World::new();
    let repository = signed(&world);
    let tuf = Tuf::new(&root(&world));
    let pinned = world.write("pinned.json", tuf.first_root()).display().to_string();
    let arguments = ["trust", "pin", "public-good", "--tuf-root", &pinned, "--tuf-url", &tuf.url];
    world.countersign(&arguments).any_stdout().check();
    assert_eq!(proven(&repository), None);
    world.countersign(&["trust", "update", "public-good"]).any_stdout().check();
    assert_eq!(proven(&repository).as_deref(), Some("public-good"));
    let words = "public-good: removed; the built-in trusted root is in use again\n";
    world.countersign(&["trust", "remove", "public-good"]).stdout(words).check();
    assert_eq!(proven(&repository), None);
}

#[test]
fn an_instance_from_a_file_has_nothing_to_ask() {
    let world = World::new();
    let file = world.path("authority/trusted_root.json").display().to_string();
    world.countersign(&["trust", "add", "corp", "--trusted-root", &file]).any_stdout().check();
    let run = world.countersign(&["trust", "update", "corp"]).status(3);
    run.stderr_holds(&["corp: the instance 'corp' has no TUF repository", "trust add corp --replace"])
        .check();
}

/// Waits for the note of an update.
fn attempt(world: &World) -> Option<String> {
    for _ in 0..200 {
        if let Ok(note) = fs::read_to_string(kept(world, "corp/attempt.json")) {
            return Some(note);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

#[test]
fn a_signature_starts_an_update_once_a_day_and_only_if_it_is_wanted() {
    let world = World::new();
    let tuf = corp(&world);
    let config = world.path("authority/signing_config.json");
    let automatic = |wanted: &str| {
        unname(&world);
        world.configure(&format!(
            "[commit]\n gpgSign = true\n[countersign]\n instance = corp\n{wanted}\n\
             [countersign \"corp\"]\n signingConfig = {}\n",
            config.display()
        ));
    };
    let note = kept(&world, "corp/attempt.json");
    fs::remove_file(&note).unwrap();
    let repository = world.repository("r", "sha1");
    let before = tuf.requests();

    automatic("");
    repository.git(&["config", "countersign.autoUpdate", "true"]).check();
    repository.commit("not unless the user says so");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!note.exists());
    assert_eq!(tuf.requests(), before);

    automatic(" autoUpdate = true");
    tuf.publish(&next(&world), 2);
    repository.commit("now");
    assert!(attempt(&world).is_some());
    for _ in 0..200 {
        if in_use(&world) == next(&world) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(in_use(&world), next(&world));

    let after = tuf.requests();
    repository.commit("not again");
    world.countersign(&["trust", "update", "--detached", "corp"]).check();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(tuf.requests(), after);
    fs::write(&note, r#"{"at":1}"#).unwrap();
    world.countersign(&["trust", "update", "--detached", "corp"]).check();
    assert!(tuf.requests() > after, "a day later it is tried again");
}
