//! One login for many signatures: one after the other, at once, and for whom not.

use std::{process::Command, thread};

use crate::{
    machine::{Machine, certificates, eventually},
    support::{ALICE, BOB, PROGRAM, World, skipped},
};
use countersign::sandbox::{Build, Identity, Options, RekorOffer};

#[test]
fn one_login_serves_a_rebase_of_twenty_commits() {
    if skipped("one_login_serves_a_rebase_of_twenty_commits", "bash") {
        return;
    }
    let machine = Machine::new();
    for format in ["sha1", "sha256"] {
        let repository = machine.world.repository(format, format);
        for number in 0..21 {
            let message = format!("commit {number}");
            let commit = ["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", &message];
            repository.git(&commit).check();
        }
        repository.git(&["rebase", "-q", "--force-rebase", "HEAD~20"]).any_stderr().check();
        repository.git(&["tag", "-m", "one", "v1"]).check();
        assert_eq!(certificates(&repository, 20), 1);
        repository
            .git(&["verify-tag", "v1"])
            .stderr_holds(&["good signature by 'alice@example.com'"])
            .check();
    }
    assert_eq!(machine.logins(), 1, "for two repositories");
    let before = machine.world.requests();
    machine.sign();
    assert_eq!(machine.world.requests(), before + 1, "the log alone is asked");
    let status = machine.status();
    assert_eq!(status["signatures"], 43);
    assert_eq!(status["logins"][0]["identity"], ALICE);
}

#[test]
fn eight_at_once_log_in_once() {
    if skipped("eight_at_once_log_in_once", "bash") {
        return;
    }
    // Whose agent is the one is as open as who logs in: several times over.
    for _ in 0..5 {
        eight_at_once();
    }
}

