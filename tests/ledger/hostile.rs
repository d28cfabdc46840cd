//! What a hostile pusher tries with the ledger, and what a hostile server cannot hide from a careful one.

use super::*;

const LEDGER: &str = "refs/countersign/ledger";

/// A policy that would let everything into the namespace, if anything could.
fn open_policy(world: &World) {
    let rule = "[[rule]]\nname = \"own\"\nrefs = [\"refs/countersign/**\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n\
                delete = \"allow\"\nrewind = \"allow\"\n";
    fs::write(world.path("policy.toml"), POLICY.to_owned() + rule).unwrap();
}

/// A server whose `main` went from the first of three commits to the second, and the ledger's head after each.
fn two_entries() -> (World, [String; 3], [String; 2]) {
    let (world, one) = World::begun();
    let first = world.at(LEDGER);
    let two = world.commit(&[&one], "two");
    let three = world.commit(&[&two], "three");
    world.push(&[&format!("{two}:refs/heads/main")]).good();
    let second = world.at(LEDGER);
    (world, [one, two, three], [first, second])
}

#[test]
fn nobody_pushes_to_the_ledger() {
    let world = World::new();
    open_policy(&world);
    let one = world.commit(&[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).good();
    let head = world.at(LEDGER);
    // Git itself refuses what is hidden; then the gate does, by whatever name.
    world
        .push(&[&format!("+{one}:{LEDGER}")])
        .refused(&["deny updating a hidden ref", "only the server itself writes its ledger"]);
    world.on_server(&["config", "--unset-all", "receive.hideRefs"]).good();
    for target in [LEDGER, "refs/countersign/Ledger", "refs/countersign/ledger/x"] {
        let push = world.push(&[&format!("+{one}:{target}")]);
        // git itself finds that 'ledger/x' cannot stand beside 'ledger', but only after the hook.
        push.refused(&["only the server itself writes its ledger"]);
    }
    world.push(&[&format!(":{LEDGER}")]).refused(&["only the server itself writes its ledger"]);
    world.on_server(&["symbolic-ref", "refs/heads/alias", LEDGER]).good();
    world.push(&[&format!("+{one}:refs/heads/alias")]).refused(&["only the server itself writes its ledger"]);
    world.on_server(&["symbolic-ref", "-d", "refs/heads/alias"]).good();
    assert_eq!(world.at(LEDGER), head);
    world.is_in_order();
    // What merely begins so is a ref like others.
    world.push(&[&format!("{one}:refs/countersign/ledgers")]).good();
    assert_eq!(world.entries()[1..], ["2 push refs/countersign/ledgers"]);
    let policy = POLICY.replace("refs/heads/**", LEDGER);
    fs::write(world.path("bad.toml"), policy).unwrap();
    world
        .countersign(&["policy", "check", "bad.toml"])
        .refused(&["only the server itself writes the ledger"]);
}

#[test]
fn clones_read_the_ledger() {
    let (world, one) = World::begun();
    world.work(&["fetch", "-q", "../server.git", &format!("{LEDGER}:{LEDGER}")]);
    let log = world.countersign(&["ledger", "log", "--repository", "work"]).good().stdout;
    assert!(log.contains("refs/heads/main"), "{log}");
    // It speaks for itself, and its commits are by nobody.
    let listed = world.countersign(&["verify", "--all", "--repository", "server.git"]);
    assert!(!listed.stdout.contains(&world.at(LEDGER)[..12]), "{listed:?}");
    assert!(listed.stdout.contains(&one[..12]), "{listed:?}");
}

#[test]
fn what_every_clone_can_read_no_push_can_touch() {
    let (world, one) = World::begun();
    for protocol in ["0", "2"] {
        let version = format!("protocol.version={protocol}");
        let mirror = format!("mirror-{protocol}");
        world.git(&["-c", &version, "clone", "-q", "--mirror", "server.git", &mirror]).good();
        let head = world.at(LEDGER);
        let at = world.git(&["-C", &mirror, "rev-parse", LEDGER]).good().stdout;
        assert_eq!(at, head);
        world.countersign(&["ledger", "log", "--repository", &mirror]).ended(0, &["refs/heads/main"]);
        // Whoever pushes sees nothing of it: a mirror that lacks it does not take it away.
        let to = ["-c", &version, "-C", &mirror, "push", "-q", "../server.git"];
        let push = |more: &[&str]| world.git(&[&to[..], more].concat());
        world.git(&["-C", &mirror, "update-ref", "-d", LEDGER]).good();
        push(&["--mirror"]).good();
        assert_eq!(world.at(LEDGER), head);
        // One that has another would put it there, and is refused with all that comes with it.
        world.git(&["-C", &mirror, "update-ref", LEDGER, &one]).good();
        world.git(&["-C", &mirror, "update-ref", "refs/heads/x", &one]).good();
        push(&["--mirror", "--atomic"]).refused(&["deny updating a hidden ref"]);
        push(&["--delete", LEDGER]).refused(&[]);
        assert_eq!((world.at(LEDGER), world.at("refs/heads/x")), (head, String::new()));
        world.is_in_order();
    }
}

#[test]
fn a_symbolic_ledger_is_not_followed() {
    let (world, one) = World::begun();
    world.on_server(&["symbolic-ref", LEDGER, "refs/heads/main"]).good();
    let two = world.commit(&[&one], "two");
    world.push(&[&format!("{two}:refs/heads/main")]).refused(&["is a symbolic ref"]);
    world.ledger(&["verify"]).ended(3, &["is a symbolic ref"]);
}

#[test]
fn a_ledger_that_was_tampered_with_is_found_and_goes_no_further() {
    let (world, [one, two, three], [first, honest]) = two_entries();
    let record = world.on_server(&["cat-file", "commit", LEDGER]).good().stdout + "\n";
    let put = |text: &str| {
        let arguments = ["--git-dir", "server.git", "hash-object", "-t", "commit", "-w", "--stdin"];
        let id = run(world.command("git", &arguments), text.as_bytes()).good().stdout;
        world.on_server(&["update-ref", LEDGER, &id]).good();
    };
    let digest = record.lines().find(|line| line.starts_with("previous ")).unwrap();
    for (from, to, words) in [
        ("sequence 2", "sequence 3", "other numbers than the record behind it says"),
        (digest, &format!("previous {}", "a".repeat(64)), "is not the one that the record behind it names"),
        ("occasion push", "occasion gift", "is no record of the ledger"),
        ("countersign ledger 1", "countersign ledger 2", "is of a version that this program does not know"),
    ] {
        // The committer's date is the number.
        let date = |text: &str| format!("> {} +0000\n\n", text.trim_start_matches("sequence "));
        put(&record.replace(from, to).replace(&date(from), &date(to)));
        world.ledger(&["verify"]).ended(1, &[words]);
    }
    // What is no record is not written behind.
    world.push(&[&format!("{three}:refs/heads/main")]).refused(&["is of a version"]);
    // Another story, well told: only who remembers sees it.
    let lied = record.replace(&two, &three);
    put(&lied);
    world.on_server(&["update-ref", "refs/heads/main", &one]).good();
    fs::create_dir_all(world.server.join("objects")).unwrap();
    world.ledger(&["verify"]).ended(1, &[&format!("its head '{honest}' is no part of this one")]);
    world.on_server(&["update-ref", LEDGER, &first]).good();
    world.ledger(&["verify"]).ended(1, &[&format!("the ledger ends before '{honest}'")]);
    // Gone altogether, it is not begun anew behind anybody's back.
    world.on_server(&["update-ref", "-d", LEDGER]).good();
    world.ledger(&["verify"]).ended(1, &["the ledger is gone"]);
    world.push(&[&format!("{two}:refs/heads/x")]).refused(&["the ledger is gone", "remove"]);
    world.on_server(&["update-ref", LEDGER, &honest]).good();
    world.on_server(&["update-ref", "refs/heads/main", &two]).good();
    world.is_in_order();
}

#[test]
fn nobody_writes_behind_a_ledger_that_was_set_back_and_so_covers_that_up() {
    let (world, [one, two, three], [first, second]) = two_entries();
    // Everything is as it was after the first push.
    world.on_server(&["update-ref", LEDGER, &first]).good();
    world.on_server(&["update-ref", "refs/heads/main", &one]).good();
    let words = [&format!("its head was '{second}'")[..], "ledger.head"];
    world.push(&[&format!("{three}:refs/heads/x")]).refused(&words);
    world.ledger(&["enter", "--reason", "nothing was"]).ended(3, &words);
    assert_eq!(world.at(LEDGER), first);
    // An accepted push whose ledger is set back before it is entered is not lost.
    world.on_server(&["update-ref", LEDGER, &second]).good();
    world.on_server(&["update-ref", "refs/heads/main", &two]).good();
    let hooks = ["reference-transaction", "post-receive"].map(|name| world.server.join("hooks").join(name));
    hooks.iter().for_each(|hook| fs::rename(hook, hook.with_extension("away")).unwrap());
    world.push(&[&format!("{three}:refs/heads/main")]).good();
    hooks.iter().for_each(|hook| fs::rename(hook.with_extension("away"), hook).unwrap());
    world.on_server(&["update-ref", LEDGER, &first]).good();
    world.ledger(&["settle"]).ended(3, &words);
    assert_eq!(world.intents().len(), 1);
    world.on_server(&["update-ref", LEDGER, &second]).good();
    world.ledger(&["settle"]).ended(0, &["1 entered"]);
    world.is_in_order();
    // A note of an earlier head is none of that: the ledger goes on from there.
    fs::write(world.state().join("ledger.head"), format!("{first}\n")).unwrap();
    world.push(&[&format!("{three}:refs/heads/x")]).good();
    world.is_in_order();
    // Whoever knows why takes the note away, and clients that have seen more still tell.
    world.on_server(&["update-ref", LEDGER, &second]).good();
    fs::remove_file(world.state().join("ledger.head")).unwrap();
    world.push(&[&format!("{three}:refs/heads/y")]).good();
    assert_eq!(world.entries().len(), 3);
}

#[test]
fn a_commit_that_is_pushed_is_no_record_of_anybodys_ledger() {
    // A branch of records stays a branch.
    let (world, _) = World::begun();
    world.work(&["fetch", "-q", "../server.git", LEDGER]);
    world.push(&["FETCH_HEAD:refs/heads/copy"]).good();
    world.is_in_order();
    assert_eq!(world.entries(), ["1 push refs/heads/main", "2 push refs/heads/copy"]);
}
