//! A policy is published, found, pinned, changed and used.

use crate::{
    ALICE, BOB, Draft, ID, REF, pin, published, refused,
    support::{Repository, World},
    verified, world,
};

fn clone<'w>(world: &'w World, from: &Repository<'_>, name: &str) -> Repository<'w> {
    let path = from.path.to_str().unwrap();
    world.run("git", &["clone", "-q", path, name]).check();
    let clone = Repository::at(world, &world.path(name));
    clone.git(&["fetch", "-q", "origin", &format!("{REF}:{REF}")]).check();
    clone
}

fn found_pinned_and_used(format: &str) {
    let world = world();
    let origin = published(&world, format);
    let first = origin.id(REF);
    let clone = clone(&world, &origin, "clone");

    // Found, and worth no more than no policy at all.
    assert_eq!(clone.grade("HEAD"), "U|alice@example.com|undefined");
    let (status, words) = verified(&clone);
    assert_eq!(status, 2, "{words}");
    let found = format!("warning: policy found, not pinned: '{REF}' decides nothing here\n");
    let command = format!(": countersign policy pin --root {first}\n");
    assert!(words.starts_with(&found) && words.contains(&command), "{words}");
    let shown = clone.countersign(&["policy", "show"]).status(2).any_stderr().any_stdout().check().text();
    assert!(shown.starts_with(&format!("not pinned: '{REF}' at commit {first} sha256:")), "{shown}");

    let bytes = std::fs::read(world.path("draft/policy.toml")).unwrap();
    let digest = hex::encode(countersign::encoding::sha256(&[&bytes]));
    let root = std::fs::read(world.path("authority/trusted_root.json")).unwrap();
    let root = hex::encode(countersign::encoding::sha256(&[&root]));
    let described = format!(
        "repository: {ID}\nref: {REF}\nroot: {first}\npresent: commit {first}, serial 1, sha256:{digest}\n\
         who may change it: alice\n  alice is 'alice@example.com' of '[URL]' (instance 'sandbox')\n  \
         the trusted root of 'sandbox' is the policy's own: sha256:{root}\n"
    );
    let refusal = "error: nothing was pinned\nhint: say yes, or add '--yes' once you have looked at it\n";
    clone.countersign(&["policy", "pin"]).status(3).stdout(&described).stderr(refusal).check();
    assert_eq!(verified(&clone).0, 2);
    let said = format!("{described}pinned\n");
    clone.countersign(&["policy", "pin", "--root", &first, "--yes"]).stdout(&said).check();

    assert_eq!(clone.grade("HEAD"), "G|alice@example.com|fully");
    assert_eq!(verified(&clone), (0, String::new()));
    let verbose = [
        format!("identities: policy '{REF}' at commit {first} sha256:{digest}\n"),
        "policy scope: global (file:[DIR]/home/.gitconfig)\n".to_owned(),
        format!("policy repository: {ID}\npolicy serial: 1\npolicy root: {first}, 0 changes since\n"),
        "trusted root: sandbox sha256:".to_owned(),
        format!("(committed as '{first}:roots/sandbox.json', "),
    ];
    let verbose: Vec<&str> = verbose.iter().map(String::as_str).collect();
    clone.countersign(&["verify", "--verbose"]).any_stdout().stderr_holds(&verbose).check();
    let json = clone.countersign(&["verify", "--json"]).any_stdout().check().text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let policy = serde_json::json!({
        "ref": REF, "commit": first, "root": first, "sha256": digest, "scope": "global",
        "repository": ID, "serial": 1,
    });
    assert_eq!(json["policy"], policy);
    assert_eq!(json["name"], "alice");
    // The pin is the user's: it counts in every clone, as far as the ref is there.
    assert_eq!(verified(&origin).0, 0);

    // Who is not named is not trusted, and who is let in by a signed step is.
    clone.commit_as(BOB, "by bob");
    assert_eq!(clone.grade("HEAD"), "E|");
    assert_eq!(verified(&clone).0, 1);
    let second = Draft { serial: 2, signers: &["alice", "bob"], ..Draft::FIRST }.publish(&origin, ALICE);
    assert_eq!(clone.grade("HEAD"), "E|", "what was not fetched does not count");
    clone.git(&["fetch", "-q", "origin", &format!("{REF}:{REF}")]).check();
    assert_eq!(clone.id(REF), second);
    assert_eq!(clone.grade("HEAD"), "G|bob@example.com|fully");
    let shown = clone.countersign(&["policy", "show"]).any_stdout().check().text();
    assert!(shown.contains(&format!("policy root: {first}, 1 change since\n")), "{shown}");
    assert!(shown.contains("who may change it: alice\n"), "{shown}");
}