fn eight_at_once() {
    let machine = Machine::new();
    machine.browser("slow", "0.5");
    let repositories: Vec<_> =
        (0..8).map(|number| machine.world.repository(&format!("r{number}"), "sha1")).collect();
    let mut children: Vec<_> = repositories
        .iter()
        .map(|repository| {
            let commit = ["commit", "-q", "--allow-empty", "-m", "at once"];
            repository.git(&commit).start()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(machine.logins(), 1);
    let mut keys: Vec<_> = repositories
        .iter()
        .map(|repository| {
            repository.git(&["log", "-1", "--format=%GF"]).any_stdout().any_stderr().check().stdout
        })
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 1, "one certificate");
}

#[test]
fn a_login_that_fails_fails_for_all_who_wait_for_it() {
    if skipped("a_login_that_fails_fails_for_all_who_wait_for_it", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.world.countersign(&["agent", "status"]).stdout("no agent is running\n").status(1).check();
    machine.browser("slow", "2");
    machine.browser("deny", "");
    let repository = machine.world.repository("r", "sha1");
    thread::scope(|scope| {
        for _ in 0..3 {
            let run = || {
                let run = machine.world.run(PROGRAM, &["--status-fd=2", "-bsau", "key"]);
                run.input(crate::machine::PAYLOAD)
            };
            let mut child = run().start_piped();
            scope.spawn(move || {
                let output = child.finish();
                assert_eq!(output.status, 3);
                let words = output.words();
                assert!(words.contains("the issuer says 'access_denied'"), "{words}");
            });
        }
    });
    assert_eq!(machine.logins(), 1);
    machine.browser_again("deny");
    machine.browser_again("slow");
    repository.commit("and again");
    assert_eq!(machine.logins(), 2);
}

#[test]
fn whoever_is_gone_while_logging_in_holds_nobody_up() {
    if skipped("whoever_is_gone_while_logging_in_holds_nobody_up", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.browser("hang", "");
    let (one, two) = (machine.world.repository("one", "sha1"), machine.world.repository("two", "sha1"));
    let commit = ["commit", "-q", "--allow-empty", "-m", "message"];
    let mut first = one.git(&commit).start_in_group();
    eventually("the first logs in", || machine.logins() == 1);
    let mut second = two.git(&commit).start();
    thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(machine.logins(), 1, "the second waits");
    machine.browser_again("hang");
    // As a terminal does on Ctrl-C: the whole group hears it.
    let group = format!("-{}", first.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    assert!(!first.wait().unwrap().success());
    assert!(second.wait().unwrap().success());
    assert_eq!(machine.logins(), 2);
    assert!(!one.has("HEAD") && two.has("HEAD"));
}

#[test]
fn the_committer_is_compared_for_each_signature() {
    if skipped("the_committer_is_compared_for_each_signature", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.world.configure("[countersign]\n matchCommitter = true");
    let repository = machine.world.repository("r", "sha1");
    repository.commit("as alice");
    let entries = machine.world.log_size();
    let payload = crate::machine::PAYLOAD.replace("committer Alice <alice@", "committer Bob <bob@");
    let run = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input(&payload).status(3);
    run.stderr_holds(&[
        "error: the login is for 'alice@example.com', and the committer is 'bob@example.com'",
        "hint: the agent keeps the login until it ends, or until 'countersign logout'",
    ])
    .check();
    // And before there is a certificate.
    machine.world.countersign(&["logout"]).stdout("logins forgotten: 1\n").check();
    let run = machine.world.countersign(&["--status-fd=2", "-bsau", "key"]).input(&payload).status(3);
    run.stderr_holds(&["and the committer is 'bob@example.com'"]).check();
    assert_eq!(machine.world.log_size(), entries);
    assert_eq!(machine.status()["logins"], serde_json::json!([]));
}

#[test]
fn two_instances_have_a_login_each() {
    if skipped("two_instances_have_a_login_each", "bash") {
        return;
    }
    let machine = Machine::new();
    let auto_approve = Some(Identity::Email(BOB.to_owned()));
    let other = World::with(Options { auto_approve, ..Options::default() });
    machine.world.configure(&format!(
        "[countersign \"other\"]\n trustedRoot = {}\n signingConfig = {}",
        other.path("authority/trusted_root.json").display(),
        other.path("authority/signing_config.json").display(),
    ));
    let repository = machine.world.repository("r", "sha1");
    let issuer = format!("countersign.issuer={}", other.url());
    let there =
        ["-c", "countersign.instance=other", "-c", &issuer, "commit", "-q", "--allow-empty", "-m", "b"];
    for _ in 0..3 {
        repository.commit("a");
        repository.git(&there).check();
    }
    assert_eq!(machine.logins(), 2);
    let status = machine.status();
    let mut logins: Vec<(String, u64)> = status["logins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|login| (login["identity"].as_str().unwrap().to_owned(), login["signatures"].as_u64().unwrap()))
        .collect();
    logins.sort();
    assert_eq!(logins, [(ALICE.to_owned(), 3), (BOB.to_owned(), 3)]);
    assert_eq!((machine.world.log_size(), other.log_size()), (3, 3));
}

#[test]
fn an_identity_at_hand_goes_through_the_agent_only_where_that_is_wanted() {
    if skipped("an_identity_at_hand_goes_through_the_agent_only_where_that_is_wanted", "bash") {
        return;
    }
    let machine = Machine::new();
    machine.world.set("SIGSTORE_ID_TOKEN", &machine.world.token(BOB));
    let repository = machine.world.repository("r", "sha1");
    for _ in 0..2 {
        repository.commit("by itself");
    }
    assert_eq!(certificates(&repository, 2), 2);
    machine.world.countersign(&["agent", "status"]).stdout("no agent is running\n").status(1).check();
    machine.world.configure("[countersign]\n agent = always");
    for _ in 0..4 {
        repository.commit("through the agent");
    }
    assert_eq!(certificates(&repository, 4), 1);
    // Another token is another identity, whoever came first.
    repository.commit_as(ALICE, "as alice");
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
    assert_eq!(certificates(&repository, 5), 2);
    assert_eq!(machine.logins(), 0, "nobody was asked");
}

#[test]
fn the_key_of_one_job_does_not_sign_for_another_of_the_same_subject() {
    let machine = Machine::new();
    machine.world.configure("[countersign]\n agent = always");
    let token = |reference: &str| {
        let build = Build {
            repository: Some("o/r".to_owned()),
            reference: Some(reference.to_owned()),
            ..Build::default()
        };
        let subject = "https://github.com/o/r/.github/workflows/w.yml@refs/heads/main";
        machine.world.authority().authority().issue_build_token(subject, &build).unwrap()
    };
    let repository = machine.world.repository("r", "sha1");
    for reference in ["refs/heads/main", "refs/heads/main", "refs/heads/evil", "refs/heads/main"] {
        // Each time another token: what differs in its times alone is the same job's.
        machine.world.set("SIGSTORE_ID_TOKEN", &token(reference));
        repository.commit(reference);
    }
    assert_eq!(certificates(&repository, 4), 2);
    assert_eq!(machine.status()["logins"].as_array().unwrap().len(), 2);
}

#[test]
fn the_second_commit_costs_one_round_trip() {
    if skipped("the_second_commit_costs_one_round_trip", "bash") {
        return;
    }
    // A log that proves the time by itself, and one beside a timestamp authority, which are asked at once.
    for (rekor, services) in [(RekorOffer::V1Only, 1), (RekorOffer::V2Only, 2)] {
        let machine = Machine::with(Options { rekor, ..Options::default() });
        let repository = machine.world.repository("r", "sha1");
        repository.commit("first");
        let counts = || (machine.world.requests(), machine.world.authority().connections());
        let (requests, connections) = counts();
        for number in 1..=3_u64 {
            repository.commit("another");
            let (now, made) = counts();
            assert_eq!(now, requests + number * services);
            // Where one of the first two had been answered before the other was asked, they shared a connection;
            // the next two may be on their way together. Nothing ever takes more than one for each service.
            assert!((connections..connections + services).contains(&made), "{made} after {connections}");
        }
        assert_eq!(certificates(&repository, 4), 1);
    }
}

#[test]
fn both_signatures_of_a_repository_with_two_hashes_cost_one_login() {
    if skipped("both_signatures_of_a_repository_with_two_hashes_cost_one_login", "bash") {
        return;
    }
    let machine = Machine::new();
    // git with extensions.compatObjectFormat signs a commit twice, once as each hash names its tree and parents.
    let payload = |hash: usize| {
        let (tree, parent) = ("4b".repeat(hash / 2), "5c".repeat(hash / 2));
        let people = "author Alice <alice@example.com> 1790000000 +0000\n\
                      committer Alice <alice@example.com> 1790000000 +0000";
        format!("tree {tree}\nparent {parent}\n{people}\n\nmessage\n")
    };
    for hash in [40, 64] {
        let run = machine.world.countersign(&["--status-fd=2", "-bsau", ALICE]).input(payload(hash));
        run.any_stdout().stderr_holds(&["\n[GNUPG:] SIG_CREATED "]).check();
    }
    assert_eq!(machine.logins(), 1);
    assert_eq!(machine.status()["logins"][0]["signatures"], 2);
    // And by git itself, where it is new enough to know the extension.
    let repository = machine.world.repository("r", "sha1");
    for (key, value) in [("core.repositoryFormatVersion", "1"), ("extensions.compatObjectFormat", "sha256")] {
        repository.git(&["config", key, value]).check();
    }
    let commit = repository.git(&["commit", "-q", "--allow-empty", "-m", "twice"]).any_status();
    if commit.any_stderr().check().status == 0 {
        let object = String::from_utf8(repository.object("commit", "HEAD")).unwrap();
        assert!(object.contains("\ngpgsig ") && object.contains("\ngpgsig-sha256 "), "{object}");
        assert_eq!(machine.status()["logins"][0]["signatures"], 4);
        assert_eq!(machine.logins(), 1);
    }
}
