//! Builds are told apart by repository and ref: the same workflow may run for anybody.

use countersign::sandbox::Build;

use crate::support::World;

const WORKFLOW: &str = "https://github.com/acme/ci/.github/workflows/release.yml@refs/heads/main";

fn build(repository: &str, reference: &str) -> Build {
    Build {
        repository: Some(repository.to_owned()),
        repository_id: Some("42".to_owned()),
        reference: Some(reference.to_owned()),
        workflow_ref: Some(format!("{repository}/.github/workflows/release.yml@{reference}")),
        event_name: Some("push".to_owned()),
    }
}

/// A policy that lets builds sign, with `more` in the entry; its path.
fn policy(world: &World, more: &str) -> String {
    let text = format!(
        "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\n\
         trusted_root = \"authority/trusted_root.json\"\nci_issuers = [\"{0}\"]\n\
         [identity.ci]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{0}\", kind = \"uri\", \
         subject = \"{WORKFLOW}\"{more} }}]\n\
         [[rule]]\nname = \"all\"\nrefs = [\"refs/**\"]\ncommits = [\"ci\"]\ncreate = \"allow\"\n",
        world.url()
    );
    world.write("policy.toml", text).to_str().unwrap().to_owned()
}

#[test]
fn the_claims_of_a_build_have_to_be_those_that_are_named() {
    let world = World::new();
    let repository = world.repository("work", "sha1");
    let sign = |build: &Build, message: &str| {
        let token = world.authority().authority().issue_build_token(WORKFLOW, build).unwrap();
        world.set("SIGSTORE_ID_TOKEN", &token);
        repository.commit(message)
    };
    let ours = sign(&build("acme/app", "refs/heads/main"), "ours");
    let topic = sign(&build("acme/app", "refs/heads/topic"), "another ref");
    let theirs = sign(&build("mallory/app", "refs/heads/main"), "another repository");
    let nobody = sign(&Build::default(), "no build at all");
    let verify = |policy: &str, commit: &str| {
        let run = repository.countersign(&["verify", "--json", "--policy", policy, commit]);
        let run = run.any_status().any_stdout().any_stderr().check();
        (run.status, serde_json::from_str::<serde_json::Value>(&run.text()).unwrap())
    };
    let app = ", repository = \"https://github.com/acme/app\"";
    let exact = policy(&world, &format!("{app}, ref = \"refs/heads/main\""));
    for (commit, status) in [(&ours, 0), (&topic, 1), (&theirs, 1), (&nobody, 1)] {
        assert_eq!(verify(&exact, commit).0, status, "{commit}");
    }
    let (_, json) = verify(&exact, &ours);
    assert_eq!(json["identity"]["claims"]["repository"], "https://github.com/acme/app");
    assert_eq!(json["identity"]["claims"]["ref"], "refs/heads/main");
    let pattern = policy(&world, &format!("{app}, ref = \"refs/heads/*\", trigger = \"push\""));
    for (commit, status) in [(&ours, 0), (&topic, 0), (&theirs, 1), (&nobody, 1)] {
        assert_eq!(verify(&pattern, commit).0, status, "{commit}");
    }

    for more in ["", app] {
        let lacking = policy(&world, more);
        let check = world.countersign(&["policy", "check", &lacking]).status(3);
        let missing = if more.is_empty() { "its 'repository'" } else { "its 'ref'" };
        check.stderr_holds(&["the signer 'https://github.com/acme/ci/", missing]).check();
    }

    // What is printed for pasting names this build and parses.
    let inspected = repository.countersign(&["inspect", &topic]).any_stdout().check().text();
    let entry = inspected.lines().find_map(|line| line.trim().strip_prefix("keyless = [")).unwrap();
    let more = entry.split_once(WORKFLOW).unwrap().1.trim_start_matches('"').trim_end_matches(" }]");
    assert!(more.contains("repository_id = \"42\""), "{more}");
    let pasted = policy(&world, more);
    assert_eq!((verify(&pasted, &topic).0, verify(&pasted, &ours).0), (0, 1));
}

#[test]
fn the_gate_tells_builds_apart_and_says_what_to_add() {
    let world = World::new();
    let repository = world.repository("work", "sha1");
    let policy = policy(&world, ", repository = \"https://github.com/acme/app\", ref = \"refs/heads/main\"");
    world.bare("server.git", "sha1");
    let install = ["hook", "install", "--repository", "server.git", "--policy", &policy];
    world.countersign(&install).any_stdout().check();
    let sign = |build: &Build| {
        let token = world.authority().authority().issue_build_token(WORKFLOW, build).unwrap();
        world.set("SIGSTORE_ID_TOKEN", &token);
        repository.commit("build");
    };
    let push = || repository.git(&["push", "-q", "../server.git", "HEAD:refs/heads/main"]);
    sign(&build("acme/app", "refs/heads/main"));
    push().check();
    sign(&build("mallory/app", "refs/heads/main"));
    push()
        .status(1)
        .stderr_holds(&[
            "for 'https://github.com/mallory/app' at 'refs/heads/main', whom the policy does not name",
            "repository = \"https://github.com/mallory/app\"",
        ])
        .check();
}
