//! A policy is explained, and tried on history, before it refuses anybody.

use serde_json::Value;

use crate::Stage;

const RULES: &str = r#"
[group.maintainers]
members = ["alice", "bob"]
[[rule]]
name = "main"
refs = ["refs/heads/main"]
commits = ["maintainers"]
create = "allow"
committer = "signer"
proof = "log"
[[rule.path]]
paths = ["infra/**"]
except = ["infra/README"]
commits = ["bob"]
"#;

/// A history of which the rule takes some.
fn stage() -> (Stage, String) {
    let stage = Stage::new(RULES);
    stage.put("a", "0");
    stage.commit("alice", "good");
    stage.git(&["tag", "--no-sign", "begin"]);
    stage.git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "unsigned"]);
    stage.git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "unsigned too"]);
    stage.put("infra/x", "0");
    stage.commit("alice", "not hers");
    stage.put("infra/README", "0");
    stage.commit("alice", "hers");
    let policy = stage.policy(RULES);
    (stage, policy)
}

#[test]
fn a_policy_is_tried_on_history_before_it_is_enforced() {
    let (stage, policy) = stage();
    let run = |arguments: &[&str], status: i32| {
        let arguments = [&["policy", "test", "--policy", &policy], arguments].concat();
        stage.work().countersign(&arguments).status(status).any_stdout().any_stderr().check().text()
    };
    let said = run(&["--against", "begin..HEAD"], 1);
    assert!(said.starts_with("refs/heads/main: 4 objects judged, by rule 'main'\n"), "{said}");
    let unsigned = "2 refusals: it is not signed, where the group 'maintainers' ('alice', 'bob') has to sign (rule 'main')\n";
    assert!(said.contains(unsigned), "{said}");
    let path = "1 refusal: it changes what only some may change, and signed by 'alice@example.com'";
    assert!(
        said.contains(path) && said.contains(&format!("  commit {}, 'infra/x'\n", stage.work().id("HEAD~1"))),
        "{said}"
    );
    assert!(said.find(unsigned) < said.find(path), "the most frequent comes first");

    let value: Value = serde_json::from_str(&run(&["--against", "begin..HEAD", "--json"], 1)).unwrap();
    assert_eq!((&value["judged"], &value["rule"]), (&Value::from(4), &Value::from("main")));
    assert_eq!(
        (&value["refusals"][0]["count"], value["refusals"][0]["objects"].as_array().unwrap().len()),
        (&Value::from(2), 2)
    );

    // What is past stays past where the rule is told so, with the line that is offered.
    let said = run(&["--against", "HEAD"], 1);
    let line = said.trim_end().rsplit_once("with '").unwrap().1.strip_suffix('\'').unwrap();
    assert!(
        said.ends_with(&format!("hint: rule 'main' takes all of this as it is with '{line}'\n")),
        "{said}"
    );
    stage.policy(&RULES.replace("proof =", &format!("{line}\nproof =")));
    assert!(run(&["--against", "HEAD"], 0).contains("nothing would be refused"));

    // A rule that would only warn is tried as if it did not.
    stage.policy(&RULES.replace("proof =", "mode = \"warn\"\nproof ="));
    run(&["--against", "begin..HEAD"], 1);
    assert!(run(&["--against", "HEAD~1..HEAD"], 0).contains("nothing would be refused"));
    assert!(run(&["--against", "begin"], 0).contains("1 object judged"), "a whole history");
    let said = run(&["--against", "begin", "--ref", "refs/heads/other"], 1);
    assert!(said.contains("no rule names this ref"), "{said}");
    let said = run(&["--against", "HEAD~1..begin"], 1);
    assert!(
        said.contains("the new value does not descend") && said.contains("'infra/x' would not be as it is"),
        "{said}"
    );
    let bad = ["policy", "test", "--policy", &policy, "--against", "nowhere"];
    stage.work().countersign(&bad).status(3).stderr_holds(&["hint: name a range"]).check();
}

