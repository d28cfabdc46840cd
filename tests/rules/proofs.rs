//! Which proofs a rule counts: logs, timestamp authorities and instances, by signatures that have one, the other
//! or both.

use crate::{Stage, support::Repository};

fn rules(more: &str) -> String {
    format!(
        "[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\"]\ncreate = \"allow\"\n\
         rewind = \"allow\"\n{more}\n"
    )
}

/// What a trusted root says of the servers of this kind, under this key.
fn urls(stage: &Stage, kind: &str, key: &str) -> Vec<String> {
    let root = stage.world.authority().authority().trusted_root_json();
    let root: serde_json::Value = serde_json::from_str(&root).unwrap();
    let servers = root[kind].as_array().unwrap().iter();
    servers.map(|server| server[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rule_says_what_has_to_prove_a_signature() {
    let stage = Stage::new(&rules(""));
    let logged = stage.commit("alice", "logged");
    stage.world.configure("[countersign]\n log = never");
    stage.git(&["update-ref", "-d", "HEAD"]);
    let stamped = stage.commit("alice", "stamped");
    stage.world.configure("[countersign]\n log = required\n rekorVersion = 1");

    let push = |commit: &str, more: &str| {
        stage.policy(&rules(more));
        let server = Repository::at(&stage.world, &stage.world.path("server.git"));
        server.git(&["update-ref", "-d", "refs/heads/main"]).check();
        stage.push(&format!("+{commit}"), "refs/heads/main")
    };
    let (log, authority) = (urls(&stage, "tlogs", "baseUrl"), urls(&stage, "timestampAuthorities", "uri"));
    let is = |key: &str, url: &str| format!("{key} = [\"{url}\"]");

    let words = push(&stamped, "").unwrap_err();
    assert!(words.contains("without an entry of a transparency log"), "{words}");
    let words = push(&stamped, "proof = \"log\"").unwrap_err();
    assert!(words.contains("it shows an entry in no log, where one in a log has to be"), "{words}");
    push(&stamped, "proof = \"both\"").unwrap_err();
    push(&stamped, "proof = \"timestamp\"").unwrap();
    push(&stamped, &format!("proof = \"timestamp\"\n{}", is("timestamp_authorities", &authority[0])))
        .unwrap();
    push(&stamped, "not_logged = \"allow\"").unwrap();
    let other = format!("proof = \"timestamp\"\n{}", is("timestamp_authorities", "https://other"));
    let words = push(&stamped, &other).unwrap_err();
    let wanted = format!("it has a timestamp by '{}', where one by 'https://other' has to be", authority[0]);
    assert!(words.contains(&wanted), "{words}");
    assert!(words.contains("hint: sign it again with what the rule counts"), "{words}");

    push(&logged, "proof = \"log\"").unwrap();
    push(&logged, &is("logs", &log[0])).unwrap();
    let words = push(&logged, &is("logs", "https://other")).unwrap_err();
    assert!(
        words.contains(&format!("it shows an entry in '{}', where one in 'https://other'", log[0])),
        "{words}"
    );
    push(&logged, &is("instances", "sandbox")).unwrap();
    let words = push(&logged, &is("instances", "public-good")).unwrap_err();
    assert!(words.contains("'sandbox' vouches, where only 'public-good' counts"), "{words}");
    let words = push(&logged, "proof = \"both\"").unwrap_err();
    assert!(words.contains("it has a timestamp by no authority"), "{words}");
}

#[test]
fn what_no_trusted_root_knows_is_found() {
    let stage = Stage::new(&rules(""));
    let check = |more: &str| {
        let path = stage.policy(&rules(more));
        stage.world.countersign(&["policy", "check", &path]).any_status().any_stdout().check().text()
    };
    let log = &urls(&stage, "tlogs", "baseUrl")[0];
    assert!(!check(&format!("logs = [\"{log}\"]")).contains("can count"));
    let said = check("logs = [\"https://other\"]\ntimestamp_authorities = [\"https://third\"]");
    assert!(
        said.contains("rule 'main' counts the log 'https://other', which no trusted root knows"),
        "{said}"
    );
    assert!(said.contains("the timestamp authority 'https://third', which no trusted root knows"), "{said}");
}
