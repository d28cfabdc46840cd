//! Groups: who is in one counts, and a refusal says who that would be.

use crate::Stage;

const RULES: &str = "
[group.maintainers]
members = [\"leads\", \"bob\"]
[group.leads]
members = [\"alice\"]
[[rule]]
name = \"main\"
refs = [\"refs/heads/main\"]
commits = [\"maintainers\"]
create = \"allow\"
";

#[test]
fn whoever_is_in_a_group_counts_and_whoever_leaves_it_does_not() {
    let stage = Stage::new(RULES);
    stage.commit("alice", "by a member of a member");
    stage.push("HEAD", "refs/heads/main").unwrap();
    stage.commit("bob", "by a member");
    stage.push("HEAD", "refs/heads/main").unwrap();

    let good = stage.work().id("HEAD");
    stage.commit("eve", "by nobody");
    let words = stage.push("HEAD", "refs/heads/main").unwrap_err();
    let wanted = "('eve'), where only the group 'maintainers' ('alice', 'bob') may (rule 'main')";
    assert!(words.contains(wanted), "{words}");

    stage.git(&["reset", "-q", "--hard", &good]);
    stage.policy(&RULES.replace("members = [\"leads\", \"bob\"]", "members = [\"leads\"]"));
    stage.commit("bob", "by somebody who has left");
    let words = stage.push("HEAD", "refs/heads/main").unwrap_err();
    assert!(words.contains("('bob'), where only the group 'maintainers' ('alice') may"), "{words}");
}

#[test]
fn readers_know_members_by_their_own_names() {
    let stage = Stage::new(RULES);
    let policy = stage.policy(RULES);
    stage.commit("alice", "by a member of a member");
    let verify = stage.work().countersign(&["verify", "--policy", &policy, "--json", "HEAD"]).any_stderr();
    let line: serde_json::Value =
        serde_json::from_str(verify.any_stdout().check().text().lines().next().unwrap()).unwrap();
    assert_eq!(line["name"], "alice", "{line}");
    let checked = stage.world.countersign(&["policy", "check", &policy]).any_stdout().any_status().check();
    assert!(checked.text().contains("no rule names the identity 'eve'"), "{}", checked.text());
    assert!(!checked.text().contains("'bob'"), "{}", checked.text());
}
