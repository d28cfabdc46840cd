//! By which way a push came, and whether the forge has merged on its pages: by the word of the forge that the hook
//! was installed for, and of nobody else.

use super::{Outcome, Stage, accepted, refused};

/// What each forge says of a push by each way; an empty way is what it does not say.
const SAID: [(&str, &str, &[(&str, &str)]); 21] = [
    ("gitlab", "ssh", &[("GL_ID", "user-1"), ("GL_PROTOCOL", "ssh")]),
    ("gitlab", "http", &[("GL_ID", "user-1"), ("GL_PROTOCOL", "http")]),
    ("gitlab", "web", &[("GL_ID", "user-1"), ("GL_PROTOCOL", "web")]),
    ("gitlab", "", &[("GL_ID", "user-1")]),
    ("gitlab", "", &[("GL_ID", "user-1"), ("GL_PROTOCOL", "SSH")]),
    ("gitea", "ssh", &[("GITEA_PUSHER_NAME", "alice"), ("SSH_ORIGINAL_COMMAND", "git-receive-pack 'a/b'")]),
    ("gitea", "http", &[("GITEA_PUSHER_NAME", "alice"), ("SSH_ORIGINAL_COMMAND", "receive-pack")]),
    ("gitea", "web", &[("GITEA_PUSHER_NAME", "alice"), ("SSH_ORIGINAL_COMMAND", "gitea-internal")]),
    ("gitea", "merge", &[("GITEA_PUSHER_NAME", "alice"), ("GITEA_PUSH_TRIGGER", "pr-merge-to-base")]),
    ("gitea", "", &[("GITEA_PUSHER_NAME", "alice")]),
    ("github", "ssh", &[("GITHUB_USER_LOGIN", "alice"), ("GITHUB_PUBLIC_KEY_FINGERPRINT", "SHA256:x")]),
    ("github", "web", &[("GITHUB_USER_LOGIN", "alice"), ("GITHUB_VIA", "blob edit")]),
    ("github", "merge", &[("GITHUB_USER_LOGIN", "alice"), ("GITHUB_VIA", "pull request merge button")]),
    ("github", "", &[("GITHUB_USER_LOGIN", "alice")]),
    ("bitbucket", "web", &[("BB_USER_NAME", "alice"), ("BB_HOOK_TRIGGER_ID", "file-edit")]),
    ("bitbucket", "merge", &[("BB_USER_NAME", "alice"), ("BB_HOOK_TRIGGER_ID", "pull-request-merge")]),
    ("bitbucket", "", &[("BB_USER_NAME", "alice"), ("BB_HOOK_TRIGGER_ID", "repo-push")]),
    ("gitolite", "ssh", &[("GL_USER", "alice"), ("SSH_ORIGINAL_COMMAND", "git-receive-pack 'r'")]),
    ("gitolite", "http", &[("GL_USER", "alice"), ("REQUEST_METHOD", "POST")]),
    ("gitolite", "", &[("GL_USER", "alice")]),
    ("http", "http", &[("REMOTE_USER", "alice"), ("REQUEST_METHOD", "POST")]),
];

fn push(stage: &Stage, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let path = stage.path();
    let (options, refs): (Vec<&str>, Vec<&str>) =
        arguments.iter().partition(|argument| argument.starts_with("--"));
    let run = stage.work().git(&[&["push", "-q"], &options[..], &[&path], &refs[..]].concat());
    let run = variables.iter().fold(run, |run, (name, value)| run.env(name, value));
    run.any_stdout().any_stderr().any_status().check()
}

/// A server whose hook is installed for a forge of this kind.
fn stage(kind: &str, rule: &str) -> Stage {
    let stage = Stage::with(rule, "sha1", &["--forge", &format!("{kind}=git.example.com")], "");
    stage.commit("first");
    stage
}

#[test]
fn a_push_is_taken_by_the_ways_of_its_rule_and_by_no_other() {
    let stage = stage("gitlab", "");
    for (rule, taken) in [
        ("ways = [\"ssh\"]\n", &["ssh"][..]),
        ("ways = [\"http\", \"ssh\"]\n", &["http", "ssh"]),
        ("ways = [\"web\"]\n", &["merge", "web"]),
        ("ways = [\"ssh\"]\nweb_merges = \"allow\"\n", &["merge", "ssh"]),
    ] {
        stage.policy(rule, "");
        for (number, (kind, way, variables)) in SAID.into_iter().enumerate() {
            stage.install(&["--forge", &format!("{kind}=git.example.com")]);
            // Whatever stands there besides is another forge's.
            let foreign = [("GL_PROTOCOL", "ssh"), ("GITHUB_VIA", "merge"), ("GITEA_PUSH_TRIGGER", "x")];
            let own: Vec<&str> = SAID
                .iter()
                .filter(|(other, ..)| *other == kind)
                .flat_map(|(.., all)| *all)
                .map(|(name, _)| *name)
                .collect();
            let foreign = foreign.into_iter().filter(|(name, _)| !own.contains(name));
            let variables: Vec<_> = variables.iter().copied().chain(foreign).collect();
            let outcome = push(&stage, &variables, &[&format!("main:t{number}")]);
            match (way, taken.contains(&way)) {
                (_, true) => {
                    accepted(&outcome);
                    accepted(&push(&stage, &variables, &[&format!(":t{number}")]));
                }
                ("", false) => refused(&outcome, &["nothing says by which way it was pushed", "'--forge'"]),
                ("merge", false) => refused(&outcome, &["merged on the pages of 'git.example.com'"]),
                (way, false) => {
                    refused(&outcome, &[&format!("pushed by way of '{way}', where only"), "(rule 'all')"]);
                }
            }
        }
    }
}

