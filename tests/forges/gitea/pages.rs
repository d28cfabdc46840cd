//! What is done on a Gitea's pages, by way of its API: edits, merges, branches, tags.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Gitea, PATIENCE, policy, with_gitea};
use crate::{commits, support::Repository};

/// Who made a commit that the key of the pages has signed.
const MADE: &str = "made by the forge 'web' for whoever was logged in there";

/// The rule for what Gitea keeps of pull requests.
const PULLS: &str = "[[rule]]\nname = \"pulls\"\nrefs = [\"refs/pull/**\"]\ncommits = \"unsigned\"\n\
                     create = \"allow\"\nrewind = \"allow\"\ndelete = \"allow\"\n";

/// Ask for a pull; its number.
fn pull(gitea: &Gitea<'_>, head: &str) -> String {
    let pull = json!({ "title": format!("the pull of {head}"), "head": head, "base": "main" });
    gitea.done("alice", "POST", "/repos/alice/project/pulls", pull)["number"].to_string()
}

/// Have alice merge a pull on the pages; what that comes to, once Gitea has looked at it.
fn merge(gitea: &Gitea<'_>, number: &str, style: &str) -> (u16, Value) {
    merge_by(gitea, "alice", number, style)
}

fn merge_by(gitea: &Gitea<'_>, user: &str, number: &str, style: &str) -> (u16, Value) {
    let begun = std::time::Instant::now();
    loop {
        let path = format!("/repos/alice/project/pulls/{number}/merge");
        let (status, answer) = gitea.api(user, "POST", &path, json!({ "Do": style }));
        // It looks at conflicts in the background first.
        if status != 405 {
            return (status, answer);
        }
        assert!(begun.elapsed() < PATIENCE, "{answer}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[track_caller]
fn merge_refused(gitea: &Gitea<'_>, number: &str, style: &str, part: &str) {
    let (status, answer) = merge(gitea, number, style);
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(status == 409 && message.contains(part), "{status} {answer}");
}

/// A signed commit that adds a file, on a branch of this name; its id.
fn topic(work: &Repository<'_>, from: &str, name: &str) -> String {
    work.git(&["checkout", "-q", from]).check();
    std::fs::write(work.path.join(name), name).unwrap();
    work.git(&["add", "-A"]).check();
    work.git(&["commit", "-q", "-m", name]).check();
    work.id("HEAD")
}

#[track_caller]
fn pushed(gitea: &Gitea<'_>, work: &Repository<'_>, refs: &[&str]) {
    let outcome = gitea.push(work, "alice", "project", refs);
    assert_eq!(outcome.status, 0, "{}", outcome.words());
}

#[test]
fn what_is_made_on_the_pages_meets_the_gate() {
    with_gitea("what_is_made_on_the_pages_meets_the_gate", |world, gitea| {
        let rules = |pulls: &str| policy(world, "forge_merges = \"allow\"\npushers = [\"alice\"]\n", pulls);
        rules("");
        let server = gitea.project("project");
        gitea.install(&server, &[]);
        let (work, good, bad) = commits(world);
        pushed(gitea, &work, &[&format!("{good}:refs/heads/main")]);
        gitea.wait_for_content("project");

        // An edit has one parent and the pages' key.
        let edit = json!({ "branch": "main", "message": "an edit", "content": STANDARD.encode("edited") });
        let said = gitea.refused("alice", "POST", "/repos/alice/project/contents/edit", edit);
        assert!(said.starts_with("403 ") && said.contains(MADE) && said.contains("hint: "), "{said}");
        let line = gitea.audit(&server, "refs/heads/main").pop().unwrap();
        assert_eq!((&line["decision"], &line["forgeUser"]), (&json!("refused"), &json!("alice")));
        assert_eq!(line["forgeWay"], "web");

        // A merge that adds nothing passes; of what nobody signed it does not, nor does a squash.
        let signed = topic(&work, &good, "signed");
        pushed(gitea, &work, &[&format!("{signed}:refs/heads/topic/signed")]);
        pushed(gitea, &work, &[&format!("{bad}:refs/heads/topic/unsigned")]);
        // What Gitea keeps of a pull is pushed to a ref that a rule has to name.
        let request = json!({ "title": "no rule", "head": "topic/signed", "base": "main" });
        gitea.refused("alice", "POST", "/repos/alice/project/pulls", request);
        gitea.wait_for_log("refs/pull/1/head: no rule names this ref");
        rules(PULLS);
        let (first, second) = (pull(gitea, "topic/signed"), pull(gitea, "topic/unsigned"));
        merge_refused(gitea, &first, "squash", MADE);
        merge_refused(gitea, &second, "merge", "it is not signed, where 'alice' has to sign");
        let (status, answer) = merge(gitea, &first, "merge");
        assert_eq!(status, 200, "{answer}");
        let line = gitea.audit(&server, "refs/heads/main").pop().unwrap();
        assert_eq!((&line["decision"], &line["forgeWay"]), (&json!("accepted"), &json!("web merge")));
        // Somebody else's click is somebody else's push.
        work.git(&["fetch", "-q", &gitea.address("alice", "project"), "main"]).any_stderr().check();
        let merged = work.id("FETCH_HEAD");
        assert_eq!(work.id(&format!("{merged}^2")), signed);
        let next = topic(&work, &merged, "next");
        pushed(gitea, &work, &[&format!("{next}:refs/heads/topic/next")]);
        let third = pull(gitea, "topic/next");
        let (status, answer) = merge_by(gitea, "bob", &third, "fast-forward-only");
        let words = answer.to_string();
        assert!(status == 409 && words.contains("pushed by 'bob' at 'git.example.com'"), "{status} {words}");
        // Without a commit of its own a merge needs nobody's leave.
        let (status, answer) = merge(gitea, &third, "fast-forward-only");
        assert_eq!(status, 200, "{answer}");

        // What comes from a fork is pushed by Gitea itself, which then asks nothing; the gate does.
        gitea.done("bob", "POST", "/repos/alice/project/forks", json!({}));
        let fork = gitea.address("bob", "project").replace("/alice/", "/bob/");
        work.git(&["push", "-q", &fork, &format!("{bad}:refs/heads/evil")]).any_stderr().check();
        let number = pull(gitea, "bob:evil");
        let line = gitea.audit(&server, &format!("refs/pull/{number}/head")).pop().unwrap();
        assert_eq!((&line["forgeUser"], &line["forgeWay"]), (&json!("alice"), &json!("web")));
        merge_refused(gitea, &number, "merge", "it is not signed, where 'alice' has to sign");

        // A branch that is made there is a push to a ref that no rule names.
        let branch = json!({ "new_branch_name": "release", "old_ref_name": "main" });
        let (status, answer) = gitea.api("alice", "POST", "/repos/alice/project/branches", branch);
        // Its API keeps the words to its own log.
        assert_eq!(status, 500, "{answer}");
        gitea.wait_for_log("refs/heads/release: no rule names this ref");
        let (status, words) = gitea.ledger(&server);
        assert_eq!(status, 0, "{words}");
    });
}

#[test]
fn what_the_pages_do_without_a_push_is_judged_by_the_guard() {
    with_gitea("what_the_pages_do_without_a_push_is_judged_by_the_guard", |world, gitea| {
        policy(world, "", PULLS);
        let server = gitea.project("project");
        let said = gitea.install(&server, &["--no-guard"]);
        assert!(said.contains("install without '--no-guard'"), "{said}");
        let (work, good, _) = commits(world);
        pushed(gitea, &work, &[&format!("{good}:refs/heads/main"), &format!("{good}:refs/heads/topic/a")]);
        gitea.wait_for_content("project");
        let has = |reference: &str| {
            let verify = ["--git-dir", server.to_str().unwrap(), "rev-parse", "--verify", "-q", reference];
            world.run("git", &verify).any_status().any_stdout().check().status == 0
        };
        let tag = |name: &str| {
            gitea
                .api(
                    "alice",
                    "POST",
                    "/repos/alice/project/tags",
                    json!({ "tag_name": name, "target": "main" }),
                )
                .0
        };
        // git alone makes a tag, and no rule is asked; the ledger tells afterwards.
        assert_eq!((tag("v1"), has("refs/tags/v1")), (201, true));
        let (status, words) = gitea.ledger(&server);
        assert!(status == 1 && words.contains("refs/tags/v1"), "{words}");
        let enter =
            ["ledger", "enter", "--repository", server.to_str().unwrap(), "--reason", "made on the pages"];
        world.countersign(&enter).any_stdout().any_stderr().check();

        let said = gitea.install(&server, &[]);
        assert!(!said.contains("guard") && said.contains("without a push: judged like a push"), "{said}");
        let status = tag("v2");
        assert!(status >= 400 && !has("refs/tags/v2"), "{status}");
        let release = json!({ "tag_name": "v3", "target_commitish": "main", "name": "three" });
        gitea.refused("alice", "POST", "/repos/alice/project/releases", release);
        assert!(!has("refs/tags/v3"));
        let line = gitea.audit(&server, "refs/tags/v2").pop().unwrap();
        assert_eq!((&line["decision"], &line["forgeUser"]), (&json!("refused"), &json!(null)));
        assert_eq!(line["forgeWay"], "unknown");
        gitea.refused("alice", "DELETE", "/repos/alice/project/tags/v1", Value::Null);
        assert!(has("refs/tags/v1"));
        // What a rule lets happen does, and is entered.
        gitea.done("alice", "DELETE", "/repos/alice/project/branches/topic%2Fa", Value::Null);
        assert!(!has("refs/heads/topic/a"));
        let signed = topic(&work, &good, "signed");
        pushed(gitea, &work, &[&format!("{signed}:refs/heads/topic/signed")]);
        let number = pull(gitea, "topic/signed");
        assert!(has(&format!("refs/pull/{number}/head")));
        let (status, answer) = merge(gitea, &number, "fast-forward-only");
        assert_eq!(status, 200, "{answer}");
        // A pull by a push of its own kind.
        let agit = topic(&work, &signed, "agit");
        let refs = format!("{agit}:refs/for/main/agit");
        let outcome = gitea.push(&work, "alice", "project", &[&refs]);
        assert!(
            outcome.status != 0 && outcome.words().contains("no rule names this ref"),
            "{}",
            outcome.words()
        );
        let own = "[[rule]]\nname = \"for\"\nrefs = [\"refs/for/**\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n";
        policy(world, "", &format!("{PULLS}{own}"));
        pushed(gitea, &work, &[&refs]);
        assert!(has("refs/pull/2/head") && !has("refs/for/main/agit"));
        let (status, words) = gitea.ledger(&server);
        assert_eq!(status, 0, "{words}");
    });
}

/// What Gitea itself does in a repository with git alone: nothing of it stops because the guard stands there.
#[test]
fn what_gitea_keeps_for_itself_goes_on_under_the_guard() {
    with_gitea("what_gitea_keeps_for_itself_goes_on_under_the_guard", |world, gitea| {
        policy(world, "", PULLS);
        let server = gitea.project("project");
        gitea.install(&server, &[]);
        let (work, good, _) = commits(world);
        pushed(gitea, &work, &[&format!("{good}:refs/heads/main"), &format!("{good}:refs/heads/topic/a")]);
        gitea.wait_for_content("project");
        // A fork has hooks of its own, and here the guard too.
        gitea.done("bob", "POST", "/repos/alice/project/forks", json!({}));
        let forked = world.path("gitea/repositories/bob/project.git");
        gitea.install(&forked, &[]);
        let fork = gitea.address("bob", "project").replace("/alice/", "/bob/");
        let topic = topic(&work, &good, "forked");
        work.git(&["push", "-q", &fork, &format!("{topic}:refs/heads/topic/b")]).any_stderr().check();
        let compared = "/repos/alice/project/compare/main...bob:topic%2Fb";
        assert_eq!(gitea.done("alice", "GET", compared, Value::Null)["total_commits"], 1);
        let first = pull(gitea, "bob:topic/b");
        // More is pushed to it, it is looked at, brought up to date, closed, opened and merged.
        let next = self::topic(&work, &topic, "next");
        work.git(&["push", "-q", &fork, &format!("{next}:refs/heads/topic/b")]).any_stderr().check();
        let at = format!("/repos/alice/project/pulls/{first}");
        for more in ["", "/files", "/commits", ".diff"] {
            gitea.done("alice", "GET", &format!("{at}{more}"), Value::Null);
        }
        for state in ["closed", "open"] {
            gitea.done("alice", "PATCH", &at, json!({ "state": state }));
        }
        let (status, answer) = merge(gitea, &first, "fast-forward-only");
        assert_eq!(status, 200, "{answer}");
        // The fork follows, and what it holds is looked after.
        gitea.done("bob", "POST", "/repos/bob/project/merge-upstream", json!({ "branch": "main" }));
        for repository in [&server, &forked] {
            world
                .run("git", &["--git-dir", repository.to_str().unwrap(), "gc", "-q", "--prune=now"])
                .any_stderr()
                .check();
            let (status, words) = gitea.ledger(repository);
            assert_eq!(status, 0, "{words}");
        }
        // Nothing that was asked of the guard was refused, but for what the policy has no rule for.
        let text = std::fs::read_to_string(server.join("countersign/audit.jsonl")).unwrap();
        let refused: Vec<&str> = text.lines().filter(|line| line.contains("\"refused\"")).collect();
        assert_eq!(refused, [""; 0]);
        gitea.done("bob", "DELETE", "/repos/bob/project", Value::Null);
    });
}
