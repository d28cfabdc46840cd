//! `countersign doctor`, in worlds with one thing wrong each.

use serde_json::Value;

use crate::support::{ALICE, BOB, Repository, World};

/// The checks with this name, after checking that status and state agree.
fn diagnose(
    repository: &Repository<'_>,
    arguments: &[&str],
) -> impl Fn(&str) -> Vec<(String, String, String)> + use<> {
    let run = repository.countersign(&[&["doctor", "--json"], arguments].concat());
    let outcome = run.any_stdout().any_status().check();
    let report: Value = serde_json::from_str(&outcome.text()).unwrap();
    let status = match report["state"].as_str().unwrap() {
        "well" => 0,
        "broken" => 1,
        "warning" => 2,
        other => panic!("{other}"),
    };
    assert_eq!(outcome.status, status, "{report}");
    move |check| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let checks = report["checks"].as_array().unwrap().iter().filter(|found| found["check"] == check);
        checks
            .map(|found| {
                let hints: Vec<String> = found["hints"].as_array().unwrap().iter().map(text).collect();
                (text(&found["state"]), text(&found["said"]), hints.join("\n"))
            })
            .collect()
    }
}

fn state(found: &[(String, String, String)]) -> Vec<&str> {
    found.iter().map(|(state, ..)| state.as_str()).collect()
}

#[test]
fn a_set_up_that_works_is_well() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let before = world.log_size();
    let found = diagnose(&repository, &[]);
    for check in
        ["configuration", "policy", "trusted root", "servers", "identity", "committer", "agent", "clock"]
    {
        assert_eq!(state(&found(check)), ["well"], "{check} {:?}", found(check));
    }
    assert_eq!(state(&found("network")), ["well", "well"]);
    assert_eq!(state(&found("forges")), ["note"]);
    for check in ["repository", "gitsign"] {
        assert!(found(check).is_empty(), "{:?}", found(check));
    }
    assert!(found("identity")[0].1.starts_with("'alice@example.com', by the variable 'SIGSTORE_ID_TOKEN'"));
    assert_eq!(world.log_size(), before, "nothing was signed");
    let text = repository.countersign(&["doctor"]).any_stdout().any_status().check().text();
    assert!(text.contains("well     committer: 'alice@example.com' signs and commits\n"), "{text}");
    assert!(
        text.contains("note     forges: GitHub and GitLab show keyless commits as 'Unverified': "),
        "{text}"
    );
    assert!(text.contains("a rule there that requires signed commits refuses them\n"), "{text}");
    assert!(!text.contains(&world.token(ALICE)[..40]), "no token is shown");
}

#[test]
fn what_is_wrong_is_named_with_what_mends_it() {
    let mut world = World::new();
    world.repository("r", "sha1");
    world.set("SIGSTORE_ID_TOKEN", &world.token(BOB));
    world.stop_authority();
    let repository = Repository::at(&world, &world.path("r"));
    repository.git(&["config", "gpg.x509.program", "gitsign"]).check();
    repository.git(&["config", "countersign.instance", "evil\u{1b}[2J"]).check();
    world.set("GITSIGN_FULCIO_ROOT", "/root.pem");
    world.configure("[countersign]\n policy = /nowhere/policy.toml");
    let found = diagnose(&repository, &[]);
    assert_eq!(state(&found("configuration")), ["broken"]);
    assert_eq!(found("configuration")[0].2, "run 'countersign init --local' in this repository");
    assert_eq!(state(&found("repository")), ["warning"]);
    assert_eq!(
        found("repository")[0].2,
        "if you mean it, run 'countersign init --local --allow countersign.instance'"
    );
    assert_eq!(state(&found("gitsign")), ["broken"]);
    assert_eq!(state(&found("policy")), ["broken"]);
    assert_eq!(state(&found("committer")), ["warning"]);
    assert_eq!(state(&found("network")), ["broken", "broken"]);
    assert!(found("network")[0].1.starts_with("certificate authority: cannot connect to '127.0.0.1'"));
    assert_eq!(state(&found("clock")), ["note"]);
    let text = repository.countersign(&["doctor"]).any_stdout().status(1).check().text();
    assert!(!text.contains('\u{1b}') && text.contains(r"evil\u{1b}[2J"), "{text}");
    assert_eq!(state(&diagnose(&repository, &["--offline"])("network")), ["note"]);
}

#[test]
fn a_world_without_an_identity_or_a_repository_is_told() {
    let world = World::new();
    world.unset("SIGSTORE_ID_TOKEN");
    world.configure("[countersign]\n login = none");
    world.set("GITHUB_ACTIONS", "true");
    let nowhere = Repository::at(&world, &world.path("home"));
    let found = diagnose(&nowhere, &["--offline"]);
    assert_eq!(state(&found("identity")), ["broken"]);
    assert!(found("identity")[0].2.ends_with("give the workflow's job 'permissions: id-token: write'"));
    world.set("SIGSTORE_ID_TOKEN", "nonsense");
    assert_eq!(diagnose(&nowhere, &["--offline"])("identity")[0].1, "this is not an identity token");
    world.configure("[countersign]\n instance = nameless");
    let found = diagnose(&nowhere, &["--offline"]);
    assert_eq!((state(&found("trusted root")), state(&found("servers"))), (vec!["broken"], vec!["broken"]));
    assert!(found("identity").is_empty());
    world.write("home/.gitconfig", "[gpg\n");
    let found = diagnose(&nowhere, &["--offline"]);
    assert_eq!(state(&found("configuration")), ["broken"]);
}
