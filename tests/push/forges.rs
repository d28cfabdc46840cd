//! The forge's word about who pushes: believed of the one forge that the hook was installed for.

use super::{Outcome, Stage, accepted, refused};

const PUSHERS: &str = "pushers = [\"alice\"]\n";

fn push(stage: &Stage, variables: &[(&str, &str)], refs: &[&str]) -> Outcome {
    let path = stage.path();
    let arguments = [&["push", "-q", &path], refs].concat();
    let run = stage.work().git(&arguments);
    let run = variables.iter().fold(run, |run, (name, value)| run.env(name, value));
    run.any_stderr().any_status().check()
}

#[test]
fn the_account_that_has_logged_in_may_push_where_the_rule_names_it() {
    let alice = [("GL_USERNAME", "alice"), ("GL_ID", "user-1"), ("GL_PROTOCOL", "ssh")];
    let stage = Stage::with(PUSHERS, "sha1", &["--forge", "gitlab=git.example.com"], "");
    stage.commit("first");
    accepted(&push(&stage, &alice, &["main"]));
    accepted(&push(&stage, &alice, &["main:topic"]));
    accepted(&push(&stage, &alice, &[":topic"]));
    let bob = [("GL_USERNAME", "bob"), ("GL_ID", "user-2")];
    refused(
        &push(&stage, &bob, &["main:topic"]),
        &["pushed by 'bob' at 'git.example.com' ('bob'), where only 'alice' may (rule 'all')"],
    );
    refused(
        &push(&stage, &[("GL_USERNAME", "eve"), ("GL_ID", "user-3")], &["main:topic"]),
        &[
            "pushed by 'eve' at 'git.example.com', whom the policy does not name",
            "add { forge = \"git.example.com\", id = \"user-3\" } to 'forge_users'",
        ],
    );
    // A deploy key's name is that of whoever set it up.
    refused(&push(&stage, &[("GL_USERNAME", "alice"), ("GL_ID", "key-1")], &["main:topic"]), &["'key-1' at"]);
    // Nor does anybody stand behind what is no account, or behind a name alone.
    refused(&push(&stage, &[("GL_USERNAME", "alice"), ("GL_ID", "user-")], &["main:topic"]), &["'user-' at"]);
    refused(&push(&stage, &[("GL_USERNAME", "alice")], &["main:topic"]), &["nothing says who pushes"]);
    refused(&push(&stage, &[], &["main:topic"]), &["nothing says who pushes, where only 'alice' may push"]);
    // The certificate of somebody who may not goes before the word of the forge.
    let token = stage.world.token("eve@example.com");
    let signed = ["push", "-q", "--signed", &stage.path(), "main:topic"];
    let run = stage.work().git(&signed).env("GL_USERNAME", "alice").env("SIGSTORE_ID_TOKEN", token);
    refused(&run.any_stderr().any_status().check(), &["signed by 'eve@example.com'"]);
}

#[test]
fn no_other_variables_than_those_of_the_installed_forge_are_believed() {
    let everybody = [
        ("GL_USERNAME", "alice"),
        ("GL_ID", "alice"),
        ("GL_USER", "alice"),
        ("GITEA_PUSHER_NAME", "alice"),
        ("GITHUB_USER_LOGIN", "alice"),
        ("BB_USER_NAME", "alice"),
        ("REMOTE_USER", "alice"),
        ("REQUEST_METHOD", "POST"),
    ];
    let stage = Stage::with(PUSHERS, "sha1", &[], "");
    stage.commit("first");
    refused(&push(&stage, &everybody, &["main"]), &["nothing says who pushes"]);
    for (kind, own) in [
        ("gitlab", "GL_USERNAME"),
        ("gitolite", "GL_USER"),
        ("gitea", "GITEA_PUSHER_NAME"),
        ("forgejo", "GITEA_PUSHER_NAME"),
        ("github", "GITHUB_USER_LOGIN"),
        ("bitbucket", "BB_USER_NAME"),
        ("http", "REMOTE_USER"),
    ] {
        stage.install(&["--forge", &format!("{kind}=git.example.com")]);
        let others: Vec<_> =
            everybody.into_iter().filter(|(name, _)| *name != own && *name != "GL_ID").collect();
        refused(&push(&stage, &others, &["main"]), &["nothing says who pushes"]);
        let reference = format!("main:{kind}");
        let id = if kind == "gitlab" { "user-1" } else { "x" };
        accepted(&push(&stage, &[(own, "alice"), ("REQUEST_METHOD", "POST"), ("GL_ID", id)], &[&reference]));
        // Another forge of the same kind has other accounts.
        stage.install(&["--forge", &format!("{kind}=other.example.com")]);
        let elsewhere = push(&stage, &[(own, "alice"), ("REQUEST_METHOD", "POST"), ("GL_ID", id)], &["main"]);
        refused(&elsewhere, &["pushed by 'alice' at 'other.example.com', whom the policy does not name"]);
    }
}

#[test]
fn what_can_never_be_met_at_a_forge_is_said_before_anybody_pushes() {
    let stage = Stage::with(super::REQUIRED, "sha1", &["--forge", "gitlab=git.example.com"], "");
    let check = |forge: &str| {
        let arguments = ["policy", "check", "policy.toml", "--forge", forge];
        stage.world.countersign(&arguments).any_status().any_stdout().any_stderr().check()
    };
    for (forge, words) in [
        ("gitlab", "rule 'all' asks for a push certificate, and can never be met there: GitLab's Gitaly"),
        ("github=ghe.example.com", "can never be met there: GitHub Enterprise takes no signed pushes"),
        ("bitbucket", "can never be met there: Bitbucket hands its hook scripts"),
    ] {
        let outcome = check(forge);
        assert!(outcome.text().contains(words), "{}", outcome.text());
    }
    for forge in ["gitolite", "gitea", "forgejo", "http"] {
        assert!(!check(forge).text().contains("never be met"), "{forge}");
    }
    assert_eq!(check("sourceforge").status, 64);
    let status = stage.world.countersign(&["hook", "status", "--repository", "server.git"]).status(1);
    let status = status.any_stdout().check().text();
    assert!(status.contains("forge: gitlab=git.example.com\n"), "{status}");
    assert!(status.contains("warning: rule 'all' asks for a push certificate, and can never"), "{status}");
    stage.policy(PUSHERS, "");
    let outcome = check("gitlab=elsewhere");
    assert!(outcome.text().contains("nobody who may push by rule 'all' has an account at 'elsewhere'"));
    assert!(!check("gitlab=git.example.com").text().contains("has an account"));
}
