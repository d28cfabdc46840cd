//! `countersign approve` itself.

use serde_json::Value;

use crate::{
    ALICE, BOB, CAROL, ID, MAIN, REF, Stage, TWO, policy,
    support::{Repository, World},
};

#[test]
fn what_would_be_approved_is_found_and_told() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let base = stage.work.id("HEAD");
    stage.commit(ALICE, "a", "a\n");
    let tree = stage.work.id("HEAD^{tree}");
    let said = stage.approve(BOB, &["--dry-run"]);
    assert_eq!(
        said,
        format!("would approve: {MAIN} of '{ID}', from {}, to tree {}\n", &base[..12], &tree[..12])
    );
    assert!(!stage.work.has(REF), "nothing is kept");
    let json: Value = serde_json::from_str(&stage.approve(BOB, &["--json"])).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "version": 1, "repository": ID, "ref": MAIN, "base": base, "tree": tree, "status": "approved", "name": "bob",
        })
    );
    for (arguments, part) in [
        (&["--ref", "main"][..], "is not the full name of a ref"),
        (&["--ref", "refs/heads/wild/x"], "nothing is approved of 'refs/heads/wild/x'"),
        (&["--base", "nowhere"], "nowhere"),
        (&["nowhere"], "nowhere"),
        (&["--base", "HEAD", "HEAD^"], "does not stand on the base"),
    ] {
        let why = stage.unapproved(BOB, arguments);
        assert!(why.contains(part) && why.contains("hint: "), "{why}");
    }
    // Several refs: which one is to be said.
    policy(&world, &TWO.replace("\"refs/heads/main\"", "\"refs/heads/*\""));
    assert!(stage.unapproved(BOB, &[]).contains("say which with '--ref'"));
    let why = stage.unapproved(BOB, &["--ref", "refs/heads/new"]);
    assert!(
        why.contains("what 'refs/heads/new' holds is not known here") && why.contains("--create"),
        "{why}"
    );
    policy(&world, &TWO.replace("threshold = 2\n", ""));
    assert!(stage.unapproved(BOB, &[]).contains("nothing is approved by the policy"));
    world.configure("[countersign]\n policy =");
    assert!(stage.unapproved(BOB, &[]).contains("no policy says which repository this is"));
}

#[test]
fn what_is_kept_is_listed_with_whose_it_is() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    stage.commit(ALICE, "a", "a\n");
    stage.approve(BOB, &[]);
    stage.approve(CAROL, &[]);
    let text = policy(&world, TWO);
    world.write("policy.toml", text.replace("carol@", "karla@"));
    let listed = stage.work.countersign(&["approve", "--list"]).any_stdout().check().text();
    assert_eq!(
        listed.lines().filter(|line| line.starts_with("counts  'bob': refs/heads/main of ")).count(),
        1
    );
    assert!(listed.contains("it does not count: signed by 'carol@example.com'"), "{listed}");
    let listed = stage.work.countersign(&["approve", "--list", "--json"]).any_stdout().check().text();
    let values: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<_> = values.iter().map(|value| value["status"].as_str().unwrap()).collect();
    assert!(statuses.contains(&"counts") && statuses.contains(&"refused"), "{listed}");
    assert!(values.iter().all(|value| stage.work.has(value["approval"].as_str().unwrap())));
}

#[test]
fn approvals_of_several_people_are_brought_together() {
    let world = World::new();
    let stage = Stage::new(&world, &TWO.replace("threshold = 2", "threshold = 3"));
    stage.commit(ALICE, "a", "a\n");
    stage.accepted(&["main:refs/heads/wild/topic"]);
    let reviewer = |name: &str, email: &str| {
        world.run("git", &["clone", "-q", stage.server.path.to_str().unwrap(), name]).check();
        let clone = Repository::at(&world, &world.path(name));
        let run =
            clone.countersign(&["approve", "origin/wild/topic"]).env("SIGSTORE_ID_TOKEN", world.token(email));
        run.any_stdout().check();
        clone
    };
    let (bobs, carols) = (reviewer("bobs", BOB), reviewer("carols", CAROL));
    let share = |clone: &Repository<'_>, how: &str| {
        clone.countersign(&["approve", how]).any_stdout().any_stderr().check().text()
    };
    share(&bobs, "--push");
    share(&carols, "--push");
    assert_eq!(share(&bobs, "--fetch"), "fetched 1 new, kept 0 that 'origin' has not\n");
    assert_eq!(bobs.id(REF), stage.server.id(REF));
    assert_eq!(share(&stage.work, "--fetch"), "fetched 2 new, kept 0 that 'origin' has not\n");
    stage.accepted(&["main"]);
    let listed = carols.countersign(&["approve", "--list"]).any_stdout().check().text();
    assert_eq!(listed.lines().count(), 2);
    // They are nobody's commits to judge.
    stage.work.countersign(&["verify", "--all"]).any_stdout().stderr("verified 2 objects: 2 good\n").check();
}

#[test]
fn the_repositorys_own_configuration_has_no_say() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    stage.commit(ALICE, "a", "a\n");
    for (key, value) in [
        ("gpg.format", "openpgp"),
        ("gpg.program", "touch evil"),
        ("gpg.openpgp.program", "./evil"),
        ("gpg.x509.program", "./evil"),
        ("user.signingKey", "evil"),
        ("countersign.policy", "/nowhere"),
    ] {
        stage.work.git(&["config", key, value]).check();
    }
    let run = stage.work.countersign(&["approve"]).env("SIGSTORE_ID_TOKEN", world.token(BOB));
    run.stdout_holds(&["approved as 'bob'"]).any_stderr().check();
    assert!(!stage.work.path.join("evil").exists());
}

#[test]
fn who_commits_has_nothing_to_do_with_it() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    stage.commit(ALICE, "a", "a\n");
    world.configure("[countersign]\n matchCommitter = true");
    assert!(stage.approve(BOB, &[]).starts_with("approved as 'bob'"));
}

#[test]
fn a_check_in_ci_counts_persons_where_it_can() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let base = stage.work.id("HEAD");
    stage.work.git(&["checkout", "-q", "-b", "topic"]).check();
    let topic = stage.commit(ALICE, "a", "a\n");
    let check = |more: &[&str]| {
        let arguments = [&["check", "--ref", MAIN, "--base", &base, "--head", &topic], more].concat();
        let run = stage.work.countersign(&arguments).any_status().any_stdout().any_stderr().check();
        (run.status, run.text() + &run.words())
    };
    let (status, words) = check(&[]);
    assert_eq!(status, 1, "{words}");
    assert!(words.contains("1 of 2 persons vouches for it ('alice')"), "{words}");
    assert_eq!(check(&["--topic"]).0, 1);
    stage.approve(BOB, &[]);
    for more in [&[][..], &["--topic"]] {
        let (status, words) = check(more);
        assert_eq!(status, 0, "{words}");
    }
    // The branch has gone on: what the forge will make of both is not here.
    stage.work.git(&["checkout", "-q", "main"]).check();
    let ahead = stage.commit(CAROL, "b", "b\n");
    let run = ["check", "--ref", MAIN, "--base", &ahead, "--head", &topic, "--topic"];
    let run = stage.work.countersign(&run).any_status().any_stdout().any_stderr().check();
    assert!(!(run.text() + &run.words()).contains("persons"), "{}{}", run.text(), run.words());
}