#[test]
fn a_rule_is_explained_and_what_it_says_of_a_commit() {
    let (stage, policy) = stage();
    let run = |arguments: &[&str], status: i32| {
        let arguments = [&["policy", "explain", "--policy", &policy], arguments].concat();
        stage.work().countersign(&arguments).status(status).any_stdout().any_stderr().check().text()
    };
    let said = run(&["refs/heads/main"], 0);
    for line in [
        "refs/heads/main: rule 'main', by 'refs/heads/main'\n",
        "commits: signed by one of: group 'maintainers' (alice, bob)\n",
        "tags: there may be none\n",
        "infra/** except infra/README: changed by one of: bob\n",
        "committer: the signer\n",
        "proof: log\n",
        "allowed: create\n",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(run(&["refs/tags/v1"], 0).contains("no rule names it, and nothing may happen to such refs"));
    assert!(run(&["refs/replace/x"], 0).contains("reserved"));
    assert!(run(&["refs/heads/main", "HEAD"], 0).ends_with(": accepted\n"));
    let said = run(&["refs/heads/main", "HEAD~1"], 1);
    assert!(said.contains(": refused: it changes 'infra/x', and signed by 'alice@example.com'"), "{said}");
    assert!(run(&["refs/heads/main", "HEAD~2"], 1).contains("it is not signed"));
    run(&["refs/heads/other", "HEAD"], 1);

    let value: Value = serde_json::from_str(&run(&["refs/heads/main", "HEAD~1", "--json"], 1)).unwrap();
    let rule = &value["rule"];
    assert_eq!(rule["commits"]["identities"], serde_json::json!(["alice", "bob"]));
    assert_eq!(rule["commits"]["groups"], serde_json::json!(["maintainers"]));
    assert_eq!(rule["paths"][0]["except"], serde_json::json!(["infra/README"]));
    assert_eq!(
        (&rule["create"], &rule["rewind"], &rule["proof"]),
        (&true.into(), &false.into(), &"log".into())
    );
    assert_eq!(value["commit"]["refusals"].as_array().unwrap().len(), 1);
    // A file alone is explained outside of any repository.
    let alone = ["policy", "explain", "--policy", &policy, "refs/heads/main"];
    let said = stage.world.countersign(&alone).any_stdout().check().text();
    assert!(said.starts_with("refs/heads/main: rule 'main'"), "{said}");
    let commit = [&alone[..], &["HEAD"]].concat();
    stage.world.countersign(&commit).status(3).stderr_holds(&["there is no git repository"]).check();
    let short = ["policy", "explain", "--policy", &policy, "main"];
    stage.work().countersign(&short).status(3).stderr_holds(&["hint: write it as 'refs/heads/main'"]).check();
}

#[test]
fn whoever_writes_a_policy_is_told_what_to_do_about_it() {
    let stage = Stage::new(RULES);
    let check = |rules: &str, status: i32| {
        let policy = stage.policy(rules);
        let run = stage.world.countersign(&["policy", "check", &policy]).status(status);
        run.any_stdout().any_stderr().check()
    };
    let rule =
        "[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\", \"bob\", \"eve\"]\n";
    for (rules, error, hint) in [
        (
            rule.replace("[\"alice\", \"bob\", \"eve\"]", "\"unsigned\"\napprovers = [\"bob\"]"),
            "rule 'main' names 'approvers', and nobody is asked",
            "say with 'threshold' how many persons",
        ),
        (
            rule.replace("heads/main", "heads/"),
            "the pattern 'refs/heads/' of rule 'main' is refused",
            "'refs/heads/**'",
        ),
        (format!("{rule}threshold = 2\n"), "hears approvals", "write 'repository = \"example.com/project\"'"),
    ] {
        let said = check(&rules, 3).words();
        assert!(said.contains("error: ") && said.contains(error), "{said}");
        assert!(said.contains("\nhint: ") && said.contains(hint), "{said}");
    }
    let said = check(&rule.replace(", \"eve\"", ""), 1).text();
    assert_eq!(said, "warning: no rule names the identity 'eve'\nhint: name it in a rule, or take it out\n");
    check(rule, 0);
}