#[test]
fn a_published_policy_counts_once_it_is_pinned() {
    found_pinned_and_used("sha1");
}

#[test]
fn a_published_policy_counts_once_it_is_pinned_in_a_sha_256_repository() {
    found_pinned_and_used("sha256");
}

#[test]
fn only_whom_the_policy_before_names_changes_it() {
    let world = world();
    let repository = published(&world, "sha1");
    pin(&repository);
    let first = repository.id(REF);
    let hostile = Draft { serial: 2, owners: &["bob"], signers: &["bob"], ..Draft::FIRST };

    // The command itself judges before the ref moves.
    let path = hostile.write(&world);
    let run = repository.countersign(&["policy", "publish", &path]);
    let run = run.env("SIGSTORE_ID_TOKEN", world.token(BOB)).status(3);
    run.stderr_holds(&[
        "error: nothing was published: ",
        "signed by 'bob@example.com'",
        "whom the policy does not name",
    ])
    .check();
    assert_eq!(repository.id(REF), first);
    assert_eq!(verified(&repository).0, 0);

    // By hand, there is no policy any more, and not the older one.
    let step = crate::following::step(&repository, &first, BOB, &hostile.text(&world));
    repository.git(&["update-ref", REF, &step]).check();
    refused(&repository, "signed by 'bob@example.com'");
    // Nor does it help that the step after is by whom the stranger's policy names.
    let next = Draft { serial: 3, ..hostile };
    let step = crate::following::step(&repository, &step, BOB, &next.text(&world));
    repository.git(&["update-ref", REF, &step]).check();
    refused(&repository, "signed by 'bob@example.com'");
}

#[test]
fn ownership_is_handed_over_and_the_one_before_is_out() {
    let world = world();
    let repository = published(&world, "sha1");
    pin(&repository);
    Draft { serial: 2, owners: &["bob"], ..Draft::FIRST }.publish(&repository, ALICE);
    assert_eq!(verified(&repository).0, 0);
    let path = Draft { serial: 3, ..Draft::FIRST }.write(&world);
    let run = repository.countersign(&["policy", "publish", &path]).status(3);
    run.stderr_holds(&["signed by 'alice@example.com'", "where only 'bob' may"]).check();
    Draft { serial: 3, owners: &["alice"], ..Draft::FIRST }.publish(&repository, BOB);
    assert_eq!(verified(&repository).0, 0);
}

#[test]
fn what_could_not_be_followed_is_not_published() {
    let world = world();
    let repository = world.repository("r", "sha1");
    let refused = |text: &str, reason: &str| {
        let path = Draft::FIRST.write(&world);
        std::fs::write(&path, text).unwrap();
        let before = world.log_size();
        let run = repository.countersign(&["policy", "publish", &path]).status(3);
        run.stderr_holds(&[reason, "hint: "]).check();
        assert_eq!(world.log_size(), before, "nobody was asked to sign: {reason}");
    };
    let text = Draft::FIRST.text(&world);
    refused(&text.replace("repository = \"example.com/project\"\n", ""), "for which repository it is");
    refused(&text.replace("serial = 1\n", ""), "how new it is");
    refused(&text.replace(REF, "refs/countersign/other"), "who may change it");
    refused(
        &text.replace("commits = [\"alice\"]\n[[rule]]", "commits = \"unsigned\"\n[[rule]]"),
        "who may change it",
    );
    refused(
        &text.replace("roots/sandbox.json", "../authority/trusted_root.json"),
        "cannot be kept beside it",
    );
    refused(&text.replace("roots/sandbox.json", "roots/none.json"), "roots/none.json' cannot be read");
    assert!(!repository.has(REF));

    Draft::FIRST.publish(&repository, ALICE);
    refused(&text, "the present policy has the serial 1, and this one 1");
    refused(
        &text.replace("serial = 1", "serial = 2").replace(ID, "example.com/other"),
        "the present policy is for the repository 'example.com/project'",
    );
    let run = repository.countersign(&["policy", "publish", "--ref", "refs/heads/policy", "policy.toml"]);
    run.status(3).stderr_holds(&["'refs/heads/policy' is not the full name of a ref below"]).check();
}

#[test]
fn a_first_policy_by_somebody_it_does_not_name_is_said() {
    let world = world();
    let repository = world.repository("r", "sha1");
    let path = Draft::FIRST.write(&world);
    let run =
        repository.countersign(&["policy", "publish", &path]).env("SIGSTORE_ID_TOKEN", world.token(BOB));
    run.any_stdout().stderr_holds(&["warning: whoever signed this first policy could not change it"]).check();
}
