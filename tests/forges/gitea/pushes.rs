//! What is pushed to a Gitea: over HTTP and ssh, by accounts, deploy keys and readers.

use serde_json::json;

use super::{Gitea, policy, ssh_key, tree, with_gitea};
use crate::{
    PROGRAM, commits,
    support::{Outcome, Repository},
};

const NOT_SIGNED: &str = "it is not signed, where 'alice' has to sign";

#[track_caller]
fn accepted(outcome: &Outcome) {
    assert_eq!(outcome.status, 0, "{}", outcome.words());
}

#[track_caller]
fn refused(outcome: &Outcome, parts: &[&str]) {
    assert_ne!(outcome.status, 0, "{}", outcome.words());
    for part in parts {
        assert!(outcome.words().contains(part), "{part:?} in {}", outcome.words());
    }
}

#[test]
fn gitea_asks_the_gate_whoever_pushes_and_however() {
    with_gitea("gitea_asks_the_gate_whoever_pushes_and_however", |world, gitea| {
        policy(world, "pushers = [\"alice\"]\n", "");
        let server = gitea.project("project");
        let (hooks, configuration) =
            (tree(&server.join("hooks")), std::fs::read(server.join("config")).unwrap());
        let said = gitea.install(&server, &[]);
        assert!(said.contains("hooks/pre-receive.d/countersign"), "{said}");

        let (work, good, bad) = commits(world);
        let main = |commit: &str| format!("{commit}:refs/heads/main");
        refused(&gitea.push(&work, "alice", "project", &[&main(&bad)]), &[NOT_SIGNED, &bad[..12]]);
        accepted(&gitea.push(&work, "alice", "project", &[&main(&good)]));
        let line = gitea.audit(&server, "refs/heads/main").pop().unwrap();
        assert_eq!((&line["decision"], &line["forgeUser"]), (&json!("accepted"), &json!("alice")));
        assert_eq!((&line["forgeUserId"], &line["forgeWay"]), (&json!("2"), &json!("http")));
        assert_eq!(line["forgeRepository"], "alice/project");

        // Somebody else's account, known by its number, and one that nobody knows.
        work.git(&["checkout", "-q", &good]).check();
        let next = work.commit("the next of alice's");
        let by_bob = "pushed by 'bob' at 'git.example.com' ('bob'), where only 'alice' may (rule 'main')";
        refused(&gitea.push(&work, "bob", "project", &[&main(&next)]), &[by_bob]);
        let unknown = "pushed by 'warden' at 'git.example.com', whom the policy does not name";
        refused(&gitea.push(&work, "warden", "project", &[&main(&next)]), &[unknown]);

        // Its own ssh server.
        let key = ssh_key(world, "alice-key");
        gitea.done("alice", "POST", "/user/keys", json!({ "title": "alice", "key": key }));
        refused(&gitea.push_by_key(&work, "alice-key", "project", &[&main(&bad)]), &[NOT_SIGNED]);
        accepted(&gitea.push_by_key(&work, "alice-key", "project", &[&main(&next)]));
        let line = gitea.audit(&server, "refs/heads/main").pop().unwrap();
        assert_eq!((&line["forgeUser"], &line["forgeWay"]), (&json!("alice"), &json!("ssh")));
        // Whoever holds a deploy key goes by the name of the repository's owner, and is not her.
        let key = ssh_key(world, "deploy-key");
        let deploy = json!({ "title": "deploy", "key": key, "read_only": false });
        let id = gitea.done("alice", "POST", "/repos/alice/project/keys", deploy)["id"].to_string();
        let third = work.commit("the third of alice's");
        let outcome = gitea.push_by_key(&work, "deploy-key", "project", &[&main(&third)]);
        refused(&outcome, &[&format!("pushed by 'deploy-key-{id}' at 'git.example.com'")]);
        let line = gitea.audit(&server, "refs/heads/main").pop().unwrap();
        assert_eq!(
            (&line["forgeUser"], &line["forgeUserId"]),
            (&json!(null), &json!(format!("deploy-key-{id}")))
        );

        readers_change_nothing(gitea, &work, &third);
        let (status, words) = gitea.ledger(&server);
        assert_eq!(status, 0, "{words}");
        let log = ["ledger", "log", "--repository", server.to_str().unwrap()];
        let log = world.countersign(&log).any_stdout().check().text();
        assert!(log.contains("account 'alice' of 'git.example.com'"), "{log}");
        assert!(!log.contains("recovered"), "{log}");

        work.git(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "by nobody again"]).check();
        let bad = work.id("HEAD");
        // It writes its own hooks anew, and leaves those of others.
        for command in
            [&["admin", "regenerate", "hooks"][..], &["doctor", "check", "--run", "hooks", "--fix"]]
        {
            let said = gitea.gitea(command);
            assert!(!said.contains("countersign"), "{said}");
            refused(&gitea.push(&work, "alice", "project", &[&main(&bad)]), &[NOT_SIGNED]);
        }
        accepted(&gitea.push(&work, "alice", "project", &[&main(&third)]));
        let status = ["hook", "status", "--repository", server.to_str().unwrap()];
        let status = world.countersign(&status).any_status().any_stdout().check().text();
        for part in [PROGRAM, "hooks/pre-receive.d/countersign", "hooks/reference-transaction"] {
            assert!(status.contains(part), "{status}");
        }

        world
            .countersign(&["hook", "uninstall", "--repository", server.to_str().unwrap()])
            .any_stdout()
            .check();
        assert_eq!(tree(&server.join("hooks")), hooks);
        assert_eq!(std::fs::read(server.join("config")).unwrap(), configuration);
        accepted(&gitea.push(&work, "alice", "project", &["-f", &main(&bad)]));
    });
}