#[test]
fn where_no_forge_is_believed_a_rule_that_asks_takes_nothing() {
    let stage = Stage::with("ways = [\"http\", \"ssh\", \"web\"]\n", "sha1", &[], "");
    stage.commit("first");
    let said: Vec<(&str, &str)> = SAID.iter().flat_map(|(.., variables)| *variables).copied().collect();
    refused(&push(&stage, &said, &["main"]), &["nothing says by which way it was pushed"]);
    let status = stage.world.countersign(&["hook", "status", "--repository", "server.git"]).any_status();
    let status = status.any_stdout().check().text();
    assert!(status.contains("installed for no forge that could say: it can never be met"), "{status}");
    // A certificate says who pushes, and not how.
    let token = stage.world.token(super::ALICE);
    let signed = stage.work().git(&["push", "-q", "--signed", &stage.path(), "main"]);
    let signed = signed.env("SIGSTORE_ID_TOKEN", token).any_stderr().any_status().check();
    refused(&signed, &["nothing says by which way it was pushed"]);
    // What is deleted came by some way too.
    stage.policy("", "");
    accepted(&push(&stage, &[], &["main"]));
    stage.policy("web_merges = \"refuse\"\n", "");
    refused(&push(&stage, &[], &[":main"]), &["nothing says whether it was merged on a forge's pages"]);
}

#[test]
fn who_pushes_and_by_which_way_are_both_asked() {
    let stage = stage("gitea", "pushers = [\"alice\"]\nways = [\"ssh\"]\n");
    let by = |name: &'static str, command: &'static str| {
        [("GITEA_PUSHER_NAME", name), ("SSH_ORIGINAL_COMMAND", command)]
    };
    let ssh = "git-receive-pack 'a/b'";
    refused(&push(&stage, &by("bob", ssh), &["main"]), &["where only 'alice' may"]);
    refused(&push(&stage, &by("alice", "receive-pack"), &["main"]), &["pushed by way of 'http'"]);
    accepted(&push(&stage, &by("alice", ssh), &["main"]));
    let log = std::fs::read_to_string(stage.world.path("server.git/countersign/audit.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&last["decision"], &last["forgeWay"]), (&"accepted".into(), &"ssh".into()), "{last}");
}

#[test]
fn a_rule_that_warns_lets_it_pass_and_an_administrator_may_admit_it() {
    let rule = "ways = [\"ssh\"]\n";
    let stage = stage("gitlab", &format!("{rule}mode = \"warn\"\n"));
    let http = [("GL_ID", "user-1"), ("GL_PROTOCOL", "http")];
    let warned = push(&stage, &http, &["main"]);
    accepted(&warned);
    assert!(
        warned.words().contains("warning: refs/heads/main: pushed by way of 'http'"),
        "{}",
        warned.words()
    );
    stage.policy(rule, "");
    let next = stage.commit("next");
    refused(&push(&stage, &http, &["main"]), &["pushed by way of 'http'"]);
    let admit = ["hook", "admit", "--repository", "server.git", "--ref", "refs/heads/main", "--new", &next];
    let admit = [&admit[..], &["--reason", "no ssh today"]].concat();
    stage.world.countersign(&admit).any_stdout().check();
    accepted(&push(&stage, &http, &["main"]));
}

#[test]
fn what_a_forge_never_says_is_told_before_anybody_pushes() {
    let stage = stage("github", "ways = [\"http\"]\n");
    let check = |forge: &str| {
        let arguments = ["policy", "check", "policy.toml", "--forge", forge];
        stage.world.countersign(&arguments).any_status().any_stdout().any_stderr().check().text()
    };
    let never = "rule 'all' takes only pushes by 'http', and can never be met there: ";
    for kind in ["github", "bitbucket"] {
        let text = check(kind);
        assert!(text.contains(&format!("{never}{kind} does not say when one came so\nhint: ")), "{text}");
    }
    for kind in ["gitlab", "gitea", "forgejo", "gitolite", "http"] {
        assert!(!check(kind).contains("came so"), "{kind}");
    }
    let status = stage.world.countersign(&["hook", "status", "--repository", "server.git"]).status(1);
    let status = status.any_stdout().check().text();
    assert!(status.contains(never), "{status}");
    stage.policy("ways = [\"http\", \"ssh\"]\n", "");
    assert!(check("github").contains("takes pushes by 'http', which are refused there"));
    stage.policy("ways = [\"ssh\"]\nweb_merges = \"allow\"\n", "");
    assert!(check("gitlab").contains("gitlab does not say what is one"));
}

#[test]
fn a_rule_is_explained_with_its_ways() {
    let stage = stage("gitea", "ways = [\"ssh\"]\nweb_merges = \"allow\"\n");
    let explain = |more: &[&str]| {
        let arguments =
            [&["policy", "explain", "--policy", "../policy.toml", "refs/heads/main"], more].concat();
        stage.work().countersign(&arguments).any_stdout().any_stderr().check().text()
    };
    let text = explain(&[]);
    assert!(text.contains("pushed by: ssh\nmerges on the forge's pages: taken\n"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    let rule = &value["rule"];
    assert_eq!((&rule["ways"], &rule["web_merges"]), (&serde_json::json!(["ssh"]), &true.into()));
    assert_eq!((&rule["forge_merges"], &rule["trust_forge"]), (&false.into(), &serde_json::json!([])));
    stage.policy("", "");
    assert!(!explain(&[]).contains("pushed by"));
}