/// Gitea asks whether somebody may write in its own hook, after all others of the folder: what the gate has accepted
/// from a reader does not happen, and the ledger knows.
fn readers_change_nothing(gitea: &Gitea<'_>, work: &Repository<'_>, commit: &str) {
    let topic = format!("{commit}:refs/heads/topic/carol");
    let outcome = gitea.push(work, "carol", "project", &[&topic]);
    refused(&outcome, &["User permission denied"]);
    let server = gitea.path("project");
    let line = gitea.audit(&server, "refs/heads/topic/carol").pop().unwrap();
    assert_eq!((&line["decision"], &line["forgeUser"]), (&json!("accepted"), &json!("carol")));
    accepted(&gitea.push(work, "alice", "project", &[&format!("{commit}:refs/heads/topic/alice")]));
    let log = ["ledger", "log", "--repository", server.to_str().unwrap()];
    let log = gitea.world.countersign(&log).any_stdout().check().text();
    assert!(log.contains("refs/heads/topic/alice") && !log.contains("refs/heads/topic/carol"), "{log}");
}

#[test]
fn a_push_certificate_comes_through_gitea() {
    with_gitea("a_push_certificate_comes_through_gitea", |world, gitea| {
        policy(world, "pushers = [\"alice\"]\npush_certificate = \"require\"\n", "");
        let server = gitea.project("project");
        let (http, ssh) = (format!("{}/alice/project.git", gitea.url()), gitea.ssh_address("project"));
        gitea.install(&server, &["--address", &http, "--address", &ssh]);
        for (key, value) in
            [("receive.certNonceSeed", "a seed that is no secret here"), ("receive.certNonceSlop", "60")]
        {
            world.run("git", &["--git-dir", server.to_str().unwrap(), "config", key, value]).check();
        }
        let (work, good, _) = commits(world);
        let main = format!("{good}:refs/heads/main");
        let unsigned = gitea.push(&work, "alice", "project", &[&main]);
        refused(&unsigned, &["certificate"]);
        // Over HTTP, by bob's account: the certificate goes before the forge's word.
        accepted(&gitea.push(&work, "bob", "project", &["--signed", &main]));
        let key = ssh_key(world, "bob-key");
        gitea.done("bob", "POST", "/user/keys", json!({ "title": "bob", "key": key }));
        work.git(&["checkout", "-q", &good]).check();
        let next = format!("{}:refs/heads/main", work.commit("the next of alice's"));
        accepted(&gitea.push_by_key(&work, "bob-key", "project", &["--signed", &next]));
        let line = gitea.audit(&server, "refs/heads/main").pop().unwrap();
        assert_eq!((&line["pusher"], &line["forgeUser"]), (&json!("alice"), &json!("bob")));
        let (status, words) = gitea.ledger(&server);
        assert_eq!(status, 0, "{words}");
    });
}

#[test]
fn a_repository_that_gitea_moves_is_refused_until_the_hook_is_installed_anew() {
    const TEST: &str = "a_repository_that_gitea_moves_is_refused_until_the_hook_is_installed_anew";
    with_gitea(TEST, |world, gitea| {
        policy(world, "", "");
        let server = gitea.project("project");
        gitea.install(&server, &[]);
        let (work, good, bad) = commits(world);
        accepted(&gitea.push(&work, "alice", "project", &[&format!("{good}:refs/heads/main")]));
        gitea.done("alice", "PATCH", "/repos/alice/project", json!({ "name": "renamed" }));
        // Another one takes its place, where the paths in the hook lead now.
        let other = gitea.project("project");
        let bad = format!("{bad}:refs/heads/main");
        for reference in [bad.clone(), format!("{good}:refs/heads/topic/a")] {
            refused(&gitea.push(&work, "alice", "renamed", &[&reference]), &["hook"]);
        }
        gitea.install(&other, &[]);
        for reference in [bad.clone(), format!("{good}:refs/heads/topic/a")] {
            let outcome = gitea.push(&work, "alice", "renamed", &[&reference]);
            refused(
                &outcome,
                &["this hook was installed for the repository", "run 'countersign hook install'"],
            );
        }
        let renamed = gitea.path("renamed");
        let status = ["hook", "status", "--repository", renamed.to_str().unwrap()];
        let status = world.countersign(&status).any_status().any_stdout().any_stderr().check();
        assert!(status.status == 1 && status.text().contains("the hook was installed for the repository"));
        gitea.install(&renamed, &[]);
        refused(&gitea.push(&work, "alice", "renamed", &[&bad]), &[NOT_SIGNED]);
        accepted(&gitea.push(&work, "alice", "renamed", &[&format!("{good}:refs/heads/topic/a")]));
        let (status, words) = gitea.ledger(&renamed);
        assert_eq!(status, 0, "{words}");
    });
}
